"""What a client says of the room it wants, and the mistakes that are found before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

import gameclient
from gameclient._joining import make_hello, return_hello
from gameprotocol import Hello, unpack_from_client


@pytest.mark.parametrize(
    ("wish", "cure"),
    [
        ({"method": "joyn"}, "method='joyn': give one of join_or_create, create, join, join_by_id"),
        ({"method": "join_by_id"}, "needs room_id=, the id"),
        ({"room_id": "7"}, "goes with method='join_by_id'"),
        ({"method": "join", "room_id": "7"}, "goes with method='join_by_id'"),
        ({"method": "join_by_id", "room_id": "7", "filter": {"a": 1}}, "leave one of the two out"),
        ({"method": "create", "spectate": True}, "use method='join'"),
        ({"seat": "x", "spectate": True}, "leave one of the two out"),
        ({"name": "x" * 65}, "longer than 64 bytes"),
    ],
)
def test_wishes_that_make_no_sense_name_the_cure(wish: dict[str, Any], cure: str) -> None:
    with pytest.raises(ValueError, match=cure):
        gameclient.open("ws://127.0.0.1:1/x", **wish)


@pytest.mark.parametrize("wish", [{"options": {"a": object()}}, {"filter": {"a": object()}}])
def test_what_cannot_travel_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        gameclient.open("ws://127.0.0.1:1/x", **wish)


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"method": "create", "options": {"a": 1}, "password": "p"},
        {"method": "join", "filter": {"level": {"ge": 3, "le": 7}, "mode": "duel"}},
        {"method": "join_by_id", "room_id": "7", "spectate": True},
        {"invite": "ABCDEFGH"},
        {"seat": "token"},
    ],
)
def test_the_hello_says_what_was_wished(wish: dict[str, Any]) -> None:
    hello = Hello.from_items(unpack_from_client(make_hello(name="Ada", token="t", **wish).encode()))
    assert (hello.name, hello.token) == ("Ada", "t")
    for key, value in wish.items():
        assert getattr(hello, key) == value


def test_who_comes_back_asks_for_its_seat_and_nothing_else() -> None:
    first = make_hello(
        name="Ada", token="t", options={"a": 1}, method="join", filter={"b": 1}, password="p", invite="i"
    )
    hello = return_hello(first, "seat", 7, 3)
    assert hello == Hello(name="Ada", token="t", options={"a": 1}, client=first.client, seat="seat", tick=7, messages=3)
