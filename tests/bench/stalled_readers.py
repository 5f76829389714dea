"""``python -m tests.bench.stalled_readers``: what players who stop reading cost those who do not.

A room with many healthy bots is measured with 0, 1 and 50 further players who have joined and then neither read nor
acknowledge. The three are measured in turn, several times, while the bots go on; every repeat compares with its own 0.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import trio

from tests.bench import process
from tests.bench.stall import ServerProcess, markdown
from tests.support.state_age import RecordingClient

OUT = Path("build/bench/stalled_readers.json")
STALLED = (0, 1, 50)
#: Healthy clients in this process that note when each frame came; the bots are in another one.
PROBES = 4
#: How long players who are to stall play before, and how long after that the measurement begins, in seconds.
PLAY_SECONDS, SETTLE_SECONDS = 1.0, 1.0
PATIENCE_SECONDS = 60.0

_FIGURES = (
    ("frame gap p50 ms", "gap_ms_p50"),
    ("frame gap p99 ms", "gap_ms_p99"),
    ("tick p50 ms", "tick_ms_p50"),
    ("tick p99 ms", "tick_ms_p99"),
    ("tick late p50 ms", "late_ms_p50"),
    ("tick late p99 ms", "late_ms_p99"),
    ("server CPU ms per tick", "cpu_ms_per_tick"),
)


class Bench:
    """One server under load, with probes.

    Args:
        server: the server's process. url: of its room. probes: those in it. healthy: bots and probes in it.
    """

    def __init__(self, server: ServerProcess, url: str, probes: list[RecordingClient], healthy: int) -> None:
        self._server = server
        self._url = url
        self._probes = probes
        self._healthy = healthy

    async def point(self, stalled: int, seconds: float) -> dict[str, Any]:
        """Measure with so many stalled players, who are gone again afterwards."""
        async with trio.open_nursery() as nursery:
            readers = [RecordingClient(self._url) for _ in range(stalled)]
            for reader in readers:
                await nursery.start(reader.run)
            await trio.sleep(PLAY_SECONDS)
            for reader in readers:
                reader.stall()
            await trio.sleep(SETTLE_SECONDS)
            row = await self._measure(seconds)
            await self.await_players(self._healthy + stalled)  # nobody has been thrown out
            nursery.cancel_scope.cancel()
        await self.await_players(self._healthy)
        return {"stalled": stalled, **row}

    async def await_players(self, count: int) -> None:
        """Wait until exactly so many are in the room."""
        with trio.fail_after(PATIENCE_SECONDS):
            while (await self._server.ask("stats"))["players"] != count:  # noqa: ASYNC110 - another process
                await trio.sleep(0.1)

    async def _measure(self, seconds: float) -> dict[str, float]:
        before, cost_before = await self._server.ask("reset"), process.cost(self._server.pid)
        seen = [len(probe.arrivals) for probe in self._probes]
        await trio.sleep(seconds)
        after, spent = await self._server.ask("stats"), process.cost(self._server.pid) - cost_before
        gaps = [np.diff([a.at for a in probe.arrivals[n:]]) for probe, n in zip(self._probes, seen, strict=True)]
        gap_p50, gap_p99 = np.percentile(np.concatenate(gaps) * 1e3, (50, 99))
        return {
            "gap_ms_p50": float(gap_p50),
            "gap_ms_p99": float(gap_p99),
            "tick_ms_p50": after["tick_time_ms"]["p50"],
            "tick_ms_p99": after["tick_time_ms"]["p99"],
            "late_ms_p50": after["lateness_ms"]["p50"],
            "late_ms_p99": after["lateness_ms"]["p99"],
            "cpu_ms_per_tick": spent.total / (after["ticks"] - before["ticks"]) * 1e3,
        }


@contextmanager
def bots_in(url: str, count: int) -> Iterator[None]:
    """So many bots that play in a process of their own until the block ends."""
    load = subprocess.Popen([sys.executable, "-m", "tests.bench.load", url, str(count)])
    try:
        yield
    finally:
        load.terminate()
        load.wait()


async def measure_all(bots: int, seconds: float, repeats: int) -> list[list[dict[str, Any]]]:
    """For each repeat a row for each of `STALLED`."""
    with ServerProcess("tests.bench.server", "Full200") as server:
        url = f"ws://127.0.0.1:{server.port}/bench"
        with bots_in(url, bots):
            async with trio.open_nursery() as nursery:
                probes = [RecordingClient(url) for _ in range(PROBES)]
                for probe in probes:
                    await nursery.start(probe.run)
                bench = Bench(server, url, probes, bots + PROBES)
                await bench.await_players(bots + PROBES)
                repeated = [await _one_repeat(bench, seconds, number) for number in range(repeats)]
                nursery.cancel_scope.cancel()
    return repeated


async def _one_repeat(bench: Bench, seconds: float, number: int) -> list[dict[str, Any]]:
    rows = []
    for at in range(len(STALLED)):
        stalled = STALLED[(at + number) % len(STALLED)]  # each is first, in the middle and last in turn
        rows.append(await bench.point(stalled, seconds))
        click.echo(f"repeat {number + 1}, {stalled} stalled: {rows[-1]}", err=True)
    return sorted(rows, key=lambda row: row["stalled"])


def summary(repeated: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each figure: its median with nobody stalled, and its ratios to that, each within one repeat."""
    rows = []
    for title, key in _FIGURES:
        row: dict[str, Any] = {"figure": title, "0": statistics.median(points[0][key] for points in repeated)}
        for at, stalled in enumerate(STALLED[1:], 1):
            ratios = [points[at][key] / points[0][key] for points in repeated]
            row[f"{stalled}"] = f"{statistics.median(ratios):.3f} ({min(ratios):.2f}-{max(ratios):.2f})"
        rows.append(row)
    return rows


@click.command()
@click.option("--bots", default=500, help="Healthy clients.")
@click.option("--seconds", default=8.0, help="Measured time of a point.")
@click.option("--repeats", default=5, help="How often each point is measured.")
def main(bots: int, seconds: float, repeats: int) -> None:
    """Measure what stalled readers cost the others, and write build/bench/stalled_readers.json."""
    repeated = trio.run(measure_all, bots, seconds, repeats)
    rows = summary(repeated)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"machine": process.machine(), "summary": rows, "repeats": repeated}, indent=2))
    columns = [("figure", "figure", None), ("nobody stalled", "0", 2)]
    columns += [(f"{stalled} stalled: ratio (least-most)", f"{stalled}", None) for stalled in STALLED[1:]]
    click.echo(f"{process.machine()}, {bots} bots\n\n{markdown(columns, rows)}")


if __name__ == "__main__":
    main()
