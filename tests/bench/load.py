"""The load on the server under measurement: the same inputs as the rivals' ``load.mjs`` sends."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from gamebots import fleet
from gamebots.bots import Bot
from gamebots.plan import Plan
from gameprotocol import Replica, Schema

_SOURCE = Path(__file__).with_name("load.c")
_PROGRAM = Path("build/bench/load")
#: A crowd that is not ended goes by itself after this, in seconds.
_LONGEST = 3600


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


class Crowd:
    """So many clients, in a process that ends with the block, that send inputs, acknowledge, and decode nothing else.

    It is a program in C, which takes 20 % of a core for a thousand clients at 20 Hz; a thousand bots of `gamebots` that
    read frames' headers alone take 64 to 77 %, on a machine where the server needs the other core. Its masks are
    zeros, as those of the rivals' load are, and then the servers have nothing to unmask.

    Args:
        port: of the server. count: of clients.
    """

    def __init__(self, port: int, count: int) -> None:
        self._command = [str(_PROGRAM), str(port), "/bench", str(count), str(_LONGEST)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Crowd:
        if not _PROGRAM.exists() or _PROGRAM.stat().st_mtime < _SOURCE.stat().st_mtime:
            _PROGRAM.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cc", "-O2", "-o", str(_PROGRAM), str(_SOURCE)], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def start(self) -> None:
        """All come, one right after the other; once."""
        if self._process is None:
            self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, text=True)

    @property
    def is_gone(self) -> bool:
        """Whether it has ended by itself; its error is on stderr."""
        return self._process is not None and self._process.poll() is not None


def main() -> None:
    """So many players who all hold the state, until they are ended: ``python -m tests.bench.load URL COUNT``."""
    url, count = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    fleet.run(Plan(url, count, seconds=_LONGEST, replicas=count, bot="tests.bench.load:KeysBot"))


if __name__ == "__main__":
    main()
