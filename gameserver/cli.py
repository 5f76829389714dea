"""The command line: ``gameserver run``. Reads settings, finds room classes, starts, and stops cleanly on a signal."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click
import trio

from gameserver.config import ENVIRONMENT_PREFIX, Settings, SettingsError, load_settings
from gameserver.process import tune_process
from gameserver.rooms.directory import check_room_name
from gameserver.rooms.room import Room, check_room_class
from gameserver.server import VERSION, Server, serve
from gameserver.world.errors import DeclarationError

#: A client of the bundled game to look at; it comes with the sources, not with an installed package.
_EXAMPLE: Final = Path("examples/pygame_arena.py")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="tickwire")
def main() -> None:
    """Tickwire: a server for multiplayer game state."""


@main.command()
@click.argument("rooms", nargs=-1, metavar="[[NAME=]MODULE:CLASS]...")
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on, 0 for any free one. [default: 8765]")
@click.option("--tick-rate", type=float, help="Ticks per second of all rooms, in place of their own.")
@click.option("--seed", type=int, help="Seed of all rooms' random generators, to replay a match.")
@click.option("--log-level", help="debug, info, warning or error. [default: info]")
@click.option("--config", envvar=f"{ENVIRONMENT_PREFIX}CONFIG", metavar="FILE", help="TOML file with settings.")
def run(rooms: tuple[str, ...], config: str | None, **flags: Any) -> None:
    """Serve rooms until Ctrl-C or SIGTERM; without an argument, the bundled game.

    A room is given as module:Class, for example my_game:Arena, and served as /arena; name=my_game:Arena serves it as
    /name. Settings come from flags, then from the environment (TICKWIRE_PORT=9000), then from the TOML file.
    """
    try:
        settings = load_settings({**flags, "rooms": list(rooms) or None}, os.environ, config)
        classes = find_rooms(settings.rooms)
    except (SettingsError, DeclarationError) as error:
        raise click.UsageError(str(error)) from None
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    tune_process()
    try:
        trio.run(_serve_until_signal, settings, classes)
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(
            f"cannot listen on {settings.host}, port {settings.port}: {reason}; is another server there? try --port 0"
        ) from None


def find_rooms(names: tuple[str, ...]) -> dict[str, type[Room]]:
    """Import room classes.

    Args:
        names: ``module:Class`` or ``name=module:Class``.
    Returns:
        The classes by the name that they are served under.
    Raises:
        SettingsError: one cannot be found, is not in order, or has the name of another; the text says which and why.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: a game in the current folder is found
    found: dict[str, type[Room]] = {}
    for given in names:
        name, equals, path = given.rpartition("=")
        room_class = _import_room(path)
        name = name if equals else room_class.__name__.lower()
        try:
            check_room_name(name)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        if name in found:
            raise SettingsError(f"two rooms are called {name}: give one another name, as in other={path}")
        found[name] = room_class
    return found


def _import_room(path: str) -> type[Room]:
    module_name, colon, class_name = path.partition(":")
    if not (module_name and colon and class_name):
        raise SettingsError(f"{path!r} is not a room: write module:Class, for example my_game:Arena")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise SettingsError(f"no module {module_name!r} (for {path}) here or installed") from None
        raise
    room_class = getattr(module, class_name, None)
    if room_class is None:
        rooms = [name for name, thing in vars(module).items() if _is_room(thing)]
        raise SettingsError(f"{module_name} has no {class_name}; its rooms are: {', '.join(rooms) or 'none'}")
    check_room_class(room_class)
    return room_class  # type: ignore[no-any-return]


def _is_room(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, Room) and thing is not Room


async def _serve_until_signal(settings: Settings, classes: dict[str, type[Room]]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serve(
            classes, host=settings.host, port=settings.port, tick_rate=settings.tick_rate, seed=settings.seed
        ) as server:
            _greet(server, classes)
            async for _ in signals:
                break
        click.echo("stopped")


def _greet(server: Server, classes: dict[str, type[Room]]) -> None:
    click.echo(f"Tickwire {VERSION} is running. Rooms:")
    for name in classes:
        click.echo(f"  {server.url(name)}")
    url = server.url(next(iter(classes)))
    if classes == find_rooms(Settings().rooms) and _EXAMPLE.exists():
        click.echo(f"Play:        {_beside_us('python')} {_EXAMPLE} {url}")
    click.echo(f"Send bots:   {_beside_us('gamebots')} {url} --count 50 --seconds 10")
    if _is_public(server.host):
        click.secho("Anyone who reaches this machine can join, and ws:// is not encrypted.", fg="yellow", err=True)
    click.echo("Stop with Ctrl-C.")


def _beside_us(program: str) -> str:
    """How to call a program that is installed where this one is, from the folder that we are in."""
    ours = Path(sys.executable).with_name(program)
    found = shutil.which(program)
    if found is not None and Path(found) == ours:
        return program
    return os.path.relpath(ours) if ours.is_relative_to(Path.cwd()) else str(ours)


def _is_public(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host not in ("", "localhost")
