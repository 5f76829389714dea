"""When a player whose connection was lost tries to come back to its seat, and when it gives up. Pure: the time is an
argument, and so is chance.

A server or a network that fails loses many players in one moment. They must not all come back in one moment, so every
wait is drawn from a range ("full jitter", after Marc Brooker, "Exponential Backoff And Jitter", AWS, 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from gameprotocol import CloseCode

#: The first attempt comes at once, but for so long at most, in seconds: most losses are a moment of one network.
FIRST_WAIT_SECONDS: Final = 0.1
#: The range of the second wait; each further one is twice as wide, up to the widest. In seconds.
RETRY_SECONDS: Final = 0.25
WIDEST_SECONDS: Final = 5.0
#: A connection that lived so long was a good one: after it, waits begin anew. In seconds.
STEADY_SECONDS: Final = 5.0
#: The code of a connection that ended without a word (RFC 6455, 7.4.1).
_VANISHED: Final = 1006
#: With less than this left of the seat's time no further attempt is begun, in seconds.
_LEAST_LEFT_SECONDS: Final = 0.25

#: A ticking room sends a frame each tick. After so many periods without one, and at least so many seconds, the
#: connection is taken for dead, although no packet said so.
SILENT_PERIODS: Final = 20
SILENT_SECONDS: Final = 3.0
#: The same where nothing is to be won by haste, because no seat is kept; a server looks as long for its players.
SILENT_SECONDS_WITHOUT_SEAT: Final = 15.0

#: Close codes below 4000 after which the seat is over, or coming back would meet the same end.
_FINAL_CODES: Final = frozenset(
    (
        CloseCode.NORMAL,
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED,
        CloseCode.UNDECODABLE,
        CloseCode.POLICY,
        CloseCode.TOO_BIG,
        CloseCode.ROOM_FAILED,
    )
)
#: Those of Tickwire's own range that say nothing of the seat: the network, or this program, was too slow.
_SLOW_CODES: Final = frozenset((CloseCode.HELLO_TIMEOUT, CloseCode.TOO_SLOW))
_PASSING_STATUSES: Final = frozenset((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS))


def comes_back(code: int) -> bool:
    """Whether a player whose connection ended with this close code may try to come back to its seat.

    Codes that nobody knows yet are worth a try below 4000: a proxy or a library made them. Those of Tickwire's own
    range say that the seat is over, with two exceptions.
    """
    return code not in _FINAL_CODES if code < 4000 else code in _SLOW_CODES


def is_passing(status: int) -> bool:
    """Whether an HTTP answer to the upgrade may be another one in a moment; 0 when there was none.

    A proxy whose server restarts answers 502 or 504.
    """
    return status == 0 or status in _PASSING_STATUSES or status >= 500


class Returning:
    """The way back to one seat, as often as its connection is lost.

    Args:
        chance: gives numbers from 0.0 to below 1.0.

    Attributes:
        active: the connection is lost and not made again.
        attempt_at: when the next attempt begins, in seconds of the caller's clock; inf while one is under way.
        code, reason: how the connection was lost, once ``gave_up`` the reason to tell.
        gave_up: there is no attempt any more.
        returns: how often it has worked.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self.active = False
        self.attempt_at = math.inf
        self.code = 0
        self.reason = ""
        self.gave_up = False
        self.returns = 0
        self._chance = chance
        self._attempts = 0  # since the last connection that lived for a while
        self._returned_at = -math.inf
        self._lost_at = 0.0
        self._until = 0.0
        self._seat_seconds = 0.0
        self._away = 0.0  # of all earlier times

    @property
    def waits(self) -> bool:
        """Whether there is no connection now, not even one that is being made."""
        return self.active and self.attempt_at != math.inf

    def lost(self, now: float, code: int, reason: str, seat_seconds: float, said: float | None = None) -> None:
        """The connection has ended.

        Args:
            now: seconds of a clock that never goes back.
            code, reason: as its Close said.
            seat_seconds: how long the seat is kept from now on.
            said: when to come back, as the server said.
        """
        self.active, self.gave_up = True, False
        self.code, self.reason = code, reason
        self._lost_at, self._seat_seconds, self._until = now, seat_seconds, now + seat_seconds
        if now - self._returned_at >= STEADY_SECONDS:
            self._attempts = 0
        self._plan(now, code, reason, said, least_left=0.0)

    def begin(self) -> None:
        """An attempt is under way; `failed` or `returned` ends it."""
        self._attempts += 1
        self.attempt_at = math.inf

    def failed(self, now: float, why: str, said: float | None = None, code: int = _VANISHED) -> None:
        """The attempt did not work; ``said``: when to come back, as the server said when it closed with ``code``."""
        self._plan(now, code, why, said, least_left=_LEAST_LEFT_SECONDS)

    def returned(self, now: float) -> float:
        """The player is back; how long it was away, in seconds."""
        self.active = False
        self.attempt_at = math.inf
        self._returned_at = now
        self.returns += 1
        away = now - self._lost_at
        self._away += away
        return away

    def stop(self) -> None:
        """The player does not want to come back any more."""
        self.attempt_at = math.inf

    def seconds_away(self, now: float) -> float:
        """How long there was no connection in all."""
        return self._away + (now - self._lost_at if self.active else 0.0)

    def _plan(self, now: float, code: int, why: str, said: float | None, least_left: float) -> None:
        left = self._until - now
        if left <= least_left:
            seconds = f"{self._seat_seconds:.4g} s"
            self._give_up(f"{self.reason}; there was no way back in the {seconds} for which the seat is kept ({why})")
        elif said is not None and said >= left:
            # Its words stay as they are, so that programs find in them when to join anew.
            self.code = code
            self._give_up(why)
        else:
            widest = FIRST_WAIT_SECONDS if not self._attempts else self._widest_seconds()
            least = said or 0.0
            self.attempt_at = now + least + self._chance() * min(widest, left - least)

    def _widest_seconds(self) -> float:
        doublings = min(self._attempts - 1, 16)  # beyond it the number is only larger
        return min(WIDEST_SECONDS, RETRY_SECONDS * 2.0**doublings)

    def _give_up(self, reason: str) -> None:
        self.gave_up = True
        self.attempt_at = math.inf
        self.reason = reason


class Silence:
    """How long nothing has come, as far as somebody has looked.

    A program may stop looking for as long as it likes (its window is hidden), and a server that is not answered then
    stops sending. So what passes between two looks counts as a third of the patience at most.

    Args:
        patience: seconds of silence after which a connection is dead; inf: never.
        now: when the silence may have begun, in seconds of the caller's clock.

    Attributes:
        step: look at least so often, in seconds.
        too_long: whether the patience is over.
    """

    __slots__ = ("_enough", "_looked", "_quiet", "patience", "step", "too_long")

    def __init__(self, patience: float = math.inf, now: float = math.inf) -> None:
        self.patience = patience
        self.step = patience / 3
        self.too_long = False
        self._enough = patience - 1e-6  # three steps are less than the patience by rounding
        self._quiet = 0.0
        self._looked = now

    def note(self, now: float, heard: bool) -> None:
        """Somebody has looked, and something has come or not."""
        if heard:
            self._quiet = 0.0
        else:
            passed = now - self._looked
            if passed > 0.0:
                self._quiet += passed if passed < self.step else self.step
            self.too_long = self._quiet >= self._enough
        self._looked = now


def patience_seconds(period: float, has_seat: bool) -> float:
    """How long a room that ticks once in ``period`` seconds may be silent."""
    return max(SILENT_SECONDS if has_seat else SILENT_SECONDS_WITHOUT_SEAT, SILENT_PERIODS * period)
