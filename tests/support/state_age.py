"""How old the state is that a client holds: a room that says when it was made, and a client that writes it down.

Server and client run on one machine and read one clock, so an age is exact. It holds everything: the wait for a link
that is busy, the way, and the client's next look.
"""

from __future__ import annotations

import fcntl
import math
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest import mock

import numpy as np
import trio

import gameclient
from gameserver import Entity, Room, State, angle, fixed, uint
from gameserver.net import Link
from gameserver.sync.pacing import Pace

#: How often a recording client looks for frames, in seconds.
LOOK_SECONDS = 0.002

_WORLD = 4000.0
_WRAP = 1 << 32


class Walker(Entity):
    x = fixed(0, _WORLD, step=1 / 16)
    y = fixed(0, _WORLD, step=1 / 16)
    heading = angle(bits=8)


class Made(State):
    """When the newest state was made."""

    clock_us = uint(32)


class Crowd(Room):
    """Walkers that all turn and move in every tick: about 1000 bytes a frame, 20 times a second.

    They move so far in a tick that a difference does not fit one byte. So a frame that covers several ticks is as large
    as one that covers a single tick.

    Attributes:
        moving: whether anything changes.
    """

    walkers = 200
    speed = 400.0  # units per second
    tick_rate = 20
    entities = (Walker,)
    state = Made
    seed = 7
    moving = True

    def on_create(self) -> None:
        x, y, heading = np.random.default_rng(self.random.getrandbits(64)).uniform(0, _WORLD, (3, self.walkers))
        self.world.spawn_many(Walker, self.walkers, x=x, y=y, heading=heading)

    def step(self, dt: float) -> None:
        if not self.moving:
            return
        walkers = self.world[Walker]
        walkers.heading += 2 * dt
        walkers.x = (walkers.x + np.cos(walkers.heading) * self.speed * dt) % _WORLD
        walkers.y = (walkers.y + np.sin(walkers.heading) * self.speed * dt) % _WORLD
        self.world.state.clock_us = clock_us()


class SmallSteps(Crowd):
    """The same in steps whose differences fit one byte, while those of several ticks do not: a link that is too slow
    for all frames has larger ones to carry, by two thirds.
    """

    walkers = 320
    speed = 100.0


def clock_us() -> int:
    """The machine's clock in microseconds, modulo 2**32; the same in all its processes."""
    return time.monotonic_ns() // 1000 % _WRAP


class Arrival(NamedTuple):
    """A frame that was applied.

    Attributes:
        at: when, in seconds. tick: the tick that it led to. full: it held everything.
        age: seconds since that tick was made; NaN in a room whose state does not say.
    """

    at: float
    tick: int
    full: bool
    age: float


class RecordingClient:
    """A player who does nothing but look, and acknowledge as every front end does.

    Args:
        target: of the room, as for `gameclient.open`.

    Attributes:
        session: its session. arrivals: the frames that it applied, in order.
    """

    def __init__(self, target: gameclient.TargetLike) -> None:
        self.session = gameclient.open(target, name="recorder")
        self.session.on_frame(self._note)
        self.arrivals: list[Arrival] = []
        self._looking = trio.Event()
        self._looking.set()

    def stall(self) -> None:
        """Stop looking: nothing is read and nothing acknowledged, as in a browser tab that is hidden."""
        self._looking = trio.Event()

    def resume(self) -> None:
        """Look again."""
        self._looking.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look until cancelled; started as soon as the player is in the room.

        Raises:
            RuntimeError: the connection has ended.
        """
        try:
            while not self.session.joined:
                await self._look()
            task_status.started()
            while True:
                await self._look()
        finally:
            self.session.close()

    async def _look(self) -> None:
        await self._looking.wait()
        self.session.pump()
        if self.session.closed:
            raise RuntimeError(f"the connection has ended: {self.session.close_code} {self.session.close_reason}")
        await trio.sleep(LOOK_SECONDS)

    def _note(self, frame: gameclient.FrameApplied) -> None:
        state = self.session.state
        age = (clock_us() - state.clock_us) % _WRAP / 1e6 if state is not None else math.nan
        self.arrivals.append(Arrival(time.monotonic(), frame.tick, frame.full, age))


def bytes_held(link: Link) -> int:
    """What this machine holds for a peer that has not taken it yet: the link's bytes and those in the kernel."""
    unsent = fcntl.ioctl(link.fileno(), termios.TIOCOUTQ, bytes(4))
    return link.pending_bytes + int.from_bytes(unsent, sys.byteorder)


@contextmanager
def unbounded_queue() -> Iterator[None]:
    """In this block servers of this process do what the real one avoids: they queue every tick's frame."""

    def queue(link: Link, frame: bytes) -> bool:
        taken = link.put(frame)
        link.blocked = link.closed  # not for what waits
        return taken

    with mock.patch.object(Link, "write", queue), mock.patch.object(Pace, "admits", return_value=True):
        yield
