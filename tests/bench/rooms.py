"""The rooms that are measured: the work of the rivals' ``server.mjs``, as an author would write it for a big room."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np

from gameserver import Entity, Input, Meta, Nearby, Player, Room, angle, fixed, local, owner, text, uint

WORLD = 4000.0
SPEED = 200.0  # units per second; each ship has between half of it and all of it


class Ship(Entity):
    x = fixed(0, WORLD, step=1 / 16)
    y = fixed(0, WORLD, step=1 / 16)
    heading = angle(bits=8)
    hp = uint(8, default=100)
    score = uint(16)
    name = text(max_bytes=24)
    turn = local(float)
    speed = local(float)
    aim = local(float)
    vx = local(float)
    vy = local(float)


class Keys(Input):
    up: bool = False
    down: bool = False
    left: bool = False
    right: bool = False
    aim: Annotated[float, Meta(ge=-1, le=1)] = 0.0  # parts of half a turn


class Full200(Room):
    """200 ships, each moving in every tick, all seen by all."""

    ships: ClassVar[int] = 200
    ship: ClassVar[type[Ship]] = Ship
    size: ClassVar[float] = WORLD
    tick_rate = 20
    entities: ClassVar[Any] = (Ship,)
    input = Keys
    inputs_per_tick = 2  # two may come between two ticks; the rival lets the last one count too
    seed = 12345
    pause_when_empty = False

    def on_create(self) -> None:
        count, random = self.ships, np.random.default_rng(self.random.getrandbits(64))
        self.world.spawn_many(
            self.ship,
            count,
            x=random.uniform(0, self.size, count),
            y=random.uniform(0, self.size, count),
            aim=random.uniform(0, math.tau, count),
            turn=random.uniform(-0.5, 0.5, count),
            speed=SPEED * random.uniform(0.5, 1.0, count),
            name=[f"bot-{i}" for i in range(count)],
        )
        self.dice = random

    def on_join(self, player: Player) -> None:
        player.data = player.number % self.ships

    def step(self, dt: float) -> None:
        ships = self.world[self.ship]
        ships.aim += ships.turn * dt
        vx, vy = np.cos(ships.aim), np.sin(ships.aim)
        if self.inputs:
            wishes = [
                (player.data, keys.right - keys.left, keys.down - keys.up, keys.aim) for player, keys in self.inputs
            ]
            rows, right, down, aim = np.array(wishes).T
            rows = rows.astype(int)
            ships.aim[rows] = aim * math.pi
            vx[rows], vy[rows] = np.where((right == 0) & (down == 0), 1, right), down
        ships.x = (ships.x + vx * ships.speed * dt) % self.size
        ships.y = (ships.y + vy * ships.speed * dt) % self.size
        ships.heading[:] = ships.aim
        hurt = self.dice.random(len(ships)) < 0.01
        ships.hp[hurt] = np.where(ships.hp[hurt] > 1, ships.hp[hurt] - 1, 100)


class Full50(Full200):
    """The same with 50 ships."""

    ships = 50


class EchoMin(Full200):
    """One ship: what a frame costs that says almost nothing."""

    ships = 1


class Aoi1000(Full200):
    """1000 ships of which each client sees those within 300 units of its own."""

    ships = 1000
    view: ClassVar[Any] = Nearby(300)

    def on_join(self, player: Player) -> None:
        super().on_join(player)
        self.world[self.ship].at(player.data).owner = player


class Aoi1000Radius150(Aoi1000):
    """The same with a quarter of the area in view."""

    view: ClassVar[Any] = Nearby(150)


class Aoi1000Radius600(Aoi1000):
    """The same with four times the area in view."""

    view: ClassVar[Any] = Nearby(600)


class FarShip(Ship):
    x = fixed(0, 4 * WORLD, step=1 / 4)
    y = fixed(0, 4 * WORLD, step=1 / 4)


class Aoi10000(Aoi1000):
    """Ten times as many ships, on ten times the area."""

    ships = 10_000
    size = WORLD * math.sqrt(10)
    ship = FarShip
    entities = (FarShip,)


class ArmedShip(Ship):
    ammo = uint(16, to=owner)
    fuel = uint(16, to=owner)


class Score(Entity):
    points = uint(16)
    name = text(max_bytes=24)


class AoiPrivate(Aoi1000):
    """The same, and two fields of each ship that its owner alone sees, one of which changes in every tick; and a score
    board of 20 rows that all see, one of which changes in every tick.
    """

    ship = ArmedShip
    entities = (ArmedShip, Score)
    view: ClassVar[Any] = {ArmedShip: Nearby(300)}

    def on_create(self) -> None:
        super().on_create()
        self.world.spawn_many(Score, 20, name=[f"team {i}" for i in range(20)])

    def step(self, dt: float) -> None:
        super().step(dt)
        ships, scores = self.world[ArmedShip], self.world[Score]
        ships.ammo[:] = (ships.ids + self.tick) % 1000
        scores.points[self.tick % len(scores)] += 1


class Publish10000(Full200):
    """10 000 ships."""

    ships = 10_000
