"""The client's link against a server of bytes: fast path, odd frames, partial writes, closing, failed handshakes."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameclient import VANISHED, ClientLink
from gameclient._link import UNSENT_BYTES
from gameclient._target import parse_target
from gameprotocol import CloseCode
from gameprotocol._websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameParser,
    OddFrame,
    binary_frame,
    close_frame,
    frame_header,
    parse_close,
    ping_frame,
)

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RawServer:
    """The other end of a socket pair; also a local target."""

    path = "/arena"

    def __init__(self) -> None:
        self.sock, self.theirs = socket.socketpair()
        self.sock.settimeout(5)
        self.parser = FrameParser(masked=True, max_payload_bytes=1 << 20)

    def open_socket(self) -> socket.socket:
        return self.theirs

    def accept(self, behind: bytes = b"", subprotocol: str = "tickwire.1") -> bytes:
        """Answer the upgrade; the request."""
        request = self.sock.recv(4096)
        found = re.search(rb"Sec-WebSocket-Key: (\S+)", request, re.IGNORECASE)
        assert found is not None
        accept = base64.b64encode(hashlib.sha1(found[1] + _GUID).digest()).decode()
        fields = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
        if subprotocol:
            fields += f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
        self.sock.sendall(f"HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n".encode() + behind)
        return request

    def read(self) -> list[bytes | OddFrame]:
        """What the client has sent."""
        frames: list[bytes | OddFrame] = []
        frames += self.parser.feed(self.sock.recv(65536))
        while isinstance(stop := self.parser.stop, OddFrame):
            frames.append(stop)
            frames += self.parser.feed(b"")
        return frames


@pytest.fixture
def server() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.sock.close()
    server.theirs.close()


@pytest.fixture
def link(server: RawServer) -> Iterator[ClientLink]:
    link = ClientLink(server)
    assert not link.advance()
    server.accept()
    assert link.advance()
    yield link
    link.release()


def test_messages_arrive_whole_and_in_order(server: RawServer, link: ClientLink) -> None:
    data = b"".join(binary_frame(payload) for payload in (b"one", b"x" * 800, b"", b"y" * 70000))
    server.sock.sendall(data)
    received: list[bytes] = []
    while len(received) < 4:
        received += link.receive()
    assert received == [b"one", b"x" * 800, b"", b"y" * 70000]
    assert link.receive() == []


def test_messages_cut_anywhere_arrive_whole(server: RawServer, link: ClientLink) -> None:
    received: list[bytes] = []
    for byte in binary_frame(b"abc") + ping_frame(b"?") + binary_frame(b"d" * 200):
        server.sock.sendall(bytes([byte]))
        received += link.receive()
    assert received == [b"abc", b"d" * 200]


def test_what_comes_with_the_handshake_is_not_lost(server: RawServer) -> None:
    link = ClientLink(server)
    link.advance()
    server.accept(binary_frame(b"early") + ping_frame(b"hi") + binary_frame(b"bird")[:3])
    assert link.advance()
    assert link.receive() == [b"early"]
    server.sock.sendall(binary_frame(b"bird")[3:])
    assert link.receive() == [b"bird"]
    link.release()


def test_the_request_names_path_and_subprotocol(server: RawServer) -> None:
    link = ClientLink(server)
    link.advance()
    request = server.accept()
    assert request.startswith(b"GET /arena HTTP/1.1\r\n")
    assert b"tickwire.1" in request
    link.release()


def test_written_messages_are_masked_with_changing_keys(server: RawServer, link: ClientLink) -> None:
    keys = set()
    for _ in range(600):
        assert link.write(b"hello")
        raw = server.sock.recv(64, socket.MSG_PEEK)
        keys.add(raw[2:6])
        assert server.read() == [b"hello"]
    assert len(keys) > 590


def test_pings_are_answered(server: RawServer, link: ClientLink) -> None:
    server.sock.sendall(ping_frame(b"are you there") + binary_frame(b"x"))
    assert link.receive() == [b"x"]
    (pong,) = server.read()
    assert isinstance(pong, OddFrame)
    assert (pong.opcode, pong.payload()) == (PONG, b"are you there")


def test_fragments_become_one_message(server: RawServer, link: ClientLink) -> None:
    server.sock.sendall(
        frame_header(2, BINARY, fin=False)
        + b"ab"
        + frame_header(0, PING)
        + frame_header(1, CONTINUATION)
        + b"c"
        + binary_frame(b"next")
    )
    assert link.receive() == [b"abc", b"next"]


def test_text_is_refused(server: RawServer, link: ClientLink) -> None:
    server.sock.sendall(frame_header(2, TEXT) + b"hi")
    assert link.receive() == []
    assert link.close_code == CloseCode.UNSUPPORTED
    assert_told(server, CloseCode.UNSUPPORTED)


def test_garbage_is_refused(server: RawServer, link: ClientLink) -> None:
    server.sock.sendall(binary_frame(b"ok") + b"\xff\xff\xff\xff")
    assert link.receive() == [b"ok"]
    assert link.close_code == CloseCode.PROTOCOL_ERROR
    assert link.finish()


def assert_told(server: RawServer, code: int) -> None:
    (frame,) = server.read()
    assert isinstance(frame, OddFrame)
    assert frame.opcode == CLOSE
    assert parse_close(frame.payload())[0] == code


def test_the_server_closes(server: RawServer, link: ClientLink) -> None:
    server.sock.sendall(binary_frame(b"last") + close_frame(4004, "no such room"))
    assert link.receive() == [b"last"]
    assert (link.closed, link.close_code, link.close_reason) == (True, 4004, "no such room")
    assert_told(server, 4004)
    assert link.finish()
    assert not link.write(b"late")


def test_we_close(server: RawServer, link: ClientLink) -> None:
    link.close(1000, "bye")
    link.close(1001, "again")
    assert (link.close_code, link.close_reason) == (1000, "bye")
    assert_told(server, 1000)
    assert not link.finish()
    server.sock.sendall(binary_frame(b"on its way") + close_frame(1000))
    assert link.finish()
    assert link.receive() == []


def test_lingering_is_bounded(server: RawServer, link: ClientLink) -> None:
    link.close()
    link.linger(0.01)
    assert not link.finish()


def test_the_server_vanishes(server: RawServer, link: ClientLink) -> None:
    server.sock.close()
    assert link.receive() == []
    assert (link.close_code, link.close_reason) == (VANISHED, "the server vanished")
    assert link.finish()


def test_writing_into_a_dead_connection_closes_it(server: RawServer, link: ClientLink) -> None:
    server.sock.close()
    assert not link.write(b"x")
    assert link.close_code == VANISHED
    assert "broke" in link.close_reason
    assert link.fileno() >= 0  # whoever watches it still can take it out


def test_what_the_kernel_does_not_take_goes_out_later(server: RawServer, link: ClientLink) -> None:
    payload = bytes(4000)
    taken = 0
    while link.write(payload):
        taken += 1
    assert not link.closed
    assert link.wants_write
    assert taken * 4000 > UNSENT_BYTES
    received: list[bytes | OddFrame] = []
    while len(received) < taken:
        received += server.read()
        link.flush()
    assert received == [payload] * taken
    assert not link.wants_write
    assert link.write(b"again")
    assert link.bytes_out > taken * 4000


def test_before_it_is_open_nothing_is_taken(server: RawServer) -> None:
    link = ClientLink(server)
    assert not link.write(b"x")
    assert link.receive() == []
    link.close()
    assert link.close_code == VANISHED
    assert link.fileno() == -1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno  such\n",
            r"answered 404 Not Found \(no such\): check the path",
        ),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", r"answered 403 Forbidden: the server does not let"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", r"answered 200 OK \(hello\): check the address"),
        (b"HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n", r"answered 799: check the address"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "makes no sense"),
        (b"HTTP/1.1 2", "in the middle of its answer"),
        (b"", r"without an answer: .*wss://"),
        (b"x" * 20000, "never ends"),
    ],
)
def test_a_refusal_says_what_the_server_answered(server: RawServer, answer: bytes, said: str) -> None:
    link = ClientLink(server)
    link.advance()
    server.sock.recv(4096)
    server.sock.sendall(answer)
    server.sock.close()
    while not link.closed:
        assert not link.advance()
    assert link.close_code == VANISHED
    assert re.search(said, link.close_reason)
    assert link.fileno() == -1


@pytest.mark.parametrize("subprotocol", ["", "tickwire.9"])
def test_another_protocol_is_refused(server: RawServer, subprotocol: str) -> None:
    link = ClientLink(server)
    link.advance()
    server.accept(subprotocol=subprotocol)
    assert not link.advance()
    assert link.closed
    assert "tickwire" in link.close_reason


def test_a_port_where_nobody_listens_says_so() -> None:
    with socket.socket() as bound:  # bound but not listening: nobody else can have it
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        link = ClientLink(f"ws://127.0.0.1:{port}/arena")
        while not link.closed:
            link.advance()
    assert f"nothing listens on 127.0.0.1:{port}" in link.close_reason


def try_to_accept(listener: socket.socket) -> socket.socket | None:
    try:
        return listener.accept()[0]
    except BlockingIOError:
        return None


def test_the_next_address_is_tried() -> None:
    with socket.socket() as bound, socket.create_server(("127.0.0.1", 0)) as listener:
        bound.bind(("127.0.0.1", 0))
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 0, sock.getsockname()) for sock in (bound, listener)]
        link = ClientLink("ws://some.host/arena", addresses=addresses)
        listener.setblocking(False)
        while (accepted := try_to_accept(listener)) is None:
            link.advance()
        link.advance()
        assert b"Host: some.host\r\n" in accepted.recv(4096)
        accepted.close()
        link.release()


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("ws://127.0.0.1:8765/arena", "127.0.0.1:8765", "/arena"),
        ("ws://h", "h", "/"),
        ("wss://h:443/a?b=c d", "h", "/a?b=c%20d"),
        ("ws://[::1]:9/ä", "[::1]:9", "/%C3%A4"),
    ],
)
def test_urls(url: str, authority: str, path: str) -> None:
    endpoint = parse_target(url)
    assert (endpoint.authority, endpoint.path) == (authority, path)


@pytest.mark.parametrize("url", ["", "arena", "http://h/x", "ws://", "ws://h:99999/", "ws://h:x/"])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        ClientLink(url)


# -- TLS


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


class TlsServer(RawServer):
    """A raw server behind TLS on a port."""

    def __init__(self, certificate: Path) -> None:
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = (socket.AF_INET, socket.SOCK_STREAM, 0, self.listener.getsockname())

    def shake_hands(self, link: ClientLink) -> None:
        """Accept the connection and get through TLS."""
        link.advance()
        accepted, _ = self.listener.accept()
        accepted.setblocking(False)
        self.sock.close()
        self.sock = self._context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        while not link.closed:
            link.advance()
            try:
                self.sock.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        self.sock.settimeout(5)
        link.advance()


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[TlsServer]:
    server = TlsServer(certificate)
    yield server
    server.sock.close()
    server.theirs.close()
    server.listener.close()


def test_tls_carries_messages_both_ways(tls_server: TlsServer, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate)
    link = ClientLink("wss://localhost/arena", addresses=[tls_server.address], tls=context)
    tls_server.shake_hands(link)
    tls_server.accept()
    while not link.advance():
        assert not link.closed, link.close_reason
    payloads = [b"small", b"x" * 100_000, b"last"]
    received: list[bytes] = []
    tls_server.sock.sendall(b"".join(binary_frame(payload) for payload in payloads))
    while len(received) < 3:
        received += link.receive()
    assert received == payloads
    assert link.write(b"answer")
    assert tls_server.read() == [b"answer"]
    link.close()
    assert_told(tls_server, 1000)
    link.release()


def test_a_certificate_that_nobody_knows_is_refused(tls_server: TlsServer) -> None:
    link = ClientLink("wss://localhost/arena", addresses=[tls_server.address])
    with pytest.raises(ssl.SSLError):
        tls_server.shake_hands(link)
    assert link.closed
    assert "TLS with localhost failed (self-signed certificate)" in link.close_reason
