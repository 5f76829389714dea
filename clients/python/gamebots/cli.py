"""The command line: ``gamebots URL``, and the other commands."""

from __future__ import annotations

import click

from gamebots.commands import options
from gamebots.commands.run import run

#: Commands by name, as module and object: those that are not asked for are not imported.
_COMMANDS = {
    "run": "gamebots.commands.run:run",
    "proxy": "gamebots.commands.proxy:proxy",
    "capacity": "gamebots.commands.capacity:capacity",
    "compare": "gamebots.commands.compare:compare",
    "figures": "gamebots.commands.figures:figures",
}


class _Commands(click.Group):
    """A group whose first word may be left out: what is no command's name is the URL of a run."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _, found = _COMMANDS[name].partition(":")
        command: click.Command = getattr(__import__(module, fromlist=[found]), found)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in _COMMANDS:
            return super().resolve_command(context, args)
        return run.name, run, args


@click.group(
    cls=_Commands,
    context_settings={**options.CONTEXT, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.version_option(package_name="tickwire", prog_name="gamebots")
def main() -> None:
    """Load tests that judge: bots that play a room as people do, what they feel of it, and a verdict.

    gamebots URL is short for gamebots run URL; see gamebots run --help.
    """
