"""The tick loop of one room: receive, step, publish, send. The only await is the sleep until the next deadline.

So nothing runs in the middle of a tick, and the same inputs at the same ticks give the same world.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import trio

from gameprotocol import CloseCode, Hello, Welcome
from gameprotocol._websocket import binary_frame
from gameserver.logs import log_event
from gameserver.net import Link, Poller
from gameserver.rooms.authentication import Identity
from gameserver.rooms.delivery import Delivery, flush_messages
from gameserver.rooms.player import Player
from gameserver.rooms.reception import Reception
from gameserver.rooms.resync import Resyncs
from gameserver.rooms.room import Ending, Room, input_codec
from gameserver.rooms.schedule import TickSchedule
from gameserver.sync.sight import Sight
from gameserver.watchdog import Watchdog
from gameserver.world.publish import PublishedWorld

_log = logging.getLogger("gameserver.rooms")

_MOST_PLAYERS: Final = 0xFFFF


class RoomLoop:
    """Runs one room.

    Args:
        room: the room; its ``on_create`` is called by `run`.
        phase: where in the period its ticks lie, 0 to 1.
        server_name: told to clients in the welcome.
        watchdog: is told when the room runs; None for none.

    Attributes:
        made_seconds: when it was made, as its directory's clock tells.
    """

    def __init__(self, room: Room, phase: float = 0.0, server_name: str = "", watchdog: Watchdog | None = None) -> None:
        self.room = room
        self.made_seconds = 0.0
        self._watchdog = watchdog
        self._drain: tuple[float, Callable[[], str]] | None = None  # until when to finish, and what to tell players
        self._draining = False
        self.schedule = TickSchedule(room.dt)
        self._phase = phase
        self._server_name = server_name
        self._poller: Poller[Player] | None = None  # a descriptor, so only rooms with players have one
        self._codec = input_codec(type(room))
        self._published = PublishedWorld(room.world)
        self._resyncs = Resyncs(room.rate)
        self._sight = Sight(self._published, room.world, room.view)
        self._delivery = Delivery(room, self._published, self._sight)
        self._reception = Reception(room, self._codec, self._resyncs, self._delivery.differing)
        self._schema_wire = room.schema().to_wire()
        self._seats: dict[Link, Player] = {}
        self._joining: list[tuple[Link, Hello, Identity | None]] = []
        self._next_number = 1
        self._wake = trio.Event()
        self._now = 0.0
        self._deadline = 0.0

    # -- for the directory

    @property
    def seats_taken(self) -> int:
        """Players in the room and on their way into it."""
        return len(self._seats) + len(self._joining)

    @property
    def is_full(self) -> bool:
        """Whether every seat is taken."""
        most = type(self.room).max_players
        return self.seats_taken >= (_MOST_PLAYERS if most is None else most)

    def admit(self, link: Link, hello: Hello, identity: Identity | None = None) -> None:
        """Let a player in at the next tick; from now on nobody else may read the link."""
        self._joining.append((link, hello, identity))
        self._wake.set()

    @property
    def is_ending(self) -> bool:
        """Whether the room has been closed, and takes nobody any more."""
        return self.room._ending is not None

    def drain(self, deadline: float, reason: Callable[[], str]) -> None:
        """Call the room's ``on_drain`` between two ticks; a room that pauses when empty ends when it is.

        Args:
            deadline: when the room will be ended if it has not ended by itself, in the seconds of trio's clock.
            reason: what to tell each player who is closed with 1012.
        """
        self._drain = deadline, reason
        self._wake.set()

    def end_soon(self, reason: Callable[[], str]) -> None:
        """End the room after its next tick; its players are told 1012 and ``reason``."""
        self.room._ending = Ending(CloseCode.RESTART, reason)
        self._wake.set()

    async def run(self) -> None:
        """Tick until the room is closed, or cancelled. When it was closed, `end_as_asked` is to follow.

        Raises:
            Exception: whatever the author's hooks raise; the room is then to be ended with `end`.

        Cancellation: ends between two ticks; players' connections are not touched.
        """
        room = self.room
        log_event(_log, logging.INFO, "room opens", room=f"{room.name}/{room.id}", seed=room.seed_used)
        self._watched(room.on_create)
        self.schedule.start(trio.current_time(), self._phase)
        while True:
            if self._drain is not None:
                self._watched(self._ask_to_finish)
            if room._ending is not None:
                return
            if self._paused:
                if self._draining:  # nobody is there and nobody comes, so the match that it waits for is over
                    room.close()
                    return
                self._close_poller()
                self._wake = trio.Event()  # the old one may have been set while the room ran
                await self._wake.wait()
                self.schedule.start(trio.current_time(), self._phase)
                continue
            await trio.sleep_until(self.schedule.deadline)
            self._watched(self.run_ticks, trio.current_time)

    def _watched(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do what runs the author's code, and have the watchdog know."""
        if self._watchdog is None:
            work(*arguments)
            return
        self._watchdog.begin(self.room)
        try:
            work(*arguments)
        finally:
            self._watchdog.end()

    def _ask_to_finish(self) -> None:
        if self._drain is not None:
            (deadline, reason), self._drain = self._drain, None
            self._draining = True
            self.room._restart_reason = reason
            self.room.on_drain(max(0.0, deadline - trio.current_time()))

    def run_ticks(self, clock: Callable[[], float]) -> None:
        """Everything that is due: one tick as a rule, a few steps before one publish when it is late."""
        stats, schedule = self.room.stats, self.schedule
        began = clock()
        stats.lateness.add(began - schedule.deadline)
        self._deadline = schedule.deadline - schedule.period
        for caught_up in range(schedule.due(began)):
            if caught_up:
                self._forget_timing()
            self._now = clock()
            self._deadline += schedule.period
            self.receive()
            step_began = clock()
            self.step()
            stats.step_time.add(clock() - step_began)
        stats.overruns, stats.dropped_ticks = schedule.overruns, schedule.dropped
        self.publish()
        self.send(clock())
        stats.tick_time.add(clock() - began)

    def _forget_timing(self) -> None:
        """Before a further step: how long inputs of the step before it will have waited is not known at the end."""
        for player in self._seats.values():
            player._client_time = None

    def flush_messages(self) -> None:
        """Send the messages that no frame will follow, when the server stops."""
        flush_messages(self._seats)

    def end_as_asked(self) -> None:
        """Close every player's connection as the room, or who ended it, wants it to be told."""
        ending = self.room._ending
        if ending is not None:
            self.end(*ending)

    def end(self, code: CloseCode, reason: str | Callable[[], str]) -> None:
        """Close every player's connection, after the messages that wait; what a room that ends does last.

        Args:
            reason: what to tell, or what makes it up for each player.
        """
        flush_messages(self._seats)
        for link in [*self._seats, *(link for link, _, _ in self._joining)]:
            link.close(code, reason() if callable(reason) else reason)
        self._seats.clear()
        self._joining.clear()
        self._close_poller()

    def free(self) -> None:
        """Let go of the poller's descriptor and of the world; for after the end."""
        self._close_poller()
        self.room.world.free()

    @property
    def _paused(self) -> bool:
        return not self._seats and not self._joining and type(self.room).pause_when_empty

    def _close_poller(self) -> None:
        if self._poller is not None:
            self._poller.close()
            self._poller = None

    # -- receive

    def receive(self) -> None:
        """Let joiners in, read every link that has something, let those go whose link has closed."""
        self.room.tick += 1
        self.room.world.begin_step(self.room.tick)
        if self._joining:
            self._let_in()
        if self._poller is None:
            return
        self._poller.note(self._reception.receive(self._poller.poll()))
        for link, player in self._poller.take_closed():
            self._let_go(link, player)
        self._resyncs.grant(self.room.tick)

    # -- players come and go

    def _let_in(self) -> None:
        if self._poller is None:
            self._poller = Poller()
        while self._joining:  # one by one: if a hook raises, `end` still finds the others
            link, hello, identity = self._joining.pop(0)
            if link.closed:
                continue
            room = self.room
            player = Player(self._take_number(), hello.name, hello.options, link, room, identity)
            player.max_rate = type(room).max_rate
            self._seats[link] = player
            self.room._players[player.number] = player
            self.room.stats.joins += 1
            self._poller.add(link, player)
            player._outbox.append(binary_frame(self._welcome(player).encode()))
            self.room.on_join(player)

    def _let_go(self, link: Link, player: Player) -> None:
        if self._poller is not None:
            self._poller.remove(link)
        del self._seats[link]
        self._resyncs.forget(player)
        self._sight.forget(player)
        stats = self.room.stats
        stats.leaves += 1
        stats.duplicate_inputs += player.inputs.duplicates
        stats.dropped_inputs += player.inputs.dropped + link.dropped_messages
        self.room.on_leave(player, link.close_reason or f"closed ({link.close_code})")
        del self.room._players[player.number]

    def _take_number(self) -> int:
        while self._next_number in self.room._players:
            self._next_number = self._next_number % _MOST_PLAYERS + 1
        number = self._next_number
        self._next_number = number % _MOST_PLAYERS + 1
        return number

    def _welcome(self, player: Player) -> Welcome:
        room = self.room
        return Welcome(
            room=room.name,
            room_id=room.id,
            player=player.number,
            tick=room.tick,
            tick_rate=room.rate,
            schema=self._schema_wire,
            server=self._server_name,
        )

    # -- step, publish, send

    def step(self) -> None:
        """Apply inputs and advance the author's game."""
        room = self.room
        room.world.fill_gaps()
        if self._codec is not None:
            room.inputs = self._inputs_of_this_tick(self._codec.neutral)
        room.step(room.dt)
        room.stats.ticks += 1

    def _inputs_of_this_tick(self, neutral: Callable[[], Any]) -> list[tuple[Player, Any]]:
        room_class, tick = type(self.room), self.room.tick
        most, missing = room_class.inputs_per_tick, room_class.missing_input
        taken: list[tuple[Player, Any]] = []
        for player in self._seats.values():
            queue = player.inputs
            values = queue.take(tick)
            if values is None:
                values = queue.fill(missing, neutral)
                if values is not None:
                    taken.append((player, values))
                continue
            taken.append((player, values))
            if most > 1 and queue.next is not None:
                taken += self._more_inputs(player, most - 1)
        return taken

    def _more_inputs(self, player: Player, most: int) -> list[tuple[Player, Any]]:
        taken: list[tuple[Player, Any]] = []
        while len(taken) < most and (values := player.inputs.take(self.room.tick)) is not None:
            taken.append((player, values))
        return taken

    def publish(self) -> None:
        """Find out what this tick changed."""
        self._published.publish(self.room.tick)

    def send(self, now: float) -> None:
        """One frame to every player; ``now`` in the seconds of the loop's clock."""
        self._delivery.send(self._seats, self._now, self._deadline, now)
