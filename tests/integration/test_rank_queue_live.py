"""The rank queue over real sockets: who waits is matched, has a seat with what the queue knows, and is let go."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio

import gameclient
from gameclient import MessageReceived
from gameprotocol import CloseCode, Hello
from gameserver import DeclarationError, Identity, JoinRequest, Player, Room, Server, serve
from gameserver.matchmaking import Match, RankQueue, Ticket
from gameserver.matchmaking import queue as queue_module
from tests.support.peers import Peer

pytestmark = pytest.mark.usefixtures("_short_goodbyes")


@pytest.fixture
def _short_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "_GOODBYE_SECONDS", 0.05)
    monkeypatch.setattr(queue_module, "_PAUSE_SECONDS", 0.1)


class Duel(Room):
    tick_rate = 60
    max_players = 4


class Ranked(RankQueue):
    match_room = "duel"
    search_seconds = 0.02


class Pairs(Ranked):
    team_size = 2


@asynccontextmanager
async def waiting(
    server: Server, room: str, *names: str, **options: Any
) -> AsyncIterator[list[gameclient.TrioSession]]:
    """Players in a queue, joined one after the other."""
    async with trio.open_nursery() as nursery:
        stop = trio.Event()
        yield [await nursery.start(_wait, server, room, name, options, stop) for name in names]
        stop.set()


async def _wait(
    server: Server,
    room: str,
    name: str,
    options: dict[str, Any],
    stop: trio.Event,
    task_status: trio.TaskStatus[gameclient.TrioSession],
) -> None:
    async with gameclient.connect(server.url(room), name=name, options=options) as session:
        task_status.started(session)
        await stop.wait()


async def match_of(session: gameclient.TrioSession) -> dict[str, Any]:
    """The message that tells of the match."""
    with trio.fail_after(5):
        async for event in session.events():
            if isinstance(event, MessageReceived) and event.kind == "match":
                found: dict[str, Any] = event.payload
                return found
    raise AssertionError(f"closed with {session.close_code} {session.close_reason}")


async def until(condition: Any) -> None:
    with trio.fail_after(5):
        while not condition():  # noqa: ASYNC110 (what it waits for is no task of ours)
            await trio.sleep(0.01)


def queue_of(server: Server, name: str = "ranked") -> Any:
    return server.room(name)


@contextmanager
def connected(server: Server) -> Iterator[Peer]:
    """Somebody whose connection is in our hands; in the end it is cut off."""
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        peer = Peer(sock)
        yield peer
        peer.raw.sock.close()


async def seated(server: Server, found: dict[str, Any]) -> Player:
    """Take the seat of a match; the player in the match's room."""
    room: Any = next(r for r in server.rooms if r.name == found["room"] and r.id == found["room_id"])
    before = room.player_count
    async with gameclient.connect(server.url(found["room"]), seat=found["seat"]) as session:
        await until(lambda: room.player_count == before + 1)
        player = [*room.players][-1]
        assert session.joined
    return player


async def test_two_of_near_ratings_are_matched_and_seated() -> None:
    async with serve(Ranked, Duel, port=0) as server:
        async with (
            waiting(server, "ranked", "Ada", rating=1000, skin="red", team=9) as (ada,),
            waiting(server, "ranked", "Bob", rating=1040) as (bob,),
        ):
            told = [await match_of(ada), await match_of(bob)]
            for session in (ada, bob):
                with trio.fail_after(5):
                    gone = await session.wait_closed()
                assert (gone.code, gone.reason) == (CloseCode.NORMAL, "your match is ready")
        assert told[0]["room"] == told[1]["room"] == "duel"
        assert told[0]["room_id"] == told[1]["room_id"]
        assert {each["team"] for each in told} == {0, 1}
        (duel,) = (room for room in server.rooms if room.name == "duel")
        assert duel.private
        names = [{"name": name, "rating": rating} for name, rating in (("Ada", 1000.0), ("Bob", 1040.0))]
        teams = [[names[0]], [names[1]]]
        assert duel.options == {"teams": teams if told[0]["team"] == 0 else teams[::-1], "bots": [0, 0]}
        player = await seated(server, told[0])
        assert player.name == "Ada"
        assert player.options == {"skin": "red", "rating": 1000.0, "team": told[0]["team"]}  # not what it said itself
        assert queue_of(server).state.matched == 2


async def test_a_seat_is_for_one_and_nobody_else_comes_in() -> None:
    async with serve(Ranked, Duel, port=0) as server:
        async with waiting(server, "ranked", "Ada", "Bob") as (ada, _):
            found = await match_of(ada)
        await seated(server, found)
        with pytest.raises(gameclient.ConnectError) as caught:
            await seated(server, found)
        assert caught.value.code == CloseCode.SEAT_GONE
        async with gameclient.connect(server.url("duel"), name="Eve") as session:
            assert session.room_id != found["room_id"]


async def test_who_waits_sees_its_own_ticket_and_how_many_wait() -> None:
    async with serve(Ranked, Duel, port=0) as server, waiting(server, "ranked", "Ada", rating=1000) as (ada,):
        async with waiting(server, "ranked", "Bob", rating=9000) as (bob,):

            def rows(session: gameclient.TrioSession) -> tuple[list[Any], list[Any]]:
                found = [*session.world["TicketRow"]]
                return [row for row in found if row.mine], [row for row in found if not row.mine]

            await until(lambda: all(s.state.waiting == 2 for s in (ada, bob)))
            await until(lambda: all(rows(s)[0] and rows(s)[0][0].tolerance >= 50 for s in (ada, bob)))
            for session in (ada, bob):
                (own,), others = rows(session)
                assert (own.party, own.party_size) == (1, 1)
                assert 0 < own.estimate <= 8000 / 25
                for other in others:
                    assert other.tolerance is None
                    assert other.estimate is None
                    assert other.waited is None
            before = rows(ada)[0][0].tolerance
            await until(lambda: rows(ada)[0][0].tolerance > before + 2)
        await until(lambda: ada.state.waiting == 1)


async def test_far_ratings_are_matched_when_both_accept_it() -> None:
    class Soon(Ranked):
        widening = 2000.0

    async with serve(Soon, Duel, port=0) as server, waiting(server, "soon", "Ada", rating=1000) as (ada,):
        await trio.sleep(0.3)
        began = trio.current_time()
        async with waiting(server, "soon", "Bob", rating=1450) as (bob,):
            await match_of(bob)
            assert trio.current_time() - began > 0.15  # Ada would have him at once
            await match_of(ada)


async def test_a_party_waits_until_it_is_whole_and_comes_into_one_team() -> None:
    async with serve(Pairs, Duel, port=0) as server:
        async with (
            waiting(server, "pairs", "Ada", party="us", party_size=2, rating=1000) as (ada,),
            waiting(server, "pairs", "Bob", "Cid", rating=1010) as (bob, cid),
        ):
            await until(lambda: queue_of(server, "pairs").state.waiting == 3)
            await trio.sleep(0.1)
            assert queue_of(server, "pairs").state.matched == 0
            async with waiting(server, "pairs", "Dan", party="us", party_size=2, rating=1020) as (dan,):
                sessions = {"Ada": ada, "Bob": bob, "Cid": cid, "Dan": dan}
                found = {name: await match_of(session) for name, session in sessions.items()}
        assert found["Ada"]["team"] == found["Dan"]["team"] != found["Bob"]["team"] == found["Cid"]["team"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"party": "us", "party_size": 3}, "party_size: give a number from 1 to 2"),
        ({"party": "us", "party_size": 0}, "party_size: give a number"),
        ({"party": "us", "party_size": True}, "party_size: give a number"),
        ({"party_size": 2}, "give its code too"),
        ({"party": 7, "party_size": 2}, "party: give a text"),
        ({"party": "x" * 65, "party_size": 2}, "party: give a text"),
        ({"party": "here", "party_size": 1}, "this party is complete"),
    ],
)
async def test_a_party_that_cannot_be_is_refused(options: dict[str, Any], reason: str) -> None:
    async with serve(Pairs, Duel, port=0) as server, waiting(server, "pairs", "Ada", party="here", party_size=1):
        with pytest.raises(gameclient.ConnectError, match=reason) as caught:
            async with gameclient.connect(server.url("pairs"), options=options):
                pass
        assert caught.value.code == CloseCode.POLICY
        assert [player.name for player in queue_of(server, "pairs")._parties.players] == ["Ada"]


async def test_a_party_whose_member_leaves_waits_for_another() -> None:
    us = {"party": "us", "party_size": 2}
    async with serve(Pairs, Duel, port=0) as server, waiting(server, "pairs", "Ada", **us) as (ada,):
        async with waiting(server, "pairs", "Bob", **us):
            await until(lambda: len(queue_of(server, "pairs")._parties.tickets()) == 1)
        await until(lambda: queue_of(server, "pairs")._parties.tickets() == [])
        own = next(row for row in ada.world["TicketRow"] if row.mine)
        await until(lambda: own.party == 1)
        async with waiting(server, "pairs", "Cid", **us):
            await until(lambda: own.party == 2)


async def test_bots_fill_a_match_of_one_who_waits_long() -> None:
    class Patient(Ranked):
        team_size = 2
        bots_after = 0.1

    async with serve(Patient, Duel, port=0) as server:
        async with waiting(server, "patient", "Ada", "Bob", "Cid") as sessions:
            found = [await match_of(session) for session in sessions]
        (duel,) = (room for room in server.rooms if room.name == "duel")
        teams, bots = duel.options["teams"], duel.options["bots"]
        assert sorted(bots) == [0, 1]
        assert [len(team) + filled for team, filled in zip(teams, bots, strict=True)] == [2, 2]
        assert len({each["room_id"] for each in found}) == 1


async def test_who_is_cut_off_is_not_matched_until_it_is_back() -> None:
    since: dict[str, float] = {}

    class Noting(Ranked):
        def match_options(self, match: Match) -> dict[str, Any]:
            since.update({ticket.players[0].name: ticket.since for ticket in match.tickets})
            return super().match_options(match)

    async with serve({"ranked": Noting}, Duel, port=0) as server, waiting(server, "ranked", "Eve", rating=1e5):
        with connected(server) as first:
            welcome = await first.join("/ranked", "Ada")
            await until(lambda: len(queue_of(server)._parties.tickets()) == 2)
            before = queue_of(server)._parties.tickets()[1]
        await until(lambda: len(queue_of(server)._parties.tickets()) == 1)
        async with waiting(server, "ranked", "Bob") as (bob,):
            await until(lambda: len(queue_of(server)._parties.tickets()) == 2)
            await trio.sleep(0.1)
            assert queue_of(server).state.waiting == 3
            with connected(server) as again:
                again.replica = first.replica
                await again.upgrade("/ranked")
                await again.send(Hello(name="Ada", seat=welcome["seat"]).encode())
                with trio.fail_after(5):
                    told = await again.until(lambda message: message[0] == 5)
            assert told[1] == "match"
            assert (await match_of(bob))["room_id"] == told[2]["room_id"]
        assert since["Ada"] == before.since < since["Bob"]


async def test_who_is_cut_off_when_its_match_is_ready_hears_of_it_when_it_is_back() -> None:
    async with serve(Ranked, Duel, port=0) as server:
        with connected(server) as first:
            welcome = await first.join("/ranked", "Ada")
            await until(lambda: len(queue_of(server)._parties.tickets()) == 1)
            async with waiting(server, "ranked", "Bob") as (bob,):
                found = await match_of(bob)
                first.raw.sock.close()
        await until(lambda: [player.connected for player in queue_of(server).players] == [False])
        await trio.sleep(0.1)  # longer than a goodbye takes
        with connected(server) as again:
            again.replica = first.replica
            await again.upgrade("/ranked")
            await again.send(Hello(name="Ada", seat=welcome["seat"]).encode())
            with trio.fail_after(5):
                told = await again.until(lambda message: message[0] == 5)
            assert (told[1], told[2]["room_id"]) == ("match", found["room_id"])
            await until(lambda: not queue_of(server).player_count)


async def test_a_match_that_cannot_be_made_costs_nobody_its_place(caplog: pytest.LogCaptureFixture) -> None:
    class Small(Room):
        max_players = 1

    class Wrong(Ranked):
        match_room = "small"

    async with serve(Wrong, Small, port=0) as server, waiting(server, "wrong", "Ada", "Bob") as sessions:
        queue = queue_of(server, "wrong")
        await until(lambda: len(queue._parties.tickets()) == 2)
        before = queue._parties.tickets()
        with caplog.at_level(logging.WARNING, logger="gameserver.matchmaking"):
            await until(lambda: "match not made" in caplog.text)
        assert queue._parties.tickets() == before
        assert not any(session.close_code for session in sessions)
        await until(lambda: not [room for room in server.rooms if room.name == "small"])
        Small.max_players = 2
        found = [await match_of(session) for session in sessions]
        assert found[0]["room_id"] == found[1]["room_id"]


async def test_many_matches_are_made_over_several_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leaves in between is in none; those it was to play with wait on."""
    monkeypatch.setattr(queue_module, "_MOST_MADE", 1)
    ticks: list[int] = []
    left: list[Player] = []

    class Together(Ranked):
        def rule(self, waiting: Sequence[Ticket], now: float) -> list[Match]:
            return super().rule(waiting, now) if len(waiting) >= 6 else []

        def match_options(self, match: Match) -> dict[str, Any]:
            ticks.append(self.tick)
            if len(ticks) == 1:
                left.append(self._found[0].tickets[0].players[0])
                left[0].kick()
            return super().match_options(match)

    async with serve({"ranked": Together}, Duel, port=0) as server, waiting(server, "ranked", *"ABCDEF") as sessions:
        await until(lambda: queue_of(server).state.matched == 4)
        assert len(ticks) == 2
        assert ticks[1] > ticks[0] + 1  # the second of three was not made
        await until(lambda: queue_of(server).state.waiting == 1)
        await until(lambda: sum(session.close_code == CloseCode.POLICY for session in sessions) == 1)


async def test_a_queue_for_rooms_that_are_not_served_ends_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Ranked, port=0) as server:
        with pytest.raises(gameclient.ConnectError) as caught:
            async with gameclient.connect(server.url("ranked")):
                pass
        assert caught.value.code == CloseCode.ROOM_FAILED
    assert "there is no room type 'duel', only ranked" in caplog.text


async def test_ratings_come_from_who_is_trusted_first() -> None:
    async def check(request: JoinRequest) -> Identity:
        return Identity(request.name, data={"rating": 1700.0} if request.name == "Ada" else None)

    async with (
        serve(Ranked, Duel, port=0, authenticate=check) as server,
        waiting(server, "ranked", "Ada", rating=5),
        waiting(server, "ranked", "Bob", rating=2400),
        waiting(server, "ranked", "Cid", rating="best"),
    ):
        await until(lambda: len(queue_of(server)._parties.tickets()) == 3)
        ratings = [ticket.rating for ticket in queue_of(server)._parties.tickets()]
    assert ratings == [1700.0, 2400.0, 1000.0]


@pytest.mark.parametrize("rating", [True, None, "9", [1], float("inf"), float("nan"), 1e300, -(10**15)])
def test_a_forged_rating_that_is_none_is_the_usual_one(rating: Any) -> None:
    class Someone:
        identity = None
        options = {"rating": rating}

    assert Ranked().rating(Someone()) == queue_module.USUAL_RATING  # type: ignore[arg-type]


async def test_a_rule_of_the_author() -> None:
    class First(Ranked):
        """Whoever comes first plays who comes second, whatever they are worth."""

        def rule(self, waiting: Sequence[Ticket], now: float) -> list[Match]:
            pairs = zip(waiting[::2], waiting[1::2], strict=False)
            return [Match(teams=((one,), (other,)), bots=(0, 0)) for one, other in pairs]

        def match_options(self, match: Match) -> dict[str, Any]:
            return {"by": match.teams[0][0].players[0].name}

    async with serve(First, Duel, port=0) as server:
        async with (
            waiting(server, "first", "Ada", rating=0) as (ada,),
            waiting(server, "first", "Bob", rating=3000) as _,
        ):
            await match_of(ada)
        assert [room.options for room in server.rooms if room.name == "duel"] == [{"by": "Ada"}]


async def test_a_rule_that_matches_somebody_twice_ends_the_queue(caplog: pytest.LogCaptureFixture) -> None:
    class Twice(Ranked):
        def rule(self, waiting: Sequence[Ticket], now: float) -> list[Match]:
            return [Match(teams=((ticket,), (ticket,)), bots=(0, 0)) for ticket in waiting]

    async with serve(Twice, Duel, port=0) as server:
        session = gameclient.connect(server.url("twice"), reconnect=False)
        async with session as player:
            with trio.fail_after(5):
                assert (await player.wait_closed()).code == CloseCode.ROOM_FAILED
    assert "into two matches" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [{"team_size": 0}, {"teams": 1.5}, {"tolerance": -1}, {"widening": None}, {"patience": "x"}, {"bots_after": True}],
    ids=str,
)
def test_declarations_that_cannot_work_name_class_and_attribute(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(DeclarationError, match=rf"Broken\.{name} = "):
        type("Broken", (RankQueue,), wrong)
