"""Bytes: what a moving world costs on the wire. Each bound is the whole message without its WebSocket header."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gameserver import Entity, angle, boolean, fixed, integer, reference, text, uint
from tests.support.mirror import Mirror


class Ship(Entity):
    x = fixed(0, 4000, step=1 / 16)
    y = fixed(0, 4000, step=1 / 16)
    heading = angle(bits=8)
    hp = uint(8, default=100)
    score = uint(16)
    name = text(max_bytes=24)


class Many(Entity):
    a = uint(32)
    b = integer(32)
    c = fixed(-1e6, 1e6, step=0.25)
    flag = boolean()
    friend = reference("Many")


def fleet(count: int, seed: int = 3) -> tuple[Mirror, np.random.Generator]:
    mirror, rng = Mirror(Ship, hash_ticks=20), np.random.default_rng(seed)
    mirror.world.spawn_many(
        Ship,
        count,
        x=rng.uniform(100, 3900, count),
        y=rng.uniform(100, 3900, count),
        heading=rng.uniform(0, math.tau, count),
        name=[f"bot-{i}" for i in range(count)],
    )
    mirror.tick_and_send()
    return mirror, rng


def bytes_per_ship(mirror: Mirror, rng: np.random.Generator, speed: float, ticks: int = 40) -> float:
    """Mean over ticks in which every ship moves ``speed`` units along its own course and turns a little."""
    ships, total = mirror.world[Ship], 0
    for _ in range(ticks):
        ships.heading += rng.uniform(-0.2, 0.2, len(ships))
        ships.x = (ships.x + np.cos(ships.heading) * speed) % 4000
        ships.y = (ships.y + np.sin(ships.heading) * speed) % 4000
        total += mirror.tick_and_send()
    return total / ticks / len(ships)


@pytest.mark.parametrize("speed", [0.2, 1.0, 5.0, 7.9, 10.0])
def test_a_moving_ship_costs_at_most_five_and_a_half_bytes(speed: float) -> None:
    mirror, rng = fleet(200)
    per_ship = bytes_per_ship(mirror, rng, speed)
    assert per_ship <= 5.5
    if speed <= 7.9:  # each coordinate moves less than 128 sixteenths
        assert per_ship <= 3.4


def test_a_fast_ship_costs_no_more_than_absolute_values() -> None:
    mirror, rng = fleet(200)
    assert bytes_per_ship(mirror, rng, 300.0) <= 2 + 2 + 1 + 0.5


def test_damage_here_and_there_costs_a_few_bytes() -> None:
    mirror, rng = fleet(200)
    ships = mirror.world[Ship]
    quiet = mirror.tick_and_send()
    for _ in range(20):
        ships.hp[rng.choice(200, 2, replace=False)] -= 1
        assert mirror.tick_and_send() - quiet <= 22  # a chunk, two ids, two differences; in one tick of 20 the hash


def test_damage_among_moving_ships_costs_a_few_bytes() -> None:
    plain, hurt = fleet(200), fleet(200)
    totals = []
    for mirror, rng in (plain, hurt):
        ships, total = mirror.world[Ship], 0
        for tick in range(30):
            ships.x = (ships.x + 3) % 4000
            ships.y = (ships.y + 3) % 4000
            if mirror is hurt[0]:
                ships.hp[rng.choice(200, 2, replace=False)] = 50 + tick
            total += mirror.tick_and_send()
        totals.append(total / 30)
    assert totals[1] - totals[0] <= 16


def test_a_column_of_equal_numbers_is_one_number() -> None:
    mirror = Mirror(Many)
    mirror.world.spawn_many(Many, 10_000, a=1 << 31, b=-5)
    assert mirror.tick_and_send() <= 10_000 + 80  # ids, a byte each; no column
    mirror.world[Many].a[:] = 7
    assert mirror.tick_and_send() <= 60
    mirror.world[Many].flag = True
    assert mirror.tick_and_send() <= 60


def test_flags_are_bits() -> None:
    mirror = Mirror(Many)
    mirror.world.spawn_many(Many, 800)
    mirror.tick_and_send()
    flags = mirror.world[Many].flag
    flags[::2] = True
    assert mirror.tick_and_send() <= 100 + 41
    flags[:] = ~flags
    assert mirror.tick_and_send() <= 100 + 41


def test_one_change_among_many_costs_no_bitmap() -> None:
    mirror = Mirror(Many)
    mirror.world.spawn_many(Many, 60_000)
    mirror.tick_and_send()
    mirror.world[Many].at(59_000).a = 5
    assert mirror.tick_and_send() <= 60


def test_a_frame_that_says_nothing_is_small() -> None:
    mirror, _ = fleet(200)
    assert mirror.tick_and_send() <= 36


def test_despawned_ids_cost_a_byte_each() -> None:
    mirror, _ = fleet(200)
    mirror.world.despawn_where(Ship, mirror.world[Ship].ids % 2 == 0)
    assert mirror.tick_and_send() <= 100 + 45


def test_a_merged_skip_costs_less_than_the_frames_it_stands_for() -> None:
    mirror, rng = fleet(200)
    baseline, ships, apart = mirror.tick, mirror.world[Ship], 0
    for _ in range(10):
        ships.x += rng.uniform(-3, 3, 200)
        apart += mirror.tick_and_send()
    assert len(mirror.frame_from(baseline)) < apart / 3


def test_bytes_do_not_depend_on_how_long_the_room_runs() -> None:
    mirror, rng = fleet(50)
    young = bytes_per_ship(mirror, rng, 3.0, ticks=20)
    mirror.tick = 1 << 30
    mirror.publish()
    mirror.send()
    assert bytes_per_ship(mirror, rng, 3.0, ticks=20) == pytest.approx(young, abs=0.2)
