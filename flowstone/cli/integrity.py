"""``db check``: whether what is recorded is whole, a line for each invariant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import click

from flowstone.checking import check_database
from flowstone.cli import options
from flowstone.cli.faults import VIOLATED
from flowstone.settings import Settings
from flowstone.store.connect import server
from flowstone.telling.words import counted, printable
from flowstone.values import ValueStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.store.integrity import Finding, Offender

#: Offenders that are shown of each invariant; ``--json`` has a few more.
_SHOWN = 3


@click.command()
@click.option("--skip-values", is_flag=True, help="Don't read the values.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@options.dsn
def check(*, skip_values: bool, as_json: bool) -> int:
    """Look whether what is recorded is whole.

    Every invariant is looked for in one snapshot, and every value read once. Nothing is changed;
    runs go on meanwhile. Exits with 5 if something is wrong.
    """
    settings = Settings.load()
    values = None if skip_values else ValueStore(settings.values, pickle=settings.pickle)
    findings = anyio.run(_examine, settings, values)
    if as_json:
        click.echo(json.dumps({"invariants": [_document(each) for each in findings]}, indent=2))
    else:
        for line in (line for finding in findings for line in _lines(finding)):
            click.echo(printable(line))
    return 0 if all(finding.ok for finding in findings) else VIOLATED


async def _examine(settings: Settings, values: ValueStore | None) -> list[Finding]:
    async with server(settings.database_url, settings.home) as conninfo:
        return await check_database(conninfo, settings.schema_name, values)


def _lines(finding: Finding) -> Iterator[str]:
    rule = finding.invariant
    state = "ok" if finding.ok else counted(finding.violations, "violation")
    yield f"{rule.number}  {rule.promise}: {state}"
    shown = finding.offenders[:_SHOWN]
    yield from (f"    {_told(offender)}" for offender in shown)
    if finding.violations > len(shown):
        yield f"    and {finding.violations - len(shown)} more"


def _told(offender: Offender) -> str:
    named = {
        "asset": offender.asset,
        "partition": offender.partition,
        "run": offender.run_id,
        "id": offender.id,
    }
    where = ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)
    return f"{where}: {offender.what}" if where else offender.what


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "invariant": finding.invariant.number,
        "promise": finding.invariant.promise,
        "violations": finding.violations,
        "offenders": [
            {
                "asset": each.asset,
                "partition": each.partition,
                "run_id": each.run_id,
                "id": each.id and str(each.id),
                "what": each.what,
            }
            for each in finding.offenders
        ],
    }
