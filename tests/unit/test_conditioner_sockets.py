"""A client's socket behind a conditioned link: real sockets, and a clock that only the test moves."""

from __future__ import annotations

import math
import random
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gamebots.conditioner import ConditionedSocket, Conditioner, LinkProfile, parse_link
from gamebots.conditioner.sockets import READY_BYTES

#: A socket that is closed with it sends RST.
_RESET = struct.pack("ii", 1, 0)
SLOW = parse_link("up.delay=30ms,down.delay=50ms")  # a round trip takes 80 ms


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Ends:
    """Both ends of connections, in one hand.

    Attributes:
        clock: of the conditioned end.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.clock = Clock()
        self._stack = stack

    def pair(self, profile: LinkProfile, *, prepare: bool = True) -> tuple[ConditionedSocket, socket.socket]:
        """A conditioned end and the peer's, over TCP; the time that connecting takes has passed."""
        conditioner = Conditioner(profile, random.Random(1), self.clock)
        sock = self._stack.enter_context(socket.socket())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            if prepare:
                conditioner.prepare(sock)
            sock.connect(listener.getsockname())
            sock.setblocking(False)
            peer, _ = listener.accept()
        self._stack.enter_context(peer)
        peer.settimeout(5)
        conditioned = conditioner(sock)
        self.clock.now += profile.round_trip
        return conditioned, peer


@pytest.fixture
def ends() -> Iterator[Ends]:
    with ExitStack() as stack:
        yield Ends(stack)


def readable(sock: socket.socket | ConditionedSocket, seconds: float = 5.0) -> bool:
    """Whether the kernel has something to read; loopback is quick but needs a moment."""
    return bool(select.select([sock], [], [], seconds)[0])


def nothing(conditioned: ConditionedSocket) -> bool:
    try:
        conditioned.recv(100)
    except BlockingIOError:
        return True
    return False


def test_what_is_sent_leaves_after_its_delay(ends: Ends) -> None:
    conditioned, peer = ends.pair(SLOW)
    assert conditioned.pump(ends.clock.now) == math.inf
    assert conditioned.send(b"up") == 2
    assert conditioned.pump(ends.clock.now) == pytest.approx(ends.clock.now + 0.03)
    ends.clock.now += 0.029
    conditioned.pump(ends.clock.now)
    assert not readable(peer, 0.02)
    ends.clock.now += 0.0011
    assert conditioned.pump(ends.clock.now) == math.inf
    assert peer.recv(100) == b"up"


def test_what_comes_can_be_read_after_its_delay(ends: Ends) -> None:
    conditioned, peer = ends.pair(SLOW)
    peer.sendall(b"down")
    assert readable(conditioned)
    assert conditioned.pump(ends.clock.now) == pytest.approx(ends.clock.now + 0.05)
    assert nothing(conditioned)
    assert not conditioned.ready
    ends.clock.now += 0.05
    assert conditioned.pump(ends.clock.now) == ends.clock.now
    assert conditioned.ready
    assert conditioned.recv(3) == b"dow"
    assert conditioned.recv(3) == b"n"
    assert nothing(conditioned)


def test_reading_pumps_by_itself(ends: Ends) -> None:
    """For a client that only looks now and then, and knows nothing of the link."""
    conditioned, peer = ends.pair(SLOW)
    peer.sendall(b"down")
    assert conditioned.send(b"up") == 2
    assert readable(conditioned)
    assert nothing(conditioned)
    ends.clock.now += 0.051
    assert conditioned.recv(100) == b"down"
    assert peer.recv(100) == b"up"


def test_the_end_comes_in_its_turn(ends: Ends) -> None:
    conditioned, peer = ends.pair(SLOW)
    peer.sendall(b"last")
    peer.shutdown(socket.SHUT_WR)
    assert readable(conditioned)
    time.sleep(0.01)  # for the FIN, which may come a moment later than the bytes
    conditioned.pump(ends.clock.now)
    assert nothing(conditioned)
    ends.clock.now += 0.05
    assert conditioned.recv(100) == b"last"
    assert conditioned.recv(100) == b""
    assert conditioned.send(b"half open") == 9  # this direction still works
    ends.clock.now += 0.03
    conditioned.pump(ends.clock.now)
    assert peer.recv(100) == b"half open"


def test_a_reset_comes_in_its_turn_too(ends: Ends) -> None:
    conditioned, peer = ends.pair(SLOW)
    peer.sendall(b"last")
    assert readable(conditioned)
    conditioned.pump(ends.clock.now)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    peer.close()
    ends.clock.now += 0.01
    conditioned.pump(ends.clock.now)
    assert conditioned.send(b"into the void") == 13  # nobody knows here yet
    ends.clock.now += 0.05
    assert conditioned.recv(100) == b"last"
    with pytest.raises(ConnectionResetError):
        conditioned.recv(100)
    with pytest.raises(ConnectionResetError):
        conditioned.send(b"x")


def test_closing_takes_along_what_is_on_its_way(ends: Ends) -> None:
    conditioned, peer = ends.pair(parse_link("delay=1s,rate=1kB/s"))
    assert conditioned.send(b"goodbye") == 7
    conditioned.close()
    assert peer.recv(100) == b"goodbye"
    assert peer.recv(100) == b""
    assert conditioned.fileno() == -1
    conditioned.close()


def test_a_full_line_takes_no_more(ends: Ends) -> None:
    conditioned, peer = ends.pair(parse_link("up.rate=10kB/s,queue=2000B"))
    sent = 0
    while True:
        try:
            sent += conditioned.send(bytes(700))
        except BlockingIOError:
            break
    assert 1700 < sent <= 2000
    received = 0
    for _ in range(40):
        ends.clock.now += 0.01
        conditioned.pump(ends.clock.now)
        while readable(peer, 0):
            received += len(peer.recv(4096))
    assert received == sent


def test_a_peer_that_reads_nothing_stops_the_line_and_nothing_is_lost(ends: Ends) -> None:
    conditioned, peer = ends.pair(parse_link("delay=1ms"))
    data = random.Random(1).randbytes(1 << 20)
    sent = 0

    def push() -> None:
        nonlocal sent
        for _ in range(200):
            ends.clock.now += 0.001
            conditioned.pump(ends.clock.now)
            try:
                sent += conditioned.send(data[sent % len(data) :][:60_000])
            except BlockingIOError:
                pass

    push()
    stuck = sent
    push()
    assert sent == stuck  # kernel and line are full
    received = bytearray()
    while len(received) < stuck:
        ends.clock.now += 0.001
        conditioned.pump(ends.clock.now)
        if readable(peer, 0.001):
            received += peer.recv(1 << 20)
    assert bytes(received) == b"".join(data for _ in range(-(-stuck // len(data))))[:stuck]


def test_a_client_that_reads_nothing_stops_its_server(ends: Ends) -> None:
    conditioned, peer = ends.pair(parse_link("delay=1ms"))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    peer.setblocking(False)
    for _ in range(500):
        ends.clock.now += 0.001
        try:
            peer.send(bytes(65536))
        except BlockingIOError:
            pass
        conditioned.pump(ends.clock.now)
    assert conditioned.down.bytes_in < 2 * READY_BYTES
    assert conditioned.ready


def taken_off_the_peer(ends: Ends, *, prepare: bool) -> int:
    """How many bytes a server gets rid of in a second that a link with 20 kB/s has not delivered by then."""
    conditioned, peer = ends.pair(parse_link("rate=20kB/s,queue=3000B"), prepare=prepare)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    peer.setblocking(False)
    sent = received = 0
    for _ in range(200):
        ends.clock.now += 0.005
        try:
            for _ in range(50):
                sent += peer.send(bytes(1000))
        except BlockingIOError:
            pass
        conditioned.pump(ends.clock.now)
        while conditioned.ready:
            received += len(conditioned.recv(4096))
    assert received == pytest.approx(20_000, rel=0.1)
    return sent - received


def test_the_kernel_is_no_second_queue_in_front_of_a_narrow_place(ends: Ends) -> None:
    assert taken_off_the_peer(ends, prepare=True) < 24_000
    # What it would be otherwise, so that the line above says something.
    assert taken_off_the_peer(ends, prepare=False) > 50_000
