"""What bots measure, collected second by second. Pure but for this process's own CPU time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from gamebots.connection import BotConnection
from gamebots.measures import COUNTED, SUMS, BotMeasures, Counts, Durations, Measured, Second
from gamebots.room_clock import RoomClock
from gamebots.scenarios import PLAYERS

#: Counted over the whole run, not over its measured part.
_EVER = ("desyncs", "unapplied", "disconnects")


class Ledger:
    """The books of one process.

    Args:
        bots: by their numbers. groups: of each bot.
        clocks: of all rooms that bots are in; grows while they join.
        cpu_clock: CPU seconds of this process.
    """

    def __init__(
        self,
        bots: Mapping[int, BotConnection],
        groups: Mapping[int, str],
        clocks: Mapping[tuple[str, str], RoomClock],
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self.next_second = 0.0
        self._bots = bots
        self._clocks = clocks
        self._cpu_clock = cpu_clock
        self._measures = {number: BotMeasures(number, groups[number]) for number in bots}
        self._before = {number: Counts() for number in bots}
        self._played = dict.fromkeys(bots, 0.0)
        names = ("connect", "join", "return", "lateness", "server_tick", "tool.lag")
        self._durations = {name: Durations() for name in names}
        self._disconnects: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._stayed_away: Counter[str] = Counter()
        self._joined: set[int] = set()
        self._returns = 0
        self._row = dict.fromkeys(SUMS, 0)
        self._second = 0
        self._start = self._last = 0.0
        self._cpu = self._cpu_begin = 0.0
        self._begin: float | None = None

    def start(self, now: float) -> None:
        """The ramp begins."""
        self._start = self._last = now
        self.next_second = now + 1.0
        self._cpu = self._cpu_clock()

    def begin(self, now: float) -> None:
        """The measured time begins: forget what was before, but for how bots came in."""
        for number, bot in self._bots.items():
            self._before[number] = before = bot.counts()
            for name in _EVER:  # what must never happen counts from the begin of the ramp
                setattr(self._measures[number].counts, name, getattr(before, name))
            self._played[number] = bot.played_seconds(now)
            for values in (bot.latencies, bot.ages, bot.gaps):
                values.clear()
        for clock in self._clocks.values():
            clock.mark()
        self._begin = self._last = now
        self._cpu = self._cpu_begin = self._cpu_clock()
        self.next_second = now + 1.0

    def take_news(self, bot: BotConnection) -> list[str]:
        """What has happened to a bot since this was asked last; counted."""
        if not bot.news:
            return bot.news
        news, bot.news = bot.news, []
        for each in news:
            self._note(bot, each)
        return news

    def _note(self, bot: BotConnection, news: str) -> None:
        if news == "joined":
            self._row["joins"] += 1
            self._joined.add(bot.number)
        elif news == "refused":
            self._row["refused"] += 1
            self._refused[bot.why] += 1
        elif news == "lost":
            self._row["disconnects"] += 1
            self._disconnects[bot.why] += 1
        elif news == "returned":
            self._returns += 1
        elif news == "stayed away":
            self._stayed_away[bot.why] += 1
        elif news == "failed":
            self._failures[bot.why] += 1

    def end_second(self, now: float, lateness: list[float]) -> Second:
        """A second is over, or a part of one at the end.

        Args:
            lateness: by how much this tool's own slices were late in it, in seconds.
        """
        latencies, ages = self._take_bots(now)
        most = self._take_rooms()
        passed, cpu = max(now - self._last, 1e-9), self._cpu_clock()
        most["tool_cpu_percent"] = round(100 * (cpu - self._cpu) / passed, 1)
        most["tool_lag_ms"] = round(max(lateness) * 1e3, 2) if lateness else None
        if self._begin is not None:
            self._durations["tool.lag"].record(lateness)
        second = Second(
            second=self._second,
            connected=sum(bot.clock is not None for bot in self._bots.values()),
            sums=dict(self._row),
            most=most,
            latencies=np.array(latencies, np.float32),
            ages=np.array(ages, np.float32),
            seconds=passed,
        )
        self._row = dict.fromkeys(SUMS, 0)
        self._second += 1
        self._last, self._cpu = now, cpu
        self.next_second = max(self.next_second + 1.0, now)
        return second

    def _take_bots(self, now: float) -> tuple[list[float], list[float]]:
        """Book what all bots have measured; latencies and ages that players had in this second."""
        latencies: list[float] = []
        ages: list[float] = []
        measuring, row = self._begin is not None, self._row
        for number, bot in self._bots.items():
            before, after = self._before[number], bot.counts()
            self._before[number] = after
            for name in ("frames", "bytes_in", "bytes_out", "desyncs"):
                row[name] += getattr(after, name) - getattr(before, name)
            for name, values in (("connect", bot.connects), ("join", bot.joins), ("return", bot.returns)):
                if values:
                    self._durations[name].record(values)
                    values.clear()
            measures = self._measures[number]
            if measuring:
                for name in COUNTED:
                    passed_by = getattr(after, name) - getattr(before, name)
                    if passed_by:
                        setattr(measures.counts, name, getattr(measures.counts, name) + passed_by)
                measures.connected_seconds = bot.played_seconds(now) - self._played[number]
                measures.latency.record(bot.latencies)
                measures.state_age.record(bot.ages)
                measures.gap.record(bot.gaps)
            if measures.group == PLAYERS:
                latencies += bot.latencies
                ages += bot.ages
            bot.latencies.clear()
            bot.ages.clear()
            bot.gaps.clear()
        return latencies, ages

    def close_rooms(self, now: float) -> None:
        """At the end: ticks that are still open count, and one that is overdue where a bot waits for it."""
        watched = {bot.clock for bot in self._bots.values()}
        for clock in self._clocks.values():
            clock.close_all(now, watched=clock in watched)

    def _take_rooms(self) -> dict[str, float | None]:
        lateness = [seconds for clock in self._clocks.values() for seconds in clock.lateness]
        server_ticks = [seconds for clock in self._clocks.values() for seconds in clock.server_ticks]
        if self._begin is not None:
            self._durations["lateness"].record(lateness)
            self._durations["server_tick"].record(server_ticks)
        for clock in self._clocks.values():
            clock.lateness.clear()
            clock.server_ticks.clear()
        return {
            "lateness_ms": round(max(lateness) * 1e3, 2) if lateness else None,
            "server_tick_ms": round(max(server_ticks) * 1e3, 2) if server_ticks else None,
        }

    def result(self, now: float, interrupted: bool) -> Measured:
        """Everything, at the end of the measured time."""
        seconds = max(now - self._begin, 1e-9) if self._begin is not None else 0.0
        watched = {bot.clock for bot in self._bots.values()}
        found = [clock.tick_rate(now, watched=clock in watched) for clock in self._clocks.values()]
        for number, bot in self._bots.items():
            if bot.link is not None and number not in self._joined:
                self._refused[bot.link.explain_delay() or "no first frame came until the end"] += 1
        return Measured(
            seconds=seconds,
            bots=list(self._measures.values()),
            joins=len(self._joined),
            refusals=len(self._bots) - len(self._joined),
            connected=sum(bot.clock is not None for bot in self._bots.values()),
            returns=self._returns,
            disconnects=self._disconnects,
            refused=self._refused,
            failures=self._failures,
            stayed_away=self._stayed_away,
            durations=self._durations,
            tick_rates=[rate for rate in found if rate is not None],
            tick_rate=max((1 / clock.period for clock in self._clocks.values() if clock.period), default=0.0),
            tool_cpu_percent=round(100 * (self._cpu_clock() - self._cpu_begin) / seconds, 1) if seconds else 0.0,
            interrupted=interrupted,
        )
