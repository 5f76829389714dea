"""The game of the simulation: it writes down every input that it applies, and what each player may see in each tick.

What a player may see is worked out here entity by entity, by other means than the server's. Positions are multiples of
the step that they travel with, so what a replica holds must be equal and not only near.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, ClassVar, Final

from gameprotocol import Replica
from gameserver import Entity, Input, Nearby, Player, Room, State, Visible, fixed, local, owner, reference, text, uint
from gameserver.world.audience import group
from tests.simulation.story import Life, Story

SIZE: Final = 1024.0
STEP: Final = 1 / 16
CELL: Final = 64.0
RADIUS: Final = 150.0
DRONES: Final = 10
CARDS: Final = 5
#: Of a message that the room sends; most are small, chatter is large.
SMALL_BYTES, LARGE_BYTES = 20, 700


class Ship(Entity):
    x = fixed(0, SIZE, step=STEP)
    y = fixed(0, SIZE, step=STEP)
    name = text(max_bytes=24)
    team = uint(4)
    ammo = uint(16, to=owner)
    plan = uint(16, to=group("team"))
    vx, vy = local(float), local(float)  # a tick


class Drone(Entity):
    x = fixed(0, SIZE, step=STEP)
    y = fixed(0, SIZE, step=STEP)
    mark = uint(16)
    prey = reference(Ship)
    vx, vy = local(float), local(float)


class Card(Entity):
    holder = local(int)
    face = uint(16)


class Match(State):
    phase = uint(16)


class Move(Input):
    """``number`` counts the inputs of a connection; ``replayed`` marks one that was sent before."""

    number: int = 0
    replayed: bool = False


class Yard(Room):
    """Subclassed for each run, with its ``story``."""

    entities = (Ship, Drone, Card)
    state = Match
    input = Move
    missing_input = "skip"
    close_when_empty = None
    view = {
        Drone: Nearby(RADIUS, of=Ship, hysteresis=0, cell=CELL),
        Card: Visible(lambda player, cards: cards.holder == player.number),
    }
    story: ClassVar[Story]

    def on_create(self) -> None:
        self.lives: dict[Player, Life] = {}
        for _ in range(DRONES):
            self.spawn_drone()
        for _ in range(CARDS):
            self.world.spawn(Card, holder=self.random.randrange(1, 5), face=self.random.randrange(1 << 16))

    def on_join(self, player: Player) -> None:
        life = self.lives[player] = self.story.lives[player.name]
        self.story.expect(not life.joined, life.name, "joined twice")
        life.joined, life.player = True, player.number
        player.groups["team"] = player.number % 2
        player.data = self.spawn_ship(player)
        self.story.tell("room", "join", life.name, player.number)
        self.say(player)
        self.say_to_all(besides=player)

    def on_leave(self, player: Player, reason: str) -> None:
        life = self.lives.pop(player)
        life.left = True
        self.world.despawn(player.data)
        self.story.tell("room", "leave", life.name, reason)
        check_inputs(self.story, life, player)
        self.story.counts["coalesced ticks"] += player.coalesced_ticks
        self.story.counts["duplicate inputs"] += player.inputs.duplicates
        self.story.counts["dropped inputs"] += player.inputs.dropped
        self.say_to_all(besides=player)

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        life = self.lives[player]
        life.notes_heard += 1
        self.story.expect(payload[0] == life.notes_heard, life.name, "message out of order", payload[0])
        for _ in range(payload[1]):
            self.say(player, LARGE_BYTES)

    def step(self, dt: float) -> None:
        story = self.story
        for player, move in self.inputs:
            life = self.lives[player]
            last = life.applied[-1][0] if life.applied else 0
            story.expect(move.number > last, life.name, "input again or out of order", move.number, "after", last)
            story.expect(move.number <= life.offered, life.name, "input that nobody sent", move.number)
            story.expect(not move.replayed, life.name, "a replayed input", move.number)
            life.applied.append((move.number, self.tick))
            story.counts["inputs applied"] += 1
            player.data.vx = (move.number * 7 % 65 - 32) * STEP
            player.data.ammo = move.number % (1 << 16)
        self.shuffle()
        self.advance()
        views = views_of(self)
        for player, view in views.items():
            self.lives[player].views[self.tick] = view
        applied = [(life.name, *life.applied[-1]) for life in self.lives.values() if life.applied]
        story.tell("room", "tick", self.tick, checksum(views), applied)

    def shuffle(self) -> None:
        """Chance, as the room has it: things come and go, and are told."""
        dice, world = self.random, self.world
        if dice.random() < 0.3:
            drones = [*world[Drone]]
            world.despawn(dice.choice(drones))
            self.spawn_drone()
        if dice.random() < 0.2:
            card = dice.choice([*world[Card]])
            card.holder, card.face = dice.randrange(1, 5), dice.randrange(1 << 16)
        if dice.random() < 0.1:
            world.state.phase += 1
        for player in self.lives:
            if dice.random() < 0.05:
                world.despawn(player.data)
                player.data = self.spawn_ship(player)
            if dice.random() < 0.05:
                player.groups["team"] = dice.randrange(3)
            if dice.random() < 0.1:
                player.data.team, player.data.plan = dice.randrange(3), dice.randrange(1 << 16)
            if dice.random() < 0.2:
                self.say(player)

    def advance(self) -> None:
        for entity_type in (Ship, Drone):
            table: Any = self.world[entity_type]
            table.x = (table.x + table.vx) % (SIZE - STEP)
            table.y = (table.y + table.vy) % (SIZE - STEP)

    def spawn_ship(self, player: Player) -> Ship:
        x, y, vx, vy = self.somewhere()
        return self.world.spawn(
            Ship, owner=player, x=x, y=y, vx=vx, vy=vy, name=player.name, team=player.number % 2, plan=int(x)
        )

    def spawn_drone(self) -> None:
        x, y, vx, vy = self.somewhere()
        ships = [*self.world[Ship]]
        prey = self.random.choice(ships) if ships else None
        self.world.spawn(Drone, x=x, y=y, vx=vx, vy=vy, mark=self.random.randrange(1 << 16), prey=prey)

    def somewhere(self) -> tuple[float, float, float, float]:
        """A place and a speed."""
        dice = self.random
        x, y = dice.randrange(int(400 / STEP)) * STEP, dice.randrange(int(400 / STEP)) * STEP
        return x, y, dice.randrange(-160, 161) // dice.choice((1, 20, 200)) * STEP, 3 * STEP

    def say(self, player: Player, size: int = SMALL_BYTES) -> None:
        """A numbered message to one player."""
        life = self.lives[player]
        life.told.append(self.tick)
        player.send("told", [len(life.told), self.tick, bytes(size)])

    def say_to_all(self, besides: Player) -> None:
        """The same to the others."""
        for player in self.lives:
            if player is not besides:
                self.say(player)


def check_inputs(story: Story, life: Life, player: Player) -> None:
    """What was not applied was dropped or waits: nothing else may become of an input.

    A raw client leaves numbers out, so of it nothing is known but the order.
    """
    queue = player.inputs
    last = life.applied[-1][0] if life.applied else 0
    story.expect(queue.applied_sequence == last, life.name, "applied another sequence", queue.applied_sequence, last)
    if not life.raw:
        lost, dropped = last - len(life.applied), queue.dropped + player._link.dropped_messages
        story.expect(lost <= dropped, life.name, "inputs lost", lost, "dropped", dropped)


# -- what players may see, and what they hold --------------------------------------------------------------------------

#: By entity type: fields by id.
Sight = dict[str, dict[int, tuple[Any, ...]]]


def views_of(room: Yard) -> dict[Player, Sight]:
    """What each player may see at the end of this step."""
    world = room.world
    ships, drones, cards = ([*world[kind]] for kind in (Ship, Drone, Card))
    open_fields = {ship.id: (ship.owner.number, ship.x, ship.y, ship.name, ship.team) for ship in ships}
    hidden = {ship.id: (ship.owner, ship.ammo, ship.team, ship.plan) for ship in ships}
    drone_fields = [
        (cell(drone.x, drone.y), drone.id, (drone.x, drone.y, drone.mark, drone.prey.id if drone.prey else 0))
        for drone in drones
    ]
    card_fields = [(card.holder, card.id, (card.face,)) for card in cards]
    phase = {1: (world.state.phase,)}
    views: dict[Player, Sight] = {}
    for player in room.lives:
        centre, team = cell(player.data.x, player.data.y), player.groups["team"]
        views[player] = {
            "Ship": {
                id: (*fields, ammo if owned_by is player else None, plan if team == its_team else None)
                for (id, fields), (owned_by, ammo, its_team, plan) in zip(
                    open_fields.items(), hidden.values(), strict=True
                )
            },
            "Drone": {id: fields for at, id, fields in drone_fields if near(centre, at)},
            "Card": {id: fields for holder, id, fields in card_fields if holder == player.number},
            "Match": phase,
        }
    return views


def held_by(replica: Replica) -> Sight:
    """What a replica holds, in the same form."""
    ships = replica["Ship"]
    columns = [ships.column(name) for name in ("owner", "x", "y", "name", "team")]
    private = [
        [value if known else None for value, known in zip(ships.column(name).tolist(), ships.known(name), strict=True)]
        for name in ("ammo", "plan")
    ]
    plain = [column if isinstance(column, list) else column.tolist() for column in columns]
    drones, cards, match = replica["Drone"], replica["Card"], replica["Match"]
    drone_columns = [drones.column(name).tolist() for name in ("x", "y", "mark")]
    prey = [row.prey.id if row.prey is not None else 0 for row in drones]
    return {
        "Ship": dict(zip(ships.ids.tolist(), zip(*plain, *private, strict=True), strict=True)),
        "Drone": dict(zip(drones.ids.tolist(), zip(*drone_columns, prey, strict=True), strict=True)),
        "Card": {id: (face,) for id, face in zip(cards.ids.tolist(), cards.column("face").tolist(), strict=True)},
        "Match": {id: (phase,) for id, phase in zip(match.ids.tolist(), match.column("phase").tolist(), strict=True)},
    }


def checksum(views: dict[Player, Sight]) -> str:
    """Of what all players may see."""
    return f"{zlib.crc32(repr([*views.values()]).encode()):08x}"


def difference(expected: Sight | None, held: Sight) -> str:
    """Where two differ, in few words."""
    if expected is None:
        return "a tick that was none"
    parts = []
    for name, rows in expected.items():
        other = held[name]
        parts += [f"{name} {id}: {other.get(id)} not {row}" for id, row in rows.items() if other.get(id) != row]
        parts += [f"{name} {id}: held" for id in other if id not in rows]
    return "; ".join(parts[:4])


def cell(x: float, y: float) -> tuple[int, int]:
    """In which cell of the grid a place is."""
    return int(x // CELL), int(y // CELL)


def near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether things in two cells may be within the radius."""
    gaps = [max(0.0, (abs(a - b) - 1) * CELL) for a, b in zip(one, other, strict=True)]
    return math.hypot(*gaps) < RADIUS * (1 - 1e-10)
