"""What functions, users and disks do to a run: poison, full disks, wrong clocks, signals."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.frame import Fault, Trial, repeated
from tests.faults.racing import QUICK
from tests.faults.servers import SECONDS, begun, least_lease
from tests.faults.workload import Workload

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.faults.world import World

POISON = """
@asset
def poison_message():
    raise ValueError("nul \\0, half a pair \\ud800")

@asset
def poison_huge():
    raise ValueError("x" * 50_000_000)

@asset
def poison_silent():
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError("no words")
    raise Silent

@asset
def poison_ring():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    raise one

@asset
def poison_print():
    print("nul \\0, half a pair \\ud800" + "x" * 10_000_000)
    return 1

@asset
def poison_text():
    return "half a pair \\ud800, nul \\0"

@asset
def poison_number():
    return {"a": float("nan"), "b": [float("inf")] * 3}

@asset(metadata={"text": "nul \\0, \\ud800", "number": float("nan")})
def poison_metadata():
    return 1

@asset
def poison_lambda():
    return lambda: 1

@asset
def poison_recursion():
    return deep(0)

def deep(number):
    return deep(number + 1)
"""
BLOCKING = """
@asset
async def blocks():
    time.sleep(5)
    return 1
"""
HOSTILE = [
    "../../outside",
    "/etc/outside",
    "CON",
    "a\0b",
    "\ud800",
    "x" * 5_000,
    "\u00e9" * 200,
    "",
    "'; DROP TABLE flowstone_runs; --",
    "<script>alert(1)</script>",
    "a/b",
    "A/B",
    "\u202e",
    "%s",
]


@dataclass(frozen=True)
class _With(Workload):
    """A workload beside other assets."""

    more: str = ""

    @property
    def source(self) -> str:
        return super().source + self.more


def poisoned(world: World, rng: random.Random) -> Trial:
    """Poison of every kind beside good steps, in the same batches: those are all recorded."""
    with world.job(_With(layers=rng.randint(1, 3), width=8, seconds=0.0, more=POISON)) as job:
        trial = Trial("poison beside good steps")
        runner = job.start()
        code = runner.end()
        trial.expect(code == 1, f"ended with {code}: {runner.said[-500:]}")
        missing = set(job.workload.names) - job.recorded
        trial.expect(not missing, f"not recorded beside poison: {sorted(missing)}")
        longest = job.ask(
            "SELECT max(octet_length(error_message)), count(*) FROM flowstone_materializations"
            " WHERE asset_name LIKE 'poison%'"
        )
        trial.expect(longest[0][0] <= 65_536, f"an error of {longest[0][0]} bytes is recorded")
        trial.expect(longest[0][1] == 10, f"{longest[0][1]} of 10 rows of poison")
        job.judge(trial)
        return trial


def disk_full(world: World, rng: random.Random) -> Trial:
    """No file may be larger than so many bytes: large values can't be kept."""
    with world.job() as job:
        largest = rng.randint(0, 90_000)
        trial = Trial(f"files of {largest} bytes at most")
        runner = job.start(largest_file=largest)
        code = runner.end()
        ended = time.monotonic()
        large = {name for name in job.workload.names if job.workload.is_large(name)}
        trial.expect(code in {1, 3}, f"ended with {code}: {runner.said[-300:]}")
        trial.expect(not large & job.recorded, "a value is recorded that was not kept")
        files = [path for path in job.values.rglob("*") if path.is_file()]
        partial = [path for path in files if path.name.startswith(".aside") or len(path.name) == 40]
        trial.expect(not partial, f"partial files: {partial[:3]}")
        job.make_up(trial, ended, runner)
        return trial


def wrong_clock(world: World, rng: random.Random) -> Trial:
    """Two runners whose clocks differ by up to two hours: neither takes the other for dead."""
    with world.job(SECONDS) as job:
        by = rng.choice([-3600, 3600])
        trial = Trial(f"clocks wrong by {by} s and {-by} s")
        first = begun(job, rng, trial, clock=by)
        second = job.start(clock=-by)
        codes = [first.end(), second.end()]
        trial.expect(codes == [0, 0], f"ended with {codes}: {second.said[-300:]}")
        twice = [name for name, times in job.calls.items() if times > 1]
        trial.expect(not twice, f"called twice: {twice}")
        job.judge(trial)
        return trial


def blocked_loop(world: World, _: random.Random) -> Trial:
    """A function keeps the event loop busy for longer than the lease lasts."""
    with world.job(_With(layers=1, width=2, more=BLOCKING)) as job:
        trial = Trial("event loop blocked for 5 s")
        runner = job.start(constants=QUICK)
        least_lease(job, trial, runner)
        trial.expect(runner.end() == 0, f"ended with {runner.code}: {runner.said[-300:]}")
        job.judge(trial)
        return trial


def interrupted(world: World, rng: random.Random) -> Trial:
    """SIGINT once, twice, or SIGTERM: what is done is recorded, the rest is closed."""
    with world.job(SECONDS) as job:
        signals = rng.choice([[signal.SIGINT], [signal.SIGINT] * 2, [signal.SIGTERM]])
        trial = Trial(" ".join(each.name for each in signals))
        runner = begun(job, rng, trial)
        began = time.monotonic()
        for each in signals:
            runner.send(each)
            time.sleep(0.6 if len(signals) > 1 else 0.0)  # what follows sooner is the same wish
        code = runner.end()
        ended = time.monotonic()
        trial.figures["seconds to the end"] = round(ended - began, 2)
        trial.expect(code in {0, 130, 143, -15}, f"ended with {code}: {runner.said[-300:]}")
        if code in {0, 130}:
            open_rows = job.ask("SELECT 1 FROM flowstone_leases")
            trial.expect(not open_rows, "the run has ended, and its lease is held")
        job.make_up(trial, ended, runner)
        return trial


def hostile_keys(world: World, trials: int, _: int) -> Iterator[Trial]:
    """Partitions whose keys mean something elsewhere: each is its own, or refused."""
    del trials
    with world.job(Workload(layers=1, width=3, seconds=0.0)) as job:
        taken = 0
        for key in HOSTILE:
            trial = Trial(f"partition {key[:30]!r}")
            before = {path for path in world.folder.parent.glob("*") if "outside" in path.name}
            ended = job.run(partition=key)
            kind = ended.partition(":")[0]
            trial.expect(
                ended == "success" or kind == "PartitionError", f"ended with {ended[:300]}"
            )
            taken += ended == "success"
            ((keys,),) = job.ask("SELECT count(DISTINCT partition) FROM flowstone_materializations")
            trial.expect(keys == taken, f"{keys} partitions for {taken} keys")
            after = {path for path in world.folder.parent.glob("*") if "outside" in path.name}
            trial.expect(before == after, "something was written outside")
            yield trial


FAULTS = [
    Fault(10, "value store full", repeated(disk_full), 0.25),
    Fault(11, "clocks wrong by an hour each", repeated(wrong_clock), 0.1),
    Fault(18, "poison in a batch", repeated(poisoned), 0.1),
    Fault(23, "hostile partition keys", hostile_keys, is_sweep=True),
    Fault(29, "async function blocks the loop beyond the lease", repeated(blocked_loop), 0.02),
    Fault(31, "SIGINT, SIGINT twice, SIGTERM", repeated(interrupted), 0.25),
]
