"""Inputs: nothing unchecked reaches a step, and nothing is applied twice, out of order or too early."""

from __future__ import annotations

import math
from enum import Enum
from typing import Annotated, Any, Literal

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import CloseCode, InputHeader, ProtocolError, encode_input, limits
from gameserver import DeclarationError, Input, Meta
from gameserver.rooms.inputs import InputCodec, InputMessage, InputQueue
from tests.support.examples import examples


class Steer(Input):
    turn: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    thrust: bool = False
    slot: Annotated[int, Meta(ge=0, le=9)] = 1
    say: Annotated[str, Meta(max_length=4)] = "hi"
    blob: Annotated[bytes, Meta(max_length=3)] = b""
    free: float = 0.5
    count: int = 0


DEFAULTS = [0.0, False, 1, "hi", b"", 0.5, 0]
NAMES = ["turn", "thrust", "slot", "say", "blob", "free", "count"]
CODEC = InputCodec(Steer)


def values_of(message: InputMessage) -> list[Any]:
    return [getattr(message.values, name) for name in NAMES]


def packed(values: Any, header: Any = (1,)) -> bytes:
    result: bytes = msgpack.packb([4, header, values])
    return result


def with_value(name: str, value: Any) -> list[Any]:
    values = list(DEFAULTS)
    values[NAMES.index(name)] = value
    return values


# ---- decoding


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("turn", -1),
        ("turn", 1.0),
        ("turn", -0.0),
        ("slot", 9),
        ("say", "😀😀😀😀"),
        ("say", ""),
        ("blob", b"\0\0\0"),
        ("free", -1e308),
        ("free", 5e-324),
        ("free", 3),
        ("count", (1 << 64) - 1),
        ("count", -(1 << 63)),
    ],
)
def test_values_that_fit_are_taken(name: str, value: Any) -> None:
    assert values_of(CODEC.decode(packed(with_value(name, value)))) == with_value(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in NAMES),
        *((name, []) for name in NAMES),
        *((name, {}) for name in NAMES),
        *(("turn", value) for value in (1.0000001, -2, math.nan, math.inf, -math.inf, 1e308, 1 << 63, True, "0")),
        *(("thrust", value) for value in (1, 0, "true", 1.0)),
        *(("slot", value) for value in (-1, 10, 1 << 63, 1.0, True, math.nan, "1")),
        *(("say", value) for value in ("abcde", b"a", 1, "x" * 3000)),
        *(("blob", value) for value in (b"abcd", "abc", [1])),
        *(("free", value) for value in (math.nan, math.inf, -math.inf, "1", False)),
        *(("count", value) for value in (1.5, 1e300, math.nan, True, "1")),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        CODEC.decode(packed(with_value(name, value)))
    assert caught.value.code == CloseCode.BAD_INPUT
    assert f"Steer.{name}" in caught.value.reason
    assert not any(f"Steer.{other}" in caught.value.reason for other in NAMES if other != name)


@pytest.mark.parametrize("count", range(len(NAMES)))
def test_missing_values_are_defaults(count: int) -> None:
    sent = [1.0, True, 5, "yo", b"x", 7.0, 3]
    assert values_of(CODEC.decode(packed(sent[:count]))) == sent[:count] + DEFAULTS[count:]


def test_values_and_header_items_that_we_do_not_know_are_skipped() -> None:
    message = CODEC.decode(msgpack.packb([4, [9, 8, 7, 6, "new", [1]], [*DEFAULTS, {"new": 1}, None], "more"]))
    assert values_of(message) == DEFAULTS
    header = message.header
    assert (header.sequence, header.tick, header.acknowledged, header.client_time) == (9, 8, 7, 6)


@pytest.mark.parametrize(
    "header", [[], [0], [-1], [1 << 32], [1.0], ["1"], [True], [1, -1], [1, 0, 1 << 32], [1, 0, 0, None], None, 5, {}]
)
def test_a_bad_header_is_refused(header: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        CODEC.decode(packed([], header))
    assert caught.value.code == CloseCode.BAD_INPUT
    assert "Steer" in caught.value.reason


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        packed(DEFAULTS)[:-1],
        packed(DEFAULTS) + b"\0",
        b"\xdd\xff\xff\xff\xff",
        b"\x93\x04\x91\x01\x94\0\xc2\1\xa1\xff",
    ],
)
def test_what_is_not_msgpack_is_undecodable(payload: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        CODEC.decode(payload)
    assert caught.value.code == CloseCode.UNDECODABLE


def test_deep_nesting_is_no_defect() -> None:
    for payload in (b"\x91" * 4000, b"\x93\x04" + b"\x91" * 4000, b"\x93\x04\x91\x01" + b"\x91" * 4000 + b"\xc0"):
        with pytest.raises(ProtocolError):
            CODEC.decode(payload)


@given(st.binary(max_size=64) | st.binary(max_size=32).map(lambda tail: b"\x93\x04\x94\x01\0\0\0" + tail))
@examples(300)
def test_whatever_comes_is_taken_or_refused(payload: bytes) -> None:
    try:
        message = CODEC.decode(payload)
    except ProtocolError:
        return
    turn, thrust, slot, say, blob, free, count = values_of(message)
    assert -1 <= turn <= 1
    assert isinstance(thrust, bool)
    assert 0 <= slot <= 9
    assert len(say) <= 4
    assert len(blob) <= 3
    assert math.isfinite(free)
    assert type(count) is int


def test_what_clients_encode_is_decoded() -> None:
    message = CODEC.decode(encode_input(3, 4, 5, 6, DEFAULTS))
    assert values_of(message) == DEFAULTS


def test_the_schema_tells_clients_everything() -> None:
    described = [(f.name, f.type, f.default, f.low, f.high, f.max_length) for f in CODEC.schema.fields]
    assert described == [
        ("turn", "float", 0.0, -1.0, 1.0, None),
        ("thrust", "bool", False, None, None, None),
        ("slot", "int", 1, 0.0, 9.0, None),
        ("say", "str", "hi", None, None, 4),
        ("blob", "bytes", b"", None, None, 3),
        ("free", "float", 0.5, None, None, None),
        ("count", "int", 0, None, None, None),
    ]


def test_an_input_without_fields() -> None:
    class Nothing(Input):
        pass

    assert isinstance(InputCodec(Nothing).decode(packed([])).values, Nothing)


# ---- declaring


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    ("kind", "default", "cure"),
    [
        (float, msgspec.NODEFAULT, "default"),
        (str, "", "max_length"),
        (bytes, b"", "max_length"),
        (Annotated[str, Meta(min_length=1)], "a", "max_length"),
        (Annotated[str, Meta(max_length=3, min_length=1)], "a", "max_length"),
        (Annotated[str, Meta(max_length=3, pattern="a")], "a", "pattern"),
        (Annotated[float, Meta(gt=0, le=1)], 0.5, "ge"),
        (Annotated[int, Meta(ge=0, lt=5)], 0, "le"),
        (Annotated[int, Meta(multiple_of=2)], 0, "multiple_of"),
        (int | None, None, "bool, int, float, str or bytes"),
        (int | float, 1, "bool, int, float, str or bytes"),
        (list[int], [], "bool, int, float, str or bytes"),
        (dict[str, int], {}, "bool, int, float, str or bytes"),
        (Literal["a", "b"], "a", "bool, int, float, str or bytes"),
        (Colour, Colour.RED, "bool, int, float, str or bytes"),
        (complex, 0j, "bool, int, float, str or bytes"),
        (Any, 1, "bool, int, float, str or bytes"),
        (Annotated[float, Meta(ge=-1, le=1)], 2.0, "does not fit"),
        (int, 1.5, "does not fit"),
        (bool, 1, "does not fit"),
        (Annotated[str, Meta(max_length=3)], "abcd", "does not fit"),
        (float, math.inf, "finite"),
        (float, math.nan, "finite"),
        (Annotated[bool, Meta(ge=0)], False, "numeric"),
        (Annotated[int, Meta(ge=0, le=1 << 70)], 0, "int64"),
        (Annotated[int, Meta(max_length=3)], 0, "max_length"),
    ],
)
def test_a_wrong_field_is_named_with_its_cure(kind: Any, default: Any, cure: str) -> None:
    declared = msgspec.defstruct(
        "Broken", [("fine", bool, False), ("wrong", kind, default)], bases=(Input,), kw_only=True
    )
    with pytest.raises(DeclarationError) as caught:
        InputCodec(declared)
    assert str(caught.value).startswith("Broken.wrong")
    assert cure in str(caught.value)


def test_a_type_that_does_not_exist_is_named() -> None:
    class Broken(Input):
        wrong: Nowhere = 0  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(DeclarationError, match=r"Broken .*Nowhere"):
        InputCodec(Broken)


@pytest.mark.parametrize("options", [{"array_like": False}, {"tag": True}, {"forbid_unknown_fields": True}])
def test_options_that_change_the_wire_are_refused(options: dict[str, bool]) -> None:
    declared = msgspec.defstruct("Broken", [("fine", bool, False)], bases=(Input,), **options)
    with pytest.raises(DeclarationError, match=r"Broken.*array_like, tag and forbid_unknown_fields"):
        InputCodec(declared)


@pytest.mark.parametrize("wrong", [int, Steer(), "Steer", msgspec.defstruct("Plain", [("a", int, 0)])])
def test_only_input_classes_are_inputs(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=r"subclass gameserver\.Input"):
        InputCodec(wrong)


def test_an_input_of_defaults_is_a_new_one_each_time() -> None:
    queue, first = InputQueue(), CODEC.neutral()
    filled = queue.fill("repeat", CODEC.neutral)
    filled.turn = 1.0  # a game that writes to it
    assert queue.fill("neutral", CODEC.neutral).turn == first.turn == CODEC.neutral().turn == 0.0


# ---- the queue


def message(sequence: int, tick: int = 0, value: Any = None) -> InputMessage:
    return InputMessage(4, InputHeader(sequence, tick), f"input {sequence}" if value is None else value)


def taken(queue: InputQueue, tick: int) -> int:
    """The sequence number of the next input for this tick, 0 for none."""
    values = queue.take(tick)
    return int(values.split()[1]) if values else 0


def test_one_input_is_taken_once() -> None:
    queue = InputQueue()
    assert taken(queue, 1) == 0
    assert queue.push(message(1))
    assert len(queue) == 1
    assert (taken(queue, 1), taken(queue, 1)) == (1, 0)
    assert queue.applied_sequence == 1
    assert queue.last == "input 1"


@pytest.mark.parametrize(
    ("sent", "accepted"),
    [
        ([1, 1, 1], [1]),
        ([1, 2, 1, 2, 3], [1, 2, 3]),
        ([5, 3, 4, 6], [5, 6]),
        ([1, 10, 9, 11], [1, 10, 11]),
        ([0xFFFFFFFF, 1, 2], [0xFFFFFFFF]),
    ],
)
@pytest.mark.parametrize("take_between", [False, True])
def test_repeated_and_older_inputs_are_dropped(sent: list[int], accepted: list[int], take_between: bool) -> None:
    queue, applied = InputQueue(), []
    for sequence in sent:
        queue.push(message(sequence))
        if take_between:
            applied.append(taken(queue, 1))
    applied += [taken(queue, 1) for _ in sent]
    assert [sequence for sequence in applied if sequence] == accepted
    assert queue.duplicates == len(sent) - len(accepted)


def test_too_many_drop_the_oldest() -> None:
    queue = InputQueue()
    for sequence in range(1, limits.INPUT_QUEUE_ITEMS + 1):
        queue.push(message(sequence))
    assert (len(queue), queue.dropped) == (limits.INPUT_QUEUE_ITEMS, 0)
    for sequence in range(limits.INPUT_QUEUE_ITEMS + 1, limits.INPUT_QUEUE_ITEMS + 4):
        queue.push(message(sequence))
    assert (len(queue), queue.dropped) == (limits.INPUT_QUEUE_ITEMS, 3)
    assert [taken(queue, 1) for _ in range(limits.INPUT_QUEUE_ITEMS + 1)] == [
        *range(4, limits.INPUT_QUEUE_ITEMS + 4),
        0,
    ]


@pytest.mark.parametrize(
    ("meant_for", "now", "is_taken"),
    [
        (0, 100, True),
        (100, 100, True),
        (99, 100, True),  # late: better now than never
        (1, 100, True),
        (101, 100, False),
        (100 + limits.INPUT_AHEAD_TICKS, 100, False),
        (101 + limits.INPUT_AHEAD_TICKS, 100, True),  # nonsense: not waited for
        (0xFFFFFFFF, 100, True),
    ],
)
def test_an_input_waits_for_its_tick(meant_for: int, now: int, is_taken: bool) -> None:
    queue = InputQueue()
    queue.push(message(1, meant_for))
    assert bool(taken(queue, now)) is is_taken
    if not is_taken:
        assert taken(queue, meant_for - 1) == 0
        assert taken(queue, meant_for) == 1


def test_inputs_keep_their_order_while_one_waits() -> None:
    queue = InputQueue()
    queue.push(message(1, 105))
    queue.push(message(2, 0))
    queue.push(message(3, 106))
    assert [taken(queue, tick) for tick in range(103, 109)] == [0, 0, 1, 2, 3, 0]


@pytest.mark.parametrize(
    ("missing", "before", "after"),
    [("repeat", "neutral", "input 1"), ("neutral", "neutral", "neutral"), ("skip", None, None)],
)
def test_what_stands_in_for_a_missing_input(missing: Any, before: Any, after: Any) -> None:
    queue = InputQueue()
    assert queue.fill(missing, lambda: "neutral") == before
    assert queue.missed == 0
    queue.push(message(1))
    queue.take(1)
    assert queue.fill(missing, lambda: "neutral") == after
    assert queue.missed == 1


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(0, 60)) | st.none(),
        max_size=80,
    )
)
@examples(150)
def test_sequences_only_rise_and_every_input_is_accounted_for(events: list[tuple[int, int] | None]) -> None:
    """``None`` is a tick, anything else an input with its sequence and the tick that it is meant for."""
    queue, tick, pushed, applied = InputQueue(), 0, 0, []
    for event in events:
        if event is None:
            tick += 1
            sequence = taken(queue, tick)
            if sequence:
                applied.append(sequence)
                assert queue.applied_sequence == sequence
        else:
            pushed += 1
            queue.push(message(*event))
        assert len(queue) <= limits.INPUT_QUEUE_ITEMS
    assert applied == sorted(set(applied))
    assert pushed == len(applied) + len(queue) + queue.duplicates + queue.dropped
