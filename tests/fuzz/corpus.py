"""Where fuzzing starts: whole, well-formed inputs of each parser, most of them from the golden vectors."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from gameprotocol import pack
from gameprotocol._websocket import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    binary_frame,
    close_payload,
    frame_header,
    masked_frame,
)

_VECTORS: Final = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
_MASK: Final = bytes.fromhex("37fa213d")

#: The schema that frames are fuzzed against: every kind of field, a companion, room-wide state.
FRAME_SCHEMA: Final[dict[str, Any]] = {
    "tables": [
        {
            "name": "Thing",
            "fields": [
                {"kind": "owner", "name": "owner"},
                {"kind": "fixed", "name": "x", "low": -5.0, "step": 0.5, "count": 60_000},
                {"kind": "angle", "name": "a", "bits": 10},
                {"kind": "uint", "name": "u", "bits": 3},
                {"kind": "int", "name": "i", "bits": 17},
                {"kind": "float32", "name": "f"},
                {"kind": "bool", "name": "b"},
                {"kind": "reference", "name": "friend", "table": 0},
            ],
        },
        {
            "name": "Note",
            "fields": [
                {"kind": "text", "name": "t", "max_bytes": 8},
                {"kind": "bytes", "name": "raw", "max_bytes": 8},
                {"kind": "value", "name": "v", "max_bytes": 64},
            ],
        },
        {"name": "Thing@owner", "of": 0, "fields": [{"kind": "uint", "name": "ammo", "bits": 32}]},
        {"name": "Match", "single": True, "fields": [{"kind": "uint", "name": "phase", "bits": 8}]},
    ],
    "input": {"name": "Steer", "fields": [{"name": "fire", "type": "bool", "default": False}]},
}

WELCOME: Final = pack(
    [2, {"room": "r", "room_id": "1", "player": 7, "tick": 1, "tick_rate": 20.0, "schema": FRAME_SCHEMA}]
)

_HEADER: Final = [0, None, None, None, 5]
_THREE: Final = [b"\1\1\1"]
_THINGS: Final = [_THREE, 7, b"\1\0\2\0\3\0", b"\1\0\2\0\3\0", 5, b"\xff\0\0", b"\0\0\x80\x3f" * 3, b"\5", b"\1\2\0"]
_NOTES: Final = [_THREE, ["a", "bc", ""], [b"", b"\0", b"xyz"], [pack(None), pack({"k": [1]}), pack(2.5)]]

#: A full frame at tick 10 that fills every table of `FRAME_SCHEMA`, and two deltas that follow it.
FULL_FRAME: Final = pack(
    [
        *(3, [10, 0, *_HEADER], None),
        [0, None, None, _THINGS],
        [1, None, None, _NOTES],
        [2, None, None, [[b"\1"], 9]],
        [3, None, None, [[b"\1"], 4]],
    ]
)
_MOVES: Final = pack(
    [
        *(3, [11, 1, 3, -5, 77, 900, 6], 0x12345678),
        [0, None, None, None, [None, 1, [b"\1\2\xff"]]],
        [0, [b"\1\1"], None, None, [b"\2", 2, [b"\x80", b"\3\0"], 6, 1], [[b"\1"], 4, -60_000]],
        [1, None, None, None, [b"\5", 0, ["x", "y"]]],
        [2, None, None, [[b"\2"], b"\x10\x27\0\0"]],
        [-1, "later"],
    ]
)
_LEAVES: Final = pack(
    [3, [13, 2, *_HEADER], None, [0, None, b"\2", [[b"\xff\1", b"\0\1\0\0"], *[0] * 8]], [1, None, [b"\3"], None]]
)

_REQUEST: Final = (
    b"GET /arena?x=1 HTTP/1.1\r\nHost: game.example:8765\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: tickwire.1\r\n"
)
_REQUESTS: Final = [
    _REQUEST + b"\r\n",
    _REQUEST + b"Origin: https://game.example\r\nX-Forwarded-For: 10.1.2.3, [2001:db8::1]:80\r\n\r\n\x82\x80",
    _REQUEST + b"Sec-WebSocket-Protocol: other, tickwire.2\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    _REQUEST.replace(b"game.example:8765", b"[::1]:80") + b"Origin: null\r\nCookie: a=b; c=d\r\n\r\n",
    _REQUEST.replace(b"game.example:8765", b"xn--bcher-kva.example") + b"User-Agent: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    b"GET http://h/ HTTP/1.0\r\n\r\n",
    _REQUEST.replace(b"game.example:8765", b"xn--a-\xff.example") + b"\r\n",
    _REQUEST.replace(b"game.example:8765", b"xn--99999.example") + b"\r\n",
    *(_REQUEST + b"Cookie: " + b"c" * more + b"\r\n\r\n" for more in (7900, 8000, 8200)),
    _REQUEST + b"X: y\r\n" * 70 + b"\r\n",
]

#: ``<accept>`` stands for the key's answer, which the target fills in.
_ANSWERS: Final = [
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: <accept>\r\nSec-WebSocket-Protocol: tickwire.1\r\n\r\n" + binary_frame(b"hello"),
    b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: <accept>\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nContent-Length: 5\r\n\r\nlater",
    b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.0 503 Busy\r\nConnection: close\r\n\r\nthe server is full",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
]

#: Each of them is refused, deep inside something that is otherwise right.
_BAD_CHUNKS: Final[list[Any]] = [
    [0, None, None, None, [None, 3, b"\1\2\x08"]],  # above 3 bits
    [0, None, None, None, [None, 4, [b"\x80\1\1", b"\0\0\1\0"]]],  # above 17 bits
    [0, None, None, None, [None, 1, [b"\x9c\0\0"]]],  # below 0 by a difference
    [0, None, None, None, [None, 0, 65_536]],
    [0, None, None, None, [[b"\x09"], 3, 1]],  # a row that is not held
    [0, [b"\x09"], None, None, [None, 3, 1]],
    [0, None, [b"\x09"], None],
    [0, None, None, [[b"\0"], *[0] * 8]],
    [0, None, None, [[b"\xff", b"\xff" * 4], *[0] * 8]],  # an id beyond all tables
    [0, None, None, [[b"\1"], *[0] * 7]],
    [0, None, None, 5],
    [0, None, 7, None],
    [0, 0.5, None, None],
    [0, None, None, {"a": 1}],
    [0, None, None, None, [None, True, 1]],
    [0, None, None, None, [None, 3]],
    [1, None, None, None, [None, 0, ["a", "b", b"c"]]],
    [4, None, None, None],
    [True, None, None, None],
    [0],
    [],
    None,
]
#: What a client whose clock says 5000 s is told of its round trip: nothing was lost on the way.
_TIMED: Final = pack([3, [11, 1, 1, 5, 5_000_000_000 % (1 << 32), 0, 6], None])
_BAD_FRAMES: Final = [pack([3, [11, 1, *_HEADER], None, chunk]) for chunk in _BAD_CHUNKS]


def _input(*values: Any, sequence: int = 1) -> bytes:
    return pack([4, [sequence, 0, 0, 0], list(values)])


#: What a server must refuse, or read in another way than it looks.
_BAD_INPUTS: Final = [
    *(_input(True, 0, 0, number, 0.0) for number in (float("inf"), -float("inf"), float("nan"), 1 << 63)),
    *(_input(True, 0, 0, 0.0, number) for number in (float("inf"), float("nan"), 1.5)),
    *(_input(True, number) for number in (-(1 << 63), (1 << 64) - 1, 1.0, True, None)),
    _input(True, 0, 6),
    _input(True, 0, 0, 0, 0, "a" * 9),
    _input(True, 0, 0, 0, 0, "word", b"r" * 9),
    _input(True, 0, 0, 0, 0, "word").replace(b"word", b"\xff\xfe\xff\xfe"),
    _input(True, sequence=0),
    _input(True, sequence=1 << 32),
    b"\xdc\0\3" + _input(False)[1:],
]
_BAD_MESSAGES: Final = [
    pack([5, "k" * 65, None]),
    pack([5, "\xe9" * 33, None]),
    pack([5, "kind"]),
    pack([5, b"kind", 1]),
    *(pack([6, number, 0]) for number in (1 << 32, 1 << 40, -1, True, 1.0)),
    *(pack([6, 0, number]) for number in (1 << 32, 1 << 63, -1, None)),
    *(pack([7, 1, 2, 3, digests]) for digests in ([1, 2, 3], [b""] * 3, [b"abcd"] * 3, [b"abcd", b"", b""], 5, [])),
    pack([7, 1 << 32, 2, 3]),
    pack([1, {}]),
    pack([True, 1]),
    pack(["4", 1]),
    pack({}),
    b"",
]

_PAYLOADS: Final = [b"hello", bytes(126), bytes(300), bytes(4096), bytes(4097)]


@cache
def _vectors(suite: str) -> list[Any]:
    found = [json.loads(path.read_text()) for path in sorted(_VECTORS.glob("*.json"))]
    return [vector for vector in found if vector["suite"] == suite]


def _from_json(item: Any) -> Any:
    """Bytes in the vectors are ``{"bytes": "hex"}``."""
    if isinstance(item, dict):
        if item.keys() == {"bytes"}:
            return bytes.fromhex(item["bytes"])
        return {key: _from_json(inner) for key, inner in item.items()}
    return [_from_json(inner) for inner in item] if isinstance(item, list) else item


def _messages(side: str, *kinds: str) -> list[bytes]:
    """Messages of the vectors that ``side`` sends; of all kinds unless some are named."""
    cases = [case for vector in _vectors("messages") if vector["from"] == side for case in vector["cases"]]
    return [bytes.fromhex(case["message"]) for case in cases if not kinds or case["kind"] in kinds]


def _frames() -> list[bytes]:
    steps = [step for vector in _vectors("replica") for step in vector["steps"]]
    cases = [case for vector in _vectors("refused") for case in vector["cases"]]
    return [bytes.fromhex(item["message"]) for item in steps + cases if len(item["message"]) < 800]


def _schemas() -> list[bytes]:
    good = [vector["schema"] for vector in _vectors("replica")] + [FRAME_SCHEMA]
    bad = [case["schema"] for vector in _vectors("schemas") for case in vector["cases"]]
    return [pack(_from_json(schema)) for schema in good + bad]


def _websocket_stream(masked: bool) -> list[bytes]:
    def frame(payload: bytes, opcode: int = 2, fin: bool = True) -> bytes:
        if masked:
            return masked_frame(payload, _MASK, opcode, fin=fin)
        return frame_header(len(payload), opcode, fin=fin) + payload

    fragments = frame(b"a", fin=False) + frame(b"p", PING) + frame(b"b", CONTINUATION)
    ends = [frame(close_payload(code, "bye"), CLOSE) for code in (1000, 1005, 1015, 4999)]
    streams = [frame(payload) for payload in _PAYLOADS[:4]] + [
        fragments,
        frame(b"x", PONG),
        frame(b"text", TEXT),
        *ends,
    ]
    long = frame(bytes(4000), fin=False)
    return [*streams, b"".join(streams), frame(_PAYLOADS[4]), long + long, frame(b"\xff\xfe", TEXT)]


def _in_one(messages: list[bytes]) -> bytes:
    """Several messages as one input; `messages_in` takes them apart."""
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def messages_in(data: bytes) -> list[bytes]:
    """The messages that ``data`` holds, each behind its length in two bytes; the last one may be cut off."""
    messages = []
    while len(data) >= 2:
        end = 2 + int.from_bytes(data[:2], "big")
        messages.append(data[2:end])
        data = data[end:]
    return messages


@cache
def corpus() -> dict[str, list[bytes]]:
    """Well-formed inputs (and some refused ones), by the name of the target."""
    hellos = [bytes.fromhex(case["message"]) for vector in _vectors("hellos") for case in vector["cases"]]
    client, welcomes = _messages("client"), [*_messages("server", "welcome"), WELCOME]
    own_frames = [FULL_FRAME, _MOVES, _LEAVES]
    return {
        "request_head": _REQUESTS,
        "frames_from_client": _websocket_stream(masked=True),
        "frames_from_server": _websocket_stream(masked=False),
        "close_payload": [b"", b"\x03", *(close_payload(code, "bye \xe9") for code in (1000, 1005, 3000, 5000))],
        "client_message": client + hellos,
        "hello": [*_messages("client", "hello"), *hellos],
        "input": [*_messages("client", "input"), _input(True, 9, -3, 0.5, -0.5, "abc", b"xyz", 9), *_BAD_INPUTS],
        "reception": [_in_one(client), *(_in_one([one]) for one in client + _BAD_INPUTS + _BAD_MESSAGES)],
        "schema": _schemas(),
        "welcome": welcomes,
        "frame_header": own_frames + _BAD_FRAMES + _frames(),
        "replica": [_in_one(own_frames), *(_in_one([frame]) for frame in own_frames + _BAD_FRAMES + _frames())],
        "upgrade_answer": _ANSWERS,
        "client_link": _websocket_stream(masked=False),
        "session": [
            _in_one([WELCOME, FULL_FRAME, _TIMED, *own_frames, *_messages("server", "message")]),
            *(_in_one([welcome, FULL_FRAME]) for welcome in welcomes),
        ],
    }
