"""Seating: who sits in a room, who is on the way in, whose seat is held or reserved, and who only watches.

A player's seat outlives its connection where the room allows it. While the connection is lost the seat is *held*; a
token that only its player has gives it a new connection. The order of an author's hooks is decided here alone::

    on_join, (on_drop, on_return)*, on_leave            of a player
    on_spectator_join, on_spectator_leave               of a spectator
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from gameprotocol import CloseCode, Hello, Returned, Welcome
from gameprotocol._websocket import binary_frame
from gameprotocol.closing import reason_with_reconnect
from gameserver.logs import log_event
from gameserver.net import VANISHED, Link, Poller
from gameserver.rooms.authentication import Identity
from gameserver.rooms.delay import DelayedFrames
from gameserver.rooms.delivery import Delivery
from gameserver.rooms.player import HeldSeat, Player
from gameserver.rooms.resync import Resyncs
from gameserver.rooms.room import Room
from gameserver.rooms.seats import SEAT_IS_GONE, SeatTokens
from gameserver.sync.sight import Sight

#: Makes what reads the links of a room, given what to call when one has news that its socket does not show.
MakePoller: TypeAlias = Callable[[Callable[[], None]], Poller["Player"]]

_log = logging.getLogger("gameserver.rooms")

MOST_PLAYERS: Final = 0xFFFF
#: When to come back to a server without descriptors.
_FULL_SECONDS: Final = 5.0
#: We close with these where the connection is at fault and not the peer.
_LOST: Final = frozenset((VANISHED, CloseCode.TOO_SLOW, CloseCode.SEAT_TAKEN))


@dataclass(slots=True, eq=False)
class Reservation:
    """A seat that somebody is about to take.

    Attributes:
        hello: what the player said when it was reserved. identity: who it is.
        until_seconds: when it lapses.
    """

    hello: Hello
    identity: Identity | None
    until_seconds: float


class SeatHolder(NamedTuple):
    """What a token gives: a seat in a room, taken already or still to be."""

    seating: Seating
    seat: Player | Reservation


class _Joiner(NamedTuple):
    """Somebody who comes in at the next tick; ``player`` for one who comes back."""

    link: Link
    hello: Hello
    identity: Identity | None
    player: Player | None


class Seating:
    """The seats of one room.

    Args:
        room: the room.
        delivery, sight, resyncs: what keeps something for each player.
        tokens: the seat tokens of the server.
        make_poller: makes what reads the links, when the first one comes.
        clock: seconds.
        wake: is called when somebody wants to come in.
        server_name: told to clients in the welcome.

    Attributes:
        room: as given.
        connected: players and spectators by link, as far as they are sent each frame at once.
        delayed: spectators who see the past.
        held: players whose connection is lost, in the order of losing it.
        poller: reads the links; None while there are none, for it has a descriptor.
        changed: is called when the number of free seats may have changed.
    """

    def __init__(
        self,
        room: Room,
        delivery: Delivery,
        sight: Sight,
        resyncs: Resyncs,
        *,
        tokens: SeatTokens[SeatHolder],
        make_poller: MakePoller,
        clock: Callable[[], float],
        wake: Callable[[], None],
        server_name: str,
    ) -> None:
        self.room = room
        self._delivery = delivery
        self._sight = sight
        self._resyncs = resyncs
        self._tokens = tokens
        self._make_poller = make_poller
        self._clock = clock
        self._wake = wake
        self._server_name = server_name
        self._schema_wire = room._schema_wire()
        self.connected: dict[Link, Player] = {}
        self.delayed: dict[Link, Player] = {}
        self.held: dict[Player, None] = {}
        self.poller: Poller[Player] | None = None
        self.changed: Callable[[], None] = _nothing
        self._emptied_seconds: float | None = None
        self._joining: list[_Joiner] = []
        self._reserved: dict[str, Reservation] = {}
        # Those who may have been told a new token in vain, and the oldest tick that their clients may hold then.
        self._unconfirmed: dict[Player, int] = {}
        delivery.unconfirmed = self._unconfirmed
        self._next_number = 1

    # -- for the directory, at any time

    @property
    def seats_taken(self) -> int:
        """Players in the room, those whose seat is held or reserved, and those on their way in."""
        self._lapse()
        joining = sum(joiner.player is None and not joiner.hello.spectate for joiner in self._joining)
        return len(self.room._players) + joining + len(self._reserved)

    @property
    def is_full(self) -> bool:
        """Whether every seat is taken."""
        most = type(self.room).max_players
        return self.seats_taken >= (MOST_PLAYERS if most is None else most)

    @property
    def takes_spectators(self) -> bool:
        """Whether one more may watch."""
        most = type(self.room).max_spectators
        joining = sum(joiner.hello.spectate for joiner in self._joining)
        return len(self.room._spectators) + joining < (MOST_PLAYERS if most is None else most)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is here and nobody comes; a reserved seat is nobody's yet."""
        return not (self.connected or self.delayed or self.held or self._joining)

    @property
    def keeps_seats(self) -> bool:
        """Whether a seat is held or reserved."""
        return bool(self.held) or bool(self._reserved)

    @property
    def emptied_seconds(self) -> float | None:
        """When the last one left, or the last reserved seat lapsed; None before, and while somebody is here."""
        self._lapse()
        return self._emptied_seconds

    @property
    def next_seconds(self) -> float:
        """When the next held or reserved seat lapses; infinity when there is none."""
        self._lapse()  # whoever sleeps until then would otherwise be woken by what is over already, again and again
        held = (player._held.until_seconds for player in self.held if player._held is not None)
        reserved = (reservation.until_seconds for reservation in self._reserved.values())
        return min(*held, *reserved, math.inf, math.inf)

    def admit(self, link: Link, hello: Hello, identity: Identity | None = None) -> None:
        """Let somebody in at the next tick; from now on nobody else may read the link."""
        self._joining.append(_Joiner(link, hello, identity, None))
        self._emptied_seconds = None
        self._wake()
        self.changed()

    def reserve(self, hello: Hello, identity: Identity | None, seconds: float) -> str:
        """Keep a seat for somebody who is not there yet; the token that gives it."""
        reservation = Reservation(hello, identity, self._clock() + seconds)
        token = self._tokens.issue(SeatHolder(self, reservation))
        self._reserved[token] = reservation
        self._emptied_seconds = None
        self._wake()  # it may be paused, and has to look when this lapses
        self.changed()
        return token

    def take(self, link: Link, hello: Hello, seat: Player | Reservation) -> bool:
        """Somebody has shown the token of a seat; it comes in at the next tick. False when the seat is gone."""
        assert hello.seat is not None
        self._lapse()
        if isinstance(seat, Player):
            self._confirm(seat)  # a room without a tick rate may not have done so yet
            if self.room._players.get(seat.number) is not seat or hello.seat not in (seat._token, seat._used_token):
                return False
            self._joining.append(_Joiner(link, hello, None, seat))
            self._wake()
            return True
        if self._reserved.pop(hello.seat, None) is None:
            return False
        self._tokens.revoke(hello.seat)
        said, options = seat.hello, {**hello.options, **seat.hello.options}
        self.admit(link, Hello(name=hello.name or said.name, options=options, client=hello.client), seat.identity)
        return True

    def _lapse(self) -> None:
        """Give back the seats whose reservations are over."""
        if not self._reserved:
            return
        now = self._clock()
        for token in [token for token, each in self._reserved.items() if each.until_seconds <= now]:
            self._tokens.revoke(token)
            del self._reserved[token]
            self._note_empty()
            self.changed()

    # -- in a tick

    def let_in(self) -> None:
        """Let those in who wait for it."""
        while self._joining:  # one by one: if a hook raises, `end` still finds the others
            joiner = self._joining.pop(0)
            if joiner.link.closed:
                self._note_empty()
                self.changed()
                continue
            if not self._can_read():
                joiner.link.close(CloseCode.TRY_LATER, reason_with_reconnect("the server is full", _FULL_SECONDS))
                self._note_empty()
                continue
            if joiner.player is None:
                self._join(joiner)
            elif self.room._players.get(joiner.player.number) is joiner.player:
                self._give_back(joiner.link, joiner.hello, joiner.player)
            else:
                joiner.link.close(CloseCode.SEAT_GONE, SEAT_IS_GONE)

    @property
    def has_joiners(self) -> bool:
        """Whether `let_in` would do something."""
        return bool(self._joining)

    @property
    def has_leavers(self) -> bool:
        """Whether `take_leave` would do something."""
        return self.poller is not None and self.poller.has_closed

    def _join(self, joiner: _Joiner) -> None:
        link, hello, room = joiner.link, joiner.hello, self.room
        player = Player(
            self._take_number(), hello.name, hello.options, link, room, joiner.identity, is_spectator=hello.spectate
        )
        player.max_rate = type(room).max_rate
        if player.is_spectator and room._delay_ticks:
            player.max_rate = None
            player._delayed = DelayedFrames(room._delay_ticks)
            self.delayed[link] = player
        else:
            self.connected[link] = player
        (room._spectators if player.is_spectator else room._players)[player.number] = player
        room.stats.joins += not player.is_spectator
        self._watch(link, player)
        if player._log is not None:
            player._token = self._tokens.issue(SeatHolder(self, player))
        welcome = binary_frame(self._welcome(player).encode())
        if player._delayed is not None:
            link.send_frames(welcome)  # what comes behind it is delayed
        else:
            player._outbox.append(welcome)
            player._unlogged = 1
        if player.is_spectator:
            room.on_spectator_join(player)
            self.changed()
        else:
            room.on_join(player)

    def _give_back(self, link: Link, hello: Hello, player: Player) -> None:
        """A player has come back to its seat."""
        room = self.room
        if player._held is None:  # its old connection is still open, or died without a word
            old = player._link
            if player._sent_away or (old.closed and not _is_lost(old)):  # it left: `take_leave` would have seen it next
                self._disconnect(old, player)
                self._leave(player, player._sent_away or _reason(old))
                link.close(CloseCode.SEAT_GONE, SEAT_IS_GONE)
                return
            old.close(CloseCode.SEAT_TAKEN, "another connection has come back to this seat")
            self._drop(old, player)
            if player._held is None:  # `on_drop` has let it go
                link.close(CloseCode.SEAT_GONE, SEAT_IS_GONE)
                return
        missed = player._log.missed(hello.messages) if player._log is not None else None
        if missed is None:
            link.close(CloseCode.SEAT_GONE, "too much was missed: join anew")
            self._leave(player, "missed too many messages")
            return
        oldest_tick = player._held.oldest_tick
        self._delivery.resume(player, hello.tick)
        player._held = None
        self.held.pop(player, None)
        player._link = link
        player._start_anew(room._make_pace(), room.tick, hello.tick)
        player._pace.restart()  # nothing is on its way on this connection, whatever the client holds
        player._client_time = None
        self.connected[link] = player
        self._watch(link, player)
        self._rotate(player, hello, oldest_tick)
        player._outbox[:] = [binary_frame(self._returned(player).encode()), *missed, *player._outbox]
        player._unlogged = 1 + len(missed)
        room.stats.returns += 1
        room.on_return(player)

    def _rotate(self, player: Player, hello: Hello, oldest_tick: int) -> None:
        """A new token. The one that was shown counts until the client has answered: this answer may be lost."""
        if player._used_token and player._used_token != hello.seat:
            self._tokens.revoke(player._used_token)
        if player._token != hello.seat:  # the answer before was lost, and with it the token in it
            self._tokens.revoke(player._token)
        player._used_token = hello.seat or ""
        player._token = self._tokens.issue(SeatHolder(self, player))
        self._unconfirmed[player] = oldest_tick

    def _confirm(self, player: Player) -> None:
        """Whoever has applied a frame on its new connection has the new token too; the old one is used up."""
        if player in self._unconfirmed and player.acknowledged_tick >= player._joined_tick:
            self._tokens.revoke(player._used_token)
            player._used_token = ""
            del self._unconfirmed[player]

    def take_leave(self) -> None:
        """Drop those whose connection is lost, let those go who left."""
        for player in [*self._unconfirmed]:
            self._confirm(player)
        if self.poller is None:
            return
        for link, player in self.poller.take_closed():
            if player._link is not link:
                continue  # it has come back already
            if player.allow_reconnection and player._log is not None and not player._sent_away and _is_lost(link):
                self._drop(link, player)
            else:
                self._disconnect(link, player)
                self._leave(player, player._sent_away or _reason(link))

    def expire(self) -> None:
        """Let those go whose seat was held long enough, or who can't be given all that they missed."""
        now = self._clock()
        self._lapse()
        for player in [*self.held]:
            held, log = player._held, player._log
            assert held is not None
            if held.until_seconds <= now:
                self._leave(player, held.reason)
            elif log is not None and log.overflowed:
                self._leave(player, "missed too many messages")

    def _drop(self, link: Link, player: Player) -> None:
        views = self._delivery.views_of(player)
        self._disconnect(link, player)
        now, reason = self._clock(), _reason(link)
        player._take_outbox(self.room.tick)
        oldest_tick = self._unconfirmed.get(player, player.acknowledged_tick)
        player._held = HeldSeat(math.inf, reason, oldest_tick, views)
        self.held[player] = None
        self.room.stats.drops += 1
        self.room.on_drop(player, reason)
        if player._held.until_seconds == math.inf:  # unless the author has kicked it
            player._held.until_seconds = now + player.allow_reconnection
        if not player._held.until_seconds > now:
            self._leave(player, player._held.reason)
        self.changed()

    def _disconnect(self, link: Link, player: Player) -> None:
        """Have nothing to do with a connection any more."""
        if self.poller is not None:
            self.poller.remove(link)
        self.connected.pop(link, None)
        self.delayed.pop(link, None)
        if self.poller is not None and not len(self.poller):
            self.close_poller()  # its descriptor: thousands of rooms may have nothing but held seats
        self._resyncs.forget(player)
        self.room.stats.dropped_inputs += link.dropped_messages

    def _leave(self, player: Player, reason: str) -> None:
        """A player, or a spectator, is gone for good."""
        room, stats = self.room, self.room.stats
        self.held.pop(player, None)
        self._unconfirmed.pop(player, None)
        player._held = None
        self._tokens.revoke(player._token)
        self._tokens.revoke(player._used_token)
        self._sight.forget(player)
        stats.duplicate_inputs += player.inputs.duplicates
        stats.dropped_inputs += player.inputs.dropped
        if player.is_spectator:
            room.on_spectator_leave(player, reason)
            del room._spectators[player.number]
        else:
            stats.leaves += 1
            room.on_leave(player, reason)
            del room._players[player.number]
        self._note_empty()
        self.changed()

    def _note_empty(self) -> None:
        if self.is_empty and not self._reserved and self._emptied_seconds is None:
            self._emptied_seconds = self._clock()

    def _can_read(self) -> bool:
        """Have a poller; False when the process has no descriptor left for one, which must not end the room."""
        if self.poller is None:
            try:
                self.poller = self._make_poller(self._wake)
            except OSError as error:
                log_event(_log, logging.ERROR, "no descriptor left for a room's players", reason=error.strerror)
                return False
        return True

    def _watch(self, link: Link, player: Player) -> None:
        if self.poller is None:  # it went with the connection that this one replaces, and so did its descriptor
            self.poller = self._make_poller(self._wake)
        self.poller.add(link, player)

    def _take_number(self) -> int:
        room = self.room
        while self._next_number in room._players or self._next_number in room._spectators:
            self._next_number = self._next_number % MOST_PLAYERS + 1
        number = self._next_number
        self._next_number = number % MOST_PLAYERS + 1
        return number

    def _welcome(self, player: Player) -> Welcome:
        room = self.room
        return Welcome(
            room=room.name,
            room_id=room.id,
            player=player.number,
            tick=room.tick,
            tick_rate=0.0 if room.is_event_driven else room.rate,
            schema=self._schema_wire,
            server=self._server_name,
            seat=player._token or None,
            seat_seconds=player.allow_reconnection if player._token else 0.0,
            spectator=player.is_spectator,
            delay_seconds=room._delay_ticks / room.rate if player._delayed is not None else 0.0,
        )

    def _returned(self, player: Player) -> Returned:
        return Returned(
            player=player.number,
            tick=self.room.tick,
            seat=player._token,
            seat_seconds=player.allow_reconnection,
            inputs=player.inputs.received_sequence,
            messages=player._messages_received,
        )

    # -- at the end

    @property
    def everyone(self) -> Mapping[Link, Player]:
        """All who have a connection."""
        return {**self.connected, **self.delayed}

    def end(self, code: CloseCode, reason: str | Callable[[], str]) -> None:
        """Close every connection; no hook is called."""
        for link in [*self.connected, *self.delayed, *(joiner.link for joiner in self._joining)]:
            link.close(code, reason() if callable(reason) else reason)
        self.connected.clear()
        self.delayed.clear()
        self.held.clear()
        self._unconfirmed.clear()
        self._joining.clear()
        self.close_poller()
        for player in self.room._players.values():
            self._tokens.revoke(player._token)
            self._tokens.revoke(player._used_token)
        for token in self._reserved:
            self._tokens.revoke(token)
        self._reserved.clear()

    def close_poller(self) -> None:
        """Let go of the poller's descriptor."""
        if self.poller is not None:
            self.poller.close()
            self.poller = None


def _is_lost(link: Link) -> bool:
    """Whether a connection ended by accident: nobody wanted to leave, and the peer did nothing wrong."""
    if link.close_code in _LOST:
        return True
    return link.ended_by_peer and link.close_code != CloseCode.NORMAL


def _reason(link: Link) -> str:
    return link.close_reason or f"closed ({link.close_code})"


def _nothing(*_: Any) -> None:
    pass
