"""What a person sees while a load test runs: a picture that is painted anew on terminals, plain lines elsewhere.

It paints when there is news and has no thread of its own, because what runs in this process is being measured.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gamebots.plan import Plan, Progress
from gamebots.units import digits, is_number, printable, show_amount

#: A picture is painted at most this often, in seconds.
SHORTEST_SECONDS: Final = 0.25
#: Plain lines are this far apart, in seconds.
LINE_SECONDS: Final = 5.0
#: Of one core; from here on the tool's own CPU is shown as something to look at.
_BUSY_PERCENT: Final = 85.0
_HISTORY: Final = 40
_BLOCKS: Final = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_ASCII_BLOCKS: Final = "_.-~=+*#"

Mode = Literal["auto", "live", "plain", "none"]


class View(Protocol):
    """What shows the progress of a run; a context manager around it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None: ...

    def update(self, progress: Progress) -> None:
        """Show how far the run is."""


def make_view(plan: Plan, console: Console, mode: Mode = "auto", clock: Callable[[], float] = time.monotonic) -> View:
    """The view for a console, which should be of standard error: results go to standard output.

    Args:
        plan: of the run.
        mode: ``auto`` paints on terminals that can move their cursor and writes lines elsewhere.
        clock: tells seconds.
    """
    if mode == "none":
        return NoView()
    if mode == "live" or (mode == "auto" and console.is_terminal and not console.is_dumb_terminal):
        return LiveView(plan, console, clock)
    return PlainView(plan, console, clock)


class NoView:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        pass

    def update(self, progress: Progress) -> None:
        pass


class PlainView:
    """A line when a phase begins, and one every `LINE_SECONDS`. For logs of builds, and for pipes."""

    def __init__(self, plan: Plan, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._console = console
        self._clock = clock
        self._next_at = 0.0
        self._phase: str | None = None

    def __enter__(self) -> Self:
        self._say(_title(self._plan))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._say("interrupted")

    def update(self, progress: Progress) -> None:
        now = self._clock()
        if progress.phase == self._phase and now < self._next_at:
            return
        self._phase, self._next_at = progress.phase, now + LINE_SECONDS
        self._say(plain_line(progress))

    def _say(self, line: str) -> None:
        self._console.out(_encodable(line, self._console), highlight=False)
        self._console.file.flush()


class LiveView:
    """A few lines that are painted again in place, and are gone when the run is over."""

    def __init__(self, plan: Plan, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = _encodable(_title(plan), console)
        self._clock = clock
        self._painted_at: float | None = None
        self._latencies: deque[float | None] = deque(maxlen=_HISTORY)
        self._blocks = _BLOCKS if console.encoding.lower().startswith("utf") else _ASCII_BLOCKS
        self._live = Live(Text(self._title), console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        try:
            with _interrupts_later():
                self._live.start(refresh=True)
        except BaseException:
            self._stop()  # nobody calls __exit__ then
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        """Erase the picture and show the cursor again."""
        with _interrupts_later():
            self._live.stop()

    def update(self, progress: Progress) -> None:
        now = self._clock()
        if self._painted_at is not None and now - self._painted_at < SHORTEST_SECONDS:
            return
        self._painted_at = now
        self._latencies.append(_of(progress, "latency_p99_ms"))
        with _interrupts_later():
            self._live.update(self._picture(progress), refresh=True)

    def _picture(self, progress: Progress) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True, min_width=10)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_row(progress.phase, _bar(progress))
        table.add_row("connected", _connected(progress))
        table.add_row("frames", f"{_frames(progress)} a bot")
        table.add_row("latency", f"{_pair(progress, 'latency')}  {sparkline(self._latencies, self._blocks)}")
        table.add_row("state age", _pair(progress, "state_age"))
        table.add_row("bandwidth", _bandwidth(progress))
        errors = _errors(progress)
        table.add_row("errors", Text(errors or "none", "bold red" if errors else ""))
        table.add_row("this tool", _tool(progress))
        return Group(Text(self._title, no_wrap=True, overflow="ellipsis"), table)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C waits until this is over: of a picture that was interrupted nobody knows how much there is to erase."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, where: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def plain_line(progress: Progress) -> str:
    """How far a run is, in a line."""
    parts = [
        f"{progress.connected} of {progress.asked} connected",
        f"frames {_frames(progress)} a bot",
        f"latency {_pair(progress, 'latency', 0)}",
        _bandwidth(progress),
        f"ERRORS: {errors}" if (errors := _errors(progress)) else "no errors",
        f"tool CPU {progress.tool_cpu_percent:.0f} %",
    ]
    return f"{progress.phase} {_time(progress)}: {', '.join(parts)}"


def sparkline(values: deque[float | None], blocks: str) -> str:
    """A value as the height of a character each, from zero to the largest; a space where nothing was measured."""
    numbers = [value for value in values if value is not None]
    most = max(numbers, default=0.0)
    if most <= 0:
        return ""
    highest = len(blocks) - 1
    return "".join(" " if value is None else blocks[round(max(value, 0) / most * highest)] for value in values)


def _encodable(text: str, console: Console) -> str:
    """In characters that a console's encoding has."""
    return text.encode(console.encoding, "replace").decode(console.encoding)


def _title(plan: Plan) -> str:
    link = f", link {plan.link.name}" if plan.link is not None else ""
    processes = f", {plan.processes} processes" if plan.processes > 1 else ""
    return printable(f"{plan.count} bots at {plan.url}, scenario {plan.scenario}{link}{processes}")


def _bar(progress: Progress) -> RenderableType:
    row = Table.grid(padding=(0, 2, 0, 0))
    whole = max(progress.of_seconds, 1e-9)
    row.add_row(ProgressBar(total=whole, completed=min(progress.seconds, whole), width=_HISTORY), _time(progress))
    return row


def _time(progress: Progress) -> str:
    return f"{progress.seconds:.0f} of {progress.of_seconds:.0f} s"


def _of(progress: Progress, column: str) -> float | None:
    value = progress.row.get(column)
    return value if is_number(value) else None


def _connected(progress: Progress) -> Text:
    everybody = progress.connected == progress.asked
    return Text(f"{progress.connected} of {progress.asked}", "green" if everybody else "yellow")


def _frames(progress: Progress) -> str:
    frames = _of(progress, "frames_per_second")
    if frames is None or not progress.connected:
        return "-"
    return f"{digits(frames / progress.connected)}/s"


def _pair(progress: Progress, name: str, width: int = 7) -> str:
    p50, p99 = (show_amount(_of(progress, f"{name}_{percentile}_ms"), "ms") for percentile in ("p50", "p99"))
    return f"p50 {p50:>{width}} p99 {p99:>{width}}"


def _bandwidth(progress: Progress) -> str:
    ways = (("in", "bytes_in_per_second"), ("out", "bytes_out_per_second"))
    return ", ".join(f"{way} {show_amount(_of(progress, column), 'B/s')}" for way, column in ways)


def _errors(progress: Progress) -> str:
    counts = (
        (progress.refused, "refused"),
        (progress.disconnected, "lost"),
        (progress.desyncs, "desync" if progress.desyncs == 1 else "desyncs"),
    )
    return ", ".join(f"{count} {name}" for count, name in counts if count)


def _tool(progress: Progress) -> Text:
    busy = progress.tool_cpu_percent >= _BUSY_PERCENT
    lag = _of(progress, "tool_lag_max_ms")
    late = f", late by {show_amount(lag, 'ms')}" if lag is not None else ""
    said = f"CPU {progress.tool_cpu_percent:.0f} %{late}{'  (it may be the limit)' if busy else ''}"
    return Text(said, "bold yellow" if busy else "")
