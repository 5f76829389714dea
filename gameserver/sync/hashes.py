"""Desync hashes of one tick, each table's rows at most once, and what they tell when a client's differ."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gameprotocol._hashing import bucket_sums
from gameserver.world.publish import PublishedTable, PublishedWorld


class HashedTick:
    """Row hashes of a published world.

    Args:
        published: after its publish; it is read when the first hash is asked for, which must be in the same tick.

    Attributes:
        tick: whose they are.
    """

    def __init__(self, published: PublishedWorld) -> None:
        self.tick = published.tick
        self._rows: dict[int, tuple[NDArray[np.int64], NDArray[np.uint32]]] = {}

    @property
    def is_used(self) -> bool:
        """Whether any hash was made."""
        return bool(self._rows)

    def of_tables(self, tables: Iterable[PublishedTable]) -> int:
        """Hash of all rows of some tables."""
        return sum(int(self._of(table)[1].sum(dtype=np.uint64)) for table in tables) & 0xFFFFFFFF

    def of_ids(self, table: PublishedTable, ids: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Hashes of some rows that are there."""
        return self._of(table)[1][table.ranks()[ids]].astype(np.uint64)

    def differing(self, index: int, seen: NDArray[np.int64] | None, digest: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Ids of rows in which a client may differ.

        Args:
            index: of the table in the schema. seen: the rows that the client should hold, None for all.
            digest: the client's `bucket_sums` of this table in this tick.
        """
        if index not in self._rows:
            return np.empty(0, np.int64)
        ids, hashes = self._rows[index]
        if seen is not None:
            chosen = np.isin(ids, seen)
            ids, hashes = ids[chosen], hashes[chosen]
        differs = bucket_sums(ids, hashes, len(digest)) != digest
        found: NDArray[np.int64] = ids[differs[ids & (len(digest) - 1)]]
        return found

    def _of(self, table: PublishedTable) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        rows = self._rows.get(table.index)
        if rows is None:
            rows = self._rows[table.index] = (table.ids, table.row_hashes())
        return rows
