"""npm as a user runs it: packs the client, and builds pages that use it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
CLIENT: Final = ROOT / "clients" / "js"
#: A build takes a few seconds; fetching the tools first may take longer.
SECONDS: Final = 180
INSTALL: Final = ("install", "--no-audit", "--no-fund", "--no-package-lock", "--silent")
NO_NPM: Final = "no npm on PATH: apt-get install npm, Node 20 or newer"
NO_MODULES: Final = "the client's own tools are not installed: cd clients/js && npm install"


def need_npm() -> None:
    """Skip a test that cannot run here."""
    if shutil.which("npm") is None:
        pytest.skip(NO_NPM)
    if not (CLIENT / "node_modules" / "typescript").exists():
        pytest.skip(NO_MODULES)


def npm(folder: Path, *arguments: str) -> str:
    """Run npm in a folder; what it printed.

    Raises:
        AssertionError: it failed; the text has all that it printed.
    """
    ran = subprocess.run(
        ["npm", *arguments],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode == 0, f"npm {' '.join(arguments)}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def pack(folder: Path) -> Path:
    """The tarball that would be published, written into ``folder``.

    It is made from a copy of the sources, so that tests that run beside this one find their files as they are.
    """
    copy = folder / "repository"
    client = copy / "clients" / "js"
    left_out = shutil.ignore_patterns("node_modules", "dist", "LICENSE")
    shutil.copytree(CLIENT, client, ignore=left_out)
    (client / "node_modules").symlink_to(CLIENT / "node_modules")
    shutil.copy(ROOT / "LICENSE", copy)
    packed = json.loads(npm(client, "pack", "--json", "--silent", "--pack-destination", str(folder)))
    return folder / str(packed[0]["filename"])


def _environment() -> dict[str, str]:
    """Without what an npm that runs these tests would tell those that they start."""
    return {name: value for name, value in os.environ.items() if not name.lower().startswith("npm_package")}
