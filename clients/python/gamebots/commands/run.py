"""``gamebots URL``: one load test, what it measured, and whether that is good enough."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console

from gamebots import fleet, worker
from gamebots.commands import options
from gamebots.live import make_view
from gamebots.plan import Plan
from gamebots.requirements import Requirement, judge, passed
from gamebots.text import print_result


@click.command(context_settings=options.CONTEXT)
@click.argument("url")
@click.option("--count", type=click.IntRange(min=1), default=50, show_default=True, help="Bots to connect.")
@click.option("--seconds", type=options.Number(min=0.1), default=10.0, show_default=True, help="Time to measure.")
@options.plan_options
@click.option(
    "--require",
    "requirements",
    multiple=True,
    callback=options.read_requirements,
    help="What must hold: latency.p99<120ms,desyncs==0,frames.rate>=19; may be repeated. See gamebots figures.",
)
@options.out_option("--json", "json_path", "Write the result; - or nothing for stdout.", is_flag=False, flag_value="-")
@options.out_option("--junit", "junit_path", "Write JUnit XML, a test case for each requirement.")
@options.out_option("--html", "html_path", "Write a report with plots, one self-contained page.")
@click.option(
    "--compare",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="An earlier result (JSON) that the report shows beside this one.",
)
@click.option("--quiet", is_flag=True, help="No progress; the result alone.")
def run(
    url: str,
    requirements: tuple[Requirement, ...],
    json_path: Path | None,
    junit_path: Path | None,
    html_path: Path | None,
    compare: Path | None,
    quiet: bool,
    **of_plan: Any,
) -> None:
    """Connect bots to the room at URL (ws://127.0.0.1:8765/arena), measure what they feel, and judge it.

    Exits with 0 when all is well; with 1 when a requirement is not met, no bot could join, a world differed from the
    server's, or a bot's own code failed; with 2 when the command is wrong. After Ctrl-C the result so far is shown.

    Other commands: gamebots proxy, capacity and compare; each has --help.
    """
    if compare is not None and html_path is None:
        raise click.UsageError("--compare is for the report: add --html FILE, or use gamebots compare")
    if html_path is not None:
        options.need_libraries("--html", "matplotlib", "jinja2")
    if junit_path is not None:
        options.need_libraries("--junit", "junitparser")
    earlier = None if compare is None else _read_earlier(compare)
    document = measure(Plan(url, **of_plan), quiet)
    document["verdict"] = judge(document, requirements) if requirements else None
    _write(document, json_path, junit_path, html_path, earlier)
    if str(json_path) != "-":
        print_result(document, Console(highlight=False))
    if not passed(document):
        sys.exit(1)


def measure(plan: Plan, quiet: bool) -> dict[str, Any]:
    """Do the run, with its progress on standard error."""
    console = Console(stderr=True, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        worker.check(plan)  # before anything is shown
        with make_view(plan, console, "none" if quiet else "auto") as view:
            return fleet.run(plan, view.update)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except psutil.NoSuchProcess:
        raise click.BadParameter(f"there is no process {plan.server_pid}", param_hint="--server-pid") from None
    except fleet.FleetError as error:
        raise click.ClickException(f"a process of the load test failed:\n{error}") from None
    except KeyboardInterrupt:
        raise click.Abort from None


def _interrupt(*_: object) -> None:
    """SIGTERM ends a run as Ctrl-C does: what was measured is shown, and a terminal is left as it was."""
    raise KeyboardInterrupt


def _read_earlier(path: Path) -> dict[str, Any]:
    from gamebots.commands.compare import read_document

    return read_document(path)


def _write(
    document: dict[str, Any],
    json_path: Path | None,
    junit_path: Path | None,
    html_path: Path | None,
    earlier: dict[str, Any] | None,
) -> None:
    if json_path is not None:
        options.write_text(json_path, json.dumps(document, indent=2) + "\n")
    if junit_path is not None:
        from gamebots.junit import junit_xml

        options.write_text(junit_path, junit_xml(document))
    if html_path is not None:
        from gamebots.report import write_page

        write_page(document, html_path, earlier)
