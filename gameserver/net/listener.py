"""Listening sockets and the loop that accepts from them.

Own sockets and an own loop, for two reasons: the link needs plain non-blocking sockets, and a connection that dies
between the kernel's accept and ours, or a process that is out of descriptors, must not end the server.
"""

from __future__ import annotations

import errno
import logging
import math
import socket
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from gameserver.logs import log_event
from gameserver.net.addresses import parse_address
from gameserver.net.bounds import ACCEPT_BATCH, EXHAUSTED_PAUSE_SECONDS, LINGERING_CONNECTIONS, LISTEN_BACKLOG
from gameserver.net.connection import ConnectionHandler, send_answer, serve_connection
from gameserver.net.entrance import Entrance
from gameserver.net.request_head import RefusedRequestError
from gameserver.net.sockets import address_text, prepare

_log = logging.getLogger("gameserver.net")

#: The process or the machine has no room for one more connection: it waits in the kernel until some have gone.
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
#: It is over when it was not so for this long, in seconds: whenever one connection ends, another takes its descriptor.
_EXHAUSTED_SECONDS: Final = 1.0
#: The listening socket itself is of no use: a defect of the server, not of a peer.
_UNUSABLE: Final = frozenset((errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP, errno.EFAULT))


async def open_listeners(host: str | None, port: int, *, backlog: int = LISTEN_BACKLOG) -> list[socket.socket]:
    """Listen on every address of ``host``.

    Args:
        host: a name or an address; None for all of the machine's.
        port: 0 for a free one, the same for each address.
        backlog: connections that may wait to be accepted.

    Raises:
        OSError: when the name is unknown, or an address cannot be listened on; nothing stays open then.
    """
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                listener = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT and len(found) > 1:
                    continue  # a kernel without IPv6
                raise
            listeners.append(listener)
            _listen(listener, (address[0], port, *address[2:]), backlog)
            port = port or listener.getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen(listener: socket.socket, address: tuple[object, ...], backlog: int) -> None:
    listener.setblocking(False)
    if sys.platform != "win32":  # there the option would let another process take the port over
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(address)
    listener.listen(backlog)


async def serve_listeners(
    listeners: Sequence[socket.socket], handler: ConnectionHandler, connections: trio.Nursery
) -> None:
    """Accept for ever; each connection becomes a task in ``connections``. Closes the listeners when it ends.

    Cancellation: stops accepting; connections go on until ``connections`` is cancelled.

    Raises:
        OSError: when a listening socket itself fails.
    """
    try:
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(_accept_from, listener, handler, connections)
    finally:
        for listener in listeners:
            trio.lowlevel.notify_closing(listener)
            listener.close()


async def _accept_from(listener: socket.socket, handler: ConnectionHandler, connections: trio.Nursery) -> None:
    entrance = handler.entrance
    exhausted_until = -math.inf
    while True:
        await trio.sleep(entrance.wait_seconds())
        await trio.lowlevel.wait_readable(listener)
        try:
            for _ in range(ACCEPT_BATCH):
                if entrance.wait_seconds():
                    break
                sock, address = listener.accept()
                _take_in(sock, address, handler, connections)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if error.errno in _UNUSABLE:
                raise
            if error.errno in _EXHAUSTED:
                now = trio.current_time()
                if now > exhausted_until:  # one line each time it begins, not one for each try
                    log_event(_log, logging.ERROR, "cannot accept", reason=error.strerror)
                exhausted_until = now + _EXHAUSTED_SECONDS
                await trio.sleep(EXHAUSTED_PAUSE_SECONDS)
            # Anything else (ECONNABORTED, EPROTO and the network's own errors, see accept(2)) is the end of a
            # connection that had not begun.


def _take_in(
    sock: socket.socket, address: tuple[str, int], handler: ConnectionHandler, connections: trio.Nursery
) -> None:
    """Serve an accepted connection, or turn it away."""
    entrance = handler.entrance
    try:
        visitor = entrance.door.enter(parse_address(address[0]), trio.current_time())
    except RefusedRequestError as refusal:
        entrance.count(refused=True)
        log_event(_log, logging.INFO, "refused", peer=address_text(address), status=refusal.status.value)
        # Who speaks TLS is not told why, and neither are those beyond a few: it costs too much.
        if entrance.tls is None and entrance.lingering < LINGERING_CONNECTIONS:
            connections.start_soon(_say_why, sock, refusal.answer(), entrance)
        else:
            sock.close()
    else:
        entrance.count(refused=False)
        connections.start_soon(partial(serve_connection, sock, address, handler, visitor=visitor, tls=entrance.tls))


async def _say_why(sock: socket.socket, answer: bytes, entrance: Entrance) -> None:
    entrance.lingering += 1
    try:
        prepare(sock)
        await send_answer(sock, answer)
    except OSError:
        pass  # the peer is gone
    finally:
        entrance.lingering -= 1
        trio.lowlevel.notify_closing(sock)
        sock.close()
