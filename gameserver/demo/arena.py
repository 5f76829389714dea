"""Arena: ships turn, thrust and shoot among drifting asteroids; the bundled game, and the first example to read.

Everything that players see is declared in four classes. ``step`` moves whole columns at once (numpy) and looks at
single entities only where something happens to them.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from gameserver import (
    Entity,
    Input,
    Meta,
    Player,
    Room,
    State,
    Table,
    angle,
    boolean,
    fixed,
    handles,
    local,
    reference,
    text,
    uint,
)

WORLD = 2000.0  # width and height, in world units; the edges wrap
TURN = 4.0  # radians per second
THRUST = 340.0  # units per second, each second
DRAG = 0.7  # share of its speed that a ship keeps over a second
SHIP_RADIUS, BULLET_RADIUS = 14.0, 3.0
BULLET_SPEED, BULLET_SECONDS = 520.0, 1.2
RELOAD_SECONDS, RESPAWN_SECONDS = 0.25, 2.0
ASTEROIDS, CLEARANCE = 24, 160.0
ROUND_SECONDS = 180.0


class Ship(Entity):
    x = fixed(0, WORLD, step=1 / 16)
    y = fixed(0, WORLD, step=1 / 16)
    heading = angle(bits=8)
    thrusting = boolean()
    hp = uint(8, default=100)
    score = uint(16)
    name = text(max_bytes=24)
    vx, vy = local(float), local(float)  # units per second
    reload = local(float)  # seconds until it may shoot again
    respawn = local(float)  # seconds until it is back, while hp is 0


class Bullet(Entity):
    x = fixed(0, WORLD, step=1 / 16)
    y = fixed(0, WORLD, step=1 / 16)
    shooter = reference(Ship)
    vx, vy = local(float), local(float)
    left = local(float)  # seconds it has to live


class Asteroid(Entity):
    x = fixed(0, WORLD, step=1 / 16)
    y = fixed(0, WORLD, step=1 / 16)
    radius = uint(8)
    hp = uint(8)
    vx, vy = local(float), local(float)


class Match(State):
    round = uint(16, default=1)
    seconds_left = uint(16, default=int(ROUND_SECONDS))
    leader = reference(Ship)


class Steer(Input):
    turn: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    thrust: bool = False
    shoot: bool = False


class Arena(Room):
    tick_rate = 20
    entities = (Ship, Bullet, Asteroid)
    state = Match
    input = Steer
    allow_reconnection = 20.0  # seconds; the ship drifts on meanwhile
    max_spectators = 100
    page = "arena_page"

    def on_create(self) -> None:
        for _ in range(ASTEROIDS):
            self.spawn_asteroid()

    def on_join(self, player: Player) -> None:
        x, y = self.somewhere()
        ship = self.world.spawn(Ship, owner=player, name=player.name or f"player {player.number}", x=x, y=y)
        player.data = ship

    def on_leave(self, player: Player, reason: str) -> None:
        self.world.despawn(player.data)

    @handles("chat")
    def chat(self, player: Player, text: str) -> None:
        self.broadcast("chat", [player.name, text[:200]])

    def step(self, dt: float) -> None:
        ships, bullets, asteroids = self.world[Ship], self.world[Bullet], self.world[Asteroid]
        for player, steer in self.inputs:
            self.steer(player.data, steer, dt)
        ships.vx *= DRAG**dt
        ships.vy *= DRAG**dt
        for table in (ships, bullets, asteroids):
            table.x = (table.x + table.vx * dt) % WORLD
            table.y = (table.y + table.vy * dt) % WORLD
        ships.reload -= dt
        bullets.left -= dt
        self.world.despawn_where(Bullet, bullets.left <= 0)
        self.collide(ships, bullets, asteroids)
        self.revive(ships, dt)
        self.keep_time(ships)

    def steer(self, ship: Ship, steer: Steer, dt: float) -> None:
        if ship.hp == 0:
            return
        ship.heading = heading = (ship.heading + steer.turn * TURN * dt) % math.tau
        ship.thrusting = steer.thrust
        dx, dy = math.cos(heading), math.sin(heading)
        if steer.thrust:
            ship.vx += dx * THRUST * dt
            ship.vy += dy * THRUST * dt
        if steer.shoot and ship.reload <= 0:
            ship.reload = RELOAD_SECONDS
            x, y = (ship.x + dx * SHIP_RADIUS) % WORLD, (ship.y + dy * SHIP_RADIUS) % WORLD
            vx, vy = ship.vx + dx * BULLET_SPEED, ship.vy + dy * BULLET_SPEED
            self.world.spawn(Bullet, owner=ship.owner, shooter=ship, x=x, y=y, vx=vx, vy=vy, left=BULLET_SECONDS)

    def collide(self, ships: Table[Ship], bullets: Table[Bullet], asteroids: Table[Asteroid]) -> None:
        for i, j in touching(bullets, ships, BULLET_RADIUS + SHIP_RADIUS):
            ship = ships.at(j)
            if bullets.alive[i] and ship.hp > 0 and bullets.at(i).owner is not ship.owner:
                self.hurt(ship, 20, bullets.at(i).shooter)
                self.world.despawn(bullets.at(i))
        for i, j in touching(bullets, asteroids, asteroids.radius):
            if bullets.alive[i] and asteroids.alive[j]:
                self.crack(asteroids.at(j), bullets.at(i).shooter)
                self.world.despawn(bullets.at(i))
        for i, j in touching(ships, asteroids, asteroids.radius + SHIP_RADIUS):
            if ships.hp[i] > 0 and asteroids.alive[j]:
                self.crack(asteroids.at(j), None)
                self.hurt(ships.at(i), 40, None)

    def hurt(self, ship: Ship, amount: int, by: Ship | None) -> None:
        ship.hp = max(0, ship.hp - amount)
        if ship.hp == 0:
            ship.thrusting = False
            ship.respawn = RESPAWN_SECONDS
            if by is not None:
                by.score += 10
                by.owner.send("hit", ship.name)
            ship.owner.send("destroyed", by.name if by is not None else None)

    def crack(self, asteroid: Asteroid, by: Ship | None) -> None:
        asteroid.hp -= 1
        if asteroid.hp > 0:
            return
        if by is not None:
            by.score += 1
        if asteroid.radius > 20:  # two halves; a small one is replaced by a new large one elsewhere
            for _ in range(2):
                self.spawn_asteroid(asteroid.radius // 2, asteroid.x, asteroid.y)
        elif len(self.world[Asteroid]) <= ASTEROIDS:
            self.spawn_asteroid()
        self.world.despawn(asteroid)

    def revive(self, ships: Table[Ship], dt: float) -> None:
        wrecks = ships.hp == 0
        ships.respawn[wrecks] -= dt
        for row in np.flatnonzero(wrecks & (ships.respawn <= 0) & ships.alive):
            ship = ships.at(row)
            ship.x, ship.y = self.somewhere()
            ship.vx = ship.vy = 0.0
            ship.hp = 100

    def keep_time(self, ships: Table[Ship]) -> None:
        match, ticks = self.world.state, round(ROUND_SECONDS / self.dt)
        match.seconds_left = math.ceil((ticks - self.tick % ticks) * self.dt)
        if self.tick % ticks == 0:  # a new round begins
            if match.leader is not None:
                self.broadcast("round over", [match.round, match.leader.name, match.leader.score])
            match.round += 1
            ships.score[:] = 0
        match.leader = ships.at(np.argmax(ships.score)) if len(ships) and ships.score.max() > 0 else None

    def somewhere(self) -> tuple[float, float]:
        """A place that asteroids leave free, if a few tries find one."""
        asteroids = self.world[Asteroid]
        for _ in range(8):
            x, y = self.random.uniform(0, WORLD), self.random.uniform(0, WORLD)
            if (np.hypot(asteroids.x - x, asteroids.y - y) > CLEARANCE).all():
                break
        return x, y

    def spawn_asteroid(self, radius: int = 48, x: float | None = None, y: float | None = None) -> None:
        far_x, far_y = self.somewhere()
        angle, speed = self.random.uniform(0, math.tau), self.random.uniform(20, 90)
        self.world.spawn(
            Asteroid,
            x=far_x if x is None else x,
            y=far_y if y is None else y,
            radius=radius,
            hp=1 + radius // 16,
            vx=math.cos(angle) * speed,
            vy=math.sin(angle) * speed,
        )


def touching(some: Table[Any], others: Table[Any], reach: Any) -> list[tuple[int, int]]:
    """Pairs of rows that are nearer than ``reach`` (a number, or one for each of ``others``), by a sweep along x."""
    if not len(some) or not len(others):
        return []
    reach = np.broadcast_to(reach, others.x.shape)
    order = np.argsort(some.x)
    first = np.searchsorted(some.x[order], others.x - reach)
    counts = np.searchsorted(some.x[order], others.x + reach, side="right") - first
    j = np.repeat(np.arange(len(counts)), counts)
    i = order[np.arange(len(j)) - np.repeat(np.cumsum(counts) - counts - first, counts)]
    near = np.hypot(some.x[i] - others.x[j], some.y[i] - others.y[j]) < reach[j]
    return list(zip(i[near].tolist(), j[near].tolist(), strict=True))
