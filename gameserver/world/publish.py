"""Publish: compare a table's quantised columns with what was last published, and remember what changed when.

Storage is by entity id. For every field the integers that players hold, the tick at which each changed last, and the
difference to the tick before; for every entity the tick at which it came. From these the change set against *any* older
tick can be read off, so a player whose link skipped ticks is served from the same arrays as all others.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gameprotocol import _fields as kinds
from gameprotocol import limits
from gameprotocol._codec import pack_portable
from gameprotocol._hashing import row_hashes
from gameserver.world.errors import FieldValueError
from gameserver.world.fields import Field
from gameserver.world.quantise import Quantiser, make_quantiser
from gameserver.world.table import Table
from gameserver.world.world import WireTable, World

IntColumn: TypeAlias = NDArray[np.int64]
#: Of field index and ids (that were there at the baseline) how much each integer has changed, int64.
Differences: TypeAlias = Callable[[int, IntColumn], IntColumn]
#: How many past ticks' integers are kept while some player is not sent every tick. A link with a third of the bandwidth
#: it needs is sent every third tick; after more ticks differences seldom fit into a byte.
PAST_TICKS: Final = 8
_FIRST_IDS: Final = 16
_STATE_IDS: Final = 2
_NO_IDS: Final = np.empty(0, np.int64)


def history_ticks(held_ticks: float) -> int:
    """How old a baseline may be in a room whose players may be away for so many ticks."""
    return limits.HISTORY_TICKS + math.ceil(min(held_ticks, limits.LONGEST_REST_TICKS - limits.HISTORY_TICKS))


class PublishedTable:
    """What players can know of one table at the last published tick.

    Attributes:
        index: of the table in the schema. name: its name there.
        table: where the rows are.
        audience: to whom the fields travel: `everyone`, or it is a companion table with the fields of an audience.
        of: for a companion the index of its main table, else None.
        kinds: its replicated fields in wire order.
        ids: of the entities that are there, ascending, int64.
        integers: int64 [field, id], what players hold.
        changed_tick: int64 [field, id], the tick at which that integer was last set.
        difference: int64 [field, id], what the last change added; meaningful where ``changed_tick`` is the last tick.
        spawned_tick: int64 [id], the tick at which the entity was first published.
        objects: for text, bytes and value fields, by field index, what travels, by id.
        field_changed_tick: the last tick at which any entity changed in that field.
        spawn_tick, removal_tick: the last tick at which any entity came, or went.

    Args:
        history_ticks: as of `PublishedWorld`.
    """

    def __init__(self, index: int, wire: WireTable, world: World, history_ticks: int) -> None:
        table, wire_kinds = wire.table, wire.schema.fields
        self._history_ticks = history_ticks
        self.index = index
        self.name = wire.schema.name
        self.table = table
        self.audience = wire.audience
        self.of = wire.schema.of
        self.kinds: tuple[kinds.FieldKind, ...] = wire_kinds
        self._sources: list[_Source] = [_source(kind, table, world) for kind in wire_kinds]
        count = len(wire_kinds)
        self.ids: IntColumn = _NO_IDS
        ids = _STATE_IDS if table.entity_type._single else _FIRST_IDS
        self._ranks = np.full(ids, -1, np.int64)
        self._ranked = self.ids
        self.integers = np.zeros((count, ids), np.int64)
        self.changed_tick = np.zeros((count, ids), np.int64)
        self.difference = np.zeros((count, ids), np.int64)
        self.spawned_tick = np.zeros(ids, np.int64)
        self.objects: dict[int, list[Any]] = {i: [None] * ids for i, k in enumerate(wire_kinds) if k.is_object}
        self.field_changed_tick = [0] * count
        self.spawn_tick = 0
        self.removal_tick = 0
        self._removals: list[tuple[int, IntColumn, IntColumn]] = []
        self._past: list[tuple[int, IntColumn]] = []

    def publish(self, tick: int) -> None:
        """Take over the table's present state as that of ``tick``.

        Raises:
            FieldValueError: a value may not travel; the published state is then unusable and the room must end.
            StaleColumnError: see `Table.compact`.
        """
        table = self.table
        table.compact()
        row_ids = table.ids
        self._note_structure(row_ids, tick)
        if not len(row_ids):
            return
        for i, source in enumerate(self._sources):
            if isinstance(source, _ObjectSource):
                self._publish_objects(i, source, row_ids, tick)
            else:
                self._publish_numbers(i, source.read(row_ids), row_ids, tick)

    def remember(self, tick: int) -> None:
        """Keep the integers of this tick for some more: so that players who hold it can be sent small differences."""
        self._past.append((tick, self.integers.copy()))
        del self._past[:-PAST_TICKS]

    def differences(self, baseline: int, previous_tick: int) -> Differences | None:
        """What tells how much integers have changed since ``baseline``, None when that is not known any more.

        Args:
            previous_tick: the published tick before the last one. Its integers are always known.
        """
        if baseline == previous_tick:
            return self._last_differences
        for tick, integers in self._past:
            if tick == baseline:
                return lambda i, ids: self.integers[i][ids] - integers[i][ids]
        return None

    def _last_differences(self, i: int, ids: IntColumn) -> IntColumn:
        return np.where(self.changed_tick[i][ids] == self.field_changed_tick[i], self.difference[i][ids], 0)

    def removed_since(self, baseline: int) -> IntColumn:
        """Ids, ascending, of entities that were there at ``baseline`` and are gone now."""
        if self.removal_tick <= baseline:
            return _NO_IDS
        parts = [ids[spawned <= baseline] for tick, ids, spawned in self._removals if tick > baseline]
        return np.sort(np.concatenate(parts)) if parts else _NO_IDS

    def ranks(self) -> IntColumn:
        """By id which place it has in `ids`, -1 for an entity that is not there; int64, at least as long as the
        highest id ever. Do not write to it.
        """
        if self._ranked is not self.ids:
            ranks = self._ranks
            if len(ranks) < len(self.spawned_tick):
                ranks = self._ranks = np.full(len(self.spawned_tick), -1, np.int64)
            else:
                ranks[self._ranked] = -1
            ranks[self.ids] = np.arange(len(self.ids))
            self._ranked = self.ids
        return self._ranks

    def row_hashes(self) -> NDArray[np.uint32]:
        """Desync hashes of the entities that are there, uint32, in the order of `ids`."""
        return row_hashes(self.index, self.ids, (column[self.ids] for column in self.integers))

    def hash(self) -> int:
        """Desync hash of all entities that are there."""
        return int(self.row_hashes().sum(dtype=np.uint64)) & 0xFFFFFFFF

    def _note_structure(self, row_ids: IntColumn, tick: int) -> None:
        """Find out who came and who went since the last publish."""
        if len(row_ids) and int(row_ids.max()) >= len(self.spawned_tick):
            self._reserve(int(row_ids.max()))
        came = row_ids[self.spawned_tick[row_ids] == 0]
        went_count = len(self.ids) + len(came) - len(row_ids)
        if not len(came) and not went_count:
            return
        now = np.sort(row_ids)
        if went_count:
            went = np.setdiff1d(self.ids, now, assume_unique=True)
            self._removals.append((tick, went, self.spawned_tick[went]))
            self.spawned_tick[went] = 0
            self.removal_tick = tick
            for i, source in enumerate(self._sources):
                if isinstance(source, _ObjectSource):
                    source.forget(went, self.objects[i])
        if self._removals and self._removals[0][0] + self._history_ticks < tick:
            known = bisect_left(self._removals, tick - self._history_ticks, key=itemgetter(0))
            del self._removals[:known]
        if len(came):
            self.spawned_tick[came] = tick
            self.spawn_tick = tick
            self.changed_tick[:, came] = tick
            self.integers[:, came] = 0
        self.ids = now

    def _publish_numbers(self, i: int, integers: IntColumn, row_ids: IntColumn, tick: int) -> None:
        held = self.integers[i]
        differences = integers - held[row_ids]
        changed = differences != 0
        count = int(np.count_nonzero(changed))
        if not count:
            return
        if count < len(changed):
            row_ids, integers, differences = row_ids[changed], integers[changed], differences[changed]
        held[row_ids] = integers
        self.difference[i][row_ids] = differences  # `array[i][ids]` is four times as fast as `array[i, ids]`
        self.changed_tick[i][row_ids] = tick
        self.field_changed_tick[i] = tick

    def _publish_objects(self, i: int, source: _ObjectSource, row_ids: IntColumn, tick: int) -> None:
        changed = source.read(row_ids, self.objects[i], self.integers[i])
        if len(changed):
            self.changed_tick[i][changed] = tick
            self.field_changed_tick[i] = tick

    def _reserve(self, highest_id: int) -> None:
        capacity = len(self.spawned_tick)
        while capacity <= highest_id:
            capacity *= 2
        more = capacity - len(self.spawned_tick)
        self.integers = np.pad(self.integers, ((0, 0), (0, more)))
        self.changed_tick = np.pad(self.changed_tick, ((0, 0), (0, more)))
        self.difference = np.pad(self.difference, ((0, 0), (0, more)))
        self.spawned_tick = np.pad(self.spawned_tick, (0, more))
        for store in self.objects.values():
            store.extend([None] * more)


class PublishedWorld:
    """What players can know of a world.

    Attributes:
        remembers: whether the integers of past ticks are kept; costs a copy of them in each tick.
        tick: the last published tick; 0 before the first.
        previous_tick: the one before it; differences are against this.
        tables: in schema order.
        history_ticks: how old a baseline may be.

    Args:
        history_ticks: for so long it is known who went; more than `limits.HISTORY_TICKS` where players come back.
    """

    def __init__(self, world: World, history_ticks: int = limits.HISTORY_TICKS) -> None:
        self.history_ticks = history_ticks
        self.remembers = False
        self.tick = 0
        self.previous_tick = 0
        self.tables = [
            PublishedTable(index, wire, world, history_ticks) for index, wire in enumerate(world.wire_tables())
        ]

    def publish(self, tick: int) -> None:
        """Take over the world's present state as that of ``tick``, a later one than the last.

        Raises as `PublishedTable.publish`.
        """
        with np.errstate(over="ignore"):
            for table in self.tables:
                table.publish(tick)
                if self.remembers:
                    table.remember(tick)
        self.previous_tick, self.tick = self.tick, tick

    def hash(self) -> int:
        """Desync hash of everything."""
        return sum(table.hash() for table in self.tables) & 0xFFFFFFFF


# -- where a field's integers come from --------------------------------------------------------------------------------


class _NumberSource:
    """Numeric fields: the column through its quantiser."""

    __slots__ = ("_name", "_quantise", "_table")

    def __init__(self, name: str, table: Table[Any], quantise: Quantiser) -> None:
        self._name, self._table, self._quantise = name, table, quantise

    def read(self, row_ids: IntColumn) -> IntColumn:
        return self._quantise(getattr(self._table, self._name), row_ids)


class _ReferenceSource:
    """Reference fields: the target's id while it lives, 0 from the moment it is gone."""

    __slots__ = ("_name", "_table", "_target")

    def __init__(self, name: str, table: Table[Any], target: Table[Any]) -> None:
        self._name, self._table, self._target = name, table, target

    def read(self, row_ids: IntColumn) -> IntColumn:
        try:
            return self._target.living_ids(getattr(self._table, self._name))
        except IndexError:
            who = f"{self._table.entity_type.__name__}.{self._name}"
            raise FieldValueError(f"the column {who} holds what no entity is: write references on entities") from None


class _ObjectSource:
    """Text, bytes and value fields: only rows whose object is another one than last time are looked at.

    Objects are compared by address, a whole column at once; the address cannot have been given to another object,
    because the one last seen is kept. Lists and dicts may change in place, so rows that hold one are looked at each
    time.
    """

    def __init__(self, kind: kinds.FieldKind, field: Field[Any], table: Table[Any]) -> None:
        self._kind, self._field, self._table = kind, field, table
        self._seen: NDArray[Any] = np.full(_FIRST_IDS, None, object)
        # True for ids that must be looked at: new ones, and those whose value may change in place.
        self._look: NDArray[np.bool_] = np.ones(_FIRST_IDS, np.bool_)

    def read(self, row_ids: IntColumn, store: list[Any], integers: IntColumn) -> list[int]:
        """Bring ``store`` and ``integers`` (both by id) up to date; answers the ids that changed."""
        if len(store) > len(self._look):
            self._reserve(len(store))
        column = getattr(self._table, self._field.name)
        look = np.frombuffer(column, np.intp) != np.frombuffer(self._seen[row_ids], np.intp)
        look |= self._look[row_ids]
        changed = []
        for row in np.flatnonzero(look).tolist():
            id, given = int(row_ids[row]), column[row]
            travels = self._encode(given, id)
            self._seen[id] = given
            self._look[id] = _may_change(given)
            if store[id] != travels:
                store[id] = travels
                integers[id] = kinds.object_checksum(travels)
                changed.append(id)
        return changed

    def forget(self, ids: IntColumn, store: list[Any]) -> None:
        """These entities are gone; let go of what they held."""
        self._seen[ids] = None
        self._look[ids] = True
        for id in ids.tolist():
            store[id] = None

    def _encode(self, given: Any, id: int) -> str | bytes:
        kind, field = self._kind, self._field
        if isinstance(kind, kinds.Value):
            try:
                packed = pack_portable(given)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                raise self._error(
                    id, given, f"not something msgpack can carry ({error}): use numbers, text, bytes, lists and dicts"
                ) from None
            if len(packed) > kind.max_bytes:
                raise self._error(id, given, f"{len(packed)} bytes when packed, {_too_long(kind)}")
            return packed
        wanted = str if isinstance(kind, kinds.Text) else bytes
        if type(given) is not wanted:
            raise self._error(id, given, f"{type(given).__name__}: write {wanted.__name__}")
        return self._fit(given, id, field.outside == "error")

    def _fit(self, given: Any, id: int, refuse: bool) -> str | bytes:
        max_bytes: int = self._kind.max_bytes  # type: ignore[attr-defined]
        try:
            encoded = given.encode() if isinstance(given, str) else given
        except UnicodeEncodeError as error:
            raise self._error(id, given, f"not text ({error}): leave such characters out") from None
        if len(encoded) <= max_bytes:
            return given  # type: ignore[no-any-return]
        if refuse:
            raise self._error(id, given, f"{len(encoded)} bytes, {_too_long(self._kind)}, or outside='clamp'")
        cut = encoded[:max_bytes]
        return cut.decode("utf-8", "ignore") if isinstance(given, str) else cut

    def _error(self, id: int, given: Any, why: str) -> FieldValueError:
        shown = repr(given)
        shown = shown if len(shown) < 60 else shown[:57] + "..."
        return FieldValueError(f"{self._table.entity_type.__name__} {id}: {self._field.name} = {shown} is {why}")

    def _reserve(self, capacity: int) -> None:
        more = capacity - len(self._look)
        self._seen = np.concatenate((self._seen, np.full(more, None, object)))
        self._look = np.pad(self._look, (0, more), constant_values=True)


def _may_change(given: Any) -> bool:
    """Whether it may become something else and stay the same object."""
    return isinstance(given, (list, dict, bytearray, memoryview)) or (
        isinstance(given, tuple) and any(map(_may_change, given))
    )


def _too_long(kind: kinds.FieldKind) -> str:
    max_bytes: int = kind.max_bytes  # type: ignore[attr-defined]
    return f"more than {max_bytes}: store less, or declare a larger max_bytes"


_Source: TypeAlias = _NumberSource | _ReferenceSource | _ObjectSource


def _source(kind: kinds.FieldKind, table: Table[Any], world: World) -> _Source:
    field = table.entity_type._fields[kind.name]
    if isinstance(kind, kinds.Reference):
        return _ReferenceSource(kind.name, table, world.tables[kind.table])
    if kind.is_object:
        return _ObjectSource(kind, field, table)
    return _NumberSource(kind.name, table, make_quantiser(kind, field, table.entity_type.__name__))
