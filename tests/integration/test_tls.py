"""wss:// as operators and players use it: real certificates, the real command line, clients that share no code with us.

What needs no process of its own runs in this one, with virtual time where nothing but our own code decides how long it
takes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
import websockets.sync.client
from trio.testing import MockClock

import gameclient
from gameprotocol import SUBPROTOCOL, encode_message
from gameprotocol._websocket import close_payload
from gameserver import Entity, Limits, Player, Room, Server, fixed, serve
from gameserver.net.tls import Tls, TlsError
from tests.bench import process
from tests.support.encrypted import Encrypted
from tests.support.peers import Peer
from tests.support.raw_client import RawClient, frame, until, upgrade_request

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NODE = ROOT / "tests" / "conformance" / "node"
SECONDS = 20  # real time; a bound, not a wait

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is needed to make certificates")


class Ship(Entity):
    x = fixed(0, 4000, step=1)


class Game(Room):
    tick_rate = 20
    entities = (Ship,)

    def on_create(self) -> None:
        self.world.spawn(Ship)

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        if kind == "kick":
            player.kick("as you wish")
        elif kind == "echo":
            player.send(kind, payload)
        elif kind == "much":
            for number in range(payload):
                player.send("much", pattern(number))

    def step(self, dt: float) -> None:
        self.world[Ship].x = (self.world[Ship].x + 1) % 4000


class Crowd(Game):
    """A first frame of some 20 kB, and hundreds of bytes in each tick."""

    def on_create(self) -> None:
        for _ in range(4000):
            self.world.spawn(Ship)

    def step(self, dt: float) -> None:
        ships = self.world[Ship]
        ships.x = (ships.x + ships.x % 7 + self.random.random()) % 4000


def pattern(number: int) -> bytes:
    """30 kB that differ everywhere: two TLS records."""
    return b"".join((number * 100_003 + index).to_bytes(4, "big") for index in range(7_500))


# ---- certificates


def make_certificate(folder: Path, name: str = "server", *, encrypt: str = "") -> tuple[Path, Path]:
    """A key, and a certificate of localhost that is signed with it."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    made += ["-passout", f"pass:{encrypt}"] if encrypt else ["-nodes"]
    named = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *made, *named, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two certificates, "server" and "next", and a key that needs a password."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "next"):
        make_certificate(folder, name)
    make_certificate(folder, "locked", encrypt="secret")
    return folder


def trusting(certificate: Path, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the old versions that must be refused
        for name, version in versions.items():
            setattr(context, name, version)
    return context


# ---- a server in this process


@asynccontextmanager
async def served(made: Path, room: type[Room] = Game, **arguments: Any) -> AsyncIterator[Server]:
    given = {"tls_cert": made / "server.pem", "tls_key": made / "server.key"}
    with trio.fail_after(60):
        async with serve({"game": room}, port=0, **(given | arguments)) as server:
            yield server


async def encrypted_peer(port: int, context: ssl.SSLContext, *, receive_bytes: int = 0) -> Peer:
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.connect(("127.0.0.1", port))
    _OPEN.append(sock)
    peer = Peer(sock)
    stream = trio.SSLStream(
        trio.SocketStream(peer.raw.sock), context, server_hostname="localhost", https_compatible=True
    )
    peer.raw.sock = Encrypted(stream)  # type: ignore[assignment]
    await stream.do_handshake()
    return peer


#: What `encrypted_peer` has opened and nobody has closed.
_OPEN: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _peers_hang_up() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


async def exchange(port: int, request: bytes, context: ssl.SSLContext | None = None) -> str:
    """What the server answers, up to its end."""
    if context is None:
        client = RawClient(socket.create_connection(("127.0.0.1", port)))
    else:
        client = (await encrypted_peer(port, context)).raw
    await client.send(request)
    await client.until_eof()
    client.sock.close()
    return client.received.decode()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_versions_that_are_spoken(version: ssl.TLSVersion, made: Path, autojump_clock: MockClock) -> None:
    context = trusting(made / "server.pem", minimum_version=version, maximum_version=version)
    async with served(made) as server:
        peer = await encrypted_peer(server.port, context)
        await peer.join("/game")
        await peer.frames(30)
        await peer.send([5, "kick", None])
        assert await peer.closed() == (1008, "as you wish")
        await peer.raw.send(frame(close_payload(1008, ""), 8))
        assert not await peer.raw.read()  # the end, and no reset
        peer.leave()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_versions_that_are_refused(
    version: ssl.TLSVersion, made: Path, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    caplog.set_level("INFO")
    context = trusting(made / "server.pem", minimum_version=version, maximum_version=version)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    async with served(made) as server:
        with pytest.raises(trio.BrokenResourceError) as raised:
            await encrypted_peer(server.port, context)
        assert "PROTOCOL_VERSION" in str(raised.value.__cause__).upper().replace(" ", "_")
        await (await encrypted_peer(server.port, trusting(made / "server.pem"))).join("/game")
    assert "UNSUPPORTED_PROTOCOL" in caplog.text
    assert "Traceback" not in caplog.text


async def test_answers_over_tls(made: Path, autojump_clock: MockClock) -> None:
    context = trusting(made / "server.pem")
    async with served(made) as server:
        for request, status, text in (
            (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "ok\n"),
            (
                b"GET /game HTTP/1.1\r\nHost: localhost\r\n\r\n",
                426,
                "This is a WebSocket: connect with ws:// or wss://.\n",
            ),
            (upgrade_request("/nowhere"), 404, "No such room; there is game.\n"),
            (
                upgrade_request("/game", Origin="http://localhost.evil.example"),
                403,
                "may not connect; the setting origins names those that may.\n",
            ),
            (
                upgrade_request("/game", Origin="http://game.example", Host="game.example"),
                403,
                "may not connect; the setting origins names those that may.\n",
            ),
        ):
            said = await exchange(server.port, request, context)
            assert said.startswith(f"HTTP/1.1 {status} ")
            assert said.endswith(text)


async def test_plain_http_on_the_port_of_tls(made: Path, autojump_clock: MockClock) -> None:
    async with served(made) as server:
        for request in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", upgrade_request("/game"), b"G"):
            said = await exchange(server.port, request)
            assert said.startswith("HTTP/1.1 400 Bad Request\r\n")
            assert said.endswith("\r\n\r\nThis port speaks TLS: use wss:// or https://.\n")


async def test_our_client_says_what_is_wrong(made: Path) -> None:
    async with served(made) as server:
        plain = server.url("game").replace("wss://", "ws://")
        with pytest.raises(gameclient.ConnectError, match=r"This port speaks TLS: use wss://"):
            async with gameclient.connect(plain):
                pass
        with pytest.raises(gameclient.ConnectError, match=r"self.signed certificate.*: check its certificate"):
            async with gameclient.connect(server.url("game")):
                pass
        with pytest.raises(gameclient.ConnectError, match=r"self.signed certificate.*: check its certificate"):
            async with gameclient.connect(server.url("game"), tls=trusting(made / "next.pem")):
                pass
        async with gameclient.connect(server.url("game"), tls=trusting(made / "server.pem")) as session:
            await session.next_frame()
    async with serve(Game, port=0) as server:
        with pytest.raises(gameclient.ConnectError, match=r"check its certificate, or use ws://"):
            async with gameclient.connect(server.url("game").replace("ws://", "wss://")):
                pass


async def test_one_file_may_hold_both(made: Path, tmp_path: Path, autojump_clock: MockClock) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes((made / "server.key").read_bytes() + (made / "server.pem").read_bytes())
    async with served(made, tls_cert=both, tls_key=None) as server:
        await (await encrypted_peer(server.port, trusting(both))).join("/game")


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 200])
async def test_a_stalled_handshake_is_cut_and_delays_nobody(said: bytes, made: Path, autojump_clock: MockClock) -> None:
    async with served(made) as server, trio.open_nursery() as nursery:
        ends: list[float] = []
        began = trio.current_time()

        async def stall() -> None:
            client = RawClient(socket.create_connection(("127.0.0.1", server.port)))
            await client.send(said)
            await client.until_eof()
            ends.append(trio.current_time() - began)
            client.sock.close()

        for _ in range(5):
            nursery.start_soon(stall)
        await trio.testing.wait_all_tasks_blocked()
        player = await encrypted_peer(server.port, trusting(made / "server.pem"))
        await player.join("/game")
        assert trio.current_time() - began < 0.5
        while len(ends) < 5:
            await player.frames(1)
        assert ends == pytest.approx([5.0] * 5, abs=0.1)
        player.leave()


async def test_a_stalled_handshake_still_counts_as_a_connection(made: Path, autojump_clock: MockClock) -> None:
    async with served(made, limits=Limits(connections=2)) as server:
        stalled = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        await trio.sleep(0.1)
        assert server.entrance.door.connections == 2
        await trio.sleep(5)
        assert server.entrance.door.connections == 0
        await (await encrypted_peer(server.port, trusting(made / "server.pem"))).join("/game")
        for sock in stalled:
            sock.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("pause_seconds", [0.0, 3.0])
async def test_a_slow_reader_gets_every_byte_in_order(
    pause_seconds: float, version: ssl.TLSVersion, made: Path, autojump_clock: MockClock
) -> None:
    """More than its socket holds and less than what may wait; frames and pings come between."""
    context = trusting(made / "server.pem", minimum_version=version, maximum_version=version)
    async with served(made) as server:
        player = await encrypted_peer(server.port, context, receive_bytes=4096)
        await player.join("/game")
        for _ in range(3):
            player.heard.clear()
            await player.send(encode_message("much", 8))
            (link,) = server.entrance.keepalive.links
            await until(lambda link=link: link.pending_bytes > 16_384)  # the kernel took a part of a record
            await trio.sleep(pause_seconds)
            while sum(message[:2] == [5, "much"] for message in player.heard) < 8:
                await player.next()
            assert [message[2] for message in player.heard if message[0] == 5] == [pattern(n) for n in range(8)]
            await player.frames(3)
        player.leave()


async def test_a_slow_reader_of_large_frames_holds_the_right_state(made: Path, autojump_clock: MockClock) -> None:
    """A frame of which TLS has taken a part must go out before a fresher one; the peer checks its hash each time."""
    async with served(made, Crowd) as server:
        player = await encrypted_peer(server.port, trusting(made / "server.pem"), receive_bytes=4096)
        await player.join("/game")
        for _ in range(15):
            await trio.sleep(0.3)
            await player.frames(1)
        player.leave()


async def test_all_messages_of_one_record_are_heard(made: Path, autojump_clock: MockClock) -> None:
    """They are decrypted at once, and no selector tells of what TLS still holds."""
    async with served(made) as server:
        player = await encrypted_peer(server.port, trusting(made / "server.pem"))
        await player.raw.upgrade(path="/game", Cookie="c" * 5000, Sec_WebSocket_Protocol=SUBPROTOCOL)
        await player.send([1, {"token": "t" * 3000}])
        await player.until(lambda message: message[0] == 2)
        said = [encode_message("echo", bytes([number]) * 900) for number in range(6)]
        await player.send(*said)
        with trio.fail_after(1):  # and not a byte more from us: `Peer.next` would acknowledge frames
            while [each for each in player.raw.frames if isinstance(each, bytes) and each[1] == 5] != said:
                assert await player.raw.read()
        player.leave()


async def test_a_reader_that_never_comes_back_is_cut_over_tls_too(made: Path, autojump_clock: MockClock) -> None:
    async with served(made) as server:
        player = await encrypted_peer(server.port, trusting(made / "server.pem"), receive_bytes=4096)
        await player.join("/game")
        await player.send(encode_message("much", 8))
        (link,) = server.entrance.keepalive.links
        await until(lambda: link.pending_bytes > 16_384)
        began = trio.current_time()
        await until(lambda: not server.entrance.door.connections)
        assert 13 < trio.current_time() - began <= 15.1
        player.leave()


async def test_renegotiation_is_refused(made: Path) -> None:
    async with served(made) as server:
        command = ["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{server.port}", "-CAfile"]
        ran = await trio.run_process(
            [*command, str(made / "server.pem")], stdin=b"R\n", capture_stdout=True, capture_stderr=True, check=False
        )
    assert b"Verify return code: 0 (ok)" in ran.stdout
    assert b"RENEGOTIATING" in ran.stderr + ran.stdout
    assert b"no renegotiation" in ran.stderr


# ---- files that cannot be used

WRONG_FILES = [
    ("nowhere.pem", "server.key", r"nowhere\.pem cannot be read: No such file or directory"),
    ("server.pem", "nowhere.key", r"nowhere\.key cannot be read: No such file or directory"),
    ("server.pem", "next.key", r"key values mismatch \(certificate .*server\.pem, key .*next\.key\): give PEM"),
    ("server.pem", None, r"certificate .*server\.pem, .*give PEM files"),  # no key in it
    ("server.key", "server.key", r"certificate .*server\.key, key .*give PEM files"),  # no certificate in it
    ("empty.pem", "server.key", r"empty\.pem, .*give PEM files"),
    ("broken.pem", "server.key", r"broken\.pem, .*give PEM files"),
    ("locked.pem", "locked.key", r"key .*locked\.key is encrypted: .*openssl pkey -in .*locked\.key"),
    (".", "server.key", r"cannot be read: Is a directory"),
]


@pytest.fixture
def files(made: Path, tmp_path: Path) -> Path:
    """A folder of its own, with the certificates and some that are none."""
    for file in made.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "empty.pem").write_text("")
    lines = (made / "server.pem").read_text().splitlines(keepends=True)
    (tmp_path / "broken.pem").write_text("".join(lines[:3] + lines[5:]))
    return tmp_path


@pytest.mark.parametrize(("certificate", "key", "text"), WRONG_FILES)
def test_files_that_cannot_be_used(certificate: str, key: str | None, text: str, files: Path) -> None:
    with pytest.raises(TlsError, match=text) as raised:
        Tls(files / certificate, files / key if key else None)
    assert "\n" not in str(raised.value)
    assert "_" not in str(raised.value).replace(str(files), "")


def test_a_reload_that_fails_changes_nothing(files: Path) -> None:
    tls = Tls(files / "server.pem", files / "server.key")
    context = tls.context
    shutil.copy(files / "next.pem", files / "server.pem")  # the key is still the old one's
    with pytest.raises(TlsError):
        tls.reload()
    assert tls.context is context
    shutil.copy(files / "next.key", files / "server.key")
    tls.reload()
    assert tls.context is not context


# ---- the command line


class Running:
    """``gameserver run`` with a certificate, in a process of its own; its greeting has been read."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
        tls = ["--tls-cert", str(folder / "server.pem"), "--tls-key", str(folder / "server.key")]
        self.log = folder / "server.log"
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen(
                [BIN / "gameserver", "run", "game=tests.integration.test_tls:Game", "--port", "0", *tls, *arguments],
                cwd=ROOT,
                env=kept | {"PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout is not None
        self.greeting = ""
        while "Ctrl-C" not in self.greeting:
            line = self.process.stdout.readline()
            assert line, self.log.read_text()
            self.greeting += line
        found = re.search(r"^  (wss://127\.0\.0\.1:(\d+)/game)$", self.greeting, re.MULTILINE)
        assert found is not None
        self.url, self.port = found[1], int(found[2])

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    async def until_logged(self, text: str, times: int = 1) -> None:
        """Wait for a line of its log."""
        with trio.fail_after(SECONDS):
            while self.log.read_text().count(text) < times:  # noqa: ASYNC110 - another process writes it
                await trio.sleep(0.02)


@pytest.fixture
def running(files: Path) -> Iterator[Running]:
    server = Running(files)
    try:
        yield server
    finally:
        server.end()
        assert "Traceback" not in server.log.read_text()


def certificate_of(port: int) -> bytes | None:
    """What new connections are shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as sock, context.wrap_socket(sock) as encrypted:
        return encrypted.getpeercert(binary_form=True)


def binary(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


@pytest.mark.slow
async def test_a_new_certificate_on_sighup(running: Running, files: Path) -> None:
    context = trusting(files / "server.pem")
    with trio.fail_after(SECONDS):
        async with gameclient.connect(running.url, tls=context) as session:
            await session.next_frame()
            assert certificate_of(running.port) == binary(files / "server.pem")
            old = binary(files / "server.pem")
            shutil.copy(files / "next.pem", files / "server.pem")
            running.process.send_signal(signal.SIGHUP)  # the key does not fit yet
            await running.until_logged("certificate not reloaded")
            assert "key values mismatch (certificate " in running.log.read_text()
            assert certificate_of(running.port) == old
            shutil.copy(files / "next.key", files / "server.key")
            running.process.send_signal(signal.SIGHUP)
            await running.until_logged("certificate reloaded")
            assert certificate_of(running.port) == binary(files / "next.pem")
            (files / "server.pem").unlink()
            running.process.send_signal(signal.SIGHUP)
            await running.until_logged("certificate not reloaded", 2)
            assert certificate_of(running.port) == binary(files / "next.pem")
            for _ in range(10):
                await session.next_frame()  # who was in goes on
            async with gameclient.connect(running.url, tls=trusting(files / "next.pem")) as late:
                await late.next_frame()
        running.process.send_signal(signal.SIGTERM)
        assert await trio.to_thread.run_sync(running.process.wait) == 0


async def test_the_websockets_package(running: Running, files: Path) -> None:
    def play() -> tuple[list[int], int, str]:
        context = trusting(files / "server.pem")
        kinds: list[int] = []
        with websockets.sync.client.connect(
            running.url,
            ssl=context,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
        ) as connection:
            connection.send(msgpack.packb([1, {"name": "Ada"}]))
            try:
                while True:
                    kinds.append(msgpack.unpackb(connection.recv(5))[0])
                    if len(kinds) == 10:
                        connection.send(encode_message("kick", None))
            except websockets.exceptions.ConnectionClosed as closed:
                close = closed.rcvd
                return kinds, close.code if close else 0, close.reason if close else ""

    with trio.fail_after(SECONDS):
        kinds, code, reason = await trio.to_thread.run_sync(play, abandon_on_cancel=True)
    assert kinds[0] == 2
    assert kinds.count(3) >= 5
    assert (code, reason) == (1008, "as you wish")


NODE_PLAYER = """
import { WebSocket } from "ws";
const socket = new WebSocket(process.argv[1], [process.argv[2]]);
const report = { kinds: [] };
socket.on("open", () => socket.send(Buffer.from([0x92, 1, 0x80])));
socket.on("message", (data) => {
  report.kinds.push(data[1]);
  if (report.kinds.length === 10) socket.send(Buffer.from(process.argv[3], "hex"));
});
socket.on("close", (code, reason) => console.log(JSON.stringify({ ...report, code, reason: reason.toString() })));
"""


@pytest.mark.skipif(
    shutil.which("node") is None or not (NODE / "node_modules" / "ws").is_dir(),
    reason="needs node and its ws package: npm install --prefix tests/conformance/node",
)
async def test_node(running: Running, files: Path) -> None:
    script = [
        "node",
        "--input-type=module",
        "-e",
        NODE_PLAYER,
        running.url,
        SUBPROTOCOL,
        encode_message("kick", None).hex(),
    ]
    with trio.fail_after(SECONDS):
        ran = await trio.run_process(
            script,
            cwd=NODE,
            env=os.environ | {"NODE_EXTRA_CA_CERTS": str(files / "server.pem")},
            capture_stdout=True,
        )
    report = json.loads(ran.stdout)
    assert report["kinds"][0] == 2
    assert report["kinds"].count(3) >= 5
    assert (report["code"], report["reason"]) == (1008, "as you wish")


@pytest.mark.slow
async def test_bots(running: Running, files: Path) -> None:
    command = [str(BIN / "gamebots"), running.url, "--count", "5", "--seconds", "1", "--json"]
    ran = await trio.run_process([*command, "--ca", str(files / "server.pem")], capture_stdout=True)
    report = json.loads(ran.stdout)
    assert report["bots"]["joined"] == 5
    assert report["figures"]["desyncs"]["value"] == 0


async def test_what_an_idle_connection_costs(running: Running, files: Path) -> None:
    """Only printed: it is the allocator's and OpenSSL's business as much as ours."""
    context = trusting(files / "server.pem")
    count = 100
    with trio.fail_after(SECONDS):
        first = await encrypted_peer(running.port, context)
        await first.join("/game")
        before = process.resident_kib(running.process.pid)
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                peer = await encrypted_peer(running.port, context)
                nursery.start_soon(peer.join, "/game")
        after = process.resident_kib(running.process.pid)
    print(f"a player over TLS: {(after - before) / count:.0f} KiB")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--tls-cert", "nowhere.pem", "--tls-key", "server.key"], r"nowhere\.pem cannot be read: No such file"),
        (
            ["--tls-cert", "server.pem", "--tls-key", "next.key"],
            r"key values mismatch \(certificate server\.pem, key next\.key\)",
        ),
        (
            ["--tls-cert", "locked.pem", "--tls-key", "locked.key"],
            r"locked\.key is encrypted: .*openssl pkey -in locked\.key",
        ),
        (["--tls-key", "server.key"], r"tls_key without tls_cert: give both"),
    ],
)
def test_a_wrong_file_is_named_before_anything_starts(arguments: list[str], text: str, files: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
    command = [str(BIN / "gameserver"), "run", "--port", "0", *arguments]
    ran = subprocess.run(
        command,
        cwd=files,
        env=kept,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 2
    assert not ran.stdout
    errors = [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert re.search(text, errors[0])
    assert ran.stderr.endswith(errors[0] + "\n")
