"""Runners that want the same at once, and runners that were paused for too long."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.faults.frame import Fault, Trial, repeated
from tests.faults.wire import Wire
from tests.faults.workload import HEAD, Workload
from tests.integration.cli_support import Project
from tests.integration.scripts import environment

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.faults.world import Job, Runner, World

#: Runners in all, and processes they are in.
RUNNERS, PROCESSES = 50, 5
#: One asset, which takes a moment.
ONE = Workload(layers=1, width=1, seconds=0.02)
#: A short lease, which is renewed in time.
QUICK = {"LEASE_SECONDS": 2.0, "BEAT_SECONDS": 0.3, "CAUTION_SECONDS": 0.5, "QUIET_SECONDS": 0.1}
#: A run that lasts for some leases.
LONG = Workload(layers=4, width=2, seconds=0.3)

# Runs the module once in each of some runners for every line of stdin, and tells what came of it.
_RACERS = """
import importlib.util, sys, anyio
from flowstone import Flowstone
from flowstone.errors import FlowstoneError

async def race(fs, module, number, answers):
    try:
        result = await fs.materialize(assets=module, config={"n0_0.number": number})
        answers.append(str(result["n0_0"]))
    except FlowstoneError as error:
        answers.append(f"{type(error).__name__}: {error}")

async def main(database, home, runners):
    spec = importlib.util.spec_from_file_location("work", "work.py")
    module = sys.modules["work"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    async with Flowstone(database_url=database, home=home) as fs:
        print("ready", flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            answers = []
            async with anyio.create_task_group() as group:
                for _ in range(int(runners)):
                    group.start_soon(race, fs, module, int(line), answers)
            print("|".join(answers).replace("\\n", " "), flush=True)

anyio.run(main, *sys.argv[1:])
"""
_MADE = """
SELECT (SELECT jsonb_agg(to_jsonb(m) ORDER BY id)::text FROM flowstone_materializations m),
    (SELECT jsonb_agg(jsonb_build_array(asset_name, materialization_id) ORDER BY asset_name)::text
    FROM flowstone_current), (SELECT count(*) FROM flowstone_lineage)
"""
_ASSET = """

@asset
def n0_0(number: int = 0):
    note("begin", f"round{number}")
    time.sleep(0.02)
    note("end", f"round{number}")
    return number
"""


def fifty(world: World, trials: int, seed: int) -> Iterator[Trial]:
    """Fifty runners want one asset at the same moment; one executes it, and one records it."""
    rounds = [seed * 1_000_000 + number for number in range(trials)]
    with world.job(ONE) as job:
        Project(job.folder).write("work.py", HEAD + _ASSET)
        racers = [_racers(job) for _ in range(PROCESSES)]
        try:
            for racer in racers:
                _line(racer)
            before = 0
            for number in rounds:
                yield _round(job, racers, number, before)
                before = _successes(job)
        finally:
            for racer in racers:
                racer.communicate()


def _racers(job: Job) -> subprocess.Popen[str]:
    arguments = [job.database, str(job.folder / "home"), str(RUNNERS // PROCESSES)]
    return subprocess.Popen(
        [sys.executable, "-c", _RACERS, *arguments],
        cwd=job.folder,
        env=environment(job.folder / "home"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _line(racer: subprocess.Popen[str]) -> str:
    assert racer.stdout is not None
    return racer.stdout.readline().strip()


def _successes(job: Job) -> int:
    ((found,),) = job.ask(
        "SELECT count(*) FROM flowstone_materializations WHERE status = 'success'"
    )
    return int(found)


def _round(job: Job, racers: list[subprocess.Popen[str]], number: int, before: int) -> Trial:
    trial = Trial(f"round {number}")
    began = time.monotonic()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(f"{number}\n")
        racer.stdin.flush()
    answers = list(itertools.chain(*(_line(racer).split("|") for racer in racers)))
    trial.figures["seconds"] = round(time.monotonic() - began, 2)
    wrong = [answer for answer in answers if answer != str(number)]
    trial.expect(len(answers) == RUNNERS, f"{len(answers)} answers")
    trial.expect(not wrong, f"{len(wrong)} wrong answers: {wrong[:2]}")
    executed = job.calls[f"round{number}"]
    recorded = _successes(job) - before
    trial.figures |= {"executions": executed, "recorders": recorded}
    trial.expect(executed == 1, f"executed {executed} times")
    trial.expect(recorded == 1, f"recorded {recorded} times")
    return trial


def zombie(world: World, rng: random.Random) -> Trial:
    """A runner is paused for longer than its lease, taken over, and goes on."""
    with world.job(LONG) as job:
        runner = job.start(constants=QUICK)
        trial = Trial("stopped while it runs")
        if not job.wait_for_calls(rng.randint(1, 6), runner):
            trial.violations.append(f"ended early: {runner.said[-300:]}")
            return trial
        return _paused(job, runner, trial)


def _paused(job: Job, runner: Runner, trial: Trial) -> Trial:
    """Stop a runner for longer than its lease; another takes over, and then it goes on."""
    runner.send(signal.SIGSTOP)
    stopped = time.monotonic()
    recorded = job.recorded
    before = job.calls
    next_one = job.start(constants=QUICK)
    code = next_one.end()
    trial.recovery = time.monotonic() - stopped
    trial.expect(code == 0, f"who takes over ended with {code}: {next_one.said[-300:]}")
    called = job.calls - before
    trial.again = len(called.keys() & before.keys())
    trial.expect(not called.keys() & recorded, "recorded, and called again")
    made = _made(job)
    runner.send(signal.SIGCONT)
    code = runner.end()
    trial.figures["zombies that reused all"] = code == 0
    is_told = code == 0 or "was taken for dead" in runner.said
    trial.expect(code in {0, 3} and is_told, f"the zombie ended with {code}: {runner.said[-300:]}")
    trial.expect(_made(job) == made, "the zombie has recorded something")
    job.judge(trial)
    return trial


def _made(job: Job) -> list[tuple[Any, ...]]:
    """All that a zombie must not touch; one that had not begun yet may record what it reuses."""
    return job.ask(_MADE)


def inside(world: World, rng: random.Random) -> Trial:
    """A runner is paused in the middle of a transaction, with everything locked."""
    with world.job(LONG) as job, Wire(job).opened() as wire:
        trial = Trial("stopped before a COMMIT")
        runners: list[Runner] = []
        if rng.random() < 0.3:
            trial.what = "stopped in a COPY"
            wire.at_copy(lambda: runners[0].send(signal.SIGSTOP))
        else:
            wire.hold_commit(rng.randint(2, 5), lambda: runners[0].send(signal.SIGSTOP))
        runners.append(job.start(database=wire.conninfo, constants=QUICK))
        if not wire.held.wait(30):
            trial.violations.append(f"no COMMIT: {runners[0].said[-300:]}")
            return trial
        return _paused(job, runners[0], trial)


FAULTS = [
    Fault(12, "50 runners want one asset at once", fifty),
    Fault(13, "runner paused for longer than its lease", repeated(zombie), 0.25),
    Fault(14, "runner paused inside a transaction", repeated(inside), 0.25),
]
