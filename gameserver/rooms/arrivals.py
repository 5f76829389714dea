"""What a link has brought to a room without a tick rate, read before it is known whether it is worth a tick."""

from __future__ import annotations

from gameprotocol import Kind, message_kind
from gameserver.net import Link

#: What the game need not know of.
_QUIET = frozenset((Kind.ACKNOWLEDGE, Kind.RESYNC))


class Arrival:
    """A link whose messages have been read; reception takes it for the link.

    Attributes:
        is_quiet: whether nothing came that the game has to know of.
    """

    __slots__ = ("_link", "_payloads", "is_quiet")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._payloads = link.receive()
        self.is_quiet = all(message_kind(payload) in _QUIET for payload in self._payloads)

    @property
    def closed(self) -> bool:
        """As of the link."""
        return self._link.closed

    def receive(self) -> list[bytes]:
        """The messages, once."""
        payloads, self._payloads = self._payloads, []
        return payloads

    def close(self, code: int, reason: str = "") -> None:
        """As of the link."""
        self._link.close(code, reason)
