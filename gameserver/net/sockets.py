"""Plain non-blocking sockets: how they are set up, and what their errors mean.

Everything that reads or writes a connection tells "not now" from "never again" by ``NOT_NOW``, so that an
``ssl.SSLSocket`` can take a plain socket's place.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Final

from gameserver.net.bounds import TCP_USER_TIMEOUT_MS, UNSENT_BYTES

#: TLS began to write a record and needs the network first: the same bytes must be offered again, they count as taken.
TLS_UNFINISHED: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
#: Nothing happened, try again when the socket is ready.
NOT_NOW: Final = (BlockingIOError, InterruptedError, *TLS_UNFINISHED)

_TCP: Final = (socket.AF_INET, socket.AF_INET6)
# macOS and Windows lack some of these; trio defines the macOS number itself, this module leaves the option out.
_OPTIONS: Final = tuple(
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_NODELAY", 1),  # a tick's frame must not wait for the acknowledgement of the last one
        ("TCP_NOTSENT_LOWAT", UNSENT_BYTES),
        ("TCP_USER_TIMEOUT", TCP_USER_TIMEOUT_MS),
    )
    if hasattr(socket, name)
)


def prepare(sock: socket.socket) -> None:
    """Make a connected socket non-blocking and, when it is TCP, quick and forgetful of dead peers.

    Raises:
        OSError: when the connection is already gone.
    """
    sock.setblocking(False)
    if sock.family in _TCP:
        for option, value in _OPTIONS:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def reader(sock: socket.socket) -> Callable[[int], bytes]:
    """``sock.recv``; for TLS one that leaves nothing decrypted behind, because no selector would tell of it.

    A TLS read may so return more than it was asked for: the rest of one record, at most 16 KiB.
    """
    if not isinstance(sock, ssl.SSLSocket):
        return sock.recv

    def receive(max_bytes: int) -> bytes:
        data = sock.recv(max_bytes)
        rest = sock.pending()
        return data + sock.recv(rest) if rest else data

    return receive


def address_text(address: object) -> str:
    """A peer's address for logs: ``1.2.3.4:5``, ``[::1]:5``, or ``local`` for a socket pair."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return "local"


def stop_sending(sock: socket.socket) -> None:
    """Send EOF behind what was written. TLS is left alone: its peer would take the missing alert for an attack."""
    if not isinstance(sock, ssl.SSLSocket):
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer was faster
