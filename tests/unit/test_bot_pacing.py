"""When bots send and acknowledge: never more on the way than the server can apply, and never silent for long."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamebots.pacing import InputPace
from tests.support.examples import examples

TICK = 0.05


class Server:
    """Applies one input a tick, ``way`` seconds after it was sent at the earliest; its frames take as long.

    Args:
        way: seconds from here to there. rate: inputs a second that the bot would send.
        stall: for how many seconds nothing is applied, from second 5 on.
    """

    def __init__(self, way: float, rate: float, stall: float) -> None:
        self.pace = InputPace(TICK)
        self.waiting: list[tuple[float, int]] = []
        self.frames: list[tuple[float, int]] = []
        self.latencies: list[float] = []
        self.left_out = 0
        applied, next_input, next_tick = 0, 0.0, 0.01
        now = 0.0
        while now < 20.0:
            now = min(next_input, next_tick, self.frames[0][0] if self.frames else math.inf)
            if self.frames and self.frames[0][0] == now:
                self.latencies += self.pace.settle(self.frames.pop(0)[1], now)
            elif now == next_tick:
                next_tick += TICK
                if 5.0 <= now < 5.0 + stall:
                    continue
                if self.waiting and self.waiting[0][0] <= now:
                    applied = self.waiting.pop(0)[1]
                self.frames.append((now + way, applied))
            else:
                next_input += 1 / rate
                self.send(now, way)

    def send(self, now: float, way: float) -> None:
        if self.pace.full:
            self.left_out += 1
            return
        self.pace.sequence += 1
        self.pace.sent(0, now)
        self.waiting.append((now + way, self.pace.sequence))


@given(way=st.floats(0, 0.5), rate=st.floats(5, 60), stall=st.just(0.0) | st.floats(0, 3))
@examples(60)
def test_inputs_do_not_queue_up_for_ever(way: float, rate: float, stall: float) -> None:
    """Whatever the rate, and after any stall, what is on its way fits the way: latency is that of the network."""
    server = Server(way, rate, stall)
    usual = 2 * way + TICK
    assert max(server.latencies[-20:]) <= usual + 3 * TICK
    assert min(server.latencies) >= 2 * way - 1e-9
    if rate <= 18 and not stall:
        assert server.left_out <= math.ceil(rate * usual)  # until the first answer says how long the way is


@given(sent=st.lists(st.floats(0, 1), min_size=1, max_size=50), answers=st.lists(st.integers(0, 60), max_size=20))
@examples(60)
def test_each_input_is_settled_once_and_in_order(sent: list[float], answers: list[int]) -> None:
    pace, now, times = InputPace(TICK), 0.0, []
    for gap in sent:
        now += gap
        pace.sequence += 1
        pace.sent(1, now)
        times.append(now)
    now += 1.0
    settled = [seconds for sequence in answers for seconds in pace.settle(sequence, now)]
    known = min(max(answers, default=0), len(sent))
    assert settled == pytest.approx([now - at for at in times[:known]])
    waiting = [now + 1 - at for at in times[known:]]
    assert pace.unanswered(now + 1) == pytest.approx([each for each in waiting if each > max(settled, default=0.0)])
    pace.lost()
    assert pace.unanswered(now + 1) == []
    assert pace.settle(1000, now) == []


@given(gaps=st.lists(st.floats(0.001, 0.3), min_size=1, max_size=80))
@examples(60)
def test_what_is_held_is_told_within_two_periods(gaps: list[float]) -> None:
    """A frame comes each tick; inputs come whenever. Either says how far the bot is."""
    pace, now, tick, told_at = InputPace(TICK), 0.0, 0, 0.0
    inputs, at = [], 0.0
    for gap in gaps:
        at += gap
        inputs.append(at)
    while now < at:
        now += TICK
        while inputs and inputs[0] <= now:
            told_at = inputs.pop(0)
            pace.sequence += 1
            pace.sent(tick, told_at)
        tick += 1
        if pace.owes(tick, now):
            pace.acknowledged, told_at = tick, now
        assert now - told_at <= 2 * TICK + 1e-9


def test_after_a_return_numbers_go_on_where_the_server_is() -> None:
    pace = InputPace(TICK)
    for number in range(1, 6):
        pace.sequence = number
        pace.sent(3, number * TICK)
    pace.lost()
    pace.returned(3, 2.0)
    assert (pace.sequence, pace.full) == (3, False)
    assert not pace.owes(3, 2.0)
    assert not pace.owes(4, 2.01)  # the next input says it
    assert pace.owes(4, 2.2)
