"""Frames put together by hand, and the parts of a schema."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgpack


def pack(item: Any) -> bytes:
    packed: bytes = msgpack.packb(item, use_bin_type=True)
    return packed


def frame(tick: int, back: int, *chunks: Any, said: int | None = None, header: list[Any] | None = None) -> bytes:
    """A frame whose header says nothing of inputs unless ``header`` gives its items from the third on."""
    return pack([3, [tick, back, *([0, None, None, None, 2] if header is None else header)], said, *chunks])


def chunk(table_index: int, *blocks: Any, scope: Any = None, removed: Any = None, whole: Any = None) -> list[Any]:
    """A chunk of one table."""
    return [table_index, scope, removed, whole, *blocks]


def u8(*numbers: int) -> bytes:
    return bytes(numbers)


def u16(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}H", *numbers)


def u32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def i8(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}b", *numbers)


def i16(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}h", *numbers)


def i32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def table(name: str, *fields: dict[str, Any], single: bool = False) -> dict[str, Any]:
    return {"name": name, "fields": list(fields), "single": single}


def field(kind: str, name: str, **parameters: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, **parameters}


def uint_table(bits: int) -> dict[str, Any]:
    """A table of one unsigned column, which many vectors do with."""
    return table("Thing", field("uint", "n", bits=bits))


X: Final = field("fixed", "x", low=0.0, step=0.0625, count=64001)
