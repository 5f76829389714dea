"""How fast pages are given out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver.web.pace import (
    _REMEMBERED,
    ADDRESS_BURST,
    ADDRESS_PER_SECOND,
    BURST,
    LONGEST_WAIT_SECONDS,
    PER_SECOND,
    Pace,
    Turns,
)
from tests.support.examples import examples


@examples(200)
@given(st.integers(1, 20), st.floats(0.5, 50), st.lists(st.floats(0, 0.5), max_size=60))
def test_turns_come_at_their_rate(burst: int, per_second: float, pauses: list[float]) -> None:
    """In any stretch of time no more turns begin than the burst and what the rate adds."""
    turns, now, begun = Turns(burst, per_second, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        begun.append(now + turns.wait_seconds(now))
        turns.take(now)
    assert begun == sorted(begun)
    for first, begin in enumerate(begun):
        for last in range(first, len(begun)):
            assert last - first + 1 <= burst + (begun[last] - begin) * per_second + 1e-6
    assert turns.is_new(1000.0)


def test_an_address_waits_for_itself_alone() -> None:
    pace, often = Pace(0.0), PER_SECOND / 2
    first = round(ADDRESS_BURST / (often - ADDRESS_PER_SECOND) * often)  # by then its burst is used up
    waits = [pace.take("a", number / often) for number in range(2 * first)]
    assert waits[: first - 10] == [0.0] * (first - 10)
    assert waits[-1] == pytest.approx(first * (1 / ADDRESS_PER_SECOND - 1 / often), rel=0.05)
    assert pace.take("b", 2 * first / often) == 0.0
    assert pace.take(None, 2 * first / often) == 0.0


def test_all_together_wait_and_then_are_sent_away() -> None:
    pace, longest = Pace(0.0), int(BURST + PER_SECOND * LONGEST_WAIT_SECONDS)
    waits = [pace.take(None, 0.0) for _ in range(longest + 100)]
    assert waits[int(BURST)] == pytest.approx(1 / PER_SECOND)
    assert None not in waits[: longest - 2]
    assert set(waits[longest + 2 :]) == {None}
    assert pace.take("a", 0.0) is None
    assert pace.take("a", 1.0) == pytest.approx(LONGEST_WAIT_SECONDS - 1.0, abs=0.01)


def test_addresses_are_forgotten() -> None:
    pace = Pace(0.0)
    for number in range(20 * _REMEMBERED):
        pace.take(str(number), number * 0.01)
    assert len(pace._each) < 3 * _REMEMBERED
