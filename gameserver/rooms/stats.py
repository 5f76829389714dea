"""What a room counts about itself: totals, and the last few thousand times of its ticks."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Ticks over which times are kept: 3.4 minutes at 20 Hz.
_TIMES_KEPT: Final = 4096


class Times:
    """The last `_TIMES_KEPT` durations, in seconds. It takes memory as they come: most rooms of a server are idle."""

    __slots__ = ("_added", "_seconds")

    def __init__(self) -> None:
        self._seconds = array("f")  # to a ten millionth
        self._added = 0

    def add(self, seconds: float) -> None:
        if self._added < _TIMES_KEPT:
            self._seconds.append(seconds)
        else:
            self._seconds[self._added % _TIMES_KEPT] = seconds
        self._added += 1

    def milliseconds(self) -> dict[str, float]:
        """``{"p50", "p99", "max"}`` in milliseconds; zeros when nothing was added."""
        return _spread(self._seconds, 1e3)


@dataclass(frozen=True, slots=True)
class LinkStats:
    """How one player's link keeps up.

    Attributes:
        frames_skipped: ticks at which it was sent nothing. coalesced_ticks: of them those merged into a later frame.
        window_ticks: how far its acknowledgements may lag before frames are held back.
        rtt: from writing a frame to reading its acknowledgement, smoothed, in seconds; None before the first.
        unacknowledged_ticks: how much newer than what it has acknowledged the last frame was that it was written.
        state_age: how old the newest state is that its client is known to hold, in seconds.
        is_slow: whether it cannot take a frame in every tick, so that frames are spaced by what it delivers.
    """

    frames_skipped: int
    coalesced_ticks: int
    window_ticks: int
    rtt: float | None
    unacknowledged_ticks: int
    state_age: float
    is_slow: bool


class RoomStats:
    """Counters of one room since it was made; plain numbers, to be read at any time.

    Attributes:
        ticks: steps run. overruns: ticks late by a period or more. dropped_ticks: due and never run.
        inputs: accepted. bad_inputs: refused, each costs its sender the connection.
        duplicate_inputs, dropped_inputs: of players that have left; `snapshot` adds those that are here.
        frames, frame_bytes: states sent, with their WebSocket headers. frames_skipped: ticks at which a link could
        take none, or was not to. coalesced_ticks: of them those that were merged into a later frame.
        messages: from players. joins, drops, returns, leaves: of players.
        resyncs: full frames that clients asked for. desyncs: of them those for which a client's hash differed.
        links: how players' links keep up, as of now: see `summary_of`.
        lateness: from a tick's deadline to its begin. step_time: of a step, with handing out its inputs.
        tick_time: of a whole tick, with the steps that were caught up in it.
    """

    def __init__(self, players: Callable[[], Iterable[Any]] = tuple) -> None:
        self._players = players
        self.ticks = 0
        self.overruns = 0
        self.dropped_ticks = 0
        self.inputs = 0
        self.bad_inputs = 0
        self.duplicate_inputs = 0
        self.dropped_inputs = 0
        self.frames = 0
        self.frame_bytes = 0
        self.frames_skipped = 0
        self.coalesced_ticks = 0
        self.messages = 0
        self.joins = 0
        self.drops = 0
        self.returns = 0
        self.leaves = 0
        self.resyncs = 0
        self.desyncs = 0
        self.lateness = Times()
        self.step_time = Times()
        self.tick_time = Times()

    def reset_times(self) -> None:
        """Forget the times measured so far; the counters go on."""
        self.lateness, self.step_time, self.tick_time = Times(), Times(), Times()

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values, times as milliseconds."""
        return {
            name + "_ms" if isinstance(value, Times) else name: value.milliseconds()
            if isinstance(value, Times)
            else value
            for name, value in vars(self).items()
            if not name.startswith("_")
        } | {"links": self.links}

    @property
    def links(self) -> dict[str, Any]:
        """See the class."""
        return summary_of([player.link_stats for player in self._players()])


def summary_of(links: Sequence[LinkStats]) -> dict[str, Any]:
    """Of all links: ``slow``, how many are; and ``{"p50", "p99", "max"}`` of window, round trip and state age."""
    rtts = [link.rtt for link in links if link.rtt is not None]
    return {
        "slow": sum(link.is_slow for link in links),
        "window_ticks": _spread([link.window_ticks for link in links], 1.0),
        "rtt_ms": _spread(rtts, 1e3),
        "state_age_ms": _spread([link.state_age for link in links], 1e3),
    }


def _spread(values: Sequence[float] | NDArray[np.float64], scale: float) -> dict[str, float]:
    if not len(values):
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    p50, p99, most = np.percentile(values, (50, 99, 100)) * scale
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(float(most), 3)}
