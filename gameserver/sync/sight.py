"""Sight: which tables everyone sees, and through which lens players see the others."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gameprotocol._fields import IntColumn
from gameserver.sync.budget import Sighted
from gameserver.sync.groups import GroupedIds, grouped
from gameserver.sync.lenses import AnyLens, Lens, NearbyLens, audience_pairs, check_axes, make_lens
from gameserver.sync.viewer import Viewer, Watched
from gameserver.sync.views import Everyone, Nearby, View, parts
from gameserver.world.audience import everyone
from gameserver.world.entity import Entity
from gameserver.world.errors import DeclarationError, FieldValueError
from gameserver.world.publish import PublishedTable, PublishedWorld
from gameserver.world.world import World


@dataclass(frozen=True, slots=True)
class Slot:
    """A table of which players see a part.

    Attributes:
        table: the table.
        lens: through what it is seen; which one of `Sight`'s, -1 for none: a companion whose main table all see.
        main: for a companion the slot of its main table, None when all see that.
    """

    table: PublishedTable
    lens: int
    main: int | None = None


class Sight:
    """Works out what players see.

    Args:
        published: the tables.
        world: where the entities are.
        views: what the room declares: one view for all entity types, or one for each.
    Raises:
        DeclarationError: a view does not fit the room; the text names the type and the cure.

    Attributes:
        open: tables that all see whole.
        shared: tables of which players see a part; those who see the same may share what they are sent.
        own: companions for the owners of entities: no two players see the same row.
    """

    def __init__(self, published: PublishedWorld, world: World, views: View | Mapping[Any, View]) -> None:
        declared = _by_type(world, views)
        self._made: dict[View, Lens] = {}
        self._lenses: list[Lens] = []
        lens_of: dict[View, int] = {}
        self.open: list[PublishedTable] = []
        self.shared: list[Slot] = []
        self.own: list[Slot] = []
        slot_of: dict[int, int] = {}
        mains = [table for table in published.tables if table.of is None]
        tables_of: dict[View, list[PublishedTable]] = {}
        for table in mains:
            for part in parts(declared.get(table.table.entity_type, Everyone())):
                tables_of.setdefault(part, []).append(table)
        for table in mains:
            view = declared.get(table.table.entity_type, Everyone())
            if isinstance(view, Everyone):
                self.open.append(table)
                continue
            if view not in lens_of:
                lens_of[view] = len(self._lenses)
                self._lenses.append(make_lens(view, tables_of, world, self._made))
            slot_of[table.index] = len(self.shared)
            self.shared.append(Slot(table, lens_of[view]))
        for table in published.tables:
            if table.of is not None:
                slot = Slot(table, -1, slot_of.get(table.of))
                (self.shared if table.audience.is_group else self.own).append(slot)
        self._groups = sorted({slot.table.audience.name for slot in self.shared if slot.table.audience != everyone})

    @property
    def is_same_for_all(self) -> bool:
        """Whether every player sees everything."""
        return not self.shared and not self.own

    def begin_tick(self) -> None:
        """After each publish."""
        for lens in self._made.values():
            lens.begin_tick()

    def look(self, viewer: Viewer) -> None:
        """A viewer is sent nothing in this tick: note where what it watches is, which may be gone in the next."""
        for lens in self._made.values():
            lens.keys([viewer])

    def forget(self, viewer: Viewer) -> None:
        """A viewer has left; its number may become another's."""
        for lens in self._made.values():
            lens.forget(viewer)

    def keys(self, viewers: Sequence[Viewer]) -> Sequence[Hashable]:
        """For each viewer a key: those with equal ones see the same of the shared tables."""
        parts = [lens.keys(viewers) for lens in self._lenses]
        parts += [[_group_number(viewer, name) for viewer in viewers] for name in self._groups]
        if len(parts) == 1:
            return parts[0]
        return list(zip(*parts, strict=True)) if parts else [()] * len(viewers)

    def seen(self, keys: Sequence[Any]) -> list[GroupedIds]:
        """What is seen of each shared table, now.

        Args:
            keys: of groups, as `keys` gives them; at least one.
        """
        seen: list[GroupedIds] = []
        parts = [keys] if len(self._lenses) + len(self._groups) == 1 else list(zip(*keys, strict=True))
        for slot in self.shared:
            table = slot.table
            if slot.lens >= 0:
                pairs = self._lenses[slot.lens].pairs(table, parts[slot.lens])
            else:
                numbers: Any = parts[len(self._lenses) + self._groups.index(table.audience.name)]
                pairs = audience_pairs(table, numbers, None if slot.main is None else seen[slot.main])
            seen.append(grouped(*pairs, table.ids, len(keys)))
        return seen

    def own_seen(
        self, viewers: Sequence[Viewer], seen: Sequence[GroupedIds], group_of: Sequence[int]
    ) -> list[GroupedIds]:
        """What each viewer sees of its own companions, now.

        Args:
            seen: what groups see of the shared tables. group_of: for each viewer its group.
        """
        own: list[GroupedIds] = []
        groups = np.array(group_of, np.int64)
        for slot in self.own:
            found = grouped(
                *audience_pairs(slot.table, [viewer.number for viewer in viewers], None),
                slot.table.ids,
                len(viewers),
            )
            if slot.main is not None and len(found.ids):
                found = found.chosen(seen[slot.main].holds(groups[found.group_numbers()], found.ids))
            own.append(found)
        return own

    def sighted(self, viewer: Viewer, key: Hashable) -> list[Sighted]:
        """All that one viewer sees, now, table by table; for one that is sent a choice of it."""
        seen = self.seen([key])
        own = self.own_seen([viewer], seen, [0])
        tables = [(table, table.ids) for table in self.open]
        tables += [(slot.table, ids.of(0)) for slot, ids in zip((*self.shared, *self.own), (*seen, *own), strict=True)]
        return [
            Sighted(table, ids, self._always(viewer, table, ids), self._nearness(table, key, ids))
            for table, ids in tables
        ]

    def _always(self, viewer: Viewer, table: PublishedTable, ids: IntColumn) -> NDArray[np.bool_]:
        """Which rows are the viewer's own, are watched by it, or are the room's state."""
        live = table.table
        if live.entity_type._single:
            return np.ones(len(ids), np.bool_)
        by_rank = np.zeros(len(table.ids), np.bool_)
        by_rank[table.ranks()[live.ids]] = live.owner == viewer.number
        for watched in viewer._watched or ():
            entity = watched.entity
            if entity is not None and entity._table is live and entity._row >= 0:
                by_rank[table.ranks()[entity.id]] = True
        always: NDArray[np.bool_] = by_rank[table.ranks()[ids]]
        return always

    def _nearness(self, table: PublishedTable, key: Hashable, ids: IntColumn) -> NDArray[np.float64] | None:
        for at, lens in enumerate(self._lenses):
            if isinstance(lens, (NearbyLens, AnyLens)):
                part = key if len(self._lenses) + len(self._groups) == 1 else key[at]  # type: ignore[index]
                near = lens.nearness(table, part, ids)
                if near is not None:
                    return near
        return None


def _group_number(viewer: Viewer, name: str) -> int | None:
    """Which group of a name a viewer belongs to, None for none."""
    number = viewer.groups.get(name)
    if number is not None and (type(number) is not int or not -(1 << 63) <= number < 1 << 63):
        raise FieldValueError(f"player {viewer.number}: groups[{name!r}] = {number!r}: give a whole number, or None")
    return number


def check_watched(views: View | Mapping[Any, View], target: Watched) -> None:
    """Find out whether a player can see through something, in a room with these views.

    Raises:
        DeclarationError: the entity has no position.
        ValueError: a point's coordinates are not finite, or not as many as a view has axes.
    """
    declared = [views] if isinstance(views, View) else views.values()
    for view in [part for each in declared for part in parts(each) if isinstance(part, Nearby)]:
        if target.entity is not None:
            check_axes(type(target.entity), view)
        elif len(target.point) != len(view.axes):
            raise ValueError(f"the point {target.point} is for Nearby with the axes {', '.join(view.axes)}: give each")
    if not all(map(math.isfinite, target.point)):
        raise ValueError(f"the point {target.point} is nowhere: give finite numbers")


def _by_type(world: World, views: View | Mapping[Any, View]) -> dict[type[Entity], View]:
    types = [table.entity_type for table in world.tables]
    if isinstance(views, View):
        return {entity_type: views for entity_type in types if not entity_type._single}
    if not isinstance(views, Mapping):
        raise DeclarationError(f"view = {views!r}: give a view, such as Nearby(300), or a view for each entity type")
    for entity_type, view in views.items():
        if entity_type not in types:
            known = ", ".join(known.__name__ for known in types)
            raise DeclarationError(f"view names {entity_type!r}, which is not among the room's entities ({known})")
        if entity_type._single and not isinstance(view, Everyone):
            raise DeclarationError(
                f"view names {entity_type.__name__}, the room's state: everyone sees it; for some players alone give "
                f"its fields an audience, to=group(...)"
            )
        if not isinstance(view, View):
            raise DeclarationError(f"the view of {entity_type.__name__} is {view!r}: give one, such as Nearby(300)")
    return dict(views)
