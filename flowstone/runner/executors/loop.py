"""Functions called on the event loop of the run.

A task for every step would cost more than most steps do. Here a worker task goes from one step to
the next for as long as none of them waits; when one does, the next worker begins. So there are as
many workers as steps that wait at once, and one more.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import math
import time
import types
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel

from flowstone.errors import AssetTimeoutError
from flowstone.log import keeping
from flowstone.runner.executors.base import nothing
from flowstone.runner.failure import Failure, describe
from flowstone.runner.ledger import now
from flowstone.runner.step import Lost, keep_all, take
from flowstone.runner.versions import Input
from flowstone.threads import in_thread, is_stopped
from flowstone.values import is_small

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from anyio.abc import TaskGroup

    from flowstone.core.asset import AnyAsset
    from flowstone.runner.executors.base import Job
    from flowstone.runner.step import Outcome

T = TypeVar("T")
_COROUTINE = types.CoroutineType

#: Seconds a worker goes on without giving way to the journal.
TURN_SECONDS = 0.001
#: Seconds after which a function that gives way to nobody is told of.
BLOCKED_SECONDS = 1.0


class LoopExecutor:
    """Calls functions on the event loop, each in a context of its own.

    Its workers are tasks of ``group``.

    ``blocked`` is called with the asset and the seconds when a function has kept the loop from
    everything else for longer than ``BLOCKED_SECONDS``.
    """

    ahead = 64
    by_reference = False

    def __init__(
        self,
        group: TaskGroup,
        size: float = math.inf,
        blocked: Callable[[AnyAsset, float], object] | None = None,
    ) -> None:
        self.size = size
        self._group, self._blocked = group, blocked
        self._jobs: deque[Job] = deque()
        self._active = 0
        self._running = 0
        self._has_told = False

    def start(
        self, loop: asyncio.AbstractEventLoop, rested: Callable[[], object] = nothing
    ) -> None:
        """Report from now on, to the loop of the group; ``rested`` is called after ends."""
        del loop
        self._rested = rested

    def submit(self, job: Job) -> None:
        """Have a job done; a worker that is at it takes it next, or another begins."""
        self._jobs.append(job)
        if not self._active:
            self._hire()

    def withdraw(self) -> list[Job]:
        """The jobs that have not begun, taken back."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs

    async def close(self) -> None:
        """Nothing to do: the workers end with their group."""

    def _hire(self) -> None:
        self._active += 1
        self._group.start_soon(self._work)

    async def _work(self) -> None:
        since = time.monotonic()
        task = asyncio.current_task()
        try:
            while (self._jobs or self._rest()) and self._running < self.size:
                await self._do(self._jobs.popleft(), task)
                if time.monotonic() - since > TURN_SECONDS:
                    self._rest()
                    await anyio.lowlevel.checkpoint()
                    since = time.monotonic()
        except anyio.get_cancelled_exc_class() as error:
            if is_stopped(error):  # else a function has cancelled the worker, and was long over
                self._jobs.clear()  # no other worker is to begin them, or others
                self._has_told = False
                raise
        finally:
            self._leave()

    async def _do(self, job: Job, task: asyncio.Task[Any] | None) -> None:
        self._running += 1
        try:
            job.started_at = now()
            job.begun(job)
            outcome = await (self._outcome(job) if job.timeout is None else self._in_time(job))
            if task is not None and task.cancelling():
                outcome = await _without_cancelling(outcome, task)
        finally:
            self._running -= 1
        self._has_told = True
        job.ended(job, outcome)

    async def _in_time(self, job: Job) -> Outcome:
        with anyio.move_on_after(job.timeout):
            return await self._outcome(job)
        msg = f"asset {job.assets[0].name!r} took longer than its timeout of {job.timeout:g} s"
        return describe(AssetTimeoutError(msg))

    async def _outcome(self, job: Job) -> Outcome:
        """What the function made, and what it cost to decode and encode, mostly in a thread."""
        assets, arguments, values = job.assets, job.arguments, job.values
        try:
            if Input in map(type, arguments.values()):
                taken = await self._aside(in_thread(take, arguments, values))
                if isinstance(taken, Lost):
                    return taken
            else:
                taken = arguments
            context = contextvars.copy_context()
            context.run(keeping.set, job.output)
            made: Any = context.run(assets[0].fn or assets[0], **taken)
            # The coroutine holds what it was given, and nothing else does.
            arguments.clear()
            taken.clear()
            if type(made) is _COROUTINE or inspect.isawaitable(made):
                made = await self._driven(assets[0], made, context)
            value, made = made, None
            if is_small(value) and values.manager(assets[0]) is None:
                return keep_all(assets, value, values)
            return await self._aside(in_thread(keep_all, assets, value, values))
        except BaseException as error:
            if is_stopped(error):
                raise
            return describe(error)

    async def _aside(self, waiting: Awaitable[T]) -> T:
        """Wait for something while another worker goes on."""
        self._leave()
        try:
            return await waiting
        finally:
            self._active += 1

    def _leave(self) -> None:
        """A worker waits, or ends: the next one begins if there is work for it."""
        self._active -= 1
        if self._active:
            return
        if not self._jobs:
            self._rest()  # what is submitted now has a worker
        elif self._running < self.size:
            self._hire()

    def _rest(self) -> bool:
        """No more ends are told for now: say whether there are jobs then."""
        if self._has_told:
            self._has_told = False
            self._rested()
        return bool(self._jobs)

    @types.coroutine
    def _driven(
        self, asset: AnyAsset, made: Awaitable[Any], context: contextvars.Context
    ) -> Generator[asyncio.Future[Any], None, Any]:
        """Step a coroutine by hand: in a context of its own, seen when it waits, and timed."""
        coroutine: Coroutine[Any, None, Any] = made if type(made) is _COROUTINE else _one(made)
        del made
        run = context.run
        error: BaseException | None = None
        while True:
            began = time.monotonic()
            try:
                if error is None:
                    awaited = run(coroutine.send, None)
                else:
                    awaited = run(coroutine.throw, error)
            except StopIteration as stop:
                return stop.value
            finally:
                if (held := time.monotonic() - began) > BLOCKED_SECONDS and self._blocked:
                    self._blocked(asset, held)
            self._leave()
            error = None
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001 - the coroutine is to have it
                error = thrown
            finally:
                self._active += 1


async def _without_cancelling(outcome: Outcome, task: asyncio.Task[Any]) -> Outcome:
    """The outcome of a function that cancelled the task it ran in; the next one starts without.

    It fails if that is still to come, as it would in a task of its own.
    """
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError as error:
        if is_stopped(error):
            raise
        outcome = outcome if isinstance(outcome, Failure) else describe(error)
    while task.cancelling():
        task.uncancel()
    return outcome


async def _one(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
