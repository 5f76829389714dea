"""What spectators are sent while their game is shown with a delay. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

#: A spectator whose link takes nothing for so many ticks beyond the delay is too slow.
LATE_TICKS: Final = 64


class DelayedFrames:
    """Messages and frames of one spectator that are not old enough yet.

    They are made at their tick, from the tick before, and so shared with players; what is kept here are mostly
    references to the same bytes.

    Args:
        delay_ticks: how old something must be.
    """

    __slots__ = ("_delay_ticks", "_waiting")

    def __init__(self, delay_ticks: int) -> None:
        self._delay_ticks = delay_ticks
        self._waiting: deque[tuple[int, tuple[bytes, ...]]] = deque()

    def push(self, tick: int, *parts: bytes) -> None:
        """Keep what belongs to a tick, later than those before."""
        self._waiting.append((tick, parts))

    def due(self, tick: int) -> bytes:
        """What is old enough at ``tick``, in order; call `sent` when it has left."""
        oldest = tick - self._delay_ticks
        parts: list[bytes] = []
        for each, data in self._waiting:
            if each > oldest:
                break
            parts += data
        return b"".join(parts)

    def sent(self, tick: int) -> None:
        """What was due at ``tick`` has left."""
        while self._waiting and self._waiting[0][0] <= tick - self._delay_ticks:
            self._waiting.popleft()

    def all(self) -> bytes:
        """What waits, however new: the game is over."""
        parts = [part for _, data in self._waiting for part in data]
        self._waiting.clear()
        return b"".join(parts)

    def is_late(self, tick: int) -> bool:
        """Whether what waits is so old that the spectator cannot be served."""
        return bool(self._waiting) and self._waiting[0][0] <= tick - self._delay_ticks - LATE_TICKS
