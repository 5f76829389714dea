"""Scatter: many small byte strings of the same build, written side by side into one array.

A thousand groups of players need a thousand blocks that differ in their lengths and data, not in their build. Cutting
and joining them one by one is a Python operation for each piece; here each piece is written for all groups by one numpy
call, and a group's block is a single cut at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

IntColumn: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.uint8]


class Segment:
    """One piece of each string: some bytes of its own, a length byte, and data.

    Args:
        head: bytes in front of the length; each is the same for all, or an array with one for each string.
        lengths: of the data, int64, one for each string, 0 to 255.
        data: uint8, of all strings one behind the other.
        optional: whether strings without data leave the piece out.
    """

    __slots__ = ("data", "head", "lengths", "optional")

    def __init__(self, head: Sequence[int | Bytes], lengths: IntColumn, data: Bytes, optional: bool = False) -> None:
        self.head = head
        self.lengths = lengths
        self.data = data
        self.optional = optional


def scatter(head: bytes, segments: Sequence[Segment], present: NDArray[np.bool_]) -> list[bytes]:
    """Write all strings.

    Args:
        head: what each begins with.
        segments: its pieces, in order.
        present: one for each string; where it is false the string is empty.
    """
    sizes = np.where(present, len(head), 0)
    for segment in segments:
        own = len(segment.head) + 1 + segment.lengths
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
    out[at] = lengths
    at = at + 1
    before = lengths.cumsum() - lengths
    out[np.repeat(at - before, lengths) + np.arange(len(segment.data))] = segment.data
    return at + lengths
