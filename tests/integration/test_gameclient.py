"""A trio program plays on a real server, in virtual time."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import numpy as np
import pytest
import trio
from trio.testing import MockClock

import gameclient
from gameclient import (
    CloseCode,
    ConnectError,
    Disconnected,
    DisconnectedError,
    FrameApplied,
    InputError,
    Joined,
    MessageReceived,
    TrioSession,
)
from gameserver import Entity, Input, Meta, Player, Room, Server, State, fixed, serve, text, uint
from gameserver.demo.arena import Arena, Ship


class Thing(Entity):
    x = fixed(0, 1000, step=1)
    label = text(max_bytes=16)


class Other(Entity):
    n = uint(8)


class Score(State):
    ticks = uint(16)


class Move(Input):
    dx: Annotated[float, Meta(ge=-10, le=10)] = 0.0
    jump: bool = False


class Playground(Room):
    """Does what messages tell it to, and keeps what inputs said."""

    tick_rate = 20
    entities = (Thing, Other)
    state = Score
    input = Move
    missing_input = "skip"

    def on_create(self) -> None:
        self.things: dict[str, Thing] = {}
        self.applied: list[tuple[int, float, bool]] = []
        self.heard: list[tuple[int, str, Any]] = []
        self.left: list[str] = []
        self.others = [self.world.spawn(Other, n=n) for n in range(3)]

    def on_join(self, player: Player) -> None:
        player.send("welcome", [player.name, player.options])

    def on_leave(self, player: Player, reason: str) -> None:
        self.left.append(reason)

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.heard.append((self.tick, kind, payload))
        if kind == "spawn":
            self.things[payload] = self.world.spawn(Thing, owner=player, x=1, label=payload)
        elif kind == "move":
            self.things[payload].x += 5
        elif kind == "despawn":
            self.world.despawn(self.things.pop(payload))
        elif kind == "kick":
            player.kick("go away")
        elif kind == "fail":
            raise RuntimeError("as told")
        player.send("done", [kind, self.tick])

    def step(self, dt: float) -> None:
        self.world.state.ticks = self.tick % 1000
        for _, move in self.inputs:
            self.applied.append((self.tick, move.dx, move.jump))
        self.broadcast("tick", self.tick)


@asynccontextmanager
async def playground(*, over_tcp: bool = False) -> AsyncIterator[tuple[Server, TrioSession]]:
    with trio.fail_after(60):
        async with (
            serve(Playground, port=0 if over_tcp else None) as server,
            gameclient.connect(server.url() if over_tcp else server.local(), name="Ada") as session,
        ):
            yield server, session


async def frame_after(session: TrioSession, kind: str, payload: Any = None) -> FrameApplied:
    """Tell the room to do something; the frame that brings it."""
    assert session.send(kind, payload)
    tick = None
    async for event in session.events():
        match event:
            case MessageReceived("done", [name, at]) if name == kind:
                tick = at
            case FrameApplied() if tick is not None:
                assert event.tick == tick
                return event
    raise AssertionError("the connection ended")


def world_of(server: Server) -> Any:
    return server.rooms[0]


@pytest.mark.parametrize("over_tcp", [True, False])
async def test_join(autojump_clock: MockClock, over_tcp: bool) -> None:
    async with playground(over_tcp=over_tcp) as (server, session):
        assert session.joined
        assert session.connected
        assert (session.player, session.room, session.room_id, session.tick_rate) == (1, "playground", "1", 20.0)
        assert session.tick == server.rooms[0].tick
        assert [row.n for row in session.world[Other]] == [0, 1, 2]
        assert session.state is not None
        assert session.state.ticks == session.tick
        events = session.events()
        assert await anext(events) == Joined(1, "playground", "1", session.tick)
        assert await anext(events) == MessageReceived("welcome", ["Ada", {}])


async def test_hello_carries_name_and_options(autojump_clock: MockClock) -> None:
    async with (
        serve(Playground) as server,
        gameclient.connect(server.local(), name="Bo", options={"team": 2}) as session,
    ):
        events = session.events()
        await anext(events)
        assert await anext(events) == MessageReceived("welcome", ["Bo", {"team": 2}])


async def test_inputs_are_applied_and_their_sequence_comes_back(autojump_clock: MockClock) -> None:
    async with playground() as (server, session):
        for dx in range(10):
            session.send_input(dx=dx)
            await session.next_frame()
        while session.stats.inputs_applied < session.stats.inputs_sent:
            await session.next_frame()
        assert [dx for _, dx, _ in world_of(server).applied] == [float(dx) for dx in range(10)]
        assert session.stats.inputs_sent == 10


async def test_what_is_said_between_two_inputs_is_merged(autojump_clock: MockClock) -> None:
    async with playground() as (server, session):
        session.send_input(dx=1)  # leaves at once
        session.send_input(dx=2, jump=True)
        session.send_input(dx=3)
        assert session.stats.inputs_sent == 1
        while session.stats.inputs_applied < 2:
            await session.next_frame()
        assert [said for _, *said in world_of(server).applied] == [[1.0, False], [3.0, True]]


async def test_what_waits_can_be_sent_at_once(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        assert session.flush_input()
        session.send_input(dx=1)
        session.send_input(dx=2)
        assert session.flush_input()
        assert session.stats.inputs_sent == 2


async def test_a_wrong_input_names_its_field(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        with pytest.raises(InputError, match=r"Move\.dx takes -10 to 10, not 11"):
            session.send_input(dx=11)
        with pytest.raises(ValueError, match=r"no field 'fire'; it has dx, jump"):
            session.send_input(fire=True)


async def test_messages_keep_their_place_among_frames(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        told = 0
        async for event in session.events():
            match event:
                case MessageReceived("tick", tick):
                    assert told == 0 or tick == told + 1
                    told = tick
                case FrameApplied():
                    assert event.tick == told
            if told == 30:
                break


async def test_messages_arrive_in_order(autojump_clock: MockClock) -> None:
    async with playground() as (server, session):
        for n in range(20):
            assert session.send("count", n)
        await frame_after(session, "last")
        assert [payload for _, kind, payload in world_of(server).heard if kind == "count"] == [*range(20)]


async def test_a_message_that_is_too_long_is_refused_here(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        with pytest.raises(ValueError, match="the server takes 4096"):
            session.send("long", "x" * 4096)
        with pytest.raises(TypeError):
            session.send("odd", object())


async def test_spawned_changed_and_despawned_are_exact(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        frame = await frame_after(session, "spawn", "a")
        (row,) = frame.spawned()
        assert (row.label, row.x, row.owner, row.mine, row.alive) == ("a", 1.0, 1, True, True)
        assert [r for r in frame.changed() if r._table.schema.name != "Score"] == []
        frame = await frame_after(session, "move", "a")
        assert [*frame.changed(Thing)] == [row]
        assert [*frame.changed("Other"), *frame.spawned(), *frame.despawned()] == []
        assert row.x == 6.0
        frame = await frame_after(session, "despawn", "a")
        assert [*frame.despawned("Thing")] == [row]
        assert [*frame.changed(Thing), *frame.spawned()] == []
        assert (row.alive, row.label, row.x) == (False, "a", 6.0)
        for _ in range(20):
            await session.next_frame()
        assert (row.label, row.x) == ("a", 6.0)


async def test_callbacks_tell_the_same(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        told: list[tuple[str, Any]] = []
        session.on_spawned(Thing)(lambda row: told.append(("spawned", row.label)))
        session.on_changed("Thing")(lambda row: told.append(("changed", row.x)))
        session.on_despawned(Thing)(lambda row: told.append(("despawned", row.label)))
        session.on_message("done")(lambda kind, payload: told.append((kind, payload[0])))

        for kind in ("spawn", "move", "despawn"):
            await frame_after(session, kind, "a")
        assert told == [
            ("done", "spawn"),
            ("spawned", "a"),
            ("done", "move"),
            ("changed", 6.0),
            ("done", "despawn"),
            ("despawned", "a"),
        ]


async def test_a_late_callback_is_told_what_is_there(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        seen: list[int] = []

        @session.on_spawned(Other)
        def see(row: gameclient.Row) -> None:
            seen.append(row.n)

        assert seen == [0, 1, 2]
        await session.next_frame()
        assert seen == [0, 1, 2]


async def test_a_callback_for_a_type_that_is_not_there_is_refused(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        with pytest.raises(KeyError, match="no entity type 'Ship' in this room; it has Thing, Other"):
            session.on_spawned(Ship)


async def test_what_a_callback_raises_leaves_the_block(autojump_clock: MockClock) -> None:
    async with serve(Playground) as server:
        try:
            async with gameclient.connect(server.local()) as session:
                session.on_frame(lambda frame: 1 // 0)
                await trio.sleep_forever()
        except ZeroDivisionError:
            return
    raise AssertionError("nothing was raised")


async def test_an_exception_of_the_block_is_not_wrapped(autojump_clock: MockClock) -> None:
    async with serve(Playground) as server:
        with pytest.raises(LookupError, match="mine"):
            async with gameclient.connect(server.local()):
                raise LookupError("mine")


@pytest.mark.parametrize("over_tcp", [True, False])
async def test_an_unknown_room(autojump_clock: MockClock, over_tcp: bool) -> None:
    async with serve(Playground, port=0) as server:
        target = server.url("nope") if over_tcp else server.local("nope")
        with pytest.raises(
            ConnectError, match=r"404 Not Found \(No such room; there is playground\.\): check the path"
        ) as caught:
            async with gameclient.connect(target):
                pass
        assert caught.value.code == 1006


async def test_a_port_where_nobody_listens(autojump_clock: MockClock) -> None:
    async with serve(Playground, port=0) as server:
        url = server.url()
    with pytest.raises(ConnectError, match="nothing listens on 127"):
        async with gameclient.connect(url):
            pass


async def test_a_host_without_an_address(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host: Any, *args: Any, **kwargs: Any) -> Any:
            raise OSError("unknown")

        async def getnameinfo(self, *args: Any) -> Any:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    with pytest.raises(ConnectError, match="no address is known for 'some"):
        async with gameclient.connect("ws://some.host/x"):
            pass


async def test_a_server_that_never_answers(autojump_clock: MockClock) -> None:
    listener = trio.socket.socket()
    await listener.bind(("127.0.0.1", 0))
    listener.listen()
    with listener, pytest.raises(ConnectError, match="not joined within 3 s: the server did not answer"):
        async with gameclient.connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/x", join_seconds=3):
            pass


async def test_a_server_that_goes_away(autojump_clock: MockClock) -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            servers: list[Server] = []
            scope = trio.CancelScope()

            async def run(task_status: trio.TaskStatus[None]) -> None:
                with scope:
                    async with serve(Playground, port=0) as server:
                        servers.append(server)
                        task_status.started()
                        await trio.sleep_forever()

            await nursery.start(run)
            async with gameclient.connect(servers[0].url()) as session:
                await session.next_frame()
                scope.cancel()
                *_, last = [event async for event in session.events()]
                assert last == Disconnected(CloseCode.GOING_AWAY, "the server is going away")
                assert not session.joined
                assert [event async for event in session.events()] == []
                with pytest.raises(DisconnectedError, match="going away"):
                    await session.next_frame()
                assert await session.wait_closed() == last
                assert not session.send("late")
                session.send_input(dx=1)
                assert len(session.world[Other]) == 3


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [("kick", CloseCode.POLICY, "go away"), ("fail", CloseCode.ROOM_FAILED, "the room failed")],
)
async def test_the_room_ends_it(autojump_clock: MockClock, kind: str, code: CloseCode, reason: str) -> None:
    async with playground() as (_, session):
        session.send(kind)
        assert await session.wait_closed() == Disconnected(code, reason)


async def test_cancellation_says_goodbye(autojump_clock: MockClock) -> None:
    async with serve(Playground) as server:
        with trio.move_on_after(1) as scope:
            async with gameclient.connect(server.local()) as session:
                room = world_of(server)
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() < scope.deadline + 0.5
        assert session.close_code == CloseCode.NORMAL
        await trio.sleep(0.2)
        assert room.left == ["the player left"]


async def test_closing_ends_the_iteration(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        session.close()
        events = [event async for event in session.events()]
        assert events[-1] == Disconnected(CloseCode.NORMAL, "the player left")


async def test_without_inputs_frames_are_acknowledged(autojump_clock: MockClock) -> None:
    async with playground() as (server, session):
        for _ in range(10):
            await session.next_frame()
        (player,) = server.rooms[0].players
        assert player.acknowledged_tick >= session.tick - 2
        assert session.rtt is not None
        assert session.stats.inputs_sent == 0


async def test_with_inputs_there_are_no_other_acknowledgements(autojump_clock: MockClock) -> None:
    async with playground() as (server, session):
        await session.next_frame()
        written: list[int] = []
        write = session._way.write
        session._steering._write = lambda payload: written.append(payload[1]) or write(payload)  # type: ignore[func-returns-value]
        for _ in range(20):
            session.send_input(dx=1)
            await session.next_frame()
        (player,) = server.rooms[0].players
        assert player.acknowledged_tick >= session.tick - 2
        assert set(written) == {4}


async def test_events_that_nobody_takes_are_bounded(autojump_clock: MockClock) -> None:
    async with playground() as (_, session):
        for _ in range(700):
            await session.next_frame()
        assert session.events_dropped > 0
        assert len(session._queue) <= 1024
        ticks = [
            event.payload for event in session._queue if isinstance(event, MessageReceived) and event.kind == "tick"
        ]
        assert ticks == [*range(ticks[0], ticks[0] + len(ticks))]  # no message was lost
        assert ticks[0] <= 2


async def test_a_corrupted_world_is_noticed_and_repaired(autojump_clock: MockClock) -> None:
    async with playground() as (server, session):
        await frame_after(session, "spawn", "a")
        (row,) = session.world[Thing]
        session.world[Thing].integers[session.world[Thing]._field_index["x"], row.id] += 7
        while session.stats.desyncs == 0:
            await session.next_frame()
        while not (await session.next_frame()).full:
            pass
        assert row.x == world_of(server).things["a"].x == 1.0
        checked = session.stats.hashes_checked
        while session.stats.hashes_checked < checked + 2:
            await session.next_frame()
        assert (session.stats.desyncs, server.rooms[0].stats.resyncs) == (1, 1)


async def test_a_lost_baseline_is_asked_for_once(autojump_clock: MockClock) -> None:
    async with playground() as (server, session):
        await session.next_frame()
        session.world.tick -= 1
        while not (await session.next_frame()).full:
            pass
        assert session.stats.frames_skipped > 0
        assert server.rooms[0].stats.resyncs == 1
        assert session.tick == server.rooms[0].tick


async def test_many_play_in_the_arena(autojump_clock: MockClock) -> None:
    chance = random.Random(1)

    async def fly(target: Any, name: str) -> None:
        async with gameclient.connect(target, name=name) as session:
            for _ in range(200):
                session.send_input(turn=chance.uniform(-1, 1), thrust=chance.random() < 0.7, shoot=True)
                await session.next_frame()
            assert session.stats.desyncs == 0
            assert session.stats.hashes_checked > 5
            ships = session.world[Ship]
            assert [row.mine for row in ships].count(True) == 1
            assert np.all(np.isfinite(ships.column("x")))

    with trio.fail_after(120):
        async with serve(Arena, port=0, seed=3) as server, trio.open_nursery() as nursery:
            for n in range(4):
                nursery.start_soon(fly, server.url() if n % 2 else server.local(), f"pilot {n}")
