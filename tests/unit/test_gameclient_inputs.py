"""Inputs on their way to the server: merged, checked, paced."""

from __future__ import annotations

import numpy as np
import pytest

from gameclient import InputError
from gameclient._inputs import InputPacer
from gameprotocol import InputField, InputSchema

PERIOD = 0.05
STEER = InputSchema(
    name="Steer",
    fields=(
        InputField(name="turn", type="float", default=0.0, low=-1.0, high=1.0),
        InputField(name="shoot", type="bool", default=False),
        InputField(name="slot", type="int", default=3, low=0.0),
        InputField(name="word", type="str", default="", max_length=4),
    ),
)


@pytest.fixture
def pacer() -> InputPacer:
    return InputPacer(STEER, PERIOD)


def send(pacer: InputPacer, now: float) -> list[object]:
    """Send what waits; its values."""
    _, values = pacer.peek()
    pacer.sent(now)
    return values


def test_fields_that_are_left_out_have_their_defaults(pacer: InputPacer) -> None:
    pacer.offer({"shoot": True})
    assert send(pacer, 0.0) == [0.0, True, 3, ""]
    pacer.offer({})
    assert send(pacer, 1.0) == [0.0, False, 3, ""]


def test_a_bool_that_was_true_once_stays_true(pacer: InputPacer) -> None:
    pacer.offer({"shoot": False})
    pacer.offer({"shoot": True})
    pacer.offer({"shoot": False})
    assert send(pacer, 0.0)[1] is True


def test_other_fields_take_the_latest_and_keep_what_is_not_named(pacer: InputPacer) -> None:
    pacer.offer({"turn": 0.5, "word": "a"})
    pacer.offer({"turn": -0.5})
    assert send(pacer, 0.0) == [-0.5, False, 3, "a"]


def test_a_bool_whose_default_is_true_can_be_false() -> None:
    pacer = InputPacer(InputSchema(name="I", fields=(InputField(name="on", type="bool", default=True),)), PERIOD)
    pacer.offer({"on": False})
    assert send(pacer, 0.0) == [False]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trun": 1}, "Steer has no field 'trun'; it has turn, shoot, slot, word"),
        ({"turn": "left"}, "Steer.turn takes float, not str"),
        ({"turn": 1.5}, "Steer.turn takes -1 to 1, not 1.5"),
        ({"turn": float("nan")}, "Steer.turn takes finite numbers"),
        ({"shoot": 1}, "Steer.shoot takes bool, not int"),
        ({"slot": True}, "Steer.slot takes int, not bool"),
        ({"slot": -1}, "Steer.slot takes at least 0, not -1"),
        ({"word": "abcde"}, "Steer.word takes at most 4 characters, not 5"),
    ],
)
def test_a_wrong_value_is_refused_by_name(pacer: InputPacer, values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match="^" + said.replace("(", r"\(")):
        pacer.offer(values)
    assert not pacer.waiting


def test_a_wrong_value_changes_nothing_of_what_was_merged(pacer: InputPacer) -> None:
    pacer.offer({"turn": 1})
    with pytest.raises(InputError):
        pacer.offer({"turn": 0.5, "slot": "x"})
    assert send(pacer, 0.0)[0] == 1.0


def test_numpy_scalars_and_whole_numbers_are_welcome(pacer: InputPacer) -> None:
    pacer.offer({"turn": np.float32(0.5), "shoot": np.True_, "slot": np.int64(7)})
    values = send(pacer, 0.0)
    assert values == [0.5, True, 7, ""]
    assert [type(value) for value in values] == [float, bool, int, str]


def test_a_room_without_inputs_says_so() -> None:
    with pytest.raises(InputError, match="takes no inputs"):
        InputPacer(None, PERIOD).offer({})


@pytest.mark.parametrize("frame_rate", [19.7, 30.0, 60.0, 144.0])
def test_a_frame_loop_sends_one_input_per_tick(pacer: InputPacer, frame_rate: float) -> None:
    sent: list[float] = []
    for frame in range(int(10 * frame_rate)):
        now = frame / frame_rate
        pacer.applied = pacer.sequence
        pacer.offer({"turn": 0.0})
        if pacer.is_due(now, 0.0):
            send(pacer, now)
            sent.append(now)
    gaps = np.diff(sent)
    assert gaps.min() >= PERIOD / 2 - 1e-9
    assert len(sent) <= 10 / PERIOD + 2
    assert len(sent) >= 0.97 * 10 * min(frame_rate, 1 / PERIOD)


def test_jitter_of_the_caller_does_not_lower_the_rate(pacer: InputPacer) -> None:
    chance = np.random.default_rng(1)
    sent = 0
    for tick in range(400):
        now = tick * PERIOD * 0.999 + chance.uniform(0, 0.02)  # and our clock is slow
        pacer.applied = pacer.sequence
        pacer.offer({})
        if pacer.is_due(now, 0.0):
            send(pacer, now)
            sent += 1
    assert sent >= 0.97 * 400


def test_idleness_is_not_saved_up(pacer: InputPacer) -> None:
    pacer.offer({})
    send(pacer, 0.0)
    pacer.applied = 1
    pacer.offer({})
    assert pacer.is_due(10.0, 0.0)
    send(pacer, 10.0)
    pacer.applied = 2
    sent = 0
    for step in range(1000):
        pacer.applied = pacer.sequence
        pacer.offer({})
        if pacer.is_due(10.0 + step / 1000, 0.0):
            send(pacer, 10.0 + step / 1000)
            sent += 1
    assert sent <= 1 / PERIOD + 1


def test_inputs_wait_while_the_server_has_a_queue_of_them(pacer: InputPacer) -> None:
    now, round_trip = 0.0, 0.02
    for _ in range(2):
        pacer.offer({})
        assert pacer.is_due(now, round_trip)
        send(pacer, now)
        now += PERIOD
    pacer.offer({"shoot": True})
    assert not pacer.is_due(now, round_trip)
    assert pacer.is_due(now, 0.15)  # a longer way explains more of them
    pacer.applied = 1
    assert pacer.is_due(now, round_trip)


def test_an_input_leaves_at_last_whatever_is_unapplied(pacer: InputPacer) -> None:
    for now in (0.0, 0.05, 0.10, 0.15):
        pacer.offer({})
        send(pacer, now)
    pacer.offer({})
    assert not pacer.is_due(0.6, 0.0)
    assert pacer.is_due(0.7, 0.0)
