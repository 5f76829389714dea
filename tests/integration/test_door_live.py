"""The door over real TCP: who is turned away and how, who is cut and when, and that players inside notice nothing.

Players come from 127.0.0.2 and on: the door counts those addresses, unlike 127.0.0.1. Time is virtual except where the
kernel has a part in it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gameprotocol import SUBPROTOCOL, encode_message
from gameprotocol._websocket import CLOSE, PING, PONG, OddFrame, close_payload
from gameserver import Entity, Limits, Player, Room, Server, fixed, serve
from tests.support.peers import Peer
from tests.support.raw_client import RawClient, frame, until, upgrade_request

HELLO = frame(b"\x92\x01\x80")  # [1, {}]


class Ship(Entity):
    x = fixed(0, 4000, step=1)


class Plain(Room):
    """Something moves in every tick, so every tick has a frame."""

    tick_rate = 20
    entities = (Ship,)

    def on_create(self) -> None:
        self.left: list[tuple[str, str]] = []
        self.world.spawn(Ship)

    def on_leave(self, player: Player, reason: str) -> None:
        self.left.append((player.name, reason))

    def step(self, dt: float) -> None:
        self.world[Ship].x = (self.world[Ship].x + 1) % 4000


class Patient(Plain):
    """Goes on while the server drains."""

    def on_drain(self, seconds: float) -> None:
        self.drain_seconds = seconds


#: Connects from an address; the connection is closed after the test.
Connect = Callable[..., socket.socket]


@asynccontextmanager
async def served(room: type[Room] = Plain, **arguments: Any) -> AsyncIterator[tuple[Server, Connect]]:
    given = {name: arguments.pop(name) for name in ("origins", "trusted_proxies") if name in arguments}
    socks: list[socket.socket] = []
    try:
        with trio.fail_after(300):
            async with serve({"plain": room}, port=0, limits=Limits(**arguments), **given) as server:

                def connect(source: str = "127.0.0.2", receive_bytes: int = 0) -> socket.socket:
                    sock = socket.socket()
                    socks.append(sock)
                    if receive_bytes:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
                    sock.bind((source, 0))
                    sock.connect(("127.0.0.1", server.port))
                    return sock

                yield server, connect
    finally:
        for sock in socks:  # after the server: it must end whether its peers do or not
            sock.close()


async def answer(sock: socket.socket, request: bytes = b"") -> str:
    """What the server says until it hangs up."""
    client = RawClient(sock)
    await client.send(request)
    await client.until_eof()
    return client.received.decode()


async def admitted(sock: socket.socket) -> Peer:
    """A player who is in the room."""
    peer = Peer(sock)
    await peer.join("/plain")
    return peer


def get(path: str = "/plain", method: str = "GET", more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()


# ---- how many, how fast


async def test_too_many_of_one_address(autojump_clock: MockClock) -> None:
    async with served(connections_per_address=2) as (_, connect):
        one, _ = await admitted(connect()), await admitted(connect())
        said = await answer(connect())
        assert said.startswith("HTTP/1.1 429 Too Many Requests\r\n")
        assert "\r\nRetry-After: 5\r\n" in said
        assert said.endswith("\r\n\r\nToo many connections from this address.\n")
        await admitted(connect("127.0.0.3"))
        for _ in range(4):
            await admitted(connect("127.0.0.1"))  # bots and load tests on the own machine
        one.leave()
        await trio.sleep(0.1)
        await admitted(connect())
        assert "429" in await answer(connect())


async def test_too_fast_from_one_address(autojump_clock: MockClock) -> None:
    async with served(connects_per_second_per_address=0.5) as (_, connect):
        assert "426" in await answer(connect(), get())  # a burst of 3 seconds' worth is 1.5
        said = await answer(connect())
        assert said.startswith("HTTP/1.1 429 ")
        wait = re.search(r"\r\nRetry-After: (\d+)\r\n", said)
        assert wait is not None
        assert int(wait[1]) in (1, 2)
        assert said.endswith("Too many new connections from this address.\n")
        assert "426" in await answer(connect("127.0.0.3"), get())
        await trio.sleep(int(wait[1]))
        assert "426" in await answer(connect(), get())


async def vanish(sock: socket.socket) -> None:
    await admitted(sock)


async def hang_up_at_once(sock: socket.socket) -> None:
    pass


async def be_refused(sock: socket.socket) -> None:
    assert "404" in await answer(sock, upgrade_request("/nowhere"))


async def look_at_a_page(sock: socket.socket) -> None:
    assert "200" in await answer(sock, get("/healthz"))


async def send_garbage(sock: socket.socket) -> None:
    assert "400" in await answer(sock, b"\x80\x81\r\n\r\n")


async def say_nothing(sock: socket.socket) -> None:
    assert await answer(sock) == ""


async def say_no_hello(sock: socket.socket) -> None:
    client = RawClient(sock)
    await client.upgrade(path="/plain")
    assert (await client.until_close())[0] == 4002


async def say_goodbye(sock: socket.socket) -> None:
    peer = await admitted(sock)
    await peer.raw.send(frame(close_payload(1000, ""), CLOSE))
    assert await peer.closed() == (1000, "")


@pytest.mark.parametrize(
    "visit",
    [
        vanish,
        hang_up_at_once,
        be_refused,
        look_at_a_page,
        send_garbage,
        say_nothing,
        say_no_hello,
        say_goodbye,
    ],
)
async def test_a_full_server_has_room_again_however_they_leave(visit: Any, autojump_clock: MockClock) -> None:
    async with served(connections=3, dead_seconds=600) as (server, connect):
        player, _ = await admitted(connect()), await admitted(connect("127.0.0.1"))
        for _ in range(3):
            last = connect()
            if visit is not hang_up_at_once:
                await trio.sleep(0.01)
                said = await answer(connect("127.0.0.3"))
                assert said.startswith("HTTP/1.1 503 Service Unavailable\r\n")
                assert "\r\nRetry-After: 5\r\n" in said
                assert said.endswith("\r\n\r\nThe server is full.\n")
            await visit(last)
            last.close()
            await trio.sleep(3)  # closing takes up to 2 s
            assert server.entrance.door.connections == 2
        await admitted(connect("127.0.0.3"))
        await player.frames(2)


async def test_all_together_are_let_in_at_a_pace_and_players_inside_notice_nothing(autojump_clock: MockClock) -> None:
    rate, guests = 10, 22
    async with served(connects_per_second=rate) as (_, connect):
        player = await admitted(connect())
        seen_at: list[float] = []
        began = trio.current_time()

        async def visit(sock: socket.socket) -> None:
            assert "426" in await answer(sock, get())
            seen_at.append(trio.current_time() - began)

        async with trio.open_nursery() as nursery:
            for _ in range(guests):
                nursery.start_soon(visit, connect())
            await player.frames(2 * 20)
        ticks = [message[1][0] for message in player.heard if message[0] == 3]
        assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
        for number, seconds in enumerate(sorted(seen_at)):  # two may come at once, one of which was the player
            assert (number - 1) / rate <= seconds + 0.01 <= (number + 1) / rate + 0.6


# ---- what they ask for

ANSWERS = [
    (upgrade_request("/nowhere"), "404 Not Found", "No such room; there is plain."),
    (get("/nowhere"), "404 Not Found", "No such room; there is plain."),
    (get("/", more="Connection: close\r\n"), "302 Found", "/plain/"),
    (get("/healthz/more", more="Connection: close\r\n"), "404 Not Found", "No such room or file."),
    (get(method="POST"), "405 Method Not Allowed", "Only GET and HEAD are served here."),
    (get(method="DELETE"), "405 Method Not Allowed", "Only GET, HEAD, POST and OPTIONS are served here."),
    (get("/healthz", "POST"), "405 Method Not Allowed", "Only GET and HEAD are served here."),
    (get(), "426 Upgrade Required", "This is a WebSocket: connect with ws:// or wss://."),
    (get(more=f"Cookie: {'c' * 9000}\r\n"), "431 Request Header Fields Too Large", "The request head is too long."),
    (get(more="A: b\r\n" * 70), "431 Request Header Fields Too Large", "too many header fields"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 Bad Request", "This port does not speak TLS: use ws://"),
    (get(more="Content-Length: 4\r\n") + b"body", "400 Bad Request", "must not have a body"),
    (get("/healthz"), "200 OK", "ok"),
    (get("/healthz?from=balancer"), "200 OK", "ok"),
    (get("/readyz"), "200 OK", "ready"),
]


@pytest.mark.parametrize(("request_", "status", "text"), ANSWERS)
async def test_answers(request_: bytes, status: str, text: str, autojump_clock: MockClock) -> None:
    async with served() as (_, connect):
        began = trio.current_time()
        said = await answer(connect(), request_)
        assert trio.current_time() - began < 0.2  # the end comes with the answer
    head, _, body = said.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status}\r\n")
    assert text in body
    assert f"Content-Length: {len(body)}" in head
    assert ("\r\nAllow: GET" in head) is (status[:3] == "405")
    assert ("\r\nUpgrade: websocket" in head) is (status[:3] == "426")


@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        ((), "", 101),
        ((), "http://localhost", 101),
        ((), "http://127.0.0.1:5173", 101),
        ((), "https://evil.example", 403),
        ((), "null", 403),
        (("https://game.example",), "https://game.example", 101),
        (("https://game.example",), "http://localhost", 403),
        (("*",), "https://evil.example", 101),
    ],
)
async def test_pages_of_others(origins: tuple[str, ...], origin: str, status: int, autojump_clock: MockClock) -> None:
    async with served(origins=origins) as (_, connect):
        client = RawClient(connect())
        await client.send(upgrade_request("/plain", Origin=origin))
        while b"\r\n\r\n" not in client.received:
            assert await client.read()
        assert client.received.startswith(b"HTTP/1.1 %d " % status)
        if status == 403:
            await client.until_eof()
            assert (
                b"Pages of this origin may not connect; the setting origins names those that may.\n" in client.received
            )
            assert b"evil" not in client.received


async def test_draining_is_told_to_health_checks_and_players(autojump_clock: MockClock) -> None:
    async with served(Patient) as (server, connect):
        player = await admitted(connect())
        early = RawClient(connect())
        await early.upgrade(path="/plain", Sec_WebSocket_Protocol=SUBPROTOCOL)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10.0)
            await trio.sleep(0.5)
            assert "HTTP/1.1 200 OK" in await answer(connect(), get("/healthz"))
            said = await answer(connect(), get("/readyz"))
            assert said.startswith("HTTP/1.1 503 ")
            assert said.endswith("draining\n")
            said = await answer(connect(), upgrade_request("/plain", Sec_WebSocket_Protocol=SUBPROTOCOL))
            assert said.startswith("HTTP/1.1 503 ")
            assert "\r\nRetry-After: 2\r\n" in said
            await player.frames(5)  # the room goes on
            await early.send(HELLO)  # who was upgraded before is told too
            assert (await early.until_close())[0] == 1012
            code, reason = await player.closed()
        assert code == 1012
        assert re.fullmatch(r"the server restarts; reconnect in \d\.\d s", reason)


# ---- who is slow, silent, or stuck


@pytest.mark.parametrize("seconds", [0.25, 5.0])
async def test_silent_and_slow_heads_are_cut_at_the_deadline(seconds: float, autojump_clock: MockClock) -> None:
    async with served(hello_seconds=seconds) as (server, connect):
        player = await admitted(connect())
        began = trio.current_time()
        ends: list[float] = []

        async def drip(data: bytes, pause_seconds: float) -> None:
            client = RawClient(connect("127.0.0.3"))

            async def send() -> None:
                try:
                    for byte in data:
                        await client.send(bytes([byte]))
                        await trio.sleep(pause_seconds)
                except OSError:
                    pass

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                await client.until_eof()
                ends.append(trio.current_time() - began)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, b"", 1)
            nursery.start_soon(drip, upgrade_request("/plain"), seconds / 20)
            nursery.start_soon(drip, upgrade_request("/plain") + b"A" * 2000, seconds)
            nursery.start_soon(drip, b"\r", seconds)
            while len(ends) < 4:
                await player.frames(1)  # nobody waits for them
        assert ends == pytest.approx([seconds] * 4, abs=0.1)
        await until(lambda: server.entrance.door.connections == 1)


async def test_an_upgrade_without_a_hello_has_the_same_deadline(autojump_clock: MockClock) -> None:
    async with served() as (_, connect):
        began = trio.current_time()
        client = RawClient(connect())
        await trio.sleep(3)
        await client.upgrade(path="/plain")
        assert await client.until_close() == (4002, "no hello within 5 s")
        assert trio.current_time() - began == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("dead_seconds", [4.0, 15.0])
async def test_a_silent_player_is_gone_in_time_and_one_that_answers_pings_stays(
    dead_seconds: float, autojump_clock: MockClock
) -> None:
    async with served(dead_seconds=dead_seconds) as (server, connect):
        mute = Peer(connect())
        await mute.join("/plain", "Mute")
        answering = Peer(connect())
        await answering.join("/plain", "Answering")
        room: Any = server.room("plain")
        pongs = 0

        async def answer_pings() -> None:
            """Not one acknowledgement, not one input."""
            nonlocal pongs
            heard = 0
            while True:
                heard += 1
                event = (await answering.raw.until_frames(heard))[heard - 1]
                if isinstance(event, OddFrame):
                    assert event.opcode == PING
                    await answering.raw.send(frame(event.payload(), PONG))
                    pongs += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_pings)
            began = trio.current_time()
            await until_slowly(lambda: room.left)
            assert room.left == [("Mute", "nothing was heard of it")]
            assert dead_seconds - 1.1 <= trio.current_time() - began <= dead_seconds + 1.1
            await trio.sleep(4 * dead_seconds)
            assert len(room.left) == 1
            assert pongs >= 8
            assert server.entrance.keepalive.given_up == 1
            nursery.cancel_scope.cancel()


async def until_slowly(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - virtual time: a step costs as much however long it is
        await trio.sleep(0.05)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
async def test_the_kernel_gives_up_dead_peers_too(autojump_clock: MockClock) -> None:
    async with served() as (server, connect):
        await admitted(connect())
        (link,) = server.entrance.keepalive.links
        assert link._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
        assert link._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class Heavy(Plain):
    """Sends more than a stuck peer's socket takes, and less than what closes its link."""

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        for number in range(6):
            player.send("heavy", bytes([number]) * 32_000)


async def get_stuck(server: Server, connect: Connect) -> Peer:
    """A player whose socket is full and who reads nothing."""
    stuck = Peer(connect(receive_bytes=4096))
    await stuck.join("/plain", "Stuck")
    await stuck.send(encode_message("more", None))
    await until_slowly(lambda: any(link.pending_bytes > 4096 for link in server.entrance.keepalive.links))
    return stuck


@pytest.mark.parametrize(("how", "most_seconds"), [("leave", 0.6), ("drain", 3.0)])
async def test_a_stuck_peer_holds_up_nobody(how: str, most_seconds: float, autojump_clock: MockClock) -> None:
    closes: list[int] = []

    async def hear_the_end(player: Peer) -> None:
        closes.append((await player.closed())[0])
        await player.raw.send(frame(close_payload(closes[0], ""), CLOSE))

    async with trio.open_nursery() as nursery:
        async with served(Heavy) as (server, connect):
            await get_stuck(server, connect)
            other = await admitted(connect("127.0.0.3"))
            await other.frames(20)
            ticks = [message[1][0] for message in other.heard if message[0] == 3]
            assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
            nursery.start_soon(hear_the_end, other)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            if how == "drain":
                await server.drain(10.0)
        assert trio.current_time() - began <= most_seconds
    assert closes == [1012 if how == "drain" else 1001]


# ---- no descriptors left


@contextmanager
def small_server(log: Path, descriptors: int, *arguments: str) -> Iterator[int]:
    """A server in a process that may have few descriptors; its port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
    limited = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*limited, sys.executable, "-m", "gameserver", "run", "--port", "0", *arguments],
            env=kept | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout is not None
        greeting = ""
        while "Ctrl-C" not in greeting:
            line = process.stdout.readline()
            assert line, log.read_text()
            greeting += line
        found = re.search(r":(\d+)/arena", greeting)
        assert found is not None
        yield int(found[1])
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert out.endswith("stopped\n")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Crowd:
    """Connections that say nothing. A context manager: they are gone at its end."""

    def __init__(self, port: int) -> None:
        self.socks: list[socket.socket] = []
        self._port = port

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave(len(self.socks))

    async def grow(self, count: int) -> None:
        for _ in range(count):
            self.socks.append(socket.create_connection(("127.0.0.1", self._port)))
            await trio.lowlevel.checkpoint()

    def leave(self, count: int) -> None:
        """Those that came first go."""
        for _ in range(count):
            self.socks.pop(0).close()

    def refused(self) -> int:
        """How many were told that the server is full, or were just hung up on."""
        return sum(was_refused(sock) for sock in self.socks)


async def test_a_full_server_keeps_descriptors_for_those_inside(tmp_path: Path) -> None:
    """Without settings there are fewer connections than descriptors, and the rest is told so."""
    log = tmp_path / "server.log"
    with trio.fail_after(30), small_server(log, 256, "--connects-per-second", "2000") as port:
        player = Peer(socket.create_connection(("127.0.0.1", port)))
        await player.join("/arena")
        with Crowd(port) as crowd:
            await crowd.grow(400)
            while crowd.refused() < 400 - (256 - 128 - 1):
                await player.frames(1)
        await others_get_in_again(player, port)
    assert "cannot accept" not in log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
async def test_without_descriptors_players_play_on(tmp_path: Path) -> None:
    """Connections wait in the kernel; the log tells of it once, however many come and go meanwhile."""
    log = tmp_path / "server.log"
    more = ("--connects-per-second", "2000", "--max-connections", "5000")
    with trio.fail_after(30), small_server(log, 256, *more) as port:
        player = Peer(socket.create_connection(("127.0.0.1", port)))
        await player.join("/arena")
        with Crowd(port) as crowd:
            await crowd.grow(400)
            for _ in range(10):
                await player.frames(3)
                crowd.leave(1)
                await crowd.grow(1)
            assert not crowd.refused()
        await others_get_in_again(player, port)
    text = log.read_text()
    assert len(re.findall("cannot accept.*Too many open files", text)) == 1
    assert "Traceback" not in text


async def others_get_in_again(player: Peer, port: int) -> None:
    late = Peer(socket.create_connection(("127.0.0.1", port)))
    await late.join("/arena")
    await late.frames(2)
    await player.frames(2)
    late.leave()
    player.leave()


def was_refused(sock: socket.socket) -> bool:
    """Whether the server said that it is full, or just hung up."""
    sock.setblocking(False)
    try:
        said = sock.recv(1000)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    assert said == b"" or said.startswith(b"HTTP/1.1 503 ")
    return True
