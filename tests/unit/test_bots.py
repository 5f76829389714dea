"""Bots: what they decide, and what of it may travel."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamebots.bots import Bot, Decision, RandomBot
from gameclient import InputError
from gameprotocol import InputField, InputSchema, Replica, Schema, encode_input
from gameserver import Entity, Input, Meta, Room, fixed, uint
from gameserver.rooms.inputs import InputCodec


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
