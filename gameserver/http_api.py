"""Rooms over plain HTTP, as JSON: who plays where, and a seat reserved for whoever connects next.

For pages that list rooms and for tools; a player needs none of it, for a hello finds its room by itself::

    GET /rooms[?room=NAME&FIELD=value&FIELD.ge=3]
    POST /matchmake/METHOD/ROOM[/ROOM_ID]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
import trio

from gameprotocol import CloseCode, Hello, ProtocolError
from gameprotocol.closing import reason_with_reconnect, reconnect_seconds
from gameserver.http_reading import MATCHMAKE, parse_query, read_filters, read_hello, read_path
from gameserver.net import Visitor
from gameserver.net.http import JSON, HttpAnswer, HttpRequest, error_answer
from gameserver.net.request_head import Headers, not_allowed
from gameserver.rooms.house import RESERVATION_SECONDS, RoomListing
from gameserver.rooms.metadata import Metadata
from gameserver.waiting_seats import WaitingSeats

#: Rooms in one answer: 500 with a few fields are about 90 KiB. Who wants others asks with a filter.
LISTED_ROOMS: Final = 500
#: Rooms that are looked at before others get a turn: about 0.4 ms, so that a list delays no tick.
_ROOMS_AT_ONCE: Final = 100
#: When an address that has too many seats waiting should ask again, in seconds.
_RETRY_SECONDS: Final = 5.0

_ROOMS: Final = "/rooms"

_STATUSES: Final[dict[int, HTTPStatus]] = {
    CloseCode.ROOM_FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
    CloseCode.RESTART: HTTPStatus.SERVICE_UNAVAILABLE,
    CloseCode.TRY_LATER: HTTPStatus.SERVICE_UNAVAILABLE,
    CloseCode.GOING_AWAY: HTTPStatus.SERVICE_UNAVAILABLE,
    CloseCode.UNSUPPORTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    CloseCode.TOO_BIG: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    CloseCode.NOT_ADMITTED: HTTPStatus.FORBIDDEN,
    CloseCode.UNKNOWN_ROOM: HTTPStatus.NOT_FOUND,
    CloseCode.ROOM_FULL: HTTPStatus.CONFLICT,
    CloseCode.ROOM_LOCKED: HTTPStatus.CONFLICT,
    CloseCode.WRONG_PASSWORD: HTTPStatus.FORBIDDEN,
}


class MatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A reserved seat.

    Attributes:
        room, room_id: where it is.
        seat: the token that a hello takes it with.
        path: where to connect.
        seconds: how long it waits.
    """

    room: str
    room_id: str
    seat: str
    path: str
    seconds: float = RESERVATION_SECONDS


class Matchmaker(Protocol):
    """What the routes ask of the server."""

    def metadata_classes(self) -> Mapping[str, type[Metadata] | None]:
        """The room types by name, and what rooms of each tell of themselves."""

    def listings(self, room: str | None = None) -> Iterable[RoomListing]:
        """Rooms that everybody may know of, of one type or of all. It may take its time between one and the next."""

    async def matchmake(self, room: str, hello: Hello, request: HttpRequest, visitor: Visitor) -> MatchAnswer:
        """Reserve a seat as if ``hello`` had come at the path of ``room``, an ``authenticate`` included.

        Cancellation: no seat stays reserved.

        Raises:
            ProtocolError: with the code with which the hello would have been answered.
        """


class HttpApi:
    """Answers requests for lists of rooms and for seats.

    Args:
        matchmaker: knows the rooms.
        clock: seconds; only rises.

    Attributes:
        waiting: seats that wait for their players. Tell it when a hello has taken one (`WaitingSeats.take`).
    """

    def __init__(self, matchmaker: Matchmaker, clock: Callable[[], float]) -> None:
        self._matchmaker = matchmaker
        self._clock = clock
        self.waiting = WaitingSeats(RESERVATION_SECONDS)

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        """The answer, None when the path is somebody else's.

        Raises:
            RefusedRequestError: 405, which names the methods that would do.
        """
        path = request.path
        if path == _ROOMS:
            if request.method == "OPTIONS":
                return _preflight("GET, HEAD")
            if request.method == "POST":
                raise not_allowed("GET", "HEAD", "OPTIONS")
        elif path.startswith(MATCHMAKE):
            if request.method == "OPTIONS":
                return _preflight("POST")
            if request.method != "POST":
                raise not_allowed("POST", "OPTIONS")
        else:
            return None
        try:
            if path == _ROOMS:
                return _json(await self._list(request.query))
            return _json(await self._match(request, visitor))
        except ProtocolError as error:
            return _refused(error)
        except _TooManySeatsError:
            reason = reason_with_reconnect("too many seats wait for this address", _RETRY_SECONDS)
            return _refused(ProtocolError(CloseCode.TRY_LATER, reason), HTTPStatus.TOO_MANY_REQUESTS)

    async def _list(self, query: str) -> dict[str, Any]:
        asked = parse_query(query)
        room, classes = asked.pop("room", None), self._matchmaker.metadata_classes()
        if isinstance(room, list) or (room is not None and room not in classes):
            raise ProtocolError(CloseCode.UNKNOWN_ROOM, f"no such room; there is {', '.join([*classes][:4])}")
        filters = read_filters(asked, classes if room is None else {room: classes[room]})
        found: list[RoomListing] = []
        for number, listing in enumerate(self._matchmaker.listings(room), 1):
            if not number % _ROOMS_AT_ONCE:
                await trio.lowlevel.checkpoint()
            wanted = filters.get(listing.room)
            if wanted is not None and wanted(listing.metadata):
                found.append(listing)
                if len(found) == LISTED_ROOMS:
                    break
        return {"rooms": found}

    async def _match(self, request: HttpRequest, visitor: Visitor) -> MatchAnswer:
        room, method, room_id = read_path(request.path)
        hello = read_hello(request, method, room_id)
        address = visitor.counted_as
        if address is None:  # as at the door: this machine's own programs have no limit of their own
            return await self._matchmaker.matchmake(room, hello, request, visitor)
        if not self.waiting.begin(address, self._clock()):
            raise _TooManySeatsError
        try:
            match = await self._matchmaker.matchmake(room, hello, request, visitor)
        except BaseException:
            self.waiting.end(address)
            raise
        self.waiting.wait_for(match.seat, address, self._clock())
        return match


class _TooManySeatsError(Exception):
    """Of one address."""


# ---- answers


def _json(value: Any) -> HttpAnswer:
    return HttpAnswer(HTTPStatus.OK, msgspec.json.encode(value), JSON, (("Cache-Control", "no-store"),))


def _preflight(methods: str) -> HttpAnswer:
    """To a browser that asks whether a page may; the door has let that page in."""
    headers: Headers = (
        ("Access-Control-Allow-Methods", methods),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
        ("Access-Control-Max-Age", "600"),
        ("Allow", f"{methods}, OPTIONS"),
    )
    return HttpAnswer(HTTPStatus.NO_CONTENT, headers=headers)


def _refused(error: ProtocolError, status: HTTPStatus | None = None) -> HttpAnswer:
    code = int(error.code)
    status = status or _STATUSES.get(code, HTTPStatus.BAD_REQUEST)
    seconds = reconnect_seconds(code, error.reason)
    headers = () if seconds is None else (("Retry-After", str(math.ceil(seconds))),)
    return error_answer(status, CloseCode(code).name.lower(), code, error.reason, headers)
