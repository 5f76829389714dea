"""Frames of the server's own encoder."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from gameprotocol import _messages as messages
from gameserver.sync.frames import FrameMaker
from gameserver.sync.pacing import Pace
from gameserver.sync.sight import Sight
from gameserver.sync.viewer import NOTHING, Viewer
from gameserver.sync.views import Everyone
from gameserver.world.entity import Entity, State
from gameserver.world.fields import angle, binary, boolean, fixed, reference, text, uint, value
from gameserver.world.publish import PublishedWorld
from gameserver.world.world import World
from tools.vectors.replicas import play
from tools.vectors.topics import Json, topic

_WINDOW: Final = 3


class Ship(Entity):
    x = fixed(0, 4000, step=1 / 16)
    y = fixed(0, 4000, step=1 / 16)
    heading = angle(bits=10)
    hp = uint(8, default=100)
    shield = boolean()
    name = text(max_bytes=24)


class Bullet(Entity):
    x = fixed(0, 4000, step=1 / 16)
    shooter = reference(Ship)
    tag = binary(max_bytes=4)


class Match(State):
    phase = uint(8)
    scores = value(max_bytes=256)


class Recording:
    """A small game that is played by fixed rules, and the frames of one link."""

    def __init__(self) -> None:
        self.world = World((Ship, Bullet), Match)
        self.published = PublishedWorld(self.world)
        sight = Sight(self.published, self.world, Everyone())
        self.maker = FrameMaker(self.published, sight, hash_ticks=5, frame_header=lambda size: b"")
        self.tick = 0
        self.baseline = NOTHING
        self.steps: list[tuple[str, bytes]] = []

    def step(self) -> None:
        """Advance the game by one tick and publish it."""
        self.tick += 1
        tick, world = self.tick, self.world
        world.begin_step(tick)
        if tick == 1:
            world.spawn_many(Ship, 16, x=np.arange(16) * 100.0, y=50.0, name=[f"ship {n}" for n in range(16)])
            world.state.scores = {"Ann": 0}
        ships = world[Ship]
        ships.x += np.where(ships.ids % 2 == 0, 1.5, 0.0)
        ships.heading += 0.02 * (ships.ids % 5)
        if tick % 3 == 0:
            shooter = next(iter(ships))
            world.spawn(Bullet, x=shooter.x, shooter=shooter, owner=tick, tag=bytes([tick]))
        if tick == 6:
            ships.x[2] += 1000.0
            next(iter(ships)).name = "captain"
            world.state.scores["Ann"] += 1
        if tick == 8:
            world.despawn(next(iter(ships)))
            world.despawn_where(Bullet, world[Bullet].x < 10)
            world.state.phase = 2
        self.published.publish(tick)
        self.maker.begin_tick()

    def send(self, note: str, timed: bool = False) -> None:
        """Write the frame that the link gets now."""
        viewer = Viewer(1, Pace(20), 0)
        viewer._baseline = self.baseline
        body = self.maker.body(viewer)
        if timed:
            own = messages.frame_timed(self.tick, 12, 4000 + self.tick, 350, _WINDOW)
        else:
            own = messages.frame_untimed(self.tick, _WINDOW)
        self.steps.append((note, (body.timed_head if timed else body.untimed_head) + own + body.rest))
        self.baseline = self.tick


def _recorded_schema() -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = World((Ship, Bullet), Match).schema().to_wire()["tables"]
    return list(json.loads(json.dumps(tables)))


@topic("recorded-every-tick")
def recorded_every_tick() -> Json:
    """A link that takes every frame."""
    recording = Recording()
    for tick in range(1, 10):
        recording.step()
        recording.send(f"tick {tick}", timed=tick % 2 == 0)
    return play("What the server writes to a link that takes a frame every tick.", _recorded_schema(), recording.steps)


@topic("recorded-skipped")
def recorded_skipped() -> Json:
    """A link that cannot take some, and asks for a full frame once."""
    recording = Recording()
    for tick in range(1, 80):
        recording.step()
        if tick == 75:
            recording.baseline = NOTHING
        if tick in (2, 3, 5, 9, 74, 75, 76):
            recording.send(f"tick {tick}")
    note = (
        "What the server writes to a link that skips ticks: merged deltas, a full frame past 64 ticks and on request."
    )
    return play(note, _recorded_schema(), recording.steps)
