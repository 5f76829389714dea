"""Durations are kept to one per cent, and what several processes measured adds up to what one would have."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections import Counter
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from gamebots.measures import (
    COUNTED,
    HIGHEST_US,
    MOST,
    SUMS,
    BotMeasures,
    Counts,
    Durations,
    Measured,
    Second,
    merge,
    merge_second,
    read_histogram,
    spread,
)
from tests.support.examples import examples

seconds = st.floats(0.0001, 50)
STATISTICS = ("min", "p50", "p90", "p95", "p99", "p99_9", "max", "mean")


def durations(values: list[float]) -> Durations:
    made = Durations()
    made.record(values)
    return made


def nearest_rank(values: list[float], percent: float) -> float:
    """The least value that so many per cent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


@given(values=st.lists(seconds, min_size=1, max_size=200))
@examples(60)
def test_figures_are_true_to_one_per_cent(values: list[float]) -> None:
    figure = durations(values).figure()
    assert (figure["unit"], figure["count"]) == ("ms", len(values))
    exact = {name: nearest_rank(values, percent) for name, percent in (("p50", 50), ("p90", 90), ("p95", 95))}
    exact |= {"p99": nearest_rank(values, 99), "p99_9": nearest_rank(values, 99.9)}
    exact |= {"min": min(values), "max": max(values), "mean": math.fsum(values) / len(values)}
    for name, value in exact.items():
        assert figure[name] == pytest.approx(value * 1e3, rel=0.0101, abs=0.002), name
    assert figure["min"] <= figure["p50"] <= figure["p99"] <= figure["max"]
    assert figure["min"] <= figure["mean"] * 1.01


@given(parts=st.lists(st.lists(seconds, max_size=60), min_size=1, max_size=6))
@examples(40)
def test_parts_that_travelled_add_up_to_the_whole(parts: list[list[float]]) -> None:
    whole, total = durations([value for part in parts for value in part]), Durations()
    for part in parts:
        total.add(pickle.loads(pickle.dumps(durations(part))))
    assert total.count == sum(map(len, parts))
    if total.count:
        assert (total.encode(), total.figure()) == (whole.encode(), whole.figure())
        read = HdrHistogram.decode(whole.encode())
        assert read.get_total_count() == whole.count
        assert round(read.get_max_value() / 1e3, 3) == whole.percentile_ms(100)


@given(values=st.lists(seconds, max_size=100))
@examples(30)
def test_an_encoded_histogram_is_read_as_values_and_how_often_they_came(values: list[float]) -> None:
    found, often = read_histogram(durations(values).encode())
    assert often.sum() == len(values)
    assert np.repeat(found, often) == pytest.approx(np.sort(values) * 1e3, rel=0.0101, abs=0.002)


def test_nothing_recorded_is_no_number() -> None:
    nothing = Durations()
    assert nothing.figure() == {"unit": "ms", "count": 0, **dict.fromkeys(STATISTICS)}
    assert nothing.percentile_ms(50) is None
    assert json.dumps(nothing.figure())
    for made in (pickle.loads(pickle.dumps(nothing)), copy.deepcopy(nothing)):
        made.record([0.5])
        assert made.figure()["max"] == pytest.approx(500, rel=0.01)
    assert nothing.count == 0


def test_what_travelled_may_be_recorded_on() -> None:
    before = durations([0.001] * 99)
    after = pickle.loads(pickle.dumps(before))
    after.record([1.0])
    before.record([1.0])
    assert after.figure() == before.figure()


@pytest.mark.parametrize(
    ("value", "found_ms"),
    [(0.0, 0.001), (-0.5, 0.001), (1e-9, 0.001), (60.0, 60_000), (61.0, 60_000), (1e9, 60_000), (math.inf, 60_000)],
)
def test_what_no_histogram_holds_counts_as_its_ends(value: float, found_ms: float) -> None:
    figure = durations([value]).figure()
    assert figure["count"] == 1
    assert figure["max"] == pytest.approx(found_ms, rel=0.01)
    assert HIGHEST_US == 60_000_000


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1))
@examples(50)
def test_single_numbers_are_spread_as_numpy_says(values: list[float]) -> None:
    found = spread(iter(values))
    assert list(found) == ["count", *STATISTICS]
    assert (found["count"], found["min"], found["max"]) == (len(values), round(min(values), 3), round(max(values), 3))
    assert found["p95"] == pytest.approx(np.percentile(values, 95), abs=0.001)


def test_no_numbers_have_no_spread() -> None:
    assert spread([]) == {"count": 0, **dict.fromkeys(STATISTICS)}


# -- processes ---------------------------------------------------------------------------------------------------------

counts = st.integers(0, 1000)
some_seconds = st.lists(st.floats(0.001, 2), max_size=5)


@st.composite
def bots_measures(draw: Any, bot: int = 0) -> BotMeasures:
    made = BotMeasures(bot, draw(st.sampled_from(("players", "slow readers"))))
    made.counts = Counts(*(draw(counts) for _ in COUNTED))
    made.connected_seconds = draw(st.floats(0, 10))
    for each in (made.latency, made.state_age, made.gap):
        each.record(draw(some_seconds))
    return made


def as_values(measured: Measured) -> dict[str, Any]:
    """Everything that it holds, comparable."""
    found: dict[str, Any] = {each.name: getattr(measured, each.name) for each in fields(measured)}
    found["durations"] = {name: each.encode() for name, each in measured.durations.items() if each.count}
    found["tick_rates"] = sorted(measured.tick_rates)
    found["bots"] = [
        (
            *(bot.bot, bot.group, bot.counts, bot.connected_seconds),
            *(bot.latency.encode(), bot.state_age.encode(), bot.gap.encode()),
        )
        for bot in measured.bots
    ]
    return found


@given(data=st.data(), count=st.integers(1, 8), processes=st.integers(1, 4))
@examples(40)
def test_processes_merge_to_what_one_would_have_measured(data: st.DataObject, count: int, processes: int) -> None:
    bots = [data.draw(bots_measures(bot)) for bot in range(count)]
    reasons = data.draw(st.lists(st.sampled_from(("1006 gone", "4003 full")), max_size=6))
    samples = data.draw(st.lists(st.tuples(st.sampled_from(("connect", "lateness", "return")), seconds), max_size=20))
    joined = [data.draw(st.booleans()) for _ in bots]
    rates = data.draw(st.lists(st.floats(1, 60), max_size=4))

    def measure(share: slice, cpu: float) -> Measured:
        """What the process would tell that has this share of everything."""
        made = Measured(10.0, bots[share], disconnects=Counter(reasons[share]), refused=Counter(reasons[share]))
        made.failures = Counter(reasons[share])
        made.joins, made.refusals = sum(joined[share]), sum(not each for each in joined[share])
        made.connected, made.returns = made.joins, len(reasons[share])
        for name, value in samples[share]:
            made.durations.setdefault(name, Durations()).record([value])
        made.tick_rates, made.tick_rate, made.tool_cpu_percent = rates[share], 20.0, cpu
        return made

    whole = measure(slice(None), 40.0)
    parts = [measure(slice(index, None, processes), 40.0 - index) for index in range(processes)]
    merged = merge([pickle.loads(pickle.dumps(part)) for part in parts])
    assert as_values(merged) == as_values(whole)
    assert as_values(merge([whole])) == as_values(whole)


def test_a_process_that_was_interrupted_or_slow_stands_for_all() -> None:
    parts = [
        Measured(9.9, [], tool_cpu_percent=20.0, tick_rate=20.0),
        Measured(10.1, [], tool_cpu_percent=90.0, interrupted=True),
    ]
    whole = merge(parts)
    assert (whole.seconds, whole.tool_cpu_percent, whole.tick_rate, whole.interrupted) == (10.1, 90.0, 20.0, True)
    assert not parts[0].interrupted


def make_second(second: int, connected: int, latencies: list[float], ages: list[float], **more: Any) -> Second:
    sums = {name: more.get(name, 0) for name in SUMS}
    most = {name: more.get(name) for name in MOST}
    return Second(second, connected, sums, most, np.array(latencies, np.float32), np.array(ages, np.float32))


@given(
    values=st.lists(st.tuples(seconds, seconds), max_size=40),
    per_bot=st.lists(st.tuples(counts, counts, st.floats(0, 9) | st.none()), min_size=1, max_size=12),
    processes=st.integers(1, 5),
)
@examples(80)
def test_a_row_of_the_time_line_does_not_depend_on_how_many_processes_there_are(
    values: list[tuple[float, float]], per_bot: list[tuple[int, int, float | None]], processes: int
) -> None:
    def make(share: slice) -> Second:
        mine = per_bot[share]
        return make_second(
            7,
            len(mine),
            [latency for latency, _ in values[share]],
            [age for _, age in values[share]],
            frames=sum(frames for frames, _, _ in mine),
            disconnects=sum(lost for _, lost, _ in mine),
            lateness_ms=max((late for _, _, late in mine if late is not None), default=None),
        )

    whole = merge_second([make(slice(None))])
    assert merge_second([make(slice(index, None, processes)) for index in range(processes)]) == whole
    assert (whole["second"], whole["connected"]) == (7, len(per_bot))
    assert whole["frames_per_second"] == sum(frames for frames, _, _ in per_bot)
    if values:
        assert whole["latency_p50_ms"] == pytest.approx(np.median([a for a, _ in values]) * 1e3, rel=1e-3, abs=0.01)


def test_a_row_in_which_nothing_was_seen() -> None:
    row = merge_second([make_second(0, 0, [], []), make_second(0, 0, [], [], tool_cpu_percent=3.0)])
    empty = ("latency_p50_ms", "latency_p99_ms", "state_age_p50_ms", "lateness_max_ms", "server_tick_max_ms")
    assert {row[name] for name in empty} == {None}
    found = [row[name] for name in ("tool_cpu_percent", "tool_lag_max_ms", "joins", "bytes_in_per_second")]
    assert found == [3.0, None, 0, 0]
    assert json.dumps(row)
