"""Threads that call functions for an event loop, many calls for each wake-up in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import datetime as dt
import inspect
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol, TypeAlias

from flowstone.errors import AssetTimeoutError
from flowstone.runner.executors.base import nothing
from flowstone.runner.failure import Failure, describe
from flowstone.runner.step import Awaited, awaited

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runner.executors.base import Job
    from flowstone.runner.step import Outcome

_Taken: TypeAlias = "tuple[Job, contextvars.Context]"
_End: TypeAlias = "tuple[Job, Outcome | Awaited, contextvars.Context]"

#: Seconds after which the loop is told at the latest that a job has begun.
GLANCE_SECONDS = 0.01
#: Seconds that closing waits for what ends by itself: idle threads, killed processes, coroutines.
CLOSING_SECONDS = 10.0

#: Ends that are delivered before the loop gets its turn, and rows theirs to be written.
_BATCH = 16


class Caller(Protocol):
    """How one thread of a crew calls functions. All but ``stop`` is called in that thread."""

    #: Whether a call can be made without ``prepare`` before it.
    ready: bool

    def prepare(self) -> None:
        """Get ready for calls, before a job is taken; it may take long, and may raise."""

    def call(self, job: Job) -> Outcome | Awaited:
        """Make what the job asks for; whatever it raises fails the job."""
        ...

    def stop(self) -> bool:
        """The call under way is given up: say whether it ends soon. Called on the loop."""
        ...

    def close(self) -> None:
        """The thread ends."""


class _Member:
    """One thread, and what it is at; all of it is guarded by the crew's lock."""

    __slots__ = ("bell", "caller", "coming", "job", "left", "thread")

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.thread: threading.Thread
        #: Held while the thread waits; whoever wakes it releases it.
        self.bell = threading.Lock()
        self.bell.acquire()
        #: It was started or woken, and has not looked at the queue yet.
        self.coming = True
        self.job: Job | None = None
        #: Its call was given up; it ends when the call does.
        self.left = False


class Crew:
    """An executor whose calls are made by threads of its own, each with its ``Caller``.

    The threads are daemons, so that a program may always exit, and are started when there is work
    for them, ``size`` at most. Each job runs in a copy of the context it was submitted in. A call
    whose time is out is given up, and another thread takes the place of the one that makes it.

    ``burst`` is how many threads may be on their way to the queue at once. With one, a thread that
    wakes up and sees more work wakes the next: jobs of microseconds are then not scattered over
    threads that wait for each other.

    The loop is told of many ends in one callback, and that a job has begun along with its end or
    ``GLANCE_SECONDS`` after it was submitted.
    """

    by_reference = False

    def __init__(
        self, size: int, caller: Callable[[], Caller], *, name: str, ahead: int, burst: int = 1
    ) -> None:
        self.size: float = size
        self.ahead = ahead
        self._caller, self._name, self._burst = caller, name, burst
        self._loop: asyncio.AbstractEventLoop
        # Guards what threads and loop share; never held while code of others runs.
        self._lock = threading.Lock()
        self._queue: deque[_Taken] = deque()
        self._idle: list[_Member] = []
        self._members: set[_Member] = set()
        self._left: dict[_Member, str] = {}
        self._ending: set[_Member] = set()
        self._gone_by: list[threading.Thread] = []
        self._coming = 0
        self._started = 0
        self._closed = False
        self._ends: deque[_End] = deque()
        self._is_told = False
        # Only the loop's thread touches these.
        self._open = 0
        self._begun: dict[Job, asyncio.TimerHandle | None] = {}
        self._tasks: dict[Job, asyncio.Task[Outcome]] = {}
        self._glance: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    @property
    def abandoned(self) -> tuple[str, ...]:
        """The labels of the jobs that were given up and whose threads go on."""
        with self._lock:
            return tuple(self._left.values())

    def start(
        self, loop: asyncio.AbstractEventLoop, rested: Callable[[], object] = nothing
    ) -> None:
        """Report to this loop from now on; ``rested`` is called after one or several ends."""
        self._loop, self._rested = loop, rested

    def submit(self, job: Job) -> None:
        """Take a job; it begins when a thread is free."""
        self._open += 1
        context = contextvars.copy_context()
        with self._lock:
            self._queue.append((job, context))
            if self._coming < self._burst:
                self._rouse()
        if self._glance is None:
            self._glance = self._loop.call_later(GLANCE_SECONDS, self._look)

    def withdraw(self) -> list[Job]:
        """Give back the jobs that have not begun, the first submitted first."""
        with self._lock:
            jobs = [job for job, _ in self._queue]
            self._queue.clear()
        self._open -= len(jobs)
        return jobs

    async def close(self) -> None:
        """End: calls under way are given up, idle threads end before this returns."""
        self._empty = asyncio.Event()
        with self._lock:
            self._closed = True
            self._queue.clear()
            busy = [member for member in self._members if member.job is not None]
            for member in self._idle:
                member.bell.release()
            self._idle.clear()
        for member in busy:
            self._give_up(member)
        self._forget()
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                if self._members or self._ending:
                    await self._empty.wait()
                if tasks:
                    await asyncio.wait(tasks)
        for thread in self._gone_by:
            thread.join(CLOSING_SECONDS)  # it has said goodbye: this takes microseconds

    def _forget(self) -> None:
        """Nobody is told anything any more."""
        while self._ends:
            _drop(self._ends.popleft())
        if self._glance is not None:
            self._glance.cancel()
        for timer in self._begun.values():
            if timer is not None:
                timer.cancel()
        self._begun.clear()

    # On the loop's thread: what is told to the runner.

    def _deliver(self) -> None:
        """Tell of all ends there are; an error of who is told leaves the others for later."""
        is_over = False
        try:
            for _ in range(_BATCH):
                if not self._ends:
                    with self._lock:
                        is_over = not self._ends
                        self._is_told = not is_over
                    if is_over:
                        return
                self._ended(*self._ends.popleft())
        finally:
            self._rested()
            if not is_over:
                self._loop.call_soon(self._deliver)

    def _ended(self, job: Job, outcome: Outcome | Awaited, context: contextvars.Context) -> None:
        if isinstance(outcome, Awaited):
            self._tell_begun(job)
            work = awaited(job.assets, outcome.result, job.values)
            task = self._tasks[job] = self._loop.create_task(work, context=context)
            task.add_done_callback(lambda done: self._came(job, done))
            return
        if job in self._begun:
            timer = self._begun.pop(job)
            if timer is not None:
                timer.cancel()
        else:
            job.begun(job)
        self._open -= 1
        job.ended(job, outcome)

    def _came(self, job: Job, task: asyncio.Task[Outcome]) -> None:
        """What a function gave back to be awaited has its result, if anybody still wants it."""
        if self._tasks.pop(job, None) is None:
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        outcome = task.result() if error is None else describe(error)
        self._ended(job, outcome, contextvars.copy_context())
        self._rested()

    def _look(self) -> None:
        """Tell what has begun meanwhile, and look again later while jobs wait for their begin."""
        with self._lock:
            jobs = [member.job for member in self._members]
        self._glance = None
        for job in jobs:
            if job is not None:
                self._tell_begun(job)
        if self._open > len(self._begun) and not self._closed:
            self._glance = self._loop.call_later(GLANCE_SECONDS, self._look)

    def _tell_begun(self, job: Job) -> None:
        if job in self._begun:
            return
        self._begun[job] = None
        if job.timeout is not None and job.started_at is not None:
            left = job.timeout - (dt.datetime.now(dt.UTC) - job.started_at).total_seconds()
            self._begun[job] = self._loop.call_later(left, self._expire, job)
        job.begun(job)

    def _expire(self, job: Job) -> None:
        """The time of a job is out: give its call up, unless it has just ended."""
        task = self._tasks.pop(job, None)
        ending = "it was cancelled"
        if task is not None:
            task.cancel()
        else:
            with self._lock:
                member = next((each for each in self._members if each.job is job), None)
            if member is None:
                return
            ending = self._give_up(member)
            if not ending:
                return
        msg = f"{job.label} took longer than its timeout of {job.timeout:g} s; {ending}"
        self._ended(job, describe(AssetTimeoutError(msg)), contextvars.copy_context())
        self._rested()

    def _give_up(self, member: _Member) -> str:
        """Go on without a thread, and say what becomes of it; nothing if its call has ended."""
        with self._lock:
            job = member.job
            if job is None:
                return ""
            member.left = True
            self._members.discard(member)
            if ends_soon := member.caller.stop():
                self._ending.add(member)
            else:
                self._left[member] = job.label
                member.thread.name = f"{self._name} (given up: {job.label})"
            self._rouse()
        if ends_soon:
            return "its process was killed"
        return "its thread can't be stopped and goes on, and what it returns is not taken"

    # In the threads.

    def _live(self, member: _Member) -> None:
        try:
            while self._wait(member):
                self._work(member)
        finally:
            member.caller.close()
            self._gone(member)

    def _wait(self, member: _Member) -> bool:
        """Wait until there is work, or until there will be none."""
        while True:
            with self._lock:
                if self._closed or self._queue or member.left:
                    return not (self._closed or member.left)
                self._arrived(member)
                self._idle.append(member)
            member.bell.acquire()

    def _work(self, member: _Member) -> None:
        """Make one call after the other, until there are no more or the caller is not ready."""
        unready: Failure | None = None
        try:
            member.caller.prepare()
        except Exception as error:  # noqa: BLE001 - whoever waits for the job must hear of it
            unready = describe(error)
        with self._lock:
            self._arrived(member)
            taken = self._take(member)
        while taken is not None:
            # nothing here holds what a call made while the next one is under way
            taken = self._next(member, (taken[0], unready or _called(member, *taken), taken[1]))

    def _next(self, member: _Member, end: _End) -> _Taken | None:
        """Hand over the end of a call, and take the next job."""
        with self._lock:
            if member.left:
                _drop(end)
                return None
            member.job = None
            self._ends.append(end)
            is_told, self._is_told = self._is_told, True
            taken = self._take(member) if member.caller.ready else None
        if not is_told:
            self._call_on_loop(self._deliver)
        return taken

    def _gone(self, member: _Member) -> None:
        with self._lock:
            self._members.discard(member)
            self._ending.discard(member)
            self._left.pop(member, None)
            self._gone_by.append(member.thread)
            empty = self._empty if not self._members and not self._ending else None
        if empty is not None:
            self._call_on_loop(empty.set)

    def _call_on_loop(self, callback: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody listens
            self._loop.call_soon_threadsafe(callback)

    # Under the lock.

    def _rouse(self) -> None:
        """Have a thread come for the queue, if too few are coming already."""
        if self._closed or self._coming >= min(self._burst, len(self._queue)):
            return
        if self._idle:
            member = self._idle.pop()
            member.coming = True
            self._coming += 1
            member.bell.release()
        elif len(self._members) < self.size:
            self._coming += 1
            self._begin()

    def _begin(self) -> None:
        member = _Member(self._caller())
        self._started += 1
        name = f"{self._name} {self._started}"
        member.thread = threading.Thread(target=self._live, args=[member], name=name, daemon=True)
        self._members.add(member)
        try:
            member.thread.start()
        except RuntimeError:  # the system has no thread to give
            self._members.discard(member)
            self._coming -= 1
            if not self._members:
                raise

    def _take(self, member: _Member) -> _Taken | None:
        if not self._queue:
            return None
        taken = self._queue.popleft()
        member.job = job = taken[0]
        job.started_at = dt.datetime.now(dt.UTC)
        if self._queue and self._coming < self._burst:
            self._rouse()
        return taken

    def _arrived(self, member: _Member) -> None:
        if member.coming:
            member.coming = False
            self._coming -= 1


def _called(member: _Member, job: Job, context: contextvars.Context) -> Outcome | Awaited:
    try:
        return context.run(member.caller.call, job)
    except BaseException as error:  # noqa: BLE001 - nothing ends a thread others wait for
        return describe(error)


def _drop(end: _End) -> None:
    """Nobody takes this end; a coroutine in it will not be awaited."""
    outcome = end[1]
    if isinstance(outcome, Awaited) and inspect.iscoroutine(outcome.result):
        outcome.result.close()
