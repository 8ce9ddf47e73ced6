"""Where trials happen: a server, databases, folders with a module of assets, processes."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from flowstone import Flowstone
from flowstone.checking import check_database
from flowstone.core.records import ValuePointer
from flowstone.errors import FlowstoneError
from flowstone.store.connect import open_store
from flowstone.store.embedded import EmbeddedServer
from flowstone.values.store import ValueStore
from tests.conftest import new_database
from tests.faults.workload import Workload
from tests.integration.cli_support import Project
from tests.integration.scripts import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from flowstone.store.postgres import PostgresStore
    from tests.faults.frame import Trial
    from tests.faults.launcher import Injected, Order

#: Seconds in which every run of a trial ends, whatever befalls it.
LIMIT_S = 90.0
#: How a run ends that lets the driver's error through.
NOT_OURS = "an error that is not ours"

_CURRENT = """
SELECT c.asset_name, m.codec, m.value_size, m.content_digest, m.value_inline, m.data_version
FROM flowstone_current c JOIN flowstone_materializations m ON m.id = c.materialization_id
WHERE c.partition IS NULL AND m.status = 'success'
"""
_LEFT_OPEN = """
SELECT 'row of ' || asset_name || ' is ' || status FROM flowstone_materializations
WHERE status IN ('pending', 'running', 'waiting_approval')
UNION ALL SELECT 'run is running' FROM flowstone_runs WHERE status = 'running'
UNION ALL SELECT 'lease is held' FROM flowstone_leases
UNION ALL SELECT asset_name || ' is claimed' FROM flowstone_current
    WHERE claimed_by IN (SELECT run_id FROM flowstone_leases)
"""


class Execution(NamedTuple):
    """What a function told: ``begin`` or ``end``, on the machine's clock."""

    word: str
    name: str
    pid: int
    at: float


@dataclass(frozen=True)
class Runner:
    """A process that runs the assets of a job."""

    pid: int
    stderr: Path
    exit: Path

    @property
    def code(self) -> int | None:
        """Its exit code, or the signal that ended it as a negative number; None while it runs."""
        return int(self.exit.read_text()) if self.exit.exists() else None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self, limit: float = LIMIT_S) -> int | None:
        """Wait for its end, and give its exit code; None if it hangs, and then it is killed."""
        deadline = time.monotonic() + limit
        while self.code is None:
            if time.monotonic() > deadline:
                self.send(signal.SIGKILL)
                return None
            time.sleep(0.002)
        return self.code

    @property
    def said(self) -> str:
        """What it said on stderr so far."""
        return self.stderr.read_text("utf-8")

    @property
    def told(self) -> set[str]:
        """The assets it has told as made; a line that was cut off tells nothing."""
        return set(re.findall(r"^✓ (\S+) .*\n", self.said, re.MULTILINE))


@dataclass
class Job:
    """A database of its own, and a folder with a module of assets."""

    world: World
    folder: Path
    database: str
    workload: Workload

    @property
    def values(self) -> Path:
        """The value store."""
        return self.folder / "home" / "values"

    def start(self, *arguments: str, database: str | None = None, **fault: Any) -> Runner:
        """Start a run of all assets, with a fault in its process; see ``launcher``."""
        injected: Injected = fault  # type: ignore[assignment]  # of the same names
        project = Project(self.folder, {"FLOWSTONE_DATABASE_URL": database or self.database})
        number = sum(1 for _ in self.folder.glob("said*"))
        said, code = self.folder / f"said{number}", self.folder / f"code{number}"
        said.touch()
        order: Order = {
            "folder": str(self.folder),
            "arguments": ["run", "work.py", "-j", "4", *arguments],
            "environment": project.environment,
            "said": str(said),
            "code": str(code),
            "fault": injected,
        }
        return Runner(self.world.launch(order), said, code)

    def ask(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with self.world.connected(self.database) as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    def do(self, statement: str, *parameters: object) -> None:
        """Change something in the database."""
        with self.world.connected(self.database) as connection:
            connection.execute(statement.encode(), parameters or None)

    @property
    def recorded(self) -> set[str]:
        """The assets that have a success."""
        try:
            found = self.ask(
                "SELECT DISTINCT asset_name FROM flowstone_materializations"
                " WHERE status = 'success'"
            )
        except psycopg.errors.UndefinedTable:
            return set()
        return {name for (name,) in found}

    @property
    def executions(self) -> list[Execution]:
        """What functions told so far, oldest first."""
        try:
            text = (self.folder / "executions").read_text("utf-8")
        except FileNotFoundError:
            return []
        told = [line.split() for line in text.splitlines()]
        return [Execution(word, name, int(pid), float(at)) for word, name, pid, at in told]

    @property
    def calls(self) -> Counter[str]:
        """How often each function was called."""
        return Counter(each.name for each in self.executions if each.word == "begin")

    def wait_for_calls(self, number: int, runner: Runner) -> bool:
        """Wait until so many functions were called; False if the process ends before."""
        while self.calls.total() < number:
            if runner.code is not None:
                return False
            time.sleep(0.002)
        return True

    def make_up(self, trial: Trial, since: float, dead: Runner | None = None) -> None:
        """Run again to the end, in this process, and look at everything; see ``judge``.

        ``since`` is when the fault came. What was recorded by then is not called again; what was
        told by then is recorded.
        """
        recorded = self.recorded
        before = self.calls
        if dead is not None:
            lost = dead.told - recorded
            trial.expect(not lost, f"told as made, and not recorded: {sorted(lost)}")
        ended = self.run()
        trial.recovery = time.monotonic() - since
        trial.expect(ended == "success", f"the next run ended with {ended}")
        called = self.calls - before
        twice = called.keys() & recorded
        trial.expect(not twice, f"recorded, and called again: {sorted(twice)}")
        trial.again += sum(1 for name in called if name in before)
        if not called:
            # a run that has nothing to do closes no dead ones
            self.run(self.workload.names[0], force=True)
        self.judge(trial)

    def run(
        self,
        *targets: str,
        force: bool = False,
        partition: str | None = None,
        database: str | None = None,
        through: Callable[[PostgresStore], Any] = lambda store: store,
    ) -> str:
        """Run in this process; how that ended: the status of the run, an error, or ``a hang``.

        ``through`` gives what stands between the run and the store.
        """

        async def work() -> str:
            with anyio.move_on_after(LIMIT_S):
                home = self.folder / "home"
                async with (
                    open_store(database or self.database, home) as store,
                    Flowstone(store=through(store), home=home) as fs,
                ):
                    result = await fs.materialize(
                        *targets, assets=self.module, force=force, partition=partition
                    )
                    return "success" if result.ok else "failed"
            return "a hang"

        try:
            return anyio.run(work)
        except FlowstoneError as error:
            return f"{type(error).__name__}: {error}"
        except psycopg.Error as error:
            return f"{NOT_OURS}: {type(error).__name__}: {error}"

    @functools.cached_property
    def module(self) -> ModuleType:
        """The module of assets, imported anew."""
        spec = importlib.util.spec_from_file_location("work", self.folder / "work.py")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules["work"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def judge(self, trial: Trial) -> None:
        """Look at everything after the last run: invariants, values, nothing left open."""
        try:
            findings = anyio.run(check_database, self.database, None, ValueStore(self.values))
        except FlowstoneError as error:
            trial.violations.append(f"can't be checked: {error}")
            return
        for finding in findings:
            named = [offender.what for offender in finding.offenders[:3]]
            trial.expect(finding.ok, f"{finding.invariant.number}: {named}")
        left = [what for (what,) in self.ask(_LEFT_OPEN)]
        trial.expect(not left, f"left open: {left[:3]}")
        partial = [each.name for each in self.values.rglob(".aside-*")]
        trial.figures["files left aside"] = len(partial)
        wrong = sorted(self.wrong_values())
        trial.expect(not wrong, f"not what an uninterrupted run makes: {wrong[:5]}")

    def wrong_values(self) -> Iterator[str]:
        """Assets whose current value is not that of an uninterrupted run."""
        store = ValueStore(self.values)
        found = {name: of_value for name, *of_value in self.ask(_CURRENT)}
        for name, value in self.workload.expected.items():
            if name not in found:
                yield f"{name} is not there"
                continue
            codec, size, digest, inline, version = found[name]
            pointer = ValuePointer(codec=codec, size=size, content_digest=digest, inline=inline)
            try:
                kept = store.load(pointer)
            except FlowstoneError as error:
                yield f"{name}: {error}"
                continue
            if kept != value or store.version(value) != version:
                yield f"{name} is another value"


class World:
    """A server of its own, for trials one after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = EmbeddedServer(folder / "server")
        self._number = 0
        self._launcher = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.launcher"],
            cwd=ROOT,
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def launch(self, order: Order) -> int:
        """Start a process; gives its pid."""
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        self._launcher.stdin.write(json.dumps(order) + "\n")
        self._launcher.stdin.flush()
        return int(self._launcher.stdout.readline())

    def close(self) -> None:
        """End the server and the launcher, and remove everything."""
        self._launcher.communicate()
        self.server.stop()
        if os.geteuid() == 0:
            shutil.rmtree(self.server.data.parent.parent, ignore_errors=True)

    def connected(
        self, database: str
    ) -> contextlib.AbstractContextManager[psycopg.Connection[Any]]:
        """A connection in autocommit mode; a server that recovers is waited for."""
        self.server.start()
        return psycopg.connect(database, autocommit=True)

    @contextlib.contextmanager
    def job(self, workload: Workload | None = None, *, migrated: bool = True) -> Iterator[Job]:
        """A database, made ready or empty, and a folder with the module ``work.py``."""
        self.server.start()
        self._number += 1
        folder = self.folder / f"job{self._number}"
        folder.mkdir()
        job = Job(self, folder, new_database(self.server), workload or Workload())
        Project(folder).write("work.py", job.workload.source)
        if migrated:
            anyio.run(_migrate, job.database, folder)
        try:
            yield job
        finally:
            self._drop(job.database)
            shutil.rmtree(folder, ignore_errors=True)

    def _drop(self, database: str) -> None:
        name = sql.Identifier(str(conninfo_to_dict(database)["dbname"]))
        with self.connected(self.server.conninfo()) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


async def _migrate(database: str, folder: Path) -> None:
    async with open_store(database, folder):
        pass


@contextlib.contextmanager
def opened() -> Iterator[World]:
    """A world for the time of the block."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    world = World(folder)
    try:
        yield world
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
