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
settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="ASSET.PARAM=VALUE",
    help="A config value, as JSON or else as text; can be repeated.",
)
partition = click.option("--partition", metavar="KEY", help="The partition that is meant.")
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
    force_only: tuple[str, ...] = ()
    only: bool = False
    verify: bool = False
    config: dict[str, Any] = field(init=False, default_factory=dict)

    def load(self) -> tuple[Target, list[str]]:
        """Import the target and choose its assets; all mistakes are told here, without a database.

        Raises:
            DefinitionError: for the target, its assets, or a config value.
            SelectionError: for the selection.
        """
        found = load(self.target)
        names = found.choose(self.selection, self.exclude)
        if self.force_only:
            found.graph.select(*self.force_only)
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
            force=self.force_only or self.force,
            only=self.only,
            verify=self.verify,
        )


class OrderCommand(click.Command):
    """A command whose ``--force`` may be given a selection: ``--force=SELECTION``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; without ``=`` the flag takes no value, so that none is mistaken."""
        options = args[: args.index("--")] if "--" in args else args
        told = [arg.replace("--force=", "--force-only=", 1) for arg in options if _forces(arg)]
        rest = [arg for arg in options if not _forces(arg)]
        return super().parse_args(ctx, [*told, *rest, *args[len(options) :]])


def _forces(argument: str) -> bool:
    return argument.startswith("--force=")


def ordering(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of an ``Order``, which it takes as its first argument."""

    @target
    @selection
    @settings
    @partition
    @click.option(
        "-f",
        "--force",
        is_flag=True,
        help="Make the selected assets even if fresh; --force=SELECTION just those.",
    )
    @click.option("--force-only", multiple=True, hidden=True)
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
        force_only: tuple[str, ...],
        only: bool,
        verify: bool = False,
        **options: Any,
    ) -> int:
        forced = (force, force_only)
        order = Order(target, selection, exclude, settings, partition, *forced, only, verify)
        return command(order, **options)

    return ordered
