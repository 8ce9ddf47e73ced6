"""What a run does with each call whose turn has come, and with what came of it.

Most calls need nothing but their inputs: those go from ready to recorded without a task of their
own. The others look something up first.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from flowstone.core.context import Context
from flowstone.core.decide import input_name
from flowstone.errors import ResourceError
from flowstone.runner.executors.base import ABSENT, Job
from flowstone.runner.failure import Failure, describe
from flowstone.runner.output import Output
from flowstone.runner.recovery import Recovery
from flowstone.runner.standing import Standing, Turn
from flowstone.runner.step import Lost, Made
from flowstone.runner.together import Together
from flowstone.runner.versions import read_inline
from flowstone.values import is_shareable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flowstone.core.cause import Cause
    from flowstone.core.ingredients import Ingredients
    from flowstone.core.outside import Observed
    from flowstone.core.plan import Step
    from flowstone.core.records import DecisionKind, Draft
    from flowstone.runner.course import Course
    from flowstone.runner.lane import Lane
    from flowstone.runner.pools import Pools
    from flowstone.runner.resources import Resources
    from flowstone.runner.run import Tools
    from flowstone.runner.step import Arguments, Outcome
    from flowstone.runner.versions import Read


#: Causes that hold whatever was current before.
_OWN_CAUSES = frozenset({"forced", "always", "made_together"})


@dataclass(slots=True, eq=False, kw_only=True)
class _Making(Job):
    """The call that makes the assets of some steps, one or several together."""

    lane: Lane
    read: Read
    turns: Sequence[Turn]
    drafts: Sequence[Draft]

    @property
    def numbers(self) -> list[int]:
        return [turn.number for turn in self.turns]


@dataclass(slots=True, eq=False, kw_only=True)
class _Comparing(Job):
    """The call of fresh assets' function, to compare what it makes."""

    lane: Lane
    read: Read
    steps: Sequence[tuple[int, Step]]

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.steps]


class Steps:
    """Makes jobs of the steps of a course, and takes in how they ended.

    ``is_open`` says whether more may begin, ``spawn`` has a coroutine run beside, ``moved`` is
    called whenever something has ended, and ``guarded`` makes callbacks that raise nothing.
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
        self._resources, self._pools = resources, pools
        #: Set when nothing is to begin any more.
        self.stopping = anyio.Event()
        self._on_begun, self._on_ended = guarded(self._begun), guarded(self._ended)
        self._on_committed = guarded(self._after)
        self._on_comparing = guarded(self._comparing_begun)
        self._on_compared = guarded(self._comparing_ended)
        self._partition, self._spawn, self._moved = partition, spawn, moved
        self.is_open = is_open
        self._called: set[_Making] = set()
        self._values, self._durability = tools.values, tools.durability
        self._has_resources = bool(course.plan.request.graph.resources)
        self._run = course.report.run
        self._key = course.plan.request.partition
        self._ledger, self._versions = course.ledger, course.versions
        self._standing = Standing(course, tools.store, tools.values)
        self._inline_values = Together(tools.store.inline_values)
        self._recovery = Recovery(course, pools, spawn, moved)

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
        turns = [self._turn(each, step, read) for each, step in steps]
        return self._making(lane, turns, read, {})

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
        turns = [self._turn(each, step, read) for each, step in steps]
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
            await self._tools.store.release(self._run.run_id, left_out, self._key)

    async def _to_make(self, lane: Lane, turns: Sequence[Turn], read: Read) -> Job | None:
        resources, failure = await self._at_hand(turns[0].step, read)
        if not self._versions.stand(read):
            return await self._looked_up(turns[0].number, lane)
        if failure is None:
            job = self._making(lane, turns, read, resources)
            if self._is_strict(turns[0].step):
                for draft in job.drafts:
                    self._ledger.running(draft, ())
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
        resources, failure = await self._at_hand(steps[0][1], read)
        if not self._versions.stand(read):
            return await self._looked_up(steps[0][0], lane)
        if failure is not None:
            self._course.expect([step for _, step in steps], -1)
            for _, step in steps:
                self._ledger.comparing(step)
            self._compared(steps, failure)
            return None
        first = steps[0][1].asset
        return _Comparing(
            assets=[step.asset for _, step in steps],
            arguments=self._arguments(lane, steps[0][1], read, 1) | resources,
            values=self._values,
            timeout=first.policy.timeout,
            begun=self._on_comparing,
            ended=self._on_compared,
            label=f"asset {first.name!r}",
            run_id=self._run.run_id,
            lane=lane,
            read=read,
            steps=steps,
        )

    async def _at_hand(self, step: Step, read: Read) -> tuple[Arguments, Failure | None]:
        """Have in memory what the function is given: the resources, or why there are none."""
        passed = [version for parameter, version in read if parameter]
        await read_inline([each for each in passed if not each.is_held], self._inline_values)
        try:
            return await self._resources.of(step.asset.resources), None
        except ResourceError as error:
            return {}, describe(error)

    def _open(self, number: int) -> list[tuple[int, Step]]:
        steps = self._course.steps
        if steps[number].asset.maker is None:
            return [(number, steps[number])]
        return [(each, steps[each]) for each in self._course.open_along(number)]

    def _turn(self, number: int, step: Step, read: Read) -> Turn:
        upstream = {
            parameter or input_name("", version.asset.name): version.data_version
            for parameter, version in read
        }
        ingredients = step.ingredients(self._key, upstream)
        return Turn(number, step, ingredients, self._causes(number, step, ingredients))

    def _origin(self, step: Step, kind: DecisionKind) -> str:
        """Where what stands in for a step comes from; nothing if it was there all along."""
        before, made = self._course.plan[step.name].current, step.current
        if kind == "history" or made is None or (before is not None and before.id == made.id):
            return "from history" if kind == "history" else ""
        return f"made meanwhile by run {made.run_id}"

    def _causes(self, number: int, step: Step, ingredients: Ingredients) -> list[Cause]:
        """Why the step runs, now that its inputs are known, and what was made since the plan."""
        if step.before is not self._course.plan.steps[number].before:
            own = [cause for cause in step.causes if cause.kind in _OWN_CAUSES]
            differing = list(ingredients.causes(step.before)) if step.before else []
            return [*own, *differing] or list(step.causes)
        known = [cause for cause in step.causes if cause.kind != "upstream_will_run"]
        if step.before is None or step.name in self._course.lost:
            return known
        told = {cause.subject for cause in known if cause.kind == "input_changed"}
        changed = [c for c in ingredients.causes(step.before) if c.kind == "input_changed"]
        return [*known, *(cause for cause in changed if cause.subject not in told)]

    def _making(
        self, lane: Lane, turns: Sequence[Turn], read: Read, resources: Arguments
    ) -> _Making:
        first = turns[0].step
        assets, drafts = [], []
        for turn in turns:
            assets.append(turn.step.asset)
            drafts.append(self._ledger.open(turn.step, turn.causes))
        if first.asset.policy.retries is not None:
            # What an attempt may alter is not to be the last there is of an input.
            self._course.expect([turn.step for turn in turns], 1)
        arguments = self._arguments(lane, first, read, drafts[0].attempt)
        arguments.update(resources)
        return _Making(
            assets=assets,
            arguments=arguments,
            values=self._values,
            timeout=first.asset.policy.timeout,
            begun=self._on_begun,
            ended=self._on_ended,
            label=f"asset {first.asset.name!r}",
            run_id=self._run.run_id,
            output=Output(first.config.secrets if first.config.shown else ()),
            lane=lane,
            read=read,
            turns=turns,
            drafts=drafts,
        )

    def _arguments(self, lane: Lane, step: Step, read: Read, attempt: int) -> Arguments:
        arguments: Arguments = {}
        stored = lane.executor.by_reference
        for name, version in read:
            if name:
                arguments[name] = version.claim(by_reference=stored)
        for parameter in step.asset.parameters:
            if parameter.kind == "config":
                arguments[parameter.name] = step.config.values[parameter.name]
            elif parameter.kind == "context":
                arguments[parameter.name] = self._context(step, attempt)
        return arguments

    def _context(self, step: Step, attempt: int) -> Context:
        name = (step.asset.maker or step.asset).name
        logger = self._tools.logger(self._run.run_id, name, self._key)
        return Context(self._run.run_id, name, logger, self._partition, attempt)

    def _begun(self, job: _Making) -> None:
        job.lane.begun()
        self._called.add(job)
        for draft, turn in zip(job.drafts, job.turns, strict=True):
            self._ledger.running(draft, turn.causes, job.started_at)

    def _ended(self, job: _Making, outcome: Outcome) -> None:
        job.lane.ended()
        self._called.discard(job)
        if not job.output.is_empty:
            self._keep_output(job)
        if isinstance(outcome, Failure) and self._tries_again(job, outcome):
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

    def _tries_again(self, job: _Making, failure: Failure) -> bool:
        """Whether there is another attempt; it begins in a while."""
        policy, attempt = job.assets[0].policy, job.drafts[0].attempt
        if policy.retries is None:
            return False
        before = len(_notes(failure))
        if not policy.tries_again(attempt, failure.exception):
            for note in _notes(failure)[before:]:  # the predicate raised: mend it
                self._context(job.turns[0].step, attempt).logger.error(note)
            return False
        delay = policy.retries.delay_before(attempt + 1, random.random())  # noqa: S311 - no secret
        for draft in job.drafts:
            self._ledger.again(draft, failure, delay)
        job.lane.preparing += 1
        self._spawn(self._try_again, job, delay)
        return True

    async def _try_again(self, job: _Making, delay: float) -> None:
        await self._pools.give_back(job.numbers[0])
        with anyio.move_on_after(delay):
            await self.stopping.wait()
        job.lane.preparing -= 1
        if not self.stopping.is_set():
            self._course.ready([job.numbers[0]])
        self._moved()

    def _keep_output(self, job: _Making) -> None:
        asset = job.assets[0].maker or job.assets[0]
        log = job.output.record(job.run_id, asset.name, self._key, job.drafts[0].attempt)
        if log is not None:
            self._ledger.keep(log)

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
        mark = f"{self._run.run_id} {step.name}"
        job.lane.preparing -= 1
        self._made(job, outcome, step.outside.unless_torn(now, step.config.inputs, mark))

    def _made(self, job: _Making, outcome: Any, outside: Observed) -> None:
        """All that a function made is written in one transaction."""
        made = outcome if isinstance(outcome, list) else [outcome] * len(job.turns)
        ended: list[tuple[Turn, Draft, Made | Failure]] = list(
            zip(job.turns, job.drafts, made, strict=True)
        )
        for turn, draft, each in ended:
            if isinstance(each, Made):
                ingredients = turn.ingredients
                if outside is not turn.step.outside:
                    ingredients = replace(ingredients, outside=outside)
                self._ledger.made(draft, each, ingredients, job.read, turn.step.before)
        whole = _biggest(job.drafts) if len(ended) > 1 else job.drafts[0]
        for turn, draft, each in ended:
            if isinstance(each, Failure):
                self._course.fail(turn.number, draft, each)
                continue
            self._ledger.told(draft, each)
            self._hold(turn.step, draft, each, itself=draft is whole)
            if self._is_strict(turn.step):
                self._ledger.then(functools.partial(self._on_committed, turn.number))
            else:
                self._course.done(turn.number)
        self._moved()

    def _after(self, number: int) -> None:
        """A step whose success is committed may be built upon."""
        self._course.done(number)
        self._moved()

    def _hold(self, step: Step, draft: Draft, made: Made, *, itself: bool) -> None:
        """Keep the object for those that take it, and for the caller if it is kept nowhere.

        What a function makes may have parts in common: ``itself`` goes out only one of them.
        """
        pointer = draft.value
        version = self._versions.made(step.asset, draft)
        version.lasting = pointer is None and step.name in self._course.targets
        if pointer is not None and pointer.is_path:
            version.hold(Path(pointer.location or ""))  # what later runs will load
        elif made.value is ABSENT:
            pass  # whoever takes it reads what another process stored
        elif (version.lasting or version.takers) and (
            itself or step.asset.share or pointer is None or is_shareable(made.value)
        ):
            version.hold(made.value)

    def _comparing_begun(self, job: _Comparing) -> None:
        job.lane.begun()
        for _, step in job.steps:
            self._ledger.comparing(step)

    def _comparing_ended(self, job: _Comparing, outcome: Outcome) -> None:
        job.lane.ended()
        if isinstance(outcome, Lost):
            self._recovery.begin(job, outcome, self._compared_lost)
        else:
            self._compared(job.steps, outcome)

    def _compared_lost(self, job: _Comparing, failure: Failure) -> None:
        self._compared(job.steps, failure)

    def _compared(self, steps: Sequence[tuple[int, Step]], outcome: Any) -> None:
        """What stands is the recorded version all the same."""
        outcomes = outcome if isinstance(outcome, list) else [outcome] * len(steps)
        for (number, step), made in zip(steps, outcomes, strict=True):
            if isinstance(made, Failure):
                self._course.report.failures[step.name] = made
            self._ledger.compared(step, made)
            self._course.done(number)
        self._moved()


def _notes(failure: Failure) -> Sequence[str]:
    return getattr(failure.exception, "__notes__", ())


def _biggest(drafts: Iterable[Draft]) -> Draft:
    """The one whose value is the most work to decode."""
    return max(drafts, key=lambda draft: draft.value.size if draft.value else 0)
