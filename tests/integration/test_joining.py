"""Finding a room over real sockets: every method and every refusal, races for the last seat, many rooms, their end."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gameprotocol import CloseCode
from gameserver import Entity, Limits, Metadata, Player, Room, handles, uint
from gameserver.rooms.loop import RoomLoop
from tests.support.visitors import RefusedError, Visitor, enter, outcome, outcomes, served

SOME_SECONDS = 1.0


class Piece(Entity):
    x = uint(8)


class DuelInfo(Metadata):
    mode: str = "classic"
    level: int = 1


class Duel(Room):
    """Two seats; what the tests want of a room is done by message."""

    tick_rate = 20
    entities = (Piece,)
    metadata = DuelInfo
    max_players = 2
    close_when_empty = 30.0

    def on_create(self) -> None:
        self.world.spawn(Piece)
        if "private" in self.options:
            self.private = bool(self.options["private"])

    def on_join(self, player: Player) -> None:
        player.send("about", [self.options, self.metadata.mode, self.metadata.level, self.invite_code])

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        if kind == "set":
            for name, value in payload.items():
                setattr(self.metadata if name in ("mode", "level") else self, name, value)
            player.send("done")
        elif kind == "end":
            self.close()
        elif kind == "crash":
            raise RuntimeError("as asked")


class Club(Duel):
    """A room that only the server makes."""

    players_may_create = False


class Calm(Duel):
    """The same without a tick rate."""

    tick_rate = None


async def about(visitor: Visitor) -> tuple[Any, ...]:
    """Options, mode, level and invite code of the room that somebody is in."""
    return tuple(await visitor.message("about"))


async def told(visitor: Visitor, **values: Any) -> None:
    """Have the room set what it is."""
    await visitor.send([5, "set", values])
    await visitor.message("done")


# ---- methods


@pytest.mark.parametrize("room_class", [Duel, Calm])
async def test_join_or_create_fills_the_oldest_room_with_a_free_seat(
    autojump_clock: MockClock, room_class: type[Room]
) -> None:
    async with served({"duel": room_class}) as server:
        ids = [(await enter(server, "duel")).room_id for _ in range(5)]
        assert ids == ["1", "1", "2", "2", "3"]


async def test_a_seat_that_is_free_again_in_an_old_room_is_found_before_younger_rooms(
    autojump_clock: MockClock,
) -> None:
    async with served({"duel": Duel}) as server:
        players = [await enter(server, "duel") for _ in range(6)]
        for number in (4, 3, 0):
            await players[number].hang_up()
        await trio.sleep(SOME_SECONDS)
        assert [(await enter(server, "duel")).room_id for _ in range(4)] == ["1", "2", "3", "4"]


async def test_create_makes_a_room_with_the_options_and_the_metadata_that_were_asked_for(
    autojump_clock: MockClock,
) -> None:
    async with served({"duel": Duel}) as server:
        await enter(server, "duel")
        made = await enter(
            server, "duel", method="create", options={"map": "isle"}, filter={"mode": "duel", "level": {"ge": 3}}
        )
        options, mode, level, _ = await about(made)
        assert (made.room_id, options, mode, level) == ("2", {"map": "isle"}, "duel", 1)


async def test_join_takes_what_fits_and_makes_nothing(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        assert (await outcome(server, "duel", method="join"))[0] == CloseCode.UNKNOWN_ROOM
        assert server.rooms == []
        await enter(server, "duel", method="create")
        assert await outcome(server, "duel", method="join") == (0, "1")
        assert (await outcome(server, "duel", method="join"))[0] == CloseCode.UNKNOWN_ROOM
        assert len(server.rooms) == 1


async def test_join_by_id_takes_that_room_or_says_what_is_wrong_with_it(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel, "calm": Calm}) as server:
        await enter(server, "duel")
        await enter(server, "duel", method="create")
        by_id: dict[str, Any] = {"method": "join_by_id"}
        assert await outcome(server, "duel", **by_id, room_id="2") == (0, "2")
        assert await outcome(server, "duel", **by_id, room_id="2") == (CloseCode.ROOM_FULL, "this room is full")
        for wrong in ({"room_id": "77"}, {"room_id": ""}, {"room_id": "../1"}, {}):
            assert (await outcome(server, "duel", **by_id, **wrong))[0] == CloseCode.UNKNOWN_ROOM
        # A room of another type is no room here, although the id is that of one.
        assert (await outcome(server, "calm", **by_id, room_id="1"))[0] == CloseCode.UNKNOWN_ROOM


@pytest.mark.parametrize("method", ["nonsense", "", "Create", 7, None])
async def test_a_method_that_there_is_not_is_a_malformed_hello(autojump_clock: MockClock, method: Any) -> None:
    async with served({"duel": Duel}) as server:
        assert (await outcome(server, "duel", method=method))[0] == CloseCode.UNDECODABLE
        assert server.rooms == []


# ---- filters


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"mode": "duel"}, "2"),
        ({"mode": {"ne": "classic"}}, "2"),
        ({"mode": {"in": ["ranked", "duel"]}}, "2"),
        ({"level": {"ge": 3, "le": 7}}, "3"),
        ({"level": {"gt": 1}, "mode": "classic"}, "3"),
        ({"level": 5}, "3"),
        ({}, "1"),
    ],
)
async def test_a_filter_finds_the_oldest_room_that_fits(
    autojump_clock: MockClock, asked: dict[str, Any], found: str
) -> None:
    async with served({"duel": Duel}) as server:
        for filter_ in ({}, {"mode": "duel"}, {"level": 5}):
            await enter(server, "duel", method="create", filter=filter_)
        assert await outcome(server, "duel", method="join", filter=asked) == (0, found)


async def test_what_a_room_writes_into_its_metadata_counts_from_then_on(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        ada = await enter(server, "duel", method="create")
        assert (await outcome(server, "duel", method="join", filter={"level": 9}))[0] == CloseCode.UNKNOWN_ROOM
        await told(ada, level=9)
        assert await outcome(server, "duel", method="join", filter={"level": 9}) == (0, "1")


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"levle": 3}, "level"),
        ({"level": "three"}, "level"),
        ({"level": {"about": 3}}, "level"),
        ({"mode": {"ge": "a"}}, "mode"),
        ({"level": {"in": list(range(17))}}, "level"),
        ({"level": True}, "level"),
    ],
)
@pytest.mark.parametrize("method", ["join_or_create", "create", "join"])
async def test_a_filter_that_cannot_be_is_told_and_makes_no_room(
    autojump_clock: MockClock, method: str, asked: dict[str, Any], named: str
) -> None:
    async with served({"duel": Duel}) as server:
        code, reason = await outcome(server, "duel", method=method, filter=asked)
        assert code == CloseCode.BAD_JOIN
        assert named in reason
        assert server.rooms == []


# ---- private rooms, invitations, passwords, locks


async def test_a_private_room_is_found_by_its_invitation_alone(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel, "calm": Calm}) as server:
        ada = await enter(server, "duel", method="create", options={"private": True})
        *_, code = await about(ada)
        assert (await outcome(server, "duel", method="join"))[0] == CloseCode.UNKNOWN_ROOM
        by_id: dict[str, Any] = {"method": "join_by_id", "room_id": ada.room_id}
        private, missing = (
            await outcome(server, "duel", **by_id),
            await outcome(server, "duel", method="join_by_id", room_id="9"),
        )
        assert private == missing  # it is not told that there is one
        assert (await outcome(server, "duel", invite="AAAAAAAA"))[0] == CloseCode.UNKNOWN_ROOM
        assert (await outcome(server, "calm", invite=code))[0] == CloseCode.UNKNOWN_ROOM
        assert server.house.listings() == []
        assert await outcome(server, "duel", invite=f" {code.lower()} ") == (0, ada.room_id)
        assert await outcome(server, "duel", invite=code) == (CloseCode.ROOM_FULL, "this room is full")
        assert len(server.rooms) == 1


async def test_an_invitation_ends_with_its_room(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        ada = await enter(server, "duel", method="create")
        *_, code = await about(ada)
        await ada.send([5, "end", None])
        assert (await ada.closed())[0] == CloseCode.NORMAL
        await trio.sleep(SOME_SECONDS)
        assert (await outcome(server, "duel", invite=code))[0] == CloseCode.UNKNOWN_ROOM


async def test_passwords(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        made = await enter(server, "duel", method="create", password="sesame")
        by_id: dict[str, Any] = {"method": "join_by_id", "room_id": made.room_id}
        assert await outcome(server, "duel", **by_id) == (CloseCode.WRONG_PASSWORD, "give the password")
        assert await outcome(server, "duel", **by_id, password="Sesame") == (
            CloseCode.WRONG_PASSWORD,
            "wrong password",
        )
        # Who gives none is never brought into a room with one, and who gives one never into a room without it.
        assert await outcome(server, "duel") == (0, "2")
        assert (await outcome(server, "duel", method="join", password="tulip"))[0] == CloseCode.UNKNOWN_ROOM
        assert await outcome(server, "duel", password="tulip") == (0, "3")
        assert await outcome(server, "duel", password="tulip") == (0, "3")
        assert await outcome(server, "duel", password="sesame") == (0, made.room_id)
        assert [listing.has_password for listing in server.house.listings()] == [True, False, True]


async def test_a_password_of_any_text_is_compared_as_it_is(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        for at, password in enumerate(("p\u00e4ss", "pass ", "\U0001f511"), start=1):
            await enter(server, "duel", method="create", password=password)
            by_id: dict[str, Any] = {"method": "join_by_id", "room_id": str(at)}
            assert (await outcome(server, "duel", **by_id, password="pass"))[0] == CloseCode.WRONG_PASSWORD
            assert await outcome(server, "duel", **by_id, password=password) == (0, str(at))


async def test_a_locked_room_takes_nobody_until_it_is_open_again(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        ada = await enter(server, "duel")
        await told(ada, locked=True)
        by_id: dict[str, Any] = {"method": "join_by_id", "room_id": "1"}
        assert await outcome(server, "duel", **by_id) == (CloseCode.ROOM_LOCKED, "this room is locked")
        assert await outcome(server, "duel") == (0, "2")
        await told(ada, locked=False)
        assert await outcome(server, "duel", method="join") == (0, "1")


# ---- races


@pytest.mark.parametrize("room_class", [Duel, Calm])
@pytest.mark.parametrize("racers", [2, 50])
async def test_one_of_many_gets_the_last_seat_and_each_gets_an_answer(
    autojump_clock: MockClock, room_class: type[Room], racers: int
) -> None:
    async with served({"duel": room_class}) as server:
        await enter(server, "duel")
        by_id = {"method": "join_by_id", "room_id": "1"}
        found = Counter(await outcomes(server, "duel", [by_id] * racers))
        assert found == {(0, "1"): 1, (CloseCode.ROOM_FULL, "this room is full"): racers - 1}
        assert server.rooms[0].player_count == 2


async def test_fifty_who_take_what_there_is_share_rooms_without_a_seat_too_many(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        await enter(server, "duel")
        found = Counter(await outcomes(server, "duel", [{}] * 51))
        assert found == {(0, "1"): 1} | {(0, str(number)): 2 for number in range(2, 27)}
        assert all(room.player_count == 2 for room in server.rooms)


async def test_fifty_with_one_password_share_rooms_too(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        found = Counter(await outcomes(server, "duel", [{"password": "tulip"}] * 20))
        assert sorted(found.values()) == [2] * 10


async def test_a_seat_whose_player_gave_up_on_the_way_is_free_again(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        await enter(server, "duel")
        hasty = Visitor(server.open_socket())
        await hasty.upgrade("/duel")
        await hasty.send([1, {}])
        hasty.leave()
        await trio.sleep(SOME_SECONDS)
        assert server.rooms[0].player_count == 1
        assert await outcome(server, "duel") == (0, "1")


# ---- several types, many rooms


async def test_types_have_rooms_of_their_own_and_ids_of_one_server(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel, "calm": Calm}) as server:
        rooms = [(await enter(server, name)).room_id for name in ("duel", "calm", "calm", "duel", "calm")]
        assert rooms == ["1", "2", "2", "1", "3"]
        assert {room.id: room.name for room in server.rooms} == {"1": "duel", "2": "calm", "3": "calm"}


@pytest.mark.slow
async def test_three_hundred_rooms_at_once(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel, "calm": Calm}) as server:
        for name in ("duel", "calm"):
            found = Counter(await outcomes(server, name, [{"method": "create"}] * 150))
            assert len(found) == 150
            again = Counter(await outcomes(server, name, [{"method": "join"}] * 150))
            assert again == found
        assert len(server.rooms) == 300
        assert [room.player_count for room in server.rooms] == [2] * 300
        ids = {listing.room_id for listing in server.house.listings()}
        assert ids == {str(number) for number in range(1, 301)}


async def test_rooms_that_only_the_server_makes(autojump_clock: MockClock) -> None:
    async with served({"club": Club}) as server:
        code, reason = await outcome(server, "club", method="create")
        assert (code, reason) == (CloseCode.BAD_JOIN, "players make no rooms of this type: join one")
        assert (await outcome(server, "club"))[0] == CloseCode.UNKNOWN_ROOM
        assert server.rooms == []
        made = server.house.create("club", {"map": "isle"}, metadata={"level": 4})
        assert await outcome(server, "club") == (0, made.id)
        assert await outcome(server, "club") == (0, made.id)
        assert (await outcome(server, "club"))[0] == CloseCode.UNKNOWN_ROOM  # full


async def test_there_are_no_more_rooms_than_the_server_takes(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}, limits=Limits(rooms=3, dead_seconds=1e6)) as server:
        players = [await enter(server, "duel", method="create") for _ in range(3)]
        code, reason = await outcome(server, "duel", method="create")
        assert code == CloseCode.TRY_LATER
        assert "too many rooms" in reason
        assert "reconnect" in reason
        assert await outcome(server, "duel") == (0, "1")  # those that there are take players
        await players[2].send([5, "end", None])
        await players[2].closed()
        await trio.sleep(SOME_SECONDS)
        assert await outcome(server, "duel", method="create") == (0, "4")


# ---- the end of a room


@pytest.mark.parametrize("room_class", [Duel, Calm])
async def test_rooms_made_because_others_were_full_end_when_they_are_empty(
    autojump_clock: MockClock, room_class: type[Room]
) -> None:
    async with served({"duel": room_class}) as server:
        players = [await enter(server, "duel") for _ in range(6)]
        for player in players[2:]:
            await player.hang_up()
        await trio.sleep(29)
        assert len(server.rooms) == 3
        late = await enter(server, "duel")  # in time: the room goes on
        assert late.room_id == "2"
        await trio.sleep(60)
        assert [room.id for room in server.rooms] == ["1", "2"]
        await late.hang_up()
        await trio.sleep(29)
        assert len(server.rooms) == 2
        await trio.sleep(3)
        assert [room.id for room in server.rooms] == ["1"]
        assert await outcome(server, "duel", method="join_by_id", room_id="2") == (
            CloseCode.UNKNOWN_ROOM,
            "there is no such room",
        )


async def test_a_room_that_waits_for_ever_and_one_that_ends_at_once(autojump_clock: MockClock) -> None:
    class Eternal(Duel):
        close_when_empty = None

    class Brief(Duel):
        close_when_empty = 0

    async with served({"eternal": Eternal, "brief": Brief}) as server:
        for name in ("eternal", "brief"):
            player = await enter(server, name)
            await player.hang_up()
        await trio.sleep(3600)
        assert [room.name for room in server.rooms] == ["eternal"]
        assert await outcome(server, "brief") == (0, "3")


async def test_a_room_that_nobody_was_ever_in_waits(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        made = server.house.create("duel")
        await trio.sleep(3600)
        assert await outcome(server, "duel") == (0, made.id)


@pytest.mark.parametrize("how", ["end", "crash"])
async def test_a_room_that_has_ended_is_in_no_index(autojump_clock: MockClock, how: str) -> None:
    async with served({"duel": Duel}) as server:
        ada = await enter(server, "duel", method="create", password="sesame")
        *_, invite = await about(ada)
        directory, loop = server.directory, server.directory.loops[0]
        token = server.house.reserve(loop.room)
        await ada.send([5, how, None])
        assert (await ada.closed())[0] == (CloseCode.NORMAL if how == "end" else CloseCode.ROOM_FAILED)
        await trio.sleep(SOME_SECONDS)
        for hello, code in (
            ({"method": "join_by_id", "room_id": "1", "password": "sesame"}, CloseCode.UNKNOWN_ROOM),
            ({"invite": invite}, CloseCode.UNKNOWN_ROOM),
            ({"method": "join", "password": "sesame"}, CloseCode.UNKNOWN_ROOM),
            ({"seat": token}, CloseCode.SEAT_GONE),
        ):
            assert (await outcome(server, "duel", **hello))[0] == code, hello
        assert server.rooms == []
        assert server.house.listings() == []
        assert len(directory.tokens) == 0
        # Whatever index there is: the room is in none of them.
        for name, index in vars(directory).items():
            assert loop not in _within(index), name


def _within(index: Any) -> list[Any]:
    """Everything in nested dicts, keys and values."""
    if not isinstance(index, dict):
        return []
    return [*index, *index.values()] + [each for value in index.values() for each in _within(value)]


async def test_nobody_is_let_into_a_room_that_is_ending(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        await enter(server, "duel")
        server.rooms[0].close()  # it ends after its next tick
        assert server.directory.find("duel").room.id == "2"


async def test_who_may_not_come_in_has_made_no_room_and_taken_no_seat(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel}) as server:
        for hello in ({"method": "join_by_id", "room_id": "1"}, {"invite": "NONE"}, {"spectate": True}):
            with pytest.raises(RefusedError):
                await enter(server, "duel", **hello)
        assert server.rooms == []


# ---- what joining costs


class Counted(Duel):
    """Knows how often the server has asked how many seats of its rooms are taken."""

    close_when_empty = None


@pytest.mark.slow
async def test_five_thousand_full_rooms_are_not_asked_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    was = RoomLoop.is_full.fget  # type: ignore[attr-defined]

    def is_full(loop: RoomLoop) -> bool:
        nonlocal asked
        asked += 1
        return bool(was(loop))

    monkeypatch.setattr(RoomLoop, "is_full", property(is_full))
    async with served({"duel": Counted}) as server:
        for _ in range(5000):
            room = server.house.create("duel")
            for _ in range(2):
                server.house.reserve(room, seconds=7200.0)
        await enter(server, "duel")
        asked = 0
        ids = [(await enter(server, "duel")).room_id for _ in range(20)]
        assert ids == ["5001", *(str(5002 + at // 2) for at in range(19))]
        assert asked <= 2 * 20 + 5  # the rooms with a free seat, and those that have just become full


async def test_a_seat_whose_reservation_is_over_is_found_again(autojump_clock: MockClock) -> None:
    async with served({"duel": Duel, "calm": Calm}) as server:
        for name in ("duel", "calm"):
            ada = await enter(server, name)
            server.house.reserve(server.directory.loop_of(_room_of(server, ada)).room, seconds=15.0)  # type: ignore[union-attr]
            bo = await enter(server, name)
            assert bo.room_id != ada.room_id  # the first is full
            await trio.sleep(20)
            assert await outcome(server, name, method="join") == (0, ada.room_id)


def _room_of(server: Any, visitor: Visitor) -> Room:
    return next(room for room in server.rooms if room.id == visitor.room_id)


# ---- handlers keep working while others join


class Shop(Duel):
    @handles("ping")
    def ping(self, player: Player, number: int) -> int:
        return number


async def test_requests_are_answered_while_fifty_others_join(autojump_clock: MockClock) -> None:
    async with served({"shop": Shop}) as server:
        ada = await enter(server, "shop")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outcomes, server, "shop", [{}] * 50)
            for number in range(1, 20):
                await ada.send([8, number, "ping", number])
                assert await ada.reply(number) == (None, number)
