"""What a bot and its room say to each other besides frames and inputs, numbered for a return to the seat. Pure."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from gameprotocol import encode_message

#: Messages that are kept to be sent again after a return.
_KEPT_MESSAGES: Final = 32


class Talk:
    """The messages of one seat.

    Attributes:
        received: messages and replies that have come since the welcome.
    """

    __slots__ = ("_said", "_spoken", "received")

    def __init__(self) -> None:
        self.received = 0
        self._spoken = 0
        self._said: deque[tuple[int, bytes]] = deque(maxlen=_KEPT_MESSAGES)

    def say(self, kind: str, payload: Any) -> bytes:
        """The next message as it travels."""
        self._spoken += 1
        message = encode_message(kind, payload, self._spoken)
        self._said.append((self._spoken, message))
        return message

    def again(self, arrived: int) -> list[bytes]:
        """What is to be said again after a return, when the messages up to number ``arrived`` have come."""
        return [message for number, message in self._said if number > arrived]
