"""Drives all bots from one loop: a few system calls a bot and tick, and no task for each.

The period of a tick is cut into slices. In each slice the bots whose sockets have something read it, and a share of the
bots sends its inputs, so that the server sees them spread over the period as it would those of people.
"""

from __future__ import annotations

import os
import selectors
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import trio

from gamebots.bots import MakeBot, make_bot
from gamebots.connection import BotConnection
from gamebots.report import Totals, make_report
from gameclient import ClientLink

#: Slices of a period; at 20 Hz one lasts 5 ms, which is also how exact latencies are.
SLICES: Final = 10
#: Connections that may be under way at once; a listener's backlog is longer.
CONNECTING_AT_ONCE: Final = 64
#: How long all bots may take to join, in seconds, besides 10 ms for each.
JOIN_SECONDS: Final = 20.0
#: All bots up to this number hold a replica; beyond it only a sample does, so that this tool is not the limit.
REPLICAS_FOR_ALL: Final = 200
REPLICA_SAMPLE: Final = 50


class Swarm:
    """Many bots in one room.

    Args:
        url: of the room.
        count: how many bots.
        replicas: how many of them decode the state and play by it; None for all up to `REPLICAS_FOR_ALL`, else
            `REPLICA_SAMPLE`.
        rate: inputs per second and bot.
        make_bot: makes what decides for a bot from the room's schema, its player number and its seed.
        mask_source: see `ClientLink`.
        token: given to the server with each hello.
        tls: for wss://, None for the system's certificates and checks.
        clock: seconds.
    """

    def __init__(
        self,
        url: str,
        count: int,
        *,
        replicas: int | None = None,
        rate: float = 20.0,
        make_bot: MakeBot = make_bot,
        mask_source: Callable[[int], bytes] = os.urandom,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.url = url
        self.count = count
        self.disconnects: Counter[str] = Counter()
        self._replicas = replicas if replicas is not None else (count if count <= REPLICAS_FOR_ALL else REPLICA_SAMPLE)
        self._slice_seconds = 1.0 / rate / SLICES
        self._make_bot = make_bot
        self._mask_source = mask_source
        self._token = token
        self._tls = tls
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._waiting: list[BotConnection] = []
        self._playing: list[BotConnection] = []
        self._slices: list[list[BotConnection]] = [[] for _ in range(SLICES)]
        self._started = 0

    @property
    def joined(self) -> int:
        """Bots that have their welcome and their connection."""
        return sum(connection.joined for connection in self._playing)

    async def run(self, seconds: float, on_progress: Callable[[float], None] | None = None) -> dict[str, Any]:
        """Connect all, let them play for ``seconds``, and report.

        Args:
            seconds: measured time; it begins when all have joined (or cannot), after one second of play.
            on_progress: told the seconds that have passed of it, about five times a second.
        Raises:
            OSError: the first bot's address is unknown.

        Cancellation: connections are dropped without a goodbye.
        """
        try:
            await self._join_all()
            await self._play(1.0)
            for connection in self._playing:
                connection.latencies.clear()
            before, cpu_before, began = Totals(self._playing), time.process_time(), self._clock()
            await self._play(seconds, on_progress)
            after, cpu_after, ended = Totals(self._playing), time.process_time(), self._clock()
            return make_report(
                url=self.url,
                asked=self.count,
                connections=[connection for connection in self._playing if connection.joined],
                disconnects=dict(self.disconnects),
                before=before,
                after=after,
                latencies=[latency for connection in self._playing for latency in connection.latencies],
                seconds=ended - began,
                cpu_seconds=cpu_after - cpu_before,
            )
        finally:
            self._drop_all()

    # -- joining

    async def _join_all(self) -> None:
        patience = self._clock() + JOIN_SECONDS + 0.01 * self.count
        slices = _Slices(self._slice_seconds, self._clock)
        while self._started < self.count or self._waiting or not all(c.joined for c in self._live()):
            if self._clock() > patience:
                break
            self._start_some()
            self._advance()
            self._one_slice(await slices.next())
        for connection in [*self._waiting, *(c for c in self._live() if not c.joined)]:
            connection.link.give_up(connection.link.explain_delay() or "no welcome in time")
        self._sort_out()

    def _live(self) -> list[BotConnection]:
        return [connection for connection in self._playing if not connection.link.closed]

    def _start_some(self) -> None:
        while self._started < self.count and len(self._waiting) < CONNECTING_AT_ONCE:
            holds_replica = self._started < self._replicas
            link = ClientLink(self.url, tls=self._tls, mask_source=self._mask_source)
            connection = BotConnection(link, self._started, holds_replica, self._make_bot)
            self._waiting.append(connection)
            self._started += 1

    def _advance(self) -> None:
        still = []
        for connection in self._waiting:
            if connection.link.advance():
                connection.say_hello(self._token)
                self._selector.register(connection.link.fileno(), selectors.EVENT_READ, connection)
                self._slices[len(self._playing) % SLICES].append(connection)
                self._playing.append(connection)
            elif connection.link.closed:
                self.disconnects[connection.link.close_reason or "could not connect"] += 1
            else:
                still.append(connection)
        self._waiting = still

    def _sort_out(self) -> None:
        for connection in self._waiting:
            self.disconnects[connection.link.close_reason] += 1
        self._waiting.clear()

    # -- playing

    async def _play(self, seconds: float, on_progress: Callable[[float], None] | None = None) -> None:
        slices = _Slices(self._slice_seconds, self._clock)
        began = told = self._clock()
        while (now := self._clock()) - began < seconds and self._selector.get_map():
            self._one_slice(await slices.next())
            if on_progress is not None and now - told > 0.2:
                told = now
                on_progress(now - began)

    def _one_slice(self, index: int) -> None:
        """Read what has come, then let one share of the bots send its inputs."""
        clock = self._clock
        for key, _ in self._selector.select(0):
            connection = key.data
            connection.receive(clock())
            if connection.link.closed:
                self._lose(connection)
        for connection in self._slices[index]:
            if connection.joined:
                connection.send_input(clock())

    def _lose(self, connection: BotConnection) -> None:
        link = connection.link
        self._selector.unregister(link.fileno())
        for members in self._slices:
            if connection in members:
                members.remove(connection)
        self.disconnects[f"{link.close_code} {link.close_reason}".strip()] += 1
        connection.joined = False
        link.release()

    def _drop_all(self) -> None:
        for connection in [*self._playing, *self._waiting]:
            if not connection.link.closed:
                connection.link.close()
            connection.link.release()
        self._selector.close()


class _Slices:
    """Absolute points of time for slices; when they come late, whole periods are left out rather than caught up."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._start = clock()
        self._index = 0

    async def next(self) -> int:
        """Sleep until the next slice; answers its index in the period."""
        self._index += 1
        late = self._clock() - self._start - self._index * self._seconds
        if late > SLICES * self._seconds:
            self._index += int(late / self._seconds / SLICES) * SLICES
        await trio.sleep(max(0.0, -late))
        return self._index % SLICES
