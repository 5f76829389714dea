"""Links as people write them down: presets, own values, and what is said when something is wrong."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest

from gamebots.conditioner import PRESETS, Direction, LinkProfile, parse_link
from gamebots.conditioner.profiles import _READERS

READ = [
    ("delay=40ms", {"delay": 0.04}, {"delay": 0.04}),
    (
        "delay=40ms,jitter=10ms,loss=0.5%,rate=50kB/s",
        *[{"delay": 0.04, "jitter": 0.01, "loss": 0.005, "rate": 5e4}] * 2,
    ),
    (" delay = 0.04s , down.delay = 1s ", {"delay": 0.04}, {"delay": 1.0}),
    ("up.rate=1Mbit/s,down.rate=2Mbps", {"rate": 125_000.0}, {"rate": 250_000.0}),
    ("loss=0.5%,burst=1", *[{"loss": 0.005}] * 2),
    ("loss=0.02,burst=3", *[{"loss": 0.02, "burst": 3.0}] * 2),
    ("share=50%,queue=2KiB", *[{"share": 0.5, "queue_bytes": 2048}] * 2),
    ("stall_every=9s,stall_seconds=500ms", *[{"stall_every": 9.0, "stall_seconds": 0.5}] * 2),
    ("delay=0", {}, {}),
    ("delay=1ms,delay=2ms", {"delay": 0.002}, {"delay": 0.002}),
]


@pytest.mark.parametrize(("text", "up", "down"), READ)
def test_own_values_are_read(text: str, up: dict[str, float], down: dict[str, float]) -> None:
    profile = parse_link(text)
    for direction, wanted in ((profile.up, up), (profile.down, down)):
        for field in fields(Direction):
            expected = wanted.get(field.name, field.default)
            assert getattr(direction, field.name) == (pytest.approx(expected) if expected is not None else None)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_named_and_can_be_changed(name: str) -> None:
    assert parse_link(name) is not None
    assert parse_link(name) == PRESETS[name]
    changed = parse_link(f"{name},down.delay=7ms,rate=none")
    assert changed.name == f"{name},down.delay=7ms,rate=none"
    assert changed.down.delay == 0.007
    assert changed.up.delay == PRESETS[name].up.delay
    assert changed.up.rate == changed.down.rate == math.inf
    assert changed.down.loss == PRESETS[name].down.loss


WRONG = [
    ("", "the link is empty"),
    (",", "the link is empty"),
    ("mobil", "there is no link 'mobil': dsl, mobile, bad, half-bandwidth, stall, or own values like"),
    ("mobile,dsl", "'dsl' in the link: there is one preset, and it comes first"),
    ("delay=1ms,mobile", "'mobile' in the link: there is one preset, and it comes first"),
    ("mobile,fast", "'fast' in the link: it is no NAME=VALUE"),
    ("speed=4", "'speed=4' in the link: there is no 'speed'; there are delay, jitter, rate"),
    ("left.delay=4ms", "'left' is no direction; there are up and down"),
    ("delay=40", "'delay=40' in the link: the unit is missing; write 40ms (there are s, ms, us)"),
    ("delay=40km", "'km' is no unit of it; write 40ms"),
    ("delay=-40ms", "'-40ms' is no number with a unit"),
    ("delay=nan", "'nan' is no number with a unit"),
    ("delay=", "the value is missing"),
    ("delay=1e999s", "'1e999s' is too large"),
    ("queue=1e999MiB", "'1e999MiB' is too large"),
    ("rate=50", "the unit is missing; write 50kB/s (there are B/s, kB/s"),
    ("rate=0B/s", "rate must be more than 0"),
    ("loss=2", "2 would be more than all; write 2% for a percentage"),
    ("loss=100%", "loss must be at least 0 and less than 100%, not 100%"),
    ("loss=1ms", "'ms' is no unit of it; write 0.5%"),
    ("burst=0.5", "burst must be at least 1 segment"),
    ("burst=2ms", "it is a number of segments; write 2"),
    ("share=0%", "share must be more than 0"),
    ("queue=100B", "queue must be at least 1024 bytes"),
    ("stall_every=3s", "a stall needs both"),
    ("stall_every=1s,stall_seconds=1s", "nothing would move"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is compared
        parse_link(text)
    assert said in str(caught.value)


def test_every_figure_can_be_written() -> None:
    assert set(_READERS) == {field.name for field in fields(Direction)}


@pytest.mark.parametrize("name", PRESETS)
def test_a_link_is_plain_json(name: str) -> None:
    plain = json.loads(json.dumps(PRESETS[name].to_dict(), allow_nan=False))
    assert plain["name"] == name
    assert plain["up"]["delay"] == PRESETS[name].up.delay
    assert set(plain["down"]) == {field.name for field in fields(Direction)}
    assert LinkProfile("", Direction(), Direction()).to_dict()["up"]["rate"] is None


def test_a_link_is_said_in_words() -> None:
    assert PRESETS["mobile"].describe() == "40 ms +- 10 ms, 1500 kB/s, 0.2 % lost each way"
    assert PRESETS["half-bandwidth"].describe() == "up 30 ms; down 30 ms, 50 % of what is offered"
    assert parse_link("loss=2%,burst=3").describe() == "0 ms, 2 % lost in bursts of 3 each way"
    assert parse_link("stall").describe() == "30 ms, 2 s of standstill every 10 s each way"
