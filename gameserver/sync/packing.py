"""Packing: the chunks of one table for many groups of players at once.

`chunks.delta_chunk` makes one chunk as small as can be. Here there may be a thousand of them in a tick, so every step
is one numpy call for all, and what is left to Python is cutting bytes out of long ones. The shapes are chosen for the
whole table, not for each group: a column's width is that of the largest value in the table, and rows are named by a
bitmap over the rows held unless nearly every row has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        self._differences: dict[tuple[int, int], tuple[NDArray[np.int8], bool] | None] = {}

    def chunks(self, moves: Moves, baseline: int) -> list[bytes]:
        """For each group its chunk, empty when it needs none.

        Args:
            moves: what becomes of the rows that each group held at ``baseline``.
            baseline: a published tick, at most `limits.HISTORY_TICKS` before the last one; 0 for nobody holds anything.
        """
        heads = _Heads(self._table.index)
        kept = moves.kept
        chunks, sparse = self._blocks(kept, baseline, heads) if len(kept.ids) else ([b""] * (len(kept.offsets) - 1), {})
        removed, whole = self._removed(moves), self._whole(moves.entered)
        for group in removed.keys() | whole.keys() | sparse.keys():
            dense, others = chunks[group][heads.bytes :], sparse.get(group, ())
            head = heads[len(others) + 1 if dense else len(others)]
            parts = (head, removed.get(group, _NIL), whole.get(group, _NIL), dense, *others)
            chunks[group] = b"".join(parts)
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

    def _blocks(self, kept: GroupedIds, baseline: int, heads: _Heads) -> tuple[list[bytes], dict[int, list[bytes]]]:
        """For each group a chunk of what changed in most rows; and of some groups the blocks that it needs besides."""
        dense, sparse = self._changed_fields(baseline)
        groups = len(kept.offsets) - 1
        chunks = self._block(heads[1] + _NIL + _NIL, kept, None, dense, baseline) if dense else [b""] * groups
        blocks: dict[int, list[bytes]] = {}
        ranks = self._table.ranks()[kept.ids] if sparse else None
        for mask, fields in sparse:
            changed = mask[ranks]
            if changed.any():
                for group, block in self._sparse_block(kept, changed, fields, baseline):
                    blocks.setdefault(group, []).append(block)
        return chunks, blocks

    def _changed_fields(self, baseline: int) -> tuple[list[int], list[tuple[NDArray[np.bool_], list[int]]]]:
        """Fields that changed in most rows, which are sent for all; and the others, with a mask over the table's ids.

        A value that did not change costs a byte or two, but a further block for each group costs as much for its names,
        and more of the server's time.
        """
        table = self._table
        dense: list[int] = []
        sparse = []
        for mask, fields in changed_blocks(table, table.ids, baseline):
            most = 2 * int(np.count_nonzero(mask)) >= len(mask)
            if most and not table.kinds[fields[0]].is_object:
                dense += fields
            else:
                sparse.append((mask, fields))
        return sorted(dense), sparse

    def _sparse_block(
        self, kept: GroupedIds, changed: NDArray[np.bool_], fields: list[int], baseline: int
    ) -> Iterable[tuple[int, bytes]]:
        """The groups in which some rows changed, and for each the block of those rows."""
        rows = kept.chosen(changed)
        having = np.flatnonzero(rows.counts)
        if len(having) < len(kept.offsets) - 1:  # as a rule most groups have none
            changed = changed[np.repeat(rows.counts > 0, kept.counts)]
            kept, rows = kept.select(having), rows.select(having)
        names = Segment.bits((), changed, kept.offsets)
        return zip(having.tolist(), self._block(b"", rows, names, fields, baseline), strict=True)

    def _block(
        self, before: bytes, rows: GroupedIds, names: Segment | None, fields: list[int], baseline: int
    ) -> list[bytes]:
        """For each group ``before`` and one block; empty for a group without rows."""
        head, present = before + _array(1 + 2 * len(fields)), rows.counts > 0
        segments = []
        if names is not None:
            segments.append(names)
        else:
            head += _NIL
        if self._table.kinds[fields[0]].is_object:
            starts = scatter(head, segments, present)
            return [start + column for start, column in zip(starts, self._objects(fields[0], rows), strict=True)]
        for i in fields:
            segments += self._segments(i, rows, baseline)
        return scatter(head, segments, present)

    def _objects(self, i: int, rows: GroupedIds) -> list[bytes]:
        """For each group the index and the column of a field of objects; empty for a group without rows."""
        index, store = _encode(i), self._table.objects[i]
        objects = [store[id] for id in rows.ids.tolist()]
        return [
            index + _encode(objects[start:end]) if end > start else b""
            for start, end in pairwise(rows.offsets.tolist())
        ]

    def _segments(self, i: int, rows: GroupedIds, baseline: int) -> list[Segment]:
        """The index and the column of one field of numbers."""
        index = tuple(_encode(i))
        if isinstance(self._table.kinds[i], kinds.Bool):
            return [Segment.bits(index, self._table.integers[i][rows.ids] != 0, rows.offsets)]
        if (packed := self._difference(i, baseline)) is None:
            return [Segment(index, self._absolute(i)[rows.ids], rows.counts)]
        small, has_escapes = packed[0][rows.ids], packed[1]
        if not has_escapes:
            return [Segment((*index, _ARRAY_OF_1), small, rows.counts)]
        large = rows.chosen(small == _ESCAPE)
        shape = np.where(large.counts > 0, _ARRAY_OF_2, _ARRAY_OF_1).astype(np.uint8)
        return [
            Segment((*index, shape), small, rows.counts),
            Segment((), self._absolute(i)[large.ids], large.counts, optional=True),
        ]

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

    def _difference(self, i: int, baseline: int) -> tuple[NDArray[np.int8], bool] | None:
        """Differences to ``baseline`` by id as signed bytes, and whether some are escapes.

        None when they are not known, or absolute integers are no larger.
        """
        if (i, baseline) not in self._differences:
            self._differences[i, baseline] = self._make_difference(i, baseline)
        return self._differences[i, baseline]

    def _make_difference(self, i: int, baseline: int) -> tuple[NDArray[np.int8], bool] | None:
        table = self._table
        kind = table.kinds[i]
        differences = table.differences(baseline, self._previous_tick)
        if differences is None or not kind.takes_differences or kind.highest - kind.lowest < 256:
            return None
        held = table.ids[table.spawned_tick[table.ids] <= baseline]
        difference = differences(i, held)
        if kind.modulus:
            half = kind.modulus >> 1
            difference = ((difference + half) & (kind.modulus - 1)) - half
        large = (difference <= _ESCAPE) | (difference > 127)
        escapes = int(np.count_nonzero(large))
        if escapes * 2 > len(held):
            return None
        difference[large] = _ESCAPE
        small = np.zeros(len(table.spawned_tick), np.int8)
        small[held] = difference
        return small, escapes > 0


class _Heads(dict[int, bytes]):
    """How a chunk of one table begins, by its number of blocks: array, table, and nil for the scope.

    Attributes:
        bytes: length of what stands in front of the blocks of a chunk with at most 11 of them, and nothing else.
    """

    def __init__(self, index: int) -> None:
        super().__init__()
        self._rest = _encode(index) + _NIL
        self.bytes = 1 + len(self._rest) + 2 * len(_NIL)

    def __missing__(self, blocks: int) -> bytes:
        head = self[blocks] = _array(4 + blocks) + self._rest
        return head


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


def _array(items: int) -> bytes:
    return bytes((0x90 | items,)) if items < 16 else b"\xdc" + items.to_bytes(2, "big")
