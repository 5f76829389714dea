"""Plain non-blocking sockets: how they are set up, and what their errors mean.

Everything that reads or writes a connection tells "not now" from "never again" by ``NOT_NOW``, so that an
``ssl.SSLSocket`` can take a plain socket's place.
"""

from __future__ import annotations

import socket
import ssl
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


class TlsReader:
    """A TLS socket whose reads leave nothing decrypted behind, because no selector would tell of it."""

    __slots__ = ("_sock", "send")

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self.send = sock.send

    def recv(self, max_bytes: int) -> bytes:
        """As a socket's. It may return more than it was asked for: the rest of one record, at most 16 KiB."""
        data = self._sock.recv(max_bytes)
        rest = self._sock.pending()
        return data + self._sock.recv(rest) if rest else data


def transport(sock: socket.socket) -> socket.socket | TlsReader:
    """What to call ``recv`` and ``send`` of.

    A link calls them as methods and keeps no bound ones: those are objects of their own, and with a thousand links each
    object that is touched is a cache miss (0.5 of 20 us per client and tick).
    """
    return TlsReader(sock) if isinstance(sock, ssl.SSLSocket) else sock


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
