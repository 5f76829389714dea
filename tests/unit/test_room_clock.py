"""What bots can tell together of a room's clock, against rooms whose clock is known: all arrivals are made up."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamebots.room_clock import RoomClock
from tests.support.examples import examples

#: A tick's lateness is told when so many newer ones have been seen.
OPEN_TICKS = 9


@dataclass
class Room:
    """A room's ticks as they really were: when each was made, and when it reached each bot.

    Args:
        period: in seconds. first: the number of its first tick. offset: when that was due.
        way: the least time that a frame takes to a bot.
    """

    period: float = 0.05
    first: int = 1
    offset: float = 1000.0
    way: float = 0.0
    made: dict[int, float] = field(default_factory=dict)
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    def due(self, tick: int) -> float:
        return self.offset + (tick - self.first) * self.period

    def tick(self, tick: int, late: float = 0.0, jitters: tuple[float, ...] = (0.0,)) -> None:
        """Make one; each of ``jitters`` is one bot, and by how much its frame is slower than the fastest could be."""
        self.made[tick] = self.due(tick) + late
        self.arrivals += [(self.made[tick] + self.way + jitter, tick) for jitter in jitters]

    def play(self, clock: RoomClock | None = None) -> RoomClock:
        """All arrivals in their order."""
        clock = RoomClock(self.period) if clock is None else clock
        clock.note_round_trip(2 * self.way)
        for now, tick in sorted(self.arrivals):
            clock.note(tick, now, None)
        return clock


def test_lateness_is_that_of_the_ticks_that_were_late() -> None:
    room = Room(way=0.02)
    late = {50: 0.013, 70: 0.2, 71: 0.15, 72: 0.1, 73: 0.05}
    for tick in range(1, 101):
        room.tick(tick, late.get(tick, 0.0))
    clock = room.play()
    found = dict(enumerate(clock.lateness, 1))
    assert len(found) == 100 - OPEN_TICKS
    assert {tick: seconds for tick, seconds in found.items() if seconds > 1e-6} == pytest.approx(late)


rooms = st.builds(
    Room,
    period=st.sampled_from((1 / 60, 0.05, 0.1)),
    first=st.sampled_from((1, 7, 500_000, 4_000_000_000)),
    offset=st.floats(0, 1e6),
    way=st.floats(0, 0.2),
)


@given(
    room=rooms,
    seed=st.integers(0, 1 << 32),
    most=st.floats(0, 0.04),
    jitter=st.floats(0, 0.05),
    bots=st.integers(1, 6),
)
@examples(60)
def test_lateness_and_age_are_found_within_the_networks_jitter(
    room: Room, seed: int, most: float, jitter: float, bots: int
) -> None:
    """One tick of ten is on time, and reaches one bot as fast as the network can: that is all that it needs.

    What it says of another tick is wrong by the least jitter of all bots at most, never by the lateness itself.
    """
    dice = random.Random(seed)
    late, least = {}, {}
    for tick in range(room.first, room.first + 200):
        good = (tick - room.first) % 10 == 0
        late[tick] = 0.0 if good else dice.uniform(0, most)
        jitters = [dice.uniform(0, jitter) for _ in range(bots)]
        if good:
            jitters[0] = 0.0
        least[tick] = min(jitters)
        room.tick(tick, late[tick], tuple(jitters))
    clock = room.play()
    for tick, found in zip(late, clock.lateness, strict=False):
        assert late[tick] - 1e-6 <= found <= late[tick] + least[tick] + 1e-6
    assert len(clock.lateness) == 200 - OPEN_TICKS
    for tick in late:
        made = clock.made_at(tick)
        assert made is not None
        assert room.due(tick) - 1e-6 <= made <= room.made[tick] + least[tick] + 1e-6


@given(seed=st.integers(0, 1 << 32), lost=st.floats(0, 0.6), merged=st.integers(1, 4))
@examples(40)
def test_ticks_that_nobody_saw_do_not_matter(seed: int, lost: float, merged: int) -> None:
    """Frames are merged for slow bots, and a bot alone sees few."""
    dice = random.Random(seed)
    room = Room(way=0.03)
    late = {}
    for tick in range(1, 301, merged):
        if dice.random() >= lost:
            late[tick] = dice.choice((0.0, 0.0, 0.02))
            room.tick(tick, late[tick])
    clock = room.play()
    assert clock.lateness == pytest.approx([*late.values()][: len(clock.lateness)], abs=0.0201)
    newest = max(late)
    assert set(range(1, newest - OPEN_TICKS + 1)) & set(late) == set([*late][: len(clock.lateness)])
    if len(late) > 60:
        assert clock.lateness[40:] == pytest.approx([*late.values()][40 : len(clock.lateness)], abs=1e-6)


@pytest.mark.parametrize("hang", [0.3, 1.0, 4.0, 20.0])
def test_a_room_that_hung_and_dropped_ticks_has_another_schedule(hang: float) -> None:
    """One hang is one hang: it does not make all ticks of the next seconds late."""
    room = Room(way=0.01)
    for tick in range(1, 101):
        room.tick(tick)
    for tick in range(101, 105):  # the one that hung, and those that are caught up at once
        room.tick(tick, hang - (tick - 101) * room.period)
    dropped = int(hang / room.period) - 3
    for tick in range(105, 305):
        room.tick(tick, dropped * room.period)
    clock = room.play()
    assert max(clock.lateness) == pytest.approx(hang)
    assert sum(seconds > 0.001 for seconds in clock.lateness) <= 4 + 16
    assert clock.made_at(304) == pytest.approx(room.made[304])


def test_this_tools_own_hang_is_no_other_schedule() -> None:
    """All that came meanwhile is read in one moment, the newest of it almost in time."""
    room = Room()
    for tick in range(1, 201):
        room.tick(tick, max(0.0, 0.8 - (tick - 100) * room.period) if tick >= 100 else 0.0)
    clock = room.play()
    assert sum(seconds > 0.001 for seconds in clock.lateness) == 16
    assert clock.lateness[99] == pytest.approx(0.8)


@given(share=st.floats(0.3, 0.95), way=st.floats(0, 0.1))
@examples(30)
def test_of_a_room_that_does_not_keep_its_rate_first_frames_tell(share: float, way: float) -> None:
    room = Room(way=way)
    for tick in range(1, 400):
        room.tick(tick, (tick - 1) * room.period * (1 / share - 1))
    clock = room.play()
    assert clock.made_at(399) == pytest.approx(room.made[399])
    clock.mark()
    for tick in range(400, 500):
        clock.note(tick, room.offset + way + (tick - 1) * room.period / share, None)
    assert clock.tick_rate(room.offset + 499 * room.period / share) == pytest.approx(20 * share, rel=0.02)


@given(ppm=st.floats(-500, 500))
@examples(20)
def test_clocks_that_run_apart_a_little_are_followed(ppm: float) -> None:
    clock = RoomClock(0.05)
    for tick in range(1, 20 * 60):
        now = 1000 + tick * 0.05 * (1 + ppm / 1e6)
        clock.note(tick, now, None)
        assert clock.made_at(tick) == pytest.approx(now, abs=0.0031)
    assert max(clock.lateness) < 0.0031  # 500 ppm of five to six seconds


def test_age_is_told_of_a_state_however_old() -> None:
    room = Room(way=0.02)
    for tick in range(1, 3001):
        room.tick(tick)
    clock = room.play()
    for tick in (1, 1500, 2999, 3000):
        assert clock.made_at(tick) == pytest.approx(room.made[tick])


def test_nothing_is_told_of_what_nobody_saw() -> None:
    clock = RoomClock(0.05)
    assert clock.made_at(1) is None
    assert clock.tick_rate(5.0) is None
    clock.mark()
    assert clock.tick_rate(5.0) is None
    of_events = RoomClock(0.0)
    of_events.note(5, 10.0, None)
    assert of_events.made_at(6) is None
    assert of_events.made_at(5) == 10.0


def test_a_room_that_ticks_when_something_happens_has_no_lateness() -> None:
    clock = RoomClock(0.0)
    times = [10.0 + n * n / 100 for n in range(60)]
    for tick, now in enumerate(times, 1):
        clock.note(tick, now, 1500)
    clock.note_round_trip(0.01)
    assert clock.lateness == []
    assert clock.made_at(60) == pytest.approx(times[-1] - 0.005)
    assert clock.server_ticks == [0.0015] * (60 - OPEN_TICKS)


@pytest.mark.parametrize("first", [1, 12_000_000, (1 << 32) - 2000])
def test_a_room_that_has_run_for_long_costs_no_more(first: int) -> None:
    clock = RoomClock(0.05)
    clock.note(first, 10.0, None)
    clock.note(first + 1_000_000, 50_010.0, None)  # and one that nobody watched for half a day
    for tick in range(1, 5000):
        clock.note(first + 1_000_000 + tick, 50_010.0 + tick * 0.05, None)
    assert len(clock._ticks) <= 1200
    assert len(clock._open) <= OPEN_TICKS


def test_how_long_the_server_kept_an_input_is_told_once_a_tick_the_longest() -> None:
    clock = RoomClock(0.05)
    for tick in range(1, 30):
        for bot, kept_us in enumerate((900, None, 2000 + tick, 1500)):
            clock.note(tick, tick * 0.05 + bot / 1000, kept_us)
    assert clock.server_ticks == pytest.approx([(2000 + tick) / 1e6 for tick in range(1, 30 - OPEN_TICKS)])
    clock.note(3, 99.0, 9_000_000)  # it is over
    assert max(clock.server_ticks) < 0.003


def test_what_comes_before_measuring_is_forgotten_but_the_schedule_is_not() -> None:
    clock = RoomClock(0.05)
    for tick in range(1, 101):
        clock.note(tick, tick * 0.05, 1000)
    clock.mark()
    assert (clock.lateness, clock.server_ticks) == ([], [])
    for tick in range(101, 121):
        clock.note(tick, tick * 0.05 + 0.03, 1000)
    assert max(clock.lateness) == pytest.approx(0.03)
    assert clock.tick_rate(6.03) == pytest.approx(20, rel=0.05)


def test_the_rate_is_counted_to_now_while_somebody_watches() -> None:
    clock = RoomClock(0.05)
    clock.note(1, 9.0, None)
    clock.note(2, 10.0, None)
    clock.mark()
    for tick in range(3, 43):
        clock.note(tick, 10.0 + (tick - 2) * 0.05, None)
    assert clock.tick_rate(12.01) == pytest.approx(20.0)
    assert clock.tick_rate(14.0) == pytest.approx(10.0)  # it hangs
    assert clock.tick_rate(14.0, watched=False) == pytest.approx(20.0)  # all have left it


@pytest.mark.parametrize("step", [1, 2, 4])
def test_ticks_that_are_never_told_are_made_all_the_same(step: int) -> None:
    for end in range(0, step * 50 + 20, 10):
        clock = RoomClock(0.05)
        for tick in range(0, 101, step):
            clock.note(tick, 10.0 + tick * 0.05, None)
            if tick == 40:
                clock.mark()
        now = 15.0 + end / 1000
        assert clock.tick_rate(now) == pytest.approx(20.0)
        clock.close_all(now, watched=True)
        assert max(clock.lateness) < 1e-6
        assert (clock.tick_rate(now + 1.0) or 0) < 16  # it hangs


def test_a_room_that_is_found_later_has_a_rate_too() -> None:
    clock = RoomClock(0.05)
    clock.mark()
    for tick in range(100, 141):
        clock.note(tick, 50.0 + tick * 0.05, None)
    assert clock.tick_rate(57.01) == pytest.approx(20.0)


@given(round_trips=st.lists(st.floats(0.001, 1), min_size=1))
@examples(20)
def test_the_way_is_half_of_the_shortest_round_trip(round_trips: list[float]) -> None:
    clock = RoomClock(0.05)
    clock.note(1, 10.0, None)
    for seconds in round_trips:
        clock.note_round_trip(seconds)
    assert clock.round_trip == min(round_trips) < math.inf
    assert clock.made_at(1) == pytest.approx(10.0 - min(round_trips) / 2)


def test_a_room_that_stood_still_while_nobody_was_there_has_not_been_slow() -> None:
    clock = RoomClock(0.05)
    clock.enter()
    clock.note(1, 0.05, None)
    clock.mark()
    for tick in range(2, 101):
        clock.note(tick, tick * 0.05, None)
    clock.leave(5.0)
    clock.lateness.clear()
    clock.enter()
    for tick in range(101, 201):  # it was paused for seven seconds
        clock.note(tick, 7.0 + tick * 0.05, None)
    clock.close_all(17.0, watched=True)
    assert clock.tick_rate(17.0) == pytest.approx(20.0, rel=0.02)
    assert max(clock.lateness) < 1e-6
    made = clock.made_at(200)
    assert made == pytest.approx(17.0)


def test_a_room_that_hangs_until_all_have_given_up_was_slow() -> None:
    clock = RoomClock(0.05)
    clock.enter()
    clock.note(1, 0.05, None)
    clock.mark()
    for tick in range(2, 41):
        clock.note(tick, tick * 0.05, None)
    clock.leave(5.0)  # three seconds later
    assert clock.tick_rate(9.0, watched=False) == pytest.approx(39 / 4.95)
