"""A player: a seat in a room. It is not its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gameprotocol import CloseCode, encode_message
from gameprotocol._websocket import binary_frame
from gameserver.rooms.inputs import InputQueue
from gameserver.sync.frames import NOTHING

if TYPE_CHECKING:
    from gameserver.net.link import Link


class Player:
    """A seat in a room.

    Attributes:
        number: 1 to 65535, this player's name on the wire; entities it owns carry it.
        name: what the player called itself, at most 64 bytes; not checked for being unique.
        options: what the client's hello said besides.
        data: yours to keep something in, None at first.
        frames_skipped: ticks at which its link could not take a state.
        acknowledged_tick: the newest tick that the client says it has applied.
    """

    __slots__ = (
        "_baseline",
        "_client_time",
        "_held_tick",
        "_link",
        "_meant_for",
        "_outbox",
        "_resync_tick",
        "acknowledged_tick",
        "data",
        "frames_skipped",
        "inputs",
        "name",
        "number",
        "options",
    )

    def __init__(self, number: int, name: str, options: dict[str, Any], link: Link) -> None:
        self.number = number
        self.name = name
        self.options = options
        self.data: Any = None
        self.inputs = InputQueue()
        self.frames_skipped = 0
        self.acknowledged_tick = 0
        self._link = link
        self._outbox: list[bytes] = []  # messages of this tick, as WebSocket frames
        self._baseline = NOTHING
        self._held_tick = 0  # what it held when it asked for a full frame
        self._resync_tick = 0  # no full frame on request before it
        self._client_time: int | None = None  # of what came since the last frame, and
        self._meant_for = 0  # the tick it was meant for, 0 for the next one

    def send(self, kind: str, payload: Any = None) -> None:
        """Send a message: it leaves with this tick's frame, before it. It is never dropped.

        A player that does not read loses its connection when `limits.MESSAGE_QUEUE_BYTES` wait for it.

        Raises:
            ValueError: the kind's name is too long.
            TypeError: msgpack has no form for the payload.
        """
        self._outbox.append(binary_frame(encode_message(kind, payload)))

    def kick(self, reason: str = "kicked") -> None:
        """End the player's connection, after what was sent to it; ``on_leave`` follows at the next tick."""
        self._link.send_frames(b"".join(self._outbox))
        self._outbox.clear()
        self._link.close(CloseCode.POLICY, reason)

    @property
    def connected(self) -> bool:
        """Whether its connection is open."""
        return not self._link.closed

    def __repr__(self) -> str:
        return f"<Player {self.number} {self.name!r}>"
