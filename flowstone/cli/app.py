"""The commands by name, how they are found, and how a call of one ends."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flowstone import __version__
from flowstone.cli import faults
from flowstone.cli.interrupts import INTERRUPTED, TERMINATED, Terminated, interrupts
from flowstone.core.garbage import importing
from flowstone.errors import FlowstoneError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Where each command lives, and what it does in a line; imported when it is called.
COMMANDS = {
    "run": ("flowstone.cli.run:run", "Make assets, and all they need that is not fresh."),
    "resume": ("flowstone.cli.resume:resume", "Ask again for what a run was asked for."),
    "plan": ("flowstone.cli.plan:plan", "Say what run would do, and why."),
    "why": ("flowstone.cli.why:why", "Say why an asset would run, or ran, down to the root."),
    "logs": ("flowstone.cli.logs:logs", "Show what the assets of a run printed and logged."),
    "cancel": ("flowstone.cli.cancel:cancel", "Ask a run to stop."),
    "check": (
        "flowstone.cli.check:check",
        "Look for mistakes and code that can't be followed.",
    ),
    "accept": ("flowstone.cli.acts:accept", "Let current versions stand for what there is now."),
    "invalidate": ("flowstone.cli.acts:invalidate", "Never reuse what is recorded so far."),
    "graph": ("flowstone.cli.graph:graph", "Draw assets and their dependencies."),
    "db": ("flowstone.cli.app:db", "Look at the database, and look after it."),
    "doctor": ("flowstone.cli.doctor:doctor", "Look for what is wrong with this machine."),
}
DB_COMMANDS = {
    "status": ("flowstone.cli.db:status", "Say which server it is, and what schema it has."),
    "migrate": ("flowstone.cli.db:migrate", "Bring an older schema up to date."),
    "check": ("flowstone.cli.integrity:check", "Look whether what is recorded is whole."),
    "roles": (
        "flowstone.cli.roles:roles",
        "Print the SQL of roles for readers, runners and admins.",
    ),
    "start": ("flowstone.cli.server:start", "Start the embedded server, and say how to connect."),
    "stop": ("flowstone.cli.server:stop", "Stop the embedded server, unless it is in use."),
    "dump": ("flowstone.cli.data:dump", "Write the tables and what is in them as SQL."),
    "reset": (
        "flowstone.cli.data:reset",
        "Remove all that is recorded; the embedded server's data go too.",
    ),
}


class Commands(click.Group):
    """A group whose commands are named by strings, so that listing them imports none."""

    def __init__(self, *, table: Mapping[str, tuple[str, str]], **options: Any) -> None:
        self._table = table
        super().__init__(**options, invoke_without_command=True)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in self._table:
            ctx.fail(f"no command {cmd_name!r}" + did_you_mean(cmd_name, self._table))
        module, _, attribute = self._table[cmd_name][0].partition(":")
        with importing():
            command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The commands with a line for each, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._table.items()])


def _help(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@click.command(cls=Commands, table=COMMANDS)
@click.version_option(__version__, message=f"flowstone {__version__}")
@click.pass_context
def flowstone(ctx: click.Context) -> None:
    """Decorated Python functions are data assets; nothing is made twice without a reason.

    TARGET is a module (shop.pipeline), a file (pipeline.py), or either with ::asset.
    """
    _help(ctx)


@click.command(cls=Commands, table=DB_COMMANDS)
@click.pass_context
def db(ctx: click.Context) -> None:
    """Look at the database, and look after it."""
    _help(ctx)


def main() -> NoReturn:
    """Run the command of ``sys.argv``, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # they are text files here
    interrupts.install()
    sys.exit(_invoke(sys.argv[1:]))


def _invoke(arguments: Sequence[str]) -> int:
    """The exit code of a call; errors that are expected are told on stderr.

    Click's own ``main`` is not used: it would swallow interrupts and closed pipes.
    """
    installed = Path(sys.argv[0]).name == "flowstone"
    program = "flowstone" if installed else "python -m flowstone"
    try:
        with flowstone.make_context(program, list(arguments)) as ctx:
            code = flowstone.invoke(ctx) or 0
        sys.stdout.flush()
    except click.exceptions.Exit as wanted:
        return wanted.exit_code
    except click.ClickException as error:
        return faults.tell_usage(error)
    except FlowstoneError as error:
        return faults.tell(error)
    except KeyboardInterrupt as interrupt:
        return TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    return int(code)
