"""The npm package, as it would be published: what is in it, and that others can build and run with it."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.browser.browsers import OpenPage, screenshot
from tests.browser.packages import CLIENT, INSTALL, need_npm, npm, pack
from tests.browser.pages import until
from tests.browser.servers import StartServer

pytestmark = pytest.mark.slow

_INDEX = """<!doctype html>
<html lang="en">
<title>A fresh project</title>
<link rel="icon" href="data:,">
<pre></pre>
<script type="module" src="/main.ts"></script>
</html>
"""
_MAIN = """import { connect, type Row, type Session } from "tickwire";

interface World {
  Walker: { x: number; y: number; name: string; secret: string | null };
}

const shown = document.querySelector("pre") as HTMLPreElement;
const session: Session<World> = await connect<World>("/walking", { name: "Ada", options: { secret: "s" } });
session.on("frame", ({ tick }) => {
  const rows = [...session.world.Walker].map(({ id, name, x, mine }) => `${id} ${name} ${x.toFixed(1)} ${mine}`);
  shown.textContent = `tick ${tick}\\n${rows.join("\\n")}`;
});
session.onSpawned("Walker", (walker: Row<World["Walker"]>) => console.log(walker.name, walker.secret?.length));
addEventListener("keydown", () => session.sendInput({ right: true }));
Object.assign(window, { session });
"""
_TYPES = {
    "target": "ES2022",
    "lib": ["ES2022", "DOM", "DOM.Iterable"],
    "module": "ESNext",
    "moduleResolution": "bundler",
    "types": [],
    "strict": True,
    "noEmit": True,
}
_NODE = """import { connect, listRooms } from "tickwire";
import { WebSocket } from "ws";

const session = await connect(process.argv[2], { name: "Node", webSocket: WebSocket });
for (let frame = 0; frame < 5; frame++) await session.nextFrame();
const rooms = await listRooms(process.argv[2]);
console.log(JSON.stringify({ names: [...session.world.Walker].map(({ name }) => name), rooms: rooms.length }));
session.close();
"""


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, made by ``npm pack``."""
    need_npm()
    return pack(tmp_path_factory.mktemp("package"))


def project(folder: Path, dependencies: dict[str, str]) -> Path:
    """A fresh project with what it depends on installed."""
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module", "dependencies": dependencies}))
    npm(folder, *INSTALL)
    return folder


def versions(*names: str) -> dict[str, str]:
    """Of tools, those that the client itself is built and tested with."""
    wanted = json.loads((CLIENT / "package.json").read_text())["devDependencies"]
    return {name: wanted[name] for name in names}


def test_what_is_in_it(tarball: Path) -> None:
    with tarfile.open(tarball) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
        described = json.load(packed.extractfile("package/package.json") or pytest.fail("no package.json"))
    beside = {name for name in names if not name.startswith("dist/")}
    assert beside == {"package.json", "README.md", "LICENSE"}
    assert {name.rsplit(".", 1)[1] for name in names - beside} == {"js", "ts"}
    assert all(name.endswith((".js", ".d.ts")) for name in names - beside)  # no sources, no tests
    for entry in described["exports"].values():
        for path in [entry] if isinstance(entry, str) else entry.values():
            assert path.removeprefix("./") in names
    for name in names - beside:
        if name.endswith(".js"):
            assert name.removesuffix(".js") + ".d.ts" in names


def test_a_fresh_vite_project_plays(
    tarball: Path, tmp_path: Path, game_server: StartServer, browser_page: OpenPage
) -> None:
    folder = project(tmp_path / "fresh", {"tickwire": f"file:{tarball}", "vite": "^8.0.0", **versions("typescript")})
    (folder / "index.html").write_text(_INDEX)
    (folder / "main.ts").write_text(_MAIN)
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": _TYPES, "include": ["*.ts"]}))
    npm(folder, "exec", "--", "tsc")
    npm(folder, "exec", "--", "vite", "build", "--logLevel", "error")
    server = game_server("tests.browser.rooms:Walking", static=folder / "dist")
    page = browser_page(server.url + "/")
    until(page, "window.session?.joined")
    page.keyboard.press("ArrowRight")
    until(page, "[...session.world.Walker][0].x > 1050")
    until(page, r"/1 Ada 10\d\d\.\d true/.test(document.querySelector('pre').textContent)")
    screenshot(page, "fresh-vite-project")


def test_a_mistake_is_found_by_types(tarball: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "wrong", {"tickwire": f"file:{tarball}", **versions("typescript")})
    (folder / "main.ts").write_text(_MAIN.replace("walker.secret?.length", "walker.colour"))
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": _TYPES, "include": ["*.ts"]}))
    with pytest.raises(AssertionError, match="Property 'colour' does not exist"):
        npm(folder, "exec", "--", "tsc")


def test_node_plays_with_the_package_ws(tarball: Path, tmp_path: Path, game_server: StartServer) -> None:
    folder = project(tmp_path / "node", {"tickwire": f"file:{tarball}", **versions("ws")})
    (folder / "play.js").write_text(_NODE)
    server = game_server("tests.browser.rooms:Walking")
    ran = subprocess.run(
        ["node", "play.js", server.ws("walking")], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"names": ["Node"], "rooms": 1}


def snippets(language: str) -> list[str]:
    """The code of the package's README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (CLIENT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_readmes_code(tarball: Path, tmp_path: Path, game_server: StartServer) -> None:
    folder = project(tmp_path / "readme", {"tickwire": f"file:{tarball}", **versions("typescript", "ws")})
    (page,) = snippets("ts")
    (folder / "page.ts").write_text(page)
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": _TYPES, "include": ["*.ts"]}))
    npm(folder, "exec", "--", "tsc")
    robot, _overlay = snippets("js")
    server = game_server("--tick-rate", "120")
    (folder / "robot.js").write_text(robot.replace("ws://127.0.0.1:8765/arena", server.ws("arena")))
    process = subprocess.Popen(["node", "robot.js"], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        tick, points, round_trip = process.stdout.readline().split()
        assert (int(tick) % 100, int(points) >= 0, 0 < float(round_trip) < 2) == (0, True, True)
    finally:
        process.kill()
        process.communicate()
