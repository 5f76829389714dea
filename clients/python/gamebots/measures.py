"""What bots measure: durations in HDR histograms, counters for each bot, and a row of figures for each second.

A histogram (after Gil Tene's HdrHistogram) keeps every value to one per cent, from a microsecond to a minute, in 20 KiB
and can be added to another one; so totals over bots and processes are exact sums, not averages of percentiles.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

#: Range and digits of every histogram; microseconds.
LOWEST_US: Final = 1
HIGHEST_US: Final = 60_000_000
DIGITS: Final = 2

#: Values that are put into a histogram together.
_AT_ONCE: Final = 4096
#: A histogram of two digits has 256 cells for each power of two; finer differences are lost in it.
_CELL_BITS: Final = 8

_PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9}


class Durations:
    """Many durations: how they are spread, to one per cent. What is longer than a minute counts as a minute."""

    __slots__ = ("_new", "_written")

    def __init__(self) -> None:
        self._written: Any = None  # made when it is needed: many are never
        self._new = array("d")  # not in the histogram yet

    def __getstate__(self) -> bytes:
        return self._histogram.encode() if self.count else b""

    def __setstate__(self, state: bytes) -> None:
        self._written = HdrHistogram.decode(state) if state else None
        self._new = array("d")

    @property
    def count(self) -> int:
        """How many were recorded."""
        return len(self._new) + (0 if self._written is None else int(self._written.get_total_count()))

    def record(self, seconds: Iterable[float]) -> None:
        """Take some more."""
        self._new.extend(seconds)
        if len(self._new) >= _AT_ONCE:
            self._write()

    def _write(self) -> None:
        """Put what is new into the histogram: a call for each of its cells rather than for each value."""
        new, self._new = np.clip(np.array(self._new) * 1e6, LOWEST_US, HIGHEST_US), array("d")
        cell = np.exp2(np.maximum(np.frexp(new)[1] - _CELL_BITS, 0))
        values, counts = np.unique((np.floor(new / cell) * cell).astype(np.int64), return_counts=True)
        if self._written is None:
            self._written = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            self._written.record_value(value, count)

    @property
    def _histogram(self) -> Any:
        if self._new or self._written is None:
            self._write()
        return self._written

    def add(self, other: Durations) -> None:
        """Take all that another one has."""
        if other.count:
            self._histogram.add(other._histogram)

    def percentile_ms(self, percent: float) -> float | None:
        """Milliseconds that so many per cent do not exceed; None when nothing was recorded."""
        return round(self._value_us(percent) / 1e3, 3) if self.count else None

    def _value_us(self, percent: float) -> int:
        """The least recorded value that so many per cent do not exceed; of few, the library rounds to the next one."""
        rank = math.ceil(percent / 100 * self.count - 1e-9)
        return int(self._histogram.get_value_at_percentile(100 * rank / self.count))

    def figure(self) -> dict[str, Any]:
        """The spread in milliseconds, as it stands in a result."""
        if not self.count:
            return {"unit": "ms", "count": 0, **dict.fromkeys(("min", *_PERCENTILES, "max", "mean"))}
        histogram = self._histogram
        values: dict[str, float] = {"min": histogram.get_min_value()}
        values |= {name: self._value_us(percent) for name, percent in _PERCENTILES.items()}
        values |= {"max": histogram.get_max_value(), "mean": histogram.get_mean_value()}
        return {"unit": "ms", "count": self.count, **{name: round(value / 1e3, 3) for name, value in values.items()}}

    def encode(self) -> str:
        """The whole histogram as text (HdrHistogram V2, base64)."""
        return str(self._histogram.encode().decode())


def read_histogram(text: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The values of an encoded histogram in milliseconds, ascending, and how often each was recorded."""
    cells = [
        (cell.value_iterated_to / 1e3, cell.count_added_in_this_iter_step)
        for cell in HdrHistogram.decode(text).get_recorded_iterator()
    ]
    values, counts = zip(*cells, strict=True) if cells else ((), ())
    return np.array(values, np.float64), np.array(counts, np.int64)


def spread(values: Iterable[float]) -> dict[str, Any]:
    """How single numbers are spread, one for each bot or room: the same names as a distribution has."""
    numbers = np.fromiter(values, float)
    names = ("min", *_PERCENTILES, "max")
    if not len(numbers):
        return {"count": 0, **dict.fromkeys((*names, "mean"))}
    found = np.percentile(numbers, (0.0, *_PERCENTILES.values(), 100.0)).tolist()
    rounded = {name: round(value, 3) for name, value in zip(names, found, strict=True)}
    return {"count": len(numbers), **rounded, "mean": round(float(numbers.mean()), 3)}


@dataclass(slots=True)
class Counts:
    """Totals of one bot since it was made, over all of its connections."""

    frames: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    skipped_ticks: int = 0
    unapplied: int = 0
    messages: int = 0
    desyncs: int = 0
    hashes: int = 0
    disconnects: int = 0
    inputs: int = 0


COUNTED: Final = tuple(Counts.__dataclass_fields__)


@dataclass
class BotMeasures:
    """What one bot has seen in the measured time.

    Attributes:
        bot: which one. group: as its scenario calls it.
        counts: of the measured time. connected_seconds: of it.
        latency, state_age, gap: see `figures`.
    """

    bot: int
    group: str
    counts: Counts = field(default_factory=Counts)
    connected_seconds: float = 0.0
    latency: Durations = field(default_factory=Durations)
    state_age: Durations = field(default_factory=Durations)
    gap: Durations = field(default_factory=Durations)


@dataclass
class Second:
    """One second of one process.

    Attributes:
        second: since the ramp began. connected: bots in the room at its end.
        sums: counters of this second. most: what was the most in it; None: nothing was.
        latencies, ages: of all players, in seconds.
        seconds: how long it really was; the last one may be a part.
    """

    second: int
    connected: int
    sums: dict[str, int]
    most: dict[str, float | None]
    latencies: NDArray[np.float32]
    ages: NDArray[np.float32]
    seconds: float = 1.0

    @classmethod
    def empty(cls, second: int, connected: int) -> Second:
        """Of a process that has nothing to tell but how many bots it has."""
        nothing = np.empty(0, np.float32)
        return cls(second, connected, dict.fromkeys(SUMS, 0), dict.fromkeys(MOST), nothing, nothing, 0.0)


#: Columns of a time line that are sums over processes, and those of which the greatest counts.
SUMS: Final = ("frames", "bytes_in", "bytes_out", "joins", "refused", "disconnects", "desyncs")
MOST: Final = ("lateness_ms", "server_tick_ms", "tool_cpu_percent", "tool_lag_ms")


def merge_second(parts: list[Second]) -> dict[str, float | None]:
    """The row of a time line from the same second of all processes."""
    row: dict[str, float | None] = {"second": parts[0].second, "connected": sum(part.connected for part in parts)}
    sums = {name: sum(part.sums[name] for part in parts) for name in SUMS}
    seconds = max(part.seconds for part in parts)
    row |= {f"{name}_per_second": round(sums.pop(name) / seconds) for name in ("frames", "bytes_in", "bytes_out")}
    row |= sums
    for name, arrays in (("latency", [p.latencies for p in parts]), ("state_age", [p.ages for p in parts])):
        values = np.concatenate(arrays)
        found = np.percentile(values, (50, 99)) * 1e3 if len(values) else (None, None)
        for percent, value in zip(("p50", "p99"), found, strict=True):
            row[f"{name}_{percent}_ms"] = None if value is None else round(float(value), 2)
    for name in MOST:
        column = name if name.endswith("percent") else name.replace("_ms", "_max_ms")
        row[column] = max((value for part in parts if (value := part.most[name]) is not None), default=None)
    return row


@dataclass
class Measured:
    """What one process has measured.

    Attributes:
        seconds: the measured time, really. bots: one of each bot.
        joins, refusals: bots that got in at least once, and those that never did.
        connected: bots in the room at the end. returns: seats taken again.
        disconnects, refused: how often connections ended without having been told to, and joining failed, by reason.
        stayed_away: bots that lost their connection and could not come back to their seats, by reason.
        failures: exceptions of bots' own code, by what they say.
        durations: ``connect``, ``join``, ``return``, ``lateness``, ``server_tick``, ``tool.lag``.
        tick_rates: of each room, ticks a second, measured. tick_rate: asked of them; 0 when there is none.
        tool_cpu_percent: of a core.
        interrupted: it ended before its time.
    """

    seconds: float
    bots: list[BotMeasures]
    joins: int = 0
    refusals: int = 0
    connected: int = 0
    returns: int = 0
    disconnects: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    stayed_away: Counter[str] = field(default_factory=Counter)
    durations: dict[str, Durations] = field(default_factory=dict)
    tick_rates: list[float] = field(default_factory=list)
    tick_rate: float = 0.0
    tool_cpu_percent: float = 0.0
    interrupted: bool = False


def merge(parts: list[Measured]) -> Measured:
    """What several processes have measured, as if it had been one."""
    whole = Measured(max(part.seconds for part in parts), sorted((b for p in parts for b in p.bots), key=_bot))
    for part in parts:
        for name in ("joins", "refusals", "connected", "returns"):
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
        for name in ("disconnects", "refused", "failures", "stayed_away"):
            getattr(whole, name).update(getattr(part, name))
        for name, durations in part.durations.items():
            whole.durations.setdefault(name, Durations()).add(durations)
        whole.tick_rates += part.tick_rates
        whole.tick_rate = max(whole.tick_rate, part.tick_rate)
        whole.tool_cpu_percent = max(whole.tool_cpu_percent, part.tool_cpu_percent)
        whole.interrupted |= part.interrupted
    return whole


def _bot(measures: BotMeasures) -> int:
    return measures.bot
