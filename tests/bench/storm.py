"""``python -m tests.bench.storm``: all players of a room lose their connections in one moment, and come back.

The server cuts every socket; nobody says goodbye. Players and room go on talking all the while, in numbered messages
and requests, and the world goes on changing. Measured is how long each player is away, from the cut to the first frame
after it; checked are the seats, the messages and the worlds. ``--by clients`` has the players' side cut the sockets.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import trio

from gameclient import FrameApplied, MessageReceived, RequestPending, Returned, Session
from gameserver import Entity, Limits, Player, Room, handles, serve, text, uint
from gameserver.process import tune_process
from tests.bench import process
from tests.bench.flooders import Helper, helper

OUT: Final = Path("build/bench/storm.json")
#: Entities besides those of players; a tenth of them changes in each tick.
ENTITIES: Final = 500
#: How often the room tells each player a number, and each player asks one.
TALK_SECONDS: Final = 0.25
#: How long joining, coming back and the last answers may take, in seconds.
PATIENCE_SECONDS: Final = 30.0


class Leaf(Entity):
    x = uint(16)
    name = text(max_bytes=16)


class Storm(Room):
    """Numbers what it says to each player, and checks that each player's requests come once, in order.

    Attributes:
        still: the world does not change any more, and nothing is said.
        wrong: what should not have happened.
    """

    tick_rate = 20
    entities = (Leaf,)
    allow_reconnection = 30.0
    still = False
    seed = 1

    def on_create(self) -> None:
        self.wrong: list[str] = []
        for number in range(ENTITIES):
            self.world.spawn(Leaf, name=f"leaf {number}")
        self.every(TALK_SECONDS, self.tell_each)

    def tell_each(self) -> None:
        for player in self.players:
            if not self.still:
                player.data["told"] += 1
                player.send("number", player.data["told"])

    def on_join(self, player: Player) -> None:
        player.data = {"told": 0, "asked": 0, "life": "join"}
        self.world.spawn(Leaf, owner=player, name=player.name)

    def on_drop(self, player: Player, reason: str) -> None:
        player.data["life"] += " drop"

    def on_return(self, player: Player) -> None:
        player.data["life"] += " return"

    def on_leave(self, player: Player, reason: str) -> None:
        self.wrong.append(f"{player.name} left: {reason}")

    @handles("count")
    def count(self, player: Player, number: int) -> int:
        if number != player.data["asked"] + 1:
            self.wrong.append(f"{player.name} asked {number} after {player.data['asked']}")
        player.data["asked"] = number
        return number

    def step(self, dt: float) -> None:
        if self.still:
            return
        leaves = self.world[Leaf]
        chosen = self.random.sample(range(ENTITIES), ENTITIES // 10)
        leaves.x[chosen] = (leaves.x[chosen] + 1) % 60_000


async def be_the_server() -> None:
    """Print READY and the port, then do what each line on stdin says, and answer with a line of JSON."""
    tune_process()
    # All players come from one address, which no real crowd does.
    limits = Limits(connects_per_second_per_address=1000, connections_per_address=2000)
    async with serve(Storm, port=0, limits=limits) as server:
        print(f"READY {server.port}", flush=True)
        lines: Any = trio.wrap_file(sys.stdin)
        async for line in lines:
            room: Any = server.room()
            answer: Any = {}
            if line.strip() == "cut":
                for link in [*server.directory.loops[0].seating.connected]:
                    with contextlib.suppress(OSError):
                        link._sock.shutdown(socket.SHUT_RDWR)
            elif line.strip() == "still":
                room.still = True
            elif line.strip() == "tell":
                answer = tell(room)
            print(json.dumps(answer), flush=True)


def tell(room: Any) -> dict[str, Any]:
    """What the server knows at the end."""
    return {
        "wrong": room.wrong,
        "players": {player.name: [player.number, *player.data.values()] for player in room.players},
        "world": sorted((leaf.id, leaf.x, leaf.name) for leaf in room.world[Leaf]),
        "drops": room.stats.drops,
        "returns": room.stats.returns,
        "frame_bytes": room.stats.frame_bytes,
        "tick_ms": room.stats.tick_time.milliseconds(),
    }


class Survivor:
    """One player, who writes down what happens to it."""

    def __init__(self, url: str, name: str) -> None:
        self.session = Session(url, name=name, join_seconds=PATIENCE_SECONDS)
        self.name = name
        self.heard: list[int] = []
        self.asked: list[RequestPending] = []
        self.returned = False
        self.number = 0
        self.asked_at: float | None = None  # in which period of `TALK_SECONDS` it was looked at last
        self.back_at: float | None = None  # when the first frame came after the return

    def pump(self, now: float) -> None:
        for event in self.session.pump():
            if isinstance(event, MessageReceived):
                self.heard.append(event.payload)
            elif isinstance(event, Returned):
                self.returned = True
            elif isinstance(event, FrameApplied) and self.returned and self.back_at is None:
                self.back_at = now

    def ask(self) -> None:
        self.asked.append(self.session.ask("count", len(self.asked) + 1, timeout=PATIENCE_SECONDS))

    def cut(self) -> None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.session.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


@dataclass
class Outcome:
    """What a storm did.

    Attributes:
        seconds_away: p50, p99 and the longest, from the cut to the first frame afterwards.
        back: how many came back. bytes_each: what a player received from the cut until 3 s after it, on average.
        server_cpu_seconds: in those 3 s.
        wrong: everything that is not as it must be.
    """

    clients: int
    back: int = 0
    seconds_away: dict[str, float] = field(default_factory=dict)
    bytes_each: float = 0.0
    bytes_before_each: float = 0.0
    server_cpu_seconds: float = 0.0
    worst_tick_ms: float = 0.0
    wrong: list[str] = field(default_factory=list)


def storm(clients: int, by: str = "server", *, watched_seconds: float = 3.0) -> Outcome:
    """Run one storm.

    Args:
        by: whose side cuts the sockets: "server" or "clients".
    Raises:
        RuntimeError: the players did not even get in.
    """
    with helper("tests.bench.storm", "--role", "server") as server:
        url = f"ws://127.0.0.1:{server.line().split()[1]}/storm"
        players = [Survivor(url, f"player {number}") for number in range(clients)]
        try:
            return _storm(server, players, by, watched_seconds)
        finally:
            for player in players:
                player.session.close()


def _storm(server: Helper, players: list[Survivor], by: str, watched_seconds: float) -> Outcome:
    outcome = Outcome(len(players))
    if not _run(players, PATIENCE_SECONDS, lambda: all(player.session.joined for player in players)):
        raise RuntimeError(f"only {sum(player.session.joined for player in players)} of {len(players)} joined")
    for player in players:
        player.number = player.session.player
    before = _bytes(players)
    _run(players, 1.0, lambda: False)
    outcome.bytes_before_each = (_bytes(players) - before) / len(players)
    before, cpu = _bytes(players), process.cost(server.process.pid)
    cut_at = time.monotonic()
    if by == "server":
        server.ask("cut")
    for player in players if by == "clients" else ():
        player.cut()
    _run(players, watched_seconds, lambda: False)
    outcome.bytes_each = (_bytes(players) - before) / len(players)
    outcome.server_cpu_seconds = (process.cost(server.process.pid) - cpu).total
    _run(players, PATIENCE_SECONDS, lambda: all(player.back_at is not None for player in players))
    away = [player.back_at - cut_at for player in players if player.back_at is not None]
    outcome.back = len(away)
    p50, p99, most = np.percentile(away or [np.inf], (50, 99, 100))
    outcome.seconds_away = {"p50": float(p50), "p99": float(p99), "max": float(most)}
    _finish(server, players, outcome)
    return outcome


def _finish(server: Helper, players: list[Survivor], outcome: Outcome) -> None:
    """Let everyone hear everything, then compare."""
    _run(players, PATIENCE_SECONDS, lambda: all(pending.done for player in players for pending in player.asked), False)
    server.ask("still")
    _run(players, 1.0, lambda: False, False)
    told = server.ask("tell")
    outcome.worst_tick_ms = told["tick_ms"]["max"]
    outcome.wrong += told["wrong"]
    world = [tuple(row) for row in told["world"]]
    for player in players:
        number, said, asked, life = told["players"].get(player.name, (0, 0, 0, "gone"))
        rows = sorted((row.id, row.x, row.name) for row in player.session.world["Leaf"])
        answers = [pending.result() for pending in player.asked if pending.done]
        facts = {
            "another seat": number == player.number == player.session.player,
            "messages": player.heard == [*range(1, said + 1)],
            "requests": answers == [*range(1, asked + 1)] == [*range(1, len(player.asked) + 1)],
            f"its life is {life}": life == "join drop return",
            "another world": rows == world,
            "desyncs": player.session.stats.desyncs == 0,
        }
        outcome.wrong += [f"{player.name}: {what}" for what, is_right in facts.items() if not is_right]
    if len({player.number for player in players}) != len(players):
        outcome.wrong.append("two players have one seat")


def _run(players: list[Survivor], seconds: float, is_over: Any, talking: bool = True) -> bool:
    """Pump all players until it is over, or time is; whether it is."""
    deadline = time.monotonic() + seconds
    while (now := time.monotonic()) < deadline:
        for at, player in enumerate(players):
            player.pump(now)
            # Each at a moment of its own, or all their requests would come in one tick.
            due = (now + at * TALK_SECONDS / len(players)) // TALK_SECONDS
            if talking and player.session.joined and player.asked_at not in (None, due):
                player.ask()
            player.asked_at = due
        if is_over():
            return True
        time.sleep(0.005)
    return bool(is_over())


def _bytes(players: list[Survivor]) -> int:
    return sum(player.session.stats.bytes_in for player in players)


@click.command()
@click.option("--role", type=click.Choice(["server", "all"]), default="all", hidden=True)
@click.option("--clients", default=500, show_default=True)
@click.option("--by", type=click.Choice(["server", "clients"]), default="server", show_default=True)
def main(role: str, clients: int, by: str) -> None:
    """See the module."""
    if role == "server":
        trio.run(be_the_server)
        return
    outcome = storm(clients, by)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"machine": process.machine(), "by": by, **asdict(outcome)}, indent=2) + "\n")
    away = outcome.seconds_away
    print(f"{outcome.back} of {clients} are back; away p50 {away['p50']:.2f} s, p99 {away['p99']:.2f} s, ", end="")
    print(f"longest {away['max']:.2f} s")
    before = outcome.bytes_before_each / 1024
    print(f"{outcome.bytes_each / 1024:.1f} KiB each in 3 s (in one second before: {before:.1f})")
    print(f"server: {outcome.server_cpu_seconds:.2f} s of CPU in 3 s, longest tick {outcome.worst_tick_ms:.1f} ms")
    if outcome.wrong:
        print(f"{len(outcome.wrong)} things are wrong:", *outcome.wrong[:20], sep="\n  ")
        sys.exit(1)


if __name__ == "__main__":
    main()
