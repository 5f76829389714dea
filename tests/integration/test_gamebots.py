"""``gamebots`` as a user runs it, against ``gameserver run`` in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

SECONDS = 60  # real time; a bound, not a wait


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of the bundled game."""
    command = [sys.executable, "-m", "gameserver", "run", "--port", "0", "--seed", "3", "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield next(found[0] for line in server.stdout if (found := re.search(r"ws://\S+", line)))
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=SECONDS)


def gamebots(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gamebots", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.slow
def test_200_bots_hold_what_the_server_published(url: str) -> None:
    done = gamebots(url, "--count", "200", "--seconds", "3", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (report["connected"], report["replicas"], report["desyncs"]) == (200, 200, 0)
    assert report["hashes_checked"] >= 2 * 200
    assert report["disconnects"] == {}
    assert report["bytes_per_client_s"] > 1000
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"]


def test_a_sample_decodes_and_the_others_count(url: str) -> None:
    report = json.loads(gamebots(url, "--count", "30", "--seconds", "1.5", "--replicas", "5", "--json").stdout)
    assert (report["connected"], report["replicas"], report["desyncs"]) == (30, 5, 0)
    assert report["frames_per_client_s"] > 10


def test_without_json_it_speaks_to_people(url: str) -> None:
    done = gamebots(url, "--count", "3", "--seconds", "1")
    assert re.search(r"connected +3 of 3", done.stdout)
    assert "input sent to applied frame held" in done.stdout


@pytest.mark.parametrize(
    ("room", "reason"),
    [("nowhere", "the server answered 404 Not Found (No such room; there is arena.)"), ("", "the server answered 404")],
)
def test_a_refusal_is_counted_by_its_reason(url: str, room: str, reason: str) -> None:
    done = gamebots(url.replace("/arena", f"/{room}"), "--count", "2", "--seconds", "1", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["connected"] == 0
    (found,) = report["disconnects"]
    assert found.startswith(reason)


def test_nobody_there() -> None:
    done = gamebots("ws://127.0.0.1:9/arena", "--count", "2", "--seconds", "1", "--json")
    assert done.returncode == 1
    (reason,) = json.loads(done.stdout)["disconnects"]
    assert "refused" in reason.lower()


@pytest.mark.parametrize("arguments", [("http://x/",), ("ws://x/", "--count", "0"), ("ws://x/", "--seconds", "no")])
def test_wrong_arguments_are_named(arguments: tuple[str, ...]) -> None:
    done = gamebots(*arguments)
    assert done.returncode == 2
    assert any(word in done.stderr for word in ("URL", "--count", "--seconds"))
    assert "Traceback" not in done.stderr
