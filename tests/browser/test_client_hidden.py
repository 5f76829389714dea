"""Tabs that nobody looks at, tabs that the browser has frozen, and the moment when somebody looks again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.pages import join, until, write_page
from tests.browser.servers import GameServer, StartServer

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

#: Frames that a tab may be sent that acknowledges nothing: the server's window, and what was on its way.
WINDOW_FRAMES = 10
#: How many ticks of the room pass at least while a tab is away in these tests, and how long a tick is.
AWAY_TICKS, TICK_MS = 80, 50

#: Notes each frame, by what comes over the WebSocket.
_NOTE_FRAMES = """() => {
    window.came = [];
    session.observe((direction, bytes, seconds) => {
        if (direction !== "in") return;
        const message = tickwire.readMessage(bytes);
        if (message.type === "frame") came.push({ tick: message.frame.header.tick, hidden: document.hidden, seconds });
    });
}"""


@pytest.fixture
def server(game_server: StartServer, tmp_path: Path) -> GameServer:
    # Peers that answer no ping within 3 seconds are given up: a tab that is away must be better than that.
    return game_server("tests.browser.rooms:Walking", static=write_page(tmp_path), dead_seconds=3)


def play(tabs: BrowserContext, server: GameServer) -> tuple[Page, Page]:
    """A tab that plays, and another one to look at."""
    page, other = tabs.new_page(), tabs.new_page()
    page.bring_to_front()
    page.goto(server.url + "/")
    join(page, "/walking", name="Ada")
    page.evaluate(_NOTE_FRAMES)
    until(page, "came.length > 5")
    return page, other


def look_again(page: Page) -> None:
    """Look at the tab again: it goes on in its seat with one frame for all that it missed, and no flood."""
    missed_from = page.evaluate("came.at(-1).tick")
    page.bring_to_front()
    until(page, "(tick) => came.at(-1).tick > tick + 20", missed_from + AWAY_TICKS)
    came = [frame for frame in page.evaluate("came") if frame["tick"] > missed_from]
    ticks = [frame["tick"] for frame in came]
    assert ticks[0] >= missed_from + AWAY_TICKS * 3 // 4
    assert ticks == sorted(set(ticks))
    # From then on one frame a tick at most.
    assert len(ticks) <= (came[-1]["seconds"] - came[0]["seconds"]) * 1000 / TICK_MS + 3
    assert page.evaluate("[session.player, session.connected, session.stats.desyncs]") == [1, True, 0]
    assert page.evaluate("[...session.world.Walker].map(({ name, mine }) => [name, mine])") == [["Ada", True]]


@pytest.mark.slow
def test_a_hidden_tab_is_sent_a_few_frames_and_one_when_it_is_seen_again(
    server: GameServer, tabs: BrowserContext
) -> None:
    page, other = play(tabs, server)
    other.bring_to_front()
    until(page, "document.hidden")
    other.wait_for_timeout(AWAY_TICKS * TICK_MS)
    assert page.evaluate("came.filter(({ hidden }) => hidden).length") <= WINDOW_FRAMES
    look_again(page)
    assert page.evaluate("told.others") == []  # the connection was never lost


@pytest.mark.slow
def test_a_hidden_tab_that_plays_on_is_current(server: GameServer, tabs: BrowserContext) -> None:
    page, other = play(tabs, server)
    page.evaluate("session.close()")
    join(page, "/walking", name="Bob", whenHidden="play")
    page.evaluate(_NOTE_FRAMES)
    other.bring_to_front()
    until(page, "came.filter(({ hidden }) => hidden).length > 40")


@pytest.mark.slow
def test_a_frozen_tab_comes_back_with_one_frame(server: GameServer, tabs: BrowserContext) -> None:
    page, other = play(tabs, server)
    other.bring_to_front()
    until(page, "document.hidden")
    tabs.new_cdp_session(page).send("Page.setWebLifecycleState", {"state": "frozen"})
    other.wait_for_timeout(AWAY_TICKS * TICK_MS)
    assert page.evaluate("came.filter(({ hidden }) => hidden).length") <= WINDOW_FRAMES
    look_again(page)
    # Chromium may close the WebSockets of what it freezes; the seat is kept.
    assert [event["type"] for event in page.evaluate("told.others")] in ([], ["dropped", "returned"])
