"""A run: every step of a plan that is not fresh, as many at once as there can be."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from flowstone.core.cause import Cause
from flowstone.core.context import Context, Logger
from flowstone.core.decide import Wanted, input_name, is_too_old, may_return
from flowstone.core.outside import Observed
from flowstone.core.records import Run
from flowstone.errors import ValueLostError
from flowstone.runner.events import RunFinished, RunStarted
from flowstone.runner.failure import Failure, describe
from flowstone.runner.history import History
from flowstone.runner.journal import Journal
from flowstone.runner.ledger import Ledger, moves, now
from flowstone.runner.queue import ReadyQueue
from flowstone.runner.step import Input, Lost, Made, Version, call_async, call_in_thread
from flowstone.store.base import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.core.config import Config
    from flowstone.core.ingredients import Ingredients
    from flowstone.core.plan import Plan, Step
    from flowstone.core.records import DecisionKind, Draft, Materialization
    from flowstone.runner.events import Ending, Listener
    from flowstone.runner.step import Arguments, Call, Outcome
    from flowstone.store.base import MaterializationStore
    from flowstone.values import Keeper

#: Seconds between two heartbeats of a run.
BEAT_SECONDS = LEASE_SECONDS / 6


def default_concurrency() -> int:
    """How many functions run in threads at once unless said otherwise."""
    return min(32, (os.cpu_count() or 1) + 4)


@dataclass(slots=True)
class Report:
    """How a run ended: every step's ending, the versions that stand, and what failed."""

    run: Run
    endings: dict[str, Ending]
    versions: dict[str, Version] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with; ``inputs`` looks again at what input paths hold."""

    store: MaterializationStore
    values: Keeper
    inputs: Callable[[Mapping[str, Config]], Awaitable[Mapping[str, Observed]]]
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
        started_at=now(),
    )


class _Execution:
    def __init__(self, plan: Plan, run_id: str, partition: object | None, tools: Tools) -> None:
        self._plan, self._tools, self._partition = plan, tools, partition
        self._run = new_run(plan, run_id)
        self._journal = Journal(tools.store, run_id)
        self._ledger = Ledger(self._run, self._journal, tools.tell)
        self._history = History(tools.store, plan.request.partition)
        self._report = Report(self._run, self._ledger.endings)
        self._threads = anyio.CapacityLimiter(tools.concurrency)
        self._steps = list(plan)
        self._targets = frozenset(plan.targets)
        self._number = {step.name: number for number, step in enumerate(self._steps)}
        self._queue = ReadyQueue([self._needs(step) for step in self._steps])
        self._takers = Counter(
            source
            for step in plan
            if step.action != "reuse" or plan.request.verify
            for parameter, source in step.asset.edges
            if parameter
        )
        self._lost: dict[str, Step] = {}
        self._failure: Exception | None = None
        self._scope = anyio.CancelScope()

    async def run(self) -> Report:
        self._take_over()
        certain = [s for s in self._plan if s.action == "materialize" and not s.may_cut_off]
        drafts = [self._ledger.open(step, step.causes) for step in certain]
        await self._tools.store.start_run(self._run, drafts, moves(self._plan, self._run))
        self._tools.tell(RunStarted(self._run.run_id, len(self._plan), len(self._plan.to_run)))
        async with anyio.create_task_group() as writers:
            writers.start_soon(self._write)
            try:
                with self._scope:
                    await self._go()
            finally:
                try:
                    for step in self._plan:
                        if step.name not in self._ledger.endings:
                            self._ledger.cancelled(step)
                finally:
                    self._journal.close()
        if self._failure is not None:
            raise self._failure
        return self._report

    def _take_over(self) -> None:
        """What stands already: fresh steps, and inputs outside the plan."""
        for name, made in self._plan.given.items():
            self._stands(name, made)
        for step in self._plan:
            if step.action == "reuse" and step.current is not None:
                self._stands(step.name, step.current)
                if not self._is_verified(step):
                    self._ledger.endings[step.name] = "reused"

    def _is_verified(self, step: Step) -> bool:
        """Whether a fresh step is executed all the same, to compare what it makes."""
        return self._plan.request.verify and step.asset.keep and step.asset.fn is not None

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
            fresh = step.action == "reuse" and step.name not in self._lost
            if fresh and not self._is_verified(step):
                ready += self._queue.done(number)
            else:
                self._group.start_soon(self._guarded, number)

    async def _guarded(self, number: int) -> None:
        """One step; an error outside of the user's code stops the run, and is raised at its end."""
        try:
            await self._step(number)
        except Exception as error:  # noqa: BLE001 - it is raised when the run has ended
            self._stop(error)
        if not self._queue.left:
            self._group.cancel_scope.cancel()

    def _stop(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._scope.cancel()

    async def _beat(self) -> None:
        try:
            while True:
                await anyio.sleep(BEAT_SECONDS)
                # The driver would close a connection whose query is cut off at the run's end.
                with anyio.move_on_after(BEAT_SECONDS, shield=True):
                    await self._tools.store.beat(self._run.run_id)
        except Exception as error:  # noqa: BLE001 - it is raised when the run has ended
            self._stop(error)

    async def _write(self) -> None:
        """Write rows, then the end of the run, whatever else is cancelled."""
        with anyio.CancelScope(shield=True):
            try:
                await self._journal.write()
                await self._finish()
            except Exception as error:  # noqa: BLE001 - it is raised when the run has ended
                self._stop(error)

    async def _finish(self) -> None:
        endings = Counter(self._ledger.endings.values())
        status = "success"
        if self._failure or endings["failed"] or endings["skipped"] or endings["differs"]:
            status = "failed"
        elif endings["cancelled"]:
            status = "cancelled"
        ended = {"status": status, "counts": dict(endings), "completed_at": now()}
        self._report.run = run = self._run.model_copy(update=ended)
        await self._tools.store.finish_run(run)
        duration = (now() - run.started_at).total_seconds() * 1000
        self._tools.tell(RunFinished(run.run_id, status, run.counts, duration))

    async def _step(self, number: int) -> None:
        step = self._lost.get(self._steps[number].name, self._steps[number])
        if step.action == "blocked":
            self._ledger.skipped(step, step.why)
            self._block(number)
            return
        read = {edge: self._report.versions[edge[1]] for edge in step.asset.edges}
        if step.action == "reuse":
            await self._verify(number, step, read)
            return
        ingredients = self._ingredients(step, read)
        causes = self._causes(step, ingredients)
        if step.may_cut_off:
            earlier, kind = await self._earlier(step, ingredients)
            if earlier is not None and await self._may_stand_in(step, earlier):
                await self._stand_in(number, replace(step, current=earlier), kind, causes, read)
                return
            if earlier is not None:
                causes.append(Cause("value_lost"))
        await self._journal.room()
        await self._fetch([version for (parameter, _), version in read.items() if parameter])
        draft = self._ledger.open(step, causes)
        match await self._call(step, lambda: self._ledger.running(draft, causes), draft.attempt):
            case Made() as made:
                ingredients = await self._read_by(step, ingredients)
                self._ledger.made(draft, made, ingredients, read, step.before)
                self._hold(step, draft, made)
                self._start(self._queue.done(number))
            case Failure() as failure:
                self._fail(number, draft, failure)
            case Lost(assets):
                if not self._recover(number, assets, read):
                    self._expect(step, -1)
                    self._fail(number, draft, _gone(assets))

    async def _read_by(self, step: Step, ingredients: Ingredients) -> Ingredients:
        """The ingredients, unless an input path changed meanwhile: nobody knows what was read."""
        if not step.config.inputs:
            return ingredients
        now = (await self._tools.inputs({step.name: step.config}))[step.name]
        before = step.outside.states
        torn = [name for name in step.config.inputs if now.states.get(name) != before.get(name)]
        if not torn:
            return ingredients
        mark = f"{self._run.run_id} {step.name}"
        states = dict.fromkeys(torn, f"changed in {mark}")
        shown = dict.fromkeys(torn, "changed while it was read")
        outside = Observed({**before, **states}, {**step.outside.shown, **shown})
        return replace(ingredients, outside=outside)

    async def _may_stand_in(self, step: Step, made: Materialization) -> bool:
        """Whether an earlier success will do: the value of a target must be there."""
        return step.name not in self._targets or await self._is_present(step.asset, made)

    async def _stand_in(
        self,
        number: int,
        step: Step,
        kind: DecisionKind,
        causes: Sequence[Cause],
        read: Mapping[tuple[str, str], Version],
    ) -> None:
        """Something recorded was made of just these inputs: it stands in for the step."""
        if step.current is None:
            return
        self._stands(step.name, step.current)
        self._ledger.stands(step.name, kind, step.current, causes if kind == "history" else ())
        if self._is_verified(step):
            await self._verify(number, step, read)
        else:
            self._ledger.reused(step.name, "from history" if kind == "history" else "")
            self._expect(step, -1)
            self._start(self._queue.done(number))

    async def _earlier(
        self, step: Step, ingredients: Ingredients
    ) -> tuple[Materialization | None, DecisionKind]:
        """The success that was made of just these, unless it is too old, and which one it is."""
        asset, made, now = step.asset, step.current, self._plan.request.now
        if made is not None and made.status == "success" and ingredients.agree_with(made):
            if not is_too_old(asset, made, now):
                return made, "cut_off" if made.asset_name == step.name else "alias"
            return None, "history"
        for name in (asset.name, *asset.aliases):
            wanted = Wanted(name, ingredients.dependency_hash(name))
            made = await self._history.find(wanted)
            if made and may_return(made, step.before) and not is_too_old(asset, made, now):
                return made, "history"
        return None, "history"

    def _causes(self, step: Step, ingredients: Ingredients) -> list[Cause]:
        """Why the step runs, now that its inputs are known."""
        known = [cause for cause in step.causes if cause.kind != "upstream_will_run"]
        if step.before is None or step.name in self._lost:
            return known
        told = {cause.subject for cause in known if cause.kind == "input_changed"}
        changed = [c for c in ingredients.causes(step.before) if c.kind == "input_changed"]
        return [*known, *(cause for cause in changed if cause.subject not in told)]

    async def _verify(
        self, number: int, step: Step, read: Mapping[tuple[str, str], Version]
    ) -> None:
        """Execute a fresh step and compare; what stands is the recorded version all the same."""
        await self._fetch([version for (parameter, _), version in read.items() if parameter])
        outcome = await self._call(step, lambda: self._ledger.comparing(step))
        if isinstance(outcome, Lost):
            if self._recover(number, outcome.assets, read):
                return
            outcome = _gone(outcome.assets)
        if isinstance(outcome, Failure):
            self._report.failures[step.name] = outcome
        self._ledger.compared(step, outcome)
        self._start(self._queue.done(number))

    async def _is_present(self, asset: AnyAsset, made: Materialization) -> bool:
        if made.value is None:
            return False
        present = self._tools.values.present
        return (await to_thread.run_sync(present, [(asset, made.value)]))[0]

    async def _call(self, step: Step, begin: Callable[[], None], attempt: int = 1) -> Outcome:
        """Call the function as soon as there is a thread for it, or at once if it is async."""
        if step.asset.is_async:
            return await self._called(call_async, step, begin, attempt)
        async with self._threads:
            return await self._called(call_in_thread, step, begin, attempt)

    async def _called(
        self, call: Call, step: Step, begin: Callable[[], None], attempt: int
    ) -> Outcome:
        arguments = self._arguments(step, attempt)
        begin()
        outcome = await call(step.asset, arguments, self._tools.values)
        if isinstance(outcome, Lost):
            for each in arguments.values():
                if isinstance(each, Input):
                    self._takers[each.asset.name] += 1
                    self._report.versions[each.asset.name].give_back(each)
        return outcome

    def _expect(self, step: Step, takers: int) -> None:
        """A step will take its inputs after all (1), or ends without taking them (-1)."""
        for parameter, source in step.asset.edges:
            if parameter:
                self._takers[source] += takers
                if source in self._report.versions:
                    self._report.versions[source].expect(takers)

    def _arguments(self, step: Step, attempt: int) -> Arguments:
        arguments: Arguments = {}
        for parameter in step.asset.parameters:
            if parameter.kind == "dependency":
                self._takers[parameter.asset] -= 1
                arguments[parameter.name] = self._report.versions[parameter.asset].claim()
            elif parameter.kind == "config":
                arguments[parameter.name] = step.config.values[parameter.name]
            else:
                partition = self._run.partition
                logger = self._tools.logger(self._run.run_id, step.name, partition)
                arguments[parameter.name] = Context(
                    self._run.run_id, step.name, logger, self._partition, attempt
                )
        return arguments

    async def _fetch(self, versions: Sequence[Version]) -> None:
        """Read the inline values of reused inputs, which plans do without."""
        unread = {v.id: v for v in versions if v.pointer and v.pointer.unread and not v.is_held}
        if unread:
            found = await self._tools.store.inline_values(list(unread))
            for key, data in found.items():
                unread[key].read(data)

    def _hold(self, step: Step, draft: Draft, made: Made) -> None:
        """Keep the object for those that take it, and for the caller if it is kept nowhere."""
        version = Version(step.asset, draft.id, draft.data_version or "", draft.value)
        version.takers = self._takers[step.name]
        version.lasting = draft.value is None and step.name in self._targets
        if draft.value is not None and draft.value.is_path:
            version.held = Path(draft.value.location or "")  # what later runs will load
        elif version.takers or version.lasting:
            version.held = made.value
        self._report.versions[step.name] = version

    def _fail(self, number: int, draft: Draft, failure: Failure) -> None:
        self._ledger.failed(draft, failure)
        self._report.failures[draft.asset_name] = failure
        self._block(number)

    def _block(self, number: int) -> None:
        name = self._steps[number].name
        for blocked in self._queue.failed(number):
            step, why = self._steps[blocked], f"{name} has no value"
            self._expect(step, -1)
            draft = self._ledger.begun(step.name)
            if draft is None:
                self._ledger.skipped(step, why)
            else:  # it was started, and waited for a lost input to be made again
                lost = ValueLostError(f"{why}: it was lost, and making it again failed")
                failure = describe(lost)
                self._ledger.failed(draft, failure)
                self._report.failures[step.name] = failure

    def _recover(
        self, number: int, lost: Sequence[str], read: Mapping[tuple[str, str], Version]
    ) -> bool:
        """Have lost inputs made again, unless another step that missed them has done so.

        False if one of them can't be.
        """
        taken = {source: version for (_, source), version in read.items()}
        gone = [name for name in lost if self._report.versions[name] is taken[name]]
        if not gone:
            self._start([number])
        elif all(map(self._can_remake, gone)):
            self._remake(number, gone)
        else:
            return False
        return True

    def _can_remake(self, name: str) -> bool:
        """Whether a lost input belongs to the plan, and this run has not made it or failed to."""
        ending = self._ledger.endings.get(name, "reused")
        return name in self._number and ending in ("reused", "verified", "differs")

    def _remake(self, number: int, lost: Sequence[str]) -> None:
        """Inputs whose values were lost are made again; then the step starts anew."""
        for name in lost:
            causes = (Cause("value_lost"),)
            self._lost[name] = replace(
                self._plan[name], action="materialize", causes=causes, may_cut_off=False, origin=""
            )
            self._ledger.reopen(name)
            self._expect(self._plan[name], 1)
        self._start(self._queue.again(number, [self._number[name] for name in lost]))

    def _stands(self, name: str, made: Materialization) -> None:
        asset = self._plan.request.graph[name]
        self._report.versions[name] = Version.of(asset, made, self._takers[name])

    def _ingredients(self, step: Step, read: Mapping[tuple[str, str], Version]) -> Ingredients:
        upstream = {input_name(*edge): version.data_version for edge, version in read.items()}
        return replace(step, upstream=upstream).ingredients(self._plan.request.partition)

    def _needs(self, step: Step) -> list[int]:
        return [self._number[name] for name in step.asset.depends_on if name in self._number]


def _gone(assets: Sequence[str]) -> Failure:
    names = ", ".join(assets)
    return describe(ValueLostError(f"the recorded value of {names} is missing or altered"))
