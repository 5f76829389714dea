"""Runs the scripts of a scenario: wakes each bot when its next step is due. Pure: the time is an argument."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from typing import Protocol

from gamebots.scenarios import Drop, Join, Leave, Play, Scenario, Script, Stall, Step, Until, Wait

#: Steps of one script that may follow each other in one moment; a script that never waits would hang everything.
_STEPS_AT_ONCE = 1000


class Actor(Protocol):
    """What a script moves."""

    def join(self, now: float) -> bool | None:
        """Begin to join; True when it is in its room already, None when `Conductor.joined` will tell."""

    def leave(self, now: float) -> None: ...

    def drop(self, now: float) -> None: ...

    def stall(self, stalled: bool, now: float) -> None: ...


class _Part:
    """One bot's script, and what it waits for."""

    __slots__ = ("actor", "began", "joining", "number", "script", "settled", "share", "stalled", "wake_at")

    def __init__(self, number: int, script: Script, actor: Actor) -> None:
        self.number = number
        self.script: Script | None = script
        self.actor = actor
        self.began = False
        self.joining = False
        self.stalled = False
        self.settled = False
        self.share: float | None = None
        self.wake_at = math.inf


class Conductor:
    """All scripts of one process.

    Args:
        scenario: where they come from.
        actors: the bots, by their numbers.
        now: when the ramp begins, in seconds.

    Attributes:
        unsettled: how many bots are still on their way in: measuring may begin when there are none.
    """

    def __init__(self, scenario: Scenario, actors: Mapping[int, Actor], now: float) -> None:
        self._seconds = scenario.seconds
        self._parts = {number: _Part(number, scenario.script(number), actor) for number, actor in actors.items()}
        self._due = [(now, number) for number in self._parts]
        self._begin: float | None = None
        self.unsettled = len(self._parts)
        for part in self._parts.values():
            part.wake_at = now

    def advance(self, now: float) -> None:
        """Go on with all scripts whose time has come."""
        due = self._due
        while due and due[0][0] <= now:
            at, number = heapq.heappop(due)
            part = self._parts[number]
            if at == part.wake_at:
                self._go_on(part, now)

    @property
    def is_over(self) -> bool:
        """Whether no script will do anything any more."""
        return all(part.wake_at == math.inf and not part.joining for part in self._parts.values())

    def begin_measuring(self, now: float) -> None:
        """The measured time begins; what waits for a share of it now has a time."""
        self._begin = now
        for part in self._parts.values():
            if part.share is not None:
                self._wake(part, now + part.share * self._seconds)

    def joined(self, number: int, succeeded: bool, now: float) -> None:
        """A bot that was to join has its first frame, or has not got in."""
        part = self._parts[number]
        if part.joining:
            part.joining = False
            self._go_on(part, now, succeeded)

    def stop(self, numbers: Iterable[int]) -> None:
        """These go on as they are."""
        for number in numbers:
            part = self._parts[number]
            part.script, part.wake_at, part.joining = None, math.inf, False
            self._settle(part)

    def _go_on(self, part: _Part, now: float, answer: bool = True) -> None:
        part.wake_at, part.share = math.inf, None
        if part.stalled:
            part.stalled = False
            part.actor.stall(False, now)
        for _ in range(_STEPS_AT_ONCE):
            if part.script is None:
                return
            try:
                step = part.script.send(answer) if part.began else next(part.script)
                part.began = True
            except StopIteration:
                part.script = None
                self._settle(part)
                return
            done = self._do(part, step, now)
            if done is None:
                return
            answer = done
        raise RuntimeError(f"the script of bot {part.number} has made {_STEPS_AT_ONCE} steps without waiting")

    def _do(self, part: _Part, step: Step, now: float) -> bool | None:
        """Take one step; None when the script waits now, otherwise what it is told."""
        match step:
            case Join():
                done = part.actor.join(now)
                part.joining = done is None
                return done
            case Leave():
                part.actor.leave(now)
                return True
            case Drop():
                part.actor.drop(now)
                return True
            case Wait(seconds):
                return self._pause(part, now, now + seconds)
            case Play(seconds):
                self._settle(part)
                return self._pause(part, now, now + seconds)
            case Stall(seconds):
                done = self._pause(part, now, now + seconds)
                if done is None:
                    part.stalled = True
                    part.actor.stall(True, now)
                return done
            case Until(share):
                self._settle(part)
                if self._begin is not None:
                    return self._pause(part, now, self._begin + share * self._seconds)
                part.share = share
                return None
        raise TypeError(f"a script yields steps of gamebots.scenarios (Wait, Join, Play, ...), not {step!r}")

    def _pause(self, part: _Part, now: float, until: float) -> bool | None:
        """Let a script wait; True when there is nothing to wait for, so that one that never waits is noticed."""
        if until <= now:
            return True
        if math.isnan(until):
            raise ValueError(f"the script of bot {part.number} waits for a time that is not a number")
        self._wake(part, until)
        return None

    def _wake(self, part: _Part, at: float) -> None:
        part.wake_at = at
        if at < math.inf:
            heapq.heappush(self._due, (at, part.number))

    def _settle(self, part: _Part) -> None:
        if not part.settled:
            part.settled = True
            self.unsettled -= 1
