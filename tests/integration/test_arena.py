"""The bundled game, played by script: what the keys do, what collisions do, and who is seen to be there."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest

from gameserver.demo import arena
from gameserver.demo.arena import Arena, Asteroid, Bullet, Ship
from gameserver.testing import RoomTester, ScriptedPlayer


@pytest.fixture
def played() -> Iterator[RoomTester[Arena]]:
    with RoomTester(Arena, seed=1) as tester:
        yield tester


def clear(played: RoomTester[Arena]) -> None:
    """Take the asteroids away, so that nothing disturbs."""
    for asteroid in [*played.world[Asteroid]]:
        played.world.despawn(asteroid)


def ship_of(player: ScriptedPlayer, x: float = 1000, y: float = 1000, heading: float = 0) -> Ship:
    """A player's ship, put somewhere."""
    ship: Ship = player.player.data
    ship.x, ship.y, ship.heading, ship.vx, ship.vy = x, y, heading, 0.0, 0.0
    return ship


@pytest.mark.slow
def test_five_hundred_ticks_of_wild_play(played: RoomTester[Arena]) -> None:
    dice = random.Random(2)
    players = [played.join(f"ship {number}") for number in range(8)]
    for tick in range(1, 501):
        for player in players:
            if player.closed is None:
                player.input(turn=dice.uniform(-1, 1), thrust=dice.random() < 0.6, shoot=dice.random() < 0.7)
        if tick % 60 == 0:
            players[tick // 60 - 1].leave()
            players.append(played.join(f"late {tick}"))
        played.ticks(late=0.12 if tick % 50 == 0 else 0.0)
        for ship in played.world[Ship]:
            assert 0 <= ship.x < arena.WORLD
            assert 0 <= ship.y < arena.WORLD
    assert played.room.tick >= 500
    assert any(player.heard("hit") or player.heard("destroyed") for player in players)
    seen = players[-1].world[Ship]
    assert {row.name for row in seen} == {ship.name for ship in played.world[Ship]}
    assert not {row.name for row in seen} & {f"ship {number}" for number in range(8)}
    assert any(row.score for row in seen) or played.room.state.round > 1


@pytest.mark.parametrize(("turn", "radians"), [(1.0, 4.0 / 20), (-0.5, math.tau - 2.0 / 20), (0.0, 0.0)])
def test_ships_turn(played: RoomTester[Arena], turn: float, radians: float) -> None:
    player = played.join()
    clear(played)
    ship = ship_of(player)
    player.input(turn=turn)
    played.ticks()
    assert ship.heading == pytest.approx(radians)
    played.ticks()
    assert ship.heading == pytest.approx(2 * radians % math.tau), "the key is still down"


def test_ships_thrust_the_way_they_point_and_drift_on(played: RoomTester[Arena]) -> None:
    player = played.join()
    clear(played)
    ship = ship_of(player, heading=math.pi / 2)
    player.input(thrust=True)
    played.ticks(10)
    assert ship.thrusting
    assert ship.y > 1010
    assert ship.x == pytest.approx(1000)
    speed = ship.vy
    player.input()
    played.ticks(10)
    assert not ship.thrusting
    assert 0 < ship.vy < speed


def test_edges_wrap(played: RoomTester[Arena]) -> None:
    player = played.join()
    clear(played)
    ship = ship_of(player, x=arena.WORLD - 1)
    ship.vx = 100.0
    played.ticks()
    assert ship.x < 10


def test_bullets_reload_fly_and_end(played: RoomTester[Arena]) -> None:
    player = played.join()
    clear(played)
    ship = ship_of(player)
    player.input(shoot=True)
    played.ticks()
    (bullet,) = played.world[Bullet]
    assert bullet.shooter is ship
    assert bullet.owner is player.player
    assert bullet.x > ship.x
    played.ticks(4)
    assert len(played.world[Bullet]) == 1, "not reloaded yet"
    played.ticks(2)
    assert len(played.world[Bullet]) == 2
    player.input()
    played.ticks(30)
    assert not played.world[Bullet]
    assert ship.score == 0


def test_a_hit_hurts_five_destroy_and_the_shooter_scores(played: RoomTester[Arena]) -> None:
    gunner, target = played.join("Gunner"), played.join("Target")
    clear(played)
    ship_of(gunner, 1000)
    victim = ship_of(target, 1120)
    gunner.input(shoot=True)
    played.until(lambda: victim.hp < 100)
    assert victim.hp == 80
    played.until(lambda: victim.hp == 0)
    assert gunner.player.data.score == 10
    assert played.room.state.leader is gunner.player.data
    assert target.heard("destroyed") == ["Gunner"]
    gunner.input()
    played.seconds(arena.RESPAWN_SECONDS + 0.1)
    assert victim.hp == 100


def test_asteroids_crack_into_halves_and_count(played: RoomTester[Arena]) -> None:
    player = played.join()
    clear(played)
    ship = ship_of(player)
    played.room.spawn_asteroid(48, 1200, 1000)
    rock = next(iter(played.world[Asteroid]))
    rock.vx = rock.vy = 0.0
    rock.hp = 1
    player.input(shoot=True)
    played.ticks()
    player.input()
    played.ticks(10)
    assert not rock.alive
    assert [half.radius for half in played.world[Asteroid]] == [24, 24]
    assert ship.score == 1


def test_flying_into_an_asteroid_hurts(played: RoomTester[Arena]) -> None:
    player = played.join()
    clear(played)
    ship = ship_of(player)
    played.room.spawn_asteroid(48, 1010, 1000)
    played.ticks()
    assert ship.hp == 60


@pytest.mark.parametrize("late", [0.0, 0.12])
@pytest.mark.parametrize("what", ["bullet", "asteroid", "leader"])
def test_leaving_in_the_middle_of_something_harms_nobody(played: RoomTester[Arena], what: str, late: float) -> None:
    stays, leaves = played.join("Stays"), played.join("Leaves")
    clear(played)
    remains, gone = ship_of(stays, 100, 100), ship_of(leaves)
    if what == "bullet":
        played.world.spawn(Bullet, owner=stays.player, shooter=remains, x=1000, y=1000, left=1.0)
    elif what == "asteroid":
        played.room.spawn_asteroid(48, 1000, 1000)
    else:
        gone.score = 50
        played.ticks()
        assert played.room.state.leader is gone
    leaves.leave()
    played.ticks(late=late)
    played.ticks(2)
    assert not gone.alive
    assert played.room.state.leader is None
    assert [row.name for row in stays.world[Ship]] == ["Stays"]


def test_the_ship_of_a_dropped_player_drifts_on_for_a_while(played: RoomTester[Arena]) -> None:
    stays, drops = played.join("Stays"), played.join("Drops")
    clear(played)
    ship = ship_of(drops)
    drops.input(thrust=True)
    played.seconds(1)
    drops.drop()
    played.seconds(1)
    assert not ship.thrusting
    assert ship.vx > 0
    drops.return_()
    assert drops.row(ship) is not None
    drops.drop()
    played.seconds(21)
    assert not ship.alive
    assert [row.name for row in stays.world[Ship]] == ["Stays"]


@pytest.mark.parametrize("rate", [2, 7, 20, 30, 60, 144, 49, 22.5])
def test_a_round_ends_once_and_scores_start_again(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "ROUND_SECONDS", 3.0)
    with RoomTester(Arena, seed=1, tick_rate=rate) as played:
        player = played.join("Ada")
        clear(played)
        for round_ in range(1, 6):
            player.player.data.score = 5
            played.until(lambda round_=round_: played.room.time >= 3.0 * round_ + 0.5 / rate)
            played.ticks(2)
            assert played.room.state.round == round_ + 1
            assert player.player.data.score == 0
        assert player.state.round == 6


def test_names_are_cut_and_given(played: RoomTester[Arena]) -> None:
    nameless, long, ada = played.join(""), played.join("ä" * 30), played.join("Ada")
    assert [row.name for row in nameless.world[Ship]] == ["player 1", "ä" * 12, "Ada"]
    ada.send("chat", "x" * 999)
    ada.send("chat", 5)
    ada.send("nonsense", None)
    played.ticks()
    assert nameless.heard("chat") == long.heard("chat") == [["Ada", "x" * 200]]
