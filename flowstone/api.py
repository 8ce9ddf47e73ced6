"""The ways in from Python: ``materialize``, ``plan`` and the open connection ``Flowstone``."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from anyio import to_thread

from flowstone.core import config as configs
from flowstone.core import partition as partitions
from flowstone.core.plan import Plan, Request, draw
from flowstone.errors import SettingsError, StoreError
from flowstone.ids import run_id as new_run_id
from flowstone.log import step_logger
from flowstone.result import RunResult, run_failed
from flowstone.runner.events import Listening, RunFinished, RunStarted
from flowstone.runner.run import Report, Tools, default_concurrency, execute, new_run
from flowstone.runner.step import Version
from flowstone.settings import Settings
from flowstone.sources import codes
from flowstone.store.connect import open_store
from flowstone.targets import chosen, collect, config_mapping
from flowstone.values import ValueStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.core.records import Materialization
    from flowstone.runner.events import Event, Listener
    from flowstone.store.base import MaterializationStore
    from flowstone.targets import Assets, Target

#: Reused inline values, each of at most 64 kB, that are read along for the caller.
_FEW_VALUES = 256


class Flowstone:
    """The open connection to one database and one value store, on the caller's event loop.

    ``async with Flowstone() as fs:`` opens it; ``fs.store`` is the metadata store, ``fs.values``
    the value store. Settings come by keyword (see ``Settings``), then
    from the environment, then from ``[tool.flowstone]`` in pyproject.toml. ``store`` takes a
    ready metadata store instead of a database.

    Raises:
        SettingsError: for an unknown or invalid setting.
        DatabaseUnavailableError: if no connection can be had; within nine seconds.
        SchemaError: if the database's schema does not fit this Flowstone.
    """

    def __init__(self, *, store: MaterializationStore | None = None, **settings: Any) -> None:
        self._set_up(Settings.load(**settings), store)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A connection with settings that are resolved already."""
        self = cls.__new__(cls)
        self._set_up(settings, None)
        return self

    def _set_up(self, settings: Settings, store: MaterializationStore | None) -> None:
        self.settings = settings
        self.values = ValueStore(self.settings.values, pickle=self.settings.pickle)
        self._given = store
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
        partition: object | None = None,
        force: bool = False,
        only: bool = False,
    ) -> Plan:
        """What ``materialize`` would do with the same arguments, and why."""
        graph = collect(targets, assets)
        left_out = (exclude,) if isinstance(exclude, str) else tuple(exclude)
        request = Request(
            graph=graph,
            targets=tuple(chosen(graph, targets, left_out)),
            code={},
            config=configs.resolve(graph, config_mapping(config)),
            partition=None if partition is None else partitions.encode(partition),
            force=force,
            only=only,
        )
        return await self._plan(request)

    async def materialize(
        self,
        *targets: Target,
        assets: Assets | None = None,
        exclude: Iterable[str] = (),
        config: Mapping[str, Any] | None = None,
        partition: object | None = None,
        force: bool = False,
        only: bool = False,
        raise_on_error: bool = True,
        max_concurrency: int | None = None,
        on_event: Listener | None = None,
    ) -> RunResult:
        """Make the targets and all they need that is not fresh, and record it.

        Args:
            targets: assets, modules, or selections; everything in ``assets`` if there are none.
            assets: where names are looked up: a graph, modules, or a list of assets. Without it
                the graph is what the target assets need, found in their own namespaces; for
                selections alone, the assets of ``__main__``.
            exclude: selections to leave out of the targets.
            config: ``{"asset": {"parameter": value}}`` or ``{"asset.parameter": value}``.
            partition: the key the run is for, given to every step.
            force: run the targets even if they are fresh.
            only: make just the targets, from what is recorded of their inputs.
            raise_on_error: raise ``RunFailedError`` if an asset fails; else only say so in
                the result.
            max_concurrency: how many functions run in threads at once.
            on_event: called with every ``flowstone.runner.events`` of the run. If it raises, it
                is not called again; the run goes on, and the exception is raised at its end.

        Raises:
            DefinitionError: if targets, graph or config can't be used.
            SelectionError: if a selection can't be read or matches nothing.
            RunFailedError: if an asset failed, when all others are done and recorded; its cause
                is the first failure, its ``result`` the whole.
            StoreError: if the database fails; what is recorded stays recorded.
        """
        plan = await self.plan(
            *targets,
            assets=assets,
            exclude=exclude,
            config=config,
            partition=partition,
            force=force,
            only=only,
        )
        return await self.carry_out(
            plan,
            partition=partition,
            raise_on_error=raise_on_error,
            max_concurrency=max_concurrency,
            on_event=on_event,
        )

    async def carry_out(
        self,
        plan: Plan,
        *,
        partition: object | None = None,
        raise_on_error: bool = True,
        max_concurrency: int | None = None,
        on_event: Listener | None = None,
    ) -> RunResult:
        """Execute a plan just drawn; ``materialize`` draws and executes in one."""
        if max_concurrency is not None and max_concurrency < 1:
            msg = f"max_concurrency is at least 1, not {max_concurrency}"
            raise SettingsError(msg)
        run_id = new_run_id()
        tell = Listening(on_event or _ignore)
        concurrency = max_concurrency or default_concurrency()
        tools = Tools(self.store, self.values, tell, step_logger, concurrency)
        if plan.counts["materialize"] or plan.counts["blocked"]:
            report = await execute(plan, run_id, partition, tools)
            rows = await self.store.get_by_run_id(run_id)
        else:
            report, rows = await self._record_nothing(plan, run_id, tell), []
        await self._read_values(plan, report)
        result = RunResult(run_id, plan, report, rows, self.values)
        if tell.error is not None:
            raise tell.error
        if raise_on_error and not result.ok:
            raise run_failed(result)
        return result

    async def _plan(self, request: Request) -> Plan:
        names = request.names()
        assets = [request.graph[name] for name in names]
        request = replace(request, code=await to_thread.run_sync(codes, assets))
        wanted = [*names, *request.inputs()]
        current = await self.store.current(wanted, request.partition)
        looked: dict[str, bool] = {}
        while True:
            lost = frozenset(name for name, there in looked.items() if not there)
            plan = draw(request, current, lost)
            new = await to_thread.run_sync(self._look_through, plan, looked)
            if not new:
                return plan
            looked |= new

    def _look_through(self, plan: Plan, looked: Mapping[str, bool]) -> dict[str, bool]:
        """Whether the values are there that a run would read, and that making lost ones takes.

        The latter in the same pass: a chain of lost values costs one look at each.
        """
        steps = {step.name: step for step in plan}
        new: dict[str, bool] = {}
        unknown = {n: m for n, m in plan.values_needed().items() if n not in looked}
        while unknown:
            there = self._look(unknown)
            new |= there
            lost = [steps[name] for name, found in there.items() if not found and name in steps]
            sources = {
                source for step in lost for parameter, source in step.asset.edges if parameter
            }
            reused = [steps[name] for name in sources if name in steps and name not in new]
            unknown = {
                step.name: step.current
                for step in reused
                if step.action == "reuse" and step.current is not None and step.name not in looked
            }
        return new

    def _look(self, made: Mapping[str, Materialization]) -> dict[str, bool]:
        pointers = {name: row.value for name, row in made.items()}
        kept = {name: pointer for name, pointer in pointers.items() if pointer is not None}
        there = dict(zip(kept, self.values.present(list(kept.values())), strict=True))
        return {name: there.get(name, False) for name in made}

    async def _record_nothing(self, plan: Plan, run_id: str, tell: Listener) -> Report:
        run = new_run(plan, run_id)
        tell(RunStarted(run_id, len(plan), 0))
        done = {
            "status": "success",
            "counts": {"reused": len(plan)},
            "completed_at": run.started_at,
        }
        report = Report(run.model_copy(update=done), {step.name: "reused" for step in plan})
        for step in plan:
            if step.current is not None:
                report.versions[step.name] = Version.of(step.asset, step.current)
        await self.store.record_run(report.run)
        tell(RunFinished(run_id, "success", report.run.counts))
        return report

    async def _read_values(self, plan: Plan, report: Report) -> None:
        """Read the inline values the caller may ask for; the plan did without.

        Those of the targets, and as many others as cost little.
        """
        targets = set(plan.targets)
        others = [version for name, version in report.versions.items() if name not in targets]
        asked = [report.versions[name] for name in plan.targets if name in report.versions]
        asked += others if len(others) <= _FEW_VALUES else []
        unread = [version for version in asked if version.pointer and version.pointer.unread]
        if not unread:
            return
        found = await self.store.inline_values([version.id for version in unread])
        for version in unread:
            if version.id in found:
                version.read(found[version.id])


def _ignore(event: Event) -> None:
    """Nobody listens."""
