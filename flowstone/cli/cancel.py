"""``cancel``: ask a run to stop, from anywhere."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

import click

from flowstone import log
from flowstone.cli import options, runs
from flowstone.errors import RunEndedError
from flowstone.portal import call
from flowstone.settings import Settings
from flowstone.telling.words import ago, printable

if TYPE_CHECKING:
    from flowstone.api import Flowstone
    from flowstone.core.records import Run

#: Among how many runs those are looked for that are still running, and how many of them are named.
_NEWEST, _SHOWN = 100, 3


@click.command()
@runs.argument
@click.option("-m", "--reason", metavar="TEXT", help="Why; recorded.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@options.dsn
def cancel(*, run: str, reason: str | None, yes: bool) -> int:
    """Ask a run to stop.

    RUN is an id, the beginning of one, or "last". What the run has made stays recorded; what it is
    making is cancelled. A run whose process is gone is closed.
    """
    log.configure(Settings.load().log, "warning")

    async def look(fs: Flowstone) -> tuple[Run, list[str]]:
        newest = await fs.store.list_runs(limit=_NEWEST)
        going = [each.run_id for each in newest if each.status == "running"]
        return await runs.find(fs.store, run), going

    async def ask(fs: Flowstone) -> None:
        await fs.cancel(found.run_id, reason=reason)

    found, going = call(look)
    if found.status != "running":
        others = f"; still running: {', '.join(going[:_SHOWN])}" if going else ""
        over = f"run {found.run_id} is over, {found.status}"
        raise click.UsageError(f"nothing to stop: {over}{others}")
    if not yes:
        _confirm(found)
    try:
        call(ask)
    except RunEndedError:  # meanwhile; or its process was gone, and now it is closed
        ended, _ = call(look)
        click.echo(f"run {ended.run_id} is over now, {ended.status}; what it made stays recorded")
        return 0
    click.echo(f"run {found.run_id} is asked to stop; what it has made stays recorded")
    return 0


def _confirm(run: Run) -> None:
    began = ago(run.started_at, dt.datetime.now(dt.UTC))
    what = f"run {run.run_id} ({printable(run.target)}, begun {began})"
    if not sys.stdin.isatty():
        raise click.UsageError(f"nothing was stopped: --yes stops {what}")
    click.confirm(f"stop {what}?", abort=True, err=True)
