"""A program without trio plays: one pump per frame, on a server in a thread, and on servers that are no use."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gameclient
from gameclient import (
    CloseCode,
    Disconnected,
    Dropped,
    Event,
    FrameApplied,
    InputError,
    Joined,
    MessageReceived,
    Returned,
    Session,
)
from gameserver import Server, serve_in_thread
from gameserver.demo.arena import Arena, Bullet, Ship

#: No pump may take this long, in seconds. It takes far less; a loaded machine may stop us in the middle of one.
AT_ONCE = 0.25


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve_in_thread(Arena, port=0, seed=1) as server:
        yield server


def pump_until(session: Session, enough: Callable[[list[Event]], object], seconds: float = 10.0) -> list[Event]:
    """Pump until ``enough``; all events. Waits on the socket, as an idle program would."""
    events: list[Event] = []
    deadline = time.monotonic() + seconds
    while True:
        events += session.pump()
        if enough(events):
            return events
        assert time.monotonic() < deadline, f"{session!r} {events[-3:]}"
        with selectors.DefaultSelector() as selector:
            if session.fileno() >= 0:
                selector.register(session, selectors.EVENT_READ)
            selector.select(0.01)


def joined(session: Session) -> list[Event]:
    return pump_until(session, lambda events: session.joined)


def test_a_frame_loop_may_draw_before_it_has_joined(server: Server) -> None:
    with gameclient.open(server.url()) as session:
        assert not session.joined
        assert list(session.world[Ship]) == []
        assert len(session.world["Anything"]) == 0
        assert session.world["Ship"].column("x").size == 0
        assert session.world["Ship"].get(1) is None
        session.send_input(whatever=True)
        assert (session.state, session.tick, session.rtt, session.stats.frame_age) == (None, 0, None, None)
        assert not session.send("chat", "hello?")
        first, *_ = joined(session)
        assert first == Joined(session.player, "arena", "1", session.tick)


@pytest.mark.parametrize("over_tcp", [True, False])
def test_playing(server: Server, over_tcp: bool) -> None:
    with gameclient.open(server.url() if over_tcp else server.local(), name="Ada") as session:
        joined(session)
        (ship,) = [row for row in session.world[Ship] if row.mine]
        assert ship.name == "Ada"

        def play(events: list[Event]) -> bool:
            session.send_input(turn=1.0, shoot=True)
            return any(row.mine for row in session.world[Bullet]) and session.stats.inputs_applied > 5

        before = ship.heading
        pump_until(session, play)
        assert ship.heading != before
        with pytest.raises(InputError, match=r"Steer\.turn"):
            session.send_input(turn=2.0)
        assert session.stats.desyncs == 0
    last = session.pump()[-1]
    assert last == Disconnected(CloseCode.NORMAL, "the player left")
    assert session.pump() == []
    assert session.fileno() == -1


@pytest.mark.slow
def test_inputs_go_at_the_pace_of_ticks(server: Server) -> None:
    with gameclient.open(server.url()) as session:
        joined(session)
        first = session.tick

        def play(events: list[Event]) -> bool:
            for _ in range(5):
                session.send_input(thrust=True)
            return session.tick >= first + 30

        pump_until(session, play)
        assert 24 <= session.stats.inputs_sent <= 34


def test_players_see_each_other_and_talk(server: Server) -> None:
    with gameclient.open(server.url(), name="Ada") as ada, gameclient.open(server.local(), name="Bo") as bo:
        joined(ada)
        joined(bo)
        left: list[str] = []
        ada.on_despawned(Ship)(lambda ship: left.append(ship.name))
        said: list[Any] = []
        ada.on_message("chat")(lambda kind, payload: said.append(payload))
        assert bo.send("chat", "hi")
        pump_until(ada, lambda events: said and len(ada.world[Ship]) == 2)
        assert said == [["Bo", "hi"]]
        bo.close()
        pump_until(ada, lambda events: left)
        assert left == ["Bo"]


def test_callbacks_made_before_joining_are_told_everything_once(server: Server) -> None:
    with gameclient.open(server.url(), name="Ada") as session:
        rocks: list[int] = []
        order: list[str] = []
        session.on_spawned("Asteroid")(lambda rock: rocks.append(rock.id))
        session.on_joined(lambda event: order.append("joined"))
        session.on_frame(lambda event: order.append("frame"))
        joined(session)
        assert sorted(rocks) == session.world["Asteroid"].ids.tolist()
        assert order[:2] == ["joined", "frame"]


def test_a_callback_that_raises_costs_nothing_but_itself(server: Server) -> None:
    with gameclient.open(server.url()) as session:
        joined(session)
        fails = 3

        @session.on_frame
        def fail(frame: FrameApplied) -> None:
            nonlocal fails
            fails -= 1
            if fails >= 0:
                raise ZeroDivisionError

        caught = 0
        ticks: list[int] = []
        while len(ticks) < 10:
            try:
                events = pump_until(session, lambda events: events)
            except ZeroDivisionError:
                caught += 1
            else:
                ticks += [event.tick for event in events if isinstance(event, FrameApplied)]
        assert caught == 3
        assert ticks == [*range(ticks[0], ticks[0] + len(ticks))]
        assert session.stats.frames_skipped == 0


def test_a_callback_for_a_type_that_the_room_lacks_is_an_error(server: Server) -> None:
    with gameclient.open(server.url()) as session:
        session.on_changed("Shipp")(lambda row: None)
        with pytest.raises(KeyError, match="no entity type 'Shipp'"):
            joined(session)


def test_an_unknown_room_is_told(server: Server) -> None:
    with gameclient.open(server.url() + "x") as session:
        (event,) = pump_until(session, lambda events: events)
        assert isinstance(event, Disconnected)
        assert (event.code, "404 Not Found (No such room; there is arena.)" in event.reason) == (1006, True)
        assert session.closed
        assert not session.connected


def test_a_server_that_goes_away_is_told() -> None:
    with serve_in_thread(Arena, port=0) as server:
        session = gameclient.open(server.url(), reconnect=False)  # otherwise it tries for the 20 s of its seat
        joined(session)
    events = pump_until(session, lambda events: session.closed)
    assert events[-1] == Disconnected(CloseCode.GOING_AWAY, "the server is going away")
    assert len(session.world["Asteroid"]) > 0


@pytest.mark.slow
def test_a_frame_loop_comes_back_to_its_ship(server: Server) -> None:
    with gameclient.open(server.url(), name="Ada") as session:
        joined(session)
        (ship,) = [row for row in session.world[Ship] if row.mine]
        for times in range(1, 4):
            session._link._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
            events = pump_until(session, lambda events: any(isinstance(event, Returned) for event in events))
            assert [type(event) for event in events if not isinstance(event, FrameApplied | MessageReceived)] == [
                Dropped,
                Returned,
            ]
            tick = session.tick
            pump_until(session, lambda events, tick=tick: session.tick > tick + 5)
            assert (ship.alive, ship.mine, session.stats.returns, session.stats.desyncs) == (True, True, times, 0)
        assert session.stats.dropped_seconds < 5


def test_an_impossible_name_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="longer than 64 bytes"):
        gameclient.open("ws://127.0.0.1/x", name="x" * 65)
    with pytest.raises(TypeError):
        gameclient.open("ws://127.0.0.1/x", options={"odd": object()})


class Clock:
    """Virtual time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def pump_quickly(session: Session) -> list[Event]:
    began = time.perf_counter()
    events = session.pump()
    assert time.perf_counter() - began < AT_ONCE
    return events


def test_a_server_that_never_answers_blocks_nothing() -> None:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        session = Session(f"ws://127.0.0.1:{listener.getsockname()[1]}/arena", clock=clock)
        for _ in range(100):
            assert pump_quickly(session) == []
            clock.now += 0.09
        clock.now += 1.1
        (event,) = pump_quickly(session)
    assert isinstance(event, Disconnected)
    assert event.reason.startswith("not joined within 10 s: the server did not answer in time")
    assert pump_quickly(session) == []


def test_a_name_that_is_looked_up_for_ever_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    lookup = socket.getaddrinfo

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("flags"):
            answer.wait(10)
        return lookup("127.0.0.1" if host == "some.host" and not kwargs.get("flags") else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    clock = Clock()
    session = Session("ws://some.host:1/arena", clock=clock, join_seconds=2)
    assert pump_quickly(session) == []
    clock.now += 2
    (event,) = pump_quickly(session)
    answer.set()
    assert isinstance(event, Disconnected)
    assert "the address of some.host could not be looked up in time" in event.reason


def test_a_name_is_looked_up_beside_the_frame_loop(server: Server) -> None:
    with gameclient.open(f"ws://localhost:{server.port}/arena") as session:
        events = joined(session)
        assert isinstance(events[0], Joined)
        assert any(isinstance(event, (FrameApplied, MessageReceived)) for event in events)


def test_leaving_waits_a_moment_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        session = gameclient.open(f"ws://127.0.0.1:{listener.getsockname()[1]}/arena")
        session.pump()
        began = time.perf_counter()
        with session:
            pass
        assert time.perf_counter() - began < AT_ONCE + 0.25
        (event,) = session.pump()
        assert isinstance(event, Disconnected)
