"""What hangs is reported, by name and with its stack; what is merely slow, stopped or over is not.

When to report is decided by a pure class, which is asked here at made-up times. The rest is a real thread that watches
a real event loop; those tests wait for what they expect, for as long as it takes.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gameserver.watchdog import STACK_FRAMES, Finding, HangJudge, Watchdog, keep_beating
from tests.support.examples import examples

PATIENCE = 0.05
TOO_LONG = 30.0


# -- when to report


def findings(looks: list[tuple[float, float, object]], patience: float = 4.0) -> list[Finding | None]:
    """What a judge that looks once a second says at (now, processor seconds, piece)."""
    judge = HangJudge(patience, 1.0, 0.0, 0.0)
    return [judge.look(piece, now, computed) for now, computed, piece in looks]  # type: ignore[arg-type]


def hangs(seconds: float) -> Finding:
    return Finding(went_on=False, seconds=seconds)


def went_on(seconds: float) -> Finding:
    return Finding(went_on=True, seconds=seconds)


def each_second(pieces: str) -> list[tuple[float, float, object]]:
    """A look a second, each showing the piece of that letter, or none; the process computes nothing."""
    return [(now, 0.0, None if piece == " " else piece) for now, piece in enumerate(pieces, 1)]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ("", {}),
        (" " * 100, {}),
        ("aaaa", {}),
        ("aaaab", {}),
        ("abcdefghijklmnopqrstuvwxyz", {}),
        ("aaaabbbbccccdddd", {}),
        ("aa aa aa aa aa", {}),
        ("aaaaa", {5: hangs(4)}),
        ("aaaaab", {5: hangs(4), 6: went_on(5)}),
        ("aaaaa a", {5: hangs(4), 6: went_on(5)}),
        (" " * 10 + "aaaaa", {15: hangs(4)}),
        ("a" * 33, {5: hangs(4), 9: hangs(8), 17: hangs(16), 33: hangs(32)}),
        ("aaaaabbbbbbc", {5: hangs(4), 6: went_on(5), 10: hangs(4), 12: went_on(6)}),
    ],
)
def test_reported_at_the_patience_and_at_its_doubles(pieces: str, expected: dict[int, Finding]) -> None:
    said = findings(each_second(pieces))
    assert {now: finding for now, finding in enumerate(said, 1) if finding} == expected


@pytest.mark.parametrize(
    ("looks", "last"),
    [
        # Stopped: no processor time goes by. It had run for a second when it was stopped.
        ([(1, 0, "a"), (2, 0, "a"), (100, 0, "a")], None),
        ([(1, 0, "a"), (2, 0, "a"), (100, 0, "a"), (103, 0, "a")], None),
        # Begun anew: it had run for 3 s, so with the second in which it was stopped its 4 s are over.
        ([(1, 0, "a"), (4, 2, "a"), (100, 2, "a")], None),
        ([(1, 0, "a"), (4, 2, "a"), (100, 2, "a"), (101, 2, "a"), (102, 2, "a"), (103, 2, "a")], None),
        ([(1, 0, "a"), (4, 2, "a"), (100, 2, "a"), *((n, 2, "a") for n in range(101, 105))], hangs(8)),
        # Stopped for less than the patience, which would be over if that counted.
        ([(1, 0, "a"), (2, 0, "a"), (6, 0, "a")], None),
        ([(1, 0, "a"), (2, 0, "a"), (6, 0, "a"), (7, 0, "a"), (8, 0, "a")], hangs(4)),
        # Reported before it was stopped: the stop is not in its time.
        ([*each_second("aaaaa"), (100, 0, "a"), (101, 0, "b")], went_on(6)),
        # Nobody could look, because the process computed.
        ([(1, 0, "a"), (2, 0, "a"), (12, 9, "a")], hangs(11)),
        ([(1, 0, "a"), (2, 0, "a"), (12, 20, "a")], hangs(11)),
        ([(1, 0, "a"), (2, 0, "a"), (12, 9, "a"), (13, 10, "b")], went_on(12)),
        # Also when the piece began in that time.
        ([(1, 0, None), (12, 10, "a")], hangs(10)),
        ([(1, 0, "b"), (12, 10, "a")], hangs(10)),
        ([(1, 0, None), (12, 2, "a")], None),
        ([(1, 0, None), (12, 10, None)], None),
    ],
)
def test_looks_that_come_late(looks: list[tuple[float, float, object]], last: Finding | None) -> None:
    assert findings(looks)[-1] == last


@examples(300)
@given(st.lists(st.integers(1, 100), max_size=20), st.integers(2, 10))
def test_each_piece_is_reported_as_often_as_its_time_doubled(lengths: list[int], patience: int) -> None:
    """Pieces run for so many looks each, one behind the other, and the looks are punctual."""
    pieces = [piece for piece, length in enumerate(lengths) for _ in range(length)]
    said = findings([(now, 0.0, piece) for now, piece in enumerate([*pieces, None], 1)], patience)
    expected: list[Finding] = []
    for length in lengths:
        due = patience
        while due <= length - 1:  # as long as it was seen
            expected.append(hangs(due))
            due *= 2
        if due > patience:
            expected.append(went_on(length))
    assert [finding for finding in said if finding] == expected


@examples(300)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1.0, 1.0, 1.5, 3.0, 5.0, 1e6])), max_size=60))
def test_a_process_that_is_stopped_again_and_again_reports_nothing_too_early(steps: list[tuple[int, float]]) -> None:
    """Whatever the gaps between looks: a piece is reported only if it was there in five in a row, four seconds long."""
    now, in_a_row, before = 0.0, 0, None
    looks: list[tuple[float, float, object]] = []
    rows: list[int] = []
    for piece, gap in steps:
        now += gap
        in_a_row = in_a_row + 1 if piece == before else 1
        before = piece
        looks.append((now, 0.0, piece))
        rows.append(in_a_row)
    for finding, row in zip(findings(looks), rows, strict=True):
        if finding is not None and not finding.went_on:
            assert row > 4
            assert 4.0 <= finding.seconds <= row - 1


# -- a real thread


class Arena:
    """What the watchdog needs of a room, and a step that hangs until told otherwise."""

    def __init__(self, name: str = "arena", id: str = "3") -> None:
        self.name = name
        self.id = id

    def step_that_hangs(self, until: Callable[[], object]) -> None:
        keep_busy(until)


def keep_busy(until: Callable[[], object], at_least_seconds: float = 0.2) -> None:
    began = time.monotonic()
    while not until() or time.monotonic() - began < at_least_seconds:
        assert time.monotonic() - began < TOO_LONG


Lines = Callable[[str], list[str]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    """Lines that the watchdog has logged and that contain a text."""
    caplog.set_level(logging.INFO, logger="gameserver.watchdog")
    yield lambda text: [record.getMessage() for record in list(caplog.records) if text in record.getMessage()]
    assert {record.name for record in caplog.records} <= {"gameserver.watchdog"}


async def until_said(lines: Lines, text: str) -> str:
    with trio.fail_after(TOO_LONG):
        while not lines(text):  # noqa: ASYNC110 - logged by another thread
            await trio.sleep(PATIENCE / 10)
    return lines(text)[0]


async def test_a_room_that_hangs_is_named_with_its_stack_and_so_is_its_return(lines: Lines) -> None:
    room = Arena()
    with Watchdog(PATIENCE) as watchdog:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_beating, watchdog)
            await trio.testing.wait_all_tasks_blocked()  # it has beaten
            watchdog.begin(room)
            room.step_that_hangs(until=lambda: len(lines("hangs")) >= 2)
            watchdog.end()
            over = await until_said(lines, "went on")
            nursery.cancel_scope.cancel()
    first, second, *_ = lines("hangs")
    for said in (first, second):
        assert said.startswith("room arena/3 (Arena) hangs")
        assert "in step_that_hangs" in said
        assert "until=lambda: len(lines(" in said  # the line of the source
        assert said.index("in step_that_hangs") < said.index("in keep_busy")  # innermost last
    assert seconds_in(second) >= seconds_in(first)
    assert over.startswith("room arena/3 (Arena) went on after ")
    assert seconds_in(over) >= 0.1
    assert len(lines("went on")) == 1
    assert lines("event loop") == []


def seconds_in(said: str) -> float:
    found = re.search(r"([0-9.]+) s\b", said)
    assert found is not None
    return float(found[1])


async def test_what_blocks_the_loop_outside_of_a_room(lines: Lines) -> None:
    async def hook_that_never_awaits() -> None:
        keep_busy(until=lambda: lines("blocked"))

    with Watchdog(PATIENCE) as watchdog:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_beating, watchdog)
            await trio.testing.wait_all_tasks_blocked()  # it has beaten
            await hook_that_never_awaits()
            await until_said(lines, "the event loop went on after ")
            nursery.cancel_scope.cancel()
    assert lines("blocked")[0].startswith("the event loop is blocked, outside of any room")
    assert "in hook_that_never_awaits" in lines("blocked")[0]


async def test_when_nothing_runs_there_is_nothing_to_say(lines: Lines) -> None:
    with Watchdog(PATIENCE) as watchdog:
        watchdog.begin(Arena())
        watchdog.end()
        await trio.sleep(4 * PATIENCE)
    assert lines("") == []


async def test_work_that_comes_back_is_not_reported_however_much_of_it_there_is(lines: Lines) -> None:
    rooms = [Arena(id=str(number)) for number in range(3)]
    with Watchdog(0.3) as watchdog:
        began = time.monotonic()
        while time.monotonic() - began < 0.6:
            for room in rooms:
                watchdog.begin(room)
                sum(range(1000))
                watchdog.end()
    assert lines("") == []


async def test_a_beat_shows_that_an_end_was_forgotten(lines: Lines) -> None:
    with Watchdog(0.2) as watchdog:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_beating, watchdog)
            watchdog.begin(Arena())
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
    assert lines("") == []


async def test_no_beats_are_expected_before_the_first_and_after_the_task_has_ended(lines: Lines) -> None:
    with Watchdog(PATIENCE) as watchdog:
        time.sleep(4 * PATIENCE)  # noqa: ASYNC251
        with trio.move_on_after(0):
            await keep_beating(watchdog)
        time.sleep(4 * PATIENCE)  # noqa: ASYNC251
    assert lines("") == []


async def test_beats_come_a_few_times_within_the_patience(autojump_clock: trio.testing.MockClock) -> None:
    watchdog = Watchdog(1.0)
    with trio.move_on_after(9.9):
        while True:
            with trio.move_on_after(0.99):
                await keep_beating(watchdog)
            assert watchdog._beats == 0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_beating, watchdog)
                await trio.sleep(0.99)
                assert watchdog._beats == 4
                nursery.cancel_scope.cancel()


def test_code_that_keeps_all_threads_out_is_reported_when_it_is_over(lines: Lines) -> None:
    """A sum over a range never lets another thread in; a regular expression that backtracks is the usual case."""

    def step_in_c() -> None:
        computed = time.process_time()
        while time.process_time() - computed < 6 * PATIENCE:
            sum(range(20_000_000))

    with Watchdog(PATIENCE) as watchdog:
        watchdog.begin(Arena())
        step_in_c()
        watchdog.end()
    assert "in step_in_c" in lines("hangs")[0]


def test_a_report_of_a_recursion_has_an_end(lines: Lines) -> None:
    def even(depth: int) -> None:
        odd(depth - 1) if depth else keep_busy(until=lambda: lines("hangs"))

    def odd(depth: int) -> None:
        even(depth - 1)

    with Watchdog(PATIENCE) as watchdog:
        watchdog.begin(Arena())
        even(300)
        watchdog.end()
    assert lines("hangs")[0].count("  File ") <= STACK_FRAMES
    assert "in keep_busy" in lines("hangs")[0]


def test_servers_in_several_threads_are_watched_each(lines: Lines) -> None:
    def serve(name: str) -> None:
        with Watchdog(PATIENCE) as watchdog:
            watchdog.begin(Arena(name))
            STEPS[name](lambda: lines(f"room {name}/3"))
            watchdog.end()

    threads = [threading.Thread(target=serve, args=(name,)) for name in STEPS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "in red_step" in lines("room red/3")[0]
    assert "in blue_step" not in lines("room red/3")[0]
    assert "in blue_step" in lines("room blue/3")[0]


def red_step(until: Callable[[], object]) -> None:
    keep_busy(until)


def blue_step(until: Callable[[], object]) -> None:
    keep_busy(until)


STEPS = {"red": red_step, "blue": blue_step}


def test_what_is_over_when_it_stops_is_still_said(lines: Lines) -> None:
    with Watchdog(PATIENCE) as watchdog:
        watchdog.begin("the authentication of arena")
        keep_busy(until=lambda: lines("the authentication of arena hangs"))
        watchdog.end()
    assert len(lines("the authentication of arena went on after ")) == 1


class Unspeakable:
    def __str__(self) -> str:
        raise ZeroDivisionError


def test_a_name_that_cannot_be_said_does_not_end_the_watch(lines: Lines) -> None:
    with Watchdog(PATIENCE) as watchdog:
        watchdog.begin(Unspeakable())
        keep_busy(until=lambda: lines("the watchdog met a defect"))
        watchdog.begin(Arena())
        keep_busy(until=lambda: lines("room arena/3"))
        watchdog.end()


def test_starting_and_stopping() -> None:
    watchdog = Watchdog(PATIENCE)
    watchdog.stop()
    for _ in range(2):
        watchdog.start()
        with pytest.raises(RuntimeError, match="already"):
            watchdog.start()
        watchdog.stop()
        watchdog.stop()
        assert not any(thread.name == "tickwire watchdog" for thread in threading.enumerate())
    with pytest.raises(ValueError, match="above 0"):
        Watchdog(0)


STOPPED_PROCESS = """
import logging, sys, trio
from gameserver.watchdog import Watchdog, keep_beating

logging.basicConfig(stream=sys.stdout, format="%(message)s")

async def main():
    with Watchdog(0.4) as watchdog:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_beating, watchdog)
            print("ready", flush=True)
            await trio.to_thread.run_sync(sys.stdin.readline)
            nursery.cancel_scope.cancel()

trio.run(main)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGSTOP")
def test_a_process_that_was_stopped_reports_nothing() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED_PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            for stopped_seconds in (0.35, 0.8):  # less than the patience and a look, and more
                time.sleep(0.3)
                os.kill(process.pid, signal.SIGSTOP)
                time.sleep(stopped_seconds)
                os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.3)
            out, _ = process.communicate("\n", timeout=TOO_LONG)
        finally:
            process.kill()
    assert (out, process.returncode) == ("", 0)
