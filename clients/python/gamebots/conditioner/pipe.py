"""One direction of a link: when bytes that go in come out. Pure: time and chance are arguments.

On the way a segment passes three places. In front of the narrow place it waits until those before it are through, at so
many bytes a second. Then it travels, for a time that varies. Where it arrives, it waits for segments before it that
were lost, as TCP never shows a stream with a hole. So nothing overtakes, nothing is lost, and loss is seen as delay.

When a lost segment comes again is RFC 8985's rule in its simplest form: the next segment that arrives tells that one is
missing, a round trip and a quarter later the missing one is there; when none comes soon, the sender's probe finds out
after two round trips; when what is sent again is lost as well, the sender waits for its timer, twice as long each time.
Losses come in bursts as E. N. Gilbert's model has them. What is not modelled: acknowledgements that get lost, and the
lower rate at which a sender goes on after a loss.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass
from typing import Final

from gamebots.conditioner.profiles import Direction, LinkProfile

#: The most that a segment carries; a narrow place gets smaller ones, so that bytes come evenly.
SEGMENT_BYTES: Final = 1448
LEAST_SEGMENT_BYTES: Final = 256
#: How long a narrow place is busy with one segment, at most, if that is possible.
SEGMENT_SECONDS: Final = 0.02
#: What is held at most, however wide the link is: a receiver's window.
WINDOW_BYTES: Final = 4 << 20
#: A `share` is one of what is offered in this time, in seconds from the first byte; before it much comes at once.
LEARNING_SECONDS: Final = (1.0, 3.0)
#: A share of next to nothing would be no link at all.
LEAST_RATE: Final = 128.0

#: In round trips: from the segment that shows a loss until the lost one is there, and when nothing shows it.
_REPAIR, _PROBE = 1.25, 2.0
#: The shortest time that Linux waits for an acknowledgement, in seconds, and how often a segment is lost at most.
_LEAST_TIMEOUT, _MOST_TRIES = 0.2, 8
#: Jitter forgets itself in a time of so many standard deviations, and stays within so many.
_MEMORY, _MOST_DEVIATIONS = 4.0, 3.0


class _Segment:
    """Bytes on their way; none for the end of the stream."""

    __slots__ = ("data", "due", "pushed")

    def __init__(self, data: bytes, pushed: float, due: float) -> None:
        self.data = data
        self.pushed = pushed
        self.due = due


@dataclass
class _Hole:
    """Lost segments in a row, the newest ones, of which the sender does not know yet.

    Attributes:
        travel: seconds on the way. waited: for timers, because what was sent again was lost too.
        earliest: nothing before it comes out, for what was there before comes first.
        found_at: when the sender's probe finds them.
    """

    travel: float
    waited: float
    earliest: float
    found_at: float
    segments: list[_Segment]

    def fill(self, due: float) -> None:
        """They have been sent again, and come out then."""
        for segment in self.segments:
            segment.due = due


class Pipe:
    """Bytes in order, each at its time. All times are seconds of one clock that does not go backwards.

    Args:
        direction: what this way of the link is like.
        dice: all chance comes from it: the same pushes at the same times give the same result.
        began: when the link came into being; stalls are counted from it.
        round_trip: of the whole link, in seconds, and its standard deviation; for what a loss costs.
        stalled_after: seconds until the first stall.

    Attributes:
        bytes_in, bytes_out: pushed and pulled so far.
        ended: the end was pushed and everything pulled.
        rate: of the narrow place; that of a `share` is known some seconds after the first byte.
        delays: seconds that the newest segments took from push to pull. lateness: how much of it because they were
            pulled late.
        lost: segments.
    """

    def __init__(
        self,
        direction: Direction,
        dice: random.Random,
        *,
        began: float = 0.0,
        round_trip: float | None = None,
        deviation: float | None = None,
        stalled_after: float = 0.0,
    ) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self.ended = False
        self.rate = direction.rate
        self.lost = 0
        self.delays: deque[float] = deque(maxlen=4096)
        self.lateness: deque[float] = deque(maxlen=4096)
        self._direction = direction
        self._dice = dice
        self._began = began
        self._round_trip = 2 * direction.delay if round_trip is None else round_trip
        self._timeout = max(_LEAST_TIMEOUT, self._round_trip + 4 * (deviation or 0.0))
        self._stalled_after = stalled_after
        self._queue: deque[_Segment] = deque()
        self._waiting: deque[tuple[float, int]] = deque()  # in front of the narrow place: through when, and how many
        self._waiting_bytes = 0
        self._free_at = began  # of the narrow place
        self._newest_due = -math.inf
        self._deviation_now = 0.0  # of the delay, and when that was
        self._deviation_at = -math.inf
        self._hole: _Hole | None = None
        self._losing = False
        self._learning_from = math.inf if direction.share is not None else None
        self._learned_bytes = 0
        self._segment_bytes = _segment_bytes(direction.rate, direction.queue_bytes)

    # -- in

    def hold_until(self, time: float) -> None:
        """Nothing gets through the narrow place before: the connection is still being made."""
        self._free_at = max(self._free_at, time)

    def room(self, now: float) -> int:
        """How many bytes may be pushed now. Never a few only: as many as make a segment, or none."""
        self._pass(now)
        free = min(self._direction.queue_bytes - self._waiting_bytes, WINDOW_BYTES - self.bytes_in + self.bytes_out)
        return free if free >= self._segment_bytes else 0

    def room_at(self, now: float) -> float:
        """When there will be room, if nothing else happens; ``inf`` when only a pull can make it."""
        if self.room(now):
            return now
        if WINDOW_BYTES - self.bytes_in + self.bytes_out < self._segment_bytes:
            return math.inf
        missing = self._segment_bytes - (self._direction.queue_bytes - self._waiting_bytes)
        for through_at, size in self._waiting:
            missing -= size
            if missing <= 0:
                return through_at
        return now  # not reached: an empty queue has room

    def push(self, data: bytes, now: float) -> None:
        """These come in now. It is for the caller to ask for `room` before."""
        if not data:
            return
        self.bytes_in += len(data)
        if self._direction.share is not None:
            self._learn(len(data), now, self._direction.share)
        size = self._segment_bytes
        if len(data) <= size:
            self._add(data, now)
            return
        for start in range(0, len(data), size):
            self._add(data[start : start + size], now)

    def end(self, now: float) -> None:
        """Nothing more comes in; the other end learns it in its turn, as a segment of no bytes."""
        self._add(b"", now)

    # -- out

    @property
    def next_at(self) -> float:
        """When the next bytes, or the end, can be pulled; ``inf`` when nothing is on its way. A push may change it."""
        return self._queue[0].due if self._queue else math.inf

    def pull(self, now: float) -> bytes:
        """What has arrived by now."""
        queue = self._queue
        if not queue or queue[0].due > now:
            return b""
        pieces = []
        while queue and queue[0].due <= now:
            segment = queue.popleft()
            if not segment.data:
                self.ended = True
                break
            self.delays.append(now - segment.pushed)
            self.lateness.append(now - segment.due)
            pieces.append(segment.data)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.bytes_out += len(data)
        return data

    def drain(self) -> bytes:
        """Everything that is still on its way, regardless of when it would arrive."""
        data = b"".join(segment.data for segment in self._queue)
        self._queue.clear()
        self._hole = None
        self.bytes_out += len(data)
        return data

    # -- on the way

    def _add(self, data: bytes, now: float) -> None:
        through_at = self._through_at(len(data), now)
        travel = self._travel(through_at)
        segment = _Segment(data, now, through_at + travel)
        if self._direction.loss:
            self._arrive_or_not(segment, through_at, travel)
        segment.due = self._newest_due = max(self._newest_due, self._after_stall(segment.due))
        self._queue.append(segment)

    def _through_at(self, size: int, now: float) -> float:
        """When the narrow place will have let so many bytes through."""
        through_at = self._after_stall(max(now, self._free_at))
        if self.rate < math.inf:
            through_at = self._after_stall(through_at + size / self.rate)
        if through_at > now:
            self._free_at = through_at
            self._waiting.append((through_at, size))
            self._waiting_bytes += size
        return through_at

    def _pass(self, now: float) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            self._waiting_bytes -= waiting.popleft()[1]

    def _travel(self, time: float) -> float:
        """How long the way takes at this time. It wanders: two segments close to each other take about as long."""
        delay, jitter = self._direction.delay, self._direction.jitter
        if not jitter:
            return delay
        kept = math.exp((self._deviation_at - time) / (_MEMORY * jitter))
        fresh = self._dice.gauss(0.0, 1.0)
        self._deviation_now = kept * self._deviation_now + math.sqrt(1.0 - kept * kept) * fresh
        self._deviation_at = time
        deviation = min(_MOST_DEVIATIONS, max(-_MOST_DEVIATIONS, self._deviation_now))
        return max(0.0, delay + jitter * deviation)

    def _after_stall(self, time: float) -> float:
        """The same time, or the end of the stall that it falls into."""
        direction = self._direction
        since = time - self._began - self._stalled_after
        if not direction.stall_every or since < 0:
            return time
        into = since % direction.stall_every
        return time + direction.stall_seconds - into if into < direction.stall_seconds else time

    def _arrive_or_not(self, segment: _Segment, through_at: float, travel: float) -> None:
        """Decide whether it is lost, and what that, or its arrival, means for those that were lost before it."""
        hole = self._hole
        if hole is not None and through_at >= hole.found_at:
            hole = self._hole = None
        if self._loses():
            self.lost += 1
            if hole is None:
                hole = self._hole = _Hole(travel, self._wait_for_timers(), self._newest_due, 0.0, [])
            hole.found_at = through_at + _PROBE * self._round_trip
            hole.segments.append(segment)
            hole.fill(self._after_stall(max(hole.earliest, hole.found_at + hole.travel + hole.waited)))
        elif hole is not None:
            shown = through_at + _REPAIR * self._round_trip
            repaired = max(hole.earliest, min(shown, hole.found_at) + hole.travel + hole.waited)
            self._newest_due = self._after_stall(repaired)
            hole.fill(self._newest_due)
            self._hole = None

    def _loses(self) -> bool:
        """Whether the next segment is lost: with `loss` in the long run, in bursts of `burst` on the average."""
        loss = self._direction.loss
        burst = max(self._direction.burst, 1.0 / (1.0 - loss))  # what independent losses give, when it is more
        chance = 1.0 - 1.0 / burst if self._losing else loss / (burst * (1.0 - loss))
        self._losing = self._dice.random() < chance
        return self._losing

    def _wait_for_timers(self) -> float:
        """How long a lost segment waits because what was sent again was lost as well."""
        waited, timeout = 0.0, self._timeout
        for _ in range(_MOST_TRIES):
            if self._dice.random() >= self._direction.loss:
                break
            waited += timeout
            timeout *= 2
        return waited

    def _learn(self, size: int, now: float, share: float) -> None:
        """Count what is offered, until a share of it is known."""
        if self._learning_from is None:
            return
        if self._learning_from == math.inf:
            self._learning_from = now
        begin, end = LEARNING_SECONDS
        passed = now - self._learning_from
        if passed < end:
            self._learned_bytes += size if passed >= begin else 0
        elif not self._learned_bytes:  # nothing came in that time
            self._learning_from = now
        else:
            self.rate = min(self.rate, max(LEAST_RATE, share * self._learned_bytes / (end - begin)))
            self._segment_bytes = _segment_bytes(self.rate, self._direction.queue_bytes)
            self._learning_from = None


def _segment_bytes(rate: float, queue_bytes: int) -> int:
    """How large segments are. Two of them fit in front of the narrow place, so that it need not wait for the next."""
    most = min(SEGMENT_BYTES, queue_bytes // 2)
    return most if rate == math.inf else max(LEAST_SEGMENT_BYTES, min(most, int(rate * SEGMENT_SECONDS)))


def make_pipes(profile: LinkProfile, dice: random.Random, began: float) -> tuple[Pipe, Pipe]:
    """A link's two directions, up and down. When both stall, they do so together."""
    up, down = profile.up, profile.down
    deviation = math.hypot(up.jitter, down.jitter)
    stalled_after = dice.random()
    return (
        _make_pipe(up, dice, began, profile.round_trip, deviation, stalled_after),
        _make_pipe(down, dice, began, profile.round_trip, deviation, stalled_after),
    )


def _make_pipe(
    direction: Direction,
    dice: random.Random,
    began: float,
    round_trip: float,
    deviation: float,
    stalled_after: float,
) -> Pipe:
    return Pipe(
        direction,
        random.Random(dice.getrandbits(64)),  # its own, so that what goes up does not change what comes down
        began=began,
        round_trip=round_trip,
        deviation=deviation,
        stalled_after=stalled_after * direction.stall_every,
    )
