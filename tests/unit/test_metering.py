"""How much a peer may send: what is dropped, what is kept, and when it is enough. Pure, and over a socket pair."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gameprotocol import encode_acknowledge, encode_input, encode_message
from gameprotocol._websocket import CONTINUATION, PING
from gameprotocol.closing import CloseCode, ProtocolError
from gameserver.net import Limits
from gameserver.net.bounds import USUAL_BYTES
from gameserver.net.meter import Meter
from tests.support.examples import examples
from tests.support.raw_client import RecordingRoom, connected, frame

INPUT = encode_input(1, 0, 0, 0, [0.0])
ACKNOWLEDGE = encode_acknowledge(5, 0)
CHAT = encode_message("chat", "hi")
LIMITS = Limits(messages_per_second=100, bytes_per_second=10_000)


def metered(message: bytes, per_read: int, *, reads_per_second: int, seconds: float) -> tuple[int, int, float | None]:
    """Kept messages, dropped ones, and when the link was closed."""
    meter, kept = Meter(LIMITS, 0.0), 0
    for read in range(int(seconds * reads_per_second)):
        now = read / reads_per_second
        try:
            kept += len(meter.admit([message] * per_read, len(message) * per_read, now))
        except ProtocolError:
            return kept, meter.dropped, now
    return kept, meter.dropped, None


@pytest.mark.parametrize(
    ("message", "per_second", "fate"),
    [
        (INPUT, 100, "kept"),
        (INPUT, 280, "dropped"),
        (INPUT, 700, "closed"),
        (ACKNOWLEDGE, 280, "dropped"),
        (ACKNOWLEDGE, 700, "closed"),
        (CHAT, 100, "kept"),
        (CHAT, 180, "kept"),
        (CHAT, 400, "closed"),
        (b"", 400, "closed"),
        (bytes(500), 20, "kept"),
        (b"\x93\x04" + bytes(700), 20, "dropped"),
        (bytes(2000), 20, "closed"),
    ],
)
def test_what_becomes_of_a_steady_stream(message: bytes, per_second: int, fate: str) -> None:
    kept, dropped, closed = metered(message, per_second // 10, reads_per_second=10, seconds=20)
    assert (closed is not None) == (fate == "closed")
    assert (dropped > 0) == (fate == "dropped") or fate == "closed"
    if fate != "closed":
        assert kept + dropped == 20 * per_second // 10 * 10


def test_a_flood_is_closed_within_a_second_of_exceeding_the_limit() -> None:
    """At the pace at which a room with 20 ticks a second reads: 2 KiB a tick, so at least 40 inputs."""
    _, _, closed = metered(INPUT, 40, reads_per_second=20, seconds=10)
    assert closed is not None
    assert closed <= 1.0
    _, _, closed = metered(bytes(2048), 1, reads_per_second=20, seconds=10)
    assert closed is not None
    assert closed <= 1.0


@examples(200)
@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 50), st.sampled_from([INPUT, ACKNOWLEDGE, CHAT]))))
def test_never_more_is_kept_than_the_limit_and_its_bursts(reads: list[tuple[float, int, bytes]]) -> None:
    meter, now, kept = Meter(LIMITS, 0.0), 0.0, 0
    for pause, count, message in reads:
        now += pause
        try:
            admitted = meter.admit([message] * count, count * len(message), now)
        except ProtocolError:
            break
        assert admitted in ([], [message] * count)
        assert admitted or message is not CHAT, "a reliable message was dropped"
        kept += len(admitted)
    assert kept <= 2 * LIMITS.messages_per_second * (now + 1)


@pytest.mark.parametrize(
    "read",
    [
        frame(INPUT) * 40,
        frame(CHAT) * 60,
        frame(b"") * 300,
        frame(b"", 2, fin=False) + frame(b"", CONTINUATION) + frame(CHAT) * 60,
        frame(b"", PING) + frame(CHAT) * 60,
        frame(bytes(2040)),
    ],
    ids=["inputs", "messages", "empty messages", "behind a fragment", "behind a ping", "bytes"],
)
async def test_a_flooder_is_closed(read: bytes, autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _), trio.open_nursery() as nursery:
        await client.upgrade(frame(b"hello"))

        async def tick() -> None:
            while True:
                room.tick()
                await trio.sleep(0.05)

        async def flood() -> None:
            with suppress(OSError):  # the server has hung up
                while True:
                    await client.send(read)
                    await trio.sleep(0.05)

        nursery.start_soon(tick)
        nursery.start_soon(flood)
        code, reason = await client.until_close()
        assert (code, "too many" in reason) == (CloseCode.POLICY, True)
        assert trio.current_time() < 2.0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("size", [10, USUAL_BYTES - 40])
async def test_one_small_message_in_each_tick_is_never_too_much(size: int, autojump_clock: MockClock) -> None:
    room = RecordingRoom(limits=Limits(messages_per_second=1, bytes_per_second=1))
    async with connected(room) as (client, _):
        await client.upgrade(frame(b"hello"))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(200):
            await client.send(frame(bytes(size)))
            room.tick()
            await trio.sleep(0.05)
        assert len(room.messages) == 200
        assert room.links[0]._meter is None
