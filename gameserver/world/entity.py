"""Entity types: what an author subclasses. One instance is one row of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from gameserver.world.errors import DeclarationError
from gameserver.world.fields import Field
from gameserver.world.fields import owner as owner_field

if TYPE_CHECKING:
    from gameserver.world.table import Table


class _DeclarationMeta(type):
    """Gathers fields, and gives instances no ``__dict__``, so that a misspelt field is an error and not a lost
    write.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any) -> type:
        namespace.setdefault("__slots__", ())
        return super().__new__(cls, name, bases, namespace, **keywords)


class Entity(metaclass=_DeclarationMeta):
    """An entity type: subclass it and declare fields; methods and properties are yours.

    Instances are made by ``world.spawn`` alone. An instance stays the same object as long as the entity lives; after
    its despawn ``alive`` is False and its fields raise `EntityGoneError`.

    Attributes:
        id: names the entity on the wire; other entities may get it long after this one is gone.
        owner: the player who owns it, or None. Everyone can see it.
    """

    __slots__ = ("_key", "_row", "_table", "id")

    _fields: ClassVar[dict[str, Field[Any]]] = {}
    _single: ClassVar[bool] = False

    owner: Field[Any] = owner_field()

    _table: Table[Any]
    _row: int
    _key: int
    id: int

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        fields = dict(cls._fields)
        for name, declared in vars(cls).items():
            if isinstance(declared, Field):
                _check_name(cls, name)
                fields[name] = declared
        cls._fields = fields

    def __init__(self) -> None:
        raise DeclarationError(f"make a {type(self).__name__} with world.spawn({type(self).__name__}, ...)")

    @property
    def alive(self) -> bool:
        """Whether the entity is still in the world."""
        return self._row >= 0

    def __repr__(self) -> str:
        if not self.alive:
            return f"<{type(self).__name__} {self.id}, gone>"
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"<{type(self).__name__} {self.id}: {values}>"


Entity._fields = {"owner": vars(Entity)["owner"]}


class State(Entity):
    """Room-wide state: subclass it, declare fields, and name the class as the room's ``state``; it is one row,
    always there.
    """

    _single = True

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._fields = {name: field for name, field in cls._fields.items() if name != "owner"}


#: Names that a table or an entity needs for itself.
RESERVED_NAMES = frozenset(
    {"alive", "id", "ids", "rows", "schema", "entity_type", "get", "at", "owner", "spawn", "despawn", "read", "write"}
)


def _check_name(cls: type, name: str) -> None:
    if name in RESERVED_NAMES or name.startswith("_"):
        raise DeclarationError(f"{cls.__name__}.{name}: the name is taken; call the field something else")
