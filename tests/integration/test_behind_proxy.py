"""Behind nginx and Caddy, with the files of docs/proxies: whom a player counts for, and what reaches whom."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from gameprotocol import SUBPROTOCOL, encode_message
from gameprotocol._websocket import CLOSE, close_payload
from gameserver import Entity, Identity, JoinRequest, Limits, Player, Room, Server, fixed, serve, web
from tests.support.encrypted import Encrypted
from tests.support.peers import Peer
from tests.support.raw_client import frame, upgrade_request

pytestmark = pytest.mark.slow

PROXIES = Path(__file__).parents[2] / "docs" / "proxies"
#: What the files say, and what stands in its place here.
NAME, UPSTREAM = "game.example", "127.0.0.1:8765"
LARGE = bytes(range(256)) * 10_000  # more than a proxy's buffers
SECONDS = 20  # real time; a bound, not a wait


class Ship(Entity):
    x = fixed(0, 4000, step=1)


class Game(Room):
    tick_rate = 20
    entities = (Ship,)

    def on_create(self) -> None:
        self.world.spawn(Ship)

    def on_message(self, player: Player, kind: str, payload: Any) -> None:
        player.kick("as you wish")

    def step(self, dt: float) -> None:
        self.world[Ship].x = (self.world[Ship].x + 1) % 4000


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Proxy:
    """A proxy in a process of its own, set up as its file in docs/proxies says but for names, ports and certificate.

    Attributes:
        port: where players connect. upstream: where it expects the server.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.port, self.upstream = free_port(), free_port()
        self._folder = folder
        self._make_certificate()
        self.context = ssl.create_default_context(cafile=str(folder / "game.pem"))
        command = {"nginx": self._nginx, "nginx that keeps": self._nginx_that_keeps, "caddy": self._caddy}[kind]()
        self._log = folder / "proxy.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=os.environ | {"HOME": str(folder)}, stdout=log, stderr=log
            )
        try:
            self._await_start()
        except BaseException:
            self.end()
            raise

    def _make_certificate(self) -> None:
        made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        named = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
        files = ["-keyout", str(self._folder / "game.key"), "-out", str(self._folder / "game.pem")]
        subprocess.run(["openssl", "req", "-x509", *made, *named, *files], check=True, capture_output=True)

    def _nginx(self) -> list[str]:
        site = replaced(
            (PROXIES / "nginx.conf").read_text(),
            {
                UPSTREAM: f"127.0.0.1:{self.upstream}",
                "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
                "/etc/ssl/game.example.pem": str(self._folder / "game.pem"),
                "/etc/ssl/game.example.key": str(self._folder / "game.key"),
            },
        )
        (self._folder / "site.conf").write_text(site)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {self._folder / kind};\n" for kind in kinds)
        (self._folder / "nginx.conf").write_text(
            "daemon off; master_process off; error_log stderr;\n"
            f"pid {self._folder / 'nginx.pid'};\nevents {{}}\n"
            f"http {{ access_log off;\n{paths}include {self._folder / 'site.conf'}; }}\n"
        )
        return ["nginx", "-p", str(self._folder), "-e", "stderr", "-c", str(self._folder / "nginx.conf")]

    def _nginx_that_keeps(self) -> list[str]:
        """With connections to the server that are kept for the next request, of whomever."""
        command = self._nginx()
        kept = f"upstream game {{ server 127.0.0.1:{self.upstream}; keepalive 2; }}\n"
        site = replaced(
            (self._folder / "site.conf").read_text(),
            {f"http://127.0.0.1:{self.upstream}": "http://game", '""      close': '""      ""'},
        )
        (self._folder / "site.conf").write_text(kept + site)
        return command

    def _caddy(self) -> list[str]:
        certificate = f"tls {self._folder / 'game.pem'} {self._folder / 'game.key'}"
        site = replaced(
            (PROXIES / "Caddyfile").read_text(),
            {
                UPSTREAM: f"127.0.0.1:{self.upstream}",
                f"{NAME} {{": f"https://{NAME}:{self.port} {{\n\tbind 127.0.0.1\n\t{certificate}",
            },
        )
        here = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
        (self._folder / "Caddyfile").write_text(here + site)
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(self._folder / "Caddyfile")]

    def _await_start(self) -> None:
        until = time.monotonic() + SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise RuntimeError(f"the proxy did not start: {self._log.read_text()}")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def replaced(text: str, parts: dict[str, str]) -> str:
    """``text`` with each of ``parts`` replaced; all of them must be there."""
    for old, new in parts.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module", params=["nginx", "nginx that keeps", "caddy"])
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    for program in (request.param.partition(" ")[0], "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install {program})")
    running = Proxy(request.param, tmp_path_factory.mktemp("proxy"))
    try:
        yield running
    finally:
        running.end()


class Visits:
    """Players who come through the proxy, and what the server was told of them."""

    def __init__(self, proxy: Proxy) -> None:
        self.requests: list[JoinRequest] = []
        self._proxy = proxy
        self._socks: list[socket.socket] = []

    async def authenticate(self, request: JoinRequest) -> Identity:
        self.requests.append(request)
        return Identity(id=str(len(self.requests)))

    async def connect(self, source: str = "127.0.0.5") -> Peer:
        sock = socket.socket()
        self._socks.append(sock)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", self._proxy.port))
        peer = Peer(sock)
        stream = trio.SSLStream(
            trio.SocketStream(peer.raw.sock), self._proxy.context, server_hostname=NAME, https_compatible=True
        )
        peer.raw.sock = Encrypted(stream)  # type: ignore[assignment]
        return peer

    async def ask(self, request: bytes, source: str = "127.0.0.5") -> tuple[Peer, str]:
        """Send a request; the answer's first bytes, up to its blank line at least."""
        peer = await self.connect(source)
        await peer.raw.send(request)
        while b"\r\n\r\n" not in peer.raw.received and await peer.raw.read():
            pass
        return peer, peer.raw.received.decode("latin-1")

    async def play(self, source: str = "127.0.0.5", **fields: str) -> Peer:
        """Join, and see a few frames."""
        host = f"{NAME}:{self._proxy.port}"
        fields = {"Host": host, "Sec_WebSocket_Protocol": SUBPROTOCOL} | fields
        peer, said = await self.ask(upgrade_request("/game", **fields), source)
        assert said.startswith("HTTP/1.1 101 "), said
        await peer.send([1, {}])
        await peer.until(lambda message: message[0] == 2)
        await peer.frames(3)
        return peer

    def get(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: {NAME}:{self._proxy.port}\r\n\r\n".encode()

    def hang_up(self) -> None:
        for sock in self._socks:
            sock.close()


@asynccontextmanager
async def served(proxy: Proxy, static: Path | None = None, **limits: float) -> AsyncIterator[tuple[Server, Visits]]:
    visits = Visits(proxy)
    try:
        with trio.fail_after(SECONDS):
            async with serve(
                Game,
                port=proxy.upstream,
                trusted_proxies=["127.0.0.1"],
                authenticate=visits.authenticate,
                static=static,
                limits=Limits(**limits),  # type: ignore[arg-type]
            ) as server:
                yield server, visits
    finally:
        visits.hang_up()


async def hear_close(player: Peer) -> tuple[int, str]:
    """The code and reason with which the server closes; it is answered."""
    code, reason = await player.closed()
    await player.raw.send(frame(close_payload(code, ""), CLOSE))
    return code, reason


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - another process has a part in it
        await trio.sleep(0.01)


async def test_the_address_is_the_players_own_whatever_it_says(proxy: Proxy) -> None:
    async with served(proxy) as (_, visits):
        await visits.play("127.0.0.5")
        await visits.play("127.0.0.6", X_Forwarded_For="9.9.9.9")
        await visits.play("127.0.0.7", X_Forwarded_For="127.0.0.1, 127.0.0.1")
        assert [request.address for request in visits.requests] == ["127.0.0.5", "127.0.0.6", "127.0.0.7"]


async def test_limits_count_the_players_address(proxy: Proxy) -> None:
    async with served(proxy, connections_per_address=2) as (server, visits):
        one, _ = await visits.play(), await visits.play()
        request = upgrade_request("/game", Host=NAME, Sec_WebSocket_Protocol=SUBPROTOCOL)
        _, said = await visits.ask(request)
        assert said.startswith("HTTP/1.1 429 ")
        assert "\r\nretry-after: 5\r\n" in said.lower()
        await visits.play("127.0.0.6")
        for _ in range(3):  # who forges an address is counted as what it is
            _, said = await visits.ask(upgrade_request("/game", Host=NAME, X_Forwarded_For="1.2.3.4"))
            assert said.startswith("HTTP/1.1 429 ")
        one.leave()
        await until(lambda: server.entrance.door.connections == 2)
        await visits.play()


@pytest.mark.parametrize(
    ("origin", "status"),
    [(f"https://{NAME}", 101), (f"https://{NAME}:3000", 101), ("https://evil.example", 403), ("null", 403)],
)
async def test_pages_of_the_same_host_may_connect(origin: str, status: int, proxy: Proxy) -> None:
    async with served(proxy) as (_, visits):
        request = upgrade_request("/game", Host=f"{NAME}:{proxy.port}", Origin=origin)
        _, said = await visits.ask(request)
        assert said.startswith(f"HTTP/1.1 {status} ")


async def test_pages_and_refusals_come_through(proxy: Proxy) -> None:
    async with served(proxy) as (_, visits):
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/game", 426), ("/nowhere", 404)):
            _, said = await visits.ask(visits.get(path))
            assert said.startswith(f"HTTP/1.1 {status} ")


async def test_the_client_and_files_come_through(proxy: Proxy, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(LARGE)
    (tmp_path / "index.html").write_text("<title>Mine</title>")

    def visit() -> list[Any]:
        found = []
        connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=SECONDS, context=proxy.context)
        connection.sock = proxy.context.wrap_socket(
            socket.create_connection(("127.0.0.1", proxy.port)), server_hostname=NAME
        )
        for path in ("/client.js", "/", "/large.bin", "/game/", "/nowhere.png") * 3:
            connection.request("GET", path, headers={"Host": f"{NAME}:{proxy.port}", "Accept": "text/html"})
            answer = connection.getresponse()
            found.append((answer.status, len(answer.read())))
        connection.close()
        return found

    async with served(proxy, static=tmp_path) as (_, _visits):
        found = await trio.to_thread.run_sync(visit)
    script = Path(web.__file__).parent / "bundled" / "client.js"
    assert found[:3] == [(200, len(script.read_bytes())), (200, 19), (200, len(LARGE))]
    assert [status for status, _ in found] == [200, 200, 200, 200, 404] * 3


async def test_pages_and_players_of_many_over_the_same_connections(proxy: Proxy, tmp_path: Path) -> None:
    """A connection that carried one visitor's page carries another's game: each player counts as itself."""
    (tmp_path / "index.html").write_text("<title>Mine</title>")
    async with served(proxy, static=tmp_path, connections_per_address=3) as (server, visits):
        for number in range(5, 15):
            for _ in range(5):  # pages count at no door
                _, said = await visits.ask(visits.get("/"), f"127.0.0.{number}")
                assert said.startswith("HTTP/1.1 200 ")
            await visits.play(f"127.0.0.{number}")
        assert [request.address for request in visits.requests] == [f"127.0.0.{number}" for number in range(5, 15)]
        assert len(server.rooms) == 1


async def test_closing_reaches_both_ends(proxy: Proxy) -> None:
    async with served(proxy) as (server, visits):
        player = await visits.play()
        await player.send(encode_message("kick", None))
        assert await hear_close(player) == (1008, "as you wish")
        gone = await visits.play()
        gone.leave()
        await until(lambda: not server.entrance.door.connections)


async def test_a_restart_of_the_server(proxy: Proxy) -> None:
    async with served(proxy) as (server, visits):
        player = await visits.play()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 5.0)
            code, reason = await hear_close(player)
        assert code == 1012
        assert reason.startswith("the server restarts; reconnect in ")
    away = Visits(proxy)
    _, said = await away.ask(away.get("/readyz"))
    away.hang_up()
    assert said.startswith("HTTP/1.1 502 ")
    async with served(proxy) as (_, visits):
        await visits.play()
