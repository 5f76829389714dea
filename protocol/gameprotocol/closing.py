"""Why a connection ends: WebSocket close codes, this protocol's own from 4000 up, and the error that carries one."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

from gameprotocol import limits


class CloseCode(IntEnum):
    """The close codes that Tickwire sends (RFC 6455, 7.4, and its own from 4000 up)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED = 1003
    UNDECODABLE = 1007
    POLICY = 1008
    TOO_BIG = 1009
    ROOM_FAILED = 1011
    RESTART = 1012
    TRY_LATER = 1013
    HELLO_EXPECTED = 4001
    HELLO_TIMEOUT = 4002
    NOT_ADMITTED = 4003
    UNKNOWN_ROOM = 4004
    WRONG_VERSION = 4005
    BAD_INPUT = 4006
    TOO_SLOW = 4008
    ROOM_FULL = 4010
    ROOM_LOCKED = 4011
    WRONG_PASSWORD = 4012
    SEAT_GONE = 4013
    SEAT_TAKEN = 4014
    BAD_JOIN = 4015


_RECONNECT: Final = re.compile(r"reconnect in ([0-9]{1,6}(?:\.[0-9]{1,3})?) s$")


def reason_with_reconnect(why: str, seconds: float) -> str:
    """The reason of a Close with `CloseCode.RESTART` or `CloseCode.TRY_LATER`: it says when to come back."""
    return f"{why}; reconnect in {seconds:.1f} s"


def reconnect_seconds(code: int, reason: str) -> float | None:
    """When a closed client should come back, as the server says; None when it says nothing about it."""
    found = _RECONNECT.search(reason) if code in (CloseCode.RESTART, CloseCode.TRY_LATER) else None
    return float(found[1]) if found is not None else None


class ProtocolError(Exception):
    """The peer broke the protocol; it costs that peer its connection and nothing else.

    Attributes:
        code: the close code to answer with.
        reason: one short sentence for the Close frame, cut to ``limits.CLOSE_REASON_BYTES`` bytes of UTF-8.
    """

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(f"{reason} ({int(code)})")
        self.code = code
        self.reason = reason


def close_reason_bytes(reason: str) -> bytes:
    """``reason`` as UTF-8, cut at a character so that it fits a Close frame."""
    return reason.encode("utf-8", "replace")[: limits.CLOSE_REASON_BYTES].decode("utf-8", "ignore").encode()
