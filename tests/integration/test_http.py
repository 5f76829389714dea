"""Plain HTTP on the game's port, over real TCP: who is answered what, with raw sockets, http.client and curl.

Requests come from 127.0.0.2 and on where the door is to count them, unlike 127.0.0.1. Time is virtual except for
clients that are no tasks of ours.
"""

from __future__ import annotations

import http.client
import json
import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gameprotocol import CloseCode, ProtocolError
from gameserver.net import RefusedRequestError, Tls, open_listeners, serve_listeners
from gameserver.net.http import ANSWER_SECONDS, BODY_BYTES, SEND_SECONDS
from tests.support.fake_games import Games, duel
from tests.support.raw_client import RawClient, until, upgrade_request

#: Connects from an address; the connection is closed after the test.
Connect = Callable[..., socket.socket]
GAME = "https://game.example"


@asynccontextmanager
async def served(games: Games) -> AsyncIterator[tuple[int, Connect]]:
    """The port, and what connects to it."""
    socks: list[socket.socket] = []
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]

    def connect(source: str = "127.0.0.2", receive_bytes: int = 0) -> socket.socket:
        sock = socket.socket()
        socks.append(sock)
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        return sock

    try:
        with trio.fail_after(300):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_listeners, listeners, games, nursery)
                yield port, connect
                nursery.cancel_scope.cancel()
    finally:
        games.poller.close()
        for sock in socks:
            sock.close()


def request_to(target: str, method: str = "GET", body: bytes = b"", **fields: str) -> bytes:
    """A request; underscores in names stand for hyphens."""
    headers = {"Host": "localhost"} | {name.replace("_", "-"): value for name, value in fields.items()}
    if body:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))} | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


class Answer:
    """What came until the server hung up.

    Attributes:
        status, fields, body: of it; names in lower case, values joined by commas.
    """

    def __init__(self, received: bytes) -> None:
        head, _, self.body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split(" ")[1])
        self.fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            had = self.fields.get(name.lower())
            self.fields[name.lower()] = value if had is None else f"{had}, {value}"

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(sock: socket.socket, request: bytes) -> Answer:
    client = RawClient(sock)
    await client.send(request)
    await client.until_eof()
    return Answer(client.received)


SEAT = "/matchmake/join/duel"
ANSWERS: list[tuple[bytes, int, str, str]] = [
    (request_to("/rooms"), 200, "", '{"rooms":[{"room":"duel","room_id":"1"'),
    (request_to("/rooms?room=duel&level.ge=2"), 200, "", '{"rooms":[]}'),
    (request_to("/rooms?room=none"), 404, "", "no such room"),
    (request_to("/rooms", "HEAD"), 200, "", ""),
    (request_to("/rooms", "OPTIONS"), 204, "GET, HEAD, OPTIONS", ""),
    (request_to("/rooms", "POST"), 405, "GET, HEAD, OPTIONS", "Only GET, HEAD and OPTIONS are served here."),
    (request_to("/rooms", "PUT"), 405, "GET, HEAD, POST, OPTIONS", "Only GET, HEAD, POST and OPTIONS are served"),
    (request_to(SEAT, "POST", b"{}"), 200, "", '"seat":"seat-1"'),
    (request_to(SEAT, "POST"), 200, "", '"seat":"seat-1"'),
    (request_to(SEAT, "OPTIONS"), 204, "POST, OPTIONS", ""),
    (request_to(SEAT), 405, "POST, OPTIONS", "Only POST and OPTIONS are served here."),
    (request_to(SEAT, "HEAD"), 405, "POST, OPTIONS", ""),
    (request_to("/matchmake/nowhere", "POST"), 404, "", "unknown_room"),
    (request_to(SEAT, "POST", b"{", Content_Type="text/plain"), 415, "", "unsupported"),
    (request_to(SEAT, "POST", b"{"), 400, "", "the body is not JSON"),
    (request_to(SEAT, "POST", b"{}", Content_Length=str(BODY_BYTES + 1)), 413, "", "too_big"),
    (request_to(SEAT, "POST", b"0\r\n\r\n", Transfer_Encoding="chunked"), 400, "", "Transfer-Encoding and Expect"),
    (request_to("/healthz"), 200, "", "ok"),
    (request_to("/healthz", "HEAD"), 200, "", ""),
    (request_to("/room"), 426, "", "This is a WebSocket: connect with ws:// or wss://."),
    (request_to("/room", "HEAD"), 426, "", ""),
    (request_to("/room", "POST", b"{}"), 405, "GET, HEAD", "Only GET and HEAD are served here."),
    (request_to("/room", "OPTIONS"), 405, "GET, HEAD", "Only GET and HEAD are served here."),
    (request_to("/nowhere"), 404, "", "No such room."),
    (request_to("/nowhere", "HEAD"), 404, "", ""),
    (request_to("/nowhere", "POST", b"{}"), 404, "", '"error": "unknown_path"'),
    (upgrade_request(SEAT).replace(b"GET", b"POST"), 405, "GET", "Only GET is served here."),
    (upgrade_request("/rooms").replace(b"GET", b"HEAD"), 405, "GET", "Only GET is served here."),
]


@pytest.mark.parametrize(("request_", "status", "allow", "text"), ANSWERS)
async def test_answers(request_: bytes, status: int, allow: str, text: str, autojump_clock: MockClock) -> None:
    async with served(Games(duel("1"))) as (_, connect):
        began = trio.current_time()
        answer = await ask(connect(), request_)
        assert trio.current_time() - began < 0.2  # the end comes with the answer
    assert answer.status == status
    assert answer.fields.get("allow", "") == allow
    assert answer.fields["connection"].lower() in ("close", "close, upgrade")
    assert ("upgrade" in answer.fields) is (status == 426)
    assert text in answer.body.decode()
    if status == 204 or (request_.startswith(b"HEAD") and b"websocket" not in request_):
        assert answer.body == b""
    else:
        assert int(answer.fields["content-length"]) == len(answer.body)
    if answer.fields.get("content-type") == "application/json":
        assert answer.fields["cache-control"] == "no-store"
        assert answer.fields["x-content-type-options"] == "nosniff"


async def test_a_head_tells_what_a_get_would(autojump_clock: MockClock) -> None:
    for path in ("/rooms", "/healthz", "/nowhere", "/room", SEAT):
        async with served(Games(duel("1"))) as (_, connect):
            get, head = [await ask(connect(), request_to(path, method)) for method in ("GET", "HEAD")]
        assert (head.status, head.fields, head.body) == (get.status, get.fields, b"")


# ---- other people's clients


async def test_the_client_of_the_standard_library() -> None:
    games = Games(duel("1"))

    def visit(port: int) -> list[tuple[int, bytes]]:
        found = []
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Content-Type": "application/json"}
        for method, path, body in [
            ("GET", "/rooms", None),
            ("HEAD", "/rooms", None),
            ("POST", SEAT, b'{"name": "Ann"}'),
            ("POST", SEAT, b" " * BODY_BYTES),
            ("POST", SEAT, b"{}" + b" " * (BODY_BYTES - 2)),
            ("OPTIONS", SEAT, None),
            ("DELETE", SEAT, None),
        ]:
            connection.request(method, path, body, headers if body else {})  # it connects anew by itself
            answer = connection.getresponse()
            found.append((answer.status, answer.read()))
        connection.close()
        return found

    async with served(games) as (port, _):
        found = await trio.to_thread.run_sync(visit, port)
    assert [status for status, _ in found] == [200, 200, 200, 400, 200, 204, 405]
    assert json.loads(found[0][1])["rooms"][0]["room_id"] == "1"
    assert json.loads(found[2][1])["seat"] == "seat-1"
    assert games.matchmaker.asked[0][1].name == "Ann"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
async def test_curl() -> None:
    games = Games(duel("1"))

    def curl(port: int, path: str, *arguments: str) -> list[str]:
        command = ["curl", "-sS", "-m", "20", "-w", "\n%{http_code}", *arguments, f"http://127.0.0.1:{port}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.rsplit("\n", 1)

    async with served(games) as (port, _):
        run = trio.to_thread.run_sync
        typed = ("-H", "Content-Type: application/json")
        assert (await run(curl, port, "/rooms"))[1] == "200"
        assert (await run(curl, port, "/rooms", "-I"))[1] == "200"
        assert (await run(curl, port, "/rooms", "--http2"))[1] == "200"
        body, status = await run(curl, port, SEAT, "-d", '{"name": "Ann"}', *typed)
        assert (json.loads(body)["seat"], status) == ("seat-1", "200")
        assert (await run(curl, port, SEAT, "-X", "POST"))[1] == "200"
        body, status = await run(curl, port, SEAT, "-d", "name=Ann")
        assert (json.loads(body)["error"], status) == ("unsupported", "415")
        body, status = await run(curl, port, SEAT, "-d", "x" * 100_000, *typed)
        assert (json.loads(body)["error"], status) == ("too_big", "413")
        assert (await run(curl, port, "/healthz"))[0] == "ok\n"


async def test_over_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", *made, *named, "-keyout", str(key), "-out", str(certificate)]
    await trio.run_process(command, capture_stdout=True, capture_stderr=True)
    rooms = [duel(str(number), mode="x" * 100) for number in range(400)]
    games = Games(*rooms, tls=Tls(certificate, key))
    padded = b'{"name": "Ann"' + b" " * 9000 + b"}"

    def visit(port: int) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)
        connection.request("POST", SEAT, iter([padded[:5], padded[5:8000], padded[8000:]]), {
            "Content-Type": "application/json", "Content-Length": str(len(padded)),
        })  # fmt: skip
        seat = connection.getresponse().read()
        connection.request("GET", "/rooms")
        rooms = connection.getresponse().read()
        connection.close()
        return len(json.loads(rooms)["rooms"]), json.loads(seat)

    async with served(games) as (port, _):
        count, seat = await trio.to_thread.run_sync(visit, port)
    assert (count, seat["seat"]) == (400, "seat-1")


# ---- pages

#: The setting origins, the page's Origin, and whether it may connect.
ORIGINS: list[tuple[tuple[str, ...], str | None, bool]] = [
    ((), None, True),
    ((), "http://localhost", True),
    ((), "http://localhost:5173", True),
    ((), "https://evil.example", False),
    ((), "null", False),
    ((GAME,), GAME, True),
    ((GAME,), None, True),
    ((GAME,), "https://game.example:8443", False),
    ((GAME,), "http://localhost", False),
    (("*",), "https://evil.example", True),
]


@pytest.mark.parametrize(("origins", "origin", "may"), ORIGINS)
async def test_pages(origins: tuple[str, ...], origin: str | None, may: bool, autojump_clock: MockClock) -> None:
    games = Games(duel("1"), origins=origins)
    fields = {} if origin is None else {"Origin": origin}
    async with served(games) as (_, connect):
        for request, status in [
            (request_to("/rooms", **fields), 200),
            (request_to("/healthz", **fields), 200),
            (request_to("/room", **fields), 426),
            (request_to("/rooms", "OPTIONS", Access_Control_Request_Method="GET", **fields), 204 if may else 403),
            (request_to(SEAT, "OPTIONS", Access_Control_Request_Method="POST", **fields), 204 if may else 403),
            (request_to(SEAT, "POST", b"{}", **fields), 200 if may else 403),
            (request_to(SEAT, "POST", b"{", **fields), 400 if may else 403),
            (request_to(SEAT, "POST", b"{}", **fields, Content_Length="99999"), 413 if may else 403),
        ]:
            answer = await ask(connect(), request)
            assert answer.status == status
            assert answer.fields["vary"] == "Origin"
            assert answer.fields.get("access-control-allow-origin") == (origin if may else None)
            assert ("access-control-allow-methods" in answer.fields) is (status == 204)
            assert "access-control-allow-credentials" not in answer.fields
            assert may or b"evil" not in answer.body
    assert len(games.matchmaker.asked) == may


# ---- bodies that come slowly, or not at all


async def test_a_body_in_pieces(autojump_clock: MockClock) -> None:
    games = Games()
    async with served(games) as (_, connect):
        client = RawClient(connect())
        request = request_to(SEAT, "POST", b'{"name": "Ann"}')
        for at in range(0, len(request), 9):
            await client.send(request[at : at + 9])
            await trio.sleep(0.1)
        await client.until_eof()
        assert Answer(client.received).status == 200
        assert games.matchmaker.asked[0][1].name == "Ann"


async def test_a_body_that_does_not_come(autojump_clock: MockClock) -> None:
    games = Games()
    async with served(games) as (_, connect):
        began = trio.current_time()
        late, gone = RawClient(connect()), RawClient(connect())
        for client in (late, gone):
            await client.send(request_to(SEAT, "POST", b"{}")[:-1])
        gone.sock.shutdown(socket.SHUT_WR)
        await gone.until_eof()
        assert trio.current_time() - began < 1
        await late.until_eof()
        assert 4.9 < trio.current_time() - began < 6
        assert late.received == gone.received == b""
        assert not games.matchmaker.asked
        await until(lambda: games.entrance.door.connections == 0)


async def test_what_comes_behind_a_request_is_nobodys(autojump_clock: MockClock) -> None:
    games = Games()
    async with served(games) as (_, connect):
        request = request_to(SEAT, "POST", b"{}")
        answer = await ask(connect(), request * 3 + request_to("/healthz"))
        assert answer.json["seat"] == "seat-1"
    assert len(games.matchmaker.asked) == 1


# ---- what goes wrong


async def test_a_defect_is_logged_and_told_without_details(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    games = Games()
    games.failure = ValueError("what nobody may see")
    async with served(games) as (_, connect):
        answer = await ask(connect(), request_to("/other"))
        assert (answer.status, answer.body) == (500, b"internal error\n")
        games.matchmaker.error = RuntimeError("what nobody may see")
        answer = await ask(connect(), request_to(SEAT, "POST", b"{}"))
        assert (answer.status, answer.json["error"]) == (500, "failed")
        assert b"nobody" not in answer.body
        games.failure = FileNotFoundError("what nobody may see")
        assert (await ask(connect(), request_to("/other"))).status == 500
        client = RawClient(connect())
        await client.send(request_to("/broken"))
        await client.until_eof()
        assert client.received == b""
        games.failure = None
        assert (await ask(connect(), request_to("/healthz"))).status == 200
    met = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [message.split(" peer")[0] for message in met] == [
        *["a request met a defect"] * 3,
        "dropped because of a defect",
    ]


async def test_what_a_handler_refuses(autojump_clock: MockClock) -> None:
    games = Games(origins=[GAME])
    games.failure = RefusedRequestError(HTTPStatus.NOT_FOUND, "Not this one.", retry_after_seconds=3)
    async with served(games) as (_, connect):
        answer = await ask(connect(), request_to("/other", Origin=GAME))
        assert (answer.status, answer.body, answer.fields["retry-after"]) == (404, b"Not this one.\n", "3")
        assert answer.fields["access-control-allow-origin"] == GAME


async def test_a_handler_that_takes_too_long(autojump_clock: MockClock) -> None:
    games = Games()
    games.matchmaker.seconds = 1000.0
    async with served(games) as (_, connect):
        began = trio.current_time()
        answer = await ask(connect(), request_to(SEAT, "POST", b"{}"))
        assert answer.status == 503
        assert answer.fields["retry-after"] == "5"
        assert ANSWER_SECONDS <= trio.current_time() - began < ANSWER_SECONDS + 1
        assert len(games.api.waiting) == 0


async def test_an_answer_that_nobody_reads(autojump_clock: MockClock) -> None:
    """It is larger than what the kernel holds; others are answered meanwhile."""
    games = Games(*(duel(str(number), mode="x" * 5000) for number in range(500)))
    async with served(games) as (_, connect):
        stuck = RawClient(connect(receive_bytes=4096))
        await stuck.send(request_to("/rooms"))
        await trio.sleep(1)
        began = trio.current_time()
        assert len((await ask(connect(), request_to("/rooms"))).json["rooms"]) == 500
        await trio.sleep(1)
        assert games.entrance.door.connections == 1
        await until(lambda: games.entrance.door.connections == 0)
        assert trio.current_time() - began < SEND_SECONDS + 1


async def test_a_server_that_drains(autojump_clock: MockClock) -> None:
    games = Games(duel("1"), origins=[GAME])
    games.entrance.door.closed_for_seconds = 2.0
    async with served(games) as (_, connect):
        assert (await ask(connect(), request_to("/rooms"))).status == 200
        assert (await ask(connect(), request_to("/healthz"))).status == 200
        answer = await ask(connect(), request_to(SEAT, "POST", b"{}", Origin=GAME))
        assert (answer.status, answer.fields["retry-after"], answer.json["error"]) == (503, "2", "try_later")
        assert answer.fields["access-control-allow-origin"] == GAME
    assert not games.matchmaker.asked


async def test_when_to_come_back(autojump_clock: MockClock) -> None:
    games = Games()
    games.matchmaker.error = ProtocolError(CloseCode.TRY_LATER, "duel has failed several times; reconnect in 7.5 s")
    async with served(games) as (_, connect):
        answer = await ask(connect(), request_to(SEAT, "POST", b"{}"))
    assert (answer.status, answer.fields["retry-after"], answer.json["code"]) == (503, "8", 1013)


# ---- how many


async def test_no_eleventh_seat_waits_for_an_address(autojump_clock: MockClock) -> None:
    games = Games()
    post = request_to(SEAT, "POST", b"{}")
    async with served(games) as (_, connect):
        seats = [(await ask(connect(), post)).json["seat"] for _ in range(10)]
        answer = await ask(connect(), post)
        assert (answer.status, answer.fields["retry-after"]) == (429, "5")
        assert (answer.json["error"], answer.json["code"]) == ("try_later", 1013)
        assert (await ask(connect("127.0.0.3"), post)).status == 200
        for _ in range(12):
            assert (await ask(connect("127.0.0.1"), post)).status == 200  # the own machine's programs
        games.api.waiting.take(seats[3])
        assert (await ask(connect(), post)).status == 200
        assert (await ask(connect(), post)).status == 429
        await trio.sleep(15)
        assert (await ask(connect(), post)).status == 200


async def test_refused_seats_do_not_count_and_asking_does(autojump_clock: MockClock) -> None:
    games = Games()
    post = request_to(SEAT, "POST", b"{}")
    async with served(games) as (_, connect):
        games.matchmaker.error = ProtocolError(CloseCode.ROOM_FULL, "full")
        for _ in range(15):
            assert (await ask(connect(), post)).status == 409
        games.matchmaker.seconds = 3.0
        statuses: list[int] = []

        async def one() -> None:
            statuses.append((await ask(connect(), post)).status)

        async with trio.open_nursery() as nursery:
            for _ in range(15):
                nursery.start_soon(one)
        assert sorted(statuses) == [409] * 10 + [429] * 5


async def test_requests_count_at_the_door_like_players(autojump_clock: MockClock) -> None:
    games = Games(duel("1"))
    async with served(games) as (_, connect):
        statuses = [(await ask(connect(), request_to("/rooms"))).status for _ in range(61)]
        assert statuses == [200] * 60 + [429]
        assert (await ask(connect("127.0.0.3"), request_to("/rooms"))).status == 200


async def test_behind_a_proxy_its_clients_count(autojump_clock: MockClock) -> None:
    games = Games(duel("1"), trusted_proxies=["127.0.0.9"])
    ask_for = partial(request_to, X_Forwarded_For="192.0.2.1")
    async with served(games) as (_, connect):
        for _ in range(10):
            assert (await ask(connect("127.0.0.9"), ask_for(SEAT, "POST", b"{}"))).status == 200
        assert games.matchmaker.asked[0][3] == "192.0.2.1"
        assert (await ask(connect("127.0.0.9"), ask_for(SEAT, "POST", b"{}"))).status == 429
        other = request_to(SEAT, "POST", b"{}", X_Forwarded_For="192.0.2.2")
        assert (await ask(connect("127.0.0.9"), other)).status == 200
        statuses = [(await ask(connect("127.0.0.9"), ask_for("/rooms"))).status for _ in range(50)]
        assert statuses == [200] * 49 + [429]
        for _ in range(70):  # of the proxy itself: it asks whether the server lives
            assert (await ask(connect("127.0.0.9"), request_to("/healthz"))).status == 200
