"""The testing kit for authors: time that is told, players that hold what they were sent, seats, requests, failures."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import gameclient
from gameprotocol import CloseCode, Frame, unpack_from_server
from gameserver import (
    DeclarationError,
    Entity,
    Identity,
    Input,
    Message,
    Metadata,
    Nearby,
    Player,
    Reject,
    Room,
    State,
    fixed,
    handles,
    owner,
    serve,
    text,
    uint,
)
from gameserver.testing import ClosedError, DesyncError, RequestError, RoomTester


class Tank(Entity):
    x = fixed(0, 4000, step=1)
    ammo = uint(8, default=40, to=owner)


class Match(State):
    score = uint(16)
    last = text(max_bytes=40)


class Drive(Input):
    go: bool = False
    jump: int = 0


class Info(Metadata):
    players: int = 0
    fast: bool = True


class Buy(Message):
    item: int


class Field(Room):
    """Tanks drive one unit a tick while they are told to."""

    tick_rate = 20
    entities = (Tank,)
    state = Match
    input = Drive
    view = {Tank: Nearby(300, axes=("x",))}
    metadata = Info
    allow_reconnection = 10
    max_players = 3
    max_spectators = 1

    def on_create(self) -> None:
        self.story: list[str] = []
        self.metadata.fast = False
        self.password = self.options.get("password", "")
        self.private = self.options.get("private", False)

    def on_join(self, player: Player) -> None:
        self.story.append(f"join {player.name}")
        self.metadata.players = self.player_count
        player.data = self.world.spawn(Tank, owner=player, x=100 * player.number)

    def on_drop(self, player: Player, reason: str) -> None:
        self.story.append(f"drop {player.name}")

    def on_return(self, player: Player) -> None:
        self.story.append(f"return {player.name}")

    def on_leave(self, player: Player, reason: str) -> None:
        self.story.append(f"leave {player.name}: {reason}")
        self.world.despawn(player.data)

    def on_close(self) -> None:
        self.story.append("close")

    @handles("buy")
    def buy(self, player: Player, buy: Buy) -> Any:
        if buy.item > 3:
            raise RequestError("sold out", "nothing left")
        player.data.ammo += buy.item
        return player.data.ammo

    @handles("save")
    async def save(self, player: Player, seconds: float) -> Any:
        await trio.sleep(seconds)
        return "saved"

    @handles("say")
    def say(self, player: Player, words: str) -> None:
        self.broadcast("said", [player.name, words])

    @handles("crash")
    def crash(self, player: Player) -> None:
        raise ZeroDivisionError("by Ada")

    @handles("end")
    def end(self, player: Player) -> None:
        self.broadcast("over", self.tick)
        self.close("good game")

    def step(self, dt: float) -> None:
        for player, drive in self.inputs:
            player.data.x += drive.go + drive.jump


class Quiz(Field):
    """The same without a tick rate."""

    tick_rate = None

    @handles("later")
    def later(self, player: Player, seconds: float) -> None:
        self.after(seconds, lambda: self.broadcast("now", self.time))


both = pytest.mark.parametrize("room_class", [Field, Quiz])


# -- time


@pytest.mark.parametrize("rate", [1, 7, 20, 60, 144, 240])
def test_ticks_and_seconds_run_as_many_ticks_as_they_say(rate: int) -> None:
    with RoomTester(Field, tick_rate=rate) as tester:
        ada = tester.join("Ada")
        for count in (1, 2, 50):
            before, now = tester.room.tick, tester.now
            tester.ticks(count)
            assert tester.room.tick == before + count
            assert tester.now - now == pytest.approx(count / rate)
            tester.seconds(count / rate)
            assert tester.room.tick == before + 2 * count
            assert ada.tick == tester.room.tick
        tester.seconds(0.4 / rate)
        assert tester.room.tick == before + 2 * count
        with pytest.raises(ValueError, match="does not go back"):
            tester.seconds(-1)


def test_inputs_count_at_the_next_tick_and_go_on() -> None:
    with RoomTester(Field) as tester:
        ada = tester.join("Ada")
        tank = ada.player.data
        ada.input(go=True)
        assert tank.x == 100
        tester.ticks(3)
        assert (tank.x, ada.row(tank).x) == (103, 103)  # type: ignore[union-attr]
        ada.input()
        tester.ticks(3)
        assert tank.x == 103


def test_without_a_tick_rate_it_ticks_when_something_comes() -> None:
    with RoomTester(Quiz) as tester:
        ada = tester.join("Ada")
        tick = tester.room.tick
        tester.seconds(3600)
        assert tester.room.tick == tick
        ada.send("later", 5.0)
        ada.input(jump=2)
        tester.ticks()
        assert tester.room.tick == tick + 1
        assert ada.player.data.x == 102
        said = tester.room.time
        tester.seconds(4.9)
        assert ada.messages == []
        tester.seconds(0.1)
        assert ada.heard("now") == [pytest.approx(said + 5, abs=0.02)]
        with pytest.raises(ValueError, match="takes no number"):
            tester.ticks(3)


@both
def test_nobody_there_and_time_stands_still_until_it_ends(room_class: type[Field]) -> None:
    with RoomTester(room_class) as tester:
        tester.seconds(1000)
        assert (tester.room.time, tester.over) == (0, False)
        ada = tester.join("Ada")
        ada.leave()
        tester.ticks()
        ended = tester.room.time
        tester.seconds(29)
        assert (tester.room.time, tester.over) == (ended, False)
        tester.seconds(2)
        assert tester.over
        assert tester.room.story == ["join Ada", "leave Ada: the player left", "close"]


def test_waiting_for_something() -> None:
    with RoomTester(Field) as tester:
        ada = tester.join("Ada")
        ada.input(go=True)
        tester.until(lambda: ada.player.data.x == 150)
        assert tester.room.tick == 51
        with pytest.raises(TimeoutError):
            tester.until(lambda: False, seconds=2)
        assert tester.room.tick == 91


def test_a_room_that_never_rests_is_named() -> None:
    class Busy(Room):
        tick_rate = None

        def on_join(self, player: Player) -> None:
            self.after(0, self.on_join, player)

    with RoomTester(Busy) as tester, pytest.raises(RuntimeError, match="does not come to rest"):
        tester.join("Ada")


# -- what players see


@both
def test_each_sees_what_it_was_sent_and_nothing_else(room_class: type[Field]) -> None:
    with RoomTester(room_class, keep_bytes=True) as tester:
        ada, bob, cy = (tester.join(name) for name in ("Ada", "Bob", "Cy"))
        cy.input(jump=1000)
        tester.ticks()
        mine, theirs, far = (each.player.data for each in (ada, bob, cy))
        assert (ada.sees(mine), ada.sees(theirs), ada.sees(far)) == (True, True, False)
        assert (ada.row(mine).ammo, ada.row(theirs).ammo) == (40, None)  # type: ignore[union-attr]
        assert sorted(row.x for row in ada.world["Tank"]) == [100, 200]
        assert [row.x for row in cy.world[Tank]] == [1300]
        tester.room.state.last = "over there"
        ada.send("say", "hello")
        tester.ticks()
        assert cy.state.last == "over there"
        assert cy.heard("said") == [["Ada", "hello"]]
        assert any(b"hello" in payload for payload in cy.wire)
        bob.leave()
        tester.ticks()
        assert not ada.sees(theirs)


def test_a_replica_that_differs_is_found_in_the_next_tick() -> None:
    with RoomTester(Field) as tester:
        ada = tester.join("Ada")
        tester.ticks(5)
        assert ada.world.hashes_checked == 6
        ada.world["Tank"].integers[1][1] += 1
        with pytest.raises(DesyncError, match="Ada's replica differs"):
            tester.ticks()
    with RoomTester(Field, check_hashes=False) as tester:
        ada = tester.join("Ada")
        tester.ticks(5)
        assert ada.world.hashes_checked == 1
        ada.world["Tank"].integers[1][1] += 1
        tester.ticks()


def test_the_same_script_gives_the_same_bytes() -> None:
    def run() -> list[list[bytes]]:
        with RoomTester(Field, seed=3, keep_bytes=True) as tester:
            ada, bob = tester.join("Ada"), tester.join("Bob")
            ada.input(go=True)
            bob.send("say", "hello")
            tester.ticks(20)
            ada.drop()
            tester.seconds(1)
            tester.room.allow_reconnection = 0
            return [ada.wire[1:], bob.wire[1:]]  # the welcomes have tokens

    assert run() == run()


@both
async def test_it_is_as_on_a_socket(room_class: type[Field], autojump_clock: trio.testing.MockClock) -> None:
    """The same script with the tester and over a connection: the same hooks, messages, listings and world."""
    with RoomTester(room_class) as tester:
        ada = tester.join("Ada")
        ada.input(jump=5)
        ada.input()
        ada.send("say", "hello")
        told = ada.request("buy", item=2)
        tester.seconds(1)
        here = [(row.x, row.ammo, row.mine) for row in ada.world["Tank"]]
        messages, listings = ada.messages, tester.house.listings()
        ada.leave()
        tester.seconds(35)
        story, ended = tester.room.story, tester.over
    name = room_class.__name__.lower()
    async with serve(room_class, seed=0) as server:
        async with gameclient.connect(server.local(name), name="Ada") as session:
            events: list[Any] = []
            session.on_message()(lambda kind, payload: events.append((kind, payload)))
            room: Any = server.rooms[0]
            session.send_input(jump=5)
            session.flush_input()
            session.send_input()
            session.flush_input()
            session.send("say", "hello")
            assert await session.request("buy", item=2) == told == 42
            await trio.sleep(1)
            assert events == messages == [("said", ["Ada", "hello"])]
            assert [(row.x, row.ammo, row.mine) for row in session.world["Tank"]] == here == [(105, 42, True)]
            assert server.house.listings() == listings
            assert listings[0].metadata == {"players": 1, "fast": False}
        await trio.sleep(35)
        assert room.story == story == ["join Ada", "leave Ada: the player left", "close"]
        assert (server.rooms == []) == ended


# -- messages and requests


@both
def test_requests_are_answered_or_refused(room_class: type[Field]) -> None:
    with RoomTester(room_class) as tester:
        ada = tester.join("Ada")
        assert ada.request("buy", item=2) == 42
        assert ada.request("buy", {"item": 1}) == 43
        for payload, code in (({"item": 4}, "sold out"), ({"item": "x"}, "invalid"), (None, "invalid")):
            with pytest.raises(RequestError) as caught:
                ada.request("buy", payload)
            assert caught.value.code == code
        with pytest.raises(RequestError, match="this room takes buy, crash") as caught:
            ada.request("sell", 3)
        assert caught.value.code == "unknown"
        ada.send("buy", {"item": 9})
        ada.send("dance")
        tester.ticks()
        assert [(number, code) for number, code, _ in ada.refused] == [(7, "sold out"), (8, "unknown")]


@both
def test_what_a_room_does_beside_its_ticks_is_done_at_once(room_class: type[Field]) -> None:
    with RoomTester(room_class) as tester:
        ada = tester.join("Ada")
        before = tester.now
        assert ada.request("save", 600.0) == "saved"
        assert tester.now - before < 0.2


async def test_inside_a_trio_program_it_works_too() -> None:
    with RoomTester(Field) as tester:
        assert tester.join("Ada").request("save", 600.0) == "saved"


def test_work_that_never_ends_is_named() -> None:
    with RoomTester(Field) as tester:
        ada = tester.join("Ada")
        with pytest.raises((TimeoutError, ExceptionGroup), match="still ran after 3600 seconds"):
            ada.request("save", 1e9)


def test_mistakes_of_a_script_are_named() -> None:
    with RoomTester(Field) as tester:
        ada = tester.join("Ada")
        with pytest.raises(TypeError, match="Drive has no field fly; it has go, jump"):
            ada.input(fly=True)
        with pytest.raises(ValueError, match="the server takes 4096"):
            ada.send("say", "x" * 5000)
        ada.input(jump="high")
        tester.ticks()
        assert ada.closed == (CloseCode.BAD_INPUT, "Drive.jump: Expected `int`, got `str`")
        for deed in (ada.input, lambda: ada.send("say", "x"), lambda: ada.request("buy"), ada.leave, ada.drop):
            with pytest.raises(ClosedError, match=r"Ada is not in the room: closed with 4006, Drive\.jump"):
                deed()
    with pytest.raises(DeclarationError):
        RoomTester(Tank)  # type: ignore[type-var]


def test_who_floods_is_closed_as_on_a_socket() -> None:
    with RoomTester(Field) as tester:
        ada, bob = tester.join("Ada"), tester.join("Bob")
        for _ in range(300):
            ada.send("say", "spam")
        tester.ticks()
        assert ada.closed == (CloseCode.POLICY, "too many messages a second")
        assert bob.closed is None


# -- seats


@both
def test_a_dropped_player_comes_back_and_nothing_is_lost_or_doubled(room_class: type[Field]) -> None:
    with RoomTester(room_class) as tester:
        ada, bob = tester.join("Ada"), tester.join("Bob")
        bob.send("say", "one")
        tester.ticks()
        ada.drop()
        ada.input(jump=7)
        ada.input()
        ada.send("say", "from afar")
        tester.ticks()
        assert not ada.player.connected
        bob.send("say", "two")
        tester.seconds(5)
        before = ada.tick
        ada.return_()
        tester.ticks()
        tester.seconds(1)
        assert tester.room.story == ["join Ada", "join Bob", "drop Ada", "return Ada"]
        assert ada.heard("said") == [["Bob", "one"], ["Bob", "two"], ["Ada", "from afar"]]
        assert ada.player.data.x == 107
        assert ada.row(ada.player.data).x == 107  # type: ignore[union-attr]
        assert ada.tick > before
        ada.drop()
        ada.return_()  # before the room has noticed
        ada.return_()  # and once more, with the old connection open
        tester.ticks()
        assert (ada.closed, ada.player.connected, len(tester.world[Tank])) == (None, True, 2)


def test_what_was_on_its_way_is_lost_with_the_connection_and_comes_again() -> None:
    with RoomTester(Field) as tester:
        ada, bob = tester.join("Ada"), tester.join("Bob")
        ada.stalled = True
        ada.input(jump=1)
        ada.input()
        bob.send("say", "hello")
        tester.ticks(3)
        assert (ada.messages, ada.player.frames_skipped) == ([], 3)
        ada.drop()
        tester.ticks()
        ada.return_()
        tester.ticks(3)
        assert ada.messages == [("said", ["Bob", "hello"])]
        assert (ada.player.data.x, ada.player.inputs.duplicates) == (101, 0)


@both
def test_who_comes_back_is_sent_what_has_changed_and_not_all(room_class: type[Field]) -> None:
    with RoomTester(room_class, keep_bytes=True) as tester:
        ada, bob = tester.join("Ada"), tester.join("Bob")
        tester.ticks()
        held = ada.tick
        ada.drop()
        tester.ticks()
        bob.input(jump=3)
        tester.ticks()
        before = len(ada.wire)
        ada.return_()
        frames = [Frame.from_items(items) for items in map(unpack_from_server, ada.wire[before:]) if items[0] == 3]
        assert frames[0].header.tick - frames[0].header.back == held
        assert ada.row(bob.player.data).x == bob.player.data.x  # type: ignore[union-attr]


def test_a_tick_that_is_late_is_caught_up() -> None:
    with RoomTester(Field) as tester:
        ada = tester.join("Ada")
        ada.input(go=True)
        tester.ticks(late=0.12)
        assert (ada.player.data.x, tester.room.stats.overruns) == (103, 1)
        assert ada.tick == tester.room.tick == 4


@both
def test_a_seat_is_held_for_so_long(room_class: type[Field]) -> None:
    with RoomTester(room_class) as tester:
        ada, bob = tester.join("Ada"), tester.join("Bob")
        ada.drop()
        tester.ticks()
        tester.seconds(9)
        assert tester.room.player_count == 2
        with pytest.raises(ClosedError, match="nothing is answered before"):
            ada.request("buy", item=1)
        tester.seconds(2)
        assert tester.room.player_count == 1
        assert tester.room.story[-1] == "leave Ada: the peer vanished"
        ada.return_()
        assert ada.closed == (CloseCode.SEAT_GONE, "this seat is gone: join anew")
        assert bob.closed is None


def test_where_no_seats_are_held_nobody_comes_back() -> None:
    class Brief(Field):
        allow_reconnection = 0

    with RoomTester(Brief) as tester:
        ada = tester.join("Ada")
        ada.drop()
        tester.ticks()
        assert tester.room.story == ["join Ada", "leave Ada: the peer vanished"]
        with pytest.raises(ClosedError, match="declares no allow_reconnection"):
            ada.return_()


def test_a_stalled_network_skips_frames_and_catches_up() -> None:
    with RoomTester(Field) as tester:
        ada, bob = tester.join("Ada"), tester.join("Bob")
        tester.ticks(2)
        bob.stalled = True
        ada.input(go=True)
        tester.ticks(10)
        assert bob.row(ada.player.data).x == 100  # type: ignore[union-attr]
        bob.stalled = False
        tester.ticks(2)
        assert bob.row(ada.player.data).x == 112  # type: ignore[union-attr]
        bob.stalled = True
        for _ in range(40):
            tester.room.broadcast("news", "x" * 10_000)
            tester.ticks()
        assert bob.closed == (CloseCode.TOO_SLOW, "too many unread messages")


def test_a_hidden_page_is_sent_a_few_frames_and_then_none() -> None:
    with RoomTester(Field) as tester:
        ada = tester.join("Ada")
        tester.ticks(5)
        ada.acknowledges = False
        tester.ticks(100)
        assert ada.tick < 50
        ada.acknowledges = True
        ada.input(go=True)
        tester.ticks(3)
        assert ada.tick == tester.room.tick


@both
def test_who_may_come_in(room_class: type[Field]) -> None:
    with RoomTester(room_class, options={"password": "sesame"}) as tester:
        ada = tester.join("Ada")  # who had it made
        assert ada.closed is None
        assert tester.join("Bob").closed == (CloseCode.WRONG_PASSWORD, "give the password")
        bob = tester.join("Bob", password="sesame")
        assert bob.closed is None
        tester.room.password = ""
        eve = tester.spectate("Eve")
        assert [tank.x for tank in eve.world[Tank]] == []
        assert tester.spectate("Mallory").closed == (CloseCode.ROOM_FULL, "no more may watch")
        with pytest.raises(RequestError, match="only watch"):
            eve.request("buy", item=1)
        tester.room.locked = True
        assert tester.join("Cy").closed == (CloseCode.ROOM_LOCKED, "this room is locked")
        tester.room.locked = False
        assert tester.join("Cy").closed is None
        assert tester.join("Di").closed == (CloseCode.ROOM_FULL, "this room is full")
        bob.player.kick("out")
        tester.ticks()
        assert bob.closed == (CloseCode.POLICY, "out")


def test_a_private_room_is_found_by_its_invite_code() -> None:
    with RoomTester(Field, options={"private": True}) as tester:
        assert tester.join("Ada").closed is None
        assert tester.join("Bob").closed == (CloseCode.UNKNOWN_ROOM, "there is no such room")
        assert tester.join("Bob", invite=tester.room.invite_code).closed is None


def test_the_room_is_asked_who_somebody_is() -> None:
    class Club(Field):
        @classmethod
        async def authenticate(cls, request: Any) -> Identity | Reject:
            await trio.sleep(1)
            return Identity("7", name="Ada Lovelace") if request.token == "good" else Reject("members only")

    with RoomTester(Club) as tester:
        assert tester.join("Eve").closed == (CloseCode.NOT_ADMITTED, "members only")
        assert tester.join("ada", token="good").player.name == "Ada Lovelace"
        assert tester.join("bob", identity=Identity("8")).player.identity == Identity("8")


def test_a_room_that_makes_others_and_reserves_seats() -> None:
    class Hall(Room):
        tick_rate = None

        @handles("play")
        def play(self, player: Player) -> Any:
            self.made = self.house.create("field", {"password": "secret"})
            return self.house.reserve(self.made, name=player.name)

    with RoomTester(Hall, others={"field": Field}) as tester:
        seat = tester.join("Ada").request("play")
        ada = tester.join(seat=seat, room=tester.room.made)
        assert ada.room is tester.room.made
        assert ada.player.name == "Ada"
        ada.input(go=True)
        tester.seconds(1)
        assert ada.player.data.x == pytest.approx(120, abs=1)
        assert [room.name for room in tester.rooms] == ["hall", "field"]
        assert tester.join(seat=seat, room=tester.room.made).closed == (
            CloseCode.SEAT_GONE,
            "this seat is gone: join anew",
        )


# -- ends


@both
def test_the_room_ends_and_can_still_be_looked_at(room_class: type[Field]) -> None:
    with RoomTester(room_class) as tester:
        ada = tester.join("Ada")
        ada.send("end")
        tester.ticks()
        assert ada.closed == (1000, "good game")
        assert ada.heard("over") == [tester.room.tick]
        assert tester.over
        assert tester.room.story[-1] == "close"
        assert ada.player.data.x == 100
        tester.ticks()
        tester.seconds(5)
        assert tester.join("Bob").closed == (CloseCode.UNKNOWN_ROOM, "there is no such room")


@both
def test_draining(room_class: type[Field]) -> None:
    class Polite(room_class):  # type: ignore[misc,valid-type]
        def on_drain(self, seconds: float) -> None:
            self.broadcast("last round", seconds)

    with RoomTester(Polite) as tester:
        ada = tester.join("Ada")
        tester.drain(seconds=5)
        tester.ticks()
        assert ada.heard("last round") == [pytest.approx(5, abs=0.02)]
        assert tester.join("Bob").closed == (CloseCode.RESTART, "the server restarts; reconnect in 1.0 s")
        tester.seconds(4)
        assert ada.closed is None
        tester.seconds(2)
        assert ada.closed == (CloseCode.RESTART, "the server restarts; reconnect in 1.0 s")
    with RoomTester(room_class) as tester:
        ada = tester.join("Ada")
        tester.drain()
        assert ada.closed == (CloseCode.RESTART, "the server restarts; reconnect in 1.0 s")


@pytest.mark.slow
@both
def test_a_timer_made_while_draining_waits(room_class: type[Field]) -> None:
    class Slow(room_class):  # type: ignore[misc,valid-type]
        def on_drain(self, seconds: float) -> None:
            self.after(5, self.close, "match over")

    with RoomTester(Slow) as tester:
        ada = tester.join("Ada")
        tester.seconds(60)
        tester.drain(seconds=20)
        tester.seconds(4.9)
        assert ada.closed is None
        tester.seconds(0.2)
        assert ada.closed == (1000, "match over")


# -- failures


@both
def test_an_exception_of_the_room_is_raised_where_it_is_stepped(room_class: type[Field]) -> None:
    tester = RoomTester(room_class)
    ada = tester.join("Ada")
    ada.send("crash")
    with pytest.raises(ZeroDivisionError, match="by Ada"):
        tester.ticks()
    assert ada.closed == (CloseCode.ROOM_FAILED, "the room failed")
    assert tester.over
    assert tester.failed_unexpectedly
    with pytest.raises(RuntimeError, match="has failed before"):
        tester.ticks()
    tester.close()


def test_a_failure_that_is_expected() -> None:
    with RoomTester(Field) as tester:
        ada = tester.join("Ada")
        with tester.fails(ZeroDivisionError):
            ada.request("crash")
        assert isinstance(tester.failure, ZeroDivisionError)
        assert not tester.failed_unexpectedly
    with RoomTester(Field) as tester:
        with pytest.raises(AssertionError, match="raised no ZeroDivisionError"), tester.fails(ZeroDivisionError):
            tester.ticks()
        with pytest.raises(KeyError), tester.fails(KeyError):
            raise KeyError("not the room's")


def test_failures_at_the_beginning_and_at_the_end() -> None:
    class Unborn(Field):
        def on_create(self) -> None:
            raise LookupError("no map")

    with pytest.raises(LookupError, match="no map"):
        RoomTester(Unborn)

    class Undead(Field):
        def on_close(self) -> None:
            raise LookupError("no grave")

    tester = RoomTester(Undead)
    with pytest.raises(LookupError, match="no grave"):
        tester.close()


PLUGIN_TESTS = """
import pytest
from gameserver import Room

class Bad(Room):
    def on_join(self, player): self.data = 1
    def on_message(self, player, kind, payload): raise KeyError(kind)

def test_passes(room_tester):
    tester = room_tester(Bad, seed=5)
    assert tester.room.seed_used == 5
    assert tester.join("Ada").closed is None

def test_swallows_a_failure(room_tester):
    tester = room_tester(Bad)
    tester.join("Ada").send("bang")
    with pytest.raises(KeyError):
        tester.ticks()

def test_expects_a_failure(room_tester):
    tester = room_tester(Bad)
    tester.join("Ada").send("bang")
    with tester.fails(KeyError):
        tester.ticks()

def test_two_rooms(room_tester):
    assert room_tester(Bad) is not room_tester(Bad)
"""


def test_the_fixture_closes_testers_and_finds_failures(tmp_path: Path) -> None:
    (tmp_path / "test_game.py").write_text(PLUGIN_TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "gameserver.testing.pytest_plugin", "-p", "no:cacheprovider", "-q"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert "4 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "ERROR test_game.py::test_swallows_a_failure" in done.stdout
    assert "KeyError('bang'); if it is to, say `with tester.fails():`" in done.stdout


def test_nothing_touches_the_world_outside(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """No socket, no sleep, no clock."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("the tester touched the world outside")

    caplog.set_level(logging.ERROR)
    for name in ("socket.socket", "socket.socketpair", "selectors.DefaultSelector", "time.sleep"):
        monkeypatch.setattr(name, forbidden)
    with RoomTester(Field, tick_rate=1) as tester:
        ada = tester.join("Ada")
        tester.seconds(600)
        ada.drop()
        tester.ticks()
        ada.return_()
    assert not caplog.records
