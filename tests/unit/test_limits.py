"""The operator's limits are checked when they are set; allowances are token buckets whatever the times."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver.allowance import Allowance
from gameserver.net import Limits
from gameserver.net import limits as limits_module
from tests.support.examples import examples

NAMES = [field.name for field in fields(Limits)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "wrong", [-1, -0.001, math.inf, -math.inf, math.nan, True, "10", None, [1]], ids=lambda wrong: repr(wrong)
)
def test_what_is_no_limit_is_named(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} = .*: give a number, and never infinity$"):
        Limits(**{name: wrong})


@pytest.mark.parametrize("name", [name for name in NAMES if name != "connections"])
def test_a_limit_of_nothing_would_let_nobody_in(name: str) -> None:
    for zero in (0, 0.0, -0.0):
        with pytest.raises(ValueError, match=f"^{name} = 0 would let nobody in"):
            Limits(**{name: zero})


@pytest.mark.parametrize("name", NAMES)
def test_any_other_number_is_kept_as_it_is(name: str) -> None:
    for value in (0.001, 1, 10**9):
        assert getattr(Limits(**{name: value}), name) == value


def test_limits_do_not_change_and_are_named() -> None:
    with pytest.raises(FrozenInstanceError):
        Limits().connections = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(5)  # type: ignore[misc]
    assert Limits() == Limits()


@pytest.mark.parametrize(
    ("connections", "descriptors", "most"),
    [(0, 1024, 896), (0, 256, 128), (0, 64, 1), (7, 1024, 7), (5000, 1024, 5000)],
)
def test_connections_are_as_many_as_there_are_descriptors(
    connections: int, descriptors: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_module, "descriptor_limit", lambda: descriptors)
    assert Limits(connections=connections).most_connections() == most


def test_the_process_may_have_descriptors() -> None:
    assert limits_module.descriptor_limit() > 0


RATES = st.floats(0.01, 10_000)
STEPS = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 20)), max_size=30)


@examples(200)
@given(burst=st.integers(1, 1000), rate=RATES, start=st.floats(0, 1e6), steps=STEPS)
def test_never_more_than_the_burst_and_the_rate(
    burst: int, rate: float, start: float, steps: list[tuple[float, int]]
) -> None:
    allowance = Allowance(burst, rate, start)
    now, used = start, 0
    for seconds, tries in steps:
        now += seconds
        used += sum(allowance.take(now) for _ in range(tries))
        assert used <= burst + (now - start) * rate + 1e-3
    assert Allowance(burst, rate, start).is_full(start)


@examples(300)
@given(burst=st.floats(1, 100), rate=RATES, start=st.floats(0, 1e6), gaps=st.lists(st.floats(0, 5), max_size=20))
def test_who_waits_as_long_as_it_is_told_may(burst: float, rate: float, start: float, gaps: list[float]) -> None:
    """Whatever rounding does: who sleeps until then and is told to wait again, for no time at all, would spin."""
    allowance = Allowance(burst, rate, start)
    now = start
    for gap in gaps:
        now += gap
        while allowance.take(now):
            pass
        wait = allowance.wait_seconds(now)
        assert 0 < wait <= 1.001 / rate
        now += wait
        assert allowance.wait_seconds(now) == 0
        assert allowance.take(now)


@examples(100)
@given(burst=st.floats(1, 100), rate=RATES, amount=st.integers(0, 200))
def test_nothing_is_used_when_there_is_not_enough(burst: float, rate: float, amount: int) -> None:
    allowance = Allowance(burst, rate, 0.0)
    assert allowance.take(0.0, amount) is (amount <= burst)
    assert allowance.is_full(0.0) is (amount > burst or amount == 0)
    assert allowance.is_full(2 * burst / rate)
