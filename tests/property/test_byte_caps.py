"""Players with a cap on bytes hold nothing but what they may see; their own is never stale, and all comes in time."""

from __future__ import annotations

from typing import Any

import pytest

from gameprotocol import Frame, Replica
from gameserver import MaxRate
from tests.property.test_views import Card, Mine, Ship, Theatre, pick, write
from tests.support.fake_links import FakeLink

TICKS = 100


class CappedTheatre(Theatre):
    """The same hall. What a replica holds may be older than the frame, so it is compared in another way."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.bytes_sent: dict[FakeLink, int] = {}

    def check_frames(self, link: FakeLink, player: Any, may_see: dict[str, dict[int, dict[str, Any]]]) -> None:
        replica = self.replicas.setdefault(link, self.new_replica(link))
        frames = link.frames()
        new = frames[self.applied.get(link, 0) :]
        self.applied[link] = len(frames)
        for message in new:
            self.bytes_sent[link] = self.bytes_sent.get(link, 0) + len(link.last_bytes)
            self.check_leaks(link, player, may_see)
            frame = Frame.from_items(message)
            before = {name: set(replica[name].ids.tolist()) for name in may_see}
            changes = replica.apply(frame)
            assert replica.check(frame)
            self.check_callbacks(replica, before, changes)
            for name, rows in may_see.items():
                self.check_table(replica, player, name, rows)

    def check_table(self, replica: Replica, player: Any, name: str, rows: dict[int, dict[str, Any]]) -> None:
        assert set(replica[name].ids.tolist()) <= set(rows)
        for row in replica[name]:
            seen = rows[row.id]
            if name == "Weather" or seen.get("owner") == player.number:
                assert {field: getattr(row, field) for field in seen} == seen, name
            for field, value in seen.items():
                assert value is not None or getattr(row, field) is None, field


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rate", [MaxRate(bytes=900), MaxRate(bytes=3000, frames=10), MaxRate(bytes=20_000)])
def test_what_a_capped_player_holds_is_its_to_see_and_comes_in_time(seed: int, rate: MaxRate) -> None:
    theatre = CappedTheatre(seed)
    world = theatre.room.world
    with theatre.hall:
        theatre.join()
        theatre.join()
        theatre.tick()
        players = [player for _, player in theatre.players()]
        for at, player in enumerate(players):
            pick(world[Ship], at * 7).owner = player
            player.groups["team"] = at
            player.max_rate = rate
        for tick in range(TICKS):
            if tick % 10 == 0:
                world.spawn(Card, holder=players[tick % 2].number, face=theatre.fresh("face"), table=1)
                world.spawn(Mine, x=100.0 + tick, y=200.0, note=theatre.fresh("note"))
                write(theatre, tick % 256, tick % 7, tick % 9)
            if tick % 15 == 0:
                world.despawn(pick(world[Ship], tick + 3))
            theatre.tick()
        most = rate.bytes * TICKS / theatre.room.rate * 1.25 + 3000  # type: ignore[operator]
        assert all(sent <= most for sent in theatre.bytes_sent.values())
        world[Ship].vx[:] = world[Ship].vy[:] = 0
        for _ in range(300):
            theatre.tick()
        for link, player in theatre.players():
            for name, rows in theatre.may_see()[player.number].items():
                replica = theatre.replicas[link]
                held = {row.id: {field: getattr(row, field) for field in rows[row.id]} for row in replica[name]}
                assert held == rows, name
