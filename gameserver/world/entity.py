"""Entity types: what an author subclasses. One instance is one row of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from gameserver.world.errors import DeclarationError
from gameserver.world.fields import Field, owner_field

if TYPE_CHECKING:
    from gameserver.world.table import Table


#: Names that a table (all its public ones: a test compares) or an entity needs for itself, here or in clients.
RESERVED_NAMES: Final = frozenset(
    """
    alive at compact despawn despawn_rows entity_type fill_gaps get id ids known_tick link_reference living_ids
    make_room mine owner read resolve row rows schema spawn spawn_many write
    """.split()  # noqa: SIM905
)


class _DeclarationMeta(type):
    """Gathers fields, and gives instances no ``__dict__``, so that a misspelt field is an error and not a lost
    write.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any) -> type:
        namespace.setdefault("__slots__", ())
        return super().__new__(cls, name, bases, namespace, **keywords)


def _check_field(cls: type, name: str, field: Field[Any]) -> None:
    if field is vars(Entity)["owner"]:
        return
    if name in RESERVED_NAMES or name.startswith("_"):
        raise DeclarationError(f"{cls.__name__}.{name}: the name is taken; call the field something else")
    if field.problem is not None:
        raise DeclarationError(f"{cls.__name__}.{name}: {field.problem}") from field.problem
    if field.name != name:
        raise DeclarationError(
            f"{cls.__name__}.{name} and {field.name} share one declaration: write it once for each of them"
        )


class Entity(metaclass=_DeclarationMeta):
    """An entity type: subclass it and declare fields; methods and properties are yours.

    Instances are made by ``world.spawn`` alone. An instance stays the same object as long as the entity lives; after
    its despawn ``alive`` is False and its fields raise `EntityGoneError`.

    Attributes:
        id: names the entity on the wire; other entities may get it long after this one is gone.
        owner: the player who owns it, or None. Everyone can see it.
    """

    __slots__ = ("_key", "_row", "_table", "id")

    owner: Field[Any] = owner_field()

    _fields: ClassVar[dict[str, Field[Any]]] = {"owner": owner}
    _single: ClassVar[bool] = False

    _table: Table[Any]
    _row: int
    _key: int
    id: int

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        fields: dict[str, Field[Any]] = {}
        for base in reversed(cls.__mro__):
            for name, declared in vars(base).items():
                if isinstance(declared, Field):
                    _check_field(cls, name, declared)
                    fields[name] = declared
                else:
                    fields.pop(name, None)  # a subclass has put something else in a field's place
        if cls.__dictoffset__:
            loose = ", ".join(base.__name__ for base in cls.__bases__ if base.__dictoffset__)
            raise DeclarationError(
                f"{cls.__name__}: instances of {loose} take any attribute, so a misspelt field would go unseen: "
                f"let {loose} subclass Entity"
            )
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
        values = ", ".join(f"{name}={_shown(getattr(self, name))}" for name in self._fields)
        return f"<{type(self).__name__} {self.id}: {values}>"


class State(Entity):
    """Room-wide state: subclass it, declare fields, and name the class as the room's ``state``; it is one row,
    always there.
    """

    _single = True

    owner: Any = None  # nobody's


def _shown(value: Any) -> str:
    """Entities without their fields: they may refer to each other."""
    return f"<{type(value).__name__} {value.id}>" if isinstance(value, Entity) else repr(value)
