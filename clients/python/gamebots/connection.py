"""One bot in its room: joins, takes frames in, sends inputs, comes back, and measures. Never waits, has no clock.

The connections themselves are the client library's (`gameclient.Way`); what a session does for a front end besides is
left out, so that a thousand bots fit into one process.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from typing import Any, Final

from gamebots.bots import Bot, MakeBot
from gamebots.held_world import HeldWorld
from gamebots.measures import Counts
from gamebots.pacing import InputPace
from gamebots.room_clock import RoomClock
from gamebots.talk import Talk
from gameclient import ClientLink, Dropped, Way, patience_seconds, return_hello
from gameprotocol import (
    Frame,
    FrameHeader,
    Hello,
    Kind,
    ProtocolError,
    Replica,
    Returned,
    Welcome,
    decode_frame_header,
    encode_acknowledge,
    encode_input,
    message_kind,
    unpack_from_server,
)

#: How long joining may take, in seconds; a crowd that comes at once waits at the server's door for a while.
JOIN_SECONDS: Final = 30.0
#: A room that ticks when something happens does so as often in a second at most.
_EVENT_RATE: Final = 60.0
#: Every so many frames one is looked at for the round trip.
_ROUND_TRIP_FRAMES: Final = 8

#: Finds the clock of a room by its name, its id and its period in seconds.
FindClock = Callable[[str, str, float], RoomClock]


class BotConnection:
    """Plays one player, over as many connections as it takes.

    Args:
        number: which bot this is; seeds its choices with ``seed``.
        make_link: a new link to the room.
        make_bot: makes what decides, when the schema is known.
        find_clock: the clock that all bots of a room share.
        holds_replica: whether it decodes the state and plays by it, or reads frame headers alone and plays blindly.
        token: given to the server with each hello.
        seed: of all bots' choices. chance: gives numbers from 0.0 to below 1.0, for when to come back.
        rate: inputs a second.
        clock: tells when what was read has come, in seconds; None: as `receive` is told. A process that was not given
            the processor between the two would else date a frame before it came.

    Attributes:
        way: its connections, None before it joins and after it has left.
        playing: it has its newest connection's first frame.
        tick: of the newest frame that was applied.
        news: what has happened since somebody took it away: "joined", "refused", "lost", "returned" (the server has
            said so), "back" (a frame has come), "stayed away" (there was no way back), "over" (it has no connection
            and none will come), "failed".
        why: of the newest of "refused", "lost", "stayed away" and "failed".
        latencies, ages, gaps, connects, joins, returns: durations in seconds since they were taken away.
    """

    def __init__(
        self,
        number: int,
        make_link: Callable[[], ClientLink],
        make_bot: MakeBot,
        find_clock: FindClock,
        *,
        holds_replica: bool = True,
        token: str | None = None,
        seed: int = 0,
        chance: Callable[[], float] = lambda: 0.5,
        rate: float = 20.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.number = number
        self.way: Way | None = None
        self.playing = False
        self.tick = 0
        self.news: list[str] = []
        self.why = ""
        self.latencies: list[float] = []
        self.ages: list[float] = []
        self.gaps: list[float] = []
        self.connects: list[float] = []
        self.joins: list[float] = []
        self.returns: list[float] = []
        self._make_link = make_link
        self._make_bot = make_bot
        self._find_clock = find_clock
        self._holds_replica = holds_replica
        self._hello = Hello(name=f"bot {number}", token=token, client="gamebots")
        self._seed = seed
        self._chance = chance
        self._rate = rate
        self._read_clock = clock
        self._counts = Counts()  # but what is counted elsewhere until this connection ends
        self._stalled = False
        self._cut = False
        self._now = 0.0
        self._played = 0.0  # seconds, before ``_since``
        self._since: float | None = None
        self._forget()

    def _forget(self) -> None:
        """What is of one seat."""
        self._bot: Bot | None = None
        self._clock: RoomClock | None = None
        self._held: HeldWorld | None = None
        self._talk = Talk()
        self.playing = False
        self.tick = 0
        self._began = 0.0
        self._connecting_since: float | None = None
        self._lost_at = 0.0
        self._pace = InputPace()
        self._takes_input = False
        self._last_frame: float | None = None

    # -- what a script asks for

    def join(self, now: float) -> bool | None:
        """Begin to join; True when it plays already, None while it is on its way (``news`` tells)."""
        if self.way is not None:
            return True if self.playing and not self.way.returning.active else None
        self._forget()
        self._began = self._connecting_since = now
        self.way = Way(
            self._make_link,
            self._make_hello,
            now=now,
            join_seconds=JOIN_SECONDS,
            chance=self._chance,
            wake=_nothing,
        )
        return None

    def leave(self, now: float) -> None:
        """Say goodbye."""
        if self.way is not None:
            self.way.leave(1000, "")
            self._over(now)

    def drop(self, now: float) -> None:
        """Cut the connection without a word."""
        if self.way is not None and not self.way.link.closed:
            self._cut = True
            self.way.link.give_up("cut by the scenario")
            self.tend(now)
            self._cut = False

    def stall(self, stalled: bool) -> None:
        """Read and say nothing, or go on."""
        self._stalled = stalled

    # -- what drives it

    @property
    def stalled(self) -> bool:
        """Whether nothing is to be read for now."""
        return self._stalled

    @property
    def replica(self) -> Replica | None:
        """What it sees; None without a replica, and before the welcome."""
        return None if self._held is None else self._held.replica

    @property
    def link(self) -> ClientLink | None:
        """The newest link."""
        return None if self.way is None else self.way.link

    def receive(self, now: float) -> None:
        """Go on with connecting, and take what has come.

        Args:
            now: the time of the caller's clock, in seconds.
        """
        way = self.way
        if way is None or self._stalled:
            return
        self._now = now
        payloads = way.read(now)
        if self._connecting_since is not None and way.link.opened:
            self.connects.append(now - self._connecting_since)
            self._connecting_since = None
        if payloads:
            self._take(payloads, now if self._read_clock is None else self._read_clock())
        if way.link.closed or not self.playing:
            self.tend(now)

    def tend(self, now: float) -> None:
        """See whether the connection is lost, and make a new one when it is time."""
        way = self.way
        if way is None or self._stalled:
            return
        dropped = way.check(now, self.playing)
        if dropped is not None:
            self._note_loss(dropped, now)
        elif way.ended is not None:
            lost = self.playing and not way.returning.active
            self.why = f"{way.ended.code} {way.ended.reason}".strip()
            if way.returning.active:
                self.news.append("stayed away")
            elif lost:
                if not self._cut:
                    self._lose_inputs(now)
                    self._counts.disconnects += 1
                    self.news.append("lost")
            else:
                self.news.append("refused")
            self._over(now)
            self.news.append("over")

    def _note_loss(self, dropped: Dropped, now: float) -> None:
        self._lost_at = now
        self._stop_playing(now)
        self._lose_inputs(now)
        if not self._cut:
            self.why = f"{dropped.code} {dropped.reason}".strip()
            self._counts.disconnects += 1
            self.news.append("lost")

    def _lose_inputs(self, now: float) -> None:
        """The connection is gone, and what was not answered never will be."""
        if not self._cut:
            self.latencies += self._pace.unanswered(now)
        self._pace.lost()

    def _over(self, now: float) -> None:
        """It is in no room any more; the totals of its connections are kept."""
        self._stop_playing(now)
        self._counts = self.counts()
        if self.way is not None:
            self.way.link.release()
        self.way, self._held = None, None
        self.playing = False

    def played_seconds(self, now: float) -> float:
        """How long it has been in its room, with an open connection."""
        return self._played + (now - self._since if self._since is not None else 0.0)

    def _stop_playing(self, now: float) -> None:
        if self._since is not None and self._clock is not None:
            self._clock.leave(now)
        self._played = self.played_seconds(now)
        self._since = None

    def counts(self) -> Counts:
        """Totals so far."""
        total = Counts(*(getattr(self._counts, name) for name in Counts.__dataclass_fields__))
        if self.way is not None:
            total.bytes_in += self.way.bytes_in
            total.bytes_out += self.way.bytes_out
        if self._held is not None:
            total.desyncs += self._held.replica.desyncs
            total.hashes += self._held.replica.hashes_checked
        return total

    def sample_age(self, now: float) -> None:
        """Note how old the state is that is held now."""
        if self.playing and self._clock is not None and self.tick:
            made = self._clock.made_at(self.tick)
            if made is not None:
                self.ages.append(max(0.0, now - made))

    def note_what_never_came(self, now: float) -> None:
        """At the end: a frame that is overdue, and inputs without an answer, count with the time that they took so far.

        Otherwise a server that hangs until the end would look as good as it was before.
        """
        if not self.playing or self._stalled:
            return
        if self._last_frame is not None and now - self._last_frame > 2 * self._pace.tick_seconds:
            self.gaps.append(now - self._last_frame)
        self.latencies += self._pace.unanswered(now)

    @property
    def clock(self) -> RoomClock | None:
        """Of the room that it plays in now."""
        return self._clock if self._since is not None else None

    def send_input(self, now: float) -> None:
        """Decide and send; what a bot does once a tick. When too many inputs are unanswered, one is left out."""
        self._now = now
        way, bot = self.way, self._bot
        if bot is None or way is None or not self.playing or self._stalled or way.returning.active:
            return
        if not self._takes_input or self._pace.full:
            if self.tick > self._pace.acknowledged:
                self._acknowledge(now)
            if self._takes_input:
                return
        values = self._ask(bot.next_input, None if self._held is None else self._held.replica)
        if values is None or self.way is None:
            return
        self._say(bot)
        if self._takes_input:
            self._send(values, now)

    def _send(self, values: list[Any], now: float) -> None:
        assert self.way is not None
        pace = self._pace
        pace.sequence += 1
        if self.way.write(encode_input(pace.sequence, 0, self.tick, _microseconds(now), values)):
            pace.sent(self.tick, now)
            self._counts.inputs += 1

    def _ask(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Call what an author wrote; None when it failed, which costs the bot its place."""
        try:
            return hook(*arguments)
        except Exception as error:
            self.why = _describe(error)
            self.news.append("failed")
            self.leave(self._now)
            return None

    def _say(self, bot: Bot) -> None:
        assert self.way is not None
        for kind, payload in bot.take_sent():
            self.way.write(self._talk.say(kind, payload))

    def _acknowledge(self, now: float) -> None:
        """Say how far the bot is when no input says it soon: a server holds frames back until it knows."""
        assert self.way is not None
        if self.way.write(encode_acknowledge(self.tick, _microseconds(now))):
            self._pace.acknowledged = self.tick

    # -- what comes

    def _make_hello(self) -> Hello:
        way = self.way
        if way is None or way.seat is None:
            return self._hello
        usable = self.tick if self._held is None else self._held.usable_tick
        return return_hello(self._hello, way.seat, usable, self._talk.received)

    def _take(self, payloads: list[bytes], now: float) -> None:
        for payload in payloads:
            kind = message_kind(payload)
            try:
                if kind == Kind.FRAME:
                    self._take_frame(payload, now)
                elif kind in (Kind.MESSAGE, Kind.REPLY):
                    self._take_message(kind, payload)
                elif kind == Kind.WELCOME:
                    self._take_welcome(payload)
                elif kind == Kind.RETURNED:
                    self._take_returned(payload, now)
            except ProtocolError as error:
                if self.way is not None:
                    self.way.link.close(error.code, error.reason)
                return
            if self.way is None:
                return  # the bot's own code failed, and it has left
        if self._pace.owes(self.tick, now):
            self._acknowledge(now)

    def _take_welcome(self, payload: bytes) -> None:
        assert self.way is not None
        welcome = Welcome.from_items(unpack_from_server(payload))
        schema = welcome.read_schema()
        self.way.welcomed(seat=welcome.seat, seat_seconds=welcome.seat_seconds, spectator=welcome.spectator)
        self._takes_input = schema.input is not None
        period = 1.0 / welcome.tick_rate if welcome.tick_rate else 0.0
        self._pace.tick_seconds = period or 1.0 / _EVENT_RATE
        self._clock = self._find_clock(welcome.room, welcome.room_id, period)
        if self._holds_replica:
            self._held = HeldWorld(schema, welcome.player, welcome.message_bytes)
        bot = self._ask(self._make_bot, schema, welcome.player, self._seed + self.number)
        if bot is not None:
            bot.number, bot.rate = self.number, self._rate
            self._bot = bot
            self._ask(bot.on_join)

    def _take_returned(self, payload: bytes, now: float) -> None:
        assert self.way is not None
        answer = Returned.from_items(unpack_from_server(payload))
        self.way.returned(now, answer.seat, answer.seat_seconds)
        self._pace.returned(answer.inputs, now)  # what had not come is of no use any more
        for message in self._talk.again(answer.messages):
            self.way.write(message)
        if self._held is not None:
            self._held.came_back()
        self.news.append("returned")

    def _take_message(self, kind: int, payload: bytes) -> None:
        self._talk.received += 1
        if kind == Kind.MESSAGE:
            self._counts.messages += 1
            if self._bot is not None:
                items = unpack_from_server(payload)
                self._ask(self._bot.on_message, *items[1:3])

    def _take_frame(self, payload: bytes, now: float) -> None:
        header = decode_frame_header(payload) if self._held is None else self._hold(self._held, payload)
        if header is None:
            return
        self.tick = header.tick
        counts = self._counts
        counts.frames += 1
        if header.back > 1:
            counts.skipped_ticks += header.back - 1
        clock = self._clock
        if clock is not None:
            if self._since is None:
                clock.enter()
            clock.note(header.tick, now, header.waited_us)
            if header.client_time is not None and not counts.frames % _ROUND_TRIP_FRAMES:
                clock.note_round_trip(_round_trip(header, now))
        if self._last_frame is not None:
            self.gaps.append(now - self._last_frame)
        self._last_frame = now
        self.latencies += self._pace.settle(header.sequence, now)
        if self._since is None:
            self._since = now
        if not self.playing:
            self._first_frame(now)
        elif self._lost_at:
            self.returns.append(now - self._lost_at)
            self._lost_at = 0.0
            self.news.append("back")

    def _first_frame(self, now: float) -> None:
        assert self.way is not None
        self.playing = True
        self.joins.append(now - self._began)
        self.news.append("joined")
        period = self._clock.period if self._clock is not None else 0.0
        patience = patience_seconds(period, self.way.seat is not None) if period else math.inf
        self.way.expect_frames(now, patience)

    def _hold(self, held: HeldWorld, payload: bytes) -> FrameHeader | None:
        """Apply a frame to the world that is held; None when it did not fit."""
        frame = Frame.from_items(unpack_from_server(payload))
        fitted = held.take(frame)
        self._counts.unapplied += not fitted
        if held.question is not None and self.way is not None:
            self.way.write(held.question)
        return frame.header if fitted else None


def _microseconds(now: float) -> int:
    return int(now * 1e6) & 0xFFFFFFFF


def _round_trip(header: FrameHeader, now: float) -> float:
    """Seconds to the server and back, as the header tells."""
    took_us = (_microseconds(now) - (header.client_time or 0)) & 0xFFFFFFFF
    return max(0.0, (took_us - (header.waited_us or 0)) / 1e6)


def _describe(error: Exception) -> str:
    """What an author needs to find the line: the error, and the last place in a file."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _nothing() -> None:
    """Nobody waits for writability: what a link keeps goes out with its next call."""
