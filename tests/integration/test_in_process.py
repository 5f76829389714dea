"""A server inside a program: in the same trio run, without a port, or in a thread of its own."""

from __future__ import annotations

import errno
import socket
import threading

import pytest
import trio
from trio.testing import MockClock

import gameclient
from gameserver import CloseCode, DeclarationError, Entity, Room, Server, fixed, serve, serve_in_thread
from tests.support.peers import Peer


class Ship(Entity):
    x = fixed(0, 100, step=1)


class Lobby(Room):
    entities = (Ship,)

    def on_create(self) -> None:
        self.world.spawn(Ship, x=5)


class Other(Room):
    pass


async def play(peer: Peer, path: str = "/lobby") -> None:
    """Join and hold some state."""
    await peer.join(path)
    await peer.frames(3)


def listening(host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket()
    sock.bind((host, 0))
    sock.listen()
    return sock


async def test_without_a_port_there_is_no_socket_to_the_outside(autojump_clock: MockClock) -> None:
    async with serve(Lobby, Other) as server:
        assert (server.host, server.port) == ("", 0)
        with pytest.raises(RuntimeError, match=r"give serve\(\) a port, or use server\.local"):
            server.url()
        assert server.local().path == "/lobby"
        assert server.local("other").path == "/other"
        first, second = Peer(server.local().open_socket()), Peer(server.open_socket())
        await play(first)
        await play(second, "/other")
        assert first.replica is not None
        assert [row.x for row in first.replica[Ship]] == [5.0]
        assert [room.name for room in server.rooms] == ["lobby", "other"]
        first.leave()
        second.leave()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
async def test_with_a_port_tcp_and_socket_pairs_meet_in_one_room(host: str) -> None:
    with trio.fail_after(10):
        async with serve(Lobby, host=host, port=0, tick_rate=240) as server:
            assert server.port > 0
            assert server.url() == f"ws://{'127.0.0.1' if host[0] == '0' else host}:{server.port}/lobby"
            outside, inside = Peer(socket.create_connection(("127.0.0.1", server.port))), Peer(server.open_socket())
            await play(outside)
            await play(inside)
            assert server.room().player_count == 2
            outside.leave()
            inside.leave()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "ws://127.0.0.1:80/lobby"),
        ("0.0.0.0", "ws://127.0.0.1:80/lobby"),
        ("::", "ws://[::1]:80/lobby"),
        ("::1", "ws://[::1]:80/lobby"),
        ("game.example", "ws://game.example:80/lobby"),
    ],
)
async def test_the_url_is_one_that_reaches_it(host: str, url: str) -> None:
    async with serve(Lobby) as server:
        server.host, server.port = host, 80
        assert server.url() == server.url("lobby") == url


async def test_a_port_that_is_taken_is_an_error_before_anything_starts() -> None:
    with listening() as taken:
        with pytest.raises(OSError, match=r".") as caught:
            async with serve(Lobby, port=taken.getsockname()[1]):
                raise AssertionError("it started")
        assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError, match=r"."), serve_in_thread(Lobby, port=taken.getsockname()[1]):
            raise AssertionError("it started")


@pytest.mark.parametrize(
    ("rooms", "error", "text"),
    [
        ((), ValueError, "at least one room"),
        (({},), ValueError, "at least one room"),
        ((Lobby, Lobby), ValueError, "two rooms are called 'lobby'"),
        ((Lobby, {"lobby": Other}), ValueError, "two rooms are called 'lobby'"),
        ((int,), DeclarationError, r"subclass gameserver\.Room"),
        (({"a": 5},), DeclarationError, r"subclass gameserver\.Room"),
    ],
)
async def test_rooms_that_cannot_be_served(rooms: tuple[object, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        async with serve(*rooms):  # type: ignore[arg-type]
            raise AssertionError("it started")
    with pytest.raises(error, match=text), serve_in_thread(*rooms):  # type: ignore[arg-type]
        raise AssertionError("it started")


async def test_leaving_the_block_ends_everything_and_frees_the_port(autojump_clock: MockClock) -> None:
    async with serve(Lobby, port=0) as server:
        peer = Peer(server.open_socket())
        await play(peer)
        port = server.port
        began = trio.current_time()
    assert trio.current_time() - began < 1
    assert (await peer.closed())[0] == 1001
    peer.leave()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


async def test_an_address_outlives_its_server_and_says_so(autojump_clock: MockClock) -> None:
    async with serve(Lobby) as server:
        address = server.local()
    late = address.open_socket()
    await trio.testing.wait_all_tasks_blocked()
    assert late.recv(1) == b""
    late.close()


def test_an_address_of_a_program_that_has_ended_refuses() -> None:
    servers: list[Server] = []

    async def main() -> None:
        async with serve(Lobby) as server:
            servers.append(server)

    trio.run(main)
    with pytest.raises(ConnectionRefusedError, match="stopped"):
        servers[0].local().open_socket()


@pytest.mark.parametrize("port", [None, 0])
def test_a_server_in_a_thread(port: int | None) -> None:
    with serve_in_thread(Lobby, port=port, tick_rate=240) as server:
        assert (server.port > 0) is (port is not None)
        assert "tickwire server" in {thread.name for thread in threading.enumerate()}

        async def main() -> None:
            with trio.fail_after(10):
                peers = [Peer(server.local().open_socket()) for _ in range(2)]
                for peer in peers:
                    await play(peer)
                    peer.leave()

        trio.run(main)
        peer_left_open = server.open_socket()
    assert "tickwire server" not in {thread.name for thread in threading.enumerate()}
    peer_left_open.close()
    with pytest.raises(ConnectionRefusedError):
        server.open_socket()


def test_an_exception_in_the_block_stops_the_thread() -> None:
    with pytest.raises(ZeroDivisionError), serve_in_thread(Lobby):
        raise ZeroDivisionError
    assert "tickwire server" not in {thread.name for thread in threading.enumerate()}


async def test_a_seed_and_a_rate_are_for_all_rooms() -> None:
    async with serve(Lobby, Other, seed=7, tick_rate=50) as server:
        rooms = [server.room("lobby"), server.room("other")]
        assert [(room.seed_used, room.rate) for room in rooms] == [(7, 50.0)] * 2


class Bye(Room):
    tick_rate = 50

    def on_close(self) -> None:
        self.broadcast("bye", 42)


async def test_what_on_close_sends_arrives(autojump_clock: MockClock) -> None:
    heard: list[gameclient.Event] = []

    async def listen(server: Server, joined: trio.Event) -> None:
        async with gameclient.connect(server.local("bye")) as session:
            joined.set()
            heard.extend([event async for event in session.events()])

    async with trio.open_nursery() as nursery, serve(Bye) as server:
        joined = trio.Event()
        nursery.start_soon(listen, server, joined)
        await joined.wait()
    assert isinstance(heard[-1], gameclient.Disconnected)
    assert heard[-1].code == CloseCode.GOING_AWAY
    assert isinstance(heard[-2], gameclient.MessageReceived)
    assert (heard[-2].kind, heard[-2].payload) == ("bye", 42)


async def test_an_exception_in_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(LookupError, match="mine"):
        async with serve(Bye):
            raise LookupError("mine")


@pytest.mark.parametrize("name", ["a b", "", "caf\u00e9", "a/b", "a%20b"])
async def test_a_name_that_no_url_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        async with serve({name: Bye}):
            pass
