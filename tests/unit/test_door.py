"""The door against a model of it, and what it costs to remember addresses; who is silent too long (`Keepalive`)."""

from __future__ import annotations

import sys
from collections import Counter
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gameserver.net import Limits
from gameserver.net.addresses import Address
from gameserver.net.door import _REMEMBERED_ADDRESSES, Door, Visitor
from gameserver.net.keepalive import Keepalive
from gameserver.net.request_head import RefusedRequestError, RequestHead
from tests.support.examples import examples

MOST = 6
EACH = 3
#: Arrivals of one address in a second; three seconds of them may come at once.
RATE = 2.0
PROXY = ip_address("10.0.0.1")
#: The last two are one home; the ones before them are two.
PLAYERS = [ip_address(text) for text in ("192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1")]
PLAYERS.append(ip_address("2001:db8:0:2::ffff"))
OWN = ip_address("127.0.0.1")
ANYBODY = st.sampled_from([*PLAYERS, OWN, PROXY, None])


def request(*forwarded: object, origin: str = "", host: str = "game.example") -> RequestHead:
    fields = [("host", host)]
    if origin:
        fields.append(("origin", origin))
    fields += [("x-forwarded-for", str(each)) for each in forwarded]
    return RequestHead("/arena", tuple(fields))


def door(**more: Any) -> Door:
    limits = Limits(connections_per_address=EACH, connects_per_second_per_address=RATE)
    return Door(limits, most_connections=MOST, trusted_proxies=[str(PROXY)], **more)


def home(address: Address) -> object:
    """What a limit for each address counts: the address, or the upper half of it."""
    return address if isinstance(address, IPv4Address) else int(address) >> 64


def outcome(act: Any, *arguments: Any) -> Any:
    """What ``act`` returns, or the refusal that it raises."""
    try:
        return act(*arguments)
    except RefusedRequestError as refusal:
        return refusal


class ModelledDoor(RuleBasedStateMachine):
    """Visitors come, speak through a proxy or not, and go; the model keeps lists instead of counters and buckets."""

    def __init__(self) -> None:
        super().__init__()
        self.door = door()
        self.now = 1000.0
        self.inside: dict[Visitor, Address | None] = {}  # and whom each counts for
        self.silent: list[Visitor] = []  # those of which no request has come
        self.tokens: dict[object, tuple[float, float]] = {}  # how many arrivals are left to a home, and since when

    def admits(self, address: Address) -> bool:
        """Whether the limits for one address let it in; an arrival of it is spent then."""
        if address == OWN:
            return True
        if sum(home(each) == home(address) for each in self.inside.values() if each is not None) >= EACH:
            return False
        left, since = self.tokens.get(home(address), (3 * RATE, self.now))
        left = min(3 * RATE, left + (self.now - since) * RATE)
        admitted = left >= 1
        self.tokens[home(address)] = (left - admitted, self.now)
        return admitted

    @rule(peer=ANYBODY)
    def enter(self, peer: Address | None) -> None:
        status = None
        if peer is not None and len(self.inside) >= MOST:
            status = HTTPStatus.SERVICE_UNAVAILABLE
        elif peer not in (None, PROXY) and not self.admits(peer):
            status = HTTPStatus.TOO_MANY_REQUESTS
        result = outcome(self.door.enter, peer, self.now)
        if status is None:
            self.inside[result] = None if peer in (PROXY, OWN) else peer
            self.silent.append(result)
        else:
            assert result.status == status
            assert 0 <= result.retry_after_seconds <= 5

    @rule(which=st.integers(0, 99), client=st.sampled_from([*PLAYERS, OWN, PROXY]))
    def identify(self, which: int, client: Address) -> None:
        if not self.silent:
            return
        visitor = self.silent.pop(which % len(self.silent))
        through_proxy = visitor.address == PROXY
        # Before a proxy that names itself there may be another one of ours: the word before it is believed.
        named = ip_address("6.6.6.6") if client == PROXY else client
        admitted = not through_proxy or self.admits(named)
        result = outcome(self.door.identify, visitor, request("6.6.6.6", client), self.now)
        if not admitted:
            assert result.status == HTTPStatus.TOO_MANY_REQUESTS
        else:
            assert result is None
            if through_proxy:
                assert visitor.address == named
                self.inside[visitor] = None if named == OWN else named

    @rule(which=st.integers(0, 99))
    def leave(self, which: int) -> None:
        if not self.inside:
            return
        visitor = list(self.inside)[which % len(self.inside)]
        del self.inside[visitor]
        if visitor in self.silent:
            self.silent.remove(visitor)
        self.door.leave(visitor)

    @rule(seconds=st.sampled_from([0.125, 0.5, 1.0, 4.0]))  # exact in binary, so that both count the same
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        assert self.door.connections == len(self.inside)
        counted = Counter(home(address) for address in self.inside.values() if address not in (None, OWN))
        held = {name: guests.connections for name, guests in self.door._guests.items() if guests.connections}
        assert sorted(held.values()) == sorted(counted.values())


TestModelledDoor = ModelledDoor.TestCase
TestModelledDoor.settings = examples(60, stateful_step_count=40)


def refusal_of(act: Any, *arguments: Any) -> RefusedRequestError:
    with pytest.raises(RefusedRequestError) as raised:
        act(*arguments)
    return raised.value


def test_each_limit_at_n_and_one_more() -> None:
    the_door = door()
    visitors = [the_door.enter(PLAYERS[0], 0.0) for _ in range(EACH)]
    refusal = refusal_of(the_door.enter, PLAYERS[0], 0.0)
    assert (refusal.status, refusal.retry_after_seconds) == (429, 5)
    visitors += [the_door.enter(PLAYERS[1], 0.0) for _ in range(MOST - EACH)]
    refusal = refusal_of(the_door.enter, PLAYERS[2], 0.0)
    assert (refusal.status, refusal.retry_after_seconds, str(refusal)) == (503, 5, "The server is full.")
    the_door.leave(visitors.pop())
    the_door.enter(PLAYERS[2], 0.0)


def test_the_burst_of_an_address_and_when_it_may_come_back() -> None:
    the_door = door()
    for _ in range(int(3 * RATE)):
        the_door.leave(the_door.enter(PLAYERS[0], 5.0))
    refusal = refusal_of(the_door.enter, PLAYERS[0], 5.0)
    assert (refusal.status, refusal.retry_after_seconds) == (429, 1 / RATE)
    assert b"\r\nRetry-After: 1\r\n" in refusal.answer()
    the_door.enter(PLAYERS[1], 5.0)  # no other address is held back
    the_door.enter(PLAYERS[0], 5.0 + 1 / RATE)


def test_an_ipv6_home_cannot_change_its_address_to_get_around_the_limit() -> None:
    the_door = door()
    for number in range(EACH):
        the_door.enter(IPv6Address(f"2001:db8::{number:x}"), 0.0)
    assert refusal_of(the_door.enter, IPv6Address("2001:db8::ffff:0:0:1"), 0.0).status == 429
    the_door.enter(IPv6Address("2001:db8:0:1::"), 0.0)


@pytest.mark.parametrize("own", ["127.0.0.1", "::1"])
def test_the_own_machine_has_the_limit_in_all_alone(own: str) -> None:
    the_door = door()
    for _ in range(MOST):
        the_door.enter(ip_address(own), 0.0)
    assert refusal_of(the_door.enter, ip_address(own), 0.0).status == 503


def test_connections_inside_the_process_have_no_limit_but_take_places() -> None:
    the_door = door()
    for _ in range(MOST + 1):
        the_door.enter(None, 0.0)
    assert refusal_of(the_door.enter, PLAYERS[0], 0.0).status == 503


def test_a_proxy_that_names_nobody_counts_for_nobody() -> None:
    """It is a health check of the proxy, or a proxy that is set up wrong: no reason to lock all players out."""
    the_door = door()
    for _ in range(MOST):
        visitor = the_door.enter(PROXY, 0.0)
        the_door.identify(visitor, request(), 0.0)
        assert visitor.address == PROXY
    assert not the_door._guests


def test_who_is_turned_away_at_the_request_still_holds_its_place_until_it_leaves() -> None:
    the_door = door()
    visitors = [the_door.enter(PROXY, 0.0) for _ in range(EACH + 1)]
    for visitor in visitors[:EACH]:
        the_door.identify(visitor, request(PLAYERS[0]), 0.0)
    assert refusal_of(the_door.identify, visitors[EACH], request(PLAYERS[0]), 0.0).status == 429
    assert the_door.connections == EACH + 1
    the_door.leave(visitors[EACH])
    assert the_door.connections == EACH
    for visitor in visitors[:EACH]:
        the_door.leave(visitor)
    assert the_door.connections == 0
    assert not any(guests.connections for guests in the_door._guests.values())


def test_a_page_that_may_not_connect() -> None:
    the_door = door(origins=["https://game.example"])
    visitor = the_door.enter(PLAYERS[0], 0.0)
    the_door.identify(visitor, request(origin="https://game.example"), 0.0)
    refusal = refusal_of(the_door.identify, visitor, request(origin="https://evil.example"), 0.0)
    assert refusal.status == 403
    assert "setting origins" in str(refusal)
    encrypted = Door(Limits(), most_connections=1, encrypted=True)
    visitor = encrypted.enter(PLAYERS[0], 0.0)
    assert refusal_of(encrypted.identify, visitor, request(origin="http://game.example"), 0.0).status == 403


def test_a_closed_door_tells_when_to_come_back() -> None:
    the_door = door()
    visitor = the_door.enter(PLAYERS[0], 0.0)
    the_door.closed_for_seconds = 2.0
    refusal = refusal_of(the_door.identify, visitor, request(), 0.0)
    assert (refusal.status, refusal.retry_after_seconds) == (503, 2.0)


@pytest.mark.parametrize("given", [{"origins": ["game.example"]}, {"unlimited": ["here"]}])
def test_malformed_arguments(given: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="write"):
        door(**given)


def test_a_hundred_thousand_addresses_leave_nothing_behind() -> None:
    """They come at 1000 in a second: what is remembered is who came lately, not who ever came."""
    the_door = Door(Limits(), most_connections=MOST)
    most = 0
    for number in range(100_000):
        now = number / 1000
        the_door.leave(the_door.enter(IPv4Address(0x0B000000 + number), now))
        most = max(most, len(the_door._guests))
    assert most <= 4 * _REMEMBERED_ADDRESSES
    guests = sum(sys.getsizeof(guests) + sys.getsizeof(guests.arrivals) for guests in the_door._guests.values())
    assert guests + sys.getsizeof(the_door._guests) < 1 << 20


def test_addresses_with_connections_are_never_forgotten() -> None:
    the_door = Door(Limits(connections_per_address=1), most_connections=10_000)
    stays = the_door.enter(PLAYERS[0], 0.0)
    for number in range(5000):
        the_door.leave(the_door.enter(IPv4Address(0x0B000000 + number), number / 10))
    assert refusal_of(the_door.enter, PLAYERS[0], 500.0).status == 429
    the_door.leave(stays)
    the_door.enter(PLAYERS[0], 500.0)


# ---- who is silent


class SilentLink:
    """What `Keepalive` uses of a link; it answers its first ``answers`` pings."""

    def __init__(self, answers: float = 0) -> None:
        self.silence = 0
        self.pings: list[int] = []  # at which look
        self.gone: list[str] = []
        self.look = 0
        self._answers = answers

    def ping(self) -> None:
        self.pings.append(self.look)
        if len(self.pings) <= self._answers:
            self.silence = 0

    def give_up(self, reason: str) -> None:
        self.gone.append(reason)


def watch(keepalive: Keepalive, link: Any, looks: int) -> None:
    keepalive.links[link] = None
    for _ in range(looks):
        link.look += 1
        keepalive.look()
        if link.gone:
            keepalive.links.pop(link, None)  # as its connection does


@pytest.mark.parametrize(
    ("dead_seconds", "pings"),
    [(3.0, [1, 2]), (4.0, [1, 2, 3]), (15.0, [5, 10]), (15.9, [5, 10]), (60.0, [20, 40])],
)
def test_the_silent_are_asked_at_least_twice_and_then_given_up(dead_seconds: float, pings: list[int]) -> None:
    keepalive, link = Keepalive(dead_seconds), SilentLink()
    watch(keepalive, link, int(dead_seconds) - 1)
    assert not link.gone
    watch(keepalive, link, 1)
    assert link.gone == ["nothing was heard of it"]
    assert link.pings == pings
    assert keepalive.given_up == 1
    assert not keepalive.links


def test_one_that_only_answers_pings_stays() -> None:
    keepalive, link = Keepalive(15.0), SilentLink(answers=float("inf"))
    watch(keepalive, link, 1000)
    assert not link.gone
    assert link.pings == list(range(5, 1001, 5))


def test_one_that_stops_answering_goes_and_others_stay() -> None:
    keepalive, mute, alive = Keepalive(15.0), SilentLink(answers=3), SilentLink(answers=float("inf"))
    keepalive.links[alive] = None  # type: ignore[index]
    watch(keepalive, mute, 3 * 5 + 15 - 1)
    assert not mute.gone
    watch(keepalive, mute, 1)
    assert mute.gone
    assert not alive.gone
    assert list(keepalive.links) == [alive]


def test_who_talks_is_not_pinged() -> None:
    keepalive, link = Keepalive(15.0), SilentLink()
    for _ in range(100):
        watch(keepalive, link, 4)
        link.silence = 0
    assert not link.pings
