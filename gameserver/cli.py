"""The command line: ``gameserver run``. Reads settings, finds room classes, starts, and stops cleanly on a signal."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import click
import trio

from gameserver.config import ENVIRONMENT_PREFIX, Settings, SettingsError, load_settings
from gameserver.logs import configure_logging, log_event
from gameserver.net.tls import TlsError
from gameserver.process import tune_process
from gameserver.rooms.authentication import Authenticate
from gameserver.rooms.directory import check_room_name
from gameserver.rooms.room import Room, check_room_class
from gameserver.server import VERSION, Server, serve
from gameserver.world.errors import DeclarationError

_log = logging.getLogger("gameserver")
#: Windows has no such signal.
_RELOAD_SIGNALS: Final = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()

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
@click.option("--tls-cert", metavar="FILE", help="Certificate (PEM): speak wss://. Read again on SIGHUP.")
@click.option("--tls-key", metavar="FILE", help="Its private key (PEM), if not in the same file.")
@click.option("--static", metavar="FOLDER", help="Files for browsers; its index.html is what / shows.")
@click.option("--authenticate", metavar="MODULE:FUNCTION", help="Ask this who players are before they get a seat.")
@click.option("--origin", "origins", multiple=True, help="Web page that may connect, * for all; may be repeated.")
@click.option("--trusted-proxy", "trusted_proxies", multiple=True, help="Proxy whose X-Forwarded-For is believed.")
@click.option("--max-connections", type=int, help="At once, in all. [default: as many as there are descriptors]")
@click.option("--max-connections-per-address", type=int, help="At once. [default: 100]")
@click.option("--connects-per-second", type=float, help="In all. [default: 250]")
@click.option("--connects-per-second-per-address", type=float, help="[default: 20]")
@click.option("--messages-per-second", type=float, help="Of a player, besides one a tick. [default: 120]")
@click.option("--bytes-per-second", type=float, help="Of a player's messages. [default: 16384]")
@click.option("--dead-seconds", type=float, help="Silent peers are pinged, and given up after this. [default: 15]")
@click.option("--drain-seconds", type=float, help="How long rooms may go on after SIGTERM. [default: 10]")
@click.option("--watchdog-seconds", type=float, help="Report ticks that take longer; 0: never. [default: 1]")
@click.option("--log-level", help="debug, info, warning or error. [default: info]")
@click.option("--log-format", help="text or json. [default: text]")
@click.option("--config", envvar=f"{ENVIRONMENT_PREFIX}CONFIG", metavar="FILE", help="TOML file with settings.")
def run(rooms: tuple[str, ...], config: str | None, **flags: Any) -> None:
    """Serve rooms until Ctrl-C or SIGTERM; without an argument, the bundled game.

    A room is given as module:Class, for example my_game:Arena, and served as /arena; name=my_game:Arena serves it as
    /name. Settings come from flags, then from the environment (TICKWIRE_PORT=9000), then from the TOML file.
    """
    lists = {name: list(flags.pop(name)) or None for name in ("origins", "trusted_proxies")}
    try:
        settings = load_settings({**flags, **lists, "rooms": list(rooms) or None}, os.environ, config)
        classes = find_rooms(settings.rooms)
        authenticate = find_function(settings.authenticate) if settings.authenticate is not None else None
    except (SettingsError, DeclarationError) as error:
        raise click.UsageError(str(error)) from None
    configure_logging(settings.log_level, settings.log_format)
    logging.captureWarnings(True)  # of an author's numpy, say: programs that read the log expect nothing else there
    tune_process()
    trio.run(_serve_until_signal, settings, classes, authenticate)


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


def find_function(path: str) -> Any:
    """Import ``module:function``; SettingsError when there is none."""
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise SettingsError(f"authenticate = {path!r}: write module:function, for example my_game:check_token")
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except ModuleNotFoundError as error:
        raise SettingsError(f"authenticate = {path!r}: no module {error.name!r} here or installed") from None
    if found is None:
        raise SettingsError(f"authenticate = {path!r}: {module_name} has no {name}")
    return found


def _is_room(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, Room) and thing is not Room


async def _serve_until_signal(
    settings: Settings, classes: dict[str, type[Room]], authenticate: Authenticate | None
) -> None:
    wanted = [signal.SIGINT, signal.SIGTERM, *_RELOAD_SIGNALS]
    with trio.open_signal_receiver(*wanted) as signals:
        async with _serving(settings, classes, authenticate) as server:
            _greet(server, classes)
            async with trio.open_nursery() as nursery:
                async for number in signals:
                    if number in _RELOAD_SIGNALS:
                        _reload(server)
                    elif number == signal.SIGTERM and not server.is_draining:
                        nursery.start_soon(_drain, server, settings.drain_seconds, nursery.cancel_scope)
                        await trio.lowlevel.checkpoint()  # so that it has begun when a second signal comes
                    else:
                        break
                nursery.cancel_scope.cancel()
        click.echo("stopped")


@asynccontextmanager
async def _serving(
    settings: Settings, classes: dict[str, type[Room]], authenticate: Authenticate | None
) -> AsyncIterator[Server]:
    """`serve` as the settings say; what is wrong with them is an error of usage, and nothing that happens later is."""
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(
                serve(
                    classes,
                    host=settings.host,
                    port=settings.port,
                    tick_rate=settings.tick_rate,
                    seed=settings.seed,
                    authenticate=authenticate,
                    limits=settings.limits(),
                    origins=settings.origins,
                    trusted_proxies=settings.trusted_proxies,
                    tls_cert=settings.tls_cert,
                    tls_key=settings.tls_key,
                    static=settings.static,
                    watchdog_seconds=settings.watchdog_seconds or None,
                )
            )
        except (TlsError, DeclarationError, ValueError, TypeError) as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            reason = error.strerror or str(error)
            where = f"{settings.host}, port {settings.port}"
            raise click.ClickException(
                f"cannot listen on {where}: {reason}; is another server there? try --port 0"
            ) from None
        yield server


async def _drain(server: Server, seconds: float, stop: trio.CancelScope) -> None:
    await server.drain(seconds)
    stop.cancel()


def _reload(server: Server) -> None:
    """A new certificate, if there is one; a bad one changes nothing."""
    if server.entrance.tls is None:
        return
    try:
        server.reload_certificate()
    except TlsError as error:
        log_event(_log, logging.ERROR, "certificate not reloaded, the old one stays", reason=str(error))
    else:
        log_event(_log, logging.INFO, "certificate reloaded")


def _greet(server: Server, classes: dict[str, type[Room]]) -> None:
    click.echo(f"Tickwire {VERSION} is running. Rooms:")
    for name in classes:
        click.echo(f"  {server.url(name)}")
    url = server.url(next(iter(classes)))
    click.echo(f"Play:        {server.page_url}")
    if classes == find_rooms(Settings().rooms) and _EXAMPLE.exists():
        click.echo(f"Or:          {_beside_us('python')} {_EXAMPLE} {url}")
    click.echo(f"Send bots:   {_beside_us('gamebots')} {url} --count 50 --seconds 10")
    if _is_public(server.host) and server.entrance.tls is None:
        _log.warning(
            "Not encrypted: anyone on the way can read and change what players send. Give --tls-cert and --tls-key, or "
            "listen on 127.0.0.1 behind a proxy that speaks TLS (see README, Serve it)."
        )
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
