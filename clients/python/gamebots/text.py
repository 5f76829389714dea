"""What a person reads after a load test: is it good, what did players feel, what went wrong, which side was the limit.

Made for 80 columns and for files: no colour carries meaning alone, and nothing but ASCII is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gamebots.reading import joined_count, of_all_groups, value_of
from gamebots.reasons import because_of_refusals, why_unmeasured
from gamebots.requirements import ALWAYS_ZERO, FIGURES, passed
from gamebots.scenarios import PLAYERS
from gamebots.units import digits, printable, show_amount

Tone = Literal["good", "bad", "unsure"]
_STYLES: Final[Mapping[Tone, str]] = {"good": "bold green", "bad": "bold red", "unsure": "bold yellow"}
#: A line under the head and nothing else, in ASCII.
_LINES: Final = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
#: Counts that should be zero, in the order in which they matter.
_FAULTS: Final = (
    ("desyncs", "desync", "desyncs"),
    ("frames.unapplied", "frame that did not fit", "frames that did not fit"),
    ("disconnects", "lost connection", "lost connections"),
    ("bots.failed", "exception in bots' code", "exceptions in bots' code"),
)
#: A part of the server's ticks of which clients get frames; less is worth a word when nothing was required.
_FRAMES_ENOUGH: Final = 0.95
_GROUP_FIGURES: Final = (
    ("latency", "p50"),
    ("latency", "p99"),
    ("state_age", "p99"),
    ("frames.gap", "max"),
    ("frames.rate", "value"),
)


def print_result(document: Mapping[str, Any], console: Console) -> None:
    """Write `result_text` to a console, in characters that its encoding has; what a file gets has no colours."""
    with console.capture() as captured:
        console.print(result_text(document))
    text = captured.get()
    if not console.is_terminal:
        text = _without_spaces_at_ends(text)
    console.file.write(text.encode(console.encoding, "replace").decode(console.encoding))


def plain_result(document: Mapping[str, Any], width: int = 80) -> str:
    """The same as plain text, without colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(result_text(document))
    return _without_spaces_at_ends(captured.get())


def _without_spaces_at_ends(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def result_text(document: Mapping[str, Any]) -> Group:
    """All of it: first whether it is good, last the table of requirements."""
    parts: list[RenderableType] = [_answer(document), "", *_what_felt(document), *_rates(document)]
    parts += [*_numbers(document), *_groups(document), *_disconnects(document), *_warnings(document)]
    return Group(*parts, *_verdict(document))


# -- is it good


def headline(document: Mapping[str, Any]) -> tuple[Tone, str, str]:
    """The answer: how it is meant, one word of it in capitals, and the rest of the sentence."""
    bots = document.get("bots") or {}
    if joined_count(document) == 0:
        reasons = because_of_refusals(document)
        return "bad", "FAILED", f"none of {bots.get('asked', 0)} bots could join{reasons and f' ({reasons})'}."
    rows = _requirements(document)
    failed = [row for row in rows if not row["passed"]]
    troubles = _troubles(document)
    if failed:
        shown = ", ".join(printable(row["text"]) for row in failed[:3])
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        return "bad", "FAILED", f"{len(failed)} of {len(rows)} requirements not met: {shown}{more}."
    if not passed(document):
        met = "all requirements are met, but " if rows else ""
        return "bad", "FAILED", f"{met}{'; '.join(troubles)}."
    if rows:
        met = "the requirement is met" if len(rows) == 1 else f"all {len(rows)} requirements are met"
        return ("unsure" if troubles else "good"), "PASSED", f"{met}{_but(troubles)}."
    if troubles:
        return "bad", "TROUBLE", f"{'; '.join(troubles)}. Nothing was required (--require)."
    felt = [f"{name} {show_amount(value_of(document, 'latency', name), 'ms')}" for name in ("p50", "p99")]
    return (
        "good",
        "NO TROUBLE",
        f"all bots joined and stayed, latency {', '.join(felt)}. Nothing was required (--require).",
    )


def _but(troubles: Sequence[str]) -> str:
    return f", but {'; '.join(troubles)}" if troubles else ""


def _troubles(document: Mapping[str, Any]) -> list[str]:
    """What nobody should overlook, unless a requirement says how much of it is all right."""
    bots = document.get("bots") or {}
    required = {row["metric"] for row in _requirements(document)}
    found = []
    missing = bots.get("asked", 0) - bots.get("joined", 0)
    if missing > 0 and "refused" not in required:
        found.append(f"{missing} of {bots['asked']} bots could not join")
    for name, one, many in _FAULTS:
        count = of_all_groups(document, name)
        if count and (name not in required or name in ALWAYS_ZERO):
            found.append(f"{count:.0f} {one if count == 1 else many}")
    frames, ticks = value_of(document, "frames.rate"), value_of(document, "ticks.rate")
    if not required and frames is not None and ticks and frames < _FRAMES_ENOUGH * ticks:
        found.append(f"{digits(frames)} frames for {digits(ticks)} ticks a second")
    if document.get("interrupted"):
        found.append(f"interrupted after {_seconds(document)} s")
    return found


def _answer(document: Mapping[str, Any]) -> RenderableType:
    tone, word, sentence = headline(document)
    limit = document.get("limit") or {}
    lines = [Text.assemble((f"{word}:", _STYLES[tone]), " ", sentence), Text(_what_was_done(document))]
    if limit.get("text"):
        lines.append(Text(printable(limit["text"]), "" if limit.get("side") == "none" else "yellow"))
    return Group(*lines)


def _what_was_done(document: Mapping[str, Any]) -> str:
    bots = document.get("bots") or {}
    link = document.get("link")
    words = [
        f"{bots.get('joined', 0)} bots for {_seconds(document)} s at {document.get('url')}",
        f"scenario {document.get('scenario')}",
        f"link {link.get('name', 'own values')}" if link else "",
        f"{document.get('replicas')} with the state" if document.get("replicas") != document.get("count") else "",
        f"{document['processes']} processes" if document.get("processes", 1) != 1 else "",
        f"seed {document.get('seed')}",
    ]
    return printable(", ".join(word for word in words if word)) + "."


def _seconds(document: Mapping[str, Any]) -> str:
    return f"{document.get('seconds') or 0:.1f}".removesuffix(".0")


# -- tables


def _of_whom(document: Mapping[str, Any], of_all: str, of_players: str) -> str:
    """The title of figures, which are of the group of players when there are others."""
    groups = document.get("groups") or {}
    return of_players if len(groups) > 1 and PLAYERS in groups else of_all


def _table(title: str, *columns: str, words_at_end: bool = False) -> Table:
    """A table of a name, numbers, and perhaps words in the last column."""
    table = Table(box=_LINES, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(title, no_wrap=True)
    for at, column in enumerate(columns):
        words = words_at_end and at == len(columns) - 1
        table.add_column(column, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    return table


def _spaced(table: RenderableType) -> list[RenderableType]:
    return [Padding(table, (0, 0, 1, 0))]


def _known(document: Mapping[str, Any], *kinds: str) -> list[tuple[str, Mapping[str, Any], str]]:
    """(name, entry, meaning) of the figures of these kinds that were measured; those of other versions come last."""
    figures = document.get("figures") or {}
    order = [name for name in FIGURES if name in figures] + [name for name in figures if name not in FIGURES]
    found = []
    for name in order:
        entry = figures[name]
        is_a = FIGURES[name].kind if name in FIGURES else "number" if "value" in entry else "distribution"
        if is_a in kinds and entry.get("count") != 0:
            found.append((name, entry, FIGURES[name].meaning if name in FIGURES else ""))
    return found


def _what_felt(document: Mapping[str, Any]) -> list[RenderableType]:
    rows = _known(document, "distribution")
    if not rows:
        return []
    table = _table(
        _of_whom(document, "What was felt", "Players felt"), "p50", "p99", "p99.9", "max", "", words_at_end=True
    )
    for name, entry, meaning in rows:
        amounts = [show_amount(entry.get(statistic), entry["unit"]) for statistic in ("p50", "p99", "p99_9", "max")]
        table.add_row(Text(printable(name)), *amounts, Text(meaning, "dim"))
    return _spaced(table)


def _rates(document: Mapping[str, Any]) -> list[RenderableType]:
    rows = _known(document, "rate")
    if not rows:
        return []
    table = _table(
        _of_whom(document, "Of each bot", "Each player"), "mean", "worst", "p50", "best", "", words_at_end=True
    )
    for name, entry, meaning in rows:
        # Of frames, few are bad; of bytes, many.
        order = (
            ("value", "min", "p50", "max") if name in ("frames.rate", "inputs.rate") else ("value", "max", "p50", "min")
        )
        amounts = [show_amount(entry.get(statistic), entry["unit"]) for statistic in order]
        table.add_row(Text(printable(name)), *amounts, Text(meaning, "dim"))
    return _spaced(table)


def _numbers(document: Mapping[str, Any]) -> list[RenderableType]:
    rows = _known(document, "number", "gauge")
    if not rows:
        return []
    table = _table("In all", "", "", words_at_end=True)
    faults = {name for name, _, _ in _FAULTS} | {"refused"}
    for name, entry, meaning in rows:
        missing = why_unmeasured(document, name, None) if name in FIGURES else None
        if missing is not None and joined_count(document) == 0:
            continue  # zeros that say nothing
        bad = name in faults and bool(entry.get("value"))
        amount = "-" if missing is not None else show_amount(entry.get("value"), entry["unit"])
        table.add_row(Text(printable(name)), Text(amount, "bold red" if bad else ""), Text(missing or meaning, "dim"))
    bots = document.get("bots") or {}
    if returns := bots.get("returns"):
        table.add_row(Text("returns"), f"{returns:.0f}", Text("connections that came back", "dim"))
    return _spaced(table)


def _groups(document: Mapping[str, Any]) -> list[RenderableType]:
    groups = document.get("groups") or {}
    if len(groups) < 2:
        return []
    shown = [
        (figure, statistic)
        for figure, statistic in _GROUP_FIGURES
        if any(figure in (group.get("figures") or {}) for group in groups.values())
    ]
    heads = [figure if statistic == "value" else f"{figure}\n{statistic}" for figure, statistic in shown]
    table = _table("Groups", "bots", *heads)
    for name, group in groups.items():
        entries = [((group.get("figures") or {}).get(figure) or {}, statistic) for figure, statistic in shown]
        amounts = [show_amount(entry.get(statistic), entry.get("unit", "")) for entry, statistic in entries]
        table.add_row(Text(printable(name)), str(group.get("bots", "-")), *amounts)
    return _spaced(table)


def _disconnects(document: Mapping[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for key, title in (("refusals", "Refused"), ("disconnects", "Lost")):
        reasons = {reason: count for reason, count in (document.get(key) or {}).items() if count}
        if not reasons:
            continue
        table = _table(title, "because of", words_at_end=True)
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
            table.add_row(Text(str(count), justify="right"), Text(printable(reason)))
        parts += _spaced(table)
    return parts


def _warnings(document: Mapping[str, Any]) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text.assemble(("Warning:", "bold yellow"), " ", printable(warning))
        for warning in document.get("warnings") or []
    ]
    return [*lines, ""] if lines else []


# -- the verdict


def _requirements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((document.get("verdict") or {}).get("requirements") or [])


def _verdict(document: Mapping[str, Any]) -> list[RenderableType]:
    rows = _requirements(document)
    if not rows:
        return []
    texts = [printable(row["text"]) for row in rows]
    amounts = [show_amount(row.get("found"), row.get("unit") or "", beside=row.get("limit")) for row in rows]
    wide, wide_amount = max(map(len, [*texts, ""])), max(map(len, [*amounts, "found"]))
    table = _table("Verdict", f"{'required':{wide}}  {'found':>{wide_amount}}", words_at_end=True)
    for row, text, amount in zip(rows, texts, amounts, strict=True):
        tone = _STYLES["good" if row["passed"] else "bad"]
        line = Text.assemble(f"{text:{wide}}  ", (f"{amount:>{wide_amount}}", tone))
        # Below it and not beside it: there is little room in 80 columns.
        cell = Group(line, Text(printable(row["why"]))) if row.get("why") else line
        table.add_row(Text("ok" if row["passed"] else "FAILED", tone), cell)
    return [table]
