"""Entities come, go and are referred to; rows and columns are two ways to the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gameprotocol import limits
from gameserver import (
    DeclarationError,
    Entity,
    EntityGoneError,
    FieldValueError,
    StaleColumnError,
    State,
    Table,
    TableFullError,
    World,
    fixed,
    integer,
    local,
    reference,
    text,
    uint,
    value,
)
from gameserver.world.entity import RESERVED_NAMES
from tests.support.mirror import Mirror


class Ship(Entity):
    x = fixed(0, 1000, step=1 / 16)
    hp = uint(8, default=100)
    name = text(max_bytes=16)
    target = reference("Ship")
    prey = reference("Rock")
    cargo = value()
    speed = local(float, default=2.5)


class Rock(Entity):
    size = uint(16)


class Match(State):
    round = uint(8, default=1)
    best = reference(Ship)


def game() -> Mirror:
    return Mirror(Ship, Rock, state=Match)


# ---- one entity


def test_a_new_entity_has_what_was_given_and_defaults_for_the_rest() -> None:
    world = game().world
    ship = world.spawn(Ship, x=3, name="a")
    assert (ship.x, ship.hp, ship.name, ship.target, ship.cargo, ship.speed, ship.owner) == (
        3.0,
        100,
        "a",
        None,
        None,
        2.5,
        None,
    )
    assert ship.alive
    assert len(world[Ship]) == 1
    assert world.state.round == 1


@pytest.mark.parametrize(
    ("act", "names"),
    [
        (lambda world: world.spawn(Ship, speeed=1), ("Ship", "speeed", "speed")),
        (lambda world: world.spawn_many(Ship, 2, speeed=1), ("Ship", "speeed", "speed")),
        (lambda world: setattr(world.spawn(Ship), "speeed", 1), ("speeed",)),
        (lambda world: world.spawn(Ship).speeed, ("speeed",)),
        (lambda world: setattr(world[Ship], "speeed", 1), ("Ship", "speeed", "speed")),
        (lambda world: world[Ship].speeed, ("Ship", "speeed", "speed")),
        (lambda world: setattr(world.state, "owner", 1), ("owner",)),
        (lambda world: setattr(world.state, "rond", 1), ("rond",)),
    ],
)
def test_a_misspelt_field_is_an_error(act: Callable[[World], Any], names: tuple[str, ...]) -> None:
    with pytest.raises((TypeError, AttributeError)) as caught:
        act(game().world)
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"x": "12"}, ("Ship.x", "'12'", "number")),
        ({"x": None}, ("Ship.x", "None")),
        ({"hp": 1.5}, ("Ship.hp", "1.5", "integer")),
        ({"hp": "1"}, ("Ship.hp", "'1'")),
        ({"name": b"a"}, ("Ship.name", "b'a'", "str", "bytes")),
        ({"speed": "fast"}, ("Ship.speed", "'fast'", "number")),
        ({"target": 5}, ("Ship.target", "5", "Ship")),
        ({"owner": "Ada"}, ("Ship.owner", "'Ada'", "player")),
    ],
)
def test_a_wrong_type_names_the_field_and_spawns_nothing(values: dict[str, Any], parts: tuple[str, ...]) -> None:
    world = game().world
    ship = world.spawn(Ship)
    for act in (
        lambda: world.spawn(Ship, **values),
        lambda: world.spawn_many(Ship, 3, **values),
        lambda: setattr(ship, *next(iter(values.items()))),
    ):
        with pytest.raises(FieldValueError) as caught:
            act()
        assert all(part in str(caught.value) for part in parts), caught.value
    assert len(world[Ship]) == 1
    assert world[Ship].x.tolist() == [0.0]


def test_integers_beyond_int64_are_dealt_with_like_all_that_are_too_large() -> None:
    class Purse(Entity):
        coins = uint(32)
        debt = integer(8)
        exact = uint(8, outside="error")

    mirror = Mirror(Purse)
    purse = mirror.world.spawn(Purse, coins=1 << 70, debt=-(1 << 70))
    mirror.publish()
    assert (mirror.integers(0, "coins"), mirror.integers(0, "debt")) == ([0xFFFFFFFF], [-128])
    purse.exact = 1 << 70
    with pytest.raises(FieldValueError, match="Purse 1: exact"):
        mirror.publish()


def test_an_entity_is_one_object_as_long_as_it_lives() -> None:
    mirror = game()
    world, ships = mirror.world, mirror.world[Ship]
    first, second, third = (world.spawn(Ship, x=x) for x in (1, 2, 3))
    world.despawn(first)
    mirror.publish()  # third takes first's row
    assert [ships.at(row) for row in range(2)] == [third, second]
    assert ships.get(third.id) is third
    assert set(ships) == {second, third}
    assert (second.x, third.x) == (2.0, 3.0)
    third.x += 1
    assert ships.x.tolist() == [4.0, 2.0]


@pytest.mark.parametrize("field", ["x", "hp", "name", "target", "owner", "speed"])
@pytest.mark.parametrize("compacted", [False, True])
def test_a_gone_entity_says_so(field: str, compacted: bool) -> None:
    mirror = game()
    ship, other = mirror.world.spawn(Ship), mirror.world.spawn(Ship)
    mirror.world.despawn(ship)
    mirror.world.despawn(ship)
    if compacted:
        mirror.publish()
    assert not ship.alive
    assert ship.id == 1
    assert repr(ship) == "<Ship 1, gone>"
    for use in (lambda: getattr(ship, field), lambda: setattr(ship, field, None)):
        with pytest.raises(EntityGoneError) as caught:
            use()
        assert all(part in str(caught.value) for part in ("Ship 1", field, ".alive", "reference(Ship)"))
    assert other.alive


def test_entities_are_made_by_spawn_alone() -> None:
    with pytest.raises(DeclarationError, match=r"world\.spawn\(Ship"):
        Ship()


def test_the_state_is_always_there() -> None:
    world = game().world
    assert world.state is next(iter(world[Match]))
    for act in (
        lambda: world.spawn(Match),
        lambda: world.spawn_many(Match, 2),
        lambda: world.despawn(world.state),
        lambda: world.despawn_where(Match, np.array([True])),
    ):
        with pytest.raises(DeclarationError, match="Match is the room's state"):
            act()


def test_an_entity_of_another_world_is_refused() -> None:
    here, there = game().world, game().world
    ship = here.spawn(Ship)
    stranger = there.spawn(Ship)
    with pytest.raises(FieldValueError, match=r"Ship\.target"):
        ship.target = stranger
    with pytest.raises(TypeError, match="world"):
        here.despawn(stranger)
    assert stranger.alive


def test_a_table_asked_for_an_unknown_class_names_it() -> None:
    class Ghost(Entity):
        pass

    with pytest.raises(DeclarationError, match=r"Ghost .*\(Ship, Rock, Match\).*entities"):
        game().world.spawn(Ghost)


def test_an_entity_shows_its_fields_even_when_it_refers_to_itself() -> None:
    world = game().world
    ship = world.spawn(Ship, name="a")
    ship.target = ship
    assert repr(ship) == (
        "<Ship 1: owner=None, x=0.0, hp=100, name='a', target=<Ship 1>, prey=None, cargo=None, speed=2.5>"
    )


# ---- many


def test_spawn_many_takes_scalars_arrays_and_lists() -> None:
    world = game().world
    target = world.spawn(Ship)
    rows = world.spawn_many(
        Ship, 3, x=np.array([1, 2, 3]), hp=[4, 5, 6], name="n", target=[target, None, target], cargo=(7, 8), owner=9
    )
    ships = world[Ship]
    assert rows == slice(1, 4)
    assert ships.x[rows].tolist() == [1, 2, 3]
    assert ships.hp[rows].tolist() == [4, 5, 6]
    assert ships.name[rows].tolist() == ["n"] * 3
    assert [ships.at(row).target for row in range(1, 4)] == [target, None, target]
    assert ships.cargo[rows].tolist() == [(7, 8)] * 3
    assert [ship.owner for ship in ships] == [None, 9, 9, 9]
    assert world.spawn_many(Ship, 0) == slice(4, 4)


@pytest.mark.parametrize(
    ("count", "values", "error"),
    [
        (-1, {}, ValueError),
        (1.5, {}, TypeError),
        (3, {"x": np.zeros(2)}, FieldValueError),
        (3, {"x": np.zeros((3, 2))}, FieldValueError),
        (3, {"hp": np.array([1.5, 2, 3])}, FieldValueError),
        (3, {"x": np.array(["1", "2", "3"])}, FieldValueError),
        (3, {"x": [1, 2]}, FieldValueError),
        (3, {"hp": [1, 2, None]}, FieldValueError),
        (3, {"target": np.array([1, 1, 1])}, FieldValueError),
        (limits.TABLE_ROWS + 1, {}, TableFullError),
    ],
)
def test_spawn_many_that_fails_adds_nothing(count: Any, values: dict[str, Any], error: type[Exception]) -> None:
    world = game().world
    world.spawn(Ship, x=5)
    with pytest.raises(error):
        world.spawn_many(Ship, count, **values)
    assert len(world[Ship]) == 1
    assert world[Ship].x.tolist() == [5.0]
    assert world.spawn(Ship).id == 2


def test_a_default_that_can_change_is_not_shared() -> None:
    class Chest(Entity):
        items = value(default=[])
        seen = local(object, default={})
        pair = value(default=(1, 2))

    world = World([Chest])
    world.spawn_many(Chest, 2)
    first, second, third = [*world[Chest], world.spawn(Chest)]
    first.items.append("sword")
    first.seen["x"] = 1
    assert (second.items, third.items) == ([], [])
    assert (second.seen, third.seen) == ({}, {})
    assert second.pair == third.pair == (1, 2)


def test_despawn_where_and_columns_that_stay_aligned_in_a_step() -> None:
    mirror = game()
    world, ships = mirror.world, mirror.world[Ship]
    world.spawn_many(Ship, 6, x=np.arange(6))
    x = ships.x
    world.despawn_where(Ship, x % 2 == 0)
    late = world.spawn(Ship, x=50)
    x[3] += 100  # fetched before: still the same rows, since nothing grew
    assert ships.alive.tolist() == [False, True, False, True, False, True, True]
    assert ships.x.tolist() == [0, 1, 2, 103, 4, 5, 50]
    assert [ship.x for ship in ships] == [1, 103, 5, 50]
    assert len(ships) == 4
    with pytest.raises(EntityGoneError, match="Ship in row 2"):
        ships.at(2)
    world.despawn_where(Ship, ships.x > -1)
    assert not late.alive
    assert not ships
    mirror.publish()
    assert ships.x.tolist() == []


@pytest.mark.parametrize("mask", [[0, 2], np.array([0, 2]), True, np.ones((2, 2), bool), None])
def test_despawn_where_wants_a_mask(mask: Any) -> None:
    world = game().world
    world.spawn_many(Ship, 3)
    with pytest.raises(TypeError, match="Ship"):
        world.despawn_where(Ship, mask)
    assert len(world[Ship]) == 3


@pytest.mark.parametrize("row", [-1, 3, 1 << 40])
def test_rows_out_of_range(row: int) -> None:
    world = game().world
    world.spawn_many(Ship, 3)
    with pytest.raises(IndexError, match="Ship has rows 0 to 2"):
        world[Ship].at(row)


@pytest.mark.parametrize("id", [-1, 0, 2, 1 << 40])
def test_get_of_an_id_that_is_not_there_is_none(id: int) -> None:
    world = game().world
    ship = world.spawn(Ship)
    assert world[Ship].get(id) is None
    assert world[Ship].get(1) is ship


def test_despawning_while_iterating_is_seen() -> None:
    world = game().world
    world.spawn_many(Ship, 5)
    seen = []
    for ship in world[Ship]:
        seen.append(ship.id)
        for other in (world[Ship].get(ship.id + 1), ship):
            if other is not None:
                world.despawn(other)
        world.spawn(Ship)
    assert seen == [1, 3, 5]


def test_rows_and_columns_are_the_same_numbers() -> None:
    world = game().world
    world.spawn_many(Ship, 3)
    ships = world[Ship]
    second = ships.at(1)
    ships.x += 5
    second.x += 1
    ships.x[2] = 9
    ships.hp = [1, 2, 3]
    ships.name[1] = "b"
    ships.speed = ships.x * 2
    ships.x = ships.x[::-1]
    assert ships.x.tolist() == [9, 6, 5]
    assert (second.x, second.hp, second.name, second.speed) == (6.0, 2, "b", 12.0)


def test_a_column_of_another_length_is_refused() -> None:
    world = game().world
    world.spawn(Ship, x=7)
    before = world[Ship].x
    world.spawn(Ship, x=8)
    with pytest.raises(FieldValueError, match=r"Ship\.x has 2 rows.*fetch them again"):
        world[Ship].x = before + 1  # numpy would spread the one number over both rows
    assert world[Ship].x.tolist() == [7, 8]


# ---- growing


def test_reading_an_old_column_is_no_error() -> None:
    mirror = game()
    world = mirror.world
    world.spawn_many(Ship, 4, x=1)
    before = world[Ship].x
    world.spawn_many(Ship, 100, x=2)
    assert before.sum() == 4
    mirror.publish()


@pytest.mark.parametrize("field", ["x", "hp", "name", "speed", "cargo"])
@pytest.mark.parametrize("grow", ["spawn", "next tick", "reserve"])
def test_writing_to_an_old_column_is_detected(field: str, grow: str) -> None:
    mirror = game()
    world = mirror.world
    world.spawn_many(Ship, 12)
    before = getattr(world[Ship], field)
    if grow == "spawn":
        world.spawn_many(Ship, 100)
    elif grow == "reserve":
        world.reserve(Ship, 1000)
    else:
        world.begin_step(1)
        world.fill_gaps()
    assert not np.shares_memory(before, getattr(world[Ship], field))
    before[3] = "other" if field in ("name", "cargo") else 7
    with pytest.raises(StaleColumnError, match=rf"Ship\.{field} .*fetch.*reserve\(Ship"):
        mirror.publish()


def test_a_column_with_nan_in_it_is_not_mistaken_for_written() -> None:
    mirror = game()
    mirror.world.spawn(Ship, speed=np.nan)
    mirror.world.spawn_many(Ship, 100)
    mirror.publish()


def test_reserved_rows_do_not_move_columns() -> None:
    mirror = game()
    world = mirror.world
    world.reserve(Ship, 500)
    world.spawn(Ship)
    before = world[Ship].x
    world.spawn_many(Ship, 499)
    before[0] = 9
    mirror.publish()
    assert world[Ship].x[0] == 9
    with pytest.raises(TableFullError, match="Ship"):
        world.reserve(Ship, limits.TABLE_ROWS + 1)


def test_a_step_that_spawns_half_as_many_again_moves_no_column() -> None:
    mirror = game()
    world = mirror.world
    for _ in range(12):
        mirror.publish()
        world.begin_step(mirror.tick + 1)
        before = world[Ship].x
        world.spawn_many(Ship, max(8, len(before) // 2))
        assert not len(before) or np.shares_memory(before, world[Ship].x)


def test_tens_of_thousands_live_at_once() -> None:
    mirror = game()
    world, rocks = mirror.world, mirror.world[Rock]
    world.spawn_many(Rock, 70_000, size=np.arange(70_000) % 60_000)
    mirror.tick_and_send()
    assert len(mirror.replica[Rock]) == 70_000
    rock = rocks.get(69_999)
    assert rock is not None
    assert rock.size == 69_998 % 60_000
    world.despawn_where(Rock, rocks.size < 30_000)
    world.spawn_many(Rock, 35_000, size=1)
    mirror.tick_and_send()
    assert len(rocks) == len(mirror.replica[Rock]) == 70_000 - 40_000 + 35_000
    assert rock.size == 69_998 % 60_000 if rock.alive else True


def test_gaps_are_filled_before_a_step_without_forgetting_lost_writes() -> None:
    mirror = game()
    world, ships = mirror.world, mirror.world[Ship]
    rows = world.spawn_many(Ship, 14, x=np.arange(14))
    stale = ships.x
    last = ships.at(rows.stop - 1)
    world.begin_step(1)  # grows
    world.despawn(ships.at(0))
    world.fill_gaps()
    assert ships.alive.all()
    assert len(ships.x) == 13
    assert last.x == 13.0
    assert ships.at(0) is last
    stale[5] = 99
    with pytest.raises(StaleColumnError):
        mirror.publish()


# ---- references


def test_references_read_as_the_entity_while_it_lives() -> None:
    mirror = game()
    world = mirror.world
    ship, other = world.spawn(Ship), world.spawn(Ship)
    rock = world.spawn(Rock)
    ship.target, ship.prey, world.state.best = other, rock, ship
    other.target = other
    mirror.tick_and_send()
    assert (ship.target, ship.prey, world.state.best, other.target) == (other, rock, ship, other)
    row = mirror.replica[Ship].get(ship.id)
    assert row is not None
    assert (row.target.id, row.prey.id) == (other.id, rock.id)
    world.despawn(other)
    assert ship.target is None
    mirror.tick_and_send()
    assert row.target is None
    assert mirror.integers(0, "target") == [0]
    ship.target = None
    ship.prey = None
    assert ship.prey is None


def test_a_reference_to_a_table_of_another_type_is_refused() -> None:
    world = game().world
    rock = world.spawn(Rock)
    with pytest.raises(FieldValueError, match=r"Ship\.target cannot be <Rock 1.*give a Ship"):
        world.spawn(Ship, target=rock)
    assert len(world[Ship]) == 0


def test_a_reference_never_means_a_later_entity_of_the_same_id() -> None:
    mirror = game()
    world = mirror.world
    ship = world.spawn(Ship)
    victim = world.spawn(Ship)
    ship.target = victim
    world.despawn(victim)
    mirror.publish(limits.HISTORY_TICKS + 5)
    heir = world.spawn(Ship)
    assert heir.id == victim.id
    assert heir is not victim
    assert not victim.alive
    assert ship.target is None
    mirror.tick_and_send()
    assert mirror.integers(0, "target") == [0, 0]
    ship.target = heir
    assert ship.target is heir


def test_a_reference_to_an_entity_of_the_same_tick() -> None:
    mirror = game()
    world = mirror.world
    ship = world.spawn(Ship)
    ship.prey = rock = world.spawn(Rock)
    world.despawn(rock)
    assert ship.prey is None
    mirror.tick_and_send()
    ship.prey = world.spawn(Rock)
    mirror.tick_and_send()
    assert mirror.integers(0, "prey") == [ship.prey.id]
    ship.prey = rock
    assert ship.prey is None


def test_nonsense_in_a_reference_column_is_an_error_that_names_it() -> None:
    mirror = game()
    mirror.world.spawn(Ship)
    mirror.world[Ship].prey[:] = 1 << 20
    with pytest.raises(FieldValueError, match=r"Ship\.prey"):
        mirror.publish()


@pytest.mark.parametrize(("target", "name"), [("Nothing", "Nothing"), (Rock, "Rock")])
def test_a_reference_to_a_class_that_is_not_in_the_room(target: Any, name: str) -> None:
    class Bullet(Entity):
        aim = reference(target)

    with pytest.raises(DeclarationError, match=rf"^Bullet\.aim refers to {name}, which .* add it there$"):
        World([Bullet])


# ---- ids


def test_ids_rest_until_nobody_can_mistake_them() -> None:
    mirror = game()
    world = mirror.world
    mirror.publish(10)
    freed = [world.spawn(Rock) for _ in range(3)]
    for rock in freed:
        world.despawn(rock)  # at tick 10
    for _ in range(limits.HISTORY_TICKS):
        mirror.publish()
        rock = world.spawn(Rock)
        assert rock.id > 3
        world.despawn(rock)
    mirror.publish()
    assert [world.spawn(Rock).id for _ in range(3)] == [1, 2, 3]


def test_ids_rest_until_every_link_knows() -> None:
    mirror = game()
    world = mirror.world
    mirror.publish(5)
    world.despawn(world.spawn(Rock))
    world.note_known_tick(5)
    mirror.publish(10 * limits.HISTORY_TICKS)
    assert world.spawn(Rock).id == 2
    world.note_known_tick(6)
    assert world.spawn(Rock).id == 1


def test_as_many_ids_as_rows_and_no_more_in_a_steady_world() -> None:
    mirror = game()
    world = mirror.world
    for _ in range(40 * limits.HISTORY_TICKS):
        for rock in [*world[Rock]]:
            world.despawn(rock)
        world.spawn_many(Rock, 2)
        mirror.publish()
    assert max(rock.id for rock in world[Rock]) <= 2 * (limits.HISTORY_TICKS + 3)


# ---- declarations


def test_fields_are_inherited_from_every_base() -> None:
    class Placed(Entity):
        x = fixed(0, 10, step=1)
        y = fixed(0, 10, step=1)

    class Named(Entity):
        name = text(max_bytes=8)

    class Loud:
        __slots__ = ()
        volume = uint(4, default=3)

    class Bell(Loud, Placed, Named):
        y = uint(8, default=7)
        weight = local(float)

    class Silent(Bell):
        volume = None  # type: ignore[assignment]

    mirror = Mirror(Bell, Silent, Placed)
    bell = mirror.world.spawn(Bell, x=1, name="a")
    assert (bell.x, bell.y, bell.name, bell.volume, bell.weight) == (1.0, 7, "a", 3, 0.0)
    bell.volume += 1
    mirror.tick_and_send()
    assert mirror.integers(0, "volume") == [4]
    with pytest.raises(TypeError, match="Silent has no field 'volume'"):
        mirror.world.spawn(Silent, volume=1)
    assert [field.name for field in mirror.world.schema_tables()[0].fields] == ["owner", "name", "x", "y", "volume"]
    bell.x = np.nan
    with pytest.raises(FieldValueError, match=r"^Bell 1: x = nan"):
        mirror.publish()


def test_a_base_with_a_dict_would_hide_misspelt_fields() -> None:
    class Mixin:
        x = uint(8)

    with pytest.raises(DeclarationError, match=r"Ship: instances of Mixin .* let Mixin subclass Entity"):
        type(Entity)("Ship", (Mixin, Entity), {})


@pytest.mark.parametrize("name", sorted({*RESERVED_NAMES, "_hidden"}))
def test_names_that_are_taken(name: str) -> None:
    with pytest.raises(DeclarationError, match=rf"^Thing\.{name}: the name is taken"):
        type(Entity)("Thing", (Entity,), {name: uint(8)})


def test_every_public_name_of_a_table_or_entity_is_reserved() -> None:
    taken = {name for cls in (Table, Entity) for name in dir(cls) if not name.startswith("_")}
    assert taken <= RESERVED_NAMES


def test_one_declaration_for_two_fields_is_an_error() -> None:
    with pytest.raises(DeclarationError, match=r"Ball\.\w+ and \w+ share one declaration"):

        class Ball(Entity):
            vx = vy = local(float)

    shared = uint(8)

    class One(Entity):
        a = shared

    with pytest.raises(DeclarationError, match=r"Two\.b and a share one declaration"):

        class Two(Entity):
            b = shared

    world = World([One])
    assert world.spawn(One, a=3).a == 3


@pytest.mark.parametrize(
    ("types", "state", "text"),
    [
        ([Ship, Rock, Ship], None, "two entities are called Ship"),
        ([type(Entity)("Ship", (Entity,), {}), Ship], None, "two entities are called Ship: rename one"),
        ([int], None, "<class 'int'> .* subclass Entity"),
        ([3], None, "3 .* subclass Entity"),
        ([Match], None, "Match is a State.*`state`"),
        ([Match], Match, "Match is a State.*`state`"),
    ],
)
def test_entities_that_cannot_be_together(types: list[Any], state: Any, text: str) -> None:
    with pytest.raises(DeclarationError, match=text):
        World(types, state)
