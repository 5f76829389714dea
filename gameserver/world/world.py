"""The world: all replicated state of a room, one table for each entity type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np

from gameprotocol import Schema, TableSchema, limits
from gameprotocol import _fields as kinds
from gameserver.world.audience import Audience, everyone
from gameserver.world.entity import Entity, State
from gameserver.world.errors import DeclarationError, TableFullError
from gameserver.world.fields import Field
from gameserver.world.table import Table

E = TypeVar("E", bound=Entity)

#: Of so many worlds' types it is kept how they travel.
_LAYOUTS_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class WireTable:
    """What one table of the schema is made of.

    Attributes:
        table: where its rows are.
        schema: its name and fields on the wire.
        audience: to whom it travels: `everyone` for an entity type's own table, else it is a companion of that.
    """

    table: Table[Any]
    schema: TableSchema
    audience: Audience


class World:
    """All state of a room that players may see, and the local columns beside it.

    Args:
        entity_types: the entity classes of the room; their order is the order of the schema.
        state_type: the class of the room-wide state, or None.
        resolve_owner: turns a player's number into the player that ``entity.owner`` gives.

    Attributes:
        tick: the tick being stepped; set by the room.
        tables: in schema order.
    """

    def __init__(
        self,
        entity_types: Iterable[type[Entity]],
        state_type: type[State] | None = None,
        resolve_owner: Callable[[int], Any] = lambda number: number or None,
    ) -> None:
        self.tick = 0
        types = [*entity_types, *([state_type] if state_type is not None else [])]
        _check_types(types, state_type)
        self.tables: list[Table[Any]] = [Table(entity_type, resolve_owner) for entity_type in types]
        self._by_type = {table.entity_type: table for table in self.tables}
        self._by_name = {table.entity_type.__name__: table for table in self.tables}
        self._link_references()
        self._state = self._by_type[state_type].spawn(0, {}) if state_type is not None else None

    def __getitem__(self, entity_type: type[E]) -> Table[E]:
        """The table of an entity type."""
        try:
            return self._by_type[entity_type]
        except KeyError:
            raise DeclarationError(_unknown(entity_type, self._by_name)) from None

    @property
    def state(self) -> Any:
        """The room-wide state, an instance of the room's ``state`` class; None when the room declares none."""
        return self._state

    def spawn(self, entity_type: type[E], **values: Any) -> E:
        """Add an entity; at any time inside a step or hook.

        Args:
            entity_type: one of the room's ``entities``.
            values: fields by name, ``owner`` among them; the others start with their defaults.
        Raises:
            TypeError: a name is not a field.
            FieldValueError: a value is of a wrong type. (A number out of range shows when the tick is published.)
        """
        return self._spawnable(entity_type).spawn(self.tick, values)

    def spawn_many(self, entity_type: type[E], count: int, **columns: Any) -> slice:
        """Add ``count`` entities at once, each value a scalar or an array of that length; answers their rows."""
        return self._spawnable(entity_type).spawn_many(count, self.tick, columns)

    def despawn(self, entity: Entity) -> None:
        """Take an entity out of the world; nothing happens when it is gone already."""
        if entity._single:
            raise DeclarationError(f"{type(entity).__name__} is the room's state and cannot be despawned")
        table = self[type(entity)]
        if entity._row >= 0:
            table.despawn_rows(np.array([table.row(entity)]), self.tick)

    def despawn_where(self, entity_type: type[Entity], mask: Any) -> None:
        """Take all entities out whose row is true in ``mask``, a bool array over the columns of their table."""
        table = self._spawnable(entity_type)
        if np.ndim(mask) != 1 or np.asarray(mask).dtype != np.bool_:
            raise TypeError(
                f"despawn_where({entity_type.__name__}, ...) takes an array of true and false, one for each row, "
                f"such as {entity_type.__name__.lower()}s.x > 0"
            )
        table.despawn_rows(np.flatnonzero(mask), self.tick)

    def reserve(self, entity_type: type[Entity], count: int) -> None:
        """Make room for ``count`` entities in all, so that columns do not move until there are more.

        Raises:
            TableFullError: a table cannot hold so many.
        """
        table = self[entity_type]
        if count > limits.TABLE_ROWS:
            raise TableFullError(f"a table holds {limits.TABLE_ROWS} {entity_type.__name__} at most, not {count}")
        if count > len(table._keys):
            table._grow(count)

    def begin_step(self, tick: int) -> None:
        """Called by the room before each step."""
        self.tick = tick
        for table in self.tables:
            table.make_room()

    def fill_gaps(self) -> None:
        """Called by the room when its hooks have run and ``step`` is next: whoever left has no row any more."""
        for table in self.tables:
            table.fill_gaps()

    def free(self) -> None:
        """The room has ended for good."""
        for table in self.tables:
            table._free()

    def note_known_tick(self, tick: int) -> None:
        """Told by the room: all links have been sent ``tick`` or a later one.

        An id that was freed after it is not used again, however long a slow link takes: a full frame could otherwise
        show its player another entity under an id that it holds.
        """
        for table in self.tables:
            table._known_tick = tick

    def wire_tables(self) -> list[WireTable]:
        """The tables as they travel: one for each entity type, and behind them the companions.

        A companion holds those fields of an entity type that are for one audience.
        """
        return [
            WireTable(self.tables[index], schema, audience) for index, schema, audience in _layout(self.entity_types)
        ]

    @property
    def entity_types(self) -> tuple[type[Entity], ...]:
        """The classes of the tables."""
        return tuple(table.entity_type for table in self.tables)

    def schema_tables(self) -> tuple[TableSchema, ...]:
        """The tables' part of the schema."""
        return schema_tables(self.entity_types)

    def schema(self) -> Schema:
        """Schema of the tables alone; the room adds its input."""
        return Schema(tables=self.schema_tables())

    def reference_target(self, field: Field[Any], owner: type) -> Table[Any]:
        """The table that a reference field points into."""
        return self.tables[_target_index(self.entity_types, field, owner)]

    def _link_references(self) -> None:
        for table in self.tables:
            for name, field in table.entity_type._fields.items():
                if field.target is not None:
                    table.link_reference(name, self.reference_target(field, table.entity_type))

    def _spawnable(self, entity_type: type[E]) -> Table[E]:
        table = self[entity_type]
        if entity_type._single:
            raise DeclarationError(f"{entity_type.__name__} is the room's state: it is always there, use world.state")
        return table


@lru_cache(maxsize=_LAYOUTS_KEPT)  # rooms of one class share it: there may be thousands
def _layout(types: tuple[type[Entity], ...]) -> tuple[tuple[int, TableSchema, Audience], ...]:
    """The tables of a world of these types as they travel: which type's rows, the schema, and to whom."""
    parts = [(index, everyone) for index in range(len(types))]
    parts += [(index, audience) for index, each in enumerate(types) for audience in _private_audiences(each)]
    return tuple((index, _table_schema(types, index, audience), audience) for index, audience in parts)


def schema_tables(types: tuple[type[Entity], ...]) -> tuple[TableSchema, ...]:
    """The tables' part of the schema of a world of these types."""
    return tuple(schema for _, schema, _ in _layout(types))


def _table_schema(types: tuple[type[Entity], ...], index: int, audience: Audience) -> TableSchema:
    entity_type = types[index]
    name = entity_type.__name__
    return TableSchema(
        name=name if audience == everyone else f"{name}@{audience.name}",
        single=entity_type._single and audience == everyone,
        fields=tuple(_wire_fields(types, entity_type, audience)),
        of=None if audience == everyone else index,
    )


def _wire_fields(types: tuple[type[Entity], ...], entity_type: type[Entity], audience: Audience) -> Iterable[Any]:
    for name, field in entity_type._fields.items():
        if _audience_of(field, entity_type) != audience:
            continue
        if field.target is not None:
            yield kinds.Reference(name=name, table=_target_index(types, field, entity_type))
        elif field.make_kind is not None:
            yield field.make_kind(name)


def _target_index(types: tuple[type[Entity], ...], field: Field[Any], owner: type) -> int:
    """Which of the types a reference field points to."""
    target = field.target
    for index, each in enumerate(types):
        if each is target or each.__name__ == target:
            return index
    name = target if isinstance(target, str) else getattr(target, "__name__", target)
    raise DeclarationError(
        f"{owner.__name__}.{field.name} refers to {name}, which is not among the room's entities "
        f"({', '.join(each.__name__ for each in types)}): add it there"
    )


def _audience_of(field: Field[Any], entity_type: type[Entity]) -> Audience:
    try:
        return field.audience
    except DeclarationError as error:
        raise DeclarationError(f"{entity_type.__name__}.{field.name}: to= is no field of this class: {error}") from None


def _private_audiences(entity_type: type[Entity]) -> list[Audience]:
    """The audiences besides `everyone` that fields of an entity type name, each once, in order.

    Raises:
        DeclarationError: nothing says which players belong to one of them.
    """
    audiences: list[Audience] = []
    for field in entity_type._fields.values():
        audience = _audience_of(field, entity_type)
        if audience == everyone or audience in audiences:
            continue
        audiences.append(audience)
        if not audience.is_group:
            if entity_type._single:
                raise DeclarationError(f"{entity_type.__name__}.{field.name} is for its owner, but room state has none")
            continue
        column = entity_type._fields.get(audience.name)
        if column is None or column.dtype.kind not in "iu" or column.target is not None or audience.name == "owner":
            raise DeclarationError(
                f"{entity_type.__name__}.{field.name} is for the group {audience.name!r}, but no field of that name "
                f"holds the group's number: declare {audience.name} = uint(8) or local(int)"
            )
    return audiences


def _check_types(types: list[type[Entity]], state_type: type[State] | None) -> None:
    seen: dict[str, type] = {}
    for entity_type in types:
        if not (isinstance(entity_type, type) and issubclass(entity_type, Entity)):
            raise DeclarationError(f"{entity_type!r} among the entities is not an Entity class: subclass Entity")
        name = entity_type.__name__
        if entity_type._single and (entity_type is not state_type or name in seen):
            raise DeclarationError(f"{name} is a State: name it as the room's `state`, not among its `entities`")
        if name in seen:
            raise DeclarationError(f"two entities are called {name}: rename one, clients know them by name")
        seen[name] = entity_type


def _unknown(entity_type: Any, names: dict[str, Table[Any]]) -> str:
    name = getattr(entity_type, "__name__", repr(entity_type))
    return (
        f"{name} is not an entity of this room ({', '.join(names) or 'it has none'}): add it to the room's `entities`"
    )
