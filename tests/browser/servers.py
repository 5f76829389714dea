"""Real ``gameserver run`` processes for pages to play on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final, Protocol

#: No server under test takes so long to start or to stop, unless something hangs.
SECONDS: Final = 20
#: Rooms may be named from here: ``tests.browser.rooms:Walk``.
_ROOT: Final = Path(__file__).parents[2]
_COMMAND: Final = Path(sys.executable).with_name("gameserver")
#: A test run that is killed takes its servers along, where the system can promise it.
_SETPRIV: Final = shutil.which("setpriv")
_DIES_WITH_US: Final = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV is not None else ()


class GameServer:
    """A server in a process of its own, on a free port of 127.0.0.1.

    Args:
        arguments: rooms (``module:Class``, found in ``folder`` or in the repository) and flags of ``gameserver run``.
        folder: the process's current folder, where its log is written too.
        settings: flags by their names, such as ``static=path`` or ``tick_rate=30``.
    Attributes:
        port: it stays the same over `restart`.
        greeting: what the server printed when it had started.
    Raises:
        RuntimeError: it did not start; the text has its log.
    """

    def __init__(self, *arguments: str, folder: Path, **settings: object) -> None:
        self._folder = folder
        self._arguments = list(arguments)
        for name, value in settings.items():
            self._arguments += [f"--{name.replace('_', '-')}", str(value)]
        self._encrypted = "--tls-cert" in self._arguments
        self._log = folder / "server.log"
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.greeting = ""
        self.start()

    @property
    def url(self) -> str:
        """Where its pages are, without a slash behind: ``http://127.0.0.1:PORT``."""
        return f"http{'s' * self._encrypted}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that it and those before it logged."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """The process's id.

        Raises:
            RuntimeError: it does not run.
        """
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def ws(self, room: str) -> str:
        """A room type's WebSocket address."""
        return f"ws{'s' * self._encrypted}://127.0.0.1:{self.port}/{room}"

    def start(self) -> None:
        """Start the process, on the same port as before if there was one, and wait until it listens."""
        with self._log.open("a") as log:
            process = subprocess.Popen(
                [*_DIES_WITH_US, str(_COMMAND), "run", "--port", str(self.port), *self._arguments],
                cwd=self._folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._process = process
        self.greeting = _read_greeting(process)
        found = re.search(r"^ +\w+://[^/\s]*:(\d+)/", self.greeting, re.MULTILINE)
        if found is None:
            self.kill()
            raise RuntimeError(f"the server did not start:\n{self.greeting}\n{self.log[-4000:]}")
        self.port = int(found[1])

    def stop(self) -> None:
        """Stop it as Ctrl-C does: players get close code 1001."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Let it die on the spot, without a word to anybody."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it, and start it again on the same port; its rooms are new."""
        self.kill()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(_ROOT)}


def _read_greeting(process: subprocess.Popen[str]) -> str:
    """What it prints until it says how to stop it; less when it ends before, or hangs."""
    assert process.stdout is not None
    too_long = threading.Timer(SECONDS, process.kill)
    too_long.start()
    greeting = ""
    try:
        for line in process.stdout:
            greeting += line
            if "Ctrl-C" in line:
                break
    finally:
        too_long.cancel()
        too_long.join()
    return greeting


class StartServer(Protocol):
    """What the fixture ``game_server`` gives."""

    def __call__(self, *arguments: str, folder: Path | None = None, **settings: object) -> GameServer:
        """Start a server; see `GameServer`. It is killed when the test ends.

        Args:
            folder: where its room modules are; the test's ``tmp_path`` by default.
        """
