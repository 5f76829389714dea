"""What of a file is sent to whom."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver.net.http import HttpRequest
from gameserver.web.variants import (
    FileFacts,
    accepts_gzip,
    accepts_html,
    choose_variant,
    http_date,
    is_known,
    read_range,
)
from tests.support.examples import examples

CHANGED = 1_700_000_000.5
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
FACTS = FileFacts(length=1000, zipped=None, tag="t", changed=CHANGED)
ZIPPED = FileFacts(length=1000, zipped=300, tag="t", changed=CHANGED)


def request(method: str = "GET", **fields: str) -> HttpRequest:
    return HttpRequest(method, "/a", tuple((name.replace("_", "-"), value) for name, value in fields.items()))


def test_dates() -> None:
    assert http_date(CHANGED) == DATE
    assert http_date(-5.0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert http_date(1e300) == "Fri, 31 Dec 9999 23:59:59 GMT"


#: Request fields, and what is sent: status, whether compressed, start, length.
SENT = [
    (FACTS, {}, (200, False, 0, 1000)),
    (FACTS, {"accept_encoding": "gzip"}, (200, False, 0, 1000)),
    (ZIPPED, {}, (200, False, 0, 1000)),
    (ZIPPED, {"accept_encoding": "gzip, br"}, (200, True, 0, 300)),
    (ZIPPED, {"accept_encoding": "gzip", "range": "bytes=0-9"}, (206, False, 0, 10)),
    (FACTS, {"range": "bytes=0-9"}, (206, False, 0, 10)),
    (FACTS, {"range": "bytes=990-"}, (206, False, 990, 10)),
    (FACTS, {"range": "bytes=-10"}, (206, False, 990, 10)),
    (FACTS, {"range": "bytes=1000-"}, (416, False, 0, 0)),
    (FACTS, {"range": "bytes=-0"}, (416, False, 0, 0)),
    (FACTS, {"range": "bytes=9-0"}, (200, False, 0, 1000)),
    (FACTS, {"range": "bytes=0-9,20-29"}, (200, False, 0, 1000)),
    (FACTS, {"range": "rows=0-9"}, (200, False, 0, 1000)),
    (FACTS, {"range": "bytes=0-9", "if_range": '"t"'}, (206, False, 0, 10)),
    (FACTS, {"range": "bytes=0-9", "if_range": DATE}, (206, False, 0, 10)),
    (FACTS, {"range": "bytes=0-9", "if_range": '"other"'}, (200, False, 0, 1000)),
    (FACTS, {"range": "bytes=0-9", "if_none_match": '"t"'}, (304, False, 0, 0)),
    (FACTS, {"if_none_match": '"t"'}, (304, False, 0, 0)),
    (FACTS, {"if_none_match": '"a", W/"t"'}, (304, False, 0, 0)),
    (FACTS, {"if_none_match": "*"}, (304, False, 0, 0)),
    (FACTS, {"if_none_match": "t"}, (200, False, 0, 1000)),
    (FACTS, {"if_none_match": '"a"', "if_modified_since": DATE}, (200, False, 0, 1000)),
    (FACTS, {"if_modified_since": DATE}, (304, False, 0, 0)),
    (FACTS, {"if_modified_since": "Tue, 14 Nov 2023 22:13:19 GMT"}, (200, False, 0, 1000)),
    (FACTS, {"if_modified_since": "yesterday"}, (200, False, 0, 1000)),
    (FACTS, {"if_modified_since": "Tue, 14 Nov 99999 22:13:19 GMT"}, (200, False, 0, 1000)),
    (ZIPPED, {"accept_encoding": "gzip", "if_none_match": '"t-gz"'}, (304, False, 0, 0)),
    (ZIPPED, {"accept_encoding": "gzip", "if_none_match": '"t"'}, (200, True, 0, 300)),
    (ZIPPED, {"if_none_match": '"t-gz"'}, (200, False, 0, 1000)),
]


@pytest.mark.parametrize(("facts", "fields", "sent"), SENT)
def test_what_is_sent(facts: FileFacts, fields: dict[str, str], sent: tuple[int, bool, int, int]) -> None:
    variant = choose_variant(facts, request(**fields))
    assert (variant.status, variant.zipped, variant.start, variant.length) == sent
    headers = dict(variant.headers)
    if variant.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        assert headers == {"Cache-Control": "no-store", "Content-Range": "bytes */1000"}
        return
    assert headers["Last-Modified"] == DATE
    assert headers["Cache-Control"] == "no-cache"
    assert (headers.get("Content-Encoding") == "gzip") is variant.zipped
    assert ("Vary" in headers) is (facts is ZIPPED)
    assert ("Accept-Ranges" in headers) is (variant.status != 304)
    if variant.status == HTTPStatus.PARTIAL_CONTENT:
        assert headers["Content-Range"] == f"bytes {variant.start}-{variant.start + variant.length - 1}/1000"
    else:
        assert "Content-Range" not in headers


def test_a_head_has_no_range_and_a_hash_is_kept_for_a_year() -> None:
    variant = choose_variant(FACTS, request("HEAD", range="bytes=0-9"))
    assert (variant.status, variant.length) == (200, 1000)
    fixed = FileFacts(length=1, zipped=None, tag="t", changed=0.0, immutable=True)
    assert dict(choose_variant(fixed, request()).headers)["Cache-Control"] == "public, max-age=31536000, immutable"
    nothing = choose_variant(fixed, request(range="bytes=9-"))  # caches that kept this would show it for a year
    assert (nothing.status, dict(nothing.headers)["Cache-Control"]) == (416, "no-store")


@examples(300)
@given(st.integers(0, 50), st.integers(0, 60) | st.none(), st.integers(0, 60) | st.none())
def test_ranges_are_inside_and_what_was_asked_for(length: int, first: int | None, last: int | None) -> None:
    part = read_range(f"bytes={'' if first is None else first}-{'' if last is None else last}", length)
    whole = list(range(length))
    if first is None and last is None:
        assert part is None
    elif first is None:
        assert part is not None
        assert list(part) == (whole[-last:] if last else [])
    elif last is not None and last < first:
        assert part is None
    else:
        assert part is not None
        assert list(part) == whole[first : None if last is None else last + 1]


@examples(300)
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_field_breaks_it(range_: str, tags: str, since: str) -> None:
    variant = choose_variant(ZIPPED, request(range=f"bytes={range_}", if_none_match=tags, accept_encoding=since))
    assert 0 <= variant.start <= variant.start + variant.length <= 1000
    is_known(request(if_modified_since=since), '"t"', CHANGED)
    is_known(request(if_modified_since=f"Tue, {since} 2023 22:13:20 GMT"), '"t"', CHANGED)


@pytest.mark.parametrize(
    ("value", "yes"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("deflate, GZIP", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("br", False),
        ("gzipped", False),
        ("gzip;q=much", False),
    ],
)
def test_who_takes_gzip(value: str | None, yes: bool) -> None:
    assert accepts_gzip(value) is yes


@pytest.mark.parametrize(
    ("value", "yes"),
    [("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", True), ("Text/HTML", True), ("*/*", False), ("", False)],
)
def test_who_reads_pages(value: str, yes: bool) -> None:
    assert accepts_html(request(accept=value)) is yes
