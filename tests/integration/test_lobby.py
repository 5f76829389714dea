"""The lobby over real sockets: what a watcher sees is what the house lists, as far as the watcher wants to see it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

import gameclient
from gameclient import CloseCode, ConnectError, RequestFailedError, TrioSession
from gameserver import Metadata, Room, RoomListing, Server, serve
from gameserver.matchmaking import Lobby
from gameserver.rooms.metadata import parse_filter

LISTED = ("room", "room_id", "players", "spectators", "locked", "has_password", "metadata")


class DuelInfo(Metadata):
    mode: str = "classic"
    level: int = 1


class Duel(Room):
    tick_rate = 60
    metadata = DuelInfo
    max_players = 2
    max_spectators = None
    pause_when_empty = False  # whatever is written to it is noticed at its next tick


class Chat(Room):
    tick_rate = None
    close_when_empty = None


class QuickLobby(Lobby):
    tick_rate = 60


SERVED = {"lobby": QuickLobby, "duel": Duel, "chat": Chat}


def seen(session: TrioSession) -> dict[str, tuple[Any, ...]]:
    """What a watcher sees, by room id."""
    return {
        row.room_id: (*(getattr(row, name) for name in LISTED), row.max_players) for row in session.world["RoomRow"]
    }


def listed(listings: Iterable[RoomListing]) -> dict[str, tuple[Any, ...]]:
    """The same as the house tells it."""
    return {
        each.room_id: (*(getattr(each, name) for name in LISTED), each.max_players or 0)
        for each in listings
        if each.room != "lobby"
    }


async def until(condition: Any) -> None:
    with trio.fail_after(5):
        while not condition():  # noqa: ASYNC110 (what it waits for is no task of ours)
            await trio.sleep(0.01)


def watching(server: Server, **options: Any) -> Any:
    return gameclient.connect(server.url("lobby"), options=options)


async def test_a_watcher_sees_rooms_come_change_and_go() -> None:
    async with serve(SERVED, port=0) as server, watching(server) as session:
        assert seen(session) == {}
        duel: Any = server.house.create("duel", metadata={"level": 4})
        chat = server.house.create("chat")
        await until(lambda: len(seen(session)) == 2)
        assert seen(session)[duel.id] == ("duel", duel.id, 0, 0, False, False, {"mode": "classic", "level": 4}, 2)
        assert seen(session)[chat.id] == ("chat", chat.id, 0, 0, False, False, {}, 0)
        async with gameclient.connect(server.url("duel"), method="join_by_id", room_id=duel.id):
            await until(lambda: seen(session)[duel.id][2] == 1)
            duel.metadata.level = 5
            await until(lambda: seen(session)[duel.id][6] == {"mode": "classic", "level": 5})
            duel.password = "xyzzy"
            duel.locked = True
            await until(lambda: seen(session)[duel.id][4:6] == (True, True))
        await until(lambda: seen(session)[duel.id][2] == 0)
        duel.private = True
        await until(lambda: [*seen(session)] == [chat.id])
        duel.private = False
        await until(lambda: len(seen(session)) == 2)
        async with gameclient.connect(server.url("chat"), method="join_by_id", room_id=chat.id):
            chat.close()
        await until(lambda: [*seen(session)] == [duel.id])
        assert server.room("lobby").world.tables[0].alive.sum() == 1


@pytest.mark.slow
async def test_a_watcher_sees_how_many_spectators_there_are() -> None:
    class SlowDuel(Duel):
        tick_rate = 2  # the lobby looks several times before its next tick

    async with serve({**SERVED, "duel": SlowDuel}, port=0) as server, watching(server) as session:
        duel = server.house.create("duel")
        await until(lambda: duel.id in seen(session))
        async with gameclient.connect(server.url("duel"), method="join_by_id", room_id=duel.id, spectate=True):
            with trio.move_on_after(1.5):
                await until(lambda: seen(session)[duel.id][3] == 1)
            assert seen(session)[duel.id][3] == 1
        await until(lambda: seen(session)[duel.id][3] == 0)


async def test_a_watcher_sees_what_it_asks_for() -> None:
    async with serve(SERVED, port=0) as server:
        duels = [server.house.create("duel", metadata={"level": level}) for level in range(6)]
        server.house.create("chat")
        ids = [duel.id for duel in duels]
        async with watching(server, room="duel", filter={"level": {"ge": 4}}) as session:
            await until(lambda: sorted(seen(session)) == ids[4:])
            duels[1].metadata.level = 9
            duels[4].metadata.level = 0
            await until(lambda: sorted(seen(session)) == [ids[1], ids[5]])
            assert await session.request("filter", room="chat") == 1
            await until(lambda: [row[0] for row in seen(session).values()] == ["chat"])
            assert await session.request("filter", room="duel", filter={"level": {"in": [2, 3]}}) == 2
            await until(lambda: sorted(seen(session)) == ids[2:4])
            assert await session.request("filter", {}) == 7
            await until(lambda: len(seen(session)) == 7)


WRONG = [
    ({"room": "duel", "filter": {"levle": 3}}, "these rooms have mode, level"),
    ({"room": "duel", "filter": {"level": "3"}}, "level is a whole number"),
    ({"room": "chat", "filter": {"level": 3}}, "these rooms have no metadata"),
    ({"filter": {"level": 3}}, "say of which room"),
    ({"room": "dule"}, "no such room; there is lobby, duel, chat"),
]


@pytest.mark.parametrize(("wanted", "reason"), WRONG, ids=str)
async def test_a_wrong_filter_is_answered_and_changes_nothing(wanted: dict[str, Any], reason: str) -> None:
    async with serve(SERVED, port=0) as server:
        server.house.create("duel")
        async with watching(server) as session:
            with pytest.raises(RequestFailedError, match=reason) as caught:
                await session.request("filter", wanted)
            assert caught.value.code == "filter"
            await until(lambda: len(seen(session)) == 1)
        with pytest.raises(ConnectError, match=reason) as refused:
            async with watching(server, **wanted):
                pass
        assert refused.value.code == CloseCode.POLICY


@pytest.mark.parametrize("options", [{"room": 3}, {"filter": "x"}, {"room": None}, {"filter": [1]}], ids=str)
async def test_options_of_a_wrong_type_are_refused(options: dict[str, Any]) -> None:
    async with serve(SERVED, port=0) as server:
        with pytest.raises(ConnectError, match='give "room" as text and "filter" as a map'):
            async with watching(server, **options):
                pass
        async with watching(server) as session:
            with pytest.raises(RequestFailedError) as caught:
                await session.request("filter", options)
            assert caught.value.code == "invalid"


async def test_only_the_rooms_that_the_author_names_are_shown() -> None:
    class Duels(QuickLobby):
        shown_rooms = ("duel",)

    async with serve({**SERVED, "lobby": Duels}, port=0) as server, watching(server) as session:
        server.house.create("chat")
        duel = server.house.create("duel")
        await until(lambda: [*seen(session)] == [duel.id])


async def test_the_list_is_made_while_somebody_looks_and_only_when_something_changed() -> None:
    made = 0

    class Counting(QuickLobby):
        def _list_rooms(self) -> None:
            nonlocal made
            made += 1
            super()._list_rooms()

    async with serve({**SERVED, "lobby": Counting}, port=0) as server:
        async with watching(server) as session:
            await until(lambda: made)
            await trio.sleep(0.1)
            before = made
            await trio.sleep(0.2)
            assert made == before
            server.house.create("duel")
            await until(lambda: len(seen(session)) == 1)
        lobby = server.room("lobby")
        await until(lambda: not lobby.player_count)
        await trio.sleep(0.05)
        before = made
        for _ in range(3):
            server.house.create("duel")
            await trio.sleep(0.05)
        assert made == before
        async with watching(server) as session:
            await until(lambda: len(seen(session)) == 4)


FILTERS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("duel", {}),
    ("chat", {}),
    ("duel", {"level": {"ge": 3}}),
    ("duel", {"level": {"ge": 3}}),
    ("duel", {"mode": "blitz", "level": {"lt": 7}}),
    ("duel", {"mode": {"ne": "blitz"}}),
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_watchers_see_what_the_house_lists(seed: int) -> None:
    """Rooms come, change and go at random, and watchers change what they want; then all must agree."""
    chance = random.Random(seed)
    async with serve(SERVED, port=0, tick_rate=60) as server, AsyncExitStack() as stack:
        sessions = {}
        for room, wanted in FILTERS:
            session = await stack.enter_async_context(watching(server, room=room, filter=wanted))
            sessions[session] = (room, wanted)
        rooms: list[Any] = []
        for _ in range(120):
            happen(chance, server, rooms)
            if chance.random() < 0.1:
                session = chance.choice([*sessions])
                sessions[session] = chance.choice(FILTERS)
                await session.request("filter", room=sessions[session][0], filter=sessions[session][1])
            if chance.random() < 0.3:
                await trio.sleep(0.01)
        for session, (room, wanted) in sessions.items():
            found = parse_filter(DuelInfo, wanted)

            def agree(session: TrioSession = session, room: str = room, found: Any = found) -> bool:
                all_rooms = server.house.listings(room or None)
                return seen(session) == listed(each for each in all_rooms if found.matches_values(each.metadata))

            await until(agree)


def happen(chance: random.Random, server: Server, rooms: list[Any]) -> None:
    """One thing, to one room."""
    kind = chance.choice(["make", "make", "end", "level", "mode", "lock", "hide", "password"])
    if kind == "make" or not rooms:
        name = chance.choice(["duel", "duel", "chat"])
        metadata = {"level": chance.randrange(9)} if name == "duel" else None
        rooms.append(server.house.create(name, metadata=metadata, private=chance.random() < 0.2))
        return
    room = chance.choice(rooms)
    if kind == "end":
        rooms.remove(room)
        room.close()
    elif kind == "lock":
        room.locked = not room.locked
    elif kind == "hide":
        room.private = not room.private
    elif kind == "password":
        room.password = chance.choice(["", "xyzzy"])
    elif room.name == "duel":
        room.metadata.level = chance.randrange(9)
        room.metadata.mode = chance.choice(["classic", "blitz"])
