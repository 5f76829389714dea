"""One WebSocket to a server, without waiting: what a session, or a thousand bots in one loop, read from and write to.

The usual case of ``receive`` and ``write`` is one system call and a handful of Python operations. Whole binary messages
are cut by the small parser of the protocol; every other frame is shown to the WebSocket library, which answers it.

Once ``advance`` has returned True, the link never closes its descriptor by itself, so that whoever watches it in a
selector is not surprised: that is what ``release`` is for.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from gameclient._connecting import NOT_NOW, Connector, SocketLike, Wrap
from gameclient._target import Address, TargetLike
from gameprotocol import CloseCode, ProtocolError, limits
from gameprotocol._websocket import CLOSE, FrameParser, OddFrame, close_payload, masked_frame

#: ``close_code`` of a connection that ended without a Close frame (RFC 6455, 7.4.1); it never travels.
VANISHED: Final = 1006
#: Bytes that may wait unsent; a client sends about 1 KB a second, so a server that leaves so much unread is gone.
UNSENT_BYTES: Final = limits.MESSAGE_QUEUE_BYTES

_RECEIVE_BYTES: Final = 65536
#: System calls that one ``receive`` may make; only a large frame needs a second one.
_MOST_READS: Final = 32
_MASK_BYTES: Final = 1024
#: How often to look for what comes through something that no selector watches.
_LOOK_SECONDS: Final = 0.005


class ClientLink:
    """A client's connection. Not thread-safe. After the constructor nothing raises because of the peer or the network.

    Args:
        target: ``ws://host:port/room``, ``wss://...``, or what ``server.local()`` gives.
        addresses: where the URL's host is, when that is known; None to look it up (numbers at once, names in a thread).
        tls: for wss://, None for the system's certificates and checks.
        clock: seconds, for the patience with one of several addresses.
        mask_source: makes so many bytes for masking keys, which must not be predictable (RFC 6455, 10.3); a load test
            that measures a server on loopback may give ``bytes``, zeros.
        wrap: what to put between this link and its connected socket, such as a slow network; see `conditioned`. With
            TLS it carries what is inside. If it has a method ``prepare``, that gets the socket before it connects.
    Raises:
        ValueError: the target is no WebSocket URL.

    Attributes:
        opened: the opening handshake has succeeded.
        closed: no more messages come or go.
        close_code: why it closed: what we or the server sent, `VANISHED` if it just ended or never began; 0 while open.
        close_reason: the same in words, partly the server's own.
        bytes_in, bytes_out: what was read from and written to the socket, inside TLS.
        http_status: of an answer that refused the upgrade, 0 when there was none.
        retry_after: when to come back as such an answer says, in seconds; None when it does not.
    """

    __slots__ = (
        "_connector",
        "_encrypted",
        "_feed",
        "_fragments",
        "_library",
        "_mask_at",
        "_mask_source",
        "_masks",
        "_parser",
        "_peer_ended",
        "_pending",
        "_ready",
        "_recv",
        "_send",
        "_sock",
        "_usual",
        "_wrapped",
        "bytes_in",
        "bytes_out",
        "close_code",
        "close_reason",
        "closed",
        "http_status",
        "opened",
        "retry_after",
    )

    def __init__(
        self,
        target: TargetLike,
        *,
        addresses: Sequence[Address] | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        mask_source: Callable[[int], bytes] = os.urandom,
        wrap: Wrap | None = None,
    ) -> None:
        self.opened = False
        self.closed = False
        self.close_code = 0
        self.close_reason = ""
        self.bytes_in = 0
        self.bytes_out = 0
        self.http_status = 0
        self.retry_after: float | None = None
        self._connector: Connector | None = Connector(target, addresses=addresses, tls=tls, clock=clock, wrap=wrap)
        self._sock: socket.socket | SocketLike | None = None
        self._wrapped: SocketLike | None = None
        self._recv: Callable[[int], bytes] = _unconnected
        self._send: Callable[[bytes | bytearray], int] = _unconnected
        self._library: Connection | None = None
        self._encrypted = False
        self._parser = FrameParser(masked=False, max_payload_bytes=limits.SERVER_MESSAGE_BYTES)
        self._feed = self._parser.feed
        self._fragments: list[bytes] = []
        self._ready: list[bytes] = []  # came in one read with the handshake's end
        self._pending = bytearray()  # taken by `write`, not sent yet
        self._mask_source = mask_source
        self._masks = b""
        self._mask_at = 0
        self._usual = False  # open and without TLS, nothing ready, nothing pending: the short way
        self._peer_ended = False

    def __repr__(self) -> str:
        state = f"closed {self.close_code}" if self.closed else "open" if self.opened else "connecting"
        return f"<ClientLink {state}>"

    def fileno(self) -> int:
        """The socket's descriptor, -1 when there is none. It may change until `advance` has returned True."""
        sock = self._sock if self._connector is None else self._connector.sock
        return -1 if sock is None else sock.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether to wait for writability too: the connection is being made, or bytes wait unsent."""
        return bool(self._pending) if self._connector is None else self._connector.wants_write

    @property
    def conditioned(self) -> SocketLike | None:
        """What ``wrap`` has made of the socket; None without it, and until the connection stands.

        It holds bytes that no selector sees. ``pump`` it when the kernel has something, and at the times that it says.
        """
        return self._wrapped if self._connector is None else self._connector.wrapped

    # -- connecting

    def advance(self) -> bool:
        """Go on with connecting as far as possible now; True once the link is open. On failure it is ``closed``."""
        connector = self._connector
        if connector is None:
            return self.opened and not self.closed
        connector.advance()
        if connector.failure:
            self.http_status, self.retry_after = connector.upgrade.status, connector.upgrade.retry_after
            self.give_up(connector.failure)
        elif connector.done:
            self._open(connector)
        return self.opened and not self.closed

    def explain_delay(self) -> str:
        """What a link that is still connecting waits for, and what may be wrong."""
        return "" if self._connector is None else self._connector.describe()

    def give_up(self, reason: str) -> None:
        """End it without a closing handshake."""
        self._end(VANISHED, reason)
        self._peer_ended = True
        if not self.opened:
            self.release()

    def _open(self, connector: Connector) -> None:
        sock = connector.sock if connector.wrapped is None else connector.wrapped
        library = connector.upgrade.connection
        assert sock is not None
        assert library is not None
        self._connector, self._wrapped = None, connector.wrapped
        self._sock, self._recv, self._send, self._library = sock, sock.recv, sock.send, library
        self._encrypted = isinstance(sock, ssl.SSLSocket)
        self.bytes_in, self.bytes_out = connector.bytes_in, connector.bytes_out
        self.opened = True
        self._ready = self._feed(connector.rest)
        if self._parser.stop is not None:
            self._go_on(self._ready)
        self._note_state()

    def _note_state(self) -> None:
        self._usual = self.opened and not (self.closed or self._encrypted or self._ready or self._pending)

    # -- reading

    def receive(self) -> list[bytes]:
        """The payloads of the whole binary messages that have arrived, in order; never waits, never raises."""
        if not self._usual:
            return self._receive_specially()
        try:
            data = self._recv(_RECEIVE_BYTES)
        except OSError as error:
            self._failed(error)
            return []
        size = len(data)
        self.bytes_in += size
        payloads = self._feed(data)
        if self._parser.stop is not None:
            self._go_on(payloads)
        if size == _RECEIVE_BYTES:
            self._read_on(payloads)
        elif not size:
            self._end(VANISHED, "the server vanished")
            self._peer_ended = True
        return payloads

    def _receive_specially(self) -> list[bytes]:
        payloads, self._ready = self._ready, []
        if self.opened and not self.closed:
            self.flush()
            self._read_on(payloads)
            self._note_state()
        return payloads

    def _read_on(self, payloads: list[bytes]) -> None:
        """Read until the socket is empty: TLS may hold bytes that no selector sees, and a frame may be large."""
        for _ in range(_MOST_READS):
            if self.closed:
                return
            try:
                data = self._recv(_RECEIVE_BYTES)
            except OSError as error:
                self._failed(error)
                return
            if not data:
                self._end(VANISHED, "the server vanished")
                self._peer_ended = True
                return
            self.bytes_in += len(data)
            payloads += self._feed(data)
            if self._parser.stop is not None:
                self._go_on(payloads)
            if len(data) < _RECEIVE_BYTES and not self._encrypted:
                return

    def _go_on(self, payloads: list[bytes]) -> None:
        """Deal with what stopped the parser, and with what comes behind it."""
        while (stop := self._parser.stop) is not None and not self.closed:
            if isinstance(stop, ProtocolError):
                self.close(stop.code, stop.reason)
                self._peer_ended = True  # its Close could not be found in what is left
                return
            self._show_library(stop, payloads)
            if not self.closed:
                payloads += self._feed(b"")

    def _show_library(self, frame: OddFrame, payloads: list[bytes]) -> None:
        library = self._library
        assert library is not None
        try:
            library.receive_data(frame.raw)
            for event in library.events():
                if isinstance(event, BytesMessage):
                    self._fragments.append(bytes(event.data))
                    if event.message_finished:
                        payloads.append(b"".join(self._fragments))
                        self._fragments.clear()
                elif isinstance(event, Ping):
                    self._put(library.send(event.response()))
                elif isinstance(event, CloseConnection):
                    self._put(library.send(event.response()))
                    self._end(event.code, event.reason or "")
                    self._peer_ended = True
                elif isinstance(event, TextMessage):
                    self.close(CloseCode.UNSUPPORTED, "messages must be binary")
        except RemoteProtocolError as error:
            self.close(CloseCode.PROTOCOL_ERROR, str(error))
            self._peer_ended = True

    def _failed(self, error: OSError) -> None:
        """A system call did not work: perhaps not now, otherwise never again."""
        if not isinstance(error, NOT_NOW):
            self._end(VANISHED, f"the connection broke: {error.strerror or type(error).__name__}")
            self._peer_ended = True
            self._pending.clear()

    # -- writing

    def write(self, payload: bytes) -> bool:
        """Send a binary message; what the kernel has no room for now is kept and goes out later.

        Returns:
            False when the link is not open, or when more than `UNSENT_BYTES` would wait; nothing was taken then.
        """
        at = self._mask_at
        masks = self._masks
        if at == len(masks):  # keys must not be predictable (RFC 6455, 10.3), but a system call for each is too much
            masks, at = self._mask_source(_MASK_BYTES), 0
            self._masks = masks
        self._mask_at = at + 4
        frame = masked_frame(payload, masks[at : at + 4])
        if not self._usual:
            return self._write_specially(frame)
        try:
            sent = self._send(frame)
        except OSError as error:
            self._failed(error)
            if self.closed:
                return False
            sent = 0
        self.bytes_out += sent
        if sent != len(frame):
            self._pending += frame[sent:]
            self._usual = False
        return True

    def _write_specially(self, frame: bytes) -> bool:
        if self.closed or not self.opened or len(self._pending) + len(frame) > UNSENT_BYTES:
            return False
        self._put(frame)
        return not self.closed

    def _put(self, data: bytes) -> None:
        """Send whole frames behind what waits."""
        self._pending += data
        self.flush()

    def flush(self) -> bool:
        """Offer the kernel what waits; True when nothing is left."""
        if self._pending and self.opened:
            try:
                sent = self._send(self._pending)
            except OSError as error:
                self._failed(error)
            else:
                self.bytes_out += sent
                del self._pending[:sent]
        self._note_state()
        return not self._pending

    # -- closing

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Say goodbye. Nothing is received any more; `finish` and `release` end it."""
        if self.closed:
            return
        if not self.opened:
            self.give_up(reason or "closed before it was open")
            return
        self._end(code, reason)
        mask = os.urandom(4)
        self._put(masked_frame(close_payload(code, reason), mask, CLOSE))

    def finish(self) -> bool:
        """After `close`: read and drop until the server has answered; True when it has, or has gone."""
        if not self._peer_ended and self.opened:
            self.flush()
            self._drop_input()
        return self._peer_ended or not self.opened

    def linger(self, seconds: float) -> None:
        """After `close`: wait until `finish`, for so long at most. This is the one call that waits."""
        until = time.monotonic() + seconds
        while not self.finish() and (left := until - time.monotonic()) > 0:
            with selectors.DefaultSelector() as selector:
                selector.register(self, selectors.EVENT_READ)
                selector.select(left if self._wrapped is None else min(left, _LOOK_SECONDS))

    def _drop_input(self) -> None:
        for _ in range(_MOST_READS):
            try:
                data = self._recv(_RECEIVE_BYTES)
            except OSError as error:
                self._failed(error)
                return
            self._feed(data)
            while isinstance(stop := self._parser.stop, OddFrame) and stop.opcode != CLOSE:
                self._feed(b"")
            if self._parser.stop is not None or not data:
                self._peer_ended = True
                return

    def release(self) -> None:
        """Close the descriptor, at once and for good. Take it out of every selector before."""
        if not self.closed:
            self._end(VANISHED, "closed")
        if self._connector is not None:
            connector, self._connector = self._connector, None
            self._sock = connector.sock if connector.wrapped is None else connector.wrapped
        if self._sock is not None:
            self._sock.close()

    def _end(self, code: int, reason: str) -> None:
        if not self.closed:
            self.closed = True
            self.close_code = int(code)
            self.close_reason = reason
        self._usual = False


def _unconnected(_: object) -> Any:
    raise BlockingIOError
