"""The fixtures of this folder: what they promise to the other tests."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from tests.browser.browsers import SECONDS, OpenPage, WatchedPages
from tests.browser.servers import GameServer, StartServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def status(url: str) -> int:
    """The answer's HTTP status; 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.URLError:
        return 0


def test_a_server_keeps_its_port(game_server: StartServer) -> None:
    server = game_server()
    port, pid = server.port, server.pid
    assert status(server.url + "/healthz") == 200
    server.restart()
    assert server.port == port
    assert server.pid != pid
    assert status(server.url + "/healthz") == 200
    server.stop()
    assert status(server.url + "/healthz") == 0


def test_a_killed_server_is_gone(tmp_path: Path) -> None:
    server = GameServer(folder=tmp_path)
    pid = server.pid
    os.kill(pid, 0)
    server.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_does_not_start_says_why(game_server: StartServer) -> None:
    with pytest.raises(RuntimeError, match="nowhere"):
        game_server("nowhere:Room")


@pytest.mark.parametrize(
    ("script", "part"),
    [
        ("console.error('seen')", "console: seen"),
        ("undefinedFunction()", "undefinedFunction is not defined"),
        ("setTimeout(() => undefinedFunction())", "undefinedFunction is not defined"),
        ("Promise.reject(new Error('seen'))", "uncaught: Error: seen"),
        ("fetch('http://127.0.0.1:1/').catch(() => {})", "ERR_UNSAFE_PORT"),
        ("console.warn('not seen')", ""),
    ],
)
def test_errors_of_pages_are_found(chromium: Browser, script: str, part: str) -> None:
    pages = WatchedPages(chromium)
    page = pages.open(f"data:text/html,<script>{script}</script>")
    deadline = time.monotonic() + SECONDS
    while part and not pages.errors and time.monotonic() < deadline:
        page.wait_for_timeout(20)  # some errors are told later than the page is loaded
    errors = "\n".join(pages.close())
    assert part in errors
    assert bool(part) == bool(errors)


def test_a_page_without_an_icon_has_no_error(game_server: StartServer, browser_page: OpenPage) -> None:
    browser_page(game_server().url + "/rooms")  # Chromium asks each host for /favicon.ico, and notes a 404 as an error


def test_expected_errors_are_none(browser_page: OpenPage) -> None:
    page = browser_page("data:text/html,<script>console.error('one'); two()</script>", expect_errors=["one", "two"])
    assert page.evaluate("1 + 1") == 2


async def test_trio_runs_beside_the_browser(browser_page: OpenPage) -> None:
    assert await trio.to_thread.run_sync(lambda: 5) == 5
