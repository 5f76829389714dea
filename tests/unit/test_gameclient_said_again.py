"""What a session says while it is away or that was lost is said again; requests and their answers. Virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import pytest
from msgspec import structs

from gameclient import (
    CloseCode,
    Disconnected,
    DisconnectedError,
    MessageRefused,
    RequestFailedError,
    RequestTimeoutError,
)
from gameprotocol import Kind, encode_reply, pack
from tests.unit.test_gameclient_return import SEATED, Player
from tests.unit.test_gameclient_return import make as make
from tests.unit.test_gameclient_session import WELCOME, frame

# -- what was said meanwhile -------------------------------------------------------------------------------------------


def said(heard: list[Any]) -> list[Any]:
    """Inputs as their sequences, messages as their numbers and kinds."""
    found: list[Any] = []
    for item in heard:
        if item[0] == Kind.INPUT:
            found.append(item[1][0])
        elif item[0] == Kind.MESSAGE:
            found.append((item[3], item[1]))
        elif item[0] == Kind.REQUEST:
            found.append((item[1], item[2]))
    return found


def test_what_did_not_arrive_is_said_again_in_its_place(make: Callable[..., Player]) -> None:
    player = make()
    session = player.session
    session.send("a")
    session.send_input(fire=True)
    session.send("b")
    session.ask("c", 1, timeout=60)
    player.pump(0.05)
    session.send_input(fire=True)
    player.pump(0.05)
    session.send_input(fire=False)
    assert said(player.place.newest.heard()) == [(1, "a"), 1, (2, "b"), (3, "c"), 2, 3]
    player.lose()
    assert session.send("d")
    session.send_input(fire=True)
    session.send_input(fire=False)
    assert not session.flush_input()
    player.come_back(inputs=1, messages=1)
    assert said(player.place.newest.heard()) == [(2, "b"), (3, "c"), 2, 3, (4, "d")]
    player.pump(0.5)
    assert said(player.place.newest.heard()) == [4]  # all that was offered while away, merged
    assert session.stats.inputs_sent == 4


def test_inputs_say_again_what_they_said(make: Callable[..., Player]) -> None:
    player = make()
    player.session.send_input(fire=True)
    player.lose()
    player.come_back()
    resent = [item for item in player.place.newest.heard() if item[0] == Kind.INPUT]
    assert resent == [[Kind.INPUT, [1, 0, 1, ANY], [True]]]


def test_what_frames_have_answered_is_not_kept(make: Callable[..., Player]) -> None:
    player = make()
    session = player.session
    session.send("a")
    player.clock.now += 0.01
    session.send_input(fire=True)
    (_, (_, _, _, client_time), _) = player.place.newest.heard()[-1]
    session.send("b")
    player.tell(frame(2, 1, timing=(1, 0, client_time, 0)))
    assert len(session._talk.outbox) == 1  # b is not later than the input, as far as the clock tells
    player.clock.now += 0.01
    session.acknowledge()
    player.tell(frame(3, 1, timing=(1, 0, client_time + 10_000, 0)))
    assert len(session._talk.outbox) == 0
    player.lose()
    player.come_back(inputs=1, messages=2)
    assert said(player.place.newest.heard()) == []


def test_the_clock_value_wraps_around(make: Callable[..., Player]) -> None:
    player = make()
    session = player.session
    session.send("a")
    before = int(player.clock.now * 1e6) % (1 << 32)
    player.tell(frame(2, 1, timing=(0, 0, (before + (1 << 31) + 5) % (1 << 32), 0)))
    assert len(session._talk.outbox) == 1
    player.tell(frame(3, 1, timing=(0, 0, (before + 5) % (1 << 32), 0)))
    assert len(session._talk.outbox) == 0


def test_a_reply_settles_all_messages_before_it(make: Callable[..., Player]) -> None:
    player = make()
    session = player.session
    session.send("a")
    pending = session.ask("b")
    session.send("c")
    player.tell(encode_reply(2, "yes"))
    assert pending.result() == "yes"
    player.lose()
    player.come_back()
    assert said(player.place.newest.heard()) == [(3, "c")]


def test_so_much_is_kept_while_away(make: Callable[..., Player]) -> None:
    player = make()
    player.lose()
    taken = 0
    while player.session.send("x", bytes(1000)):
        taken += 1
    assert taken == 64 * 1024 // 1008
    pending = player.session.ask("y", bytes(1000))
    assert pending.done
    with pytest.raises(DisconnectedError, match="too much unread"):
        pending.result()


def test_much_is_said_again_at_a_pace_that_servers_take(make: Callable[..., Player]) -> None:
    player = make()
    player.lose()
    while player.session.send("x", bytes(1000)):
        pass
    player.come_back()
    assert not player.session.send("later", bytes(4000))  # it would be behind the others, and there is no room
    began = player.clock.now
    numbers: list[int] = []
    kinds: list[str] = []
    later = False
    size_by_second: dict[int, int] = {}
    while not later or len(numbers) < player.session._talk.outbox.number:
        for item in player.place.newest.heard():
            if item[0] == Kind.MESSAGE:
                numbers.append(item[3])
                kinds.append(item[1])
                second = int(player.clock.now - began)
                size_by_second[second] = size_by_second.get(second, 0) + 1010
        assert player.clock.now < began + 10
        client_time = int(player.clock.now * 1e6) % (1 << 32)
        player.tell(frame(player.session.tick + 1, 1, timing=(0, 0, client_time, 0)))
        player.pump(0.05)
        later = later or player.session.send("later")
    assert numbers == [*range(1, len(numbers) + 1)]
    assert max(size_by_second.values()) < 16_384 + 1010
    assert later
    assert kinds[-1] == "later"


def test_a_break_in_the_middle_of_saying_it_again_loses_and_doubles_nothing(make: Callable[..., Player]) -> None:
    player = make()
    player.lose()
    for _ in range(60):
        player.session.send("x", bytes(1000))
    player.come_back()
    player.pump(1.0)
    heard = [number for number, _ in said(player.place.newest.heard())]
    assert heard == [*range(1, len(heard) + 1)]
    assert 8 < len(heard) < 30
    player.lose()
    player.come_back(messages=5)
    player.pump()
    (first, _), *_ = said(player.place.newest.heard())
    assert first == 6


def test_what_waits_to_be_said_again_is_not_settled_by_old_times(make: Callable[..., Player]) -> None:
    """The server may bring back the clock value of an input of the old connection."""
    player = make()
    for _ in range(30):
        player.session.send("x", bytes(1000))
    client_time = int(player.clock.now * 1e6 + 10) % (1 << 32)
    player.lose()
    player.come_back()
    first = said(player.place.newest.heard())
    player.tell(encode_reply(len(first), None), frame(5, 4, timing=(0, 0, client_time, 0)))
    while player.session._talk.outbox.waiting:
        player.pump(0.5)
        player.tell(frame(player.session.tick + 1, 1))
    numbers = [number for number, _ in [*first, *said(player.place.newest.heard())]]
    assert numbers == [*range(1, 31)]


def test_without_a_seat_nothing_is_kept(make: Callable[..., Player]) -> None:
    player = make(WELCOME)
    for _ in range(100):
        player.session.send("x", bytes(100))
        player.session.send_input(fire=True)
        player.pump(0.05)
    assert len(player.session._talk.outbox) == 0
    assert player.session._inputs is not None
    assert player.session._inputs.above(0) == []


def test_unanswered_messages_do_not_pile_up(make: Callable[..., Player]) -> None:
    """A room that answers nothing and sends no frames: what may be sent again is bounded, and sending goes on."""
    player = make(structs.replace(SEATED, tick_rate=0.0))
    for _ in range(300):
        assert player.session.send("x", bytes(1000))
        player.place.newest.heard()
    assert len(player.session._talk.outbox) == 64


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_request_is_answered(make: Callable[..., Player]) -> None:
    player = make()
    session = player.session
    first, second = session.ask("buy", item=3), session.ask("look", [1, 2])
    assert player.place.newest.heard() == [[Kind.REQUEST, 1, "buy", {"item": 3}], [Kind.REQUEST, 2, "look", [1, 2]]]
    assert not first.done
    with pytest.raises(RuntimeError, match="not answered yet"):
        first.result()
    assert player.tell(encode_reply(2, {"left": 1}), encode_reply(1, "you have no gold", "poor")) == []
    assert second.result() == {"left": 1}
    with pytest.raises(RequestFailedError, match=r"you have no gold \(poor\)") as caught:
        first.result()
    assert (caught.value.code, caught.value.reason) == ("poor", "you have no gold")


def test_a_request_that_is_not_answered_in_time(make: Callable[..., Player]) -> None:
    player = make(structs.replace(SEATED, tick_rate=0.0))
    pending = player.session.ask("buy", timeout=2.0)
    later = player.session.ask("buy", timeout=9.0)
    player.pump(1.9)
    assert not pending.done
    player.pump(0.1)
    with pytest.raises(RequestTimeoutError, match="request 'buy' was not answered in time"):
        pending.result()
    assert player.tell(encode_reply(1, "too late", "poor"), encode_reply(2, "in time")) == []  # and is no refusal
    assert later.result() == "in time"
    assert player.session.stats.returns == 0


def test_a_request_is_answered_after_a_return(make: Callable[..., Player]) -> None:
    player = make()
    pending = player.session.ask("buy", timeout=60)
    player.lose()
    asked_away = player.session.ask("look", timeout=60)
    hello = player.come_back(messages=1, behind=(encode_reply(1, "here"),))
    assert "messages" not in hello
    assert pending.result() == "here"
    assert said(player.place.newest.heard()) == [(2, "look")]
    player.tell(encode_reply(2, "there"))
    assert asked_away.result() == "there"
    player.lose()
    assert player.connect_again()["messages"] == 2


@pytest.mark.parametrize("away", [True, False])
def test_requests_fail_when_it_is_over(make: Callable[..., Player], away: bool) -> None:
    player = make()
    pending = player.session.ask("buy")
    if away:
        player.lose()
        player.connect_again()
    player.lose(4013, "join anew")
    with pytest.raises(DisconnectedError, match=r"join anew \(4013\)"):
        pending.result()
    with pytest.raises(DisconnectedError, match="join anew"):
        player.session.ask("buy").result()


def test_a_request_before_the_player_is_in(make: Callable[..., Player]) -> None:
    player = make(joined=False)
    with pytest.raises(DisconnectedError, match="not in the room yet"):
        player.session.ask("buy").result()


def test_a_payload_is_given_one_way(make: Callable[..., Player]) -> None:
    with pytest.raises(TypeError, match="not both"):
        make().session.ask("buy", {"item": 3}, item=3)


def test_a_message_that_the_room_cannot_take_is_told(make: Callable[..., Player]) -> None:
    player = make()
    player.session.send("byu", 1)
    player.session.send("buy", 1)
    events = player.tell(
        encode_reply(1, "this room knows buy", "unknown"),
        encode_reply(2, None, "invalid"),
        encode_reply(0, "", "spectator"),
        encode_reply(2, "fine"),
    )
    assert events == [
        MessageRefused("byu", 1, "unknown", "this room knows buy"),
        MessageRefused("buy", 2, "invalid", ""),
        MessageRefused("", 0, "spectator", ""),
    ]


@pytest.mark.parametrize("reply", [[9], [9, 1, None], [9, "1", None, 0], [9, 1, 5, 0], [9, True, None, 0]])
def test_a_malformed_reply_ends_it(make: Callable[..., Player], reply: list[Any]) -> None:
    (end,) = make().tell(pack(reply))
    assert isinstance(end, Disconnected)
    assert end.code == CloseCode.UNDECODABLE
