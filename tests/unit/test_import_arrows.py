"""The arrows of the house: who may import whom. Reads the sources, so that an import inside a function counts too."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "gameserver": ROOT / "gameserver",
    "gameprotocol": ROOT / "protocol" / "gameprotocol",
    "gameclient": ROOT / "clients" / "python" / "gameclient",
    "gamebots": ROOT / "clients" / "python" / "gamebots",
}
OURS = frozenset(PACKAGES)
THIRD_PARTY = frozenset(
    {"trio", "trio_websocket", "wsproto", "msgpack", "msgspec", "numpy", "click", "pythonjsonlogger", "pytest", "h11"}
    | {"rich", "hdrh", "psutil", "jinja2", "junitparser", "matplotlib"}
)
PURE = frozenset({"msgpack", "msgspec", "numpy"})
#: Parts of the standard library with which a module touches the world outside.
OUTSIDE = frozenset({"socket", "ssl", "time", "selectors", "select", "asyncio", "threading", "subprocess", "signal"})

#: What each part of the house may import besides the standard library and itself; the longest prefix counts.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "gameprotocol": PURE,
    "gameserver.world": PURE | {"gameprotocol"},
    "gameserver.sync": PURE | {"gameprotocol", "gameserver.world"},
    "gameserver.allowance": frozenset(),
    "gameserver.logs": frozenset({"pythonjsonlogger", "gameserver.allowance"}),
    "gameserver.watchdog": frozenset({"trio"}),
    "gameserver.net": frozenset({"trio", "gameprotocol", "gameserver.allowance", "gameserver.logs"}),
    "gameserver.net.handshake": frozenset({"trio", "trio_websocket", "gameprotocol", "gameserver.net"}),
    "gameserver.net.http": frozenset({"h11", "gameserver.net"}),
    "gameserver.rooms": PURE
    | {"trio", "gameprotocol", "gameserver.logs", "gameserver.watchdog"}
    | {"gameserver.world", "gameserver.sync", "gameserver.net"},
    "gameserver.web": frozenset({"trio", "gameserver.net"}),
    "gameserver.web.media": frozenset(),
    "gameserver.web.pace": frozenset(),
    "gameserver.web.targets": frozenset(),
    "gameserver.web.variants": frozenset({"gameserver.net.http", "gameserver.net.request_head"}),
    "gameserver.config": frozenset({"msgspec", "gameserver.net.limits"}),
    "gameserver.waiting_seats": frozenset(),
    "gameserver.http_reading": frozenset(
        {"msgspec", "gameprotocol", "gameserver.net.http", "gameserver.rooms.metadata"}
    ),
    "gameserver.http_api": frozenset(
        {"trio", "msgspec", "gameprotocol", "gameserver.http_reading", "gameserver.net", "gameserver.rooms"}
        | {"gameserver.waiting_seats"}
    ),
    "gameserver.desk": frozenset(
        {"trio", "gameprotocol", "gameserver.http_api", "gameserver.net", "gameserver.rooms", "gameserver.web"}
    ),
    "gameserver.server": frozenset(
        {"trio", "gameprotocol", "gameserver.desk", "gameserver.logs", "gameserver.net", "gameserver.rooms"}
        | {"gameserver.watchdog", "gameserver.web"}
    ),
    "gameserver.cli": frozenset(
        {
            "click",
            "trio",
            "gameserver.config",
            "gameserver.logs",
            "gameserver.net",
            "gameserver.process",
            "gameserver.rooms",
            "gameserver.server",
            "gameserver.world",
        }
    ),
    "gameserver.process": frozenset(),
    "gameserver.__main__": frozenset({"gameserver.cli"}),
    "gameserver.matchmaking": PURE | {"gameprotocol", "gameserver.__init__", "gameserver.logs", "gameserver.rooms"},
    "gameserver.testing": frozenset({"trio", "gameprotocol", "gameserver.net", "gameserver.rooms", "gameserver.world"}),
    "gameserver.testing.pytest_plugin": frozenset({"pytest", "gameserver.testing", "gameserver.rooms"}),
    "gameserver.demo": frozenset({"numpy", "gameserver.__init__"}),
    "gameserver.__init__": frozenset(
        {"msgspec", "gameprotocol", "gameserver.net", "gameserver.rooms", "gameserver.server"}
        | {"gameserver.sync", "gameserver.world"}
    ),
    "gameclient": PURE | {"trio", "wsproto", "gameprotocol"},
    # Load tests: what decides and measures below, what moves bytes and starts processes above it, commands on top.
    "gamebots": PURE | {"gameprotocol", "gameclient"},
    "gamebots.measures": frozenset({"numpy", "hdrh"}),
    "gamebots.conditioner.proxy": frozenset({"trio", "gamebots.conditioner"}),
    "gamebots.swarm": frozenset({"trio", "gamebots", "gameclient"}),
    "gamebots.worker": frozenset({"trio", "gamebots", "gameclient"}),
    "gamebots.figures": frozenset({"psutil", "gamebots"}),
    "gamebots.live": frozenset({"rich", "gamebots.plan", "gamebots.units"}),
    "gamebots.text": frozenset({"rich", "gamebots"}),
    "gamebots.junit": frozenset({"click", "junitparser", "gamebots"}),
    "gamebots.report": frozenset({"numpy", "hdrh", "jinja2", "matplotlib", "gamebots"}),
    "gamebots.curve": frozenset({"rich", "gamebots"}),
    "gamebots.commands": frozenset({"trio", "click", "psutil", "rich", "gamebots"}),
    "gamebots.cli": frozenset({"click", "gamebots"}),
    "gamebots.__main__": frozenset({"gamebots.cli"}),
}
#: Parts that may touch no socket, clock or thread at all.
PURE_PARTS = (
    *("gameprotocol", "gameserver.world", "gameserver.sync", "gameserver.config", "gameserver.waiting_seats"),
    *("gamebots.conditioner.pipe", "gamebots.conditioner.profiles", "gamebots.sides", "gamebots.differences"),
    *("gamebots.capacity", "gamebots.conductor", "gamebots.held_world", "gamebots.pacing", "gamebots.room_clock"),
    *("gamebots.requirements", "gamebots.scenarios", "gamebots.talk", "gamebots.units"),
    *("gameserver.web.media", "gameserver.web.pace", "gameserver.web.targets", "gameserver.web.variants"),
)


def modules() -> list[tuple[str, Path]]:
    return [
        (".".join((package, *path.relative_to(folder).with_suffix("").parts)), path)
        for package, folder in PACKAGES.items()
        for path in sorted(folder.rglob("*.py"))
    ]


def imports(name: str, path: Path, *, for_types: bool = True) -> list[str]:
    """Dotted names of everything that a module imports: modules, and ``module.name`` for names taken from them."""
    tree = ast.parse(path.read_text())
    found: list[str] = []
    ignored: set[ast.AST] = set()
    for node in ast.walk(tree):
        if not for_types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            ignored |= {inner for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if node in ignored:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")[: -node.level]
                base = ".".join([*parts, base] if base else parts)
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")


def part_of(name: str) -> str:
    """The longest part of the house that a module belongs to."""
    return max((part for part in MAY_IMPORT if within(name, part)), key=len)


def is_module(name: str) -> bool:
    folder = PACKAGES[name.partition(".")[0]].parent / Path(*name.split("."))
    return folder.is_dir() or folder.with_suffix(".py").is_file()


def source_of(imported: str) -> str:
    """The module that an imported name of ours comes from; ``package.__init__`` for a package itself."""
    module = imported if is_module(imported) else imported.rpartition(".")[0]
    return f"{module}.__init__" if module == "gameserver" else module


MODULES = modules()
IDS = [name for name, _ in MODULES]


def test_all_packages_are_read() -> None:
    assert {name.partition(".")[0] for name in IDS} == OURS
    assert len(IDS) > 40
    assert "trio_websocket" in {imported for name, path in MODULES for imported in imports(name, path)}


@pytest.mark.parametrize(("name", "path"), MODULES, ids=IDS)
def test_imports_follow_the_arrows(name: str, path: Path) -> None:
    part = part_of(name)
    allowed = MAY_IMPORT[part]
    for imported in imports(name, path):
        top = imported.partition(".")[0]
        if top in OURS:
            source = source_of(imported)
            assert within(source, part) or any(within(source, other) for other in allowed), f"{name} imports {imported}"
        elif top in THIRD_PARTY:
            assert top in allowed, f"{name} imports {imported}"
        else:
            assert top in sys.stdlib_module_names, f"{name} imports {imported}, which nobody declared"


@pytest.mark.parametrize(("name", "path"), [m for m in MODULES if m[0].startswith(PURE_PARTS)])
def test_pure_parts_touch_nothing_outside(name: str, path: Path) -> None:
    tops = {imported.partition(".")[0] for imported in imports(name, path)}
    assert not tops & OUTSIDE
    assert "trio" not in tops


def test_one_module_imports_the_websocket_library() -> None:
    users = {name for name, path in MODULES if any(within(i, "trio_websocket") for i in imports(name, path))}
    assert users == {"gameserver.net.handshake"}
    assert not any(
        within(i, "wsproto") for name, path in MODULES if name.startswith("gameserver") for i in imports(name, path)
    )


@pytest.mark.parametrize(("name", "path"), MODULES, ids=IDS)
def test_private_modules_of_others_stay_private(name: str, path: Path) -> None:
    """A leading underscore means: of this package. The server may use gameprotocol's, with which it shares the wire."""
    package = name.partition(".")[0]
    for imported in imports(name, path):
        top, *rest = imported.split(".")
        if top in OURS and top != package and any(part.startswith("_") and part != "__init__" for part in rest):
            assert top == "gameprotocol", f"{name} imports {imported}"
        if top in THIRD_PARTY:
            assert not any(part.startswith("_") for part in rest), f"{name} imports {imported}"


def test_clients_are_beside_the_server() -> None:
    for name, path in MODULES:
        if name.startswith(("gameclient", "gamebots", "gameprotocol")):
            assert not any(within(imported, "gameserver") for imported in imports(name, path)), name
        if name.startswith("gameserver"):
            assert not any(
                within(imported, other) for imported in imports(name, path) for other in ("gameclient", "gamebots")
            )


def test_there_are_no_circles_at_run_time() -> None:
    arrows = {
        name: {
            target
            for imported in imports(name, path, for_types=False)
            if imported.partition(".")[0] in OURS and (target := source_of(imported)) in IDS and target != name
        }
        for name, path in MODULES
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name)) if name in way else ""
        if name not in done:
            for target in arrows[name]:
                visit(target, (*way, name))
            done.add(name)

    for name in arrows:
        visit(name, ())
