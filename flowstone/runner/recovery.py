"""Inputs whose recorded values turn out to be lost are made again in the same run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from flowstone.core.cause import Cause
from flowstone.errors import ValueLostError
from flowstone.runner.failure import Failure, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.runner.course import Course
    from flowstone.runner.lane import Lane
    from flowstone.runner.pools import Pools
    from flowstone.runner.step import Lost
    from flowstone.runner.versions import Read


class Call(Protocol):
    """The call of a function whose inputs were lost before it was made."""

    assets: Sequence[AnyAsset]
    arguments: dict[str, Any]
    lane: Lane
    read: Read

    @property
    def numbers(self) -> list[int]:
        """The steps it was to end."""
        ...


C = TypeVar("C", bound=Call)


class Recovery:
    """Has steps start anew once the inputs that they missed are made again."""

    def __init__(
        self,
        course: Course,
        pools: Pools,
        spawn: Callable[..., None],
        moved: Callable[[], None],
    ) -> None:
        self._course, self._pools = course, pools
        self._spawn, self._moved = spawn, moved

    def begin(self, call: C, lost: Lost, failed: Callable[[C, Failure], None]) -> None:
        """Have inputs that were lost made again; a call that fails for them has ``failed``."""
        self._course.versions.give_back(call.assets[0], call.arguments)
        if call.assets[0].policy.pool is None:
            self._recover(call, lost, failed)
        else:  # what it waits for now may want its place
            call.lane.preparing += 1
            self._spawn(self._leave_pool, call, lost, failed)

    async def _leave_pool(self, call: C, lost: Lost, failed: Callable[[C, Failure], None]) -> None:
        await self._pools.give_back(call.numbers[0])
        call.lane.preparing -= 1
        self._recover(call, lost, failed)

    def _recover(self, call: C, lost: Lost, failed: Callable[[C, Failure], None]) -> None:
        course, numbers = self._course, call.numbers
        taken = {version.asset.name: version for _, version in call.read}
        standing = course.versions.standing
        missing = [name for name in lost.assets if standing[name] is taken[name]]
        if not missing:  # another step that missed them has had them made again
            course.ready(numbers)
        elif all(_can_remake(course, name) for name in missing):
            _remake(course, numbers, missing)
        else:
            failed(call, _gone(lost.assets))
            return
        self._moved()


def _gone(assets: Sequence[str]) -> Failure:
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
            causes.setdefault(course.steps[each].name, Cause("made_together", name))
    needed = [name for name in causes if _can_remake(course, name)]
    anew = [name for name in needed if not _is_under_way(course, name)]
    for name in anew:
        course.lost.add(name)
        course.steps[calls.number[name]] = replace(
            course.plan[name],
            action="materialize",
            causes=(causes[name],),
            may_cut_off=False,
            origin="",
        )
        course.ledger.reopen(name)
        course.left_out.discard(name)
    course.expect([course.plan[name] for name in anew], 1)
    course.again(numbers, [calls.number[name] for name in needed])


def _is_under_way(course: Course, name: str) -> bool:
    """Whether another step that missed it has it made again already."""
    return name in course.lost and course.is_open(course.steps[course.calls.number[name]])
