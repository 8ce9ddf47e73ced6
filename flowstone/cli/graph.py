"""``graph``: the assets and their dependencies, without a database."""

from __future__ import annotations

import click

from flowstone.cli import options, output
from flowstone.cli.targets import load
from flowstone.core.render import dot, mermaid, tree

_FORMS = {"text": tree, "mermaid": mermaid, "dot": dot}


@click.command()
@options.target
@options.selection
@options.exclude
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMS)),
    default="text",
    show_default=True,
    help="Lines of text, a Mermaid flowchart, or Graphviz.",
)
def graph(target: str, selection: tuple[str, ...], exclude: tuple[str, ...], form: str) -> int:
    """Draw assets and their dependencies.

    No database is needed. Only the assets of SELECTION are drawn, if there is one.
    """
    out = output.claim()
    found = load(target)
    chosen = bool(selection or exclude or found.selection)
    names = found.choose(selection, exclude) if chosen else None
    click.echo(_FORMS[form](found.graph, names), file=out, nl=False)
    return 0
