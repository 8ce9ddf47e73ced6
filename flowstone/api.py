"""The ways in from Python: ``materialize``, ``plan`` and the open connection ``Flowstone``."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, Self, Unpack

from flowstone.acts import accepted, act, cancelling, who
from flowstone.checking import check_database
from flowstone.core import partition as partitions
from flowstone.errors import StoreError
from flowstone.explain import next_run, recorded_run
from flowstone.planning import planned, request_of
from flowstone.resuming import resumed
from flowstone.running import carry_out
from flowstone.settings import Settings
from flowstone.sources import class_code
from flowstone.store.connect import open_store
from flowstone.targets import chosen, collect, config_mapping
from flowstone.values import DEFAULT, Keeper, ValueStore, manager_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from flowstone.core.asset import AnyAsset
    from flowstone.core.plan import Plan
    from flowstone.core.reason import Explanation
    from flowstone.core.records import StepLog
    from flowstone.core.resources import Providers
    from flowstone.planning import Forced
    from flowstone.result import RunResult
    from flowstone.running import RunOptions
    from flowstone.store.base import MaterializationStore
    from flowstone.store.integrity import Finding
    from flowstone.targets import Assets, Target
    from flowstone.values import IOManager

#: Reused inline values, each of at most 64 kB, that are read along for the caller.
_FEW_VALUES = 256


class Flowstone:
    """The open connection to one database and one value store, on the caller's event loop.

    ``async with Flowstone() as fs:`` opens it; ``fs.store`` is the metadata store, ``fs.values``
    the value store. Settings come by keyword (see ``Settings``), then
    from the environment, then from ``[tool.flowstone]`` in pyproject.toml. ``store`` takes a
    ready metadata store instead of a database, ``resources`` providers for all calls: they come
    after those of a call, and before those of modules. ``io`` is the ``IOManager`` that keeps the
    values of assets that don't say otherwise, or ``"package.module:object"``; None is the value
    store.

    Raises:
        SettingsError: for an unknown or invalid setting.
        DatabaseUnavailableError: if no connection can be had; within nine seconds.
        SchemaError: if the database's schema does not fit this Flowstone.
    """

    def __init__(
        self,
        *,
        store: MaterializationStore | None = None,
        resources: Providers | None = None,
        io: IOManager | str | None = DEFAULT,
        **settings: Any,
    ) -> None:
        self._set_up(Settings.load(**settings), store, resources, io)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A connection with settings that are resolved already."""
        self = cls.__new__(cls)
        self._set_up(settings, None, None, DEFAULT)
        return self

    def _set_up(
        self,
        settings: Settings,
        store: MaterializationStore | None,
        resources: Providers | None,
        io: IOManager | str | None,
    ) -> None:
        self.settings = settings
        self._io = settings.io if io == DEFAULT else io
        self.values = ValueStore(
            settings.values,
            pickle=settings.pickle,
            cache=self._cache,
            class_code=functools.partial(class_code, cache=self._cache / "code"),
        )
        self._given = store
        self._resources = resources
        self._store: MaterializationStore | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._given is not None:
            self._store = self._given
            return self
        set_up = self.settings
        self._store = await self._stack.enter_async_context(
            open_store(
                set_up.database_url,
                set_up.home,
                schema_name=set_up.schema_name,
                auto_migrate=set_up.auto_migrate,
            )
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._store = None
        await self._stack.aclose()

    @property
    def store(self) -> MaterializationStore:
        """The metadata store.

        Raises:
            StoreError: outside of the ``async with`` block.
        """
        if self._store is None:
            msg = "this Flowstone is not open; use it inside: async with Flowstone() as fs"
            raise StoreError(msg)
        return self._store

    async def plan(
        self,
        *targets: Target,
        assets: Assets | None = None,
        exclude: Iterable[str] = (),
        config: Mapping[str, Any] | None = None,
        resources: Providers | None = None,
        partition: object | None = None,
        force: Forced = False,
        only: bool = False,
        verify: bool = False,
        io: IOManager | str | None = DEFAULT,
    ) -> Plan:
        """What ``materialize`` would do with the same arguments, and why."""
        request = request_of(
            targets,
            assets,
            exclude=exclude,
            config=config,
            resources=resources,
            standing=self._resources,
            partition=partition,
            force=force,
            only=only,
            verify=verify,
        )
        keeper = self._keeper(request.partition, io)
        return await planned(request, partition, self.store, keeper, self._cache)

    async def materialize(
        self,
        *targets: Target,
        assets: Assets | None = None,
        exclude: Iterable[str] = (),
        config: Mapping[str, Any] | None = None,
        resources: Providers | None = None,
        partition: object | None = None,
        force: Forced = False,
        only: bool = False,
        verify: bool = False,
        io: IOManager | str | None = DEFAULT,
        **options: Unpack[RunOptions],
    ) -> RunResult:
        """Make the targets and all they need that is not fresh, and record it.

        Args:
            targets: assets, modules, or selections; everything in ``assets`` if there are none.
            assets: where names are looked up: a graph, modules, or a list of assets. Without it
                the graph is what the target assets need, found in their own namespaces; for
                selections alone, the assets of ``__main__``.
            exclude: selections to leave out of the targets.
            config: ``{"asset": {"parameter": value}}`` or ``{"asset.parameter": value}``.
            resources: providers by the names that parameters take them by. They come before those
                of the connection and of modules.
            partition: the key the run is for, given to every step.
            force: run the targets even if they are fresh; or a selection (or several) of what to
                run so.
            only: make just the targets, from what is recorded of their inputs.
            verify: execute fresh assets too, and compare what they make with what is recorded,
                which stands. One that differs counts as failed.
            io: keeps the values of assets that don't say otherwise: an ``IOManager``,
                ``"package.module:object"``, None for the value store, ``"default"`` for what the
                connection says.
            options: how the run is carried out, see ``RunOptions``: ``raise_on_error``,
                ``max_concurrency``, ``executor``, ``durability``, ``pools``, ``on_event``,
                ``on_success``, ``on_failure``, ``stop``.

        Raises:
            DefinitionError: if targets, graph or config can't be used.
            SelectionError: if a selection can't be read or matches nothing.
            PoolError: if an asset names a pool that nobody gave a size.
            RunFailedError: if an asset failed, when all others are done and recorded; its cause
                is the first failure, its ``result`` the whole.
            ResourceError: if a resource can't be closed, when all is recorded; its ``result`` is
                the whole.
            StoreError: if the database fails; what is recorded stays recorded.
        """
        plan = await self.plan(
            *targets,
            assets=assets,
            exclude=exclude,
            config=config,
            resources=resources,
            partition=partition,
            force=force,
            only=only,
            verify=verify,
            io=io,
        )
        return await self.carry_out(plan, partition=partition, io=io, **options)

    async def resume(
        self,
        run: str,
        *,
        assets: Assets | None = None,
        config: Mapping[str, Any] | None = None,
        resources: Providers | None = None,
        io: IOManager | str | None = DEFAULT,
        **options: Unpack[RunOptions],
    ) -> RunResult:
        """Ask again for what a recorded run was asked for, as a new run.

        Targets, partition, config values and what was forced, if it was not made, are those of
        then; code, defaults and what lies outside are those of now. What is recorded is reused.

        Args:
            run: the id of a run that has ended, or whose process is gone.
            assets: where names are looked up, as for ``materialize``.
            config: values that were not recorded, such as secrets, or are to be others.
            resources: providers, as for ``materialize``.
            io: as for ``materialize``.
            options: as for ``materialize``.

        Raises:
            NotFoundError: if there is no such run.
            ResumeError: if it is alive, does not say what it was asked for, or was given secrets
                that are not given again.
            Exception: what ``materialize`` raises.
        """
        plan, partition = await self.plan_again(
            run, assets=assets, config=config, resources=resources, io=io
        )
        return await self.carry_out(plan, partition=partition, io=io, **options)

    async def plan_again(
        self,
        run: str,
        *,
        assets: Assets | None = None,
        config: Mapping[str, Any] | None = None,
        resources: Providers | None = None,
        io: IOManager | str | None = DEFAULT,
    ) -> tuple[Plan, object | None]:
        """What ``resume`` would do with the same arguments; the plan, and the partition of it."""
        asked = await resumed(run, config_mapping(config), self.store)
        partition = None if asked.partition is None else partitions.decode(asked.partition)
        plan = await self.plan(
            *asked.targets,
            assets=assets,
            config=asked.config,
            resources=resources,
            partition=partition,
            force=asked.force,
            only=asked.only,
            verify=asked.verify,
            io=io,
        )
        return plan, partition

    async def carry_out(
        self,
        plan: Plan,
        *,
        partition: object | None = None,
        io: IOManager | str | None = DEFAULT,
        **options: Unpack[RunOptions],
    ) -> RunResult:
        """Execute a plan just drawn; ``materialize`` draws and executes in one."""
        return await carry_out(
            plan,
            partition,
            options,
            store=self.store,
            keeper=functools.partial(self._keeper, plan.request.partition, io),
            settings=self.settings,
            cache=self._cache,
        )

    async def why(
        self,
        target: AnyAsset | str,
        *,
        run: str | None = None,
        assets: Assets | None = None,
        config: Mapping[str, Any] | None = None,
        resources: Providers | None = None,
        partition: object | None = None,
    ) -> Explanation:
        """Why an asset would run now, or would not; or what a recorded run did, and why.

        The answer goes from cause to cause down to the root: the definition that changed and how,
        the config value, what was observed outside. Print it, or take its ``to_dict()``.

        Args:
            target: an asset, or the name of one.
            run: the id of a recorded run; None asks about the next one.
            assets: where the name is looked up, as for ``materialize``.
            config: config values, as for ``materialize``.
            resources: providers, as for ``materialize``.
            partition: the key that is meant.

        Raises:
            NotFoundError: if there is no such run.
        """
        key = None if partition is None else partitions.encode(partition)
        if run is not None:
            name = target if isinstance(target, str) else target.name
            return await recorded_run(name, key, run, self.store)
        plan = await self.plan(
            target, assets=assets, config=config, resources=resources, partition=partition
        )
        name = target if isinstance(target, str) else target.name
        return await next_run(name, plan, self.store)

    async def logs(self, run: str, asset: str | None = None) -> list[StepLog]:
        """What the assets of a recorded run printed and logged, an entry for each attempt.

        Args:
            run: the id of the run.
            asset: the name of one asset, or of a function that makes several; None for all.
        """
        return await self.store.logs(run, asset)

    async def accept(
        self,
        *targets: Target,
        reason: str,
        assets: Assets | None = None,
        config: Mapping[str, Any] | None = None,
        resources: Providers | None = None,
        partition: object | None = None,
        actor: str | None = None,
    ) -> list[str]:
        """Let the current versions of the targets stand for the code, inputs and config of now.

        Nothing is executed. Each gets a new materialization with the value it had, and an entry
        in the audit that says who did so, when and why. Gives the names that were not fresh.

        Args:
            targets: assets, modules or selections; just these, not what they need.
            reason: why; it is recorded.
            assets: where names are looked up, as for ``materialize``.
            config: config values, as for ``materialize``.
            resources: providers, as for ``materialize``.
            partition: the key whose current versions are meant.
            actor: who does so; the user of this process when left out.

        Raises:
            AcceptError: if a target has no current version with a value, or an input of it that
                is not accepted would be made first.
        """
        request = request_of(
            targets,
            assets,
            config=config,
            resources=resources,
            standing=self._resources,
            partition=partition,
            accept=True,
        )
        keeper = self._keeper(request.partition)
        plan = await planned(request, partition, self.store, keeper, self._cache)
        return await accepted(plan, self.store, actor or who(), reason)

    async def invalidate(
        self,
        *targets: Target,
        reason: str,
        assets: Assets | None = None,
        resources: Providers | None = None,
        partition: object | None = None,
        downstream: bool = False,
        actor: str | None = None,
    ) -> list[str]:
        """Never reuse anything recorded of the targets so far; there is no way back.

        The next run makes them anew. Gives the names that had something to invalidate.

        Args:
            targets: assets, modules or selections.
            reason: why; it is recorded in the audit.
            assets: where names are looked up, as for ``materialize``.
            resources: providers, as for ``materialize``.
            partition: the key whose versions are meant.
            downstream: all that depends on the targets too.
            actor: who does so; the user of this process when left out.
        """
        graph = collect(targets, assets, resources, self._resources)
        names = chosen(graph, targets, ())
        if downstream:
            below = [each for n in names for each in graph.dependents(n, transitive=True)]
            names = [name for name in graph.execution_order() if name in {*names, *below}]
        key = None if partition is None else partitions.encode(partition)
        known = {name: (name, *graph[name].aliases) for name in names}
        recorded = [each for former in known.values() for each in former]
        acts = [act(actor or who(), "invalidate", each, key, reason) for each in recorded]
        found = await self.store.invalidate(recorded, key, acts)
        return [name for name, former in known.items() if not found.keys().isdisjoint(former)]

    async def cancel(
        self, run: str, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Ask a run to stop, wherever it runs; what it has made stays recorded.

        A run whose process is gone is closed.

        Args:
            run: the id of the run.
            reason: why; it is recorded in the audit.
            actor: who does so; the user of this process when left out.

        Raises:
            NotFoundError: if there is no such run.
            RunEndedError: if it is over.
        """
        await self.store.cancel_run(run, [cancelling(actor or who(), run, reason)])

    async def check_database(self, *, values: bool = True) -> list[Finding]:
        """Whether what is recorded is whole: a finding for each invariant, in their order.

        Nothing is changed, and runs may go on meanwhile. It takes a connection of its own.

        Args:
            values: read every value too, and compare it with its digest.

        Raises:
            StoreError: if there is no database, or it refuses.
            ValueStoreError: if the disk does.
        """
        conninfo = self.store.conninfo
        if conninfo is None:
            raise StoreError("there is no database to check: the store is not in one")
        kept = self.values if values else None
        return await check_database(conninfo, self.settings.schema_name, kept)

    def _keeper(
        self, partition: str | None, io: IOManager | str | None = DEFAULT, run_id: str = ""
    ) -> Keeper:
        """Who keeps values, for one run or one plan."""
        manager = manager_of(self._io if io == DEFAULT else io)
        return Keeper(self.values, manager, partition, run_id, self.store.conninfo)

    @property
    def _cache(self) -> Path:
        return self.settings.home / "cache"
