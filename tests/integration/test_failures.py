"""Three sizes of failure: what a peer, a room and a server may lose, and that nothing else is lost with it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgpack
import pytest
import trio
from trio.testing import MockClock

from gameprotocol import SUBPROTOCOL, limits
from gameserver import Entity, Input, Meta, Player, Room, Server, fixed, serve
from tests.support.peers import Peer
from tests.support.raw_client import frame

HELLO = [1, {}]


class Ship(Entity):
    x = fixed(0, 1000, step=1)


class Steer(Input):
    turn: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    say: Annotated[str, Meta(max_length=8)] = ""


class Plain(Room):
    entities = (Ship,)
    input = Steer

    def on_join(self, player: Player) -> None:
        player.data = self.world.spawn(Ship, owner=player)

    def on_leave(self, player: Player, reason: str) -> None:
        self.world.despawn(player.data)

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        player.send(kind, payload)

    def step(self, dt: float) -> None:
        self.world[Ship].x += 1


class Fragile(Plain):
    """Fails where the class attribute says, when somebody called Bad does something."""

    fails_in = ""
    error: BaseException = ZeroDivisionError("as told")

    def fail(self, where: str) -> None:
        if where == self.fails_in:
            raise self.error

    def on_create(self) -> None:
        self.fail("on_create")

    def on_join(self, player: Player) -> None:
        super().on_join(player)
        if player.name == "Bad":
            self.fail("on_join")

    def on_leave(self, player: Player, reason: str) -> None:
        super().on_leave(player, reason)
        if player.name == "Bad":
            self.fail("on_leave")

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.fail("on_message")
        super().on_message(player, kind, payload)

    def step(self, dt: float) -> None:
        super().step(dt)
        if any(player.name == "Bad" for player in self.players):
            self.fail("step")
            if self.fails_in == "publish":
                self.world[Ship].x[0] = float("nan")

    def on_close(self) -> None:
        self.fail("on_close")


@asynccontextmanager
async def served(*rooms: Any) -> AsyncIterator[tuple[Server, Callable[[], Peer]]]:
    peers: list[Peer] = []
    with trio.fail_after(60):
        async with serve(*(rooms or (Plain, Fragile)), port=0) as server:

            def connect() -> Peer:
                peers.append(Peer(server.open_socket()))
                return peers[-1]

            try:
                yield server, connect
            finally:
                for peer in peers:
                    peer.leave()


# ---- a connection


async def no_hello(peer: Peer) -> None:
    await peer.upgrade("/plain")


async def half_a_hello(peer: Peer) -> None:
    await peer.upgrade("/plain")
    await peer.raw.send(frame(msgpack.packb(HELLO))[:-1])


def first(message: Any, *, offer: str = SUBPROTOCOL) -> Callable[[Peer], Awaitable[None]]:
    async def act(peer: Peer) -> None:
        await peer.upgrade("/plain", offer)
        await peer.send(message)

    return act


def then(message: bytes) -> Callable[[Peer], Awaitable[None]]:
    async def act(peer: Peer) -> None:
        await peer.join("/plain", "Bad")
        await peer.raw.send(message)

    return act


def packed(*items: Any) -> bytes:
    return frame(msgpack.packb(items))


@pytest.mark.parametrize(
    ("act", "code", "text"),
    [
        (no_hello, 4002, "5 s"),
        (half_a_hello, 4002, "5 s"),
        (first(HELLO, offer="tickwire.999"), 4005, "tickwire.1"),
        (first(HELLO, offer=""), 4005, "tickwire.1"),
        (first([4, [1], []]), 4001, "hello"),
        (first([5, "chat", 1]), 4001, "hello"),
        (first({"kind": 1}), 4001, "hello"),
        (first(b"\xc1"), 1007, "msgpack"),
        (first([1, {"name": 5}]), 1007, "name"),
        (first([1, {"name": "x" * (limits.PLAYER_NAME_BYTES + 1)}]), 1007, "name"),
        (first(b"\x92\x01\x81" + b"\xa1\xff" + b"\x01"), 1007, "msgpack"),
        (then(frame(b"\xc1")), 1007, "msgpack"),
        (then(frame(msgpack.packb([4, [1], [0.5]])[:-1])), 1007, "msgpack"),
        (then(frame(b"\x93\x04\x91\x01\x92\x00\xa1\xff")), 1007, "msgpack"),  # an input's text that is not UTF-8
        (then(packed(4, [1], [2.0])), 4006, "Steer.turn"),
        (then(packed(4, [1], [float("nan")])), 4006, "Steer.turn"),
        (then(packed(4, [1], [0.5, "x" * 9])), 4006, "Steer.say"),
        (then(frame(b"\x93" + b"\0" * limits.CLIENT_MESSAGE_BYTES)), 1009, str(limits.CLIENT_MESSAGE_BYTES)),
        (then(frame(b"text", 1)), 1003, ""),
        (then(b"\x82\x01\x00"), 1002, "masked"),
        (then(b"\xff\x81\0\0\0\0\0"), 1002, "reserved"),
        (then(packed(*HELLO)), 1002, "hello"),
    ],
)
async def test_a_bad_peer_costs_its_connection_alone(
    autojump_clock: MockClock, act: Callable[[Peer], Awaitable[None]], code: int, text: str
) -> None:
    async with served() as (server, connect):
        good, bad = connect(), connect()
        await good.join("/plain")
        await good.frames(2)
        began = trio.current_time()
        await act(bad)
        got, reason = await bad.closed()
        assert (got, text in reason) == (code, True), reason
        if code == 4002:
            assert trio.current_time() - began == pytest.approx(limits.HELLO_SECONDS, abs=0.1)
        await good.send([5, "still", "there"])
        assert (await good.until(lambda message: message[0] == 5))[1:] == ["still", "there"]
        await good.frames(3)
        assert good.replica is not None
        assert len(good.replica[Ship]) == 1
        assert server.room("plain").player_count == 1
        newcomer = connect()
        assert (await newcomer.join("/plain"))["room_id"] == server.room("plain").id


async def test_peers_that_vanish_at_any_point_are_gone(autojump_clock: MockClock) -> None:
    async with served() as (server, connect):
        good = connect()
        await good.join("/plain")
        for act in (no_hello, half_a_hello, then(b""), then(packed(4, [1], [])[:-2])):
            peer = connect()
            await act(peer)
            peer.leave()
        await trio.sleep(0.2)
        assert server.room("plain").player_count == 1
        await good.frames(3)


# ---- a room


def failing(where: str, error: BaseException | None = None) -> type[Fragile]:
    return type("Fragile", (Fragile,), {"fails_in": where, **({"error": error} if error else {})})


@pytest.mark.parametrize("where", ["on_join", "on_leave", "on_message", "step", "publish"])
@pytest.mark.parametrize("error", [ZeroDivisionError("as told"), IndexError("as told"), KeyError("as told")])
async def test_an_exception_in_a_room_ends_that_room_alone(
    autojump_clock: MockClock, where: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(Plain, failing(where, error)) as (server, connect):
        elsewhere, other, bad = connect(), connect(), connect()
        await elsewhere.join("/plain")
        first_id = (await other.join("/fragile", "Other"))["room_id"]
        await other.frames(2)
        failed_room = server.room("fragile")
        await bad.upgrade("/fragile")
        await bad.send([1, {"name": "Bad"}])
        behind = connect()
        await behind.upgrade("/fragile")
        await behind.send([1, {"name": "Behind"}])
        if where == "on_leave":
            await bad.until(lambda message: message[0] == 3)
            bad.leave()
        elif where == "on_message":
            await bad.send([5, "anything", None])
        for peer in (other, behind) if where == "on_leave" else (other, bad, behind):
            assert await peer.closed() == (1011, "the room failed")
        assert failed_room not in server.rooms
        (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert "fragile" in record.getMessage()
        assert record.exc_info is not None
        if where != "publish":
            assert record.exc_info[1] is error
        else:
            assert "Ship 1: x = nan" in str(record.exc_info[1])
        await elsewhere.frames(3)
        again = connect()
        assert (await again.join("/fragile"))["room_id"] != first_id
        await again.frames(3)
        assert server.room("fragile").player_count == 1


async def test_a_room_that_cannot_be_created_tells_each_who_comes(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(Plain, failing("on_create")) as (server, connect):
        elsewhere = connect()
        await elsewhere.join("/plain")
        for _ in range(2):
            peer = connect()
            await peer.upgrade("/fragile")
            await peer.send(HELLO)
            assert await peer.closed() == (1011, "the room failed")
        assert len([record for record in caplog.records if record.exc_info]) == 2
        assert [room.name for room in server.rooms] == ["plain"]
        await elsewhere.frames(2)


async def test_a_room_class_whose_init_fails_tells_who_comes(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Plain):
        def __init__(self, *args: Any, **keywords: Any) -> None:
            super().__init__(*args, **keywords)
            raise ZeroDivisionError

    async with served(Plain, Broken) as (_, connect):
        peer, elsewhere = connect(), connect()
        await elsewhere.join("/plain")
        await peer.upgrade("/broken")
        await peer.send(HELLO)
        assert (await peer.closed())[0] == 1011
        await elsewhere.frames(2)
    assert "ZeroDivisionError" in caplog.text


async def test_messages_sent_before_a_room_failed_still_arrive(autojump_clock: MockClock) -> None:
    class Last(Plain):
        def on_message(self, player: Player, kind: str, payload: Any) -> None:
            self.broadcast("last", "words")
            raise ZeroDivisionError

    async with served(Last) as (_, connect):
        peer = connect()
        await peer.join("/last")
        await peer.send([5, "go", None])
        assert (await peer.until(lambda message: message[0] == 5))[1:] == ["last", "words"]
        assert (await peer.closed())[0] == 1011


async def test_an_exception_in_on_close_stops_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    closed: list[str] = []

    class Tidy(Plain):
        def on_close(self) -> None:
            closed.append(self.name)

    async with served(failing("on_close"), Tidy) as (_, connect):
        for path in ("/fragile", "/tidy"):
            await connect().join(path)
    assert closed == ["tidy"]
    assert "on_close failed room='fragile/1'" in caplog.text


async def test_on_close_does_not_follow_an_exception(autojump_clock: MockClock) -> None:
    closed: list[Room] = []

    class Once(failing("step")):  # type: ignore[misc]
        def on_close(self) -> None:
            closed.append(self)

    async with served(Once) as (server, connect):
        peer = connect()
        await peer.upgrade("/once")
        await peer.send([1, {"name": "Bad"}])
        await peer.closed()
        survivor = connect()
        await survivor.join("/once")
        room = server.room("once")
    assert closed == [room]


# ---- the server


async def test_players_are_told_when_the_server_stops(autojump_clock: MockClock) -> None:
    codes: list[tuple[int, str]] = []

    async def hear(peer: Peer) -> None:
        codes.append(await peer.closed())
        peer.leave()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            async with serve(Plain) as server:
                for _ in range(3):
                    peer = Peer(server.open_socket())
                    await peer.join("/plain")
                    nursery.start_soon(hear, peer)
                began = trio.current_time()
            assert trio.current_time() - began < 1
    assert codes == [(1001, "the server is going away")] * 3
