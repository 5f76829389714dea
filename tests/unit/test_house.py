"""The house: what rooms may know of and do with the rooms of their server."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from gameprotocol import Hello
from gameserver import Entity, Meta, Metadata, Room, uint
from gameserver.rooms.directory import Directory
from gameserver.rooms.house import RESERVATION_SECONDS, House, RoomFullError


class Piece(Entity):
    x = uint(8)


class Info(Metadata):
    mode: str = "classic"
    level: Annotated[int, Meta(ge=1, le=50)] = 1


class Duel(Room):
    entities = (Piece,)
    max_players = 2
    max_spectators = 3
    metadata = Info


class Plain(Room):
    entities = (Piece,)


class Server:
    """A directory whose rooms stand still, on a clock that is told the time."""

    def __init__(self, most_rooms: int = 100) -> None:
        self.now = 0.0
        self.directory = Directory(
            {"duel": Duel, "plain": Plain}, lambda loop: None, clock=lambda: self.now, most_rooms=most_rooms
        )
        self.house: House = self.directory.house


@pytest.fixture
def server() -> Server:
    return Server()


def test_what_a_listing_tells(server: Server) -> None:
    room = server.house.create("duel", {"map": "isle"}, metadata={"mode": "duel", "level": 3})
    room.password = "sesame"
    room.locked = True
    (listing,) = server.house.listings()
    assert listing.room == "duel"
    assert listing.room_id == room.id == "1"
    assert (listing.players, listing.max_players, listing.spectators) == (0, 2, 0)
    assert listing.locked
    assert listing.has_password
    assert listing.metadata == {"mode": "duel", "level": 3}
    assert "sesame" not in repr(listing)
    assert room.options == {"map": "isle"}


def test_listings_are_by_age_and_type_without_private_and_ending_rooms(server: Server) -> None:
    rooms = [server.house.create(name) for name in ("duel", "plain", "duel", "duel", "plain")]
    rooms[2].private = True
    rooms[4].close()
    assert [listing.room_id for listing in server.house.listings()] == ["1", "2", "4"]
    assert [listing.room_id for listing in server.house.listings("duel")] == ["1", "4"]
    assert server.house.listings("unheard of") == []
    assert server.house.create("duel", private=True).id not in [each.room_id for each in server.house.listings()]


def test_seats_that_are_reserved_or_being_taken_count(server: Server) -> None:
    room = server.house.create("duel")
    server.house.reserve(room)
    assert server.house.listings()[0].players == 1
    server.house.reserve(room, seconds=100.0)
    assert server.house.listings()[0].players == 2
    with pytest.raises(RoomFullError, match="duel/1 is full"):
        server.house.reserve(room)
    server.now = RESERVATION_SECONDS
    assert server.house.listings()[0].players == 1
    server.house.reserve(room)


def test_a_reservation_is_for_its_room_while_there_is_one(server: Server) -> None:
    room = server.house.create("duel")
    token = server.house.reserve(room, name="Ada", options={"deck": 3})
    assert server.directory.tokens.find(token) is not None
    assert token not in repr(vars(server.directory.tokens))  # they are kept as hashes
    loop = server.directory.loop_of(room)
    assert loop is not None
    room.close()
    with pytest.raises(RoomFullError, match="duel/1 has ended"):
        server.house.reserve(room)
    server.directory.discard(loop)
    with pytest.raises(RoomFullError, match="duel/1 has ended"):
        server.house.reserve(room)


def test_names_of_types_that_there_are_not(server: Server) -> None:
    with pytest.raises(LookupError, match="there is no room type 'dule', only duel, plain"):
        server.house.create("dule")
    with pytest.raises(LookupError, match="dule"):
        server.house.metadata_class("dule")
    assert server.house.room_names == ("duel", "plain")
    assert server.house.metadata_class("duel") is Info
    assert server.house.metadata_class("plain") is None


@pytest.mark.parametrize(
    ("room", "metadata"),
    [
        ("plain", {"level": 3}),
        ("duel", {"levle": 3}),
        ("duel", {"level": "three"}),
        ("duel", {"level": 99}),
        ("duel", {"level": True}),
        ("duel", {"mode": None}),
    ],
)
def test_metadata_that_does_not_fit_makes_no_room(server: Server, room: str, metadata: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        server.house.create(room, metadata=metadata)
    assert server.directory.loops == []


def test_there_is_room_for_so_many(server: Server) -> None:
    small = Server(most_rooms=1)
    small.house.create("duel")
    with pytest.raises(RoomFullError, match="too many rooms"):
        small.house.create("plain")


def test_a_private_room_is_never_open_to_those_who_look() -> None:
    server = Server()
    server.house.create("duel", private=True)
    assert server.directory.place("duel", Hello()).room.id == "2"


def test_a_room_alone_has_no_house() -> None:
    with pytest.raises(RuntimeError, match="belongs to no server"):
        _ = Duel().house
