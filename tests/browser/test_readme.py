"""What the README shows of the browser is what a reader gets who copies it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.browsers import OpenPage
from tests.browser.pages import until
from tests.browser.servers import StartServer

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def example(language: str, begin: str) -> str:
    """The first example of a language behind a line."""
    found = re.search(rf"```{language}\n(.*?)```", README[README.index(begin) :], re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_page_plays_the_example_game(
    tmp_path: Path, game_server: StartServer, browser_page: OpenPage
) -> None:
    (tmp_path / "my_game.py").write_text(example("python", "`my_game.py`, complete"), encoding="utf-8")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").write_text(example("html", "From a page"), encoding="utf-8")
    server = game_server("my_game:Space", "--static", "dist")
    page = browser_page(server.url + "/")
    drawn = "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 300, 150).data].some(Boolean)"
    assert until(page, drawn)


def test_without_a_page_the_example_game_shows_the_inspector(
    tmp_path: Path, game_server: StartServer, browser_page: OpenPage
) -> None:
    (tmp_path / "my_game.py").write_text(example("python", "`my_game.py`, complete"), encoding="utf-8")
    page = browser_page(game_server("my_game:Space").url + "/")
    page.get_by_label("Your name").fill("Ada")
    page.keyboard.press("Enter")
    assert until(page, "[...window.tickwire?.session?.world.Ship ?? []].map((ship) => ship.name)[0]") == "Ada"
