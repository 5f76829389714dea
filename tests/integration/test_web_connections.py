"""Connections that carry several requests, over real TCP in virtual time: how long they are kept, what may follow."""

from __future__ import annotations

import http.client
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
import trio
from trio.testing import MockClock

from gameserver import Limits
from gameserver.net import Door, Entrance, RefusedRequestError, RequestHead, Visitor, open_listeners, serve_listeners
from gameserver.net.http import KEEP_SECONDS, KEPT_REQUESTS, PIECE_BYTES, SEND_SECONDS, HttpAnswer, HttpRequest
from tests.support.raw_client import RawClient, RecordingRoom, frame, until, upgrade_request


class Caller(RawClient):
    """A client that takes what comes for HTTP until it asks for a WebSocket."""

    upgraded = False

    def _cut(self, data: bytes) -> None:
        if self.upgraded:
            super()._cut(data)
        else:
            self.received += data

    async def upgrade(self, behind: bytes = b"", **fields: str) -> None:
        """As of `RawClient`."""
        self.upgraded = True
        await super().upgrade(behind, **fields)


Connect = Callable[..., Caller]


class Source:
    """A body of zeros that breaks at some offset."""

    def __init__(self, length: int, breaks_at: int | None = None) -> None:
        self.length = length
        self.read_bytes = 0
        self._breaks_at = length + 1 if breaks_at is None else breaks_at

    async def read(self, offset: int, most_bytes: int) -> bytes:
        await trio.lowlevel.checkpoint()
        if offset >= self._breaks_at:
            raise OSError("the disk is gone")
        assert offset == self.read_bytes
        self.read_bytes += most_bytes
        return bytes(most_bytes)


class FakePages:
    """Answers ``/page`` with a number and a few others as they are called."""

    def __init__(self) -> None:
        self.idle: set[trio.CancelScope] = set()
        self.asked: list[tuple[str, str]] = []
        self.source = Source(0)
        self.wait_seconds: float | None = 0.0

    def turn_seconds(self, visitor: Visitor) -> float | None:
        return self.wait_seconds

    def serves(self, head: RequestHead) -> bool:
        return head.path.startswith("/page")

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        self.asked.append((request.target, str(visitor.address)))
        if request.path == "/page/large":
            return HttpAnswer(HTTPStatus.OK, self.source, keep=True)
        if request.path == "/page/same":
            return HttpAnswer(HTTPStatus.NOT_MODIFIED, keep=True)
        if request.path == "/page/room":
            return None
        if request.path == "/page/slow":
            await trio.sleep(1000)
        if request.path == "/page/busy":
            raise RefusedRequestError(HTTPStatus.TOO_MANY_REQUESTS, "no")
        if request.path == "/page/defect":
            raise ValueError("what nobody may see")
        return HttpAnswer(HTTPStatus.OK, b"page %d\n" % len(self.asked), keep=True)


class House(RecordingRoom):
    """A room with pages."""

    def __init__(self, **door: object) -> None:
        super().__init__(echo=True)
        self.pages: FakePages = FakePages()
        limits = Limits()
        self.entrance = Entrance(limits, Door(limits, most_connections=500, **door))  # type: ignore[arg-type]


@asynccontextmanager
async def served(house: House) -> AsyncIterator[tuple[int, Connect]]:
    """The port, and what connects to it."""
    socks: list[socket.socket] = []
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]

    def connect(source: str = "127.0.0.2", receive_bytes: int = 0) -> RawClient:
        sock = socket.socket()
        socks.append(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the kernel's delays are in real time
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        return Caller(sock)

    try:
        with trio.fail_after(5000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_listeners, listeners, house, nursery)
                nursery.start_soon(house.run)
                yield port, connect
                nursery.cancel_scope.cancel()
    finally:
        house.poller.close()
        for sock in socks:
            sock.close()


def get(path: str, method: str = "GET", **fields: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()


async def answers(client: Caller, count: int) -> list[tuple[int, bytes]]:
    """So many answers with lengths; they are taken off what was received."""
    found = []
    while len(found) < count:
        head, blank, rest = client.received.partition(b"\r\n\r\n")
        lengths = [int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
        length = lengths[0] if lengths and b" 304 " not in head[:20] else 0
        if blank and len(rest) >= length:
            found.append((int(head[9:12]), rest[:length]))
            client.received = rest[length:]
        else:
            assert await client.read(), "the end came too early"
    return found


async def test_requests_follow_each_other(autojump_clock: MockClock) -> None:
    house = House()
    async with served(house) as (_, connect):
        client = connect()
        for number in range(1, 6):
            await client.send(get("/page"))
            assert await answers(client, 1) == [(200, b"page %d\n" % number)]
            await trio.sleep(KEEP_SECONDS - 0.1)
        await client.send(get("/page", Connection="keep-alive, Close"))
        await client.until_eof()
        assert b"\r\nConnection: close\r\n" in client.received
        assert b"Keep-Alive" not in client.received
        await until(lambda: house.entrance.door.connections == 0)


async def test_several_at_once_and_cut_anywhere(autojump_clock: MockClock) -> None:
    house = House()
    async with served(house) as (_, connect):
        at_once = get("/page") + get("/page/same") + get("/page")
        for size in (7, 1000):
            client = connect()
            for at in range(0, len(at_once), size):
                await client.send(at_once[at : at + size])
                await trio.sleep(0.01)
            assert [status for status, _ in await answers(client, 3)] == [200, 304, 200]


async def test_an_idle_connection_ends_without_a_word(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    house = House()
    async with served(house) as (_, connect):
        client = connect()
        await client.send(get("/page"))
        await answers(client, 1)
        began = trio.current_time()
        assert len(house.pages.idle) == 1
        await client.until_eof()
        assert trio.current_time() - began == pytest.approx(KEEP_SECONDS)
        assert client.received == b""
        assert not house.pages.idle
    assert not caplog.records


async def test_a_head_that_drips_costs_no_more_than_the_first(autojump_clock: MockClock) -> None:
    """The deadline is that of a connection's first request, from the first byte, however many bytes come."""
    house = House()
    async with served(house) as (_, connect):
        client = connect()
        await client.send(get("/page"))
        await answers(client, 1)
        await trio.sleep(KEEP_SECONDS - 0.5)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                for byte in get("/page", X="x" * 300):
                    try:
                        await client.send(bytes([byte]))
                    except OSError:
                        return
                    await trio.sleep(0.5)

            nursery.start_soon(drip)
            await client.until_eof()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began == pytest.approx(house.entrance.limits.hello_seconds, abs=0.1)
        assert client.received == b""
        assert len(house.pages.asked) == 1


async def test_the_next_request_waits_for_its_turn_before_it_is_read(autojump_clock: MockClock) -> None:
    house = House()
    async with served(house) as (_, connect):
        house.pages.wait_seconds = 3.0
        client = connect()
        began = trio.current_time()
        await client.send(get("/page") * 3)  # the first one has paid at the door
        await answers(client, 1)
        assert trio.current_time() - began < 0.1
        assert len(await answers(client, 2)) == 2
        assert trio.current_time() - began == pytest.approx(6.0, abs=0.1)
        house.pages.wait_seconds = None
        await client.send(get("/page"))
        await client.until_eof()
        assert client.received == b""
        assert len(house.pages.asked) == 3


async def test_no_connection_is_kept_for_ever(autojump_clock: MockClock) -> None:
    house = House()
    async with served(house) as (_, connect):
        client = connect()
        for _ in range(KEPT_REQUESTS - 1):
            await client.send(get("/page"))
            await answers(client, 1)
        await client.send(get("/page"))
        await client.until_eof()
        assert b"\r\nConnection: close\r\n" in client.received


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/healthz"), 200),  # each of these counts at the door, so each has a connection of its own
        (get("/page", "POST", Content_Length="0"), 405),
        (get("/page", "OPTIONS"), 405),
        (get("/page/room"), 426),
        (get("/page/busy"), 429),
        (get("/page/slow"), 503),
        (get("/page/defect"), 500),
        (get("/nowhere"), 404),
        (get("/page", "PUT"), 405),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_what_is_the_last(request_: bytes, status: int, autojump_clock: MockClock) -> None:
    """Behind an answer that closes, nothing is read any more."""
    house = House()
    async with served(house) as (_, connect):
        client = connect()
        await client.send(get("/page"))
        await answers(client, 1)
        await client.send(request_ + get("/page"))
        await client.until_eof()
        head = client.received.partition(b"\r\n\r\n")[0].lower()
        assert int(head[9:12]) == status
        assert b"\r\nconnection: close" in head
        assert client.received.count(b"HTTP/1.1 ") == 1
        assert b"nobody" not in client.received


async def test_a_websocket_on_a_connection_that_was_kept(autojump_clock: MockClock) -> None:
    """As nginx does it with connections that it keeps; the hello has all its time, however late the request came."""
    house = House(trusted_proxies=["127.0.0.9"])
    async with served(house) as (_, connect):
        client = connect("127.0.0.9")
        for number in range(100):  # at the door none of them counts
            await client.send(get("/page", X_Forwarded_For=f"192.0.2.{number}"))
            await answers(client, 1)
        await trio.sleep(KEEP_SECONDS - 0.1)
        await client.upgrade(X_Forwarded_For="192.0.2.7", X_Mine="yes")
        await trio.sleep(house.entrance.limits.hello_seconds - 0.5)
        await client.send(frame(b"hello") + frame(b"again"))
        assert await client.until_frames(1) == [b"again"]
        assert house.hellos == [b"hello"]
        assert house.headers["x-mine"] == "yes"
        assert house.links[0].remote == "192.0.2.7"
        assert {address for _, address in house.pages.asked} == {"127.0.0.9"}


async def test_an_upgrade_right_behind_a_page(autojump_clock: MockClock) -> None:
    house = House()
    async with served(house) as (_, connect):
        client = connect()
        await client.send(get("/page") + upgrade_request("/room"))
        while client.received.count(b"\r\n\r\n") < 2:
            assert await client.read()
        assert b"HTTP/1.1 101 " in client.received


# ---- who is kept


async def test_none_is_kept_while_the_server_drains_or_is_nearly_full(autojump_clock: MockClock) -> None:
    house = House()
    async with served(house) as (_, connect):
        idle = connect()
        await idle.send(get("/page"))
        await answers(idle, 1)
        house.entrance.door.closed_for_seconds = 2.0
        for scope in list(house.pages.idle):
            scope.cancel()
        began = trio.current_time()
        await idle.until_eof()
        late = connect()
        await late.send(get("/page"))
        await late.until_eof()
        assert late.received.endswith(b"page 2\n")
        assert trio.current_time() - began < 0.1
    limits = Limits(connections=10)
    house = House()
    house.entrance = Entrance(limits, Door(limits, most_connections=10))
    async with served(house) as (_, connect):
        clients = [connect() for _ in range(8)]
        for client in clients:
            await client.send(get("/page"))
        await clients[7].until_eof()
        assert b"\r\nConnection: close\r\n" in clients[7].received
        assert b"Keep-Alive" in clients[0].received or await clients[0].read()


# ---- long answers


async def test_who_loads_something_when_the_drain_begins_is_not_kept_behind_it(autojump_clock: MockClock) -> None:
    house = House()
    async with served(house) as (_, connect):
        house.pages.source = Source(60 * PIECE_BYTES)
        client = connect(receive_bytes=4096)
        await client.send(get("/page/large"))
        await trio.sleep(1)
        house.entrance.door.closed_for_seconds = 2.0
        assert len((await answers(client, 1))[0][1]) == house.pages.source.length
        began = trio.current_time()
        await client.until_eof()
        assert trio.current_time() - began < 0.1


async def test_a_large_body_is_read_as_it_is_taken(autojump_clock: MockClock) -> None:
    house = House()
    house.pages.source = Source(40 * PIECE_BYTES + 17)
    async with served(house) as (_, connect):
        client = connect(receive_bytes=4096)
        await client.send(get("/page/large", "HEAD"))
        await client.read()
        assert b"Content-Length: %d" % house.pages.source.length in client.received
        assert house.pages.source.read_bytes == 0
        client.received = b""
        await client.send(get("/page/large"))
        await trio.sleep(1)
        at_first = house.pages.source.read_bytes
        assert at_first < house.pages.source.length  # the rest waits until there is room in the kernel
        ((status, body),) = await answers(client, 1)
        assert (status, len(body), any(body)) == (200, house.pages.source.length, False)
        await client.send(get("/page"))
        assert (await answers(client, 1))[0][0] == 200


@pytest.mark.slow
async def test_who_reads_slowly_gets_everything_and_who_does_not_read_is_cut(autojump_clock: MockClock) -> None:
    house = House()
    async with served(house) as (_, connect):
        house.pages.source = Source(60 * PIECE_BYTES)
        slow = connect(receive_bytes=4096)
        await slow.send(get("/page/large"))
        began, received = trio.current_time(), 0
        while received < house.pages.source.length:
            received += len(await slow.sock.recv(PIECE_BYTES // 4))
            await trio.sleep(0.5)
        assert trio.current_time() - began > 3 * SEND_SECONDS
        house.pages.source = Source(60 * PIECE_BYTES)
        stuck = connect(receive_bytes=4096)
        await stuck.send(get("/page/large"))
        began = trio.current_time()
        slow.sock.close()
        await until(lambda: house.entrance.door.connections == 0)
        assert SEND_SECONDS - 0.1 < trio.current_time() - began < SEND_SECONDS + 1


async def test_a_file_that_breaks_is_cut_off(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    house.pages.source = Source(10 * PIECE_BYTES, breaks_at=3 * PIECE_BYTES)
    async with served(house) as (_, connect):
        client = connect()
        await client.send(get("/page/large"))
        received = 0
        while data := await client.sock.recv(1 << 20):
            received += len(data)
        assert 3 * PIECE_BYTES < received < 4 * PIECE_BYTES
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# ---- other people's clients


async def test_the_client_of_the_standard_library_uses_one_connection() -> None:
    house = House()

    def visit(port: int) -> list[tuple[int, bytes]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        found, socks = [], set()
        for method, path in [("GET", "/page"), ("HEAD", "/page"), ("GET", "/page/same"), ("GET", "/page")]:
            connection.request(method, path)
            socks.add(connection.sock)
            answer = connection.getresponse()
            found.append((answer.status, answer.read()))
        connection.close()
        assert len(socks) == 1
        return found

    async with served(house) as (port, _):
        found = await trio.to_thread.run_sync(visit, port)
    assert found == [(200, b"page 1\n"), (200, b""), (304, b""), (200, b"page 4\n")]
