"""Who could not do more in a load test: the server, the way to it, this tool, or the machine that all share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gamebots.measures import Measured

#: From this share of a core on, or when its loop is late by so much, what is measured is this tool as much as the
#: server.
BUSY_PERCENT: Final = 85.0
LAG_MS: Final = 50.0
#: A lag that is worth a word: figures hold up to so much of it.
NOTED_LAG_MS: Final = 15.0
#: All cores of the machine together.
MACHINE_PERCENT: Final = 95.0
#: A server that makes fewer of its ticks than this, or is late by more of a period, is at its limit.
_TICK_SHARE: Final = 0.98
_LATE_SHARE: Final = 0.5
#: Ticks that are late although the server needs less of a period than this for them were held up elsewhere.
_QUICK_SHARE: Final = 0.25


def find_side(
    figures: Mapping[str, Any],
    measured: Measured,
    *,
    conditioned: bool,
    machine_percent: float | None,
    cores: int,
) -> dict[str, str]:
    """Which side was at its limit, and a sentence that says by which figures.

    Args:
        figures: of the result. measured: what they are made of.
        conditioned: frames came over links that make them late by themselves.
        machine_percent: how busy this machine was; None when that is not known. cores: that it has.
    """
    if not figures["frames.gap"]["count"]:
        return _side("none", "Nobody played, so nothing can be said of the server or of this tool.")
    tool, server = _about_tool(figures), _about_server(figures, measured)
    if measured.tool_cpu_percent > BUSY_PERCENT or (figures["tool.lag"]["p99"] or 0.0) > LAG_MS:
        if machine_percent is not None and machine_percent > MACHINE_PERCENT:
            busy = f"its {cores} cores were {machine_percent:.0f} % busy"
            return _side("machine", f"This machine was the limit: {_sentence(busy, tool, server)}")
        return _side("tool", f"This tool was the limit: {_sentence(tool, server)}")
    if not measured.connected and measured.disconnects:
        lost = f"all {measured.joins} bots lost their connections, the last one for: {list(measured.disconnects)[-1]}"
        return _side("server", f"The server went away: {_sentence(lost, server)}")
    asked, made = measured.tick_rate, figures["ticks.rate"]["value"]
    if asked and made is not None and made < asked * _TICK_SHARE:
        return _side("server", f"The server was the limit: {_sentence(server, tool)}")
    late, took = figures["lateness"]["p99"], figures["server_tick"]["p99"]
    if asked and not conditioned and late is not None and late > 1000 / asked * _LATE_SHARE:
        stood = figures["tool.lag"]["max"] or 0.0
        if stood > late / 2:
            what = f"its loop stood still for up to {stood:.0f} ms"
            return _side("tool", f"This tool was the limit: {_sentence(what, tool, server)}")
        if took is not None and took < 1000 / asked * _QUICK_SHARE:
            held = f"frames came {late:.0f} ms late at p99, though the server took {took:.1f} ms for a tick at p99"
            where = "the way between, or something else on the server's machine, held them up"
            return _side("way", f"The way was the limit: {_sentence(held, where, tool)}")
        return _side("server", f"The server was the limit: {_sentence(server, tool)}")
    return _side("none", f"Neither side was at its limit: {_sentence(server, tool)}")


def _side(side: str, text: str) -> dict[str, str]:
    return {"side": side, "text": text}


def _about_tool(figures: Mapping[str, Any]) -> str:
    lag = figures["tool.lag"]["p99"] or 0.0
    return f"this tool took {figures['tool.cpu']['value']:.0f} % of a core, its loop {lag:.1f} ms late at p99"


def _about_server(figures: Mapping[str, Any], measured: Measured) -> str:
    made, late = figures["ticks.rate"]["value"], figures["lateness"]["p99"]
    if made is None:
        return ""
    of = f" of {measured.tick_rate:g}" if measured.tick_rate else ""
    said = f"the server made {made:.2f}{of} ticks a second"
    if measured.tick_rate and late is not None:
        said += f", {late:.1f} ms late at p99"
    if "server.cpu" in figures:
        said += f", with {figures['server.cpu']['value']:.0f} % of a core"
    return said


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part) + "."
