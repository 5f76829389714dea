"""Timers of rooms that run: game time, pauses, hooks, catching up, and rooms that end."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gameprotocol import CloseCode, encode_message
from gameserver import Entity, Player, Room, Server, uint
from tests.support.fake_links import HandTickedRoom
from tests.support.visitors import enter, served


class Piece(Entity):
    x = uint(8)


class Clocked(Room):
    """Rings when it is told to."""

    tick_rate = 20
    entities = (Piece,)
    close_when_empty = None

    def on_create(self) -> None:
        self.log: list[Any] = []
        self.timers: dict[str, Any] = {}
        self.after(1.0, self.rings, "created")

    def on_join(self, player: Player) -> None:
        self.timers[player.name] = self.every(0.5, self.rings, player.name)

    def on_leave(self, player: Player, reason: str) -> None:
        self.timers[player.name].cancel()

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        if kind == "crash":
            self.after(payload, self.crash)
        elif kind == "close":
            self.after(payload, self.close, "time is up")

    def rings(self, name: str) -> None:
        self.log.append((name, round(self.time, 6)))

    def crash(self) -> None:
        raise RuntimeError("as asked")

    def of(self, name: str) -> list[float]:
        return [at for who, at in self.log if who == name]


class CalmClocked(Clocked):
    """The same without a tick rate."""

    tick_rate = None


BOTH = pytest.mark.parametrize("room_class", [Clocked, CalmClocked])


def room_of(server: Server) -> Any:
    return server.rooms[0]


@BOTH
async def test_timers_ring_in_game_time_without_drift(autojump_clock: MockClock, room_class: type[Room]) -> None:
    async with served({"clocked": room_class}) as server:
        await enter(server, "clocked", name="Ada")
        await trio.sleep(60.2)
        room = room_of(server)
        assert len(room.of("created")) == 1
        times = room.of("Ada")
        assert len(times) == 120
        start = times[0] - 0.5
        slack = 0.051 if room_class is Clocked else 0.018
        assert all(-1e-5 <= at - start - 0.5 * number <= slack for number, at in enumerate(times, start=1))
        if room_class is CalmClocked:
            assert room.tick <= 125  # nothing but the timers


@BOTH
async def test_they_stand_still_while_nobody_is_there(autojump_clock: MockClock, room_class: type[Room]) -> None:
    async with served({"clocked": room_class}) as server:
        ada = await enter(server, "clocked", name="Ada")
        await trio.sleep(0.7)
        await ada.hang_up()
        await trio.sleep(1000)
        assert room_of(server).of("created") == []
        assert len(room_of(server).of("Ada")) == 1  # cancelled when she left
        await enter(server, "clocked", name="Bo")
        await trio.sleep(0.45)
        assert len(room_of(server).of("created")) == 1
        assert room_of(server).of("created")[0] == pytest.approx(1.0, abs=0.06)
        assert room_of(server).time < 1.3


@BOTH
async def test_an_exception_in_one_ends_the_room(
    autojump_clock: MockClock, room_class: type[Room], caplog: pytest.LogCaptureFixture
) -> None:
    async with served({"clocked": room_class}) as server:
        ada = await enter(server, "clocked", name="Ada")
        await ada.send(encode_message("crash", 3.0))
        await trio.sleep(2.5)
        assert len(server.rooms) == 1
        assert (await ada.closed())[0] == CloseCode.ROOM_FAILED
        await trio.sleep(1)
        assert server.rooms == []
        assert "as asked" in caplog.text


@BOTH
async def test_one_may_close_the_room_and_none_rings_after_its_end(
    autojump_clock: MockClock, room_class: type[Room]
) -> None:
    async with served({"clocked": room_class}) as server:
        ada = await enter(server, "clocked", name="Ada")
        room, began = room_of(server), trio.current_time()
        await ada.send(encode_message("close", 3.2))
        assert await ada.closed() == (CloseCode.NORMAL, "time is up")
        assert trio.current_time() - began == pytest.approx(3.2, abs=0.12)
        heard = len(room.log)
        await trio.sleep(60)
        assert len(room.log) == heard


def test_ticks_that_were_caught_up_ring_once_each_and_ticks_that_were_dropped_are_no_game_time() -> None:
    class Fast(Clocked):
        def on_create(self) -> None:
            super().on_create()
            self.every(0.05, self.rings, "tick")

    with HandTickedRoom(Fast()) as fast:
        fast.join("Ada")
        fast.ticks(10)
        assert len(fast.room.of("tick")) == 10
        fast.tick(late=0.11)  # two more steps before one publish
        assert len(fast.room.of("tick")) == fast.room.tick == 13
        fast.tick()
        fast.tick(late=10.0)  # three are caught up, the others are dropped
        assert len(fast.room.of("tick")) == fast.room.tick == 18


def test_those_made_in_hooks_and_by_timers_ring_in_order() -> None:
    class Chain(Clocked):
        def on_create(self) -> None:
            super().on_create()
            self.after(0.1, self.first)
            self.after(0.1, self.rings, "second")

        def first(self) -> None:
            self.rings("first")
            self.after(0.0, self.rings, "next tick")

        def step(self, dt: float) -> None:
            if self.tick in (2, 3):
                self.log.append(("step", round(self.time, 6)))

    with HandTickedRoom(Chain()) as chain:
        chain.join("Ada")
        chain.ticks(4)
        names = [name for name, _ in chain.room.log]
        assert names == ["first", "second", "step", "next tick", "step"]
