"""Rooms that the pages under test join."""

from __future__ import annotations

import math

import numpy as np

from gameserver import Entity, Input, Nearby, Player, Room, angle, fixed, handles, integer, local, owner, text

WIDTH = 4000.0  # of all these worlds, in units


class Walker(Entity):
    x = fixed(0, WIDTH, step=1 / 16)
    y = fixed(0, WIDTH, step=1 / 16)
    name = text(max_bytes=40)
    secret = text(max_bytes=60, to=owner)


class Walk(Input):
    right: bool = False


class Walking(Room):
    """Players walk to the right, and see what is within 300 units.

    Options of a player: ``x``, where it begins, and ``secret``, which nobody else may ever be sent.
    """

    tick_rate = 20
    entities = (Walker,)
    input = Walk
    view = {Walker: Nearby(300)}
    allow_reconnection = 20.0  # seconds

    def on_join(self, player: Player) -> None:
        x, secret = float(player.options.get("x", 1000)), str(player.options.get("secret", ""))
        player.data = self.world.spawn(Walker, owner=player, x=x, y=1000, name=player.name, secret=secret)

    def on_leave(self, player: Player, reason: str) -> None:
        self.world.despawn(player.data)

    @handles("go to")
    def go_to(self, player: Player, x: float) -> float:
        player.data.x = x
        return x

    @handles("say")
    def say(self, player: Player, words: str) -> None:
        self.broadcast("said", [player.name, words])

    def step(self, dt: float) -> None:
        for player, walk in self.inputs:
            player.data.x = min(WIDTH - 1, player.data.x + 100 * walk.right * dt)


class Mover(Entity):
    x = fixed(0, WIDTH, step=1 / 16)
    y = fixed(0, WIDTH, step=1 / 16)
    heading = angle(bits=8)
    vx, vy = local(float), local(float)


class Crowd(Room):
    """A thousand entities, all of which move in every tick and now and then turn."""

    tick_rate = 20
    entities = (Mover,)
    count = 1000

    def on_create(self) -> None:
        for _ in range(self.count):
            heading = self.random.uniform(0, math.tau)
            x, y = self.random.uniform(0, WIDTH), self.random.uniform(0, WIDTH)
            vx, vy = 120 * math.cos(heading), 120 * math.sin(heading)
            self.world.spawn(Mover, x=x, y=y, heading=heading, vx=vx, vy=vy)

    def step(self, dt: float) -> None:
        movers = self.world[Mover]
        movers.x = (movers.x + movers.vx * dt) % WIDTH
        movers.y = (movers.y + movers.vy * dt) % WIDTH
        movers.heading = (movers.heading + 0.05) % math.tau


class Leaf(Entity):
    x = fixed(0, WIDTH, step=1 / 16)
    age = integer(16)
    label = text(max_bytes=40)


class Leaves(Room):
    """Hundreds of entities that come and go all the time, each with a text of its own, much faster than in a game."""

    tick_rate = 120
    entities = (Leaf,)

    def step(self, dt: float) -> None:
        leaves = self.world[Leaf]
        leaves.age += 1
        leaves.x = (leaves.x + 1) % WIDTH
        self.world.despawn_where(Leaf, np.asarray(leaves.age > 60))
        for number in range(4):
            self.world.spawn(Leaf, x=self.random.uniform(0, WIDTH), label=f"leaf {self.tick} {number}")
        if self.tick % 10 == 0:
            self.broadcast("wind", {"tick": self.tick, "words": ["blows"] * 10})
