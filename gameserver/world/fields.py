"""Declaring the fields of an entity type: ``x = fixed(0, 4000, step=1/16)``.

A declaration says three things: the simulation column (numpy, full precision), how the value travels (a kind of
`gameprotocol`), and what happens to a value that does not fit (``outside``). On an entity it is a plain attribute.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike

from gameprotocol import _fields as kinds
from gameserver.world.errors import DeclarationError, FieldValueError

if TYPE_CHECKING:
    from gameserver.world.entity import Entity

T = TypeVar("T")
#: What becomes of a number outside its field's range: the nearest that fits, or an error that names entity and field.
Outside: TypeAlias = Literal["clamp", "error"]
MakeKind: TypeAlias = Callable[[str], kinds.FieldKind]


class Field(Generic[T]):
    """One declared field. Made by the functions below, not by hand.

    Attributes:
        name: set when the class is made.
        make_kind: name to wire kind; None for a field that never travels.
        dtype: of the simulation column.
        default: what a new entity starts with.
        outside: see `Outside`.
        target: entity type (or its name) that a reference points to, else None.
    """

    def __init__(
        self,
        make_kind: MakeKind | None,
        dtype: DTypeLike,
        default: Any,
        *,
        convert: Callable[[Any], Any],
        outside: Outside = "clamp",
        target: type[Entity] | str | None = None,
    ) -> None:
        if outside not in ("clamp", "error"):
            raise DeclarationError(f'outside={outside!r}: say outside="clamp" or outside="error"')
        self.name = ""
        self.owner_name = ""
        self.make_kind = make_kind
        self.dtype = np.dtype(dtype)
        self.convert = convert
        self.default = default
        self.outside = outside
        self.target = target

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.owner_name = owner.__name__

    @overload
    def __get__(self, entity: None, owner: type) -> Field[T]: ...
    @overload
    def __get__(self, entity: Entity, owner: type) -> T: ...
    def __get__(self, entity: Entity | None, owner: type) -> Field[T] | T:
        if entity is None:
            return self
        return entity._table.read(entity, self.name)  # type: ignore[no-any-return]

    def __set__(self, entity: Entity, value: T) -> None:
        entity._table.write(entity, self.name, value)

    def converted(self, value: Any) -> Any:
        """``value`` as the column holds it; FieldValueError, naming class and field, when it is of a wrong type."""
        try:
            return self.convert(value)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FieldValueError(f"{self.owner_name}.{self.name} cannot be {value!r}: {error}") from None


# -- numbers -----------------------------------------------------------------------------------------------------------


def fixed(
    low: float, high: float, *, step: float, default: float | None = None, outside: Outside = "clamp"
) -> Field[float]:
    """A number from ``low`` to ``high`` that travels in whole steps; the column is float64.

    Args:
        low, high: inclusive range, in the author's unit.
        step: the smallest difference that players can see, in the same unit.
        default: for new entities; 0 if that is in the range, else ``low``.
        outside: what becomes of values beyond the range (infinities too); NaN is always an error.
    """
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(step)) or step <= 0 or high <= low:
        raise DeclarationError(
            f"fixed({low}, {high}, step={step}): low must be below high and step above 0, all finite"
        )
    count = round((high - low) / step) + 1
    if count > 1 << 32:
        raise DeclarationError(
            f"fixed({low}, {high}, step={step}) has {count} steps, more than 32 bits: use a larger step"
        )
    start = default if default is not None else (0.0 if low <= 0 <= high else low)
    return Field(
        lambda name: kinds.Fixed(name=name, low=float(low), step=float(step), count=count),
        np.float64,
        float(start),
        convert=float,
        outside=outside,
    )


def angle(*, bits: int = 8, default: float = 0.0) -> Field[float]:
    """An angle in radians, any value, that travels as ``bits`` bits of a turn (4 to 16); the column is float64."""
    _check_bits("angle", bits, 4, 16)
    return Field(lambda name: kinds.Angle(name=name, bits=bits), np.float64, float(default), convert=float)


def uint(bits: int, *, default: int = 0, outside: Outside = "clamp") -> Field[int]:
    """A whole number from 0 to ``2**bits - 1``, bits 1 to 32; the column is int64, so sums cannot wrap before they
    are checked.
    """
    _check_bits("uint", bits, 1, 32)
    return Field(
        lambda name: kinds.Uint(name=name, bits=bits), np.int64, default, convert=operator.index, outside=outside
    )


def integer(bits: int, *, default: int = 0, outside: Outside = "clamp") -> Field[int]:
    """A whole number from ``-2**(bits-1)`` to ``2**(bits-1) - 1``, bits 2 to 32; the column is int64."""
    _check_bits("integer", bits, 2, 32)
    return Field(
        lambda name: kinds.Int(name=name, bits=bits), np.int64, default, convert=operator.index, outside=outside
    )


def float32(*, default: float = 0.0, outside: Outside = "clamp") -> Field[float]:
    """A number that travels as IEEE 754 single; the column is float64. NaN is always an error, infinities are
    clamped or refused.
    """
    return Field(lambda name: kinds.Float32(name=name), np.float64, float(default), convert=float, outside=outside)


def boolean(*, default: bool = False) -> Field[bool]:
    """True or false."""
    return Field(lambda name: kinds.Bool(name=name), np.bool_, default, convert=bool)


# -- objects -----------------------------------------------------------------------------------------------------------


def text(*, max_bytes: int, default: str = "", outside: Outside = "clamp") -> Field[str]:
    """Text of at most ``max_bytes`` bytes of UTF-8 (1 to 65535); longer text is cut at a character, or refused."""
    _check_bits("text", max_bytes, 1, 65535)
    return Field(
        lambda name: kinds.Text(name=name, max_bytes=max_bytes), object, default, convert=_exactly(str), outside=outside
    )


def binary(*, max_bytes: int, default: bytes = b"", outside: Outside = "clamp") -> Field[bytes]:
    """At most ``max_bytes`` bytes (1 to 65535); longer ones are cut, or refused."""
    _check_bits("binary", max_bytes, 1, 65535)
    return Field(
        lambda name: kinds.Bytes(name=name, max_bytes=max_bytes),
        object,
        default,
        convert=_exactly(bytes),
        outside=outside,
    )


def value(*, max_bytes: int = 1024, default: Any = None) -> Field[Any]:
    """Anything msgpack can carry, at most ``max_bytes`` bytes when packed; more is an error.

    Lists and dicts may be changed in place: rows that hold one are packed again each tick to see it, about a
    microsecond a row. Numbers, text and tuples cost nothing while they stay the same object.
    """
    _check_bits("value", max_bytes, 1, 65535)
    return Field(lambda name: kinds.Value(name=name, max_bytes=max_bytes), object, default, convert=_unchanged)


def reference(target: type[Entity] | str) -> Field[Any]:
    """Another entity of type ``target`` (a class of the room, or its name when it is declared later), or None.

    Reads as the entity while it lives and as None from the moment it is despawned, whatever becomes of its id.
    """
    return Field(None, np.int64, 0, convert=_entity_key, target=target)


def local(kind: type | DTypeLike, *, default: Any = None) -> Field[Any]:
    """A field that never leaves the server: ``local(float)``, ``local(int)``, ``local(bool)``, any numpy number
    type, ``local(object)``.
    """
    dtype = np.dtype(kind)  # numpy maps Python's float to float64, int to int64
    if dtype.kind not in "biufO":
        raise DeclarationError(f"local({kind!r}): use float, int, bool, a numpy number type, or object")
    if default is None and dtype.kind != "O":
        default = dtype.type(0).item()
    return Field(None, dtype, default, convert=operator.index if dtype.kind in "iu" else _unchanged)


def owner() -> Field[Any]:
    """The player that owns an entity; every entity type has it already, by the name ``owner``."""
    return Field(lambda name: kinds.Owner(name=name), np.int64, 0, convert=_player_number)


def _check_bits(what: str, given: int, least: int, most: int) -> None:
    if not isinstance(given, int) or not least <= given <= most:
        raise DeclarationError(f"{what}({given!r}): give a whole number from {least} to {most}")


def _exactly(wanted: type) -> Callable[[Any], Any]:
    def check(given: Any) -> Any:
        if type(given) is not wanted:
            raise TypeError(f"it must be {wanted.__name__}, not {type(given).__name__}")
        return given

    return check


def _unchanged(given: Any) -> Any:
    return given


def _entity_key(given: Any) -> int:
    if given is None:
        return 0
    key: int = given._key
    return key


def _player_number(given: Any) -> int:
    if given is None:
        return 0
    return operator.index(given if isinstance(given, int) else given.number)
