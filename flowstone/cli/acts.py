"""``accept`` and ``invalidate``: what a person decides about what is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowstone import log
from flowstone.cli import options
from flowstone.errors import TargetError
from flowstone.portal import call
from flowstone.settings import Settings

if TYPE_CHECKING:
    from flowstone.api import Flowstone
    from flowstone.cli.targets import Target

_reason = click.option("-m", "--reason", required=True, metavar="TEXT", help="Why; recorded.")


@click.command()
@options.target
@options.selection
@_reason
@options.settings
@options.partition
@options.dsn
def accept(
    *,
    target: str,
    selection: tuple[str, ...],
    reason: str,
    settings: tuple[str, ...],
    partition: str | None,
) -> int:
    """Let current versions stand for what there is now.

    Nothing is executed: the values stay, for the code, inputs and config of now. Who accepted
    what, when and why is recorded.
    """
    order = options.Order(target, selection, (), settings, partition)
    found, names = _named(order)

    async def work(fs: Flowstone) -> list[str]:
        return await fs.accept(
            *(found.graph[name] for name in names),
            reason=reason,
            assets=found.graph,
            config=order.config,
            partition=partition,
        )

    _tell("accepted", call(work), "nothing to accept: all of it is up to date")
    return 0


@click.command()
@options.target
@options.selection
@_reason
@click.option("--downstream", is_flag=True, help="All that depends on them too.")
@options.partition
@options.dsn
def invalidate(
    *,
    target: str,
    selection: tuple[str, ...],
    reason: str,
    downstream: bool,
    partition: str | None,
) -> int:
    """Never reuse what is recorded so far.

    The next run makes it anew; there is no way back. Who invalidated what, when and why is
    recorded.
    """
    found, names = _named(options.Order(target, selection, (), (), partition))

    async def work(fs: Flowstone) -> list[str]:
        return await fs.invalidate(
            *(found.graph[name] for name in names),
            reason=reason,
            assets=found.graph,
            partition=partition,
            downstream=downstream,
        )

    _tell("invalidated", call(work), "nothing to invalidate: none of it was ever made")
    return 0


def _named(order: options.Order) -> tuple[Target, list[str]]:
    """The assets that were named; all of a module only if that is said."""
    log.configure(Settings.load().log, "warning")
    found, names = order.load()
    if not order.selection and not found.selection:
        raise TargetError(f"name the assets of {found.label} that are meant")
    return found, names


def _tell(done: str, names: list[str], nothing: str) -> None:
    click.echo(f"{done} {', '.join(names)}" if names else nothing)
