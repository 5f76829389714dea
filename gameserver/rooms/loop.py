"""The tick loop of one room: receive, step, publish, send. The only await is the sleep until the next deadline.

So nothing runs in the middle of a tick, and the same inputs at the same ticks give the same world.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import trio

from gameprotocol import CloseCode, Hello, Kind, ProtocolError, Welcome, limits, unpack_from_client
from gameprotocol import _messages as messages
from gameprotocol._websocket import binary_frame, frame_header
from gameserver.net import Link, Poller
from gameserver.rooms.player import Player
from gameserver.rooms.room import Room, input_codec
from gameserver.rooms.schedule import TickSchedule
from gameserver.sync.frames import NOTHING, FrameBody, FrameMaker
from gameserver.world.publish import PublishedWorld

_log = logging.getLogger("gameserver.rooms")

#: How often the desync hash is sent, in seconds; a divergence is then seen within one of them.
HASH_SECONDS: Final = 1.0
#: How soon after one full frame a player is given the next one that it asks for, in seconds.
RESYNC_SECONDS: Final = 1.0
_MOST_PLAYERS: Final = 0xFFFF


class RoomLoop:
    """Runs one room.

    Args:
        room: the room; its ``on_create`` is called by `run`.
        phase: where in the period its ticks lie, 0 to 1.
        server_name: told to clients in the welcome.
    """

    def __init__(self, room: Room, phase: float = 0.0, server_name: str = "") -> None:
        self.room = room
        self.schedule = TickSchedule(room.dt)
        self._phase = phase
        self._server_name = server_name
        self._poller: Poller | None = None  # a descriptor, so only rooms with players have one
        self._codec = input_codec(type(room))
        self._published = PublishedWorld(room.world)
        self._frames = FrameMaker(self._published, max(1, round(HASH_SECONDS * room.rate)), frame_header)
        self._schema_wire = room.schema().to_wire()
        self._seats: dict[Link, Player] = {}
        self._joining: list[tuple[Link, Hello]] = []
        self._resyncs: dict[Player, int] = {}
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

    def admit(self, link: Link, hello: Hello) -> None:
        """Let a player in at the next tick; from now on nobody else may read the link."""
        self._joining.append((link, hello))
        self._wake.set()

    async def run(self) -> None:
        """Tick until cancelled.

        Raises:
            Exception: whatever the author's hooks raise; the room is then to be ended with `fail`.

        Cancellation: ends between two ticks; players' connections are not touched.
        """
        room = self.room
        _log.info("= room %s/%s opens, seed %d", room.name, room.id, room.seed_used)
        room.on_create()
        self.schedule.start(trio.current_time(), self._phase)
        while True:
            if self._paused:
                self._close_poller()
                self._wake = trio.Event()  # the old one may have been set while the room ran
                await self._wake.wait()
                self.schedule.start(trio.current_time(), self._phase)
            await trio.sleep_until(self.schedule.deadline)
            self.run_ticks(trio.current_time)

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
            self.step()
        stats.overruns, stats.dropped_ticks = schedule.overruns, schedule.dropped
        stats.step_time.add(clock() - self._now)
        self.publish()
        self.send(clock)
        stats.tick_time.add(clock() - began)

    def _forget_timing(self) -> None:
        """Before a further step: what an input that was read before an earlier one has waited, is not known at the end."""
        for player in self._seats.values():
            player._client_time = None

    def fail(self, code: CloseCode, reason: str) -> None:
        """Close every player's connection; what a room that ends does last."""
        for link in [*self._seats, *(link for link, _ in self._joining)]:
            link.close(code, reason)
        self._seats.clear()
        self._joining.clear()
        self._close_poller()

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
        seats, with_news = self._seats, 0
        for link in self._poller.poll():
            player = seats[link]
            payloads = link.receive()
            with_news += bool(payloads)
            for payload in payloads:
                try:
                    if len(payload) > 1 and payload[1] == Kind.INPUT and payload[0] >> 4 == 9:
                        self._take_input(player, payload)
                    else:
                        self._take_other(player, payload)
                except ProtocolError as error:
                    self.room.stats.bad_inputs += error.code == CloseCode.BAD_INPUT
                    link.close(error.code, error.reason)
                    break
            if link.closed:
                self._let_go(link, player)
        if self._poller is not None:
            self._poller.note(with_news)
        if self._resyncs:
            self._grant_resyncs()

    def _take_input(self, player: Player, payload: bytes) -> None:
        codec = self._codec
        if codec is None:
            raise ProtocolError(CloseCode.BAD_INPUT, f"{self.room.name} takes no inputs")
        message = codec.decode(payload)
        if player.inputs.push(message):
            header = message.header
            player._client_time = header.client_time
            player._meant_for = header.tick
            if player.acknowledged_tick < header.acknowledged <= self.room.tick:
                player.acknowledged_tick = header.acknowledged
            self.room.stats.inputs += 1

    def _take_other(self, player: Player, payload: bytes) -> None:
        items = unpack_from_client(payload)
        if not isinstance(items, list) or not items or type(items[0]) is not int:
            raise ProtocolError(CloseCode.UNDECODABLE, "a message is an array that begins with its kind")
        kind = items[0]
        try:
            if kind == Kind.INPUT:  # written wider than usual
                self._take_input(player, payload)
            elif kind == Kind.MESSAGE:
                self._take_message(player, items)
            elif kind == Kind.ACKNOWLEDGE:
                self._take_acknowledge(player, *messages.read_numbers(items, 2))
            elif kind == Kind.RESYNC:
                self._take_resync(player, items)
            elif kind == Kind.HELLO:
                raise ProtocolError(CloseCode.PROTOCOL_ERROR, "a second hello")
        except IndexError:
            raise ProtocolError(CloseCode.UNDECODABLE, f"a message of kind {kind} is too short") from None

    def _take_message(self, player: Player, items: list[Any]) -> None:
        name, payload = items[1], items[2]
        if not isinstance(name, str) or len(name.encode()) > limits.MESSAGE_NAME_BYTES:
            raise ProtocolError(CloseCode.UNDECODABLE, "a message's name is short text")
        self.room.stats.messages += 1
        self.room.on_message(player, name, payload)

    def _take_resync(self, player: Player, items: list[Any]) -> None:
        tick, expected, found = messages.read_numbers(items, 3)
        self.room.stats.resyncs += 1
        if player in self._resyncs:
            return
        where = f"{self.room.name}/{self.room.id}"
        _log.warning("! %s: %r at tick %d has hash %d, not %d", where, player, tick, found, expected)
        due = self._resyncs[player] = max(self.room.tick, player._resync_tick)
        # Never longer than ids stay unused: the player drops deltas while it waits.
        player._resync_tick = due + min(round(RESYNC_SECONDS * self.room.rate), limits.HISTORY_TICKS // 2)

    def _grant_resyncs(self) -> None:
        """Full frames cost a hundred times what asking for them does, so they are given at a limited rate."""
        for player, due in [*self._resyncs.items()]:
            if due <= self.room.tick:
                player._baseline = NOTHING
                del self._resyncs[player]

    def _take_acknowledge(self, player: Player, acknowledged: int, client_time: int) -> None:
        player._client_time, player._meant_for = client_time, 0
        if player.acknowledged_tick < acknowledged <= self.room.tick:
            player.acknowledged_tick = acknowledged

    def _margin_ms(self, meant_for: int) -> int:
        """How long before its deadline an input came that was read in this tick; the kernel does not tell more exactly."""
        ahead = meant_for - self.room.tick if meant_for else 0
        margin = (self._deadline + ahead * self.schedule.period - self._now) * 1000.0
        return max(-32768, min(32767, int(margin)))

    # -- players come and go

    def _let_in(self) -> None:
        joining, self._joining = self._joining, []
        if self._poller is None:
            self._poller = Poller()
        for link, hello in joining:
            if link.closed:
                continue
            player = Player(self._take_number(), hello.name, hello.options, link)
            self._seats[link] = player
            self.room._players[player.number] = player
            self.room.stats.joins += 1
            self._poller.add(link)
            player._outbox.append(binary_frame(self._welcome(player).encode()))
            self.room.on_join(player)

    def _let_go(self, link: Link, player: Player) -> None:
        if self._poller is not None:
            self._poller.remove(link)
        del self._seats[link]
        self._resyncs.pop(player, None)
        stats = self.room.stats
        stats.leaves += 1
        stats.duplicate_inputs += player.inputs.duplicates
        stats.dropped_inputs += player.inputs.dropped
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
            if most > 1:
                taken += self._more_inputs(player, most - 1)
        return taken

    def _more_inputs(self, player: Player, most: int) -> list[tuple[Player, Any]]:
        taken: list[tuple[Player, Any]] = []
        while len(taken) < most and len(player.inputs):
            values = player.inputs.take(self.room.tick)
            if values is None:
                break
            taken.append((player, values))
        return taken

    def publish(self) -> None:
        """Find out what this tick changed."""
        self._published.publish(self.room.tick)
        self._frames.begin_tick()

    def send(self, clock: Callable[[], float]) -> None:
        """One frame to every player whose link can take it; the others get a delta from their own baseline later."""
        frames, tick = self._frames, self.room.tick
        waited_us = min(int((clock() - self._now) * 1e6), messages.U32)
        margin_now_ms = self._margin_ms(0)
        timed, untimed = messages.frame_timed, messages.frame_untimed
        baseline: int = NOTHING
        body: FrameBody | None = None
        sent_frames = sent_bytes = 0
        for link, player in self._seats.items():
            if body is None or player._baseline != baseline:
                baseline = player._baseline
                body = frames.body(baseline)
            client_time = player._client_time
            if client_time is None:
                data = body.untimed_head + untimed(player.inputs.applied_sequence) + body.rest
            else:
                meant_for = player._meant_for
                margin_ms = self._margin_ms(meant_for) if meant_for else margin_now_ms
                own = timed(player.inputs.applied_sequence, margin_ms, client_time, waited_us)
                data = body.timed_head + own + body.rest
            if player._outbox:
                messages_first = b"".join(player._outbox)
                player._outbox.clear()
                written = link.write(messages_first + data)
                if not written:
                    link.send_frames(messages_first)
            else:
                written = link.write(data)
            if written:
                player._baseline = player._written_tick = tick
                player._client_time = None
                player.frames_sent += 1
                sent_frames += 1
                sent_bytes += len(data)
            else:
                player.frames_skipped += 1
                player._client_time = None  # at the next frame nobody knows any more how long it has waited
        self._note_known_tick(skipped=len(self._seats) - sent_frames)
        stats = self.room.stats
        stats.frames += sent_frames
        stats.frame_bytes += sent_bytes
        stats.frames_skipped += len(self._seats) - sent_frames

    def _note_known_tick(self, skipped: int) -> None:
        """Tell the world which freed ids no player holds any more."""
        known = self._published.tick
        if skipped:
            written = [player._written_tick for player in self._seats.values()]
            known = min((tick for tick in written if tick), default=known)
        self.room.world.note_known_tick(known)
