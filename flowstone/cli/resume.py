"""``resume``: ask again for what a run was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from flowstone.cli import options, runs
from flowstone.cli.run import Form, make, making
from flowstone.cli.targets import Target, load
from flowstone.core.config import parse_setting

if TYPE_CHECKING:
    from flowstone.api import Flowstone
    from flowstone.core.plan import Plan


@dataclass(slots=True)
class Again:
    """A run that is to be repeated; its partition is known once it is planned."""

    run: str
    target: str
    settings: tuple[str, ...]
    partition: object | None = field(init=False, default=None)

    def load(self) -> tuple[Target, list[str]]:
        """Import the target; what of it is meant, the run says."""
        found = load(self.target)
        if found.selection:
            raise click.UsageError(f"the run says which assets are meant; name {found.label} alone")
        return found, []

    async def plan(self, fs: Flowstone, found: Target, names: list[str]) -> Plan:  # noqa: ARG002 - as an Order has it
        """What is still to be done."""
        run = await runs.find(fs.store, self.run)
        config: dict[str, Any] = dict(map(parse_setting, self.settings))
        drawn, self.partition = await fs.plan_again(run.run_id, assets=found.graph, config=config)
        return drawn


@click.command()
@runs.argument
@options.target
@options.settings
@options.dsn
@making
def resume(
    *,
    run: str,
    target: str,
    settings: tuple[str, ...],
    jobs: int | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    form: Form | None,
) -> int:
    """Ask again for what a run was asked for.

    RUN is an id, the beginning of one, or "last". Its targets, partition, config and options are
    those of then, the code is that of now; what is recorded is reused. Secrets are not recorded:
    give them again with --set.
    """
    order = Again(run, target, settings)
    return make(order, jobs=jobs, as_json=as_json, quiet=quiet, verbose=verbose, form=form)
