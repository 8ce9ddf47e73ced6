"""A run: every step of a plan that is not fresh, as many at once as there can be."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from flowstone.core.context import Context, Logger
from flowstone.core.plan import Cause, Ingredients, Plan, Step, input_name
from flowstone.core.records import Draft, LineageEdge, Materialization, Run
from flowstone.errors import FlowstoneError, ValueLostError
from flowstone.ids import materialization_id
from flowstone.runner.events import Ending, RunFinished, RunStarted, StepFinished, StepStarted
from flowstone.runner.failure import Failure, describe
from flowstone.runner.journal import Journal
from flowstone.runner.queue import ReadyQueue
from flowstone.runner.step import Lost, Made, Version, call
from flowstone.store.base import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.runner.events import Listener
    from flowstone.store.base import MaterializationStore
    from flowstone.values import ValueStore

#: Seconds between two heartbeats of a run.
BEAT_SECONDS = LEASE_SECONDS / 6


def default_concurrency() -> int:
    """How many functions run in threads at once unless said otherwise."""
    return min(32, (os.cpu_count() or 1) + 4)


@dataclass(slots=True)
class Report:
    """How a run ended: every step's ending, the versions that stand, and what failed."""

    run: Run
    endings: dict[str, Ending] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with."""

    store: MaterializationStore
    values: ValueStore
    tell: Listener
    logger: Callable[[str, str, str | None], Logger]
    concurrency: int


async def execute(plan: Plan, run_id: str, partition: object | None, tools: Tools) -> Report:
    """Execute a plan and record everything about it.

    A failed step blocks only what needs it. Being cancelled, the run records what is done, marks
    the rest cancelled and ends.

    Raises:
        StoreError: if the store fails; what is recorded stays recorded.
    """
    return await _Execution(plan, run_id, partition, tools).run()


def new_run(plan: Plan, run_id: str) -> Run:
    """The run row as it is when the run begins."""
    config = {name: dict(each.shown) for name, each in plan.request.config.items() if each.shown}
    return Run(
        run_id=run_id,
        status="running",
        target=" ".join(plan.targets[:100]),
        partition=plan.request.partition,
        config=config,
        executor_node=f"{platform.node()}:{os.getpid()}",
        started_at=_now(),
    )


class _Execution:
    def __init__(self, plan: Plan, run_id: str, partition: object | None, tools: Tools) -> None:
        self._plan, self._tools, self._partition = plan, tools, partition
        self._run = new_run(plan, run_id)
        self._report = Report(self._run)
        self._journal = Journal(tools.store, run_id)
        self._limiter = anyio.CapacityLimiter(tools.concurrency)
        self._steps = list(plan)
        self._number = {step.name: number for number, step in enumerate(self._steps)}
        self._queue = ReadyQueue([self._needs(step) for step in self._steps])
        self._takers = Counter(
            source
            for step in plan
            if step.action != "reuse"
            for parameter, source in step.asset.edges
            if parameter
        )
        self._drafts: dict[str, Draft] = {}
        self._lost: dict[str, Step] = {}
        self._failure: FlowstoneError | None = None
        self._scope = anyio.CancelScope()

    async def run(self) -> Report:
        self._begin()
        certain = [s for s in self._plan if s.action == "materialize" and not s.may_cut_off]
        drafts = [self._draft(step, step.causes) for step in certain]
        await self._tools.store.start_run(self._run, drafts)
        self._tools.tell(RunStarted(self._run.run_id, len(self._plan), len(self._plan.to_run)))
        async with anyio.create_task_group() as writers:
            writers.start_soon(self._write)
            try:
                with self._scope:
                    await self._go()
            finally:
                self._cancel_open()
                self._journal.close()
        if self._failure is not None:
            raise self._failure
        return self._report

    def _begin(self) -> None:
        """Take over what stands already: fresh steps, and inputs outside the plan."""
        fresh = {s.name: s.current for s in self._plan if s.action == "reuse"}
        for name, made in (*self._plan.given.items(), *fresh.items()):
            if made is not None:
                self._stands(name, made)
        for name in fresh:
            self._report.endings[name] = "reused"

    async def _go(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._beat)
            self._group = group
            self._start(self._queue.start())
            if not self._queue.left:
                group.cancel_scope.cancel()

    def _start(self, numbers: Sequence[int]) -> None:
        """Begin what is ready; a fresh step has its result already."""
        ready = list(numbers)
        while ready:
            number = ready.pop()
            step = self._steps[number]
            if step.action == "reuse" and step.name not in self._lost:
                ready += self._queue.done(number)
            else:
                self._group.start_soon(self._guarded, number)

    async def _guarded(self, number: int) -> None:
        """One step; an error of ours stops the run, and is raised at its end."""
        try:
            await self._step(number)
        except FlowstoneError as error:
            self._stop(error)
        if not self._queue.left:
            self._group.cancel_scope.cancel()

    def _stop(self, error: FlowstoneError) -> None:
        self._failure = self._failure or error
        self._scope.cancel()

    async def _beat(self) -> None:
        try:
            while True:
                await anyio.sleep(BEAT_SECONDS)
                await self._tools.store.beat(self._run.run_id)
        except FlowstoneError as error:
            self._stop(error)

    async def _write(self) -> None:
        """Write rows, then the end of the run, whatever else is cancelled."""
        with anyio.CancelScope(shield=True):
            try:
                await self._journal.write()
                if self._failure is None:
                    await self._finish()
            except FlowstoneError as error:
                self._stop(error)

    async def _finish(self) -> None:
        endings = Counter(self._report.endings.values())
        status = (
            "cancelled"
            if endings["cancelled"]
            else "failed"
            if endings["failed"] or endings["skipped"]
            else "success"
        )
        ended = {"status": status, "counts": dict(endings), "completed_at": _now()}
        self._report.run = self._run = self._run.model_copy(update=ended)
        await self._tools.store.finish_run(self._run)
        duration = (_now() - self._run.started_at).total_seconds() * 1000
        self._tools.tell(RunFinished(self._run.run_id, status, self._run.counts, duration))

    async def _step(self, number: int) -> None:
        step = self._lost.get(self._steps[number].name, self._steps[number])
        if step.action == "blocked":
            self._skip(number, step, step.why)
            return
        ingredients = self._ingredients(step)
        causes = await self._causes(step, ingredients)
        if not causes and step.current is not None:
            self._stands(step.name, step.current)
            self._end(step.name, "reused")
            self._start(self._queue.done(number))
            return
        draft = self._drafts.get(step.name) or self._draft(step, causes)
        await self._journal.room()
        await self._fetch(step)
        outcome = await self._call(step, draft, causes)
        match outcome:
            case Lost() if self._can_remake(outcome.assets):
                self._remake(number, outcome.assets)
            case Lost():
                names = ", ".join(outcome.assets)
                error = ValueLostError(f"the recorded value of {names} is missing or altered")
                self._failed(number, step, draft, describe(error))
            case Failure():
                self._failed(number, step, draft, outcome)
            case Made():
                self._made(step, draft, ingredients, outcome)
                self._start(self._queue.done(number))

    async def _causes(self, step: Step, ingredients: Ingredients) -> tuple[Cause, ...]:
        """Why the step runs, now that its inputs are known; nothing means it is cut off here."""
        if not step.may_cut_off or step.current is None:
            return step.causes
        causes = tuple(ingredients.causes(step.current))
        if causes or ingredients.dependency_hash != step.current.dependency_hash:
            return causes or step.causes
        if step.name in self._plan.targets and not self._is_present(step.current):
            return (Cause("value_lost"),)
        return ()

    def _is_present(self, made: Materialization) -> bool:
        return made.value is not None and self._tools.values.present([made.value])[0]

    async def _call(self, step: Step, draft: Draft, causes: Sequence[Cause]) -> Any:
        draft.status, draft.started_at = "running", _now()
        self._journal.put(draft)
        why = "; ".join(map(str, causes))
        self._tools.tell(StepStarted(self._run.run_id, step.name, why, draft.attempt))
        arguments = self._arguments(step, draft)
        return await call(step.asset, arguments, self._tools.values, self._limiter)

    def _arguments(self, step: Step, draft: Draft) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for parameter in step.asset.parameters:
            if parameter.kind == "dependency":
                arguments[parameter.name] = self._report.versions[parameter.asset].claim()
            elif parameter.kind == "config":
                arguments[parameter.name] = step.config.values[parameter.name]
            else:
                logger = self._tools.logger(self._run.run_id, step.name, draft.partition)
                arguments[parameter.name] = Context(
                    self._run.run_id, step.name, logger, self._partition, draft.attempt
                )
        return arguments

    async def _fetch(self, step: Step) -> None:
        """Read the inline values of reused inputs, which plans do without."""
        versions = [self._report.versions[s] for parameter, s in step.asset.edges if parameter]
        unread = {v.id: v for v in versions if v.pointer and v.pointer.unread and not v.is_held}
        if not unread:
            return
        found = await self._tools.store.inline_values(list(unread))
        for key, version in unread.items():
            if version.pointer is not None and key in found:
                version.pointer = version.pointer.model_copy(update={"inline": found[key]})

    def _made(self, step: Step, draft: Draft, ingredients: Ingredients, made: Made) -> None:
        draft.status = "success"
        draft.completed_at = _now()
        draft.duration_ms = _milliseconds(draft)
        draft.dependency_hash = ingredients.dependency_hash
        draft.data_version = made.data_version
        draft.value = made.saved and made.saved.pointer
        draft.inputs = ingredients.recorded()
        draft.edges = [
            LineageEdge.model_construct(
                materialization_id=draft.id,
                upstream_id=self._report.versions[source].id,
                parameter=parameter,
            )
            for parameter, source in step.asset.edges
        ]
        self._journal.put(draft)
        version = Version(step.asset, draft.id, draft.data_version, draft.value)
        version.takers = self._takers[step.name]
        if version.takers or draft.value is None:
            version.held = made.value
        self._report.versions[step.name] = version
        self._end(step.name, "materialized", draft.duration_ms, _summary(made.value))

    def _failed(self, number: int, step: Step, draft: Draft, failure: Failure) -> None:
        draft.status = "failed"
        draft.completed_at = _now()
        draft.duration_ms = _milliseconds(draft)
        draft.error_type = failure.type
        draft.error_message = failure.message
        draft.error_traceback = failure.traceback
        self._journal.put(draft)
        self._report.failures[step.name] = failure
        self._end(step.name, "failed", draft.duration_ms, failure.line, failure.traceback)
        self._skip_blocked(number, step.name)

    def _skip(self, number: int, step: Step, why: str) -> None:
        self._record_skipped(step, why)
        self._skip_blocked(number, step.name)

    def _skip_blocked(self, number: int, name: str) -> None:
        for blocked in self._queue.failed(number):
            self._record_skipped(self._steps[blocked], f"{name} has no value")

    def _record_skipped(self, step: Step, why: str) -> None:
        draft = self._drafts.get(step.name) or self._draft(step, step.causes)
        draft.status, draft.completed_at, draft.error_message = "skipped", _now(), why
        self._journal.put(draft)
        self._end(step.name, "skipped", detail=why)

    def _can_remake(self, names: Sequence[str]) -> bool:
        """Whether lost inputs belong to the plan and were not made by this very run."""
        ended = {name for name, draft in self._drafts.items() if draft.status == "success"}
        return all(name in self._number and name not in ended for name in names)

    def _remake(self, number: int, lost: Sequence[str]) -> None:
        """Inputs whose values were lost are made again; then the step starts anew."""
        for name in lost:
            step = self._plan[name]
            self._lost[name] = Step(
                step.asset,
                "materialize",
                (Cause("value_lost"),),
                step.current,
                step.config,
                step.code_version,
            )
        self._start(self._queue.again(number, [self._number[name] for name in lost]))

    def _cancel_open(self) -> None:
        moment = _now()
        for step in self._plan:
            if step.name not in self._report.endings:
                draft = self._drafts.get(step.name) or self._draft(step, step.causes)
                draft.status, draft.completed_at = "cancelled", moment
                self._journal.put(draft)
                self._end(step.name, "cancelled")

    def _end(
        self,
        name: str,
        ending: Ending,
        duration_ms: float | None = None,
        detail: str = "",
        traceback: str = "",
    ) -> None:
        self._report.endings[name] = ending
        run_id = self._run.run_id
        self._tools.tell(StepFinished(run_id, name, ending, duration_ms, detail, traceback))

    def _stands(self, name: str, made: Materialization) -> None:
        asset = self._plan.request.graph[name]
        self._report.versions[name] = Version(
            asset, made.id, made.data_version or "", made.value, takers=self._takers[name]
        )

    def _ingredients(self, step: Step) -> Ingredients:
        upstream = {
            input_name(parameter, source): self._report.versions[source].data_version
            for parameter, source in step.asset.edges
        }
        return Ingredients(
            step.name, self._plan.request.partition, step.code_version, upstream, step.config
        )

    def _draft(self, step: Step, causes: Sequence[Cause]) -> Draft:
        draft = self._drafts[step.name] = Draft(
            id=materialization_id(),
            asset_name=step.name,
            partition=self._plan.request.partition,
            run_id=self._run.run_id,
            executor_node=self._run.executor_node,
            upstream_assets=list(step.asset.depends_on),
            code_version=step.code_version,
            causes=[cause.to_dict() for cause in causes],
            metadata=step.asset.metadata,
        )
        return draft

    def _needs(self, step: Step) -> list[int]:
        return [self._number[s] for s in step.asset.depends_on if s in self._number]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _milliseconds(draft: Draft) -> float:
    if draft.started_at is None or draft.completed_at is None:
        return 0.0
    return (draft.completed_at - draft.started_at).total_seconds() * 1000


def _summary(value: object) -> str:
    """A value in a few characters: its type, and its size where it has one."""
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(side, int) for side in shape):
        return f"{kind} {' x '.join(f'{side:,}' for side in shape)}"
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"{kind} of {len(value):,}"
    return kind
