"""The room: what a game author subclasses."""

from __future__ import annotations

import copy
import functools
import inspect
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeVar

from gameprotocol import CloseCode, Schema, encode_message
from gameprotocol._websocket import binary_frame
from gameserver.rooms.declarations import check_declarations, input_codec, make_schema
from gameserver.rooms.inputs import Input, MissingInput
from gameserver.rooms.metadata import describe
from gameserver.rooms.player import Player
from gameserver.rooms.stats import RoomStats
from gameserver.rooms.timers import Timer, Timers
from gameserver.rooms.work import Works
from gameserver.sync.pacing import EventPace, Pace
from gameserver.sync.rates import MaxRate
from gameserver.sync.views import Everyone, View
from gameserver.world.entity import Entity
from gameserver.world.errors import DeclarationError
from gameserver.world.world import World

if TYPE_CHECKING:
    from gameserver.rooms.house import House

E = TypeVar("E", bound=Entity)

#: How often a room without a tick rate ticks at most, in Hz: whoever sends much has several things done in one tick.
EVENT_RATE: Final = 60.0


class Ending(NamedTuple):
    """How the connections of a room that ends are closed: the code, and the reason or what makes it up for each."""

    code: CloseCode
    reason: str | Callable[[], str]


class Room:
    """One game session. Subclass it, declare what it holds, and write ``step``.

    Class attributes to declare:
        tick_rate: ticks per second, 1 to 240; None for a board or card game: the room ticks when an input, a message, a
            timer or a player comes, 60 times a second at most, and costs nothing meanwhile.
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
        max_spectators: how many may watch, None for no limit; 0: nobody may.
        spectator_delay: how much later than players spectators see what happens, in seconds.
        allow_reconnection: for how many seconds a player's seat is held when its connection is lost; 0: it is gone at
            once, and a client that comes back is a new player.
        metadata: the `Metadata` class of what the room says of itself in listings, by which players find it, or None.
        players_may_create: whether a player may have a room of this type made; if not, only the server's own rooms do.
        pause_when_empty: whether ticks stop while nobody is in the room.
        close_when_empty: how many seconds after the last one has left a room that pauses ends; None: never.
        seed: of ``random``; None draws one, which is logged.
        page: a folder with the index.html of a page that plays such rooms, served at ``/NAME/``; relative to the file
            of the class that declares it. Without one the server shows its inspector there.
        authenticate: a class method that says who somebody is, before it has a seat: ``async def authenticate(cls,
            request)`` with a `JoinRequest`, returning an `Identity` or a `Reject`. None to ask the server's.

    All hooks are plain functions called inside a tick; nothing runs between their lines. An exception in one ends this
    room: its players are told, the traceback is logged, other rooms go on. The order is ``on_create``; for each player
    ``on_join``, then ``on_drop`` and ``on_return`` as often as its connection is lost, then ``on_leave``; ``on_close``.
    In a tick: joins and returns, messages, drops and leaves, results of `work`, timers, ``step``.

    Attributes:
        name: the room type's name, as in the URL. id: names this room among those of the server.
        options: what the player or room that had it made said.
        metadata: what the room says of itself, an instance of the class; write to it at any time. A room that was made
            for a player who asked for certain values begins with them: set in ``on_create`` what players must not
            choose.
        locked: whether nobody may join any more; set it at any time. Who has a seat keeps it.
        private: whether it is in no listing and found by its invite code alone; set it at any time.
        password: what joiners must give, "" for nothing; set it at any time.
        world: all entities. tick: number of the tick being run, from 1. dt: seconds per tick. time: ``tick * dt``.
        random: a seeded generator; the game takes all its chance from here, so that a room can be replayed.
        inputs: what each player does in this tick, as (player, input) pairs; valid inside ``step``.
        stats: counters.
    """

    tick_rate: ClassVar[float | None] = 20
    entities: ClassVar[Sequence[type[Entity]]] = ()
    state: Any = None
    input: ClassVar[type[Input] | None] = None
    view: ClassVar[View | Mapping[type[Entity], View]] = Everyone()
    inputs_per_tick: ClassVar[int] = 1
    missing_input: ClassVar[MissingInput] = "repeat"
    max_rate: ClassVar[MaxRate | None] = None
    max_players: ClassVar[int | None] = None
    max_spectators: ClassVar[int | None] = 0
    spectator_delay: ClassVar[float] = 0.0
    allow_reconnection: ClassVar[float] = 0.0
    metadata: Any = None
    players_may_create: ClassVar[bool] = True
    pause_when_empty: ClassVar[bool] = True
    close_when_empty: ClassVar[float | None] = 30.0
    seed: ClassVar[int | None] = None
    page: ClassVar[str | None] = None
    authenticate: ClassVar[Any] = None

    def __init__(
        self,
        name: str = "",
        id: str = "",
        *,
        tick_rate: float | None = None,
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
        metadata: Any = None,
    ) -> None:
        declared = type(self)
        check_room_class(declared)
        self.name = name or declared.__name__.lower()
        self.id = id
        self.options = dict(options or {})
        if declared.metadata is not None:
            self.metadata = metadata if metadata is not None else declared.metadata()
        self._described = describe(self.metadata)  # as listings have it
        self._told_metadata = copy.copy(self.metadata)
        self.is_event_driven = declared.tick_rate is None
        self.rate = EVENT_RATE if declared.tick_rate is None else float(tick_rate or declared.tick_rate)
        self.dt = 1.0 / self.rate
        self._delay_ticks = round(declared.spectator_delay * self.rate)
        self.tick = 0
        self._time = 0.0  # of a room without a tick rate
        self._timers = Timers()
        self._works: Works | None = None
        self._house: House | None = None
        self._wanted = False  # a tick, though nothing has come
        self._look_up: Callable[[], None] = _nobody_runs_it  # tells who runs it, and may sleep, that something is new
        self._game_time: Callable[[], float] = _no_time  # of a room without a tick rate
        self._locked = self._private = False
        self._password = ""
        self._invite_code = ""
        self._spectators: dict[int, Player] = {}
        first_choice = seed if seed is not None else declared.seed
        self.seed_used = first_choice if first_choice is not None else SystemRandom().getrandbits(64)
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

    def on_drop(self, player: Player, reason: str) -> None:
        """A player's connection was lost and its seat is held, see ``allow_reconnection``; it gets neutral inputs.

        ``player.allow_reconnection = 60`` holds it longer, ``= 0`` lets it go now. What is sent to the player meanwhile
        reaches it when it is back.
        """

    def on_return(self, player: Player) -> None:
        """A dropped player is back in its seat."""

    def on_leave(self, player: Player, reason: str) -> None:
        """A player is gone for good, for ``reason``; despawn what is its."""

    def on_spectator_join(self, player: Player) -> None:
        """Somebody watches from now on: with `Nearby` views, say what with ``player.watch``."""

    def on_spectator_leave(self, player: Player, reason: str) -> None:
        """Somebody watches no more."""

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        """A player sent a message that no handler is for. ``payload`` is decoded msgpack within bounds, else unchecked.

        A room without a method of its own answers such messages with the error ``unknown``. See `handles` for messages
        whose payload is checked, and for requests.
        """

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

    @functools.cached_property
    def random(self) -> Random:
        """See the class."""
        return Random(self.seed_used)  # 2.5 KiB, and most games that wait for a move need none

    @property
    def time(self) -> float:
        """Game time in seconds: it stands still while the room is paused, and within a tick."""
        return self._game_time() if self.is_event_driven else self.tick * self.dt

    @property
    def players(self) -> Iterator[Player]:
        """Everyone with a seat, in the order of joining; also those whose connection is lost (``player.connected``)."""
        return iter(list(self._players.values()))

    @property
    def spectators(self) -> Iterator[Player]:
        """Everyone who watches."""
        return iter(list(self._spectators.values()))

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
        for players in (self._players, self._spectators):
            for player in players.values():
                if player is not besides:
                    player._outbox.append(framed)

    def after(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> Timer:
        """Have ``function`` called in so many seconds of game time, at a tick, before ``step``.

        Raises:
            ValueError: ``seconds`` is negative or not finite. TypeError: ``function`` is none, or is async.
        """
        timer = self._timers.after(self.time, seconds, function, arguments)
        self._look_up()
        return timer

    def every(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> Timer:
        """The same again and again, without drift. Raises as `after`; ``seconds`` must be above 0."""
        timer = self._timers.every(self.time, seconds, function, arguments)
        self._look_up()
        return timer

    def work(
        self,
        function: Callable[..., Awaitable[Any]],
        *arguments: Any,
        then: Callable[[Any], Any] | None = None,
        failed: Callable[[Exception], Any] | None = None,
    ) -> None:
        """Run an async function beside the ticks, a database call say.

        Args:
            then: is called with its result, inside a later tick.
            failed: is called with the exception that it raised; without it an exception ends the room.
        Raises:
            TypeError: the function is not async. RuntimeError: the room does not run.

        A room with work under way does not pause. When the room ends by itself, what is under way has five seconds
        left, and nothing is called back; when the server stops it is cancelled.
        """
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"work({function!r}) takes an async function and its arguments: async def ...")
        if self._works is None:
            raise RuntimeError("work() is for rooms that run: call it in a hook, not in __init__")
        self._works.start(function, arguments, then, failed)

    @property
    def house(self) -> House:
        """The server's other rooms: what there is, to make one, to reserve seats."""
        if self._house is None:
            raise RuntimeError("this room belongs to no server")
        return self._house

    @property
    def locked(self) -> bool:
        """See the class."""
        return self._locked

    @locked.setter
    def locked(self, locked: bool) -> None:
        self._locked = bool(locked)
        self._note_listing()

    @property
    def private(self) -> bool:
        """See the class."""
        return self._private

    @private.setter
    def private(self, private: bool) -> None:
        self._private = bool(private)
        self._note_listing()

    @property
    def password(self) -> str:
        """See the class."""
        return self._password

    @password.setter
    def password(self, password: str) -> None:
        if not isinstance(password, str):
            raise TypeError(f'{type(self).__name__}.password = {password!r}: give a text, "" for none')
        self._password = password
        self._note_listing()

    @property
    def invite_code(self) -> str:
        """Who has it finds this room, private or not; made when it is first asked for."""
        if not self._invite_code:
            self._invite_code = self.house._make_invite_code(self)
        return self._invite_code

    def _note_metadata(self) -> None:
        """After each tick: what the room says of itself may have changed. FieldValueError when it does not fit."""
        if self.metadata is not None and self.metadata != self._told_metadata:
            self._described = describe(self.metadata)
            self._told_metadata = copy.copy(self.metadata)
            self._note_listing()

    def _note_listing(self) -> None:
        if self._house is not None:
            self._house._note_change(self)

    @property
    def _periods(self) -> int:
        """Time as a count: ticks, or what would be ticks in a room without a tick rate."""
        return math.floor(self.time * self.rate) if self.is_event_driven else self.tick

    def _detach(self) -> None:
        """Nobody runs it any more."""
        self._look_up, self._game_time = _nobody_runs_it, _no_time

    def _make_pace(self) -> Pace | EventPace:
        return EventPace() if self.is_event_driven else Pace(self.rate)

    def close(self, reason: str = "the room is over") -> None:
        """End this room after this tick: players get what was sent to them, then close code 1000 and ``reason``."""
        if self._ending is None:
            self._ending = Ending(CloseCode.NORMAL, reason)
            self._look_up()

    def wake(self) -> None:
        """Have a room without a tick rate tick soon: for a program that writes to its world from outside the hooks."""
        self._wanted = True
        self._look_up()

    def schema(self) -> Schema:
        """What a client is told of this room's tables and input."""
        return make_schema(self.world.entity_types, input_codec(type(self)))[0]

    def _schema_wire(self) -> Any:
        """The same as it travels; all rooms of a type share it."""
        return make_schema(self.world.entity_types, input_codec(type(self)))[1]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}/{self.id}: tick {self.tick}, {len(self._players)} players>"


def _nobody_runs_it() -> None:
    pass


def _no_time() -> float:
    return 0.0


def check_room_class(room_class: Any) -> None:
    """Find mistakes in a room's declarations before anything starts.

    Raises:
        DeclarationError: names the class, the attribute and what to do.
    """
    if not (isinstance(room_class, type) and issubclass(room_class, Room)):
        raise DeclarationError(f"{room_class!r} is not a room: subclass gameserver.Room")
    check_declarations(room_class)  # type: ignore[arg-type]  # mypy takes the class for one of its instances
