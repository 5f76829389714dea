"""Seats and lists over HTTP with rooms that run: who reserves a seat gets it, and nobody else does meanwhile."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock

from gameserver import Entity, Identity, Player, Reject, Room, Server, fixed, serve
from gameserver.rooms.authentication import JoinRequest
from gameserver.rooms.metadata import Metadata
from tests.support.peers import Peer
from tests.support.raw_client import RawClient, until

#: Asks for a path with a method and a body; the status and what the answer says.
Ask = Callable[..., Any]


class Ship(Entity):
    x = fixed(0, 1000, step=1)


class DuelInfo(Metadata):
    mode: str = "classic"
    level: int = 1


class Duel(Room):
    entities = (Ship,)
    metadata = DuelInfo
    max_players = 2

    def on_create(self) -> None:
        self.password = str(self.options.get("password", ""))
        self.private = bool(self.options.get("private", False))
        self.joined: list[Player] = []

    def on_join(self, player: Player) -> None:
        self.joined.append(player)


class Members(Duel):
    """For those who show a token."""

    @classmethod
    async def authenticate(cls, request: JoinRequest) -> Identity | Reject:
        return Identity(request.token) if request.token.startswith("member") else Reject("members only")


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, Callable[[], socket.socket], Ask]]:
    socks: list[socket.socket] = []
    with trio.fail_after(120):
        async with serve({"duel": Duel, "members": Members}, port=0) as server:

            def connect() -> socket.socket:
                socks.append(socket.socket())
                socks[-1].bind(("127.0.0.2", 0))
                socks[-1].connect(("127.0.0.1", server.port))
                return socks[-1]

            async def ask(method: str, path: str, body: Any = None, head: str = "") -> tuple[int, Any]:
                data = b"" if body is None else json.dumps(body).encode()
                if data:
                    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
                client = RawClient(connect())
                await client.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + data)
                await client.until_eof()
                answer = client.received.partition(b"\r\n\r\n")
                return int(answer[0][9:12]), json.loads(answer[2])

            try:
                yield server, connect, ask
            finally:
                for sock in socks:
                    sock.close()


async def sit(sock: socket.socket, path: str, seat: str) -> Any:
    """Take a seat; the answer, or the code of the Close."""
    peer = Peer(sock)
    await peer.upgrade(path)
    await peer.send([1, {"seat": seat, "name": ""}])
    while not peer.raw.frames:
        assert await peer.raw.read()
    first = peer.raw.frames[0]
    return (await peer.next())[1] if isinstance(first, bytes) else (await peer.closed())[0]


async def test_who_reserves_a_seat_gets_it(autojump_clock: MockClock) -> None:
    async with served() as (server, connect, ask):
        status, said = await ask("POST", "/matchmake/create/duel", {"name": "Ann", "filter": {"mode": "blitz"}})
        assert status == 200
        assert said == {
            "room": "duel",
            "room_id": said["room_id"],
            "seat": said["seat"],
            "path": "/duel",
            "seconds": 15,
        }
        status, listed = await ask("GET", "/rooms?room=duel&mode=blitz&level.le=1")
        assert status == 200
        (room,) = listed["rooms"]
        assert (room["room_id"], room["players"], room["max_players"]) == (said["room_id"], 1, 2)
        assert room["metadata"] == {"mode": "blitz", "level": 1}
        welcome = await sit(connect(), said["path"], said["seat"])
        assert welcome["room_id"] == said["room_id"]
        await until(lambda: server.rooms[0].joined)  # type: ignore[attr-defined]
        assert [player.name for player in server.rooms[0].players] == ["Ann"]
        assert await sit(connect(), said["path"], said["seat"]) == 4013


async def test_a_reserved_seat_is_taken_for_as_long_as_it_waits(autojump_clock: MockClock) -> None:
    async with served() as (_, connect, ask):
        _, first = await ask("POST", "/matchmake/create/duel")
        where = f"/matchmake/join_by_id/duel/{first['room_id']}"
        status, second = await ask("POST", where)
        assert (status, second["room_id"]) == (200, first["room_id"])
        status, said = await ask("POST", where)
        assert (status, said["error"], said["code"]) == (409, "room_full", 4010)
        assert (await ask("POST", "/matchmake/join/duel"))[0] == 404
        assert (await sit(connect(), "/duel", second["seat"]))["room_id"] == first["room_id"]
        await trio.sleep(16)
        status, third = await ask("POST", where)
        assert (status, third["room_id"]) == (200, first["room_id"])
        assert await sit(connect(), "/duel", first["seat"]) == 4013


async def test_a_seat_that_is_taken_waits_no_more(autojump_clock: MockClock) -> None:
    """So a whole school may come from one address, ten at a time."""
    async with served() as (server, connect, ask):
        for _ in range(12):
            status, said = await ask("POST", "/matchmake/join_or_create/duel")
            assert status == 200
            assert isinstance(await sit(connect(), "/duel", said["seat"]), dict)
        assert sum(room.player_count for room in server.rooms) == 12
        statuses = [(await ask("POST", "/matchmake/create/duel"))[0] for _ in range(11)]
        assert statuses == [200] * 10 + [429]


async def test_who_may_not(autojump_clock: MockClock) -> None:
    async with served() as (_, _, ask):
        _, locked = await ask("POST", "/matchmake/create/duel", {"options": {"password": "xyzzy"}})
        where = f"/matchmake/join_by_id/duel/{locked['room_id']}"
        assert (await ask("POST", where))[1]["error"] == "wrong_password"
        assert (await ask("POST", where, {"password": "xyzzy"}))[0] == 200
        assert [room["has_password"] for room in (await ask("GET", "/rooms"))[1]["rooms"]] == [True]
        await ask("POST", "/matchmake/create/duel", {"options": {"private": True}})
        assert len((await ask("GET", "/rooms"))[1]["rooms"]) == 1
        assert (await ask("POST", "/matchmake/join/duel", {"filter": {"evil": 1}}))[1]["code"] == 4015
        assert (await ask("POST", "/matchmake/join/nothing"))[0] == 404
        status, said = await ask("POST", "/matchmake/create/members", {"token": "stranger"})
        assert (status, said) == (403, {"error": "not_admitted", "code": 4003, "reason": "members only"})
        assert (await ask("POST", "/matchmake/create/members", {}, "Authorization: Bearer member1\r\n"))[0] == 200


async def test_two_who_want_the_last_seat(autojump_clock: MockClock) -> None:
    async with served() as (_, _, ask):
        _, first = await ask("POST", "/matchmake/create/duel")
        statuses: list[int] = []

        async def one() -> None:
            statuses.append((await ask("POST", f"/matchmake/join_by_id/duel/{first['room_id']}"))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(one)
        assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
