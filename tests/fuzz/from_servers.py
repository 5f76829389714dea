"""Targets for what a client reads: a server may be hostile too. The first line of each says its invariant."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from typing import Any, Final

import numpy as np
from wsproto import ConnectionType
from wsproto.connection import Connection

from gameclient import ClientLink, Disconnected, FrameApplied, InputError, Session
from gameclient._target import parse_target
from gameclient._upgrade import RefusedError, Upgrade
from gameprotocol import (
    BaselineError,
    CloseCode,
    Frame,
    ProtocolError,
    Replica,
    Schema,
    TableChanges,
    Welcome,
    decode_frame_header,
    limits,
    message_kind,
    pack,
    unpack_from_server,
)
from gameprotocol._fields import Reference
from tests.fuzz.chunks import check_refusal, cuttings
from tests.fuzz.corpus import FRAME_SCHEMA, FULL_FRAME, messages_in
from tests.fuzz.from_clients import check_frames

_URL: Final = "ws://127.0.0.1:1/arena"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


# -- connecting --------------------------------------------------------------------------------------------------------


def upgrade_answer(data: bytes) -> None:
    """None for more, then the bytes behind the handshake, or one RefusedError, however cut; nothing else.

    ``<accept>`` in the head becomes what the request's key asks for.
    """
    found = [_answer(data, number) for number in range(len(cuttings(data)))]
    assert all(one == found[0] for one in found), "cuts change what is read"


def _answer(data: bytes, number: int) -> bytes | str:
    """What is read of ``data`` in one of its cuttings: the bytes behind the handshake, or what the player is told."""
    upgrade = Upgrade(parse_target(_URL))
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", upgrade.request, re.IGNORECASE)
    assert key is not None
    head, blank, rest = data.partition(b"\r\n\r\n")
    head = head.replace(b"<accept>", base64.b64encode(hashlib.sha1(key[1] + _GUID).digest()))
    pieces = cuttings(head + blank + rest)
    pieces_of_one = pieces[min(number, len(pieces) - 1)]  # the head has grown
    try:
        for at, piece in enumerate(pieces_of_one):
            behind = upgrade.feed(piece)
            if behind is not None:
                assert upgrade.connection is not None
                return behind + b"".join(pieces_of_one[at + 1 :])
    except RefusedError as refusal:
        return str(refusal)
    return str(upgrade.end())


def frames_from_server(data: bytes) -> None:
    """Messages and odd frames, then perhaps one final ProtocolError, the same however cut; nothing else."""
    check_frames(data, masked=False, most=limits.SERVER_MESSAGE_BYTES)


class _Pipe:
    """A socket that holds what the server has sent, piece by piece, and takes everything."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def recv(self, _: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def send(self, data: bytes | bytearray) -> int:
        return len(data)

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self._pieces.clear()


def client_link(data: bytes) -> None:
    """Binary messages, then a link that has closed with a code and a reason, the same however cut; nothing else."""
    found = []
    for pieces in cuttings(data):
        pipe, link = _Pipe(pieces), ClientLink(_URL, mask_source=bytes)
        link._connector, link._library = None, Connection(ConnectionType.CLIENT)
        link._sock, link._recv, link._send = pipe, pipe.recv, pipe.send  # type: ignore[assignment]
        link.opened = True
        link._note_state()
        messages: list[bytes] = []
        while not link.closed:
            messages += link.receive()
        link.finish()
        assert type(link.close_reason) is str
        found.append((messages, link.close_code))
        link.release()
    assert all(one == found[0] for one in found), "cuts change what is read"


# -- messages ----------------------------------------------------------------------------------------------------------


def schema(data: bytes) -> None:
    """A schema that makes a replica and travels again as it is, or one ProtocolError 1007; nothing else."""
    try:
        read = Schema.from_wire(unpack_from_server(data))
    except ProtocolError as error:
        check_refusal(error, CloseCode.UNDECODABLE)
        return
    check_schema(read)


def check_schema(read: Schema) -> None:
    """What holds for every schema that was read."""
    again = Schema.from_wire(unpack_from_server(pack(read.to_wire())))
    assert pack(again.to_wire()) == pack(read.to_wire())
    for table in read.tables:
        refers = [field.table for field in table.fields if isinstance(field, Reference)]
        assert all(read.tables[index].of is None for index in refers)
    check_world(Replica(read, 1))


def welcome(data: bytes) -> None:
    """A welcome, whose schema can be read or not, or one ProtocolError 1007; nothing else."""
    try:
        items = unpack_from_server(data)
        if isinstance(items, list):
            check_schema(Welcome.from_items(items).read_schema())
    except ProtocolError as error:
        check_refusal(error, CloseCode.UNDECODABLE)


def frame_header(data: bytes) -> None:
    """A header, the same with and without decoding the chunks, or one ProtocolError 1007; nothing else."""
    kind = message_kind(data)
    assert -1 <= kind <= 255
    try:
        alone = decode_frame_header(data)
    except ProtocolError as error:
        check_refusal(error, CloseCode.UNDECODABLE)
        alone = None
    try:
        items = unpack_from_server(data)
        whole = Frame.from_items(items) if isinstance(items, list) else None
    except ProtocolError as error:
        check_refusal(error, CloseCode.UNDECODABLE)
        return
    if whole is not None and type(items[0]) is int:
        assert alone == whole.header
        assert kind == (items[0] if 0 <= items[0] < 256 else -1)


# -- the world ---------------------------------------------------------------------------------------------------------


@cache
def _schema() -> Schema:
    return Schema.from_wire(FRAME_SCHEMA)


def replica(data: bytes) -> None:
    """Each frame is applied or refused with BaselineError or ProtocolError 1007; nothing else."""
    world = Replica(_schema(), 7)
    world.apply(Frame.from_items(unpack_from_server(FULL_FRAME)))
    for payload in messages_in(data):
        before = world.tick
        try:
            items = unpack_from_server(payload)
            frame = Frame.from_items(items) if isinstance(items, list) else None
            if frame is None:
                continue
            changes = world.apply(frame)
        except BaselineError:
            assert world.tick == before
            continue
        except ProtocolError as error:
            check_refusal(error, CloseCode.UNDECODABLE)
            check_readable(world)
            continue
        assert world.tick == frame.header.tick
        world.check(frame)
        check_changes(changes)
        check_world(world)


def check_changes(changes: list[TableChanges]) -> None:
    """Changes can be asked for; what spawned is held and what despawned is not."""
    for change in changes:
        assert all(row.alive for row in change.spawned)
        assert all(row.alive for row in change.changed)
        assert not any(row.alive for row in change.despawned)


def check_world(world: Replica) -> None:
    """Every number that is held is in its field's range, and every value can be looked at."""
    for table in world.tables:
        ids = table.ids
        assert not len(ids) or ids[0] > 0
        assert (np.diff(ids) > 0).all()
        for field, integers in zip(table.schema.fields, table.integers[:, ids], strict=True):
            assert not len(ids) or field.lowest <= integers.min() <= integers.max() <= field.highest, field.name
    assert all(len(digest) for digest in world.digests())
    assert 0 <= world.hash() <= 0xFFFFFFFF
    check_readable(world)


def check_readable(world: Replica) -> None:
    """Looking at a row raises nothing, but a packed value may turn out to be refused when somebody unpacks it."""
    for table in world.main_tables:
        for name in (field.name for field in table.schema.fields if field.__struct_config__.tag != "value"):
            assert len(table.column(name)) == len(table.known(name)) == len(table)
        for row in table:
            assert row.mine in (True, False)
            for name in table.names_known(row.id):
                try:
                    getattr(row, name)
                except ProtocolError as error:
                    check_refusal(error, CloseCode.UNDECODABLE)


def schema_takes_none(player: Session) -> bool:
    """Whether the room has no input, so that sending one is an error of the program."""
    return player.world.schema.input is None or not player.world.schema.input.name


class _Mailbox:
    """A link to a server that has sent all it will ever send."""

    bytes_in = bytes_out = 0
    opened, wants_write = True, False

    def __init__(self, messages: list[bytes]) -> None:
        self._messages = messages
        self.closed, self.close_code, self.close_reason = False, 0, ""

    def receive(self) -> list[bytes]:
        return [self._messages.pop(0)] if self._messages and not self.closed else []

    def write(self, payload: bytes) -> bool:
        return not self.closed

    def flush(self) -> bool:
        return True

    def close(self, code: int, reason: str = "") -> None:
        if not self.closed:
            self.closed, self.close_code, self.close_reason = True, int(code), reason

    def linger(self, seconds: float) -> None: ...

    def release(self) -> None: ...


def session(data: bytes) -> None:
    """A session tells of frames and messages, or that it has ended and why; nothing else, and it never raises."""
    messages = messages_in(data)
    now = 5000.0
    player = Session(_URL, clock=lambda: now)
    player._link.release()
    link: Any = _Mailbox([*messages])
    player._link = link
    ended = False
    for _ in messages:
        now += 0.02
        for event in player.pump():
            assert not ended
            ended = isinstance(event, Disconnected)
            if isinstance(event, FrameApplied):
                assert event.tick == player.tick
        assert ended == link.closed
        try:
            player.send_input()
        except InputError:
            assert schema_takes_none(player)
        player.acknowledge()
        assert player.stats.frames <= len(messages)
    if link.closed:
        error = ProtocolError(CloseCode(link.close_code), link.close_reason)
        check_refusal(error, CloseCode.PROTOCOL_ERROR, CloseCode.UNDECODABLE)
    player.close()
