"""Fuzz one parser, or each of them in turn, for so many seconds each.

    python -m tests.fuzz.run all --seconds 20
    python -m tests.fuzz.run replica --seconds 600 --seed 7
    python -m tests.fuzz.run replica --input build/fuzz/replica-0123456789ab

With atheris (``pip install atheris``) coverage guides it, from the golden vectors on; without, or with ``--plain``, the
strategies of the property tests run in a loop. Both repeat with the same seed, as far as the time given allows. Ends
with 1 when an invariant broke; the input is then in ``build/fuzz``.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded

from tests.fuzz.findings import keep, quiet
from tests.fuzz.targets import TARGETS

#: Inputs of one run of the strategies; each run has a seed of its own.
_ROUND: Final = 500
#: What a guided run may take beyond its time, in seconds: to start, and for one slow input.
_GRACE_SECONDS: Final = 60.0


class Outcome(NamedTuple):
    """What became of one target.

    Attributes:
        executions: inputs that were tried.
        finding: the file with the input that broke the invariant, None when none did.
    """

    executions: int
    finding: str | None


def run_guided(name: str, seconds: int, seed: int) -> Outcome:
    """Let atheris look for inputs that reach something new; in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        command = [sys.executable, "-m", "tests.fuzz.guided", name, folder, str(seconds), str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS)
        broken = [*Path(folder).glob("crash-*"), *Path(folder).glob("timeout-*"), *Path(folder).glob("oom-*")]
        kept = re.search(r"^! \S+: (\S+)$", done.stdout, re.MULTILINE)
        found = kept[1] if kept else str(keep(name, broken[0].read_bytes())) if broken else None
    counted = re.search(r"number_of_executed_units: *(\d+)", done.stderr)
    if found is not None or done.returncode:
        print(done.stdout[-1000:], done.stderr[-4000:], sep="\n")
    if done.returncode and found is None:
        found = f"atheris ended with {done.returncode}"
    return Outcome(int(counted[1]) if counted else 0, found)


def run_plain(name: str, seconds: int, seed: int) -> Outcome:
    """The corpus, then the strategies of the property tests with one seed after the other."""
    target, until = TARGETS[name], time.monotonic() + seconds
    executions, last = 0, b""

    def once(data: bytes) -> None:
        nonlocal executions, last
        executions, last = executions + 1, data
        target.check(data)

    usual = settings(max_examples=_ROUND, database=None, deadline=None, suppress_health_check=[*HealthCheck])
    try:
        for data in target.seeds:
            once(data)
        while time.monotonic() < until:
            round_of_inputs: Callable[[], None] = seeded(seed)(usual(given(target.inputs)(once)))
            round_of_inputs()
            seed += 1_000_003
    except Exception:  # hypothesis has made the input small, and tried it last
        traceback.print_exc()
        return Outcome(executions, str(keep(name, last)))
    return Outcome(executions, None)


def replay(name: str, file: str) -> int:
    """Try one input again: 1 when it still breaks the invariant."""
    try:
        TARGETS[name].check(Path(file).read_bytes())
    except Exception:
        traceback.print_exc()
        return 1
    print(f"= {name}: {file} breaks nothing")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description="Fuzz the parsers.")
    parser.add_argument("target", choices=["all", *TARGETS])
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="without atheris, even if it is there")
    parser.add_argument("--input", help="try this file alone")
    given_options = parser.parse_args()
    warnings.simplefilter("error")
    quiet()
    if given_options.input:
        return replay(given_options.target, given_options.input)
    guided = not given_options.plain and importlib.util.find_spec("atheris") is not None
    run = run_guided if guided else run_plain
    print(f"= {'atheris' if guided else 'hypothesis'}, seed {given_options.seed}, {given_options.seconds} s each")
    failed = 0
    for name in TARGETS if given_options.target == "all" else [given_options.target]:
        outcome = run(name, given_options.seconds, given_options.seed)
        failed += outcome.finding is not None
        said = "nothing found" if outcome.finding is None else f"BROKEN: {outcome.finding}"
        print(f"{'!' if outcome.finding else '='} {name}: {outcome.executions} inputs, {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
