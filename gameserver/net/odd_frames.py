"""How many odd frames a peer may send: nobody asked for them and no queue bounds them, so they are counted."""

from __future__ import annotations

from gameprotocol._websocket import PING, PONG, TEXT, OddFrame
from gameprotocol.closing import CloseCode, ProtocolError
from gameserver.allowance import Allowance
from gameserver.net.bounds import (
    FRAGMENT_BURST,
    FRAGMENTS_PER_SECOND,
    PING_BURST,
    PINGS_PER_SECOND,
    PONG_BURST,
    PONGS_PER_SECOND,
)
from gameserver.net.rules import LinkRules


class OddFrameCounter:
    """One peer's pings, pongs and fragments. Most peers never send one, so a link makes this when the first comes.

    Args:
        now: the clock's time in seconds.
        rules: what the peer may send.
    """

    __slots__ = ("_fragments", "_pieces", "_pings", "_pongs", "_rules")

    def __init__(self, now: float, rules: LinkRules) -> None:
        self._rules = rules
        self._fragments = 0
        self._pieces = Allowance(FRAGMENT_BURST, FRAGMENTS_PER_SECOND, now)
        self._pings = Allowance(PING_BURST, PINGS_PER_SECOND, now)
        self._pongs = Allowance(PONG_BURST, PONGS_PER_SECOND, now)

    def admit(self, frame: OddFrame, now: float) -> None:
        """Count ``frame``, which is not a Close.

        Raises:
            ProtocolError: 1003 for text, 1008 when there are too many of its kind.
        """
        if frame.opcode == PING:
            if self._rules.metered and not self._pings.take(now):
                raise ProtocolError(CloseCode.POLICY, "too many pings")
        elif frame.opcode == PONG:
            if self._rules.metered and not self._pongs.take(now):
                raise ProtocolError(CloseCode.POLICY, "too many pongs")
        elif frame.opcode == TEXT and not self._rules.text:
            raise ProtocolError(CloseCode.UNSUPPORTED, "messages must be binary")
        else:
            if self._rules.metered and not self._pieces.take(now):
                raise ProtocolError(CloseCode.POLICY, "too many fragments a second")
            self._fragments += 1
            if self._fragments > self._rules.fragments:
                raise ProtocolError(CloseCode.POLICY, f"a message may have {self._rules.fragments} fragments")
            if frame.fin:
                self._fragments = 0
