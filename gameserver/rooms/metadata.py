"""Metadata: what a room says of itself in listings, and the filters that players find rooms with. No socket, no clock.

An author declares one class for a type of rooms; each room has an instance and writes to it. A player's filter is
checked against the class before any room is looked at, so that a misspelt field is told and not just never met.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, overload

import msgspec
import numpy as np

from gameprotocol import CloseCode, ProtocolError, limits
from gameserver.world.errors import DeclarationError, FieldValueError

#: Longest text of a field without a ``Meta(max_length=...)`` of its own, and of a filter's value, in characters.
METADATA_TEXT_CHARACTERS: Final = 128
#: Most values that one ``in`` of a filter may name.
FILTER_CHOICES: Final = 16

_LEAST_INT, _MOST_INT = -(1 << 63), (1 << 63) - 1  # every msgpack and most JSON readers have room for these

#: Fields that no metadata may have: in ``GET /rooms?room=duel&level=3`` the word is taken.
_TAKEN: Final = frozenset({"room"})

_KINDS: Final[dict[type, type]] = {
    msgspec.inspect.BoolType: bool,
    msgspec.inspect.IntType: int,
    msgspec.inspect.FloatType: float,
    msgspec.inspect.StrType: str,
}
_NAMES: Final[dict[type, str]] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq,  # as a plain value only
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
    "ne": operator.ne,
    "in": lambda value, choices: value in choices,
}
_FOR_NUMBERS: Final = ("ge", "gt", "le", "lt", "ne", "in")
_FOR_OTHERS: Final = ("ne", "in")


class Metadata(msgspec.Struct, kw_only=True, gc=False):
    """What a room tells in listings: subclass it and declare fields of bool, int, float or str.

    Each field needs a default; bounds are given with msgspec's ``Meta``::

        class DuelInfo(Metadata):
            mode: str = "classic"
            level: Annotated[int, Meta(ge=1, le=50)] = 1

    Text without a ``Meta(max_length=...)`` may be `METADATA_TEXT_CHARACTERS` long.
    """


M = TypeVar("M", bound=Metadata)


class Condition(NamedTuple):
    """One thing that a filter asks of a field."""

    field: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Filter:
    """What a player wants a room's metadata to be; made by `parse_filter`.

    Attributes:
        conditions: all of them must hold.
    """

    conditions: tuple[Condition, ...] = ()

    @property
    def equalities(self) -> dict[str, Any]:
        """The plain values by field: a room that is made for this filter starts with them."""
        return {field: value for field, kind, value in self.conditions if kind == "eq"}

    def matches(self, metadata: Metadata | None) -> bool:
        """Whether a room with this metadata is one that the player wants."""
        return all(holds(getattr(metadata, field, None), kind, value) for field, kind, value in self.conditions)

    def matches_values(self, described: Mapping[str, Any]) -> bool:
        """The same for metadata as `describe` gives it."""
        return all(holds(described.get(field), kind, value) for field, kind, value in self.conditions)


def holds(actual: Any, kind: str, value: Any) -> bool:
    """Whether one condition holds; never for a value that the room's author wrote and that cannot be compared."""
    try:
        return actual is not None and bool(_OPERATORS[kind](actual, value))
    except (TypeError, ValueError):
        return False


# -- the author's side


def check_metadata(metadata_class: Any) -> None:
    """Find mistakes in a metadata class before anything starts.

    Raises:
        DeclarationError: names the class, the field and the cure.
    """
    if not (isinstance(metadata_class, type) and issubclass(metadata_class, Metadata)):
        raise DeclarationError(f"metadata = {metadata_class!r} is not a Metadata class: subclass gameserver.Metadata")
    name = metadata_class.__name__
    config = metadata_class.__struct_config__
    if config.array_like or config.tag is not None:
        raise DeclarationError(f"{name}: listings name the fields; leave array_like and tag alone")
    try:
        fields = msgspec.structs.fields(metadata_class)
    except (TypeError, NameError) as error:
        raise DeclarationError(f"{name} has a field whose type cannot be read: {error}") from None
    for field in fields:
        _check_field(name, field)
    try:
        describe(metadata_class())
    except (FieldValueError, TypeError, ValueError) as error:
        raise DeclarationError(f"the defaults of {name} do not fit: {error}") from None


def describe(metadata: Metadata | None) -> dict[str, Any]:
    """The values by field, for listings; numpy's numbers become Python's. Empty for a room without metadata.

    Raises:
        FieldValueError: the room's author wrote a value that does not fit its field.
    """
    if metadata is None:
        return {}
    values = {name: getattr(metadata, name) for name in metadata.__struct_fields__}
    for name, value in values.items():
        if isinstance(value, np.generic):
            values[name] = value.item()
    metadata_class = type(metadata)
    try:
        checked = msgspec.convert(values, metadata_class)
    except msgspec.ValidationError as error:
        raise FieldValueError(f"{metadata_class.__name__}: {_explain(error)}") from None
    described = {name: getattr(checked, name) for name in values}
    for name, value in described.items():
        problem = _unbounded(value, _max_lengths(metadata_class).get(name))
        if problem is not None:
            raise FieldValueError(f"{metadata_class.__name__}.{name} {problem}")
    return described


def _check_field(class_name: str, field: msgspec.structs.FieldInfo) -> None:
    where = f"{class_name}.{field.name}"
    try:
        kind = msgspec.inspect.type_info(field.type)
        msgspec.msgpack.Decoder(field.type)  # finds bounds that the type cannot have
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"{where}: {error}") from None
    if type(kind) not in _KINDS:
        raise DeclarationError(f"{where} is of type {field.type!r}: metadata holds bool, int, float or str")
    if field.name in _TAKEN:
        raise DeclarationError(f"{where}: the name is taken in listings; call the field something else")
    if field.encode_name != field.name:
        raise DeclarationError(f"{where} is renamed to {field.encode_name!r}: clients know fields by their own names")
    if field.default is msgspec.NODEFAULT:
        raise DeclarationError(f"{where} has no default: give one, a room starts with it")


# -- the players' side


def parse_filter(metadata_class: type[Metadata] | None, wire: Mapping[str, Any]) -> Filter:
    """Check what a client asks for: plain values, or ``{"ge": 3, "le": 7}`` with ge, gt, le, lt, ne and in.

    Args:
        metadata_class: of the type of rooms that are asked for; None when they have no metadata.
    Raises:
        ProtocolError: BAD_JOIN with a reason that fits a Close frame and holds nothing of what the client sent.
    """
    kinds = _kinds(metadata_class) if metadata_class is not None else {}
    conditions: list[Condition] = []
    for name, asked in wire.items():
        kind = kinds.get(name)
        if kind is None:
            _refuse(f"filter: {_known_fields(kinds)}")
        if isinstance(asked, Mapping):
            conditions += _read_bounds(name, kind, asked)
        else:
            conditions.append(Condition(name, "eq", _read_value(name, kind, asked)))
    return Filter(tuple(conditions))


@overload
def make_metadata(metadata_class: type[M], filter: Filter) -> M: ...
@overload
def make_metadata(metadata_class: None, filter: Filter) -> None: ...
def make_metadata(metadata_class: type[M] | None, filter: Filter) -> M | None:
    """What a room that is made for a filter starts with: the filter's plain values, and defaults for the others.

    Raises:
        ProtocolError: BAD_JOIN when a value is out of its field's bounds.
    """
    if metadata_class is None:
        return None
    try:
        return msgspec.convert(filter.equalities, metadata_class)
    except msgspec.ValidationError as error:
        _refuse(f"filter: {_explain(error)}")


def _read_bounds(name: str, kind: type, asked: Mapping[str, Any]) -> list[Condition]:
    allowed = _FOR_NUMBERS if kind in (int, float) else _FOR_OTHERS
    if not asked or any(key not in allowed for key in asked):
        _refuse(f"filter: {name} is {_NAMES[kind]}; give a value, or {', '.join(allowed[:-1])} or {allowed[-1]}")
    return [
        Condition(name, key, _read_choices(name, kind, bound) if key == "in" else _read_value(name, kind, bound))
        for key, bound in asked.items()
    ]


def _read_choices(name: str, kind: type, asked: Any) -> tuple[Any, ...]:
    if not isinstance(asked, (list, tuple)) or len(asked) > FILTER_CHOICES:
        _refuse(f"filter: {name} in: give a list of at most {FILTER_CHOICES} values")
    return tuple(_read_value(name, kind, choice) for choice in asked)


def _read_value(name: str, kind: type, value: Any) -> Any:
    """A value of a field's own type and no other; but a whole number is a number."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if type(value) is not kind and not (kind is float and is_whole):
        _refuse(f"filter: {name} is {_NAMES[kind]}")
    problem = _unbounded(value, METADATA_TEXT_CHARACTERS)
    if problem is not None:
        _refuse(f"filter: {name} {problem}")
    return float(value) if kind is float and is_whole else value


def _unbounded(value: Any, characters: int | None) -> str | None:
    """What is wrong with a value that nobody bounded; None for nothing."""
    if type(value) is float and not math.isfinite(value):
        return "is not finite"
    if type(value) is int and not _LEAST_INT <= value <= _MOST_INT:
        return "does not fit into 64 bits"
    if type(value) is str and characters is not None and len(value) > characters:
        return f"is longer than {characters} characters"
    return None


@functools.lru_cache(maxsize=256)
def _kinds(metadata_class: type[Metadata]) -> dict[str, type]:
    """The plain type of each field."""
    return {
        field.name: _KINDS[type(msgspec.inspect.type_info(field.type))]
        for field in msgspec.structs.fields(metadata_class)
    }


@functools.lru_cache(maxsize=256)
def _max_lengths(metadata_class: type[Metadata]) -> dict[str, int]:
    """How long each text without a bound of its own may be."""
    infos = {field.name: msgspec.inspect.type_info(field.type) for field in msgspec.structs.fields(metadata_class)}
    return {name: METADATA_TEXT_CHARACTERS for name, info in infos.items() if getattr(info, "max_length", None) is None}


def _known_fields(kinds: Mapping[str, type]) -> str:
    if not kinds:
        return "these rooms have no metadata"
    text, more = "these rooms have ", "and others"
    for index, name in enumerate(kinds):
        separator = ", " if index else ""
        if len(f"filter: {text}{separator}{name}, {more}".encode()) > limits.CLOSE_REASON_BYTES:
            return f"{text}{separator}{more}"
        text += separator + name
    return text


def _explain(error: msgspec.ValidationError) -> str:
    """msgspec's text with the field in front: ``level: Expected `int` >= 1``."""
    text, _, path = str(error).partition(" - at `$.")
    return f"{path[:-1]}: {text}" if path else text


def _refuse(reason: str) -> NoReturn:
    raise ProtocolError(CloseCode.BAD_JOIN, reason.encode()[: limits.CLOSE_REASON_BYTES].decode(errors="ignore"))
