"""The arena's bot plays well: it hits what moves, flies out of the way, and wins against random keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamebots.arena_bot import _BULLET_SPEED, _MUZZLE, ArenaBot, flight_seconds
from gamebots.bots import Bot, RandomBot
from gamebots.loading import make_bot
from gameserver import Entity, Input, Room, fixed
from gameserver.demo import arena
from gameserver.demo.arena import Arena, Asteroid, Ship
from gameserver.testing import RoomTester, ScriptedPlayer
from tests.support.examples import examples


class Match:
    """An arena in this process, and bots that play it by what they are sent.

    Args:
        kinds: of bots. seed: of the room and the bots. rocks: how many asteroids there are in the beginning.
    """

    def __init__(self, kinds: list[type[Bot]], *, seed: int, rocks: int = arena.ASTEROIDS) -> None:
        self.tester = RoomTester(Arena, seed=seed, check_hashes=False)
        for rock in list(self.tester.world[Asteroid])[rocks:]:
            self.tester.world.despawn(rock)
        self.players = [self.tester.join(f"{kind.__name__} {index}") for index, kind in enumerate(kinds)]
        schema = self.players[0].world.schema
        self.bots = [
            kind(schema, player.player.number, 100 * seed + index)
            for index, (kind, player) in enumerate(zip(kinds, self.players, strict=True))
        ]
        self.names = [field.name for field in schema.input.fields] if schema.input else []

    def ship(self, index: int) -> Ship:
        found: Ship = self.players[index].player.data
        return found

    def play(self, seconds: float, until: Callable[[], Any] = lambda: False) -> bool:
        """Let all play; whether something became true meanwhile."""
        for _ in range(round(seconds * 20)):
            for bot, player in zip(self.bots, self.players, strict=True):
                self.steer(player, bot.next_input(player.world))
            self.tester.ticks()
            if until():
                return True
        return False

    def steer(self, player: ScriptedPlayer, values: list[Any]) -> None:
        player.input(**dict(zip(self.names, values, strict=True)))


def put(entity: Any, x: float, y: float, heading: float = 0.0, vx: float = 0.0, vy: float = 0.0) -> None:
    entity.x, entity.y, entity.vx, entity.vy = x, y, vx, vy
    if isinstance(entity, Ship):
        entity.heading = heading % math.tau


class Idle(Bot):
    """Does nothing."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_it_wins_against_random_keys(seed: int) -> None:
    match = Match([ArenaBot] * 3 + [RandomBot] * 3, seed=seed)
    match.play(60.0)
    scores = [match.ship(index).score for index in range(6)]
    assert min(scores[:3]) > max(scores[3:]), scores
    assert sum(scores[:3]) > 3 * sum(scores[3:]), scores


@pytest.mark.parametrize(
    ("own", "other", "speed"),
    [
        ((1000, 1000), (1300, 1000), (0, 0)),
        ((1000, 1000), (1250, 1250), (-120, 120)),  # across its way
        ((60, 1000), (1800, 1000), (0, 0)),  # over the edge: 260 to the left
        ((1000, 30), (1100, 1850), (0, -150)),
        ((1900, 1900), (100, 100), (60, 60)),
    ],
)
def test_it_destroys_a_ship_that_flies_by(own: tuple[int, int], other: tuple[int, int], speed: tuple[int, int]) -> None:
    match = Match([ArenaBot, Idle], seed=1, rocks=0)
    put(match.ship(0), *own, heading=2.0)
    put(match.ship(1), *other, vx=speed[0], vy=speed[1])
    assert match.play(8.0, lambda: match.ship(1).hp == 0)
    assert match.ship(0).score == 10


def test_it_leads_a_ship_that_never_slows_down() -> None:
    """Who aims at where it is misses it by 90 units."""
    match = Match([ArenaBot, Idle], seed=1, rocks=0)
    put(match.ship(0), 1000, 1000, heading=4.0)
    put(match.ship(1), 1000, 700)

    def fly_on() -> bool:
        put(match.ship(1), match.ship(1).x, 700, vx=150)
        return match.ship(1).hp < 100

    assert match.play(4.0, fly_on)


def test_it_knows_its_own_speed_while_it_thrusts() -> None:
    errors: list[float] = []

    class Noting(ArenaBot):
        def _hunt(self, scene: Any, *others: Any) -> Any:
            ship = match.ship(0)
            errors.append(math.hypot(ship.vx - scene.speed[0], ship.vy - scene.speed[1]))
            return super()._hunt(scene, *others)

    match = Match([Noting, Idle], seed=1, rocks=0)
    put(match.ship(0), 300, 1000)
    put(match.ship(1), 1250, 1000)
    match.play(3.0)
    assert math.hypot(match.ship(0).vx, match.ship(0).vy) > 100
    assert max(errors) < 30


@pytest.mark.parametrize(
    ("kind", "heading", "unharmed"),
    [*((ArenaBot, heading, True) for heading in (0.0, 1.5, 3.1, 4.6)), (Idle, 0.0, False)],
)
def test_it_flies_out_of_the_way_of_an_asteroid_or_cracks_it(kind: type[Bot], heading: float, unharmed: bool) -> None:
    match = Match([kind], seed=1, rocks=1)
    (rock,) = match.tester.world[Asteroid]
    put(match.ship(0), 30, 500, heading=heading)
    put(rock, 230, 500, vx=-80, vy=4)
    assert match.play(4.0, lambda: match.ship(0).hp < 100) is not unharmed


def test_without_another_ship_near_it_shoots_asteroids() -> None:
    match = Match([ArenaBot], seed=1)
    match.play(20.0)
    assert match.ship(0).score >= 4


def test_alone_and_as_a_wreck_it_does_nothing() -> None:
    match = Match([ArenaBot], seed=1, rocks=0)
    match.play(1.0)
    assert match.bots[0].next_input(match.players[0].world) == [0.0, False, False]
    match = Match([ArenaBot, Idle], seed=1)
    match.ship(0).hp = 0
    match.ship(0).respawn = 1e9
    match.play(1.0)
    assert match.bots[0].next_input(match.players[0].world) == [0.0, False, False]


def test_the_same_seed_plays_the_same_match() -> None:
    def places() -> list[tuple[float, float, int]]:
        match = Match([ArenaBot] * 3 + [RandomBot], seed=5)
        match.play(10.0)
        return [(match.ship(index).x, match.ship(index).y, match.ship(index).score) for index in range(4)]

    assert places() == places()


class Yacht(Entity):
    x = fixed(0, 100, step=1)


class Sail(Input):
    turn: float = 0.0


class Regatta(Room):
    entities = (Yacht,)
    input = Sail


def test_rooms_that_are_no_arena_have_random_keys() -> None:
    assert isinstance(make_bot(Arena("arena").schema(), 1, 0), ArenaBot)
    assert isinstance(make_bot(Regatta("regatta").schema(), 1, 0), RandomBot)
    blind = make_bot(Arena("arena").schema(), 1, 0)
    assert len({tuple(blind.next_input(None)) for _ in range(400)}) > 5


@given(st.floats(20, 600), st.floats(0, math.tau), st.floats(0, 400), st.floats(0, math.tau))
@examples(100)
def test_a_bullet_meets_its_target_at_the_computed_time(
    distance: float, angle: float, speed: float, way: float
) -> None:
    x, y = distance * math.cos(angle), distance * math.sin(angle)
    vx, vy = speed * math.cos(way), speed * math.sin(way)
    seconds = flight_seconds(x, y, vx, vy)
    flown = math.hypot(x + vx * seconds, y + vy * seconds)
    assert flown == pytest.approx(_MUZZLE + _BULLET_SPEED * seconds, abs=1e-6)


def test_what_outruns_bullets_is_aimed_at_directly() -> None:
    assert flight_seconds(300, 0, 600, 0) == pytest.approx(300 / _BULLET_SPEED)
