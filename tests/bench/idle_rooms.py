"""``python -m tests.bench.idle_rooms``: what rooms cost in which nothing happens.

Each kind has a server process of its own, which is looked at before there is a room, when the rooms are idle, and some
seconds later. Players are raw connections of this process; they answer pings and are silent otherwise.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final

import click
import msgpack
import trio

from gameprotocol import SUBPROTOCOL, encode_acknowledge
from gameprotocol._websocket import CLOSE, PING, PONG, FrameParser, OddFrame, parse_close
from gameserver import Entity, Input, Limits, Message, Meta, Player, Room, State, fixed, handles, serve, text, uint
from gameserver.process import tune_process
from tests.bench import process
from tests.bench.flooders import helper
from tests.bench.stall import markdown
from tests.hostile.victim import census
from tests.support.raw_client import frame, upgrade_request

OUT: Final = Path("build/bench/idle_rooms.json")
#: What so many idle rooms may cost above the bare server: MiB of memory, and % of a core.
AIM_ROOMS, AIM_MIB, AIM_CPU_PERCENT = 10_000, 400.0, 2.0
#: Connections that are begun before their answers are read.
_AT_ONCE: Final = 200
#: Between the last room and the measurement, in seconds: rooms stand still then.
_SETTLE_SECONDS: Final = 1.5

_COLUMNS: Final = (
    ("rooms", "kind", None),
    ("count", "rooms", 0),
    ("MiB above bare", "mib", 1),
    ("KiB a room", "kib_a_room", 1),
    ("CPU % of a core", "cpu_percent", 2),
    ("ms to make one", "make_ms", 2),
    ("descriptors", "descriptors", 0),
    ("tasks", "tasks", 0),
    ("", "verdict", None),
)


class Piece(Entity):
    x = uint(3)
    y = uint(3)
    kind = uint(3)


class Table(State):
    turn = uint(2)
    banner = text(max_bytes=32)


class Place(Input):
    piece: Annotated[int, Meta(ge=0, le=63)] = 0
    x: Annotated[int, Meta(ge=0, le=7)] = 0
    y: Annotated[int, Meta(ge=0, le=7)] = 0


class Say(Message):
    words: Annotated[str, Meta(max_length=200)] = ""


class Board(Room):
    """A board game: 32 pieces, inputs, a message with a handler, nothing that moves by itself."""

    tick_rate = None
    entities = (Piece,)
    state = Table
    input = Place
    max_players = 4
    close_when_empty = None

    def on_create(self) -> None:
        for at in range(32):
            self.world.spawn(Piece, x=at % 8, y=at // 8, kind=at % 6)

    @handles("say")
    def say(self, player: Player, said: Say) -> None:
        self.broadcast("said", said.words)


class HeldBoard(Board):
    """The same; whoever vanishes may come back for an hour."""

    allow_reconnection = 3600.0


class Ball(Entity):
    x = fixed(0, 1000, step=1 / 16)
    y = fixed(0, 1000, step=1 / 16)


class Match(Room):
    """A game at 20 Hz, which stands still while nobody is there."""

    tick_rate = 20
    entities = (Ball,)
    input = Place
    max_players = 4
    close_when_empty = None


#: Room class, how many rooms, and what became of the player of each.
KINDS: Final[dict[str, tuple[type[Room], int, str]]] = {
    "without a tick rate, its player left": (Board, 10_000, "left"),
    "without a tick rate, its player's seat is held": (HeldBoard, 10_000, "held"),
    "at 20 Hz, its player left": (Match, 10_000, "left"),
    "without a tick rate, never visited": (Board, 10_000, "never"),
    "without a tick rate, a player connected": (HeldBoard, 4_000, "connected"),
}


async def be_the_server(room_class: type[Room], most_frames: int) -> None:
    """Print READY and the port, then answer each line on stdin with a line of JSON.

    Args:
        most_frames: of where memory was taken; 0 to not trace it at all, which costs time and memory.
    """
    limits = Limits(
        connects_per_second=1e6, connects_per_second_per_address=1e6, connections_per_address=1_000_000, rooms=1_000_000
    )
    # Looking for garbage among all those rooms takes longer than a tick may.
    async with serve({"idle": room_class}, port=0, limits=limits, watchdog_seconds=60.0) as server:
        print(f"READY {server.port}", flush=True)
        if most_frames:
            tracemalloc.start(most_frames)
        lines: Any = trio.wrap_file(sys.stdin)
        async for line in lines:
            what, _, number = line.strip().partition(" ")
            if what == "make":
                for _ in range(int(number)):
                    server.house.create("idle")
            print(json.dumps(_answer(server.rooms, what)), flush=True)


def _answer(rooms: list[Room], what: str) -> dict[str, Any]:
    used = {"cpu_seconds": process.cost(os.getpid()).total, "now": time.monotonic()}
    if what == "cpu":  # nothing else: to look through all objects takes seconds
        return used
    answer: dict[str, Any] = {
        **used,
        **census(),
        "rooms": len(rooms),
        "players": sum(room.player_count for room in rooms),
        "connected": sum(player.connected for room in rooms for player in room.players),
        "ticks": sum(room.tick for room in rooms),
    }
    if what == "where":
        by_line = tracemalloc.take_snapshot().statistics("lineno")
        files: Counter[str] = Counter()
        for row in by_line:
            files[row.traceback[0].filename] += row.size
        answer["lines"] = [
            (str(row.traceback[0]).replace(os.getcwd() + "/", ""), row.size, row.count) for row in by_line[:60]
        ]
        answer["files"] = files.most_common(25)
    return answer


class Guest:
    """A player of few words: it has a room made, and answers its frames and pings."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.in_the_room = False
        self.is_closed = False
        self._parser = FrameParser(masked=False, max_payload_bytes=1 << 24)
        self._head = b""
        self._reason = (0, "")
        self._upgraded = self._leaves = False
        hello = msgpack.packb([1, {"name": "guest", "method": "create"}])
        self.sock.sendall(upgrade_request("/idle", Sec_WebSocket_Protocol=SUBPROTOCOL) + frame(hello))

    def read(self) -> None:
        """Take what has come; waits for it."""
        data = self.sock.recv(65536)
        self.is_closed = self.is_closed or not data
        if not self._upgraded:
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            self._upgraded = True
            data = self._head.split(b"\r\n\r\n", 1)[1]
        messages = self._parser.feed(data)
        while isinstance(stop := self._parser.stop, OddFrame):
            if stop.opcode == PING:
                self.sock.sendall(frame(stop.payload(), PONG))
            if stop.opcode == CLOSE:
                self.is_closed, self._reason = True, parse_close(stop.payload())
            messages += self._parser.feed(b"")
        for message in messages:
            items = msgpack.unpackb(message)
            if items[0] == 3 and not self._leaves:
                self.sock.sendall(frame(encode_acknowledge(items[1][0], 1)))
                self.in_the_room = True

    def until_in(self) -> None:
        """Wait for the first frame; RuntimeError when the server closes instead."""
        while not self.in_the_room:
            self.read()
            if self.is_closed:
                raise RuntimeError(f"the server has closed: {self._reason}")

    def begin_to_leave(self) -> None:
        """Send a Close frame; without it the player may come back."""
        self._leaves = True
        self.sock.sendall(frame(b"\x03\xe8", CLOSE))

    def until_closed(self) -> None:
        """Wait for the server's Close frame."""
        while not self.is_closed:
            self.read()


def _visit(port: int, count: int, then: str) -> list[Guest]:
    """Have a room made for each of ``count`` guests; those who stay."""
    stay: list[Guest] = []
    for first in range(0, count, _AT_ONCE):
        guests = [Guest(port) for _ in range(first, min(first + _AT_ONCE, count))]
        for guest in guests:
            guest.until_in()
        if then == "connected":
            stay += guests
            continue
        if then == "left":
            for guest in guests:
                guest.begin_to_leave()
            for guest in guests:
                guest.until_closed()
        for guest in guests:
            guest.sock.close()
    return stay


def _wait(guests: list[Guest], seconds: float) -> None:
    """Let time pass, in which guests answer pings."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for guest in guests:
            selector.register(guest.sock, selectors.EVENT_READ, guest)
        while (left := deadline - time.monotonic()) > 0:
            if not guests:
                time.sleep(left)
            for key, _ in selector.select(left):
                key.data.read()


def measure(kind: str, count: int | None, seconds: float, most_frames: int = 0) -> dict[str, Any]:
    """One row: what rooms of one kind cost.

    Raises:
        RuntimeError: the rooms are not as the kind says.
    """
    _, usual, then = KINDS[kind]
    count = count or usual
    with helper("tests.bench.idle_rooms", "--serve", kind, "--frames", str(most_frames)) as server:
        port = int(server.line().split()[1])
        bare = server.ask("census")
        at = time.monotonic()
        if then == "never":
            server.ask(f"make {count}")
            guests: list[Guest] = []
        else:
            guests = _visit(port, count, then)
        made_seconds = time.monotonic() - at
        _wait(guests, _SETTLE_SECONDS)
        first = server.ask("census")
        began = server.ask("cpu")
        _wait(guests, seconds)
        last = server.ask("census")  # its garbage is collected after its clock is read
        _check(first, last, count, then)
        row = _row(kind, count, bare, began, last) | {"make_ms": 1e3 * made_seconds / count}
        if most_frames:
            row["where"] = server.ask("where")
    for guest in guests:
        guest.sock.close()
    return row


def _check(first: dict[str, Any], last: dict[str, Any], count: int, then: str) -> None:
    expected = {
        "rooms": count,
        "players": count if then in ("held", "connected") else 0,
        "connected": count if then == "connected" else 0,
        "ticks": first["ticks"],
    }
    found = {name: last[name] for name in expected}
    if found != expected:
        raise RuntimeError(f"expected {expected}, and there is {found}")


def _row(kind: str, count: int, bare: dict[str, Any], began: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    mib = (last["resident_kib"] - bare["resident_kib"]) / 1024
    cpu_percent = 100 * (last["cpu_seconds"] - began["cpu_seconds"]) / (last["now"] - began["now"])
    good = mib <= AIM_MIB * count / AIM_ROOMS and cpu_percent <= AIM_CPU_PERCENT * count / AIM_ROOMS
    return {
        "kind": kind,
        "rooms": count,
        "mib": mib,
        "kib_a_room": 1024 * mib / count,
        "cpu_percent": cpu_percent,
        "descriptors": last["descriptors"],
        "tasks": last["tasks"],
        "verdict": "ok" if good else "MISSED",
    }


@click.command()
@click.option("--count", type=int, default=None, help="Rooms of each kind.")
@click.option("--seconds", default=10.0, help="How long CPU time is measured.")
@click.option("--only", default="", help="Kinds whose text contains this.")
@click.option("--frames", default=0, help="Tell where memory was taken, with so many frames of the stack.")
@click.option("--serve", "serves", type=click.Choice([*KINDS]), hidden=True, help="Be the server of one kind.")
def main(count: int | None, seconds: float, only: str, frames: int, serves: str | None) -> None:
    """Measure idle rooms, write build/bench/idle_rooms.json, and exit with 1 when they cost too much."""
    if serves is not None:
        tune_process()  # as `gameserver run` does
        trio.run(be_the_server, KINDS[serves][0], frames)
        return
    tune_process()
    rows = []
    for kind in KINDS:
        if only in kind:
            click.echo(kind, err=True)
            rows.append(measure(kind, count, seconds, frames))
            click.echo(markdown(_COLUMNS, rows[-1:]).splitlines()[-1], err=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"machine": process.machine(), "rows": rows}, indent=2) + "\n")
    click.echo(f"{process.machine()}\n\n{markdown(_COLUMNS, rows)}\n")
    for row in rows:
        for where, size, number in row.get("where", {}).get("lines", []):
            click.echo(f"{size / 1024 / row['rooms']:8.2f} KiB {number / row['rooms']:7.1f} blocks a room  {where}")
    sys.exit(any(row["verdict"] != "ok" for row in rows))


if __name__ == "__main__":
    main()
