"""The rank queue: a room in which players wait until there is a match for them.

::

    class Ranked(RankQueue):
        match_room = "duel"

        def rating(self, player):
            return player.identity.data["rating"]

    serve(Ranked, Duel, authenticate=check)
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from gameserver import DeclarationError, Entity, Player, Room, RoomFullError, State, integer, owner, uint
from gameserver.logs import log_event
from gameserver.matchmaking.estimates import WaitHistory, estimate_waits
from gameserver.matchmaking.parties import Parties, read_party
from gameserver.matchmaking.ranking import find_matches
from gameserver.matchmaking.tickets import Match, Rules, Ticket

_log = logging.getLogger("gameserver.matchmaking")

#: What a player without a rating has, as in chess and most games: the middle.
USUAL_RATING: Final = 1000.0
_MOST_RATING: Final = 1e6
#: How long a player who was told its match may stay, in seconds; as a rule its client goes before.
_GOODBYE_SECONDS: Final = 2.0
#: How long to wait after a match could not be made, in seconds: the next one could hardly be.
_PAUSE_SECONDS: Final = 5.0
#: Matches whose rooms are made in one tick: a room costs 0.2 ms or more, for which all rooms of the server wait.
_MOST_MADE: Final = 8


class TicketRow(Entity):
    """What a player who waits is told; nobody else is.

    Fields: ``waited`` in seconds; ``estimate``, how many more it will take, -1 when nothing tells; ``tolerance``, how
    far from one's own the others' rating may be; ``party``, players of its party who are here, of ``party_size``.
    """

    waited = uint(16, to=owner)
    estimate = integer(16, default=-1, to=owner)
    tolerance = uint(16, to=owner)
    party = uint(8, to=owner)
    party_size = uint(8, to=owner)


class QueueState(State):
    """What all see: how many players wait, and how many were matched so far."""

    waiting = uint(16)
    matched = uint(32)


class RankQueue(Room):
    """A queue for matches of players with near ratings. Serve it as it is, or subclass it.

    When a match is found its room is made, private, with ``options = {"teams": [[{"name", "rating"}, ...], ...],
    "bots": [how many in each team]}``. Each player has a seat in it, with the options of its hello and ``"team"`` and
    ``"rating"`` besides, which it cannot forge. It is sent the message ``match``, a map with ``room``, ``room_id``,
    ``seat`` (for ``gameclient.open(url, seat=...)``, good for 15 seconds) and ``team``, and two seconds later its
    connection to the queue is closed with 1000.

    Players who join with ``options={"party": CODE, "party_size": n}`` wait for each other and come into one team. The
    code is theirs to make up; whoever knows it can come in.

    Class attributes to declare:
        match_room: name of the room type of matches.
        team_size, teams: players in a team, teams in a match.
        tolerance, widening, most_tolerance: how far from one's own another's rating may be; how much further with each
            second of waiting; and at most, None for any.
        patience: seconds after which a player is matched with whoever is near enough for it, though it may not be near
            enough for them; None for never, and then whose rating is like nobody's may wait for ever.
        bots_after: seconds after which a match is made with the players there are, and bots; None for never.
        search_seconds: how often matches are searched.

    A player whose connection is lost is not matched; for ``allow_reconnection`` seconds it can come back and has waited
    all the time. Whoever overrides ``__init__``, ``on_create``, ``on_join``, ``on_return`` or ``on_leave`` calls these
    here too.
    """

    tick_rate = None
    entities = (TicketRow,)
    state = QueueState
    allow_reconnection = 5.0
    close_when_empty = None  # it remembers how long players have waited

    match_room: ClassVar[str] = "match"
    team_size: ClassVar[int] = 1
    teams: ClassVar[int] = 2
    tolerance: ClassVar[float] = 50.0
    widening: ClassVar[float] = 25.0
    most_tolerance: ClassVar[float | None] = None
    patience: ClassVar[float | None] = 60.0
    bots_after: ClassVar[float | None] = None
    search_seconds: ClassVar[float] = 1.0

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        try:
            _rules_of(cls)
        except DeclarationError as error:
            raise DeclarationError(f"{cls.__name__}.{error}") from None

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.rules = _rules_of(type(self))
        self._parties = Parties()
        self._history = WaitHistory()
        self._rows: dict[Player, TicketRow] = {}
        self._found: deque[Match] = deque()  # whose rooms are still to be made
        self._search_from = 0.0
        self.every(self.search_seconds, self._search)

    def on_create(self) -> None:
        self.house.metadata_class(self.match_room)  # LookupError names the room types there are

    # -- for authors

    def rating(self, player: Player) -> float:
        """The rating of a player who joins.

        That of its identity if ``data`` has one; otherwise what the player says itself in ``options["rating"]``, which
        anybody can forge; otherwise `USUAL_RATING`. Whoever means it overrides this.
        """
        data = player.identity.data if player.identity is not None else None
        trusted = data.get("rating") if isinstance(data, Mapping) else None
        rating = trusted if trusted is not None else player.options.get("rating")
        if (
            isinstance(rating, bool)
            or not isinstance(rating, (int, float))
            or not -_MOST_RATING < rating < _MOST_RATING
        ):
            return USUAL_RATING
        return float(rating)

    def rule(self, waiting: Sequence[Ticket], now: float) -> list[Match]:
        """The matches to make now; override it for a rule of your own.

        Args:
            waiting: parties that are whole, in the order of joining; ``ticket.players`` are `Player` objects.
            now: game time in seconds, as ``ticket.since``.
        """
        return find_matches(waiting, now, self.rules)

    def match_options(self, match: Match) -> dict[str, Any]:
        """The options of a match's room."""
        teams = [[{"name": p.name, "rating": r} for t in team for p, r in _players_of(t)] for team in match.teams]
        return {"teams": teams, "bots": list(match.bots)}

    # -- who is here

    def on_join(self, player: Player) -> None:
        rating = self._checked_rating(player)
        try:
            code, size = read_party(player.options, self.team_size)
            self._parties.join(player, code, size, rating, self.time)
        except ValueError as error:
            player.kick(str(error))

    def on_leave(self, player: Player, reason: str) -> None:
        self._parties.leave(player)

    def on_return(self, player: Player) -> None:
        if player not in self._parties:
            self._say_goodbye(player)

    def _checked_rating(self, player: Player) -> float:
        rating = float(self.rating(player))
        if not math.isfinite(rating):
            raise DeclarationError(f"{type(self).__name__}.rating({player!r}) is {rating}: give a finite number")
        return rating

    # -- matches

    def _search(self) -> None:
        if not self._found and self.time >= self._search_from:
            waiting = self._parties.tickets()
            matches = self.rule(waiting, self.time)
            _check_matches(matches, waiting)
            self._found.extend(matches)
            self._make_some()
        self._tell_waiting()

    def _make_some(self) -> None:
        """Make rooms for matches that were found: a few in a tick, for other rooms wait meanwhile."""
        for _ in range(min(_MOST_MADE, len(self._found))):
            match = self._found.popleft()
            if self._parties.all_wait(match.tickets) and not self._make(match):
                self._found.clear()
                self._search_from = self.time + _PAUSE_SECONDS
        if self._found:
            self.after(0.0, self._make_some)

    def _make(self, match: Match) -> bool:
        """Make the room of a match and tell its players; if it can't be made they wait on, as if nothing had been."""
        room = None
        try:
            room = self.house.create(self.match_room, self.match_options(match), private=True)
            seats = [
                (player, number, self._reserve(room, player, rating, number))
                for number, team in enumerate(match.teams)
                for ticket in team
                for player, rating in _players_of(ticket)
            ]
        except RoomFullError as error:
            log_event(_log, logging.WARNING, "match not made", room=f"{self.name}/{self.id}", reason=str(error))
            if room is not None:
                room.close("the match could not be made")
            return False
        for ticket in match.tickets:
            self._history.add(ticket.rating, self.time - ticket.since)
        for player, team, seat in seats:
            player.send("match", {"room": room.name, "room_id": room.id, "seat": seat, "team": team})
            self._parties.leave(player)
            self._say_goodbye(player)
        self.world.state.matched += len(seats)
        return True

    def _reserve(self, room: Room, player: Player, rating: float, team: int) -> str:
        options = {**player.options, "team": team, "rating": rating}
        return self.house.reserve(room, name=player.name, options=options, identity=player.identity)

    def _say_goodbye(self, player: Player) -> None:
        """Let a player go who has a match; one whose connection is lost may still come back to hear of it."""
        self.after(_GOODBYE_SECONDS, lambda: player.dismiss("your match is ready") if player.connected else None)

    # -- what players see

    def _tell_waiting(self) -> None:
        """Bring the rows up to date: once a search, and not when players come and go, for all are sent a frame then."""
        players = self._parties.players
        for player in [player for player in self._rows if player not in players]:
            self.world.despawn(self._rows.pop(player))
        for player, party in players.items():
            row = self._rows.get(player)
            if row is None:
                row = self._rows[player] = self.world.spawn(TicketRow, owner=player, party_size=party.size)
            row.party = len(party.ratings)
        self.world.state.waiting = len(players)
        waiting = self._parties.tickets()
        estimates = estimate_waits(waiting, self.time, self.rules, self._history)
        for ticket, estimate in zip(waiting, estimates, strict=True):
            waited = int(self.time - ticket.since)
            tolerance = int(self.rules.tolerance_of(ticket, self.time))
            seconds = -1 if estimate is None else math.ceil(estimate)
            for player in ticket.players:
                row = self._rows[player]
                row.waited, row.estimate, row.tolerance = waited, seconds, tolerance


def _rules_of(queue_class: type[RankQueue]) -> Rules:
    return Rules(
        team_size=queue_class.team_size,
        teams=queue_class.teams,
        tolerance=queue_class.tolerance,
        widening=queue_class.widening,
        most_tolerance=queue_class.most_tolerance,
        patience=queue_class.patience,
        bots_after=queue_class.bots_after,
    )


def _players_of(ticket: Ticket) -> list[tuple[Player, float]]:
    return list(zip(ticket.players, ticket.ratings, strict=True))


def _check_matches(matches: Sequence[Match], waiting: Sequence[Ticket]) -> None:
    """ValueError when an author's rule has made matches that cannot be."""
    free = set(waiting)
    for match in matches:
        for ticket in match.tickets:
            if ticket not in free:
                raise ValueError(f"rule() has put {ticket} into two matches, or it does not wait")
            free.remove(ticket)
        if len(match.bots) != len(match.teams):
            raise ValueError(f"rule() gave {len(match.teams)} teams and bots for {len(match.bots)}: one number a team")
