"""Rooms for the tests of the browser's client: what they hear they write down, so that nothing is lost unseen."""

from __future__ import annotations

from typing import Annotated, Any

from gameserver import (
    Entity,
    Input,
    Message,
    Meta,
    Metadata,
    Player,
    RequestError,
    Room,
    State,
    fixed,
    handles,
    owner,
    text,
    uint,
)


class Dot(Entity):
    x = fixed(0, 1000, step=1 / 16)
    name = text(max_bytes=24)
    secret = uint(16, to=owner)


class Tally(State):
    heard = uint(16)


class Push(Input):
    right: bool = False
    speed: Annotated[float, Meta(ge=0, le=10)] = 1.0


class LabInfo(Metadata):
    mode: str = "plain"
    level: int = 1


class Add(Message):
    first: int
    second: int = 0


class Lab(Room):
    """Each player has a dot that goes right as long as it is pushed, and a list of the notes it has sent."""

    tick_rate = 40
    entities = (Dot,)
    state = Tally
    input = Push
    missing_input = "skip"
    metadata = LabInfo
    allow_reconnection = 4.0
    max_spectators = 2

    def on_create(self) -> None:
        self.locked = bool(self.options.get("locked"))
        self.private = bool(self.options.get("private"))
        self.pushes: dict[int, int] = {}
        self.notes: dict[int, list[int]] = {}

    def on_join(self, player: Player) -> None:
        player.data = self.world.spawn(Dot, owner=player, name=player.name or "nobody", secret=player.number)
        self.notes[player.number] = []
        self.pushes[player.number] = 0
        player.send("welcome", player.name)

    def on_drop(self, player: Player, reason: str) -> None:
        player.send("missed", reason)

    def on_leave(self, player: Player, reason: str) -> None:
        self.world.despawn(player.data)
        self.broadcast("left", player.number)

    def step(self, dt: float) -> None:
        for player, push in self.inputs:
            if push.right:
                player.data.x = min(1000, player.data.x + push.speed)
                self.pushes[player.number] += 1

    @handles("note")
    def note(self, player: Player, number: int) -> None:
        self.notes[player.number].append(number)
        self.world.state.heard += 1
        player.send("noted", number)

    @handles("notes")
    def tell_notes(self, player: Player, payload: None) -> list[int]:
        return self.notes[player.number][-48:]

    @handles("pushes")
    def tell_pushes(self, player: Player, payload: None) -> int:
        return self.pushes[player.number]

    @handles("add")
    def add(self, player: Player, add: Add) -> int:
        return add.first + add.second

    @handles("fail")
    def fail(self, player: Player, payload: Any) -> None:
        raise RequestError("not now", "come back tomorrow")

    @handles("kick")
    def kick(self, player: Player, payload: None) -> None:
        player.kick("out with you")


class Single(Lab):
    """One seat, which is not kept."""

    max_players = 1
    allow_reconnection = 0.0


class Patient(Lab):
    """Keeps seats for as long as a slow machine needs to start a server."""

    allow_reconnection = 30.0


class Board(Lab):
    """Ticks when something happens."""

    tick_rate = None
