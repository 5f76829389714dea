"""The replica: a client's mirror of the world, kept equal to the server's integers frame by frame.

`Replica.apply` takes one frame and answers what it changed. Storage is by entity id, so an id is an index: one int64
array for all fields of a table, and lists for text, bytes and packed values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gameprotocol import limits
from gameprotocol._codec import unpack_from_server
from gameprotocol._columns import unpack_column, unpack_ids, unpack_objects
from gameprotocol._fields import FieldKind, IntColumn, Owner, Reference, Value, object_checksum
from gameprotocol._hashing import rows_hash
from gameprotocol._messages import Frame
from gameprotocol._schema import Schema, TableSchema
from gameprotocol.closing import CloseCode, ProtocolError

_FIRST_ROWS: Final = 32
_NO_IDS: Final = np.empty(0, np.int64)


class BaselineError(Exception):
    """A delta does not start where the replica is; the client asks for a full frame and goes on."""


class Row:
    """One entity as the client sees it; every field is an attribute, and keeps its last value when the entity is gone.

    Attributes:
        id: the entity's id, unique in its table while it lives.
    """

    __slots__ = ("_table", "id")

    def __init__(self, table: ReplicaTable, id: int) -> None:
        self._table = table
        self.id = id

    @property
    def alive(self) -> bool:
        """Whether the replica still holds it."""
        return self._table.holds(self.id)

    @property
    def mine(self) -> bool:
        """Whether this client's player owns it."""
        table = self._table
        return table.owner_index is not None and int(table.integers[table.owner_index, self.id]) == table.player

    def __getattr__(self, name: str) -> Any:
        return self._table.value(name, self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and other._table is self._table and other.id == self.id

    def __hash__(self) -> int:
        return hash((id(self._table), self.id))

    def __repr__(self) -> str:
        values = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in self._table.schema.fields)
        return f"<{self._table.schema.name} {self.id}: {values}>"


class ReplicaTable:
    """The entities of one type that the client may see. Iterating gives rows in the order of their ids.

    Attributes:
        schema: the table's name and fields.
        integers: int64, one row of the array for each field in schema order, one column for each id.
        player: the number of the client's own player.
        owner_index: which field holds the owner, None when the table has none.
    """

    def __init__(self, index: int, schema: TableSchema, tables: list[ReplicaTable], player: int) -> None:
        self.index = index
        self.schema = schema
        self.player = player
        self.owner_index = next((i for i, field in enumerate(schema.fields) if isinstance(field, Owner)), None)
        self._tables = tables
        self._field_index = {field.name: i for i, field in enumerate(schema.fields)}
        self.integers: NDArray[np.int64] = np.zeros((len(schema.fields), _FIRST_ROWS), np.int64)
        self.objects: dict[int, list[Any]] = {
            i: [None] * _FIRST_ROWS for i, field in enumerate(schema.fields) if field.is_object
        }
        self._alive: NDArray[np.bool_] = np.zeros(_FIRST_ROWS, np.bool_)
        self._ids: IntColumn | None = _NO_IDS

    # -- for front ends

    @property
    def ids(self) -> IntColumn:
        """Ids of all rows held, ascending, int64. Do not write to it."""
        if self._ids is None:
            self._ids = np.flatnonzero(self._alive).astype(np.int64, copy=False)
        return self._ids

    def holds(self, id: int) -> bool:
        """Whether an entity of this id is held now."""
        return 0 < id < len(self._alive) and bool(self._alive[id])

    def get(self, id: int) -> Row | None:
        """The entity of this id, None when it is not held."""
        return Row(self, id) if self.holds(id) else None

    def column(self, name: str) -> Any:
        """One field of all rows, in the order of `ids`: a numpy array, or a list for text, bytes, values."""
        i = self._field(name)
        field = self.schema.fields[i]
        if field.is_object:
            return [self.value(name, id) for id in self.ids.tolist()]
        return field.to_values(self.integers[i][self.ids])

    def value(self, name: str, id: int) -> Any:
        """One field of one row; a reference gives a `Row`, or None when what it means is gone or out of view."""
        i = self._field(name)
        field = self.schema.fields[i]
        if field.is_object:
            held = self.objects[i][id]
            return unpack_from_server(held) if isinstance(field, Value) else held
        integer = int(self.integers[i, id])
        if isinstance(field, Reference):
            return self._tables[field.table].get(integer)
        return field.to_value(integer)

    def __iter__(self) -> Iterator[Row]:
        return (Row(self, id) for id in self.ids.tolist())

    def __len__(self) -> int:
        return len(self.ids)

    def hash(self) -> int:
        """Desync hash of all rows held."""
        ids = self.ids
        return rows_hash(self.index, ids, self.integers[:, ids])

    def _field(self, name: str) -> int:
        try:
            return self._field_index[name]
        except KeyError:
            known = ", ".join(self._field_index)
            raise AttributeError(f"{self.schema.name} has no field {name!r}; it has {known}") from None

    # -- for the replica

    def remove(self, ids: IntColumn) -> None:
        if not self._all_alive(ids):
            raise ValueError("removal of a row that is not held")
        self._alive[ids] = False
        self._ids = None

    def remove_all(self) -> None:
        self._alive[:] = False
        self._ids = None

    def put_whole(self, ids: IntColumn, columns: list[Any]) -> None:
        if len(columns) != len(self.schema.fields):
            raise ValueError(f"{len(columns)} columns for {len(self.schema.fields)} fields of {self.schema.name}")
        if len(ids):
            self._reserve(int(ids[-1]))
        rows, nothing = _as_index(ids), np.zeros(len(ids), np.int64)
        for i, packed in enumerate(columns):
            self._put(i, ids, rows, packed, nothing)
        self._alive[ids] = True
        self._ids = None

    def put_changes(self, ids: IntColumn, fields: list[Any]) -> None:
        """Write one block: ``fields`` alternates between a field's index and its packed column."""
        rows = _as_index(ids)
        for at in range(0, len(fields), 2):
            i = _index(fields[at])
            if i >= len(self.schema.fields):
                raise ValueError(f"{self.schema.name} has no field {i}")
            self._put(i, ids, rows, fields[at + 1], self.integers[i][rows])

    def check_held(self, ids: IntColumn) -> None:
        """ValueError when an id that was spelt out is not held."""
        if not self._all_alive(ids):
            raise ValueError("change of a row that is not held")

    def _all_alive(self, ids: IntColumn) -> bool:
        if not len(ids):
            return True
        return int(ids[-1]) < len(self._alive) and int(np.count_nonzero(self._alive[ids])) == len(ids)

    def _put(self, i: int, ids: IntColumn, rows: IntColumn | slice, packed: Any, held: IntColumn) -> None:
        field: FieldKind = self.schema.fields[i]
        if field.is_object:
            values, store = unpack_objects(field, packed, len(ids)), self.objects[i]
            for id, value in zip(ids.tolist(), values, strict=True):
                store[id] = value
            self.integers[i][rows] = [object_checksum(value) for value in values]
        else:
            self.integers[i][rows] = unpack_column(field, packed, len(ids), held)

    def _reserve(self, highest_id: int) -> None:
        capacity = len(self._alive)
        if highest_id > 2 * limits.TABLE_ROWS:
            raise ValueError(f"id {highest_id} is beyond {2 * limits.TABLE_ROWS}")
        if highest_id < capacity:
            return
        while capacity <= highest_id:
            capacity *= 2
        more = capacity - len(self._alive)
        self.integers = np.pad(self.integers, ((0, 0), (0, more)))
        self._alive = np.pad(self._alive, (0, more))
        for store in self.objects.values():
            store.extend([None] * more)


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
        tables: in schema order.
        desyncs: how many frames brought a hash that differed from what the replica then held.
        hashes_checked: how many frames brought a hash.
    """

    def __init__(self, schema: Schema, player: int = 0) -> None:
        self.schema = schema
        self.tick = 0
        self.tables: list[ReplicaTable] = []
        for index, table in enumerate(schema.tables):
            self.tables.append(ReplicaTable(index, table, self.tables, player))
        self.desyncs = 0
        self.hashes_checked = 0
        self._by_name = {table.schema.name: table for table in self.tables}
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

    def apply(self, frame: Frame) -> list[TableChanges]:
        """Bring the replica to the frame's tick.

        Returns:
            What changed, for the tables that the frame spoke of.
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
        self._usable = True
        self.tick = header.tick
        return [
            TableChanges(table, ids, touched.get(table.index, []))
            for table, ids in zip(self.tables, before, strict=True)
            if (full and (len(ids) or len(table)))
            or ids is not table.ids
            or any(len(part) for part in touched.get(table.index, ()))
        ]

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
        parsed = [(self.tables[_index(chunk[0])], chunk) for chunk in known]
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


def _as_index(ids: IntColumn) -> IntColumn | slice:
    """What to index a column by id with: a slice when the ids have no gap, which is several times as fast."""
    if len(ids):
        first, last = int(ids[0]), int(ids[-1])
        if last - first + 1 == len(ids):
            return slice(first, last + 1)
    return ids


def _union(parts: Iterable[IntColumn]) -> IntColumn:
    parts = list(parts)
    if not parts:
        return _NO_IDS
    return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))


def _is_unknown(part: Any) -> bool:
    """Whether a chunk or block is of a kind that a later version adds: those begin with a negative number."""
    if type(part) is not list:
        raise ValueError("chunks and blocks are arrays")
    return bool(part) and type(part[0]) is int and part[0] < 0


def _spelt_out(packed: Any) -> IntColumn:
    if type(packed) is not list:
        raise ValueError("these ids must be spelt out")
    return unpack_ids(packed, _NO_IDS)


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no index")
    return value
