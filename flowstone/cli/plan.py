"""``plan``: what a run would do, and why."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowstone import log
from flowstone.cli import options, output
from flowstone.cli.faults import FAILED
from flowstone.portal import call
from flowstone.settings import Settings
from flowstone.telling import tables

if TYPE_CHECKING:
    from flowstone.core.plan import Plan

_COLOURS = {"+": "green", "~": "yellow", "=": "bright_black", "!": "red", " ": "bright_black"}


@click.command(cls=options.OrderCommand)
@options.ordering
@click.option("--check", is_flag=True, help="Exit with 1 if anything would run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def plan(order: options.Order, *, check: bool, as_json: bool) -> int:
    """Say what run would do, and why.

    Nothing runs and no value is read. SELECTION narrows TARGET to some of its assets: names,
    tag:x, group:y, with + before or after for what they need or what needs them.
    """
    drawn = show(order, as_json=as_json)
    counts = drawn.counts
    return FAILED if check and counts["materialize"] + counts["blocked"] else 0


def show(order: options.Order, *, as_json: bool) -> Plan:
    """Draw the plan of an order and print it to stdout."""
    log.configure(Settings.load().log, "warning")
    out = output.claim()
    found, names = order.load()
    drawn = call(lambda fs: order.plan(fs, found, names))
    if as_json:
        click.echo(json.dumps(tables.document(drawn), indent=2), file=out)
        return drawn
    coloured = out.isatty() and not os.environ.get("NO_COLOR")
    for mark, text in tables.table(drawn, dt.datetime.now(dt.UTC), Path.cwd()):
        shown = click.style(mark, fg=_COLOURS.get(mark)) if coloured and mark else mark
        click.echo(f"{shown} {text}" if mark else text, file=out, color=coloured)
    for line in tables.remarks(drawn.remarks, Path.cwd()):
        click.echo(line, err=True)
    return drawn
