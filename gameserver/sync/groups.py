"""Groups: players who hold the same rows and may see the same rows now. What each of them is sent is the same.

Everything here is about many groups at once, side by side in flat arrays, because one numpy call for a thousand groups
costs little more than one for a single group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from gameprotocol._fields import IntColumn

if TYPE_CHECKING:
    from gameserver.sync.budget import BudgetedHolding


#: A (group, id) pair in one integer: ids have at most 22 bits (`limits.TABLE_ROWS`).
_ID_BITS: Final = 22
_ID_MASK: Final = (1 << _ID_BITS) - 1
_RADIX: Final = 1 << 16


class GroupedIds:
    """Ids of one table for each of some groups.

    Attributes:
        ids: ascending within each group.
        offsets: int64, one more than there are groups: group g has ``ids[offsets[g]:offsets[g + 1]]``.
    """

    __slots__ = ("ids", "offsets")

    def __init__(self, ids: NDArray[np.int64], offsets: IntColumn) -> None:
        self.ids = ids
        self.offsets = offsets

    @classmethod
    def empty(cls, groups: int) -> GroupedIds:
        return cls(np.empty(0, np.int64), np.zeros(groups + 1, np.int64))

    @classmethod
    def from_pairs(cls, pairs: IntColumn, groups: int) -> GroupedIds:
        """From ascending (group, id) pairs as `pairs` makes them."""
        return cls(pairs & _ID_MASK, np.searchsorted(pairs, np.arange(groups + 1) << _ID_BITS))

    @property
    def counts(self) -> IntColumn:
        """How many ids each group has."""
        return np.diff(self.offsets)

    def select(self, groups: IntColumn) -> GroupedIds:
        """Those of some groups, in the order asked for."""
        starts = self.offsets[groups]
        lengths = self.offsets[groups + 1] - starts
        offsets = np.concatenate((np.zeros(1, np.int64), lengths.cumsum()))
        at = np.repeat(starts - offsets[:-1], lengths) + np.arange(int(offsets[-1]))
        return GroupedIds(self.ids[at], offsets)

    def pairs(self) -> IntColumn:
        """(group, id) of all, each in one integer, ascending."""
        return np.repeat(np.arange(len(self.offsets) - 1) << _ID_BITS, self.counts) | self.ids

    def group_numbers(self) -> IntColumn:
        """For each id its group."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)

    def chosen(self, mask: NDArray[np.bool_]) -> GroupedIds:
        """Those for which ``mask`` is true."""
        before = np.concatenate(((0,), mask.cumsum()))
        return GroupedIds(self.ids[mask], before[self.offsets])

    def of(self, group: int) -> NDArray[np.int64]:
        """The ids of one group."""
        return self.ids[self.offsets[group] : self.offsets[group + 1]]

    def holds(self, groups: IntColumn, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For each (group, id) whether it is among these."""
        pairs = self.pairs()
        wanted = groups << _ID_BITS | ids
        at = np.searchsorted(pairs, wanted)
        found: NDArray[np.bool_] = np.append(pairs, -1)[at] == wanted
        return found

    def sums(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """For each group the sum of the values of its ids, modulo 2**64; ``values`` in the order of ``ids``."""
        before = np.concatenate((np.zeros(1, np.uint64), values.cumsum(dtype=np.uint64)))
        sums: NDArray[np.uint64] = before[self.offsets[1:]] - before[self.offsets[:-1]]
        return sums


class Holding:
    """What all players of one group hold, since a frame was written to them.

    Attributes:
        tables: for each table with a view the rows of all groups of that tick.
        group: which of the groups.
    """

    __slots__ = ("group", "tables")

    def __init__(self, tables: list[GroupedIds], group: int) -> None:
        self.tables = tables
        self.group = group


class HashedFrame:
    """What a player held after the last frame that brought it a hash.

    Attributes:
        tick: the frame's.
        holding, own_holding, choice: as in `Viewer`.
    """

    __slots__ = ("choice", "holding", "own_holding", "tick")

    def __init__(
        self, tick: int, holding: Holding | None, own_holding: Holding | None, choice: BudgetedHolding | None
    ) -> None:
        self.tick = tick
        self.holding = holding
        self.own_holding = own_holding
        self.choice = choice


class Moves:
    """What becomes of the rows that groups held.

    Attributes:
        then: what each group held. kept: of them those that it still sees. left: those that it does not.
        entered: what it sees and did not hold.
        left_places: for each of ``left`` its place among the rows that its group held.
    """

    __slots__ = ("entered", "kept", "left", "left_places", "then")

    def __init__(self, then: GroupedIds, now: GroupedIds) -> None:
        groups = len(then.offsets) - 1
        self.then = then
        if not len(then.ids):
            self.kept = self.left = GroupedIds.empty(groups)
            self.left_places: IntColumn = np.empty(0, np.int64)
            self.entered = now
            return
        both = np.concatenate((then.pairs(), now.pairs()))
        order = np.argsort(both, kind="stable")  # two ascending runs: timsort merges them in one pass
        merged = both[order]
        twice = merged[1:] == merged[:-1]
        alone = np.ones(len(merged), np.bool_)
        alone[1:] &= ~twice
        alone[:-1] &= ~twice
        came = order >= len(then.ids)
        self.kept = GroupedIds.from_pairs(merged[:-1][twice], groups)
        self.entered = GroupedIds.from_pairs(merged[alone & came], groups)
        gone = alone & ~came
        self.left = GroupedIds.from_pairs(merged[gone], groups)
        places = order[gone]
        self.left_places = places - then.offsets[merged[gone] >> _ID_BITS]


def held_by(holdings: list[Holding | None], table: int) -> GroupedIds:
    """What groups hold of one table, side by side. None holds nothing."""
    first = holdings[0].tables if holdings and holdings[0] is not None else None
    if first is not None and all(holding is not None and holding.tables is first for holding in holdings):
        # As a rule all were sent a frame in the same tick: one array has it all.
        return first[table].select(
            np.fromiter((holding.group for holding in holdings), np.int64, len(holdings))  # type: ignore[union-attr]
        )
    parts = [
        holding.tables[table].of(holding.group) if holding is not None else np.empty(0, np.int64)
        for holding in holdings
    ]
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum([len(part) for part in parts], dtype=np.int64)))
    return GroupedIds(np.concatenate(parts) if parts else np.empty(0, np.int64), offsets)


def grouped(groups: IntColumn, ranks: IntColumn, ids: IntColumn, count: int) -> GroupedIds:
    """Sort (group, row) pairs and drop repetitions.

    Args:
        groups: int64, ascending, 0 to ``count - 1``.
        ranks: the rows' places in ``ids``, int64, in any order.
        ids: of all rows, ascending.
        count: how many groups there are.
    """
    if len(ids) <= _RADIX and count <= _RADIX:  # two passes of radix sort, several times as fast as one of int64
        by_rank = np.argsort(ranks.astype(np.uint16), kind="stable")
        groups, ranks = groups[by_rank], ranks[by_rank]
        by_group = np.argsort(groups.astype(np.uint16), kind="stable")
        groups, ranks = groups[by_group], ranks[by_group]
        pairs = groups << _ID_BITS | ids[ranks]
    else:
        pairs = np.sort(groups << _ID_BITS | ids[ranks])
    if len(pairs) > 1:
        repeated = pairs[1:] == pairs[:-1]
        if repeated.any():
            pairs = pairs[np.concatenate(((True,), ~repeated))]
    return GroupedIds.from_pairs(pairs, count)
