"""Functions called in threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from flowstone.runner.ledger import now
from flowstone.runner.step import call_sync
from flowstone.threads import in_thread

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from flowstone.runner.executors.base import Job


class ThreadExecutor:
    ahead = 32

    def __init__(self, size: float) -> None:
        self.size = size
        self._limiter = anyio.CapacityLimiter(size)
        self._group: TaskGroup

    def start(self, group: TaskGroup) -> None:
        self._group = group

    def submit(self, job: Job) -> None:
        self._group.start_soon(self._run, job)

    async def _run(self, job: Job) -> None:
        async with self._limiter:
            job.started_at = now()
            job.begun(job)
            outcome = await in_thread(call_sync, job.assets, job.arguments, job.values)
        job.ended(job, outcome)

    def withdraw(self) -> list[Job]:
        return []

    async def close(self) -> None: ...
