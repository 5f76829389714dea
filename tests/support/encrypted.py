"""TLS under the raw client."""

from __future__ import annotations

import trio


class Encrypted:
    """A trio socket's ``send`` and ``recv`` over TLS, so that `RawClient` can do without knowing."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> int:
        await self._stream.send_all(data)
        return len(data)

    async def recv(self, most_bytes: int) -> bytes:
        return bytes(await self._stream.receive_some(most_bytes))

    def close(self) -> None:
        self._stream.transport_stream.socket.close()
