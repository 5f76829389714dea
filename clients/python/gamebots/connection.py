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
    message_kind,
    unpack_from_server,
)

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
        frames: states received. latencies: seconds from sending an input to holding a frame that says it was applied,
            since they were last taken away. tick: of the newest frame.
        message_kinds: messages received.
    """

    def __init__(self, link: ClientLink, index: int, holds_replica: bool, make_bot: MakeBot = make_bot) -> None:
        self.link = link
        self.joined = False
        self.replica: Replica | None = None
        self.frames = 0
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

    def say_hello(self) -> None:
        """The link is open: ask for a seat."""
        self.link.write(Hello(name=f"bot {self._index}", client="gamebots").encode())

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

    def send_input(self, now: float) -> None:
        """Decide and send; what a bot does once a tick.

        A server applies one input a tick, so one that came too many would wait in front of all later ones for ever. As
        a good client does, a bot therefore leaves one out when more are unanswered than its best latency explains.
        """
        if not self._takes_input or self._bot is None:
            if self.joined:
                self.link.write(encode_acknowledge(self.tick, 0))
            return
        if len(self._awaited) >= self._most_awaited:
            return
        self._decide_in -= 1
        if self._decide_in <= 0 or not self._values:
            self._decide_in = self._bot.decision_ticks
            self._values = self._bot.decide(self.replica)
        self._sequence += 1
        microseconds = int(now * 1e6) & 0xFFFFFFFF
        if self.link.write(encode_input(self._sequence, 0, self.tick, microseconds, self._values)):
            self._awaited.append((self._sequence, now))

    def _take_welcome(self, payload: bytes) -> None:
        welcome = Welcome.from_items(unpack_from_server(payload))
        schema = welcome.read_schema()
        self._bot = self._make_bot(schema, welcome.player, self._index)
        self._takes_input = schema.input is not None
        self._tick_seconds = 1.0 / welcome.tick_rate
        if self._holds_replica:
            self.replica = Replica(schema, welcome.player)
        self.joined = True

    def _take_frame(self, payload: bytes, now: float) -> None:
        if self.replica is None:
            header = decode_frame_header(payload)
        else:
            frame = Frame.from_items(unpack_from_server(payload))
            header = frame.header
            self._apply(self.replica, frame)
        self.frames += 1
        self.tick = header.tick
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
            if self._resyncing:
                return
        else:
            self._resyncing = False
            if replica.check(frame):
                return
        self._resyncing = True
        self.link.write(encode_resync(replica.tick, frame.hash or 0, replica.hash()))
