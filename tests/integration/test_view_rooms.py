"""Rooms with views and private fields, through the whole server: what players see, when, and at what cost when not."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import gameclient
from gameclient import FrameApplied, TrioSession
from gameprotocol import Frame, Replica, Schema, encode_acknowledge, encode_resync, limits
from gameserver import (
    Entity,
    Everyone,
    Limits,
    MaxRate,
    Nearby,
    Player,
    Room,
    Server,
    State,
    Visible,
    fixed,
    group,
    local,
    owner,
    serve,
    text,
    uint,
)
from gameserver.rooms.delivery import KNOWN_TICKS
from gameserver.sync.groups import HashedFrame, Holding
from gameserver.sync.pacing import EXCESS_SECONDS
from tests.support.fake_links import FakeLink, HandTickedRoom

#: Cells of 25: whatever is within 100 is seen, and nothing that is 200 away.
NEAR = Nearby(100, hysteresis=2, cell=25)


class Ship(Entity):
    x = local(float)
    y = local(float)
    hp = uint(8, default=100)
    name = text(max_bytes=20)
    team = uint(4)
    ammo = uint(8, to=owner)
    secret = text(max_bytes=20, to=owner)
    plan = text(max_bytes=20, to=group("team"))


class Beacon(Entity):
    x = local(float)
    y = local(float)


class Board(Entity):
    points = uint(16)


class Match(State):
    phase = uint(8)
    side = uint(4)
    order = text(max_bytes=20, to=group("side"))


class Sea(Room):
    """Ships and beacons are seen when they are near, boards always. Nobody moves by itself."""

    tick_rate = 20
    entities = (Ship, Beacon, Board)
    state = Match
    view = {Ship: NEAR, Beacon: NEAR}

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        """Clients say where their ship goes; it is made when they say it first."""
        if player.data is None:
            player.data = self.world.spawn(Ship, owner=player, name=player.name)
        player.data.x, player.data.y = payload


class Scene:
    """A sea, ticked by hand, with a ship each 100 units along a line: those at 0, 100, 200, ..."""

    def __init__(self, room_class: type[Room] = Sea, ships: int = 8) -> None:
        self.sea = HandTickedRoom(room_class("sea"))
        self.world: Any = self.sea.room.world
        self.ships = [self.world.spawn(Ship, x=100.0 * at, name=f"{100 * at}") for at in range(ships)]

    def join(self, ship: Ship | None = None) -> tuple[FakeLink, Player]:
        link = self.sea.join()
        self.sea.tick()
        player = self.sea.player(link)
        if ship is not None:
            ship.owner = player
            self.sea.tick()
        return link, player

    def sees(self, link: FakeLink, table: str = "Ship") -> list[str]:
        """Names of the ships that a client holds, after one more tick; ids of other things."""
        self.sea.tick()
        return [row.name if table == "Ship" else str(row.id) for row in self.sea.replica(link)[table]]

    def row(self, link: FakeLink, ship: Ship) -> Any:
        self.sea.tick()
        return self.sea.replica(link)["Ship"].get(ship.id)


@pytest.fixture
def scene() -> Iterable[Scene]:
    made = Scene()
    with made.sea:
        yield made


def changes(link: FakeLink) -> list[tuple[int, list[int], list[int]]]:
    """For each frame its tick, and which ships came and went, as a front end is told."""
    welcome = next(message for message in link.sent if message[0] == 2)
    replica = Replica(Schema.from_wire(welcome[1]["schema"]), welcome[1]["player"])
    told = [
        (message[1][0], change.spawned_ids.tolist(), change.despawned_ids.tolist())
        for message in link.frames()
        for change in replica.apply(Frame.from_items(message))
        if change.table.schema.name == "Ship"
    ]
    return [entry for entry in told if entry[1] or entry[2]]


# -- through what a player sees


def test_a_player_sees_through_the_ship_it_owns(scene: Scene) -> None:
    link, _ = scene.join(scene.ships[3])
    assert scene.sees(link) == ["200", "300", "400"]
    scene.ships[3].x = 600
    assert scene.sees(link) == ["300", "500", "600", "700"]


def test_a_player_without_a_ship_sees_nothing_that_is_seen_from_near(scene: Scene) -> None:
    link, _ = scene.join()
    scene.world.spawn(Board)
    scene.world.spawn(Beacon)
    assert scene.sees(link) == []
    assert scene.sees(link, "Beacon") == []
    assert scene.sees(link, "Board") == ["1"]
    replica = scene.sea.replica(link)
    assert replica.state is not None
    assert "300" not in repr([message[3:] for message in link.frames()])


def test_a_player_may_watch_anything_and_switch_at_any_tick(scene: Scene) -> None:
    link, player = scene.join(scene.ships[0])
    beacon = scene.world.spawn(Beacon, x=700.0)
    wanted: list[tuple[tuple[Any, ...], list[str]]] = [
        ((scene.ships[5],), ["400", "500", "600"]),
        (((200.0, 0.0),), ["100", "200", "300"]),
        ((scene.ships[0], scene.ships[7]), ["0", "100", "600", "700"]),
        ((scene.ships[2], scene.ships[3], (0.0, 0.0)), ["0", "100", "200", "300", "400"]),
        ((beacon,), ["600", "700"]),
        ((), []),
        (((9999.0, 9999.0),), []),
    ]
    for targets, expected in [*wanted, *wanted[::-1], *wanted[::2]]:
        player.watch(*targets)
        assert scene.sees(link) == expected
    player.watch_own()
    assert scene.sees(link) == ["0", "100"]


def test_what_is_watched_is_followed(scene: Scene) -> None:
    link, player = scene.join()
    player.watch(scene.ships[0])
    for at in range(0, 700, 50):
        scene.ships[0].y, scene.ships[0].x = 60, at
        others = [f"{100 * ship}" for ship in range(1, 8) if abs(100 * ship - at) <= 70]
        assert {*others} <= {*scene.sees(link)} - {"0"}
        assert all(abs(int(name) - at) < 180 for name in scene.sees(link) if name != "0")


@pytest.mark.parametrize("how", ["own", "watched"])
def test_what_is_gone_is_still_seen_from_where_it_was(scene: Scene, how: str) -> None:
    link, player = scene.join()
    eye = scene.world.spawn(Ship, x=500.0, y=5.0, name="eye")
    if how == "own":
        eye.owner = player
    else:
        player.watch(eye)
    assert scene.sees(link) == ["400", "500", "600", "eye"]
    scene.world.despawn(eye)
    for _ in range(100):
        scene.sea.tick()
    assert scene.sees(link) == ["400", "500", "600"]
    scene.ships[0].x = 540
    assert scene.sees(link) == ["0", "400", "500", "600"]


@pytest.mark.parametrize("why", ["the link is full", "a cap on frames"])
def test_what_is_gone_is_seen_from_where_it_was_last_whatever_was_sent_meanwhile(scene: Scene, why: str) -> None:
    """It moved and went while its player was sent nothing."""
    link, player = scene.join()
    eye = scene.world.spawn(Ship, x=100.0, name="eye")
    player.watch(eye)
    scene.sea.tick()
    if why == "the link is full":
        link.full = True
    else:
        player.max_rate = MaxRate(frames=1)
        scene.sea.tick()
    eye.x = 500
    scene.sea.tick()
    scene.world.despawn(eye)
    scene.sea.tick()
    link.full = False
    scene.sea.ticks(20)
    assert scene.sees(link) == ["400", "500", "600"]


def test_what_comes_and_goes_between_two_frames_is_seen_from_where_it_was(scene: Scene) -> None:
    link, player = scene.join()
    player.max_rate = MaxRate(frames=1)
    scene.sea.tick()
    eye = scene.world.spawn(Ship, x=500.0, name="eye")
    player.watch(eye)
    scene.sea.ticks(3)
    scene.world.despawn(eye)
    scene.sea.ticks(40)
    assert [row.name for row in scene.sea.replica(link)["Ship"]] == ["400", "500", "600"]


def test_who_owns_several_sees_through_all_of_them(scene: Scene) -> None:
    link, player = scene.join(scene.ships[0])
    scene.ships[6].owner = player
    assert scene.sees(link) == ["0", "100", "500", "600", "700"]
    scene.world.despawn(scene.ships[0])
    assert scene.sees(link) == ["500", "600", "700"]


# -- entering and leaving


def test_entering_and_leaving_are_told_once_and_cell_borders_never(scene: Scene) -> None:
    link, _ = scene.join(scene.ships[0])
    other = scene.ships[7]
    first = scene.sea.room.tick
    scene.ships[1].x = 900
    scene.sea.ticks(3)
    crossing = []
    for at in range(300, -301, -3):  # through the view and a dozen of its cells
        other.x, other.y = at + 0.5, at / 5
        scene.sea.tick()
        crossing.append((scene.sea.room.tick, at))
    told = [entry for entry in changes(link) if entry[0] > first + 3]
    assert [(spawned, gone) for _, spawned, gone in told] == [([other.id], []), ([], [other.id])]
    came, went = (dict(crossing)[tick] for tick, _, _ in told)
    assert 100 <= came < 160
    assert -160 < went <= -100


@pytest.mark.slow
def test_what_trembles_at_the_edge_of_the_view_does_not_come_and_go(scene: Scene) -> None:
    link, _ = scene.join(scene.ships[0])
    for at in range(100, 160):
        scene.ships[7].x = at
        scene.sea.ticks(2)
        before = len(changes(link))
        for tremble in (1.9, -1.9, 0.5, -0.5, 1.9, -1.9):
            scene.ships[7].x = at + tremble
            scene.sea.tick()
        assert len(changes(link)) - before <= 1


def test_what_left_and_came_back_between_two_frames_is_at_most_changed(scene: Scene) -> None:
    link, _ = scene.join(scene.ships[0])
    before = len(changes(link))
    link.full = True
    scene.ships[1].x = 5000
    scene.sea.ticks(3)
    scene.ships[1].x, scene.ships[1].hp = 50, 7
    scene.sea.tick()
    link.full = False
    scene.sea.tick()
    assert len(changes(link)) == before
    assert scene.row(link, scene.ships[1]).hp == 7


def test_a_row_that_enters_is_whole_and_one_that_stays_is_small(scene: Scene) -> None:
    link, _ = scene.join(scene.ships[0])
    scene.ships[0].hp = 9
    scene.sea.tick()
    assert b"100" not in link.last_bytes
    scene.ships[7].x = 50
    assert scene.row(link, scene.ships[7]).hp == 100
    assert b"700" in link.last_bytes


# -- private fields


def test_what_is_for_the_owner_comes_while_it_is_in_view(scene: Scene) -> None:
    ship = scene.ships[2]
    link, player = scene.join(ship)
    other, _ = scene.join(scene.ships[3])
    ship.ammo, ship.secret = 12, "the key"
    assert (scene.row(link, ship).ammo, scene.row(link, ship).secret) == (12, "the key")
    assert (scene.row(other, ship).ammo, scene.row(other, ship).secret) == (None, None)
    player.watch((9000.0, 0.0))
    assert scene.row(link, ship) is None
    ship.ammo, ship.secret = 11, "a new key"
    scene.sea.ticks(3)
    assert "a new key" not in repr(link.sent)
    player.watch_own()
    assert (scene.row(link, ship).ammo, scene.row(link, ship).secret) == (11, "a new key")
    assert "key" not in repr(other.sent)


def test_when_a_ship_passes_on_the_old_owner_forgets_and_the_new_one_learns(scene: Scene) -> None:
    ship = scene.ships[2]
    first, _ = scene.join(ship)
    second, heir = scene.join(scene.ships[3])
    ship.ammo = 12
    scene.sea.ticks(2)
    ship.owner = heir
    assert [scene.row(link, ship).ammo for link in (first, second)] == [None, 12]
    ship.ammo = 99
    assert [scene.row(link, ship).ammo for link in (first, second)] == [None, 99]
    assert scene.row(first, ship).hp == 100
    ship.owner = None
    assert [scene.row(link, ship).ammo for link in (first, second)] == [None, None]


def test_groups_may_change_at_any_time_on_either_side(scene: Scene) -> None:
    ship = scene.ships[2]
    link, player = scene.join(scene.ships[3])
    ship.team, ship.plan = 5, "attack"
    assert scene.row(link, ship).plan is None
    player.groups["team"] = 5
    assert scene.row(link, ship).plan == "attack"
    ship.plan = "retreat"
    assert scene.row(link, ship).plan == "retreat"
    ship.team = 6
    assert scene.row(link, ship).plan is None
    player.groups = {"team": 6}
    assert scene.row(link, ship).plan == "retreat"
    del player.groups["team"]
    assert scene.row(link, ship).plan is None


def test_the_rooms_state_may_have_orders_for_a_group(scene: Scene) -> None:
    links = [scene.join() for _ in range(3)]
    for at, (_, player) in enumerate(links[:2]):
        player.groups["side"] = at
    state = scene.world.state
    state.side, state.order, state.phase = 1, "hold the line", 4
    scene.sea.tick()
    told = [scene.sea.replica(link).state for link, _ in links]
    assert [(row.phase, row.order) for row in told if row is not None] == [(4, None), (4, "hold the line"), (4, None)]
    assert [b"hold" in link.last_bytes for link, _ in links] == [False, True, False]
    state.side = 0
    scene.sea.tick()
    told = [scene.sea.replica(link).state for link, _ in links]
    assert [row.order for row in told if row is not None] == ["hold the line", None, None]


# -- other views


class Bird(Entity):
    x = fixed(0, 1000, step=1)
    y = fixed(0, 1000, step=1)
    height = local(float)


class Sky(Room):
    entities = (Bird,)
    view = Nearby(100, hysteresis=0, cell=25, axes=("x", "y", "height"))


def test_three_axes() -> None:
    with HandTickedRoom(Sky("sky")) as sky:
        link = sky.join()
        sky.tick()
        places = [(500, 500, 0), (500, 500, 90), (500, 500, 190), (560, 560, 40), (590, 500, 0), (500, 690, 0)]
        birds = [sky.room.world.spawn(Bird, x=x, y=y, height=height) for x, y, height in places]
        birds[0].owner = sky.player(link)
        sky.tick()
        assert [row.id for row in sky.replica(link)["Bird"]] == [1, 2, 4, 5]
        birds[0].height = 150
        sky.tick()
        assert [row.id for row in sky.replica(link)["Bird"]] == [1, 2, 3]
        sky.player(link).watch((500.0, 690.0, 0.0))
        sky.tick()
        assert [row.id for row in sky.replica(link)["Bird"]] == [6]


def test_a_view_for_each_type_and_several_for_one() -> None:
    def is_mine(player: Player, ships: Any) -> Any:
        return ships.owner == player.number

    def is_alarmed(player: Player, ships: Any) -> Any:
        return ships.hp < 20

    class Mixed(Sea):
        view = {Ship: Visible(is_alarmed) | NEAR, Beacon: Visible(is_mine), Board: Everyone()}

    scene = Scene(Mixed)
    with scene.sea:
        link, player = scene.join(scene.ships[0])
        beacons = [scene.world.spawn(Beacon, owner=owner, x=5000.0) for owner in (player, None, player)]
        scene.world.spawn(Board)
        assert scene.sees(link) == ["0", "100"]
        assert scene.sees(link, "Beacon") == ["1", "3"]
        assert scene.sees(link, "Board") == ["1"]
        scene.ships[6].hp = scene.ships[1].hp = 10
        assert scene.sees(link) == ["0", "100", "600"]
        scene.ships[6].hp, beacons[0].owner = 20, None
        assert scene.sees(link) == ["0", "100"]
        assert scene.sees(link, "Beacon") == ["3"]


# -- links that do not keep up


def last_applied(link: FakeLink) -> int:
    return int(link.frames()[-1][1][0])


def say_what_is_held(scene: Scene, link: FakeLink) -> None:
    """What a client does that comes back: it acknowledges the last frame that came."""
    link.bring(encode_acknowledge(last_applied(link), 0))


@pytest.mark.parametrize("ticks", [30, 200])
@pytest.mark.parametrize("what", ["full", "deaf"])
def test_after_a_stall_one_frame_makes_a_player_current(scene: Scene, what: str, ticks: int) -> None:
    link, player = scene.join(scene.ships[3])
    scene.sea.ticks(50)
    link.full, link.acknowledges = what == "full", False
    for at in range(ticks):
        scene.ships[2].hp = at % 100
        scene.world.despawn(scene.world.spawn(Ship, x=300.0))
        scene.sea.tick()
    frames = len(link.frames())
    assert frames <= 53 + player._window + round(EXCESS_SECONDS * 20) + 1
    assert player.link_stats.state_age > 0.9 * ticks / 20
    link.full = False
    say_what_is_held(scene, link)
    scene.sea.tick()
    assert len(link.frames()) == frames + 1
    assert (link.frames()[-1][1][1] == 0) == (ticks > limits.HISTORY_TICKS)
    assert [row.hp for row in scene.sea.replica(link)["Ship"]] == [scene.ships[2].hp, 100, 100]
    say_what_is_held(scene, link)
    scene.sea.tick()
    assert player.coalesced_ticks == player.frames_skipped


def items_held() -> int:
    """How many items all containers of this process hold together."""
    gc.collect()
    return sum(len(each) for each in gc.get_objects() if type(each) in (list, dict, set, deque, tuple))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["full", "deaf"])
def test_who_is_away_for_5000_ticks_costs_nothing_more(scene: Scene, what: str) -> None:
    link, player = scene.join(scene.ships[3])
    other, _ = scene.join(scene.ships[4])
    scene.sea.ticks(100)
    link.full, link.acknowledges = what == "full", False

    def pass_time(ticks: int) -> int:
        for at in range(ticks):
            scene.ships[2].hp, scene.ships[3].y = at % 100, at % 200
            scene.sea.tick()
            other.sent[3:-2] = []
        return items_held()

    before, after = pass_time(500), pass_time(4500)
    assert after - before < 1000  # not even a number for each tick
    assert player._holding is None
    assert player._own_holding is None
    assert len(player._outbox) == 0


@pytest.mark.slow
def test_who_is_away_keeps_nothing_of_what_others_held(scene: Scene) -> None:
    """What a player was sent with its last hash is one array for all players of that tick."""
    link, player = scene.join(scene.ships[3])
    scene.sea.ticks(100)
    link.full, link.acknowledges = True, False
    scene.sea.ticks(2 * limits.HISTORY_TICKS)
    gc.collect()
    assert [each for each in gc.get_referents(player) if isinstance(each, (HashedFrame, Holding))] == []


def test_link_stats_tell_of_frames_that_were_never_acknowledged(scene: Scene) -> None:
    """Also when they are so long ago that the next frame must be a full one."""
    link, player = scene.join(scene.ships[3])
    scene.sea.ticks(50)
    link.acknowledges = False
    scene.sea.ticks(30)
    unacknowledged = player.link_stats.unacknowledged_ticks
    assert unacknowledged == last_applied(link) - player.acknowledged_tick > 0
    scene.sea.ticks(100)
    assert player.link_stats.unacknowledged_ticks == unacknowledged


def test_figures_of_links_are_plausible(scene: Scene) -> None:
    links = [scene.join(ship) for ship in scene.ships[:3]]
    scene.sea.ticks(100)
    (_, healthy), (away, stalled), (capped, slow) = links
    slow.max_rate = MaxRate(frames=5)
    away.acknowledges = False
    skipped = {player: player.frames_skipped for _, player in links}
    before = scene.sea.room.stats.snapshot()
    scene.sea.ticks(40)
    now = scene.sea.room.stats.snapshot()
    assert healthy.frames_skipped == skipped[healthy] == 0
    assert healthy.link_stats.state_age <= 0.05
    assert 0 < (healthy.link_stats.rtt or 0) <= 0.1
    assert stalled.link_stats.state_age == pytest.approx(40 / 20)
    assert 35 <= stalled.frames_skipped - skipped[stalled] + round(EXCESS_SECONDS * 20) <= 39
    assert stalled.coalesced_ticks == 0
    assert 29 <= slow.frames_skipped - skipped[slow] <= 31
    frames, skips = now["frames"] - before["frames"], now["frames_skipped"] - before["frames_skipped"]
    assert frames + skips == 3 * 40
    assert skips == sum(player.frames_skipped - skipped[player] for _, player in links)
    assert now["coalesced_ticks"] == sum(player.coalesced_ticks for _, player in links)
    assert scene.sea.replica(capped).tick == last_applied(capped)
    link_bytes = now["frame_bytes"] - before["frame_bytes"]
    assert 20 * frames <= link_bytes <= 60 * frames


# -- ids


@pytest.mark.parametrize("what", ["full", "deaf", "waiting for a full frame"])
def test_ids_rest_while_a_player_could_mistake_them(scene: Scene, what: str) -> None:
    link, _ = scene.join(scene.ships[3])
    other, _ = scene.join(scene.ships[3])
    scene.sea.ticks(20)
    if what.startswith("waiting"):
        link.bring(encode_resync(0, 0, 0))
        scene.sea.tick()
        link.bring(encode_resync(0, 0, 0))
        link.full = True
        scene.sea.tick()
    link.full, link.acknowledges = what != "deaf", False
    scene.sea.ticks(12)  # by now it is sent nothing any more
    scene.world.despawn(scene.ships[2])
    scene.sea.ticks(300)
    assert scene.world.spawn(Ship, x=300.0).id != scene.ships[2].id
    link.full, link.acknowledges = False, True
    say_what_is_held(scene, link)
    scene.sea.ticks(3)
    assert scene.world.spawn(Ship, x=300.0).id == scene.ships[2].id
    assert scene.sees(link)[:1] == scene.sees(other)[:1]


@pytest.mark.slow
def test_ids_rest_for_so_long_and_no_longer() -> None:
    scene = Scene(ships=3)
    with scene.sea:
        link, _ = scene.join(scene.ships[0])
        scene.sea.ticks(5)
        link.full = True
        scene.sea.tick()
        scene.world.despawn(scene.ships[1])
        scene.sea.ticks(limits.LONGEST_REST_TICKS - 2)
        assert scene.world.spawn(Ship).id != scene.ships[1].id
        scene.sea.ticks(2 * KNOWN_TICKS)
        assert scene.world.spawn(Ship).id == scene.ships[1].id


def test_without_anyone_who_lags_an_id_rests_as_long_as_deltas_reach(scene: Scene) -> None:
    scene.join(scene.ships[0])
    scene.sea.ticks(5)
    scene.world.despawn(scene.ships[1])
    scene.sea.ticks(limits.HISTORY_TICKS)
    assert scene.world.spawn(Ship).id != scene.ships[1].id
    scene.sea.ticks(3)
    assert scene.world.spawn(Ship).id == scene.ships[1].id


# -- over sockets


@asynccontextmanager
async def at_sea(room_class: type[Room] = Sea) -> AsyncIterator[tuple[Server, TrioSession, TrioSession]]:
    """Two players, each with its ship."""
    with trio.fail_after(60):
        async with (
            serve(room_class, port=0) as server,
            gameclient.connect(server.url(), name="Ada") as ada,
            gameclient.connect(server.url(), name="Bo") as bo,
        ):
            for session in (ada, bo):
                await go(session, 0, 0)
            yield server, ada, bo


async def go(session: TrioSession, x: float, y: float = 0.0) -> None:
    """Send the ship somewhere, and wait until everybody has heard of it."""
    session.send("go", [x, y])
    await trio.sleep(0.4)


def names(session: TrioSession) -> list[str]:
    return [row.name for row in session.world["Ship"]]


async def test_players_who_part_lose_sight_of_each_other_and_meet_again(autojump_clock: MockClock) -> None:
    told: list[tuple[str, str]] = []
    async with at_sea() as (_, ada, bo):
        ada.on_spawned("Ship")(lambda ship: told.append(("here", ship.name)))
        ada.on_despawned("Ship")(lambda ship: told.append(("gone", ship.name)))
        await trio.sleep(0.3)
        assert names(ada) == names(bo) == ["Ada", "Bo"]
        told.clear()
        for x in (20, 40, 60, 80, 300, 320, 300, 80, 60, 40, 20, 0):  # cells are 25 wide
            await go(bo, x)
        assert told == [("gone", "Bo"), ("here", "Bo")]
        await go(ada, 0, 500)
        assert (names(ada), names(bo)) == (["Ada"], ["Bo"])
        assert told == [("gone", "Bo"), ("here", "Bo"), ("gone", "Bo")]
        assert ada.stats.desyncs == bo.stats.desyncs == 0
        assert ada.stats.hashes_checked > 3


async def test_private_fields_over_sockets(autojump_clock: MockClock) -> None:
    async with at_sea() as (server, ada, bo):
        room: Any = server.rooms[0]
        one, other = (next(ship for ship in room.world[Ship] if ship.name == name) for name in ("Ada", "Bo"))
        one.ammo, one.team, one.plan = 7, 3, "ambush"
        await trio.sleep(0.3)
        seen = [next(row for row in session.world["Ship"] if row.name == "Ada") for session in (ada, bo)]
        assert [(row.ammo, row.plan) for row in seen] == [(7, None), (None, None)]
        assert ada.world["Ship"].known("ammo").tolist() == [True, False]
        assert bo.world["Ship"].known("ammo").tolist() == [False, True]
        other.owner.groups["team"] = 3
        one.owner = other.owner
        await trio.sleep(0.3)
        seen = [next(row for row in session.world["Ship"] if row.name == "Ada") for session in (ada, bo)]
        assert [(row.ammo, row.plan) for row in seen] == [(None, None), (7, "ambush")]


@pytest.mark.slow
async def test_who_stops_pumping_gets_one_frame_and_goes_on(autojump_clock: MockClock) -> None:
    with trio.fail_after(60):
        patient = Limits(dead_seconds=60)  # who stops pumping answers no pings either
        async with serve(Sea, port=0, limits=patient) as server, gameclient.connect(server.url(), name="Ada") as ada:
            ada.send("go", [0.0, 0.0])
            hidden = gameclient.open(server.url(), name="tab")
            with hidden:
                while not hidden.joined:
                    hidden.pump()
                    await trio.sleep(0.02)
                hidden.send("go", [10.0, 0.0])
                for _ in range(40):
                    hidden.pump()
                    await trio.sleep(0.05)
                await trio.sleep(30)
                stale = [event for event in hidden.pump() if isinstance(event, FrameApplied)]
                assert len(stale) <= 12
                await trio.sleep(0.2)
                fresh = [event for event in hidden.pump() if isinstance(event, FrameApplied)]
                assert [event.full for event in fresh][:1] == [True]
                assert hidden.tick >= ada.tick - 6
                assert sorted(names(hidden)) == ["Ada", "tab"]  # type: ignore[arg-type]
                assert hidden.stats.desyncs == 0


class Ring(Sea):
    """Ships that go round and round, so that there is something in every frame."""

    def on_create(self) -> None:
        self.world.spawn_many(Ship, 30, x=[3.0 * at for at in range(30)], hp=50)

    def step(self, dt: float) -> None:
        ships = self.world[Ship]
        ships.y = (ships.ids + self.tick) % 20


@pytest.mark.parametrize("table", ["Ship", "Ship@owner", "Ship@team", "Match"])
@pytest.mark.parametrize(
    ("view", "rate"),
    [(Everyone(), None), ({Ship: NEAR}, None), ({Ship: NEAR}, MaxRate(bytes=6000)), (Everyone(), MaxRate(frames=5))],
    ids=["everyone", "nearby", "nearby, bytes", "everyone, frames"],
)
async def test_a_client_that_differs_is_told_of_counted_and_repaired(
    view: Any, rate: MaxRate | None, table: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One integer in the memory of a real client is spoilt."""
    ring = type("Ring", (Ring,), {"view": view, "max_rate": rate})
    async with at_sea(ring) as (server, ada, bo):
        room: Any = server.rooms[0]
        own = next(ship for ship in room.world[Ship] if ship.name == "Ada")
        own.team, own.ammo, own.owner.groups["team"] = 3, 9, 3
        await trio.sleep(3)
        [spoilt] = [held for held in ada.world.tables if held.schema.name == table]
        id = 1 if table == "Match" else own.id
        before = int(spoilt.integers[-1, id])
        spoilt.integers[-1, id] ^= 1
        await trio.sleep(3)
        assert int(spoilt.integers[-1, id]) == before
        assert (ada.stats.desyncs, bo.stats.desyncs) == (1, 0)
        assert (room.stats.desyncs, room.stats.resyncs) == (1, 1)
        [said] = [record.getMessage() for record in caplog.records if "differs=" in record.getMessage()]
        assert f"{table}: one or more of 1 rows, {id}" in said
        assert "Ada" in said
        checked = ada.stats.hashes_checked
        await trio.sleep(3)
        assert ada.stats.hashes_checked > checked
        assert ada.stats.desyncs == 1
