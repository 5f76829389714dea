"""The rivals: systems that are measured beside ours, on the same work in the same run."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.bench.systems import PATIENCE_SECONDS, Row, per_entity


class UnavailableError(Exception):
    """A rival cannot be run here; the text says why."""


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
            "bytes_per_entity_tick": per_entity(workload, point["bytesPerClientTick"]),
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
