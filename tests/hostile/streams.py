"""WebSocket frames that are wrong: streams that a seeded generator puts together behind a valid upgrade."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgpack

from gameprotocol import ProtocolError, limits
from gameprotocol._websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameParser,
    OddFrame,
    apply_mask,
    parse_close,
)
from tests.hostile.heads import flip_bytes

#: What the client does behind its last byte: wait for the Close, send EOF, or reset the connection.
Ending: TypeAlias = Literal["wait", "half-close", "reset"]
#: What it does when the server has sent its Close: hang up, answer as it should, or go on sending.
Manners: TypeAlias = Literal["hang up", "answer", "go on"]
Maker: TypeAlias = Callable[[random.Random], bytes]


@dataclass
class Stream:
    """What one connection sends after its upgrade.

    Attributes:
        says_hello: a valid hello comes first. at_once: the upgrade request and all of it leave in one piece.
        pieces: the bytes, in the parts in which they are sent.
        barrage: what follows the server's Close when ``manners`` are to go on.
    """

    says_hello: bool
    at_once: bool
    pieces: list[bytes]
    ending: Ending
    manners: Manners
    barrage: bytes


def raw_frame(
    payload: bytes = b"",
    opcode: int = BINARY,
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\x11\x22\x33\x44",
    claimed: int | None = None,
    length_bytes: int = 0,
) -> bytes:
    """A frame with any header.

    Args:
        reserved: the three reserved bits, 0 to 7. mask: None for a frame that is not masked.
        claimed: the length that the header tells, None for the right one.
        length_bytes: 2 or 8 to write the length so wide, 0 for the shortest form.
    """
    length = len(payload) if claimed is None else claimed
    first = opcode | reserved << 4 | (0x80 if fin else 0)
    flag = 0 if mask is None else 0x80
    if length_bytes == 8 or length > 0xFFFF:
        head = bytes((first, flag | 127)) + length.to_bytes(8, "big")
    elif length_bytes == 2 or length > 125:
        head = bytes((first, flag | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, flag | length))
    return head + payload if mask is None else head + mask + apply_mask(payload, mask)


def message(value: Any) -> bytes:
    """A whole message that holds ``value``."""
    return raw_frame(msgpack.packb(value))


def malformed(chance: random.Random) -> Stream:
    """One stream: some frames that are in order, some that are not, perhaps a few flipped bytes."""
    says_hello = chance.random() < 0.8
    parts = [chance.choice(_GOOD)(chance) for _ in range(chance.randrange(3))]
    parts += [chance.choice(_BAD)(chance) for _ in range(chance.choice((1, 1, 2, 4)))]
    parts += [chance.choice(_GOOD)(chance) for _ in range(chance.randrange(2))]
    data = b"".join(parts)
    if chance.random() < 0.25:
        data = flip_bytes(data, chance)
    if chance.random() < 0.05:
        data = data[: chance.randrange(1, len(data))]
    return Stream(
        says_hello,
        at_once=chance.random() < 0.2,
        pieces=_in_pieces(data, chance),
        ending=chance.choices(("wait", "half-close", "reset"), (8, 1, 1))[0],
        manners=chance.choices(("hang up", "answer", "go on"), (4, 3, 3))[0],
        barrage=b"".join(chance.choice(_BARRAGE)(chance) for _ in range(chance.randrange(1, 12))),
    )


def codes_sent(data: bytes) -> set[int]:
    """The codes of the Close frames in ``data`` that are in order: a server answers with the same."""
    parser = FrameParser(masked=True, max_payload_bytes=limits.CLIENT_MESSAGE_BYTES)
    codes = set()
    parser.feed(data)
    while isinstance(stop := parser.stop, OddFrame):
        if stop.opcode == CLOSE:
            try:
                codes.add(parse_close(stop.payload())[0])
            except ProtocolError:
                pass
        parser.feed(b"")
    return codes


def _in_pieces(data: bytes, chance: random.Random) -> list[bytes]:
    kind = chance.random()
    if kind < 0.7 or len(data) < 4:
        return [data]
    at = sorted(chance.randrange(1, len(data)) for _ in range(chance.choice((1, 1, 2, 8))))
    return [data[low:high] for low, high in zip([0, *at], [*at, len(data)], strict=True) if high > low]


# ---- frames that are in order


def _an_input(chance: random.Random) -> bytes:
    return message([4, [chance.randrange(1, 1 << 32), chance.randrange(1 << 32), 0, 0], [chance.random(), True]])


def _an_acknowledgement(chance: random.Random) -> bytes:
    return message([6, chance.randrange(1 << 32), chance.randrange(1 << 32)])


def _a_game_message(chance: random.Random) -> bytes:
    return message([5, "anything", chance.randbytes(chance.randrange(300))])


def _a_resync(chance: random.Random) -> bytes:
    return message([7, chance.randrange(1 << 32), chance.randrange(1 << 32), chance.randrange(1 << 32)])


def _a_ping(chance: random.Random) -> bytes:
    return raw_frame(chance.randbytes(chance.randrange(126)), PING, mask=chance.randbytes(4))


def _a_pong(chance: random.Random) -> bytes:
    return raw_frame(chance.randbytes(chance.randrange(126)), PONG)


def _fragments(chance: random.Random) -> bytes:
    payload = msgpack.packb([6, 0, chance.randrange(1 << 32)])
    cut = chance.randrange(len(payload))
    between = chance.choice((b"", _a_ping(chance)))
    return raw_frame(payload[:cut], fin=False) + between + raw_frame(payload[cut:], CONTINUATION)


_GOOD: Final[list[Maker]] = [_an_input, _an_acknowledgement, _a_game_message, _a_resync, _a_ping, _a_pong, _fragments]


# ---- frames that RFC 6455 forbids


def _reserved_bits(chance: random.Random) -> bytes:
    return raw_frame(b"hi", chance.choice((BINARY, PING, CLOSE, CONTINUATION)), reserved=chance.randrange(1, 8))


def _unmasked(chance: random.Random) -> bytes:
    return raw_frame(chance.randbytes(chance.randrange(200)), chance.choice((BINARY, PING, CLOSE)), mask=None)


def _reserved_opcode(chance: random.Random) -> bytes:
    return raw_frame(b"hi", chance.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)), fin=chance.random() < 0.5)


def _long_control(chance: random.Random) -> bytes:
    return raw_frame(bytes(chance.choice((126, 127, 4096))), chance.choice((PING, PONG, CLOSE)))


def _fragmented_control(chance: random.Random) -> bytes:
    return raw_frame(b"hi", chance.choice((PING, PONG, CLOSE)), fin=False) + raw_frame(b"hi", CONTINUATION)


def _a_close(chance: random.Random) -> bytes:
    return raw_frame(chance.choice(_CLOSES), CLOSE)


_CLOSES: Final = [
    b"", b"\x03", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xe8\xff\xff", b"\x03\xe8\xed\xa0\x80",
    b"\x0f\xa1mine", b"\x0b\xb8",
    *(code.to_bytes(2, "big") for code in (0, 999, 1001, 1004, 1005, 1006, 1011, 1012, 1014, 1015, 1016)),
    *(code.to_bytes(2, "big") for code in (2999, 5000, 65535)),
    b"\x03\xe8" + b"r" * 123,
]  # fmt: skip


def _length_claim(chance: random.Random) -> bytes:
    claimed = chance.choice((4097, 65535, 65536, 1 << 31, 1 << 32, 1 << 40, 1 << 62, 1 << 63, (1 << 64) - 1))
    return raw_frame(b"x" * chance.choice((0, 10, 5000)), chance.choice((BINARY, TEXT)), claimed=claimed)


def _wide_length(chance: random.Random) -> bytes:
    return raw_frame(b"x" * chance.choice((0, 5, 125, 200)), length_bytes=chance.choice((2, 8)))


def _tiny_fragments(chance: random.Random) -> bytes:
    count = chance.choice((5, 8, 9, 200))
    last = raw_frame(b"x", CONTINUATION, fin=chance.random() < 0.5)
    return raw_frame(b"x", fin=False) + raw_frame(b"x", CONTINUATION, fin=False) * count + last


def _empty_fragments(chance: random.Random) -> bytes:
    return raw_frame(fin=False) + raw_frame(b"", CONTINUATION, fin=False) * chance.choice((3, 7, 8, 300))


def _out_of_order(chance: random.Random) -> bytes:
    begun = raw_frame(b"a", fin=False)
    return chance.choice(
        (
            raw_frame(b"x", CONTINUATION),
            begun + raw_frame(b"b"),
            begun + raw_frame(b"b", fin=False),
            begun + message([6, 0, 0]),
        )
    )


def _text(chance: random.Random) -> bytes:
    payload = chance.choice((b"", b"hello", b"\xff\xfe", b"\xed\xa0\x80", "\u00e9\U0001f600".encode(), b"{" * 4000))
    return raw_frame(payload, TEXT, fin=chance.random() < 0.7)


def _oversize(chance: random.Random) -> bytes:
    half = raw_frame(bytes(2100), fin=False)
    return chance.choice(
        (raw_frame(bytes(4097)), raw_frame(bytes(70_000)), half + raw_frame(bytes(2100), CONTINUATION))
    )


def _random_bytes(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 4000))


def _control_storm(chance: random.Random) -> bytes:
    return raw_frame(chance.randbytes(chance.choice((0, 125))), chance.choice((PING, PONG))) * chance.choice(
        (10, 30, 500)
    )


# ---- frames that are in order around messages that are not


def _bomb(chance: random.Random) -> bytes:
    return raw_frame(chance.choice(BOMBS))


BOMBS: Final = [
    b"\xdc\x0f\xf6" * 1365,  # arrays in arrays, each of which claims 4086 items
    b"\xdd\xff\xff\xff\xff" * 800,
    b"\xdf\xff\xff\xff\xff" * 800,
    b"\xde\xff\xff\xa1a" * 500,
    b"\x91" * 4096,
    b"\x81\xa1a" * 1365,
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\xdc\x05\x00" + b"\xd4\x01\x00" * 1280,
    b"\x93\x04\x91\x01\xdd\xff\xff\xff\xff",
    b"\x93\x05\xa1a" + b"\x91" * 4000,
    b"\x93\x05\xa1a\xd6\xff\x00\x00\x00\x00",
    b"\x93\x05\xa1a\xc7\x0c\xff" + b"\xff" * 12,  # a timestamp beyond all calendars
    b"\xc1" * 4096,
    b"\x93\x05\xa2\xff\xff\xc0",
    b"\x93\x05\xa1a\x81\x91\x00\x00",  # a map whose key is an array
]


def _wrong_message(chance: random.Random) -> bytes:
    return message(chance.choice(_WRONG))


_WRONG: Final[list[Any]] = [
    [1, {}], [2, {}], [3, []], [4], [4, [1], [2.0]], [4, [1], [math.nan]], [4, [1], [math.inf]],
    [4, [1], [1 << 63]],
    [4, [1], [True]], [4, [1], [0.5, 1]], [4, [1], ["x"]], [4, [0], []], [4, [-1], []],
    [4, [1 << 32], []], [4, None, None],
    [5], [5, "x"], [5, 7, None], [5, "x" * 65, None], [6], [6, -1, 0], [6, 1.5, 0],
    [6, 1 << 64 - 1, 0], [7, 0, 0, 0, [b"x"]],
    [7, 0, 1, 2, [b"\0" * 1024] * 3], [True, {}], ["4", [1], []], [99, None], [-1], [], {}, None, 5,
    "text", [[]], [1 << 40],
]  # fmt: skip


def _random_payload(chance: random.Random) -> bytes:
    return raw_frame(chance.randbytes(chance.randrange(300)))


#: Nobody has to read more than that before it can answer.
_FLOOD_BYTES: Final = 20_000


def _flood_of_messages(chance: random.Random) -> bytes:
    one = chance.choice(_GOOD)(chance)
    return one * min(chance.choice((40, 200, 1000)), _FLOOD_BYTES // len(one))


_BAD: Final[list[Maker]] = [
    _reserved_bits, _unmasked, _reserved_opcode, _long_control, _fragmented_control, _a_close,
    _a_close, _length_claim,
    _wide_length, _tiny_fragments, _empty_fragments, _out_of_order, _text, _oversize, _random_bytes,
    _control_storm, _bomb,
    _bomb, _wrong_message, _wrong_message, _random_payload, _flood_of_messages,
]  # fmt: skip
#: What comes while the server closes: pings above all.
_BARRAGE: Final[list[Maker]] = [
    _a_ping, _a_ping, _a_pong, _an_input, _fragments, _a_close, _oversize, _length_claim, _text, _random_bytes, _bomb,
]  # fmt: skip
