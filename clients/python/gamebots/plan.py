"""What a load test is to do, and what it tells of itself while it runs. Plain values that may go to another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from gamebots.conditioner import LinkProfile

#: All bots up to this number hold a replica; beyond it only a sample does, so that this tool is not the limit.
REPLICAS_FOR_ALL: Final = 200
REPLICA_SAMPLE: Final = 50


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        url: of the room, ``ws://`` or ``wss://``.
        count: how many bots.
        seconds: the measured time.
        ramp: bots that connect in a second; ``inf``: all at once.
        scenario: what bots do with their connections: a name of `scenarios.SCENARIOS`, or a Python file.
        bot: what decides: None for what fits the room, or ``FILE.py:Class``, ``module:Class``.
        replay: a recording of inputs that bots send instead.
        replicas: how many bots decode the state and check its hash; None: all up to `REPLICAS_FOR_ALL`, else
            `REPLICA_SAMPLE`.
        rate: inputs a second and bot.
        link: what each bot's connection is like; None for the network as it is.
        seed: of all chance in bots, scenario and links.
        token: given to the server with each hello.
        ca: a file with the certificate to trust.
        processes: how many share the bots.
        server_pid: of a server on this machine, whose CPU and memory are then measured.
    """

    url: str
    count: int
    seconds: float = 10.0
    ramp: float = 100.0
    scenario: str = "steady"
    bot: str | None = None
    replay: Path | None = None
    replicas: int | None = None
    rate: float = 20.0
    link: LinkProfile | None = None
    seed: int = 0
    token: str | None = field(default=None, repr=False)
    ca: str | None = None
    processes: int = 1
    server_pid: int | None = None

    @property
    def replica_count(self) -> int:
        """How many of the bots hold a replica."""
        if self.replicas is not None:
            return min(self.replicas, self.count)
        return self.count if self.count <= REPLICAS_FOR_ALL else REPLICA_SAMPLE


@dataclass(frozen=True)
class Progress:
    """How far a run is, about once a second.

    Attributes:
        phase: bots are coming, or what they see is measured.
        seconds: of the phase that have passed. of_seconds: how long it takes, as planned.
        row: the newest row of the time line, by column.
        asked, connected: bots. refused: those that could not join. disconnected: connections lost so far.
        desyncs: so far. tool_cpu_percent: of a core, of the busiest process.
    """

    phase: Literal["ramp", "measure"]
    seconds: float
    of_seconds: float
    row: dict[str, float | None]
    asked: int
    connected: int
    refused: int
    disconnected: int
    desyncs: int
    tool_cpu_percent: float
