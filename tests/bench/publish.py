"""How long publish takes when everything moves: no sockets, the room's own process time."""

from __future__ import annotations

import statistics
import time

from gameserver.world.publish import PublishedWorld
from tests.bench.rooms import Publish10000
from tests.bench.systems import Row

TICKS = 200


def publish_10000() -> Row:
    """Milliseconds of CPU that publishing 10 000 moving ships takes, median of `TICKS` ticks."""
    room = Publish10000("bench", "1")
    room.on_create()
    published = PublishedWorld(room.world)
    times = []
    for tick in range(1, TICKS + 1):
        room.world.begin_step(tick)
        room.step(room.dt)
        began = time.process_time()
        published.publish(tick)
        times.append(time.process_time() - began)
    return {
        "workload": "publish-10000",
        "system": "tickwire",
        "clients": 0,
        "cpu_us_per_client_tick": None,
        "bytes_per_client_tick": None,
        "rss_kib_per_connection": None,
        "tick_hz": None,
        "tick_late_ms_p99": None,
        "publish_ms": statistics.median(times) * 1e3,
    }
