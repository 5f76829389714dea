"""The log of the real program, while strangers write to it what they can: a line is one event, and holds no secret."""

from __future__ import annotations

import json
import re
import signal
import struct
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio

from gameprotocol import SUBPROTOCOL
from tests.integration.test_cli import SECONDS, Running
from tests.integration.test_drain import get, joined, reach
from tests.support.peers import Peer
from tests.support.raw_client import RawClient, frame, upgrade_request

SECRET = "nobody-may-see-this"
FORGED_JSON = '"}\n{"time": "2026-01-01", "level": "INFO", "logger": "gameserver", "event": "forged"}\n'
FORGED_TEXT = "Ada\n2026-01-01 00:00:00,000 ERROR gameserver forged"
HOSTILE = [
    FORGED_JSON[:60],
    FORGED_TEXT,
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m\x90\x9d",
    "a\rb\x0bc\x0cd\x1ce\x85f\u2028g\u2029h",
    "\u202eevil\u2066\u200f\ufeff\u00ad",
    "\0\b\b\b\x7f",
    "%s %d {0} {name} %(message)s",
    "\\n\\x1b[31m",
    "'\" peer=1.2.3.4 event=forged",
    "\N{PILE OF POO}\U000e0041",
]
PATHS = [
    "/nowhere",
    f"/nowhere?token={SECRET}",
    "/%0a%1b[31m",
    "/tiny%00",
    "/\\n",
    f"/no;token={SECRET}",
    "/no#\x1b[2J",
]
ORIGINS = [
    "https://evil.example",
    f"https://evil.example/?token={SECRET}",
    "null",
    "\x1b[2J",
    "http://a\n forged",
    "\xe4",
]
HEADS = [
    b"\x1b[2J",
    b"GET /\n HTTP/1.1",
    "GET /\u00e4 HTTP/1.1".encode(),
    b"\x16\x03\x01\x02\0",
    b"DELETE /tiny HTTP/1.1",
]

GAME = """
import logging
import warnings
from gameserver import Identity, Room

log = logging.getLogger("my_game")

class Tiny(Room):
    def on_join(self, player):
        log.info("hello %s", player.name)
        log.info("here are %r", player)

    def on_leave(self, player, reason):
        log.warning("bye " + player.name + " because of " + reason)

    def on_message(self, player, kind, payload):
        if kind == "warn":
            warnings.warn(payload)
        log.info("said", extra={"kind": kind, "payload": payload, "token": payload})

class Fragile(Room):
    def on_message(self, player, kind, payload):
        raise ValueError(payload)

class Asking(Room):
    @classmethod
    async def authenticate(cls, request):
        log.info("asked by %r", request)
        return Identity({}[request.token])
"""

TEXT_LINE = re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) [a-z_.-]+ \S.*")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_game.py").write_text(GAME)
    return tmp_path


def started(folder: Path, log_format: str, *arguments: str) -> Running:
    rooms = ("my_game:Tiny", "my_game:Fragile", "my_game:Asking")
    return Running(folder, *rooms, "--log-format", log_format, "--log-level", "debug", *arguments)


def errors(server: Running) -> str:
    """What the program has written to stderr, once it has ended well."""
    code, _, err = server.stop(signal.SIGTERM)
    assert code == 0, err
    assert len(err) < 60_000, "the pipe was full, and the server stood still"
    return err


def objects(err: str) -> list[dict[str, Any]]:
    """The events of a log in JSON; what holds for each line has been checked."""
    assert err.endswith("\n")
    assert err.replace("\n", "").isprintable()
    assert err.isascii()
    found = [json.loads(line) for line in err.removesuffix("\n").split("\n")]
    for each in found:
        assert list(each)[:4] == ["time", "level", "logger", "event"]
        assert isinstance(each["event"], str)
        assert each["event"] != "forged"
    return found


async def strangers_write(url: str) -> None:
    """Everything that a stranger may have written into a log."""
    base = url.rpartition("/")[0]
    for hostile in HOSTILE:
        await play_under(base + "/tiny", hostile)
        await fail_with(base + "/fragile", hostile)
    requests = [upgrade_request(path) for path in PATHS] + [upgrade_request("/tiny", Origin=o) for o in ORIGINS]
    requests += [head + b"\r\nHost: a\nb\r\nAuthorization: " + SECRET.encode() + b"\r\n\r\n" for head in HEADS]
    for number, request in enumerate(requests):  # lines are limited for each address, so each comes from its own
        await get(url, request, f"127.0.0.{10 + number}")
    await show_token(base + "/asking")
    await break_a_rule(reach(url))


async def play_under(url: str, name: str) -> None:
    """Join, say things, and go with a reason."""
    peer = await say_hello(url, name=name, token=SECRET)
    await peer.frames(1)
    await peer.send([5, name[:60], name], [5, "warn", name], [5, "secret", {"password": SECRET, "of": name}])
    await peer.frames(2)
    await peer.raw.send(frame(struct.pack("!H", 4999) + name.encode()[:100].decode(errors="ignore").encode(), 8))
    await peer.closed()
    peer.leave()


async def say_hello(url: str, query: str = "", **hello: Any) -> Peer:
    peer = Peer(reach(url))
    fields = {"Cookie": f"sid={SECRET}", "Authorization": f"Bearer {SECRET}"}
    path = f"/{url.rpartition('/')[2]}?access_token={SECRET}&name=x{query}"
    await peer.raw.send(upgrade_request(path, Sec_WebSocket_Protocol=SUBPROTOCOL, **fields))
    await peer.send([1, hello])
    return peer


async def fail_with(url: str, text: str) -> None:
    """Make a room fail with an exception that says ``text``; after a few times the type is not made any more."""
    peer = await say_hello(url, name=text)
    await peer.send([5, "fail", text])
    await peer.closed()
    peer.leave()


async def show_token(url: str) -> None:
    for _ in range(3):
        peer = await say_hello(url, token=SECRET)
        assert await peer.closed() == (1011, "internal error")
        peer.leave()


async def break_a_rule(sock: Any) -> None:
    """A link that is closed for what its peer did: the path is logged."""
    client = RawClient(sock)
    await client.send(upgrade_request(f"/tiny?token={SECRET}&x=%1b[31m", Sec_WebSocket_Protocol=SUBPROTOCOL))
    await client.send(frame(msgpack.packb([1, {"name": "\x1b[2J" * 20}])))
    assert (await client.until_close())[0] == 1007
    client.sock.close()


@pytest.mark.slow
async def test_each_line_in_json_is_one_event_without_a_secret(folder: Path) -> None:
    with started(folder, "json") as server, trio.fail_after(SECONDS):
        await strangers_write(server.urls[0])
        err = errors(server)
    assert SECRET not in err
    found = objects(err)
    greeted = [each["event"] for each in found if each["event"].startswith("hello ")]
    assert len(greeted) == len(HOSTILE)
    assert len(set(greeted)) == len(HOSTILE), "different names must not look the same"
    warned = [each for each in found if each["logger"] == "py.warnings"]
    assert warned, "a warning of Python's is an event too"
    failed = [each for each in found if each["event"] == "room failed"]
    assert failed
    assert all("ValueError" in each["exception"] for each in failed)
    asked = [each for each in found if each["event"] == "authenticate failed"]
    assert asked
    assert all("in authenticate" in each["exception"] for each in asked)
    (broken,) = [each for each in found if each["event"] == "closed" and each.get("code") == 1007]
    assert broken["path"].startswith("/tiny?token=[hidden]&x=")
    assert {each["status"] for each in found if each["event"] == "refused"} >= {400, 403, 404, 405}


@pytest.mark.slow
async def test_each_line_in_text_is_one_event_or_belongs_to_one(folder: Path) -> None:
    with started(folder, "text") as server, trio.fail_after(SECONDS):
        await strangers_write(server.urls[0])
        err = errors(server)
    assert SECRET not in err
    assert err.isascii()
    lines = err.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    events = [line for line in lines if not line.startswith("  | ")]
    assert all(TEXT_LINE.fullmatch(line) for line in events), events
    assert not any(re.search(r"(ERROR|INFO) gameserver forged", line[:60]) for line in events)
    assert lines[0] in events
    assert len([line for line in events if " INFO my_game hello " in line]) == len(HOSTILE)


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_a_game_that_nobody_attacks_logs_a_few_lines(folder: Path, log_format: str) -> None:
    with started(folder, log_format) as server, trio.fail_after(SECONDS):
        for _ in range(2):
            peer = await joined(server.urls[0])
            await peer.frames(2)
            peer.leave()
            await trio.sleep(0.2)  # some ticks
        err = errors(server)
    events = [json.loads(line)["event"] for line in err.splitlines()] if log_format == "json" else err.splitlines()
    assert len(events) <= 8, err
    expected = ("room opens", "hello", "here are", "bye", "hello", "here are", "bye", "draining")
    assert all(part in event for part, event in zip(expected, events, strict=False)), err


@pytest.mark.slow
async def test_a_peer_that_makes_noise_gets_few_lines_and_a_count(folder: Path) -> None:
    with started(folder, "json") as server, trio.fail_after(SECONDS):
        url = server.urls[0]
        for _ in range(60):
            assert " 404 " in await get(url, upgrade_request("/nowhere"))
        await trio.sleep(1.2)
        await get(url, upgrade_request("/nowhere"))
        found = [each for each in objects(errors(server)) if each["event"] == "refused"]
    assert 6 <= len(found) <= 15
    assert sum(each.get("suppressed", 0) for each in found) + len(found) == 61
    assert {each["peer"].rpartition(":")[0] for each in found} == {"127.0.0.1"}


def test_the_warning_of_a_public_address_is_an_event(folder: Path) -> None:
    # A way to write 127.0.0.1 that is not taken for an address of this machine, so that the test opens nothing up.
    with started(folder, "json", "--host", "127.1") as server:
        (warning, *_) = objects(errors(server))
    assert warning["level"] == "WARNING"
    assert "Not encrypted" in warning["event"]
