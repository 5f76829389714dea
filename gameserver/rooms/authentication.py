"""Asking a game's author who somebody is, before that player has a seat."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import trio

from gameprotocol import CloseCode, Hello, ProtocolError
from gameprotocol.closing import reason_with_reconnect
from gameserver.logs import is_secret, log_event

_log = logging.getLogger("gameserver.rooms")

#: What asks too slowly now (a data base under load) may answer in a while.
_RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a player who wants to join has shown.

    Attributes:
        room: the room type's name.
        query: of the URL; of a name that is there twice the last value. Do not have tokens sent in it: URLs end up in
            the logs of proxies.
        headers: of the request, names in lower case, ``cookie`` and ``authorization`` among them.
        token: of the hello, "" when the client gave none. Up to 3072 bytes.
        name: what the player wants to be called.
        options: what the hello said besides.
        address: whom it comes from, as far as trusted proxies tell; "" inside this process.
    """

    room: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    token: str = field(repr=False)
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    address: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a player is; the room finds it in ``player.identity``.

    Attributes:
        id: yours, such as the account's.
        name: replaces the name that the player gave; None to leave it.
        data: whatever the room needs to know besides.
    """

    id: str
    name: str | None = None
    data: Any = None


@dataclass(frozen=True, slots=True)
class Reject:
    """The player may not join; it is told why, with close code 4003.

    Attributes:
        reason: one short sentence for the player, at most 123 bytes.
    """

    reason: str = "not admitted"


#: What an author writes: ``async def authenticate(request)``, for a server or as a class method of a room.
Authenticate: TypeAlias = Callable[[JoinRequest], Awaitable[Identity | Reject]]


def parse_query(path: str) -> dict[str, str]:
    """The parameters of a request target."""
    return dict(parse_qsl(path.partition("?")[2], keep_blank_values=True))


def check_authenticate(hook: Any, where: str) -> None:
    """TypeError when ``hook`` cannot be an ``authenticate``; the text begins with ``where`` and names the cure."""
    if not inspect.iscoroutinefunction(hook):
        raise TypeError(f"{where} must be an async function that takes a request: async def authenticate(request)")
    try:
        inspect.signature(hook).bind(None)
    except TypeError:
        raise TypeError(
            f"{where} must take the request alone. In a room write @classmethod above it: there is no room yet"
        ) from None


async def authenticate(hook: Authenticate, request: JoinRequest, seconds: float) -> Identity:
    """Ask ``hook`` who somebody is.

    Args:
        seconds: what it may take.
    Raises:
        ProtocolError: 4003 when it says no; 1013 when it takes too long; 1011 when it fails, which is logged.
    """
    answer: Any = None
    try:
        with trio.move_on_after(seconds) as patience:
            answer = await hook(request)
    except Exception as error:
        shown = _presentable(error, request)
        log_event(_log, logging.ERROR, "authenticate failed", peer=request.address, room=request.room, exc_info=shown)
        raise ProtocolError(CloseCode.ROOM_FAILED, "internal error") from None
    if patience.cancelled_caught:
        log_event(_log, logging.ERROR, "authenticate took too long", peer=request.address, room=request.room)
        why = "could not find out who you are in time"
        raise ProtocolError(CloseCode.TRY_LATER, reason_with_reconnect(why, _RETRY_SECONDS))
    if isinstance(answer, Reject):
        log_event(_log, logging.INFO, "not admitted", peer=request.address, room=request.room, reason=answer.reason)
        raise ProtocolError(CloseCode.NOT_ADMITTED, answer.reason)
    if not isinstance(answer, Identity):
        log_event(
            _log,
            logging.ERROR,
            "authenticate must return an Identity or a Reject",
            peer=request.address,
            room=request.room,
            returned=type(answer).__name__,
        )
        raise ProtocolError(CloseCode.ROOM_FAILED, "internal error")
    return answer


def _presentable(error: Exception, request: JoinRequest) -> Exception:
    """``error``, or what stands for it when its text holds a secret, as that of ``sessions[request.token]`` does."""
    secrets = [request.token, *(value for name, value in request.headers.items() if is_secret(name))]
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:
        return error  # of an odd class, whose text nobody else can read either
    if not any(secret and (secret in text or repr(secret)[1:-1] in text) for secret in secrets):
        return error
    stand_in = RuntimeError(f"{type(error).__name__}: its text holds what a player has shown, and is left out")
    return stand_in.with_traceback(error.__traceback__)


def join_request(room: str, path: str, headers: Mapping[str, str], hello: Hello, address: str) -> JoinRequest:
    """What an author is shown of somebody who wants to join."""
    return JoinRequest(
        room=room,
        query=parse_query(path),
        headers=headers,
        token=hello.token or "",
        name=hello.name,
        options=hello.options,
        address=address,
    )
