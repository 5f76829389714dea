"""A link without a network, and a room that is ticked by hand: what comes and what leaves, message by message."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any

import msgpack

from gameprotocol import Frame, Hello, Replica, Schema, encode_input, encode_message
from gameprotocol._websocket import FrameParser
from gameserver.rooms.loop import RoomLoop
from gameserver.rooms.player import Player
from gameserver.rooms.room import Room

#: What holds descriptors and has not been closed. Cycles through rooms keep it until some far collection of garbage.
_OPEN: set[FakeLink | HandTickedRoom] = set()


def close_what_is_open() -> None:
    """Free the descriptors of all fake links and rooms that were made; after each test."""
    while _OPEN:
        _OPEN.pop().free()


class FakeLink:
    """What a room uses of a `gameserver.net.Link`.

    Attributes:
        full: writing is refused, as by a peer that reads too slowly.
        acknowledges: whether the client acknowledges each frame before the next tick, as it must.
        sent: decoded messages that were taken, in order.
        late: decoded messages that were sent although no frame could be.
        last_bytes: what was taken last, as it travels.
    """

    def __init__(self) -> None:
        self._socket, self._peer = socket.socketpair()
        _OPEN.add(self)
        self._parser = FrameParser(masked=False, max_payload_bytes=1 << 26)
        self._inbox: list[bytes] = []
        self._watcher: Any = None
        self.full = False
        self.acknowledges = True
        self.closed = False
        self.close_code = 0
        self.close_reason = ""
        self.sent: list[Any] = []
        self.late: list[Any] = []
        self.last_bytes = b""
        self.ended_by_peer = False
        self.path, self.remote, self.dropped_messages = "/", "fake", 0

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def blocked(self) -> bool:
        return self.full or self.closed

    @property
    def has_news(self) -> bool:
        return self.closed or bool(self._inbox)

    def attach(self, watcher: Any) -> None:
        self._watcher = watcher

    def detach(self) -> None:
        self._watcher = None

    def receive(self) -> list[bytes]:
        messages, self._inbox = self._inbox, []
        return messages

    def write(self, frames: bytes) -> bool:
        if self.full or self.closed:
            return False
        self.last_bytes = frames
        self.sent += self._decode(frames)
        return True

    def send_frames(self, frames: bytes) -> None:
        if not self.closed:
            decoded = self._decode(frames)
            self.sent += decoded
            self.late += decoded

    def close(self, code: int, reason: str = "") -> None:
        if not self.closed:
            self.closed, self.close_code, self.close_reason = True, int(code), reason
            if self._watcher is not None:
                self._watcher.release(self)

    def _decode(self, frames: bytes) -> list[Any]:
        return [msgpack.unpackb(payload) for payload in self._parser.feed(frames)]

    # -- the peer's side

    def bring(self, *messages: bytes) -> None:
        """Messages arrive."""
        self._inbox += messages
        if self._watcher is not None:
            self._watcher.wake(self)

    def say(self, kind: str, payload: Any = None) -> None:
        self.bring(encode_message(kind, payload))

    def input(self, sequence: int, *values: Any, tick: int = 0, acknowledged: int = 0) -> None:
        self.bring(encode_input(sequence, tick, acknowledged, 0, list(values)))

    def frames(self) -> list[Any]:
        """The frames among what was sent."""
        return [message for message in self.sent if message[0] == 3]

    def free(self) -> None:
        """Close the sockets; for after the test."""
        self._socket.close()
        self._peer.close()


class HandTickedRoom:
    """A room whose ticks are function calls, on a clock of its own. A context manager, which frees what it holds."""

    def __init__(self, room: Room) -> None:
        self.room: Any = room
        self.now = 100.0
        self.loop = RoomLoop(room, clock=lambda: self.now)
        self._links: list[FakeLink] = []
        _OPEN.add(self)
        self.room.on_create()
        self.loop.schedule.start(self.now)

    def __enter__(self) -> HandTickedRoom:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()

    def free(self) -> None:
        """Close the poller and the sockets of all links that joined here; for after the test."""
        self.loop.seating.close_poller()
        for held in (self, *self._links):
            _OPEN.discard(held)
        for link in self._links:
            link.free()

    def join(self, name: str = "") -> FakeLink:
        """A player is on its way in; it is there after the next tick."""
        link = FakeLink()
        self._links.append(link)
        self.loop.admit(link, Hello(name=name))  # type: ignore[arg-type]
        return link

    def player(self, link: FakeLink) -> Player:
        return self.loop.seating.connected[link]  # type: ignore[index]

    def tick(self, late: float = 0.0) -> None:
        """Run what is due at the next deadline, or ``late`` seconds after it."""
        self.now = self.loop.schedule.deadline + late
        self.loop.run_ticks(lambda: self.now)
        for link, player in self.loop.seating.connected.items():
            if link.acknowledges:  # type: ignore[attr-defined]
                player.acknowledged_tick = max(player.acknowledged_tick, player._baseline)

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.tick()

    def replica(self, link: FakeLink) -> Replica:
        """What a client holds that was sent what the link was sent; each hash on the way is checked."""
        welcome = next(message for message in link.sent if message[0] == 2)
        replica = Replica(Schema.from_wire(welcome[1]["schema"]), welcome[1]["player"])
        for message in link.frames():
            frame = Frame.from_items(message)
            replica.apply(frame)
            assert replica.check(frame)
        return replica
