"""What a player was sent by message and may not have received: sent again when it comes back. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gameprotocol import limits


class MessageLog:
    """The messages of one seat that are kept.

    A message of tick 7 leaves before the frame of tick 7, so whoever has applied that frame, or a later one, has the
    message. Clients count the messages that they have received; they carry no number, because players share bytes.

    Attributes:
        forgotten: how many messages were sent that are not kept any more.
    """

    __slots__ = ("_bytes", "_kept", "_lost_tick", "forgotten")

    def __init__(self) -> None:
        self.forgotten = 0
        self._lost_tick = -1  # of the newest message that was forgotten before it was known to have been received
        self._kept: deque[tuple[int, bytes]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def overflowed(self) -> bool:
        """Whether one had to be forgotten that may not have been received."""
        return self._lost_tick >= 0

    def add(self, frames: Sequence[bytes], tick: int) -> None:
        """Keep messages, as WebSocket frames, that leave before the frame of ``tick``."""
        for frame in frames:
            self._kept.append((tick, frame))
            self._bytes += len(frame)
        while self._bytes > limits.MESSAGE_QUEUE_BYTES:
            self._lost_tick = self._kept[0][0]
            self._forget_first()

    def received(self, tick: int) -> None:
        """The client has applied the frame of ``tick``."""
        while self._kept and self._kept[0][0] <= tick:
            self._forget_first()
        if self._lost_tick <= tick:
            self._lost_tick = -1

    def missed(self, received_count: int) -> list[bytes] | None:
        """The messages behind the first ``received_count`` of this seat, None when one of them is not kept any more."""
        while self._kept and self.forgotten < received_count:
            self._forget_first()
        if self.forgotten > received_count:
            return None
        self._lost_tick = -1
        return [frame for _, frame in self._kept]

    def _forget_first(self) -> None:
        _, frame = self._kept.popleft()
        self._bytes -= len(frame)
        self.forgotten += 1
