"""A slow network on loopback: a proxy that limits what a server can send to a client, and how soon it arrives.

Between the two ends it behaves like a line with a narrow place: bytes to the client leave the narrow place at a limited
rate, what the narrow place cannot hold stays with the server, and everything is on its way for a while. There is no
chance in it. Loss is not modelled: on a reliable stream it would only be seen as delay.
"""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio

#: The most that is moved at once, in bytes. Small, so that the rate is even: 20 ms of a link with 12.8 kB/s.
CHUNK_BYTES = 256
#: Asked of the kernel for the socket to the server, which would otherwise take 128 KiB and more off the server's hands.
#: It doubles the figure and then holds about 6 kB.
RECEIVE_BUFFER_BYTES = 4096
#: Segments as on a thin line. Loopback's own have up to 64 kB; as long as the next one is larger than the free part of
#: that buffer, Linux takes the line for dead although bytes go through, and cuts it after TCP_USER_TIMEOUT.
SEGMENT_BYTES = 536

_SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES),
    (socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES),
)


class SlowLink:
    """What is between the clients and the server; made by `slow_link`. Each client has a line of its own.

    Args:
        url: of a room; the server's.
        bytes_per_second: what a client can be sent; may be changed at any time, for what is read from then on.
        delay: on the way, in seconds, in each direction.
        queue_bytes: the most that waits in front of the narrow place. What is on its way behind it does not count.

    Attributes:
        url: of the same room, over the slow link.
        lateness: by how much bytes came out later than they should have, in seconds, one for each chunk: how far this
            machine, and not the link, delayed them.
    """

    def __init__(self, url: str, bytes_per_second: float, delay: float, queue_bytes: int) -> None:
        self.url = ""
        self.bytes_per_second = bytes_per_second
        self.delay = delay
        self.queue_bytes = queue_bytes
        self.lateness: list[float] = []
        self._target = urlsplit(url)
        self._flowing = trio.Event()
        self._flowing.set()

    def stall(self) -> None:
        """Read nothing from the server any more; what was read before still arrives."""
        self._flowing = trio.Event()

    def resume(self) -> None:
        """Read again."""
        self._flowing.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept clients until cancelled."""
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        self.url = self._target._replace(netloc=f"127.0.0.1:{port}").geturl()
        await trio.serve_listeners(self._serve, [listener], task_status=task_status)  # type: ignore[arg-type]

    async def _serve(self, client: trio.SocketStream) -> None:
        """One client and its own connection to the server, until either of them hangs up."""
        sock = trio.socket.socket()
        for level, option, value in _SOCKET_OPTIONS:  # before connect, or it is too late
            sock.setsockopt(level, option, value)
        await sock.connect((self._target.hostname, self._target.port))
        server = trio.SocketStream(sock)
        try:
            async with client, server, trio.open_nursery() as nursery:
                nursery.start_soon(self._carry, client, server, False)
                await self._carry(server, client, True)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # one end is gone, and the other one has been closed just now

    async def _carry(self, source: trio.SocketStream, sink: trio.SocketStream, limited: bool) -> None:
        """Bring bytes from one end to the other until the source has ended and all of it has arrived.

        The queue in front of the narrow place needs no task and no buffer: it is known of each chunk when it will be
        through, and when so much waits that the next one would not fit, that one is not read yet.
        """
        entrance, exit = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        unblocked = trio.Lock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._land, exit, sink, unblocked)
            async with entrance:
                free_at = trio.current_time()
                while data := await self._read(source, limited):
                    rate = self.bytes_per_second if limited else math.inf
                    free_at = max(free_at, trio.current_time()) + len(data) / rate
                    entrance.send_nowait((free_at + self.delay, data))
                    await trio.sleep_until(free_at - (self.queue_bytes - CHUNK_BYTES) / rate)
                    async with unblocked:
                        pass  # a client that takes nothing stops the line

    async def _read(self, source: trio.SocketStream, limited: bool) -> bytes:
        if limited:
            await trio.lowlevel.wait_readable(source.socket)
            await self._flowing.wait()
        return bytes(await source.receive_some(CHUNK_BYTES))

    async def _land(
        self, exit: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream, unblocked: trio.Lock
    ) -> None:
        async for due, data in exit:
            await trio.sleep_until(due)
            self.lateness.append(trio.current_time() - due)
            async with unblocked:
                await sink.send_all(data)
        await sink.send_eof()


@asynccontextmanager
async def slow_link(
    url: str, *, bytes_per_second: float = math.inf, delay: float = 0.0, queue_bytes: int = 3000
) -> AsyncIterator[SlowLink]:
    """A slow link to the server of ``url`` as long as the block runs; clients use its own ``url``. See `SlowLink`."""
    link = SlowLink(url, bytes_per_second, delay, queue_bytes)
    async with trio.open_nursery() as nursery:
        await nursery.start(link.run)
        yield link
        nursery.cancel_scope.cancel()
