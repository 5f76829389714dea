"""A real Chromium, and pages whose errors are counted.

Playwright's synchronous API drives the browser that the system has; nothing is downloaded.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:  # without Playwright, test modules can be imported still, and their tests are skipped
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request

#: What a system may call it.
CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
NO_CHROMIUM: Final = (
    f"no Chromium on PATH ({', '.join(CHROMIUM_NAMES)}): apt-get install chromium fonts-dejavu-core, or the like"
)
NO_PLAYWRIGHT: Final = "Playwright is not installed: .venv/bin/pip install -e '.[dev]'"
#: Containers run tests as root, where Chromium's sandbox does not start, and have a tiny /dev/shm; WebGL is done by the
#: CPU, for there may be no other.
_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--mute-audio",
)
#: No page under test takes so long to do anything, unless something hangs.
SECONDS: Final = 20
#: For events that are on their way when a test ends.
_LAST_EVENTS_MS: Final = 20
SCREENSHOTS: Final = Path(__file__).parents[2] / "build" / "screenshots"


def find_chromium() -> str | None:
    """Where the system has one; None without."""
    return next((found for name in CHROMIUM_NAMES if (found := shutil.which(name)) is not None), None)


def launch(playwright: Playwright) -> Browser:
    """Start the browser, without a window."""
    return playwright.chromium.launch(executable_path=find_chromium(), args=list(_ARGUMENTS), timeout=SECONDS * 1000)


@contextmanager
def launch_with_tabs(playwright: Playwright, folder: Path) -> Iterator[BrowserContext]:
    """Start a browser of its own whose tabs can be hidden; ``folder`` is for its files."""
    own = ["--headless", "--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}"]
    log = folder / "chromium.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [find_chromium() or "", *_ARGUMENTS, *own, "about:blank"], stdout=errors, stderr=errors
        )
    try:
        browser = playwright.chromium.connect_over_cdp(_debugger(process, log), no_defaults=True)
        context = browser.contexts[0]
        context.set_default_timeout(SECONDS * 1000)
        yield context
        browser.close()
    finally:
        process.kill()
        process.wait()


def _debugger(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that the browser prints for those who want to steer it."""
    until = time.monotonic() + SECONDS
    while (found := re.search(r"DevTools listening on (\S+)", log.read_text())) is None:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"Chromium did not start:\n{log.read_text()}")
        time.sleep(0.02)
    return found[1]


def screenshot(page: Page, name: str) -> Path:
    """Write what the page shows to ``build/screenshots/NAME.png``, to be looked at."""
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path)
    return path


class OpenPage(Protocol):
    """What the fixture ``browser_page`` gives."""

    def __call__(
        self, url: str, *, expect_errors: bool | str | Iterable[str] = False, **context_options: object
    ) -> Page:
        """Open a page in a context (cookies, cache, storage) of its own, and wait until it is loaded.

        Args:
            url: where to; empty for a page that the test itself takes somewhere.
            expect_errors: True when errors are no failure of the test, or patterns of those that are not.
            context_options: of Playwright's ``Browser.new_context``, such as ``viewport`` or ``ignore_https_errors``.
        """


class WatchedPage:
    """One open page, its context, and all that went wrong in it."""

    def __init__(self, context: BrowserContext, expected: bool | str | Iterable[str]) -> None:
        self._context = context
        self._all_expected = expected is True
        patterns = () if isinstance(expected, bool) else (expected,) if isinstance(expected, str) else expected
        self._expected = [re.compile(pattern) for pattern in patterns]
        self._errors: list[str] = []
        self._closing = False
        context.on("console", self._console)
        context.on("weberror", lambda error: self._add(f"uncaught: {error.error.stack or error.error}"))
        context.on("requestfailed", self._request_failed)
        context.set_default_timeout(SECONDS * 1000)
        self.page = context.new_page()

    @property
    def errors(self) -> list[str]:
        """What went wrong so far and was not expected, in order."""
        if self._all_expected:
            return []
        return [error for error in self._errors if not any(each.search(error) for each in self._expected)]

    def close(self) -> None:
        """Close the page; what that cuts short is no error any more."""
        self._closing = True
        self._context.close()

    def _add(self, error: str) -> None:
        if not self._closing:
            self._errors.append(error)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            place = message.location
            self._add(f"console: {message.text} ({place.get('url', '')}:{place.get('lineNumber', '')})")

    def _request_failed(self, request: Request) -> None:
        self._add(f"request failed: {request.method} {request.url}: {request.failure}")


class WatchedPages:
    """All pages of one test; the fixture ``browser_page`` is `open`."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._watched: list[WatchedPage] = []

    def open(self, url: str, *, expect_errors: bool | str | Iterable[str] = False, **context_options: object) -> Page:
        """See `OpenPage`."""
        options = {"viewport": {"width": 1180, "height": 740}, **context_options}
        watched = WatchedPage(self._browser.new_context(**options), expect_errors)  # type: ignore[arg-type]
        self._watched.append(watched)
        if url:
            watched.page.goto(url)
        return watched.page

    @property
    def errors(self) -> list[str]:
        """What went wrong in them so far."""
        return [error for watched in self._watched for error in watched.errors]

    def screenshots(self, name: str) -> None:
        """Keep what all pages show, of a test that failed."""
        from playwright.sync_api import Error

        for number, watched in enumerate(self._watched):
            try:
                screenshot(watched.page, f"failed-{name}-{number}")
            except Error:
                pass  # it crashed or hangs; the test's own failure says more

    def close(self) -> list[str]:
        """Close all pages; what went wrong in them."""
        for page in [watched.page for watched in self._watched if not watched.page.is_closed()][:1]:
            page.wait_for_timeout(_LAST_EVENTS_MS)  # events of all pages are heard in calls like this one only
        errors = self.errors
        for watched in self._watched:
            watched.close()
        self._watched.clear()
        return errors
