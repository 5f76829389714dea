"""The WebSocket library's part in a connection: the upgrade, odd frames, and the closing handshake.

The only module that imports trio_websocket. What it raises is kept by the connection's own nursery.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import trio
import trio_websocket

from gameprotocol._websocket import CLOSE, OddFrame, close_frame
from gameserver.net.link import Link
from gameserver.net.parking import ParkedStream
from gameserver.net.rules import LinkRules, TextMessage

#: Given a path and the subprotocols that a client offers, the one to speak, or None.
ChooseSubprotocol: TypeAlias = Callable[[str, tuple[str, ...]], str | None]


class Library:
    """The WebSocket library's part in one connection: the upgrade, and whatever the link does not know.

    Between the two it is not there: see ``gameserver.net.parking``.

    Attributes:
        accepted: the upgrade has happened.
        said_goodbye: our Close frame has been sent, or waits to be.
        stream, websocket: its present connection, once it is needed again.
    """

    __slots__ = (
        "_head",
        "_link",
        "_nursery",
        "_rules",
        "_subprotocol",
        "accepted",
        "said_goodbye",
        "stream",
        "websocket",
    )

    def __init__(self, link: Link, head: bytes, nursery: trio.Nursery, rules: LinkRules) -> None:
        self.accepted = False
        self.said_goodbye = False
        self.stream: ParkedStream | None = None
        self.websocket: trio_websocket.WebSocketConnection | None = None
        self._link = link
        self._head = head
        self._nursery = nursery
        self._rules = rules
        self._subprotocol: str | None = None

    async def upgrade(self, choose_subprotocol: ChooseSubprotocol) -> None:
        """Have the request answered. When it is refused, the answer has left and ``accepted`` stays False."""
        try:
            async with trio.open_nursery() as nursery:
                stream = ParkedStream(self._link, self._head, replayed=False)
                stream.on_close(nursery.cancel_scope.cancel)
                request = await _read_by_library(nursery, stream, self._rules)
                self._subprotocol = choose_subprotocol(request.path, request.proposed_subprotocols)
                await request.accept(subprotocol=self._subprotocol)
                self.accepted = True
                nursery.cancel_scope.cancel()
        except* trio_websocket.ConnectionClosed:
            pass  # the peer vanished behind its request: the call, or the library's own reader, met it

    def hand_over(self, frame: OddFrame) -> None:
        """Let the library deal with ``frame``; ``Link.resume`` is called when it has.

        A Close that is the first odd frame is left to `say_goodbye`.
        """
        if self.stream is None:
            if frame.opcode == CLOSE:
                return
            self.stream = ParkedStream(self._link, self._head, replayed=True)
            self._nursery.start_soon(self._open, self.stream, self._nursery)
        self.stream.hand_over(frame)

    async def connection(self, nursery: trio.Nursery) -> tuple[ParkedStream, trio_websocket.WebSocketConnection]:
        """The present connection, which may have to be opened, in ``nursery`` then."""
        if self.websocket is None or self.stream is None:
            self.stream = ParkedStream(self._link, self._head, replayed=True)
            return self.stream, await self._open(self.stream, nursery)
        return self.stream, self.websocket

    async def _open(self, stream: ParkedStream, nursery: trio.Nursery) -> trio_websocket.WebSocketConnection:
        request = await _read_by_library(nursery, stream, self._rules)
        websocket = await request.accept(subprotocol=self._subprotocol)
        stream.on_close(partial(self._given_up, websocket))
        stream.park(partial(_take_message, websocket))
        self.websocket = websocket
        return websocket

    def _given_up(self, websocket: trio_websocket.WebSocketConnection) -> None:
        """The library has closed the stream. It does so of its own accord, without a Close frame, on bad UTF-8."""
        if not self._link.closed and websocket.closed is not None:
            self.stream = self.websocket = None  # it can say nothing any more: another one says goodbye
            self._link.close(websocket.closed.code, "refused by the WebSocket library")


async def _read_by_library(
    nursery: trio.Nursery, stream: ParkedStream, rules: LinkRules
) -> trio_websocket.WebSocketRequest:
    return await trio_websocket.wrap_server_stream(
        nursery,
        stream,
        message_queue_size=1,
        max_message_size=rules.message_bytes,
        receive_buffer_size=None,
    )


async def _take_message(websocket: trio_websocket.WebSocketConnection) -> bytes | None:
    """The message that the library has put together; None when it is closing."""
    try:
        message = await websocket.get_message()
    except trio_websocket.ConnectionClosed:
        return None
    return message if isinstance(message, bytes) else TextMessage(message.encode())


async def say_goodbye(link: Link, library: Library, seconds: float) -> None:
    """The closing handshake, for at most ``seconds``; nothing when the connection is lost.

    Where the library has not been needed so far it is not for this either: bringing it to life takes 0.5 ms, and
    players leave in crowds (100 flooders cut in one tick made the next one 90 ms late).
    """
    if link.lost:
        return
    with trio.move_on_after(seconds):
        if library.said_goodbye:  # and was cancelled while it waited for the peer, which is told once
            await link.until_flushed()
            return
        if library.stream is None:
            library.said_goodbye = True
            await _close_alone(link)
            return
        if link.ended_by_peer:
            await library.stream.close_left.wait()  # the library is echoing it
            return
        async with trio.open_nursery() as nursery:
            stream, websocket = await library.connection(nursery)
            nursery.start_soon(_await_peer, link, stream, nursery.cancel_scope)
            await websocket.aclose(link.close_code, link.close_reason)


async def _close_alone(link: Link) -> None:
    """Send a Close frame, or the answer to the peer's, and wait for what is missing."""
    link.put(close_frame(link.close_code, link.close_reason))
    if link.ended_by_peer:
        await link.until_flushed()
    else:
        await link.until_peer_closed()


async def _await_peer(link: Link, stream: ParkedStream, closing: trio.CancelScope) -> None:
    """End ``closing`` when the peer has answered our Close, or gone."""
    await stream.close_left.wait()
    await link.until_peer_closed()
    closing.cancel()
