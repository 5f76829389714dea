"""The plots of a load test, from result documents. Each answers None when there is no data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from gamebots.measures import read_histogram
from gamebots.report.drawing import BAD, FIRST, GOOD, SECOND, SERIES, Drawing, Picture, legend

Document = Mapping[str, Any]

#: What a plot calls its runs, and their colours.
_RUNS: Final = (("this run", FIRST), ("the other run", SECOND))
_CELLS: Final = 60
_RARE_PERCENT: Final = 0.1
#: The first, second and third line of a run, where the colour says which run it is.
_DASHES: Final = ("-", ":", "--")


def _runs(documents: Sequence[Document]) -> list[tuple[Document, str, str]]:
    return [(document, *_RUNS[index]) for index, document in enumerate(documents)]


def _histogram(document: Document, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Values in milliseconds and how often each came."""
    text = document["histograms"].get(name)
    return read_histogram(text) if text else (np.empty(0), np.empty(0))


def distribution(documents: Sequence[Document], name: str, title: str) -> Picture | None:
    """How often each duration came: share of all, over milliseconds on a logarithmic scale."""
    held = [(*_histogram(document, name), label, colour) for document, label, colour in _runs(documents)]
    held = [one for one in held if len(one[0])]
    if not held:
        return None
    # From where it becomes common: a handful of tiny ones would take half of the room.
    least = min(_value_at(values, counts, _RARE_PERCENT) for values, counts, *_ in held)
    most = max(values[-1] for values, *_ in held)
    edges = np.geomspace(max(least, 0.01), max(most, least * 1.01) * 1.001, _CELLS + 1)
    drawing = Drawing()
    (axes,) = drawing.axes
    for values, counts, label, colour in held:
        share, _ = np.histogram(np.maximum(values, edges[0]), bins=edges, weights=100 * counts / counts.sum())
        axes.stairs(share, edges, fill=True, alpha=0.3, color=colour)
        axes.stairs(share, edges, color=colour, label=label)
        for percent, style, side in ((50, "-", "right"), (99, "--", "left")):
            at = _value_at(values, counts, percent)
            axes.axvline(at, color=colour, linestyle=style, linewidth=1)
            # Half of all to the left of its line, 99 % to the right, the second run a row below: none is over another.
            axes.annotate(
                f"p{percent} {at:.3g} ms",
                (at, 1.0 if colour == FIRST else 0.89),
                xycoords=("data", "axes fraction"),
                xytext=(-3 if side == "right" else 3, -1),
                textcoords="offset points",
                ha=side,
                va="top",
                fontsize=8,
            )
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds")
    axes.set_ylabel("% of all")
    _from_zero(axes, room_above=0.15 + 0.15 * len(held))
    _plain_numbers(axes.xaxis)
    if len(documents) > 1:
        legend(axes)
    return drawing.picture(title)


def _value_at(values: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], percent: float) -> float:
    """What so many per cent do not exceed."""
    return float(values[np.searchsorted(np.cumsum(counts), counts.sum() * percent / 100)])


def percentiles(documents: Sequence[Document], name: str, title: str) -> Picture | None:
    """What so many per cent do not exceed, on the scale of HdrHistogram: as much room for the last tenth of a per cent
    as for all others.
    """
    drawing = Drawing()
    (axes,) = drawing.axes
    most = 10.0
    for document, label, colour in _runs(documents):
        values, counts = _histogram(document, name)
        if len(values):
            above = counts.sum() / np.maximum(counts[::-1].cumsum()[::-1], 1)
            axes.step(np.append(above, counts.sum()), np.append(values, values[-1]), color=colour, label=label)
            most = max(most, float(counts.sum()))
    if not axes.lines:
        return None
    marks = [mark for mark in (1, 2, 10, 100, 1000, 10_000, 100_000, 1e6) if mark <= most * 1.01]
    axes.set_xscale("log")
    axes.set_xlim(1, most)
    axes.set_xticks(marks, [_percent(mark) for mark in marks], minor=False)
    axes.minorticks_off()
    _from_zero(axes)
    axes.set_xlabel("percentile")
    axes.set_ylabel("milliseconds")
    if len(documents) > 1:
        legend(axes)
    return drawing.picture(title)


def _percent(mark: float) -> str:
    """What lies below 1 of so many, as a percentile."""
    return f"{100 - 100 / mark:.6g}"


def time_line(
    documents: Sequence[Document], columns: Mapping[str, str], title: str, unit: str, scale: float = 1.0
) -> Picture | None:
    """Columns of the time line over seconds; the ramp is shaded.

    Args:
        columns: names of columns, and what to call them.
        unit: of the axis, after dividing by ``scale``.
    """
    drawing = Drawing()
    (axes,) = drawing.axes
    for index, (document, run, colour) in enumerate(_runs(documents)):
        seconds = document["timeline"]["second"]
        for number, (column, what) in enumerate(columns.items()):
            values = [math.nan if v is None else v / scale for v in document["timeline"].get(column) or ()]
            if len(values) != len(seconds) or not any(map(math.isfinite, values)):
                continue
            several = len(columns) > 1
            label = what if len(documents) == 1 else f"{run}, {what}" if several else run
            shown = SERIES[number] if len(documents) == 1 else colour
            style = "-" if len(documents) == 1 else _DASHES[number]
            marker = "o" if len(seconds) < 3 else ""
            axes.plot(seconds, values, style, color=shown, label=label, marker=marker, markersize=4)
        if index == 0 and seconds and seconds[0] < 0:
            axes.axvspan(seconds[0], 0, color="#888", alpha=0.15, linewidth=0)
            axes.annotate(
                "ramp",
                (seconds[0], 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -1),
                textcoords="offset points",
                va="top",
                fontsize=8,
            )
    if not axes.lines:
        return None
    _from_zero(axes, room_above=0.2)
    axes.xaxis.set_major_locator(_whole_numbers())
    axes.set_xlabel("seconds")
    axes.set_ylabel(unit)
    axes.margins(x=0.01)
    legend(axes)
    return drawing.picture(title)


def bots_picture(
    documents: Sequence[Document], column: str, title: str, unit: str, scale: float = 1.0
) -> Picture | None:
    """One figure of every bot, from the least to the most: a step or a tail shows bots that fared worse."""
    drawing = Drawing()
    (axes,) = drawing.axes
    for document, label, colour in _runs(documents):
        values = sorted(value / scale for value in document["per_bot"].get(column) or () if value is not None)
        if values:
            share = np.linspace(0, 100, len(values)) if len(values) > 1 else [0]
            axes.plot(share, values, color=colour, label=label, marker="o" if len(values) < 30 else "", markersize=3)
    if not axes.lines:
        return None
    _from_zero(axes)
    axes.set_xlabel("% of bots, in this order")
    axes.set_ylabel(unit)
    axes.margins(x=0.01)
    if len(documents) > 1:
        legend(axes)
    return drawing.picture(title)


def capacity_figure(points: Sequence[Mapping[str, Any]]) -> str:
    """How latency and frame rate change with the number of bots, and which counts passed.

    Args:
        points: with ``count``, ``passed`` and ``figures`` of each run, in any order.
    """
    if not points:
        return ""
    drawing = Drawing(plots=2, height=4.2)
    above, below = drawing.axes
    ordered = sorted(points, key=lambda point: point["count"])
    for number, (figure, statistic, what) in enumerate(
        (("latency", "p99", "latency p99"), ("state_age", "p99", "state age p99"), ("latency", "p50", "latency p50"))
    ):
        _curve(above, ordered, figure, statistic, what, SERIES[number])
    _curve(below, ordered, "frames.rate", "value", "frames a second and bot", SERIES[0])
    above.set_ylabel("milliseconds")
    below.set_ylabel("frames/s")
    below.set_xlabel("bots")
    for axes in (above, below):
        _from_zero(axes)
        _mark_verdicts(axes, ordered)
    legend(above)
    return drawing.picture("Capacity: latency and frame rate by number of bots").svg


def _curve(axes: Any, points: Sequence[Mapping[str, Any]], figure: str, statistic: str, what: str, colour: str) -> None:
    """A dot for each run, and a line through the middle of those of one count, which may have been tried again."""
    held = [(point["count"], (point["figures"].get(figure) or {}).get(statistic)) for point in points]
    known = [(count, value) for count, value in held if value is not None]
    if not known:
        return
    counts = sorted({count for count, _ in known})
    middles = [float(np.median([value for at, value in known if at == count])) for count in counts]
    axes.plot(counts, middles, color=colour, label=what)
    axes.plot(*zip(*known, strict=True), "o", color=colour, markersize=3)


def _mark_verdicts(axes: Any, points: Sequence[Mapping[str, Any]]) -> None:
    """Green where all runs passed, red where one failed."""
    passed = {point["count"]: True for point in points}
    for point in points:
        passed[point["count"]] &= bool(point["passed"])
    counts = sorted(passed)
    borders = [counts[0], *((a + b) / 2 for a, b in pairwise(counts)), counts[-1]]
    for count, (left, right) in zip(counts, pairwise(borders), strict=True):
        axes.axvspan(left, right, color=GOOD if passed[count] else BAD, alpha=0.12, linewidth=0)


def bench_figure(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bars of CPU per client and tick by workload and system, with least and most as whiskers.

    Args:
        rows: medians, as `tests.bench.report` makes them.
    """
    held = [row for row in rows if row.get("cpu_us_per_client_tick") is not None]
    workloads = list(dict.fromkeys((row["workload"], row["clients"]) for row in held))
    systems = list(dict.fromkeys(row["system"] for row in held))
    if not held:
        return ""
    drawing = Drawing(height=0.7 + 0.75 * len(workloads))
    (axes,) = drawing.axes
    thick = 0.8 / len(systems)
    for number, system in enumerate(systems):
        mine = [row for row in held if row["system"] == system]
        beside = (number - (len(systems) - 1) / 2) * thick
        at = [workloads.index((row["workload"], row["clients"])) + beside for row in mine]
        values = [row["cpu_us_per_client_tick"] for row in mine]
        spread = np.array(
            [
                [value - row.get("cpu_us_min", value), row.get("cpu_us_max", value) - value]
                for value, row in zip(values, mine, strict=True)
            ]
        ).T
        axes.barh(at, values, thick * 0.9, xerr=spread, color=SERIES[number], label=system, ecolor="#888", capsize=2)
        for y, value, over in zip(at, values, spread[1], strict=True):
            axes.annotate(f" {value:.1f}", (value + over, y), va="center", fontsize=8)
    axes.set_yticks(range(len(workloads)), [f"{workload}\n{clients} clients" for workload, clients in workloads])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("CPU of the server, microseconds per client and tick: least, median and most")
    legend(axes)
    return drawing.picture("Server CPU per client and tick, by workload and system").svg


def _from_zero(axes: Any, room_above: float = 0.12) -> None:
    """Show the whole of an amount, with room above (a part of it); nothing at all as a line on the ground."""
    most = axes.dataLim.y1
    axes.set_ylim(0, most * (1 + room_above) if most > 0 else 1.0)


def _whole_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=9, integer=True)


def _plain_numbers(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
