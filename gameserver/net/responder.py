"""Answering a request that asks for no WebSocket: read its body, ask the handler, send, and hang up."""

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
    SEND_SECONDS,
    Exchange,
    HttpAnswer,
    HttpRequest,
    cors_fields,
    refusal_answer,
)
from gameserver.net.request_head import RefusedRequestError, not_allowed
from gameserver.net.sockets import NOT_NOW, stop_sending, transport

_log = logging.getLogger("gameserver.net")
_READ_BYTES: Final = 4096


class PageHandler(Protocol):
    """What the server does with requests. Its methods are called in the connection's task.

    Attributes:
        entrance: how connections come in.
    """

    entrance: Entrance

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        """The answer to a request; None when there is nothing of that path but perhaps a room.

        Cancellation: it may be cancelled after `ANSWER_SECONDS`.

        Raises:
            RefusedRequestError: answered as it says.
        """

    def check_path(self, path: str) -> None:
        """RefusedRequestError 404 when no room is there."""


async def respond(
    sock: socket.socket, remote: str, exchange: Exchange, rest: bytes, visitor: Visitor, handler: PageHandler, by: float
) -> None:
    """Answer one request. Whatever the handler raises costs this connection only.

    Args:
        remote: the peer, for logs.
        rest: what came behind the head.
        by: when all of the request must have come, on trio's clock.
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
    if answer is not None:
        data = exchange.render(answer)
        del answer  # a list of rooms is not kept twice while it is sent
        await send_answer(sock, data)


async def _judge(
    sock: socket.socket, exchange: Exchange, rest: bytes, visitor: Visitor, handler: PageHandler, by: float
) -> HttpAnswer | None:
    """The answer; None when the request never came to its end."""
    head, door = exchange.head, handler.entrance.door
    origin = head.field("origin")
    if origin is not None and door.admits(head):
        exchange.extra += cors_fields(origin)
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
    with trio.move_on_after(ANSWER_SECONDS):
        answer = await handler.answer(exchange.request(), visitor)
        if answer is None:
            handler.check_path(head.path)
            if head.method not in ("GET", "HEAD"):
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
    """Send an answer and let the peer read it. A peer that does not read it in time is cut."""
    try:
        with trio.move_on_after(SEND_SECONDS):
            await _send_all(sock, answer)
            stop_sending(sock)
            await _linger(sock)
    except OSError:
        return


async def _send_all(sock: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[sock.send(left) :]
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(sock)
        except NOT_NOW:
            await trio.lowlevel.wait_writable(sock)


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
