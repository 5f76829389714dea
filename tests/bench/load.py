"""The load on the server under measurement: the same inputs as the rivals' ``load.mjs`` sends. Prints a report."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import trio

from gamebots.bots import Bot
from gamebots.swarm import Swarm
from gameprotocol import Replica, Schema


class KeysBot(Bot):
    """Holds keys for 16 ticks and turns a little in each: nothing in its inputs stays the same."""

    decision_ticks = 1

    def __init__(self, schema: Schema, player: int, seed: int) -> None:
        super().__init__(schema, player, seed)
        self._salt = seed
        self._sent = 0

    def on_frame(self, world: Replica) -> list[Any]:
        return self.without_world()

    def without_world(self) -> list[Any]:
        self._sent += 1
        keys = (self._sent >> 4) + self._salt
        aim = ((self._sent * 0.05 + self._salt) % math.tau) / math.pi - 1
        return [bool(keys & 1), bool(keys & 2), bool(keys & 4), bool(keys & 8), aim]


def main() -> None:
    url, clients, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    # The rivals' load masks with zeros, and their server's library then has nothing to unmask: so do we, as ours does.
    swarm = Swarm(url, clients, replicas=clients, make_bot=KeysBot, mask_source=bytes)
    print(json.dumps(trio.run(swarm.run, seconds)), flush=True)


if __name__ == "__main__":
    main()
