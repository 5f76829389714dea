"""A player's side of one room: joins, keeps the world equal to the server's, sends inputs, comes back, and never waits.

Nothing here needs an event loop. A frame loop calls `Session.pump` once per frame, a trio program lets a task do it,
and a load test drives a thousand of them from one loop; all three use this class.
"""

from __future__ import annotations

import math
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from gameclient._errors import DisconnectedError, InputError
from gameclient._events import Callbacks, Disconnected, Event, Joined, MessageReceived, Returned
from gameclient._inputs import InputPacer
from gameclient._joining import make_hello, return_hello
from gameclient._link import VANISHED, ClientLink
from gameclient._mirror import Mirror
from gameclient._requests import REQUEST_SECONDS, RequestPending, failed_request, payload_of
from gameclient._returning import patience_seconds
from gameclient._stats import Stats, measure
from gameclient._steering import Steering
from gameclient._talk import Talk
from gameclient._target import Address, TargetLike
from gameclient._way import Way
from gameprotocol import (
    CloseCode,
    Hello,
    JoinMethod,
    Kind,
    ProtocolError,
    Replica,
    Row,
    Welcome,
    unpack_from_server,
)
from gameprotocol import Returned as SeatAnswer

#: How long joining may take, in seconds: look-up, connection, handshake and first frame together.
JOIN_SECONDS: Final = 10.0
#: How long leaving a ``with`` block may wait for the server's answer to our goodbye, in seconds.
GOODBYE_SECONDS: Final = 0.25
#: The period of a room that ticks when something happens, in seconds: so often it does at most.
_EVENT_PERIOD: Final = 1 / 60
#: What only comes to who is in a seat.
_OF_A_SEAT: Final = (Kind.FRAME, Kind.MESSAGE, Kind.REPLY)


class Session(Callbacks):
    """One player in one room. Not thread-safe: use it in one thread.

    Made by `gameclient.open` and `gameclient.connect`. Nothing here raises because of the server or the network: that
    is told by `Dropped`, `Disconnected`, `connected` and `close_reason`.

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
        addresses: where the URL's host is, when that is known; None to look it up.
        tls: for wss://, None for the system's certificates and checks.
        clock: seconds; another one for tests in virtual time.
        chance: gives numbers from 0.0 to below 1.0, by which attempts to come back are spread.
    Raises:
        ValueError: the target is no WebSocket URL, or the arguments do not fit to each other; the text names the cure.
        TypeError: the options or the filter cannot travel as msgpack.

    Attributes:
        world: the mirror of the room's world; no rows before `joined`, the last ones after the end.
        player: the player's number, 0 before it is known. room, room_id: where it is.
        tick_rate: ticks per second; 0.0 before it is known, and of a room that ticks when something happens.
        spectator: whether the player may only watch; False before it is known.
        joined: the player is in the room and ``world`` is filled; still True while `reconnecting`, False again when it
            is over.
    """

    def __init__(
        self,
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
        addresses: Sequence[Address] | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__()
        self._hello = make_hello(
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
        )
        self.player = 0
        self.room = self.room_id = ""
        self.tick_rate = 0.0
        self.spectator = False
        self.joined = False
        self._clock = clock
        self._reconnect = reconnect
        self._way = Way(
            lambda: ClientLink(target, addresses=addresses, tls=tls, clock=clock),
            self._make_hello,
            now=clock(),
            join_seconds=join_seconds,
            chance=chance,
            wake=self._wake,
        )
        self._returning = self._way.returning
        self._mirror = Mirror()
        self._steering = Steering(self._way, self._mirror)
        self._talk = Talk(self._way)
        self._heard = 0  # messages and replies of this seat
        self._inbox: deque[bytes] = deque()
        self._early: list[Event] = []  # what came before the world was filled
        self._events: list[Event] = []
        self._told_end = False
        self._is_back = False  # and no frame has come since

    def __repr__(self) -> str:
        state = "away" if self.reconnecting else "joined" if self.joined else "joining"
        state = f"ended {self.close_code}" if self.closed else state
        return f"<{type(self).__name__} {self.room} player {self.player}: {state}, tick {self.tick}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(wait=GOODBYE_SECONDS)

    # -- what is

    @property
    def tick(self) -> int:
        """The tick that ``world`` is at, 0 before the first frame."""
        return self.world.tick

    @property
    def state(self) -> Row | None:
        """The room-wide state as a row; None when the room has none, or before `joined`."""
        return self.world.state

    @property
    def connected(self) -> bool:
        """Whether the WebSocket is open; not while `reconnecting`."""
        return self._way.connected

    @property
    def reconnecting(self) -> bool:
        """Whether the connection was lost and the session tries to come back to the player's seat."""
        return self._returning.active and self._way.ended is None

    @property
    def closed(self) -> bool:
        """Whether it is over: nothing comes or goes any more."""
        return self._way.ended is not None

    @property
    def close_code(self) -> int:
        """Why it is over, as in `Disconnected`; 0 before."""
        return self._way.ended.code if self._way.ended is not None else 0

    @property
    def close_reason(self) -> str:
        """Why it is over, in words; empty before."""
        return self._way.ended.reason if self._way.ended is not None else ""

    @property
    def rtt(self) -> float | None:
        """The smoothed round trip in seconds, None while it is not known."""
        return self._mirror.round_trip.smoothed

    @property
    def stats(self) -> Stats:
        """Counters and measures, as they are now."""
        return measure(self._clock(), self._way, self._mirror, self._steering.inputs)

    def fileno(self) -> int:
        """The socket's descriptor for selectors, -1 when there is none. It may change until `connected`, and again
        when the connection was lost: ask for it after each `pump`."""
        return self._way.link.fileno()

    # -- what to do

    def pump(self) -> list[Event]:
        """Take in what has come, send what is due; call it once per frame of the program. Never waits.

        All frames that have come are applied in their order, and acknowledged at once: with the next input of a player
        who sends them all the time, otherwise by a message. A server soon stops sending to whoever does not acknowledge
        and begins again with the newest state, so a program may stop calling this for as long as it likes. If the
        connection is lost meanwhile, the next calls bring the player back, as long as its seat is kept.

        Returns:
            What happened since the last call, in order.
        Raises:
            Exception: only what a callback raised, and KeyError for a callback whose entity type the room does not
                have. What comes behind it is not lost: the next call goes on there.
        """
        now = self._clock()
        way = self._way
        self._inbox += way.read(now)
        while self._inbox:
            payload = self._inbox.popleft()
            try:
                self._take(payload, now)
            except ProtocolError as error:
                self._inbox.clear()
                way.link.close(error.code, error.reason)
        dropped = way.check(now, self.joined)
        if dropped is not None and self.joined:
            self._emit(dropped)
        if way.ended is not None:
            self._end(way.ended)
        elif self.player and not self._returning.active:
            if self._talk.outbox.waiting:
                self._talk.send_waiting(now)
            self._steering.send_due(now)
        if now >= self._talk.requests.next_deadline:
            self._talk.requests.expire(now)
        events, self._events = self._events, []
        return events

    def send_input(self, /, **values: Any) -> None:
        """Say what the player wants to do, by the fields of the room's input; a field that is left out has its default.

        Call it as often as you like, once per frame say. At most one input leaves per tick of the server; what is said
        in between is merged: a bool is True if it was True once, so a short key press is not lost, any other field has
        its latest value. What waits leaves with a later call or `pump`, or at once with `flush_input`. Whoever stops
        calling this goes on doing what was said last, unless the room declares otherwise. While `reconnecting` all
        that is said is merged into one input, which leaves when the player is back.

        Nothing happens before `joined` and after the end.

        Raises:
            InputError: a field does not exist, or a value does not fit it; the text names it. Or the player may only
                watch.
        """
        if self.joined:
            if self.spectator:
                raise InputError("spectators only watch: join without spectate=True to play, or look at spectator")
            self._steering.offer(values, self._clock())

    def flush_input(self) -> bool:
        """Send the merged input that waits, whatever the pace; True when none waits any more.

        The server queues what comes faster than its ticks and drops what is beyond its queue, so this is for rare use.
        """
        return not self.joined or self._steering.flush(self._clock())

    def send(self, kind: str, payload: Any = None) -> bool:
        """Send a message to the room. It keeps its place among messages and inputs.

        While `reconnecting` it is kept, up to 64 KiB of them, and goes when the player is back.

        Returns:
            False when it did not go: before `joined`, after the end, when the server leaves too much unread, or when
            no more is kept.
        Raises:
            ValueError: the kind's name or the whole message is longer than the server takes.
            TypeError: msgpack has no form for the payload.
        """
        return self.joined and self._talk.send(kind, payload, self._steering.newest, self._clock())

    def ask(
        self, kind: str, payload: Any = None, /, *, timeout: float = REQUEST_SECONDS, **fields: Any
    ) -> RequestPending:
        """Send a request to the room and return at once; the answer comes with a later `pump`.

            pending = session.ask("buy", item=3)
            ...
            if pending.done: item = pending.result()   # raises RequestFailedError when the room says no

        Like a message it keeps its place, and goes when the player is back if it is away.

        Args:
            kind: the request's name.
            payload: what goes with it; or give its ``fields`` by name.
            timeout: seconds until it fails with `RequestTimeoutError`; ``math.inf`` for never.
        Raises:
            ValueError, TypeError: as `send`; TypeError also for a payload and fields together.
        """
        payload = payload_of(kind, payload, fields)
        if not self.joined or self.closed:
            reason = self.close_reason or "the player is not in the room yet"
            return failed_request(kind, DisconnectedError(self.close_code or VANISHED, reason))
        now = self._clock()
        pending = self._talk.ask(kind, payload, self._steering.newest, now, now + timeout)
        self._wake()
        return pending

    def acknowledge(self) -> None:
        """Tell the server how far the world is here, unless an input has said it; `pump` does this by itself."""
        if self.joined:
            self._steering.acknowledge(self._clock())

    def close(self, code: int = CloseCode.NORMAL, reason: str = "", *, wait: float = 0.0) -> None:
        """Leave the room and do not come back. The next `pump` gives `Disconnected`. Calling it again changes nothing.

        Args:
            code, reason: what the server is told.
            wait: how long to wait for the server's answer at most, in seconds.
        """
        self._leave(int(code), reason or "the player left")
        self._hang_up(wait)

    # -- connecting and ending

    @property
    def _link(self) -> ClientLink:
        return self._way.link

    @_link.setter
    def _link(self, link: ClientLink) -> None:
        self._way.link = link

    @property
    def _inputs(self) -> InputPacer | None:
        return self._steering.inputs

    def _make_hello(self) -> Hello:
        """What to say on a new link: the first time how to find a room, then which seat is ours."""
        seat = self._way.seat
        return self._hello if seat is None else return_hello(self._hello, seat, self._mirror.usable_tick, self._heard)

    def _leave(self, code: int, reason: str) -> None:
        self._way.leave(code, reason)
        self._talk.requests.fail_all(DisconnectedError(self.close_code, self.close_reason))

    def _end(self, ended: Disconnected) -> None:
        self.joined = False
        self._hang_up(0.0)
        if not self._told_end:
            self._told_end = True
            self._talk.requests.fail_all(DisconnectedError(ended.code, ended.reason))
            early, self._early = self._early, []
            for event in early:
                self._emit(event)
            self._emit(ended)

    def _hang_up(self, wait: float) -> None:
        self._link.linger(wait)
        self._link.release()

    def _emit(self, event: Event) -> None:
        self._events.append(event)
        self._call(event)

    def _tell(self, event: Event) -> None:
        """Emit what the room said; the first event is always `Joined`."""
        if self.joined:
            self._emit(event)
        else:
            self._early.append(event)

    # -- messages of the server

    def _take(self, payload: bytes, now: float) -> None:
        items = unpack_from_server(payload)
        if not isinstance(items, list) or not items:
            raise ProtocolError(CloseCode.UNDECODABLE, "a message is an array that begins with its kind")
        kind = items[0]
        if self._returning.active and kind in _OF_A_SEAT:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "the server did not say whether the seat is given back")
        if kind == Kind.FRAME:
            self._take_frame(items, now)
        elif kind == Kind.MESSAGE:
            if len(items) < 3 or not isinstance(items[1], str):
                raise ProtocolError(CloseCode.UNDECODABLE, "a message has a name and a payload")
            self._heard += 1
            self._tell(MessageReceived(items[1], items[2]))
        elif kind == Kind.REPLY:
            refused = self._talk.take_reply(items)
            self._heard += 1
            if refused is not None:
                self._tell(refused)
        elif kind == Kind.WELCOME:
            self._take_welcome(items)
        elif kind == Kind.RETURNED:
            self._take_returned(items, now)

    def _take_welcome(self, items: list[Any]) -> None:
        if self._mirror.replica is not None:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "a second welcome")
        welcome = Welcome.from_items(items)
        schema = welcome.read_schema()
        self.player, self.room, self.room_id = welcome.player, welcome.room, welcome.room_id
        self.tick_rate, self.spectator = welcome.tick_rate, welcome.spectator
        self._mirror.begin(schema, welcome.player, welcome.message_bytes, f"{welcome.room}/{welcome.room_id}")
        seat = welcome.seat if self._reconnect and welcome.seat_seconds else None
        period = 1.0 / welcome.tick_rate if welcome.tick_rate else _EVENT_PERIOD
        self._steering.begin(schema.input, period, keeps=seat is not None)
        self._talk.begin(welcome.message_bytes, keeps=seat is not None)
        self._way.welcomed(seat=seat, seat_seconds=welcome.seat_seconds, spectator=welcome.spectator)

    def _take_returned(self, items: list[Any], now: float) -> None:
        if not self._returning.active:
            raise ProtocolError(
                CloseCode.PROTOCOL_ERROR, "this seat's world is with the program that had it: join without seat="
            )
        answer = SeatAnswer.from_items(items)
        if answer.player != self.player:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "the seat of another player")
        away = self._way.returned(now, answer.seat, answer.seat_seconds)
        self._mirror.came_back()
        self._is_back = True
        self._send_again(answer, now)
        if self.joined:
            self._emit(Returned(answer.tick, away))

    def _take_frame(self, items: list[Any], now: float) -> None:
        mirror = self._mirror
        applied = mirror.take(items, now)
        header, replica, inputs = mirror.header, mirror.replica, self._steering.inputs
        if header is None or replica is None or inputs is None:
            return  # never: `take` has raised
        inputs.applied = header.sequence
        if header.client_time is not None:
            self._talk.outbox.answered(header.client_time)
        if mirror.question is not None:
            self._way.write(mirror.question)
        if applied is not None:
            if self._is_back:
                self._is_back = False
                self._steering.answer_anew()
            if not self.joined:
                self._join(replica, now)
            self._emit(applied)

    def _join(self, replica: Replica, now: float) -> None:
        self.world = replica
        self.joined = True
        if self.tick_rate:
            self._way.expect_frames(now, patience_seconds(1.0 / self.tick_rate, self._way.seat is not None))
        early, self._early = self._early, []
        self._check_names()
        self._emit(Joined(self.player, self.room, self.room_id, replica.tick))
        for event in early:
            self._emit(event)

    # -- messages to the server

    def _send_again(self, answer: SeatAnswer, now: float) -> None:
        """Say what the server did not get, each once and in its order, inputs and messages as they were said."""
        send_inputs = self._steering.came_back(answer.inputs)
        self._talk.came_back(answer.messages, now)
        self._talk.send_waiting(now, lambda last: send_inputs(now, last))
        send_inputs(now, math.inf)

    def _wake(self) -> None:
        """A hook: what must be waited for has changed."""
