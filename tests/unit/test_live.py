"""What is shown while a load test runs: never too often, never half, and nothing of it left behind."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gamebots.live import LINE_SECONDS, LiveView, Mode, NoView, PlainView, make_view, plain_line, sparkline
from gamebots.plan import Plan, Progress
from tests.support.examples import examples

ROOT = Path(__file__).resolve().parents[2]
PLAN = Plan("ws://[::1]:8765/arena", 100)
ROW: dict[str, float | None] = {
    "frames_per_second": 1980.0,
    "bytes_in_per_second": 730_000.0,
    "bytes_out_per_second": 61_000.0,
    "latency_p50_ms": 48.2,
    "latency_p99_ms": 71.0,
    "state_age_p50_ms": 28.0,
    "state_age_p99_ms": 1250.0,
    "tool_lag_max_ms": 2.0,
}


def progress_of(**changes: Any) -> Progress:
    values: dict[str, Any] = {"phase": "measure", "seconds": 12.0, "of_seconds": 30.0, "row": ROW, "asked": 100}
    values |= {"connected": 99, "refused": 0, "disconnected": 0, "desyncs": 0, "tool_cpu_percent": 31.4}
    return Progress(**(values | changes))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """What was written, write by write, and what a screen of these columns would show after it."""

    def __init__(self, columns: int = 80, encoding: str = "utf-8") -> None:
        super().__init__()
        self.columns = columns
        self.writes: list[str] = []
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def write(self, text: str) -> int:
        text.encode(self._encoding)
        self.writes.append(text)
        return super().write(text)

    def isatty(self) -> bool:
        return True

    def console(self) -> Console:
        return Console(file=self, force_terminal=True, width=self.columns, height=24, legacy_windows=False)

    @property
    def cursor_is_shown(self) -> bool:
        return self.getvalue().rfind("\x1b[?25h") >= self.getvalue().rfind("\x1b[?25l")

    def screen(self) -> list[str]:
        return screen_of(self.getvalue(), self.columns)


def screen_of(text: str, columns: int) -> list[str]:
    """The lines a screen shows that obeys what rich writes: up, erase, return, new line. A line too long wraps."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\??[0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]", text):
        if part == "\n":
            row += 1
            column = 0
            if row == len(lines):
                lines.append("")
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            if part.endswith("A"):
                row = max(0, row - int(part[2:-1] or 1))
            elif part == "\x1b[2K":
                lines[row] = ""
            else:
                assert part[-1] in "mhl", repr(part)
        else:
            assert column < columns, f"longer than {columns} columns: {lines[row]!r}"
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


# -- on terminals


@pytest.mark.parametrize("columns", [80, 120])
def test_the_picture(columns: int) -> None:
    terminal = Terminal(columns)
    with LiveView(PLAN, terminal.console(), Clock()) as view:
        view.update(progress_of())
        shown = terminal.screen()
    assert shown[0] == "100 bots at ws://[::1]:8765/arena, scenario steady"
    assert shown[1].startswith("measure ")
    assert shown[1].endswith("12 of 30 s")
    assert [" ".join(line.split()) for line in shown[2:9]] == [
        "connected 99 of 100",
        "frames 20.0/s a bot",
        "latency p50 48.2 ms p99 71.0 ms \u2588",
        "state age p50 28.0 ms p99 1.25 s",
        "bandwidth in 730 kB/s, out 61.0 kB/s",
        "errors none",
        "this tool CPU 31 %, late by 2.00 ms",
    ]


def test_a_narrow_terminal_cuts_lines_and_wraps_none() -> None:
    terminal = Terminal(40)
    plan = Plan("ws://a.host.with.a.very.long.name.example:8765/arena", 100)
    with LiveView(plan, terminal.console(), Clock()) as view:
        for _ in range(3):
            view.update(progress_of())
        assert len([line for line in terminal.screen() if line]) == 9


def test_errors_and_a_busy_tool_are_told() -> None:
    terminal = Terminal()
    with LiveView(PLAN, terminal.console(), Clock()) as view:
        view.update(progress_of(refused=2, disconnected=3, desyncs=1, tool_cpu_percent=97.0))
        shown = " ".join(" ".join(terminal.screen()).split())
    assert "errors 2 refused, 3 lost, 1 desync" in shown
    assert "CPU 97 %, late by 2.00 ms (it may be the limit)" in shown


def test_what_is_not_known_yet() -> None:
    terminal = Terminal()
    with LiveView(PLAN, terminal.console(), Clock()) as view:
        view.update(progress_of(row=dict.fromkeys(ROW), connected=0, phase="ramp", of_seconds=0.0))
        shown = " ".join(" ".join(terminal.screen()).split())
    assert "frames - a bot" in shown
    assert "p50 - p99 -" in shown


def test_it_is_painted_at_most_four_times_a_second_and_each_time_in_one_piece() -> None:
    terminal, clock = Terminal(), Clock()
    threads = threading.active_count()
    with LiveView(PLAN, terminal.console(), clock) as view:
        assert threading.active_count() == threads  # what is measured is in this process
        before = len(terminal.writes)
        for step in range(1000):
            clock.now = 1000.0 + step / 100
            view.update(progress_of(seconds=step / 100))
        pictures = terminal.writes[before:]
    pictures = [text for text in pictures if "connected" in text and "25h" not in text]
    assert 38 <= len(pictures) <= 40
    # What erases the last picture and what draws the next are one write: there is no moment with nothing to see.
    assert all(text.count("\x1b[2K") >= 1 and "this tool" in text for text in pictures)


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("updates", [0, 3])
def test_nothing_is_left_behind_however_it_ends(error: type[BaseException] | None, updates: int) -> None:
    terminal, clock = Terminal(), Clock()
    outputs = sys.stdout, sys.stderr

    def run() -> None:
        with LiveView(PLAN, terminal.console(), clock) as view:
            assert not terminal.cursor_is_shown
            for _ in range(updates):
                clock.now += 1
                view.update(progress_of())
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(error):
            run()
    assert terminal.cursor_is_shown
    assert not any(terminal.screen())
    assert (sys.stdout, sys.stderr) == outputs


class InterruptedTerminal(Terminal):
    """Ctrl-C is pressed in the middle of a write; each comes in halves, as a slow terminal takes it."""

    def __init__(self, at: int, times: int) -> None:
        super().__init__()
        self._at = range(at, at + times)

    def write(self, text: str) -> int:
        number = len(self.writes)
        super().write(text[: len(text) // 2])
        if number in self._at:
            signal.raise_signal(signal.SIGINT)
        super().write(text[len(text) // 2 :])
        self.writes.pop()
        return len(text)


@pytest.mark.parametrize("times", [1, 2, 100])
@pytest.mark.parametrize("at", range(8))
def test_ctrl_c_in_the_middle_of_a_picture_leaves_nothing_behind(at: int, times: int) -> None:
    terminal, clock = InterruptedTerminal(at, times), Clock()
    handler = signal.getsignal(signal.SIGINT)
    pressed = False
    try:
        with LiveView(PLAN, terminal.console(), clock) as view:
            for _ in range(3):
                clock.now += 1
                view.update(progress_of())
    except KeyboardInterrupt:
        pressed = True
    assert pressed is (at < len(terminal.writes))
    assert signal.getsignal(signal.SIGINT) is handler
    assert terminal.cursor_is_shown
    assert not any(terminal.screen())


def test_what_is_printed_meanwhile_stays_above() -> None:
    terminal, clock = Terminal(), Clock()
    console = terminal.console()
    with LiveView(PLAN, console, clock) as view:
        view.update(progress_of())
        console.print("a warning")
        clock.now += 1
        view.update(progress_of())
        assert terminal.screen()[0] == "a warning"
    assert [line for line in terminal.screen() if line] == ["a warning"]


@pytest.mark.parametrize("view_of", [LiveView, PlainView])
def test_a_terminal_that_knows_only_ascii(view_of: type[LiveView | PlainView]) -> None:
    terminal = Terminal(encoding="ascii")
    plan = Plan("ws://h\u00f6st/arena", 100)
    with view_of(plan, terminal.console(), Clock()) as view:
        view.update(progress_of())  # `Terminal.write` fails when there is a character that it has not
    assert "h?st" in terminal.getvalue()


@given(st.lists(st.none() | st.floats(-1e9, 1e9), max_size=40))
@examples(100)
def test_a_sparkline_has_a_character_for_each_value_and_its_largest_is_full(values: list[float | None]) -> None:
    line = sparkline(deque(values), "01234567")
    numbers = [value for value in values if value is not None]
    if max(numbers, default=0.0) <= 0:
        assert line == ""
        return
    assert len(line) == len(values)
    assert line[values.index(max(numbers))] == "7"
    assert [character == " " for character in line] == [value is None for value in values]


# -- elsewhere


def lines_of(updates: list[tuple[float, Progress]]) -> list[str]:
    file, clock = io.StringIO(), Clock()
    with PlainView(PLAN, Console(file=file, width=80), clock) as view:
        for seconds, progress in updates:
            clock.now = 1000.0 + seconds
            view.update(progress)
    return file.getvalue().splitlines()


def test_a_line_is_one_line_however_wide_the_console_is() -> None:
    title, line = lines_of([(0.0, progress_of(refused=2))])
    assert title == "100 bots at ws://[::1]:8765/arena, scenario steady"
    assert line == (
        "measure 12 of 30 s: 99 of 100 connected, frames 20.0/s a bot, latency p50 48.2 ms p99 71.0 ms, "
        "in 730 kB/s, out 61.0 kB/s, ERRORS: 2 refused, tool CPU 31 %"
    )


def test_lines_are_seconds_apart_and_a_new_phase_has_one_at_once() -> None:
    updates = [(float(second), progress_of(phase="ramp", seconds=second)) for second in range(7)]
    updates += [(7.0 + second, progress_of(seconds=second)) for second in range(20)]
    said = [line.split(":")[0] for line in lines_of(updates)[1:]]
    assert LINE_SECONDS == 5
    assert said == [
        *("ramp 0 of 30 s", "ramp 5 of 30 s"),
        *("measure 0 of 30 s", "measure 5 of 30 s", "measure 10 of 30 s", "measure 15 of 30 s"),
    ]


def test_lines_have_no_control_codes_even_on_a_terminal() -> None:
    terminal = Terminal()
    with PlainView(PLAN, terminal.console(), Clock()) as view:
        view.update(progress_of(desyncs=2))
    assert "\x1b" not in terminal.getvalue()
    assert plain_line(progress_of(desyncs=2)) in terminal.getvalue()


@pytest.mark.parametrize(
    ("mode", "terminal", "expected"),
    [
        ("auto", True, LiveView),
        ("auto", False, PlainView),
        ("plain", True, PlainView),
        ("live", False, LiveView),
        ("none", True, NoView),
    ],
)
def test_which_view_is_chosen(mode: Mode, terminal: bool, expected: type) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, _environ={"TERM": "xterm"})
    assert type(make_view(PLAN, console, mode)) is expected


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert type(make_view(PLAN, console)) is PlainView


# -- a terminal of the system, and somebody who presses Ctrl-C

_CHILD = """
import fcntl, sys, termios, time
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from tests.unit.test_live import *
try:
    with make_view(PLAN, Console(stderr=True)) as view:
        while True:
            view.update(progress_of())
            time.sleep(0.05)
except KeyboardInterrupt:
    print("the end")
"""


def test_ctrl_c_on_a_real_terminal() -> None:
    outside, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 80))
    before = termios.tcgetattr(inside)
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    command = [sys.executable, "-c", _CHILD]
    child = subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, env=environment, start_new_session=True
    )
    try:
        text = read_until(outside, b"this tool")
        while select.select([outside], [], [], 0.1)[0]:  # of what is on its way, a terminal drops the rest at Ctrl-C
            text += os.read(outside, 65536)
        os.write(outside, b"\x03")
        text += read_until(outside, b"the end")
        assert child.wait(timeout=20) == 0
        assert termios.tcgetattr(inside) == before
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        os.close(inside)
        os.close(outside)
    shown = text.decode()
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") > -1
    left = [line for line in screen_of(shown, 82) if line]  # the terminal itself echoes ^C
    assert [line.removeprefix("^C") for line in left] == ["the end"]


def read_until(descriptor: int, wanted: bytes) -> bytes:
    found, until = b"", time.monotonic() + 30
    while wanted not in found:
        assert time.monotonic() < until, found.decode()
        assert select.select([descriptor], [], [], 30)[0], found.decode()
        found += os.read(descriptor, 65536)
    return found
