"""One player's WebSocket after the upgrade: what a room reads from and writes to, once a tick, without waiting.

A room has a thousand of these and a few milliseconds, so the usual case of ``receive`` and ``write`` is one system call
and a handful of Python operations. Everything unusual leaves through one flag per direction: ``_special`` for what is
read, ``blocked`` for what is written.

There is one writer for the socket, this class. Bytes leave in the order in which they were taken, and a frame that the
kernel took half of is finished before anything else is sent.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

import trio

from gameprotocol._websocket import CLOSE, PONG, FrameParser, OddFrame, parse_close, ping_frame
from gameprotocol.closing import CloseCode, ProtocolError
from gameserver.net.bounds import BYTES_BEHIND_CLOSE, RECEIVE_BYTES, STUCK_SECONDS, USUAL_BYTES
from gameserver.net.limits import Limits
from gameserver.net.meter import Meter
from gameserver.net.odd_frames import OddFrameCounter
from gameserver.net.rules import GAME_RULES, LinkRules
from gameserver.net.sockets import NOT_NOW, TLS_UNFINISHED, stop_sending, transport

#: ``close_code`` of a connection that ended without a Close frame (RFC 6455, 7.4.1); it never travels.
VANISHED: Final = 1006


class Watcher(Protocol):
    """Whoever waits for a link: a room's poller, or the connection's own task before the hello."""

    def wake(self, link: Link) -> None:
        """``link`` has messages, or may be read or written to again, although its socket is silent."""

    def release(self, link: Link) -> None:
        """``link`` has closed: stop watching its socket at once, and show the link to its owner once more."""


class Link:
    """A non-blocking, message-wise view of one connection. Not thread-safe; one owner at a time.

    Nothing here raises because of a peer. A problem closes the link, and ``closed``, ``close_code`` and
    ``close_reason`` tell what happened; ``Poller.poll`` returns the link once more so that its owner sees it.

    Attributes:
        remote: the peer's address for logs, ``host:port``.
        path: the request target, with its query.
        blocked: ``write`` would refuse: older bytes wait, or the link is closed.
        closed: no more messages come or go. What ``receive`` still returns came before.
        close_code: why it closed: what we or the peer sent, ``VANISHED`` when it just ended; 0 while open.
        close_reason: the same in words, for logs and ``on_leave``. It may be the peer's text: do not trust it.
        ended_by_peer: the peer asked to close, or vanished.
        lost: the socket is of no use any more, so no Close frame can be sent.
        over: set when ``closed`` becomes true; only the connection's own task waits for it.
        holding: frames are held back until the WebSocket library has dealt with an odd one before them.
        silence: 0 whenever something is read; whoever watches for dead peers counts it up.
    """

    __slots__ = (
        "_allowed",
        "_drained",
        "_draining",
        "_io",
        "_meter",
        "_nursery",
        "_odd_frames",
        "_parser",
        "_pending",
        "_queued_bytes",
        "_ready",
        "_rules",
        "_sock",
        "_special",
        "_to_library",
        "_watcher",
        "blocked",
        "close_code",
        "close_reason",
        "closed",
        "ended_by_peer",
        "holding",
        "lost",
        "over",
        "path",
        "remote",
        "silence",
    )

    def __init__(
        self,
        sock: socket.socket,
        remote: str,
        path: str,
        nursery: trio.Nursery,
        allowed: Limits,
        rules: LinkRules = GAME_RULES,
    ) -> None:
        self.remote = remote
        self.silence = 0
        self._allowed = allowed
        self._meter: Meter | None = None
        self.path = path
        self.blocked = False
        self.closed = False
        self.close_code = 0
        self.close_reason = ""
        self.ended_by_peer = False
        self.lost = False
        self.holding = False
        self._nursery = nursery
        self._sock = sock
        self._io = transport(sock)
        self._rules = rules
        self._parser = FrameParser(masked=True, max_payload_bytes=rules.message_bytes)
        self._special = False  # receive() must look closer: messages are ready, frames are held, or it is closed
        self._ready: list[bytes] = []
        self._odd_frames: OddFrameCounter | None = None
        self._pending = bytearray()  # bytes taken but not sent: the rest of one frame, then whole frames
        self._queued_bytes = 0  # how many of them are reliable messages
        self._draining = False
        self._drained: trio.Event | None = None
        self.over = trio.Event()
        self._to_library: Callable[[OddFrame], None] | None = None
        self._watcher: Watcher | None = None

    def __repr__(self) -> str:
        state = f"closed {self.close_code}" if self.closed else "open"
        return f"<Link {self.remote} {self.path} {state}>"

    def fileno(self) -> int:
        """The socket's descriptor, -1 when the connection is over."""
        return self._sock.fileno()

    @property
    def dropped_messages(self) -> int:
        """How many inputs were thrown away because the peer sent too many."""
        return self._meter.dropped if self._meter is not None else 0

    @property
    def pending_bytes(self) -> int:
        """How many bytes were taken but could not be sent yet."""
        return len(self._pending)

    # ---- reading

    def receive(self) -> list[bytes]:
        """The messages that have arrived, in order; never waits, never raises.

        Reads at most ``RECEIVE_BYTES`` from the kernel, so call it again at the next tick, not in a loop.
        """
        if self._special:
            return self._receive_specially()
        try:
            data = self._io.recv(USUAL_BYTES)
            if len(data) == USUAL_BYTES:
                data = self._read_on(data)
        except OSError as error:
            self._failed(error)
            return []
        if not data:
            self._cut_off(VANISHED, "the peer vanished")
            return []
        self.silence = 0
        payloads = self._parser.feed(data)
        if self._parser.stop is not None:
            payloads = self._go_on(payloads)
        if len(payloads) > 1 or len(data) >= USUAL_BYTES:
            return self._metered(payloads, len(data))
        return payloads

    def _metered(self, payloads: list[bytes], size_bytes: int) -> list[bytes]:
        """Those of the messages of one read that the peer may send; too many end the link."""
        now = trio.current_time()
        if self._meter is None:
            self._meter = Meter(self._allowed, now)
        try:
            return self._meter.admit(payloads, size_bytes, now)
        except ProtocolError as error:
            self._end(error.code, error.reason)
            return []

    def _read_on(self, data: bytes) -> bytes:
        """``data``, and what the kernel holds besides, up to ``RECEIVE_BYTES`` in all."""
        try:
            return data + self._io.recv(RECEIVE_BYTES - USUAL_BYTES)
        except OSError:
            return data  # nothing more, or an error that the next read meets again

    def _receive_specially(self) -> list[bytes]:
        ready, self._ready = self._ready, []
        self._special = self.closed or self.holding
        if self._is_garbled and not self.closed:
            if ready:
                self._postpone_end()
            else:
                self._go_on([])
        return ready

    @property
    def _is_garbled(self) -> bool:
        """Whether what the peer sends is beyond repair."""
        return isinstance(self._parser.stop, ProtocolError)

    def _postpone_end(self) -> None:
        """Let the owner answer what came before the garbage; the link ends at the next ``receive``."""
        self._special = True
        if self._watcher is not None:
            self._watcher.wake(self)

    def _failed(self, error: OSError) -> None:
        """A system call did not work: perhaps not now, otherwise never again."""
        if not isinstance(error, NOT_NOW):
            if isinstance(error, ssl.SSLError):  # its errno is a number of OpenSSL's
                name = error.reason or type(error).__name__
            else:
                name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            self._cut_off(VANISHED, f"the connection broke: {name}")

    def _failed_to_send(self, error: OSError) -> None:
        """The same for a write. A peer that is gone may have said goodbye before: who leaves is not one who is lost."""
        if not isinstance(error, NOT_NOW) and not (self.closed or self.lost or self.holding):
            self.lost = True  # nothing that is found now is answered
            try:
                data = self._io.recv(RECEIVE_BYTES)
            except OSError:
                data = b""
            if data:
                self._ready += self._go_on(self._parser.feed(data))
                self._special = True
        self._failed(error)

    def _go_on(self, payloads: list[bytes]) -> list[bytes]:
        """Deal with what stopped the parser, and with what comes behind, as far as that is possible now."""
        while (stop := self._parser.stop) is not None:
            try:
                if isinstance(stop, ProtocolError):
                    if payloads or self._ready:
                        self._postpone_end()
                        break
                    raise stop
                if self._is_held(stop):
                    break
            except ProtocolError as error:
                self._end(error.code, error.reason)
                break
            payloads += self._parser.feed(b"")
        return payloads

    def _is_held(self, frame: OddFrame) -> bool:
        """Whether frames behind ``frame`` must wait until the library has dealt with it.

        Raises:
            ProtocolError: when the frame costs the peer its connection.
        """
        if frame.opcode == CLOSE:
            code, reason = parse_close(frame.payload())
            self.ended_by_peer = True
            self._end(code, reason)
        else:
            now = trio.current_time()
            if self._odd_frames is None:
                self._odd_frames = OddFrameCounter(now, self._rules)
            self._odd_frames.admit(frame, now)
            if frame.opcode == PONG:
                return False  # we send no pings through the library, so it has no use for pongs
        self.holding = self._special = True
        if self._to_library is not None:
            self._to_library(frame)
        return True

    # ---- writing

    def write(self, frame: bytes) -> bool:
        """Send ready-made WebSocket frames (one or more, whole) now or not at all.

        Returns:
            False when the peer cannot take it now: nothing was written and nothing is kept, so make a fresher one
            later. True when it was taken; a rest that the kernel had no room for is sent as soon as it has.
        """
        if self.blocked:
            return False
        try:
            sent = self._io.send(frame)
        except TLS_UNFINISHED:
            sent = 0
        except OSError as error:
            self._failed_to_send(error)
            self._start_draining()
            return False
        if sent != len(frame):
            self._pending += memoryview(frame)[sent:]
            self._start_draining()
        return True

    def send_frames(self, frames: bytes) -> None:
        """Send ready-made WebSocket frames that must not be dropped: they wait behind what waits already.

        When more than the rules' ``queue_bytes`` of them wait, the link closes with ``CloseCode.TOO_SLOW``.
        Nothing happens on a closed link.
        """
        if self.closed:
            return
        self.put(frames)
        if self._pending:
            self._queued_bytes = min(self._queued_bytes + len(frames), len(self._pending))
            if self._queued_bytes > self._rules.queue_bytes:
                self._end(CloseCode.TOO_SLOW, "too many unread messages")

    def put(self, data: bytes | bytearray) -> bool:
        """Send whole frames (or the upgrade's answer) behind what waits, even while closing; False if the link is lost.

        For messages there is ``send_frames``: this has no bound of its own.
        """
        if self.lost:
            return False
        sent = 0
        if not self._pending:
            try:
                sent = self._io.send(data)
            except OSError as error:
                self._failed_to_send(error)
        if sent != len(data) and not self.lost:
            self._pending += memoryview(data)[sent:]
            self._start_draining()
        return not self.lost

    def _start_draining(self) -> None:
        """Have a task wait for the socket. It is also what notices a peer that takes nothing at all."""
        if not self._draining and not self.lost:
            self._draining = self.blocked = True
            self._nursery.start_soon(self._drain)

    async def _drain(self) -> None:
        """Send what waits. On cancellation the rest stays queued, so a frame is never lost in its middle."""
        self._draining = True
        try:
            with trio.move_on_after(STUCK_SECONDS) as patience:
                while not self.lost:
                    await trio.lowlevel.wait_writable(self._sock)
                    if self._flush():
                        patience.deadline = trio.current_time() + STUCK_SECONDS
                    if not self._pending:
                        break
            if patience.cancelled_caught:
                self._cut_off(CloseCode.TOO_SLOW, "the peer reads nothing")
        except trio.ClosedResourceError:
            pass  # the connection's task closed the socket while we waited
        finally:
            self._draining = False
            self.blocked = self.closed or bool(self._pending)
            if not self.blocked and self._watcher is not None:
                self._watcher.wake(self)  # a room that sleeps may have newer state for it
            if self._drained is not None:
                self._drained.set()

    def _flush(self) -> bool:
        """Offer the kernel what waits; whether it took some."""
        if not self._pending:
            return True
        try:
            sent = self._io.send(self._pending)
        except OSError as error:
            self._failed_to_send(error)
            return False
        del self._pending[:sent]
        self._queued_bytes = min(self._queued_bytes, len(self._pending))
        return True

    async def until_flushed(self) -> None:
        """Wait until nothing is pending or the link is lost. Cancelling it loses nothing."""
        while self._pending:
            if self._draining:
                if self._drained is None or self._drained.is_set():
                    self._drained = trio.Event()
                await self._drained.wait()
            else:
                await self._drain()

    # ---- closing

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close: messages that wait go out, then a Close frame; later calls change nothing.

        The closing handshake takes at most ``limits.CLOSE_SECONDS`` and needs nothing from the owner of the link.
        """
        if not self.closed:
            self._ready = []
            self._end(code, reason)

    def ping(self) -> None:
        """Ask for a sign of life. Any answer counts: a pong, a message, an acknowledgement of the kernel's."""
        if not self.closed:
            self.put(ping_frame())

    def give_up(self, reason: str) -> None:
        """End it without a closing handshake: the peer is dead."""
        if not self.closed:
            self._cut_off(VANISHED, reason)

    def _end(self, code: int, reason: str) -> None:
        if self.closed:
            return
        self.closed = self.blocked = self._special = True
        self.close_code = int(code)
        self.close_reason = reason
        self.over.set()
        if self._watcher is not None:
            self._watcher.release(self)

    def _cut_off(self, code: int, reason: str) -> None:
        """End it without a closing handshake."""
        self.ended_by_peer = self.ended_by_peer or (code == VANISHED and not self.closed)
        self.lost = True
        self._pending = bytearray()
        if self._drained is not None:
            self._drained.set()
        self._end(code, reason)

    # ---- for the other modules of gameserver.net

    def attach(self, watcher: Watcher) -> None:
        """Tell ``watcher`` what the socket cannot tell."""
        self._watcher = watcher

    def detach(self) -> None:
        """Stop telling."""
        self._watcher = None

    @property
    def has_news(self) -> bool:
        """``receive`` has something to return, or ``closed`` something to say, without the socket."""
        return self.closed or bool(self._ready) or self._is_garbled

    def start(self, to_library: Callable[[OddFrame], None], rest: bytes) -> None:
        """The upgrade is done: odd frames go to ``to_library``; ``rest`` came in the same read as the request."""
        self._to_library = to_library
        self._ready = self._go_on(self._parser.feed(rest))
        self._special = self._special or bool(self._ready)

    def deliver(self, messages: list[bytes]) -> None:
        """Put ``messages`` behind those that ``receive`` will return next; they count as those of a read."""
        if messages:
            self._ready += self._metered(messages, 0)
            self._special = True

    def resume(self) -> None:
        """The library has dealt with the odd frame: go on with the frames that were held back."""
        self.holding = False
        self._special = self.closed or bool(self._ready)
        if not self.closed:
            self.deliver(self._go_on(self._parser.feed(b"")))
        if self._watcher is not None and not self.closed:
            self._watcher.wake(self)

    async def until_peer_closed(self) -> None:
        """Read and drop everything but a Close frame or EOF; returns when one of them came.

        After our Close only a Close counts (RFC 6455, 1.4), whatever else the peer had on its way. More of that than
        ``BYTES_BEHIND_CLOSE`` ends it too.
        """
        data = b""
        left_bytes = BYTES_BEHIND_CLOSE
        while not self.lost and left_bytes > 0:
            left_bytes -= len(data)
            self._parser.feed(data)
            while isinstance(stop := self._parser.stop, OddFrame):
                if stop.opcode == CLOSE:
                    return
                self._parser.feed(b"")
            if stop is not None:  # garbage, in which its Close cannot be found: EOF makes the peer hang up
                stop_sending(self._sock)
            await trio.lowlevel.wait_readable(self._sock)
            try:
                data = self._io.recv(RECEIVE_BYTES)
            except NOT_NOW:
                data = b""
            except OSError:
                return
            else:
                if not data:
                    return

    def finish(self) -> None:
        """The connection's task is about to close the socket: nobody may use it from now on."""
        self._cut_off(VANISHED, "the connection ended")
        self._to_library = None
        self._watcher = None
