"""What of a file is sent to whom: not at all because it is known, compressed, a part, or the whole. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from gameserver.net.http import HttpRequest
from gameserver.net.request_head import Headers

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_QUALITY: Final = re.compile(r";\s*q=([01](?:\.[0-9]{0,3})?)\s*$")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What an answer depends on.

    Attributes:
        length: in bytes. zipped: of it compressed; None when it is not kept so.
        tag: names the content. changed: when it was, in seconds since 1970; date: the same as HTTP writes it.
        immutable: it never changes.
    """

    length: int
    zipped: int | None
    tag: str
    changed: float
    immutable: bool = False
    date: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "date", http_date(self.changed))


@dataclass(frozen=True, slots=True)
class Variant:
    """What is sent.

    Attributes:
        zipped: whether start and length count in the compressed bytes.
        start, length: what of the body is sent, in bytes.
    """

    status: HTTPStatus
    headers: Headers
    zipped: bool = False
    start: int = 0
    length: int = 0


def choose_variant(facts: FileFacts, request: HttpRequest) -> Variant:
    """What of a file to answer a GET or HEAD with."""
    range_ = request.field("range") if request.method == "GET" else None
    zipped = facts.zipped is not None and range_ is None and accepts_gzip(request.field("accept-encoding"))
    tag = f'"{facts.tag}-gz"' if zipped else f'"{facts.tag}"'
    headers: Headers = (
        ("ETag", tag),
        ("Last-Modified", facts.date),
        ("Cache-Control", "public, max-age=31536000, immutable" if facts.immutable else "no-cache"),
    )
    if facts.zipped is not None:
        headers += (("Vary", "Accept-Encoding"),)
    if is_known(request, tag, facts.changed):
        return Variant(HTTPStatus.NOT_MODIFIED, headers)
    headers += (("Accept-Ranges", "bytes"),)
    if zipped:
        assert facts.zipped is not None
        return Variant(HTTPStatus.OK, (*headers, ("Content-Encoding", "gzip")), zipped=True, length=facts.zipped)
    if range_ is not None and request.field("if-range") in (None, tag, facts.date):
        part = read_range(range_, facts.length)
        if part is not None:
            return _part(part, facts.length, headers)
    return Variant(HTTPStatus.OK, headers, length=facts.length)


def _part(part: range, length: int, headers: Headers) -> Variant:
    if not part:
        # Nothing of this answer is the file's: a cache that kept it for as long as the file would show nothing else.
        nothing: Headers = (("Cache-Control", "no-store"), ("Content-Range", f"bytes */{length}"))
        return Variant(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, nothing)
    told = ("Content-Range", f"bytes {part.start}-{part.stop - 1}/{length}")
    return Variant(HTTPStatus.PARTIAL_CONTENT, (*headers, told), start=part.start, length=len(part))


def read_range(value: str, length: int) -> range | None:
    """The bytes that a Range field asks for, an empty range when there are none; None to ignore it (RFC 9110, 14.2).

    Several ranges in one request are ignored: whoever wants them can take the whole.
    """
    match = _RANGE.fullmatch(value.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        last_bytes = int(match[2])
        return range(max(0, length - last_bytes), length) if last_bytes and length else range(0)
    first = int(match[1])
    last = int(match[2]) if match[2] else length - 1
    if match[2] and last < first:
        return None
    return range(first, min(last + 1, length)) if first < length else range(0)


def is_known(request: HttpRequest, tag: str, changed: float) -> bool:
    """Whether the client has it already (RFC 9110, 13.2.2)."""
    tags = request.field("if-none-match")
    if tags is not None:
        # A proxy that compresses makes our strong tags weak ones.
        return tags.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in tags.split(",")]
    since = request.field("if-modified-since")
    if since is None:
        return False
    try:
        known = parsedate_to_datetime(since)
    except (ValueError, TypeError, OverflowError):
        return False
    if known.tzinfo is None:
        known = known.replace(tzinfo=UTC)
    return int(changed) <= known.timestamp()


def accepts_gzip(value: str | None) -> bool:
    """Whether an Accept-Encoding field lets gzip through."""
    answer = False
    for item in (value or "").lower().split(","):
        name = item.partition(";")[0].strip()
        if name in ("gzip", "x-gzip", "*"):
            quality = _QUALITY.search(item)
            allowed = (quality is None and ";" not in item) or (quality is not None and float(quality[1]) > 0)
            if name != "*":
                return allowed
            answer = allowed
    return answer


def accepts_html(request: HttpRequest) -> bool:
    """Whether somebody looks at it with a browser. ``*/*`` is no sign of one: scripts and tools send that."""
    return "text/html" in (request.field("accept") or "").lower()


def http_date(seconds: float) -> str:
    """Seconds since 1970 as HTTP writes it; times that it cannot write become the nearest that it can."""
    whole = min(max(0, int(seconds)), 253_402_300_799)
    return format_datetime(datetime.fromtimestamp(whole, UTC), usegmt=True)
