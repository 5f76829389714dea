"""A grid over positions: which cell each row is in, and which rows are in and around a cell.

Cells are named by one integer, the coordinates of each axis side by side (21 bits each, the first axis lowest), so that
the cells of a row of the grid follow each other and rows of a table that are sorted by cell lie in one run.

A row stays in its cell until it is farther than the margin outside of it. So what trembles on a border is in one cell,
and neither enters nor leaves a view in every tick.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gameprotocol._fields import IntColumn

_AXIS_BITS: Final = 21
_AXIS_MASK: Final = (1 << _AXIS_BITS) - 1
#: Coordinate 0 lies in the middle. Beyond a million cells from it everything counts as in the outermost cell.
_BIAS: Final = 1 << (_AXIS_BITS - 1)
#: Largest reach in cells, along one axis; what is added to an outermost cell must not run into the next axis.
MOST_REACH: Final = 64
#: A look-up table for the rectangle of cells that holds all rows may have so many entries, and eight a row.
_DENSE_CELLS: Final = 1 << 16
#: So that a radius of a whole number of cells is that, whatever the division gives.
_ROUNDING: Final = 1e-9
_FARTHEST: Final = _BIAS - MOST_REACH - 1


class StickyCells:
    """The cell of each row of one table.

    Args:
        cell: width of a cell, in the unit of the positions.
        margin: how far outside its cell a row may be, in the same unit.
        axes: how many columns a position has, 1 to 3.
    """

    def __init__(self, cell: float, margin: float, axes: int) -> None:
        self._per_unit = 1.0 / cell
        self._low = -margin / cell
        self._high = 1.0 + margin / cell
        self._held = np.zeros((axes, 16), np.int64)

    def update(self, ids: IntColumn, position: Sequence[NDArray[np.float64]]) -> IntColumn:
        """Bring the cells up to date.

        Args:
            ids: of the rows, int64, at least 1 each.
            position: for each axis the column, float64, as long as ``ids``.
        Returns:
            The rows' cells, int64, in the same order.
        """
        if len(ids) and int(ids.max()) >= self._held.shape[1]:
            self._held = np.pad(self._held, ((0, 0), (0, int(ids.max()) + 1)))
        cells = np.zeros(len(ids), np.int64)
        for axis, column in enumerate(position):
            held = self._held[axis]
            coordinates = held[ids]
            scaled = column * self._per_unit
            inside = scaled - coordinates
            left = (inside < self._low) | (inside >= self._high)
            if left.any():
                coordinates[left] = _clipped(scaled[left])
                held[ids[left]] = coordinates[left]
            cells += (coordinates + _BIAS) << (_AXIS_BITS * axis)
        return cells


def cell_of(position: Sequence[float], cell: float) -> int:
    """The cell of one point."""
    at = _clipped(np.array(position) / cell) + _BIAS
    return sum(int(coordinate) << (_AXIS_BITS * axis) for axis, coordinate in enumerate(at))


def centre_of(cell: int, width: float, axes: int) -> list[float]:
    """The middle of a cell, in the unit of the positions."""
    return [((cell >> (_AXIS_BITS * axis) & _AXIS_MASK) - _BIAS + 0.5) * width for axis in range(axes)]


def _clipped(scaled: NDArray[np.float64]) -> IntColumn:
    return np.floor(np.clip(scaled, -_FARTHEST, _FARTHEST)).astype(np.int64)


class Neighbourhood:
    """The cells around a cell in which something may be that is within a radius, as runs along the first axis.

    Args:
        radius: how far a watcher sees, in the unit of the positions.
        cell, margin: as of `StickyCells`; the watcher's own cell is sticky too.
        axes: how many columns a position has.

    Attributes:
        starts, ends: int64, what to add to a cell to get the first cell of each run, and the one behind its last.
    """

    def __init__(self, radius: float, cell: float, margin: float, axes: int) -> None:
        reach = math.ceil((radius + 2 * margin) / cell - _ROUNDING)
        if not reach < MOST_REACH:
            raise ValueError(f"a radius of {radius} is more than {MOST_REACH - 1} cells of {cell}")

        def gap(cells: int) -> float:
            """How near two things can be along one axis that are so many cells apart, both outside by the margin."""
            return max(0.0, (abs(cells) - 1) * cell - 2 * margin)

        starts, ends = [], []
        for others in itertools.product(range(-reach, reach + 1), repeat=axes - 1):
            # Two things in such cells are always farther apart than the gap, so a gap of just the radius is too wide.
            left = radius**2 * (1.0 - _ROUNDING) - sum(gap(offset) ** 2 for offset in others)
            if left <= 0:
                continue
            width = max(offset for offset in range(reach + 1) if gap(offset) ** 2 < left)
            base = sum(offset << (_AXIS_BITS * (axis + 1)) for axis, offset in enumerate(others))
            starts.append(base - width)
            ends.append(base + width + 1)
        order = np.argsort(starts)
        self.starts: IntColumn = np.array(starts, np.int64)[order]
        self.ends: IntColumn = np.array(ends, np.int64)[order]


class CellIndex:
    """The rows of one table in one tick, sorted by cell.

    Args:
        cells: of the rows, int64.
        ranks: what names each row in the answers, int64.
    """

    def __init__(self, cells: IntColumn, ranks: IntColumn) -> None:
        order = np.argsort(cells, kind="stable")
        self._cells = cells[order]
        self._ranks = ranks[order]
        self._dense = _DenseCells.of(self._cells)

    def around(self, centres: IntColumn, groups: IntColumn, near: Neighbourhood) -> tuple[IntColumn, IntColumn]:
        """The rows around some cells.

        Args:
            centres: cells, int64. groups: what names each of them in the answer, int64, ascending.
        Returns:
            Group and rank of each (centre, row) that are near each other, in the order of the groups.
        """
        runs = len(near.starts)
        places = self._dense.places if self._dense is not None else self._search
        first = places((centres[:, None] + near.starts).ravel())
        behind = places((centres[:, None] + near.ends).ravel())
        lengths = behind - first
        ends = lengths.cumsum()
        total = int(ends[-1]) if len(ends) else 0
        at = np.repeat(first - ends + lengths, lengths) + np.arange(total)
        return np.repeat(np.repeat(groups, runs), lengths), self._ranks[at]

    def _search(self, cells: IntColumn) -> IntColumn:
        places: IntColumn = np.searchsorted(self._cells, cells)
        return places


class _DenseCells:
    """How many rows lie before each cell of the rectangle that holds them all: a look-up in place of a search."""

    def __init__(self, cells: IntColumn) -> None:
        columns, lines = cells & _AXIS_MASK, cells >> _AXIS_BITS
        self._first_column, self._first_line = int(columns.min()), int(lines[0])
        self._width = int(columns.max()) - self._first_column + 1
        self._lines = int(lines[-1]) - self._first_line + 1
        self._rows = len(cells)
        inside = (lines - self._first_line) * self._width + columns - self._first_column
        counts = np.bincount(inside, minlength=self._width * self._lines)
        self._before = np.concatenate((np.zeros(1, np.int64), counts.cumsum()))

    @classmethod
    def of(cls, cells: IntColumn) -> _DenseCells | None:
        """For the cells of all rows, ascending; None when there are none, or the rectangle is much larger than they."""
        if not len(cells):
            return None
        columns = cells & _AXIS_MASK
        width, lines = int(columns.max() - columns.min()) + 1, int((cells[-1] >> _AXIS_BITS) - (cells[0] >> _AXIS_BITS))
        return cls(cells) if width * (lines + 1) <= _DENSE_CELLS + 8 * len(cells) else None

    def places(self, cells: IntColumn) -> IntColumn:
        """How many rows lie in cells before each of these."""
        columns = np.clip((cells & _AXIS_MASK) - self._first_column, 0, self._width)
        lines = (cells >> _AXIS_BITS) - self._first_line
        at = np.clip(lines * self._width + columns, 0, self._width * self._lines)
        places: IntColumn = self._before[at]
        return places
