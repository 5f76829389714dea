"""Scatter: many small byte strings of the same build, written side by side into one array.

A thousand groups of players need a thousand blocks that differ in their lengths and data, not in their build. Cutting
and joining them one by one is a Python operation for each piece; here each piece is written for all groups by one numpy
call, and a group's block is a single cut at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gameprotocol._fields import IntColumn

Bytes: TypeAlias = NDArray[np.uint8]


_BIN_8, _BIN_16, _BIN_32 = 0xC4, 0xC5, 0xC6  # msgpack


class Segment:
    """One piece of each string: some bytes, and a bin of data.

    Args:
        head: bytes in front of the bin; each is the same for all, or an array with one for each string.
        data: one item for each row of all strings, one string's behind the other's; of any dtype.
        counts: rows of each string, int64.
        optional: whether strings without rows leave the piece out.
    """

    __slots__ = ("data", "head", "length_bytes", "lengths", "optional")

    def __init__(
        self, head: Sequence[int | Bytes], data: NDArray[Any], counts: IntColumn, optional: bool = False
    ) -> None:
        self.lengths = counts * data.itemsize
        self.data: Bytes = data.view(np.uint8)
        self.optional = optional
        longest = int(self.lengths.max(initial=0))
        self.length_bytes = 1 if longest < 1 << 8 else 2 if longest < 1 << 16 else 4
        self.head = (*head, {1: _BIN_8, 2: _BIN_16, 4: _BIN_32}[self.length_bytes])

    @classmethod
    def bits(cls, head: Sequence[int | Bytes], chosen: NDArray[np.bool_], offsets: IntColumn) -> Segment:
        """A piece with one bit for each row, the lowest bit of a string's first byte for its first row.

        Args:
            chosen: one for each row of all strings.
            offsets: one more than there are strings: where each one's rows begin.
        """
        counts = np.diff(offsets)
        widths = (counts + 7) >> 3
        starts = widths.cumsum() - widths
        bits = np.zeros(8 * int(widths.sum()), np.bool_)
        bits[np.repeat(8 * starts - offsets[:-1], counts) + np.arange(len(chosen))] = chosen
        return cls(head, np.packbits(bits, bitorder="little"), widths)


def scatter(head: bytes, segments: Sequence[Segment], present: NDArray[np.bool_]) -> list[bytes]:
    """Write all strings.

    Args:
        head: what each begins with.
        segments: its pieces, in order.
        present: one for each string; where it is false the string is empty.
    """
    sizes = np.where(present, len(head), 0)
    for segment in segments:
        own = len(segment.head) + segment.length_bytes + segment.lengths
        sizes += np.where(segment.lengths > 0, own, 0) if segment.optional else np.where(present, own, 0)
    ends = sizes.cumsum()
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    chosen = np.flatnonzero(present)
    at = (ends - sizes)[chosen]
    for byte in head:
        out[at] = byte
        at += 1
    for segment in segments:
        if segment.optional:
            having = segment.lengths[chosen] > 0
            at[having] = _write(out, at[having], segment, chosen[having])
        else:
            at = _write(out, at, segment, chosen)
    raw = out.tobytes()
    cuts = [0, *ends.tolist()]
    return [raw[start:end] for start, end in pairwise(cuts)]


def _write(out: Bytes, at: IntColumn, segment: Segment, chosen: IntColumn) -> IntColumn:
    """Write one piece of the chosen strings, each at its place; where the next piece begins."""
    lengths = segment.lengths[chosen]
    for byte in segment.head:
        out[at] = byte[chosen] if isinstance(byte, np.ndarray) else byte
        at = at + 1
    for shift in range(8 * (segment.length_bytes - 1), -1, -8):
        out[at] = lengths >> shift & 0xFF
        at = at + 1
    before = lengths.cumsum() - lengths
    out[np.repeat(at - before, lengths) + np.arange(len(segment.data))] = segment.data
    return at + lengths
