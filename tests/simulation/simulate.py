"""One run from a seed: a real server, its clients and the network between them, in virtual time.

The same seed gives the same run, in every process: trio's scheduler is made deterministic and takes its order from the
seed, so that other seeds try other orders of tasks. That uses two names of trio that are not public; hypothesis and
pytest-trio do the same.
"""

from __future__ import annotations

import gc
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import trio
from trio._core import _run as trio_run
from trio.testing import MockClock

from gameprotocol import CloseCode
from gameserver import Player, Room, Server, serve
from gameserver.net import Link
from gameserver.rooms.loop import RoomLoop
from tests.simulation.clients import Client, SessionClient
from tests.simulation.game import Yard
from tests.simulation.network import Network, shredded, slowed
from tests.simulation.plan import Fault, Plan, make_plan
from tests.simulation.raw import RawClient
from tests.simulation.story import LogWatch, Story

#: After the last fault everyone holds the present within so many seconds.
CONVERGE_SECONDS: Final = 2.0
#: How far behind the room a replica may be then, in ticks and seconds: the network, and a look of the client.
BEHIND_TICKS, BEHIND_SECONDS = 2, 0.1
#: After the last client has gone the room has let go of all within so many seconds: a closing handshake, and a tick.
LET_GO_SECONDS: Final = 4.0
#: Clients hear of the server's end within so many seconds of it, and a drain may take so long.
GOODBYE_SECONDS, DRAIN_SECONDS = 1.0, 6.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        hash: of the trace; equal for equal runs. findings: what does not hold. counts: how often what happened.
        lines: the trace. virtual_seconds: how long it was.
    """

    seed: int
    hash: str
    findings: tuple[str, ...]
    counts: dict[str, int]
    lines: tuple[str, ...]
    virtual_seconds: float


def simulate(seed: int) -> Outcome:
    """Run a seed. Nothing raises because of what the run finds; a defect of the server itself comes out as it is."""
    return simulate_plan(make_plan(seed))


def simulate_plan(plan: Plan) -> Outcome:
    """Run a plan, as `simulate` does."""
    story, clock, seed = Story(plan.seed), MockClock(autojump_threshold=0), plan.seed
    gc.freeze()  # what is not of this run is not looked at when it has ended
    descriptors = count_descriptors()
    try:
        with _deterministic(seed), LogWatch(story):
            trio.run(Simulation(plan, story, clock).run, clock=clock)
    except BaseException as error:
        error.add_note(f"seed {seed}; again: {again(seed)}")
        raise
    finally:
        gc.unfreeze()
    gone = count_descriptors()
    if gone != descriptors:
        story.findings.append(f"{gone - descriptors} descriptors are left")
    return Outcome(
        seed, story.hash(), tuple(story.findings), dict(story.counts), tuple(story.lines), clock.current_time()
    )


def again(seed: int) -> str:
    """The command that runs a seed again, and shows its story."""
    return f"python -m tests.simulation.run --seed {seed}"


class Simulation:
    """The parts of one run, and the order in which they come."""

    def __init__(self, plan: Plan, story: Story, clock: MockClock) -> None:
        self._plan = plan
        self._story = story
        self._clock = clock
        self._clients: list[Client] = []
        self._network: Network | None = None

    async def run(self) -> None:
        """Play, strike, heal, look whether all is well, end it, look whether all is gone."""
        before = Footprint.now()
        async with trio.open_nursery() as nursery, self._nothing_stays_open():
            await self._serve(nursery)
            self._story.tell("server", "stopped")
            await self._until(lambda: all(client.ended for client in self._clients), GOODBYE_SECONDS)
            for client in self._clients:
                self._story.expect(client.ended, client.life.name, "has not heard that the server has stopped")
            await self._expect_footprint(before, tasks=1)  # the network's
            nursery.cancel_scope.cancel()
        objects = objects_of(Link, Player, Room, RoomLoop)
        self._story.expect(not objects, "end", "objects are left of the server", objects)

    @asynccontextmanager
    async def _nothing_stays_open(self) -> AsyncIterator[None]:
        """However it ends, no socket of the simulation's own outlives it."""
        try:
            yield
        finally:
            for client in self._clients:
                client.vanish()
            for cable in self._network.cables if self._network is not None else ():
                cable.close(drain=False)

    async def _serve(self, nursery: trio.Nursery) -> None:
        plan = self._plan
        room_class = type("Yard", (Yard,), {"story": self._story, "inputs_per_tick": plan.inputs_per_tick})
        serving = serve({"yard": room_class}, tick_rate=plan.tick_rate, seed=plan.seed, watchdog_seconds=None)
        async with serving as server:
            before = Footprint.now()
            network = self._network = Network(server._serve_socket, random.Random(f"network {plan.seed}"))
            makers: Any = [RawClient if each.raw else SessionClient for each in plan.clients]
            self._clients = [
                make(at, each, network, self._story)
                for at, (make, each) in enumerate(zip(makers, plan.clients, strict=True))
            ]
            nursery.start_soon(network.run)
            for client in self._clients:
                nursery.start_soon(client.run)
            await self._strike(network)
            await self._converge(server)
            for client in self._clients:
                client.over = client.quiet = True
            if plan.ending == "leave":
                self._send_away()
                await self._let_go(server, before)
            else:
                code = CloseCode.GOING_AWAY if plan.ending == "stop" else CloseCode.RESTART
                for client in self._clients:
                    client.codes = frozenset((code,))
                if plan.ending == "drain":
                    await server.drain(DRAIN_SECONDS)
                    self._story.expect(not server.rooms, "server", "drained, but there are rooms", server.rooms)
            network.serve = None

    async def _strike(self, network: Network) -> None:
        """All faults at their times, and then none any more."""
        for fault in self._plan.faults:
            await trio.sleep_until(fault.at)
            self._story.tell("fault", fault.kind, fault)
            strike(fault, self._clients[fault.client], self._clock)
        await trio.sleep_until(max(self._plan.seconds, trio.current_time()))
        self._story.tell("fault", "healed")
        network.heal()
        for client in self._clients:
            client.nap_until = 0.0

    async def _converge(self, server: Server) -> None:
        """Everyone is in the room and up to date in time; what each frame leads to is checked when it comes."""
        deadline = trio.current_time() + CONVERGE_SECONDS
        room: Any = server.room("yard")
        behind = max(BEHIND_TICKS, round(BEHIND_SECONDS * room.rate)) + round(
            max(client.plan.frame_seconds for client in self._clients) * room.rate
        )
        late: list[Client] = self._clients
        while late and trio.current_time() < deadline:
            await trio.sleep(0.1)
            late = [client for client in self._clients if not client.is_fresh(room.tick - behind)]
        for client in late:
            self._story.expect(
                False, client.life.name, "not up to date at tick", room.tick, client.held_tick, client.ended
            )
        self._story.tell("fault", "converged")

    def _send_away(self) -> None:
        for client in self._clients:
            (client.leave if client.dice.random() < 0.5 else client.vanish)()

    async def _let_go(self, server: Server, before: Footprint) -> None:
        """Nothing is left in the server of those who were here."""
        story = self._story
        await self._expect_footprint(before, tasks=1 + len(server.rooms))
        for loop in server.directory.loops:
            held = [
                *loop.seating.everyone,
                *loop.seating._joining,
                *loop.room._players,
                *loop._resyncs._due,
                loop.seating.poller,
            ]
            story.expect(held == [None], "end", "the room holds", held)
            story.expect(not loop.room.stats.desyncs, "end", "clients reported that hashes differ")
            story.counts["overruns"] += loop.room.stats.overruns
        left = [life.name for life in story.lives.values() if life.joined and not life.left]
        story.expect(not left, "end", "the room was not told that they left", left)
        objects = objects_of(Link, Player)
        story.expect(not objects, "end", "objects are left of players", objects)

    async def _expect_footprint(self, before: Footprint, tasks: int) -> None:
        """Soon there are ``tasks`` more than before, and as many descriptors."""

        def is_gone() -> bool:
            now = Footprint.now()
            return now.tasks <= before.tasks + tasks and now.descriptors <= before.descriptors

        await self._until(is_gone, LET_GO_SECONDS)
        now = Footprint.now()
        self._story.expect(now.tasks == before.tasks + tasks, "end", "tasks are left", now, before)
        self._story.expect(now.descriptors == before.descriptors, "end", "descriptors are left", now, before)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds, for so long at most."""
        deadline = trio.current_time() + seconds
        while not condition() and trio.current_time() < deadline:  # noqa: ASYNC110 - no event tells
            await trio.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the process holds: trio's tasks, and descriptors."""

    tasks: int
    descriptors: int

    @classmethod
    def now(cls) -> Footprint:
        return cls(trio.lowlevel.current_statistics().tasks_living, count_descriptors())


def strike(fault: Fault, client: Client, clock: MockClock) -> None:
    """Let a fault happen to a client; nothing happens to a connection that is none."""
    until = trio.current_time() + fault.seconds
    if fault.kind == "pause":
        clock.jump(min(fault.seconds, 1.0))
    elif fault.kind == "nap":
        client.nap_until = until
    elif fault.kind == "chatter":
        client.ask(fault.amount)
    elif fault.kind == "leave":
        client.leave()
    elif fault.kind == "vanish":
        client.vanish()
    elif client.cable is not None and client.cable.open:
        _strike_cable(fault, client.cable, until)


def _strike_cable(fault: Fault, cable: Any, until: float) -> None:
    pipes = cable.pipes(fault.direction)
    cable.resets = cable.resets or fault.kind == "reset"
    for pipe in pipes:
        if fault.kind == "stall":
            pipe.stalled_until = until
        elif fault.kind == "slow":
            pipe.change(until, slowed(pipe.conditions, 500 + fault.amount))
        elif fault.kind == "shred":
            pipe.change(until, shredded(pipe.conditions))
        elif fault.kind in ("cut", "reset"):
            pipe.cut_at = pipe.landed + fault.amount
        elif fault.kind == "blackhole":
            pipe.swallows = True
    if fault.kind == "half-close":
        pipes[0].end()


def count_descriptors() -> int:
    """How many the process has open."""
    return len(os.listdir("/proc/self/fd"))


def objects_of(*types: type) -> list[str]:
    """Objects of these types that were made in this run and are still there."""
    gc.collect()
    return [repr(each) for each in gc.get_objects() if isinstance(each, types)]


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Trio schedules tasks in an order that the seed decides."""
    module: Any = trio_run
    was, state = module._ALLOW_DETERMINISTIC_SCHEDULING, module._r.getstate()
    module._ALLOW_DETERMINISTIC_SCHEDULING = True
    module._r.seed(seed)
    try:
        yield
    finally:
        module._ALLOW_DETERMINISTIC_SCHEDULING = was
        module._r.setstate(state)
