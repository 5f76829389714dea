"""How much a peer may send. Pure: the time is an argument.

What a room reads from a link in one tick is bounded, so one small message in each read needs no counting: only reads
that bring more are metered here, and most links never have a meter.
"""

from __future__ import annotations

from typing import Final

from gameprotocol import Kind
from gameprotocol.closing import CloseCode, ProtocolError
from gameserver.allowance import Allowance
from gameserver.net.limits import Limits

#: What may come at once, in seconds of the limit: a client whose network stalled sends what it had meant to.
_BURST_SECONDS: Final = 1.0
#: The excess for which throttling is not enough, as a share of the limit. Three times the messages no game's client
#: sends. A room with 20 ticks a second reads at most 40 KiB/s, so with half the limit of 16 KiB/s in excess a peer that
#: sends as much as it can is found within a second.
_CLOSE_MESSAGES: Final = 2.0
_CLOSE_BYTES: Final = 0.5
#: How much excess at once, in seconds of the limit.
_CLOSE_BURST_SECONDS: Final = 0.5
#: Kinds that a newer one of replaces: dropping one costs its sender a moment. All other messages are reliable.
_DROPPABLE: Final = frozenset((int(Kind.INPUT), int(Kind.ACKNOWLEDGE)))


class Meter:
    """Counts one peer's messages and bytes beyond those that are free.

    Args:
        limits: what is allowed in a second.
        now: the clock's time in seconds.

    Attributes:
        dropped: messages that were thrown away.
    """

    __slots__ = ("_bytes", "_close_bytes", "_close_messages", "_messages", "_reliable", "dropped")

    def __init__(self, limits: Limits, now: float) -> None:
        messages, size = limits.messages_per_second, limits.bytes_per_second
        self.dropped = 0
        self._messages = Allowance(messages * _BURST_SECONDS, messages, now)
        self._reliable = Allowance(messages * _BURST_SECONDS, messages, now)  # of those that may not be dropped
        self._bytes = Allowance(size * _BURST_SECONDS, size, now)
        self._close_messages = Allowance(messages * _CLOSE_BURST_SECONDS, messages * _CLOSE_MESSAGES, now)
        self._close_bytes = Allowance(size * _CLOSE_BURST_SECONDS, size * _CLOSE_BYTES, now)

    def admit(self, messages: list[bytes], size_bytes: int, now: float) -> list[bytes]:
        """What may be used of the messages of one read.

        Args:
            size_bytes: of the read.
        Raises:
            ProtocolError: 1008, the peer floods.
        """
        over_bytes = not self._bytes.take(now, size_bytes)
        if over_bytes and not self._close_bytes.take(now, size_bytes):
            raise ProtocolError(CloseCode.POLICY, "too many bytes a second")
        if not over_bytes and self._messages.take(now, len(messages)):
            return messages
        if not self._close_messages.take(now, len(messages)):
            raise ProtocolError(CloseCode.POLICY, "too many messages a second")
        kept = [message for message in messages if not _is_droppable(message)]
        if kept and not self._reliable.take(now, len(kept)):
            raise ProtocolError(CloseCode.POLICY, "too many messages a second")
        self.dropped += len(messages) - len(kept)
        return kept


def _is_droppable(message: bytes) -> bool:
    """Whether it is an input or an acknowledgement; judged by its second byte, as such messages are written."""
    return len(message) > 1 and message[1] in _DROPPABLE
