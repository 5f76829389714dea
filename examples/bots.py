"""Bots of your own for load tests: what one does in the game, and what all do with their connections.

Start the arena, then let 100 of them play it::

    gameserver run
    gamebots run ws://127.0.0.1:8765/arena --count 100 --bot examples/bots.py:Gunner --scenario examples/bots.py
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gamebots.bots import Bot, Decision
from gamebots.scenarios import Join, Leave, Play, Scenario, Script, Until, Wait
from gameprotocol import Replica


class Gunner(Bot):
    """Turns to the nearest ship and shoots at it; says something when it was destroyed."""

    decision_ticks = 2  # decides with every second input; what is between repeats it

    def on_frame(self, world: Replica) -> Decision:
        ships = world["Ship"]
        x, y, alive = ships.column("x"), ships.column("y"), ships.column("hp") > 0
        mine = ships.column("owner") == self.player
        if not (mine & alive).any() or not (alive & ~mine).any():
            return {}  # all fields have their defaults: it does nothing
        dx, dy = x - x[mine], y - y[mine]
        nearest = np.where(alive & ~mine, np.hypot(dx, dy), np.inf).argmin()
        wanted = math.atan2(dy[nearest], dx[nearest])
        error = (wanted - ships.column("heading")[mine][0] + math.pi) % math.tau - math.pi
        return {"turn": np.clip(4 * error, -1, 1), "shoot": abs(error) < 0.1}

    def on_message(self, kind: str, payload: Any) -> None:
        if kind == "destroyed":
            self.send("chat", self.random.choice(["good shot", "again!", "lag..."]))


class LunchBreak(Scenario):
    """Every second bot leaves in the middle of the measured time, and is back as a new player four seconds later."""

    def script(self, bot: int) -> Script:
        yield Wait(self.arrival(bot))
        yield Join()
        if bot % 2:
            yield Until(0.5)
            yield Leave()
            yield Wait(4.0)
            yield Join()
        yield Play()
