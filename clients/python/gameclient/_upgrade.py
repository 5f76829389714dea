"""The opening handshake without I/O: the request, the server's answer, and what an answer that refuses means."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, RejectConnection, RejectData, Request
from wsproto.utilities import RemoteProtocolError

from gameclient._target import Endpoint
from gameprotocol import SUBPROTOCOL

#: Longest head of an answer, in bytes; the same bound as common HTTP servers have for a request's.
_HEAD_BYTES: Final = 16 * 1024
#: How much of a refusal's text is kept, in bytes.
_BODY_BYTES: Final = 1024
_SHOWN_CHARACTERS: Final = 160

_ADVICE: Final = {
    400: "is it a WebSocket server of this kind?",
    401: "the server wants other credentials: check the token",
    403: "the server does not let this program in",
    404: "check the path in the URL: it names the room",
    426: "the server wants another version of the protocol: update the older of the two",
    429: "too many connections: try again later",
    503: "the server takes no players now: try again later",
}


class RefusedError(Exception):
    """The server did not accept the upgrade; the text says what it answered and what to do."""


class Upgrade:
    """One upgrade request and its answer.

    Attributes:
        request: the bytes to send.
        connection: the WebSocket library's state machine for odd frames, once ``feed`` has returned bytes.
        status: of an HTTP answer that refuses, 0 while there is none.
        retry_after: when to come back as such an answer says, in seconds; None when it does not.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._library = WSConnection(ConnectionType.CLIENT)
        self._received = b""
        self.status = 0
        self.retry_after: float | None = None
        self._body = b""
        self.request: bytes = self._library.send(
            Request(host=endpoint.authority, target=endpoint.path, subprotocols=[SUBPROTOCOL])
        )
        self.connection: Connection | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Take what the socket gave.

        Returns:
            None while the answer is not whole, then the bytes that came behind it.
        Raises:
            RefusedError: the answer is not the one that was hoped for.
        """
        if not self.status:
            self._received += data
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                if len(self._received) > _HEAD_BYTES:
                    raise RefusedError("the server's answer never ends: is it a WebSocket server?")
                return None
            data, rest = self._received[: end + 4], self._received[end + 4 :]
            if self._take(data):
                return rest
            data = rest
        if data:  # no bytes would mean to the library that the server has hung up
            self._take(data)
        return None

    def end(self) -> RefusedError:
        """The server has closed the connection before its answer was whole."""
        if self.status:
            return self._refusal()
        if self._received:
            return RefusedError("the server hung up in the middle of its answer: is it a WebSocket server?")
        return RefusedError(
            "the server hung up without an answer: is it a WebSocket server, does it want wss://, or is it too busy?"
        )

    def _take(self, data: bytes) -> bool:
        """Show ``data`` to the library; whether the upgrade is accepted by it."""
        try:
            self._library.receive_data(data)
            for event in self._library.events():
                if isinstance(event, AcceptConnection):
                    self._check(event)
                    self.connection = self._library.connection
                    return True
                if isinstance(event, RejectConnection):
                    self.status = event.status_code
                    self.retry_after = _retry_after(event.headers)
                    if not event.has_body:
                        raise self._refusal()
                elif isinstance(event, RejectData):
                    self._body += event.data
                    if event.body_finished or len(self._body) > _BODY_BYTES:
                        raise self._refusal()
        except (RemoteProtocolError, UnicodeError) as error:
            raise RefusedError(f"the server's answer makes no sense ({error}): is it a WebSocket server?") from None
        return False

    def _check(self, answer: AcceptConnection) -> None:
        if answer.subprotocol != SUBPROTOCOL:
            raise RefusedError(
                f"the server speaks WebSocket but not {SUBPROTOCOL}: check the address, or update the older of the two"
            )

    def _refusal(self) -> RefusedError:
        try:
            phrase = f" {HTTPStatus(self.status).phrase}"
        except ValueError:
            phrase = ""
        text = " ".join(self._body.decode("utf-8", "replace").split())[:_SHOWN_CHARACTERS]
        said = f" ({text})" if text else ""
        advice = _ADVICE.get(self.status, "check the address")
        return RefusedError(f"the server answered {self.status}{phrase}{said}: {advice}")


def _retry_after(fields: Iterable[tuple[bytes, bytes]]) -> float | None:
    """The seconds in a Retry-After field (RFC 9110, 10.2.3); a date is not read, for clocks differ."""
    for name, value in fields:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) <= 6:
            return float(value)
    return None
