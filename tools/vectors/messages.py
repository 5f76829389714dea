"""Messages other than frames."""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from gameprotocol import (
    Hello,
    Welcome,
    encode_acknowledge,
    encode_input,
    encode_message,
    encode_resync,
    limits,
    unpack_from_server,
)
from tools.vectors.building import X, field, pack, table
from tools.vectors.layout import plain
from tools.vectors.topics import Json, topic


@topic("client-messages")
def client_messages() -> Json:
    """What a client sends."""
    hello = Hello(name="Zo\u00eb", token="secret", options={"team": 2, "skin": "red"}, client="example/1")
    steer = [True, -0.5, 3, "go", b"\x01"]
    cases = [
        ("hello, all keys", "hello", hello.encode()),
        ("hello whose options hold bytes", "hello", Hello(options={"key": b"\x00\xff", "list": [b""]}).encode()),
        ("hello of defaults", "hello", Hello().encode()),
        ("first input, for the next tick, nothing acknowledged", "input", encode_input(1, 0, 0, 0, [False])),
        ("input for tick 1000", "input", encode_input(300, 1000, 994, 123456789, steer)),
        ("input with the largest numbers", "input", encode_input(2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1, [])),
        ("acknowledgement", "acknowledge", encode_acknowledge(994, 123456789)),
        ("message", "message", encode_message("chat", {"text": "hi", "to": [1, 2], "raw": b"\xff"})),
        ("message without a payload", "message", encode_message("ready", None)),
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
        ("message", "message", encode_message("score", [["Ann", 3], ["Bob", 2]])),
        ("message with an extra item, which is skipped", "message", pack([5, "bell", None, "extra"])),
    ]
    return {
        "description": "What servers send besides frames.",
        "suite": "messages",
        "from": "server",
        "cases": [_message_case(*case) for case in cases],
    }


def _required(welcome: Welcome) -> dict[str, Any]:
    items: dict[str, Any] = unpack_from_server(welcome.encode())[1]
    return {key: item for key, item in items.items() if key not in ("message_bytes", "server")}


def _message_case(note: str, kind: str, message: bytes) -> Json:
    return {"note": note, "kind": kind, "items": plain(unpack_from_server(message)), "message": message.hex()}


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
