"""Drives all bots of one process from one loop: a few system calls a bot and tick, and no task for each.

The period of a tick is cut into slices. In each slice the bots whose sockets have something read it, and a share of the
bots sends its inputs, so that the server sees them spread over the period as it would those of people.
"""

from __future__ import annotations

import gc
import heapq
import math
import os
import random
import selectors
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

import trio

from gamebots.bots import MakeBot
from gamebots.conditioner import Conditioner
from gamebots.conductor import Conductor
from gamebots.connection import JOIN_SECONDS, BotConnection
from gamebots.ledger import Ledger
from gamebots.loading import make_bot
from gamebots.measures import Measured, Second
from gamebots.plan import Plan
from gamebots.room_clock import RoomClock
from gamebots.scenarios import SCENARIOS, Scenario
from gameclient import ClientLink

#: Slices of a period; at 20 Hz one lasts 2 ms, which is also how exact latencies are.
SLICES: Final = 25
#: So many bots on their way in, or back, are looked at in each slice, all of them in turn.
_CONNECTING_AT_ONCE: Final = 64
#: The last part of a second is told of when it is longer than this.
_PART_SECONDS: Final = 0.1
#: Steps of this part of a period spread any number of bots evenly over it.
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
#: Between the last bot's first frame and the begin of measuring, in seconds.
SETTLE_SECONDS: Final = 1.0


class Swarm:
    """Many bots in the rooms of one URL.

    Args:
        plan: what to do; ``processes`` is of no interest here.
        numbers: which of the plan's bots are this process's.
        scenario: what they do with their connections.
        make_bot: makes what decides for a bot from the room's schema, its player number and its seed.
        mask_source: see `ClientLink`.
        tls: for wss://, None for the system's certificates and checks.
        clock: seconds, the same for all processes of a machine.
    """

    def __init__(
        self,
        plan: Plan,
        numbers: Sequence[int] | None = None,
        *,
        scenario: Scenario | None = None,
        make_bot: MakeBot = make_bot,
        mask_source: Callable[[int], bytes] = os.urandom,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.plan = plan
        numbers = range(plan.count) if numbers is None else numbers
        self._scenario = scenario or SCENARIOS[plan.scenario](plan.count, plan.seconds, plan.ramp, plan.seed)
        self._clock = clock
        self._mask_source = mask_source
        self._tls = tls
        dice = random.Random(f"{plan.seed} {numbers[0] if numbers else 0}")
        self._clocks: dict[tuple[str, str], RoomClock] = {}
        # Any of them, so that early ones, late ones and slow ones are among them; the same ones in all processes.
        holders = set(random.Random(f"{plan.seed} replicas").sample(range(plan.count), plan.replica_count))
        self.bots = {
            number: BotConnection(
                number,
                self._link_maker(number),
                make_bot,
                self._find_clock,
                holds_replica=number in holders,
                token=plan.token,
                seed=plan.seed,
                chance=dice.random,
                rate=plan.rate,
                clock=clock,
            )
            for number in numbers
        }
        groups = {number: self._scenario.group(number) for number in numbers}
        self.ledger = Ledger(self.bots, groups, self._clocks)
        self._conductor: Conductor | None = None
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, int] = {}  # descriptor by bot, of those whose sockets are watched
        self._on_the_way: dict[int, BotConnection] = {}  # connecting, joining, or away
        self._due: list[tuple[float, int]] = []  # conditioned links, when something comes out of them
        self._due_at: dict[int, float] = {}  # the earliest of these for each bot
        self._slices: list[list[BotConnection]] = [[] for _ in range(SLICES)]
        for index, bot in enumerate(self.bots.values()):
            self._slices[int(index * _GOLDEN % 1 * SLICES)].append(bot)
        self._slice_seconds = 1.0 / plan.rate / SLICES
        self._lateness: list[float] = []
        self._stop = False

    async def run(
        self,
        seconds: float | None = None,
        *,
        on_second: Callable[[Second], None] | None = None,
        begin_at: Callable[[float], float | None] | None = None,
        start: float | None = None,
    ) -> Measured:
        """Let all come as the scenario says, then measure.

        Args:
            seconds: measured time; None for the plan's.
            on_second: told what each second was like.
            begin_at: asked, with the time now, once all bots are in or have failed, when measuring begins; None for not
                known yet. It is begun at whole seconds from ``start``.
            start: when the ramp begins, for several processes to begin at once; seconds of the clock.

        Cancellation: connections are closed.
        """
        seconds = self.plan.seconds if seconds is None else seconds
        start = self._clock() if start is None else start
        try:
            await self._come(start, on_second, begin_at or _soon)
            await self._play(seconds, on_second)
            return self.ledger.result(self._clock(), interrupted=self._stop)
        finally:
            self._drop_all()

    def stop(self) -> None:
        """End as soon as possible; what has been measured so far is the result."""
        self._stop = True

    async def _come(
        self, start: float, on_second: Callable[[Second], None] | None, begin_at: Callable[[float], float | None]
    ) -> None:
        await trio.sleep(max(0.0, start - self._clock()))
        actors = {number: _Actor(self, bot) for number, bot in self.bots.items()}
        self._conductor = conductor = Conductor(self._scenario, actors, start)
        self.ledger.start(start)
        slices = _Slices(self._slice_seconds, self._clock)
        begin: float | None = None
        patience = start + _ramp_seconds(self._scenario) + JOIN_SECONDS + SETTLE_SECONDS
        while not self._stop:
            now = self._clock()
            if begin is None and (not conductor.unsettled or now > patience):
                begin = begin_at(now)
                if begin is not None:
                    begin = start + math.ceil(begin - start)
                    gc.collect()  # while it is still nobody's lateness
                    gc.freeze()
            if begin is not None and now >= begin:
                break
            self._one_slice(await slices.next(), conductor)
            self._end_second(on_second)
        self._end_second(on_second)
        conductor.begin_measuring(self._clock())
        self._lateness.clear()
        self.ledger.begin(self._clock())

    async def _play(self, seconds: float, on_second: Callable[[Second], None] | None) -> None:
        assert self._conductor is not None
        slices = _Slices(self._slice_seconds, self._clock)
        until = self._clock() + seconds
        while self._clock() < until and not (self._stop or self._deserted()):
            self._one_slice(await slices.next(), self._conductor)
            self._lateness.append(slices.late)
            self._end_second(on_second)
        now = self._clock()
        for bot in self.bots.values():
            bot.note_what_never_came(now)
        self.ledger.close_rooms(now)
        self._end_second(on_second, even_if_short=True)

    def _end_second(self, on_second: Callable[[Second], None] | None, even_if_short: bool = False) -> None:
        now = self._clock()
        if now < self.ledger.next_second and not even_if_short:
            return
        second = self.ledger.end_second(now, self._lateness)
        self._lateness.clear()
        if on_second is not None and (second.seconds >= _PART_SECONDS or not even_if_short):
            on_second(second)
        for number in list(self._watched):
            bot = self.bots[number]
            bot.receive(now)  # whose socket says nothing may have heard nothing for too long
            bot.tend(now)
            self.look_after(bot, now)

    def _deserted(self) -> bool:
        """Whether nobody is there, and nobody will come: there is nothing to wait for."""
        if self._watched or self._on_the_way or self._conductor is None:
            return False
        return self._conductor.is_over and all(bot.way is None for bot in self.bots.values())

    # -- a slice

    def _one_slice(self, index: int, conductor: Conductor) -> None:
        """Go on with scripts, read what has come, then let one share of the bots send its inputs."""
        clock = self._clock
        conductor.advance(clock())
        if self._on_the_way:
            self._connect(clock)
        for key, _ in self._selector.select(0):
            self._read(key.data, clock())
        if self.plan.link is not None:
            self._read_due(clock())
        for bot in self._slices[index]:
            if bot.playing:
                now = clock()
                bot.sample_age(now)
                bot.send_input(now)
                if bot.news or self.plan.link is not None:
                    self.look_after(bot, now)

    def _connect(self, clock: Callable[[], float]) -> None:
        """Go on with bots that have no open connection, or no frame yet, the longest unlooked-at first."""
        on_the_way = self._on_the_way
        for number in list(islice(on_the_way, _CONNECTING_AT_ONCE)):
            bot = on_the_way.pop(number)
            now = clock()
            bot.receive(now)
            self.look_after(bot, now)

    def _read(self, bot: BotConnection, now: float) -> None:
        bot.receive(now)
        link = bot.link
        if bot.news or link is None or link.closed or self.plan.link is not None:
            self.look_after(bot, now)

    def _read_due(self, now: float) -> None:
        """Conditioned links: bytes that come out of one are seen by no selector."""
        due = self._due
        while due and due[0][0] <= now:
            _, number = heapq.heappop(due)
            bot = self.bots[number]
            if bot.link is not None and bot.link.opened:
                self._read(bot, now)

    def look_after(self, bot: BotConnection, now: float) -> None:
        """What has happened to a bot: watch the right socket, tell its script."""
        number, link = bot.number, bot.link
        descriptor = link.fileno() if link is not None and link.opened and not link.closed else -1
        if bot.stalled:
            descriptor = -1
        if self._watched.get(number, -1) != descriptor:
            self._watch(bot, descriptor)
        if descriptor >= 0 and self.plan.link is not None:
            self._pump(bot, now)
        if link is not None and descriptor < 0 and not bot.stalled:
            self._on_the_way[number] = bot
        for news in self.ledger.take_news(bot):
            if self._conductor is not None:
                self._tell(self._conductor, number, news, now)

    def _tell(self, conductor: Conductor, number: int, news: str, now: float) -> None:
        if news in ("joined", "back"):
            conductor.joined(number, True, now)
        elif news == "over":
            conductor.joined(number, False, now)
        elif news == "failed":
            conductor.stop((number,))

    def _watch(self, bot: BotConnection, descriptor: int) -> None:
        before = self._watched.pop(bot.number, -1)
        if before >= 0:
            self._selector.unregister(before)
        if descriptor >= 0:
            self._watched[bot.number] = descriptor
            self._selector.register(descriptor, selectors.EVENT_READ, bot)

    def _pump(self, bot: BotConnection, now: float) -> None:
        conditioned = bot.link.conditioned if bot.link is not None else None
        if conditioned is not None:
            at = conditioned.pump(now)
            if at < math.inf and not now < self._due_at.get(bot.number, -1.0) <= at:
                self._due_at[bot.number] = at
                heapq.heappush(self._due, (at, bot.number))

    def _link_maker(self, number: int) -> Callable[[], ClientLink]:
        """What makes a bot's links, each as the plan's profile says; the same chances for the same bot in each run."""
        wrap = None
        if self.plan.link is not None:
            wrap = Conditioner(self.plan.link, random.Random(f"{self.plan.seed} link {number}"), self._clock)
        return partial(
            ClientLink, self.plan.url, tls=self._tls, mask_source=self._mask_source, wrap=wrap, clock=self._clock
        )

    def _find_clock(self, room: str, room_id: str, period: float) -> RoomClock:
        clock = self._clocks.get((room, room_id))
        if clock is None:
            clock = self._clocks[room, room_id] = RoomClock(period)
        return clock

    def _drop_all(self) -> None:
        for bot in self.bots.values():
            bot.leave(self._clock())
        self._selector.close()
        gc.unfreeze()


class _Actor:
    """A bot as its script moves it."""

    def __init__(self, swarm: Swarm, bot: BotConnection) -> None:
        self._swarm = swarm
        self._bot = bot

    def join(self, now: float) -> bool | None:
        done = self._bot.join(now)
        self._swarm.look_after(self._bot, now)
        return done

    def leave(self, now: float) -> None:
        self._bot.leave(now)
        self._swarm.look_after(self._bot, now)

    def drop(self, now: float) -> None:
        self._bot.drop(now)
        self._swarm.look_after(self._bot, now)

    def stall(self, stalled: bool, now: float) -> None:
        self._bot.stall(stalled)
        self._swarm.look_after(self._bot, now)


def _soon(now: float) -> float:
    return now + SETTLE_SECONDS


def _ramp_seconds(scenario: Scenario) -> float:
    return scenario.arrival(scenario.count)


class _Slices:
    """Absolute points of time for slices; when they come late, whole periods are left out rather than caught up.

    Attributes:
        late: how late the newest was, in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.late = 0.0
        self._seconds = seconds
        self._clock = clock
        self._start = clock()
        self._index = 0

    async def next(self) -> int:
        """Sleep until the next slice; answers its index in the period."""
        self._index += 1
        late = self._clock() - self._start - self._index * self._seconds
        self.late = max(0.0, late)
        if late > SLICES * self._seconds:
            self._index += int(late / self._seconds / SLICES) * SLICES
        await trio.sleep(max(0.0, -late))
        if late < 0.0:
            self.late = max(0.0, self._clock() - self._start - self._index * self._seconds)
        return self._index % SLICES
