"""What a run does with each call whose turn has come, and with what came of it.

Most calls need nothing but their inputs: those go from ready to recorded without a task of their
own. The others look something up first.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from flowstone.runner.executors.base import ABSENT, Job
from flowstone.runner.failure import Failure
from flowstone.runner.inputs import Inputs
from flowstone.runner.output import Output
from flowstone.runner.recovery import Recovery
from flowstone.runner.retrying import Retrying
from flowstone.runner.standing import Standing
from flowstone.runner.step import Lost, Made
from flowstone.runner.turns import Turns
from flowstone.runner.verifying import Verifying
from flowstone.values import is_shareable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.core.outside import Observed
    from flowstone.core.plan import Step
    from flowstone.core.records import DecisionKind
    from flowstone.runner.course import Course
    from flowstone.runner.lane import Lane
    from flowstone.runner.pools import Pools
    from flowstone.runner.resources import Resources
    from flowstone.runner.run import Tools
    from flowstone.runner.step import Arguments, Outcome
    from flowstone.runner.turns import Turn
    from flowstone.runner.versions import Read


@dataclass(slots=True, eq=False, kw_only=True)
class _Making(Job):
    """The call that makes the assets of some steps, one or several together."""

    lane: Lane
    read: Read
    turns: Sequence[Turn]

    @property
    def numbers(self) -> list[int]:
        return [turn.number for turn in self.turns]


class Steps:
    """Makes jobs of the steps of a course, and takes in how they ended.

    ``is_open`` says whether more may begin, ``spawn`` has a coroutine run beside, ``moved`` is
    called whenever something has ended but for jobs, of whose ends the executor tells many at
    once, and ``guarded`` makes callbacks that raise nothing.
    """

    def __init__(
        self,
        course: Course,
        tools: Tools,
        resources: Resources,
        pools: Pools,
        partition: object | None,
        *,
        is_open: Callable[[], bool],
        spawn: Callable[..., None],
        moved: Callable[[], None],
        guarded: Callable[[Callable[..., None]], Callable[..., None]],
    ) -> None:
        self._course, self._tools = course, tools
        self._on_begun, self._on_ended = guarded(self._begun), guarded(self._ended)
        self._on_committed = guarded(self._after)
        self._spawn, self._moved = spawn, moved
        self.is_open = is_open
        self._called: set[_Making] = set()
        self._values, self._durability = tools.values, tools.durability
        self._has_resources = bool(course.plan.request.graph.resources)
        self._run_id = course.report.run.run_id
        self._key = course.plan.request.partition
        self._ledger, self._versions = course.ledger, course.versions
        self._inputs = Inputs(tools, resources, self._run_id, self._key, partition)
        self._turns = Turns(course)
        self._standing = Standing(course, tools.store, tools.values)
        self._recovery = Recovery(course, pools, spawn, moved)
        self._retrying = Retrying(course, self._inputs, pools, spawn, moved)
        self._verifying = Verifying(course, self._inputs, tools.values, self._recovery, guarded)

    def is_quick(self, step: Step) -> bool:
        """Whether the job of a step can be made without looking up anything."""
        if step.action != "materialize":
            return step.action == "blocked"
        takes_resources = self._has_resources and step.asset.resources
        if step.may_cut_off or takes_resources or self._is_strict(step):
            return False
        return not self._versions.must_be_read(step.asset)

    def job(self, number: int, lane: Lane) -> Job | None:
        """The job of a quick step; None if nothing is to be called for it."""
        steps = self._open(number)
        first = steps[0][1]
        if first.action == "blocked":
            for each, step in steps:
                self._ledger.skipped(step, step.why)
                self._course.block(each)
            self._moved()
            return None
        read = self._versions.read_by(first.asset)
        return self._making(lane, self._turns.of(steps, read), read, {})

    def look_up(self, number: int, lane: Lane) -> None:
        """Prepare a step that is not quick, in a task of its own."""
        self._spawn(self._prepare, number, lane)

    async def _prepare(self, number: int, lane: Lane) -> None:
        job = await self._looked_up(number, lane)
        lane.preparing -= 1
        if job is not None:
            lane.submit(number, job)
        self._moved()

    async def _looked_up(self, number: int, lane: Lane) -> Job | None:
        steps = self._open(number)
        first = steps[0][1]
        read = self._versions.read_by(first.asset)
        if first.action == "reuse":
            return await self._to_compare(lane, steps, read)
        turns = self._turns.of(steps, read)
        if not first.may_cut_off or (stood := await self._standing.of(turns)) is None:
            return await self._to_make(lane, turns, read)
        await self._give_up([turn.step.name for turn in turns if turn.step.along])
        standing = [(number, step) for number, step, _ in stood]
        if self._course.is_verified(first):
            return await self._to_compare(lane, standing, read)
        self._course.expect([turn.step for turn in turns], -1)
        for each, step, kind in stood:
            self._ledger.reused(step.name, self._origin(step, kind))
            self._course.done(each)
        return None

    async def _give_up(self, left_out: Sequence[str]) -> None:
        """What is left out has no end that would free its claim."""
        if left_out:
            await self._tools.store.release(self._run_id, left_out, self._key)

    async def _to_make(self, lane: Lane, turns: Sequence[Turn], read: Read) -> Job | None:
        resources, failure = await self._inputs.at_hand(turns[0].step, read)
        if not self._versions.stand(read):
            return await self._looked_up(turns[0].number, lane)
        if failure is None:
            job = self._making(lane, turns, read, resources)
            if self._is_strict(turns[0].step):
                for turn in turns:
                    self._ledger.running(turn.draft, ())
                await self._committed()
            return job
        self._course.expect([turn.step for turn in turns], -1)
        for turn in turns:
            draft = self._ledger.open(turn.step, turn.causes)
            self._ledger.running(draft, turn.causes)
            self._course.fail(turn.number, draft, failure)
        return None

    async def _to_compare(
        self, lane: Lane, steps: Sequence[tuple[int, Step]], read: Read
    ) -> Job | None:
        resources, failure = await self._inputs.at_hand(steps[0][1], read)
        if not self._versions.stand(read):
            return await self._looked_up(steps[0][0], lane)
        if failure is None:
            return self._verifying.job(lane, steps, read, resources)
        self._verifying.fail(steps, failure)
        return None

    def _open(self, number: int) -> list[tuple[int, Step]]:
        steps = self._course.steps
        if steps[number].asset.maker is None:
            return [(number, steps[number])]
        return [(each, steps[each]) for each in self._course.open_along(number)]

    def _origin(self, step: Step, kind: DecisionKind) -> str:
        """Where what stands in for a step comes from; nothing if it was there all along."""
        before, made = self._course.plan[step.name].current, step.current
        if kind == "history" or made is None or (before is not None and before.id == made.id):
            return "from history" if kind == "history" else ""
        return f"made meanwhile by run {made.run_id}"

    def _making(
        self, lane: Lane, turns: Sequence[Turn], read: Read, resources: Arguments
    ) -> _Making:
        first, assets = turns[0].step, []
        for turn in turns:
            assets.append(turn.step.asset)
            turn.draft = self._ledger.open(turn.step, turn.causes)
        policy = first.asset.policy
        if policy.retries is not None:
            # What an attempt may alter is not to be the last there is of an input.
            self._course.expect([turn.step for turn in turns], 1)
        stored = lane.executor.by_reference
        arguments = self._inputs.of(first, read, turns[0].draft.attempt, stored=stored)
        arguments.update(resources)
        return _Making(
            assets=assets,
            arguments=arguments,
            values=self._values,
            timeout=policy.timeout,
            begun=self._on_begun,
            ended=self._on_ended,
            label=f"asset {first.asset.name!r}",
            run_id=self._run_id,
            output=Output(first.config.secrets if first.config.shown else ()),
            lane=lane,
            read=read,
            turns=turns,
        )

    def _begun(self, job: _Making) -> None:
        job.lane.begun()
        self._called.add(job)
        for turn in job.turns:
            self._ledger.running(turn.draft, turn.causes, job.started_at)

    def _ended(self, job: _Making, outcome: Outcome) -> None:
        job.lane.ended()
        self._called.discard(job)
        if not job.output.is_empty:
            self._keep_output(job)
        if isinstance(outcome, Failure) and self._retrying.tries_again(job, outcome):
            return
        if job.assets[0].policy.retries is not None:
            self._course.expect([turn.step for turn in job.turns], -1)
        step = job.turns[0].step
        if isinstance(outcome, Lost):
            self._recovery.begin(job, outcome, self._ended_lost)
        elif step.config.inputs:
            job.lane.preparing += 1
            self._spawn(self._look_outside, job, outcome)
        else:
            self._made(job, outcome, step.outside)

    def _ended_lost(self, job: _Making, failure: Failure) -> None:
        self._course.expect([turn.step for turn in job.turns], -1)
        self._made(job, failure, job.turns[0].step.outside)
        self._moved()

    def _keep_output(self, job: _Making) -> None:
        asset = job.assets[0].maker or job.assets[0]
        log = job.output.record(job.run_id, asset.name, self._key, job.turns[0].draft.attempt)
        if log is not None:
            self._ledger.keep(log)

    def stop(self) -> None:
        """Nothing is tried again any more."""
        self._retrying.stopping.set()

    def keep_rest(self) -> None:
        """What functions have told that were called and have not ended is kept, too."""
        for job in self._called:
            self._keep_output(job)
        self._called.clear()

    def _is_strict(self, step: Step) -> bool:
        """Whether its begin is recorded before it begins, and its end before others begin."""
        return (step.asset.policy.durability or self._durability) == "strict"

    async def _committed(self) -> None:
        """Wait until all that was taken down so far is committed."""
        done = anyio.Event()
        self._ledger.then(done.set)
        await done.wait()

    async def _look_outside(self, job: _Making, outcome: Outcome) -> None:
        """What was outside, unless an input path changed meanwhile: nobody knows what was read."""
        step = job.turns[0].step
        now = (await self._tools.inputs({step.name: step.config}))[step.name]
        mark = f"{self._run_id} {step.name}"
        job.lane.preparing -= 1
        self._made(job, outcome, step.outside.unless_torn(now, step.config.inputs, mark))
        self._moved()

    def _made(self, job: _Making, outcome: Any, outside: Observed) -> None:
        """All that a function made is written in one transaction."""
        turns = job.turns
        made = outcome if isinstance(outcome, list) else [outcome] * len(turns)
        for turn, each in zip(turns, made, strict=True):
            if isinstance(each, Made):
                if outside is not turn.step.outside:
                    turn.ingredients = replace(turn.ingredients, outside=outside)
                self._ledger.made(turn.draft, each, turn.ingredients, job.read, turn.step.before)
        whole = max(turns, key=_size) if len(turns) > 1 else turns[0]
        for turn, each in zip(turns, made, strict=True):
            if isinstance(each, Failure):
                self._course.fail(turn.number, turn.draft, each)
                continue
            self._ledger.told(turn.draft, each)
            self._hold(turn, each, itself=turn is whole)
            if self._is_strict(turn.step):
                self._ledger.then(functools.partial(self._on_committed, turn.number))
            else:
                self._course.done(turn.number)

    def _after(self, number: int) -> None:
        """A step whose success is committed may be built upon."""
        self._course.done(number)
        self._moved()

    def _hold(self, turn: Turn, made: Made, *, itself: bool) -> None:
        """Keep the object for those that take it, and for the caller if it is kept nowhere.

        What a function makes may have parts in common: ``itself`` goes out only one of them.
        """
        asset, pointer = turn.step.asset, turn.draft.value
        version = self._versions.made(asset, turn.draft)
        version.lasting = pointer is None and asset.name in self._course.targets
        if pointer is not None and pointer.is_path:
            version.hold(Path(pointer.location or ""))  # what later runs will load
        elif made.value is ABSENT:
            pass  # whoever takes it reads what another process stored
        elif (version.lasting or version.takers) and (
            itself or asset.share or pointer is None or is_shareable(made.value)
        ):
            version.hold(made.value)


def _size(turn: Turn) -> int:
    """How much work it is to decode the value."""
    return turn.draft.value.size if turn.draft.value else 0
