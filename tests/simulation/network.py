"""A simulated network: socket pairs with a task between them that carries bytes late, slowly, in pieces or not at all.

Socket pairs show at once what was written to them, so with a virtual clock nothing here depends on real time. One task
moves everything, in steps of a few milliseconds.
"""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import trio

from tests.simulation.plan import CLEAN, Conditions, Direction

#: Between two moves of the network, in seconds: least and most.
STEP_SECONDS: Final = (0.003, 0.02)


class SeveredError(Exception):
    """A pipe has carried all that it was to carry."""


class Pipe:
    """One direction of a cable.

    Attributes:
        ended: the source has nothing more, and the sink knows.
        stalled_until: when bytes move again, in seconds.
        swallows: what is taken never arrives.
        cut_at: after how many landed bytes the cable is cut; None for never.
        landed: bytes so far.
    """

    def __init__(self, source: socket.socket, sink: socket.socket, conditions: Conditions, dice: random.Random) -> None:
        self.ended = False
        self.stalled_until = 0.0
        self.swallows = False
        self.cut_at: int | None = None
        self.landed = 0
        self.sink = sink
        self.conditions = conditions
        self._usual = conditions
        self._usual_from = 0.0
        self._source = source
        self._dice = dice
        self._queue: deque[tuple[float, bytes]] = deque()  # when due, and what; b"" is the end
        self._queued_bytes = 0
        self._free_at = 0.0
        self._source_ended = False

    def change(self, until: float, conditions: Conditions) -> None:
        """Other conditions for a while, in seconds of the clock."""
        self.conditions, self._usual_from = conditions, until

    def heal(self) -> None:
        """Good conditions from now on."""
        self.stalled_until = self._usual_from = 0.0
        self.conditions = self._usual = CLEAN
        self._queue = deque((0.0, data) for _, data in self._queue)
        self._free_at = 0.0

    def end(self) -> None:
        """This direction ends here and now; the other one goes on."""
        if not self.ended:
            self.ended = True
            shut(self.sink)

    def move(self, now: float) -> None:
        """Take what the source has and land what is due.

        Raises:
            SeveredError: the cable is to be cut.
            OSError: the sink takes nothing any more.
        """
        if now < self.stalled_until or self.ended:
            return
        if self.conditions is not self._usual and now >= self._usual_from:
            self.conditions = self._usual
        if not self._source_ended:
            self._take(now)
        if self._queue:
            self._land(now)

    def _take(self, now: float) -> None:
        conditions = self.conditions
        while self._queued_bytes < conditions.capacity_bytes:
            try:
                data = self._source.recv(conditions.piece_bytes)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            self._source_ended = not data
            if self.swallows:
                if not data:
                    return
                continue
            self._free_at = max(self._free_at, now) + len(data) / conditions.bytes_per_second
            due = self._free_at + conditions.latency + conditions.jitter * self._dice.random()
            earliest = self._queue[-1][0] if self._queue else 0.0
            self._queue.append((max(due, earliest), data))
            self._queued_bytes += len(data)
            if not data:
                return

    def _land(self, now: float) -> None:
        while self._queue and self._queue[0][0] <= now:
            due, data = self._queue[0]
            if not data:
                self.end()
                return
            wanted = data if self.cut_at is None else data[: max(0, self.cut_at - self.landed)]
            try:
                sent = self.sink.send(wanted) if wanted else 0
            except BlockingIOError:
                return
            self.landed += sent
            self._queued_bytes -= sent
            if self.cut_at is not None and self.landed >= self.cut_at:
                raise SeveredError
            if sent < len(data):
                self._queue[0] = (due, data[sent:])
            else:
                self._queue.popleft()


class Cable:
    """A connection between a client and the server.

    Attributes:
        up, down: from the client, and to it. open: false when both ends are closed.
        resets: cutting it loses what is on its way.
    """

    def __init__(
        self, client_side: socket.socket, server_side: socket.socket, conditions: Conditions, dice: random.Random
    ) -> None:
        self.up = Pipe(client_side, server_side, conditions, dice)
        self.down = Pipe(server_side, client_side, conditions, dice)
        self.open = True
        self.resets = False
        self._sides = (client_side, server_side)

    def pipes(self, direction: Direction) -> list[Pipe]:
        """One or both."""
        return [pipe for name, pipe in (("up", self.up), ("down", self.down)) if direction in (name, "both")]

    def move(self, now: float) -> None:
        """Let time pass."""
        try:
            for pipe in (self.up, self.down):
                pipe.move(now)
        except (SeveredError, OSError):
            self.close(drain=not self.resets)
        if self.up.ended and self.down.ended:
            self.close(drain=True)

    def heal(self) -> None:
        """Good conditions, unless bytes were lost: then it is over."""
        if self.open and any(pipe.swallows or pipe.cut_at is not None or pipe.ended for pipe in (self.up, self.down)):
            self.close(drain=False)
        for pipe in (self.up, self.down):
            pipe.heal()

    def close(self, *, drain: bool) -> None:
        """End both sides. A socket pair that is closed on unread bytes is reset, otherwise the stream just ends."""
        for side in self._sides if self.open else ():
            if drain:
                read_away(side)
            side.close()
        self.open = False


class SimulatedAddress:
    """Where a client finds the room: every ``open_socket`` is a new cable. A `gameclient` local target."""

    def __init__(self, path: str, open_socket: Callable[[], socket.socket]) -> None:
        self.path = path
        self.open_socket = open_socket


class Network:
    """All cables.

    Args:
        serve: gives a connected socket to the server; None once there is no server any more.
        dice: decides about jitter and steps.
    """

    def __init__(self, serve: Callable[[socket.socket], None], dice: random.Random) -> None:
        self.serve: Callable[[socket.socket], None] | None = serve
        self._dice = dice
        self._healed = False
        self.cables: list[Cable] = []

    def connect(self, conditions: Conditions, send_buffer_bytes: int) -> tuple[socket.socket, Cable]:
        """A client's socket and the cable from there to the server."""
        ours, served = pair()
        served.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        assert self.serve is not None, "the server has stopped"
        self.serve(served)
        client, client_side = pair()
        cable = Cable(client_side, ours, CLEAN if self._healed else conditions, self._dice)
        self.cables.append(cable)
        return client, cable

    async def run(self) -> None:
        """Carry bytes for ever. Cancellation: nothing moves any more."""
        while True:
            await trio.sleep(self._dice.uniform(*STEP_SECONDS))
            now = trio.current_time()
            for cable in self.cables:
                cable.move(now)
            self.cables = [cable for cable in self.cables if cable.open]

    def heal(self) -> None:
        """No faults from now on."""
        self._healed = True
        for cable in self.cables:
            cable.heal()


def slowed(conditions: Conditions, bytes_per_second: float) -> Conditions:
    """The same with another rate."""
    return replace(conditions, bytes_per_second=bytes_per_second)


def shredded(conditions: Conditions) -> Conditions:
    """The same in tiny pieces."""
    return replace(conditions, piece_bytes=7, capacity_bytes=max(conditions.capacity_bytes, 4096))


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected non-blocking sockets."""
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


def shut(sock: socket.socket) -> None:
    """End what is written to a socket."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other end is closed


def read_away(sock: socket.socket) -> None:
    """Drop what a socket holds."""
    try:
        while sock.recv(1 << 16):
            pass
    except OSError:
        pass  # it is empty, or was reset
