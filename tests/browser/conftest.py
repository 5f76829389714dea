"""Fixtures for tests in a real browser.

    def test_it(game_server, browser_page):
        server = game_server()  # the arena
        page = browser_page(server.url + "/arena/")

A test fails afterwards if any of its pages had an error in the console, an uncaught one or a failed request, or its
server logged a traceback. Tests are plain functions, not async ones: see `driver`.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import browsers
from tests.browser.servers import GameServer, StartServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Playwright

_failed: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test's own part failed, for the fixtures."""
    report = yield
    if call.when == "call":
        item.stash[_failed] = report.failed
    return report


@pytest.fixture(scope="package")
def driver() -> Iterator[Playwright]:
    """Playwright, which is gone when the run leaves this folder.

    Its synchronous API marks an asyncio loop as running in this thread as long as it is alive; tests of other folders
    run loops of their own.
    """
    pytest.importorskip("playwright", reason=browsers.NO_PLAYWRIGHT)
    from playwright.sync_api import sync_playwright

    if browsers.find_chromium() is None:
        pytest.skip(browsers.NO_CHROMIUM)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def chromium(driver: Playwright) -> Iterator[Browser]:
    """One browser for all tests of this folder."""
    browser = browsers.launch(driver)
    yield browser
    browser.close()


@pytest.fixture
def tabs(driver: Playwright, game_server: StartServer, tmp_path: Path) -> Iterator[BrowserContext]:
    """A browser as people have it: its tabs are hidden when others are in front, and may be frozen then.

    Playwright makes all pages believe that they are seen, so this browser is started without its help.
    """
    with browsers.launch_with_tabs(driver, tmp_path) as context:
        yield context


@pytest.fixture
def browser_page(
    chromium: Browser, game_server: StartServer, request: pytest.FixtureRequest
) -> Iterator[browsers.OpenPage]:
    """Opens pages; see `browsers.OpenPage`. They are closed before the servers that they play on."""
    pages = browsers.WatchedPages(chromium)
    yield pages.open
    if request.node.stash.get(_failed, True):
        pages.screenshots(re.sub(r"[^\w-]+", "_", request.node.name))
    errors = pages.close()
    assert not errors, "errors in the page:\n" + "\n".join(errors)


@pytest.fixture
def game_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartServer]:
    """Starts servers; see `servers.StartServer`."""
    servers: list[GameServer] = []

    def start(*arguments: str, folder: Path | None = None, **settings: object) -> GameServer:
        server = GameServer(*arguments, folder=tmp_path if folder is None else folder, **settings)
        servers.append(server)
        return server

    try:
        yield start
    finally:
        for server in servers:
            server.kill()
    for server in servers:
        if request.node.stash.get(_failed, True):
            request.node.add_report_section("call", "server", server.log[-8000:])
        else:
            assert "Traceback" not in server.log, server.log[-8000:]
