"""``gamebots capacity URL``: the largest number of bots that still passes, found by runs of more and more of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import click
import psutil
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gamebots import curve, fleet
from gamebots.capacity import Search
from gamebots.commands import options
from gamebots.fleet import FleetError
from gamebots.plan import REPLICA_SAMPLE, Plan, Progress
from gamebots.requirements import Requirement, judge, parse_requirements

#: What makes a run and answers its result document: `gamebots.fleet.run`.
Run = Callable[[Plan, Callable[[Progress], None] | None], dict[str, Any]]

#: What is required when nothing else is.
USUAL: Final = "latency.p99<150ms,ticks.skipped_share<1%"
#: Required in any case, unless something else is required of the same figure: who is not there misses nothing.
ALWAYS: Final = "refused==0,disconnects==0,desyncs==0,bots.failed==0"
#: Between two runs: the server lets go of those who left.
PAUSE_SECONDS: Final = 1.0


@dataclass
class Exploration:
    """A search and what its runs have shown so far.

    Attributes:
        plan: of each run, whose count changes.
        points: what the runs have shown. ended: what ended the search early; None when nothing did.
        interrupted: it was a person.
    """

    plan: Plan
    requirements: Sequence[Requirement]
    search: Search
    points: list[dict[str, Any]] = field(default_factory=list)
    ended: str | None = None
    interrupted: bool = False

    @property
    def text(self) -> str:
        """The answer as far as it is known."""
        return curve.answer_text(self.search, self.points, self.ended)

    def explore(self, run: Run, view: View, pause: Callable[[float], None] = time.sleep) -> None:
        """Make runs until the answer is known, Ctrl-C comes, or nobody can join any more.

        Raises:
            what ``run`` raises for the first run; a later one's error ends the search.
        """
        try:
            while (count := self.search.next_count()) is not None and self.ended is None:
                if self.points:
                    pause(PAUSE_SECONDS)
                self._one_run(count, run, view)
        except KeyboardInterrupt:
            self.ended = "the search was interrupted"
            self.interrupted = True

    def _one_run(self, count: int, run: Run, view: View) -> None:
        # Chance differs from run to run, or a second try would have the bad luck of the first.
        plan = replace(self.plan, count=count, seed=self.plan.seed + len(self.points))
        view.begin(count)
        try:
            document = run(plan, view.update)
        except (FleetError, ValueError, psutil.NoSuchProcess) as error:
            if not self.points:
                raise
            self.ended = f"with {count} the run could not be made ({str(error).strip().splitlines()[-1]})"
            return
        if document["interrupted"]:
            raise KeyboardInterrupt
        self._note(document, view)

    def _note(self, document: dict[str, Any], view: View) -> None:
        point = curve.make_point(document, self._judge(document))
        self.points.append(point)
        if document["bots"]["joined"]:
            self.search.note(point["count"], point["passed"], point["tool_was_limit"])
        else:
            # No matter of how many: the server is gone, or refuses this tool.
            reasons = ", ".join(document["disconnects"]) or "no reason given"
            self.ended = f"with {point['count']} not a single bot could join ({reasons})"
        view.add(point)

    def _judge(self, document: dict[str, Any]) -> dict[str, Any]:
        """What nobody asked for fails a run when it was seen, not when a short one could not see it."""
        chosen = {requirement.figure for requirement in self.requirements}
        always = judge(document, [one for one in parse_requirements(ALWAYS) if one.figure not in chosen])
        verdict = judge(document, self.requirements)
        rows = verdict["requirements"] + [row for row in always["requirements"] if row["found"] is not None]
        return {"passed": all(row["passed"] for row in rows), "requirements": rows}

    def to_document(self) -> dict[str, Any]:
        """For programs."""
        plan = self.plan
        about = {
            "url": plan.url,
            "requirements": [str(requirement) for requirement in self.requirements],
            "seconds": plan.seconds,
            "scenario": plan.scenario,
            "link": plan.link.to_dict() if plan.link is not None else None,
            "seed": plan.seed,
            "processes": plan.processes,
        }
        return curve.make_document(about, self.search, self.points, self.ended)


class View:
    """Shows nothing; what shows something overrides these."""

    def begin(self, count: int) -> None:
        """A run of so many begins."""

    def update(self, progress: Progress) -> None:
        """It goes on."""

    def add(self, point: dict[str, Any]) -> None:
        """It is over."""


class LinesView(View):
    """A line for each run, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._write(curve.plain_heading())

    def add(self, point: dict[str, Any]) -> None:
        self._write(curve.plain_line(point))

    def _write(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class TableView(View):
    """A table that grows on a terminal, and below it what the present run does."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._points: list[dict[str, Any]] = []
        self._show("")

    def begin(self, count: int) -> None:
        self._show(f"{count} bots ...")

    def update(self, progress: Progress) -> None:
        doing = "joining" if progress.phase == "ramp" else "measuring"
        passed = f"{progress.seconds:.0f} of {progress.of_seconds:.0f} s"
        lost = progress.refused + progress.disconnected
        trouble = f", {lost} refused or lost" if lost else ""
        self._show(
            f"{progress.asked} bots: {doing}, {passed}, {progress.connected} connected{trouble}, "
            f"this tool at {progress.tool_cpu_percent:.0f} % of a core"
        )

    def add(self, point: dict[str, Any]) -> None:
        self._points.append(point)
        self._show("")

    def _show(self, doing: str) -> None:
        failed = [point for point in self._points if not point["passed"]][-1:]
        notes = [Text(f"{point['count']} bots missed {curve.missed(point)}", style="red") for point in failed]
        self._live.update(Group(curve.table(self._points), *notes, Text(doing, style="dim")))


@contextmanager
def open_view(console: Console, quiet: bool) -> Iterator[View]:
    """What shows a search: a growing table on a terminal, lines elsewhere, nothing when ``quiet``."""
    if quiet:
        yield View()
    elif console.is_terminal:
        with Live(console=console, refresh_per_second=4, vertical_overflow="visible") as live:
            yield TableView(live)
    else:
        yield LinesView(console)


def run_fleet(plan: Plan, on_progress: Callable[[Progress], None] | None) -> dict[str, Any]:
    """`gamebots.fleet.run`; tests put something else here."""
    return fleet.run(plan, on_progress)


def read_requirements(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[Requirement, ...]:
    """Those of the command line, or the usual ones."""
    return options.read_requirements(context, parameter, texts or (USUAL,))


@click.command(context_settings=options.CONTEXT)
@click.argument("url")
@click.option(
    "--require",
    "requirements",
    multiple=True,
    callback=read_requirements,
    help=f"What must hold in each run, as of gamebots run; may be repeated. [default: {USUAL}]",
)
@click.option("--from", "first", type=click.IntRange(min=1), default=50, show_default=True, help="Fewest bots to try.")
@click.option("--most", type=click.IntRange(min=1), default=5000, show_default=True, help="Most bots to try.")
@click.option(
    "--precision",
    type=options.Number(0.001, 1),
    default=0.05,
    show_default=True,
    help="How near what passes and what fails are to be, as a part of the answer.",
)
@click.option(
    "--seconds", type=options.Number(min=0.5), default=10.0, show_default=True, help="Time to measure in each run."
)
@options.plan_options
@options.out_option(
    "--json", "json_path", "Write all that was found; - or nothing for stdout.", is_flag=False, flag_value="-"
)
@options.out_option("--html", "html_path", "Write a page with a plot of it.")
@click.option("--quiet", is_flag=True, help="Print the answer alone.")
def capacity(
    url: str,
    requirements: tuple[Requirement, ...],
    first: int,
    most: int,
    precision: float,
    json_path: Path | None,
    html_path: Path | None,
    quiet: bool,
    **of_plan: Any,
) -> None:
    """Find how many bots the room at URL holds.

    Runs of more and more bots, twice as many each time until a run misses what is required, then halving the gap. A run
    that misses it is made again: timings are noisy. Each run has chance of its own: one more than the seed before. In
    each run 50 bots hold the state, or as many as --replicas says.

    Exits with 0 when the fewest bots passed, with 1 when not, or when the search was interrupted; with 2 when the
    command is wrong. After Ctrl-C it says what is known so far.
    """
    if most < first:
        raise click.BadParameter(f"it must be {first} (--from) or more", param_hint="--most")
    if html_path is not None:
        options.need_libraries("--html", "matplotlib")
    plan = Plan(url, first, **of_plan)
    if plan.replicas is None:
        # As many in each run: with all of the first 200 this tool would be at its limit sooner with 150 than with 300.
        plan = replace(plan, replicas=REPLICA_SAMPLE)
    exploration = Exploration(plan, requirements, Search(first, most, precision))
    # What programs read is alone on stdout.
    console = Console(stderr=str(json_path) == "-", highlight=False)
    _explore(exploration, console, quiet)
    console.print(exploration.text, markup=False, soft_wrap=True)
    document = exploration.to_document()
    if json_path is not None:
        options.write_text(json_path, json.dumps(document, indent=2) + "\n")
    if html_path is not None:
        from gamebots.report.plots import capacity_figure

        figure = capacity_figure(document["points"]) if document["points"] else ""
        options.write_text(html_path, curve.page(document, figure))
    if exploration.interrupted or not exploration.search.answer().count:
        sys.exit(1)


def _explore(exploration: Exploration, console: Console, quiet: bool) -> None:
    plan = exploration.plan
    try:
        with open_view(console, quiet) as view:
            exploration.explore(run_fleet, view)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except psutil.NoSuchProcess:
        raise click.BadParameter(f"there is no process {plan.server_pid}", param_hint="--server-pid") from None
    except FleetError as error:
        raise click.ClickException(f"a process of the load test failed:\n{error}") from None
