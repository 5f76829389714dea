"""The browser's replica against ours: frames of a room with everything in it, and both hold the same after each."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gameprotocol import Kind, Replica, ReplicaTable, Welcome, message_kind, unpack_from_server
from gameserver import (
    Entity,
    Nearby,
    Room,
    State,
    Visible,
    angle,
    binary,
    boolean,
    fixed,
    float32,
    group,
    integer,
    owner,
    reference,
    text,
    uint,
    value,
)
from gameserver.testing import RoomTester
from tools.vectors.replicas import play_one

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "js"
#: Seeds of rooms; `TICKWIRE_SEEDS=200` for a long night.
SEEDS = range(int(os.environ.get("TICKWIRE_SEEDS", "4")))

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node: apt install nodejs"),
    pytest.mark.skipif(
        not (CLIENT / "node_modules" / "esbuild").exists(), reason="clients/js is not installed: make client-test"
    ),
]


class Ship(Entity):
    x = fixed(0, 1000, step=1 / 16)
    y = fixed(0, 1000, step=1 / 16)
    heading = angle(bits=9)
    speed = float32()
    depth = integer(12)
    burning = boolean()
    name = text(max_bytes=24)
    team = uint(2)
    ammo = uint(8, to=owner)
    note = text(max_bytes=20, to=owner)
    plan = uint(16, to=group("team"))


class Shot(Entity):
    x = fixed(0, 1000, step=1 / 4)
    y = fixed(0, 1000, step=1 / 4)
    shooter = reference(Ship)


class Crate(Entity):
    loot = value(max_bytes=64)
    seal = binary(max_bytes=8)
    worth = uint(32)


class Score(State):
    round = uint(16)
    leader = reference(Ship)


class Chaos(Room):
    """Does at random whatever a room can do to its world."""

    entities = (Ship, Shot, Crate)
    state = Score
    view = {Ship: Nearby(200), Shot: Nearby(200, of=Ship), Crate: Visible(lambda player, crates: crates.worth % 3 != 0)}

    def on_create(self) -> None:
        for _ in range(40):
            self.launch(None)

    def on_join(self, player: Any) -> None:
        player.groups["team"] = player.number % 2
        player.data = self.launch(player)

    def launch(self, player: Any) -> Ship:
        chance = self.random
        ship = self.world.spawn(
            Ship, x=chance.uniform(0, 1000), y=chance.uniform(0, 1000), name=f"s{chance.random():.3}"
        )
        if player is not None:
            ship.owner = player
        return ship

    def step(self, dt: float) -> None:
        chance, ships = self.random, self.world[Ship]
        ships.x = (ships.x + 900 * dt * (ships.x % 3 - 1)) % 1000
        ships.y[::2] += 3.3
        ships.y %= 1000
        ships.heading += 0.2
        for ship in [*ships]:
            luck = chance.random()
            if luck < 0.05:
                ship.name = "Zoë" * chance.randrange(3)
                ship.note = str(luck)
            elif luck < 0.1:
                ship.speed, ship.depth = luck * 1e5, chance.randrange(-2048, 2048)
                ship.burning, ship.ammo, ship.plan = luck < 0.07, chance.randrange(256), chance.randrange(65536)
            elif luck < 0.13:
                self.world.spawn(Shot, x=ship.x, y=ship.y, shooter=ship)
            elif luck < 0.15:
                self.world.spawn(Crate, worth=chance.randrange(2**32), loot={"gold": chance.random()}, seal=b"\x01\xff")
            elif luck < 0.17:
                ship.owner = chance.choice([*self.players])
            elif luck < 0.18 and all(player.data is not ship for player in self.players):
                self.world.despawn(ship)
                self.launch(None)
        for entity in (*self.world[Shot], *self.world[Crate]):
            if chance.random() < 0.1:
                self.world.despawn(entity)
        self.world.state.round = self.tick // 7
        self.world.state.leader = chance.choice([*ships]) if self.tick % 5 == 0 else self.world.state.leader


def played(seed: int) -> list[bytes]:
    """What one of three players was sent; now and then its link took nothing, so that ticks merged."""
    tester = RoomTester(Chaos, seed=seed, keep_bytes=True)
    players = [tester.join(name) for name in ("Ada", "Bob", "Cy")]
    for round_ in range(60):
        players[0].stalled = round_ % 7 in (3, 4)
        tester.ticks(1 + round_ % 3)
        if round_ % 13 == 0:
            players[1].player.watch((500.0, 500.0))
    players[0].stalled = False
    tester.ticks(3)
    return players[0].wire


def held_by_ours(messages: list[bytes]) -> list[dict[str, Any]]:
    """What our replica holds after each frame, in the words of `replay.mjs`."""
    lines: list[dict[str, Any]] = []
    replica: Replica | None = None
    for payload in messages:
        if message_kind(payload) == Kind.WELCOME:
            welcome = Welcome.from_items(unpack_from_server(payload))
            replica = Replica(welcome.read_schema(), welcome.player)
        elif message_kind(payload) == Kind.FRAME:
            assert replica is not None
            did: dict[str, Any] = play_one(replica, payload)
            line = {name: did[name] for name in ("in_sync", "changes", "tables")}
            known = [[table.known(name).astype(int).tolist() for name in names(table)] for table in replica.main_tables]
            lines.append({"tick": replica.tick, "hash": did["held_hash"], **line, "known": known})
    return lines


def names(table: ReplicaTable) -> list[str]:
    """Of all fields, private ones too."""
    return [field.name for field in table.schema.fields] + [*table._private]


def alike(mine: Any, other: Any) -> bool:
    """Equal, but for the last of 9 digits of numbers that are not whole, which the two languages round otherwise."""
    if isinstance(mine, float) and isinstance(other, (int, float)):
        return math.isclose(mine, other, rel_tol=1e-8)
    if isinstance(mine, list) and isinstance(other, list):
        return len(mine) == len(other) and all(map(alike, mine, other))
    if isinstance(mine, dict) and isinstance(other, dict):
        return mine.keys() == other.keys() and all(alike(mine[key], other[key]) for key in mine)
    return bool(mine == other)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_browsers_replica_holds_what_ours_holds(seed: int) -> None:
    messages = played(seed)
    ours = held_by_ours(messages)
    done = subprocess.run(
        ["node", "test/wire/replay.mjs"],
        cwd=CLIENT,
        input=json.dumps([message.hex() for message in messages]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    theirs = json.loads(done.stdout)
    assert len(theirs) == len(ours) > 80
    for mine, other in zip(ours, theirs, strict=True):
        assert alike(mine, other), mine["tick"]
    assert all(line["in_sync"] for line in theirs)
    assert any(line["changes"] for line in theirs)
