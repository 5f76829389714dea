"""A connection handler with the JSON routes over rooms that do not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any

import trio

from gameprotocol import Hello
from gameserver import Limits, Meta
from gameserver.http_api import HttpApi, MatchAnswer
from gameserver.net import Door, Entrance, Tls, Visitor
from gameserver.net.http import HttpAnswer, HttpRequest
from gameserver.rooms.house import RoomListing
from gameserver.rooms.metadata import Metadata
from tests.support.raw_client import RecordingRoom


class DuelInfo(Metadata):
    mode: str = "classic"
    level: Annotated[int, Meta(ge=1, le=50)] = 1
    speed: float = 1.0
    ranked: bool = False


def listing(room: str, room_id: str, *, max_players: int | None = None, **metadata: Any) -> RoomListing:
    """A room with one player in it."""
    return RoomListing(
        room=room,
        room_id=room_id,
        players=1,
        max_players=max_players,
        spectators=3,
        locked=False,
        has_password=True,
        metadata=metadata,
    )


def duel(room_id: str, mode: str = "classic", level: int = 1, speed: float = 1.0, ranked: bool = False) -> RoomListing:
    """A room of type duel."""
    return listing("duel", room_id, max_players=2, mode=mode, level=level, speed=speed, ranked=ranked)


class FakeMatchmaker:
    """Says what it is told to.

    Attributes:
        rooms: all that it lists.
        error: what `matchmake` raises, None for a seat.
        seconds: how long it takes.
        asked: what it was asked: room, hello, request, address.
    """

    def __init__(self, *rooms: RoomListing) -> None:
        self.rooms = list(rooms)
        self.error: Exception | None = None
        self.seconds = 0.0
        self.asked: list[tuple[str, Hello, HttpRequest, str]] = []

    def metadata_classes(self) -> Mapping[str, type[Metadata] | None]:
        return {"duel": DuelInfo, "plain": None}

    def listings(self, room: str | None = None) -> Iterable[RoomListing]:
        return [each for each in self.rooms if room in (None, each.room)]

    async def matchmake(self, room: str, hello: Hello, request: HttpRequest, visitor: Visitor) -> MatchAnswer:
        self.asked.append((room, hello, request, str(visitor.address)))
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return MatchAnswer(room=room, room_id="7", seat=f"seat-{len(self.asked)}", path=f"/{room}")


class Games(RecordingRoom):
    """Serves ``/healthz``, the routes, and WebSockets everywhere but at ``/nowhere``.

    Attributes:
        matchmaker: of the routes. api: the routes.
        failure: what every request without a route meets.
    """

    def __init__(self, *rooms: RoomListing, tls: Tls | None = None, **door: Any) -> None:
        super().__init__()
        limits = Limits()
        self.entrance = Entrance(limits, Door(limits, most_connections=500, encrypted=tls is not None, **door), tls)
        self.matchmaker = FakeMatchmaker(*rooms)
        self.api = HttpApi(self.matchmaker, trio.current_time)
        self.failure: Exception | None = None

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        if request.path == "/healthz":
            return HttpAnswer(HTTPStatus.OK, b"ok\n")
        if request.path == "/broken":
            return HttpAnswer(HTTPStatus.OK, b"", headers=(("X", "a\r\nb"),))
        answer = await self.api.answer(request, visitor)
        if answer is None and self.failure is not None:
            raise self.failure
        return answer
