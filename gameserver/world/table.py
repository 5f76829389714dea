"""A table: all entities of one type, one numpy array per field.

Rows 0 .. n-1 are in use. A row keeps its position until the tick is published; then the rows of despawned entities are
filled up from the end (`compact`). So within one step all columns line up, however much is spawned and despawned in it.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import NDArray

from gameprotocol import limits
from gameserver.world.entity import Entity
from gameserver.world.errors import EntityGoneError, FieldValueError, StaleColumnError, TableFullError
from gameserver.world.fields import Field

E = TypeVar("E", bound=Entity)

_FIRST_ROWS: Final = 16
#: A room's state is one row for ever. Ids begin at 1.
_STATE_ROWS: Final = 2
#: A key is a generation above an id: a reference holds the key, so it never means a later entity of the same id.
_ID_BITS: Final = 32
_ID_MASK: Final = (1 << _ID_BITS) - 1
#: Which kinds of numpy numbers a column of a kind takes without losing more than precision.
_TAKES: Final = {"b": "biuf", "i": "biu", "u": "biu", "f": "biuf"}


class Table(Generic[E]):
    """All entities of one type.

    ``table.x`` is the column of field ``x``: a numpy array over all rows, to be read and written in place. It is valid
    until the next tick; fetch it anew in each step. A spawn makes columns longer, so fetch them after spawning. The
    rows
    of entities that were despawned in this step are still in the columns: ``table.alive`` tells them apart.

    Iterating gives the living entities; ``len(table)`` counts them.
    """

    def __init__(self, entity_type: type[E], resolve_owner: Callable[[int], Any]) -> None:
        self._entity_type = entity_type
        self._fields: dict[str, Field[Any]] = entity_type._fields
        self._count = 0
        self._dead = 0
        rows = _STATE_ROWS if entity_type._single else _FIRST_ROWS
        self._columns: dict[str, NDArray[Any]] = {
            name: np.empty(rows, field.dtype) for name, field in self._fields.items()
        }
        self._keys = np.zeros(rows, np.int64)
        self._alive = np.zeros(rows, np.bool_)
        self._entities: NDArray[Any] = np.full(rows, None, object)
        self._row_of_id = np.full(rows, -1, np.int64)
        self._generation_of_id = np.zeros(rows, np.int64)
        self._next_id = 1
        self._known_tick = 1 << 62
        self._free_ids: deque[tuple[int, int]] | None = None  # until something goes: an empty one takes 600 bytes
        self._retired: list[tuple[str, NDArray[Any], NDArray[Any]]] = []
        self._resolvers: dict[str, Callable[[int], Any]] = {"owner": resolve_owner}
        self._targets: dict[str, Table[Any]] = {}  # of reference fields

    # -- for authors

    @property
    def entity_type(self) -> type[E]:
        """The class that the author declared."""
        return self._entity_type

    @property
    def ids(self) -> NDArray[np.int64]:
        """Entity ids by row, int64; a copy."""
        return self._keys[: self._count] & _ID_MASK

    @property
    def alive(self) -> NDArray[np.bool_]:
        """By row, whether its entity still lives. All true at the start of a step. A copy."""
        return self._alive[: self._count].copy()

    def get(self, id: int) -> E | None:
        """The living entity of this id, or None."""
        row = int(self._row_of_id[id]) if 0 < id < len(self._row_of_id) else -1
        return self.at(row) if row >= 0 else None

    def at(self, row: SupportsIndex) -> E:
        """The entity in one row of the columns, as an index from a column computation gives it.

        Raises:
            IndexError: there is no such row.
            EntityGoneError: its entity was despawned in this step.
        """
        row = operator.index(row)
        if not 0 <= row < self._count:
            raise IndexError(f"{self._entity_type.__name__} has rows 0 to {self._count - 1}, not {row}")
        if not self._alive[row]:
            raise EntityGoneError(f"the {self._entity_type.__name__} in row {row} was despawned in this step")
        entity: E | None = self._entities[row]
        return self._make_entity(row) if entity is None else entity

    def __iter__(self) -> Iterator[E]:
        for row in np.flatnonzero(self._alive[: self._count]).tolist():
            if self._alive[row]:  # it may have been despawned since the loop began
                yield self.at(row)

    def __len__(self) -> int:
        return self._count - self._dead

    def __bool__(self) -> bool:
        return len(self) > 0

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_columns"][name][: self._count]
        except KeyError:
            raise AttributeError(self._no_field(name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        column = self._columns.get(name)
        if column is None:
            raise AttributeError(self._no_field(name))
        view = column[: self._count]
        if isinstance(value, np.ndarray) and value.ndim:
            if value.shape != view.shape:
                raise FieldValueError(
                    f"{self._entity_type.__name__}.{name} has {len(view)} rows, not {value.shape}: "
                    f"columns fetched before a spawn are shorter, fetch them again"
                )
            if value.base is column and value.strides == view.strides:
                return  # it is `table.x += ...`, which has already written in place
        view[...] = value

    def __repr__(self) -> str:
        return f"<{len(self)} {self._entity_type.__name__}>"

    @property
    def known_tick(self) -> int:
        """Every link has been sent this tick or a later one: ids freed before it may be used again."""
        return self._known_tick

    # -- one row

    def read(self, entity: Entity, name: str) -> Any:
        """Value of one field of one entity; what ``entity.field`` does."""
        row = entity._row
        if row < 0:
            raise self._gone(entity, name)
        stored = self._columns[name].item(row)
        resolve = self._resolvers.get(name)
        return stored if resolve is None else resolve(stored)

    def write(self, entity: Entity, name: str, value: Any) -> None:
        """Set one field of one entity; what ``entity.field = value`` does."""
        row = entity._row
        if row < 0:
            raise self._gone(entity, name)
        self._columns[name][row] = self._converted(name, value)

    # -- rows come and go

    def spawn(self, tick: int, values: dict[str, Any]) -> E:
        """Add one entity; ``world.spawn`` is what authors call.

        Raises:
            TypeError: there is no field of a given name.
            FieldValueError: a value is of a wrong type.
            TableFullError: the table holds `limits.TABLE_ROWS` already.
        """
        fields = self._fields
        self._check_names(values)
        given = {name: self._converted(name, value) for name, value in values.items()}
        row = self._add_rows(1, tick)
        for name, column in self._columns.items():
            column[row] = given[name] if name in given else fields[name].start()
        return self._make_entity(row)

    def spawn_many(self, count: int, tick: int, columns: dict[str, Any]) -> slice:
        """Add ``count`` entities at once; each given value is a scalar, or an array or list of that length.

        Returns:
            The new rows, to index columns with.
        Raises:
            as `spawn`; nothing is added then.
        """
        count = operator.index(count)
        if count < 0:
            raise ValueError(f"cannot spawn {count} {self._entity_type.__name__}")
        self._check_names(columns)
        given = {name: self._converted_column(name, values, count) for name, values in columns.items()}
        first = self._add_rows(count, tick)
        rows = slice(first, first + count)
        for name, column in self._columns.items():
            field = self._fields[name]
            if name in given:
                column[rows] = given[name]
            elif column.dtype == object:
                for row in range(first, first + count):
                    column[row] = field.start()
            else:
                column[rows] = field.default
        return rows

    def despawn_rows(self, rows: NDArray[np.int64], tick: int) -> None:
        """Mark rows dead; those that are dead already are passed over."""
        rows = rows[self._alive[rows]]
        if not len(rows):
            return
        ids = self._keys[rows] & _ID_MASK
        self._alive[rows] = False
        self._row_of_id[ids] = -1
        self._dead += len(rows)
        if self._free_ids is None:
            self._free_ids = deque()
        self._free_ids.extend((tick, id) for id in ids.tolist())
        for entity in self._entities[rows]:
            if entity is not None:
                entity._row = -1
        self._entities[rows] = None

    def row(self, entity: Entity) -> int:
        """The row of a living entity; EntityGoneError when it is gone, TypeError when it is of another table."""
        if entity._table is not self:
            raise TypeError(f"{entity!r} is not a {self._entity_type.__name__} of this world")
        if entity._row < 0:
            raise self._gone(entity, "its row")
        return entity._row

    # -- for the world and publish

    def resolve(self, key: int) -> E | None:
        """The living entity that a reference's key means, or None."""
        id = key & _ID_MASK
        if not key or int(self._generation_of_id[id]) != key >> _ID_BITS or self._row_of_id[id] < 0:
            return None
        return self.at(int(self._row_of_id[id]))

    def living_ids(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """For a column of reference keys the ids of those that live, 0 for the others; int64."""
        ids = keys & _ID_MASK
        lives = (self._generation_of_id[ids] == keys >> _ID_BITS) & (self._row_of_id[ids] >= 0)
        return np.where(lives, ids, 0)

    def link_reference(self, name: str, target: Table[Any]) -> None:
        """Tell which table the reference field ``name`` points into."""
        self._resolvers[name] = target.resolve
        self._targets[name] = target

    def make_room(self) -> None:
        """Before a step: leave so much room that the step has to spawn half as many again before arrays must move."""
        if not self._entity_type._single and len(self._keys) - self._count < max(8, self._count // 2):
            self._grow(2 * len(self._keys))

    def compact(self) -> None:
        """Fill the rows of the dead from the end; their positions change, so no column may be held across it.

        Raises:
            StaleColumnError: a column fetched before the table grew was written to after that.
        """
        self._check_retired()
        self.fill_gaps()

    def fill_gaps(self) -> None:
        """What `compact` does, without looking for lost writes; those are still found at the end of the tick."""
        if not self._dead:
            return
        old_count, kept = self._count, self._count - self._dead
        holes = np.flatnonzero(~self._alive[:kept])
        movers = kept + np.flatnonzero(self._alive[kept:old_count])
        for column in (*self._columns.values(), self._keys, self._alive, self._entities):
            column[holes] = column[movers]
        for column in self._columns.values():
            if column.dtype == object:
                column[kept:old_count] = None
        self._entities[kept:old_count] = None
        self._alive[kept:old_count] = False
        self._row_of_id[self._keys[holes] & _ID_MASK] = holes
        for row, entity in zip(holes.tolist(), self._entities[holes], strict=True):
            if entity is not None:
                entity._row = row
        self._count, self._dead = kept, 0

    def _free(self) -> None:
        """The room has ended: let go of what only numpy holds. The garbage collector does not look into its arrays, so
        a table and the entities that it remembers would keep each other for ever.
        """
        self._entities[:] = None
        for column in self._columns.values():
            if column.dtype == object:
                column[:] = None
        self._retired.clear()

    # -- inside

    def _check_names(self, given: dict[str, Any]) -> None:
        for name in given:
            if name not in self._fields:
                raise TypeError(self._no_field(name))

    def _converted(self, name: str, value: Any) -> Any:
        """``value`` as the column of ``name`` holds it; FieldValueError when it cannot."""
        who, target = self._entity_type.__name__, self._targets.get(name)
        if target is not None and value is not None and getattr(value, "_table", None) is not target:
            wanted = target.entity_type.__name__
            raise FieldValueError(f"{who}.{name} cannot be {value!r}: give a {wanted} of this world, or None")
        return self._fields[name].converted(value, who)

    def _converted_column(self, name: str, given: Any, count: int) -> NDArray[Any]:
        """A scalar, a list or an array as ``count`` items of the column of ``name``; FieldValueError when it cannot."""
        dtype = self._columns[name].dtype
        if isinstance(given, np.ndarray):
            if given.shape != (count,):
                raise FieldValueError(
                    f"{self._entity_type.__name__}.{name} is given an array of shape {given.shape} for {count} rows"
                )
            if dtype.kind != "O" and name not in self._targets and given.dtype.kind in _TAKES[dtype.kind]:
                return given
            given = given.tolist()
        column = np.empty(count, dtype)
        if isinstance(given, list) and len(given) == count:
            for row, item in enumerate(given):
                column[row] = self._converted(name, item)
        else:
            column.fill(self._converted(name, given))
        return column

    def _add_rows(self, count: int, tick: int) -> int:
        first, end = self._count, self._count + count
        if end > limits.TABLE_ROWS:
            raise TableFullError(
                f"{self._entity_type.__name__} would have {end} rows; a table holds {limits.TABLE_ROWS}"
            )
        if end > len(self._keys):
            self._grow(max(2 * len(self._keys), end))
        for row in range(first, end):
            id = self._take_id(tick)
            generation = int(self._generation_of_id[id]) + 1 & 0x7FFFFFFF
            self._generation_of_id[id] = generation
            self._row_of_id[id] = row
            self._keys[row] = generation << _ID_BITS | id
        self._alive[first:end] = True
        self._count = end
        return first

    def _take_id(self, tick: int) -> int:
        if self._free_ids and self._free_ids[0][0] < min(tick - limits.HISTORY_TICKS, self.known_tick):
            return self._free_ids.popleft()[1]
        id = self._next_id
        self._next_id += 1
        if id >= len(self._row_of_id):
            more = len(self._row_of_id)
            self._row_of_id = np.pad(self._row_of_id, (0, more), constant_values=-1)
            self._generation_of_id = np.pad(self._generation_of_id, (0, more))
        return id

    def _make_entity(self, row: int) -> E:
        entity = object.__new__(self._entity_type)
        entity._table = self
        entity._row = row
        entity._key = int(self._keys[row])
        entity.id = entity._key & _ID_MASK
        self._entities[row] = entity
        return entity

    def _grow(self, capacity: int) -> None:
        more = capacity - len(self._keys)
        for name, column in self._columns.items():
            if self._count:
                self._retired.append((name, column, column[: self._count].copy()))
            grown = np.empty(capacity, column.dtype)
            grown[: self._count] = column[: self._count]
            self._columns[name] = grown
        self._keys = np.pad(self._keys, (0, more))
        self._alive = np.pad(self._alive, (0, more))
        self._entities = np.concatenate((self._entities, np.full(more, None, object)))

    def _check_retired(self) -> None:
        """Find writes to columns that were fetched before the table grew: numpy can't forbid them, but they are not
        lost in silence.
        """
        retired, self._retired = self._retired, []
        for name, column, was in retired:
            now = column[: len(was)]
            if was.dtype.kind == "O":  # compared by address: the old objects live as long as the copy
                now, was = np.frombuffer(now, np.intp), np.frombuffer(was, np.intp)
            if not np.array_equal(now, was, equal_nan=was.dtype.kind == "f"):
                who = self._entity_type.__name__
                raise StaleColumnError(
                    f"{who}.{name} was written through a column fetched before a spawn that made the table grow: "
                    f"fetch the column again after spawning (or reserve rows with world.reserve({who}, count))"
                )

    def _gone(self, entity: Entity, name: str) -> EntityGoneError:
        who = type(entity).__name__
        return EntityGoneError(
            f"{who} {entity.id} is gone, {name} cannot be used: check `.alive`, or keep it in a reference({who}) field"
        )

    def _no_field(self, name: str) -> str:
        return f"{self._entity_type.__name__} has no field {name!r}; it has {', '.join(self._fields)}"
