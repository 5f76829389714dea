"""The command line, run as users run it: a process of its own, on a free port."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import trio

from tests.support.peers import Peer

BIN = Path(sys.executable).parent
SECONDS = 20  # no test waits so long unless something hangs

GAME = """
from gameserver import Room

class Tiny(Room):
    pass

class Second(Room):
    pass

class Unbuilt(Room):
    page = "dist"

class Wrong(Room):
    tick_rate = 0

class NoRoom:
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_game.py").write_text(GAME)
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found")
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
    return kept | {"PYTHONUNBUFFERED": "1"} | more


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; for those that must fail."""
    return subprocess.run(
        [BIN / "gameserver", *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class Running:
    """A server that was started; its greeting has been read."""

    def __init__(self, folder: Path, *arguments: str, module: bool = False, **variables: str) -> None:
        command = [sys.executable, "-m", "gameserver"] if module else [BIN / "gameserver"]
        self.process = subprocess.Popen(
            [*command, "run", "--port", "0", *arguments],
            cwd=folder,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.greeting = ""
        for line in self.process.stdout:
            self.greeting += line
            if "Ctrl-C" in line:
                break

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def urls(self) -> list[str]:
        return re.findall(r"^  (ws://\S+)$", self.greeting, re.MULTILINE)

    def stop(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err


def fetched(url: str) -> tuple[str, bytes]:
    """Where a browser is led, and what is there."""
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return answer.url, answer.read()


async def join(url: str) -> int:
    """Join a room over TCP and read a few frames; the tick rate that the welcome tells."""
    found = re.fullmatch(r"ws://([\d.]+):(\d+)/(\w+)", url)
    assert found is not None
    with trio.fail_after(SECONDS):
        peer = Peer(socket.create_connection((found[1], int(found[2]))))
        welcome = await peer.join("/" + found[3])
        await peer.frames(2)
        peer.leave()
    return round(welcome["tick_rate"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", [False, True])
async def test_the_bundled_game_runs_until_a_signal(folder: Path, number: int, module: bool) -> None:
    with Running(folder, module=module) as server:
        (url,) = server.urls
        assert re.fullmatch(r"ws://127\.0\.0\.1:[1-9]\d*/arena", url)
        assert f"gamebots {url}" in server.greeting
        page = f"{url.replace('ws:', 'http:').removesuffix('arena')}"
        assert re.search(rf"^Play: +{page}$", server.greeting, re.MULTILINE)
        where, text = fetched(page)
        assert where == f"{page}arena/"
        assert b"<!doctype html>" in text.lower()
        assert await join(url) == 20
        code, out, err = server.stop(number)
        assert code == 0, err
        assert out.endswith("stopped\n")
        assert "Traceback" not in err


async def test_ones_own_rooms_in_the_current_folder(folder: Path) -> None:
    with Running(folder, "my_game:Tiny", "two=my_game:Second", "--tick-rate", "60", "--seed", "5") as server:
        assert [url.rpartition("/")[2] for url in server.urls] == ["tiny", "two"]
        assert [await join(url) for url in server.urls] == [60, 60]
        code, _, err = server.stop(signal.SIGTERM)
        assert code == 0
        assert "seed=5" in err


@pytest.mark.slow
async def test_sources_of_settings_in_order(folder: Path) -> None:
    (folder / "a.toml").write_text(
        '[server]\ntick_rate = 30\nport = 1\nrooms = ["my_game:Tiny"]\nlog_level = "error"\n'
    )
    with Running(folder, "--config", "a.toml", TICKWIRE_TICK_RATE="40") as server:
        assert await join(server.urls[0]) == 40
    (folder / "b.toml").write_text("tick_rate = 50\n")
    with Running(folder, "--config", "b.toml", TICKWIRE_CONFIG="a.toml") as server:
        assert server.urls[0].endswith("/arena")
        assert await join(server.urls[0]) == 50
    with Running(folder, "my_game:Second", "--tick-rate", "60", TICKWIRE_CONFIG="a.toml") as server:
        assert server.urls[0].endswith("/second")
        assert await join(server.urls[0]) == 60


@pytest.mark.parametrize("source", ["flag", "environment", "file"])
def test_files_of_ones_own(folder: Path, source: str) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("mine")
    (folder / "site.toml").write_text('static = "site"\n')
    arguments = {"flag": ["--static", "site"], "file": ["--config", "site.toml"]}.get(source, [])
    variables = {"TICKWIRE_STATIC": "site"} if source == "environment" else {}
    with Running(folder, "my_game:Tiny", *arguments, **variables) as server:
        page = server.urls[0].replace("ws:", "http:").removesuffix("tiny")
        assert fetched(page) == (page, b"mine")


def test_a_public_address_is_warned_about(folder: Path) -> None:
    with Running(folder, "--host", "0.0.0.0") as server:
        assert server.urls[0].startswith("ws://127.0.0.1:")
        assert "Not encrypted" in server.stop(signal.SIGTERM)[2]


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(folder, "run", "--port", str(port))
    assert done.returncode == 1
    assert all(part in done.stderr for part in (str(port), "127.0.0.1", "in use", "--port 0"))
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "parts"),
    [
        (["--port", "70000"], {}, ["port = 70000", "command line", "65535"]),
        (["--port", "many"], {}, ["--port", "many"]),
        (["--tick-rate", "0"], {}, ["tick_rate = 0", "command line"]),
        (["--tick-rate", "nan"], {}, ["tick_rate", "command line"]),
        (["--log-level", "loud"], {}, ["log_level = 'loud'", "command line"]),
        (["--host", ""], {}, ["host = ''", "command line"]),
        (["--colour", "red"], {}, ["--colour"]),
        ([], {"TICKWIRE_PORT": "x"}, ["TICKWIRE_PORT = 'x'", "environment"]),
        ([], {"TICKWIRE_PROT": "5"}, ["TICKWIRE_PROT", "environment", "port"]),
        ([], {"TICKWIRE_ROOMS": ""}, ["TICKWIRE_ROOMS", "environment"]),
        (["--config", "none.toml"], {}, ["none.toml"]),
        ([], {"TICKWIRE_CONFIG": "none.toml"}, ["none.toml"]),
        (["--config", "bad.toml"], {}, ["bad.toml", "port = 'x'"]),
        (["--config", "unknown.toml"], {}, ["unknown.toml", "prot"]),
        (["--config", "no.toml"], {}, ["no.toml", "not TOML"]),
        (["nonsense"], {}, ["'nonsense'", "module:Class"]),
        (["nowhere:Arena"], {}, ["'nowhere'"]),
        (["my_game:Nothing"], {}, ["my_game has no Nothing", "Tiny, Second, Unbuilt, Wrong"]),
        (["my_game:NoRoom"], {}, ["NoRoom", "subclass gameserver.Room"]),
        (["my_game:Unbuilt"], {}, ["Unbuilt.page = 'dist'", "there is no folder", "build the page"]),
        (["--static", "nowhere"], {}, ["static = 'nowhere'", "there is no folder nowhere", "create it"]),
        ([], {"TICKWIRE_STATIC": ""}, ["TICKWIRE_STATIC", "environment"]),
        (["my_game:Wrong"], {}, ["Wrong.tick_rate = 0", "1 to 240"]),
        (["my_game:Tiny", "tiny=my_game:Second"], {}, ["two rooms are called tiny"]),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_starts(
    folder: Path, arguments: list[str], variables: dict[str, str], parts: list[str]
) -> None:
    (folder / "bad.toml").write_text("port = 'x'")
    (folder / "unknown.toml").write_text("[server]\nprot = 5")
    (folder / "no.toml").write_text("port =")
    done = run(folder, "run", *arguments, **variables)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert all(part in said for part in parts), said
    assert "Traceback" not in said
    assert done.stdout == ""


def test_an_import_that_fails_inside_a_game_shows_where(folder: Path) -> None:
    done = run(folder, "run", "broken:Room")
    assert done.returncode != 0
    assert "broken.py" in done.stderr
    assert "nowhere_to_be_found" in done.stderr


@pytest.mark.slow
def test_help(folder: Path) -> None:
    done = run(folder, "--help")
    assert done.returncode == 0
    assert "run" in done.stdout
    done = run(folder, "run", "--help")
    assert all(
        option in done.stdout for option in ("--host", "--port", "--tick-rate", "--config", "--seed", "--log-level")
    )
    assert run(folder, "--version").stdout.startswith("tickwire")
