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
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel

from flowstone.errors import AssetTimeoutError
from flowstone.runner.failure import Failure, describe
from flowstone.runner.ledger import now
from flowstone.runner.output import capturing
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

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing to do: it is the loop of the group."""

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
        try:
            while self._jobs and self._running < self.size:
                await self._do(self._jobs.popleft())
                if time.monotonic() - since > TURN_SECONDS:
                    await anyio.lowlevel.checkpoint()
                    since = time.monotonic()
        except anyio.get_cancelled_exc_class() as error:
            if is_stopped(error):  # else a function has cancelled the worker, and was long over
                self._jobs.clear()  # no other worker is to begin them
                raise
        finally:
            self._leave()

    async def _do(self, job: Job) -> None:
        self._running += 1
        try:
            outcome = await self._call(job)
            if _is_cancelling():
                outcome = await _without_cancelling(outcome)
        finally:
            self._running -= 1
        job.ended(job, outcome)

    async def _call(self, job: Job) -> Outcome:
        job.started_at = now()
        job.begun(job)
        if job.timeout is None:
            return await self._outcome(job)
        with anyio.move_on_after(job.timeout):
            return await self._outcome(job)
        msg = f"asset {job.assets[0].name!r} took longer than its timeout of {job.timeout:g} s"
        return describe(AssetTimeoutError(msg))

    async def _outcome(self, job: Job) -> Outcome:
        """What the function made, and what it cost to decode and encode, mostly in a thread."""
        assets, arguments, values = job.assets, job.arguments, job.values
        try:
            if any(type(each) is Input for each in arguments.values()):
                taken = await self._aside(in_thread(take, arguments, values))
                if isinstance(taken, Lost):
                    return taken
            else:
                taken = arguments
            with capturing(job.output):
                context = contextvars.copy_context()
            made: Any = context.run(assets[0], **taken)
            # The coroutine holds what it was given, and nothing else does.
            arguments.clear()
            taken.clear()
            if inspect.isawaitable(made):
                made = await _Driven(self, assets[0], made, context)
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
        if self._jobs and not self._active and self._running < self.size:
            self._hire()

    def tell_blocked(self, asset: AnyAsset, seconds: float) -> None:
        """A function has kept the loop for that long."""
        if self._blocked is not None:
            self._blocked(asset, seconds)

    def waits(self) -> None:
        """The function that a worker calls waits for something."""
        self._leave()

    def goes_on(self) -> None:
        """What it waited for is there."""
        self._active += 1


class _Driven:
    """A coroutine stepped by hand: in a context of its own, seen when it waits, and timed."""

    __slots__ = ("_asset", "_context", "_executor", "_made")

    def __init__(
        self,
        executor: LoopExecutor,
        asset: AnyAsset,
        made: Awaitable[Any],
        context: contextvars.Context,
    ) -> None:
        self._executor, self._asset, self._made = executor, asset, made
        self._context = context

    def __await__(self) -> Generator[asyncio.Future[Any], None, Any]:
        made = self._made
        coroutine: Coroutine[Any, None, Any] = made if inspect.iscoroutine(made) else _one(made)
        del self._made, made
        run = self._context.run
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
                if (held := time.monotonic() - began) > BLOCKED_SECONDS:
                    self._executor.tell_blocked(self._asset, held)
            self._executor.waits()
            error = None
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001 - the coroutine is to have it
                error = thrown
            finally:
                self._executor.goes_on()


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _without_cancelling(outcome: Outcome) -> Outcome:
    """The outcome of a function that cancelled the task it ran in; the next one starts without.

    It fails if that is still to come, as it would in a task of its own.
    """
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError as error:
        if is_stopped(error):
            raise
        outcome = outcome if isinstance(outcome, Failure) else describe(error)
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
    return outcome


async def _one(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
