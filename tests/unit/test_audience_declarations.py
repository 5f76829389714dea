"""Audiences that cannot work are refused before anything starts; the text names the class, the field and the cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gameprotocol import Replica, Schema
from gameserver import (
    Audience,
    DeclarationError,
    Entity,
    Everyone,
    Nearby,
    Room,
    State,
    angle,
    binary,
    boolean,
    everyone,
    fixed,
    float32,
    group,
    integer,
    local,
    owner,
    reference,
    text,
    uint,
    value,
)
from gameserver.rooms.room import check_room_class
from gameserver.world.entity import RESERVED_NAMES
from tests.support.fake_links import FakeLink, HandTickedRoom

MAKERS: dict[str, Callable[[Any], Any]] = {
    "fixed": lambda to: fixed(0, 100, step=1, to=to),
    "angle": lambda to: angle(bits=10, to=to),
    "uint": lambda to: uint(8, to=to),
    "integer": lambda to: integer(8, to=to),
    "float32": lambda to: float32(to=to),
    "boolean": lambda to: boolean(to=to),
    "text": lambda to: text(max_bytes=20, to=to),
    "binary": lambda to: binary(max_bytes=20, to=to),
    "value": lambda to: value(max_bytes=20, to=to),
    "reference": lambda to: reference("Ship", to=to),
}


def entity(name: str = "Ship", base: type[Entity] = Entity, **fields: Any) -> type[Entity]:
    made: type[Entity] = type(Entity)(name, (base,), fields)  # type: ignore[misc]
    return made


def check_refused(make: Any, *expected: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    said = str(caught.value)
    assert all(part in said for part in expected), said


def room_of(*entities: type[Entity], state: type[State] | None = None) -> type[Room]:
    return type("Hall", (Room,), {"entities": entities, "state": state})


def rows(hall: HandTickedRoom, link: FakeLink, table: str = "Ship") -> list[Any]:
    return [*hall.replica(link)[table]]


# -- what `to` takes


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("wrong", [5, None, "owner", "team", Entity, (owner,), [owner, group("team")], object])
def test_to_is_an_audience_or_a_field(kind: str, wrong: Any) -> None:
    shown = repr(wrong) if not isinstance(wrong, (tuple, list)) else "to="
    check_refused(lambda: entity(secret=MAKERS[kind](wrong)), "Ship.secret", shown, "give everyone, owner, group(")


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("to", ["everyone", "owner", "group", "field"])
def test_every_kind_of_field_takes_every_audience(kind: str, to: str) -> None:
    team = uint(8)
    audience: Any = {"everyone": everyone, "owner": owner, "group": group("team"), "field": team}[to]
    ship = entity(team=team, secret=MAKERS[kind](audience))
    with HandTickedRoom(room_of(ship)("hall")) as hall:
        inside, outside = hall.join(), hall.join()
        hall.tick()
        hall.player(inside).groups["team"] = 3
        first = hall.room.world.spawn(ship, owner=1, team=3)
        if kind in ("reference", "value"):
            first.secret = first if kind == "reference" else [1]
        hall.tick()
        mine, other = rows(hall, inside)[0].secret, rows(hall, outside)[0].secret
        assert mine is not None
        assert (other is None) == (to != "everyone")


@pytest.mark.parametrize("name", ["", "2", "a b", "team-2", "everyone", "owner", 5, None])
def test_a_group_is_the_name_of_a_column(name: Any) -> None:
    check_refused(lambda: group(name), f"group({name!r})", "the name of the entities' column")


# -- what says who belongs to it


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"team": text(max_bytes=8)},
        {"team": fixed(0, 10, step=1)},
        {"team": boolean()},
        {"team": local(float)},
        {"team": local(object)},
        {"tema": uint(8)},
    ],
)
def test_a_group_without_its_column_is_refused(fields: dict[str, Any]) -> None:
    ship = entity(**fields, plan=text(max_bytes=8, to=group("team")))
    expected = ("Ship.plan", "'team'", "declare team = uint(8) or local(int)")
    check_refused(lambda: check_room_class(room_of(ship)), *expected)


def test_a_reference_is_no_number_of_a_group() -> None:
    """Its column holds what means nothing outside; what a player would have to have in its groups nobody knows."""
    ship = entity(team=reference("Ship"), plan=text(max_bytes=8, to=group("team")))
    check_refused(lambda: check_room_class(room_of(ship)), "Ship.plan", "'team'", "declare team = uint(8)")


@pytest.mark.parametrize("column", [uint(8), uint(32), integer(8), local(int), local("int8"), local("uint64")])
def test_whole_numbers_may_be_a_group(column: Any) -> None:
    ship = entity(team=column, plan=text(max_bytes=8, to=group("team")))
    with HandTickedRoom(room_of(ship)("hall")) as hall:
        link = hall.join()
        hall.tick()
        hall.player(link).groups["team"] = 7
        hall.room.world.spawn(ship, team=7, plan="seven")
        hall.room.world.spawn(ship, team=8, plan="eight")
        hall.tick()
        assert [row.plan for row in rows(hall, link)] == ["seven", None]


def test_a_field_of_another_class_is_refused_when_this_one_has_none_of_that_name() -> None:
    other = entity("Other", team=uint(8))
    ship = entity(plan=text(max_bytes=8, to=other.team))  # type: ignore[attr-defined]
    check_refused(lambda: check_room_class(room_of(other, ship)), "Ship.plan", "'team'", "declare team")


def test_a_field_that_is_declared_nowhere_is_refused_by_class_and_field() -> None:
    check_refused(lambda: check_room_class(room_of(entity(plan=text(max_bytes=8, to=uint(8))))), "Ship.plan")


def test_the_owner_column_stands_for_the_owner_or_is_refused_by_class_and_field() -> None:
    def make() -> None:
        ship = entity(plan=text(max_bytes=8, to=Entity.owner))
        check_room_class(room_of(ship))

    try:
        make()
    except DeclarationError as error:
        assert "Ship.plan" in str(error)  # noqa: PT017 - it may also work
        assert "to=owner" in str(error)  # noqa: PT017


# -- room-wide state


@pytest.mark.parametrize("kind", sorted(MAKERS.keys() - {"reference"}))
def test_state_has_no_owner(kind: str) -> None:
    match = entity("Match", State, secret=MAKERS[kind](owner))
    check_refused(lambda: check_room_class(room_of(state=match)), "Match.secret", "owner", "state has none")  # type: ignore[arg-type]


def test_state_for_a_group_needs_its_column_too() -> None:
    match = entity("Match", State, secret=uint(8, to=group("team")))
    check_refused(lambda: check_room_class(room_of(state=match)), "Match.secret", "declare team = uint(8)")  # type: ignore[arg-type]


# -- inheritance, names, and what travels


def test_a_subclass_has_the_private_fields_of_its_base() -> None:
    base = entity("Base", team=uint(8), ammo=uint(8, to=owner))
    ship = entity("Ship", base, plan=text(max_bytes=8, to=group("team")), ammo=uint(8))
    schema = room_of(base, ship)().schema()
    assert [(table.name, table.of, [field.name for field in table.fields]) for table in schema.tables] == [
        ("Base", None, ["owner", "team"]),
        ("Ship", None, ["owner", "team", "ammo"]),  # declared anew, for all
        ("Base@owner", 0, ["ammo"]),
        ("Ship@team", 1, ["plan"]),
    ]
    assert Schema.from_wire(schema.to_wire()) == schema


def test_each_audience_is_one_companion_in_the_order_of_the_fields() -> None:
    team, guild = uint(4), local(int)
    fields: dict[str, Any] = {
        "a": uint(8, to=group("guild")),
        "b": uint(8, to=team),
        "c": uint(8, to=owner),
        "d": uint(8, to=group("team")),
        "e": uint(8, to=guild),
        "f": uint(8, to=everyone),
    }
    ship = entity(team=team, guild=guild, **fields)
    schema = room_of(ship)().schema()
    assert [(table.name, [field.name for field in table.fields]) for table in schema.tables] == [
        ("Ship", ["owner", "team", "f"]),
        ("Ship@guild", ["a", "e"]),
        ("Ship@team", ["b", "d"]),
        ("Ship@owner", ["c"]),
    ]
    assert [table.of for table in schema.tables] == [None, 0, 0, 0]
    assert [table.schema.name for table in Replica(schema).main_tables] == ["Ship"]


def test_a_groups_number_may_itself_be_private() -> None:
    """Only the owner knows its team, and whoever is in it sees the plan."""
    ship = entity(team=uint(8, to=owner), plan=text(max_bytes=8, to=group("team")))
    with HandTickedRoom(room_of(ship)("hall")) as hall:
        links = [hall.join() for _ in range(3)]
        hall.tick()
        hall.player(links[1]).groups["team"] = 5
        hall.room.world.spawn(ship, owner=1, team=5, plan="go")
        hall.tick()
        assert [(row.team, row.plan) for link in links for row in rows(hall, link)] == [
            (5, None),
            (None, "go"),
            (None, None),
        ]


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES - {"owner"}))
def test_a_private_field_may_not_take_a_name_that_rows_need(name: str) -> None:
    field: dict[str, Any] = {name: uint(8, to=owner)}
    check_refused(lambda: entity(**field), f"Ship.{name}", "call the field something else")


def test_audiences_are_equal_by_name() -> None:
    assert group("team") == Audience("team") != group("side")
    assert (everyone.is_group, owner.is_group, group("team").is_group) == (False, False, True)


# -- who is in a group


@pytest.mark.parametrize("number", [-1, -128])
def test_whoever_is_in_no_group_sees_nothing_of_any(number: int) -> None:
    """Not even of entities whose number is the one that games use for none."""
    ship = entity(team=integer(8), plan=text(max_bytes=20, to=group("team")))
    match = entity("Match", State, team=integer(8), plan=text(max_bytes=20, to=group("team")))
    with HandTickedRoom(room_of(ship, state=match)("hall")) as hall:  # type: ignore[arg-type]
        without, within = hall.join(), hall.join()
        hall.tick()
        hall.player(within).groups["team"] = number
        hall.room.world.spawn(ship, team=number, plan="a secret")
        hall.room.world.state.team, hall.room.world.state.plan = number, "another"
        hall.tick()
        assert rows(hall, without)[0].plan is None
        assert b"secret" not in without.last_bytes
        assert b"another" not in without.last_bytes
        assert rows(hall, within)[0].plan == "a secret"


@pytest.mark.parametrize("view", ["nearby", "everyone"])
def test_whoever_is_in_no_group_sees_nothing_through_a_view(view: str) -> None:
    ship = entity(x=local(float), y=local(float), team=local(int), plan=text(max_bytes=20, to=group("team")))
    room = type("Hall", (Room,), {"entities": (ship,), "view": Nearby(50) if view == "nearby" else Everyone()})
    with HandTickedRoom(room("hall")) as hall:
        link = hall.join()
        hall.room.world.spawn(ship, owner=1, team=-1, plan="a secret")
        hall.ticks(2)
        [row] = rows(hall, link)
        assert row.plan is None
        assert not any(b"a secret" in repr(message).encode() for message in link.sent)


@pytest.mark.parametrize("number", [None, "red", 2.5, 1 << 70, -(1 << 70), [2]])
def test_a_group_of_no_whole_number_shows_nothing_or_is_named(number: Any) -> None:
    ship = entity(team=uint(8), plan=text(max_bytes=20, to=group("team")))
    with HandTickedRoom(room_of(ship)("hall")) as hall:
        link = hall.join()
        hall.room.world.spawn(ship, team=2, plan="a secret")
        hall.tick()
        hall.player(link).groups["team"] = number
        try:
            hall.ticks(2)
        except Exception as error:
            assert "groups" in str(error)  # noqa: PT017 - either is right
            assert "team" in str(error)  # noqa: PT017
        assert rows(hall, link)[0].plan is None
