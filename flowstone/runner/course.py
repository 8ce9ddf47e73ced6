"""How far a run has come: which steps are open, which are ready, what stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import ValueLostError
from flowstone.runner.calls import Calls
from flowstone.runner.failure import describe
from flowstone.runner.queue import ReadyQueue
from flowstone.runner.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flowstone.core.plan import Plan, Step
    from flowstone.core.records import Draft
    from flowstone.runner.failure import Failure
    from flowstone.runner.ledger import Ledger
    from flowstone.runner.report import Report


class Course:
    """The steps of a plan on their way; no I/O and no waiting.

    ``offer`` is called with the number of each call that may be made now. ``steps`` has each step
    as it is to be done now, by number; ``lost`` are those that are made although they were to be
    reused, their values being lost. What is ``left_out`` was not asked for, and is not made along
    either.
    """

    def __init__(
        self, plan: Plan, ledger: Ledger, report: Report, offer: Callable[[int], None]
    ) -> None:
        self.plan, self.ledger, self.report = plan, ledger, report
        self._offer = offer
        self.targets = frozenset(plan.targets)
        self.calls = Calls(plan)
        self.needs = self.calls.needs()
        self._queue = ReadyQueue(self.needs)
        takers = self.calls.takers(verify=plan.request.verify)
        self.versions = Versions(report.versions, takers)
        self.steps = list(plan)
        self.lost: set[str] = set()
        self.left_out: set[str] = set()

    def take_over(self) -> None:
        """What stands already: fresh steps, and inputs outside the plan."""
        for name, made in self.plan.given.items():
            self.versions.stands(self.plan.request.graph[name], made)
        for step in self.plan:
            if step.action == "reuse" and step.current is not None:
                self.versions.stands(step.asset, step.current)
                if not self.is_verified(step):
                    self.ledger.endings[step.name] = "reused"

    def start(self) -> None:
        """Offer what needs nothing."""
        self.ready(self._queue.start())

    @property
    def is_over(self) -> bool:
        """Whether every step has ended."""
        return not self._queue.left

    def is_verified(self, step: Step) -> bool:
        """Whether a fresh step is executed all the same, to compare what it makes."""
        return self.plan.request.verify and step.asset.keep and step.asset.fn is not None

    def is_open(self, step: Step) -> bool:
        """Whether a step has yet to end."""
        name = step.asset.name
        return name not in self.ledger.endings and name not in self.left_out

    def open_along(self, number: int) -> list[int]:
        """The steps that one call of the function ends: they need the same, so are ready at once.

        The first of them stands for all.
        """
        if self.steps[number].asset.maker is None:
            return [number]
        return [n for n in self.calls.along(number) if self.is_open(self.steps[n])]

    def ready(self, numbers: Iterable[int]) -> None:
        """Offer what may be done now; a fresh step has its result already."""
        ready = list(numbers)
        while ready:
            number = ready.pop()
            step = self.steps[number]
            if step.action == "reuse" and not self.is_verified(step):
                ready += self._queue.done(number)
            elif step.asset.maker is None or number == self.open_along(number)[0]:
                self._offer(number)

    def done(self, number: int) -> None:
        """A step has its result."""
        self.ready(self._queue.done(number))

    def again(self, numbers: Iterable[int], needed: Sequence[int]) -> None:
        """Steps wait until others that were done are done again."""
        self.ready([each for number in numbers for each in self._queue.again(number, needed)])

    def below(self, numbers: Iterable[int]) -> set[int]:
        """All steps that need one of these, directly or not, and have yet to begin."""
        return self._queue.below(numbers)

    def leave_out(self, numbers: Iterable[int]) -> None:
        """What was not asked for has no part in the run, the function not being called."""
        for number in numbers:
            name = self.steps[number].name
            self.left_out.add(name)
            self.done(number)

    def expect(self, steps: Iterable[Step], takers: int) -> None:
        """Steps will take their inputs after all (1), or end without taking them (-1).

        What one function makes takes them once.
        """
        for step in steps:
            if self.calls.leads(step):
                self.versions.expect(step.asset, takers)

    def fail(self, number: int, draft: Draft, failure: Failure) -> None:
        """A step was called and has no value."""
        self.ledger.failed(draft, failure)
        self.report.failures[draft.asset_name] = failure
        self.block(number)

    def block(self, number: int) -> None:
        """A step has no value: what needs it can't be made."""
        name = self.steps[number].name
        for blocked in self._queue.failed(number):
            step, why = self.steps[blocked], f"{name} has no value"
            self.expect([step], -1)
            draft = self.ledger.begun(step.name)
            if draft is None:
                self.ledger.skipped(step, why)
            else:  # it was started, and waited for a lost input to be made again
                lost = ValueLostError(f"{why}: it was lost, and making it again failed")
                failure = describe(lost)
                self.ledger.failed(draft, failure)
                self.report.failures[step.name] = failure

    def cancel_rest(self) -> None:
        """Whatever has not ended is cancelled, and no row stays open."""
        for step in self.plan:
            if self.is_open(step):
                self.ledger.cancelled(step)
        self.ledger.close_rest()
