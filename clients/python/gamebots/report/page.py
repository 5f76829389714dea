"""The page: what the plots and tables of one run, or of two, are called and in which order they come."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gamebots.differences import NOISE_PERCENT, change, unlike
from gamebots.report import plots
from gamebots.requirements import FIGURES
from gamebots.text import headline
from gamebots.units import printable, show_amount

Document = Mapping[str, Any]

#: What players feel most: the first figures of the page.
_FELT: Final = (
    ("latency", "p50", "Latency, half of all"),
    ("latency", "p99", "Latency, 99 %"),
    ("state_age", "p99", "Age of the state, 99 %"),
    ("frames.rate", "value", "Frames a second"),
    ("frames.gap", "max", "Longest gap"),
)
_STATISTICS: Final = ("min", "p50", "p90", "p95", "p99", "p99_9", "max", "mean")


def write_page(document: Document, path: Path, other: Document | None = None) -> None:
    """Write the report.

    Args:
        document: the result of a run. other: an earlier one to show beside it.
        path: of the file.
    Raises:
        ImportError: matplotlib or jinja2 is not installed.
    """
    path.write_text(page_text(document, other), encoding="utf-8")


def page_text(document: Document, other: Document | None = None) -> str:
    """The whole page; see `write_page`."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["printable"] = printable
    source = importlib.resources.files(__package__).joinpath("page.html.jinja").read_text(encoding="utf-8")
    tone, word, rest = headline(document)
    documents = [document] if other is None else [document, other]
    shown = environment.from_string(source).render(
        tone=tone,
        word=word,
        rest=rest,
        runs=[_about(each) for each in documents],
        limit=document["limit"]["text"],
        warnings=document["warnings"],
        unlike=unlike(other, document) if other is not None else [],
        felt=_felt(documents),
        requirements=_requirements(document),
        sections=_sections(documents),
        figures=_figure_rows(documents),
        statistics=_STATISTICS,
        losses=_losses(documents),
        groups=_groups(document),
        noise=NOISE_PERCENT,
    )
    return str(shown)


def _about(document: Document) -> list[tuple[str, str]]:
    """What was done, as names and values."""
    ramp, link = document["ramp_per_second"], document["link"]
    bots = document["bots"]
    said = [
        ("Room", document["url"]),
        ("Begun", document["started"].replace("T", " ").removesuffix("Z") + " UTC"),
        ("Bots", f"{bots['asked']}, {bots['joined']} joined, {bots['connected_at_end']} there at the end"),
        ("Measured", f"{document['seconds']:g} s{', interrupted' if document['interrupted'] else ''}"),
        ("Scenario", document["scenario"]),
        ("Ramp", "all at once" if ramp is None else f"{ramp:g} bots a second"),
        ("Link", "as it is" if link is None else link["name"]),
        ("With the state", f"{document['replicas']} of them"),
        ("Processes", str(document["processes"])),
        ("Seed", str(document["seed"])),
        ("Tickwire", document["version"]),
    ]
    return [(name, printable(value)) for name, value in said]


def _value(document: Document, figure: str, statistic: str) -> float | None:
    entry = document["figures"].get(figure) or {}
    value = entry.get(statistic)
    return float(value) if isinstance(value, int | float) else None


def _unit(documents: Sequence[Document], figure: str) -> str:
    return next((str(d["figures"][figure]["unit"]) for d in documents if figure in d["figures"]), "")


def _felt(documents: Sequence[Document]) -> list[dict[str, str]]:
    cards = []
    for figure, statistic, what in _FELT:
        unit = _unit(documents, figure)
        values = [_value(document, figure, statistic) for document in documents]
        card = {"what": what, "amount": show_amount(values[0], unit), "before": "", "tone": ""}
        if len(values) > 1:
            card["before"] = show_amount(values[1], unit)
            card["tone"] = change(figure, unit, values[1], values[0])[1]
        cards.append(card)
    return cards


def _requirements(document: Document) -> list[dict[str, Any]]:
    rows = (document["verdict"] or {}).get("requirements", [])
    return [
        {
            "text": row["text"],
            "passed": row["passed"],
            "found": show_amount(row["found"], row["unit"], beside=row["limit"]),
            "why": row["why"],
        }
        for row in rows
    ]


def _sections(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """Plots by what they are about; those without data are left out."""
    milliseconds = "milliseconds"
    found = [
        (
            "From an input to its effect",
            "How long after sending an input a bot held a frame that says it was applied. Half a tick of it is waiting "
            "for the tick.",
            plots.distribution(documents, "latency", "Latency: how often each value came"),
            plots.percentiles(documents, "latency", "Latency by percentile"),
            plots.time_line(
                documents, {"latency_p50_ms": "p50", "latency_p99_ms": "p99"}, "Latency over time", milliseconds
            ),
        ),
        (
            "How old the state is",
            "Now minus when the server made the state that a bot holds, looked at once a tick at each bot.",
            plots.percentiles(documents, "state_age", "State age by percentile"),
            plots.time_line(
                documents, {"state_age_p50_ms": "p50", "state_age_p99_ms": "p99"}, "State age over time", milliseconds
            ),
        ),
        (
            "Who was there, and what they got",
            "",
            plots.time_line(documents, {"connected": "connected"}, "Bots in the room", "bots"),
            plots.time_line(documents, {"frames_per_second": "frames"}, "Frames a second, all bots", "frames/s"),
            plots.time_line(
                documents,
                {"bytes_in_per_second": "received", "bytes_out_per_second": "sent"},
                "Bandwidth of all bots",
                "MB/s",
                1e6,
            ),
            plots.time_line(
                documents,
                {"disconnects": "connections lost", "refused": "refused", "desyncs": "desyncs"},
                "What went wrong",
                "in a second",
            ),
        ),
        (
            "The server, seen from outside",
            "How long the server took from reading inputs to writing frames (it says so in them), and how late the "
            "first frame of a tick came anywhere; the most of each second.",
            plots.time_line(
                documents,
                {"server_tick_max_ms": "server tick", "lateness_max_ms": "lateness"},
                "Server tick time and lateness",
                milliseconds,
            ),
            plots.percentiles(documents, "lateness", "Lateness of ticks by percentile"),
        ),
        (
            "Each bot",
            "All bots in a row, each figure sorted by itself: a step or a tail shows that some fared worse.",
            plots.bots_picture(documents, "frames_rate", "Frames a second of each bot", "frames/s"),
            plots.bots_picture(documents, "latency_p99_ms", "Latency p99 of each bot", milliseconds),
            plots.bots_picture(documents, "gap_max_ms", "Longest gap between frames of each bot", milliseconds),
            plots.bots_picture(documents, "bytes_in_per_s", "Bytes received by each bot", "kB/s", 1e3),
        ),
        (
            "This tool",
            "What is measured is worth something as long as the tool itself has time to spare.",
            plots.time_line(documents, {"tool_cpu_percent": "CPU"}, "CPU of the busiest process", "% of a core"),
            plots.time_line(documents, {"tool_lag_max_ms": "lag"}, "Longest lag of its loop", milliseconds),
        ),
    ]
    return [
        {"title": title, "words": words, "plots": [plot for plot in drawn if plot]}
        for title, words, *drawn in found
        if any(drawn)
    ]


def _figure_rows(documents: Sequence[Document]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for document in documents for name in document["figures"]))
    names.sort(key=lambda name: list(FIGURES).index(name) if name in FIGURES else len(FIGURES))
    rows = []
    for name in names:
        unit = _unit(documents, name)
        cells = [[show_amount(_value(d, name, s), unit) for s in ("value", *_STATISTICS)] for d in documents]
        statistic = "value" if _value(documents[0], name, "value") is not None else "p99"
        text, tone = "", ""
        if len(documents) > 1:
            after, before = (_value(document, name, statistic) for document in documents)
            text, tone = change(name, unit, before, after)
        meaning = FIGURES[name].meaning if name in FIGURES else ""
        rows.append({"name": name, "meaning": meaning, "cells": cells, "change": text, "tone": tone})
    return rows


def _losses(documents: Sequence[Document]) -> list[tuple[str, str, list[int]]]:
    """Connections lost and refused, by reason, for each run."""
    rows = []
    for key, what in (("refusals", "refused"), ("disconnects", "lost")):
        reasons = dict.fromkeys(reason for document in documents for reason in document.get(key) or {})
        rows += [
            (what, printable(reason), [(d.get(key) or {}).get(reason, 0) for d in documents]) for reason in reasons
        ]
    return rows


def _groups(document: Document) -> list[tuple[str, int, list[str]]]:
    if len(document["groups"]) < 2:
        return []
    return [
        (
            printable(name),
            group["bots"],
            [
                show_amount((group["figures"].get(figure) or {}).get(statistic), _unit([document], figure))
                for figure, statistic, _ in _FELT
            ],
        )
        for name, group in document["groups"].items()
    ]
