"""What a session tells: events in the order in which things happened, and callbacks for those who prefer them.

Both say the same. ``pump`` (and ``events`` in trio) give events, one for each frame and not one for each entity, so
they cost next to nothing when nobody looks inside. Callbacks run inside ``pump``, each right after its frame was
applied, so a row then has exactly that frame's values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from gameclient._nowhere import Nowhere
from gameprotocol import Replica, Row, TableChanges
from gameprotocol.closing import reconnect_seconds

#: An entity type, by its name or by a class of that name; None for all of them.
EntityLike: TypeAlias = str | type | None


@dataclass(frozen=True, slots=True)
class Joined:
    """The player is in the room and the world is filled; always the first event.

    Attributes:
        player: the player's number. room, room_id: where it is. tick: the room's tick.
    """

    player: int
    room: str
    room_id: str
    tick: int


@dataclass(frozen=True, slots=True)
class FrameApplied:
    """The world was brought to a newer tick.

    Rows show what the world holds when they are read. When two frames came at once, an entity of the first may
    already be gone (``row.alive``); its fields keep the last values.

    Attributes:
        tick: the tick the world is at now.
        full: the server sent everything and not only differences: the first frame, or a repair.
        changes: what changed, for each table where something did.
    """

    tick: int
    full: bool
    changes: list[TableChanges]

    def spawned(self, entity: EntityLike = None) -> Iterator[Row]:
        """Entities that came into view."""
        return (row for change in self._of(entity) for row in change.spawned)

    def changed(self, entity: EntityLike = None) -> Iterator[Row]:
        """Entities that were there before and of which a field was sent, or a private field became known or unknown."""
        return (row for change in self._of(entity) for row in change.changed)

    def despawned(self, entity: EntityLike = None) -> Iterator[Row]:
        """Entities that are gone or out of view, with the values they had last."""
        return (row for change in self._of(entity) for row in change.despawned)

    def _of(self, entity: EntityLike) -> list[TableChanges]:
        name = entity_name(entity)
        return [change for change in self.changes if name is None or change.table.schema.name == name]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The room sent a message.

    Attributes:
        kind: the message's name. payload: whatever the room sent with it.
    """

    kind: str
    payload: Any


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """The room could not take a message that was sent with `send`, and that nobody waits for.

    Attributes:
        kind: the message's name, "" when it was sent long ago. number: of the message; 0 when the server does not say.
        code: why, a word for programs, as in `RequestFailedError`. reason: the same in words.
    """

    kind: str
    number: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The connection was lost, but the player's seat is kept, and the session tries to come back by itself.

    The world stays as it is. What is sent now goes when the player is back. `Returned` or `Disconnected` follows.

    Attributes:
        code, reason: why, as in `Disconnected`.
        seconds_left: how long the seat is kept.
    """

    code: int
    reason: str
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Returned:
    """The player is back in its seat. The messages that it missed follow, then a frame that holds what it missed.

    Attributes:
        tick: the room's tick when it came back.
        seconds_away: how long there was no connection.
    """

    tick: int
    seconds_away: float


@dataclass(frozen=True, slots=True)
class Disconnected:
    """It is over: the connection has ended and the player does not come back, or was never in; always the last event.

    Attributes:
        code: the WebSocket close code (`gameprotocol.CloseCode`), 1006 when there was no closing handshake.
        reason: why, in words that may be shown to the player; partly the server's own.
    """

    code: int
    reason: str

    @property
    def reconnect_seconds(self) -> float | None:
        """When to come back, as the server says: it restarts, or cannot do better now. None when it says nothing."""
        return reconnect_seconds(self.code, self.reason)


Event: TypeAlias = Joined | FrameApplied | MessageReceived | MessageRefused | Dropped | Returned | Disconnected

_RowCallback: TypeAlias = Callable[[Row], object]
R = TypeVar("R", bound=Callable[[Row], object])
M = TypeVar("M", bound=Callable[[str, Any], object])
J = TypeVar("J", bound=Callable[[Joined], object])
F = TypeVar("F", bound=Callable[[FrameApplied], object])
D = TypeVar("D", bound=Callable[[Disconnected], object])
N = TypeVar("N", bound=Callable[[MessageRefused], object])
L = TypeVar("L", bound=Callable[[Dropped], object])
B = TypeVar("B", bound=Callable[[Returned], object])


def entity_name(entity: EntityLike) -> str | None:
    """The name of an entity type, None for all."""
    return entity.__name__ if isinstance(entity, type) else entity


class Callbacks:
    """Functions to call when something happens. What they raise leaves ``pump``; nothing is lost by it.

    The functions that register are decorators::

        @session.on_spawned("Ship")
        def show(ship): ...

    Attributes:
        world: the mirror of the room's world; no rows before the player is in, the last ones after the end.
    """

    def __init__(self) -> None:
        self.world: Replica = Nowhere()
        self._filled = False  # a first frame was told, or is being told
        self._spawned: list[tuple[str | None, _RowCallback]] = []
        self._changed: list[tuple[str | None, _RowCallback]] = []
        self._despawned: list[tuple[str | None, _RowCallback]] = []
        self._message: list[tuple[str | None, Callable[[str, Any], object]]] = []
        self._joined: list[Callable[[Joined], object]] = []
        self._frame: list[Callable[[FrameApplied], object]] = []
        self._others: list[tuple[type[Event], Callable[[Any], object]]] = []

    def on_spawned(self, entity: EntityLike = None) -> Callable[[R], R]:
        """Call with the row of each entity that comes into view, and at once with those that are there already.

        Raises:
            KeyError: the room has no such entity type; before it is known, `pump` raises it in time.
        """
        add = self._adder(self._spawned, entity)

        def register(callback: R) -> R:
            add(callback)
            for row in self._rows(entity) if self._filled else ():
                callback(row)
            return callback

        return register

    def on_changed(self, entity: EntityLike = None) -> Callable[[R], R]:
        """Call with the row of each entity of which a field was sent, but not when it came into view just then."""
        return self._adder(self._changed, entity)

    def on_despawned(self, entity: EntityLike = None) -> Callable[[R], R]:
        """Call with the row of each entity that is gone or out of view; its fields keep their last values."""
        return self._adder(self._despawned, entity)

    def on_message(self, kind: str | None = None) -> Callable[[M], M]:
        """Call with kind and payload of each message of that kind, None for all kinds."""
        return _adder(self._message, kind)

    def on_joined(self, callback: J) -> J:
        """Call with the `Joined` event."""
        self._joined.append(callback)
        return callback

    def on_frame(self, callback: F) -> F:
        """Call with each `FrameApplied`, behind the calls for its entities."""
        self._frame.append(callback)
        return callback

    def on_disconnected(self, callback: D) -> D:
        """Call with the `Disconnected` event."""
        self._others.append((Disconnected, callback))
        return callback

    def on_dropped(self, callback: L) -> L:
        """Call with each `Dropped` event: show that the player is away."""
        self._others.append((Dropped, callback))
        return callback

    def on_returned(self, callback: B) -> B:
        """Call with each `Returned` event."""
        self._others.append((Returned, callback))
        return callback

    def on_refused(self, callback: N) -> N:
        """Call with each `MessageRefused` event."""
        self._others.append((MessageRefused, callback))
        return callback

    def _rows(self, entity: EntityLike) -> list[Row]:
        tables = self.world.main_tables if entity is None else [self.world[entity]]
        return [row for table in tables for row in table]

    def _adder(self, callbacks: list[tuple[str | None, _RowCallback]], entity: EntityLike) -> Callable[[R], R]:
        if entity is not None:
            self.world[entity]
        return _adder(callbacks, entity_name(entity))

    def _check_names(self) -> None:
        """KeyError when a callback waits for an entity type that the room does not have."""
        for name, _ in (*self._spawned, *self._changed, *self._despawned):
            if name is not None:
                self.world[name]

    def _call(self, event: Event) -> None:
        """Call everyone who waits for ``event``."""
        if isinstance(event, FrameApplied):
            self._call_rows(event)
            for on_frame in self._frame:
                on_frame(event)
        elif isinstance(event, MessageReceived):
            for kind, on_message in self._message:
                if kind is None or kind == event.kind:
                    on_message(event.kind, event.payload)
        elif isinstance(event, Joined):
            for on_joined in self._joined:
                on_joined(event)
        else:
            for kind_of_event, on_event in self._others:
                if isinstance(event, kind_of_event):
                    on_event(event)

    def _call_rows(self, event: FrameApplied) -> None:
        """Despawned first, so that whoever draws entities frees a place before it is taken again."""
        # Copies: a callback may register others, which are told at once what is there, and begin with the next frame.
        despawned, spawned, changed = [*self._despawned], [*self._spawned], [*self._changed]
        self._filled = True
        for name, callback in despawned:
            for row in event.despawned(name):
                callback(row)
        for name, callback in spawned:
            for row in event.spawned(name):
                callback(row)
        for name, callback in changed:
            for row in event.changed(name):
                callback(row)


def _adder(callbacks: list[tuple[str | None, Any]], name: str | None) -> Callable[[Any], Any]:
    def add(callback: Any) -> Any:
        callbacks.append((name, callback))
        return callback

    return add
