"""``python -m tests.bench.soak``: whether a server gives back what players took, however many come and go.

In a cycle many join, stay for a moment, and leave: half of them as they should, half without a word. After each the
server collects its garbage and is looked at. Memory never returns to where it began, since the allocator keeps holes;
so what counts is that it stays where it is: from the third cycle on it must not grow.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import trio

from gameserver import Limits, serve
from gameserver.process import tune_process
from tests.bench import process
from tests.bench.flooders import Helper, helper
from tests.bench.stall import markdown
from tests.hostile import attackers
from tests.hostile.horde import Horde, MakeScript
from tests.hostile.victim import Small, census

OUT: Final = Path("build/bench/soak.json")
#: Cycles until everything that is made once has been made.
SETTLED_CYCLES: Final = 3
#: How much more memory the last cycle may leave than the third, in KiB.
MOST_GROWTH_KIB: Final = 2048
#: How long players stay, and how long the server has to notice that they left, in seconds.
STAY_SECONDS, GONE_SECONDS = 0.5, 10.0

_COLUMNS: Final = (
    ("cycle", "cycle", 0),
    ("joined", "joined", 0),
    ("resident KiB", "resident_kib", 0),
    ("with players", "resident_kib_with", 0),
    ("descriptors", "descriptors", 0),
    ("tasks", "tasks", 0),
    ("seconds", "seconds", 1),
)


class Lobby(Small):
    """At 20 Hz the ids of those who left rest for 3 s, so that tables have their full size after the third cycle."""

    tick_rate = 20


async def be_the_server() -> None:
    """Print READY and the port, then answer each line on stdin with a line of JSON."""
    async with serve({"soak": Lobby}, port=0, limits=Limits(connects_per_second=1e6)) as server:
        print(f"READY {server.port}", flush=True)
        lines: Any = trio.wrap_file(sys.stdin)
        async for _ in lines:
            players = sum(room.player_count for room in server.rooms)
            print(json.dumps({**census(), "players": players, "objects": len(gc.get_objects())}), flush=True)


def _joiners(count: int) -> Iterator[MakeScript]:
    for number in range(count):
        yield attackers.joiner("/soak", politely=number % 2 == 0)


def cycle(server: Helper, port: int, clients: int, number: int) -> dict[str, Any]:
    """Let ``clients`` come and go once; what the server holds then.

    Raises:
        RuntimeError: some did not get in, or did not get out.
    """
    began = time.monotonic()
    horde = Horde(("127.0.0.1", port), clients)
    horde.arm(_joiners(clients))
    time.sleep(STAY_SECONDS)
    full = server.ask("census")
    report = horde.fire()
    horde.close()
    if full["players"] != clients or report.outcomes != {"left": clients}:
        raise RuntimeError(f"{full['players']} of {clients} were in, and left so: {dict(report.outcomes)}")
    after = _when_empty(server)
    return {
        **after,
        "cycle": number,
        "joined": clients,
        "resident_kib_with": full["resident_kib"],
        "seconds": time.monotonic() - began,
    }


def _when_empty(server: Helper) -> dict[str, Any]:
    """What it holds when all have gone; RuntimeError when they have not within `GONE_SECONDS`."""
    deadline = time.monotonic() + GONE_SECONDS
    before: dict[str, Any] = {}
    while time.monotonic() < deadline:
        now = server.ask("census")
        if not now["players"] and before.get("descriptors") == now["descriptors"] and before["tasks"] == now["tasks"]:
            return now
        before = now
        time.sleep(0.2)
    raise RuntimeError(f"it still holds {before}")


def soak(clients: int, cycles: int, minutes: float = 0.0) -> list[dict[str, Any]]:
    """Run so many cycles, or as many as fit into ``minutes``; a row for each, the empty server first."""
    with helper("tests.bench.soak", "--serve") as server:
        port = int(server.line().split()[1])
        rows = [{**server.ask("census"), "cycle": 0, "joined": 0, "resident_kib_with": 0, "seconds": 0.0}]
        began = time.monotonic()
        while len(rows) <= cycles or time.monotonic() - began < 60 * minutes:
            rows.append(cycle(server, port, clients, len(rows)))
            if minutes:
                click.echo(f"{time.monotonic() - began:6.0f} s, cycle {len(rows) - 1}: {rows[-1]}", err=True)
        return rows


def growth_kib(rows: list[dict[str, Any]]) -> float:
    """How much memory grew from the third cycle to the last, in KiB, by the line that fits best through all between.

    One row alone may lie a page or two beside it.
    """
    settled = rows[SETTLED_CYCLES:]
    slope = np.polyfit([row["cycle"] for row in settled], [row["resident_kib"] for row in settled], 1)[0]
    return float(slope * (settled[-1]["cycle"] - settled[0]["cycle"]))


@click.command()
@click.option("--cycles", default=8, help="At least so many.")
@click.option("--clients", default=1500, help="Who join in each.")
@click.option("--minutes", default=0.0, help="Go on for so long.")
@click.option("--serve", "serves", is_flag=True, hidden=True, help="Be the server.")
def main(cycles: int, clients: int, minutes: float, serves: bool) -> None:
    """Soak a server, write build/bench/soak.json, and exit with 1 when it keeps what it should give back."""
    if serves:
        tune_process()  # as `gameserver run` does
        trio.run(be_the_server)
        return
    rows = soak(clients, cycles, minutes)
    growth, held = growth_kib(rows), rows[-1]["descriptors"] - rows[SETTLED_CYCLES]["descriptors"]
    report = {"machine": process.machine(), "clients": clients, "growth_kib": growth, "rows": rows}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(report, indent=2) + "\n")
    shown = rows if len(rows) <= 20 else [*rows[:4], *rows[-4:]]
    click.echo(f"{process.machine()}\n\n{markdown(_COLUMNS, shown)}\n")
    good = growth <= MOST_GROWTH_KIB and not held
    aim = f"from cycle {SETTLED_CYCLES}: {growth:+.0f} KiB (aim {MOST_GROWTH_KIB}), {held:+d} descriptors"
    click.echo(f"{aim}: {'ok' if good else 'MISSED'}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
