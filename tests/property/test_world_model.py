"""A world does what plain dicts would, whatever is spawned, despawned, referred to and written, by row or by column.

The model knows nothing of rows, ids or columns: entities are keys of a dict, and a reference to a dead one is None.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from gameprotocol import limits
from gameserver import Entity, EntityGoneError, FieldValueError, fixed, integer, local, reference, text
from tests.support.examples import examples
from tests.support.mirror import Mirror


class Ship(Entity):
    x = fixed(-1000, 1000, step=0.5)
    hp = integer(16, default=100)
    name = text(max_bytes=8, default="new")
    aim = reference("Ship")
    prey = reference("Rock")
    fuel = local(float, default=1.0)


class Rock(Entity):
    size = integer(16)


NUMBERS = {"x": st.integers(-2000, 2000).map(lambda n: n / 2), "fuel": st.floats(-1e9, 1e9)}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **NUMBERS,
    "hp": st.integers(-(1 << 15), (1 << 15) - 1),
    "name": st.text(st.characters(codec="ascii"), max_size=8),
}
DEFAULTS = {"x": 0.0, "hp": 100, "name": "new", "aim": None, "prey": None, "fuel": 1.0}
some_values = st.fixed_dictionaries({}, optional=VALUES)


class WorldMachine(RuleBasedStateMachine):
    ships = Bundle("ships")
    rocks = Bundle("rocks")

    @initialize()
    def begin(self) -> None:
        self.mirror = Mirror(Ship, Rock)
        self.world = self.mirror.world
        self.model: dict[Entity, dict[str, Any]] = {}  # every entity that lives
        self.dead: list[tuple[Entity, int]] = []  # and those that do not, with their ids
        self.order: list[Entity] = []  # rows of Ship in this tick, the dead among them
        self.last_use: dict[tuple[type, int], int] = {}  # id to the tick of its last despawn
        self.world.begin_step(1)

    def _born(self, entity: Entity, values: dict[str, Any]) -> None:
        key = (type(entity), entity.id)
        assert all(other.id != entity.id for other in self.model if type(other) is type(entity))
        if key in self.last_use:
            assert self.world.tick - self.last_use[key] > limits.HISTORY_TICKS
        self.model[entity] = {**(DEFAULTS if type(entity) is Ship else {"size": 0}), **values}
        if type(entity) is Ship:
            self.order.append(entity)

    def _died(self, entity: Entity) -> None:
        if self.model.pop(entity, None) is not None:
            self.dead.append((entity, entity.id))
            self.last_use[type(entity), entity.id] = self.world.tick

    def _seen(self, target: Any) -> Any:
        return target if target in self.model else None

    @rule(target=ships, values=some_values)
    def spawn(self, values: dict[str, Any]) -> Entity:
        ship = self.world.spawn(Ship, **values)
        self._born(ship, values)
        return ship

    @rule(target=rocks, size=st.integers(0, 99))
    def spawn_rock(self, size: int) -> Entity:
        rock = self.world.spawn(Rock, size=size)
        self._born(rock, {"size": size})
        return rock

    @rule(count=st.integers(0, 40), values=some_values)
    def spawn_many(self, count: int, values: dict[str, Any]) -> None:
        rows = self.world.spawn_many(Ship, count, **values)
        for row in range(rows.start, rows.stop):
            self._born(self.world[Ship].at(row), values)

    @rule(values=some_values)
    def spawn_wrongly(self, values: dict[str, Any]) -> None:
        for spawn in (self.world.spawn, lambda *a, **k: self.world.spawn_many(*a, 3, **k)):
            try:
                spawn(Ship, **(values | {"hp": "many"}))
            except FieldValueError:
                continue
            raise AssertionError("it was taken")

    @rule(ship=ships)
    def despawn(self, ship: Entity) -> None:
        self.world.despawn(ship)
        self._died(ship)

    @rule(rock=consumes(rocks))
    def despawn_rock(self, rock: Entity) -> None:
        self.world.despawn(rock)
        self._died(rock)

    @rule(modulus=st.integers(2, 5))
    def despawn_where(self, modulus: int) -> None:
        gone = self.world[Ship].ids % modulus == 0
        dying = [ship for ship, doomed in zip(self.order, gone.tolist(), strict=True) if doomed]
        self.world.despawn_where(Ship, gone)
        for ship in dying:
            self._died(ship)

    @rule(ship=ships, values=some_values)
    def write_row(self, ship: Entity, values: dict[str, Any]) -> None:
        for name, given in values.items():
            if ship in self.model:
                setattr(ship, name, given)
                self.model[ship][name] = given
            else:
                self._refuses(ship, name, given)

    @rule(ship=ships, aim=st.none() | ships)
    def refer(self, ship: Entity, aim: Any) -> None:
        if ship in self.model:
            ship.aim = aim  # type: ignore[attr-defined]
            self.model[ship]["aim"] = aim

    @rule(ship=ships, prey=rocks)
    def refer_to_rock(self, ship: Entity, prey: Any) -> None:
        if ship in self.model:
            ship.prey = prey  # type: ignore[attr-defined]
            self.model[ship]["prey"] = prey

    @rule(name=st.sampled_from(["x", "hp", "fuel"]), by=st.integers(-5, 5))
    def add_to_column(self, name: str, by: int) -> None:
        table = self.world[Ship]
        setattr(table, name, getattr(table, name) + by)
        for ship in self.model:
            if type(ship) is Ship:
                self.model[ship][name] += by

    @rule(data=st.data(), name=st.sampled_from(sorted(NUMBERS)))
    def write_part_of_column(self, data: st.DataObject, name: str) -> None:
        column = getattr(self.world[Ship], name)
        rows = np.flatnonzero(self.world[Ship].ids % 3 == 0)
        given = data.draw(NUMBERS[name])
        column[rows] = given
        for row in rows.tolist():
            if self.order[row] in self.model:
                self.model[self.order[row]][name] = given

    @rule(ticks=st.sampled_from([1, 1, 1, limits.HISTORY_TICKS + 2]), send=st.booleans())
    def next_tick(self, ticks: int, send: bool) -> None:
        self.mirror.publish(ticks)
        if send:
            self.mirror.send()
        self.world.begin_step(self.mirror.tick + 1)
        self.order = [self.world[Ship].at(row) for row in range(len(self.world[Ship]))]

    def _refuses(self, entity: Entity, name: str, given: Any) -> None:
        for use in (lambda: getattr(entity, name), lambda: setattr(entity, name, given)):
            try:
                use()
            except EntityGoneError:
                continue
            raise AssertionError("a gone entity was used")

    @invariant()
    def the_world_is_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        ships, rocks = self.world[Ship], self.world[Rock]
        assert set(ships) | set(rocks) == set(self.model)
        assert len(ships) + len(rocks) == len(self.model)
        assert [self.order[row] in self.model for row in range(len(self.order))] == ships.alive.tolist()
        for entity, values in self.model.items():
            table = self.world[type(entity)]
            assert table.get(entity.id) is entity
            assert table.at(table.row(entity)) is entity
            for name, wanted in values.items():
                wanted = self._seen(wanted) if name in ("aim", "prey") else wanted
                assert getattr(entity, name) == wanted
                if name not in ("aim", "prey"):
                    assert getattr(table, name)[table.row(entity)] == wanted
        for entity, id in self.dead:
            assert not entity.alive
            assert self.world[type(entity)].get(id) is not entity


TestWorldModel = WorldMachine.TestCase
TestWorldModel.settings = examples(60, stateful_step_count=40)
