"""Answering a request that asks for no WebSocket: read its body, ask the handler, send, and mostly hang up."""

from __future__ import annotations

import logging
import socket
import ssl
from http import HTTPStatus
from typing import Final, Protocol

import trio

from gameserver.logs import log_event
from gameserver.net.bounds import LINGER_SECONDS
from gameserver.net.door import Visitor
from gameserver.net.entrance import Entrance
from gameserver.net.http import (
    ANSWER_SECONDS,
    PIECE_BYTES,
    SEND_SECONDS,
    Body,
    BodySource,
    Exchange,
    HttpAnswer,
    HttpRequest,
    cors_fields,
    refusal_answer,
)
from gameserver.net.request_head import RefusedRequestError, RequestHead, not_allowed
from gameserver.net.sockets import NOT_NOW, stop_sending, transport

_log = logging.getLogger("gameserver.net")
_READ_BYTES: Final = 4096


class Pages(Protocol):
    """Files and pages for browsers, which cost little and which anybody may have, as fast as their pace allows.

    Attributes:
        idle: connections that wait for their next request; whoever wants them gone cancels these.
    """

    idle: set[trio.CancelScope]

    def turn_seconds(self, visitor: Visitor) -> float | None:
        """How long the next request of a connection must wait before it is read; None to end the connection."""

    def serves(self, head: RequestHead) -> bool:
        """Whether a GET or HEAD is for a path of theirs."""

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        """What is there; None for nothing but perhaps a room.

        Cancellation: it may be cancelled after `ANSWER_SECONDS`.

        Raises:
            RefusedRequestError: answered as it says.
        """


class PageHandler(Protocol):
    """What the server does with requests. Its methods are called in the connection's task.

    Attributes:
        entrance: how connections come in.
        pages: what is served to browsers; None for nothing.
    """

    entrance: Entrance

    @property
    def pages(self) -> Pages | None: ...

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        """The answer to a request that is not for `pages`; None when there is nothing of that path but perhaps a room.

        Cancellation: it may be cancelled after `ANSWER_SECONDS`.

        Raises:
            RefusedRequestError: answered as it says.
        """

    def check_path(self, path: str) -> None:
        """RefusedRequestError 404 when no room is there."""


async def respond(
    sock: socket.socket,
    remote: str,
    exchange: Exchange,
    rest: bytes,
    visitor: Visitor,
    handler: PageHandler,
    by: float,
    *,
    may_keep: bool,
) -> bool:
    """Answer one request. Whatever the handler raises costs this connection only.

    Args:
        remote: the peer, for logs.
        rest: what came behind the head.
        by: when all of the request must have come, on trio's clock.
        may_keep: whether the connection may go on.
    Returns:
        Whether it does; what came behind the request is the next one then. Otherwise it is at its end.
    """
    came_from = visitor.address
    try:
        answer = await _judge(sock, exchange, rest, visitor, handler, by)
    except RefusedRequestError as refusal:
        peer = remote if visitor.address == came_from else str(visitor.address)
        log_event(_log, logging.INFO, "refused", peer=peer, status=refusal.status.value, reason=str(refusal))
        answer = refusal_answer(refusal, exchange.head.method)
    except Exception:
        log_event(_log, logging.ERROR, "a request met a defect", peer=remote, exc_info=True)
        failure = RefusedRequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
        answer = refusal_answer(failure, exchange.head.method)
    if answer is None:
        return False
    keep = may_keep and answer.keep and exchange.wants_more
    head, body = exchange.render(answer, keep=keep)
    del answer  # a list of rooms is not kept twice while it is sent
    return await _send(sock, head, body, keep=keep)


async def _judge(
    sock: socket.socket, exchange: Exchange, rest: bytes, visitor: Visitor, handler: PageHandler, by: float
) -> HttpAnswer | None:
    """The answer; None when the request never came to its end."""
    head, door = exchange.head, handler.entrance.door
    origin = head.field("origin")
    if origin is not None and door.admits(head):
        exchange.extra += cors_fields(origin)
    if handler.pages is not None and head.method in ("GET", "HEAD") and handler.pages.serves(head):
        return await _ask(handler.pages, handler, exchange.request(), visitor)
    door.look_in(visitor, head, trio.current_time())
    exchange.check_length()
    whole = False
    with trio.move_on_at(by):
        try:
            whole = await _receive_body(sock, exchange, rest)
        except OSError:
            pass  # the peer is gone
    if not whole:
        return None
    return await _ask(handler, handler, exchange.request(), visitor)


async def _ask(asked: Pages | PageHandler, handler: PageHandler, request: HttpRequest, visitor: Visitor) -> HttpAnswer:
    with trio.move_on_after(ANSWER_SECONDS):
        answer = await asked.answer(request, visitor)
        if answer is None:
            handler.check_path(request.target)
            if request.method not in ("GET", "HEAD"):
                raise not_allowed("GET", "HEAD")
            raise RefusedRequestError(HTTPStatus.UPGRADE_REQUIRED, "This is a WebSocket: connect with ws:// or wss://.")
        return answer
    raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "The server is too slow.", retry_after_seconds=5.0)


async def _receive_body(sock: socket.socket, exchange: Exchange, rest: bytes) -> bool:
    """Read until the body is whole; False when the stream ends before.

    Raises:
        OSError: when the connection breaks.
    """
    receive = transport(sock).recv
    while not exchange.receive(rest):
        await trio.lowlevel.wait_readable(sock)
        try:
            rest = receive(_READ_BYTES)
        except NOT_NOW:
            rest = b""
            continue
        if not rest:
            return False
    return True


async def send_answer(sock: socket.socket, answer: bytes) -> None:
    """Send an answer, say that nothing follows, and let the peer read it. A peer that reads too slowly is cut."""
    await _send(sock, answer, b"", keep=False)


async def _send(sock: socket.socket, head: bytes, body: Body, *, keep: bool) -> bool:
    """Send an answer; whether all of it left and the connection goes on.

    A peer must read each piece of `PIECE_BYTES` in `SEND_SECONDS`; how long the whole takes is its own affair.
    """
    try:
        if isinstance(body, bytes | memoryview):
            sent = await _send_pieces(sock, head + body if len(body) < PIECE_BYTES else head, body)
        else:
            sent = await _send_source(sock, head, body)
        if sent and not keep:
            with trio.move_on_after(SEND_SECONDS):
                stop_sending(sock)
                await _linger(sock)
    except OSError:
        return False
    return sent and keep


async def _send_pieces(sock: socket.socket, first: bytes, body: bytes | memoryview) -> bool:
    """``first``, and then ``body`` if it was too long to be in there; False when the peer was too slow."""
    sent = await _send_piece(sock, memoryview(first))
    if len(body) >= PIECE_BYTES:
        left = memoryview(body)
        while sent and left:
            sent = await _send_piece(sock, left[:PIECE_BYTES])
            left = left[PIECE_BYTES:]
            await trio.lowlevel.checkpoint()  # a peer that takes everything at once must not delay a tick
    return sent


async def _send_source(sock: socket.socket, head: bytes, body: BodySource) -> bool:
    """Head and body, of which only one piece is in memory; False when the peer was too slow.

    Raises:
        OSError: the connection broke, or the body cannot be read: what was sent is cut off then.
    """
    sent, offset = await _send_piece(sock, memoryview(head)), 0
    while sent and offset < body.length:
        piece = await body.read(offset, min(PIECE_BYTES, body.length - offset))
        offset += len(piece)
        sent = await _send_piece(sock, memoryview(piece))
    return sent


async def _send_piece(sock: socket.socket, left: memoryview) -> bool:
    with trio.move_on_after(SEND_SECONDS):
        while left:
            try:
                left = left[sock.send(left) :]
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(sock)
            except NOT_NOW:
                await trio.lowlevel.wait_writable(sock)
        return True
    return False


async def _linger(sock: socket.socket) -> None:
    """Give the peer a moment to read what was sent: closing on bytes that nobody read would reset the answer away."""
    with trio.move_on_after(LINGER_SECONDS):
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                if not sock.recv(_READ_BYTES):
                    return
            except NOT_NOW:
                continue  # a part of a TLS record


async def linger(sock: socket.socket) -> None:
    """Send EOF behind what was written and let the peer read it."""
    stop_sending(sock)
    try:
        await _linger(sock)
    except OSError:
        return
