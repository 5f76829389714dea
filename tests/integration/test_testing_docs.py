"""The game and the tests in docs/testing.md are complete: they are taken from there and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


def block(marker: str) -> str:
    return next(block for block in re.findall(r"```python\n(.*?)```", DOCS, re.S) if marker in block)


def test_the_example_in_the_docs_passes(tmp_path: Path) -> None:
    (tmp_path / "my_game.py").write_text(block("class Mine(Room)"))
    (tmp_path / "test_my_game.py").write_text(block("def test_digging"))
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(tmp_path)}
    command += ["-p", "gameserver.testing.pytest_plugin"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
