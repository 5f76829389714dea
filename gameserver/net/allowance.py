"""How often a peer may do what costs us something."""

from __future__ import annotations


class Allowance:
    """A token bucket: ``burst`` at once, refilled at ``per_second``.

    Args:
        now: the clock's time in seconds at which the bucket is full.
    """

    __slots__ = ("_burst", "_left", "_per_second", "_since")

    def __init__(self, burst: int, per_second: float, now: float) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._left = self._burst
        self._since = now

    def take(self, now: float) -> bool:
        """Use one; False when there is none left."""
        self._left = min(self._burst, self._left + (now - self._since) * self._per_second)
        self._since = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
