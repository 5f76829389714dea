"""The rooms that are measured: the work of the rivals' ``server.mjs``, as an author would write it for a big room."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from gameserver import Entity, Input, Meta, Nearby, Player, Room, angle, fixed, local, text, uint

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

    ships = 200
    tick_rate = 20
    entities = (Ship,)
    input = Keys
    inputs_per_tick = 2  # two may come between two ticks; the rival lets the last one count too
    seed = 12345
    pause_when_empty = False

    def on_create(self) -> None:
        count, random = self.ships, np.random.default_rng(self.random.getrandbits(64))
        self.world.spawn_many(
            Ship,
            count,
            x=random.uniform(0, WORLD, count),
            y=random.uniform(0, WORLD, count),
            aim=random.uniform(0, math.tau, count),
            turn=random.uniform(-0.5, 0.5, count),
            speed=SPEED * random.uniform(0.5, 1.0, count),
            name=[f"bot-{i}" for i in range(count)],
        )
        self.dice = random

    def on_join(self, player: Player) -> None:
        player.data = player.number % self.ships

    def step(self, dt: float) -> None:
        ships = self.world[Ship]
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
        ships.x = (ships.x + vx * ships.speed * dt) % WORLD
        ships.y = (ships.y + vy * ships.speed * dt) % WORLD
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
    view: Any = Nearby(300)

    def on_join(self, player: Player) -> None:
        super().on_join(player)
        self.world[Ship].at(player.data).owner = player


class Publish10000(Full200):
    """10 000 ships."""

    ships = 10_000
