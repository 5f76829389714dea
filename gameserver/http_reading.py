"""What requests for rooms and seats say: queries as filters, paths and JSON as hellos. Pure.

Nothing of what came stands in a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, get_args
from urllib.parse import parse_qsl

import msgspec

from gameprotocol import CloseCode, Hello, JoinMethod, ProtocolError, limits
from gameserver.net.http import HttpRequest
from gameserver.rooms.metadata import Metadata, parse_filter

#: What the paths of requests for seats begin with.
MATCHMAKE: Final = "/matchmake/"
_METHODS: Final[tuple[JoinMethod, ...]] = get_args(JoinMethod)
#: What may stand in a URL's path without being escaped (RFC 3986, 2.3); names of rooms have nothing else.
_NAME: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")
#: RFC 6750, 2.1.
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_JSON_TYPE: Final = re.compile(r"application/json *(?:; *charset=\"?utf-8\"?)?", re.IGNORECASE)
_FIELD_QUERY: Final = re.compile(r"(.+)\.(ge|gt|le|lt|ne|in)")

#: Objects and lists of a body, and brackets in its texts: 5000 lists, which it has room for, take 2 ms to make.
_BRACKETS: Final = 1000
#: Depth of a body: as deep as a hello may be, in which the same map stands in an array.
_BODY_DEPTH: Final = limits.CLIENT_DEPTH - 1
#: Whole numbers that msgpack has, and with it a hello.
_LEAST_INT, _MOST_INT = -(1 << 63), (1 << 64) - 1
#: Parameters of a query: each field of a filter may have several.
_QUERY_ITEMS: Final = 64


# ---- queries


def parse_query(query: str) -> dict[str, str | list[str]]:
    """Parameters by name; a list of the values where there are several of one name.

    Raises:
        ProtocolError: BAD_JOIN when it cannot be read.
    """
    if not query:
        return {}
    try:
        items = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_QUERY_ITEMS
        )
    except ValueError:
        raise ProtocolError(CloseCode.BAD_JOIN, "the query is malformed: write ?room=NAME&FIELD=value") from None
    found: dict[str, str | list[str]] = {}
    for name, value in items:
        had = found.get(name)
        found[name] = value if had is None else [*([had] if isinstance(had, str) else had), value]
    return found


def parse_query_filter(metadata_class: type[Metadata] | None, query: Mapping[str, str | list[str]]) -> dict[str, Any]:
    """A filter as a hello has it, of parameters such as ``mode=duel``, ``level.ge=3`` and ``level.in=3&level.in=4``.

    Values become what the fields of ``metadata_class`` are where they can; `parse_filter` judges the others.

    Raises:
        ProtocolError: BAD_JOIN when a field has several values that are not one ``in``.
    """
    types = _types(metadata_class)
    wire: dict[str, Any] = {}
    for name, given in query.items():
        found = _FIELD_QUERY.fullmatch(name)
        field, bound = (found[1], found[2]) if found is not None else (name, None)
        kind = types.get(field, str)
        values = [_converted(text, kind) for text in ([given] if isinstance(given, str) else given)]
        if bound is None and field not in wire and len(values) == 1:
            wire[field] = values[0]
        elif bound is not None and isinstance(wire.setdefault(field, {}), dict) and (bound == "in" or len(values) == 1):
            wire[field][bound] = values if bound == "in" else values[0]
        else:
            raise ProtocolError(
                CloseCode.BAD_JOIN, "the query gives a field more than one value: write FIELD.in for that"
            )
    return wire


def read_filters(
    query: Mapping[str, str | list[str]], classes: Mapping[str, type[Metadata] | None]
) -> dict[str, Callable[[Mapping[str, Any]], bool]]:
    """What decides, for each room type, on the metadata of a room; types that cannot match are left out.

    Raises:
        ProtocolError: BAD_JOIN when no type can.
    """
    filters: dict[str, Callable[[Mapping[str, Any]], bool]] = {}
    refusal: ProtocolError | None = None
    for name, metadata_class in classes.items():
        try:
            filters[name] = parse_filter(metadata_class, parse_query_filter(metadata_class, query)).matches_values
        except ProtocolError as error:
            refusal = refusal if refusal is not None and metadata_class is None else error
    if refusal is not None and not filters:
        raise refusal
    return filters


def _types(metadata_class: type[Metadata] | None) -> dict[str, type]:
    """The plain type of each field, without its bounds."""
    if metadata_class is None:
        return {}
    plain = {msgspec.inspect.BoolType: bool, msgspec.inspect.IntType: int, msgspec.inspect.FloatType: float}
    return {
        field.name: plain.get(type(msgspec.inspect.type_info(field.type)), str)
        for field in msgspec.structs.fields(metadata_class)
    }


def _converted(text: str, kind: type) -> Any:
    """``text`` as a value of ``kind``; as it is when it is none."""
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        return text


# ---- seats


class MatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a POST may say; the same as in a hello. ``spectate`` is known so that it is refused with a reason."""

    name: str = ""
    options: dict[str, Any] = {}
    filter: dict[str, Any] = {}
    password: str = ""
    invite: str = ""
    token: str | None = None
    spectate: bool = False


def read_path(path: str) -> tuple[str, JoinMethod, str]:
    """Room type, method and room id ("" for none) of ``/matchmake/METHOD/ROOM[/ROOM_ID]``."""
    named, _, rest = path.removeprefix(MATCHMAKE).partition("/")
    room, *ids = rest.split("/")
    method = next((each for each in _METHODS if each == named), None)
    if method is None or len(ids) > 1 or not all(map(_NAME.fullmatch, (room, *ids))):
        raise ProtocolError(CloseCode.UNKNOWN_ROOM, f"write {MATCHMAKE}METHOD/ROOM; methods are {', '.join(_METHODS)}")
    if bool(ids) is not (method == "join_by_id"):
        raise ProtocolError(CloseCode.BAD_JOIN, "a room id stands behind the room's name for join_by_id, and else not")
    return room, method, ids[0] if ids else ""


def read_hello(request: HttpRequest, method: JoinMethod, room_id: str) -> Hello:
    """What the body and the Authorization field would be in a hello.

    Raises:
        ProtocolError: 1003 for another type than JSON, 1007 for a body that cannot be read, 4015 for what is not
            possible.
    """
    kind, encoding = request.field("content-type"), request.field("content-encoding")
    if (request.body or kind is not None) and not _JSON_TYPE.fullmatch(kind or ""):
        raise ProtocolError(CloseCode.UNSUPPORTED, "the body must be JSON: send Content-Type: application/json")
    if encoding is not None and encoding.lower() != "identity":
        raise ProtocolError(CloseCode.UNSUPPORTED, "the body must not be compressed")
    body = read_body(request.body)
    if body.spectate:
        raise ProtocolError(CloseCode.BAD_JOIN, "who only watches needs no seat: connect with spectate in the hello")
    return Hello(
        name=body.name,
        token=body.token if body.token is not None else _bearer(request),
        options=body.options,
        client="http",
        method=method,
        room_id=room_id,
        filter=body.filter,
        invite=body.invite,
        password=body.password,
    )


def read_body(data: bytes) -> MatchBody:
    """Decode a body within the bounds that a hello has; an empty one says nothing.

    Raises:
        ProtocolError: 1007, with a reason that holds nothing of the body.
    """
    if not data:
        return MatchBody()
    if data.count(b"[") + data.count(b"{") > _BRACKETS:
        raise _undecodable("the body has too many objects and lists")
    try:
        body = _decode(data)
    except msgspec.ValidationError:
        known = ", ".join(MatchBody.__struct_fields__[:-1])
        raise _undecodable(f"the body may have {known}; options and filter are objects, the others texts") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise _undecodable("the body is not JSON") from None
    _Bounds().check((body.name, body.password, body.invite, body.token, body.options, body.filter), _BODY_DEPTH)
    if len(body.name.encode()) > limits.PLAYER_NAME_BYTES:
        raise _undecodable(f"name is longer than {limits.PLAYER_NAME_BYTES} bytes")
    return body


_decode: Final = msgspec.json.Decoder(MatchBody).decode


class _Bounds:
    """Holds JSON to the bounds of a hello (`gameprotocol.limits`): what an author's hook is given is no larger."""

    def __init__(self) -> None:
        self._maps_left = limits.CLIENT_MAPS

    def check(self, value: Any, depth: int) -> None:
        """ProtocolError 1007 when ``value`` holds too much, or is deeper than ``depth``."""
        if isinstance(value, str):
            if len(value.encode()) > limits.CLIENT_TEXT_BYTES:
                raise _undecodable(f"a text is longer than {limits.CLIENT_TEXT_BYTES} bytes")
        elif isinstance(value, int):
            if not _LEAST_INT <= value <= _MOST_INT:
                raise _undecodable("a number does not fit into 64 bits")
        elif isinstance(value, (dict, list, tuple)):
            self._check_items(value, depth)

    def _check_items(self, value: dict[str, Any] | list[Any] | tuple[Any, ...], depth: int) -> None:
        if not depth:
            raise _undecodable(f"the body is nested deeper than {_BODY_DEPTH}")
        items: Iterable[Any] = value
        most = limits.CLIENT_ARRAY_ITEMS
        if isinstance(value, dict):
            self._maps_left -= 1
            most = limits.CLIENT_MAP_ITEMS
            items = (*value, *value.values())
        if len(value) > most or self._maps_left < 0:
            raise _undecodable("an object or a list has too many items")
        for item in items:
            self.check(item, depth - 1)


def _bearer(request: HttpRequest) -> str | None:
    found = _BEARER.fullmatch(request.field("authorization") or "")
    if found is None:
        return None
    if len(found[1]) > limits.CLIENT_TEXT_BYTES:
        raise _undecodable(f"the token is longer than {limits.CLIENT_TEXT_BYTES} bytes")
    return found[1]


def _undecodable(reason: str) -> ProtocolError:
    return ProtocolError(CloseCode.UNDECODABLE, reason)
