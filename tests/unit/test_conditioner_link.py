"""A client's link over a conditioned socket: how long connecting and messages take, TLS, goodbyes and endings.

The sockets are real, and the clock is one that only the test moves.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import select
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gamebots.conditioner import ConditionedSocket, Conditioner, parse_link
from gameclient import VANISHED, ClientLink
from gameprotocol._websocket import CLOSE, FrameParser, OddFrame, binary_frame, close_frame, parse_close

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SLOW = parse_link("up.delay=30ms,down.delay=50ms")  # a round trip takes 80 ms


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def readable(sock: socket.socket | ConditionedSocket, seconds: float = 5.0) -> bool:
    """Whether the kernel has something to read; loopback is quick but needs a moment."""
    return bool(select.select([sock], [], [], seconds)[0])


class Server:
    """The server's end of one WebSocket, by hand.

    Args:
        certificate: with it over TLS.
    """

    def __init__(self, stack: ExitStack, certificate: Path | None = None) -> None:
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._stack = stack
        self._certificate = certificate
        self.address = (socket.AF_INET, socket.SOCK_STREAM, 0, self._listener.getsockname())
        self.parser = FrameParser(masked=True, max_payload_bytes=1 << 20)
        self.sock: Any = None

    def accept(self, link: ClientLink) -> None:
        """Take the connection, with TLS if there is some."""
        link.advance()
        sock, _ = self._listener.accept()
        self.sock = self._stack.enter_context(sock)
        sock.setblocking(False)
        if self._certificate is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        self.sock = self._stack.enter_context(context.wrap_socket(sock, True, do_handshake_on_connect=False))
        while True:
            link.advance()
            try:
                self.sock.do_handshake()
            except ssl.SSLWantReadError:
                continue
            return

    def read(self) -> bytes:
        """What has come; nothing if nothing has."""
        try:
            return bytes(self.sock.recv(65536))
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""

    def answer(self, request: bytes) -> None:
        found = re.search(rb"Sec-WebSocket-Key: (\S+)", request, re.IGNORECASE)
        assert found is not None
        accept = base64.b64encode(hashlib.sha1(found[1] + _GUID).digest()).decode()
        fields = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
        fields += "Sec-WebSocket-Protocol: tickwire.1\r\n"
        self.sock.sendall(f"HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n".encode())


class Play:
    """A link to such a server, with time that passes in steps of a millisecond."""

    def __init__(self, stack: ExitStack, certificate: Path | None = None) -> None:
        self.clock = Clock()
        self.server = Server(stack, certificate)
        self.link = ClientLink(
            "ws://localhost/arena" if certificate is None else "wss://localhost/arena",
            addresses=[self.server.address],
            tls=None if certificate is None else ssl.create_default_context(cafile=certificate),
            wrap=Conditioner(SLOW, random.Random(1), self.clock),
        )
        stack.callback(self.link.release)

    def step(self, milliseconds: int = 1) -> None:
        for _ in range(milliseconds):
            self.clock.now += 0.001
            self.link.advance()
            if (conditioned := self.link.conditioned) is not None:
                conditioned.pump(self.clock.now)

    def until_read(self) -> tuple[bytes, int]:
        """What the server reads, and how many milliseconds later."""
        for passed in range(1000):
            if data := self.server.read():
                return data, passed
            self.step()
            if passed > 20:
                readable(self.server.sock, 0.001)
        raise AssertionError("nothing came")

    def until_received(self) -> tuple[list[bytes], int]:
        for passed in range(1000):
            if payloads := self.link.receive():
                return payloads, passed
            self.step()
            if passed > 40:
                time.sleep(0.001)
        raise AssertionError("nothing came")

    def connect(self) -> tuple[int, int]:
        """Open the link: milliseconds until the request was there, and until its answer was."""
        self.server.accept(self.link)
        request, there = self.until_read()
        self.server.answer(request)
        for back in range(1000):
            if self.link.opened:
                return there, back
            self.step()
            if back > 40:
                time.sleep(0.001)
        raise AssertionError("it did not open")


@pytest.fixture
def played() -> Iterator[Play]:
    with ExitStack() as stack:
        yield Play(stack)


def test_a_link_opens_after_two_round_trips(played: Play) -> None:
    """One for TCP, which loopback does in no time, and one for the upgrade."""
    assert played.link.conditioned is None
    there, back = played.connect()
    assert 110 <= there <= 140
    assert 50 <= back <= 80
    assert isinstance(played.link.conditioned, ConditionedSocket)


def test_what_must_be_set_is_set_before_the_socket_connects() -> None:
    with ExitStack() as stack:
        server, seen = Server(stack), []

        class Wrap(Conditioner):
            def prepare(self, sock: socket.socket) -> None:
                with pytest.raises(OSError, match="not connected"):
                    sock.getpeername()
                super().prepare(sock)
                seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))

        link = ClientLink("ws://a/", addresses=[server.address], wrap=Wrap(parse_link("rate=20kB/s"), random.Random(1)))
        stack.callback(link.release)
        server.accept(link)
        assert seen == [8192]  # what was asked, doubled


def test_messages_take_their_time_both_ways(played: Play) -> None:
    played.connect()
    assert played.link.write(b"input")
    data, passed = played.until_read()
    assert played.server.parser.feed(data) == [b"input"]
    assert 30 <= passed <= 50
    played.server.sock.sendall(binary_frame(b"frame") + binary_frame(b"another"))
    payloads, passed = played.until_received()
    assert payloads == [b"frame", b"another"]
    assert 50 <= passed <= 80
    assert played.link.bytes_out > played.link.bytes_in > 0


def test_goodbye_is_said_although_nobody_waits(played: Play) -> None:
    played.connect()
    played.link.close(1000, "done")
    assert played.server.read() == b""
    played.link.release()
    assert readable(played.server.sock)
    played.server.parser.feed(played.server.read())
    stop = played.server.parser.stop
    assert isinstance(stop, OddFrame)
    assert stop.opcode == CLOSE
    assert parse_close(stop.payload())[0] == 1000


def test_lingering_sees_the_answer_that_no_selector_sees() -> None:
    with ExitStack() as stack:
        server = Server(stack)
        wrap = Conditioner(parse_link("delay=20ms"), random.Random(1))  # on the machine's clock, as lingering is
        link = ClientLink("ws://localhost/arena", addresses=[server.address], wrap=wrap)
        stack.callback(link.release)
        server.accept(link)
        while not (request := server.read()):
            link.advance()
            time.sleep(0.001)
        server.answer(request)
        while not link.advance():
            time.sleep(0.001)
        link.close()
        server.sock.sendall(close_frame(1000))
        until = time.monotonic() + 30
        link.linger(60)
        assert time.monotonic() < until
        assert link.finish()


def test_a_server_that_vanishes_is_noticed_in_its_turn(played: Play) -> None:
    played.connect()
    played.server.sock.sendall(binary_frame(b"last"))
    played.server.sock.close()
    assert played.until_received()[0] == [b"last"]
    for _ in range(100):
        played.step()
        played.link.receive()
    assert (played.link.closed, played.link.close_code) == (True, VANISHED)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of localhost, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, signed, both = folder / "key.pem", folder / "signed.pem", folder / "both.pem"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", *made, *named, "-keyout", str(key), "-out", str(signed)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + signed.read_bytes())
    return both


def test_with_tls_what_is_inside_is_delayed(certificate: Path) -> None:
    """A large message too, of which TLS holds parts that no selector sees."""
    with ExitStack() as stack:
        played = Play(stack, certificate)
        there, _ = played.connect()
        assert 190 <= there <= 230  # two round trips for TCP and TLS, and the way up
        large = binary_frame(random.Random(1).randbytes(60_000)) + binary_frame(b"last")
        played.server.sock.setblocking(True)
        played.server.sock.sendall(large)
        played.server.sock.setblocking(False)
        received: list[bytes] = []
        passed = 0
        while len(received) < 2:
            played.step()
            received += played.link.receive()
            passed += 1
            assert passed < 1000
        assert [len(payload) for payload in received] == [60_000, 4]
        assert 50 <= passed <= 80
        assert played.link.write(b"answer")
        data, passed = played.until_read()
        assert played.server.parser.feed(data) == [b"answer"]
        assert 30 <= passed <= 60
