"""What a link lets its peer send follows its rules, at n and n + 1; the defaults are in test_link.py."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gameprotocol._websocket import CONTINUATION, PING, PONG, TEXT, binary_frame
from gameprotocol.closing import CloseCode
from gameserver.net import LinkRules, TextMessage, bounds
from tests.support.raw_client import RawClient, RecordingRoom, connected, frame, until

LIFTED = LinkRules(message_bytes=200, fragments=3, text=True, metered=False)
#: Two bytes of UTF-8, 200 bytes in all: what is counted is bytes, not characters.
LONGEST_TEXT = ("\N{LATIN SMALL LETTER E WITH ACUTE}" * 100).encode()


async def join(room: RecordingRoom, client: RawClient) -> None:
    await client.upgrade(frame(b"hello"))
    await until(lambda: room.links)


def in_fragments(*payloads: bytes, opcode: int) -> bytes:
    """A message of several frames."""
    first, *middle, last = payloads
    frames = [frame(first, opcode, fin=False)]
    frames += [frame(payload, CONTINUATION, fin=False) for payload in middle]
    return b"".join(frames) + frame(last, CONTINUATION)


async def test_what_the_rules_allow_arrives_in_order(autojump_clock: MockClock) -> None:
    room = RecordingRoom(rules=LIFTED)
    data = frame(LONGEST_TEXT, TEXT) + frame(b"1") + in_fragments(b"t", b"\xc3", b"\xa9", opcode=TEXT)
    data += frame(b"", PING) * (bounds.PING_BURST + 1) + frame(b"", PONG) * (bounds.PONG_BURST + 1)
    data += frame(b"x" * 200) + in_fragments(b"x" * 100, b"", b"y" * 100, opcode=2) + frame(b"", TEXT)
    expected = [LONGEST_TEXT, b"1", b"t\xc3\xa9", b"x" * 200, b"x" * 100 + b"y" * 100, b""]
    async with connected(room) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await join(room, client)
        await client.send(data)
        await until(lambda: len(room.messages) == len(expected))
        assert room.messages == expected
        texts = [message for message in room.messages if isinstance(message, TextMessage)]
        assert texts == [LONGEST_TEXT, b"t\xc3\xa9", b""]
        assert not room.links[0].closed
        nursery.cancel_scope.cancel()


FORBIDDEN = {
    "long text": (frame(LONGEST_TEXT + b"x", TEXT), CloseCode.TOO_BIG),
    "long binary": (frame(b"x" * 201), CloseCode.TOO_BIG),
    "long in fragments": (in_fragments(b"x" * 200, b"x", opcode=TEXT), CloseCode.TOO_BIG),
    "fragments": (in_fragments(b"", b"", b"", b"", opcode=TEXT), CloseCode.POLICY),
    "not UTF-8": (frame(b"\xff", TEXT), CloseCode.UNDECODABLE),
    "not UTF-8, in the first fragment": (frame(b"\xff", TEXT, fin=False), CloseCode.UNDECODABLE),
    "half a character": (in_fragments(b"ok", b"\xc3", opcode=TEXT), CloseCode.UNDECODABLE),
}


@pytest.mark.parametrize(("data", "code"), FORBIDDEN.values(), ids=FORBIDDEN)
@pytest.mark.parametrize("ticking", [True, False])
async def test_what_the_rules_forbid_closes_with_its_code(
    data: bytes, code: int, ticking: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the hello too, when nobody but the connection's own task has the link."""
    room = RecordingRoom(rules=LIFTED)
    async with connected(room) as (client, _), trio.open_nursery() as nursery:
        if ticking:
            nursery.start_soon(room.run)
            await join(room, client)
        else:
            await client.upgrade()
        await client.send(data + frame(b"after"))
        assert (await client.until_close())[0] == code
        await client.until_eof()
        assert room.messages == []
        nursery.cancel_scope.cancel()
    assert "defect" not in caplog.text


async def test_what_waits_for_the_peer_is_bounded_by_the_rules(autojump_clock: MockClock) -> None:
    room = RecordingRoom(rules=LinkRules(queue_bytes=1000))
    async with connected(room) as (client, _):
        await join(room, client)
        link = room.links[0]
        link.write(binary_frame(bytes(1 << 20)))
        assert link.blocked
        link.send_frames(bytes(1000))
        assert not link.closed
        link.send_frames(bytes(1))
        assert link.close_code == CloseCode.TOO_SLOW


GARBAGE = b"\xf2\x80\0\0\0\0"  # all reserved bits
BEFORE_GARBAGE = {
    "one message": (frame(b"1"), [b"1"]),
    "two messages": (frame(b"1") + frame(b"2"), [b"1", b"2"]),
    "fragments": (in_fragments(b"1", b"2", opcode=2), [b"12"]),
    "a ping between": (frame(b"1") + frame(b"", PING) + frame(b"2"), [b"1", b"2"]),
}


@pytest.mark.parametrize(("data", "expected"), BEFORE_GARBAGE.values(), ids=BEFORE_GARBAGE)
@pytest.mark.parametrize("in_one_read", ["with the upgrade", "with the hello", "alone"])
async def test_what_came_before_garbage_is_answered(
    data: bytes, expected: list[bytes], in_one_read: str, autojump_clock: MockClock
) -> None:
    room = RecordingRoom(echo=True)
    async with connected(room) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        if in_one_read == "with the upgrade":
            await client.upgrade(frame(b"hello") + data + GARBAGE + frame(b"after"))
        else:
            await client.upgrade()
            if in_one_read == "alone":
                await client.send(frame(b"hello"))
                await until(lambda: room.links)
            else:
                data = frame(b"hello") + data
            await client.send(data + GARBAGE + frame(b"after"))
        assert (await client.until_close())[0] == CloseCode.PROTOCOL_ERROR
        assert [each for each in client.frames if isinstance(each, bytes)] == expected
        assert room.messages == expected
        assert trio.current_time() < 0.1  # nobody waited for a deadline
        nursery.cancel_scope.cancel()


async def test_garbage_ends_the_link_at_the_receive_after_its_messages(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        link = room.links[0]
        await client.send(frame(b"1") + GARBAGE)
        await trio.testing.wait_all_tasks_blocked()
        assert link.receive() == [b"1"]
        assert not link.closed
        assert [shown for shown, _ in room.poller.poll()] == [link]  # although its socket is silent
        assert link.receive() == []
        assert link.close_code == CloseCode.PROTOCOL_ERROR
        assert [shown for shown, _ in room.poller.take_closed()] == [link]


async def test_the_owner_may_close_a_link_over_what_came_before_garbage(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        link = room.links[0]
        await client.send(frame(b"1") + GARBAGE)
        await trio.testing.wait_all_tasks_blocked()
        assert link.receive() == [b"1"]
        link.close(CloseCode.BAD_INPUT, "not this")
        room.poller.remove(link)
        assert room.poller.poll() == []
        assert (await client.until_close())[0] == CloseCode.BAD_INPUT
