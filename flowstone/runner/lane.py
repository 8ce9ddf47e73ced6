"""What is ready and waits for a place at one executor, the most urgent first."""

from __future__ import annotations

import heapq
import math
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


class Lane:
    """Steps on their way to one executor.

    ``urgency`` of a step is the time in milliseconds that all depending on it takes at least.
    """

    def __init__(self, executor: Executor, by: Preparing, urgency: Sequence[float]) -> None:
        self.executor = executor
        self._by, self._urgency = by, urgency
        self._unknown: deque[int] = deque()
        self._ready: list[tuple[float, int]] = []
        self._prepared: list[tuple[float, int, Job]] = []
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
            urgency = math.inf if first else self._urgency[number]
            heapq.heappush(self._ready, (-urgency, number))
        elif first:
            self._unknown.appendleft(number)
        else:
            self._unknown.append(number)

    def submit(self, number: int, job: Job) -> None:
        """The job of a step that was looked up."""
        heapq.heappush(self._prepared, (-self._urgency[number], number, job))

    def pump(self) -> None:
        """Hand on as much as there is place for."""
        if self._pumping:  # a step that ends at once makes others ready
            return
        self._pumping = True
        try:
            while self._unknown and self.preparing < PREPARING and self._by.is_open():
                self.preparing += 1
                self._by.look_up(self._unknown.popleft(), self)
            places = self._places()
            while places > 0 and (self._prepared or self._ready) and self._by.is_open():
                if self._prepared:
                    job: Job | None = heapq.heappop(self._prepared)[2]
                else:
                    job = self._by.job(heapq.heappop(self._ready)[1], self)
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
