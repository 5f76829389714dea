"""What a client says to be let in: the hello, made from what the program asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, get_args

from gameprotocol import Hello, JoinMethod, limits

try:
    _CLIENT: Final = f"tickwire-python/{version('tickwire')}"
except PackageNotFoundError:  # run from a source tree that is not installed
    _CLIENT: Final = "tickwire-python"  # type: ignore[misc]


def make_hello(
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
) -> Hello:
    """The first message of a player who joins; the arguments are those of `Session`.

    Raises:
        ValueError: what was asked for makes no sense; the text says what would.
        TypeError: options or filter cannot travel as msgpack.
    """
    if len(name.encode()) > limits.PLAYER_NAME_BYTES:
        raise ValueError(f"name {name[:20]!r}... is longer than {limits.PLAYER_NAME_BYTES} bytes")
    if method not in get_args(JoinMethod):
        raise ValueError(f"method={method!r}: give one of {', '.join(get_args(JoinMethod))}")
    if method == "join_by_id" and not room_id:
        raise ValueError("method='join_by_id' needs room_id=, the id of the room to join")
    if room_id and method != "join_by_id":
        raise ValueError(f"room_id={room_id!r} goes with method='join_by_id': add that, or leave room_id out")
    if filter and method == "join_by_id":
        raise ValueError("filter= chooses among rooms, and method='join_by_id' names one: leave one of the two out")
    if spectate and method == "create":
        raise ValueError("spectate=True watches a room that is there: use method='join', or 'join_by_id' with room_id=")
    if seat is not None and spectate:
        raise ValueError("seat= is a player's place, and spectate=True takes none: leave one of the two out")
    hello = Hello(
        name=name,
        token=token,
        options=dict(options or {}),
        client=_CLIENT,
        method=method,
        room_id=room_id,
        filter={key: dict(value) if isinstance(value, Mapping) else value for key, value in (filter or {}).items()},
        invite=invite,
        password=password,
        spectate=spectate,
        seat=seat,
    )
    hello.encode()  # so that what cannot travel is an error of the line that gave it
    return hello


def return_hello(hello: Hello, seat: str, tick: int, messages: int) -> Hello:
    """The first message of a player who comes back to its seat.

    Args:
        hello: the one with which the player joined.
        seat: the newest token of the seat.
        tick: of the newest frame that is held, 0 for none. messages: how many messages and replies were received.
    """
    return Hello(
        name=hello.name,
        token=hello.token,
        options=hello.options,
        client=hello.client,
        seat=seat,
        tick=tick,
        messages=messages,
    )
