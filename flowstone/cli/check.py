"""``check``: what is wrong with a target's assets, without a database and without running any."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flowstone import log
from flowstone.cli import options, output
from flowstone.cli.faults import FAILED
from flowstone.cli.targets import load
from flowstone.settings import Settings
from flowstone.sources import codes
from flowstone.telling import tables
from flowstone.telling.words import counted


@click.command()
@options.target
@options.selection
@options.exclude
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def check(
    *, target: str, selection: tuple[str, ...], exclude: tuple[str, ...], as_json: bool
) -> int:
    """Look for mistakes and code that can't be followed.

    Mistakes in definitions end with exit code 2, as everywhere. An asset whose code can't be
    followed always runs: then the exit code is 1. Code that counts by its source alone is told,
    and no fault. Nothing runs, and no database is needed.
    """
    settings = Settings.load()
    log.configure(settings.log, "warning")
    out = output.claim()
    found = load(target)
    assets = [found.graph[name] for name in found.choose(selection, exclude)]
    code = codes(assets, settings.home / "cache" / "code")
    remarks = [(name, remark) for name, each in code.items() for remark in each.remarks]
    unknown = [name for name, each in code.items() if each.version is None]
    if as_json:
        document = {
            "schema_version": 1,
            "assets": len(assets),
            "remarks": [
                {"asset": name, "level": each.level, "text": each.text, "place": each.place}
                for name, each in remarks
            ],
        }
        click.echo(json.dumps(document, indent=2), file=out)
        return FAILED if unknown else 0
    for line in tables.remarks(remarks, Path.cwd()):
        click.echo(line, file=out)
    click.echo(_summary(len(assets), len(unknown)), file=out)
    return FAILED if unknown else 0


def _summary(assets: int, unknown: int) -> str:
    told = f"{counted(assets, 'asset')} checked"
    if not unknown:
        return f"{told}: their code can be followed"
    return f"{told}: {unknown} always run; mend the code, or pin it with @asset(code_version=...)"
