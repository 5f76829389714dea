"""Who watches: sees what players see, as late as the room says, holds no seat and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gameprotocol import CloseCode, Frame, Hello, Replica, Schema, encode_input
from gameserver import Entity, Input, Limits, Nearby, Player, Room, Server, State, handles, owner, text, uint
from gameserver.rooms.delay import LATE_TICKS, DelayedFrames
from tests.support.fake_links import FakeLink, HandTickedRoom
from tests.support.visitors import Visitor, enter, outcome, served

PATIENT = Limits(dead_seconds=1e6)


class Card(Entity):
    x = uint(10)
    face = uint(6, to=owner)


class Score(State):
    tick = uint(32)
    banner = text(max_bytes=24)


class Move(Input):
    dx: int = 0


class Cards(Room):
    """Everything moves in each tick, and each tenth tick is told in a message."""

    tick_rate = 20
    entities = (Card,)
    state = Score
    input = Move
    max_players = 2
    max_spectators = 3
    close_when_empty = 30.0

    def on_create(self) -> None:
        self.log: list[tuple[Any, ...]] = []

    def on_join(self, player: Player) -> None:
        player.data = self.world.spawn(Card, owner=player, x=100 * player.number, face=7)
        self.log.append(("join", player.name))

    def on_leave(self, player: Player, reason: str) -> None:
        self.world.despawn(player.data)
        self.log.append(("leave", player.name))

    def on_spectator_join(self, player: Player) -> None:
        self.log.append(("watches", player.name))
        player.send("hello", player.number)

    def on_spectator_leave(self, player: Player, reason: str) -> None:
        self.log.append(("watches no more", player.name, reason))

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.log.append((kind, player.name))

    @handles("deal")
    def deal(self, player: Player) -> str:
        self.log.append(("deal", player.name))
        return "dealt"

    def step(self, dt: float) -> None:
        self.state.tick = self.tick
        for player, move in self.inputs:
            self.log.append(("input", player.name))
            player.data.x += move.dx
        if self.tick % 10 == 0:
            self.broadcast("tenth", self.tick)


class Late(Cards):
    """The same; spectators see it two seconds later."""

    spectator_delay = 2.0


class Board(Cards):
    """The same without a tick rate."""

    tick_rate = None


class Hidden(Cards):
    """Nobody may watch."""

    max_spectators = 0


class Anybody(Cards):
    """Any number may."""

    max_spectators = None


BOTH = pytest.mark.parametrize("room_class", [Cards, Board])


async def watcher(server: Server, room: str = "cards", **hello: Any) -> Visitor:
    return await enter(server, room, spectate=True, **hello)


def room_of(server: Server) -> Any:
    return server.rooms[0]


# ---- no seat


@BOTH
async def test_spectators_hold_no_seat(autojump_clock: MockClock, room_class: type[Room]) -> None:
    async with served({"cards": room_class}) as server:
        assert (await outcome(server, "cards", spectate=True))[0] == CloseCode.UNKNOWN_ROOM
        assert server.rooms == []  # nobody has a room made to watch it
        await enter(server, "cards", name="Ada")
        for number in range(3):
            watching = await watcher(server, name=f"W{number}")
            assert watching.welcome["spectator"]
            assert watching.welcome["seat"] is None
        assert await outcome(server, "cards", spectate=True, method="join_by_id", room_id="1") == (
            CloseCode.ROOM_FULL,
            "no more may watch",
        )
        assert (await outcome(server, "cards", spectate=True))[0] == CloseCode.UNKNOWN_ROOM
        assert await outcome(server, "cards", name="Bo") == (0, "1")  # a seat was free all the time
        assert room_of(server).player_count == 2
        assert [spectator.name for spectator in room_of(server).spectators] == ["W0", "W1", "W2"]
        (listing,) = server.house.listings()
        assert (listing.players, listing.spectators) == (2, 3)
        # A full room may still be watched when one of the three has left.
        await watching.hang_up()
        await trio.sleep(1)
        assert await outcome(server, "cards", spectate=True) == (0, "1")


async def test_where_nobody_may_watch(autojump_clock: MockClock) -> None:
    async with served({"hidden": Hidden}) as server:
        await enter(server, "hidden")
        for hello in ({}, {"method": "join"}, {"method": "join_by_id", "room_id": "1"}):
            assert (await outcome(server, "hidden", spectate=True, **hello))[0] == CloseCode.BAD_JOIN
        assert (await outcome(server, "hidden", spectate=True, method="create"))[0] == CloseCode.BAD_JOIN


async def test_where_any_number_may_watch(autojump_clock: MockClock) -> None:
    async with served({"any": Anybody}) as server:
        await enter(server, "any")
        for _ in range(50):
            await watcher(server, "any")
        assert len(list(room_of(server).spectators)) == 50


async def test_locked_and_full_rooms_may_be_watched_and_passwords_count(autojump_clock: MockClock) -> None:
    async with served({"cards": Cards}) as server:
        await enter(server, "cards", method="create", password="sesame")
        room_of(server).locked = True
        by_id: dict[str, Any] = {"method": "join_by_id", "room_id": "1", "spectate": True}
        assert (await outcome(server, "cards", **by_id))[0] == CloseCode.WRONG_PASSWORD
        assert await outcome(server, "cards", **by_id, password="sesame") == (0, "1")
        room_of(server).private = True
        assert (await outcome(server, "cards", **by_id, password="sesame"))[0] == CloseCode.UNKNOWN_ROOM
        invite = room_of(server).invite_code
        assert await outcome(server, "cards", spectate=True, invite=invite, password="sesame") == (0, "1")


@BOTH
async def test_a_room_with_nobody_but_spectators_goes_on_until_they_leave(
    autojump_clock: MockClock, room_class: type[Room]
) -> None:
    async with served({"cards": room_class}) as server:
        ada = await enter(server, "cards", name="Ada")
        watching = await watcher(server, name="Will")
        await ada.hang_up()
        await trio.sleep(120)
        assert [room.id for room in server.rooms] == ["1"]
        log = room_of(server).log
        await watching.hang_up()
        await trio.sleep(40)
        assert server.rooms == []
        assert [entry[:2] for entry in log if entry[0] != "input"] == [
            ("join", "Ada"),
            ("watches", "Will"),
            ("leave", "Ada"),
            ("watches no more", "Will"),
        ]


# ---- read-only


@BOTH
async def test_what_a_spectator_sends_does_nothing(autojump_clock: MockClock, room_class: type[Room]) -> None:
    async with served({"cards": room_class}) as server:
        await enter(server, "cards", name="Ada")
        will = await watcher(server, name="Will")
        await will.frames(1)
        before = [card.x for card in room_of(server).world[Card]]
        await will.send(encode_input(1, 0, 0, 0, [5]), [5, "shout", "hey", 1], [8, 2, "deal", None], [5, "mute", None])
        spectator = "spectators only watch"
        assert await will.reply(1) == ("spectator", spectator)
        assert await will.reply(2) == ("spectator", spectator)
        assert await will.reply(0) == ("spectator", spectator)
        await trio.sleep(1)
        assert [card.x for card in room_of(server).world[Card]] == before
        assert not [entry for entry in room_of(server).log if entry[0] in ("deal", "shout", "mute")]
        assert ("input", "Will") not in room_of(server).log


async def test_a_spectator_who_breaks_the_protocol_is_closed_alone(autojump_clock: MockClock) -> None:
    async with served({"cards": Cards}) as server:
        ada = await enter(server, "cards", name="Ada")
        will = await watcher(server)
        await will.frames(1)
        await will.send(b"\xc1")
        assert (await will.closed())[0] == CloseCode.UNDECODABLE
        await ada.frames(5)
        assert room_of(server).player_count == 1


# ---- what they see


@BOTH
async def test_spectators_see_what_everyone_sees_and_nothing_that_is_an_owners(
    autojump_clock: MockClock, room_class: type[Room]
) -> None:
    async with served({"cards": room_class}) as server:
        ada = await enter(server, "cards", name="Ada")
        will = await watcher(server, name="Will")
        await ada.frames(1)
        await will.frames(1)
        assert ada.replica is not None
        assert will.replica is not None
        assert [row.x for row in will.replica[Card]] == [100]
        assert [table.ids.tolist() for table in ada.replica.tables] == [[1], [1], [1]]
        own = [table for table in will.replica.tables if table.schema.name == "Card@owner"]
        assert [table.ids.tolist() for table in own] == [[]]
        assert await will.message("tenth") if room_class is Cards else True


async def test_a_spectator_sees_through_what_the_room_says(autojump_clock: MockClock) -> None:
    class Ship(Entity):
        x = uint(12)
        y = uint(12)

    class Space(Room):
        entities = (Ship,)
        view = Nearby(100)
        max_spectators = 1

        def on_create(self) -> None:
            for x in (0, 1000, 2000):
                self.world.spawn(Ship, x=x)

        def on_spectator_join(self, player: Player) -> None:
            player.watch((1010.0, 0.0))

    async with served({"space": Space}) as server:
        await enter(server, "space")
        will = await enter(server, "space", spectate=True)
        await will.frames(3)
        assert will.replica is not None
        assert [row.x for row in will.replica[Ship]] == [1000]


# ---- delay


async def test_a_delayed_spectator_sees_and_hears_what_was_two_seconds_ago(autojump_clock: MockClock) -> None:
    async with served({"late": Late}) as server:
        ada = await enter(server, "late", name="Ada")
        await trio.sleep(3)
        joined_at = trio.current_time()
        will = await watcher(server, "late", name="Will")
        assert will.welcome["delay_seconds"] == 2.0
        await will.frames(1)  # its replica checks each hash
        assert trio.current_time() - joined_at == pytest.approx(2.0, abs=0.1)
        assert will.replica is not None
        for _ in range(60):
            await will.frames(1)
            seen = will.replica.tick
            assert [row.tick for row in will.replica[Score]] == [seen]
            assert room_of(server).tick - seen in (40, 41)
        tenths = [message[2] for message in will.heard if message[0] == 5 and message[1] == "tenth"]
        assert len(tenths) >= 6
        for at, message in enumerate(will.heard):
            if message[0] == 5 and message[1] == "tenth":  # it came with the frame of its tick, before it
                following = next(other for other in will.heard[at:] if other[0] == 3)
                assert following[1][0] == message[2]
        await ada.send([5, "hey", None])  # players are not delayed
        await trio.sleep(0.2)
        assert ("hey", "Ada") in room_of(server).log


async def test_a_delayed_spectator_sees_an_early_end_before_it_is_closed(autojump_clock: MockClock) -> None:
    async with served({"late": Late}) as server:
        await enter(server, "late", name="Ada")
        will = await watcher(server, "late")
        await will.frames(1)
        ended_at = room_of(server).tick
        room_of(server).close("it is over")
        assert await will.closed() == (CloseCode.NORMAL, "it is over")
        assert will.replica is not None
        with pytest.raises(AssertionError):  # what came before the Close
            await will.frames(100)
        assert will.replica.tick >= ended_at


async def test_a_slow_delayed_spectator_is_closed_and_nobody_else_suffers(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Loud(Late):
        spectator_delay = 1.0

        def step(self, dt: float) -> None:
            super().step(dt)
            for player in self.players:
                player.data.x = self.tick % 1000
            self.state.banner = f"{self.random.getrandbits(80):x}"
            self.broadcast("noise", self.random.randbytes(4000))

    async with served({"late": Loud}, limits=PATIENT) as server:
        ada = await enter(server, "late", name="Ada")
        slow = await watcher(server, "late", name="Slow")  # it never reads
        quick = await watcher(server, "late", name="Quick")

        async def follow(visitor: Visitor) -> None:
            while True:
                await visitor.frames(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow, ada)
            nursery.start_soon(follow, quick)
            await trio.sleep(30)
            nursery.cancel_scope.cancel()
        room = room_of(server)
        assert [entry for entry in room.log if entry[0] == "watches no more"] == [
            ("watches no more", "Slow", "the connection is too slow to watch")
        ]
        assert "code=4008 reason='the connection is too slow to watch'" in caplog.text
        await slow.raw.until_eof()  # its Close found no room in two seconds
        assert ada.replica is not None
        assert quick.replica is not None
        assert room.tick - ada.replica.tick <= 2
        assert room.tick - quick.replica.tick <= 23
        assert room.stats.dropped_ticks == 0


def test_what_a_delayed_spectator_holds_does_not_depend_on_what_its_link_took() -> None:
    """Frames of the past are made one behind the other, whatever the link takes: each fits to the one before."""
    with HandTickedRoom(Late()) as late:
        late.join("Ada")
        late.ticks(3)
        link = _watches(late)
        late.ticks(41)
        for tick in range(300):
            link.full = tick % 7 in (2, 3, 4, 5)
            late.tick()
        link.full = False
        late.ticks(2)
        replica = Replica(Schema.from_wire(link.sent[0][1]["schema"]), link.sent[0][1]["player"])
        ticks = []
        for message in link.sent:
            if message[0] == 3:
                frame = Frame.from_items(message)
                replica.apply(frame)
                assert replica.check(frame)
                ticks.append(replica.tick)
        assert ticks == list(range(ticks[0], late.room.tick - 39))


def _watches(late: HandTickedRoom) -> Any:
    link = FakeLink()
    late._links.append(link)
    late.loop.admit(link, Hello(name="Will", spectate=True))  # type: ignore[arg-type]
    return link


def test_late_is_late_at_the_tick_and_not_before() -> None:
    frames = DelayedFrames(delay_ticks=40)
    frames.push(100, b"a", b"b")
    frames.push(101, b"c")
    assert frames.due(139) == b""
    assert frames.due(140) == b"ab"
    assert frames.due(141) == b"abc"
    frames.sent(140)
    assert frames.due(141) == b"c"
    assert not frames.is_late(140 + LATE_TICKS)
    assert frames.is_late(141 + LATE_TICKS)
    assert frames.all() == b"c"
    assert not frames.is_late(10_000)
