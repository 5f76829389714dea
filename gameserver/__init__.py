"""Tickwire's server: write a `Room` and a few `Entity` types, and `serve` them.

    from gameserver import Entity, Input, Room, fixed, serve

The layers, each importing only those above it:

    gameprotocol   the wire: pure
    world          entity types, tables, publish: pure
    sync           views, chunks, frames, pacing: pure
    net            sockets and WebSockets
    rooms          room, player, seats, tick loop, directory
    desk           who comes in, and into which room; http_api is its side for pages and tools
    server         listening, and how far a failure reaches; cli and config sit on it

Beside them, for authors: `gameserver.matchmaking` has ready-made rooms (a rank queue, a lobby) that use what is public
here; `gameserver.testing` runs rooms under test without sockets.
"""

from __future__ import annotations

from msgspec import Meta as Meta

from gameprotocol import CloseCode as CloseCode
from gameserver.net import Limits as Limits
from gameserver.net import TlsError as TlsError
from gameserver.rooms.authentication import Identity as Identity
from gameserver.rooms.authentication import JoinRequest as JoinRequest
from gameserver.rooms.authentication import Reject as Reject
from gameserver.rooms.handlers import Message as Message
from gameserver.rooms.handlers import RequestError as RequestError
from gameserver.rooms.handlers import handles as handles
from gameserver.rooms.house import House as House
from gameserver.rooms.house import RoomFullError as RoomFullError
from gameserver.rooms.house import RoomListing as RoomListing
from gameserver.rooms.inputs import Input as Input
from gameserver.rooms.metadata import Metadata as Metadata
from gameserver.rooms.player import Player as Player
from gameserver.rooms.room import Room as Room
from gameserver.rooms.timers import Timer as Timer
from gameserver.server import LocalAddress as LocalAddress
from gameserver.server import Server as Server
from gameserver.server import serve as serve
from gameserver.server import serve_in_thread as serve_in_thread
from gameserver.sync.rates import MaxRate as MaxRate
from gameserver.sync.views import Everyone as Everyone
from gameserver.sync.views import Nearby as Nearby
from gameserver.sync.views import View as View
from gameserver.sync.views import Visible as Visible
from gameserver.world.audience import Audience as Audience
from gameserver.world.audience import everyone as everyone
from gameserver.world.audience import group as group
from gameserver.world.audience import owner as owner
from gameserver.world.entity import Entity as Entity
from gameserver.world.entity import State as State
from gameserver.world.errors import DeclarationError as DeclarationError
from gameserver.world.errors import EntityGoneError as EntityGoneError
from gameserver.world.errors import FieldValueError as FieldValueError
from gameserver.world.errors import StaleColumnError as StaleColumnError
from gameserver.world.errors import TableFullError as TableFullError
from gameserver.world.errors import WorldError as WorldError
from gameserver.world.fields import angle as angle
from gameserver.world.fields import binary as binary
from gameserver.world.fields import boolean as boolean
from gameserver.world.fields import fixed as fixed
from gameserver.world.fields import float32 as float32
from gameserver.world.fields import integer as integer
from gameserver.world.fields import local as local
from gameserver.world.fields import reference as reference
from gameserver.world.fields import text as text
from gameserver.world.fields import uint as uint
from gameserver.world.fields import value as value
from gameserver.world.table import Table as Table
from gameserver.world.world import World as World
