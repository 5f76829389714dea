"""Playing from a frame loop: pygame, a terminal, any engine that calls you once per frame."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from gameclient._session import JOIN_SECONDS, Session
from gameclient._target import TargetLike


def open(
    target: TargetLike,
    *,
    name: str = "",
    options: Mapping[str, Any] | None = None,
    token: str | None = None,
    join_seconds: float = JOIN_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> Session:
    """Begin to join a room and return at once; ``session.pump()`` once per frame does the rest and never waits.

        with gameclient.open("ws://127.0.0.1:8765/arena", name="Ada") as session:
            while running:
                for event in session.pump(): ...
                for ship in session.world["Ship"]: draw(ship.x, ship.y)
                session.send_input(thrust=key_is_down)

    Leaving the ``with`` block says goodbye and waits a quarter of a second at most for the answer.

    Args:
        target: ``ws://host:port/room``, ``wss://...``, or what ``server.local()`` gives.
        name: what the player wants to be called, at most 64 bytes.
        options: whatever the room wants to know of a joining player.
        token: for a server that checks who comes in.
        join_seconds: seconds until joining is given up; `Disconnected` says so then.
        tls: for wss://, None for the system's certificates and checks.
    Raises:
        ValueError: the target is no WebSocket URL, or the name is too long.
        TypeError: the options cannot travel as msgpack.
    """
    return Session(target, name=name, options=options, token=token, join_seconds=join_seconds, tls=tls)
