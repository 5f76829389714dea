"""Bots and scenarios of the user's own: which class is meant, and what is said when there is none."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gamebots.bots import Bot, RandomBot
from gamebots.loading import load_bot, load_scenario
from gameprotocol import Schema
from gameserver.demo.arena import Arena, Asteroid
from gameserver.testing import RoomTester

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "bots.py"
SCHEMA = Schema(tables=())

BOTS = """
from gamebots.bots import Bot, RandomBot

class Spinner(Bot):
    def on_frame(self, world):
        return {"turn": 1.0}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, of files to load; what they change in this process is undone."""
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    sys.path[:] = path


def write(folder: Path, text: str, name: str = "mine.py") -> None:
    (folder / name).write_text(text, "utf-8")


@pytest.mark.parametrize("path", ["mine.py:Spinner", "mine.py", "./mine.py:Spinner", "mine:Spinner"])
def test_a_class_in_a_file_or_module(folder: Path, path: str) -> None:
    write(folder, BOTS)
    bot = load_bot(path)(SCHEMA, 1, 0)
    assert type(bot).__name__ == "Spinner"
    assert isinstance(bot, Bot)


def test_a_file_is_run_once_finds_its_neighbours_and_its_instances_travel(folder: Path) -> None:
    (folder / "game").mkdir()
    write(folder, "SPEED = 3", "game/helpers_of_mine.py")
    write(folder, "import helpers_of_mine\n" + BOTS, "game/mine.py")
    made = load_bot("game/mine.py:Spinner")
    assert load_bot(str(folder / "game" / "mine.py")) is made
    assert type(pickle.loads(pickle.dumps(made(SCHEMA, 1, 0)))) is made


def test_two_files_of_one_name_are_two(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        write(folder, BOTS + f"\n    name = {name!r}\n", f"{name}/mine.py")
    assert [load_bot(f"{name}/mine.py").name for name in ("one", "two")] == ["one", "two"]  # type: ignore[attr-defined]


def test_a_function_makes_bots_too(folder: Path) -> None:
    write(
        folder,
        BOTS + "\ndef mixed(schema, player, seed):\n"
        "    return Spinner(schema, player, seed) if seed else RandomBot(schema, player, seed)\n"
        "def wrong(schema, player, seed):\n    return 5\n",
    )
    make = load_bot("mine.py:mixed")
    assert [type(make(SCHEMA, 1, seed)).__name__ for seed in (0, 1)] == ["RandomBot", "Spinner"]
    with pytest.raises(TypeError, match="gave int, not a Bot"):
        load_bot("mine.py:wrong")(SCHEMA, 1, 0)
    assert load_bot("gamebots.bots:RandomBot") is RandomBot


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("nowhere.py:Spinner", "", r"no file nowhere\.py \(for nowhere\.py:Spinner\) in "),
        ("nowhere_else:Spinner", "", r"no module 'nowhere_else'"),
        ("json.nowhere:Spinner", "", r"no module 'json\.nowhere'"),
        ("Spinner", "", r"'Spinner' is no bot: write FILE\.py:Class or module:Class"),
        (":Spinner", "", "is no bot: write"),
        ("mine.py:Spiner", BOTS, r"mine\.py has no Spiner; its bots are: Spinner \(did you mean Spinner\?\)"),
        ("mine.py", "X = 1", r"mine\.py has no bot: a class in it must be a subclass of Bot"),
        ("mine.py", BOTS + "\nclass Other(Spinner):\n    pass\n", r"has 2 bots: say which, as in mine\.py:Spinner"),
        ("mine.py:X", "class X:\n    pass\n", r"mine\.py:X is no bot: write class X\(Bot\), from gamebots\.bots"),
        ("mine.py:X", "X = 1", r"mine\.py:X is of type int, not a bot"),
        ("mine.py:X", "x = 1\n\ndef x(:\n", r"cannot load mine\.py:X: mine\.py, line 3: invalid syntax"),
        ("mine:X", "x = 1\n\ndef x(:\n", r"cannot load mine:X: mine\.py, line 3: invalid syntax"),
        ("mine.py:X", "\n\n1 / 0", r"cannot load mine\.py:X: mine\.py, line 3: ZeroDivisionError"),
        ("mine.py:X", "import no_such_thing", r"mine\.py, line 1: ModuleNotFoundError: No module named 'no_such"),
        ("mine:X", "import no_such_thing", r"cannot load mine:X: mine\.py, line 1: ModuleNotFoundError"),
        (
            "mine.py",
            BOTS + "\n    def __init__(self):\n        pass\n",
            r"cannot be made from schema, player and seed .* in on_join instead of __init__",
        ),
    ],
)
def test_what_cannot_be_loaded_says_what_to_do(folder: Path, path: str, text: str, complaint: str) -> None:
    write(folder, text)
    with pytest.raises(ValueError, match=complaint):
        load_bot(path)


def test_a_file_that_failed_can_be_loaded_when_it_is_mended(folder: Path) -> None:
    write(folder, "1 / 0")
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        load_bot("mine.py")
    write(folder, BOTS + "\n# longer than before")
    assert load_bot("mine.py")


SCENARIO = """
from gamebots.scenarios import Join, Play, Scenario, Steady, Wait

class Lunch(Scenario):
    def script(self, bot):
        yield Wait(1)
        yield Join()
        yield Play()
"""


def test_scenarios(folder: Path) -> None:
    write(folder, SCENARIO)
    lunch = load_scenario("mine.py")
    assert lunch.__name__ == "Lunch"
    assert lunch(10, 5.0, 100.0, 1).count == 10
    assert load_scenario("mine.py:Lunch") is lunch
    write(folder, BOTS, "bots.py")
    with pytest.raises(ValueError, match=r"bots\.py has no scenario: a class in it must be a subclass of Scenario"):
        load_scenario("bots.py")
    with pytest.raises(ValueError, match=r"from gamebots\.scenarios"):
        load_scenario("bots.py:Spinner")
    write(folder, "def lunch(): ...", "function.py")
    with pytest.raises(ValueError, match="is no class"):
        load_scenario("function.py:lunch")
    with pytest.raises(ValueError, match=r"'lunch' is no scenario: write FILE\.py:Class"):
        load_scenario("lunch")


def test_the_example_plays_the_arena_and_takes_its_break() -> None:
    """As ``--bot examples/bots.py --scenario examples/bots.py`` would have it."""
    make, scenario = load_bot(str(EXAMPLE)), load_scenario(str(EXAMPLE))(4, 10.0, 2.0, 1)
    with RoomTester(Arena, seed=1) as tester:
        gunner, target = tester.join("gunner"), tester.join("target")
        tester.world.despawn_where(Asteroid, tester.world[Asteroid].alive)
        ship = gunner.player.data
        ship.x, ship.y, target.player.data.x, target.player.data.y = 900, 900, 1000, 1050
        bot = make(gunner.world.schema, gunner.player.number, 0)
        for _ in range(120):
            turn, thrust, shoot = bot.next_input(gunner.world)
            gunner.input(turn=turn, thrust=thrust, shoot=shoot)
            tester.ticks()
        assert ship.score >= 10
        bot.on_message("destroyed", None)
        ((kind, text),) = bot.take_sent()
        gunner.send(kind, text)
        tester.ticks()
        assert target.heard("chat") == [["gunner", text]]
    stays, goes = ([type(step).__name__ for step in scenario.script(bot)] for bot in (0, 1))
    assert stays == ["Wait", "Join", "Play"]
    assert goes == ["Wait", "Join", "Until", "Leave", "Wait", "Join", "Play"]
