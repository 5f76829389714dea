"""The grid: rows that tremble stay in their cell, and whoever looks around a cell misses nothing within the radius."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver.world.grid import MOST_REACH, CellIndex, Neighbourhood, StickyCells, cell_of, centre_of
from tests.support.examples import examples

AXES = st.integers(1, 3)
SEEDS = st.integers(0, 1 << 32)
#: Beyond so many cells everything counts as in the outermost one.
CELLS_THAT_COUNT = (1 << 20) - MOST_REACH - 1


def coordinates(cell: int, axes: int) -> tuple[int, ...]:
    """Which cell along each axis a name means."""
    return tuple(math.floor(middle) for middle in centre_of(cell, 1.0, axes))


def columns(points: Any, axes: int) -> list[Any]:
    """Positions, one row a point, as one column for each axis."""
    table = np.array(points, np.float64).reshape(-1, axes)
    return [table[:, axis].copy() for axis in range(axes)]


def update(sticky: StickyCells, ids: Any, points: Any, axes: int) -> list[tuple[int, ...]]:
    """The rows' cells along each axis."""
    cells = sticky.update(np.array(ids, np.int64), columns(points, axes))
    return [coordinates(cell, axes) for cell in cells.tolist()]


# -- which cell a row is in


@examples(100)
@given(AXES, SEEDS, st.floats(0.1, 50), st.floats(0, 2), st.floats(0.1, 400))
def test_a_row_leaves_its_cell_only_beyond_the_margin_and_goes_where_it_is(
    axes: int, seed: int, cell: float, margin_cells: float, stride: float
) -> None:
    random, margin = np.random.default_rng(seed), margin_cells * cell
    sticky, held = StickyCells(cell, margin, axes), dict.fromkeys(range(1, 60), (0,) * axes)
    points = {id: random.uniform(-500, 500, axes) for id in held}
    rounding = 1e-9 * (1000 + stride)
    for _ in range(12):
        ids = random.permutation([*held])[: random.integers(1, 60)]
        for id in ids:
            points[id] = points[id] + random.normal(0, stride, axes)
        for id, at in zip(ids, update(sticky, ids, [points[id] for id in ids], axes), strict=True):
            for point, before, now in zip(points[id], held[id], at, strict=True):
                beyond = max(before * cell - point, point - (before + 1) * cell)
                if beyond < margin - rounding:
                    assert now == before
                elif beyond > margin + rounding:
                    assert now * cell - rounding <= point <= (now + 1) * cell + rounding
            held[id] = at


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("border", [-3200.0, -16.0, 0.0, 16.0, 4000.0])
def test_what_trembles_on_a_border_stays_and_what_leaves_the_margin_goes(axes: int, border: float) -> None:
    sticky = StickyCells(16.0, 2.0, axes)
    home = update(sticky, [7], [[border + 5] * axes], axes)
    for offset in (-1.9, 1.9, -0.1, 0.1, -2.0, 0.0, 15.9, 17.9, -1.9):
        assert update(sticky, [7], [[border + offset] * axes], axes) == home
    [below] = update(sticky, [7], [[border - 2.1] * axes], axes)
    assert below == tuple(at - 1 for at in home[0])
    assert update(sticky, [7], [[border + 1.9] * axes], axes) == [below]
    assert update(sticky, [7], [[border + 2.0] * axes], axes) == home


def test_without_a_margin_a_border_belongs_to_the_cell_above_it() -> None:
    sticky = StickyCells(10.0, 0.0, 1)
    for point, cell in ((10.0, 1), (9.999, 0), (20.0, 2), (-0.001, -1), (0.0, 0), (-10.0, -1), (-10.001, -2)):
        assert update(sticky, [1], [[point]], 1) == [(cell,)], point
        assert coordinates(cell_of([point], 10.0), 1) == (cell,), point


def test_rows_are_known_by_id_whatever_their_order_and_number() -> None:
    sticky = StickyCells(10.0, 3.0, 2)
    update(sticky, [3, 1, 2], [[35, 5], [15, 5], [25, 5]], 2)
    many = np.arange(1, 3000)
    points = np.full((len(many), 2), 11.0)
    points[:3] = [[12, 5], [22, 5], [32, 5]]
    assert update(sticky, many[::-1], points[::-1], 2)[-3:] == [(3, 0), (2, 0), (1, 0)]
    assert update(sticky, [2, 2999], [[18, 5], [12, 12]], 2) == [(2, 0), (0, 0)]  # 2999 began in cell 0 and trembles
    assert update(sticky, [], [], 2) == []


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("far", [1e7, 1e12, 1e300, math.inf])
def test_beyond_a_million_cells_all_is_in_the_outermost_and_no_axis_disturbs_another(axes: int, far: float) -> None:
    sticky = StickyCells(1.0, 0.25, axes)
    corners = list(itertools.product((-far, 3.5, far), repeat=axes))
    expected = {-far: -CELLS_THAT_COUNT, 3.5: 3, far: CELLS_THAT_COUNT}
    ids = np.arange(1, len(corners) + 1)
    for _ in range(2):  # it is as stable as any other place
        cells = sticky.update(ids, columns(corners, axes)).tolist()
        assert [coordinates(cell, axes) for cell in cells] == [
            tuple(expected[at] for at in corner) for corner in corners
        ]
        assert len({*cells}) == len(corners)
        assert min(cells) >= 0
    assert [cell_of(corner, 1.0) for corner in corners] == cells
    back = sticky.update(ids, columns(np.full((len(ids), axes), 0.5), axes)).tolist()
    assert [coordinates(cell, axes) for cell in back] == [
        tuple(0 if abs(at) > 4 else coordinate for at, coordinate in zip(corner, [0] * axes, strict=True))
        for corner in corners
    ]


@examples(100)
@given(st.lists(st.integers(-CELLS_THAT_COUNT, CELLS_THAT_COUNT), min_size=1, max_size=3), st.sampled_from([0.5, 1, 8]))
def test_a_name_is_read_back_as_the_middle_of_its_cell(at: list[int], width: float) -> None:
    middle = [(coordinate + 0.5) * width for coordinate in at]
    assert centre_of(cell_of(middle, width), width, len(at)) == middle


# -- what is near


def is_near(one: tuple[int, ...], other: tuple[int, ...], radius: float, cell: float, margin: float) -> bool:
    """Whether things that count as in two cells can be within the radius."""
    gaps = [max(0.0, (abs(a - b) - 1) * cell - 2 * margin) for a, b in zip(one, other, strict=True)]
    return math.hypot(*gaps) < radius * (1 - 1e-9)


def cells_around(near: Neighbourhood, axes: int) -> set[tuple[int, ...]]:
    """Offsets of all cells in a neighbourhood; each must be in it once."""
    origin = cell_of([0.5] * axes, 1.0)
    found = [
        coordinates(origin + offset, axes)
        for start, end in zip(near.starts.tolist(), near.ends.tolist(), strict=True)
        for offset in range(start, end)
    ]
    assert len(found) == len({*found})
    return {*found}


@examples(60)
@given(AXES, st.floats(1, 500), st.floats(0.15, 4), st.floats(0, 1))
def test_a_neighbourhood_is_all_cells_that_can_hold_something_within_the_radius(
    axes: int, radius: float, cells_per_radius: float, margin_share: float
) -> None:
    margin = margin_share * radius
    cell = (radius + 2 * margin) / cells_per_radius
    near = Neighbourhood(radius, cell, margin, axes)
    reach = math.ceil(cells_per_radius) + 1
    offsets = itertools.product(range(-reach, reach + 1), repeat=axes)
    origin = (0,) * axes
    assert cells_around(near, axes) == {at for at in offsets if is_near(origin, at, radius, cell, margin)}


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("radius", "cell", "margin"), [(300, 78, 6), (300, 100, 0), (10, 100, 10), (5, 1, 0.5)])
def test_runs_ascend_and_never_overlap(axes: int, radius: float, cell: float, margin: float) -> None:
    near = Neighbourhood(radius, cell, margin, axes)
    assert (near.starts < near.ends).all()
    assert (near.ends[:-1] <= near.starts[1:]).all()


def test_a_radius_of_whole_cells_reaches_that_many_and_not_one_more() -> None:
    for cell in (0.1, 0.3, 1 / 3, 7.0, 78.0):
        for count in (1, 3, 7, 41):
            near = Neighbourhood(count * cell, cell, 0.0, 1)
            assert (near.starts.tolist(), near.ends.tolist()) == ([-count], [count + 1])


def test_a_radius_of_too_many_cells_is_refused() -> None:
    assert len(Neighbourhood(63.0, 1.0, 0.0, 1).starts) == 1
    with pytest.raises(ValueError, match="63 cells"):
        Neighbourhood(63.1, 1.0, 0.0, 1)


def seen_pairs(near: Neighbourhood, rows: Any, watchers: Any) -> set[tuple[int, int]]:
    """(watcher, row) of all that are found; each must be found once."""
    groups, ranks = CellIndex(rows, np.arange(len(rows))).around(watchers, np.arange(len(watchers)), near)
    found = [*zip(groups.tolist(), ranks.tolist(), strict=True)]
    assert len(found) == len({*found})
    return {*found}


@examples(80)
@given(AXES, SEEDS, st.floats(5, 300), st.floats(0.3, 6), st.floats(0, 1), st.sampled_from([0.0, 1e5, -3e5]))
def test_everything_within_the_radius_is_found_and_nothing_beyond_the_bound(
    axes: int, seed: int, radius: float, cells_per_radius: float, margin_share: float, offset: float
) -> None:
    margin = margin_share * radius
    cell = (radius + 2 * margin) / cells_per_radius
    near, random = Neighbourhood(radius, cell, margin, axes), np.random.default_rng(seed)
    rows, watchers = StickyCells(cell, margin, axes), StickyCells(cell, margin, axes)
    place = random.uniform(-2 * radius, 2 * radius, (120, axes)) + offset
    eyes = random.uniform(-radius, radius, (12, axes)) + offset
    bound = radius + math.sqrt(axes) * (2 * cell + 4 * margin)
    for _ in range(4):  # so that some rows stick to a cell which they have left
        place += random.normal(0, margin + cell / 4, place.shape)
        eyes += random.normal(0, margin + cell / 4, eyes.shape)
        cells = rows.update(np.arange(1, 121), columns(place, axes))
        found = seen_pairs(near, cells, watchers.update(np.arange(1, 13), columns(eyes, axes)))
        for watcher, row in itertools.product(range(12), range(120)):
            distance = math.dist(eyes[watcher], place[row])
            if distance < radius * (1 - 1e-6):
                assert (watcher, row) in found
            if distance > bound * (1 + 1e-6):
                assert (watcher, row) not in found


@pytest.mark.parametrize(("axes", "reach"), [(2, 63.0), (3, 9.0)])
def test_the_end_of_the_world_does_not_run_into_the_next_axis(axes: int, reach: float) -> None:
    """What is added to an outermost cell must never name one at the other end of a neighbouring row."""
    near = Neighbourhood(reach, 1.0, 0.0, axes)
    ends = (-math.inf, math.inf)
    watchers = np.array([cell_of([end, *[0.5] * (axes - 1)], 1.0) for end in ends])
    points = [[end, at, *[0.5] * (axes - 2)] for end in ends for at in (-0.5, 0.5, 1.5, 2 + reach)]
    rows = np.array([cell_of(point, 1.0) for point in points])
    assert seen_pairs(near, rows, watchers) == {(0, 0), (0, 1), (0, 2), (1, 4), (1, 5), (1, 6)}


# -- rows by cell


@examples(80)
@given(st.integers(1, 2), SEEDS, st.integers(0, 200), st.integers(0, 9))
def test_around_gives_the_rows_of_all_cells_near_each_centre_in_the_order_of_the_groups(
    axes: int, seed: int, rows: int, watchers: int
) -> None:
    random = np.random.default_rng(seed)
    near = Neighbourhood(2.5, 1.0, 0.0, axes)
    at = random.integers(-6, 6, (rows, axes))
    eyes = random.integers(-6, 6, (watchers, axes))
    ranks = random.permutation(rows) * 3
    groups = np.sort(random.integers(0, 5, watchers))  # some see through several
    index = CellIndex(np.array([cell_of(point + 0.5, 1.0) for point in at], np.int64), ranks)
    centres = np.array([cell_of(point + 0.5, 1.0) for point in eyes], np.int64)
    found_groups, found_ranks = index.around(centres, groups, near)
    assert (np.diff(found_groups) >= 0).all()
    expected = [
        (int(group), int(rank))
        for group, eye in zip(groups, eyes, strict=True)
        for rank, point in zip(ranks, at, strict=True)
        if is_near(tuple(eye), tuple(point), 2.5, 1.0, 0.0)
    ]
    assert sorted(zip(found_groups.tolist(), found_ranks.tolist(), strict=True)) == sorted(expected)
