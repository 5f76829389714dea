"""What SPEC.md says of seats and returning holds for our server: tokens, what follows RETURNED, what is sent again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from gameprotocol import limits
from gameserver import Entity, Input, Room, fixed
from gameserver.rooms.handlers import handles
from gameserver.server import serve
from tests.conformance.spec_link import Client, clients_of, is_frame
from tests.support.raw_client import until

TICK_RATE = 200
HELD_SECONDS = 5.0


class Ship(Entity):
    x = fixed(0, 100, step=0.5)


class Steer(Input):
    turn: float = 0.0


class Arena(Room):
    """Notes each input by its value, and what it is told."""

    entities = (Ship,)
    input = Steer
    max_players = 1
    allow_reconnection = HELD_SECONDS
    missing_input = "repeat"

    def on_create(self) -> None:
        self.ship = self.world.spawn(Ship, x=5.0)
        self.turns: list[float] = []
        self.words: list[str] = []
        self.left: list[str] = []

    def on_leave(self, player: Any, reason: str) -> None:
        self.left.append(reason)

    @handles("say")
    def say(self, player: Any, word: str) -> str:
        self.words.append(word)
        return word.upper()

    def step(self, dt: float) -> None:
        self.turns += [steer.turn for _, steer in self.inputs]
        self.ship.x = self.tick % 200 / 2


class Brief(Arena):
    allow_reconnection = 0.1


class Fleeting(Arena):
    allow_reconnection = 0.0


class Quiet(Arena):
    """Without a tick rate."""

    tick_rate = None

    def step(self, dt: float) -> None:
        self.turns += [steer.turn for _, steer in self.inputs]


class Seat:
    """A player of raw messages that counts what a client has to count."""

    def __init__(self, connect: Callable[[], Client], path: str) -> None:
        self.connect = connect
        self.path = path
        self.link = connect()
        self.token: Any = None
        self.tick = 0
        self.received = 0

    async def join(self) -> dict[str, Any]:
        """Come in, and take the first frame."""
        welcome = await self.link.joined(self.path)
        self.token = welcome["seat"]
        await self.take_until(is_frame)
        await self.acknowledge()
        return welcome

    async def take(self) -> Any:
        """The next message, counted."""
        message = await self.link.next()
        self.received += message[0] in (5, 9)
        if message[0] == 3:
            tick, back = message[1][:2]
            assert back == 0 or tick - back == self.tick, "a delta that does not fit"
            self.tick = tick
        return message

    async def take_until(self, wanted: Any) -> list[Any]:
        """What comes up to the first message for which ``wanted`` is true."""
        messages = []
        while not (messages and wanted(messages[-1])):
            messages.append(await self.take())
        return messages

    async def acknowledge(self) -> None:
        await self.link.say([6, self.tick, 0])

    async def come_back(self, **keys: Any) -> dict[str, Any]:
        """On a new connection; what RETURNED says."""
        self.link = self.connect()
        await self.link.hello(self.path, **{"seat": self.token, "tick": self.tick, "messages": self.received, **keys})
        kind, returned, *_ = await self.link.next()
        assert kind == 10
        self.token = returned["seat"]
        return dict(returned)

    async def refused(self, token: str | None = None) -> int:
        """Try to come back; the code of the refusal."""
        self.link = self.connect()
        keys = {"seat": token or self.token, "tick": self.tick, "messages": self.received}
        return await self.link.refused(self.path, **keys)


def is_reply(message: Any) -> bool:
    return bool(message[0] == 9)


@asynccontextmanager
async def seated(path: str = "/arena") -> AsyncIterator[tuple[Any, Seat]]:
    """A room, and a player in it who has the first frame."""
    with trio.fail_after(10):
        async with serve(Arena, Brief, Fleeting, Quiet, tick_rate=TICK_RATE) as server:
            with clients_of(server) as connect:
                seat = Seat(connect, path)
                await seat.join()
                yield server.rooms[0], seat


async def dropped(room: Any, seat: Seat) -> None:
    """Lose the connection, and wait until the room knows."""
    drops = room.stats.drops
    seat.link.vanish()
    await until(lambda: room.stats.drops > drops)


# -- 14.1


async def test_the_welcome_says_whether_and_how_long_the_seat_is_held() -> None:
    with trio.fail_after(5):
        async with serve(Arena, Fleeting) as server:
            with clients_of(server) as connect:
                welcome, other = await connect().joined("/arena"), await connect().joined("/fleeting")
            assert welcome["seat_seconds"] == HELD_SECONDS
            assert len(welcome["seat"]) >= 22  # 128 bits in base 64
            assert (other["seat"], other["seat_seconds"]) == (None, 0.0)


@pytest.mark.parametrize("code", [None, 1001, 1007, 3000, 4321])
async def test_the_seat_is_held_for_who_closes_with_another_code(code: int | None) -> None:
    async with seated() as (room, seat):
        await seat.link.leave(code)
        await until(lambda: room.stats.drops)
        assert (await seat.come_back())["player"] == 1
        assert not room.left


async def test_the_seat_is_gone_for_who_closes_with_1000() -> None:
    async with seated() as (room, seat):
        await seat.link.leave(1000)
        await until(lambda: room.left)
        assert not room.stats.drops
        assert await seat.refused() == 4013


@pytest.mark.parametrize("message", [b"\xc1", b"\x92\x01\x80"], ids=["1007", "a second hello"])
async def test_the_seat_is_gone_for_who_is_closed_for_a_defect(message: bytes) -> None:
    async with seated() as (room, seat):
        await seat.link.send(message)
        await seat.link.code()
        await until(lambda: room.left)
        assert not room.stats.drops
        assert await seat.refused() == 4013


async def test_the_seat_is_gone_for_who_is_kicked() -> None:
    async with seated() as (room, seat):
        next(room.players).kick()
        assert await seat.link.code() == 1008
        await until(lambda: room.left)
        assert not room.stats.drops
        assert await seat.refused() == 4013


async def test_the_seat_is_held_for_who_was_too_slow() -> None:
    async with seated() as (room, seat):
        next(room.players)._link.close(4008, "as when too much waits")
        assert await seat.link.code() == 4008
        await until(lambda: room.stats.drops)
        await seat.come_back()


async def test_the_seat_is_held_for_who_answered_no_ping() -> None:
    async with seated() as (room, seat):
        next(room.players)._link.give_up("nothing was heard of it")
        await until(lambda: room.stats.drops)
        await seat.come_back()


async def test_an_id_that_is_freed_while_a_seat_is_held_rests_until_its_player_is_back() -> None:
    async with seated() as (room, seat):
        freed = room.world.spawn(Ship, x=1.0)
        await seat.take_until(lambda message: is_frame(message) and message[1][0] == room.tick)
        await seat.acknowledge()
        await dropped(room, seat)
        number = freed.id
        room.world.despawn(freed)
        tick = room.tick
        await until(lambda: room.tick > tick + 2 * limits.HISTORY_TICKS)
        assert number not in [room.world.spawn(Ship, x=2.0).id for _ in range(4)]
        await seat.come_back()
        await seat.take_until(is_frame)
        await seat.acknowledge()
        tick = room.tick
        await until(lambda: room.tick > tick + limits.HISTORY_TICKS)
        assert number in [room.world.spawn(Ship, x=2.0).id for _ in range(4)]


async def test_the_seat_is_held_for_as_long_as_it_was_said() -> None:
    async with seated("/brief") as (room, seat):
        await dropped(room, seat)
        assert (await seat.come_back())["seat_seconds"] == 0.1
        await dropped(room, seat)
        await until(lambda: room.left)
        assert await seat.refused() == 4013


async def test_a_seat_that_is_held_is_taken() -> None:
    async with seated() as (room, seat):
        await dropped(room, seat)
        other = seat.connect()
        assert await other.refused("/arena", method="join_by_id", room_id=room.id) == 4010
        await seat.come_back()


async def test_a_room_that_has_ended_holds_no_seat() -> None:
    async with seated() as (room, seat):
        await dropped(room, seat)
        room.close()
        await until(lambda: room.house.listings() == [])
        assert await seat.refused() == 4013


async def test_while_the_seat_is_held_nothing_is_repeated() -> None:
    async with seated() as (room, seat):
        await seat.link.say([4, [1, 0, 0, 0], [0.5]])
        await until(lambda: room.turns[-3:] == [0.5] * 3)
        await dropped(room, seat)
        tick = room.tick
        await until(lambda: room.tick > tick + 3)
        assert room.turns[-1] == 0.0


async def test_when_too_much_is_kept_the_seat_is_gone() -> None:
    async with seated() as (room, seat):
        await dropped(room, seat)
        for _ in range(limits.MESSAGE_QUEUE_BYTES // 60_000 + 1):
            room.broadcast("news", "x" * 60_000)
        await until(lambda: room.left)
        assert await seat.refused() == 4013


async def test_much_that_has_come_before_does_not_cost_the_seat() -> None:
    async with seated() as (room, seat):
        count = limits.MESSAGE_QUEUE_BYTES // 60_000 + 1
        for _ in range(count):
            room.broadcast("map", "x" * 60_000)
        tick, (player,) = room.tick, room.players
        while seat.received < count or player.acknowledged_tick <= tick + 1:
            await seat.take_until(lambda message: message[0] in (3, 5))
            await seat.acknowledge()
        await dropped(room, seat)
        await until(lambda: room.left or room.tick > tick + 9)
        assert not room.left
        await seat.come_back()


# -- 14.2


async def test_each_return_gives_another_token_and_the_one_before_is_used_up_by_an_acknowledgement() -> None:
    async with seated() as (room, seat):
        first = seat.token
        await dropped(room, seat)
        await seat.come_back()
        second = seat.token
        assert second != first
        await seat.take_until(is_frame)
        await seat.acknowledge()
        tick = room.tick
        await until(lambda: room.tick > tick + 2)
        await dropped(room, seat)
        assert await seat.refused(first) == 4013
        await seat.come_back()
        assert seat.token not in (first, second)


async def test_until_then_both_are_good_for_the_answer_may_have_been_lost() -> None:
    async with seated() as (room, seat):
        first = seat.token
        await dropped(room, seat)
        await seat.come_back()
        lost = seat.token
        await dropped(room, seat)
        await seat.come_back(seat=first)
        await dropped(room, seat)
        assert await seat.refused(lost) == 4013
        await seat.come_back()


async def test_the_newer_token_is_good_before_the_acknowledgement_too() -> None:
    async with seated() as (room, seat):
        first = seat.token
        await dropped(room, seat)
        await seat.come_back()
        await dropped(room, seat)
        await seat.come_back()
        await dropped(room, seat)
        assert await seat.refused(first) == 4013
        await seat.come_back()


async def test_the_older_connection_is_closed_with_4014() -> None:
    async with seated() as (room, seat):
        older = seat.link
        await seat.come_back()
        assert await older.code() == 4014
        newer = seat.link
        await seat.come_back()
        assert await newer.code() == 4014
        await seat.take_until(is_frame)
        assert (room.player_count, room.left) == (1, [])


async def test_the_same_token_twice_at_once_gives_one_seat() -> None:
    async with seated() as (room, seat):
        await dropped(room, seat)
        links = [seat.connect() for _ in range(2)]
        for link in links:
            await link.hello("/arena", seat=seat.token, tick=seat.tick, messages=0)
        await until(lambda: room.stats.returns == 2)
        endings: list[int] = []

        async def note_ending(link: Client, scope: trio.CancelScope) -> None:
            endings.append(await link.code())
            scope.cancel()

        async with trio.open_nursery() as nursery:
            for link in links:
                nursery.start_soon(note_ending, link, nursery.cancel_scope)
        await seat.connect().refused("/arena", method="join_by_id", room_id=room.id)  # so that a tick has passed
        assert endings == [4014]
        assert (room.player_count, room.left) == (1, [])


@pytest.mark.parametrize("path", ["/brief", "/fleeting"])
async def test_a_token_is_good_at_the_address_of_its_room_type_alone(path: str) -> None:
    async with seated() as (room, seat):
        await dropped(room, seat)
        other = Seat(seat.connect, path)
        assert await other.refused(seat.token) == 4013
        await seat.come_back()


# -- 14.3


async def test_what_follows_a_return() -> None:
    async with seated() as (room, seat):
        room.broadcast("news", 1)
        await seat.take_until(lambda message: message == [5, "news", 1])
        assert seat.received == 1
        for number in (2, 3):  # on their way when the connection breaks
            room.broadcast("news", number)
            tick = room.tick
            await until(lambda tick=tick: room.tick > tick + 1)  # type: ignore[misc]
        await dropped(room, seat)
        for number in (4, 5):
            room.broadcast("news", number)
            tick = room.tick
            await until(lambda tick=tick: room.tick > tick + 70)  # type: ignore[misc]
        tick, away = seat.tick, room.tick
        returned = await seat.come_back()
        assert returned["tick"] >= away
        assert {name: returned[name] for name in ("player", "inputs", "messages")} == {
            "player": 1,
            "inputs": 0,
            "messages": 0,
        }
        follows = await seat.take_until(is_frame)
        assert follows[:-1] == [[5, "news", number] for number in (2, 3, 4, 5)]
        assert (follows[-1][1][0] - follows[-1][1][1], follows[-1][1][1] > 140) == (tick, True)
        assert follows[-1][1][0] >= returned["tick"]
        again = await seat.take_until(is_frame)
        assert len(again) == 1
        assert again[0][1][1] > 0


@pytest.mark.parametrize("tick", [0, 0xFFFFFFFF])
async def test_from_a_tick_that_cannot_be_it_is_a_full_frame(tick: int) -> None:
    async with seated() as (room, seat):
        await dropped(room, seat)
        await seat.come_back(tick=tick)
        (frame,) = await seat.take_until(is_frame)
        assert frame[1][1] == 0
        assert frame[2] is not None


async def test_without_a_replica_a_frame_comes_at_once_however_long_the_room_has_run() -> None:
    async with seated() as (room, seat):
        for _ in range(4):
            time.sleep(0.04)  # noqa: ASYNC251 - the server is late, and sends one frame for several ticks
            await trio.sleep(0.05)
        await dropped(room, seat)
        await until(lambda: room.tick > 0.6 * TICK_RATE)
        await seat.come_back(tick=0)
        with trio.fail_after(1):
            (frame,) = await seat.take_until(is_frame)
        assert frame[1][1] == 0


async def test_messages_that_the_client_must_have_are_not_kept_for_ever() -> None:
    async with seated() as (room, seat):
        for _ in range(2):
            room.broadcast("news", 1)
            await seat.take_until(lambda message: message[0] == 5)
            await seat.take_until(is_frame)
            await seat.acknowledge()
            tick = room.tick
            await until(lambda tick=tick: room.tick > tick + 2)  # type: ignore[misc]
        room.broadcast("news", 2)  # so that the room looks again at what is acknowledged
        await seat.take_until(lambda message: message == [5, "news", 2])
        await dropped(room, seat)
        seat.received = 0
        assert await seat.refused() == 4013


async def test_the_hello_of_a_return_changes_nothing_else() -> None:
    async with seated() as (room, seat):
        await dropped(room, seat)
        told = {"name": "Eve", "options": {"team": 3}, "method": "create", "room_id": "9", "spectate": True}
        await seat.come_back(**told, filter={"no": 1}, invite="K7PQ2MXA", password="wrong")
        (player,) = room.players
        assert (player.name, player.options, player.connected) == ("", {}, True)
        assert len(room.house.listings()) == 1


async def test_without_a_tick_rate_a_return_brings_a_frame_too() -> None:
    async with seated("/quiet") as (room, seat):
        await dropped(room, seat)
        tick = seat.tick
        assert (await seat.come_back())["player"] == 1
        (frame,) = await seat.take_until(is_frame)
        assert frame[1][0] - frame[1][1] == tick
        assert frame[2] is not None
        assert room.tick == frame[1][0]


# -- 14.4


async def test_inputs_that_are_sent_again_are_applied_once_and_in_order() -> None:
    async with seated() as (room, seat):
        sent = {sequence: [4, [sequence, 0, seat.tick, 0], [sequence / 16]] for sequence in range(1, 9)}
        await seat.link.say(*(sent[sequence] for sequence in (1, 2, 3)))
        await seat.take_until(lambda message: is_frame(message) and message[1][2] == 3)
        await seat.link.say(sent[4], sent[5])  # may arrive or not
        seat.link.vanish()
        returned = await seat.come_back()
        assert 3 <= returned["inputs"] <= 5
        await seat.link.say(*(sent[sequence] for sequence in range(returned["inputs"] + 1, 9)))
        await seat.take_until(lambda message: is_frame(message) and message[1][2] == 8)
        turns = [turn for turn in room.turns if turn]  # 0 while nothing had come, and while the seat was held
        new = [turn for turn, before in zip(turns, [0.0, *turns], strict=False) if turn != before]
        assert new == [sequence / 16 for sequence in range(1, 9)]


async def test_inputs_below_what_has_come_are_dropped() -> None:
    async with seated() as (room, seat):
        await seat.link.say([4, [5, 0, 0, 0], [0.5]])
        await seat.take_until(lambda message: is_frame(message) and message[1][2] == 5)
        await dropped(room, seat)
        assert (await seat.come_back())["inputs"] == 5
        await seat.link.say([4, [4, 0, 0, 0], [0.25]], [4, [5, 0, 0, 0], [0.25]], [4, [6, 0, 0, 0], [0.75]])
        await seat.take_until(lambda message: is_frame(message) and message[1][2] == 6)
        assert 0.25 not in room.turns


async def test_messages_and_requests_are_taken_once_and_answered_once() -> None:
    async with seated() as (room, seat):
        await seat.link.say([5, "say", "a", 1], [8, 2, "say", "b"], [5, "say", "c", 3], [8, 4, "say", "d"])
        await until(lambda: len(room.words) == 4)
        await dropped(room, seat)  # with the replies unread
        assert (await seat.come_back())["messages"] == 4
        replies = (await seat.take_until(is_frame))[:-1]
        assert replies == [[9, 2, None, "B"], [9, 4, None, "D"]]
        await seat.link.say([8, 4, "say", "d"], [8, 5, "say", "e"])
        (*_, reply) = await seat.take_until(is_reply)
        assert reply == [9, 5, None, "E"]
        assert room.words == list("abcde")


async def test_what_was_not_read_on_the_old_connection_is_told_by_the_numbers() -> None:
    async with seated() as (room, seat):
        for sent in range(1, 10):  # what is sent and what is lost depends on when the tick looks
            link = seat.link
            await link.say([8, sent, "say", str(sent)])
            known = (await seat.come_back())["messages"]
            assert sent - 1 <= known <= sent
            await seat.link.say(*([[8, sent, "say", str(sent)]] if known < sent else []))
            (*_, reply) = await seat.take_until(is_reply)
            assert reply == [9, sent, None, str(sent)]
        assert room.words == [str(number) for number in range(1, 10)]
