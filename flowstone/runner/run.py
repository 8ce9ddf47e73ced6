"""A run: every step of a plan that is not fresh, as many at once as there can be."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from flowstone.core.cause import Cause
from flowstone.core.context import Context, Logger
from flowstone.core.decide import input_name
from flowstone.errors import ResourceError, ValueLostError
from flowstone.runner.calls import Calls
from flowstone.runner.events import RunFinished, RunStarted
from flowstone.runner.failure import Failure, describe
from flowstone.runner.history import History
from flowstone.runner.journal import Journal
from flowstone.runner.ledger import Ledger, moves, now
from flowstone.runner.queue import ReadyQueue
from flowstone.runner.report import Report, new_run
from flowstone.runner.resources import Resources
from flowstone.runner.step import Lost, Made, call_async, call_in_thread
from flowstone.runner.versions import Input, Version, Versions, read_inline
from flowstone.store.base import LEASE_SECONDS
from flowstone.values import is_shareable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.core.config import Config
    from flowstone.core.ingredients import Ingredients
    from flowstone.core.outside import Observed
    from flowstone.core.plan import Plan, Step
    from flowstone.core.records import DecisionKind, Draft, Materialization
    from flowstone.runner.events import Listener
    from flowstone.runner.step import Arguments, Call, Outcome
    from flowstone.runner.versions import Read
    from flowstone.store.base import MaterializationStore
    from flowstone.values import Keeper

#: Seconds between two heartbeats of a run.
BEAT_SECONDS = LEASE_SECONDS / 6


def default_concurrency() -> int:
    """How many functions run in threads at once unless said otherwise."""
    return min(32, (os.cpu_count() or 1) + 4)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with; ``inputs`` looks again at what input paths hold."""

    store: MaterializationStore
    values: Keeper
    inputs: Callable[[Mapping[str, Config]], Awaitable[Mapping[str, Observed]]]
    tell: Listener
    logger: Callable[[str, str, str | None], Logger]
    concurrency: int


@dataclass(frozen=True, slots=True)
class _Turn:
    """A step whose turn has come: what goes into it, and why it runs."""

    number: int
    step: Step
    ingredients: Ingredients
    causes: list[Cause]


async def execute(plan: Plan, run_id: str, partition: object | None, tools: Tools) -> Report:
    """Execute a plan and record everything about it.

    A failed step blocks only what needs it. Being cancelled, the run records what is done, marks
    the rest cancelled and ends.

    Raises:
        StoreError: if the store fails; what is recorded stays recorded.
    """
    if plan.is_idle:
        return await _record_idle(plan, run_id, tools)
    return await _Execution(plan, run_id, partition, tools).run()


async def _record_idle(plan: Plan, run_id: str, tools: Tools) -> Report:
    """Record a run that makes nothing; what it reuses from history becomes current."""
    run = new_run(plan, run_id)
    tools.tell(RunStarted(run_id, len(plan), 0))
    done = {"status": "success", "counts": {"reused": len(plan)}, "completed_at": run.started_at}
    report = Report(run.model_copy(update=done), {step.name: "reused" for step in plan})
    for step in plan:
        if step.current is not None:
            report.versions[step.name] = Version.of(step.asset, step.current)
    await tools.store.record_run(report.run, decisions=moves(plan, run))
    tools.tell(RunFinished(run_id, "success", report.run.counts))
    return report


class _Execution:
    def __init__(self, plan: Plan, run_id: str, partition: object | None, tools: Tools) -> None:
        self._plan, self._tools, self._partition = plan, tools, partition
        self._run = new_run(plan, run_id)
        self._journal = Journal(tools.store, run_id)
        self._ledger = Ledger(self._run, self._journal, tools.tell)
        self._history = History(tools.store, plan.request.partition, plan.request.now)
        self._report = Report(self._run, self._ledger.endings)
        self._threads = anyio.CapacityLimiter(tools.concurrency)
        self._targets = frozenset(plan.targets)
        self._calls = Calls(plan)
        self._queue = ReadyQueue(self._calls.needs())
        takers = self._calls.takers(verify=plan.request.verify)
        self._versions = Versions(self._report.versions, takers)
        self._resources = Resources(plan.request.graph.resources, self._report.unclosed)
        self._lost: dict[str, Step] = {}
        self._left_out: set[str] = set()
        self._failure: Exception | None = None
        self._scope = anyio.CancelScope()

    async def run(self) -> Report:
        self._take_over()
        certain = [s for s in self._plan if s.action == "materialize" and not s.may_cut_off]
        drafts = [self._ledger.open(step, step.causes) for step in certain]
        # Cut off in between, the run could stand open with nobody to close it.
        with anyio.CancelScope(shield=True):
            await self._tools.store.start_run(self._run, drafts, moves(self._plan, self._run))
        self._tools.tell(RunStarted(self._run.run_id, len(self._plan), len(self._plan.to_run)))
        async with anyio.create_task_group() as writers:
            writers.start_soon(self._write)
            try:
                with self._scope:
                    await self._go()
            except anyio.get_cancelled_exc_class():
                self._log_unclosed()  # who cancels gets no result that could say so
                raise
            finally:
                try:
                    for step in self._plan:
                        if self._is_open(step):
                            self._ledger.cancelled(step)
                finally:
                    self._journal.close()
        if self._failure is not None:
            for each in self._report.unclosed:
                self._failure.add_note(str(each))
            raise self._failure
        return self._report

    def _take_over(self) -> None:
        """What stands already: fresh steps, and inputs outside the plan."""
        for name, made in self._plan.given.items():
            self._versions.stands(self._plan.request.graph[name], made)
        for step in self._plan:
            if step.action == "reuse" and step.current is not None:
                self._versions.stands(step.asset, step.current)
                if not self._is_verified(step):
                    self._ledger.endings[step.name] = "reused"

    def _is_verified(self, step: Step) -> bool:
        """Whether a fresh step is executed all the same, to compare what it makes."""
        return self._plan.request.verify and step.asset.keep and step.asset.fn is not None

    async def _go(self) -> None:
        async with anyio.create_task_group() as around:
            around.start_soon(self._beat)
            async with self._resources, anyio.create_task_group() as group:
                self._group = group
                self._start(self._queue.start())
            around.cancel_scope.cancel()

    def _start(self, numbers: Sequence[int]) -> None:
        """Begin what is ready; a fresh step has its result already."""
        ready = list(numbers)
        while ready:
            number = ready.pop()
            step = self._calls[number]
            fresh = step.action == "reuse" and step.name not in self._lost
            if fresh and not self._is_verified(step):
                ready += self._queue.done(number)
            elif number == (open_steps := self._open_along(number))[0]:
                self._group.start_soon(self._guarded, open_steps)

    def _open_along(self, number: int) -> list[int]:
        """The steps that one call of the function ends: they need the same, so are ready at once.

        The first of them stands for all.
        """
        return [each for each in self._calls.along(number) if self._is_open(self._calls[each])]

    def _is_open(self, step: Step) -> bool:
        return step.name not in self._ledger.endings and step.name not in self._left_out

    async def _guarded(self, numbers: list[int]) -> None:
        """One call; an error outside of the user's code stops the run, and is raised at its end."""
        try:
            await self._step(numbers)
        except Exception as error:  # noqa: BLE001 - it is raised when the run has ended
            self._stop(error)

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

    def _log_unclosed(self) -> None:
        logger = self._tools.logger(self._run.run_id, "", self._run.partition)
        for each in self._report.unclosed:
            logger.error(str(each))

    async def _finish(self) -> None:
        endings = Counter(self._ledger.endings.values())
        status = "success"
        if self._failure or endings["failed"] or endings["skipped"] or endings["differs"]:
            status = "failed"
        elif endings["cancelled"]:
            status = "cancelled"
        elif self._report.unclosed:
            status = "failed"
        ended_at = now()
        ended = {"status": status, "counts": dict(endings), "completed_at": ended_at}
        self._report.run = run = self._run.model_copy(update=ended)
        await self._tools.store.finish_run(run)
        duration = (ended_at - run.started_at).total_seconds() * 1000
        self._tools.tell(RunFinished(run.run_id, status, run.counts, duration))

    async def _step(self, numbers: list[int]) -> None:
        """Make what one function makes: mostly one asset, else several whose steps agree."""
        steps = [self._lost.get(s.name, s) for s in (self._calls[each] for each in numbers)]
        if steps[0].action == "blocked":
            for number, step in zip(numbers, steps, strict=True):
                self._ledger.skipped(step, step.why)
                self._block(number)
            return
        read = self._versions.read_by(steps[0].asset)
        if steps[0].action == "reuse":
            await self._verify(numbers, steps, read)
            return
        turns = [self._turn(*each, read) for each in zip(numbers, steps, strict=True)]
        if not (steps[0].may_cut_off and await self._cut_off(turns, read)):
            await self._make(turns, read)

    def _turn(self, number: int, step: Step, read: Read) -> _Turn:
        ingredients = self._ingredients(step, read)
        return _Turn(number, step, ingredients, self._causes(step, ingredients))

    async def _make(self, turns: Sequence[_Turn], read: Read) -> None:
        await self._journal.room()
        await self._fetch(read)
        drafts = [self._ledger.open(turn.step, turn.causes) for turn in turns]

        def begin() -> None:
            for draft, turn in zip(drafts, turns, strict=True):
                self._ledger.running(draft, turn.causes)

        outcome = await self._call([turn.step for turn in turns], begin, drafts[0].attempt)
        if isinstance(outcome, Lost):
            if self._recover([turn.number for turn in turns], outcome.assets, read):
                return
            self._expect([turn.step for turn in turns], -1)
            outcome = _gone(outcome.assets)
        made = outcome if isinstance(outcome, list) else [outcome] * len(turns)
        outside = await self._outside(turns[0].step)
        # No await from here on: all of them are written in one transaction.
        ended = list(zip(turns, drafts, made, strict=True))
        for turn, draft, each in ended:
            if isinstance(each, Made):
                ingredients = replace(turn.ingredients, outside=outside)
                self._ledger.made(draft, each, ingredients, read, turn.step.before)
        whole = _biggest(drafts)
        for turn, draft, each in ended:
            if isinstance(each, Failure):
                self._fail(turn.number, draft, each)
                continue
            self._ledger.told(draft, each)
            self._hold(turn.step, draft, each, itself=draft is whole)
            self._start(self._queue.done(turn.number))

    async def _cut_off(self, turns: Sequence[_Turn], read: Read) -> bool:
        """Have earlier successes stand in for all steps that were asked for, if there are such.

        One whose value was lost is among the causes to run.
        """
        asked = [turn for turn in turns if not turn.step.along]
        found = [await self._standing(turn) for turn in asked]
        missing = [turn.step.name for turn, each in zip(asked, found, strict=True) if each is None]
        if missing:
            for turn, each in zip(asked, found, strict=True):
                turn.causes.extend([Cause("made_together", missing[0])] if each else [])
            return False
        standing = [each for each in found if each is not None]
        for turn, (step, kind) in zip(asked, standing, strict=True):
            self._stand_in(step, kind, turn.causes)
        self._leave_out([turn for turn in turns if turn.step.along])
        if self._is_verified(turns[0].step):
            await self._verify([turn.number for turn in asked], [s for s, _ in standing], read)
            return True
        self._expect([turn.step for turn in turns], -1)
        for turn, (step, kind) in zip(asked, standing, strict=True):
            self._ledger.reused(step.name, "from history" if kind == "history" else "")
            self._start(self._queue.done(turn.number))
        return True

    async def _standing(self, turn: _Turn) -> tuple[Step, DecisionKind] | None:
        """The step with an earlier success that will do, and which one that is."""
        earlier, kind = await self._history.earlier(turn.step, turn.ingredients)
        if earlier is None:
            return None
        if not await self._may_stand_in(turn.step, earlier):
            turn.causes.append(Cause("value_lost"))
            return None
        return replace(turn.step, current=earlier), kind

    def _leave_out(self, turns: Sequence[_Turn]) -> None:
        """What was not asked for has no part in the run, the function not being called."""
        for turn in turns:
            self._left_out.add(turn.step.name)
            self._start(self._queue.done(turn.number))

    async def _outside(self, step: Step) -> Observed:
        """What was outside, unless an input path changed meanwhile: nobody knows what was read."""
        if not step.config.inputs:
            return step.outside
        now = (await self._tools.inputs({step.name: step.config}))[step.name]
        mark = f"{self._run.run_id} {step.name}"
        return step.outside.unless_torn(now, step.config.inputs, mark)

    async def _may_stand_in(self, step: Step, made: Materialization) -> bool:
        """Whether an earlier success will do: the value of a target must be there."""
        return step.name not in self._targets or await self._is_present(step.asset, made)

    def _stand_in(self, step: Step, kind: DecisionKind, causes: Sequence[Cause]) -> None:
        """Something recorded was made of just these inputs: it stands in for the step."""
        if step.current is not None:
            self._versions.stands(step.asset, step.current)
            told = causes if kind == "history" else ()
            self._ledger.stands(step.name, kind, step.current, told)

    def _causes(self, step: Step, ingredients: Ingredients) -> list[Cause]:
        """Why the step runs, now that its inputs are known."""
        known = [cause for cause in step.causes if cause.kind != "upstream_will_run"]
        if step.before is None or step.name in self._lost:
            return known
        told = {cause.subject for cause in known if cause.kind == "input_changed"}
        changed = [c for c in ingredients.causes(step.before) if c.kind == "input_changed"]
        return [*known, *(cause for cause in changed if cause.subject not in told)]

    async def _verify(
        self,
        numbers: list[int],
        steps: Sequence[Step],
        read: Read,
    ) -> None:
        """Execute fresh steps and compare; what stands is the recorded version all the same."""
        await self._fetch(read)

        def begin() -> None:
            for step in steps:
                self._ledger.comparing(step)

        outcome = await self._call(steps, begin)
        if isinstance(outcome, Lost):
            if self._recover(numbers, outcome.assets, read):
                return
            outcome = _gone(outcome.assets)
        outcomes = outcome if isinstance(outcome, list) else [outcome] * len(steps)
        for number, step, made in zip(numbers, steps, outcomes, strict=True):
            if isinstance(made, Failure):
                self._report.failures[step.name] = made
            self._ledger.compared(step, made)
            self._start(self._queue.done(number))

    async def _is_present(self, asset: AnyAsset, made: Materialization) -> bool:
        if made.value is None:
            return False
        present = self._tools.values.present
        return (await to_thread.run_sync(present, [(asset, made.value)]))[0]

    async def _call(
        self, steps: Sequence[Step], begin: Callable[[], None], attempt: int = 1
    ) -> Outcome:
        """Call the function as soon as there is a thread for it, or at once if it is async."""
        try:
            resources = await self._resources.of(steps[0].asset.resources)
        except ResourceError as error:
            self._expect(steps, -1)
            begin()
            return describe(error)
        if steps[0].asset.is_async:
            return await self._called(call_async, steps, resources, begin, attempt)
        async with self._threads:
            return await self._called(call_in_thread, steps, resources, begin, attempt)

    async def _called(
        self,
        call: Call,
        steps: Sequence[Step],
        resources: Arguments,
        begin: Callable[[], None],
        attempt: int,
    ) -> Outcome:
        arguments = self._arguments(steps[0], attempt) | resources
        begin()
        outcome = await call([step.asset for step in steps], arguments, self._tools.values)
        if isinstance(outcome, Lost):
            claims = (each for each in arguments.values() if isinstance(each, Input))
            self._versions.give_back(claims)
        return outcome

    def _expect(self, steps: Iterable[Step], takers: int) -> None:
        """Steps will take their inputs after all (1), or end without taking them (-1).

        What one function makes takes them once.
        """
        for step in steps:
            if self._calls.leads(step):
                self._versions.expect(step.asset, takers)

    def _arguments(self, step: Step, attempt: int) -> Arguments:
        arguments: Arguments = {}
        for parameter in step.asset.parameters:
            if parameter.kind == "dependency":
                arguments[parameter.name] = self._versions.claim(parameter.asset)
            elif parameter.kind == "config":
                arguments[parameter.name] = step.config.values[parameter.name]
            elif parameter.kind == "context":
                partition = self._run.partition
                name = (step.asset.maker or step.asset).name
                logger = self._tools.logger(self._run.run_id, name, partition)
                arguments[parameter.name] = Context(
                    self._run.run_id, name, logger, self._partition, attempt
                )
        return arguments

    async def _fetch(self, read: Read) -> None:
        """Read what the function is given and is not in memory, nor was read with the plan."""
        passed = [version for (parameter, _), version in read.items() if parameter]
        await read_inline([each for each in passed if not each.is_held], self._tools.store)

    def _hold(self, step: Step, draft: Draft, made: Made, *, itself: bool) -> None:
        """Keep the object for those that take it, and for the caller if it is kept nowhere.

        What a function makes may have parts in common: ``itself`` goes out only one of them.
        """
        version = Version(step.asset, draft.id, draft.data_version or "", draft.value)
        version.takers = self._versions.takers(step.name)
        version.lasting = draft.value is None and step.name in self._targets
        shared = itself or step.asset.share or draft.value is None or is_shareable(made.value)
        if draft.value is not None and draft.value.is_path:
            version.held = Path(draft.value.location or "")  # what later runs will load
        elif version.lasting or (version.takers and shared):
            version.held = made.value
        self._versions.holds(version)

    def _fail(self, number: int, draft: Draft, failure: Failure) -> None:
        self._ledger.failed(draft, failure)
        self._report.failures[draft.asset_name] = failure
        self._block(number)

    def _block(self, number: int) -> None:
        name = self._calls[number].name
        for blocked in self._queue.failed(number):
            step, why = self._calls[blocked], f"{name} has no value"
            self._expect([step], -1)
            draft = self._ledger.begun(step.name)
            if draft is None:
                self._ledger.skipped(step, why)
            else:  # it was started, and waited for a lost input to be made again
                lost = ValueLostError(f"{why}: it was lost, and making it again failed")
                failure = describe(lost)
                self._ledger.failed(draft, failure)
                self._report.failures[step.name] = failure

    def _recover(self, numbers: list[int], lost: Sequence[str], read: Read) -> bool:
        """Have lost inputs made again, unless another step that missed them has done so.

        False if one of them can't be.
        """
        taken = {source: version for (_, source), version in read.items()}
        gone = [name for name in lost if self._versions.standing[name] is taken[name]]
        if not gone:
            self._start(numbers)
        elif all(map(self._can_remake, gone)):
            self._remake(numbers, gone)
        else:
            return False
        return True

    def _can_remake(self, name: str) -> bool:
        """Whether a lost input belongs to the plan, and this run has not made it or failed to."""
        ending = self._ledger.endings.get(name, "reused")
        return name in self._calls.number and ending in ("reused", "verified", "differs")

    def _remake(self, numbers: list[int], lost: Sequence[str]) -> None:
        """Inputs whose values were lost are made again; then the steps start anew.

        What their functions make along with them is too.
        """
        causes = dict.fromkeys(lost, Cause("value_lost"))
        for name in lost:
            for each in self._calls.along(self._calls.number[name]):
                causes.setdefault(self._calls[each].name, Cause("made_together", name))
        anew = [name for name in causes if self._can_remake(name)]
        for name in anew:
            self._lost[name] = replace(
                self._plan[name],
                action="materialize",
                causes=(causes[name],),
                may_cut_off=False,
                origin="",
            )
            self._ledger.reopen(name)
            self._left_out.discard(name)
        self._expect([self._plan[name] for name in anew], 1)
        needed = [self._calls.number[name] for name in anew]
        self._start([each for n in numbers for each in self._queue.again(n, needed)])

    def _ingredients(self, step: Step, read: Read) -> Ingredients:
        upstream = {input_name(*edge): version.data_version for edge, version in read.items()}
        return replace(step, upstream=upstream).ingredients(self._plan.request.partition)


def _biggest(drafts: Sequence[Draft]) -> Draft:
    """The one whose value is the most work to decode."""
    return max(drafts, key=lambda draft: draft.value.size if draft.value else 0)


def _gone(assets: Sequence[str]) -> Failure:
    names = ", ".join(assets)
    return describe(ValueLostError(f"the recorded value of {names} is missing or altered"))
