"""A run: every step of a plan that is not fresh, as many at once as there can be."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from flowstone.errors import RunLostError
from flowstone.runner.claims import Claims
from flowstone.runner.course import Course
from flowstone.runner.events import LoopBlocked, RunFinished, RunStarted
from flowstone.runner.journal import Journal
from flowstone.runner.lane import urgencies
from flowstone.runner.lanes import Lanes
from flowstone.runner.ledger import Ledger, moves, now
from flowstone.runner.outage import Outage, patient
from flowstone.runner.output import watching
from flowstone.runner.pools import Pools
from flowstone.runner.report import Report, new_run
from flowstone.runner.resources import Resources
from flowstone.runner.steps import Steps
from flowstone.runner.stopping import Stop
from flowstone.runner.versions import Version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from anyio.abc import TaskGroup

    from flowstone.core.asset import AnyAsset
    from flowstone.core.config import Config
    from flowstone.core.context import Logger
    from flowstone.core.outside import Observed
    from flowstone.core.plan import Plan, Step
    from flowstone.core.policy import Durability, ExecutorName
    from flowstone.core.pools import Pool
    from flowstone.core.records import Claim
    from flowstone.runner.events import Event, Listener
    from flowstone.runner.stopping import How
    from flowstone.store.base import Heart, MaterializationStore, Told
    from flowstone.values import Keeper

#: Seconds between two looks at whether the run may go on, if its lease was in doubt.
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a run works with; ``inputs`` looks again at what input paths hold.

    ``tell`` is None if nobody listens; what speaks of no row goes to ``remark``. ``concurrency`` is
    how many functions run at once; None leaves those on the event loop without a limit.
    ``executor`` and ``durability`` are for assets that don't say otherwise. ``patience`` is how
    many seconds a database that went away is waited for.
    """

    store: MaterializationStore
    values: Keeper
    inputs: Callable[[Mapping[str, Config]], Awaitable[Mapping[str, Observed]]]
    logger: Callable[[str, str, str | None], Logger]
    tell: Listener | None = None
    remark: Listener | None = None
    concurrency: int | None = None
    pools: Mapping[str, Pool] = field(default_factory=dict)
    stop: Stop = field(default_factory=Stop)
    executor: ExecutorName = "auto"
    durability: Durability = "batch"
    patience: float = 0.0


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
    done = {"status": "success", "counts": {"reused": len(plan)}, "completed_at": run.started_at}
    report = Report(run.model_copy(update=done), {step.name: "reused" for step in plan})
    for step in plan:
        if step.current is not None:
            report.versions[step.name] = Version.of(step.asset, step.current)
    await tools.store.record_run(report.run, decisions=moves(plan, run))
    _tell_listener(tools, RunStarted(run_id, len(plan), 0))
    _tell_listener(tools, RunFinished(run_id, "success", report.run.counts))
    return report


def _tell_listener(tools: Tools, event: Event) -> None:
    if tools.tell is not None:
        tools.tell(event)


class _Execution:
    def __init__(self, plan: Plan, run_id: str, partition: object | None, tools: Tools) -> None:
        self._plan, self._store = plan, tools.store
        self._run = new_run(plan, run_id)
        self._outage = Outage(run_id, tools.patience, tools.remark or _unheard)
        self._tools = tools = replace(tools, store=patient(tools.store, self._outage))
        self._journal = Journal(tools.store, run_id)
        self._ledger = Ledger(self._run, self._journal, tools.tell, tools.remark)
        self._report = Report(self._run, self._ledger.endings, drafts=self._ledger.rows)
        self._course = Course(plan, self._ledger, self._report, self._offer)
        self._claims = Claims(self._course, tools.store, self._has_claim, self._spawn)
        self._pools = Pools(self._course, tools.store, tools.pools, self._has_place, self._spawn)
        self._resources = Resources(plan.request.graph.resources, self._report.unclosed)
        self._steps = Steps(
            self._course,
            tools,
            self._resources,
            self._pools,
            partition,
            is_open=self._is_open,
            spawn=self._spawn,
            moved=self._moved,
            guarded=self._guard,
        )
        self._lanes = Lanes(
            self._steps,
            tools.executor,
            tools.concurrency,
            self._urgency(),
            blocked=self._blocked,
            rested=self._guard(self._moved),
        )
        self._group: TaskGroup
        self._heart: Heart
        self._failure: Exception | None = None
        self._scope, self._heeding = anyio.CancelScope(), anyio.CancelScope()
        self._finished = anyio.Event()
        self._begins, self._is_over = True, False
        #: Whether the run is giving up its lease, so that it may well be gone.
        self._gives_up = False

    def _urgency(self) -> list[float]:
        durations = [_duration(step) for step in self._plan]
        return urgencies(self._course.needs, durations) if any(durations) else durations

    async def run(self) -> Report:
        self._course.take_over()
        self._journal.pending = self._ledger.pending(self._certain())
        # Cut off in between, the run could stand open with nobody to close it.
        with anyio.CancelScope(shield=True):
            answers = await self._store.start_run(
                self._run, [], moves(self._plan, self._run), self._claims.wanted
            )
        with self._heard():
            to_run = self._plan.counts["materialize"]
            _tell_listener(self._tools, RunStarted(self._run.run_id, len(self._plan), to_run))
            await self._execute(answers)
        if self._failure is not None:
            for each in self._report.unclosed:
                self._failure.add_note(str(each))
            raise self._failure
        return self._report

    async def _execute(self, answers: Sequence[Claim]) -> None:
        async with anyio.create_task_group() as writers:
            writers.start_soon(self._write)
            writers.start_soon(self._heed)
            try:
                with self._scope, watching():
                    await self._go(answers)
            except anyio.get_cancelled_exc_class():
                self._log_unclosed()  # who cancels gets no result that could say so
                raise
            finally:
                try:
                    self._steps.keep_rest()
                    self._course.cancel_rest()
                finally:
                    self._journal.close()

    def _certain(self) -> Iterator[Step]:
        """The steps that will run as far as is known."""
        for number, planned in enumerate(self._plan):
            step = self._course.steps[number]
            is_certain = planned.action == "materialize" and not step.may_cut_off
            if is_certain and self._claims.has(planned.asset.name):
                yield planned

    async def _go(self, answers: Sequence[Claim]) -> None:
        self._journal.on_room = self._moved
        async with anyio.create_task_group() as around:
            around.start_soon(self._look_on)
            async with self._resources, anyio.create_task_group() as group:
                self._group = group
                try:
                    self._lanes.start(group)
                    await self._guarded(self._begin, answers)
                    await self._finished.wait()
                finally:
                    self._is_over = True
                    self._begin_nothing()
                    await self._lanes.close()
            around.cancel_scope.cancel()

    async def _begin(self, answers: Sequence[Claim]) -> None:
        await self._claims.take_in(answers)
        self._course.start()
        self._moved()

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        """The lease is kept, and whoever wants the run to stop is heard, from any thread."""
        loop = asyncio.get_running_loop()

        def wished(how: How) -> None:
            loop.call_soon_threadsafe(self._wished, how)

        def told(what: Told) -> None:
            act = self._wished if what == "cancel" else self._taken
            loop.call_soon_threadsafe(act, "now")

        self._heart = self._tools.store.heart(self._run.run_id, told)
        self._tools.stop.listen(wished)
        try:
            yield
        finally:
            self._tools.stop.forget(wished)
            self._heart.stop()

    def _wished(self, how: How) -> None:
        if how == "now":
            self._end()
        else:
            self._begin_nothing()
            self._moved()

    def _taken(self, _: str) -> None:
        if self._gives_up:
            return
        msg = (
            f"run {self._run.run_id} was taken for dead by another process; run again, what was"
            f" recorded is reused"
        )
        self._stop(RunLostError(msg))

    def _begin_nothing(self) -> None:
        """Nothing begins any more; what runs goes on."""
        self._begins = False
        self._steps.stop()
        for gate in (*self._claims.gates, *self._pools.gates):
            gate.leave()
        self._lanes.withdraw()

    def _offer(self, number: int) -> None:
        """A call may be made as far as this run is concerned."""
        gate = self._claims.gate(number)
        if gate is None:
            self._admit(number)
        else:
            gate.wait(number)

    def _has_claim(self, number: int) -> None:
        """No other run makes it any more."""
        self._admit(number)
        self._moved()

    def _has_place(self, number: int) -> None:
        """There is a place in its pool."""
        self._enter(self._course.steps[number], number)
        self._moved()

    def _admit(self, number: int) -> None:
        """It goes to the lane of its executor, unless it needs a place in a pool before."""
        step = self._course.steps[number]
        pool = step.asset.policy.pool
        if pool is None:
            self._enter(step, number)
        else:
            self._pools.gate(pool).wait(number)

    def _enter(self, step: Step, number: int) -> None:
        asset = step.asset
        first = asset.policy.pool is not None
        self._lanes.of(asset).add(number, quick=self._steps.is_quick(step), first=first)

    def _blocked(self, asset: AnyAsset, seconds: float) -> None:
        self._ledger.remark(LoopBlocked(self._run.run_id, asset.name, seconds))

    def _is_open(self) -> bool:
        """Whether more may begin."""
        return self._begins and self._journal.has_room and self._heart.trusted

    def _moved(self) -> None:
        """Something ended, or there is room again: begin what can be."""
        self._lanes.pump()
        if self._course.is_over or not (self._begins or self._lanes.are_busy):
            self._finished.set()

    async def _look_on(self) -> None:
        """A run whose lease was in doubt goes on once it is not."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            self._moved()

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
        self._end()

    def _end(self) -> None:
        """End what runs, and wait no longer for a database that does not answer."""
        self._scope.cancel()
        self._outage.hurry()

    async def _write(self) -> None:
        """Write rows, then the end of the run, whatever else is cancelled."""
        with anyio.CancelScope(shield=True):
            try:
                await self._journal.write()
                await self._finish()
            except Exception as error:  # noqa: BLE001 - it is raised when the run has ended
                self._stop(error)
            finally:
                self._heeding.cancel()

    async def _heed(self) -> None:
        """Say if the database is away; cancelled from outside, wait no longer than it must."""
        try:
            with self._heeding:
                while True:
                    await anyio.sleep(LOOK_SECONDS)
                    self._outage.look()
        except anyio.get_cancelled_exc_class():
            self._outage.hurry()
            raise

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
        self._gives_up = True
        await self._tools.store.finish_run(run)
        duration = (ended_at - run.started_at).total_seconds() * 1000
        _tell_listener(self._tools, RunFinished(run.run_id, status, run.counts, duration))


def _unheard(event: Event) -> None:
    """Nobody listens."""


def _duration(step: Step) -> float:
    """Milliseconds that a step took last time; none if it is not made."""
    before = step.before
    return (before.duration_ms or 0.0) if before and step.action == "materialize" else 0.0
