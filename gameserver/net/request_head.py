"""The head of a request, read strictly before a library sees it.

The WebSocket library leaves the checks of RFC 9112 to HTTP code that is more lenient than a game server needs, and
malformed heads are contained here. So only what passes goes on: ASCII, HTTP/1.1, four methods, a body only of a POST
that tells its length, one Host, one sane key. What is left for the library to judge is the upgrade itself (Upgrade,
Connection, Sec-WebSocket-Version), which only a GET may ask for; see `gameserver.net.http` for requests that are none.
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode
from collections import Counter
from http import HTTPStatus
from typing import Final, NamedTuple

from gameserver.net.bounds import HEAD_BYTES, HEAD_FIELDS

Headers = tuple[tuple[str, str], ...]

#: What the WebSocket library needs to know of a request. It keeps every field that it sees for the connection's life.
_UPGRADE_FIELDS: Final = frozenset(
    ("connection", "host", "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version", "upgrade")
)
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t]*)")
_TARGET: Final = re.compile(rb"/[\x21-\x7e]*")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
#: What a TLS connection begins with: a record of type handshake, version 3 (RFC 8446, 5.1).
_TLS: Final = b"\x16\x03"
#: Fields that must not be repeated: two of them mean that two parsers may disagree on which one counts.
_SINGLE: Final = (
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "origin",
    "sec-websocket-key",
    "sec-websocket-version",
    "upgrade",
)
#: What the port serves; each path serves less.
_METHODS: Final = ("GET", "HEAD", "POST", "OPTIONS")
#: Digits of a length that are read at all: what is longer is too long anyway, and Python refuses to read thousands.
_LENGTH: Final = re.compile(r"[0-9]{1,20}")


class RefusedRequestError(Exception):
    """The request is answered with an HTTP status, and the connection closed.

    Attributes:
        status: what to answer.
        retry_after_seconds: when to come back; None to say nothing about it.
        allow: the methods that would do, for 405.
    """

    def __init__(
        self,
        status: HTTPStatus,
        why: str,
        *,
        retry_after_seconds: float | None = None,
        allow: tuple[str, ...] = ("GET",),
    ) -> None:
        super().__init__(why)
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.allow = allow

    def fields(self) -> Headers:
        """What the answer's head says besides."""
        fields = []
        if self.status is HTTPStatus.METHOD_NOT_ALLOWED:
            fields.append(("Allow", ", ".join(self.allow)))
        elif self.status is HTTPStatus.UPGRADE_REQUIRED:
            fields += [("Upgrade", "websocket"), ("Connection", "Upgrade")]
        if self.retry_after_seconds is not None:
            fields.append(("Retry-After", str(math.ceil(self.retry_after_seconds))))
        return tuple(fields)

    def answer(self) -> bytes:
        """The whole HTTP answer: it closes the connection and quotes nothing that the peer sent."""
        return plain_answer(self.status, f"{self}\n", "".join(f"{name}: {value}\r\n" for name, value in self.fields()))


def plain_answer(status: HTTPStatus, text: str, extra_fields: str = "") -> bytes:
    """A whole HTTP answer of plain text, behind which the connection closes."""
    body = text.encode()
    fields = "" if "Connection:" in extra_fields else "Connection: close\r\n"
    fields += f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n{extra_fields}"
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{fields}\r\n".encode() + body


class RequestHead(NamedTuple):
    """A request that passed.

    Attributes:
        path: the target as it was sent, with its query; starts with "/".
        headers: names in lower case, values without outer spaces, in order.
        method: GET, HEAD, POST or OPTIONS; GET when it asks for a WebSocket.
    """

    path: str
    headers: Headers
    method: str = "GET"

    @property
    def body_bytes(self) -> int:
        """How long the body is that follows."""
        return int(self.field("content-length") or 0)

    @property
    def is_upgrade(self) -> bool:
        """Whether it asks for a WebSocket at all; whether it asks in order is for the library to say."""
        return "websocket" in (self.field("upgrade") or "").lower()

    def field(self, name: str) -> str | None:
        """The value of the field of this name (in lower case), None when there is none."""
        return next((value for each, value in self.headers if each == name), None)

    def fields(self, name: str) -> list[str]:
        """The values of all fields of this name (in lower case), in order."""
        return [value for each, value in self.headers if each == name]

    def for_library(self) -> bytes:
        """The same request with nothing in it but what the upgrade is about."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers if name in _UPGRADE_FIELDS)
        return f"GET {self.path} HTTP/1.1\r\n{fields}\r\n".encode()


def split_head(received: bytes | bytearray) -> tuple[bytes, bytes] | None:
    """The head with its blank line and what came behind it, or None while the blank line is missing.

    Raises:
        RefusedRequestError: 431 when the head is, or must become, longer than ``HEAD_BYTES``; 400 at once for TLS,
            whose client would otherwise wait for an answer until the deadline.
    """
    if received.startswith(_TLS):
        raise _bad("This port does not speak TLS: use ws:// or http://.")
    end = received.find(b"\r\n\r\n")
    if end + 4 > HEAD_BYTES or (end < 0 and len(received) >= HEAD_BYTES):
        raise RefusedRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request head is too long.")
    if end < 0:
        return None
    return bytes(received[: end + 4]), bytes(received[end + 4 :])


def parse_head(head: bytes) -> RequestHead:
    """Check ``head`` (with its blank line) and take it apart.

    Raises:
        RefusedRequestError: with the status to answer.
    """
    if not head.isascii():
        raise _bad("The request head is not ASCII.")
    request_line, *lines = head[:-4].split(b"\r\n")
    method, path = _parse_request_line(request_line)
    if len(lines) > HEAD_FIELDS:
        raise RefusedRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many header fields.")
    headers = tuple(_parse_field(line) for line in lines)
    parsed = RequestHead(path, headers, method)
    _check_fields(parsed)
    return parsed


def not_allowed(*methods: str) -> RefusedRequestError:
    """405: only ``methods`` are served there."""
    *others, last = methods
    served = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    return RefusedRequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"Only {served} served here.", allow=methods)


def _bad(why: str) -> RefusedRequestError:
    return RefusedRequestError(HTTPStatus.BAD_REQUEST, why)


def _parse_request_line(line: bytes) -> tuple[str, str]:
    parts = line.split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1":
        raise _bad("The request line is not HTTP/1.1.")
    method, target = parts[0].decode("ascii"), parts[1]
    if method not in _METHODS:
        raise not_allowed(*_METHODS)
    if not _TARGET.fullmatch(target):
        raise _bad("The request target must be a path.")
    return method, target.decode("ascii")


def _parse_field(line: bytes) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise _bad("A header field is malformed.")
    return match[1].decode("ascii").lower(), match[2].decode("ascii").strip()


def _check_fields(head: RequestHead) -> None:
    counts = Counter(name for name, _ in head.headers)
    if any(counts[name] > 1 for name in _SINGLE):
        raise _bad("A header field that may appear once is repeated.")
    if head.is_upgrade and head.method != "GET":
        raise not_allowed("GET")
    if counts["transfer-encoding"] or counts["expect"]:
        raise _bad("Transfer-Encoding and Expect are not served here.")
    if counts["content-length"] and head.method != "POST":
        raise _bad("The request must not have a body.")
    fields = dict(head.headers)
    if not _LENGTH.fullmatch(fields.get("content-length", "0")):
        raise _bad("The Content-Length field is malformed.")
    if not _is_host(fields.get("host", "")):
        raise _bad("The Host field is missing or malformed.")
    key = fields.get("sec-websocket-key")
    if key is not None and not _is_key(key):
        raise _bad("The Sec-WebSocket-Key field is malformed.")


def _is_host(value: str) -> bool:
    if not _HOST.fullmatch(value):
        return False
    try:
        value.encode("ascii").decode("idna")  # the library decodes it so, and does not expect it to fail
    except UnicodeError:
        return False
    return True


def _is_key(value: str) -> bool:
    try:
        return len(b64decode(value, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
