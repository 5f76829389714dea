"""A load test of something that is broken: it says so, and says what. The same requirements hold where nothing is.

Each case is a server (`tests.support.faulty`) in a process of its own, perhaps with a relay in front of it, and the
real command line. A few cases run at the same time, for most of their time is waiting.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SECONDS = 60  # real time; a bound, not a wait
ROOT = Path(__file__).parents[2]
#: Runs at the same time. Those that burn CPU time are alone.
AT_ONCE = 4
BOTS = 20
MEASURED_SECONDS = 3

#: Loose enough for a machine that does other things as well, and narrow enough for each fault here.
REQUIRED = (
    *("ticks.rate>=19", "frames.rate>=18.5", "lateness.p99<100ms", "server_tick.p99<100ms"),
    *("frames.gap.p99<150ms", "frames.gap.max<700ms", "state_age.max<400ms", "latency.p99<200ms"),
    *(
        "tool.lag.p99<40ms",
        "tool.lag.max<250ms",
        "desyncs==0",
        "hashes.checked>0",
        "disconnects==0",
        "refused==0",
        "bots.failed==0",
    ),
)
#: What a fault of pace has no part in.
HARMLESS = ("desyncs", "hashes.checked", "disconnects", "refused", "bots.failed")


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        name: of the case. room: what is served.
        red: metrics that fail, each with what its reason says (a regular expression).
        green: metrics that do not; nothing is said of the others.
        relay: the fault of a relay in front of the server, "" for no relay. proxy: a link for ``gamebots proxy``.
        options: of the load test. settings: of the server.
        side: which may be said to have been the limit.
        alone: it takes a core for itself.
        returns: bots that lost their connection and came back to their seats.
    """

    name: str
    room: str
    red: Mapping[str, str]
    green: tuple[str, ...] = HARMLESS
    relay: str = ""
    proxy: str = ""
    options: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    side: tuple[str, ...] = ("none", "way")  # a busy machine holds frames up, too
    alone: bool = False
    returns: int = 0

    def __str__(self) -> str:
        return self.name


#: Of most of what is red when ticks come late.
SERVER = r"the server was at its limit"

HEALTHY = (
    Case("nothing", "Healthy", {}),
    Case("nothing through a relay", "Keeping", {}, relay="none"),
)
FAULTS = (
    Case(
        "steps take too much CPU",
        "Burning",
        {
            "ticks.rate": SERVER,
            "frames.rate": r"the server.* made 1\d\.\d ticks a second.*in all 3 seconds.*at all 20 bots",
            "lateness.p99": SERVER,
            "frames.gap.p99": SERVER,
            "latency.p99": SERVER,
        },
        side=("server",),
        alone=True,
    ),
    Case(
        "steps wait too long",
        "Sleeping",
        {
            "ticks.rate": SERVER,
            "frames.rate": r"the server.* made 1\d\.\d ticks",
            "lateness.p99": SERVER,
            "frames.gap.p99": SERVER,
        },
        side=("server",),
    ),
    Case(
        "a long step now and then",
        "Hiccuping",
        {
            "frames.rate": r"the server merged 1\d.* of the ticks",
            "lateness.p99": r"in all 3 seconds.*worst in second \d: [2-4]\d\d ms",
            "server_tick.p99": r"in all 3 seconds.*worst in second \d: [2-4]\d\d ms",
            "frames.gap.p99": SERVER,
        },
        green=(*HARMLESS, "frames.gap.max"),
        side=("server",),
        alone=True,
    ),
    Case(
        "one long standstill",
        "Freezing",
        {
            "frames.gap.max": r"at all 20 bots",
            "state_age.max": r"worst in second [12].*a server tick took 1\.[234]",
            "server_tick.p99": r"in 1 of 3 seconds, worst in second [12]: 1\.[234]",
            "lateness.p99": r"in second [12] a server tick took 1\.[234]",
            "ticks.rate": SERVER,
        },
        side=("server",),
    ),
    Case(
        "steps take longer and longer",
        "Leaking",
        {
            "latency.p99": r"in [12] of 3 seconds, worst in second 2.*at all 20 bots",
            "frames.rate": r"in [12] of 3 seconds, worst in second 2",
            "frames.gap.p99": SERVER,
        },
        side=("server",),
    ),
    Case(
        "every second tick is not told",
        "Sparing",
        {"frames.rate": r"the server merged (49|50).* of the ticks into later frames.*at all 20 bots"},
        green=(*HARMLESS, "ticks.rate", "lateness.p99", "frames.gap.max"),
    ),
    Case(
        "some are sent away",
        "Kicking",
        {"disconnects": r"5 x 1008 no bots here; in second [12]; at 5 of 20 bots"},
        green=("ticks.rate", "desyncs", "refused", "frames.rate", "frames.gap.max"),
    ),
    Case(
        "the room fails",
        "Crashing",
        {"disconnects": r"20 x 1011 the room failed; in second [12]; at all 20 bots"},
        green=("desyncs", "refused"),
        side=("server",),
    ),
    Case(
        "the server dies",
        "Dying",
        {"disconnects": r"\d x 1006 (the server vanished|the connection broke).*in second [12]; at all 20 bots"},
        green=("desyncs", "refused"),
        side=("server",),
    ),
    Case(
        "there is no room for all",
        "Small",
        {"refused": r"12 of 20 bots joined; 8 x "},
        green=("ticks.rate", "frames.rate", "desyncs", "disconnects"),
        settings={"TICKWIRE_MAX_ROOMS": "1"},
    ),
    Case(
        "there is no connection for all",
        "Healthy",
        {"refused": r"15 of 20 bots joined; 5 x .*(429|503|connections)"},
        green=("ticks.rate", "frames.rate", "desyncs", "disconnects"),
        settings={"TICKWIRE_MAX_CONNECTIONS": "15"},
    ),
    Case(
        "values are changed on the way",
        "Healthy",
        {"desyncs": r"at 5 of 20 bots; \d+ states were compared"},
        green=("ticks.rate", "frames.rate", "disconnects", "refused", "frames.gap.max"),
        relay="flip",
    ),
    Case(
        "frames are spoilt on the way",
        "Healthy",
        {"disconnects": r"5 x 1007 not decodable.*; in second [12]; at 5 of 20 bots"},
        green=("ticks.rate", "desyncs", "refused", "frames.gap.max"),
        relay="spoil",
    ),
    Case(
        "some connections are reset",
        "Keeping",
        {"disconnects": r"5 x 1006 the connection broke.*; in second [12]; at 5 of 20 bots"},
        green=("ticks.rate", "desyncs", "refused"),
        relay="cut",
        returns=5,
    ),
    Case(
        "nothing passes for a while",
        "Healthy",
        {"frames.gap.max": "at all 20 bots", "state_age.max": r"worst in second \d: 1\.\d", "latency.p99": "worst in"},
        green=(*HARMLESS, "ticks.rate", "server_tick.p99"),
        relay="stall",
        side=("way",),
    ),
    Case(
        "some links are dead but open",
        "Healthy",
        {
            "frames.gap.max": "at 5 of 20 bots, worst at bot",
            "state_age.max": r"worst in second \d: 1\.\d",
            "latency.p99": "at 5 of 20 bots, worst at bot",
            "frames.rate": "at 5 of 20 bots, worst at bot",
        },
        green=(*HARMLESS, "ticks.rate", "lateness.p99", "server_tick.p99"),
        relay="half-open",
    ),
    Case(
        "links stall now and then",
        "Healthy",
        {"frames.gap.max": r"the link was conditioned", "state_age.max": r"the link was conditioned \(.*stall.*\)"},
        green=(*HARMLESS, "ticks.rate", "server_tick.p99"),
        options=("--link", "stall_every=2.5s,stall_seconds=1.1s"),
    ),
    Case(
        "links stall now and then behind a proxy",
        "Healthy",
        {"frames.gap.max": r"at (all|\d+ of) 20 bots", "state_age.max": r"worst in second"},
        green=(*HARMLESS, "ticks.rate", "server_tick.p99"),
        proxy="stall_every=2.5s,stall_seconds=1.1s",
    ),
    Case(
        "the tool is slow",
        "Healthy",
        {"tool.lag.p99": r"in all 3 seconds.*this (tool|machine) was the limit"},
        green=(*HARMLESS, "ticks.rate", "server_tick.p99"),
        options=("--bot", "tests/support/faulty.py:Pondering"),
        side=("tool", "machine"),
        alone=True,
    ),
    Case(
        "the tool stands still now and then",
        "Healthy",
        {
            "tool.lag.max": r"worst in second \d: [5-7]\d\d ms; this tool was",
            "lateness.p99": "this tool was the limit",
        },
        green=(*HARMLESS, "ticks.rate", "server_tick.p99"),
        options=("--bot", "tests/support/faulty.py:Dozing"),
        side=("tool", "machine"),
    ),
)


# -- running -----------------------------------------------------------------------------------------------------------


@contextmanager
def started(*module_and_arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python program as long as the block runs, with the first line of what it says that has a port in it."""
    command = [sys.executable, "-m", *module_and_arguments]
    env = {**os.environ, **environment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env) as process:
        try:
            assert process.stdout is not None
            yield (
                process,
                next(found[1] for line in process.stdout if (found := re.search(r"(?:^|:)(\d{4,5})\b", line))),
            )
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def scene(case: Case) -> Iterator[str]:
    """The room's address, behind what is between it and the bots."""
    room = f"tests.support.faulty:{case.room}"
    arguments = ("gameserver", "run", room, "--port", "0", "--log-level", "error")
    with started(*arguments, **case.settings) as (_, port):
        if case.relay:
            with started("tests.support.faulty", port, case.relay) as (_, relay_port):
                yield f"ws://127.0.0.1:{relay_port}/{case.room.lower()}"
        elif case.proxy:
            to, listen = f"ws://127.0.0.1:{port}/", "127.0.0.1:0"
            with started("gamebots", "proxy", to, "--listen", listen, "--link", case.proxy) as (_, proxy_port):
                yield f"ws://127.0.0.1:{proxy_port}/{case.room.lower()}"
        else:
            yield f"ws://127.0.0.1:{port}/{case.room.lower()}"


@dataclass(frozen=True)
class Run:
    """What a load test said.

    Attributes:
        code: with which it ended. document: its result. text: for people.
    """

    code: int
    document: Mapping[str, Any]
    text: str

    @property
    def rows(self) -> dict[str, Mapping[str, Any]]:
        """The verdict by metric."""
        return {row["metric"]: row for row in self.document["verdict"]["requirements"]}

    @property
    def red(self) -> dict[str, str]:
        """Why, by metric, of those that failed."""
        return {metric: row["why"] for metric, row in self.rows.items() if not row["passed"]}


def gamebots(url: str, *options: str, folder: Path) -> Run:
    path = folder / f"{abs(hash((url, options)))}.json"
    plan = ("--count", str(BOTS), "--seconds", str(MEASURED_SECONDS), "--ramp", "inf", "--quiet")
    command = [sys.executable, "-m", "gamebots", url, *plan, "--require", ",".join(REQUIRED), "--json", str(path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=SECONDS, cwd=ROOT, check=False)
    assert path.exists(), done.stderr
    return Run(done.returncode, json.loads(path.read_text()), done.stdout)


def run(case: Case, folder: Path) -> Run:
    """Do it; once more when this machine was too busy for what is measured here."""
    for _ in range(2):
        with scene(case) as url:
            found = gamebots(url, *case.options, folder=folder)
        if "tool" in case.side or found.document["limit"]["side"] not in ("tool", "machine"):
            break
    return found


class Runs:
    """All cases that are wanted, a few at a time; those that need a core for themselves last."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._folder = folder
        self._runs: dict[str, Future[Run]] = {
            case.name: self._pool.submit(run, case, folder) for case in cases if not case.alone
        }

    def __call__(self, case: Case) -> Run:
        if case.alone:
            for other in self._runs.values():
                other.exception()  # wait for it
            return self._busy(run(case, self._folder), case)
        return self._busy(self._runs[case.name].result(), case)

    def _busy(self, found: Run, case: Case) -> Run:
        limit = found.document["limit"]
        if limit["side"] in ("tool", "machine") and "tool" not in case.side:
            pytest.skip(f"this machine is too busy: {limit['text']}")
        return found

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Runs of the cases that were selected."""
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = {each["case"].name: each["case"] for each in parameters if isinstance(each.get("case"), Case)}
    all_of_them = Runs(list(wanted.values()), tmp_path_factory.mktemp("runs"))
    try:
        yield all_of_them
    finally:
        all_of_them.close()


def cases(*of: Case, quick: str = "") -> Any:
    """Parameters, slow but for the one named."""
    marked = [pytest.param(case, id=case.name, marks=() if case.name == quick else pytest.mark.slow) for case in of]
    return pytest.mark.parametrize("case", marked)


# -- tests -------------------------------------------------------------------------------------------------------------


@cases(*HEALTHY, quick="nothing")
def test_what_works_meets_all_requirements(case: Case, runs: Runs) -> None:
    found = runs(case)
    assert found.red == {}, found.text
    assert found.code == 0
    assert found.document["limit"]["side"] in case.side, found.text
    assert found.document["disconnects"] == found.document["refusals"] == {}
    assert found.document["bots"]["connected_at_end"] == BOTS


@cases(*sorted(FAULTS, key=lambda case: case.alone), quick="values are changed on the way")
def test_what_is_broken_is_told_with_its_reason(case: Case, runs: Runs) -> None:
    found = runs(case)
    assert found.code == 1, found.text
    assert found.document["bots"]["returns"] == case.returns
    assert set(case.red) <= set(found.red), found.text
    assert not set(case.green) & set(found.red), found.text
    for metric, reason in case.red.items():
        assert re.search(reason, found.red[metric]), f"{metric}: {found.red[metric]}"
    assert found.document["limit"]["side"] in case.side, found.text


@cases(*(case for case in FAULTS if case.room == "Leaking"))
def test_the_time_line_shows_when_it_began(case: Case, runs: Runs) -> None:
    columns = runs(case).document["timeline"]
    begin = columns["second"].index(0)
    for name, good, bad in (("latency_p99_ms", 120, 200), ("state_age_p99_ms", 120, 200)):
        assert columns[name][begin] < good, columns[name]
        assert columns[name][-1] > bad, columns[name]


@pytest.mark.slow
def test_a_server_that_comes_back_without_the_seats(tmp_path: Path) -> None:
    arguments = ("gameserver", "run", "dying=tests.support.faulty:Dying", "--port", "0", "--log-level", "error")
    with started(*arguments) as (server, port), ThreadPoolExecutor(1) as pool:
        running = pool.submit(gamebots, f"ws://127.0.0.1:{port}/dying", folder=tmp_path)
        server.wait(SECONDS)
        with started("gameserver", "run", "dying=tests.support.faulty:Keeping", "--port", port):
            found = running.result()
    assert found.code == 1
    assert re.search(r"1006 the (server|connection) .*in second [12]; at all 20 bots", found.red["disconnects"])
    assert "connections were lost" in found.red["state_age.max"]
    assert not {"desyncs", "refused", "ticks.rate"} & set(found.red)
    assert found.document["bots"]["returns"] == 0
