"""Requests and answers of plain HTTP: what is let through, what h11 makes of it, and what is written."""

from __future__ import annotations

import random
from http import HTTPStatus
from io import BytesIO
from typing import Any

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gameserver.net.http import BODY_BYTES, Exchange, HttpAnswer, HttpRequest, error_answer, refusal_answer
from gameserver.net.request_head import RefusedRequestError, parse_head, split_head
from tests.hostile import heads
from tests.support.examples import examples


def request_bytes(method: str = "GET", target: str = "/rooms", body: bytes = b"", **fields: str) -> bytes:
    """A request; underscores in names stand for hyphens, "" leaves a field out."""
    headers = {"Host": "localhost"} | ({"Content-Length": str(len(body))} if body else {})
    headers |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def exchange_of(data: bytes) -> tuple[Exchange, bytes]:
    """The exchange of a whole head, and what came behind it."""
    parts = split_head(data)
    assert parts is not None
    return Exchange(parse_head(parts[0]), parts[0]), parts[1]


def read(data: bytes) -> HttpRequest | int | None:
    """The request, the status with which it is refused, or None when it is not whole."""
    try:
        parts = split_head(data)
        if parts is None:
            return None
        head = parse_head(parts[0])
        if head.is_upgrade:
            return 101
        exchange = Exchange(head, parts[0])
        exchange.check_length()
        return exchange.request() if exchange.receive(parts[1]) else None
    except RefusedRequestError as refusal:
        return int(refusal.status)


def status_of(data: bytes) -> int:
    """200 for a request that passes."""
    found = read(data)
    return found if isinstance(found, int) else 200


READ = [
    ("GET", request_bytes(), 200),
    ("HEAD", request_bytes("HEAD"), 200),
    ("OPTIONS", request_bytes("OPTIONS"), 200),
    ("POST", request_bytes("POST", body=b"{}"), 200),
    ("POST without a length", request_bytes("POST"), 200),
    ("POST of nothing", request_bytes("POST", Content_Length="0"), 200),
    ("zeros before the length", request_bytes("POST", body=b"{}", Content_Length="0002"), 200),
    ("an upgrade to something else", request_bytes(Upgrade="h2c", Connection="Upgrade, HTTP2-Settings"), 200),
    ("PUT", request_bytes("PUT"), 405),
    ("CONNECT", request_bytes("CONNECT"), 405),
    ("post", request_bytes("post"), 405),
    ("POST that asks for an upgrade", request_bytes("POST", Upgrade="websocket", Connection="Upgrade"), 405),
    ("HEAD that asks for an upgrade", request_bytes("HEAD", Upgrade="WebSocket", Connection="Upgrade"), 405),
    ("GET with a body", request_bytes(body=b"x"), 400),
    ("GET of no body", request_bytes(Content_Length="0"), 400),
    ("HEAD with a body", request_bytes("HEAD", body=b"x"), 400),
    ("OPTIONS with a body", request_bytes("OPTIONS", body=b"x"), 400),
    ("chunks", request_bytes("POST", Transfer_Encoding="chunked"), 400),
    ("chunks and a length", request_bytes("POST", body=b"x", Transfer_Encoding="chunked"), 400),
    ("expectation", request_bytes("POST", body=b"x", Expect="100-continue"), 400),
    ("two lengths", request_bytes("POST", body=b"x", content_length="1"), 400),
    ("two types", request_bytes("POST", Content_Type="a/b", content_type="application/json"), 400),
    ("two authorizations", request_bytes(Authorization="Bearer a", authorization="Bearer b"), 400),
    ("lengths in one", request_bytes("POST", Content_Length="1, 1"), 400),
    ("negative length", request_bytes("POST", Content_Length="-1"), 400),
    ("signed length", request_bytes("POST", Content_Length="+1"), 400),
    ("length with an underscore", request_bytes("POST", Content_Length="1_0"), 400),
    ("hexadecimal length", request_bytes("POST", Content_Length="0x10"), 400),
    ("no length in it", request_bytes("POST", Content_Length="\t"), 400),
    ("the longest", request_bytes("POST", body=b"x" * BODY_BYTES), 200),
    ("one more", request_bytes("POST", Content_Length=str(BODY_BYTES + 1)), 413),
    ("much more", request_bytes("POST", Content_Length="9" * 20), 413),
    ("more than anybody reads", request_bytes("POST", Content_Length="9" * 5000), 400),
]


@pytest.mark.parametrize(("data", "status"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_what_is_read(data: bytes, status: int) -> None:
    assert status_of(data) == status


def test_a_request_is_what_was_sent() -> None:
    data = request_bytes("POST", "/a%20b?x=1&y=2", b'{"a": 1}', Content_Type="application/json", X_Mine="a  b")
    found = read(data + b"GET /second HTTP/1.1\r\n\r\n")
    assert isinstance(found, HttpRequest)
    assert (found.method, found.target, found.path, found.query) == ("POST", "/a%20b?x=1&y=2", "/a%20b", "x=1&y=2")
    assert found.body == b'{"a": 1}'
    assert found.field("x-mine") == "a  b"
    assert found.field("x-other") is None


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_body_may_come_in_pieces(cut: int) -> None:
    exchange, _ = exchange_of(request_bytes("POST", body=b"0123456789"))
    pieces = [b"0123456789 and more"[at : at + cut] for at in range(0, 19, cut)]
    came = [exchange.receive(piece) for piece in pieces]
    assert came.index(True) == (9 // cut)
    assert exchange.request().body == b"0123456789"


# ---- answers


def rendered(exchange: Exchange, answer: HttpAnswer, *, keep: bool = False) -> bytes:
    """What is sent of an answer that is in memory."""
    head, body = exchange.render(answer, keep=keep)
    assert isinstance(body, bytes)
    return head + body


def parsed(method: str, sent: bytes) -> tuple[h11.Response, bytes]:
    """What a client reads of an answer; nothing may be left."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "localhost")]))
    client.send(h11.EndOfMessage())
    client.receive_data(sent)
    head, body = client.next_event(), bytearray()
    assert isinstance(head, h11.Response)
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data == (b"", False)
    return head, bytes(body)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(HTTPStatus.OK, b"ok\n"),
        HttpAnswer(HTTPStatus.OK),
        HttpAnswer(HTTPStatus.OK, bytes(100_000), "image/png", (("Cache-Control", "max-age=60"),)),
        HttpAnswer(HTTPStatus.NO_CONTENT, headers=(("Allow", "POST"),)),
        refusal_answer(RefusedRequestError(HTTPStatus.UPGRADE_REQUIRED, "no"), "GET"),
        refusal_answer(RefusedRequestError(HTTPStatus.TOO_MANY_REQUESTS, "no", retry_after_seconds=1.2), "POST"),
        error_answer(HTTPStatus.CONFLICT, "room_full", 4010, 'a "room"\r\nof \u2603'),
    ],
)
def test_an_answer_can_be_read(method: str, answer: HttpAnswer) -> None:
    exchange, rest = exchange_of(request_bytes(method))
    assert exchange.receive(rest)
    head, body = parsed(method, rendered(exchange, answer))
    fields = dict(head.headers)
    assert head.status_code == answer.status
    assert fields[b"referrer-policy"] == b"same-origin"
    assert fields[b"x-content-type-options"] == b"nosniff"
    assert fields[b"vary"] == b"Origin"
    assert b"close" in [value for name, value in head.headers if name == b"connection"]
    assert body == (b"" if method == "HEAD" else answer.body)
    if answer.status != 204:
        assert int(fields[b"content-length"]) == len(answer.body)
        assert fields[b"content-type"] == answer.content_type.encode()
    for name, value in answer.headers:
        assert (name.lower().encode(), value.encode()) in list(head.headers)


@pytest.mark.parametrize(
    ("connection", "more"),
    [("", True), ("keep-alive", True), ("Upgrade, HTTP2-Settings", True), ("close", False), ("TE, Close", False)],
)
def test_whether_more_is_wanted_and_what_is_said(connection: str, more: bool) -> None:
    exchange, rest = exchange_of(request_bytes(Connection=connection))
    assert exchange.receive(rest)
    assert exchange.wants_more is more
    head, _ = parsed("GET", rendered(exchange, HttpAnswer(HTTPStatus.OK, b"a"), keep=more))
    fields = dict(head.headers)
    assert (b"connection" in fields) is not more
    assert fields.get(b"keep-alive") == (b"timeout=5" if more else None)


def test_a_known_file_has_no_body() -> None:
    exchange, rest = exchange_of(request_bytes())
    assert exchange.receive(rest)
    answer = HttpAnswer(HTTPStatus.NOT_MODIFIED, b"", headers=(("ETag", '"a"'),))
    head, body = parsed("GET", rendered(exchange, answer, keep=True))
    assert (head.status_code, body) == (304, b"")
    assert not {b"content-length", b"content-type"} & dict(head.headers).keys()


@pytest.mark.parametrize("field", [("X", "a\r\nSet-Cookie: b"), ("X\r\nY", "a"), ("X", "a\nb"), ("X", "\u2603")])
def test_no_field_can_split_an_answer(field: tuple[str, str]) -> None:
    exchange, rest = exchange_of(request_bytes())
    assert exchange.receive(rest)
    with pytest.raises((h11.LocalProtocolError, UnicodeError)):
        exchange.render(HttpAnswer(HTTPStatus.OK, b"", headers=(field,)))


def test_a_refusal_before_the_body_has_come_can_be_written() -> None:
    exchange, _ = exchange_of(request_bytes("POST", Content_Length=str(BODY_BYTES + 1)))
    with pytest.raises(RefusedRequestError) as raised:
        exchange.check_length()
    head, body = parsed("POST", rendered(exchange, refusal_answer(raised.value, "POST")))
    assert head.status_code == 413
    assert body == b'{"error": "too_big", "code": 1009, "reason": "The body is longer than 16384 bytes."}'


# ---- whatever comes


def assert_cuts_do_not_matter(data: bytes) -> None:
    """What is read does not depend on how the bytes come, and no error leaves but the one for it."""
    whole = read(data)
    stream, found, received = BytesIO(data), None, b""
    exchange: Exchange | None = None
    try:
        while piece := stream.read(7):
            if exchange is None:
                received += piece
                parts = split_head(received)
                if parts is None:
                    continue
                head = parse_head(parts[0])
                if head.is_upgrade:
                    found = 101
                    break
                exchange, piece = Exchange(head, parts[0]), parts[1]
                exchange.check_length()
            if exchange.receive(piece):
                found = exchange.request()
                break
    except RefusedRequestError as refusal:
        found = int(refusal.status)
    assert found == whole
    if exchange is not None:
        answer: Any = whole if isinstance(whole, int) else 200
        sent = rendered(exchange, HttpAnswer(HTTPStatus(answer), b"some text"))
        assert parsed(exchange.head.method, sent)[0].status_code == answer


@examples(400)
@given(seed=st.integers(0, 1 << 32))
def test_mutated_requests(seed: int) -> None:
    attempt = heads.mutated(random.Random(seed), b"/rooms")
    assert_cuts_do_not_matter(b"".join(attempt.pieces)[:20_000])


FIELDS = st.sampled_from(
    (
        "Connection: close",
        "Connection: keep-alive, Upgrade",
        "Content-Length: 03",
        "Content-Length: 3",
        "Content-Length: 99999",
        "Content-Type: application/json",
        "Cookie: a=b",
        "Expect: 100-continue",
        "Host: other",
        "Origin: null",
        "TE: trailers",
        "Transfer-Encoding: chunked",
        "Upgrade: h2c",
        "Upgrade: websocket",
    )
)


@examples(400)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT"]),
    target=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(lambda text: "/" + text),
    fields=st.lists(FIELDS, max_size=6),
    behind=st.binary(max_size=20),
)
@example("POST", "/", ["Content-Length: 3", "Connection: close"], b"abcdef")
def test_odd_combinations(method: str, target: str, fields: list[str], behind: bytes) -> None:
    lines = "\r\n".join(["Host: a", *fields])
    assert_cuts_do_not_matter(f"{method} {target} HTTP/1.1\r\n{lines}\r\n\r\n".encode() + behind)
