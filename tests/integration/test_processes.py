"""Functions in processes of our own: what crosses, what does not, and what becomes of the dead."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pytest

from flowstone import Asset, Context, Flowstone, asset
from flowstone.core.dag import AssetGraph
from flowstone.runner.executors.base import ABSENT
from flowstone.runner.executors.processes import Processes
from flowstone.runner.executors.texts import texts
from flowstone.runner.failure import Failure
from flowstone.runner.step import Lost, Made
from flowstone.runner.versions import Input
from flowstone.store.memory import MemoryStore
from flowstone.values import Keeper, ValueStore
from tests.integration import process_assets as assets
from tests.unit.jobs import Desk, at_work, value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import ModuleType

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(ValueStore(tmp_path / "values"), run_id="run")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all of these tests, so that they can share a process."""
    return "asyncio"


@pytest.fixture(scope="module")
async def warm() -> AsyncIterator[Processes]:
    """One process, for one call after the other; starting it takes long."""
    processes = Processes(1)
    processes.start(asyncio.get_running_loop())
    yield processes
    await processes.close()


@pytest.fixture
def desk(warm: Processes, keeper: Keeper) -> Desk:
    return Desk(warm, keeper)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def made(outcome: Any) -> Made:
    assert isinstance(outcome, list), outcome
    assert isinstance(outcome[0], Made), outcome
    return outcome[0]


async def test_a_process_stays_for_the_next_call_and_ends_with_the_executor(
    keeper: Keeper,
) -> None:
    descriptors, threads = open_descriptors(), set(threading.enumerate())
    async with at_work(Processes(2), keeper) as desk:
        assert set(threading.enumerate()) == threads
        outcomes = await asyncio.gather(*(desk.submit(assets.pid) for _ in range(20)))
        pids = set(map(value, outcomes))
        assert os.getpid() not in pids
        assert 1 <= len(pids) <= 2
    assert open_descriptors() == descriptors
    assert set(threading.enumerate()) == threads
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_stored_values_go_by_reference_both_ways(desk: Desk, keeper: Keeper) -> None:
    rows = made(await desk.submit(assets.rows))
    assert rows.value is ABSENT
    assert rows.saved is not None
    assert keeper.load(assets.rows, rows.saved.pointer) == assets.rows()
    outcome = await desk.submit(assets.ends, rows=Input(assets.rows, rows.saved.pointer))
    assert isinstance(outcome, list)
    low, high = outcome
    assert isinstance(low, Made)
    assert isinstance(high, Made)
    assert low.saved
    assert high.saved
    assert keeper.load(assets.ends.outputs["low"], low.saved.pointer) == 1
    assert keeper.load(assets.ends.outputs["high"], high.saved.pointer) == 2


async def test_a_stored_input_is_read_from_its_file(desk: Desk, keeper: Keeper) -> None:
    saved = keeper.save(assets.zeros, assets.zeros())
    assert saved.pointer.inline is None
    taken = Input(assets.zeros, saved.pointer)
    assert await desk.value(assets.looked_at, zeros=taken) == (1_600_000, False)


async def test_values_that_are_not_kept_are_pickled(desk: Desk) -> None:
    numbers = await desk.value(assets.unkept, start=5)
    assert np.array_equal(numbers, np.arange(5, 200_005))
    assert await desk.value(assets.looked_at, zeros=numbers) == (1_600_000, False)


async def test_a_lost_input_is_told(desk: Desk, keeper: Keeper) -> None:
    saved = keeper.save(assets.zeros, assets.zeros())
    taken = Input(assets.zeros, saved.pointer.model_copy(update={"content_digest": "0" * 40}))
    assert await desk.submit(assets.looked_at, zeros=taken) == Lost(["zeros"])


async def test_async_functions_have_a_loop_there(desk: Desk) -> None:
    assert await desk.value(assets.slowly, number=3) == 4


class Kept:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    debug = warning = error = info


async def test_prints_and_logs_appear_here(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    logger = Kept()
    await desk.value(assets.talks, context=Context("run", "talks", logger, partition="eu"))
    fields = {"number": 3, "odd": "Row(name='a', number=1)", "partition": "eu"}
    assert logger.lines == [("counted", fields)]
    assert capsys.readouterr() == ("", "to stdout\nto stderr")


async def test_functions_and_classes_of_function_bodies_go_by_value(
    desk: Desk, keeper: Keeper
) -> None:
    class Local:
        def __init__(self, number: int) -> None:
            self.number = number

    @asset(keep=False)
    def local(number: int) -> Local:
        return Local(number + offset)

    @asset
    def listed(local: Local) -> list[assets.Row]:
        assert isinstance(local, Local)
        return [assets.Row("local", local.number)]

    offset = 10
    first = await desk.value(local, number=1)
    assert type(first) is Local
    assert first.number == 11
    kept = made(await desk.submit(listed, local=first))
    assert kept.saved is not None
    assert kept.data_version == keeper.save(listed, [assets.Row("local", 11)]).data_version
    assert keeper.load(listed, kept.saved.pointer) == [assets.Row("local", 11)]


async def test_exceptions_come_back_with_their_traceback(desk: Desk) -> None:
    failure = await desk.failure(assets.raises, kind="other")
    assert (failure.type, failure.message) == ("ValueError", "wrong")
    assert isinstance(failure.exception, ValueError)
    assert 'process_assets.py", line' in failure.traceback
    assert "KeyError: 'other'" in failure.traceback
    assert "worker.py" not in failure.traceback
    assert "process_assets.py" in failure.exception.__notes__[0]
    assert (await desk.failure(assets.raises, kind="exit")).type == "SystemExit"


async def test_an_exception_that_can_t_be_rebuilt_has_a_stand_in(desk: Desk) -> None:
    failure = await desk.failure(assets.raises, kind="odd")
    assert failure.type == "tests.integration.process_assets.OddError"
    assert type(failure.exception).__name__ == "OddError"
    assert str(failure.exception) == failure.message == "1 and 2"


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("exit", "ended with exit code 3"),
        ("after a fork", "ended with exit code 4"),
        ("killed", "was killed by SIGKILL, perhaps for want of memory"),
        ("fault", "was killed by SIGSEGV"),
    ],
)
async def test_the_death_of_a_process_fails_its_call_alone(desk: Desk, how: str, told: str) -> None:
    first = await desk.value(assets.pid)
    failure = await desk.failure(assets.dies, how=how)
    assert failure.type == "flowstone.errors.WorkerDiedError"
    assert failure.message == f"dies 1: its process {told}"
    assert await desk.value(assets.pid) not in {first, os.getpid()}


async def test_a_process_that_dies_between_two_calls_is_replaced(desk: Desk) -> None:
    first = await desk.value(assets.pid)
    os.kill(first, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert await desk.value(assets.pid) != first


async def test_a_call_whose_time_is_out_is_killed(keeper: Keeper, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    processes = Processes(1)
    async with at_work(processes, keeper) as desk:
        await desk.value(assets.pid)
        ended = desk.submit(assets.hangs, timeout=0.3, file=str(file))
        failure = await ended
        assert isinstance(failure, Failure)
        assert failure.type == "flowstone.errors.AssetTimeoutError"
        assert failure.message.endswith("timeout of 0.3 s; its process was killed")
        assert await desk.value(assets.pid) != int(file.read_text())
        assert processes.abandoned == ()
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


async def test_closing_kills_what_still_runs(keeper: Keeper, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    async with at_work(Processes(1), keeper) as desk:
        desk.submit(assets.hangs, file=str(tmp_path / "pid"))
        pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_resource_does_not_cross(desk: Desk) -> None:
    @asset
    def taking(database: object) -> bool:
        return bool(database)

    bound = AssetGraph([taking], resources={"database": object})["taking"]
    failure = await desk.failure(bound, database=object())
    assert failure.type == "flowstone.errors.DefinitionError"
    assert "takes the resource 'database'" in failure.message
    assert "executor='thread'" in failure.message


async def test_what_can_t_be_pickled_is_told(desk: Desk) -> None:
    failure = await desk.failure(assets.given, thing=threading.Lock())
    assert failure.type == "flowstone.errors.DefinitionError"
    assert "can't be called in a process" in failure.message
    assert "executor='thread'" in failure.message
    failure = await desk.failure(assets.locked)
    assert failure.type == "flowstone.errors.UnserializableValueError"
    assert "asset 'locked' returned a value that can't leave its process" in failure.message


async def test_new_processes_have_the_setting_of_the_first_job(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLOWSTONE_TEST", "first")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    async with at_work(Processes(1), keeper) as desk:
        first = await desk.value(assets.setting)
        assert first == (str(tmp_path), "first", str(tmp_path), sys.argv)
        monkeypatch.setenv("FLOWSTONE_TEST", "second")
        monkeypatch.chdir(ROOT)
        await desk.failure(assets.dies, how="exit")
        assert await desk.value(assets.setting) == first


async def test_a_process_starts_no_others(desk: Desk) -> None:
    assert "can't start processes" in await desk.value(assets.nested)


def nested_failure() -> str:
    async def nest() -> str:
        keeper = Keeper(ValueStore(Path("unused")))
        async with at_work(Processes(1), keeper) as desk:
            return (await desk.failure(assets.pid)).message

    return asyncio.run(nest())


FILE = '''
"""A module that no path leads to."""

from flowstone import asset


@asset(keep=False)
def here() -> str:
    return __name__ + " " + __file__
'''


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[ModuleType]:
    """A module of this file, imported."""
    file = tmp_path / "apart.py"
    file.write_text(FILE)
    spec = util.spec_from_file_location("apart", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["apart"] = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["apart"]


async def test_a_module_is_imported_from_the_file_it_has_here(
    keeper: Keeper, apart: ModuleType
) -> None:
    async with at_work(Processes(1), keeper) as desk:
        assert await desk.value(apart.here) == f"apart {apart.__file__}"


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that was edited after it was imported, and its text looked at, as planning does."""
    file = tmp_path / "edited.py"
    file.write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module("edited")
    assert texts()["edited"]
    file.write_text(FILE.replace("__name__", "'edited'"))
    yield module
    del sys.modules["edited"]


async def test_a_module_that_was_edited_after_its_import_is_refused(
    keeper: Keeper, edited: ModuleType
) -> None:
    async with at_work(Processes(1), keeper) as desk:
        for _ in range(2):
            failure = await desk.failure(edited.here)
            assert failure.type == "flowstone.errors.DefinitionError"
            assert "module 'edited' was edited after it was imported here" in failure.message
        assert (await desk.failure(assets.pid)).type == "flowstone.errors.DefinitionError"


SCRIPT = """
import asyncio, os, pathlib, sys
from dataclasses import dataclass
from flowstone import asset
from flowstone.runner.executors.processes import Processes
from flowstone.values import Keeper, ValueStore
from tests.unit.jobs import at_work

print("begin", flush=True)

class Refused(Exception):
    pass

@dataclass
class Row:
    number: int

def helper(number):
    return Row(number)

@asset
def row() -> Row:
    return helper(7)

@asset(keep=False)
def loose() -> Row:
    return helper(8)

@asset
def refuses() -> int:
    raise Refused("no")

@asset(keep=False)
def hangs() -> None:
    print("hangs", flush=True)
    import signal
    while True:
        signal.pause()

async def main():
    keeper = Keeper(ValueStore(pathlib.Path(sys.argv[1])))
    async with at_work(Processes(1), keeper) as desk:
        (made,) = await desk.submit(row)
        assert keeper.load(row, made.saved.pointer) == Row(7)
        assert made.data_version == keeper.save(row, Row(7)).data_version
        assert await desk.value(loose) == Row(8)
        assert type((await desk.failure(refuses)).exception) is Refused
        print("done", flush=True)
        await desk.submit(hangs)

asyncio.run(main())
"""


def test_a_script_is_not_run_again_and_its_processes_end_with_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    program = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", tmp_path / "values"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stderr is not None
    with program:
        assert [program.stdout.readline() for _ in range(2)] == ["begin\n", "done\n"]
        assert program.stderr.readline() == "hangs\n"
        program.send_signal(signal.SIGKILL)
        assert program.stderr.read() == ""  # its process holds this pipe open as long as it lives


async def test_two_processes_work_at_once(keeper: Keeper, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "between")

    def opened(mode: str) -> Asset[..., Any]:
        path = str(tmp_path / "between")

        def open_it() -> int:
            with Path(path).open(mode):  # waits for the other end
                return os.getpid()

        return Asset(open_it, name="opened", keep=False)

    async with at_work(Processes(2), keeper) as desk:
        one, other = await asyncio.gather(desk.submit(opened("r")), desk.submit(opened("w")))
        assert value(one) != value(other)


async def test_a_cancelled_run_kills_its_processes_whatever_else_it_has(
    tmp_path: Path,
) -> None:
    """Closing the threads does not wait while being cancelled, nor does it keep anything."""
    file = tmp_path / "pid"
    begun, released = threading.Event(), threading.Event()

    def idle() -> None:
        begun.wait(60)

    def busy() -> None:
        begun.set()
        released.wait(60)

    path = str(file)

    def hangs(idle: None) -> None:
        assert idle is None
        assets.hangs(path)

    made: list[Asset[..., Any]] = [
        Asset(idle, name="idle", code_version="1"),
        Asset(busy, name="busy", code_version="1"),
        Asset(hangs, name="hangs", code_version="1", executor="process"),
    ]
    async with Flowstone(store=MemoryStore(), home=tmp_path / "home") as fs:

        async def run() -> None:
            await fs.materialize(assets=made)

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            with anyio.fail_after(20):
                while not file.exists() or not file.read_text():  # noqa: ASYNC110 - it is elsewhere
                    await anyio.sleep(0.01)
            pid = int(file.read_text())
            group.cancel_scope.cancel()
        with anyio.fail_after(20):
            while _is_there(pid):  # noqa: ASYNC110 - it tells nobody
                await anyio.sleep(0.01)
    released.set()


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
