"""The server that is attacked: two rooms, one of which tells what the process holds, run by the real command line."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

import trio

from gameserver import Entity, Input, Meta, Player, Room, fixed, text
from tests.bench import process

ROOT = Path(__file__).parents[2]


class Ship(Entity):
    x = fixed(0, 1000, step=1 / 16)
    name = text(max_bytes=24)


class Steer(Input):
    turn: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    thrust: bool = False


class Busy(Room):
    """Where honest players are: everything moves. A message ``census`` is answered with what the process holds.

    When the server drains it goes on until its last player has left.
    """

    tick_rate = 20
    entities = (Ship,)
    input = Steer
    draining = False

    def on_drain(self, seconds: float) -> None:
        self.draining = True
        self.broadcast("draining", seconds)
        self._end_when_empty(0)

    def on_join(self, player: Player) -> None:
        player.data = self.world.spawn(Ship, owner=player, name=player.name[:24], x=500)

    def on_leave(self, player: Player, reason: str) -> None:
        self.world.despawn(player.data)
        self._end_when_empty(1)

    def _end_when_empty(self, leaving: int) -> None:
        if self.draining and self.player_count <= leaving:
            self.close()

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        if kind == "census":
            player.send("census", census())

    def step(self, dt: float) -> None:
        for player, steer in self.inputs:
            player.data.x = (player.data.x + 10 * steer.turn) % 1000
        ships = self.world[Ship]
        ships.x = (ships.x + 40 * dt) % 1000


class Other(Busy):
    """Where no honest players are."""


class Small(Busy):
    """Thousands may be in rooms of it."""

    tick_rate = 5
    max_players = 100


def census() -> dict[str, int]:
    """What this process holds: trio tasks, descriptors and KiB of resident memory, garbage collected before."""
    gc.collect()
    return {
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "resident_kib": process.resident_kib(os.getpid()),
    }


class Victim:
    """``gameserver run`` in a process of its own, on a free port. A context manager that ends it.

    Args:
        folder: where its log goes.
        settings: of the server, given in its environment.

    Attributes:
        port: where it listens. log: what it wrote to stderr so far is there.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        self.log = folder / "server.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
        given = {f"TICKWIRE_{name.upper()}": str(value) for name, value in settings.items()}
        rooms = [f"{room.lower()}=tests.hostile.victim:{room}" for room in ("Busy", "Other", "Small")]
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gameserver", "run", *rooms, "--port", "0"],
                cwd=ROOT,
                env=kept | {"PYTHONUNBUFFERED": "1"} | given,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.port = self._read_port()

    def _read_port(self) -> int:
        assert self.process.stdout is not None
        port = 0
        for line in self.process.stdout:
            found = re.search(r":(\d+)/busy", line)
            port = int(found[1]) if found else port
            if "Ctrl-C" in line:
                return port
        raise RuntimeError(f"the server did not start: {self.log.read_text()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def url(self, room: str) -> str:
        """Of a room."""
        return f"ws://127.0.0.1:{self.port}/{room}"

    def terminate(self) -> None:
        """SIGTERM: it begins to drain."""
        self.process.send_signal(signal.SIGTERM)

    def complaints(self) -> list[str]:
        """Lines of its log that tell of a defect."""
        return [line for line in self.log.read_text().splitlines() if "Traceback" in line or " ERROR " in line]
