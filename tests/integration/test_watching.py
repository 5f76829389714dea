"""Seeing through one's own entities, through others' and through points; private fields out of view; three axes."""

from __future__ import annotations

from typing import Any

from gameserver import Entity, Nearby, Room, local, owner, uint
from gameserver.testing import RoomTester, ScriptedPlayer


class Ship(Entity):
    x, y = local(float), local(float)
    ammo = uint(8, default=7, to=owner)


class Space(Room):
    entities = (Ship,)
    view = Nearby(100, hysteresis=2)

    def on_create(self) -> None:
        self.far = self.world.spawn(Ship, x=2000.0, y=2000.0)
        self.other_far = self.world.spawn(Ship, x=-3000.0, y=0.0)

    def on_join(self, player: Any) -> None:
        player.data = self.world.spawn(Ship, owner=player, x=10.0, y=10.0)


def seen(player: ScriptedPlayer) -> tuple[list[int], list[int]]:
    """Ids of the ships that a client holds, and of those whose ammunition it knows."""
    main, private = player.world.tables
    return main.ids.tolist(), private.ids.tolist()


def test_whoever_looks_elsewhere_holds_nothing_of_its_own() -> None:
    with RoomTester(Space) as space:
        ada = space.join()
        player, own = ada.player, ada.player.data.id
        assert seen(ada) == ([own], [own])
        player.watch((2000.0, 2000.0))
        space.ticks()
        assert seen(ada) == ([space.room.far.id], [])
        player.watch(space.room.other_far, player.data)
        space.ticks()
        assert seen(ada) == ([space.room.other_far.id, own], [own])
        player.watch()
        space.ticks()
        assert seen(ada) == ([], [])
        player.watch_own()
        space.ticks()
        assert seen(ada) == ([own], [own])


def test_what_is_gone_is_still_seen_from() -> None:
    with RoomTester(Space) as space:
        ada = space.join()
        ada.player.watch(space.room.far)
        space.ticks()
        neighbour = space.world.spawn(Ship, x=2050.0, y=2000.0)
        space.world.despawn(space.room.far)
        space.ticks()
        assert seen(ada) == ([neighbour.id], [])


def test_ownership_that_passes_on_takes_the_private_fields_along() -> None:
    with RoomTester(Space) as space:
        ada, bob = space.join(), space.join()
        first, second = ada.player.data, bob.player.data
        both = sorted([first.id, second.id])
        assert (seen(ada), seen(bob)) == ((both, [first.id]), (both, [second.id]))
        first.owner = bob.player
        space.ticks()
        assert (seen(ada), seen(bob)) == ((both, []), (both, both))


def test_three_axes() -> None:
    class Drone(Entity):
        x, y, z = local(float), local(float), local(float)

    class Sky(Room):
        entities = (Drone,)
        view = Nearby(50, axes=("x", "y", "z"))

        def on_join(self, player: Any) -> None:
            self.world.spawn(Drone, owner=player)
            for away in (40.0, -40.0, 300.0):
                self.world.spawn(Drone, z=away)
                self.world.spawn(Drone, x=away, y=0.0, z=20.0)

    with RoomTester(Sky) as sky:
        assert sky.join().world[Drone].ids.tolist() == [1, 2, 3, 4, 5]
