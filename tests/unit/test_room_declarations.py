"""A room that cannot work is refused before anything starts, with the class, the attribute and the cure."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gameprotocol import Schema, unpack_from_server
from gameprotocol._codec import pack
from gameserver import (
    DeclarationError,
    Entity,
    Input,
    MaxRate,
    Room,
    State,
    fixed,
    reference,
    serve,
    serve_in_thread,
    uint,
)
from gameserver.demo.arena import Arena
from gameserver.rooms.room import check_room_class


class Ship(Entity):
    x = fixed(0, 1, step=0.1)
    target = reference("Ship")


class Match(State):
    round = uint(8)


class Steer(Input):
    up: bool = False


class Good(Room):
    entities = (Ship,)
    state = Match
    input = Steer


@pytest.mark.parametrize(
    ("declared", "parts"),
    [
        ({"tick_rate": 0}, ("Bad.tick_rate = 0", "1 to 240")),
        ({"tick_rate": 0.99}, ("Bad.tick_rate", "1 to 240")),
        ({"tick_rate": 240.1}, ("Bad.tick_rate", "1 to 240")),
        ({"tick_rate": -20}, ("Bad.tick_rate",)),
        ({"tick_rate": math.nan}, ("Bad.tick_rate",)),
        ({"tick_rate": math.inf}, ("Bad.tick_rate",)),
        ({"tick_rate": "20"}, ("Bad.tick_rate = '20'",)),
        ({"tick_rate": True}, ("Bad.tick_rate = True",)),
        ({"tick_rate": None}, ()),
        ({"tick_rate": None, "max_rate": MaxRate(frames=5)}, ("Bad.max_rate", "tick rate")),
        ({"tick_rate": None, "spectator_delay": 3}, ("Bad.spectator_delay", "tick rate")),
        ({"max_spectators": -1}, ("Bad.max_spectators = -1", "from 0")),
        ({"max_spectators": None, "spectator_delay": 2.5, "allow_reconnection": 30, "close_when_empty": None}, ()),
        ({"spectator_delay": -1}, ("Bad.spectator_delay = -1", "seconds")),
        ({"allow_reconnection": True}, ("Bad.allow_reconnection = True", "seconds")),
        ({"allow_reconnection": None}, ("Bad.allow_reconnection = None", "seconds")),
        ({"allow_reconnection": math.inf}, ("Bad.allow_reconnection = inf", "seconds")),
        ({"close_when_empty": "10"}, ("Bad.close_when_empty = '10'", "seconds")),
        ({"metadata": {"mode": "duel"}}, ("metadata", "subclass gameserver.Metadata")),
        ({"entities": Ship}, ("Bad.entities", "(Ship,)", "comma")),
        ({"entities": (Ship, Ship)}, ("two entities are called Ship", "rename")),
        ({"entities": (Ship, 5)}, ("5", "subclass Entity")),
        ({"entities": (Match,)}, ("Match is a State", "`state`")),
        (
            {"entities": (type(Entity)("Bullet", (Entity,), {"aim": reference("Shp")}),)},
            ("Bullet.aim", "Shp", "add it"),
        ),
        ({"state": Ship}, ("Bad.state", "State")),
        ({"state": Match}, ()),
        ({"state": 5}, ("Bad.state = 5", "State")),
        ({"input": Ship}, ("input", "subclass gameserver.Input")),
        ({"input": "Steer"}, ("input = 'Steer'", "subclass gameserver.Input")),
        ({"missing_input": "again"}, ("Bad.missing_input = 'again'", '"repeat"')),
        ({"inputs_per_tick": 0}, ("Bad.inputs_per_tick = 0", "from 1")),
        ({"inputs_per_tick": 1.5}, ("Bad.inputs_per_tick",)),
        ({"inputs_per_tick": True}, ("Bad.inputs_per_tick",)),
        ({"inputs_per_tick": None}, ("Bad.inputs_per_tick",)),
        ({"max_players": 0}, ("Bad.max_players = 0", "from 1")),
        ({"max_players": "8"}, ("Bad.max_players = '8'",)),
        ({"seed": "x"}, ("Bad.seed = 'x'", "whole number")),
        ({"seed": -5, "max_players": None, "inputs_per_tick": 3}, ()),
    ],
)
async def test_a_wrong_room_is_refused_before_anything_starts(declared: dict[str, Any], parts: tuple[str, ...]) -> None:
    room_class = type("Bad", (Room,), declared)
    if not parts:
        check_room_class(room_class)
        return
    with pytest.raises(DeclarationError) as caught:
        check_room_class(room_class)
    said = str(caught.value)
    assert all(part in said for part in parts), said
    with pytest.raises(DeclarationError):
        room_class()
    with pytest.raises(DeclarationError):
        async with serve(Good, room_class, port=0):
            raise AssertionError("it started")
    with pytest.raises(DeclarationError), serve_in_thread(room_class):
        raise AssertionError("it started")


@pytest.mark.parametrize("wrong", [int, None, "Arena", Good(), object()])
def test_what_is_no_room_is_refused(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=r"subclass gameserver\.Room"):
        check_room_class(wrong)


@pytest.mark.parametrize("room_class", [Room, Good, Arena])
def test_a_good_rooms_schema_survives_the_wire(room_class: type[Room]) -> None:
    schema = room_class().schema()
    assert Schema.from_wire(unpack_from_server(pack(schema.to_wire()))) == schema


def test_a_rooms_own_values_and_those_given_to_it() -> None:
    class Slow(Room):
        tick_rate = 4
        seed = 5

    own, given = Slow(), Slow("name", "7", tick_rate=8, seed=6)
    assert (own.rate, own.dt, own.seed_used, own.name) == (4.0, 0.25, 5, "slow")
    assert (given.rate, given.dt, given.seed_used, given.name, given.id) == (8.0, 0.125, 6, "name", "7")
    assert own.random.random() == Slow().random.random() != given.random.random()
    assert Room().seed_used != Room().seed_used
    assert Room().state is None


def test_rooms_of_a_class_share_nothing() -> None:
    first, second = Good(), Good()
    first.world.spawn(Ship)
    first.state.round = 3
    assert len(second.world[Ship]) == 0
    assert second.state.round == 0
