"""How long a message takes to the server and back, from the clock values that frames bring back."""

from __future__ import annotations

from typing import Final

from gameprotocol import FrameHeader

#: Weight of a new sample; a twelfth follows a change within about a second at 20 Hz and hides single spikes.
_WEIGHT: Final = 1 / 12
_WRAP: Final = 1 << 32
#: A sample beyond this is a clock that wrapped around, not a round trip; microseconds.
_LONGEST_US: Final = 60_000_000


def clock_value(now: float) -> int:
    """What is sent as ``client_time`` at ``now`` seconds: microseconds, modulo 2**32."""
    return int(now * 1e6) % _WRAP


class RoundTrip:
    """The round trip, smoothed.

    It begins when an input or acknowledgement is written and ends when the program takes in a frame that answers it,
    less what the server says it kept it. So it holds the wait for the server's tick and for this program's next look.

    Attributes:
        smoothed: seconds, None before the first sample. shortest: seconds, the least so far.
        margin: how long before its deadline the newest input came, in seconds; negative when late, None at first.
    """

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self.shortest: float | None = None
        self.margin: float | None = None

    def note(self, header: FrameHeader, now: float) -> None:
        """Take the timing that a frame brought, if it did."""
        if header.client_time is None:
            return
        if header.margin_ms is not None:
            self.margin = header.margin_ms / 1000
        took_us = (clock_value(now) - header.client_time) % _WRAP
        if took_us > _LONGEST_US:
            return
        sample = max(0.0, (took_us - (header.waited_us or 0)) / 1e6)
        if self.smoothed is None or self.shortest is None:
            self.smoothed = self.shortest = sample
        else:
            self.smoothed += (sample - self.smoothed) * _WEIGHT
            self.shortest = min(self.shortest, sample)
