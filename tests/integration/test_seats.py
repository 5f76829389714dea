"""Seats that survive, over real sockets: what a client of few words sees, to the byte, when its connection is lost."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import gameclient
from gameprotocol import CloseCode, encode_message, encode_request
from gameserver import Entity, Identity, MaxRate, Player, Room, Server, handles, owner, serve, text, uint
from tests.support.peers import Peer
from tests.support.raw_client import until


class Rock(Entity):
    x = uint(16)
    serial = uint(32)
    name = text(max_bytes=24)


class Purse(Entity):
    serial = uint(32)
    gold = uint(16, to=owner)


class Cave(Room):
    """Keeps a diary. Ticks often, so that tests are short."""

    tick_rate = 60
    entities = (Rock,)
    allow_reconnection = 20.0
    rocks = 0
    hold_seconds: float | None = None

    def on_create(self) -> None:
        self.diary: list[str] = []
        self.heard: list[int] = []
        for number in range(self.rocks):
            self.world.spawn(Rock, x=number, serial=number + 1, name=f"rock {number}")

    def on_join(self, player: Player) -> None:
        self.diary.append(f"join {player.name}")

    def on_drop(self, player: Player, reason: str) -> None:
        self.diary.append(f"drop {player.name}")
        if self.hold_seconds is not None:
            player.allow_reconnection = self.hold_seconds

    def on_return(self, player: Player) -> None:
        self.diary.append(f"return {player.name}")

    def on_leave(self, player: Player, reason: str) -> None:
        self.diary.append(f"leave {player.name}: {reason}")

    @handles("count")
    def count(self, player: Player, number: int) -> int:
        self.heard.append(number)
        return number


class Short(Cave):
    allow_reconnection = 0.15


class Quarry(Cave):
    """A quiet world of a thousand entities."""

    tick_rate = 20
    rocks = 1000


class Bank(Cave):
    """What players own of it is for them alone, and they are sent little of it."""

    entities = (Rock, Purse)
    rocks = 300
    max_rate = MaxRate(bytes=20_000)

    def on_join(self, player: Player) -> None:
        super().on_join(player)
        self.world.spawn(Purse, owner=player, serial=1, gold=77)


class Patient(Cave):
    """Goes on when the server drains."""

    def on_drain(self, seconds: float) -> None:
        self.diary.append("drain")


#: All that are made in a test, to be closed behind it.
SEATS: list[Seat] = []


class Seat(Peer):
    """A peer whose seat outlives it.

    Attributes:
        messages: messages and replies of this and of earlier connections.
    """

    def __init__(self, server: Server, path: str) -> None:
        self.server, self.path = server, path
        super().__init__(socket.create_connection(("127.0.0.1", server.port)))
        SEATS.append(self)
        self.token = ""
        self.number = 0
        self.messages: list[Any] = []

    async def next(self) -> Any:
        message = await super().next()
        if message[0] in (2, 10):
            self.token, self.number = message[1]["seat"], message[1]["player"]
        elif message[0] in (5, 9):
            self.messages.append(message[1:])
        return message

    async def enter(self, **hello: Any) -> Seat:
        await self.upgrade(self.path)
        await self.send([1, hello])
        await self.frames(3)
        return self

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self.raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.raw.sock.close()

    async def show_token(self, token: str | None = None) -> Seat:
        """Another connection on which the token of this one was shown, and what this one holds was told."""
        seat = Seat(self.server, self.path)
        seat.replica, seat.messages, seat.token = self.replica, self.messages, token or self.token
        await seat.upgrade(self.path)
        assert self.replica is not None
        hello = {"seat": seat.token, "tick": self.replica.tick, "messages": len(self.messages)}
        await seat.send([1, hello])
        return seat

    async def come_back(self) -> Seat:
        seat = await self.show_token()
        await seat.until(lambda message: message[0] == 10)
        await seat.frames(1)
        return seat


@asynccontextmanager
async def served(*rooms: type[Room], **options: Any) -> AsyncIterator[Server]:
    with trio.fail_after(20):
        async with serve(*rooms, port=0, seed=1, **options) as server:
            try:
                yield server
            finally:
                while SEATS:
                    SEATS.pop().leave()


def room_of(server: Server) -> Any:
    (room,) = server.rooms
    return room


def rows(seat: Seat) -> list[tuple[int, int, int]]:
    assert seat.replica is not None
    return [(row.id, row.x, row.serial) for row in seat.replica["Rock"]]


def world_rows(room: Any) -> list[tuple[int, int, int]]:
    return sorted((rock.id, rock.x, rock.serial) for rock in room.world[Rock])


async def test_after_a_reset_the_player_is_the_same_and_is_told_all() -> None:
    asked = []

    async def who(request: Any) -> Identity:
        asked.append(request.token)
        return Identity("id-7", name="Ada")

    async with served(Cave, authenticate=who) as server:
        seat = await Seat(server, "/cave").enter(token="secret")
        room = room_of(server)
        player = room.player(seat.number)
        await seat.send(encode_request(1, "count", 1), encode_message("count", 2, 2))
        await seat.until(lambda message: message[0] == 9)
        seat.reset()
        await until(lambda: not player.connected)
        assert room.player_count == 1
        for number in range(5):
            player.send("news", number)
        back = await seat.come_back()
        returned = next(message[1] for message in back.heard if message[0] == 10)
        assert returned["messages"] == 2
        assert back.messages == [[1, None, 1], *(["news", number] for number in range(5))]
        assert room.player(back.number) is player
        assert (player.identity.id, player.name, asked) == ("id-7", "Ada", ["secret"])
        assert room.diary == ["join Ada", "drop Ada", "return Ada"]
        await back.send(encode_request(2, "count", 2), encode_request(3, "count", 3))
        await back.until(lambda message: message[:2] == [9, 3])
        assert room.heard == [1, 2, 3], "what it said again counts once"


async def test_who_comes_back_before_the_server_has_noticed_takes_the_seat_over() -> None:
    async with served(Cave) as server:
        seat = await Seat(server, "/cave").enter()
        back = await seat.come_back()
        assert (await seat.closed())[0] == CloseCode.SEAT_TAKEN
        assert back.number == seat.number
        assert room_of(server).diary == ["join ", "drop ", "return "]


async def test_a_connection_that_the_server_gave_up_may_come_back() -> None:
    async with served(Cave) as server:
        seat = await Seat(server, "/cave").enter()
        (link,) = server.directory.loops[0].seating.connected
        link.close(CloseCode.TOO_SLOW, "too many unread messages")
        assert (await seat.closed())[0] == CloseCode.TOO_SLOW
        await seat.come_back()
        assert room_of(server).diary == ["join ", "drop ", "return "]


@pytest.mark.parametrize("code", [CloseCode.NORMAL, CloseCode.POLICY])
async def test_who_leaves_or_is_thrown_out_does_not_come_back(code: CloseCode) -> None:
    async with served(Cave) as server:
        seat = await Seat(server, "/cave").enter()
        room = room_of(server)
        if code == CloseCode.NORMAL:
            await seat.raw.send(b"\x88\x82\0\0\0\0" + int(code).to_bytes(2, "big"))
        else:
            room.player(seat.number).kick("cheat")
        assert (await seat.closed())[0] == code
        await until(lambda: not room.player_count)
        assert not any(entry.startswith("drop") for entry in room.diary)
        late = await seat.show_token()
        assert (await late.closed())[0] == CloseCode.SEAT_GONE


@pytest.mark.parametrize("how", ["expired", "kicked", "not held"])
async def test_a_seat_that_is_gone_is_gone(how: str) -> None:
    async with served(Short if how == "expired" else Cave) as server:
        seat = await Seat(server, "/short" if how == "expired" else "/cave").enter(name="Bo")
        room = room_of(server)
        room.hold_seconds = 0.0 if how == "not held" else None
        seat.reset()
        await until(lambda: "drop Bo" in room.diary)
        if how == "kicked":
            room.player(seat.number).kick("out with you")
        await until(lambda: not room.player_count)
        reason = {"kicked": "out with you"}.get(how, "")
        assert [entry[:8] for entry in room.diary] == ["join Bo", "drop Bo", "leave Bo"]
        assert room.diary[-1].endswith(reason)
        late = await seat.show_token()
        assert (await late.closed())[0] == CloseCode.SEAT_GONE
        assert len(server.directory.tokens) == 0


async def test_on_drop_may_hold_a_seat_for_longer() -> None:
    async with served(Short) as server:
        seat = await Seat(server, "/short").enter()
        room = room_of(server)
        room.hold_seconds = 20.0
        seat.reset()
        await until(lambda: room.diary[-1:] == ["drop "])
        await trio.sleep(3 * Short.allow_reconnection)
        await seat.come_back()
        assert room.diary[-1] == "return "


async def test_while_the_server_drains_nobody_comes_back_and_nobody_is_waited_for_too_long() -> None:
    async with served(Patient) as server:
        seat = await Seat(server, "/patient").enter()
        room = room_of(server)
        seat.reset()
        await until(lambda: room.diary[-1:] == ["drop "])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 0.6)
            await until(lambda: "drain" in room.diary)
            late = Seat(server, "/patient")
            await late.upgrade("/patient")
            await late.raw.until_eof()
            assert late.raw.received.startswith(b"HTTP/1.1 503")
        assert not server.rooms
        assert len(server.directory.tokens) == 0


@pytest.mark.parametrize("seconds", [1.0, pytest.param(5.0, marks=pytest.mark.slow)])
async def test_coming_back_to_a_quiet_world_costs_little(seconds: float) -> None:
    async with served(Quarry) as server:
        seat = await Seat(server, "/quarry").enter()
        room = room_of(server)
        upgraded = len(seat.raw.received.split(b"\r\n\r\n", 1)[0]) + 4
        full_bytes = _bytes_until_frame(seat, upgraded)
        seat.reset()
        await until(lambda: room.diary[-1:] == ["drop "])
        await trio.sleep(seconds)
        room.player(seat.number).send("news", "while you were away")
        back = await seat.show_token()
        await back.frames(1)
        upgraded = len(back.raw.received.split(b"\r\n\r\n", 1)[0]) + 4
        cost = _bytes_until_frame(back, upgraded)
        assert cost <= full_bytes / 10, f"{cost} of {full_bytes} bytes"
        assert rows(back) == world_rows(room)
        assert any(message[0] == 3 and message[1][1] >= 20 * seconds for message in back.heard), "it is a delta"


def _bytes_until_frame(seat: Seat, upgraded: int) -> int:
    """How many bytes came behind the upgrade, up to and with the first frame."""
    data, at = seat.raw.received, upgraded
    while True:
        length, head = data[at + 1], 2
        if length >= 126:
            head = 4 if length == 126 else 10
            length = int.from_bytes(data[at + 2 : at + head], "big")
        payload = data[at + head : at + head + length]
        at += head + length
        if data[at - length - head] & 15 == 2 and payload[0] == 0xDC and payload[3] == 3:
            return at - upgraded
        if data[at - length - head] & 15 == 2 and payload[0] >> 4 == 9 and payload[1] == 3:
            return at - upgraded


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/cave", "/bank"])
async def test_what_came_and_went_meanwhile_leaves_no_trace_and_no_id_means_another(path: str) -> None:
    async with served(Cave, Bank) as server:
        seat = await Seat(server, path).enter()
        room = room_of(server)
        old = [room.world.spawn(Rock, x=1, serial=1_000 + number) for number in range(10)]
        while len({row[2] for row in rows(seat)} & set(range(1_000, 1_010))) < 10:
            await seat.frames(1)
        held = {id: serial for id, _, serial in rows(seat)}
        seat.reset()
        await until(lambda: room.diary[-1:] == ["drop "])
        for rock in old:
            room.world.despawn(rock)
        for serial in range(2_000, 2_100):  # for longer than ids rest as a rule
            passing = room.world.spawn(Rock, x=2, serial=serial)
            tick = room.tick
            await until(lambda tick=tick: room.tick > tick)  # type: ignore[misc]
            if serial % 10:
                room.world.despawn(passing)
        back = await seat.come_back()
        await back.frames(30)
        assert rows(back) == world_rows(room)
        changed = {id for id, _, serial in rows(back) if held.get(id, serial) != serial}
        assert not changed
        if path == "/bank":
            assert back.replica is not None
            assert [row.gold for row in back.replica["Purse"]] == [77]


async def test_the_python_client_comes_back_by_itself() -> None:
    async with (
        served(Cave) as server,
        gameclient.connect(server.url("cave"), name="Eve") as session,
    ):
        room = room_of(server)
        answers = [await session.request("count", 1)]
        for number in range(2, 6):
            (link,) = server.directory.loops[0].seating.connected
            link._sock.shutdown(socket.SHUT_RDWR)
            answers.append(await session.request("count", number))
        assert answers == room.heard == [1, 2, 3, 4, 5]
        assert session.stats.returns == 4
        assert room.diary == ["join Eve", *["drop Eve", "return Eve"] * 4]
