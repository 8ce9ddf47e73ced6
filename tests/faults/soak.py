"""``python -m tests.faults.soak --minutes 30``: one database through runs, edits, kills, restarts.

A process that lives all the time materializes again and again, others are started and killed,
the module of assets is edited, the server is killed or stopped. At the end the database is whole
and the values are right, and neither the memory of the long-lived process nor the number of
connections has grown.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tests.faults.frame import Trial, chance
from tests.faults.workload import Workload
from tests.faults.world import opened
from tests.integration.cli_support import Project
from tests.integration.scripts import environment

if TYPE_CHECKING:
    import random

    from tests.faults.world import Job, Runner, World

#: Parts of the time over which figures are compared.
_PARTS = 6
#: By how much the last part may exceed the second: the first fills caches.
_GROWTH, _MEGABYTES, _CONNECTIONS = 1.10, 12.0, 3.0
# Materializes the module as it is now, over and over, on one connection to the database.
_STEADY = """
import importlib.util, linecache, sys, anyio
from flowstone import Flowstone
from flowstone.errors import FlowstoneError

async def main(database, home):
    async with Flowstone(database_url=database, home=home) as fs:
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            linecache.clearcache()
            spec = importlib.util.spec_from_file_location("work", "work.py")
            module = sys.modules["work"] = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
                done = await fs.materialize(assets=module, raise_on_error=False)
                print("ok" if done.ok else "failed", flush=True)
            except FlowstoneError as error:
                print(type(error).__name__, flush=True)

anyio.run(main, *sys.argv[1:])
"""
_TABLES = """
SELECT sum(pg_total_relation_size(c.oid)) / 1048576.0, sum(s.n_live_tup), sum(s.n_dead_tup)
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
"""


@dataclass
class Sample:
    """How things are at one moment."""

    second: float
    megabytes: float
    connections: int
    tables: float
    threads: int
    files: int


@dataclass
class Soak:
    """All that was done and seen."""

    samples: list[Sample] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    def part(self, number: int) -> list[Sample]:
        """The samples of one part of the time."""
        size = max(1, len(self.samples) // _PARTS)
        return self.samples[number * size : (number + 1) * size]

    def grown(self) -> list[str]:
        """What is more in the last part of the time than in the second."""
        early, late = self.part(1), self.part(_PARTS - 1)
        if not early or not late:
            return ["too few samples"]
        memory = [statistics.median(each.megabytes for each in part) for part in (early, late)]
        links = [statistics.median(each.connections for each in part) for part in (early, late)]
        found = []
        if memory[1] > memory[0] * _GROWTH and memory[1] > memory[0] + _MEGABYTES:
            found.append(f"memory grew from {memory[0]:.1f} to {memory[1]:.1f} MB")
        if links[1] > links[0] + _CONNECTIONS:
            found.append(f"connections grew from {links[0]:g} to {links[1]:g}")
        return found

    def table(self) -> str:
        """A line for each part of the time: medians."""
        lines = ["| until, s | memory, MB | threads | files | connections | tables, MB |"]
        lines.append("| --- | --- | --- | --- | --- | --- |")
        for part in filter(None, map(self.part, range(_PARTS))):
            columns = ("megabytes", "threads", "files", "connections", "tables")
            cells = [statistics.median(getattr(each, name) for each in part) for name in columns]
            shown = [f"{part[-1].second:.0f}", *(f"{cell:.1f}" for cell in cells)]
            lines.append(f"| {' | '.join(shown)} |")
        return "\n".join(lines)


def main() -> int:
    """Soak for as long as the command line says; 1 if something grew or is not whole."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    soak, trial = Soak(), Trial("soak")
    with opened() as world, world.job(Workload(layers=4, width=6, seconds=0.01)) as job:
        _go_on(world, job, soak, wanted.minutes * 60, chance(wanted.seed, 0))
        trial.expect(job.run() == "success", "the last run failed")
        trial.expect(job.run(job.workload.names[0], force=True) == "success", "the last failed")
        job.judge(trial)
    trial.violations += soak.grown()
    _say(soak.table())
    _say(", ".join(f"{what} {times}" for what, times in sorted(soak.done.items())))
    _say("\n".join(trial.violations) or "all is whole, and nothing grew")
    return bool(trial.violations)


def _go_on(world: World, job: Job, soak: Soak, seconds: float, rng: random.Random) -> None:
    began = time.monotonic()
    steady = subprocess.Popen(
        [sys.executable, "-c", _STEADY, job.database, str(job.folder / "home")],
        cwd=job.folder,
        env=environment(job.folder / "home"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert steady.stdin is not None
    assert steady.stdout is not None
    others: list[Runner] = []
    for turn in itertools.count():
        steady.stdin.write("on\n")
        steady.stdin.flush()
        _disturb(world, job, soak, rng, others)
        soak.count(f"steady runs: {steady.stdout.readline().strip() or 'none'}")
        if sample := _sample(job, steady.pid, time.monotonic() - began):
            soak.samples.append(sample)
        if turn % 4 == 0:
            _edit(job, rng, turn)
            soak.count("edits")
        if time.monotonic() - began > seconds:
            break
    for runner in others:
        runner.end()
    steady.communicate()


def _disturb(world: World, job: Job, soak: Soak, rng: random.Random, others: list[Runner]) -> None:
    """Start a runner, kill one, or end the server."""
    others[:] = [runner for runner in others if runner.code is None]
    what = rng.random()
    if what < 0.5 and len(others) < 2:
        others.append(job.start())
        soak.count("runners started")
    elif what < 0.8 and others:
        time.sleep(rng.uniform(0.0, 0.3))
        others.pop().send(signal.SIGKILL)
        soak.count("runners killed")
    elif what > 0.95:
        pid = world.server.status().pid
        if pid is not None:
            os.kill(pid, rng.choice([signal.SIGKILL, signal.SIGINT]))
            world.server.start()
            soak.count("server restarts")


def _edit(job: Job, rng: random.Random, turn: int) -> None:
    """Change some functions so that they run again and return the same."""
    name = rng.choice(job.workload.names)
    text = job.workload.source.replace(
        f'note("begin", "{name}")', f'note("begin", "{name}")\n    time.sleep(0 * {turn})'
    )
    Project(job.folder).write("work.py", text)


def _sample(job: Job, pid: int, second: float) -> Sample | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
        ((connections,),) = job.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        ((tables, *_),) = job.ask(_TABLES)
    except (OSError, psycopg.OperationalError):
        return None
    found = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return Sample(
        second,
        int(found["VmRSS"].split()[0]) / 1024,
        connections,
        float(tables or 0),
        int(found["Threads"]),
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it prints its figures


if __name__ == "__main__":
    sys.exit(main())
