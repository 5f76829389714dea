"""Views: which entities a player may see. Declared on a room, for all its entity types or for each of them::

    view = Nearby(300, of=Ship)
    view = {Ship: Nearby(300), Card: Visible(is_in_hand), Flag: Everyone()}

A type that is not named is seen by everyone, and so is the room's state. ``one | another`` shows what either shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from numpy.typing import NDArray

from gameserver.world.entity import Entity
from gameserver.world.errors import DeclarationError
from gameserver.world.grid import MOST_REACH

#: Cells in one radius, when nothing else is asked for: more of them show less that is beyond the radius, and let fewer
#: players share a frame. Measured with 1000 ships: 3, 4 and 5 cells show 31, 28 and 27 of them where the circle has 18.
_CELLS_PER_RADIUS: Final = 6
#: Hysteresis as a share of the radius, when nothing else is asked for.
_HYSTERESIS: Final = 0.02

#: ``(player, table) -> bool array``, one value for each row of the table's columns.
Mask: TypeAlias = Callable[[Any, Any], NDArray[Any]]


class View:
    """Base of all views."""

    __slots__ = ()

    def __or__(self, other: View) -> View:
        if not isinstance(other, View):
            return NotImplemented
        either = (*parts(self), *parts(other))
        return Everyone() if any(isinstance(part, Everyone) for part in either) else AnyOf(either)


@dataclass(frozen=True, slots=True)
class Everyone(View):
    """Every player sees every entity."""


@dataclass(frozen=True, slots=True)
class Nearby(View):
    """A player sees what is within a radius of an entity that it watches: its own, unless `Player.watch` says others.

    Space is cut into cells, and players in the same cell share what is made for them; so a player sees whole cells, a
    little more than the radius. When what it watches is gone it goes on seeing the same place.

    Args:
        radius: how far players see at least, in the unit of the positions.
        of: through which entities: those of this type that a player owns. None for the room's first entity type that
            has positions.
        hysteresis: an entity, and what a player sees through, counts as in its old cell until it is so far outside of
            it. None for a fiftieth of the radius.
        cell: width of a cell. None for a quarter of the radius: smaller cells show less beyond the radius, larger
            ones let more players share.
        axes: names of the columns that are a position, one to three; they need not travel.
    Raises:
        DeclarationError: a number is out of its range.
    """

    radius: float
    of: type[Entity] | None = None
    hysteresis: float | None = None
    cell: float | None = None
    axes: tuple[str, ...] = ("x", "y")

    def __post_init__(self) -> None:
        if not (_is_number(self.radius) and 0 < self.radius < math.inf):
            raise DeclarationError(f"Nearby(radius={self.radius!r}): give a number above 0")
        if self.of is not None and not (isinstance(self.of, type) and issubclass(self.of, Entity)):
            raise DeclarationError(f"Nearby(of={self.of!r}): give an entity class")
        if self.hysteresis is not None and not (_is_number(self.hysteresis) and 0 <= self.hysteresis <= self.radius):
            raise DeclarationError(f"Nearby(hysteresis={self.hysteresis!r}): give 0 up to the radius, {self.radius}")
        least = self.reach / (MOST_REACH - 1)
        if self.cell is not None and not (_is_number(self.cell) and least < self.cell < math.inf):
            raise DeclarationError(f"Nearby(cell={self.cell!r}): give more than {least:g}, or leave it out")
        axes = self.axes
        if not (isinstance(axes, tuple) and 1 <= len(axes) <= 3 and all(isinstance(axis, str) for axis in axes)):
            raise DeclarationError(f'Nearby(axes={self.axes!r}): name one to three columns, such as ("x", "y")')

    @property
    def margin(self) -> float:
        """The hysteresis that holds."""
        return self.radius * _HYSTERESIS if self.hysteresis is None else self.hysteresis

    @property
    def reach(self) -> float:
        """How far apart the borders of two cells may be whose rows may be within the radius."""
        return self.radius + 2 * self.margin

    @property
    def cell_width(self) -> float:
        """The width of a cell that holds."""
        return self.reach / _CELLS_PER_RADIUS if self.cell is None else self.cell


@dataclass(frozen=True, slots=True)
class Visible(View):
    """A player sees the rows for which the room's author says so.

    Args:
        mask: ``mask(player, table)`` gives an array of true and false, one for each row of the table's columns. It is
            called once for each player that is sent a frame, so work on whole columns; nothing is shared between
            players, which is why `Nearby` is cheaper.
    """

    mask: Mask

    def __post_init__(self) -> None:
        if not callable(self.mask):
            raise DeclarationError(f"Visible({self.mask!r}): give a function of a player and a table")


@dataclass(frozen=True, slots=True)
class AnyOf(View):
    """A player sees what at least one of some views shows. Written ``one | another``."""

    views: tuple[View, ...]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def parts(view: View) -> tuple[View, ...]:
    """The views of which a view shows what any shows."""
    return view.views if isinstance(view, AnyOf) else (view,)
