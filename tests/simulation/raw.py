"""The simulation's client that speaks the protocol by itself, and takes every liberty that the protocol leaves."""

from __future__ import annotations

import socket
from typing import Final

import trio

from gameprotocol import (
    SUBPROTOCOL,
    Frame,
    Hello,
    Kind,
    Replica,
    Welcome,
    encode_acknowledge,
    encode_input,
    encode_message,
    encode_resync,
    unpack_from_server,
)
from gameprotocol._websocket import CLOSE, CONTINUATION, PING, PONG, FrameParser, OddFrame, close_payload, parse_close
from tests.simulation.clients import Client
from tests.simulation.network import Network
from tests.simulation.plan import ClientPlan
from tests.simulation.story import Story
from tests.support.raw_client import frame, upgrade_request

#: Between two pings, in seconds: well below what a server allows, also when they come in a heap.
PING_SECONDS: Final = 1.0
#: Between two messages in two fragments, in seconds: half of what a server allows.
FRAGMENTS_SECONDS: Final = 0.5
#: Between two requests for a full frame, in seconds.
RESYNC_SECONDS: Final = 0.7
#: A frame may go unacknowledged for so long, in seconds; for ever, and the server waits for ever.
FORGETFUL_SECONDS: Final = 0.5


class RawClient(Client):
    """Skips numbers, repeats old inputs, sends inputs for later ticks, cuts messages into fragments and bytes into
    crumbs, pings, asks for full frames without a reason, and forgets to acknowledge."""

    def __init__(self, index: int, plan: ClientPlan, network: Network, story: Story) -> None:
        super().__init__(index, plan, network, story)
        self._sock: socket.socket | None = None
        self._replica: Replica | None = None
        self._parser = FrameParser(masked=False, max_payload_bytes=1 << 24)
        self._head: bytes | None = b""  # of the answer to the upgrade, None when it was read
        self._unsent = b""
        self._sent_inputs: list[bytes] = []
        self._pings = self._pongs = 0
        self._acknowledged = 0
        self._next_ping = self._next_resync = self._next_word = 0.0
        self._next_fragments = 0.0

    @property
    def joined(self) -> bool:
        """The world is filled."""
        return self._replica is not None and self._replica.tick > 0

    def connect(self) -> None:
        self._replica = None
        self._parser = FrameParser(masked=False, max_payload_bytes=1 << 24)
        self._head = b""
        self._sent_inputs.clear()
        self._pings = self._pongs = self._acknowledged = 0
        self._next_ping = trio.current_time() + PING_SECONDS
        self._sock = self.address().open_socket()
        hello = Hello(name=self.life.name, client="simulation").encode()
        self._unsent = upgrade_request("/yard", Sec_WebSocket_Protocol=SUBPROTOCOL) + frame(hello)

    # -- what comes

    def look(self) -> None:
        if self._acknowledged < self.held_tick and trio.current_time() >= self._next_word:
            self._acknowledge()
        self._flush()
        while self._sock is not None:
            try:
                data = self._sock.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._end(1006, "end of the stream")
                return
            self._cut(data)

    def _cut(self, data: bytes) -> None:
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self.story.expect(head.startswith(b"HTTP/1.1 101 "), self.life.name, "refused", head[:40])
            self._head = None
        while not self.ended:
            for payload in self._parser.feed(data):
                self._take(payload)
            data = b""
            if not isinstance(self._parser.stop, OddFrame):
                return
            self._take_odd(self._parser.stop)

    def _take_odd(self, odd: OddFrame) -> None:
        if odd.opcode == PONG:
            self._pongs += 1
            self.story.expect(odd.payload() == b"%d" % self._pongs, self.life.name, "wrong pong", odd.payload())
        elif odd.opcode == PING:
            self._send(frame(odd.payload(), PONG))
        elif odd.opcode == CLOSE:
            self._end(*parse_close(odd.payload()))

    def _take(self, payload: bytes) -> None:
        items = unpack_from_server(payload)
        if items[0] == Kind.WELCOME:
            welcome = Welcome.from_items(items)
            self._replica = Replica(welcome.read_schema(), welcome.player)
        elif items[0] == Kind.MESSAGE:
            self.hear_message(items[2])
        elif items[0] == Kind.FRAME:
            self._take_frame(Frame.from_items(items))

    def _take_frame(self, state: Frame) -> None:
        replica, name = self._replica, self.life.name
        assert replica is not None
        if not state.header.back and replica.tick:
            self.story.tell(name, "full again", state.header.tick)
        replica.apply(state)
        self.story.expect(replica.check(state), name, "hash differs", state.header.tick)
        self.hear_frame(replica)
        if self.quiet or self.dice.random() < 0.8:
            self._acknowledge()

    def _acknowledge(self) -> None:
        self._acknowledged, self._next_word = self.held_tick, trio.current_time() + FORGETFUL_SECONDS
        self._send(frame(encode_acknowledge(self.held_tick, 0)))

    # -- what goes

    def act(self) -> None:
        if not self.joined:
            return
        now, dice = trio.current_time(), self.dice
        if dice.random() < self.plan.eagerness:
            dice.choice((self._input, self._input, self._replay, self._burst, self._early_input))()
        chatter = self.take_chatter()
        if chatter or dice.random() < self.plan.talk:
            self.life.notes_sent += 1
            self._send(self._whole_or_not(encode_message("note", [self.life.notes_sent, chatter])))
        if now >= self._next_ping:
            self._next_ping = now + PING_SECONDS
            self._send(self._ping())
        if now >= self._next_resync and dice.random() < 0.05 and self._replica is not None:
            self._next_resync = now + RESYNC_SECONDS
            self._send(frame(encode_resync(self._replica.tick, 0, 0)))
            self.story.tell(self.life.name, "asks for a full frame")

    def _input(self, tick: int = 0) -> None:
        life = self.life
        life.offered += self.dice.choice((1, 1, 1, 2, 5))
        self._sent_inputs.append(encode_input(life.offered, tick, self.held_tick, 0, [life.offered, False]))
        self._send(self._whole_or_not(self._sent_inputs[-1]))

    def _burst(self) -> None:
        """More at once than the server keeps."""
        for _ in range(self.dice.randrange(2, 12)):
            self._input()

    def _early_input(self) -> None:
        """One that waits for its tick, or asks for one that is too far away."""
        self._input(self.held_tick + self.dice.randrange(60))

    def _replay(self) -> None:
        """One that was sent before, with the same bytes or with other values."""
        if self._sent_inputs:
            at = self.dice.randrange(len(self._sent_inputs))
            number = unpack_from_server(self._sent_inputs[at])[1][0]
            again = encode_input(number, 0, 0, 0, [number, True])
            self._send(frame(self.dice.choice((self._sent_inputs[at], again))))

    def _whole_or_not(self, payload: bytes) -> bytes:
        """One frame, or fragments with a ping between them."""
        now = trio.current_time()
        if self.dice.random() < 0.8 or now < self._next_fragments:
            return frame(payload)
        self._next_fragments = now + FRAGMENTS_SECONDS
        at = self.dice.randrange(len(payload) + 1)
        middle = b"" if now < self._next_ping else self._ping()
        return frame(payload[:at], fin=False) + middle + frame(payload[at:], CONTINUATION)

    def _ping(self) -> bytes:
        self._next_ping = trio.current_time() + PING_SECONDS
        self._pings += 1
        return frame(b"%d" % self._pings, PING)

    def _send(self, data: bytes) -> None:
        self._unsent += data

    def _flush(self) -> None:
        """Send what waits, now and then only a crumb of it."""
        if not self._unsent or self._sock is None:
            return
        crumb = self.dice.randrange(1, 40) if self.dice.random() < 0.3 and not self.quiet else len(self._unsent)
        try:
            sent = self._sock.send(self._unsent[:crumb])
        except BlockingIOError:
            return
        except OSError:
            self._end(1006, "broken")
            return
        self._unsent = self._unsent[sent:]

    # -- the end

    def leave(self) -> None:
        if not self.ended:
            self._send(frame(close_payload(1000, "bye"), CLOSE))
            self.quiet, was_quiet = True, self.quiet
            self._flush()
            self.quiet = was_quiet
            self._end(1000, "left")

    def vanish(self) -> None:
        self._end(1006, "vanished")

    def _end(self, code: int, reason: str) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
            self.hear_end(code, reason)
