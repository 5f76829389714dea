"""What the link relies on in trio-websocket and wsproto, although nobody promised it.

Each test pins one fact through public names only. When one fails after an upgrade of these packages, read
gameserver/net/parking.py and gameserver/net/link.py before widening the version range in pyproject.toml.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio_websocket
from trio.testing import wait_all_tasks_blocked

from gameprotocol._websocket import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    binary_frame,
    close_frame,
    close_payload,
    pong_frame,
)
from tests.support.raw_client import frame, upgrade_request

MAX = 4096


class ScriptedStream(trio.abc.Stream):
    """Gives what the test puts in, and records what is asked of it, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.sent: list[bytes] = []
        self.readers: set[trio.lowlevel.Task] = set()
        self.closed_when_aclose: list[object] = []
        self.websocket: trio_websocket.WebSocketConnection | None = None
        self.read_error: type[Exception] | None = None
        self.send_error: type[Exception] | None = None
        self.send_gate: trio.Event | None = None
        self._put, self._take = trio.open_memory_channel[bytes](100)

    def give(self, data: bytes) -> None:
        self._put.send_nowait(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self.calls.append(f"receive_some({max_bytes})")
        self.readers.add(trio.lowlevel.current_task())
        data = await self._take.receive()
        if self.read_error is not None:
            raise self.read_error
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append("send_all")
        if self.send_gate is not None:
            await self.send_gate.wait()
        await trio.lowlevel.checkpoint()
        if self.send_error is not None:
            raise self.send_error
        self.sent.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        self.calls.append("wait_send_all_might_not_block")
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.calls.append("aclose")
        self.closed_when_aclose.append(None if self.websocket is None else self.websocket.closed)
        await trio.lowlevel.checkpoint()


@dataclass
class Opened:
    """A connection after its upgrade, with a task that collects its messages."""

    stream: ScriptedStream
    websocket: trio_websocket.WebSocketConnection
    messages: list[str | bytes] = field(default_factory=list)

    async def collect(self) -> None:
        try:
            while True:
                self.messages.append(await self.websocket.get_message())
        except trio_websocket.ConnectionClosed:
            pass

    async def give(self, *pieces: bytes) -> None:
        """Give each piece and let the library do all it can with it."""
        for piece in pieces:
            self.stream.give(piece)
            await wait_all_tasks_blocked()


@asynccontextmanager
async def opened(request_bytes: bytes = b"") -> AsyncIterator[Opened]:
    stream = ScriptedStream()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            stream.give(request_bytes or upgrade_request())
            request = await trio_websocket.wrap_server_stream(
                nursery, stream, message_queue_size=1, max_message_size=MAX, receive_buffer_size=None
            )
            stream.websocket = await request.accept()
            connection = Opened(stream, stream.websocket)
            nursery.start_soon(connection.collect)
            await wait_all_tasks_blocked()
            yield connection
            nursery.cancel_scope.cancel()


async def test_only_three_methods_are_called_and_the_read_size_is_passed_on() -> None:
    async with opened() as it:
        await it.give(frame(b"", PING), frame(b"message"), frame(close_payload(1000), CLOSE))
        await it.websocket.aclose()
        assert set(it.stream.calls) == {"receive_some(None)", "send_all", "aclose"}


async def test_one_send_is_one_whole_head_or_frame() -> None:
    async with opened() as it:
        assert it.stream.sent[0].startswith(b"HTTP/1.1 101 ")
        assert it.stream.sent[0].endswith(b"\r\n\r\n")
        assert it.stream.sent[0].count(b"\r\n\r\n") == 1
        pings = [frame(bytes(size), PING) for size in (0, 1, 125)]
        await it.give(b"".join(pings), frame(close_payload(1000, "bye"), CLOSE))
        assert it.stream.sent[1:] == [
            *(pong_frame(bytes(size)) for size in (0, 1, 125)),
            close_frame(1000, "bye"),
        ]


async def test_one_task_reads() -> None:
    async with opened() as it:
        await it.give(frame(b"one"), frame(b"", PING), frame(b"two"))
        assert len(it.stream.readers) == 1


async def test_the_reader_asks_again_only_after_dealing_with_the_last_bytes() -> None:
    async with opened() as it:
        it.stream.send_gate = trio.Event()
        asked = it.stream.calls.count("receive_some(None)")
        await it.give(frame(b"x", PING))
        assert it.stream.calls.count("receive_some(None)") == asked
        it.stream.send_gate.set()
        await wait_all_tasks_blocked()
        assert it.stream.calls.count("receive_some(None)") == asked + 1


async def test_a_whole_message_is_in_the_queue_when_the_reader_asks_again() -> None:
    class TakingStream(ScriptedStream):
        """Takes the message out of the library from within the reader's own next read, as the parked stream does."""

        def __init__(self) -> None:
            super().__init__()
            self.taken: list[str | bytes] = []
            self.message_ends = False

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            if self.message_ends and self.websocket is not None:
                self.taken.append(await self.websocket.get_message())
            data = await super().receive_some(max_bytes)
            self.message_ends = data[0] == 0x80
            return data

    stream = TakingStream()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            stream.give(upgrade_request())
            request = await trio_websocket.wrap_server_stream(nursery, stream, 1, MAX, None)
            stream.websocket = await request.accept()
            for piece in (frame(b"a", fin=False), frame(b"b", CONTINUATION)) * 2:
                stream.give(piece)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert stream.taken == [b"ab", b"ab"]


async def test_closed_is_set_before_the_stream_is_closed() -> None:
    async with opened() as it:
        await it.give(frame(close_payload(4001, "why"), CLOSE))
        (reason,) = it.stream.closed_when_aclose
        assert isinstance(reason, trio_websocket.CloseReason)
        assert (reason.code, reason.reason) == (4001, "why")


@pytest.mark.parametrize("error", [trio.BrokenResourceError, trio.ClosedResourceError])
async def test_errors_that_it_understands_when_reading(error: type[Exception]) -> None:
    async with opened() as it:
        it.stream.read_error = error
        await it.give(b"anything")
        assert it.websocket.closed is not None
        assert it.websocket.closed.code == 1006


@pytest.mark.parametrize("error", [trio.BrokenResourceError, trio.ClosedResourceError])
async def test_errors_that_it_understands_when_sending(error: type[Exception]) -> None:
    async with opened() as it:
        it.stream.send_error = error
        with pytest.raises(trio_websocket.ConnectionClosed):
            await it.websocket.send_message(b"x")


async def test_empty_read_is_the_end() -> None:
    async with opened() as it:
        await it.give(b"")
        assert it.websocket.closed is not None
        assert it.websocket.closed.code == 1006


async def test_other_errors_leave_through_the_nursery() -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the nursery is what raises
        async with opened() as it:
            it.stream.read_error = OSError
            await it.give(b"anything")
    assert caught.group_contains(OSError)


async def test_no_extension_is_negotiated() -> None:
    async with opened(upgrade_request(Sec_WebSocket_Extensions="permessage-deflate")) as it:
        assert b"extensions" not in it.stream.sent[0].lower()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (upgrade_request(Upgrade=""), b"400"),
        (upgrade_request(Sec_WebSocket_Version=""), b"400"),
        (upgrade_request(Sec_WebSocket_Version="8"), b"426"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)
async def test_a_bad_request_is_answered_and_the_stream_closed(request_bytes: bytes, status: bytes) -> None:
    stream = ScriptedStream()
    async with trio.open_nursery() as nursery:
        stream.give(request_bytes)
        nursery.start_soon(trio_websocket.wrap_server_stream, nursery, stream)
        await wait_all_tasks_blocked()
        assert stream.sent[0].split(b" ")[1] == status
        assert "aclose" in stream.calls
        nursery.cancel_scope.cancel()  # wrap_server_stream itself never returns


async def test_pong_echoes_the_payload_between_fragments_and_order_holds() -> None:
    async with opened() as it:
        await it.give(
            frame(b"a", fin=False), frame(b"p", PING), frame(b"b", CONTINUATION), frame(b"c"), frame(b"unasked", PONG)
        )
        assert it.messages == [b"ab", b"c"]
        assert it.stream.sent[1:] == [b"\x8a\x01p"]


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999, 1005])
async def test_peer_close_is_echoed_with_its_code(code: int) -> None:
    async with opened() as it:
        await it.give(frame(close_payload(code), CLOSE))
        assert it.stream.sent[1:] == [close_frame(code)]
        assert "aclose" in it.stream.calls


async def test_after_closing_the_stream_the_reader_asks_once_more() -> None:
    """Why the parked stream raises ClosedResourceError then: that ends the reader without a word."""
    async with opened() as it:
        await it.give(frame(close_payload(1000), CLOSE))
        assert it.stream.calls[-2:] == ["aclose", "receive_some(None)"]
        it.stream.read_error = trio.ClosedResourceError
        await it.give(b"")
        assert it.stream.calls[-2:] == ["aclose", "receive_some(None)"]
        assert it.websocket.closed is not None
        assert it.websocket.closed.code == 1000


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 4002])
async def test_aclose_sends_the_code_and_reason_and_then_waits(code: int) -> None:
    async with opened() as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.websocket.aclose, code, "why")
        await wait_all_tasks_blocked()
        assert it.stream.sent[1:] == [close_frame(code, "why")]
        assert "aclose" not in it.stream.calls
        nursery.cancel_scope.cancel()


async def test_a_cancelled_aclose_still_closes_the_stream() -> None:
    async with opened() as it:
        with trio.CancelScope() as scope:
            scope.cancel()
            await it.websocket.aclose()
        assert it.stream.calls[-1] == "aclose"


async def test_oversize_by_fragments_sends_1009_and_stops_reading_without_closing() -> None:
    async with opened() as it:
        await it.give(frame(bytes(MAX), fin=False), frame(b"x", CONTINUATION))
        assert it.stream.sent[1][:4] == b"\x88" + it.stream.sent[1][1:2] + b"\x03\xf1"
        assert "aclose" not in it.stream.calls


async def test_a_protocol_error_closes_the_stream_without_a_close_frame() -> None:
    """Why the link writes 1002 itself."""
    async with opened() as it:
        await it.give(binary_frame(b"unmasked"))
        assert it.stream.sent[1:] == []
        assert "aclose" in it.stream.calls
        assert it.websocket.closed is not None
        assert it.websocket.closed.code == 1002


async def test_text_arrives_as_text() -> None:
    async with opened() as it:
        await it.give(frame(b"hi", TEXT))
        assert it.messages == ["hi"]


async def test_the_same_head_gives_the_same_answer_and_state_again() -> None:
    """Why a connection that was let go can be brought back by reading the head once more."""
    head = upgrade_request(Sec_WebSocket_Protocol="one, two")
    async with opened(head) as first, opened(head) as second:
        assert first.stream.sent == second.stream.sent
        await second.give(frame(b"?", PING), frame(b"a", fin=False), frame(b"b", CONTINUATION))
        assert second.stream.sent[1:] == [pong_frame(b"?")]
        assert second.messages == [b"ab"]


async def test_a_cancelled_reader_is_let_go_without_a_word() -> None:
    async with opened() as it:
        pass
    assert it.stream.sent[1:] == []
    assert "aclose" not in it.stream.calls
