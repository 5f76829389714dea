"""From measured points to a table: medians with their spread, and ratios against each rival."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any, Final

from tests.bench.systems import Row

#: From this share of a core on, what else the machine did is worth a word.
_BUSY_PERCENT: Final = 20.0
#: Heading, keys of a row (a cell shows them with / between) and digits.
_COLUMNS: Final = (
    ("CPU us per client and tick", ("cpu_us_per_client_tick",), 1),
    ("of it in the kernel", ("cpu_system_us_per_client_tick",), 1),
    ("bytes per client and tick", ("bytes_per_client_tick",), 0),
    ("KiB per connection", ("rss_kib_per_connection",), 1),
    ("tick Hz", ("tick_hz",), 2),
    ("tick late p99 ms", ("tick_late_ms_p99",), 2),
    ("seen from outside", ("seen_late_ms_p99",), 2),
    ("input to state p50/p99 ms", ("latency_ms_p50", "latency_ms_p99"), 0),
    ("state age p50/p99 ms", ("state_age_ms_p50", "state_age_ms_p99"), 0),
    ("frame gap p99/max ms", ("frame_gap_ms_p99", "frame_gap_ms_max"), 0),
)


def medians(rows: Iterable[Row]) -> list[Row]:
    """One row for each workload, system and count: the median of every figure, and under ``spread`` least and most."""
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["workload"], row["system"], row["clients"]), []).append(row)
    return [_median(group) for group in groups.values()]


def _median(group: list[Row]) -> Row:
    middle: Row = {}
    spread: dict[str, list[float]] = {}
    for key, first in group[0].items():
        values = [row[key] for row in group if row.get(key) is not None]
        if values and all(isinstance(value, float) for value in values):
            middle[key], spread[key] = statistics.median(values), [min(values), max(values)]
        else:
            middle[key] = max(values) if key in ("desyncs", "disconnects") and values else first
    if "cpu_us_per_client_tick" in spread:
        middle["cpu_us_min"], middle["cpu_us_max"] = spread["cpu_us_per_client_tick"]
    if "limit" in middle:
        middle["limit"] = statistics.mode(row["limit"] for row in group)
    return {**middle, "spread": spread, "repeats": len(group)}


def table(rows: list[Row]) -> str:
    """A Markdown table of medians, ours first, and below it how ours compares."""
    names = [name for name, _, _ in _COLUMNS]
    lines = [f"| workload | clients | system | {' | '.join(names)} |", "|---|---:|---|" + "---:|" * len(names)]
    for row in rows:
        if row["cpu_us_per_client_tick"] is not None:
            cells = [_cell(row, keys, digits) for _, keys, digits in _COLUMNS]
            lines.append(f"| {row['workload']} | {row['clients']} | {row['system']} | {' | '.join(cells)} |")
    lines += ["", *ratios(rows), *doubts(rows)]
    lines += [
        f"publish of 10 000 moving entities: {row['publish_ms']:.2f} ms of CPU" for row in rows if "publish_ms" in row
    ]
    return "\n".join(lines)


def ratios(rows: list[Row]) -> list[str]:
    """A line for each point and rival: our CPU as a share of its."""
    ours = {(row["workload"], row["clients"]): row for row in rows if row["system"] == "tickwire"}
    lines = []
    for row in rows:
        mine: dict[str, Any] | None = ours.get((row["workload"], row["clients"]))
        if row["system"] != "tickwire" and mine is not None:
            ratio = mine["cpu_us_per_client_tick"] / row["cpu_us_per_client_tick"]
            lines.append(f"{row['workload']}, {row['clients']} clients: {ratio:.2f} of {row['system']}'s CPU")
    return lines


def doubts(rows: list[Row]) -> list[str]:
    """A line for each of our points whose figures are not to be trusted, or that went wrong."""
    lines = []
    for row in rows:
        point = f"{row['workload']}, {row['clients']} clients"
        if row.get("desyncs"):
            lines.append(f"{point}: {row['desyncs']} DESYNCS")
        if row.get("disconnects"):
            lines.append(f"{point}: {row['disconnects']} players LOST their connections")
        if row.get("limit") in ("tool", "machine"):
            lines.append(f"{point}: the players' own process was late, so what they saw is worse than what was there")
        if (row.get("others_cpu_percent") or 0.0) > _BUSY_PERCENT:
            lines.append(f"{point}: other things took {row['others_cpu_percent']:.0f} % of a core meanwhile")
    return lines


def _cell(row: Row, keys: tuple[str, ...], digits: int) -> str:
    values = [row.get(key) for key in keys]
    if None in values:
        return ""
    text = "/".join(f"{value:.{digits}f}" for value in values)
    if keys == ("cpu_us_per_client_tick",):
        least, most = row["spread"]["cpu_us_per_client_tick"]
        text += f" ({least:.1f}-{most:.1f})"
    return text
