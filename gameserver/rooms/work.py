"""An author's slow work, such as a database call: it runs beside the ticks, and its result comes in at a tick."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

#: How long a room that has ended waits for work that is under way, such as saving the match, in seconds.
LAST_WORK_SECONDS: Final = 5.0


class Works:
    """The work of one room.

    Args:
        spawn: starts a task, as a nursery's ``start_soon``.
        wake: is called when a result is there.
    """

    def __init__(self, spawn: Callable[..., Any], wake: Callable[[], None]) -> None:
        self._spawn = spawn
        self._wake = wake
        self._scopes: set[trio.CancelScope] = set()
        self._done: list[Callable[[], Any]] = []
        self._idle: trio.Event | None = None  # for who waits until nothing is under way

    @property
    def pending(self) -> bool:
        """Whether work is under way, or its result waits for a tick."""
        return bool(self._scopes) or bool(self._done)

    @property
    def has_results(self) -> bool:
        """Whether `deliver` would call something."""
        return bool(self._done)

    def start(
        self,
        function: Callable[..., Awaitable[Any]],
        arguments: tuple[Any, ...],
        then: Callable[[Any], Any] | None,
        failed: Callable[[Exception], Any] | None,
    ) -> None:
        """Begin to run ``function``."""
        scope = trio.CancelScope()
        self._scopes.add(scope)
        self._spawn(self._run, scope, function, arguments, then, failed)

    async def _run(
        self,
        scope: trio.CancelScope,
        function: Callable[..., Awaitable[Any]],
        arguments: tuple[Any, ...],
        then: Callable[[Any], Any] | None,
        failed: Callable[[Exception], Any] | None,
    ) -> None:
        try:
            with scope:
                try:
                    result = await function(*arguments)
                except Exception as error:
                    self._done.append(_Failure(error, failed))
                else:
                    if then is not None:
                        self._done.append(lambda: then(result))
        finally:
            self._scopes.discard(scope)
            if self._done:
                self._wake()
            if not self._scopes and self._idle is not None:
                self._idle.set()

    def deliver(self) -> None:
        """Call back for what is done, in the order in which it was.

        Raises:
            Exception: what a callback raises, or the work itself when it said nothing about failing.
        """
        for _ in range(len(self._done)):
            self._done.pop(0)()

    async def finish(self) -> None:
        """The room has ended: give what is under way `LAST_WORK_SECONDS`, then cancel it."""
        with trio.move_on_after(LAST_WORK_SECONDS):
            while self._scopes:
                self._idle = trio.Event()
                await self._idle.wait()
        self.cancel()

    def cancel(self) -> None:
        """Stop all of it, and forget what is done."""
        for scope in self._scopes:
            scope.cancel()
        self._done.clear()


class _Failure:
    """Work that has failed, told at a tick."""

    def __init__(self, error: Exception, failed: Callable[[Exception], Any] | None) -> None:
        self._error, self._failed = error, failed

    def __call__(self) -> None:
        if self._failed is None:
            raise self._error
        self._failed(self._error)
