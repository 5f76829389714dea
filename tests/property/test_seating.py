"""Seats under everything that can happen to them, in whole directories of rooms that are ticked by hand.

Clients join in every way, lose their connections with what was on its way, come back with tokens that are right, old,
foreign or used up, and claim what they hold or what they do not. What a client has decoded from the bytes of its links
is compared with what the room said and shows, and with the hooks that the room saw.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gameprotocol import CloseCode, Hello, ProtocolError, limits
from gameserver import MaxRate, Player, Room, RoomFullError
from gameserver.rooms.directory import Directory
from gameserver.rooms.loop import RoomLoop
from tests.support.examples import examples
from tests.support.fake_links import FakeLink
from tests.support.seat_clients import BOOKS, LIVES, SEATS, SIZE, TYPES, Client, assert_same, short, whole

TICK_SECONDS = 0.05


class SeatingMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize(main=st.sampled_from(sorted(TYPES)), other=st.sampled_from(sorted(TYPES)))
    def begin(self, main: str, other: str) -> None:
        BOOKS.clear()
        self.now = 100.0
        self.paths = list(dict.fromkeys([main, main + "2", other]))
        classes = {main: TYPES[main], main + "2": TYPES[main], other: TYPES[other]}
        self.loops: list[RoomLoop] = []
        self.directory = Directory(classes, self.start, clock=lambda: self.now, most_rooms=4)
        self.clients: list[Client] = []
        self.intruders: list[FakeLink] = []
        self.reservations: list[tuple[str, str, float]] = []
        self.names = 0
        for path in (main, main, other):
            client = Client(self.fresh_name(), path)
            self.directory.join(path, client.connect(), client.hello())  # type: ignore[arg-type]
            self.clients.append(client)
        self.tick(2)

    def start(self, loop: RoomLoop) -> None:
        self.loops.append(loop)
        loop.advance()

    # -- time

    def run_rooms(self) -> None:
        """What `RoomLoop.run` does in one tick's time."""
        self.now += TICK_SECONDS
        for client in self.clients:
            if client.state == "in":
                client.told_before_ticks = [client.told_before_ticks[1], client.told_acknowledged]
        for loop in [*self.loops]:
            for _ in range(4):
                if loop.is_ending or loop.next_seconds > self.now:
                    break
                loop.advance()
            assert loop.is_ending or loop.next_seconds > self.now, "it would wake at once, for ever"
            if loop.is_ending:
                self.finish(loop)
            else:
                self.note_shown(loop)

    def finish(self, loop: RoomLoop) -> None:
        loop.room.on_close()
        loop.end_as_asked()
        self.directory.discard(loop)
        for player in loop.room._players.values():
            BOOKS[player.name].hooks += "" if "L" in BOOKS[player.name].hooks else "L"
            BOOKS[player.name].reason = "the room has ended"
        loop.free()
        self.loops.remove(loop)

    def note_shown(self, loop: RoomLoop) -> None:
        by_link: dict[Any, Client] = {client.links[-1]: client for client in self.clients if client.links}
        for link, player in loop.seating.connected.items():
            if link in by_link and player._baseline == loop.room.tick and player._choice is None:
                by_link[link].shown[loop.room.tick] = whole(loop, player)

    @rule(count=st.integers(1, 3))
    def tick(self, count: int) -> None:
        for _ in range(count):
            self.run_rooms()
            for client in self.clients:
                if client.state in ("coming", "in") and not client.lags:
                    client.read()

    @rule(count=st.integers(2, 6))
    def tick_more(self, count: int) -> None:
        self.tick(count)

    @rule(ticks=st.sampled_from([20, 45, 75, 100]))
    def wait(self, ticks: int) -> None:
        """Long enough for ids to be used again, or for seats to lapse."""
        self.tick(ticks)

    @rule(seconds=st.floats(0, 6))
    def hiccup(self, seconds: float) -> None:
        """The server stands still for a while."""
        self.now += seconds
        self.tick(1)

    # -- who there is

    def some(self, data: st.DataObject, *states: str) -> Client | None:
        found = [client for client in self.clients if client.state in states]
        return data.draw(st.sampled_from(found)) if found else None

    def fresh_name(self) -> str:
        self.names += 1
        return f"p{self.names}"

    def loop_of(self, client: Client) -> tuple[RoomLoop, Player] | None:
        for loop in self.loops:
            for player in (*loop.room.players, *loop.room.spectators):
                if player.name == client.name:
                    return loop, player
        return None

    def show(self, path: str, link: FakeLink, hello: Hello) -> bool:
        """Show the token of a seat; whether it gives one."""
        try:
            self.directory.take_seat(path, link, hello)  # type: ignore[arg-type]
        except ProtocolError as error:
            if error.code != CloseCode.SEAT_GONE:
                raise
            return False
        return True

    # -- joining

    @rule(
        data=st.data(),
        method=st.sampled_from(["join_or_create", "join_or_create", "create", "join", "join_by_id"]),
        spectate=st.sampled_from([False, False, False, True]),
        password=st.sampled_from(["", "", "p", "q"]),
        level=st.sampled_from([None, 1, 2]),
    )
    def join(self, data: Any, method: str, spectate: bool, password: str, level: int | None) -> None:
        if len([client for client in self.clients if client.state != "gone"]) > 6:
            return
        path = data.draw(st.sampled_from(self.paths))
        rooms = [loop.room for loop in self.loops if loop.room.name == path]
        room_id = data.draw(st.sampled_from([room.id for room in rooms])) if rooms and method == "join_by_id" else ""
        invite = ""
        if rooms and data.draw(st.integers(0, 4)) == 0:
            invite = data.draw(st.sampled_from(rooms)).invite_code.lower()
        wanted = {"filter": {"level": level}} if level is not None else {}
        client = Client(self.fresh_name(), path)
        client.spectates = spectate
        hello = client.hello(
            method=method, spectate=spectate, password=password, room_id=room_id, invite=invite, **wanted
        )
        try:
            loop = self.directory.join(path, client.connect(), hello)  # type: ignore[arg-type]
        except ProtocolError as error:
            self.check_refusal(error, rooms)
            client.link.free()
            return
        self.clients.append(client)
        room = loop.room
        assert spectate or not room.locked or room.tick == 0
        assert not room.private or invite
        assert not room.password or room.password == password
        assert level is None or invite or method == "join_by_id" or room.metadata.level == level

    def check_refusal(self, error: ProtocolError, rooms: list[Room]) -> None:
        if error.code == CloseCode.ROOM_LOCKED:
            assert any(room.locked for room in rooms)
        elif error.code == CloseCode.ROOM_FULL:
            loops = [loop for loop in self.loops if loop.room in rooms]
            assert any(loop.seats_taken == SEATS or not loop.seating.takes_spectators for loop in loops)
        elif error.code == CloseCode.WRONG_PASSWORD:
            assert any(room.password for room in rooms)
        elif error.code == CloseCode.TRY_LATER:
            assert len(self.loops) >= 4
        else:
            assert error.code in (CloseCode.UNKNOWN_ROOM, CloseCode.BAD_JOIN), error

    @rule(data=st.data(), seconds=st.sampled_from([0.2, 1.0, 5.0]))
    def reserve(self, data: Any, seconds: float) -> None:
        if not self.loops:
            return
        loop = data.draw(st.sampled_from(self.loops))
        name = self.fresh_name()
        free = not loop.is_full and not loop.is_ending
        try:
            token = self.directory.house.reserve(loop.room, name=name, seconds=seconds)
        except RoomFullError:
            assert not free
        else:
            assert free
            self.reservations.append((token, loop.room.name, self.now + seconds))

    @rule(data=st.data())
    @precondition(lambda self: bool(self.reservations))
    def claim(self, data: Any) -> None:
        token, path, until = data.draw(st.sampled_from(self.reservations))
        holder = self.directory.tokens.find(token)
        name = holder.seat.hello.name if holder is not None else "late"
        client = Client(name, path)
        wrong = data.draw(st.integers(0, 3)) == 0 and len(self.paths) > 1
        if wrong:
            path = next(other for other in self.paths if other != path)
        ended = holder is None or holder.seating.room._ending is not None
        if self.show(path, client.connect(), Hello(seat=token)):
            assert not wrong
            assert self.now < until
            self.clients.append(client)
        else:
            assert wrong or until <= self.now or ended
            client.link.free()
        if not wrong:
            self.reservations.remove((token, client.path, until))

    # -- leaving, dropping, coming back

    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        client = self.some(data, "in")
        if client is not None:
            client.link.ended_by_peer = True
            client.link.close(CloseCode.NORMAL, "bye")
            client.state = "gone"

    @rule(data=st.data(), code=st.sampled_from([1006, 1001, 4000]), arrived=st.integers(0, 6))
    def drop(self, data: Any, code: int, arrived: int) -> None:
        """A connection is lost, and what was on its way with it but for a few messages."""
        client = self.some(data, "in", "coming")
        if client is None:
            return
        client.read(arrived)
        if client.state in ("in", "coming") and not client.link.closed:
            client.link.ended_by_peer = True
            client.link.close(code)
            self.lose(client)

    @rule(data=st.data(), arrived=st.integers(0, 6))
    def lose_half(self, data: Any, arrived: int) -> None:
        """A client gives a connection up that the server still takes for open."""
        client = self.some(data, "in")
        if client is not None:
            client.read(arrived)
            if client.state == "in":
                client.link.acknowledges = False
                self.lose(client)

    def lose(self, client: Client) -> None:
        client.state = "away" if client.tokens else "gone"

    @rule(data=st.data())
    def come_back(self, data: Any) -> None:
        client = self.some(data, "away")
        if client is not None:
            self.come_back_now(client)

    def come_back_now(self, client: Client) -> None:
        """A client does what it should: it shows its newest token, and says what it has."""
        assert client.replica is not None
        hello = Hello(seat=client.tokens[-1], tick=client.replica.tick, messages=len(client.told))
        alive = self.is_alive(client)
        if not self.show(client.path, client.connect(), hello):
            assert not alive or client.robbed, "its seat is there"
            client.state = "gone"

    @rule(data=st.data(), arrived=st.integers(0, 6), ticks=st.integers(0, 4))
    def drop_and_come_back(self, data: Any, arrived: int, ticks: int) -> None:
        self.drop(data, 1006, arrived)
        self.tick(ticks)
        self.come_back(data)
        self.tick(ticks)

    def is_alive(self, client: Client) -> bool:
        """Whether a client's seat is there as far as its room has said."""
        found = self.loop_of(client)
        return "L" not in client.book.hooks and found is not None and not found[0].is_ending

    @rule(data=st.data(), which=st.sampled_from(["old", "foreign path", "garbage", "gone"]))
    def come_with_a_bad_token(self, data: Any, which: str) -> None:
        client = self.some(data, "gone") if which == "gone" else self.some(data, "in", "away")
        token, path = "no such token", self.paths[0]
        if client is not None:
            path = client.path
            if which == "old" and client.confirmed:
                token = client.tokens[client.confirmed - 1]
            elif which == "foreign path" and client.tokens and len(self.paths) > 1:
                token, path = client.tokens[-1], next(other for other in self.paths if other != path)
            elif which == "gone" and client.tokens and "L" in client.book.hooks:
                token = client.tokens[-1]
        link = FakeLink()
        self.intruders.append(link)
        if which == "old":
            self.run_rooms()  # the room reads the acknowledgement
        assert not self.show(path, link, Hello(seat=token)), f"a seat for a token that is {which}"

    @rule(
        data=st.data(),
        tick=st.sampled_from([-1, 0, 1, -40, 7, (1 << 32) - 1]),
        messages=st.sampled_from([0, 0, -1, 1, 1000]),
        ticks=st.integers(0, 3),
    )
    def intrude(self, data: Any, tick: int, messages: int, ticks: int) -> None:
        """Somebody else shows a client's token, and claims what is not so."""
        client = self.some(data, "in", "away")
        if client is None or not client.tokens or not client.links or client.replica is None:
            return
        claimed = tick if tick > 1 << 20 else max(0, client.replica.tick + tick)
        hello = Hello(seat=client.tokens[-1], tick=claimed, messages=max(0, len(client.told) + messages))
        link = FakeLink()
        link.acknowledges = False
        self.intruders.append(link)
        if not self.show(client.path, link, hello):
            assert client.robbed or not self.is_alive(client)
            return
        client.robbed = True
        client.misled |= messages > 0
        for _ in range(ticks):
            self.tick(1)
            link.frames()
        link.ended_by_peer = True
        link.close(1006)

    # -- what the room does

    @rule(data=st.data())
    def change_a_room(self, data: Any) -> None:
        if not self.loops:
            return
        room: Any = data.draw(st.sampled_from(self.loops)).room
        match data.draw(st.sampled_from(["lock", "unlock", "private", "public", "password", "none", "level", "close"])):
            case "lock" | "unlock" as what:
                room.locked = what == "lock"
            case "private" | "public" as what:
                room.private = what == "private"
            case "password" | "none" as what:
                room.password = "p" if what == "password" else ""
            case "level":
                room.metadata.level = 3 - room.metadata.level
            case "close" if data.draw(st.booleans()):
                room.close("it is over")

    @rule(data=st.data(), seconds=st.sampled_from([None, 0.0, 1.0, 8.0, 20.0]))
    def decide_how_long(self, data: Any, seconds: float | None) -> None:
        client = self.some(data, "in")
        if client is not None:
            client.book.hold_seconds = seconds

    @rule(data=st.data())
    def kick(self, data: Any) -> None:
        client = self.some(data, "in", "away")
        found = None if client is None else self.loop_of(client)
        if found is not None and data.draw(st.integers(0, 2)) == 0:
            found[1].kick("out with you")

    @rule(data=st.data(), what=st.sampled_from(["tell", "tell_all", "large"]), count=st.integers(1, 3))
    def talk(self, data: Any, what: str, count: int) -> None:
        if not self.loops:
            return
        room: Any = data.draw(st.sampled_from(self.loops)).room
        for number in range(count):
            if what == "tell_all":
                room.tell_all(number)
            else:
                for player in room.players:
                    room.tell(player, 90_000 if what == "large" else 0)
        room.wake()  # this is no hook

    @rule(data=st.data(), count=st.integers(1, 8))
    def change_the_world(self, data: Any, count: int) -> None:
        if not self.loops:
            return
        room: Any = data.draw(st.sampled_from(self.loops)).room
        table = room.world[room.entities[0]]
        place = st.integers(0, SIZE)
        for _ in range(count):
            things, players = list(table), [None, *room.players]
            match data.draw(st.sampled_from(["spawn", "spawn", "despawn", "move", "own", "score", "rename"])):
                case "spawn" if len(things) < 30:
                    room.put(data.draw(st.sampled_from(players)), data.draw(place), data.draw(place))
                case "despawn" if things:
                    room.world.despawn(data.draw(st.sampled_from(things)))
                case "move" if things:
                    data.draw(st.sampled_from(things)).x = data.draw(place)
                case "own" if things:
                    data.draw(st.sampled_from(things)).owner = data.draw(st.sampled_from(players))
                case "rename" if things:
                    data.draw(st.sampled_from(things)).label = data.draw(st.sampled_from(["a", "bb", "longer name"]))
                case "score":
                    room.state.points += 1
        room.wake()

    @rule(data=st.data(), at=st.integers(0, SIZE), rate=st.sampled_from([0, 0, 0, 7, 1000, None]))
    def look_elsewhere(self, data: Any, at: int, rate: int | None) -> None:
        """What a player may see changes, or how much of it it is sent, while it is here or away."""
        client = self.some(data, "in", "away")
        found = None if client is None else self.loop_of(client)
        if found is None or found[1].data is None:
            return
        found[1].data["from"] = at
        if rate != 0 and not found[0].room.is_event_driven:
            found[1].max_rate = None if rate is None else MaxRate(frames=rate) if rate < 100 else MaxRate(bytes=rate)

    # -- what clients do

    @rule(data=st.data(), what=st.sampled_from(["act", "note", "ask"]), count=st.integers(1, 4))
    def do(self, data: Any, what: str, count: int) -> None:
        client = self.some(data, "in", "away")
        if client is not None and not client.spectates:
            for _ in range(count):
                if what == "act":
                    client.act()
                else:
                    client.say(what)

    @rule(data=st.data(), lags=st.booleans(), full=st.booleans())
    def lag(self, data: Any, lags: bool, full: bool) -> None:
        """A client reads late, or its link takes nothing for a while."""
        client = self.some(data, "in")
        if client is not None:
            client.lags, client.link.full = lags, full
            client.slow_link = client.link

    # -- what always holds

    @invariant()
    def seats_are_never_more(self) -> None:
        for loop in getattr(self, "loops", ()):
            assert loop.seats_taken <= SEATS
            assert len(loop.room._players) <= loop.seats_taken
            assert len(loop.room._spectators) <= 1

    @invariant()
    def hooks_come_in_order(self) -> None:
        for name, book in BOOKS.items():
            assert LIVES.fullmatch(book.hooks) or not book.hooks, (name, book.hooks)
            assert book.heard == [*range(1, len(book.heard) + 1)], (name, book.heard)
            assert all(a < b for a, b in zip(book.applied, book.applied[1:], strict=False)), (name, book.applied)
            if book.reason == "missed too many messages":
                client = next(client for client in self.clients if client.name == name)
                missed = sum(len(str(told)) for told in book.told[client.told_before_ticks[0] :])
                assert client.robbed or missed > limits.MESSAGE_QUEUE_BYTES, f"{name}: {missed} are not too many"

    @invariant()
    def messages_arrive_once_in_order(self) -> None:
        for client in getattr(self, "clients", ()):
            if not client.misled:
                told = client.book.told[: len(client.told)]
                assert client.told == told, f"{client.name} {client.book.hooks}: {short(client.told)} {short(told)}"

    @invariant()
    def tokens_are_of_seats_that_there_are(self) -> None:
        if not hasattr(self, "directory"):
            return
        seats: dict[Any, int] = defaultdict(int)
        for seating, seat in self.directory.tokens._holders.values():
            seats[seat] += 1
            if isinstance(seat, Player):
                assert seating.room._players.get(seat.number) is seat
            else:
                assert seat in seating._reserved.values()
            assert self.directory.loop_of(seating.room) is not None
        assert all(count <= 2 for count in seats.values())
        assert len(self.directory._invites) <= len(self.loops)

    # -- at the end

    def teardown(self) -> None:
        if not hasattr(self, "directory"):
            return
        try:
            self.settle()
            self.close_all()
        finally:
            for loop in [*self.loops]:
                loop.free()
            for link in (*(link for client in self.clients for link in client.links), *self.intruders):
                link.free()

    def settle(self) -> None:
        """Everyone comes back, and hears and sees everything."""
        for loop in self.loops:
            for player in loop.room.players:
                player.max_rate = None
        for client in self.clients:
            client.lags = False
            client.link.full = False
        self.tick(2)
        for client in [client for client in self.clients if client.state == "away"]:
            self.come_back_now(client)
        ticks = {loop: loop.room.tick for loop in self.loops}
        for _ in range(4):
            self.tick(5)
            self.hooks_come_in_order()
            self.messages_arrive_once_in_order()
        for client in self.clients:
            found = self.loop_of(client)
            if client.state == "in" and found is not None and not found[0].is_ending:
                assert client.misled or client.told == client.book.told
                assert client.book.heard == [number for _, number in client.said]
                assert client.replica is not None
                if client.replica.tick == found[0].room.tick:
                    assert_same(client.replica, whole(found[0], found[1]))
                elif client.slow_link is not client.link and not found[0].room.is_event_driven:
                    assert client.replica.tick > ticks[found[0]], "it starves"

    def close_all(self) -> None:
        """When all have gone and all rooms have closed, nothing is left of anybody."""
        for client in self.clients:
            for link in client.links:
                link.ended_by_peer = True
                link.close(CloseCode.NORMAL)
        for _ in range(5):
            self.now += 10
            for _ in range(3):
                self.run_rooms()
        for loop in [*self.loops]:  # those that nobody ever was in
            assert loop.seats_taken == 0
            assert loop.seating.emptied_seconds is None
            loop.room.close("the test is over")
            self.finish(loop)
        assert len(self.directory.tokens) == 0
        assert not self.directory._invites
        assert not self.directory._loops
        assert not self.directory.loops


TestSeating = pytest.mark.slow(SeatingMachine.TestCase)
TestSeating.settings = examples(60, stateful_step_count=50)
