"""What is ready and waits for a place at one executor, the most urgent first."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runner.executors.base import Executor, Job

#: Steps that may be prepared at once: what they look up goes into common statements.
PREPARING = 1_000


class Preparing(Protocol):
    """Who makes jobs of steps, and says whether any may begin."""

    def is_open(self) -> bool:
        """Whether more may begin now."""
        ...

    def job(self, number: int, lane: Lane) -> Job | None:
        """The job of a step that needs nothing else; None if it ended without one."""
        ...

    def look_up(self, number: int, lane: Lane) -> None:
        """Have the job of another step submitted, or the step ended, by a task of its own."""
        ...


class Ranks:
    """Whose turn is first: ``of`` each step its rank, and ``step`` of each rank.

    ``urgency`` of a step is the time in milliseconds that all depending on it takes at least.
    """

    def __init__(self, urgency: Sequence[float]) -> None:
        self.step = sorted(range(len(urgency)), key=urgency.__getitem__, reverse=True)
        self.of = sorted(range(len(urgency)), key=self.step.__getitem__)


class Lane:
    """Steps on their way to one executor, in the order of their ranks."""

    def __init__(self, executor: Executor, by: Preparing, ranks: Ranks) -> None:
        self.executor = executor
        self._by, self._ranks = by, ranks
        self._unknown: deque[int] = deque()
        self._ready: list[int] = []
        self._prepared: list[tuple[int, Job]] = []
        self._queued = 0
        self._pumping = False
        #: Steps whose preparation waits for something.
        self.preparing = 0
        #: Jobs that have begun and not ended.
        self.running = 0

    @property
    def is_busy(self) -> bool:
        """Whether a step of it is being prepared, or on its way, or being called."""
        return bool(self.preparing or self._queued or self.running)

    def add(self, number: int, *, quick: bool, first: bool = False) -> None:
        """A step is ready; ``quick`` if its job can be made without looking up anything.

        What comes ``first`` has something that others wait for.
        """
        if quick:
            rank = self._ranks.of[number]
            # what is first counts from the end, where the same step stands
            heapq.heappush(self._ready, rank - len(self._ranks.of) if first else rank)
        elif first:
            self._unknown.appendleft(number)
        else:
            self._unknown.append(number)

    def submit(self, number: int, job: Job) -> None:
        """The job of a step that was looked up."""
        heapq.heappush(self._prepared, (self._ranks.of[number], job))

    def pump(self) -> None:
        """Hand on as much as there is place for."""
        if self._pumping:  # a step that ends at once makes others ready
            return
        self._pumping = True
        try:
            while self._unknown and self.preparing < PREPARING and self._by.is_open():
                self.preparing += 1
                self._by.look_up(self._unknown.popleft(), self)
            places = self._places() if self._by.is_open() else 0
            while places > 0 and (self._prepared or self._ready):
                if self._prepared:
                    job: Job | None = heapq.heappop(self._prepared)[1]
                else:
                    job = self._by.job(self._ranks.step[heapq.heappop(self._ready)], self)
                if job is not None:
                    places -= 1
                    self._queued += 1
                    self.executor.submit(job)
        finally:
            self._pumping = False

    def begun(self) -> None:
        """A job has begun."""
        self._queued -= 1
        self.running += 1

    def ended(self) -> None:
        """A job has ended."""
        self.running -= 1

    def withdraw(self) -> None:
        """What has not begun is not to begin any more."""
        for waiting in (self._unknown, self._ready, self._prepared):
            waiting.clear()
        self._queued -= len(self.executor.withdraw())

    def _places(self) -> float:
        """How many jobs the executor takes now."""
        executor = self.executor
        return min(executor.ahead + 1, executor.size + executor.ahead - self.running) - self._queued


def urgencies(needs: Sequence[Sequence[int]], durations: Sequence[float]) -> list[float]:
    """For each step the duration of the longest path from it on, itself included.

    That is the order of the critical path; steps need steps with smaller numbers only.
    """
    urgency = list(durations)
    for step in range(len(needs) - 1, -1, -1):
        for each in needs[step]:
            urgency[each] = max(urgency[each], durations[each] + urgency[step])
    return urgency
