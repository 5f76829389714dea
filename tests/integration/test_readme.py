"""The games in README.md are complete: they are taken from there and played."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import gameclient
from gameserver import CloseCode, RequestError, Room, serve
from gameserver.testing import RoomTester

README = (Path(__file__).parents[2] / "README.md").read_text()


def game(marker: str = "class Space(Room)") -> dict[str, Any]:
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.S) if marker in block)
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


async def test_the_views_in_the_readme_show_what_they_say(autojump_clock: MockClock) -> None:
    with trio.fail_after(60):
        async with serve(game("class Hunt(Room)")["Hunt"]) as server, trio.open_nursery():
            target = server.local("hunt")
            async with gameclient.connect(target) as one, gameclient.connect(target) as two:
                async with gameclient.connect(target) as three:
                    await three.next_frame()
                    sessions = (one, two, three)
                    for session in sessions:
                        for _ in range(3):
                            await session.next_frame()
                    # They stand at x = 200, 400 and 600: the first and the third are 400 apart.
                    assert [sorted(tank.x for tank in session.world["Tank"]) for session in sessions] == [
                        [200, 400],
                        [200, 400, 600],
                        [400, 600],
                    ]
                    for session in sessions:
                        for tank in session.world["Tank"]:
                            assert tank.ammo == (40 if tank.mine else None)
                            assert tank.orders == ("" if tank.team == session.player % 2 else None)
                        assert [card.face for card in session.world["Card"]] == [7]
                        assert len(session.world["Score"]) == 3
                    one.send("spectate")
                    while not any(tank.x == 600 for tank in one.world["Tank"]):
                        await one.next_frame()
                while any(tank.x == 600 for tank in one.world["Tank"]):
                    await one.next_frame()
                assert sorted(tank.x for tank in one.world["Tank"]) == [200, 400]


def test_the_duel_in_the_readme_and_its_test() -> None:
    duel = game("class Duel(Room)")
    test = game("def test_a_player_comes_back")["test_a_player_comes_back"]
    test.__globals__.update(duel)
    testers: list[RoomTester[Any]] = []

    def room_tester(room_class: type[Room]) -> RoomTester[Any]:
        testers.append(RoomTester(room_class))
        return testers[-1]

    test(room_tester)
    (tester,) = testers
    assert tester.room.locked
    with pytest.raises(RequestError, match="no money"):
        tester.players[0].request("buy", item=1, count=5)
    tester.seconds(120)
    assert tester.players[0].closed == (CloseCode.NORMAL, "time is up")
    tester.close()


async def test_the_rank_queue_and_the_lobby_in_the_readme_are_served(autojump_clock: MockClock) -> None:
    duel = game("class Duel(Room)")["Duel"]
    queue = game("class DuelQueue(RankQueue)")
    with trio.fail_after(60):
        async with (
            serve(duel, queue["DuelQueue"], {"lobby": queue["Lobby"]}) as server,
            gameclient.connect(server.local("duel"), filter={"mode": "ranked"}),
            gameclient.connect(server.local("lobby")) as lobby,
        ):
            while not any(row.room == "duel" and row.players == 1 for row in lobby.world["RoomRow"]):
                await lobby.next_frame()
            (row,) = (row for row in lobby.world["RoomRow"] if row.room == "duel")
            assert row.metadata == {"mode": "ranked", "level": 1}
