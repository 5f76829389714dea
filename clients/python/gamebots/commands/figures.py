"""``gamebots figures``: what a run measures and --require may name."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from gamebots.commands import options
from gamebots.requirements import STATISTICS, describe_metrics


@click.command(context_settings=options.CONTEXT)
def figures() -> None:
    """List the figures that a run measures, as --require names them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("figure", "unit", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for row in describe_metrics():
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"\nSTATISTIC is one of {', '.join(STATISTICS)}. One group of bots: frames.rate@slow-readers>=5.")
