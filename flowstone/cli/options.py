"""The arguments and options that several commands share."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from flowstone.cli.targets import Target, load
from flowstone.core.config import parse_setting, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.api import Flowstone
    from flowstone.core.plan import Plan

target = click.argument("target")
selection = click.argument("selection", nargs=-1)
exclude = click.option("--exclude", multiple=True, metavar="SELECTION", help="Leave these out.")


def _use_dsn(ctx: click.Context, param: click.Parameter, dsn: str | None) -> None:  # noqa: ARG001 - click's signature
    """Make it this process's database, so that assets that call us use the same one."""
    if dsn is not None:
        os.environ["FLOWSTONE_DATABASE_URL"] = dsn


dsn = click.option(
    "--dsn",
    metavar="URL",
    callback=_use_dsn,
    expose_value=False,
    help="The database, in place of FLOWSTONE_DATABASE_URL.",
)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made: the options that ``run`` and ``plan`` share."""

    target: str
    selection: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    partition: str | None = None
    force: bool = False
    only: bool = False
    config: dict[str, Any] = field(init=False, default_factory=dict)

    def load(self) -> tuple[Target, list[str]]:
        """Import the target and choose its assets; all mistakes are told here, without a database.

        Raises:
            DefinitionError: for the target, its assets, or a config value.
            SelectionError: for the selection.
        """
        found = load(self.target)
        names = found.choose(self.selection, self.exclude)
        self.config.update(map(parse_setting, self.settings))
        resolve(found.graph, self.config)
        return found, names

    async def plan(self, fs: Flowstone, found: Target, names: list[str]) -> Plan:
        """What a run would do."""
        return await fs.plan(
            *(found.graph[name] for name in names),
            assets=found.graph,
            config=self.config,
            partition=self.partition,
            force=self.force,
            only=self.only,
        )


def ordering(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of an ``Order``, which it takes as its first argument."""

    @target
    @selection
    @click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="ASSET.PARAM=VALUE",
        help="A config value, as JSON or else as text; can be repeated.",
    )
    @click.option("--partition", metavar="KEY", help="The partition to make.")
    @click.option("-f", "--force", is_flag=True, help="Make the selected assets even if fresh.")
    @click.option("--only", is_flag=True, help="Nothing but the selected assets.")
    @exclude
    @dsn
    @functools.wraps(command)
    def ordered(
        *,
        target: str,
        selection: tuple[str, ...],
        exclude: tuple[str, ...],
        settings: tuple[str, ...],
        partition: str | None,
        force: bool,
        only: bool,
        **options: Any,
    ) -> int:
        order = Order(target, selection, exclude, settings, partition, force, only)
        return command(order, **options)

    return ordered
