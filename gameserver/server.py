"""The server: listens, lets players into rooms, runs each room in a task, and decides how far a failure reaches.

Three sizes of failure, decided here and in `gameserver.net.handshake`:

    connection   a peer that breaks the protocol or vanishes: its link closes with a code, nothing else notices
    room         an exception in an author's room: its players are told (1011), the traceback is logged, others go on
    process      a defect of the server itself: it leaves `serve` as an exception
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import trio

from gameprotocol import SUBPROTOCOL, CloseCode, Hello, ProtocolError, unpack_from_client
from gameserver.net import Link, open_listeners, serve_connection, serve_listeners
from gameserver.rooms.directory import Directory, check_room_name
from gameserver.rooms.loop import RoomLoop
from gameserver.rooms.room import Room, check_room_class

_log = logging.getLogger("gameserver")

try:
    VERSION: Final = version("tickwire")
except PackageNotFoundError:  # run from a source tree that is not installed
    VERSION: Final = "0"  # type: ignore[misc]


class LocalAddress:
    """A room inside this process; give it to ``gameclient.connect`` or ``gameclient.open`` in place of a URL.

    Attributes:
        path: of the room, as in its URL.
    """

    def __init__(self, server: Server, path: str) -> None:
        self._server = server
        self.path = path

    def open_socket(self) -> socket.socket:
        """A connected non-blocking socket whose other end the server serves; may be called in any thread."""
        return self._server.open_socket()


class Server:
    """A running server; made by `serve`.

    Attributes:
        host, port: what it listens on; port is 0 when it does not listen.
        directory: its rooms.
    """

    def __init__(
        self,
        room_classes: Mapping[str, type[Room]],
        connections: trio.Nursery,
        rooms_nursery: trio.Nursery,
        *,
        tick_rate: float | None = None,
        seed: int | None = None,
    ) -> None:
        self.host = ""
        self.port = 0
        self._connections = connections
        self._rooms_nursery = rooms_nursery
        self._token = trio.lowlevel.current_trio_token()
        self.directory = Directory(
            room_classes,
            self._start_room,
            tick_rate=tick_rate,
            seed=seed,
            server_name=f"tickwire/{VERSION}",
        )

    def url(self, name: str | None = None) -> str:
        """The WebSocket URL of a room type, the first one by default; RuntimeError when the server does not listen."""
        if not self.port:
            raise RuntimeError(
                "this server does not listen: give serve() a port, or use server.local() in this process"
            )
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.port}/{self._name(name)}"

    def local(self, name: str | None = None) -> LocalAddress:
        """The address of a room type for clients in this process, over a socket pair."""
        return LocalAddress(self, "/" + self._name(name))

    def room(self, name: str | None = None) -> Room:
        """The room of a type that the next player would join; made now if there is none."""
        return self.directory.find(self._name(name)).room

    @property
    def rooms(self) -> list[Room]:
        """All rooms that run."""
        return [loop.room for loop in self.directory.loops]

    def open_socket(self) -> socket.socket:
        """One end of a socket pair whose other end is served like an accepted connection; may be called in any
        thread. When the server stops, it is at its end, as a connection would be.

        Raises:
            ConnectionRefusedError: the server's trio program has ended.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        try:
            self._token.run_sync_soon(self._serve_socket, ours)
        except trio.RunFinishedError:
            ours.close()
            theirs.close()
            raise ConnectionRefusedError("the server has stopped") from None
        return theirs

    def _serve_socket(self, ours: socket.socket) -> None:
        try:
            self._connections.start_soon(serve_connection, ours, "in-process", self)
        except RuntimeError:  # the server has stopped, and its nursery is closed
            ours.close()

    # -- what gameserver.net asks of a handler

    def choose_subprotocol(self, path: str, offered: tuple[str, ...]) -> str | None:
        """Ours if it is offered. Otherwise any: a browser shows a close reason only if the upgrade succeeded."""
        if SUBPROTOCOL in offered:
            return SUBPROTOCOL
        return offered[0] if offered else None

    def on_hello(self, link: Link, payload: bytes) -> None:
        """The first message has come: into a room with it, or ProtocolError."""
        if SUBPROTOCOL not in _offered(link):
            raise ProtocolError(CloseCode.WRONG_VERSION, f"offer the WebSocket subprotocol {SUBPROTOCOL}")
        hello = Hello.from_items(unpack_from_client(payload))
        self.directory.join(link.path.partition("?")[0].strip("/"), link, hello)

    # -- rooms

    def _start_room(self, loop: RoomLoop) -> None:
        self._rooms_nursery.start_soon(self._run_room, loop, name=f"room {loop.room.name}/{loop.room.id}")

    async def _run_room(self, loop: RoomLoop) -> None:
        room = loop.room
        try:
            await loop.run()
        except Exception:
            _log.exception("! room %s/%s (%s) ended by an exception", room.name, room.id, type(room).__name__)
            loop.fail(CloseCode.ROOM_FAILED, "the room failed")
            self.directory.discard(loop)
        finally:
            # Reached with an exception in flight only when the server is being stopped.
            if loop in self.directory.loops:
                try:
                    room.on_close()
                except Exception:
                    _log.exception("! on_close of room %s/%s failed", room.name, room.id)
                loop.flush_messages()

    def _name(self, name: str | None) -> str:
        return next(iter(self.directory.room_classes)) if name is None else name


@asynccontextmanager
async def serve(
    *rooms: type[Room] | Mapping[str, type[Room]],
    host: str = "127.0.0.1",
    port: int | None = None,
    tick_rate: float | None = None,
    seed: int | None = None,
) -> AsyncIterator[Server]:
    """Run a server as long as the ``async with`` block runs.

    Args:
        rooms: room classes, served under their class names in lower case, or mappings from names to room classes.
        host: address to listen on; the default is this machine only.
        port: 0 for any free one; None to serve inside this process only.
        tick_rate: ticks per second of all rooms, in place of what they declare.
        seed: of all rooms' generators, in place of what they declare.
    Raises:
        DeclarationError: a room class is not in order.
        OSError: the port cannot be had.

    Cancellation, and leaving the block: rooms' ``on_close`` run, players are told 1001 (going away); at most half a
    second.
    """
    named = _by_name(rooms)
    for room_class in named.values():
        check_room_class(room_class)
    # What can be wrong with the arguments is raised before the nursery opens, so that it is not wrapped in a group.
    listeners = await open_listeners(host, port) if port is not None else []
    try:
        async with trio.open_nursery() as connections:
            try:
                # Rooms end before connections do, so that what an `on_close` sends still reaches the players.
                async with trio.open_nursery() as rooms_nursery:
                    server = Server(named, connections, rooms_nursery, tick_rate=tick_rate, seed=seed)
                    if listeners:
                        server.host, server.port = host, listeners[0].getsockname()[1]
                        connections.start_soon(serve_listeners, listeners, server, connections)
                    try:
                        yield server
                    finally:
                        rooms_nursery.cancel_scope.cancel()
            finally:
                connections.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        only = _only_one(group)
        raise only from only.__cause__


@contextmanager
def serve_in_thread(
    *rooms: type[Room] | Mapping[str, type[Room]],
    host: str = "127.0.0.1",
    port: int | None = None,
    tick_rate: float | None = None,
    seed: int | None = None,
) -> Iterator[Server]:
    """Run a server in a thread of its own as long as the ``with`` block runs: for main loops that are not trio's.

    Of the server given, only ``url``, ``local`` and ``port`` may be used here. Arguments and errors as of `serve`.
    """
    started: threading.Event = threading.Event()
    servers: list[Server] = []
    failures: list[BaseException] = []
    stop: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []

    async def main() -> None:
        async with serve(*rooms, host=host, port=port, tick_rate=tick_rate, seed=seed) as server:
            ended = trio.Event()
            servers.append(server)
            stop.append((trio.lowlevel.current_trio_token(), ended))
            started.set()
            await ended.wait()

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="tickwire server", daemon=True)
    thread.start()
    started.wait()
    try:
        if servers:
            yield servers[0]
    finally:
        for token, ended in stop:
            try:
                token.run_sync_soon(ended.set)
            except trio.RunFinishedError:
                pass
        thread.join()
    if failures:
        raise failures[0]


def _only_one(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a nursery wrapped, if it is one exception: nobody expects a group because there are nurseries in here."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _offered(link: Link) -> set[str]:
    fields = (value for name, value in link.request_headers if name == "sec-websocket-protocol")
    return {item.strip() for value in fields for item in value.split(",")}


def _by_name(rooms: Sequence[type[Room] | Mapping[str, type[Room]]]) -> dict[str, type[Room]]:
    named: dict[str, type[Room]] = {}
    for given in rooms:
        more = given if isinstance(given, Mapping) else {getattr(given, "__name__", "").lower(): given}
        for name, room_class in more.items():
            check_room_name(name)
            if name in named:
                raise ValueError(
                    f"two rooms are called {name!r}: give one of them another name, as in {{'other': {name}}}"
                )
            named[name] = room_class
    if not named:
        raise ValueError("serve() needs at least one room class")
    return named
