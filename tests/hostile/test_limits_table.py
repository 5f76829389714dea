"""Each limit at n and n + 1, by a player in a room over TCP. Time is virtual.

Limits of requests and frames have such tests in unit/test_link.py, those of a hello in the vectors of the protocol.
"""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgpack
import pytest
import trio
from trio.testing import MockClock

from gameprotocol import limits
from gameprotocol._websocket import CLOSE, CONTINUATION, PING, close_payload
from gameserver import Entity, Input, Limits, Meta, Player, Room, Server, fixed, serve
from tests.hostile.streams import BOMBS
from tests.support.peers import Peer
from tests.support.raw_client import frame, until, upgrade_request


class Ship(Entity):
    x = fixed(0, 1000, step=1)


class Steer(Input):
    turn: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    free: float = 0.0
    slot: Annotated[int, Meta(ge=0, le=9)] = 0
    count: int = 0
    thrust: bool = False
    say: Annotated[str, Meta(max_length=4)] = ""
    blob: Annotated[bytes, Meta(max_length=3)] = b""


FIELDS = Steer.__struct_fields__
DEFAULTS = [0.0, 0.0, 0, 0, False, "", b""]


class Echo(Room):
    """Answers messages with themselves, and keeps what it is given."""

    entities = (Ship,)
    input = Steer
    inputs_per_tick = 8
    missing_input = "skip"

    def on_create(self) -> None:
        self.applied: list[int] = []
        self.heard: list[Any] = []

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.heard.append(payload)
        if kind == "kick":
            player.kick("enough")
        else:
            player.send(kind, payload)

    def step(self, dt: float) -> None:
        self.applied += [int(steer.count) for _, steer in self.inputs]


@asynccontextmanager
async def served(**bounds: float) -> AsyncIterator[tuple[Server, Callable[[], Peer]]]:
    peers: list[Peer] = []
    with trio.fail_after(120):
        async with serve(Echo, port=0, limits=Limits(**bounds)) as server:  # type: ignore[arg-type]

            def connect() -> Peer:
                peers.append(Peer(socket.create_connection(("127.0.0.1", server.port))))
                return peers[-1]

            try:
                yield server, connect
            finally:
                for peer in peers:
                    peer.leave()


@asynccontextmanager
async def joined(**bounds: float) -> AsyncIterator[tuple[Any, Peer]]:
    """The room, and a player in it."""
    async with served(**bounds) as (server, connect):
        peer = connect()
        await peer.join("/echo")
        yield server.room("echo"), peer


def an_input(sequence: int, values: list[Any]) -> bytes:
    packed: bytes = msgpack.packb([4, [sequence, 0, 0, 0], values])
    return packed


def nested(levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = [value]
    return value


# ---- msgpack

AT_THE_LIMIT = {
    "array": lambda n: [0] * n,
    "map": lambda n: {f"{key}": 0 for key in range(n)},
    "text": lambda n: "t" * n,
    "bytes": lambda n: b"b" * n,
    "map key": lambda n: {"k" * n: 0},
    "depth": lambda n: nested(n - 1),  # the message itself is one
}
MOST = {
    "array": limits.CLIENT_ARRAY_ITEMS,
    "map": limits.CLIENT_MAP_ITEMS,
    "text": limits.CLIENT_TEXT_BYTES,
    "bytes": limits.CLIENT_BYTES_BYTES,
    "map key": limits.CLIENT_TEXT_BYTES,
    "depth": limits.CLIENT_DEPTH,
}


@pytest.mark.parametrize("what", MOST)
async def test_a_payload_may_be_as_large_as_the_limit(what: str, autojump_clock: MockClock) -> None:
    async with joined() as (_, peer):
        payload = AT_THE_LIMIT[what](MOST[what])
        await peer.send([5, "echo", payload])
        assert (await peer.until(lambda message: message[0] == 5))[2] == payload
        await peer.send([5, "echo", AT_THE_LIMIT[what](MOST[what] + 1)])
        assert (await peer.closed())[0] == 1007


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(msgpack.ExtType(1, b""), id="an extension of no bytes"),
        pytest.param(msgpack.ExtType(1, b"x" * 100), id="an extension"),
        pytest.param(msgpack.Timestamp(0), id="a timestamp"),
        pytest.param(msgpack.ExtType(127, b"\xff" * 16), id="the last extension"),
        pytest.param({1: 2}, id="a number as a key"),
        pytest.param({b"k": 2}, id="bytes as a key"),
    ],
)
async def test_what_msgpack_can_say_and_nobody_may(payload: Any, autojump_clock: MockClock) -> None:
    async with joined() as (room, peer):
        await peer.send([5, "echo", payload])
        assert (await peer.closed())[0] == 1007
        assert room.heard == []


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb[:8].hex())
@pytest.mark.parametrize("before", [b"", b"\x93\x05\xa1e", b"\x93\x04\x91\x01"], ids=["bare", "message", "input"])
async def test_bombs(before: bytes, bomb: bytes, autojump_clock: MockClock) -> None:
    async with joined() as (room, peer):
        await peer.send((before + bomb)[: limits.CLIENT_MESSAGE_BYTES])
        assert (await peer.closed())[0] in (1007, 4006)
        assert (room.heard, room.applied) == ([], [])


# ---- inputs

_NUMBERS = [math.nan, math.inf, -math.inf]
REFUSED = {
    "turn": [*_NUMBERS, 1.0000001, -2, 1 << 63, (1 << 64) - 1, True, "0", b"0", None, [], {}],
    "free": [*_NUMBERS, True, "0", None, [0.0]],
    "slot": [*_NUMBERS, -1, 10, (1 << 64) - 1, -(1 << 63), 1.0, True, "1", None],
    "count": [*_NUMBERS, 1.5, 1e300, True, "1", None],
    "thrust": [0, 1, 1.0, "true", None, math.nan],
    "say": ["abcde", b"abcd", 1, None, "\U0001f600" * 5, ["a"]],
    "blob": [b"abcd", "abc", 1, None, [1, 2, 3]],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in FIELDS for value in REFUSED[field]])
async def test_a_wrong_value_closes_and_names_its_field(field: str, value: Any, autojump_clock: MockClock) -> None:
    async with joined() as (room, peer):
        values = list(DEFAULTS)
        values[FIELDS.index(field)] = value
        await peer.send(an_input(1, DEFAULTS), an_input(2, values), an_input(3, DEFAULTS))
        code, reason = await peer.closed()
        assert code == 4006
        assert f"Steer.{field}" in reason
        assert len(room.applied) <= 1


@pytest.mark.parametrize(
    ("sent", "applied"),
    [
        ([1, 1, 1], [1]),
        ([1, 2, 3, 1, 2, 3], [1, 2, 3]),
        ([5, 4, 3, 2, 1, 6], [5, 6]),
        ([1, 1000, 999, 1001, 1000], [1, 1000, 1001]),
        ([(1 << 32) - 1, 1, 2, 3], [(1 << 32) - 1]),
    ],
)
async def test_what_was_sent_before_is_not_applied_again(
    sent: list[int], applied: list[int], autojump_clock: MockClock
) -> None:
    async with joined() as (room, peer):
        for sequence in sent:  # each in a tick of its own
            await peer.send(an_input(sequence, [0.0, 0.0, 0, sequence]))
            await peer.frames(1)
        await peer.send(*(an_input(sequence, [0.0, 0.0, 0, sequence]) for sequence in sent))  # and all in one
        await peer.frames(2)
        assert room.applied == applied


# ---- after the end


@pytest.mark.parametrize(
    "first", [frame(close_payload(1000), CLOSE), frame(b"", 1), b"\x82\x01\x00", frame(msgpack.packb([5, "kick", 0]))]
)
async def test_nothing_counts_that_comes_behind_the_end(first: bytes, autojump_clock: MockClock) -> None:
    message = frame(msgpack.packb([5, "late", "late"])) + frame(an_input(1, [0.0, 0.0, 0, 7]))
    async with joined() as (room, peer):
        await peer.raw.send(first + message)
        await peer.closed()
        await peer.raw.send(message + frame(b"", PING) * 5 + message)
        await trio.sleep(1)
        assert "late" not in room.heard
        assert room.applied == []
        await peer_is_gone(room)


async def test_who_goes_on_sending_behind_the_end_is_cut(autojump_clock: MockClock) -> None:
    """Virtual time stands still while bytes come, so no deadline helps: only a bound on bytes does."""
    async with served() as (server, _):
        peer = Peer(server.open_socket())
        await peer.join("/echo")
        await peer.send([5, "kick", 0])
        await peer.closed()
        sent = 0
        try:
            while sent < 4 << 20:
                await peer.raw.send(A_MESSAGE * 1000)
                sent += 1000 * len(A_MESSAGE)
        except OSError:
            pass
        peer.leave()
        assert sent < 1 << 20


# ---- how much and how often

A_MESSAGE = frame(msgpack.packb([5, "m", 0]))
AN_ACKNOWLEDGEMENT = frame(msgpack.packb([6, 0, 0]))
#: A message in two fragments: the WebSocket library puts it together, and what is behind it waits.
FRAGMENTED = frame(msgpack.packb([6, 0, 0])[:1], fin=False) + frame(msgpack.packb([6, 0, 0])[1:], CONTINUATION)


async def flood(peer: Peer, data: bytes) -> None:
    """Send ``data`` fifty times a second for two seconds, or until the connection breaks."""
    for _ in range(100):
        try:
            await peer.raw.send(data)
        except OSError:
            return
        await trio.sleep(0.02)


async def peer_is_gone(room: Any) -> None:
    """The room notices at its next tick."""
    await trio.sleep(2 * room.dt)
    assert room.player_count == 0


async def test_as_many_messages_as_the_limit(autojump_clock: MockClock) -> None:
    async with joined(messages_per_second=10) as (room, peer):
        await peer.raw.send(A_MESSAGE * 10)
        await until(lambda: len(room.heard) == 10)
        await trio.sleep(2)
        await peer.raw.send(A_MESSAGE * 11)
        assert await peer.closed() == (1008, "too many messages a second")
        assert len(room.heard) < 21


async def test_inputs_beyond_the_limit_are_dropped_and_a_flood_of_them_closes(autojump_clock: MockClock) -> None:
    async with joined(messages_per_second=10) as (room, peer):
        inputs = [frame(an_input(number, [])) for number in range(1, 200)]
        await peer.raw.send(b"".join(inputs[:10]))
        await peer.frames(3)
        assert room.stats.inputs == 10
        await peer.raw.send(b"".join(inputs[10:14]))
        await peer.frames(3)
        assert room.stats.inputs == 10
        await peer.raw.send(b"".join(inputs[14:100]))
        assert (await peer.closed())[0] == 1008
        assert room.stats.inputs == 10


@pytest.mark.parametrize("message", [A_MESSAGE, AN_ACKNOWLEDGEMENT], ids=["messages", "acknowledgements"])
@pytest.mark.parametrize(
    "before", [b"", frame(b"", PING), FRAGMENTED], ids=["at once", "behind a ping", "behind fragments"]
)
async def test_a_flood_is_cut_whatever_comes_before_it(
    before: bytes, message: bytes, autojump_clock: MockClock
) -> None:
    """Twenty times what is allowed."""
    async with joined(messages_per_second=50) as (_, peer):
        await flood(peer, before + message * 20)
        assert (await peer.closed())[0] == 1008


async def test_a_flood_of_fragmented_messages_is_cut(autojump_clock: MockClock) -> None:
    async with joined(messages_per_second=50) as (_, peer):
        await flood(peer, FRAGMENTED * 20)
        assert (await peer.closed())[0] == 1008


async def test_a_flood_of_bytes_is_cut(autojump_clock: MockClock) -> None:
    message = frame(msgpack.packb([5, "m", b"x" * 1000]))
    async with joined(bytes_per_second=4096) as (room, peer):
        await peer.raw.send(message * 3)
        await until(lambda: len(room.heard) == 3)
        await trio.sleep(2)
        await flood(peer, message * 2)
        assert await peer.closed() == (1008, "too many bytes a second")


async def test_connections_at_once(autojump_clock: MockClock) -> None:
    async with served(connections=3) as (_, connect):
        peers = [connect() for _ in range(3)]
        for peer in peers:
            await peer.join("/echo")
        beyond = connect()
        await beyond.raw.until_eof()
        assert beyond.raw.received.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in beyond.raw.received
        peers[0].leave()
        await trio.sleep(0.5)
        await connect().join("/echo")
        await peers[1].frames(3)


async def test_the_time_until_the_hello(autojump_clock: MockClock) -> None:
    async with served(hello_seconds=2) as (_, connect):
        silent, half, upgraded = connect(), connect(), connect()
        began = trio.current_time()
        await half.raw.send(upgrade_request("/echo")[:-1])
        await upgraded.upgrade("/echo")
        for peer in (silent, half):
            await peer.raw.until_eof()
            assert peer.raw.received == b""
        assert (await upgraded.closed())[0] == 4002
        assert 1.9 < trio.current_time() - began < 3


async def test_a_peer_that_says_nothing_is_pinged_and_then_gone(autojump_clock: MockClock) -> None:
    async with joined(dead_seconds=3) as (room, peer):
        with trio.fail_after(30):
            await peer.raw.until_eof()
        await peer_is_gone(room)
        assert any(not isinstance(item, bytes) and item.opcode == PING for item in peer.raw.frames)
