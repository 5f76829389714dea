"""Bots: what they decide, what they count, and that they notice a world that is not the server's."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gamebots.bots import Bot, Decision, RandomBot
from gamebots.connection import BotConnection
from gamebots.summary import make_report, percentiles_ms, report_text
from gamebots.swarm import SLICES, _Slices
from gameclient import InputError
from gameprotocol import InputField, InputSchema, Kind, Replica, Schema, Welcome, encode_input, pack
from gameprotocol import _messages as messages
from gameserver import Entity, Input, Meta, Room, fixed, uint
from gameserver.rooms.inputs import InputCodec
from gameserver.sync.viewer import NOTHING
from gameserver.world.publish import PublishedWorld
from tests.support.mirror import make_frames, viewer_at


class Keys(Input):
    jump: bool = False
    speed: Annotated[int, Meta(ge=-3, le=7)] = 0
    aim: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    free: float = 0.0
    word: Annotated[str, Meta(max_length=4)] = "go"


class Thing(Entity):
    x = fixed(0, 100, step=1)
    hp = uint(8)


class Yard(Room):
    entities = (Thing,)
    input = Keys


class FakeLink:
    """A link that is open, gives what it is given, and keeps what is written."""

    def __init__(self) -> None:
        self.incoming: list[bytes] = []
        self.written: list[Any] = []
        self.closed = False
        self.close_code = 0
        self.bytes_in = self.bytes_out = 0

    def receive(self) -> list[bytes]:
        incoming, self.incoming = self.incoming, []
        return incoming

    def write(self, payload: bytes) -> bool:
        self.written.append(msgpack.unpackb(payload))
        return True

    def taken(self) -> list[Any]:
        """What was written since this was asked last."""
        written, self.written = self.written, []
        return written

    def close(self, code: int, reason: str) -> None:
        self.closed, self.close_code = True, code


class Game:
    """A yard, and one bot in it."""

    def __init__(self, holds_replica: bool = True) -> None:
        self.room = Yard("yard")
        self.published = PublishedWorld(self.room.world)
        self.frames = make_frames(self.published, self.room.world, hash_ticks=1)
        self.link = FakeLink()
        self.bot = BotConnection(self.link, 0, holds_replica)  # type: ignore[arg-type]
        welcome = Welcome(room="yard", room_id="1", player=1, tick=0, tick_rate=20, schema=self.room.schema().to_wire())
        self.link.incoming.append(welcome.encode())
        self.tick = 0

    def frame(self, baseline: int, sequence: int = 0) -> bytes:
        self.tick += 1
        self.room.world.begin_step(self.tick)
        self.published.publish(self.tick)
        self.frames.begin_tick()
        body = self.frames.body(viewer_at(baseline))
        return body.untimed_head + messages.frame_untimed(sequence, 0) + body.rest


@given(st.integers(0, 1 << 30))
def test_random_bots_send_what_the_room_takes(seed: int) -> None:
    codec = InputCodec(Keys)
    bot = RandomBot(Yard("yard").schema(), 1, seed)
    for sequence in range(1, 30):
        codec.decode(encode_input(sequence, 0, 0, 0, bot.next_input(None)))


@given(st.floats(-1e6, 1e6) | st.none(), st.floats(-1e6, 1e6) | st.none(), st.integers(0, 1 << 30))
def test_random_keys_keep_to_bounds(low: float | None, high: float | None, seed: int) -> None:
    if low is not None and high is not None:
        low, high = min(low, high), max(low, high)
    field = InputField(name="aim", type="float", default=0.0, low=low, high=high)
    bot = RandomBot(Schema(tables=(), input=InputSchema(name="Aim", fields=(field,))), 1, seed)
    (value,) = bot.next_input(None)
    assert low is None or value >= low
    assert high is None or value <= high


class Told(Bot):
    """Decides what it is told to."""

    decision: Any = None
    asked = 0

    def on_frame(self, world: Replica) -> Decision:
        self.asked += 1
        return self.decision

    def without_world(self) -> Decision:
        return self.on_frame(Replica(self.schema))


def decide(decision: Any) -> list[Any]:
    """What the server reads of one decision."""
    bot = Told(Yard("yard").schema(), 1, 0)
    bot.decision = decision
    values = InputCodec(Keys).decode(encode_input(1, 0, 0, 0, bot.next_input(None))).values
    return [values.jump, values.speed, values.aim, values.free, values.word]


@pytest.mark.parametrize(
    ("decision", "values"),
    [
        (None, [False, 0, 0.0, 0.0, "go"]),
        ({}, [False, 0, 0.0, 0.0, "go"]),
        ([], [False, 0, 0.0, 0.0, "go"]),
        ({"aim": -1, "jump": True}, [True, 0, -1.0, 0.0, "go"]),
        ((True, 7), [True, 7, 0.0, 0.0, "go"]),
        ({"word": "stop", "free": 1e300}, [False, 0, 0.0, 1e300, "stop"]),
        ({"speed": np.int64(3), "aim": np.float32(0.5), "jump": np.bool_(True)}, [True, 3, 0.5, 0.0, "go"]),
        (MappingProxyType({"speed": -3}), [False, -3, 0.0, 0.0, "go"]),
    ],
)
def test_decisions_are_completed(decision: Any, values: list[Any]) -> None:
    assert decide(decision) == values


@pytest.mark.parametrize(
    ("decision", "complaint"),
    [
        ({"jmp": True}, r"Told: Keys has no field 'jmp'; it has jump, speed, .*did you mean 'jump'"),
        ({"aim": 1.5}, r"Told: Keys\.aim takes -1 to 1, not 1\.5: clamp it"),
        ({"aim": float("nan")}, r"Keys\.aim takes finite"),
        ({"free": float("inf")}, r"Keys\.free takes finite"),
        ({"jump": 1}, r"Keys\.jump takes bool, not int \(1\): write bool"),
        ({"speed": 1.0}, r"Keys\.speed takes int, not float"),
        ({"speed": True}, r"Keys\.speed takes int, not bool"),
        ({"speed": np.int64(8)}, r"Keys\.speed takes -3 to 7, not 8"),
        ({"word": "hello"}, r"Keys\.word takes at most 4 characters, not 5"),
        ({"word": None}, r"Keys\.word takes str, not NoneType"),
        ([False] * 6, r"Told: 6 values for Keys, which has 5 fields \(jump, speed"),
        ("jump", r"a decision is a dict of Keys's fields.*not str"),
        (7, "not int"),
    ],
)
def test_what_the_room_does_not_take_is_told_with_class_field_and_cure(decision: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        decide(decision)


def test_a_bot_decides_each_fourth_time_and_others_at_other_times() -> None:
    world = Replica(Yard("yard").schema())
    decided = []
    for seed in range(5):
        bot = Told(world.schema, 1, seed)
        bot.decision = {"speed": 2}
        world.tick = 0
        assert bot.next_input(world) == [False, 0, 0.0, 0.0, "go"]  # nothing is known yet
        world.tick, before = 5, bot.asked
        counts = []
        for _ in range(9):
            assert bot.next_input(world)[1] == 2
            counts.append(bot.asked - before)
        assert counts[0] == 1
        assert counts[-1] >= 3
        decided.append(tuple(counts))
    assert len(set(decided)) == 4


def test_a_bot_without_decisions_and_a_room_without_inputs() -> None:
    world = Replica(Schema(tables=()))
    world.tick = 1
    for bot in (Bot(world.schema, 1, 0), RandomBot(world.schema, 1, 0)):
        assert bot.next_input(world) == bot.next_input(None) == []


def test_messages_wait_until_they_are_taken_and_bad_ones_raise_at_once() -> None:
    bot = Bot(Yard("yard").schema(), 1, 0)
    bot.send("chat", "hi")
    bot.send("ready")
    with pytest.raises(TypeError):
        bot.send("chat", object())
    with pytest.raises(ValueError, match="longer"):
        bot.send("x" * 65)
    assert bot.take_sent() == [("chat", "hi"), ("ready", None)]
    assert bot.take_sent() == []


def test_a_bot_plays_and_measures_from_input_to_applied_frame() -> None:
    game = Game()
    game.link.incoming.append(game.frame(NOTHING))
    game.bot.receive(now=10.0)
    assert game.bot.joined
    game.bot.send_input(now=10.0)
    game.bot.send_input(now=10.05)
    assert [message[1][0] for message in game.link.taken() if message[0] == Kind.INPUT] == [1, 2]
    game.link.incoming.append(game.frame(1, sequence=1))
    game.bot.receive(now=10.07)
    game.link.incoming.append(game.frame(2, sequence=2))
    game.bot.receive(now=10.10)
    assert game.bot.latencies == pytest.approx([0.07, 0.05])
    assert (game.bot.frames, game.bot.tick) == (3, 3)
    assert game.bot.replica is not None
    assert (game.bot.replica.desyncs, game.bot.replica.hashes_checked) == (0, 3)


def test_a_bot_without_replica_reads_headers_alone() -> None:
    game = Game(holds_replica=False)
    game.link.incoming += [game.frame(NOTHING), game.frame(1), pack([Kind.MESSAGE, "hi", None]), pack([99])]
    game.bot.receive(now=0.0)
    assert game.bot.replica is None
    assert (game.bot.frames, game.bot.tick, game.bot.messages) == (2, 2, 1)


def test_a_world_that_differs_is_counted_reported_and_repaired() -> None:
    game = Game()
    thing = game.room.world.spawn(Thing, x=5, hp=6)
    game.link.incoming.append(game.frame(NOTHING))
    game.bot.receive(now=0.0)
    replica = game.bot.replica
    assert replica is not None
    replica[Thing].integers[2, thing.id] = 7
    game.link.incoming.append(game.frame(1))
    game.bot.receive(now=0.0)
    assert replica.desyncs == 1
    (resync,) = [message for message in game.link.taken() if message[0] == Kind.RESYNC]
    assert resync == [Kind.RESYNC, 2, game.published.hash(), replica.hash(), replica.digests()]
    game.link.incoming += [game.frame(2), game.frame(3)]
    game.bot.receive(now=0.0)
    assert replica.desyncs == 3
    assert [message[0] for message in game.link.taken()] == [Kind.ACKNOWLEDGE]  # it has asked already
    game.link.incoming.append(game.frame(NOTHING))
    game.bot.receive(now=0.0)
    assert replica.desyncs == 3
    assert replica.hash() == game.published.hash()


def test_a_frame_that_does_not_fit_is_asked_for_once_and_not_acknowledged() -> None:
    game = Game()
    game.link.incoming += [game.frame(NOTHING), game.frame(1)]
    game.bot.receive(now=0.0)
    game.link.taken()
    game.frame(2)
    game.link.incoming += [game.frame(3), game.frame(4)]
    game.bot.receive(now=0.1)
    assert game.link.taken() == [[Kind.RESYNC, 2, 0, 0]]
    assert (game.bot.tick, game.bot.skipped_frames) == (2, 2)
    game.link.incoming.append(game.frame(NOTHING))
    game.bot.receive(now=0.2)
    assert [message[:2] for message in game.link.taken()] == [[Kind.ACKNOWLEDGE, game.tick]]


@pytest.mark.parametrize("holds_replica", [True, False])
def test_ticks_that_were_merged_are_counted(holds_replica: bool) -> None:
    game = Game(holds_replica)
    game.link.incoming.append(game.frame(NOTHING))
    for _ in range(3):
        game.frame(1)
    game.link.incoming += [game.frame(1), game.frame(5)]
    game.bot.receive(now=0.0)
    assert (game.bot.frames, game.bot.coalesced_ticks, game.bot.skipped_frames) == (3, 3, 0)


def test_a_bot_acknowledges_with_its_inputs_or_at_once() -> None:
    game = Game()
    told = [game.frame(NOTHING), *(game.frame(tick) for tick in range(1, 12))]

    def next_frame(now: float) -> list[tuple[int, int]]:
        """Kind and acknowledged tick of what the bot writes when it gets the next frame."""
        game.link.incoming.append(told.pop(0))
        game.bot.receive(now)
        return [(message[0], message[1]) for message in game.link.taken()]

    assert next_frame(0.0) == [(Kind.ACKNOWLEDGE, 1)]
    for number in range(3):  # an input a tick says it
        game.bot.send_input(0.01 + 0.05 * number)
        assert [message[1][2] for message in game.link.taken()] == [1 + number]
        assert next_frame(0.05 + 0.05 * number) == []
    assert next_frame(0.20) == [(Kind.ACKNOWLEDGE, 5)]  # no further one has come
    game.bot.send_input(0.41)  # its inputs are far apart now
    game.link.taken()
    assert next_frame(0.42) == [(Kind.ACKNOWLEDGE, 6)]


def test_a_bot_that_waits_for_answers_acknowledges_nevertheless() -> None:
    game = Game()
    game.link.incoming.append(game.frame(NOTHING))
    game.bot.receive(now=0.0)
    for number in range(3):
        game.bot.send_input(0.01 * number)
    game.link.taken()
    game.link.incoming.append(game.frame(1))
    game.bot.receive(now=0.03)
    game.bot.send_input(0.04)
    game.bot.send_input(0.05)
    assert [message[:2] for message in game.link.taken()] == [[Kind.ACKNOWLEDGE, 2]]


def test_a_malformed_frame_costs_the_connection() -> None:
    game = Game()
    game.link.incoming.append(pack([Kind.FRAME, [1, 0, 0], None, ["no chunk"]]))
    game.bot.receive(now=0.0)
    assert (game.link.closed, game.link.close_code) == (True, 1007)


def test_percentiles() -> None:
    assert percentiles_ms([]) == {"p50": None, "p99": None, "max": None}
    found = percentiles_ms([0.001 * n for n in range(1, 101)])
    assert found == {"p50": 50.5, "p99": 99.01, "max": 100.0}


class Counters:
    frames, bytes_in, bytes_out, coalesced_ticks, skipped_frames = 0, 0, 0, 0, 0


def test_a_busy_tool_says_so() -> None:
    def report(cpu_seconds: float) -> dict[str, Any]:
        later = Counters()
        later.frames, later.bytes_in, later.coalesced_ticks = 400, 8000, 7
        return make_report(
            url="ws://x", asked=2, connections=[Game().bot, Game().bot], disconnects={"refused": 1},
            before=Counters(), after=later, latencies=[0.05], seconds=10.0, cpu_seconds=cpu_seconds,  # type: ignore[arg-type]
        )  # fmt: skip

    calm, busy = report(2.0), report(9.9)
    assert (calm["frames_per_client_s"], calm["bytes_per_client_s"], calm["connected"]) == (20.0, 400.0, 2)
    assert (calm["coalesced_ticks"], calm["skipped_frames"]) == (7, 0)
    assert "7 ticks were merged" in report_text(calm)
    assert calm["warning"] is None
    assert busy["warning"]
    assert "this tool was the limit" in report_text(busy)
    assert "1 x refused" in report_text(calm)


async def test_slices_come_at_absolute_times_and_leave_out_what_was_missed(autojump_clock: MockClock) -> None:
    slices = _Slices(0.005, autojump_clock.current_time)
    indices = [await slices.next() for _ in range(25)]
    assert indices == [n % SLICES for n in range(1, 26)]
    assert autojump_clock.current_time() == pytest.approx(25 * 0.005)
    autojump_clock.jump(1.0)  # 200 slices: whole periods are left out, and the next slice is the next in turn
    assert await slices.next() == 26 % SLICES
    began = autojump_clock.current_time()
    for _ in range(SLICES):
        await slices.next()
    assert autojump_clock.current_time() - began <= SLICES * 0.005 + 1e-9
