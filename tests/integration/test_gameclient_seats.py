"""The client loses its connection to a real server again and again; nothing that anybody said is lost or doubled."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import gameclient
from gameclient import (
    ConnectError,
    Disconnected,
    Dropped,
    MessageReceived,
    MessageRefused,
    RequestFailedError,
    RequestTimeoutError,
    Returned,
    TrioSession,
)
from gameserver import Entity, Input, Message, Metadata, Player, RequestError, Room, Server, handles, serve, uint


class Thing(Entity):
    n = uint(16)


class Step(Input):
    number: int = 0


class Buy(Message):
    item: int


class Info(Metadata):
    level: int = 1


class Yard(Room):
    """Says a number to everybody each tick, and remembers all that it hears."""

    tick_rate = 20
    entities = (Thing,)
    input = Step
    missing_input = "skip"
    metadata = Info
    max_players = 4
    max_spectators = 2
    allow_reconnection = 10.0
    close_when_empty = None

    def on_create(self) -> None:
        self.heard: list[int] = []
        self.applied: list[int] = []
        self.bought: list[int] = []
        self.lives: list[str] = []
        self.thing = self.world.spawn(Thing, n=0)
        self.password = self.options.get("password", "")

    def on_join(self, player: Player) -> None:
        self.lives.append("join")

    def on_drop(self, player: Player, reason: str) -> None:
        self.lives.append("drop")

    def on_return(self, player: Player) -> None:
        self.lives.append("return")

    def on_leave(self, player: Player, reason: str) -> None:
        self.lives.append("leave")

    @handles("note")
    def note(self, player: Player, number: int) -> None:
        self.heard.append(number)

    @handles("buy")
    def buy(self, player: Player, buy: Buy) -> int:
        if buy.item < 0:
            raise RequestError("gone", "this is sold out")
        self.bought.append(buy.item)
        return buy.item * 2

    @handles("wait")
    async def wait(self, player: Player, seconds: float) -> str:
        await trio.sleep(seconds)
        return "done"

    def step(self, dt: float) -> None:
        self.thing.n = self.tick % 1000
        self.applied += [step.number for _, step in self.inputs]
        self.broadcast("tick", self.tick)


class Table(Yard):
    """The same, but it ticks when something happens."""

    tick_rate = None


def cut(session: TrioSession) -> None:
    """The network fails, and the client hears of it from its socket, behind what has come."""
    if session.connected:
        session._link._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


def lose_all(session: TrioSession) -> None:
    """The network fails, and what is on its way to the client is lost."""
    if session.connected:
        cut(session)
        session._link.give_up("the cable was cut")
        session._wake()


async def dropped(session: TrioSession) -> None:
    """Lose the connection, and wait until the session has noticed."""
    lose_all(session)
    async for event in session.events():
        if isinstance(event, Dropped):
            return


@asynccontextmanager
async def yard(
    room: type[Room] = Yard, *, over_tcp: bool = False, **settings: Any
) -> AsyncIterator[tuple[Server, TrioSession]]:
    with trio.fail_after(120):
        async with (
            serve(room, port=0 if over_tcp else None) as server,
            gameclient.connect(server.url() if over_tcp else server.local(), name="Ada", **settings) as session,
        ):
            yield server, session


@pytest.mark.parametrize("over_tcp", [True, False])
async def test_a_cut_costs_a_moment(autojump_clock: MockClock, over_tcp: bool) -> None:
    async with yard(over_tcp=over_tcp) as (server, session):
        room: Any = server.room()
        await session.next_frame()
        cut(session)
        await trio.sleep(0.3)
        for _ in range(5):
            await session.next_frame()
        assert (session.connected, session.stats.returns, session.stats.desyncs) == (True, 1, 0)
        assert 0 < session.stats.dropped_seconds < 0.3
        assert room.lives == ["join", "drop", "return"]
        assert room.player_count == 1
    assert room.lives[-1] == "leave"


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_or_doubled_however_often_it_breaks(autojump_clock: MockClock, seed: int) -> None:
    dice = random.Random(seed)
    async with yard() as (server, session):
        room: Any = server.room()
        said, asked = 0, 0
        session._returning._chance = lambda: dice.random() * 0.1
        replies: list[int] = []

        async def ask(item: int) -> None:
            replies.append(await session.request("buy", item=item, timeout=60))

        async with trio.open_nursery() as nursery:
            for _ in range(600):
                await trio.sleep(dice.uniform(0.001, 0.05))
                chance = dice.random()
                if chance < 0.06:
                    (cut if dice.random() < 0.5 else lose_all)(session)
                elif chance < 0.4:
                    said += 1
                    assert session.send("note", said)
                elif chance < 0.5:
                    asked += 1
                    nursery.start_soon(ask, asked)
                elif chance < 0.9:
                    session.send_input(number=session.stats.inputs_sent + 1)
        session.send_input(number=0)
        await trio.sleep(1)
        heard = [event.payload for event in session._queue if isinstance(event, MessageReceived)]
        assert room.heard == [*range(1, said + 1)]
        assert room.bought == [*range(1, asked + 1)]
        assert sorted(replies) == [2 * item for item in range(1, asked + 1)]
        assert heard == [*range(heard[0], heard[0] + len(heard))]
        assert room.tick - heard[-1] <= 1
        numbers = [number for number in room.applied if number]
        assert numbers == sorted(set(numbers))
        assert session.stats.returns >= 15
        assert session.stats.desyncs == 0
        assert session.stats.hashes_checked > 5
        assert session.world["Thing"].column("n")[0] == session.tick % 1000
        assert room.lives.count("join") == 1
        assert "leave" not in room.lives


async def test_what_is_said_while_away_is_heard(autojump_clock: MockClock) -> None:
    async with yard() as (server, session):
        room: Any = server.room()
        session._returning._chance = lambda: 0.99
        await dropped(session)
        assert session.send("note", 1)
        session.send_input(number=7)
        assert await session.request("buy", item=3) == 6
        assert room.heard == [1]
        await trio.sleep(0.5)
        assert room.applied == [7]


async def test_much_is_said_again_and_the_server_takes_it(autojump_clock: MockClock) -> None:
    """At once it would be a flood, and cost the seat."""
    async with yard() as (server, session):
        room: Any = server.room()
        await dropped(session)
        count = 0
        while session.send("note", count):
            count += 1
        assert count > 4000
        for _ in range(50):
            await trio.sleep(1)
            session.send_input(number=0)
        assert session.connected
        assert room.heard == [*range(len(room.heard))]
        assert len(room.heard) > 1500


async def test_nobody_comes_back_to_a_seat_whose_time_is_over(autojump_clock: MockClock) -> None:
    async with yard() as (server, session):
        room: Any = server.room()
        session._returning._chance = lambda: 0.5
        lose_all(session)
        session._way._make_link = lambda: (_ for _ in ()).throw(ConnectionRefusedError("no network"))
        end = await session.wait_closed()
        assert end.code == 1006
        assert "no network" in end.reason
        await trio.sleep(11)
        assert room.lives == ["join", "drop", "leave"]


async def test_a_seat_that_the_server_let_go_is_told(autojump_clock: MockClock) -> None:
    class Strict(Yard):
        def on_drop(self, player: Player, reason: str) -> None:
            player.allow_reconnection = 0

    async with yard(Strict) as (_, session):
        cut(session)
        end = await session.wait_closed()
        assert end.code == 4013
        names = [type(event).__name__ async for event in session.events()]
        assert names[-2:] == ["Dropped", "Disconnected"]


async def test_who_does_not_want_to_come_back_does_not(autojump_clock: MockClock) -> None:
    async with yard(reconnect=False) as (_, session):
        cut(session)
        assert (await session.wait_closed()).code == 1006


async def test_requests(autojump_clock: MockClock) -> None:
    async with yard() as (_, session):
        with pytest.raises(RequestFailedError, match=r"this is sold out \(gone\)"):
            await session.request("buy", item=-1)
        with pytest.raises(RequestFailedError, match="item") as caught:
            await session.request("buy", {"item": "three"})
        assert caught.value.code == "invalid"
        with pytest.raises(RequestFailedError) as caught:
            await session.request("sell")
        assert caught.value.code == "unknown"
        with pytest.raises(RequestTimeoutError):
            await session.request("wait", 2.0, timeout=1.0)
        assert await session.request("wait", 2.0) == "done"
        session.send("note", "seven")
        async for event in session.events():
            if isinstance(event, MessageRefused):
                assert (event.kind, event.code) == ("note", "invalid")
                break


async def test_a_room_that_sleeps(autojump_clock: MockClock) -> None:
    async with yard(Table) as (server, session):
        assert session.tick_rate == 0.0
        await trio.sleep(60)
        assert session.connected
        assert await session.request("buy", item=1) == 2
        cut(session)
        assert await session.request("buy", item=2) == 4
        room: Any = server.room()
        assert room.bought == [1, 2]
        events = [event for event in session._queue if isinstance(event, Dropped | Returned | Disconnected)]
        assert [type(event) for event in events] == [Dropped, Returned]
        for number in range(200):
            assert session.send("note", number)
            await trio.sleep(0.02)
        await trio.sleep(1)
        assert len(session._talk.outbox) <= 2
        assert room.heard == [*range(200)]


async def test_spectators(autojump_clock: MockClock) -> None:
    async with yard() as (server, session), gameclient.connect(server.local(), spectate=True) as spectator:
        assert spectator.spectator
        assert not session.spectator
        for _ in range(5):
            await spectator.next_frame()
        assert [row.n for row in spectator.world["Thing"]] == [spectator.tick % 1000]
        with pytest.raises(RequestFailedError) as caught:
            await spectator.request("buy", item=1)
        assert caught.value.code == "spectator"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"method": "join_by_id", "room_id": "nope"}, 4004),
        ({"method": "join", "filter": {"level": {"ge": 5}}}, 4004),
        ({"method": "join", "filter": {"mode": "duel"}}, 4015),
        ({"invite": "ABCDEFGH"}, 4004),
        ({"seat": "nobody's"}, 4013),
        ({"method": "join_by_id", "room_id": "1", "password": "guess"}, 4012),
    ],
)
async def test_rooms_that_cannot_be_had(autojump_clock: MockClock, wish: dict[str, Any], code: int) -> None:
    async with yard(options={"password": "secret"}) as (server, _):
        with pytest.raises(ConnectError) as caught:
            async with gameclient.connect(server.local(), **wish):
                pass
        assert caught.value.code == code


async def test_rooms_that_can_be_had(autojump_clock: MockClock) -> None:
    async with yard(filter={"level": 3}) as (server, first):
        wishes: list[dict[str, Any]] = [
            {"filter": {"level": {"ge": 2, "le": 4}}},
            {"method": "join_by_id", "room_id": first.room_id},
        ]
        for wish in wishes:
            async with gameclient.connect(server.local(), **wish) as session:
                assert session.room_id == first.room_id
        async with gameclient.connect(server.local(), method="create") as session:
            assert session.room_id != first.room_id
