"""Finds peers that are gone although no packet said so: half-open connections, dead proxies, stopped programs.

One task looks at all links of a server once a second. It counts looks, not time: when the process itself stood still
for a while, nobody was silent.
"""

from __future__ import annotations

import math
from typing import Final

import trio

from gameserver.net.link import Link

_LOOK_SECONDS: Final = 1.0
#: A silent peer is pinged so often before it is given up; more than once, for a ping or its pong may be stuck in a
#: burst of loss for a second or two.
_PINGS: Final = 2


class Keepalive:
    """The links of a server, and how long each has been silent.

    Args:
        dead_seconds: a peer that was silent for so long, although it was pinged, is gone. At least 3.

    Attributes:
        links: those that are watched; add them after their hello, remove them when they are over.
        given_up: how many were given up.
    """

    def __init__(self, dead_seconds: float) -> None:
        self.links: dict[Link, None] = {}
        self.given_up = 0
        self._dead_looks = max(_PINGS + 1, math.floor(dead_seconds / _LOOK_SECONDS))
        self._ping_looks = max(1, self._dead_looks // (_PINGS + 1))

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            await trio.sleep(_LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Ping those that have been silent for a while, give up those that did not answer."""
        for link in list(self.links):
            link.silence += 1
            if link.silence >= self._dead_looks:
                self.given_up += 1
                link.give_up("nothing was heard of it")
            elif link.silence % self._ping_looks == 0:
                link.ping()
