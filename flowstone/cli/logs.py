"""``logs``: what the assets of a run printed and logged."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from flowstone import log
from flowstone.cli import options, runs
from flowstone.errors import NotFoundError, did_you_mean
from flowstone.portal import call
from flowstone.runner.output import read
from flowstone.settings import Settings
from flowstone.telling.words import printable, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.api import Flowstone
    from flowstone.core.records import Run, StepLog

_COLOURS = {"warning": "yellow", "err": "yellow", "error": "red", "critical": "red"}
_WIDTH = len("critical")


@click.command()
@runs.argument
@click.argument("asset", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@options.dsn
def logs(*, run: str, asset: str | None, as_json: bool) -> int:
    """Show what the assets of a run printed and logged.

    RUN is an id, the beginning of one, or "last". What is told of each attempt: the time, the
    stream or the level, and the line.
    """
    log.configure(Settings.load().log, "warning")

    async def look(fs: Flowstone) -> tuple[Run, list[StepLog]]:
        found = await runs.find(fs.store, run)
        told = await fs.store.logs(found.run_id, asset)
        if asset and not told:
            names = {row.asset_name for row in await fs.store.get_by_run_id(found.run_id)}
            if asset not in names:
                hint = did_you_mean(asset, names) or "; it made others, or reused it"
                raise NotFoundError(f"run {found.run_id} did not make {asset!r}{hint}")
        return found, told

    found, told = call(look)
    if as_json:
        click.echo(json.dumps([_document(each) for each in told], indent=2))
    elif not told:
        click.echo(f"nothing was printed or logged in run {found.run_id}", err=True)
    else:
        coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in _lines(told, coloured=coloured):
            click.echo(line, color=coloured)
    return 0


def _lines(told: list[StepLog], *, coloured: bool) -> Iterator[str]:
    for number, each in enumerate(told):
        if number:
            yield ""
        head = " ".join(filter(None, [each.asset_name, each.partition]))
        again = f", attempt {each.attempt}" if each.attempt > 1 else ""
        missing = f", {size(each.left_out)} left out" if each.left_out else ""
        yield printable(f"{head}{again}{missing}")
        for at, level, text in read(each.lines):
            when = f"{at.astimezone():%H:%M:%S}" if at else ""
            mark = f"{level:<{_WIDTH}}"
            if coloured and level in _COLOURS:
                mark = click.style(mark, fg=_COLOURS[level])
            yield f"  {when:<8}  {mark}  {printable(text)}".rstrip()


def _document(told: StepLog) -> dict[str, Any]:
    lines = [
        {"at": at and at.isoformat(), "level": level, "text": text}
        for at, level, text in read(told.lines)
    ]
    return told.model_dump(exclude={"lines", "run_id"}) | {"lines": lines}
