"""Playing from a frame loop: pygame, a terminal, any engine that calls you once per frame."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from gameclient._session import JOIN_SECONDS, Session
from gameclient._target import TargetLike
from gameprotocol import JoinMethod


def open(
    target: TargetLike,
    *,
    name: str = "",
    options: Mapping[str, Any] | None = None,
    token: str | None = None,
    method: JoinMethod = "join_or_create",
    room_id: str = "",
    filter: Mapping[str, Any] | None = None,
    invite: str = "",
    password: str = "",
    spectate: bool = False,
    seat: str | None = None,
    reconnect: bool = True,
    join_seconds: float = JOIN_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> Session:
    """Begin to join a room and return at once; ``session.pump()`` once per frame does the rest and never waits.

        with gameclient.open("ws://127.0.0.1:8765/arena", name="Ada") as session:
            while running:
                for event in session.pump(): ...
                for ship in session.world["Ship"]: draw(ship.x, ship.y)
                session.send_input(thrust=key_is_down)

    Leaving the ``with`` block says goodbye and waits a quarter of a second at most for the answer. A connection that is
    lost is made again by `pump` if the room keeps the player's seat; `Dropped` and `Returned` tell of it.

    Args:
        target: ``ws://host:port/room``, ``wss://...``, or what ``server.local()`` gives.
        name: what the player wants to be called, at most 64 bytes.
        options: whatever the room wants to know of a joining player; of who makes a room, how it should be.
        token: for a server that checks who comes in.
        method: "join_or_create": the first room that fits, or a new one; "create": a new one; "join": the first that
            fits; "join_by_id": the one of ``room_id``.
        room_id: of the room, with ``method="join_by_id"``.
        filter: what the room's metadata must be: values, or bounds as ``{"level": {"ge": 3, "le": 7}}``, by field.
        invite: code of a private room; the room is found by it whatever the method.
        password: of a room that has one.
        spectate: come to watch.
        seat: token of a seat that matchmaking reserved; nothing else about how to find a room is needed then.
        reconnect: come back by itself when the connection is lost and the room keeps the player's seat.
        join_seconds: seconds until joining is given up; `Disconnected` says so then.
        tls: for wss://, None for the system's certificates and checks.
    Raises:
        ValueError: the target is no WebSocket URL, or arguments do not fit to each other; the text names the cure.
        TypeError: the options or the filter cannot travel as msgpack.
    """
    return Session(
        target,
        name=name,
        options=options,
        token=token,
        method=method,
        room_id=room_id,
        filter=filter,
        invite=invite,
        password=password,
        spectate=spectate,
        seat=seat,
        reconnect=reconnect,
        join_seconds=join_seconds,
        tls=tls,
    )
