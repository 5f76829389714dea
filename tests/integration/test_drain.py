"""How a server stops well: who is told what, what may go on, and that nothing holds it up."""

from __future__ import annotations

import logging
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import gameclient
from gameprotocol._websocket import CLOSE, OddFrame
from gameserver import Player, Room, serve
from tests.integration.test_authentication import served
from tests.integration.test_cli import SECONDS, Running
from tests.support.peers import Peer
from tests.support.raw_client import RawClient, until, upgrade_request

RESTARTS = re.compile(r"the server restarts; reconnect in (\d+\.\d) s")


class Diary(Room):
    """Writes down what happens to it, in a list of its class."""

    events: list[tuple[Any, ...]] = []

    def note(self, *what: Any) -> None:
        self.events.append((self.name, *what))

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.close("match over")

    def on_close(self) -> None:
        self.note("close", self.player_count)


class Endless(Diary):
    """Never ends by itself."""

    def on_drain(self, seconds: float) -> None:
        self.note("drain", seconds)


class LastWords(Diary):
    def on_drain(self, seconds: float) -> None:
        self.broadcast("drain", seconds)
        super().on_drain(seconds)

    def on_close(self) -> None:
        self.broadcast("close")


class Failing(Diary):
    def on_drain(self, seconds: float) -> None:
        self.broadcast("last", "words")
        raise ZeroDivisionError("as told")


class FailingToClose(Diary):
    def on_close(self) -> None:
        raise ZeroDivisionError("as told")


def fresh(room: type[Diary], **attributes: Any) -> Any:
    """``room`` with an empty list of events."""
    return type(room.__name__, (room,), {"events": [], **attributes})


async def hear_the_end(peer: Peer) -> tuple[int, str]:
    """Why it is closed; it is answered by hanging up, as many clients do."""
    heard = await peer.closed()
    peer.leave()
    return heard


async def all_join(peers: list[Peer], path: str) -> None:
    for peer in peers:
        await peer.upgrade(path)
        await peer.send([1, {}])
    for peer in peers:
        await peer.until(lambda message: message[0] == 2)


# ---- a server inside a program, in virtual time


async def test_rooms_without_a_plan_end_at_once(autojump_clock: MockClock) -> None:
    room = fresh(Diary)
    async with served(room) as (server, connect):
        peers = [connect() for _ in range(200)]
        await all_join(peers, "/diary")
        began = trio.current_time()
        waits = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            for peer in peers:
                code, reason = await hear_the_end(peer)
                told = RESTARTS.fullmatch(reason)
                assert code == 1012
                assert told is not None, reason
                waits.append(float(told[1]))
        assert trio.current_time() - began < 0.2
        assert 2.0 <= min(waits) < 2.5 < max(waits) <= 3.0, "they would all come back at once"
        assert server.rooms == []
    assert room.events == [("diary", "close", 200)]


async def test_a_room_may_go_on_until_it_closes(autojump_clock: MockClock) -> None:
    room = fresh(Endless)
    async with served(room, {"other": fresh(Diary)}) as (server, connect):
        ada, other = connect(), connect()
        await ada.join("/endless")
        await other.join("/other")
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            assert (await hear_the_end(other))[0] == 1012
            await ada.frames(40)
            assert server.is_draining
            await ada.send([5, "finish", None])
            assert await hear_the_end(ada) == (1000, "match over")
        assert 1.9 <= trio.current_time() - began < 3
    ((_, what, seconds), closed) = room.events
    assert (what, closed) == ("drain", ("endless", "close", 1))
    assert seconds == pytest.approx(8, abs=0.1)


@pytest.mark.parametrize("answers_close", [True, False])
@pytest.mark.parametrize("tick_rate", [1, 20])
@pytest.mark.parametrize("seconds", [1, 3, 10])
async def test_a_room_that_never_closes_is_ended_in_time(
    autojump_clock: MockClock, seconds: float, tick_rate: float, answers_close: bool
) -> None:
    room = fresh(Endless, tick_rate=tick_rate)
    with trio.fail_after(60):
        async with serve(room, port=0) as server:
            peer = Peer(server.open_socket())
            await peer.join("/endless")
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.drain, seconds)
                code, reason = await peer.closed()
                heard_after = trio.current_time() - began
                if answers_close:
                    peer.leave()
        assert code == 1012
        assert RESTARTS.fullmatch(reason)
        assert heard_after >= max(seconds / 2, seconds - 2) - 0.01, "it could have played on"
        assert heard_after <= seconds
        assert trio.current_time() - began <= seconds + 0.01
        peer.leave()
    assert room.events[-1] == ("endless", "close", 1)
    assert [what for _, what, *_ in room.events].count("close") == 1


async def test_a_peer_that_answers_nothing_is_told_once(autojump_clock: MockClock) -> None:
    with trio.fail_after(60):
        async with serve(fresh(Endless)) as server:
            peer = Peer(server.open_socket())
            await peer.join("/endless")
            began = trio.current_time()
            await server.drain(3)
        took = trio.current_time() - began
        await peer.raw.until_eof()
        peer.leave()
    closes = [each for each in peer.raw.frames if isinstance(each, OddFrame) and each.opcode == CLOSE]
    assert (len(closes), took) == (1, pytest.approx(3, abs=0.1))


@pytest.mark.parametrize("room", [fresh(Diary), fresh(Endless), fresh(Endless, pause_when_empty=False)])
async def test_rooms_with_nobody_in_them(autojump_clock: MockClock, room: type[Diary]) -> None:
    async with served({"never": room, "left": room}) as (server, connect):
        server.room("never")
        peer = connect()
        await peer.join("/left")
        peer.leave()
        await until(lambda: not server.room("left").player_count)
        await trio.sleep(1)
        began = trio.current_time()
        await server.drain(10)
        goes_on = not room.pause_when_empty  # until it closes: that is what its author asked for
        assert trio.current_time() - began == pytest.approx(8 if goes_on else 0, abs=0.1)
        assert server.rooms == []
    assert sorted(name for name, what, *_ in room.events if what == "close") == ["left", "never"]


async def test_a_room_that_goes_on_ends_when_its_last_player_leaves(autojump_clock: MockClock) -> None:
    async with served(fresh(Endless)) as (server, connect):
        peer = connect()
        await peer.join("/endless")
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            await trio.sleep(1)
            peer.leave()
        assert trio.current_time() - began == pytest.approx(1, abs=0.2)


async def test_what_a_room_says_last_arrives(autojump_clock: MockClock) -> None:
    async with served(LastWords) as (server, connect):
        peer = connect()
        await peer.join("/lastwords")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            words = [(await peer.until(lambda message: message[0] == 5))[1] for _ in range(2)]
            assert words == ["drain", "close"]
            assert (await hear_the_end(peer))[0] == 1012


@pytest.mark.parametrize(
    ("room", "code", "logged"), [(Failing, 1011, "room failed"), (FailingToClose, 1012, "on_close failed")]
)
async def test_an_exception_holds_nothing_up(
    autojump_clock: MockClock, room: type[Diary], code: int, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = fresh(Diary)
    async with served({"bad": room, "good": good}) as (server, connect):
        peer, other = connect(), connect()
        await peer.join("/bad")
        await other.join("/good")
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            if room is Failing:
                assert (await peer.until(lambda message: message[0] == 5))[1:] == ["last", "words"]
            assert (await hear_the_end(peer))[0] == code
            assert (await hear_the_end(other))[0] == 1012
        assert trio.current_time() - began < 0.2
    assert logged in caplog.text
    assert "ZeroDivisionError: as told" in caplog.text
    assert good.events == [("good", "close", 1)]


async def a_peer_that_answers_no_close(connect: Callable[[], Peer]) -> None:
    await connect().join("/diary", "deaf")


async def a_peer_that_reads_nothing(connect: Callable[[], Peer]) -> None:
    await connect().join("/diary", "stuck")


async def a_peer_that_never_says_hello(connect: Callable[[], Peer]) -> None:
    await connect().upgrade("/diary")


async def a_peer_that_sends_no_request(connect: Callable[[], Peer]) -> None:
    await connect().raw.send(b"GET /diary HTTP/1.1\r\nHost: loc")


@pytest.mark.parametrize(
    "bad",
    [
        a_peer_that_answers_no_close,
        a_peer_that_reads_nothing,
        a_peer_that_never_says_hello,
        a_peer_that_sends_no_request,
    ],
)
async def test_a_peer_that_does_not_go_along_costs_a_closing_handshake(
    autojump_clock: MockClock, bad: Callable[[Callable[[], Peer]], Any]
) -> None:
    class Talkative(Diary):
        def on_message(self, player: Player, kind: str, payload: Any) -> None:
            for _ in range(110):  # more than the kernel takes, less than the queue may hold
                for each in self.players:
                    if each.name == "stuck":
                        each.send("blah", "x" * 4000)

    with trio.fail_after(60):
        async with served({"diary": Talkative}) as (server, connect):
            good = connect()
            await bad(connect)
            await good.join("/diary")
            await good.send([5, "talk", None])
            await trio.sleep(0.2)
            links = [player._link for player in server.room().players]
            assert any(link.pending_bytes for link in links) == (bad is a_peer_that_reads_nothing)
            assert not any(link.closed for link in links)
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.drain, 10)
                assert (await hear_the_end(good))[0] == 1012
                assert trio.current_time() - began < 0.2
            assert trio.current_time() - began < 2.5
        assert trio.current_time() - began < 3.1


async def test_who_comes_meanwhile_is_turned_away(autojump_clock: MockClock) -> None:
    async with served(fresh(Endless)) as (server, connect):
        ada, early = connect(), connect(tcp=True)
        await ada.join("/endless")
        await early.upgrade("/endless")  # before the drain, and its hello after it
        await early.raw.read()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            await trio.sleep(0.1)
            await early.send([1, {}])
            code, reason = await hear_the_end(early)
            assert code == 1012
            assert RESTARTS.fullmatch(reason)
            for target in (server.url(), server.local()):
                with pytest.raises(gameclient.ConnectError, match="503"):
                    async with gameclient.connect(target):
                        pass
            assert [room.player_count for room in server.rooms] == [1]
            await ada.frames(3)
            await ada.send([5, "finish", None])
            await hear_the_end(ada)


@pytest.mark.parametrize("seconds", [0, 0.01])
async def test_no_time_at_all(autojump_clock: MockClock, seconds: float) -> None:
    room = fresh(Endless)
    with trio.fail_after(60):
        async with serve(room) as server:
            peer = Peer(server.open_socket())
            await peer.join("/endless")
            began = trio.current_time()
            await server.drain(seconds)
        assert trio.current_time() - began < 0.7
        assert (await peer.closed())[0] in (1001, 1012)
        peer.leave()
    assert [what for _, what, *_ in room.events].count("close") == 1


async def test_draining_twice_at_once_is_draining_once(autojump_clock: MockClock) -> None:
    room = fresh(Diary)
    async with served(room) as (server, connect):
        peer = connect()
        await peer.join("/diary")
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            nursery.start_soon(server.drain, 10)
            await hear_the_end(peer)
        assert trio.current_time() - began < 0.2
        await server.drain(10)
        assert trio.current_time() - began < 0.2
    assert room.events == [("diary", "close", 1)]


async def test_a_drain_that_is_cancelled_leaves_rooms_that_go_on(autojump_clock: MockClock) -> None:
    async with served(fresh(Endless)) as (server, connect):
        peer = connect()
        await peer.join("/endless")
        with trio.move_on_after(1):
            await server.drain(10)
        assert server.is_draining
        await trio.sleep(10)
        await peer.frames(3)
        assert server.room().player_count == 1


# ---- the program, stopped by signals

GAME = """
from gameserver import Room

class Plain(Room):
    def on_create(self):
        self.drained = 0

    def on_message(self, player, kind, payload):
        self.close("match over")

    def on_close(self):
        print("closed", self.name, self.player_count, self.drained, flush=True)

class Endless(Plain):
    def on_drain(self, seconds):
        self.drained = round(seconds)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_game.py").write_text(GAME)
    return tmp_path


def reach(url: str, source: str = "127.0.0.1") -> socket.socket:
    host, _, port = url.removeprefix("ws://").partition("/")[0].partition(":")
    return socket.create_connection((host, int(port)), source_address=(source, 0))


async def joined(url: str) -> Peer:
    peer = Peer(reach(url))
    await peer.join("/" + url.rpartition("/")[2])
    return peer


async def get(url: str, request: bytes, source: str = "127.0.0.1") -> str:
    """The whole answer to a request."""
    client = RawClient(reach(url, source))
    await client.send(request)
    await client.until_eof()
    client.sock.close()
    return client.received.decode()


async def page(url: str, path: str) -> str:
    return (await get(url, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())).split("\r\n")[0]


def ended(server: Running) -> str:
    """What the program printed, once it has ended well."""
    out, err = server.process.communicate(timeout=SECONDS)
    assert server.process.returncode == 0, err
    assert "Traceback" not in err
    assert out.endswith("stopped\n")
    return out.removesuffix("stopped\n")


async def test_sigterm_tells_players_when_to_come_back(folder: Path) -> None:
    with Running(folder, "my_game:Plain", "two=my_game:Plain") as server, trio.fail_after(SECONDS):
        peers = []
        for url in server.urls:
            crowd = [Peer(reach(url)) for _ in range(40)]
            await all_join(crowd, "/" + url.rpartition("/")[2])
            peers += crowd
        server.process.send_signal(signal.SIGTERM)
        told = {await hear_the_end(peer) for peer in peers}
        assert {code for code, _ in told} == {1012}
        assert all(RESTARTS.fullmatch(reason) for _, reason in told)
        assert len(told) > 1
        assert sorted(ended(server).splitlines()) == ["closed plain 40 0", "closed two 40 0"]


async def test_sigterm_lets_a_match_finish_and_nobody_in(folder: Path) -> None:
    with Running(folder, "my_game:Endless", "--drain-seconds", "60") as server, trio.fail_after(SECONDS):
        (url,) = server.urls
        peer = await joined(url)
        assert await page(url, "/readyz") == "HTTP/1.1 200 OK"
        server.process.send_signal(signal.SIGTERM)
        await peer.frames(5)
        while await page(url, "/readyz") != "HTTP/1.1 503 Service Unavailable":
            await peer.frames(1)
        assert await page(url, "/healthz") == "HTTP/1.1 200 OK"
        refused = await get(url, upgrade_request("/endless"))
        assert refused.startswith("HTTP/1.1 503 Service Unavailable\r\n")
        assert "\r\nRetry-After: 2\r\n" in refused
        await peer.frames(5)
        await peer.send([5, "finish", None])
        assert await hear_the_end(peer) == (1000, "match over")
        assert ended(server) == "closed endless 1 58\n"


async def test_sigterm_ends_at_the_deadline(folder: Path) -> None:
    with Running(folder, "my_game:Endless", TICKWIRE_DRAIN_SECONDS="1") as server, trio.fail_after(SECONDS):
        peer = await joined(server.urls[0])
        server.process.send_signal(signal.SIGTERM)
        code, reason = await hear_the_end(peer)
        assert code == 1012
        assert RESTARTS.fullmatch(reason)
        assert ended(server) == "closed endless 1 0\n"


@pytest.mark.parametrize(
    ("first", "second"), [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT), (None, signal.SIGINT)]
)
async def test_a_second_signal_or_ctrl_c_stops_at_once(
    folder: Path, first: signal.Signals | None, second: signal.Signals
) -> None:
    with Running(folder, "my_game:Endless", "--drain-seconds", "600") as server, trio.fail_after(SECONDS):
        (url,) = server.urls
        peer = await joined(url)
        if first is not None:
            server.process.send_signal(first)
            while "503" not in await page(url, "/readyz"):
                await peer.frames(1)
        server.process.send_signal(second)
        assert await hear_the_end(peer) == (1001, "the server is going away")
        assert ended(server).startswith("closed endless 1 ")


async def test_sigterm_without_time_stops_at_once(folder: Path) -> None:
    with Running(folder, "my_game:Endless", "--drain-seconds", "0") as server, trio.fail_after(SECONDS):
        peer = await joined(server.urls[0])
        server.process.send_signal(signal.SIGTERM)
        assert (await hear_the_end(peer))[0] in (1001, 1012)
        assert ended(server).startswith("closed endless 1 ")


async def test_a_log_of_a_drain(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with served(fresh(Diary)) as (server, connect):
        peer = connect()
        await peer.join("/diary")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            await hear_the_end(peer)
    (line,) = [record.getMessage() for record in caplog.records if "draining" in record.getMessage()]
    assert all(part in line for part in ("rooms=1", "players=1", "seconds=10"))
