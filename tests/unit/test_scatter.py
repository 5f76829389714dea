"""Scatter: what numpy writes for all strings at once is what joining them one by one gives."""

from __future__ import annotations

import random
import struct
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver.sync.scatter import Segment, scatter
from tests.support.examples import examples

DTYPES: tuple[Any, ...] = (np.uint8, np.int8, np.dtype("<u2"), np.dtype("<i4"))
#: How the head of a msgpack bin is written, by the length of the longest of its kind.
BIN_HEADS = ((1 << 8, b"\xc4", ">B"), (1 << 16, b"\xc5", ">H"), (1 << 32, b"\xc6", ">I"))


class Piece:
    """One piece of all strings: what stands before its bin for all and for each, and the rows of each string."""

    def __init__(self, shared: list[int], own: list[int] | None, rows: list[Any], optional: bool) -> None:
        self.shared, self.own, self.rows, self.optional = shared, own, rows, optional

    def segment(self) -> Segment:
        own = () if self.own is None else (np.array(self.own, np.uint8),)
        data = np.concatenate([*self.rows, np.empty(0, self.rows[0].dtype)] if self.rows else [np.empty(0, np.uint8)])
        counts = np.array([len(rows) for rows in self.rows], np.int64)
        return Segment((*self.shared, *own), data, counts, self.optional)

    def plain(self, at: int) -> bytes:
        """That of one string, by hand."""
        data: bytes = self.rows[at].tobytes()
        if self.optional and not data:
            return b""
        longest = max(len(rows.tobytes()) for rows in self.rows)
        code, form = next((code, form) for limit, code, form in BIN_HEADS if longest < limit)
        own = () if self.own is None else (self.own[at],)
        return bytes((*self.shared, *own)) + code + struct.pack(form, len(data)) + data


def check(head: bytes, pieces: list[Piece], present: list[bool]) -> list[bytes]:
    made = scatter(head, [piece.segment() for piece in pieces], np.array(present, np.bool_))
    assert made == [
        head + b"".join(piece.plain(at) for piece in pieces) if there else b"" for at, there in enumerate(present)
    ]
    return made


@st.composite
def pieces(draw: st.DrawFn, present: list[bool]) -> Piece:
    """Strings that are not there have no rows."""
    dtype, most = draw(st.sampled_from(DTYPES)), draw(st.sampled_from([3, 3, 300]))
    sizes = [draw(st.integers(0, most)) if there else 0 for there in present]
    rows = [np.arange(at, at + size).astype(dtype) for at, size in enumerate(sizes)]
    bytes_ = st.integers(0, 255)
    return Piece(draw(st.lists(bytes_, max_size=3)), [draw(bytes_) for _ in present], rows, draw(st.booleans()))


@examples(200)
@given(st.data(), st.lists(st.booleans(), max_size=8), st.binary(max_size=4))
def test_it_is_what_joining_gives(data: st.DataObject, present: list[bool], head: bytes) -> None:
    check(head, [data.draw(pieces(present)) for _ in range(data.draw(st.integers(0, 4)))], present)


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("longest", [0, 1, 255, 256, 65535, 65536])
def test_strings_are_msgpack_at_the_ends_of_all_widths(longest: int, optional: bool) -> None:
    rows = [np.ones(size, np.uint8) for size in (longest, 0, min(3, longest), 0)]
    arrays = [0x92 if len(part) or not optional else 0x91 for part in rows]
    first = Piece([], arrays, [np.array([at], np.uint8) for at in range(4)], False)
    made = check(b"", [first, Piece([], None, rows, optional)], [True] * 4)
    assert [msgpack.unpackb(string) for string in made] == [
        [bytes((at,)), part.tobytes()][: array & 3] for at, (array, part) in enumerate(zip(arrays, rows, strict=True))
    ]


@examples(100)
@given(st.lists(st.lists(st.booleans(), max_size=20), max_size=6))
def test_bits_begin_anew_with_each_string(bits: list[list[bool]]) -> None:
    offsets = np.cumsum([0, *map(len, bits)], dtype=np.int64)
    chosen = np.array([bit for string in bits for bit in string], np.bool_)
    present = np.diff(offsets) > 0
    made = scatter(b"", [Segment.bits((0x91,), chosen, offsets)], present)
    for string, expected in zip(made, bits, strict=True):
        if not expected:
            assert string == b""
            continue
        [packed] = msgpack.unpackb(string)
        assert len(packed) == (len(expected) + 7) // 8
        assert int.from_bytes(packed, "little") == sum(1 << at for at, bit in enumerate(expected) if bit)


def test_nothing_gives_nothing() -> None:
    assert check(b"head", [], []) == []
    assert check(b"head", [], [True, False]) == [b"head", b""]
    assert check(b"", [], [True]) == [b""]


def test_a_thousand_strings() -> None:
    chance = random.Random(4)
    present = [chance.random() < 0.8 for _ in range(1000)]
    rows = [np.arange(chance.randrange(60) if there else 0, dtype=np.uint8) for there in present]
    own = [chance.randrange(256) for _ in present]
    check(b"ab", [Piece([1], own, rows, False), Piece([], own, rows, True)], present)
