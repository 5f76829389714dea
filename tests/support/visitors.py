"""Players over real sockets who say how they want to join, and are let in or told why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from gameprotocol._websocket import CLOSE, OddFrame, parse_close
from gameserver import Limits, Server, serve
from tests.support.peers import Peer
from tests.support.raw_client import frame


class RefusedError(Exception):
    """The server has closed with a code and a reason in place of a welcome."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Visitor(Peer):
    """A player who has been let in.

    Attributes:
        welcome: what the server said.
    """

    welcome: dict[str, Any]

    @property
    def room_id(self) -> str:
        """Of the room that it is in."""
        return str(self.welcome["room_id"])

    async def message(self, name: str) -> Any:
        """The payload of the next message of a kind."""
        return (await self.until(lambda message: message[0] == 5 and message[1] == name))[2]

    async def reply(self, number: int) -> tuple[str | None, Any]:
        """Code and payload of the answer to a number."""
        _, _, code, payload = await self.until(lambda message: message[0] == 9 and message[1] == number)
        return code, payload

    async def hang_up(self, code: int = 1000) -> None:
        """Close as one should, and wait for the end."""
        await self.close(code)
        await self.raw.until_eof()
        self.leave()

    async def close(self, code: int = 1000) -> None:
        """Send a Close frame."""
        await self.raw.send(frame(code.to_bytes(2, "big"), CLOSE))


#: Who is here stays until the test is over, whether the test keeps it or not.
_OPEN: list[Visitor] = []


async def enter(server: Server, room: str, **hello: Any) -> Visitor:
    """Join as the hello says.

    Raises:
        RefusedError: the server lets nobody in who says that.
    """
    visitor = Visitor(server.open_socket())
    _OPEN.append(visitor)
    await visitor.upgrade(f"/{room}")
    await visitor.send([1, hello])
    first = (await visitor.raw.until_frames(1))[0]
    if isinstance(first, OddFrame):
        visitor.leave()
        raise RefusedError(*parse_close(first.payload()))
    visitor.welcome = (await visitor.next())[1]
    return visitor


async def outcome(server: Server, room: str, **hello: Any) -> tuple[int, str]:
    """What becomes of somebody who says that: 0 and the room's id, or the code and reason of the refusal."""
    try:
        return 0, (await enter(server, room, **hello)).room_id
    except RefusedError as refused:
        return refused.code, refused.reason


async def outcomes(server: Server, room: str, hellos: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """The same for several at once, in the order of the hellos."""
    found: list[tuple[int, str]] = [(-1, "")] * len(hellos)

    async def one(at: int) -> None:
        found[at] = await outcome(server, room, **hellos[at])

    async with trio.open_nursery() as nursery:
        for at in range(len(hellos)):
            nursery.start_soon(one, at)
    return found


@asynccontextmanager
async def served(*rooms: Any, **arguments: Any) -> AsyncIterator[Server]:
    """A server, with a bound on the time of the test's clock; what `enter` opened is closed behind it."""
    limits = Limits(dead_seconds=1e6)  # who is not heard by the test answers no pings, and hours may pass in a moment
    try:
        with trio.fail_after(1e6):
            async with serve(*rooms, **{"limits": limits, **arguments}) as server:
                yield server
    finally:
        while _OPEN:
            _OPEN.pop().leave()
