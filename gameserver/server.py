"""The server: listens, lets players into rooms, runs each room in a task, and decides how far a failure reaches.

Three sizes of failure, decided here and in `gameserver.net.connection`:

    connection   a peer that breaks the protocol or vanishes: its link closes with a code, nothing else notices
    room         an exception in an author's room: its players are told (1011), the traceback is logged, others go on
    process      a defect of the server itself: it leaves `serve` as an exception
"""

from __future__ import annotations

import logging
import random
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import trio

from gameprotocol import CloseCode
from gameprotocol import limits as wire
from gameserver.desk import RECONNECT_SECONDS, FrontDesk
from gameserver.logs import log_event
from gameserver.net import (
    Door,
    Entrance,
    Limits,
    Tls,
    open_listeners,
    serve_connection,
    serve_listeners,
)
from gameserver.rooms.authentication import Authenticate, check_authenticate
from gameserver.rooms.declarations import page_folder
from gameserver.rooms.directory import Directory, check_room_name
from gameserver.rooms.house import House
from gameserver.rooms.loop import RoomLoop
from gameserver.rooms.room import Room, check_room_class
from gameserver.watchdog import Watchdog, keep_beating
from gameserver.web.site import Site, check_folder

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
        entrance: who may come in.
    """

    def __init__(
        self,
        room_classes: Mapping[str, type[Room]],
        connections: trio.Nursery,
        rooms_nursery: trio.Nursery,
        entrance: Entrance,
        watchdog: Watchdog | None,
        *,
        pages: Site,
        tick_rate: float | None = None,
        seed: int | None = None,
        authenticate: Authenticate | None = None,
    ) -> None:
        self.host = ""
        self.port = 0
        self.entrance = entrance
        self._connections = connections
        self._rooms_nursery = rooms_nursery
        self._token = trio.lowlevel.current_trio_token()
        self.directory = Directory(
            room_classes,
            self._start_room,
            clock=trio.current_time,
            spawn=rooms_nursery.start_soon,
            most_rooms=entrance.limits.rooms,
            watchdog=watchdog,
            tick_rate=tick_rate,
            seed=seed,
            server_name=f"tickwire/{VERSION}",
        )
        self._desk = FrontDesk(self.directory, entrance, pages, authenticate, random.Random(seed))

    def url(self, name: str | None = None) -> str:
        """The WebSocket URL of a room type, the first one by default; RuntimeError when the server does not listen."""
        return f"{'ws' if self.entrance.tls is None else 'wss'}://{self._authority}/{self._name(name)}"

    @property
    def page_url(self) -> str:
        """What to open in a browser; RuntimeError when the server does not listen."""
        return f"{'http' if self.entrance.tls is None else 'https'}://{self._authority}/"

    @property
    def _authority(self) -> str:
        if not self.port:
            raise RuntimeError(
                "this server does not listen: give serve() a port, or use server.local() in this process"
            )
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"{f'[{host}]' if ':' in host else host}:{self.port}"

    def local(self, name: str | None = None) -> LocalAddress:
        """The address of a room type for clients in this process, over a socket pair."""
        return LocalAddress(self, "/" + self._name(name))

    def room(self, name: str | None = None) -> Room:
        """The room of a type that the next player would join; made now if there is none."""
        return self.directory.find(self._name(name)).room

    @property
    def house(self) -> House:
        """What there is of rooms: listings, making one, reserving seats."""
        return self.directory.house

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
            self._connections.start_soon(serve_connection, ours, "in-process", self._desk)
        except RuntimeError:  # the server has stopped, and its nursery is closed
            ours.close()

    @property
    def is_draining(self) -> bool:
        """Whether it lets nobody in any more."""
        return self.entrance.door.closed_for_seconds is not None

    def reload_certificate(self) -> None:
        """Read certificate and key again, for connections to come; those that exist go on.

        Raises:
            TlsError: the files cannot be used; the old certificate stays. ValueError: the server has none.
        """
        if self.entrance.tls is None:
            raise ValueError("this server has no certificate: give serve() tls_cert and tls_key")
        self.entrance.tls.reload()

    async def drain(self, seconds: float) -> None:
        """Stop well: let nobody in any more, let rooms finish, tell whoever is left when to reconnect.

        Each room's ``on_drain`` is called, which ends the room unless the author wrote another. Rooms that go on are
        ended when there is just time left for closing. Returns when all connections have closed, or could have, but
        after ``seconds`` at the latest. Leave the ``async with serve(...)`` block afterwards.

        Cancellation: stays closed to new players; rooms go on.
        """
        players = sum(loop.room.player_count for loop in self.directory.loops)
        come_back = partial(self._desk.when_to_reconnect, players)
        self.entrance.door.closed_for_seconds = RECONNECT_SECONDS
        self._desk.pages.end_idle()
        log_event(_log, logging.INFO, "draining", rooms=len(self.directory.loops), players=players, seconds=seconds)
        with trio.move_on_after(seconds) as patience:
            rooms_end = patience.deadline - min(wire.CLOSE_SECONDS, seconds / 2)
            for loop in list(self.directory.loops):
                loop.drain(rooms_end, come_back)
            with trio.move_on_at(rooms_end):
                await self.directory.until_empty()
            for loop in list(self.directory.loops):
                loop.end_soon(come_back)
            await self.directory.until_empty()
            with trio.move_on_after(
                wire.CLOSE_SECONDS + 0.2
            ):  # what players need; strangers without a hello hold nothing up
                await self.entrance.until_empty()

    # -- rooms

    def _start_room(self, loop: RoomLoop) -> None:
        self._rooms_nursery.start_soon(self._run_room, loop, name=f"room {loop.room.name}/{loop.room.id}")

    async def _run_room(self, loop: RoomLoop) -> None:
        room = loop.room
        try:
            await loop.run()
        except Exception:
            log_event(_log, logging.ERROR, "room failed", room=f"{room.name}/{room.id}", exc_info=True)
            loop.end(CloseCode.ROOM_FAILED, "the room failed")
            self.directory.failed(loop)
        else:
            self._close_room(loop)
            loop.end_as_asked()
            self.directory.discard(loop)
            await loop.finish_work()
        finally:
            # Reached with an exception in flight only when the server is being stopped.
            if self.directory.loop_of(room) is loop:
                self._close_room(loop)
            loop.free()

    def _close_room(self, loop: RoomLoop) -> None:
        room = loop.room
        try:
            room.on_close()
        except Exception:
            log_event(_log, logging.ERROR, "on_close failed", room=f"{room.name}/{room.id}", exc_info=True)
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
    authenticate: Authenticate | None = None,
    limits: Limits | None = None,
    origins: Sequence[str] = (),
    trusted_proxies: Sequence[str] = (),
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    static: str | Path | None = None,
    watchdog_seconds: float | None = 1.0,
) -> AsyncIterator[Server]:
    """Run a server as long as the ``async with`` block runs.

    Args:
        rooms: room classes, served under their class names in lower case, or mappings from names to room classes.
        host: address to listen on; the default is this machine only.
        port: 0 for any free one; None to serve inside this process only.
        tick_rate: ticks per second of all rooms, in place of what they declare.
        seed: of all rooms' generators, in place of what they declare.
        authenticate: asked who somebody is before it gets a seat; a room's own goes before it.
        limits: how much is let in; see `Limits`.
        origins: web pages that may connect, as ``https://game.example``; by default those that the same host serves,
            and those from the visitor's own machine. ``*`` for all.
        trusted_proxies: addresses or networks whose ``X-Forwarded-For`` is believed.
        tls_cert, tls_key: PEM files; the server speaks wss:// then.
        static: a folder whose files are served to browsers, with an index.html for ``/``.
        watchdog_seconds: a tick that takes longer is logged with its room and stack; None for no watchdog.
    Raises:
        DeclarationError: a room class is not in order.
        ValueError, TypeError: another argument is not.
        TlsError: certificate or key cannot be used.
        OSError: the port cannot be had.

    Cancellation, and leaving the block: rooms' ``on_close`` run, players are told 1001 (going away); at most half a
    second.
    """
    named = _by_name(rooms)
    for room_class in named.values():
        check_room_class(room_class)
        if room_class.authenticate is not None:
            check_authenticate(room_class.authenticate, f"{room_class.__name__}.authenticate")
    if authenticate is not None:
        check_authenticate(authenticate, "authenticate")
    if tls_key is not None and tls_cert is None:
        raise ValueError("tls_key without tls_cert: give both, or one file with both as tls_cert")
    tls = Tls(tls_cert, tls_key) if tls_cert is not None else None
    pages = Site(
        {name: page_folder(room_class) for name, room_class in named.items()},
        check_folder(Path(static), f"static = {str(static)!r}") if static is not None else None,
    )
    entrance = _make_entrance(limits or Limits(), origins, trusted_proxies, tls)
    # What can be wrong with the arguments is raised before the nursery opens, so that it is not wrapped in a group.
    listeners = await open_listeners(host, port) if port is not None else []
    watchdog = Watchdog(watchdog_seconds) if watchdog_seconds is not None else None
    try:
        async with trio.open_nursery() as connections:
            with watchdog or nullcontext():
                try:
                    # Rooms end before connections do, so that what an `on_close` sends still reaches the players.
                    async with trio.open_nursery() as rooms_nursery:
                        server = Server(
                            named,
                            connections,
                            rooms_nursery,
                            entrance,
                            watchdog,
                            pages=pages,
                            tick_rate=tick_rate,
                            seed=seed,
                            authenticate=authenticate,
                        )
                        connections.start_soon(entrance.keepalive.run)
                        if watchdog is not None:
                            connections.start_soon(keep_beating, watchdog)
                        if listeners:
                            server.host, server.port = host, listeners[0].getsockname()[1]
                            connections.start_soon(serve_listeners, listeners, server._desk, connections)
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
def serve_in_thread(*rooms: type[Room] | Mapping[str, type[Room]], **arguments: Any) -> Iterator[Server]:
    """Run a server in a thread of its own as long as the ``with`` block runs: for main loops that are not trio's.

    Of the server given, only ``url``, ``local`` and ``port`` may be used here. Arguments and errors as of `serve`.
    """
    started: threading.Event = threading.Event()
    servers: list[Server] = []
    failures: list[BaseException] = []
    stop: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []

    async def main() -> None:
        async with serve(*rooms, **arguments) as server:
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


def _make_entrance(limits: Limits, origins: Sequence[str], proxies: Sequence[str], tls: Tls | None) -> Entrance:
    door = Door(
        limits,
        most_connections=limits.most_connections(),
        origins=origins,
        trusted_proxies=proxies,
        encrypted=tls is not None,
    )
    return Entrance(limits, door, tls)


def _only_one(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a nursery wrapped, if it is one exception: nobody expects a group because there are nurseries in here."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


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
