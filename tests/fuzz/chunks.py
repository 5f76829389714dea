"""What several targets share: cutting a stream of bytes, and looking at a refusal."""

from __future__ import annotations

import random
import zlib
from typing import Any

from gameprotocol import CloseCode, ProtocolError
from gameprotocol.closing import close_reason_bytes


def cuttings(data: bytes) -> list[list[bytes]]:
    """The same bytes whole, in pieces whose lengths follow from the bytes alone, and one by one when they are few."""
    chance = random.Random(zlib.crc32(data))
    pieces, rest = [], data
    while rest:
        size = chance.choice((1, 2, 3, 7, 40, 500))
        pieces.append(rest[:size])
        rest = rest[size:]
    found = [[data], pieces]
    return found if len(data) > 600 else [*found, [data[at : at + 1] for at in range(len(data))]]


def check_refusal(error: ProtocolError, *codes: int) -> None:
    """A refusal has one of ``codes``, and a reason that fits a Close frame."""
    assert type(error.code) is CloseCode
    assert error.code in codes, f"refused with {error.code!r}"
    assert isinstance(error.reason, str)
    assert len(close_reason_bytes(error.reason)) <= 123


def deepest(value: Any) -> int:
    """How many arrays and maps are inside each other; without recursion."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, (list, dict))]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth
