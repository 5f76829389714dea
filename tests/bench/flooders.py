"""``python -m tests.bench.flooders``: what 100 players notice of 100 flooders of each kind, or of 2000 silent peers.

Each kind is measured beside the same server without flooders, one right after the other: only that difference counts.
Server, players and flooders have a process each. Flooders who are cut come back after a second. On a machine with two
cores all of them compete, so the flooders run at a lower priority: their own work is not what is measured.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import trio

from gamebots.plan import Plan
from gamebots.swarm import Swarm
from tests.bench import process
from tests.bench.load import KeysBot
from tests.bench.stall import markdown
from tests.hostile import attackers
from tests.hostile.horde import Horde, MakeScript
from tests.support.state_age import RecordingClient

OUT: Final = Path("build/bench/flooders.json")
KINDS: Final = (*attackers.FLOODS, "connects", "joins")
LORIS: Final = ("silent", "one byte a second")
#: Of the players, how many write down when frames come; the others are bots.
RECORDERS: Final = 10
#: Between the last join, or the first flood, and the measurement, in seconds.
WARM_UP_SECONDS: Final = 1.5
#: A flooder that was cut is away for so long, in seconds: not all for the same time, or they would join at once.
AWAY_SECONDS: Final = (0.5, 1.5)
#: How often each flooder connects, or joins, in a second.
CONNECTS_PER_SECOND, JOINS_PER_SECOND = 10.0, 2.0
#: What players may notice: the larger of these, for the p99 of how late ticks are.
MOST_LATER_SHARE, MOST_LATER_MS = 0.05, 2.0

_COLUMNS: Final = (
    ("flooders", "kind", None),
    ("tick late p99 ms without", "late_ms_p99_without", 2),
    ("with", "late_ms_p99", 2),
    ("max with", "late_ms_max", 1),
    ("frame gap p99 ms without", "gap_ms_p99_without", 1),
    ("with", "gap_ms_p99", 1),
    ("server CPU % without", "cpu_percent_without", 0),
    ("with", "cpu_percent", 0),
    ("cut after s, middle", "cut_seconds_middle", 2),
    ("longest", "cut_seconds_longest", 2),
    ("outcomes", "outcomes", None),
    ("", "verdict", None),
)


class Helper:
    """A process of this or another module that is told what to do in lines, and answers in lines of JSON."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        """The next line that it says; RuntimeError when it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process has ended; its error is above")
        return line

    def ask(self, what: str) -> dict[str, Any]:
        """Its answer to ``what``."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.line())
        return answer


@contextmanager
def helper(*arguments: str) -> Iterator[Helper]:
    """A `Helper` that is ended with the block."""
    started = Helper(*arguments)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


# ---- the players' process


async def play(url: str, count: int) -> None:
    """Bots and recorders, until stdin says ``end``; it says ``begin`` when the measured time begins."""
    recorders = [RecordingClient(url) for _ in range(min(RECORDERS, count - 1))]
    swarm = Swarm(Plan(url, count - len(recorders), replicas=2, ramp=200.0, seconds=3600.0), make_bot=KeysBot)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(swarm.run)
        for recorder in recorders:
            await nursery.start(recorder.run)
        lines: Any = trio.wrap_file(sys.stdin)
        began = 0.0
        async for line in lines:
            if line.strip() == "begin":
                began = time.monotonic()
                print("{}", flush=True)
            else:
                print(json.dumps(_gaps(recorders, began)), flush=True)
        nursery.cancel_scope.cancel()


def _gaps(recorders: Sequence[RecordingClient], began: float) -> dict[str, float]:
    """How far apart frames came since ``began``, in milliseconds."""
    gaps = [
        1e3 * (later.at - earlier.at)
        for recorder in recorders
        for earlier, later in itertools.pairwise(recorder.arrivals)
        if earlier.at >= began
    ]
    p50, p99, most = np.percentile(gaps, (50, 99, 100))
    desyncs = sum(recorder.session.stats.desyncs for recorder in recorders)
    return {"p50": float(p50), "p99": float(p99), "max": float(most), "desyncs": desyncs}


# ---- the flooders' process


def attack(kind: str, port: int, count: int, per_second: float) -> dict[str, Any]:
    """Flood until stdin says something."""
    os.nice(10)
    rates = {"connects": CONNECTS_PER_SECOND * count, "joins": JOINS_PER_SECOND * count}
    horde = Horde(("127.0.0.1", port), count, rates.get(kind))
    report = horde.run(_scripts(kind, count, per_second), _told_to_stop)
    return {"outcomes": dict(report.outcomes), "seconds": report.seconds}


def _scripts(kind: str, count: int, per_second: float) -> Iterator[MakeScript]:
    if kind in LORIS:
        yield from [attackers.loris("/bench", 0.0 if kind == "silent" else 1.0)] * count
        return
    chance = random.Random(1)
    for number in itertools.count():
        if kind == "connects":
            yield attackers.connect_and_close
        elif kind == "joins":
            yield attackers.join_and_leave("/bench", politely=number % 2 == 0)
        else:
            away = chance.uniform(*AWAY_SECONDS) if number >= count else chance.random()
            yield attackers.flood(kind, "/bench", per_second, away)


def _told_to_stop() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


# ---- one measurement


def measure_pair(kind: str, players: int, flooders: int, per_second: float, seconds: float) -> dict[str, Any]:
    """The same server and players without flooders, then with them."""
    with helper("tests.bench.server", "Full50") as server:
        port = server.line().split()[1]
        url = f"ws://127.0.0.1:{port}/bench"
        with helper("tests.bench.flooders", "--play", url, "--players", str(players)) as crowd:
            while server.ask("stats")["players"] < players:
                time.sleep(0.1)
            time.sleep(WARM_UP_SECONDS)
            without = _measure(server, crowd, seconds)
            options = ("--port", port, "--flooders", str(flooders), "--per-second", str(per_second))
            with helper("tests.bench.flooders", "--attack", kind, *options) as attackers_process:
                time.sleep(WARM_UP_SECONDS)
                measured = _measure(server, crowd, seconds)
                # Silent ones are all waited for: a server takes them in at its own pace, so the last ones come late.
                report = json.loads(attackers_process.line()) if kind in LORIS else attackers_process.ask("stop")
    return _row(kind, without, measured, report)


def _measure(server: Helper, crowd: Helper, seconds: float) -> dict[str, float]:
    crowd.ask("begin")
    server.ask("reset")
    before = process.cost(server.process.pid)
    time.sleep(seconds)
    spent = process.cost(server.process.pid) - before
    stats, gaps = server.ask("stats"), crowd.ask("end")
    return {
        "late_ms_p99": stats["lateness_ms"]["p99"],
        "late_ms_max": stats["lateness_ms"]["max"],
        "gap_ms_p99": gaps["p99"],
        "gap_ms_max": gaps["max"],
        "cpu_percent": 100 * spent.total / seconds,
        "desyncs": gaps["desyncs"],
    }


def _row(kind: str, without: dict[str, float], measured: dict[str, float], report: dict[str, Any]) -> dict[str, Any]:
    cut = [
        second
        for outcome, seconds in report["seconds"].items()
        if outcome.startswith(("code", "closed", "cut"))
        for second in seconds
    ]
    row = {"kind": kind, **{f"{key}_without": value for key, value in without.items()}, **measured}
    row["cut_seconds_middle"] = statistics.median(cut) if cut else 0.0
    row["cut_seconds_longest"] = max(cut, default=0.0)
    row["outcomes"] = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report["outcomes"].items()))
    later, allowed = row["late_ms_p99"] - row["late_ms_p99_without"], MOST_LATER_SHARE * row["late_ms_p99_without"]
    row["verdict"] = "ok" if later <= max(allowed, MOST_LATER_MS) else "MISSED"
    return row


def medians(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each kind: the middle of the numbers, the last of what is text, and the verdict of the middle."""
    result = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        same = [row for row in rows if row["kind"] == kind]
        row = {
            key: statistics.median(one[key] for one in same) if isinstance(value, (int, float)) else value
            for key, value in same[-1].items()
        }
        later = row["late_ms_p99"] - row["late_ms_p99_without"]
        row["verdict"] = (
            "ok" if later <= max(MOST_LATER_SHARE * row["late_ms_p99_without"], MOST_LATER_MS) else "MISSED"
        )
        result.append(row)
    return result


@click.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="One kind of them; may be repeated.")
@click.option("--loris", type=int, default=0, help="Measure so many silent connections instead.")
@click.option("--players", default=100)
@click.option("--flooders", default=100)
@click.option("--per-second", default=1000.0, help="Frames of one flooder.")
@click.option("--seconds", default=8.0, help="Measured time, without and with.")
@click.option("--repeats", default=3)
@click.option("--play", hidden=True, help="Be the players of one measurement.")
@click.option("--attack", "attacks", hidden=True, help="Be the flooders of one measurement.")
@click.option("--port", type=int, hidden=True)
def main(
    kinds: tuple[str, ...],
    loris: int,
    players: int,
    flooders: int,
    per_second: float,
    seconds: float,
    repeats: int,
    play: str | None,
    attacks: str | None,
    port: int,
) -> None:
    """Measure, and write build/bench/flooders.json (or loris.json)."""
    if play is not None:
        trio.run(globals()["play"], play, players)
        return
    if attacks is not None:
        click.echo(json.dumps(attack(attacks, port, flooders, per_second)))
        return
    chosen = LORIS if loris else kinds or KINDS
    rows = []
    for repeat in range(repeats):
        for kind in chosen:
            click.echo(f"{kind}, {repeat + 1} of {repeats}", err=True)
            rows.append(measure_pair(kind, players, loris or flooders, per_second, seconds))
            click.echo(f"  {markdown(_COLUMNS, rows[-1:]).splitlines()[-1]}", err=True)
    out = OUT.with_name("loris.json") if loris else OUT
    out.parent.mkdir(parents=True, exist_ok=True)
    settings = {"players": players, "flooders": loris or flooders, "per_second": per_second, "seconds": seconds}
    out.write_text(json.dumps({"machine": process.machine(), **settings, "points": rows}, indent=2) + "\n")
    click.echo(f"{process.machine()}\n\n{markdown(_COLUMNS, medians(rows))}")


if __name__ == "__main__":
    main()
