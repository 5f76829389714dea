"""A player: a seat in a room. It is not its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gameprotocol import CloseCode, encode_message
from gameprotocol._websocket import binary_frame
from gameserver.rooms.inputs import InputQueue
from gameserver.rooms.stats import LinkStats
from gameserver.sync.pacing import SLOW, Pace
from gameserver.sync.rates import Cap, MaxRate
from gameserver.sync.sight import check_watched
from gameserver.sync.viewer import Viewer, Watched
from gameserver.world.entity import Entity

if TYPE_CHECKING:
    from gameserver.net.link import Link
    from gameserver.rooms.authentication import Identity
    from gameserver.rooms.room import Room


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
    """

    __slots__ = (
        "_client_time",
        "_link",
        "_meant_for",
        "_outbox",
        "_resync_tick",
        "coalesced_ticks",
        "data",
        "frames_skipped",
        "identity",
        "inputs",
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
    ) -> None:
        super().__init__(number, Pace(room.rate), room.tick)
        self.room = room
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
