"""Frames that must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack

from gameprotocol import limits
from tools.vectors.building import chunk, field, frame, i8, pack, table, u8, u16, u32
from tools.vectors.topics import Json, topic


@topic("refused-frames")
def refused_frames() -> Json:
    """Malformed frames."""
    tables = [
        table("Thing", field("uint", "n", bits=16), field("bool", "b")),
        table("Note", field("text", "t", max_bytes=8), field("float32", "f")),
        table("Gun", field("angle", "a", bits=10), field("int", "i", bits=8)),
    ]
    before = frame(
        1,
        0,
        chunk(0, whole=[[u8(1, 1, 1)], u16(1, 256, 65535), u8(5)]),
        chunk(1, whole=[[u8(1)], ["a"], 0]),
        chunk(2, whole=[[u8(1)], 1000, -100]),
    )
    cases = [{"note": note, "reason": why, "message": message.hex()} for why, note, message in _refused()]
    return {
        "description": "Malformed frames, each for a new replica that has applied `before`. All must be refused.",
        "suite": "refused",
        "schema": {"tables": tables, "input": None},
        "before": before.hex(),
        "cases": cases,
    }


def _refused() -> Iterator[tuple[str, str, bytes]]:
    def change(*block: Any, table_index: int = 0) -> bytes:
        return frame(2, 1, chunk(table_index, list(block)))

    def whole(*items: Any, table_index: int = 0) -> bytes:
        return frame(2, 1, chunk(table_index, whole=list(items)))

    whole_frame = change(None, 0, 5)
    yield "msgpack", "cut off", whole_frame[:-1]
    yield "msgpack", "bytes behind the message", whole_frame + b"\0"
    yield "msgpack", "an extension type", change(None, 0, msgpack.ExtType(1, b"x"))
    yield "msgpack", "an array longer than the message", b"\xdd\xff\xff\xff\xff\x03"
    yield "msgpack", "text that is not UTF-8", b"\x93\x03\xa1\xff\xc0"
    yield "header", "no header", pack([3])
    yield "header", "a header of two items", pack([3, [2, 1], None])
    yield "header", "a negative tick", pack([3, [-2, 1, 0], None])
    yield "header", "back of 65536", pack([3, [65537, 65536, 0], None])
    yield "header", "a negative window", frame(2, 1, header=[0, None, None, None, -1])
    yield "header", "a window of 65536", frame(2, 1, header=[0, None, None, None, 65536])
    yield "header", "a window that is nil", frame(2, 1, header=[0, None, None, None, None])
    yield "header", "a tick that is a float", pack([3, [2.5, 1, 0], None])
    yield "header", "no hash item", pack([3, [2, 1, 0]])
    yield "header", "a hash of 33 bits", frame(2, 1, said=1 << 32)
    yield "chunk", "a chunk that is a number", frame(2, 1, 7)
    yield "chunk", "a chunk that is a map", frame(2, 1, {"a": 1})
    yield "chunk", "a chunk that is text", frame(2, 1, "abcd")
    yield "chunk", "an empty chunk", frame(2, 1, [])
    yield "chunk", "a chunk of three items", frame(2, 1, [0, None, None])
    yield "chunk", "a chunk that begins with nil", frame(2, 1, [None, None, None, None])
    yield "chunk", "a chunk that begins with -1.0", frame(2, 1, [-1.0, None, None, None])
    yield "chunk", "a table that the schema does not have", frame(2, 1, chunk(3))
    yield "chunk", "a table that is text", frame(2, 1, ["Thing", None, None])
    yield "chunk", "whole rows with a column too few", whole([u8(9)], 1)
    yield "chunk", "whole rows with a column too many", whole([u8(9)], 1, 1, 1)
    yield "chunk", "whole rows that are nil inside an array", whole(None)
    yield "chunk", "whole rows that are a number", frame(2, 1, chunk(0, whole=5))
    yield "chunk", "whole rows that are a map", frame(2, 1, chunk(0, whole={}))
    yield "chunk", "a block without ids", change()
    yield "chunk", "a block that is a map", frame(2, 1, chunk(0, {"a": 1}))
    yield "chunk", "a block that is nil", frame(2, 1, chunk(0, None))
    yield "chunk", "a block that begins with -1.0", change(-1.0, 0, 1)
    yield "chunk", "a block that ends behind a field index", change(None, 0)
    yield "chunk", "a field that the table does not have", change(None, 2, 1)
    yield "chunk", "a negative field", change(None, -1, 1)
    yield "ids", "ids that are a number", change(5, 0, 1)
    yield "ids", "ids of no bin", change([], 0, 1)
    yield "ids", "ids of three bins", change([u8(1), b"", b""], 0, 1)
    yield "ids", "a gap of 0", change([u8(1, 0)], 0, 1)
    yield "ids", "a wide gap of 0", change([u8(255), u32(0)], 0, 1)
    yield "ids", "an escape without a wide gap", change([u8(255)], 0, 1)
    yield "ids", "a wide gap without an escape", change([u8(1), u32(300)], 0, 1)
    yield "ids", "wide gaps of 3 bytes", change([u8(255), b"\1\0\0"], 0, 1)
    yield "ids", "a bitmap too long", change(u8(1, 0), 0, 1)
    yield "ids", "a bitmap too short", change(b"", 0, 1)
    yield "ids", "whole rows by a bitmap", whole(u8(0b111), 1, 1)
    yield "ids", "a scope that is a number", frame(2, 1, chunk(0, scope=5))
    yield "ids", "a scope that is a bitmap", frame(2, 1, chunk(0, [None, 0, 1], scope=u8(0b111)))
    yield "ids", "a scope with a gap of 0", frame(2, 1, chunk(0, [None, 0, 1], scope=[u8(1, 0)]))
    yield "ids", "a bitmap over all rows in a scope of nine", frame(2, 1, chunk(0, [u8(1), 0, 1], scope=[u8(*[1] * 9)]))
    yield "ids", "a second bin that is empty, without an escape", frame(2, 1, chunk(0, removed=[u8(1), b""]))
    yield "ids", "whole rows of all rows held", whole(None, 1, 0)
    yield "ids", "whole rows by bitmap", whole(b"", 1, 0)
    yield "ids", "a scope by bitmap", frame(2, 1, chunk(0, [None, 0, 1], scope=b""))
    yield "block", "a block that names a field without a column", frame(2, 1, chunk(0, [None, 0]))
    yield "block", "a block without a pair", frame(2, 1, chunk(0, [None]))
    yield "ids", "an id beyond the largest", whole([u8(255), u32(2 * limits.TABLE_ROWS + 1)], 1, 0)
    yield "held", "change of a row that is not held", change([u8(4)], 0, 1)
    yield (
        "held",
        "change by nil of a scope with a row that is not held",
        frame(2, 1, chunk(0, [None, 0, 1], scope=[u8(1, 3)])),
    )
    yield (
        "held",
        "change by nil of a scope with a row that the frame removes",
        frame(2, 1, chunk(0, [None, 0, 1], scope=[u8(1, 1)], removed=[u8(2)])),
    )
    yield (
        "held",
        "a second removal by bitmap over the rows held before the frame",
        frame(2, 1, chunk(0, removed=[u8(1)]), chunk(0, removed=u8(1))),
    )
    yield "held", "a scope with a row that is not held, and no block", frame(2, 1, chunk(0, scope=[u8(1, 3)]))
    yield "held", "a block of ids alone that are not held", change([u8(9)])
    yield "held", "removal of a row that is not held", frame(2, 1, chunk(0, removed=[u8(4)]))
    yield "held", "removal in a full frame: nothing is held then", frame(2, 0, chunk(0, removed=[u8(1)]))
    yield "held", "the same row removed twice", frame(2, 1, chunk(0, removed=[u8(1)]), chunk(0, removed=[u8(1)]))
    yield "held", "change of a row that the frame removes", frame(2, 1, chunk(0, [[u8(1)], 0, 1], removed=[u8(1)]))
    yield "column", "nil", change(None, 0, None)
    yield "column", "true", change(None, 0, True)
    yield "column", "a float", change(None, 0, 1.5)
    yield "column", "text", change(None, 0, "abc")
    yield "column", "three bytes a row", change(None, 0, b"\0" * 9)
    yield "column", "eight bytes a row", change(None, 0, b"\0" * 24)
    yield "column", "a byte too few", change(None, 0, u8(1, 2))
    yield "column", "differences for two of three rows", change(None, 0, [i8(1, 1)])
    yield "column", "an escape without a second bin", change(None, 0, [i8(-128, 1, 1)])
    yield "column", "an escape and an empty second bin", change(None, 0, [i8(-128, 1, 1), b""])
    yield "column", "a second bin that is empty, without an escape", change(None, 0, [i8(1, 1, 1), b""])
    yield "column", "a value without its escape", change(None, 0, [i8(1, 1, 1), u8(1)])
    yield "column", "an array of numbers", change(None, 0, [1, 2, 3])
    yield "column", "differences of bools", change(None, 1, [i8(1, 1, 1)])
    yield "column", "two bytes of bits for three rows", change(None, 1, u8(1, 0))
    yield "column", "differences of floats", change(None, 1, [i8(1)], table_index=1)
    yield "column", "a bin for texts", change(None, 0, b"abc", table_index=1)
    yield "column", "two texts for one row", change(None, 0, ["a", "b"], table_index=1)
    yield "column", "bytes in place of text", change(None, 0, [b"a"], table_index=1)
    yield "range", "65536 in 16 bits", change(None, 0, 65536)
    yield "range", "a negative integer", change(None, 0, -1)
    yield "range", "a difference that leads below 0", change([u8(1)], 0, [i8(-2)])
    yield "range", "a difference that leads above 65535", change([u8(3)], 0, [i8(1)])
    yield "range", "2 as a bool", change(None, 1, 2)
    yield "range", "an angle of 2^bits", change(None, 0, 1024, table_index=2)
    yield "range", "an escaped angle of 2^bits: only sums wrap", change(None, 0, [i8(-128), u16(1024)], table_index=2)
    yield "range", "the largest integer of msgpack", change(None, 0, 2**64 - 1)
    yield "range", "the smallest integer of msgpack", change(None, 1, -(2**63), table_index=2)
    yield "range", "the largest signed integer of msgpack", change(None, 1, 2**63 - 1, table_index=2)
    yield "range", "128 in a signed field of 8 bits", change(None, 1, 128, table_index=2)
    yield "range", "a difference that leads below -128", change(None, 1, [i8(-29)], table_index=2)
