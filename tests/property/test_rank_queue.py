"""What holds for all matches by rating, whoever waits: nobody is matched against the rules, and nobody starves."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gameserver.matchmaking.estimates import WaitHistory, estimate_waits, seconds_until_accepted
from gameserver.matchmaking.ranking import find_matches
from gameserver.matchmaking.teams import divide
from gameserver.matchmaking.tickets import Match, Rules, Ticket, players_of
from tests.support.examples import examples

NOW = 1000.0
EXACT = 1e-6

ratings = st.integers(0, 30).map(lambda tens: 1000.0 + 10 * tens) | st.floats(0, 3000)
waits = st.sampled_from([0.0, 0.0, 1.0, 5.0, 30.0, 59.0, 60.0, 61.0, 300.0]) | st.floats(0, 200)


@st.composite
def tickets(draw: Any, most_size: int) -> Ticket:
    size = draw(st.integers(1, most_size) | st.just(1))
    return Ticket(
        players=tuple(range(size)),
        ratings=tuple(draw(st.lists(ratings, min_size=size, max_size=size))),
        since=NOW - draw(waits),
    )


@st.composite
def situations(draw: Any, *, most_team: int = 4, **fixed: Any) -> tuple[list[Ticket], Rules]:
    rules = Rules(
        **{
            "team_size": draw(st.integers(1, most_team)),
            "teams": draw(st.sampled_from([1, 2, 2, 2, 3])),
            "tolerance": draw(st.sampled_from([0.0, 50.0, 200.0])),
            "widening": draw(st.sampled_from([0.0, 2.5, 25.0])),
            "most_tolerance": draw(st.sampled_from([None, None, 100.0, 400.0])),
            "patience": draw(st.sampled_from([None, 0.0, 60.0])),
            "bots_after": draw(st.sampled_from([None, None, 0.0, 30.0])),
            **fixed,
        }
    )
    return draw(st.lists(tickets(rules.team_size + 1), max_size=24)), rules


def waited(ticket: Ticket) -> float:
    return NOW - ticket.since


def accepts(rules: Rules, one: Ticket, other: Ticket) -> bool:
    return abs(one.rating - other.rating) <= rules.tolerance_of(one, NOW) + EXACT


def all_accept(rules: Rules, match: Match) -> bool:
    """Whether every ticket accepts every other; or one whose patience is over accepts them."""
    found = match.tickets
    if all(accepts(rules, one, other) and accepts(rules, other, one) for one, other in combinations(found, 2)):
        return True
    return any(
        rules.patience is not None and waited(one) >= rules.patience and all(accepts(rules, one, t) for t in found)
        for one in found
    )


def is_overdue(limit: float | None, match: Match) -> bool:
    return limit is not None and any(waited(ticket) >= limit for ticket in match.tickets)


@examples(200)
@given(situations())
def test_every_match_keeps_the_rules(situation: tuple[list[Ticket], Rules]) -> None:
    waiting, rules = situation
    matches = find_matches(waiting, NOW, rules)
    matched = [ticket for match in matches for ticket in match.tickets]
    assert len(set(matched)) == len(matched)  # nobody is in two of them, or in one twice
    assert set(matched) <= set(waiting)
    for match in matches:
        assert len(match.teams) == len(match.bots) == rules.teams
        for team, bots in zip(match.teams, match.bots, strict=True):
            assert players_of(team) + bots == rules.team_size
            assert bots >= 0
        assert not any(match.bots) or is_overdue(rules.bots_after, match)
        assert all_accept(rules, match)


@examples(150)
@given(situations(patience=None, bots_after=None))
def test_without_an_end_of_patience_all_of_a_match_accept_each_other(situation: tuple[list[Ticket], Rules]) -> None:
    waiting, rules = situation
    for match in find_matches(waiting, NOW, rules):
        for one, other in combinations(match.tickets, 2):
            assert accepts(rules, one, other)
            assert accepts(rules, other, one)


@examples(200)
@given(situations(patience=60.0, bots_after=None))
def test_whoever_lost_patience_waits_on_for_want_of_players_only(situation: tuple[list[Ticket], Rules]) -> None:
    """Single players who wait on within its tolerance would fit whatever the parties: so there were too few of them."""
    waiting, rules = situation
    matched = {ticket for match in find_matches(waiting, NOW, rules) for ticket in match.tickets}
    left = [ticket for ticket in waiting if ticket not in matched and ticket.size <= rules.team_size]
    for ticket in left:
        if waited(ticket) >= 60.0:
            reach = rules.tolerance_of(ticket, NOW) - EXACT
            near = [o for o in left if o is not ticket and o.size == 1 and abs(o.rating - ticket.rating) < reach]
            assert ticket.size + len(near) < rules.seats


@examples(150)
@given(situations(most_team=1, teams=2, bots_after=None))
def test_no_two_players_who_accept_each_other_are_left_alone(situation: tuple[list[Ticket], Rules]) -> None:
    waiting, rules = situation
    matched = {ticket for match in find_matches(waiting, NOW, rules) for ticket in match.tickets}
    left = [ticket for ticket in waiting if ticket not in matched and ticket.size == 1]
    for one, other in combinations(left, 2):
        apart = abs(one.rating - other.rating) + EXACT
        assert not (apart < rules.tolerance_of(one, NOW) and apart < rules.tolerance_of(other, NOW))


@examples(200)
@given(situations(bots_after=30.0))
def test_nobody_waits_on_when_bots_may_come(situation: tuple[list[Ticket], Rules]) -> None:
    waiting, rules = situation
    matched = {ticket for match in find_matches(waiting, NOW, rules) for ticket in match.tickets}
    left = [ticket for ticket in waiting if ticket not in matched and ticket.size <= rules.team_size]
    assert not any(waited(ticket) >= 30.0 for ticket in left)


@examples(150)
@given(st.lists(tickets(4), max_size=12), st.integers(1, 5), st.integers(1, 4))
def test_teams_are_whole_and_no_exchange_makes_them_more_equal(found: list[Ticket], team_size: int, teams: int) -> None:
    divided = divide(found, team_size, teams)
    if divided is None:
        return
    assert sorted(map(id, found)) == sorted(id(ticket) for team in divided for ticket in team)
    assert len(divided) == teams
    assert all(players_of(team) <= team_size for team in divided)
    average = math.fsum(r for t in found for r in t.ratings) / max(1, players_of(found))
    weight = {t: math.fsum(r - average for r in t.ratings) for t in found}
    for team, other_team in combinations(divided, 2):
        apart = math.fsum(weight[t] for t in team) - math.fsum(weight[t] for t in other_team)
        for one in team:
            for other in other_team:
                if one.size == other.size:
                    assert abs(apart - 2 * (weight[one] - weight[other])) >= abs(apart) - EXACT


@examples(200)
@given(st.integers(1, 6).flatmap(lambda size: st.lists(ratings, min_size=2 * size, max_size=2 * size)))
def test_two_teams_of_single_players_differ_by_a_share_of_their_range(several: list[float]) -> None:
    """What the exchanges promise: sums of two teams are no further apart than the best player and the worst."""
    divided = divide([Ticket((n,), (rating,), 0.0) for n, rating in enumerate(several)], len(several) // 2, 2)
    assert divided is not None
    assert len(divided[0]) == len(divided[1])
    one, other = (math.fsum(ticket.rating for ticket in team) for team in divided)
    assert abs(one - other) <= max(several) - min(several) + EXACT


@examples(200)
@given(situations(), st.lists(st.tuples(ratings, st.floats(0, 100)), max_size=40))
def test_estimates_are_times_or_unknown(
    situation: tuple[list[Ticket], Rules], matched: list[tuple[float, float]]
) -> None:
    waiting, rules = situation
    history = WaitHistory()
    for rating, seconds in matched:
        history.add(rating, seconds)
    estimates = estimate_waits(waiting, NOW, rules, history)
    assert len(estimates) == len(waiting)
    for ticket, estimate in zip(waiting, estimates, strict=True):
        assert estimate is None or 0 <= estimate < math.inf
        if rules.bots_after is not None:
            assert estimate is not None
            assert estimate <= max(0.0, rules.bots_after - waited(ticket)) + EXACT


@examples(200)
@given(situations(patience=None, bots_after=None, most_team=1, teams=2))
def test_whoever_is_told_a_time_is_matched_by_then_if_all_stay(situation: tuple[list[Ticket], Rules]) -> None:
    """One against one, and the queue alone tells: when the time has come there is a match, and before there is none."""
    waiting, rules = situation
    waiting = [ticket for ticket in waiting if ticket.size == 1]
    seconds = seconds_until_accepted(waiting, NOW, rules)
    soonest = seconds.min(initial=math.inf)
    if soonest < math.inf:
        assert find_matches(waiting, NOW + soonest + EXACT, rules)
    else:
        assert not find_matches(waiting, NOW, rules)
