"""Requests that are wrong: a valid one, mutated by a seeded generator in the ways that attackers know."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gameprotocol import SUBPROTOCOL
from tests.support.raw_client import KEY, frame

Fields: TypeAlias = list[tuple[bytes, bytes]]
#: What the client does behind its last byte: wait, send EOF and wait, or reset the connection.
Ending: TypeAlias = Literal["wait", "half-close", "reset"]

#: Requests that ask for no WebSocket: method, target and body. None of them makes a room or takes a seat.
_PLAIN: Final = [
    (b"GET", b"/rooms", b""),
    (b"GET", b"/rooms?room=busy&level.ge=3&mode=duel", b""),
    (b"HEAD", b"/healthz", b""),
    (b"OPTIONS", b"/matchmake/join/busy", b""),
    (b"POST", b"/matchmake/join_by_id/busy/none", b'{"name": "Ann", "options": {"a": [1, 2.5, null, true]}}'),
    (b"POST", b"/matchmake/join_by_id/other/none", b'{"filter": {"level": {"ge": 3}}, "token": "secret"}'),
    (b"POST", b"/matchmake/join_by_id/busy/none", b'{"options": ' + b"[" * 8000 + b"]" * 8000 + b"}"),
    (b"POST", b"/healthz", b""),
]
_METHODS: Final = [*b"POST HEAD PUT OPTIONS CONNECT TRACE PRI get G%45T GETGET \xc7ET".split(), b"", b"G" * 3000]
_VERSIONS: Final = [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 ", b"http/1.1", b"HTTP/11", b"", b"HTTP/1.\xb9"]
_TARGETS: Final = [
    b"*", b"http://[::1", b"//evil/", b"/%00", b"/../../etc/passwd", b"/a b", b"/a\tb", b"", b"/\xe9", b"/busy#x",
    b"http://localhost/busy", b"/" + b"a" * 7000, b"/?" + b"a=b&" * 400, b"/%zz", b"/busy\x00",
    b"/\\..\\busy", b"localhost:1",
]  # fmt: skip
_HOSTS: Final = [
    b"", b"xn--0000000000000000000000000000000", b"xn--\x80", b"\xff", b"a\xc3\xa9.example",
    b"[::1", b"[::1]:99999999",
    b"localhost:", b"local host", b"localhost, evil", b"a" * 300, b"a." * 120, b".", b"..", b"-", b"xn--a-.xn--",
    b"localhost:-1", b"user@localhost", b"[fe80::1%25eth0]", b"\x00", b"xn--" + b"9" * 58 + b".com", b"%6c",
]  # fmt: skip
_KEYS: Final = [
    b"",
    b"short",
    b"=" * 24,
    b"A" * 24,
    KEY.encode() * 2,
    b"\xe9" * 24,
    b"A" * 5000,
    b" ",
    KEY.encode()[:-1],
]
_VALUES: Final = [
    b"", b" ", b"\xe9", b"\x00", b"\x7f", b",", b",,,,", b";;", b"\"", b"a" * 4000,
    b"\xf0\x9f\x98\x80", b"\x1b[31m",
    b"0", b"-1", b"1e9", b"99999999999999999999", b"chunked", b"close", b"websocket, h2c",
    b"keep-alive, Upgrade", b"%s%n",
    b"permessage-deflate; client_max_window_bits=99", b"permessage-deflate; x=\"", b"8", b"13, 8", b"13 ", b"a\tb",
]  # fmt: skip
_BODIES: Final[list[Fields]] = [
    [(b"Content-Length", b"5")],
    [(b"Content-Length", b"0"), (b"Content-Length", b"5")],
    [(b"Content-Length", b"-1")],
    [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")],
    [(b"Transfer-Encoding", b"chunked")],
    [(b"Transfer-Encoding", b"xchunked"), (b"Transfer-Encoding", b"chunked")],
    [(b"Transfer-Encoding", b"\x0bchunked")],
    [(b"Transfer-Encoding ", b"chunked")],
    [(b"Transfer-Encoding", b"chunked\r\n ,identity")],
    [(b"X\nTransfer-Encoding", b"chunked")],
    [(b"Expect", b"100-continue")],
    [(b"Trailer", b"Host"), (b"TE", b"trailers")],
]
_OPENERS: Final = [
    b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-OpenSSH_9.6\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"\xef\xbb\xbf", b"\x00" * 64, b"\r\n", b" ",
    b"\x82\x80\x00\x00\x00\x00", b"HELP\r\n",
]  # fmt: skip
_TOKENS: Final = b"!#$%&'*+-.^_`|~0123456789ABCxyz"


@dataclass
class Attempt:
    """A request.

    Attributes:
        pieces: the bytes, in the parts in which they are sent. ending: what follows them.
    """

    pieces: list[bytes]
    ending: Ending


@dataclass
class _Head:
    """A request before it is put together."""

    method: bytes
    target: bytes
    version: bytes
    fields: Fields
    line_end: bytes = b"\r\n"
    before: bytes = b""
    behind: bytes = b""

    def whole(self) -> bytes:
        lines = [b" ".join((self.method, self.target, self.version))]
        lines += [name + b": " + value for name, value in self.fields]
        return self.before + self.line_end.join(lines) + self.line_end * 2 + self.behind

    def replace(self, name: bytes, value: bytes) -> None:
        self.fields = [(had, value if had == name else old) for had, old in self.fields]


def valid_fields() -> Fields:
    """The fields of a request that is let in."""
    return [
        (b"Host", b"localhost"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", KEY.encode()),
        (b"Sec-WebSocket-Protocol", SUBPROTOCOL.encode()),
    ]


def mutated(chance: random.Random, path: bytes) -> Attempt:
    """One request, wrong in one to three ways; now and then the flipped bytes leave it as it was."""
    head = _Head(b"GET", path, b"HTTP/1.1", valid_fields())
    if chance.random() < 0.25:
        head = _plain(chance)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(_STRUCTURAL)(head, chance)
    data = head.whole()
    if chance.random() < 0.4:
        data = chance.choice(_BYTEWISE)(data, chance)
    ending: Ending = chance.choices(("wait", "half-close", "reset"), (8, 1, 1))[0]
    return Attempt(_in_pieces(data, chance), ending)


def _plain(chance: random.Random) -> _Head:
    method, target, body = chance.choice(_PLAIN)
    fields: Fields = [(b"Host", b"localhost"), (b"Accept", b"*/*")]
    if method == b"POST":
        fields += [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
    return _Head(method, target, b"HTTP/1.1", fields, behind=body)


def _in_pieces(data: bytes, chance: random.Random) -> list[bytes]:
    kind = chance.random()
    if kind < 0.8 or len(data) < 4:
        return [data]
    if kind < 0.97:
        at = chance.randrange(1, len(data))
        return [data[:at], data[at:]]
    return [data[at : at + 1] for at in range(min(len(data), 64))] + [data[64:]]


# ---- what is done to the parts of a request


def _odd_method(head: _Head, chance: random.Random) -> None:
    head.method = chance.choice(_METHODS)


def _odd_version(head: _Head, chance: random.Random) -> None:
    head.version = chance.choice(_VERSIONS)


def _odd_target(head: _Head, chance: random.Random) -> None:
    head.target = chance.choice(_TARGETS)


def _odd_host(head: _Head, chance: random.Random) -> None:
    head.replace(b"Host", chance.choice(_HOSTS))


def _odd_key(head: _Head, chance: random.Random) -> None:
    head.replace(b"Sec-WebSocket-Key", chance.choice(_KEYS))


def _odd_value(head: _Head, chance: random.Random) -> None:
    at = chance.randrange(len(head.fields))
    head.fields[at] = (head.fields[at][0], chance.choice(_VALUES))


def _odd_name(head: _Head, chance: random.Random) -> None:
    at = chance.randrange(len(head.fields))
    name = chance.choice(
        (b"", b" Host", b"Host ", b"H\xf6st", b"Host:", b"\x00", b"a" * 2000, b"GET / HTTP/1.1\r\nX", b"\t")
    )
    head.fields[at] = (name, head.fields[at][1])


def _more_fields(head: _Head, chance: random.Random) -> None:
    name = chance.choice(
        (b"Sec-WebSocket-Extensions", b"Origin", b"Cookie", b"X-Forwarded-For", b"Upgrade", b"Connection", b"Host")
    )
    head.fields.insert(chance.randrange(len(head.fields) + 1), (name, chance.choice(_VALUES)))


def _many_fields(head: _Head, chance: random.Random) -> None:
    count = chance.choice((57, 58, 59, 64, 65, 300, 1200))
    head.fields += [(b"X%d" % number, b"1") for number in range(count)]


def _huge_field(head: _Head, chance: random.Random) -> None:
    head.fields.append((b"Cookie", b"a" * chance.choice((4000, 7900, 8192, 16384, 65536, 300_000))))


def _drop_field(head: _Head, chance: random.Random) -> None:
    del head.fields[chance.randrange(len(head.fields))]
    if not head.fields:
        head.fields = valid_fields()


def _repeat_field(head: _Head, chance: random.Random) -> None:
    name, value = chance.choice(head.fields)
    head.fields.append((name.swapcase(), chance.choice((value, value + b"x"))))


def _shuffle_fields(head: _Head, chance: random.Random) -> None:
    chance.shuffle(head.fields)


def _body(head: _Head, chance: random.Random) -> None:
    head.fields = head.fields + chance.choice(_BODIES)
    head.behind = chance.choice(
        (b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\nGET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
    )


def _fold(head: _Head, chance: random.Random) -> None:
    at = chance.randrange(len(head.fields))
    name, value = head.fields[at]
    head.fields[at] = (name, value[:1] + chance.choice((b"\r\n ", b"\r\n\t", b"\n ", b"\r ")) + value[1:])


def _line_ends(head: _Head, chance: random.Random) -> None:
    head.line_end = chance.choice((b"\n", b"\r", b"\n\r", b"\r\n\x00", b"\r\r\n", b" \r\n", b"\x0b\r\n"))


def _opener(head: _Head, chance: random.Random) -> None:
    head.before = chance.choice(_OPENERS)


def _pipeline(head: _Head, chance: random.Random) -> None:
    second = _Head(b"GET", head.target, b"HTTP/1.1", valid_fields()).whole()
    head.behind = chance.choice((second, second * 20, frame(b"x" * 100), chance.randbytes(2000), b"\0" * 70_000))


def _random_tokens(head: _Head, chance: random.Random) -> None:
    name = bytes(chance.choice(_TOKENS) for _ in range(chance.randrange(1, 20)))
    head.fields.append((name, chance.randbytes(chance.randrange(30))))


_STRUCTURAL: Final[list[Callable[[_Head, random.Random], None]]] = [
    _odd_method, _odd_version, _odd_target, _odd_host, _odd_host, _odd_key, _odd_value, _odd_value, _odd_name,
    _more_fields, _many_fields, _huge_field, _drop_field, _repeat_field, _shuffle_fields, _body, _fold,
    _line_ends, _opener,
    _pipeline, _random_tokens,
]  # fmt: skip


# ---- what is done to its bytes


def flip_bytes(data: bytes, chance: random.Random) -> bytes:
    """``data`` with one to four bytes replaced."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _cut_out(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randrange(1, 20) :]


def _insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.randrange(1, 20)) + data[at:]


def _truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(1, len(data))]


def _double(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    piece = data[at : at + chance.randrange(1, 200)]
    return data[:at] + piece + data[at:]


_BYTEWISE: Final[list[Callable[[bytes, random.Random], bytes]]] = [
    flip_bytes, flip_bytes, flip_bytes, _cut_out, _insert, _truncate, _double,
]  # fmt: skip
