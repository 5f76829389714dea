"""The directory of rooms beside a plain search of all rooms: whatever has happened, the same room is found."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import CloseCode, Hello, ProtocolError
from gameserver import Entity, Metadata, Room, uint
from gameserver.rooms.directory import Directory, check_room_name
from gameserver.rooms.loop import RoomLoop
from tests.support.examples import examples

SECONDS = 100.0


class Piece(Entity):
    x = uint(8)


class Info(Metadata):
    level: int = 1


class Duel(Room):
    entities = (Piece,)
    max_players = 2
    max_spectators = 1
    metadata = Info


class Hall(Duel):
    """Only the server makes one."""

    max_players = 3
    max_spectators = 0
    players_may_create = False


class Rooms:
    """A directory whose rooms stand still; seats are taken by reservation.

    Attributes:
        tokens: seats that are taken, and of which room.
    """

    def __init__(self, most_rooms: int = 1000) -> None:
        self.now = 0.0
        self.directory = Directory(
            {"duel": Duel, "hall": Hall}, lambda loop: None, clock=lambda: self.now, most_rooms=most_rooms
        )
        self.tokens: list[tuple[str, RoomLoop]] = []

    def take(self, name: str = "duel", seconds: float = SECONDS, **said: Any) -> str:
        """Take a seat as somebody who says that; the room's id. ProtocolError as `Directory.place`."""
        loop, token = self.directory.reserve(name, Hello(**said), None, seconds)
        self.tokens.append((token, loop))
        return loop.room.id

    def refused(self, name: str = "duel", **said: Any) -> int:
        """The code with which somebody who says that is refused."""
        with pytest.raises(ProtocolError) as caught:
            self.take(name, **said)
        return int(caught.value.code)

    def free(self, loop: RoomLoop) -> None:
        """One reserved seat of a room is given back."""
        for at, (token, of) in enumerate(self.tokens):
            if of is loop and token in loop.seating._reserved:
                loop.seating._reserved[token].until_seconds = self.now
                loop.seating._lapse()
                del self.tokens[at]
                return

    def naive(self, said: Hello) -> str | None:
        """The oldest room that fits, by looking at all of them."""
        level = said.filter.get("level")
        for loop in self.directory._by_name["duel"].values():
            room = loop.room
            if (
                not loop.is_ending
                and not room.locked
                and not room.private
                and loop.seats_taken < 2
                and room.password == said.password
                and (level is None or room.metadata.level == level)
            ):
                return room.id
        return None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "make", "create", "free", "lock", "private", "password", "level", "wait", "discard"]),
        st.integers(0, 11),
        st.sampled_from(["", "", "", "tulip"]),
        st.sampled_from([None, None, 1, 2]),
    ),
    max_size=60,
)


@given(STEPS)
@examples(150)
def test_a_joiner_finds_what_a_search_of_all_rooms_finds(steps: list[tuple[str, int, str, int | None]]) -> None:
    rooms = Rooms()
    for what, which, password, level in steps:
        loops = rooms.directory.loops
        loop = loops[which % len(loops)] if loops else None
        said: dict[str, Any] = {"password": password, "filter": {} if level is None else {"level": level}}
        if what in ("join", "make"):
            expected = rooms.naive(Hello(**said))
            if what == "join" and expected is None:
                assert rooms.refused(method="join", **said) == CloseCode.UNKNOWN_ROOM
            else:
                found = rooms.take(method="join" if what == "join" else "join_or_create", **said)
                assert found == (expected or str(rooms.directory._made))
        elif what == "create":
            assert rooms.take(method="create", **said) == str(rooms.directory._made)
        elif what == "wait":
            rooms.now += 30.0 * which
            for each in loops:  # as their loops do
                each.seating._lapse()
        elif loop is not None:
            _change(rooms, loop, what, password, level)
    for loop in rooms.directory.loops:
        assert loop.seats_taken <= 2


def _change(rooms: Rooms, loop: RoomLoop, what: str, password: str, level: int | None) -> None:
    match what:
        case "free":
            rooms.free(loop)
        case "lock":
            loop.room.locked = not loop.room.locked
        case "private":
            loop.room.private = not loop.room.private
        case "password":
            loop.room.password = password
        case "level":
            loop.room.metadata.level = level or 3
        case "discard":
            rooms.directory.discard(loop)


def test_a_room_that_the_server_makes_alone() -> None:
    rooms = Rooms()
    assert rooms.refused("hall") == CloseCode.UNKNOWN_ROOM
    assert rooms.refused("hall", method="create") == CloseCode.BAD_JOIN
    made = rooms.directory.make("hall")
    assert [rooms.take("hall") for _ in range(3)] == [made.room.id] * 3
    assert rooms.refused("hall") == CloseCode.UNKNOWN_ROOM
    assert rooms.directory.find("hall").room.id == "2"  # the server itself has another one made


def test_there_are_no_more_rooms_than_may_be() -> None:
    rooms = Rooms(most_rooms=2)
    for _ in range(4):
        rooms.take()
    assert rooms.refused() == rooms.refused(method="create") == CloseCode.TRY_LATER
    rooms.directory.discard(rooms.directory.loops[0])
    assert rooms.take() == "3"  # ids are never used again


def test_rooms_that_crash_one_after_the_other_are_made_more_slowly() -> None:
    rooms = Rooms()

    def crash(count: int) -> None:
        for _ in range(count):
            rooms.directory.failed(rooms.directory.make("duel"))

    with pytest.raises(ProtocolError, match="reconnect") as caught:
        crash(10)
    assert caught.value.code == CloseCode.TRY_LATER
    assert rooms.directory.make("hall")  # those of another type are
    rooms.now += 3600.0
    assert rooms.directory.make("duel")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"spectate": True}, CloseCode.BAD_JOIN),
        ({"invite": "NOTHING1"}, CloseCode.UNKNOWN_ROOM),
        ({"method": "join_by_id", "room_id": "1", "invite": "NOTHING1"}, CloseCode.UNKNOWN_ROOM),
        ({"method": "join_by_id", "room_id": " 1"}, CloseCode.UNKNOWN_ROOM),
        ({"filter": {"levle": 1}}, CloseCode.BAD_JOIN),
        ({"method": "create", "filter": {"level": "high"}}, CloseCode.BAD_JOIN),
    ],
)
def test_refusals_take_no_seat(said: dict[str, Any], code: CloseCode) -> None:
    rooms = Rooms()
    rooms.take()
    assert rooms.refused(**said) == code
    assert [loop.seats_taken for loop in rooms.directory.loops] == [1]
    assert len(rooms.directory.tokens) == 1


def test_an_invitation_names_one_room_whatever_else_is_said() -> None:
    rooms = Rooms()
    for _ in range(3):
        rooms.take(method="create")
    loop = rooms.directory.loops[1]
    code = loop.room.invite_code
    assert code == loop.room.invite_code
    loop.room.private = True
    assert rooms.take(invite=code, method="create") == "2"
    assert rooms.refused(invite=code) == CloseCode.ROOM_FULL
    assert rooms.refused(invite=code, method="join_by_id", room_id="1") == CloseCode.UNKNOWN_ROOM
    assert rooms.refused("hall", invite=code) == CloseCode.UNKNOWN_ROOM
    rooms.directory.discard(loop)
    assert rooms.refused(invite=code) == CloseCode.UNKNOWN_ROOM
    assert rooms.directory._invites == {}


def test_the_version_rises_with_whatever_a_listing_shows() -> None:
    rooms = Rooms()
    house = rooms.directory.house
    seen = []

    def changed() -> bool:
        seen.append(house.version)
        return len(seen) < 2 or seen[-1] > seen[-2]

    changed()
    loop = rooms.directory.make("duel")
    assert changed()
    for name, value in (("locked", True), ("private", True), ("private", False), ("password", "x")):
        setattr(loop.room, name, value)
        assert changed(), name
    loop.room.locked = False
    assert changed()
    rooms.take(password="x")
    assert changed()
    rooms.free(loop)
    assert changed()
    rooms.directory.discard(loop)
    assert changed()


@pytest.mark.parametrize("name", ["duel", "a-b.c_d~e", "0"])
def test_names_that_may_stand_in_a_url(name: str) -> None:
    check_room_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "\u00e4", "a?b", "a%20b"])
def test_names_that_may_not(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        check_room_name(name)


def test_thousands_of_open_rooms_are_looked_at_once_a_join() -> None:
    """Who looks for what nobody offers asks each open room once, and no room twice."""
    rooms = Rooms(most_rooms=10_000)
    made = [rooms.directory.make("duel") for _ in range(2000)]
    dice = random.Random(1)
    for loop in made:
        loop.room.locked = dice.random() < 0.9
    rooms.take(filter={"level": 7})
    assert len(rooms.directory._open["duel"]) == sum(not loop.room.locked for loop in made) + 1
