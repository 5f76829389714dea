"""Ranking, case by case: who is matched with whom, when, in which teams, and how long the others are told to wait."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from gameserver import DeclarationError
from gameserver.matchmaking import ranking
from gameserver.matchmaking.estimates import WaitHistory, estimate_waits, seconds_until_accepted
from gameserver.matchmaking.parties import Parties
from gameserver.matchmaking.ranking import find_matches
from gameserver.matchmaking.teams import Packing, divide
from gameserver.matchmaking.tickets import Match, Rules, Ticket


def ticket(*ratings: float, waited: float = 0.0) -> Ticket:
    """A party that began to wait so long before time 0."""
    return Ticket(tuple(range(len(ratings))), tuple(float(rating) for rating in ratings), -waited)


def found(rules: Rules, *waiting: Ticket, now: float = 0.0) -> list[list[list[float]]]:
    """The ratings of each match, team by team, in order."""
    return [
        sorted(sorted(rating for ticket in team for rating in ticket.ratings) for team in match.teams)
        for match in find_matches(waiting, now, rules)
    ]


# -- who


@pytest.mark.parametrize(
    ("rules", "waiting", "matches"),
    [
        (Rules(), [], []),
        (Rules(), [ticket(1000)], []),
        (Rules(), [ticket(1000), ticket(1050)], [[[1000], [1050]]]),
        (Rules(), [ticket(1000), ticket(1050.1)], []),
        # One who waited accepts the other; the other does not.
        (Rules(), [ticket(1000, waited=10), ticket(1060)], []),
        (Rules(), [ticket(1000, waited=10), ticket(1060, waited=1)], [[[1000], [1060]]]),
        (Rules(most_tolerance=55), [ticket(1000, waited=10), ticket(1060, waited=10)], []),
        (Rules(widening=0), [ticket(1000, waited=50), ticket(1051, waited=50)], []),
        # The nearest; whoever came first chooses, and whoever is first in the list where both came at once.
        (Rules(), [ticket(1000), ticket(1040), ticket(1010)], [[[1000], [1010]]]),
        (Rules(), [ticket(1000), ticket(1030, waited=1), ticket(1010)], [[[1010], [1030]]]),
        (Rules(), [ticket(0), ticket(20), ticket(30), ticket(50)], [[[0], [20]], [[30], [50]]]),
        # Patience: from then on one is matched by its own tolerance, as far as that goes.
        (Rules(), [ticket(1000, waited=59.9), ticket(2000)], []),
        (Rules(), [ticket(1000, waited=60), ticket(2000)], [[[1000], [2000]]]),
        (Rules(), [ticket(1000, waited=60), ticket(2551)], []),
        (Rules(patience=None), [ticket(1000, waited=600), ticket(2000)], []),
        (Rules(patience=5, most_tolerance=300), [ticket(1000, waited=600), ticket(1400)], []),
        # All of a match must accept all others: 1000 would play both, but they would not play each other.
        (Rules(teams=3), [ticket(1000), ticket(960), ticket(1040)], []),
        (Rules(teams=3), [ticket(1000), ticket(975), ticket(1025)], [[[975], [1000], [1025]]]),
        # 1060 has waited and accepts 950; 950 is new, and accepts 1000 alone.
        (Rules(team_size=1, teams=3), [ticket(1000, waited=9), ticket(1060, waited=9), ticket(940)], []),
        (Rules(teams=1, team_size=1), [ticket(1000)], [[[1000]]]),
    ],
)
def test_who_is_matched(rules: Rules, waiting: list[Ticket], matches: list[Any]) -> None:
    assert found(rules, *waiting) == matches


@pytest.mark.parametrize("side", [-1, 1])
def test_one_who_is_new_refuses_one_who_is_far_though_that_one_would_accept_it(side: int) -> None:
    """Nearest first: the middle takes one who has waited; for one on the other side that is too far, until it waits."""
    waiting = [ticket(1000, waited=9), ticket(1000 + side * 30, waited=8)]
    assert found(Rules(teams=3), *waiting, ticket(1000 - side * 40)) == []
    assert len(found(Rules(teams=3), *waiting, ticket(1000 - side * 40, waited=1))) == 1


def test_the_answer_does_not_depend_on_when_it_is_asked() -> None:
    waiting = [Ticket((n,), (1000.0 + 37 * n,), 100.0 + n) for n in range(9)]
    later = [Ticket(each.players, each.ratings, each.since + 1e6) for each in waiting]
    assert found(Rules(), *waiting, now=110.0) == found(Rules(), *later, now=110.0 + 1e6)


# -- parties


@pytest.mark.parametrize(
    ("team_size", "teams", "waiting", "sizes"),
    [
        (2, 2, [ticket(1, 1), ticket(2, 2)], [[2], [2]]),
        (2, 2, [ticket(1, 1), ticket(2), ticket(3)], [[1, 1], [2]]),
        (2, 2, [ticket(1, 1), ticket(2), ticket(3, 3, 3)], []),  # larger than a team
        (3, 2, [ticket(1, 1), ticket(2, 2), ticket(3, 3)], []),  # six players, but no team of three
        (3, 2, [ticket(1, 1), ticket(2, 2), ticket(3), ticket(4)], [[1, 2], [1, 2]]),
        # The nearest do not add up, those further away do.
        (3, 2, [ticket(1), ticket(1), ticket(9, 9), ticket(9, 9, 9)], [[1, 2], [3]]),
        (4, 2, [ticket(1, 1, 1), ticket(2, 2, 2), ticket(3, 3, 3), ticket(4), ticket(9)], [[1, 3], [1, 3]]),
        (5, 2, [ticket(1, 1, 1, 1), ticket(2, 2, 2), ticket(3, 3), ticket(4)], [[1, 4], [2, 3]]),
        (6, 2, [ticket(1, 1, 1), ticket(2, 2), ticket(3, 3), ticket(4, 4, 4), ticket(5, 5)], [[2, 2, 2], [3, 3]]),
        (2, 3, [ticket(1, 1), ticket(2, 2), ticket(3), ticket(4)], [[1, 1], [2], [2]]),
    ],
)
def test_parties_are_whole_and_in_one_team(
    team_size: int, teams: int, waiting: list[Ticket], sizes: list[list[int]]
) -> None:
    matches = find_matches(waiting, 0.0, Rules(team_size=team_size, teams=teams, tolerance=100))
    assert len(matches) == bool(sizes)
    for match in matches:
        assert sorted(sorted(ticket.size for ticket in team) for team in match.teams) == sizes
        assert match.bots == (0,) * teams


def test_sizes_that_add_up_are_found_where_the_nearest_do_not() -> None:
    """Only the first of these may choose. The player next to it leaves no place for the party of three."""
    rules = Rules(team_size=3, tolerance=0, patience=50)
    waiting = [ticket(10, waited=100), ticket(11), ticket(12, 12), ticket(20, 20, 20)]
    assert found(rules, *waiting) == [[[10, 12, 12], [20, 20, 20]]]
    assert found(rules, *waiting[:3]) == []


def test_parties_change_teams_to_make_room_for_another() -> None:
    packing = Packing(4, 2)
    for size in (2, 1, 3, 2):
        assert packing.add(ticket(*[1] * size))
    assert packing.room == 0
    assert sorted(sorted(each.size for each in team) for team in packing.divided) == [[1, 3], [2, 2]]
    assert not packing.add(ticket(1))


def test_a_party_counts_with_its_average() -> None:
    assert ticket(900, 1100).rating == 1000
    rules = Rules(team_size=2)
    assert len(find_matches([ticket(900, 1100), ticket(1000, 1040)], 0.0, rules)) == 1
    assert len(find_matches([ticket(900, 1100), ticket(1060, 1060)], 0.0, rules)) == 0


class Somebody:
    """Stands for a player."""

    def __init__(self) -> None:
        self.connected = True


def test_tickets_are_of_whole_and_connected_parties() -> None:
    parties = Parties()
    ada, bob, cid, dan = players = [Somebody() for _ in range(4)]
    come: Any = parties.join
    come(ada, "us", 2, 1000.0, 1.0)
    come(cid, "", 1, 900.0, 2.0)
    assert [ticket.players for ticket in parties.tickets()] == [(cid,)]
    come(bob, "us", 2, 1100.0, 5.0)
    both, alone = before = parties.tickets()
    assert (both.players, both.rating, both.since) == ((ada, bob), 1050.0, 5.0)  # it waits since it is whole
    assert parties.all_wait(before)
    bob.connected = False
    assert parties.tickets() == [alone]
    assert not parties.all_wait(before)
    bob.connected = True
    assert parties.tickets() == before  # the same, with all its waiting
    parties.leave(bob)  # type: ignore[arg-type]
    assert not parties.all_wait(before)
    assert parties.all_wait([alone])
    come(dan, "us", 2, 1200.0, 9.0)
    assert [ticket.players for ticket in parties.tickets()] == [(ada, dan), (cid,)]
    assert not parties.all_wait(before)
    for player in players:
        parties.leave(player)  # type: ignore[arg-type]
    assert not parties.players
    assert not parties._by_code


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_party_that_is_whole_or_of_another_size_takes_nobody(size: int) -> None:
    parties = Parties()
    come: Any = parties.join
    come(Somebody(), "us", 2, 1.0, 0.0)
    if size != 2:
        with pytest.raises(ValueError, match="this party is one of 2"):
            come(Somebody(), "us", size, 1.0, 0.0)
    come(Somebody(), "us", 2, 1.0, 0.0)
    with pytest.raises(ValueError, match="complete"):
        come(Somebody(), "us", size, 1.0, 0.0)
    assert len(parties.players) == 2


# -- teams


@pytest.mark.parametrize(
    ("ratings", "teams"),
    [
        ([1, 2, 3, 4], [[1, 4], [2, 3]]),
        ([10, 10, 10, 50], [[10, 10], [10, 50]]),
        ([1, 2, 3, 4, 5, 6], [[1, 4, 5], [2, 3, 6]]),
        ([100, 90, 20, 10, 60, 40], [[10, 60, 90], [20, 40, 100]]),
    ],
)
def test_teams_are_even(ratings: list[float], teams: list[list[float]]) -> None:
    divided = divide([ticket(rating) for rating in ratings], len(ratings) // 2, 2)
    assert divided is not None
    sums = [sum(ticket.rating for ticket in team) for team in divided]
    expected = [sum(team) for team in teams]
    assert sorted(sums) == sorted(expected)


def test_a_division_of_parties_that_do_not_fit_is_none() -> None:
    assert divide([ticket(1, 1), ticket(2, 2), ticket(3, 3)], 3, 2) is None
    assert divide([ticket(1)] * 3, 1, 2) is None
    assert divide([], 2, 2) == [[], []]


# -- bots


@pytest.mark.parametrize(
    ("waiting", "bots"),
    [
        ([ticket(1, waited=9.9)], None),
        ([ticket(1, waited=10)], [2, 3]),
        ([ticket(1, waited=10), ticket(2)], [2, 2]),
        ([ticket(1, 1, waited=10), ticket(2)], [1, 2]),
        ([ticket(1, 1, waited=10), ticket(2, 2), ticket(3, 3)], [1, 1]),  # and the third party waits on
        ([ticket(1, 1, 1), ticket(2, waited=10)], [0, 2]),
        ([ticket(1, waited=10), ticket(9000)], [2, 3]),  # too far, even for that
    ],
)
def test_bots_make_a_match_whole_for_whoever_waits_long(waiting: list[Ticket], bots: list[int] | None) -> None:
    matches = find_matches(waiting, 0.0, Rules(team_size=3, bots_after=10))
    assert [sorted(match.bots) for match in matches] == ([] if bots is None else [bots])


def test_bots_come_only_when_the_match_is_not_whole_anyway() -> None:
    (match,) = find_matches([ticket(1, waited=10), ticket(2)], 0.0, Rules(bots_after=10))
    assert match.bots == (0, 0)


# -- in time


def matched_after(rules: Rules, outsider: float, seconds: int) -> float | None:
    """When somebody is matched whose rating is ``outsider``, while two others of about 1000 come in each second."""
    chance = random.Random(1)
    outside = Ticket(("outsider",), (outsider,), 0.0)
    waiting = [outside]
    for now in range(seconds):
        waiting += [Ticket((n,), (chance.gauss(1000, 40),), float(now)) for n in range(2)]
        for match in find_matches(waiting, float(now), rules):
            if outside in match.tickets:
                return now
            waiting = [ticket for ticket in waiting if ticket not in match.tickets]
    return None


def test_nobody_starves_whose_rating_is_like_nobodys() -> None:
    assert matched_after(Rules(patience=None), 3000, 200) is None  # those of 1000 are matched before they accept it
    assert matched_after(Rules(), 3000, 200) == pytest.approx((2000 - 50) / 25, abs=6)
    assert matched_after(Rules(), 2000, 200) == 60
    assert matched_after(Rules(patience=20), 1450, 200) == 20
    assert matched_after(Rules(most_tolerance=500), 3000, 200) is None  # the author wants it so


@pytest.mark.parametrize(
    "rules",
    [
        Rules(team_size=50, tolerance=30, widening=2),
        Rules(team_size=1, teams=100, tolerance=30, widening=2),
        Rules(team_size=20, tolerance=400, patience=None),
        Rules(team_size=2, tolerance=1, widening=0.1, patience=None),
    ],
)
@pytest.mark.parametrize("parties", [False, True])
def test_a_thousand_who_cannot_be_matched_are_looked_at_within_bounds(
    rules: Rules, parties: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work, and not time: what is counted takes about a microsecond."""
    looks = 0
    plain_step = ranking._Nearest._step

    def counting_step(self: Any) -> Any:
        nonlocal looks
        looks += 1
        return plain_step(self)

    monkeypatch.setattr(ranking._Nearest, "_step", counting_step)
    chance = random.Random(3)
    waiting = [
        ticket(*(chance.gauss(1500, 350) for _ in range(chance.randint(1, 3) if parties else 1)), waited=n % 50)
        for n in range(1000)
    ]
    find_matches(waiting, 0.0, rules)
    assert looks < 40_000


# -- estimates


def test_a_time_is_told_from_those_who_waited_as_long() -> None:
    history = WaitHistory()
    assert history.remaining(1000, 0) is None
    for waited in (2, 4, 6, 8, 10):
        history.add(1000, waited)
    assert history.remaining(1000, 0) == 6
    assert history.remaining(1000, 5) == 8 - 5
    assert history.remaining(1000, 9.5) == 0.5
    assert history.remaining(1000, 10) is None


def test_a_time_is_told_from_those_of_near_ratings_and_lately() -> None:
    history = WaitHistory()
    for n in range(30):
        history.add(1000 + n, 3)
        history.add(2000 + n, 40)
    assert history.remaining(0, 0) == 3
    assert history.remaining(1010, 0) == 3
    assert history.remaining(2020, 0) == 40
    assert history.remaining(9000, 0) == 40
    for n in range(300):
        history.add(1500 + n / 100, 7)
    assert history.remaining(1010, 0) == 7  # the others are forgotten


@pytest.mark.parametrize(
    ("rules", "waiting", "seconds"),
    [
        (Rules(), [ticket(1000)], [None]),
        (Rules(), [ticket(1000), ticket(1050)], [0, 0]),
        (Rules(), [ticket(1000), ticket(1150)], [4, 4]),
        (Rules(), [ticket(1000, waited=3), ticket(1150, waited=1)], [3, 3]),  # when the later one accepts it
        (Rules(), [ticket(1000), ticket(1150), ticket(1200)], [4, 0, 0]),
        (Rules(teams=3), [ticket(1000), ticket(1150), ticket(1200)], [6, 6, 6]),
        (Rules(widening=0), [ticket(1000), ticket(1150)], [None, None]),
        (Rules(most_tolerance=149), [ticket(1000), ticket(1150)], [None, None]),
        (Rules(team_size=2), [ticket(1000, 1000), ticket(1100), ticket(1100)], [2, 2, 2]),
        (Rules(bots_after=10), [ticket(1000, waited=4)], [6]),
        (Rules(bots_after=10), [ticket(1000, waited=40)], [0]),
        (Rules(bots_after=3), [ticket(1000), ticket(1150)], [3, 3]),
        (Rules(), [], []),
    ],
)
def test_a_time_is_told_from_who_waits_now(rules: Rules, waiting: list[Ticket], seconds: list[float | None]) -> None:
    assert estimate_waits(waiting, 0.0, rules, WaitHistory()) == seconds


def test_the_sooner_of_history_and_queue_is_told() -> None:
    history = WaitHistory()
    history.add(1000, 3)
    waiting = [ticket(1000), ticket(1150)]
    assert estimate_waits(waiting, 0.0, Rules(), history) == [3, 3]
    assert estimate_waits(waiting, 0.0, Rules(tolerance=125), history) == [1, 1]
    assert seconds_until_accepted([ticket(1000)], 0.0, Rules()).tolist() == [math.inf]


# -- rules


@pytest.mark.parametrize(
    "wrong",
    [
        {"team_size": 0},
        {"team_size": 2.0},
        {"teams": True},
        {"tolerance": -1},
        {"tolerance": None},
        {"widening": math.inf},
        {"widening": math.nan},
        {"most_tolerance": "far"},
        {"patience": -0.1},
        {"bots_after": False},
    ],
    ids=str,
)
def test_rules_that_cannot_work_name_the_number(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(DeclarationError, match=rf"^{name} = "):
        Rules(**wrong)


def test_a_match_lists_its_tickets() -> None:
    one, other = ticket(1), ticket(2)
    assert Match(((one,), (other,)), (0, 0)).tickets == [one, other]
