"""Run seeds by hand: ``python -m tests.simulation.run --seeds 0-199``, or ``--seed 17`` to see the story of one."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.simulate import Outcome, again, simulate
from tests.simulation.story import SHOWN_LINES


def explain(outcome: Outcome) -> str:
    """What does not hold, what led to it, and how to see it again."""
    faults = [line for line in outcome.lines if " fault " in line]
    first = next((at for at, line in enumerate(outcome.lines) if "FINDING" in line), len(outcome.lines) - 1)
    before = outcome.lines[max(0, first - SHOWN_LINES) : first + 1]
    parts = (
        f"seed {outcome.seed}, trace {outcome.hash}: {len(outcome.findings)} findings",
        *outcome.findings[:10],
        "faults:",
        *faults,
        f"the last {len(before)} lines before the first finding:",
        *before,
        f"again: {again(outcome.seed)}",
    )
    return "\n".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seed", type=int, help="run one seed")
    parser.add_argument("--seeds", default="0-199", help="run these, such as 0-199")
    parser.add_argument("--trace", action="store_true", help="print the whole trace")
    options = parser.parse_args(arguments)
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1) if options.seed is None else [options.seed]
    counts: Counter[str] = Counter()
    began, failed = time.perf_counter(), 0
    for seed in seeds:
        outcome = simulate(seed)
        counts += Counter(outcome.counts)
        failed += bool(outcome.findings)
        if options.trace:
            print("\n".join(outcome.lines))
        if outcome.findings:
            print(explain(outcome))
        elif len(seeds) < 20:
            print(f"seed {seed}: {outcome.hash} {outcome.virtual_seconds:.1f} virtual seconds, no findings")
    took = time.perf_counter() - began
    print(f"{len(seeds)} seeds, {failed} with findings, {took:.1f} s, {len(seeds) / took:.1f} a second")
    if len(seeds) > 1:
        print(", ".join(f"{what} {count}" for what, count in sorted(counts.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
