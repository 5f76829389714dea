"""The front desk: where connections and requests come in, are asked who they are, and are shown to their room."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final

import trio

from gameprotocol import SUBPROTOCOL, CloseCode, Hello, ProtocolError, unpack_from_client
from gameprotocol.closing import reason_with_reconnect
from gameserver.http_api import HttpApi, MatchAnswer
from gameserver.net import GAME_RULES, Entrance, Link, RefusedRequestError, RequestHead, Visitor
from gameserver.net.http import HttpAnswer, HttpRequest
from gameserver.net.request_head import Headers, not_allowed
from gameserver.rooms.authentication import Authenticate, Identity, authenticate, join_request
from gameserver.rooms.directory import Directory
from gameserver.rooms.house import RESERVATION_SECONDS, RoomListing
from gameserver.rooms.metadata import Metadata
from gameserver.web.site import Site

#: A server that restarts needs about a second, or two with a large game; who comes earlier only tries again.
RECONNECT_SECONDS: Final = 2.0
#: Below the rate at which a server accepts connections by default (`Limits.connects_per_second`).
_RECONNECTS_PER_SECOND: Final = 200.0


class FrontDesk:
    """What a server does with connections and requests; a `ConnectionHandler` and a `Matchmaker`.

    Args:
        directory: the rooms. entrance: who may come in.
        pages: what is shown to browsers.
        authenticate: says who somebody is, where a room has no method for it; None to ask nobody.
        chance: spreads the times at which players come back.

    Attributes:
        entrance, pages: as given.
    """

    def __init__(
        self,
        directory: Directory,
        entrance: Entrance,
        pages: Site,
        authenticate: Authenticate | None,
        chance: random.Random,
    ) -> None:
        self.entrance = entrance
        self.pages = pages
        self._directory = directory
        self._authenticate = authenticate
        self._chance = chance
        self._http_api = HttpApi(self, trio.current_time)

    @property
    def _is_draining(self) -> bool:
        return self.entrance.door.closed_for_seconds is not None

    # -- what gameserver.net asks of a handler

    rules = GAME_RULES

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        """What a request is answered that is for no page: whether the server is alive and takes players, and what
        `gameserver.http_api` knows.
        """
        if request.path in ("/healthz", "/readyz"):
            if request.method not in ("GET", "HEAD"):
                raise not_allowed("GET", "HEAD")
            if request.path == "/healthz":
                return HttpAnswer(HTTPStatus.OK, b"ok\n")
            if self._is_draining:
                return HttpAnswer(HTTPStatus.SERVICE_UNAVAILABLE, b"draining\n")
            return HttpAnswer(HTTPStatus.OK, b"ready\n")
        answer = await self._http_api.answer(request, visitor)
        if answer is None and self.pages.knows(request.path):
            raise not_allowed("GET", "HEAD")
        return answer

    def check_path(self, path: str) -> None:
        """RefusedRequestError 404 when no room type has that path; it names those that there are."""
        if _room_name(path) not in self._directory.room_classes:
            raise RefusedRequestError(HTTPStatus.NOT_FOUND, f"No such room; there is {self._directory.known_names()}.")

    def choose_subprotocol(self, path: str, offered: tuple[str, ...]) -> str | None:
        """Ours if it is offered. Otherwise any: a browser shows a close reason only if the upgrade succeeded."""
        if SUBPROTOCOL in offered:
            return SUBPROTOCOL
        return offered[0] if offered else None

    async def on_hello(self, link: Link, head: RequestHead, visitor: Visitor, payload: bytes) -> None:
        """The first message has come: into a room with it, or ProtocolError."""
        if SUBPROTOCOL not in _offered(head):
            raise ProtocolError(CloseCode.WRONG_VERSION, f"offer the WebSocket subprotocol {SUBPROTOCOL}")
        hello = Hello.from_items(unpack_from_client(payload))
        name = _room_name(link.path)
        if hello.seat is not None:  # its token says who it is
            self._directory.take_seat(name, link, hello)
            self._http_api.waiting.take(hello.seat)
            return
        identity = await self._identify(name, link.path, head.headers, hello, visitor)
        if not link.closed:
            self._directory.join(name, link, hello, identity)

    async def _identify(
        self, name: str, path: str, headers: Headers, hello: Hello, visitor: Visitor
    ) -> Identity | None:
        """Ask the author who somebody is that wants a seat; None when the author does not care.

        Raises:
            ProtocolError: it may not have one, or not now.
        """
        room_class = self._directory.room_class(name)
        hook = room_class.authenticate or self._authenticate
        identity: Identity | None = None
        if hook is not None:
            address = "" if visitor.address is None else str(visitor.address)
            request = join_request(name, path, dict(headers), hello, address)
            identity = await authenticate(hook, request, self.entrance.limits.authenticate_seconds)
        if self._is_draining:
            raise ProtocolError(CloseCode.RESTART, self.when_to_reconnect(1))
        return identity

    # -- what gameserver.http_api asks of a matchmaker

    def metadata_classes(self) -> Mapping[str, type[Metadata] | None]:
        """What rooms of each type say of themselves."""
        return {name: room_class.metadata for name, room_class in self._directory.room_classes.items()}

    def listings(self, room: str | None = None) -> Iterator[RoomListing]:
        """As `House.listings`, one at a time: with thousands of rooms a list takes longer than a tick may be late."""
        return self._directory.house.listings_one_by_one(room)

    async def matchmake(self, room: str, hello: Hello, request: HttpRequest, visitor: Visitor) -> MatchAnswer:
        """Reserve a seat as if ``hello`` had come at the path of ``room``; raises ProtocolError as that would."""
        identity = await self._identify(room, request.target, request.headers, hello, visitor)
        loop, seat = self._directory.reserve(room, hello, identity, RESERVATION_SECONDS)
        return MatchAnswer(room=room, room_id=loop.room.id, seat=seat, path=f"/{room}", seconds=RESERVATION_SECONDS)

    def when_to_reconnect(self, players: int) -> str:
        """The reason of a close with code 1012; each player is told another time, so that not all come back at once."""
        spread = max(1.0, players / _RECONNECTS_PER_SECOND)
        return reason_with_reconnect("the server restarts", RECONNECT_SECONDS + self._chance.random() * spread)


def _offered(head: RequestHead) -> set[str]:
    return {item.strip() for value in head.fields("sec-websocket-protocol") for item in value.split(",")}


def _room_name(path: str) -> str:
    return path.partition("?")[0].strip("/")
