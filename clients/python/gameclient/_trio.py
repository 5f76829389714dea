"""Playing from a trio program: a task of its own pumps the session whenever the server has sent something."""

from __future__ import annotations

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
from gameclient._requests import REQUEST_SECONDS
from gameclient._session import JOIN_SECONDS, Session
from gameclient._target import Address, TargetLike, lookup_failure, numeric_addresses, parse_target, to_addresses
from gameprotocol import CloseCode, JoinMethod

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

        While `reconnecting` it waits on.

        Raises:
            DisconnectedError: it is over.
        """
        before = self._newest
        while self._newest is before or self._newest is None:
            if self._over:
                raise DisconnectedError(self.close_code, self.close_reason)
            await self._news.park()
        return self._newest

    async def wait_closed(self) -> Disconnected:
        """Wait until it is over, beyond hope of coming back; why it is. Cancelling it changes nothing."""
        while not self._over:
            await self._news.park()
        return Disconnected(self.close_code, self.close_reason)

    async def request(
        self,
        kind: str,
        payload: Any = None,
        /,
        *,
        timeout: float = REQUEST_SECONDS,  # noqa: ASYNC109 (it fails with an error of its own, as in frame loops)
        **fields: Any,
    ) -> Any:
        """Ask the room for something and wait for its answer.

            item = await session.request("buy", item=3)

        The room answers at a tick. While `reconnecting` the request is kept, and goes when the player is back.

        Args:
            kind: the request's name.
            payload: what goes with it; or give its ``fields`` by name.
            timeout: seconds until it fails; ``math.inf`` for never.
        Returns:
            What the room answered.
        Raises:
            RequestFailedError: the room says no; ``code`` is for programs, ``reason`` for people.
            RequestTimeoutError: there was no answer in time.
            DisconnectedError: the session has ended, or ends before the answer.
            ValueError, TypeError: as `send`; TypeError also for a payload and fields together.

        Cancellation: nobody waits for the answer any more; the room may do what was asked for all the same.
        """
        pending = self.ask(kind, payload, timeout=timeout, **fields)
        answered = trio.Event()
        pending.when_done(answered.set)
        try:
            await answered.wait()
        finally:
            pending.abandon()
        return pending.result()

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
                if self.joined:
                    self._steering.send_waiting(trio.current_time())
                if not self._over:
                    await self._wait()
        finally:
            self._leave(CloseCode.NORMAL, "the player left")
            link = self._link
            with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                while link.fileno() >= 0 and not link.finish():
                    await trio.lowlevel.wait_readable(link.fileno())
            link.release()
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
        with trio.move_on_at(self._wait_until()) as self._waiting:
            if self.fileno() < 0:
                await trio.sleep_forever()
            if not self._link.wants_write:
                await trio.lowlevel.wait_readable(self.fileno())
                return
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_writable, nursery.cancel_scope)
                await trio.lowlevel.wait_readable(self.fileno())
                nursery.cancel_scope.cancel()

    def _wait_until(self) -> float:
        """Until when nothing need be done if nothing comes: a server that waits for an acknowledgement sends nothing.

        A time and no duration: a clock that jumps from deadline to deadline must reach the very moment.
        """
        now = trio.current_time()
        until = min(self._way.next_check(now), self._talk.next_deadline(now))
        is_connecting = not (self._link.opened or self._link.closed)
        if is_connecting or not (self.joined or self.reconnecting):
            return min(until, now + _CONNECTING_SECONDS)
        if self.reconnecting or self._link.wants_write:
            return until  # what is held is acknowledged when there is room
        return min(until, self._steering.acknowledge_at())

    async def _wait_writable(self, until: trio.CancelScope) -> None:
        await trio.lowlevel.wait_writable(self.fileno())
        until.cancel()

    def _wake(self) -> None:
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
    method: JoinMethod = "join_or_create",
    room_id: str = "",
    filter: Mapping[str, Any] | None = None,
    invite: str = "",
    password: str = "",
    spectate: bool = False,
    seat: str | None = None,
    reconnect: bool = True,
    join_seconds: float = JOIN_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[TrioSession]:
    """Play in a room as long as the ``async with`` block runs; it begins when the player is in and the world is filled.

    Args:
        target: ``ws://host:port/room``, ``wss://...``, or what ``server.local()`` gives.
        name: what the player wants to be called, at most 64 bytes.
        options: whatever the room wants to know of a joining player; of who makes a room, how it should be.
        token: for a server that checks who comes in.
        method: "join_or_create": the first room that fits, or a new one; "create": a new one; "join": the first that
            fits; "join_by_id": the one of ``room_id``.
        room_id: of the room, with ``method="join_by_id"``.
        filter: what the room's metadata must be: values, or bounds as ``{"level": {"ge": 3, "le": 7}}``, by field.
        invite: code of a private room; the room is found by it whatever the method.
        password: of a room that has one.
        spectate: come to watch.
        seat: token of a seat that matchmaking reserved; nothing else about how to find a room is needed then.
        reconnect: come back by itself when the connection is lost and the room keeps the player's seat.
        join_seconds: seconds until joining is given up.
        tls: for wss://, None for the system's certificates and checks.
    Raises:
        ConnectError: the player could not join; the text says what the server answered and what to do.
        ValueError: the target is no WebSocket URL, or arguments do not fit to each other; the text names the cure.
        TypeError: the options or the filter cannot travel as msgpack.
        Exception: what callbacks raise.

    A connection that is lost while the block runs is made again if the room keeps the player's seat; ``events`` tells
    with `Dropped` and `Returned`. One that ends for good does not raise by itself: ``events`` ends with `Disconnected`,
    ``next_frame`` and ``request`` raise `DisconnectedError`.

    Cancellation, and leaving the block: the server is told, `GOODBYE_SECONDS` at most are spent on its answer.
    """
    addresses = await _resolve(target, join_seconds)
    session = TrioSession(
        target,
        name=name,
        options=options,
        token=token,
        method=method,
        room_id=room_id,
        filter=filter,
        invite=invite,
        password=password,
        spectate=spectate,
        seat=seat,
        reconnect=reconnect,
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
