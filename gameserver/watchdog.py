"""Reports what keeps the server's thread to itself: a room whose step hangs, or a hook that blocks the event loop.

All rooms of a server share one thread, so one that does not come back stops them all, and nothing in that thread can
say so. A second thread looks a few times a second. What it costs the server's thread is a few attribute stores a tick:
it writes down what it runs and counts, and the other thread measures, with its own clock, how long a count stands.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Hashable
from types import TracebackType
from typing import Final, NamedTuple

import trio

_log = logging.getLogger("gameserver.watchdog")

#: Looks, and beats, in the time of the patience: a hang is reported at most two of these parts late.
LOOKS_PER_PATIENCE: Final = 4

#: Innermost frames that a report shows: enough for a hook, its callers down to the loop, and no page of recursion.
STACK_FRAMES: Final = 40

#: How long `Watchdog.stop` waits for the other thread, which may be stuck in a log handler: a full pipe, say.
_STOP_SECONDS: Final = 1.0


class Finding(NamedTuple):
    """What is to be said about a piece of work.

    Attributes:
        went_on: that it is over; otherwise that it hangs.
        seconds: for how long it has been running, or had been.
    """

    went_on: bool
    seconds: float


class HangJudge:
    """Decides when a piece of work is to be reported: at ``patience_seconds`` and whenever that time has doubled. Pure.

    It is asked every so often. Of the time by which a question comes late, the part in which the process computed
    counts: C code may keep the other thread out (a long regular expression does). The rest does not: the process was
    stopped, by a debugger or the system, or the machine slept, and nothing hung.

    Args:
        patience_seconds: how long a piece may take.
        interval_seconds: between two questions.
        now: seconds of a clock that never goes back.
        computed: processor seconds that the process has used.
    """

    def __init__(self, patience_seconds: float, interval_seconds: float, now: float, computed: float) -> None:
        self._patience = patience_seconds
        self._interval = interval_seconds
        self._looked = now
        self._computed = computed
        self._piece: Hashable = None
        self._since = now
        self._due = patience_seconds  # of running, after which to report
        self._reported = False

    def look(self, piece: Hashable, now: float, computed: float) -> Finding | None:
        """What to say now.

        Args:
            piece: of the work that is being done, a name that no other work has; None when there is none.
            now, computed: as of the constructor.
        """
        late = max(0.0, now - self._looked - self._interval)
        stopped = max(0.0, late - (computed - self._computed))
        self._looked, self._computed = now, computed
        self._since += stopped
        if piece != self._piece:
            return self._begin(piece, now, late - stopped)
        if stopped > self._patience:  # begin anew
            self._due = max(self._due, now - self._since + self._patience)
        return self._hangs(now)

    def _begin(self, piece: Hashable, now: float, held: float) -> Finding | None:
        """Another piece runs; ``held`` seconds of it, most likely, in which nobody could look."""
        over = Finding(True, now - self._since) if self._reported else None
        self._piece, self._since = piece, now - held
        self._due, self._reported = self._patience, False
        return over or self._hangs(now)

    def _hangs(self, now: float) -> Finding | None:
        seconds = now - self._since
        if self._piece is None or seconds < self._due:
            return None
        while self._due <= seconds:
            self._due *= 2
        self._reported = True
        return Finding(False, seconds)


class Watchdog:
    """Watches the thread that starts it, from a thread of its own; ``with Watchdog():`` or `start` and `stop`.

    Tell it what runs with `begin` and `end`; have `keep_beating` run as a task, so that it also sees what blocks the
    event loop outside of any room. What hangs is logged with the stack of the watched thread.

    Args:
        patience_seconds: how long a piece of work may take.

    Attributes:
        interval_seconds: between two looks, and two beats.
    """

    def __init__(self, patience_seconds: float = 1.0) -> None:
        if not patience_seconds > 0:
            raise ValueError(f"patience_seconds must be above 0, not {patience_seconds!r}")
        self.patience_seconds = patience_seconds
        self.interval_seconds = patience_seconds / LOOKS_PER_PATIENCE
        self._what: object = None
        self._count = 0
        self._beats = 0  # 0: nobody beats, so nothing is wrong when no beat comes
        self._watched = 0
        self._reported = ""
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    # -- for the watched thread

    def begin(self, what: object) -> None:
        """From now on ``what`` runs: a room (anything with ``name`` and ``id``), or a text that says what."""
        # First the count: between the two stores the other thread must not find new work under the count of old.
        self._count += 1
        self._what = what

    def end(self) -> None:
        """What ran has come back, or raised."""
        self._what = None

    def beat(self) -> None:
        """The event loop runs. After the first beat the next is expected within the patience."""
        self._beats += 1

    def rest(self) -> None:
        """Expect no more beats."""
        self._beats = 0

    # -- start and stop

    def start(self) -> None:
        """Watch the thread that calls this.

        Raises:
            RuntimeError: it has been started already.
        """
        if self._thread is not None:
            raise RuntimeError("the watchdog has been started already")
        self._watched = threading.get_ident()
        self._stopping = threading.Event()
        thread = threading.Thread(target=self._watch, args=(self._stopping,), name="tickwire watchdog", daemon=True)
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """Stop watching; what is over by now is still logged. No matter whether it runs."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            thread.join(_STOP_SECONDS)

    def __enter__(self) -> Watchdog:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the other thread

    def _watch(self, stopping: threading.Event) -> None:
        judge = HangJudge(self.patience_seconds, self.interval_seconds, time.monotonic(), time.process_time())
        stopped = False
        while not stopped:
            stopped = stopping.wait(self.interval_seconds)
            try:
                self._look(judge)
            except Exception:  # a watchdog that is gone would not be missed
                _log.exception("the watchdog met a defect")

    def _look(self, judge: HangJudge) -> None:
        what, piece = self._running()
        finding = judge.look(piece, time.monotonic(), time.process_time())
        if finding is None:
            return
        if finding.went_on:
            _log.warning("%s went on after %.1f s", self._reported, finding.seconds)
            return
        # The stack is that of the piece only if it still runs now; its lines are read right here.
        frame = sys._current_frames().get(self._watched)
        if frame is None or self._running()[1] != piece:
            stack = "  (over while this was written)"
        else:
            stack = "".join(traceback.format_stack(frame, STACK_FRAMES)).rstrip()
        self._reported = "the event loop" if what is None else _described(what)
        hangs = "is blocked, outside of any room," if what is None else "hangs, and blocks all others,"
        _log.error("%s %s for %.1f s now, in:\n%s", self._reported, hangs, finding.seconds, stack)

    def _running(self) -> tuple[object, Hashable]:
        """What runs, None for the event loop; and a name for this one run of it, None when there is nothing to watch.

        A count or a beat that has moved on means that the thread is alive, whatever it says it runs.
        """
        what = self._what  # before the count: see `begin`
        piece = (self._count, self._beats, what is None)
        return what, None if what is None and not self._beats else piece


async def keep_beating(watchdog: Watchdog) -> None:
    """Beat until cancelled; a task of the watched thread's event loop."""
    try:
        while True:
            watchdog.beat()
            await trio.sleep(watchdog.interval_seconds)
    finally:
        watchdog.rest()


def _described(what: object) -> str:
    name, id = getattr(what, "name", None), getattr(what, "id", None)
    return str(what) if name is None or id is None else f"room {name}/{id} ({type(what).__name__})"
