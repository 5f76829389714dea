"""Pacing on links as players have them: the load test's own, with jitter, loss and narrow places, in virtual time.

`tests.unit.test_pacing` has a simpler model whose figures can be reckoned by hand. Here it matters that what only looks
like a queue is none: a mobile network that wavers must not cost states, one that is too narrow must not cost freshness.
"""

from __future__ import annotations

import math
import random
import statistics

import pytest

from gamebots.conditioner.pipe import Pipe
from gamebots.conditioner.profiles import LinkProfile, parse_link
from gameserver.sync.pacing import SAMPLE_TICKS, Pace

TICK_RATE = 20
PERIOD = 1 / TICK_RATE
FRAME_BYTES = 400
WORD_BYTES = 20
STEP = 0.005  # seconds; the finest difference of time
WARM_UP_SECONDS, SECONDS = 10, 40
SEEDS = 7


class Player:
    """A room's frames to one client, and its words back."""

    def __init__(self, link: LinkProfile, seed: int) -> None:
        chance = random.Random(seed)
        deviation = math.hypot(link.up.jitter, link.down.jitter)
        self.down, self.up = (
            Pipe(way, random.Random(chance.random()), round_trip=link.round_trip, deviation=deviation)
            for way in (link.down, link.up)
        )
        self.pace = Pace(TICK_RATE)
        self.phase = chance.randrange(round(PERIOD / STEP))
        self.read = bytearray()
        self.heard = bytearray()
        self.unsent = b""  # what the socket holds
        self.held = self.acknowledged = self.written = 0

    def run(self) -> tuple[float, float]:
        """After the warm-up: states a second, and how old the held one was in ms, the 95th percentile."""
        steps_a_tick = round(PERIOD / STEP)
        frames, ages = 0, []
        for step in range(round((WARM_UP_SECONDS + SECONDS) / STEP)):
            now = step * STEP
            self.carry(now)
            if step % steps_a_tick == self.phase and self.up.room(now):
                self.up.push(self.held.to_bytes(WORD_BYTES, "big"), now)
            measured = now >= WARM_UP_SECONDS
            if step and not step % steps_a_tick:
                frames += self.tick(step // steps_a_tick, now) and measured
            if measured:
                ages.append(now - self.held * PERIOD)
        return frames / SECONDS, 1000 * sorted(ages)[int(0.95 * len(ages))]

    def carry(self, now: float) -> None:
        while self.unsent and (room := self.down.room(now)):
            self.down.push(self.unsent[:room], now)
            self.unsent = self.unsent[room:]
        self.held = newest(self.read, self.down.pull(now), FRAME_BYTES, self.held)

    def tick(self, tick: int, now: float) -> bool:
        """Whether a frame is sent in it; decided as the room's delivery does."""
        self.acknowledged = newest(self.heard, self.up.pull(now), WORD_BYTES, self.acknowledged)
        lag = tick - self.acknowledged
        if lag > self.pace.limit:
            if not self.pace.admits(tick, self.acknowledged, self.written):
                return False
        elif not tick % SAMPLE_TICKS and self.acknowledged:
            self.pace.sample(tick, lag)
        self.written = tick
        self.unsent += tick.to_bytes(FRAME_BYTES, "big")
        return True


def newest(buffer: bytearray, data: bytes, size: int, before: int) -> int:
    """The number in the last whole piece of so many bytes; the one before when there is none."""
    buffer += data
    whole = len(buffer) - len(buffer) % size
    found = int.from_bytes(buffer[whole - size : whole], "big") if whole else before
    del buffer[:whole]
    return found


def play(text: str) -> tuple[float, float]:
    """The middle of some runs: one alone may have all the bad luck."""
    found = [Player(parse_link(text), seed).run() for seed in range(SEEDS)]
    rates, ages_ms = zip(*found, strict=True)
    return statistics.median(rates), statistics.median(ages_ms)


@pytest.mark.parametrize(
    ("link", "least_rate", "most_age_ms"),
    [
        ("delay=1ms", 20, 60),
        ("dsl", 20, 90),
        ("mobile", 19.9, 110),
        ("bad", 14, 400),
        ("delay=100ms", 20, 155),
        ("delay=100ms,jitter=10ms", 20, 170),
        ("delay=25ms,jitter=25ms", 19.9, 115),
        ("delay=100ms,jitter=25ms", 19.8, 190),
        ("delay=200ms,jitter=25ms", 19.8, 290),
        ("delay=100ms,loss=0.5%", 19.8, 200),
        ("delay=100ms,loss=2%", 18.5, 370),
        ("delay=30ms,stall_every=5s,stall_seconds=400ms", 19, 260),
    ],
)
def test_a_link_that_wavers_is_sent_every_tick(link: str, least_rate: float, most_age_ms: float) -> None:
    rate, age_ms = play(link)
    assert rate >= least_rate
    assert age_ms <= most_age_ms


@pytest.mark.parametrize(
    ("link", "share", "least_share", "most_age_ms"),
    [
        ("delay=10ms", 0.9, 0.8, 190),
        ("delay=30ms", 0.95, 0.8, 340),
        ("delay=30ms", 0.5, 0.45, 300),
        ("delay=30ms", 0.25, 0.22, 500),
        ("delay=100ms", 0.5, 0.42, 380),
        ("delay=30ms,jitter=10ms", 0.5, 0.42, 330),
        ("delay=100ms,jitter=25ms", 0.5, 0.3, 450),
    ],
)
def test_a_link_that_is_too_narrow_is_used_and_stays_fresh(
    link: str, share: float, least_share: float, most_age_ms: float
) -> None:
    """``share`` of what every tick's frame would need. An unbounded queue of half of it is 20 s old after the 40."""
    rate, age_ms = play(f"{link},down.rate={share * FRAME_BYTES * TICK_RATE:g}B/s")
    assert rate >= least_share * TICK_RATE
    assert age_ms <= most_age_ms
