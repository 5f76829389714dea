"""What one room, one hook or one player does wrong stays with it: others play on, and the operator is told where."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import trio
from trio.testing import MockClock

from gameprotocol.closing import reconnect_seconds
from gameserver import Identity, JoinRequest, Player, Room, Server, serve
from gameserver.rooms.backoff import FIRST_WAIT_SECONDS, QUIET_SECONDS
from tests.integration.test_authentication import served
from tests.support.peers import Peer
from tests.support.raw_client import frame, until

HOOKS = ("on_create", "on_join", "on_leave", "on_message", "step", "on_drain", "on_close")


class Trap(Room):
    """Does ``deed`` in the hook that is named ``where``, once somebody called Bad is there."""

    where = ""
    deed: Callable[[Room], None]

    def spring(self, where: str, by: Player | None) -> None:
        if where == self.where and (by is None or by.name == "Bad"):
            type(self).deed(self)

    def on_create(self) -> None:
        self.spring("on_create", None)

    def on_join(self, player: Player) -> None:
        self.spring("on_join", player)

    def on_leave(self, player: Player, reason: str) -> None:
        self.spring("on_leave", player)

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.spring("on_message", player)

    def step(self, dt: float) -> None:
        for player in self.players:
            self.spring("step", player)

    def on_drain(self, seconds: float) -> None:
        self.spring("on_drain", None)
        super().on_drain(seconds)

    def on_close(self) -> None:
        self.spring("on_close", None)


def trap(where: str, deed: Callable[[Room], None], **attributes: Any) -> type[Trap]:
    return type("Trap", (Trap,), {"where": where, "deed": staticmethod(deed), **attributes})


def raising(error: type[BaseException] | BaseException) -> Callable[[Room], None]:
    def deed(room: Room) -> None:
        raise error

    return deed


class UnspeakableError(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("not even its text")

    __repr__ = __str__


async def spring(server: Server, bad: Peer, where: str) -> None:
    """Do what makes a room's hook run."""
    await bad.upgrade("/trap")
    await bad.send([1, {"name": "Bad"}])
    if where in ("on_leave", "on_message", "on_close"):
        await bad.until(lambda message: message[0] == 3)
    if where == "on_leave":
        bad.leave()
    elif where == "on_message":
        await bad.send([5, "go", None])
    elif where == "on_close":
        server.room("trap").close()


# ---- exceptions


@pytest.mark.parametrize("error", [ZeroDivisionError("as told"), StopIteration(), UnspeakableError(), RecursionError])
@pytest.mark.parametrize("where", [hook for hook in HOOKS if hook != "on_drain"])
async def test_an_exception_in_a_hook_costs_other_rooms_no_tick(
    autojump_clock: MockClock, where: str, error: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with served({"calm": Room, "trap": trap(where, raising(error))}) as (server, connect):
        present, bad = connect(), connect()
        await present.join("/calm")
        calm = server.room("calm")
        tick, began = calm.tick, trio.current_time()
        await spring(server, bad, where)
        if where != "on_leave":
            code, _ = await bad.closed()
            assert code == (1000 if where == "on_close" else 1011)
            bad.leave()
        await trio.sleep(1)
        assert calm.tick - tick == pytest.approx(20 * (trio.current_time() - began), abs=1)
        assert (calm.stats.overruns, calm.stats.dropped_ticks) == (0, 0)
        assert server.rooms == [calm]
        assert server.entrance.door.connections == 1, "the link of the room that failed is still there"
        await present.frames(2)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "trap/2" in record.getMessage()


async def test_all_rooms_that_can_drain_do_when_one_fails_to(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = {"trap": trap("on_drain", raising(ZeroDivisionError)), "calm": Room, "second": Room}
    async with served(rooms) as (server, connect):
        peers = {name: connect() for name in rooms}
        for name, peer in peers.items():
            await peer.join("/" + name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            codes = {}
            for name, peer in peers.items():
                codes[name] = (await peer.closed())[0]
                peer.leave()
        assert codes == {"trap": 1011, "calm": 1012, "second": 1012}
    assert "ZeroDivisionError" in caplog.text


# ---- a player that goes


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    "how",
    [
        "closes",
        "hangs up",
        "is kicked",
    ],
)
async def test_the_last_words_of_a_player_count_and_what_follows_a_kick_does_not(
    autojump_clock: MockClock, how: str, tcp: bool
) -> None:
    heard: list[str] = []

    class Listening(Room):
        def on_message(self, player: Player, kind: str, payload: Any) -> None:
            heard.append(kind)
            if kind == "kick me":
                player.kick()

        def on_leave(self, player: Player, reason: str) -> None:
            heard.append("left")

    async with served({"room": Listening}) as (_, connect):
        peer = connect(tcp)
        await peer.join("/room")
        await peer.frames(1)
        second = "kick me" if how == "is kicked" else "two"
        words = b"".join(frame(msgpack.packb([5, word, None])) for word in ("one", second, "three"))
        await peer.raw.send(words + (frame(b"\x03\xe8", 8) if how == "closes" else b""))
        if how == "hangs up":
            peer.leave()
        await trio.sleep(1)
    assert heard == (["one", "kick me", "left"] if how == "is kicked" else ["one", "two", "three", "left"])


# ---- a type that crashes again and again


async def refused(peer: Peer, path: str) -> tuple[int, str]:
    await peer.upgrade(path)
    await peer.send([1, {"name": "Bad"}])
    heard = await peer.closed()
    peer.leave()
    return heard


@pytest.mark.parametrize("where", ["on_create", "on_join", "step"])
async def test_a_type_that_keeps_crashing_is_made_again_later(
    autojump_clock: MockClock, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    fragile = trap(where, raising(ZeroDivisionError))
    async with served({"calm": Room, "trap": fragile}) as (_, connect):
        present = connect()
        await present.join("/calm")
        expected = FIRST_WAIT_SECONDS
        assert await refused(connect(), "/trap") == (1011, "the room failed")
        for _ in range(4):
            assert await refused(connect(), "/trap") == (1011, "the room failed")
            for _ in range(3):  # whoever comes too early gets the same answer, and makes the wait no longer
                code, reason = await refused(connect(), "/trap")
                assert (code, "trap" in reason) == (1013, True)
            seconds = reconnect_seconds(code, reason)
            assert seconds == pytest.approx(expected, abs=0.1)
            newcomer = connect()
            await newcomer.join("/calm")
            newcomer.leave()
            await trio.sleep(seconds)
            expected *= 2
        failures = [record for record in caplog.records if record.exc_info]
        assert len(failures) == 5
        await present.frames(2)
        fragile.where = ""  # the cause is gone
        peer = connect()
        assert (await peer.join("/trap"))["room"] == "trap"
        await peer.frames(2)


async def test_a_type_that_lived_for_a_while_is_made_at_once(autojump_clock: MockClock) -> None:
    async with served({"trap": trap("step", raising(ZeroDivisionError))}) as (_, connect):
        for _ in range(3):
            assert await refused(connect(), "/trap") == (1011, "the room failed")
            await trio.sleep(QUIET_SECONDS + 1)


async def test_rooms_of_the_type_that_did_not_crash_play_on_and_take_players(autojump_clock: MockClock) -> None:
    fragile = trap("on_message", raising(ZeroDivisionError), max_players=2)
    async with served({"trap": fragile}) as (server, connect):
        survivors = [connect(), connect()]
        for peer in survivors:
            await peer.join("/trap", "Good")
        for room_id in ("2", "3"):
            bad = connect()
            assert (await bad.join("/trap", "Bad"))["room_id"] == room_id
            await bad.send([5, "go", None])
            assert (await bad.closed())[0] == 1011
            bad.leave()
        assert (await refused(connect(), "/trap"))[0] == 1013
        survivors[0].leave()
        await until(lambda: server.rooms[0].player_count == 1)
        newcomer = connect()
        assert (await newcomer.join("/trap", "Good"))["room_id"] == "1"
        await survivors[1].frames(2)


# ---- a room that ends itself


@pytest.mark.parametrize("where", [hook for hook in HOOKS if hook not in ("on_drain", "on_close")])
async def test_a_room_that_closes_itself_makes_room_for_a_new_one(
    autojump_clock: MockClock, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    def close(room: Room) -> None:
        room.broadcast("score", 3)
        room.close("the match is over")
        room.close("and over again")

    closing = trap(where, close)
    async with served({"calm": Room, "trap": closing}) as (server, connect):
        witness, bad, other = connect(), connect(), connect()
        await other.join("/calm")
        if where != "on_create":
            await witness.join("/trap", "Witness")
        await spring(server, bad, where)
        for peer in {"on_create": [bad], "on_leave": [witness]}.get(where, [bad, witness]):
            if where != "on_create":
                assert (await peer.until(lambda message: message[0] == 5))[1:] == ["score", 3]
            assert await peer.closed() == (1000, "the match is over")
            peer.leave()
        assert [room.name for room in server.rooms] == ["calm"]
        closing.where = ""
        newcomer = connect()
        assert (await newcomer.join("/trap"))["room_id"] != "1"
        await newcomer.frames(2)
        await other.frames(2)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# ---- code that does not come back; in real time


def reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "gameserver.watchdog"]


class Sleepy(Room):
    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.dreams = True

    def step(self, dt: float) -> None:
        if getattr(self, "dreams", False):
            self.dreams = False
            time.sleep(0.5)  # the line to be named


async def asleep(request: JoinRequest) -> Identity:
    time.sleep(0.5)  # noqa: ASYNC251 - it is what the watchdog is to find
    return Identity("1")


async def test_a_step_that_hangs_is_named_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    async with served({"bedroom": Sleepy}, watchdog_seconds=0.15) as (_, connect):
        peer = connect()
        await peer.join("/bedroom")
        await peer.send([5, "sleep", None])
        with trio.fail_after(20):
            await until(lambda: len(reports(caplog)) >= 2)
        await peer.frames(3)
    hangs, *_, went_on = reports(caplog)
    assert "room bedroom/1 (Sleepy) hangs" in hangs
    assert "in step" in hangs
    assert "time.sleep(0.5)  # the line to be named" in hangs
    assert "room bedroom/1 (Sleepy) went on after" in went_on


async def test_a_hook_that_blocks_the_server_is_named_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    async with served(Room, authenticate=asleep, watchdog_seconds=0.15) as (_, connect):
        peer = connect()
        await peer.join("/room")
        with trio.fail_after(20):
            await until(lambda: len(reports(caplog)) >= 2)
    assert "outside of any room" in reports(caplog)[0]
    assert "in asleep" in reports(caplog)[0]
    assert "ASYNC251" in reports(caplog)[0]


async def test_no_watchdog_is_no_watchdog(caplog: pytest.LogCaptureFixture) -> None:
    async with served({"bedroom": Sleepy}, watchdog_seconds=None) as (_, connect):
        peer = connect()
        await peer.join("/bedroom")
        await peer.send([5, "sleep", None])
        await peer.frames(3)
    assert reports(caplog) == []


@pytest.mark.slow
async def test_a_server_that_idles_or_plays_raises_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    with trio.fail_after(30):
        async with serve({"empty": Room, "busy": Room}, watchdog_seconds=0.4) as server:
            server.room("empty")
            await trio.sleep(1.5)
            peer = Peer(server.open_socket())
            await peer.join("/busy")
            await peer.frames(20)
            peer.leave()
            await trio.sleep(0.5)
    assert reports(caplog) == []


async def test_a_room_that_is_about_to_end_takes_nobody(autojump_clock: MockClock) -> None:
    async with serve({"trap": Trap}) as server:
        ending = server.room("trap")
        ending.close()
        assert server.room("trap") is not ending
