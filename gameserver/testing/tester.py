"""The tester: a room, scripted players and a clock that a test moves by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar, cast

from gameprotocol import CloseCode, Hello, ProtocolError, Welcome, unpack_from_client
from gameprotocol.closing import close_reason_bytes, reason_with_reconnect
from gameserver.net import Limits
from gameserver.rooms.authentication import Identity, authenticate, join_request
from gameserver.rooms.delivery import HASH_SECONDS
from gameserver.rooms.directory import Directory
from gameserver.rooms.house import House
from gameserver.rooms.loop import RoomLoop
from gameserver.rooms.player import Player
from gameserver.rooms.room import Room, check_room_class
from gameserver.testing.links import MemoryLink, MemoryPoller
from gameserver.testing.players import ScriptedPlayer
from gameserver.testing.running import Background, RunningRoom, run_async
from gameserver.world.world import World

R = TypeVar("R", bound=Room)

#: What a tester waits for.
Condition: TypeAlias = Callable[[], Any]

#: When a tester's clock begins, in seconds: not at 0, as real ones do not.
_BEGIN: Final = 1000.0
#: How long a room may take to let somebody in, in seconds: the longest period that there is.
_ANSWER_SECONDS: Final = 1.0
#: What rounding may take from a time, in seconds.
_ROUNDING: Final = 1e-6
#: So many ticks without anything new from outside, and the room will not come to rest.
_RESTLESS_TICKS: Final = 10_000


class RoomTester(Generic[R]):
    """Runs a room with scripted players under virtual time: no sockets, no event loop, nothing waits.

    The room runs as in a server: the same loop, the same seats, the same bytes. An exception of the room is raised
    where the test steps it. A context manager, which closes it; so does `close`.

    Args:
        room_class: the room to test.
        seed: of its generator; by default what the class declares, or 0.
        options: what the player said who had it made.
        name: the room type's name; by default the class name in lower case.
        metadata: values by field that it begins with.
        tick_rate: in place of what the class declares.
        others: more room types, by name, for a room that makes others with ``self.house``.
        check_hashes: each frame carries a hash of what its player should hold, and each player checks it.
        keep_bytes: players keep what they were sent, in ``wire``.
    Raises:
        DeclarationError: the class declares something that cannot work.
        Exception: what ``on_create`` raised.

    Attributes:
        room: the room. now: the clock, in seconds; game time is ``room.time``.
        players: all scripted players, in the order of joining.
    """

    def __init__(
        self,
        room_class: type[R],
        *,
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tick_rate: float | None = None,
        others: Mapping[str, type[Room]] | None = None,
        check_hashes: bool = True,
        keep_bytes: bool = False,
    ) -> None:
        check_room_class(room_class)
        self.now = _BEGIN
        self.players: list[ScriptedPlayer] = []
        self._check_hashes = check_hashes
        self._keep_bytes = keep_bytes
        self._running: list[RunningRoom] = []
        self._background = Background()
        self._failure_expected = False
        self._drain_ends: float | None = None
        self._anybody = False
        name = name or room_class.__name__.lower()
        self._directory = Directory(
            {name: room_class, **(others or {})},
            self._start,
            clock=self._clock,
            spawn=self._background.spawn,
            most_rooms=Limits().rooms,
            make_poller=cast(Any, MemoryPoller),
            hash_seconds=0.0 if check_hashes else HASH_SECONDS,
            tick_rate=tick_rate,
            seed=seed if seed is not None else room_class.seed if room_class.seed is not None else 0,
            server_name="tickwire-testing",
        )
        self.room = cast(R, self.house.create(name, options, metadata=metadata))
        self._main = self._running[0]
        self._advance_until(self.now)

    def __repr__(self) -> str:
        return f"<RoomTester of {self.room!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- what is

    @property
    def world(self) -> World:
        """The room's world: ``tester.world[Ship]``."""
        return self.room.world

    @property
    def house(self) -> House:
        """All rooms that run, for rooms that make others."""
        return self._directory.house

    @property
    def rooms(self) -> list[Room]:
        """All rooms that run, in the order of their age."""
        return [loop.room for loop in self._directory.loops]

    @property
    def over(self) -> bool:
        """Whether the room has ended; its world can still be read."""
        return self._main.over

    @property
    def failure(self) -> Exception | None:
        """The exception that ended a room, None for none."""
        return next((each.failure for each in self._running if each.failure is not None), None)

    @property
    def failed_unexpectedly(self) -> bool:
        """Whether a room has failed, and nobody said so with `fails`."""
        return self.failure is not None and not self._failure_expected

    # -- players

    def join(
        self,
        name: str = "",
        *,
        options: Mapping[str, Any] | None = None,
        identity: Identity | None = None,
        token: str | None = None,
        password: str = "",
        invite: str = "",
        seat: str | None = None,
        room: Room | None = None,
        spectate: bool = False,
    ) -> ScriptedPlayer:
        """Let a player join and run one tick, so that it is in. Who may not come in has ``closed`` set.

        The first one is who had the room made, so a password or a room that is private does not keep it out.

        Args:
            identity: who it is. Without one the room's ``authenticate`` is asked, if it has one.
            token: what is shown to ``authenticate``.
            password, invite: see `Room`.
            seat: the token of a reserved seat.
            room: another room of the house than ``tester.room``.
        """
        target = room or self.room
        hello = Hello(
            name=name,
            options=dict(options or {}),
            token=token,
            method="join_by_id",
            room_id=target.id,
            invite=invite,
            password=password,
            spectate=spectate,
            seat=seat,
        )
        player = ScriptedPlayer(self, hello, f"/{target.name}")
        self.players.append(player)
        self._connect(player, hello, identity)
        return player

    def spectate(self, name: str = "", **others: Any) -> ScriptedPlayer:
        """Let somebody in who only watches; as `join`."""
        return self.join(name, spectate=True, **others)

    # -- time

    def ticks(self, count: int = 1, *, late: float = 0.0) -> None:
        """Run so many ticks. In a room without a tick rate: all that has come, until the room is at rest.

        A room that is paused does not tick; then only time passes.

        Args:
            late: how many seconds after its time each tick runs, as on a machine that is busy with other things. Ticks
                that are missed by it are caught up as a server does: a few steps, then one frame.
        Raises:
            Exception: what the room raised.
        """
        if self.room.is_event_driven:
            if count != 1 or late:
                raise ValueError(
                    "this room ticks when something happens: ticks() takes no number, seconds() passes time"
                )
            self._settle()
            return
        for _ in range(count):
            self._tick(late)

    def seconds(self, seconds: float) -> None:
        """Let time pass: the ticks and timers in it run. Raises as `ticks`."""
        if not seconds >= 0:
            raise ValueError(f"seconds({seconds!r}): time does not go back")
        self._check_sound()
        self._advance_until(self.now + seconds)

    def until(self, condition: Condition, seconds: float = 60.0) -> None:
        """Step until something is true.

        Raises:
            TimeoutError: it was not true within ``seconds``. Exception: what the room raised.
        """
        if not self._step_until(condition, seconds):
            raise TimeoutError(f"that did not become true within {seconds:g} seconds")

    def drain(self, seconds: float = 10.0) -> None:
        """Begin to stop the server, as SIGTERM does: ``on_drain`` is called, and the room ended after ``seconds``."""
        self._drain_ends = self.now + seconds
        for each in self._running:
            each.loop.drain(self._drain_ends, lambda: reason_with_reconnect("the server restarts", 1.0))
        self._advance_until(self.now)

    @contextmanager
    def fails(self, exception: type[Exception] = Exception) -> Iterator[None]:
        """Expect the room to end by an exception in this block.

        Raises:
            AssertionError: it did not.
        """
        try:
            yield
        except exception as error:
            if self.failure is not error:
                raise
            self._failure_expected = True
            return
        raise AssertionError(f"the room raised no {exception.__name__}")

    def close(self) -> None:
        """End the room as its author would, ``on_close`` and all; nothing happens when it is over already.

        Raises:
            Exception: what the room raised.
        """
        try:
            for each in self._running:
                if not each.over:
                    each.loop.room.close("the test is over")
                    self._advance(each)
        finally:
            for each in self._running:
                each.free()

    # -- inside

    def _clock(self) -> float:
        return self.now

    def _start(self, loop: RoomLoop) -> None:
        """A room was made."""
        self._running.append(RunningRoom(loop, discard=self._directory.discard, failed=self._directory.failed))

    def _connect(self, player: ScriptedPlayer, hello: Hello, identity: Identity | None = None) -> None:
        """What the server does when a hello has come; then the tick at which the player gets in."""
        self._check_sound()
        player._answered = False
        link = player._link
        try:
            self._greet(link, Hello.from_items(unpack_from_client(hello.encode())), identity)
        except ProtocolError as error:
            link.close(error.code, close_reason_bytes(error.reason).decode())
            player._pump(self._check_hashes, self._keep_bytes)
            return
        answers_by = self.now + _ANSWER_SECONDS
        while not player._answered and player.closed is None and self._next().next_seconds <= answers_by:
            following = self._next()
            self._pass_to(following.next_seconds)
            self._advance(following)
        if self.room.is_event_driven:
            self._settle()

    def _greet(self, link: MemoryLink, hello: Hello, identity: Identity | None) -> None:
        name, any_link = link.path.removeprefix("/"), cast(Any, link)
        if hello.seat is not None:
            self._directory.take_seat(name, any_link, hello)
            return
        hook = self._directory.room_class(name).authenticate
        if identity is None and hook is not None:
            request = join_request(name, link.path, {}, hello, "")
            identity = run_async(authenticate, hook, request, Limits().authenticate_seconds)
        if self._drain_ends is not None:
            raise ProtocolError(CloseCode.RESTART, reason_with_reconnect("the server restarts", 1.0))
        if self._anybody or hello.spectate or hello.room_id != self.room.id or self.over:
            self._directory.join(name, any_link, hello, identity)
        else:
            self._main.loop.admit(any_link, hello, identity)
        self._anybody = True

    def _find_player(self, welcome: Welcome) -> Player:
        """The server's side of whoever was welcomed so."""
        for room in self.rooms:
            if room.id == welcome.room_id:
                everyone = (*room.players, *room.spectators)
                return next(player for player in everyone if player.number == welcome.player)
        raise LookupError(f"there is no room {welcome.room}/{welcome.room_id}")

    def _next(self) -> RunningRoom:
        return min(self._running, key=lambda each: each.next_seconds)

    def _advance(self, running: RunningRoom) -> None:
        """Let one room do what is due, its players answer, and its work be done."""
        try:
            running.advance()
        finally:
            for player in self.players:
                player._pump(self._check_hashes, self._keep_bytes)
        self._background.run()

    def _advance_until(self, seconds: float) -> None:
        """Everything that is due by then, in order."""
        self._advance_due(seconds)
        self._pass_to(seconds)
        self._advance_due(seconds)  # the time for draining may be over

    def _advance_due(self, seconds: float) -> None:
        while (following := self._next()).next_seconds <= seconds + _ROUNDING:
            self._pass_to(following.next_seconds)
            self._advance(following)

    def _pass_to(self, seconds: float) -> None:
        self.now = max(self.now, seconds)
        if self._drain_ends is not None and self.now >= self._drain_ends:
            for each in self._running:
                if not each.over and not each.loop.is_ending:
                    each.loop.end_soon(lambda: reason_with_reconnect("the server restarts", 1.0))

    def _tick(self, late: float = 0.0) -> None:
        self._check_sound()
        room, before, period_ends = self.room, self.room.tick, self.now + self.room.dt
        while room.tick == before and not self.over:
            following = self._next()
            if following.next_seconds > period_ends + _ROUNDING:
                break
            self._pass_to(following.next_seconds + late)
            self._advance(following)
        if room.tick == before:
            self._pass_to(period_ends)

    def _settle(self) -> None:
        """Do all that has come."""
        self._check_sound()
        for _ in range(_RESTLESS_TICKS):
            due = [each for each in self._running if each.due_seconds <= self.now]
            if not due:
                return
            following = min(due, key=lambda each: each.next_seconds)
            self._pass_to(following.next_seconds)
            self._advance(following)
        raise RuntimeError("the room does not come to rest: does a timer of 0 seconds make itself again?")

    def _step_until(self, condition: Condition, seconds: float) -> bool:
        """Step until something is true; False when it takes longer than so many seconds."""
        deadline = self.now + seconds
        self._check_sound()
        while not condition():
            if self.over or self.now > deadline - _ROUNDING:
                return False
            if not self.room.is_event_driven:
                self._tick()
            elif self._next().due_seconds <= self.now:
                self._settle()
            else:
                self._advance_until(min(self._next().next_seconds, deadline))
        return True

    def _check_sound(self) -> None:
        if self.failure is not None:
            raise RuntimeError(f"the room has failed before: {self.failure!r}") from self.failure


#: What makes testers: the ``room_tester`` fixture.
MakeTester = Callable[..., RoomTester[Any]]
