"""What a conditioned link delivers against what was asked of it, by real sockets and the machine's clock.

Every measurement has a control beside it: the same traffic at the same time over a link that does nothing. What that
one takes is the machine's own doing. Bounds are tight on the side where only a defect can be, and loose by the control
on the one where a busy machine may be.
"""

from __future__ import annotations

import random
import socket
import statistics
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import pytest
import trio

from gamebots.conditioner import PRESETS, Conditioner, Direction, LinkProfile, parse_link
from gamebots.conditioner.pipe import LEARNING_SECONDS
from gamebots.conditioner.proxy import Proxy

#: How often a client behind a `ConditionedSocket` looks, in seconds.
LOOK_SECONDS = 0.001
#: Messages as a game's: so many bytes, so many seconds apart.
MESSAGE_BYTES, PERIOD_SECONDS = 100, 0.02
#: What a link that does nothing may take before this machine is no place for measuring, in seconds.
HOPELESS_SECONDS = 0.25
#: As long as no message took longer over it, what is measured beside it is the link's doing; in seconds.
QUIET_SECONDS = 0.025
TRIES = 4


class End(NamedTuple):
    """One end of a line."""

    send: Callable[[bytes], Awaitable[None]]
    receive: Callable[[], Awaitable[bytes]]


class Line(NamedTuple):
    """Both ends of one connection over a link."""

    client: End
    server: End


def stream_end(stream: trio.SocketStream) -> End:
    async def receive() -> bytes:
        return bytes(await stream.receive_some())

    return End(stream.send_all, receive)


def conditioned_end(sock: socket.socket, conditioner: Conditioner) -> End:
    """The client's end without a proxy: it is pumped as a load test pumps its bots, in small steps."""
    conditioned = conditioner(sock)

    async def send(data: bytes) -> None:
        while data:
            try:
                data = data[conditioned.send(data) :]
            except BlockingIOError:
                await pause()

    async def receive() -> bytes:
        while True:
            conditioned.pump(trio.current_time())
            if conditioned.ready:
                return conditioned.recv(65536)
            await pause()

    async def pause() -> None:
        await trio.sleep(LOOK_SECONDS)
        conditioned.pump(trio.current_time())

    return End(send, receive)


@asynccontextmanager
async def proxied(profile: LinkProfile, seed: int) -> AsyncIterator[Line]:
    """A connection through a proxy."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = Proxy("127.0.0.1", listener.socket.getsockname()[1], profile, seed=seed)
    async with listener, trio.open_nursery() as nursery:
        listeners = await proxy.listen("127.0.0.1", 0)
        nursery.start_soon(proxy.serve, listeners)
        client = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
        server = await listener.accept()
        async with client, server:
            yield Line(stream_end(client), stream_end(server))
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def in_process(profile: LinkProfile, seed: int) -> AsyncIterator[Line]:
    """A connection whose client is behind a `ConditionedSocket`."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    conditioner = Conditioner(profile, random.Random(seed), trio.current_time)
    with socket.socket() as sock:
        conditioner.prepare(sock)
        async with listener:
            sock.connect(listener.socket.getsockname())
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `ClientLink` does
            sock.setblocking(False)
            async with await listener.accept() as server:
                yield Line(conditioned_end(sock, conditioner), stream_end(server))


MakeLine = Callable[[LinkProfile, int], AbstractAsyncContextManager[Line]]
T = TypeVar("T")


async def on_each(measure: Callable[[MakeLine], Awaitable[T]]) -> list[T]:
    """The same over both kinds of line, at the same time: with a proxy, and in the client's process."""
    return await together(lambda: measure(proxied), lambda: measure(in_process))


async def together(*measures: Callable[[], Awaitable[T]]) -> list[T]:
    """What they find, in their order."""
    found: dict[int, T] = {}

    async def run(number: int) -> None:
        found[number] = await measures[number]()

    async with trio.open_nursery() as nursery:
        for number in range(len(measures)):
            nursery.start_soon(run, number)
    return [found[number] for number in range(len(measures))]


# -- measuring


@dataclass
class Seen:
    """What came out at one end.

    Attributes:
        delays: of messages, in seconds. arrivals: (when, bytes), in the order in which they came.
    """

    delays: list[float] = field(default_factory=list)
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.delays)

    @property
    def deviation(self) -> float:
        return statistics.stdev(self.delays)

    def rate(self, since: float) -> float:
        """Bytes a second that arrived from a time of the clock on."""
        counted = [(at, size) for at, size in self.arrivals if at >= since]
        return sum(size for _, size in counted) / (counted[-1][0] - since)

    def gaps(self, least: float) -> list[float]:
        """Times in which nothing came, if they were at least so long."""
        times = [at for at, _ in self.arrivals]
        return [after - before for before, after in pairwise(times) if after - before >= least]


async def talk(end: End, seconds: float, period: float) -> None:
    """Send messages that say when they were sent."""
    begin = trio.current_time()
    for number in range(int(seconds / period)):
        await trio.sleep_until(begin + number * period)
        await end.send(struct.pack("d", trio.current_time()).ljust(MESSAGE_BYTES))


async def listen(end: End, seen: Seen) -> None:
    """Note what comes until cancelled."""
    rest = b""
    while data := await end.receive():
        now = trio.current_time()
        seen.arrivals.append((now, len(data)))
        rest += data
        while len(rest) >= MESSAGE_BYTES:
            seen.delays.append(now - struct.unpack_from("d", rest)[0])
            rest = rest[MESSAGE_BYTES:]


class Conversation(NamedTuple):
    """Messages both ways over a link, and over one that does nothing."""

    up: Seen
    down: Seen
    control: Seen


async def converse(
    make_line: MakeLine, profile: LinkProfile, seconds: float, *, period: float = PERIOD_SECONDS, seed: int = 1
) -> Conversation:
    up, down, control = Seen(), Seen(), Seen()
    with trio.fail_after(60 + 2 * seconds):
        async with AsyncExitStack() as stack:
            line = await stack.enter_async_context(make_line(profile, seed))
            nothing = await stack.enter_async_context(make_line(LinkProfile("", Direction(), Direction()), seed))
            await trio.sleep(2 * profile.round_trip)  # until the connection stands
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, line.server, up)
                nursery.start_soon(listen, line.client, down)
                nursery.start_soon(listen, nothing.client, control)
                nursery.start_soon(listen, nothing.server, Seen())
                async with trio.open_nursery() as talkers:
                    for end in (line.client, line.server, nothing.server, nothing.client):
                        talkers.start_soon(talk, end, seconds, period)
                await trio.sleep(2 * profile.round_trip + 0.1)  # for what is on its way
                nursery.cancel_scope.cancel()
    if control.median > HOPELESS_SECONDS:
        pytest.skip(f"this machine is too busy: {control.median:.2f} s for nothing")
    return Conversation(up, down, control)


async def undisturbed(measure: Callable[[MakeLine], Awaitable[Conversation]]) -> list[Conversation]:
    """Conversations over both kinds of line, made again when the machine was busy with something else meanwhile."""
    for _ in range(TRIES):
        found = await on_each(measure)
        if max(max(each.control.delays) for each in found) < QUIET_SECONDS:
            return found
    pytest.skip(f"this machine is too busy: messages took {QUIET_SECONDS * 1e3:g} ms and more over no link at all")


async def pour(make_line: MakeLine, profile: LinkProfile, way: str, seconds: float) -> float:
    """Bytes a second that arrive when one end sends as much as it can, from when the first could have arrived on."""
    seen = Seen()
    direction = profile.up if way == "up" else profile.down
    with trio.fail_after(60 + 2 * seconds):
        async with make_line(profile, 1) as line:
            source, sink = (line.client, line.server) if way == "up" else (line.server, line.client)

            async def send() -> None:
                while True:
                    await source.send(bytes(4096))

            async def receive() -> None:
                while data := await sink.receive():
                    seen.arrivals.append((trio.current_time(), len(data)))

            async def idle(end: End) -> None:
                while await end.receive():
                    pass

            async with trio.open_nursery() as nursery:
                nursery.start_soon(idle, source)
                await trio.sleep(2 * profile.round_trip)  # until the connection stands
                begin = trio.current_time()
                nursery.start_soon(send)
                nursery.start_soon(receive)
                await trio.sleep(direction.delay + seconds)
                nursery.cancel_scope.cancel()
    return seen.rate(begin + direction.delay)


# -- asked and delivered


def check_delay(seen: Seen, control: Seen, asked: float, jitter: float = 0.0) -> None:
    """In the middle as long as asked; a little more is the machine's. Chance is part of the figure with jitter."""
    slack = 0.4 * jitter
    assert asked - slack - 0.001 <= seen.median <= asked + slack + 0.006 + 2 * control.median


def check_rate(rate: float, direction: Direction, seconds: float) -> None:
    """Never more than asked; less when the machine was busy."""
    early = 3 * direction.jitter / seconds  # the first ones may come so much earlier, and count from there
    assert 0.75 * direction.rate <= rate <= (1.03 + early) * direction.rate


@pytest.mark.slow
async def test_the_delay_is_what_was_asked() -> None:
    profile = parse_link("up.delay=30ms,down.delay=70ms")
    for up, down, control in await undisturbed(lambda make_line: converse(make_line, profile, 1.0)):
        assert len(up.delays) == len(down.delays) == 50
        for seen, asked in ((up, 0.03), (down, 0.07)):
            assert min(seen.delays) >= asked - 1e-4
            check_delay(seen, control, asked)


@pytest.mark.slow
async def test_jitter_is_what_was_asked() -> None:
    profile = parse_link("delay=60ms,up.jitter=5ms,down.jitter=15ms")
    for up, down, control in await undisturbed(lambda make_line: converse(make_line, profile, 2.5)):
        for seen, asked in ((up, 0.005), (down, 0.015)):
            assert 0.7 * asked <= seen.deviation <= 1.4 * asked + 2 * control.deviation
            assert min(seen.delays) >= 0.06 - 3 * asked - 1e-4
            check_delay(seen, control, 0.06, asked)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [20_000, 400_000])
async def test_the_rate_is_what_was_asked(rate: int) -> None:
    """Both ways at the same time, each over a link of its own."""
    up, down = (parse_link(f"delay=10ms,{way}.rate={rate}B/s,queue=8kB") for way in ("up", "down"))
    for each in await together(
        lambda: on_each(lambda make_line: pour(make_line, up, "up", 0.8)),
        lambda: on_each(lambda make_line: pour(make_line, down, "down", 0.8)),
    ):
        for delivered in each:
            check_rate(delivered, up.up, 0.8)


@pytest.mark.slow
async def test_losses_come_as_standstills_and_bursts() -> None:
    profile = parse_link("delay=30ms,loss=4%")
    found_by_the_next = PERIOD_SECONDS + 1.25 * profile.round_trip
    for _, down, control in await undisturbed(lambda make_line: converse(make_line, profile, 2.0)):
        assert min(down.delays) >= 0.03 - 1e-4
        check_delay(down, control, 0.03)  # the middle is untouched
        assert max(down.delays) >= 0.03 + found_by_the_next - 0.001
        assert max(size for _, size in down.arrivals) >= 3 * MESSAGE_BYTES  # all that waited behind it


@pytest.mark.slow
async def test_stalls_are_as_long_and_as_often_as_asked() -> None:
    profile = parse_link("delay=10ms,stall_every=800ms,stall_seconds=300ms")
    for up, down, control in await undisturbed(lambda make_line: converse(make_line, profile, 2.4)):
        late = max(control.delays)
        for seen in (up, down):
            gaps = seen.gaps(0.2)
            assert len(gaps) in (2, 3)
            assert all(0.299 - late <= gap <= 0.3 + PERIOD_SECONDS + 0.01 + late for gap in gaps)


@pytest.mark.slow
async def test_half_of_what_is_offered_gets_through() -> None:
    learned = LEARNING_SECONDS[1] + 0.5
    for _, down, _ in await on_each(
        lambda make_line: converse(make_line, PRESETS["half-bandwidth"], LEARNING_SECONDS[1] + 3)
    ):
        offered = MESSAGE_BYTES / PERIOD_SECONDS
        assert 0.42 * offered <= down.rate(down.arrivals[0][0] + learned) <= 0.55 * offered


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dsl", "mobile", "bad"])
async def test_presets_deliver_what_they_say(name: str) -> None:
    profile = PRESETS[name]
    for up, down, control in await undisturbed(lambda make_line: converse(make_line, profile, 4.0)):
        for seen, direction in ((up, profile.up), (down, profile.down)):
            asked = direction.delay + MESSAGE_BYTES / direction.rate
            check_delay(seen, control, asked, direction.jitter)
            low, high = np.percentile(seen.delays, [16, 60])  # above are those that losses held
            assert high - low >= 0.5 * direction.jitter
    for way, direction in (("up", profile.up), ("down", profile.down)):
        for rate in await on_each(lambda make_line, w=way: pour(make_line, profile, w, 1.5)):
            check_rate(rate, direction, 1.5)
