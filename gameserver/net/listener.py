"""Listening sockets and the loop that accepts from them.

Own sockets and an own loop, for two reasons: the link needs plain non-blocking sockets, and a connection that dies
between the kernel's accept and ours, or a process that is out of descriptors, must not end the server.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Sequence
from typing import Final

import trio

from gameserver.net.bounds import ACCEPT_BATCH, EXHAUSTED_PAUSE_SECONDS, LISTEN_BACKLOG
from gameserver.net.handshake import ConnectionHandler, serve_connection

_log = logging.getLogger("gameserver.net")

#: The process or the machine has no room for one more connection: it waits in the kernel until some have gone.
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
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
    exhausted = False
    while True:
        await trio.lowlevel.wait_readable(listener)
        try:
            for _ in range(ACCEPT_BATCH):
                sock, address = listener.accept()
                connections.start_soon(serve_connection, sock, address, handler)
                exhausted = False
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if error.errno in _UNUSABLE:
                raise
            if error.errno in _EXHAUSTED:
                if not exhausted:  # one line each time it begins, not one for each try
                    exhausted = True
                    _log.error("! cannot accept: %s; trying every %g s", error.strerror, EXHAUSTED_PAUSE_SECONDS)
                await trio.sleep(EXHAUSTED_PAUSE_SECONDS)
            # Anything else (ECONNABORTED, EPROTO and the network's own errors, see accept(2)) is the end of a
            # connection that had not begun.
