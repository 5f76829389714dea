"""A scripted player: a client without a network that says what a test tells it, and holds what it was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gameprotocol import (
    CloseCode,
    Frame,
    Hello,
    Kind,
    Replica,
    Returned,
    Row,
    Welcome,
    encode_acknowledge,
    encode_input,
    encode_message,
    encode_request,
    unpack_from_server,
)
from gameserver.rooms.handlers import RequestError
from gameserver.rooms.player import Player
from gameserver.rooms.room import Room
from gameserver.testing.links import MemoryLink
from gameserver.world.entity import Entity

if TYPE_CHECKING:
    from gameserver.testing.tester import RoomTester

#: How long a request waits for its reply, in seconds of the tester's clock.
REQUEST_SECONDS: Final = 5.0


class Closed(NamedTuple):
    """How a player's connection has ended; compare it with ``(4010, "this room is full")``."""

    code: int
    reason: str


class ClosedError(RuntimeError):
    """A scripted player was to do something and has no connection."""


class DesyncError(AssertionError):
    """A player's replica is not what the server says that it should be: a defect of Tickwire, please report it."""


class _Sent(NamedTuple):
    """A message or request that may have to be sent again."""

    number: int
    moment: int
    payload: bytes


class ScriptedPlayer:
    """A player of a `RoomTester`. Made by its ``join`` and ``spectate``.

    It answers each frame as a client does, and keeps its replica. What it says arrives at the next tick.

    Attributes:
        name: what it calls itself.
        messages: what the room has sent, as (kind, payload), in order.
        refused: answers to plain messages that the room did not take, as (number of the message, code, text).
        closed: how its connection has ended, None while it is open and after `drop`.
        wire: all messages that it was sent, as they travelled, if the tester keeps them.
        acknowledges: whether it tells the server which frames it has; a hidden page does not.
    """

    def __init__(self, tester: RoomTester[Any], hello: Hello, path: str) -> None:
        self.name = hello.name
        self.messages: list[tuple[str, Any]] = []
        self.refused: list[tuple[int, str, str]] = []
        self.closed: Closed | None = None
        self.wire: list[bytes] = []
        self.acknowledges = True
        self._tester = tester
        self._path = path
        self._link = MemoryLink(path, tester._clock)
        self._gone = False  # it has dropped its connection
        self._answered = False  # it was welcomed on this one
        self._welcome: Welcome | None = None
        self._replica: Replica | None = None
        self._player: Player | None = None
        self._room: Room | None = None
        self._token: str | None = None
        self._received = 0  # messages and replies
        self._asked: set[int] = set()  # numbers of requests
        self._replies: dict[int, tuple[str | None, Any]] = {}
        self._sequence = self._number = self._moment = 0
        self._inputs: list[tuple[int, int, list[Any]]] = []
        self._sent: list[_Sent] = []

    def __repr__(self) -> str:
        state = "dropped" if self._gone else f"closed {self.closed}" if self.closed else f"at tick {self.tick}"
        return f"<ScriptedPlayer {self.name!r}: {state}>"

    # -- what it sees

    @property
    def world(self) -> Replica:
        """What this player was sent, and nothing else: ``ada.world["Ship"]`` or ``ada.world[Ship]``."""
        if self._replica is None:
            raise ClosedError(f"{self.name} has not come in{self._why()}")
        return self._replica

    @property
    def state(self) -> Row:
        """The room-wide state as this player knows it."""
        state = self.world.state
        if state is None:
            raise LookupError("this room has no state, or no frame has come yet")
        return state

    @property
    def tick(self) -> int:
        """The tick that ``world`` is at."""
        return 0 if self._replica is None else self._replica.tick

    @property
    def player(self) -> Player:
        """The server's side of it."""
        if self._player is None:
            raise ClosedError(f"{self.name} has not come in{self._why()}")
        return self._player

    @property
    def room(self) -> Room:
        """The room that it is in."""
        return self.player.room

    def row(self, entity: Entity) -> Row | None:
        """An entity of the server as this player holds it; None when it sees none. Hidden fields read None."""
        return self.world[type(entity)].get(entity.id) if entity.alive else None

    def sees(self, entity: Entity) -> bool:
        """Whether an entity of the server is in this player's view."""
        return self.row(entity) is not None

    def heard(self, kind: str) -> list[Any]:
        """The payloads of all messages of one kind, in order."""
        return [payload for each, payload in self.messages if each == kind]

    # -- what it does

    def input(self, /, **values: Any) -> None:
        """Send an input; fields that are left out have their defaults.

        Raises:
            TypeError: the room takes no inputs, or none with such a field. A value that does not fit costs the
                connection, as it does a real client: see ``closed``.
        """
        self._check_open()
        assert self._welcome is not None
        schema = self._welcome.read_schema().input
        if schema is None:
            raise TypeError("this room takes no inputs")
        unknown = values.keys() - {field.name for field in schema.fields}
        if unknown:
            fields = ", ".join(field.name for field in schema.fields)
            raise TypeError(f"{schema.name} has no field {', '.join(sorted(unknown))}; it has {fields}")
        self._sequence += 1
        self._inputs.append((self._sequence, 0, [values.get(field.name, field.default) for field in schema.fields]))
        self._send_input(self._inputs[-1])

    def send(self, kind: str, payload: Any = None) -> None:
        """Send a message. If the room does not take it, that is told in ``refused``."""
        self._check_open()
        self._number += 1
        self._send_reliably(encode_message(kind, payload, self._number))

    def request(self, kind: str, payload: Any = None, /, **fields: Any) -> Any:
        """Send a request and step until its reply is there.

        Args:
            payload: what to send; or its fields by keyword.
        Returns:
            What the room's handler returned.
        Raises:
            RequestError: the room has refused it, with a code.
            TimeoutError: nothing was answered within `REQUEST_SECONDS`.
        """
        self._check_open()
        if self._gone:
            raise ClosedError(f"{self.name} is dropped: nothing is answered before return_()")
        self._number += 1
        number = self._number
        self._asked.add(number)
        self._send_reliably(encode_request(number, kind, fields if fields else payload))
        self._tester._step_until(lambda: number in self._replies or self.closed is not None, REQUEST_SECONDS)
        if number not in self._replies:
            self._check_open()
            raise TimeoutError(f"request {kind!r} was not answered within {REQUEST_SECONDS:g} seconds")
        code, answer = self._replies.pop(number)
        if code is not None:
            raise RequestError(code, str(answer))
        return answer

    # -- its connection

    @property
    def stalled(self) -> bool:
        """Whether its network takes nothing: no frame reaches it, and messages wait. Set it at any time."""
        return self._link.stalled

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        self._link.stalled = stalled

    def drop(self) -> None:
        """Lose the connection without a word. At the next tick the seat is held, where the room allows it."""
        self._check_open()
        self._gone = True
        self._link.hang_up()

    def return_(self) -> None:
        """Come back to the seat on a new connection, and run a tick. If that is refused, ``closed`` says why."""
        if self._token is None:
            raise ClosedError(f"{self.name} has no seat token: the room declares no allow_reconnection")
        self._gone = False
        self.closed = None
        self._link = MemoryLink(self._path, self._tester._clock)
        hello = Hello(name=self.name, seat=self._token, tick=self.tick, messages=self._received)
        self._tester._connect(self, hello)

    def leave(self, reason: str = "the player left") -> None:
        """Leave the room for good; it knows at the next tick."""
        self._check_open()
        if self._gone:
            raise ClosedError(f"{self.name} is dropped: nobody would hear it leave before return_()")
        self._link.hang_up(CloseCode.NORMAL, reason)
        self.closed = Closed(CloseCode.NORMAL, reason)

    # -- for the tester

    def _pump(self, check_hashes: bool, keep_bytes: bool) -> None:
        """Take in what has come, and answer it."""
        if self._gone or self.closed is not None:
            return
        applied = False
        for payload in self._link.take():
            if keep_bytes:
                self.wire.append(payload)
            applied |= self._take(unpack_from_server(payload), check_hashes)
        if self._link.closed:
            self.closed = Closed(self._link.close_code, self._link.close_reason)
        elif applied and self.acknowledges:
            self._link.bring(encode_acknowledge(self.tick, self._next_moment()))

    def _take(self, items: Any, check_hashes: bool) -> bool:
        """Take one message in; whether it was a frame."""
        kind = items[0]
        if kind == Kind.FRAME:
            self._take_frame(Frame.from_items(items), check_hashes)
            return True
        if kind == Kind.MESSAGE:
            self._received += 1
            self.messages.append((items[1], items[2]))
        elif kind == Kind.REPLY:
            self._received += 1
            self._take_reply(items[1], items[2], items[3])
        elif kind == Kind.WELCOME:
            self._take_welcome(Welcome.from_items(items))
        elif kind == Kind.RETURNED:
            self._take_returned(Returned.from_items(items))
        return False

    def _take_welcome(self, welcome: Welcome) -> None:
        self._answered = True
        self._welcome = welcome
        self._token = welcome.seat
        self._replica = Replica(welcome.read_schema(), welcome.player)
        self._player = self._tester._find_player(welcome)

    def _take_returned(self, returned: Returned) -> None:
        """Back in the seat: send again what has not come, each once, in order."""
        self._answered = True
        self._token = returned.seat
        self._inputs = [each for each in self._inputs if each[0] > returned.inputs]
        self._sent = [sent._replace(moment=self._moment) for sent in self._sent if sent.number > returned.messages]
        for each in self._inputs:
            self._send_input(each)
        for sent in self._sent:
            self._link.bring(sent.payload)

    def _take_frame(self, frame: Frame, check_hashes: bool) -> None:
        replica, header = self.world, frame.header
        replica.apply(frame)
        if not replica.check(frame) and check_hashes:
            raise DesyncError(f"{self.name}'s replica differs from what the server says at tick {header.tick}")
        self._inputs = [each for each in self._inputs if each[0] > header.sequence]
        if header.client_time is not None:
            self._sent = [sent for sent in self._sent if sent.moment >= header.client_time]

    def _take_reply(self, number: int, code: str | None, answer: Any) -> None:
        if number in self._asked:
            self._asked.discard(number)
            self._replies[number] = code, answer
        else:
            self.refused.append((number, str(code), str(answer)))

    def _send_input(self, each: tuple[int, int, list[Any]]) -> None:
        if not self._gone:
            sequence, tick, values = each
            self._link.bring(encode_input(sequence, tick, self.tick, self._next_moment(), values))

    def _send_reliably(self, payload: bytes) -> None:
        assert self._welcome is not None
        if len(payload) > self._welcome.message_bytes:
            raise ValueError(f"this has {len(payload)} bytes; the server takes {self._welcome.message_bytes}")
        self._sent.append(_Sent(self._number, self._moment, payload))
        if not self._gone:
            self._link.bring(payload)

    def _next_moment(self) -> int:
        """The client's clock: a number that rises with each input and acknowledgement."""
        self._moment += 1
        return self._moment

    def _check_open(self) -> None:
        if self.closed is not None or self._welcome is None:
            raise ClosedError(f"{self.name} is not in the room{self._why()}")

    def _why(self) -> str:
        return f": closed with {self.closed.code}, {self.closed.reason}" if self.closed is not None else ""
