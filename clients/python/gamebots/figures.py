"""The result of a load test: one JSON document, which everything that shows, judges or compares reads.

Durations are milliseconds, rates are per client and second. What each figure means:

==================  ==================================================================================================
connect             from the first SYN to the open WebSocket
join                from the first SYN to the first frame held
latency             from sending an input to holding a frame that says it was applied
state_age           now minus when the server made the state held; looked at once a period at each bot
frames.gap          between two frames of one bot
lateness            of a tick's first frame at any bot, after the steadiest schedule of the last seconds
server_tick         how long the server kept an input before it wrote the frame: from reading to writing of a tick
return              from the loss of a connection to the next frame, for bots that came back to their seats
tool.lag            by how much this tool's own loop was late
frames.rate         frames per bot and second
inputs.rate         inputs per bot and second: a bot leaves one out when too many are unanswered, or this tool is late
==================  ==================================================================================================
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import psutil

from gamebots.measures import BotMeasures, Durations, Measured, spread
from gamebots.plan import Plan
from gamebots.scenarios import PLAYERS
from gamebots.sides import NOTED_LAG_MS, find_side

FORMAT: Final = "gamebots-result/1"
#: A run that was shorter than this part of what was planned has been cut short.
_WHOLE: Final = 0.9

_COLUMNS: Final = (
    *("connected", "frames_per_second", "bytes_in_per_second", "bytes_out_per_second"),
    *("latency_p50_ms", "latency_p99_ms", "state_age_p50_ms", "state_age_p99_ms"),
    *("lateness_max_ms", "server_tick_max_ms", "joins", "refused", "disconnects", "desyncs"),
    *("tool_cpu_percent", "tool_lag_max_ms"),
)


class Watched:
    """What the machine tells besides: how busy it is, and what a server on it takes.

    Args:
        server_pid: of the server, None when it is elsewhere or unknown.
    """

    def __init__(self, server_pid: int | None) -> None:
        self.machine_percent: list[float] = []
        self.server_percent: list[float] = []
        self.server_mib: list[float] = []
        self._server = None if server_pid is None else psutil.Process(server_pid)
        psutil.cpu_percent()
        if self._server is not None:
            self._server.cpu_percent()

    def look(self, measuring: bool) -> None:
        """Once a second."""
        machine = psutil.cpu_percent()
        server: tuple[float, float] | None = None
        if self._server is not None:
            try:
                server = self._server.cpu_percent(), self._server.memory_info().rss / (1 << 20)
            except psutil.Error:
                self._server = None  # it has ended, which the bots tell of
        if measuring:
            self.machine_percent.append(machine)
            if server is not None:
                self.server_percent.append(server[0])
                self.server_mib.append(server[1])


def make_document(
    plan: Plan,
    measured: Measured,
    rows: list[dict[str, float | None]],
    begin_second: int,
    started: datetime.datetime,
    watched: Watched,
    interrupted: bool,
) -> dict[str, Any]:
    """The document of one run.

    Args:
        rows: of the time line, from the begin of the ramp on. begin_second: which of them is the first measured one.
        started: when. watched: what the machine told.
        interrupted: it was ended before its time.
    """
    players = [bot for bot in measured.bots if bot.group == PLAYERS]
    figures = _figures(players, measured) | _server_figures(watched)
    limit = find_side(
        figures,
        measured,
        conditioned=plan.link is not None,
        machine_percent=spread(watched.machine_percent)["mean"],
        cores=psutil.cpu_count() or 1,
    )
    return {
        "format": FORMAT,
        "url": plan.url,
        "scenario": plan.scenario,
        "link": None if plan.link is None else plan.link.to_dict(),
        "seed": plan.seed,
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": _version(),
        "count": plan.count,
        "processes": plan.processes,
        "replicas": plan.replica_count,
        "ramp_per_second": None if math.isinf(plan.ramp) else plan.ramp,
        "seconds": round(measured.seconds, 2),
        "interrupted": interrupted or measured.interrupted,
        "bots": {
            "asked": plan.count,
            "joined": measured.joins,
            "connected_at_end": measured.connected,
            "refused": measured.refusals,
            "returns": measured.returns,
        },
        "figures": figures,
        "disconnects": dict(measured.disconnects.most_common()),
        "refusals": dict(measured.refused.most_common()),
        "limit": limit,
        "warnings": _warnings(plan, measured, figures, limit),
        "per_bot": _per_bot(measured.bots),
        "groups": _groups(measured.bots),
        "timeline": {
            "second": [round((row["second"] or 0) - begin_second) for row in rows],
            **{name: [row.get(name) for row in rows] for name in _COLUMNS},
        },
        "histograms": _histograms(players, measured),
        "verdict": None,
    }


def _version() -> str:
    try:
        return version("tickwire")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def _sum(parts: Iterable[Durations]) -> Durations:
    total = Durations()
    for part in parts:
        total.add(part)
    return total


def _of_bots(bots: list[BotMeasures]) -> dict[str, Any]:
    """What bots of one group have seen."""
    there = [bot for bot in bots if bot.connected_seconds > 0]
    skipped, frames = (sum(getattr(b.counts, name) for b in bots) for name in ("skipped_ticks", "frames"))
    share = 100 * skipped / (skipped + frames) if skipped + frames else 0.0

    def rate(name: str, unit: str) -> dict[str, Any]:
        found = spread(getattr(bot.counts, name) / bot.connected_seconds for bot in there)
        return {"unit": unit, "value": found["mean"], **found}

    return {
        "latency": _sum(bot.latency for bot in bots).figure(),
        "state_age": _sum(bot.state_age for bot in bots).figure(),
        "frames.gap": _sum(bot.gap for bot in bots).figure(),
        "frames.rate": rate("frames", "/s"),
        "bytes.in": rate("bytes_in", "B/s"),
        "bytes.out": rate("bytes_out", "B/s"),
        "inputs.rate": rate("inputs", "/s"),
        "ticks.skipped": _number(skipped),
        "ticks.skipped_share": _number(round(share, 3), "%"),
        "frames.unapplied": _number(sum(bot.counts.unapplied for bot in bots)),
        "desyncs": _number(sum(bot.counts.desyncs for bot in bots)),
        "hashes.checked": _number(sum(bot.counts.hashes for bot in bots)),
        "messages": _number(sum(bot.counts.messages for bot in bots)),
        "disconnects": _number(sum(bot.counts.disconnects for bot in bots)),
    }


def _figures(players: list[BotMeasures], measured: Measured) -> dict[str, Any]:
    figures = {name: durations.figure() for name, durations in measured.durations.items()}
    if not figures["return"]["count"]:
        del figures["return"]
    figures |= _of_bots(players)
    rates = spread(measured.tick_rates)
    figures["ticks.rate"] = {"unit": "/s", "value": rates["mean"], **rates, "asked": measured.tick_rate or None}
    figures["refused"] = _number(measured.refusals)
    figures["bots.failed"] = _number(sum(measured.failures.values()))
    figures["tool.cpu"] = _number(measured.tool_cpu_percent, "%")
    return figures


def _server_figures(watched: Watched) -> dict[str, Any]:
    if not watched.server_percent:
        return {}
    cpu, memory = spread(watched.server_percent), spread(watched.server_mib)
    return {
        "server.cpu": {"unit": "%", "value": cpu["mean"], **cpu},
        "server.memory": {"unit": "MiB", "value": memory["max"], **memory},
    }


def _number(value: float, unit: str = "") -> dict[str, Any]:
    return {"unit": unit, "value": value}


def _groups(bots: list[BotMeasures]) -> dict[str, Any]:
    groups: dict[str, list[BotMeasures]] = {}
    for bot in bots:
        groups.setdefault(bot.group, []).append(bot)
    return {name: {"bots": len(members), "figures": _of_bots(members)} for name, members in groups.items()}


def _per_bot(bots: list[BotMeasures]) -> dict[str, list[Any]]:
    def rate(count: int, bot: BotMeasures) -> float | None:
        return round(count / bot.connected_seconds, 3) if bot.connected_seconds else None

    return {
        "bot": [bot.bot for bot in bots],
        "group": [bot.group for bot in bots],
        "frames_rate": [rate(bot.counts.frames, bot) for bot in bots],
        "latency_p50_ms": [bot.latency.percentile_ms(50) for bot in bots],
        "latency_p99_ms": [bot.latency.percentile_ms(99) for bot in bots],
        "state_age_p99_ms": [bot.state_age.percentile_ms(99) for bot in bots],
        "gap_max_ms": [bot.gap.percentile_ms(100) for bot in bots],
        "bytes_in_per_s": [rate(bot.counts.bytes_in, bot) for bot in bots],
        "skipped_ticks": [bot.counts.skipped_ticks for bot in bots],
        "desyncs": [bot.counts.desyncs for bot in bots],
        "disconnects": [bot.counts.disconnects for bot in bots],
    }


def _histograms(players: list[BotMeasures], measured: Measured) -> dict[str, str]:
    durations = dict(measured.durations)
    durations |= {
        "latency": _sum(bot.latency for bot in players),
        "state_age": _sum(bot.state_age for bot in players),
        "frames.gap": _sum(bot.gap for bot in players),
    }
    return {name: each.encode() for name, each in durations.items() if each.count}


def _warnings(plan: Plan, measured: Measured, figures: dict[str, Any], limit: dict[str, str]) -> list[str]:
    warnings = []
    if limit["side"] == "tool":
        cure = "use --processes, fewer bots, or fewer that hold a replica (--replicas)"
        warnings.append(f"What was measured is this tool as much as the server: {cure}.")
    sent = figures["inputs.rate"]["value"]
    if sent and sent < _WHOLE * plan.rate and limit["side"] in ("tool", "machine"):
        warnings.append(f"Bots were to send {plan.rate:g} inputs a second, and sent {sent:.1f}.")
    if limit["side"] == "machine":
        warnings.append(
            "Whatever runs on this machine, perhaps the server, took time from these bots and they from it: use fewer "
            "bots, or run them on another machine."
        )
    lag = measured.durations["tool.lag"].percentile_ms(99)
    if limit["side"] not in ("tool", "machine") and lag is not None and lag > NOTED_LAG_MS:
        warnings.append(
            f"What was measured holds up to {lag:.0f} ms of this tool's own lag (--processes makes it less)."
        )
    if not measured.interrupted and measured.seconds < _WHOLE * plan.seconds and measured.joins:
        warnings.append(f"The run ended after {measured.seconds:.1f} of {plan.seconds:g} s: nobody was left.")
    for what, times in measured.stayed_away.most_common(3):
        warnings.append(f"{times} bot(s) lost their connection and did not come back to their seats: {what}")
    for what, times in measured.failures.most_common(3):
        warnings.append(f"{times} bot(s) failed in their own code and left: {what}")
    if plan.replica_count < plan.count:
        warnings.append(
            f"{plan.replica_count} of {plan.count} bots held the state and checked its hash, the others read frame "
            f"headers (--replicas)."
        )
    return warnings
