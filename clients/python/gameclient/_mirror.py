"""The mirror of a room's world: takes frames, counts and measures them, and knows when it is out of step."""

from __future__ import annotations

import logging
from typing import Any

from gameclient._events import FrameApplied
from gameclient._timing import RoundTrip
from gameprotocol import (
    BaselineError,
    CloseCode,
    Frame,
    FrameHeader,
    ProtocolError,
    Replica,
    Schema,
    encode_resync,
    limits,
)

_log = logging.getLogger("gameclient")


class Mirror:
    """What a session makes of the frames of its room.

    Attributes:
        replica: the world, None before the welcome.
        tick: the tick that is held, 0 before the first frame.
        message_bytes: largest message that the server takes.
        header: of the newest frame, None before the first.
        question: a message that asks for a full frame, when the newest frame made one necessary; None usually.
        frames, skipped, coalesced, window: see `Stats`.
        newest_at: when the newest frame was applied, in seconds of the caller's clock.
        round_trip: measured since the connection was made.
    """

    def __init__(self) -> None:
        self.replica: Replica | None = None
        self.tick = 0
        self.message_bytes = limits.CLIENT_MESSAGE_BYTES
        self.header: FrameHeader | None = None
        self.question: bytes | None = None
        self.frames = 0
        self.skipped = 0
        self.coalesced = 0
        self.window = 0
        self.newest_at: float | None = None
        self.round_trip = RoundTrip()
        self._asked_for_full = False
        self._name = ""

    def begin(self, schema: Schema, player: int, message_bytes: int, name: str) -> None:
        """The welcome has come; ``name`` is the room's in logs."""
        self.replica = Replica(schema, player)
        self.message_bytes = message_bytes
        self._name = name

    @property
    def usable_tick(self) -> int:
        """The tick from which a delta may start; 0 when only a full frame will do."""
        return 0 if self._asked_for_full else self.tick

    def came_back(self) -> None:
        """There is a new connection. What was asked for on the old one need not come, and its times say nothing."""
        self._asked_for_full = False
        self.round_trip = RoundTrip()

    def take(self, items: list[Any], now: float) -> FrameApplied | None:
        """Apply a decoded frame.

        Returns:
            None when it does not fit to what is held, and a full frame was asked for.
        Raises:
            ProtocolError: it is no frame, or there was no welcome before it.
        """
        replica = self.replica
        if replica is None:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "a frame before the welcome")
        frame = Frame.from_items(items)
        self.header = header = frame.header
        self.question = None
        full = header.back == 0
        self.round_trip.note(header, now)
        self.window = header.window
        try:
            changes = replica.apply(frame)
        except (BaselineError, ProtocolError) as error:
            if full:
                raise
            self.skipped += 1
            self._ask_for_full(replica, str(error))
            return None
        self._asked_for_full = self._asked_for_full and not full
        self.tick = header.tick
        self.frames += 1
        self.coalesced += max(0, header.back - 1)
        self.newest_at = now
        if not replica.check(frame):
            self._ask_for_full(replica, f"hash {replica.hash():#x} at tick {header.tick}", frame.hash)
        return FrameApplied(header.tick, full, changes)

    def _ask_for_full(self, replica: Replica, why: str, expected: int | None = None) -> None:
        """Ask once; frames that were on their way before the answer must not make us ask again.

        Args:
            expected: the hash that the newest frame brought, when that is not the replica's; None for a frame that
                could not be applied.
        """
        if self._asked_for_full:
            return
        self._asked_for_full = True
        _log.warning("! %s: out of step, asking for a full frame: %s", self._name, why)
        if expected is None:
            self.question = encode_resync(replica.tick, 0, 0)
            return
        found = replica.hash()
        report = encode_resync(replica.tick, expected, found, replica.digests())
        fits = len(report) <= self.message_bytes
        self.question = report if fits else encode_resync(replica.tick, expected, found)
