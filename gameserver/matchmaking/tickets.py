"""Who waits, and what a match has to be. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gameserver import DeclarationError


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A party that waits: one player, or several who stay together.

    Attributes:
        players: whoever they are. ratings: theirs, in the same order.
        since: when they began to wait, in seconds.
        rating: their average.
    """

    players: tuple[Any, ...]
    ratings: tuple[float, ...]
    since: float
    rating: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rating", math.fsum(self.ratings) / len(self.ratings))

    @property
    def size(self) -> int:
        """How many players it is."""
        return len(self.players)


@dataclass(frozen=True, slots=True)
class Match:
    """Tickets that play each other.

    Attributes:
        teams: the tickets of each team.
        bots: how many bots each team needs to be whole.
    """

    teams: tuple[tuple[Ticket, ...], ...]
    bots: tuple[int, ...]

    @property
    def tickets(self) -> list[Ticket]:
        """All of them, team by team."""
        return [ticket for team in self.teams for ticket in team]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a match has to be.

    Attributes:
        team_size: players in a team. teams: teams in a match.
        tolerance: how far another's rating may be from one's own, for who has just come.
        widening: by how much that grows with each second of waiting.
        most_tolerance: how far it may grow; None for any.
        patience: seconds after which a ticket is matched by its own tolerance, whatever the others'; None for never.
        bots_after: seconds after which a ticket's match is filled with bots; None for never.
    Raises:
        DeclarationError: a number is out of its range.
    """

    team_size: int = 1
    teams: int = 2
    tolerance: float = 50.0
    widening: float = 25.0
    most_tolerance: float | None = None
    patience: float | None = 60.0
    bots_after: float | None = None

    def __post_init__(self) -> None:
        for name in ("team_size", "teams"):
            count = getattr(self, name)
            if type(count) is not int or count < 1:
                raise DeclarationError(f"{name} = {count!r}: give a whole number from 1")
        for name in ("tolerance", "widening", "most_tolerance", "patience", "bots_after"):
            number = getattr(self, name)
            if number is None and name not in ("tolerance", "widening"):
                continue
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < math.inf:
                raise DeclarationError(f"{name} = {number!r}: give a number from 0")

    @property
    def seats(self) -> int:
        """Players in a whole match."""
        return self.team_size * self.teams

    def tolerance_of(self, ticket: Ticket, now: float) -> float:
        """How far another's rating may be from this ticket's."""
        widened = self.tolerance + self.widening * max(0.0, now - ticket.since)
        return widened if self.most_tolerance is None else min(widened, self.most_tolerance)

    def is_over(self, limit: float | None, ticket: Ticket, now: float) -> bool:
        """Whether a ticket has waited for ``limit`` seconds, `patience` or `bots_after`."""
        return limit is not None and now - ticket.since >= limit


def players_of(tickets: Iterable[Ticket]) -> int:
    """How many players tickets are."""
    return sum(ticket.size for ticket in tickets)
