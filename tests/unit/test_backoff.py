"""Room types that crash: the first crash costs nothing, repeated ones wait, and who lives long enough is forgiven."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver.rooms.backoff import LONGEST_WAIT_SECONDS, QUIET_SECONDS, CrashBackoff
from tests.support.examples import examples

#: The wait after so many crashes in a row, the first at index 1.
WAITS = [0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]

# Eighths of a second, so that sums are exact and "just at the limit" is met.
gaps = st.one_of(st.integers(0, 8 * 130), st.sampled_from([8 * 60, 8 * 61, 8 * 62, 8 * 120])).map(lambda n: n / 8)


def crashed_at(*times: float) -> CrashBackoff:
    backoff = CrashBackoff()
    for time in times:
        backoff.failed("arena", time, made=time)
    return backoff


@pytest.mark.parametrize(
    ("crashes", "now", "wait"),
    [
        ((), 0, 0),
        ((100,), 100, 0),
        ((100, 100), 100, 1),
        ((100, 130), 130, 1),
        ((100, 130), 130.75, 0.25),
        ((100, 130), 131, 0),
        ((100, 130), 500, 0),
        ((100, 160), 160, 1),  # within a minute
        ((100, 160.5), 160.5, 0),  # not within a minute: a first one again
        ((100, 101, 162), 162, 2),  # a minute counts from the end of the wait
        ((100, 101, 162.5), 162.5, 0),
        ((100, 101, 102, 104), 104, 4),
        (range(100, 107), 106, 32),
        (range(100, 108), 107, 60),
        (range(100, 108), 160, 7),
        (range(100, 5000), 4999, 60),
        ((*range(100, 200), 319), 319, 60),
        ((*range(100, 200), 319.5), 319.5, 0),
    ],
)
def test_how_long_to_wait(crashes: tuple[float, ...], now: float, wait: float) -> None:
    assert crashed_at(*crashes).wait_seconds("arena", now) == wait


@examples(300)
@given(st.lists(st.tuples(st.sampled_from(["arena", "lobby"]), gaps), max_size=40), gaps)
def test_the_wait_is_that_of_the_crashes_in_a_row(crashes: list[tuple[str, float]], later: float) -> None:
    """Against a model that looks at the whole history of one type: asking, and other types, make no difference."""
    backoff = CrashBackoff()
    now = 1000.0
    history: dict[str, list[float]] = {"arena": [], "lobby": []}
    for name, gap in crashes:
        now += gap
        backoff.failed(name, now, made=now)
        history[name].append(now)
        for asked in history:
            assert backoff.wait_seconds(asked, now) == model_wait(history[asked], now)
    now += later
    for asked in history:
        assert backoff.wait_seconds(asked, now) == model_wait(history[asked], now)


def model_wait(times: list[float], now: float) -> float:
    if not times:
        return 0.0
    row = 1
    for earlier, later in pairwise(times):
        row = row + 1 if later - earlier <= QUIET_SECONDS + wait_after(row) else 1
    return max(0.0, times[-1] + wait_after(row) - now)


def wait_after(row: int) -> float:
    return WAITS[min(row, len(WAITS) - 1)]


@pytest.mark.parametrize("lives_seconds", [0.0, 1 / 16, 1.0, 10.0, 59.0])
def test_a_type_that_cannot_live_is_made_about_once_a_minute(lives_seconds: float) -> None:
    backoff, now, made = CrashBackoff(), 0.0, 0
    while now < 3600:
        wait = backoff.wait_seconds("arena", now)
        assert wait <= LONGEST_WAIT_SECONDS
        now += wait
        assert backoff.wait_seconds("arena", now) == 0
        now += lives_seconds
        made += 1
        backoff.failed("arena", now, made=now)
    assert made <= 8 + 3600 / (LONGEST_WAIT_SECONDS + lives_seconds)


def test_what_is_over_takes_no_memory() -> None:
    backoff = crashed_at(100, 101)
    backoff.wait_seconds("arena", 1000)
    assert backoff._crashes == {}


def test_rooms_that_follow_the_one_beside_them_make_the_wait_no_longer() -> None:
    backoff = crashed_at(100, 101)
    for _ in range(8):
        backoff.failed("arena", 101.5, made=50.0)
    assert backoff.wait_seconds("arena", 101.5) == 1.0
    backoff.failed("arena", 103.0, made=102.5)
    assert backoff.wait_seconds("arena", 103.0) == 2.0
