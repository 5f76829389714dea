"""A trio program that loses its connection and comes back, against servers of bytes, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

import gameclient
from gameclient import (
    DisconnectedError,
    Dropped,
    RequestTimeoutError,
)
from gameprotocol import Kind, Returned, encode_reply
from gameprotocol._websocket import close_frame
from tests.unit.test_gameclient_return import FULL, SEATED, Connection, Place
from tests.unit.test_gameclient_return import make as make
from tests.unit.test_gameclient_said_again import said
from tests.unit.test_gameclient_session import frame

# -- in trio -----------------------------------------------------------------------------------------------------------


class Host:
    """Serves a `Place` in trio: accepts, says what it is told, hears everything.

    Attributes:
        hellos: of all connections. heard: messages of the newest connection, but acknowledgements.
    """

    def __init__(self) -> None:
        self.place = Place()
        tell, self._opened = trio.open_memory_channel[Connection](math.inf)
        self.place.told = tell.send_nowait
        self.hellos: list[dict[str, Any]] = []
        self.heard: list[Any] = []

    async def accept(self) -> Connection:
        """Take the next connection up to its hello."""
        connection = await self._opened.receive()
        await trio.lowlevel.wait_readable(connection.sock)
        connection.accept()
        await trio.lowlevel.wait_readable(connection.sock)
        self.hellos.append(connection.heard()[0][1])
        return connection

    async def listen(self, connection: Connection, count: int) -> list[Any]:
        """The next so many messages besides acknowledgements."""
        found: list[Any] = []
        while len(found) < count:
            await trio.lowlevel.wait_readable(connection.sock)
            found += [item for item in connection.heard() if item[0] != Kind.ACKNOWLEDGE]
        return found

    def close(self) -> None:
        for connection in self.place.connections:
            connection.sock.close()
            connection.theirs.close()


async def test_a_trio_program_comes_back(autojump_clock: MockClock) -> None:
    host = Host()
    answers: list[Any] = []

    async def serve() -> None:
        first = await host.accept()
        first.tell(SEATED.encode(), FULL)
        assert (await host.listen(first, 1))[0][:3] == [Kind.REQUEST, 1, "buy"]
        first.sock.close()
        second = await host.accept()
        second.tell(Returned(player=7, tick=9, seat="second", seat_seconds=30.0).encode(), frame(9, 8))
        answers.append(await host.listen(second, 2))
        second.tell(encode_reply(1, "sold"), frame(10, 1))
        await trio.sleep(1)
        second.sock.sendall(close_frame(4013, "gone"))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with gameclient.connect(host.place, name="Ada") as session:

                async def say_hi() -> None:
                    async for event in session.events():
                        if isinstance(event, Dropped):
                            assert session.send("hi")
                            return

                nursery.start_soon(say_hi)
                assert await session.request("buy", item=3) == "sold"
                assert session.tick == 10
                with pytest.raises(DisconnectedError, match="gone"):
                    await session.request("anything", timeout=30)
                assert [type(event).__name__ async for event in session.events()] == [
                    "Returned",
                    "FrameApplied",
                    "FrameApplied",
                    "Disconnected",
                ]
                assert session.stats.returns == 1
                assert session.stats.dropped_seconds < 0.2
    assert [hello.get("seat") for hello in host.hellos] == [None, "first"]
    assert said(answers[0]) == [(1, "buy"), (2, "hi")]
    host.close()


async def test_requests_in_trio_time_out_and_are_cancelled(autojump_clock: MockClock) -> None:
    host = Host()

    async def serve() -> None:
        connection = await host.accept()
        connection.tell(structs.replace(SEATED, tick_rate=0.0).encode(), FULL)
        await host.listen(connection, 2)
        await trio.sleep(10)
        connection.tell(encode_reply(1, "late"), encode_reply(2, "late", "poor"))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with gameclient.connect(host.place) as session:
                before = trio.current_time()
                with pytest.raises(RequestTimeoutError):
                    await session.request("buy", timeout=3)
                assert trio.current_time() - before == pytest.approx(3, abs=0.01)
                with trio.move_on_after(1) as scope:
                    await session.request("sell", timeout=60)
                assert scope.cancelled_caught
                assert trio.current_time() - before == pytest.approx(4, abs=0.01)
                await trio.sleep(20)
                assert session.connected
                events = session.events()
                assert [type(await anext(events)).__name__ for _ in range(2)] == ["Joined", "FrameApplied"]
                assert not session._queue  # late answers are no events
    host.close()


async def test_silence_is_noticed_by_a_program_that_only_waits(autojump_clock: MockClock) -> None:
    host = Host()

    async def serve() -> None:
        (await host.accept()).tell(SEATED.encode(), FULL)
        second = await host.accept()
        second.tell(Returned(player=7, tick=9, seat="second", seat_seconds=30.0).encode(), frame(9, 8))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with gameclient.connect(host.place) as session:
                before = trio.current_time()
                assert (await session.next_frame()).tick == 9
                assert trio.current_time() - before == pytest.approx(3, abs=0.3)
                assert session.stats.returns == 1
    host.close()


async def test_attempts_that_are_not_answered_cost_nothing_but_time(autojump_clock: MockClock) -> None:
    host = Host()
    pumps = 0

    def count(pump: Callable[[], Any]) -> Callable[[], Any]:
        def counting() -> Any:
            nonlocal pumps
            pumps += 1
            return pump()

        return counting

    async def serve() -> None:
        first = await host.accept()
        first.tell(SEATED.encode(), FULL)
        await trio.sleep(1)
        first.sock.close()

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with gameclient.connect(host.place) as session:
                session.pump = count(session.pump)  # type: ignore[method-assign]
                end = await session.wait_closed()
    assert "the server did not answer in time" in end.reason
    assert 5 <= len(host.place.connections) <= 12
    assert pumps < 250
    host.close()


async def test_what_is_said_again_leaves_by_itself(autojump_clock: MockClock) -> None:
    """A room that ticks when something happens may send nothing that wakes us."""
    host = Host()
    numbers: list[int] = []
    all_heard = trio.Event()

    async def serve() -> None:
        first = await host.accept()
        first.tell(structs.replace(SEATED, tick_rate=0.0).encode(), FULL)
        await trio.sleep(1)
        first.sock.close()
        second = await host.accept()
        second.tell(Returned(player=7, tick=1, seat="second", seat_seconds=30.0).encode())
        numbers.extend(item[3] for item in await host.listen(second, 50))
        all_heard.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with gameclient.connect(host.place) as session:
                async for event in session.events():
                    if isinstance(event, Dropped):
                        break
                assert all(session.send("x", bytes(1000)) for _ in range(50))
                await all_heard.wait()
    assert numbers == [*range(1, 51)]
    host.close()


async def test_leaving_while_away_does_not_wait(autojump_clock: MockClock) -> None:
    host = Host()

    async def serve() -> None:
        first = await host.accept()
        first.tell(SEATED.encode(), FULL)
        await trio.sleep(1)
        host.place.refusing = True
        first.sock.close()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with gameclient.connect(host.place) as session:
                async for event in session.events():
                    if isinstance(event, Dropped):
                        break
                await trio.sleep(3)
                before = trio.current_time()
            assert trio.current_time() == before
    assert (session.close_code, session.closed) == (1000, True)
    host.close()


async def test_a_seat_that_nobody_comes_back_to_ends_the_program_in_time(autojump_clock: MockClock) -> None:
    host = Host()

    async def serve() -> None:
        first = await host.accept()
        first.tell(SEATED.encode(), FULL)
        host.place.refusing = True
        await trio.sleep(1)
        first.sock.close()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with gameclient.connect(host.place) as session:
                end = await session.wait_closed()
                assert end.code == 1006
                assert "there was no way back in the 30 s" in end.reason
                assert 25 < trio.current_time() < 32
    host.close()
