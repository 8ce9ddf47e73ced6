"""Errors as the command line tells them, and the exit code of each."""

from __future__ import annotations

from pathlib import Path

import click

from flowstone.errors import (
    AcceptError,
    DefinitionError,
    DefinitionErrors,
    EmptySelectionError,
    FlowstoneError,
    HashingError,
    NotFoundError,
    PartitionError,
    ResourceError,
    ResumeError,
    SelectionError,
    SettingsError,
)
from flowstone.telling.words import printable, relative

FAILED, MISTAKEN, UNAVAILABLE, UNMATCHED, VIOLATED = 1, 2, 3, 4, 5
_MISTAKES = (
    AcceptError,
    DefinitionError,
    SelectionError,
    PartitionError,
    HashingError,
    NotFoundError,
    ResumeError,
    SettingsError,
)


def exit_code(error: FlowstoneError) -> int:
    """2 for a mistake of the user's, 4 for a selection that matched nothing, 3 for the rest.

    What remains is the database, the value store, or the machine.
    """
    if isinstance(error, EmptySelectionError):
        return UNMATCHED
    if isinstance(error, ResourceError) and not getattr(error.result, "ok", True):
        return FAILED  # what an asset's failure ends with, whatever else went wrong
    return MISTAKEN if isinstance(error, _MISTAKES) else UNAVAILABLE


def lines(error: FlowstoneError, folder: Path) -> list[str]:
    """An error for stderr: each definition error on its own, paths from ``folder`` on."""
    several = error.errors if isinstance(error, DefinitionErrors) else [error]
    return [f"error: {relative(printable(str(each)), folder)}" for each in several]


def tell(error: FlowstoneError) -> int:
    """Print an error to stderr and give the exit code."""
    for line in lines(error, Path.cwd()):
        click.echo(line, err=True)
    return exit_code(error)


def tell_usage(error: click.ClickException) -> int:
    """Print what is wrong with a call, and where help is, to stderr; give the exit code."""
    text = error.format_message().rstrip(".")
    ctx = getattr(error, "ctx", None)
    click.echo(f"error: {text[:1].lower()}{text[1:]}", err=True)
    if ctx is not None:
        click.echo(f"see {ctx.command_path} --help", err=True)
    return MISTAKEN
