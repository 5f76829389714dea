"""Rate caps: how many frames and bytes a second a player is sent at most, whatever its link could take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gameserver.world.errors import DeclarationError

#: Bytes that were not used add up to those of so many seconds, or of one tick when that is longer.
BURST_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class MaxRate:
    """A cap for one player.

    What is left out is not lost: ticks merge into the next frame, and with a cap on bytes the entities that are nearest
    and have waited longest come first, the player's own always.

    Args:
        frames: states a second, or None for one in every tick.
        bytes: of frames a second, WebSocket headers included and TCP's not, or None for no cap. Messages do not count.
    Raises:
        DeclarationError: a number is not above 0.
    """

    frames: float | None = None
    bytes: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("frames", self.frames), ("bytes", self.bytes)):
            if value is not None and not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise DeclarationError(f"MaxRate({name}={value!r}): give a number a second above 0, or None")


class Cap:
    """Keeps one player to its `MaxRate`.

    Args:
        rate: the declaration.
        tick_rate: of the room, in Hz.
        acknowledged: what the player has acknowledged so far.

    Attributes:
        acknowledged: the tick that was acknowledged when the round trip was last measured.
        allowance: bytes that may be sent now; None when they are not capped.
        spacing: ticks between two frames, at least 1.0.
    """

    __slots__ = ("_due", "_most", "_per_tick", "acknowledged", "allowance", "rate", "spacing")

    def __init__(self, rate: MaxRate, tick_rate: float, acknowledged: int = 0) -> None:
        self.rate = rate
        self.acknowledged = acknowledged
        self.spacing = 1.0 if rate.frames is None else max(1.0, tick_rate / rate.frames)
        self._due = 0.0
        self.allowance: float | None = None
        self._per_tick = self._most = 0.0
        if rate.bytes is not None:
            self._per_tick = rate.bytes / tick_rate
            self._most = max(self._per_tick, rate.bytes * BURST_SECONDS)
            self.allowance = self._most

    def admits(self, tick: int) -> bool:
        """Whether a frame may go; to be called once in a tick."""
        if self.allowance is not None:
            self.allowance = min(self._most, self.allowance + self._per_tick)
            if self.allowance <= 0:
                return False
        return tick >= self._due

    def spend(self, tick: int, sent_bytes: int) -> None:
        """A frame was written."""
        self._due = max(self._due, tick - 1) + self.spacing
        if self.allowance is not None:
            self.allowance -= sent_bytes
