"""The server under measurement: ``python -m tests.bench.server ROOM``.

Prints READY and the port, then answers each line on stdin with a JSON line of counters.
"""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import trio

from gameserver import Limits, serve
from gameserver.process import tune_process
from tests.bench import rooms


async def main(room_name: str, port: int) -> None:
    # All clients connect at once, and some of them are meant to stall for long.
    limits = Limits(connects_per_second=2000, dead_seconds=3600)
    async with serve({"bench": getattr(rooms, room_name)}, port=port, limits=limits) as server:
        room = server.room("bench")
        print(f"READY {server.port}", flush=True)
        lines: Any = trio.wrap_file(sys.stdin)
        async for line in lines:
            if line.strip() == "reset":
                room.stats.reset_times()
            if line.strip() == "collect":
                gc.collect()
            print(
                json.dumps({**room.stats.snapshot(), "players": room.player_count, "now": trio.current_time()}),
                flush=True,
            )


if __name__ == "__main__":
    tune_process()  # as `gameserver run` does
    trio.run(main, sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
