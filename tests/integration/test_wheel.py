"""The wheel has all that a server needs: the pages and the browser's client too, without Node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def address(unpacked: Path, tmp_path: Path) -> Iterator[str]:
    """Of a server that runs from the wheel's files alone."""
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    command = [sys.executable, "-c", "import gameserver; print(gameserver.__file__, flush=True)\n"]
    command[-1] += "import sys; sys.argv = ['gameserver', 'run', '--port', '0']\n"
    command[-1] += "from gameserver.cli import main; main()"
    server = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=tmp_path, text=True)
    assert server.stdout is not None
    try:
        assert server.stdout.readline().startswith(str(unpacked))
        lines = iter(server.stdout.readline, "")
        yield next(line.strip() for line in lines if "ws://" in line).replace("ws://", "http://")
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)


def test_the_wheel_holds_code_and_pages_alone(unpacked: Path) -> None:
    tops = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"gameserver", "gameprotocol", "gameclient", "gamebots"}
    assert not [path for path in unpacked.rglob("*") if path.suffix in (".ts", ".map") or "node_modules" in path.parts]


@pytest.mark.parametrize("path", ["/", "/client.js", "/extras.js", "/overlay.js"])
def test_a_server_from_the_wheel_has_its_pages(address: str, path: str) -> None:
    room = address + "/"
    with urllib.request.urlopen(room.rpartition("/arena/")[0] + path if path != "/" else room) as answer:
        body = answer.read()
        assert answer.status == 200
    source = "gameserver/demo/arena_page/index.html" if path == "/" else f"gameserver/web/bundled{path}"
    assert body == (ROOT / source).read_bytes()


def test_bots_from_the_wheel_write_their_report(address: str, unpacked: Path, tmp_path: Path) -> None:
    run = "import sys; sys.argv = ['gamebots', *sys.argv[1:]]\nfrom gamebots.cli import main\nmain()\n"
    (tmp_path / "bots.py").write_text(f"if __name__ == '__main__':\n    {run.replace(chr(10), chr(10) + '    ')}")
    url = address.replace("http://", "ws://")
    command = [sys.executable, "bots.py", url, "--count", "3", "--seconds", "1", "--html", "report.html"]
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    subprocess.run(command, check=True, timeout=60, env=environment, cwd=tmp_path)
    assert "NO TROUBLE" in (tmp_path / "report.html").read_text()
