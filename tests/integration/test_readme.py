"""The game in README.md is complete: it is taken from there and played."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

import gameclient
from gameserver import serve

README = (Path(__file__).parents[2] / "README.md").read_text()


def game() -> dict[str, Any]:
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "class Space(Room)" in block)
    namespace: dict[str, Any] = {"__name__": "my_game"}
    exec(compile(code, "README.md", "exec", dont_inherit=True), namespace)
    return namespace


async def test_the_game_in_the_readme_plays(autojump_clock: MockClock) -> None:
    with trio.fail_after(60):
        async with (
            serve(game()["Space"]) as server,
            gameclient.connect(server.local("space"), name="Ada") as session,
        ):
            await session.next_frame()
            (ship,) = session.world["Ship"]
            assert (ship.name, ship.mine, ship.x) == ("Ada", True, 2000)
            while ship.x <= 2010:
                session.send_input(thrust=True, turn=0.5)
                await session.next_frame()
            assert ship.heading > 0
