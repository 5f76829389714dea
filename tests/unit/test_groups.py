"""Groups side by side in flat arrays: each operation gives what Python's sets give, group by group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import limits
from gameserver.sync.groups import GroupedIds, Holding, Moves, grouped, held_by
from tests.support.examples import examples

LARGEST_ID = 2 * limits.TABLE_ROWS
IDS = st.sets(st.integers(1, 12) | st.integers(1, LARGEST_ID) | st.sampled_from([LARGEST_ID - 1, LARGEST_ID]))
GROUPS = st.lists(IDS, max_size=7)


def made(sets: Sequence[set[int]]) -> GroupedIds:
    """Groups with these ids."""
    offsets = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    return GroupedIds(np.array([id for ids in sets for id in sorted(ids)], np.int64), offsets)


def lists(groups: GroupedIds) -> list[list[int]]:
    """The ids of each group; what holds them must be sound."""
    assert groups.ids.dtype == np.int64
    assert int(groups.offsets[0]) == 0
    assert int(groups.offsets[-1]) == len(groups.ids)
    return [groups.ids[start:end].tolist() for start, end in pairwise(groups.offsets.tolist())]


def in_order(sets: Sequence[set[int]]) -> list[list[int]]:
    return [sorted(ids) for ids in sets]


# -- one set of groups


@examples(80)
@given(GROUPS)
def test_groups_are_read_in_every_way_alike(sets: list[set[int]]) -> None:
    groups = made(sets)
    assert lists(groups) == [groups.of(at).tolist() for at in range(len(sets))] == in_order(sets)
    assert groups.counts.tolist() == [len(ids) for ids in sets]
    assert groups.group_numbers().tolist() == [at for at, ids in enumerate(sets) for _ in ids]
    assert (np.diff(groups.pairs()) > 0).all()
    assert lists(GroupedIds.from_pairs(groups.pairs(), len(sets))) == in_order(sets)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_empty_groups_hold_nothing(count: int) -> None:
    empty = GroupedIds.empty(count)
    assert lists(empty) == [[]] * count
    assert empty.sums(np.empty(0, np.uint64)).tolist() == [0] * count
    assert lists(empty.chosen(np.empty(0, np.bool_))) == [[]] * count


@examples(80)
@given(GROUPS, st.data())
def test_select_gives_groups_in_the_order_asked_for(sets: list[set[int]], data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(sets) - 1), max_size=9)) if sets else []
    assert lists(made(sets).select(np.array(wanted, np.int64))) == [sorted(sets[at]) for at in wanted]


@examples(80)
@given(GROUPS, st.integers(0, 1 << 32))
def test_chosen_keeps_each_in_its_group(sets: list[set[int]], seed: int) -> None:
    groups, random = made(sets), np.random.default_rng(seed)
    mask = random.random(len(groups.ids)) < random.choice([0.0, 0.3, 1.0])
    kept = iter(mask.tolist())
    assert lists(groups.chosen(mask)) == [[id for id in ids if next(kept)] for ids in in_order(sets)]


@examples(80)
@given(GROUPS, st.data())
def test_holds_answers_for_each_pair(sets: list[set[int]], data: st.DataObject) -> None:
    asked = data.draw(st.lists(st.tuples(st.integers(0, len(sets) - 1), IDS), max_size=4)) if sets else []
    asked += [(at, ids) for at, ids in enumerate(sets)]  # those that are there,
    asked += [(at, ids) for at in range(len(sets)) for ids in sets]  # and those of every other group
    pairs = [(group, id) for group, ids in asked for id in sorted(ids)]
    held = made(sets).holds(
        np.array([group for group, _ in pairs], np.int64), np.array([id for _, id in pairs], np.int64)
    )
    assert held.tolist() == [id in sets[group] for group, id in pairs]


@examples(80)
@given(GROUPS, st.integers(0, 1 << 32))
def test_sums_are_those_of_each_group_modulo_two_to_the_64(sets: list[set[int]], seed: int) -> None:
    groups = made(sets)
    values = np.random.default_rng(seed).integers(0, 1 << 64, len(groups.ids), np.uint64, endpoint=False)
    expected = [sum(values[start:end].tolist()) % (1 << 64) for start, end in pairwise(groups.offsets.tolist())]
    assert groups.sums(values).tolist() == expected


# -- what becomes of rows


def check_moves(then: Sequence[set[int]], now: Sequence[set[int]]) -> None:
    moves = Moves(made(then), made(now))
    assert lists(moves.then) == in_order(then)
    assert lists(moves.kept) == [sorted(had & has) for had, has in zip(then, now, strict=True)]
    assert lists(moves.left) == [sorted(had - has) for had, has in zip(then, now, strict=True)]
    assert lists(moves.entered) == [sorted(has - had) for had, has in zip(then, now, strict=True)]
    places = [sorted(had).index(id) for had, has in zip(then, now, strict=True) for id in sorted(had - has)]
    assert moves.left_places.tolist() == places


@examples(150)
@given(st.lists(st.tuples(IDS, IDS, IDS), max_size=6))
def test_moves_are_the_differences_of_sets(groups: list[tuple[set[int], set[int], set[int]]]) -> None:
    check_moves([had | both for had, both, _ in groups], [both | has for _, both, has in groups])


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ([], []),
        ([set()], [set()]),
        ([set(), set()], [{1, 2}, set()]),
        ([{1, 2}, {3}], [set(), set()]),
        ([{5}, {5}], [{5}, {6}]),  # the same id in neighbouring groups
        ([{LARGEST_ID}, {1}], [set(), {1, LARGEST_ID}]),
        ([{1}, set(), {1}], [{1}, {1}, set()]),
    ],
)
def test_moves_of_few(then: list[set[int]], now: list[set[int]]) -> None:
    check_moves(then, now)


# -- what groups hold


@examples(100)
@given(st.lists(GROUPS.filter(bool), min_size=2, max_size=3), st.sampled_from([1, 3]), st.booleans(), st.data())
def test_held_by_puts_side_by_side_what_each_holds(
    ticks: list[list[set[int]]], written_in: int, some_hold_nothing: bool, data: st.DataObject
) -> None:
    """The holdings are of one tick or of several, and some players hold nothing."""
    tables = [[made([{7}] * len(sets)), made(sets)] for sets in ticks]  # the first is of a table besides
    held: list[Holding | None] = []
    expected: list[list[int]] = []
    for player in range(data.draw(st.integers(0, 6))):
        at = player % min(written_in, len(ticks))
        group = data.draw(st.integers(0, len(ticks[at]) - 1))
        nothing = some_hold_nothing and data.draw(st.booleans())
        held.append(None if nothing else Holding(tables[at], group))
        expected.append([] if nothing else sorted(ticks[at][group]))
    assert lists(held_by(held, 1)) == expected


# -- pairs of group and row


def check_grouped(groups: list[int], ranks: list[int], ids: np.ndarray, count: int) -> None:
    found = grouped(np.array(groups, np.int64), np.array(ranks, np.int64), ids, count)
    expected: list[set[int]] = [set() for _ in range(count)]
    for group, rank in zip(groups, ranks, strict=True):
        expected[group].add(int(ids[rank]))
    assert lists(found) == in_order(expected)


@examples(80)
@given(st.sets(st.integers(1, LARGEST_ID), min_size=1, max_size=40), st.integers(0, 1 << 32), st.integers(1, 9))
def test_grouped_sorts_pairs_and_drops_repetitions(ids: set[int], seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(0, 120))
    groups = np.sort(random.integers(0, count, size)).tolist()
    check_grouped(groups, random.integers(0, len(ids), size).tolist(), np.array(sorted(ids), np.int64), count)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1 << 16, (1 << 16) + 1])
@pytest.mark.parametrize("count", [1, 1 << 16, (1 << 16) + 1])
def test_grouped_at_the_end_of_the_short_sort(rows: int, count: int) -> None:
    """Up to 65536 rows and groups are sorted as 16 bits; the largest of them, and the first beyond."""
    ids = LARGEST_ID - rows + 1 + np.arange(rows)
    groups = sorted([0, 0, count // 2, count - 1, count - 1, count - 1])
    for ranks in ([rows - 1, 0, rows - 1, rows - 1, 255, rows - 1], [0, 65535, 256, rows - 1, 0, 1]):
        check_grouped(groups, ranks, ids, count)
    check_grouped([], [], ids, count)


def test_a_table_without_rows_gives_empty_groups() -> None:
    check_grouped([], [], np.empty(0, np.int64), 3)
    assert lists(grouped(*(np.empty(0, np.int64),) * 3, 0)) == []
