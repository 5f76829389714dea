"""What a player says to the room besides inputs, and what the room says to that: messages, requests, replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gameclient._errors import DisconnectedError
from gameclient._events import MessageRefused
from gameclient._link import VANISHED
from gameclient._outbox import Outbox
from gameclient._requests import RequestPending, Requests, failed_request, reason_of
from gameclient._returning import comes_back
from gameclient._timing import clock_value
from gameclient._way import Way
from gameprotocol import CloseCode, ProtocolError, encode_message, encode_request, limits

#: How often what waits to be sent again is looked at, in seconds.
_AGAIN_SECONDS: Final = 0.05


class Talk:
    """One player's messages and requests.

    Args:
        way: the player's way to the room.

    Attributes:
        outbox: what was said. requests: those that are not answered.
        message_bytes: largest message that the server takes.
    """

    def __init__(self, way: Way) -> None:
        self.outbox = Outbox()
        self.requests = Requests()
        self.message_bytes = limits.CLIENT_MESSAGE_BYTES
        self._way = way
        self._write = way.write

    def begin(self, message_bytes: int, *, keeps: bool) -> None:
        """The welcome has come; ``keeps``: there is a seat to come back to."""
        self.message_bytes = message_bytes
        self.outbox.keeps = keeps

    def send(self, kind: str, payload: Any, after: int, now: float) -> bool:
        """Say something; `Session.send` has the rest.

        Args:
            after: the sequence of the newest input.
        """
        return self._say(kind, encode_message(kind, payload, self.outbox.number + 1), after, now)

    def ask(self, kind: str, payload: Any, after: int, now: float, deadline: float) -> RequestPending:
        """Ask something; `Session.ask` has the rest."""
        if self._say(kind, encode_request(self.outbox.number + 1, kind, payload), after, now):
            return self.requests.add(kind, self.outbox.number, deadline)
        return failed_request(kind, DisconnectedError(VANISHED, "the server leaves too much unread: try again later"))

    def take_reply(self, items: list[Any]) -> MessageRefused | None:
        """A decoded reply has come; what to tell when it is the answer to something that was no request.

        Raises:
            ProtocolError: it is no reply.
        """
        if len(items) < 4 or type(items[1]) is not int or not (items[2] is None or isinstance(items[2], str)):
            raise ProtocolError(CloseCode.UNDECODABLE, "a reply has a number, a code and a payload")
        _, number, code, payload, *_ = items
        self.outbox.received(number)
        if self.requests.answer(number, code, payload) or code is None:
            return None
        return MessageRefused(self.outbox.kind_of(number), number, code, reason_of(payload))

    def came_back(self, received: int, now: float) -> None:
        """The player is back at a server that has messages up to ``received``: what it does not have waits now."""
        self.outbox.came_back(received, now)

    def send_waiting(self, now: float, before: Callable[[int], None] | None = None) -> None:
        """Send what waits and may be sent.

        Args:
            before: is called with the sequence of the input behind which a message was said, before it is sent.
        """
        outbox = self.outbox
        while (kept := outbox.next_waiting(now)) is not None:
            if before is not None:
                before(kept.after)
            if not self._write(kept.encoded):
                return
            outbox.sent_again(kept, clock_value(now))

    def next_deadline(self, now: float) -> float:
        """When a request fails, or more may be sent of what waits; inf for never."""
        until = self.requests.next_deadline
        return min(until, now + _AGAIN_SECONDS) if self.outbox.waiting and not self._way.returning.active else until

    def _say(self, kind: str, encoded: bytes, after: int, now: float) -> bool:
        if len(encoded) > self.message_bytes:
            raise ValueError(f"message {kind!r} has {len(encoded)} bytes; the server takes {self.message_bytes}")
        outbox, way = self.outbox, self._way
        if way.ended is not None:
            return False
        if not way.returning.active and not outbox.waiting:
            if self._write(encoded):
                outbox.add(kind, encoded, after, clock_value(now))
                return True
            if not way.link.closed or not comes_back(way.link.close_code):
                return False
        if not outbox.has_room(len(encoded)):
            return False
        outbox.add(kind, encoded, after, None)
        return True
