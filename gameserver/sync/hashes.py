"""Desync hashes of one tick, each table's rows at most once, and what they tell when a client's differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gameprotocol import limits
from gameprotocol._fields import IntColumn
from gameprotocol._hashing import bucket_sums
from gameserver.world.publish import PublishedTable, PublishedWorld

if TYPE_CHECKING:
    from gameserver.sync.sight import Sight
    from gameserver.sync.viewer import Viewer

#: Ids, ascending, and the hashes of those rows.
Rows: TypeAlias = tuple[IntColumn, NDArray[np.uint32]]

#: More are not on their way to a client as a rule, and a room without a tick rate makes hashes in each tick.
_TICKS_KEPT: Final = 16


class HashedTick:
    """Row hashes of a published world.

    Args:
        published: after its publish; it is read when the first hash is asked for, which must be in the same tick.

    Attributes:
        tick: whose they are.
        rows: by the table's index; what was asked for.
    """

    def __init__(self, published: PublishedWorld) -> None:
        self.tick = published.tick
        self.rows: dict[int, Rows] = {}

    def of_tables(self, tables: Iterable[PublishedTable]) -> int:
        """Hash of all rows of some tables."""
        return sum(int(self._of(table)[1].sum(dtype=np.uint64)) for table in tables) & 0xFFFFFFFF

    def of_ids(self, table: PublishedTable, ids: IntColumn) -> NDArray[np.uint64]:
        """Hashes of some rows that are there."""
        return self._of(table)[1][table.ranks()[ids]].astype(np.uint64)

    def _of(self, table: PublishedTable) -> Rows:
        rows = self.rows.get(table.index)
        if rows is None:
            rows = self.rows[table.index] = (table.ids, table.row_hashes())
        return rows


class HashRecords:
    """The hashes of the last ticks, to tell in which rows a client differs."""

    def __init__(self) -> None:
        self._ticks: list[HashedTick] = []

    def add(self, hashed: HashedTick) -> None:
        """Keep the present tick's hashes, which are still to be made; the tick before is forgotten if it made none."""
        if self._ticks and not self._ticks[-1].rows:
            self._ticks.pop()
        self._ticks.append(hashed)
        while len(self._ticks) > _TICKS_KEPT or self._ticks[0].tick + limits.HISTORY_TICKS < hashed.tick:
            del self._ticks[0]

    def differing(
        self, sight: Sight, viewer: Viewer, tick: int, digests: Sequence[NDArray[np.uint32]]
    ) -> dict[int, IntColumn]:
        """Where a client may differ from what it was sent.

        Args:
            viewer: whose client it is. tick: of the frame whose hash it missed.
            digests: for each table of the schema the client's `bucket_sums` of the rows that it held then.
        Returns:
            By the table's index the rows of the buckets whose sums differ; none for a tick that is not known any more.
        """
        held = self._held(sight, viewer, tick)
        found = {}
        for index, digest in enumerate(digests):
            ids, hashes = held.get(index, (np.empty(0, np.int64), np.empty(0, np.uint32)))
            differs = bucket_sums(ids, hashes, len(digest)) != digest
            if differs.any() and held:
                found[index] = ids[differs[ids & (len(digest) - 1)]]
        return found

    def _held(self, sight: Sight, viewer: Viewer, tick: int) -> dict[int, Rows]:
        """What a viewer was to hold after the frame of a tick."""
        sent = viewer._hashed
        if sent is None or sent.tick != tick:
            return {}
        if sent.choice is not None:
            return {index: (rows.ids, rows.hashes) for index, rows in sent.choice.tables.items()}
        hashed = next((hashed for hashed in self._ticks if hashed.tick == tick), None)
        if hashed is None:
            return {}
        held = {table.index: hashed.rows[table.index] for table in sight.open}
        for slots, holding in ((sight.shared, sent.holding), (sight.own, sent.own_holding)):
            for at, slot in enumerate(slots):
                assert holding is not None
                ids, hashes = hashed.rows[slot.table.index]
                seen = np.searchsorted(ids, holding.tables[at].of(holding.group))
                held[slot.table.index] = (ids[seen], hashes[seen])
        return held
