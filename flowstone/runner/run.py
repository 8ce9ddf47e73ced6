"""A run: every step of a plan that is not fresh, as many at once as there can be."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from flowstone.runner.course import Course
from flowstone.runner.events import RunFinished, RunStarted
from flowstone.runner.executors.loop import LoopExecutor
from flowstone.runner.executors.threads import Threads
from flowstone.runner.journal import Journal
from flowstone.runner.lane import Lane, urgencies
from flowstone.runner.ledger import Ledger, moves, now
from flowstone.runner.report import Report, new_run
from flowstone.runner.resources import Resources
from flowstone.runner.steps import Steps
from flowstone.runner.versions import Version
from flowstone.store.base import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from anyio.abc import TaskGroup

    from flowstone.core.config import Config
    from flowstone.core.context import Logger
    from flowstone.core.outside import Observed
    from flowstone.core.plan import Plan, Step
    from flowstone.runner.events import Event, Listener
    from flowstone.runner.executors.base import Executor
    from flowstone.runner.stopping import How, Stop
    from flowstone.store.base import MaterializationStore
    from flowstone.values import Keeper

#: Seconds between two heartbeats of a run.
BEAT_SECONDS = LEASE_SECONDS / 6


def default_concurrency() -> int:
    """How many functions run in threads at once unless said otherwise."""
    return min(32, (os.cpu_count() or 1) + 4)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with; ``inputs`` looks again at what input paths hold.

    ``tell`` is None if nobody listens. ``concurrency`` is how many functions run at once; None
    leaves those on the event loop without a limit.
    """

    store: MaterializationStore
    values: Keeper
    inputs: Callable[[Mapping[str, Config]], Awaitable[Mapping[str, Observed]]]
    tell: Listener | None
    logger: Callable[[str, str, str | None], Logger]
    concurrency: int | None
    stop: Stop | None = None


async def execute(plan: Plan, run_id: str, partition: object | None, tools: Tools) -> Report:
    """Execute a plan and record everything about it.

    A failed step blocks only what needs it. Being cancelled, the run records what is done, marks
    the rest cancelled and ends.

    Raises:
        StoreError: if the store fails; what is recorded stays recorded.
    """
    if plan.is_idle:
        return await _record_idle(plan, run_id, tools)
    return await _Execution(plan, run_id, partition, tools).run()


async def _record_idle(plan: Plan, run_id: str, tools: Tools) -> Report:
    """Record a run that makes nothing; what it reuses from history becomes current."""
    run = new_run(plan, run_id)
    _tell(tools, RunStarted(run_id, len(plan), 0))
    done = {"status": "success", "counts": {"reused": len(plan)}, "completed_at": run.started_at}
    report = Report(run.model_copy(update=done), {step.name: "reused" for step in plan})
    for step in plan:
        if step.current is not None:
            report.versions[step.name] = Version.of(step.asset, step.current)
    await tools.store.record_run(report.run, decisions=moves(plan, run))
    _tell(tools, RunFinished(run_id, "success", report.run.counts))
    return report


def _tell(tools: Tools, event: Event) -> None:
    if tools.tell is not None:
        tools.tell(event)


class _Execution:
    def __init__(self, plan: Plan, run_id: str, partition: object | None, tools: Tools) -> None:
        self._plan, self._tools = plan, tools
        self._run = new_run(plan, run_id)
        self._journal = Journal(tools.store, run_id)
        self._ledger = Ledger(self._run, self._journal, tools.tell)
        certain = (s for s in plan if s.action == "materialize" and not s.may_cut_off)
        self._journal.pending = self._ledger.pending(certain)
        self._report = Report(self._run, self._ledger.endings)
        self._course = Course(plan, self._ledger, self._report, self._offer)
        self._resources = Resources(plan.request.graph.resources, self._report.unclosed)
        self._steps = Steps(
            self._course,
            tools,
            self._resources,
            partition,
            is_open=self._is_open,
            spawn=self._spawn,
            moved=self._moved,
            guarded=self._guard,
        )
        self._lanes: dict[str, Lane] = {}
        self._group: TaskGroup
        self._failure: Exception | None = None
        self._scope = anyio.CancelScope()
        self._finished = anyio.Event()
        self._is_over = self._is_stopping = False

    def _new_lanes(self, group: TaskGroup) -> dict[str, Lane]:
        durations = [_duration(step) for step in self._plan]
        urgency = urgencies(self._course.needs, durations) if any(durations) else durations
        at_once = self._tools.concurrency
        executors: dict[str, Executor] = {
            "loop": LoopExecutor(group, math.inf if at_once is None else at_once),
            "thread": Threads(at_once or default_concurrency()),
        }
        return {kind: Lane(each, self._steps, urgency) for kind, each in executors.items()}

    async def run(self) -> Report:
        self._course.take_over()
        # Cut off in between, the run could stand open with nobody to close it.
        with anyio.CancelScope(shield=True):
            await self._tools.store.start_run(self._run, [], moves(self._plan, self._run))
        to_run = self._plan.counts["materialize"]
        _tell(self._tools, RunStarted(self._run.run_id, len(self._plan), to_run))
        async with anyio.create_task_group() as writers:
            writers.start_soon(self._write)
            try:
                with self._scope:
                    await self._go()
            except anyio.get_cancelled_exc_class():
                self._log_unclosed()  # who cancels gets no result that could say so
                raise
            finally:
                try:
                    self._course.cancel_rest()
                finally:
                    self._journal.close()
        if self._failure is not None:
            for each in self._report.unclosed:
                self._failure.add_note(str(each))
            raise self._failure
        return self._report

    async def _go(self) -> None:
        self._journal.on_room = self._moved
        async with anyio.create_task_group() as around:
            around.start_soon(self._beat)
            async with self._resources, anyio.create_task_group() as group:
                self._group, self._lanes = group, self._new_lanes(group)
                for lane in self._lanes.values():
                    lane.executor.start(asyncio.get_running_loop())
                try:
                    with self._heeding(self._tools.stop):
                        self._course.start()
                        self._moved()
                        await self._finished.wait()
                finally:
                    self._is_over = True
                    for lane in self._lanes.values():
                        lane.withdraw()
                        await lane.executor.close()
            around.cancel_scope.cancel()

    def _offer(self, number: int) -> None:
        """A call may be made: it goes to the lane of its executor."""
        lane = self._lanes["loop" if self._course.calls[number].asset.is_async else "thread"]
        lane.add(number, quick=self._steps.is_quick(number))

    def _is_open(self) -> bool:
        """Whether more may begin."""
        return self._journal.has_room and not self._is_stopping

    @contextlib.contextmanager
    def _heeding(self, stop: Stop | None) -> Iterator[None]:
        """Do what is wished, in whichever thread the wish is uttered."""
        if stop is None:
            yield
            return
        loop = asyncio.get_running_loop()

        def listener(how: How) -> None:
            loop.call_soon_threadsafe(self._wished, how)

        stop.listen(listener)
        try:
            yield
        finally:
            stop.forget(listener)

    def _wished(self, how: How) -> None:
        if how == "now":
            self._scope.cancel()
            return
        self._is_stopping = True
        for lane in self._lanes.values():
            lane.withdraw()
        self._moved()

    def _moved(self) -> None:
        """Something ended, or there is room again: begin what can be."""
        for lane in self._lanes.values():
            lane.pump()
        busy = not self._is_stopping or any(lane.is_busy for lane in self._lanes.values())
        if self._course.is_over or not busy:
            self._finished.set()

    def _spawn(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        self._group.start_soon(self._guarded, work, *arguments)

    def _guard(self, act: Callable[..., None]) -> Callable[..., None]:
        """What an executor calls: it raises nothing there, and does nothing after the end."""

        def guarded(*arguments: object) -> None:
            if not self._is_over:
                try:
                    act(*arguments)
                except Exception as error:  # noqa: BLE001 - it is raised when the run has ended
                    self._stop(error)

        return guarded

    async def _guarded(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """An error outside of the user's code stops the run, and is raised at its end."""
        try:
            await work(*arguments)
        except Exception as error:  # noqa: BLE001 - it is raised when the run has ended
            self._stop(error)

    def _stop(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._scope.cancel()

    async def _beat(self) -> None:
        try:
            while True:
                await anyio.sleep(BEAT_SECONDS)
                # The driver would close a connection whose query is cut off at the run's end.
                with anyio.move_on_after(BEAT_SECONDS, shield=True):
                    await self._tools.store.beat(self._run.run_id)
        except Exception as error:  # noqa: BLE001 - it is raised when the run has ended
            self._stop(error)

    async def _write(self) -> None:
        """Write rows, then the end of the run, whatever else is cancelled."""
        with anyio.CancelScope(shield=True):
            try:
                await self._journal.write()
                await self._finish()
            except Exception as error:  # noqa: BLE001 - it is raised when the run has ended
                self._stop(error)

    def _log_unclosed(self) -> None:
        logger = self._tools.logger(self._run.run_id, "", self._run.partition)
        for each in self._report.unclosed:
            logger.error(str(each))

    async def _finish(self) -> None:
        endings = Counter(self._ledger.endings.values())
        status = "success"
        if self._failure or endings["failed"] or endings["skipped"] or endings["differs"]:
            status = "failed"
        elif endings["cancelled"]:
            status = "cancelled"
        elif self._report.unclosed:
            status = "failed"
        ended_at = now()
        ended = {"status": status, "counts": dict(endings), "completed_at": ended_at}
        self._report.run = run = self._run.model_copy(update=ended)
        await self._tools.store.finish_run(run)
        duration = (ended_at - run.started_at).total_seconds() * 1000
        _tell(self._tools, RunFinished(run.run_id, status, run.counts, duration))


def _duration(step: Step) -> float:
    """Milliseconds that a step took last time; none if it is not made."""
    before = step.before
    return (before.duration_ms or 0.0) if before and step.action == "materialize" else 0.0
