"""Places in pools that all runs of a database share."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from flowstone.runner.events import StepWaiting
from flowstone.runner.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from flowstone.core.pools import Pool
    from flowstone.runner.course import Course
    from flowstone.store.base import MaterializationStore


class Pools:
    """Lets steps pass when their pool has a place for them, and it is time.

    A place is given back by the journal, with the row that ends the step.
    """

    def __init__(
        self,
        course: Course,
        store: MaterializationStore,
        pools: Mapping[str, Pool],
        passed: Callable[[int], None],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._course, self._store, self._pools = course, store, pools
        self._run = course.report.run
        self._gates = {
            name: Gate(functools.partial(self._ask, name), passed, spawn) for name in pools
        }
        self._told: set[int] = set()

    def gate(self, pool: str) -> Gate:
        """Where ready steps wait for a place in a pool."""
        return self._gates[pool]

    @property
    def gates(self) -> Collection[Gate]:
        """All there are."""
        return self._gates.values()

    async def give_back(self, number: int) -> None:
        """A step leaves its pool without having ended."""
        run, pool = self._run, self._course.steps[number].asset.policy.pool
        if pool is not None:
            await self._store.free_slots(run.run_id, pool, [self._name(number)], run.partition)

    def _name(self, number: int) -> str:
        """Under what name a call has its place: of what it makes, one that surely gets an end."""
        steps = [self._course.steps[each] for each in self._course.open_along(number)]
        return next((step for step in steps if not step.along), steps[0]).name

    async def _ask(self, pool: str, numbers: Sequence[int]) -> Collection[int]:
        run, of = self._run, self._pools[pool]
        names = {self._name(number): number for number in numbers}
        granted = await self._store.take_slots(
            run.run_id, pool, of.size, list(names), run.partition, interval=of.interval
        )
        passing = {names[name] for name in granted}
        for number in numbers:
            if number not in passing and number not in self._told:
                self._told.add(number)
                self._course.ledger.remark(StepWaiting(run.run_id, self._name(number), pool=pool))
        return passing
