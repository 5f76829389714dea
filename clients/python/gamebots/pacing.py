"""When a bot sends an input, when it acknowledges, and how long answers take. Pure: the time is an argument."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

#: A bot whose inputs are at most so far apart, in ticks, acknowledges with the next one.
_INPUT_TICKS: Final = 1.5
#: Inputs whose answer is awaited; older ones are given up as lost to a server that does not answer.
_AWAITED_INPUTS: Final = 256


class InputPace:
    """The inputs of one seat.

    A server applies one input a tick, so one that came too many would wait in front of all later ones for ever. As a
    good client does, a bot therefore leaves one out when more are unanswered than its best latency explains.

    Args:
        tick_seconds: between two ticks of the room.

    Attributes:
        sequence: of the newest input.
        acknowledged: the newest tick that the server has been told of.
        tick_seconds: as given.
    """

    __slots__ = (
        *("_awaited", "_best", "_interval", "_last", "_most", "_worst"),
        *("acknowledged", "sequence", "tick_seconds"),
    )

    def __init__(self, tick_seconds: float = 0.05) -> None:
        self.sequence = 0
        self.acknowledged = 0
        self.tick_seconds = tick_seconds
        self._awaited: deque[tuple[int, float]] = deque(maxlen=_AWAITED_INPUTS)
        self._best = 0.0
        self._worst = 0.0
        self._most = 3
        self._last = -math.inf
        self._interval = 0.0  # between the two newest

    @property
    def full(self) -> bool:
        """Whether so many inputs are unanswered that the next one is left out."""
        return len(self._awaited) >= self._most

    def sent(self, tick: int, now: float) -> None:
        """The input ``sequence`` has left, and with it that ``tick`` is held."""
        self._awaited.append((self.sequence, now))
        self.acknowledged = tick
        if self.sequence > 1:
            self._interval = now - self._last
        self._last = now

    def settle(self, sequence: int, now: float) -> list[float]:
        """A frame says that the inputs up to ``sequence`` were applied; how long each took, in seconds."""
        awaited = self._awaited
        if not awaited or awaited[0][0] > sequence:
            return _NONE
        taken = []
        while awaited and awaited[0][0] <= sequence:
            taken.append(now - awaited.popleft()[1])
        least = min(taken)
        self._worst = max(self._worst, *taken)
        if not self._best or least < self._best:
            self._best = least
            self._most = 2 + math.ceil(least / self.tick_seconds)
        return taken

    def owes(self, tick: int, now: float) -> bool:
        """Whether ``tick`` is to be acknowledged by a message of its own: no input will say it soon, and a server holds
        frames back until it knows.
        """
        if tick <= self.acknowledged:
            return False
        longest = _INPUT_TICKS * self.tick_seconds
        return self._interval > longest or now - self._last > longest

    def lost(self) -> None:
        """The connection is gone, and with it the answers."""
        self._awaited.clear()

    def returned(self, sequence: int, now: float) -> None:
        """The seat is there again, and inputs up to ``sequence`` have come; the numbers behind them are free."""
        self.sequence = sequence
        self._last = now

    def unanswered(self, now: float) -> list[float]:
        """How long inputs have waited by now, in seconds: those that wait longer than any answer took."""
        return [now - sent for _, sent in self._awaited if now - sent > self._worst]


_NONE: Final[list[float]] = []
