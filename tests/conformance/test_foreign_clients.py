"""Clients that share no code with the server: the websockets package, and Node's ws when it is installed.

For the latter: ``npm install --prefix tests/conformance/node``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from gameprotocol._websocket import binary_frame
from gameserver.net import VANISHED, open_listeners, serve_listeners
from tests.support.raw_client import RecordingRoom, until

NODE = Path(__file__).parent / "node"
SECONDS = 10  # real time; a bound, not a wait


class EchoRoom(RecordingRoom):
    """Echoes, and closes the link when it is told to."""

    def tick(self) -> None:
        for link, _ in self.poller.poll():
            for message in link.receive():
                self.messages.append(message)
                if message == b"close me":
                    link.close(4123, "as you wish")
                else:
                    link.send_frames(binary_frame(message))
            if link.closed:
                self.poller.remove(link)


@asynccontextmanager
async def served() -> AsyncIterator[tuple[EchoRoom, str]]:
    """A server on a free port and its address."""
    room = EchoRoom()
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            listeners = await open_listeners("127.0.0.1", 0)
            nursery.start_soon(serve_listeners, listeners, room, nursery)
            nursery.start_soon(room.run)
            yield room, f"ws://127.0.0.1:{listeners[0].getsockname()[1]}/arena"
            nursery.cancel_scope.cancel()
    room.poller.close()


async def play(client: Callable[[ClientConnection], Any], url: str) -> Any:
    """Run ``client``, in a thread, with a connection that has joined the room."""

    def run() -> Any:
        with connect(url, subprotocols=["tickwire"], open_timeout=5, close_timeout=5) as connection:  # type: ignore[list-item]
            connection.send(b"hello")
            connection.send(b"joined?")
            assert connection.recv(5) == b"joined?"
            return client(connection)

    return await trio.to_thread.run_sync(run, abandon_on_cancel=True)


async def closed_link(room: EchoRoom) -> tuple[int, str, bool]:
    """How the room's only link ended."""
    await until(lambda: room.links and room.links[0].closed)
    link = room.links[0]
    return link.close_code, link.close_reason, link.ended_by_peer


async def test_websockets_messages_pings_and_fragments() -> None:
    def client(connection: ClientConnection) -> tuple[object, ...]:
        assert connection.ping(b"?").wait(5)
        connection.send([b"frag", b"ment", b"ed"])
        connection.send(bytes(4096))
        connection.send(b"last")
        return connection.subprotocol, *(connection.recv(5) for _ in range(3))

    async with served() as (room, url):
        assert await play(client, url) == ("tickwire", b"fragmented", bytes(4096), b"last")
        assert await closed_link(room) == (1000, "", True)


async def test_websockets_large_answers() -> None:
    def client(connection: ClientConnection) -> int:
        for number in range(8):  # as many as the limits allow at once
            connection.send(bytes((number,)) * 2048)
        return sum(len(connection.recv(5)) for _ in range(8))

    async with served() as (_, url):
        assert await play(client, url) == 8 * 2048


async def test_websockets_closes() -> None:
    async with served() as (room, url):
        await play(lambda connection: connection.close(4321, "enough"), url)
        assert await closed_link(room) == (4321, "enough", True)


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (b"close me", 4123, "as you wish"),
        ("text", 1003, "messages must be binary"),
        (bytes(4097), 1009, "a message may have 4096 bytes"),
    ],
    ids=["room closes", "text", "oversize"],
)
async def test_websockets_is_closed(message: bytes | str, code: int, reason: str) -> None:
    def client(connection: ClientConnection) -> tuple[int, str]:
        connection.send(message)
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(5)
        assert caught.value.rcvd is not None
        return caught.value.rcvd.code, caught.value.rcvd.reason

    async with served() as (room, url):
        assert await play(client, url) == (code, reason)
        assert await closed_link(room) == (code, reason, False)


async def test_websockets_vanishes() -> None:
    async with served() as (room, url):
        await play(lambda connection: connection.socket.shutdown(2), url)
        assert (await closed_link(room))[0] == VANISHED


async def test_websockets_is_told_when_the_server_goes() -> None:
    def client(connection: ClientConnection) -> int:
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(5)
        assert caught.value.rcvd is not None
        return caught.value.rcvd.code

    codes: list[int] = []
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as outer, served() as (room, url):
            outer.start_soon(_into, codes, client, url)
            await until(lambda: room.messages)
    assert codes == [1001]


async def _into(codes: list[int], client: Callable[[ClientConnection], int], url: str) -> None:
    codes.append(await play(client, url))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.skipif(
    not (NODE / "node_modules" / "ws").is_dir(), reason="needs npm install --prefix tests/conformance/node"
)
@pytest.mark.parametrize(
    ("who", "code", "reason"), [("server-closes", 4123, "as you wish"), ("client-closes", 4321, "done")]
)
async def test_node_ws(who: str, code: int, reason: str) -> None:
    async with served() as (room, url):
        finished = await trio.run_process(
            ["node", str(NODE / "client.mjs"), url, who], capture_stdout=True, stderr=subprocess.DEVNULL, check=False
        )
        assert json.loads(finished.stdout) == {
            "echoes": [3, 10, 4096],
            "pong": "are you there",
            "protocol": "tickwire",
            "code": code,
            "reason": reason,
        }
        assert await closed_link(room) == (code, reason, who == "client-closes")
