"""``make bench``: ours and the rivals, interleaved, in one run.

Timings on a shared machine vary by 15-25 %, so only ratios within one run count: every repeat measures all systems one
after the other, and the table shows medians and the spread. The server's costs are what the system tells of its
process; what players feel comes from players of `gamebots` among the clients.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import click

from gamebots.report.plots import bench_figure
from tests.bench import process
from tests.bench.publish import publish_10000
from tests.bench.report import medians, table
from tests.bench.rivals import Rivals, UnavailableError
from tests.bench.sweep import SWEEP, fit
from tests.bench.systems import PLAYERS, WORKLOADS, Row, tickwire

#: What is measured when nothing is named; the others take long, or belong to the sweep.
USUAL = "^(full|echo|publish|aoi-1000$|aoi-private)"
OUT = Path("build/bench")


@click.command()
@click.option("--only", default=USUAL, help="Regular expression: which workloads.")
@click.option("--clients", default="1000", help="Counts of clients, separated by commas.")
@click.option("--seconds", default=10.0, help="Measured time of a point.")
@click.option("--repeats", default=3, help="How often each point is measured.")
@click.option("--rivals", type=click.Path(path_type=Path), default=Path("../shared/rivals"), help="Folder of rivals.")
@click.option("--figure", type=click.Path(path_type=Path, dir_okay=False), help="Copy the plot there: docs/bench.svg.")
def main(only: str, clients: str, seconds: float, repeats: int, rivals: Path, figure: Path | None) -> None:
    """Measure workloads and write build/bench/results.json, points.json, table.md and bench.svg."""
    chosen = [name for name in (*WORKLOADS, "publish-10000", "aoi-sweep") if re.search(only, name)]
    if not chosen:
        raise click.BadParameter(
            f"no workload matches {only!r}; there are {', '.join(WORKLOADS)}, publish-10000, aoi-sweep"
        )
    counts = [int(count) for count in clients.split(",")]
    if min(counts) <= PLAYERS:
        raise click.BadParameter(
            f"{PLAYERS} of the clients measure, so there are more than that", param_hint="--clients"
        )
    field: Rivals | None = Rivals(rivals, OUT / "rivals")
    try:
        field.prepare()  # type: ignore[union-attr]
    except UnavailableError as why:
        click.secho(f"Measuring ourselves alone: {why}", fg="yellow", err=True)
        field = None
    rows: list[Row] = [publish_10000()] if "publish-10000" in chosen else []
    points = [(name, count) for name in chosen if name in WORKLOADS for count in WORKLOADS[name].clients or counts]
    if "aoi-sweep" in chosen:
        points += [point for point in SWEEP if point not in points]
    for repeat in range(repeats):
        for workload, count in points:
            click.echo(f"{workload} x {count}, {repeat + 1} of {repeats}", err=True)
            rows += _one_round(field, workload, count, seconds)
    _write(rows, figure)


def _one_round(field: Rivals | None, workload: str, clients: int, seconds: float) -> list[Row]:
    """All systems once, ours first: its frames' size is what the floor sends."""
    ours = _measured(lambda: tickwire(workload, clients, seconds))
    rows = [ours]
    if field is not None and WORKLOADS[workload].rival:
        rows.append(_measured(lambda: field.floor(workload, clients, seconds, round(ours["bytes_per_client_tick"]))))
        rows.append(_measured(lambda: field.colyseus(workload, clients, seconds)))
    return rows


def _measured(run: Callable[[], Row]) -> Row:
    row = run()
    click.echo(
        f"  {row['system']:9} {row['cpu_us_per_client_tick']:6.1f} us per client and tick, {row['tick_hz']:.2f} Hz",
        err=True,
    )
    return row


def _write(rows: list[Row], figure: Path | None) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    middle = medians(rows)
    (OUT / "results.json").write_text(json.dumps(middle, indent=2) + "\n")
    (OUT / "points.json").write_text(json.dumps({"machine": process.machine(), "points": rows}, indent=2) + "\n")
    text = "\n".join(part for part in (process.machine(), "", table(middle), fit(middle)) if part is not None)
    (OUT / "table.md").write_text(text + "\n")
    click.echo(text)
    drawn = [row for row in middle if row["cpu_us_per_client_tick"] is not None]
    if drawn:
        for path in filter(None, (OUT / "bench.svg", figure)):
            path.write_text(_with_background(bench_figure(drawn)), encoding="utf-8")


def _with_background(svg: str) -> str:
    """A figure that is meant for a page, with colours of its own: as an image it does not know the page's."""
    style = (
        "<style>svg { color: #1d2329; background: #fff }"
        "@media (prefers-color-scheme: dark) { svg { color: #e4e8ec; background: #14181c } }</style>"
    )
    head, _, rest = svg.partition(">")
    return f"{head}>{style}{rest}"


if __name__ == "__main__":
    main()
