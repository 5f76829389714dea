"""The developer overlay in a real page: what it shows is what was sent, and hidden it costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.browsers import OpenPage, screenshot
from tests.browser.pages import until, write_page
from tests.browser.servers import GameServer, StartServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

WALKING = "tests.browser.rooms:Walking"
#: Joins with an overlay that sees all of it, and keeps every message for comparison.
_JOIN = """async ({ name, options, attach }) => {
    const { attachOverlay } = await import("/overlay.js");
    const overlay = attachOverlay(attach);
    const session = tickwire.open("/walking", { name, options });
    const carried = [];
    session.observe((direction, bytes) => carried.push([direction, Array.from(bytes)]));
    overlay.watch(session);
    const root = overlay.element.shadowRoot;
    Object.assign(window, { overlay, session, carried, root });
    await session.nextFrame();
}"""
#: The cells of a table, by id of the row, and the same of the world.
_CELLS = """(name) => {
    const part = [...root.querySelectorAll(".tables details")].find((each) => each.innerText.startsWith(name));
    return [...part.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent));
}"""


@pytest.fixture
def server(game_server: StartServer, tmp_path: Path) -> GameServer:
    return game_server(WALKING, static=write_page(tmp_path))


def play(page: Page, name: str = "Ada", attach: dict[str, Any] | None = None, **options: Any) -> None:
    """Let the page join, with an overlay."""
    page.wait_for_function("window.join !== undefined")
    page.evaluate(_JOIN, {"name": name, "options": options, "attach": {} if attach is None else attach})


def show(page: Page, part: str) -> None:
    page.get_by_role("tab", name=part).click()


def figure(page: Page, name: str) -> str:
    """What the part about the link says of one figure."""
    told = page.locator("dl > div", has=page.locator(f"dt:text-is('{name}')"))
    return told.locator("dd").inner_text()


def line(page: Page, kind: str) -> Locator:
    """The newest message of that kind in the log."""
    return page.locator("ol li", has=page.locator(f".kind:text-is('{kind}')")).first


@pytest.mark.slow
def test_a_key_shows_and_hides_it_and_the_tab_remembers(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/")
    play(page)
    assert page.evaluate("overlay.visible") is False
    page.keyboard.press("Backquote")
    assert page.evaluate("overlay.visible") is True
    show(page, "Tables")
    page.reload()
    play(page)
    assert page.evaluate("overlay.visible") is True
    assert page.get_by_role("tab", name="Tables").get_attribute("aria-selected") == "true"
    page.keyboard.press("Control+Backquote")
    assert page.evaluate("overlay.visible") is True
    page.keyboard.press("Backquote")
    assert page.evaluate("overlay.visible") is False
    page.goto(server.url + "/?overlay")
    play(page, attach={"key": "KeyO"})
    assert page.evaluate("overlay.visible") is True
    page.keyboard.press("o")
    assert page.evaluate("overlay.visible") is False
    page.evaluate("overlay.remove()")
    page.keyboard.press("o")
    assert page.evaluate("[overlay.element.isConnected, overlay.visible]") == [False, False]


@pytest.mark.slow
def test_keys_and_clicks_go_where_they_are_meant(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/?overlay")
    play(page)
    page.evaluate("""() => {
        window.heard = [];
        onkeydown = ({ key }) => heard.push(key);
        onpointerdown = () => heard.push("pointer");
        document.body.append(document.createElement("input"));
    }""")
    show(page, "Log")
    page.keyboard.press("w")
    assert page.evaluate("heard") == ["w"]  # it plays on though a button of the overlay has the focus
    page.get_by_label("Filter by text").click()
    page.keyboard.type("w`")
    assert page.evaluate("[heard, overlay.visible]") == [["w"], True]
    page.locator("body > input").click()
    page.keyboard.type("a`")
    assert page.evaluate("[heard, overlay.visible]") == [["w", "pointer", "a", "`"], True]


@pytest.mark.slow
def test_the_link_is_as_the_session_says(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/?overlay")
    play(page)
    page.evaluate("session.sendInput({ right: true })")
    until(page, "session.stats.rtt !== null && session.stats.hashesChecked > 0")
    page.wait_for_timeout(600)
    assert figure(page, "State") == "joined"
    assert figure(page, "Room") == page.evaluate("`walking / ${session.roomId}`")
    assert figure(page, "Player") == "1"
    assert figure(page, "Tick").endswith(" at 20 Hz")
    assert figure(page, "Desyncs") == "0"
    assert " msg/s" in figure(page, "In")
    assert figure(page, "Shortest").endswith(" ms")
    graphs = page.evaluate("""() => [...root.querySelectorAll("canvas")].map((canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.some((byte) => byte > 0);
    })""")
    assert graphs == [True, True, True]
    page.evaluate("session.close()")
    until(page, "root.querySelector('.state').textContent.startsWith('closed 1000')")
    stats = page.evaluate("[carried.filter(([way]) => way === 'in').length, session.stats.frames]")
    assert [figure(page, "Total").split(", ")[1], figure(page, "Frames")] == [f"{stats[0]} msg", str(stats[1])]


@pytest.mark.slow
def test_the_tables_are_the_world(server: GameServer, browser_page: OpenPage) -> None:
    ada = browser_page(server.url + "/?overlay")
    play(ada, secret="<b>mine</b>", x=1000)
    bob = browser_page(server.url + "/")
    play(bob, name="<img src=x onerror=alert(1)>", secret="not for Ada", x=1100)
    show(ada, "Tables")
    until(ada, "session.world.Walker.size === 2")
    ada.wait_for_timeout(600)
    assert ada.evaluate(_CELLS, "Walker") == [
        ["1", "player 1", "1000", "1000", "Ada", "<b>mine</b>"],
        ["2", "player 2", "1100", "1000", "<img src=x onerror=alert(1)>", "unknown"],
    ]
    assert ada.locator("th.private").inner_text() == "secret"
    assert ada.locator("tr.mine").count() == 1
    bob.evaluate("session.sendInput({ right: true })")
    until(ada, "[...root.querySelectorAll('td.changed')].some((cell) => cell.textContent.startsWith('11'))")
    bob.evaluate("session.close()")
    until(ada, "session.world.Walker.size === 1")
    ada.wait_for_timeout(600)
    assert [row[0] for row in ada.evaluate(_CELLS, "Walker")] == ["1"]
    ada.get_by_label("Filter rows by text").fill("nobody has this")
    assert ada.get_by_text("no row has this text").is_visible()


@pytest.mark.slow
def test_the_log_tells_every_message(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/?overlay", permissions=["clipboard-read", "clipboard-write"])
    play(page, secret="s")
    page.evaluate("session.sendInput({ right: true })")
    page.evaluate("session.send('say', '<i>words</i>')")
    assert page.evaluate("session.request('go to', 1500)") == 1500
    show(page, "Log")
    page.get_by_label("Kinds of messages").select_option("all but frames, inputs")
    page.wait_for_timeout(400)
    kinds = page.locator("ol li .kind").all_inner_texts()
    assert sorted(kinds) == ["hello", "message", "message", "reply", "request", "session", "welcome"]
    assert line(page, "request").locator(".text").inner_text() == "#2 go to 1500"
    assert line(page, "reply").locator(".text").inner_text() == "#2 1500"
    assert line(page, "session").locator(".text").inner_text().startswith("joined walking")
    line(page, "hello").click()
    page.locator("ol").press("ArrowUp")
    assert page.locator(".message .name", has_text="tick_rate").is_visible()
    page.get_by_role("button", name="Copy as JSON").click()
    until(page, "root.querySelector('.message').innerText.includes('Copied')")
    copied = page.evaluate("navigator.clipboard.readText().then(JSON.parse)")
    assert copied["title"] == "welcome"
    seat = next(each for each in copied["children"] if each["title"] == "seat")
    assert seat["detail"].endswith("characters)")


def test_a_frame_is_told_field_by_field(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/?overlay")
    play(page, secret="s", x=1000)
    show(page, "Log")
    page.get_by_label("Kinds of messages").select_option("frame")
    page.get_by_label("Filter by text").fill("full")
    line(page, "frame").click()
    row = page.locator(".message summary", has_text="owner player 1").first
    assert row.inner_text() == '1 owner player 1 = 1, x 1000 = 16000, y 1000 = 16000, name "Ada"'
    page.get_by_role("button", name="Hex").click()
    dump = page.locator(".message pre").inner_text()
    full = page.evaluate("carried.find(([way, bytes]) => way === 'in' && bytes[1] === 3)[1]")
    assert bytes.fromhex("".join(part[6:53] for part in dump.splitlines())) == bytes(full)


@pytest.mark.slow
def test_pause_stops_the_list(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/?overlay")
    play(page)
    show(page, "Log")
    page.get_by_label("Pause").check()
    page.wait_for_timeout(300)
    before = page.locator("ol").inner_text()
    page.wait_for_timeout(600)
    assert page.locator("ol").inner_text() == before
    page.get_by_label("Pause").uncheck()
    page.wait_for_timeout(600)
    assert page.locator("ol").inner_text() != before


#: What an overlay decodes it reads with DataViews; what it draws is a change of its elements.
_REPLAY = """async (milliseconds) => {
    const { attachOverlay } = await import("/overlay.js");
    sessionStorage.clear();
    const other = attachOverlay({ key: "F9" });
    let observer;
    const { schema, world, stats } = session;
    other.watch({ ...session, schema, world, stats, on: () => () => {}, observe: (it) => ((observer = it), () => {}) });
    session.close();
    let [made, drawn] = [0, 0];
    const Original = DataView;
    globalThis.DataView = class extends Original {
        constructor(...parts) {
            super(...parts);
            made += 1;
        }
    };
    const changes = { childList: true, subtree: true, characterData: true, attributes: true };
    new MutationObserver((list) => (drawn += list.length)).observe(other.element.shadowRoot, changes);
    const replay = async () => {
        [made, drawn] = [0, 0];
        for (const [direction, bytes] of carried) observer(direction, Uint8Array.from(bytes), 1);
        await new Promise((resolve) => setTimeout(resolve, milliseconds));
        return { made, drawn };
    };
    const hidden = await replay();
    other.toggle();
    [...other.element.shadowRoot.querySelectorAll("nav button")].at(-1).click();
    return [hidden, await replay()];
}"""


@pytest.mark.slow
def test_hidden_it_decodes_and_draws_nothing(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/")
    play(page)
    until(page, "carried.length > 30")
    hidden, seen = page.evaluate(_REPLAY, 600)
    assert hidden == {"made": 0, "drawn": 0}
    assert seen["made"] > 30
    assert seen["drawn"] > 30


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_a_window(game_server: StartServer, browser_page: OpenPage, width: int) -> None:
    page = browser_page(game_server().url + "/arena/?name=Ann&overlay", viewport={"width": width, "height": 720})
    page.get_by_role("tab", name="Link").wait_for()
    page.wait_for_timeout(1500)
    for part in ("Link", "Tables", "Log"):
        show(page, part)
        page.wait_for_timeout(500)
        screenshot(page, f"overlay-{part.lower()}-{width}")
        wide = page.get_by_role("region", name="Tickwire developer overlay").evaluate(
            "(panel) => [panel.scrollWidth, panel.clientWidth, innerWidth]"
        )
        assert wide[0] <= wide[1] <= wide[2]
    page.locator("ol li").nth(1).click()
    assert page.locator(".message .body").is_visible()
    screenshot(page, f"overlay-message-{width}")
