"""The command line: ``gamebots URL``."""

from __future__ import annotations

import json
import ssl
import sys
from typing import Any

import click
import trio

from gamebots.report import report_text
from gamebots.swarm import Swarm


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("url")
@click.option("--count", type=click.IntRange(min=1), default=50, show_default=True, help="Bots to connect.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Time to measure.")
@click.option(
    "--rate", type=click.FloatRange(min=0.1, max=240), default=20.0, show_default=True, help="Inputs/s and bot."
)
@click.option("--replicas", type=click.IntRange(min=0), help="Bots that hold the state. [default: all to 200, else 50]")
@click.option("--token", envvar="TICKWIRE_BOT_TOKEN", help="Given to the server's authenticate; the same for all bots.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Certificate (PEM) to trust with wss://.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(
    url: str,
    count: int,
    seconds: float,
    rate: float,
    replicas: int | None,
    token: str | None,
    ca: str | None,
    as_json: bool,
) -> None:
    """Connect bots to the room at URL (ws://127.0.0.1:8765/arena) and say what they saw.

    Exits with 1 when no bot could connect, or when a replica differed from the server's state.
    """
    _raise_descriptor_limit(count)
    try:
        tls = ssl.create_default_context(cafile=ca) if ca is not None else None
        swarm = Swarm(url, count, replicas=replicas, rate=rate, token=token, tls=tls)
        report = trio.run(_run, swarm, seconds, not as_json and sys.stderr.isatty())
    except ssl.SSLError as error:
        raise click.BadParameter(f"{ca} is no certificate (PEM): {error.reason or error}", param_hint="--ca") from None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from None
    except KeyboardInterrupt:
        raise click.Abort from None
    click.echo(json.dumps(report, indent=2) if as_json else report_text(report))
    if not report["connected"] or report["desyncs"]:
        sys.exit(1)


async def _run(swarm: Swarm, seconds: float, show_progress: bool) -> dict[str, Any]:
    if not show_progress:
        return await swarm.run(seconds)
    with click.progressbar(length=int(seconds * 10), label=f"{swarm.count} bots", file=sys.stderr) as bar:
        return await swarm.run(seconds, lambda passed: bar.update(int(passed * 10) - bar.pos))


def _raise_descriptor_limit(count: int) -> None:
    """Each bot needs a descriptor, and the usual soft limit is 1024."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 64
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise click.UsageError(f"--count {count} needs {wanted} file descriptors, this system allows {hard}")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
