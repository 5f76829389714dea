"""A WebSocket client of few words over a real socket: joins a room and decodes what comes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import msgpack

from gameprotocol import SUBPROTOCOL, Frame, Replica, Schema
from gameprotocol._websocket import PING, PONG
from tests.support.raw_client import RawClient, frame, upgrade_request


class Peer:
    """One player.

    Attributes:
        heard: all messages so far, decoded.
        replica: what the frames so far add up to, hashes checked.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.raw = RawClient(sock)
        self.heard: list[Any] = []
        self._read = 0  # of the frames
        self.replica: Replica | None = None

    async def upgrade(self, path: str, offer: str = SUBPROTOCOL) -> None:
        await self.raw.send(upgrade_request(path, Sec_WebSocket_Protocol=offer))

    async def join(self, path: str, name: str = "") -> Any:
        """Upgrade and say hello; the welcome."""
        await self.upgrade(path)
        await self.send([1, {"name": name}])
        return (await self.until(lambda message: message[0] == 2))[1]

    async def send(self, *messages: Any) -> None:
        """Send messages: bytes as they are, anything else packed."""
        await self.raw.send(b"".join(frame(m if isinstance(m, bytes) else msgpack.packb(m)) for m in messages))

    async def next(self) -> Any:
        """The next message; pings before it are answered."""
        while True:
            self._read += 1
            payload = (await self.raw.until_frames(self._read))[self._read - 1]
            if isinstance(payload, bytes):
                break
            assert payload.opcode == PING, payload
            await self.raw.send(frame(payload.payload(), PONG))
        message = msgpack.unpackb(payload)
        self.heard.append(message)
        if message[0] == 2:
            self.replica = Replica(Schema.from_wire(message[1]["schema"]), message[1]["player"])
        elif message[0] == 3:
            assert self.replica is not None
            state = Frame.from_items(message)
            self.replica.apply(state)
            assert self.replica.check(state)
            try:
                await self.send([6, state.header.tick, 0])  # as every client must
            except OSError:
                pass  # the server has closed; what it sent before is still heard
        return message

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The next message for which ``wanted`` is true."""
        while not wanted(message := await self.next()):
            pass
        return message

    async def frames(self, count: int) -> None:
        """Hear so many more frames."""
        for _ in range(count):
            await self.until(lambda message: message[0] == 3)

    async def closed(self) -> tuple[int, str]:
        """The code and reason with which the server closes."""
        return await self.raw.until_close()

    def leave(self) -> None:
        """Hang up without a word."""
        self.raw.sock.close()
