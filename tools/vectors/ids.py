"""Ids: gaps, bitmaps, nil and scopes."""

from __future__ import annotations

from gameprotocol import limits
from tools.vectors.building import chunk, frame, i8, u8, u32, uint_table
from tools.vectors.replicas import play
from tools.vectors.topics import Json, topic


@topic("ids-gaps")
def ids_gaps() -> Json:
    """The shapes that name ids themselves."""
    steps = [
        ("gaps 3, 1, 254: ids 3, 4, 258", frame(1, 0, chunk(0, whole=[[u8(3, 1, 254)], u8(1, 2, 3)]))),
        (
            "wide gaps: 255 says see the second bin",
            frame(2, 1, chunk(0, whole=[[u8(5, 255, 255, 1), u32(255, 1000000)], 9])),
        ),
        ("change by gaps", frame(3, 1, chunk(0, [[u8(4, 255), u32(256)], 0, u8(20, 21)]))),
        ("removal by gaps", frame(4, 1, chunk(0, removed=[u8(3, 1)]))),
        ("the largest id", frame(5, 1, chunk(0, whole=[[u8(255), u32(2 * limits.TABLE_ROWS)], 7]))),
        ("no ids at all", frame(6, 1, chunk(0, [[b""], 0, b""], removed=[b""], whole=[[b""], b""]))),
    ]
    return play("Ids as gaps, one byte each, with 32-bit escapes.", [uint_table(8)], steps)


@topic("ids-bitmap-nil")
def ids_bitmap_nil() -> Json:
    """The shapes that speak of the rows held."""
    ids = [u8(2, 3, 1, 1, 1, 1, 1, 1, 1, 50)]  # 2 5 6 7 8 9 10 11 12 62
    steps = [
        ("ten rows", frame(1, 0, chunk(0, whole=[ids, u8(*range(10))]))),
        (
            "change by bitmap: rows 1, 3 and 10 in the order of their ids",
            frame(2, 1, chunk(0, [u8(5, 2), 0, u8(91, 92, 93)])),
        ),
        ("bits beyond the last row mean nothing", frame(3, 1, chunk(0, [u8(1, 0b11111100), 0, 5]))),
        ("change by nil: all rows held", frame(4, 1, chunk(0, [None, 0, 33]))),
        ("removal by bitmap", frame(5, 1, chunk(0, removed=u8(0b10, 0b10)))),
        (
            "removal, whole rows and changes: bitmap and nil mean the rows left, without the new ones",
            frame(
                6,
                1,
                chunk(
                    0,
                    [u8(0b1000001), 0, u8(70, 71)],
                    [None, 0, [i8(*range(7))]],
                    removed=[u8(2)],
                    whole=[[u8(1, 99)], u8(1, 2)],
                ),
            ),
        ),
        ("nil removes nothing, a full bitmap removes all rows", frame(7, 1, chunk(0), chunk(0, removed=b"\xff\x01"))),
    ]
    return play("Ids as a bitmap over the rows held, and nil for all of them.", [uint_table(8)], steps)


@topic("ids-removed")
def ids_removed() -> Json:
    """Every removal speaks of the rows held before the frame."""
    ids = [u8(2, 3, 1, 1, 1, 1, 1, 1, 1, 50)]  # 2 5 6 7 8 9 10 11 12 62
    steps = [
        ("ten rows", frame(1, 0, chunk(0, whole=[ids, u8(*range(10))]), chunk(1, whole=[[u8(1, 1)], u8(1, 2)]))),
        (
            "two bitmaps for one table, both over the ten rows: the 1st, then the 2nd and the 10th",
            frame(2, 1, chunk(0, removed=u8(0b1, 0)), chunk(0, removed=u8(0b10, 0b10))),
        ),
        (
            "gaps, then a bitmap over the seven rows that were there before",
            frame(3, 1, chunk(0, removed=[u8(6)]), chunk(0, removed=u8(0b1000010))),
        ),
        (
            "a bitmap that removes all of one table and one of another",
            frame(4, 1, chunk(0, removed=u8(0xFF)), chunk(1, removed=u8(0b10))),
        ),
    ]
    return play(
        "Removals: a bitmap is over the rows held before the frame.",
        [uint_table(8), uint_table(8) | {"name": "Other"}],
        steps,
    )


@topic("ids-scope")
def ids_scope() -> Json:
    """A chunk that speaks of some of the rows."""
    ids = [u8(2, 3, 1, 1, 1, 1, 1, 1, 1, 50)]  # 2 5 6 7 8 9 10 11 12 62
    even, odd = [u8(6, 2, 2, 2)], [u8(5, 2, 2, 2)]
    steps = [
        (
            "ten rows; the scope of a chunk without blocks says nothing",
            frame(1, 0, chunk(0, whole=[ids, u8(*range(10))], scope=even)),
        ),
        (
            "nil ids mean all rows of the scope: 6 8 10 12 by one value, 5 7 9 11 by differences",
            frame(2, 1, chunk(0, [None, 0, 40], scope=even), chunk(0, [None, 0, [i8(1, 2, 3, 4)]], scope=odd)),
        ),
        ("a bitmap over the scope: 8 and 12", frame(3, 1, chunk(0, [u8(0b1010), 0, u8(50, 51)], scope=even))),
        ("bits beyond the last row of the scope mean nothing", frame(4, 1, chunk(0, [u8(0xF1), 0, 60], scope=odd))),
        (
            "gaps name rows themselves, in the scope or not",
            frame(5, 1, chunk(0, [[u8(2, 4)], 0, u8(70, 71)], scope=even)),
        ),
        ("a scope with a wide gap", frame(6, 1, chunk(0, [u8(0b10), 0, 80], scope=[u8(2, 255), u32(60)]))),
        ("a scope of no rows", frame(7, 1, chunk(0, [None, 0, b""], [b"", 0, 90], scope=[b""]))),
        (
            "with no rows an integer means nothing, out of its range or not",
            frame(8, 1, chunk(0, [None, 0, 2**64 - 1], scope=[b""])),
        ),
        (
            "several blocks of one scope, and a chunk of all rows behind it",
            frame(9, 1, chunk(0, [None, 0, 90], [u8(1), 0, 91], scope=even), chunk(0, [None, 0, [i8(*range(10))]])),
        ),
        (
            "removals and whole rows are not bound to the scope; the removal's bitmap is over all rows",
            frame(
                10,
                1,
                chunk(0, [u8(0b101), 0, u8(1, 2)], scope=[u8(8, 2, 2)], removed=u8(1, 2), whole=[[u8(99)], 9]),
            ),
        ),
    ]
    return play("Scopes: nil and bitmaps in the blocks of a chunk speak of its scope.", [uint_table(8)], steps)
