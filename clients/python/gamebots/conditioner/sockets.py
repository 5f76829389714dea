"""A client's socket at the end of a conditioned link, inside the client's own process: no proxy, no task, no thread.

It is asked and never waits. Whoever drives it calls ``pump`` when the kernel has something, and when ``pump`` said that
something is due; with nobody to do so, each ``recv`` pumps.
"""

from __future__ import annotations

import math
import random
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol

from gamebots.conditioner.pipe import make_pipes
from gamebots.conditioner.profiles import Direction, LinkProfile

#: What is waiting for the client to read it, at most; then nothing more is taken from the kernel.
READY_BYTES: Final = 262_144
#: Asked of the kernel for the bytes in front of a narrow place: what comes in so many seconds, within bounds. A kernel
#: that takes 128 KiB and more off a server's hands would be a queue that nobody asked for. It doubles the figure.
RECEIVE_SECONDS: Final = 0.02
LEAST_RECEIVE_BYTES: Final = 4096
MOST_RECEIVE_BYTES: Final = 65536
#: Segments as on a thin line. Loopback's own have up to 64 kB; as long as the next one is larger than the free part of
#: a small buffer, Linux takes the line for dead although bytes go through, and cuts it after TCP_USER_TIMEOUT.
SEGMENT_BYTES: Final = 536

_READ_BYTES: Final = 65536
_NOT_NOW: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _TakesOptions(Protocol):
    """A socket, the standard library's or trio's."""

    @property
    def family(self) -> int: ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def narrow_receiving(sock: _TakesOptions, direction: Direction) -> None:
    """Keep the kernel from holding more for us than a link with a narrow place would; before the socket connects.

    Does nothing for a link without such a place.
    """
    if not direction.narrow:
        return
    wanted = MOST_RECEIVE_BYTES
    if direction.share is not None:
        wanted = LEAST_RECEIVE_BYTES  # how little it will be is learned later
    elif direction.rate < math.inf:
        wanted = int(min(MOST_RECEIVE_BYTES, max(LEAST_RECEIVE_BYTES, direction.rate * RECEIVE_SECONDS)))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
    if sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_MAXSEG"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)


class ConditionedSocket:
    """What a `gameclient.ClientLink` needs of a socket, with a link's pipes between it and the kernel's.

    Args:
        sock: connected and not blocking; with TLS already on it when there is some.
        profile: what the link is like.
        dice: all chance comes from it.
        clock: seconds.

    The connection stands when this is made, and on loopback that took no time. So that connecting takes as long as it
    would, the first bytes leave a round trip later, and with TLS two.

    Attributes:
        up, down: the pipes, with what they counted.
    """

    def __init__(
        self,
        sock: socket.socket,
        profile: LinkProfile,
        dice: random.Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        now = clock()
        self.up, self.down = make_pipes(profile, dice, now)
        self.up.hold_until(now + profile.round_trip * (2 if isinstance(sock, ssl.SSLSocket) else 1))
        self._sock = sock
        self._clock = clock
        self._ready = bytearray()  # has come down and waits for `recv`
        self._unsent = bytearray()  # has come up and the kernel had no room
        self._down_done = False  # the end of what comes, or an error, has been read
        self._error: OSError | None = None  # what the kernel said, for when everything before it has been read

    def __repr__(self) -> str:
        return f"<ConditionedSocket {self._sock!r}>"

    def fileno(self) -> int:
        """The kernel's socket; -1 when closed."""
        return self._sock.fileno()

    @property
    def ready(self) -> bool:
        """Whether `recv` has something to give: bytes, the end, or an error."""
        return bool(self._ready) or self.down.ended

    def recv(self, most_bytes: int) -> bytes:
        """What has arrived; empty at the end of the stream.

        Raises:
            BlockingIOError: nothing has.
            OSError: the connection broke, and everything before that has been read.
        """
        ready = self._ready
        if not ready:
            self.pump(self._clock())
        if ready:
            data = bytes(ready[:most_bytes])
            del ready[:most_bytes]
            return data
        if not self.down.ended:
            raise BlockingIOError
        if self._error is not None:
            raise self._error
        return b""

    def send(self, data: bytes | bytearray) -> int:
        """Put as much on its way as there is room for; how many bytes.

        Raises:
            BlockingIOError: there is no room.
            OSError: the connection broke.
        """
        if self.down.ended and self._error is not None:
            raise self._error
        now = self._clock()
        room = self.up.room(now)
        if not room or self._unsent:
            self._send_up(now)
            if self._unsent or not (room := self.up.room(now)):
                raise BlockingIOError
        self.up.push(bytes(data[:room]), now)
        if self.up.next_at <= now:
            self._send_up(now)
        return min(room, len(data))

    def pump(self, now: float) -> float:
        """Move what is due, both ways.

        Returns:
            When to pump again, in seconds of the clock, besides whenever the kernel has something to read: ``now`` when
            `recv` has something to give, ``inf`` when nothing is on its way.
        """
        self._send_up(now)
        if not self._down_done:
            self._take_from_kernel(now)
        if self.down.next_at <= now and len(self._ready) < READY_BYTES:
            self._ready += self.down.pull(now)
        if self.ready:
            return now
        return min(self._next_up(now), self.down.next_at)

    def close(self) -> None:
        """Close the kernel's socket. Closing cannot wait: what is still on its way up leaves at once."""
        if self._sock.fileno() >= 0 and not self._error:
            self._unsent += self.up.drain()
            try:
                if self._unsent:
                    self._sock.send(self._unsent)
            except OSError:
                pass  # full, or broken: then it is lost, as it would be on a real line
        self._unsent.clear()
        self._sock.close()

    # -- kernel

    def _next_up(self, now: float) -> float:
        """When something goes to the kernel, or there is room to read on."""
        next_at = self.up.next_at
        if self._unsent:
            next_at = now + RECEIVE_SECONDS  # the kernel is full, and nobody watches for writability
        if not self._down_done and (room_at := self.down.room_at(now)) > now:
            next_at = min(next_at, room_at)
        return next_at

    def _send_up(self, now: float) -> None:
        if self.up.next_at <= now and not self._unsent:
            self._unsent += self.up.pull(now)
        if not self._unsent:
            return
        try:
            sent = self._sock.send(self._unsent)
        except _NOT_NOW:
            return
        except OSError as error:
            self._break(error, now)
            return
        del self._unsent[:sent]

    def _take_from_kernel(self, now: float) -> None:
        """Read until the kernel has no more, or the pipe has no room; TLS may hold bytes that no selector sees."""
        down = self.down
        while (room := down.room(now)) and len(self._ready) < READY_BYTES:
            try:
                data = self._sock.recv(min(room, _READ_BYTES))
            except _NOT_NOW:
                return
            except OSError as error:
                self._break(error, now)
                return
            if not data:
                self._down_done = True
                down.end(now)
                return
            down.push(data, now)

    def _break(self, error: OSError, now: float) -> None:
        """The connection is gone; the client hears of it behind what is on its way."""
        self._unsent.clear()
        self.up.drain()
        self._error = self._error or error
        if not self._down_done:
            self._down_done = True
            self.down.end(now)


class Conditioner:
    """Puts a link with one profile between clients and their sockets: for ``wrap`` of `gameclient.ClientLink`.

    Args:
        profile: what each of the links is like.
        dice: all chance comes from it; each link gets a generator of its own.
        clock: seconds.
    """

    def __init__(self, profile: LinkProfile, dice: random.Random, clock: Callable[[], float] = time.monotonic) -> None:
        self._profile = profile
        self._dice = dice
        self._clock = clock

    def prepare(self, sock: socket.socket) -> None:
        """Set what must be set before the socket connects."""
        narrow_receiving(sock, self._profile.down)

    def __call__(self, sock: socket.socket) -> ConditionedSocket:
        return ConditionedSocket(sock, self._profile, random.Random(self._dice.getrandbits(64)), self._clock)
