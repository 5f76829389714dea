"""Who plays whom: matches of waiting players by rating. Pure: no room, no clock, no chance.

Tickets are looked at in the order of waiting, and each takes those that are nearest to it by rating, as far as all of
them accept each other. What a ticket accepts widens while it waits. That alone would let a player starve whose rating
is far from all others': those others are soon matched and never wait for long. So a ticket whose *patience* is over is
matched by its own tolerance alone. (Amazon's FlexMatch lets the author choose between these two, as the age of the
newest or of the oldest ticket.)
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Final

from gameserver.matchmaking.teams import Packing, divide
from gameserver.matchmaking.tickets import Match, Rules, Ticket, players_of

#: Candidates that do not accept each other, which one ticket looks at before it waits on; more for larger matches.
_LOOK: Final = 32
#: Such looks of all tickets together in one search, about 20 ms; beyond it only those whose patience is over look on.
_MOST_LOOKS: Final = 15_000


def find_matches(waiting: Sequence[Ticket], now: float, rules: Rules) -> list[Match]:
    """The matches that can be made now; a ticket is in one of them or waits on.

    Whoever waits longest chooses first; of those who wait equally long, whoever is first in ``waiting``. A ticket that
    is larger than a team is never matched.
    """
    pool = _Pool([ticket for ticket in waiting if 0 < ticket.size <= rules.team_size], now, rules)
    return [match for anchor in pool.in_order() if (match := pool.match_for(anchor)) is not None]


class _Line:
    """The tickets of one size that are still free, along the ratings."""

    def __init__(self, tickets: list[Ticket]) -> None:
        self.tickets = sorted(tickets, key=lambda ticket: ticket.rating)
        self.ratings = [ticket.rating for ticket in self.tickets]
        self.index = {ticket: at for at, ticket in enumerate(self.tickets)}
        # Where the next free one is, each way; places shifted by one, so that both ends have one.
        self._up = list(range(len(tickets) + 2))
        self._down = list(range(len(tickets) + 2))

    def take(self, ticket: Ticket) -> None:
        place = self.index[ticket] + 1
        self._up[place] = place + 1
        self._down[place] = place - 1

    def is_free(self, ticket: Ticket) -> bool:
        place = self.index[ticket] + 1
        return self._up[place] == place

    def free_from(self, at: int) -> int:
        """The first free ticket from ``at`` on; the number of tickets for none."""
        return _follow(self._up, at + 1) - 1

    def free_until(self, at: int) -> int:
        """The last free ticket up to ``at``; -1 for none."""
        return _follow(self._down, at + 1) - 1


def _follow(links: list[int], place: int) -> int:
    while links[place] != place:
        links[place] = place = links[links[place]]  # the way is shorter for who comes next
    return place


class _Nearest:
    """Walks over the other free tickets of some sizes, those that are nearest to one by rating first."""

    def __init__(self, lines: dict[int, _Line], anchor: Ticket, reach: float) -> None:
        self._lines = lines
        self._anchor = anchor
        self._rating = anchor.rating
        self._reach = reach
        self._heads: dict[int, list[int]] = {}
        for size, line in lines.items():
            at = bisect.bisect_left(line.ratings, self._rating)
            self._heads[size] = [line.free_until(at - 1), line.free_from(at)]

    def drop(self, size: int) -> None:
        """Look at tickets of this size no more."""
        del self._heads[size]

    def next(self) -> Ticket | None:
        """The next ticket; None when no other is within reach."""
        ticket = self._step()
        return ticket if ticket is not self._anchor else self._step()

    def _step(self) -> Ticket | None:
        nearest, found = self._reach, None
        for size, (below, above) in self._heads.items():
            ratings = self._lines[size].ratings
            if below >= 0 and (distance := self._rating - ratings[below]) <= nearest:
                nearest, found = distance, (size, below, True)
            if above < len(ratings) and (distance := ratings[above] - self._rating) <= nearest:
                nearest, found = distance, (size, above, False)
        if found is None:
            return None
        size, at, is_below = found
        line = self._lines[size]
        if is_below:
            self._heads[size][0] = line.free_until(at - 1)
        else:
            self._heads[size][1] = line.free_from(at + 1)
        return line.tickets[at]


class _Bounds:
    """What tickets that were chosen have in common: which ratings all accept, and which there are."""

    __slots__ = ("_accepted", "_present")

    def __init__(self, rating: float, tolerance: float) -> None:
        self._accepted = (rating - tolerance, rating + tolerance)
        self._present = (rating, rating)

    def accepts(self, rating: float, tolerance: float) -> bool:
        """Whether a ticket and all others accept each other."""
        lowest, highest = self._accepted
        least, most = self._present
        return lowest <= rating <= highest and rating - tolerance <= least and most <= rating + tolerance

    def add(self, rating: float, tolerance: float) -> None:
        """Add a ticket that is accepted."""
        lowest, highest = self._accepted
        least, most = self._present
        self._accepted = (max(lowest, rating - tolerance), min(highest, rating + tolerance))
        self._present = (min(least, rating), max(most, rating))


class _Pool:
    """All waiting tickets during one search."""

    def __init__(self, tickets: list[Ticket], now: float, rules: Rules) -> None:
        self._now = now
        self._rules = rules
        self._tickets = tickets
        self._looks = 0  # at candidates, by tickets that have to wait on
        self._free_players = sum(ticket.size for ticket in tickets)
        by_size: dict[int, list[Ticket]] = {}
        for ticket in tickets:
            by_size.setdefault(ticket.size, []).append(ticket)
        self._lines = {size: _Line(by_size[size]) for size in sorted(by_size)}

    def in_order(self) -> list[Ticket]:
        """The order of choosing."""
        return sorted(self._tickets, key=lambda ticket: ticket.since)

    def match_for(self, anchor: Ticket) -> Match | None:
        """A match with this ticket, whose tickets are then taken; None when it has to wait, or is taken."""
        rules = self._rules
        fills_with_bots = rules.is_over(rules.bots_after, anchor, self._now)
        is_patient = not rules.is_over(rules.patience, anchor, self._now)
        if self._free_players < rules.seats and not fills_with_bots:
            return None
        if not self._lines[anchor.size].is_free(anchor) or (is_patient and self._looks > _MOST_LOOKS):
            return None
        packing = self._gather(anchor, is_patient)
        if packing.room:
            packing = self._fill_by_size(anchor, is_patient) or packing
        if packing.room and not fills_with_bots:
            return None
        for ticket in packing.tickets:
            self._lines[ticket.size].take(ticket)
            self._free_players -= ticket.size
        return self._make(packing)

    def _gather(self, anchor: Ticket, is_patient: bool) -> Packing:
        """The ticket, and the nearest ones that it can play with, until the match is whole or nobody is left."""
        rules, now = self._rules, self._now
        reach = rules.tolerance_of(anchor, now)
        bounds = _Bounds(anchor.rating, reach)
        packing = Packing(rules.team_size, rules.teams)
        packing.add(anchor)
        nearest = _Nearest(self._lines, anchor, reach)
        refused = 0
        while packing.room and refused < _LOOK + rules.seats:
            ticket = nearest.next()
            if ticket is None:
                break
            tolerance = rules.tolerance_of(ticket, now) if is_patient else math.inf
            if not bounds.accepts(ticket.rating, tolerance):
                refused += 1
            elif packing.add(ticket):
                bounds.add(ticket.rating, tolerance)
            else:
                nearest.drop(ticket.size)  # there is no room for others of this size either
        if packing.room:
            self._looks += refused + len(packing.tickets)
        return packing

    def _fill_by_size(self, anchor: Ticket, is_patient: bool) -> Packing | None:
        """Whole teams, wherever the sizes of parties allow some: the nearest did not add up. None when none do."""
        rules, now = self._rules, self._now
        if len(self._lines) == 1:
            return None
        reach = rules.tolerance_of(anchor, now)
        within = {size: self._nearest_of(size, anchor, reach) for size in self._lines}
        left = {size: len(tickets) for size, tickets in within.items()}
        self._looks += sum(left.values())
        teams = [_team_of(rules.team_size - (0 if team else anchor.size), left) for team in range(rules.teams)]
        bounds = _Bounds(anchor.rating, reach)
        packing = Packing(rules.team_size, rules.teams)
        packing.add(anchor)
        for sizes in teams:
            for size in sizes or ():
                ticket = within[size].pop()
                tolerance = rules.tolerance_of(ticket, now) if is_patient else math.inf
                if not bounds.accepts(ticket.rating, tolerance):
                    return None
                bounds.add(ticket.rating, tolerance)
                packing.add(ticket)
        return packing if not packing.room else None

    def _nearest_of(self, size: int, anchor: Ticket, reach: float) -> list[Ticket]:
        """As many tickets of a size as a match has room for, the nearest last."""
        nearest = _Nearest({size: self._lines[size]}, anchor, reach)
        found = (nearest.next() for _ in range(self._rules.seats // size))
        return [ticket for ticket in found if ticket is not None][::-1]

    def _make(self, packing: Packing) -> Match:
        rules = self._rules
        teams = divide(packing.tickets, rules.team_size, rules.teams) or packing.divided
        return Match(
            teams=tuple(tuple(team) for team in teams),
            bots=tuple(rules.team_size - players_of(team) for team in teams),
        )


def _team_of(players: int, left: dict[int, int]) -> list[int] | None:
    """Sizes of parties that make a team of exactly so many, large ones rather than small; taken from ``left`` then."""
    ways: dict[int, list[int]] = {0: []}
    for size in sorted(left, reverse=True):
        for total, sizes in [*ways.items()]:
            for count in range(1, min(left[size], (players - total) // size) + 1):
                ways.setdefault(total + count * size, sizes + [size] * count)
    found = ways.get(players)
    for size in found or ():
        left[size] -= 1
    return found
