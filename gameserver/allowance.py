"""How often a peer may do what costs us something."""

from __future__ import annotations

from typing import Final

#: What rounding may take from one unit: whoever sleeps for as long as it was told must not be told to sleep again, for
#: a time that is too short for the clock to notice.
_ROUNDING: Final = 1e-5


class Allowance:
    """A token bucket: ``burst`` at once, refilled at ``per_second``.

    Args:
        now: the clock's time in seconds at which the bucket is full.
    """

    __slots__ = ("_burst", "_left", "_per_second", "_since")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._left = self._burst
        self._since = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Use ``amount``; False, and nothing is used, when there is not so much left."""
        self._refill(now)
        if self._left < amount - _ROUNDING:
            return False
        self._left -= amount
        return True

    def wait_seconds(self, now: float) -> float:
        """How long until one more can be used; 0 when it can now."""
        self._refill(now)
        return 0.0 if self._left >= 1.0 - _ROUNDING else (1.0 - self._left) / self._per_second

    def is_full(self, now: float) -> bool:
        """Whether it is as if it had never been used."""
        self._refill(now)
        return self._left >= self._burst - _ROUNDING

    def _refill(self, now: float) -> None:
        self._left = min(self._burst, self._left + (now - self._since) * self._per_second)
        self._since = now
