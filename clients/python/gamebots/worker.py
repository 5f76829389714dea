"""One process of a load test: drives its share of the bots and tells the others each second what it saw."""

from __future__ import annotations

import signal
import ssl
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any, Final

import trio

from gamebots.bots import MakeBot
from gamebots.loading import load_bot, load_scenario, make_bot
from gamebots.plan import Plan
from gamebots.recordings import read_recording, replay_bots
from gamebots.scenarios import SCENARIOS, Scenario
from gamebots.swarm import SETTLE_SECONDS, Swarm
from gameclient import ClientLink

#: Descriptors that a process needs besides one for each bot.
_OTHER_DESCRIPTORS: Final = 64


def find_bots(plan: Plan) -> MakeBot:
    """What makes the plan's bots; ValueError when there is no such thing."""
    if plan.replay is not None:
        return replay_bots(read_recording(plan.replay))
    return load_bot(plan.bot) if plan.bot is not None else make_bot


def find_scenario(plan: Plan) -> Scenario:
    """The plan's scenario; ValueError when there is none of that name, and no such file."""
    made = SCENARIOS.get(plan.scenario)
    if made is None:
        if not plan.scenario.partition(":")[0].endswith(".py"):
            raise ValueError(f"no scenario {plan.scenario!r}: there is {', '.join(SCENARIOS)}, or give a Python file")
        made = load_scenario(plan.scenario)
    return made(plan.count, plan.seconds, plan.ramp, plan.seed)


def find_tls(plan: Plan) -> ssl.SSLContext | None:
    """What to trust besides what the system does; ValueError when the file is no certificate."""
    if plan.ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=plan.ca)
    except ssl.SSLError as error:
        raise ValueError(f"{plan.ca} is no certificate (PEM): {error.reason or error}") from None


def check(plan: Plan) -> None:
    """Find everything that the plan names, before processes are started; ValueError says what is missing."""
    ClientLink(plan.url, addresses=()).release()
    find_bots(plan)
    find_scenario(plan)
    find_tls(plan)
    descriptors_for(plan, range(0, plan.count, plan.processes))


def descriptors_for(plan: Plan, numbers: range) -> int:
    """Each bot needs a descriptor, and the usual soft limit is 1024; ValueError when the system gives less."""
    wanted = len(numbers) + _OTHER_DESCRIPTORS
    if sys.platform == "win32":
        return wanted
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise ValueError(
            f"{plan.count} bots in {plan.processes} process(es) need {wanted} file descriptors each, this system "
            f"allows {hard}: use more --processes"
        )
    return wanted


def run(pipe: Connection, plan: Plan, index: int, path: list[str]) -> None:
    """A process's whole life.

    Tells, in this order: ("ready",) once; ("second", Second) after each one; ("settled", now) when its bots are in;
    ("measured", Measured) at the end, or ("failed", text). Is told ("start", at), then ("begin", at), perhaps
    ("stop",).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that shows what happens
    sys.path[:] = path
    try:
        trio.run(_run, pipe, plan, range(index, plan.count, plan.processes))
    except Exception:
        _tell(pipe, ("failed", traceback.format_exc()))
    finally:
        pipe.close()


async def _run(pipe: Connection, plan: Plan, numbers: range) -> None:
    _raise_limit(descriptors_for(plan, numbers))
    swarm = Swarm(plan, numbers, scenario=find_scenario(plan), make_bot=find_bots(plan), tls=find_tls(plan))
    orders = _Orders(pipe, swarm)
    pipe.send(("ready",))
    start = orders.await_start()
    measured = await swarm.run(
        on_second=lambda second: orders.tell(("second", second)), begin_at=orders.begin_at, start=start
    )
    _tell(pipe, ("measured", measured))


def _tell(pipe: Connection, what: tuple[Any, ...]) -> bool:
    """Say something to the parent; False when it is gone."""
    try:
        pipe.send(what)
    except OSError:
        return False
    return True


def _raise_limit(wanted: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Orders:
    """What the parent says; looked at between slices, so that nothing waits for it."""

    def __init__(self, pipe: Connection, swarm: Swarm) -> None:
        self._pipe = pipe
        self._swarm = swarm
        self._begin: float | None = None
        self._settled = False

    def await_start(self) -> float:
        order = self._pipe.recv()
        return float(order[1])

    def tell(self, what: tuple[Any, ...]) -> None:
        if not _tell(self._pipe, what):
            self._swarm.stop()
        self._read()

    def begin_at(self, now: float) -> float | None:
        """When measuring begins, once all processes' bots are in."""
        if not self._settled:
            self._settled = True
            self._pipe.send(("settled", now + SETTLE_SECONDS))
        self._read()
        return self._begin

    def _read(self) -> None:
        while self._pipe.poll():
            try:
                order = self._pipe.recv()
            except (EOFError, OSError):  # nobody is left to report to
                self._swarm.stop()
                return
            if order[0] == "begin":
                self._begin = order[1]
            elif order[0] == "stop":
                self._swarm.stop()
