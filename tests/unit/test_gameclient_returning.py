"""When a player who lost its connection comes back: tables of what is worth a try, and a model in virtual time."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameclient._returning import (
    FIRST_WAIT_SECONDS,
    STEADY_SECONDS,
    WIDEST_SECONDS,
    Returning,
    Silence,
    comes_back,
    is_passing,
    patience_seconds,
)
from tests.support.examples import examples

COME_BACK = (1001, 1005, 1006, 1012, 1013, 4002, 4008)
FINAL = (1000, 1002, 1003, 1007, 1008, 1009, 1011)


@pytest.mark.parametrize("code", [*COME_BACK, 1004, 1010, 1014, 3000, 3999])
def test_worth_a_try(code: int) -> None:
    assert comes_back(code)


@pytest.mark.parametrize("code", [*FINAL, *(code for code in range(4000, 4100) if code not in COME_BACK), 4999])
def test_not_worth_a_try(code: int) -> None:
    assert not comes_back(code)


@pytest.mark.parametrize(
    ("status", "passing"),
    [(0, True), (429, True), (503, True), (502, True), (504, True), (408, True)]
    + [(status, False) for status in (200, 301, 400, 401, 403, 404, 405, 426)],
)
def test_answers_that_may_be_others_in_a_moment(status: int, passing: bool) -> None:
    assert is_passing(status) is passing


def lost(chance: float = 0.0, *, seat_seconds: float = 30.0, at: float = 100.0, said: float | None = None) -> Returning:
    returning = Returning(lambda: chance)
    returning.lost(at, 1006, "the server vanished", seat_seconds, said)
    return returning


def waits(returning: Returning, now: float, attempts: int) -> list[float]:
    """How long is waited before each of so many attempts, all of which fail at once."""
    found = []
    for _ in range(attempts):
        found.append(returning.attempt_at - now)
        now = returning.attempt_at
        returning.begin()
        assert not returning.waits
        returning.failed(now, "refused")
    return found


def test_the_widest_waits() -> None:
    """The first attempt comes at once, but for a little; then the range doubles."""
    almost = math.nextafter(1.0, 0.0)
    assert waits(lost(almost, seat_seconds=1000), 100.0, 9) == pytest.approx(
        [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    )
    assert waits(lost(0.0, seat_seconds=1000), 100.0, 9) == [0.0] * 9


def test_what_the_server_says_is_waited_for() -> None:
    returning = lost(0.5, said=4.0)
    assert returning.attempt_at == 104.0 + 0.5 * FIRST_WAIT_SECONDS
    returning.begin()
    returning.failed(104.5, "the server answered 503", 7.0)
    assert returning.attempt_at == 111.5 + 0.5 * 0.25


def test_who_is_told_to_come_when_the_seat_is_gone_hears_it_at_once() -> None:
    """With the server's own words, for the program may join anew then."""
    returning = lost(said=30.0)
    assert returning.gave_up
    assert (returning.code, returning.reason) == (1006, "the server vanished")


def test_nobody_comes_back_to_a_seat_that_is_not_kept() -> None:
    returning = lost(seat_seconds=0.0)
    assert returning.gave_up
    assert not returning.waits


def test_giving_up_says_why() -> None:
    returning = lost()
    returning.begin()
    returning.failed(130.0, "nothing listens on x")
    assert returning.gave_up
    assert returning.reason == (
        "the server vanished; there was no way back in the 30 s for which the seat is kept (nothing listens on x)"
    )


def test_a_connection_that_did_not_live_is_no_reason_to_hurry() -> None:
    """A server that lets players in and loses them at once is not hammered; one that lived a while is."""
    returning = lost(0.999999)
    now, found = 100.0, []
    for _ in range(5):
        found.append(returning.attempt_at - now)
        now = returning.attempt_at
        returning.begin()
        returning.returned(now)
        now += STEADY_SECONDS / 2
        returning.lost(now, 1006, "", 30.0)
    assert found == pytest.approx([0.1, 0.25, 0.5, 1.0, 2.0], rel=1e-3)
    now = returning.attempt_at
    returning.begin()
    returning.returned(now)
    returning.lost(now + STEADY_SECONDS, 1006, "", 30.0)
    assert returning.attempt_at - now - STEADY_SECONDS == pytest.approx(0.1, rel=1e-3)


def test_time_away_is_summed() -> None:
    returning = lost()
    assert returning.seconds_away(101.0) == 1.0
    returning.begin()
    assert returning.returned(103.0) == 3.0
    assert returning.seconds_away(200.0) == 3.0
    returning.lost(200.0, 1006, "", 30.0)
    assert returning.seconds_away(201.5) == 4.5
    assert returning.returns == 1


@examples(100)
@given(
    st.floats(0, 120),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 6), st.none() | st.floats(0, 20)), max_size=200),
)
def test_attempts_begin_while_the_seat_is_kept_and_end_some_time(
    seat_seconds: float, attempts: list[tuple[float, float, float | None]]
) -> None:
    dice = iter([*(chance for chance, _, _ in attempts), *[0.5] * 500])
    returning = Returning(lambda: next(dice))
    returning.lost(100.0, 1006, "lost", seat_seconds)
    now, until = 100.0, 100.0 + seat_seconds
    rest = [*attempts, *[(0.5, 0.0, None)] * 500]
    for begun, (_, took, said) in enumerate(rest):
        if returning.gave_up:
            break
        assert now <= returning.attempt_at <= until
        if begun == 0:
            assert returning.attempt_at <= now + FIRST_WAIT_SECONDS
        now = returning.attempt_at + took
        returning.begin()
        returning.failed(now, "no", said)
        if said is None and not returning.gave_up:
            assert returning.attempt_at <= now + WIDEST_SECONDS
    assert returning.gave_up
    assert returning.reason


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_does_not_come_back_in_one_moment(seed: int) -> None:
    """All are lost in one moment and nobody gets in: the third attempts are spread over most of their range."""
    dice = random.Random(seed)
    third = []
    for _ in range(1000):
        returning = Returning(dice.random)
        returning.lost(0.0, 1006, "", 60.0)
        for _ in range(2):
            now = returning.attempt_at
            returning.begin()
            returning.failed(now, "")
        third.append(returning.attempt_at)
    assert max(third) <= FIRST_WAIT_SECONDS + 0.25 + 0.5
    busiest = max(Counter(int(at * 100) for at in third).values())
    assert busiest < 1000 / 20  # in 10 ms


# -- silence -----------------------------------------------------------------------------------------------------------


def test_patience() -> None:
    assert patience_seconds(0.05, True) == 3.0
    assert patience_seconds(1.0, True) == 20.0
    assert patience_seconds(0.05, False) == 15.0
    assert patience_seconds(1.0, False) == 20.0


@pytest.mark.parametrize("frame_seconds", [1 / 144, 1 / 60, 0.1, 1.0])
def test_who_looks_all_the_time_notices_in_time(frame_seconds: float) -> None:
    silence = Silence(3.0)
    silence.note(10.0, True)
    now = 10.0
    while not silence.too_long:
        now += frame_seconds
        silence.note(now, False)
    assert 12.99 <= now <= 13.01 + frame_seconds


def test_who_did_not_look_for_an_hour_looks_for_a_while_first() -> None:
    silence = Silence(3.0)
    silence.note(10.0, True)
    silence.note(3610.0, False)
    assert not silence.too_long
    silence.note(3611.0, False)
    assert not silence.too_long
    silence.note(3611.5, True)
    for second in range(12, 14):
        silence.note(3600.0 + second, False)
    assert not silence.too_long


def test_a_room_that_may_be_silent_is_never_too_silent() -> None:
    silence = Silence()
    for now in range(0, 100_000, 50):
        silence.note(float(now), False)
    assert not silence.too_long
    assert silence.step == math.inf
