"""Pages and files of a running server, fetched as browsers and tools fetch them."""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from gameserver import Room, Server, serve
from gameserver.demo.arena import Arena
from gameserver.net import Visitor
from gameserver.net.http import HttpRequest
from gameserver.server import serve_in_thread
from gameserver.web import files
from gameserver.web.site import Site
from gameserver.world.errors import DeclarationError

HTML = {"Accept": "text/html,*/*;q=0.8"}
LARGE = bytes(range(256)) * 20_000  # 5 MB


class Bare(Room):
    """Without a page."""


class Paged(Room):
    """With one; the test says where."""


class Answer:
    """What came back.

    Attributes:
        status, fields, body: names in lower case, values joined by commas.
    """

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.body = answer.read()
        self.fields: dict[str, str] = {}
        for name, value in answer.getheaders():
            had = self.fields.get(name.lower())
            self.fields[name.lower()] = value if had is None else f"{had}, {value}"


class Browser:
    """Asks over one connection, as long as the server keeps it."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        if context is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        else:
            self.connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)

    def get(self, path: str, method: str = "GET", **fields: str) -> Answer:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        self.connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            self.connection.putheader(name, value)
        self.connection.endheaders()
        return Answer(self.connection.getresponse())


@contextmanager
def visiting(*rooms: Any, **arguments: Any) -> Iterator[Browser]:
    """A browser that is at a server of these rooms."""
    with serve_in_thread(*rooms, port=0, **arguments) as server:
        browser = Browser(server.port)
        try:
            yield browser
        finally:
            browser.connection.close()


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """An author's folder, as a build tool leaves it."""
    for name, text in {
        "index.html": "<title>Mine</title>",
        "assets/index-B3xA91kd.js": "export const a = 1;\n" * 100,
        "assets/ship.png": "\x89PNG",
        "sub dir/index.html": "<title>Sub</title>",
        "bare/page.html": "<title>Overlaid</title>",
        "bare/index.html": "<title>Instead of the inspector</title>",
        ".env": "secret",
        "empty.txt": "",
    }.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "site" / "large.bin").write_bytes(LARGE)
    return tmp_path / "site"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<title>Play</title>")
    (folder / "main.js").write_text("play();")
    return folder


# ---- where things are


def test_a_server_with_one_room_type(monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    monkeypatch.setattr(Paged, "page", str(page))
    with visiting(Paged) as browser:
        for path, fields, status, where in [
            ("/", {}, 302, "/paged/"),
            ("/paged", HTML, 308, "/paged/"),
            ("/paged?seed=1&b=%20", HTML, 308, "/paged/?seed=1&b=%20"),
        ]:
            answer = browser.get(path, **fields)
            assert (answer.status, answer.fields["location"]) == (status, where)
        for path, text in [("/paged/", b"Play"), ("/paged/?a=1", b"Play"), ("/paged/main.js", b"play();")]:
            answer = browser.get(path)
            assert answer.status == 200
            assert text in answer.body
            assert "content-security-policy" not in answer.fields  # the author's page is the author's
            assert answer.fields["x-content-type-options"] == "nosniff"
            assert answer.fields["referrer-policy"] == "same-origin"
        assert browser.get("/paged").status == 426


def test_a_server_with_several() -> None:
    with visiting({"one": Bare, "two~x": Bare}) as browser:
        answer = browser.get("/")
        assert answer.status == 200
        assert b'<a href="/one/">one</a>' in answer.body
        assert b'<a href="/two~x/">two~x</a>' in answer.body
        assert "default-src 'self'" in answer.fields["content-security-policy"]


def test_the_client_and_the_bundled_pages() -> None:
    with visiting(Arena) as browser:
        for name in ("client.js", "extras.js", "overlay.js"):
            answer = browser.get(f"/{name}", Accept_Encoding="identity")
            assert answer.status == 200
            assert answer.fields["content-type"] == "text/javascript; charset=utf-8"
            assert answer.body == (Path(files.__file__).parent / "bundled" / name).read_bytes()
        answer = browser.get("/arena/")
        assert answer.status == 200
        assert answer.fields["content-type"] == "text/html; charset=utf-8"
        policy = answer.fields["content-security-policy"]
        assert "connect-src 'self' ws: wss:" in policy
        assert "script-src" not in policy  # so that it is default-src 'self'
        assert browser.get("/favicon.ico").status == 200


def test_a_bundled_script_that_was_not_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gameserver.web.site._BUNDLED", tmp_path)
    with visiting(Bare) as browser:
        answer = browser.get("/client.js")
        assert (answer.status, answer.body) == (404, b"client.js has not been built: run make client in the sources.\n")


def test_an_authors_folder(static: Path) -> None:
    with visiting(Bare, static=static) as browser:
        assert b"Mine" in browser.get("/").body
        assert b"Sub" in browser.get("/sub%20dir/").body
        answer = browser.get("/sub%20dir?a=1")
        assert (answer.status, answer.fields["location"]) == (308, "/sub%20dir/?a=1")
        answer = browser.get("/assets/index-B3xA91kd.js")
        assert answer.fields["cache-control"] == "public, max-age=31536000, immutable"
        answer = browser.get("/assets/ship.png")
        assert (answer.fields["content-type"], answer.fields["cache-control"]) == ("image/png", "no-cache")
        assert "content-security-policy" not in answer.fields
        answer = browser.get("/empty.txt")
        assert (answer.status, answer.body, answer.fields["content-length"]) == (200, b"", "0")
        assert b"Instead of the inspector" in browser.get("/bare/").body
        assert b"Overlaid" in browser.get("/bare/page.html").body
        (static / "client.js").write_text("mine")
        assert browser.get("/client.js").body == b"mine"
        (static / "favicon.ico").write_bytes(b"icon")
        assert browser.get("/favicon.ico").fields["content-type"] == "image/x-icon"


@pytest.mark.parametrize("fields", [{}, HTML])
@pytest.mark.parametrize(
    "path",
    [
        *("/nowhere.png", "/a/b", "/assets/", "/assets", "/.env", "/%2eenv", "/../secret.txt", "/..%2fsecret.txt"),
        *("/%2e%2e/secret.txt", "//secret.txt", "//evil.example/", "/..%5csecret.txt", "/a%00", "/%ff", "/bare/x.js"),
    ],
)
def test_what_is_not_there(path: str, fields: dict[str, str], static: Path) -> None:
    with visiting(Bare, static=static) as browser:
        answer = browser.get(path, **fields)
        assert answer.status == 404
        assert b"secret" not in answer.body
        assert b"evil" not in answer.body
        assert "location" not in answer.fields
        assert answer.fields.get("cache-control") == ("no-store" if fields or path != "/assets" else None)
        assert answer.fields["content-type"] == f"text/{'html' if fields else 'plain'}; charset=utf-8"
        assert (b'href="/bare/"' in answer.body) is bool(fields)
        assert browser.get("/").status == 200


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/client.js", "POST", 405),
        ("/bare", "POST", 405),
        ("/bare/", "OPTIONS", 405),
        ("/assets/ship.png", "POST", 405),
        ("/client.js", "DELETE", 405),
        ("/nowhere", "POST", 405),
    ],
)
def test_nothing_can_be_changed(path: str, method: str, status: int, static: Path) -> None:
    with visiting(Bare, static=static) as browser:
        answer = browser.get(path, method)
        assert answer.status == status
        assert answer.fields["allow"].startswith("GET, HEAD")


# ---- how they are sent


def test_what_is_known_is_not_sent_again(static: Path) -> None:
    with visiting(Bare, static=static) as browser:
        for path in ("/assets/index-B3xA91kd.js", "/large.bin", "/"):
            for encoding in ("identity", "gzip"):
                first = browser.get(path, Accept_Encoding=encoding)
                again = browser.get(path, Accept_Encoding=encoding, If_None_Match=first.fields["etag"])
                assert (again.status, again.body) == (304, b"")
                assert again.fields["etag"] == first.fields["etag"]
                since = browser.get(path, Accept_Encoding=encoding, If_Modified_Since=first.fields["last-modified"])
                assert since.status == 304
                assert browser.get(path, If_None_Match='"other"').status == 200


def test_a_file_that_changes(static: Path) -> None:
    with visiting(Bare, static=static) as browser:
        before = browser.get("/")
        (static / "index.html").write_text("<title>News</title>")
        until = threading.Event()
        until.wait(2 * files.FRESH_SECONDS)
        after = browser.get("/", If_None_Match=before.fields["etag"])
        assert (after.status, after.body) == (200, b"<title>News</title>")
        (static / "index.html").unlink()
        until.wait(2 * files.FRESH_SECONDS)
        assert browser.get("/").status == 302


def test_text_is_compressed(static: Path) -> None:
    with visiting(Bare, static=static) as browser:
        path = "/assets/index-B3xA91kd.js"
        plain, zipped = browser.get(path), browser.get(path, Accept_Encoding="gzip, br")
        assert zipped.fields["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.fields
        assert gzip.decompress(zipped.body) == plain.body
        assert len(zipped.body) < len(plain.body) / 2
        assert "Accept-Encoding" in plain.fields["vary"]
        assert plain.fields["etag"] != zipped.fields["etag"]
        assert "content-encoding" not in browser.get("/large.bin", Accept_Encoding="gzip").fields
        assert "content-encoding" not in browser.get("/assets/ship.png", Accept_Encoding="gzip").fields


@pytest.mark.parametrize("path", ["/large.bin", "/assets/index-B3xA91kd.js"])
def test_parts(path: str, static: Path) -> None:
    with visiting(Bare, static=static) as browser:
        whole = browser.get(path).body
        for asked, part in [("10-19", slice(10, 20)), ("100-", slice(100, None)), ("-5", slice(-5, None))]:
            answer = browser.get(path, Range=f"bytes={asked}", Accept_Encoding="gzip")
            assert (answer.status, answer.body) == (206, whole[part])
            assert answer.fields["content-range"].endswith(f"/{len(whole)}")
        answer = browser.get(path, Range="bytes=99999999-")
        assert (answer.status, answer.fields["content-range"]) == (416, f"bytes */{len(whole)}")


def test_a_head_tells_what_a_get_would(static: Path) -> None:
    with visiting(Bare, static=static) as browser:
        for path in ("/", "/large.bin", "/sub%20dir", "/nowhere.png", "/bare", "/client.js"):
            get, head = browser.get(path), browser.get(path, "HEAD")
            assert (head.status, head.fields, head.body) == (get.status, get.fields, b"")


async def test_parts_of_kept_files_are_not_copied(static: Path) -> None:
    """A part of each reader's own, for as long as it reads, would be 2 MiB for each of thousands of connections."""
    (static / "kept.bin").write_bytes(LARGE[: files.KEPT_FILE_BYTES])
    site = Site({}, static)
    bodies = []
    for first in (1, 2):
        answer = await site.answer(HttpRequest("GET", "/kept.bin", (("range", f"bytes={first}-"),)), Visitor(None))
        assert answer is not None
        assert isinstance(answer.body, memoryview)
        bodies.append(answer.body)
    assert bodies[0].obj is bodies[1].obj
    assert bodies[1] == LARGE[2 : files.KEPT_FILE_BYTES]


def test_a_large_file_comes_whole(static: Path) -> None:
    with visiting(Bare, static=static) as browser:
        for _ in range(2):
            answer = browser.get("/large.bin", Accept_Encoding="gzip")
            assert answer.body == LARGE


def test_pages_of_other_origins_may_use_the_client(static: Path) -> None:
    """As a page of a development server on this machine does, and one that the setting origins names."""
    with visiting(Bare, static=static, origins=["https://game.example"]) as browser:
        for origin, may in [("https://game.example", True), ("https://evil.example", False)]:
            answer = browser.get("/client.js", Origin=origin)
            assert answer.status == 200
            assert answer.fields.get("access-control-allow-origin") == (origin if may else None)
            assert "Origin" in answer.fields["vary"]


def test_over_tls(static: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", *made, *named, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(cafile=certificate)
    with serve_in_thread(Bare, port=0, static=static, tls_cert=certificate, tls_key=key) as server:
        assert server.page_url == f"https://127.0.0.1:{server.port}/"
        browser = Browser(server.port, context)
        browser.connection.connect()
        sock = browser.connection.sock
        assert browser.get("/large.bin").body == LARGE
        assert b"Mine" in browser.get("/").body
        assert browser.get("/large.bin", Range="bytes=1-3").body == LARGE[1:4]
        assert browser.connection.sock is sock
        browser.connection.close()


# ---- other people's clients


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
def test_curl(static: Path, tmp_path: Path) -> None:
    with visiting(Bare, static=static) as browser:
        url = f"http://127.0.0.1:{browser.connection.port}"
        flags = ["-sS", "-m", "20", "-w", "%{http_code} %{num_connects}\n", "--compressed", "-L"]
        paths = ["/", "/large.bin", "/assets/index-B3xA91kd.js", "/sub%20dir", "/client.js"]
        targets = [part for path in paths for part in ("-o", str(tmp_path / "got"), url + path)]
        done = subprocess.run(["curl", *flags, *targets], capture_output=True, text=True, check=True)
        assert done.stdout.split("\n")[:-1] == ["200 1", *["200 0"] * 4]  # all over one connection
        half = ["-r", "1000-", "-C", "-"]
        (tmp_path / "part").write_bytes(LARGE[:1000])
        subprocess.run(["curl", "-sS", *half[2:], "-o", str(tmp_path / "part"), f"{url}/large.bin"], check=True)
        assert (tmp_path / "part").read_bytes() == LARGE


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not there")
def test_the_fetch_of_node(static: Path) -> None:
    script = """
        const found = []
        for (const path of ["/", "/assets/index-B3xA91kd.js", "/large.bin", "/sub%20dir", "/nowhere.png"]) {
            const answer = await fetch(process.argv[1] + path)
            found.push([answer.status, (await answer.arrayBuffer()).byteLength, answer.redirected])
        }
        console.log(JSON.stringify(found))
    """
    with visiting(Bare, static=static) as browser:
        url = f"http://127.0.0.1:{browser.connection.port}"
        command = ["node", "--input-type=module", "-e", script, url]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    found = json.loads(done.stdout)
    assert [status for status, _, _ in found] == [200, 200, 200, 200, 404]
    assert [length for _, length, _ in found][1:3] == [2000, len(LARGE)]
    assert found[3][2] is True


# ---- what a server says at start, and in the end


async def test_mistakes_are_told_at_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def error(*rooms: Any, **arguments: Any) -> str:
        with pytest.raises((DeclarationError, ValueError)) as raised:
            async with serve(*rooms, **arguments):
                pass
        return str(raised.value)

    missing = tmp_path / "missing"
    said = await error(Bare, static=missing)
    assert said.startswith(f"static = {str(missing)!r}: there is no folder {missing}; create it")
    (tmp_path / "file").write_text("")
    assert "there is no folder" in await error(Bare, static=tmp_path / "file")
    monkeypatch.setattr(Paged, "page", "no_such_page")
    said = await error(Paged)
    assert said.startswith("Paged.page = 'no_such_page': there is no folder ")
    assert str(Path(__file__).parent / "no_such_page") in said
    monkeypatch.setattr(Paged, "page", str(tmp_path))
    assert f"there is no index.html in {tmp_path}; build the page" in await error(Paged)
    assert await error(type("Odd", (Room,), {"page": 5})) == "Odd.page = 5: give the name of a folder, or None"


async def test_a_page_is_where_its_class_was_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Arena):
        """Inherits the page of another module."""

    if Arena.page is None:
        pytest.skip("the bundled game has no page yet")
    async with serve(Mine):
        pass


async def test_a_class_of_no_file(monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    lost: type[Room] = type("Lost", (Room,), {"page": "page", "__module__": "typed_at_a_prompt"})
    with pytest.raises(DeclarationError, match=r"Lost\.page = 'page': Lost is in no file, so give an absolute path"):
        async with serve(lost):
            pass
    monkeypatch.setattr(lost, "page", str(page))
    async with serve(lost):
        pass


async def test_pages_while_the_server_drains(static: Path) -> None:
    """Who was loading a page gets the rest of it; connections that wait for nothing end at once."""
    seen = []

    def visit(server: Server, drains: threading.Event) -> None:
        idle, other = Browser(server.port), Browser(server.port)
        assert idle.get("/").status == 200
        trio.from_thread.run_sync(began.set)
        assert drains.wait(20)
        seen.append((other.get("/assets/ship.png").status, other.get("/readyz").status))
        sock = idle.connection.sock
        assert sock is not None
        seen.append(sock.recv(1))
        idle.connection.close()
        other.connection.close()

    began, drains = trio.Event(), threading.Event()
    with trio.fail_after(20):
        async with serve(Bare, port=0, static=static) as server, trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, visit, server, drains)
            await began.wait()
            await server.drain(0.0)
            drains.set()
    assert seen == [(200, 503), b""]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list descriptors")
def test_nothing_stays_open(static: Path) -> None:
    """A large file holds no descriptor while its reader sleeps."""

    def open_files() -> int:
        return len([each for each in Path("/proc/self/fd").iterdir() if each.resolve().name == "large.bin"])

    with serve_in_thread(Bare, port=0, static=static) as server:
        socks = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
        for sock in socks:
            sock.sendall(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")
        pause = threading.Event()
        seen = [open_files() for _ in range(20) if not pause.wait(0.01)]
        assert seen[-5:] == [0] * 5
        for sock in socks:
            sock.close()
