"""Playing from a trio program: a task of its own pumps the session whenever the server has sent something."""

from __future__ import annotations

import math
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from gameclient._errors import ConnectError, DisconnectedError
from gameclient._events import Disconnected, Event, FrameApplied
from gameclient._link import VANISHED
from gameclient._session import JOIN_SECONDS, Session
from gameclient._target import Address, TargetLike, lookup_failure, numeric_addresses, parse_target, to_addresses
from gameprotocol import CloseCode

#: How many events wait for `TrioSession.events`; beyond it the oldest frame is dropped, and counted.
EVENTS_KEPT: Final = 1024
#: How long a goodbye may take, in seconds; also when cancelled.
GOODBYE_SECONDS: Final = 0.5
#: How often a connection that is being made is looked at, besides when its socket is ready, in seconds.
_CONNECTING_SECONDS: Final = 0.25


class TrioSession(Session):
    """A session that a task pumps; made by `connect`. Use it in the trio thread only, and do not call ``pump``.

    Attributes:
        events_dropped: how many events nobody took in time.
    """

    def __init__(self, target: TargetLike, **settings: Any) -> None:
        super().__init__(target, **settings)
        self.events_dropped = 0
        self._queue: deque[Event] = deque()
        self._newest: FrameApplied | None = None
        self._over = False
        self._news = trio.lowlevel.ParkingLot()
        self._waiting = trio.CancelScope()

    # -- for programs

    def events(self) -> AsyncIterator[Event]:
        """What happens, from the `Joined` that began it to the `Disconnected` that ends it.

        Events wait until somebody iterates, up to `EVENTS_KEPT` of them. There is one line of them: two loops over it
        share it out. Cancelling an iteration, or leaving it, loses nothing.
        """
        return _Events(self)

    async def next_frame(self) -> FrameApplied:
        """Wait until the world has been brought to a newer tick than it is at now. Cancelling it loses nothing.

        Raises:
            DisconnectedError: the connection has ended.
        """
        before = self._newest
        while self._newest is before or self._newest is None:
            if self._over:
                raise DisconnectedError(self.close_code, self.close_reason)
            await self._news.park()
        return self._newest

    async def wait_closed(self) -> Disconnected:
        """Wait until the connection has ended; why it did. Cancelling it changes nothing."""
        while not self._over:
            await self._news.park()
        return Disconnected(self.close_code, self.close_reason)

    # -- for `connect`

    async def wait_joined(self) -> None:
        """Wait until the player is in the room; ConnectError when that is not to be."""
        while not self.joined:
            if self._over:
                raise ConnectError(self.close_code, self.close_reason)
            await self._news.park()

    async def run(self) -> None:
        """Pump until the connection has ended.

        Raises:
            Exception: what callbacks raise.

        Cancellation: the server is told, `GOODBYE_SECONDS` at most are spent on its answer, the socket is closed.
        """
        try:
            while not self._over:
                self._publish(self.pump())
                await trio.lowlevel.checkpoint()  # whoever answers this frame with an input does it now
                self._send_waiting(trio.current_time())
                if not self._over:
                    await self._wait()
        finally:
            self._link.close(CloseCode.NORMAL, "the player left")
            with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                while not self._link.finish():
                    await trio.lowlevel.wait_readable(self._link.fileno())
            self._link.release()
            self._over = True
            self._news.unpark_all()

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, FrameApplied):
                self._newest = event
            elif isinstance(event, Disconnected):
                self._over = True
            self._queue.append(event)
        while len(self._queue) > EVENTS_KEPT:
            self._drop_one()
        if events:
            self._news.unpark_all()

    def _drop_one(self) -> None:
        """The oldest frame goes: the world holds what it said. A message would be lost."""
        self.events_dropped += 1
        for index, event in enumerate(self._queue):
            if isinstance(event, FrameApplied):
                del self._queue[index]
                return
        self._queue.popleft()

    async def _wait(self) -> None:
        """Return when `pump` may have something to do."""
        seconds = self._most_seconds()
        with trio.move_on_after(seconds) as self._waiting:
            if not self._link.wants_write:
                await trio.lowlevel.wait_readable(self.fileno())
                return
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_writable, nursery.cancel_scope)
                await trio.lowlevel.wait_readable(self.fileno())
                nursery.cancel_scope.cancel()

    def _most_seconds(self) -> float:
        """How long nothing need be done if nothing comes: a server that waits for an acknowledgement sends nothing."""
        if not self.joined:
            return _CONNECTING_SECONDS
        if self._link.wants_write:
            return math.inf  # it is acknowledged when there is room
        return max(0.0, self._acknowledge_at() - trio.current_time())

    async def _wait_writable(self, until: trio.CancelScope) -> None:
        await trio.lowlevel.wait_writable(self.fileno())
        until.cancel()

    def _output_waits(self) -> None:
        self._waiting.cancel()

    def _hang_up(self, wait: float) -> None:
        """The task does it: the socket must not be closed under its feet."""
        self._waiting.cancel()


class _Events(AsyncIterator[Event]):
    """A class and not a generator, so that leaving the loop early needs no clean-up."""

    def __init__(self, session: TrioSession) -> None:
        self._session = session

    async def __anext__(self) -> Event:
        session = self._session
        await trio.lowlevel.checkpoint()
        while not session._queue:
            if session._over:
                raise StopAsyncIteration
            await session._news.park()
        return session._queue.popleft()


@asynccontextmanager
async def connect(
    target: TargetLike,
    *,
    name: str = "",
    options: Mapping[str, Any] | None = None,
    token: str | None = None,
    join_seconds: float = JOIN_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[TrioSession]:
    """Play in a room as long as the ``async with`` block runs; it begins when the player is in and the world is filled.

    Args:
        target: ``ws://host:port/room``, ``wss://...``, or what ``server.local()`` gives.
        name: what the player wants to be called, at most 64 bytes.
        options: whatever the room wants to know of a joining player.
        token: for a server that checks who comes in.
        join_seconds: seconds until joining is given up.
        tls: for wss://, None for the system's certificates and checks.
    Raises:
        ConnectError: the player could not join; the text says what the server answered and what to do.
        ValueError: the target is no WebSocket URL, or the name is too long.
        TypeError: the options cannot travel as msgpack.
        Exception: what callbacks raise.

    A connection that ends while the block runs does not raise by itself: ``events`` ends with `Disconnected`,
    ``next_frame`` raises `DisconnectedError`.

    Cancellation, and leaving the block: the server is told, `GOODBYE_SECONDS` at most are spent on its answer.
    """
    addresses = await _resolve(target, join_seconds)
    session = TrioSession(
        target,
        name=name,
        options=options,
        token=token,
        join_seconds=join_seconds,
        addresses=addresses,
        tls=tls,
        clock=trio.current_time,
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            try:
                await session.wait_joined()
                yield session
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        only = _only_one(group)
        if only is None:
            raise
        raise only from only.__cause__


async def _resolve(target: TargetLike, join_seconds: float) -> list[Address] | None:
    if not isinstance(target, str):
        return None
    endpoint = parse_target(target)
    addresses = numeric_addresses(endpoint.host, endpoint.port)
    if addresses is not None:
        return addresses
    error: Exception = TimeoutError("no answer")
    with trio.move_on_after(join_seconds):
        try:
            found = await trio.socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
            return to_addresses(found)
        except (OSError, UnicodeError) as failure:
            error = failure
    raise ConnectError(VANISHED, lookup_failure(endpoint.host, error))


def _only_one(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The one exception of a group of one, so that callers can catch what they know; None when there are more."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error
