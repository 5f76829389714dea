"""Lenses: what a view or an audience shows, worked out for all players of a tick at once.

A lens gives each viewer a *key*; viewers with the same key see the same rows. For a list of keys it then gives the
rows, as flat (group, row) pairs. What a row is sent as, and to whom, is not decided here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gameprotocol._fields import IntColumn
from gameserver.sync.groups import GroupedIds
from gameserver.sync.viewer import Viewer, Watched
from gameserver.sync.views import AnyOf, Mask, Nearby, View, Visible
from gameserver.world.entity import Entity
from gameserver.world.errors import DeclarationError, FieldValueError
from gameserver.world.grid import CellIndex, Neighbourhood, StickyCells, cell_of, centre_of
from gameserver.world.publish import PublishedTable
from gameserver.world.table import Table
from gameserver.world.world import World

Keys: TypeAlias = Sequence[Hashable]
#: Group numbers, ascending, and the rows' places in the table's ids; in no order within a group, perhaps repeated.
Pairs: TypeAlias = tuple[IntColumn, IntColumn]

_NOWHERE: Final = -1


class Lens(Protocol):
    """What all lenses can do."""

    def begin_tick(self) -> None:
        """The world was published."""

    def keys(self, viewers: Sequence[Viewer]) -> Keys:
        """For each viewer what it sees through, now."""

    def pairs(self, table: PublishedTable, keys: Keys) -> Pairs:
        """For each key the rows of a table that are seen."""

    def forget(self, viewer: Viewer) -> None:
        """The viewer has left."""


class NearbyLens:
    """Rows in the cells around what a player watches.

    Args:
        view: the declaration.
        tables: which it is for.
        world: where entities are looked up.
    """

    def __init__(self, view: Nearby, tables: Sequence[PublishedTable], world: World) -> None:
        self._view = view
        self._world = world
        self._near = Neighbourhood(view.radius, view.cell_width, view.margin, len(view.axes))
        if view.of is not None and view.of._single:
            raise DeclarationError(f"Nearby(of={view.of.__name__}): nobody owns the room's state; name an entity class")
        self._of = world[view.of] if view.of is not None else self._first_with_positions()
        watched = [self._of, *(published.table for published in tables)]
        self._sticky: dict[Table[Any], StickyCells] = {
            table: StickyCells(view.cell_width, view.margin, len(view.axes)) for table in watched
        }
        for table in self._sticky:
            check_axes(table.entity_type, self._view)
        self._cells: dict[Table[Any], IntColumn] = {}  # by row
        self._indexes: dict[Table[Any], CellIndex] = {}
        self._last: IntColumn = np.full(64, _NOWHERE, np.int64)  # by player number: where it was seen from last
        self._last_cells: list[int] = []  # the same, as it is in this tick
        self._several: dict[int, tuple[int, ...]] = {}  # players who own several entities to see through

    def begin_tick(self) -> None:
        self._indexes.clear()
        for table, sticky in self._sticky.items():
            position = [np.asarray(getattr(table, axis), np.float64) for axis in self._view.axes]
            self._cells[table] = sticky.update(table.ids, position)
        self._find_owners()
        self._last_cells = self._last.tolist()

    def keys(self, viewers: Sequence[Viewer]) -> list[Hashable]:
        last, several = self._last_cells, self._several
        known = len(last)
        keys: list[Hashable] = []
        for viewer in viewers:
            number = viewer.number
            if viewer._watched is not None:
                keys.append(self._watched_cells(viewer._watched))
            elif several and number in several:
                keys.append(several[number])
            else:
                keys.append(last[number] if number < known else _NOWHERE)
        return keys

    def pairs(self, table: PublishedTable, keys: Keys) -> Pairs:
        index = self._indexes.get(table.table)
        if index is None:
            index = CellIndex(self._cells[table.table], table.ranks()[table.table.ids])
            self._indexes[table.table] = index
        centres, groups = _flattened(keys)
        return index.around(centres, groups, self._near)

    def nearness(self, table: PublishedTable, key: Hashable, ids: IntColumn) -> NDArray[np.float64] | None:
        """For rows of a table how near they are to what a key watches: 1 at it, a half at a quarter of the radius.

        None for a table that this lens does not know, and when nothing is watched.
        """
        centres, _ = _flattened([key])
        if table.table not in self._cells or not len(centres):
            return None
        axes = len(self._view.axes)
        rows = np.empty(len(table.ids), np.int64)
        rows[table.ranks()[table.table.ids]] = np.arange(len(rows))
        at = rows[table.ranks()[ids]]
        position = np.array([getattr(table.table, axis)[at] for axis in self._view.axes])
        watched = np.array([centre_of(int(cell), self._view.cell_width, axes) for cell in centres])
        squares = ((position[None] - watched[:, :, None]) ** 2).sum(axis=1).min(axis=0)
        near: NDArray[np.float64] = 1.0 / (1.0 + squares / (self._view.radius / 4) ** 2)
        return near

    def forget(self, viewer: Viewer) -> None:
        if viewer.number < len(self._last):
            self._last[viewer.number] = _NOWHERE

    def _find_owners(self) -> None:
        """Note for each player where the entities are that it owns."""
        owners: IntColumn = self._of.owner
        owned = np.flatnonzero(owners)
        numbers, cells = owners[owned], self._cells[self._of][owned]
        self._several = {}
        if not len(numbers):
            return
        if int(numbers.max()) >= len(self._last):
            more = int(numbers.max()) + 1
            self._last = np.concatenate((self._last, np.full(more, _NOWHERE, np.int64)))
        self._last[numbers] = cells
        order = np.lexsort((cells, numbers))
        numbers, cells = numbers[order], cells[order]
        new_number = np.append(True, numbers[1:] != numbers[:-1])
        new_cell = new_number | np.append(True, cells[1:] != cells[:-1])
        numbers, cells, new_number = numbers[new_cell], cells[new_cell], new_number[new_cell]
        starts = np.append(np.flatnonzero(new_number), len(numbers))
        for at in np.flatnonzero(np.diff(starts) > 1).tolist():
            self._several[int(numbers[starts[at]])] = tuple(cells[starts[at] : starts[at + 1]].tolist())

    def _watched_cells(self, watched: tuple[Watched, ...]) -> tuple[int, ...]:
        cells = []
        for target in watched:
            entity = target.entity
            if entity is not None and entity._row >= 0:
                table = entity._table
                if table in self._cells:
                    target.cells[self] = int(self._cells[table][entity._row])
                else:
                    target.cells[self] = cell_of(
                        [getattr(table, axis).item(entity._row) for axis in self._view.axes], self._view.cell_width
                    )
            elif entity is None:
                target.cells[self] = cell_of(target.point, self._view.cell_width)
            if self in target.cells:  # what is gone is still seen from where it was
                cells.append(target.cells[self])
        return tuple(sorted(set(cells)))

    def _first_with_positions(self) -> Table[Any]:
        for table in self._world.tables:
            if all(axis in table.entity_type._fields for axis in self._view.axes):
                return table
        raise DeclarationError(
            f"view = Nearby({self._view.radius:g}): no entity type has the columns {', '.join(self._view.axes)}: "
            f"name the axes, Nearby(..., axes=(...))"
        )


class VisibleLens:
    """Rows that the author's own function shows to a player."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def begin_tick(self) -> None:
        pass

    def keys(self, viewers: Sequence[Viewer]) -> Keys:
        return viewers

    def pairs(self, table: PublishedTable, keys: Keys) -> Pairs:
        rows = [self._rows(table.table, viewer) for viewer in keys]
        groups = np.repeat(np.arange(len(rows)), [len(seen) for seen in rows])
        ids = table.table.ids
        return groups, table.ranks()[ids[np.concatenate(rows)]] if rows else groups

    def forget(self, viewer: Viewer) -> None:
        pass

    def _rows(self, table: Table[Any], viewer: Hashable) -> IntColumn:
        mask = np.asarray(self._mask(viewer, table))
        if mask.shape != table.alive.shape or mask.dtype != np.bool_:
            name = getattr(self._mask, "__name__", repr(self._mask))
            raise FieldValueError(
                f"the view of {table.entity_type.__name__} asked {name} for {len(table)} values of true and false, one "
                f"for each row, and got {mask.dtype} of shape {mask.shape}"
            )
        return np.flatnonzero(mask)


class AnyLens:
    """Rows that at least one of some lenses shows."""

    def __init__(self, lenses: Sequence[Lens]) -> None:
        self._lenses = lenses

    def begin_tick(self) -> None:
        pass  # its parts are told by whoever made them

    def keys(self, viewers: Sequence[Viewer]) -> Keys:
        return list(zip(*(lens.keys(viewers) for lens in self._lenses), strict=True))

    def pairs(self, table: PublishedTable, keys: Keys) -> Pairs:
        parts = [
            lens.pairs(table, [key[i] for key in keys])  # type: ignore[index]
            for i, lens in enumerate(self._lenses)
        ]
        groups = np.concatenate([part[0] for part in parts])
        order = np.argsort(groups, kind="stable")
        return groups[order], np.concatenate([part[1] for part in parts])[order]

    def nearness(self, table: PublishedTable, key: Any, ids: IntColumn) -> NDArray[np.float64] | None:
        """As that of the first part that knows one."""
        for lens, part in zip(self._lenses, key, strict=True):
            if isinstance(lens, NearbyLens) and (near := lens.nearness(table, part, ids)) is not None:
                return near
        return None

    def forget(self, viewer: Viewer) -> None:
        pass


def check_axes(entity_type: type[Entity], view: Nearby) -> None:
    """DeclarationError when entities of a type have no position for a view."""
    fields = entity_type._fields
    for axis in view.axes:
        if axis not in fields or fields[axis].dtype.kind not in "iuf" or fields[axis].target is not None:
            raise DeclarationError(
                f"{entity_type.__name__} is seen with Nearby({view.radius:g}), but has no number {axis}: declare it, "
                f"name other axes, or give the type another view"
            )


def make_lens(
    view: View, tables: Mapping[View, Sequence[PublishedTable]], world: World, made: dict[View, Lens]
) -> Lens:
    """The lens of a view.

    Args:
        tables: for each view, and for each part of one, the tables that are seen with it.
        made: the lenses that there are; it gathers this one and those of its parts, each to be told of every tick.
    """
    if view in made:
        return made[view]
    lens: Lens
    if isinstance(view, Nearby):
        lens = NearbyLens(view, tables[view], world)
    elif isinstance(view, Visible):
        lens = VisibleLens(view.mask)
    elif isinstance(view, AnyOf):
        lens = AnyLens([make_lens(part, tables, world, made) for part in view.views])
    else:
        raise DeclarationError(f"{view!r} is no view: use Everyone(), Nearby(...), Visible(...) or a | of them")
    made[view] = lens
    return lens


def audience_pairs(table: PublishedTable, numbers: Iterable[int | None], seen: GroupedIds | None) -> Pairs:
    """Rows whose audience some groups belong to.

    Args:
        table: a companion table.
        numbers: for each group the number that it has in the audience: of the player, or of the group; None for none.
        seen: which rows of the main table each group sees; None for all of them.
    """
    given = list(numbers)
    belongs_to_one = np.array([number is not None for number in given], np.bool_)
    of_group = np.array([number or 0 for number in given], np.int64)
    live = table.table
    by_rank = np.empty(len(table.ids), np.int64)
    by_rank[table.ranks()[live.ids]] = getattr(live, table.audience.name)
    if seen is not None:
        groups = seen.group_numbers()
        ranks = table.ranks()[seen.ids]
        belongs = belongs_to_one[groups] & (by_rank[ranks] == of_group[groups])
        return groups[belongs], ranks[belongs]
    order = np.argsort(by_rank, kind="stable")
    ordered = by_rank[order]
    first, behind = np.searchsorted(ordered, of_group), np.searchsorted(ordered, of_group, side="right")
    lengths = np.where(belongs_to_one, behind - first, 0)
    ends = lengths.cumsum()
    at = np.repeat(first - ends + lengths, lengths) + np.arange(int(ends[-1]) if len(ends) else 0)
    return np.repeat(np.arange(len(of_group)), lengths), order[at]


def _flattened(keys: Keys) -> tuple[IntColumn, IntColumn]:
    """Cells of all keys, each a cell or several, and to which key each of them belongs."""
    try:
        centres = np.array(keys, np.int64)
    except (TypeError, ValueError):  # some see through several entities
        lists = [key if isinstance(key, tuple) else (key,) for key in keys]
        centres = np.array([cell for cells in lists for cell in cells], np.int64)
        groups = np.repeat(np.arange(len(lists)), [len(cells) for cells in lists])
    else:
        if centres.ndim == 2:
            groups = np.repeat(np.arange(len(centres)), centres.shape[1])
            centres = centres.ravel()
        else:
            groups = np.arange(len(centres))
    somewhere = centres != _NOWHERE
    return centres[somewhere], groups[somewhere]
