"""``gamebots proxy URL``: a conditioned link before any client, a browser too."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

import click
import trio

from gamebots.conditioner import PRESETS, LinkProfile, parse_link
from gamebots.conditioner.proxy import Proxy

if TYPE_CHECKING:
    from gamebots.recorder import Recorder

_PORTS: Final = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})


class _Address(NamedTuple):
    host: str
    port: int


def _read_link(context: click.Context, parameter: click.Parameter, value: str) -> LinkProfile:
    try:
        return parse_link(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _read_listen(context: click.Context, parameter: click.Parameter, value: str) -> _Address:
    try:
        parts = urlsplit(f"//{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or value.rpartition(":")[0].strip("[]").lower() != host:
        raise click.BadParameter(f"{value!r} is no HOST:PORT: write 127.0.0.1:9000, or [::1]:9000")
    return _Address(host, port)


def _read_url(context: click.Context, parameter: click.Parameter, value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        fine = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise click.BadParameter(f"{value!r} is no server: write ws://127.0.0.1:8765/room or http://127.0.0.1:8765/")
    return parts


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("url", callback=_read_url)
@click.option(
    "--listen",
    callback=_read_listen,
    metavar="HOST:PORT",
    default="127.0.0.1:9000",
    show_default=True,
    help="Where clients connect; port 0 for any that is free.",
)
@click.option(
    "--link",
    "profile",
    callback=_read_link,
    default="mobile",
    show_default=True,
    help=f"{', '.join(PRESETS)}, or own values: delay=40ms,jitter=10ms,loss=0.5%,rate=50kB/s; or one and the other: "
    "dsl,down.rate=50kB/s.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of all chance in the links.")
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), help="Write players' inputs to this file.")
def proxy(url: SplitResult, listen: _Address, profile: LinkProfile, seed: int, record: Path | None) -> None:
    """Put a slow, lossy or stalling link between any client and the server at URL (ws:// or http://).

    Bytes pass unchanged and late, so a browser can open the page through it. Ctrl-C ends it and says what it delivered.
    """
    if record is not None and url.scheme in ("wss", "https"):
        raise click.UsageError("--record cannot read what TLS hides: use the server's ws:// address")
    with ExitStack() as stack:
        recorder = _open_recorder(record, stack) if record is not None else None
        carrier = Proxy(
            url.hostname or "",
            url.port or _PORTS[url.scheme],
            profile,
            seed=seed,
            make_tap=recorder.tap if recorder is not None else None,
            on_trouble=lambda text: click.echo(text, err=True),
        )
        try:
            trio.run(_run, carrier, listen, partial(_welcome, url, listen, profile))
        except OSError as error:
            raise click.ClickException(_explain(error, listen)) from None
        carrier.finish()
        click.echo(carrier.summary())
        if recorder is not None:
            _tell_recorded(recorder, record)


def _open_recorder(path: Path, stack: ExitStack) -> Recorder:
    from gamebots.recorder import Recorder

    try:
        file = stack.enter_context(path.open("x", encoding="utf-8", buffering=1))
    except FileExistsError:
        raise click.UsageError(f"{path} is there already: give --record another name") from None
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}") from None
    return Recorder(file.write)


def _tell_recorded(recorder: Recorder, path: Path | None) -> None:
    inputs = f"{recorder.inputs} input{'' if recorder.inputs == 1 else 's'}"
    click.echo(f"{inputs} of {recorder.players} player{'' if recorder.players == 1 else 's'} in {path}")
    for note in recorder.notes:
        click.echo(note, err=True)


async def _run(carrier: Proxy, listen: _Address, welcome: Callable[[int], None]) -> None:
    """Carry until a signal says that it is enough."""
    listeners = await carrier.listen(listen.host, listen.port)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carrier.serve, listeners)
            welcome(listeners[0].socket.getsockname()[1])
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break


def _welcome(url: SplitResult, listen: _Address, profile: LinkProfile, port: int) -> None:
    """Say where to connect to, and what the link is like."""
    host = "127.0.0.1" if listen.host in _EVERYWHERE else listen.host
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    page = {"ws": "http", "wss": "https"}.get(url.scheme, url.scheme)
    use = url._replace(netloc=where).geturl()
    if url.scheme in ("ws", "wss"):
        use += f"  (in a browser: {page}://{where}/)"
    click.echo(f"{profile.name}: {profile.describe()}")
    click.echo(f"Connect to {use}")
    if page == "https":
        click.echo(f"The certificate is still the one of {url.hostname}, so clients may have to be told to accept it.")
    click.echo("Ctrl-C ends it.")


def _explain(error: OSError, listen: _Address) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {listen.port} is taken: give another one with --listen {listen.host}:{listen.port + 1}"
    return f"nobody can listen on {listen.host}:{listen.port} ({error.strerror or error})"
