"""How fast connections that are kept are read again, in all and of each address. Pure.

The door counts connections, so the second request of one and those behind it are counted here. Nobody is refused for
loading a page with many parts: each request waits for its turn before it is read, which costs next to nothing, and so
a crowd that asks in the same moment delays no tick.
"""

from __future__ import annotations

from typing import Final

#: Requests of one address: a page with a few hundred parts comes at once, then so many a second.
ADDRESS_BURST: Final = 400.0
ADDRESS_PER_SECOND: Final = 200.0
#: Of all. A request takes about 0.3 ms: a burst is 15 ms, and the rate a sixth of a core.
BURST: Final = 50.0
PER_SECOND: Final = 500.0
#: Whoever would wait for longer than this is sent away, in seconds.
LONGEST_WAIT_SECONDS: Final = 5.0
#: Addresses that are remembered before those that would be as new are looked for.
_REMEMBERED: Final = 1024


class Turns:
    """A queue of turns, as a number: each next one is ``1 / per_second`` later, and ``burst`` of them come at once.

    Args:
        now: the clock's time in seconds.
    """

    __slots__ = ("_burst_seconds", "_next", "_seconds")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self._seconds = 1.0 / per_second
        self._burst_seconds = (burst - 1.0) * self._seconds
        self._next = now - self._burst_seconds

    def wait_seconds(self, now: float) -> float:
        """How long the next one to come would wait."""
        return max(0.0, self._next - now)

    def take(self, now: float) -> None:
        """Somebody takes the next turn."""
        self._next = max(self._next, now - self._burst_seconds) + self._seconds

    def is_new(self, now: float) -> bool:
        """Whether it is as if no turn had been taken."""
        return self._next <= now - self._burst_seconds


class Pace:
    """When each request has its turn. Time is in seconds of the caller's clock."""

    def __init__(self, now: float) -> None:
        self._all = Turns(BURST, PER_SECOND, now)
        self._each: dict[str, Turns] = {}
        self._forget_at = _REMEMBERED

    def take(self, address: str | None, now: float) -> float | None:
        """Take a turn.

        Args:
            address: as the door counts the visitor; None for one without a limit of its own.
        Returns:
            How long to wait for it, in seconds; None when it is too long, and no turn was taken.
        """
        own = None if address is None else self._turns(address, now)
        wait = max(self._all.wait_seconds(now), 0.0 if own is None else own.wait_seconds(now))
        if wait > LONGEST_WAIT_SECONDS:
            return None
        self._all.take(now)
        if own is not None:
            own.take(now)
        return wait

    def _turns(self, address: str, now: float) -> Turns:
        turns = self._each.get(address)
        if turns is None:
            if len(self._each) >= self._forget_at:
                self._each = {name: each for name, each in self._each.items() if not each.is_new(now)}
                self._forget_at = max(_REMEMBERED, 2 * len(self._each))
            turns = self._each[address] = Turns(ADDRESS_BURST, ADDRESS_PER_SECOND, now)
        return turns
