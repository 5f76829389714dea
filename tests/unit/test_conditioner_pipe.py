"""One direction of a link: order, times, rate, loss as TCP shows it, stalls, and what a seed decides."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamebots.conditioner import Direction, LinkProfile
from gamebots.conditioner.pipe import LEARNING_SECONDS, SEGMENT_BYTES, WINDOW_BYTES, Pipe, make_pipes
from tests.support.examples import examples

milliseconds = st.integers(0, 300).map(lambda value: value / 1000)
narrow = st.one_of(st.just(math.inf), st.floats(500, 1e7))
stalls = st.one_of(st.just((0.0, 0.0)), st.tuples(st.floats(0.5, 3), st.floats(0.01, 0.4)))


@st.composite
def directions(draw: st.DrawFn) -> Direction:
    every, seconds = draw(stalls)
    return Direction(
        delay=draw(milliseconds),
        jitter=draw(st.sampled_from([0.0, 0.003, 0.05])),
        rate=draw(narrow),
        share=draw(st.sampled_from([None, None, 0.5])),
        loss=draw(st.sampled_from([0.0, 0.02, 0.4])),
        burst=draw(st.sampled_from([1.0, 3.0])),
        queue_bytes=draw(st.sampled_from([1024, 3000, 65536])),
        stall_every=every,
        stall_seconds=seconds,
    )


#: Seconds until something happens, and what: so many bytes are offered, or what has arrived is pulled.
actions = st.lists(st.tuples(milliseconds, st.one_of(st.none(), st.integers(1, 5000))), max_size=60)


class Journey:
    """A pipe that is used as its users do: they ask for room, and pull now and then.

    Attributes:
        pulled: (when, how many bytes so far). pushed: the same of those that went in.
    """

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.now = 0.0
        self.sent, self.received = bytearray(), bytearray()
        self.pushed: list[tuple[float, int]] = [(0.0, 0)]
        self.pulled: list[tuple[float, int]] = []
        self._bytes = random.Random(1)

    def offer(self, size: int) -> None:
        taken = min(size, self.pipe.room(self.now))
        data = self._bytes.randbytes(taken)
        self.pipe.push(data, self.now)
        self.sent += data
        self.pushed.append((self.now, len(self.sent)))

    def pull(self) -> None:
        self.received += self.pipe.pull(self.now)
        self.pulled.append((self.now, len(self.received)))

    def finish(self) -> None:
        """The end of the stream, and everything until then, each at its time."""
        self.pipe.end(self.now)
        while not self.pipe.ended:
            assert self.pipe.next_at < math.inf
            self.now = max(self.now, self.pipe.next_at)
            self.pull()
        assert self.pipe.next_at == math.inf


def travel(direction: Direction, plan: list[tuple[float, int | None]], seed: int = 1) -> Journey:
    pipe = Pipe(direction, random.Random(seed), round_trip=2 * direction.delay, deviation=direction.jitter)
    journey = Journey(pipe)
    for passed, size in plan:
        journey.now += passed
        if size is None:
            journey.pull()
        else:
            journey.offer(size)
    journey.finish()
    return journey


@given(direction=directions(), plan=actions, seed=st.integers(0, 9))
@examples(300)
def test_everything_comes_out_once_and_in_order(
    direction: Direction, plan: list[tuple[float, int | None]], seed: int
) -> None:
    journey = travel(direction, plan, seed)
    assert journey.received == journey.sent
    assert journey.pipe.bytes_in == journey.pipe.bytes_out == len(journey.sent)


@given(direction=directions(), plan=actions, seed=st.integers(0, 9))
@examples(200)
def test_nothing_comes_earlier_than_asked(
    direction: Direction, plan: list[tuple[float, int | None]], seed: int
) -> None:
    journey = travel(direction, plan, seed)
    least = max(0.0, direction.delay - 3 * direction.jitter)
    for time, count in journey.pulled:
        before = max(sent for at, sent in journey.pushed if at <= time - least + 1e-9 or not at)
        assert count <= before


@given(direction=directions(), plan=actions, seed=st.integers(0, 9))
@examples(200)
def test_the_rate_is_never_above_what_was_asked(
    direction: Direction, plan: list[tuple[float, int | None]], seed: int
) -> None:
    direction = replace(direction, rate=min(direction.rate, 1e5), share=None)
    journey = travel(direction, plan, seed)
    least = max(0.0, direction.delay - 3 * direction.jitter)
    for time, count in journey.pulled:
        assert count <= direction.rate * max(0.0, time - least) + 1e-6


@given(rate=st.floats(500, 1e6), plan=actions)
@examples(200)
def test_without_chance_the_rate_holds_in_every_window(rate: float, plan: list[tuple[float, int | None]]) -> None:
    direction = Direction(delay=0.05, rate=rate)
    pipe = Pipe(direction, random.Random(1))
    arrivals: list[tuple[float, int]] = []
    now = 0.0
    for passed, size in [*plan, (1e6, None)]:
        until = now + passed
        while pipe.next_at <= until:
            now = pipe.next_at
            arrivals.append((now, len(pipe.pull(now))))
        now = until
        if size is not None:
            pipe.push(bytes(min(size, pipe.room(now))), now)
    for first, (begin, _) in enumerate(arrivals):
        total = 0
        for end, size in arrivals[first + 1 :]:
            total += size
            assert total <= rate * (end - begin) * (1 + 1e-9) + 1e-6


@given(direction=directions(), plan=actions, seed=st.integers(0, 9))
@examples(100)
def test_the_same_seed_gives_the_same_times(
    direction: Direction, plan: list[tuple[float, int | None]], seed: int
) -> None:
    assert travel(direction, plan, seed).pulled == travel(direction, plan, seed).pulled


def test_another_seed_gives_other_times() -> None:
    direction, plan = Direction(delay=0.1, jitter=0.02), [(0.05, 100)] * 5
    assert travel(direction, plan, 1).pulled != travel(direction, plan, 2).pulled


# -- one thing at a time


class Dice(random.Random):
    """Which segments are lost is said beforehand; nothing else is left to chance.

    Args:
        losses: for each segment, and each time that one is sent again, in the order in which they are asked for.
    """

    def __init__(self, losses: list[bool]) -> None:
        super().__init__(1)
        self._losses = losses

    def random(self) -> float:
        return 0.0 if self._losses and self._losses.pop(0) else 1.0


def times(pipe: Pipe, sent: list[float]) -> list[float]:
    """When segments come out that go in at these times, in milliseconds."""
    out: list[float] = []
    for at in [*sent, math.inf]:
        while pipe.next_at <= at and pipe.next_at < math.inf:
            now = pipe.next_at
            out += [round(1000 * now, 6)] * len(pipe.pull(now))
        if at < math.inf:
            pipe.push(b"x", at)
    return out


# A round trip of 80 ms, in milliseconds: sent, what is lost (then each time that it is sent again), arrived.
LOSSES = [
    ("nothing", [0, 50], [False, False], [40, 90]),
    ("found by the next", [0, 50], [True, False, False], [0 + 50 + 100 + 40, 190]),
    ("found by the next at once", [0, 10, 20], [True, False, False, False], [150, 150, 150]),
    ("none comes soon: the probe", [0, 70], [True, False, False], [0 + 160 + 40, 200]),
    ("none comes at all", [0], [True, False], [200]),
    ("the one before is not held", [0, 10, 50], [False, True, False, False], [40, 190, 190]),
    ("a burst is found by the first that arrives", [0, 10, 20], [True, False, True, False], [160, 160, 160]),
    ("a burst without an end", [0, 10], [True, False, True], [10 + 160 + 40, 210]),
    ("lost again", [0, 50], [True, True, False, False], [190 + 200, 390]),
    ("lost three times", [0, 50], [True, True, True, False, False], [190 + 200 + 400, 790]),
    ("what comes behind is held", [0, 50, 60, 500], [True, False, False, False, False], [190, 190, 190, 540]),
    ("found, and then another", [0, 170, 220], [True, False, True, False, False], [200, 360, 360]),
    ("two losses", [0, 50, 100, 150], [True, False, False, True, False, False], [190, 190, 290, 290]),
]


@pytest.mark.parametrize(("sent", "lost", "arrived"), [case[1:] for case in LOSSES], ids=[case[0] for case in LOSSES])
def test_what_a_loss_costs(sent: list[int], lost: list[bool], arrived: list[int]) -> None:
    pipe = Pipe(Direction(delay=0.04, loss=0.01, burst=5.0), Dice(list(lost)), round_trip=0.08, deviation=0.0)
    assert times(pipe, [at / 1000 for at in sent]) == arrived


def test_so_many_are_lost_as_asked_and_in_such_bursts() -> None:
    direction = Direction(loss=0.05, burst=4.0)
    pipe = Pipe(direction, random.Random(3))
    bursts, before = [0], 0
    for number in range(40_000):
        pipe.push(b"x", float(number))
        if pipe.lost > before:
            bursts[-1] += 1
        elif bursts[-1]:
            bursts.append(0)
        before = pipe.lost
        pipe.pull(float(number))
    assert pipe.lost / 40_000 == pytest.approx(direction.loss, rel=0.15)
    assert statistics.mean(bursts[:-1]) == pytest.approx(direction.burst, rel=0.15)


@pytest.mark.parametrize("interval", [0.05, 0.005])
def test_delay_and_jitter_are_mean_and_deviation(interval: float) -> None:
    """Also of a stream that is denser than the jitter; nothing overtakes there, so it is a little later."""
    pipe = Pipe(Direction(delay=0.1, jitter=0.02), random.Random(5))
    delays: list[float] = []
    now = 0.0
    for _ in range(20_000):
        now += interval
        while pipe.next_at <= now:
            delays.append(pipe.next_at - pipe._queue[0].pushed)
            pipe.pull(pipe.next_at)
        pipe.push(b"x", now)
    assert statistics.mean(delays) == pytest.approx(0.1, abs=0.006)
    assert statistics.stdev(delays) == pytest.approx(0.02, rel=0.15)


def test_a_stall_holds_everything_and_then_lets_it_go() -> None:
    pipe = Pipe(Direction(delay=0.1, stall_every=10.0, stall_seconds=2.0), random.Random(1), stalled_after=5.0)
    sent = [4.0, 4.95, 5.5, 6.95, 7.5, 15.5]
    assert times(pipe, sent) == [4100, 7000, 7100, 7100, 7600, 17100]


def test_both_directions_stall_together_and_each_link_at_its_own_time() -> None:
    way = Direction(stall_every=10.0, stall_seconds=2.0)
    up, down = make_pipes(LinkProfile("", way, way), random.Random(1), 0.0)
    other, _ = make_pipes(LinkProfile("", way, way), random.Random(2), 0.0)
    sent = [second / 4 for second in range(100)]
    seen = times(up, sent)
    assert seen == times(down, sent) != times(other, sent)
    assert 15 <= sum(out > 1000 * at for at, out in zip(sent, seen, strict=True)) <= 25  # a fifth, less the beginning


def test_what_waits_is_bounded_and_room_comes_as_bytes_get_through() -> None:
    pipe = Pipe(Direction(delay=10.0, rate=10_000, queue_bytes=3000), random.Random(1))
    taken = 0
    while room := pipe.room(0.0):
        assert room > 200  # never a trickle
        taken += min(room, 700)
        pipe.push(bytes(min(room, 700)), 0.0)
    assert 2700 < taken <= 3000
    at = pipe.room_at(0.0)
    assert 0 < at < 0.1
    assert pipe.room(at - 1e-6) == 0 < 200 <= pipe.room(at)


def test_what_is_on_its_way_is_bounded_too() -> None:
    """Nobody pulls: a receiver that does not read stops its sender."""
    pipe = Pipe(Direction(), random.Random(1))
    while room := pipe.room(0.0):
        pipe.push(bytes(room), 0.0)
    assert WINDOW_BYTES - SEGMENT_BYTES < pipe.bytes_in <= WINDOW_BYTES
    assert pipe.room_at(0.0) == math.inf
    pipe.pull(0.0)
    assert pipe.room_at(0.0) == 0.0


def test_a_share_is_one_of_what_was_offered() -> None:
    pipe = Pipe(Direction(share=0.5, queue_bytes=3000), random.Random(1))
    period = 0.05
    for number in range(int((LEARNING_SECONDS[1] + 0.5) / period)):
        pipe.push(bytes(5000 if number < 10 else 500), number * period)  # a join first, then 10 kB/s
        pipe.pull(number * period)
    assert pipe.rate == pytest.approx(5000, rel=0.03)
    assert Pipe(Direction(), random.Random(1)).rate == math.inf


def test_a_connection_that_is_being_made_carries_nothing_yet() -> None:
    pipe = Pipe(Direction(delay=0.04), random.Random(1))
    pipe.hold_until(0.08)
    assert times(pipe, [0.0, 0.01, 0.2]) == [120, 120, 240]


def test_what_is_drained_is_all_that_was_there() -> None:
    pipe = Pipe(Direction(delay=1.0, rate=1000.0), random.Random(1))
    pipe.push(bytes(range(200)), 0.0)
    pipe.push(b"more", 0.0)
    assert pipe.drain() == bytes(range(200)) + b"more"
    assert pipe.next_at == math.inf


def test_a_wide_link_and_a_narrow_one_are_told_apart() -> None:
    wide = Direction(delay=0.1, jitter=0.01, loss=0.1)
    assert not wide.narrow
    for narrow_one in ({"rate": 1e6}, {"share": 0.5}, {"stall_every": 9.0, "stall_seconds": 1.0}):
        assert replace(wide, **narrow_one).narrow  # type: ignore[arg-type]
