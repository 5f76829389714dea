"""Seeing through one's own entities, through others' and through points; private fields out of view; three axes."""

from __future__ import annotations

from typing import Any

from gameserver import Entity, Nearby, Room, local, owner, uint
from tests.support.fake_links import FakeLink, HandTickedRoom


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


def seen(space: HandTickedRoom, link: FakeLink) -> tuple[list[int], list[int]]:
    """Ids of the ships that a client holds, and of those whose ammunition it knows."""
    main, private = space.replica(link).tables
    return main.ids.tolist(), private.ids.tolist()


def test_whoever_looks_elsewhere_holds_nothing_of_its_own() -> None:
    with HandTickedRoom(Space("space")) as space:
        link = space.join()
        space.tick()
        player, own = space.player(link), space.player(link).data.id
        assert seen(space, link) == ([own], [own])
        player.watch((2000.0, 2000.0))
        space.tick()
        assert seen(space, link) == ([space.room.far.id], [])
        player.watch(space.room.other_far, player.data)
        space.tick()
        assert seen(space, link) == ([space.room.other_far.id, own], [own])
        player.watch()
        space.tick()
        assert seen(space, link) == ([], [])
        player.watch_own()
        space.tick()
        assert seen(space, link) == ([own], [own])


def test_what_is_gone_is_still_seen_from() -> None:
    with HandTickedRoom(Space("space")) as space:
        link = space.join()
        space.tick()
        space.player(link).watch(space.room.far)
        space.tick()
        neighbour = space.room.world.spawn(Ship, x=2050.0, y=2000.0)
        space.room.world.despawn(space.room.far)
        space.tick()
        assert seen(space, link) == ([neighbour.id], [])


def test_ownership_that_passes_on_takes_the_private_fields_along() -> None:
    with HandTickedRoom(Space("space")) as space:
        one, two = space.join(), space.join()
        space.tick()
        first, second = space.player(one), space.player(two)
        both = sorted([first.data.id, second.data.id])
        assert (seen(space, one), seen(space, two)) == ((both, [first.data.id]), (both, [second.data.id]))
        first.data.owner = second
        space.tick()
        assert (seen(space, one), seen(space, two)) == ((both, []), (both, both))


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

    with HandTickedRoom(Sky("sky")) as sky:
        link = sky.join()
        sky.tick()
        assert sky.replica(link).tables[0].ids.tolist() == [1, 2, 3, 4, 5]
