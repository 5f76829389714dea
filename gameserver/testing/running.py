"""Rooms run by plain calls: what `RoomLoop.run` and the server do between two sleeps, on a clock that a test moves."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, Final

import trio
from trio.testing import MockClock

from gameprotocol import CloseCode
from gameserver.rooms.loop import RoomLoop

#: For so many seconds of its own clock a room's work may run before something is taken to be wrong.
WORK_SECONDS: Final = 3600.0


class RunningRoom:
    """One room that is run by calls of `advance`.

    Args:
        loop: what runs it.
        discard: forgets the room when it has ended.
        failed: the same when it has ended by an exception.

    Attributes:
        failure: the exception that ended it, None for none.
        over: whether it has ended.
    """

    def __init__(
        self,
        loop: RoomLoop,
        *,
        discard: Callable[[RoomLoop], None],
        failed: Callable[[RoomLoop], None],
    ) -> None:
        self.loop = loop
        self.over = False
        self.failure: Exception | None = None
        self._discard = discard
        self._failed = failed

    @property
    def due_seconds(self) -> float:
        """As of `RoomLoop`; infinity when it has ended."""
        return math.inf if self.over else self.loop.due_seconds

    @property
    def next_seconds(self) -> float:
        """The same."""
        return math.inf if self.over else self.loop.next_seconds

    def advance(self) -> None:
        """Do what is due: one tick as a rule.

        Raises:
            Exception: what the author's code raised. The room has ended then.
        """
        try:
            self.loop.advance()
            if self.loop.is_ending:
                self._finish()
        except Exception as error:
            self.failure = error
            self.over = True
            self.loop.end(CloseCode.ROOM_FAILED, "the room failed")
            self._failed(self.loop)
            raise

    def _finish(self) -> None:
        loop = self.loop
        self.over = True
        loop.room.on_close()
        loop.end_as_asked()
        self._discard(loop)

    def free(self) -> None:
        """Let go of the world and of everything else; for after the test."""
        self.over = True
        self.loop.free()


class Background:
    """What rooms do beside their ticks, run to its end between two of them, in no time."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def spawn(self, function: Callable[..., Any], *arguments: Any, name: object = None) -> None:
        """Remember to run an async function."""
        self._jobs.append((function, arguments))

    def run(self) -> bool:
        """Run all that was spawned, on a clock that jumps over every sleep; False when there was nothing."""
        jobs, self._jobs = self._jobs, []
        if jobs:
            run_async(_run_all, jobs)
        return bool(jobs)


async def _run_all(jobs: list[tuple[Callable[..., Any], tuple[Any, ...]]]) -> None:
    with trio.move_on_after(WORK_SECONDS) as patience:
        async with trio.open_nursery() as nursery:
            for function, arguments in jobs:
                nursery.start_soon(function, *arguments)
    if patience.cancelled_caught:
        raise TimeoutError(f"work of the room still ran after {WORK_SECONDS:g} seconds")


def run_async(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run an async function in virtual time; inside a trio program in a thread beside it, for runs do not nest."""
    if not trio.lowlevel.in_trio_run():
        return trio.run(function, *arguments, clock=MockClock(autojump_threshold=0))
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.extend((trio.run(function, *arguments, clock=MockClock(autojump_threshold=0)), None))
        except BaseException as error:
            outcome.extend((None, error))

    thread = threading.Thread(target=run, name="work of a room")
    thread.start()
    thread.join()
    result, error = outcome
    if error is not None:
        raise error
    return result
