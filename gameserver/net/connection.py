"""One connection from its first byte to its last: TLS, the request, the upgrade, the hello, the closing handshake.
Requests that ask for no WebSocket are answered by `gameserver.net.responder`; more may follow on the same connection.

Each connection has its own nursery, and nothing that happens in it leaves it except a cancellation: a bad peer, or a
defect of the library, costs one connection.
"""

from __future__ import annotations

import logging
import math
import socket
import ssl
from typing import Any, Final, NamedTuple, Protocol

import trio

from gameprotocol import limits
from gameprotocol.closing import CloseCode, ProtocolError
from gameserver.logs import log_event, safe_path
from gameserver.net.bounds import CANCELLED_CLOSE_SECONDS
from gameserver.net.door import Visitor
from gameserver.net.handshake import Library, say_goodbye
from gameserver.net.http import KEEP_SECONDS, KEPT_REQUESTS, Exchange
from gameserver.net.link import Link
from gameserver.net.request_head import RefusedRequestError, RequestHead, parse_head, split_head
from gameserver.net.responder import PageHandler, linger, respond
from gameserver.net.responder import send_answer as send_answer
from gameserver.net.rules import LinkRules
from gameserver.net.sockets import NOT_NOW, address_text, prepare, transport
from gameserver.net.tls import Tls, encrypt

_log = logging.getLogger("gameserver.net")
#: One read of a request head. It is the usual size of a whole one, so that most need a single read.
_HEAD_READ_BYTES: Final = 1024
#: Beyond this share of the connections that there may be, none is kept for a next request.
_ROOMY: Final = 0.8
#: Close codes that tell what a peer did wrong. Who was not admitted has a line already.
_PEERS_FAULTS = frozenset(
    (
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED,
        CloseCode.UNDECODABLE,
        CloseCode.POLICY,
        CloseCode.TOO_BIG,
        CloseCode.HELLO_EXPECTED,
        CloseCode.HELLO_TIMEOUT,
        CloseCode.WRONG_VERSION,
        CloseCode.BAD_INPUT,
        CloseCode.TOO_SLOW,
    )
)


class ConnectionHandler(PageHandler, Protocol):
    """What the server does with a connection. Its methods are called in the connection's task.

    Attributes:
        rules: what peers may send.
    """

    rules: LinkRules

    def choose_subprotocol(self, path: str, offered: tuple[str, ...]) -> str | None:
        """One of ``offered``, or None for none of them. Must not block."""

    async def on_hello(self, link: Link, head: RequestHead, visitor: Visitor, payload: bytes) -> None:
        """The first message has come. On success somebody else owns the link: its poller watches it.

        Raises:
            ProtocolError: the link is closed with its code and reason. Raise it before a poller has the link.
        """


async def serve_connection(
    sock: socket.socket,
    address: object,
    handler: ConnectionHandler,
    *,
    visitor: Visitor | None = None,
    tls: Tls | None = None,
) -> None:
    """Serve one connected socket (TCP or one end of a pair) and close it.

    Error handling: raises nothing but ``trio.Cancelled``; anything else is logged to ``gameserver.net`` and costs this
    connection only.

    Cancellation: the peer is told 1001 (going away) within ``CANCELLED_CLOSE_SECONDS``, then the socket is closed.

    Args:
        address: the peer's, as ``accept`` gave it; only for logs.
        visitor: what the handler's door counts it as; it leaves by that door in the end. None inside this process.
        tls: what to encrypt it with.
    """
    if visitor is None:
        visitor = handler.entrance.door.enter(None, trio.current_time())
    connection = _Connection(sock, address_text(address), visitor, handler, tls)
    try:
        await connection.serve()
    except* Exception as defects:
        log_event(_log, logging.ERROR, "dropped because of a defect", peer=connection.remote, exc_info=defects)
    finally:
        handler.entrance.leave(visitor)
        sock = connection.sock
        if sock.fileno() >= 0:
            trio.lowlevel.notify_closing(sock)
            sock.close()


class _Plain(NamedTuple):
    """A request that asks for no WebSocket, and what came behind its head."""

    exchange: Exchange
    rest: bytes


class _Connection:
    """What belongs together while one connection is served.

    Attributes:
        sock: the socket; TLS puts another in its place.
        remote: the peer for logs; the client's own address once a trusted proxy has named it.
    """

    def __init__(
        self, sock: socket.socket, remote: str, visitor: Visitor, handler: ConnectionHandler, tls: Tls | None
    ) -> None:
        self.sock = sock
        self._tls = tls
        self._is_set_up = False
        self.remote = remote
        self._visitor = visitor
        self._handler = handler
        self._entrance = handler.entrance
        self._deadline = trio.current_time() + handler.entrance.limits.hello_seconds

    async def serve(self) -> None:
        """Everything, from the first byte to the last."""
        rest = b""
        for number in range(1, KEPT_REQUESTS + 1):
            request = await self._next_request(rest)
            if request is None:
                return
            if not isinstance(request, _Plain):
                playing = self._play(*request)
                del request  # the head would live as long as this call
                await playing
                return
            rest = request.rest
            kept = await self._respond(request, may_keep=number < KEPT_REQUESTS and self._has_room)
            del request  # of an idle connection nothing is kept but the socket
            if not (kept and await self._more_comes(rest)):
                return
            self._deadline = trio.current_time() + self._entrance.limits.hello_seconds

    async def _set_up(self, tls: Tls | None) -> bool:
        """Prepare the socket, and encrypt; whether a request may come.

        Raises:
            RefusedRequestError: the peer does not speak TLS. OSError: as of `_come_in`.
        """
        prepare(self.sock)
        if tls is not None:
            encrypted = await encrypt(self.sock, tls.context, self._entrance.turnstile)
            if encrypted is None:
                return False
            self.sock = encrypted
        return True

    async def _next_request(self, received: bytes) -> _Plain | tuple[RequestHead, bytes] | None:
        """The request, which may become a WebSocket or asks for none, and what came behind its head; None when there is
        nothing more to do.

        Args:
            received: what has come of it.
        """
        try:
            with trio.move_on_at(self._deadline) as patience:
                return await self._come_in(received)
            if patience.cancelled_caught:
                self._log("no request in time")
        except RefusedRequestError as refusal:
            self._log("refused", status=refusal.status.value, reason=str(refusal))
            await send_answer(self.sock, refusal.answer())
        except OSError as error:  # the peer is gone before it said anything, or does not speak our TLS
            if isinstance(error, ssl.SSLError):
                self._log("no TLS", reason=error.reason)
        return None

    async def _come_in(self, received: bytes) -> _Plain | tuple[RequestHead, bytes] | None:
        """As `_next_request`.

        Raises:
            RefusedRequestError: it may not.
            OSError: the connection broke, or TLS failed.
        """
        if not self._is_set_up:
            self._is_set_up = True
            if not await self._set_up(self._tls):
                return None
        request, rest = await _read_request(self.sock, received)
        if not request:
            return None
        head = parse_head(request)
        if not head.is_upgrade:
            return _Plain(Exchange(head, request), rest)
        proxy = self._visitor.address
        self._entrance.door.identify(self._visitor, head, trio.current_time())
        if self._visitor.address != proxy:
            self.remote = str(self._visitor.address)
        self._handler.check_path(head.path)
        return head, rest

    async def _respond(self, request: _Plain, *, may_keep: bool) -> bool:
        """Answer; whether the connection goes on."""
        by = self._deadline
        return await respond(self.sock, self.remote, *request, self._visitor, self._handler, by, may_keep=may_keep)

    @property
    def _has_room(self) -> bool:
        """Whether there is so much room that a connection may wait for its next request, and nobody is sent away."""
        door = self._entrance.door
        return door.closed_for_seconds is None and door.connections < _ROOMY * self._entrance.limits.most_connections()

    async def _more_comes(self, rest: bytes) -> bool:
        """Wait until the next request begins to come, and for its turn; whether there is one.

        Args:
            rest: what has come of it.
        """
        pages = self._handler.pages
        if pages is None or not (rest or self._has_room):  # it may have become full, or drain, while the answer left
            return False
        with trio.move_on_after(KEEP_SECONDS) as patience:
            if not rest:
                pages.idle.add(patience)
                try:
                    await trio.lowlevel.wait_readable(self.sock)
                finally:
                    pages.idle.discard(patience)
            wait = pages.turn_seconds(self._visitor)
            patience.deadline = math.inf
            if wait:
                await trio.sleep(wait)
            return wait is not None
        return False

    async def _play(self, head: RequestHead, rest: bytes) -> None:
        """The WebSocket, from the upgrade to the closing handshake."""
        async with trio.open_nursery() as nursery:
            rules = self._handler.rules
            link = Link(self.sock, self.remote, head.path, nursery, self._entrance.limits, rules)
            library = Library(link, head.for_library(), nursery, rules)
            try:
                with trio.move_on_at(self._deadline):
                    async with self._entrance.turnstile:
                        await library.upgrade(self._handler.choose_subprotocol)
                if not library.accepted:
                    await linger(self.sock)
                else:
                    link.start(library.hand_over, rest)
                    await self._meet(link, head)
                    del head, rest
                    await link.over.wait()
                    await say_goodbye(link, library, limits.CLOSE_SECONDS)
            except trio.Cancelled:
                link.close(CloseCode.GOING_AWAY, "the server is going away")
                if library.accepted:
                    with trio.CancelScope(shield=True):
                        await say_goodbye(link, library, CANCELLED_CLOSE_SECONDS)
                raise
            finally:
                self._entrance.keepalive.links.pop(link, None)
                self._log_end(link)
                link.finish()
            nursery.cancel_scope.cancel()

    async def _meet(self, link: Link, head: RequestHead) -> None:
        """Wait for the hello and give it to the handler, or close the link."""
        hello = await _await_hello(link, self.sock, self._deadline)
        if hello is None:
            link.close(CloseCode.HELLO_TIMEOUT, f"no hello within {self._entrance.limits.hello_seconds:g} s")
            return
        try:
            await self._handler.on_hello(link, head, self._visitor, hello)
        except ProtocolError as error:
            link.close(error.code, error.reason)
        except Exception:
            log_event(_log, logging.ERROR, "dropped: its hello met a defect", peer=link.remote, exc_info=True)
            link.close(CloseCode.ROOM_FAILED, "internal error")
        else:
            self._entrance.keepalive.links[link] = None

    def _log_end(self, link: Link) -> None:
        """Tell of a connection that we ended because of what the peer did."""
        if link.closed and not link.ended_by_peer and link.close_code in _PEERS_FAULTS:
            fields: dict[str, Any] = {"code": link.close_code, "reason": link.close_reason}
            log_event(_log, logging.WARNING, "closed", peer=self.remote, path=safe_path(link.path), **fields)

    def _log(self, event: str, **fields: Any) -> None:
        log_event(_log, logging.INFO, event, peer=self.remote, **fields)


async def _read_request(sock: socket.socket, received: bytes) -> tuple[bytes, bytes]:
    """The request's head and what came behind it in the same read; two empty strings at EOF.

    Args:
        received: what has come of it.
    Raises:
        RefusedRequestError: when the head is too long.
        OSError: when the connection breaks.
    """
    receive = transport(sock).recv
    parts = split_head(received) if received else None
    while parts is None:
        await trio.lowlevel.wait_readable(sock)
        try:
            data = receive(_HEAD_READ_BYTES)
        except NOT_NOW:
            continue
        if not data:
            return b"", b""
        received += data
        parts = split_head(received)
    return parts


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


async def _await_hello(link: Link, sock: socket.socket, deadline: float) -> bytes | None:
    """The first message, None when there is none in time. What came behind it is what the link receives next."""
    watcher = _HelloWatcher()
    link.attach(watcher)
    messages: list[bytes] = []
    with trio.move_on_at(deadline):
        while not messages and not link.closed:
            messages = link.receive()
            if not messages and not link.closed:
                await watcher.wait(link, sock)
    link.detach()
    if not messages:
        return None
    hello, *rest = messages
    link.deliver(rest)
    return hello
