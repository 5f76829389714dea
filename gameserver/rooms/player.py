"""A player: a seat in a room. It is not its connection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gameprotocol import CloseCode, encode_message
from gameprotocol._websocket import binary_frame
from gameserver.rooms.delay import DelayedFrames
from gameserver.rooms.inputs import InputQueue
from gameserver.rooms.message_log import MessageLog
from gameserver.rooms.stats import LinkStats
from gameserver.sync.pacing import SLOW
from gameserver.sync.rates import Cap, MaxRate
from gameserver.sync.sight import check_watched
from gameserver.sync.viewer import Viewer, Watched
from gameserver.world.entity import Entity

if TYPE_CHECKING:
    from gameserver.net.link import Link
    from gameserver.rooms.authentication import Identity
    from gameserver.rooms.delivery import HeldView
    from gameserver.rooms.room import Room


@dataclass(slots=True)
class HeldSeat:
    """A seat whose player has lost its connection.

    Attributes:
        until_seconds: how long it is held.
        reason: why it is lost, for ``on_leave``.
        oldest_tick: the oldest that the client may have applied last.
        views: what it held after each of the last frames, by tick; of each only one can have been the last to arrive.
    """

    until_seconds: float
    reason: str
    oldest_tick: int
    views: dict[int, HeldView]


class Player(Viewer):
    """A seat in a room.

    Attributes:
        number: 1 to 65535, this player's name on the wire; entities it owns carry it.
        name: what the player called itself, at most 64 bytes; not checked for being unique. Its identity's name if
            that has one.
        identity: who ``authenticate`` says it is; None where nobody is asked.
        options: what the client's hello said besides.
        room: where it sits.
        data: yours to keep something in, None at first.
        groups: the groups it belongs to, such as ``{"team": 2}``: it sees fields declared ``to=group("team")`` of
            entities whose column ``team`` is 2. Write to it at any time.
        frames_skipped: ticks at which it was sent no state, because its link could not take one or was not to.
        coalesced_ticks: of them those that were merged into a later frame.
        acknowledged_tick: the newest tick that the client says it has applied; before the first the one it joined at.
        is_spectator: it only watches, and holds no seat.
        allow_reconnection: for how many seconds its seat is held when its connection is lost; the room's own at first.
            In ``on_drop`` it still counts, and 0 lets the player go at once. Where the room's is 0 no seat is held.
    """

    __slots__ = (
        "_client_time",
        "_delayed",
        "_held",
        "_last_views",
        "_link",
        "_log",
        "_meant_for",
        "_messages_received",
        "_outbox",
        "_resync_tick",
        "_sent_away",
        "_token",
        "_unlogged",
        "_used_token",
        "allow_reconnection",
        "coalesced_ticks",
        "data",
        "frames_skipped",
        "identity",
        "inputs",
        "is_spectator",
        "name",
        "options",
        "room",
    )

    def __init__(
        self,
        number: int,
        name: str,
        options: dict[str, Any],
        link: Link,
        room: Room,
        identity: Identity | None = None,
        *,
        is_spectator: bool = False,
    ) -> None:
        super().__init__(number, room._make_pace(), room.tick)
        self.room = room
        self.is_spectator = is_spectator
        self.allow_reconnection = 0.0 if is_spectator else float(type(room).allow_reconnection)
        self.identity = identity
        self.name = name if identity is None or identity.name is None else identity.name
        self.options = options
        self.data: Any = None
        self.inputs = InputQueue()
        self.frames_skipped = 0
        self.coalesced_ticks = 0
        self._link = link
        self._outbox: list[bytes] = []  # messages of this tick, as WebSocket frames
        self._resync_tick = 0  # no full frame on request before it
        self._client_time: int | None = None  # of what came since the last frame, and
        self._meant_for = 0  # the tick it was meant for, 0 for the next one
        self._log: MessageLog | None = MessageLog() if self.allow_reconnection else None
        self._unlogged = 0  # so many of the outbox are no messages of the game, or are in the log already
        self._messages_received = 0  # the highest number of a message or request that has come
        self._token = ""  # brings it back
        self._used_token = ""  # brought it back, and counts until the answer has arrived
        self._held: HeldSeat | None = None  # while its connection is lost
        self._last_views: dict[int, HeldView] = {}  # what it held when it could be sent nothing more
        self._sent_away = ""  # why the room has sent it away
        self._delayed: DelayedFrames | None = None  # of a spectator that sees the past

    # -- what it is sent

    @property
    def max_rate(self) -> MaxRate | None:
        """How many frames and bytes a second it is sent at most; the room's own at first. Set it at any time."""
        return self._cap.rate if self._cap is not None else None

    @max_rate.setter
    def max_rate(self, rate: MaxRate | None) -> None:
        if rate is not None and not isinstance(rate, MaxRate):
            raise TypeError(f"max_rate = {rate!r}: give MaxRate(frames=..., bytes=...), or None")
        if rate == self.max_rate:
            return
        had_budget = self._cap is not None and self._cap.allowance is not None
        self._cap = Cap(rate, self.room.rate, self.acknowledged_tick) if rate is not None else None
        if had_budget or (rate is not None and rate.bytes is not None):
            self._held_tick = self._baseline or self._held_tick
            self._forget_baseline()  # what it holds is told in another way from now on

    @property
    def link_stats(self) -> LinkStats:
        """How fresh the state is that its client holds, now."""
        pace, seconds = self._pace, self.room.dt
        return LinkStats(
            frames_skipped=self.frames_skipped,
            coalesced_ticks=self.coalesced_ticks,
            window_ticks=pace.window,
            rtt=None if pace.round_trip is None else pace.round_trip * seconds,
            unacknowledged_ticks=max(0, (self._baseline or self._held_tick) - self.acknowledged_tick),
            state_age=(self.room.tick - self.acknowledged_tick) * seconds,
            is_slow=pace.limit == SLOW,
        )

    # -- what it sees

    def watch(self, *targets: Entity | tuple[float, ...]) -> None:
        """See through these entities and points from now on, instead of what it owns: to spectate, to split the screen.

        It matters for tables whose view is `Nearby`. An entity that is gone is still seen from where it was last.

        Args:
            targets: entities with positions, or points as a tuple with a number for each axis. None of them: see
                nothing that is seen with `Nearby`.
        Raises:
            TypeError: something is neither.
            DeclarationError: an entity has no position. ValueError: a point is none.
        """
        watched = []
        for target in targets:
            if isinstance(target, Entity):
                watched.append(Watched(entity=target))
            elif isinstance(target, tuple):
                watched.append(Watched(point=tuple(float(coordinate) for coordinate in target)))
            else:
                raise TypeError(f"a player watches entities and points, not {target!r}")
        for each in watched:
            check_watched(type(self.room).view, each)
        self._watched = tuple(watched)

    def watch_own(self) -> None:
        """See through the entities that it owns, as at first."""
        self._watched = None

    def send(self, kind: str, payload: Any = None) -> None:
        """Send a message: it leaves with this tick's frame, before it. It is never dropped.

        A player that does not read loses its connection when `limits.MESSAGE_QUEUE_BYTES` wait for it.

        Raises:
            ValueError: the kind's name is too long.
            TypeError: msgpack has no form for the payload.
        """
        self._outbox.append(binary_frame(encode_message(kind, payload)))

    def kick(self, reason: str = "kicked") -> None:
        """End the player's connection, after what was sent to it; ``on_leave`` follows at the next tick.

        A player whose connection is lost loses its seat at the next tick.
        """
        self._end(CloseCode.POLICY, reason)

    def dismiss(self, reason: str = "the game is over for you") -> None:
        """The same for a player who has done nothing wrong: close code 1000 in place of 1008."""
        self._end(CloseCode.NORMAL, reason)

    def _end(self, code: CloseCode, reason: str) -> None:
        if self._held is not None:
            self._held.until_seconds = -math.inf
            self._held.reason = reason
            return
        self._sent_away = reason or "sent away"  # its connection may be lost already, in this very tick
        if self._delayed is not None:
            self._link.send_frames(self._delayed.all())
        self._link.send_frames(b"".join(self._outbox))
        self._outbox.clear()
        self._link.close(code, reason)

    @property
    def connected(self) -> bool:
        """Whether its connection is open."""
        return self._held is None and not self._link.closed

    def _take_outbox(self, tick: int) -> bytes:
        """The messages that wait, to be sent before the frame of ``tick``; they are kept for when it comes back."""
        outbox = self._outbox
        data = b"".join(outbox)
        log = self._log
        if log is not None:
            if self.acknowledged_tick > self._joined_tick:
                log.received(self.acknowledged_tick)
            log.add(outbox[self._unlogged :], tick)
            self._unlogged = 0
        outbox.clear()
        return data

    def __repr__(self) -> str:
        return f"<Player {self.number} {self.name!r}>"
