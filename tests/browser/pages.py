"""A bare page for tests of the client: no game, everything in the hands of the test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser.browsers import SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Page

_INDEX = """<!doctype html>
<html lang="en">
<title>A page under test</title>
<link rel="icon" href="data:,">
<script type="module" src="page.js"></script>
</html>
"""
_SCRIPT = """
import * as tickwire from "/client.js";

/** What happened, by the types of events; of frames only how many. */
const told = { frames: 0, full: 0, messages: [], others: [] };

async function join(target, options = {}) {
  const session = await tickwire.connect(target, options);
  for (const type of ["dropped", "returned", "disconnected", "refused"]) {
    session.on(type, (event) => told.others.push({ ...event }));
  }
  session.on("frame", ({ full }) => {
    told.frames += 1;
    told.full += Number(full);
  });
  session.onMessage(null, (payload, kind) => told.messages.push([kind, payload]));
  Object.assign(window, { session });
  return session.player;
}

Object.assign(window, { tickwire, told, join });
"""


def write_page(folder: Path) -> Path:
    """Write the page; the folder to give to ``--static``."""
    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "index.html").write_text(_INDEX)
    (site / "page.js").write_text(_SCRIPT)
    return site


def join(page: Page, target: str, **options: Any) -> int:
    """Let the page join; the player's number. ``session`` and ``told`` are the page's variables from then on."""
    page.wait_for_function("window.join !== undefined")
    return int(page.evaluate("([target, options]) => join(target, options)", [target, options]))


def until(page: Page, condition: str, argument: object = None) -> Any:
    """Wait until a JavaScript expression, or function of the argument, is true; its value.

    The page is asked again and again from here: Playwright's ``wait_for_function`` uses ``eval``, which the policy of
    our pages forbids, and the timers of a hidden or frozen page do not run.
    """
    deadline = time.monotonic() + SECONDS
    while not (value := page.evaluate(condition, argument)):
        assert time.monotonic() < deadline, f"this did not become true: {condition}"
        page.wait_for_timeout(20)
    return value
