"""Delivery: one frame to every player of a room, behind the messages of the tick. The last quarter of a tick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gameprotocol import _messages as messages
from gameprotocol._websocket import frame_header
from gameserver.net import Link
from gameserver.rooms.player import Player
from gameserver.rooms.room import Room
from gameserver.sync.frames import NOTHING, FrameBody, FrameMaker
from gameserver.world.publish import PublishedWorld

#: How often the desync hash is sent, in seconds; a divergence is then seen within one of them.
HASH_SECONDS: Final = 1.0


class Delivery:
    """Sends a room's players what the published world has become since what each of them holds.

    Args:
        room: the room.
        published: its published world.
    """

    def __init__(self, room: Room, published: PublishedWorld) -> None:
        self._room = room
        self._published = published
        self._frames = FrameMaker(published, max(1, round(HASH_SECONDS * room.rate)), frame_header)

    def send(self, seats: Mapping[Link, Player], received: float, deadline: float, now: float) -> None:
        """One frame to every player whose link can take it; the others get a delta from their own baseline later.

        Args:
            seats: players by link.
            received: when this tick's inputs were read, in seconds.
            deadline: when the tick was due.
            now: the present time.
        """
        frames, tick = self._frames, self._published.tick
        frames.begin_tick()
        waited_us = min(int((now - received) * 1e6), messages.U32)
        margin_now_ms = _milliseconds(deadline - received)
        timed, untimed = messages.frame_timed, messages.frame_untimed
        baseline: int = NOTHING
        body: FrameBody | None = None
        frames_sent = bytes_sent = 0
        for link, player in seats.items():
            if body is None or player._baseline != baseline:
                baseline = player._baseline
                body = frames.body(baseline)
            client_time = player._client_time
            if client_time is None:
                data = body.untimed_head + untimed(player.inputs.applied_sequence, 0) + body.rest
            else:
                meant_for = player._meant_for
                margin_ms = margin_now_ms if not meant_for else self._margin_ms(meant_for, received, deadline)
                own = timed(player.inputs.applied_sequence, margin_ms, client_time, waited_us, 0)
                data = body.timed_head + own + body.rest
                # Also when the frame cannot go: at the next one nobody knows how long the input has waited.
                player._client_time = None
            if link.write(data) if not player._outbox else _write_after_messages(link, player, data):
                player._baseline = tick
                frames_sent += 1
                bytes_sent += len(data)
            else:
                player.frames_skipped += 1
        self._count(frames_sent, bytes_sent, len(seats) - frames_sent)
        self._note_known_tick(seats, len(seats) - frames_sent)

    def _margin_ms(self, meant_for: int, received: float, deadline: float) -> int:
        """How long before the tick it was meant for an input was read; no more is known than that."""
        return _milliseconds(deadline + (meant_for - self._room.tick) * self._room.dt - received)

    def _count(self, sent: int, sent_bytes: int, skipped: int) -> None:
        stats = self._room.stats
        stats.frames += sent
        stats.frame_bytes += sent_bytes
        stats.frames_skipped += skipped

    def _note_known_tick(self, seats: Mapping[Link, Player], skipped: int) -> None:
        """Tell the world which freed ids no player holds any more."""
        known = self._published.tick
        if skipped:
            held = [player._baseline or player._held_tick for player in seats.values()]
            known = min((tick for tick in held if tick), default=known)
        self._room.world.note_known_tick(known)


def flush_messages(seats: Mapping[Link, Player]) -> None:
    """Send the messages that no frame will follow: the room is about to end."""
    for link, player in seats.items():
        if player._outbox:
            link.send_frames(b"".join(player._outbox))
            player._outbox.clear()


def _write_after_messages(link: Link, player: Player, frame: bytes) -> bool:
    """The player's messages and the frame in one write, or the messages alone: they are never dropped."""
    first = b"".join(player._outbox)
    player._outbox.clear()
    if link.write(first + frame):
        return True
    link.send_frames(first)
    return False


def _milliseconds(seconds: float) -> int:
    return max(-32768, min(32767, int(seconds * 1000.0)))
