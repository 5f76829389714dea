"""A room's loop: what happens in which order, what a slow link gets, and when nothing happens at all."""

from __future__ import annotations

from typing import Annotated, Any

import msgpack
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gameprotocol import CloseCode, Hello, limits
from gameserver import Entity, Input, Meta, Player, Room, State, fixed, serve, uint
from gameserver.rooms.loop import RoomLoop
from gameserver.rooms.schedule import CATCH_UP_TICKS
from tests.support.fake_links import FakeLink, HandTickedRoom


class Ship(Entity):
    x = fixed(0, 1000, step=1)


class Clock(State):
    ticks = uint(32)


class Move(Input):
    dx: Annotated[int, Meta(ge=-9, le=9)] = 0


class Diary(Room):
    """Writes down everything that happens to it."""

    tick_rate = 10
    entities = (Ship,)
    state = Clock
    input = Move
    seed = 1

    close_when_empty = None

    def on_create(self) -> None:
        self.log: list[tuple[Any, ...]] = [("create", self.tick)]

    def on_join(self, player: Player) -> None:
        player.data = self.world.spawn(Ship, owner=player)
        self.log.append(("join", self.tick, player.name))
        player.send("hello", player.number)
        self.broadcast("joined", player.name, besides=player)

    def on_leave(self, player: Player, reason: str) -> None:
        self.world.despawn(player.data)
        self.log.append(("leave", self.tick, player.name, reason))
        self.broadcast("left", player.name)

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        self.log.append(("message", self.tick, player.name, kind, payload))
        if kind == "kick":
            player.send("why", payload)
            player.kick(payload)
        elif kind == "echo":
            player.send(kind, payload)

    def step(self, dt: float) -> None:
        assert dt == self.dt
        assert self.world[Ship].alive.all()
        self.state.ticks = self.tick
        self.log.append(("step", self.tick, [(player.name, move.dx) for player, move in self.inputs]))
        for player, move in self.inputs:
            player.data.x += move.dx

    def on_close(self) -> None:
        self.log.append(("close", self.tick))

    def of(self, what: str) -> list[tuple[Any, ...]]:
        return [entry[1:] for entry in self.log if entry[0] == what]


@pytest.fixture
def diary() -> Any:
    with HandTickedRoom(Diary()) as room:
        yield room


def kinds(link: FakeLink) -> list[Any]:
    """What a link was sent, in short: kinds of its own messages by name, frames by their tick."""
    return [
        {2: "welcome", 3: lambda m: m[1][0], 5: lambda m: m[1]}[m[0]] if m[0] == 2 else (m[1][0] if m[0] == 3 else m[1])
        for m in link.sent
    ]


# ---- joining and leaving


def test_joins_and_leaves_happen_inside_ticks(diary: HandTickedRoom) -> None:
    ada, bo = diary.join("Ada"), diary.join("Bo")
    assert diary.loop.seats_taken == 2
    assert diary.room.player_count == 0
    diary.tick()
    bo.close(1000, "bye")
    assert diary.room.player_count == 2
    diary.tick()
    ada.close(1006)
    diary.tick()
    assert diary.room.log == [
        ("create", 0),
        ("join", 1, "Ada"),
        ("join", 1, "Bo"),
        ("step", 1, [("Ada", 0), ("Bo", 0)]),
        ("leave", 2, "Bo", "bye"),
        ("step", 2, [("Ada", 0)]),
        ("leave", 3, "Ada", "closed (1006)"),
        ("step", 3, []),
    ]
    assert diary.loop.seats_taken == len(diary.room.world[Ship]) == 0


def test_the_welcome_comes_first_then_messages_then_the_frame_of_the_tick(diary: HandTickedRoom) -> None:
    ada = diary.join("Ada")
    diary.tick()
    bo = diary.join("Bo")
    diary.tick()
    ada.say("echo", 1)
    bo.close(1000)
    diary.tick()
    assert kinds(ada) == ["welcome", "hello", 1, "joined", 2, "left", "echo", 3] or kinds(ada) == [
        *("welcome", "hello", 1, "joined", 2, "echo", "left", 3)
    ]
    assert kinds(bo) == ["welcome", "hello", 2]
    welcome = ada.sent[0][1]
    assert (welcome["player"], welcome["tick"], welcome["tick_rate"], welcome["room"]) == (1, 1, 10.0, "diary")


def test_a_link_that_closed_on_its_way_in_never_joins(diary: HandTickedRoom) -> None:
    ada, bo = diary.join("Ada"), diary.join("Bo")
    ada.close(1006)
    diary.tick()
    assert diary.room.of("join") == [(1, "Bo")]
    assert ada.sent == []
    assert kinds(bo)[0] == "welcome"


def test_a_kicked_player_gets_what_was_sent_before_and_leaves_at_the_next_tick(diary: HandTickedRoom) -> None:
    ada, bo = diary.join("Ada"), diary.join("Bo")
    diary.tick()
    ada.say("kick", "for a reason")
    ada.say("echo", "ignored?")
    diary.ticks(2)
    assert (ada.close_code, ada.close_reason) == (CloseCode.POLICY, "for a reason")
    assert ada.sent[-1] == [5, "why", "for a reason"]
    assert [entry[1:] for entry in diary.room.of("leave")] == [("Ada", "for a reason")]
    assert not bo.closed
    assert kinds(bo)[-1] == 3


def test_numbers_of_players_are_not_used_twice_at_once(diary: HandTickedRoom) -> None:
    links = [diary.join(str(i)) for i in range(3)]
    diary.tick()
    links[1].close(1000)
    diary.tick()
    late = diary.join("late")
    diary.tick()
    assert [player.number for player in diary.room.players] == [1, 3, 4]
    diary.loop.seating._next_number = 0xFFFF
    diary.join("last")
    diary.join("wrapped")
    diary.tick()
    assert [player.number for player in diary.room.players] == [1, 3, 4, 0xFFFF, 2]
    assert diary.room.player(4) is diary.player(late)
    assert diary.room.player(77) is None


def test_an_owner_reads_as_the_player_and_travels_as_its_number(diary: HandTickedRoom) -> None:
    ada, bo = diary.join("Ada"), diary.join("Bo")
    diary.tick()
    ship = diary.player(bo).data
    assert ship.owner is diary.player(bo)
    assert [row.owner for row in diary.replica(ada)[Ship]] == [1, 2]
    assert [row.mine for row in diary.replica(bo)[Ship]] == [False, True]


# ---- inputs


@pytest.mark.parametrize(
    ("missing", "applied"),
    [
        ("repeat", [0, 3, 3, -2, -2]),
        ("neutral", [0, 3, 0, -2, 0]),
        ("skip", [None, 3, None, -2, None]),
    ],
)
def test_what_a_player_does_without_an_input(missing: str, applied: list[int | None]) -> None:
    with HandTickedRoom(type("Some", (Diary,), {"missing_input": missing})()) as room:
        ada = room.join("Ada")
        room.tick()
        ada.input(1, 3)
        room.ticks(2)
        ada.input(2, -2)
        room.ticks(2)
        assert [dict(done).get("Ada") for _, done in room.room.of("step")] == applied
        assert [frame[1][2] for frame in ada.frames()] == [0, 1, 1, 2, 2]
        assert room.player(ada).inputs.missed == 2


@pytest.mark.parametrize(
    ("per_tick", "applied"),
    [(1, [[1], [2], [3], [4], [5]]), (2, [[1, 2], [3, 4], [5], [5]]), (9, [[1, 2, 3, 4, 5], [5]])],
)
def test_inputs_per_tick(per_tick: int, applied: list[list[int]]) -> None:
    with HandTickedRoom(type("Some", (Diary,), {"inputs_per_tick": per_tick})()) as room:
        ada = room.join("Ada")
        room.tick()
        for sequence in range(1, 6):
            ada.input(sequence, sequence)
        ada.input(2, 9)
        room.ticks(len(applied))
        assert [[dx for _, dx in done] for _, done in room.room.of("step")[1:]] == applied
        assert room.player(ada).inputs.missed == sum(done == [5] for done in applied[1:]) - (per_tick == 1) - (
            per_tick == 2
        )
        assert room.room.stats.inputs == 5


def test_an_input_waits_for_the_tick_it_is_meant_for(diary: HandTickedRoom) -> None:
    ada = diary.join("Ada")
    diary.tick()
    ada.input(1, 5, tick=4)
    diary.ticks(4)
    assert [done for _, done in diary.room.of("step")] == [[("Ada", dx)] for dx in (0, 0, 0, 5, 5)]


def test_inputs_of_one_read_are_applied_in_order_one_a_tick(diary: HandTickedRoom) -> None:
    ada = diary.join("Ada")
    diary.tick()
    for sequence in range(1, limits.INPUT_QUEUE_ITEMS + 3):
        ada.input(sequence, sequence % 10)
    diary.ticks(limits.INPUT_QUEUE_ITEMS + 1)
    assert [frame[1][2] for frame in ada.frames()] == [0, *range(3, limits.INPUT_QUEUE_ITEMS + 3), 10]
    ada.close(1000)
    diary.tick()
    assert diary.room.stats.dropped_inputs == 2


def test_a_game_that_writes_to_a_default_input_spoils_it_for_nobody() -> None:
    class Spoiling(Diary):
        def step(self, dt: float) -> None:
            super().step(dt)
            for _, move in self.inputs:
                move.dx = 9

    with HandTickedRoom(Spoiling()) as room:
        room.join("Ada")
        room.join("Bo")
        room.ticks(3)
        assert [done for _, done in room.room.of("step")] == [[("Ada", 0), ("Bo", 0)]] * 3


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (msgpack.packb([4, [1], [10]]), 4006, "Move.dx"),
        (msgpack.packb([4, [1], ["a"]]), 4006, "Move.dx"),
        (msgpack.packb([4, [0], [1]]), 4006, "Move"),
        (b"\x93\x04\x91\x01", 1007, "msgpack"),
        (b"\xc1", 1007, "msgpack"),
        (msgpack.packb([1, {}]), 1002, "hello"),
        (msgpack.packb([5, "x" * 65, 1]), 1007, "name"),
        (msgpack.packb([5, "x"]), 1007, "message"),
        (msgpack.packb([5, 1, 1]), 1007, "name"),
        (msgpack.packb([6, -1, 0]), 1007, ""),
        (msgpack.packb([6, 1]), 1007, ""),
        (msgpack.packb([]), 1007, "array"),
        (msgpack.packb({"a": 1}), 1007, "array"),
        (msgpack.packb(["4"]), 1007, "array"),
    ],
)
def test_a_bad_message_costs_its_sender_alone(diary: HandTickedRoom, message: bytes, code: int, text: str) -> None:
    ada, bo = diary.join("Ada"), diary.join("Bo")
    diary.tick()
    ada.bring(message)
    ada.say("echo", "too late")
    bo.input(1, 2)
    diary.ticks(2)
    assert ada.close_code == code
    assert text in ada.close_reason
    assert not bo.closed
    assert bo.frames()[-1][1][:3] == [3, 1, 1]
    assert diary.room.of("message") == []
    assert [name for _, name, _ in diary.room.of("leave")] == ["Ada"]
    assert diary.room.stats.bad_inputs == (code == 4006)


# ---- frames


def test_a_link_that_cannot_take_frames_gets_one_delta_when_it_can(diary: HandTickedRoom) -> None:
    ada, bo = diary.join("Ada"), diary.join("Bo")
    diary.ticks(3)
    ada.full = True
    for sequence in range(1, 8):
        bo.input(sequence, 1)
        diary.tick()
    ada.full = False
    diary.ticks(2)
    assert [(frame[1][0], frame[1][1]) for frame in ada.frames()] == [(1, 0), (2, 1), (3, 1), (11, 8), (12, 1)]
    assert [row.x for row in diary.replica(ada)[Ship]] == [row.x for row in diary.replica(bo)[Ship]] == [0.0, 9.0]
    assert diary.room.stats.frames_skipped == 7
    assert diary.player(ada).frames_skipped == 7


def test_messages_are_not_dropped_when_frames_are(diary: HandTickedRoom) -> None:
    ada = diary.join("Ada")
    diary.tick()
    ada.full = True
    for number in range(3):
        ada.say("echo", number)
        diary.tick()
    ada.full = False
    diary.tick()
    assert kinds(ada) == ["welcome", "hello", 1, "echo", "echo", "echo", 5]
    assert [message[2] for message in ada.late] == [0, 1, 2]


def test_a_link_that_lags_beyond_the_history_gets_a_full_frame(diary: HandTickedRoom) -> None:
    ada, _ = diary.join("Ada"), diary.join("Bo")
    diary.tick()
    ada.full = True
    diary.ticks(limits.HISTORY_TICKS + 5)
    ada.full = False
    diary.tick()
    assert ada.frames()[-1][1][1] == 0
    assert len(diary.replica(ada)[Ship]) == 2


def test_ids_are_not_used_again_while_a_slow_link_may_hold_them(diary: HandTickedRoom) -> None:
    ada, bo, cy = (diary.join(name) for name in ("Ada", "Bo", "Cy"))
    diary.tick()
    ada.full = True
    bo.close(1000)  # its ship was 2
    diary.ticks(3 * limits.HISTORY_TICKS)
    dan = diary.join("Dan")
    diary.tick()
    assert diary.player(dan).data.id == 4
    ada.full = False
    diary.tick()
    eve = diary.join("Eve")
    diary.tick()
    assert diary.player(eve).data.id == 2
    assert {row.id for row in diary.replica(ada)[Ship]} == {row.id for row in diary.replica(cy)[Ship]} == {1, 2, 3, 4}


def test_a_full_frame_is_given_to_who_asks_at_a_limited_rate(diary: HandTickedRoom) -> None:
    ada = diary.join("Ada")
    diary.ticks(3)
    for _ in range(25):
        ada.bring(msgpack.packb([7, 1, 2, 3]))
        diary.tick()
    full = [frame[1][0] for frame in ada.frames() if not frame[1][1]]
    assert full == [1, 4, 14, 24]
    assert diary.room.stats.resyncs == 25


# ---- time


def test_a_late_tick_is_caught_up_within_bounds_and_the_rest_is_counted(diary: HandTickedRoom) -> None:
    ada = diary.join("Ada")
    diary.tick()
    diary.tick(late=0.25)  # two more are due
    assert [tick for tick, _ in diary.room.of("step")] == [1, 2, 3, 4]
    assert [frame[1][:2] for frame in ada.frames()] == [[1, 0], [4, 3]]
    stats = diary.room.stats
    assert (stats.ticks, stats.overruns, stats.dropped_ticks) == (4, 1, 0)
    diary.tick()
    diary.tick(late=1.05)
    assert (stats.ticks, stats.overruns, stats.dropped_ticks) == (5 + 1 + CATCH_UP_TICKS, 2, 7)
    assert diary.room.time == pytest.approx(diary.room.tick * 0.1)
    diary.tick(late=0.25)  # catching up has not helped
    assert (stats.ticks, stats.overruns, stats.dropped_ticks) == (10, 3, 9)
    diary.tick()
    assert (stats.ticks, stats.overruns) == (11, 3)
    assert diary.replica(ada)[Clock].get(1).ticks == 11  # type: ignore[union-attr]


def test_inputs_of_ticks_that_are_caught_up_are_applied_one_by_one(diary: HandTickedRoom) -> None:
    ada = diary.join("Ada")
    diary.tick()
    for sequence in (1, 2, 3, 4):
        ada.input(sequence, sequence)
    diary.tick(late=0.25)
    assert [dict(done)["Ada"] for _, done in diary.room.of("step")] == [0, 1, 2, 3]
    assert ada.frames()[-1][1][2] == 3


def test_who_leaves_is_gone_before_the_step_also_when_ticks_are_caught_up(diary: HandTickedRoom) -> None:
    links = [diary.join(str(number)) for number in range(6)]
    diary.tick()
    links[0].close(1000)
    diary.tick(late=0.35)  # the room asserts that all rows are alive
    assert len(diary.room.world[Ship]) == 5


async def run_in(nursery: trio.Nursery, room: Room) -> RoomLoop:
    loop = RoomLoop(room)
    nursery.start_soon(loop.run)
    await wait_all_tasks_blocked()
    return loop


async def test_ticks_keep_their_rate_and_do_not_drift(mock_clock: MockClock) -> None:
    room = type("Busy", (Diary,), {"pause_when_empty": False, "tick_rate": 20})()
    async with trio.open_nursery() as nursery:
        await run_in(nursery, room)
        for _ in range(200):
            mock_clock.jump(0.05)
            await wait_all_tasks_blocked()
        assert 199 <= room.tick <= 201
        assert room.stats.overruns == 0
        nursery.cancel_scope.cancel()


async def test_a_room_pauses_when_it_is_empty_and_goes_on_where_it_was(mock_clock: MockClock) -> None:
    room: Any = Diary()
    links = [FakeLink() for _ in range(4)]

    async def pass_time(seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            mock_clock.jump(0.1)
            await wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        loop = await run_in(nursery, room)
        assert room.of("create") == [(0,)]
        await pass_time(5)
        assert room.tick == 0
        loop.admit(links[0], Hello())  # type: ignore[arg-type]
        await pass_time(1)
        loop.admit(links[1], Hello())  # type: ignore[arg-type]
        await pass_time(1)
        assert 19 <= room.tick <= 21
        for link in links[:2]:
            link.close(1000)
        await pass_time(0.2)
        ticks, time = room.tick, room.time
        assert room.player_count == 0
        assert room.of("step")[-1][0] == room.of("leave")[-1][0], "not a tick more than the one they left in"
        await pass_time(1000)
        assert (room.tick, room.time) == (ticks, time)
        loop.admit(links[2], Hello())  # type: ignore[arg-type]
        await pass_time(0.5)
        assert ticks + 4 <= room.tick <= ticks + 6
        ticks = room.tick
        links[2].close(1000)
        await pass_time(100)
        assert room.tick == ticks + 1  # the one in which it was seen to have gone
        assert room.stats.overruns == room.stats.dropped_ticks == 0
        nursery.cancel_scope.cancel()


async def test_a_room_that_does_not_pause(mock_clock: MockClock) -> None:
    room: Any = type("Busy", (Diary,), {"pause_when_empty": False})()
    async with trio.open_nursery() as nursery:
        await run_in(nursery, room)
        for _ in range(50):
            mock_clock.jump(0.1)
            await wait_all_tasks_blocked()
        assert 49 <= room.tick <= 51
        nursery.cancel_scope.cancel()


# ---- what a room measures


def test_times_are_of_what_their_names_say() -> None:
    class Slow(Room):
        def on_message(self, player: Player, kind: str, payload: Any) -> None:
            played.now += 0.020

        def step(self, dt: float) -> None:
            played.now += 0.005

    with HandTickedRoom(Slow()) as played:
        link = played.join()
        played.tick()
        played.room.stats.reset_times()
        link.say("takes", "long")
        played.tick(late=0.003)
        times = played.room.stats.snapshot()
    assert times["lateness_ms"]["max"] == pytest.approx(3.0)
    assert times["step_time_ms"]["max"] == pytest.approx(5.0)
    assert times["tick_time_ms"]["max"] == pytest.approx(25.0)


# ---- rooms of a type


async def test_full_rooms_are_joined_by_others(autojump_clock: MockClock) -> None:
    room_class = type("Duel", (Diary,), {"max_players": 2})
    async with serve({"duel": room_class, "other": Diary}) as server:
        links = [FakeLink() for _ in range(5)]
        loops = [server.directory.join("duel", link, Hello()) for link in links]  # type: ignore[arg-type]
        other = server.directory.join("other", FakeLink(), Hello())  # type: ignore[arg-type]
        assert [loop.room.id for loop in loops] == ["1", "1", "2", "2", "3"]
        assert (other.room.name, other.room.id) == ("other", "4")
        await trio.sleep(1)
        assert [loop.room.player_count for loop in (loops[0], loops[2], loops[4])] == [2, 2, 1]
        links[1].close(1000)
        await trio.sleep(1)
        assert server.directory.find("duel") is loops[0]
        assert loops[0].room is not loops[2].room
        assert len({loop.room.random.random() for loop in loops[::2]}) == 1, "the class has a seed"
    assert [loop.room.log[-1][0] for loop in loops] == ["close"] * 5
