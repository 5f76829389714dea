"""Runs a plan: starts the processes that drive the bots, merges what they measure, and makes the result."""

from __future__ import annotations

import datetime
import math
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from gamebots import worker
from gamebots.figures import Watched, make_document
from gamebots.measures import Measured, Second, merge, merge_second
from gamebots.plan import Plan, Progress
from gamebots.swarm import SETTLE_SECONDS

#: How long a process may take to start or to end, in seconds.
_PATIENCE_SECONDS: Final = 60.0
#: Between the order to start and the begin of the ramp, in seconds: all processes have read it by then.
_START_SECONDS: Final = 0.2

OnProgress = Callable[[Progress], None]


class FleetError(Exception):
    """A process of the load test has ended by itself; the text holds its traceback."""


def run(plan: Plan, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Do what the plan says, in ``plan.processes`` processes of their own.

    Args:
        on_progress: told how far it is, about once a second.
    Returns:
        The result document, see `figures`. After Ctrl-C what was measured until then; "interrupted" says so.
    Raises:
        ValueError: the plan names something that is not there.
        FleetError: a process failed.
    """
    worker.check(plan)
    fleet = _Fleet(plan, on_progress)
    try:
        return fleet.run()
    finally:
        fleet.end()


@contextmanager
def _whole() -> Iterator[None]:
    """Ctrl-C waits until the block is done: half a message that was read would be lost, and the rest be nonsense."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Fleet:
    """The processes of one run."""

    def __init__(self, plan: Plan, on_progress: OnProgress | None) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._pipes: list[Connection] = []
        self._talking: list[Connection] = []  # those that have more to tell
        self._processes: list[SpawnProcess] = []
        self._parts: dict[int, dict[Connection, Second]] = {}  # by second
        self._connected: dict[Connection, int] = {}
        self._rows: list[dict[str, float | None]] = []
        self._measured: list[Measured] = []
        self._settled: dict[Connection, float] = {}
        self._start = 0.0
        self._begin = math.inf
        self._stopping = False
        self._totals = dict.fromkeys(("refused", "disconnects", "desyncs"), 0)
        self._watched = Watched(plan.server_pid)

    def run(self) -> dict[str, Any]:
        started = datetime.datetime.now(datetime.UTC)
        self._launch()
        while len(self._measured) < len(self._pipes):
            try:
                self._listen()
            except KeyboardInterrupt:
                if self._stopping:
                    raise
                self._stopping = True
                self._order(("begin", time.perf_counter()), ("stop",))
        self._take_rest()
        begin_second = round(self._begin - self._start) if self._begin < math.inf else len(self._rows)
        return make_document(
            self._plan, merge(self._measured), self._rows, begin_second, started, self._watched, self._stopping
        )

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")
        for index in range(self._plan.processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=worker.run, args=(theirs, self._plan, index, sys.path), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._talking.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            if not pipe.poll(_PATIENCE_SECONDS):
                raise FleetError("a process of the load test did not start in time")
            self._take(pipe)
        self._start = time.perf_counter() + _START_SECONDS
        self._order(("start", self._start))

    def _listen(self) -> None:
        for pipe in wait(self._talking, timeout=1.0):
            assert isinstance(pipe, Connection)
            self._take(pipe)

    def _take(self, pipe: Connection) -> None:
        try:
            with _whole():
                told = pipe.recv()
        except (EOFError, OSError):
            raise FleetError("a process of the load test has ended without a word (out of memory?)") from None
        match told:
            case ("second", second):
                self._take_second(pipe, second)
            case ("settled", at):
                self._settled[pipe] = at
                if len(self._settled) == len(self._pipes):
                    begin = max(self._settled.values())
                    self._begin = self._start + math.ceil(begin - self._start)
                    self._order(("begin", self._begin))
            case ("measured", measured):
                self._measured.append(measured)
                self._talking.remove(pipe)
            case ("failed", text):
                raise FleetError(text)

    def _take_second(self, pipe: Connection, second: Second) -> None:
        parts = self._parts.setdefault(second.second, {})
        parts[pipe] = second
        self._connected[pipe] = second.connected
        if len(parts) < len(self._pipes):
            return
        del self._parts[second.second]
        self._take_row(list(parts.values()))

    def _take_rest(self) -> None:
        """The last part of a second, which not all processes have told of: only if something went wrong in it."""
        for number in sorted(self._parts):
            parts = self._parts[number]
            if any(part.sums[name] for part in parts.values() for name in self._totals):
                silent = sum(count for pipe, count in self._connected.items() if pipe not in parts)
                self._take_row([*parts.values(), Second.empty(number, connected=silent)])

    def _take_row(self, parts: list[Second]) -> None:
        row = merge_second(parts)
        self._rows.append(row)
        self._watched.look(measuring=time.perf_counter() > self._begin)
        for name in self._totals:
            self._totals[name] += int(row[name] or 0)
        if self._on_progress is not None:
            self._on_progress(self._progress(row))

    def _progress(self, row: dict[str, float | None]) -> Progress:
        plan, now = self._plan, time.perf_counter()
        measuring = now > self._begin
        ramp_seconds = plan.count / plan.ramp + SETTLE_SECONDS
        return Progress(
            phase="measure" if measuring else "ramp",
            seconds=now - (self._begin if measuring else self._start),
            of_seconds=plan.seconds if measuring else ramp_seconds,
            row=row,
            asked=plan.count,
            connected=int(row["connected"] or 0),
            refused=self._totals["refused"],
            disconnected=self._totals["disconnects"],
            desyncs=self._totals["desyncs"],
            tool_cpu_percent=row["tool_cpu_percent"] or 0.0,
        )

    def _order(self, *orders: tuple[Any, ...]) -> None:
        for pipe in self._pipes:
            for order in orders:
                try:
                    pipe.send(order)
                except OSError:
                    pass  # it has ended; that is noticed where it is listened to

    def end(self) -> None:
        """No process is left behind."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=5.0)
            if process.is_alive():
                process.kill()
                process.join()
