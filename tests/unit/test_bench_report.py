"""What `make bench` says of its points: medians and spread, ratios, and what is not to be trusted."""

from __future__ import annotations

from tests.bench.report import medians, table


def ours(cpu: float, **more: object) -> dict[str, object]:
    row = {"workload": "full-200", "system": "tickwire", "clients": 1000, "cpu_us_per_client_tick": cpu}
    return {
        **row,
        "tick_hz": 20.0,
        "latency_ms_p50": 40.0,
        "latency_ms_p99": 60.0,
        "desyncs": 0,
        "limit": "none",
        "others_cpu_percent": 1.0,
        **more,
    }


def rival(cpu: float) -> dict[str, object]:
    row = {"workload": "full-200", "system": "colyseus", "clients": 1000, "cpu_us_per_client_tick": cpu}
    return {**row, "tick_hz": 20.0, "desyncs": None, "latency_ms_p50": None}


def test_points_of_one_kind_become_a_median_with_its_spread():
    middle, other = medians([ours(15.0), rival(30.0), ours(18.0), rival(28.0), ours(16.0), rival(35.0)])
    assert (middle["cpu_us_per_client_tick"], middle["spread"]["cpu_us_per_client_tick"]) == (16.0, [15.0, 18.0])
    assert (middle["repeats"], middle["desyncs"], other["cpu_us_per_client_tick"]) == (3, 0, 30.0)
    text = table([middle, other])
    assert "| full-200 | 1000 | tickwire | 16.0 (15.0-18.0) |" in text
    assert "| 40/60 |" in text
    assert "0.53 of colyseus's CPU" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_what_is_not_to_be_trusted_is_told():
    bad = ours(15.0, desyncs=2, limit="tool", others_cpu_percent=90.0)
    once, twice = table(medians([ours(15.0), ours(15.0), bad])), table(medians([ours(15.0), bad, bad]))
    assert "2 DESYNCS" in once
    assert "2 DESYNCS" in twice
    for words in ("own process was late", "other things took 90 % of a core"):  # the median knows nothing of one repeat
        assert words not in once
        assert words in twice


def test_a_point_without_clients_stands_below_the_table():
    publish = {"workload": "publish-10000", "system": "tickwire", "clients": 0, "cpu_us_per_client_tick": None}
    assert "publish of 10 000 moving entities: 0.50 ms" in table(medians([{**publish, "publish_ms": 0.5}]))
