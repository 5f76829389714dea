"""From an address to an open WebSocket, step by step and without waiting: look-up, TCP, TLS, opening handshake."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from gameclient._target import Address, Lookup, TargetLike, numeric_addresses, parse_target
from gameclient._upgrade import RefusedError, Upgrade

#: How long one of several addresses may take to connect before the next one is tried, in seconds.
ATTEMPT_SECONDS: Final = 2.0
#: Nothing happened, try again when the socket is ready.
NOT_NOW: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_READ_BYTES: Final = 4096
_TCP_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_TCP_OPTIONS: Final = tuple(
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_NODELAY", 1),  # an input must not wait for the acknowledgement of the one before
        ("TCP_USER_TIMEOUT", 15_000),  # milliseconds until unacknowledged bytes mean that the server cannot be reached
    )
    if hasattr(socket, name)
)


def _numbers(*names: str) -> frozenset[int]:
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


# What a repeated connect() says; the WSA ones are Windows'.
_STILL_CONNECTING: Final = _numbers(
    "EINPROGRESS", "EALREADY", "EWOULDBLOCK", "EAGAIN", "EINTR", "WSAEWOULDBLOCK", "WSAEALREADY", "WSAEINVAL"
)
_CONNECTED: Final = _numbers("EISCONN", "WSAEISCONN") | {0}


class SocketLike(Protocol):
    """What a link needs of a socket that somebody has put something in front of, such as a slow network.

    ``recv`` and ``send`` are those of a socket that does not block.
    """

    def recv(self, most_bytes: int, /) -> bytes: ...

    def send(self, data: bytes | bytearray, /) -> int: ...

    def fileno(self) -> int: ...

    def close(self) -> None: ...

    def pump(self, now: float, /) -> float:
        """Move what is due by ``now`` (seconds); answers when to come back, ``inf`` for when the kernel has more."""


#: Puts something in front of a connected socket. If it has a method ``prepare``, that gets the socket before.
Wrap: TypeAlias = Callable[[socket.socket], SocketLike]


class Connector:
    """One attempt to reach a room. ``advance`` until ``done`` or ``failure``; nothing raises because of the peer.

    Args:
        target: URL or local target.
        addresses: where the URL's host is, when that is known; None to look it up.
        tls: for wss://, None for the system's certificates and checks.
        clock: seconds.
        wrap: what to put in front of the connected socket; with TLS, in front of that.
    Raises:
        ValueError: the target is no WebSocket URL.

    Attributes:
        done: the socket is an open WebSocket.
        failure: why there is none and what to do; empty while there is hope.
        sock: the socket, None while there is none; belongs to whoever made the connector.
        wrapped: what ``wrap`` has put in front of it, and is to be used instead; None without, and not yet.
        upgrade: the handshake; its ``connection`` is set once done.
        rest: bytes that came behind the handshake.
        wants_write: wait until ``sock`` is writable, otherwise until it is readable.
        bytes_in, bytes_out: what the handshake took.
    """

    def __init__(
        self,
        target: TargetLike,
        *,
        addresses: Sequence[Address] | None,
        tls: ssl.SSLContext | None,
        clock: Callable[[], float],
        wrap: Wrap | None = None,
    ) -> None:
        self.endpoint = parse_target(target)
        self.upgrade = Upgrade(self.endpoint)
        self.done = False
        self.failure = ""
        self.sock: socket.socket | None = None
        self.wrapped: SocketLike | None = None
        self.rest = b""
        self.wants_write = False
        self.bytes_in = 0
        self.bytes_out = 0
        self._unsent = self.upgrade.request
        self._tls = tls
        self._clock = clock
        self._wrap = wrap
        self._address: Address | None = None
        self._addresses: list[Address] = []
        self._attempt_until = 0.0
        self._lookup: Lookup | None = None
        self._refusals: list[str] = []
        if not isinstance(target, str):
            self.sock = target.open_socket()
            self.sock.setblocking(False)
            self._step = self._put_before
        else:
            self._step = self._look_up
            known = numeric_addresses(self.endpoint.host, self.endpoint.port) if addresses is None else list(addresses)
            if known is None:
                self._lookup = Lookup(self.endpoint.host, self.endpoint.port)
            else:
                self._addresses = known

    def advance(self) -> None:
        """Go as far as possible now."""
        try:
            while not self.done and not self.failure and self._step():
                pass
        except RefusedError as error:
            self.failure = str(error)
        except OSError as error:  # NOT_NOW is dealt with where it may happen
            self.failure = f"the connection to {self.endpoint.authority} broke ({_name(error.errno)}): try again"

    def describe(self) -> str:
        """What is being waited for."""
        if self._lookup is not None and not self._lookup.done:
            return f"the address of {self.endpoint.host} could not be looked up in time: check the name and the network"
        if self._step == self._do_upgrade:
            return "the server did not answer in time: is it a WebSocket server, and is it overloaded?"
        return f"{self.endpoint.authority} cannot be reached: check the address and the firewall"

    # -- steps; each answers whether the next one may be tried now

    def _look_up(self) -> bool:
        if self._lookup is not None:
            if not self._lookup.done:
                return False
            self._addresses, self.failure = self._lookup.addresses, self._lookup.failure
            self._lookup = None
        self._step = self._connect
        return True

    def _connect(self) -> bool:
        if self.sock is None:
            if not self._addresses:
                self.failure = "; ".join(self._refusals) or f"{self.endpoint.host} has no address"
                return False
            self._address = self._addresses.pop(0)
            self._attempt_until = self._clock() + ATTEMPT_SECONDS
            self.sock = socket.socket(*self._address[:3])
            self.sock.setblocking(False)
            if (prepare := getattr(self._wrap, "prepare", None)) is not None:
                prepare(self.sock)
        assert self._address is not None
        number = self.sock.connect_ex(self._address[3])
        if number in _CONNECTED:
            self._begin_talking(self.sock)
            return True
        self.wants_write = True
        if number in _STILL_CONNECTING:
            if not self._addresses or self._clock() < self._attempt_until:
                return False
            number = errno.ETIMEDOUT
        self._refusals.append(self._explain(number))
        self.sock.close()
        self.sock = None
        return True

    def _explain(self, number: int) -> str:
        where = self.endpoint.authority
        if self._address is not None and self.endpoint.host not in self._address[3]:
            where += f" [{self._address[3][0]}]"
        if number == errno.ECONNREFUSED:
            return f"nothing listens on {where} (connection refused): is the server running, and is the port right?"
        return f"{where} cannot be reached ({_name(number)}): check the address and the network"

    def _begin_talking(self, sock: socket.socket) -> None:
        if sock.family in _TCP_FAMILIES:
            for option, value in _TCP_OPTIONS:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
        if not self.endpoint.tls:
            self._step = self._put_before
            return
        context = self._tls or ssl.create_default_context()
        self.sock = context.wrap_socket(sock, server_hostname=self.endpoint.host, do_handshake_on_connect=False)
        self._step = self._start_tls

    def _start_tls(self) -> bool:
        assert isinstance(self.sock, ssl.SSLSocket)
        self.wants_write = False
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return False
        except (ssl.SSLError, ssl.CertificateError, ConnectionError) as error:
            why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error
            self.failure = f"TLS with {self.endpoint.authority} failed ({why}): check its certificate, or use ws://"
            return False
        self._step = self._put_before
        return True

    def _put_before(self) -> bool:
        """The connection stands: from here on bytes go through what ``wrap`` makes."""
        assert self.sock is not None
        if self._wrap is not None:
            self.wrapped = self._wrap(self.sock)
        self._step = self._do_upgrade
        return True

    def _do_upgrade(self) -> bool:
        sock = self.sock if self.wrapped is None else self.wrapped
        assert sock is not None
        if self._unsent:
            try:
                sent = sock.send(self._unsent)
            except NOT_NOW:
                sent = 0
            self.bytes_out += sent
            self._unsent = self._unsent[sent:]
        self.wants_write = bool(self._unsent)
        try:
            data = sock.recv(_READ_BYTES)
        except NOT_NOW:
            return False
        if not data:
            raise self.upgrade.end()
        self.bytes_in += len(data)
        rest = self.upgrade.feed(data)
        if rest is not None:
            self.rest, self.done = rest, True
        return True


def _name(number: int | None) -> str:
    return os.strerror(number) if number else "end of the stream"
