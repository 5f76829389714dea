"""Background work of rooms: beside the ticks, back at a tick, in bounds when the room or the server ends."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gameprotocol import CloseCode, encode_message
from gameserver import Entity, Player, Room, Server, uint
from gameserver.rooms.work import LAST_WORK_SECONDS, Works
from tests.support.visitors import enter, served


class Piece(Entity):
    x = uint(8)


class Errand(Room):
    """Does what it is told by message."""

    tick_rate = 20
    entities = (Piece,)
    close_when_empty = 5.0

    def on_create(self) -> None:
        self.log: list[Any] = []
        self.in_tick = False

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        then, failed = {
            "keep": (self.done, self.failed),
            "then": (self.done, None),
            "forget": (None, None),
        }.get(kind, (None, None))
        if kind == "close":
            self.close("it is over")
        else:
            self.work(self.errand, *payload, then=then, failed=failed)

    async def errand(self, name: str, seconds: float, breaks: bool = False) -> str:
        self.log.append(("begins", name))
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            self.log.append(("cancelled", name))
            raise
        if breaks:
            raise OSError(f"{name} broke")
        self.log.append(("ends", name))
        return name

    def done(self, result: str) -> None:
        self.log.append(("done", result, self.tick))

    def failed(self, error: Exception) -> None:
        self.log.append(("failed", str(error)))

    def on_close(self) -> None:
        self.log.append(("close",))


class CalmErrand(Errand):
    """The same without a tick rate."""

    tick_rate = None


BOTH = pytest.mark.parametrize("room_class", [Errand, CalmErrand])


def room_of(server: Server) -> Any:
    return server.rooms[0]


def words(room: Any) -> list[tuple[Any, ...]]:
    return [entry[:2] for entry in room.log]


@BOTH
async def test_ticks_go_on_and_results_come_in_the_order_of_being_done(
    autojump_clock: MockClock, room_class: type[Room]
) -> None:
    async with served({"errand": room_class}) as server:
        ada = await enter(server, "errand")
        for name, seconds in (("long", 2.0), ("short", 0.5), ("none", 0.0)):
            await ada.send(encode_message("keep", [name, seconds]))
        await trio.sleep(1)
        room = room_of(server)
        ticks = room.tick
        await trio.sleep(2)
        assert [entry[1] for entry in room.log if entry[0] == "done"] == ["none", "short", "long"]
        if room_class is Errand:
            assert room.tick - ticks >= 38
        else:
            assert room.tick - ticks == 1  # the result alone


@BOTH
async def test_a_failure_is_told_or_ends_the_room_alone(
    autojump_clock: MockClock, room_class: type[Room], caplog: pytest.LogCaptureFixture
) -> None:
    async with served({"errand": room_class}) as server:
        ada, room = await enter(server, "errand"), None
        bo = await enter(server, "errand", method="create")
        room, other = server.rooms
        await ada.send(encode_message("keep", ["tea", 0.5, True]))
        await trio.sleep(1)
        assert words(room)[-1] == ("failed", "tea broke")  # type: ignore[comparison-overlap]
        await ada.send(encode_message("forget", ["cake", 0.5, True]))
        assert (await ada.closed())[0] == CloseCode.ROOM_FAILED
        assert "cake broke" in caplog.text
        await bo.send(encode_message("keep", ["milk", 0.5]))
        await trio.sleep(1)
        assert words(other)[-1] == ("done", "milk")
        assert server.rooms == [other]


@BOTH
async def test_a_room_with_work_under_way_neither_pauses_nor_ends_when_it_is_empty(
    autojump_clock: MockClock, room_class: type[Room]
) -> None:
    async with served({"errand": room_class}) as server:
        ada = await enter(server, "errand")
        await ada.send(encode_message("keep", ["save", 60.0]))
        await trio.sleep(0.5)
        await ada.hang_up()
        room = room_of(server)
        await trio.sleep(58)
        assert server.rooms == [room]
        await trio.sleep(4)
        assert words(room)[-2:] == [("done", "save"), ("close",)]
        assert server.rooms == []


@BOTH
async def test_a_room_that_ends_lets_its_work_finish_for_five_seconds_and_calls_nothing_back(
    autojump_clock: MockClock, room_class: type[Room]
) -> None:
    async with served({"errand": room_class}) as server:
        ada = await enter(server, "errand")
        await ada.send(encode_message("keep", ["save", LAST_WORK_SECONDS - 1]))
        await ada.send(encode_message("keep", ["dream", LAST_WORK_SECONDS + 60]))
        await trio.sleep(0.5)
        room, began = room_of(server), trio.current_time()
        await ada.send(encode_message("close", None))
        assert await ada.closed() == (CloseCode.NORMAL, "it is over")
        assert trio.current_time() - began < 0.5  # players do not wait for it
        assert server.rooms == []
        await trio.sleep(LAST_WORK_SECONDS + 1)
        assert sorted(words(room)[:2]) == [("begins", "dream"), ("begins", "save")]
        assert words(room)[2:] == [
            ("close",),
            ("ends", "save"),
            ("cancelled", "dream"),
        ]


@BOTH
async def test_a_room_that_crashes_cancels_its_work(autojump_clock: MockClock, room_class: type[Room]) -> None:
    async with served({"errand": room_class}) as server:
        ada = await enter(server, "errand")
        await ada.send(encode_message("keep", ["dream", 60.0]))
        await trio.sleep(0.5)
        room = room_of(server)
        await ada.send(encode_message("keep", 7))  # not what `work` takes
        assert (await ada.closed())[0] == CloseCode.ROOM_FAILED
        await trio.sleep(1)
        assert words(room) == [("begins", "dream"), ("cancelled", "dream")]


@BOTH
async def test_a_server_that_stops_cancels_all_work_at_once(autojump_clock: MockClock, room_class: type[Room]) -> None:
    async with served({"errand": room_class}) as server:
        ada = await enter(server, "errand")
        await ada.send(encode_message("keep", ["dream", 3600.0]))
        await trio.sleep(0.5)
        room, began = room_of(server), trio.current_time()
    assert trio.current_time() - began < 1
    assert ("cancelled", "dream") in words(room)
    assert ("done", "dream") not in words(room)


@BOTH
async def test_fifty_errands_at_once_all_come_back(autojump_clock: MockClock, room_class: type[Room]) -> None:
    async with served({"errand": room_class}) as server:
        ada = await enter(server, "errand")
        for number in range(50):
            await ada.send(encode_message("keep", [f"{number}", (number * 7 % 50) / 100]))
        await trio.sleep(3)
        done = [entry[1] for entry in room_of(server).log if entry[0] == "done"]
        assert sorted(done, key=int) == [f"{number}" for number in range(50)]


async def test_work_takes_async_functions_alone_and_rooms_that_run() -> None:
    room = Errand()
    with pytest.raises(TypeError, match="async function and its arguments"):
        room.work(room.done, "x")  # type: ignore[arg-type]
    called = room.errand("x", 1.0)
    with pytest.raises(TypeError, match="async function and its arguments"):
        room.work(called)  # type: ignore[arg-type]
    called.close()
    with pytest.raises(RuntimeError, match="call it in a hook"):
        room.work(room.errand, "x", 1.0)


async def test_after_an_exception_in_a_callback_the_others_are_still_there(autojump_clock: MockClock) -> None:
    called: list[str] = []

    async def name(what: str) -> str:
        return what

    def then(what: str) -> None:
        called.append(what)
        if what == "first":
            raise RuntimeError(what)

    async with trio.open_nursery() as nursery:
        works = Works(nursery.start_soon, lambda: None)
        for what in ("first", "second"):
            works.start(name, (what,), then, None)
            await trio.sleep(1)
        with pytest.raises(RuntimeError, match="first"):
            works.deliver()
        assert works.pending
        works.deliver()
        assert called == ["first", "second"]
        assert not works.pending
