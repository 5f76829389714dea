"""Packing: the chunks of one table for many groups of players at once.

`chunks.delta_chunk` makes one chunk as small as can be. Here there may be a thousand of them in a tick, so every step
is one numpy call for all, and what is left to Python is cutting bytes out of long ones. The shapes are chosen for the
whole table, not for each group: a column's width is that of the largest value in the table, and rows are named by a
bitmap over the rows held unless nearly every row has changed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from gameprotocol import _columns as columns
from gameprotocol import _fields as kinds
from gameserver.sync.chunks import changed_blocks
from gameserver.sync.groups import GroupedIds, Moves
from gameserver.sync.scatter import Segment, scatter
from gameserver.world.publish import PublishedTable

_encode: Final = msgspec.msgpack.Encoder().encode
_NIL: Final = b"\xc0"
_ARRAY_OF_1: Final = 0x91
_ARRAY_OF_2: Final = 0x92
_BIN: Final = 0xC4  # of up to 255 bytes
_LAST_SMALL_INT: Final = 127
_ESCAPE: Final = -128


class TablePacker:
    """Makes chunks of one table in one tick; arrays that several baselines need are made once.

    Args:
        table: after its publish.
        previous_tick: the published tick before the last one: a receiver at it is sent small differences.
    """

    def __init__(self, table: PublishedTable, previous_tick: int) -> None:
        self._table = table
        self._previous_tick = previous_tick
        self._absolutes: dict[int, NDArray[Any]] = {}
        self._differences: dict[int, tuple[NDArray[np.int8], bool] | None] = {}

    def chunks(self, moves: Moves, baseline: int) -> list[bytes]:
        """For each group its chunk, empty when it needs none.

        Args:
            moves: what becomes of the rows that each group held at ``baseline``.
            baseline: a published tick, at most `limits.HISTORY_TICKS` before the last one; 0 for nobody holds anything.
        """
        removed = self._removed(moves)
        whole = self._whole(moves.entered)
        blocks = self._blocks(moves.kept, baseline) if len(moves.kept.ids) else []
        return self._joined(len(moves.kept.offsets) - 1, removed, whole, blocks)

    def _joined(
        self, groups: int, removed: dict[int, bytes], whole: dict[int, bytes], blocks: list[list[bytes]]
    ) -> list[bytes]:
        table = _encode(self._table.index)
        heads = [_array(4 + count) + table + _NIL for count in range(len(blocks) + 1)]
        nothing_else = [head + _NIL + _NIL for head in heads]
        if not blocks:
            bodies, counts = [b""] * groups, [0] * groups
        elif len(blocks) == 1:
            bodies, counts = blocks[0], [1 if block else 0 for block in blocks[0]]
        else:
            bodies = [b"".join(parts) for parts in zip(*blocks, strict=True)]
            counts = [len(parts) - parts.count(b"") for parts in zip(*blocks, strict=True)]
        chunks = [nothing_else[count] + body if body else b"" for body, count in zip(bodies, counts, strict=True)]
        for group in removed.keys() | whole.keys():
            parts = removed.get(group, _NIL), whole.get(group, _NIL), bodies[group]
            chunks[group] = heads[counts[group]] + b"".join(parts)
        return chunks

    # -- rows that come and go

    def _removed(self, moves: Moves) -> dict[int, bytes]:
        packed: dict[int, bytes] = {}
        if not len(moves.left.ids):
            return packed
        offsets = moves.left.offsets.tolist()
        held, places, gaps = moves.then.counts.tolist(), moves.left_places.tolist(), _Gaps(moves.left)
        for group in np.flatnonzero(moves.left.counts).tolist():
            start, end = offsets[group], offsets[group + 1]
            bitmap_bytes = (held[group] + 7) // 8
            if end - start <= bitmap_bytes and len(as_gaps := gaps.of(start, end)) == 1:
                packed[group] = _encode(as_gaps)
                continue
            bits = 0
            for place in places[start:end]:
                bits |= 1 << place
            packed[group] = _encode(bits.to_bytes(bitmap_bytes, "little"))
        return packed

    def _whole(self, entered: GroupedIds) -> dict[int, bytes]:
        packed: dict[int, bytes] = {}
        if not len(entered.ids):
            return packed
        made = [self._whole_column(i, entered.ids) for i in range(len(self._table.kinds))]
        singles = list(zip(*(single for single, _ in made), strict=True))
        cuts = [cut for _, cut in made]
        offsets, gaps = entered.offsets.tolist(), _Gaps(entered)
        for group in np.flatnonzero(entered.counts).tolist():
            start, end = offsets[group], offsets[group + 1]
            if end - start == 1:  # as a rule; an integer that all rows have is smaller than a column of one
                packed[group] = _encode([gaps.of(start, end), *singles[start]])
            else:
                packed[group] = _encode([gaps.of(start, end), *[cut(start, end) for cut in cuts]])
        return packed

    def _whole_column(self, i: int, ids: NDArray[np.int64]) -> tuple[list[Any], Callable[[int, int], Any]]:
        """For each row the column of one field that would hold it alone; and what makes that of several rows."""
        kind = self._table.kinds[i]
        if kind.is_object:
            store = self._table.objects[i]
            objects = [store[id] for id in ids.tolist()]
            return [[item] for item in objects], lambda start, end: objects[start:end]
        values = self._table.integers[i][ids]
        if isinstance(kind, kinds.Bool):
            bits = values != 0
            return values.tolist(), lambda start, end: columns.pack_bitmap(bits[start:end])
        absolute = self._absolute(i)
        raw, width = absolute[ids].tobytes(), absolute.itemsize
        return values.tolist(), lambda start, end: raw[start * width : end * width]

    # -- rows that stay

    def _blocks(self, kept: GroupedIds, baseline: int) -> list[list[bytes]]:
        exact = baseline == self._previous_tick
        made = []
        for mask, fields in changed_blocks(self._table, self._table.ids, baseline):
            unchanged = len(mask) - int(np.count_nonzero(mask))
            if unchanged * 8 * len(fields) <= len(mask):  # a byte for a row that did not change costs less than its bit
                made.append(self._block(kept, None, fields, exact))
            else:
                changed = mask[self._table.ranks()[kept.ids]]
                if changed.any():
                    made.append(self._sparse_block(kept, changed, fields, exact))
        return made

    def _sparse_block(
        self, kept: GroupedIds, changed: NDArray[np.bool_], fields: list[int], exact: bool
    ) -> list[bytes]:
        """For each group one block of those rows that changed; empty for a group without."""
        rows = kept.chosen(changed)
        blocks = [b""] * (len(kept.offsets) - 1)
        having = np.flatnonzero(rows.counts)
        if len(having) < len(blocks):  # as a rule most groups have none
            of_those = np.repeat(rows.counts > 0, kept.counts)
            kept, changed, rows = kept.select(having), changed[of_those], rows.select(having)
        made = self._block(rows, _bitmaps(changed, kept), fields, exact)
        for group, block in zip(having.tolist(), made, strict=True):
            blocks[group] = block
        return blocks

    def _block(self, rows: GroupedIds, names: list[bytes] | None, fields: list[int], exact: bool) -> list[bytes]:
        """For each group one block; empty for a group without rows."""
        head = _array(1 + 2 * len(fields))
        if names is None and (segments := self._segments(rows, fields, exact)) is not None:
            return scatter(head + _NIL, segments, rows.counts > 0)
        offsets = rows.offsets.tolist()
        parts = [self._field(i, rows, offsets, exact) for i in fields]
        if names is None:
            names = [_NIL] * len(parts[0])
        return [
            head + name + b"".join(columns_) if columns_[0] else b""
            for name, *columns_ in zip(names, *parts, strict=True)
        ]

    def _segments(self, rows: GroupedIds, fields: list[int], exact: bool) -> list[Segment] | None:
        """The columns of all groups as segments to scatter; None when one has no fixed width, or is too long."""
        counts = rows.counts
        segments: list[Segment] = []
        for i in fields:
            kind = self._table.kinds[i]
            if kind.is_object or isinstance(kind, kinds.Bool) or i > _LAST_SMALL_INT:
                return None
            if exact and (packed := self._difference(i)) is not None:
                small, has_escapes = packed[0][rows.ids], packed[1]
                if not has_escapes:
                    segments.append(Segment((i, _ARRAY_OF_1, _BIN), counts, small.view(np.uint8)))
                    continue
                large = rows.chosen(small == _ESCAPE)
                shape = np.where(large.counts > 0, _ARRAY_OF_2, _ARRAY_OF_1).astype(np.uint8)
                segments.append(Segment((i, shape, _BIN), counts, small.view(np.uint8)))
                rest = self._absolute(i)[large.ids]
                segments.append(Segment((_BIN,), large.counts * rest.itemsize, rest.view(np.uint8), optional=True))
            else:
                values = self._absolute(i)[rows.ids]
                segments.append(Segment((i, _BIN), counts * values.itemsize, values.view(np.uint8)))
        longest = max(int(segment.lengths.max(initial=0)) for segment in segments)
        return segments if longest < 256 else None

    def _field(self, i: int, rows: GroupedIds, offsets: list[int], exact: bool) -> list[bytes]:
        """For each group the field's index and its packed column; empty for a group without rows."""
        kind, index = self._table.kinds[i], _encode(i)
        if kind.is_object:
            store = self._table.objects[i]
            objects = [store[id] for id in rows.ids.tolist()]
            return [index + _encode(objects[start:end]) if end > start else b"" for start, end in pairwise(offsets)]
        if isinstance(kind, kinds.Bool):
            return [index + bits if bits else b"" for bits in _bitmaps(self._table.integers[i][rows.ids] != 0, rows)]
        if exact and (packed := self._difference(i)) is not None:
            small, has_escapes = packed
            if has_escapes:
                return self._escaped(index, small[rows.ids], self._absolute(i), rows)
            return _cut(small[rows.ids].tobytes(), 1, offsets, index + b"\x91")
        absolute = self._absolute(i)
        return _cut(absolute[rows.ids].tobytes(), absolute.itemsize, offsets, index)

    def _escaped(self, index: bytes, small: NDArray[np.int8], absolute: NDArray[Any], rows: GroupedIds) -> list[bytes]:
        escaped = small == _ESCAPE
        large = rows.chosen(escaped)
        offsets = rows.offsets.tolist()
        plain = _cut(small.tobytes(), 1, offsets, index + b"\x91")
        with_escapes = _cut(small.tobytes(), 1, offsets, index + b"\x92")
        tails = _cut(absolute[large.ids].tobytes(), absolute.itemsize, large.offsets.tolist(), b"")
        return [two + tail if tail else one for one, two, tail in zip(plain, with_escapes, tails, strict=True)]

    def _absolute(self, i: int) -> NDArray[Any]:
        """All integers of a field by id, in the narrowest type that holds those of the whole table."""
        made = self._absolutes.get(i)
        if made is None:
            table = self._table
            integers = table.integers[i]
            there = integers[table.ids]
            made = integers.astype(columns.column_dtype(table.kinds[i], int(there.min()), int(there.max())))
            self._absolutes[i] = made
        return made

    def _difference(self, i: int) -> tuple[NDArray[np.int8], bool] | None:
        """Differences to the previous tick by id as signed bytes, and whether some are escapes; None when absolute
        integers are no larger.
        """
        if i not in self._differences:
            self._differences[i] = self._make_difference(i)
        return self._differences[i]

    def _make_difference(self, i: int) -> tuple[NDArray[np.int8], bool] | None:
        table = self._table
        kind = table.kinds[i]
        if not kind.takes_differences or kind.highest - kind.lowest < 256:
            return None
        last = table.field_changed_tick[i]
        difference = np.where(table.changed_tick[i] == last, table.difference[i], 0)
        if kind.modulus:
            half = kind.modulus >> 1
            difference = ((difference + half) & (kind.modulus - 1)) - half
        large = (difference <= _ESCAPE) | (difference > 127)
        escapes = int(np.count_nonzero(large[table.ids]))
        if escapes * 2 > len(table.ids):
            return None
        difference[large] = _ESCAPE
        return difference.astype(np.int8), escapes > 0


class _Gaps:
    """Ids of all groups as gaps (`columns.pack_ids` for a thousand lists at once)."""

    def __init__(self, rows: GroupedIds) -> None:
        gaps = np.diff(rows.ids, prepend=0)
        firsts = rows.offsets[:-1][rows.counts > 0]
        gaps[firsts] = rows.ids[firsts]
        large = gaps >= columns.GAP_ESCAPE
        self._small = np.where(large, columns.GAP_ESCAPE, gaps).astype(np.uint8).tobytes()
        self._large = gaps[large].astype("<u4").tobytes()
        self._large_before = [0, *large.cumsum().tolist()]

    def of(self, start: int, end: int) -> list[bytes]:
        """Those of the rows from ``start`` to ``end``, which are a group's."""
        first, behind = self._large_before[start], self._large_before[end]
        small = self._small[start:end]
        return [small] if first == behind else [small, self._large[4 * first : 4 * behind]]


def _bitmaps(chosen: NDArray[np.bool_], rows: GroupedIds) -> list[bytes]:
    """For each group a bin with one bit for each of its rows; empty for a group without rows."""
    counts = rows.counts
    widths = (counts + 7) >> 3
    byte_offsets = np.concatenate((np.zeros(1, np.int64), widths.cumsum()))
    bits = np.zeros(int(byte_offsets[-1]) * 8, np.bool_)
    at = np.repeat(byte_offsets[:-1] * 8 - rows.offsets[:-1], counts) + np.arange(len(chosen))
    bits[at] = chosen
    return _cut(np.packbits(bits, bitorder="little").tobytes(), 1, byte_offsets.tolist(), b"")


def _cut(data: bytes, width: int, offsets: list[int], before: bytes) -> list[bytes]:
    """For each group a bin with its part of ``data``, behind ``before``; empty for a group without rows.

    Args:
        data: ``width`` bytes for each row.
        offsets: one more than there are groups: in rows.
    """
    short = _bin_heads(before)
    pieces = []
    start = offsets[0] * width
    for offset in offsets[1:]:
        end = offset * width
        size = end - start
        if not size:
            pieces.append(b"")
        elif size < 256:
            pieces.append(short[size] + data[start:end])
        else:
            pieces.append(before + _long_bin_head(size) + data[start:end])
        start = end
    return pieces


_SHORT_HEADS: Final[dict[bytes, list[bytes]]] = {}


def _bin_heads(before: bytes) -> list[bytes]:
    """``before`` and the head of a bin, for each length below 256."""
    heads = _SHORT_HEADS.get(before)
    if heads is None:
        heads = _SHORT_HEADS[before] = [before + bytes((0xC4, size)) for size in range(256)]
    return heads


def _long_bin_head(size: int) -> bytes:
    return struct.pack(">BH", 0xC5, size) if size < 1 << 16 else struct.pack(">BI", 0xC6, size)


def _array(items: int) -> bytes:
    return bytes((0x90 | items,)) if items < 16 else b"\xdc" + items.to_bytes(2, "big")
