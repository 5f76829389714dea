"""What SPEC.md says of joining holds for our server: methods, filters, codes, passwords, watching, reserved seats."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgpack
import pytest
import trio
from msgspec import Meta

from gameserver import Entity, Input, Room, fixed
from gameserver.rooms.handlers import RequestError, handles
from gameserver.rooms.metadata import Metadata
from gameserver.server import Server, serve
from tests.conformance.spec_link import Client, clients_of, is_frame
from tests.support.raw_client import until

TICK_RATE = 200


class Ship(Entity):
    x = fixed(0, 100, step=0.5)


class Steer(Input):
    turn: float = 0.0


class DuelInfo(Metadata):
    mode: str = "classic"
    level: Annotated[int, Meta(ge=0, le=50)] = 1
    speed: float = 1.0
    ranked: bool = False


class Duel(Room):
    entities = (Ship,)
    input = Steer
    metadata = DuelInfo
    max_players = 2
    max_spectators = 1
    said = ""

    def on_create(self) -> None:
        self.world.spawn(Ship, x=5.0)

    @handles("say")
    def say(self, player: Any, text: Annotated[str, Meta(max_length=5)]) -> int:
        if text == "no":
            raise RequestError("not_now", "later")
        self.said += text
        return len(self.said)

    def step(self, dt: float) -> None:
        for player, steer in self.inputs:
            player.data = steer.turn


class Fixed(Room):
    players_may_create = False


class Shown(Room):
    entities = (Ship,)
    max_spectators = None
    spectator_delay = 0.25

    def on_create(self) -> None:
        self.world.spawn(Ship, x=5.0)


class Cards(Room):
    tick_rate = None
    entities = (Ship,)
    input = Steer

    def step(self, dt: float) -> None:
        for _, _ in self.inputs:
            self.world.spawn(Ship, x=1.0)


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, list[Client]]]:
    """A server and three clients of it."""
    with trio.fail_after(10):
        async with serve(Duel, Fixed, Shown, Cards, tick_rate=TICK_RATE) as server:
            with clients_of(server) as connect:
                yield server, [connect() for _ in range(3)]


def make(server: Server, **metadata: Any) -> Any:
    """A duel."""
    return server.house.create("duel", metadata=metadata)


# -- 13.1 methods


async def test_the_first_that_fits_or_a_new_one() -> None:
    async with served() as (server, (ann, bob, cid)):
        first = (await ann.joined("/duel"))["room_id"]
        assert (await bob.joined("/duel", method="join_or_create"))["room_id"] == first
        assert (await cid.joined("/duel"))["room_id"] != first
        assert len(server.rooms) == 2


async def test_join_takes_the_oldest_that_fits_and_makes_none() -> None:
    async with served() as (server, (ann, bob, cid)):
        rooms = [make(server) for _ in range(3)]
        rooms[0].locked = True
        assert (await ann.joined("/duel", method="join"))["room_id"] == rooms[1].id
        rooms[0].locked = False
        rooms[1].private = True
        assert (await bob.joined("/duel", method="join"))["room_id"] == rooms[0].id
        rooms[0].password = rooms[2].password = "secret"
        assert await cid.refused("/duel", method="join") == 4004
        assert len(server.rooms) == 3


async def test_create_makes_a_room_of_what_the_hello_says() -> None:
    async with served() as (server, (ann, bob, cid)):
        make(server)
        asked = {"mode": "duel", "level": {"ge": 3}}
        welcome = await ann.joined("/duel", method="create", options={"rounds": 3}, filter=asked, password="secret")
        (room,) = (room for room in server.rooms if room.id == welcome["room_id"])
        assert room.options == {"rounds": 3}
        assert (room.metadata.mode, room.metadata.level, room.password) == ("duel", 1, "secret")
        assert await bob.refused("/duel", method="join_by_id", room_id=room.id, password="Secret") == 4012
        assert (await cid.joined("/duel", method="join_by_id", room_id=room.id, password="secret"))["player"] == 2


async def test_join_by_id() -> None:
    async with served() as (server, (ann, bob, _)):
        rooms = [make(server) for _ in range(2)]
        assert (await ann.joined("/duel", method="join_by_id", room_id=rooms[1].id))["room_id"] == rooms[1].id
        assert await bob.refused("/fixed", method="join_by_id", room_id=rooms[1].id) == 4004


@pytest.mark.parametrize(
    ("path", "keys", "code"),
    [
        pytest.param("/duel", {"method": "join"}, 4004, id="none there"),
        pytest.param("/duel", {"method": "join_by_id"}, 4004, id="no id"),
        pytest.param("/duel", {"method": "join_by_id", "room_id": "77"}, 4004, id="no such id"),
        pytest.param("/duel", {"invite": "K7PQ2MXA"}, 4004, id="no such invite code"),
        pytest.param("/fixed", {"method": "create"}, 4015, id="players may not"),
        pytest.param("/fixed", {}, 4004, id="players may not, and there is none"),
        pytest.param("/duel", {"filter": {"colour": "red"}}, 4015, id="no such name"),
        pytest.param("/fixed", {"filter": {"mode": "duel"}}, 4015, id="no metadata at all"),
        pytest.param("/duel", {"filter": {"level": "3"}}, 4015, id="text for a number"),
        pytest.param("/duel", {"filter": {"level": True}}, 4015, id="true for a number"),
        pytest.param("/duel", {"filter": {"level": 2.5}}, 4015, id="a float for a whole number"),
        pytest.param("/duel", {"filter": {"ranked": 1}}, 4015, id="a number for a bool"),
        pytest.param("/duel", {"filter": {"mode": {"ge": "a"}}}, 4015, id="an order of texts"),
        pytest.param("/duel", {"filter": {"ranked": {"lt": True}}}, 4015, id="an order of bools"),
        pytest.param("/duel", {"filter": {"level": {"near": 3}}}, 4015, id="no such operator"),
        pytest.param("/duel", {"filter": {"level": {}}}, 4015, id="no operator"),
        pytest.param("/duel", {"filter": {"level": [1]}}, 4015, id="an array"),
        pytest.param("/duel", {"filter": {"level": {"in": list(range(17))}}}, 4015, id="17 choices"),
        pytest.param("/duel", {"filter": {"level": {"in": 3}}}, 4015, id="choices that are none"),
        pytest.param("/duel", {"filter": {"level": 2**63}}, 4015, id="more than 64 bits"),
        pytest.param("/duel", {"filter": {"speed": float("inf")}}, 4015, id="infinity"),
        pytest.param("/duel", {"filter": {"mode": "m" * 129}}, 4015, id="long text"),
        pytest.param("/duel", {"filter": {"level": 51}}, 4015, id="a new room cannot be so"),
        pytest.param("/duel", {"method": "create", "spectate": True}, 4015, id="nobody makes a room to watch"),
        pytest.param("/duel", {"spectate": True}, 4004, id="nothing to watch"),
        pytest.param("/cards", {"spectate": True}, 4015, id="nobody may watch"),
        pytest.param("/duel", {"seat": "p1EiXzWcPvGqN0aVYlTSmUrC7k3hB9ds"}, 4013, id="nobody's token"),
        pytest.param("/duel", {"seat": ""}, 4013, id="an empty token"),
    ],
)
async def test_what_cannot_be(path: str, keys: dict[str, Any], code: int) -> None:
    async with served() as (server, (client, _, _)):
        assert await client.refused(path, **keys) == code
        assert not server.rooms


@pytest.mark.parametrize(
    ("arranged", "keys", "code"),
    [
        ({"locked": True}, {}, 4011),
        ({"password": "secret"}, {}, 4012),
        ({"password": "secret"}, {"password": "wrong"}, 4012),
        ({"private": True}, {}, 4004),
        ({"private": True, "password": "secret"}, {"password": "secret"}, 4004),
        ({"locked": True, "password": "secret"}, {}, 4012),
        ({"locked": True, "full": True}, {}, 4011),
        ({"full": True}, {}, 4010),
        ({"full": True, "password": "secret"}, {"password": "wrong"}, 4012),
        ({"locked": True, "full": True}, {"spectate": True}, 0),
        ({"password": "secret"}, {"spectate": True}, 4012),
        ({"watched": True}, {"spectate": True}, 4010),
        ({"watched": True}, {}, 0),
    ],
)
async def test_codes_of_a_room_that_is_named(arranged: dict[str, Any], keys: dict[str, Any], code: int) -> None:
    async with served() as (server, (client, watcher, _)):
        room = make(server)
        named = {"method": "join_by_id", "room_id": room.id}
        if arranged.get("watched"):
            await watcher.joined("/duel", **named, spectate=True)
        if arranged.get("full"):
            for _ in range(2):
                server.house.reserve(room)
        for name in {"locked", "password", "private"} & arranged.keys():
            setattr(room, name, arranged[name])
        if code:
            assert await client.refused("/duel", **named, **keys) == code
        else:
            await client.joined("/duel", **named, **keys)


@pytest.mark.parametrize("method", ["join_by_id", "join", "join_or_create"])
async def test_two_ask_for_the_last_seat(method: str) -> None:
    async with served() as (server, (ann, bob, cid)):
        room = make(server)
        keys = {"method": method} | ({"room_id": room.id} if method == "join_by_id" else {})
        await ann.joined("/duel", **keys)
        await bob.hello("/duel", **keys)
        await cid.hello("/duel", **keys)
        await bob.raw.until_frames(1)
        await cid.raw.until_frames(1)
        opened = [
            msgpack.unpackb(client.raw.frames[0])[1]["room_id"]
            if isinstance(client.raw.frames[0], bytes)
            else await client.code()
            for client in (bob, cid)
        ]
        assert opened.count(room.id) == 1
        (other,) = (each for each in opened if each != room.id)
        assert other == {"join_by_id": 4010, "join": 4004}.get(method, server.rooms[-1].id)


# -- 13.2 filters


@pytest.mark.parametrize(
    ("asked", "finds"),
    [
        ({}, 0),
        ({"mode": "duel"}, 1),
        ({"mode": {"ne": "classic"}}, 1),
        ({"mode": {"in": ["team", "other"]}}, 2),
        ({"level": 7}, 1),
        ({"level": {"ge": 7}}, 1),
        ({"level": {"gt": 7}}, 2),
        ({"level": {"le": 3}}, 0),
        ({"level": {"lt": 3}}, None),
        ({"level": {"ge": 4, "le": 20, "ne": 7}}, 2),
        ({"level": {"gt": 3}, "mode": "team"}, 2),
        ({"level": 7, "mode": "team"}, None),
        ({"speed": 2}, 2),
        ({"ranked": True}, 2),
        ({"ranked": {"ne": False}}, 2),
    ],
)
async def test_filters(asked: dict[str, Any], finds: int | None) -> None:
    async with served() as (server, (client, _, _)):
        rooms = [
            make(server, mode="classic", level=3),
            make(server, mode="duel", level=7),
            make(server, mode="team", level=12, speed=2.0, ranked=True),
        ]
        if finds is None:
            assert await client.refused("/duel", method="join", filter=asked) == 4004
        else:
            assert (await client.joined("/duel", method="join", filter=asked))["room_id"] == rooms[finds].id


# -- 13.3 invite codes and passwords


async def test_an_invite_code_finds_its_room_whatever_the_method() -> None:
    async with served() as (server, (ann, bob, cid)):
        make(server)
        room = make(server)
        room.private = True
        code = room.invite_code
        assert (await ann.joined("/duel", invite=f" {code.lower()} ", method="create"))["room_id"] == room.id
        assert await bob.refused("/duel", invite=code, room_id="77") == 4004
        room.password = "secret"
        assert await cid.refused("/duel", invite=code) == 4012


async def test_a_password_finds_the_rooms_that_have_it_and_no_others() -> None:
    async with served() as (server, (ann, bob, cid)):
        rooms = [make(server) for _ in range(3)]
        rooms[0].password, rooms[1].password = "other", "secret"
        assert (await ann.joined("/duel", method="join", password="secret"))["room_id"] == rooms[1].id
        assert (await bob.joined("/duel", method="join"))["room_id"] == rooms[2].id
        rooms[2].locked = True
        assert await cid.refused("/duel", method="join", password="Secret") == 4004


async def test_who_asks_with_a_password_that_no_room_has_gets_a_room_of_its_own() -> None:
    async with served() as (server, (ann, bob, _)):
        public = make(server)
        welcome = await ann.joined("/duel", password="secret")
        assert welcome["room_id"] != public.id
        assert server.rooms[-1].password == "secret"
        assert (await bob.joined("/duel", password="secret"))["room_id"] == welcome["room_id"]


# -- 3.2 and 13.4 watching


async def test_a_spectator_is_sent_what_players_are_and_does_nothing() -> None:
    async with served() as (server, (ann, eve, _)):
        player = (await ann.joined("/duel"))["player"]
        welcome = await eve.joined("/duel", method="join", spectate=True)
        assert (welcome["spectator"], welcome["seat"], welcome["delay_seconds"]) == (True, None, 0.0)
        assert welcome["player"] != player
        first = await eve.until(is_frame)
        assert first[1][1] == 0
        room = server.room("duel")
        assert room.player_count == 1
        await eve.say([5, "say", "hi"], [5, "say", "hi", 1], [8, 2, "say", "hi"])
        replies = [await eve.until(lambda message: message[0] == 9) for _ in range(3)]
        assert [(number, code) for _, number, code, _ in replies] == [
            (0, "spectator"),
            (1, "spectator"),
            (2, "spectator"),
        ]
        await eve.say([4, [1, 0, first[1][0], 5], [0.5]])
        timed = await eve.until(is_frame)
        while timed[1][4] is None:  # it may be forgotten, so it says it again
            await eve.say([6, timed[1][0], 5])
            timed = await eve.until(is_frame)
        assert (timed[1][2], timed[1][4]) == (0, 5)
        assert (room.said, room.player_count) == ("", 1)


async def test_a_spectator_finds_rooms_that_are_locked_or_full_but_not_private() -> None:
    async with served() as (server, (ann, bob, cid)):
        rooms = [make(server) for _ in range(3)]
        rooms[0].private = True
        rooms[1].locked = True
        for _ in range(2):
            server.house.reserve(rooms[2])
        assert (await ann.joined("/duel", spectate=True))["room_id"] == rooms[1].id
        assert (await bob.joined("/duel", spectate=True, method="join"))["room_id"] == rooms[2].id
        assert await cid.refused("/duel", spectate=True) == 4004
        assert len(server.rooms) == 3


async def test_a_spectator_of_the_past() -> None:
    async with served() as (server, (ann, eve, _)):
        await ann.joined("/shown")
        await ann.until(is_frame)
        welcome = await eve.joined("/shown", method="join", spectate=True)
        assert welcome["delay_seconds"] == 0.25
        first = await eve.next()
        assert first[1][1] == 0
        late = 0.25 * TICK_RATE
        assert first[1][0] >= welcome["tick"]
        room = server.room("shown")
        assert room.tick - first[1][0] >= late - 1
        ticks = [(await eve.until(is_frame))[1] for _ in range(30)]  # acknowledges nothing
        assert [header[0] - header[1] for header in ticks] == [first[1][0], *(header[0] for header in ticks[:-1])]
        assert all(header[3] is header[4] is header[5] is None for header in ticks)
        assert room.tick - ticks[-1][0] >= late - 1
        asked_at = room.tick
        await eve.say([7, ticks[-1][0], 1, 2])
        full = await eve.until(lambda message: is_frame(message) and message[1][1] == 0)
        assert full[1][0] >= asked_at
        assert room.tick - full[1][0] >= late - 1


async def test_what_a_spectator_of_the_past_has_not_seen_comes_when_the_room_ends() -> None:
    async with served() as (server, (ann, eve, _)):
        await ann.joined("/shown")
        await eve.joined("/shown", spectate=True)
        await eve.until(is_frame)
        room = server.room("shown")
        room.broadcast("over", 5)
        await ann.until(lambda message: message == [5, "over", 5])
        room.close()
        assert await ann.code() == 1000
        await eve.until(lambda message: message == [5, "over", 5])
        frames = [(await eve.until(is_frame))[1][0]]
        while frames[-1] < room.tick:
            frames.append((await eve.until(is_frame))[1][0])
        assert await eve.code() == 1000


# -- 13.5 reserved seats


async def test_a_reserved_seat_is_taken_and_its_token_works_once() -> None:
    async with served() as (server, (ann, bob, cid)):
        room = make(server)
        server.house.reserve(room)
        token = server.house.reserve(room, name="Ann", options={"team": 2})
        assert await bob.refused("/duel", method="join_by_id", room_id=room.id) == 4010
        welcome = await ann.joined("/duel", seat=token, options={"skin": "red"}, method="create", spectate=True, tick=9)
        assert (welcome["room_id"], welcome["spectator"]) == (room.id, False)
        (player,) = room.players
        assert (player.name, player.options) == ("Ann", {"team": 2, "skin": "red"})
        assert await cid.refused("/duel", seat=token) == 4013


async def test_a_reserved_seat_lapses() -> None:
    async with served() as (server, (ann, bob, _)):
        room = make(server)
        token = server.house.reserve(room, seconds=0.05)
        await trio.sleep(0.1)
        assert await ann.refused("/duel", seat=token) == 4013
        other = server.house.reserve(room)
        assert await bob.refused("/fixed", seat=other) == 4013  # the address of another type


# -- 5.5, 5.8 and 5.9


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ([8, 1, "say", "hi"], [9, 1, None, 2]),
        ([8, 4294967295, "say", "hi"], [9, 4294967295, None, 2]),
        ([8, 1, "say", "hi", "more"], [9, 1, None, 2]),
        ([8, 1, "say", "no"], [9, 1, "not_now", "later"]),
        ([8, 1, "say", 5], [9, 1, "invalid", ...]),
        ([8, 1, "say", "longer"], [9, 1, "invalid", ...]),
        ([8, 1, "sing", "hi"], [9, 1, "unknown", ...]),
        ([5, "say", "no", 3], [9, 3, "not_now", "later"]),
        ([5, "say", 5, 3], [9, 3, "invalid", ...]),
        ([5, "say", 5], [9, 0, "invalid", ...]),
        ([5, "say", 5, 0], [9, 0, "invalid", ...]),
        ([5, "sing", None], [9, 0, "unknown", ...]),
        ([5, "say", "hi", 1], None),
        ([5, "say", "hi"], None),
    ],
)
async def test_replies(message: list[Any], reply: list[Any] | None) -> None:
    async with served() as (server, (client, _, _)):
        await client.joined("/duel")
        await client.say(message, [8, 0xFFFFFFFF, "say", ""] if message[1] != 0xFFFFFFFF else [6, 0, 0])
        answers = []
        while len(answers) < (2 if reply and message[1] != 0xFFFFFFFF else 1):
            answers.append(await client.until(lambda message: message[0] != 3))
        if reply is None:
            assert server.room("duel").said == "hi"
        else:
            assert [*answers[0][:3], ... if reply[3] is ... else answers[0][3]] == reply
            assert isinstance(answers[0][3], str) or reply[2] is None


@pytest.mark.parametrize(
    "message",
    [
        [8, 1, "say"],
        [8, "say", "hi"],
        [8, 0, "say", "hi"],
        [8, 2**32, "say", "hi"],
        [8, None, "say", "hi"],
        [8, 1, 5, "hi"],
        [8, 1, "n" * 65, "hi"],
        [5, "say"],
        [5, "say", "hi", -1],
        [5, "say", "hi", 2**32],
        [5, "say", "hi", "1"],
        [5, "say", "hi", None],
        [5, "say", "hi", 1.0],
    ],
)
async def test_malformed_messages_and_requests_close(message: list[Any]) -> None:
    async with served() as (_, (client, _, _)):
        await client.joined("/duel")
        await client.say(message)
        assert await client.code() == 1007


async def test_repetitions_are_dropped_and_gaps_are_not() -> None:
    async with served() as (server, (client, _, _)):
        await client.joined("/duel")
        requests = [[8, 2, "say", "a"], [8, 2, "say", "b"], [5, "say", "c", 1], [5, "say", "d"], [8, 7, "say", "e"]]
        await client.say(*requests, [8, 7, "say", "f"], [8, 3, "say", "g"], [8, 8, "say", "h"])
        replies = [await client.until(lambda message: message[0] == 9) for _ in range(3)]
        assert [number for _, number, _, _ in replies] == [2, 7, 8]
        assert server.room("duel").said == "adeh"


async def test_a_reply_comes_before_the_frame_of_its_tick() -> None:
    async with served() as (_, (client, _, _)):
        await client.joined("/duel")
        tick = (await client.until(is_frame))[1][0]
        await client.say([4, [1, 0, tick, 0], [0.5]], [8, 1, "say", "hi"])
        seen = []
        while not (seen and is_frame(seen[-1]) and seen[-1][1][2] == 1):
            seen.append(await client.next())
        assert seen[-2][0] == 9


# -- 3.1 rooms without a tick rate


async def test_a_room_without_a_tick_rate_sends_a_frame_for_what_happens_and_none_otherwise() -> None:
    async with served() as (server, (ann, _, _)):
        welcome = await ann.joined("/cards")
        assert welcome["tick_rate"] == 0
        first = await ann.until(is_frame)
        assert first[1][1] == 0
        room = server.room("cards")
        await ann.say([6, first[1][0], 0])
        assert await ann.pending() == []
        assert room.tick == first[1][0]
        for sequence in range(1, 4):
            await ann.say([4, [sequence, 0, room.tick, 0], []])
            frame = await ann.until(is_frame)
            assert (frame[1][2], frame[1][0] - frame[1][1]) == (sequence, first[1][0])
            assert frame[2] is not None
            first = frame


async def test_without_a_tick_rate_what_was_held_back_comes_with_an_acknowledgement() -> None:
    async with served() as (server, (ann, _, _)):
        await ann.joined("/cards")
        first = await ann.until(is_frame)
        room = server.room("cards")
        window = first[1][6]
        assert window > 0
        for sequence in range(1, 2 * window + 3):
            tick = room.tick
            await ann.say([4, [sequence, 0, 0, 0], []])
            await until(lambda tick=tick: room.tick > tick)  # type: ignore[misc]
        unread = [message for message in await ann.pending() if is_frame(message)]
        assert 0 < len(unread) <= window
        newest = unread[-1][1][0]
        assert newest < room.tick
        tick = room.tick
        await ann.say([6, newest, 0])
        held_back = await ann.until(is_frame)
        assert (held_back[1][0], room.tick) == (tick, tick)
        assert held_back[1][1] == tick - newest


async def test_without_a_tick_rate_a_resync_is_answered_though_nothing_happens() -> None:
    async with served() as (_, (ann, _, _)):
        await ann.joined("/cards")
        tick = (await ann.until(is_frame))[1][0]
        for _ in range(2):  # the second is put off
            await ann.say([6, tick, 0], [7, tick, 0, 0])
            with trio.fail_after(2):
                full = await ann.until(is_frame)
            assert full[1][1] == 0
            tick = full[1][0]
