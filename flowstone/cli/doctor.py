"""``doctor``: everything the machine is asked for, a line for each."""

from __future__ import annotations

import dataclasses
import json

import click

from flowstone.cli import options
from flowstone.cli.faults import UNAVAILABLE
from flowstone.doctor import examine
from flowstone.telling.words import printable

_MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


@click.command()
@options.dsn
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def doctor(*, as_json: bool) -> int:
    """Look for what is wrong with this machine.

    Python, packages, settings and where they come from, folders, the server, the schema. The
    embedded server is started if it does not run. Exits with 3 if there is a problem.
    """
    checks = []
    for check in examine():
        checks.append(check)
        if not as_json:
            click.echo(_line(check.name, _MARKS[check.state], check.text, check.cure))
    if as_json:
        document = {"checks": [dataclasses.asdict(check) for check in checks]}
        click.echo(json.dumps(document, indent=2))
    return UNAVAILABLE if any(check.state == "problem" for check in checks) else 0


def _line(name: str, mark: str, text: str, cure: str) -> str:
    told = printable(text) + (f" -> {printable(cure)}" if cure else "")
    return f"{name:<21} {mark:<8} {' '.join(told.split())}"
