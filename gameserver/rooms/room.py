"""The room: what a game author subclasses."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

from gameprotocol import CloseCode, Schema, encode_message
from gameprotocol._websocket import binary_frame
from gameserver.rooms.inputs import Input, InputCodec, MissingInput
from gameserver.rooms.player import Player
from gameserver.rooms.stats import RoomStats
from gameserver.sync.rates import MaxRate
from gameserver.sync.sight import Sight
from gameserver.sync.views import Everyone, View
from gameserver.world.entity import Entity, State
from gameserver.world.errors import DeclarationError
from gameserver.world.publish import PublishedWorld
from gameserver.world.world import World

E = TypeVar("E", bound=Entity)

_LOWEST_RATE, _HIGHEST_RATE = 1.0, 240.0


class Ending(NamedTuple):
    """How the connections of a room that ends are closed: the code, and the reason or what makes it up for each."""

    code: CloseCode
    reason: str | Callable[[], str]


class Room:
    """One game session. Subclass it, declare what it holds, and write ``step``.

    Class attributes to declare:
        tick_rate: ticks per second, 1 to 240.
        entities: the entity classes of the game.
        state: the `State` class of room-wide state, or None.
        input: the `Input` class, or None for a room without inputs.
        inputs_per_tick: how many waiting inputs of a player are applied in one tick.
        missing_input: what a player without a new input does: ``"repeat"`` its last one (defaults before the first),
            ``"neutral"`` an input of defaults, ``"skip"`` nothing.
        view: what players see of entities: one view for all types, or a dict with a view for each type; see
            `gameserver.sync.views`. Whatever is not named is seen by everyone.
        max_rate: how many frames and bytes a second each player is sent at most; None for a frame in every tick.
        max_players: seats, or None for no limit; when all are taken, joiners get another room of the type.
        pause_when_empty: whether ticks stop while nobody is in the room.
        seed: of ``random``; None draws one, which is logged.
        authenticate: a class method that says who somebody is, before it has a seat: ``async def authenticate(cls,
            request)`` with a `JoinRequest`, returning an `Identity` or a `Reject`. None to ask the server's.

    All hooks are plain functions called inside a tick; nothing runs between their lines. An exception in one ends this
    room: its players are told, the traceback is logged, other rooms go on.

    Attributes:
        name: the room type's name, as in the URL. id: names this room among those of its type.
        world: all entities. tick: number of the tick being run, from 1. dt: seconds per tick. time: ``tick * dt``.
        random: a seeded generator; the game takes all its chance from here, so that a room can be replayed.
        inputs: what each player does in this tick, as (player, input) pairs; valid inside ``step``.
        stats: counters.
    """

    tick_rate: ClassVar[float] = 20
    entities: ClassVar[Sequence[type[Entity]]] = ()
    state: Any = None
    input: ClassVar[type[Input] | None] = None
    view: ClassVar[View | Mapping[type[Entity], View]] = Everyone()
    inputs_per_tick: ClassVar[int] = 1
    missing_input: ClassVar[MissingInput] = "repeat"
    max_rate: ClassVar[MaxRate | None] = None
    max_players: ClassVar[int | None] = None
    pause_when_empty: ClassVar[bool] = True
    seed: ClassVar[int | None] = None
    authenticate: ClassVar[Any] = None

    def __init__(
        self, name: str = "", id: str = "", *, tick_rate: float | None = None, seed: int | None = None
    ) -> None:
        declared = type(self)
        check_room_class(declared)
        self.name = name or declared.__name__.lower()
        self.id = id
        self.rate = float(tick_rate if tick_rate is not None else declared.tick_rate)
        self.dt = 1.0 / self.rate
        self.tick = 0
        first_choice = seed if seed is not None else declared.seed
        self.seed_used = first_choice if first_choice is not None else random.SystemRandom().getrandbits(64)
        self.random = random.Random(self.seed_used)
        self.inputs: list[tuple[Player, Any]] = []
        self._players: dict[int, Player] = {}
        self._ending: Ending | None = None
        self._restart_reason: str | Callable[[], str] = "the server restarts"
        self.stats = RoomStats(self._players.values)
        self.world = World(declared.entities, declared.state, self._players.get)
        if declared.state is not None:
            self.state = self.world.state

    # -- hooks

    def on_create(self) -> None:
        """Once, before the first tick: fill the world."""

    def on_join(self, player: Player) -> None:
        """A player took a seat; it gets its first frame at the end of this tick."""

    def on_leave(self, player: Player, reason: str) -> None:
        """A player's connection has ended, for ``reason``; despawn what is its."""

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        """A player sent a message. ``payload`` is decoded msgpack within bounds, otherwise unchecked."""

    def step(self, dt: float) -> None:
        """Advance the game by one tick of ``dt`` seconds."""

    def on_drain(self, seconds: float) -> None:
        """The server is about to stop: the room may go on for ``seconds`` at most, and takes no new players.

        Without a method of your own the room ends now, and its players are told when to reconnect (close code 1012).
        Write one to let a match finish, and call `close` when it has.
        """
        self._ending = Ending(CloseCode.RESTART, self._restart_reason)

    def on_close(self) -> None:
        """Once, when the room ends for good; not after an exception in the room."""

    # -- for authors

    @property
    def time(self) -> float:
        """Game time in seconds: it stands still while the room is paused."""
        return self.tick * self.dt

    @property
    def players(self) -> Iterator[Player]:
        """Everyone with a seat, in the order of joining."""
        return iter(list(self._players.values()))

    @property
    def player_count(self) -> int:
        """How many seats are taken."""
        return len(self._players)

    def player(self, number: int) -> Player | None:
        """The player of this number, None when it is not here."""
        return self._players.get(number)

    def broadcast(self, kind: str, payload: Any = None, *, besides: Player | None = None) -> None:
        """Send a message to everyone, except to ``besides``. Raises as `Player.send`."""
        framed = binary_frame(encode_message(kind, payload))
        for player in self._players.values():
            if player is not besides:
                player._outbox.append(framed)

    def close(self, reason: str = "the room is over") -> None:
        """End this room after this tick: players get what was sent to them, then close code 1000 and ``reason``."""
        if self._ending is None:
            self._ending = Ending(CloseCode.NORMAL, reason)

    def schema(self) -> Schema:
        """What a client is told of this room's tables and input."""
        codec = input_codec(type(self))
        return Schema(tables=self.world.schema_tables(), input=codec.schema if codec is not None else None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}/{self.id}: tick {self.tick}, {len(self._players)} players>"


def input_codec(room_class: type[Room]) -> InputCodec | None:
    """The codec of a room class's inputs, None when it takes none."""
    if room_class.input is None:
        return None
    return InputCodec(room_class.input, room_class.inputs_per_tick, room_class.missing_input)


def check_room_class(room_class: Any) -> None:
    """Find mistakes in a room's declarations before anything starts.

    Raises:
        DeclarationError: names the class, the attribute and what to do.
    """
    if not (isinstance(room_class, type) and issubclass(room_class, Room)):
        raise DeclarationError(f"{room_class!r} is not a room: subclass gameserver.Room")
    name = room_class.__name__
    rate = room_class.tick_rate
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise DeclarationError(
            f"{name}.tick_rate = {rate!r}: give ticks per second, {_LOWEST_RATE:g} to {_HIGHEST_RATE:g}"
        )
    if isinstance(room_class.entities, type):
        raise DeclarationError(f"{name}.entities is one class: write ({room_class.entities.__name__},) with the comma")
    state = room_class.state
    if state is not None and not (isinstance(state, type) and issubclass(state, State)):
        raise DeclarationError(f"{name}.state = {state!r}: give a subclass of State, or None")
    if room_class.missing_input not in ("repeat", "neutral", "skip"):
        raise DeclarationError(f'{name}.missing_input = {room_class.missing_input!r}: "repeat", "neutral" or "skip"')
    for attribute in ("inputs_per_tick", "max_players"):
        value = getattr(room_class, attribute)
        if type(value) is not int or value < 1:
            if value is None and attribute == "max_players":
                continue
            raise DeclarationError(f"{name}.{attribute} = {value!r}: give a whole number from 1")
    if room_class.seed is not None and type(room_class.seed) is not int:
        raise DeclarationError(f"{name}.seed = {room_class.seed!r}: give a whole number, or None")
    if room_class.max_rate is not None and not isinstance(room_class.max_rate, MaxRate):
        raise DeclarationError(
            f"{name}.max_rate = {room_class.max_rate!r}: give MaxRate(frames=..., bytes=...), or None"
        )
    input_codec(room_class)
    world = World(room_class.entities, state)
    Sight(PublishedWorld(world), world, room_class.view)
