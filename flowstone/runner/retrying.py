"""Attempts that failed and are followed by others, after a while."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.runner.course import Course
    from flowstone.runner.failure import Failure
    from flowstone.runner.inputs import Inputs
    from flowstone.runner.lane import Lane
    from flowstone.runner.pools import Pools
    from flowstone.runner.turns import Turn


class Attempt(Protocol):
    """The call of a function that failed."""

    assets: Sequence[AnyAsset]
    turns: Sequence[Turn]
    lane: Lane


class Retrying:
    """Has steps start anew that may be tried again."""

    def __init__(
        self,
        course: Course,
        inputs: Inputs,
        pools: Pools,
        spawn: Callable[..., None],
        moved: Callable[[], None],
    ) -> None:
        self._course, self._inputs, self._pools = course, inputs, pools
        self._spawn, self._moved = spawn, moved
        #: Set when nothing is to begin any more.
        self.stopping = anyio.Event()

    def tries_again(self, call: Attempt, failure: Failure) -> bool:
        """Whether there is another attempt; it begins in a while."""
        policy, attempt = call.assets[0].policy, call.turns[0].draft.attempt
        if policy.retries is None:
            return False
        before = len(_notes(failure))
        if not policy.tries_again(attempt, failure.exception):
            for note in _notes(failure)[before:]:  # the predicate raised: mend it
                self._inputs.context(call.turns[0].step, attempt).logger.error(note)
            return False
        delay = policy.retries.delay_before(attempt + 1, random.random())  # noqa: S311 - no secret
        for turn in call.turns:
            self._course.ledger.again(turn.draft, failure, delay)
        call.lane.preparing += 1
        self._spawn(self._try_again, call, delay)
        return True

    async def _try_again(self, call: Attempt, delay: float) -> None:
        number = call.turns[0].number
        await self._pools.give_back(number)
        with anyio.move_on_after(delay):
            await self.stopping.wait()
        call.lane.preparing -= 1
        if not self.stopping.is_set():
            self._course.ready([number])
        self._moved()


def _notes(failure: Failure) -> Sequence[str]:
    return getattr(failure.exception, "__notes__", ())
