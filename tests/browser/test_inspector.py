"""The inspector: what a room type without a page of its own shows in a browser, of rooms of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.browsers import OpenPage, screenshot
from tests.browser.pages import until
from tests.browser.servers import GameServer, StartServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: Chromium tells the console of each request and WebSocket that could not be made, whatever the page does.
LOST = (r"WebSocket connection to .* failed", r"net::ERR_", r"Failed to load resource")
WIDE = {"viewport": {"width": 1280, "height": 720}}
NARROW = {"viewport": {"width": 400, "height": 800}, "has_touch": True, "is_mobile": True}
HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'
ROOMS = '''
from typing import Annotated

from gameserver import (
    Entity, Input, Meta, RequestError, Room, State, angle, fixed, handles, owner, reference, text, uint, value
)


class Tank(Entity):
    x = fixed(0, 400, step=1 / 16)
    y = fixed(0, 300, step=1 / 16)
    heading = angle(bits=8)
    gold = uint(16, to=owner)
    name = text(max_bytes=64)


class Crate(Entity):
    x = fixed(0, 400, step=1 / 16)
    y = fixed(0, 300, step=1 / 16)
    radius = uint(8)


class Score(Entity):
    tank = reference(Tank)
    points = uint(16)
    notes = value()


class Match(State):
    title = text(max_bytes=80)
    moves = uint(16)


class Steer(Input):
    dx: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    dy: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    shoot: bool = False
    gear: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 2
    shout: Annotated[str, Meta(max_length=20)] = ""


class Duel(Room):
    """Tanks and crates; as much of everything as an inspector can show."""

    tick_rate = 20
    entities = (Tank, Crate, Score)
    state = Match
    input = Steer
    max_spectators = 5

    def on_create(self):
        self.world.state.title = "<b>duel</b>"
        for number in range(6):
            self.world.spawn(Crate, x=40 + 60 * number, y=80, radius=8 + 2 * number)

    def on_join(self, player):
        tank = self.world.spawn(Tank, owner=player, x=200, y=200, gold=7, name=player.name)
        player.data = [tank, self.world.spawn(Score, tank=tank, notes={"options": player.options})]

    def on_leave(self, player, reason):
        for entity in player.data:
            self.world.despawn(entity)

    @handles("double")
    def double(self, player, number: int) -> int:
        if number > 99:
            raise RequestError("too_much", "I can count to 99")
        return 2 * number

    @handles("say")
    def say(self, player, words: str) -> None:
        self.broadcast("said", [player.name, words])

    @handles("kick me")
    def kick(self, player) -> None:
        player.kick("you asked for it")

    def step(self, dt):
        for player, steer in self.inputs:
            tank, score = player.data
            tank.x = min(400, max(0, tank.x + 80 * steer.dx * dt))
            tank.y = min(300, max(0, tank.y + 80 * steer.dy * dt))
            tank.heading = 1.0
            score.points += steer.shoot
            if steer.shout:
                tank.name = steer.shout


class Mark(Entity):
    cell = uint(8)
    sign = text(max_bytes=8)


class Put(Input):
    cell: Annotated[int, Meta(ge=0, le=8)] = 0


class Board(Room):
    """A board game: no ticks, no places."""

    tick_rate = None
    entities = (Mark,)
    state = Match
    input = Put

    def step(self, dt):
        for player, put in self.inputs:
            self.world.state.moves += 1
            self.world.spawn(Mark, cell=put.cell, sign="x")


class Bare(Room):
    """Nothing but messages."""

    tick_rate = None

    def on_join(self, player):
        player.send("hello", {"you": player.name})
'''


@pytest.fixture
def server(game_server: StartServer, tmp_path: Path) -> GameServer:
    (tmp_path / "inspected.py").write_text(ROOMS)
    return game_server("inspected:Duel", "inspected:Board", "inspected:Bare")


def join(open_page: OpenPage, url: str, name: str = "Ada", **options: Any) -> Page:
    """Join by the form."""
    page = open_page(url, **{**WIDE, **options})
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Join", exact=True).click()
    until(page, "window.tickwire?.session?.joined && document.body.dataset.screen === 'live'")
    return page


def mine(page: Page, field: str) -> Any:
    """A field of the own tank."""
    return page.evaluate("(field) => [...tickwire.session.world.Tank].find((tank) => tank.mine)[field]", field)


def wait_for_rest(page: Page) -> None:
    """Wait until no further input leaves, and all that left have been applied."""
    sent, before = 0, -1
    while sent != before:
        until(page, "tickwire.session.stats.inputsSent === tickwire.session.stats.inputsApplied")
        page.wait_for_timeout(300)
        sent, before = page.evaluate("tickwire.session.stats.inputsSent"), sent


def logged(page: Page, text: str) -> None:
    page.locator("#log li", has_text=text).first.wait_for()


@pytest.mark.slow
def test_a_room_is_seen_and_played_without_a_page(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/duel/")
    page.locator("#legend", has_text="Tank 1").wait_for()
    page.locator("#legend", has_text="Crate 6").wait_for()
    assert page.locator("#state dd").first.text_content() == "<b>duel</b>"
    assert page.get_by_label("Score", exact=True).locator("td").all_text_contents()[1:4] == ["nobody", "#1 Ada", "0"]
    page.keyboard.down("ArrowRight")  # the map has the focus
    until(page, "[...tickwire.session.world.Tank][0].x > 205")
    page.keyboard.down("KeyW")
    until(page, "[...tickwire.session.world.Tank][0].y < 195")
    page.keyboard.up("ArrowRight")
    page.keyboard.up("KeyW")
    wait_for_rest(page)
    x, y = mine(page, "x"), mine(page, "y")
    page.wait_for_timeout(200)
    assert (mine(page, "x"), mine(page, "y")) == (x, y)  # the last input was one of rest
    page.keyboard.press("Space")
    until(page, "[...tickwire.session.world.Score][0].points > 0")
    wait_for_rest(page)
    points = page.evaluate("[...tickwire.session.world.Score][0].points")
    page.wait_for_timeout(200)
    assert page.evaluate("[...tickwire.session.world.Score][0].points") == points
    screenshot(page, "inspector-wide")


@pytest.mark.slow
def test_controls_are_made_from_the_input(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/duel/")
    slider = page.get_by_label("dx")
    assert (slider.get_attribute("min"), slider.get_attribute("max")) == ("-1", "1")
    slider.fill("-1")
    until(page, "[...tickwire.session.world.Tank][0].x < 195")
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("shout").fill("Grace")
    until(page, "[...tickwire.session.world.Tank][0].name === 'Grace'")
    gear = page.get_by_label("gear")
    assert gear.get_attribute("type") == "number"  # too many values for a slider
    gear.fill("0")
    page.get_by_text("1000000000, not 0").wait_for()
    gear.fill("3")
    page.get_by_label("shoot").check()
    until(page, "[...tickwire.session.world.Score][0].points > 3")


@pytest.mark.slow
def test_requests_messages_and_their_answers_are_shown(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/duel/")
    name, payload = page.get_by_label("Name of the message"), page.get_by_label("Payload, as JSON")
    name.fill("double")
    payload.fill("21")
    page.get_by_role("button", name="Request").click()
    page.locator("#log .reply", has_text="double42 (").wait_for()
    payload.fill("100")
    page.get_by_role("button", name="Request").click()
    logged(page, "I can count to 99 (too_much)")
    name.fill("say")
    payload.fill("hello")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("This is not JSON (").wait_for()
    payload.fill('"hello"')
    page.get_by_role("button", name="Send").click()
    logged(page, 'said["Ada","hello"]')


@pytest.mark.slow
def test_hostile_names_are_only_text(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/duel/", name=HOSTILE[:64])
    page.evaluate("tickwire.session.send('say', ':-) <img src=x onerror=\"window.hurt=1\">')")
    logged(page, "<img src=x onerror")
    page.locator("#tables summary", has_text="Tank").click()
    page.get_by_role("button", name="Select Tank 1").click()
    page.locator("#selected dd", has_text="<img src=x").wait_for()
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hurt") is None


@pytest.mark.slow
def test_an_entity_is_chosen_on_the_map(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/duel/")
    until(page, "tickwire.map.points[0].count === 1")
    x, y = page.evaluate("[tickwire.map.camera.screenX(200), tickwire.map.camera.screenY(200)]")
    page.locator("#view").click(position={"x": x, "y": y})
    page.get_by_text("Tank 1, yours").wait_for()
    assert page.locator("#selected dd").all_text_contents()[-1] == "7"  # what only its owner knows
    page.locator("#view").hover(position={"x": x, "y": y})
    page.mouse.wheel(0, -600)
    until(page, "document.getElementById('view-mode').value === 'free' && tickwire.map.camera.scale > 3")
    assert page.evaluate("tickwire.map.camera.screenX(200)") == pytest.approx(x, abs=0.5)


@pytest.mark.slow
def test_who_watches_has_no_controls(server: GameServer, browser_page: OpenPage) -> None:
    join(browser_page, server.url + "/duel/", name=HOSTILE[:64])
    watcher = browser_page(server.url + "/duel/", **WIDE)
    watcher.get_by_role("button", name="Watch room 1").click()
    until(watcher, "window.tickwire?.session?.joined")
    watcher.get_by_text("Spectators only watch.").wait_for()
    assert watcher.locator("#input-form input").count() == 0
    watcher.locator("#tables summary", has_text="Tank").click()
    watcher.get_by_role("button", name="Select Tank 1").click()
    watcher.locator("#selected dd", has_text="hidden").wait_for()  # the gold of another player
    assert watcher.evaluate("window.hurt") is None


@pytest.mark.slow
def test_a_board_game_ticks_once_for_each_move(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/board/")
    assert not page.locator("#map").is_visible()
    page.get_by_label("cell").fill("4")
    page.wait_for_timeout(200)
    assert page.evaluate("tickwire.session.state.moves") == 0
    page.get_by_role("button", name="Send input").click()
    until(page, "tickwire.session.state.moves === 1")
    page.get_by_label("cell").fill("7")
    page.get_by_role("button", name="Send input").click()
    until(page, "tickwire.session.state.moves === 2")
    page.get_by_label("Mark", exact=True).locator("tr", has_text="7").wait_for()
    page.wait_for_timeout(200)
    assert page.evaluate("tickwire.session.state.moves") == 2
    screenshot(page, "inspector-board")


@pytest.mark.slow
def test_a_room_of_nothing_but_messages(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/bare/?name=Bob", **WIDE)
    logged(page, 'hello{"you":"Bob"}')
    assert not page.locator("#input-part").is_visible()
    assert not page.locator("#state-part").is_visible()


@pytest.mark.slow
def test_options_and_wishes_that_make_no_sense(server: GameServer, browser_page: OpenPage) -> None:
    page = browser_page(server.url + "/duel/", **WIDE)
    page.get_by_text("How to join").click()
    page.get_by_label("Options").fill("desert")
    page.get_by_role("button", name="Join", exact=True).click()
    page.get_by_role("alert").get_by_text("This is not JSON").wait_for()
    page.get_by_label("Options").fill('{"map": "desert"}')
    page.get_by_label("Method").select_option("join_by_id")
    page.get_by_role("button", name="Join", exact=True).click()
    page.get_by_role("alert").get_by_text("give the room's id").wait_for()
    page.get_by_label("Room id").fill("no-such-room")
    page.get_by_role("button", name="Join", exact=True).click()
    page.get_by_role("alert").get_by_text("(4004)").wait_for()
    screenshot(page, "inspector-join")
    page.get_by_label("Method").select_option("create")
    page.get_by_role("button", name="Join", exact=True).click()
    page.get_by_label("Score", exact=True).locator("td", has_text='{"options":{"map":"desert"}}').wait_for()


@pytest.mark.slow
def test_the_end_is_told_and_join_again_works(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/duel/")
    page.get_by_label("Name of the message").fill("kick me")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("you asked for it (close code").wait_for()
    screenshot(page, "inspector-end")
    page.evaluate("for (let i = 0; i < 3; i++) document.getElementById('notice-again').click()")
    until(page, "tickwire.session.joined")
    assert not page.locator("#notice").is_visible()
    assert page.evaluate("tickwire.session.world.Tank.size") == 1  # who is impatient does not join twice


@pytest.mark.slow
def test_a_restarted_server_is_joined_again(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/duel/", expect_errors=LOST)
    page.evaluate("window.first = tickwire.session")
    server.stop()
    page.get_by_text("Joining again in").wait_for()
    server.start()
    until(page, "tickwire.session !== first && tickwire.session.joined && tickwire.session.world.Tank.size === 1")
    assert not page.locator("#notice").is_visible()


@pytest.mark.slow
def test_a_page_that_is_loaded_again_is_in_the_room(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/duel/")
    page.reload()
    until(page, "window.tickwire?.session?.joined")
    assert mine(page, "name") == "Ada"


@pytest.mark.slow
def test_it_fits_a_phone(server: GameServer, browser_page: OpenPage) -> None:
    page = join(browser_page, server.url + "/duel/", **NARROW)
    page.locator("#legend", has_text="Tank 1").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.screenshot(path=screenshot(page, "inspector-narrow"), full_page=True)
    page.get_by_label("shoot").tap()
    until(page, "[...tickwire.session.world.Score][0].points > 0")


@pytest.mark.slow
def test_a_thousand_entities_are_drawn_smoothly(game_server: StartServer, browser_page: OpenPage) -> None:
    server = game_server("tests.browser.rooms:Crowd")
    page = join(browser_page, server.url + "/crowd/")
    page.locator("#legend", has_text="Mover 1000").wait_for()
    milliseconds = page.evaluate(
        """() => {
        const from = performance.now();
        for (let i = 0; i < 20; i++) tickwire.map.draw(1 / 60, null);
        return (performance.now() - from) / 20;
    }"""
    )
    print(f"{milliseconds:.2f} ms for a picture of 1000 entities")
    assert page.evaluate("tickwire.map.points[0].count") == 1000
    screenshot(page, "inspector-crowd")
