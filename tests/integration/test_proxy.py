"""The conditioned link as a proxy: what passes through it unchanged, who must wait, and how connections end."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urljoin

import pytest
import trio
import websockets.sync.client

import gameclient
from gamebots.conditioner import parse_link
from gamebots.conditioner.pipe import WINDOW_BYTES
from gamebots.conditioner.proxy import Proxy
from gameprotocol import SUBPROTOCOL
from gameserver import Server, serve
from gameserver.demo.arena import Arena
from tests.browser import browsers
from tests.browser.pages import until as until_page
from tests.browser.servers import GameServer

SECONDS = 20  # real time; a bound, not a wait
#: A socket that is closed with it sends RST.
RESET = struct.pack("ii", 1, 0)
COMMAND = [sys.executable, "-m", "gamebots", "proxy"]


class Scene:
    """A proxy with one profile in front of a listener, in this process.

    Attributes:
        proxy: the proxy. port: where it listens. troubles: what it told.
    """

    def __init__(self, proxy: Proxy, port: int, troubles: list[str]) -> None:
        self.proxy, self.port, self.troubles = proxy, port, troubles

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def proxied(port: int, link: str, *, seed: int = 1) -> AsyncIterator[Scene]:
    """A proxy to ``port`` as long as the block runs."""
    troubles: list[str] = []
    proxy = Proxy("127.0.0.1", port, parse_link(link), seed=seed, on_trouble=troubles.append)
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            listeners = await proxy.listen("127.0.0.1", 0)
            nursery.start_soon(proxy.serve, listeners)
            yield Scene(proxy, listeners[0].socket.getsockname()[1], troubles)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def both_ends(link: str) -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream, Scene]]:
    """A client's connection, and the server's end of it, with the proxy between them."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, proxied(listener.socket.getsockname()[1], link) as scene:
        client = await scene.connect()
        server = await listener.accept()
        async with client, server:
            yield client, server, scene


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again; `proxied` limits how long."""
    while not condition():  # noqa: ASYNC110 - no event
        await trio.sleep(0.002)


async def read_all(stream: trio.SocketStream) -> bytes:
    return b"".join([bytes(part) async for part in stream])


async def send(stream: trio.SocketStream, data: bytes) -> None:
    """In pieces of many sizes, and then no more."""
    dice, at = random.Random(len(data)), 0
    while at < len(data):
        size = dice.choice([1, 50, 1000, 60_000])
        await stream.send_all(data[at : at + size])
        at += size
    await stream.send_eof()


@pytest.mark.parametrize(
    "link",
    ["delay=5ms", "delay=5ms,jitter=3ms,loss=5%,burst=2", "rate=2MB/s,queue=3kB", "up.rate=1MB/s,down.delay=9ms"],
)
async def test_every_byte_comes_through_both_ways_at_once(link: str) -> None:
    up, down = random.Random(1).randbytes(300_000), random.Random(2).randbytes(400_000)
    received: dict[str, bytes] = {}

    async def receive(name: str, stream: trio.SocketStream) -> None:
        received[name] = await read_all(stream)

    async with both_ends(link) as (client, server, scene):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, client, up)
            nursery.start_soon(send, server, down)
            nursery.start_soon(receive, "up", server)
            nursery.start_soon(receive, "down", client)
        assert received == {"up": up, "down": down}
        await until(lambda: not scene.proxy.open)
    assert (scene.proxy.up.bytes, scene.proxy.down.bytes) == (len(up), len(down))


async def test_one_direction_may_end_and_the_other_goes_on() -> None:
    async with both_ends("delay=5ms") as (client, server, scene):
        await client.send_all(b"question")
        await client.send_eof()
        assert await read_all(server) == b"question"
        await trio.sleep(0.05)
        await server.send_all(b"answer")
        await server.send_eof()
        assert await read_all(client) == b"answer"
        assert scene.troubles == []


async def fill(stream: trio.SocketStream, seconds: float) -> int:
    """Send for so long; how much was taken."""
    sent = 0
    with trio.move_on_after(seconds):
        while True:
            sent += await stream.socket.send(bytes(65536))
    return sent


@pytest.mark.slow
@pytest.mark.parametrize("way", ["up", "down"])
async def test_an_end_that_reads_nothing_stops_the_other_one(way: str) -> None:
    """And what was taken by then still arrives."""
    async with both_ends("delay=5ms,rate=2MB/s,queue=10kB") as (client, server, _):
        writer, reader = (client, server) if way == "up" else (server, client)
        reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        writer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sent = 0
        while more := await fill(writer, 0.25):
            sent += more
        assert sent < 2 << 20  # what kernels hold
        await writer.send_eof()
        assert len(await read_all(reader)) == sent


async def test_more_than_a_window_can_be_sent_over_a_long_way() -> None:
    data = bytes(WINDOW_BYTES + (1 << 20))
    async with both_ends("delay=150ms") as (client, server, _), trio.open_nursery() as nursery:
        nursery.start_soon(send, server, data)
        assert len(await read_all(client)) == len(data)


async def test_little_waits_in_front_of_a_narrow_place() -> None:
    async with both_ends("down.rate=20kB/s,queue=3000B") as (client, server, scene):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        received = 0

        async def read() -> None:
            nonlocal received
            async for data in client:
                received += len(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            sent = await fill(server, 0.5)
            assert 5000 < received < 15_000
            assert sent - received < 24_000  # some of it is the kernel's
            [(_, down)] = scene.proxy._open.values()
            assert down._waiting_bytes <= 3000
            nursery.cancel_scope.cancel()


async def test_a_reset_is_passed_on_as_one_behind_what_came_before() -> None:
    async with both_ends("delay=20ms") as (client, server, _):
        await server.send_all(b"last")
        await trio.sleep(0.01)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        server.socket.close()
        assert await client.receive_some() == b"last"
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()


async def test_a_server_that_is_not_there_is_told_once_and_clients_are_reset() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with proxied(port, "mobile") as scene:
        for _ in range(2):
            async with await scene.connect() as client:
                with pytest.raises(trio.BrokenResourceError):
                    await client.receive_some()
        await until(lambda: not scene.proxy.open)
        [trouble] = scene.troubles
        assert "cannot be reached" in trouble
        assert "is the server running?" in trouble
        assert scene.proxy.connections == 2


async def test_clients_that_vanish_leave_nothing_behind() -> None:
    async with both_ends("delay=5ms") as (_, server, scene):
        others = [await scene.connect() for _ in range(20)]
        await until(lambda: scene.proxy.connections == 21)
        for number, stream in enumerate(others):
            if number % 2:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            stream.socket.close()
        await server.send_all(b"still here")
        # Those that only ended are half open until the server ends them too, and it has not even accepted them.
        await until(lambda: scene.proxy.open <= 11)


# -- the real server behind it


@asynccontextmanager
async def arena(link: str) -> AsyncIterator[tuple[Server, Scene]]:
    async with serve(Arena, port=0) as server, proxied(server.port, link) as scene:
        yield server, scene


@pytest.mark.slow
async def test_a_player_plays_through_it_and_holds_what_the_server_holds() -> None:
    async with (
        arena("delay=10ms,jitter=2ms,loss=1%") as (_, scene),
        gameclient.connect(f"ws://127.0.0.1:{scene.port}/arena", name="Ada") as session,
    ):
        await until(lambda: session.world.hashes_checked >= 2)
        assert session.world.desyncs == 0


async def test_pages_come_through_unchanged() -> None:
    def get(port: int, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
            return bytes(answer.read())

    async with arena("delay=5ms,loss=2%") as (server, scene):
        page = await trio.to_thread.run_sync(get, server.port, "/arena/")
        linked = re.findall(r'(?:src|href)="([^":]+)"', page.decode())
        assert linked
        for path in ["/arena/", *(urljoin("/arena/", link) for link in linked)]:
            direct = await trio.to_thread.run_sync(get, server.port, path)
            assert await trio.to_thread.run_sync(get, scene.port, path) == direct
            assert direct


async def test_a_foreign_client_speaks_through_it() -> None:
    """Which sends the head, the frames and its close as it likes."""

    def talk(port: int) -> str:
        url = f"ws://127.0.0.1:{port}/arena"
        with websockets.sync.client.connect(url, subprotocols=[SUBPROTOCOL], open_timeout=SECONDS) as socket:  # type: ignore[list-item]
            socket.ping().wait(SECONDS)
            return socket.subprotocol or ""

    async with arena("mobile") as (_, scene):
        assert await trio.to_thread.run_sync(talk, scene.port) == SUBPROTOCOL


# -- the command


class Command:
    """``gamebots proxy`` in a process of its own, on a port that is free.

    Attributes:
        greeting: what it printed at first. port: where it listens.
    """

    def __init__(self, url: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, url, "--listen", "127.0.0.1:0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.greeting = ""
        while "Ctrl-C" not in self.greeting and (line := self.process.stdout.readline()):
            self.greeting += line
        found = re.search(r"Connect to \w+://127\.0\.0\.1:(\d+)", self.greeting)
        self.port = int(found[1]) if found is not None else 0

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[str, str]:
        """As Ctrl-C does; what it printed then, and its errors."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=SECONDS)


StartCommand = Callable[..., Command]


@contextmanager
def commands() -> Iterator[StartCommand]:
    started: list[Command] = []

    def start(url: str, *arguments: str) -> Command:
        started.append(Command(url, *arguments))
        return started[-1]

    try:
        yield start
    finally:
        for command in started:
            if command.process.poll() is None:
                command.process.kill()
            command.process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_says_where_it_is_and_at_its_end_what_it_delivered(number: signal.Signals) -> None:
    async with serve(Arena, port=0) as server:
        with commands() as start:
            command = await trio.to_thread.run_sync(start, server.url(), "--link", "delay=20ms,jitter=2ms")
            assert "20 ms +- 2 ms each way" in command.greeting
            assert f"Connect to ws://127.0.0.1:{command.port}/arena" in command.greeting
            async with gameclient.connect(f"ws://127.0.0.1:{command.port}/arena", name="Ada") as session:
                await until(lambda: session.world.hashes_checked > 0)
                output, errors = await trio.to_thread.run_sync(command.end, number)
    assert command.process.returncode == 0
    assert errors == ""
    assert re.search(r"^1 connection over delay=20ms,jitter=2ms; up [\d,]+ bytes, delay asked 20 ms, median ", output)


@pytest.mark.slow
async def test_the_command_records_what_is_played(tmp_path: Path) -> None:
    path = tmp_path / "played.jsonl"
    async with serve(Arena, port=0) as server:
        with commands() as start:
            command = await trio.to_thread.run_sync(start, server.url(), "--link", "delay=2ms", "--record", str(path))
            async with gameclient.connect(f"ws://127.0.0.1:{command.port}/arena", name="Ada") as session:
                for number in range(20):
                    session.send_input(turn=0.5, thrust=number % 2 == 0)
                    await trio.sleep(0.03)
            output, errors = await trio.to_thread.run_sync(command.end)
    assert errors == ""
    assert re.search(r"[1-9]\d* inputs of 1 player in .*played\.jsonl", output)
    head, *inputs = [json.loads(line) for line in path.read_text().splitlines()]
    assert head["room"] == "arena"
    assert len(inputs) > 5


WRONG = [
    (["http:/x"], "is no server: write ws://127.0.0.1:8765/room"),
    (["ws://127.0.0.1:8765/", "--listen", "9000"], "is no HOST:PORT"),
    (["ws://127.0.0.1:8765/", "--link", "mobil"], "there is no link 'mobil'"),
    (["wss://game.example/", "--record", "new.jsonl"], "--record cannot read what TLS hides"),
    (["ws://127.0.0.1:8765/", "--record", __file__], "is there already: give --record another name"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_the_command_says_what_is_wrong(arguments: list[str], said: str) -> None:
    from click.testing import CliRunner

    from gamebots.commands.proxy import proxy

    result = CliRunner().invoke(proxy, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*COMMAND, "ws://127.0.0.1:1/", "--listen", f"127.0.0.1:{port}"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: port {port} is taken: give another one with --listen 127.0.0.1:{port + 1}\n"


@pytest.mark.slow
def test_a_browser_opens_the_page_and_plays_through_it(tmp_path: Path) -> None:
    pytest.importorskip("playwright", reason=browsers.NO_PLAYWRIGHT)
    from playwright.sync_api import sync_playwright

    if browsers.find_chromium() is None:
        pytest.skip(browsers.NO_CHROMIUM)
    server = GameServer(folder=tmp_path)
    try:
        with commands() as start, sync_playwright() as driver:
            command = start(server.url, "--link", "mobile")
            browser = browsers.launch(driver)
            pages = browsers.WatchedPages(browser)
            page = pages.open(f"http://127.0.0.1:{command.port}/arena/?name=Ada")
            until_page(page, "window.tickwire?.game?.battle.mine?.name === 'Ada'")
            page.keyboard.down("ArrowUp")
            until_page(page, "tickwire.session.rtt >= 0.06")
            browsers.screenshot(page, "through-a-proxy")
            assert pages.close() == []
            browser.close()
            output, errors = command.end()
    finally:
        server.kill()
    assert errors == ""
    assert "over mobile; up " in output
