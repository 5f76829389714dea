"""Rooms without a tick rate over real sockets: they sleep, wake for what matters, and nobody is left with old state."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
import trio
from trio.testing import MockClock

from gameprotocol import CloseCode, encode_acknowledge, encode_input, encode_message, encode_request
from gameserver import Entity, Input, Limits, Meta, Player, Room, Server, State, handles, serve, text, uint
from gameserver.rooms.room import EVENT_RATE
from tests.support.visitors import Visitor, enter, served


class Piece(Entity):
    x = uint(16)


class Table(State):
    turns = uint(32)
    banner = text(max_bytes=60_000)


class Move(Input):
    dx: Annotated[int, Meta(ge=-9, le=9)] = 0


class Board(Room):
    """Counts what happens to it."""

    tick_rate = None
    entities = (Piece,)
    state = Table
    input = Move
    max_players = 8
    max_spectators = 2
    close_when_empty = 30.0

    def on_create(self) -> None:
        self.log: list[Any] = []
        self.times: list[float] = []

    def on_join(self, player: Player) -> None:
        player.data = self.world.spawn(Piece, owner=player)
        self.log.append(("join", player.name))

    def on_drop(self, player: Player, reason: str) -> None:
        self.log.append(("drop", player.name))

    def on_leave(self, player: Player, reason: str) -> None:
        self.log.append(("leave", player.name))
        self.world.despawn(player.data)

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.log.append((kind, payload))
        if kind == "noise":
            self.state.turns += 1
            self.broadcast("noise", bytes(payload))
        elif kind == "later":
            self.after(payload, self.rang)
        elif kind == "work":
            self.work(self.worked, payload, then=self.rang)

    def rang(self, *_: Any) -> None:
        self.log.append(("rang", self.time))
        self.state.turns += 1

    async def worked(self, seconds: float) -> None:
        await trio.sleep(seconds)

    @handles("turns")
    def count_turns(self, player: Player) -> int:
        return int(self.state.turns)

    def step(self, dt: float) -> None:
        self.times.append(trio.current_time())
        for player, move in self.inputs:
            self.state.turns += 1
            player.data.x += move.dx
            self.log.append(("input", player.name, move.dx))

    def of(self, what: str) -> list[Any]:
        return [entry for entry in self.log if entry[0] == what]


class HeldBoard(Board):
    """Seats are held for a minute."""

    allow_reconnection = 60.0


def room_of(server: Server) -> Any:
    return server.rooms[0]


async def settled(server: Server) -> int:
    """The tick at which the room has come to rest."""
    await trio.sleep(1)
    tick = int(room_of(server).tick)
    await trio.sleep(30)
    assert room_of(server).tick == tick
    return tick


@asynccontextmanager
async def listening(*visitors: Visitor) -> AsyncIterator[None]:
    """Hear and acknowledge whatever comes for them in this block."""

    async def hear(visitor: Visitor) -> None:
        while True:
            await visitor.next()

    async with trio.open_nursery() as nursery:
        for visitor in visitors:
            nursery.start_soon(hear, visitor)
        yield
        nursery.cancel_scope.cancel()


# ---- sleeping and waking


async def test_a_welcome_says_that_there_is_no_tick_rate(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        assert (await enter(server, "board")).welcome["tick_rate"] == 0


async def test_no_tick_passes_while_nothing_happens_and_each_event_is_one(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada = await enter(server, "board", name="Ada")
        async with listening(ada):
            tick = await settled(server)
            for payloads, ticks in (
                ([encode_input(1, 0, tick, 0, [1])], 1),
                ([encode_message("hey", None)], 1),
                ([encode_request(1, "turns", None)], 1),
                ([encode_message("unheard of", None)], 1),
                ([encode_acknowledge(tick, 1)], 0),
                ([[7, tick, 0, 0]], 0),  # it asks for a full frame
                ([encode_acknowledge(tick, 1), encode_message("hey", None)], 1),
            ):
                before = room_of(server).tick
                await ada.send(*payloads)
                assert await settled(server) == before + ticks, payloads
            bo = await enter(server, "board", name="Bo")
            assert await settled(server) == before + 2
            await bo.hang_up()
            assert await settled(server) == before + 3
            will = await enter(server, "board", spectate=True)
            assert await settled(server) == before + 4
            will.leave()
            assert await settled(server) == before + 5
            assert room_of(server).stats.ticks == room_of(server).tick


async def test_timers_and_work_wake_it(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada = await enter(server, "board", name="Ada")
        async with listening(ada):
            await settled(server)
            before, began = room_of(server).tick, trio.current_time()
            await ada.send(encode_message("later", 20.0), encode_message("work", 40.0))
            await trio.sleep(19.9)
            assert room_of(server).tick == before + 1
            await trio.sleep(0.2)
            assert room_of(server).tick == before + 2
            await trio.sleep(19.7)
            assert room_of(server).tick == before + 2
            await trio.sleep(0.4)
            assert room_of(server).tick == before + 3
            assert [round(at - began) for at in room_of(server).times[-3:]] == [0, 20, 40]
            await settled(server)
            assert ada.replica is not None
            assert ada.replica.tick == room_of(server).tick


async def test_a_seat_that_was_held_long_enough_wakes_it(autojump_clock: MockClock) -> None:
    async with served({"board": HeldBoard}) as server:
        ada, bo = await enter(server, "board", name="Ada"), await enter(server, "board", name="Bo")
        async with listening(ada):
            await settled(server)
            bo.leave()
            tick = await settled(server)
            assert room_of(server).of("drop") == [("drop", "Bo")]
            await trio.sleep(28)
            assert (room_of(server).tick, room_of(server).of("leave")) == (tick, [])
            await trio.sleep(3)
            assert (room_of(server).tick, room_of(server).of("leave")) == (tick + 1, [("leave", "Bo")])


async def test_a_seat_that_was_held_long_enough_wakes_a_room_with_nobody_else(autojump_clock: MockClock) -> None:
    async with served({"board": HeldBoard}) as server:
        ada = await enter(server, "board", name="Ada")
        await ada.frames(1)
        ada.leave()
        room = room_of(server)
        await trio.sleep(59)
        assert room.of("leave") == []
        await trio.sleep(2)
        assert room.of("leave") == [("leave", "Ada")]
        await trio.sleep(27)
        assert server.rooms == [room]
        await trio.sleep(4)
        assert server.rooms == []


async def test_who_comes_while_it_is_paused_is_in_at_once(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        for number in range(5):
            ada = await enter(server, "board", name=f"{number}")
            await ada.hang_up()
            await trio.sleep(10 * (number % 2))
            began = trio.current_time()
            again = await enter(server, "board", name=f"{number} again")
            assert trio.current_time() - began < 0.1
            await again.hang_up()
            await trio.sleep(5)
        assert len(server.rooms) == 1


async def test_pausing_keeps_timers_still(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada = await enter(server, "board", name="Ada")
        await ada.send(encode_message("later", 10.0))
        await trio.sleep(4)
        await ada.hang_up()
        await trio.sleep(20)
        assert room_of(server).of("rang") == []
        bo = await enter(server, "board", name="Bo")
        async with listening(bo):
            await trio.sleep(5)
            assert room_of(server).of("rang") == []
            await trio.sleep(1.2)
            ((_, rang_at),) = room_of(server).of("rang")
            assert rang_at == pytest.approx(10.0, abs=0.1)


async def test_a_room_that_does_not_pause_keeps_its_timers_going(autojump_clock: MockClock) -> None:
    class Restless(Board):
        pause_when_empty = False

    async with served({"board": Restless}) as server:
        ada = await enter(server, "board", name="Ada")
        await ada.send(encode_message("later", 10.0))
        await trio.sleep(1)
        await ada.hang_up()
        await trio.sleep(100)
        assert len(room_of(server).of("rang")) == 1


# ---- bursts


async def test_bursts_are_merged_to_sixty_ticks_a_second(autojump_clock: MockClock) -> None:
    async with served({"board": Board}, limits=Limits(messages_per_second=10_000, dead_seconds=1e6)) as server:
        ada = await enter(server, "board", name="Ada")
        async with listening(ada):
            await settled(server)
            before = room_of(server).tick
            for number in range(500):  # for a second
                await ada.send(encode_message("hey", number))
                await trio.sleep(1 / 500)
            ticks = await settled(server) - before
            assert EVENT_RATE * 0.8 <= ticks <= EVENT_RATE + 2
            assert [payload for _, payload in room_of(server).of("hey")] == list(range(500))
            times = room_of(server).times[-ticks:]
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            assert min(gaps) >= 0.99 / EVENT_RATE


async def test_inputs_that_come_at_once_are_all_applied_in_order(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada, bo = await enter(server, "board", name="Ada"), await enter(server, "board", name="Bo")
        async with listening(ada, bo):
            await settled(server)
            for visitor in (ada, bo):
                await visitor.send(*(encode_input(number, 0, 0, 0, [number]) for number in range(1, 8)))
            await settled(server)
            for name in ("Ada", "Bo"):
                applied = [dx for _, who, dx in room_of(server).of("input") if who == name]
                assert applied == [1, 2, 3, 4, 5, 6, 7]
            for visitor in (ada, bo):
                assert visitor.replica is not None
                assert [row.x for row in visitor.replica[Piece]] == [28, 28]


async def test_inputs_that_come_at_once_need_nothing_else_to_be_applied(autojump_clock: MockClock) -> None:
    """No acknowledgement follows that would wake the room for the next of them."""
    async with served({"board": Board}) as server:
        ada = await enter(server, "board", name="Ada")
        await settled(server)
        await ada.send(*(encode_input(number, 0, 0, 0, [number]) for number in range(1, 8)))
        await settled(server)
        assert [dx for _, _, dx in room_of(server).of("input")] == [1, 2, 3, 4, 5, 6, 7]


async def test_an_input_for_a_later_tick_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada = await enter(server, "board", name="Ada")
        async with listening(ada):
            tick = await settled(server)
            await ada.send(encode_input(1, tick + 5, 0, 0, [1]))
            await settled(server)
            assert room_of(server).of("input") == [("input", "Ada", 1)]


# ---- frames


async def test_each_frame_carries_the_hash(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada = await enter(server, "board", name="Ada")
        async with listening(ada):
            for number in range(1, 6):
                await ada.send(encode_input(number, 0, 0, 0, [1]))
                await trio.sleep(1)
        frames = [message for message in ada.heard if message[0] == 3]
        assert len(frames) >= 6
        assert all(isinstance(frame[2], int) for frame in frames)


async def test_who_acknowledges_nothing_gets_one_frame_with_all_when_it_does(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada, bo = await enter(server, "board", name="Ada"), await enter(server, "board", name="Bo")
        async with listening(bo):
            await settled(server)
            for number in range(1, 31):
                await bo.send(encode_input(number, 0, 0, 0, [1]))
                await trio.sleep(0.1)
            newest = await settled(server)
            sent = room_of(server).stats.frames
            # Ada's frames lie in her socket; from the first that she reads on she acknowledges.
            async with listening(ada):
                assert await settled(server) == newest  # acknowledgements are no event
            frames = [message[1][0] for message in ada.heard if message[0] == 3]
            assert frames[-1] == newest
            assert len(frames) <= 6
            assert room_of(server).stats.frames - sent == 1
            assert ada.replica is not None
            assert [row.turns for row in ada.replica[Table]] == [30]


async def test_who_stops_reading_large_frames_has_the_newest_state_when_it_reads_again(
    autojump_clock: MockClock,
) -> None:
    async with served({"board": Board}) as server:
        ada, bo = await enter(server, "board", name="Ada"), await enter(server, "board", name="Bo")
        await ada.frames(1)
        async with listening(bo):
            await settled(server)
            for number in range(8):
                room_of(server).state.banner = f"{number}" * 60_000
                await bo.send(encode_message("hey", None))
                await trio.sleep(1)
            await settled(server)
            assert room_of(server).stats.frames_skipped >= 3
            async with listening(ada):
                await settled(server)
            assert ada.replica is not None
            assert ada.replica.tick == room_of(server).tick
            assert [row.banner[0] for row in ada.replica[Table]] == ["7"]


async def test_a_link_that_drains_after_its_last_acknowledgement_gets_the_newest_state(
    autojump_clock: MockClock,
) -> None:
    """Messages block the link, the frame of their tick is skipped, and what is acknowledged came before them."""
    async with served({"board": Board}) as server:
        ada, bo = await enter(server, "board", name="Ada"), await enter(server, "board", name="Bo")
        await ada.frames(2)
        async with listening(bo):
            await settled(server)
            await bo.send(encode_message("noise", 230_000))  # with its frame it fills what the kernel takes
            await trio.sleep(1)
            await bo.send(encode_message("noise", 250_000))  # so this one waits, and its frame cannot be sent
            await trio.sleep(1)
            await ada.frames(1)
            await trio.sleep(1)  # the acknowledgement has come, and the link is still blocked
            async with listening(ada):
                await settled(server)
            assert len([message for message in ada.heard if message[:2] == [5, "noise"]]) == 2
            assert ada.replica is not None
            assert ada.replica.tick == room_of(server).tick
            assert [row.turns for row in ada.replica[Table]] == [2]


# ---- what all rooms do


async def test_keepalive_gives_up_the_dead_and_keeps_those_who_answer(autojump_clock: MockClock) -> None:
    async with served({"board": HeldBoard}, limits=Limits()) as server:
        ada, _ = await enter(server, "board", name="Ada"), await enter(server, "board", name="Bo")
        async with listening(ada):  # answers pings, and says nothing else
            await trio.sleep(50)
            assert room_of(server).of("drop") == [("drop", "Bo")]
            await trio.sleep(60)
            assert room_of(server).of("leave") == [("leave", "Bo")]
            assert room_of(server).tick < 8


async def test_it_drains(autojump_clock: MockClock) -> None:
    class Finishing(Board):
        def on_drain(self, seconds: float) -> None:
            self.log.append(("drain", seconds))
            self.after(2.0, self.close, "well played")

    async with served({"board": Board, "finishing": Finishing}) as server:
        ada, bo = await enter(server, "board", name="Ada"), await enter(server, "finishing", name="Bo")
        await ada.frames(1)
        await bo.frames(1)
        await trio.sleep(60)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 30.0)
            assert (await ada.closed())[0] == CloseCode.RESTART
            assert trio.current_time() - began < 0.2
            assert await bo.closed() == (CloseCode.NORMAL, "well played")
            assert trio.current_time() - began == pytest.approx(2.0, abs=0.2)
            ada.leave()
            bo.leave()
        assert server.rooms == []


async def test_closing_it_from_outside_ends_it_although_it_sleeps(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada = await enter(server, "board", name="Ada")
        await ada.frames(1)
        await trio.sleep(60)
        room_of(server).close("enough")
        with trio.fail_after(1):
            assert await ada.closed() == (CloseCode.NORMAL, "enough")


async def test_a_kick_from_a_timer_reaches_its_player(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada = await enter(server, "board", name="Ada")
        await ada.frames(1)
        room = room_of(server)
        room.after(5.0, next(room.players).kick, "too slow")
        await ada.send(encode_message("hey", None))
        assert await ada.closed() == (CloseCode.POLICY, "too slow")
        await trio.sleep(1)
        assert room.of("leave") == [("leave", "Ada")]


async def test_an_exception_ends_it_alone(autojump_clock: MockClock) -> None:
    async with served({"board": Board}) as server:
        ada = await enter(server, "board", name="Ada")
        bo = await enter(server, "board", name="Bo", method="create")
        await ada.send(encode_message("later", "soon"))  # a TypeError in the room
        assert (await ada.closed())[0] == CloseCode.ROOM_FAILED
        await bo.send(encode_message("hey", 1))
        await trio.sleep(1)
        assert room_of(server).log[-1] == ("hey", 1)


@pytest.mark.slow
async def test_the_watchdog_sees_a_slow_tick_and_takes_sleep_for_none(caplog: pytest.LogCaptureFixture) -> None:
    """In real time: the watchdog has a thread."""

    class Slow(Board):
        def step(self, dt: float) -> None:
            super().step(dt)
            if self.inputs:
                time.sleep(0.4)

    caplog.set_level(logging.WARNING)
    with trio.fail_after(20):
        async with serve({"board": Slow}, watchdog_seconds=0.1) as server:
            ada = await enter(server, "board", name="Ada")
            await ada.frames(1)
            await trio.sleep(0.5)  # it sleeps longer than a tick may take
            assert caplog.text == ""
            await ada.send(encode_input(1, 0, 0, 0, [1]))
            await ada.frames(1)
            await trio.sleep(0.1)
            ada.leave()
    assert "board/1" in caplog.text
    assert "time.sleep(0.4)" in caplog.text
