"""Our own server under measurement: its costs as the system tells them, and what `gamebots` players see of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from gamebots import fleet
from gamebots.plan import Plan, Progress
from tests.bench import process
from tests.bench.flooders import Helper, helper
from tests.bench.load import Crowd

#: One measured point; the keys are those of ``build/bench/results.json``.
Row: TypeAlias = dict[str, Any]

#: Between the moment at which all play and the measurement, in seconds.
WARM_UP_SECONDS: Final = 1.0
#: Most that a point may take besides the measured time, in seconds; the rivals' tool waits for a quiet machine first.
PATIENCE_SECONDS: Final = 180.0
#: Bots of `gamebots` among the clients: they measure, the others are a crowd. Those who hold the state and check the
#: desync hash are as many as in the rivals' tool.
PLAYERS, REPLICAS = 20, 2

#: How fast a crowd comes, at least: the server takes one in after the other.
CROWD_PER_SECOND: Final = 500.0

#: What players see: key of a row, figure of `gamebots` and its statistic.
_SEEN: Final = {
    "latency_ms_p50": ("latency", "p50"),
    "latency_ms_p99": ("latency", "p99"),
    "state_age_ms_p50": ("state_age", "p50"),
    "state_age_ms_p99": ("state_age", "p99"),
    "frame_gap_ms_p50": ("frames.gap", "p50"),
    "frame_gap_ms_p99": ("frames.gap", "p99"),
    "frame_gap_ms_max": ("frames.gap", "max"),
    "seen_late_ms_p99": ("lateness", "p99"),
    "desyncs": ("desyncs", "value"),
}


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


def tickwire(workload: str, clients: int, seconds: float) -> Row:
    """Our own server in a process of its own, a crowd in another, and players of `gamebots` in a third."""
    with helper("tests.bench.server", WORKLOADS[workload].room) as server:
        port = int(server.line().split()[1])
        empty_kib = process.resident_kib(server.process.pid)
        with Crowd(port, clients - PLAYERS) as crowd:
            gauge = _Gauge(server, crowd, clients, seconds)
            document = fleet.run(_plan(port, clients, seconds), gauge.follow)
            costs = gauge.result()
    costs["rss_kib_per_connection"] = (costs.pop("rss_kib") - empty_kib) / clients
    costs["bytes_per_entity_tick"] = per_entity(workload, costs["bytes_per_client_tick"])
    return {"workload": workload, "system": "tickwire", "clients": clients, **costs, **_seen(document)}


def _plan(port: int, clients: int, seconds: float) -> Plan:
    """Players who join before, among and after the crowd: a server writes to who joined first before the others.

    They play a little longer than the server is measured: who leaves is not to be part of it.
    """
    return Plan(
        url=f"ws://127.0.0.1:{port}/bench",
        count=PLAYERS,
        seconds=WARM_UP_SECONDS + seconds + 1.0,
        ramp=PLAYERS / (2.0 + clients / CROWD_PER_SECOND),
        replicas=REPLICAS,
        bot="tests.bench.load:KeysBot",
    )


class _Gauge:
    """Measures the server while the players play, in a thread beside them.

    Args:
        server: under measurement. crowd: who plays besides. clients: how many all are. seconds: to measure.
    """

    def __init__(self, server: Helper, crowd: Crowd, clients: int, seconds: float) -> None:
        self._server, self._crowd, self._clients, self._seconds = server, crowd, clients, seconds
        self._thread = threading.Thread(target=self._measure, daemon=True)
        self._found: Row = {}

    def follow(self, progress: Progress) -> None:
        """What the players do: the crowd comes after the first of them; once all play, the server is measured."""
        self._crowd.start()
        if progress.phase == "measure" and self._thread.ident is None:
            self._thread.start()

    def result(self) -> Row:
        """What was found; RuntimeError when there was no time for it, or the server has ended."""
        if self._thread.ident is not None:
            self._thread.join(PATIENCE_SECONDS)
        if not self._found:
            raise RuntimeError("the server could not be measured; what is wrong is above")
        return self._found

    def _measure(self) -> None:
        server, pid = self._server, self._server.process.pid
        time.sleep(WARM_UP_SECONDS)
        there = server.ask("stats")["players"]
        if there < self._clients or self._crowd.is_gone:
            raise RuntimeError(f"{there} of {self._clients} clients have joined")
        before, cost_before, others_before = server.ask("reset"), process.cost(pid), _cost_of_others()
        time.sleep(self._seconds)
        after, cost_after, others_after = server.ask("stats"), process.cost(pid), _cost_of_others()
        server.ask("collect")
        ticks, spent = after["ticks"] - before["ticks"], cost_after - cost_before
        client_ticks = ticks * self._clients
        self._found = {
            "cpu_us_per_client_tick": spent.total / client_ticks * 1e6,
            "cpu_system_us_per_client_tick": spent.system / client_ticks * 1e6,
            "bytes_per_client_tick": (after["frame_bytes"] - before["frame_bytes"]) / client_ticks,
            "rss_kib": process.resident_kib(pid),
            "tick_hz": ticks / (after["now"] - before["now"]),
            "tick_late_ms_p99": after["lateness_ms"]["p99"],
            "tick_ms_p99": after["tick_time_ms"]["p99"],
            "inputs_per_client_tick": (after["inputs"] - before["inputs"]) / client_ticks,
            "frames_per_client_tick": (after["frames"] - before["frames"]) / client_ticks,
            "others_cpu_percent": 100 * (others_after - others_before) / self._seconds,
        }


def _cost_of_others() -> float:
    """CPU seconds so far of what does not belong to this bench."""
    return process.cost_of_machine() - process.cost_of_family()


def _seen(document: Mapping[str, Any]) -> Row:
    figures = document["figures"]
    seen = {key: figures.get(figure, {}).get(statistic) for key, (figure, statistic) in _SEEN.items()}
    return {**seen, "tool_cpu_percent": figures["tool.cpu"]["value"], "limit": document["limit"]["side"]}


def per_entity(workload: str, frame_bytes: float) -> float | None:
    """Bytes of one entity in a frame; None where clients see different numbers of them."""
    entities = WORKLOADS[workload].entities
    return None if entities is None else frame_bytes / entities
