"""Timers of a room: what is to happen later, in game time. Pure.

Game time is what `Room.time` tells: it stands still while the room is paused, so a timer does too. Timers run inside a
tick, in the order of their times, and of being made where those are equal; the same ticks run the same timers.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from functools import partial
from heapq import heapify, heappop, heappush
from numbers import Real
from typing import Any, Final

#: How often a repeating timer runs at most in one tick; of more periods that have passed the oldest are dropped.
MOST_RUNS: Final = 4
#: The shortest period: ticks are 4 ms apart or more, and each runs a timer at most `MOST_RUNS` times.
_SHORTEST_PERIOD: Final = 0.001
#: What is due so soon is due now: times are sums of floats, and one that is off in its last digit would cost a tick.
_EARLY_SECONDS: Final = 1e-6
#: Below so many cancelled timers nobody sweeps.
_SWEEP_FROM: Final = 64


class Timer:
    """Something that is to happen later; `Room.after` and `Room.every` make them."""

    __slots__ = ("_arguments", "_function", "_order", "_owner", "_period", "_runs", "_start")

    def __init__(
        self,
        owner: Timers,
        order: int,
        start: float,
        period: float,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> None:
        self._owner = owner
        self._order = order
        self._start = start
        self._period = period  # 0.0: once
        self._runs = 0  # periods that have passed
        self._function: Callable[..., Any] | None = function
        self._arguments = arguments

    @property
    def active(self) -> bool:
        """Whether it will run (again): it was not cancelled, and has not run if it is to run once."""
        return self._function is not None

    def cancel(self) -> None:
        """Never run again, even if it is due in this tick; nothing happens when it would not anyway."""
        if self._function is not None:
            self._retire()
            self._owner._note_cancelled()

    def _retire(self) -> None:
        """Let go of what belongs to the game."""
        self._function, self._arguments = None, ()

    def __repr__(self) -> str:
        return f"<Timer {'active' if self.active else 'over'}>"


class Timers:
    """The timers of one room.

    ``now`` is game time in seconds, everywhere; it never goes back.
    """

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, Timer]] = []
        self._made = 0
        self._cancelled = 0  # of those in the queue
        self._horizon = -math.inf  # what was due by then has had its turn

    def __len__(self) -> int:
        """How many are active."""
        return len(self._queue) - self._cancelled

    def after(self, now: float, seconds: float, function: Callable[..., Any], arguments: tuple[Any, ...] = ()) -> Timer:
        """Have ``function`` called with ``arguments`` in so many seconds; with 0 at the next tick.

        Raises:
            ValueError: ``seconds`` is negative or not finite. TypeError: something is of a wrong type.
        """
        if not 0 <= _checked(seconds, function, "after") < math.inf:
            raise ValueError(f"after({seconds!r}, ...): give seconds from 0, a finite number")
        return self._add(now + float(seconds), 0.0, function, arguments)

    def every(self, now: float, seconds: float, function: Callable[..., Any], arguments: tuple[Any, ...] = ()) -> Timer:
        """Have ``function`` called with ``arguments`` each time so many seconds have passed, without drift.

        When several periods have passed since the last tick it is called for each of the last `MOST_RUNS`.

        Raises:
            ValueError: ``seconds`` is below `_SHORTEST_PERIOD` or not finite. TypeError: something is of a wrong type.
        """
        if not _SHORTEST_PERIOD <= _checked(seconds, function, "every") < math.inf:
            raise ValueError(f"every({seconds!r}, ...): give seconds from {_SHORTEST_PERIOD:g}, a finite number")
        return self._add(now, float(seconds), function, arguments)

    def due(self, now: float) -> Iterator[Callable[[], Any]]:
        """What is to be called at ``now``, in order; call each before asking for the next.

        What is made meanwhile waits for the next tick, even with 0 seconds. After an exception the others are still
        there.
        """
        self._horizon = horizon = max(self._horizon, now + _EARLY_SECONDS)
        made_before = self._made
        while self._queue and self._queue[0][0] <= horizon:
            _, order, timer = self._queue[0]
            if order > made_before:
                return  # made in this tick, so due at its horizon, and all that is older lies behind us
            heappop(self._queue)
            if timer._function is None:
                self._cancelled -= 1
                continue
            function, arguments = timer._function, timer._arguments
            if not timer._period:
                timer._retire()
            elif self._has_skipped(timer, horizon):
                continue
            yield partial(function, *arguments)

    def next_due(self) -> float | None:
        """When the next timer is due, None when there is none."""
        while self._queue and not self._queue[0][2].active:
            heappop(self._queue)
            self._cancelled -= 1
        return self._queue[0][0] if self._queue else None

    def clear(self) -> None:
        """Cancel all of them."""
        for _, _, timer in self._queue:
            timer._retire()
        self._queue.clear()
        self._cancelled = 0

    def _add(self, start: float, period: float, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Timer:
        self._made += 1
        timer = Timer(self, self._made, start, period, function, arguments)
        timer._runs = 1 if period else 0
        self._put(timer)
        return timer

    def _put(self, timer: Timer) -> None:
        due = timer._start + timer._runs * timer._period
        if timer._runs <= 1:
            due = max(due, self._horizon)  # a new one: not before what has had its turn
        heappush(self._queue, (due, timer._order, timer))

    def _has_skipped(self, timer: Timer, horizon: float) -> bool:
        """Queue a repeating timer anew; True when it is too late for this run, which is dropped."""
        behind = int((horizon - timer._start) / timer._period) - timer._runs
        skipped = behind >= MOST_RUNS
        timer._runs += behind - MOST_RUNS + 1 if skipped else 1
        self._put(timer)
        return skipped

    def _note_cancelled(self) -> None:
        """Forget those that were cancelled once they are the most: a timer of each turn must not wait for its hour."""
        self._cancelled += 1
        if self._cancelled > _SWEEP_FROM and self._cancelled > len(self._queue) // 2:
            self._queue = [entry for entry in self._queue if entry[2].active]
            heapify(self._queue)
            self._cancelled = 0


def _checked(seconds: Any, function: Any, name: str) -> float:
    """``seconds``; TypeError when it is no number, or ``function`` is nothing to call at a tick."""
    if not isinstance(seconds, Real):
        raise TypeError(f"{name}({seconds!r}, ...): give a number of seconds")
    if not callable(function):
        raise TypeError(f"{name}(): give a function and its arguments, not what it returns ({function!r})")
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{name}(): {function.__name__} is async; start it with room.work(...) from a plain function")
    return float(seconds)
