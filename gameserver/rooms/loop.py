"""The tick loop of one room: receive, step, publish, send. The only await is the sleep until the next deadline.

So nothing runs in the middle of a tick, and the same inputs at the same ticks give the same world. A room without a
tick rate sleeps until something comes; what comes is then a tick like any other.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import trio

from gameprotocol import CloseCode, Hello
from gameserver.logs import log_event
from gameserver.net import Link, Poller
from gameserver.rooms.arrivals import Arrival
from gameserver.rooms.authentication import Identity
from gameserver.rooms.declarations import input_codec, missing_input
from gameserver.rooms.delivery import HASH_SECONDS, Delivery, flush_messages
from gameserver.rooms.inputs import inputs_of_tick
from gameserver.rooms.player import Player
from gameserver.rooms.reception import Reception
from gameserver.rooms.resync import Resyncs
from gameserver.rooms.room import EVENT_RATE, Ending, Room
from gameserver.rooms.schedule import TickSchedule
from gameserver.rooms.seating import MakePoller, SeatHolder, Seating
from gameserver.rooms.seats import SeatTokens
from gameserver.rooms.work import Works
from gameserver.sync.sight import Sight
from gameserver.watchdog import Watchdog
from gameserver.world.publish import PublishedWorld, history_ticks

_log = logging.getLogger("gameserver.rooms")

_EVENT_SECONDS = 1.0 / EVENT_RATE


class RoomLoop:
    """Runs one room.

    Args:
        room: the room; its ``on_create`` is called by `run`.
        phase: where in the period its ticks lie, 0 to 1.
        server_name: told to clients in the welcome.
        watchdog: is told when the room runs; None for none.
        tokens: the seat tokens of the server; None for a room alone.
        spawn: starts the room's work in the background, as a nursery's ``start_soon``; None where there can be none.
        make_poller: makes what reads the links, given what to call when one has news.
        clock: seconds.
        hash_seconds: how often players are sent the desync hash.

    Attributes:
        made_seconds: when it was made.
        seating: who sits in it.
    """

    def __init__(
        self,
        room: Room,
        phase: float = 0.0,
        server_name: str = "",
        watchdog: Watchdog | None = None,
        *,
        tokens: SeatTokens[SeatHolder] | None = None,
        spawn: Callable[..., Any] | None = None,
        make_poller: MakePoller = Poller,
        clock: Callable[[], float] = trio.current_time,
        hash_seconds: float = HASH_SECONDS,
    ) -> None:
        self.room = room
        self.made_seconds = 0.0
        self._watchdog = watchdog
        self._clock = clock
        self._drain: tuple[float, Callable[[], str]] | None = None  # until when to finish, and what to tell players
        self._draining = False
        self.schedule = TickSchedule(room.dt)
        self._phase = phase
        self._codec = input_codec(type(room))
        self._missing = missing_input(type(room))
        self._published = PublishedWorld(room.world, history_ticks(type(room).allow_reconnection * room.rate))
        self._resyncs = Resyncs(room.rate)
        self._sight = Sight(self._published, room.world, room.view)
        self._delivery = Delivery(room, self._published, self._sight, hash_seconds)
        self._reception = Reception(room, self._codec, self._resyncs, self._delivery.differing)
        self.seating = Seating(
            room,
            self._delivery,
            self._sight,
            self._resyncs,
            tokens=tokens if tokens is not None else SeatTokens(),
            make_poller=make_poller,
            clock=clock,
            wake=self.wake,
            server_name=server_name,
        )
        room._look_up = self.wake
        room._game_time = self._game_time
        if spawn is not None:
            room._works = Works(spawn, self.wake)
        self._opened = False
        self._stands = True  # it is paused: game time stands still
        self._in_tick = False  # the same, of a room without a tick rate
        self._earliest = -math.inf  # when such a room may tick again
        self._awake = False
        self._sleeping: trio.CancelScope | None = None
        self._time_origin = 0.0  # of a room without a tick rate: when its game time was 0, less pauses
        self._now = 0.0
        self._deadline = 0.0

    # -- for the directory

    @property
    def seats_taken(self) -> int:
        """See `Seating`."""
        return self.seating.seats_taken

    @property
    def is_full(self) -> bool:
        """Whether every seat is taken."""
        return self.seating.is_full

    def admit(self, link: Link, hello: Hello, identity: Identity | None = None) -> None:
        """Let a player in at the next tick; from now on nobody else may read the link."""
        self.seating.admit(link, hello, identity)

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
        self.wake()

    def end_soon(self, reason: Callable[[], str]) -> None:
        """End the room after its next tick; its players are told 1012 and ``reason``."""
        self.room._ending = Ending(CloseCode.RESTART, reason)
        self.wake()

    def wake(self) -> None:
        """Something has come for a room that may sleep."""
        self._awake = True
        if self._sleeping is not None:
            self._sleeping.cancel()

    # -- running

    async def run(self) -> None:
        """Tick until the room is closed, or cancelled. When it was closed, `end_as_asked` is to follow.

        Raises:
            Exception: whatever the author's hooks raise; the room is then to be ended with `end`.

        Cancellation: ends between two ticks; players' connections are not touched.
        """
        while True:
            self._watched(self.advance)
            if self.is_ending:
                return
            if self._stands or self.room.is_event_driven:
                if self._earliest > self._clock():
                    await trio.sleep_until(self._earliest)
                await self._sleep()
            else:
                await trio.sleep_until(self.schedule.deadline)

    def advance(self) -> None:
        """Do what is due: one tick as a rule. Called at `next_seconds`, and after `wake`.

        Raises:
            Exception: whatever the author's hooks raise.
        """
        if not self._opened:
            self._open()
            return
        if not self.seating.has_joiners:  # who is on the way in shall be there when the room counts its players
            self._ask_to_finish()
        if self.is_ending:
            return
        if self._is_idle:
            self._stand_still()
            return
        if self._stands:
            self._go_on()
        if self.room.is_event_driven:
            if self.run_events(self._clock):
                self._earliest = self._now + _EVENT_SECONDS
        elif self._clock() >= self.schedule.deadline:
            self.run_ticks(self._clock)

    @property
    def next_seconds(self) -> float:
        """When `advance` is to be called: when something is due, but no sooner than the room may tick again."""
        is_told = self._drain is not None or self.is_ending
        return self.due_seconds if is_told else max(self._earliest, self.due_seconds)

    @property
    def due_seconds(self) -> float:
        """When `advance` has something to do, as far as it is known now; minus infinity for at once."""
        is_asked = self._drain is not None and not self.seating.has_joiners
        if not self._opened or self.is_ending or is_asked:
            return -math.inf
        if self._stands:
            until = math.inf if self._empty_until is None else self._empty_until
            return -math.inf if self._awake else min(self.seating.next_seconds, until)
        if self._is_idle:
            return -math.inf
        if self.room.is_event_driven:
            return -math.inf if self._awake else self._next_event_seconds
        return self.schedule.deadline

    def _open(self) -> None:
        room = self.room
        log_event(_log, logging.INFO, "room opens", room=f"{room.name}/{room.id}", seed=room.seed_used)
        room.on_create()
        room._note_metadata()
        self._opened = True
        self._go_on()

    def _go_on(self) -> None:
        """Game time goes on from here."""
        now = self._clock()
        self.schedule.start(now, self._phase)
        self._time_origin = now - self.room._time
        self._stands = self._awake = False

    def _stand_still(self) -> None:
        """Nobody is here: pause until somebody comes, or end when it is time to."""
        self._awake = False
        if self._ends_empty():
            self.room.close("nobody is here")
        elif not self._stands:
            self._stands = True
            self.room._time = self._game_time()
            self.seating.close_poller()

    def _game_time(self) -> float:
        """The time of a room without a tick rate, between two ticks too."""
        if self._stands or self._in_tick:
            return self.room._time
        return max(self.room._time, self._clock() - self._time_origin)

    @property
    def _is_idle(self) -> bool:
        """Whether the room has nobody and nothing to go on for."""
        works = self.room._works
        is_idle = self.seating.is_empty and (works is None or not works.pending)
        return is_idle and type(self.room).pause_when_empty

    def _ends_empty(self) -> bool:
        """Whether a room that pauses has nothing to wait for any more."""
        if self._draining:  # nobody is there and nobody comes, so the match that it waits for is over
            return True
        until = self._empty_until
        return until is not None and self._clock() >= until and not self.seating.seats_taken

    @property
    def _empty_until(self) -> float | None:
        """When an empty room ends; None when nobody was ever in it, or it waits for ever."""
        patience, emptied = type(self.room).close_when_empty, self.seating.emptied_seconds
        return None if patience is None or emptied is None else emptied + patience

    async def _sleep(self) -> None:
        """Sleep until something happens, or there is something to do although nothing does."""
        seconds = self.due_seconds
        if self._awake or seconds <= self._clock():
            await trio.lowlevel.checkpoint()
            return
        poller = self.seating.poller
        with trio.CancelScope(deadline=seconds) as self._sleeping:
            if poller is not None:
                await trio.lowlevel.wait_readable(poller.fileno())
            else:
                await trio.sleep_forever()
        self._sleeping = None

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
            self.room.on_drain(max(0.0, deadline - self._clock()))
            self.room.wake()  # what it has sent or changed must not wait

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
        for player in self.seating.connected.values():
            player._client_time = None

    # -- without a tick rate

    def run_events(self, clock: Callable[[], float]) -> bool:
        """One tick with all that has come; none when it was only acknowledgements, which would go on for ever.

        Returns:
            Whether there was one.
        """
        stats = self.room.stats
        self._now = began = clock()
        self._awake = False
        arrivals = self._read_links()
        if not self._has_event(arrivals, began):
            self._reception.receive(arrivals)
            self._resyncs.grant(self.room._periods)
            self._delivery.send_again(self.seating.connected, clock())
            return False
        self._deadline = began
        self.room._wanted = False
        self.room._time, before = began - self._time_origin, self.room._time
        self._in_tick = True
        self.receive(arrivals)
        step_began = clock()
        self.step(self.room._time - before)
        stats.step_time.add(clock() - step_began)
        self._in_tick = False
        self.publish()
        self.send(clock())
        stats.tick_time.add(clock() - began)
        if any(player.inputs.next is not None for player in self.room._players.values()):
            self.wake()  # more than one came at once
        return True

    def _read_links(self) -> list[tuple[Any, Player]]:
        poller = self.seating.poller
        if poller is None:
            return []
        return [(Arrival(link), player) for link, player in poller.poll()]

    def _has_event(self, arrivals: list[tuple[Any, Player]], now: float) -> bool:
        """Whether something has come that a tick is for."""
        room = self.room
        return (
            self._next_tick_seconds <= now
            or self.seating.has_leavers
            or (room._works is not None and room._works.has_results)
            or room._wanted
            or any(player.inputs.next is not None for player in room._players.values())
            or any(not arrival.is_quiet for arrival, _ in arrivals)
        )

    @property
    def _next_tick_seconds(self) -> float:
        """When there is a tick although nothing comes; minus infinity for now."""
        if not self.room.tick or self.seating.has_joiners:  # who came while it stood still has woken it already
            return -math.inf
        due = self.room._timers.next_due()
        return min(math.inf if due is None else self._time_origin + due, self.seating.next_seconds)

    @property
    def _next_event_seconds(self) -> float:
        """When there is something to do although nothing comes."""
        resync = self._resyncs.next_due
        if resync is None:
            return self._next_tick_seconds
        # A little later than its period begins, so that it has begun whatever rounding says.
        return min(self._next_tick_seconds, self._time_origin + (resync + 0.01) * _EVENT_SECONDS)

    # -- at the end

    def flush_messages(self) -> None:
        """Send the messages that no frame will follow, when the server stops."""
        flush_messages(self.seating.everyone, self.room.tick)

    async def finish_work(self) -> None:
        """Let what the room does in the background come to its end; for a room that ended by itself."""
        if self.room._works is not None:
            await self.room._works.finish()

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
        self.flush_messages()
        self.seating.end(code, reason)

    def free(self) -> None:
        """Let go of the poller's descriptor, of work under way and of the world; for after the end."""
        self.seating.close_poller()
        self.room._timers.clear()
        if self.room._works is not None:
            self.room._works.cancel()
        self.room._detach()
        self.room.world.free()

    # -- receive

    def receive(self, arrivals: list[tuple[Any, Player]] | None = None) -> None:
        """Let joiners in, read every link that has something, let those go whose link has closed.

        Args:
            arrivals: what was read already, in a room without a tick rate.
        """
        seating = self.seating
        self.room.tick += 1
        self.room.world.begin_step(self.room.tick)
        if seating.has_joiners:
            seating.let_in()
        if arrivals is not None:
            self._reception.receive(arrivals)
        elif seating.poller is not None:
            seating.poller.note(self._reception.receive(seating.poller.poll()))
        seating.take_leave()
        if seating.keeps_seats:
            seating.expire()
        self._resyncs.grant(self.room._periods)

    # -- step, publish, send

    def step(self, dt: float | None = None) -> None:
        """Call back for work that is done and timers that are due, apply inputs and advance the author's game.

        Args:
            dt: seconds of game time since the last step, in a room without a tick rate.
        """
        room = self.room
        room.world.fill_gaps()
        if self._codec is not None:
            most = type(room).inputs_per_tick
            room.inputs = inputs_of_tick(room._players.values(), room.tick, most, self._missing, self._codec.neutral)
        if room._works is not None and room._works.has_results:
            room._works.deliver()
        for call in room._timers.due(room.time):
            call()
        room.step(room.dt if dt is None else dt)
        room.stats.ticks += 1

    def publish(self) -> None:
        """Find out what this tick changed."""
        if self.room.metadata is not None:
            self.room._note_metadata()
        self._published.publish(self.room.tick)

    def send(self, now: float) -> None:
        """One frame to every player; ``now`` in the seconds of the loop's clock."""
        seating = self.seating
        self._delivery.send(
            seating.connected, self._now, self._deadline, now, delayed=seating.delayed, held=seating.held
        )
