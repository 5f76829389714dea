"""Which room types there are, and which rooms of them run."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Final

import trio

from gameprotocol import CloseCode, Hello, ProtocolError
from gameprotocol.closing import reason_with_reconnect
from gameserver.net import Link
from gameserver.rooms.authentication import Identity
from gameserver.rooms.backoff import CrashBackoff
from gameserver.rooms.loop import RoomLoop
from gameserver.rooms.room import Room
from gameserver.rooms.schedule import phase_of
from gameserver.watchdog import Watchdog

_log = logging.getLogger("gameserver.rooms")

#: Rooms named in the reason of a refusal; the Close frame has no room for many.
_NAMED_ROOMS: Final = 4


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
        clock: seconds, for the pause between rooms of a type that crash one after the other.
        watchdog: is told when a room runs; None for none.
        tick_rate: for all rooms, in place of their own; None to leave them alone.
        seed: of every room, in place of their own; None to leave them alone.
        server_name: told to clients.
    """

    def __init__(
        self,
        room_classes: Mapping[str, type[Room]],
        start: Callable[[RoomLoop], None],
        *,
        clock: Callable[[], float],
        watchdog: Watchdog | None = None,
        tick_rate: float | None = None,
        seed: int | None = None,
        server_name: str = "",
    ) -> None:
        self.room_classes = dict(room_classes)
        self.loops: list[RoomLoop] = []
        self._start = start
        self._clock = clock
        self._watchdog = watchdog
        self._backoff = CrashBackoff()
        self._emptied = trio.Event()
        self._tick_rate = tick_rate
        self._seed = seed
        self._server_name = server_name
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
        """Let a player into the first room of that type with a free seat; a new one is made when there is none.

        Raises:
            ProtocolError: as `find`.
        """
        loop = self.find(name)
        loop.admit(link, hello, identity)
        return loop

    def find(self, name: str) -> RoomLoop:
        """The first room of a type with a free seat, made if need be.

        Raises:
            ProtocolError: 4004 when there is no such type, 1013 while rooms of it crash one after the other.
        """
        for loop in self.loops:
            if loop.room.name == name and not loop.is_full and not loop.is_ending:
                return loop
        return self._make(name)

    def discard(self, loop: RoomLoop) -> None:
        """Forget a room that has ended."""
        self.loops.remove(loop)
        if not self.loops:
            self._emptied.set()

    def failed(self, loop: RoomLoop) -> None:
        """Forget a room that has ended by an exception, and be slower to make another of its type."""
        self._backoff.failed(loop.room.name, self._clock(), made=loop.made_seconds)
        self.discard(loop)

    async def until_empty(self) -> None:
        """Wait until no room is left."""
        while self.loops:
            if self._emptied.is_set():  # otherwise somebody waits for it already
                self._emptied = trio.Event()
            await self._emptied.wait()

    def _make(self, name: str) -> RoomLoop:
        room_class = self.room_class(name)
        wait = self._backoff.wait_seconds(name, self._clock())
        if wait > 0:
            raise ProtocolError(CloseCode.TRY_LATER, reason_with_reconnect(f"{name} has failed several times", wait))
        self._made += 1
        room = room_class(name, str(self._made), tick_rate=self._tick_rate, seed=self._seed)
        loop = RoomLoop(room, phase_of(self._made), self._server_name, self._watchdog)
        loop.made_seconds = self._clock()
        self.loops.append(loop)
        self._start(loop)
        return loop
