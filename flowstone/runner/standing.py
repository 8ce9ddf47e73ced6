"""Whether something recorded will do for a step after all, now that its inputs are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from anyio import to_thread

from flowstone.core.cause import Cause
from flowstone.runner.history import History

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.core.plan import Step
    from flowstone.core.records import DecisionKind, Materialization
    from flowstone.runner.course import Course
    from flowstone.runner.turns import Turn
    from flowstone.store.base import MaterializationStore
    from flowstone.values import Keeper


class Stood(NamedTuple):
    """A step with the earlier success that stands in for it, and which one that is."""

    number: int
    step: Step
    kind: DecisionKind


class Standing:
    """Looks for earlier successes that can stand in for steps of a course."""

    def __init__(self, course: Course, store: MaterializationStore, values: Keeper) -> None:
        self._course, self._values = course, values
        request = course.plan.request
        self._history = History(store, request.partition, request.now)

    async def of(self, turns: Sequence[Turn]) -> list[Stood] | None:
        """What stands in for all the steps of a call that were asked for, if there is such.

        Those steps have it now, and what was not asked for is left out. Else each step's causes
        say what was missing: one whose value was lost, and those made together with it.
        """
        asked = [turn for turn in turns if not turn.step.along]
        found = [await self._earlier(turn) for turn in asked]
        missing = [turn.step.name for turn, each in zip(asked, found, strict=True) if each is None]
        if missing:
            for turn, each in zip(asked, found, strict=True):
                turn.causes.extend([Cause("made_together", missing[0])] if each else [])
            return None
        standing = [each for each in found if each is not None]
        for turn, each in zip(asked, standing, strict=True):
            self._stand_in(each, turn.causes)
        self._course.leave_out(turn.number for turn in turns if turn.step.along)
        return standing

    async def _earlier(self, turn: Turn) -> Stood | None:
        earlier, kind = await self._history.earlier(turn.step, turn.ingredients)
        if earlier is None:
            return None
        if not await self._may_stand_in(turn.step, earlier):
            turn.causes.append(Cause("value_lost"))
            return None
        return Stood(turn.number, replace(turn.step, current=earlier), kind)

    async def _may_stand_in(self, step: Step, made: Materialization) -> bool:
        """Whether an earlier success will do: the value of a target must be there."""
        return step.name not in self._course.targets or await self._is_present(step.asset, made)

    async def _is_present(self, asset: AnyAsset, made: Materialization) -> bool:
        if made.value is None:
            return False
        present = self._values.present
        return (await to_thread.run_sync(present, [(asset, made.value)]))[0]

    def _stand_in(self, stood: Stood, causes: Sequence[Cause]) -> None:
        step, kind = stood.step, stood.kind
        if step.current is not None:
            self._course.versions.stands(step.asset, step.current)
            told = causes if kind == "history" else ()
            self._course.ledger.stands(step.name, kind, step.current, told)
