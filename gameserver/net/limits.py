"""What a server lets in, and how much of it: the limits that its operator may set, with their defaults and reasons."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import Final

#: Descriptors that are kept for the rest of the process: listeners, pollers, files, answers to those who are refused.
_KEPT_DESCRIPTORS: Final = 128
#: Where the system says nothing (Windows).
_USUAL_DESCRIPTORS: Final = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of a server; each is a number above 0.

    Attributes:
        connections: at once, in all; 0 for as many as the process may have descriptors, less 128. Who comes beyond
            it is answered 503.
        connections_per_address: at once; a school or a mobile network may share one address. Beyond it: 429.
        rooms: at once; who would have one more made is answered 1013.
        connects_per_second: in all. Those beyond it wait in the kernel, so that joining never delays a tick.
        connects_per_second_per_address: with bursts of three times as many, so that a reload of a page with a few
            players on it is none. Beyond it: 429.
        messages_per_second: of one player, besides one in each tick. Inputs beyond it are dropped and counted; three
            times as many, or twice as many other messages, close the link with 1008.
        bytes_per_second: of one player's messages; the same, and half as many again close the link.
        hello_seconds: from accepting a connection to its hello, TLS included.
        authenticate_seconds: what your ``authenticate`` may take.
        dead_seconds: a peer of which nothing was heard for so long, although it was pinged, is gone.
    """

    connections: int = 0
    connections_per_address: int = 100
    rooms: int = 20_000
    connects_per_second: float = 250.0
    connects_per_second_per_address: float = 20.0
    messages_per_second: float = 120.0
    bytes_per_second: float = 16_384.0
    hello_seconds: float = 5.0
    authenticate_seconds: float = 5.0
    dead_seconds: float = 15.0

    def __post_init__(self) -> None:
        """ValueError names the limit that is wrong."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise ValueError(f"{field.name} = {value!r}: give a number, and never infinity")
            if value == 0 and field.name != "connections":
                raise ValueError(f"{field.name} = 0 would let nobody in: give a number above 0")

    def most_connections(self) -> int:
        """``connections``, or what the process may have."""
        return self.connections or max(1, descriptor_limit() - _KEPT_DESCRIPTORS)


def descriptor_limit() -> int:
    """How many descriptors the process may have open."""
    if sys.platform == "win32":
        return _USUAL_DESCRIPTORS
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
