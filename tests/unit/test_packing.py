"""Chunks for many groups at once: each, read by a real replica, leads from what its group held to what it sees now."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import Frame, Replica
from gameserver import Entity, angle, binary, boolean, fixed, float32, integer, reference, text, uint, value
from gameserver.sync.chunks import delta_chunk, full_chunk
from gameserver.sync.groups import GroupedIds, Moves
from gameserver.sync.packing import TablePacker
from gameserver.world.publish import PublishedWorld
from gameserver.world.world import World
from tests.support.examples import examples


class Probe(Entity):
    x = fixed(-4000, 4000, step=1 / 16)
    heading = angle(bits=10)
    facing = angle(bits=8)
    hp = uint(8)
    score = uint(32)
    depth = integer(32)
    heat = float32()
    flag = boolean()
    hidden = boolean()
    name = text(max_bytes=300)
    blob = binary(max_bytes=300)
    bag = value()
    friend = reference("Probe")


#: So many fields that their indexes need more than one byte, with every sort of them beyond that.
Wide: Any = type(Entity)(  # type: ignore[misc]
    "Wide",
    (Entity,),
    {f"n{at}": uint(16) for at in range(130)}
    | {"x": fixed(-4000, 4000, step=1 / 16), "heading": angle(bits=10), "flag": boolean(), "name": text(max_bytes=300)},
)


class Group:
    """Some rows, a replica of them, and the tick as of which it holds them."""

    def __init__(self, scene: Scene) -> None:
        self.replica = Replica(scene.world.schema())
        self.held: set[int] = set()
        self.baseline = 0


class Scene:
    """One table, published tick by tick, and groups that see ever other parts of it."""

    def __init__(self, entity_type: type[Entity], rows: int, groups: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.world = World((entity_type,))
        self.entities: Any = self.world[entity_type]
        self.entity_type = entity_type
        self.published = PublishedWorld(self.world)
        [self.table] = self.published.tables
        self.world.spawn_many(entity_type, rows, x=self.random.uniform(-4000, 4000, rows))
        self.groups = [Group(self) for _ in range(groups)]
        self.everything = Group(self)  # is sent what is made for a single receiver
        self.tick = 0

    def publish(self) -> None:
        self.tick += 1
        self.world.begin_step(self.tick)
        self.published.publish(self.tick)

    def some(self, share: float) -> Any:
        """Rows, each with this chance."""
        return np.flatnonzero(self.random.random(len(self.entities.ids)) < share)

    # -- what happens to the world

    def crawl(self) -> None:
        """Everything moves and turns a little, across the ends of a turn too."""
        count = len(self.entities)
        self.entities.x += self.random.uniform(-7, 7, count)
        self.entities.heading += self.random.uniform(-0.6, 0.6, count)
        if "facing" in self.entity_type._fields:
            self.entities.facing += self.random.uniform(-0.6, 0.6, count)

    def jump(self) -> None:
        """A few move so far that a byte cannot say it."""
        self.crawl()
        rows = self.some(0.04)
        self.entities.x[rows] = self.random.uniform(-4000, 4000, len(rows))
        self.entities.heading[rows] += 1.9

    def scatter(self) -> None:
        """All of them move so far."""
        self.entities.x = self.random.uniform(-4000, 4000, len(self.entities))

    def hurt(self) -> None:
        """Numbers and flags change here and there."""
        for name in ("hp", "score", "depth", "heat", "n0", "n127", "n128"):
            if name in self.entity_type._fields:
                column, rows = getattr(self.entities, name), self.some(self.random.choice([0.02, 0.3]))
                column[rows] += self.random.choice([1, 100, 70_000])
        self.entities.flag[self.some(0.1)] ^= True

    def flash(self) -> None:
        """Most flags change."""
        for name in {"flag", "hidden"} & self.entity_type._fields.keys():
            getattr(self.entities, name)[self.some(0.8)] ^= True

    def speak(self) -> None:
        """Some objects change; sometimes all of them."""
        for row in self.some(self.random.choice([0.03, 1.0])).tolist():
            said = "é" * int(self.random.choice([0, 1, 3, 130]))
            self.entities.name[row] = said
            if "bag" in self.entity_type._fields:
                self.entities.blob[row], self.entities.bag[row] = said.encode(), {"said": [said, self.tick]}

    def befriend(self) -> None:
        """References, some of which point to rows that few see."""
        if "friend" in self.entity_type._fields:
            living = [*self.entities]
            for row in self.some(0.1).tolist():
                self.entities.at(row).friend = living[self.random.integers(len(living))]

    def come_and_go(self) -> None:
        for row in self.some(0.1).tolist():
            self.world.despawn(self.entities.at(row))
        self.world.fill_gaps()
        for _ in range(self.random.integers(1, 6)):
            self.world.spawn(self.entity_type, x=float(self.random.uniform(-4000, 4000)), name="new")

    def flood(self) -> None:
        """Very many fields change, in all rows."""
        for name in self.entity_type._fields:
            if name.startswith("n") and name != "name":
                getattr(self.entities, name)[:] += self.random.integers(0, 3, len(self.entities))

    def trickle(self) -> None:
        """Very many fields change, each in rows of its own."""
        for name in self.entity_type._fields:
            if name.startswith("n") and name != "name" and self.random.random() < 0.3:
                getattr(self.entities, name)[self.some(0.05)] += 1

    def nothing(self) -> None:
        pass

    # -- what groups are sent

    def look(self, held: set[int]) -> set[int]:
        """What a group that held some rows sees now: about the same, or something else altogether."""
        there = self.table.ids
        if self.random.random() < 0.3:
            share = self.random.choice([0.0, 0.02, 0.5, 1.0])
            return {*there[self.random.random(len(there)) < share].tolist()}
        come = {*there[self.random.random(len(there)) < 0.05].tolist()}
        return {id for id in held & {*there.tolist()} if self.random.random() < 0.95} | come

    def send(self) -> None:
        """Bring some groups up to date, each from the tick at which it was sent something last."""
        packer = TablePacker(self.table, self.published.previous_tick)
        chosen = [group for group in self.groups if self.random.random() < 0.7]
        for baseline in {group.baseline for group in chosen}:
            together = [group for group in chosen if group.baseline == baseline]
            then, now = [group.held for group in together], [self.look(group.held) for group in together]
            chunks = packer.chunks(Moves(ids(then), ids(now)), baseline)
            for group, seen, chunk in zip(together, now, chunks, strict=True):
                self.bring(group, seen, chunk)
        plain = delta_chunk(self.table, self.everything.baseline, self.published.previous_tick)
        plain = plain if self.everything.baseline else full_chunk(self.table)
        self.bring(self.everything, {*self.table.ids.tolist()}, plain or b"")

    def send_all(self) -> bytes:
        """Bring the first group, which sees everything, up to date; the chunk."""
        [group, *_] = self.groups
        seen = {*self.table.ids.tolist()}
        packer = TablePacker(self.table, self.published.previous_tick)
        [chunk] = packer.chunks(Moves(ids([group.held]), ids([seen])), group.baseline)
        self.bring(group, seen, chunk)
        return chunk

    def bring(self, group: Group, seen: set[int], chunk: bytes) -> None:
        """Apply a chunk; the replica must then hold what is seen, as it is published."""
        back = self.tick - group.baseline if group.baseline else 0
        chunks = [msgpack.unpackb(chunk)] if chunk else []
        group.replica.apply(Frame.from_items([3, [self.tick, back, 0], None, *chunks]))
        group.held, group.baseline = seen, self.tick
        [held] = group.replica.tables
        assert held.ids.tolist() == sorted(seen)
        assert np.array_equal(held.integers[:, held.ids], self.table.integers[:, held.ids])
        for i, store in self.table.objects.items():
            name = self.table.kinds[i].name
            for id in sorted(seen)[:40]:
                assert getattr(group.replica[self.entity_type].get(id), name) == self.plain(i, store[id])

    def plain(self, i: int, travels: Any) -> Any:
        """What a front end reads of an object that travels so."""
        return msgpack.unpackb(travels) if self.table.kinds[i].name == "bag" else travels


def ids(sets: list[set[int]]) -> GroupedIds:
    offsets = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    return GroupedIds(np.array([id for group in sets for id in sorted(group)], np.int64), offsets)


DEEDS = (
    *("crawl", "crawl", "jump", "scatter", "hurt", "flash"),
    *("flood", "trickle", "speak", "befriend", "come_and_go", "nothing"),
)


@examples(80)
@given(
    st.sampled_from([Probe, Probe, Wide]),
    st.sampled_from([1, 9, 60, 700]),
    st.integers(1, 9),
    st.integers(0, 1 << 32),
    st.lists(st.lists(st.sampled_from(DEEDS), max_size=3), min_size=2, max_size=9),
)
def test_each_group_is_brought_to_what_it_sees(
    entity_type: Any, rows: int, groups: int, seed: int, story: list[list[str]]
) -> None:
    scene = Scene(entity_type, rows, groups, seed)
    for deeds in story:
        for deed in deeds:
            getattr(scene, deed)()
        scene.publish()
        scene.send()


def two_groups(rows: int, *, deed: str, entity_type: Any = Probe) -> tuple[Scene, list[bytes]]:
    """What two halves of a table are sent in the tick after the one in which they were sent it whole."""
    scene = Scene(entity_type, rows, 2, 5)
    scene.publish()
    halves = [{*range(1, rows // 2 + 1)}, {*range(rows // 2 + 1, rows + 1)}]
    whole = TablePacker(scene.table, 0).chunks(Moves(ids([set(), set()]), ids(halves)), 0)
    for group, half, chunk in zip(scene.groups, halves, whole, strict=True):
        scene.bring(group, half, chunk)
    if deed == "hurt one":
        scene.entities.hp[rows - 1] = 7
    else:
        getattr(scene, deed)()
    scene.publish()
    chunks = TablePacker(scene.table, scene.tick - 1).chunks(Moves(ids(halves), ids(halves)), scene.tick - 1)
    for group, half, chunk in zip(scene.groups, halves, chunks, strict=True):
        scene.bring(group, half, chunk)
    return scene, chunks


def test_a_group_in_which_nothing_happened_is_sent_nothing() -> None:
    assert two_groups(40, deed="nothing")[1] == [b"", b""]
    _, (first, second) = two_groups(40, deed="hurt one")
    assert first == b""
    assert msgpack.unpackb(second)[4][1:] == [4, b"\x07"]  # a field, and one byte in a column of one row


@pytest.mark.parametrize("rows", [14, 510, 512, 514, 1400])
@pytest.mark.parametrize("entity_type", [Probe, Wide])
def test_rows_that_crawl_cost_a_byte_for_each_field(rows: int, entity_type: Any) -> None:
    """Two fields of more than 8 bits, and in a probe one of 8: names, heads and lengths come once."""
    _, chunks = two_groups(rows, deed="crawl", entity_type=entity_type)
    fields = 3 if entity_type is Probe else 2
    assert all(len(chunk) <= fields * rows // 2 + 6 * fields + 8 for chunk in chunks)


def test_only_groups_with_a_large_move_have_the_second_bin() -> None:
    scene = Scene(Probe, 100, 2, 5)
    scene.publish()
    halves = [{*range(1, 51)}, {*range(51, 101)}]
    moves = Moves(ids(halves), ids(halves))
    scene.entities.x += 1
    scene.entities.x[70] -= 100
    scene.publish()
    first, second = (msgpack.unpackb(chunk)[4] for chunk in TablePacker(scene.table, 1).chunks(moves, 1))
    assert [len(block[2]) for block in (first, second)] == [1, 2]
    assert second[2][0].count(b"\x80") == 1


@pytest.mark.parametrize(("gone", "bytes_"), [([7], 1), ([300], 50), ([1, 2, 3], 3), (range(1, 200), 50)])
def test_removals_are_named_in_the_shorter_way(gone: Any, bytes_: int) -> None:
    """By gaps of a byte each, or a bit for each of the 400 rows held; 300 is too far for a gap of one byte."""
    scene = Scene(Probe, 400, 1, 5)
    scene.publish()
    everything = {*range(1, 401)}
    moves = Moves(ids([everything]), ids([everything - {*gone}]))
    [chunk] = TablePacker(scene.table, 1).chunks(moves, 1)
    _, _, removed, whole = msgpack.unpackb(chunk)
    assert whole is None
    assert len(removed[0] if isinstance(removed, list) else removed) == bytes_


@pytest.mark.parametrize("steps", [-129, -128, -127, -1, 127, 128, 129])
@pytest.mark.parametrize("rows", [3, 600])
def test_differences_at_the_ends_of_a_byte(rows: int, steps: int) -> None:
    """One row moves and turns so many steps; beyond a byte its place is sent as it is."""
    scene = Scene(Probe, rows, 1, 5)
    scene.entities.x = scene.random.integers(-60_000, 60_000, rows) / 16
    scene.publish()
    scene.send_all()
    scene.entities.x += 1 / 16
    scene.entities.heading += math.tau / 1024
    scene.entities.x[rows - 1] += (steps - 1) / 16
    scene.entities.heading[rows - 1] += (steps - 1) * math.tau / 1024
    scene.publish()
    _, _, _, _, [_, _, x, _, heading] = msgpack.unpackb(scene.send_all())
    assert [len(x), len(heading)] == [1 if -128 < steps < 128 else 2] * 2


@pytest.mark.parametrize("gap", [253, 254, 255, 256])
def test_gaps_at_the_end_of_a_byte(gap: int) -> None:
    scene = Scene(Probe, 1200, 1, 5)
    scene.publish()
    [group] = scene.groups
    few = {gap, 2 * gap, 3 * gap + 1, 3 * gap + 2}
    [chunk] = TablePacker(scene.table, 0).chunks(Moves(ids([set()]), ids([few])), 0)
    scene.bring(group, few, chunk)
    everything = {*range(1, 1201)}
    scene.publish()
    [chunk] = TablePacker(scene.table, 1).chunks(Moves(ids([few]), ids([everything])), 1)
    scene.bring(group, everything, chunk)
    scene.publish()
    [chunk] = TablePacker(scene.table, 2).chunks(Moves(ids([everything]), ids([everything - few])), 2)
    scene.bring(group, everything - few, chunk)


@pytest.mark.parametrize("count", [1, 2, 3, 12, 300])
def test_whole_rows_with_ids_far_apart(count: int) -> None:
    scene = Scene(Probe, 3000, 1, 5)
    scene.speak()
    scene.hurt()
    scene.publish()
    seen = {*np.linspace(1, 3000, count, dtype=int).tolist()} | {3000}
    [chunk] = TablePacker(scene.table, 0).chunks(Moves(ids([set()]), ids([seen])), 0)
    scene.bring(scene.groups[0], seen, chunk)


def test_no_groups_and_groups_without_rows() -> None:
    scene = Scene(Probe, 10, 0, 5)
    scene.publish()
    packer = TablePacker(scene.table, 0)
    assert packer.chunks(Moves(ids([]), ids([])), 0) == []
    assert packer.chunks(Moves(ids([set(), set()]), ids([set(), set()])), 0) == [b"", b""]
    scene.crawl()
    scene.publish()
    empty = TablePacker(scene.table, 1).chunks(Moves(ids([set(), {1}]), ids([set(), {1}])), 1)
    assert empty[0] == b""
    assert empty[1] != b""


def test_the_last_rows_of_a_table_leave() -> None:
    """The table is empty now; those who held something of it are still told."""
    scene = Scene(Probe, 3, 1, 5)
    scene.publish()
    [whole] = TablePacker(scene.table, 0).chunks(Moves(ids([set()]), ids([{1, 2, 3}])), 0)
    scene.bring(scene.groups[0], {1, 2, 3}, whole)
    for probe in scene.entities:
        scene.world.despawn(probe)
    scene.publish()
    [chunk] = TablePacker(scene.table, 1).chunks(Moves(ids([{1, 2, 3}]), ids([set()])), 1)
    scene.bring(scene.groups[0], set(), chunk)
