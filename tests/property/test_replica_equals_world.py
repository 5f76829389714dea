"""Whatever a world does and whichever ticks a link skips, the replica equals what was published, after every frame."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import Frame, Replica, Schema, limits, unpack_from_server
from gameprotocol import _messages as messages
from gameprotocol._websocket import FrameParser, frame_header
from gameserver.sync.frames import FrameMaker
from gameserver.sync.sight import Sight
from gameserver.sync.viewer import NOTHING
from gameserver.sync.views import Everyone
from gameserver.world.entity import Entity, State
from gameserver.world.fields import (
    Field,
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
from gameserver.world.publish import PublishedWorld
from gameserver.world.world import World
from tests.support.examples import examples
from tests.support.mirror import make_frames, viewer_at

FINITE = st.floats(-1e6, 1e6)
NUMBERS: dict[str, Any] = {
    "fixed": st.builds(
        lambda low, size, step: fixed(low, low + size, step=step),
        st.integers(-5000, 0),
        st.integers(1, 5000),
        st.sampled_from([1.0, 0.5, 1 / 16, 0.1]),
    ),
    "angle": st.builds(lambda bits: angle(bits=bits), st.integers(4, 16)),
    "uint": st.builds(uint, st.integers(1, 32)),
    "integer": st.builds(integer, st.integers(2, 32)),
    "float32": st.builds(float32),
    "boolean": st.builds(boolean),
}
OBJECTS: dict[str, Any] = {
    "text": st.builds(lambda n: text(max_bytes=n), st.integers(1, 12)),
    "binary": st.builds(lambda n: binary(max_bytes=n), st.integers(1, 12)),
    "value": st.builds(value),
}
VALUES: dict[str, Any] = {
    "fixed": FINITE,
    "angle": FINITE,
    "uint": st.integers(-10, 1 << 33),
    "integer": st.integers(-(1 << 33), 1 << 33),
    "float32": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "text": st.text(max_size=8),
    "binary": st.binary(max_size=16),
    "value": st.recursive(
        st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=4,
    ),
}
KIND_NAMES = sorted(VALUES)


@st.composite
def entity_types(draw: st.DrawFn) -> tuple[list[type[Entity]], dict[tuple[str, str], str]]:
    """One to three random entity types, and the kind of each of their fields."""
    types, kinds_of = [], {}
    for index in range(draw(st.integers(1, 3))):
        name = f"Type{index}"
        namespace: dict[str, Field[Any]] = {"hidden": local(float)}
        for at in range(draw(st.integers(0, 5))):
            kind = draw(st.sampled_from(KIND_NAMES))
            namespace[f"f{at}"] = draw((NUMBERS | OBJECTS)[kind])
            kinds_of[name, f"f{at}"] = kind
        if draw(st.booleans()):
            namespace["friend"] = reference("Type0")
        types.append(type(Entity)(name, (Entity,), namespace))
    return types, kinds_of


class Game:
    """A world, its published state, and one replica; driven by operations that hypothesis draws."""

    def __init__(self, types: list[type[Entity]], kinds_of: dict[tuple[str, str], str], draw: Any) -> None:
        class Match(State):
            phase = uint(8)
            title = text(max_bytes=20)

        self.draw = draw
        self.kinds_of = kinds_of
        self.world = World(types, Match)
        self.published = PublishedWorld(self.world)
        self.frames = FrameMaker(self.published, Sight(self.published, self.world, Everyone()), 1, frame_header)
        self.parser = FrameParser(masked=False, max_payload_bytes=limits.SERVER_MESSAGE_BYTES)
        self.replica = Replica(Schema.from_wire(unpack_from_server(messages.pack(self.world.schema().to_wire()))))
        self.tick = 0
        self.alive: list[Entity] = []
        self.expected_ids: dict[str, set[int]] = {name.__name__: set() for name in types}

    def act(self) -> None:
        types = [table.entity_type for table in self.world.tables if not table.entity_type._single]
        what = self.draw(st.sampled_from(["spawn", "many", "despawn", "row", "row", "column", "state"]))
        if what == "spawn":
            entity_type = self.draw(st.sampled_from(types))
            self.alive.append(self.world.spawn(entity_type, owner=self.draw(st.integers(0, 3))))
        elif what == "many":
            entity_type = self.draw(st.sampled_from(types))
            count = self.draw(st.integers(0, 40))
            rows = self.world.spawn_many(entity_type, count)
            self.alive += [self.world[entity_type].at(row) for row in range(rows.start, rows.stop)]
        elif what == "state":
            self.world.state.phase = self.draw(st.integers(0, 255))
        elif self.alive:
            entity = self.alive[self.draw(st.integers(0, len(self.alive) - 1))]
            if what == "despawn":
                self.alive.remove(entity)
                self.world.despawn(entity)
            elif what == "row":
                self.write_row(entity)
            else:
                self.write_column(type(entity))

    def write_row(self, entity: Entity) -> None:
        for name in type(entity)._fields:
            kind = self.kinds_of.get((type(entity).__name__, name))
            if name == "friend":
                targets = [other for other in self.alive if type(other).__name__ == "Type0"]
                entity.friend = self.draw(st.sampled_from([None, *targets]))  # type: ignore[attr-defined]
            elif kind and self.draw(st.booleans()):
                setattr(entity, name, self.draw(VALUES[kind]))

    def write_column(self, entity_type: type[Entity]) -> None:
        table = self.world[entity_type]
        for name in entity_type._fields:
            kind = self.kinds_of.get((entity_type.__name__, name))
            if kind in ("fixed", "angle", "float32"):
                column = getattr(table, name)
                column += self.draw(st.floats(-8, 8))
            elif kind in ("uint", "integer"):
                setattr(table, name, getattr(table, name) + self.draw(st.integers(-3, 200)))

    def publish(self) -> None:
        self.world.begin_step(self.tick + 1)
        self.tick += 1
        self.published.publish(self.tick)
        self.frames.begin_tick()

    def send(self) -> None:
        """One frame to the replica, from its own tick to the newest."""
        before = {table.schema.name: set(table.ids.tolist()) for table in self.replica.tables}
        body = self.frames.body(viewer_at(self.replica.tick if self.replica.tick else NOTHING))
        payload = self.arrive(body.timed_head + messages.frame_timed(0, 0, 0, 0, 0) + body.rest)
        assert len(payload) == body.message_bytes
        frame = Frame.from_items(unpack_from_server(payload))
        changes = self.replica.apply(frame)
        assert self.replica.check(frame), "the desync hash must agree"
        self.compare()
        for change in changes:
            name = change.table.schema.name
            now = set(change.table.ids.tolist())
            assert set(change.spawned_ids.tolist()) == now - before[name]
            assert set(change.despawned_ids.tolist()) == before[name] - now
            assert set(change.changed_ids.tolist()) <= now & before[name]
            before[name] = now
        for name, held in before.items():
            assert held == set(self.replica[name].ids.tolist()), "a spawn or despawn went untold"

    def arrive(self, data: bytes) -> bytes:
        """One message through the WebSocket parser, in pieces as a network might deliver it."""
        cuts = sorted(self.draw(st.lists(st.integers(0, len(data)), max_size=6)))
        pieces = [data[start:end] for start, end in pairwise([0, *cuts, len(data)])]
        (payload,) = [payload for piece in pieces for payload in self.parser.feed(piece)]
        assert self.parser.stop is None
        return payload

    def compare(self) -> None:
        assert self.replica.tick == self.published.tick
        for table, held in zip(self.published.tables, self.replica.tables, strict=True):
            assert table.ids.tolist() == held.ids.tolist()
            assert np.array_equal(table.integers[:, table.ids], held.integers[:, held.ids])
            for i, store in table.objects.items():
                assert [store[id] for id in table.ids.tolist()] == [held.objects[i][id] for id in held.ids.tolist()]
        for entity in self.alive:
            row = self.replica[type(entity)].get(entity.id)
            assert row is not None
            self.compare_values(entity, row)

    def compare_values(self, entity: Entity, row: Any) -> None:
        if "friend" in type(entity)._fields:
            friend = entity.friend  # type: ignore[attr-defined]
            assert (row.friend.id if row.friend else None) == (friend.id if friend else None)
        for name in type(entity)._fields:
            kind = self.kinds_of.get((type(entity).__name__, name))
            given, got = getattr(entity, name), getattr(row, name) if name != "hidden" else None
            if kind == "boolean":
                assert got == given
            elif kind == "angle":
                field = row._table.schema.fields[row._table._field(name)]
                turned = (given - got) % math.tau
                assert min(turned, math.tau - turned) <= math.tau / (1 << field.bits)
            elif kind == "fixed":
                field = row._table.schema.fields[row._table._field(name)]
                assert abs(min(max(given, field.low), field.high) - got) <= field.step * 0.501 + abs(given) * 1e-9


@examples(150)
@given(entity_types(), st.data())
def test_replica_equals_world_after_every_frame(
    declared: tuple[list[type[Entity]], dict[tuple[str, str], str]], data: st.DataObject
) -> None:
    game = Game(*declared, data.draw)
    for _ in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, 6))):
            game.act()
        for _ in range(data.draw(st.sampled_from([1, 1, 1, 2, 70]))):
            game.publish()
        if data.draw(st.booleans()):
            game.send()
    game.publish()
    game.send()


def test_a_hash_that_differs_is_seen() -> None:
    class Ship(Entity):
        x = uint(8)

    world = World([Ship])
    ship = world.spawn(Ship, x=5)
    published = PublishedWorld(world)
    published.publish(1)
    frames = make_frames(published, world, hash_ticks=1)
    body = frames.body(viewer_at(NOTHING))
    payload = body.untimed_head + messages.frame_untimed(0, 0) + body.rest
    replica = Replica(world.schema())
    frame = Frame.from_items(unpack_from_server(payload))
    replica.apply(frame)
    replica.tables[0].integers[1, ship.id] = 6
    assert not replica.check(frame)
    assert (replica.desyncs, replica.hashes_checked) == (1, 1)
