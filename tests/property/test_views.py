"""Views and audiences over random worlds: each replica holds exactly what its player may see, and nothing else.

What a player may see is worked out anew here, entity by entity, in plain Python. The room is a real one, ticked by
hand; links stall, forget to acknowledge, break and come back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import Frame, Replica, Schema, encode_resync
from gameserver import (
    Entity,
    Nearby,
    Room,
    State,
    Visible,
    fixed,
    group,
    local,
    owner,
    reference,
    text,
    uint,
)
from tests.support.examples import examples
from tests.support.fake_links import FakeLink, HandTickedRoom

SIZE = 1000.0
NEAR = Nearby(120, hysteresis=8, cell=50)


class Ship(Entity):
    x = fixed(0, SIZE, step=1 / 16)
    y = fixed(0, SIZE, step=1 / 16)
    hp = uint(8, default=100)
    name = text(max_bytes=40)
    team = uint(4)
    ammo = uint(16, to=owner)
    secret = text(max_bytes=40, to=owner)
    plan = text(max_bytes=40, to=team)
    vx, vy = local(float), local(float)  # a tick


class Mine(Entity):
    x = local(float)
    y = local(float)
    note = text(max_bytes=40)
    layer = reference(Ship)


class Card(Entity):
    holder = local(int)
    face = text(max_bytes=40)
    bid = uint(8, to=group("table"))
    table = uint(4)


class Flag(Entity):
    points = uint(16)
    seal = text(max_bytes=40, to=owner)


class Weather(State):
    wind = uint(8)
    team = uint(4)
    forecast = text(max_bytes=40, to=team)


def in_hand(player: Any, cards: Any) -> Any:
    return cards.holder == player.number


class Hall(Room):
    entities = (Ship, Mine, Card, Flag)
    state = Weather
    view = {Ship: NEAR, Mine: NEAR | Visible(lambda player, mines: mines.x > 900), Card: Visible(in_hand)}
    tick_rate = 20

    def on_create(self) -> None:
        """A crowd in one corner, so that many rows come and go in one frame."""
        for at in range(24):
            x, y = self.random.uniform(0, 400), self.random.uniform(0, 400)
            speed = self.random.choice((0, 0.5, 8, 30))
            vx, vy = self.random.uniform(-speed, speed), self.random.uniform(-speed, speed)
            self.world.spawn(Ship, x=x, y=y, vx=vx, vy=vy, team=at % 3, name=f"crew-{at:05d}", plan=f"plot-{at:05d}")

    def step(self, dt: float) -> None:
        ships = self.world[Ship]
        ships.x, ships.y = ships.x + ships.vx, ships.y + ships.vy
        for position, speed in ((ships.x, ships.vx), (ships.y, ships.vy)):
            speed[(position < 0) | (position > 450)] *= -1
            np.clip(position, 0, SIZE, out=position)

    def on_leave(self, player: Any, reason: str) -> None:
        for kind in (Ship, Flag):
            for entity in self.world[kind]:
                if entity.owner is player:
                    entity.owner = None


class Grid:
    """Sticky cells, one entity at a time."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, int], tuple[int, int]] = {}

    def update(self, kind: str, id: int, x: float, y: float) -> tuple[int, int]:
        cell, margin = NEAR.cell_width, NEAR.margin
        held = self.cells.get((kind, id), (0, 0))
        new = []
        for at, coordinate in zip((x, y), held, strict=True):
            inside = -margin <= at - coordinate * cell < cell + margin
            new.append(coordinate if inside else math.floor(at / cell))
        self.cells[kind, id] = (new[0], new[1])
        return new[0], new[1]


def near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether things in two cells may be within the radius."""
    gaps = [max(0.0, (abs(a - b) - 1) * NEAR.cell_width - 2 * NEAR.margin) for a, b in zip(one, other, strict=True)]
    return math.hypot(*gaps) < NEAR.radius * (1 - 1e-10)


class Theatre:
    """A hall with players, and what each of them may see."""

    def __init__(self, seed: int) -> None:
        self.hall = HandTickedRoom(Hall("hall", seed=seed))
        self.room: Any = self.hall.room
        self.grid = Grid()
        self.serial = 0
        self.links: list[FakeLink] = []
        self.replicas: dict[FakeLink, Replica] = {}
        self.applied: dict[FakeLink, int] = {}
        self.last_seen_from: dict[int, tuple[int, int]] = {}
        self.frames = 0

    def fresh(self, what: str) -> str:
        self.serial += 1
        return f"{what}-{self.serial:05d}"

    def join(self) -> None:
        self.links.append(self.hall.join())

    def players(self) -> Iterator[tuple[FakeLink, Any]]:
        seats: Any = self.hall.loop.seating.connected
        return ((link, seats[link]) for link in self.links if link in seats)

    def tick(self) -> None:
        self.hall.tick()
        may_see = self.may_see()
        for link, player in self.players():
            if link.frames():
                self.check_frames(link, player, may_see[player.number])
        self.links = [link for link in self.links if not link.closed]

    # -- what each player may see

    def may_see(self) -> dict[int, dict[str, dict[int, dict[str, Any]]]]:
        """By player, table and id: the fields."""
        world = self.room.world
        cells = {("Ship", ship.id): self.grid.update("Ship", ship.id, ship.x, ship.y) for ship in world[Ship]} | {
            ("Mine", mine.id): self.grid.update("Mine", mine.id, mine.x, mine.y) for mine in world[Mine]
        }
        return {player.number: self.seen_by(player, cells) for _, player in self.players()}

    def seen_by(self, player: Any, cells: Any) -> dict[str, dict[int, dict[str, Any]]]:
        world, number = self.room.world, player.number
        rows = [ship for ship in world[Ship] if ship.owner is player]
        own = tuple(sorted({cells["Ship", ship.id] for ship in rows}))
        if rows:  # of several that are gone at once, the one that the table has last counts
            self.last_seen_from[number] = cells["Ship", rows[-1].id]
        if player._watched is None:
            centres = own or tuple(self.last_seen_from[at] for at in [number] if at in self.last_seen_from)
        else:
            for watched in player._watched:
                if watched.entity is not None and watched.entity.alive:
                    kind = type(watched.entity).__name__
                    watched.cells["oracle"] = cells[kind, watched.entity.id]
                elif watched.entity is None:
                    watched.cells["oracle"] = tuple(math.floor(at / NEAR.cell_width) for at in watched.point)
            centres = tuple(watched.cells["oracle"] for watched in player._watched if "oracle" in watched.cells)
        ships = [ship for ship in world[Ship] if any(near(cells["Ship", ship.id], centre) for centre in centres)]
        mines = [
            mine
            for mine in world[Mine]
            if mine.x > 900 or any(near(cells["Mine", mine.id], centre) for centre in centres)
        ]
        cards = [card for card in world[Card] if card.holder == number]
        return {
            "Ship": {
                ship.id: {
                    "owner": ship.owner.number if ship.owner else 0,
                    "hp": ship.hp,
                    "name": ship.name,
                    "team": ship.team,
                    "ammo": ship.ammo if ship.owner is player else None,
                    "secret": ship.secret if ship.owner is player else None,
                    "plan": ship.plan if player.groups.get("team") == ship.team else None,
                }
                for ship in ships
            },
            "Mine": {mine.id: {"note": mine.note} for mine in mines},
            "Card": {
                card.id: {"face": card.face, "bid": card.bid if player.groups.get("table") == card.table else None}
                for card in cards
            },
            "Flag": {
                flag.id: {"points": flag.points, "seal": flag.seal if flag.owner is player else None}
                for flag in world[Flag]
            },
            "Weather": {
                1: {
                    "wind": world.state.wind,
                    "forecast": world.state.forecast if player.groups.get("team") == world.state.team else None,
                }
            },
        }

    # -- what it holds

    def check_frames(self, link: FakeLink, player: Any, may_see: dict[str, dict[int, dict[str, Any]]]) -> None:
        if link not in self.replicas:
            self.replicas[link] = self.new_replica(link)
        replica = self.replicas[link]
        frames = link.frames()
        new = frames[self.applied.get(link, 0) :]
        self.applied[link] = len(frames)
        assert len(new) <= 1
        for message in new:
            self.frames += 1
            self.check_leaks(link, player, may_see)
            frame = Frame.from_items(message)
            before = {name: set(replica[name].ids.tolist()) for name in may_see}
            changes = replica.apply(frame)
            assert replica.tick == self.room.tick
            assert replica.check(frame)
            self.check_callbacks(replica, before, changes)
            for name, rows in may_see.items():
                held = (
                    {
                        row.id: {field: getattr(row, field) for field in next(iter(rows.values()))}
                        for row in replica[name]
                    }
                    if rows
                    else {row.id: {} for row in replica[name]}
                )
                assert held == rows, (name, player.number)

    def new_replica(self, link: FakeLink) -> Replica:
        welcome = next(message for message in link.sent if message[0] == 2)
        return Replica(Schema.from_wire(welcome[1]["schema"]), welcome[1]["player"])

    def check_callbacks(self, replica: Replica, before: dict[str, set[int]], changes: list[Any]) -> None:
        told = {change.table.schema.name: change for change in changes}
        for name, had in before.items():
            has = set(replica[name].ids.tolist())
            if name in told:
                assert set(told[name].spawned_ids.tolist()) == has - had
                assert set(told[name].despawned_ids.tolist()) == had - has
            else:
                assert has == had

    def check_leaks(self, link: FakeLink, player: Any, may_see: dict[str, dict[int, dict[str, Any]]]) -> None:
        """No text that the player may not see has ever been in what this frame holds."""
        allowed = {
            value
            for rows in may_see.values()
            for row in rows.values()
            for value in row.values()
            if isinstance(value, str)
        }
        world = self.room.world
        hidden = {ship.secret for ship in world[Ship]} | {ship.plan for ship in world[Ship]}
        hidden |= {ship.name for ship in world[Ship]} | {card.face for card in world[Card]}
        hidden |= {mine.note for mine in world[Mine]} | {flag.seal for flag in world[Flag]} | {world.state.forecast}
        for secret in hidden - allowed - {""}:
            assert secret.encode() not in link.last_bytes


@st.composite
def deeds(draw: Any) -> list[tuple[Any, ...]]:
    """A story: what happens between ticks."""
    place = st.tuples(st.floats(0, SIZE), st.floats(0, SIZE))
    small = st.integers(0, 9)
    deed = st.one_of(
        st.tuples(st.just("ship"), place, small, small),
        st.tuples(st.just("mine"), place, small, small),
        st.tuples(st.just("card"), small, small, small),
        st.tuples(st.just("flag"), small, small, small),
        st.tuples(st.just("drift"), st.floats(-12, 12), st.floats(-12, 12), small),
        st.tuples(st.just("jump"), small, place, small),
        st.tuples(st.just("tremble"), st.floats(0, 9), small, small),
        st.tuples(st.just("write"), small, small, small),
        st.tuples(st.just("despawn"), small, small, small),
        st.tuples(st.just("give"), small, small, small),
        st.tuples(st.just("groups"), small, small, small),
        st.tuples(st.just("watch"), small, small, place),
        st.tuples(st.just("stall"), small, small, small),
        st.tuples(st.just("deaf"), small, small, small),
        st.tuples(st.just("leave"), small, small, small),
        st.tuples(st.just("join"), small, small, small),
        st.tuples(st.just("resync"), small, small, small),
        st.tuples(st.just("ticks"), st.sampled_from([1, 1, 1, 2, 5, 9, 70]), small, small),
    )
    return draw(st.lists(deed, min_size=4, max_size=60))


def pick(items: Any, at: int) -> Any:
    found = list(items)
    return found[at % len(found)] if found else None


def do(theatre: Theatre, deed: tuple[Any, ...]) -> None:
    what, a, b, c = deed
    world, players = theatre.room.world, [player for _, player in theatre.players()]
    if what == "ship":
        world.spawn(
            Ship, x=a[0], y=a[1], owner=pick([*players, None], b), team=c % 3, name=theatre.fresh("name"),
            secret=theatre.fresh("secret"), plan=theatre.fresh("plan"),
        )  # fmt: skip
    elif what == "mine":
        world.spawn(Mine, x=a[0], y=a[1], note=theatre.fresh("note"), layer=pick(world[Ship], b))
    elif what == "card" and players:
        world.spawn(Card, holder=pick(players, a).number, face=theatre.fresh("face"), table=b % 2, bid=c)
    elif what == "flag":
        world.spawn(Flag, owner=pick([*players, None], a), seal=theatre.fresh("seal"))
    elif what == "drift":
        ships = world[Ship]
        ships.x, ships.y = np.clip(ships.x + a, 0, SIZE), np.clip(ships.y + b, 0, SIZE)
    elif what == "jump" and (ship := pick(world[Ship], a)):
        ship.x, ship.y = b
    elif what == "tremble":
        ships = world[Ship]
        ships.x = np.clip(ships.x + np.where(ships.ids % 2, a, -a), 0, SIZE)
    elif what == "write":
        write(theatre, a, b, c)
    elif what == "despawn" and (entity := pick([*world[Ship], *world[Card], *world[Mine]], a)):
        world.despawn(entity)
    elif what == "give" and (ship := pick(world[Ship], a)):
        ship.owner, ship.team = pick([*players, None], b), c % 3
    elif what == "groups" and (player := pick(players, a)):
        player.groups = {"team": b % 3, "table": c % 2} if b else {}
    elif what == "watch" and (player := pick(players, a)):
        if b < 3:
            player.watch_own()
        else:
            targets = [pick([*world[Ship], *world[Mine]], b), pick(world[Ship], b + 1), c]
            player.watch(*[target for target in targets[b % 3 :] if target is not None])
    else:
        do_to_link(theatre, what, a)


def write(theatre: Theatre, a: int, b: int, c: int) -> None:
    world = theatre.room.world
    if ship := pick(world[Ship], a):
        ship.hp, ship.ammo = b, c
        if b % 2:
            ship.secret, ship.plan = theatre.fresh("secret"), theatre.fresh("plan")
    if card := pick(world[Card], a):
        card.bid, card.face = b, theatre.fresh("face")
    if flag := pick(world[Flag], b):
        flag.points, flag.seal = a, theatre.fresh("seal")
    world.state.wind, world.state.team, world.state.forecast = a, b % 3, theatre.fresh("forecast")


def do_to_link(theatre: Theatre, what: str, a: int) -> None:
    if what == "join":
        theatre.join()
    elif what == "ticks":
        for _ in range(a):
            theatre.tick()
    elif link := pick(theatre.links, a):
        if what == "stall":
            link.full = not link.full
        elif what == "deaf":
            link.acknowledges = not link.acknowledges
        elif what == "leave":
            link.close(1000, "bye")
        elif what == "resync":
            link.bring(encode_resync(0, 0, 0))


@examples(60)
@given(st.integers(0, 1 << 30), deeds())
def test_each_replica_holds_exactly_what_its_player_may_see(seed: int, story: list[tuple[Any, ...]]) -> None:
    theatre = Theatre(seed)
    with theatre.hall:
        theatre.join()
        theatre.join()
        theatre.tick()
        for at, deed in enumerate(story):
            if at < 2 and (player := pick((player for _, player in theatre.players()), at)):
                pick(theatre.room.world[Ship], at * 7).owner = player  # a story without eyes would show nothing
            do(theatre, deed)
            if deed[0] != "ticks" and len(deed[0]) % 2:
                theatre.tick()
        for link in theatre.links:
            link.full, link.acknowledges = False, True
        for _ in range(3):
            theatre.tick()
        assert theatre.frames >= 3
