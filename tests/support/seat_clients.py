"""Rooms that write down what happens to their players, and clients that do as SPEC.md says on one link after another.

For tests of seats: what a client has decoded from the bytes of its links can be compared with what the room says.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np

from gameprotocol import (
    CloseCode,
    Frame,
    Hello,
    Kind,
    Replica,
    Returned,
    Schema,
    encode_acknowledge,
    encode_input,
    encode_message,
    encode_request,
    unpack_from_server,
)
from gameprotocol import _messages as messages
from gameprotocol._websocket import FrameParser
from gameserver import (
    Entity,
    Input,
    MaxRate,
    Metadata,
    Nearby,
    Player,
    Room,
    State,
    Visible,
    fixed,
    handles,
    owner,
    text,
    uint,
)
from gameserver.rooms.loop import RoomLoop
from tests.support.fake_links import FakeLink

SIZE = 400
SEATS = 3
#: What the hooks of one player may be, in short: join, drop, return, leave.
LIVES = re.compile(r"J(DR)*(D|D?L)?")


class Book:
    """What a room did with one player, by its name, which no two have.

    Attributes:
        hooks: in short, see `LIVES`. told: messages to it. heard: numbers of its messages and requests.
        applied: its inputs. reason: why it left.
    """

    def __init__(self) -> None:
        self.hooks = ""
        self.told: list[Any] = []
        self.heard: list[int] = []
        self.applied: list[int] = []
        self.reason = ""
        self.hold_seconds: float | None = None  # what `on_drop` is to ask for


BOOKS: dict[str, Book] = defaultdict(Book)


class Thing(Entity):
    """What everyone sees all of; ``serial`` is never another's."""

    x = fixed(0, SIZE, step=1)
    y = fixed(0, SIZE, step=1)
    serial = uint(32)
    label = text(max_bytes=12)


class Chest(Thing):
    """With something in it for its owner alone."""

    gold = uint(32, to=owner)


class Score(State):
    points = uint(16)


class Move(Input):
    at: int = 0


class HallInfo(Metadata):
    level: int = 1


class Hall(Room):
    """Does what the test says; writes down what happens."""

    tick_rate = 20
    entities = (Thing,)
    state = Score
    input = Move
    missing_input = "skip"
    metadata = HallInfo
    max_players = SEATS
    max_spectators = 1
    allow_reconnection = 4.0
    close_when_empty = 2.0
    seed = 1
    serial = 0

    def put(self, player: Player | None = None, x: int = 0, y: int = 0) -> None:
        kind = self.entities[0]
        self.serial += 1
        more = {"gold": self.serial} if kind is Chest else {}
        name = f"n{self.serial}"
        self.world.spawn(kind, owner=player, x=x, y=y, serial=self.serial, label=name, **more)

    def tell(self, player: Player, size_bytes: int = 0) -> None:
        told = BOOKS[player.name].told
        told.append(["tell", [len(told), "x" * size_bytes]])
        player.send(*told[-1])

    def tell_all(self, what: int) -> None:
        for player in (*self.players, *self.spectators):
            BOOKS[player.name].told.append(["all", what])
        self.broadcast("all", what)

    def on_join(self, player: Player) -> None:
        BOOKS[player.name].hooks += "J"
        player.data = {"from": 0}
        self.put(player, x=30 * player.number, y=30)
        self.tell(player)

    def on_drop(self, player: Player, reason: str) -> None:
        book = BOOKS[player.name]
        book.hooks += "D"
        if book.hold_seconds is not None:
            player.allow_reconnection = book.hold_seconds
        self.tell(player)

    def on_return(self, player: Player) -> None:
        BOOKS[player.name].hooks += "R"
        self.tell(player)

    def on_leave(self, player: Player, reason: str) -> None:
        BOOKS[player.name].hooks += "L"
        BOOKS[player.name].reason = reason
        for each in list(self.world[self.entities[0]]):
            if each.owner is player:
                self.world.despawn(each)

    def on_spectator_join(self, player: Player) -> None:
        player.data = {"from": 0}

    @handles("note")
    def note(self, player: Player, number: int) -> None:
        BOOKS[player.name].heard.append(number)

    @handles("ask")
    def ask(self, player: Player, number: int) -> int:
        BOOKS[player.name].heard.append(number)
        BOOKS[player.name].told.append(["reply", number])
        return number

    def step(self, dt: float) -> None:
        for player, move in self.inputs:
            BOOKS[player.name].applied.append(move.at)


class Open(Hall):
    """Everyone sees everything."""


class Calm(Hall):
    """The same, ticking when something happens."""

    tick_rate = None


class Veiled(Hall):
    """Players see what a function of the room's says, and what is theirs alone."""

    entities = (Chest,)
    view = Visible(lambda player, chests: chests.x >= player.data["from"])


class Near(Hall):
    """Players see what is near to what they own."""

    entities = (Chest,)
    view = Nearby(60, cell=30) | Visible(lambda player, chests: chests.x > SIZE - player.data["from"] // 8)


class Meagre(Veiled):
    """The same, a few bytes a second."""

    max_rate = MaxRate(bytes=2_000)


class Rare(Near):
    """A few frames a second."""

    max_rate = MaxRate(frames=7)


TYPES = {kind.__name__.lower(): kind for kind in (Open, Calm, Veiled, Near, Meagre, Rare)}


def whole(loop: RoomLoop, player: Any) -> Replica:
    """What a full frame shows to a player, now."""
    saved = player._baseline, player._cap
    player._baseline, player._cap = 0, None
    body = loop._delivery._frames.body(player)
    player._baseline, player._cap = saved
    data = body.untimed_head + messages.frame_untimed(0, 0) + body.rest
    (payload,) = FrameParser(masked=False, max_payload_bytes=1 << 20).feed(data)
    replica = Replica(loop.room.schema(), player.number)
    replica.apply(Frame.from_items(unpack_from_server(payload)))
    return replica


def assert_same(held: Replica, shown: Replica) -> None:
    for ours, theirs in zip(held.tables, shown.tables, strict=True):
        ids = ours.ids
        assert ids.tolist() == theirs.ids.tolist(), ours.schema.name
        assert np.array_equal(ours.integers[:, ids], theirs.integers[:, ids]), ours.schema.name
        for i, store in ours.objects.items():
            assert [store[id] for id in ids.tolist()] == [theirs.objects[i][id] for id in ids.tolist()]


class Client:
    """One player's program: what it does as SPEC.md says, over one link after the other.

    Attributes:
        state: ``"coming"`` (it has said hello), ``"in"``, ``"away"`` or ``"gone"``.
        tokens: all that it was given, the newest last.
        robbed: somebody else has used its token. misled: and said that it has messages which it has not.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path = name, path
        self.state = "coming"
        self.tokens: list[str] = []
        self.replica: Replica | None = None
        self.told: list[Any] = []
        self.inputs: list[int] = []
        self.said: list[tuple[str, int]] = []
        self.lags = False
        self.slow_link: FakeLink | None = None  # one that took nothing for a while, and is paced since
        self.robbed = self.misled = False
        self.spectates = False
        self.player = 0
        self.confirmed = 0  # how many of `tokens` must be of no use
        self.links: list[FakeLink] = []
        self.shown: dict[int, Replica] = {}
        self.told_acknowledged = 0  # how many of `told` the room knows it to have,
        self.told_before_ticks = [0, 0]  # after the last ticks
        self._read = 0

    @property
    def link(self) -> FakeLink:
        return self.links[-1]

    @property
    def book(self) -> Book:
        return BOOKS[self.name]

    def hello(self, **more: Any) -> Hello:
        return Hello(name=self.name, **more)

    def connect(self) -> FakeLink:
        self.links.append(FakeLink())
        self._read = 0
        self.state = "coming"
        self.shown.clear()
        return self.link

    # -- what it says

    def act(self) -> None:
        self.inputs.append(len(self.inputs) + 1)
        self._send_input(self.inputs[-1])

    def say(self, kind: str) -> None:
        self.said.append((kind, len(self.said) + 1))
        self._send_said(*self.said[-1])

    def _send_input(self, sequence: int) -> None:
        if self.state == "in":
            tick = self.replica.tick if self.replica is not None else 0
            self.link.bring(encode_input(sequence, 0, tick, 0, [sequence]))

    def _send_said(self, kind: str, number: int) -> None:
        if self.state == "in":
            if kind == "ask":
                self.link.bring(encode_request(number, kind, number))
            else:
                self.link.bring(encode_message(kind, number, number))

    # -- what it hears

    def read(self, count: int | None = None) -> None:
        """Take in the next messages of the link, all by default."""
        sent = self.link.sent[self._read :][:count]
        self._read += len(sent)
        for message in sent:
            self._take(message)
        if self.link.closed and self._read == len(self.link.sent) and self.state != "gone":
            self._note_close()

    def _take(self, message: Any) -> None:
        match message[0]:
            case Kind.WELCOME:
                assert not self.tokens
                self.replica = Replica(Schema.from_wire(message[1]["schema"]), message[1]["player"])
                self.player = message[1]["player"]
                if message[1]["seat"]:
                    self.tokens.append(message[1]["seat"])
                self.state = "in"
            case Kind.RETURNED:
                self._go_on(Returned.from_items(message))
            case Kind.MESSAGE:
                self.told.append([message[1], message[2]])
            case Kind.REPLY:
                assert message[2] is None, message
                self.told.append(["reply", message[3]])
            case Kind.FRAME:
                self._apply(Frame.from_items(message))

    def _go_on(self, returned: Returned) -> None:
        assert returned.player == self.player
        assert returned.inputs <= len(self.inputs)
        assert returned.messages <= len(self.said)
        assert returned.seat not in self.tokens
        self.tokens.append(returned.seat)
        self.state = "in"
        for sequence in self.inputs[returned.inputs :]:
            self._send_input(sequence)
        for kind, number in self.said[returned.messages :]:
            self._send_said(kind, number)

    def _apply(self, frame: Frame) -> None:
        replica = self.replica
        assert replica is not None
        before = self._serials()
        replica.apply(frame)
        assert replica.check(frame), "the hash is another"
        after = self._serials()
        changed = {id for id in before.keys() & after.keys() if before[id] != after[id]}
        assert not changed, f"ids {changed} are other entities now"
        if replica.tick in self.shown:
            assert_same(replica, self.shown[replica.tick])
        self.shown = {tick: shown for tick, shown in self.shown.items() if tick > replica.tick}
        if not self.link.closed:
            self.link.bring(encode_acknowledge(replica.tick, 0))
            self.confirmed = max(0, len(self.tokens) - 1)
            self.told_acknowledged = len(self.told)

    def _serials(self) -> dict[int, int]:
        assert self.replica is not None
        return {row.id: row.serial for row in self.replica.main_tables[0]}

    def _note_close(self) -> None:
        code = self.link.close_code
        if code == CloseCode.SEAT_GONE:
            assert "L" in self.book.hooks or self.robbed, "its seat is there"
            self.state = "gone"
        elif code == CloseCode.SEAT_TAKEN:
            assert self.robbed
            self.state = "away"
        else:
            assert code in (CloseCode.NORMAL, CloseCode.POLICY), (code, self.link.close_reason)
            self.state = "gone"


def short(told: list[Any]) -> str:
    """The end of some messages."""
    return str([str(each)[:24] for each in told[-12:]])
