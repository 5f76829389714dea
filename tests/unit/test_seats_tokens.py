"""Seat tokens as a table, and one by one the ways in which a seat was once given back wrongly; rooms ticked by hand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gameprotocol import CloseCode, Frame, Hello, encode_acknowledge
from gameserver import Entity, MaxRate, Player, Room, Visible, handles, uint
from gameserver.rooms.loop import RoomLoop
from gameserver.rooms.seats import SeatTokens, make_invite_code, make_seat_token
from tests.support.fake_links import FakeLink, HandTickedRoom


def test_tokens_find_their_holders_until_they_are_revoked() -> None:
    numbers = itertools.count()
    tokens: SeatTokens[str] = SeatTokens(lambda: f"token {next(numbers)}")
    first, second = tokens.issue("a"), tokens.issue("a")
    assert (tokens.find(first), tokens.find(second), len(tokens)) == ("a", "a", 2)
    tokens.revoke(first)
    tokens.revoke("nobody's")
    assert (tokens.find(first), tokens.find(second), tokens.find("")) == (None, "a", None)
    assert not any("token" in str(key) for key in tokens._holders), "they are not kept as they are"


def test_tokens_and_codes_are_long_and_never_the_same() -> None:
    tokens = {make_seat_token() for _ in range(2_000)}
    assert len(tokens) == 2_000
    assert {len(token) for token in tokens} == {32}
    codes = [make_invite_code() for _ in range(2_000)]
    assert len(set(codes)) == 2_000
    assert all(len(code) == 8 and not set(code) & set("01IO") for code in codes)


class Thing(Entity):
    x = uint(16)


class Den(Room):
    entities = (Thing,)
    allow_reconnection = 60.0

    def on_create(self) -> None:
        self.hooks: list[str] = []
        self.thing = self.world.spawn(Thing)

    def on_join(self, player: Player) -> None:
        self.hooks.append("join")

    def on_drop(self, player: Player, reason: str) -> None:
        self.hooks.append("drop")

    def on_return(self, player: Player) -> None:
        self.hooks.append("return")

    def on_leave(self, player: Player, reason: str) -> None:
        self.hooks.append(f"leave: {reason}")

    @handles("cheat")
    def cheat(self, player: Player, payload: int) -> None:
        player.kick("cheat")


class QuietDen(Den):
    tick_rate = None


class VeiledDen(Den):
    view = Visible(lambda player, things: things.x < 10)


def hand_over(room: HandTickedRoom, player: Any, token: str, *, tick: int = 0, messages: int = 0) -> FakeLink | None:
    """A connection that shows a token; None when it is refused."""
    link = FakeLink()
    room._links.append(link)
    holder = room.loop.seating._tokens.find(token)
    hello = Hello(seat=token, tick=tick, messages=messages)
    if holder is None or not room.loop.seating.take(link, hello, holder.seat):  # type: ignore[arg-type]
        return None
    return link


def lose(link: FakeLink, code: int = 1006) -> None:
    link.ended_by_peer = code == 1006
    link.close(code, "thrown out" if code == CloseCode.POLICY else "")


@pytest.fixture
def den() -> Any:
    with HandTickedRoom(Den()) as room:
        yield room


@pytest.mark.parametrize("is_lost", [False, True])
def test_who_was_kicked_cannot_slip_back_in_with_the_same_tick(den: HandTickedRoom, is_lost: bool) -> None:
    link = den.join("Mallory")
    den.tick()
    player = den.player(link)
    if is_lost:
        lose(link)
    player.kick("cheat")
    other = hand_over(den, player, player._token)
    den.tick()
    assert den.room.hooks == ["join", "leave: cheat"]
    assert other is not None
    assert other.close_code == CloseCode.SEAT_GONE


def test_who_is_kicked_for_its_last_message_has_no_seat_to_come_back_to(den: HandTickedRoom) -> None:
    link = den.join("Mallory")
    den.tick()
    link.say("cheat", 1)
    lose(link)
    den.tick()
    assert den.room.hooks == ["join", "leave: cheat"]


def test_a_token_is_used_up_as_soon_as_a_frame_was_acknowledged_though_nothing_ticks() -> None:
    with HandTickedRoom(QuietDen()) as room:
        link = room.join()
        room.loop.run_events(lambda: room.now)
        player = room.player(link)
        old = player._token
        lose(link)
        room.loop.run_events(lambda: room.now)
        back = hand_over(room, player, old)
        room.loop.run_events(lambda: room.now)
        assert back is not None
        back.bring(encode_acknowledge(room.room.tick, 0))
        room.loop.run_events(lambda: room.now)
        assert hand_over(room, player, old) is None
        assert hand_over(room, player, player._token) is not None


@pytest.mark.parametrize("claimed", [0, 1, (1 << 32) - 1])
def test_whatever_tick_is_claimed_a_frame_follows(den: HandTickedRoom, claimed: int) -> None:
    """In an old room that was late now and then: of what a client says that it holds, nothing must be waited for."""
    link, other = den.join(), den.join()
    den.ticks(3)
    for _ in range(12):
        den.tick(late=0.5)
    den.ticks(300)
    player = den.player(link)
    lose(link)
    den.ticks(40)
    back = hand_over(den, player, player._token, tick=claimed)
    assert back is not None
    den.ticks(4)
    assert back.frames(), "it starves"
    assert back.frames()[0][1][1] == 0, "it is full"
    coalesced = den.room.stats.coalesced_ticks
    assert 0 <= coalesced < 1_000
    assert not other.closed


@pytest.mark.parametrize(("before", "after"), [(None, 5_000), (5_000, None)])
@pytest.mark.parametrize("room_class", [Den, VeiledDen])
def test_a_cap_that_comes_or_goes_while_the_player_is_away(room_class: type[Room], before: Any, after: Any) -> None:
    with HandTickedRoom(room_class()) as room:
        link = room.join()
        room.tick()
        player = room.player(link)
        player.max_rate = before and MaxRate(bytes=before)
        room.ticks(30)
        lose(link)
        room.tick()
        room.room.thing.x = 100  # out of sight, where there is a view
        player.max_rate = after and MaxRate(bytes=after)
        replica = room.replica(link)
        back = hand_over(room, player, player._token, tick=replica.tick)
        assert back is not None
        room.ticks(3)
        for message in back.frames():
            frame = Frame.from_items(message)
            replica.apply(frame)
            assert replica.check(frame)
        assert len(replica["Thing"]) == (0 if room_class is VeiledDen else 1)


def test_a_reserved_seat_that_lapses_leaves_no_trace_and_wakes_nobody() -> None:
    for room_class in (Den, QuietDen):
        with HandTickedRoom(room_class()) as room:
            seating = room.loop.seating
            seating.reserve(Hello(name="late"), None, 2.0)
            assert (seating.seats_taken, seating.next_seconds) == (1, room.now + 2.0)
            room.now += 3.0
            assert seating.next_seconds == float("inf"), "who sleeps until then would never sleep again"
            assert seating.emptied_seconds == room.now
            assert (seating.seats_taken, len(seating._tokens)) == (0, 0)


@pytest.mark.parametrize("claims_nothing", [False, True])
def test_ids_rest_until_a_client_has_answered_on_its_new_connection(den: HandTickedRoom, claims_nothing: bool) -> None:
    """Its answer may be lost, and with it all frames since; what it holds then is as old as before."""
    link = den.join()
    den.ticks(3)
    player, world = den.player(link), den.room.world
    gone = den.room.thing.id
    replica = den.replica(link)
    lose(link)
    den.tick()
    world.despawn(den.room.thing)
    den.ticks(100)
    for _ in range(2):
        back = hand_over(den, player, player._token, tick=0 if claims_nothing else replica.tick)
        assert back is not None
        back.acknowledges = False
        for _ in range(12):
            den.tick()
            assert world.spawn(Thing).id != gone
        lose(back)
        den.ticks(10)
        assert world.spawn(Thing).id != gone
    last = hand_over(den, player, player._used_token, tick=replica.tick)
    assert last is not None
    den.ticks(2)
    last.bring(encode_acknowledge(den.room.tick, 0))
    den.ticks(100)
    assert gone in {world.spawn(Thing).id for _ in range(40)}, "it is used again when nobody can hold it"


def test_a_room_without_a_descriptor_for_its_players_sends_them_away_and_lives_on() -> None:
    class Small(Room):
        pass

    def no_poller(wake: Any) -> Any:
        raise OSError(24, "Too many open files")

    loop = RoomLoop(Small(), clock=lambda: 0.0, make_poller=no_poller)
    link = FakeLink()
    loop.admit(link, Hello(name="Ada"))  # type: ignore[arg-type]
    loop.run_ticks(lambda: 0.0)
    assert link.close_code == CloseCode.TRY_LATER
    assert link.close_reason == "the server is full; reconnect in 5.0 s"
    assert (loop.seats_taken, loop.room.tick) == (0, 1)


def test_ids_rest_while_a_connection_is_dead_and_nobody_has_noticed(den: HandTickedRoom) -> None:
    link, other = den.join(), den.join()
    den.ticks(3)
    player, world = den.player(link), den.room.world
    link.acknowledges = False
    den.tick()  # this one was written, and never arrived
    gone = den.room.thing.id
    world.despawn(den.room.thing)
    den.ticks(100)
    assert world.spawn(Thing).id != gone
    assert hand_over(den, player, player._token, tick=3) is not None
    den.ticks(3)
    assert world.spawn(Thing).id != gone
    assert not other.closed


@pytest.mark.parametrize("silent_ticks", [2, 20, 40, 300])
def test_a_dead_connection_that_is_noticed_late_costs_no_full_frame_where_there_are_views(silent_ticks: int) -> None:
    """The link takes frames until its window closes, then none; somebody else's go on all the while."""
    with HandTickedRoom(VeiledDen()) as room:
        link, other = room.join("Ada"), room.join("Bob")
        for x in (1, 2, 50):
            room.room.world.spawn(Thing, x=x)
        room.ticks(3)
        player, replica = room.player(link), room.replica(link)
        link.acknowledges = False
        room.ticks(silent_ticks)
        back = hand_over(room, player, player._token, tick=replica.tick)
        assert back is not None
        room.room.thing.x = 20  # out of its view
        room.tick()
        assert room.room.hooks[-2:] == ["drop", "return"]
        frame = Frame.from_items(next(message for message in back.sent if message[0] == 3))
        assert frame.header.back == frame.header.tick - replica.tick, "a delta from what it has applied"
        replica.apply(frame)
        assert sorted(row.x for row in replica["Thing"]) == [1, 2]
        assert not other.closed


@pytest.mark.parametrize("tick_rate", [None, 5])
def test_who_is_on_the_way_in_is_there_when_a_room_that_drains_counts_its_players(tick_rate: float | None) -> None:
    class Waits(Room):
        def on_drain(self, seconds: float) -> None:
            self.counted = self.player_count

    now = 0.0
    loop = RoomLoop(type("Waits", (Waits,), {"tick_rate": tick_rate})(), clock=lambda: now)
    loop.advance()
    link = FakeLink()
    loop.admit(link, Hello(name="Ada"))  # type: ignore[arg-type]
    loop.drain(10.0, lambda: "the server restarts")
    for _ in range(3):
        now = min(now + 1.0, max(now, loop.next_seconds))
        loop.advance()
    room: Any = loop.room
    assert (room.counted, link.closed) == (1, False)
    loop.free()
    link.free()
