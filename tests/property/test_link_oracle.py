"""The same bytes, cut anywhere, give the same messages in the same order and the same close code on both links."""

from __future__ import annotations

import socket

import trio
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock

from gameprotocol import limits
from gameprotocol._websocket import CLOSE, CONTINUATION, PING, PONG, TEXT, binary_frame, close_payload
from gameserver.net import VANISHED, serve_connection
from tests.support.examples import examples
from tests.support.plain_link import Outcome, run_plain_link
from tests.support.raw_client import RecordingRoom, frame, upgrade_request

LONGEST = limits.CLIENT_MESSAGE_BYTES
HELLO = frame(b"hello")

small = st.binary(max_size=140)
ping = small.map(lambda payload: frame(payload[:125], PING))
pong = small.map(lambda payload: frame(payload[:125], PONG))
message = st.one_of(small, st.sampled_from([LONGEST - 1, LONGEST]).map(bytes)).map(frame)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """A message in 2 to 4 fragments with pings and pongs between."""
    parts = draw(st.lists(small, min_size=2, max_size=4))
    data = frame(parts[0], fin=False)
    for number, part in enumerate(parts[1:], 2):
        data += b"".join(draw(st.lists(st.one_of(ping, pong), max_size=1)))
        data += frame(part, CONTINUATION, fin=number == len(parts))
    return data


end = st.sampled_from(
    [
        b"",
        frame(b"text", TEXT),
        frame("é".encode(), TEXT),
        frame(bytes(LONGEST + 1)),
        frame(bytes(LONGEST), fin=False) + frame(b"x", CONTINUATION),
        binary_frame(b"not masked"),
        b"\xc2\x80\0\0\0\0",
        b"\x83\x80\0\0\0\0",
        b"\x89\xfe\0\x7e\0\0\0\0" + bytes(126),
        b"\x09\x80\0\0\0\0",
        b"\x80\x80\0\0\0\0",
        b"\x82\xfe\x00\x01\0\0\0\0x",
        b"\x82\xff\x80" + bytes(11),
        frame(b"a", fin=False) + frame(b"b"),
        frame(b"a", fin=False) + frame(b"b", TEXT),
        frame(b"a", fin=False) + frame(close_payload(1001), CLOSE),
        frame(b"half a frame")[:9],
        *(frame(close_payload(code, "bye"), CLOSE) for code in (1000, 1001, 1013, 3000, 4999)),
        *(frame(close_payload(code, "bye"), CLOSE) for code in (999, 1004, 1006, 1014, 2999, 5000)),
        frame(b"", CLOSE),
        frame(b"\x03", CLOSE),
        frame(b"\x03\xe8\xff", CLOSE),
    ]
)


class Recorder(RecordingRoom):
    """A room that keeps the hello with the other messages."""

    async def play(self, sock: socket.socket) -> Outcome:
        """Serve ``sock`` and tick until the connection is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run)
            await serve_connection(sock, None, self)
            self.tick()
            nursery.cancel_scope.cancel()
        self.poller.close()
        code = self.links[0].close_code if self.links else 0
        return Outcome(self.hellos + self.messages, code)


async def tell(sock: socket.socket, pieces: list[bytes]) -> None:
    """Send the pieces one by one, letting the other side read in between; then hang up."""
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            try:
                while await stream.receive_some():
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        nursery.start_soon(read)
        try:
            for piece in pieces:
                await stream.send_all(piece)
                await trio.sleep(0.011)
        except trio.BrokenResourceError:
            pass
        await trio.sleep(0.1)
        await stream.aclose()


def play(pieces: list[bytes], *, fast: bool) -> Outcome:
    """Run one of the two links on its own, on virtual time."""

    async def main() -> Outcome:
        ours, theirs = socket.socketpair()
        outcome = Outcome()

        async def serve() -> None:
            nonlocal outcome
            outcome = await (Recorder().play(ours) if fast else run_plain_link(ours))

        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve)
                await tell(theirs, pieces)
        return outcome

    return trio.run(main, clock=MockClock(autojump_threshold=0))


@examples(60)
@given(
    st.lists(st.one_of(message, ping, pong, fragmented()), max_size=6),
    end,
    st.lists(st.integers(0, 400), max_size=6),
    st.booleans(),
)
@example([], frame(b"a", fin=False) + frame(close_payload(1001), CLOSE), [], False)
def test_fast_and_plain_link_agree(stream: list[bytes], last: bytes, cuts: list[int], junk_behind: bool) -> None:
    rest = b"".join(stream) + last + (frame(b"behind") if junk_behind and last else b"")
    # The request goes alone, because the plain stack loses what comes with it, and so does the hello, because a peer
    # that says hello and breaks the protocol in one breath never becomes a player.
    pieces = [upgrade_request(), HELLO]
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    pieces.append(rest)
    pieces = [piece for piece in pieces if piece]
    plain, fast = play(pieces, fast=False), play(pieces, fast=True)
    assert fast.messages == plain.messages
    assert fast.close_code == plain.close_code
    assert fast.close_code != 0


def test_the_oracle_sees_a_peer_that_vanishes() -> None:
    assert play([upgrade_request(), HELLO], fast=False) == Outcome([b"hello"], VANISHED)
