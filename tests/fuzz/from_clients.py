"""Targets for what a server reads. The first line of each says its invariant."""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request
from wsproto.utilities import RemoteProtocolError

from gameprotocol import SUBPROTOCOL, CloseCode, Hello, ProtocolError, limits, pack, unpack_from_client
from gameprotocol._websocket import CLOSE, NO_CODE, FrameParser, OddFrame, close_payload, parse_close
from gameserver import Entity, Input, Room, State, owner, text, uint
from gameserver.net.addresses import client_address, counted_as, parse_address, parse_networks
from gameserver.net.bounds import HEAD_BYTES, HEAD_FIELDS
from gameserver.net.origins import OriginPolicy
from gameserver.net.request_head import RefusedRequestError, RequestHead, parse_head, split_head
from gameserver.rooms.inputs import DECODE_ERRORS, InputCodec
from tests.fuzz.chunks import check_refusal, cuttings, deepest
from tests.fuzz.corpus import messages_in
from tests.support.fake_links import HandTickedRoom

Event = bytes | OddFrame | CloseCode


# -- the request -------------------------------------------------------------------------------------------------------


def request_head(data: bytes) -> None:
    """A head that the WebSocket library and the door's checks can take, or one RefusedRequestError; nothing else."""
    found = [_read_head(pieces) for pieces in cuttings(data)]
    assert all(one == found[0] for one in found), "cuts change what is read"
    head = found[0]
    if isinstance(head, RequestHead):
        assert head.path.startswith("/")
        assert len(head.headers) <= HEAD_FIELDS
        _show_library(head)
        _show_door(head)


def _read_head(pieces: list[bytes]) -> RequestHead | int | None:
    """The head, the status with which it is refused, or None when it is not whole."""
    received = b""
    try:
        for piece in pieces:
            received += piece
            parts = split_head(received)
            if parts is not None:
                assert len(parts[0]) <= HEAD_BYTES
                return parse_head(parts[0])
    except RefusedRequestError as refusal:
        answer = refusal.answer()
        assert answer.startswith(b"HTTP/1.1 4")
        assert answer.isascii()
        return int(refusal.status)
    return None


def _show_library(head: RequestHead) -> None:
    """The library reads a request, which can be accepted, or refuses it with the one error that is caught for it."""
    library = WSConnection(ConnectionType.SERVER)
    try:
        library.receive_data(head.for_library())
        events = [*library.events()]
    except RemoteProtocolError:
        return
    for event in events:
        assert isinstance(event, Request)
        assert event.target == head.path
        chosen = SUBPROTOCOL if SUBPROTOCOL in event.subprotocols else None
        assert library.send(AcceptConnection(subprotocol=chosen)).startswith(b"HTTP/1.1 101 ")


def _show_door(head: RequestHead) -> None:
    """What the door asks of a head has an answer."""
    origin, host = head.field("origin"), head.field("host") or ""
    for policy in (OriginPolicy(), OriginPolicy(["https://game.example"])):
        assert type(policy.admits(origin, host, encrypted=True)) is bool
    everybody, peer = parse_networks(["0.0.0.0/0", "::/0"], "all"), parse_address("10.0.0.1")
    assert peer is not None
    assert counted_as(client_address(peer, head.fields("x-forwarded-for"), everybody))


# -- frames ------------------------------------------------------------------------------------------------------------


def frames_from_client(data: bytes) -> None:
    """Messages and odd frames, then perhaps one final ProtocolError, the same however cut; nothing else."""
    check_frames(data, masked=True, most=limits.CLIENT_MESSAGE_BYTES)


def check_frames(data: bytes, *, masked: bool, most: int) -> None:
    """What holds for the parser of either side, whose messages have at most ``most`` bytes."""
    found = [_cut(pieces, masked, most) for pieces in cuttings(data)]
    assert all(events == found[0] for events in found), "cuts change what is read"
    for event in found[0]:
        if isinstance(event, bytes):
            assert len(event) <= most
        elif isinstance(event, OddFrame):
            assert event.raw in data
            payload = event.payload()
            assert len(payload) <= most
            if event.opcode == CLOSE:
                close_payload_of_peer(payload)


def _cut(pieces: list[bytes], masked: bool, most: int) -> list[Event]:
    """All events, as a caller sees them who deals with odd frames at once."""
    parser = FrameParser(masked=masked, max_payload_bytes=most)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
        while isinstance(parser.stop, OddFrame):
            events.append(parser.stop)
            events += parser.feed(b"")
        assert len(parser._rest) <= most + 14, "more is kept than a frame may have"
    if isinstance(parser.stop, ProtocolError):
        check_refusal(parser.stop, CloseCode.PROTOCOL_ERROR, CloseCode.TOO_BIG)
        assert parser.feed(b"\x82\x80\0\0\0\0") == []
        events.append(parser.stop.code)
    return events


def close_payload_of_peer(data: bytes) -> None:
    """A code that may travel and a reason, which make the same payload again, or one ProtocolError; nothing else."""
    try:
        code, reason = parse_close(data)
    except ProtocolError as error:
        check_refusal(error, CloseCode.PROTOCOL_ERROR, CloseCode.UNDECODABLE)
        return
    assert code == NO_CODE or code < 1004 or 1007 <= code <= 1013 or 3000 <= code <= 4999
    if len(data) <= limits.CLOSE_REASON_BYTES + 2:
        assert close_payload(code, reason) == data


# -- messages ----------------------------------------------------------------------------------------------------------


def client_message(data: bytes) -> None:
    """A value within the limits that packs again, or one ProtocolError 1007; nothing else."""
    try:
        value = unpack_from_client(data)
    except ProtocolError as error:
        check_refusal(error, CloseCode.UNDECODABLE)
        return
    assert deepest(value) <= limits.CLIENT_DEPTH
    _check_within_limits(value)
    packed = pack(value)
    assert pack(unpack_from_client(packed)) == packed


def _check_within_limits(value: Any) -> None:
    if isinstance(value, list):
        assert len(value) <= limits.CLIENT_ARRAY_ITEMS
        for item in value:
            _check_within_limits(item)
    elif isinstance(value, dict):
        assert len(value) <= limits.CLIENT_MAP_ITEMS
        for key, item in value.items():
            assert isinstance(key, (str, bytes))
            _check_within_limits(item)
    elif isinstance(value, str):
        assert len(value.encode()) <= limits.CLIENT_TEXT_BYTES
    elif isinstance(value, bytes):
        assert len(value) <= limits.CLIENT_BYTES_BYTES
    else:
        assert value is None or type(value) in (bool, int, float)


def hello(data: bytes) -> None:
    """A hello that travels again as it is, or one ProtocolError 4001 or 1007; nothing else."""
    try:
        read = Hello.from_items(unpack_from_client(data))
    except ProtocolError as error:
        check_refusal(error, CloseCode.HELLO_EXPECTED, CloseCode.UNDECODABLE)
        return
    assert len(read.name.encode()) <= limits.PLAYER_NAME_BYTES
    assert all(type(key) is str for key in read.options)
    assert Hello.from_items(unpack_from_client(read.encode())).encode() == read.encode()


class Everything(Input):
    """An input of all kinds of fields, with bounds and without."""

    fire: bool = False
    slot: int = 0
    small: Annotated[int, Meta(ge=-5, le=5)] = 0
    speed: float = 0.0
    turn: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    word: Annotated[str, Meta(max_length=8)] = ""
    raw: Annotated[bytes, Meta(max_length=8)] = b""


class Bounded(Input):
    """An input that msgspec checks alone."""

    turn: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    fire: bool = False


_TYPES: Final = {"fire": bool, "slot": int, "small": int, "speed": float, "turn": float, "word": str, "raw": bytes}


@cache
def _codecs() -> tuple[InputCodec, InputCodec]:
    return InputCodec(Everything), InputCodec(Bounded)


def input_message(data: bytes) -> None:
    """An input whose values have their types and bounds and are finite, or one ProtocolError; nothing else."""
    for codec in _codecs():
        try:
            bare = codec.decode_bare(data)
        except DECODE_ERRORS as error:
            check_refusal(codec.refusal(error), CloseCode.BAD_INPUT, CloseCode.UNDECODABLE)
            bare = None
        try:
            message = codec.decode(data)
        except ProtocolError as error:
            check_refusal(error, CloseCode.BAD_INPUT, CloseCode.UNDECODABLE)
            assert bare is None
            continue
        assert msgspec.structs.asdict(message.values) == msgspec.structs.asdict(bare.values)
        assert all(0 <= number <= 0xFFFFFFFF for number in msgspec.structs.astuple(message.header))
        assert message.header.sequence
        _check_values(message.values)


def _check_values(values: Any) -> None:
    for name, value in msgspec.structs.asdict(values).items():
        assert type(value) is _TYPES[name]
        assert not isinstance(value, float) or math.isfinite(value)
        assert not isinstance(value, (str, bytes)) or len(value) <= 8
    assert -1 <= values.turn <= 1
    assert -5 <= getattr(values, "small", 0) <= 5


class Thing(Entity):
    size = uint(8)
    ammo = uint(8, to=owner)


class Match(State):
    title = text(max_bytes=8)


class Listener(Room):
    """A room that checks what reaches its author."""

    entities = (Thing,)
    state = Match
    input = Everything

    def on_join(self, player: Any) -> None:
        player.data = self.world.spawn(Thing, owner=player)

    def on_leave(self, player: Any, reason: str) -> None:
        assert isinstance(reason, str)
        self.world.despawn(player.data)

    def on_message(self, player: Any, kind: str, payload: Any) -> None:
        assert 0 <= len(kind.encode()) <= limits.MESSAGE_NAME_BYTES
        assert deepest(payload) < limits.CLIENT_DEPTH

    def step(self, dt: float) -> None:
        for player, values in self.inputs:
            _check_values(values)
            player.data.size = values.slot % 256


def reception(data: bytes) -> None:
    """The room hears well-formed messages, and the link goes on or closes with 1002, 1007 or 4006; nothing else."""
    with HandTickedRoom(Listener()) as room:
        link = room.join()
        room.tick()
        link.bring(*messages_in(data))
        room.ticks(2)
        if link.closed:
            refused = ProtocolError(CloseCode(link.close_code), link.close_reason)
            check_refusal(refused, CloseCode.PROTOCOL_ERROR, CloseCode.UNDECODABLE, CloseCode.BAD_INPUT)
        else:
            player = room.player(link)
            assert player.acknowledged_tick <= room.room.tick
