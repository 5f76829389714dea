"""The client in a real page: joining, what a page is not told, and coming back."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.browsers import OpenPage
from tests.browser.pages import join, until, write_page
from tests.browser.relays import Relay
from tests.browser.servers import GameServer, StartServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

WALKING = "tests.browser.rooms:Walking"
#: Chromium tells the console of each WebSocket that could not be made, whatever the page does.
LOST = r"WebSocket connection to .* failed"


@pytest.fixture
def server(game_server: StartServer, tmp_path: Path) -> GameServer:
    return game_server(WALKING, static=write_page(tmp_path))


@pytest.fixture
def relay(server: GameServer) -> Iterator[Relay]:
    """A network between pages and the server. Ask for it before ``browser_page``, so that it outlives the pages."""
    with Relay(server.port) as running:
        yield running


def test_a_page_joins_and_moves(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/")
    assert join(page, "/walking", name="Ada") == 1
    assert page.evaluate("[session.room, session.tickRate, session.joined, session.connected]") == [
        "walking",
        20,
        True,
        True,
    ]
    page.evaluate("onkeydown = () => session.sendInput({ right: true })")
    page.keyboard.press("ArrowRight")
    assert until(page, "[...session.world.Walker][0].x > 1020 && [...session.world.Walker][0].name") == "Ada"
    assert page.evaluate("session.request('go to', 77)") == 77
    until(page, "[...session.world.Walker][0].x < 200")
    until(page, "session.stats.hashesChecked > 0")
    assert page.evaluate("session.stats.desyncs") == 0


@pytest.mark.slow
def test_two_pages_see_each_other_move_and_hear_each_other(server: GameServer, browser_page: OpenPage) -> None:
    ada, bob = browser_page(server.url + "/"), browser_page(server.url + "/")
    join(ada, "/walking", name="Ada")
    join(bob, "/walking", name="Bob")
    ada.evaluate("session.sendInput({ right: true })")
    until(bob, "[...session.world.Walker].some(({ name, x, mine }) => name === 'Ada' && x > 1050 && !mine)")
    bob.evaluate("session.send('say', 'hello')")
    until(ada, 'JSON.stringify(told.messages) === \'[["said",["Bob","hello"]]]\'')
    ada.evaluate("session.close()")
    until(bob, "session.world.Walker.size === 1")


def heap(page: Page) -> str:
    """All text that is in the memory of the page's JavaScript, as the browser's own tools find it."""
    devtools = page.context.new_cdp_session(page)
    pieces: list[str] = []
    devtools.on("HeapProfiler.addHeapSnapshotChunk", lambda event: pieces.append(event["chunk"]))
    devtools.send("HeapProfiler.takeHeapSnapshot")
    devtools.detach()
    return "\n".join(json.loads("".join(pieces))["strings"])


@pytest.mark.slow
def test_what_is_hidden_is_not_in_the_pages_memory(server: GameServer, browser_page: OpenPage) -> None:
    ada, bob = browser_page(server.url + "/"), browser_page("")
    came: list[bytes | str] = []
    bob.on("websocket", lambda socket: socket.on("framereceived", lambda payload: came.append(payload)))
    bob.goto(server.url + "/")
    # Ada stands beside Bob, who may know her name and not her secret; Cleo is out of his sight altogether.
    join(ada, "/walking", name="Ada-may-be-seen", options={"x": 1010, "secret": "Adas-own-secret"})
    cleo = browser_page(server.url + "/")
    join(cleo, "/walking", name="Cleo-is-far-away", options={"x": 3500, "secret": "Cleos-own-secret"})
    join(bob, "/walking", name="Bob", options={"x": 1000, "secret": "Bobs-own-secret"})
    # What a page does with the rows: it reads all of them, once a frame.
    bob.evaluate("""() => {
        window.read = [];
        session.on("frame", () => { read = [...session.world.Walker].map((row) => [row.name, row.secret, row.x]) });
    }""")
    until(bob, "told.frames > 20 && read.length === 2")
    assert bob.evaluate("read.map(([, secret]) => secret)") == [None, "Bobs-own-secret"]
    memory, wire = heap(bob), all_bytes(came)
    for seen in ("Ada-may-be-seen", "Bobs-own-secret"):
        assert seen in memory
        assert seen.encode() in wire
    for hidden in ("Adas-own", "Cleo"):
        assert hidden not in memory
        assert hidden.encode() not in wire
    # Cleo comes into his sight: then her name is there, and so this test can see what is there.
    cleo.evaluate("session.request('go to', 1100)")
    until(bob, "read.length === 3")
    memory = heap(bob)
    assert "Cleo-is-far-away" in memory
    assert "Cleos-own" not in memory
    assert b"Cleos-own" not in all_bytes(came)


def all_bytes(payloads: list[bytes | str]) -> bytes:
    return b"".join(each if isinstance(each, bytes) else each.encode() for each in payloads)


def returned(page: Page, player: int, name: str) -> None:
    """Wait until a page is back in its seat, in its ship, with a world that goes on."""
    until(page, "told.others.some(({ type }) => type === 'returned')")
    assert [event["type"] for event in page.evaluate("told.others")] == ["dropped", "returned"]
    assert page.evaluate("session.player") == player
    frames = page.evaluate("told.frames")
    until(page, "(frames) => told.frames > frames + 3", frames)
    assert page.evaluate("[...session.world.Walker].map(({ name, mine }) => [name, mine])") == [[name, True]]
    assert page.evaluate("session.stats.desyncs") == 0


def test_a_connection_that_is_cut_comes_back_to_the_same_seat(
    server: GameServer, relay: Relay, browser_page: OpenPage
) -> None:
    page = browser_page(server.url + "/")
    player = join(page, f"ws://127.0.0.1:{relay.port}/walking", name="Ada", options={"x": 2222})
    full = page.evaluate("told.full")
    relay.cut()
    returned(page, player, "Ada")
    assert relay.connections == 2
    assert page.evaluate("told.full") == full  # it went on from what it held
    assert page.evaluate("[...session.world.Walker][0].x") == 2222


@pytest.mark.slow
def test_a_network_that_says_nothing_any_more_is_noticed(
    server: GameServer, relay: Relay, browser_page: OpenPage
) -> None:
    page = browser_page(server.url + "/")
    player = join(page, f"ws://127.0.0.1:{relay.port}/walking", name="Ada")
    relay.swallow()
    until(page, "session.reconnecting")
    assert page.evaluate("session.send('say', 'said in the dark')")
    relay.up()
    returned(page, player, "Ada")
    until(page, 'JSON.stringify(told.messages) === \'[["said",["Ada","said in the dark"]]]\'')


@pytest.mark.slow
def test_a_browser_that_was_offline_comes_back_when_it_is_online(
    server: GameServer, relay: Relay, browser_page: OpenPage
) -> None:
    page = browser_page(server.url + "/", expect_errors=LOST)
    player = join(page, f"ws://127.0.0.1:{relay.port}/walking", name="Ada")
    page.context.set_offline(True)
    relay.down()
    until(page, "session.reconnecting")
    page.wait_for_timeout(1500)  # attempts fail, and the pauses between them grow
    relay.up()
    page.context.set_offline(False)
    returned(page, player, "Ada")


@pytest.mark.slow
def test_a_server_that_died_has_new_rooms(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/", expect_errors=LOST)
    join(page, "/walking", name="Ada")
    server.restart()
    until(page, "session.closed")
    dropped, ended = page.evaluate("told.others")
    assert [dropped["type"], ended["type"], ended["code"]] == ["dropped", "disconnected", 4013], ended
    assert page.evaluate("session.world.Walker.size") == 1  # what was there last may be shown still
    join(page, "/walking", name="Ada")
    until(page, "session.joined && session.tick > 3")


@pytest.mark.slow
def test_a_server_that_stops_says_so(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/", expect_errors=LOST)
    join(page, "/walking", name="Ada")
    server.stop()
    until(page, "session.closed || session.reconnecting")
    server.start()
    until(page, "session.closed")
    assert page.evaluate("told.others.at(-1).type") == "disconnected"


def test_a_room_that_cannot_be_joined_says_why(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/", expect_errors=LOST)
    page.wait_for_function("window.join !== undefined")
    said = page.evaluate(
        """async (nobody) => {
        const wishes = [["/walking", { method: "join" }], [nobody, {}]];
        const failed = [];
        for (const [target, options] of wishes) {
            const failure = await tickwire.connect(target, options).catch((error) => error);
            failed.push([failure.name, failure.code, failure.reason]);
        }
        return failed;
    }""",
        "ws://127.0.0.1:9/walking",
    )
    assert [name for name, _, _ in said] == ["ConnectError", "ConnectError"]
    assert [code for _, code, _ in said] == [4004, 1006]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is needed to make a certificate")
def test_over_tls(game_server: StartServer, browser_page: OpenPage, tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run([*command.split(), *files], cwd=tmp_path, check=True, capture_output=True)
    server = game_server(WALKING, static=write_page(tmp_path), tls_cert="certificate.pem", tls_key="key.pem")
    page = browser_page(server.url + "/", ignore_https_errors=True)
    addresses: list[str] = []
    page.on("websocket", lambda ws: addresses.append(ws.url))
    join(page, "/walking", name="Ada")
    until(page, "told.frames > 5")
    assert addresses == [server.ws("walking")]
    assert addresses[0].startswith("wss://")
