"""Parties: players who join with the same code wait for each other, and then wait together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gameserver import Player
from gameserver.matchmaking.tickets import Ticket

_CODE_BYTES: Final = 64


class Party:
    """Players who stay together.

    Attributes:
        code: what they all say, "" for one player alone. size: how many they are to be.
        ratings: by player, those who are here.
        since: from when on they have waited, as a whole; None while somebody is missing.
    """

    def __init__(self, code: str, size: int) -> None:
        self.code = code
        self.size = size
        self.ratings: dict[Player, float] = {}
        self.since: float | None = None
        self._ticket: Ticket | None = None

    def add(self, player: Player, rating: float, now: float) -> None:
        """Somebody has come."""
        self.ratings[player] = rating
        if len(self.ratings) == self.size:
            self.since = now
            self._ticket = Ticket(tuple(self.ratings), tuple(self.ratings.values()), now)

    def remove(self, player: Player) -> None:
        """Somebody is gone; the others wait for another one."""
        del self.ratings[player]
        self.since = self._ticket = None

    @property
    def ticket(self) -> Ticket | None:
        """The whole party as it waits; None while somebody is missing or has lost its connection."""
        return self._ticket if all(player.connected for player in self.ratings) else None


class Parties:
    """Everybody who waits.

    Attributes:
        players: their parties, in the order of joining.
    """

    def __init__(self) -> None:
        self.players: dict[Player, Party] = {}
        self._by_code: dict[str, Party] = {}

    def __contains__(self, player: Player) -> bool:
        return player in self.players

    def join(self, player: Player, code: str, size: int, rating: float, now: float) -> Party:
        """A player comes, into the party of its code or into one of its own.

        Raises:
            ValueError: the party is whole already, or of another size.
        """
        party = self._by_code.get(code) if code else None
        if party is None:
            party = Party(code, size)
        elif len(party.ratings) == party.size:
            raise ValueError("this party is complete")
        elif party.size != size:
            raise ValueError(f"this party is one of {party.size}: give the same party_size")
        if code:
            self._by_code[code] = party
        self.players[player] = party
        party.add(player, rating, now)
        return party

    def leave(self, player: Player) -> Party | None:
        """A player is gone; the party that it was in, None when it did not wait."""
        party = self.players.pop(player, None)
        if party is not None:
            party.remove(player)
            if party.code and not party.ratings:
                del self._by_code[party.code]
        return party

    def tickets(self) -> list[Ticket]:
        """The parties that are whole and connected, in the order of joining."""
        parties = dict.fromkeys(self.players.values())
        return [ticket for party in parties if (ticket := party.ticket) is not None]

    def all_wait(self, tickets: Sequence[Ticket]) -> bool:
        """Whether these tickets, which were given before, are still whole and connected."""
        parties = (self.players.get(ticket.players[0]) for ticket in tickets)
        return all(party is not None and party.ticket is ticket for party, ticket in zip(parties, tickets, strict=True))


def read_party(options: Mapping[str, Any], team_size: int) -> tuple[str, int]:
    """What a player says of its party: the code, "" for none, and how many they are.

    Raises:
        ValueError: with a reason for the player.
    """
    code, size = options.get("party", ""), options.get("party_size", 1)
    if not isinstance(code, str) or len(code.encode()) > _CODE_BYTES:
        raise ValueError(f"party: give a text of at most {_CODE_BYTES} bytes")
    if type(size) is not int or not 1 <= size <= team_size:
        raise ValueError(f"party_size: give a number from 1 to {team_size}, the size of a team")
    if size > 1 and not code:
        raise ValueError("party_size is for a party: give its code too")
    return code, size
