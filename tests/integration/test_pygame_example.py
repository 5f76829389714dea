"""The pygame example runs, joins and draws, without a screen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gameserver import serve_in_thread
from gameserver.demo.arena import Arena

pygame = pytest.importorskip("pygame")

EXAMPLE = Path(__file__).parents[2] / "examples" / "pygame_arena.py"


def run(*arguments: str) -> None:
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}
    command = [sys.executable, "-W", "error", str(EXAMPLE), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr


def colours(picture: Path) -> set[int]:
    surface = pygame.image.load(picture)
    width, height = surface.get_size()
    return {surface.get_at_mapped((x, y)) for x in range(0, width, 2) for y in range(0, height, 2)}


class CalmArena(Arena):
    """Nothing that could hit a ship in the first second."""

    def on_create(self) -> None:
        """No asteroids."""


@pytest.mark.slow
def test_it_joins_and_draws_its_own_ship_in_the_middle(tmp_path: Path) -> None:
    picture = tmp_path / "arena.png"
    with serve_in_thread({"arena": CalmArena}, port=0) as server:
        run(server.url(), "--name", "Ada", "--frames", "45", "--screenshot", str(picture))
    surface = pygame.image.load(picture)
    middle = pygame.Rect(0, 0, 60, 60)
    middle.center = surface.get_rect().center
    inside = surface.map_rgb((112 // 3, 226 // 3, 255 // 3))
    assert any(
        surface.get_at_mapped((x, y)) == inside
        for x in range(middle.left, middle.right)
        for y in range(middle.top, middle.bottom)
    )
    assert len(colours(picture)) > 20


def test_it_plays_on_a_server_of_its_own() -> None:
    run("--local", "--frames", "20")


def test_it_says_why_it_cannot_join(tmp_path: Path) -> None:
    picture = tmp_path / "refused.png"
    run("ws://127.0.0.1:9/arena", "--frames", "3", "--screenshot", str(picture))
    assert picture.exists()
