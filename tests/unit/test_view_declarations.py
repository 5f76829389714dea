"""Views that cannot work are refused before anything starts; the text names the class, the field and the cure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gameserver import (
    DeclarationError,
    Entity,
    Everyone,
    FieldValueError,
    Nearby,
    Room,
    State,
    View,
    Visible,
    fixed,
    local,
    reference,
    text,
    uint,
)
from gameserver.rooms.room import check_room_class
from gameserver.sync.views import AnyOf, parts
from gameserver.world.grid import MOST_REACH
from tests.support.fake_links import HandTickedRoom


class Ship(Entity):
    x = fixed(0, 100, step=1)
    y = local(float)
    z = local(int)
    name = text(max_bytes=20)
    friend = reference("Ship")


class Card(Entity):
    face = uint(8)


class Stranger(Entity):
    x = local(float)
    y = local(float)


class Match(State):
    x = local(float)
    y = local(float)
    round = uint(8)


def all_of(player: Any, table: Any) -> Any:
    return table.alive


def room_class(view: Any, **declared: Any) -> type[Room]:
    return type("Bad", (Room,), {"entities": (Ship, Card), "state": Match, "view": view} | declared)


def check_refused(make: Any, *expected: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    said = str(caught.value)
    assert all(part in said for part in expected), said


# -- what one view says


@pytest.mark.parametrize("radius", [0, -1, math.nan, math.inf, "300", None, (300,)])
def test_a_radius_is_a_number_above_0(radius: Any) -> None:
    check_refused(lambda: Nearby(radius), f"Nearby(radius={radius!r})", "a number above 0")


@pytest.mark.parametrize("hysteresis", [-0.1, 300.1, math.nan, math.inf, "3", (3,)])
def test_hysteresis_is_from_0_to_the_radius(hysteresis: Any) -> None:
    check_refused(lambda: Nearby(300, hysteresis=hysteresis), f"hysteresis={hysteresis!r}", "0 up to the radius, 300")


@pytest.mark.parametrize("cell", [0, -1, math.nan, math.inf, "50", (50,), 300 / MOST_REACH])
def test_a_cell_is_not_too_small(cell: Any) -> None:
    check_refused(lambda: Nearby(300, hysteresis=0, cell=cell), f"cell={cell!r}", "give more than", "leave it out")


@pytest.mark.parametrize("axes", [(), ("x", "y", "z", "w"), "xy", None, 5, (5,), ("x", None)])
def test_axes_are_one_to_three_names(axes: Any) -> None:
    check_refused(lambda: Nearby(300, axes=axes), f"axes={axes!r}", "name one to three columns")


def test_axes_may_be_given_as_a_list() -> None:
    """Whoever writes a list means the same; if it is refused, then where it stands."""
    try:
        view = Nearby(300, axes=["x", "y"])  # type: ignore[arg-type]
    except DeclarationError as error:
        assert "axes=['x', 'y']" in str(error)  # noqa: PT017 - it may also work
        return
    check_room_class(room_class({Ship: view}))


@pytest.mark.parametrize("of", ["Ship", 5, Room, int])
def test_of_is_an_entity_class(of: Any) -> None:
    check_refused(lambda: Nearby(300, of=of), f"of={of!r}", "give an entity class")


@pytest.mark.parametrize("mask", [None, 5, "all", np.ones(3, np.bool_)])
def test_a_mask_is_a_function(mask: Any) -> None:
    check_refused(lambda: Visible(mask), "Visible(", "a function of a player and a table")


@pytest.mark.parametrize("cells_per_radius", [1, 5, 63, 63.5, 63.99, 64, 64.01, 65, 200])
def test_a_cell_is_refused_when_it_is_declared_or_works(cells_per_radius: float) -> None:
    try:
        view = Nearby(300, hysteresis=2, cell=304 / cells_per_radius)
    except DeclarationError:
        assert cells_per_radius >= 63
        return
    check_room_class(room_class({Ship: view}))


@pytest.mark.parametrize(
    "view",
    [
        Nearby(1e-6),
        Nearby(1e9),
        Nearby(1),
        Nearby(2.5, of=Ship, hysteresis=0, cell=2.5),
        Nearby(2.5, hysteresis=2.5),
        Nearby(10, axes=("x",)),
        Nearby(10, axes=("x", "y", "z")),
        Visible(all_of),
        Nearby(10) | Nearby(20, axes=("x", "z")) | Visible(all_of),
        Everyone(),
    ],
)
def test_what_can_work_does(view: View) -> None:
    with HandTickedRoom(room_class({Ship: view})("hall")) as hall:
        link = hall.join()
        hall.room.world.spawn(Ship)
        hall.ticks(2)
        hall.replica(link)


# -- what does not fit the room


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (None, ("view = None", "give a view", "Nearby(300)")),
        (300, ("view = 300", "give a view")),
        (Nearby, ("view = ", "give a view")),
        ([Nearby(5)], ("view = [", "give a view")),
        ({Ship: None}, ("the view of Ship is None", "give one, such as Nearby(300)")),
        ({Ship: Nearby}, ("the view of Ship", "give one, such as Nearby(300)")),
        ({Ship: 300}, ("the view of Ship is 300", "give one")),
        ({Stranger: Nearby(5)}, ("Stranger", "not among the room's entities", "Ship, Card")),
        ({"Ship": Nearby(5)}, ("'Ship'", "not among the room's entities")),
        ({Match: Nearby(5)}, ("Match", "the room's state: everyone sees it", "to=group(...)")),
        ({Match: Visible(all_of)}, ("Match", "everyone sees it")),
        (Nearby(5), ("Card is seen with Nearby(5)", "no number x", "declare it", "another view")),
        ({Card: Nearby(5)}, ("Card is seen with Nearby(5)", "no number x")),
        ({Card: Visible(all_of) | Nearby(5)}, ("Card is seen with Nearby(5)", "no number x")),
        ({Ship: Nearby(5, axes=("x", "w"))}, ("Nearby(5)", "x, w", "axes=")),
        ({Ship: Nearby(5, axes=("x", "name"))}, ("Ship is seen with Nearby(5)", "no number name")),
        ({Ship: Nearby(5, axes=("x", "friend"))}, ("Ship is seen with Nearby(5)", "no number friend")),
        ({Ship: Nearby(5, of=Card)}, ("Card is seen with Nearby(5)", "no number x")),
        ({Ship: Nearby(5, of=Stranger)}, ("Stranger is not an entity of this room", "add it")),
        ({Ship: Nearby(5, of=Match)}, ("Match",)),
        ({Ship: View()}, ("is no view", "use Everyone(), Nearby(...), Visible(...)")),
    ],
)
def test_a_view_that_does_not_fit_its_room_is_refused_before_anything_starts(
    view: Any, expected: tuple[str, ...]
) -> None:
    check_refused(lambda: check_room_class(room_class(view)), *expected)
    with pytest.raises(DeclarationError):
        room_class(view)()


def test_state_may_be_named_as_what_it_is_anyway() -> None:
    check_room_class(room_class({Match: Everyone(), Ship: Everyone(), Card: Everyone()}))


def test_a_room_without_entities_needs_no_view() -> None:
    check_room_class(room_class({}, entities=()))
    check_room_class(room_class(Everyone(), entities=()))


# -- several together


def test_views_are_joined_flat() -> None:
    near, far, shown = Nearby(5), Nearby(9, axes=("x", "z")), Visible(all_of)
    assert parts(near | far | shown) == parts(near | (far | shown)) == (near, far, shown)
    assert parts(near) == (near,)
    assert near | far == AnyOf((near, far))
    with pytest.raises(TypeError):
        near | 5  # type: ignore[operator]


@pytest.mark.parametrize("view", [Everyone() | Nearby(5), Nearby(5) | Everyone(), Visible(all_of) | Everyone()])
def test_what_everyone_sees_is_seen_whatever_else_shows_it(view: View) -> None:
    with HandTickedRoom(room_class({Ship: view})("hall")) as hall:
        link = hall.join()
        hall.room.world.spawn(Ship, x=90)
        hall.ticks(2)
        assert len([*hall.replica(link)["Ship"]]) == 1


# -- what a mask gives


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (lambda player, ships: ships.x, ("float64", "shape (2,)")),
        (lambda player, ships: ships.x[:1] > 0, ("bool", "shape (1,)")),
        (lambda player, ships: True, ("bool", "shape ()")),
        (lambda player, ships: None, ("object",)),
        (lambda player, ships: [0], ("int64",)),
        (lambda player, ships: np.array([0, 1]), ("int64", "shape (2,)")),
    ],
)
def test_a_mask_that_gives_something_else_is_named(mask: Any, expected: tuple[str, ...]) -> None:
    with HandTickedRoom(room_class({Ship: Visible(mask)})("hall")) as hall:
        hall.join()
        hall.room.world.spawn_many(Ship, 2)
        with pytest.raises(FieldValueError) as caught:
            hall.tick()
        said = str(caught.value)
        assert all(
            part in said for part in ("the view of Ship", "<lambda>", "2 values of true and false", *expected)
        ), said


def test_a_mask_may_give_a_list_of_true_and_false() -> None:
    first: Any = lambda player, ships: [True, False]  # noqa: E731
    with HandTickedRoom(room_class({Ship: Visible(first)})("hall")) as hall:
        link = hall.join()
        hall.room.world.spawn_many(Ship, 2)
        hall.tick()
        assert [ship.id for ship in hall.replica(link)["Ship"]] == [1]


# -- what players watch


@pytest.mark.parametrize("wrong", [5, "ship", None, [1.0, 2.0], Ship])
def test_what_cannot_be_watched_is_refused_at_once(wrong: Any) -> None:
    with HandTickedRoom(room_class({Ship: Nearby(5)})("hall")) as hall:
        link = hall.join()
        hall.tick()
        with pytest.raises(TypeError, match="watches entities and points"):
            hall.player(link).watch(wrong)
        hall.tick()


@pytest.mark.parametrize("point", [(1.0,), (1.0, 2.0, 3.0), (), (math.nan, 1.0), ("x", "y")])
def test_a_point_that_is_none_is_refused_where_it_is_said(point: Any) -> None:
    """And not at the end of the tick, when nobody knows any more who said it; a client may have sent it."""
    with HandTickedRoom(room_class({Ship: Nearby(5)})("hall")) as hall:
        link = hall.join()
        hall.room.world.spawn(Ship)
        hall.tick()
        with pytest.raises((TypeError, ValueError)):
            hall.player(link).watch(point)
        hall.tick()


def test_an_entity_without_a_position_is_refused_where_it_is_said() -> None:
    with HandTickedRoom(room_class({Ship: Nearby(5)})("hall")) as hall:
        link = hall.join()
        card = hall.room.world.spawn(Card)
        hall.tick()
        with pytest.raises(DeclarationError, match="Card is seen with Nearby"):
            hall.player(link).watch(card)
        hall.tick()
