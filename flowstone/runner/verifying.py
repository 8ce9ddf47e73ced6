"""Fresh steps that are executed all the same, to compare what they make with what is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowstone.runner.executors.base import Job
from flowstone.runner.failure import Failure
from flowstone.runner.step import Lost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.core.plan import Step
    from flowstone.runner.course import Course
    from flowstone.runner.inputs import Inputs
    from flowstone.runner.lane import Lane
    from flowstone.runner.recovery import Recovery
    from flowstone.runner.step import Arguments, Outcome
    from flowstone.runner.versions import Read
    from flowstone.values import Keeper


@dataclass(slots=True, eq=False, kw_only=True)
class _Comparing(Job):
    """The call of fresh assets' function, to compare what it makes."""

    lane: Lane
    read: Read
    steps: Sequence[tuple[int, Step]]

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.steps]


class Verifying:
    """Makes jobs of fresh steps, and takes in how what they make compares.

    ``guarded`` makes callbacks that raise nothing.
    """

    def __init__(
        self,
        course: Course,
        inputs: Inputs,
        values: Keeper,
        recovery: Recovery,
        guarded: Callable[[Callable[..., None]], Callable[..., None]],
    ) -> None:
        self._course, self._inputs, self._values = course, inputs, values
        self._recovery = recovery
        self._on_begun, self._on_ended = guarded(self._begun), guarded(self._ended)

    def job(
        self, lane: Lane, steps: Sequence[tuple[int, Step]], read: Read, resources: Arguments
    ) -> Job:
        """The job that makes again what these steps have."""
        step = steps[0][1]
        stored = lane.executor.by_reference
        return _Comparing(
            assets=[step.asset for _, step in steps],
            arguments=self._inputs.of(step, read, 1, stored=stored) | resources,
            values=self._values,
            timeout=step.asset.policy.timeout,
            begun=self._on_begun,
            ended=self._on_ended,
            label=f"asset {step.asset.name!r}",
            run_id=self._course.report.run.run_id,
            lane=lane,
            read=read,
            steps=steps,
        )

    def fail(self, steps: Sequence[tuple[int, Step]], failure: Failure) -> None:
        """The steps can't be executed."""
        self._course.expect([step for _, step in steps], -1)
        for _, step in steps:
            self._course.ledger.comparing(step)
        self._compared(steps, failure)

    def _begun(self, job: _Comparing) -> None:
        job.lane.begun()
        for _, step in job.steps:
            self._course.ledger.comparing(step)

    def _ended(self, job: _Comparing, outcome: Outcome) -> None:
        job.lane.ended()
        if isinstance(outcome, Lost):
            self._recovery.begin(job, outcome, self._lost)
        else:
            self._compared(job.steps, outcome)

    def _lost(self, job: _Comparing, failure: Failure) -> None:
        self._compared(job.steps, failure)

    def _compared(self, steps: Sequence[tuple[int, Step]], outcome: Any) -> None:
        """What stands is the recorded version all the same."""
        outcomes = outcome if isinstance(outcome, list) else [outcome] * len(steps)
        for (number, step), made in zip(steps, outcomes, strict=True):
            if isinstance(made, Failure):
                self._course.report.failures[step.name] = made
            self._course.ledger.compared(step, made)
            self._course.done(number)
