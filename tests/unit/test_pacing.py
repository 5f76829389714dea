"""Pacing against a model of a link: what keeps up is sent every tick, what does not keep up is sent what is fresh.

The model knows no sockets and no clock: frames take some ticks to transfer, one behind the other, and some to
propagate; the client applies what has arrived and acknowledges it every so often.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field, replace

import pytest

from gameserver.sync.pacing import (
    EXCESS_SECONDS,
    FIRST_WINDOW_SECONDS,
    MOST_TICKS,
    SAMPLE_TICKS,
    SHORTEST_SECONDS,
    SLOW,
    Pace,
)

TICK_RATE = 20


@dataclass
class ModelLink:
    """A link to a client that acknowledges. All times are in ticks.

    Attributes:
        one_way: how long a byte takes, each way. transfer: how long a frame keeps the link busy.
        acknowledges_every: how often the client says what it holds. jitter: what each way takes longer, at most.
        listening: whether the client acknowledges at all.
        arrivals: (when, tick) of each frame.
    """

    one_way: float
    transfer: float = 0.02
    acknowledges_every: float = 1.0
    jitter: float = 0.0
    seed: int = 0
    listening: bool = True
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.next_word = self.chance.random() * self.acknowledges_every
        self.free_at = 0.0
        self.applied = 0  # of `arrivals`, by the client
        self.words: deque[tuple[float, int]] = deque()  # acknowledgements on their way: when they come, and of what
        self.acknowledged = 0

    def send(self, tick: int) -> None:
        self.free_at = max(self.free_at, tick) + self.transfer
        before = self.arrivals[-1][0] if self.arrivals else 0.0
        self.arrivals.append((max(before, self.free_at + self.trip()), tick))

    def hear(self, tick: int) -> int:
        """The newest acknowledgement that has come by a tick."""
        while self.next_word <= tick:
            self.speak(self.next_word)
            self.next_word += self.acknowledges_every
        while self.words and self.words[0][0] <= tick:
            self.acknowledged = self.words.popleft()[1]
        return self.acknowledged

    def speak(self, now: float) -> None:
        before = self.applied
        while self.listening and self.applied < len(self.arrivals) and self.arrivals[self.applied][0] <= now:
            self.applied += 1
        if self.applied > before:
            earliest = self.words[-1][0] if self.words else 0.0
            self.words.append((max(earliest, now + self.trip()), self.arrivals[self.applied - 1][1]))

    def trip(self) -> float:
        return self.one_way + self.chance.random() * self.jitter


class Run:
    """A room's ticks for one link; it decides as the room's delivery does."""

    def __init__(self, link: ModelLink, tick_rate: float = TICK_RATE) -> None:
        self.link = link
        self.pace = Pace(tick_rate)
        self.tick = 0
        self.sent: list[int] = []
        self.most_on_the_way = 0

    def ticks(self, count: int) -> list[int]:
        """Run so many ticks; those in which a frame was sent."""
        before = len(self.sent)
        for _ in range(count):
            self.tick += 1
            if self.admits():
                self.link.send(self.tick)
                self.sent.append(self.tick)
            self.most_on_the_way = max(self.most_on_the_way, len(self.pace._on_the_way or ()))
        return self.sent[before:]

    def admits(self) -> bool:
        acknowledged = self.link.hear(self.tick)
        lag = self.tick - acknowledged
        if lag > self.pace.limit:
            return self.pace.admits(self.tick, acknowledged, self.sent[-1] if self.sent else 0)
        if not self.tick % SAMPLE_TICKS and acknowledged:
            self.pace.sample(self.tick, lag)
        return True

    def age_at_arrival(self, after: int) -> float:
        """How old the state is when it arrives, the 95th percentile, in ticks."""
        ages = sorted(when - tick for when, tick in self.link.arrivals if tick > after)
        return ages[int(0.95 * len(ages))]


def seconds(count: float, tick_rate: float = TICK_RATE) -> int:
    return round(count * tick_rate)


def most_unanswered(window: int, tick_rate: float = TICK_RATE) -> int:
    """Frames that are sent to a client that says nothing any more: a window full and what a hiccup is allowed."""
    return window + max(1, seconds(EXCESS_SECONDS, tick_rate))


# -- links that keep up


@pytest.mark.parametrize("acknowledges_every", [0.3, 1.0])
@pytest.mark.parametrize("transfer", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("one_way", [0.0, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0])
def test_a_link_that_keeps_up_is_sent_every_tick(one_way: float, transfer: float, acknowledges_every: float) -> None:
    for seed in range(3):
        run = Run(ModelLink(one_way, transfer, acknowledges_every, seed=seed))
        assert len(run.ticks(1500)) >= 0.98 * 1500
        assert run.pace.limit == run.pace.window
        round_trip = 2 * one_way + transfer + acknowledges_every + 1  # and the server looks once a tick
        assert run.pace.window <= math.ceil(round_trip) + 2


@pytest.mark.parametrize("tick_rate", [1, 5, 30, 60, 128, 240])
@pytest.mark.parametrize("one_way_seconds", [0.002, 0.02, 0.1])
def test_at_all_tick_rates(tick_rate: float, one_way_seconds: float) -> None:
    run = Run(ModelLink(one_way_seconds * tick_rate), tick_rate)
    assert len(run.ticks(1500)) >= 0.98 * 1500


@pytest.mark.parametrize("jitter", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("one_way", [0.3, 1.0, 2.0, 3.0])
def test_jitter_does_not_make_a_link_slow_for_good(one_way: float, jitter: float) -> None:
    """A link that is nearly idle and delivers each frame within a few ticks could take one in every tick."""
    for seed in range(20):
        run = Run(ModelLink(one_way, jitter=jitter, seed=seed))
        run.ticks(seconds(10))
        assert len(run.ticks(1000)) >= 0.99 * 1000, seed


@pytest.mark.parametrize(("first", "later"), [(0.5, 1.5), (0.5, 3.0), (1.0, 6.0), (4.0, 0.5)])
def test_a_round_trip_that_changes_is_learnt_anew(first: float, later: float) -> None:
    """The path changes: once the shortest round trips of old are forgotten, all is as if it had been so always."""
    run = Run(ModelLink(first))
    run.ticks(500)
    run.link.one_way = later
    run.ticks(seconds(2 * SHORTEST_SECONDS + 6))
    assert len(run.ticks(500)) >= 0.95 * 500
    assert abs(run.pace.window - 2 * later) <= 4


# -- links that do not


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("acknowledges_every", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("transfer", "least_rate"), [(2.0, 0.4), (3.0, 0.25)])
@pytest.mark.parametrize("one_way", [0.0, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0])
def test_a_link_with_a_part_of_the_bandwidth_is_fresh_and_used(
    one_way: float, transfer: float, least_rate: float, acknowledges_every: float, jitter: float
) -> None:
    """The state is as old as the round trip and three ticks; a third of the bandwidth needs two more for transfers."""
    round_trip = 2 * one_way + 3 * jitter + max(0.0, acknowledges_every - 1)
    fresh = round_trip + max(3.0, transfer + 2)
    for seed in range(3):
        run = Run(ModelLink(one_way, transfer, acknowledges_every, jitter, seed=seed))
        run.ticks(seconds(10))
        sent = run.ticks(1000)
        assert run.age_at_arrival(seconds(10)) <= fresh, seed
        if not jitter and acknowledges_every <= 1:
            assert len(sent) >= least_rate * 1000, seed
        assert len(sent) >= 0.1 * 1000  # whatever happens, something new comes
        assert run.pace.limit == SLOW


@pytest.mark.parametrize("one_way", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("transfer", [2.0, 3.3])
def test_a_window_alone_would_let_a_queue_pay_for_its_own_growth(one_way: float, transfer: float) -> None:
    """What the test above is worth: the same link when nothing but the window holds frames back."""

    class WindowAlone(Run):
        def admits(self) -> bool:
            acknowledged = self.link.hear(self.tick)
            if not self.tick % SAMPLE_TICKS and acknowledged:
                self.pace.sample(self.tick, self.tick - acknowledged)
            return self.tick - acknowledged <= 10 or acknowledged >= self.sent[-1]

    run = WindowAlone(ModelLink(one_way, transfer))
    run.ticks(1000)
    assert run.age_at_arrival(200) > 2 * one_way + transfer + 2


@pytest.mark.parametrize("one_way", [0.0, 0.3, 0.5, 0.8, 1.0, 1.5])
@pytest.mark.parametrize(("transfer", "within_seconds"), [(2.0, 2), (3.0, 2), (10.0, 6)])
def test_a_link_that_recovers_is_soon_sent_every_tick_again(
    one_way: float, transfer: float, within_seconds: float
) -> None:
    for seed in range(4):
        run = Run(ModelLink(one_way, transfer, seed=seed))
        run.ticks(600)
        assert run.pace.limit == SLOW
        run.link.transfer = 0.02
        run.ticks(seconds(within_seconds))
        assert len(run.ticks(500)) >= 0.95 * 500, seed
        assert len(run.ticks(500)) == 500, seed


def test_a_link_that_breaks_down_is_not_fed_for_long() -> None:
    """Nothing gets through any more: what is sent after that is a window full, and not one frame for each tick."""
    run = Run(ModelLink(0.5))
    run.ticks(500)
    run.link.transfer = 1e9
    assert len(run.ticks(500)) <= most_unanswered(run.pace.window) + 1


# -- clients that do not acknowledge


@pytest.mark.parametrize("tick_rate", [5, 20, 60])
@pytest.mark.parametrize(
    "link", [ModelLink(0.0), ModelLink(0.5), ModelLink(2.0), ModelLink(0.5, transfer=2.0), ModelLink(1.0, jitter=1.0)]
)
def test_who_stops_acknowledging_is_sent_a_window_then_nothing_and_on_return_one_frame(
    link: ModelLink, tick_rate: float
) -> None:
    run = Run(replace(link, arrivals=[]), tick_rate)
    run.ticks(600)
    run.link.listening = False
    run.ticks(20)  # by now its last words have come
    window, last_word = run.pace.window, run.link.acknowledged
    run.ticks(40)
    assert sum(tick > last_word for tick in run.sent) <= most_unanswered(window, tick_rate) + 1
    assert run.ticks(2000) == []
    run.link.listening = True
    back = run.ticks(5 + math.ceil(2 * link.one_way + link.jitter))
    assert run.link.acknowledged >= run.sent[-len(back) - 1]
    assert len(back) >= 1
    assert run.most_on_the_way <= MOST_TICKS


@pytest.mark.parametrize("transfer", [0.02, 2.0])
@pytest.mark.parametrize("one_way", [0.0, 1.0, 3.0])
def test_the_frame_after_a_silence_waits_for_the_word_that_all_before_it_has_come(
    one_way: float, transfer: float
) -> None:
    run = Run(ModelLink(one_way, transfer))
    run.ticks(300)
    run.link.listening = False
    run.ticks(2000)
    last = run.sent[-1]
    run.link.listening = True
    while not run.ticks(1):
        assert run.tick < 2300 + 2 * one_way + 4
    assert run.link.acknowledged == last


@pytest.mark.parametrize("tick_rate", [1, 5, 20, 60, 240])
def test_who_never_acknowledges_is_sent_the_first_window_and_then_nothing(tick_rate: float) -> None:
    run = Run(ModelLink(0.5, listening=False), tick_rate)
    first = run.pace.window
    assert first == max(2, min(MOST_TICKS, math.ceil(FIRST_WINDOW_SECONDS * tick_rate)))
    run.ticks(first + 80)
    assert len(run.sent) <= min(MOST_TICKS, most_unanswered(first, tick_rate)) + 2
    assert run.ticks(2000) == []
    assert run.most_on_the_way <= MOST_TICKS
    run.link.listening = True
    assert len(run.ticks(200)) >= 0.8 * 200


def test_nothing_is_kept_of_ticks_in_which_nothing_was_sent() -> None:
    """A link was blocked for long and was then sent one frame; that one is on its way, and no more."""
    pace = Pace(TICK_RATE)
    for tick in range(1, 100):
        pace.sample(tick, 2)
    assert pace.admits(5000, 98, 0)  # it has lost its baseline
    pace.admits(5001, 98, 5000)
    assert len(pace._on_the_way or ()) <= MOST_TICKS


# -- what is measured


def test_the_window_is_the_smoothed_round_trip_rounded_up_and_one_more() -> None:
    pace = Pace(TICK_RATE)
    assert (pace.window, pace.limit, pace.round_trip) == (10, 10, None)
    assert pace.sample(8, 3) == pace.limit == pace.window == 4
    assert pace.round_trip == 3
    pace.sample(16, 4)
    assert pace.round_trip == 3 + 1 / 8
    assert pace.window == 5
    pace.sample(24, 90)  # counts as one tick more than the shortest
    assert pace.round_trip == pytest.approx(3.125 + 0.875 / 8)
    pace.sample(32, 1)  # and is never far above it
    assert pace.round_trip == 2


def test_a_window_never_exceeds_what_travels() -> None:
    pace = Pace(240)
    assert pace.window == 120
    for tick in range(8, 4000, 8):
        pace.sample(tick, 1000)
    assert pace.window == MOST_TICKS


def test_who_is_about_to_start_anew_is_not_slow_any_more() -> None:
    run = Run(ModelLink(0.5, transfer=3.0))
    run.ticks(200)
    assert run.pace.limit == SLOW
    run.pace.restart()
    assert run.pace.limit == run.pace.window
    assert run.pace.admits(run.tick + 1, run.link.acknowledged, 0)
