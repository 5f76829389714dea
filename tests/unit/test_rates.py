"""Rate caps: as many frames as declared, no more bytes than declared and a burst; and a cap may change at any time."""

from __future__ import annotations

import math
import random
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver import DeclarationError, Entity, MaxRate, Room, local, uint
from gameserver.rooms.room import check_room_class
from gameserver.sync.rates import BURST_SECONDS, Cap
from tests.support.examples import examples
from tests.support.fake_links import FakeLink, HandTickedRoom

TICK_RATE = 20


class Ship(Entity):
    x = local(float)
    turn = uint(8)


class Crowd(Room):
    """Every ship changes in every tick."""

    entities = (Ship,)

    def on_create(self) -> None:
        self.world.spawn_many(Ship, 100)

    def step(self, dt: float) -> None:
        ships = self.world[Ship]
        ships.turn = (7 * ships.ids + self.tick) % 256


def admitted(cap: Cap, ticks: range, sent_bytes: int = 40) -> list[int]:
    """The ticks in which a frame goes, when nothing else holds it back."""
    found = []
    for tick in ticks:
        if cap.admits(tick):
            cap.spend(tick, sent_bytes)
            found.append(tick)
    return found


def ticks_of_frames(link: FakeLink) -> list[int]:
    return [message[1][0] for message in link.frames()]


# -- frames


@pytest.mark.parametrize("tick_rate", [20, 60, 7])
@pytest.mark.parametrize("frames", [0.3, 1, 2.5, 7, 19.5, 20, 60, 1000])
@pytest.mark.parametrize("first", [1, 12_345])
def test_as_many_frames_as_declared_evenly_spread(tick_rate: int, frames: float, first: int) -> None:
    ticks = admitted(Cap(MaxRate(frames=frames), tick_rate), range(first, first + 10 * tick_rate))
    assert ticks[0] == first  # nobody waits for the first
    assert abs(len(ticks) - 10 * min(frames, tick_rate)) <= 1
    gaps = [after - before for before, after in pairwise(ticks)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


def test_after_a_pause_nothing_is_caught_up() -> None:
    cap = Cap(MaxRate(frames=5), TICK_RATE)
    admitted(cap, range(1, 100))
    assert admitted(cap, range(1000, 1021)) == [1000, 1003, 1007, 1011, 1015, 1019]


@pytest.mark.parametrize(("frames", "expected"), [(0.3, 3), (7, 70), (20, 200), (60, 200)])
def test_a_room_sends_at_that_rate(frames: float, expected: int) -> None:
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.tick()
        room.player(link).max_rate = MaxRate(frames=frames)
        room.ticks(10 * TICK_RATE)
        assert abs(len(link.frames()) - 1 - expected) <= 1
        replica = room.replica(link)
        assert replica.tick == ticks_of_frames(link)[-1]
        stats = room.player(link).link_stats
        assert stats.frames_skipped + len(link.frames()) == room.room.tick
        assert stats.coalesced_ticks == replica.tick - len(link.frames())


@pytest.mark.parametrize("frames", [0.5, 2, 7])
def test_a_capped_player_is_held_back_by_nothing_else(frames: float) -> None:
    """It acknowledges within a tick, so its link is as good as can be, and its figures say so."""
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.tick()
        player = room.player(link)
        player.max_rate = MaxRate(frames=frames)
        room.ticks(20 * TICK_RATE)
        assert not player.link_stats.is_slow
        assert player.link_stats.rtt is not None
        assert player.link_stats.rtt <= 2 * room.room.dt


@pytest.mark.parametrize("delay_ticks", [3, 6])
@pytest.mark.parametrize("frames", [4, 7, 10])
def test_a_round_trip_longer_than_the_pause_between_frames_holds_nothing_back(frames: float, delay_ticks: int) -> None:
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.tick()
        player, link.acknowledges = room.player(link), False
        player.max_rate = MaxRate(frames=frames)
        for _ in range(20 * TICK_RATE):
            room.tick()
            arrived = [tick for tick in ticks_of_frames(link) if tick <= room.room.tick - delay_ticks]
            player.acknowledged_tick = max([player.acknowledged_tick, *arrived[-1:]])
        assert abs(len(link.frames()) - 20 * frames) <= 2


def test_a_capped_player_that_stops_acknowledging_is_soon_sent_nothing() -> None:
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.tick()
        room.player(link).max_rate = MaxRate(frames=2)
        room.ticks(20 * TICK_RATE)
        before, link.acknowledges = len(link.frames()), False
        room.ticks(400)
        assert len(link.frames()) - before <= 4


# -- bytes


def check_bytes(sent: list[int], rate: float, tick_rate: int, overshoot: int) -> None:
    """Over any span of ticks no more than the declared bytes of that time and a burst.

    Args:
        sent: bytes by tick. overshoot: how much more a frame may have than was allowed when it was made.
    """
    burst = max(rate / tick_rate, rate * BURST_SECONDS)
    before = [0, *accumulate(sent)]
    # What was sent up to a tick, less what it may be by then: its rise since the lowest point before is bounded.
    excess = [total - at * rate / tick_rate for at, total in enumerate(before)]
    lowest = math.inf
    for so_far, after in pairwise(excess):
        lowest = min(lowest, so_far)
        assert after - lowest <= burst + overshoot + 1e-6 * before[-1]


@examples(100)
@given(st.integers(0, 1 << 32), st.floats(1, 1e6), st.sampled_from([1, 5, 20, 60]), st.floats(0, 2))
def test_never_more_bytes_than_declared_over_any_span(seed: int, rate: float, tick_rate: int, greed: float) -> None:
    chance, cap, sent = random.Random(seed), Cap(MaxRate(bytes=rate), tick_rate), []
    overshoot = math.ceil(greed * rate / tick_rate)
    for tick in range(1, 300):
        size = 0
        if cap.admits(tick) and chance.random() < 0.9:
            assert cap.allowance is not None
            size = chance.randint(0, int(cap.allowance)) + chance.randint(0, overshoot)
            cap.spend(tick, size)
        sent.append(size)
    check_bytes(sent, rate, tick_rate, overshoot)


@pytest.mark.parametrize("rate", [1, 100, 1e4])
def test_what_is_not_used_adds_up_to_a_burst_and_no_more(rate: float) -> None:
    cap = Cap(MaxRate(bytes=rate), TICK_RATE)
    assert cap.allowance == max(rate / TICK_RATE, rate * BURST_SECONDS)
    for tick in range(1, 100):
        assert cap.admits(tick)
    assert cap.allowance == max(rate / TICK_RATE, rate * BURST_SECONDS)


def test_at_a_tick_rate_below_the_burst_a_frame_may_use_what_a_tick_brings() -> None:
    cap = Cap(MaxRate(bytes=1000), 1)
    assert cap.allowance == 1000
    assert cap.admits(1)
    cap.spend(1, 1000)
    assert cap.admits(2)
    assert cap.allowance == 1000


def test_what_was_too_much_is_paid_for_before_the_next_frame() -> None:
    cap = Cap(MaxRate(bytes=2000), TICK_RATE)  # 100 a tick, a burst of 500
    assert cap.admits(1)
    cap.spend(1, 1500)
    assert [tick for tick in range(2, 14) if cap.admits(tick)] == [12, 13]


@pytest.mark.parametrize("rate", [1500, 5000, 40_000])
def test_a_room_keeps_to_it(rate: float) -> None:
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.tick()
        room.player(link).max_rate = MaxRate(bytes=rate)
        sent = []
        for _ in range(20 * TICK_RATE):
            before = room.room.stats.frame_bytes
            room.tick()
            sent.append(room.room.stats.frame_bytes - before)
        check_bytes(sent, rate, TICK_RATE, overshoot=60)
        assert sum(sent) >= 0.8 * min(20 * rate, sum(sent) + 1)
        room.replica(link)


def test_frames_and_bytes_together() -> None:
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.tick()
        room.player(link).max_rate = MaxRate(frames=4, bytes=3000)
        before = room.room.stats.frame_bytes
        room.ticks(10 * TICK_RATE)
        assert 35 <= len(link.frames()) - 1 <= 41
        assert room.room.stats.frame_bytes - before <= 30_000 + 3000 * BURST_SECONDS + 60
        room.replica(link)


# -- changing it


def test_a_cap_may_change_at_any_tick() -> None:
    rates = [None, MaxRate(frames=3), MaxRate(bytes=2000), MaxRate(bytes=9000, frames=6), None, MaxRate(bytes=1500)]
    chance = random.Random(8)
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.tick()
        player = room.player(link)
        for _ in range(60):
            rate = chance.choice(rates)
            player.max_rate = rate
            assert player.max_rate == rate
            room.ticks(chance.choice([1, 2, 15]))
        player.max_rate = None
        room.ticks(2)
        replica = room.replica(link)
        assert replica.tick == room.room.tick
        assert [ship.turn for ship in replica["Ship"]] == [(7 * id + room.room.tick) % 256 for id in range(1, 101)]
        assert ticks_of_frames(link)[-2:] == [room.room.tick - 1, room.room.tick]


def test_saying_the_same_again_changes_nothing() -> None:
    """A room may say in every tick what its players' rate is."""
    with HandTickedRoom(Crowd()) as room:
        links = [room.join(), room.join()]
        room.tick()
        for link in links:
            room.player(link).max_rate = MaxRate(frames=5, bytes=3000)
        for _ in range(100):
            room.player(links[0]).max_rate = MaxRate(frames=5, bytes=3000)
            room.tick()
        assert len(links[0].frames()) == len(links[1].frames()) <= 27
        assert links[0].sent[1:] == links[1].sent[1:]


def test_a_change_of_rate_keeps_ids_from_being_used_again_before_the_player_knows() -> None:
    """The link is blocked right after the change: the ship that the player holds must not become another one."""
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.ticks(5)
        room.player(link).max_rate = MaxRate(bytes=10_000)
        link.full = True
        room.room.world.despawn(room.room.world[Ship].get(50))
        room.ticks(100)
        assert room.room.world.spawn(Ship).id != 50


def test_a_change_of_rate_is_no_ticks_merged() -> None:
    """Ticks that merged long ago are not counted again."""
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.ticks(5)
        link.full = True
        room.ticks(100)
        link.full = False
        room.ticks(500)
        player = room.player(link)
        assert player.coalesced_ticks == player.frames_skipped == 100
        player.max_rate = MaxRate(bytes=1_000_000)
        room.ticks(5)
        assert player.coalesced_ticks == player.frames_skipped == 100


def test_each_player_has_its_own() -> None:
    class Capped(Crowd):
        max_rate = MaxRate(frames=5)

    with HandTickedRoom(Capped()) as room:
        links = [room.join() for _ in range(3)]
        room.tick()
        room.player(links[1]).max_rate = None
        room.player(links[2]).max_rate = MaxRate(frames=10)
        room.ticks(100)
        assert [round(len(link.frames()) / 5) for link in links] == [5, 20, 10]


# -- what is refused


@pytest.mark.parametrize("name", ["frames", "bytes"])
@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, "20", [20], 1j])
def test_a_rate_that_is_none_is_refused(name: str, wrong: Any) -> None:
    with pytest.raises(DeclarationError) as caught:
        MaxRate(**{name: wrong})
    assert f"MaxRate({name}={wrong!r})" in str(caught.value)
    assert "a number a second above 0, or None" in str(caught.value)


@pytest.mark.parametrize("wrong", [20, "20", {"frames": 20}, MaxRate])
def test_what_is_no_rate_is_refused_on_a_room_and_on_a_player(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=r"Bad\.max_rate = .*: give MaxRate\(frames=.*, bytes=.*\), or None"):
        check_room_class(type("Bad", (Crowd,), {"max_rate": wrong}))
    with HandTickedRoom(Crowd()) as room:
        link = room.join()
        room.tick()
        room.player(link).max_rate = MaxRate(frames=5)
        with pytest.raises(TypeError, match=r"max_rate = .*: give MaxRate\(frames=.*, bytes=.*\), or None"):
            room.player(link).max_rate = wrong
        assert room.player(link).max_rate == MaxRate(frames=5)
