"""``python -m tests.bench.stall``: how old the state is that a client holds whose link has half the bandwidth it needs.

Beside the server as it is stands the same server with an unbounded queue for each client. Server and clients are on one
machine and read one clock. All cases run at the same time, each with a server process and a link of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
import numpy as np
import trio

from gameserver import serve
from gameserver.process import tune_process
from tests.bench import process
from tests.support import state_age
from tests.support.slow_link import slow_link
from tests.support.state_age import Arrival, RecordingClient, bytes_held, unbounded_queue

OUT = Path("build/bench/stall.json")
ROUND_TRIPS_MS = (0, 80)
SENDING = ("latest wins", "unbounded queue")
ROOMS = ("Crowd", "SmallSteps")
#: Between the join and the measurement of what a client needs, and how long that takes, in seconds.
WARM_UP_SECONDS, NEED_SECONDS = 1.0, 2.0

_COLUMNS = (
    ("round trip ms", "round_trip_ms", 0),
    ("sending", "sending", None),
    ("link kB/s", "link_kb_s", 1),
    ("frames/s", "frames_s", 1),
    ("age p50 ms", "age_ms_p50", 0),
    ("p95", "age_ms_p95", 0),
    ("max", "age_ms_max", 0),
    ("held at start kB", "held_kb_start", 1),
    ("at end", "held_kb_end", 1),
    ("server RSS at start MiB", "rss_mib_start", 1),
    ("at end", "rss_mib_end", 1),
)


class ServerProcess:
    """A server in a process of its own: it says READY and its port, then answers each line with a line of JSON.

    Args:
        arguments: the Python module that is the server, and what it is given.

    Attributes:
        port: what it listens on. pid: of the process.
    """

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.port = int(self._line().split()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    async def ask(self, what: str) -> dict[str, Any]:
        """Its answer to ``what``."""
        return await trio.to_thread.run_sync(self._ask, what)

    def _ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server has ended; its error is above")
        return line


async def serve_crowd(room: str, sending: str) -> None:
    """The server of one case."""
    with unbounded_queue() if sending == "unbounded queue" else nullcontext():
        async with serve({"crowd": getattr(state_age, room)}, port=0) as server:
            print(f"READY {server.port}", flush=True)
            loop = server.directory.find("crowd")
            lines: Any = trio.wrap_file(sys.stdin)
            async for _ in lines:
                held = sum(bytes_held(link) for link in loop.seating.connected)
                print(json.dumps({**loop.room.stats.snapshot(), "held": held}), flush=True)


async def measure(room: str, round_trip_ms: int, sending: str, seconds: float, rows: list[dict[str, Any]]) -> None:
    """Run one case and append its row."""
    with ServerProcess("tests.bench.stall", "--serve", sending, "--room", room) as server:
        async with (
            slow_link(f"ws://127.0.0.1:{server.port}/crowd", delay=round_trip_ms / 2e3) as link,
            trio.open_nursery() as nursery,
        ):
            client = RecordingClient(link.url)
            await nursery.start(client.run)
            await trio.sleep(WARM_UP_SECONDS)
            before = await server.ask("stats")
            await trio.sleep(NEED_SECONDS)
            start = await server.ask("stats")
            link.bytes_per_second = (start["frame_bytes"] - before["frame_bytes"]) / NEED_SECONDS / 2
            rss_start, seen = process.resident_kib(server.pid), len(client.arrivals)
            await trio.sleep(seconds)
            end, arrivals = await server.ask("stats"), client.arrivals[seen:]
            rows.append(
                {"round_trip_ms": round_trip_ms, "sending": sending, "link_kb_s": link.bytes_per_second / 1e3}
                | _ages(arrivals, seconds)
                | {"held_kb_start": start["held"] / 1e3, "held_kb_end": end["held"] / 1e3}
                | {"rss_mib_start": rss_start / 1024, "rss_mib_end": process.resident_kib(server.pid) / 1024}
                | {"desyncs": client.session.stats.desyncs}
            )
            nursery.cancel_scope.cancel()


def _ages(arrivals: Sequence[Arrival], seconds: float) -> dict[str, float]:
    p50, p95, most = np.percentile([arrival.age * 1e3 for arrival in arrivals], (50, 95, 100))
    return {
        "frames_s": len(arrivals) / seconds,
        "age_ms_p50": float(p50),
        "age_ms_p95": float(p95),
        "age_ms_max": float(most),
    }


async def measure_all(room: str, seconds: float) -> list[dict[str, Any]]:
    """All cases at once; their rows in the order of the table."""
    rows: list[dict[str, Any]] = []
    async with trio.open_nursery() as nursery:
        for round_trip_ms in ROUND_TRIPS_MS:
            for sending in SENDING:
                nursery.start_soon(measure, room, round_trip_ms, sending, seconds, rows)
    return sorted(rows, key=lambda row: (row["round_trip_ms"], row["sending"]))


def markdown(columns: Sequence[tuple[str, str, int | None]], rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table.

    Args:
        columns: title, key and digits behind the point of each; None for text.
    """
    lines = [
        "| " + " | ".join(title for title, _, _ in columns) + " |",
        "|" + "".join("---|" if digits is None else "---:|" for _, _, digits in columns),
    ]
    for row in rows:
        cells = (row[key] if digits is None else f"{row[key]:.{digits}f}" for _, key, digits in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--seconds", default=60.0, help="Measured time.")
@click.option("--room", default=ROOMS[0], type=click.Choice(ROOMS), help="What is played; see tests.support.state_age.")
@click.option("--serve", "sending", type=click.Choice(SENDING), hidden=True, help="Be the server of one case.")
def main(seconds: float, room: str, sending: str | None) -> None:
    """Measure the age of states on links that are too slow, and write build/bench/stall.json."""
    if sending is not None:
        tune_process()  # as `gameserver run` does
        trio.run(serve_crowd, room, sending)
        return
    rows = trio.run(measure_all, room, seconds)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"machine": process.machine(), "room": room, "seconds": seconds, "rows": rows}, indent=2))
    click.echo(f"{process.machine()}\n\n{markdown(_COLUMNS, rows)}")


if __name__ == "__main__":
    main()
