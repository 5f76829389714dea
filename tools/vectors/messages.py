"""Messages other than frames."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgpack

from gameprotocol import (
    Hello,
    Returned,
    Welcome,
    encode_acknowledge,
    encode_input,
    encode_message,
    encode_reply,
    encode_request,
    encode_resync,
    limits,
    unpack_from_server,
)
from tools.vectors.building import X, field, pack, table
from tools.vectors.layout import plain
from tools.vectors.topics import Json, topic

#: Seat tokens as the reference server makes them.
FIRST_TOKEN: Final = "p1EiXzWcPvGqN0aVYlTSmUrC7k3hB9ds"
NEXT_TOKEN: Final = "Zt0vH6yQeLr2KdXnWb4sFgMjA8uOc1Pi"


@topic("client-messages")
def client_messages() -> Json:
    """What a client sends."""
    hello = Hello(name="Zo\u00eb", token="secret", options={"team": 2, "skin": "red"}, client="example/1")
    steer = [True, -0.5, 3, "go", b"\x01"]
    cases = [
        ("hello, all keys", "hello", hello.encode()),
        ("hello whose options hold bytes", "hello", Hello(options={"key": b"\x00\xff", "list": [b""]}).encode()),
        ("hello of defaults", "hello", Hello().encode()),
        *((note, "hello", hello.encode()) for note, hello in _joining_hellos()),
        ("first input, for the next tick, nothing acknowledged", "input", encode_input(1, 0, 0, 0, [False])),
        ("input for tick 1000", "input", encode_input(300, 1000, 994, 123456789, steer)),
        ("input with the largest numbers", "input", encode_input(2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1, [])),
        ("acknowledgement", "acknowledge", encode_acknowledge(994, 123456789)),
        ("message", "message", encode_message("chat", {"text": "hi", "to": [1, 2], "raw": b"\xff"})),
        ("message without a payload", "message", encode_message("ready", None)),
        ("message with a number", "message", encode_message("chat", "hi", 7)),
        ("message with the largest number", "message", encode_message("chat", None, 2**32 - 1)),
        ("request", "request", encode_request(8, "buy", {"item": 3})),
        ("request without a payload, with a number of 16 bits", "request", encode_request(300, "ready", None)),
        ("resync after a wrong hash", "resync", encode_resync(1000, 305419896, 2271560481)),
        (
            "resync with the digests of one table, which holds a row 2 and a row 65",
            "resync",
            encode_resync(1000, 305419896, 2271560481, [struct.pack("<64I", 0, 2000000000, 3000000000, *[0] * 61)]),
        ),
        ("resync without a hash: a delta did not fit", "resync", encode_resync(1000, 0, 0)),
    ]
    return {
        "description": "What clients send. `message` is what the reference encoder writes; any width is equally right.",
        "suite": "messages",
        "from": "client",
        "cases": [_message_case(*case) for case in cases],
    }


def _joining_hellos() -> list[tuple[str, Hello]]:
    asked = {"mode": "duel", "level": {"ge": 3, "le": 7}, "ranked": True, "map": {"in": ["ice", "sand"]}}
    back = Hello(name="Ann", client="example/1", seat=FIRST_TOKEN, tick=1005, messages=2)
    return [
        ("hello for the first room that a filter finds", Hello(name="Ann", method="join", filter=asked)),
        (
            "hello for a new room with a password",
            Hello(name="Ann", options={"rounds": 3}, method="create", filter={"mode": "duel"}, password="pass word"),
        ),
        ("hello for a room by its id", Hello(name="Ann", method="join_by_id", room_id="7", password="pass word")),
        ("hello for a private room", Hello(name="Ann", invite="K7PQ2MXA")),
        ("hello to watch", Hello(method="join_by_id", room_id="7", spectate=True)),
        ("hello for a seat that was reserved", Hello(name="Ann", seat=FIRST_TOKEN)),
        ("hello to come back", back),
        ("hello to come back without a replica", Hello(seat=FIRST_TOKEN, messages=2**32 - 1)),
    ]


@topic("server-messages")
def server_messages() -> Json:
    """What a server sends, besides frames."""
    steer = [
        {"name": "thrust", "type": "bool", "default": False},
        {"name": "turn", "type": "float", "default": 0.0, "low": -1.0, "high": 1.0},
        {"name": "word", "type": "str", "default": "go", "max_length": 8},
        {"name": "code", "type": "bytes", "default": b"\x01\xff", "max_length": 4},
    ]
    schema = {
        "tables": [table("Ship", field("owner", "owner"), X)],
        "input": {"name": "Steer", "fields": steer, "per_tick": 2, "missing": "neutral"},
    }
    welcome = Welcome(
        room="arena", room_id="7", player=12, tick=1000, tick_rate=20.0, schema=schema, server="tickwire/1"
    )
    items = unpack_from_server(welcome.encode())
    items[1] |= {"new_key": [1, 2]}
    plain_schema = {"tables": [table("Ship", X)], "input": {"name": "Steer", "fields": steer[:1]}}
    earlier = Welcome(room="arena", room_id="8", player=12, tick=0, tick_rate=20.0, schema=plain_schema)
    cases = [
        ("welcome", "welcome", welcome.encode()),
        ("welcome without the keys that have a default", "welcome", pack([2, _required(earlier)])),
        ("welcome with an unknown key and an extra item, which are skipped", "welcome", pack([*items, "extra"])),
        *((note, "welcome", message) for note, message in _other_welcomes(plain_schema)),
        ("message", "message", encode_message("score", [["Ann", 3], ["Bob", 2]])),
        ("message with an extra item, which is skipped", "message", pack([5, "bell", None, "extra"])),
        ("reply", "reply", encode_reply(8, {"gold": 40})),
        ("reply without a payload", "reply", encode_reply(300, None)),
        ("reply with an error", "reply", encode_reply(9, "come back tomorrow", "sold_out")),
        ("reply to a message without a number", "reply", encode_reply(0, "this room takes chat", "unknown")),
        ("reply with an extra item, which is skipped", "reply", pack([9, 8, None, 40, "extra"])),
        *((note, "returned", message) for note, message in _returns()),
    ]
    return {
        "description": "What servers send besides frames.",
        "suite": "messages",
        "from": "server",
        "cases": [_message_case(*case) for case in cases],
    }


def _required(welcome: Welcome) -> dict[str, Any]:
    items: dict[str, Any] = unpack_from_server(welcome.encode())[1]
    return {key: items[key] for key in ("room", "room_id", "player", "tick", "tick_rate", "schema")}


def _other_welcomes(schema: Any) -> list[tuple[str, bytes]]:
    def welcome(**keys: Any) -> bytes:
        base = {"room": "arena", "room_id": "9", "player": 12, "tick": 1000, "tick_rate": 20.0, "schema": schema}
        return Welcome(**{**base, **keys}).encode()

    return [
        ("welcome with a seat that is held", welcome(seat=FIRST_TOKEN, seat_seconds=30.0)),
        ("welcome of a room without a tick rate", welcome(tick_rate=0.0, seat=FIRST_TOKEN, seat_seconds=0.5)),
        ("welcome of a spectator who sees the past", welcome(spectator=True, delay_seconds=10.0)),
    ]


def _returns() -> list[tuple[str, bytes]]:
    back = Returned(player=12, tick=1405, seat=NEXT_TOKEN, seat_seconds=30.0, inputs=3, messages=8)
    items = unpack_from_server(back.encode())
    required = {key: items[1][key] for key in ("player", "tick", "seat")}
    return [
        ("the seat is given back", back.encode()),
        ("the seat is given back: keys that have a default are left out", pack([10, required])),
        ("the same: an unknown key and an extra item are skipped", pack([10, items[1] | {"new": 1}, "extra"])),
    ]


def _message_case(note: str, kind: str, message: bytes) -> Json:
    return {"note": note, "kind": kind, "items": plain(unpack_from_server(message)), "message": message.hex()}


def _joining_defaults() -> dict[str, Any]:
    places = {"method": "join_or_create", "room_id": "", "filter": {}, "invite": "", "password": ""}
    return {**places, "spectate": False, "seat": None, "tick": 0, "messages": 0}


@topic("refused-server-messages")
def refused_server_messages() -> Json:
    """What a client must not take in place of a welcome, an answer to a return, or a reply."""
    schema = {"tables": [table("Ship", X)], "input": None}
    good_welcome = {"room": "arena", "room_id": "7", "player": 12, "tick": 1000, "tick_rate": 20.0, "schema": schema}
    good_return = {"player": 12, "tick": 1405, "seat": NEXT_TOKEN}

    def welcome(**keys: Any) -> bytes:
        return pack([2, good_welcome | keys])

    def returned(**keys: Any) -> bytes:
        return pack([10, good_return | keys])

    def without(key: str, good: dict[str, Any], kind: int) -> bytes:
        return pack([kind, {name: item for name, item in good.items() if name != key}])

    cases = [
        *((f"welcome without {key}", "welcome", without(key, good_welcome, 2)) for key in good_welcome),
        ("welcome without its map", "welcome", pack([2])),
        ("welcome: a tick rate between 0 and 0.001", "welcome", welcome(tick_rate=0.0009)),
        ("welcome: a negative tick rate", "welcome", welcome(tick_rate=-1.0)),
        ("welcome: a tick rate above 10000", "welcome", welcome(tick_rate=10_001)),
        ("welcome: a tick rate that is nil", "welcome", welcome(tick_rate=None)),
        ("welcome: a seat that is a bin", "welcome", welcome(seat=b"seat")),
        ("welcome: negative seconds of a seat", "welcome", welcome(seat_seconds=-1)),
        ("welcome: seconds of a seat that are nil", "welcome", welcome(seat_seconds=None)),
        ("welcome: spectator that is a number", "welcome", welcome(spectator=1)),
        ("welcome: a negative delay", "welcome", welcome(delay_seconds=-0.5)),
        *((f"returned without {key}", "returned", without(key, good_return, 10)) for key in good_return),
        ("returned without its map", "returned", pack([10])),
        ("returned with an array for its map", "returned", pack([10, [12, 1405, NEXT_TOKEN]])),
        ("returned: player 0", "returned", returned(player=0)),
        ("returned: player 65536", "returned", returned(player=65536)),
        ("returned: a tick that is a float", "returned", returned(tick=1405.0)),
        ("returned: a tick of 33 bits", "returned", returned(tick=2**32)),
        ("returned: a seat that is nil", "returned", returned(seat=None)),
        ("returned: a seat that is a bin", "returned", returned(seat=b"seat")),
        ("returned: negative seconds", "returned", returned(seat_seconds=-0.5)),
        ("returned: seconds that are text", "returned", returned(seat_seconds="30")),
        ("returned: negative inputs", "returned", returned(inputs=-1)),
        ("returned: inputs of 33 bits", "returned", returned(inputs=2**32)),
        ("returned: inputs that are nil", "returned", returned(inputs=None)),
        ("returned: messages that are true", "returned", returned(messages=True)),
        ("returned: messages of 33 bits", "returned", returned(messages=2**32)),
        ("reply without a payload", "reply", pack([9, 8, None])),
        ("reply without a number", "reply", pack([9])),
        ("reply: a number that is nil", "reply", pack([9, None, None, 1])),
        ("reply: a negative number", "reply", pack([9, -1, None, 1])),
        ("reply: a number of 33 bits", "reply", pack([9, 2**32, None, 1])),
        ("reply: a number that is a float", "reply", pack([9, 8.0, None, 1])),
        ("reply: a code that is a number", "reply", pack([9, 8, 404, "not found"])),
        ("reply: a code that is false", "reply", pack([9, 8, False, 1])),
    ]
    return {
        "description": "Malformed messages of a server, besides frames. A client must refuse them all.",
        "suite": "refused-messages",
        "cases": [{"note": note, "kind": kind, "message": message.hex()} for note, kind, message in cases],
    }


@topic("refused-client-messages")
def refused_client_messages() -> Json:
    """First messages at and beyond the limits."""

    def hello(**keys: Any) -> bytes:
        return pack([1, keys])

    def nested(levels: int) -> Any:
        return 1 if levels == 0 else [nested(levels - 1)]

    name, texts = "n" * limits.PLAYER_NAME_BYTES, "t" * limits.CLIENT_TEXT_BYTES
    deepest = limits.CLIENT_DEPTH - 3  # the message, the map of the hello and that of the options are three
    cases = [
        ("smallest hello: no keys", 0, hello()),
        ("unknown keys and items are skipped", 0, pack([1, {"later": [1]}, "extra"])),
        ("longest name", 0, hello(name=name)),
        ("name one byte longer", 1007, hello(name=name + "n")),
        ("name whose last character makes it too long in UTF-8", 1007, hello(name=name[1:] + "\u00eb")),
        ("longest token", 0, hello(token=texts)),
        ("token one byte longer", 1007, hello(token=texts + "t")),
        ("longest bytes", 0, hello(options={"b": b"b" * limits.CLIENT_BYTES_BYTES})),
        ("bytes one longer", 1007, hello(options={"b": b"b" * (limits.CLIENT_BYTES_BYTES + 1)})),
        ("longest array", 0, hello(options={"a": [0] * limits.CLIENT_ARRAY_ITEMS})),
        ("array one longer", 1007, hello(options={"a": [0] * (limits.CLIENT_ARRAY_ITEMS + 1)})),
        ("largest map", 0, hello(options={f"{n}": 0 for n in range(limits.CLIENT_MAP_ITEMS)})),
        ("map one larger", 1007, hello(options={f"{n}": 0 for n in range(limits.CLIENT_MAP_ITEMS + 1)})),
        ("deepest nesting", 0, hello(options={"d": nested(deepest)})),
        ("nesting one deeper", 1007, hello(options={"d": nested(deepest + 1)})),
        ("longest map key", 0, hello(options={texts: 0})),
        ("map key one byte longer", 1007, hello(options={texts + "t": 0})),
        ("a map key that is a number", 1007, pack([1, {"options": {1: 2}}])),
        ("an extension type", 1007, hello(options={"e": msgpack.ExtType(5, b"x")})),
        ("a name that is a number", 1007, hello(name=5)),
        ("options that are an array", 1007, hello(options=[])),
        ("a method of joining that there is not", 1007, hello(method="join_or_wait")),
        ("a method that is nil", 1007, hello(method=None)),
        ("a room's id that is a number", 1007, hello(room_id=7)),
        ("a filter that is an array", 1007, hello(filter=[])),
        ("a filter that is nil", 1007, hello(filter=None)),
        ("an invite code that is nil", 1007, hello(invite=None)),
        ("a password that is a bin", 1007, hello(password=b"pass")),
        ("spectate that is a number", 1007, hello(spectate=0)),
        ("a seat that is a bin", 1007, hello(seat=b"seat")),
        ("a negative tick", 1007, hello(tick=-1)),
        ("a tick of 33 bits", 1007, hello(tick=2**32)),
        ("a count of messages that is a float", 1007, hello(messages=2.0)),
        ("a count of messages of 33 bits", 1007, hello(messages=2**32)),
        ("all keys of joining at their defaults", 0, hello(**_joining_defaults())),
        ("a tick and a count of messages without a seat, which mean nothing", 0, hello(tick=2**32 - 1, messages=5)),
        ("not msgpack", 1007, b"\xc1"),
        ("bytes behind the message", 1007, hello() + b"\0"),
        ("an acknowledgement before the hello", 4001, encode_acknowledge(0, 0)),
        ("a map in place of an array", 4001, pack({"kind": 1})),
        ("a hello without its map", 4001, pack([1])),
    ]
    return {
        "description": "First messages of a client, and the code with which the server closes; 0: it takes the hello.",
        "suite": "hellos",
        "cases": [{"note": note, "close": code, "message": message.hex()} for note, code, message in cases],
    }
