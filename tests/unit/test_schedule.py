"""When ticks are due: no drift, a bounded catch-up, and nothing lost without being counted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver.rooms.schedule import CATCH_UP_TICKS, TickSchedule, phase_of
from tests.support.examples import examples

periods = st.floats(1 / 240, 1.0)


@pytest.mark.parametrize("rate", [20, 30, 60, 7, 240])
def test_no_drift_over_a_million_ticks(rate: int) -> None:
    schedule = TickSchedule(1 / rate)
    schedule.start(1000.0)
    start = schedule.deadline
    for _ in range(1_000_000):
        schedule.due(schedule.deadline)
    assert schedule.deadline == pytest.approx(start + 1_000_000 / rate, abs=1e-9 * 1_000_000 / rate)
    assert (schedule.overruns, schedule.dropped) == (0, 0)


def test_being_a_little_late_each_time_adds_up_to_nothing() -> None:
    schedule = TickSchedule(0.05)
    schedule.start(0.0)
    start = schedule.deadline
    for tick in range(10_000):
        assert schedule.due(schedule.deadline + 0.049 * (tick % 2)) == 1
    assert schedule.deadline == pytest.approx(start + 500.0)


@pytest.mark.parametrize(
    ("late_periods", "steps", "dropped"),
    [
        (0, 1, 0),
        (0.99, 1, 0),
        (1.01, 2, 0),
        (2.5, 3, 0),
        (3.5, 4, 0),
        (4.5, 4, 1),
        (100.5, 4, 97),
        (1e9, 4, 999_999_997),
    ],
)
def test_late_ticks_are_caught_up_within_bounds(late_periods: float, steps: int, dropped: int) -> None:
    schedule = TickSchedule(0.05)
    schedule.start(10.0)
    deadline = schedule.deadline
    now = deadline + late_periods * 0.05
    assert schedule.due(now) == steps <= 1 + CATCH_UP_TICKS
    assert schedule.dropped == pytest.approx(dropped, abs=1)
    assert schedule.overruns == (late_periods >= 1)
    assert now < schedule.deadline + 1e-6 <= now + 0.05 + 2e-6


@given(periods, st.floats(0, 1e6), st.floats(0, 1, exclude_max=True))
@examples(200)
def test_the_first_tick_is_within_a_period_and_in_phase(period: float, now: float, phase: float) -> None:
    schedule = TickSchedule(period)
    schedule.start(now, phase)
    assert -1e-6 <= schedule.deadline - now <= period + 1e-6
    assert math.remainder(schedule.deadline / period - phase, 1) == pytest.approx(0, abs=1e-6)


@given(periods, st.lists(st.floats(0, 20), max_size=50))
@examples(200)
def test_every_period_is_a_step_or_counted_as_dropped(period: float, lateness: list[float]) -> None:
    schedule = TickSchedule(period)
    schedule.start(0.0)
    start, steps, overruns = schedule.deadline, 0, 0
    for late in lateness:
        now = schedule.deadline + late * period
        before = schedule.deadline
        steps += schedule.due(now)
        overruns += schedule.deadline > before + 1.5 * period
        assert schedule.deadline > before
        assert schedule.deadline >= now - 1e-9
    assert round((schedule.deadline - start) / period) == steps + schedule.dropped
    assert schedule.overruns == overruns


def play(seconds: float, costs: Iterator[float], period: float = 0.05) -> tuple[float, float]:
    """A room whose steps take so long, one after the other: its ticks and its frames a second."""
    schedule = TickSchedule(period)
    schedule.start(0.0)
    now, ticks, frames = 0.0, 0, 0
    while now < seconds:
        now = max(now, schedule.deadline)
        steps = schedule.due(now)
        now += sum(next(costs) for _ in range(steps))
        ticks, frames = ticks + steps, frames + 1
    return ticks / seconds, frames / seconds


@pytest.mark.parametrize("share", [1.02, 1.05, 1.18, 1.5, 2.0, 3.7, 10.0])
def test_a_room_that_is_too_slow_for_its_rate_still_shows_what_it_does(share: float) -> None:
    """Its ticks take ``share`` of a period each: it makes as many as it can, and players see nearly each of them."""
    ticks, frames = play(60.0, itertools.repeat(share * 0.05))
    assert ticks == pytest.approx(20 / share, rel=0.08)
    assert frames >= 0.75 * ticks


@pytest.mark.parametrize("stands_still", [0.06, 0.12, 0.19])
def test_a_hiccup_now_and_then_costs_no_tick(stands_still: float) -> None:
    costs = itertools.cycle([stands_still, *[0.005] * 9])
    ticks, _ = play(60.0, costs)
    assert ticks == pytest.approx(20, rel=0.01)


def test_waking_a_moment_early_runs_one_tick() -> None:
    schedule = TickSchedule(0.05)
    schedule.start(1.0)
    deadline = schedule.deadline
    assert schedule.due(deadline - 1e-6) == 1
    assert schedule.deadline == pytest.approx(deadline + 0.05)


@pytest.mark.parametrize("count", [2, 3, 10, 100, 1000])
def test_phases_spread_rooms_evenly(count: int) -> None:
    phases = sorted(phase_of(index) for index in range(1, count + 1))
    assert all(0 <= phase < 1 for phase in phases)
    gaps = [b - a for a, b in zip(phases, [*phases[1:], phases[0] + 1], strict=True)]
    assert min(gaps) > 0.3 / count
    assert max(gaps) < 2.7 / count
