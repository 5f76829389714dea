"""``gamebots capacity`` against a server whose capacity is known: each player costs a part of the tick."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = 90  # real time; a bound, not a wait

ROOM = """
import time
from gameserver import Input, Room

class Keys(Input):
    up: bool = False

class Counter(Room):
    tick_rate = 20
    input = Keys

    def step(self, dt):
        time.sleep(0.002 * self.player_count)  # 25 players fill a tick
"""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "counted.py").write_text(ROOM)
    command = [sys.executable, "-m", "gameserver", "run", "counted:Counter", "--port", "0", "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        try:
            assert server.stdout is not None
            yield next(found[0] for line in server.stdout if (found := re.search(r"ws://\S+", line)))
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=SECONDS)


@pytest.mark.slow
def test_the_capacity_of_a_server_is_found(url: str) -> None:
    options = ["--from", "8", "--most", "100", "--precision", "0.5", "--seconds", "1.5", "--ramp", "inf"]
    command = [
        sys.executable,
        "-m",
        "gamebots",
        "capacity",
        url,
        *options,
        "--require",
        "ticks.rate>=18",
        "--json",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    answer = found["answer"]
    assert answer["exact"], answer["text"]
    assert 12 <= answer["count"] <= 27
    assert answer["count"] < answer["failed"] <= 32
    assert "ticks.rate>=18" in answer["text"]
    assert [point["count"] for point in found["points"]][:2] == [8, 16]
    assert answer["text"] in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_the_search_with_what_is_known(url: str) -> None:
    command = [sys.executable, "-m", "gamebots", "capacity", url, "--from", "2", "--seconds", "0.5", "--ramp", "inf"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as search:
        assert search.stdout is not None
        lines = iter(search.stdout)
        assert next(lines).split()[0] == "bots"
        assert next(lines).split()[0] == "2"
        search.send_signal(signal.SIGINT)
        *_, answer = lines
        assert search.wait(SECONDS) == 1
    assert re.search(r"\d bots.*the search was interrupted", answer)
