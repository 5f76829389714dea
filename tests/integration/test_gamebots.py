"""``gamebots`` as a user runs it, against ``gameserver run`` in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hdrh.histogram import HdrHistogram

from gamebots import fleet
from gamebots.cli import main
from gamebots.plan import Plan, Progress
from gamebots.recordings import FORMAT

SECONDS = 60  # real time; a bound, not a wait
#: Rooms that the bundled game has not.
ROOMS = """
from gameserver import Input, Room


class Hall(Room):
    "Keeps no seats, and knows its players' names."
    tick_rate = 20

    class Keys(Input):
        jump: bool = False

    input = Keys
"""


class Served:
    """A server in a process of its own, with two rooms.

    Attributes:
        url: of the bundled game's room. process: of the server.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        (folder / "load_rooms.py").write_text(ROOMS)
        options = ("--port", "0", "--seed", "3", "--log-level", "error", "--connects-per-second-per-address", "1000")
        rooms = ("arena=gameserver.demo.arena:Arena", "hall=load_rooms:Hall")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gameserver", "run", *rooms, *options, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(folder)},
        )
        assert self.process.stdout is not None
        self.url = next(found[0] for line in self.process.stdout if (found := re.search(r"ws://\S+/arena", line)))

    @property
    def hall(self) -> str:
        return self.url.replace("/arena", "/hall")

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=SECONDS)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(tmp_path_factory.mktemp("rooms"), "--max-connections-per-address", "1000")
    yield server
    server.end()


def gamebots(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gamebots", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def measure(url: str, count: int = 10, seconds: float = 1.0, **more: Any) -> dict[str, Any]:
    """The result of a run from within Python."""
    return fleet.run(Plan(url, count, seconds, **{"ramp": 1000.0, **more}))


def rejected(*arguments: str) -> str:
    """What a command line that is wrong is told; no process is started for it."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.output).split())


# -- a run -------------------------------------------------------------------------------------------------------------


def test_two_processes_make_one_result_and_one_verdict(served: Served, tmp_path: Path) -> None:
    json_path, junit_path = tmp_path / "result.json", tmp_path / "junit.xml"
    done = gamebots(
        *(served.url, "--count", 30, "--seconds", 2, "--processes", 2, "--replicas", 5, "--ramp", "inf"),
        *("--require", "desyncs==0,frames.rate>=15", "--require", "latency.p99<1us"),
        *("--server-pid", served.process.pid, "--json", json_path, "--junit", junit_path),
    )
    assert done.returncode == 1, done.stderr  # of the latency alone
    result = json.loads(json_path.read_text())
    assert result["format"] == "gamebots-result/1"
    assert (result["count"], result["processes"], result["replicas"], result["scenario"]) == (30, 2, 5, "steady")
    assert result["bots"] == {"asked": 30, "joined": 30, "connected_at_end": 30, "refused": 0, "returns": 0}
    assert result["per_bot"]["bot"] == list(range(30))
    figures = result["figures"]
    assert all(18 < rate < 22 for rate in result["per_bot"]["frames_rate"])
    assert figures["frames.rate"]["count"] == 30
    assert 19 < figures["ticks.rate"]["value"] < 21
    assert figures["hashes.checked"]["value"] >= 5
    assert figures["join"]["count"] == figures["connect"]["count"] == 30
    assert 0 < figures["latency"]["p50"] <= figures["latency"]["p99"] < 1000
    assert figures["state_age"]["p50"] < 200
    assert 0 < figures["server.cpu"]["value"] < 400
    assert 10 < figures["server.memory"]["value"] < 1000
    assert HdrHistogram.decode(result["histograms"]["latency"]).get_total_count() == figures["latency"]["count"]
    line = result["timeline"]
    assert {len(column) for column in line.values()} == {len(line["second"])}
    assert line["second"] == sorted(line["second"])
    assert 0 in line["second"]
    assert line["connected"][-1] == 30
    assert sum(line["joins"]) == 30
    passed = [requirement["passed"] for requirement in result["verdict"]["requirements"]]
    assert (result["verdict"]["passed"], passed) == (False, [True, True, False])
    cases = list(ElementTree.parse(junit_path).iter("testcase"))
    assert [case.find("failure") is not None for case in cases] == [False, False, True]
    assert "latency.p99" in done.stdout
    assert "Traceback" not in done.stderr


def test_json_to_stdout_is_nothing_else_and_zero_says_all_is_well(served: Served) -> None:
    done = gamebots(served.url, "--count", 3, "--seconds", 1, "--json", "--require", "desyncs==0")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"]["passed"] is True


def test_without_json_it_speaks_to_people(served: Served) -> None:
    done = gamebots("run", served.url, "--count", 3, "--seconds", 1, "--quiet")
    assert done.returncode == 0, done.stderr
    assert "latency" in done.stdout
    assert "3" in done.stdout
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.slow
def test_200_bots_hold_what_the_server_published(served: Served) -> None:
    result = measure(served.url, 200, 3.0, ramp=100.0, processes=2)
    figures = result["figures"]
    assert (result["bots"]["connected_at_end"], result["replicas"], figures["desyncs"]["value"]) == (200, 200, 0)
    assert figures["hashes.checked"]["value"] >= 2 * 200
    assert (result["disconnects"], result["refusals"], figures["frames.unapplied"]["value"]) == ({}, {}, 0)
    assert figures["bytes.in"]["value"] > 1000


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ["nowhere", ""])
def test_refusals_are_told_by_their_reason(served: Served, room: str) -> None:
    result = measure(served.url.replace("/arena", f"/{room}"), 2, 5.0)
    assert result["bots"] == {"asked": 2, "joined": 0, "connected_at_end": 0, "refused": 2, "returns": 0}
    ((reason, times),) = result["refusals"].items()
    assert times == 2
    assert "404" in reason
    assert result["figures"]["refused"]["value"] == 2
    assert result["seconds"] < 2  # nobody is there to measure


def test_nobody_there_is_a_failed_run() -> None:
    done = gamebots("ws://127.0.0.1:9/arena", "--count", 2, "--seconds", 1, "--json", "--quiet")
    assert done.returncode == 1
    (reason,) = json.loads(done.stdout)["refusals"]
    assert "refused" in reason.lower()


def test_a_server_with_too_few_places_refuses_some(tmp_path: Path) -> None:
    server = Served(tmp_path, "--max-connections", "6")
    try:
        result = measure(server.url, 10)
    finally:
        server.end()
    assert (result["bots"]["joined"], result["bots"]["refused"]) == (6, 4)
    assert sum(result["refusals"].values()) == 4
    assert result["figures"]["frames.rate"]["count"] == 6


FAILING = """
from gamebots.bots import Bot

class Crasher(Bot):
    def on_frame(self, world):
        if self.number % 2 == 0:
            return {"sideways": 1}
"""


def test_a_bot_whose_code_fails_is_named_with_its_line(served: Served, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FAILING)
    done = gamebots(
        served.url, "--count", 4, "--seconds", 1, "--bot", tmp_path / "mine.py:Crasher", "--json", "--quiet"
    )
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["figures"]["bots.failed"]["value"] == 2
    assert (result["bots"]["joined"], result["bots"]["connected_at_end"]) == (4, 2)
    (warning,) = [text for text in result["warnings"] if "failed" in text]
    assert "2 bot(s) failed" in warning
    assert "has no field 'sideways'" in warning
    assert result["disconnects"] == {}


@pytest.mark.slow
def test_a_server_that_freezes_does_not_look_well(tmp_path: Path) -> None:
    """Frames that never came and inputs that were never answered count, up to the end."""
    server = Served(tmp_path)
    frozen = False

    def freeze(progress: Progress) -> None:
        nonlocal frozen
        if progress.phase == "measure" and progress.seconds > 1 and not frozen:
            frozen = True
            server.process.send_signal(signal.SIGSTOP)

    try:
        result = fleet.run(Plan(server.url, 5, 5.0, 1000.0), freeze)
    finally:
        server.end()
    figures = result["figures"]
    assert frozen
    assert figures["frames.gap"]["max"] > 1000
    assert figures["state_age"]["max"] > 1000
    assert figures["latency"]["max"] > 1000
    assert figures["disconnects"]["value"] == 5
    assert all("nothing came for 3 s" in reason for reason in result["disconnects"])
    assert result["limit"]["side"] == "server"


@pytest.mark.slow
def test_a_server_that_dies_is_told(tmp_path: Path) -> None:
    server = Served(tmp_path)
    killed = False

    def kill(progress: Progress) -> None:
        nonlocal killed
        if progress.phase == "measure" and not killed:
            killed = True
            server.process.kill()

    try:
        result = fleet.run(Plan(server.url, 5, 3.0, 1000.0, server_pid=server.process.pid), kill)
    finally:
        server.end()
    assert result["figures"]["disconnects"]["value"] == 5
    assert sum(result["disconnects"].values()) == 5
    assert all(reason.startswith("1006") for reason in result["disconnects"])


# -- scenarios ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("room", "kept"), [("arena", True), ("hall", False)])
def test_a_reconnect_storm_comes_back_to_its_seats_or_joins_anew(served: Served, room: str, kept: bool) -> None:
    result = measure(served.url.replace("/arena", f"/{room}"), 20, 3.0, scenario="reconnect-storm")
    assert result["bots"]["joined"] == result["bots"]["connected_at_end"] == 20
    assert result["bots"]["returns"] == (20 if kept else 0)
    figures = result["figures"]
    assert (figures.get("return", {"count": 0}))["count"] == (20 if kept else 0)
    assert figures["join"]["count"] == (20 if kept else 40)
    assert (figures["disconnects"]["value"], figures["desyncs"]["value"], result["disconnects"]) == (0, 0, {})


@pytest.mark.slow
def test_churn(served: Served, tmp_path: Path) -> None:
    (tmp_path / "fast.py").write_text(
        "from gamebots.scenarios import Churn\n\n\nclass Fast(Churn):\n    play_seconds = 0.5\n    away_seconds = 0.2\n"
    )
    result = measure(served.url, 20, 4.0, scenario=str(tmp_path / "fast.py"))
    joins, figures = result["figures"]["join"]["count"], result["figures"]
    assert 60 < joins < 250
    assert sum(result["timeline"]["joins"]) == joins
    assert (result["bots"]["joined"], result["bots"]["refused"]) == (20, 0)
    assert (figures["desyncs"]["value"], figures["disconnects"]["value"]) == (0, 0)
    assert 18 < figures["frames.rate"]["value"] < 25  # of the time in the room; a join's frame is one more


@pytest.mark.slow
def test_slow_readers_do_not_spoil_the_others(served: Served) -> None:
    result = measure(served.url, 20, 6.0, scenario="slow-readers")
    assert {name: group["bots"] for name, group in result["groups"].items()} == {"players": 18, "slow readers": 2}
    slow = result["groups"]["slow readers"]["figures"]
    assert slow["frames.gap"]["max"] > 2500
    assert result["figures"]["frames.gap"]["max"] < 1000
    assert result["figures"]["state_age"]["max"] < 1000
    assert result["per_bot"]["group"].count("slow readers") == 2
    assert result["bots"]["connected_at_end"] == 20
    assert slow["desyncs"]["value"] == 0


@pytest.mark.slow
def test_a_flash_crowd(served: Served) -> None:
    result = measure(served.url, 50, 5.0, scenario="flash-crowd", processes=2)
    line = dict(zip(result["timeline"]["second"], result["timeline"]["connected"], strict=True))
    assert line[0] == 5
    assert line[max(line)] == 50
    assert sum(joins for second, joins in zip(line, result["timeline"]["joins"], strict=True) if second >= 1) == 45
    assert (result["bots"]["joined"], result["figures"]["desyncs"]["value"]) == (50, 0)


def test_a_recording_is_replayed(served: Served, tmp_path: Path) -> None:
    fields = [{"name": "jump", "type": "bool", "default": False}]
    head = {"format": FORMAT, "room": "hall", "tick_rate": 20.0, "input": {"name": "Keys", "fields": fields}}
    lines = [{"player": 0, "at": n / 20, "values": [n % 3 == 0]} for n in range(40)]
    path = tmp_path / "played.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *lines)))
    result = measure(served.hall, 4, replay=path)
    assert (result["bots"]["connected_at_end"], result["figures"]["bots.failed"]["value"]) == (4, 0)
    assert result["figures"]["latency"]["count"] > 40
    other = measure(served.url, 2, replay=path)  # a room that takes another input
    assert other["figures"]["bots.failed"]["value"] == 2
    assert any("2 bot(s) failed" in text for text in other["warnings"])


# -- ends early --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["ramp", "measure"])
def test_ctrl_c_gives_the_result_so_far(served: Served, phase: str) -> None:
    ramp = 5 if phase == "ramp" else 1000
    command = [sys.executable, "-m", "gamebots", served.url, "--count", "60", "--seconds", "60", "--ramp", str(ramp)]
    process = subprocess.Popen(
        [*command, "--json", "--processes", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal signals the whole group
    )
    time.sleep(3.5 if phase == "ramp" else 5.0)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert "Traceback" not in err
    result = json.loads(out)
    assert result["interrupted"] is True
    assert process.returncode == 0, err
    if phase == "measure":
        assert 0.5 < result["seconds"] < 10
        assert result["bots"]["connected_at_end"] == 60
        assert result["figures"]["latency"]["count"] > 100
        assert 0 in result["timeline"]["second"]
    else:
        assert 0 < result["bots"]["joined"] < 60


# -- wrong command lines -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("http://x/",), "ws://"),
        (("not a url",), "ws://"),
        (("ws://x/", "--count", "0"), "--count"),
        (("ws://x/", "--seconds", "no"), "--seconds"),
        (("ws://x/", "--seconds", "nan"), "--seconds"),
        (("ws://x/", "--rate", "nan"), "--rate"),
        (("ws://x/", "--ramp", "0"), "--ramp"),
        (("ws://x/", "--ramp", "nan"), "--ramp"),
        (("ws://x/", "--scenario", "stedy"), "there is steady, churn"),
        (("ws://x/", "--scenario", "nowhere.py"), "no file nowhere.py"),
        (("ws://x/", "--bot", "nowhere.py:Bot"), "no file nowhere.py"),
        (("ws://x/", "--link", "dail-up"), "dsl"),
        (("ws://x/", "--require", "latency<5ms"), "latency.p99"),
        (("ws://x/", "--require", "latency.p99<5mx"), "--require"),
        (("ws://x/", "--json", "/nowhere/at/all.json"), "there is no folder"),
        (("ws://x/", "--junit", "/nowhere/at/all.xml"), "there is no folder"),
        (("ws://x/", "--compare", "earlier.json"), "earlier.json"),
        (("ws://x/", "--replay", "nowhere.jsonl"), "nowhere.jsonl"),
        (("ws://x/", "--ca", __file__), "no certificate"),
        (("ws://x/", "--server-pid", "999999999"), "no process 999999999"),
        (("ws://x/", "--count", "100000000"), "--processes"),
        (("ws://x/", "--cuont", "5"), "--cuont"),
        (("run",), "URL"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_started(arguments: tuple[str, ...], told: str) -> None:
    assert told in rejected(*arguments)


def test_a_wrong_command_line_exits_with_two() -> None:
    done = gamebots("http://x/")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
