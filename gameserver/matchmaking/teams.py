"""Teams: parties packed so that each is whole, and teams that are as equal as a few exchanges make them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from gameserver.matchmaking.tickets import Ticket, players_of

#: Exchanges of tickets between teams that one match is worth; a match of 5 against 5 needs about three.
_MOST_EXCHANGES: Final = 64
#: Ratings are floats: what makes a difference of teams smaller by less than this is no improvement.
_SAME: Final = 1e-9


def divide(tickets: Iterable[Ticket], team_size: int, teams: int) -> list[list[Ticket]] | None:
    """Tickets in teams of at most ``team_size``, as even as a few exchanges make them; None when no way was found.

    Teams are compared by the sum of their players' distances from the average of all, so a missing player (a bot)
    counts as an average one. In the end no two tickets of equal size can change teams to make two teams more equal.
    """
    tickets = list(tickets)
    divided = _spread(tickets, team_size, teams)
    if divided is None:
        packing = Packing(team_size, teams)
        if not all(packing.add(ticket) for ticket in sorted(tickets, key=lambda ticket: -ticket.size)):
            return None
        divided = packing.divided
    _exchange(divided, _weights(tickets))
    return divided


class Packing:
    """Tickets in teams, as they come.

    Attributes:
        tickets: in the order of coming. divided: by team.
        room: how many players are missing.
    """

    def __init__(self, team_size: int, teams: int) -> None:
        self.tickets: list[Ticket] = []
        self.divided: list[list[Ticket]] = [[] for _ in range(teams)]
        self.room = team_size * teams
        self._rooms = [team_size] * teams
        self._team_size = team_size

    def add(self, ticket: Ticket) -> bool:
        """Find room for a ticket, moving others if need be; False, and nothing happens, when none was found."""
        if not (self._place(ticket) or (ticket.size <= self.room and self._repack(ticket))):
            return False
        self.tickets.append(ticket)
        self.room -= ticket.size
        return True

    def _place(self, ticket: Ticket) -> bool:
        """Into the team where it leaves the least room."""
        size, best = ticket.size, -1
        for team, room in enumerate(self._rooms):
            if size <= room and (best < 0 or room < self._rooms[best]):
                best = team
        if best < 0:
            return False
        self.divided[best].append(ticket)
        self._rooms[best] -= size
        return True

    def _repack(self, ticket: Ticket) -> bool:
        """Start anew, large ones first: what comes first then fits best."""
        again = Packing(self._team_size, len(self.divided))
        if not all(map(again._place, sorted([*self.tickets, ticket], key=lambda ticket: -ticket.size))):
            return False
        self.divided, self._rooms = again.divided, again._rooms
        return True


def _weights(tickets: list[Ticket]) -> dict[Ticket, float]:
    """How far the players of each ticket are above the average of all, summed."""
    average = math.fsum(rating for ticket in tickets for rating in ticket.ratings) / max(1, players_of(tickets))
    return {ticket: math.fsum(ticket.ratings) - average * ticket.size for ticket in tickets}


def _spread(tickets: list[Ticket], team_size: int, teams: int) -> list[list[Ticket]] | None:
    """Large parties first, each into the team with the most room, and of those where it evens out the most."""
    weights = _weights(tickets)
    room = [team_size] * teams
    sums = [0.0] * teams
    divided: list[list[Ticket]] = [[] for _ in range(teams)]
    for ticket in sorted(tickets, key=lambda ticket: (-ticket.size, -abs(weights[ticket]))):
        weight = weights[ticket]
        team = max(range(teams), key=lambda team: (room[team], -sums[team] if weight > 0 else sums[team]))
        if room[team] < ticket.size:
            return None
        divided[team].append(ticket)
        room[team] -= ticket.size
        sums[team] += weight
    return divided


def _exchange(divided: list[list[Ticket]], weights: dict[Ticket, float]) -> None:
    """Let tickets of equal size change teams as long as that makes two teams more equal."""
    sums = [math.fsum(weights[ticket] for ticket in team) for team in divided]
    for _ in range(_MOST_EXCHANGES):
        found = _best_exchange(divided, weights, sums)
        if found is None:
            return
        one, at_one, other, at_other = found
        moved = weights[divided[one][at_one]] - weights[divided[other][at_other]]
        divided[one][at_one], divided[other][at_other] = divided[other][at_other], divided[one][at_one]
        sums[one] -= moved
        sums[other] += moved


def _best_exchange(
    divided: list[list[Ticket]], weights: dict[Ticket, float], sums: list[float]
) -> tuple[int, int, int, int] | None:
    """Which tickets should change teams: (team, place, other team, place there); None when no exchange helps."""
    best, found = _SAME, None
    for one in range(len(divided)):
        for other in range(one + 1, len(divided)):
            apart = sums[one] - sums[other]
            for at_one, ticket in enumerate(divided[one]):
                for at_other, instead in enumerate(divided[other]):
                    if ticket.size == instead.size:
                        gain = abs(apart) - abs(apart - 2 * (weights[ticket] - weights[instead]))
                        if gain > best:
                            best, found = gain, (one, at_one, other, at_other)
    return found
