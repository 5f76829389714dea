"""How a server takes connections in: its door, its limits, its certificate, and the pace at which it accepts."""

from __future__ import annotations

import trio

from gameserver.allowance import Allowance
from gameserver.net.bounds import ACCEPT_BURST_SECONDS, REFUSALS_PER_SECOND
from gameserver.net.door import Door, Visitor
from gameserver.net.keepalive import Keepalive
from gameserver.net.limits import Limits
from gameserver.net.tls import Tls


class Entrance:
    """What all connections of one server share; made inside trio.

    Args:
        limits: what may come in.
        door: decides who may; None for one without rules of its own.
        tls: encrypts what is accepted; None for plain connections.

    Attributes:
        keepalive: watches links after their hello.
        turnstile: held by who computes something long while joining, so that many at once do not delay a tick.
        lingering: refused connections that are being told why.
    """

    def __init__(self, limits: Limits, door: Door | None = None, tls: Tls | None = None) -> None:
        now = trio.current_time()
        rate = limits.connects_per_second
        self.limits = limits
        self.door = door or Door(limits, most_connections=limits.most_connections())
        self.tls = tls
        self.keepalive = Keepalive(limits.dead_seconds)
        self.turnstile = trio.Lock()
        self.lingering = 0
        self._emptied = trio.Event()
        self._arrivals = Allowance(max(1.0, rate * ACCEPT_BURST_SECONDS), rate, now)
        self._refusals = Allowance(REFUSALS_PER_SECOND * ACCEPT_BURST_SECONDS, REFUSALS_PER_SECOND, now)

    def wait_seconds(self) -> float:
        """How long until one more connection may be accepted; 0 when it may now."""
        now = trio.current_time()
        return max(self._arrivals.wait_seconds(now), self._refusals.wait_seconds(now))

    def count(self, *, refused: bool) -> None:
        """A connection was accepted, and perhaps turned away."""
        (self._refusals if refused else self._arrivals).take(trio.current_time())

    def leave(self, visitor: Visitor) -> None:
        """A connection that entered by the door is over."""
        self.door.leave(visitor)
        if not self.door.connections:
            self._emptied.set()

    async def until_empty(self) -> None:
        """Wait until no connection is left."""
        while self.door.connections:
            if self._emptied.is_set():  # otherwise somebody waits for it already
                self._emptied = trio.Event()
            await self._emptied.wait()
