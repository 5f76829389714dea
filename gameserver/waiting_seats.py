"""How many seats an address may have reserved without anybody sitting down. Pure."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

#: Seats that wait for players of one address; a party of that size may come from one home or school at a time.
WAITING_SEATS: Final = 10


class WaitingSeats:
    """Counts seats from when they are asked for until somebody takes them, or nobody can any more.

    Args:
        seconds: how long a seat waits.
        most: seats of one address.
    """

    def __init__(self, seconds: float, most: int = WAITING_SEATS) -> None:
        self._seconds = seconds
        self._most = most
        self._counts: dict[str, int] = {}
        #: Until when each seat waits, and whose it is, by its token's digest. The first ends first.
        self._seats: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def __len__(self) -> int:
        return sum(self._counts.values())

    def begin(self, address: str, now: float) -> bool:
        """Count one more seat of ``address``; `end` or `wait_for` must follow. False when it has as many as it may.

        Args:
            now: seconds of a clock that only rises.
        """
        self._forget_late(now)
        count = self._counts.get(address, 0)
        if count >= self._most:
            return False
        self._counts[address] = count + 1
        return True

    def end(self, address: str) -> None:
        """There is no seat after all."""
        left = self._counts[address] - 1
        if left:
            self._counts[address] = left
        else:
            del self._counts[address]

    def wait_for(self, token: str, address: str, now: float) -> None:
        """The seat is reserved: it counts until somebody comes with this token, or its time is over."""
        self._seats[_digest(token)] = now + self._seconds, address

    def take(self, token: str) -> None:
        """Somebody has come for a seat. Nothing happens when none waits under this token."""
        seat = self._seats.pop(_digest(token), None)
        if seat is not None:
            self.end(seat[1])

    def _forget_late(self, now: float) -> None:
        while self._seats:
            until, address = next(iter(self._seats.values()))
            if until > now:
                return
            self._seats.popitem(last=False)
            self.end(address)


def _digest(token: str) -> bytes:
    """What a token is known by here, so that nothing in memory tells one."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
