"""A session against a server of bytes, in virtual time: what the real server never does, and exact times."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import ANY

import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

import gameclient
from gameclient import CloseCode, Disconnected, FrameApplied, InputError, Joined, MessageReceived, Session
from gameprotocol import (
    InputField,
    InputSchema,
    Kind,
    Schema,
    TableSchema,
    Welcome,
    encode_message,
    pack,
    unpack_from_client,
)
from gameprotocol._fields import Uint
from gameprotocol._websocket import OddFrame, binary_frame, parse_close
from tests.unit.test_gameclient_link import RawServer

SCHEMA = Schema(
    tables=(TableSchema(name="Thing", fields=(Uint(name="n", bits=8),)),),
    input=InputSchema(name="Steer", fields=(InputField(name="fire", type="bool", default=False),)),
)
WELCOME = Welcome(room="r", room_id="1", player=7, tick=1, tick_rate=20.0, schema=SCHEMA.to_wire())
NO_TIMING = (0, None, None, None)
PERIOD = 0.05


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0  # microseconds of this do not fit in 32 bits

    def __call__(self) -> float:
        return self.now


def frame(tick: int, back: int, *chunks: Any, timing: Any = NO_TIMING, hash: int | None = None) -> bytes:
    """A frame message; chunks as SPEC.md has them."""
    return pack([Kind.FRAME, [tick, back, *timing], hash, *chunks])


class Room(RawServer):
    """The server's side of one session."""

    def __init__(self, welcome: Welcome = WELCOME) -> None:
        super().__init__()
        self.welcome = welcome
        self.clock = Clock()
        self.session = Session(self, name="Ada", options={"team": 1}, clock=self.clock)
        self.session.pump()
        self.accept()
        self.session.pump()
        self.hello = self.messages()[0]

    def tell(self, *payloads: bytes) -> list[Any]:
        """Send messages; the events that they make."""
        self.sock.sendall(b"".join(binary_frame(payload) for payload in payloads))
        return self.session.pump()

    def join(self) -> None:
        self.tell(self.welcome.encode(), frame(1, 0, [0, None, None, [[b"\1\1"], 5]]))
        self.messages()

    def messages(self) -> list[Any]:
        """What the session has sent, decoded; the code of a Close frame."""
        if not select.select([self.sock], [], [], 0)[0]:
            return []
        return [
            parse_close(item.payload())[0] if isinstance(item, OddFrame) else unpack_from_client(item)
            for item in self.read()
        ]


@contextmanager
def played(room: Room) -> Iterator[Room]:
    try:
        yield room
    finally:
        room.session.close()
        room.sock.close()
        room.theirs.close()


@pytest.fixture
def room() -> Iterator[Room]:
    with played(Room()) as room:
        yield room


def test_the_first_message_is_a_hello(room: Room) -> None:
    kind, hello = room.hello
    assert kind == Kind.HELLO
    assert (hello["name"], hello["options"], hello["token"]) == ("Ada", {"team": 1}, None)
    assert hello["client"].startswith("tickwire-python")


def test_joined_is_told_with_the_first_frame(room: Room) -> None:
    assert room.tell(WELCOME.encode()) == []
    assert not room.session.joined
    events = room.tell(encode_message("hi", 1), frame(3, 0, [0, None, None, [[b"\1\1"], 5]]), encode_message("ho", 2))
    assert events[:2] == [Joined(7, "r", "1", 3), MessageReceived("hi", 1)]
    assert isinstance(events[2], FrameApplied)
    assert (events[2].tick, events[2].full, [row.n for row in events[2].spawned("Thing")]) == (3, True, [5, 5])
    assert events[3] == MessageReceived("ho", 2)


def test_messages_before_an_early_end_are_told(room: Room) -> None:
    room.tell(WELCOME.encode(), encode_message("sorry", None))
    room.sock.close()
    assert room.session.pump() == [MessageReceived("sorry", None), Disconnected(1006, "the server vanished")]


def test_kinds_from_the_future_are_skipped(room: Room) -> None:
    room.join()
    (event,) = room.tell(pack([99, "?"]), pack(["text"]), encode_message("x", 0))
    assert event == MessageReceived("x", 0)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\xc1", CloseCode.UNDECODABLE),
        (pack({}), CloseCode.UNDECODABLE),
        (pack([Kind.MESSAGE, 1, 2]), CloseCode.UNDECODABLE),
        (pack([Kind.FRAME]), CloseCode.UNDECODABLE),
        (WELCOME.encode(), CloseCode.PROTOCOL_ERROR),
        (frame(9, 0, [5, None, None, None]), CloseCode.UNDECODABLE),
    ],
)
def test_nonsense_ends_the_connection(room: Room, payload: bytes, code: CloseCode) -> None:
    room.join()
    events = room.tell(payload, encode_message("behind", 0))
    assert [event.code for event in events if isinstance(event, Disconnected)] == [code]
    assert len(events) == 1
    assert room.messages()[-1] == code


@pytest.mark.parametrize("payload", [frame(1, 0), pack([Kind.WELCOME]), pack([Kind.WELCOME, {"room": 5}])])
def test_nonsense_in_place_of_a_welcome_ends_it(room: Room, payload: bytes) -> None:
    (event,) = room.tell(payload)
    assert isinstance(event, Disconnected)


def test_a_frame_without_its_baseline_asks_for_a_full_one_once(room: Room) -> None:
    room.join()
    assert room.tell(frame(5, 1), frame(6, 1)) == []
    assert [message[0] for message in room.messages()] == [Kind.RESYNC]
    (event,) = room.tell(frame(7, 0, [0, None, None, [[b"\2"], 9]]))
    assert isinstance(event, FrameApplied)
    assert ([row.id for row in event.spawned()], [row.id for row in event.despawned()]) == ([], [1])
    assert [row.n for row in room.session.world["Thing"]] == [9]
    assert (room.session.stats.frames, room.session.stats.frames_skipped) == (2, 2)


def test_a_malformed_delta_asks_for_a_full_frame(room: Room) -> None:
    room.join()
    assert room.tell(frame(2, 1, [0, None, [b"\x63"], None])) == []
    assert room.tell(frame(3, 1)) == []
    assert room.messages()[0][0] == Kind.RESYNC
    assert len(room.tell(frame(4, 0))) == 1


def test_a_wrong_hash_is_counted_and_reported(room: Room) -> None:
    room.join()
    found = room.session.world.hash()
    digests = room.session.world.digests()
    change = [0, None, None, None, [None, 0, 6]]
    room.tell(frame(2, 1, hash=found ^ 1), frame(3, 1, change, hash=found ^ 1))
    assert room.messages() == [[Kind.RESYNC, 2, found ^ 1, found, digests], [Kind.ACKNOWLEDGE, 3, ANY]]
    assert (room.session.stats.desyncs, room.session.stats.hashes_checked) == (2, 2)


def test_digests_that_the_server_would_not_take_are_left_out() -> None:
    with played(Room(structs.replace(WELCOME, message_bytes=200))) as room:
        room.join()
        found = room.session.world.hash()
        room.tell(frame(2, 1, hash=found ^ 1))
        assert room.messages()[0] == [Kind.RESYNC, 2, found ^ 1, found]


def test_the_round_trip_leaves_out_what_the_server_waited(room: Room) -> None:
    room.join()
    room.session.send_input(fire=True)
    (_, (sequence, tick, acknowledged, client_time), values) = room.messages()[-1]
    assert (sequence, tick, acknowledged, values) == (1, 0, 1, [True])
    room.clock.now += 0.080
    room.tell(frame(2, 1, timing=(1, -3, client_time, 50_000)))
    stats = room.session.stats
    assert room.session.rtt == pytest.approx(0.030, abs=1e-5)
    assert (stats.input_margin, stats.inputs_applied, stats.frame_age) == (-0.003, 1, 0.0)
    room.tell(frame(3, 1, timing=(1, 2, client_time, 70_000)))
    assert room.session.rtt == pytest.approx(0.030 - 0.020 / 12, abs=1e-5)
    assert room.session.stats.rtt_shortest == pytest.approx(0.010, abs=1e-5)


def test_a_pump_without_news_acknowledges_nothing(room: Room) -> None:
    room.join()
    room.tell(frame(2, 1))
    room.session.pump()
    room.session.pump()
    assert [message[:2] for message in room.messages()] == [[Kind.ACKNOWLEDGE, 2]]


# -- acknowledging -----------------------------------------------------------------------------------------------------


def kinds(messages: list[Any]) -> list[tuple[int, int]]:
    """Kind of each message, and the tick that it acknowledges."""
    return [(message[0], message[1][2] if message[0] == Kind.INPUT else message[1]) for message in messages]


def test_frames_that_came_together_are_applied_in_order_and_acknowledged_once(room: Room) -> None:
    room.join()
    add = [0, None, None, None, [None, 0, [b"\1\1"]]]
    events = room.tell(*(frame(tick, 1, add) for tick in range(2, 102)))
    assert [event.tick for event in events] == [*range(2, 102)]
    assert [row.n for row in room.session.world["Thing"]] == [105, 105]
    assert kinds(room.messages()) == [(Kind.ACKNOWLEDGE, 101)]


def test_who_stops_pumping_stops_acknowledging(room: Room) -> None:
    room.join()
    room.sock.sendall(b"".join(binary_frame(frame(tick, 1)) for tick in range(2, 9)))
    room.clock.now += 60
    room.session.acknowledge()
    room.session.send_input(fire=True)  # says what is held, not what has come
    assert kinds(room.messages()) == [(Kind.INPUT, 1)]
    room.clock.now += 2 * PERIOD
    room.session.pump()
    assert kinds(room.messages()) == [(Kind.ACKNOWLEDGE, 8)]


def test_what_was_not_applied_is_not_acknowledged(room: Room) -> None:
    room.join()
    room.tell(frame(5, 1))
    room.session.send_input()
    assert kinds(room.messages()) == [(Kind.RESYNC, 1), (Kind.INPUT, 1)]
    room.tell(frame(6, 1))
    assert room.messages() == []
    room.tell(frame(7, 0))
    room.clock.now += PERIOD
    room.session.send_input()
    assert kinds(room.messages()) == [(Kind.INPUT, 7)]


def test_without_inputs_each_frame_is_acknowledged_when_it_is_applied() -> None:
    nothing_to_do = structs.replace(WELCOME, schema={**SCHEMA.to_wire(), "input": None})
    with played(Room(nothing_to_do)) as room:
        room.join()
        for tick in range(2, 12):
            room.tell(frame(tick, 1))
            assert kinds(room.messages()) == [(Kind.ACKNOWLEDGE, tick)]
            room.clock.now += PERIOD


def test_who_sends_inputs_all_the_time_sends_nothing_else(room: Room) -> None:
    room.join()
    for tick in range(2, 22):
        room.session.send_input(fire=True)
        room.clock.now += 0.2 * PERIOD
        room.tell(frame(tick, 1, timing=(tick - 1, None, None, None)))
        for _ in range(2):  # a frame loop that runs three times as fast
            room.clock.now += 0.4 * PERIOD
            room.session.pump()
    assert kinds(room.messages()) == [(Kind.INPUT, tick) for tick in range(1, 21)]


def test_after_the_last_input_frames_are_acknowledged_by_themselves(room: Room) -> None:
    room.join()
    for sequence in range(1, 4):
        room.session.send_input(fire=True)
        room.clock.now += PERIOD
        room.tell(frame(1 + sequence, 1, timing=(sequence, None, None, None)))
    assert kinds(room.messages()) == [(Kind.INPUT, tick) for tick in (1, 2, 3)]
    room.clock.now += 0.6 * PERIOD  # one and a half periods after the last input, and no frame has come
    room.session.pump()
    assert kinds(room.messages()) == [(Kind.ACKNOWLEDGE, 4)]


def test_who_sends_an_input_now_and_then_acknowledges_at_once(room: Room) -> None:
    room.join()
    tick = 1
    for sequence in range(1, 6):
        room.session.send_input(fire=True)
        room.messages()
        for at in range(4):
            room.clock.now += PERIOD
            tick += 1
            room.tell(frame(tick, 1, timing=(sequence, None, None, None)))
            if sequence > 1 or at > 0:
                assert kinds(room.messages()) == [(Kind.ACKNOWLEDGE, tick)]


def test_merged_ticks_the_window_and_the_age_of_the_state_are_counted(room: Room) -> None:
    room.join()
    stats = room.session.stats
    assert (stats.coalesced_ticks, stats.window_ticks, stats.state_age) == (0, 0, None)
    room.session.send_input(fire=True)
    client_time = room.messages()[-1][1][3]
    room.clock.now += 0.080
    room.tell(frame(2, 1, timing=(1, -3, client_time, 20_000, 4)), frame(7, 5, timing=(1, None, None, None, 3)))
    room.clock.now += 0.010
    stats = room.session.stats
    assert (stats.coalesced_ticks, stats.window_ticks) == (4, 3)
    assert stats.frame_age == pytest.approx(0.010, abs=1e-6)
    assert stats.state_age == pytest.approx(0.010 + 0.060 / 2, abs=1e-5)
    room.tell(frame(90, 0))
    assert room.session.stats.coalesced_ticks == 4


# -- private fields ----------------------------------------------------------------------------------------------------


PRIVATE = structs.replace(
    WELCOME,
    schema=Schema(
        tables=(*SCHEMA.tables, TableSchema(name="Thing@owner", fields=(Uint(name="ammo", bits=8),), of=0)),
        input=SCHEMA.input,
    ).to_wire(),
)


def test_private_fields_are_told_as_changes_of_their_rows() -> None:
    with played(Room(PRIVATE)) as room:
        told: list[tuple[str, int, int | None]] = []
        room.session.on_spawned()(lambda row: told.append(("spawned", row.id, row.ammo)))
        room.session.on_changed()(lambda row: told.append(("changed", row.id, row.ammo)))
        room.session.on_despawned("Thing")(lambda row: told.append(("despawned", row.id, row.ammo)))
        room.tell(PRIVATE.encode(), frame(1, 0, [0, None, None, [[b"\1\1"], 5]], [1, None, None, [[b"\1"], 9]]))
        assert told == [("spawned", 1, 9), ("spawned", 2, None)]
        told.clear()
        (event,) = room.tell(frame(2, 1, [1, None, None, None, [None, 0, 8]]))
        assert [row.ammo for row in event.changed("Thing")] == [8]
        room.tell(frame(3, 1, [1, None, [b"\1"], None]))
        room.tell(frame(4, 1, [1, None, None, [[b"\2"], 7]]))
        room.tell(frame(5, 1, [1, None, [b"\2"], None], [0, None, [b"\2"], None]))
        assert told == [("changed", 1, 8), ("changed", 1, None), ("changed", 2, 7), ("despawned", 2, 7)]


def test_who_begins_to_wait_in_a_callback_is_told_once_of_each_row() -> None:
    with played(Room()) as room:
        room.join()
        room.tell(frame(2, 1, [0, None, None, [[b"\1\1"], 5]]))
        told: list[int] = []
        room.session.on_despawned()(lambda row: room.session.on_spawned()(lambda row: told.append(row.id)))
        room.tell(frame(3, 1, [0, None, [b"\1"], [[b"\3"], 6]]))
        assert sorted(told) == [row.id for row in room.session.world["Thing"]]


def test_callbacks_wait_for_entity_types_and_not_for_companions() -> None:
    with played(Room(PRIVATE)) as room:
        room.join()
        room.tell(frame(2, 1, [1, None, None, [[b"\1"], 9]]))
        seen: list[str] = []
        room.session.on_spawned()(lambda row: seen.append(repr(row)))
        assert seen == ["<Thing 1: n=5, ammo=9>", "<Thing 2: n=5>"]
        with pytest.raises(KeyError, match="no entity type 'Thing@owner' in this room; it has Thing"):
            room.session.on_changed("Thing@owner")


def test_before_there_is_a_world_nothing_is_known(room: Room) -> None:
    assert len(room.session.world["Thing"].known("ammo")) == 0


# -- when the network is slow ------------------------------------------------------------------------------------------


def test_inputs_merge_while_the_network_is_stuck(room: Room) -> None:
    room.join()
    sent = 0
    while not room.session._link.wants_write:
        assert room.session.send("fill", bytes(1000))
        sent += 1
    room.session.send_input(fire=True)
    room.clock.now += 0.1
    room.session.send_input(fire=False)
    assert room.session.stats.inputs_sent == 0
    received: list[Any] = []
    while len(received) < sent + 1:
        received += room.messages()
        room.clock.now += 0.1
        room.session.pump()
        room.session.pump()
    assert [message[0] for message in received].count(Kind.INPUT) == 1
    assert received[-1][2] == [True]


def test_a_room_that_does_not_let_us_in_is_given_up(room: Room) -> None:
    room.clock.now += 10.5
    (event,) = room.session.pump()
    assert event == Disconnected(1006, "not joined within 10 s: the room did not let this player in")


def test_input_errors_come_before_anything_is_sent(room: Room) -> None:
    room.session.send_input(anything=1)
    room.join()
    with pytest.raises(InputError, match="no field 'anything'; it has fire"):
        room.session.send_input(anything=1)
    assert room.session.stats.inputs_sent == 0


async def test_leaving_is_bounded_when_nobody_answers(autojump_clock: MockClock) -> None:
    server = RawServer()

    async def let_in() -> None:
        await trio.lowlevel.wait_readable(server.sock)
        server.accept(binary_frame(WELCOME.encode()) + binary_frame(frame(1, 0)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_in)
        async with gameclient.connect(server) as session:
            before = trio.current_time()
        assert trio.current_time() - before == pytest.approx(0.5, abs=0.01)
    assert session.fileno() == -1
    server.sock.close()


async def test_a_trio_program_acknowledges_what_it_does_not_answer(autojump_clock: MockClock) -> None:
    """The server sends nothing more before that, so nothing that comes may be waited for."""
    server = RawServer()
    acknowledged: list[tuple[int, int, float]] = []

    async def serve() -> None:
        await trio.lowlevel.wait_readable(server.sock)
        server.accept(binary_frame(WELCOME.encode()) + binary_frame(frame(1, 0)))
        tick = 1
        while len(acknowledged) < 6:
            await trio.lowlevel.wait_readable(server.sock)
            items = [unpack_from_client(payload) for payload in server.read()]
            found = [said for said in kinds(items) if said[0] in (Kind.INPUT, Kind.ACKNOWLEDGE)]
            acknowledged.extend((*said, round(trio.current_time() - start, 3)) for said in found)
            if found and found[-1][1] == tick:
                await trio.sleep(PERIOD)
                tick += 1
                server.sock.sendall(binary_frame(frame(tick, 1, timing=(min(tick - 1, 3), None, None, None))))

    start = trio.current_time()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with gameclient.connect(server) as session:
                for _ in range(3):
                    session.send_input(fire=True)
                    await session.next_frame()
                while session.tick < 5:
                    await session.next_frame()
                await trio.sleep(PERIOD)
    server.sock.close()
    assert [said[:2] for said in acknowledged] == [
        (Kind.ACKNOWLEDGE, 1),
        (Kind.INPUT, 1),
        (Kind.INPUT, 2),
        (Kind.INPUT, 3),
        (Kind.ACKNOWLEDGE, 4),
        (Kind.ACKNOWLEDGE, 5),
    ]
    # The frame of tick 4 came a period after the last input and is not answered: half a period later it is said.
    _, _, _, last_input, next_one, last_one = (at for _, _, at in acknowledged)
    assert next_one - last_input == pytest.approx(1.5 * PERIOD, abs=0.002)
    assert last_one - next_one == pytest.approx(PERIOD, abs=0.002)


async def test_what_the_kernel_had_no_room_for_leaves_by_itself(autojump_clock: MockClock) -> None:
    server = RawServer()

    async def let_in() -> None:
        await trio.lowlevel.wait_readable(server.sock)
        server.accept(binary_frame(WELCOME.encode()) + binary_frame(frame(1, 0)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_in)
        async with gameclient.connect(server) as session:
            sent = 0
            while not session._link.wants_write:
                session.send("fill", bytes(1000))
                sent += 1
            received: list[Any] = []
            while len(received) < sent + 2:  # and a hello, and an acknowledgement
                await trio.lowlevel.wait_readable(server.sock)
                received += server.read()
            assert not session._link.wants_write
            server.sock.close()
