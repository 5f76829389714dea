"""Seats that wait for their players: `WaitingSeats` against a model of it, and what it keeps."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gameserver.waiting_seats import WAITING_SEATS, WaitingSeats
from tests.support.examples import examples

SECONDS = 15.0
MOST = 3
ADDRESSES = st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::/64"])


class ModelledSeats(RuleBasedStateMachine):
    """Whatever happens in whatever order, an address has at most `MOST`, and nobody counts longer than it should."""

    begun = Bundle("begun")

    def __init__(self) -> None:
        super().__init__()
        self.seats = WaitingSeats(SECONDS, MOST)
        self.now = 0.0
        self.asking: list[str] = []
        self.waiting: dict[str, tuple[float, str]] = {}  # by token
        self.made = 0

    def count(self) -> Counter[str]:
        waiting = [address for until, address in self.waiting.values() if until > self.now]
        return Counter(self.asking + waiting)

    @rule(seconds=st.sampled_from([0.0, 1.0, 7.5, SECONDS, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=begun, address=ADDRESSES)
    def begin(self, address: str) -> str:
        may = self.count()[address] < MOST
        assert self.seats.begin(address, self.now) is may
        if not may:
            return ""
        self.asking.append(address)
        return address

    @rule(address=consumes(begun), succeeds=st.booleans())
    def finish(self, address: str, succeeds: bool) -> None:
        if not address:
            return
        self.asking.remove(address)
        if succeeds:
            self.made += 1
            self.seats.wait_for(f"token {self.made}", address, self.now)
            self.waiting[f"token {self.made}"] = self.now + SECONDS, address
        else:
            self.seats.end(address)

    @rule(number=st.integers(0, 20))
    def take(self, number: int) -> None:
        self.seats.take(f"token {number}")
        self.waiting.pop(f"token {number}", None)

    @invariant()
    def nothing_is_forgotten_early(self) -> None:
        assert len(self.seats) >= self.count().total()


TestModelledSeats = ModelledSeats.TestCase
TestModelledSeats.settings = examples(100, stateful_step_count=40)


def test_ten_wait_and_no_eleventh() -> None:
    seats = WaitingSeats(SECONDS)
    for number in range(WAITING_SEATS):
        assert seats.begin("a", 0.0)
        seats.wait_for(f"{number}", "a", 0.0)
    assert not seats.begin("a", 14.9)
    assert seats.begin("b", 14.9)
    seats.take("3")
    assert seats.begin("a", 14.9)
    assert not seats.begin("a", 14.9)
    assert seats.begin("a", SECONDS)


def test_who_asks_counts_before_it_has_a_seat() -> None:
    """A hook may take seconds to say who somebody is; as many could ask meanwhile."""
    seats = WaitingSeats(SECONDS)
    assert all(seats.begin("a", 0.0) for _ in range(WAITING_SEATS))
    assert not seats.begin("a", 1000.0)
    seats.end("a")
    assert seats.begin("a", 1000.0)


def test_a_hundred_thousand_addresses_leave_nothing_behind() -> None:
    seats = WaitingSeats(SECONDS)
    for number in range(100_000):
        now = number / 100
        assert seats.begin(f"{number}", now)
        seats.wait_for(f"token {number}", f"{number}", now)
        assert len(seats._seats) <= 100 * SECONDS + 1
    assert seats.begin("last", 1e6)
    assert len(seats) == 1
    assert len(seats._counts) == 1
    assert not seats._seats


def test_tokens_are_not_kept() -> None:
    seats = WaitingSeats(SECONDS)
    assert seats.begin("a", 0.0)
    seats.wait_for("a-token-that-nobody-may-see", "a", 0.0)
    assert "nobody-may-see" not in repr(vars(seats))
