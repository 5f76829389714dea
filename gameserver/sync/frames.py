"""Frames: what one player is sent in one tick, joined from bytes that players share.

A `FrameBody` is everything but the 18 bytes that differ from player to player; one is made for each baseline in use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gameprotocol import _messages as messages
from gameprotocol import limits
from gameserver.sync.chunks import delta_chunk, full_chunk
from gameserver.world.publish import PublishedWorld

#: Baseline of a player who holds nothing.
NOTHING: Final = 0


class FrameBody:
    """The parts of a frame that players of one baseline share.

    Attributes:
        timed_head, untimed_head: WebSocket frame header and begin of the message, for a header with and without timing.
        rest: what comes behind the player's own part.
        message_bytes: length of the message with timing, without the WebSocket header.
    """

    __slots__ = ("message_bytes", "rest", "timed_head", "untimed_head")

    def __init__(self, prefix: bytes, rest: bytes, frame_header: Callable[[int], bytes]) -> None:
        shared = len(prefix) + len(rest)
        self.message_bytes = shared + messages.TIMED_BYTES
        self.timed_head = frame_header(self.message_bytes) + prefix
        self.untimed_head = frame_header(shared + messages.UNTIMED_BYTES) + prefix
        self.rest = rest


class FrameMaker:
    """Makes the bodies of one tick's frames, each at most once.

    Args:
        published: what players can know.
        hash_ticks: after how many ticks the desync hash is sent again, at least 1.
        frame_header: makes the WebSocket header for a message of so many bytes.
    """

    def __init__(self, published: PublishedWorld, hash_ticks: int, frame_header: Callable[[int], bytes]) -> None:
        self._published = published
        self._hash_ticks = hash_ticks
        self._frame_header = frame_header
        self._bodies: dict[int, FrameBody] = {}
        self._hash: int | None = None

    def begin_tick(self) -> None:
        """After each publish: forget the last tick's bodies."""
        self._bodies.clear()
        self._hash = None

    def body(self, baseline: int) -> FrameBody:
        """The shared part of the frame from ``baseline`` (or `NOTHING`) to the last published tick."""
        body = self._bodies.get(baseline)
        if body is None:
            body = self._bodies[baseline] = self._make(baseline)
        return body

    def _make(self, baseline: int) -> FrameBody:
        published = self._published
        tick = published.tick
        back = tick - baseline
        if baseline == NOTHING or back > limits.HISTORY_TICKS:
            back = 0
            chunks = [full_chunk(table) for table in published.tables]
        else:
            chunks = [delta_chunk(table, baseline, published.previous_tick) for table in published.tables]
        filled = [chunk for chunk in chunks if chunk is not None]
        prefix = messages.frame_prefix(tick, back, len(filled))
        return FrameBody(prefix, messages.frame_hash(self._hash_due(back)) + b"".join(filled), self._frame_header)

    def _hash_due(self, back: int) -> int | None:
        """The hash if this frame must carry one: each full frame does, and deltas to every ``hash_ticks``-th tick."""
        tick = self._published.tick
        if back and tick // self._hash_ticks == (tick - back) // self._hash_ticks:
            return None
        if self._hash is None:
            self._hash = self._published.hash()
        return self._hash
