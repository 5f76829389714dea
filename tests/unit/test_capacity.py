"""The search for the largest count that passes, against made-up servers: exact ones, noisy ones, and hostile ones."""

from __future__ import annotations

import copy
import html
import io
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gamebots.capacity import Answer, Search
from gamebots.commands import capacity as command
from gamebots.curve import page
from gamebots.plan import Plan, Progress
from gamebots.requirements import parse_requirements
from tests.support.examples import examples
from tests.support.load_results import sample_result

#: What a made-up run answers: whether it passed, and whether the tool was the limit.
Run = Callable[[int], tuple[bool, bool]]

TOOL = "this tool was the limit, not the server (--processes, --replicas)"

bounds = st.tuples(st.integers(1, 300), st.integers(0, 5000)).map(lambda pair: (pair[0], pair[0] + pair[1]))
precisions = st.sampled_from((0.01, 0.05, 0.2))


def explore(search: Search, run: Run) -> Answer:
    first, most = search._first, search._most
    # Doubling and halving, each with a second try; what was doubted or is not believed is done again.
    patience = 20 + 6 * math.ceil(math.log2(most) + math.log2(1 / search._precision))
    while (count := search.next_count()) is not None:
        assert first <= count <= most
        search.note(count, *run(count))
        assert len(search.tries) < patience, [(one.count, one.passed) for one in search.tries]
    return search.answer()


def server(capacity: float) -> Run:
    return lambda count: (count <= capacity, False)


@examples(200)
@given(bounds=bounds, capacity=st.integers(0, 8000), precision=precisions)
def test_an_exact_server_is_found_exactly_enough(bounds, capacity, precision):
    first, most = bounds
    answer = explore(Search(first, most, precision), server(capacity))
    if capacity < first:
        assert answer == Answer(0, first, "first")
    elif capacity >= most:
        assert answer == Answer(most, None, "most")
    else:
        assert answer.bound == "server"
        assert answer.count <= capacity < answer.failed
        assert answer.failed - answer.count <= max(1, precision * answer.count)


@examples(100)
@given(first=st.integers(1, 100), capacity=st.integers(1, 3000), reach=st.integers(1, 3000), passes=st.booleans())
def test_where_the_tool_ends_the_answer_is_at_least(first, capacity, reach, passes):
    """Beyond its reach the tool is the limit, whether runs then pass (what it measures is slow but good) or fail."""

    def run(count):
        return count <= capacity and (passes or count <= reach), count > reach

    answer = explore(Search(first, 5000), run)
    assert answer.count <= capacity
    if answer.bound == "tool":
        assert (answer.failed or answer.count) > reach
    elif answer.bound == "server":
        assert answer.count <= capacity < answer.failed
    else:
        assert answer.bound == "first"
        assert capacity < first
    if first <= reach < capacity and not passes:
        assert answer.bound == "tool"
        assert answer.count > reach / 1.06 - 1
    if 1.06 * max(capacity, first) + 1 < reach:
        assert answer.is_exact or answer.bound == "first"


def test_the_tool_ends_the_doubling_at_once_when_a_run_passes():
    search = Search(50, 5000)
    explore(search, lambda count: (True, count >= 200))
    assert [one.count for one in search.tries] == [50, 100, 200, 200]
    assert search.answer() == Answer(200, None, "tool")
    # It was busy with something else: the second try decides, as it does for what fails.
    busy = iter((False, True, False, False, False))
    assert explore(Search(50, 200), lambda count: (True, next(busy))) == Answer(200, None, "most")


@examples(300)
@given(seed=st.integers(0, 10**6), capacity=st.integers(60, 3000), wrong=st.sampled_from((0.05, 0.3)))
def test_single_wrong_runs_never_decide(seed, capacity, wrong):
    """The answer is the same as without noise when of each count's runs one may show the contrary."""
    chance = random.Random(seed)
    lied = set()

    def run(count):
        lies = count not in lied and chance.random() < wrong
        lied.update({count} if lies else ())
        return (count <= capacity) != lies, False

    answer = explore(Search(50, 5000), run)
    assert answer.bound == "server"
    assert answer.count <= capacity < answer.failed
    assert answer.failed - answer.count <= max(1, 0.05 * answer.count)


def test_most_answers_about_a_noisy_server_are_near():
    """Between 90 % and 110 % of its capacity, chance says whether a run passes, and one run in twenty fails anyhow."""
    near = 0
    for seed in range(400):
        chance = random.Random(seed)
        capacity = chance.uniform(100, 3000)

        def run(count, chance=chance, capacity=capacity):
            return chance.random() > max(0.05, min(1.0, (count / capacity - 0.9) / 0.2)), False

        near += 0.85 <= explore(Search(50, 5000), run).count / capacity <= 1.1
    assert near >= 0.97 * 400


@examples(300)
@given(bounds=bounds, runs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1), precision=precisions)
def test_whatever_runs_show_it_ends_and_says_what_they_did(bounds, runs, precision):
    """Results that fit no server at all, in any order, for ever."""
    search = Search(*bounds, precision)
    endless = iter(range(10**6))
    answer = explore(search, lambda _: runs[next(endless) % len(runs)])
    passed = [one.passed for one in search.tries if one.count == answer.count]
    failed = [one.passed for one in search.tries if one.count == answer.failed]
    assert not answer.count or passed.count(True) >= 2
    assert answer.failed is None or failed.count(False) >= 2
    assert answer.failed is None or answer.count < answer.failed


def test_a_disturbance_while_counts_double_is_found_out():
    """Both tries of 200 fail because the machine does something else; all counts below it pass."""
    disturbed = iter((False, False, True, True))

    def run(count):
        return count <= 1000 and not next(disturbed, False), False

    search = Search(50, 5000)
    answer = explore(search, run)
    assert [one.count for one in search.tries][:10] == [50, 100, 200, 200, 150, 175, 187, 193, 200, 400]
    assert answer.count <= 1000 < answer.failed
    # A server that really ends there is not asked for ever.
    search = Search(50, 5000)
    assert explore(search, server(199)).failed == 200
    assert sum(one.count == 200 for one in search.tries) == 3


def test_a_lucky_run_is_taken_back():
    """400 passes once and never again: the answer is below it, although more were tried."""
    lucky = iter((400,))

    def run(count):
        return count <= 300 or (count == 400 and next(lucky, None) == 400), False

    assert explore(Search(50, 5000), run).count == 300


def test_an_unfinished_search_says_what_it_knows():
    search = Search(50, 5000)
    assert search.answer().sentence() == "What the server holds is not known: the search was ended early."
    search.note(50, True)
    assert search.answer() == Answer(50, None, "unfinished")
    assert search.answer().sentence() == "The server holds at least 50 bots; the search was ended early."


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(1150, 1200, "server"), "The server holds 1150 bots; with 1200 it misses what is required."),
        (Answer(0, 50, "first"), "The server does not hold 50 bots, the fewest that were tried."),
        (Answer(5000, None, "most"), "The server holds at least 5000 bots; more were not tried (--most)."),
        (
            Answer(800, 850, "tool"),
            f"The server holds at least 800 bots; with 850 {TOOL}.",
        ),
        (
            Answer(0, 50, "tool"),
            f"What the server holds is not known: with 50 {TOOL}.",
        ),
    ],
)
def test_the_answer_in_words(answer, sentence):
    assert answer.sentence() == sentence


@pytest.mark.parametrize(("first", "most", "precision"), [(0, 10, 0.05), (20, 10, 0.05), (1, 10, 0.0), (1, 10, 1.5)])
def test_senseless_bounds_are_refused(first, most, precision):
    with pytest.raises(ValueError, match="not "):
        Search(first, most, precision)


# ---- the command, with a made-up fleet


BASE = sample_result(count=3, seconds=2, latency_ms=40.0)


class Fleet:
    """Answers runs in which latency grows with the number of bots.

    Args:
        reach: of the tool, in bots. gone_after: so many runs nobody can join. interrupted_after: so many somebody
            presses Ctrl-C.
    """

    def __init__(self, reach: float = math.inf, gone_after: float = 99.0, interrupted_after: float = 99.0) -> None:
        self.reach, self.gone_after, self.interrupted_after = reach, gone_after, interrupted_after
        self.base = copy.deepcopy(BASE)
        self.plans: list[Plan] = []

    def run(self, plan: Plan, on_progress: Callable[[Progress], None] | None) -> dict[str, Any]:
        assert on_progress is not None
        self.plans.append(plan)
        on_progress(Progress("measure", 1.0, plan.seconds, {}, plan.count, plan.count, 0, 0, 0, 30.0))
        document = copy.deepcopy(self.base) | {
            "count": plan.count,
            "interrupted": len(self.plans) > self.interrupted_after,
        }
        document["figures"]["latency"] |= {"p50": plan.count / 10, "p99": plan.count / 7}
        if plan.count > self.reach:
            document["limit"] = {"side": "tool", "text": "This tool was the limit."}
        if len(self.plans) > self.gone_after:
            document["bots"] |= {"joined": 0, "refused": plan.count}
            document["disconnects"] = {"connection refused": plan.count}
        return document


@pytest.fixture
def search_with(monkeypatch, tmp_path):
    def search(fleet: Fleet, *options: str):
        monkeypatch.setattr(command, "run_fleet", fleet.run)
        monkeypatch.setattr(command, "PAUSE_SECONDS", 0.0)
        monkeypatch.chdir(tmp_path)
        return CliRunner().invoke(command.capacity, ["ws://127.0.0.1:1/arena", *options])

    return search


def test_the_command_prints_the_curve_and_answers(search_with):
    fleet = Fleet()
    result = search_with(
        fleet, "--require", "latency.p50<60ms", "--link", "mobile", "--ramp", "20/s", "--json", "out.json"
    )
    assert result.exit_code == 0, result.output
    *lines, answer = result.stdout.splitlines()
    assert lines[0].split()[0] == "bots"
    assert [line.split()[0] for line in lines[1:5]] == ["50", "100", "200", "400"]
    assert len(lines) == 1 + len(fleet.plans)
    assert "FAILED: latency.p50<60ms (" in next(line for line in lines if line.split()[0] == "800")
    assert "The server holds 5" in answer
    assert "latency.p50<60ms (6" in answer
    document = json.loads(Path("out.json").read_text())
    assert document["format"] == "gamebots-capacity/1"
    assert document["requirements"] == ["latency.p50<60ms"]
    assert document["answer"]["text"] == answer
    assert document["answer"]["exact"] is True
    assert [point["count"] for point in document["points"]] == [plan.count for plan in fleet.plans]
    assert {(plan.ramp, plan.link.name, plan.seconds) for plan in fleet.plans} == {(20.0, "mobile", 10.0)}
    assert len({plan.seed for plan in fleet.plans}) == len(fleet.plans)
    assert {plan.replicas for plan in fleet.plans} == {50}


def test_the_command_says_when_not_even_the_fewest_pass(search_with):
    result = search_with(Fleet(), "--require", "latency.p50<60ms", "--from", "1000", "--quiet")
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "The server does not hold 1000 bots, the fewest that were tried: latency.p50<60ms ("
    )
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("figure", "value", "missed"),
    [
        ("refused", 3, "refused==0 (3)"),
        ("disconnects", 1, "disconnects==0 (1)"),
        ("desyncs", 2, "desyncs==0 (2)"),
        ("bots.failed", 1, "bots.failed==0 (1)"),
    ],
)
def test_what_holds_always_is_required_without_a_word(search_with, figure, value, missed):
    fleet = Fleet()
    fleet.base["figures"][figure]["value"] = value
    assert missed in search_with(fleet, "--require", "latency.p99<1s", "--quiet").stdout
    assert search_with(fleet, "--require", f"{figure}<9", "--most", "100", "--quiet").exit_code == 0


def test_a_run_too_short_to_compare_states_passes_unless_that_is_asked_for(search_with):
    fleet = Fleet()
    fleet.base["figures"]["hashes.checked"]["value"] = 0
    assert search_with(fleet, "--most", "100").exit_code == 0
    result = search_with(fleet, "--most", "100", "--require", "desyncs==0")
    assert result.exit_code == 1
    assert "desyncs==0 (nothing was measured)" in result.stdout


def test_json_is_alone_on_stdout(search_with):
    answer = f"The server holds at least 200 bots; with 200 {TOOL}."
    result = search_with(Fleet(reach=150), "--json", "-")
    assert json.loads(result.stdout)["answer"] == {
        "count": 200,
        "failed": None,
        "bound": "tool",
        "exact": False,
        "text": answer,
    }
    assert answer in result.stderr


def test_a_busy_machine_is_told_from_a_busy_tool(search_with):
    fleet = Fleet()
    fleet.base["limit"] = {"side": "machine", "text": "This machine was the limit."}
    *_, line, answer = search_with(fleet).stdout.splitlines()
    assert line.endswith("passed (machine)")
    assert answer.startswith("The server holds at least 50 bots; with 50 this machine was the limit")


def test_ctrl_c_says_what_is_known(search_with):
    result = search_with(Fleet(interrupted_after=3), "--quiet")
    assert result.exit_code == 1
    assert result.stdout == "The server holds at least 200 bots; the search was interrupted.\n"


def test_a_server_that_is_gone_does_not_take_back_what_passed(search_with):
    result = search_with(Fleet(gone_after=3), "--quiet")
    assert result.exit_code == 0
    gone = "with 400 not a single bot could join (connection refused)"
    assert result.stdout == f"The server holds at least 200 bots; {gone}.\n"
    result = search_with(Fleet(gone_after=0))
    assert result.exit_code == 1
    *_, line, answer = result.stdout.splitlines()
    assert line.endswith("FAILED: not a single bot could join")
    assert answer.startswith("What the server holds is not known: with 50 not a single bot could join")


def test_the_page_has_the_answer_and_nothing_from_elsewhere(search_with):
    result = search_with(Fleet(), "--require", "latency.p50<12ms", "--json", "-")
    document = json.loads(result.stdout)
    document["url"] = "ws://<script>"
    shown = page(document, "<svg></svg>")
    assert html.escape(document["answer"]["text"]) in shown
    assert shown.count("<tr class=") == len(document["points"])
    assert "<script>" not in shown
    assert "http" not in shown


def test_a_table_on_a_terminal_fits_80_columns():
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    exploration = command.Exploration(Plan("ws://x/y", 50), parse_requirements(command.USUAL), Search(50, 5000))
    with command.open_view(console, quiet=False) as view:
        exploration.explore(Fleet().run, view, pause=lambda _: None)
        view.begin(1234)
        view.update(Progress("ramp", 3.0, 12.0, {}, 1234, 300, 2, 1, 0, 31.0))
    shown = console.file.getvalue()
    lines = shown[shown.rindex("bots  latency") :].splitlines()
    assert lines[1].split()[0] == "50"
    assert lines[1].endswith("passed")
    assert any("FAILED" in line for line in lines)
    assert any("bots missed latency.p99<150ms (150" in line for line in lines)
    assert "1234 bots: joining, 3 of 12 s, 300 connected, 3 refused or lost, this tool at 31" in shown
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--require", "latency.p98<1ms"], "latency.p99"),
        (["--require", ""], "empty"),
        (["--link", "carrier-pigeon"], "--link"),
        (["--most", "20"], "--most"),
        (["--ramp", "fast"], "50/s"),
        (["--ramp", "0"], "50/s"),
        (["--ramp", "nan"], "50/s"),
        (["--json", "no/such/folder.json"], "no folder"),
    ],
)
def test_wrong_options_are_named_before_anything_runs(search_with, options, complaint):
    fleet = Fleet()
    result = search_with(fleet, *options)
    assert result.exit_code == 2
    assert complaint in result.output
    assert not fleet.plans
