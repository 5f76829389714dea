"""Links without a network: what a room uses of a `gameserver.net.Link` and of a `Poller`, in memory.

What leaves the room is taken apart by the parser that clients use; what comes in is metered as on a socket. There is no
socket, no task and no clock but the tester's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gameprotocol import CloseCode, ProtocolError, limits
from gameprotocol._websocket import FrameParser
from gameserver.net import GAME_RULES, VANISHED, Limits
from gameserver.net.meter import Meter
from gameserver.rooms.player import Player

#: What a WebSocket frame costs a client besides its payload, in bytes: header, length and mask.
_HEADER_BYTES = 8


class MemoryLink:
    """A connection to a client in the same process; see `gameserver.net.Link` for what is not said here.

    Args:
        path: the request target that the client asked for.
        clock: seconds.

    Attributes:
        stalled: the client's network takes nothing: frames are refused, messages wait.
    """

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self.path = path
        self.remote = "in memory"
        self.closed = False
        self.close_code = 0
        self.close_reason = ""
        self.ended_by_peer = False
        self.lost = False
        self.silence = 0
        self.stalled = False
        self._clock = clock
        self._meter = Meter(Limits(), clock())
        self._parser = FrameParser(masked=False, max_payload_bytes=limits.SERVER_MESSAGE_BYTES)
        self._to_room: list[bytes] = []
        self._to_client: list[bytes] = []
        self._waiting = bytearray()
        self._watcher: Any = None

    def __repr__(self) -> str:
        state = f"closed {self.close_code}" if self.closed else "open"
        return f"<MemoryLink {self.path} {state}>"

    # -- the room's side

    @property
    def blocked(self) -> bool:
        """As of a link."""
        return self.closed or self.stalled

    @property
    def has_news(self) -> bool:
        """As of a link."""
        return self.closed or bool(self._to_room)

    @property
    def dropped_messages(self) -> int:
        """As of a link."""
        return self._meter.dropped

    @property
    def pending_bytes(self) -> int:
        """As of a link."""
        return len(self._waiting)

    def attach(self, watcher: Any) -> None:
        """As of a link."""
        self._watcher = watcher

    def detach(self) -> None:
        """As of a link."""
        self._watcher = None

    def receive(self) -> list[bytes]:
        """As of a link."""
        payloads, self._to_room = self._to_room, []
        if len(payloads) < 2:
            return payloads
        size_bytes = sum(map(len, payloads)) + _HEADER_BYTES * len(payloads)
        try:
            return self._meter.admit(payloads, size_bytes, self._clock())
        except ProtocolError as error:
            self.close(error.code, error.reason)
            return []

    def write(self, frame: bytes) -> bool:
        """As of a link."""
        if self.blocked:
            return False
        self._flush()
        self._to_client += self._parser.feed(frame)
        return True

    def send_frames(self, frames: bytes) -> None:
        """As of a link."""
        if self.closed:
            return
        self._waiting += frames
        if self.stalled and len(self._waiting) > GAME_RULES.queue_bytes:
            self.close(CloseCode.TOO_SLOW, "too many unread messages")
        self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """As of a link."""
        if not self.closed:
            self._to_room = []
            self._end(code, reason)

    # -- the client's side

    def bring(self, payload: bytes) -> None:
        """A message of the client arrives."""
        self._to_room.append(payload)
        if self._watcher is not None:
            self._watcher.wake(self)

    def take(self) -> list[bytes]:
        """The messages that have reached the client since the last call."""
        self._flush()
        payloads, self._to_client = self._to_client, []
        return payloads

    def hang_up(self, code: int = VANISHED, reason: str = "the peer vanished") -> None:
        """The client closes with a code, or just vanishes."""
        if not self.closed:
            self.ended_by_peer = True
            self.lost = code == VANISHED
            self._end(code, reason)

    def _end(self, code: int, reason: str) -> None:
        if self.closed:
            return
        self._flush()
        self.closed = True
        self.close_code = int(code)
        self.close_reason = reason
        if self._watcher is not None:
            self._watcher.release(self)

    def _flush(self) -> None:
        if not self.stalled and self._waiting:
            self._to_client += self._parser.feed(bytes(self._waiting))
            self._waiting.clear()


class MemoryPoller:
    """Tells which links have something, in the order in which it came; a `gameserver.net.Poller`.

    Args:
        on_wake: is called when a link has news.
    """

    def __init__(self, on_wake: Callable[[], None] | None = None) -> None:
        self._on_wake = on_wake
        self._links: dict[MemoryLink, Player] = {}
        self._awake: dict[MemoryLink, None] = {}
        self._closed: list[MemoryLink] = []

    def __len__(self) -> int:
        return len(self._links)

    @property
    def has_closed(self) -> bool:
        """As of a poller."""
        return bool(self._closed)

    def add(self, link: MemoryLink, owner: Player) -> None:
        """As of a poller."""
        link.attach(self)
        self._links[link] = owner
        if link.closed:
            self.release(link)
        elif link.has_news:
            self.wake(link)

    def remove(self, link: MemoryLink) -> None:
        """As of a poller."""
        link.detach()
        self._links.pop(link, None)
        self._awake.pop(link, None)
        self._closed = [closed for closed in self._closed if closed is not link]

    def poll(self) -> list[tuple[MemoryLink, Player]]:
        """As of a poller."""
        awake, self._awake = self._awake, {}
        return [(link, self._links[link]) for link in awake]

    def take_closed(self) -> list[tuple[MemoryLink, Player]]:
        """As of a poller."""
        closed, self._closed = self._closed, []
        return [(link, self._links[link]) for link in closed if link in self._links]

    def note(self, with_news: int) -> None:
        """As of a poller; there is nothing to decide."""

    def wake(self, link: MemoryLink) -> None:
        """As of a poller."""
        self._awake[link] = None
        if self._on_wake is not None:
            self._on_wake()

    def release(self, link: MemoryLink) -> None:
        """As of a poller."""
        self._closed.append(link)
        self.wake(link)

    def close(self) -> None:
        """As of a poller; there is nothing to free."""
