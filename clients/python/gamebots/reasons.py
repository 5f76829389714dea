"""Why a requirement is not met, in words: what a result document knows of when, at whom and because of what."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from gamebots.reading import bots_of, column_of, figures_of, group_name, joined_count, of_all_groups, value_of
from gamebots.scenarios import PLAYERS
from gamebots.units import digits, is_number, printable, show_amount

if TYPE_CHECKING:
    from gamebots.requirements import Requirement

#: Figures that say how fast things are; a slow machine or link makes them worse.
_PACE: Final = frozenset(
    {"latency", "state_age", "frames.gap", "lateness", "server_tick", "connect", "join", "return", "frames.rate"}
    | {"ticks.rate", "ticks.skipped", "ticks.skipped_share", "tool.lag", "tool.cpu"}
)
#: Of those, what a conditioned link takes part in.
_LINK: Final = _PACE - {"server_tick", "lateness", "ticks.rate", "tool.lag", "tool.cpu"}
#: Figures that say nothing when not a single bot joined.
_TOOL: Final = frozenset({"tool.cpu", "tool.lag", "server.cpu", "server.memory", "refused", "connect", "bots.failed"})
#: What to do when a figure is not there.
_CURES: Final = {
    "return": "no connection was lost and came back (--scenario reconnect-storm makes that happen)",
    "server.cpu": "it needs --server-pid PID, of a server on this machine",
    "server.memory": "it needs --server-pid PID, of a server on this machine",
    "latency": "no input of a bot was seen applied",
    "state_age": "no bot held the state (--replicas)",
    "hashes.checked": "no bot held the state (--replicas)",
    "desyncs": "no state was compared with the server's (--replicas, or a run that is too short)",
}
#: The column of the time line that shows a figure's statistic; None: any other statistic of it.
_COLUMNS: Final = {
    ("latency", "p50"): "latency_p50_ms",
    ("latency", None): "latency_p99_ms",
    ("state_age", "p50"): "state_age_p50_ms",
    ("state_age", None): "state_age_p99_ms",
    ("lateness", None): "lateness_max_ms",
    ("server_tick", None): "server_tick_max_ms",
    ("tool.lag", None): "tool_lag_max_ms",
    ("tool.cpu", None): "tool_cpu_percent",
}
#: The column of the time line that shows a rate of all bots together.
_TOTALS: Final = {
    "frames.rate": "frames_per_second",
    "bytes.in": "bytes_in_per_second",
    "bytes.out": "bytes_out_per_second",
}
#: The column of per_bot that shows a figure's statistic.
_BOT_COLUMNS: Final = {
    ("latency", "p50"): "latency_p50_ms",
    ("latency", "p99"): "latency_p99_ms",
    ("state_age", "p99"): "state_age_p99_ms",
    ("frames.gap", "max"): "gap_max_ms",
    ("frames.rate", None): "frames_rate",
    ("frames.rate", "min"): "frames_rate",
    ("bytes.in", None): "bytes_in_per_s",
    ("bytes.in", "max"): "bytes_in_per_s",
}
#: How many times the usual makes a second in which the server or this tool was slow worth a word, and from how many ms.
_SPIKE, _SPIKE_MS = 2.5, 20.0
#: From this part of the bots on, connections that ended show in all figures.
_MANY_LOST: Final = 0.1
#: A part of the time a tick may take from which on there is little left.
_TICK_FULL: Final = 0.8


def why_unmeasured(document: Mapping[str, Any], figure: str, group: str | None) -> str | None:
    """What a figure says nothing for; None when it is there and means something.

    Counts of what went wrong are zero as well when nothing went at all: those are no zeros to be glad of.
    """
    if group is not None and group_name(document, group) is None:
        there = ", ".join(printable(name) for name in document.get("groups") or {}) or "none"
        return f"there is no group {group!r} in this scenario (groups: {there})"
    if figure not in _TOOL and joined_count(document) == 0:
        reasons = because_of_refusals(document)
        return f"no bot could join ({reasons})" if reasons else "no bot could join"
    if not document.get("seconds") and figure not in _TOOL:
        return "the run ended before measuring began"
    entry = figures_of(document, group).get(figure)
    unproven = figure == "desyncs" and value_of(document, "hashes.checked", group=group) == 0
    if entry and entry.get("count") != 0 and not (unproven and not entry.get("value")):
        return None
    if group is not None and figure in figures_of(document, None):
        there = ", ".join(figures_of(document, group))
        return f"{figure} is not told by group (there are {there or 'none'})"
    return _CURES.get(figure, "")


def why_missed(document: Mapping[str, Any], requirement: Requirement, found: float) -> str:
    """What is behind a limit that was not kept, from what happened to who was the limit."""
    clauses = [
        _delay_of_link(document, requirement),
        _WHY.get(requirement.figure, _nothing)(document, requirement.group),
        _when(document, requirement),
        _who(document, requirement),
        *_because(document, requirement),
    ]
    told = [clause for clause in clauses if clause]
    return "; ".join(told) if told else f"it was {_shown(found, requirement)}"


# -- when


def _series(document: Mapping[str, Any], requirement: Requirement) -> dict[int, float]:
    """What the time line says of a requirement's figure: by second, in the figure's unit, for each bot."""
    figure, statistic = requirement.figure, requirement.statistic
    if requirement.group is not None:
        return {}
    if figure in _TOTALS:
        connected = column_of(document, "connected")
        total = column_of(document, _TOTALS[figure])
        return {second: total[second] / connected[second] for second in total if connected.get(second)}
    name = _COLUMNS.get((figure, statistic)) or _COLUMNS.get((figure, None))
    return column_of(document, name) if name else {}


def _shown(value: float, requirement: Requirement) -> str:
    return show_amount(value, requirement.unit, beside=requirement.limit)


def _worst(series: Mapping[int, float], requirement: Requirement) -> int:
    """The second, or bot, that is farthest on the wrong side of the limit."""
    if requirement.operator in ("<", "<="):
        return max(series, key=lambda key: series[key])
    if requirement.operator in (">", ">="):
        return min(series, key=lambda key: series[key])
    return max(series, key=lambda key: abs(series[key] - requirement.limit))


def _when(document: Mapping[str, Any], requirement: Requirement) -> str:
    series = _series(document, requirement)
    if not series or requirement.operator == "!=":
        return ""
    seconds = sum(not requirement.met_by(value) for value in series.values())
    worst = _worst(series, requirement)
    if not seconds:
        return ""  # what was too much is in no second of its own
    if len(document.get("groups") or {}) > 1 and requirement.figure in _TOTALS:  # they are of all bots
        return f"worst in second {worst} (all groups together: {_shown(series[worst], requirement)})"
    shown = f"second {worst}: {_shown(series[worst], requirement)}"
    if seconds == len(series) > 1:
        return f"in all {len(series)} seconds, worst in {shown}"
    return f"in {seconds} of {len(series)} seconds, worst in {shown}"


def _counted_when(document: Mapping[str, Any], column: str) -> str:
    """In which seconds something was counted that should not have been."""
    counts = {second: count for second, count in column_of(document, column).items() if count}
    if not counts:
        return ""
    worst = max(counts, key=lambda second: counts[second])
    if len(counts) == 1:
        return f"in second {worst}"
    return f"in {len(counts)} different seconds, most in second {worst} ({counts[worst]:.0f})"


# -- who


def _who(document: Mapping[str, Any], requirement: Requirement) -> str:
    return _which_groups(document, requirement) or _which_bots(document, requirement)


def _which_groups(document: Mapping[str, Any], requirement: Requirement) -> str:
    """What each group saw, when there are several and they differ in whether they keep the limit."""
    if requirement.group is not None or requirement.operator == "!=":
        return ""
    found: dict[str, float] = {}
    for name in document.get("groups") or {}:
        entry = figures_of(document, name).get(requirement.figure) or {}
        value: Any = entry.get(requirement.statistic or "value")
        if is_number(value):
            found[name] = value
    misses = [name for name in found if not requirement.met_by(found[name])]
    if len(misses) in (0, len(found)) or (PLAYERS in found and PLAYERS not in misses):
        return ""
    return ", ".join(f"{printable(name)} {_shown(value, requirement)}" for name, value in found.items())


def _which_bots(document: Mapping[str, Any], requirement: Requirement) -> str:
    name = _BOT_COLUMNS.get((requirement.figure, requirement.statistic))
    if name is None or requirement.operator == "!=":
        return ""
    values = {bot: value for bot, value in bots_of(document, name, requirement.group).items() if is_number(value)}
    beyond = [bot for bot in values if not requirement.met_by(values[bot])]
    if not beyond:
        return ""
    if len(beyond) == len(values):
        return f"at all {len(values)} bots"
    worst = _worst(values, requirement)
    return f"at {len(beyond)} of {len(values)} bots, worst at bot {worst}: {_shown(values[worst], requirement)}"


def _counted_at(document: Mapping[str, Any], column: str, group: str | None) -> str:
    """At which bots something was counted that should not have been."""
    counts = bots_of(document, column, group)
    hit = [str(bot) for bot, count in counts.items() if count]
    if not hit:
        return ""
    if len(hit) == len(counts) > 1:
        return f"at all {len(counts)} bots"
    if len(hit) > 4:
        return f"at {len(hit)} of {len(counts)} bots"
    return f"at bot{'s' if len(hit) > 1 else ''} {', '.join(hit)}"


# -- because of what


def _nothing(document: Mapping[str, Any], group: str | None) -> str:
    return ""


def because_of_disconnects(document: Mapping[str, Any]) -> str:
    """The reasons of lost connections, the most frequent ones first; "" when there are none."""
    return _listed(document.get("disconnects") or {})


def because_of_refusals(document: Mapping[str, Any]) -> str:
    """Why bots could not join; a document may count that with lost connections."""
    return _listed(document.get("refusals") or document.get("disconnects") or {})


def _listed(counts: Mapping[str, int]) -> str:
    counted = {reason: count for reason, count in counts.items() if count}
    reasons = sorted(counted, key=lambda reason: -counted[reason])
    told = ", ".join(f"{counted[reason]} x {printable(reason)}" for reason in reasons[:3])
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return told + more


def _why_disconnects(document: Mapping[str, Any], group: str | None) -> str:
    parts = (
        because_of_disconnects(document),
        _counted_when(document, "disconnects"),
        _counted_at(document, "disconnects", group),
    )
    return "; ".join(part for part in parts if part)


def _why_refused(document: Mapping[str, Any], group: str | None) -> str:
    bots = document.get("bots") or {}
    told = f"{bots.get('joined', 0)} of {bots.get('asked', 0)} bots joined"
    parts = (told, because_of_refusals(document), _counted_when(document, "refused"))
    return "; ".join(part for part in parts if part)


def _why_desyncs(document: Mapping[str, Any], group: str | None) -> str:
    parts = [_counted_when(document, "desyncs"), _counted_at(document, "desyncs", group)]
    checked = value_of(document, "hashes.checked", group=group)
    if checked:
        parts.append(f"{checked:.0f} states were compared")
    return "; ".join(part for part in parts if part)


def _why_skipped(document: Mapping[str, Any], group: str | None) -> str:
    groups = document.get("groups") or {}
    told = [_counted_at(document, "skipped_ticks", group)]
    if len(groups) < 2:
        told.append("a server merges ticks for links that do not keep up, and ticks that it was late for")
    return "; ".join(part for part in told if part)


def _why_frames(document: Mapping[str, Any], group: str | None) -> str:
    """Frames are missing because the server made no ticks, or because it merged them for links that were slow."""
    ticks, frames = value_of(document, "ticks.rate"), value_of(document, "frames.rate", group=group)
    skipped = value_of(document, "ticks.skipped_share", group=group) or 0.0
    if ticks is None or frames is None:
        return ""
    asked = value_of(document, "ticks.rate", "asked") or ticks
    merged = f"merged {show_amount(skipped, '%')} of the ticks into later frames"
    if skipped >= 5 and ticks >= 0.95 * asked:
        return f"the server {merged}"
    made = f"made {digits(ticks)} ticks a second"
    if skipped >= 5:
        return f"the server {made} and {merged}"
    return f"the server{' itself' if frames >= 0.95 * ticks else ''} {made}"


def _why_ticks(document: Mapping[str, Any], group: str | None) -> str:
    asked = value_of(document, "ticks.rate", "asked")
    return f"{digits(asked)} ticks a second were asked of it" if asked else ""


_WHY: Final[Mapping[str, Callable[[Mapping[str, Any], str | None], str]]] = {
    "disconnects": _why_disconnects,
    "refused": _why_refused,
    "desyncs": _why_desyncs,
    "frames.rate": _why_frames,
    "ticks.rate": _why_ticks,
    "ticks.skipped": _why_skipped,
    "ticks.skipped_share": _why_skipped,
}


def _because(document: Mapping[str, Any], requirement: Requirement) -> list[str]:
    """What slowed things down: the server's ticks, this tool, the link."""
    if requirement.figure not in _PACE:
        return []
    side = (document.get("limit") or {}).get("side")
    clauses = [] if requirement.figure == "server_tick" else [_full_ticks(document)]
    if requirement.figure not in ("tool.lag", "tool.cpu"):
        clauses.append(_what_else_then(document, requirement))
    if requirement.figure in _LINK and document.get("link"):
        clauses.append(f"the link was conditioned ({_link_words(document['link'])})")
    if side == "tool":
        clauses.append("this tool was the limit, so the server may be better than this (--processes, --replicas)")
    elif side == "server":
        clauses.append("the server was at its limit")
    elif side == "machine":
        clauses.append("this machine was the limit: server and tool took time from each other")
    elif side == "way":
        clauses.append("frames were held up on their way, or by something else on the server's machine")
    clauses.append(_many_lost(document))
    return clauses


def _many_lost(document: Mapping[str, Any]) -> str:
    """Connections that ended, when they are so many that all figures suffer from it."""
    lost = of_all_groups(document, "disconnects")
    if lost < _MANY_LOST * max(joined_count(document), 1):
        return ""
    parts = (because_of_disconnects(document), _counted_when(document, "disconnects"))
    return f"connections were lost: {', '.join(part for part in parts if part)}"


def _full_ticks(document: Mapping[str, Any]) -> str:
    """Whether the server's ticks usually take nearly all the time there is."""
    rate, usual = value_of(document, "ticks.rate"), value_of(document, "server_tick", "p50")
    if not rate or usual is None or usual < _TICK_FULL * 1000 / rate:
        return ""
    return f"a server tick usually took {show_amount(usual, 'ms')}, of {show_amount(1000 / rate, 'ms')} there are"


def _what_else_then(document: Mapping[str, Any], requirement: Requirement) -> str:
    """What else was unusual in the worst second: a cause, perhaps."""
    series = _series(document, requirement)
    if not series:
        return ""
    worst = _worst(series, requirement)
    told = []
    for column, words in (("server_tick_max_ms", "a server tick took"), ("tool_lag_max_ms", "this tool was late by")):
        values = column_of(document, column)
        if column == _COLUMNS.get((requirement.figure, None)) or worst not in values:
            continue
        if values[worst] >= max(_SPIKE_MS, _SPIKE * statistics.median(values.values())):
            told.append(f"{words} {show_amount(values[worst], 'ms')}")
    for column, words in (("joins", "bots joined"), ("disconnects", "connections were lost")):
        number = column_of(document, column).get(worst, 0)
        if number >= max(2, 0.02 * joined_count(document)):
            told.append(f"{number:.0f} {words}")
    return f"in second {worst} " + " and ".join(told) if told else ""


def _link_words(link: Mapping[str, Any]) -> str:
    """What a conditioned link does to what comes down it, besides its delay."""
    down = link.get("down") or {}
    words = [printable(link.get("name", "own values"))]
    if down.get("stall_every"):
        words.append(f"silent for {down.get('stall_seconds', 0):g} s every {down['stall_every']:g} s")
    if down.get("loss"):
        words.append(f"{100 * down['loss']:g} % lost")
    if down.get("rate"):
        words.append(show_amount(down["rate"], "B/s"))
    if down.get("share"):
        words.append(f"{100 * down['share']:g} % of the bandwidth it needs")
    return ", ".join(words)


def _delay_of_link(document: Mapping[str, Any], requirement: Requirement) -> str:
    """Whether a limit is one that a conditioned link cannot keep, whatever the server does."""
    link = document.get("link")
    if not link or requirement.operator not in ("<", "<="):
        return ""
    up, down = ((link.get(way) or {}).get("delay") or 0.0 for way in ("up", "down"))
    least = {"latency": up + down, "state_age": down, "connect": up + down, "join": up + down, "return": up + down}
    least_ms = least.get(requirement.figure, 0.0) * 1000
    if least_ms == 0 or least_ms < requirement.limit:
        return ""
    return f"the link's delay alone is {show_amount(least_ms, 'ms')}, so no server could keep this limit"
