"""What has changed between two runs, and whether it is more than what timings vary by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gamebots.units import printable

#: So much more or less of a figure may be noise, in per cent: timings of a shared machine vary as much by themselves.
NOISE_PERCENT: Final = 25.0
#: Below these a difference is nothing that anybody feels, whatever it is in per cent.
_NOTHING: Final = {"ms": 2.0, "%": 1.0, "/s": 0.05}
#: Figures of which more is better, those of which more is neither; of all others less is.
_MORE_IS_BETTER: Final = frozenset({"frames.rate", "inputs.rate", "ticks.rate"})
_NEITHER: Final = frozenset({"hashes.checked", "messages", "bytes.out"})
#: Of a distribution these are compared.
_STATISTICS: Final = ("p50", "p99")
#: What was done in a run, and what to call it.
_DONE: Final = {
    "url": "the room",
    "scenario": "the scenario",
    "link": "the link",
    "count": "count",
    "replicas": "replicas",
    "ramp_per_second": "the ramp (bots a second)",
    "processes": "processes",
}


@dataclass(frozen=True)
class Difference:
    """One figure in two runs.

    Attributes:
        name: with its statistic. unit: of both values.
        before, after: None where nothing was measured.
        text: the change in words. tone: "better", "worse", or "" for what may be noise, or is neither.
    """

    name: str
    unit: str
    before: float | None
    after: float | None
    text: str
    tone: str


def differences(
    after: Mapping[str, Any], before: Mapping[str, Any], noise_percent: float = NOISE_PERCENT
) -> list[Difference]:
    """All figures that both results have.

    Args:
        noise_percent: what a figure may differ by without being called better or worse.
    """
    found = []
    for figure, entry in after["figures"].items():
        other = before["figures"].get(figure)
        if other is None:
            continue
        for statistic in ("value",) if "value" in entry else _STATISTICS:
            name = figure if statistic == "value" else f"{figure}.{statistic}"
            values = other.get(statistic), entry.get(statistic)
            found.append(
                Difference(name, entry["unit"], *values, *change(figure, entry["unit"], *values, noise_percent))
            )
    return found


def change(
    figure: str, unit: str, before: float | None, after: float | None, noise_percent: float = NOISE_PERCENT
) -> tuple[str, str]:
    """How one figure has changed: in words, and "better", "worse" or ""."""
    if before is None or after is None or before == after:
        return "", ""
    percent = 100 * (after - before) / abs(before) if before else None
    text = "was 0" if percent is None else f"{percent:+.0f} %"
    noise = percent is not None and abs(percent) <= noise_percent
    if noise or abs(after - before) < _NOTHING.get(unit, 0.0) or figure in _NEITHER:
        return text, ""
    return text, "better" if (after > before) == (figure in _MORE_IS_BETTER) else "worse"


def unlike(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> list[str]:
    """In which ways the two runs did not do the same, in words."""
    return [
        f"{what} was {_said(earlier.get(name))}, now it is {_said(later.get(name))}"
        for name, what in _DONE.items()
        if earlier.get(name) != later.get(name)
    ]


def _said(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return printable(value.get("name", "another"))
    return f"{value:g}" if isinstance(value, float) else printable(value)
