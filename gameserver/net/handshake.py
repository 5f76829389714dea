"""One connection from its first byte to its last: the upgrade, the hello, the closing handshake.

The only module that imports trio_websocket. Each connection has its own nursery, and nothing that happens in it
leaves it except a cancellation: a bad peer, or a defect of the library, costs one connection.
"""

from __future__ import annotations

import logging
import socket
from functools import partial
from typing import Protocol

import trio
import trio_websocket

from gameprotocol import limits
from gameprotocol._websocket import OddFrame
from gameprotocol.closing import CloseCode, ProtocolError
from gameserver.net.bounds import CANCELLED_CLOSE_SECONDS, LINGER_SECONDS
from gameserver.net.link import Link
from gameserver.net.parking import ParkedStream
from gameserver.net.request_head import RefusedHeadError, parse_head, split_head
from gameserver.net.sockets import NOT_NOW, address_text, prepare, stop_sending, transport

_log = logging.getLogger("gameserver.net")
#: One read of a request head. It is the usual size of a whole one, so that most need a single read.
_HEAD_READ_BYTES = 1024


class ConnectionHandler(Protocol):
    """What the server does with a connection. Both methods are called in the connection's task and must not block."""

    def choose_subprotocol(self, path: str, offered: tuple[str, ...]) -> str | None:
        """One of ``offered``, or None for none of them."""

    def on_hello(self, link: Link, payload: bytes) -> None:
        """The first message has come. On success somebody else owns the link: its poller watches it.

        ``link.request_headers`` are there until this returns.

        Raises:
            ProtocolError: the link is closed with its code and reason. Raise it before a poller has the link.
        """


async def serve_connection(sock: socket.socket, address: object, handler: ConnectionHandler) -> None:
    """Serve one connected socket (TCP, TLS or one end of a pair) and close it.

    Error handling: raises nothing but ``trio.Cancelled``; anything else is logged to ``gameserver.net`` and costs this
    connection only.

    Cancellation: the peer is told 1001 (going away) within ``CANCELLED_CLOSE_SECONDS``, then the socket is closed.

    Args:
        address: the peer's, as ``accept`` gave it; only for logs.
    """
    remote = address_text(address)
    try:
        await _serve(sock, remote, handler)
    except* Exception as defects:
        _log.error("! %s dropped because of a defect", remote, exc_info=defects)
    finally:
        if sock.fileno() >= 0:
            trio.lowlevel.notify_closing(sock)
            sock.close()


async def _serve(sock: socket.socket, remote: str, handler: ConnectionHandler) -> None:
    deadline = trio.current_time() + limits.HELLO_SECONDS
    request = b""
    try:
        prepare(sock)
        with trio.move_on_at(deadline):
            request, rest = await _read_request(sock)
        if not request:
            return
        head = parse_head(request)
    except RefusedHeadError as refusal:
        await _refuse(sock, refusal.answer())
        return
    except OSError:
        return  # the peer is gone before it said anything
    async with trio.open_nursery() as nursery:
        link = Link(sock, remote, head.path, request, nursery)
        library = _Library(link, head.for_library(), nursery)
        try:
            with trio.move_on_at(deadline):
                await library.upgrade(handler)
            if not library.accepted:
                await _linger(sock)
            else:
                link.start(library.hand_over, rest)
                del request, rest, head  # they would live as long as this frame
                await _await_hello(link, sock, handler, deadline)
                await link.over.wait()
                await _say_goodbye(link, library, limits.CLOSE_SECONDS)
        except trio.Cancelled:
            link.close(CloseCode.GOING_AWAY, "the server is going away")
            if library.accepted:
                with trio.CancelScope(shield=True):
                    await _say_goodbye(link, library, CANCELLED_CLOSE_SECONDS)
            raise
        finally:
            link.finish()
        nursery.cancel_scope.cancel()


async def _read_request(sock: socket.socket) -> tuple[bytes, bytes]:
    """The request's head and what came behind it in the same read; two empty strings at EOF.

    Raises:
        RefusedHeadError: when the head is too long.
        OSError: when the connection breaks.
    """
    received = b""
    receive = transport(sock).recv
    while True:
        await trio.lowlevel.wait_readable(sock)
        try:
            data = receive(_HEAD_READ_BYTES)
        except NOT_NOW:
            continue
        if not data:
            return b"", b""
        received += data
        parts = split_head(received)
        if parts is not None:
            return parts


async def _refuse(sock: socket.socket, answer: bytes) -> None:
    """Send a small answer; the kernel of a new connection has room for it."""
    try:
        sock.send(answer)
    except OSError:
        return
    await _linger(sock)


async def _linger(sock: socket.socket) -> None:
    """Give the peer a moment to read what was sent: closing on bytes that nobody read would reset the answer away."""
    stop_sending(sock)
    try:
        with trio.move_on_after(LINGER_SECONDS):
            while True:
                await trio.lowlevel.wait_readable(sock)
                if not sock.recv(_HEAD_READ_BYTES):
                    return
    except OSError:
        return


class _Library:
    """The WebSocket library's part in one connection: the upgrade, and whatever the link does not know.

    Between the two it is not there: see ``gameserver.net.parking``.

    Attributes:
        accepted: the upgrade has happened.
        stream, websocket: its present connection, once it is needed again.
    """

    __slots__ = ("_head", "_link", "_nursery", "_subprotocol", "accepted", "stream", "websocket")

    def __init__(self, link: Link, head: bytes, nursery: trio.Nursery) -> None:
        self.accepted = False
        self.stream: ParkedStream | None = None
        self.websocket: trio_websocket.WebSocketConnection | None = None
        self._link = link
        self._head = head
        self._nursery = nursery
        self._subprotocol: str | None = None

    async def upgrade(self, handler: ConnectionHandler) -> None:
        """Have the request answered. When it is refused, the answer has left and ``accepted`` stays False."""
        async with trio.open_nursery() as nursery:
            stream = ParkedStream(self._link, self._head, replayed=False)
            stream.on_close(nursery.cancel_scope.cancel)
            request = await _read_by_library(nursery, stream)
            self._subprotocol = handler.choose_subprotocol(request.path, request.proposed_subprotocols)
            try:
                await request.accept(subprotocol=self._subprotocol)
                self.accepted = True
            except trio_websocket.ConnectionClosed:
                pass  # the peer vanished behind its request
            nursery.cancel_scope.cancel()

    def hand_over(self, frame: OddFrame) -> None:
        """Let the library deal with ``frame``; ``Link.resume`` is called when it has."""
        if self.stream is None:
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
        request = await _read_by_library(nursery, stream)
        websocket = await request.accept(subprotocol=self._subprotocol)
        stream.park(partial(_take_message, websocket))
        self.websocket = websocket
        return websocket


async def _read_by_library(nursery: trio.Nursery, stream: ParkedStream) -> trio_websocket.WebSocketRequest:
    return await trio_websocket.wrap_server_stream(
        nursery,
        stream,
        message_queue_size=1,
        max_message_size=limits.CLIENT_MESSAGE_BYTES,
        receive_buffer_size=None,
    )


async def _take_message(websocket: trio_websocket.WebSocketConnection) -> bytes | None:
    """The message that the library has put together; None when it is closing."""
    try:
        message = await websocket.get_message()
    except trio_websocket.ConnectionClosed:
        return None
    return message if isinstance(message, bytes) else None


class _HelloWatcher:
    """Wakes the connection's task while it owns the link itself."""

    __slots__ = ("_scope",)

    def __init__(self) -> None:
        self._scope = trio.CancelScope()

    async def wait(self, link: Link, sock: socket.socket) -> None:
        """Return when ``link.receive`` may have something, or the link has closed."""
        self._scope = trio.CancelScope()
        with self._scope:
            if link.holding:  # the socket may be readable, but must not be read yet: waiting for it would spin
                await trio.sleep_forever()
            else:
                await trio.lowlevel.wait_readable(sock)

    def wake(self, link: Link) -> None:
        self._scope.cancel()

    def release(self, link: Link) -> None:
        self._scope.cancel()


async def _await_hello(link: Link, sock: socket.socket, handler: ConnectionHandler, deadline: float) -> None:
    """Read until the first message and give it to the handler, or close the link."""
    watcher = _HelloWatcher()
    link.attach(watcher)
    messages: list[bytes] = []
    with trio.move_on_at(deadline) as patience:
        while not messages and not link.closed:
            messages = link.receive()
            if not messages and not link.closed:
                await watcher.wait(link, sock)
    link.detach()
    if patience.cancelled_caught:
        link.close(CloseCode.HELLO_TIMEOUT, f"no hello within {limits.HELLO_SECONDS:g} s")
    elif messages and not link.closed:
        hello, *rest = messages
        link.deliver(rest)
        _introduce(link, hello, handler)
    link.forget_head()


def _introduce(link: Link, hello: bytes, handler: ConnectionHandler) -> None:
    try:
        handler.on_hello(link, hello)
    except ProtocolError as error:
        link.close(error.code, error.reason)
    except Exception:
        _log.exception("! %s dropped: its hello met a defect", link.remote)
        link.close(CloseCode.ROOM_FAILED, "internal error")


async def _say_goodbye(link: Link, library: _Library, seconds: float) -> None:
    """The closing handshake, for at most ``seconds``; nothing when the connection is lost."""
    if link.lost:
        return
    with trio.move_on_after(seconds):
        if link.ended_by_peer and library.stream is not None:
            await library.stream.close_left.wait()  # the library is echoing it
            return
        async with trio.open_nursery() as nursery:
            stream, websocket = await library.connection(nursery)
            nursery.start_soon(_await_peer, link, stream, nursery.cancel_scope)
            await websocket.aclose(link.close_code, link.close_reason)


async def _await_peer(link: Link, stream: ParkedStream, closing: trio.CancelScope) -> None:
    """End ``closing`` when the peer has answered our Close, or gone."""
    await stream.close_left.wait()
    await link.until_peer_closed()
    closing.cancel()
