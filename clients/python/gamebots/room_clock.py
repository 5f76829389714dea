"""When a room made its ticks, as well as many bots can tell together from outside. Pure: the time is an argument."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

#: The steadiest schedule is looked for in so many seconds: a server that was late for longer has another schedule now.
_WINDOW_SECONDS = 5
#: A tick is over when so many newer ones have been seen: its frames have come, or come too late to say anything.
_OPEN_TICKS = 8
#: First arrivals are kept for so many ticks; who holds an older one is told the oldest.
_KEPT_TICKS = 1200
#: As long as the newest ticks came at this share of their rate, tick numbers follow the clock.
_STEADY_SHARE = 0.97


@dataclass(slots=True)
class _Tick:
    arrived: float
    kept_seconds: float | None = None


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
        self._ticks: dict[int, _Tick] = {}
        self._closed = 0
        self._earliest: deque[tuple[int, float]] = deque()  # second, least of arrival minus schedule
        self._origin: float | None = None  # least of them: tick 0 of the schedule
        self._steady = True
        self._marked: tuple[int, float] | None = None

    def note(self, tick: int, now: float, kept_us: int | None) -> None:
        """A frame of ``tick`` has come.

        Args:
            kept_us: how long the server kept an input that came just before this tick, in microseconds, if it says so.
        """
        seen = self._ticks.get(tick)
        if seen is None:
            if tick <= self._closed:
                return
            seen = self._ticks[tick] = _Tick(now)
            self._note_first(tick, now)
        if kept_us is not None:
            kept = kept_us / 1e6
            if seen.kept_seconds is None or kept > seen.kept_seconds:
                seen.kept_seconds = kept

    def note_round_trip(self, seconds: float) -> None:
        """A message has gone to the server and come back in so long."""
        if seconds < self.round_trip:
            self.round_trip = seconds

    def _note_first(self, tick: int, now: float) -> None:
        if self.period:
            self._note_schedule(int(now), now - tick * self.period)
        if tick > self.newest:
            self.newest = tick
            for over in range(self._closed + 1, tick - _OPEN_TICKS):
                self._close(over)
            self._closed = max(self._closed, tick - _OPEN_TICKS - 1)

    def _note_schedule(self, second: int, early: float) -> None:
        earliest = self._earliest
        if not earliest or earliest[-1][0] != second:
            earliest.append((second, early))
            while earliest[0][0] < second - _WINDOW_SECONDS:
                earliest.popleft()
        elif early < earliest[-1][1]:
            earliest[-1] = (second, early)
        self._origin = min(early for _, early in earliest)
        # A room that drops ticks falls behind the clock: its schedule moves on by more than a little in each second.
        passed = second - earliest[0][0]
        self._steady = not passed or earliest[-1][1] - earliest[0][1] < passed * (1 - _STEADY_SHARE)

    def _close(self, tick: int) -> None:
        seen = self._ticks.get(tick)
        self._ticks.pop(tick - _KEPT_TICKS, None)
        if seen is None:
            return
        if self._origin is not None:
            self.lateness.append(max(0.0, seen.arrived - self._origin - tick * self.period))
        if seen.kept_seconds is not None:
            self.server_ticks.append(seen.kept_seconds)

    def made_at(self, tick: int) -> float | None:
        """When the server made this tick, in seconds of the caller's clock; None when nobody has seen it.

        While the room keeps its rate that is when its schedule says, or when its first frame came, if that was earlier;
        of a room that does not keep it, first frames are all there is to tell by. Both less the way here.
        """
        seen = self._ticks.get(tick)
        if seen is None:
            return None
        made = seen.arrived
        if self._origin is not None and self._steady:
            made = min(made, self._origin + tick * self.period)
        return made - self.round_trip / 2 if self.round_trip < math.inf else made

    def mark(self) -> None:
        """Measuring begins: forget lateness so far, and count ticks from here."""
        self.lateness.clear()
        self.server_ticks.clear()
        seen = self._ticks.get(self.newest)
        self._marked = None if seen is None else (self.newest, seen.arrived)

    def tick_rate(self, now: float, watched: bool = True) -> float | None:
        """Ticks a second since `mark`; None when there was no time, or none were seen.

        Args:
            watched: whether a bot is in the room now; of one that all have left nothing is known any more.
        """
        if self._marked is None:
            return None
        tick, since = self._marked
        newest = self._ticks[self.newest].arrived
        until = newest if not watched or now - newest < 1.5 * self.period else now
        return (self.newest - tick) / (until - since) if until > since else None
