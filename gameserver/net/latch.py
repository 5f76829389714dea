"""Waiting for one thing, once, by one task."""

from __future__ import annotations

import trio


class Latch:
    """A ``trio.Event`` for a single waiter, in 56 bytes instead of 300: each idle connection waits on two of them."""

    __slots__ = ("_set", "_task")

    def __init__(self) -> None:
        self._set = False
        self._task: trio.lowlevel.Task | None = None

    def set(self) -> None:
        """Let the waiter go on, now or when it comes. Setting it again changes nothing."""
        self._set = True
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def wait(self) -> None:
        """Return when it is set. Always a checkpoint; after a cancellation another task may wait."""
        if self._set:
            await trio.lowlevel.checkpoint()
            return
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
