"""How long waiting players will have to wait: what others of their rating have waited, and who is there now. Pure."""

from __future__ import annotations

import bisect
import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gameserver.matchmaking.tickets import Rules, Ticket

#: So many matched players are remembered.
_REMEMBERED: Final = 256
#: So many of them, those with the nearest ratings, are asked about one who waits.
_ASKED: Final = 24


class WaitHistory:
    """The waits of those who were matched last."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._by_rating: list[tuple[float, float]] | None = None
        self._near: dict[int, list[float]] = {}

    def add(self, rating: float, waited: float) -> None:
        """Somebody was matched after so many seconds."""
        self._recent.append((rating, waited))
        self._by_rating = None

    def remaining(self, rating: float, waited: float) -> float | None:
        """Seconds that one who has waited for ``waited`` goes on waiting; None when nobody like that has waited longer.

        It is the median of what those did who had waited as long.
        """
        waits = self._waits_near(rating)
        longer = waits[bisect.bisect_right(waits, waited) :]
        return statistics.median(longer) - waited if longer else None

    def _waits_near(self, rating: float) -> list[float]:
        """The waits of the nearest ratings, in order."""
        if self._by_rating is None:
            self._by_rating = sorted(self._recent)
            self._near.clear()
        at = bisect.bisect_left(self._by_rating, (rating,))
        first = max(0, min(at - _ASKED // 2, len(self._by_rating) - _ASKED))
        if first not in self._near:
            self._near[first] = sorted(waited for _, waited in self._by_rating[first : first + _ASKED])
        return self._near[first]


def estimate_waits(waiting: Sequence[Ticket], now: float, rules: Rules, history: WaitHistory) -> list[float | None]:
    """Seconds that each ticket will go on waiting; None when nothing tells.

    The soonest of: what the history says, when those who wait now will accept each other, when bots come.
    """
    estimates: list[float | None] = []
    for ticket, present in zip(waiting, seconds_until_accepted(waiting, now, rules).tolist(), strict=True):
        waited = max(0.0, now - ticket.since)
        known = [present]
        before = history.remaining(ticket.rating, waited)
        if before is not None:
            known.append(before)
        if rules.bots_after is not None:
            known.append(max(0.0, rules.bots_after - waited))
        soonest = min(known)
        estimates.append(soonest if soonest < math.inf else None)
    return estimates


def seconds_until_accepted(waiting: Sequence[Ticket], now: float, rules: Rules) -> NDArray[np.float64]:
    """When a whole match of those who wait now, near by rating, will accept each other, for each ticket; inf for never.

    A little too late for those in the middle, who accept both ends sooner; whether parties fit is not looked at.
    """
    sizes = np.array([ticket.size for ticket in waiting], dtype=np.int64)
    never = np.full(len(waiting), math.inf)
    if not len(waiting) or sizes.sum() < rules.seats:
        return never
    order = np.argsort([ticket.rating for ticket in waiting], kind="stable")
    seats = np.repeat(order, sizes[order])  # a ticket for each of its players, by rating
    ratings = np.array([ticket.rating for ticket in waiting])[seats]
    tolerances = np.array([rules.tolerance_of(ticket, now) for ticket in waiting])[seats]
    wide = ratings[rules.seats - 1 :] - ratings[: len(ratings) - rules.seats + 1]
    missing = wide - np.lib.stride_tricks.sliding_window_view(tolerances, rules.seats).min(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        seconds = np.where(missing <= 0, 0.0, np.divide(missing, rules.widening))
    if rules.most_tolerance is not None:
        seconds[wide > rules.most_tolerance] = math.inf
    padding = np.full(rules.seats - 1, math.inf)
    around = np.lib.stride_tricks.sliding_window_view(np.concatenate([padding, seconds, padding]), rules.seats)
    np.minimum.at(never, seats, around.min(axis=1))
    return never
