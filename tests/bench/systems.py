"""The systems that are measured, each by one function that runs one point and answers a row."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.bench import process

#: One measured point; the keys are those of ``build/bench/results.json``.
Row: TypeAlias = dict[str, Any]

#: Between the last join and the measurement, in seconds.
WARM_UP_SECONDS = 2.0
#: Most that a point may take besides the measured time, in seconds; the rivals' tool waits for a quiet machine first.
PATIENCE_SECONDS = 180.0
#: Players who hold the state and check the desync hash. The rivals' tool decodes in two as well.
REPLICAS = 2
LOAD_PROGRAM = Path("build/bench/load")


@dataclass(frozen=True)
class Workload:
    """What is measured.

    Attributes:
        room: the class in `rooms`.
        entities: how many a client sees, for bytes per entity; None where that differs from client to client.
        rival: whether the rivals know it.
        clients: counts that it is measured with, whatever the command line says; empty to do as it says.
    """

    room: str
    entities: int | None = None
    rival: bool = True
    clients: tuple[int, ...] = ()


WORKLOADS: Final = {
    "full-50": Workload("Full50", 50),
    "full-200": Workload("Full200", 200),
    "echo-min": Workload("EchoMin", 1),
    "aoi-1000": Workload("Aoi1000"),
    "aoi-private": Workload("AoiPrivate", rival=False),
    "aoi-10000": Workload("Aoi10000", rival=False, clients=(2000,)),
    "aoi-radius-150": Workload("Aoi1000Radius150", rival=False),
    "aoi-radius-600": Workload("Aoi1000Radius600", rival=False),
}


class UnavailableError(Exception):
    """A rival cannot be run here; the text says why."""


def tickwire(workload: str, clients: int, seconds: float) -> Row:
    """Our own server, in a process of its own, with our bots in another."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.server", WORKLOADS[workload].room],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        return _tickwire_point(server, workload, clients, seconds)
    finally:
        server.kill()
        server.wait()


def _tickwire_point(server: subprocess.Popen[str], workload: str, clients: int, seconds: float) -> Row:
    port = _read_line(server).split()[1]
    empty_kib = process.resident_kib(server.pid)
    crowd, bots = _start_load(port, clients, seconds + 4)
    try:
        _await_players(server, clients)
        time.sleep(WARM_UP_SECONDS)
        before, cost_before = _ask(server, "reset"), process.cost(server.pid)
        time.sleep(seconds)
        after, cost_after = _ask(server, "stats"), process.cost(server.pid)
        _ask(server, "collect")
        full_kib = process.resident_kib(server.pid)
        report = json.loads(bots.communicate(timeout=PATIENCE_SECONDS)[0])
    finally:
        for load in (crowd, bots):
            load.kill()
            load.wait()
    ticks = after["ticks"] - before["ticks"]
    spent, client_ticks = cost_after - cost_before, ticks * clients
    frame_bytes = (after["frame_bytes"] - before["frame_bytes"]) / client_ticks
    return {
        "workload": workload,
        "system": "tickwire",
        "clients": clients,
        "cpu_us_per_client_tick": spent.total / client_ticks * 1e6,
        "cpu_system_us_per_client_tick": spent.system / client_ticks * 1e6,
        "bytes_per_client_tick": frame_bytes,
        "bytes_per_entity_tick": _per_entity(workload, frame_bytes),
        "rss_kib_per_connection": (full_kib - empty_kib) / clients,
        "tick_hz": ticks / (after["now"] - before["now"]),
        "tick_late_ms_p99": after["lateness_ms"]["p99"],
        "tick_ms_p99": after["tick_time_ms"]["p99"],
        "inputs_per_client_tick": (after["inputs"] - before["inputs"]) / client_ticks,
        "frames_per_client_tick": (after["frames"] - before["frames"]) / client_ticks,
        "latency_ms_p50": report["latency_ms"]["p50"],
        "latency_ms_p99": report["latency_ms"]["p99"],
        "desyncs": report["desyncs"],
    }


def _per_entity(workload: str, frame_bytes: float) -> float | None:
    entities = WORKLOADS[workload].entities
    return None if entities is None else frame_bytes / entities


def _start_load(port: str, clients: int, seconds: float) -> tuple[subprocess.Popen[str], subprocess.Popen[str]]:
    """The crowd that decodes nothing, in C, and a few of our bots that hold the state and check its hash."""
    program = LOAD_PROGRAM
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-O2", "-o", str(program), str(Path(__file__).with_name("load.c"))], check=True)
    count = str(clients - REPLICAS)
    crowd = subprocess.Popen([str(program), port, "/bench", count, str(seconds)], stdout=subprocess.DEVNULL, text=True)
    url = f"ws://127.0.0.1:{port}/bench"
    bots = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.load", url, str(REPLICAS), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    return crowd, bots


def _await_players(server: subprocess.Popen[str], clients: int) -> None:
    patience = time.monotonic() + PATIENCE_SECONDS
    while _ask(server, "stats")["players"] < clients:
        if time.monotonic() > patience:
            raise RuntimeError(f"not all of {clients} bots have joined")
        time.sleep(0.2)


def _ask(server: subprocess.Popen[str], what: str) -> dict[str, Any]:
    assert server.stdin is not None
    server.stdin.write(what + "\n")
    server.stdin.flush()
    answer: dict[str, Any] = json.loads(_read_line(server))
    return answer


def _read_line(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        raise RuntimeError("the server has ended; its error is above")
    return line


class Rivals:
    """The rivals' folder, copied to where it may be written to, with what they need installed.

    Args:
        source: the folder of rivals: ``floor.c`` and ``colyseus/``.
        build: where to copy it.
    """

    def __init__(self, source: Path, build: Path) -> None:
        self._source = source
        self._build = build

    def prepare(self) -> None:
        """Copy, compile, install; UnavailableError when one of these cannot be done."""
        if not (self._source / "floor.c").exists():
            raise UnavailableError(f"no rivals in {self._source}: give their folder with RIVALS=...")
        for program in ("cc", "node", "npm"):
            if shutil.which(program) is None:
                raise UnavailableError(f"no {program} on this machine, the rivals need it")
        shutil.copytree(self._source, self._build, dirs_exist_ok=True)
        for path in [self._build, *self._build.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755)
        subprocess.run(["cc", "-O2", "-o", "floor", "floor.c"], cwd=self._build, check=True)
        if not (self._build / "colyseus" / "node_modules").exists():
            command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(command, cwd=self._build / "colyseus", check=True)

    def colyseus(self, workload: str, clients: int, seconds: float) -> Row:
        """Colyseus on ws, its own load generator driving it."""
        folder = self._build / "colyseus"
        out = (folder / "point.jsonl").resolve()
        out.unlink(missing_ok=True)
        only = ["--only", f"^{workload}$", "--clients", str(clients), "--seconds", str(int(seconds)), "--out", str(out)]
        subprocess.run(
            ["node", "bench.mjs", *only],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=seconds + PATIENCE_SECONDS,
        )
        point = json.loads(out.read_text().splitlines()[-1])
        latency = point["latency"] or {"p50": None, "p99": None}
        return {
            "workload": workload,
            "system": "colyseus",
            "clients": point["clients"],
            "cpu_us_per_client_tick": point["cpuUsPerClientTick"],
            "cpu_system_us_per_client_tick": point["cpuSysUsPerClientTick"],
            "bytes_per_client_tick": point["bytesPerClientTick"],
            "bytes_per_entity_tick": _per_entity(workload, point["bytesPerClientTick"]),
            "rss_kib_per_connection": point["rssPerConn"] / 1024,
            "tick_hz": point["tickHz"],
            "tick_late_ms_p99": None,  # it does not tell
            "tick_ms_p99": point["tickMs"]["p99"],
            "inputs_per_client_tick": point["inputsPerClientSecServer"] / point["tickHz"],
            "frames_per_client_tick": point["msgsPerClientTick"],
            "latency_ms_p50": latency["p50"],
            "latency_ms_p99": latency["p99"],
            "desyncs": None,
        }

    def floor(self, workload: str, clients: int, seconds: float, frame_bytes: int) -> Row:
        """The C program that does one recv and one send per client and tick, with frames as large as ours."""
        command = [str(self._build / "floor"), str(clients), str(frame_bytes), str(int(seconds))]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + PATIENCE_SECONDS)
        point = json.loads(done.stdout)
        return {
            "workload": workload,
            "system": "floor",
            "clients": clients,
            "cpu_us_per_client_tick": point["cpuUsPerClientTick"],
            "cpu_system_us_per_client_tick": point["sys"],
            "bytes_per_client_tick": frame_bytes,
            "bytes_per_entity_tick": None,
            "rss_kib_per_connection": None,
            "tick_hz": point["tickHz"],
            "tick_late_ms_p99": None,
        }
