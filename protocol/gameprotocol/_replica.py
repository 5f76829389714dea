"""The replica: a client's mirror of the world, kept equal to the server's integers frame by frame.

`Replica.apply` takes one frame and answers what it changed. Front ends meet main tables alone: what happens to a row of
a companion is a change of its main table's row (SPEC.md, section "Schema").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np

from gameprotocol._columns import unpack_ids
from gameprotocol._fields import IntColumn
from gameprotocol._hashing import digest_buckets
from gameprotocol._messages import Frame
from gameprotocol._replica_table import CompanionTable, ReplicaTable, Row, read_index
from gameprotocol._schema import Schema
from gameprotocol.closing import CloseCode, ProtocolError

_NO_IDS: Final = np.empty(0, np.int64)


class BaselineError(Exception):
    """A delta does not start where the replica is; the client asks for a full frame and goes on."""


class TableChanges:
    """What one frame did to one table. Worked out when it is asked for, so that who does not ask does not pay.

    Attributes:
        table: the table.
    """

    __slots__ = ("_after", "_before", "_written", "table")

    def __init__(self, table: ReplicaTable, before: IntColumn, written: list[IntColumn]) -> None:
        self.table = table
        self._before = before
        self._after = table.ids
        self._written = written

    @property
    def spawned_ids(self) -> IntColumn:
        """Ids of entities that came into view, ascending, int64."""
        return _without(self._after, self._before)

    @property
    def despawned_ids(self) -> IntColumn:
        """Ids of entities that are gone or out of view, ascending, int64."""
        return _without(self._before, self._after)

    @property
    def changed_ids(self) -> IntColumn:
        """Ids of entities that were held before and of which at least one field was sent, ascending, int64."""
        return _without(_union(self._written), self.spawned_ids)

    @property
    def spawned(self) -> Iterator[Row]:
        """Entities that came into view."""
        return self._rows(self.spawned_ids)

    @property
    def changed(self) -> Iterator[Row]:
        """Entities that were held before and of which at least one field was sent."""
        return self._rows(self.changed_ids)

    @property
    def despawned(self) -> Iterator[Row]:
        """Entities that are gone or out of view, with the values they had last."""
        return self._rows(self.despawned_ids)

    def _rows(self, ids: IntColumn) -> Iterator[Row]:
        return (Row(self.table, id) for id in ids.tolist())


class Replica:
    """A client's mirror of the world.

    Args:
        schema: from the welcome.
        player: the client's own player number, from the welcome.

    Attributes:
        tick: the tick it is at, 0 before the first frame.
        tables: all of the schema, in its order.
        main_tables: those of them that front ends meet: all but companions.
        desyncs: how many frames brought a hash that differed from what the replica then held.
        hashes_checked: how many frames brought a hash.
    """

    def __init__(self, schema: Schema, player: int = 0) -> None:
        self.schema = schema
        self.tick = 0
        self.tables: list[ReplicaTable] = []
        for index, table in enumerate(schema.tables):
            if table.of is None:
                self.tables.append(ReplicaTable(index, table, self.tables, player))
            else:
                self.tables.append(CompanionTable(index, table, self.tables, player, table.of))
        self.main_tables = [table for table in self.tables if not isinstance(table, CompanionTable)]
        self._companions = [table for table in self.tables if isinstance(table, CompanionTable)]
        for companion in self._companions:
            companion.main.add_companion(companion)
        self.desyncs = 0
        self.hashes_checked = 0
        self._by_name = {table.schema.name: table for table in self.main_tables}
        self._usable = False

    def __getitem__(self, entity: str | type) -> ReplicaTable:
        """The table of an entity type, by its name or by a class of that name."""
        name = entity if isinstance(entity, str) else entity.__name__
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f"no entity type {name!r} in this room; it has {', '.join(self._by_name)}") from None

    @property
    def state(self) -> Row | None:
        """The room-wide state as a row, None when the room has none or no frame has come."""
        table = next((table for table in self.tables if table.schema.single), None)
        return None if table is None else table.get(1)

    def hash(self) -> int:
        """Desync hash of everything held."""
        return sum(table.hash() for table in self.tables) & 0xFFFFFFFF

    def digests(self) -> list[bytes]:
        """For each table sums of its row hashes: what a resync carries, so that a server can tell which rows differ.

        Empty when there are too many tables, or none.
        """
        buckets = digest_buckets(len(self.tables))
        return [table.digest(buckets) for table in self.tables] if buckets else []

    def apply(self, frame: Frame) -> list[TableChanges]:
        """Bring the replica to the frame's tick.

        Returns:
            What changed, for the main tables that the frame spoke of. A private field that became known, unknown or
            another changes its entity.
        Raises:
            BaselineError: the frame is a delta from another tick than the replica's; nothing was changed.
            ProtocolError: the frame is malformed; the replica takes nothing but a full frame from now on.
        """
        header = frame.header
        full = header.back == 0
        if not full and (not self._usable or header.tick - header.back != self.tick):
            raise BaselineError(f"a delta from tick {header.tick - header.back}, but the replica is at {self.tick}")
        self._usable = False
        before = [table.ids for table in self.tables]
        try:
            if full:
                for table in self.tables:
                    table.remove_all()
            touched = self._apply_chunks(frame.chunks)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            raise ProtocolError(CloseCode.UNDECODABLE, f"bad frame at tick {header.tick}: {error}") from None
        finally:
            for companion in self._companions:
                companion.settle()
        for companion in self._companions:
            self._fold(companion, before[companion.index], touched)
        self._usable = True
        self.tick = header.tick
        return [
            TableChanges(table, before[table.index], touched.get(table.index, []))
            for table in self.main_tables
            if (full and (len(before[table.index]) or len(table)))
            or before[table.index] is not table.ids
            or any(len(part) for part in touched.get(table.index, ()))
        ]

    def _fold(self, companion: CompanionTable, before: IntColumn, touched: dict[int, list[IntColumn]]) -> None:
        """Add rows of a companion that came, went or changed to what was written of its main table."""
        main = companion.main
        for ids in (*touched.get(companion.index, ()), _without(before, companion.ids)):
            held = main.held_among(ids)
            if len(held):
                touched.setdefault(main.index, []).append(held)

    def check(self, frame: Frame) -> bool:
        """Whether the replica, just brought to ``frame``'s tick, has its hash; counts. True when it brings none."""
        if frame.hash is None:
            return True
        self.hashes_checked += 1
        same = self.hash() == frame.hash
        self.desyncs += not same
        return same

    def _apply_chunks(self, chunks: list[Any]) -> dict[int, list[IntColumn]]:
        """All removals, then all whole rows, then all changes; answers the ids that were written, by table."""
        known = [chunk for chunk in chunks if not _is_unknown(chunk)]
        parsed = [(self.tables[read_index(chunk[0])], chunk) for chunk in known]
        touched: dict[int, list[IntColumn]] = {table.index: [] for table, _ in parsed}
        held_before = {table.index: table.ids for table, _ in parsed}
        for table, (_, _, removed, *_) in parsed:
            if removed is not None:
                table.remove(unpack_ids(removed, held_before[table.index]))
        held = {table.index: table.ids for table, _ in parsed}
        for table, (_, _, _, whole, *_) in parsed:
            if whole is not None:
                ids = _spelt_out(whole[0])
                table.put_whole(ids, whole[1:])
                touched[table.index].append(ids)
        for table, (_, scope, _, _, *blocks) in parsed:
            rows = held[table.index] if scope is None else _spelt_out(scope)
            if scope is not None:
                table.check_held(rows)
            touched[table.index] += self._apply_blocks(table, rows, blocks)
        return touched

    def _apply_blocks(self, table: ReplicaTable, rows: IntColumn, blocks: list[Any]) -> list[IntColumn]:
        touched = []
        for block in blocks:
            if _is_unknown(block):
                continue
            if len(block) < 3 or len(block) % 2 == 0:
                raise ValueError("a block is ids and pairs of field and column")
            ids = unpack_ids(block[0], rows)
            if type(block[0]) is list:
                table.check_held(ids)
            table.put_changes(ids, block[1:])
            touched.append(ids)
        return touched


def _without(ids: IntColumn, others: IntColumn) -> IntColumn:
    """Those of ``ids`` that are not among ``others``; both ascending."""
    if ids is others or not len(ids) or not len(others):
        return _NO_IDS if ids is others else ids
    marks = np.zeros(max(int(ids[-1]), int(others[-1])) + 1, np.bool_)
    marks[ids] = True
    marks[others] = False
    return np.flatnonzero(marks).astype(np.int64, copy=False)


def _union(parts: Iterable[IntColumn]) -> IntColumn:
    parts = list(parts)
    if not parts:
        return _NO_IDS
    if len(parts) == 1:
        return parts[0]
    marks = np.zeros(max((int(part[-1]) for part in parts if len(part)), default=0) + 1, np.bool_)
    for part in parts:
        marks[part] = True
    return np.flatnonzero(marks).astype(np.int64, copy=False)


def _is_unknown(part: Any) -> bool:
    """Whether a chunk or block is of a kind that a later version adds: those begin with a negative number."""
    if type(part) is not list:
        raise ValueError("chunks and blocks are arrays")
    return bool(part) and type(part[0]) is int and part[0] < 0


def _spelt_out(packed: Any) -> IntColumn:
    if type(packed) is not list:
        raise ValueError("these ids must be spelt out")
    return unpack_ids(packed, _NO_IDS)
