"""Steps whose turn has come, their inputs being known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowstone.core.decide import input_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.core.cause import Cause
    from flowstone.core.ingredients import Ingredients
    from flowstone.core.plan import Step
    from flowstone.core.records import Draft
    from flowstone.runner.course import Course
    from flowstone.runner.versions import Read

#: Causes that hold whatever was current before.
_OWN_CAUSES = frozenset({"forced", "always", "made_together"})


@dataclass(slots=True, eq=False)
class Turn:
    """A step whose turn has come: what goes into it, why it runs, and its row once it is open."""

    number: int
    step: Step
    ingredients: Ingredients
    causes: list[Cause]
    draft: Draft = field(init=False)


class Turns:
    """Says of steps what goes into them, and why they run."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._partition = course.plan.request.partition
        self._planned = course.plan.steps

    def of(self, steps: Sequence[tuple[int, Step]], read: Read) -> list[Turn]:
        """The turns of all steps of a call, which has read these versions."""
        upstream = {
            parameter or input_name("", version.asset.name): version.data_version
            for parameter, version in read
        }
        turns = []
        for number, step in steps:
            ingredients = step.ingredients(self._partition, upstream)
            turns.append(Turn(number, step, ingredients, self._causes(number, step, ingredients)))
        return turns

    def _causes(self, number: int, step: Step, ingredients: Ingredients) -> list[Cause]:
        """Why the step runs, now that its inputs are known, and what was made since the plan."""
        if step.before is not self._planned[number].before:
            own = [cause for cause in step.causes if cause.kind in _OWN_CAUSES]
            differing = list(ingredients.causes(step.before)) if step.before else []
            return [*own, *differing] or list(step.causes)
        known = [cause for cause in step.causes if cause.kind != "upstream_will_run"]
        if step.before is None or step.name in self._course.lost:
            return known
        told = {cause.subject for cause in known if cause.kind == "input_changed"}
        changed = [c for c in ingredients.causes(step.before) if c.kind == "input_changed"]
        return [*known, *(cause for cause in changed if cause.subject not in told)]
