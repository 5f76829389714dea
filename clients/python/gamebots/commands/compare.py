"""``gamebots compare A.json B.json``: what has changed between two runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gamebots.commands import options
from gamebots.differences import Difference, differences, unlike
from gamebots.figures import FORMAT
from gamebots.units import printable, show_amount

_STYLES = {"better": "green", "worse": "bold red"}


@click.command(context_settings=options.CONTEXT)
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.out_option("--html", "html_path", "Write a report that shows both.")
@click.option(
    "--fail-if-worse",
    type=options.Number(min=0),
    metavar="PERCENT",
    help="Exit with 1 when a figure is worse by more than this.",
)
def compare(before: Path, after: Path, html_path: Path | None, fail_if_worse: float | None) -> None:
    """Show what has changed from the run in BEFORE to the one in AFTER, results that gamebots --json has written.

    Timings of a shared machine vary by 15 to 25 % from run to run: smaller differences are no news.
    """
    if html_path is not None:
        options.need_libraries("--html", "matplotlib", "jinja2")
    earlier, later = read_document(before), read_document(after)
    rows = differences(later, earlier, *(() if fail_if_worse is None else (fail_if_worse,)))
    console = Console(highlight=False)
    for line in unlike(earlier, later):
        console.print(Text(f"Note: {line}", style="yellow"))
    console.print(_table(rows))
    if html_path is not None:
        from gamebots.report import write_page

        write_page(later, html_path, earlier)
    worse = [row.name for row in rows if row.tone == "worse"]
    if fail_if_worse is not None and worse:
        console.print(Text(f"FAILED: worse by more than {fail_if_worse:g} %: {', '.join(worse)}", style="bold red"))
        sys.exit(1)


def read_document(path: Path) -> dict[str, Any]:
    """A result that was written before; UsageError when the file is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise click.UsageError(f"{path} is no result of gamebots --json FILE ({error})") from None
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        has = f"its format is {printable(found)}" if found else "it has no format"
        raise click.UsageError(f"{path} is no result of a run ({has}, {FORMAT} is read): gamebots URL --json {path}")
    return dict(document)


def _table(rows: list[Difference]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("figure", no_wrap=True)
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        amounts = [show_amount(value, row.unit) for value in (row.before, row.after)]
        table.add_row(row.name, *amounts, row.text, Text(row.tone, style=_STYLES.get(row.tone, "")))
    return table
