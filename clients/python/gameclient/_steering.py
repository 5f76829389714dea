"""A player's inputs and acknowledgements: when one leaves, and which ones leave again after the player was away."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from gameclient._inputs import InputPacer
from gameclient._mirror import Mirror
from gameclient._timing import clock_value
from gameclient._way import Way
from gameprotocol import InputSchema, encode_acknowledge, encode_input

#: Whose inputs are at most so far apart, in periods, sends them all the time: so long the next one is waited for.
_INPUT_PERIODS: Final = 1.5


class Steering:
    """What one player tells the server once a tick.

    Args:
        way: the player's way to the room.
        mirror: what is held of the world, and so acknowledged.

    Attributes:
        inputs: offered and sent, None before the welcome.
    """

    def __init__(self, way: Way, mirror: Mirror) -> None:
        self.inputs: InputPacer | None = None
        self._way = way
        self._returning = way.returning
        self._mirror = mirror
        self._write = way.write
        self._longest = 0.0  # between two inputs of who sends them all the time, in seconds
        self._acknowledged = 0
        self._offered = False  # since the last `send_due`

    def begin(self, schema: InputSchema | None, period: float, *, keeps: bool) -> None:
        """The welcome has come; the arguments are those of `InputPacer`."""
        self.inputs = InputPacer(schema, period, keeps=keeps)
        self._longest = _INPUT_PERIODS * period

    @property
    def newest(self) -> int:
        """The sequence of the newest input, 0 for none."""
        return self.inputs.sequence if self.inputs is not None else 0

    def offer(self, values: Mapping[str, Any], now: float) -> None:
        """Merge values into the next input, and send it if it may leave; InputError when a value does not fit."""
        assert self.inputs is not None
        self.inputs.offer(values)
        self._offered = True
        self.send_waiting(now)

    def flush(self, now: float) -> bool:
        """Send the input that waits whatever the pace; True when none waits any more."""
        if self.inputs is None or not self.inputs.waiting:
            return True
        self._send(self.inputs, now)
        return not self.inputs.waiting

    def send_due(self, now: float) -> None:
        """Send what need not wait for the program any more."""
        # Whoever offered an input since the last pump is about to offer a fresher one, which takes the old one along.
        if not self._offered:
            self.send_waiting(now)
        self._offered = False
        if now >= self.acknowledge_at():
            self.acknowledge(now)

    def send_waiting(self, now: float) -> None:
        """Send the input that waits if one does and may leave."""
        inputs = self.inputs
        if inputs is not None and inputs.is_due(now, self._mirror.round_trip.smoothed):
            self._send(inputs, now)

    def acknowledge_at(self) -> float:
        """When what is held must be acknowledged if no input says it before, in seconds of the clock.

        Whoever sends inputs all the time is about to say it with the next one; a message of its own would be wasted.
        """
        inputs = self.inputs
        if inputs is None or self._mirror.tick <= self._acknowledged:
            return math.inf
        return inputs.last_sent + self._longest if inputs.interval <= self._longest else -math.inf

    def acknowledge(self, now: float) -> None:
        """Say how far the world is here, unless that was said."""
        tick = self._mirror.tick
        if tick <= self._acknowledged or self._returning.active or self._way.link.wants_write:
            return
        if self._write(encode_acknowledge(tick, clock_value(now))):
            self._acknowledged = tick

    def answer_anew(self) -> None:
        """Say once more how far the world is: the server waits for that before it forgets an old token."""
        self._acknowledged = 0

    def came_back(self, received: int) -> Callable[[float, float], None]:
        """The player is back at a server that has inputs up to ``received``.

        Returns:
            A function of time and sequence that sends again those up to this sequence that are still to be sent.
        """
        again = deque(self.inputs.above(received) if self.inputs is not None else ())

        def send(now: float, last: float) -> None:
            while again and again[0][0] <= last:
                sequence, values = again.popleft()
                self._write(encode_input(sequence, 0, self._mirror.tick, clock_value(now), values))

        return send

    def _send(self, inputs: InputPacer, now: float) -> None:
        link = self._way.link
        if self._returning.active or (link.wants_write and not link.flush()):
            return  # away, or the network is stuck: merge on, so that what leaves is as fresh as can be
        sequence, values = inputs.peek()
        tick = self._mirror.tick
        if self._write(encode_input(sequence, 0, tick, clock_value(now), values)):
            inputs.sent(now)
            self._acknowledged = tick
