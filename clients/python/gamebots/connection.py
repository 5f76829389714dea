"""One bot's connection: hello, frames in, inputs out, and what they took. Does not wait and knows no clock."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from gamebots.bots import Bot, MakeBot, make_bot
from gameclient import ClientLink
from gameprotocol import (
    BaselineError,
    Frame,
    Hello,
    Kind,
    ProtocolError,
    Replica,
    Welcome,
    decode_frame_header,
    encode_acknowledge,
    encode_input,
    encode_resync,
    limits,
    message_kind,
    unpack_from_server,
)

#: A bot whose inputs are at most so far apart, in ticks, acknowledges with the next one.
_INPUT_TICKS: Final = 1.5
#: A room that ticks when something happens does so as often in a second at most.
_EVENT_RATE: Final = 60.0
#: Inputs whose answer is awaited, per bot; older ones are given up as lost to a server that does not answer.
_AWAITED_INPUTS: Final = 256


class BotConnection:
    """Plays one player over one link.

    Args:
        link: a link that is being opened.
        index: which bot this is; seeds its choices.
        holds_replica: whether it decodes the state and plays by it, or reads frame headers alone and plays blindly.
        make_bot: makes what decides, when the schema is known.

    Attributes:
        joined: the welcome has come.
        replica: what it sees, None without one.
        frames: states received. skipped_frames: those of them that did not fit to what the replica held.
        coalesced_ticks: ticks that the server merged into later frames.
        latencies: seconds from sending an input to holding a frame that says it was applied, since they were last taken
            away.
        tick: of the newest frame that was applied. messages: received.
    """

    def __init__(self, link: ClientLink, index: int, holds_replica: bool, make_bot: MakeBot = make_bot) -> None:
        self.link = link
        self.joined = False
        self.replica: Replica | None = None
        self.frames = 0
        self.skipped_frames = 0
        self.coalesced_ticks = 0
        self.tick = 0
        self.messages = 0
        self.latencies: list[float] = []
        self._index = index
        self._holds_replica = holds_replica
        self._make_bot = make_bot
        self._bot: Bot | None = None
        self._sequence = 0
        self._awaited: deque[tuple[int, float]] = deque(maxlen=_AWAITED_INPUTS)
        self._values: list[object] = []
        self._decide_in = 0
        self._takes_input = False
        self._tick_seconds = 0.05
        self._best_latency = 0.0
        self._most_awaited = 3
        self._resyncing = False
        self._message_bytes = limits.CLIENT_MESSAGE_BYTES
        self._acknowledged = 0
        self._last_input = -math.inf
        self._input_interval = 0.0  # between the two newest

    def say_hello(self, token: str | None = None) -> None:
        """The link is open: ask for a seat."""
        self.link.write(Hello(name=f"bot {self._index}", token=token, client="gamebots").encode())

    def receive(self, now: float) -> None:
        """Take what has come.

        Args:
            now: the time of the caller's clock, in seconds.
        """
        link = self.link
        for payload in link.receive():
            kind = message_kind(payload)
            try:
                if kind == Kind.FRAME:
                    self._take_frame(payload, now)
                elif kind == Kind.WELCOME:
                    self._take_welcome(payload)
                else:
                    self.messages += kind == Kind.MESSAGE
            except ProtocolError as error:
                link.close(error.code, error.reason)
                return
        longest = _INPUT_TICKS * self._tick_seconds
        if self.tick > self._acknowledged and (self._input_interval > longest or now - self._last_input > longest):
            self._acknowledge(now)

    def send_input(self, now: float) -> None:
        """Decide and send; what a bot does once a tick.

        A server applies one input a tick, so one that came too many would wait in front of all later ones for ever. As
        a good client does, a bot therefore leaves one out when more are unanswered than its best latency explains.
        """
        if not self._takes_input or self._bot is None:
            return
        if len(self._awaited) >= self._most_awaited:
            if self.tick > self._acknowledged:
                self._acknowledge(now)
            return
        self._decide_in -= 1
        if self._decide_in <= 0 or not self._values:
            self._decide_in = self._bot.decision_ticks
            self._values = self._bot.decide(self.replica)
        self._sequence += 1
        if self.link.write(encode_input(self._sequence, 0, self.tick, _microseconds(now), self._values)):
            self._awaited.append((self._sequence, now))
            self._acknowledged = self.tick
            if self._sequence > 1:
                self._input_interval = now - self._last_input
            self._last_input = now

    def _acknowledge(self, now: float) -> None:
        """Say how far the bot is when no input says it soon: a server holds frames back until it knows."""
        if self.link.write(encode_acknowledge(self.tick, _microseconds(now))):
            self._acknowledged = self.tick

    def _take_welcome(self, payload: bytes) -> None:
        welcome = Welcome.from_items(unpack_from_server(payload))
        schema = welcome.read_schema()
        self._bot = self._make_bot(schema, welcome.player, self._index)
        self._takes_input = schema.input is not None
        self._tick_seconds = 1.0 / (welcome.tick_rate or _EVENT_RATE)
        self._message_bytes = welcome.message_bytes
        if self._holds_replica:
            self.replica = Replica(schema, welcome.player)
        self.joined = True

    def _take_frame(self, payload: bytes, now: float) -> None:
        if self.replica is None:
            header = decode_frame_header(payload)
            self.tick = header.tick
        else:
            frame = Frame.from_items(unpack_from_server(payload))
            header = frame.header
            self._apply(self.replica, frame)
            self.tick = self.replica.tick
        self.frames += 1
        if header.back > 1:
            self.coalesced_ticks += header.back - 1
        awaited = self._awaited
        while awaited and awaited[0][0] <= header.sequence:
            latency = now - awaited.popleft()[1]
            self.latencies.append(latency)
            if not self._best_latency or latency < self._best_latency:
                self._best_latency = latency
                self._most_awaited = 2 + math.ceil(latency / self._tick_seconds)

    def _apply(self, replica: Replica, frame: Frame) -> None:
        try:
            replica.apply(frame)
        except BaselineError:
            self.skipped_frames += 1
            self._ask_for_full(encode_resync(replica.tick, 0, 0))
            return
        self._resyncing = self._resyncing and frame.header.back > 0
        if frame.hash is not None and not replica.check(frame):
            found = replica.hash()
            report = encode_resync(replica.tick, frame.hash, found, replica.digests())
            fits = len(report) <= self._message_bytes
            self._ask_for_full(report if fits else encode_resync(replica.tick, frame.hash, found))

    def _ask_for_full(self, resync: bytes) -> None:
        if not self._resyncing:
            self._resyncing = True
            self.link.write(resync)


def _microseconds(now: float) -> int:
    return int(now * 1e6) & 0xFFFFFFFF
