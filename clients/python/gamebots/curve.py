"""What a search for the capacity has shown, run by run: a table for people, a document for programs, a page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from gamebots.capacity import ENDED, TOOL_LIMIT, Search
from gamebots.units import printable, show_amount

if TYPE_CHECKING:
    from rich.table import Table

FORMAT: Final = "gamebots-capacity/1"
#: What a tool on the server's own machine cannot help.
MACHINE_LIMIT: Final = "this machine was the limit, all of its cores were busy (run this tool on another one)"
#: Heading, figure and statistic of each column between how many bots there were and whether they passed.
COLUMNS: Final = (
    ("latency p50", "latency", "p50"),
    ("p99", "latency", "p99"),
    ("age p99", "state_age", "p99"),
    ("frames", "frames.rate", "value"),
    ("tick p99", "server_tick", "p99"),
    ("tool", "tool.cpu", "value"),
)


def make_point(document: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, Any]:
    """One run as a point of the curve.

    Args:
        document: the run's result. verdict: what was required of it, judged.
    """
    return {
        "count": document["count"],
        "passed": verdict["passed"],
        "tool_was_limit": document["limit"]["side"] in ("tool", "machine"),
        "limit": document["limit"],
        "bots": document["bots"],
        "figures": document["figures"],
        "disconnects": document["disconnects"],
        "verdict": verdict,
    }


def missed(point: Mapping[str, Any]) -> str:
    """What a run missed: ``latency.p99<120ms (183 ms)``, separated by commas; "" when it passed."""
    if not point["bots"]["joined"]:
        return "not a single bot could join"
    return ", ".join(_missed_one(row) for row in point["verdict"]["requirements"] if not row["passed"])


def _missed_one(row: Mapping[str, Any]) -> str:
    found = row["found"]
    shown = "nothing was measured" if found is None else show_amount(found, row["unit"], beside=row["limit"])
    return f"{row['text']} ({shown})"


def answer_text(search: Search, points: Sequence[Mapping[str, Any]], ended: str | None = None) -> str:
    """The answer in one sentence, with what the smallest count that failed missed."""
    answer = search.answer()
    at_the_bound = [point for point in points if point["count"] == (answer.failed or answer.count)]
    limit = MACHINE_LIMIT if at_the_bound and at_the_bound[-1]["limit"]["side"] == "machine" else TOOL_LIMIT
    text = answer.sentence(ended or ENDED, limit)
    failures = [point for point in points if point["count"] == answer.failed and not point["passed"]]
    if answer.bound not in ("server", "first") or not failures:
        return text
    return f"{text.removesuffix('.')}: {missed(failures[-1])}."


def cells(point: Mapping[str, Any]) -> list[str]:
    """A point as text: the count, a cell for each of `COLUMNS`, and the verdict with what was the limit."""
    shown, side = [], point["limit"]["side"]
    for _, figure, statistic in COLUMNS:
        entry = point["figures"].get(figure) or {}
        shown.append(show_amount(entry.get(statistic), entry.get("unit", "")))
    verdict = "passed" if point["passed"] else "FAILED"
    return [str(point["count"]), *shown, verdict + (f" ({side})" if point["tool_was_limit"] else "")]


def table(points: Sequence[Mapping[str, Any]]) -> Table:
    """All points for a terminal, in the order in which they were tried."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("bots", justify="right")
    for heading, _, _ in COLUMNS:
        shown.add_column(heading, justify="right")
    shown.add_column("")
    for point in points:
        *front, verdict = cells(point)
        shown.add_row(*front, Text(verdict, style="green" if point["passed"] else "red"))
    return shown


def plain_heading() -> str:
    """The first line of a table that grows by `plain_line`."""
    return _in_columns(["bots", *(heading for heading, _, _ in COLUMNS), ""])


def plain_line(point: Mapping[str, Any]) -> str:
    """A point as a line, with what it missed."""
    line = _in_columns(cells(point))
    return line if point["passed"] else f"{line}: {missed(point)}"


def _in_columns(texts: Sequence[str]) -> str:
    count, *middle, verdict = texts
    widths = [max(len(heading), 8) for heading, _, _ in COLUMNS]
    padded = [text.rjust(width) for text, width in zip(middle, widths, strict=True)]
    return "  ".join([count.rjust(6), *padded, verdict]).rstrip()


def make_document(
    about: Mapping[str, Any], search: Search, points: Sequence[Mapping[str, Any]], ended: str | None
) -> dict[str, Any]:
    """The result for programs.

    Args:
        about: what was asked for, as plain values.
        search: with all its tries. points: of them.
        ended: what ended the search early; None when it has come to its end.
    """
    answer = search.answer()
    return {
        "format": FORMAT,
        **about,
        "answer": {
            "count": answer.count,
            "failed": answer.failed,
            "bound": answer.bound,
            "exact": answer.is_exact,
            "text": answer_text(search, points, ended),
        },
        "points": list(points),
    }


def page(document: Mapping[str, Any], figure: str) -> str:
    """One HTML page that needs nothing from elsewhere: the answer, the curve, and the table.

    Args:
        document: of `make_document`. figure: the curve, as SVG.
    """
    escaped = html.escape(printable(document["answer"]["text"]))
    required = html.escape(printable(", ".join(document["requirements"])))
    heading = "".join(f"<th>{html.escape(text)}" for text in ("bots", *(text for text, _, _ in COLUMNS), "", "missed"))
    rows = "\n".join(_page_row(point) for point in document["points"])
    return _PAGE.format(
        answer=escaped,
        url=html.escape(printable(document["url"])),
        required=required,
        seconds=f"{document['seconds']:g}",
        link=html.escape(printable((document["link"] or {}).get("name", "as it is"))),
        figure=figure,
        heading=heading,
        rows=rows,
    )


def _page_row(point: Mapping[str, Any]) -> str:
    texts = [html.escape(printable(text)) for text in (*cells(point), missed(point))]
    return f'<tr class="{"passed" if point["passed"] else "failed"}"><td>' + "<td>".join(texts)


_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Capacity</title>
<style>
:root {{ color-scheme: light dark; --ink: #1d2329; --paper: #fff; --quiet: #5b6670; --line: #d5dadf; --good: #17703a;
  --bad: #b3261e; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e4e8ec; --paper: #14181c; --quiet: #9aa5af; --line: #343b42; --good: #6fce93; --bad: #ff8a80;
    --first: #56b4e9; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 64rem;
  margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; line-height: 1.3; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }} dt {{ color: var(--quiet); }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
figure {{ margin: 1.5rem 0; }} svg {{ max-width: 100%; height: auto; }}
div {{ overflow-x: auto; }} table {{ border-collapse: collapse; white-space: nowrap; }}
th, td {{ text-align: right; padding: .2rem .7rem; border-bottom: 1px solid var(--line); }}
th {{ color: var(--quiet); font-weight: normal; }} tr > :nth-last-child(-n+2) {{ text-align: left; }}
td:last-child {{ white-space: normal; min-width: 16rem; }}
.passed td:nth-last-child(2) {{ color: var(--good); }} .failed td:nth-last-child(2) {{ color: var(--bad); }}
</style>
<h1>{answer}</h1>
<dl><dt>room<dd>{url}<dt>required<dd>{required}<dt>measured<dd>{seconds} s in each run<dt>link<dd>{link}</dl>
<figure>{figure}</figure>
<div><table><thead><tr>{heading}<tbody>
{rows}
</table></div>
"""
