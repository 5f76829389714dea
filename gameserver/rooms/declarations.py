"""What a room class declares: checked before anything starts, and made once for all rooms of the class."""

from __future__ import annotations

import functools
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gameprotocol import Schema
from gameserver.rooms.handlers import find_handlers
from gameserver.rooms.inputs import Input, InputCodec, MissingInput
from gameserver.rooms.metadata import check_metadata
from gameserver.sync.rates import MaxRate
from gameserver.sync.sight import Sight
from gameserver.world.entity import Entity, State
from gameserver.world.errors import DeclarationError
from gameserver.world.publish import PublishedWorld
from gameserver.world.world import World, schema_tables

if TYPE_CHECKING:
    from gameserver.rooms.room import Room

#: Of so many classes it is kept what all rooms of a class share.
CLASSES_KEPT: Final = 256
_LOWEST_RATE, _HIGHEST_RATE = 1.0, 240.0


def input_codec(room_class: type[Room]) -> InputCodec | None:
    """The codec of a room class's inputs, None when it takes none."""
    if room_class.input is None:
        return None
    return _make_codec(room_class.input, room_class.inputs_per_tick, missing_input(room_class))


@functools.lru_cache(maxsize=CLASSES_KEPT)  # it holds a class of its own, which takes more than a room's whole state
def _make_codec(input_type: type[Input], per_tick: int, missing: MissingInput) -> InputCodec:
    return InputCodec(input_type, per_tick, missing)


@functools.lru_cache(maxsize=CLASSES_KEPT)
def make_schema(entity_types: tuple[type[Entity], ...], codec: InputCodec | None) -> tuple[Schema, Any]:
    """What clients are told of rooms that hold these types and take these inputs; the same as it travels."""
    schema = Schema(tables=schema_tables(entity_types), input=codec.schema if codec is not None else None)
    return schema, schema.to_wire()


def missing_input(room_class: type[Room]) -> MissingInput:
    """What a player without a new input does; without a tick rate there is nothing that it could do again."""
    return "skip" if room_class.tick_rate is None else room_class.missing_input


@functools.lru_cache(maxsize=CLASSES_KEPT)  # each room asks, and a server may make thousands
def check_declarations(room_class: type[Room]) -> None:
    """Find mistakes in the declarations of a subclass of `Room`.

    Raises:
        DeclarationError: names the class, the attribute and what to do.
    """
    name = room_class.__name__
    _check_rate(room_class)
    _check_seats(room_class)
    find_handlers(room_class)
    if isinstance(room_class.entities, type):
        raise DeclarationError(f"{name}.entities is one class: write ({room_class.entities.__name__},) with the comma")
    state = room_class.state
    if state is not None and not (isinstance(state, type) and issubclass(state, State)):
        raise DeclarationError(f"{name}.state = {state!r}: give a subclass of State, or None")
    if room_class.missing_input not in ("repeat", "neutral", "skip"):
        raise DeclarationError(f'{name}.missing_input = {room_class.missing_input!r}: "repeat", "neutral" or "skip"')
    if room_class.metadata is not None:
        check_metadata(room_class.metadata)
    if room_class.seed is not None and type(room_class.seed) is not int:
        raise DeclarationError(f"{name}.seed = {room_class.seed!r}: give a whole number, or None")
    if room_class.max_rate is not None and not isinstance(room_class.max_rate, MaxRate):
        raise DeclarationError(
            f"{name}.max_rate = {room_class.max_rate!r}: give MaxRate(frames=..., bytes=...), or None"
        )
    if room_class.page is not None and not (isinstance(room_class.page, str) and room_class.page):
        raise DeclarationError(f"{name}.page = {room_class.page!r}: give the name of a folder, or None")
    input_codec(room_class)
    world = World(room_class.entities, state)
    Sight(PublishedWorld(world), world, room_class.view)


def page_folder(room_class: type[Room]) -> Path | None:
    """The folder of a room class's page; None when it has none.

    Raises:
        DeclarationError: it is not there, or has no index.html. Not told by `check_declarations`: rooms are tested
            before the page of a game has been built.
    """
    if room_class.page is None:
        return None
    declared = next(each for each in room_class.__mro__ if "page" in vars(each))
    what, folder = f"{declared.__name__}.page = {room_class.page!r}", Path(room_class.page)
    if not folder.is_absolute():
        file = getattr(sys.modules.get(declared.__module__), "__file__", None)
        if file is None:
            raise DeclarationError(f"{what}: {declared.__name__} is in no file, so give an absolute path")
        folder = Path(file).resolve().parent / folder
    if not folder.is_dir():
        raise DeclarationError(
            f"{what}: there is no folder {folder}; build the page, or name the folder from where the class stands"
        )
    if not (folder / "index.html").is_file():
        raise DeclarationError(f"{what}: there is no index.html in {folder}; build the page, or write one")
    return folder


def _check_rate(room_class: type[Room]) -> None:
    name, rate = room_class.__name__, room_class.tick_rate
    if rate is None:
        if room_class.max_rate is not None:
            raise DeclarationError(f"{name}.max_rate is for rooms with a tick rate: give one of them up")
        if room_class.spectator_delay:
            raise DeclarationError(f"{name}.spectator_delay is for rooms with a tick rate: give one of them up")
    elif isinstance(rate, bool) or not isinstance(rate, (int, float)) or not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise DeclarationError(
            f"{name}.tick_rate = {rate!r}: give ticks per second, {_LOWEST_RATE:g} to {_HIGHEST_RATE:g}, or None for a "
            f"room that ticks when something happens"
        )


def _check_seats(room_class: type[Room]) -> None:
    name = room_class.__name__
    for attribute, least, none in (
        ("inputs_per_tick", 1, False),
        ("max_players", 1, True),
        ("max_spectators", 0, True),
    ):
        value = getattr(room_class, attribute)
        if not (value is None and none) and (type(value) is not int or value < least):
            raise DeclarationError(f"{name}.{attribute} = {value!r}: give a whole number from {least}")
    for attribute, none in (("allow_reconnection", False), ("spectator_delay", False), ("close_when_empty", True)):
        value = getattr(room_class, attribute)
        if value is None and none:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise DeclarationError(f"{name}.{attribute} = {value!r}: give seconds from 0")
