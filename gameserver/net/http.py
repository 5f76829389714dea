"""Plain HTTP on the game's port: requests that ask for no WebSocket, and their answers. Pure.

A request has at most `BODY_BYTES` behind a head that `gameserver.net.request_head` has let through. h11 reads it once
more, takes the body apart and writes the head of the answer, so that no handler can send one that is framed wrongly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import h11

from gameserver.net.bounds import HEAD_BYTES
from gameserver.net.request_head import Headers, RefusedRequestError, RequestHead

#: The longest body of a request. What a page asks of a server for games has some hundred bytes, and a token 1 to 2 KiB.
BODY_BYTES: Final = 16 * 1024
#: What a handler may take to answer, in seconds: an author's ``authenticate`` has 5 of them.
ANSWER_SECONDS: Final = 15.0
#: An answer is sent in pieces of so many bytes, and of a large file only one of them is in memory at a time.
PIECE_BYTES: Final = 64 * 1024
#: What a peer may take to read a piece, in seconds: who reads 6.4 KiB a second gets a file of any length.
SEND_SECONDS: Final = 10.0
#: How long a connection is kept for the next request, in seconds; and the requests that it serves in all.
KEEP_SECONDS: Final = 5.0
KEPT_REQUESTS: Final = 200

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

_WITHOUT_BODY: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_CLOSED: Final = ("Connection", "close")
_KEPT: Final = ("Keep-Alive", f"timeout={KEEP_SECONDS:g}")
#: No answer is taken for something else than it says, and no other site is told at which path somebody was.
_EVERYWHERE: Final = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin"))

#: Words for programs in answers to a POST that never came to its handler, with the close code that a player would see.
_REFUSALS: Final[dict[HTTPStatus, tuple[str, int | None]]] = {
    HTTPStatus.FORBIDDEN: ("not_admitted", 4003),
    HTTPStatus.NOT_FOUND: ("unknown_path", None),
    HTTPStatus.METHOD_NOT_ALLOWED: ("wrong_method", None),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("too_big", 1009),
    HTTPStatus.TOO_MANY_REQUESTS: ("try_later", 1013),
    HTTPStatus.SERVICE_UNAVAILABLE: ("try_later", 1013),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("failed", 1011),
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A whole request.

    Attributes:
        method: GET, HEAD, POST or OPTIONS.
        target: the path with its query, as it was sent; starts with "/".
        headers: names in lower case, values without outer spaces, in order.
        body: empty but for a POST.
    """

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query; nothing in it is decoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the question mark, still encoded."""
        return self.target.partition("?")[2]

    def field(self, name: str) -> str | None:
        """The value of the field of this name (in lower case), None when there is none."""
        return next((value for each, value in self.headers if each == name), None)


class BodySource(Protocol):
    """A body that is read while it is sent.

    Attributes:
        length: in bytes.
    """

    length: int

    async def read(self, offset: int, most_bytes: int) -> bytes:
        """Some of the body from ``offset`` on, at least one byte.

        Raises:
            OSError: it cannot be read, or is not any more what it was.
        """


#: What is kept anyway is sent from a view: copies of parts for a thousand slow readers would be gigabytes.
Body = bytes | memoryview | BodySource


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a request is answered. The body is left out for HEAD; length and framing are seen to.

    Attributes:
        headers: besides Content-Type, Content-Length, Connection, X-Content-Type-Options and what CORS needs.
        keep: whether the connection may take another request then. Say so only where the next request, which may be
            somebody else's behind a proxy, costs no more than this one: the door does not count it.
    """

    status: HTTPStatus
    body: Body = b""
    content_type: str = TEXT
    headers: Headers = ()
    keep: bool = False

    @property
    def length(self) -> int:
        """Of the body, in bytes."""
        return len(self.body) if isinstance(self.body, bytes | memoryview) else self.body.length


def error_answer(status: HTTPStatus, error: str, code: int | None, reason: str, headers: Headers = ()) -> HttpAnswer:
    """JSON that says what is wrong.

    Args:
        error: a word for programs. code: the close code that a player would see, None when there is none like it.
        reason: for people.
    """
    body = json.dumps({"error": error, "code": code, "reason": reason}).encode()
    return HttpAnswer(status, body, JSON, (("Cache-Control", "no-store"), *headers))


def refusal_answer(refusal: RefusedRequestError, method: str) -> HttpAnswer:
    """A refusal as an answer: JSON for who sent a POST, for that is what it reads, and text for everybody else."""
    if method != "POST":
        return HttpAnswer(refusal.status, f"{refusal}\n".encode(), TEXT, refusal.fields())
    error, code = _REFUSALS.get(refusal.status, ("bad_request", None))
    return error_answer(refusal.status, error, code, str(refusal), refusal.fields())


class Exchange:
    """One request and its answer.

    Args:
        head: as it was read. data: the bytes that it was read from.
    Raises:
        RefusedRequestError: 400 when h11 reads it otherwise.

    Attributes:
        head: of the request.
        extra: fields that every answer has.
    """

    def __init__(self, head: RequestHead, data: bytes) -> None:
        self.head = head
        self.extra: Headers = (("Vary", "Origin"),)
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._body = bytearray()
        self._missing = head.body_bytes
        try:
            self._connection.receive_data(data)
            event = self._connection.next_event()
        except h11.RemoteProtocolError:
            event = None
        if not (
            isinstance(event, h11.Request)
            and (event.method, event.target) == (head.method.encode(), head.path.encode())
        ):
            raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "The request is malformed.")

    def check_length(self) -> None:
        """RefusedRequestError 413 when the body would be too long."""
        if self._missing > BODY_BYTES:
            raise RefusedRequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is longer than {BODY_BYTES} bytes."
            )

    def receive(self, data: bytes) -> bool:
        """Take what has come of the body; whether that is all of it. What is behind it is nobody's."""
        data = data[: self._missing]
        self._missing -= len(data)
        if data:
            self._connection.receive_data(data)
        while isinstance(event := self._connection.next_event(), h11.Data):
            self._body += event.data
        return isinstance(event, h11.EndOfMessage)

    def request(self) -> HttpRequest:
        """The whole request, once all of it has come."""
        return HttpRequest(self.head.method, self.head.path, self.head.headers, bytes(self._body))

    @property
    def wants_more(self) -> bool:
        """Whether the client would send another request on the connection."""
        return not any("close" in value.lower() for value in self.head.fields("connection"))

    def render(self, answer: HttpAnswer, *, keep: bool = False) -> tuple[bytes, Body]:
        """The head to send, and the body to send behind it: empty where none belongs there.

        Args:
            keep: the connection takes another request.
        Raises:
            h11.LocalProtocolError: the answer has a field that cannot be sent.
        """
        has_body = answer.status not in _WITHOUT_BODY
        fields = [_KEPT if keep else _CLOSED, *_EVERYWHERE]
        if has_body:
            fields += [("Content-Type", answer.content_type), ("Content-Length", str(answer.length))]
        head = h11.Response(
            status_code=answer.status.value,
            reason=answer.status.phrase.encode(),
            headers=[*fields, *answer.headers, *self.extra],
        )
        return self._connection.send(head) or b"", answer.body if has_body and self.head.method != "HEAD" else b""


def cors_fields(origin: str) -> Headers:
    """Fields with which a browser shows an answer to a page of ``origin``, which the door has let in."""
    return (("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", "Retry-After"))
