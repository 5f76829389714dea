"""Declaring the fields of an entity type: ``x = fixed(0, 4000, step=1/16)``.

A declaration says four things: the simulation column (numpy, full precision), how the value travels (a kind of
`gameprotocol`), to whom (``to``), and what happens to a value that does not fit (``outside``). On an entity it is a
plain attribute.

``to`` is ``everyone``, ``owner``, ``group("team")``, or a field declared above in the same class: ``team = uint(4)``,
then ``plan = text(max_bytes=40, to=team)``.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, ParamSpec, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike

from gameprotocol import _fields as kinds
from gameprotocol._codec import pack_portable
from gameserver.world.audience import Audience, everyone, group, owner
from gameserver.world.errors import DeclarationError, FieldValueError

if TYPE_CHECKING:
    from gameserver.world.entity import Entity

T = TypeVar("T")
P = ParamSpec("P")
#: What becomes of a number outside its field's range: the nearest that fits, or an error that names entity and field.
Outside: TypeAlias = Literal["clamp", "error"]
MakeKind: TypeAlias = Callable[[str], kinds.FieldKind]
#: What ``to=`` takes: an audience, or the field whose value is the number of a group.
To: TypeAlias = "Audience | Field[Any]"


class Field(Generic[T]):
    """One declared field. Made by the functions below, not by hand.

    Attributes:
        name: set when the class is made.
        problem: what is wrong with the declaration; raised when the class is made, which alone can name it.
        make_kind: name to wire kind; None for a field that never travels.
        dtype: of the simulation column.
        default: what a new entity starts with.
        outside: see `Outside`.
        target: entity type (or its name) that a reference points to, else None.
        audience: to whom it travels.
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
        to: To = everyone,
        problem: Exception | None = None,
    ) -> None:
        if outside not in ("clamp", "error"):
            raise DeclarationError(f'outside={outside!r}: say outside="clamp" or outside="error"')
        self.name = ""
        self.problem = problem
        self.make_kind = make_kind
        self.dtype = np.dtype(dtype)
        self.convert = convert
        self.default = self._as_default(default)
        self.outside = outside
        self.target = target
        self._to = _check_to(to)

    @property
    def audience(self) -> Audience:
        to = self._to
        if isinstance(to, Field):
            return owner if to.name == "owner" else group(to.name)
        return to

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

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

    def converted(self, value: Any, entity_name: str) -> Any:
        """``value`` as the column holds it; FieldValueError, naming class and field, when it is of a wrong type."""
        try:
            return self.convert(value)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FieldValueError(f"{entity_name}.{self.name} cannot be {value!r}: {error}") from None

    def start(self) -> Any:
        """The default, of which each entity has its own when it can be changed in place."""
        return copy.deepcopy(self.default) if isinstance(self.default, _CHANGEABLE) else self.default

    def _as_default(self, default: Any) -> Any:
        try:
            return self.convert(default)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DeclarationError(f"default={default!r}: {error}") from None


_CHANGEABLE: Final = (list, dict, set, bytearray)


def _declares(make: Callable[P, Field[T]]) -> Callable[P, Field[T]]:
    """Keep what is wrong with a declaration until the class is made: only then are the class and the field known."""

    @wraps(make)
    def declare(*args: P.args, **keywords: P.kwargs) -> Field[T]:
        try:
            return make(*args, **keywords)
        except (TypeError, ValueError, OverflowError) as error:  # a DeclarationError is a TypeError
            return Field(None, object, None, convert=_unchanged, problem=error)

    return declare


# -- numbers -----------------------------------------------------------------------------------------------------------


@_declares
def fixed(
    low: float,
    high: float,
    *,
    step: float,
    default: float | None = None,
    outside: Outside = "clamp",
    to: To = everyone,
) -> Field[float]:
    """A number from ``low`` to ``high`` that travels in whole steps; the column is float64.

    Args:
        low, high: inclusive range, in the author's unit.
        step: the smallest difference that players can see, in the same unit.
        default: for new entities; 0 if that is in the range, else ``low``.
        outside: what becomes of values beyond the range (infinities too); NaN is always an error.
    """
    call = f"fixed({low!r}, {high!r}, step={step!r})"
    if not -_FARTHEST <= low < high <= _FARTHEST or not 0 < step <= _FARTHEST:  # so written, NaN comes in here too
        raise DeclarationError(f"{call}: low must be below high and step above 0, all finite")
    steps = (high - low) / step
    if steps > (1 << 32) - 1:
        raise DeclarationError(f"{call} has {steps:g} steps, more than 32 bits: use a larger step")
    count = round(steps) + 1
    if count < 2:
        raise DeclarationError(f"{call} has no two values: use a smaller step")
    start = default if default is not None else (0.0 if low <= 0 <= high else low)
    _check_default(start, low, high)
    return Field(
        lambda name: kinds.Fixed(name=name, low=float(low), step=float(step), count=count),
        np.float64,
        start,
        convert=_number,
        outside=outside,
        to=to,
    )


@_declares
def angle(*, bits: int = 8, default: float = 0.0, to: To = everyone) -> Field[float]:
    """An angle in radians, any value, that travels as ``bits`` bits of a turn (4 to 16); the column is float64."""
    _check_bits("angle", bits, 4, 16)
    _check_default(default, -_FARTHEST, _FARTHEST)
    return Field(lambda name: kinds.Angle(name=name, bits=bits), np.float64, default, convert=_number, to=to)


@_declares
def uint(bits: int, *, default: int = 0, outside: Outside = "clamp", to: To = everyone) -> Field[int]:
    """A whole number from 0 to ``2**bits - 1``, bits 1 to 32; the column is int64, so sums cannot wrap before they
    are checked.
    """
    _check_bits("uint", bits, 1, 32)
    _check_default(default, 0, (1 << bits) - 1)
    return Field(
        lambda name: kinds.Uint(name=name, bits=bits), np.int64, default, convert=_whole, outside=outside, to=to
    )


@_declares
def integer(bits: int, *, default: int = 0, outside: Outside = "clamp", to: To = everyone) -> Field[int]:
    """A whole number from ``-2**(bits-1)`` to ``2**(bits-1) - 1``, bits 2 to 32; the column is int64."""
    _check_bits("integer", bits, 2, 32)
    _check_default(default, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    return Field(
        lambda name: kinds.Int(name=name, bits=bits), np.int64, default, convert=_whole, outside=outside, to=to
    )


@_declares
def float32(*, default: float = 0.0, outside: Outside = "clamp", to: To = everyone) -> Field[float]:
    """A number that travels as IEEE 754 single; the column is float64. NaN is always an error, infinities are
    clamped or refused.
    """
    _check_default(default, -_FLOAT32_MAX, _FLOAT32_MAX)
    return Field(lambda name: kinds.Float32(name=name), np.float64, default, convert=_number, outside=outside, to=to)


@_declares
def boolean(*, default: bool = False, to: To = everyone) -> Field[bool]:
    """True or false."""
    return Field(lambda name: kinds.Bool(name=name), np.bool_, default, convert=bool, to=to)


# -- objects -----------------------------------------------------------------------------------------------------------


@_declares
def text(*, max_bytes: int, default: str = "", outside: Outside = "clamp", to: To = everyone) -> Field[str]:
    """Text of at most ``max_bytes`` bytes of UTF-8 (1 to 65535); longer text is cut at a character, or refused."""
    _check_bits("text", max_bytes, 1, 65535)
    _check_bytes(_exactly(str)(default).encode(), max_bytes)
    return Field(
        lambda name: kinds.Text(name=name, max_bytes=max_bytes),
        object,
        default,
        convert=_exactly(str),
        outside=outside,
        to=to,
    )


@_declares
def binary(*, max_bytes: int, default: bytes = b"", outside: Outside = "clamp", to: To = everyone) -> Field[bytes]:
    """At most ``max_bytes`` bytes (1 to 65535); longer ones are cut, or refused."""
    _check_bits("binary", max_bytes, 1, 65535)
    _check_bytes(_exactly(bytes)(default), max_bytes)
    return Field(
        lambda name: kinds.Bytes(name=name, max_bytes=max_bytes),
        object,
        default,
        convert=_exactly(bytes),
        outside=outside,
        to=to,
    )


@_declares
def value(*, max_bytes: int = 1024, default: Any = None, to: To = everyone) -> Field[Any]:
    """Anything msgpack can carry, at most ``max_bytes`` bytes when packed; more is an error.

    Lists and dicts may be changed in place: rows that hold one are packed again each tick to see it, about a
    microsecond a row. Numbers, text and tuples of them cost nothing while they stay the same object. A list or dict
    as ``default`` is copied for each entity.
    """
    _check_bits("value", max_bytes, 1, 65535)
    _check_bytes(pack_portable(default), max_bytes)
    return Field(lambda name: kinds.Value(name=name, max_bytes=max_bytes), object, default, convert=_unchanged, to=to)


@_declares
def reference(target: type[Entity] | str, *, to: To = everyone) -> Field[Any]:
    """Another entity of type ``target`` (a class of the room, or its name when it is declared later), or None.

    Reads as the entity while it lives and as None from the moment it is despawned, whatever becomes of its id. Read
    and write it on entities: its column holds numbers that mean nothing outside the table.
    """
    if not isinstance(target, (type, str)):
        raise DeclarationError(f"reference({target!r}): give an entity class, or its name")
    return Field(None, np.int64, None, convert=_entity_key, target=target, to=to)


@_declares
def local(kind: type | DTypeLike, *, default: Any = None) -> Field[Any]:
    """A field that never leaves the server: ``local(float)``, ``local(int)``, ``local(bool)``, any numpy number
    type, ``local(object)``.
    """
    dtype = np.dtype(kind)  # numpy maps Python's float to float64, int to int64
    if dtype.kind not in "biufO":
        raise DeclarationError(f"local({kind!r}): use float, int, bool, a numpy number type, or object")
    if default is None and dtype.kind != "O":
        default = dtype.type(0).item()
    convert: Callable[[Any], Any] = bool
    if dtype.kind in "iu":
        convert = _within(dtype)
    elif dtype.kind != "b":
        convert = _number if dtype.kind == "f" else _unchanged
    return Field(None, dtype, default, convert=convert)


def owner_field() -> Field[Any]:
    """The player that owns an entity; every entity type has it already, by the name ``owner``."""
    # clamped, a number that is too large would be another player's
    return Field(lambda name: kinds.Owner(name=name), np.int64, None, convert=_player_number, outside="error")


# -- checks and conversions --------------------------------------------------------------------------------------------

_FARTHEST: Final = 1e300  # bound of the wire's schema, so that differences of two numbers are finite
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_INT64: Final = np.iinfo(np.int64)


def _check_to(to: Any) -> To:
    if isinstance(to, (Audience, Field)):
        return to
    raise DeclarationError(f'to={to!r}: give everyone, owner, group("name"), or a field declared above')


def _check_bits(what: str, given: int, least: int, most: int) -> None:
    if type(given) is not int or not least <= given <= most:
        raise DeclarationError(f"{what}({given!r}): give a whole number from {least} to {most}")


def _check_default(given: float, low: float, high: float) -> None:
    if not low <= given <= high:
        raise DeclarationError(f"default={given!r} is outside {low} to {high}")


def _check_bytes(default: bytes, max_bytes: int) -> None:
    if len(default) > max_bytes:
        raise DeclarationError(f"the default has {len(default)} bytes, more than {max_bytes}")


def _number(given: Any) -> float:
    if isinstance(given, (str, bytes, bytearray)):  # float() would read them
        raise TypeError(f"it must be a number, not {type(given).__name__}")
    return float(given)


def _whole(given: Any) -> int:
    """A whole number for an int64 column. One beyond int64 is beyond every field too: which of the two ends is enough
    to clamp or refuse it later.
    """
    return min(max(operator.index(given), int(_INT64.min)), int(_INT64.max))


def _within(dtype: np.dtype[Any]) -> Callable[[Any], int]:
    info = np.iinfo(dtype)

    def check(given: Any) -> int:
        number = operator.index(given)
        if not info.min <= number <= info.max:
            raise ValueError(f"{dtype} holds {info.min} to {info.max}")
        return number

    return check


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
    key: int = given._key  # Table has made sure that it is an entity of the right table
    return key


def _player_number(given: Any) -> int:
    if given is None:
        return 0
    number = given if isinstance(given, int) else getattr(given, "number", None)
    if number is None:
        raise TypeError("give a player, a player's number, or None")
    return _whole(number)
