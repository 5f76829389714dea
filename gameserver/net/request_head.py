"""The head of an upgrade request, read strictly before the WebSocket library sees it.

The library leaves the checks of RFC 9112 to HTTP code that is more lenient than a game server needs, and malformed
heads are contained here. So only what passes goes on: ASCII, HTTP/1.1, GET, no body, one Host, one sane key. What is
left for the library to judge is the upgrade itself (Upgrade, Connection, Sec-WebSocket-Version).
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
_SINGLE: Final = ("host", "origin", "sec-websocket-key", "sec-websocket-version", "upgrade")


class RefusedRequestError(Exception):
    """The request is answered with an HTTP status, and the connection closed.

    Attributes:
        status: what to answer.
        retry_after_seconds: when to come back; None to say nothing about it.
    """

    def __init__(self, status: HTTPStatus, why: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    def answer(self) -> bytes:
        """The whole HTTP answer: it closes the connection and quotes nothing that the peer sent."""
        extra = ""
        if self.status is HTTPStatus.METHOD_NOT_ALLOWED:
            extra = "Allow: GET\r\n"
        elif self.status is HTTPStatus.UPGRADE_REQUIRED:
            extra = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        if self.retry_after_seconds is not None:
            extra += f"Retry-After: {math.ceil(self.retry_after_seconds)}\r\n"
        return plain_answer(self.status, f"{self}\n", extra)


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
    """

    path: str
    headers: Headers

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
    path = _parse_request_line(request_line)
    if len(lines) > HEAD_FIELDS:
        raise RefusedRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many header fields.")
    headers = tuple(_parse_field(line) for line in lines)
    _check_fields(headers)
    return RequestHead(path, headers)


def _bad(why: str) -> RefusedRequestError:
    return RefusedRequestError(HTTPStatus.BAD_REQUEST, why)


def _parse_request_line(line: bytes) -> str:
    parts = line.split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1":
        raise _bad("The request line is not HTTP/1.1.")
    method, target, _ = parts
    if method != b"GET":
        raise RefusedRequestError(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is served here.")
    if not _TARGET.fullmatch(target):
        raise _bad("The request target must be a path.")
    return target.decode("ascii")


def _parse_field(line: bytes) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise _bad("A header field is malformed.")
    return match[1].decode("ascii").lower(), match[2].decode("ascii").strip()


def _check_fields(headers: Headers) -> None:
    counts = Counter(name for name, _ in headers)
    if any(counts[name] > 1 for name in _SINGLE):
        raise _bad("A header field that may appear once is repeated.")
    if counts["content-length"] or counts["transfer-encoding"] or counts["expect"]:
        raise _bad("The request must not have a body.")
    fields = dict(headers)
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
