"""What changed, against whichever tick somebody is at: read off the published integers alone."""

from __future__ import annotations

import numpy as np
import pytest

from gameprotocol import BaselineError, Frame, Replica, limits, unpack_from_server
from gameserver import Entity, FieldValueError, State, angle, boolean, fixed, local, reference, text, uint
from gameserver.sync.frames import NOTHING
from gameserver.world.publish import PublishedWorld
from gameserver.world.world import World
from tests.support.mirror import Mirror


class Ship(Entity):
    x = fixed(0, 1000, step=1 / 16)
    heading = angle(bits=8)
    hp = uint(8, default=100)
    dead = boolean()
    name = text(max_bytes=8)
    speed = local(float)


class Match(State):
    round = uint(8, default=1)
    best = reference(Ship)


@pytest.fixture
def mirror() -> Mirror:
    mirror = Mirror(Ship, state=Match)
    mirror.world.spawn_many(Ship, 5, x=np.arange(5) * 10)
    mirror.tick_and_send()
    return mirror


def test_nothing_changed_makes_no_chunk(mirror: Mirror) -> None:
    for back in (1, 2, limits.HISTORY_TICKS):
        mirror.publish()
        assert mirror.chunks_from(max(1, mirror.tick - back)) == []


def test_writing_what_was_there_is_no_change(mirror: Mirror) -> None:
    ships = mirror.world[Ship]
    ships.x += 5
    ships.x -= 5
    ships.name[2] = ""
    ships.speed += 3
    ships.at(1).hp = 100
    mirror.world.state.round = 1
    mirror.publish()
    assert mirror.chunks_from(mirror.tick - 1) == []


def test_only_tables_that_changed_have_a_chunk(mirror: Mirror) -> None:
    mirror.world.state.round += 1
    mirror.publish()
    assert [chunk[0] for chunk in mirror.chunks_from(1)] == [1]
    mirror.world[Ship].at(0).hp -= 1
    mirror.publish()
    assert [chunk[0] for chunk in mirror.chunks_from(1)] == [0, 1]
    assert [chunk[0] for chunk in mirror.chunks_from(2)] == [0]


def test_what_changed_and_changed_back_is_sent_to_those_who_saw_it_and_harmless_to_others(mirror: Mirror) -> None:
    ship = mirror.world[Ship].at(2)
    ship.hp = 7
    mirror.publish()
    saw_it = Replica(mirror.world.schema())
    mirror.send(saw_it)
    ship.hp = 100
    mirror.publish()
    mirror.send(saw_it)
    mirror.send()
    assert saw_it[Ship].get(ship.id).hp == mirror.replica[Ship].get(ship.id).hp == 100  # type: ignore[union-attr]


def test_an_entity_that_came_and_went_between_two_frames_is_never_heard_of(mirror: Mirror) -> None:
    ship = mirror.world.spawn(Ship)
    mirror.publish()
    mirror.world.despawn(ship)
    mirror.publish()
    (changes,) = [change for change in mirror.send() if change.table.schema.name == "Ship"] or [None]
    assert changes is None or (len(changes.spawned_ids), len(changes.despawned_ids)) == (0, 0)
    assert mirror.chunks_from(1) == []


def test_an_entity_that_came_and_went_in_one_tick_is_never_heard_of(mirror: Mirror) -> None:
    mirror.world.despawn(mirror.world.spawn(Ship))
    mirror.publish()
    assert mirror.chunks_from(1) == []


def test_whoever_skipped_ticks_gets_one_delta_of_them_all(mirror: Mirror) -> None:
    ships = mirror.world[Ship]
    late = Replica(mirror.world.schema())
    mirror.send(late)
    for tick in range(40):
        ships.x += 1
        ships.at(tick % 5).hp -= 1
        if tick % 10 == 3:
            mirror.world.despawn(next(iter(ships)))
            mirror.world.spawn(Ship, name=f"s{tick}")
        mirror.publish()
    one_step = Replica(mirror.world.schema())
    mirror.send(one_step)
    mirror.send(late)
    assert late.tick == one_step.tick == 41
    assert len(mirror.frame_from(1)) <= len(mirror.frame_from(NOTHING)) + 8


@pytest.mark.parametrize(("back", "is_full"), [(limits.HISTORY_TICKS, False), (limits.HISTORY_TICKS + 1, True)])
def test_a_baseline_beyond_the_history_gets_a_full_frame(mirror: Mirror, back: int, is_full: bool) -> None:
    doomed = mirror.world[Ship].at(3)
    mirror.publish()  # the baseline
    mirror.send()
    baseline = mirror.tick
    mirror.world.despawn(doomed)
    mirror.publish(back)
    assert mirror.tick - baseline == back
    frame = Frame.from_items(unpack_from_server(mirror.frame_from(baseline)))
    assert (frame.header.back == 0) is is_full
    assert frame.header.tick == mirror.tick
    mirror.send()  # compares
    assert mirror.replica[Ship].get(doomed.id) is None


def test_a_delta_does_not_fit_another_baseline(mirror: Mirror) -> None:
    mirror.world[Ship].x += 1
    mirror.publish(2)
    payload = mirror.frame_from(2)
    with pytest.raises(BaselineError):
        mirror.replica.apply(Frame.from_items(unpack_from_server(payload)))


def test_an_id_that_is_used_again_carries_nothing_of_its_last_entity(mirror: Mirror) -> None:
    world = mirror.world
    old = world.spawn(Ship, hp=7, name="old", x=999, dead=True)
    world.state.best = old
    mirror.tick_and_send()
    world.despawn(old)
    mirror.publish(limits.HISTORY_TICKS + 2)
    mirror.send()
    new = world.spawn(Ship, x=0, hp=0)
    assert new.id == old.id
    mirror.tick_and_send()
    row = mirror.replica[Ship].get(new.id)
    assert row is not None
    assert (row.hp, row.name, row.x, row.dead) == (0, "", 0.0, False)
    assert mirror.replica[Match].get(1).best is None  # type: ignore[union-attr]
    new.x += 1  # next to a row whose last difference was something else
    world[Ship].at(0).x += 3
    mirror.tick_and_send()
    new.hp = 1
    mirror.tick_and_send()


def test_rows_that_join_a_block_without_a_change_keep_their_value(mirror: Mirror) -> None:
    """Blocks are merged when that is cheaper; a row that changed long ago must then be given a difference of 0."""
    ships = mirror.world[Ship]
    mirror.world.spawn_many(Ship, 200, x=np.arange(200))
    mirror.tick_and_send()
    rng = np.random.default_rng(1)
    for _ in range(20):
        ships.x[rng.random(len(ships)) < 0.97] += 2
        ships.heading[rng.random(len(ships)) < 0.98] += 0.2
        ships.hp[rng.random(len(ships)) < 0.99] -= 1
        mirror.tick_and_send()


def test_the_hash_depends_on_every_integer(mirror: Mirror) -> None:
    ships = mirror.world[Ship]
    seen = {mirror.published.hash()}
    for change in range(7):
        if change == 0:
            ships.at(0).x += 1
        elif change == 1:
            ships.at(1).hp -= 1
        elif change == 2:
            ships.at(2).name = "a"
        elif change == 3:
            ships.at(3).dead = True
        elif change == 4:
            mirror.world.despawn(ships.at(4))
        elif change == 5:
            ships.x[:2] = ships.x[:2][::-1].copy()
        else:
            mirror.world.state.round += 1
        mirror.publish()
        seen.add(mirror.published.hash())
    assert len(seen) == 8


def test_hashes_come_with_full_frames_and_once_in_a_while() -> None:
    mirror = Mirror(Ship, hash_ticks=10)
    mirror.world.spawn(Ship)
    hashed = []
    for _ in range(35):
        mirror.publish()
        for back in (0, 1, 7):
            baseline = mirror.tick - back if back else NOTHING
            if baseline >= 0:
                frame = Frame.from_items(unpack_from_server(mirror.frame_from(baseline)))
                hashed.append((mirror.tick, frame.header.back, frame.hash is not None))
    for tick, back, has_hash in hashed:
        assert has_hash is (back == 0 or any(step % 10 == 0 for step in range(tick - back + 1, tick + 1)))


def test_a_tick_that_failed_to_publish_names_the_culprit_of_any_table() -> None:
    mirror = Mirror(Ship, state=Match)
    mirror.world.spawn(Ship, x=float("nan"))
    with pytest.raises(FieldValueError, match="Ship 1: x"):
        mirror.publish()


def test_two_worlds_that_do_the_same_publish_the_same() -> None:
    def play() -> list[int]:
        mirror = Mirror(Ship, state=Match)
        rng = np.random.default_rng(7)
        hashes = []
        for _ in range(100):
            for _ in range(int(rng.integers(0, 4))):
                mirror.world.spawn(Ship, x=rng.uniform(0, 1000), name="n")
            ships = mirror.world[Ship]
            ships.x += rng.uniform(-1, 1, len(ships.x))
            mirror.world.despawn_where(Ship, rng.random(len(ships.x)) < 0.1)
            mirror.publish()
            hashes.append(mirror.published.hash())
        return hashes

    assert play() == play()


def test_an_empty_world_publishes() -> None:
    published = PublishedWorld(World([Ship]))
    published.publish(1)
    assert published.hash() == 0
    empty = Mirror()
    empty.tick_and_send()
    assert empty.chunks_from(NOTHING) == []
