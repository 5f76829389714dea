"""Every kind of field: what becomes of each value on its way to the players, and what an author is told."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver import (
    DeclarationError,
    Entity,
    FieldValueError,
    State,
    angle,
    binary,
    boolean,
    fixed,
    float32,
    integer,
    local,
    reference,
    text,
    uint,
    value,
)
from gameserver.world.fields import Field
from tests.support.examples import examples
from tests.support.mirror import Mirror

FLOAT32_MAX = float(np.finfo(np.float32).max)


def thing(field: Any) -> Mirror:
    """A world whose only type has one field, f, and two entities before the one that is looked at."""
    mirror = Mirror(type(Entity)("Thing", (Entity,), {"f": field}))
    mirror.world.spawn_many(mirror.world.tables[0].entity_type, 2)
    return mirror


def published(field: Any, given: Any, *, by: str = "spawn") -> Any:
    """What a client reads of a value that was written by ``spawn``, to the ``row`` or to the ``column``."""
    mirror = thing(field)
    kind = mirror.world.tables[0].entity_type
    entity = mirror.world.spawn(kind, **({"f": given} if by == "spawn" else {}))
    if by == "row":
        entity.f = given
    elif by == "column":
        mirror.world[kind].f[2] = given
    mirror.tick_and_send()
    return mirror.replica.tables[0].value("f", entity.id)


def refusal(field: Any, given: Any) -> str:
    """What the author is told of a value in entity 3."""
    mirror = thing(field)
    mirror.world.tables[0].f[1] = mirror.world.tables[0].f[0]
    mirror.world.spawn(mirror.world.tables[0].entity_type)
    mirror.world.tables[0].f[2] = given
    with pytest.raises(FieldValueError) as caught:
        mirror.publish()
    return str(caught.value)


# ---- fixed


@pytest.mark.parametrize("by", ["spawn", "row", "column"])
@pytest.mark.parametrize(
    ("low", "high", "step", "given", "seen"),
    [
        (0, 4000, 1 / 16, 100.03125, 100.0),  # half a step: to even
        (0, 4000, 1 / 16, 100.03126, 100.0625),
        (0, 4000, 1 / 16, 100.09374, 100.0625),
        (0, 4000, 1 / 16, -0.031, 0.0),
        (0, 4000, 1 / 16, 4000, 4000.0),
        (0, 4000, 1 / 16, 4000.01, 4000.0),
        (0, 4000, 1 / 16, -1, 0.0),
        (0, 4000, 1 / 16, math.inf, 4000.0),
        (0, 4000, 1 / 16, -math.inf, 0.0),
        (0, 4000, 1 / 16, 1e308, 4000.0),
        (0, 4000, 1 / 16, -1e308, 0.0),
        (-1, 1, 0.1, 0.3, -1 + 13 * 0.1),
        (-1000, -500, 2, -750.9, -750.0),
        (0, 10, 10, 6, 10.0),
        (0, (1 << 32) - 1, 1, 4294967294.6, 4294967295.0),
    ],
)
def test_fixed(low: float, high: float, step: float, given: float, seen: float, by: str) -> None:
    assert published(fixed(low, high, step=step), given, by=by) == seen


@given(
    low=st.integers(-100_000, 100_000),
    size=st.integers(1, 100_000),
    step=st.sampled_from([1.0, 0.5, 1 / 16, 1 / 256, 0.1, 0.3, 0.7]),
    numbers=st.lists(st.floats(allow_nan=False, width=64), min_size=1, max_size=8),
)
@examples(60)
def test_fixed_is_the_nearest_step_within_the_range(low: int, size: int, step: float, numbers: list[float]) -> None:
    mirror = Mirror(type(Entity)("Thing", (Entity,), {"f": fixed(low, low + size, step=step)}))
    kind = mirror.world.tables[0].entity_type
    mirror.world.spawn_many(kind, len(numbers), f=numbers)
    mirror.tick_and_send()
    high = low + round(size / step) * step
    for given_number, seen in zip(numbers, mirror.replica.tables[0].column("f"), strict=True):
        wanted = min(max(given_number, low), high)
        assert abs(seen - wanted) <= step * 0.5000001 + 1e-9


def test_a_change_below_the_step_is_no_change() -> None:
    mirror = thing(fixed(0, 10, step=0.5))
    ships = mirror.world.tables[0]
    mirror.tick_and_send()
    ships.f += 0.2
    mirror.publish()
    assert mirror.chunks_from(1) == []
    ships.f += 0.2
    mirror.publish()
    assert len(mirror.chunks_from(2)) == 1


# ---- what is refused


@pytest.mark.parametrize(
    ("field", "given", "parts"),
    [
        (fixed(0, 10, step=1), math.nan, ("nan", "not a number", "fix the step")),
        (angle(), math.nan, ("nan", "not a number", "fix the step")),
        (angle(), math.inf, ("inf", "too large for an angle", "fix the step")),
        (angle(), -1e300, ("-1e+300", "too large for an angle", "fix the step")),
        (angle(), 1e308, ("1e+308", "too large for an angle", "fix the step")),
        (float32(), math.nan, ("nan", "not a number", "fix the step")),
        (fixed(0, 10, step=1, outside="error"), 10.6, ("10.6", "outside 0.0 to 10.0", "widen", '"clamp"')),
        (fixed(0, 10, step=1, outside="error"), -math.inf, ("-inf", "outside 0.0 to 10.0", "widen", '"clamp"')),
        (fixed(0, 10, step=1, outside="error"), math.nan, ("nan", "not a number")),
        (float32(outside="error"), math.inf, ("inf", "float32", "widen", '"clamp"')),
        (float32(outside="error"), -1e39, ("-1e+39", "float32", "widen")),
        (uint(8, outside="error"), 256, ("256", "outside 0 to 255", "widen", '"clamp"')),
        (uint(1, outside="error"), 2, ("2", "outside 0 to 1")),
        (uint(32, outside="error"), -1, ("-1", "outside 0 to 4294967295")),
        (integer(2, outside="error"), -3, ("-3", "outside -2 to 1")),
        (integer(32, outside="error"), 1 << 31, ("2147483648", "outside -2147483648 to 2147483647")),
        (text(max_bytes=4, outside="error"), "abcde", ("'abcde'", "5 bytes", "more than 4", "max_bytes", "clamp")),
        (text(max_bytes=9), "a\ud800", ("\\ud800", "not text", "leave")),
        (text(max_bytes=9), 5, ("5", "int", "write str")),
        (text(max_bytes=9), None, ("None", "NoneType", "write str")),
        (text(max_bytes=9), np.str_("a"), ("a", "str_", "write str")),
        (binary(max_bytes=2, outside="error"), b"abc", ("b'abc'", "3 bytes", "more than 2", "max_bytes", "clamp")),
        (binary(max_bytes=2), "ab", ("'ab'", "str", "write bytes")),
        (value(max_bytes=8), "x" * 100, ("'xxx", "...", "102 bytes", "more than 8", "max_bytes")),
        (value(), {1: 2}, ("{1: 2}", "map keys must be text, not 1", "use numbers")),
        (value(), [{"a": {2: 3}}], ("map keys must be text, not 2",)),
        (value(), object, ("object", "msgpack")),
        (value(), {"a": {1, 2}}, ("set", "msgpack")),
        (value(), np.int64(3), ("int64", "msgpack")),
        (value(), 1 << 64, ("18446744073709551616", "msgpack")),
        (value(), "\udfff", ("\\udfff", "msgpack")),
    ],
)
def test_what_may_not_travel_is_refused(field: Any, given: Any, parts: tuple[str, ...]) -> None:
    said = refusal(field, given)
    assert said.startswith("Thing 3: f = ")
    assert all(part in said for part in parts), said
    assert "clamp" not in said or not isinstance(given, float) or given == given, "clamping does not help NaN"


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "msgpack" in refusal(value(), endless)


def test_an_error_counts_the_others() -> None:
    mirror = thing(uint(8, outside="error"))
    mirror.world.tables[0].f = [300, 400]
    with pytest.raises(FieldValueError, match=r"Thing 1: f = 300 .* \(and 1 more\)"):
        mirror.publish()


def test_an_error_in_the_state_names_its_class() -> None:
    class Match(State):
        clock = fixed(0, 10, step=1)

    mirror = Mirror(state=Match)
    mirror.world.state.clock = math.nan
    with pytest.raises(FieldValueError, match=r"^Match 1: clock = nan"):
        mirror.publish()


@pytest.mark.parametrize("owner", [65536, -1, 1 << 70])
def test_an_owner_is_never_changed_into_another_player(owner: int) -> None:
    mirror = thing(uint(8))
    mirror.world.spawn(mirror.world.tables[0].entity_type, owner=owner)
    with pytest.raises(FieldValueError, match=r"Thing 3: owner = .* outside 0 to 65535"):
        mirror.publish()


# ---- the other numbers


@pytest.mark.parametrize("by", ["spawn", "row", "column"])
@pytest.mark.parametrize("bits", [4, 8, 13, 16])
@pytest.mark.parametrize("turns", [0.0, 0.25, -0.25, 1.0, -1.0, 0.9999, 12.5, -7.125, 1e6 + 0.75])
def test_angles_wrap(bits: int, turns: float, by: str) -> None:
    seen = published(angle(bits=bits), turns * math.tau, by=by)
    assert 0 <= seen < math.tau
    off = (turns - seen / math.tau) % 1.0
    assert min(off, 1 - off) <= 0.5 / (1 << bits) + 1e-8


@pytest.mark.parametrize("given", [1e15, -1e15, 1e17, -1e17])
def test_huge_angles_are_still_angles(given: float) -> None:
    assert 0 <= published(angle(bits=8), given) < math.tau


@pytest.mark.parametrize("by", ["spawn", "row", "column"])
@pytest.mark.parametrize("bits", [1, 2, 7, 8, 9, 16, 17, 31, 32])
def test_whole_numbers_at_their_bounds(bits: int, by: str) -> None:
    most = (1 << bits) - 1
    for written, seen in ((0, 0), (most, most), (most + 1, most), (-1, 0), (1 << 40, most)):
        assert published(uint(bits), written, by=by) == seen
    if bits > 1:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        for written, seen in ((low, low), (high, high), (low - 1, low), (high + 1, high)):
            assert published(integer(bits), written, by=by) == seen


@pytest.mark.parametrize(
    ("given", "bits"),
    [
        (0.0, 0),
        (-0.0, 0),
        (1.0, 0x3F800000),
        (0.1, 0x3DCCCCCD),
        (-2.5, 0xC0200000),
        (1e-45, 1),  # the smallest subnormal
        (-1e-45, 0x80000001),
        (1e-46, 0),
        (FLOAT32_MAX, 0x7F7FFFFF),
        (FLOAT32_MAX * 1.0000001, 0x7F7FFFFF),
        (1e308, 0x7F7FFFFF),
        (-math.inf, 0xFF7FFFFF),
    ],
)
def test_float32(given: float, bits: int) -> None:
    seen = published(float32(), given)
    assert struct.unpack("<I", struct.pack("<f", seen))[0] == bits


def test_minus_zero_is_no_change() -> None:
    mirror = thing(float32())
    mirror.tick_and_send()
    mirror.world.tables[0].f = -0.0
    mirror.publish()
    assert mirror.chunks_from(1) == []


def test_a_tiny_negative_float32_is_zero_too() -> None:
    assert math.copysign(1, published(float32(), -1e-60)) == 1


@pytest.mark.parametrize(("given", "seen"), [(True, True), (0, False), (3, True), ("", False)])
def test_booleans(given: Any, seen: bool) -> None:
    assert published(boolean(), given) is seen


# ---- objects


@pytest.mark.parametrize("by", ["spawn", "row", "column"])
@pytest.mark.parametrize(
    ("given", "most", "seen"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("äöü", 5, "äö"),
        ("äöü", 6, "äöü"),
        ("a€", 3, "a"),
        ("😀", 3, ""),
        ("😀", 4, "😀"),
        ("a\0b", 9, "a\0b"),
        ("", 1, ""),
    ],
)
def test_text_is_cut_at_a_character(given: str, most: int, seen: str, by: str) -> None:
    assert published(text(max_bytes=most), given, by=by) == seen


@pytest.mark.parametrize(("given", "seen"), [(b"", b""), (b"abc", b"abc"), (b"abcd", b"abc"), (b"\0\xff", b"\0\xff")])
def test_bytes(given: bytes, seen: bytes) -> None:
    assert published(binary(max_bytes=3), given) == seen


@pytest.mark.parametrize("by", ["spawn", "row", "column"])
@pytest.mark.parametrize(
    "given",
    [None, True, -1, (1 << 64) - 1, 0.5, "ä", b"\0", [], {}, [1, [2, {"a": [None]}]], {"a": {"b": (1, 2)}}],
)
def test_values(given: Any, by: str) -> None:
    wanted = {"a": {"b": [1, 2]}} if given == {"a": {"b": (1, 2)}} else given
    assert published(value(), given, by=by) == wanted


@pytest.mark.parametrize(
    ("first", "change"),
    [
        ([], lambda held: held.append(1)),
        ({}, lambda held: held.update(a=1)),
        ({"a": [1]}, lambda held: held["a"].append(2)),
        ([{"b": {}}], lambda held: held[0]["b"].update(c=1)),
        (([],), lambda held: held[0].append(1)),
        ((1, (2, {})), lambda held: held[1][1].update(a=1)),
        (bytearray(b"a"), lambda held: held.append(66)),
    ],
)
def test_a_change_in_place_is_seen(first: Any, change: Callable[[Any], None]) -> None:
    mirror = thing(value())
    thing_ = mirror.world.spawn(mirror.world.tables[0].entity_type, f=first)
    mirror.tick_and_send()
    mirror.tick_and_send()
    before = mirror.replica.tables[0].value("f", 3)
    assert mirror.chunks_from(1) == []
    change(thing_.f)
    mirror.tick_and_send()
    assert mirror.replica.tables[0].value("f", 3) != before
    assert len(mirror.chunks_from(2)) == 1


def test_equal_objects_are_no_change() -> None:
    class Thing(Entity):
        a = text(max_bytes=20)
        b = value()
        c = text(max_bytes=2)

    mirror = Mirror(Thing)
    thing_ = mirror.world.spawn(Thing, a="one two", b=[1, "x"], c="abc")
    mirror.tick_and_send()
    thing_.a, thing_.b, thing_.c = " ".join(["one", "two"]), [1, "x"], "abz"
    mirror.publish()
    assert mirror.chunks_from(1) == []


def test_one_and_true_are_two_values() -> None:
    mirror = thing(value())
    thing_ = mirror.world.spawn(mirror.world.tables[0].entity_type, f=1)
    mirror.tick_and_send()
    for other in (True, 1.0, False, 0, None, ""):
        thing_.f = other
        mirror.tick_and_send()
        seen = mirror.replica.tables[0].value("f", 3)
        assert (seen, type(seen)) == (other, type(other))


# ---- local


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (float, 1e300, "x"),
        (np.float32, 0.5, "x"),
        (int, -(1 << 63), 1 << 63),
        (int, 5, 1.5),
        (np.uint8, 255, 256),
        (np.int16, -32768, -32769),
        (np.uint64, (1 << 64) - 1, -1),
    ],
)
def test_local_fields_hold_their_numbers(kind: Any, good: Any, bad: Any) -> None:
    mirror = thing(local(kind))
    thing_ = mirror.world.spawn(mirror.world.tables[0].entity_type, f=good)
    assert thing_.f == good
    with pytest.raises(FieldValueError, match=r"^Thing\.f cannot be"):
        thing_.f = bad
    assert thing_.f == good


def test_local_fields_never_travel() -> None:
    class Thing(Entity):
        x = uint(8)
        secret = local(object)
        number = local(float)
        count = local(np.uint32)

    class Match(State):
        hidden = local(object, default="HIDDEN")

    number = 123456.789e30
    mirror = Mirror(Thing, state=Match)
    things = [mirror.world.spawn(Thing, secret="SECRET", number=number, count=0xDEADBEEF) for _ in range(3)]
    sent = [repr(mirror.world.schema().to_wire()).encode()]
    for tick in range(4):
        mirror.tick_and_send()
        sent += [mirror.payload, mirror.frame_from(0)]
        things[0].secret, things[1].x = f"SECRET{tick}", tick
    for needle in (
        *(b"SECRET", b"HIDDEN", b"secret", b"number", b"count", b"hidden"),
        *(struct.pack(form, number) for form in ("<d", ">d", "<f", ">f")),
        *(struct.pack(form, 0xDEADBEEF) for form in ("<I", ">I")),
    ):
        assert not any(needle in message for message in sent)


# ---- declaring


@pytest.mark.parametrize(
    ("declare", "parts"),
    [
        (lambda: fixed(0, 0, step=1), ("fixed(0, 0, step=1)", "low must be below high")),
        (lambda: fixed(5, 1, step=1), ("low must be below high",)),
        (lambda: fixed(0, 1, step=0), ("step above 0",)),
        (lambda: fixed(0, 1, step=-1), ("step above 0",)),
        (lambda: fixed(0, math.inf, step=1), ("finite",)),
        (lambda: fixed(math.nan, 1, step=1), ("finite",)),
        (lambda: fixed(0, 1, step=math.nan), ("finite",)),
        (lambda: fixed(-1e308, 1e308, step=1), ("finite",)),
        (lambda: fixed(0, 1 << 33, step=1), ("more than 32 bits", "larger step")),
        (lambda: fixed(0, 1, step=1e-300), ("more than 32 bits", "larger step")),
        (lambda: fixed(0, 1, step=10), ("no two values", "smaller step")),
        (lambda: fixed(0, 10, step=1, default=11), ("default=11", "outside 0 to 10")),
        (lambda: fixed(0, 10, step=1, default=math.nan), ("default=nan",)),
        (lambda: fixed("a", 10, step=1), ("'str'",)),  # type: ignore[arg-type]
        (lambda: fixed(0, 10, stp=1), ("stp",)),  # type: ignore[call-arg]
        (lambda: fixed(0, 10, step=1, outside="wrap"), ('"clamp"', '"error"')),  # type: ignore[arg-type]
        (lambda: angle(bits=3), ("angle(3)", "4 to 16")),
        (lambda: angle(bits=17), ("angle(17)", "4 to 16")),
        (lambda: angle(default=math.inf), ("default=inf",)),
        (lambda: uint(0), ("uint(0)", "1 to 32")),
        (lambda: uint(33), ("uint(33)", "1 to 32")),
        (lambda: uint(True), ("uint(True)", "1 to 32")),
        (lambda: uint(8.0), ("uint(8.0)", "1 to 32")),  # type: ignore[arg-type]
        (lambda: uint(8, default=256), ("default=256", "outside 0 to 255")),
        (lambda: uint(8, default=1.5), ("default=1.5",)),  # type: ignore[arg-type]
        (lambda: integer(1), ("integer(1)", "2 to 32")),
        (lambda: integer(8, default=-129), ("default=-129", "outside -128 to 127")),
        (lambda: float32(default=math.nan), ("default=nan",)),
        (lambda: float32(default=1e39), ("default=1e+39",)),
        (lambda: text(max_bytes=0), ("text(0)", "1 to 65535")),
        (lambda: text(max_bytes=65536), ("text(65536)", "1 to 65535")),
        (lambda: text(max_bytes=3, default="abcd"), ("default", "4 bytes", "3")),
        (lambda: text(max_bytes=3, default=None), ("must be str",)),  # type: ignore[arg-type]
        (lambda: binary(max_bytes=3, default="abc"), ("must be bytes",)),  # type: ignore[arg-type]
        (lambda: binary(max_bytes=2, default=b"abc"), ("default", "3 bytes", "2")),
        (lambda: value(max_bytes=3, default="abcd"), ("default", "5 bytes", "3")),
        (lambda: value(default={1: 2}), ("map keys",)),
        (lambda: reference(3), ("reference(3)", "entity class")),  # type: ignore[arg-type]
        (lambda: reference(None), ("reference(None)", "entity class")),  # type: ignore[arg-type]
        (lambda: local(str), ("local(<class 'str'>)", "use float")),
        (lambda: local("nonsense"), ("nonsense",)),
        (lambda: local(int, default=1.5), ("default=1.5",)),
        (lambda: local(np.uint8, default=256), ("default=256", "uint8")),
    ],
)
def test_a_wrong_declaration_names_class_field_and_cure(
    declare: Callable[[], Field[Any]], parts: tuple[str, ...]
) -> None:
    with pytest.raises(DeclarationError) as caught:
        type(Entity)("Thing", (Entity,), {"f": declare()})
    said = str(caught.value)
    assert said.startswith("Thing.f: ")
    assert all(part in said for part in parts), said


@pytest.mark.parametrize(
    "field",
    [
        *(fixed(0, 10, step=1, default=10), fixed(5, 9, step=1), fixed(-5, 5, step=1), fixed(-9, -5, step=0.5)),
        *(angle(default=-7.0), uint(8, default=255), integer(8, default=-128), float32(default=FLOAT32_MAX)),
        *(boolean(default=True), text(max_bytes=4, default="äö"), binary(max_bytes=3, default=b"abc")),
        *(value(max_bytes=3, default=[1, 2]), local(float, default=1), local(bool), local(object), reference("Thing")),
    ],
)
def test_defaults_that_fit_are_what_entities_start_with(field: Any) -> None:
    mirror = thing(field)
    assert all(entity.f == field.default or field.target for entity in mirror.world.tables[0])
    assert fixed(5, 9, step=1).default == 5.0
    assert fixed(-9, -5, step=1).default == -9.0
    mirror.tick_and_send()
