"""When a room made its ticks, as well as many bots can tell together from outside. Pure: the time is an argument."""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass

#: The steadiest schedule is looked for in so many seconds; clocks of two machines do not drift by much in them.
_WINDOW_SECONDS = 5
#: A tick is over when so many newer ones have been seen: its frames have come, or come too late to say anything.
_OPEN_TICKS = 8
#: When so many ticks in a row come a period late or more, the room has dropped ticks and has another schedule now.
#: Fewer would find one in the jitter of a bad network.
_MOVED_TICKS = 16
#: How often frames come is told by the shortest step of so many: a tick that was merged into the next is no rule.
_USUAL_TICKS = 8
#: First arrivals are kept for so many ticks; of older ones the schedule tells.
_KEPT_TICKS = 1200
#: As long as the newest ticks came at this share of their rate, tick numbers follow the clock.
_STEADY_SHARE = 0.97


@dataclass(slots=True)
class _Tick:
    arrived: float
    origin: float  # of the schedule, as it was known then
    kept_seconds: float | None = None


class _Earliest:
    """The earliest of the last seconds: of when tick 0 was due, as each tick alone would tell."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, float]] = deque()  # second, least in it

    def note(self, second: int, early: float) -> float:
        """One more; the least in the window."""
        seconds = self._seconds
        if not seconds or seconds[-1][0] != second:
            seconds.append((second, early))
            while seconds[0][0] < second - _WINDOW_SECONDS:
                seconds.popleft()
        elif early < seconds[-1][1]:
            seconds[-1] = (second, early)
        return min(early for _, early in seconds)

    def moved_by(self) -> tuple[int, float]:
        """Over how many seconds it moved by how much."""
        (first, before), (last, now) = self._seconds[0], self._seconds[-1]
        return last - first, now - before


class RoomClock:
    """One room, seen by all bots of a process.

    The first frame of a tick to reach any bot says how late the tick was: the earliest first frames of the last seconds
    lie on the room's schedule, and what comes behind it is late by so much. On the way every frame needs at least half
    of the shortest round trip.

    Args:
        period: of the room's ticks in seconds; 0.0 for a room that ticks when something happens.

    Attributes:
        newest: the newest tick seen.
        round_trip: the shortest one, in seconds; inf before the first.
        lateness, server_ticks: of ticks that are over, in seconds, until somebody takes them away.
    """

    def __init__(self, period: float) -> None:
        self.period = period
        self.newest = 0
        self.round_trip = math.inf
        self.lateness: list[float] = []
        self.server_ticks: list[float] = []
        self._ticks: dict[int, _Tick] = {}  # the newest ones, about in their order
        self._open: list[int] = []
        self._closed = 0
        self._window = _Earliest()
        self._schedule = _Earliest()  # the same, but for what was before the room dropped ticks
        self._last_ones: deque[float] = deque(maxlen=_MOVED_TICKS)
        self._origin = math.nan  # when tick 0 of the schedule was
        self._steady = False
        self._marked: tuple[int, float] | None = None
        self._members = 0
        self._counted = 0, 0.0  # ticks, and seconds they took, before all had left the last time

    def enter(self) -> None:
        """A bot is in the room."""
        self._members += 1

    def leave(self, now: float) -> None:
        """A bot has left. A room that all have left may stand still, so what comes later has a schedule of its own."""
        self._members -= 1
        if self._members:
            return
        ticks, seconds = self._span(now, watched=True)
        self._counted = self._counted[0] + ticks, self._counted[1] + seconds
        self._marked = None
        self._close_open()
        self._schedule, self._window = _Earliest(), _Earliest()
        self._last_ones.clear()
        self._origin, self._steady = math.nan, False

    def note(self, tick: int, now: float, kept_us: int | None) -> None:
        """A frame of ``tick`` has come.

        Args:
            kept_us: how long the server kept an input that came just before this tick, in microseconds, if it says so.
        """
        seen = self._ticks.get(tick)
        if seen is None:
            if tick <= self._closed:
                return
            seen = self._note_first(tick, now)
        if kept_us is not None:
            kept = kept_us / 1e6
            if seen.kept_seconds is None or kept > seen.kept_seconds:
                seen.kept_seconds = kept

    def note_round_trip(self, seconds: float) -> None:
        """A message has gone to the server and come back in so long."""
        if seconds < self.round_trip:
            self.round_trip = seconds

    def _note_first(self, tick: int, now: float) -> _Tick:
        before = self._origin
        if self.period:
            self._note_schedule(int(now), now - tick * self.period)
        seen = self._ticks[tick] = _Tick(now, self._origin if math.isnan(before) else min(before, self._origin))
        self._open.append(tick)
        if self._marked is None:
            self._marked = tick, now
        if tick > self.newest:
            self.newest = tick
            self._closed = max(self._closed, tick - _OPEN_TICKS - 1)
            for over in sorted(each for each in self._open if each <= self._closed):
                self._open.remove(over)
                self._close(over, self._ticks[over])
            while len(self._ticks) > _KEPT_TICKS:
                del self._ticks[next(iter(self._ticks))]
        return seen

    def _note_schedule(self, second: int, early: float) -> None:
        last_ones = self._last_ones
        last_ones.append(early)
        self._origin = self._schedule.note(second, early)
        if len(last_ones) == _MOVED_TICKS and min(last_ones) >= self._origin + self.period:
            self._schedule = _Earliest()
            self._origin = self._schedule.note(second, min(last_ones))
        self._window.note(second, early)
        # A room that drops ticks falls behind the clock: its schedule moves on by more than a little in each second.
        seconds, moved = self._window.moved_by()
        self._steady = not seconds or moved < seconds * (1 - _STEADY_SHARE)

    def _close(self, tick: int, seen: _Tick) -> None:
        if self.period:
            self.lateness.append(max(0.0, seen.arrived - min(seen.origin, self._origin) - tick * self.period))
        if seen.kept_seconds is not None:
            self.server_ticks.append(seen.kept_seconds)

    def _close_open(self) -> None:
        for tick in sorted(self._open):
            self._close(tick, self._ticks[tick])
        self._open.clear()
        self._closed = self.newest

    def close_all(self, now: float, watched: bool) -> None:
        """At the end: no frames of ticks that have been seen will come any more.

        Args:
            watched: whether a bot is in the room; then a tick that is overdue by now is late by so much.
        """
        self._close_open()
        if watched and self.period and self.newest:
            overdue = now - self._origin - (self.newest + self._usual_step()) * self.period
            if overdue > self.period:
                self.lateness.append(overdue)

    def made_at(self, tick: int) -> float | None:
        """When the server made this tick, in seconds of the caller's clock; None when nothing tells.

        While the room keeps its rate that is when its schedule says, or when its first frame came, if that was earlier;
        of a room that does not keep it, first frames are all there is to tell by. Both less the way here.
        """
        seen = self._ticks.get(tick)
        made = math.inf if seen is None else seen.arrived
        if self._steady:
            made = min(made, self._origin + tick * self.period)
        if made == math.inf:
            return None
        return made - self.round_trip / 2 if self.round_trip < math.inf else made

    def mark(self) -> None:
        """Measuring begins: forget lateness so far, and count ticks from here."""
        self.lateness.clear()
        self.server_ticks.clear()
        self._counted = 0, 0.0
        seen = self._ticks.get(self.newest) if not math.isnan(self._origin) or not self.period else None
        self._marked = None if seen is None else (self.newest, seen.arrived)

    def tick_rate(self, now: float, watched: bool = True) -> float | None:
        """Ticks a second since `mark`; None when there was no time, or none were seen.

        Args:
            watched: whether a bot is in the room now; of one that all have left nothing is known any more.
        """
        ticks, seconds = self._span(now, watched)
        ticks, seconds = ticks + self._counted[0], seconds + self._counted[1]
        return ticks / seconds if seconds > 0 else None

    def _span(self, now: float, watched: bool) -> tuple[int, float]:
        """Ticks since the mark, and the seconds that they took."""
        if self._marked is None:
            return 0, 0.0
        tick, since = self._marked
        newest = self._ticks[self.newest].arrived
        until = newest if not watched or now - newest < (self._usual_step() + 0.5) * self.period else now
        return self.newest - tick, max(0.0, until - since)

    def _usual_step(self) -> int:
        """From one tick that is told to the next: a room may make more of them than it publishes."""
        told = sorted(list(self._ticks)[-_USUAL_TICKS:])
        return min((after - before for before, after in itertools.pairwise(told)), default=1)
