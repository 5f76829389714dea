"""A session that loses its connection and comes back, against servers of bytes, in virtual time."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec import structs

from gameclient import (
    CloseCode,
    Disconnected,
    Dropped,
    FrameApplied,
    InputError,
    MessageReceived,
    Session,
)
from gameprotocol import Kind, Returned, Welcome, encode_message, encode_reply, pack, unpack_from_client
from gameprotocol._websocket import OddFrame, binary_frame, close_frame
from tests.unit.test_gameclient_link import RawServer
from tests.unit.test_gameclient_session import WELCOME, Clock, frame

SEATED = structs.replace(WELCOME, seat="first", seat_seconds=30.0)
FULL = frame(1, 0, [0, None, None, [[b"\1\1"], 5]])


class Connection(RawServer):
    """The server's side of one connection."""

    def tell(self, *payloads: bytes) -> None:
        self.sock.sendall(b"".join(binary_frame(payload) for payload in payloads))

    def heard(self) -> list[Any]:
        """What the client has said, decoded; Close frames are left out."""
        found: list[Any] = []
        while select.select([self.sock], [], [], 0)[0]:
            payloads = self.read()
            found += [unpack_from_client(item) for item in payloads if not isinstance(item, OddFrame)]
            if not payloads:
                break
        return found


class Place:
    """Where the room is: each connection is a socket pair of its own.

    Attributes:
        connections: all so far. refusing: open_socket fails. told: is called with each connection.
    """

    path = "/r"

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.refusing = False
        self.told: Callable[[Connection], object] = lambda connection: None

    def open_socket(self) -> socket.socket:
        if self.refusing:
            raise ConnectionRefusedError("nobody is there")
        self.connections.append(Connection())
        self.told(self.connections[-1])
        return self.connections[-1].theirs

    @property
    def newest(self) -> Connection:
        return self.connections[-1]


class Player:
    """A session and the place it plays at. ``chance`` is that of its dice."""

    def __init__(self, welcome: Welcome = SEATED, *, chance: float = 0.5, **settings: Any) -> None:
        self.clock = Clock()
        self.place = Place()
        self.events: list[Any] = []
        self.session = Session(self.place, name="Ada", clock=self.clock, chance=lambda: chance, **settings)
        self.pump()
        self.place.newest.accept()
        self.pump()
        self.hello = self.place.newest.heard()[0][1]
        self.welcome = welcome

    def pump(self, seconds: float = 0.0) -> list[Any]:
        self.clock.now += seconds
        self.events = self.session.pump()
        return self.events

    def tell(self, *payloads: bytes) -> list[Any]:
        self.place.newest.tell(*payloads)
        return self.pump()

    def join(self) -> Player:
        self.tell(self.welcome.encode(), FULL)
        self.place.newest.heard()
        return self

    def lose(self, code: int = 1006, reason: str = "") -> list[Any]:
        """The connection ends; the events of the next pump."""
        self.place.newest.heard()  # what is left unread would be told as a reset
        if code != 1006:
            self.place.newest.sock.sendall(close_frame(code, reason))
        else:
            self.place.newest.sock.close()
        return self.pump()

    def connect_again(self) -> dict[str, Any]:
        """Let the session make its next connection, and take its hello."""
        before = len(self.place.connections)
        for _ in range(200):
            self.pump(0.05)
            if len(self.place.connections) > before:
                break
        connection = self.place.newest
        connection.accept()
        self.pump()
        (kind, hello), *_ = connection.heard()
        assert kind == Kind.HELLO
        return hello

    def come_back(
        self, *, inputs: int = 0, messages: int = 0, seat: str = "second", behind: tuple[bytes, ...] = ()
    ) -> Any:
        """The whole way; the hello."""
        hello = self.connect_again()
        answer = Returned(player=7, tick=50, seat=seat, seat_seconds=30.0, inputs=inputs, messages=messages)
        self.tell(answer.encode(), *behind)
        return hello


@pytest.fixture
def make() -> Iterator[Callable[..., Player]]:
    """Makes players who are in the room (or about to join), and cleans up after them."""
    players: list[Player] = []

    def make_player(welcome: Welcome = SEATED, *, joined: bool = True, **settings: Any) -> Player:
        players.append(Player(welcome, **settings))
        return players[-1].join() if joined else players[-1]

    yield make_player
    for player in players:
        player.session.close()
        for connection in player.place.connections:
            connection.sock.close()
            connection.theirs.close()


# -- the usual way -----------------------------------------------------------------------------------------------------


def test_the_player_comes_back_with_its_world(make: Callable[..., Player]) -> None:
    player = make()
    session = player.session
    player.tell(frame(2, 1), encode_message("a", 1), encode_message("b", 2))
    (thing, other) = session.world["Thing"]
    assert player.lose() == [Dropped(1006, "the server vanished", 30.0)]
    assert (session.joined, session.connected, session.reconnecting, session.closed) == (True, False, True, False)
    assert (session.fileno(), session.close_code, session.tick, thing.n) == (-1, 0, 2, 5)
    assert "away" in repr(session)
    hello = player.come_back(behind=(encode_message("c", 3), frame(70, 68, [0, None, None, None, [None, 0, 9]])))
    assert (hello["seat"], hello["tick"], hello["messages"], hello["name"]) == ("first", 2, 2, "Ada")
    returned, message, applied = player.events
    assert (returned.tick, returned.seconds_away) == (50, pytest.approx(0.05, abs=0.06))
    assert message == MessageReceived("c", 3)
    assert isinstance(applied, FrameApplied)
    assert (applied.tick, applied.full, [row.n for row in applied.changed()]) == (70, False, [9, 9])
    assert (thing.n, other.alive, session.reconnecting, session.connected) == (9, True, False, True)
    assert [said[:2] for said in player.place.newest.heard()] == [[Kind.ACKNOWLEDGE, 70]]
    stats = session.stats
    assert (stats.returns, stats.frames, stats.desyncs) == (1, 3, 0)
    assert stats.dropped_seconds == pytest.approx(returned.seconds_away)


def test_the_next_time_the_new_token_is_shown(make: Callable[..., Player]) -> None:
    player = make()
    player.lose()
    player.come_back(behind=(frame(9, 8), encode_message("x", 0)))
    player.lose()
    hello = player.come_back(seat="third")
    assert (hello["seat"], hello["tick"], hello["messages"]) == ("second", 9, 1)
    player.lose()
    assert player.connect_again()["seat"] == "third"
    assert player.session.stats.returns == 2


def test_the_old_token_is_shown_again_when_the_answer_was_lost(make: Callable[..., Player]) -> None:
    player = make()
    player.lose()
    assert player.connect_again()["seat"] == "first"
    player.place.newest.sock.close()
    assert player.connect_again()["seat"] == "first"


def test_a_world_that_waits_for_a_full_frame_cannot_take_a_delta(make: Callable[..., Player]) -> None:
    player = make()
    player.tell(frame(5, 1))
    player.lose()
    hello = player.come_back(behind=(frame(9, 0, [0, None, None, [[b"\2"], 1]]),))
    assert "tick" not in hello
    assert [row.id for row in player.session.world["Thing"]] == [2]
    assert [said[0] for said in player.place.newest.heard()] == [Kind.ACKNOWLEDGE]


def test_a_delta_that_does_not_fit_is_complained_of_on_each_connection(make: Callable[..., Player]) -> None:
    player = make()
    player.tell(frame(5, 1))
    assert [said[0] for said in player.place.newest.heard()] == [Kind.RESYNC]
    player.lose()
    player.come_back(behind=(frame(9, 2),))
    assert [said[0] for said in player.place.newest.heard()] == [Kind.RESYNC]


def test_a_frame_of_the_same_tick_is_answered_too(make: Callable[..., Player]) -> None:
    """Rooms that tick when something happens may not have moved; the server waits for a word all the same."""
    player = make(structs.replace(SEATED, tick_rate=0.0))
    player.lose()
    player.come_back()
    assert player.place.newest.heard() == []
    player.tell(FULL)
    assert [said[:2] for said in player.place.newest.heard()] == [[Kind.ACKNOWLEDGE, 1]]


def test_nothing_is_said_before_the_seat_is_given_back(make: Callable[..., Player]) -> None:
    player = make()
    player.lose()
    player.connect_again()
    player.session.send_input(fire=True)
    player.session.flush_input()
    player.session.acknowledge()
    player.session.send("x")
    player.session.ask("y")
    player.pump(0.1)
    assert player.place.newest.heard() == []


def test_messages_that_a_callback_left_behind_are_counted(make: Callable[..., Player]) -> None:
    """Who raises in the middle of a batch goes on there: the hello must not ask for the rest again."""
    player = make()
    fails = [ZeroDivisionError]

    @player.session.on_message("a")
    def fail(kind: str, payload: Any) -> None:
        raise fails.pop()

    player.place.newest.tell(encode_message("a", 1), encode_message("b", 2))
    with pytest.raises(ZeroDivisionError):
        player.lose()
    assert [type(event) for event in player.pump()] == [MessageReceived, MessageReceived, Dropped]
    assert player.come_back()["messages"] == 2


def test_callbacks_are_told(make: Callable[..., Player]) -> None:
    player = make()
    told: list[Any] = []
    player.session.on_dropped(told.append)
    player.session.on_returned(told.append)
    player.session.on_refused(told.append)
    player.lose()
    player.come_back(behind=(encode_reply(0, "no such thing", "unknown"),))
    assert [type(event).__name__ for event in told] == ["Dropped", "Returned", "MessageRefused"]


def test_a_connection_lost_before_the_first_frame_is_made_again_without_a_word(make: Callable[..., Player]) -> None:
    player = make(joined=False)
    assert player.tell(SEATED.encode(), encode_message("hi", 1)) == []
    assert player.lose() == []
    hello = player.come_back(behind=(encode_message("ho", 2), frame(3, 0)))
    assert (hello["seat"], hello["messages"], "tick" in hello) == ("first", 1, False)
    assert [type(event).__name__ for event in player.events] == [
        "Joined",
        "MessageReceived",
        "MessageReceived",
        "FrameApplied",
    ]


def test_joining_does_not_take_longer_for_it(make: Callable[..., Player]) -> None:
    player = make(joined=False)
    player.tell(SEATED.encode())
    player.lose()
    player.place.refusing = True
    for _ in range(11):
        player.pump(1.0)
    assert player.session.closed


# -- when there is no way back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1007, 1008, 1011, 4003, 4014])
def test_some_ends_are_final(make: Callable[..., Player], code: int) -> None:
    assert make().lose(code, "so it is") == [Disconnected(code, "so it is")]


@pytest.mark.parametrize("code", [1001, 1012, 1013, 4008, 3333])
def test_other_ends_are_not(make: Callable[..., Player], code: int) -> None:
    player = make()
    assert player.lose(code, "well") == [Dropped(code, "well", 30.0)]
    player.come_back()
    assert player.session.connected


@pytest.mark.parametrize(
    ("welcome", "settings"),
    [(WELCOME, {}), (structs.replace(SEATED, seat_seconds=0.0), {}), (SEATED, {"reconnect": False})],
)
def test_without_a_seat_a_loss_is_the_end(
    make: Callable[..., Player], welcome: Welcome, settings: dict[str, Any]
) -> None:
    player = make(welcome, **settings)
    assert player.lose() == [Disconnected(1006, "the server vanished")]
    assert player.session.closed
    assert not player.session.send("x")


def test_our_own_goodbye_is_the_end(make: Callable[..., Player]) -> None:
    player = make()
    player.session.close()
    assert player.pump() == [Disconnected(1000, "the player left")]
    assert not player.session.reconnecting


def test_leaving_while_away(make: Callable[..., Player]) -> None:
    player = make()
    player.lose()
    player.session.close()
    assert player.session.closed
    assert player.pump(1.0) == [Disconnected(1000, "the player left")]
    assert player.pump(1.0) == []
    assert len(player.place.connections) == 1


@pytest.mark.parametrize("code", [4013, 4014, 4003, 1008])
def test_a_seat_that_is_refused_is_the_end(make: Callable[..., Player], code: int) -> None:
    player = make()
    player.lose()
    player.connect_again()
    assert player.lose(code, "join anew") == [Disconnected(code, "join anew")]
    assert (player.session.joined, player.session.reconnecting) == (False, False)
    assert player.pump(60.0) == []
    assert len(player.place.connections) == 2


@pytest.mark.parametrize("code", [1001, 1006, 1012, 1013])
def test_a_server_that_cannot_now_is_asked_again(make: Callable[..., Player], code: int) -> None:
    player = make()
    player.lose()
    player.connect_again()
    assert player.lose(code, "later") == []
    player.come_back(behind=(frame(5, 4),))
    assert [type(event).__name__ for event in player.events] == ["Returned", "FrameApplied"]


@pytest.mark.parametrize(("status", "again"), [("503 Busy", True), ("429 Slow", True), ("404 Gone", False)])
def test_http_answers_while_coming_back(make: Callable[..., Player], status: str, again: bool) -> None:
    player = make()
    player.lose()
    while len(player.place.connections) == 1:
        player.pump(0.05)
    refusing = player.place.newest
    refusing.sock.recv(4096)
    refusing.sock.sendall(f"HTTP/1.1 {status}\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n".encode())
    began = player.clock.now
    events = player.pump()
    if again:
        assert events == []
        player.come_back()
        assert player.session.connected
        assert player.clock.now >= began + 3.0
    else:
        (end,) = events
        assert isinstance(end, Disconnected)
        assert "404" in end.reason


def test_a_restart_is_waited_for_as_the_server_says(make: Callable[..., Player]) -> None:
    player = make()
    player.lose(1012, "the server restarts; reconnect in 6.0 s")
    player.pump(5.9)
    assert len(player.place.connections) == 1
    player.come_back()
    assert player.session.connected


def test_a_restart_that_takes_longer_than_the_seat_is_kept_is_told(make: Callable[..., Player]) -> None:
    (end,) = make().lose(1012, "the server restarts; reconnect in 40.0 s")
    assert isinstance(end, Disconnected)
    assert end.reconnect_seconds == 40.0


def test_the_same_is_told_of_an_attempt(make: Callable[..., Player]) -> None:
    player = make()
    player.lose()
    player.connect_again()
    (end,) = player.lose(1013, "too many; reconnect in 60.0 s")
    assert end == Disconnected(1013, "too many; reconnect in 60.0 s")
    assert end.reconnect_seconds == 60.0


def test_when_the_seats_time_is_over_it_says_so(make: Callable[..., Player]) -> None:
    player = make()
    began = player.clock.now
    player.lose()
    player.place.refusing = True
    while not (events := player.pump(0.1)):
        assert player.clock.now < began + 31
    assert events == [
        Disconnected(
            1006, "the server vanished; there was no way back in the 30 s for which the seat is kept (nobody is there)"
        )
    ]
    assert player.clock.now > began + 25


def test_an_attempt_that_is_not_answered_is_given_up(make: Callable[..., Player]) -> None:
    player = make()
    player.lose()
    player.connect_again()
    for _ in range(60):
        player.pump(0.1)
    assert len(player.place.connections) > 2


@pytest.mark.parametrize(
    "answer",
    [
        SEATED.encode(),
        FULL,
        encode_message("x", 0),
        encode_reply(1, None),
        pack([Kind.RETURNED, {"player": 7}]),
        Returned(player=8, tick=5, seat="x").encode(),
    ],
)
def test_another_answer_than_the_seat_is_an_error(make: Callable[..., Player], answer: bytes) -> None:
    player = make()
    player.lose()
    player.connect_again()
    (end,) = player.tell(answer)
    assert isinstance(end, Disconnected)
    assert end.code in (CloseCode.PROTOCOL_ERROR, CloseCode.UNDECODABLE)


def test_a_seat_of_somebody_who_has_the_world_elsewhere(make: Callable[..., Player]) -> None:
    player = make(seat="reserved?", joined=False)
    assert player.hello["seat"] == "reserved?"
    (end,) = player.tell(Returned(player=7, tick=5, seat="x").encode())
    assert isinstance(end, Disconnected)
    assert "join without seat=" in end.reason


# -- silence -----------------------------------------------------------------------------------------------------------


def test_a_server_that_says_nothing_any_more_is_noticed(make: Callable[..., Player]) -> None:
    player = make()
    began = player.clock.now
    while not player.pump(0.05):
        assert player.clock.now < began + 4
    assert player.events == [Dropped(1006, "nothing came for 3 s", 30.0)]
    assert player.clock.now == pytest.approx(began + 3.0, abs=0.1)
    player.come_back()
    for _ in range(50):
        player.pump(0.05)
    assert player.session.connected  # the patience begins anew
    for _ in range(50):
        player.pump(0.05)
    assert player.session.reconnecting


def test_a_hidden_window_is_no_silence(make: Callable[..., Player]) -> None:
    """What has come meanwhile is read first, and a server that waited for us has a moment to answer."""
    player = make()
    player.place.newest.tell(frame(2, 1))
    assert [type(event) for event in player.pump(3600.0)] == [FrameApplied]
    assert player.pump(3600.0) == []
    assert player.pump(0.5) == []
    player.tell(frame(3, 1))
    assert player.session.connected


def test_a_hidden_window_whose_connection_ended_comes_back(make: Callable[..., Player]) -> None:
    player = make()
    player.place.newest.tell(frame(2, 1), encode_message("x", 1))
    player.place.newest.sock.close()
    assert [type(event).__name__ for event in player.pump(20.0)] == ["FrameApplied", "MessageReceived"]
    assert [type(event).__name__ for event in player.pump(0.02)] == ["Dropped"]
    assert player.come_back()["tick"] == 2


@pytest.mark.parametrize(
    "welcome",
    [
        structs.replace(SEATED, tick_rate=0.0),
        structs.replace(SEATED, tick_rate=0.1),
        structs.replace(WELCOME, tick_rate=0.0),
    ],
)
def test_a_room_that_may_be_silent_is_not_suspected(make: Callable[..., Player], welcome: Welcome) -> None:
    player = make(welcome)
    for _ in range(100):
        assert player.pump(1.0) == []
    assert player.session.connected


def test_without_a_seat_there_is_more_patience(make: Callable[..., Player]) -> None:
    player = make(WELCOME)
    began = player.clock.now
    while not player.pump(0.05):
        assert player.clock.now < began + 16
    assert player.events == [Disconnected(1006, "nothing came for 15 s")]


def test_a_large_frame_on_a_slow_network_is_no_silence(make: Callable[..., Player]) -> None:
    player = make()
    data = binary_frame(encode_message("big", bytes(100)))
    for at in range(len(data)):
        player.place.newest.sock.sendall(data[at : at + 1])
        player.pump(2.0)
    assert player.events == [MessageReceived("big", bytes(100))]


# -- watching, and rooms that tick when something happens --------------------------------------------------------------


def test_spectators_watch(make: Callable[..., Player]) -> None:
    player = make(structs.replace(WELCOME, spectator=True), spectate=True)
    assert player.hello["spectate"] is True
    assert player.session.spectator
    with pytest.raises(InputError, match="spectators only watch"):
        player.session.send_input(fire=True)
    player.tell(frame(2, 1))
    assert [message[:2] for message in player.place.newest.heard()] == [[Kind.ACKNOWLEDGE, 2]]


def test_a_spectators_first_frame_may_take_long(make: Callable[..., Player]) -> None:
    player = make(spectate=True, joined=False)
    player.tell(structs.replace(WELCOME, spectator=True).encode())
    for _ in range(60):
        assert player.pump(1.0) == []
    player.tell(frame(3, 0))
    assert player.session.joined


def test_inputs_of_a_room_without_a_rate_go_sixty_times_a_second(make: Callable[..., Player]) -> None:
    player = make(structs.replace(WELCOME, tick_rate=0.0))
    assert player.session.tick_rate == 0.0
    for step in range(1000):
        player.session.send_input(fire=True)
        player.clock.now += 0.001
        if step % 10 == 0:
            player.tell(frame(player.session.tick + 1, 1, timing=(player.session.stats.inputs_sent, None, None, None)))
    assert 57 <= player.session.stats.inputs_sent <= 62
