"""What bots do: they look at what they see and answer with an input. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

from gameprotocol import InputField, Replica, Schema

#: Ticks between two decisions; a person does not decide more often than five times a second either.
DECISION_TICKS: Final = 4


class Bot:
    """Plays one player. Subclasses decide.

    Args:
        schema: of the room.
        player: the bot's player number.
        seed: of the bot's generator, ``random``.

    Attributes:
        decision_ticks: ticks between two decisions; in between the last one is sent again.
    """

    decision_ticks = DECISION_TICKS

    def __init__(self, schema: Schema, player: int, seed: int) -> None:
        self.schema = schema
        self.player = player
        self.random = random.Random(seed)

    def decide(self, world: Replica | None) -> list[Any]:
        """The values of the next input, in the order of the room's input schema.

        Args:
            world: what the bot sees; None for a bot that holds no replica and plays blindly.
        """
        raise NotImplementedError


class RandomBot(Bot):
    """Presses random keys; plays any game. It holds each choice for a second or so, as people do."""

    def __init__(self, schema: Schema, player: int, seed: int) -> None:
        super().__init__(schema, player, seed)
        self._held: list[Any] = []
        self._left = 0

    def decide(self, world: Replica | None) -> list[Any]:
        if self._left <= 0:
            self._left = self.random.randint(1, 10)
            self._held = [self._any(field) for field in self.schema.input.fields] if self.schema.input else []
        self._left -= 1
        return self._held

    def _any(self, field: InputField) -> Any:
        low, high = field.low, field.high
        if field.type == "bool":
            return self.random.random() < 0.5
        if field.type == "float":
            return self.random.uniform(-1.0 if low is None else low, 1.0 if high is None else high)
        if field.type == "int":
            return self.random.randint(math.ceil(low or 0), math.floor(100 if high is None else high))
        return field.default


class ArenaBot(Bot):
    """Plays the bundled arena: turns to the nearest ship it sees, flies there, and shoots when it aims well."""

    _near, _aim = 220.0, 0.15  # world units; radians

    def __init__(self, schema: Schema, player: int, seed: int) -> None:
        super().__init__(schema, player, seed)
        self._blind = RandomBot(schema, player, seed)
        self._speed = 4.0 / self._aim  # how strongly it turns: full turn from an error of a quarter radian
        self._mood = self.random.uniform(0.5, 1.0)

    @staticmethod
    def plays(schema: Schema) -> bool:
        """Whether the room looks like the arena."""
        ship = next((table for table in schema.tables if table.name == "Ship"), None)
        wanted = {"x", "y", "heading", "hp", "owner"}
        inputs = [field.name for field in schema.input.fields] if schema.input else []
        return ship is not None and wanted <= {field.name for field in ship.fields} and inputs == _ARENA_INPUT

    def decide(self, world: Replica | None) -> list[Any]:
        if world is None:
            return self._blind.decide(None)
        ships = world["Ship"]
        mine = ships.column("owner") == self.player
        targets = ~mine & (ships.column("hp") > 0)
        if not mine.any() or not targets.any():
            return self._blind.decide(None)
        return self._hunt(ships.column("x"), ships.column("y"), float(ships.column("heading")[mine][0]), mine, targets)

    def _hunt(self, x: Any, y: Any, heading: float, mine: Any, targets: Any) -> list[Any]:
        dx, dy = x[targets] - x[mine][0], y[targets] - y[mine][0]
        distances = np.hypot(dx, dy)
        nearest = int(np.argmin(distances))
        error = (math.atan2(dy[nearest], dx[nearest]) - heading + math.pi) % math.tau - math.pi
        turn = max(-1.0, min(1.0, error * self._speed * self._mood / 8))
        far = float(distances[nearest]) > self._near
        return [turn, far and abs(error) < 1.0, abs(error) < self._aim * 2 and self.random.random() < self._mood]


_ARENA_INPUT: Final = ["turn", "thrust", "shoot"]


#: Makes a bot from the room's schema, its player number and a seed.
MakeBot: TypeAlias = Callable[[Schema, int, int], Bot]


def make_bot(schema: Schema, player: int, seed: int) -> Bot:
    """A bot that can play the room."""
    return ArenaBot(schema, player, seed) if ArenaBot.plays(schema) else RandomBot(schema, player, seed)
