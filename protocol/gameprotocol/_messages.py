"""The messages: one msgpack array each, whose first item is its kind. SPEC.md, section "Messages", says every item.

Items behind the ones named here, and keys that are not named here, are skipped: that is how the wire grows.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gameprotocol import limits
from gameprotocol._codec import pack, pack_portable
from gameprotocol._schema import Schema
from gameprotocol.closing import CloseCode, ProtocolError

#: WebSocket subprotocol; its number changes when an older peer could no longer read the wire.
SUBPROTOCOL: Final = "tickwire.1"

U32: Final = 0xFFFFFFFF

_LEAST_TICK_RATE: Final = 0.001

#: Lengths that one table's digest may have, in bytes: 1, 2, 4, ... `limits.DIGEST_BUCKETS` numbers of four bytes.
_DIGEST_SIZES: Final = frozenset(4 << power for power in range(limits.DIGEST_BUCKETS.bit_length()))


class Kind(IntEnum):
    """First item of every message."""

    HELLO = 1
    WELCOME = 2
    FRAME = 3
    INPUT = 4
    MESSAGE = 5
    ACKNOWLEDGE = 6
    RESYNC = 7
    REQUEST = 8
    REPLY = 9
    RETURNED = 10


def message_kind(payload: bytes) -> int:
    """First item of a message, -1 when there is none or it is above 255; looks at a few bytes and decodes nothing."""
    first = payload[0] if payload else 0
    at = 1 if first >> 4 == 9 else 3 if first == 0xDC else 5 if first == 0xDD else len(payload)
    kind = payload[at : at + 5]
    if not kind or kind[0] < 0x80:
        return kind[0] if kind else -1
    width = {0xCC: 1, 0xCD: 2, 0xCE: 4}.get(kind[0], 0)
    number = int.from_bytes(kind[1 : 1 + width], "big")
    return number if width and len(kind) > width and number < 256 else -1


_Unsigned32 = Annotated[int, Meta(ge=0, le=U32)]

#: Ways of joining: the first room that fits or a new one, a new one, the first that fits, the one of an id.
JoinMethod: TypeAlias = Literal["join_or_create", "create", "join", "join_by_id"]


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """First message of a client.

    Attributes:
        name: what the player wants to be called; at most `limits.PLAYER_NAME_BYTES` bytes.
        token: what an auth hook checks, or None.
        options: whatever the room's author wants to know of a joining player; of who makes a room, how it should be.
        client: name and version of the client's software, for logs.
        method: how to find the room.
        room_id: of the room, for ``join_by_id``.
        filter: what the room's metadata must be: a value, or bounds as ``{"ge": 3, "le": 7}``, by field.
        invite: code of a private room; the room is found by it whatever the method.
        password: of a room that has one.
        spectate: come to watch; no seat is taken.
        seat: the token of a seat that is held or reserved; everything about how to find a room is then skipped.
        tick: with ``seat``, of the newest frame that was applied, 0 for none.
        messages: with ``seat``, how many messages and replies were received since the player joined.
    """

    name: str = ""
    token: str | None = None
    options: dict[str, Any] = {}
    client: str = ""
    method: JoinMethod = "join_or_create"
    room_id: str = ""
    filter: dict[str, Any] = {}
    invite: str = ""
    password: str = ""
    spectate: bool = False
    seat: str | None = None
    tick: _Unsigned32 = 0
    messages: _Unsigned32 = 0

    def encode(self) -> bytes:
        """The message; keys behind ``client`` only where they say something."""
        wire = msgspec.to_builtins(self, builtin_types=(bytes,))
        said = {
            key: value for key, value in wire.items() if key in _HELLO_ALWAYS or value != getattr(_EMPTY_HELLO, key)
        }
        return pack([Kind.HELLO, said])

    @classmethod
    def from_items(cls, items: Any) -> Hello:
        """Read a decoded hello; ProtocolError 4001 when it is none, 1007 when a value is wrong."""
        if not isinstance(items, list) or len(items) < 2 or type(items[0]) is not int or items[0] != Kind.HELLO:
            raise ProtocolError(CloseCode.HELLO_EXPECTED, "the first message must be a hello")
        try:
            hello = msgspec.convert(items[1], cls)
        except msgspec.ValidationError as error:
            raise ProtocolError(CloseCode.UNDECODABLE, f"bad hello: {error}") from None
        if len(hello.name.encode()) > limits.PLAYER_NAME_BYTES:
            raise ProtocolError(
                CloseCode.UNDECODABLE, f"bad hello: name is longer than {limits.PLAYER_NAME_BYTES} bytes"
            )
        return hello


_HELLO_ALWAYS: Final = ("name", "token", "options", "client")
_EMPTY_HELLO: Final = Hello()


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The server's answer to a hello.

    Attributes:
        room: the room type's name, as in the URL.
        room_id: which room of that type it is.
        player: this player's number in the room, 1 to 65535; entities it owns carry it in ``owner``.
        tick: the room's tick when the player joined.
        tick_rate: ticks per second, 0.001 to 10 000; 0 for a room that ticks when something happens.
        schema: the room's tables and input, as `Schema.to_wire` makes it.
        message_bytes: largest message that the server takes from this client.
        server: name and version of the server's software.
        seat: the token that brings the player back after its connection was lost; None: the seat goes with it.
        seat_seconds: how long the seat is kept then.
        spectator: whether the client may only watch.
        delay_seconds: how much later than players a spectator is sent what happens; its first frame, too.
    """

    room: str
    room_id: str
    player: int
    tick: int
    tick_rate: Annotated[float, Meta(ge=0, le=10_000)]
    schema: Any
    message_bytes: int = limits.CLIENT_MESSAGE_BYTES
    server: str = ""
    seat: str | None = None
    seat_seconds: Annotated[float, Meta(ge=0)] = 0.0
    spectator: bool = False
    delay_seconds: Annotated[float, Meta(ge=0)] = 0.0

    def encode(self) -> bytes:
        return pack([Kind.WELCOME, msgspec.to_builtins(self, builtin_types=(bytes,))])

    @classmethod
    def from_items(cls, items: Any) -> Welcome:
        """Read a decoded welcome; ProtocolError 1007 when a key is missing or wrong."""
        try:
            welcome = msgspec.convert(items[1], cls)
        except (msgspec.ValidationError, IndexError) as error:
            raise ProtocolError(CloseCode.UNDECODABLE, f"bad welcome: {error}") from None
        if 0 < welcome.tick_rate < _LEAST_TICK_RATE:
            raise ProtocolError(CloseCode.UNDECODABLE, "bad welcome: tick_rate is 0, or from 0.001")
        return welcome

    def read_schema(self) -> Schema:
        return Schema.from_wire(self.schema)


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """The server's answer to a hello with the token of a seat that was held for its player.

    What the player has missed follows: messages and replies in their order, then a frame.

    Attributes:
        player: the player's number, the same as before.
        tick: the room's tick when the player came back.
        seat: the token for the next time; the old one is of no use from the first answer to a frame on.
        seat_seconds: how long the seat is kept then.
        inputs: the highest sequence of an input that has come; the client sends those above it again.
        messages: the highest number of a message or request that has come; the same.
    """

    player: Annotated[int, Meta(ge=1, le=0xFFFF)]
    tick: _Unsigned32
    seat: str
    seat_seconds: Annotated[float, Meta(ge=0)] = 0.0
    inputs: _Unsigned32 = 0
    messages: _Unsigned32 = 0

    def encode(self) -> bytes:
        return pack([Kind.RETURNED, msgspec.to_builtins(self)])

    @classmethod
    def from_items(cls, items: Any) -> Returned:
        """Read a decoded answer; ProtocolError 1007 when a key is missing or wrong."""
        try:
            return msgspec.convert(items[1], cls)
        except (msgspec.ValidationError, IndexError) as error:
            raise ProtocolError(CloseCode.UNDECODABLE, f"bad answer to a return: {error}") from None


class InputHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every input carries besides its values.

    Attributes:
        sequence: 1, 2, 3, ... for the inputs of one player; never repeated.
        tick: the tick it is meant for, 0 for the next one.
        acknowledged: tick of the newest frame that the client has applied, 0 for none.
        client_time: the client's clock in a unit of its own, modulo 2**32; the server sends it back unchanged.
    """

    sequence: Annotated[int, Meta(ge=1, le=U32)]
    tick: _Unsigned32 = 0
    acknowledged: _Unsigned32 = 0
    client_time: _Unsigned32 = 0


def encode_input(sequence: int, tick: int, acknowledged: int, client_time: int, values: list[Any]) -> bytes:
    """One input; ``values`` in the order of the room's input schema."""
    return pack([Kind.INPUT, [sequence, tick, acknowledged, client_time], values])


def encode_acknowledge(acknowledged: int, client_time: int) -> bytes:
    """What a client sends that holds newer state and has no input to send."""
    return pack([Kind.ACKNOWLEDGE, acknowledged, client_time])


def read_numbers(items: list[Any], count: int) -> list[int]:
    """The ``count`` items behind the kind of an acknowledgement or a resync; ProtocolError 1007 when one is no u32."""
    numbers = items[1 : 1 + count]
    if len(numbers) < count or any(type(number) is not int or not 0 <= number <= U32 for number in numbers):
        raise ProtocolError(CloseCode.UNDECODABLE, f"a message of kind {items[0]} needs {count} numbers of 32 bits")
    return numbers


def encode_resync(tick: int, expected_hash: int, found_hash: int, digests: Sequence[bytes] = ()) -> bytes:
    """Ask for a full frame: after ``tick`` the hash of what the client holds was not what the server said.

    Args:
        digests: `Replica.digests` right after the frame of ``tick``; nothing when a delta did not fit.
    """
    return pack([Kind.RESYNC, tick, expected_hash, found_hash, *([list(digests)] if digests else [])])


def read_digests(items: list[Any], tables: int) -> list[NDArray[np.uint32]] | None:
    """The digests of a decoded resync: for each table its buckets' sums, as many for each; None when it has none.

    Args:
        tables: how many tables the schema has.
    Raises:
        ProtocolError: code 1007, they have another shape.
    """
    digests = items[4] if len(items) > 4 else None
    if digests is None:
        return None
    if not isinstance(digests, list) or len(digests) != tables or any(type(part) is not bytes for part in digests):
        raise ProtocolError(CloseCode.UNDECODABLE, f"a resync's digests are {tables} bins")
    sizes = {len(part) for part in digests}
    if not sizes <= _DIGEST_SIZES or len(sizes) > 1:
        raise ProtocolError(CloseCode.UNDECODABLE, "a resync's digests have one length, a power of two up to 64 u32")
    return [np.frombuffer(part, "<u4").astype(np.uint32) for part in digests]


def encode_message(name: str, payload: Any, number: int | None = None) -> bytes:
    """A message of the game, either way.

    Args:
        number: 1, 2, 3, ... for the messages and requests of one client; None for the server's, which have none.
    Raises:
        ValueError: the name is longer than `limits.MESSAGE_NAME_BYTES`.
        TypeError: msgpack has no form for the payload, or a map's key is not text.
    """
    _check_message_name(name)
    return pack_portable([Kind.MESSAGE, name, payload, *(() if number is None else (number,))])


def encode_request(number: int, name: str, payload: Any) -> bytes:
    """A message of a client that is to be answered by a reply with the same number. Raises as `encode_message`."""
    _check_message_name(name)
    return pack_portable([Kind.REQUEST, number, name, payload])


def encode_reply(number: int, payload: Any, code: str | None = None) -> bytes:
    """The answer to a request, or to a message that the room could not take.

    Args:
        payload: of an error a text for people.
        code: None for success, otherwise a word for programs.
    Raises:
        TypeError: msgpack has no form for the payload, or a map's key is not text.
    """
    return pack_portable([Kind.REPLY, number, code, payload])


def _check_message_name(name: str) -> None:
    if len(name.encode()) > limits.MESSAGE_NAME_BYTES:
        raise ValueError(f"message name {name[:20]!r}... is longer than {limits.MESSAGE_NAME_BYTES} bytes")


# -- frames ------------------------------------------------------------------------------------------------------------
#
# [3, [tick, back, sequence, margin, client_time, waited, window], hash, chunk, ...]
#
# The items are written at fixed widths (msgpack allows any width), so that the length of a frame does not depend on its
# player: everything but 19 bytes (or 9, when there is no new input) is made once and shared.

_TICK_AND_BACK: Final = struct.Struct(">BBBIBH")
_TIMED: Final = struct.Struct(">BIBhBIBIB")
_UNTIMED: Final = struct.Struct(">BIBBBB")

#: Bytes of the part of a header that differs from player to player, with and without timing.
TIMED_BYTES: Final = _TIMED.size
UNTIMED_BYTES: Final = _UNTIMED.size
_pack_timed: Final = _TIMED.pack
_pack_untimed: Final = _UNTIMED.pack


def frame_prefix(tick: int, back: int, chunks: int) -> bytes:
    """Begin of a frame: its array, its kind, and the part of the header that players of one baseline share.

    Args:
        tick: the tick that the frame brings the replica to.
        back: how many ticks before it the baseline is, 0 for a full frame; at most 65535.
        chunks: how many chunks follow, at most 60000.
    """
    items = 3 + chunks
    array = bytes([0x90 | items]) if items < 16 else b"\xdc" + items.to_bytes(2, "big")
    return array + _TICK_AND_BACK.pack(Kind.FRAME, 0x97, 0xCE, tick, 0xCD, back)


def frame_timed(sequence: int, margin_ms: int, client_time: int, waited_us: int, window: int) -> bytes:
    """Rest of a header when an input has come since the last frame; the hash follows it.

    Args:
        sequence: the last input that was applied, 0 for none.
        margin_ms: how long before its deadline the newest input came, in milliseconds, -32768 to 32767.
        client_time: what that input said.
        waited_us: how long the input waited on the server, in microseconds, below 2**32.
        window: how many ticks this player's acknowledgement may lag before frames are held back, 0 to 127.
    """
    return _pack_timed(0xCE, sequence, 0xD1, margin_ms, 0xCE, client_time, 0xCE, waited_us, window)


def frame_untimed(sequence: int, window: int) -> bytes:
    """Rest of a header when no input has come since the last frame; the hash follows it."""
    return _pack_untimed(0xCE, sequence, 0xC0, 0xC0, 0xC0, window)


def frame_hash(value: int | None) -> bytes:
    """The desync hash as it travels behind the header, None when this frame has none."""
    return b"\xc0" if value is None else b"\xce" + value.to_bytes(4, "big")


class FrameHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Header of a frame as a client reads it.

    Attributes:
        tick: the tick that the frame brings the replica to.
        back: how many ticks before it the baseline is; 0 for a full frame.
        sequence: the last input of this player that was applied, 0 for none.
        margin_ms: how long before its deadline the newest input came, in milliseconds; negative when it was late.
        client_time: the newest input's or acknowledgement's ``client_time``.
        waited_us: how long that waited on the server, in microseconds.
            These three are None when nothing has come since the last frame.
        window: how many ticks the acknowledgement may lag before the server holds frames back; 0 when it does not say.
    """

    tick: _Unsigned32
    back: Annotated[int, Meta(ge=0, le=0xFFFF)]
    sequence: _Unsigned32
    margin_ms: int | None = None
    client_time: _Unsigned32 | None = None
    waited_us: _Unsigned32 | None = None
    window: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A decoded frame whose chunks are still as they travelled."""

    header: FrameHeader
    hash: int | None
    chunks: list[Any]

    @classmethod
    def from_items(cls, items: Any) -> Frame:
        """Read a decoded frame; ProtocolError 1007 when it is none."""
        try:
            header = msgspec.convert(items[1], FrameHeader)
            return cls(header, msgspec.convert(items[2], _Unsigned32 | None), items[3:])
        except (msgspec.ValidationError, IndexError) as error:
            raise ProtocolError(CloseCode.UNDECODABLE, f"bad frame: {error}") from None


def decode_frame_header(payload: bytes) -> FrameHeader:
    """Only the header of a frame, for a client that does not hold the state; ProtocolError 1007 when it is none."""
    try:
        return _header_decoder.decode(payload).header
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(CloseCode.UNDECODABLE, f"bad frame: {error}") from None


class _HeaderOnly(msgspec.Struct, array_like=True, gc=False):
    kind: int
    header: FrameHeader


_header_decoder: Final = msgspec.msgpack.Decoder(_HeaderOnly)
