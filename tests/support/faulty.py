"""Things that are broken on purpose, for a load test to find: rooms with one fault each, and a relay that harms links.

Rooms are served by ``gameserver run tests.support.faulty:Burning``, the relay is run by ``python -m
tests.support.faulty 8765 stall``. Times are such that a load test of twenty bots that come at once has settled before,
and measures for a second or more after.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping

import trio

from gamebots.bots import Bot, Decision
from gameprotocol import Frame, Kind, Replica, message_kind, unpack_from_server
from gameprotocol._websocket import FrameParser, OddFrame, binary_frame
from gameserver import Entity, Input, MaxRate, Player, Room, fixed, uint

#: Ticks a second of all rooms here.
RATE = 20
#: A room runs from its first player on, and all are in after this tick.
SETTLED_TICK = 16
#: When what happens once happens: measuring has begun, and goes on for a while.
MIDDLE_TICK = 70
#: When a relay's fault begins, counted from its first client, and how long one lasts that passes; seconds.
FAULT_AFTER, FAULT_LASTS = 3.5, 1.2
#: Clients of a relay that are harmed; the others are not.
HARMED = 5


class Keys(Input):
    forward: bool = False


class Pawn(Entity):
    x = fixed(0, 1000, step=1 / 16)
    steps = uint(16)


class Healthy(Room):
    """Each player has a pawn that moves in every tick, so that every frame brings values."""

    tick_rate = RATE
    entities = (Pawn,)
    input = Keys

    def on_join(self, player: Player) -> None:
        player.data = self.world.spawn(Pawn, owner=player, x=float(player.number % 1000))

    def on_leave(self, player: Player, reason: str) -> None:
        self.world.despawn(player.data)

    def step(self, dt: float) -> None:
        pawns = self.world[Pawn]
        pawns.x = (pawns.x + 1.0) % 1000
        pawns.steps = (pawns.steps + 1) % 60_000
        self.fail()

    def fail(self) -> None:
        """What is wrong with this room; called at the end of each step."""


def burn(seconds: float) -> None:
    """Take so much CPU time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class Burning(Healthy):
    """Each step takes more CPU time than there is in a tick."""

    def fail(self) -> None:
        if self.tick > SETTLED_TICK:
            burn(0.08)


class Sleeping(Healthy):
    """The same, but waiting: for a disk, a lock, a database."""

    def fail(self) -> None:
        if self.tick > SETTLED_TICK:
            time.sleep(0.08)


class Hiccuping(Healthy):
    """Once a second one step takes four ticks' time; all ticks are made all the same."""

    def fail(self) -> None:
        if self.tick % RATE == 0:
            burn(0.2)


class Freezing(Healthy):
    """Stands still once."""

    def fail(self) -> None:
        if self.tick == MIDDLE_TICK:
            time.sleep(1.2)


class Leaking(Healthy):
    """Each step takes a little longer than the one before, until there is no time left."""

    def fail(self) -> None:
        time.sleep(max(0, self.tick - MIDDLE_TICK) * 0.004)


class Sparing(Healthy):
    """Makes every tick, and tells of every second one."""

    max_rate = MaxRate(frames=RATE / 2)


class Kicking(Healthy):
    """Sends some away in the middle of the game."""

    def fail(self) -> None:
        if self.tick == MIDDLE_TICK:
            for player in list(self.players)[:HARMED]:
                player.kick("no bots here")


class Crashing(Healthy):
    """Its author has made a mistake."""

    def fail(self) -> None:
        if self.tick == MIDDLE_TICK:
            raise RuntimeError("nobody has thought of this")


class Dying(Healthy):
    """Takes the whole server with it. Seats would be held."""

    allow_reconnection = 20.0

    def fail(self) -> None:
        if self.tick == MIDDLE_TICK:
            os.kill(os.getpid(), signal.SIGKILL)


class Small(Healthy):
    """Has few seats; a second room takes who does not fit, if the server may have one."""

    max_players = 12


class Keeping(Healthy):
    """Keeps seats of those whose connection is lost."""

    allow_reconnection = 20.0


class Pondering(Bot):
    """Not a room: a bot that takes CPU time for each decision, twenty times a second. It makes the load test slow."""

    decision_ticks = 1

    def on_frame(self, world: Replica) -> Decision:
        burn(0.02)
        return {"forward": True}


class Dozing(Bot):
    """Another bot: one of them stands still for half a second, once a second, and all others with it."""

    decision_ticks = RATE

    def on_frame(self, world: Replica) -> Decision:
        if self.number == 3:
            time.sleep(0.5)
        return {"forward": True}


# -- the relay ---------------------------------------------------------------------------------------------------------


def change_values(payload: bytes) -> bytes:
    """A frame with a bit of one column changed: as long as before, and as easy to decode."""
    frame = Frame.from_items(unpack_from_server(payload))
    columns = [column for chunk in frame.chunks for block in chunk[4:] for column in block[2::2]]
    # What a column brings is a bin, or the first bin of a list when it brings differences.
    packed = [column[0] if isinstance(column, list) else column for column in columns]
    packed = [column for column in packed if isinstance(column, bytes)]
    if not packed:
        return payload
    at = payload.rindex(packed[-1])
    return payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]


def spoil(payload: bytes) -> bytes:
    """A frame of as many bytes that is no msgpack any more: 0xC1 is what msgpack never uses."""
    return payload[:2] + b"\xc1" * (len(payload) - 2)


class Harm:
    """Changes frames among the bytes that one client is sent.

    Args:
        change: what becomes of a frame.

    Attributes:
        active: whether frames are changed now.
    """

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self.active = False
        self._change = change
        self._parser = FrameParser(masked=False, max_payload_bytes=1 << 20)
        self._head: bytes | None = b""  # of the HTTP answer, until all of it is there

    def feed(self, data: bytes) -> bytes:
        """What is to go on to the client."""
        out = b""
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            self._head, out = (None, head + end) if end else (head, b"")
        while self._head is None:
            for payload in self._parser.feed(data):
                is_frame = self.active and message_kind(payload) == Kind.FRAME
                out += binary_frame(self._change(payload) if is_frame else payload)
            stop, data = self._parser.stop, b""
            if not isinstance(stop, OddFrame):
                break
            out += stop.raw
        return out


class Relay:
    """Carries bytes between clients and a server on this machine, and does one kind of harm to them.

    Args:
        port: of the server.
        fault: a name of `FAULTS`. "none": everything goes through; "flip", "spoil": frames to some clients are changed,
            see `change_values` and `spoil`; "stall": for a while no bytes pass for anybody; "half-open": from then on
            none pass for some clients, though their connections stay; "cut": some connections are reset.
    """

    def __init__(self, port: int, fault: str) -> None:
        self._port = port
        self._fault = fault
        self._clients = 0
        self._began = trio.Event()  # the first client has come
        self._broken = trio.Event()
        self._whole = trio.Event()  # after a fault that passes

    async def run(self) -> None:
        """Say on which port, and serve until cancelled."""
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        print(listener.socket.getsockname()[1], flush=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            await trio.serve_listeners(self._serve, [listener])  # type: ignore[arg-type]

    async def _keep_time(self) -> None:
        await self._began.wait()
        await trio.sleep(FAULT_AFTER)
        self._broken.set()
        await trio.sleep(FAULT_LASTS)
        if self._fault != "half-open":
            self._whole.set()

    async def _serve(self, client: trio.SocketStream) -> None:
        number, self._clients = self._clients, self._clients + 1
        self._began.set()
        harmed = number < HARMED
        server = await trio.open_tcp_stream("127.0.0.1", self._port)
        try:
            async with client, server, trio.open_nursery() as nursery:
                if self._fault == "cut" and harmed:
                    nursery.start_soon(self._cut, client)
                nursery.start_soon(self._carry, client, server, None, harmed)
                harm = Harm(CHANGES[self._fault]) if self._fault in CHANGES else None
                await self._carry(server, client, harm, harmed)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # one end is gone, and the other one has been closed just now

    async def _carry(self, source: trio.SocketStream, sink: trio.SocketStream, harm: Harm | None, harmed: bool) -> None:
        stops = self._fault == "stall" or (self._fault == "half-open" and harmed)
        while data := bytes(await source.receive_some(65536)):
            if stops and self._broken.is_set():
                await self._whole.wait()
            if harm is not None:
                harm.active = harmed and self._broken.is_set()
                data = harm.feed(data)
            await sink.send_all(data)

    async def _cut(self, client: trio.SocketStream) -> None:
        """Reset the connection, as a router does that has forgotten it."""
        await self._broken.wait()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()


#: What changes frames.
CHANGES: Mapping[str, Callable[[bytes], bytes]] = {"flip": change_values, "spoil": spoil}
FAULTS = ("none", *CHANGES, "stall", "half-open", "cut")


if __name__ == "__main__":
    trio.run(Relay(int(sys.argv[1]), sys.argv[2]).run)
