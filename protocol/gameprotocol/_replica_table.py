"""One table of a replica, and its rows as a front end sees them.

Storage is by entity id, so an id is an index: one int64 array for all fields of a table, and lists for text, bytes and
packed values.

A companion is a table of the schema that holds further, private fields of another table's rows, of those alone that
this player may know them of. Front ends do not meet it: its main table answers for its fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gameprotocol import limits
from gameprotocol._codec import unpack_from_server
from gameprotocol._columns import unpack_column, unpack_objects
from gameprotocol._fields import FieldKind, IntColumn, Owner, Reference, Value, object_checksum
from gameprotocol._hashing import bucket_sums, row_hashes, rows_hash
from gameprotocol._schema import TableSchema

_FIRST_ROWS: Final = 32
_NO_IDS: Final = np.empty(0, np.int64)


class Row:
    """One entity as the client sees it; every field is an attribute, and keeps its last value when the entity is gone.

    A private field is None where this player does not know it.

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
        values = ", ".join(f"{name}={_shown(getattr(self, name))}" for name in self._table.names_known(self.id))
        return f"<{self._table.schema.name} {self.id}: {values}>"


def _shown(value: Any) -> str:
    """A value for people; of another row only which one it is, for rows may refer to each other in a circle."""
    return f"<{value._table.schema.name} {value.id}>" if isinstance(value, Row) else repr(value)


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
        self._private: dict[str, CompanionTable] = {}  # which companion holds a private field, by the field's name
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
        """One field of all rows, in the order of `ids`: a numpy array, or a list for text, bytes, values.

        Where a private field is not known (see `known`) a number is what the integer 0 stands for, an object None.
        """
        companion = self._private.get(name)
        if companion is not None:
            return companion.column_of(name, self.ids)
        i = self._field(name)
        field = self.schema.fields[i]
        if field.is_object:
            return [self.value(name, id) for id in self.ids.tolist()]
        return field.to_values(self.integers[i][self.ids])

    def known(self, name: str) -> NDArray[np.bool_]:
        """Of which rows, in the order of `ids`, this player knows the field; of all of them unless it is private."""
        companion = self._private.get(name)
        if companion is not None:
            return companion.knows_each(self.ids)
        self._field(name)
        return np.ones(len(self.ids), np.bool_)

    def value(self, name: str, id: int) -> Any:
        """One field of one row; a reference gives a `Row`, or None when what it means is gone or out of view.

        A private field that is not known is None.
        """
        companion = self._private.get(name)
        if companion is not None:
            return companion.value(name, id) if companion.knows(id) else None
        i = self._field(name)
        field = self.schema.fields[i]
        if field.is_object:
            held = self.objects[i][id]
            return unpack_from_server(held) if isinstance(field, Value) else held
        integer = int(self.integers[i, id])
        if isinstance(field, Reference):
            return self._tables[field.table].get(integer)
        return field.to_value(integer)

    def names_known(self, id: int) -> list[str]:
        """The fields of one row, without private ones that this player does not know."""
        return [*self._field_index, *(name for name, companion in self._private.items() if companion.knows(id))]

    def __iter__(self) -> Iterator[Row]:
        return (Row(self, id) for id in self.ids.tolist())

    def __len__(self) -> int:
        return len(self.ids)

    def hash(self) -> int:
        """Desync hash of all rows held."""
        ids = self.ids
        return rows_hash(self.index, ids, self.integers[:, ids])

    def digest(self, buckets: int) -> bytes:
        """Sums of the row hashes by the remainder of the ids, little-endian u32, as a resync carries them."""
        ids = self.ids
        return bucket_sums(ids, row_hashes(self.index, ids, self.integers[:, ids]), buckets).astype("<u4").tobytes()

    def _field(self, name: str) -> int:
        try:
            return self._field_index[name]
        except KeyError:
            names = ", ".join([*self._field_index, *self._private])
            raise AttributeError(f"{self.schema.name} has no field {name!r}; it has {names}") from None

    # -- for the replica

    def add_companion(self, companion: CompanionTable) -> None:
        """Answer for the fields of ``companion`` from now on."""
        self._private |= dict.fromkeys(companion._field_index, companion)

    def held_among(self, ids: IntColumn) -> IntColumn:
        """Those of ``ids`` that are held, in their order."""
        ids = ids[ids < len(self._alive)]
        return ids[self._alive[ids]]

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
            i = read_index(fields[at])
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
        if highest_id > 2 * limits.TABLE_ROWS:
            raise ValueError(f"id {highest_id} is beyond {2 * limits.TABLE_ROWS}")
        capacity = len(self._alive)
        while capacity <= highest_id:
            capacity *= 2
        self._grow(capacity)

    def _grow(self, capacity: int) -> None:
        more = capacity - len(self._alive)
        if more <= 0:
            return
        self.integers = np.pad(self.integers, ((0, 0), (0, more)))
        self._alive = np.pad(self._alive, (0, more))
        for store in self.objects.values():
            store.extend([None] * more)


class CompanionTable(ReplicaTable):
    """Private fields of some rows of another table, its main table.

    Args:
        index, schema, tables, player: as of `ReplicaTable`.
        main_index: the main table's index in ``tables``.
    """

    def __init__(
        self, index: int, schema: TableSchema, tables: list[ReplicaTable], player: int, main_index: int
    ) -> None:
        super().__init__(index, schema, tables, player)
        self._main_index = main_index
        # By id: whether it is held, and for an entity that is gone, whether it was held when it went.
        self._known: NDArray[np.bool_] = np.zeros(_FIRST_ROWS, np.bool_)

    @property
    def main(self) -> ReplicaTable:
        """The table whose rows it says more of."""
        return self._tables[self._main_index]

    def knows(self, id: int) -> bool:
        """Whether the fields of one row are known; of one that is gone, whether they were."""
        return 0 < id < len(self._known) and bool(self._known[id])

    def knows_each(self, ids: IntColumn) -> NDArray[np.bool_]:
        """The same of many rows of the main table."""
        return self._known[ids]

    def column_of(self, name: str, ids: IntColumn) -> Any:
        """One field of these rows of the main table; as `ReplicaTable.column` has it where it is not known."""
        i = self._field(name)
        field, known = self.schema.fields[i], self.knows_each(ids)
        if field.is_object:
            return [
                self.value(name, id) if is_known else None for id, is_known in zip(ids.tolist(), known, strict=True)
            ]
        return field.to_values(np.where(known, self.integers[i][ids], 0))

    def settle(self) -> None:
        """After a frame: have room for every row of the main table, and note which of them it knows."""
        there = self.main._alive
        self._grow(len(there))
        if len(self._known) < len(there):
            self._known = np.pad(self._known, (0, len(there) - len(self._known)))
        np.copyto(self._known[: len(there)], self._alive[: len(there)], where=there)


def read_index(value: Any) -> int:
    """An index of a table or field as it travels; ValueError when it is none."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no index")
    return value


def _as_index(ids: IntColumn) -> IntColumn | slice:
    """What to index a column by id with: a slice when the ids have no gap, which is several times as fast."""
    if len(ids):
        first, last = int(ids[0]), int(ids[-1])
        if last - first + 1 == len(ids):
            return slice(first, last + 1)
    return ids
