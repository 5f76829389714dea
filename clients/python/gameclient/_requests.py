"""Requests: messages of the player that the room answers. No socket, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from gameclient._errors import ClientError, RequestFailedError, RequestTimeoutError

#: How long a request waits for its answer unless it says so, in seconds.
REQUEST_SECONDS: Final = 5.0
#: Requests that nobody waits for any more, remembered so that a late answer is known for one. The oldest are forgotten.
_MOST_KEPT: Final = 1024


class RequestPending:
    """A request that was made, and its answer once that has come; made by ``session.ask``.

    Attributes:
        kind: the request's name. number: of the request among all messages, 0 when it could not be made.
    """

    __slots__ = ("_deadline", "_error", "_payload", "_then", "done", "kind", "number")

    def __init__(self, kind: str, number: int, deadline: float) -> None:
        self.kind = kind
        self.number = number
        #: Whether it is over: answered, failed, or too late.
        self.done = False
        self._deadline = deadline
        self._payload: Any = None
        self._error: ClientError | None = None
        self._then: Callable[[], object] | None = None

    def __repr__(self) -> str:
        state = "waits" if not self.done else "answered" if self._error is None else f"failed: {self._error}"
        return f"<RequestPending {self.number} {self.kind!r}: {state}>"

    def result(self) -> Any:
        """What the room answered.

        Raises:
            RequestFailedError: the room refused; its ``code`` is for programs, its ``reason`` for people.
            RequestTimeoutError: no answer came in time.
            DisconnectedError: the session has ended, or had not begun.
            RuntimeError: it is not ``done``.
        """
        if not self.done:
            raise RuntimeError(f"request {self.kind!r} is not answered yet: look at done before, or wait")
        if self._error is not None:
            raise self._error
        return self._payload

    def when_done(self, callback: Callable[[], object]) -> None:
        """Call once when it is over, at once if it is already."""
        if self.done:
            callback()
        else:
            self._then = callback

    def abandon(self) -> None:
        """Nobody waits for the answer any more. The room may do what was asked for all the same."""
        self._finish(None, RequestTimeoutError(self.kind))

    def _finish(self, payload: Any, error: ClientError | None = None) -> None:
        if self.done:
            return
        self.done, self._payload, self._error = True, payload, error
        if self._then is not None:
            self._then()


class Requests:
    """The requests of one session that are not answered yet.

    Attributes:
        next_deadline: when `expire` has something to do, in seconds of the caller's clock; inf for never.
    """

    def __init__(self) -> None:
        self.next_deadline = math.inf
        self._asked: dict[int, RequestPending] = {}

    def add(self, kind: str, number: int, deadline: float) -> RequestPending:
        """A request has been made."""
        pending = self._asked[number] = RequestPending(kind, number, deadline)
        self.next_deadline = min(self.next_deadline, deadline)
        if len(self._asked) > _MOST_KEPT:
            self._forget_one()
        return pending

    def answer(self, number: int, code: str | None, payload: Any) -> bool:
        """A reply has come; False when no request has this number."""
        pending = self._asked.pop(number, None)
        if pending is None:
            return False
        pending._finish(payload, None if code is None else RequestFailedError(code, reason_of(payload)))
        return True

    def expire(self, now: float) -> None:
        """Fail those whose time is over."""
        if now < self.next_deadline:
            return
        self.next_deadline = math.inf
        for pending in [*self._asked.values()]:  # a copy: whoever waits may ask again
            if pending.done:
                continue
            if pending._deadline <= now:
                pending._finish(None, RequestTimeoutError(pending.kind))
            else:
                self.next_deadline = min(self.next_deadline, pending._deadline)

    def fail_all(self, error: ClientError) -> None:
        """The session is over."""
        asked, self._asked = self._asked, {}
        self.next_deadline = math.inf
        for pending in asked.values():
            pending._finish(None, error)

    def _forget_one(self) -> None:
        for number, pending in self._asked.items():
            if pending.done:
                del self._asked[number]
                return


def failed_request(kind: str, error: ClientError) -> RequestPending:
    """A request that could not even be made."""
    pending = RequestPending(kind, 0, math.inf)
    pending._finish(None, error)
    return pending


def payload_of(kind: str, payload: Any, fields: Mapping[str, Any]) -> Any:
    """A payload that was given whole or by its fields; TypeError for both."""
    if fields and payload is not None:
        raise TypeError(f"request {kind!r}: give the payload, or its fields by name, not both")
    return dict(fields) if fields else payload


def reason_of(payload: Any) -> str:
    """The text for people in a reply that says no."""
    return payload if isinstance(payload, str) else "" if payload is None else str(payload)
