"""Messages and requests of one seat: numbered, and kept until the server is known to have them. No socket, no clock.

The server has a message when it answers one of a later number, or when a frame brings back the clock value of an input
or acknowledgement that left later, for what leaves on one connection arrives in its order.

When the player comes back, what the server does not have is sent again. Not all at once: servers close the connection
of who sends much more than a game does.
"""

from __future__ import annotations

from collections import deque
from typing import Final

#: Bytes that are kept; so much can be said while the connection is lost.
KEPT_BYTES: Final = 64 * 1024
#: What may be sent again at once, and in a second, in bytes; half of what a server takes by default.
AGAIN_BYTES: Final = 8192
#: Counted for each message besides its bytes, so that 40 small ones are sent again in a second; a server takes 120.
_EACH_BYTES: Final = 200
#: How many kinds of messages are remembered to be named when the room cannot take them.
_KINDS: Final = 256
_WRAP: Final = 1 << 32


class Kept:
    """A message that may have to be sent again.

    Attributes:
        number: of the message. encoded: as it is sent.
        after: the sequence of the input that was said before it.
        sent_at: clock value when it was sent, None when it waits to be.
    """

    __slots__ = ("after", "encoded", "number", "sent_at")

    def __init__(self, number: int, encoded: bytes, after: int, sent_at: int | None) -> None:
        self.number = number
        self.encoded = encoded
        self.after = after
        self.sent_at = sent_at


class Outbox:
    """What one player has said.

    Attributes:
        keeps: whether copies are kept: there is a seat to come back to.
        number: of the newest message, 0 for none.
        waiting: how many messages wait to be sent, all of them behind those that were.
    """

    def __init__(self) -> None:
        self.keeps = False
        self.number = 0
        self.waiting = 0
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        self._kinds: deque[str] = deque(maxlen=_KINDS)
        self._allowed = 0.0  # bytes that may be sent again now; below 0 after a large one
        self._allowed_at = 0.0

    def __len__(self) -> int:
        return len(self._kept)

    def has_room(self, size: int) -> bool:
        """Whether a message of ``size`` bytes can be kept until there is a connection."""
        return self.keeps and self._bytes + size <= KEPT_BYTES

    def add(self, kind: str, encoded: bytes, after: int, sent_at: int | None) -> None:
        """A message was sent, or waits to be; its number is the next one.

        Args:
            after: the sequence of the newest input.
            sent_at: the clock value when it was sent, None when it waits. Who waits has asked `has_room`; of what was
                sent the oldest is forgotten when it is too much, for the server has not said anything for long.
        """
        self.number += 1
        self._kinds.append(kind)
        if not self.keeps:
            return
        self._kept.append(Kept(self.number, encoded, after, sent_at))
        self._bytes += len(encoded)
        self.waiting += sent_at is None
        while self._bytes > KEPT_BYTES:
            self._forget_first()

    def kind_of(self, number: int) -> str:
        """The kind of a message, "" when that is too long ago, or there was none of this number."""
        back = self.number - number
        return self._kinds[-1 - back] if 0 <= back < len(self._kinds) else ""

    def received(self, number: int) -> None:
        """The server has all messages up to ``number``."""
        while self._kept and self._kept[0].number <= number:
            self._forget_first()

    def answered(self, client_time: int) -> None:
        """The server has what was sent with this clock value."""
        kept = self._kept
        while kept and (sent_at := kept[0].sent_at) is not None and 0 < (client_time - sent_at) % _WRAP < _WRAP // 2:
            self._forget_first()

    def came_back(self, received: int, now: float) -> None:
        """There is a new connection to a server that has all messages up to ``received``; the others wait now."""
        self.received(received)
        for kept in self._kept:
            kept.sent_at = None
        self.waiting = len(self._kept)
        self._allowed, self._allowed_at = float(AGAIN_BYTES), now

    def next_waiting(self, now: float) -> Kept | None:
        """The first message that waits and may be sent again now; call `sent_again` when it has left."""
        if not self.waiting:
            return None
        self._allowed = min(AGAIN_BYTES, self._allowed + (now - self._allowed_at) * AGAIN_BYTES)
        self._allowed_at = now
        return self._kept[len(self._kept) - self.waiting] if self._allowed > 0 else None

    def sent_again(self, kept: Kept, sent_at: int) -> None:
        """The message that `next_waiting` gave has left."""
        kept.sent_at = sent_at
        self.waiting -= 1
        self._allowed -= len(kept.encoded) + _EACH_BYTES

    def _forget_first(self) -> None:
        first = self._kept.popleft()
        self._bytes -= len(first.encoded)
        self.waiting -= first.sent_at is None
