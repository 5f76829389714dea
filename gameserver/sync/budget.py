"""Budgets: what a player with a cap on its bytes is sent first.

Such a player does not hold everything as of one tick: each of its rows has been written as of a tick of its own. In
each frame the rows that wait are ordered by how long they have waited and how near they are (a priority accumulator, as
in Fiedler's "State Synchronization", 2015, and in Unity's Netcode for Entities), and as many as fit are sent. Its own
entities and the room's state always are, and so are removals: they are small, and what is gone must not stay.

This is numpy for one player at a time, some 0.2 ms a frame, and nothing is shared: for those who asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from gameprotocol import _columns as columns
from gameprotocol._fields import IntColumn
from gameprotocol._hashing import row_hashes
from gameserver.sync.chunks import changed_blocks, pack_block, pack_whole
from gameserver.world.publish import PublishedTable

_encode: Final = msgspec.msgpack.Encoder().encode
#: A chunk's own bytes: its array, table, nils, and the heads of one block.
_CHUNK_BYTES: Final = 12
#: What naming a row costs, about.
_NAME_BYTES: Final = 1
#: What a column of a whole row costs besides its data, about.
_COLUMN_BYTES: Final = 1


@dataclass(frozen=True, slots=True)
class HeldRows:
    """What one player holds of one table.

    Attributes:
        ids: ascending, int64.
        ticks: for each the tick as of which it was written, int64.
        hashes: of the rows as they were written, uint32.
        waiting: ids, ascending, of rows that it may see and has not been sent yet.
        waiting_since: for each of those the tick, int64.
    """

    ids: IntColumn
    ticks: IntColumn
    hashes: NDArray[np.uint32]
    waiting: IntColumn
    waiting_since: IntColumn


@dataclass(frozen=True, slots=True)
class BudgetedHolding:
    """What one player with a budget holds, by the table's index."""

    tables: dict[int, HeldRows]

    def hash(self) -> int:
        """Desync hash of all of it."""
        return sum(int(rows.hashes.sum(dtype=np.uint64)) for rows in self.tables.values()) & 0xFFFFFFFF


_NOTHING: Final = HeldRows(
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.int64)
)


@dataclass(slots=True)
class Sighted:
    """A table and what the player may see of it now.

    Attributes:
        ids: ascending, int64.
        always: which of them are sent whatever the budget, bool.
        nearness: for each a factor above 0 and up to 1, or None for 1.
    """

    table: PublishedTable
    ids: IntColumn
    always: NDArray[np.bool_]
    nearness: NDArray[np.float64] | None


@dataclass(slots=True)
class _Plan:
    """What could be sent of one table."""

    sighted: Sighted
    held: HeldRows
    removed: IntColumn
    kept: IntColumn  # rows held that are still seen; `kept_ticks` beside it
    kept_ticks: IntColumn
    kept_hashes: NDArray[np.uint32]
    entered: IntColumn
    entered_since: IntColumn
    chosen_kept: NDArray[np.bool_]
    chosen_entered: NDArray[np.bool_]


def choose_and_pack(
    seen: Sequence[Sighted], holding: BudgetedHolding | None, tick: int, budget_bytes: int
) -> tuple[list[bytes], BudgetedHolding]:
    """Make the chunks of one player's frame.

    Args:
        seen: what the player may see now, all tables.
        holding: what it holds; None for nothing, which makes the chunks of a full frame.
        tick: the last published one.
        budget_bytes: how long the chunks should be together at most. Rows are weighed by an estimate, and what is
            always sent may alone exceed it.
    Returns:
        The chunks, and what the player holds when it has been written them.
    """
    plans = [_plan(sighted, holding, tick) for sighted in seen]
    _choose(plans, tick, budget_bytes)
    _keep_companions_with_mains(plans)
    chunks, held = [], {}
    for plan in plans:
        chunk = _pack(plan)
        if chunk:
            chunks.append(chunk)
        held[plan.sighted.table.index] = _held_after(plan, tick)
    return chunks, BudgetedHolding(held)


def _plan(sighted: Sighted, holding: BudgetedHolding | None, tick: int) -> _Plan:
    held = _NOTHING if holding is None else holding.tables.get(sighted.table.index, _NOTHING)
    stays = np.isin(held.ids, sighted.ids, assume_unique=True)
    entered = np.setdiff1d(sighted.ids, held.ids, assume_unique=True)
    since = np.full(len(entered), tick, np.int64)
    if len(held.waiting):
        at = np.minimum(np.searchsorted(held.waiting, entered), len(held.waiting) - 1)
        since = np.where(held.waiting[at] == entered, held.waiting_since[at], tick)
    return _Plan(
        sighted,
        held,
        removed=held.ids[~stays],
        kept=held.ids[stays],
        kept_ticks=held.ticks[stays],
        kept_hashes=held.hashes[stays],
        entered=entered,
        entered_since=since,
        chosen_kept=np.zeros(int(np.count_nonzero(stays)), np.bool_),
        chosen_entered=np.zeros(len(entered), np.bool_),
    )


def _choose(plans: Sequence[_Plan], tick: int, budget_bytes: int) -> None:
    """Mark the rows that are sent: those that must be, then by priority while they fit."""
    costs, priorities = [], []
    left = budget_bytes
    for plan in plans:
        always = _by_id(plan, plan.sighted.always)
        left -= len(plan.removed)
        for ids, since, cost, chosen in (
            (plan.kept, plan.kept_ticks, _change_costs(plan), plan.chosen_kept),
            (plan.entered, plan.entered_since, _whole_costs(plan), plan.chosen_entered),
        ):
            must = always(ids) & (cost > 0)
            chosen |= must
            left -= int(cost[must].sum())
            nearness = 1.0 if plan.sighted.nearness is None else _by_id(plan, plan.sighted.nearness)(ids)
            priorities.append(np.where((cost > 0) & ~must, (tick - since + 1) * nearness, 0.0))
            costs.append(cost)
        if len(plan.removed) or any(cost.any() for cost in costs[-2:]):
            left -= _CHUNK_BYTES
    priority, cost = np.concatenate(priorities), np.concatenate(costs)
    order = np.argsort(-priority, kind="stable")
    order = order[priority[order] > 0]
    fits = np.zeros(len(priority), np.bool_)
    fits[order[cost[order].cumsum() <= left]] = True
    fits[order[:1]] = True  # what alone is too large goes too, and is paid for afterwards: otherwise it never would
    start = 0
    for plan in plans:
        for chosen in (plan.chosen_kept, plan.chosen_entered):
            chosen |= fits[start : start + len(chosen)]
            start += len(chosen)


def _keep_companions_with_mains(plans: Sequence[_Plan]) -> None:
    """A row of a companion may come only where the row of its main table is held."""
    by_index = {plan.sighted.table.index: plan for plan in plans}
    for plan in plans:
        if plan.sighted.table.of is not None and plan.chosen_entered.any():
            main = by_index[plan.sighted.table.of]
            held = np.concatenate((main.kept, main.entered[main.chosen_entered]))
            plan.chosen_entered &= np.isin(plan.entered, held)


def _by_id(plan: _Plan, values: NDArray[Any]) -> Any:
    """A function from ids that are seen to their values."""
    return lambda ids: values[np.searchsorted(plan.sighted.ids, ids)]


def _change_costs(plan: _Plan) -> IntColumn:
    """For each row kept about how many bytes its changes take; 0 for none."""
    table, ids = plan.sighted.table, plan.kept
    cost = np.zeros(len(ids), np.int64)
    for i in range(len(table.kinds)):
        cost += np.where(table.changed_tick[i][ids] > plan.kept_ticks, _widths(table, i, ids), 0)
    return np.where(cost > 0, cost + _NAME_BYTES, 0)


def _whole_costs(plan: _Plan) -> IntColumn:
    """For each row that entered about how many bytes all of it takes."""
    table, ids = plan.sighted.table, plan.entered
    cost = np.full(len(ids), _NAME_BYTES, np.int64)
    for i in range(len(table.kinds)):
        cost += _widths(table, i, ids) + _COLUMN_BYTES
    return cost


def _widths(table: PublishedTable, i: int, ids: IntColumn) -> IntColumn | int:
    kind = table.kinds[i]
    if kind.is_object:
        store = table.objects[i]
        return np.array([_bytes(store[id]) + 1 for id in ids.tolist()], np.int64)
    return columns.column_dtype(kind, kind.lowest, kind.highest).itemsize


def _bytes(given: str | bytes) -> int:
    return len(given) if isinstance(given, bytes) or given.isascii() else len(given.encode())


def _pack(plan: _Plan) -> bytes:
    table = plan.sighted.table
    whole = pack_whole(table, plan.entered[plan.chosen_entered]) if plan.chosen_entered.any() else None
    blocks = []
    if plan.chosen_kept.any():
        for mask, fields in changed_blocks(table, plan.kept, plan.kept_ticks):
            chosen = mask & plan.chosen_kept
            if chosen.any():
                blocks.append(pack_block(table, plan.kept, chosen, fields, None))
    if whole is None and not blocks and not len(plan.removed):
        return b""
    return _encode([table.index, None, columns.pack_ids(plan.removed) if len(plan.removed) else None, whole, *blocks])


def _held_after(plan: _Plan, tick: int) -> HeldRows:
    table = plan.sighted.table
    new = plan.entered[plan.chosen_entered]
    written = np.concatenate((plan.kept[plan.chosen_kept], new))
    fresh = row_hashes(table.index, written, (column[written] for column in table.integers))
    hashes = plan.kept_hashes.copy()
    hashes[plan.chosen_kept] = fresh[: len(written) - len(new)]
    ids = np.concatenate((plan.kept, new))
    order = np.argsort(ids, kind="stable")
    ticks = np.concatenate((np.where(plan.chosen_kept, tick, plan.kept_ticks), np.full(len(new), tick, np.int64)))
    return HeldRows(
        ids[order],
        ticks[order],
        np.concatenate((hashes, fresh[len(written) - len(new) :]))[order],
        plan.entered[~plan.chosen_entered],
        plan.entered_since[~plan.chosen_entered],
    )
