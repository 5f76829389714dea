"""A bot that plays the bundled arena well: it leads its targets, and keeps out of the way of asteroids. Pure.

What a ship sees is a few hundred numbers, and a load test has hundreds of ships: so a bot looks at all that is around
it at once, with numpy, and at single ones only when it has chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gamebots.bots import Bot, Decision
from gameprotocol import Replica, ReplicaTable, Schema
from gameprotocol._fields import Angle, Fixed, Owner, Uint

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

# Rules of the game that its schema does not tell; units, seconds and radians.
_TICK_SECONDS: Final = 1 / 20
_TURN: Final = 4.0
_THRUST: Final = 340.0
_BULLET_SPEED, _BULLET_SECONDS = 520.0, 1.2
_MUZZLE: Final = 14.0  # from the middle of a ship, which is also its radius
_HIT: Final = 17.0  # a bullet nearer than this to a ship's middle hits it
_FASTEST: Final = 900.0  # what seems faster has not flown but come back somewhere else

# How it plays.
_KEEP: Final = 260.0  # nearer to its target than this it does not fly on
_CRUISE: Final = 240.0  # units per second; faster than this it does not fly on
_FORESIGHT: Final = 1.2  # seconds in which it sees a collision coming
_CLEARANCE: Final = 10.0  # units of free space that it wants to have around it
_TURNING: Final = 230.0  # so many units nearer is worth turning by a right angle
_WOUNDED: Final = 1.5  # so many units nearer is worth a point of health that the target has lost
_ROCKS: Final = 150.0  # so many units nearer than a ship an asteroid must be
_REACTION: Final = 0.1  # seconds until a decision shows: the way to the server, and its next tick

#: How many units farther away a ship is worth by its hp, an asteroid by its radius: wrecks are worth nothing.
_SHIP_COSTS: Final = np.array([math.inf, *(_WOUNDED * hp for hp in range(1, 256))])
_ROCK_COSTS: Final = np.array([_ROCKS + _WOUNDED * 100 - radius for radius in range(256)])

_INPUT: Final = ["turn", "thrust", "shoot"]
_FIELDS: Final[dict[str, dict[str, type]]] = {
    "Ship": {"x": Fixed, "y": Fixed, "heading": Angle, "hp": Uint, "owner": Owner},
    "Asteroid": {"x": Fixed, "y": Fixed, "radius": Uint},
}
_NOTHING: Final = (0.0, False, False)


class ArenaBot(Bot):
    """Plays the bundled arena. Without a replica it presses random keys."""

    def __init__(self, schema: Schema, player: int, seed: int) -> None:
        super().__init__(schema, player, seed)
        self._keep = _KEEP * self.random.uniform(0.7, 1.3)  # not all ships do the same
        self._ships, self._rocks = _Sight(schema, "Ship"), _Sight(schema, "Asteroid")
        self._hp, self._owner, self._heading = (self._ships.index[name] for name in ("hp", "owner", "heading"))
        self._radians = self._ships.unit("heading")
        self._radius = self._rocks.index["radius"]
        self._ship = 0  # the id of its own
        self._tick = 0
        self._thrusting = False

    @staticmethod
    def plays(schema: Schema) -> bool:
        """Whether the room looks like the arena."""
        tables = {table.name: {field.name: field for field in table.fields} for table in schema.tables}
        inputs = [field.name for field in schema.input.fields] if schema.input else []
        return inputs == _INPUT and all(
            isinstance(tables.get(table, {}).get(name), kind)
            for table, fields in _FIELDS.items()
            for name, kind in fields.items()
        )

    def on_frame(self, world: Replica) -> Decision:
        seconds, self._tick = (world.tick - self._tick) * _TICK_SECONDS, world.tick
        if seconds <= 0:
            return None  # nothing new
        ships, rocks = world["Ship"], world["Asteroid"]
        self._ships.look(ships)
        self._rocks.look(rocks)
        self._find_own(ships)
        if not self._ship or not ships.integers[self._hp, self._ship]:
            self._thrusting = False
            return _NOTHING
        scene = self._scene(ships, rocks, seconds)
        turn, self._thrusting, shoot = self._flee(scene) or self._hunt(scene, ships, seconds)
        return turn, self._thrusting, shoot

    def _find_own(self, ships: ReplicaTable) -> None:
        owners = ships.integers[self._owner]
        if not (ships.holds(self._ship) and owners[self._ship] == self.player):
            mine = ships.ids[owners[ships.ids] == self.player]
            self._ship = int(mine[0]) if len(mine) else 0

    def _scene(self, ships: ReplicaTable, rocks: ReplicaTable, seconds: float) -> _Scene:
        """All around it as its pilot sees it."""
        heading = float(ships.integers[self._heading, self._ship]) * self._radians
        vx, vy = self._ships.speed(self._ship, seconds)
        if self._thrusting:  # it is faster now than it was on the way here
            vx += math.cos(heading) * _THRUST * seconds / 2
            vy += math.sin(heading) * _THRUST * seconds / 2
        now = np.concatenate((self._ships.places(ships.ids), self._rocks.places(rocks.ids)), axis=1, dtype=np.float64)
        hp = ships.integers[self._hp].take(ships.ids)
        hp[ships.ids.searchsorted(self._ship)] = 0
        return _Scene(
            heading=heading,
            speed=(vx, vy),
            places=self._ships.offsets(now, self._ships.place(self._ship)),
            rock_speeds=self._rocks.speeds(rocks.ids, seconds) - ((vx,), (vy,)),
            hp=hp,
            radius=rocks.integers[self._radius].take(rocks.ids),
        )

    def _flee(self, scene: _Scene) -> tuple[float, bool, bool] | None:
        """Out of the way of an asteroid that would hit it; None when none would."""
        way = scene.way_out()
        if way is None:
            return None
        error = turned(way - scene.heading)
        return self._turn(error), abs(error) < 1.0, True

    def _hunt(self, scene: _Scene, ships: ReplicaTable, seconds: float) -> tuple[float, bool, bool]:
        """Towards a target, and shoot when the nose points to where it will be."""
        column = scene.target()
        if column is None:
            return _NOTHING
        is_ship = column < len(scene.hp)
        if is_ship:
            vx, vy = self._ships.speed(int(ships.ids[column]), seconds)
            vx, vy, width = vx - scene.speed[0], vy - scene.speed[1], _HIT
        else:
            vx, vy = scene.rock_speeds[:, column - len(scene.hp)].tolist()
            width = float(scene.radius[column - len(scene.hp)])
        x, y = scene.places[:, column].tolist()
        x, y = x + vx * _REACTION, y + vy * _REACTION
        flight = flight_seconds(x, y, vx, vy)
        error = turned(math.atan2(y + vy * flight, x + vx * flight) - scene.heading)
        distance = flight * _BULLET_SPEED + _MUZZLE
        far = distance > self._keep and math.hypot(*scene.speed) < _CRUISE
        shoot = flight < _BULLET_SECONDS and abs(error) < max(0.06, 0.9 * width / distance)
        return self._turn(error), far and abs(error) < 0.7, shoot

    def _turn(self, error: float) -> float:
        """How to turn, so that the error is gone at the next decision."""
        return max(-1.0, min(1.0, error / (_TURN * _TICK_SECONDS * self.decision_ticks)))


@dataclass(slots=True)
class _Scene:
    """What a pilot sees. Ships come first, then asteroids, each a column of the arrays.

    Attributes:
        heading: where the nose points, in radians. speed: of its own ship, x and y, in units per second.
        places: x and y of all, seen from the pilot. rock_speeds: of asteroids, seen from the pilot.
        hp: of ships; 0 for wrecks, and for its own. radius: of asteroids.
    """

    heading: float
    speed: tuple[float, float]
    places: Floats
    rock_speeds: Floats
    hp: Integers
    radius: Integers

    def way_out(self) -> float | None:
        """Where to fly to miss the asteroid that would be hit first, in radians; None when none would be."""
        if not len(self.radius):
            return None
        (x, y), (vx, vy) = self.places[:, len(self.hp) :], self.rock_speeds
        closing = (x * vx + y * vy) / (vx * vx + vy * vy + 1.0)
        when = np.minimum(np.maximum(-closing, 0.0), _FORESIGHT)
        x, y = x + vx * when, y + vy * when
        hits = (np.hypot(x, y) < self.radius + (_MUZZLE + _CLEARANCE)).nonzero()[0]
        if not len(hits):
            return None
        first = hits[when[hits].argmin()]
        return math.atan2(-y[first], -x[first])

    def target(self) -> int | None:
        """The column of what is best shot at; None when there is nothing."""
        if self.places.shape[1] < 2:
            return None
        x, y = self.places
        distance = np.hypot(x, y)
        distance += 1.0  # its own is 0
        ahead = x * (math.cos(self.heading) * _TURNING) + y * (math.sin(self.heading) * _TURNING)
        ahead /= distance
        cost = distance - ahead
        cost[: len(self.hp)] += _SHIP_COSTS.take(self.hp, mode="clip")
        cost[len(self.hp) :] += _ROCK_COSTS.take(self.radius, mode="clip")
        best = int(cost.argmin())
        return best if cost[best] < math.inf else None


class _Sight:
    """Where the rows of a table are, and how fast they move since the last look.

    Attributes:
        index: of fields, by name.
    """

    def __init__(self, schema: Schema, table: str) -> None:
        self._fields = next(found for found in schema.tables if found.name == table).fields
        self.index = {field.name: index for index, field in enumerate(self._fields)}
        self._xy = [self.index["x"], self.index["y"]]
        self._size = float(self._fields[self.index["x"]].highest)  # of the world, in integers of its places
        self._unit = self.unit("x")
        self._now = self._before = np.zeros((2, 0), np.int64)  # by id

    def unit(self, name: str) -> float:
        """What one integer of a field stands for."""
        field = self._fields[self.index[name]]
        return float(field.to_value(1) - field.to_value(0))

    def look(self, table: ReplicaTable) -> None:
        """Take in a new state."""
        self._before, self._now = self._now, table.integers[self._xy]
        if self._before.shape != self._now.shape:  # the table has grown
            self._before = self._now

    def place(self, id: int) -> Integers:
        """x and y of one row, as integers; a column."""
        return self._now[:, id, None]

    def places(self, ids: Integers) -> Integers:
        """x and y of rows, as integers."""
        return self._now.take(ids, axis=1)

    def offsets(self, places: Floats, origin: Integers) -> Floats:
        """``places`` seen from ``origin``, by the short way around the world, in units; ``places`` is overwritten."""
        places -= origin
        places -= np.rint(places * (1 / self._size)) * self._size
        places *= self._unit
        return places

    def speeds(self, ids: Integers, seconds: float) -> Floats:
        """In units per second; 0 for what was not there at the last look, which was ``seconds`` ago."""
        speeds = self.offsets(self.places(ids).astype(np.float64), self._before.take(ids, axis=1))
        speeds *= 1 / seconds
        speeds *= np.hypot(speeds[0], speeds[1]) < _FASTEST
        return speeds

    def speed(self, id: int, seconds: float) -> tuple[float, float]:
        """The same of one row."""
        x, y = (self._now[:, id] - self._before[:, id]).tolist()
        half, size, unit = self._size / 2, self._size, self._unit / seconds
        vx, vy = ((x + half) % size - half) * unit, ((y + half) % size - half) * unit
        return (vx, vy) if math.hypot(vx, vy) < _FASTEST else (0.0, 0.0)


def turned(angle: float) -> float:
    """The short way around a circle: from -pi to pi."""
    return (angle + math.pi) % math.tau - math.pi


def flight_seconds(x: float, y: float, vx: float, vy: float) -> float:
    """How long a bullet flies until it meets what is at x, y and moves by vx, vy a second, seen from who shoots it.

    What is too fast to be met is taken for standing still.
    """
    a = vx * vx + vy * vy - _BULLET_SPEED**2
    b = x * vx + y * vy - _MUZZLE * _BULLET_SPEED
    c = x * x + y * y - _MUZZLE**2
    root = b * b - a * c
    if a >= 0 or root < 0:
        return math.sqrt(x * x + y * y) / _BULLET_SPEED
    return max(0.0, (-b - math.sqrt(root)) / a)
