"""A viewer: what the sync layer keeps for one player. Rooms subclass it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gameserver.sync.budget import BudgetedHolding
    from gameserver.sync.groups import HashedFrame, Holding
    from gameserver.sync.pacing import EventPace, Pace
    from gameserver.sync.rates import Cap

#: Baseline of a player who holds nothing.
NOTHING: Final = 0


class Watched:
    """Something that a player sees through.

    Attributes:
        entity: an entity, which may be gone by now, or None for a point.
        point: its coordinates.
        cells: for each lens the cell that it was in last.
    """

    __slots__ = ("cells", "entity", "point")

    def __init__(self, entity: Any = None, point: tuple[float, ...] = ()) -> None:
        self.entity = entity
        self.point = point
        self.cells: dict[Any, int] = {}


class Viewer:
    """One receiver of frames.

    Attributes:
        number: 1 to 65535, unique in the room.
        groups: which groups it belongs to, by the name of the column that says which entities are the group's.
        acknowledged_tick: the newest tick that the client says it has applied; before the first the one it joined at.
    """

    __slots__ = (
        "_baseline",
        "_cap",
        "_choice",
        "_hashed",
        "_held_tick",
        "_holding",
        "_joined_tick",
        "_limit",
        "_own_holding",
        "_pace",
        "_watched",
        "_window",
        "acknowledged_tick",
        "groups",
        "number",
    )

    def __init__(self, number: int, pace: Pace | EventPace, tick: int) -> None:
        self.number = number
        self.groups: dict[str, int] = {}
        self.acknowledged_tick = tick
        self._baseline = NOTHING  # the tick that was last written to the link
        self._held_tick = 0  # what it held when it lost its baseline
        self._holding: Holding | None = None  # which rows it holds of tables with a view,
        self._own_holding: Holding | None = None  # of companions for owners,
        self._choice: BudgetedHolding | None = None  # or, with a cap on bytes, of all tables
        self._hashed: HashedFrame | None = None  # what it held when it was last sent a hash
        self._watched: tuple[Watched, ...] | None = None  # what it sees through; None for what it owns
        self._pace = pace
        self._cap: Cap | None = None  # on frames and bytes
        self._limit = pace.limit  # what `pace` says, kept here for the loop that looks at it for every player
        self._window = pace.window
        self._joined_tick = tick

    def _start_anew(self, pace: Pace | EventPace, tick: int, acknowledged: int) -> None:
        """It has a new connection since ``tick``; ``acknowledged`` is the last that it held on the old one."""
        self._pace = pace
        self._limit = pace.limit
        self._window = pace.window
        self._joined_tick = tick
        self.acknowledged_tick = min(acknowledged, tick - 1)
        if self._cap is not None:
            self._cap.acknowledged = self.acknowledged_tick

    def _forget_baseline(self) -> None:
        """From now on nothing but a full frame will do."""
        self._baseline = NOTHING
        self._holding = self._own_holding = self._choice = None
        self._hashed = None  # it keeps what all players held then, as those would
