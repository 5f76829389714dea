"""Columns: every shape of every kind of field."""

from __future__ import annotations

import math
import struct
from typing import Any, Final

from tools.vectors.building import X, chunk, field, frame, i8, i16, i32, pack, table, u8, u16, u32, uint_table
from tools.vectors.replicas import play
from tools.vectors.topics import Json, topic

_ALL: Final = [u8(1, 1, 1, 1)]


def column_steps(*columns: tuple[str, Any], field_index: int = 0) -> list[tuple[str, bytes]]:
    """A full frame with the first column, then a delta with each of the others; four rows, ids 1 to 4."""
    note, first = columns[0]
    steps = [(f"whole rows: {note}", frame(1, 0, chunk(0, whole=[_ALL, first])))]
    for tick, (note, column) in enumerate(columns[1:], 2):
        steps.append((f"change: {note}", frame(tick, 1, chunk(0, [None, field_index, column]))))
    return steps


@topic("columns-uint")
def columns_uint() -> Json:
    """Every width, and differences."""
    steps = column_steps(
        ("one byte each", u8(0, 1, 254, 255)),
        ("two bytes each, little-endian", u16(256, 1, 65535, 0)),
        ("four bytes each", u32(65536, 1, 4294967295, 0)),
        ("one integer for all rows", 70000),
        ("differences", [i8(-127, 0, 1, 127)]),
        ("differences, the second row escaped, one byte", [i8(1, -128, -1, 0), u8(9)]),
        ("differences, two rows escaped, two bytes", [i8(-128, 5, -128, 0), u16(40000, 300)]),
        ("differences, three rows escaped, four bytes", [i8(-128, -128, -128, 1), u32(4294967295, 0, 65536)]),
    )
    return play("Unsigned columns: the four absolute shapes and the two of differences.", [uint_table(32)], steps)


@topic("columns-narrow")
def columns_narrow() -> Json:
    """Fewer than eight bits."""
    steps = column_steps(
        ("one byte each although the field has 4 bits", u8(0, 15, 7, 1)),
        ("two bytes each: wider than needed is allowed", u16(15, 0, 1, 2)),
        ("differences are allowed for narrow fields too", [i8(-15, 15, 0, 1)]),
    )
    return play("A field of 4 bits.", [uint_table(4)], steps)


@topic("columns-int")
def columns_int() -> Json:
    """Sign at every width."""
    steps = column_steps(
        ("one signed byte each", i8(-128, -1, 0, 127)),
        ("two signed bytes each", i16(-32768, -129, 128, 32767)),
        ("four signed bytes each", i32(-2147483648, -32769, 32768, 2147483647)),
        ("one negative integer for all rows", -5),
        ("differences", [i8(-127, 0, 1, 127)]),
        ("differences, one row escaped, one signed byte", [i8(-128, 1, 1, 1), i8(-100)]),
        ("differences, one row escaped, two signed bytes", [i8(1, -128, 1, 1), i16(-30000)]),
        ("differences, one row escaped, four signed bytes", [i8(1, 1, -128, 1), i32(-2147483648)]),
    )
    return play("Signed columns.", [table("Thing", field("int", "n", bits=32))], steps)


@topic("columns-angle")
def columns_angle() -> Json:
    """Differences that go round."""
    steps = column_steps(
        ("two bytes each", u16(0, 1, 1022, 1023)),
        ("differences that pass 0 in both directions: modulo 1024", [i8(-1, -2, 2, 1)]),
        ("differences, one row escaped", [i8(127, -128, -127, 0), u16(512)]),
    )
    return play("An angle of 10 bits wraps.", [table("Thing", field("angle", "a", bits=10))], steps)


@topic("columns-bool")
def columns_bool() -> Json:
    """Bits."""
    steps = column_steps(
        ("one bit a row, lowest bit first", u8(0b0101)),
        ("the integer 1 for all rows", 1),
        ("the integer 0 for all rows", 0),
        ("bits beyond the last row mean nothing", u8(0b11111000)),
    )
    nine = [("nine rows take two bytes", frame(5, 0, chunk(0, whole=[[u8(*[1] * 9)], u8(0b10000001, 1)])))]
    return play("Bool columns.", [table("Thing", field("bool", "b"))], steps + nine)


@topic("columns-float32")
def columns_float32() -> Json:
    """Bit patterns."""
    ones = struct.pack("<4f", 0.0, 1.0, -2.5, math.pi)
    steps = column_steps(
        ("four bytes each: the bits, little-endian", ones),
        ("one integer for all rows: the bits of 0.5", 0x3F000000),
        ("the largest and the smallest numbers", struct.pack("<4f", 3.4028234663852886e38, 1e-45, -1e-45, 1e-38)),
        ("two bytes each: tiny bit patterns may be packed narrower", u16(0, 1, 2, 3)),
    )
    return play("Float32 columns never travel as differences.", [table("Thing", field("float32", "f"))], steps)


@topic("columns-fixed")
def columns_fixed() -> Json:
    """Fixed-point of 16 and 32 bits."""
    wide = field("fixed", "y", low=-1000000.0, step=0.001, count=2000000001)
    steps = [
        (
            "x in two bytes, y in four",
            frame(1, 0, chunk(0, whole=[_ALL, u16(0, 16, 32000, 64000), u32(0, 1, 2, 2 * 10**9)])),
        ),
        (
            "both fields in one block: x by differences, y with escapes",
            frame(2, 1, chunk(0, [None, 0, [i8(8, -8, 8, -8)], 1, [i8(-128, 5, 0, -1), u32(10**9)]])),
        ),
        ("x in one byte for two rows", frame(3, 1, chunk(0, [u8(0b0110), 0, u8(7, 8)]))),
    ]
    return play("Fixed-point columns.", [table("Ship", X, wide)], steps)


@topic("columns-objects")
def columns_objects() -> Json:
    """Text, bytes and values."""
    fields = (
        field("text", "name", max_bytes=24),
        field("bytes", "blob", max_bytes=8),
        field("value", "bag", max_bytes=64),
    )
    packed = [pack(item) for item in (None, {"gold": 3}, [1, 2.5, "x"], -7)]
    steps = [
        (
            "one item a row; values travel packed, inside a bin",
            frame(
                1,
                0,
                chunk(
                    0, whole=[_ALL, ["", "Ann", "Zo\u00eb", "\U0001f680"], [b"", b"\0", b"\xff\xfe", b"abc"], packed]
                ),
            ),
        ),
        ("a changed name of row 2", frame(2, 1, chunk(0, [[u8(2)], 0, ["Anna"]]))),
        (
            "a value of row 4 and the bytes of row 1, a block each",
            frame(3, 1, chunk(0, [[u8(4)], 2, [pack({"a": [True, None]})]], [u8(0b0001), 1, [b"\x01\x02"]])),
        ),
    ]
    return play("Text, bytes and packed values.", [table("Thing", *fields)], steps)


@topic("columns-reference-owner")
def columns_reference_owner() -> Json:
    """References to what is there, gone, and not yet there."""
    ship = table("Ship", field("owner", "owner"))
    bullet = table("Bullet", field("reference", "shooter", table=0), field("owner", "owner"))
    steps = [
        (
            "bullets of ships 1 and 300, of nobody, and of a ship that is not held",
            frame(
                1,
                0,
                chunk(1, whole=[_ALL, u16(1, 300, 0, 9), u16(1, 65535, 0, 0)]),
                chunk(0, whole=[[u8(1, 255), u32(299)], u16(1, 65535)]),
            ),
        ),
        (
            "ship 300 is gone; the reference to it is not changed and gives nobody",
            frame(2, 1, chunk(0, removed=[u8(255), u32(300)])),
        ),
        (
            "ship 9 comes into view; a reference by difference",
            frame(3, 1, chunk(1, [[u8(1)], 0, [i8(8)]]), chunk(0, whole=[[u8(9)], 4])),
        ),
    ]
    return play("References and owners. A reference gives nobody while its row is not held.", [ship, bullet], steps)
