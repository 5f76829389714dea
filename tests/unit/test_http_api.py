"""The JSON routes without a socket: how queries become filters, which bodies are read, and how refusals are told."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import CloseCode, Hello, ProtocolError, limits, unpack_from_client
from gameserver.http_api import LISTED_ROOMS, HttpApi
from gameserver.http_reading import parse_query, parse_query_filter, read_body
from gameserver.net import Visitor
from gameserver.net.http import BODY_BYTES, HttpAnswer, HttpRequest
from gameserver.rooms.house import RoomListing
from tests.support.examples import examples
from tests.support.fake_games import DuelInfo, FakeMatchmaker, duel, listing

NOBODY = Visitor(None)


def refusal_of(act: Any, *arguments: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as raised:
        act(*arguments)
    return raised.value


# ---- filters

FILTERS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("mode=duel", {"mode": "duel"}),
    ("mode=", {"mode": ""}),
    ("mode=a+b%2Fc%3D%C3%A4", {"mode": "a b/c=\u00e4"}),
    ("mode=3", {"mode": "3"}),
    ("mode.ne=duel", {"mode": {"ne": "duel"}}),
    ("mode.in=a&mode.in=b", {"mode": {"in": ["a", "b"]}}),
    ("mode.in=a,b", {"mode": {"in": ["a,b"]}}),
    ("level=3", {"level": 3}),
    ("level=-3", {"level": -3}),
    ("level.ge=3&level.lt=7", {"level": {"ge": 3, "lt": 7}}),
    ("level.in=3&level.in=4&level.ne=3", {"level": {"in": [3, 4], "ne": 3}}),
    ("speed=3", {"speed": 3.0}),
    ("speed.le=1e3&speed.gt=-.5", {"speed": {"le": 1000.0, "gt": "-.5"}}),  # judged by parse_filter
    ("ranked=true&level=1", {"ranked": True, "level": 1}),
    ("ranked=0", {"ranked": False}),
    ("ranked=yes", {"ranked": "yes"}),
    ("level=three", {"level": "three"}),
    ("level=" + "9" * 5000, {"level": "9" * 5000}),
    ("other.ge=3", {"other": {"ge": "3"}}),
    ("level.max=3", {"level.max": "3"}),
]


@pytest.mark.parametrize(("query", "wire"), FILTERS)
def test_a_query_is_a_filter(query: str, wire: dict[str, Any]) -> None:
    found = parse_query_filter(DuelInfo, parse_query(query))
    assert found == wire
    assert [type(value) for value in found.values()] == [type(value) for value in wire.values()]


@pytest.mark.parametrize(
    "query",
    [
        "level=3&level=4",
        "level=3&level.ge=3",
        "level.ge=3&level=3",
        "level.ge=3&level.ge=4",
        "level.in=3&level=3",
        "level",
        "&",
        "level=3&&ranked=1",
        "mode=%ff",
        "mode=%C3",
        "&".join(["level.in=1"] * 65),
    ],
)
def test_a_query_that_says_two_things_or_none(query: str) -> None:
    error = refusal_of(lambda: parse_query_filter(DuelInfo, parse_query(query)))
    assert error.code == CloseCode.BAD_JOIN


@examples(300)
@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_any_query_is_read_or_refused(query: str) -> None:
    try:
        parse_query_filter(DuelInfo, parse_query(query))
    except ProtocolError as refused:
        code = refused.code
    else:
        return
    assert code == CloseCode.BAD_JOIN


# ---- lists

ROOMS = [
    duel("1"),
    duel("2", "blitz", 5, 2.0, True),
    duel("3", "blitz", 9, 0.5),
    listing("plain", "4"),
]

LISTS: list[tuple[str, list[str]]] = [
    ("", ["1", "2", "3", "4"]),
    ("room=duel", ["1", "2", "3"]),
    ("room=plain", ["4"]),
    ("mode=blitz", ["2", "3"]),
    ("room=duel&mode=blitz&level.ge=6", ["3"]),
    ("level.ge=3&level.le=7", ["2"]),
    ("speed=2", ["2"]),
    ("ranked=false", ["1", "3"]),
    ("level.in=1&level.in=9", ["1", "3"]),
    ("mode.ne=classic", ["2", "3"]),
    ("mode=nothing", []),
]


async def listed(query: str, *rooms: RoomListing) -> HttpAnswer:
    api = HttpApi(FakeMatchmaker(*rooms), lambda: 0.0)
    answer = await api.answer(HttpRequest("GET", f"/rooms?{query}" if query else "/rooms"), NOBODY)
    assert answer is not None
    return answer


@pytest.mark.parametrize(("query", "ids"), LISTS)
async def test_lists(query: str, ids: list[str]) -> None:
    answer = await listed(query, *ROOMS)
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert ("Cache-Control", "no-store") in answer.headers
    assert [room["room_id"] for room in json.loads(answer.body)["rooms"]] == ids


async def test_what_a_list_tells_of_a_room() -> None:
    told = json.loads((await listed("", *ROOMS)).body)["rooms"]
    assert told[0] == {
        "room": "duel",
        "room_id": "1",
        "players": 1,
        "max_players": 2,
        "spectators": 3,
        "locked": False,
        "has_password": True,
        "metadata": {"mode": "classic", "level": 1, "speed": 1.0, "ranked": False},
    }
    assert told[3]["max_players"] is None


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("room=nothing", 404, "no such room; there is duel, plain"),
        ("room=duel&room=plain", 404, "no such room; there is duel, plain"),
        ("room=plain&level=3", 400, "filter: these rooms have no metadata"),
        ("room=duel&evil=3", 400, "filter: these rooms have mode, level, speed, ranked"),
        ("evil=3", 400, "filter: these rooms have mode, level, speed, ranked"),
        ("level=evil", 400, "filter: level is a whole number"),
        ("speed=nan", 400, "filter: speed is not finite"),
        ("level=" + "9" * 30, 400, "filter: level does not fit into 64 bits"),
        ("mode.ge=evil", 400, "filter: mode is text; give a value, or ne or in"),
        ("mode=%ff", 400, "the query is malformed: write ?room=NAME&FIELD=value"),
    ],
)
async def test_what_cannot_be_asked(query: str, status: int, reason: str) -> None:
    answer = await listed(query, *ROOMS)
    assert answer.status == status
    said = json.loads(answer.body)
    assert said["reason"] == reason
    assert (said["error"], said["code"]) == (("unknown_room", 4004) if status == 404 else ("bad_join", 4015))
    assert b"evil" not in answer.body


async def test_a_list_is_bounded_and_others_get_a_turn() -> None:
    rooms = [duel(str(number), level=1 + number % 50) for number in range(5000)]
    assert len(json.loads((await listed("", *rooms)).body)["rooms"]) == LISTED_ROOMS
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        assert json.loads((await listed("mode=nothing", *rooms)).body) == {"rooms": []}
        nursery.cancel_scope.cancel()
    assert turns >= 20


# ---- bodies


def nested(levels: int) -> str:
    return '{"options": ' + '{"a": ' * (levels - 2) + "[]" + "}" * (levels - 2) + "}"


_NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False, allow_infinity=False)
OPTIONS = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)

BODIES = [
    "{}",
    '{"name": "Ann", "password": "x", "invite": "y", "token": null, "filter": {"a": {"ge": 1}}, "spectate": false}',
    json.dumps({"name": "n" * limits.PLAYER_NAME_BYTES}),
    json.dumps({"token": "t" * limits.CLIENT_TEXT_BYTES}),
    json.dumps({"options": {"a": [0] * limits.CLIENT_ARRAY_ITEMS}}),
    json.dumps({"options": {str(key): 0 for key in range(limits.CLIENT_MAP_ITEMS)}}),
    json.dumps({"options": {"k" * limits.CLIENT_TEXT_BYTES: 1}}),
    json.dumps({"options": {"a": [1 << 63, -(1 << 63), 1e308, -1.5e-300]}}),
    '{"options": {"a": "\\ud83d\\ude00"}}',
    nested(limits.CLIENT_DEPTH - 1),
]
REFUSED = [
    "[]", "1", "null", "{", "{}{}", '{"name": 1}', '{"options": []}', '{"evil": 1}', '{"name": null}', "{'name': 'a'}",
    '{"options": {"evil": NaN}}', '{"options": {"a": 1e999}}', '{"options": {"a": "\\ud800"}}', "\x00", "\ufeff{}",
    json.dumps({"name": "\u00e4" * 33}),
    json.dumps({"token": "t" * (limits.CLIENT_TEXT_BYTES + 1)}),
    json.dumps({"options": {"a": [0] * (limits.CLIENT_ARRAY_ITEMS + 1)}}),
    json.dumps({"options": {str(key): 0 for key in range(limits.CLIENT_MAP_ITEMS + 1)}}),
    json.dumps({"options": {"k" * (limits.CLIENT_TEXT_BYTES + 1): 1}}),
    json.dumps({"options": {"a": 1 << 64}}),
    json.dumps({"options": {"a": -(1 << 63) - 1}}),
    '{"options": {"a": ' + "9" * 15_000 + "}}",
    '{"options": {"a": ' + "1" * 400 + "}}",
    json.dumps({"options": {str(key): [{}] * 60 for key in range(5)}}),
    nested(limits.CLIENT_DEPTH),
    '{"options": {"a": ' + "[" * 8000 + "]" * 8000 + "}}",
    '{"options": {"a": ' + "[" * 16_000,
    '{"options": ' + '{"a": ' * 2600,
    '{"options": {"a": [' + "[]," * 5000 + "[]]}}",
    '{"options": {"a": [' + "[]," * 900 + "[]]}}",
    '{"a": 1, ' * 1000,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:40])
def test_bodies(body: str) -> None:
    found = read_body(body.encode())
    said = json.loads(body)
    assert all(getattr(found, key) == value for key, value in said.items())


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: body[:40])
def test_bodies_that_are_refused(body: str) -> None:
    assert len(body) <= BODY_BYTES
    error = refusal_of(read_body, body.encode())
    assert error.code == CloseCode.UNDECODABLE
    assert "evil" not in error.reason
    assert len(error.reason.encode()) <= limits.CLOSE_REASON_BYTES


@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x00", b"\n"])
@pytest.mark.parametrize(
    "body", [b'{"name": "%s"}', b'{"%s": 1}', b'{"options": {"%s": 1}}', b'{"options": {"a": ["%s"]}}']
)
def test_texts_that_are_none(body: bytes, text: bytes) -> None:
    assert refusal_of(read_body, body % text).code == CloseCode.UNDECODABLE


@examples(300)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_body_or_refused(data: bytes) -> None:
    try:
        read_body(data)
    except ProtocolError as refused:
        code = refused.code
    else:
        return
    assert code == CloseCode.UNDECODABLE


@pytest.mark.slow
@examples(300)
@given(st.dictionaries(st.text(max_size=4), OPTIONS, max_size=4))
def test_what_passes_fits_a_hello(options: dict[str, Any]) -> None:
    """So a room that is made by a request is given nothing that a player could not have said."""
    try:
        body = read_body(json.dumps({"options": options}).encode())
    except ProtocolError:
        with pytest.raises(ProtocolError):
            unpack_from_client(Hello(options=options).encode())
        return
    hello = Hello.from_items(unpack_from_client(Hello(options=body.options).encode()))
    assert hello.options == body.options == options


# ---- seats


async def posted(
    path: str, body: Any = b"", matchmaker: FakeMatchmaker | None = None, **fields: str
) -> tuple[HttpAnswer, Any]:
    """The answer to a POST, and what its body says."""
    api = HttpApi(matchmaker or FakeMatchmaker(), lambda: 0.0)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | {key.replace("_", "-"): value for key, value in fields.items()}
    request = HttpRequest("POST", path, tuple(item for item in headers.items() if item[1]), data)
    answer = await api.answer(request, NOBODY)
    assert answer is not None
    return answer, json.loads(answer.body)


@pytest.mark.parametrize(
    ("path", "hello"),
    [
        ("/matchmake/join_or_create/duel", Hello(client="http")),
        ("/matchmake/create/duel?a=b", Hello(client="http", method="create")),
        ("/matchmake/join/duel", Hello(client="http", method="join")),
        ("/matchmake/join_by_id/duel/17", Hello(client="http", method="join_by_id", room_id="17")),
    ],
)
async def test_a_seat(path: str, hello: Hello) -> None:
    matchmaker = FakeMatchmaker()
    answer, said = await posted(path, {}, matchmaker)
    assert answer.status == 200
    assert ("Cache-Control", "no-store") in answer.headers
    assert said == {"room": "duel", "room_id": "7", "seat": "seat-1", "path": "/duel", "seconds": 15.0}
    ((room, asked, request, _),) = matchmaker.asked
    assert (room, asked, request.target) == ("duel", hello, path)


async def test_all_that_a_body_says() -> None:
    matchmaker = FakeMatchmaker()
    said = {"name": "Ann", "options": {"a": [1]}, "filter": {"level": 3}, "password": "p", "invite": "i", "token": "t"}
    await posted("/matchmake/join/duel", said, matchmaker, authorization="Bearer other")
    hello = matchmaker.asked[0][1]
    assert {key: getattr(hello, key) for key in said} == said


@pytest.mark.parametrize(
    ("field", "token"),
    [
        ("Bearer a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="),
        ("bearer  abc", "abc"),
        ("Bearer ", None),
        ("Bearer a b", None),
        ("Bearer a=b", None),
        ("Basic QWxhZGRpbg==", None),
        ("abc", None),
    ],
)
async def test_a_token_in_the_head(field: str, token: str | None) -> None:
    matchmaker = FakeMatchmaker()
    await posted("/matchmake/join/duel", b"", matchmaker, authorization=field)
    assert matchmaker.asked[0][1].token == token


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/matchmake/", 404),
        ("/matchmake/join", 404),
        ("/matchmake/join/", 404),
        ("/matchmake/evil/duel", 404),
        ("/matchmake/Join/duel", 404),
        ("/matchmake/join/duel/", 404),
        ("/matchmake/join//duel", 404),
        ("/matchmake/join_by_id/duel/1/2", 404),
        ("/matchmake/join/..%2f", 404),
        ("/matchmake/join/a%20evil", 404),
        ("/matchmake/join/" + "a" * 129, 404),
        ("/matchmake/join_by_id/duel", 400),
        ("/matchmake/join/duel/1", 400),
    ],
)
async def test_paths_that_lead_nowhere(path: str, status: int) -> None:
    matchmaker = FakeMatchmaker()
    answer, said = await posted(path, {}, matchmaker)
    assert answer.status == status
    assert said["code"] == (4004 if status == 404 else 4015)
    assert "evil" not in said["reason"]
    assert not matchmaker.asked


@pytest.mark.parametrize(
    ("body", "fields", "status", "error"),
    [
        (b"", {"content_type": ""}, 200, None),
        (b"{}", {"content_type": "application/json; charset=utf-8"}, 200, None),
        (b"{}", {"content_type": "Application/JSON;charset=UTF-8"}, 200, None),
        (b"{}", {"content_encoding": "identity"}, 200, None),
        (b"{}", {"content_type": ""}, 415, "unsupported"),
        (b"", {"content_type": "text/plain"}, 415, "unsupported"),
        (b"{}", {"content_type": "text/plain"}, 415, "unsupported"),
        (b"{}", {"content_type": "text/plain; application/json"}, 415, "unsupported"),
        (b"{}", {"content_type": "application/json; charset=utf-16"}, 415, "unsupported"),
        (b"{}", {"content_type": "application/jsonp"}, 415, "unsupported"),
        (b"a=b", {"content_type": "application/x-www-form-urlencoded"}, 415, "unsupported"),
        (b"{}", {"content_encoding": "gzip"}, 415, "unsupported"),
        (b"{", {}, 400, "undecodable"),
        (b"\xff", {}, 400, "undecodable"),
        (b'{"spectate": true}', {}, 400, "bad_join"),
        (b"{}", {"authorization": "Bearer " + "a" * 3073}, 400, "undecodable"),
    ],
)
async def test_types_of_bodies(body: bytes, fields: dict[str, str], status: int, error: str | None) -> None:
    answer, said = await posted("/matchmake/join/duel", body, **fields)
    assert answer.status == status
    assert said.get("error") == error


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [
        (4003, 403, "not_admitted"),
        (4004, 404, "unknown_room"),
        (4010, 409, "room_full"),
        (4011, 409, "room_locked"),
        (4012, 403, "wrong_password"),
        (4015, 400, "bad_join"),
        (1007, 400, "undecodable"),
        (1008, 400, "policy"),
        (1011, 500, "room_failed"),
        (1012, 503, "restart"),
        (1013, 503, "try_later"),
    ],
)
async def test_how_refusals_are_told(code: int, status: int, word: str) -> None:
    matchmaker = FakeMatchmaker()
    matchmaker.error = ProtocolError(CloseCode(code), 'because of "that"; reconnect in 2.3 s')
    answer, said = await posted("/matchmake/join/duel", {}, matchmaker)
    assert answer.status == status
    assert answer.content_type == "application/json"
    assert said == {"error": word, "code": code, "reason": 'because of "that"; reconnect in 2.3 s'}
    assert (("Retry-After", "3") in answer.headers) is (status == 503)
    assert ("Cache-Control", "no-store") in answer.headers


async def test_somebody_elses_path() -> None:
    api = HttpApi(FakeMatchmaker(), lambda: 0.0)
    for path in ("/", "/room", "/rooms/", "/roomsx", "/matchmake", "/Rooms", "//rooms", "/%72ooms"):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            assert await api.answer(HttpRequest(method, path), NOBODY) is None


async def test_what_a_browser_asks_before() -> None:
    api = HttpApi(FakeMatchmaker(), lambda: 0.0)
    for path, methods in (("/rooms?a=b", "GET, HEAD"), ("/matchmake/join/duel", "POST")):
        answer = await api.answer(HttpRequest("OPTIONS", path), NOBODY)
        assert answer is not None
        assert answer.status is HTTPStatus.NO_CONTENT
        assert dict(answer.headers) == {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
            "Allow": f"{methods}, OPTIONS",
        }
