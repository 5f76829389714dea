"""What the tests of SPEC.md's behaviour share: bytes in and out of a server over a socket pair, no client code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import trio

from gameprotocol import SUBPROTOCOL
from gameprotocol._websocket import PING, OddFrame
from gameserver.server import Server
from tests.support.raw_client import RawClient, frame, upgrade_request


class Client:
    """A raw client that decodes what comes."""

    def __init__(self, server: Server) -> None:
        self.raw = RawClient(server.open_socket())
        self._read = 0

    async def open(self, *messages: bytes, path: str = "/arena", offer: str = SUBPROTOCOL) -> None:
        request = upgrade_request(path, Sec_WebSocket_Protocol=offer)
        await self.raw.send(request + b"".join(map(frame, messages)))

    async def send(self, *messages: bytes) -> None:
        await self.raw.send(b"".join(map(frame, messages)))

    async def hello(self, path: str, **keys: Any) -> None:
        """Open with a hello of these keys."""
        await self.open(msgpack.packb([1, keys]), path=path)

    async def say(self, *messages: Any) -> None:
        """Send messages, packed here."""
        await self.send(*map(msgpack.packb, messages))

    async def joined(self, path: str, **keys: Any) -> dict[str, Any]:
        """Open with a hello; the welcome."""
        await self.hello(path, **keys)
        kind, welcome, *_ = await self.next()
        assert kind == 2
        return dict(welcome)

    async def refused(self, path: str, **keys: Any) -> int:
        """Open with a hello; the code with which the server closes before it sends anything."""
        await self.hello(path, **keys)
        code = await self.code()
        assert self._read == 0
        assert isinstance(self.raw.frames[0], OddFrame), "it has let the client in"
        return code

    async def next(self) -> Any:
        """The next message, decoded; pings are skipped."""
        while True:
            await self.raw.until_frames(self._read + 1)
            payload = self.raw.frames[self._read]
            self._read += 1
            if isinstance(payload, bytes):
                return msgpack.unpackb(payload)
            assert payload.opcode == PING, payload

    async def pending(self) -> list[Any]:
        """What has come and was not looked at yet."""
        messages = []
        while True:
            with trio.move_on_after(0.05) as looking:
                messages.append(await self.next())
            if looking.cancelled_caught:
                return messages

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first message for which ``wanted`` is true."""
        while True:
            message = await self.next()
            if wanted(message):
                return message

    async def code(self) -> int:
        """The code with which the server closes."""
        return (await self.raw.until_close())[0]

    async def leave(self, code: int | None = 1000) -> None:
        """Close with a code, or with none."""
        await self.raw.send(frame(b"" if code is None else code.to_bytes(2, "big"), 8))

    def vanish(self) -> None:
        """End without a word, as when the network breaks."""
        self.raw.sock.close()


@contextmanager
def clients_of(server: Server) -> Iterator[Callable[[], Client]]:
    """Makes clients, and ends them all when the block is over."""
    made: list[Client] = []

    def connect() -> Client:
        made.append(Client(server))
        return made[-1]

    try:
        yield connect
    finally:
        for client in made:
            client.vanish()


def is_frame(message: Any) -> bool:
    return bool(message[0] == 3)
