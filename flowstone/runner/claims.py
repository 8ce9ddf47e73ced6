"""Which steps of a run no other run makes meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowstone.runner.events import StepWaiting
from flowstone.runner.gate import Gate

if TYPE_CHECKING:
    import uuid
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

    from flowstone.core.plan import Step
    from flowstone.core.records import Claim, Materialization
    from flowstone.runner.course import Course
    from flowstone.store.base import MaterializationStore

#: Reasons to make an asset that no other run's result answers.
_OWN_REASONS = frozenset({"forced", "always"})


class Claims:
    """The claims of a run on what it makes.

    Those of all steps expected to run are asked for when the run starts. A step whose claim
    another run has waits once it is ready, and what depends on it gives its own claims up until
    then: nobody holds what another waits for while waiting for that other. When the claim is had
    at last, what became current meanwhile stands in for the step if it was made of the same.
    """

    def __init__(
        self,
        course: Course,
        store: MaterializationStore,
        passed: Callable[[int], None],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._course, self._store = course, store
        self._run = course.report.run
        self._gate = Gate(self._ask, passed, spawn)
        self._planned = {
            step.asset.name: _recorded(step) for step in course.plan if step.action == "materialize"
        }
        self._missing: dict[str, str | None] = {}
        #: What is made after all: a claim it had was freed when it was reused.
        self._again: set[str] = set()
        self._told: dict[str, str] = {}

    @property
    def wanted(self) -> list[str]:
        """What is asked for when the run starts."""
        return list(self._planned)

    async def take_in(self, answers: Iterable[Claim]) -> None:
        """The answers to what was wanted; steps see what became current since the plan."""
        changed: list[str] = []
        for claim in answers:
            name = claim.asset_name
            if not claim.granted:
                self._missing[name] = claim.holder
                continue
            self._missing.pop(name, None)
            if self._planned[name] != claim.current:
                self._planned[name] = claim.current
                changed.append(name)
        if changed:
            await self._look_again(changed)

    def has(self, name: str) -> bool:
        """Whether this run has the claim of an asset."""
        return name not in self._missing

    def gate(self, number: int) -> Gate | None:
        """Where a ready step has to wait for another run, if it has to."""
        if not (self._missing or self._course.lost):
            return None
        if self._missing.keys().isdisjoint(self._names(number)):
            return None
        return self._gate

    @property
    def gates(self) -> Collection[Gate]:
        """All there are."""
        return [self._gate]

    def _names(self, number: int) -> list[str]:
        """What a call makes, as far as this run is to claim it."""
        course = self._course
        steps = [course.steps[each] for each in course.open_along(number)]
        for step in steps:
            if step.name in course.lost and step.name not in self._again:
                self._again.add(step.name)
                stands = course.versions.standing.get(step.name)
                self._planned[step.name] = stands.id if stands else _recorded(step)
                self._missing[step.name] = None
        return [step.name for step in steps if step.name in self._planned]

    async def _ask(self, numbers: Sequence[int]) -> Collection[int]:
        """Ask for all claims of calls that are ready; nothing is held while others are waited for.

        So what needs them gives up its own claims, and so does a call that got only some.
        """
        course = self._course
        below = {course.steps[each].name for each in course.below(numbers)}
        await self._give_up(below & self._planned.keys() - self._missing.keys())
        wanted = {number: self._names(number) for number in numbers}
        names = {name for of_call in wanted.values() for name in of_call}
        await self.take_in(await self._store.claim(self._run.run_id, names, self._run.partition))
        missing = self._missing.keys()
        self._tell(names & missing)
        waiting = {n for n, of_call in wanted.items() if not missing.isdisjoint(of_call)}
        await self._give_up({name for number in waiting for name in wanted[number]} - missing)
        return [number for number in numbers if number not in waiting]

    async def _give_up(self, names: Collection[str]) -> None:
        if names:
            self._missing.update(dict.fromkeys(names))
            await self._store.release(self._run.run_id, sorted(names), self._run.partition)

    async def _look_again(self, names: Sequence[str]) -> None:
        """Something became current since the plan: it may be what these steps would make."""
        found = await self._store.current(names, self._run.partition)
        inputs = await self._store.inputs([made.id for made in found.values()])
        for name, made in found.items():
            self._reconsider(name, made.model_copy(update={"inputs": inputs[made.id]}))

    def _reconsider(self, name: str, made: Materialization) -> None:
        course = self._course
        for each in course.calls.along(course.calls.number[name]):
            step = course.steps[each]
            now = made if step.name == name else step.before
            course.steps[each] = replace(
                step, current=now, before=now, may_cut_off=_may_share(step)
            )

    def _tell(self, names: Collection[str]) -> None:
        """Say who holds these, as was just answered; once, unless it is another run by now."""
        for name in sorted(names):
            holder = self._missing[name]
            if holder is not None and self._told.get(name) != holder:
                self._told[name] = holder
                self._course.ledger.remark(StepWaiting(self._run.run_id, name, holder=holder))


def _recorded(step: Step) -> uuid.UUID | None:
    """What was current under the asset's own name when the plan was drawn."""
    before = step.before
    return before.id if before is not None and before.asset_name == step.name else None


def _may_share(step: Step) -> bool:
    """Whether another run's result will do, if it was made of the same."""
    return not any(cause.kind in _OWN_REASONS for cause in step.causes)
