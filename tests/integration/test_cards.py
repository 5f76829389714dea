"""The card game: rules and refusals, hands that stay hidden, turns that end by themselves, players who come back."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from gameserver import serve_in_thread
from gameserver.testing import RequestError, RoomTester, ScriptedPlayer

FOLDER = Path(__file__).parents[2] / "examples"
EIGHT = 6


def load(name: str) -> Any:
    """An example as a module; the folder is no package."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


game, client = load("cards"), load("cards_client")
Eights, Card = game.Eights, game.Card


@pytest.fixture
def table() -> Iterator[RoomTester[Any]]:
    with RoomTester(Eights, seed=4, keep_bytes=True) as tester:
        yield tester


def seated(table: RoomTester[Any], *names: str) -> list[ScriptedPlayer]:
    """Players who have begun to play; it is the first one's turn."""
    players = [table.join(name) for name in names]
    players[0].request("start")
    return players


def give(player: ScriptedPlayer, *faces: int) -> None:
    """Have a hand consist of these."""
    room: Any = player.room
    for card in room.hand(player.player):
        room.world.despawn(card)
    for face in faces:
        room.world.spawn(Card, owner=player.player, face=face)
    player.player.data.cards = len(faces)


def put_on_top(table: RoomTester[Any], face: int) -> None:
    table.room.put(face)


def refusal(player: ScriptedPlayer, kind: str, **fields: Any) -> str:
    with pytest.raises(RequestError) as caught:
        player.request(kind, **fields)
    return caught.value.code


# -- hidden hands


@pytest.mark.parametrize("names", [("Ada", "Bob"), ("Ada", "Bob", "Cy", "Di", "Eve")])
def test_everybody_sees_how_many_cards_the_others_have_and_no_faces(
    table: RoomTester[Any], names: tuple[str, ...]
) -> None:
    players = seated(table, *names)
    dealt = 7 if len(names) == 2 else 5
    for player in players:
        assert len(client.hand(player.world)) == dealt
        assert [row.cards for row in player.world["Seat"]] == [dealt] * len(names)
        others = [row for row in player.world["Card"] if not row.mine]
        assert len(others) == dealt * (len(names) - 1)
        assert {row.face for row in others} == {None}
    hands = [set(client.hand(player.world)) for player in players]
    assert len(set().union(*hands)) == dealt * len(names)
    assert players[0].state.stock == 52 - dealt * len(names) - 1


def test_a_hand_is_in_no_byte_that_another_player_is_sent(table: RoomTester[Any]) -> None:
    """The same game twice, with other cards in Ada's hand: what Bob is sent is the same to the byte."""

    def sent_to_bob(faces: tuple[int, ...]) -> list[bytes]:
        with RoomTester(Eights, seed=4, keep_bytes=True, check_hashes=False) as tester:
            ada, bob = seated(tester, "Ada", "Bob")
            give(ada, *faces)
            tester.room.stock[-2:] = [9, 10]
            tester.room.stock[0] = 12
            before = len(bob.wire)
            ada.request("draw")
            ada.request("pass")
            bob.request("draw")
            bob.drop()
            tester.seconds(1)
            bob.return_()
            tester.seconds(40)
            return [without_chance(payload) for payload in bob.wire[before:]]

    first = sent_to_bob((1, 2, 3, 4, 5, 7, 8))
    assert first == sent_to_bob((51, 50, 49, 48, 47, 46, 45))
    assert len(first) > 5


def without_chance(payload: bytes) -> bytes:
    """A message without the token in it."""
    items = msgpack.unpackb(payload)
    if items[0] == 10:
        items[1].pop("seat")
    return msgpack.packb(items)  # type: ignore[no-any-return]


# -- rules


def test_a_whole_game(table: RoomTester[Any]) -> None:
    """Everybody puts the first card that fits, or draws; the room refuses nothing and ends."""
    players = seated(table, "Ada", "Bob", "Cy")
    for _ in range(500):
        if not table.room.state.playing:
            break
        turn = next(player for player in players if player.player.number == player.state.turn)
        hand, state = client.hand(turn.world), turn.state
        fitting = [face for face in hand if face % 13 in (EIGHT, state.top % 13) or face // 13 == state.suit]
        if fitting:
            turn.request("play", face=fitting[0], **({"suit": 2} if fitting[0] % 13 == EIGHT else {}))
        elif not state.drawn:
            turn.request("draw")
        else:
            turn.request("pass")
        everywhere = [row.face for player in players for row in player.world["Card"] if row.mine]
        everywhere += table.room.stock + table.room.discarded
        assert sorted(everywhere) == list(range(52))
        for player in players:
            assert [row.cards for row in player.world["Seat"]] == [len(client.hand(each.world)) for each in players]
    winner = next(player for player in players if not client.hand(player.world))
    assert winner.state.winner == winner.name
    assert "has won!" in client.picture(winner.world)
    table.seconds(6)
    assert [player.closed for player in players] == [(1000, f"{winner.name} has won")] * 3


def test_what_is_against_the_rules_is_refused_by_a_code(table: RoomTester[Any]) -> None:
    ada = table.join("Ada")
    assert refusal(ada, "start") == "not now"
    assert refusal(ada, "draw") == "not now"
    bob = table.join("Bob")
    ada.request("start")
    assert refusal(bob, "start") == "not now"
    give(ada, 3, 13 + 5, 26 + 7, 39 + EIGHT)
    put_on_top(table, 2)  # a four of clubs
    before = [len(player.world["Card"]) for player in (ada, bob)]
    assert refusal(bob, "play", face=client.hand(bob.world)[0]) == "not your turn"
    assert refusal(bob, "draw") == "not your turn"
    assert refusal(ada, "play", face=50) == "not yours"
    assert refusal(ada, "play", face=13 + 5) == "does not fit"
    assert refusal(ada, "play", face=39 + EIGHT) == "name a suit"
    assert refusal(ada, "play", face=52) == "invalid"
    assert refusal(ada, "play", face=39 + EIGHT, suit=4) == "invalid"
    assert refusal(ada, "play") == "invalid"
    assert refusal(ada, "pass") == "draw first"
    assert refusal(ada, "cheat") == "unknown"
    assert [len(player.world["Card"]) for player in (ada, bob)] == [11, 11] != before
    ada.request("draw")
    assert refusal(ada, "draw") == "drawn already"
    ada.request("pass")
    assert bob.state.turn == bob.player.number


@pytest.mark.parametrize(
    ("face", "suit", "to_follow"), [(11, None, 0), (13 + 2, None, 1), (39 + EIGHT, 2, 2), (13 + 2, 3, 1)]
)
def test_what_fits(table: RoomTester[Any], face: int, suit: int | None, to_follow: int) -> None:
    """The suit, the rank, or an eight, which says which suit goes on; nothing else does."""
    ada, bob = seated(table, "Ada", "Bob")
    put_on_top(table, 2)
    give(ada, face, 1)
    ada.request("play", face=face, suit=suit)
    assert (bob.state.top, bob.state.suit, bob.state.turn) == (face, to_follow, bob.player.number)
    assert client.hand(ada.world) == [1]


def test_the_last_card_wins(table: RoomTester[Any]) -> None:
    ada, bob = seated(table, "Ada", "Bob")
    put_on_top(table, 2)
    give(ada, 3)
    ada.request("play", face=3)
    assert (bob.state.winner, bob.state.playing) == ("Ada", False)
    assert refusal(bob, "draw") == "not now"
    table.seconds(4)
    assert bob.closed is None
    table.seconds(2)
    assert bob.closed == (1000, "Ada has won")
    assert table.over


def test_when_the_stock_is_used_up_what_was_put_is_shuffled(table: RoomTester[Any]) -> None:
    ada, _ = seated(table, "Ada", "Bob")
    room = table.room
    room.discarded, room.stock = [*room.stock, *room.discarded], []
    on_top = room.discarded[-1]
    assert ada.request("draw") == 36
    assert room.discarded == [on_top]
    room.stock.clear()
    ada.request("pass")


def test_without_any_card_left_to_draw_one_passes(table: RoomTester[Any]) -> None:
    ada, bob = seated(table, "Ada", "Bob")
    table.room.stock, table.room.discarded = [], table.room.discarded[-1:]
    assert ada.request("draw") == 0
    assert len(client.hand(ada.world)) == 7
    ada.request("pass")
    assert bob.state.turn == bob.player.number


# -- time, and those who go


def test_a_turn_ends_by_itself(table: RoomTester[Any]) -> None:
    ada, bob = seated(table, "Ada", "Bob")
    table.seconds(29)
    assert bob.state.turn == ada.player.number
    table.seconds(2)
    assert bob.heard("too slow") == ["Ada"]
    assert bob.state.turn == bob.player.number
    assert len(client.hand(ada.world)) == 8
    table.seconds(20)
    bob.request("draw")
    bob.request("pass")
    table.seconds(25)  # a new turn has all its time
    assert bob.heard("too slow") == ["Ada"]
    table.seconds(65)
    assert bob.heard("too slow") == ["Ada", "Ada", "Bob", "Ada"]


def test_a_dropped_player_comes_back_with_its_hand(table: RoomTester[Any]) -> None:
    ada, bob = seated(table, "Ada", "Bob")
    hand = client.hand(ada.world)
    ada.drop()
    table.seconds(35)
    assert [row.away for row in bob.world["Seat"]] == [True, False]
    assert "Ada (away)" in client.picture(bob.world)
    ada.return_()
    assert ada.closed is None
    drawn = set(client.hand(ada.world)) - set(hand)
    assert len(drawn) == 1  # its turn was over meanwhile
    assert set(hand) < set(client.hand(ada.world))
    assert ada.heard("too slow") == ["Ada"]
    assert [row.away for row in bob.world["Seat"]] == [False, False]
    bob.request("draw")
    bob.request("pass")
    ada.request("draw")


def test_who_does_not_come_back_has_lost(table: RoomTester[Any]) -> None:
    ada, bob, cy = seated(table, "Ada", "Bob", "Cy")
    table.seconds(31)  # it is Bob's turn
    bob.leave()
    table.ticks()
    assert ada.state.turn == cy.player.number
    assert ada.state.stock == len(table.room.stock) == 52 - 5 - 6 - 1
    assert [row.name for row in ada.world["Seat"]] == ["Ada", "Cy"]
    cy.drop()
    table.seconds(61)
    assert ada.state.winner == "Ada"


@pytest.mark.parametrize("leavers", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_all_may_leave_at_once(table: RoomTester[Any], leavers: tuple[int, ...]) -> None:
    players = seated(table, "Ada", "Bob", "Cy")
    for number in leavers:
        players[number].leave()
    table.seconds(60)
    assert table.over
    assert table.failure is None


# -- finding a table


def test_nobody_joins_a_game_that_has_begun(table: RoomTester[Any]) -> None:
    assert table.house.listings()[0].metadata == {"playing": False, "turn_seconds": 30}
    seated(table, "Ada", "Bob")
    assert table.house.listings()[0].metadata == {"playing": True, "turn_seconds": 30}
    assert table.join("Cy").closed == (4011, "this room is locked")


def test_a_private_table(table: RoomTester[Any]) -> None:
    with RoomTester(Eights, options={"private": True}) as private:
        ada = private.join("Ada")
        (code,) = ada.heard("invite")
        assert private.join("Eve").closed is not None
        assert private.join("Bob", invite=code).closed is None
        assert private.house.listings() == []
    assert table.join("Ada").heard("invite") == []


# -- the client in the terminal


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("start", ("start", None)),
        (" Draw ", ("draw", None)),
        ("pass", ("pass", None)),
        ("2", ("play", {"face": 20})),
        ("1 hearts", ("play", {"face": 10, "suit": 2})),
    ],
)
def test_commands(line: str, command: Any) -> None:
    assert client.read_command(line, [10, 20]) == command


@pytest.mark.parametrize("line", ["", "0", "3", "-1", "1 stones", "1 hearts hearts", "cheat", "\u00b2"])
def test_what_is_no_command_is_answered_with_help(line: str) -> None:
    with pytest.raises(ValueError, match="a card's number"):
        client.read_command(line, [10, 20])


def test_the_client_plays_over_a_connection() -> None:
    """Two clients in processes of their own, with pipes for terminals."""
    command = [sys.executable, "-u", "-W", "error", str(FOLDER / "cards_client.py")]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    with serve_in_thread({"eights": Eights}, port=0) as server:
        processes = [
            subprocess.Popen(
                [*command, name, "--url", server.url("eights")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for name in ("Ada", "Bob")
        ]
        ada, bob = processes
        try:
            wait_for(bob, "0 cards\n", "0 cards\n")
            wait_for(ada, "0 cards\n", "0 cards\n")
            tell(ada, "start")
            wait_for(ada, "> Ada (you): 7 cards", "to follow")
            wait_for(bob, "> Ada: 7 cards", "7: ")
            tell(bob, "draw")
            wait_for(bob, "not your turn")
            tell(ada, "draw")
            wait_for(bob, "> Ada: 8 cards")
            tell(bob, "quit")
            wait_for(ada, "Ada has won!")
            tell(ada, "quit")
            assert [process.wait(20) for process in processes] == [0, 0]
        finally:
            for process in processes:
                process.kill()
                process.communicate()


def tell(process: Any, line: str) -> None:
    process.stdin.write(line + "\n")
    process.stdin.flush()


def wait_for(process: Any, *texts: str) -> None:
    """Read what the client prints until each of these has come."""
    left = list(texts)
    while left:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        if left[0] in line:
            left.pop(0)
