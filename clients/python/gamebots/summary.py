"""What a run of bots has shown, as plain values and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from gamebots.connection import BotConnection

#: From this share of a core on, what is measured is this tool as much as the server.
_BUSY_PERCENT: Final = 85.0
_TOO_BUSY: Final = (
    "this tool was the limit, not the server: use fewer bots, or fewer of them with a replica (--replicas)"
)


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float | None]:
    """``{"p50", "p99", "max"}`` in milliseconds; None for each when nothing was measured."""
    if not seconds:
        return {"p50": None, "p99": None, "max": None}
    p50, p99 = np.percentile(seconds, (50, 99))
    return {"p50": round(float(p50) * 1e3, 2), "p99": round(float(p99) * 1e3, 2), "max": round(max(seconds) * 1e3, 2)}


class Totals:
    """Counters over all bots at one moment; two of them make a report of the time between."""

    def __init__(self, connections: Sequence[BotConnection]) -> None:
        self.frames = sum(connection.frames for connection in connections)
        self.bytes_in = sum(connection.link.bytes_in for connection in connections)
        self.bytes_out = sum(connection.link.bytes_out for connection in connections)
        self.skipped_frames = sum(connection.skipped_frames for connection in connections)
        self.coalesced_ticks = sum(connection.coalesced_ticks for connection in connections)


def make_report(
    *,
    url: str,
    asked: int,
    connections: Sequence[BotConnection],
    disconnects: dict[str, int],
    before: Totals,
    after: Totals,
    latencies: Sequence[float],
    seconds: float,
    cpu_seconds: float,
) -> dict[str, Any]:
    """The figures of one run.

    Args:
        url: of the room. asked: how many bots were asked for.
        connections: the bots that joined.
        disconnects: bots that lost their connection or never got one, by reason.
        before, after: totals at both ends of the measured time.
        latencies: input to applied frame, in seconds.
        seconds: the measured time. cpu_seconds: what this process spent in it.
    """
    per_client_s = max(len(connections), 1) * max(seconds, 1e-9)
    busy_percent = 100 * cpu_seconds / max(seconds, 1e-9)
    replicas = [connection.replica for connection in connections if connection.replica is not None]
    return {
        "url": url,
        "count": asked,
        "connected": len(connections),
        "seconds": round(seconds, 2),
        "replicas": len(replicas),
        "frames_per_client_s": round((after.frames - before.frames) / per_client_s, 2),
        "bytes_per_client_s": round((after.bytes_in - before.bytes_in) / per_client_s, 1),
        "bytes_sent_per_client_s": round((after.bytes_out - before.bytes_out) / per_client_s, 1),
        "coalesced_ticks": after.coalesced_ticks - before.coalesced_ticks,
        "skipped_frames": after.skipped_frames - before.skipped_frames,
        "latency_ms": percentiles_ms(latencies),
        "disconnects": disconnects,
        "desyncs": sum(replica.desyncs for replica in replicas),
        "hashes_checked": sum(replica.hashes_checked for replica in replicas),
        "tool_cpu_percent": round(busy_percent, 1),
        "warning": _TOO_BUSY if busy_percent > _BUSY_PERCENT else None,
    }


def report_text(report: dict[str, Any]) -> str:
    """The same for people."""
    latency = report["latency_ms"]
    lost = ", ".join(f"{count} x {reason}" for reason, count in report["disconnects"].items()) or "none"
    sample = "" if report["replicas"] >= report["connected"] else "; the other bots read frame headers alone"
    lines = [
        f"connected    {report['connected']} of {report['count']}",
        f"frames       {report['frames_per_client_s']} per client and second; {report['coalesced_ticks']} ticks were "
        f"merged into later frames, {report['skipped_frames']} frames could not be applied",
        f"bandwidth    {report['bytes_per_client_s'] / 1000:.1f} kB/s in, "
        f"{report['bytes_sent_per_client_s'] / 1000:.1f} kB/s out per client",
        f"latency      p50 {latency['p50']} ms, p99 {latency['p99']} ms (input sent to applied frame held)",
        f"disconnects  {lost}",
        f"desyncs      {report['desyncs']} ({report['hashes_checked']} hashes checked by {report['replicas']} bots"
        f"{sample})",
        f"this tool    {report['tool_cpu_percent']} % of a core",
    ]
    return "\n".join(lines + ([f"warning      {report['warning']}"] if report["warning"] else []))
