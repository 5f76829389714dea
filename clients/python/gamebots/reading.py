"""What a result document says: parts of it may be missing, when it is of another version or was made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gamebots.scenarios import PLAYERS
from gamebots.units import is_number


def figures_of(document: Mapping[str, Any], group: str | None) -> Mapping[str, Any]:
    """The figures that a run is judged by, or those of a group; none when there is no such group."""
    if group is None:
        figures: Mapping[str, Any] = document.get("figures") or {}
        return figures
    found = (document.get("groups") or {}).get(group_name(document, group) or "")
    return (found or {}).get("figures") or {}


def group_name(document: Mapping[str, Any], written: str) -> str | None:
    """The name of a group, which may be written with other spaces and capitals: ``slow-readers``."""

    def folded(name: str) -> str:
        return "".join(character for character in name.lower() if character.isalnum())

    return next((name for name in document.get("groups") or {} if folded(name) == folded(written)), None)


def joined_count(document: Mapping[str, Any]) -> int:
    """How many bots got in."""
    return int((document.get("bots") or {}).get("joined") or 0)


def of_all_groups(document: Mapping[str, Any], figure: str) -> float:
    """How often something happened, at players and at all others; figures without a group are of players."""
    groups = document.get("groups") or {}
    counts = [value_of(document, figure, group=name) or 0 for name in groups]
    return max(sum(counts), value_of(document, figure) or 0)


def value_of(
    document: Mapping[str, Any], figure: str, statistic: str = "value", group: str | None = None
) -> float | None:
    """A number of a figure; None when it was not measured."""
    value: Any = (figures_of(document, group).get(figure) or {}).get(statistic)
    return value if is_number(value) else None


def column_of(document: Mapping[str, Any], name: str) -> dict[int, float]:
    """The values of a column by second, of the measured time, where something was measured."""
    timeline = document.get("timeline") or {}
    rows = zip(timeline.get("second") or [], timeline.get(name) or [], strict=False)
    return {second: value for second, value in rows if second >= 0 and is_number(value)}


def bots_of(document: Mapping[str, Any], column: str, group: str | None) -> dict[int, Any]:
    """A column of per_bot, by bot: of a group, or of players, whom figures without a group are of."""
    bots = document.get("per_bot") or {}
    rows = list(zip(bots.get("bot") or [], bots.get("group") or [], bots.get(column) or [], strict=False))
    wanted = group_name(document, group or PLAYERS)
    return {bot: value for bot, of_group, value in rows if of_group == wanted or (group is None and wanted is None)}
