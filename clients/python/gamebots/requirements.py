"""What a load test must show to pass: ``latency.p99<120ms,desyncs==0``. Read from text, judged on a result document."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from gamebots.reading import figures_of, joined_count, of_all_groups, value_of
from gamebots.reasons import why_missed, why_unmeasured
from gamebots.units import in_own_unit

#: Of a distribution, and of a rate over bots.
STATISTICS: Final = ("min", "p50", "p90", "p95", "p99", "p99_9", "max", "mean")
OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "==": operator.eq,
        "!=": operator.ne,
    }
)


@dataclass(frozen=True)
class Figure:
    """What can be measured.

    Attributes:
        unit: in which it is told.
        kind: a distribution has statistics and no value; a rate has a value, the mean over bots, and statistics over
            bots; a gauge has a value, and statistics over what it was read at; a number has a value alone.
        meaning: in words.
    """

    unit: str
    kind: Literal["distribution", "rate", "gauge", "number"]
    meaning: str


FIGURES: Final[Mapping[str, Figure]] = MappingProxyType(
    {
        "latency": Figure("ms", "distribution", "from input to its effect"),
        "state_age": Figure("ms", "distribution", "how old the held state is"),
        "frames.gap": Figure("ms", "distribution", "between two frames of a bot"),
        "lateness": Figure("ms", "distribution", "of ticks, seen from outside"),
        "server_tick": Figure("ms", "distribution", "from reading to writing"),
        "connect": Figure("ms", "distribution", "TCP begun to WebSocket open"),
        "join": Figure("ms", "distribution", "TCP begun to first frame"),
        "return": Figure("ms", "distribution", "lost to first frame again"),
        "tool.lag": Figure("ms", "distribution", "of this tool itself"),
        "frames.rate": Figure("/s", "rate", "frames received"),
        "inputs.rate": Figure("/s", "rate", "inputs sent"),
        "bytes.in": Figure("B/s", "rate", "bytes received"),
        "bytes.out": Figure("B/s", "rate", "bytes sent"),
        "ticks.rate": Figure("/s", "gauge", "server ticks"),
        "ticks.skipped": Figure("", "number", "ticks merged into later frames"),
        "ticks.skipped_share": Figure("%", "number", "of ticks merged into later frames"),
        "frames.unapplied": Figure("", "number", "frames that did not fit the held state"),
        "desyncs": Figure("", "number", "states that differed from the server's"),
        "hashes.checked": Figure("", "number", "states compared with the server's"),
        "messages": Figure("", "number", "messages received"),
        "disconnects": Figure("", "number", "connections lost unexpectedly"),
        "refused": Figure("", "number", "bots that never joined"),
        "bots.failed": Figure("", "number", "exceptions in bots' code"),
        "tool.cpu": Figure("%", "number", "of a core, this tool's busiest process"),
        "server.cpu": Figure("%", "gauge", "of a core, the server"),
        "server.memory": Figure("MiB", "gauge", "the server"),
    }
)
#: Of these there must be none, whatever is required: a load test in which they happen has found a defect.
ALWAYS_ZERO: Final = ("desyncs", "bots.failed")
#: What people write who have not read the list.
_OTHER_WORDS: Final = {
    "ping": "latency.p99",
    "rtt": "latency.p99",
    "lag": "latency.p99",
    "delay": "latency.p99",
    "age": "state_age.p99",
    "jitter": "frames.gap.p99",
    "tick": "server_tick.p99",
    "fps": "frames.rate",
    "rate": "frames.rate",
    "bandwidth": "bytes.in",
    "skipped": "ticks.skipped_share",
    "errors": "disconnects",
    "cpu": "server.cpu",
    "memory": "server.memory",
}
_PART: Final = re.compile(
    r"\s*(?P<metric>[^<>=!@]*?)\s*(?:@\s*(?P<group>[^<>=!@]*?)\s*)?(?P<operator>[<>=!~]+)\s*(?P<limit>.*?)\s*"
)
_LIMIT: Final = re.compile(r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(?P<unit>\D*)", re.ASCII)


@dataclass(frozen=True)
class Requirement:
    """One thing that must hold.

    Attributes:
        figure: its name. statistic: of it; None for its value.
        group: the bots that are meant, by name; None: all.
        operator: between what was found and the limit.
        limit: in the figure's own unit. unit: that.
        text: as somebody wrote it, without spaces that say nothing.
    """

    figure: str
    statistic: str | None
    group: str | None
    operator: str
    limit: float
    unit: str
    text: str = field(compare=False, default="")

    @property
    def metric(self) -> str:
        """``latency.p99``, ``desyncs``, ``frames.rate@players``."""
        name = self.figure if self.statistic is None else f"{self.figure}.{self.statistic}"
        return name if self.group is None else f"{name}@{self.group}"

    def met_by(self, value: float) -> bool:
        """Whether a value in the figure's unit is on the right side of the limit."""
        return OPERATORS[self.operator](value, self.limit)

    def __str__(self) -> str:
        number = repr(self.limit).removesuffix(".0")
        return self.text or f"{self.metric}{self.operator}{number}{self.unit}"


def parse_requirements(*texts: str) -> tuple[Requirement, ...]:
    """Read requirements, separated by commas; several texts are one list, and what is said twice counts once.

    A part is ``FIGURE.STATISTIC OPERATOR LIMIT`` (``latency.p99<120ms``), or without a statistic for figures that have
    a value (``desyncs==0``), and may name a group of bots: ``frames.rate@players>=19``.

    Raises:
        ValueError: names the part, what is wrong with it and what there is.
    """
    found: list[Requirement] = []
    for text in texts:
        parts = text.split(",")
        if len(parts) > 1 and not parts[-1].strip():
            parts.pop()  # a comma at the end
        for part in parts:
            if not part.strip():
                # From a build's variable that is not set, for one: it must not make a test that passes always.
                raise ValueError(f"requirement {text!r} is empty, or a part of it: write latency.p99<120ms,desyncs==0")
            try:
                found.append(_parse_part(part))
            except ValueError as error:
                raise ValueError(f"requirement {part.strip()!r}: {error}") from None
    return tuple(dict.fromkeys(found))


def _parse_part(part: str) -> Requirement:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"write FIGURE OPERATOR LIMIT, as latency.p99<120ms; operators are {' '.join(OPERATORS)}")
    metric, group, sign, limit = match.group("metric", "group", "operator", "limit")
    name, statistic = _parse_metric(metric)
    if group is not None and not group:
        raise ValueError("no group of bots after @")
    if sign not in OPERATORS:
        hint = {"=": "==", "=<": "<=", "=>": ">=", "<>": "!=", "===": "=="}.get(sign)
        raise ValueError(f"{sign} is no operator: " + (f"write {hint}" if hint else f"there are {' '.join(OPERATORS)}"))
    numeral = _LIMIT.fullmatch(limit)
    if numeral is None:
        raise ValueError(f"{limit!r} is no limit: write a number and perhaps a unit" if limit else "it has no limit")
    number, unit = numeral.group("number"), numeral.group("unit").strip()
    own = FIGURES[name].unit
    amount = in_own_unit(number, unit, own)
    shown = Requirement(name, statistic, group, sign, amount, own)
    return Requirement(name, statistic, group, sign, amount, own, f"{shown.metric}{sign}{number}{unit}")


def _parse_metric(metric: str) -> tuple[str, str | None]:
    """The figure's name and which statistic of it."""
    name, _, statistic = metric.replace("p99.9", "p99_9").rpartition(".")
    if metric in FIGURES:
        if FIGURES[metric].kind == "distribution":
            raise ValueError(f"{metric} has many values: say which, {_offer_statistics(metric)}")
        return metric, None
    if name not in FIGURES:
        raise ValueError(f"there is no figure {metric!r}: {_offer_figures(metric)}" if metric else "it names no figure")
    if FIGURES[name].kind == "number":
        raise ValueError(f"{name} is one number: write it without .{statistic}")
    if statistic not in STATISTICS:
        raise ValueError(f"{name} has no statistic {statistic!r}: {_offer_statistics(name)}")
    return name, statistic


def _offer_statistics(name: str) -> str:
    return ", ".join(f"{name}.{statistic}" for statistic in ("p50", "p99", "max")) + f" ({' '.join(STATISTICS)})"


def _offer_figures(metric: str) -> str:
    head, _, tail = metric.rpartition(".")
    name, suffix = (head, f".{tail}") if tail in STATISTICS else (metric, "")
    if meant := _OTHER_WORDS.get(name.lower()):
        return f"did you mean {meant}?"
    near = difflib.get_close_matches(name.lower(), FIGURES, n=2, cutoff=0.6)
    if near:
        default = {"distribution": suffix or ".p99", "rate": suffix, "gauge": suffix, "number": ""}
        return f"did you mean {' or '.join(found + default[FIGURES[found].kind] for found in near)}?"
    return f"there are {', '.join(FIGURES)}"


def judge(document: Mapping[str, Any], requirements: Iterable[Requirement]) -> dict[str, Any]:
    """The ``verdict`` of a result document: whether each requirement is met, and why it is not.

    What was never measured fails: a test that saw nothing has not shown that all is well.
    """
    rows = [_judge_one(document, requirement) for requirement in requirements]
    return {"passed": all(row["passed"] for row in rows), "requirements": rows}


def _judge_one(document: Mapping[str, Any], requirement: Requirement) -> dict[str, Any]:
    missing = why_unmeasured(document, requirement.figure, requirement.group)
    found = found_value(document, requirement) if missing is None else None
    met = found is not None and requirement.met_by(found)
    if met:
        why = ""
    elif found is None:
        why = f"nothing was measured: {missing}" if missing else "nothing was measured"
    else:
        why = why_missed(document, requirement, found)
    return {
        "text": str(requirement),
        "metric": requirement.metric,
        "operator": requirement.operator,
        "limit": requirement.limit,
        "unit": requirement.unit,
        "found": found,
        "passed": met,
        "why": why,
    }


def passed(document: Mapping[str, Any]) -> bool:
    """Whether a run is good: somebody joined, what was required is there, and what must never happen did not."""
    if joined_count(document) == 0 or any(of_all_groups(document, name) for name in ALWAYS_ZERO):
        return False
    verdict = document.get("verdict")
    return verdict is None or bool(verdict["passed"])


def found_value(document: Mapping[str, Any], requirement: Requirement) -> float | None:
    """What a result document says of a requirement's metric, in the figure's unit; None: nothing was measured."""
    entry = figures_of(document, requirement.group).get(requirement.figure)
    if not entry or entry.get("count") == 0:
        return None
    return value_of(document, requirement.figure, requirement.statistic or "value", requirement.group)


def describe_metrics() -> Sequence[tuple[str, str, str]]:
    """(name, unit, meaning) of all that may be required, for a help page."""
    return [
        (f"{name}.STATISTIC" if figure.kind == "distribution" else name, figure.unit, figure.meaning)
        for name, figure in FIGURES.items()
    ]
