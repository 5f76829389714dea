"""Which room types there are, and which rooms of them run."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import trio

from gameprotocol import CloseCode, Hello, ProtocolError
from gameprotocol.closing import reason_with_reconnect
from gameserver.net import Link, Poller
from gameserver.rooms.authentication import Identity
from gameserver.rooms.backoff import CrashBackoff
from gameserver.rooms.delivery import HASH_SECONDS
from gameserver.rooms.house import House
from gameserver.rooms.loop import RoomLoop
from gameserver.rooms.metadata import Filter, Metadata, make_metadata, parse_filter
from gameserver.rooms.room import Room
from gameserver.rooms.schedule import phase_of
from gameserver.rooms.seating import MakePoller, SeatHolder
from gameserver.rooms.seats import SEAT_IS_GONE, SeatTokens, make_invite_code
from gameserver.watchdog import Watchdog

_log = logging.getLogger("gameserver.rooms")

#: Rooms named in the reason of a refusal; the Close frame has no room for many.
_NAMED_ROOMS: Final = 4
#: When to come back if there are too many.
_ROOMS_RETRY_SECONDS: Final = 10.0

#: What may stand in a URL's path without being escaped (RFC 3986, 2.3).
_ROOM_NAME: Final = re.compile(r"[A-Za-z0-9._~-]+")


def check_room_name(name: str) -> None:
    """ValueError when ``name`` cannot stand in a URL as it is."""
    if not _ROOM_NAME.fullmatch(name):
        raise ValueError(f"a room cannot be called {name!r}: use letters, digits and - . _ ~, as in a URL")


class Directory:
    """The rooms of one server.

    Args:
        room_classes: room classes, checked, by the name in their URL.
        start: begins to run a loop that was just made.
        spawn: starts a room's background work, as a nursery's ``start_soon``.
        clock: seconds, for the pause between rooms of a type that crash one after the other.
        watchdog: is told when a room runs; None for none.
        tick_rate: for all rooms, in place of their own; None to leave them alone.
        seed: of every room, in place of their own; None to leave them alone.
        server_name: told to clients.
        most_rooms: at once.
        make_poller, hash_seconds: as of `RoomLoop`.

    Attributes:
        room_classes: by name.
        tokens: of seats in all rooms. house: what rooms may do with each other.
    """

    def __init__(
        self,
        room_classes: Mapping[str, type[Room]],
        start: Callable[[RoomLoop], None],
        *,
        clock: Callable[[], float],
        spawn: Callable[..., Any] | None = None,
        most_rooms: int,
        watchdog: Watchdog | None = None,
        tick_rate: float | None = None,
        seed: int | None = None,
        server_name: str = "",
        make_poller: MakePoller = Poller,
        hash_seconds: float = HASH_SECONDS,
    ) -> None:
        self.room_classes = dict(room_classes)
        self.tokens: SeatTokens[SeatHolder] = SeatTokens()
        self.house = House(self)
        self._loops: dict[str, RoomLoop] = {}  # by the room's id
        self._by_name: dict[str, dict[str, RoomLoop]] = {name: {} for name in room_classes}
        self._open: dict[str, dict[RoomLoop, None]] = {name: {} for name in room_classes}  # may take one more
        self._invites: dict[str, RoomLoop] = {}
        self._most_rooms = most_rooms
        self._spawn = spawn
        self._start = start
        self._clock = clock
        self._watchdog = watchdog
        self._backoff = CrashBackoff()
        self._emptied = trio.Event()
        self._tick_rate = tick_rate
        self._seed = seed
        self._server_name = server_name
        self._make_poller = make_poller
        self._hash_seconds = hash_seconds
        self._made = 0

    def known_names(self) -> str:
        """A few of the room types' names, for the reason of a refusal."""
        return ", ".join([*self.room_classes][:_NAMED_ROOMS])

    def room_class(self, name: str) -> type[Room]:
        """The room type of a name; ProtocolError 4004 when there is none."""
        room_class = self.room_classes.get(name)
        if room_class is None:
            raise ProtocolError(CloseCode.UNKNOWN_ROOM, f"no room {name[:32]!r} here; there is {self.known_names()}")
        return room_class

    def join(self, name: str, link: Link, hello: Hello, identity: Identity | None = None) -> RoomLoop:
        """Let somebody into the room that it asks for.

        Raises:
            ProtocolError: as `place`.
        """
        loop = self.place(name, hello)
        loop.admit(link, hello, identity)
        return loop

    def take_seat(self, name: str, link: Link, hello: Hello) -> RoomLoop:
        """Let somebody in who has a seat already: a player who comes back, or one for whom a seat was reserved.

        Raises:
            ProtocolError: 4013 when the token gives no seat in a room of this type.
        """
        holder = self.tokens.find(hello.seat or "")
        loop = None if holder is None else self.loop_of(holder.seating.room)
        if holder is None or loop is None or loop.room.name != name or loop.is_ending:
            raise ProtocolError(CloseCode.SEAT_GONE, SEAT_IS_GONE)
        if not holder.seating.take(link, hello, holder.seat):
            raise ProtocolError(CloseCode.SEAT_GONE, SEAT_IS_GONE)
        return loop

    def reserve(self, name: str, hello: Hello, identity: Identity | None, seconds: float) -> tuple[RoomLoop, str]:
        """Find a room as for somebody who joins, and keep a seat there; the room and the token of the seat.

        Raises:
            ProtocolError: as `place`; 4015 for a spectator, who has no seat.
        """
        if hello.spectate:
            raise ProtocolError(CloseCode.BAD_JOIN, "spectators have no seat: connect with spectate in the hello")
        loop = self.place(name, hello)
        return loop, loop.seating.reserve(hello, identity, seconds)

    def place(self, name: str, hello: Hello) -> RoomLoop:
        """The room for somebody who wants to join, made if need be. The seat must be taken before anything is awaited.

        Raises:
            ProtocolError: 4004 when there is no such type or room, 4010 to 4012 when the room is full, locked or has
                another password, 4015 when what is asked for cannot be, 1013 when no room can be made now.
        """
        room_class = self.room_class(name)
        wanted = parse_filter(room_class.metadata, hello.filter)
        if hello.invite or hello.method == "join_by_id":
            return self._named(name, hello)
        may_make = room_class.players_may_create and not hello.spectate
        if hello.method == "create":
            if not may_make:
                who = "spectators" if hello.spectate else "players"
                raise ProtocolError(CloseCode.BAD_JOIN, f"{who} make no rooms of this type: join one")
        else:
            loop = self._first_fitting(name, hello, wanted)
            if loop is not None:
                return loop
            if hello.method == "join" or not may_make:
                raise ProtocolError(CloseCode.UNKNOWN_ROOM, f"no {name} fits that has a free place")
        metadata = make_metadata(room_class.metadata, wanted)
        loop = self.make(name, hello.options, metadata)
        if hello.password:
            loop.room.password = hello.password
        return loop

    def _named(self, name: str, hello: Hello) -> RoomLoop:
        """The one room that is asked for, by its invite code or its id."""
        if hello.invite:
            loop, unknown = self._invites.get(hello.invite.strip().upper()), "no room has this invite code"
        else:
            loop, unknown = self._by_name[name].get(hello.room_id), "there is no such room"
        if loop is None or loop.room.name != name or loop.is_ending or (loop.room.private and not hello.invite):
            raise ProtocolError(CloseCode.UNKNOWN_ROOM, unknown)
        if hello.room_id not in ("", loop.room.id):
            raise ProtocolError(CloseCode.UNKNOWN_ROOM, unknown)
        if not _knows_password(loop.room, hello):
            raise ProtocolError(CloseCode.WRONG_PASSWORD, "wrong password" if hello.password else "give the password")
        if hello.spectate:
            if type(loop.room).max_spectators == 0:
                raise ProtocolError(CloseCode.BAD_JOIN, "this room takes no spectators")
            if not loop.seating.takes_spectators:
                raise ProtocolError(CloseCode.ROOM_FULL, "no more may watch")
            return loop
        if loop.room.locked:
            raise ProtocolError(CloseCode.ROOM_LOCKED, "this room is locked")
        if loop.is_full:
            raise ProtocolError(CloseCode.ROOM_FULL, "this room is full")
        return loop

    def _first_fitting(self, name: str, hello: Hello, wanted: Filter) -> RoomLoop | None:
        """The oldest room that takes one more; rooms that take nobody are not looked at again until they change."""
        if hello.spectate:
            return self._first_watchable(name, hello, wanted)
        open_rooms = self._open[name]
        for loop in sorted(open_rooms, key=_age):
            room = loop.room
            if loop.is_ending or room.locked or room.private or loop.is_full:
                del open_rooms[loop]
            elif _fits_password(room, hello) and wanted.matches(room.metadata):
                return loop
        return None

    def _first_watchable(self, name: str, hello: Hello, wanted: Filter) -> RoomLoop | None:
        if self.room_class(name).max_spectators == 0:
            raise ProtocolError(CloseCode.BAD_JOIN, "these rooms take no spectators")
        for loop in self._by_name[name].values():
            room = loop.room
            takes = loop.seating.takes_spectators and not (loop.is_ending or room.private)
            if takes and _fits_password(room, hello) and wanted.matches(room.metadata):
                return loop
        return None

    def find(self, name: str) -> RoomLoop:
        """The room that the next player would join, made if need be.

        Raises:
            ProtocolError: as `place`.
        """
        loop = self._first_fitting(name, Hello(), Filter()) if name in self.room_classes else None
        return loop if loop is not None else self.make(name)

    def note_change(self, room: Room) -> None:
        """Something of a room has changed that others look for: it may have a free seat."""
        loop = self._by_name[room.name].get(room.id)
        if loop is not None:
            self._open[room.name][loop] = None

    def loop_of(self, room: Room) -> RoomLoop | None:
        """What runs a room; None when it has ended."""
        loop = self._by_name.get(room.name, {}).get(room.id)
        return loop if loop is not None and loop.room is room else None

    def make_invite_code(self, room: Room) -> str:
        """A code for a room, which nobody else has."""
        loop = self.loop_of(room)
        if loop is None:
            raise RuntimeError("this room has ended")
        code = make_invite_code()
        while code in self._invites:
            code = make_invite_code()
        self._invites[code] = loop
        return code

    @property
    def loops(self) -> list[RoomLoop]:
        """All rooms that run, in the order of their age."""
        return list(self._loops.values())

    def discard(self, loop: RoomLoop) -> None:
        """Forget a room that has ended."""
        room = loop.room
        del self._loops[room.id]
        del self._by_name[room.name][room.id]
        self._open[room.name].pop(loop, None)
        self._invites.pop(room._invite_code, None)
        self.house.version += 1
        if not self._loops:
            self._emptied.set()

    def failed(self, loop: RoomLoop) -> None:
        """Forget a room that has ended by an exception, and be slower to make another of its type."""
        self._backoff.failed(loop.room.name, self._clock(), made=loop.made_seconds)
        self.discard(loop)

    async def until_empty(self) -> None:
        """Wait until no room is left."""
        while self._loops:
            if self._emptied.is_set():  # otherwise somebody waits for it already
                self._emptied = trio.Event()
            await self._emptied.wait()

    def make(self, name: str, options: Mapping[str, Any] | None = None, metadata: Metadata | None = None) -> RoomLoop:
        """Make a room and begin to run it.

        Raises:
            ProtocolError: 4004 when there is no such type; 1013 while rooms of it crash one after the other, and when
                there are as many rooms as may be.
        """
        room_class = self.room_class(name)
        wait = self._backoff.wait_seconds(name, self._clock())
        if wait > 0:
            raise ProtocolError(CloseCode.TRY_LATER, reason_with_reconnect(f"{name} has failed several times", wait))
        if len(self._loops) >= self._most_rooms:
            raise ProtocolError(CloseCode.TRY_LATER, reason_with_reconnect("too many rooms", _ROOMS_RETRY_SECONDS))
        self._made += 1
        room = room_class(
            name, str(self._made), tick_rate=self._tick_rate, seed=self._seed, options=options, metadata=metadata
        )
        room._house = self.house
        loop = RoomLoop(
            room,
            phase_of(self._made),
            self._server_name,
            self._watchdog,
            tokens=self.tokens,
            spawn=self._spawn,
            clock=self._clock,
            make_poller=self._make_poller,
            hash_seconds=self._hash_seconds,
        )
        loop.made_seconds = self._clock()
        loop.seating.changed = room._note_listing
        self._loops[room.id] = self._by_name[name][room.id] = loop
        self._open[name][loop] = None
        self.house.version += 1
        self._start(loop)
        return loop


def _knows_password(room: Room, hello: Hello) -> bool:
    return not room.password or hmac.compare_digest(room.password.encode(), hello.password.encode())


def _age(loop: RoomLoop) -> int:
    return int(loop.room.id)


def _fits_password(room: Room, hello: Hello) -> bool:
    """Whether a room is one for those who gave, or did not give, this password."""
    return hmac.compare_digest(room.password.encode(), hello.password.encode())
