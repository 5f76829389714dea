"""When a room's ticks are due: absolute deadlines, a bounded catch-up, and a count of what was dropped. Pure."""

from __future__ import annotations

import math
from typing import Final

#: Steps that may be caught up when a tick came late; more would make a slow step slower still (netcode practice: 3).
CATCH_UP_TICKS: Final = 3
#: A room that is late again right after it caught up needs more time than there is, not only now: for so long it drops
#: ticks instead, and for twice as long each time that it fails again. Steps that are caught up share one frame, so with
#: each attempt players are shown fewer.
GIVE_UP_SECONDS: Final = 1.0
_MOST_GIVE_UP_SECONDS: Final = 16.0

#: Share of a period by which each further room is shifted: the golden ratio spreads any number of rooms evenly.
_PHASE_STEP: Final = (math.sqrt(5) - 1) / 2


def phase_of(index: int) -> float:
    """Where in the period the ticks of the room of this index lie, 0 to 1, so that rooms do not all tick at once."""
    return index * _PHASE_STEP % 1.0


class TickSchedule:
    """Deadlines ``start + n * period``; they do not drift, because n is counted and not the time.

    Args:
        period: seconds between ticks.

    Attributes:
        deadline: when the next tick is due, in the seconds of whatever clock ``start`` and ``due`` were given.
        overruns: how often a tick was late by a period or more.
        dropped: ticks that were due and never run.
    """

    def __init__(self, period: float) -> None:
        self.period = period
        self.deadline = 0.0
        self.overruns = 0
        self.dropped = 0
        self._start = 0.0
        self._index = 0
        self._caught_up = False  # the last time
        self._catches_up_from = 0
        self._give_up_seconds = GIVE_UP_SECONDS

    def start(self, now: float, phase: float = 0.0) -> None:
        """Make the first tick due at the next time, from ``now`` on, that lies at ``phase`` (0 to 1) of a period."""
        periods = math.ceil(now / self.period - phase)
        self._start = (periods + phase) * self.period
        self._index = self._catches_up_from = 0
        self._caught_up = False
        self.deadline = self._start

    def due(self, now: float) -> int:
        """How many steps to run at ``now`` (1 to 1 + `CATCH_UP_TICKS`); moves the deadline past ``now``."""
        behind = max(0, int((now - self.deadline) / self.period))
        self._index += 1 + behind
        if self._caught_up:
            self._judge(failed=behind > 0)
        caught_up = min(behind, CATCH_UP_TICKS) if self._index >= self._catches_up_from else 0
        self._caught_up = caught_up > 0
        if behind:
            self.overruns += 1
            self.dropped += behind - caught_up
        self.deadline = self._start + self._index * self.period
        return 1 + caught_up

    def _judge(self, failed: bool) -> None:
        """Whether the last time helped says when it is tried again."""
        if not failed:
            self._give_up_seconds = GIVE_UP_SECONDS
            return
        self._catches_up_from = self._index + math.ceil(self._give_up_seconds / self.period)
        self._give_up_seconds = min(2 * self._give_up_seconds, _MOST_GIVE_UP_SECONDS)
