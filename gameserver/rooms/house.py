"""The house: what rooms, lobbies and tools may know of and do with the rooms of their server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gameprotocol import Hello, ProtocolError
from gameserver.rooms.metadata import Metadata

if TYPE_CHECKING:
    from gameserver.rooms.authentication import Identity
    from gameserver.rooms.directory import Directory
    from gameserver.rooms.loop import RoomLoop
    from gameserver.rooms.room import Room

#: How long a reserved seat waits for its player, in seconds; Colyseus has the same.
RESERVATION_SECONDS = 15.0


class RoomFullError(Exception):
    """There is no free seat to reserve, or the room has ended."""


class RoomListing(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a room in listings.

    Attributes:
        room: its type's name. room_id: which one it is.
        players: seats that are taken, held and reserved ones too. max_players: None for no limit.
        spectators: how many watch.
        locked: whether nobody may join. has_password: whether joiners must give one.
        metadata: values by field.
    """

    room: str
    room_id: str
    players: int
    max_players: int | None
    spectators: int
    locked: bool
    has_password: bool
    metadata: dict[str, Any]


class House:
    """The rooms of one server; each room has it as ``self.house``, the server as ``server.house``.

    Everything here may be called inside a tick; nothing waits.

    Attributes:
        version: rises whenever a listing may have changed.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.version = 0

    @property
    def room_names(self) -> tuple[str, ...]:
        """The names of the room types that there are."""
        return tuple(self._directory.room_classes)

    def metadata_class(self, room: str) -> type[Metadata] | None:
        """What rooms of a type say of themselves; LookupError when there is no such type."""
        found: type[Metadata] | None = self._room_class(room).metadata
        return found

    def listings(self, room: str | None = None) -> list[RoomListing]:
        """All rooms, or those of one type, by their age; without private ones and those that are ending."""
        return list(self.listings_one_by_one(room))

    def listings_one_by_one(self, room: str | None = None) -> Iterator[RoomListing]:
        """The same for who may not take long: with thousands of rooms making all takes longer than a tick may."""
        for loop in self._directory.loops:
            if room in (None, loop.room.name) and not loop.room.private and not loop.is_ending:
                yield listing_of(loop)

    def create(
        self,
        room: str,
        options: Mapping[str, Any] | None = None,
        *,
        private: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> Room:
        """Make a room; its ``on_create`` runs soon.

        Args:
            room: the type's name.
            options: the room finds them in ``self.options``.
            private: see `Room`.
            metadata: values by field, in place of the defaults.
        Raises:
            LookupError: there is no such type; the text names those that there are.
            TypeError, ValueError: metadata does not fit.
            RoomFullError: the server takes no more rooms, or rooms of this type crash one after the other.
        """
        room_class = self._room_class(room)
        made = None
        if metadata:
            if room_class.metadata is None:
                raise TypeError(f"{room_class.__name__} declares no metadata")
            made = room_class.metadata(**metadata)
        try:
            loop = self._directory.make(room, options or {}, made)
        except ProtocolError as error:
            raise RoomFullError(error.reason) from None
        loop.room.private = private
        return loop.room

    def reserve(
        self,
        room: Room,
        *,
        name: str = "",
        options: Mapping[str, Any] | None = None,
        identity: Identity | None = None,
        seconds: float = RESERVATION_SECONDS,
    ) -> str:
        """Keep a seat for somebody; the token that gives it, for ``gameclient.open(url, seat=token)``.

        Raises:
            RoomFullError: there is no free seat, or the room has ended.
        """
        loop = self._directory.loop_of(room)
        if loop is None or loop.is_ending:
            raise RoomFullError(f"{room.name}/{room.id} has ended")
        if loop.is_full:
            raise RoomFullError(f"{room.name}/{room.id} is full")
        return loop.seating.reserve(Hello(name=name, options=dict(options or {})), identity, seconds)

    def _room_class(self, room: str) -> type[Room]:
        try:
            return self._directory.room_classes[room]
        except KeyError:
            raise LookupError(f"there is no room type {room!r}, only {self._directory.known_names()}") from None

    def _note_change(self, room: Room) -> None:
        self.version += 1
        self._directory.note_change(room)

    def _make_invite_code(self, room: Room) -> str:
        return self._directory.make_invite_code(room)


def listing_of(loop: RoomLoop) -> RoomListing:
    """What is told of one room."""
    room = loop.room
    return RoomListing(
        room=room.name,
        room_id=room.id,
        players=loop.seats_taken,
        max_players=type(room).max_players,
        spectators=len(room._spectators),
        locked=room.locked,
        has_password=bool(room.password),
        metadata=room._described,
    )
