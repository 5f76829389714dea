"""Matchmaking: a queue for matches by rating, and a live list of rooms. Rooms like any other, to serve or to subclass.

::

    from gameserver.matchmaking import Lobby, RankQueue

    tickets     who waits, and what a match has to be: pure
    teams       parties packed into equal teams: pure
    ranking     which matches can be made: pure
    estimates   how long it will take: pure
    parties     players who come together
    queue       the room in which players wait
    lobby       the room that lists the others
"""

from __future__ import annotations

from gameserver.matchmaking.lobby import Lobby as Lobby
from gameserver.matchmaking.lobby import RoomRow as RoomRow
from gameserver.matchmaking.queue import RankQueue as RankQueue
from gameserver.matchmaking.queue import TicketRow as TicketRow
from gameserver.matchmaking.ranking import find_matches as find_matches
from gameserver.matchmaking.tickets import Match as Match
from gameserver.matchmaking.tickets import Rules as Rules
from gameserver.matchmaking.tickets import Ticket as Ticket
