"""A conditioned link as a proxy, to put before any client, a browser too: TCP in, TCP out, and no byte is changed."""

from __future__ import annotations

import random
import socket
import statistics
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from gamebots.conditioner.pipe import Pipe, make_pipes
from gamebots.conditioner.profiles import LinkProfile
from gamebots.conditioner.sockets import narrow_receiving

#: Read at once, at most; a pipe with a narrow place has room for less.
_READ_BYTES: Final = 65536
#: A socket that is closed with it sends RST.
_RESET: Final = struct.pack("ii", 1, 0)
#: How many delays of finished connections are remembered, for what is said at the end.
_MOST_DELAYS: Final = 100_000


class Tap(Protocol):
    """Listens to one connection; it must not raise."""

    def feed_client(self, data: bytes, now: float, /) -> None:
        """Bytes that the client sent, at a time in seconds."""

    def feed_server(self, data: bytes, now: float, /) -> None:
        """Bytes that the server sent."""


@dataclass
class Delivered:
    """What one direction of all connections has carried.

    Attributes:
        bytes: that came out. delays: seconds from in to out, of segments. lateness: how much of them was this
            machine's doing. lost: segments that were sent again.
    """

    bytes: int = 0
    delays: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    lost: int = 0

    def add(self, pipe: Pipe) -> None:
        self.bytes += pipe.bytes_out
        self.lost += pipe.lost
        if len(self.delays) < _MOST_DELAYS:
            self.delays += pipe.delays
            self.lateness += pipe.lateness

    def describe(self, asked: float) -> str:
        """In words; ``asked`` is the delay in seconds."""
        text = f"{self.bytes:,} bytes"
        if len(self.delays) > 1:
            middle, spread = 1000 * statistics.median(self.delays), 1000 * statistics.stdev(self.delays)
            late = sorted(self.lateness)[int(0.99 * len(self.lateness))]
            text += f", delay asked {1000 * asked:g} ms, median {middle:.1f} ms (deviation {spread:.1f} ms)"
            text += f", machine late by {1000 * late:.1f} ms at p99"
        if self.lost:
            text += f", {self.lost} segments sent again"
        return text


class _ResetError(Exception):
    """One end has reset the connection; the other one is to learn it."""


class Proxy:
    """Carries connections to one server over links with one profile. Each has a link of its own.

    Args:
        host, port: of the server.
        profile: what the links are like.
        seed: of all chance; the links differ from each other, and are the same in the next run, in their order.
        make_tap: makes what listens to a connection; None for nobody.
        on_trouble: told in words, each text once, why connections did not come about.

    Attributes:
        connections: made so far. open: of them.
        up, down: what those that have ended carried; `finish` adds the others.
    """

    def __init__(
        self,
        host: str,
        port: int,
        profile: LinkProfile,
        *,
        seed: int = 0,
        make_tap: Callable[[], Tap] | None = None,
        on_trouble: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.connections = 0
        self.up, self.down = Delivered(), Delivered()
        self.profile = profile
        self._host = host
        self._port = port
        self._seed = seed
        self._make_tap = make_tap
        self._on_trouble = on_trouble
        self._troubles: Counter[str] = Counter()
        self._open: dict[int, tuple[Pipe, Pipe]] = {}

    @property
    def open(self) -> int:
        return len(self._open)

    async def listen(self, host: str, port: int) -> list[trio.SocketListener]:
        """What `serve` accepts connections from; port 0 for any that is free.

        Raises:
            OSError: nobody can listen there.
        """
        listeners = await trio.open_tcp_listeners(port, host=host)
        for listener in listeners:
            narrow_receiving(listener.socket, self.profile.up)  # those that it accepts are made like it
        return listeners

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Carry connections until cancelled."""
        await trio.serve_listeners(self._serve, listeners)

    def finish(self) -> None:
        """Count what connections carried that are still open."""
        for number in list(self._open):
            self._forget(number)

    def summary(self) -> str:
        """What was carried, in words; after `finish`."""
        made = f"{self.connections} connection{'' if self.connections == 1 else 's'} over {self.profile.name}"
        up, down = self.up.describe(self.profile.up.delay), self.down.describe(self.profile.down.delay)
        return f"{made}; up {up}; down {down}"

    def _forget(self, number: int) -> None:
        if (pipes := self._open.pop(number, None)) is not None:
            self.up.add(pipes[0])
            self.down.add(pipes[1])

    # -- one connection

    async def _serve(self, client: trio.SocketStream) -> None:
        """One client and its own connection to the server, until both directions have ended or one end has gone."""
        number = self.connections
        self.connections += 1
        began = trio.current_time()
        # random() of a string does not depend on the process's hash seed.
        up, down = self._open[number] = make_pipes(self.profile, random.Random(f"{self._seed}:{number}"), began)
        # Connecting takes a round trip on the link, and took none here.
        up.hold_until(began + self.profile.round_trip)
        try:
            async with client:
                server = await self._dial()
                if server is None:
                    _reset(client)
                    return
                async with server:
                    await self._carry_both(client, server, up, down)
        finally:
            self._forget(number)

    async def _dial(self) -> trio.SocketStream | None:
        """A connection to the server; None when there is none to be had."""
        try:
            addresses = await trio.socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            self._tell(f"no address is known for {self._host!r} ({error})")
            return None
        problem: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            sock = trio.socket.socket(family, kind, protocol)
            try:
                narrow_receiving(sock, self.profile.down)
                await sock.connect(address)
                return trio.SocketStream(sock)
            except OSError as error:
                sock.close()
                problem = error
            except BaseException:
                sock.close()
                raise
        self._tell(f"{self._host}:{self._port} cannot be reached ({problem}): is the server running?")
        return None

    def _tell(self, trouble: str) -> None:
        self._troubles[trouble] += 1
        if self._troubles[trouble] == 1:
            self._on_trouble(trouble)

    async def _carry_both(self, client: trio.SocketStream, server: trio.SocketStream, up: Pipe, down: Pipe) -> None:
        tap = self._make_tap() if self._make_tap is not None else None
        hear_client = tap.feed_client if tap is not None else None
        hear_server = tap.feed_server if tap is not None else None
        try:
            async with trio.open_nursery() as nursery:
                _Way(client, server, up, hear_client).start(nursery)
                _Way(server, client, down, hear_server).start(nursery)
        except* _ResetError:
            _reset(client)
            _reset(server)


class _Way:
    """One direction of one connection: a task that reads, and one that writes what has arrived."""

    def __init__(
        self,
        source: trio.SocketStream,
        sink: trio.SocketStream,
        pipe: Pipe,
        hear: Callable[[bytes, float], None] | None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._pipe = pipe
        self._hear = hear
        self._news = trio.Event()  # the next arrival may be another one
        self._unblocked = trio.Lock()  # held while the sink takes nothing
        self._source_reset = False

    def start(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._read)
        nursery.start_soon(self._write)

    async def _read(self) -> None:
        """Take from the source what the pipe has room for; a sink that takes nothing stops it."""
        pipe = self._pipe
        while True:
            async with self._unblocked:
                pass
            now = trio.current_time()
            room = pipe.room(now)
            if not room:
                await self._wait_for_news(pipe.room_at(now))
                continue
            try:
                data = bytes(await self._source.receive_some(min(room, _READ_BYTES)))
            except trio.BrokenResourceError:
                data, self._source_reset = b"", True
            now = trio.current_time()
            before = pipe.next_at
            if data:
                pipe.push(data, now)
                if self._hear is not None:
                    self._hear(data, now)
            else:
                pipe.end(now)
            if pipe.next_at != before:
                self._tell_news()
            if not data:
                return

    async def _write(self) -> None:
        """Give the sink what has arrived, when it arrives."""
        pipe = self._pipe
        while not pipe.ended:
            now = trio.current_time()
            data = pipe.pull(now)
            if not data:
                if not pipe.ended:
                    await self._wait_for_news(pipe.next_at)
                continue
            self._tell_news()  # there may be room again
            async with self._unblocked:
                try:
                    await self._sink.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    raise _ResetError from None
        if self._source_reset:
            raise _ResetError
        try:
            await self._sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise _ResetError from None

    async def _wait_for_news(self, until: float) -> None:
        with trio.move_on_at(until):
            await self._news.wait()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = trio.Event()


def _reset(stream: trio.SocketStream) -> None:
    """Close it so that the peer sees a reset rather than an end."""
    if stream.socket.fileno() >= 0:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        stream.socket.close()
