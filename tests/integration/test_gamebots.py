"""``gamebots`` as a user runs it, against ``gameserver run`` in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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


def start(*arguments: object) -> subprocess.Popen[str]:
    """A run; in a session of its own, as a terminal signals whole groups."""
    command = [sys.executable, "-m", "gamebots", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload, no-any-return]


def gamebots(*arguments: object) -> subprocess.CompletedProcess[str]:
    return finish(start(*arguments))


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=SECONDS)
    assert "Traceback" not in err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


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

FAILING = """
from gamebots.bots import Bot

class Crasher(Bot):
    def on_frame(self, world):
        if self.number % 2 == 0:
            return {"sideways": 1}
"""


class Runs:
    """Runs of the command line that take their seconds side by side.

    Attributes:
        folder: what they write into.
    """

    def __init__(self, served: Served, folder: Path) -> None:
        self.folder = folder
        self._done: dict[str, subprocess.CompletedProcess[str]] = {}
        (folder / "mine.py").write_text(FAILING)
        self._processes = {
            "judged": start(
                *(served.url, "--count", 30, "--seconds", 2, "--processes", 2, "--replicas", 5, "--ramp", "inf"),
                *("--require", "desyncs==0,frames.rate>=10", "--require", "latency.p99<1us"),
                *("--server-pid", served.process.pid),
                *("--json", folder / "result.json", "--junit", folder / "junit.xml"),
            ),
            "good": start(served.url, "--count", 3, "--seconds", 1, "--json", "--require", "desyncs==0", "--quiet"),
            "crashing": start(
                *("run", served.url, "--count", 4, "--seconds", 1),
                *("--bot", folder / "mine.py:Crasher", "--json", "--quiet"),
            ),
            "nobody": start("ws://127.0.0.1:9/arena", "--count", 2, "--seconds", 1, "--json", "--quiet"),
            "nowhere": start(
                served.url.replace("/arena", "/nowhere"), "--count", 2, "--seconds", 9, "--json", "--quiet"
            ),
            "wrong": start("http://x/"),
        }

    def done(self, name: str) -> subprocess.CompletedProcess[str]:
        if name not in self._done:
            self._done[name] = finish(self._processes[name])
        return self._done[name]

    def end(self) -> None:
        for name, process in self._processes.items():
            if name not in self._done:
                process.kill()
                process.communicate()


@pytest.fixture(scope="module")
def runs(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    made = Runs(served, tmp_path_factory.mktemp("runs"))
    yield made
    made.end()


def test_two_processes_make_one_result_and_one_verdict(runs: Runs) -> None:
    done = runs.done("judged")
    assert done.returncode == 1, done.stderr  # of the latency alone
    result = json.loads((runs.folder / "result.json").read_text())
    assert result["format"] == "gamebots-result/1"
    assert (result["count"], result["processes"], result["replicas"], result["scenario"]) == (30, 2, 5, "steady")
    assert result["bots"] == {"asked": 30, "joined": 30, "connected_at_end": 30, "refused": 0, "returns": 0}
    assert result["per_bot"]["bot"] == list(range(30))
    figures = result["figures"]
    assert all(15 < rate < 25 for rate in result["per_bot"]["frames_rate"])
    assert figures["frames.rate"]["count"] == 30
    assert 15 < figures["ticks.rate"]["value"] < 21
    assert figures["hashes.checked"]["value"] >= 5
    assert figures["join"]["count"] == figures["connect"]["count"] == 30
    assert 0 < figures["latency"]["p50"] <= figures["latency"]["p99"] < 1000
    assert figures["state_age"]["p50"] < 200
    assert figures["server.cpu"]["value"] > 0
    assert 10 < figures["server.memory"]["value"] < 1000
    assert HdrHistogram.decode(result["histograms"]["latency"]).get_total_count() == figures["latency"]["count"]


def test_its_time_line_has_all_seconds_and_all_joins(runs: Runs) -> None:
    runs.done("judged")
    line = json.loads((runs.folder / "result.json").read_text())["timeline"]
    assert {len(column) for column in line.values()} == {len(line["second"])}
    assert line["second"] == list(range(line["second"][0], line["second"][-1] + 1))
    assert line["second"][0] < 0 <= line["second"][-1]
    assert line["connected"][-1] == 30
    assert sum(line["joins"]) == 30


def test_its_verdict_is_in_the_result_in_junit_and_in_words(runs: Runs) -> None:
    done = runs.done("judged")
    verdict = json.loads((runs.folder / "result.json").read_text())["verdict"]
    passed = [requirement["passed"] for requirement in verdict["requirements"]]
    assert (verdict["passed"], passed) == (False, [True, True, False])
    cases = list(ElementTree.parse(runs.folder / "junit.xml").iter("testcase"))
    assert [case.find("failure") is not None for case in cases] == [False, False, True]
    assert "latency.p99" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_to_stdout_is_nothing_else_and_zero_says_all_is_well(runs: Runs) -> None:
    done = runs.done("good")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verdict"]["passed"] is True


@pytest.mark.slow
def test_without_json_it_speaks_to_people(served: Served) -> None:
    done = gamebots("run", served.url, "--count", 3, "--seconds", 1)
    assert done.returncode == 0, done.stderr
    assert "latency" in done.stdout
    assert "3 bots" in done.stderr


@pytest.mark.slow
def test_200_bots_hold_what_the_server_published(served: Served) -> None:
    result = measure(served.url, 200, 3.0, ramp=100.0, processes=2)
    figures = result["figures"]
    assert (result["bots"]["connected_at_end"], result["replicas"], figures["desyncs"]["value"]) == (200, 200, 0)
    assert figures["hashes.checked"]["value"] >= 2 * 200
    assert (result["disconnects"], result["refusals"], figures["frames.unapplied"]["value"]) == ({}, {}, 0)
    assert figures["bytes.in"]["value"] > 1000


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_refusals_are_told_by_their_reason(runs: Runs) -> None:
    done = runs.done("nowhere")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["bots"] == {"asked": 2, "joined": 0, "connected_at_end": 0, "refused": 2, "returns": 0}
    ((reason, times),) = result["refusals"].items()
    assert times == 2
    assert "404 Not Found" in reason
    assert "there is arena" in reason
    assert result["figures"]["refused"]["value"] == 2
    assert result["seconds"] < 2  # nobody is there to measure


def test_nobody_there_is_a_failed_run(runs: Runs) -> None:
    done = runs.done("nobody")
    assert done.returncode == 1
    (reason,) = json.loads(done.stdout)["refusals"]
    assert "refused" in reason.lower()


@pytest.mark.slow
def test_a_server_with_too_few_places_refuses_some(tmp_path: Path) -> None:
    server = Served(tmp_path, "--max-connections", "6")
    try:
        result = measure(server.url, 10)
    finally:
        server.end()
    assert (result["bots"]["joined"], result["bots"]["refused"]) == (6, 4)
    assert sum(result["refusals"].values()) == 4
    assert result["figures"]["frames.rate"]["count"] == 6


def test_a_bot_whose_code_fails_is_named_with_its_line(runs: Runs) -> None:
    done = runs.done("crashing")
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
    assert result["limit"]["side"] not in ("tool", "machine")


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

FAST_CHURN = """
from gamebots.scenarios import Churn

class Fast(Churn):
    play_seconds = 0.5
    away_seconds = 0.2
"""


@pytest.fixture(scope="module")
def measured(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Results of runs that take their seconds side by side, by name."""
    folder = tmp_path_factory.mktemp("scenarios")
    (folder / "fast.py").write_text(FAST_CHURN)
    with ThreadPoolExecutor() as pool:
        futures = {
            "storm": pool.submit(measure, served.url, 20, 3.0, scenario="reconnect-storm"),
            "storm without seats": pool.submit(measure, served.hall, 20, 3.0, scenario="reconnect-storm"),
            "churn": pool.submit(measure, served.url, 20, 4.0, scenario=str(folder / "fast.py")),
            "slow readers": pool.submit(measure, served.url, 20, 6.0, scenario="slow-readers"),
            "flash crowd": pool.submit(measure, served.url, 50, 5.0, scenario="flash-crowd", processes=2),
            "replay": pool.submit(measure, served.hall, 4, replay=recording(folder)),
            "wrong replay": pool.submit(measure, served.url, 2, replay=recording(folder)),
        }
        yield lambda name: futures[name].result()


def recording(folder: Path) -> Path:
    """Of somebody who jumped in the hall."""
    fields = [{"name": "jump", "type": "bool", "default": False}]
    head = {"format": FORMAT, "room": "hall", "tick_rate": 20.0, "input": {"name": "Keys", "fields": fields}}
    lines = [{"player": 0, "at": n / 20, "values": [n % 3 == 0]} for n in range(40)]
    path = folder / "played.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *lines)))
    return path


Measured = Callable[[str], dict[str, Any]]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kept"), [("storm", True), ("storm without seats", False)])
def test_a_reconnect_storm_comes_back_to_its_seats_or_joins_anew(measured: Measured, name: str, kept: bool) -> None:
    result = measured(name)
    assert result["bots"]["joined"] == result["bots"]["connected_at_end"] == 20
    assert result["bots"]["returns"] == (20 if kept else 0)
    figures = result["figures"]
    assert (figures.get("return", {"count": 0}))["count"] == (20 if kept else 0)
    assert figures["join"]["count"] == (20 if kept else 40)
    assert (figures["disconnects"]["value"], figures["desyncs"]["value"], result["disconnects"]) == (0, 0, {})


@pytest.mark.slow
def test_churn(measured: Measured) -> None:
    result = measured("churn")
    joins, figures = result["figures"]["join"]["count"], result["figures"]
    assert 60 < joins < 250
    assert (result["bots"]["joined"], result["bots"]["refused"]) == (20, 0)
    assert (figures["desyncs"]["value"], figures["disconnects"]["value"]) == (0, 0)
    assert 15 < figures["frames.rate"]["value"] < 25  # of the time in the room; a join's frame is one more


@pytest.mark.slow
def test_slow_readers_do_not_spoil_the_others(measured: Measured) -> None:
    result = measured("slow readers")
    assert {name: group["bots"] for name, group in result["groups"].items()} == {"players": 18, "slow readers": 2}
    slow = result["groups"]["slow readers"]["figures"]
    assert slow["frames.gap"]["max"] > 2500
    assert result["figures"]["frames.gap"]["max"] < 1000
    assert result["figures"]["state_age"]["max"] < 1000
    assert result["per_bot"]["group"].count("slow readers") == 2
    assert result["bots"]["connected_at_end"] == 20
    assert slow["desyncs"]["value"] == 0


@pytest.mark.slow
def test_a_flash_crowd(measured: Measured) -> None:
    result = measured("flash crowd")
    line = dict(zip(result["timeline"]["second"], result["timeline"]["connected"], strict=True))
    assert line[0] == 5
    assert line[max(line)] == 50
    assert sum(joins for second, joins in zip(line, result["timeline"]["joins"], strict=True) if second >= 1) == 45
    assert (result["bots"]["joined"], result["figures"]["desyncs"]["value"]) == (50, 0)


@pytest.mark.slow
def test_a_recording_is_replayed_in_the_room_that_it_is_of(measured: Measured) -> None:
    result, other = measured("replay"), measured("wrong replay")
    assert (result["bots"]["connected_at_end"], result["figures"]["bots.failed"]["value"]) == (4, 0)
    assert result["figures"]["latency"]["count"] > 40
    assert other["figures"]["bots.failed"]["value"] == 2
    assert any("2 bot(s) failed" in text for text in other["warnings"])


# -- ends early --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ctrl_c_gives_the_result_so_far(served: Served) -> None:
    process = start(served.url, "--count", 20, "--seconds", 60, "--json", "--processes", 2)
    assert process.stderr is not None
    assert any("measure" in line for line in process.stderr)
    os.killpg(process.pid, signal.SIGINT)
    done = finish(process)
    result = json.loads(done.stdout)
    assert (result["interrupted"], done.returncode) == (True, 0)
    assert 0 < result["seconds"] < 30
    assert result["bots"]["connected_at_end"] == 20
    assert result["figures"]["frames.rate"]["count"] == 20


@pytest.mark.slow
def test_ctrl_c_in_the_ramp_too(served: Served) -> None:
    process = start(served.url, "--count", 60, "--seconds", 60, "--ramp", 4, "--json")
    assert process.stderr is not None
    assert any("ramp" in line for line in process.stderr)
    os.killpg(process.pid, signal.SIGINT)
    result = json.loads(finish(process).stdout)
    assert result["interrupted"] is True
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


def test_a_wrong_command_line_exits_with_two(runs: Runs) -> None:
    done = runs.done("wrong")
    assert (done.returncode, done.stdout) == (2, "")
    assert "ws://" in done.stderr
