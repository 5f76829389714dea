"""Pacing: when a player's link may take a frame. Knows no clock but ticks.

Nobody is ever sent old news: what a link cannot carry now is not queued but merged into its next frame. The socket says
when its buffer is full, but that is only the first hop; behind a proxy, or while a browser tab is hidden, the client's
acknowledgements alone tell how much is on its way.

A link that keeps up gets a frame in every tick while its acknowledgements lag at most a *window* behind: the smoothed
round trip in ticks, rounded up, and one more. The round trip must be that of the link and not of frames that wait for
each other, otherwise a queue would pay for its own growth: samples far above the shortest of the last seconds count as
little above it (BBR keeps the shortest of 10 s too: Cardwell and others, 2016).

A lag above the window is a queue only when it stays: jitter, a lost packet or a moment without reception come and go,
and leave none. So a lag may exceed the window by a little, and only a link whose lag has not once been within it for
the better part of a second, while acknowledgements kept coming, is *slow* (after CoDel, which tells a bad queue from a
good one by the least delay of an interval: Nichols and Jacobson, 2012). On a link of 100 ms and a jitter of 25 ms each
way that is 20 states of 20 a second, where counting each excess had left 14; with 2 % of loss 19 where it was 11. The
price: a link that becomes too narrow is found out half a second later, with a state half as old again until then
(tests/unit/test_pacing_links.py has the links).

Frames of a slow link are spaced by how fast it delivers them: the time between two acknowledgements of frames that were
on their way together; a little less while they find no queue, a little more when they have. What a frame takes that
travels alone is what they are measured against. So a frame meets an empty link, and is as fresh as the link allows. In
a model of a link with half the needed bandwidth and a round trip of 1.6 ticks the state is 3.8 ticks old when it
arrives, at the 95th percentile; with the window alone 8.8 (tests/unit/test_pacing.py has the model).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

#: Over how long the shortest round trip is kept, in seconds: between this and twice as long.
SHORTEST_SECONDS: Final = 5.0
#: Lag that is allowed before the first acknowledgement, in seconds: the largest round trip that is common.
FIRST_WINDOW_SECONDS: Final = 0.5
#: Round trips are smoothed with this weight, that of TCP's own estimate (RFC 6298).
_ROUND_TRIP_WEIGHT: Final = 1 / 8
#: A sample counts up to so many ticks above the shortest: rooms read links once a tick, clients send once a tick.
_JITTER_TICKS: Final = 1
#: Largest window, in ticks: it travels in one byte.
MOST_TICKS: Final = 127
#: Every so many ticks the round trip of a link that keeps up is looked at.
SAMPLE_TICKS: Final = 8
#: Window of a slow link, whose every frame is decided here; no lag is as small.
SLOW: Final = -1

# Of slow links. Found with the model in tests/unit/test_pacing.py; each may be a third more or less.
_FIRST_SPACING: Final = 1.25  # ticks
_SPACING_WEIGHT: Final = 1 / 2
_SPACING_DECAY: Final = 0.97  # with each frame that finds no queue: how soon a link that recovers is noticed
_QUEUE_WEIGHT: Final = 1 / 4
_QUEUE_TICKS: Final = 0.7  # frames arrive so much later than the shortest, on average: there is a queue
_DRAIN_TICKS: Final = 0.5  # what the next frame waits longer then
_ALONE_WEIGHT: Final = 1 / 4  # of a frame's lag that travelled alone
_NEARLY_ONE: Final = 1.05  # ticks; a spacing below it is that of a link that keeps up, and
_FRAMES_TO_TRUST: Final = 10  # after so many frames in a row at that spacing it is one
#: Frames of a room without a tick rate that may be on their way to one player.
EVENT_FRAMES: Final = 4
#: A link whose lag has been above its window for so long without a break is slow.
STANDING_SECONDS: Final = 0.8
_LEAST_STANDING: Final = 4  # ticks
#: By so much a lag may exceed the window until then: in seconds while nothing moves, for that is no narrow place but a
#: packet that is sent again; in ticks when acknowledgements come, for on a narrow link the excess becomes a queue.
EXCESS_SECONDS: Final = 0.25
_MOVING_EXCESS: Final = 2


class Pace:
    """Decides for one player.

    Args:
        tick_rate: of the room, in Hz.

    Attributes:
        window: how many ticks the acknowledged tick may lag behind.
        limit: the same, or `SLOW`: with a lag up to it nothing has to be decided.
        round_trip: from writing a frame to reading its acknowledgement, smoothed, in ticks; None before the first.
    """

    __slots__ = (
        "_above_at",
        "_above_since",
        "_above_word",
        "_alone",
        "_drained",
        "_due",
        "_excess",
        "_frames_in_time",
        "_half_ticks",
        "_last_answer",
        "_last_shortest",
        "_last_word",
        "_on_the_way",
        "_queue",
        "_queued",
        "_renew_at",
        "_resumed_at",
        "_shortest",
        "_spacing",
        "_standing_ticks",
        "_starts_anew",
        "limit",
        "round_trip",
        "window",
    )

    def __init__(self, tick_rate: float) -> None:
        self.limit = self.window = max(2, min(MOST_TICKS, math.ceil(FIRST_WINDOW_SECONDS * tick_rate)))
        self.round_trip: float | None = None
        self._half_ticks = max(1, round(SHORTEST_SECONDS * tick_rate))
        self._shortest = self._last_shortest = math.inf
        self._renew_at = 0
        self._standing_ticks = max(_LEAST_STANDING, round(STANDING_SECONDS * tick_rate))
        self._excess = max(1, round(EXCESS_SECONDS * tick_rate))
        # The last tick at which the lag was above the window, since when it has been, and what was acknowledged then.
        self._above_at = self._above_since = self._above_word = -1
        self._drained = False  # frames were held back since then, although acknowledgements came
        self._last_word = 0  # the newest acknowledgement that was looked at
        self._starts_anew = False
        self._resumed_at = 0  # when it was last written a frame while nothing was on its way
        # Ticks of frames, and whether nothing was on its way before them; None while the link keeps up.
        self._on_the_way: deque[tuple[int, bool]] | None = None
        self._alone: float | None = None  # what a frame takes that travels alone, in ticks
        self._due = 0.0
        self._spacing = _FIRST_SPACING
        self._last_answer = -1
        self._queue = 0.0
        self._queued = False
        self._frames_in_time = 0

    def sample(self, tick: int, lag: int) -> int:
        """Take note of a round trip.

        Args:
            tick: the present one.
            lag: how many ticks ago the newest frame was written that is acknowledged.
        Returns:
            The new limit.
        """
        if tick >= self._renew_at:
            self._last_shortest, self._shortest = self._shortest, math.inf
            self._renew_at = tick + self._half_ticks
        self._shortest = min(self._shortest, lag)
        shortest = min(self._shortest, self._last_shortest)
        counted = min(lag, shortest + _JITTER_TICKS)
        before = self.round_trip
        if before is None:
            self.round_trip = counted
        else:  # never above what could still count: the shortest may have fallen
            self.round_trip = min(before + _ROUND_TRIP_WEIGHT * (counted - before), shortest + _JITTER_TICKS)
        self.window = min(MOST_TICKS, math.ceil(self.round_trip) + 1)
        self.limit = SLOW if self._on_the_way is not None else self.window
        return self.limit

    def restart(self) -> None:
        """The client starts anew from the next frame, a full one: it has dropped what was on its way."""
        self._on_the_way = None
        self._starts_anew = True
        self.limit = self.window

    def admits(self, tick: int, acknowledged: int, written: int) -> bool:
        """Whether a frame may go although the lag is above `limit`; what the caller then writes counts as on its way.

        Args:
            tick: the present one. acknowledged: the newest tick that the client holds. written: that of its last frame.
        """
        if self._on_the_way is None:
            if acknowledged >= written or self._starts_anew:  # nothing is on its way, however long ago that was
                self._starts_anew = False
                self._resumed_at = tick
                return True
            if acknowledged > self._last_word:  # or a path that has become longer would never be learnt
                self._last_word = acknowledged
                self.sample(tick, tick - acknowledged)
            lag = tick - max(acknowledged, self._resumed_at - 1)
            if lag <= self.window:
                return True
            if not self._stands(tick, acknowledged):
                moving = acknowledged > self._above_word
                admitted = lag <= min(self.window + (_MOVING_EXCESS if moving else self._excess), MOST_TICKS)
                self._drained |= moving and not admitted
                return admitted
            self._become_slow(tick, acknowledged, written)
        return self._admits_slow(tick, acknowledged)

    def _stands(self, tick: int, acknowledged: int) -> bool:
        """Whether the lag has been above the window for so long that there is a queue; to be asked whenever it is."""
        # Where frames were held back while others arrived, a lag within the window for a moment is our own doing.
        if tick - self._above_at > (self._standing_ticks // 2 if self._drained else 1):
            self._above_word = acknowledged
            self._drained = False
        if acknowledged == self._above_word:  # as long as nothing moves it may be a hiccup: it is waited for
            self._above_since = tick
        self._above_at = tick
        return tick - self._above_since >= self._standing_ticks

    def _admits_slow(self, tick: int, acknowledged: int) -> bool:
        on_the_way = self._on_the_way
        assert on_the_way is not None
        self._take_answers(on_the_way, tick, acknowledged)
        if tick < self._due or (on_the_way and tick - on_the_way[0][0] > self._usual_ticks + 1):
            return False
        if not self._queued:
            self._spacing = max(1.0, self._spacing * _SPACING_DECAY)
        self._due = max(self._due, tick - 1) + self._spacing
        on_the_way.append((tick, not on_the_way))
        self._frames_in_time = self._frames_in_time + 1 if self._spacing < _NEARLY_ONE else 0
        if self._frames_in_time > _FRAMES_TO_TRUST:
            self._on_the_way = None
            self.limit = self.window
        return True

    @property
    def _usual_ticks(self) -> float:
        """What a frame takes from being written to being acknowledged when no other is before it."""
        if self._alone is not None:
            return self._alone
        shortest = min(self._shortest, self._last_shortest)
        return self.window if shortest == math.inf else shortest

    def _become_slow(self, tick: int, acknowledged: int, written: int) -> None:
        self._on_the_way = deque((sent, False) for sent in range(acknowledged + 1, written + 1))
        self._alone = None
        self._spacing = _FIRST_SPACING
        self._due = tick
        self._last_answer = -1
        self._queue = 0.0
        self._queued = False
        self._frames_in_time = 0
        self.limit = SLOW

    def _take_answers(self, on_the_way: deque[tuple[int, bool]], tick: int, acknowledged: int) -> None:
        if not on_the_way or on_the_way[0][0] > acknowledged:
            return
        first, was_alone = on_the_way.popleft()
        newest, count = first, 1
        while on_the_way and on_the_way[0][0] <= acknowledged:
            newest, was_alone = on_the_way.popleft()
            count += 1
        lag = tick - newest
        self.sample(tick, lag)
        if first <= self._last_answer:  # it was on its way when the one before it was acknowledged
            self._spacing += _SPACING_WEIGHT * ((tick - self._last_answer) / count - self._spacing)
            self._spacing = max(1.0, self._spacing)
        self._last_answer = tick
        if count == 1 and was_alone:  # it can have met no queue of ours
            self._alone = lag if self._alone is None else self._alone + _ALONE_WEIGHT * (lag - self._alone)
            self._queue *= 1 - _QUEUE_WEIGHT
            self._spacing = max(1.0, min(self._spacing, lag))  # so much it delivers at least
        else:
            self._queue += _QUEUE_WEIGHT * (lag - self._usual_ticks - self._queue)
        self._queued = self._queue > _QUEUE_TICKS
        if self._queued:
            self._due += _DRAIN_TICKS


class EventPace:
    """Decides for one player of a room that ticks when something happens: no time passes between two events.

    So many frames may be on their way, and each acknowledgement is an occasion to send the next.

    Attributes: as of `Pace`; ``limit`` is always `SLOW`, because each frame is decided here.
    """

    __slots__ = ("_starts_anew", "limit", "round_trip", "window")

    def __init__(self) -> None:
        self.limit = SLOW
        self.window = EVENT_FRAMES
        self.round_trip: float | None = None
        self._starts_anew = False

    def sample(self, tick: int, lag: int) -> int:
        """Ticks tell nothing of time here."""
        return self.limit

    def restart(self) -> None:
        """As of `Pace`."""
        self._starts_anew = True

    def admits(self, tick: int, acknowledged: int, written: int) -> bool:
        """As of `Pace`."""
        if self._starts_anew or written - acknowledged < self.window:
            self._starts_anew = False
            return True
        return False
