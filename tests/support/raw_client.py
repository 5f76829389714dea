"""A client of raw bytes over a socket pair, and a room that records what it gets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import trio

from gameprotocol._websocket import CLOSE, FrameParser, OddFrame, binary_frame, masked_frame, parse_close
from gameprotocol.closing import ProtocolError
from gameserver.net import (
    GAME_RULES,
    Entrance,
    Limits,
    Link,
    LinkRules,
    Poller,
    RefusedRequestError,
    RequestHead,
    Visitor,
    serve_connection,
)
from gameserver.net.http import HttpAnswer, HttpRequest
from gameserver.net.responder import Pages

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MASK = b"\x11\x22\x33\x44"


def upgrade_request(path: str = "/arena", **fields: str) -> bytes:
    """An upgrade request; ``fields`` replace or add header fields, underscores stand for hyphens, "" leaves one out."""
    headers = {
        "Host": "localhost",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value]
    return f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


def frame(payload: bytes = b"", opcode: int = 2, *, fin: bool = True) -> bytes:
    """A masked client frame."""
    return masked_frame(payload, MASK, opcode, fin=fin)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells; bounded by the caller's ``fail_after``, or free on a virtual clock."""
    while not condition():  # noqa: ASYNC110 - the condition is the state of plain objects
        await trio.sleep(0.001)


class RecordingRoom:
    """A connection handler and a room in one: keeps links and messages; optionally echoes by reliable message."""

    pages: Pages | None = None

    def __init__(
        self,
        *,
        refusal: ProtocolError | None = None,
        echo: bool = False,
        limits: Limits | None = None,
        rules: LinkRules = GAME_RULES,
    ) -> None:
        self.entrance = Entrance(limits or Limits())
        self.poller: Poller[str] = Poller()
        self.links: list[Link] = []
        self.hellos: list[bytes] = []
        self.messages: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.echo = echo
        self.rules = rules
        self._refusal = refusal

    def choose_subprotocol(self, path: str, offered: tuple[str, ...]) -> str | None:
        return offered[0] if offered else None

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        return HttpAnswer(HTTPStatus.OK, b"ok") if request.path == "/healthz" else None

    def check_path(self, path: str) -> None:
        if path == "/nowhere":
            raise RefusedRequestError(HTTPStatus.NOT_FOUND, "No such room.")

    async def on_hello(self, link: Link, head: RequestHead, visitor: Visitor, payload: bytes) -> None:
        self.hellos.append(payload)
        self.headers = dict(head.headers)
        if self._refusal is not None:
            raise self._refusal
        self.links.append(link)
        self.poller.add(link, "owner")

    def tick(self) -> None:
        """One receive phase of a room."""
        for link, _ in self.poller.poll():
            for message in link.receive():
                self.messages.append(message)
                if self.echo:
                    link.send_frames(binary_frame(message))
        for link, _ in self.poller.take_closed():
            self.poller.remove(link)

    async def run(self) -> None:
        """Tick for ever, at 100 Hz of the (perhaps virtual) clock."""
        while True:
            self.tick()
            await trio.sleep(0.01)


class RawClient:
    """The other end of the socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = trio.socket.from_stdlib_socket(sock)
        self.received = b""  # everything that came, as it came
        self.parser = FrameParser(masked=False, max_payload_bytes=1 << 24)
        self.frames: list[bytes | OddFrame] = []

    async def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        while data:
            data = data[await self.sock.send(data) :]

    async def read(self) -> bool:
        """Wait for bytes and cut them into ``frames``; False at the end of the stream."""
        try:
            data = await self.sock.recv(65536)
        except ConnectionResetError:
            return False
        self._cut(data)
        return bool(data)

    def _cut(self, data: bytes) -> None:
        self.received += data
        if b"\r\n\r\n" not in self.received:
            return
        if b"\r\n\r\n" not in self.received[: len(self.received) - len(data)]:
            data = self.received.split(b"\r\n\r\n", 1)[1]
        self.frames += self.parser.feed(data)
        while isinstance(self.parser.stop, OddFrame):
            self.frames.append(self.parser.stop)
            self.frames += self.parser.feed(b"")

    async def upgrade(self, behind: bytes = b"", **fields: str) -> None:
        """Send the request, with ``behind`` in the same packet, and wait for the 101."""
        await self.send(upgrade_request(**fields) + behind)
        while b"\r\n\r\n" not in self.received:
            assert await self.read(), "refused"
        assert self.received.startswith(b"HTTP/1.1 101")

    async def until_frames(self, count: int) -> list[bytes | OddFrame]:
        """Wait until ``count`` frames have come, or the end; returns all of them."""
        while len(self.frames) < count and await self.read():
            pass
        return self.frames

    async def until_close(self) -> tuple[int, str]:
        """Wait for the Close frame; its code and reason. (0, "") when the stream ends without one."""
        while True:
            for event in self.frames:
                if isinstance(event, OddFrame) and event.opcode == CLOSE:
                    return parse_close(event.payload())
            if not await self.read():
                return 0, ""

    async def until_eof(self) -> None:
        """Read to the end of the stream."""
        while await self.read():
            pass


@asynccontextmanager
async def connected(room: RecordingRoom) -> AsyncIterator[tuple[RawClient, trio.CancelScope]]:
    """``serve_connection`` on one end of a pair, a client on the other; the scope cancels the server's side."""
    ours, theirs = socket.socketpair()
    client = RawClient(theirs)
    scope = trio.CancelScope()

    async def serve() -> None:
        with scope:
            await serve_connection(ours, None, room)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield client, scope
            client.sock.close()
            while ours.fileno() != -1:  # the room is what notices that the peer has gone
                room.tick()
                await trio.sleep(0.01)
    room.poller.close()
