"""The lobby: a live list of the rooms of a server, as entities that come and go and change.

::

    serve(Lobby, Duel)

    async with gameclient.connect(".../lobby", options={"room": "duel", "filter": {"level": {"ge": 3}}}) as session:
        async for event in session.events():
            for row in session.world["RoomRow"]:
                print(row.room_id, row.players, row.metadata)
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from gameprotocol import ProtocolError
from gameserver import (
    Entity,
    Message,
    Player,
    RequestError,
    Room,
    RoomListing,
    Table,
    Visible,
    boolean,
    handles,
    local,
    text,
    uint,
    value,
)
from gameserver.rooms.metadata import Filter, parse_filter

_FIRST_SLOTS: Final = 64


class RoomRow(Entity):
    """One room, as `RoomListing` tells it.

    Fields: ``max_players`` is 0 for a room without a limit.
    """

    room = text(max_bytes=255)
    room_id = text(max_bytes=255)
    players = uint(16)
    max_players = uint(16)
    spectators = uint(16)
    locked = boolean()
    has_password = boolean()
    metadata = value(max_bytes=65535, default={})
    slot = local(int)  # where filters keep what they think of it


class Wanted(Message):
    """What a player wants to see.

    Attributes:
        room: rooms of this type only; "" for all.
        filter: of them those whose metadata fits, as in a hello.
    """

    room: str = ""
    filter: dict[str, Any] = {}


class _Selection:
    """What players who want the same are shown.

    Attributes:
        room: a room type's name, "" for all.
        shown: for each slot whether its room is shown.
    """

    def __init__(self, room: str, wanted: Filter) -> None:
        self.room = room
        self.shown: NDArray[np.bool_] = np.zeros(_FIRST_SLOTS, np.bool_)
        self._wanted = wanted

    def note(self, slot: int, listing: RoomListing) -> None:
        """A room is new, or has changed."""
        if slot >= len(self.shown):
            self.shown = np.concatenate([self.shown, np.zeros(max(slot, len(self.shown)), np.bool_)])
        self.shown[slot] = self.room in ("", listing.room) and self._wanted.matches_values(listing.metadata)


class _Shown:
    """A room that is in the list."""

    __slots__ = ("listing", "row", "slot")

    def __init__(self, listing: RoomListing, row: RoomRow, slot: int) -> None:
        self.listing = listing
        self.row = row
        self.slot = slot


def _is_wanted(player: Player, rows: Table[RoomRow]) -> NDArray[np.bool_]:
    room = player.room
    assert isinstance(room, Lobby)
    shown: NDArray[np.bool_] = room._selection_of(player).shown[rows.slot]
    return shown


class Lobby(Room):
    """A live list of the public rooms of the server. Serve it as it is, or subclass it.

    A player says which rooms it wants to see in the options of its hello, ``{"room": "duel", "filter": {...}}``, and at
    any time with a request ``filter`` that has the same form; it is answered with the number of rooms that fit. A
    filter that is wrong is answered with the code ``filter``; in a hello, the connection is closed with the reason.

    Class attributes to declare:
        shown_rooms: names of the room types that are in the list; None for all but the lobby's own.

    Whoever overrides ``__init__``, ``on_join``, ``on_leave`` or ``step`` calls these here too.
    """

    tick_rate = 4
    entities = (RoomRow,)
    view = {RoomRow: Visible(_is_wanted)}

    shown_rooms: ClassVar[Sequence[str] | None] = None

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._version = -1
        self._shown: dict[tuple[str, str], _Shown] = {}
        self._slots_used = 0
        self._free_slots: list[int] = []
        self._selections: weakref.WeakValueDictionary[Any, _Selection] = weakref.WeakValueDictionary()
        self._everything = self._select("", Filter())
        self._chosen: dict[Player, _Selection] = {}

    def on_join(self, player: Player) -> None:
        options = player.options
        room, wanted = options.get("room", ""), options.get("filter", {})
        if not isinstance(room, str) or not isinstance(wanted, dict):
            player.kick('options: give "room" as text and "filter" as a map')
            return
        try:
            self.choose(player, Wanted(room=room, filter=wanted))
        except RequestError as error:
            player.kick(error.text)

    def on_leave(self, player: Player, reason: str) -> None:
        self._chosen.pop(player, None)

    @handles("filter")
    def choose(self, player: Player, wanted: Wanted) -> int:
        """A player wants to see other rooms; how many of them there are."""
        if wanted.room:
            try:
                metadata_class = self.house.metadata_class(wanted.room)
            except LookupError:
                raise RequestError("filter", f"no such room; there is {', '.join(self.house.room_names)}") from None
        elif wanted.filter:
            raise RequestError("filter", "filter: say of which room, for others have other fields")
        else:
            metadata_class = None
        try:
            selection = self._select(wanted.room, parse_filter(metadata_class, wanted.filter))
        except ProtocolError as error:
            raise RequestError("filter", error.reason) from None
        self._chosen[player] = selection
        return int(np.count_nonzero(selection.shown))

    def step(self, dt: float) -> None:
        if self.house.version != self._version:
            self._version = self.house.version
            self._list_rooms()

    # -- the list

    def _list_rooms(self) -> None:
        """Make the rows equal to what the house says."""
        gone = dict(self._shown)
        for listing in self.house.listings():
            if listing.room == self.name if self.shown_rooms is None else listing.room not in self.shown_rooms:
                continue
            key = (listing.room, listing.room_id)
            shown = gone.pop(key, None)
            if shown is None:
                shown = self._shown[key] = self._add(listing)
            elif shown.listing == listing:
                continue
            shown.listing = listing
            self._tell(shown)
        for key, shown in gone.items():
            self._remove(key, shown)

    def _add(self, listing: RoomListing) -> _Shown:
        slot = self._free_slots.pop() if self._free_slots else self._slots_used
        self._slots_used = max(self._slots_used, slot + 1)
        row = self.world.spawn(RoomRow, room=listing.room, room_id=listing.room_id, slot=slot)
        return _Shown(listing, row, slot)

    def _tell(self, shown: _Shown) -> None:
        row, listing = shown.row, shown.listing
        row.players = listing.players
        row.max_players = listing.max_players or 0
        row.spectators = listing.spectators
        row.locked = listing.locked
        row.has_password = listing.has_password
        if row.metadata != listing.metadata:
            row.metadata = listing.metadata
        for selection in self._selections.values():
            selection.note(shown.slot, listing)

    def _remove(self, key: tuple[str, str], shown: _Shown) -> None:
        self.world.despawn(shown.row)
        self._free_slots.append(shown.slot)
        for selection in self._selections.values():
            selection.shown[shown.slot] = False
        del self._shown[key]

    def _select(self, room: str, wanted: Filter) -> _Selection:
        """What is to be shown; shared by all who want the same."""
        key = (room, frozenset(wanted.conditions))
        selection = self._selections.get(key)
        if selection is None:
            selection = self._selections[key] = _Selection(room, wanted)
            for shown in self._shown.values():
                selection.note(shown.slot, shown.listing)
        return selection

    def _selection_of(self, player: Player) -> _Selection:
        return self._chosen.get(player, self._everything)
