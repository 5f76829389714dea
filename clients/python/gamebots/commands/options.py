"""What the commands' options have in common: those that make a plan, and files that are written at the end."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gamebots.conditioner import PRESETS, LinkProfile, parse_link
from gamebots.requirements import Requirement, parse_requirements
from gamebots.scenarios import SCENARIOS

Function = TypeVar("Function", bound=Callable[..., Any])

#: What a command gets that writes a file, or to standard output for ``-``.
OUT: Final = click.Path(path_type=Path, dir_okay=False, writable=True, allow_dash=True)
CONTEXT: Final = {"help_option_names": ["-h", "--help"]}


class Number(click.FloatRange):
    """A number within bounds; without this NaN is within all of them."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number that can be waited for or counted", param, ctx)
        return number


def read_ramp(context: click.Context, parameter: click.Parameter, text: str) -> float:
    """Bots a second: ``50/s``, ``50`` or ``inf``."""
    try:
        ramp = float(text.removesuffix("/s"))
    except ValueError:
        ramp = 0.0
    if not ramp > 0:
        raise click.BadParameter(f"{text!r} is no number of bots a second: write 50/s, or inf for all at once")
    return ramp


def read_link(context: click.Context, parameter: click.Parameter, text: str | None) -> LinkProfile | None:
    """A preset, or own values."""
    try:
        return None if text is None else parse_link(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def read_requirements(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[Requirement, ...]:
    """All that is required."""
    try:
        return parse_requirements(*texts) if texts else ()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def check_folder(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """A run takes a while: that its result cannot be written is said before."""
    if path is not None and str(path) != "-" and not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}")
    return path


def out_option(name: str, variable: str, text: str, **more: Any) -> Callable[[Function], Function]:
    """An option that names a file to write."""
    return click.option(name, variable, type=OUT, callback=check_folder, metavar="FILE", help=text, **more)


_PLAN_OPTIONS: Final = (
    click.option(
        "--ramp", default="100/s", show_default=True, callback=read_ramp, help="Bots that connect in a second; or inf."
    ),
    click.option(
        "--scenario",
        default="steady",
        show_default=True,
        help=f"What bots do with their connections: {', '.join(SCENARIOS)}, or FILE.py.",
    ),
    click.option("--bot", help="What decides for a bot: FILE.py:Class or module:Class. [default: what fits the room]"),
    click.option(
        "--replay",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Play recorded inputs instead (see gamebots proxy --record).",
    ),
    click.option(
        "--link",
        callback=read_link,
        metavar="LINK",
        help=f"What each bot's link is like: {', '.join(PRESETS)}, or delay=40ms,jitter=10ms,loss=0.5%,rate=50kB/s.",
    ),
    click.option(
        "--replicas", type=click.IntRange(min=0), help="Bots that hold the state. [default: all to 200, else 50]"
    ),
    click.option("--rate", type=Number(min=0.1, max=240), default=20.0, show_default=True, help="Inputs/s and bot."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of all chance in bots, scenario and links."),
    click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="That share the bots."),
    click.option("--server-pid", type=int, help="Measure this process of this machine, too: CPU and memory."),
    click.option(
        "--token", envvar="TICKWIRE_BOT_TOKEN", help="Given to the server's authenticate; the same for all bots."
    ),
    click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Certificate (PEM) to trust with wss://."),
)


def plan_options(function: Function) -> Function:
    """The options of a run, each named as in `Plan`."""
    for option in reversed(_PLAN_OPTIONS):
        function = option(function)
    return function


def need_libraries(option: str, *modules: str) -> None:
    """Say what to install, before a run rather than behind it."""
    import importlib.util

    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise click.UsageError(f"{option} needs {' and '.join(missing)}: pip install 'tickwire[report]'")


def write_text(path: Path, text: str) -> None:
    """To a file, or to standard output for ``-``."""
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        path.write_text(text, encoding="utf-8")
