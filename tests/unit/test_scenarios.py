"""What scenarios make bots do: the same for one seed, in however many processes, at the times that they promise."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamebots.conductor import Conductor
from gamebots.scenarios import PLAYERS, SCENARIOS, Drop, Join, Leave, Play, Scenario, Stall, Step, Until, Wait
from tests.support.examples import examples

NAMES = sorted(SCENARIOS)


def make(name: str, count: int = 100, seconds: float = 30.0, ramp: float = 50.0, seed: int = 1) -> Scenario:
    return SCENARIOS[name](count, seconds, ramp, seed)


def steps(scenario: Scenario, bot: int, most: int = 60) -> list[Step]:
    """The first steps of one bot for which all goes well."""
    script = scenario.script(bot)
    made: list[Step] = list(islice(script, 1))
    try:
        while len(made) < most:
            made.append(script.send(True))
    except StopIteration:
        pass
    return made


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(), bot=st.integers(0, 99), others=st.lists(st.integers(0, 99), max_size=5))
@examples(30)
def test_a_seed_makes_one_script_whatever_was_asked_before(name: str, seed: int, bot: int, others: list[int]) -> None:
    alone, among_others = make(name, seed=seed), make(name, seed=seed)
    for other in others:
        steps(among_others, other)
    assert steps(alone, bot) == steps(among_others, bot)
    assert alone.group(bot) == among_others.group(bot)


@pytest.mark.parametrize("name", ["churn", "reconnect-storm", "slow-readers", "flash-crowd"])
def test_bots_and_seeds_differ(name: str) -> None:
    bots = {tuple(map(repr, steps(make(name, ramp=math.inf), bot))) for bot in (19, 29, 39, 49)}
    seeds = {tuple(map(repr, steps(make(name, ramp=math.inf, seed=seed), 19))) for seed in range(4)}
    assert (len(bots), len(seeds)) == (4, 4)


def test_chance_is_the_same_in_another_process() -> None:
    """Hashes of texts are not, and bots of one run live in several."""
    code = "from gamebots.scenarios import Steady; print(Steady(9, 1, 1, 7).random(3).random())"
    found = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert found == {f"{make('steady', seed=7).random(3).random()}\n".encode()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ramp", [0.5, 50.0, math.inf])
def test_every_script_joins_and_no_time_is_negative(name: str, ramp: float) -> None:
    scenario = make(name, ramp=ramp)
    for bot in range(100):
        made = steps(scenario, bot)
        assert Join() in made
        for step in made:
            assert getattr(step, "seconds", 0.0) >= 0
            assert 0 <= getattr(step, "share", 0.0) < 1
    assert PLAYERS in {scenario.group(bot) for bot in range(100)}


class Watcher:
    """An actor; what it does is kept by its theatre."""

    def __init__(self, theatre: Theatre, number: int) -> None:
        self._theatre = theatre
        self._number = number

    def join(self, now: float) -> bool | None:
        if self._number in self._theatre.inside:
            return True
        self._theatre.joining.append((now + self._theatre.delay, self._number))
        return None

    def leave(self, now: float) -> None:
        self._theatre.inside.discard(self._number)
        self._theatre.told["leave"] += 1

    def drop(self, now: float) -> None:
        self._theatre.inside.discard(self._number)
        self._theatre.told["drop"] += 1
        self._theatre.drops.append(now)

    def stall(self, stalled: bool, now: float) -> None:
        (self._theatre.stalled.add if stalled else self._theatre.stalled.discard)(self._number)


class Theatre:
    """Plays a scenario in virtual time. Measuring begins when all have settled.

    Args:
        delay: how long joining takes. fails: no join works.

    Attributes:
        inside_at, stalled_at: how many are in, and who is stalled, each 50 ms since measuring began.
        joins, drops: when.
    """

    def __init__(self, scenario: Scenario, *, delay: float = 0.02, fails: bool = False) -> None:
        self.delay = delay
        self.inside: set[int] = set()
        self.stalled: set[int] = set()
        self.joining: list[tuple[float, int]] = []
        self.drops: list[float] = []
        self.told: Counter[str] = Counter()
        self.joins: list[float] = []
        self.inside_at: list[int] = []
        self.stalled_at: list[set[int]] = []
        actors = {number: Watcher(self, number) for number in range(scenario.count)}
        conductor = Conductor(scenario, actors, 0.0)
        self.begin = math.inf
        now = 0.0
        while now < min(self.begin, 300.0) + scenario.seconds:
            conductor.advance(now)
            for entry in [entry for entry in self.joining if entry[0] <= now]:
                self.joining.remove(entry)
                if not fails:
                    self.inside.add(entry[1])
                    self.joins.append(now)
                conductor.joined(entry[1], not fails, now)
            if self.begin == math.inf and not conductor.unsettled:
                self.begin = now
                self.inside_at.clear()
                self.stalled_at.clear()
                conductor.begin_measuring(now)
            self.inside_at.append(len(self.inside))
            self.stalled_at.append(set(self.stalled))
            now += 0.05


@pytest.mark.parametrize("name", NAMES)
def test_measuring_begins_even_where_nobody_gets_in(name: str) -> None:
    theatre = Theatre(make(name, count=20, seconds=5.0), fails=True)
    assert theatre.begin < 2.0
    assert set(theatre.inside_at) == {0}


def test_steady_is_steady() -> None:
    theatre = Theatre(make("steady", ramp=20.0))
    assert theatre.begin == pytest.approx(99 / 20 + 0.05, abs=0.11)
    assert set(theatre.inside_at) == {100}
    gaps = [b - a for a, b in zip(theatre.joins, theatre.joins[1:], strict=False)]
    assert max(gaps) <= 0.11  # one each 50 ms


def test_churn_keeps_about_as_many_as_its_times_say() -> None:
    theatre = Theatre(make("churn", count=200, seconds=120.0))
    assert theatre.inside_at[0] == 200
    settled = theatre.inside_at[len(theatre.inside_at) // 2 :]
    assert sum(settled) / len(settled) / 200 == pytest.approx(15 / 18, abs=0.06)
    assert theatre.told["leave"] == pytest.approx(200 * 120 / 18, rel=0.15)


def test_a_storm_takes_all_in_one_moment_and_brings_them_back() -> None:
    theatre = Theatre(make("reconnect-storm"))
    assert len(theatre.drops) == 100
    assert theatre.drops == pytest.approx([theatre.begin + 10.0] * 100, abs=0.051)
    assert theatre.inside_at[0] == 100
    assert min(theatre.inside_at) == 0
    assert set(theatre.inside_at[int(10.5 / 0.05) :]) == {100}


def test_slow_readers_are_a_tenth_and_three_of_five_seconds_slow() -> None:
    scenario = make("slow-readers")
    theatre = Theatre(scenario)
    slow = set().union(*theatre.stalled_at)
    assert slow == {bot for bot in range(100) if scenario.group(bot) != PLAYERS}
    assert len(slow) == 10
    assert theatre.stalled_at[0] == set()
    later = theatre.stalled_at[int(5 / 0.05) :]
    assert sum(map(len, later)) / len(later) == pytest.approx(6, abs=0.6)
    assert set(theatre.inside_at) == {100}


@pytest.mark.parametrize("count", [1, 9, 10, 100])
def test_a_flash_crowd_comes_within_a_second(count: int) -> None:
    theatre = Theatre(make("flash-crowd", count=count, ramp=5.0))
    tenth = math.ceil(count / 10)
    assert theatre.inside_at[0] == tenth
    late = [at - theatre.begin for at in theatre.joins if at > theatre.begin]
    assert len(late) == count - tenth
    assert all(6.0 <= at <= 7.1 for at in late)
    assert theatre.begin <= (tenth - 1) / 5 + 0.15  # the tenth comes along the ramp


@given(ramp=st.floats(0.1, 1e6) | st.just(math.inf), count=st.integers(1, 5000))
@examples(100)
def test_the_ramp(ramp: float, count: int) -> None:
    scenario = Scenario(count, 10.0, ramp, 0)
    arrivals = [scenario.arrival(bot) for bot in range(count)]
    assert arrivals[0] == 0.0
    assert arrivals == sorted(arrivals)
    if ramp < math.inf:
        assert arrivals[-1] == pytest.approx((count - 1) / ramp)


def test_a_script_of_ones_own_may_do_everything() -> None:
    class Lunch(Scenario):
        def script(self, bot: int) -> object:  # type: ignore[override]
            yield Wait(self.arrival(bot))
            yield Join()
            yield Until(0.5)
            yield Stall(1) if bot % 2 else Drop()
            yield Leave()
            yield Play()

    theatre = Theatre(Lunch(4, 10.0, math.inf, 0))
    assert (theatre.told["drop"], theatre.told["leave"]) == (2, 4)
    assert theatre.inside_at[-1] == 0
