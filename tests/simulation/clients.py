"""The clients of the simulation: what they have in common, and the `gameclient` session among them."""

from __future__ import annotations

import random
import socket
from abc import ABC, abstractmethod
from typing import Any, Final

import trio

from gameclient import Session
from gameprotocol import CloseCode, Replica
from tests.simulation.game import difference, held_by
from tests.simulation.network import Cable, Network, SimulatedAddress
from tests.simulation.plan import ClientPlan
from tests.simulation.story import Life, Story

#: What a server may say when it ends the connection of a client that keeps to the protocol; 1006 is the network.
USUAL_CODES: Final = frozenset((1006, CloseCode.NORMAL, CloseCode.TOO_SLOW, CloseCode.HELLO_TIMEOUT))
#: Large messages that are asked for at once at most: more than the server lets wait for a client.
MOST_CHATTER: Final = 450
#: Between two connections of a client, in seconds: least and most.
PAUSE_SECONDS: Final = (0.05, 0.6)


class Client(ABC):
    """One client: connects, plays, and comes back when its connection has ended.

    Attributes:
        cable: of its present connection. life: what is known of it.
        nap_until: it does nothing before, in seconds of the clock.
        ended: it has heard that its connection is over, or has none yet.
        held_tick: of the newest frame, 0 before the first.
        quiet: it sends no inputs and messages any more. over: it does not come back.
        codes: with which its connection may end.
    """

    def __init__(self, index: int, plan: ClientPlan, network: Network, story: Story) -> None:
        self.plan = plan
        self.story = story
        self.dice = random.Random(f"client {index} {story.seed}")
        self.index = index
        self.nap_until = 0.0
        self.quiet = False
        self.over = False
        self.codes: frozenset[int] = USUAL_CODES
        self.life = Life("", plan.raw)
        self.held_tick = 0
        self.ended = True
        self.cable: Cable | None = None
        self._network = network
        self._lives = 0
        self._chatter = 0

    async def run(self) -> None:
        """Play until it is over."""
        await trio.sleep(self.plan.join_at)
        while not self.over:
            self._begin()
            while not self.ended:
                await trio.sleep(self.plan.frame_seconds * self.dice.uniform(0.8, 1.2))
                if trio.current_time() >= self.nap_until:
                    self.look()
                    if not self.quiet and not self.ended:
                        self.act()
            if not self.over:
                await trio.sleep(self.dice.uniform(*PAUSE_SECONDS))

    def _begin(self) -> None:
        self._lives += 1
        self.life = Life(f"{self.index}.{self._lives}", self.plan.raw)
        self.story.lives[self.life.name] = self.life
        self.held_tick = 0
        self.ended = False
        self.story.tell(self.life.name, "connects")
        self.connect()

    def address(self) -> SimulatedAddress:
        """Where the room is, over this client's network."""

        def open_socket() -> socket.socket:
            sock, self.cable = self._network.connect(self.plan.conditions, self.plan.send_buffer_bytes)
            return sock

        return SimulatedAddress("/yard", open_socket)

    def is_fresh(self, tick: int) -> bool:
        """Whether it is in the room, and holds the world of ``tick`` or a newer one."""
        return not self.ended and self.held_tick > 0 and self.held_tick >= tick

    def ask(self, messages: int) -> None:
        """Ask the room for large messages, with the next one to it."""
        self._chatter = min(messages, MOST_CHATTER)

    def take_chatter(self) -> int:
        asked, self._chatter = self._chatter, 0
        return asked

    # -- what is heard

    def hear_message(self, payload: Any) -> None:
        """A numbered message of the room has come."""
        number, tick, _ = payload
        life = self.life
        life.heard += 1
        self.story.expect(number == life.heard, life.name, "message out of order", number, "not", life.heard)
        self.story.expect(tick > self.held_tick, life.name, "message behind its tick", tick, self.held_tick)
        self.story.tell(life.name, "hears", number)

    def hear_frame(self, replica: Replica) -> None:
        """The replica was brought to a newer tick."""
        life, tick = self.life, replica.tick
        self.story.expect(tick > self.held_tick, life.name, "frame of an older tick", tick, self.held_tick)
        self.held_tick = tick
        expected, held = life.views.get(tick), held_by(replica)
        if expected != held:
            self.story.expect(False, life.name, "replica differs at tick", tick, difference(expected, held))
        late = sum(told <= tick for told in life.told[life.heard :])
        self.story.expect(not late, life.name, "frame before messages of its tick", tick, late)
        self.story.tell(life.name, "frame", tick)

    def hear_end(self, code: int, reason: str) -> None:
        """The connection has ended."""
        self.ended = True
        self.story.tell(self.life.name, "ended", code, reason)
        self.story.counts[f"code {code}"] += 1
        # A server that stops does not wait for long until a slow client has taken the messages before the goodbye.
        unread = code == 1006 and self.life.heard < len(self.life.told)
        self.story.expect(code in self.codes or unread, self.life.name, "ended for an odd reason", code, reason)

    # -- what kinds of clients differ in

    @abstractmethod
    def connect(self) -> None:
        """A new connection."""

    @abstractmethod
    def look(self) -> None:
        """Take in what has come."""

    @abstractmethod
    def act(self) -> None:
        """Perhaps send something."""

    @abstractmethod
    def leave(self) -> None:
        """Say goodbye."""

    @abstractmethod
    def vanish(self) -> None:
        """Be gone without a word."""


class SessionClient(Client):
    """A `gameclient` session."""

    session: Session | None = None

    def connect(self) -> None:
        session = self.session = Session(self.address(), name=self.life.name, clock=trio.current_time)
        session.on_frame(lambda _: self.hear_frame(session.world))
        session.on_message()(lambda _, payload: self.hear_message(payload))
        session.on_disconnected(lambda event: self.hear_end(event.code, event.reason))

    def look(self) -> None:
        assert self.session is not None
        self.session.pump()
        self.story.expect(not self.session.world.desyncs, self.life.name, "hash differs")

    def act(self) -> None:
        session, life, dice = self.session, self.life, self.dice
        assert session is not None
        if not session.joined:
            return
        if dice.random() < self.plan.eagerness and session._inputs is not None:
            # What is merged into the input that waits is not a new one.
            life.offered = session._inputs.sequence + 1
            session.send_input(number=life.offered)
            if dice.random() < 0.05:
                session.flush_input()
        chatter = self.take_chatter()
        if (chatter or dice.random() < self.plan.talk) and session.send("note", [life.notes_sent + 1, chatter]):
            life.notes_sent += 1

    def leave(self) -> None:
        if self.session is not None and not self.ended:
            self.session.close()
            self.look()

    def vanish(self) -> None:
        if self.session is not None and not self.ended:
            self.session._link.release()
            self.look()
