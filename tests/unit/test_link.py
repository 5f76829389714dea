"""The link, end to end over a socket pair with a virtual clock: what peers do, and what it costs them."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gameprotocol import limits
from gameprotocol._websocket import CLOSE, CONTINUATION, PING, PONG, TEXT, OddFrame, binary_frame, close_payload
from gameprotocol.closing import CloseCode, ProtocolError
from gameserver.net import VANISHED, bounds, open_listeners, serve_connection, serve_listeners
from tests.support.raw_client import ACCEPT, RawClient, RecordingRoom, connected, frame, until, upgrade_request

HELLO = frame(b"hello")


async def settle() -> None:
    """Let every task do what it can without time passing."""
    await trio.testing.wait_all_tasks_blocked()


async def join(room: RecordingRoom, client: RawClient, behind: bytes = b"") -> None:
    await client.upgrade(HELLO + behind)
    while not room.links:
        await trio.lowlevel.checkpoint()


# ---- upgrade and hello


async def test_upgrade_answers_the_key_and_chooses_a_subprotocol(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await client.upgrade(Sec_WebSocket_Protocol="one, two", Cookie="a=b")
        assert b"sec-websocket-accept: " + ACCEPT.lower() in client.received.lower()
        assert b"sec-websocket-protocol: one" in client.received.lower()
        assert b"extensions" not in client.received.lower()
        await client.send(HELLO)
        await settle()
        assert room.hellos == [b"hello"]
        assert room.headers["cookie"] == "a=b"
        assert room.links[0].path == "/arena"
        assert room.links[0].remote == "local"


async def test_bytes_with_the_head_are_kept_in_order(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await client.upgrade(HELLO + frame(b"1") + frame(b"2") + frame(b"half")[:4])
        await client.send(frame(b"half")[4:])
        await settle()
        room.tick()
        room.tick()
        assert room.hellos == [b"hello"]
        assert room.messages == [b"1", b"2", b"half"]


async def test_odd_frames_before_the_hello_are_answered(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await client.upgrade(frame(b"a", PING) + frame(b"he", fin=False) + frame(b"b", PING))
        await client.send(frame(b"llo", CONTINUATION))
        await client.until_frames(2)
        await settle()
        assert [(event.opcode, event.payload()) for event in client.frames if isinstance(event, OddFrame)] == [
            (PONG, b"a"),
            (PONG, b"b"),
        ]
        assert room.hellos == [b"hello"]


async def test_head_in_pieces(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        for byte in upgrade_request():
            await client.send(bytes((byte,)))
            await settle()
        await client.send(HELLO)
        await settle()
        assert room.hellos == [b"hello"]


@pytest.mark.parametrize("sent", [b"", b"GET /arena HT", upgrade_request()[:-2]], ids=["nothing", "line", "head"])
async def test_half_a_head_is_dropped_at_the_deadline(sent: bytes, autojump_clock: MockClock) -> None:
    async with connected(RecordingRoom()) as (client, _):
        await client.send(sent)
        await client.until_eof()
        assert trio.current_time() == pytest.approx(limits.HELLO_SECONDS, abs=0.1)
        assert client.received == b""


async def test_no_hello_is_closed_at_the_deadline(autojump_clock: MockClock) -> None:
    async with connected(RecordingRoom()) as (client, _):
        await client.upgrade()
        assert (await client.until_close())[0] == CloseCode.HELLO_TIMEOUT
        assert trio.current_time() == pytest.approx(limits.HELLO_SECONDS, abs=0.1)


async def test_slow_head_and_slow_hello_share_one_deadline(autojump_clock: MockClock) -> None:
    async with connected(RecordingRoom()) as (client, _):
        await trio.sleep(limits.HELLO_SECONDS - 1)
        await client.upgrade()
        await client.until_close()
        assert trio.current_time() == pytest.approx(limits.HELLO_SECONDS, abs=0.1)


async def test_refused_hello_closes_with_its_code(autojump_clock: MockClock) -> None:
    room = RecordingRoom(refusal=ProtocolError(CloseCode.UNKNOWN_ROOM, "no such room"))
    async with connected(room) as (client, _):
        await client.upgrade(HELLO)
        assert await client.until_close() == (CloseCode.UNKNOWN_ROOM, "no such room")


async def test_defect_in_the_handler_costs_one_connection(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(RecordingRoom):
        def on_hello(self, link: Any, payload: bytes) -> None:
            raise LookupError("a defect")

    async with connected(Broken()) as (client, _):
        await client.upgrade(HELLO)
        assert (await client.until_close())[0] == CloseCode.ROOM_FAILED
    assert "a defect" in caplog.text


async def test_defect_while_choosing_a_subprotocol_costs_one_connection(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(RecordingRoom):
        def choose_subprotocol(self, path: str, offered: tuple[str, ...]) -> str | None:
            return "never offered"

    async with connected(Broken()) as (client, _):
        await client.send(upgrade_request())
        await client.until_eof()
    assert "dropped because of a defect" in caplog.text


# ---- heads that are refused


def without(*names: str) -> bytes:
    return upgrade_request(**dict.fromkeys(names, ""))


REFUSED_HEADS = {
    "non-ASCII host": (upgrade_request(Host="\xe9"), 400),
    "bad idna host": (upgrade_request(Host="xn--0000000000000000000000000000000"), 400),
    "non-ASCII protocol": (upgrade_request(Sec_WebSocket_Protocol="\xe9"), 400),
    "no host": (without("Host"), 400),
    "two hosts": (upgrade_request().replace(b"Host: localhost\r\n", b"Host: a\r\nHost: b\r\n"), 400),
    "short key": (upgrade_request(Sec_WebSocket_Key="abcd"), 400),
    "no key": (without("Sec_WebSocket_Key"), 400),
    "no upgrade": (without("Upgrade"), 426),
    "an unknown path": (upgrade_request("/nowhere"), 404),
    "no upgrade, and an unknown path": (upgrade_request("/nowhere", Upgrade=""), 404),
    "no connection": (without("Connection"), 400),
    "no version": (without("Sec_WebSocket_Version"), 400),
    "other version": (upgrade_request(Sec_WebSocket_Version="8"), 426),
    "body": (upgrade_request(Content_Length="3"), 400),
    "chunked": (upgrade_request(Transfer_Encoding="chunked"), 400),
    "expect": (upgrade_request(Expect="100-continue"), 400),
    "HTTP/1.0": (upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "POST": (upgrade_request().replace(b"GET", b"POST"), 405),
    "star target": (upgrade_request("*"), 400),
    "absolute target": (upgrade_request("http://[::1"), 400),
    "space in target": (upgrade_request("/a b"), 400),
    "folded field": (upgrade_request(Cookie="a\r\n b"), 400),
    "field without colon": (upgrade_request(Cookie="a\r\nb"), 400),
    "bare newline": (upgrade_request(Cookie="a\nb"), 400),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    "too many fields": (upgrade_request(**{f"X{n}": "1" for n in range(bounds.HEAD_FIELDS - 4)}), 431),
    "endless head": (b"GET /" + b"a" * bounds.HEAD_BYTES, 431),
    "long head": (upgrade_request(Cookie="a" * bounds.HEAD_BYTES), 431),
}


@pytest.mark.parametrize(("head", "status"), REFUSED_HEADS.values(), ids=REFUSED_HEADS)
async def test_refused_head(head: bytes, status: int, autojump_clock: MockClock) -> None:
    async with connected(RecordingRoom()) as (client, _):
        await client.send(head)
        await client.until_eof()
        assert client.received.split(b" ")[1] == str(status).encode()


async def test_head_limits_are_inclusive(autojump_clock: MockClock) -> None:
    many = upgrade_request(**{f"X{n}": "1" for n in range(bounds.HEAD_FIELDS - 5)})
    assert many.count(b"\r\n") == bounds.HEAD_FIELDS + 2
    padding = bounds.HEAD_BYTES - len(upgrade_request(Cookie="a")) + 1
    for head in (many, upgrade_request(Cookie="a" * padding)):
        async with connected(RecordingRoom()) as (client, _):
            await client.send(head + HELLO)
            await client.read()
            assert client.received.startswith(b"HTTP/1.1 101")


# ---- messages that cost the connection

LONGEST = limits.CLIENT_MESSAGE_BYTES
COSTLY = {
    "text": (frame(b"hi", TEXT), CloseCode.UNSUPPORTED),
    "text fragment": (frame(b"hi", TEXT, fin=False), CloseCode.UNSUPPORTED),
    "unmasked": (binary_frame(b"hi"), CloseCode.PROTOCOL_ERROR),
    "reserved bit": (b"\xc2\x80\0\0\0\0", CloseCode.PROTOCOL_ERROR),
    "reserved opcode": (b"\x83\x80\0\0\0\0", CloseCode.PROTOCOL_ERROR),
    "oversize": (frame(b"x" * (LONGEST + 1)), CloseCode.TOO_BIG),
    "huge header": (b"\x82\xff" + (1 << 40).to_bytes(8, "big"), CloseCode.TOO_BIG),
    "oversize in fragments": (
        frame(b"x" * LONGEST, fin=False) + frame(b"x", CONTINUATION),
        CloseCode.TOO_BIG,
    ),
    "many fragments": (
        frame(fin=False) + frame(b"", CONTINUATION, fin=False) * bounds.MESSAGE_FRAGMENTS,
        CloseCode.POLICY,
    ),
    "many pings": (frame(b"", PING) * (bounds.PING_BURST + 1), CloseCode.POLICY),
    "many pongs": (frame(b"", PONG) * (bounds.PONG_BURST + 1), CloseCode.POLICY),
    "bad close code": (frame(close_payload(1005 + 10), CLOSE), CloseCode.PROTOCOL_ERROR),
    "bad close text": (frame(b"\x03\xe8\xff", CLOSE), CloseCode.UNDECODABLE),
}


@pytest.mark.parametrize(("data", "code"), COSTLY.values(), ids=COSTLY)
async def test_bad_frame_closes_with_its_code(data: bytes, code: int, autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await join(room, client, frame(b"before"))
        await client.send(data + frame(b"after"))
        assert (await client.until_close())[0] == code
        assert room.messages[:1] == [b"before"]
        assert b"after" not in room.messages
        assert room.links[0].close_code == code
        assert room.links[0].closed
        nursery.cancel_scope.cancel()


async def test_limits_are_inclusive(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    fragments = frame(fin=False) + frame(b"", CONTINUATION, fin=False) * (bounds.MESSAGE_FRAGMENTS - 2)
    data = frame(b"x" * LONGEST) + fragments + frame(b"end", CONTINUATION)
    data += frame(b"x" * (LONGEST - 1), fin=False) + frame(b"x", CONTINUATION)
    data += frame(b"", PING) * bounds.PING_BURST + frame(b"", PONG) * bounds.PONG_BURST + frame(b"last")
    async with connected(room) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await join(room, client)
        await client.send(data)
        await until(lambda: len(room.messages) == 4)
        assert room.messages == [b"x" * LONGEST, b"end", b"x" * LONGEST, b"last"]
        assert not room.links[0].closed
        nursery.cancel_scope.cancel()


# ---- writing


def fill(room: RecordingRoom) -> bytes:
    """Write frames until the link is blocked; returns what was taken."""
    link, taken, number = room.links[0], b"", 0
    while True:
        data = binary_frame(number.to_bytes(4, "big") * 5000)
        if not link.write(data):
            return taken
        taken += data
        number += 1


async def test_blocked_writer_refuses_and_resumes_whole(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        link = room.links[0]
        taken = fill(room)
        assert link.blocked
        assert not link.write(b"never sent")
        link.send_frames(binary_frame(b"reliable"))
        pending = link.pending_bytes
        assert pending >= len(b"reliable")
        while link.blocked:
            await client.read()
            await settle()
        assert link.write(binary_frame(b"fresh"))
        expected = taken + binary_frame(b"reliable") + binary_frame(b"fresh")
        while len(client.received) < len(expected):
            await client.read()
        assert client.received.endswith(expected)


async def test_one_frame_larger_than_the_kernel_takes(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        big = bytes(range(256)) * 8192
        assert room.links[0].write(binary_frame(big))
        assert room.links[0].pending_bytes
        assert await client.until_frames(1) == [big]
        await settle()
        assert not room.links[0].blocked


async def test_pong_waits_behind_half_a_frame(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        big = bytes(1 << 20)
        room.links[0].write(binary_frame(big))
        await client.send(frame(b"?", PING) + frame(b"behind"))
        await settle()
        room.tick()
        await settle()
        room.tick()
        assert room.messages == []  # held back until the pong has left
        frames = await client.until_frames(2)
        assert frames[0] == big
        assert isinstance(frames[1], OddFrame)
        assert frames[1].opcode == PONG
        await settle()
        room.tick()
        assert room.messages == [b"behind"]


async def test_message_queue_is_bounded(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        link = room.links[0]
        fill(room)
        before = link.pending_bytes
        message = bytes(1020)  # 1024 with its header
        while link.pending_bytes - before < limits.MESSAGE_QUEUE_BYTES:
            link.send_frames(binary_frame(message))
        assert not link.closed
        link.send_frames(binary_frame(b""))
        assert (link.closed, link.close_code) == (True, CloseCode.TOO_SLOW)
        assert not link.ended_by_peer
        await client.until_eof()
        assert trio.current_time() <= limits.CLOSE_SECONDS + 0.1


async def test_peer_that_reads_nothing_is_cut(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        fill(room)
        await trio.sleep(bounds.STUCK_SECONDS - 0.1)
        assert not room.links[0].closed
        await trio.sleep(0.2)
        assert room.links[0].close_code == CloseCode.TOO_SLOW
        assert room.poller.poll() == [(room.links[0], "owner")]
        await client.until_eof()


# ---- closing


async def test_close_is_idempotent_and_says_its_reason(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        link = room.links[0]
        link.send_frames(binary_frame(b"before"))
        link.close(CloseCode.POLICY, "first")
        link.close(CloseCode.NORMAL, "second")
        link.send_frames(binary_frame(b"after"))
        assert not link.write(binary_frame(b"after"))
        assert link.receive() == []
        assert await client.until_close() == (CloseCode.POLICY, "first")
        await client.send(frame(close_payload(CloseCode.POLICY), CLOSE))
        await client.until_eof()
        assert len(client.frames) == 2
        assert (link.close_code, link.close_reason) == (CloseCode.POLICY, "first")
        assert link.fileno() == -1
        assert trio.current_time() == 0


async def test_close_is_forced_when_the_peer_does_not_answer(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        room.links[0].close(CloseCode.RESTART)
        await client.until_eof()
        assert trio.current_time() == pytest.approx(limits.CLOSE_SECONDS, abs=0.1)


async def test_frames_while_closing_are_dropped(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        await client.send(frame(b"1", PING) + frame(b"fragment", fin=False))
        room.links[0].close(CloseCode.NORMAL)
        await client.until_close()
        await client.send(frame(b"2", PING) + frame(b"rest", CONTINUATION) + frame(b"late"))
        await client.send(frame(close_payload(CloseCode.NORMAL), CLOSE))
        await client.until_eof()
        assert [event.opcode for event in client.frames if isinstance(event, OddFrame)] == [CLOSE]
        assert trio.current_time() == 0
        room.tick()
        assert room.messages == []
    assert caplog.text == ""


async def test_ping_under_way_when_we_close(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The library has been handed a ping, and has not run, when the room closes the link."""
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        await client.send(frame(b"1", PING) + frame(b"late"))
        await settle()
        room.tick()
        assert room.links[0].holding
        room.links[0].close(CloseCode.NORMAL)
        assert (await client.until_close())[0] == CloseCode.NORMAL
        assert len(client.frames) == 1
    assert caplog.text == ""


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999, 1005])
async def test_peer_close_is_echoed(code: int, autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        await client.send(frame(b"last") + frame(close_payload(code, "bye" if code != 1005 else ""), CLOSE) + b"junk")
        await settle()
        room.tick()
        link = room.links[0]
        assert room.messages == [b"last"]
        assert (link.closed, link.close_code, link.ended_by_peer) == (True, code, True)
        assert await client.until_close() == (code, link.close_reason)
        await client.until_eof()
        assert trio.current_time() < 0.1


async def test_peer_vanishes(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client, frame(b"last"))
        client.sock.close()
        for _ in range(3):
            room.tick()
        link = room.links[0]
        assert room.messages == [b"last"]
        assert (link.closed, link.close_code, link.ended_by_peer) == (True, VANISHED, True)
        assert room.poller.poll() == []
        await settle()
        assert link.fileno() == -1


async def test_peer_vanishes_behind_its_request(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(RecordingRoom()) as (client, _):
        await client.send(upgrade_request())
        client.sock.close()
    assert caplog.text == ""


async def test_peer_vanishes_while_blocked(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        room.links[0].write(binary_frame(bytes(1 << 20)))
        client.sock.close()
        await settle()
        assert room.links[0].close_code == VANISHED
        assert room.poller.poll() == [(room.links[0], "owner")]


async def test_cancel_says_going_away(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, scope):
        await join(room, client)
        scope.cancel()
        assert (await client.until_close())[0] == CloseCode.GOING_AWAY
        await client.until_eof()
        assert trio.current_time() == pytest.approx(bounds.CANCELLED_CLOSE_SECONDS, abs=0.05)
        assert room.links[0].close_code == CloseCode.GOING_AWAY


async def test_cancel_ends_at_once_when_the_peer_answers(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, scope):
        await join(room, client)
        scope.cancel()
        await client.until_close()
        await client.send(frame(close_payload(CloseCode.GOING_AWAY), CLOSE))
        await client.until_eof()
        assert trio.current_time() == 0


async def test_cancel_with_a_blocked_peer_is_forced(autojump_clock: MockClock) -> None:
    room = RecordingRoom()
    async with connected(room) as (client, scope):
        await join(room, client)
        fill(room)
        scope.cancel()
        await trio.sleep(bounds.CANCELLED_CLOSE_SECONDS + 0.1)
        assert room.links[0].fileno() == -1
        assert client.sock.fileno() != -1


async def test_link_moves_between_pollers(autojump_clock: MockClock) -> None:
    first, second = RecordingRoom(), RecordingRoom()
    async with connected(first) as (client, _):
        await join(first, client)
        link = first.links[0]
        first.poller.remove(link)
        await client.send(frame(b"message"))
        await settle()
        assert first.poller.poll() == []
        second.poller.add(link, "owner")
        assert second.poller.poll() == [(link, "owner")]
        assert link.receive() == [b"message"]
        second.poller.remove(link)
        link.close(CloseCode.NORMAL)
        second.poller.add(link, "owner")  # too late, but it learns of it
        assert second.poller.poll() == [(link, "owner")]
        second.poller.close()


async def test_dead_socket_is_survived() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    await serve_connection(ours, ("127.0.0.1", 1), RecordingRoom())
    assert ours.fileno() == -1


class FailingListener(socket.socket):
    """Fails to accept a few times, each in its own way, and then works."""

    errors = [errno.EMFILE, errno.EMFILE, errno.ECONNABORTED, errno.ENFILE]

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            raise OSError(self.errors.pop(0), "on purpose")
        return super().accept()


async def test_accepting_survives_exhaustion_and_aborted_connections(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    room = RecordingRoom()
    (listener,) = await open_listeners("127.0.0.1", 0)
    address = listener.getsockname()
    failing = FailingListener(fileno=listener.detach())
    failing.setblocking(False)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_listeners, [failing], room, nursery)
            client = RawClient(socket.create_connection(address))
            await client.upgrade(HELLO)
            await until(lambda: room.links)
            assert room.links[0].remote.startswith("127.0.0.1:")
            client.sock.close()
            nursery.cancel_scope.cancel()
    assert failing.fileno() == -1
    assert caplog.text.count("cannot accept") == 1
    assert trio.current_time() >= 3 * bounds.EXHAUSTED_PAUSE_SECONDS
    room.poller.close()


async def test_listeners_of_all_addresses_share_a_port() -> None:
    listeners = await open_listeners(None, 0)
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    for listener in listeners:
        listener.close()


async def test_a_listener_that_cannot_be_opened_leaves_nothing_behind() -> None:
    (taken,) = await open_listeners("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await open_listeners("127.0.0.1", taken.getsockname()[1])
    taken.close()


@pytest.mark.parametrize("write", ["write", "send_frames"])
async def test_who_says_goodbye_and_hangs_up_has_left_and_is_not_lost(write: str, autojump_clock: MockClock) -> None:
    """Whatever the room does first: a write that fails must not hide the Close that came before."""
    room = RecordingRoom()
    async with connected(room) as (client, _):
        await join(room, client)
        link = room.links[0]
        await client.send(frame(b"last words") + frame(close_payload(1000, "bye"), CLOSE))
        client.sock.close()
        getattr(link, write)(binary_frame(b"news"))
        assert (link.closed, link.close_code, link.close_reason) == (True, 1000, "bye")
        assert link.ended_by_peer
        assert link.lost
        room.tick()
        assert room.messages == [b"last words"]
        await settle()
