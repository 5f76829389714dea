"""The books of one process: what counts for which second, for the measured time, and for the whole run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamebots.connection import BotConnection
from gamebots.ledger import Ledger
from gamebots.measures import COUNTED, Counts, Measured
from gamebots.room_clock import RoomClock
from tests.support.examples import examples


class Bot:
    """What a ledger reads of a bot; tests write it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.playing = False
        self.link = None
        self.why = ""
        self.news: list[str] = []
        self.latencies: list[float] = []
        self.ages: list[float] = []
        self.gaps: list[float] = []
        self.connects: list[float] = []
        self.joins: list[float] = []
        self.returns: list[float] = []
        self.total = Counts()
        self.played = 0.0
        self.clock: RoomClock | None = None
        self.link: Any = None

    def counts(self) -> Counts:
        return Counts(*(getattr(self.total, name) for name in COUNTED))

    def played_seconds(self, now: float) -> float:
        return self.played


class Books:
    """A ledger, its bots, and what the process's CPU clock says."""

    def __init__(self, count: int = 1, groups: dict[int, str] | None = None) -> None:
        self.cpu = 0.0
        self.bots = {number: Bot(number) for number in range(count)}
        self.clocks: dict[tuple[str, str], RoomClock] = {}
        of_ledger: dict[int, BotConnection] = self.bots  # type: ignore[assignment]
        groups = groups or dict.fromkeys(self.bots, "players")
        self.ledger = Ledger(of_ledger, groups, self.clocks, cpu_clock=lambda: self.cpu)
        self.ledger.start(100.0)

    @property
    def bot(self) -> Bot:
        return self.bots[0]

    def news(self, *news: str, why: str = "", bot: int = 0) -> None:
        self.bots[bot].news += news
        self.bots[bot].why = why
        self.ledger.take_news(self.bots[bot])  # type: ignore[arg-type]

    def result(self, now: float = 110.0) -> Measured:
        return self.ledger.result(now, interrupted=False)


def test_seconds_follow_each_other_and_late_ones_are_not_caught_up() -> None:
    books = Books()
    assert books.ledger.next_second == 101.0
    assert [books.ledger.end_second(now, []).second for now in (101.0, 102.002, 105.5)] == [0, 1, 2]
    assert books.ledger.next_second == 105.5
    books.ledger.begin(106.0)
    assert books.ledger.next_second == 107.0
    assert books.ledger.end_second(107.0, []).second == 3


def test_a_second_has_what_happened_in_it() -> None:
    books = Books(2)
    books.bot.total = Counts(frames=20, bytes_in=900, bytes_out=50, desyncs=1)
    books.bot.latencies, books.bot.ages = [0.05, 0.06], [0.02]
    books.bot.playing, books.bot.clock = True, RoomClock(0.05)
    books.cpu = 0.3
    books.news("joined")
    books.news("refused", why="4003 full", bot=1)
    first = books.ledger.end_second(101.0, [0.001, 0.004])
    books.bots[1].total.frames = 5
    books.cpu = 0.4
    second = books.ledger.end_second(102.0, [])
    assert first.sums == {
        "frames": 20,
        "bytes_in": 900,
        "bytes_out": 50,
        "joins": 1,
        "refused": 1,
        "disconnects": 0,
        "desyncs": 1,
    }
    assert (first.connected, first.most["tool_cpu_percent"], first.most["tool_lag_ms"]) == (1, 30.0, 4.0)
    assert (first.latencies.tolist(), first.ages.tolist()) == (pytest.approx([0.05, 0.06]), pytest.approx([0.02]))
    assert (second.sums["frames"], sum(second.sums.values())) == (5, 5)
    assert (second.most["tool_cpu_percent"], second.most["tool_lag_ms"]) == (10.0, None)
    assert (len(second.latencies), len(second.ages)) == (0, 0)


def test_what_was_before_measuring_is_forgotten_but_for_what_must_never_happen() -> None:
    books = Books()
    bot = books.bot
    ramp = {"frames": 7, "bytes_in": 7, "bytes_out": 7, "skipped_ticks": 7, "messages": 7, "hashes": 7}
    bot.total = Counts(**ramp, desyncs=1, unapplied=2, disconnects=3)
    bot.latencies, bot.ages, bot.gaps, bot.played = [9.0], [9.0], [9.0], 4.0
    bot.connects, bot.joins = [0.01], [0.03]
    books.ledger.end_second(101.0, [9.0])
    bot.latencies, bot.ages, bot.gaps = [9.0], [9.0], [9.0]  # since the last second
    books.ledger.begin(101.5)
    bot.total.frames += 10
    bot.total.skipped_ticks += 1
    bot.total.desyncs += 1
    bot.latencies.append(0.1)
    bot.ages.append(0.2)
    bot.gaps.append(0.3)
    bot.played = 5.0
    books.ledger.end_second(102.5, [0.002])
    measured = books.result(102.5)
    (found,) = measured.bots
    assert found.counts == Counts(frames=10, skipped_ticks=1, desyncs=2, unapplied=2, disconnects=3)
    assert found.connected_seconds == pytest.approx(1.0)
    for name, milliseconds in (("latency", 100), ("state_age", 200), ("gap", 300)):
        figure = getattr(found, name).figure()
        assert (figure["count"], figure["max"]) == (1, pytest.approx(milliseconds, rel=0.01))
    assert measured.seconds == pytest.approx(1.0)
    assert measured.durations["connect"].count == measured.durations["join"].count == 1
    assert measured.durations["tool.lag"].figure()["max"] == pytest.approx(2, rel=0.01)


def test_news_are_counted_once_by_reason() -> None:
    books = Books(4)
    books.news("joined")
    books.news("lost", why="1006 the server vanished")
    books.news("returned")
    books.news("back", "lost", why="1006 the server vanished")
    books.news("over")
    books.news("refused", "over", why="4003 full", bot=1)
    books.news("joined", bot=1)  # its second attempt worked
    books.news("failed", why="ZeroDivisionError", bot=2)
    books.ledger.take_news(books.bot)  # type: ignore[arg-type]
    measured = books.result()
    assert (measured.joins, measured.refusals, measured.returns) == (2, 2, 1)
    assert measured.disconnects == {"1006 the server vanished": 2}
    assert measured.refused == {"4003 full": 1}
    assert measured.failures == {"ZeroDivisionError": 1}


def test_rooms_tell_of_their_ticks() -> None:
    books = Books()
    clock = books.clocks["arena", "1"] = RoomClock(0.05)
    left = books.clocks["arena", "2"] = RoomClock(0.05)
    books.bot.clock = clock
    for tick in range(1, 41):
        clock.note(tick, 100 + tick * 0.05, 1000)
        left.note(tick, 100 + tick * 0.05, None)
    books.ledger.begin(102.0)
    for tick in range(41, 81):
        clock.note(tick, 100 + tick * 0.05 + (0.03 if tick == 60 else 0.0), 2000 + tick)
        if tick < 61:
            left.note(tick, 100 + tick * 0.05, None)
    row = books.ledger.end_second(104.0, [])
    assert (row.most["lateness_ms"], row.most["server_tick_ms"]) == (30.0, 2.07)
    assert books.ledger.end_second(105.0, []).most["lateness_ms"] is None
    measured = books.result(104.0)
    assert measured.durations["lateness"].figure()["max"] == pytest.approx(30, rel=0.01)
    assert measured.tick_rates == pytest.approx([20.0, 20.0], rel=0.01)  # who left a room is no proof that it hangs
    assert measured.tick_rate == pytest.approx(20.0)
    assert books.result(106.0).tick_rates == pytest.approx([10.0, 20.0], rel=0.01)


def test_a_result_before_measuring_began_says_so() -> None:
    books = Books(2)
    books.news("joined")
    books.bot.latencies, books.bot.total = [1.0], Counts(frames=5)
    books.ledger.end_second(101.0, [0.1])
    measured = books.ledger.result(101.5, interrupted=True)
    assert (measured.seconds, measured.interrupted, measured.tool_cpu_percent) == (0.0, True, 0.0)
    assert (measured.joins, measured.bots[0].latency.count, measured.bots[0].counts.frames) == (1, 0, 0)


def test_who_is_still_on_its_way_at_the_end_is_refused_by_what_it_waits_for() -> None:
    class Link:
        def __init__(self, delay: str) -> None:
            self.delay = delay

        def explain_delay(self) -> str:
            return self.delay

    books = Books(4)
    for bot, delay in zip(
        books.bots.values(), ("", "", "the server does not answer", "the server does not answer"), strict=True
    ):
        bot.link = Link(delay)
    books.news("joined")
    measured = books.result()
    assert (measured.joins, measured.refusals, sum(measured.refused.values())) == (1, 3, 3)
    assert measured.refused["the server does not answer"] == 2


happenings = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from((*COUNTED, "latencies", "ages", "gaps")),
        st.integers(1, 5),
        st.sampled_from((0.0, 0.4, 1.0)),
    ),
    max_size=40,
)


@given(before=happenings, measured_part=happenings)
@examples(60)
def test_nothing_is_lost_or_counted_twice_wherever_seconds_end(before: Any, measured_part: Any) -> None:
    """Each happening is a counter that rises or a duration, at one bot, and then perhaps a second ends."""
    books, now, frames_in_rows = Books(3), 100.0, 0

    def happen(what: Any) -> None:
        nonlocal now, frames_in_rows
        for number, name, amount, passed in what:
            bot = books.bots[number]
            if name in COUNTED:
                setattr(bot.total, name, getattr(bot.total, name) + amount)
            else:
                getattr(bot, name).append(amount / 10)
            now += passed
            if now >= books.ledger.next_second:
                frames_in_rows += books.ledger.end_second(now, []).sums["frames"]

    happen(before)
    frames_in_rows += books.ledger.end_second(now, []).sums["frames"]
    books.ledger.begin(now)
    happen(measured_part)
    frames_in_rows += books.ledger.end_second(now, []).sums["frames"]
    result = books.result(now + 1)
    for bot in result.bots:
        mine = [each for each in measured_part if each[0] == bot.bot]
        ever = [each for each in [*before, *measured_part] if each[0] == bot.bot]
        for name in COUNTED:
            of_run = name in ("desyncs", "unapplied", "disconnects")
            assert getattr(bot.counts, name) == sum(each[2] for each in (ever if of_run else mine) if each[1] == name)
        assert bot.latency.count == sum(each[1] == "latencies" for each in mine)
        assert bot.state_age.count == sum(each[1] == "ages" for each in mine)
        assert bot.gap.count == sum(each[1] == "gaps" for each in mine)
    assert frames_in_rows == sum(each[2] for each in [*before, *measured_part] if each[1] == "frames")
