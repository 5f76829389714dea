"""Result documents of load tests as `gamebots` makes them, made up: for tests of what reads them."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram

#: Of every histogram in a result document, in microseconds, and its digits.
LOWEST_US, HIGHEST_US, DIGITS = 1, 60_000_000, 2


def sample_result(*, seed: int = 1, count: int = 100, seconds: int = 30, latency_ms: float = 48.0) -> dict[str, Any]:
    """A run of so many bots in which all went well, around the given median latency."""
    dice = random.Random(seed)
    samples = {name: _samples(dice, middle) for name, middle in _MIDDLES.items()}
    samples["latency"] = _samples(dice, latency_ms)
    histograms = {name: _histogram(values) for name, values in samples.items()}
    figures: dict[str, Any] = {name: _distribution(histogram) for name, histogram in histograms.items()}
    rates = [19.98 + dice.gauss(0, 0.01) for _ in range(count)]
    figures |= {
        "frames.rate": {"unit": "/s", "value": float(np.mean(rates)), **_spread(rates)},
        "bytes.in": {"unit": "B/s", "value": 7300.0, **_spread([7300.0 + dice.gauss(0, 90) for _ in range(count)])},
        "bytes.out": {"unit": "B/s", "value": 610.0, **_spread([610.0 + dice.gauss(0, 9) for _ in range(count)])},
        "ticks.rate": {"unit": "/s", "value": 20.0, **_spread([20.0])},
        "ticks.skipped": {"unit": "", "value": 12},
        "ticks.skipped_share": {"unit": "%", "value": 0.02},
        "frames.unapplied": {"unit": "", "value": 0},
        "desyncs": {"unit": "", "value": 0},
        "hashes.checked": {"unit": "", "value": count * seconds},
        "messages": {"unit": "", "value": 40},
        "disconnects": {"unit": "", "value": 0},
        "refused": {"unit": "", "value": 0},
        "bots.failed": {"unit": "", "value": 0},
        "tool.cpu": {"unit": "%", "value": 31.0},
    }
    return {
        "format": "gamebots-result/1",
        "url": "ws://127.0.0.1:8765/arena",
        "scenario": "steady",
        "link": None,
        "seed": seed,
        "started": "2026-11-23T04:25:00Z",
        "version": "0.1.0",
        "count": count,
        "processes": 1,
        "replicas": min(count, 50),
        "ramp_per_second": 50.0,
        "seconds": float(seconds),
        "interrupted": False,
        "bots": {"asked": count, "joined": count, "connected_at_end": count, "refused": 0, "returns": 0},
        "figures": figures,
        "disconnects": {},
        "limit": {"side": "none", "text": "Neither the server nor this tool was at its limit."},
        "warnings": [],
        "per_bot": _per_bot(dice, rates, latency_ms),
        "groups": {"players": {"bots": count, "figures": _some(figures)}},
        "refusals": {},
        "timeline": _timeline(dice, count, seconds, latency_ms),
        "histograms": {name: histogram.encode().decode() for name, histogram in histograms.items()},
        "verdict": None,
    }


_MIDDLES = {
    "connect": 2.0,
    "join": 21.0,
    "state_age": 28.0,
    "frames.gap": 50.0,
    "lateness": 0.6,
    "server_tick": 6.0,
    "tool.lag": 0.4,
}


def _some(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: dict(figures[name]) for name in ("latency", "frames.rate")}


def _samples(dice: random.Random, middle_ms: float) -> list[float]:
    return [middle_ms * math.exp(dice.gauss(0, 0.15)) for _ in range(3000)]


def _histogram(values_ms: list[float]) -> Any:
    histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for value in values_ms:
        histogram.record_value(max(1, round(value * 1000)))
    return histogram


def _distribution(histogram: Any) -> dict[str, Any]:
    percentiles = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p99_9": 99.9}
    found = {name: histogram.get_value_at_percentile(percent) / 1000 for name, percent in percentiles.items()}
    least, most = histogram.get_min_value() / 1000, histogram.get_max_value() / 1000
    mean = histogram.get_mean_value() / 1000
    return {"unit": "ms", "count": histogram.get_total_count(), "min": least, **found, "max": most, "mean": mean}


def _spread(values: list[float]) -> dict[str, float]:
    names = ("min", "p50", "p90", "p95", "p99", "p99_9", "max")
    found = np.percentile(values, (0, 50, 90, 95, 99, 99.9, 100))
    return {"count": len(values), **dict(zip(names, found.tolist(), strict=True)), "mean": float(np.mean(values))}


def _per_bot(dice: random.Random, rates: list[float], latency_ms: float) -> dict[str, list[Any]]:
    def around(middle: float) -> list[float]:
        return [middle * math.exp(dice.gauss(0, 0.1)) for _ in rates]

    zeros = [0] * len(rates)
    return {
        "bot": list(range(len(rates))),
        "group": ["players"] * len(rates),
        "frames_rate": rates,
        "latency_p50_ms": around(latency_ms),
        "latency_p99_ms": around(latency_ms * 1.3),
        "state_age_p99_ms": around(60.0),
        "gap_max_ms": around(70.0),
        "bytes_in_per_s": around(7300.0),
        "skipped_ticks": zeros,
        "desyncs": zeros,
        "disconnects": zeros,
    }


def _timeline(dice: random.Random, count: int, seconds: int, latency_ms: float) -> dict[str, list[Any]]:
    second = list(range(-3, seconds))
    connected = [min(count, round(count * (at + 4) / 3)) for at in second]

    def around(middle: float) -> list[float]:
        return [middle * math.exp(dice.gauss(0, 0.1)) for _ in second]

    return {
        "second": second,
        "connected": connected,
        "frames_per_second": [20.0 * bots for bots in connected],
        "bytes_in_per_second": [7300.0 * bots for bots in connected],
        "bytes_out_per_second": [610.0 * bots for bots in connected],
        "latency_p50_ms": [None, *around(latency_ms)[1:]],
        "latency_p99_ms": [None, *around(latency_ms * 1.3)[1:]],
        "state_age_p50_ms": around(28.0),
        "state_age_p99_ms": around(60.0),
        "lateness_max_ms": around(1.5),
        "server_tick_max_ms": around(9.0),
        "joins": [connected[0], *(b - a for a, b in pairwise(connected))],
        "disconnects": [0] * len(second),
        "desyncs": [0] * len(second),
        "tool_cpu_percent": around(30.0),
        "tool_lag_max_ms": around(2.0),
    }
