"""The result document: which figures there are, what they are figures of, and which side it calls the limit."""

from __future__ import annotations

import datetime
import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from gamebots.conditioner import parse_link
from gamebots.figures import Watched, make_document
from gamebots.measures import BotMeasures, Counts, Durations, Measured, Second, merge_second, read_histogram
from gamebots.plan import Plan
from tests.support.load_results import sample_result

STARTED = datetime.datetime(2026, 11, 23, 4, 25, tzinfo=datetime.UTC)
DURATIONS = ("connect", "join", "return", "lateness", "server_tick", "tool.lag")


class Machine(Watched):
    """What a machine told that was never asked."""

    def __init__(self, machine: tuple[float, ...] = (), server: tuple[tuple[float, float], ...] = ()) -> None:
        self.machine_percent = [*machine]
        self.server_percent = [percent for percent, _ in server]
        self.server_mib = [mib for _, mib in server]


def durations(*seconds: float) -> Durations:
    made = Durations()
    made.record(seconds)
    return made


def bot(number: int = 0, group: str = "players", seconds: float = 10.0, **counts: int) -> BotMeasures:
    made = BotMeasures(number, group, Counts(**counts), seconds)
    made.latency.record([0.04, 0.05])
    made.state_age.record([0.03])
    made.gap.record([0.05])
    return made


def measured(*bots: BotMeasures, **more: Any) -> Measured:
    """A run without anything wrong, but for what is said."""
    made = Measured(10.0, [*bots] or [bot()], joins=len(bots) or 1, connected=len(bots) or 1)
    made.durations = {name: Durations() for name in DURATIONS}
    for name, values in more.pop("durations", {}).items():
        made.durations[name].record(values)
    made.tick_rates, made.tick_rate, made.tool_cpu_percent = [20.0], 20.0, 30.0
    for name, value in more.items():
        setattr(made, name, value)
    return made


def document(what: Measured | None = None, *, watched: Watched | None = None, **of_plan: Any) -> dict[str, Any]:
    what = measured() if what is None else what
    plan = Plan("ws://127.0.0.1:1/arena", **{"count": len(what.bots), **of_plan})
    made = make_document(plan, what, [], 0, STARTED, watched or Machine(), interrupted=False)
    json.dumps(made, allow_nan=False)
    return made


def missing(sample: Any, made: Any, where: str = "") -> list[str]:
    """Keys of a sample, in any depth, that what was made has not."""
    if not isinstance(sample, dict):
        return []
    gone = [f"{where}{key}" for key in sample if key not in made]
    return gone + [each for key in sample if key in made for each in missing(sample[key], made[key], f"{where}{key}/")]


def test_the_document_has_what_the_samples_of_other_tests_have() -> None:
    made, sample = document(), sample_result()
    del sample["histograms"], sample["disconnects"]  # by what was measured
    assert missing(sample, made) == []


def test_rates_are_per_bot_and_second_in_the_room() -> None:
    one, half = bot(0, frames=200, bytes_in=2000, bytes_out=100), bot(1, seconds=5.0, frames=50, bytes_in=500)
    never = bot(2, seconds=0.0)
    made = document(measured(one, half, never))
    rate = made["figures"]["frames.rate"]
    assert (rate["value"], rate["count"], rate["min"], rate["max"], rate["unit"]) == (15.0, 2, 10.0, 20.0, "/s")
    assert made["figures"]["bytes.in"]["value"] == 150.0
    assert made["figures"]["bytes.out"]["value"] == 5.0
    assert made["per_bot"]["frames_rate"] == [20.0, 10.0, None]
    assert made["per_bot"]["bot"] == [0, 1, 2]


def test_the_verdict_is_about_players_and_others_are_told_beside_them() -> None:
    slow = bot(1, "slow readers", frames=10, skipped_ticks=190, disconnects=2, desyncs=1)
    slow.latency.record([9.0])
    made = document(measured(bot(0, frames=190, skipped_ticks=10), slow))
    figures = made["figures"]
    assert figures["latency"]["max"] < 60
    assert figures["disconnects"]["value"] == 0
    assert (figures["ticks.skipped"]["value"], figures["ticks.skipped_share"]) == (10, {"unit": "%", "value": 5.0})
    others = made["groups"]["slow readers"]
    assert (others["bots"], others["figures"]["disconnects"]["value"]) == (1, 2)
    assert others["figures"]["latency"]["max"] == pytest.approx(9000, rel=0.01)
    assert made["groups"]["players"]["bots"] == 1
    assert made["per_bot"]["group"] == ["players", "slow readers"]
    assert made["per_bot"]["desyncs"] == [0, 1]


def test_what_was_never_measured_is_no_number() -> None:
    silent = BotMeasures(0, "players")
    figures = document(measured(silent, tick_rates=[], tick_rate=0.0, joins=0, refusals=1))["figures"]
    assert (figures["latency"]["count"], figures["latency"]["p99"]) == (0, None)
    assert (figures["frames.rate"]["value"], figures["frames.rate"]["count"]) == (None, 0)
    assert figures["ticks.rate"]["value"] is None
    assert figures["ticks.skipped_share"]["value"] == 0
    assert figures["refused"]["value"] == 1
    assert {"return", "server.cpu", "server.memory"}.isdisjoint(figures)


def test_figures_that_not_every_run_has() -> None:
    made = document(
        measured(durations={"return": [0.2, 0.3]}, returns=2, failures=Counter({"ZeroDivisionError": 3})),
        watched=Machine(server=((40.0, 100.0), (60.0, 120.0), (50.0, 110.0))),
    )
    figures = made["figures"]
    assert (figures["return"]["count"], made["bots"]["returns"]) == (2, 2)
    assert (figures["server.cpu"]["value"], figures["server.cpu"]["max"]) == (50.0, 60.0)
    assert (figures["server.memory"]["value"], figures["server.memory"]["unit"]) == (120.0, "MiB")
    assert figures["bots.failed"]["value"] == 3
    assert any("3 bot(s) failed in their own code and left: ZeroDivisionError" in text for text in made["warnings"])


def test_reasons_come_the_most_frequent_first() -> None:
    lost = Counter({"1006 gone": 2, "4008 too slow": 7})
    made = document(measured(disconnects=lost, refused=Counter({"4003 full": 1})))
    assert list(made["disconnects"].items()) == [("4008 too slow", 7), ("1006 gone", 2)]
    assert made["refusals"] == {"4003 full": 1}


@pytest.mark.parametrize(
    ("what", "machine", "link", "side"),
    [
        ({}, (50.0,), None, "none"),
        ({"tick_rates": [], "tick_rate": 0.0}, (), None, "none"),
        ({"tick_rates": [19.0]}, (50.0,), None, "server"),
        ({"tick_rates": [19.9]}, (50.0,), None, "none"),
        ({"tick_rates": [3.0], "tick_rate": 0.0}, (), None, "none"),  # a room that ticks when something happens
        ({"durations": {"lateness": [0.001] * 90 + [0.03] * 10}}, (50.0,), None, "server"),
        ({"durations": {"lateness": [0.001] * 999 + [0.03]}}, (50.0,), None, "none"),
        ({"durations": {"lateness": [0.03] * 10}}, (50.0,), "mobile", "none"),  # the link's jitter
        ({"tick_rates": [15.0]}, (50.0,), "mobile", "server"),
        ({"tool_cpu_percent": 90.0}, (50.0,), None, "tool"),
        ({"tool_cpu_percent": 90.0, "tick_rates": [15.0]}, (50.0,), None, "tool"),
        ({"durations": {"tool.lag": [0.001] * 90 + [0.05] * 10}}, (50.0,), None, "tool"),
        ({"tool_cpu_percent": 90.0, "tick_rates": [15.0]}, (99.0, 98.0), None, "machine"),
        ({"tick_rates": [15.0]}, (99.0, 98.0), None, "server"),
    ],
)
def test_who_was_the_limit(what: dict[str, Any], machine: tuple[float, ...], link: str | None, side: str) -> None:
    profile = None if link is None else parse_link(link)
    made = document(measured(**what), watched=Machine(machine), link=profile)
    limit = made["limit"]
    assert limit["side"] == side
    names = {"none": "Neither side", "tool": "This tool", "server": "The server", "machine": "This machine"}
    assert limit["text"].startswith(names[side])
    assert limit["text"].endswith(".")
    assert bool(made["warnings"]) == (side in ("tool", "machine"))


def test_who_holds_no_replica_is_told() -> None:
    (warning,) = document(replicas=0)["warnings"]
    assert "0 of 1 bots held the state" in warning


def second(number: int, connected: int, frames: int) -> Second:
    sums = dict.fromkeys(("frames", "bytes_in", "bytes_out", "joins", "refused", "disconnects", "desyncs"), 0)
    most = dict.fromkeys(("lateness_ms", "server_tick_ms", "tool_cpu_percent", "tool_lag_ms"))
    empty = np.array([], np.float32)
    return Second(number, connected, {**sums, "frames": frames}, most, empty, empty)


def test_the_time_line_begins_with_the_ramp_and_counts_from_where_measuring_began() -> None:
    rows = [merge_second([second(number, number + 1, 20 * number)]) for number in range(5)]
    plan = Plan("ws://127.0.0.1:1/arena", count=5, ramp=math.inf)
    made = make_document(plan, measured(), rows, 2, STARTED, Machine(), interrupted=True)
    line = made["timeline"]
    assert line["second"] == [-2, -1, 0, 1, 2]
    assert line["connected"] == [1, 2, 3, 4, 5]
    assert line["frames_per_second"] == [0, 20, 40, 60, 80]
    assert line["latency_p99_ms"] == [None] * 5
    assert {len(column) for column in line.values()} == {5}
    assert (made["interrupted"], made["ramp_per_second"], made["started"]) == (True, None, "2026-11-23T04:25:00Z")


def test_histograms_are_of_the_same_values_as_figures() -> None:
    made = document(measured(bot(0), bot(1, "slow readers"), durations={"join": [0.02, 0.03]}))
    assert set(made["histograms"]) == {"latency", "state_age", "frames.gap", "join"}
    for name, text in made["histograms"].items():
        values, counts = read_histogram(text)
        assert counts.sum() == made["figures"][name]["count"]
        assert values[-1] == pytest.approx(made["figures"][name]["max"], rel=0.01)
