"""The stream on which the WebSocket library lives: first the request's head, then a parking place.

After the upgrade the room reads the socket, so the library's reader is kept waiting here. It wakes only for the frames
that a link hands over, one at a time, and answers through ``send_all`` into the link, which is the only writer.

A connection of the library takes 12 KiB, and most peers never send a frame that it is needed for. So the one that
made the upgrade is let go, and another is brought to the same state when the first odd frame comes: it reads the same
head again, and the answer that it gives, which the peer has, is dropped.

"Dealt with" has three signs, and all are needed: the reader asks for more; a Close frame has left; the library has
closed the stream. Each lets go of whoever waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from gameprotocol._websocket import CLOSE, OddFrame
from gameserver.net.link import Link


class ParkedStream(trio.abc.Stream):
    """A ``trio.abc.Stream`` over a link's output and whatever input it is handed.

    Errors: ``ClosedResourceError`` after ``aclose``, ``BrokenResourceError`` when the connection is lost; there are no
    others. Cancelling ``send_all`` leaves the whole of its bytes queued in the link.

    Args:
        link: where the bytes go.
        head: the request, as the library is to see it.
        replayed: the peer has had the answer to it.

    Attributes:
        close_left: set when a Close frame has left, or never will.
    """

    __slots__ = (
        "_arrived",
        "_closed",
        "_head",
        "_inbox",
        "_link",
        "_message_ends",
        "_on_close",
        "_reading",
        "_replayed",
        "_take_message",
        "close_left",
    )

    def __init__(self, link: Link, head: bytes, *, replayed: bool) -> None:
        self.close_left = trio.Event()
        self._link = link
        self._head = head
        self._replayed = replayed
        self._inbox = b""
        self._reading = False  # the reader is busy with a frame that was handed over
        self._message_ends = False  # and that frame ends a fragmented message
        self._arrived = trio.Event()
        self._closed = False
        self._on_close: Callable[[], None] | None = None
        self._take_message: Callable[[], Awaitable[bytes | None]] | None = None

    def on_close(self, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` when the library closes the stream: it does so to refuse a request."""
        self._on_close = callback

    def park(self, take_message: Callable[[], Awaitable[bytes | None]]) -> None:
        """The library is ready for frames; ``take_message`` gets a whole fragmented message out of it."""
        self._take_message = take_message
        self._arrived.set()

    def hand_over(self, frame: OddFrame) -> None:
        """Let the library deal with ``frame``. The link hands over the next one only after ``Link.resume``."""
        self._inbox = frame.raw
        self._message_ends = frame.fin and frame.opcode < CLOSE
        self._reading = True
        self._arrived.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The head, then one handed-over frame at a time, whole. Asking again means that the last one is dealt with."""
        await trio.lowlevel.checkpoint()
        if self._head:
            head, self._head = self._head, b""
            return head
        if self._reading and not self._inbox:
            await self._deal_with_last()
        while True:
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            # The library loses what it reads before it has accepted. And once we are closing it must not see anything
            # that it would answer: our Close is the last word.
            if self._inbox and self._take_message is not None and (self._link.ended_by_peer or not self._link.closed):
                data, self._inbox = self._inbox, b""
                return data
            await self._arrived.wait()
            self._arrived = trio.Event()

    async def _deal_with_last(self) -> None:
        if self._message_ends and self._take_message is not None:
            self._message_ends = False
            message = await self._take_message()
            if message is not None:
                self._link.deliver([message])
        self._reading = False
        self._link.resume()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Queue ``data``, one whole frame or head, and wait until it has left."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError("the stream is closed")
        if self._replayed and self._take_message is None:
            return
        if not self._link.put(bytes(data)):
            raise trio.BrokenResourceError("the connection is lost")
        await self._link.until_flushed()
        if self._link.lost:
            raise trio.BrokenResourceError("the connection is lost")
        if data[0] == 0x80 | CLOSE:
            self.close_left.set()
            if not self._link.closed:
                # The library found a reason of its own; our parser should have found it first.
                self._link.close(int.from_bytes(data[2:4], "big"), "refused by the WebSocket library")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until nothing is pending."""
        await trio.lowlevel.checkpoint()
        await self._link.until_flushed()

    async def aclose(self) -> None:
        """The library is done. The socket is closed by the connection's own task."""
        self._closed = True
        self.close_left.set()
        if self._on_close is not None:
            self._on_close()
        self._arrived.set()
        await trio.lowlevel.checkpoint()
