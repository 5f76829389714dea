"""The bundled game, played by script: what the keys do, what collisions do, and who is seen to be there."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from gameserver.demo import arena
from gameserver.demo.arena import Arena, Asteroid, Bullet, Match, Ship
from tests.support.fake_links import FakeLink, HandTickedRoom


@pytest.fixture
def played() -> Any:
    with HandTickedRoom(Arena(seed=1)) as driven:
        yield driven


def clear(driven: HandTickedRoom) -> None:
    """Take the asteroids away, so that nothing disturbs."""
    for asteroid in [*driven.room.world[Asteroid]]:
        driven.room.world.despawn(asteroid)


def ship_of(driven: HandTickedRoom, link: FakeLink, x: float = 1000, y: float = 1000, heading: float = 0) -> Ship:
    ship: Ship = driven.player(link).data
    ship.x, ship.y, ship.heading, ship.vx, ship.vy = x, y, heading, 0.0, 0.0
    return ship


def steer(link: FakeLink, sequence: int, turn: float = 0.0, thrust: bool = False, shoot: bool = False) -> None:
    link.input(sequence, turn, thrust, shoot)


def test_five_hundred_ticks_of_wild_play(played: HandTickedRoom) -> None:
    dice = random.Random(2)
    links = [played.join(f"ship {number}") for number in range(8)]
    for tick in range(1, 501):
        for link in links:
            if not link.closed:
                steer(link, tick, dice.uniform(-1, 1), dice.random() < 0.6, dice.random() < 0.7)
        if tick % 60 == 0:
            links[tick // 60 - 1].close(1006)
            links.append(played.join(f"late {tick}"))
        played.tick(late=0.12 if tick % 50 == 0 else 0.0)
        for ship in played.room.world[Ship]:
            assert 0 <= ship.x < arena.WORLD
            assert 0 <= ship.y < arena.WORLD
    assert played.room.tick >= 500
    assert any(message[:2] == [5, "hit"] or message[:2] == [5, "destroyed"] for link in links for message in link.sent)
    seen = played.replica(links[-1])
    assert {row.name for row in seen[Ship]} == {ship.name for ship in played.room.world[Ship]}
    assert not {row.name for row in seen[Ship]} & {f"ship {number}" for number in range(8)}
    assert any(row.score for row in seen[Ship]) or played.room.state.round > 1


@pytest.mark.parametrize(("turn", "radians"), [(1.0, 4.0 / 20), (-0.5, math.tau - 2.0 / 20), (0.0, 0.0)])
def test_ships_turn(played: HandTickedRoom, turn: float, radians: float) -> None:
    link = played.join()
    played.tick()
    clear(played)
    ship = ship_of(played, link)
    steer(link, 1, turn)
    played.tick()
    assert ship.heading == pytest.approx(radians)
    played.tick()
    assert ship.heading == pytest.approx(2 * radians % math.tau), "the key is still down"


def test_ships_thrust_the_way_they_point_and_drift_on(played: HandTickedRoom) -> None:
    link = played.join()
    played.tick()
    clear(played)
    ship = ship_of(played, link, heading=math.pi / 2)
    steer(link, 1, thrust=True)
    played.ticks(10)
    assert ship.thrusting
    assert ship.y > 1010
    assert ship.x == pytest.approx(1000)
    speed = ship.vy
    steer(link, 2)
    played.ticks(10)
    assert not ship.thrusting
    assert 0 < ship.vy < speed


def test_edges_wrap(played: HandTickedRoom) -> None:
    link = played.join()
    played.tick()
    clear(played)
    ship = ship_of(played, link, x=arena.WORLD - 1)
    ship.vx = 100.0
    played.tick()
    assert ship.x < 10


def test_bullets_reload_fly_and_end(played: HandTickedRoom) -> None:
    link = played.join()
    played.tick()
    clear(played)
    ship = ship_of(played, link)
    steer(link, 1, shoot=True)
    played.tick()
    (bullet,) = played.room.world[Bullet]
    assert bullet.shooter is ship
    assert bullet.owner is played.player(link)
    assert bullet.x > ship.x
    played.ticks(4)
    assert len(played.room.world[Bullet]) == 1, "not reloaded yet"
    played.ticks(2)
    assert len(played.room.world[Bullet]) == 2
    steer(link, 2)
    played.ticks(30)
    assert not played.room.world[Bullet]
    assert ship.score == 0


def test_a_hit_hurts_five_destroy_and_the_shooter_scores(played: HandTickedRoom) -> None:
    gunner, target = played.join("Gunner"), played.join("Target")
    played.tick()
    clear(played)
    ship_of(played, gunner, 1000)
    victim = ship_of(played, target, 1120)
    steer(gunner, 1, shoot=True)
    while victim.hp == 100:
        played.tick()
    assert victim.hp == 80
    while victim.hp:
        played.tick()
    assert played.player(gunner).data.score == 10
    assert played.room.state.leader is played.player(gunner).data
    assert [message[2] for message in target.sent if message[:2] == [5, "destroyed"]] == ["Gunner"]
    steer(gunner, 2)
    played.ticks(round(arena.RESPAWN_SECONDS * 20) + 2)
    assert victim.hp == 100


def test_asteroids_crack_into_halves_and_count(played: HandTickedRoom) -> None:
    link = played.join()
    played.tick()
    clear(played)
    ship = ship_of(played, link)
    played.room.spawn_asteroid(48, 1200, 1000)
    rock = next(iter(played.room.world[Asteroid]))
    rock.vx = rock.vy = 0.0
    rock.hp = 1
    steer(link, 1, shoot=True)
    played.tick()
    steer(link, 2)
    played.ticks(10)
    assert not rock.alive
    assert [half.radius for half in played.room.world[Asteroid]] == [24, 24]
    assert ship.score == 1


def test_flying_into_an_asteroid_hurts(played: HandTickedRoom) -> None:
    link = played.join()
    played.tick()
    clear(played)
    ship = ship_of(played, link)
    played.room.spawn_asteroid(48, 1010, 1000)
    played.tick()
    assert ship.hp == 60


@pytest.mark.parametrize("late", [0.0, 0.12])
@pytest.mark.parametrize("what", ["bullet", "asteroid", "leader"])
def test_leaving_in_the_middle_of_something_harms_nobody(played: HandTickedRoom, what: str, late: float) -> None:
    stays, leaves = played.join("Stays"), played.join("Leaves")
    played.tick()
    clear(played)
    remains, gone = ship_of(played, stays, 100, 100), ship_of(played, leaves)
    played.room.world[Ship].at(0).owner = played.player(stays)
    if what == "bullet":
        played.room.world.spawn(Bullet, owner=played.player(stays), shooter=remains, x=1000, y=1000, left=1.0)
    elif what == "asteroid":
        played.room.spawn_asteroid(48, 1000, 1000)
    else:
        gone.score = 50
        played.tick()
        assert played.room.state.leader is gone
    leaves.close(1006)
    played.tick(late=late)
    played.ticks(2)
    assert not gone.alive
    assert played.room.state.leader is None
    assert [row.name for row in played.replica(stays)[Ship]] == ["Stays"]


@pytest.mark.parametrize("rate", [2, 7, 20, 30, 60, 144, 49, 22.5])
def test_a_round_ends_once_and_scores_start_again(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "ROUND_SECONDS", 3.0)
    with HandTickedRoom(Arena(seed=1, tick_rate=rate)) as driven:
        link = driven.join("Ada")
        driven.tick()
        clear(driven)
        for round_ in range(1, 6):
            driven.player(link).data.score = 5
            while driven.room.time < 3.0 * round_ + 0.5 / rate:
                driven.tick()
            driven.tick()
            driven.tick()
            assert driven.room.state.round == round_ + 1
            assert driven.player(link).data.score == 0
        assert driven.replica(link)[Match].get(1).round == 6  # type: ignore[union-attr]


def test_names_are_cut_and_given(played: HandTickedRoom) -> None:
    links = [played.join(""), played.join("ä" * 30), played.join("Ada")]
    played.tick()
    assert [row.name for row in played.replica(links[0])[Ship]] == ["player 1", "ä" * 12, "Ada"]
    links[2].say("chat", "x" * 999)
    links[2].say("chat", 5)
    links[2].say("nonsense", None)
    played.tick()
    (chat,) = [message[2] for message in links[0].sent if message[:2] == [5, "chat"]]
    assert chat == ["Ada", "x" * 200]
