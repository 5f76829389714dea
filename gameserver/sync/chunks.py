"""Chunks: the changes of one table since a baseline, packed once and shared by all players who need them.

SPEC.md, section "Chunk": ``[table, scope, removed ids, whole rows, block, ...]``. These are the chunks of tables that
everyone sees, and of players who are sent a choice of their own; `packing` makes those of many groups at once.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from gameprotocol import _columns as columns
from gameprotocol import _fields as kinds
from gameserver.world.publish import Differences, IntColumn, PublishedTable

_Mask: TypeAlias = NDArray[np.bool_]
_encode = msgspec.msgpack.Encoder().encode


def full_chunk(table: PublishedTable) -> bytes | None:
    """All rows whole, for a receiver that holds nothing; None when there are none."""
    if not len(table.ids):
        return None
    return _encode([table.index, None, None, pack_whole(table, table.ids)])


def delta_chunk(table: PublishedTable, baseline: int, previous_tick: int) -> bytes | None:
    """What a receiver needs that holds the table as of ``baseline``; None when nothing changed.

    Args:
        baseline: a published tick, at most `limits.HISTORY_TICKS` before the last one.
        previous_tick: the published tick before the last one: its integers are always known.
    """
    removed = table.removed_since(baseline)
    held, whole = table.ids, None
    if table.spawn_tick > baseline:
        new = table.spawned_tick[held] > baseline
        if new.any():
            whole = pack_whole(table, held[new])
            held = held[~new]
    blocks = []
    if len(held):
        differences = table.differences(baseline, previous_tick)
        for mask, fields in changed_blocks(table, held, baseline):
            blocks.append(pack_block(table, held, mask, fields, differences))
    if whole is None and not blocks and not len(removed):
        return None
    return _encode([table.index, None, columns.pack_ids(removed) if len(removed) else None, whole, *blocks])


def pack_whole(table: PublishedTable, ids: IntColumn) -> list[Any]:
    """Whole rows; at least one."""
    return [columns.pack_ids(ids), *(_column(table, i, ids) for i in range(len(table.kinds)))]


def _column(table: PublishedTable, i: int, ids: IntColumn) -> Any:
    kind = table.kinds[i]
    if kind.is_object:
        store = table.objects[i]
        return [store[id] for id in ids.tolist()]
    return columns.pack_column(kind, table.integers[i][ids])


def changed_blocks(table: PublishedTable, held: IntColumn, baseline: int | IntColumn) -> list[tuple[_Mask, list[int]]]:
    """Which rows changed in which fields, those with the same (or nearly the same) rows in one block.

    Args:
        held: rows that the receiver holds and that are still there, ascending.
        baseline: since when; one tick, or one for each of ``held``.
    Returns:
        For each block a mask over ``held`` and the fields.
    """
    groups: list[tuple[_Mask, list[int]]] = []
    oldest = baseline if isinstance(baseline, int) else int(baseline.min(initial=1 << 62))
    for i, changed_tick in enumerate(table.field_changed_tick):
        if changed_tick <= oldest:
            continue
        mask = table.changed_tick[i][held] > baseline
        if mask.any():
            _add_to_group(groups, mask, i, table.kinds)
    return groups


def _add_to_group(
    groups: list[tuple[_Mask, list[int]]], mask: _Mask, i: int, table_kinds: tuple[kinds.FieldKind, ...]
) -> None:
    """Join a field to a block with nearly the same rows: some values too many cost less than naming rows again."""
    if not table_kinds[i].is_object:
        count = int(np.count_nonzero(mask))
        for at, (other, fields) in enumerate(groups):
            if table_kinds[fields[0]].is_object:
                continue
            union = mask | other
            joined, other_count = int(np.count_nonzero(union)), int(np.count_nonzero(other))
            too_many = (joined - other_count) * len(fields) + joined - count
            naming = 2 + (0 if count == len(mask) else min(count, len(mask) // 8))
            if too_many <= naming:
                groups[at] = (union, [*fields, i])
                return
    groups.append((mask, [i]))


def pack_block(
    table: PublishedTable, held: IntColumn, mask: _Mask, fields: list[int], differences: Differences | None
) -> list[Any]:
    """Some fields of those rows of ``held`` for which ``mask`` is true; at least one.

    Args:
        differences: to what the receiver holds, None when that is not known.
    """
    count = int(np.count_nonzero(mask))
    if count == len(held):
        ids, named = held, None
    else:
        ids = held[mask]
        named = columns.pack_ids(ids) if count < len(held) // 8 else columns.pack_bitmap(mask)
    block: list[Any] = [named]
    for i in fields:
        kind = table.kinds[i]
        block.append(i)
        if differences is not None and kind.takes_differences:
            block.append(columns.pack_differences(kind, table.integers[i][ids], differences(i, ids)))
        else:
            block.append(_column(table, i, ids))
    return block
