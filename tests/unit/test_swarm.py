"""All bots of one process: slices of time, who is looked at when, and scripts that are told how it went."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gamebots import connection, swarm
from gamebots.bots import RandomBot
from gamebots.measures import Measured
from gamebots.plan import Plan
from gamebots.scenarios import Drop, Join, Leave, Play, Scenario, Script, Stall, Until
from gamebots.swarm import SLICES, Swarm, _Slices
from gameserver import Input, Room, serve

SECONDS = 20  # real time; a bound, not a wait


async def test_slices_come_at_absolute_times_and_leave_out_what_was_missed(autojump_clock: MockClock) -> None:
    slices = _Slices(0.005, autojump_clock.current_time)
    indices = [await slices.next() for _ in range(25)]
    assert indices == [n % SLICES for n in range(1, 26)]
    assert autojump_clock.current_time() == pytest.approx(25 * 0.005)
    autojump_clock.jump(1.0)  # 200 slices: whole periods are left out, and the next slice is the next in turn
    assert await slices.next() == 26 % SLICES
    assert slices.late == pytest.approx(0.995)  # what was left out was late, too
    began = autojump_clock.current_time()
    for _ in range(SLICES):
        await slices.next()
    assert autojump_clock.current_time() - began <= SLICES * 0.005 + 1e-9


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 24, 25, 40, 100, 1000])
def test_inputs_are_spread_over_the_period(count: int) -> None:
    """However few bots there are: otherwise all latencies would be those of one moment between two ticks."""
    sizes = [len(bots) for bots in Swarm(Plan("ws://127.0.0.1:1/", count))._slices]
    assert sum(sizes) == count
    assert max(sizes) <= math.ceil(count / SLICES) + 2
    taken = [index for index, size in enumerate(sizes) if size]
    gaps = [b - a for a, b in zip(taken, [*taken[1:], taken[0] + SLICES], strict=True)]
    assert max(gaps) <= 2.7 * SLICES / min(count, SLICES) + 1


def test_processes_share_the_bots_and_the_replicas() -> None:
    plan = Plan("ws://127.0.0.1:1/", 30, processes=4, replicas=10)
    parts = [Swarm(plan, range(index, 30, 4)) for index in range(4)]
    assert sorted(number for part in parts for number in part.bots) == list(range(30))
    holding = [number for part in parts for number, bot in part.bots.items() if bot._holds_replica]
    assert len(holding) == 10


@pytest.mark.parametrize(("count", "replicas"), [(7, 3), (100, 33), (1000, 50), (3, 3), (3, 0), (999, 7), (50, 49)])
def test_as_many_replicas_as_were_asked_for(count: int, replicas: int) -> None:
    plan = Plan("ws://127.0.0.1:1/", count, replicas=replicas)
    assert sum(bot._holds_replica for bot in Swarm(plan).bots.values()) == replicas


# -- in rooms ----------------------------------------------------------------------------------------------------------


class Keys(Input):
    jump: bool = False


class Seats(Room):
    """Holds seats."""

    input = Keys
    tick_rate = 50
    allow_reconnection = 10.0


class Hall(Room):
    """Holds none."""

    input = Keys
    tick_rate = 50


@pytest.fixture(autouse=True)
def _no_time_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm, "SETTLE_SECONDS", 0.0)


async def play(
    scenario: type[Scenario], room: type[Room], *, count: int = 4, seconds: float = 1.0, **more: Any
) -> tuple[Measured, Swarm, Scenario]:
    """Let bots play in a server of this process, measured for so long."""
    made = scenario(count, seconds, math.inf, 1)
    with trio.fail_after(SECONDS):
        async with serve({"room": room}, port=0) as server:
            plan = Plan(server.url("room"), count, seconds, math.inf, rate=50.0)
            bots = Swarm(plan, scenario=made, make_bot=RandomBot, mask_source=bytes)
            return await bots.run(), bots, made


class Keeps(Scenario):
    """Keeps what each step of each script was told."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.told: dict[int, list[Any]] = {}

    def script(self, bot: int) -> Script:
        told = self.told[bot] = []
        for step in self.steps(bot):
            answer = yield step
            told.append((type(step).__name__, answer))

    def steps(self, bot: int) -> Any:
        raise NotImplementedError


class DropsAndJoins(Keeps):
    def steps(self, bot: int) -> Any:
        yield Join()
        yield Until(0.1)
        yield Drop()
        yield Join()
        yield Play(0.2)
        yield Leave()


async def test_a_script_that_drops_and_joins_goes_on_with_and_without_seats() -> None:
    async def check(room: type[Room], returns: int) -> None:
        measured, _, scenario = await play(DropsAndJoins, room)
        steps = ("Join", "Until", "Drop", "Join", "Play", "Leave")
        assert list(scenario.told.values()) == [[(name, True) for name in steps]] * 4  # type: ignore[attr-defined]
        assert (measured.returns, measured.durations["return"].count) == (returns, returns)
        assert measured.durations["join"].count == 8 - returns
        assert (measured.disconnects, measured.refused, measured.connected) == ({}, {}, 0)
        assert measured.seconds < 0.95  # nobody is left and nobody will come

    async with trio.open_nursery() as nursery:
        nursery.start_soon(check, Seats, 4)
        nursery.start_soon(check, Hall, 0)


class Stalls(Keeps):
    def steps(self, bot: int) -> Any:
        yield Join()
        yield Until(0.1)
        if bot == 0:
            yield Stall(0.4)
        yield Play()


@pytest.mark.slow
async def test_who_stalls_reads_again_and_others_do_not_notice() -> None:
    measured, _, _ = await play(Stalls, Seats, seconds=0.7)
    stalled, *others = measured.bots
    assert 395 < stalled.gap.figure()["max"] < 600
    assert all(bot.counts.frames >= 28 for bot in others)
    assert (measured.disconnects, measured.connected) == ({}, 4)
    assert all(bot.counts.desyncs == 0 for bot in measured.bots)


@asynccontextmanager
async def silent_server(say: bytes = b"") -> AsyncIterator[str]:
    """Takes connections, says ``say``, and nothing else."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def hold(stream: trio.SocketStream) -> None:
        if say:
            await stream.send_all(say)
        async for _ in stream:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, hold, listeners)
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/room"
        nursery.cancel_scope.cancel()


async def test_a_server_that_lets_nobody_in_is_told_by_its_reason_and_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "JOIN_SECONDS", 0.4)
    monkeypatch.setattr(swarm, "JOIN_SECONDS", 0.4)

    async def check(say: bytes, why: str) -> None:
        async with silent_server(say) as url:
            measured = await Swarm(Plan(url, 3, 5.0, math.inf)).run()
        assert (measured.joins, measured.refusals, measured.connected) == (0, 3, 0)
        ((reason, times),) = measured.refused.items()
        assert times == 3
        assert why in reason
        assert measured.seconds < 1.0  # there is nothing to wait for

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(check, b"", "not joined within 0.4 s")
            nursery.start_soon(check, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "503")
            nursery.start_soon(check, b"SSH-2.0-OpenSSH_9.2\r\n", "1006")


def open_descriptors() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:  # this system does not tell
        return 0


async def test_stop_ends_a_run_in_its_ramp_and_descriptors_are_given_back() -> None:
    before = open_descriptors()
    with trio.fail_after(SECONDS):
        async with silent_server() as url:
            bots = Swarm(Plan(url, 20, 5.0, 10.0))
            seconds = []

            def on_second(second: Any) -> None:
                seconds.append(second)
                bots.stop()

            measured = await bots.run(on_second=on_second)
    assert measured.interrupted
    assert len(seconds) == 1
    assert open_descriptors() <= before
