"""What a link lets its peer send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gameprotocol import limits
from gameserver.net.bounds import MESSAGE_FRAGMENTS


class TextMessage(bytes):
    """The UTF-8 of a message that came as text; ``receive`` gives it only where the rules allow text."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkRules:
    """Bounds of what one peer may send and leave unread.

    A game needs the defaults. They exist as an object because a public suite of WebSocket tests (Autobahn) judges the
    transport with text, with messages of 16 MiB, with thousands of fragments and with bursts of pings, all of which a
    server for games refuses: `tests/conformance` runs it on the same links with these bounds lifted.

    Attributes:
        message_bytes: the longest message, fragments added up. A longer one is refused with 1009.
        fragments: the most pieces that a message may come in; more are refused with 1008.
        text: text is put together as ``TextMessage``; otherwise refused with 1003.
        metered: pings, pongs and fragments are counted, and too many a second refused with 1008.
        queue_bytes: what may wait to be read by the peer before ``send_frames`` closes the link.
    """

    message_bytes: int = limits.CLIENT_MESSAGE_BYTES
    fragments: int = MESSAGE_FRAGMENTS
    text: bool = False
    metered: bool = True
    queue_bytes: int = limits.MESSAGE_QUEUE_BYTES


#: What every server for games uses.
GAME_RULES: Final = LinkRules()
