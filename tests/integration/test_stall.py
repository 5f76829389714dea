"""Links that are too slow, and players who stop reading: they see fresh state or none, and cost the server nothing.

Real sockets and real time, so each test takes some seconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
import trio

from gameprotocol import limits
from gameserver import Server, serve
from gameserver.rooms.loop import RoomLoop
from gameserver.sync.pacing import EXCESS_SECONDS, STANDING_SECONDS
from tests.support.slow_link import SlowLink, slow_link
from tests.support.state_age import Arrival, Crowd, RecordingClient, bytes_held, unbounded_queue

PERIOD_SECONDS = 1 / Crowd.tick_rate
DELAY_SECONDS = 0.03
#: How old a state may be on a link with half the bandwidth that is needed: the round trip and three periods.
FRESH_SECONDS = 2 * DELAY_SECONDS + 3 * PERIOD_SECONDS
#: Of a frame of the crowd, its WebSocket header included, rounded up.
FRAME_BYTES = 1100


class QuickCrowd(Crowd):
    """30 ticks a second, so that a few seconds hold more of them than the server remembers."""

    tick_rate = 30


class Scene:
    """A server with a crowd, and a client at the other end of a slow link."""

    def __init__(self, server: Server, link: SlowLink, client: RecordingClient) -> None:
        self.link, self.client = link, client
        self.loop: RoomLoop = server.directory.loops[0]
        room = self.loop.room
        assert isinstance(room, Crowd)
        self.room = room

    async def halve_the_bandwidth(self) -> None:
        """Find out what this client needs when nothing holds it back, then give it half of that, and let it settle."""
        await trio.sleep(0.5)
        before = self.room.stats.frame_bytes
        await trio.sleep(1)
        self.link.bytes_per_second = (self.room.stats.frame_bytes - before) / 2
        await trio.sleep(STANDING_SECONDS + 1.5)

    async def arrivals(self, seconds: float) -> list[Arrival]:
        """What the client applies from now on for so long."""
        before = len(self.client.arrivals)
        await trio.sleep(seconds)
        return self.client.arrivals[before:]

    def bytes_held(self) -> int:
        """What the server and its kernel hold for the client."""
        [link] = self.loop.seating.connected
        return bytes_held(link)

    def machine_delay(self) -> float:
        """What a busy machine, and not the link, adds to ages: one period at most counts as an excuse."""
        tick = self.room.stats.lateness.milliseconds()["p99"] / 1e3
        return min(PERIOD_SECONDS, tick + float(np.percentile(self.link.lateness, 99)))

    async def check_that_the_client_converges(self) -> None:
        """Let the world come to rest; the client must then hold the server's integers, and its hash must say so."""
        world = self.client.session.world
        self.room.moving = False
        rest_tick, checked = self.room.tick, world.hashes_checked
        while world.tick <= rest_tick or world.hashes_checked == checked:  # noqa: ASYNC110 - no event
            await trio.sleep(0.01)
        for table, held in zip(self.loop._published.tables, world.tables, strict=True):
            assert table.ids.tolist() == held.ids.tolist()
            assert np.array_equal(table.integers[:, table.ids], held.integers[:, held.ids])
        assert world.desyncs == 0


@asynccontextmanager
async def scene(room_class: type[Crowd] = Crowd) -> AsyncIterator[Scene]:
    with trio.fail_after(30):
        async with (
            serve(room_class, port=0) as server,
            slow_link(server.url(), delay=DELAY_SECONDS) as link,
            trio.open_nursery() as nursery,
        ):
            client = RecordingClient(link.url)
            await nursery.start(client.run)
            yield Scene(server, link, client)
            nursery.cancel_scope.cancel()


def p95_age(arrivals: list[Arrival]) -> float:
    return float(np.percentile([arrival.age for arrival in arrivals], 95))


@pytest.mark.slow
async def test_with_half_the_bandwidth_states_are_fewer_and_fresh() -> None:
    async with scene() as played:
        await played.halve_the_bandwidth()
        arrivals = await played.arrivals(5)
        assert p95_age(arrivals) <= FRESH_SECONDS + played.machine_delay()
        assert len(arrivals) >= 5 * 3  # a fresh state now and then would be too little
        seen = played.client.arrivals
        merged = seen[-1].tick - seen[0].tick + 1 - len(seen)
        assert played.client.session.stats.coalesced_ticks == merged > 0
        assert played.client.session.stats.frames_skipped == 0
        await played.check_that_the_client_converges()


@pytest.mark.slow
async def test_with_an_unbounded_queue_they_would_get_ever_older() -> None:
    """What the test above is worth: the same link and client, and a server that queues."""
    with unbounded_queue():
        async with scene() as played:
            await played.halve_the_bandwidth()
            received = played.client.session.stats.bytes_in
            early, late = await played.arrivals(2), await played.arrivals(2)
            received = played.client.session.stats.bytes_in - received
            assert p95_age(late) > 3 * FRESH_SECONDS
            assert p95_age(late) > p95_age(early) + 0.5
            assert played.bytes_held() > 15 * FRAME_BYTES
            # And what the tests here are worth: the link is always busy, and as slow as it was told to be.
            assert received / 4 == pytest.approx(played.link.bytes_per_second, rel=0.1)
            assert min(arrival.age for arrival in played.client.arrivals) >= DELAY_SECONDS


async def check_a_stall(played: Scene, what_stops: SlowLink | RecordingClient, seconds: float) -> None:
    """Whoever has stalled gets what the window holds and then one frame; the server keeps nothing for it."""
    before = len(played.client.arrivals)
    # Those in the window, what a hiccup is allowed, and what was behind the narrow place and is still acknowledged.
    most_old = played.client.session.stats.window_ticks + round(EXCESS_SECONDS * played.room.tick_rate) + 2
    what_stops.stall()
    await trio.sleep(seconds)
    tick_now = played.room.tick
    assert played.bytes_held() <= most_old * FRAME_BYTES
    what_stops.resume()
    await trio.sleep(0.5)
    since = played.client.arrivals[before:]
    old = [arrival for arrival in since if arrival.tick < tick_now]
    assert len(old) <= most_old
    forgotten = tick_now - old[-1].tick > limits.HISTORY_TICKS
    assert forgotten == (seconds > 3)
    assert since[len(old)].full == forgotten
    await played.check_that_the_client_converges()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1.5, 4.0])
async def test_after_a_link_has_stalled_one_frame_makes_its_client_current(seconds: float) -> None:
    async with scene(QuickCrowd) as played:
        await trio.sleep(0.5)
        await check_a_stall(played, played.link, seconds)


@pytest.mark.parametrize("seconds", [1.5, pytest.param(4.0, marks=pytest.mark.slow)])
async def test_after_a_client_has_stalled_one_frame_makes_it_current(seconds: float) -> None:
    async with scene(QuickCrowd) as played:
        await trio.sleep(0.5)
        await check_a_stall(played, played.client, seconds)


@pytest.mark.slow
async def test_a_client_that_stalls_as_soon_as_it_is_in_the_room_is_no_exception() -> None:
    """Before anything is known of its link."""
    async with scene(QuickCrowd) as played:
        await check_a_stall(played, played.client, 4)
