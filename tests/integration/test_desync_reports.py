"""A replica that differs is reported by table and row, counted, and repaired by a full frame."""

from __future__ import annotations

from typing import Any

import pytest

from gameprotocol import Frame, Replica, Schema, encode_resync
from gameserver import Entity, Everyone, MaxRate, Nearby, Room, fixed, owner, uint
from tests.support.fake_links import FakeLink, HandTickedRoom


class Ship(Entity):
    x = fixed(0, 1000, step=1 / 16)
    y = fixed(0, 1000, step=1 / 16)
    hp = uint(8, default=100)
    ammo = uint(8, default=7, to=owner)


class Sea(Room):
    entities = (Ship,)
    tick_rate = 20

    def on_create(self) -> None:
        self.world.spawn_many(Ship, 40, x=[20.0 * at for at in range(40)], y=500.0)

    def on_join(self, player: Any) -> None:
        self.world[Ship].at(3).owner = player

    def step(self, dt: float) -> None:
        ships = self.world[Ship]
        ships.y = 500 + (ships.ids + self.tick) % 30


class Client:
    """Applies what its link is sent, and says when its hash differs, as clients do."""

    def __init__(self, link: FakeLink) -> None:
        self.link = link
        self.applied = 0
        self.replica: Replica | None = None
        self.resyncs = 0

    def pump(self) -> None:
        if self.replica is None:
            welcome = next(message for message in self.link.sent if message[0] == 2)
            self.replica = Replica(Schema.from_wire(welcome[1]["schema"]), welcome[1]["player"])
        frames = self.link.frames()
        for message in frames[self.applied :]:
            frame = Frame.from_items(message)
            self.replica.apply(frame)
            if not self.replica.check(frame):
                self.resyncs += 1
                found, digests = self.replica.hash(), self.replica.digests()
                self.link.bring(encode_resync(frame.header.tick, frame.hash or 0, found, digests))
        self.applied = len(frames)


@pytest.mark.parametrize("table", ["Ship", "Ship@owner"])
@pytest.mark.parametrize(
    ("view", "rate"),
    [(Everyone(), None), (Nearby(200), None), (Everyone(), MaxRate(bytes=50_000)), (Nearby(200), MaxRate(bytes=9_000))],
    ids=["everyone", "nearby", "everyone capped", "nearby capped"],
)
def test_a_row_that_differs_is_named_counted_and_repaired(
    view: Any, rate: MaxRate | None, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    room_class = type("Sea", (Sea,), {"view": view, "max_rate": rate})
    with HandTickedRoom(room_class("sea")) as sea:
        client = Client(sea.join())
        for _ in range(5):
            sea.tick()
            client.pump()
        assert client.replica is not None
        wrong = next(held for held in client.replica.tables if held.schema.name == table)
        wrong.integers[-1, 4] += 1  # hp, or ammo, of the player's own ship
        for _ in range(45):
            sea.tick()
            client.pump()
        assert client.resyncs == 1
        assert (sea.room.stats.desyncs, sea.room.stats.resyncs) == (1, 1)
        (said,) = [record.getMessage() for record in caplog.records if "out of step" in record.getMessage()]
        assert f"{table}: one or more of 1 rows, 4" in said
        assert client.replica.tables[0].integers[-1, 4] == 100
        assert wrong.integers[-1, 4] == (100 if table == "Ship" else 7)


def test_a_row_that_should_not_be_there_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    with HandTickedRoom(Sea("sea")) as sea:
        client = Client(sea.join())
        sea.tick()
        client.pump()
        assert client.replica is not None
        client.replica.tables[1].put_whole(*_row_of_nobody())
        for _ in range(25):
            sea.tick()
            client.pump()
        assert "Ship@owner: rows that it should not have" in caplog.text
        assert client.replica.tables[1].ids.tolist() == [4]


def _row_of_nobody() -> tuple[Any, Any]:
    import numpy as np

    return np.array([9]), [5]
