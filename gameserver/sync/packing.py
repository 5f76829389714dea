"""Packing: the chunks of one table for many groups of players at once.

`chunks.delta_chunk` makes one chunk as small as can be. Here there may be a thousand of them in a tick, so every step
is one numpy call for all, and what is left to Python is cutting bytes out of long ones. The shapes are chosen for the
whole table, not for each group: a column's width is that of the largest value in the table, and rows are named by a
bitmap over the rows held unless nearly every row has changed.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from gameprotocol import _columns as columns
from gameprotocol import _fields as kinds
from gameserver.sync.chunks import changed_blocks
from gameserver.sync.groups import GroupedIds, Moves
from gameserver.world.publish import PublishedTable

_encode: Final = msgspec.msgpack.Encoder().encode
_NIL: Final = b"\xc0"
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
        offsets, held = moves.left.offsets, moves.then.counts
        for group in np.flatnonzero(np.diff(offsets)).tolist():
            start, end = int(offsets[group]), int(offsets[group + 1])
            bitmap_bytes = (int(held[group]) + 7) // 8
            gaps = columns.pack_ids(moves.left.ids[start:end])
            if len(gaps) == 1 and len(gaps[0]) <= bitmap_bytes:
                packed[group] = _encode(gaps)
                continue
            bits = 0
            for place in moves.left_places[start:end].tolist():
                bits |= 1 << place
            packed[group] = _encode(bits.to_bytes(bitmap_bytes, "little"))
        return packed

    def _whole(self, entered: GroupedIds) -> dict[int, bytes]:
        packed: dict[int, bytes] = {}
        if not len(entered.ids):
            return packed
        table, ids = self._table, entered.ids
        values: list[list[Any]] = []
        raw: list[tuple[bytes, int] | None] = []  # bytes and width; None for objects and bits
        for i, kind in enumerate(table.kinds):
            if kind.is_object:
                store = table.objects[i]
                values.append([store[id] for id in ids.tolist()])
                raw.append(None)
                continue
            values.append(table.integers[i][ids].tolist())
            absolute = self._absolute(i)
            raw.append(None if isinstance(kind, kinds.Bool) else (absolute[ids].tobytes(), absolute.itemsize))
        offsets = entered.offsets.tolist()
        for group in np.flatnonzero(entered.counts).tolist():
            start, end = offsets[group], offsets[group + 1]
            packed[group] = _encode([columns.pack_ids(ids[start:end]), *self._columns(values, raw, start, end)])
        return packed

    def _columns(self, values: list[list[Any]], raw: list[tuple[bytes, int] | None], start: int, end: int) -> list[Any]:
        packed: list[Any] = []
        for kind, column, bytes_ in zip(self._table.kinds, values, raw, strict=True):
            if kind.is_object:
                packed.append(column[start:end])
            elif end - start == 1:
                packed.append(column[start])
            elif bytes_ is None:
                packed.append(columns.pack_column(kind, np.array(column[start:end], np.int64)))
            else:
                data, width = bytes_
                packed.append(data[start * width : end * width])
        return packed

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
                    made.append(self._block(kept.chosen(changed), _bitmaps(changed, kept), fields, exact))
        return made

    def _block(self, rows: GroupedIds, names: list[bytes] | None, fields: list[int], exact: bool) -> list[bytes]:
        head = _array(1 + 2 * len(fields))
        offsets = rows.offsets.tolist()
        parts = [self._field(i, rows, offsets, exact) for i in fields]
        if names is None:
            head += _NIL
            if len(parts) == 3:  # position and heading: what moves
                return [head + a + b + c if a else b"" for a, b, c in zip(*parts, strict=True)]
            return [head + b"".join(fields_) if fields_[0] else b"" for fields_ in zip(*parts, strict=True)]
        return [
            head + name + b"".join(fields_) if fields_[0] else b"" for name, *fields_ in zip(names, *parts, strict=True)
        ]

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
