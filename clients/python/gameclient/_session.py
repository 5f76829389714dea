"""A player's side of one room: joins, keeps the world equal to the server's, sends inputs, and never waits.

Nothing here needs an event loop. A frame loop calls `Session.pump` once per frame, a trio program lets a task do it,
and a load test drives a thousand of them from one loop; all three use this class.
"""

from __future__ import annotations

import logging
import math
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Final, Self

from gameclient._events import (
    Callbacks,
    Disconnected,
    Event,
    FrameApplied,
    Joined,
    MessageReceived,
)
from gameclient._inputs import InputPacer
from gameclient._link import ClientLink
from gameclient._stats import Stats
from gameclient._target import Address, TargetLike
from gameclient._timing import RoundTrip, clock_value
from gameprotocol import (
    BaselineError,
    CloseCode,
    Frame,
    Hello,
    Kind,
    ProtocolError,
    Replica,
    Row,
    Welcome,
    encode_acknowledge,
    encode_input,
    encode_message,
    encode_resync,
    limits,
    unpack_from_server,
)

_log = logging.getLogger("gameclient")

#: How long joining may take, in seconds: look-up, connection, handshake and first frame together.
JOIN_SECONDS: Final = 10.0
#: How long leaving a ``with`` block may wait for the server's answer to our goodbye, in seconds.
GOODBYE_SECONDS: Final = 0.25
#: Whose inputs are at most so far apart, in periods, sends them all the time: so long the next one is waited for.
_INPUT_PERIODS: Final = 1.5

try:
    _CLIENT: Final = f"tickwire-python/{version('tickwire')}"
except PackageNotFoundError:  # run from a source tree that is not installed
    _CLIENT: Final = "tickwire-python"  # type: ignore[misc]


class Session(Callbacks):
    """One player in one room. Not thread-safe: use it in one thread.

    Made by `gameclient.open` and `gameclient.connect`. Nothing here raises because of the server or the network: that
    is told by `Disconnected`, `connected` and `close_reason`.

    Args:
        target: ``ws://host:port/room``, ``wss://...``, or what ``server.local()`` gives.
        name: what the player wants to be called, at most 64 bytes.
        options: whatever the room wants to know of a joining player.
        token: for a server that checks who comes in.
        join_seconds: seconds until joining is given up.
        addresses: where the URL's host is, when that is known; None to look it up.
        tls: for wss://, None for the system's certificates and checks.
        clock: seconds; another one for tests in virtual time.
    Raises:
        ValueError: the target is no WebSocket URL, or the name is too long.
        TypeError: the options cannot travel as msgpack.

    Attributes:
        world: the mirror of the room's world; no rows before `joined`, the last ones after the end.
        player: the player's number, 0 before it is known. room, room_id: where it is.
        tick_rate: ticks per second, 0.0 before it is known.
        joined: the player is in the room and ``world`` is filled; False again when the connection has ended.
    """

    def __init__(
        self,
        target: TargetLike,
        *,
        name: str = "",
        options: Mapping[str, Any] | None = None,
        token: str | None = None,
        join_seconds: float = JOIN_SECONDS,
        addresses: Sequence[Address] | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if len(name.encode()) > limits.PLAYER_NAME_BYTES:
            raise ValueError(f"name {name[:20]!r}... is longer than {limits.PLAYER_NAME_BYTES} bytes")
        self._hello = Hello(name=name, token=token, options=dict(options or {}), client=_CLIENT).encode()
        self.player = 0
        self.room = ""
        self.room_id = ""
        self.tick_rate = 0.0
        self.joined = False
        self._clock = clock
        self._join_seconds = join_seconds
        self._deadline = clock() + join_seconds
        self._link = ClientLink(target, addresses=addresses, tls=tls, clock=clock)
        self._replica: Replica | None = None
        self._inputs: InputPacer | None = None
        self._round_trip = RoundTrip()
        self._period = 0.0
        self._message_bytes = limits.CLIENT_MESSAGE_BYTES
        self._acknowledged = 0
        self._asked_for_full = False
        self._frames = 0
        self._skipped = 0
        self._coalesced = 0
        self._window = 0
        self._newest_at: float | None = None
        self._inbox: deque[bytes] = deque()
        self._early: list[MessageReceived] = []  # messages that came before the world was filled
        self._events: list[Event] = []
        self._told_end = False
        self._offered = False  # an input was offered since the last pump

    def __repr__(self) -> str:
        state = f"ended {self.close_code}" if self._link.closed else "joined" if self.joined else "joining"
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
        """Whether the WebSocket is open."""
        return self._link.opened and not self._link.closed

    @property
    def closed(self) -> bool:
        """Whether it is over: nothing comes or goes any more."""
        return self._link.closed

    @property
    def close_code(self) -> int:
        """Why it is over, as in `Disconnected`; 0 before."""
        return self._link.close_code

    @property
    def close_reason(self) -> str:
        """Why it is over, in words; empty before."""
        return self._link.close_reason

    @property
    def rtt(self) -> float | None:
        """The smoothed round trip in seconds, None while it is not known."""
        return self._round_trip.smoothed

    @property
    def stats(self) -> Stats:
        """Counters and measures, as they are now."""
        inputs, round_trip, link, world = self._inputs, self._round_trip, self._link, self.world
        frame_age = None if self._newest_at is None else self._clock() - self._newest_at
        one_way = None if round_trip.shortest is None else round_trip.shortest / 2
        return Stats(
            frames=self._frames,
            frames_skipped=self._skipped,
            bytes_in=link.bytes_in,
            bytes_out=link.bytes_out,
            hashes_checked=world.hashes_checked,
            desyncs=world.desyncs,
            newest_tick=world.tick,
            frame_age=frame_age,
            state_age=None if frame_age is None or one_way is None else frame_age + one_way,
            coalesced_ticks=self._coalesced,
            window_ticks=self._window,
            inputs_sent=inputs.sequence if inputs else 0,
            inputs_applied=inputs.applied if inputs else 0,
            input_margin=round_trip.margin,
            rtt=round_trip.smoothed,
            rtt_shortest=round_trip.shortest,
        )

    def fileno(self) -> int:
        """The socket's descriptor for selectors, -1 when there is none; it may change until `connected`."""
        return self._link.fileno()

    # -- what to do

    def pump(self) -> list[Event]:
        """Take in what has come, send what is due; call it once per frame of the program. Never waits.

        All frames that have come are applied in their order, and acknowledged at once: with the next input of a player
        who sends them all the time, otherwise by a message. A server soon stops sending to whoever does not acknowledge
        and begins again with the newest state, so a program may stop calling this for as long as it likes.

        Returns:
            What happened since the last call, in order.
        Raises:
            Exception: only what a callback raised, and KeyError for a callback whose entity type the room does not
                have. What comes behind it is not lost: the next call goes on there.
        """
        now = self._clock()
        self._read(now)
        while self._inbox:
            payload = self._inbox.popleft()
            try:
                self._take(payload, now)
            except ProtocolError as error:
                self._inbox.clear()
                self._link.close(error.code, error.reason)
        if self._link.closed:
            self._end()
        elif self._inputs is not None:
            self._send_due(now)
        events, self._events = self._events, []
        return events

    def send_input(self, /, **values: Any) -> None:
        """Say what the player wants to do, by the fields of the room's input; a field that is left out has its default.

        Call it as often as you like, once per frame say. At most one input leaves per tick of the server; what is said
        in between is merged: a bool is True if it was True once, so a short key press is not lost, any other field has
        its latest value. What waits leaves with a later call or `pump`, or at once with `flush_input`. Whoever stops
        calling this goes on doing what was said last, unless the room declares otherwise.

        Nothing happens before `joined` and after the end.

        Raises:
            InputError: a field does not exist, or a value does not fit it; the text names it.
        """
        if self.joined and self._inputs is not None:
            self._inputs.offer(values)
            self._offered = True
            self._send_waiting(self._clock())

    def flush_input(self) -> bool:
        """Send the merged input that waits, whatever the pace; True when none waits any more.

        The server queues what comes faster than its ticks and drops what is beyond its queue, so this is for rare use.
        """
        if self.joined and self._inputs is not None and self._inputs.waiting:
            self._send_input(self._clock())
            return not self._inputs.waiting
        return True

    def send(self, kind: str, payload: Any = None) -> bool:
        """Send a message to the room. It keeps its place among messages and inputs.

        Returns:
            False when it did not go: before `joined`, after the end, or when the server leaves too much unread.
        Raises:
            ValueError: the kind's name or the whole message is longer than the server takes.
            TypeError: msgpack has no form for the payload.
        """
        encoded = encode_message(kind, payload)
        if len(encoded) > self._message_bytes:
            raise ValueError(f"message {kind!r} has {len(encoded)} bytes; the server takes {self._message_bytes}")
        return self.joined and self._write(encoded)

    def acknowledge(self) -> None:
        """Tell the server how far the world is here, unless an input has said it; `pump` does this by itself."""
        if not self.joined or self.world.tick <= self._acknowledged or self._link.wants_write:
            return
        if self._write(encode_acknowledge(self.world.tick, clock_value(self._clock()))):
            self._acknowledged = self.world.tick

    def close(self, code: int = CloseCode.NORMAL, reason: str = "", *, wait: float = 0.0) -> None:
        """Leave the room. The next `pump` gives `Disconnected`. Calling it again changes nothing.

        Args:
            code, reason: what the server is told.
            wait: how long to wait for the server's answer at most, in seconds.
        """
        self._link.close(code, reason or "the player left")
        self._hang_up(wait)

    # -- connecting and ending

    def _read(self, now: float) -> None:
        link = self._link
        if not link.opened and link.advance():
            link.write(self._hello)
        if link.opened:
            self._inbox += link.receive()
        if not self.joined and not link.closed and now >= self._deadline:
            why = link.explain_delay() or "the room did not let this player in"
            link.give_up(f"not joined within {self._join_seconds:g} s: {why}")

    def _end(self) -> None:
        self.joined = False
        self._hang_up(0.0)
        if not self._told_end:
            self._told_end = True
            early, self._early = self._early, []
            for message in early:
                self._emit(message)
            self._emit(Disconnected(self._link.close_code, self._link.close_reason))

    def _hang_up(self, wait: float) -> None:
        self._link.linger(wait)
        self._link.release()

    def _emit(self, event: Event) -> None:
        self._events.append(event)
        self._call(event)

    # -- messages of the server

    def _take(self, payload: bytes, now: float) -> None:
        items = unpack_from_server(payload)
        if not isinstance(items, list) or not items:
            raise ProtocolError(CloseCode.UNDECODABLE, "a message is an array that begins with its kind")
        kind = items[0]
        if kind == Kind.FRAME:
            self._take_frame(items, now)
        elif kind == Kind.MESSAGE:
            self._take_message(items)
        elif kind == Kind.WELCOME:
            self._take_welcome(items)

    def _take_welcome(self, items: list[Any]) -> None:
        if self._replica is not None:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "a second welcome")
        welcome = Welcome.from_items(items)
        if not welcome.tick_rate > 0:
            raise ProtocolError(CloseCode.UNDECODABLE, "bad welcome: tick_rate must be positive")
        schema = welcome.read_schema()
        self._replica = Replica(schema, welcome.player)
        self._period = 1.0 / welcome.tick_rate
        self._inputs = InputPacer(schema.input, self._period)
        self._message_bytes = welcome.message_bytes
        self.player, self.room, self.room_id = welcome.player, welcome.room, welcome.room_id
        self.tick_rate = welcome.tick_rate

    def _take_message(self, items: list[Any]) -> None:
        if len(items) < 3 or not isinstance(items[1], str):
            raise ProtocolError(CloseCode.UNDECODABLE, "a message has a name and a payload")
        message = MessageReceived(items[1], items[2])
        if self.joined:
            self._emit(message)
        else:
            self._early.append(message)

    def _take_frame(self, items: list[Any], now: float) -> None:
        replica, inputs = self._replica, self._inputs
        if replica is None or inputs is None:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "a frame before the welcome")
        frame = Frame.from_items(items)
        header = frame.header
        full = header.back == 0
        self._round_trip.note(header, now)
        self._window = header.window
        inputs.applied = header.sequence
        try:
            changes = replica.apply(frame)
        except (BaselineError, ProtocolError) as error:
            if full:
                raise
            self._skipped += 1
            self._ask_for_full(str(error))
            return
        self._asked_for_full = self._asked_for_full and not full
        self._frames += 1
        self._coalesced += max(0, header.back - 1)
        self._newest_at = now
        if not replica.check(frame):
            self._ask_for_full(f"hash {replica.hash():#x} at tick {header.tick}", frame.hash)
        if not self.joined:
            self._join(replica)
        self._emit(FrameApplied(header.tick, full, changes))

    def _join(self, replica: Replica) -> None:
        self.world = replica
        self.joined = True
        early, self._early = self._early, []
        self._check_names()
        self._emit(Joined(self.player, self.room, self.room_id, replica.tick))
        for message in early:
            self._emit(message)

    def _ask_for_full(self, why: str, expected: int | None = None) -> None:
        """Ask once; frames that were on their way before the answer must not make us ask again.

        Args:
            expected: the hash that the newest frame brought, when that is not the replica's; None for a frame that
                could not be applied.
        """
        replica = self._replica
        if self._asked_for_full or replica is None:
            return
        self._asked_for_full = True
        _log.warning("! %s/%s: out of step, asking for a full frame: %s", self.room, self.room_id, why)
        if expected is None:
            self._write(encode_resync(replica.tick, 0, 0))
            return
        found = replica.hash()
        report = encode_resync(replica.tick, expected, found, replica.digests())
        fits = len(report) <= self._message_bytes
        self._write(report if fits else encode_resync(replica.tick, expected, found))

    # -- messages to the server

    def _send_due(self, now: float) -> None:
        # Whoever offered an input since the last pump is about to offer a fresher one, which takes the old one along.
        if not self._offered:
            self._send_waiting(now)
        self._offered = False
        if now >= self._acknowledge_at():
            self.acknowledge()

    def _acknowledge_at(self) -> float:
        """When what is held must be acknowledged if no input says it before, in seconds of the clock.

        Whoever sends inputs all the time is about to say it with the next one; a message of its own would be wasted.
        """
        inputs = self._inputs
        if inputs is None or self.world.tick <= self._acknowledged:
            return math.inf
        longest = _INPUT_PERIODS * self._period
        return inputs.last_sent + longest if inputs.interval <= longest else -math.inf

    def _send_waiting(self, now: float) -> None:
        if self._inputs is not None and self._inputs.is_due(now, self._round_trip.smoothed):
            self._send_input(now)

    def _send_input(self, now: float) -> None:
        inputs = self._inputs
        assert inputs is not None
        if self._link.wants_write and not self._link.flush():
            return  # the network is stuck: merge on, so that what leaves is as fresh as can be
        sequence, values = inputs.peek()
        if self._write(encode_input(sequence, 0, self.world.tick, clock_value(now), values)):
            inputs.sent(now)
            self._acknowledged = self.world.tick

    def _write(self, payload: bytes) -> bool:
        taken = self._link.write(payload)
        if self._link.wants_write:
            self._output_waits()
        return taken

    def _output_waits(self) -> None:
        """A hook: bytes wait until the socket is writable."""
