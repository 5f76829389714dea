"""The conformance server: the links that players have, with the bounds of `LinkRules` lifted, and an echo for a room.

A public suite of WebSocket tests wants its messages back, text included. It gets them through the product's own
listener, TLS, upgrade, link and poller, so what the suite judges is the transport that games run on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from gameprotocol._websocket import BINARY, TEXT, frame_header
from gameserver.net import (
    Entrance,
    Limits,
    Link,
    LinkRules,
    Poller,
    RequestHead,
    TextMessage,
    Tls,
    Visitor,
    open_listeners,
    serve_listeners,
)
from gameserver.net.http import HttpAnswer, HttpRequest

#: The largest message of the suite has 16 MiB, the longest row of fragments 65 536; that row takes seconds to come.
ECHO_RULES: Final = LinkRules(message_bytes=1 << 24, fragments=1 << 17, text=True, metered=False, queue_bytes=1 << 25)
ECHO_LIMITS: Final = Limits(messages_per_second=1e9, bytes_per_second=1e12, hello_seconds=60.0)
#: Ticks without news before the room sleeps between them; a tick is much shorter than the peer's turn.
_EAGER_TICKS: Final = 200
_TICK_SECONDS: Final = 0.001


class EchoRoom:
    """A connection handler and a room in one. What it calls hello is a message like any other.

    Args:
        tls: encrypts what is accepted; None for plain connections.
    """

    rules = ECHO_RULES
    pages = None

    def __init__(self, tls: Tls | None) -> None:
        self.entrance = Entrance(ECHO_LIMITS, tls=tls)
        self._poller: Poller[None] = Poller()

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        """There are no pages."""
        return None

    def check_path(self, path: str) -> None:
        """Each is as good as any."""

    def choose_subprotocol(self, path: str, offered: tuple[str, ...]) -> str | None:
        """The first that is offered."""
        return offered[0] if offered else None

    async def on_hello(self, link: Link, head: RequestHead, visitor: Visitor, payload: bytes) -> None:
        """Echo, and watch the link from now on."""
        _echo(link, payload)
        self._poller.add(link, None)

    def tick(self) -> bool:
        """What has come goes back; whether any link had something."""
        links = self._poller.poll()
        for link, _ in links:
            for message in link.receive():
                _echo(link, message)
        for link, _ in self._poller.take_closed():
            self._poller.remove(link)
        return bool(links)

    async def run(self) -> None:
        """Tick for ever: at once while something comes, a thousand times a second otherwise."""
        idle_ticks = 0
        try:
            while True:
                idle_ticks = 0 if self.tick() else idle_ticks + 1
                await trio.sleep(0 if idle_ticks < _EAGER_TICKS else _TICK_SECONDS)
        finally:
            self._poller.close()


def _echo(link: Link, message: bytes) -> None:
    opcode = TEXT if isinstance(message, TextMessage) else BINARY
    link.send_frames(frame_header(len(message), opcode) + message)


@asynccontextmanager
async def echo_server(tls: Tls | None = None) -> AsyncIterator[int]:
    """Serve on a free port of this machine, over TLS when ``tls`` is given; gives the port."""
    room = EchoRoom(tls)
    listeners = await open_listeners("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_listeners, listeners, room, nursery)
        nursery.start_soon(room.run)
        yield listeners[0].getsockname()[1]
        nursery.cancel_scope.cancel()
