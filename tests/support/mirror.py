"""A world, what is published of it, and a replica per baseline, without a room: one function call is one tick."""

from __future__ import annotations

from typing import Any

import numpy as np

from gameprotocol import Frame, Replica, unpack_from_server
from gameprotocol import _messages as messages
from gameserver.sync.frames import FrameMaker
from gameserver.sync.pacing import Pace
from gameserver.sync.sight import Sight
from gameserver.sync.viewer import NOTHING, Viewer
from gameserver.sync.views import Everyone
from gameserver.world.entity import Entity, State
from gameserver.world.publish import PublishedWorld
from gameserver.world.world import World


class Mirror:
    """Publishes a world and sends it to replicas.

    Attributes:
        payload: the last frame's message, header included.
    """

    def __init__(self, *types: type[Entity], state: type[State] | None = None, hash_ticks: int = 1 << 30) -> None:
        self.world = World(types, state)
        self.published = PublishedWorld(self.world)
        self.frames = make_frames(self.published, self.world, hash_ticks)
        self.replica = Replica(self.world.schema())
        self.tick = 0
        self.payload = b""

    def publish(self, ticks: int = 1) -> None:
        """Pass so many ticks in which nothing but what happened before is published."""
        for _ in range(ticks):
            self.world.begin_step(self.tick + 1)
            self.tick += 1
            self.published.publish(self.tick)
            self.frames.begin_tick()

    def frame_from(self, baseline: int) -> bytes:
        """The message that leads from ``baseline`` to now."""
        body = self.frames.body(viewer_at(baseline))
        return body.timed_head + messages.frame_timed(1, 0, 0, 0, 0) + body.rest

    def chunks_from(self, baseline: int) -> list[Any]:
        """The decoded chunks of that message."""
        return Frame.from_items(unpack_from_server(self.frame_from(baseline))).chunks

    def send(self, replica: Replica | None = None) -> list[Any]:
        """Bring a replica (the mirror's own by default) to the present, and check that it is right; what it changed."""
        replica = self.replica if replica is None else replica
        self.payload = self.frame_from(replica.tick or NOTHING)
        changes = replica.apply(Frame.from_items(unpack_from_server(self.payload)))
        for table, held in zip(self.published.tables, replica.tables, strict=True):
            assert table.ids.tolist() == held.ids.tolist()
            assert np.array_equal(table.integers[:, table.ids], held.integers[:, held.ids])
            assert table.hash() == held.hash()
        return changes

    def tick_and_send(self) -> int:
        """`publish` and `send`; the bytes of the message."""
        self.publish()
        self.send()
        return len(self.payload)

    def integers(self, index: int, name: str) -> list[int]:
        """What is published of one field of the table at ``index``, by ascending id."""
        table = self.published.tables[index]
        at = [kind.name for kind in table.kinds].index(name)
        return [int(number) for number in table.integers[at, table.ids]]


def make_frames(published: PublishedWorld, world: World, hash_ticks: int) -> FrameMaker:
    """A maker of frames, without WebSocket headers, for a world that everyone sees."""
    return FrameMaker(published, Sight(published, world, Everyone()), hash_ticks, lambda size: b"")


def viewer_at(baseline: int) -> Viewer:
    """A viewer that was last written ``baseline``, or `NOTHING`."""
    viewer = Viewer(1, Pace(20), 0)
    viewer._baseline = baseline
    return viewer
