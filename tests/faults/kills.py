"""Runners that are killed: anywhere, and at every point that matters."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from tests.faults.frame import Fault, Trial, repeated
from tests.faults.wire import Wire
from tests.faults.workload import Workload
from tests.integration.server_kills import trials as server_trials

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.faults.world import Job, World

#: Points of a run, as ``launcher`` takes them: before and after each the runner is killed.
POINTS = (
    "flowstone.store.schema:ensure",
    "flowstone.store.postgres:PostgresStore.current",
    "flowstone.store.postgres:PostgresStore.start_run",
    "flowstone.store.postgres:PostgresStore.journal",
    "flowstone.store.postgres:PostgresStore.heart",
    "flowstone.store.postgres:PostgresStore.finish_run",
    "flowstone.store.journal:PostgresJournal.write",
    "flowstone.store.recording:Recording.record",
    "flowstone.store.recording:Recording.mark",
    "flowstone.values.store:ValueStore.save",
    "flowstone.values.files:DigestFiles.keep",
    "flowstone.values.sink:Sink.settle",
    "flowstone.runner.journal:Journal.close",
)
#: Points that only a run passes which takes over from a dead one.
TAKEOVER = (
    "flowstone.store.claims:Claims.close_dead_runs",
    "flowstone.store.claims:Claims.close",
)
#: One that only an empty database has.
MIGRATION = ("flowstone.store.schema:apply",)
#: A run that passes all of them, and is over soon.
SMALL = Workload(layers=3, width=3, seconds=0.0)


def at_random(world: World, rng: random.Random) -> Trial:
    """Kill a run somewhere between its start and its end."""
    with world.job() as job:
        runner = job.start()
        if rng.random() < 0.25:
            time.sleep(rng.uniform(0.0, 1.0))
        elif job.wait_for_calls(rng.randint(1, len(job.workload.names)), runner):
            time.sleep(rng.uniform(0.0, 0.02))
        trial = Trial(f"killed after {job.calls.total()} calls")
        runner.send(signal.SIGKILL)
        died = time.monotonic()
        runner.end()
        open_calls = sum(1 if each.word == "begin" else -1 for each in job.executions)
        trial.figures["in flight"] = open_calls
        trial.figures["ended, unrecorded"] = job.calls.total() - open_calls - len(job.recorded)
        job.make_up(trial, died, runner)
        trial.expect(trial.again <= open_calls + 256, "more was called again than may be unwritten")
        return trial


def at_points(world: World, _: int, __: int) -> Iterator[Trial]:
    """Kill a run at every named point, at every change of its files, and at every request."""
    for point in POINTS:
        for when in ("before", "after"):
            for count in _counts(point):
                yield at_point(world, f"{point}:{when}:{count}")
    for point in TAKEOVER:
        for when in ("before", "after"):
            with world.job(SMALL) as job:
                job.start(point=f"{POINTS[2]}:after:1").end()
                yield _die(job, point=f"{point}:{when}:1")
    for point in MIGRATION:
        for when in ("before", "after"):
            with world.job(SMALL, migrated=False) as job:
                yield _die(job, point=f"{point}:{when}:1")
    yield from _at_files(world)
    yield from at_requests(world)


def _counts(point: str) -> tuple[int, ...]:
    """Which calls of a function are points: a small run has some batches, and two large values."""
    return (1, 3) if "write" in point else (1, 2) if "save" in point else (1,)


def at_point(world: World, point: str) -> Trial:
    """Kill a run at one point, as ``launcher`` takes it."""
    with world.job(SMALL) as job:
        return _die(job, point=point)


def _die(job: Job, **fault: Any) -> Trial:
    """Have a run killed by a fault of its own."""
    trial = Trial(" ".join(map(str, fault.values())))
    runner = job.start(**fault)
    code = runner.end()
    died = time.monotonic()
    trial.expect(code == -9, f"the point was not reached: {code} {runner.said[-300:]}")
    job.make_up(trial, died, runner)
    return trial


def _at_files(world: World) -> Iterator[Trial]:
    """Every change of a file of the value store, until a run has no more of them."""
    for number in range(1, 100):
        with world.job(SMALL) as job:
            trial = Trial(f"change {number} of a file")
            runner = job.start(files=(str(job.values), number))
            if runner.end() == 0:
                return
            job.make_up(trial, time.monotonic(), runner)
            yield trial


def at_requests(world: World) -> Iterator[Trial]:
    """Every request to an empty database, before it is sent and when it was answered."""
    for loss in ("request", "reply"):
        for number in range(1, 200):
            with world.job(SMALL, migrated=False) as job, Wire(job).opened() as wire:
                trial = Trial(f"request {number}: {loss} lost")
                wire.lose(number, loss, lambda: runner.send(signal.SIGKILL))  # noqa: B023 - of this turn
                runner = job.start(database=wire.conninfo)
                code = runner.end()
                died = time.monotonic()
                if code == 0:
                    break
                trial.expect(code == -9, f"ended with {code}: {runner.said[-300:]}")
                job.make_up(trial, died, runner)
                yield trial


def servers(_: World, trials: int, seed: int) -> Iterator[Trial]:
    """Kill what starts, uses or stops the embedded server; see ``server_kills``."""
    for done in server_trials(trials, seed):
        taken = done.seconds_to_start or None
        yield Trial(f"killed {done.killed}", done.violations, taken)


FAULTS = [
    Fault(1, "runner killed, anywhere", repeated(at_random)),
    Fault(2, "runner killed at every named point, file change, request", at_points, is_sweep=True),
    Fault(5, "kills during initdb, start, use and stop of the embedded server", servers, 0.25),
]
