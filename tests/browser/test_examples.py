"""The examples for front ends: each is built as its README says, and plays in a real browser."""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.browsers import OpenPage, screenshot
from tests.browser.packages import INSTALL, ROOT, need_npm, npm, pack
from tests.browser.pages import until
from tests.browser.servers import StartServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
NAMES = ["vite_starter", "phaser_arena"]
#: Where the player's own ship is.
OWN = "[...session.world.Ship].find(({ mine }) => mine)"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with copies of all examples, built."""
    need_npm()
    folder = tmp_path_factory.mktemp("examples")
    tarball = pack(folder)
    for name in NAMES:
        copy = folder / name
        shutil.copytree(EXAMPLES / name, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
        described = (copy / "package.json").read_text()
        assert '"tickwire": "file:../../clients/js"' in described
        # What the folder would give, without building in the folder that others may be using.
        (copy / "package.json").write_text(described.replace("file:../../clients/js", f"file:{tarball}"))
        npm(copy, *INSTALL)
        npm(copy, "run", "--silent", "build")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_pages_play(built: Path, name: str, game_server: StartServer, browser_page: OpenPage) -> None:
    server = game_server("--seed", "4", static=built / name / "dist")
    # Bob's window is small: WebGL is drawn by the CPU here.
    ada = browser_page(f"{server.url}/?name=Ada", viewport={"width": 800, "height": 500})
    bob = browser_page(f"{server.url}/?name=Bob", viewport={"width": 200, "height": 100})
    for page in (ada, bob):
        until(page, "window.session?.joined")
    began = ada.evaluate(f"{OWN}.x")
    ada.bring_to_front()
    ada.locator("canvas").click()
    for key in ("ArrowUp", "Space"):
        ada.keyboard.down(key)
    # Both pages see how Ada flies and shoots; the picture is of a moment when she does.
    for page in (ada, bob):
        until(page, "(x) => [...session.world.Ship].some((s) => s.name === 'Ada' && Math.abs(s.x - x) > 60)", began)
        until(page, "session.world.Bullet.size > 0")
    ada.keyboard.down("ArrowRight")
    ada.wait_for_timeout(300)
    screenshot(ada, name)
    assert colours(ada) > 3
    assert ada.evaluate("session.stats.desyncs") == 0


def colours(page: Page) -> int:
    """How many colours the middle of the page has: one is a page where nothing is drawn."""
    picture = page.screenshot(clip={"x": 200, "y": 50, "width": 400, "height": 400})
    count = page.evaluate(
        """async (png) => {
            const picture = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
            const pen = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
            pen.drawImage(picture, 0, 0);
            const pixels = new Uint32Array(pen.getImageData(0, 0, picture.width, picture.height).data.buffer);
            return new Set(pixels).size;
        }""",
        base64.b64encode(picture).decode(),
    )
    return int(count)


def test_the_development_server_passes_the_socket_on(
    built: Path, game_server: StartServer, browser_page: OpenPage
) -> None:
    server = game_server()
    folder = built / "vite_starter"
    config = (folder / "vite.config.js").read_text()
    assert "http://127.0.0.1:8765" in config
    (folder / "for_test.config.js").write_text(config.replace("http://127.0.0.1:8765", server.url))
    command = ["node", "node_modules/vite/bin/vite.js", "--config", "for_test.config.js", "--host", "127.0.0.1"]
    with (folder / "vite.log").open("w") as log:
        # Colours would come into the middle of the address: Vite has them wherever CI is set.
        plain = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "0"}
        vite = subprocess.Popen([*command, "--port", str(free_port())], cwd=folder, env=plain, stdout=log, stderr=log)
    try:
        page = browser_page("")
        page.goto(printed_address(vite, folder / "vite.log"))
        until(page, "window.session?.joined && session.tick > 5")
    finally:
        page.close()
        vite.kill()
        vite.wait()


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def printed_address(vite: subprocess.Popen[bytes], log: Path) -> str:
    """Where Vite says that it serves the page."""
    until = time.monotonic() + 30
    while (found := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())) is None:
        assert vite.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    return found[0]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_machine_is_in_the_files(name: str) -> None:
    for path in (EXAMPLES / name).rglob("*"):
        if path.is_file() and not {"node_modules", "dist"} & set(path.parts):
            assert path.name not in ("package-lock.json", "yarn.lock", "pnpm-lock.yaml")
            assert not re.search(r"registry\.|resolved|/home/|/work/|/root/", path.read_text()), path
