"""One bot in its room, over links that are none: what it sends, counts and measures, and what it does when one ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamebots.bots import Bot, Decision, RandomBot
from gamebots.connection import JOIN_SECONDS, BotConnection
from gamebots.room_clock import RoomClock
from gameprotocol import Kind, Replica, Returned, Welcome, encode_reply, pack
from gameprotocol import _messages as messages
from gameserver import Entity, Input, Room, fixed, uint
from gameserver.sync.viewer import NOTHING
from gameserver.world.publish import PublishedWorld
from tests.support.examples import examples
from tests.support.mirror import make_frames, viewer_at

PERIOD = 0.05


class Keys(Input):
    jump: bool = False


class Thing(Entity):
    x = fixed(0, 100, step=1)
    hp = uint(8)


class Yard(Room):
    entities = (Thing,)
    input = Keys


class Hall(Room):
    """Takes no input."""

    entities = (Thing,)


class FakeLink:
    """A link that opens when it is asked to, gives what it is given, and keeps what is written.

    Args:
        refusal: why it does not open, with the status of an HTTP answer; None: it opens.
        opens_at: of how many calls of ``advance``.
    """

    conditioned = None
    wants_write = False
    retry_after: float | None = None

    def __init__(self, refusal: tuple[int, str] | None = None, opens_at: int = 1) -> None:
        self.incoming: list[bytes] = []
        self.written: list[Any] = []
        self.opened = self.closed = self.released = False
        self.close_code, self.close_reason = 0, ""
        self.http_status = 0
        self.bytes_in = self.bytes_out = 0
        self._refusal = refusal
        self._left = opens_at

    def advance(self) -> bool:
        self._left -= 1
        if self._refusal is not None:
            self.http_status, reason = self._refusal
            self.give_up(reason)
        elif self._left <= 0:
            self.opened = True
        return self.opened

    def explain_delay(self) -> str:
        return "" if self.opened else "the server does not answer"

    def receive(self) -> list[bytes]:
        incoming, self.incoming = self.incoming, []
        self.bytes_in += sum(map(len, incoming))
        return incoming

    def write(self, payload: bytes) -> bool:
        if self.closed:
            return False
        self.written.append(msgpack.unpackb(payload))
        self.bytes_out += len(payload)
        return True

    def taken(self) -> list[Any]:
        """What was written since this was asked last."""
        written, self.written = self.written, []
        return written

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._end(code, reason)

    def give_up(self, reason: str) -> None:
        self._end(1006, reason)

    def end(self, code: int = 1006, reason: str = "the server vanished") -> None:
        """The other side ends it."""
        self._end(code, reason)

    def _end(self, code: int, reason: str) -> None:
        if not self.closed:
            self.closed, self.close_code, self.close_reason = True, int(code), reason

    def release(self) -> None:
        self.released = True
        self._end(1006, "closed")


class Game:
    """A room, and one bot on its way into it.

    Args:
        seat_seconds: for how long the room keeps the bot's seat; None: not at all.
        links: each one that is made takes the next of these; afterwards there are usual ones.
    """

    def __init__(
        self,
        *,
        room: Room | None = None,
        holds_replica: bool = True,
        seat_seconds: float | None = None,
        links: tuple[FakeLink, ...] = (),
        make_bot: Callable[..., Bot] = RandomBot,
        **more: Any,
    ) -> None:
        self.room = Yard("yard") if room is None else room
        self.published = PublishedWorld(self.room.world)
        self.frames = make_frames(self.published, self.room.world, hash_ticks=1)
        self.links: list[FakeLink] = []
        self.clock = RoomClock(PERIOD)
        self._next_links = list(links)
        self.bot = BotConnection(
            0,
            self._make_link,  # type: ignore[arg-type]
            make_bot,
            lambda room, room_id, period: self.clock,
            holds_replica=holds_replica,
            **more,
        )
        self._seat_seconds = seat_seconds
        self.tick = 0

    def _make_link(self) -> FakeLink:
        self.links.append(self._next_links.pop(0) if self._next_links else FakeLink())
        return self.links[-1]

    @property
    def link(self) -> FakeLink:
        return self.links[-1]

    def welcome(self) -> bytes:
        seat = {} if self._seat_seconds is None else {"seat": "first", "seat_seconds": self._seat_seconds}
        schema = self.room.schema().to_wire()
        return Welcome(room="yard", room_id="1", player=1, tick=0, tick_rate=1 / PERIOD, schema=schema, **seat).encode()

    def frame(self, baseline: int, sequence: int = 0, *, client_time: int | None = None, waited_us: int = 0) -> bytes:
        self.tick += 1
        self.room.world.begin_step(self.tick)
        self.published.publish(self.tick)
        self.frames.begin_tick()
        body = self.frames.body(viewer_at(baseline))
        if client_time is None:
            return body.untimed_head + messages.frame_untimed(sequence, 0) + body.rest
        return body.timed_head + messages.frame_timed(sequence, 0, client_time, waited_us, 0) + body.rest

    def tell(self, now: float, *payloads: bytes) -> None:
        self.link.incoming += payloads
        self.bot.receive(now)

    def play(self, now: float = 10.0) -> Game:
        """Join, and get the first frame."""
        assert self.bot.join(now) is None
        self.tell(now, self.welcome(), self.frame(NOTHING))
        assert self.bot.playing
        assert self.link.taken()[0][0] == Kind.HELLO
        self.bot.news.clear()
        return self


def kinds(written: list[Any]) -> list[int]:
    return [message[0] for message in written]


# -- plays -------------------------------------------------------------------------------------------------------------


def test_a_bot_joins_and_says_how_long_that_took() -> None:
    game = Game(links=(FakeLink(opens_at=2),), token="let me in")
    assert game.bot.join(10.0) is None
    game.bot.receive(10.02)
    assert (game.links[0].opened, game.bot.connects, game.link.taken()) == (False, [], [])
    game.bot.receive(10.03)
    ((kind, hello),) = game.link.taken()
    assert (kind, hello["name"], hello["token"]) == (Kind.HELLO, "bot 0", "let me in")
    game.tell(10.05, game.welcome())
    assert not game.bot.playing
    assert game.bot.join(10.06) is None  # it is on its way
    game.tell(10.07, game.frame(NOTHING))
    assert game.bot.playing
    assert game.bot.join(10.08) is True
    assert game.bot.connects == pytest.approx([0.03])
    assert game.bot.joins == pytest.approx([0.07])
    assert game.bot.news == ["joined"]
    assert len(game.links) == 1


def test_a_bot_plays_and_measures_from_input_to_applied_frame() -> None:
    game = Game().play(9.95)
    game.bot.send_input(now=10.0)
    game.bot.send_input(now=10.05)
    assert [message[1][0] for message in game.link.taken() if message[0] == Kind.INPUT] == [1, 2]
    game.tell(10.07, game.frame(1, sequence=1))
    game.tell(10.10, game.frame(2, sequence=2))
    assert game.bot.latencies == pytest.approx([0.07, 0.05])
    assert game.bot.gaps == pytest.approx([0.12, 0.03])
    counts = game.bot.counts()
    assert (counts.frames, game.bot.tick) == (3, 3)
    assert (counts.desyncs, counts.hashes) == (0, 3)
    assert (counts.bytes_in, counts.bytes_out) == (game.link.bytes_in, game.link.bytes_out)


def test_one_frame_may_answer_several_inputs_and_says_nothing_of_later_ones() -> None:
    game = Game().play(10.0)
    for number in range(3):
        game.bot.send_input(10.1 + number / 100)
    game.tell(10.15, game.frame(1, sequence=2), game.frame(2, sequence=2))
    assert game.bot.latencies == pytest.approx([0.05, 0.04])


def test_a_bot_without_replica_reads_headers_alone() -> None:
    game = Game(holds_replica=False).play()
    game.tell(10.1, game.frame(1), pack([Kind.MESSAGE, "hi", None]), pack([99]))
    assert game.bot.replica is None
    counts = game.bot.counts()
    assert (counts.frames, game.bot.tick, counts.messages, counts.hashes) == (2, 2, 1, 0)


def test_a_world_that_differs_is_counted_reported_and_repaired() -> None:
    game = Game()
    thing = game.room.world.spawn(Thing, x=5, hp=6)
    game.play()
    replica = game.bot.replica
    assert replica is not None
    replica[Thing].integers[2, thing.id] = 7
    game.tell(10.05, game.frame(1))
    assert game.bot.counts().desyncs == 1
    (resync,) = [message for message in game.link.taken() if message[0] == Kind.RESYNC]
    assert resync == [Kind.RESYNC, 2, game.published.hash(), replica.hash(), replica.digests()]
    game.tell(10.1, game.frame(2), game.frame(3))
    assert game.bot.counts().desyncs == 3
    assert kinds(game.link.taken()) == [Kind.ACKNOWLEDGE]  # it has asked already
    game.tell(10.2, game.frame(NOTHING))
    assert game.bot.counts().desyncs == 3
    assert replica.hash() == game.published.hash()


def test_a_frame_that_does_not_fit_is_asked_for_once_and_not_acknowledged() -> None:
    game = Game().play()
    game.tell(10.05, game.frame(1))
    game.link.taken()
    game.frame(2)
    game.tell(10.1, game.frame(3), game.frame(4))
    assert game.link.taken() == [[Kind.RESYNC, 2, 0, 0]]
    assert (game.bot.tick, game.bot.counts().unapplied) == (2, 2)
    game.tell(10.2, game.frame(NOTHING))
    assert [message[:2] for message in game.link.taken()] == [[Kind.ACKNOWLEDGE, game.tick]]


@pytest.mark.parametrize("holds_replica", [True, False])
def test_ticks_that_were_merged_are_counted(holds_replica: bool) -> None:
    game = Game(holds_replica=holds_replica).play()
    for _ in range(3):
        game.frame(1)
    game.tell(10.3, game.frame(1), game.frame(5))
    counts = game.bot.counts()
    assert (counts.frames, counts.skipped_ticks, counts.unapplied) == (3, 3, 0)


def test_a_bot_acknowledges_with_its_inputs_or_at_once() -> None:
    game = Game()
    game.bot.join(10.0)
    game.tell(10.0)
    game.link.taken()
    told = [game.frame(NOTHING), *(game.frame(tick) for tick in range(1, 12))]
    game.link.incoming.append(game.welcome())

    def next_frame(seconds: float) -> list[tuple[int, int]]:
        """Kind and acknowledged tick of what the bot writes when it gets the next frame."""
        game.tell(10 + seconds, told.pop(0))
        return [(message[0], message[1]) for message in game.link.taken()]

    assert next_frame(0.0) == [(Kind.ACKNOWLEDGE, 1)]
    for number in range(3):  # an input a tick says it
        game.bot.send_input(10.01 + 0.05 * number)
        assert [message[1][2] for message in game.link.taken()] == [1 + number]
        assert next_frame(0.05 + 0.05 * number) == []
    assert next_frame(0.20) == [(Kind.ACKNOWLEDGE, 5)]  # no further one has come
    game.bot.send_input(10.41)  # its inputs are far apart now
    game.link.taken()
    assert next_frame(0.42) == [(Kind.ACKNOWLEDGE, 6)]


def test_a_bot_that_waits_for_answers_acknowledges_nevertheless() -> None:
    game = Game().play()
    for number in range(3):
        game.bot.send_input(10 + 0.01 * number)
    game.link.taken()
    game.tell(10.03, game.frame(1))
    game.bot.send_input(10.04)
    game.bot.send_input(10.05)
    assert [message[:2] for message in game.link.taken()] == [[Kind.ACKNOWLEDGE, 2]]


def test_a_bot_leaves_inputs_out_that_its_best_latency_does_not_explain() -> None:
    game = Game().play()
    for number in range(40):  # nothing is answered
        game.bot.send_input(10 + PERIOD * number)
    assert kinds(game.link.taken()).count(Kind.INPUT) == 3
    game.tell(11.99, game.frame(1, sequence=3))  # 1.89 s at best: such a latency has 38 inputs on their way
    for number in range(80):
        game.bot.send_input(12 + PERIOD * number)
    assert kinds(game.link.taken()).count(Kind.INPUT) == 40


def test_a_room_without_inputs_gets_none_but_is_told_how_far_the_bot_is() -> None:
    game = Game(room=Hall("hall")).play()
    for number in range(1, 5):
        game.tell(10 + PERIOD * number, game.frame(number))
        game.bot.send_input(10 + PERIOD * number + 0.01)
    assert set(kinds(game.link.taken())) == {Kind.ACKNOWLEDGE}
    assert game.bot.counts().frames == 5


def test_a_malformed_frame_costs_the_connection() -> None:
    game = Game().play()
    game.tell(10.1, pack([Kind.FRAME, [1, 0, 0], None, ["no chunk"]]))
    assert (game.links[0].closed, game.links[0].close_code) == (True, 1007)
    assert game.bot.news == ["lost", "over"]
    assert game.bot.why.startswith("1007")


def test_what_never_came_counts_with_the_time_that_it_took_so_far() -> None:
    """A server that hangs until the end must not look as it did before."""
    game = Game().play(10.0)
    game.bot.send_input(10.0)
    game.tell(10.05, game.frame(1, sequence=1))
    game.bot.send_input(10.06)
    game.bot.note_what_never_came(10.1)
    assert (game.bot.latencies, game.bot.gaps) == (pytest.approx([0.05]), pytest.approx([0.05]))  # as it must be
    game.bot.note_what_never_came(12.0)
    assert game.bot.latencies[1:] == pytest.approx([1.94])
    assert game.bot.gaps[1:] == pytest.approx([1.95])


def test_a_server_that_fell_silent_leaves_its_inputs_unanswered() -> None:
    game = Game(seat_seconds=30.0).play(10.0)
    game.bot.send_input(10.0)
    game.tell(10.05, game.frame(1, sequence=1))
    game.bot.send_input(10.1)
    now = 10.1
    while "lost" not in game.bot.news and now < 30:
        now += 0.5
        game.bot.receive(now)
        game.bot.tend(now)
    assert max(game.bot.latencies) == pytest.approx(now - 10.1)


@given(st.floats(0.001, 0.2), st.floats(0, 0.04), st.integers(1, 30))
@examples(60)
def test_the_round_trip_is_told_by_headers_less_what_the_server_waited(way: float, waited: float, frames: int) -> None:
    game = Game(holds_replica=False).play(now=4294.9)  # its microseconds fill 32 bits soon
    now = 4295.0
    for number in range(frames):
        sent_us = int(now * 1e6) & 0xFFFFFFFF
        now += way + waited
        game.tell(now, game.frame(number + 1, client_time=sent_us, waited_us=int(waited * 1e6)))
    if frames >= 8:
        assert game.clock.round_trip == pytest.approx(way, abs=5e-6)
    else:
        assert game.clock.round_trip in (math.inf, pytest.approx(way, abs=5e-6))


def test_state_age_is_of_the_state_that_is_held() -> None:
    game = Game().play(10.0)
    game.clock.note_round_trip(0.02)
    game.bot.sample_age(10.03)
    game.bot.sample_age(10.53)  # nothing new has come
    assert game.bot.ages == pytest.approx([0.04, 0.54])
    game.tell(10.55, game.frame(1))
    game.bot.sample_age(10.55)
    assert game.bot.ages[2] == pytest.approx(0.51)  # its schedule said 10.04
    game.bot.leave(10.6)
    game.bot.sample_age(10.7)
    assert len(game.bot.ages) == 3


# -- leaves, is lost, comes back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "why"),
    [
        (FakeLink((404, "the server answered 404 Not Found")), "1006 the server answered 404 Not Found"),
        (FakeLink((0, "connection refused")), "1006 connection refused"),
    ],
)
def test_a_bot_that_is_refused_says_why(link: FakeLink, why: str) -> None:
    game = Game(links=(link,))
    game.bot.join(10.0)
    game.bot.receive(10.1)
    assert (game.bot.news, game.bot.why) == (["refused", "over"], why)
    assert (game.bot.way, link.released, game.bot.counts().disconnects) == (None, True, 0)
    assert game.bot.join(11.0) is None  # another attempt is another attempt
    game.tell(11.1, game.welcome(), game.frame(NOTHING))
    assert game.bot.playing
    assert game.bot.joins == pytest.approx([0.1])


def test_a_close_before_the_first_frame_is_a_refusal_in_the_servers_words() -> None:
    game = Game()
    game.bot.join(10.0)
    game.bot.receive(10.1)
    game.link.end(4003, "full")
    game.bot.receive(10.2)
    assert (game.bot.news, game.bot.why) == (["refused", "over"], "4003 full")


@pytest.mark.parametrize("said", [False, True])
def test_a_server_that_does_not_let_a_bot_in_is_given_up(said: bool) -> None:
    game = Game()
    game.bot.join(10.0)
    game.tell(10.1, *([game.welcome()] if said else []))
    game.bot.tend(10.0 + JOIN_SECONDS - 0.01)
    assert game.bot.news == []
    game.bot.tend(10.0 + JOIN_SECONDS)
    assert game.bot.news == ["refused", "over"]
    assert "not joined within 30 s" in game.bot.why


def test_a_bot_that_leaves_says_goodbye_and_keeps_its_totals() -> None:
    game = Game().play()
    game.bot.leave(10.5)
    before = game.bot.counts()
    assert (game.links[0].close_code, game.links[0].released, game.bot.playing) == (1000, True, False)
    assert (before.frames, before.hashes, before.disconnects, game.bot.news) == (1, 1, 0, [])
    assert before.bytes_in > 0
    game.tick = 0
    game.published = PublishedWorld(game.room.world)
    game.frames = make_frames(game.published, game.room.world, hash_ticks=1)
    game.play(12.0)
    after = game.bot.counts()
    assert (after.frames, after.hashes, game.bot.tick) == (2, 2, 1)
    assert after.bytes_in == game.links[0].bytes_in + game.links[1].bytes_in


def test_without_a_seat_a_lost_connection_is_the_end() -> None:
    game = Game().play()
    game.link.end()
    game.bot.receive(10.1)
    assert (game.bot.news, game.bot.why) == (["lost", "over"], "1006 the server vanished")
    assert (game.bot.playing, game.bot.counts().disconnects) == (False, 1)


@pytest.mark.parametrize("seat_seconds", [None, 30.0])
def test_a_cut_by_the_scenario_is_no_disconnect(seat_seconds: float | None) -> None:
    game = Game(seat_seconds=seat_seconds).play()
    game.bot.drop(10.1)
    assert game.links[0].closed
    assert (game.bot.counts().disconnects, "lost" in game.bot.news) == (0, False)
    assert (game.bot.way is None) == (seat_seconds is None)
    if seat_seconds is not None:
        come_back(game, 10.3)
        game.link.end()  # and the next one is
        game.bot.receive(10.4)
        assert (game.bot.counts().disconnects, game.bot.news) == (1, ["returned", "lost"])


def come_back(game: Game, now: float, **answer: Any) -> list[Any]:
    """The bot makes its next link and is given its seat again; what it said on it, hello first."""
    link = game.link
    game.bot.receive(now)
    assert game.link is not link
    said = game.link.taken()
    assert said[0][0] == Kind.HELLO
    game.tell(now, Returned(player=1, tick=game.tick, seat="second", seat_seconds=30.0, **answer).encode())
    return said + game.link.taken()


def test_a_bot_comes_back_to_its_seat_and_goes_on() -> None:
    game = Game(seat_seconds=30.0).play()
    game.bot.send_input(10.01)
    game.tell(10.05, game.frame(1, sequence=1))
    game.bot.send_input(10.06)
    game.link.end()
    game.bot.receive(10.1)
    assert game.bot.news == ["lost"]
    assert game.bot.join(10.1) is None
    (kind, hello), *_ = come_back(game, 10.3, inputs=1)
    assert (kind, hello["seat"], hello["tick"]) == (Kind.HELLO, "first", 2)
    assert game.bot.returns == []  # no frame has come
    game.tell(10.4, game.frame(2, sequence=1))
    assert game.bot.returns == pytest.approx([0.3])
    assert game.bot.news == ["lost", "returned", "back"]
    assert game.bot.join(10.4) is True
    assert game.bot.latencies == pytest.approx([0.04])  # the second input was lost, which is no latency
    game.bot.send_input(10.45)
    assert [m[1][0] for m in game.link.taken() if m[0] == Kind.INPUT] == [2]  # its number is free
    counts = game.bot.counts()
    assert (counts.disconnects, counts.frames) == (1, 3)
    assert counts.bytes_in == sum(link.bytes_in for link in game.links)


def test_a_bot_whose_seat_is_over_is_out() -> None:
    refusing = tuple(FakeLink((503, "busy")) for _ in range(60))
    game = Game(seat_seconds=5.0, links=(FakeLink(), *refusing)).play()
    game.link.end()
    now = 10.0
    while game.bot.way is not None and now < 30:
        now += 0.05
        game.bot.receive(now)
    assert 14 < now < 15.2
    assert game.bot.news == ["lost", "stayed away", "over"]
    assert "there was no way back in the 5 s" in game.bot.why
    assert (game.bot.playing, game.bot.counts().disconnects) == (False, 1)


def test_silence_is_noticed_by_who_looks() -> None:
    game = Game(seat_seconds=30.0).play()
    now = 10.0
    while "lost" not in game.bot.news and now < 30:
        now += 0.5
        game.bot.receive(now)
        game.bot.tend(now)
    assert 12.5 < now < 14.0
    assert "nothing came for 3 s" in game.bot.why


def test_a_bot_that_stalls_reads_and_says_nothing() -> None:
    game = Game(seat_seconds=30.0).play()
    game.bot.stall(True)
    game.tell(10.1, game.frame(1))
    game.bot.send_input(10.1)
    game.bot.tend(60.0)
    assert (game.bot.tick, game.link.taken(), len(game.link.incoming)) == (1, [], 1)
    game.bot.stall(False)
    game.bot.receive(60.0)
    assert (game.bot.tick, game.bot.news) == (2, [])
    assert game.bot.gaps == pytest.approx([50.0])


def test_played_seconds_are_those_with_an_open_connection_in_the_room() -> None:
    game = Game(seat_seconds=30.0)
    game.bot.join(10.0)
    assert game.bot.played_seconds(10.4) == 0.0
    game.tell(10.5, game.welcome(), game.frame(NOTHING))
    assert game.bot.played_seconds(11.0) == pytest.approx(0.5)
    game.bot.drop(11.5)
    assert game.bot.played_seconds(11.6) == pytest.approx(1.0)
    come_back(game, 12.0)
    game.tell(12.5, game.frame(1))
    assert game.bot.played_seconds(13.0) == pytest.approx(1.5)
    game.bot.leave(14.0)
    assert game.bot.played_seconds(20.0) == pytest.approx(2.5)


# -- what authors write ------------------------------------------------------------------------------------------------


class Talker(Bot):
    """Says something with each decision, and keeps what it hears."""

    decision_ticks = 1

    def on_join(self) -> None:
        self.heard: list[Any] = [self.number, self.rate]
        self.send("hello", {"from": self.number})

    def on_frame(self, world: Replica) -> Decision:
        self.send("tick", world.tick)
        return None

    def on_message(self, kind: str, payload: Any) -> None:
        self.heard.append((kind, payload))


def test_what_a_bot_sends_leaves_numbered_with_its_inputs_and_again_after_a_return() -> None:
    game = Game(seat_seconds=30.0, make_bot=Talker, rate=7.0).play()
    game.bot.send_input(10.05)
    game.bot.send_input(10.1)
    said = [m for m in game.link.taken() if m[0] == Kind.MESSAGE]
    assert [m[1:] for m in said] == [["hello", {"from": 0}, 1], ["tick", 1, 2], ["tick", 1, 3]]
    game.tell(10.1, pack([Kind.MESSAGE, "hi", 5]), encode_reply(1, "no", "unknown"))
    assert game.bot._bot is not None
    assert game.bot._bot.heard == [0, 7.0, ("hi", 5)]  # type: ignore[attr-defined]
    game.link.end()
    game.bot.receive(10.2)
    hello, *again = come_back(game, 10.5, messages=1)
    assert hello[1]["messages"] == 2
    assert again == said[1:]


class Failing(Bot):
    """Fails in one hook."""

    hook = ""

    def __init__(self, *arguments: Any) -> None:
        self._fail("__init__")
        super().__init__(*arguments)

    def _fail(self, hook: str) -> None:
        if self.hook == hook:
            raise ZeroDivisionError(f"in {hook}")

    def on_join(self) -> None:
        self._fail("on_join")

    def on_frame(self, world: Replica) -> Decision:
        self._fail("on_frame")
        return {"leap": True} if self.hook == "decision" else None

    def on_message(self, kind: str, payload: Any) -> None:
        self._fail("on_message")


@pytest.mark.parametrize(
    ("hook", "complaint"),
    [(hook, f"ZeroDivisionError: in {hook} (") for hook in ("__init__", "on_join", "on_frame", "on_message")]
    + [("decision", "InputError: Now: Keys has no field 'leap'")],
)
def test_a_bot_whose_code_fails_leaves_and_says_where(hook: str, complaint: str) -> None:
    class Now(Failing):
        pass

    Now.hook = hook
    game = Game(seat_seconds=30.0, make_bot=Now)
    game.bot.join(10.0)
    game.tell(10.1, game.welcome(), game.frame(NOTHING))
    game.tell(10.2, *([pack([Kind.MESSAGE, "hi", None]), game.frame(1)] if game.bot.way is not None else []))
    game.bot.send_input(10.3)
    assert game.bot.news.count("failed") == 1
    assert complaint in game.bot.why
    assert ".py:" in game.bot.why
    assert (game.bot.way, game.bot.playing) == (None, False)
    assert (game.links[0].close_code, game.links[0].released) == (1000, True)
    assert game.bot.counts().disconnects == 0
    game.bot.receive(10.4)
    game.bot.send_input(10.4)
    game.bot.sample_age(10.4)
    assert game.bot.news.count("failed") == 1
