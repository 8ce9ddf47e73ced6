"""Inputs whose recorded values turn out to be lost are made again in the same run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowstone.core.cause import Cause
from flowstone.errors import ValueLostError
from flowstone.runner.failure import Failure, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runner.course import Course
    from flowstone.runner.versions import Read


def recover(course: Course, numbers: Sequence[int], lost: Sequence[str], read: Read) -> bool:
    """Have lost inputs made again, unless another step that missed them has done so.

    Then the steps start anew. False if one of the inputs can't be made.
    """
    taken = {source: version for (_, source), version in read.items()}
    gone = [name for name in lost if course.versions.standing[name] is taken[name]]
    if not gone:
        course.ready(numbers)
    elif all(_can_remake(course, name) for name in gone):
        _remake(course, numbers, gone)
    else:
        return False
    return True


def gone(assets: Sequence[str]) -> Failure:
    """How a step fails whose inputs can't be made again."""
    names = ", ".join(assets)
    return describe(ValueLostError(f"the recorded value of {names} is missing or altered"))


def _can_remake(course: Course, name: str) -> bool:
    """Whether a lost input belongs to the plan, and this run has not made it or failed to."""
    ending = course.ledger.endings.get(name, "reused")
    return name in course.calls.number and ending in ("reused", "verified", "differs")


def _remake(course: Course, numbers: Sequence[int], lost: Sequence[str]) -> None:
    """What the functions of the inputs make along with them is made again too."""
    calls = course.calls
    causes = dict.fromkeys(lost, Cause("value_lost"))
    for name in lost:
        for each in calls.along(calls.number[name]):
            causes.setdefault(calls[each].name, Cause("made_together", name))
    anew = [name for name in causes if _can_remake(course, name)]
    for name in anew:
        course.lost.add(name)
        course.instead[name] = replace(
            course.plan[name],
            action="materialize",
            causes=(causes[name],),
            may_cut_off=False,
            origin="",
        )
        course.ledger.reopen(name)
        course.left_out.discard(name)
    course.expect([course.plan[name] for name in anew], 1)
    needed = [calls.number[name] for name in anew]
    course.again(numbers, needed)
