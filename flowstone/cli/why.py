"""``why``: an asset's causes, down to the root."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowstone import log
from flowstone.cli import options, output
from flowstone.errors import TargetError
from flowstone.portal import call
from flowstone.settings import Settings
from flowstone.telling.words import printable, relative

if TYPE_CHECKING:
    from flowstone.api import Flowstone
    from flowstone.core.reason import Explanation


@click.command()
@options.target
@click.argument("asset", required=False)
@click.option("--run", metavar="ID", help="A recorded run; without it, the next one.")
@options.settings
@options.partition
@options.dsn
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def why(
    *,
    target: str,
    asset: str | None,
    run: str | None,
    settings: tuple[str, ...],
    partition: str | None,
    as_json: bool,
) -> int:
    """Say why an asset would run, or ran, down to the root.

    Names the definition that changed, with a small diff; the config value; what is different
    outside; and goes on through the inputs for as long as it takes.
    """
    log.configure(Settings.load().log, "warning")
    out = output.claim()
    order = options.Order(target, (asset,) if asset else (), (), settings, partition)
    found, names = order.load()
    name = asset or found.selection or (names[0] if len(names) == 1 else "")
    if name not in found.graph:
        raise TargetError(f"name one asset of {target}: {', '.join(names)}")

    async def work(fs: Flowstone) -> Explanation:
        return await fs.why(
            name, run=run, assets=found.graph, config=order.config, partition=partition
        )

    told = call(work)
    if as_json:
        click.echo(json.dumps(told.to_dict(), indent=2), file=out)
        return 0
    coloured = out.isatty() and not os.environ.get("NO_COLOR")
    for line in relative(printable(str(told)), Path.cwd()).splitlines():
        click.echo(_styled(line) if coloured else line, file=out, color=coloured)
    return 0


def _styled(line: str) -> str:
    """A line of a diff in its colour."""
    mark = line.strip()[:1]
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(mark)
    return click.style(line, fg=colour) if colour else line
