"""The whole system in virtual time: 200 runs with faults. What a run is, and what must hold, is in `simulate` and
`game`; a seed that fails names the command that shows its story.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from gameprotocol import ReplicaTable
from gameserver import Limits, Nearby, Player, Visible
from gameserver.net import Link, Poller
from gameserver.rooms.inputs import InputQueue
from gameserver.rooms.seating import Seating
from gameserver.sync.pacing import Pace
from tests.simulation.game import CELL, RADIUS, Card, Drone, Ship, Yard
from tests.simulation.plan import CLEAN, KINDS, ClientPlan, Fault, Plan, make_plan
from tests.simulation.run import explain
from tests.simulation.simulate import simulate, simulate_plan

SEEDS: Final = range(int(os.environ.get("TICKWIRE_EXAMPLES", "200")))
#: Those that `make test` has time for.
QUICK_SEEDS: Final = SEEDS[:25]
SOME_SEEDS: Final = [*QUICK_SEEDS, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[len(QUICK_SEEDS) :])]
#: A defect shows in one of so many seeds.
TRIES: Final = 12

_counts: dict[int, Counter[str]] = {}


def play(seed: int) -> Counter[str]:
    """Run a seed, which must find nothing; what happened in it."""
    if seed not in _counts:
        outcome = simulate(seed)
        assert not outcome.findings, explain(outcome)
        _counts[seed] = Counter(outcome.counts)
    return _counts[seed]


@pytest.mark.parametrize("seed", SOME_SEEDS)
def test_a_seed_finds_nothing(seed: int) -> None:
    play(seed)


@pytest.mark.slow
def test_the_seeds_meet_everything() -> None:
    """Faults that never happen, or that nothing comes of, would prove nothing."""
    total: Counter[str] = Counter()
    for seed in SEEDS:
        total += play(seed)
    for kind in KINDS:
        assert total[kind] >= len(SEEDS) / 10, kind
    for code in (1000, 1001, 1006, 1012, 4008):
        assert total[f"code {code}"], code
    for what in ("coalesced ticks", "overruns", "duplicate inputs", "dropped inputs", "full again"):
        assert total[what] >= len(SEEDS) / 10, what
    assert total["inputs applied"] >= 20 * len(SEEDS)
    assert total["frame"] >= 20 * len(SEEDS)


# -- peers that fall silent for good


def test_silent_peers_are_gone_in_time() -> None:
    """What they send and are sent vanishes on the way, and nobody tells the server.

    Those who are given up in one tick leave in the order in which they came, so that the game goes on in one way only.
    """
    fine = ClientPlan(False, 0.0, 0.1, 1.0, 0.1, CLEAN, 8192)
    clients = (fine, fine, fine, fine, replace(fine, raw=True), fine)
    silent = {f"{client}.1" for client in range(5)}
    faults = tuple(Fault(1.0, "blackhole", client, "both", 0.0, 0) for client in range(5))
    dead_seconds = Limits().dead_seconds
    outcome = simulate_plan(Plan(5, 10, 1, 1.0 + dead_seconds + 1.0, "leave", clients, faults))
    assert not outcome.findings, explain(outcome)
    numbers = {found[1]: int(found[2]) for line in outcome.lines if (found := re.search(r" join (\S+) (\d+)", line))}
    leaves = [found.groups() for line in outcome.lines if (found := re.match(r"(\S+) room leave (\S+)", line))]
    gone = [(float(at), numbers[name]) for at, name in leaves if name in silent]
    assert len(gone) == len(silent)
    assert all(0.9 * dead_seconds < at - 1.0 < dead_seconds + 0.2 for at, _ in gone)
    assert gone == sorted(gone)


# -- the same seed, the same run


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_is_the_same_run_again(seed: int) -> None:
    first, second = simulate(seed), simulate(seed)
    assert first.lines == second.lines
    assert first.hash == second.hash
    assert make_plan(seed) == make_plan(seed) != make_plan(seed + 1)


@pytest.mark.slow
def test_a_seed_is_the_same_run_in_another_process() -> None:
    """Neither the order of sets of text nor addresses of objects decide anything."""
    hashes = []
    for hash_seed in ("1", "2"):
        shown = subprocess.run(
            [sys.executable, "-m", "tests.simulation.run", "--seeds", "3-6"],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        hashes.append(re.findall(r"^seed \d+: (\w+)", shown, re.MULTILINE))
    assert hashes[0] == hashes[1] == [simulate(seed).hash for seed in range(3, 7)]


# -- what the invariants are worth: each of these defects is found


def take_inputs_again(patch: pytest.MonkeyPatch) -> None:
    push = InputQueue.push

    def forgetful(queue: InputQueue, message: Any) -> bool:
        queue._received_sequence = 0
        return push(queue, message)

    patch.setattr(InputQueue, "push", forgetful)


def lose_inputs(patch: pytest.MonkeyPatch) -> None:
    take = InputQueue.take

    def careless(queue: InputQueue, tick: int) -> Any:
        values = take(queue, tick)
        return take(queue, tick) if values is not None and values.number % 5 == 0 else values

    patch.setattr(InputQueue, "take", careless)


def send_messages_backwards(patch: pytest.MonkeyPatch) -> None:
    send = Player.send

    def hasty(player: Player, kind: str, payload: Any = None) -> None:
        send(player, kind, payload)
        player._outbox.reverse()

    patch.setattr(Player, "send", hasty)


def forget_messages_behind_full_links(patch: pytest.MonkeyPatch) -> None:
    send_frames = Link.send_frames

    def lossy(link: Link, frames: bytes) -> None:
        if not link.pending_bytes:
            send_frames(link, frames)

    patch.setattr(Link, "send_frames", lossy)


def lose_the_rest_of_a_frame(patch: pytest.MonkeyPatch) -> None:
    flush = Link._flush

    def lossy(link: Link) -> bool:
        del link._pending[:1]
        return flush(link)

    patch.setattr(Link, "_flush", lossy)


def miss_a_change(patch: pytest.MonkeyPatch) -> None:
    put_changes = ReplicaTable.put_changes

    def inattentive(table: ReplicaTable, ids: Any, fields: Any) -> None:
        put_changes(table, ids, fields[:-2] if len(fields) > 2 else fields)

    patch.setattr(ReplicaTable, "put_changes", inattentive)


def show_what_is_hidden(patch: pytest.MonkeyPatch) -> None:
    everything = Visible(lambda player, cards: np.ones(len(cards.holder), np.bool_))
    patch.setattr(Yard, "view", {Drone: Nearby(RADIUS, of=Ship, hysteresis=0, cell=CELL), Card: everything})


def hold_back_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pace, "admits", lambda *_: False)


def keep_players(patch: pytest.MonkeyPatch) -> None:
    leave = Seating._leave

    def hoarding(seating: Seating, player: Player, reason: str) -> None:
        leave(seating, player, reason)
        seating.__dict__.setdefault("_gone", []).append(player)

    patch.setattr(Seating, "_leave", hoarding)


def keep_descriptors(patch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    patch.setattr(Poller, "close", lambda poller: kept.append(poller._selector))
    patch.setattr(Seating, "_kept", kept, raising=False)


def not_tell_the_room(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Yard, "on_leave", lambda *_: None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "finding"),
    [
        (take_inputs_again, "input again or out of order"),
        (lose_inputs, "inputs lost"),
        (send_messages_backwards, "message out of order"),
        (forget_messages_behind_full_links, "message out of order|frame before messages of its tick"),
        (lose_the_rest_of_a_frame, "ended for an odd reason"),
        (miss_a_change, "replica differs at tick"),
        (show_what_is_hidden, "replica differs at tick"),
        (hold_back_for_ever, "not up to date"),
        (keep_players, "objects are left of players"),
        (keep_descriptors, "descriptors are left"),
        (not_tell_the_room, "the room was not told that they left"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_defect_is_found(
    defect: Callable[[pytest.MonkeyPatch], None], finding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    defect(monkeypatch)
    found: list[str] = []
    for seed in range(TRIES):
        outcome = simulate(seed)
        found += outcome.findings
        if any(re.search(finding, each) for each in outcome.findings):
            assert f"--seed {seed}" in explain(outcome)
            return
    raise AssertionError(f"nothing like {finding!r} was found, but {found}")
