"""Full frames on request. They cost a hundred times what asking for one does, so they are given at a limited rate."""

from __future__ import annotations

from typing import Final

from gameprotocol import limits
from gameserver.rooms.player import Player

#: How soon after one full frame a player is given the next one that it asks for, in seconds.
RESYNC_SECONDS: Final = 1.0


class Resyncs:
    """Who has asked for a full frame, and when it is due.

    Time is counted in ticks; in a room without a tick rate, where they tell nothing of it, in periods of the rate that
    it has at most.

    Args:
        tick_rate: of the room, in Hz.
    """

    def __init__(self, tick_rate: float) -> None:
        # Never longer than ids stay unused: the player drops deltas while it waits.
        self._pause_ticks = min(round(RESYNC_SECONDS * tick_rate), limits.HISTORY_TICKS // 2)
        self._due: dict[Player, int] = {}

    def ask(self, player: Player, tick: int) -> bool:
        """Note the request; False when the player has asked before and still waits."""
        if player in self._due:
            return False
        player._held_tick = player._baseline or player._held_tick  # from now on it drops deltas
        due = self._due[player] = max(tick, player._resync_tick)
        player._resync_tick = due + self._pause_ticks
        return True

    def grant(self, tick: int) -> None:
        """Give those a full frame whose turn has come."""
        for player, due in [*self._due.items()]:
            if due <= tick:
                player._forget_baseline()
                player._pace.restart()  # it dropped deltas, and so has acknowledged none
                del self._due[player]

    @property
    def next_due(self) -> int | None:
        """When `grant` has something to do; None when nobody waits."""
        return min(self._due.values(), default=None)

    def forget(self, player: Player) -> None:
        """The player has left."""
        self._due.pop(player, None)
