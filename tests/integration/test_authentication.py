"""Who a player is, before it has a seat: what the author is shown, what players are told, what no log ever holds."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import msgpack
import pytest
import trio
from trio.testing import MockClock

import gameclient
from gameprotocol import SUBPROTOCOL, limits
from gameserver import Identity, Input, JoinRequest, Limits, Player, Reject, Room, Server, serve
from gameserver.logs import JsonLines, TextLines
from gameserver.rooms.authentication import Authenticate
from tests.integration.test_cli import Running, run
from tests.support.peers import Peer
from tests.support.raw_client import frame, until, upgrade_request

TOKEN = "eyJhbGciOiJIUzI1NiJ9.Zm9v.a-token-that-nobody-may-see"
COOKIE = "sid=a-cookie-that-nobody-may-see"
SECRETS = (TOKEN, "nobody-may-see")


class Steer(Input):
    turn: int = 0


class Club(Room):
    """Remembers who came, who went, and what was said."""

    input = Steer
    inputs_per_tick = 8

    def on_create(self) -> None:
        self.diary: list[tuple[Any, ...]] = []

    def on_join(self, player: Player) -> None:
        self.diary.append(("join", player.name, player.identity))

    def on_leave(self, player: Player, reason: str) -> None:
        self.diary.append(("leave", player.name))

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.diary.append(("message", payload))

    def step(self, dt: float) -> None:
        self.diary += [("input", steer.turn) for _, steer in self.inputs if steer.turn]


def club(hook: Authenticate, **more: Any) -> type[Club]:
    """A `Club` that asks ``hook``."""

    async def authenticate(cls: type[Room], request: JoinRequest) -> Any:
        return await hook(request)

    return type("Club", (Club,), {"authenticate": classmethod(authenticate), **more})


def answers(answer: Any) -> Any:
    """A hook that always returns ``answer``."""

    async def hook(request: JoinRequest) -> Any:
        return answer

    return hook


@asynccontextmanager
async def served(*rooms: Any, **arguments: Any) -> AsyncIterator[tuple[Server, Callable[[], Peer]]]:
    """A server, and what makes peers of it."""
    peers: list[Peer] = []
    with trio.fail_after(300):
        async with serve(*rooms, **{"port": 0, **arguments}) as server:

            def connect(tcp: bool = False) -> Peer:
                address = ("127.0.0.1", server.port)
                peers.append(Peer(socket.create_connection(address) if tcp else server.open_socket()))
                return peers[-1]

            try:
                yield server, connect
            finally:
                for peer in peers:
                    peer.leave()


async def knock(peer: Peer, path: str = "/club", behind: bytes = b"", **hello: Any) -> None:
    """Upgrade with a cookie and say hello with a token; ``behind`` leaves in the same packet as the hello."""
    await peer.raw.send(upgrade_request(path, Sec_WebSocket_Protocol=SUBPROTOCOL, Cookie=COOKIE))
    await peer.raw.send(frame(msgpack.packb([1, {"token": TOKEN, **hello}])) + behind)


async def welcomed(peer: Peer) -> Any:
    return (await peer.until(lambda message: message[0] == 2))[1]


def all_that_is_logged(caplog: pytest.LogCaptureFixture) -> str:
    """As our two formatters and the standard one write it."""
    formatters = (TextLines(), JsonLines(), logging.Formatter("%(message)s %(pathname)s"))
    return "\n".join(formatter.format(record) for record in caplog.records for formatter in formatters)


# ---- what comes of an answer


@pytest.mark.parametrize(("given", "shown"), [(None, "Ada"), ("Countess", "Countess"), ("", "")])
async def test_the_identity_reaches_the_player(autojump_clock: MockClock, given: str | None, shown: str) -> None:
    identity = Identity(id="17", name=given, data={"team": 2})
    async with served(club(answers(identity))) as (server, connect):
        peer = connect()
        await knock(peer, name="Ada")
        await welcomed(peer)
        await peer.frames(1)
        ((_, name, found),) = server.room().diary
        assert (name, found) == (shown, identity)
        assert found is identity


async def test_without_a_hook_nobody_is_anybody(autojump_clock: MockClock) -> None:
    async with served(Club) as (server, connect):
        peer = connect()
        await knock(peer, name="Ada")
        await welcomed(peer)
        assert server.room().diary == [("join", "Ada", None)]


async def sleep_too_long(request: JoinRequest) -> Identity:
    await trio.sleep(5.5)
    return Identity("late")


def fails(error: Callable[[JoinRequest], BaseException]) -> Any:
    async def hook(request: JoinRequest) -> Identity:
        raise error(request)

    return hook


class TellingError(Exception):
    """Its text is not among its arguments."""

    def __init__(self, request: JoinRequest) -> None:
        super().__init__()
        self._request = request

    def __str__(self) -> str:
        return f"cannot read {self._request.token!r}"


def caused(request: JoinRequest) -> Exception:
    error = ValueError("no session")
    error.__cause__ = KeyError(request.headers["cookie"])
    return error


@pytest.mark.parametrize(
    ("hook", "code", "reason", "logged"),
    [
        (answers(Reject("you are not on the list")), 4003, "you are not on the list", "not admitted"),
        (answers(Reject()), 4003, "not admitted", "not admitted"),
        (answers(Reject("x" * 124)), 4003, "x" * 123, "not admitted"),
        (answers(Reject("\N{EURO SIGN}" * 60)), 4003, "\N{EURO SIGN}" * 41, "not admitted"),
        (answers(None), 1011, "internal error", "returned='NoneType'"),
        (answers(True), 1011, "internal error", "returned='bool'"),
        (answers(TOKEN), 1011, "internal error", "returned='str'"),
        (answers(Reject), 1011, "internal error", "returned='type'"),
        (fails(lambda request: ZeroDivisionError("as told")), 1011, "internal error", "ZeroDivisionError: as told"),
        (fails(lambda request: KeyError(request.token)), 1011, "internal error", "KeyError"),
        (fails(lambda request: ValueError(f"bad {request}")), 1011, "internal error", "ValueError"),
        (fails(TellingError), 1011, "internal error", "TellingError"),
        (fails(caused), 1011, "internal error", "ValueError"),
        (
            fails(lambda request: ExceptionGroup("", [KeyError(request.token)])),
            1011,
            "internal error",
            "ExceptionGroup",
        ),
        (fails(lambda request: trio.TooSlowError()), 1011, "internal error", "TooSlowError"),
        (sleep_too_long, 1013, "could not find out who you are in time; reconnect in 5.0 s", "too long"),
    ],
)
async def test_who_is_not_let_in_is_told_and_leaves_nothing(
    autojump_clock: MockClock, hook: Authenticate, code: int, reason: str, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with served(club(hook), {"open": Club}) as (server, connect):
        present, peer = connect(), connect(tcp=True)
        await present.join("/open")
        await knock(peer, f"/club?access_token={TOKEN}")
        assert await peer.closed() == (code, reason)
        peer.leave()
        await until(lambda: server.entrance.door.connections == 1)
        assert [room.name for room in server.rooms] == ["open"], "a room was made for somebody who is not let in"
        await present.frames(2)
    said = all_that_is_logged(caplog)
    assert logged in said
    lines = [text for record in caplog.records if "room opens" not in (text := record.getMessage())]
    assert all("peer=127.0.0.1" in line for line in lines)
    assert not any(secret in said for secret in SECRETS), said


async def test_a_rejection_is_one_line(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with served(club(answers(Reject("you are not on the list")))) as (server, connect):
        peer = connect()
        await knock(peer)
        await peer.closed()
        peer.leave()
        await until(lambda: not server.entrance.door.connections)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("hook", [answers(None), answers(Reject()), fails(lambda request: KeyError("key"))])
async def test_who_knocks_again_and_again_gets_few_lines(
    autojump_clock: MockClock, hook: Authenticate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with served(club(hook)) as (_, connect):
        for _ in range(40):
            peer = connect(tcp=True)
            await knock(peer)
            await peer.closed()
            peer.leave()
    assert 5 <= len(caplog.records) <= 20  # five of each event, and one a second


async def test_the_traceback_of_a_hook_that_fails_names_its_line(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    for hook in (fails(lambda request: KeyError("key")), fails(lambda request: KeyError(request.token))):
        caplog.clear()
        async with served(club(hook)) as (_, connect):
            peer = connect()
            await knock(peer)
            await peer.closed()
        assert "raise error(request)" in all_that_is_logged(caplog)


async def test_a_server_that_stops_waits_for_no_hook(autojump_clock: MockClock) -> None:
    asked, cancelled = trio.Event(), trio.Event()

    async def hook(request: JoinRequest) -> Identity:
        asked.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    with trio.fail_after(20):
        async with serve(club(hook)) as server:
            peer = Peer(server.open_socket())
            await knock(peer)
            await asked.wait()
            began = trio.current_time()
        assert trio.current_time() - began <= 1
        assert cancelled.is_set()
        assert (await peer.closed())[0] == 1001
        peer.leave()


# ---- what a hook is shown


async def test_a_hook_is_shown_all_that_a_player_has_said(autojump_clock: MockClock) -> None:
    shown: list[JoinRequest] = []

    async def hook(request: JoinRequest) -> Identity:
        shown.append(request)
        return Identity("1")

    async with served({"a-room": club(hook)}, trusted_proxies=["127.0.0.1"]) as (_, connect):
        peer = connect(tcp=True)
        fields = {"Cookie": COOKIE, "Authorization": "Bearer 5", "X_Forwarded_For": "1.2.3.4, 5.6.7.8", "X_Mine": "a"}
        path = "/a-room?map=old&map=new&empty=&name=%C3%84da+B"
        await peer.raw.send(upgrade_request(path, Sec_WebSocket_Protocol=SUBPROTOCOL, **fields))
        await peer.send([1, {"name": "Ada", "token": TOKEN, "options": {"colour": 3}}])
        await welcomed(peer)
        inside = connect()
        await inside.upgrade("/a-room")
        await inside.send([1, {}])
        await welcomed(inside)
    request, bare = shown
    assert request.room == "a-room"
    assert request.query == {"map": "new", "empty": "", "name": "\N{LATIN CAPITAL LETTER A WITH DIAERESIS}da B"}
    assert {name: request.headers[name] for name in ("cookie", "authorization", "x-mine", "host")} == {
        "cookie": COOKIE,
        "authorization": "Bearer 5",
        "x-mine": "a",
        "host": "localhost",
    }
    assert (request.token, request.name, request.options) == (TOKEN, "Ada", {"colour": 3})
    assert request.address == "5.6.7.8"
    assert (bare.token, bare.name, bare.options, bare.query, bare.address) == ("", "", {}, {}, "")


def test_what_must_not_be_shown_is_not_in_the_requests_text() -> None:
    request = JoinRequest(
        room="club",
        query={"access_token": TOKEN},
        headers={"cookie": COOKIE},
        token=TOKEN,
        name="Ada",
        options={"password": TOKEN},
        address="1.2.3.4",
    )
    for text in (repr(request), str(request), f"{request}"):
        assert not any(secret in text for secret in SECRETS), text
        assert all(part in text for part in ("club", "Ada", "1.2.3.4"))


@pytest.mark.parametrize("size", [limits.CLIENT_TEXT_BYTES, limits.CLIENT_TEXT_BYTES + 1])
async def test_how_long_a_token_may_be(autojump_clock: MockClock, size: int) -> None:
    async def hook(request: JoinRequest) -> Identity:
        return Identity(str(len(request.token)))

    async with served(club(hook)) as (server, connect):
        peer = connect()
        await knock(peer, token="t" * size)
        if size > limits.CLIENT_TEXT_BYTES:
            assert (await peer.closed())[0] == 1007
        else:
            await welcomed(peer)
            assert server.room().diary[0][2].id == str(size)


async def test_a_client_gives_its_token(autojump_clock: MockClock) -> None:
    async def hook(request: JoinRequest) -> Identity | Reject:
        return Identity("1", name="Countess") if request.token == TOKEN else Reject("log in first")

    async with served(club(hook)) as (server, _):
        target = server.local()
        async with gameclient.connect(target, name="Ada", token=TOKEN) as session:
            await session.next_frame()
            assert [player.name for player in server.room().players] == ["Countess"]
        for token in (None, "", TOKEN + "x"):
            with pytest.raises(gameclient.ConnectError, match="log in first") as caught:
                async with gameclient.connect(target, name="Ada", token=token):
                    pass
            assert caught.value.code == 4003


# ---- nobody waits for somebody else's hook


async def test_a_hundred_slow_hooks_at_once_delay_nobody(autojump_clock: MockClock) -> None:
    async def hook(request: JoinRequest) -> Identity:
        await trio.sleep(4 if request.name == "slow" else 0)
        return Identity(request.name)

    async with served(club(hook)) as (server, connect):
        present = connect()
        await knock(present, name="first")
        await welcomed(present)
        crowd = [connect() for _ in range(100)]
        for peer in crowd:
            await knock(peer, name="slow")
        began = trio.current_time()
        await trio.sleep(0.5)
        quick = connect()
        await knock(quick, name="quick")
        await welcomed(quick)
        assert trio.current_time() - began < 0.7
        room = server.room()
        tick, at = room.tick, trio.current_time()
        await trio.sleep(2)
        assert room.tick - tick == pytest.approx(20 * (trio.current_time() - at), abs=1)
        assert (room.stats.overruns, room.stats.dropped_ticks) == (0, 0)
        await present.frames(2)
        assert server.room().player_count == 2
        for peer in crowd:
            await welcomed(peer)
        assert trio.current_time() - began < 4.3
        assert server.room().player_count == 102


async def test_nobody_has_a_seat_before_the_hook_has_said_yes(autojump_clock: MockClock) -> None:
    async def hook(request: JoinRequest) -> Identity | Reject:
        await trio.sleep(1)
        return Reject() if request.name == "Mallory" else Identity(request.name)

    async with served(club(hook, max_players=1)) as (server, connect):
        refused = [connect() for _ in range(20)]
        for peer in refused:
            await knock(peer, name="Mallory")
        await trio.sleep(0.5)
        assert server.rooms == []
        ada = connect()
        await knock(ada, name="Ada")
        for peer in refused:
            assert (await peer.closed())[0] == 4003
        assert (await welcomed(ada))["room_id"] == "1"
        assert [room.player_count for room in server.rooms] == [1]
        second = connect()
        await knock(second, name="Bob")
        assert (await welcomed(second))["room_id"] == "2"


async def test_a_rooms_own_hook_goes_before_the_servers(autojump_clock: MockClock) -> None:
    asked: list[str] = []

    async def servers(request: JoinRequest) -> Identity:
        asked.append(request.room)
        return Identity("the server's")

    class Heir(club(answers(Identity("its own")))):  # type: ignore[misc]
        """Has the hook of its base class."""

    async with served(
        {"plain": Club, "own": club(answers(Identity("its own"))), "heir": Heir}, authenticate=servers
    ) as (
        server,
        connect,
    ):
        for name, says in (("plain", "the server's"), ("own", "its own"), ("heir", "its own")):
            peer = connect()
            await knock(peer, "/" + name)
            await welcomed(peer)
            assert server.room(name).diary[0][2].id == says
        assert asked == ["plain"]


# ---- what happens meanwhile


async def hang_up(peer: Peer) -> None:
    peer.leave()


async def say_goodbye(peer: Peer) -> None:
    await peer.raw.send(frame(b"\x03\xe8", 8))


async def send_garbage(peer: Peer) -> None:
    await peer.raw.send(b"\xff\xff\xff\xff")


@pytest.mark.parametrize("go", [hang_up, say_goodbye, send_garbage])
@pytest.mark.parametrize("answer", [Identity("1"), Reject()])
async def test_who_goes_while_it_is_asked_about_leaves_nothing(
    autojump_clock: MockClock, go: Callable[[Peer], Any], answer: Any
) -> None:
    asked = trio.Event()

    async def hook(request: JoinRequest) -> Any:
        asked.set()
        await trio.sleep(1)
        return answer

    async with served(club(hook), {"open": Club}) as (server, connect):
        present = connect()
        await present.join("/open")
        peer = connect()
        await knock(peer, name="Ada")
        await asked.wait()
        await go(peer)
        await trio.sleep(2)
        if go is not hang_up:
            peer.leave()
        await until(lambda: server.entrance.door.connections == 1)
        diary = [what for room in server.rooms if room.name == "club" for what, *_ in room.diary]
        assert diary in ([], ["join", "leave"])
        assert sum(room.player_count for room in server.rooms if room.name == "club") == 0
        await present.frames(2)


async def test_what_comes_right_behind_the_hello_is_kept_in_order(autojump_clock: MockClock) -> None:
    async def hook(request: JoinRequest) -> Identity:
        await trio.sleep(1)
        return Identity("1")

    def packed(*items: Any) -> bytes:
        return frame(msgpack.packb(items))

    async with served(club(hook)) as (server, connect):
        peer = connect()
        behind = b"".join(packed(5, "say", number) for number in range(5)) + packed(4, [1], [1]) + packed(4, [2], [2])
        await knock(peer, behind=behind)
        await trio.sleep(0.5)
        for number in range(5, 10):
            await peer.raw.send(packed(5, "say", number))
        await peer.raw.send(packed(4, [3], [3]))
        await welcomed(peer)
        await peer.frames(4)
        diary = server.room().diary
        assert [payload for kind, payload, *_ in diary if kind == "message"] == list(range(10))
        turns = [turn for kind, turn, *_ in diary if kind == "input"]
        assert list(dict.fromkeys(turns)) == [1, 2, 3]
        assert diary[0][0] == "join"


async def test_a_server_that_drains_meanwhile_lets_nobody_in(autojump_clock: MockClock) -> None:
    async def hook(request: JoinRequest) -> Identity | Reject:
        await trio.sleep(1)
        return Identity("1")

    async with served(club(hook)) as (server, connect):
        peer = connect()
        await knock(peer)
        await trio.sleep(0.5)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 10)
            code, reason = await peer.closed()
            peer.leave()
        assert code == 1012
        assert "reconnect in" in reason
        assert server.rooms == []
        assert trio.current_time() - began < 3


async def test_the_patience_is_a_limit_of_the_server(autojump_clock: MockClock) -> None:
    async with served(club(sleep_too_long), limits=Limits(authenticate_seconds=6)) as (_, connect):
        peer = connect()
        await knock(peer)
        await welcomed(peer)
    async with served(club(sleep_too_long), limits=Limits(authenticate_seconds=0.25)) as (_, connect):
        peer = connect()
        began = trio.current_time()
        await knock(peer)
        assert (await peer.closed())[0] == 1013
        assert trio.current_time() - began == pytest.approx(0.25, abs=0.05)


# ---- declared wrongly


class NotAsync(Room):
    @classmethod
    def authenticate(cls, request: JoinRequest) -> Identity:
        return Identity("1")


class OfAnInstance(Room):
    async def authenticate(self, request: JoinRequest) -> Identity:  # type: ignore[override]
        return Identity("1")


class TooMany(Room):
    @classmethod
    async def authenticate(cls, request: JoinRequest, more: int) -> Identity:
        return Identity("1")


class TooFew(Room):
    @classmethod
    async def authenticate(cls) -> Identity:
        return Identity("1")


class NoFunction(Room):
    authenticate = "secret"


@pytest.mark.parametrize(
    ("room", "parts"),
    [
        (NotAsync, ["NotAsync.authenticate", "async def authenticate(request)"]),
        (OfAnInstance, ["OfAnInstance.authenticate", "@classmethod"]),
        (TooMany, ["TooMany.authenticate", "the request alone"]),
        (TooFew, ["TooFew.authenticate", "the request alone"]),
        (NoFunction, ["NoFunction.authenticate", "async def"]),
    ],
)
async def test_a_hook_declared_wrongly_is_named_at_the_start(room: type[Room], parts: list[str]) -> None:
    with pytest.raises(TypeError) as caught:
        async with serve(room, port=0):
            pass
    assert all(part in str(caught.value) for part in parts), caught.value


@pytest.mark.parametrize("hook", [lambda request: Identity("1"), "club:hook", NotAsync])
async def test_a_servers_hook_that_is_none_is_named_at_the_start(hook: Any) -> None:
    with pytest.raises(TypeError, match=r"authenticate must be an async function.*async def authenticate\(request\)"):
        async with serve(Club, port=0, authenticate=hook):
            pass


GAME = """
from gameserver import Identity, Reject, Room

async def ask(request):
    return Identity(request.token) if request.token else Reject("log in first")

def wrong(request):
    pass

class Tiny(Room):
    def on_join(self, player):
        player.send("you", player.identity.id)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_game.py").write_text(GAME)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("my_game", ["'my_game'", "module:function"]),
        ("my_game:nothing", ["my_game has no nothing"]),
        ("nowhere:ask", ["no module 'nowhere'"]),
        ("my_game:wrong", ["async def authenticate(request)"]),
    ],
)
def test_a_wrong_setting_is_named(folder: Path, given: str, parts: list[str]) -> None:
    done = run(folder, "run", "--port", "0", "--authenticate", given, "my_game:Tiny")
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert all(part in said for part in parts), said
    assert "Traceback" not in said


async def test_the_command_line_takes_a_hook(folder: Path) -> None:
    with Running(folder, "my_game:Tiny", TICKWIRE_AUTHENTICATE="my_game:ask") as server:
        with trio.fail_after(20):
            async with gameclient.connect(server.urls[0], token="17") as session:
                async for event in session.events():
                    if isinstance(event, gameclient.MessageReceived):
                        assert (event.kind, event.payload) == ("you", "17")
                        break
            with pytest.raises(gameclient.ConnectError, match="log in first"):
                async with gameclient.connect(server.urls[0]):
                    pass


# ---- the example


SECRET = "of the tests, and long enough for anybody"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("GAME_SECRET", SECRET)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    sys.modules.pop("signed_tokens", None)
    return importlib.import_module("signed_tokens")


#: Tokens of tables are made when the tests are collected, which may be minutes before they run. In seconds.
A_DAY = 86_400.0


def signed(key: str = SECRET, algorithm: str | None = "HS256", seconds: float = A_DAY, **claims: Any) -> str:
    given = {"sub": "17", "name": "Ada", "aud": "my-game", "exp": time.time() + seconds} | claims
    return jwt.encode({name: value for name, value in given.items() if value is not None}, key, algorithm)


def in_base64(text: str) -> str:
    return jwt.utils.base64url_encode(text.encode()).decode()


NOT_VALID = "your token is not valid for this game: log in again"
EXPIRED = "your token has expired: log in again"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "log in first: this game takes only players with a token"),
        (signed(seconds=-60), EXPIRED),
        (signed(aud="another-game"), NOT_VALID),
        (signed(aud=None), NOT_VALID),
        (signed(exp=None), NOT_VALID),
        (signed(exp="soon"), NOT_VALID),
        (signed(sub=None), NOT_VALID),
        (signed(sub=17), NOT_VALID),
        (signed(nbf=time.time() + A_DAY), NOT_VALID),
        (signed(key="somebody else's secret, also long enough"), NOT_VALID),
        (signed(key="", algorithm="none"), NOT_VALID),
        (signed(key=SECRET * 2, algorithm="HS512"), NOT_VALID),
        (signed(algorithm="HS384", key=SECRET + SECRET), NOT_VALID),
        (signed()[:-3], NOT_VALID),
        (signed().replace(".", "", 1), NOT_VALID),
        ("garbage", NOT_VALID),
        ("...", NOT_VALID),
        ("\N{EURO SIGN}.\0.x", NOT_VALID),
        (f"{in_base64('[' * 2000)}.e30.e30", NOT_VALID),
        (f"{in_base64(chr(123) + chr(34) + 'alg' + chr(34) + ':{}}')}.e30.e30", NOT_VALID),
    ],
)
async def test_the_example_lets_nobody_in_without_a_good_token(
    autojump_clock: MockClock, example: ModuleType, token: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(example.Lounge) as (server, connect):
        peer = connect()
        await knock(peer, "/lounge", token=token)
        assert await peer.closed() == (4003, reason)
        assert server.rooms == []
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({}, "Ada"),
        ({"seconds": -5}, "Ada"),  # within the leeway
        ({"name": None}, "somebody"),
        ({"name": 5}, "somebody"),
        ({"aud": ["my-game", "another"]}, "Ada"),
    ],
)
async def test_the_example_lets_a_good_token_in(
    autojump_clock: MockClock, example: ModuleType, claims: dict[str, Any], name: str
) -> None:
    for arguments in ({}, {"authenticate": example.authenticate}):
        room = Club if arguments else example.Lounge
        async with served({"lounge": room}, **arguments) as (server, connect):
            peer = connect()
            await knock(peer, "/lounge", name="Eve", token=signed(**claims))
            await welcomed(peer)
            (player,) = server.room().players
            assert (player.name, player.identity) == (name, Identity(id="17", name=name))


@pytest.mark.slow
async def test_the_example_as_its_text_says(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "examples" / "signed_tokens.py"
    (tmp_path / "signed_tokens.py").write_text(source.read_text())
    variables = {"GAME_SECRET": SECRET}

    async def example(*arguments: str, **more: str) -> tuple[int, str, str]:
        environment: Mapping[str, str] = {**_kept(), **variables, **more}
        command = [sys.executable, "-W", "error", "signed_tokens.py", *arguments]
        done = await trio.run_process(
            command, cwd=tmp_path, env=environment, capture_stdout=True, capture_stderr=True, check=False
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    with trio.fail_after(40), Running(tmp_path, "signed_tokens:Lounge", **variables) as server:
        code, out, _ = await example("token", "--name", "Grace")
        made, _, line = out.strip().split("\n")
        assert code == 0
        assert line.split()[-4:] == [sys.executable, "signed_tokens.py", "join", made]
        async with gameclient.connect(server.urls[0], name="Eve", token=made) as session:
            async for event in session.events():
                if isinstance(event, gameclient.MessageReceived):
                    assert event.payload == "Grace is here, account grace"
                    break
        code, _, err = await example("join", "garbage", "--url", server.urls[0])
        assert (code, err) == (1, f"Error: {NOT_VALID} (4003)\n")
        code, _, err = await example("token", GAME_SECRET="short")
        assert code == 1
        assert "32 bytes" in err


def _kept() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
