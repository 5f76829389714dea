"""Timers against a model that looks at all of them at each tick; and tables of being late and of mistakes."""

from __future__ import annotations

import gc
import heapq
import math
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gameserver.rooms.timers import MOST_RUNS, Timers
from tests.support.examples import examples

Deed = tuple[str, int]


class ModelTimer:
    """A timer as its contract says: it knows all the times at which it is due."""

    def __init__(self, start: float, seconds: float, call: Callable[[], Any], *, repeats: bool) -> None:
        self.start, self.seconds, self.call, self.repeats = start, seconds, call, repeats
        self.done = start  # up to here a repeating one has run, or what was due was dropped
        self.active = True

    def times(self, now: float) -> list[float]:
        if not self.active:
            return []
        if not self.repeats:
            return [self.start + self.seconds] if self.start + self.seconds <= now else []
        periods = int((now - self.start) / self.seconds)
        return [time for n in range(1, periods + 1) if (time := self.start + n * self.seconds) > self.done][-MOST_RUNS:]

    def cancel(self) -> None:
        self.active = False


class ModelTimers:
    """`Timers`, slow and obvious."""

    def __init__(self) -> None:
        self.made: list[ModelTimer] = []

    def after(self, now: float, seconds: float, function: Callable[..., Any], arguments: tuple[Any, ...]) -> ModelTimer:
        self.made.append(ModelTimer(now, seconds, partial(function, *arguments), repeats=False))
        return self.made[-1]

    def every(self, now: float, seconds: float, function: Callable[..., Any], arguments: tuple[Any, ...]) -> ModelTimer:
        self.made.append(ModelTimer(now, seconds, partial(function, *arguments), repeats=True))
        return self.made[-1]

    def due(self, now: float) -> Iterator[Callable[[], Any]]:
        due = sorted((time, order) for order, timer in enumerate(self.made) for time in timer.times(now))
        for time, order in due:
            timer = self.made[order]
            if timer.active:
                timer.active = timer.repeats
                timer.done = time
                yield timer.call
        for timer in self.made:
            timer.done = max(timer.done, now) if timer.repeats and timer.start < now else timer.done

    def next_due(self) -> float | None:
        times = []
        for timer in self.made:
            if timer.active and timer.repeats:
                times.append(timer.start + (int((timer.done - timer.start) / timer.seconds) + 1) * timer.seconds)
            elif timer.active:
                times.append(timer.start + timer.seconds)
        return min(times, default=None)

    def __len__(self) -> int:
        return sum(timer.active for timer in self.made)


class Side:
    """One of the two that are compared, and what happened to it."""

    def __init__(self, timers: Any) -> None:
        self.timers = timers
        self.now = 0.0
        self.made: list[Any] = []
        self.deeds: dict[int, Deed] = {}
        self.ran: list[int] = []

    def do(self, deed: Deed) -> None:
        what, number = deed
        if what == "cancel":
            self.made[number % len(self.made)].cancel()
        elif what == "raise":
            raise ZeroDivisionError
        else:  # seconds in eighths, so that floats are exact
            make = self.timers.after if what == "after" else self.timers.every
            self.made.append(make(self.now, number / 8, self.call, (len(self.made),)))

    def call(self, index: int) -> None:
        self.ran.append(index)
        if index in self.deeds:
            self.do(self.deeds[index])

    def tick(self, seconds: float) -> None:
        self.now += seconds
        while True:
            try:
                for call in self.timers.due(self.now):
                    call()
            except ZeroDivisionError:
                self.deeds.pop(self.ran[-1])
                continue  # what was due behind it still is
            return


deeds = st.one_of(
    st.tuples(st.just("after"), st.integers(0, 40)),
    st.tuples(st.just("every"), st.integers(1, 20)),
    st.tuples(st.just("cancel"), st.integers(0, 1000)),
)
deeds_of_timers = st.one_of(deeds, st.just(("raise", 0)))


class TimersModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sides = Side(Timers()), Side(ModelTimers())

    @rule(deed=deeds)
    def between_ticks(self, deed: Deed) -> None:
        for side in self.sides:
            if side.made or deed[0] != "cancel":
                side.do(deed)

    @precondition(lambda self: self.sides[0].made)
    @rule(index=st.integers(0, 1000), deed=deeds_of_timers)
    def when_it_runs(self, index: int, deed: Deed) -> None:
        for side in self.sides:
            side.deeds[index % len(side.made)] = deed

    @rule(eighths=st.integers(1, 60))
    def tick(self, eighths: int) -> None:
        for side in self.sides:
            side.tick(eighths / 8)

    @invariant()
    def they_agree(self) -> None:
        real, model = self.sides
        assert real.ran == model.ran
        assert [timer.active for timer in real.made] == [timer.active for timer in model.made]
        assert len(real.timers) == len(model.timers)

    @invariant()
    def it_is_known_when_the_next_is_due(self) -> None:
        real, model = (side.timers.next_due() for side in self.sides)
        assert real == (None if model is None else pytest.approx(model, abs=1e-5))


TestTimersModel = TimersModel.TestCase
TestTimersModel.settings = examples(150, stateful_step_count=40)


class Ticker:
    """Timers at a fixed rate; what has run, as (tick, name)."""

    def __init__(self, rate: float = 20.0) -> None:
        self.dt, self.tick, self.timers = 1 / rate, 0, Timers()
        self.ran: list[tuple[int, Any]] = []

    @property
    def now(self) -> float:
        return self.tick * self.dt

    def note(self, name: Any) -> None:
        self.ran.append((self.tick, name))

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.tick += 1
            for call in self.timers.due(self.now):
                call()


# -- when


@pytest.mark.parametrize("rate", [7, 20, 30, 60, 144, 240])
@pytest.mark.parametrize("begun", [0, 1, 999, 1_000_003])
def test_whole_numbers_of_ticks_take_just_so_many_ticks(rate: int, begun: int) -> None:
    """Sums of floats are off in their last digits; no tick is lost to that."""
    for wanted in range(1, 200):
        ticker = Ticker(rate)
        ticker.tick = begun
        ticker.timers.after(ticker.now, wanted / rate, ticker.note, ("bang",))
        ticker.ticks(wanted + 2)
        assert ticker.ran == [(begun + wanted, "bang")]


def test_repeating_for_a_day_does_not_drift() -> None:
    ticker = Ticker(rate=10)
    ticker.timers.every(0.0, 0.7, ticker.note, ("tick",))
    ticker.ticks(24 * 3600 * 10)
    assert [tick for tick, _ in ticker.ran] == [*range(7, 24 * 3600 * 10 + 1, 7)]


@pytest.mark.parametrize(
    ("late_seconds", "runs"), [(1.0, 1), (1.9, 1), (2.0, 2), (3.0, 3), (4.0, 4), (5.0, 4), (99.0, 4)]
)
def test_a_repeating_one_that_is_late_runs_for_each_period_up_to_a_few(late_seconds: float, runs: int) -> None:
    timers, ran = Timers(), []
    timers.every(0.0, 1.0, ran.append, (1,))
    for now in (late_seconds, math.floor(late_seconds) + 0.9, math.floor(late_seconds) + 1.0):
        for call in timers.due(now):
            call()
        if now == late_seconds:
            assert len(ran) == runs
    assert len(ran) == runs + 1  # what was dropped does not come later


def test_late_ones_run_between_each_other_by_their_times() -> None:
    timers, ran = Timers(), []
    timers.every(0.0, 1.0, ran.append, ("beat",))
    for seconds, name in ((2.5, "late"), (0.5, "early"), (1.0, "with the first beat")):
        timers.after(0.0, seconds, ran.append, (name,))
    for call in timers.due(3.0):
        call()
    assert ran == ["early", "beat", "with the first beat", "beat", "late", "beat"]


def test_nothing_that_makes_itself_again_keeps_a_tick_from_ending() -> None:
    ticker = Ticker()

    def again() -> None:
        ticker.note("again")
        ticker.timers.after(ticker.now, 0, again)

    ticker.timers.after(ticker.now, 0, again)
    ticker.ticks(3)
    assert ticker.ran == [(1, "again"), (2, "again"), (3, "again")]


def test_what_is_made_in_a_tick_with_nothing_to_wait_for_runs_at_the_next() -> None:
    ticker = Ticker()
    ticker.ticks(5)
    ticker.timers.after(ticker.now, 0, ticker.note, ("soon",))
    assert [*ticker.timers.due(ticker.now)] != []  # a second run of the same time is another tick
    ticker.timers.after(ticker.now, 0, ticker.note, ("soon",))
    ticker.ticks(1)
    assert ticker.ran == [(6, "soon")]


def test_what_is_made_in_a_tick_hides_nothing_that_is_due_a_rounding_error_later() -> None:
    timers, ran = Timers(), []
    timers.after(0.0, 1.0, lambda: timers.after(1.0, 0, ran.append, ("next tick",)))
    timers.after(0.0, 1.0 + 1e-9, ran.append, ("this tick",))
    for call in timers.due(1.0):
        call()
    assert ran == ["this tick"]


def test_an_exception_leaves_the_others_in_place() -> None:
    timers, ran = Timers(), []
    timers.after(0.0, 1.0, ran.append, ("first",))
    timers.every(0.0, 1.0, lambda: 1 / 0)
    timers.after(0.0, 1.0, ran.append, ("third",))

    def run(now: float) -> None:
        for call in timers.due(now):
            call()

    with pytest.raises(ZeroDivisionError):
        run(1.0)
    run(1.0)
    assert ran == ["first", "third"]
    with pytest.raises(ZeroDivisionError):
        run(2.0)


# -- cancelling


def test_a_cancelled_timer_holds_on_to_nothing() -> None:
    class Ship:
        def explode(self) -> None:
            pass

    timers, ship = Timers(), Ship()
    gone = weakref.ref(ship)
    timer = timers.after(0.0, 3600.0, ship.explode, (ship,))
    timer.cancel()
    timer.cancel()
    del ship
    gc.collect()
    assert gone() is None
    assert not timer.active
    assert len(timers) == 0
    assert timers.next_due() is None


def test_a_timer_that_each_turn_cancels_takes_no_room() -> None:
    timers = Timers()
    kept = timers.after(0.0, 7200.0, print)
    for turn in range(20_000):
        timers.after(turn / 100, 3600.0, print).cancel()
    assert len(timers._queue) < 200
    assert (len(timers), kept.active) == (1, True)


def test_sweeping_keeps_the_order() -> None:
    timers, ran = Timers(), []
    made = [timers.after(0.0, number * 7919 % 1000, ran.append, (number * 7919 % 1000,)) for number in range(1000)]
    for number, timer in enumerate(made):
        if number % 8:
            timer.cancel()
    assert len(timers._queue) < 500
    for call in timers.due(1000.0):
        call()
    assert len(ran) == 125
    assert ran == sorted(ran)


def test_ten_thousand_are_sorted_and_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts what is compared, for a stopwatch would measure the machine."""
    compared = 0

    class Seconds(float):
        def __lt__(self, other: float) -> bool:
            nonlocal compared
            compared += 1
            return float(self) < float(other)

    def push(queue: list[Any], entry: tuple[float, int, Any]) -> None:
        heapq.heappush(queue, (Seconds(entry[0]), *entry[1:]))

    monkeypatch.setattr("gameserver.rooms.timers.heappush", push)
    timers, ran = Timers(), []
    for number in range(10_000):
        timers.after(0.0, number * 7919 % 10_000, ran.append, (number * 7919 % 10_000,))
    for call in timers.due(10_000.0):
        call()
    assert ran == [*range(10_000)]
    assert 10_000 < compared < 40 * 10_000


def test_clear_ends_all_of_them() -> None:
    timers = Timers()
    made = [timers.after(0.0, 1.0, print), timers.every(0.0, 1.0, print)]
    timers.clear()
    assert [timer.active for timer in made] == [False, False]
    assert [*timers.due(100.0)] == []
    made[0].cancel()
    assert len(timers) == 0


# -- mistakes


async def asynchronous() -> None: ...


@pytest.mark.parametrize("make", [Timers.after, Timers.every])
@pytest.mark.parametrize(
    ("seconds", "function", "error", "says"),
    [
        (-1, print, ValueError, "give seconds"),
        (math.nan, print, ValueError, "finite number"),
        (math.inf, print, ValueError, "finite number"),
        ("3", print, TypeError, "give a number of seconds"),
        (None, print, TypeError, "give a number of seconds"),
        (1, None, TypeError, "not what it returns"),
        (1, asynchronous, TypeError, r"room\.work"),
    ],
)
def test_mistakes_are_named(make: Any, seconds: Any, function: Any, error: type[Exception], says: str) -> None:
    timers = Timers()
    with pytest.raises(error, match=says):
        make(timers, 0.0, seconds, function)
    assert len(timers) == 0


@pytest.mark.parametrize("seconds", [0, 0.0, 1e-9, 0.000999])
def test_a_period_is_not_below_a_millisecond(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"give seconds from 0\.001"):
        Timers().every(0.0, seconds, print)
    Timers().after(0.0, seconds, print)
