"""Handlers: methods of a room that take messages and requests of one kind, with payloads checked before they see them.

::

    class Buy(Message):
        item: int
        count: Annotated[int, Meta(ge=1, le=99)] = 1

    class Shop(Room):
        @handles("buy")
        def buy(self, player, buy: Buy):
            if buy.item not in self.goods:
                raise RequestError("sold out", "come back tomorrow")
            return {"gold": player.data.gold}

What a handler returns answers a request; of a plain message it is dropped.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar, get_type_hints

import msgspec

from gameprotocol import limits
from gameserver.world.errors import DeclarationError

F = TypeVar("F", bound=Callable[..., Any])

#: Where `handles` notes the kinds, on the function.
_MARK: Final = "_tickwire_kinds"
#: Of so many room classes the handlers are kept.
_CLASSES_KEPT: Final = 256
_PATH: Final = re.compile(r" - at `\$\.?(.*)`$")


class Message(msgspec.Struct, gc=False):
    """The payload of a message or request: subclass it and declare fields. It travels as a map, such as {"item": 3}.

    Bounds are given with msgspec's ``Meta``. Infinite and not-a-number floats are refused, bounds or none. Keys that
    are no field are ignored, so that newer clients can talk to older rooms.
    """


class RequestError(Exception):
    """Raised in a handler: the player is told, and nothing else happens.

    Attributes:
        code: a word for programs, such as "not your turn"; at most 64 bytes.
        text: for people.
    """

    def __init__(self, code: str, text: str = "") -> None:
        if not isinstance(code, str) or not 1 <= len(code.encode()) <= limits.MESSAGE_NAME_BYTES:
            raise TypeError(f"RequestError({code!r}): the code is text of 1 to {limits.MESSAGE_NAME_BYTES} bytes")
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code
        self.text = text


class Handler(NamedTuple):
    """One handler of a room class.

    Attributes:
        kind: of the messages and requests it takes.
        function: call it with the room, the player and the converted payload. Of an async one await what it returns.
        convert: checks a payload; RequestError "invalid" with the field named when it does not fit.
        is_async: whether it runs outside the tick.
    """

    kind: str
    function: Callable[[Any, Any, Any], Any]
    convert: Callable[[Any], Any]
    is_async: bool


def handles(kind: str) -> Callable[[F], F]:
    """Have the method below take messages and requests of this kind.

    The annotation of its third parameter says what the payload must be: a `Message` class, or any type that msgspec can
    check, such as ``int`` or ``Annotated[str, Meta(max_length=200)]``. Without one, or with ``Any``, nothing is
    checked. A method with two parameters, ``(self, player)``, takes no payload. A method that overrides a handler is
    one, too.
    """
    if not isinstance(kind, str):
        name = getattr(kind, "__name__", "method")
        raise DeclarationError(f'@handles on {name}: say which kind of message it takes, @handles("{name}")')

    def mark(function: F) -> F:
        setattr(function, _MARK, (*getattr(function, _MARK, ()), kind))
        return function

    return mark


def find_handlers(room_class: type) -> dict[str, Handler]:
    """The handlers of a room class, by kind; inherited ones too.

    Raises:
        DeclarationError: names class and method, and what to do.
    """
    return _find_handlers(room_class)


@functools.lru_cache(maxsize=_CLASSES_KEPT)  # each room asks
def _find_handlers(room_class: type) -> dict[str, Handler]:
    found: dict[str, Handler] = {}
    methods: dict[str, str] = {}
    for name, versions in _marked(room_class):
        where = f"{room_class.__name__}.{name}"
        takes_payload = _check_method(versions[0], where)
        convert = _converter(_payload_type(room_class, versions, where), where) if takes_payload else _ignore
        function = versions[0] if takes_payload else _without_payload(versions[0])
        for kind in _kinds(versions):
            _check_kind(kind, where)
            if kind in found:
                raise DeclarationError(
                    f'{where} handles "{kind}", as {methods[kind]} does: one method a kind; to change what a '
                    f"base class does, give yours the same name"
                )
            found[kind] = Handler(kind, function, convert, inspect.iscoroutinefunction(versions[0]))
            methods[kind] = name
    return found


# -- declarations


def _marked(room_class: type) -> Iterator[tuple[str, list[Any]]]:
    """Names of handlers, base classes first, and what the name means in each class that has it, the newest first."""
    names = {name: None for base in reversed(room_class.__mro__) for name in vars(base)}
    for name in names:
        versions = [vars(base)[name] for base in room_class.__mro__ if name in vars(base)]
        if versions[0] is not None and any(hasattr(version, _MARK) for version in versions):
            yield name, versions


def _kinds(versions: list[Any]) -> tuple[str, ...]:
    """The kinds of a handler; one that overrides another takes its kinds, unless it says which."""
    return next(tuple(getattr(version, _MARK)) for version in versions if hasattr(version, _MARK))


def _check_kind(kind: str, where: str) -> None:
    if not 1 <= len(kind.encode()) <= limits.MESSAGE_NAME_BYTES:
        raise DeclarationError(
            f'{where} handles "{kind[:20]}...": a kind is a name of 1 to {limits.MESSAGE_NAME_BYTES} bytes'
        )


def _check_method(method: Any, where: str) -> bool:
    """Whether a handler takes a payload; DeclarationError when it cannot be one."""
    if not inspect.isfunction(method):
        raise DeclarationError(f"{where} is a handler and so must be a plain method: def ...(self, player, payload)")
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise DeclarationError(f"{where} is a handler and has a yield: return the answer instead")
    parameters = [*inspect.signature(method).parameters.values()]
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) not in (2, 3) or any(parameter.kind not in by_position for parameter in parameters):
        raise DeclarationError(
            f"{where} is a handler: it takes (self, player, payload), or (self, player) when nothing comes with it"
        )
    return len(parameters) == 3


def _payload_type(room_class: type, versions: list[Any], where: str) -> Any:
    """What the third parameter is annotated with; one that overrides another and does not say keeps to its type."""
    for version in versions:
        if not inspect.isfunction(version):
            continue
        parameters = [*inspect.signature(version).parameters.values()]
        if len(parameters) == 3 and parameters[2].annotation is not inspect.Parameter.empty:
            return _resolve(parameters[2].annotation, version, room_class, where)
    return Any


def _resolve(annotation: Any, function: Any, room_class: type, where: str) -> Any:
    """The type that an annotation means; those of other parameters may be names that exist for type checkers only."""
    shim = type("Payload", (), {"__annotations__": {"payload": annotation}})
    nested = {
        name: value
        for base in reversed(room_class.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, type) and value.__name__ == name
    }
    try:
        return get_type_hints(shim, function.__globals__, nested, include_extras=True)["payload"]
    except Exception as error:
        raise DeclarationError(
            f"{where}: the payload's type {annotation!r} cannot be read ({error}): define or import it at the top of "
            f"the module, not inside a function and not under TYPE_CHECKING"
        ) from None


def _without_payload(method: Any) -> Callable[[Any, Any, Any], Any]:
    if not inspect.iscoroutinefunction(method):
        return lambda room, player, _: method(room, player)

    async def call(room: Any, player: Any, _: Any) -> Any:
        return await method(room, player)

    return call


# -- payloads


def _ignore(payload: Any) -> Any:
    return None


def _unchecked(payload: Any) -> Any:
    return payload


def _converter(payload_type: Any, where: str) -> Callable[[Any], Any]:
    """What turns a payload into a value of a type; DeclarationError when no payload can be one."""
    if payload_type is Any:
        return _unchecked
    try:
        shape = msgspec.inspect.type_info(payload_type)
        msgspec.msgpack.Decoder(payload_type)  # finds bounds that the type cannot have
        strange = _strange_part(shape, set())
    except Exception as error:
        raise DeclarationError(f"{where}: its payload cannot be checked: {error}") from None
    if strange is not None:
        raise DeclarationError(
            f"{where}: a payload cannot be a {strange.__name__}: give a Message class, or a type of bool, int, float, "
            f"str, bytes, list and dict"
        )

    def convert(payload: Any) -> Any:
        try:
            value = msgspec.convert(payload, payload_type, strict=True, builtin_types=(bytes,))
        except msgspec.ValidationError as error:
            raise RequestError("invalid", _explain(str(error))) from None
        place = _not_finite(value, "")
        if place is not None:
            raise RequestError("invalid", f"{place}Expected a finite `float`")
        return value

    return convert


def _strange_part(shape: Any, seen: set[int]) -> type | None:
    """A class within a type that nothing of msgpack can be turned into, None when there is none."""
    if isinstance(shape, msgspec.inspect.CustomType):
        return shape.cls
    if isinstance(shape, (tuple, list)):
        parts: Any = shape
    elif isinstance(shape, (msgspec.inspect.Type, msgspec.inspect.Field)) and id(shape) not in seen:
        seen.add(id(shape))
        parts = [getattr(shape, name) for name in shape.__struct_fields__]
    else:
        return None
    return next((strange for part in parts if (strange := _strange_part(part, seen)) is not None), None)


def _explain(text: str) -> str:
    """An error of msgspec's with the field in front."""
    found = _PATH.search(text)
    return text if found is None else f"{found[1]}: {text[: found.start()]}"


def _not_finite(value: Any, place: str) -> str | None:
    """Where in a payload a float is infinite or not a number, as ``"field: "``; None when there is none."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place and f"{place}: "
    if isinstance(value, msgspec.Struct):
        parts: Any = [(name, getattr(value, name)) for name in value.__struct_fields__]
    elif isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = enumerate(value)
    else:
        return None
    for name, part in parts:
        found = _not_finite(part, f"{place}.{name}" if place else str(name))
        if found is not None:
            return found
    return None
