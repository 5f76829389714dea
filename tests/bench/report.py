"""From measured points to a table: medians with their spread, and ratios against each rival."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from tests.bench.systems import Row

_COLUMNS = [
    ("CPU us per client and tick", "cpu_us_per_client_tick", 1),
    ("of it in the kernel", "cpu_system_us_per_client_tick", 1),
    ("bytes per client and tick", "bytes_per_client_tick", 0),
    ("KiB per connection", "rss_kib_per_connection", 1),
    ("tick Hz", "tick_hz", 2),
    ("tick late p99 ms", "tick_late_ms_p99", 2),
    ("input to state p50/p99 ms", None, 0),
]


def medians(rows: Iterable[Row]) -> list[Row]:
    """One row for each workload, system and count, with the median of every figure and the spread of the CPU's."""
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["workload"], row["system"], row["clients"]), []).append(row)
    return [_median(group) for group in groups.values()]


def _median(group: list[Row]) -> Row:
    middle: Row = {}
    for key, first in group[0].items():
        values = [row[key] for row in group if row.get(key) is not None]
        middle[key] = statistics.median(values) if values and isinstance(first, float) else first
    costs = [row["cpu_us_per_client_tick"] for row in group if row["cpu_us_per_client_tick"] is not None]
    if costs:
        middle["cpu_us_min"], middle["cpu_us_max"] = min(costs), max(costs)
    middle["repeats"] = len(group)
    return middle


def table(rows: list[Row]) -> str:
    """A Markdown table of medians, ours first, and below it how ours compares."""
    names = [name for name, _, _ in _COLUMNS]
    lines = [f"| workload | clients | system | {' | '.join(names)} |", "|---|---:|---|" + "---:|" * len(names)]
    for row in rows:
        if row["cpu_us_per_client_tick"] is not None:
            cells = [_cell(row, key, digits) for _, key, digits in _COLUMNS]
            lines.append(f"| {row['workload']} | {row['clients']} | {row['system']} | {' | '.join(cells)} |")
    lines += ["", *ratios(rows)]
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


def _cell(row: Row, key: str | None, digits: int) -> str:
    if key is None:
        p50, p99 = row.get("latency_ms_p50"), row.get("latency_ms_p99")
        return "" if p50 is None or p99 is None else f"{p50:.0f}/{p99:.0f}"
    value = row.get(key)
    if value is None:
        return ""
    spread = f" ({row['cpu_us_min']:.1f}-{row['cpu_us_max']:.1f})" if key == "cpu_us_per_client_tick" else ""
    return f"{value:.{digits}f}{spread}"
