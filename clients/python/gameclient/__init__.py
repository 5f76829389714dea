"""Tickwire's Python client: joins a room, keeps a mirror of its world, sends what the player wants to do, comes back.

    open       for frame loops (pygame and the like): returns at once, ``pump`` it once per frame
    connect    for trio programs: ``async with``, a task of its own pumps
    Session    what both give
    Way        a player's connections to one room, one after the other: for programs that drive a thousand in one loop

It imports the protocol and never the server.
"""

from __future__ import annotations

from gameclient._errors import ClientError as ClientError
from gameclient._errors import ConnectError as ConnectError
from gameclient._errors import DisconnectedError as DisconnectedError
from gameclient._errors import InputError as InputError
from gameclient._errors import RequestFailedError as RequestFailedError
from gameclient._errors import RequestTimeoutError as RequestTimeoutError
from gameclient._events import Disconnected as Disconnected
from gameclient._events import Dropped as Dropped
from gameclient._events import Event as Event
from gameclient._events import FrameApplied as FrameApplied
from gameclient._events import Joined as Joined
from gameclient._events import MessageReceived as MessageReceived
from gameclient._events import MessageRefused as MessageRefused
from gameclient._events import Returned as Returned
from gameclient._frame_loop import open as open
from gameclient._joining import return_hello as return_hello
from gameclient._link import VANISHED as VANISHED
from gameclient._link import ClientLink as ClientLink
from gameclient._requests import RequestPending as RequestPending
from gameclient._returning import patience_seconds as patience_seconds
from gameclient._session import Session as Session
from gameclient._stats import Stats as Stats
from gameclient._target import LocalTarget as LocalTarget
from gameclient._target import TargetLike as TargetLike
from gameclient._trio import TrioSession as TrioSession
from gameclient._trio import connect as connect
from gameclient._way import Way as Way
from gameprotocol import CloseCode as CloseCode
from gameprotocol import JoinMethod as JoinMethod
from gameprotocol import Replica as Replica
from gameprotocol import ReplicaTable as ReplicaTable
from gameprotocol import Row as Row
