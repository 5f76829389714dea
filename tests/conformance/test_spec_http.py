"""What SPEC.md says of HTTP holds for our server: the routes, what they answer, and the seats that they reserve."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
import trio

from gameserver import Room
from gameserver.http_api import _STATUSES, LISTED_ROOMS
from gameserver.net.http import BODY_BYTES, KEEP_SECONDS, KEPT_REQUESTS, PIECE_BYTES, SEND_SECONDS
from gameserver.rooms.metadata import Metadata
from gameserver.server import Server, serve
from gameserver.web.pace import ADDRESS_BURST, ADDRESS_PER_SECOND, LONGEST_WAIT_SECONDS
from tests.conformance.spec_link import Client, clients_of
from tests.conformance.test_spec_tables import SPEC, one_table


class DuelInfo(Metadata):
    mode: str = "classic"
    level: int = 1
    ranked: bool = False


class Duel(Room):
    metadata = DuelInfo
    max_players = 2


class Closed(Room):
    players_may_create = False


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, Callable[[], Client]]]:
    with trio.fail_after(10):
        async with serve(Duel, Closed) as server:
            with clients_of(server) as connect:
                yield server, connect


async def ask(client: Client, method: str, target: str, body: Any = None, **fields: str) -> tuple[int, Any]:
    """One request; the status, and the answer as JSON if it is that."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Host": "localhost", "Content_Type": "application/json"} | fields
    if method == "POST":
        fields["Content_Length"] = str(len(data))
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value)
    await client.raw.send(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + data)
    received = b""
    while part := await client.raw.sock.recv(65536):
        received += part
    head_bytes, _, answer = received.partition(b"\r\n\r\n")
    is_json = b"application/json" in head_bytes
    return int(head_bytes[9:12]), json.loads(answer) if is_json else head_bytes.decode()


def test_the_statuses_are_the_codes() -> None:
    rows = one_table("| status | codes |")
    told = {int(code): int(row[0]) for row in rows for code in re.findall(r"\b\d{4}\b", row[1])}
    expected = {code: int(_STATUSES.get(code, HTTPStatus.BAD_REQUEST)) for code in told}
    assert told == expected
    assert set(map(int, _STATUSES)) <= told.keys()
    assert f"the body has more than {BODY_BYTES} bytes" in SPEC
    assert f"at most {LISTED_ROOMS}" in SPEC


def test_the_figures_of_pages() -> None:
    text = " ".join(SPEC[SPEC.index("### 15.2") : SPEC.index("## 16.")].split())
    assert f"for up to {KEPT_REQUESTS} requests and {KEEP_SECONDS:g} seconds without one" in text
    assert f"more slowly than {PIECE_BYTES} bytes in {SEND_SECONDS:g} seconds" in text
    assert f"beyond {ADDRESS_BURST:g} at once and {ADDRESS_PER_SECOND:g} a second" in text
    assert f"longer than {LONGEST_WAIT_SECONDS:g} seconds" in text


@pytest.mark.parametrize(
    ("target", "fields", "status", "where"),
    [
        ("/duel", {"Accept": "text/html"}, 308, "/duel/"),
        ("/duel", {"Accept": "*/*"}, 426, None),
        ("/", {}, 200, None),
        ("/client.js", {}, 200, None),
        ("/extras.js", {}, 200, None),
        ("/overlay.js", {}, 200, None),
        ("/client.js", {"Range": "bytes=0-1"}, 206, None),
        ("/client.js", {"Range": "bytes=99999999-"}, 416, None),
        ("/client.js", {"If_None_Match": "*"}, 304, None),
        ("/other", {}, 404, None),
        ("/other/file", {"Accept": "text/html"}, 404, None),
    ],
)
async def test_pages_and_files(target: str, fields: dict[str, str], status: int, where: str | None) -> None:
    async with served() as (_, connect):
        found, head = await ask(connect(), "GET", target, Content_Type="", Connection="close", **fields)
        assert found == status
        lines = dict(line.split(": ", 1) for line in str(head).split("\r\n")[1:])
        assert lines.get("Location") == where
        assert ("ETag" in lines) is (target.endswith(".js") and status != 416)


async def test_an_upgrade_follows_a_page() -> None:
    async with served() as (_, connect):
        client = connect()
        await client.raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while not received.endswith(b"</html>\n"):
            received += await client.raw.sock.recv(65536)
        assert b"\r\nKeep-Alive: timeout=5\r\n" in received
        assert b"\r\nConnection:" not in received
        assert (await client.joined("/duel/"))["room"] == "duel"


async def test_a_list_of_rooms() -> None:
    async with served() as (server, connect):
        rooms = [server.house.create("duel", metadata={"level": level}) for level in (1, 3, 5)]
        server.house.create("duel", private=True)
        server.house.create("closed")
        rooms[1].password = "secret"
        rooms[2].locked = True
        server.house.reserve(rooms[0])
        status, answer = await ask(connect(), "GET", "/rooms")
        assert (status, len(answer["rooms"])) == (200, 4)
        example = json.loads(re.search(r'    (\{"rooms": .*?\n.*\n)', SPEC)[1])["rooms"][0]  # type: ignore[index]
        assert answer["rooms"][0].keys() >= example.keys()
        assert [(room["players"], room["has_password"], room["locked"]) for room in answer["rooms"]] == [
            (1, False, False),
            (0, True, False),
            (0, False, True),
            (0, False, False),
        ]
        assert answer["rooms"][3]["max_players"] is None
        for query, levels in (
            ("room=duel", [1, 3, 5]),
            ("level.ge=3", [3, 5]),
            ("room=duel&level.gt=1&level.lt=5", [3]),
            ("room=duel&level.in=1&level.in=5", [1, 5]),
            ("mode=classic&ranked=false&level=5", [5]),
            ("ranked=true", []),
        ):
            _, found = await ask(connect(), "GET", f"/rooms?{query}")
            assert [room["metadata"]["level"] for room in found["rooms"]] == levels, query


async def test_a_seat_is_reserved_and_taken() -> None:
    async with served() as (server, connect):
        wish = {"name": "Ann", "options": {"team": 2}, "filter": {"level": 3}, "password": "secret"}
        status, answer = await ask(connect(), "POST", "/matchmake/join_or_create/duel", wish)
        example = json.loads(re.search(r'    (\{"room": "duel".*\})', SPEC)[1])  # type: ignore[index]
        assert (status, answer.keys()) == (200, example.keys())
        assert (answer["room"], answer["path"], answer["seconds"]) == ("duel", "/duel", 15)
        assert (await connect().joined(answer["path"], seat=answer["seat"]))["room_id"] == answer["room_id"]
        (room,) = server.rooms
        assert (room.metadata.level, room.password, [player.name for player in room.players]) == (3, "secret", ["Ann"])
        assert await connect().refused("/duel", seat=answer["seat"]) == 4013
        target = f"/matchmake/join_by_id/duel/{room.id}"
        assert (await ask(connect(), "POST", target, {"password": "secret"}))[0] == 200
        status, full = await ask(connect(), "POST", target, {"password": "secret"})
        assert (status, full["error"], full["code"]) == (409, "room_full", 4010)


@pytest.mark.parametrize(
    ("method", "target", "body", "fields", "status", "code"),
    [
        ("POST", "/matchmake/join/duel", None, {}, 404, 4004),
        ("POST", "/matchmake/join/nowhere", None, {}, 404, 4004),
        ("POST", "/matchmake/join_by_id/duel/77", {}, {}, 404, 4004),
        ("POST", "/matchmake/create/closed", {}, {}, 400, 4015),
        ("POST", "/matchmake/join/duel", {"filter": {"colour": 1}}, {}, 400, 4015),
        ("POST", "/matchmake/join/duel", {"spectate": True}, {}, 400, 4015),
        ("POST", "/matchmake/create/duel", {"later": 1}, {}, 400, 1007),
        ("POST", "/matchmake/create/duel", [], {}, 400, 1007),
        ("POST", "/matchmake/create/duel", b"{", {}, 400, 1007),
        ("POST", "/matchmake/create/duel", {"name": "n" * 65}, {}, 400, 1007),
        ("POST", "/matchmake/create/duel", b"x" * 16385, {}, 413, 1009),
        ("POST", "/matchmake/create/duel", {}, {"Content_Type": "text/plain"}, 415, 1003),
        ("POST", "/rooms", {}, {}, 405, None),
        ("GET", "/matchmake/create/duel", None, {}, 405, None),
        ("GET", "/healthz", None, {}, 200, None),
        ("GET", "/readyz", None, {}, 200, None),
        ("GET", "/rooms?room=nowhere", None, {}, 404, 4004),
        ("GET", "/rooms?room=duel&level=many", None, {}, 400, 4015),
        ("POST", "/matchmake/create/duel", {}, {"Origin": "https://elsewhere.example"}, 403, 4003),
    ],
)
async def test_what_is_answered(
    method: str, target: str, body: Any, fields: dict[str, str], status: int, code: int | None
) -> None:
    async with served() as (server, connect):
        found, answer = await ask(connect(), method, target, body, **fields)
        assert found == status
        if code is not None:
            assert answer["code"] == code
            assert isinstance(answer["reason"], str)
        assert not server.rooms
