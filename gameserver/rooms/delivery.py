"""Delivery: one frame to every player of a room, behind the messages of the tick. The last quarter of a tick."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gameprotocol import CloseCode, limits
from gameprotocol import _messages as messages
from gameprotocol._websocket import frame_header
from gameserver.net import Link
from gameserver.rooms.player import Player
from gameserver.rooms.room import Room
from gameserver.sync.budget import BudgetedHolding
from gameserver.sync.frames import FrameBody, FrameMaker
from gameserver.sync.groups import HashedFrame, Holding
from gameserver.sync.pacing import MOST_TICKS, SAMPLE_TICKS, SLOW
from gameserver.sync.rates import Cap
from gameserver.sync.sight import Sight
from gameserver.world.publish import PublishedWorld

#: How often the desync hash is sent, in seconds; a divergence is then seen within one of them.
HASH_SECONDS: Final = 1.0
#: While some players are sent nothing, it is looked up this often, in ticks, which ids nobody holds any more.
KNOWN_TICKS: Final = 8
#: For so many ticks after a player was sent nothing, past integers are kept for those who fall behind.
REMEMBER_TICKS: Final = 64
#: For so many ticks it is known which of them were sent.
_COUNTED_TICKS: Final = 256
#: So many of the last frames are known with what each player held after them, where players come back: more than are on
#: their way on a link that keeps up.
_RECENT_FRAMES: Final = 32


class HeldView(NamedTuple):
    """Which rows a player held after one frame, as far as not all hold the same."""

    holding: Holding | None
    own_holding: Holding | None
    choice: BudgetedHolding | None


class _SentFrames:
    """What one tick's frames were made of, to look up what a player held then.

    Args:
        players, bodies: of the tick, side by side.
    """

    __slots__ = ("_bodies", "_places", "_players", "tick")

    def __init__(self, tick: int, players: list[Player], bodies: list[FrameBody]) -> None:
        self.tick = tick
        self._players = players
        self._bodies = bodies
        self._places: dict[Player, int] | None = None  # made when it is asked for: few ticks are

    def view_of(self, player: Player) -> HeldView | None:
        """What a player held after its frame; None when it was made none."""
        if self._places is None:
            self._places = {each: at for at, each in enumerate(self._players)}
        at = self._places.get(player)
        if at is None:
            return None
        body = self._bodies[at]
        return HeldView(body.holding, body.own_holding, body.choice)


class Delivery:
    """Sends a room's players what the published world has become since what each of them holds.

    Args:
        room: the room.
        published: its published world.
        sight: what of it each player sees.
        hash_seconds: how often they are sent the desync hash.
    """

    def __init__(self, room: Room, published: PublishedWorld, sight: Sight, hash_seconds: float = HASH_SECONDS) -> None:
        self._room = room
        self._published = published
        self._sight = sight
        self.unconfirmed: Mapping[Player, int] = {}
        self._remember_until = 0
        self._sent_ticks = 0
        # By tick, of the last ones: which of the sent ticks it was. None while each tick was sent, as in most rooms.
        self._sent_counts: list[int] | None = None
        hash_ticks = 1 if room.is_event_driven else max(1, round(hash_seconds * room.rate))
        self._frames = FrameMaker(published, sight, hash_ticks, frame_header)
        self._recent: deque[_SentFrames] | None = None
        rate = type(room).max_rate
        holdings_differ = not sight.is_same_for_all or (rate is not None and rate.bytes is not None)
        if type(room).allow_reconnection and holdings_differ:
            self._recent = deque(maxlen=_RECENT_FRAMES)

    def send(
        self,
        seats: Mapping[Link, Player],
        received: float,
        deadline: float,
        now: float,
        *,
        delayed: Mapping[Link, Player] = MappingProxyType({}),
        held: Collection[Player] = (),
    ) -> None:
        """One frame to every player whose link can take it; the others get a delta from their own baseline later.

        Args:
            seats: players by link.
            received: when this tick's inputs were read, in seconds.
            deadline: when the tick was due.
            now: the present time.
            delayed: spectators who are sent the frame some ticks later.
            held: players whose connection is lost.
        """
        self._frames.begin_tick()
        self._count_sent(self._published.tick)
        for player in held:
            if player._outbox:
                player._take_outbox(self._published.tick)
        self._send_now(seats, received, deadline, now, held)
        if delayed:
            self._send_delayed(delayed)

    def send_again(self, seats: Mapping[Link, Player], now: float) -> None:
        """Offer the last published tick to those who were not sent it, in a room where no next one may come."""
        behind = {link: player for link, player in seats.items() if player._baseline != self._published.tick}
        if behind:
            links, players = self._choose(behind)
            if players:
                self._write(links, players, self._frames.bodies(players), 0, now, now)

    def _send_now(
        self, seats: Mapping[Link, Player], received: float, deadline: float, now: float, held: Collection[Player]
    ) -> None:
        links, players = self._choose(seats)
        skipped = len(seats) - len(players)
        if players:
            bodies = self._frames.bodies(players)
            waited_us = min(int((now - received) * 1e6), messages.U32)
            skipped += self._write(links, players, bodies, waited_us, received, deadline)
        self._room.stats.frames_skipped += skipped
        if skipped:
            self._remember_until = self._published.tick + REMEMBER_TICKS
        self._published.remembers = self._published.tick < self._remember_until
        self._note_known_tick(seats, skipped, held)

    def _send_delayed(self, delayed: Mapping[Link, Player]) -> None:
        """Make the frames of spectators who see the past, and send them those that are old enough by now."""
        tick = self._published.tick
        players = list(delayed.values())
        for (link, player), body in zip(delayed.items(), self._frames.bodies(players), strict=True):
            waiting = player._delayed
            assert waiting is not None
            own = messages.frame_untimed(0, player._window)
            waiting.push(tick, player._take_outbox(tick), body.untimed_head, own, body.rest)
            player._baseline = tick
            player._holding, player._own_holding = body.holding, body.own_holding
            data = waiting.due(tick)
            if data and link.write(data):
                waiting.sent(tick)
                self._room.stats.frame_bytes += len(data)
                self._room.stats.frames += 1
            elif waiting.is_late(tick):
                link.close(CloseCode.TOO_SLOW, "the connection is too slow to watch")

    # -- players who come back

    def views_of(self, player: Player) -> dict[int, HeldView]:
        """What a player held after each of those of its last frames that its client may have applied last, by tick."""
        oldest = max(player.acknowledged_tick, player._joined_tick)
        views = {tick: view for tick, view in player._last_views.items() if tick >= oldest}
        for sent in self._recent or ():
            view = sent.view_of(player) if sent.tick >= oldest else None
            if view is not None:
                views[sent.tick] = view
        return views

    def resume(self, player: Player, tick: int) -> None:
        """Let the next frame be a delta from ``tick``, the last that the player's client has applied, if that can be.

        If not, the next frame is a full one.
        """
        held = player._held
        player._forget_baseline()
        player._held_tick = 0 if held is None else held.oldest_tick
        if held is None or not held.oldest_tick <= tick <= self._published.tick:
            return
        player._held_tick = tick
        if self._published.tick - tick > self._published.history_ticks or not tick:
            return
        has_budget = player._cap is not None and player._cap.allowance is not None
        if self._recent is not None or has_budget:
            view = held.views.get(tick)
            if view is None or has_budget != (view.choice is not None):  # too long ago, or its cap came or went later
                return
            if not has_budget and view.holding is None and not self._sight.is_same_for_all:
                return
            player._holding, player._own_holding, player._choice = view
        player._baseline = tick

    def _choose(self, seats: Mapping[Link, Player]) -> tuple[list[Link], list[Player]]:
        """Who is sent a frame now. The others get the messages that wait for them, and no more."""
        tick = self._published.tick
        links, players = [], []
        for link, player in seats.items():
            lag = tick - player.acknowledged_tick
            if (
                link.blocked
                or (player._cap is not None and not self._cap_admits(player, player._cap, tick))
                or (lag > player._limit and not self._admits(player, tick))
            ):
                self._skip(link, player, tick)
                continue
            if (
                not (tick + player.number) % SAMPLE_TICKS
                and player.acknowledged_tick > player._joined_tick
                and player._cap is None
            ):
                player._pace.sample(tick, lag)
                self._note_pace(player)
            links.append(link)
            players.append(player)
        return links, players

    def _admits(self, player: Player, tick: int) -> bool:
        """Whether a player may be sent a frame whose acknowledgement lags or whose link is slow.

        For the pace only ticks count that were sent: when the server is late it runs some and sends one frame, and a
        client can acknowledge no more than that.
        """
        pace, count = player._pace, self._sent_before
        admitted = pace.admits(count(tick), count(player.acknowledged_tick), self._count_of_last(player))
        self._note_pace(player)
        return admitted

    def _cap_admits(self, player: Player, cap: Cap, tick: int) -> bool:
        """Whether a player's cap on frames and bytes lets one go.

        Between two frames nothing is acknowledged, so the round trip is measured when an acknowledgement has come.
        """
        if player.acknowledged_tick != cap.acknowledged:
            cap.acknowledged = player.acknowledged_tick
            player._pace.sample(tick, tick - player.acknowledged_tick)
            self._note_pace(player)
        return cap.admits(tick)

    def _count_of_last(self, player: Player) -> int:
        last = player._baseline or player._held_tick
        return self._sent_before(last) if last else 0

    def _sent_before(self, tick: int) -> int:
        """How many ticks had been sent when ``tick`` was; for one long ago, about as many."""
        counts, newest = self._sent_counts, self._published.tick
        if counts is None:
            return tick
        if tick > newest - _COUNTED_TICKS:
            return counts[tick % _COUNTED_TICKS]
        return counts[newest % _COUNTED_TICKS] - (newest - tick)

    def _count_sent(self, tick: int) -> None:
        self._sent_ticks += 1
        if self._sent_counts is None:
            if self._sent_ticks == tick:
                return
            self._sent_counts = [0] * _COUNTED_TICKS
            for before in range(max(0, tick - _COUNTED_TICKS), tick):
                self._sent_counts[before % _COUNTED_TICKS] = min(before, self._sent_ticks - 1)
        self._sent_counts[tick % _COUNTED_TICKS] = self._sent_ticks

    def _note_pace(self, player: Player) -> None:
        pace, cap = player._pace, player._cap
        # With a cap on frames the acknowledged tick lags up to one spacing more, though nothing is late.
        more = 0 if cap is None or pace.limit == SLOW else math.ceil(cap.spacing) - 1
        player._limit, player._window = pace.limit + more, min(pace.window + more, MOST_TICKS)

    def _skip(self, link: Link, player: Player, tick: int) -> None:
        player.frames_skipped += 1
        if player._watched:
            self._sight.look(player)
        if self._recent is not None and not player._last_views:
            silent_ticks = tick - player._baseline
            if _RECENT_FRAMES // 2 <= silent_ticks < _RECENT_FRAMES and player._log is not None:
                player._last_views = self.views_of(player)  # its connection may be dead, which is told much later
        # At the next frame nobody knows how long the input has waited.
        player._client_time = None
        if player._outbox:
            link.send_frames(player._take_outbox(tick))
        if player._baseline and tick - player._baseline > limits.HISTORY_TICKS:
            player._held_tick = player._baseline
            player._forget_baseline()  # it keeps what many players held at that tick from being freed

    def _write(
        self,
        links: list[Link],
        players: list[Player],
        bodies: list[FrameBody],
        waited_us: int,
        received: float,
        deadline: float,
    ) -> int:
        """Write each player's frame; how many could not be written."""
        tick, previous_tick = self._published.tick, self._published.previous_tick
        margin_now_ms = _milliseconds(deadline - received)
        timed, untimed = messages.frame_timed, messages.frame_untimed
        frames_sent = bytes_sent = 0
        if self._recent is not None:
            self._recent.append(_SentFrames(tick, players, bodies))
        for link, player, body in zip(links, players, bodies, strict=True):
            client_time = player._client_time
            sequence = player.inputs.applied_sequence
            if client_time is None:
                data = body.untimed_head + untimed(sequence, player._window) + body.rest
            else:
                meant_for = player._meant_for
                margin_ms = margin_now_ms if not meant_for else self._margin_ms(meant_for, received, deadline)
                own = timed(sequence, margin_ms, client_time, waited_us, player._window)
                data = body.timed_head + own + body.rest
                player._client_time = None
            if link.write(data) if not player._outbox else _write_after_messages(link, player, data, tick):
                if player._baseline != previous_tick:
                    self._note_merged(player, tick)
                player._baseline = tick
                if body.holding is not None:
                    player._holding, player._own_holding = body.holding, body.own_holding
                if player._cap is not None:
                    player._cap.spend(tick, len(data))
                    player._choice = body.choice
                if body.has_hash:
                    player._hashed = HashedFrame(tick, body.holding, body.own_holding, body.choice)
                frames_sent += 1
                bytes_sent += len(data)
            else:
                player.frames_skipped += 1
        self._room.stats.frames += frames_sent
        self._room.stats.frame_bytes += bytes_sent
        return len(players) - frames_sent

    def _note_merged(self, player: Player, tick: int) -> None:
        """A frame was written that is not from the tick before: count the ticks that it spans besides its own."""
        merged = tick - (player._baseline or player._held_tick or tick - 1) - 1
        player._held_tick = 0
        player._last_views = {}
        player.coalesced_ticks += merged
        self._room.stats.coalesced_ticks += merged

    def differing(self, player: Player, tick: int, digests: Sequence[NDArray[np.uint32]]) -> dict[str, list[int]]:
        """In which rows a player's client may differ from what it was sent, by the name of the entity type.

        Args:
            tick: of the frame whose hash the client missed. digests: of what it held then, by table.
        """
        tables = self._published.tables
        found = self._frames.records.differing(self._sight, player, tick, digests)
        return {tables[index].name: ids.tolist() for index, ids in found.items()}

    def _margin_ms(self, meant_for: int, received: float, deadline: float) -> int:
        """How long before the tick it was meant for an input was read; no more is known than that."""
        return _milliseconds(deadline + (meant_for - self._room.tick) * self._room.dt - received)

    def _note_known_tick(self, seats: Mapping[Link, Player], skipped: int, held: Collection[Player]) -> None:
        """Tell the world which freed ids no player holds any more.

        Whoever may come back may hold what it acknowledged last, however much was written to its link since.
        """
        known = tick = self._published.tick
        if skipped or held or type(self._room).allow_reconnection:
            if tick % KNOWN_TICKS:
                return  # what was known then still holds
            ticks = [
                player.acknowledged_tick if player._log is not None else player._baseline or player._held_tick
                for player in seats.values()
                if player not in self.unconfirmed
            ]
            ticks += [player._held.oldest_tick for player in held if player._held is not None]
            ticks += self.unconfirmed.values()
            known = min((held_tick for held_tick in ticks if held_tick), default=known)
            known = max(known, tick - limits.LONGEST_REST_TICKS)
        self._room.world.note_known_tick(known)


def flush_messages(seats: Mapping[Link, Player], tick: int) -> None:
    """Send the messages that no frame will follow: the room is about to end."""
    for link, player in seats.items():
        if player._delayed is not None:
            link.send_frames(player._delayed.all())
        if player._outbox:
            link.send_frames(player._take_outbox(tick))


def _write_after_messages(link: Link, player: Player, frame: bytes, tick: int) -> bool:
    """The player's messages and the frame in one write, or the messages alone: they are never dropped."""
    first = player._take_outbox(tick)
    if link.write(first + frame):
        return True
    link.send_frames(first)
    return False


def _milliseconds(seconds: float) -> int:
    return max(-32768, min(32767, int(seconds * 1000.0)))
