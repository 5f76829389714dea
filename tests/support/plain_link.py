"""The plain link: get_message and nothing else, on the WebSocket library's own stream handling.

It is the oracle for the fast link: the same bytes must give the same messages, in the same order, and the same close
code.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

import trio
import trio_websocket

from gameprotocol import limits
from gameprotocol.closing import CloseCode


@dataclass
class Outcome:
    """What a link made of a stream of bytes.

    Attributes:
        messages: the binary messages, in order.
        close_code: why it ended; 1006 when the peer just went.
    """

    messages: list[bytes] = field(default_factory=list)
    close_code: int = 0


async def run_plain_link(sock: socket.socket) -> Outcome:
    """Serve one end of a socket pair until the peer closes or goes; the upgrade included."""
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    outcome = Outcome()
    async with trio.open_nursery() as nursery:
        request = await trio_websocket.wrap_server_stream(
            nursery, stream, message_queue_size=1, max_message_size=limits.CLIENT_MESSAGE_BYTES
        )
        websocket = await request.accept()
        try:
            while True:
                message = await websocket.get_message()
                if isinstance(message, str):
                    outcome.close_code = CloseCode.UNSUPPORTED
                    break
                outcome.messages.append(message)
        except trio_websocket.ConnectionClosed as closed:
            outcome.close_code = closed.reason.code if closed.reason else 0
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(stream)
    return outcome
