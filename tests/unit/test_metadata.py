"""Metadata and filters: what a room tells is of the declared types, and a filter means what a plain model says."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gameprotocol import CloseCode, ProtocolError, limits
from gameserver.rooms.metadata import (
    FILTER_CHOICES,
    METADATA_TEXT_CHARACTERS,
    Filter,
    Metadata,
    check_metadata,
    describe,
    make_metadata,
    parse_filter,
)
from gameserver.world.errors import DeclarationError, FieldValueError
from tests.support.examples import examples


class Duel(Metadata):
    mode: str = "classic"
    level: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1
    stake: float = 0.0
    ranked: bool = False
    motto: Annotated[str, msgspec.Meta(max_length=200)] = ""


LONG = "x" * METADATA_TEXT_CHARACTERS


# -- the author's side


def test_a_room_starts_with_the_defaults_and_tells_what_was_written() -> None:
    duel = Duel()
    assert describe(duel) == {"mode": "classic", "level": 1, "stake": 0.0, "ranked": False, "motto": ""}
    duel.level = 7
    assert describe(duel)["level"] == 7
    assert describe(None) == {}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("level", np.int64(9), 9),
        ("stake", np.float32(0.5), 0.5),
        ("stake", 3, 3.0),
        ("ranked", np.bool_(True), True),
        ("mode", LONG, LONG),
        ("motto", "x" * 200, "x" * 200),
    ],
)
def test_what_fits_is_told_as_plain_values(field: str, value: Any, told: Any) -> None:
    duel = Duel()
    setattr(duel, field, value)
    result = describe(duel)[field]
    assert result == told
    assert type(result) is type(told)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", None),
        ("mode", LONG + "x"),
        ("motto", "x" * 201),
        ("level", 51),
        ("level", 1.5),
        ("level", True),
        ("stake", math.nan),
        ("stake", math.inf),
        ("ranked", 1),
    ],
)
def test_an_author_who_writes_what_does_not_fit_is_told_the_field(field: str, value: Any) -> None:
    duel = Duel()
    setattr(duel, field, value)
    with pytest.raises(FieldValueError, match=f"Duel.*{field}"):
        describe(duel)


def test_numbers_that_no_client_could_read_are_not_told() -> None:
    class Score(Metadata):
        best: int = 0

    assert describe(Score(best=(1 << 63) - 1)) == {"best": (1 << 63) - 1}
    for value in (1 << 63, -(1 << 63) - 1):
        with pytest.raises(FieldValueError, match="best"):
            describe(Score(best=value))


def declared(name: str, annotation: Any, *default: Any, **keywords: Any) -> Any:
    return msgspec.defstruct("Made", [(name, annotation, *default)], bases=(Metadata,), kw_only=True, **keywords)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (int, "subclass gameserver.Metadata"),
        (Duel(), "subclass gameserver.Metadata"),
        (declared("level", int), "Made.level has no default"),
        (declared("level", int, msgspec.field(default_factory=int)), "Made.level has no default"),
        (declared("level", list[int], msgspec.field(default_factory=list)), "Made.level is of type"),
        (declared("level", int | None, None), "Made.level is of type"),
        (declared("level", bytes, b""), "Made.level is of type"),
        (declared("level", Annotated[int, msgspec.Meta(max_length=3)], 1), "Made.level: "),
        (declared("level", Annotated[int, msgspec.Meta(ge=3)], 1), "do not fit: Made: level"),
        (declared("level", int, "one"), "do not fit: Made: level"),
        (declared("level", float, math.nan), "do not fit: Made.level"),
        (declared("room", str, ""), "Made.room: the name is taken"),
        (declared("level", int, 1, rename="upper"), "renamed"),
        (declared("level", int, 1, tag=True), "Made: .* leave array_like and tag alone"),
        (declared("level", "Nowhere", 1), "Made has a field whose type cannot be read"),
    ],
)
def test_declarations_that_cannot_work_name_the_field(wrong: Any, told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        check_metadata(wrong)


def test_good_declarations_pass() -> None:
    check_metadata(Duel)
    check_metadata(Metadata)  # nothing to tell

    class Longer(Duel):
        extra: int = 0

    check_metadata(Longer)
    assert [*describe(Longer())] == ["mode", "level", "stake", "ranked", "motto", "extra"]


# -- filters


@pytest.mark.parametrize(
    ("wire", "fits"),
    [
        ({}, True),
        ({"mode": "classic"}, True),
        ({"mode": "duel"}, False),
        ({"mode": {"ne": "duel"}}, True),
        ({"mode": {"in": ["duel", "classic"]}}, True),
        ({"mode": {"in": []}}, False),
        ({"level": 5}, True),
        ({"level": {"ge": 5, "le": 5}}, True),
        ({"level": {"gt": 5}}, False),
        ({"level": {"lt": 6}, "mode": "classic"}, True),
        ({"level": {"lt": 6}, "mode": "duel"}, False),
        ({"level": {"ne": 5}}, False),
        ({"level": {"in": [4, 5]}}, True),
        ({"stake": 2}, True),
        ({"stake": {"ge": 2, "lt": 2.5}}, True),
        ({"ranked": True}, True),
        ({"ranked": {"ne": True}}, False),
        ({"ranked": {"in": [False, True]}}, True),
    ],
)
def test_what_a_filter_finds(wire: dict[str, Any], fits: bool) -> None:
    duel = Duel(level=5, stake=2.0, ranked=True)
    wanted = parse_filter(Duel, wire)
    assert wanted.matches(duel) is fits
    assert wanted.matches_values(describe(duel)) is fits


WRONG_FILTERS = [
    *({field: value} for field in ("mode", "level", "stake", "ranked") for value in (None, [], b"x", {}, {"xx": 1})),
    *({"mode": value} for value in (1, True, LONG + "x", {"ge": "a"}, {"eq": "a"}, {"in": "classic"}, {"ne": 1})),
    *({"level": value} for value in ("5", 5.0, True, math.nan, 1 << 63, {"ge": 2.5}, {"ge": "3"}, {"in": 3})),
    *({"stake": value} for value in ("1", True, math.nan, math.inf, {"le": math.inf}, {"ge": None}, 1 << 70)),
    *({"ranked": value} for value in (1, 0, "true", {"ge": False}, {"in": [1]})),
    {"level": {"in": [1] * (FILTER_CHOICES + 1)}},
    {"level": {"in": [1, "2"]}},
    {"level": {"ge": 1, "": 2}},
    {"unheard of": 1},
    {"\N{GRINNING FACE}" * 100: {"ge": 1}},
    {"mode": "classic", "Level": 3},
]


@pytest.mark.parametrize("wire", WRONG_FILTERS, ids=str)
def test_a_wrong_filter_is_refused_with_a_reason(wire: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_filter(Duel, wire)
    assert caught.value.code == CloseCode.BAD_JOIN
    assert len(caught.value.reason.encode()) <= limits.CLOSE_REASON_BYTES
    known = [name for name in wire if name in Duel.__struct_fields__]
    expected = known if len(known) == len(wire) else Duel.__struct_fields__  # the field, or which ones there are
    assert all(name in caught.value.reason for name in expected)


def test_a_refusal_never_holds_what_the_client_sent() -> None:
    for wire in ({"SECRET": 1}, {"mode": {"SECRET": 1}}, {"level": "SECRET"}, {"level": {"in": ["SECRET"]}}):
        with pytest.raises(ProtocolError) as caught:
            parse_filter(Duel, wire)
        assert "SECRET" not in caught.value.reason


def test_as_many_fields_are_named_as_a_close_frame_has_room_for() -> None:
    many = msgspec.defstruct("Many", [(f"field{n}", int, 0) for n in range(40)], bases=(Metadata,), kw_only=True)
    with pytest.raises(ProtocolError) as caught:
        parse_filter(many, {"other": 1})
    reason = caught.value.reason
    assert 90 < len(reason.encode()) <= limits.CLOSE_REASON_BYTES
    assert reason.startswith("filter: these rooms have field0, field1, ")
    assert reason.endswith(", and others")
    one_long = msgspec.defstruct("Long", [("f" * 200, int, 0)], bases=(Metadata,), kw_only=True)
    with pytest.raises(ProtocolError, match="these rooms have and others"):
        parse_filter(one_long, {"other": 1})


def test_rooms_without_metadata_take_an_empty_filter_only() -> None:
    assert parse_filter(None, {}) == Filter()
    assert parse_filter(None, {}).matches(None)
    assert make_metadata(None, Filter()) is None
    with pytest.raises(ProtocolError, match="these rooms have no metadata"):
        parse_filter(None, {"mode": "classic"})


def test_a_room_made_for_a_filter_starts_with_its_plain_values() -> None:
    wanted = parse_filter(Duel, {"mode": "duel", "stake": 3, "level": {"ge": 3}})
    assert wanted.equalities == {"mode": "duel", "stake": 3.0}
    assert make_metadata(Duel, wanted) == Duel(mode="duel", stake=3.0)
    assert make_metadata(Duel, Filter()) == Duel()


@pytest.mark.parametrize("level", [0, 51, -(1 << 63)])
def test_a_value_out_of_bounds_finds_no_room_and_makes_none(level: int) -> None:
    wanted = parse_filter(Duel, {"level": level})
    assert not wanted.matches(Duel())
    with pytest.raises(ProtocolError, match="filter: level") as caught:
        make_metadata(Duel, wanted)
    assert caught.value.code == CloseCode.BAD_JOIN


@pytest.mark.parametrize("written", [None, "5", [], np.arange(2)])
def test_a_value_that_cannot_be_compared_is_not_found(written: Any) -> None:
    duel = Duel()
    duel.level = written
    for wire in ({"level": 5}, {"level": {"ge": 1}}, {"level": {"in": [5]}}):
        assert not parse_filter(Duel, wire).matches(duel)


# -- a plain model

texts = st.sampled_from(["", "a", "b", "classic"])
numbers = st.integers(-2, 2)
floats = st.sampled_from([-1.0, -0.0, 0.5, 1.0, 2.0])
metadatas = st.builds(Duel, mode=texts, level=numbers, stake=floats, ranked=st.booleans())


def asked(values: st.SearchStrategy[Any], *, in_order: bool) -> st.SearchStrategy[Any]:
    choices = st.lists(values, max_size=4)
    keys = ("ge", "gt", "le", "lt", "ne") if in_order else ("ne",)
    bounds = st.fixed_dictionaries({}, optional={**dict.fromkeys(keys, values), "in": choices})
    return values | bounds.filter(bool)


filters = st.fixed_dictionaries(
    {},
    optional={
        "mode": asked(texts, in_order=False),
        "level": asked(numbers, in_order=True),
        "stake": asked(floats | numbers, in_order=True),
        "ranked": asked(st.booleans(), in_order=False),
    },
)


def model(wire: dict[str, Any], duel: Duel) -> bool:
    """The meaning of a filter, as its documentation says it."""
    for name, wanted in wire.items():
        actual = getattr(duel, name)
        if not isinstance(wanted, dict):
            wanted = {"in": [wanted]}
        for key, bound in wanted.items():
            found = [choice for choice in bound if choice == actual] if key == "in" else actual == bound
            below = key in ("le", "lt", "ge", "gt") and actual < bound
            holds = {
                "in": found,
                "ne": not found,
                "lt": below,
                "le": below or found,
                "ge": not below,
                "gt": not (below or found),
            }
            if not holds[key]:
                return False
    return True


@examples(400)
@given(filters, metadatas)
@example({"level": {"ge": 1, "le": 1}}, Duel(level=1))
def test_filters_mean_what_the_model_says(wire: dict[str, Any], duel: Duel) -> None:
    wanted = parse_filter(Duel, wire)
    assert wanted.matches(duel) == model(wire, duel)
    values = {name: getattr(duel, name) for name in Duel.__struct_fields__}
    assert wanted.matches_values(values) == model(wire, duel)


@examples(200)
@given(filters)
def test_a_room_made_for_a_filter_of_plain_values_is_one_it_finds(wire: dict[str, Any]) -> None:
    plain = {name: value for name, value in wire.items() if not isinstance(value, dict)}
    wanted = parse_filter(Duel, plain)
    try:
        made = make_metadata(Duel, wanted)
    except ProtocolError:
        assert plain["level"] < 1
        return
    assert wanted.matches(made)
    assert not set(describe(made)) - set(Duel.__struct_fields__)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@examples(300)
@given(st.dictionaries(st.sampled_from(["mode", "level", "stake", "ranked", "", "x"]), anything, max_size=3))
def test_whatever_a_client_sends_is_a_filter_or_a_refusal(wire: dict[str, Any]) -> None:
    try:
        wanted = parse_filter(Duel, wire)
    except ProtocolError as error:
        refusal = error
    else:
        wanted.matches(Duel())
        return
    assert refusal.code == CloseCode.BAD_JOIN
    assert 0 < len(refusal.reason.encode()) <= limits.CLOSE_REASON_BYTES
