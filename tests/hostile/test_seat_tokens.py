"""Attacks on the way back to a seat: tokens that are guessed, old, stolen or foreign, and claims that are not so."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import trio

from gameprotocol import CloseCode, Hello, encode_acknowledge, encode_message, limits
from gameserver import Entity, MaxRate, Player, Room, Server, State, Visible, handles, owner, serve, text, uint
from gameserver.rooms.seats import make_seat_token
from tests.support.fake_links import _OPEN, FakeLink, HandTickedRoom
from tests.support.peers import Peer
from tests.support.raw_client import until


class Card(Entity):
    x = uint(16)
    face = text(max_bytes=24)
    note = text(max_bytes=24, to=owner)


class Table(State):
    turns = uint(16)


class Den(Room):
    """Nobody may see the cards from 100 on, and nobody another's notes."""

    tick_rate = 60
    entities = (Card,)
    state = Table
    view = Visible(lambda player, cards: cards.x < 100)
    allow_reconnection = 30.0

    def on_create(self) -> None:
        self.hooks: list[str] = []
        self.heard: list[int] = []
        for number in range(8):
            self.world.spawn(Card, x=number, face=f"open-{number}")
            self.world.spawn(Card, x=100 + number, face=f"hidden-{number}", note="hidden-note")

    def on_join(self, player: Player) -> None:
        self.hooks.append("join")
        self.world.spawn(Card, x=50, owner=player, face=f"of-{player.number}", note=f"note-of-{player.number}")

    def on_drop(self, player: Player, reason: str) -> None:
        self.hooks.append("drop")

    def on_return(self, player: Player) -> None:
        self.hooks.append("return")

    def on_leave(self, player: Player, reason: str) -> None:
        self.hooks.append("leave")

    @handles("count")
    def count(self, player: Player, number: int) -> None:
        self.heard.append(number)

    def step(self, dt: float) -> None:
        """A card is hidden and shown again, so that what players hold differs from tick to tick."""
        self.state.turns = self.tick % 60_000
        for card in self.world[Card]:
            if card.face == "open-3":
                card.x = 3 if self.tick % 4 < 2 else 300


class OtherDen(Den):
    pass


class MeagreDen(Den):
    max_rate = MaxRate(bytes=3_000)


# ---- over sockets


async def enter(server: Server, path: str = "/den") -> tuple[Peer, str]:
    """A player, and the token of its seat."""
    peer = Peer(server.open_socket())
    welcome = await peer.join(path)
    await peer.frames(2)
    return peer, welcome["seat"]


async def show(server: Server, token: str, path: str = "/den", **claims: int) -> Peer:
    """A connection on which a token was shown."""
    peer = Peer(server.open_socket())
    await peer.upgrade(path)
    await peer.send([1, {"seat": token, **claims}])
    return peer


async def test_tokens_that_nobody_has_give_nothing_and_cost_nobody_anything() -> None:
    with trio.fail_after(20):
        async with serve(Den, OtherDen) as server:
            honest, token = await enter(server)
            other, foreign = await enter(server, "/otherden")
            guesses = [make_seat_token(), "", token[:-1], token + "A", token.lower(), token.swapcase(), foreign, "\0"]
            for guess in guesses:
                thief = await show(server, guess)
                assert (await thief.closed())[0] == CloseCode.SEAT_GONE, guess
                thief.leave()
            thief = await show(server, token, "/otherden")
            assert (await thief.closed())[0] == CloseCode.SEAT_GONE
            thief.leave()
            await honest.frames(2)
            assert [room.hooks for room in server.rooms] == [["join"], ["join"]]
            honest.leave()
            other.leave()


@pytest.mark.parametrize("size_bytes", [limits.CLIENT_TEXT_BYTES, limits.CLIENT_TEXT_BYTES + 1, 4096, 100_000])
async def test_a_token_of_any_size_is_just_wrong(size_bytes: int) -> None:
    with trio.fail_after(20):
        async with serve(Den) as server:
            honest, _ = await enter(server)
            thief = await show(server, "A" * size_bytes)
            code, _ = await thief.closed()
            assert code in (CloseCode.SEAT_GONE, CloseCode.UNDECODABLE, CloseCode.TOO_BIG)
            thief.leave()
            await honest.frames(2)
            honest.leave()


@pytest.mark.parametrize("seat", [7, b"token", ["token"], {}, True])
async def test_a_token_is_a_text(seat: Any) -> None:
    with trio.fail_after(20):
        async with serve(Den) as server:
            thief = await show(server, seat)
            assert (await thief.closed())[0] == CloseCode.UNDECODABLE
            thief.leave()


async def test_of_two_who_show_a_token_at_once_one_has_the_seat_and_there_is_one() -> None:
    with trio.fail_after(20):
        async with serve(Den) as server:
            honest, token = await enter(server)
            (room,) = server.rooms
            peers = [Peer(server.open_socket()) for _ in range(6)]
            for peer in peers:
                await peer.upgrade("/den")
            for peer in peers:
                await peer.send([1, {"seat": token, "tick": 1, "messages": 0}])
            await until(lambda: room.hooks.count("return") == len(peers))
            codes = []
            for peer in (honest, *peers[:-1]):
                codes.append((await peer.closed())[0])
                peer.leave()
            assert codes == [CloseCode.SEAT_TAKEN] * 6
            await peers[-1].until(lambda message: message[0] == 10)
            assert room.hooks == ["join", *["drop", "return"] * 6]
            assert room.player_count == 1
            assert len(server.directory.tokens) <= 2
            peers[-1].leave()


async def test_an_old_token_is_of_no_use_after_the_answer_was_acknowledged() -> None:
    with trio.fail_after(20):
        async with serve(Den) as server:
            honest, token = await enter(server)
            old = [token]
            for _ in range(3):
                honest.leave()
                replica = honest.replica
                honest = await show(server, old[-1], tick=0, messages=0)
                honest.replica = replica
                old.append((await honest.until(lambda message: message[0] == 10))[1]["seat"])
                await honest.frames(4)
            await until(lambda: len(server.directory.tokens) == 1)
            for used in old[:-1]:
                thief = await show(server, used)
                assert (await thief.closed())[0] == CloseCode.SEAT_GONE
                thief.leave()
            await honest.frames(2)
            honest.leave()


# ---- ticked by hand


def show_by_hand(room: HandTickedRoom, token: str, tick: int = 0, messages: int = 0) -> FakeLink | None:
    link = FakeLink()
    link.acknowledges = False
    room._links.append(link)
    holder = room.loop.seating._tokens.find(token)
    hello = Hello(seat=token, tick=tick, messages=messages)
    taken = holder is not None and room.loop.seating.take(link, hello, holder.seat)  # type: ignore[arg-type]
    return link if taken else None


@pytest.mark.slow
def test_a_thousand_returns_leave_nothing_behind() -> None:
    with HandTickedRoom(Den()) as room:
        link = room.join()
        room.tick()
        player: Any = room.player(link)
        sizes = []
        for number in range(1_000):
            link.bring(encode_message("count", number + 1, number + 1))
            if number % 3:  # now and then the server notices first, and now and then the answer is lost
                link.ended_by_peer = True
                link.close(1006)
                room.tick()
            token = player._used_token if number % 5 == 0 and player._used_token else player._token
            messages = player._log.forgotten + len(player._log)
            found = show_by_hand(room, token, tick=max(1, room.room.tick - 1), messages=messages)
            assert found is not None, number
            link = found
            room.tick()
            if number % 7:
                link.bring(encode_acknowledge(room.room.tick, 0))
                room.tick()
            before = room._links.pop(0)
            before.free()
            _OPEN.discard(before)
            if number in (200, 999):
                gc.collect()
                sizes.append(len(gc.get_objects()))
            assert len(room.loop.seating._tokens) <= 2
        seating = room.loop.seating
        assert len(seating.connected) == 1
        assert not seating.held
        assert not seating._joining
        assert room.room.player_count == 1
        assert len(player._log) < 5
        assert room.room.hooks == ["join", *["drop", "return"] * 1_000]
        assert room.room.heard == sorted(set(room.room.heard)), "each counts once"
        assert sizes[1] - sizes[0] < 2_000, "it grows"


@pytest.mark.parametrize("room_class", [Den, MeagreDen])
def test_whatever_a_thief_claims_to_hold_it_is_shown_nothing_that_is_hidden(room_class: type[Room]) -> None:
    with HandTickedRoom(room_class()) as room:
        honest, victim = room.join(), room.join()
        room.ticks(20)
        player: Any = room.player(victim)
        seen = b""
        claims = [*range(25), 40, 63, 64, 65, 100, (1 << 31), (1 << 32) - 1]
        claims += [-1, -2, -3, -10, -33, -70]
        for claim in claims:
            tick = claim if claim >= 0 else max(0, room.room.tick + claim)
            thief = show_by_hand(room, player._token, tick, messages=player._log.forgotten + len(player._log))
            assert thief is not None, "the seat is there"
            for _ in range(6):
                room.tick()
                seen += thief.last_bytes
                thief.last_bytes = b""
            thief.ended_by_peer = True
            thief.close(1006)
            room.ticks(1 + claim % 3)
        assert b"open-" in seen
        assert f"note-of-{player.number}".encode() in seen
        assert b"hidden" not in seen
        assert b"note-of-1" not in seen
        assert not honest.closed
        assert "leave" not in room.room.hooks


@pytest.mark.parametrize("messages", [0, 1, 7, (1 << 32) - 1])
def test_whatever_number_of_messages_is_claimed_nobody_else_is_harmed(messages: int) -> None:
    with HandTickedRoom(Den()) as room:
        honest, victim = room.join(), room.join()
        room.ticks(2)
        player = room.player(victim)
        for number in range(5):
            room.room.broadcast("news", number)
            room.ticks(2)
        thief = show_by_hand(room, player._token, tick=room.room.tick, messages=messages)
        assert thief is not None
        room.ticks(3)
        if messages < player._log.forgotten:  # type: ignore[union-attr]
            assert thief.close_code == CloseCode.SEAT_GONE
            assert room.room.hooks[-1] == "leave"
        else:
            assert room.room.hooks[-1] == "return"
        room.room.broadcast("news", 5)
        room.tick()
        assert [message[2] for message in honest.sent if message[0] == 5] == [0, 1, 2, 3, 4, 5]
