"""The bundled game's page: people who play, watch, talk, lose their connection, and come back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.browsers import OpenPage, screenshot
from tests.browser.pages import until
from tests.browser.relays import Relay
from tests.browser.servers import GameServer, StartServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: Chromium tells the console of each request and WebSocket that could not be made, whatever the page does.
LOST = (r"WebSocket connection to .* failed", r"net::ERR_", r"Failed to load resource")
#: A page draws 60 pictures a second by the CPU here: small ones leave time for the others.
SMALL: dict[str, Any] = {"viewport": {"width": 560, "height": 420}}
LARGE: dict[str, Any] = {"viewport": {"width": 1280, "height": 720}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 1.5,
}
MINE = "window.tickwire?.game?.battle.mine"
ROOMS = """
from gameserver import handles
from gameserver.demo.arena import Arena

class Small(Arena):
    max_players = 1

    @handles("chat")
    def chat(self, player, text):
        if text == "end":
            self.close("good game")
        else:
            player.kick("mind your words")
"""
#: Is there so much of a colour (red, green, blue) around the middle of the picture?
COLOURED = """([r, g, b]) => {
    const canvas = document.getElementById("view");
    const x = canvas.width / 2 - 20, y = canvas.height / 2 - 20;
    const { data } = canvas.getContext("2d").getImageData(x, y, 40, 40);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
        count += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 40;
    }
    return count > 20;
}"""
CYAN = [112, 226, 255]


@pytest.fixture
def server(game_server: StartServer) -> GameServer:
    return game_server()


@pytest.fixture
def relay(server: GameServer) -> Iterator[Relay]:
    with Relay(server.port) as relay:
        yield relay


def playing(page: Page, name: str) -> None:
    """Wait until the page shows its own ship."""
    until(page, f"(name) => {MINE}?.name === name && tickwire.game.snapshots.tick !== null", name)


def play(open_page: OpenPage, url: str, name: str, **options: Any) -> Page:
    page = open_page(f"{url}/arena/?name={name}", **{**SMALL, **options})
    playing(page, name)
    return page


def ship(page: Page, name: str) -> dict[str, Any]:
    """What a page knows of the ship of that name."""
    found = page.evaluate(
        """(name) => {
        const row = [...tickwire.session.world.table("Ship")].find((ship) => ship.name === name);
        return row && { id: row.id, x: row.x, y: row.y, mine: row.mine, thrusting: row.thrusting };
    }""",
        name,
    )
    assert found is not None, f"the page sees no {name}"
    return dict(found)


def test_two_players_see_each_other_fly_and_hear_each_other(server: GameServer, browser_page: OpenPage) -> None:
    ada = browser_page(server.url + "/", **LARGE)
    ada.get_by_label("Your name").fill("Ada")
    ada.keyboard.press("Enter")
    playing(ada, "Ada")
    until(ada, COLOURED, CYAN)  # the own ship is in the middle
    bob = play(browser_page, server.url, "Bob")
    until(ada, "document.getElementById('score-list').innerText.includes('Bob')")
    assert not ship(ada, "Bob")["mine"]
    # Turn Ada's camera to Bob: his ship is drawn where it is, in his colour.
    colour = ada.evaluate("""() => {
        const { game } = tickwire;
        const pilot = [...game.battle.pilots.values()].find(({ name }) => name === "Bob");
        game.look = () => {
            const { x, y } = game.snapshots.place("Ship", pilot.row.id);
            Object.assign(game.table.view.camera, { x, y });
        };
        return pilot.colour;
    }""")
    until(ada, COLOURED, [int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    before = ship(ada, "Bob")
    bob.keyboard.down("ArrowUp")
    until(ada, "(x) => [...tickwire.session.world.Ship].some((s) => s.name === 'Bob' && s.x !== x)", before["x"])
    assert until(ada, "[...tickwire.session.world.table('Ship')].some((s) => s.name === 'Bob' && s.thrusting)")
    bob.keyboard.up("ArrowUp")
    until(bob, f"!{MINE}.row.thrusting")
    bob.keyboard.press("Enter")
    bob.keyboard.type("<b>wasd</b> is how I fly")
    assert bob.evaluate("tickwire.game.table.controls.held.size") == 0
    bob.keyboard.press("Enter")
    until(ada, "document.getElementById('feed').innerText.includes('Bob: <b>wasd</b> is how I fly')")


@pytest.mark.slow
def test_keys_fly_and_a_window_without_focus_lets_go(server: GameServer, browser_page: OpenPage) -> None:
    page = play(browser_page, server.url, "Ada")
    page.keyboard.down("KeyW")
    page.keyboard.down("Space")
    until(page, f"{MINE}.row.thrusting && [...tickwire.session.world.table('Bullet')].some((shot) => shot.mine)")
    page.evaluate("window.dispatchEvent(new Event('blur'))")  # the keys stay down, and their keyup never comes
    until(page, f"!{MINE}.row.thrusting && tickwire.session.world.table('Bullet').size === 0")


def test_of_two_keys_for_the_same_one_may_be_let_go(server: GameServer, browser_page: OpenPage) -> None:
    page = play(browser_page, server.url, "Ada")
    page.keyboard.down("ArrowUp")
    page.keyboard.down("KeyW")
    page.keyboard.up("KeyW")
    assert page.evaluate("tickwire.game.table.controls.read(0).thrust")
    page.keyboard.up("ArrowUp")
    assert not page.evaluate("tickwire.game.table.controls.read(0).thrust")


@pytest.mark.slow
def test_a_gamepad_flies_and_may_come_and_go(server: GameServer, browser_page: OpenPage) -> None:
    page = play(browser_page, server.url, "Ada")
    page.evaluate("""() => {
        const buttons = Array.from({ length: 17 }, () => ({ pressed: false }));
        buttons[0].pressed = true;
        const pad = { connected: true, axes: [0, -1, 0, 0], buttons };
        navigator.getGamepads = () => [null, pad, { ...pad, connected: false }];
    }""")
    up = f"{MINE}.row.thrusting && Math.abs({MINE}.row.heading - 1.5 * Math.PI) < 0.3"
    until(page, f"{up} && [...tickwire.session.world.table('Bullet')].some((shot) => shot.mine)")
    page.evaluate("navigator.getGamepads = () => [null, null]")
    until(page, f"!{MINE}.row.thrusting && tickwire.session.world.table('Bullet').size === 0")


@pytest.mark.slow
def test_the_join_screen_lists_rooms_and_leads_to_them(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/arena/", **SMALL)
    until(page, "document.getElementById('rooms-state').innerText.includes('you will be the first')")
    page.get_by_label("Your name").fill("Ada Lovelace, a name that is too long \u00e9")
    page.get_by_role("button", name="New room").click()
    until(page, f"{MINE}?.name.startsWith('Ada Lovelace')")
    first = page.evaluate("tickwire.session.roomId")
    bob = browser_page(server.url + "/arena/", **SMALL)
    bob.get_by_label("Your name").fill("Bob")
    bob.get_by_role("button", name="New room").click()
    playing(bob, "Bob")
    second = bob.evaluate("tickwire.session.roomId")
    assert first != second
    third = browser_page(server.url + "/arena/", **LARGE)
    until(third, "document.querySelectorAll('#rooms li').length === 2")
    assert "1 playing" in third.locator("#rooms li").first.inner_text()
    third.get_by_label("Your name").fill("Cleo")
    screenshot(third, "arena-join")
    third.get_by_role("button", name=f"Join room {second}", exact=True).click()
    playing(third, "Cleo")
    assert third.evaluate("tickwire.session.roomId") == second
    third.keyboard.press("Escape")
    third.get_by_role("button", name="Leave").click()
    until(third, "document.querySelectorAll('#rooms li').length === 2")
    assert third.get_by_label("Your name").input_value() == "Cleo"
    # A link to a room, in another window of the same person.
    again = third.context.new_page()
    again.goto(f"{server.url}/arena/?room={second}")
    assert again.get_by_label("Your name").input_value() == "Cleo"
    again.get_by_role("button", name=f"Play in room {second}").click()
    playing(again, "Cleo")
    assert again.evaluate("tickwire.session.roomId") == second
    again.goto(f"{server.url}/arena/?room=99&name=Cleo")
    until(again, "!document.getElementById('join-notice').hidden")
    assert "There is no such room" in again.locator("#join-notice").inner_text()


@pytest.mark.slow
def test_watching(server: GameServer, browser_page: OpenPage) -> None:
    play(browser_page, server.url, "Ada")
    page = browser_page(server.url + "/arena/?watch", **SMALL)
    until(page, "window.tickwire?.session?.spectator && document.getElementById('watched').innerText === 'Ada'")
    assert not page.locator("#health").is_visible()
    until(page, "(() => { const { x, y } = tickwire.game.table.view.camera; "
          "const place = tickwire.game.snapshots.place('Ship', tickwire.game.watched); "
          "return Math.hypot((x - place.x) % 2000, (y - place.y) % 2000) < 30 })()")  # fmt: skip
    page.keyboard.press("Enter")
    assert not page.locator("#chat").is_visible()  # who watches says nothing
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"{MINE} != null && !tickwire.session.spectator")
    assert page.evaluate("tickwire.session.world.table('Ship').size") == 2


def test_a_lost_connection_and_a_page_loaded_again_come_back_to_the_same_ship(
    relay: Relay, browser_page: OpenPage
) -> None:
    page = play(browser_page, f"http://127.0.0.1:{relay.port}", "Ada", expect_errors=LOST, **LARGE)
    before = page.evaluate(f"[tickwire.session.player, {MINE}.row.id]")
    relay.down()
    until(page, "document.getElementById('notice-text').innerText.startsWith('Your ship is kept for')")
    page.wait_for_timeout(300)
    screenshot(page, "arena-reconnect")
    relay.up()
    until(page, "document.getElementById('notice').hidden && tickwire.session.connected")
    assert page.evaluate(f"[tickwire.session.player, {MINE}.row.id]") == before
    assert page.evaluate("tickwire.session.stats.returns") == 1
    page.keyboard.down("KeyW")
    until(page, f"{MINE}.row.thrusting")
    page.reload()
    playing(page, "Ada")
    assert page.evaluate(f"[tickwire.session.player, {MINE}.row.id]") == before


@pytest.mark.slow
def test_a_lost_connection_has_the_keys_also_of_who_talks(relay: Relay, browser_page: OpenPage) -> None:
    page = play(browser_page, f"http://127.0.0.1:{relay.port}", "Ada", expect_errors=LOST)
    page.keyboard.press("Enter")
    page.keyboard.type("half a li")
    page.evaluate("window.dispatchEvent(new Event('blur'))")  # another window was looked at
    assert page.locator("#chat-text").input_value() == "half a li"
    relay.down()
    until(page, "!document.getElementById('notice').hidden && document.activeElement.id === 'notice'")
    page.keyboard.press("Enter")
    assert not page.locator("#chat").is_visible()


@pytest.mark.slow
def test_who_tries_again_and_again_tries_once(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/arena/", expect_errors=LOST, **SMALL)
    server.kill()
    page.get_by_role("button", name="Play", exact=True).click()
    again = page.get_by_role("button", name="Try now")
    again.wait_for()
    page.evaluate("""() => {
        window.tries = 0;
        window.WebSocket = class extends EventTarget {
            constructor() {
                super();
                window.tries += 1;
                this.readyState = 0;
            }
            close() {}
        };
    }""")
    for _ in range(3):
        again.click()
    assert page.evaluate("window.tries") == 1


@pytest.mark.slow
def test_a_server_that_was_killed_is_joined_again(server: GameServer, browser_page: OpenPage) -> None:
    page = play(browser_page, server.url, "Ada", expect_errors=LOST)
    page.evaluate("window.before = tickwire.session")
    server.kill()
    until(page, "!document.getElementById('notice').hidden")
    server.start()
    until(page, "tickwire.session !== window.before && tickwire.session.joined")
    playing(page, "Ada")
    until(page, "document.getElementById('notice').hidden")
    assert "with a new ship" in page.locator("#feed").inner_text()


@pytest.mark.slow
def test_a_server_that_stops_is_joined_again(server: GameServer, browser_page: OpenPage) -> None:
    page = play(browser_page, server.url, "Ada", expect_errors=LOST)
    page.evaluate("window.before = tickwire.session")
    server.stop()
    until(page, "!document.getElementById('notice').hidden")
    server.start()
    until(page, "tickwire.session !== window.before && tickwire.session.joined")
    playing(page, "Ada")


@pytest.mark.slow
def test_a_match_that_ends_a_kick_and_a_full_room_are_told_in_words(
    game_server: StartServer, browser_page: OpenPage, tmp_path: Path
) -> None:
    (tmp_path / "small_rooms.py").write_text(ROOMS)
    server = game_server("arena=small_rooms:Small")
    page = play(browser_page, server.url, "Ada")
    room = page.evaluate("tickwire.session.roomId")
    other = browser_page(server.url + "/arena/", **SMALL)
    until(other, "document.getElementById('rooms').innerText.includes('1 of 1 playing, full')")
    assert other.get_by_role("button", name=f"Join room {room}").is_disabled()
    other.goto(f"{server.url}/arena/?room={room}&name=Bob")
    until(other, "document.getElementById('join-notice').innerText.startsWith('This room is full')")
    for said, title, text in (
        ("end", "The match is over.", "The server says: good game"),
        ("bad", "You were sent out of the room.", "The server says: mind your words"),
    ):
        page.keyboard.press("Enter")
        page.keyboard.type(said)
        page.keyboard.press("Enter")
        until(page, f"document.getElementById('notice-title').innerText === '{title}'")
        assert page.locator("#notice-text").inner_text() == text
        page.get_by_role("button", name="Play again").click()
        until(page, "document.getElementById('notice').hidden && tickwire.session.joined")


@pytest.mark.slow
def test_hostile_links_names_and_talk(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(f"{server.url}/arena/?room=&name={'%F0%9F%9A%80' * 40}", **SMALL)
    playing(page, "\N{ROCKET}" * 6)  # as much as a ship's name holds
    # Letters that turn the direction of what follows turn the name, and nothing else.
    page = play(browser_page, server.url, "\u202e<b>x</b>", **SMALL)
    page.keyboard.press("Enter")
    page.keyboard.type("<i>hello</i>")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('feed').innerText.includes('<i>hello</i>')")
    ends = page.evaluate("""() => {
        const name = [...document.querySelectorAll("#feed b")].find((each) => each.nextSibling.data === "<i>hello</i>");
        const text = document.createRange();
        text.selectNode(name.nextSibling);
        return [name.getBoundingClientRect().right, text.getBoundingClientRect().left];
    }""")
    assert ends[0] <= ends[1] + 1


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["'{ bad'", "'3'", "null"])
def test_a_page_that_may_keep_nothing_or_kept_nonsense_works(
    kept: str, server: GameServer, browser_page: OpenPage
) -> None:
    page = browser_page("", **SMALL)
    storage = f"{{ getItem: () => {kept}, setItem() {{}}, removeItem() {{}} }}" if kept != "null" else "null.no"
    page.add_init_script(f"""for (const name of ["localStorage", "sessionStorage"]) {{
        Object.defineProperty(window, name, {{ get: () => ({storage}) }});
    }}""")
    page.goto(server.url + "/arena/")
    for _ in range(2):
        until(page, "window.tickwire?.overlay && document.getElementById('rooms-state').innerText.includes('first')")
        page.wait_for_load_state("networkidle")
        page.reload()
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"{MINE} && tickwire.game.snapshots.tick !== null")


#: Boxes of the screen that lie on each other, by their ids.
OVERLAPS = """() => {
    const boxes = ["clock", "scores", "corner", "health", "talk", "map"].map((id) => {
        const { left, top, right, bottom } = document.getElementById(id).getBoundingClientRect();
        return { id, left, top, right, bottom };
    });
    const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => meet(a, b)).map((b) => `${a.id} ${b.id}`));
}"""


@pytest.mark.slow
@pytest.mark.parametrize("touch", [False, True])
def test_nothing_lies_on_anything_in_windows_of_all_widths(
    touch: bool, server: GameServer, browser_page: OpenPage
) -> None:
    page = play(browser_page, server.url, "Ada", has_touch=touch, is_mobile=touch, reduced_motion="reduce")
    page.evaluate("tickwire.game.table.hud.tellNote('something to read. '.repeat(5))")
    for width in (320, 360, 361, 390, 480, 560, 800, 1084, 1180):
        page.set_viewport_size({"width": width, "height": 640})
        page.wait_for_timeout(50)
        assert page.evaluate(OVERLAPS) == [], width
    page.evaluate("tickwire.game.table.view.camera.shake(14)")
    assert page.evaluate("tickwire.game.table.view.camera.shakes") == 0  # for who asked for less motion


@pytest.mark.slow
def test_no_server_is_told_on_the_join_screen(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/arena/", expect_errors=LOST, **SMALL)
    until(page, "document.getElementById('rooms-state').innerText.includes('first')")
    server.kill()
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "document.getElementById('notice-title').innerText.startsWith('The server does not answer')")
    page.get_by_role("button", name="Leave").click()
    until(page, "document.getElementById('rooms-state').innerText.startsWith('The server does not answer')")


@pytest.mark.slow
def test_a_phone_plays(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/arena/", **PHONE)
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    screenshot(page, "arena-join-phone")
    page.get_by_role("button", name="Play", exact=True).tap()
    until(page, f"{MINE} != null")
    assert not page.evaluate("document.activeElement === document.getElementById('name')")
    stick, fire = page.locator("#stick").bounding_box(), page.locator("#fire").bounding_box()
    assert stick is not None
    assert fire is not None
    left, right = (stick["x"] + 66, stick["y"] + 66), (fire["x"] + 50, fire["y"] + 50)
    touch("touchStart", left)
    touch("touchMove", (left[0] + 44, left[1]))
    touch("touchStart", (left[0] + 44, left[1]), right)
    until(page, f"{MINE}.row.thrusting && Math.abs(Math.sin({MINE}.row.heading)) < 0.2")
    until(page, "[...tickwire.session.world.table('Bullet')].some((shot) => shot.mine)")
    screenshot(page, "arena-touch")
    touch("touchEnd")
    until(page, f"!{MINE}.row.thrusting && tickwire.session.world.table('Bullet').size === 0")


@pytest.mark.slow
def test_the_join_screen_fits_and_there_are_words_for_each_close_code(
    server: GameServer, browser_page: OpenPage
) -> None:
    page = browser_page(server.url + "/arena/", **SMALL)
    for width, height in ((1280, 720), (360, 640), (844, 390)):
        page.set_viewport_size({"width": width, "height": height})
        for name in ("Play", "New room", "Watch"):
            box = page.get_by_role("button", name=name, exact=True).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height
        assert page.evaluate("document.getElementById('join').scrollWidth") <= width
    wanted = {
        "again": [1001, 1005, 1006, 1011, 1012, 1013, 3000, 4002, 4008, 4013],
        "refused": [4003, 4004, 4005, 4010, 4011, 4012, 4015],
        "ended": [1000, 1002, 1003, 1007, 1008, 1009, 4001, 4006, 4014, 4999],
    }
    codes = [code for each in wanted.values() for code in each]
    told = page.evaluate(
        "async (codes) => { const { next, words } = await import('./words.js');"
        " return codes.map((code) => [next(code), words(code, true)]) }",
        codes,
    )
    assert [what for what, _ in told] == [what for what, each in wanted.items() for _ in each]
    assert all(text for _, text in told)


@pytest.mark.slow
def test_a_battle_with_bots(server: GameServer, browser_page: OpenPage) -> None:
    command = Path(sys.executable).with_name("gamebots")
    bots = subprocess.Popen(
        [command, server.ws("arena"), "--count", "24", "--seconds", "30"], stdout=subprocess.DEVNULL
    )
    try:
        page = play(browser_page, server.url, "Ada", **LARGE)
        until(page, "tickwire.session.world.table('Ship').size === 25")
        page.keyboard.down("KeyW")
        page.keyboard.down("Space")
        until(page, "document.querySelectorAll('#feed li').length >= 3")
        screenshot(page, "arena-battle")
        assert page.evaluate("tickwire.session.stats.desyncs") == 0
    finally:
        bots.kill()
        bots.wait()
