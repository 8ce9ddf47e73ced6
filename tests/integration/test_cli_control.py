"""Stopping runs from the terminal and from elsewhere, and reading what their assets told."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import pty
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from flowstone import Flowstone
from flowstone.core.records import Run
from flowstone.ids import run_id as new_run_id
from flowstone.runner.output import Output
from tests.integration.cli_support import Project, heard, stopped_now

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.anyio

WAITING = """
    import pathlib, time
    from pydantic import SecretStr
    from flowstone import asset

    @asset
    def first(code: SecretStr = SecretStr("hunter22")) -> int:
        print("logged in with", code.get_secret_value())
        return 1

    @asset
    def waiting(first: int) -> int:
        pathlib.Path("began").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.02)
        return first

    @asset
    def after(waiting: int) -> int:
        return waiting
"""


FAR = """
    import sys
    from flowstone import Context, asset

    @asset(executor="process")
    def far(context: Context) -> int:
        print("printed far away")
        print("and what went wrong", file=sys.stderr)
        context.logger.info("logged far away", rows=3)
        return 1
"""


@pytest.fixture
def project(tmp_path: Path, database_18: str) -> Project:
    project = Project(tmp_path, {"FLOWSTONE_DATABASE_URL": database_18})
    project.write("shop.py", WAITING)
    return project


def begun(project: Project, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
    """A run whose second asset runs, until there is a file ``go``."""
    process = project.start("run", "shop.py", *arguments, **streams)
    deadline = time.monotonic() + 60
    while not (project.folder / "began").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    return process


def actions(project: Project) -> dict[str, str]:
    plan = project.flowstone("plan", "shop.py", "--json")
    return {step["asset"]: step["action"] for step in json.loads(plan.out)["steps"]}


class TestSignals:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_the_first_finishes_what_runs_and_begins_nothing(
        self, project: Project, number: int, code: int
    ) -> None:
        process = begun(project)
        process.send_signal(number)
        process.send_signal(number)  # wrappers pass on what the terminal has sent already
        said = heard(process, "nothing new begins, what runs is finished and recorded")
        (project.folder / "go").touch()
        said += process.communicate(timeout=60)[1]
        assert process.returncode == code
        assert re.search(
            r"^interrupted after .*: 2 materialized, 1 cancelled, all recorded", said, re.MULTILINE
        )
        assert "Traceback" not in said
        wanted = {"first": "reuse", "waiting": "reuse", "after": "materialize"}
        assert actions(project) == wanted

    def test_the_second_stops_now_and_what_is_done_is_recorded(self, project: Project) -> None:
        process = begun(project)
        said = stopped_now(process)
        assert process.returncode == 130
        assert "what runs is ended, what is done is recorded" in said
        assert re.search(
            r"^interrupted after .*: 1 materialized, 2 cancelled, all recorded", said, re.MULTILINE
        )
        assert "Traceback" not in said
        wanted = {"first": "reuse", "waiting": "materialize", "after": "materialize"}
        assert actions(project) == wanted

    def test_a_run_that_had_nothing_more_to_begin_ends_well(self, project: Project) -> None:
        process = begun(project, "waiting")
        process.send_signal(signal.SIGINT)
        said = heard(process, "nothing new begins")
        (project.folder / "go").touch()
        said += process.communicate(timeout=60)[1]
        assert process.returncode == 0
        assert "2 materialized in" in said

    def test_on_a_terminal_the_answer_has_a_line_of_its_own(self, project: Project) -> None:
        ours, theirs = pty.openpty()
        terminal = Project(project.folder, project.settings | {"TERM": "xterm-256color"})
        process = begun(terminal, stdout=theirs, stderr=theirs, stdin=theirs)
        os.close(theirs)
        process.send_signal(signal.SIGINT)
        shown = b""
        while b"interrupted: " not in shown:
            shown += os.read(ours, 65_536)
        (project.folder / "go").touch()
        with contextlib.suppress(OSError):  # Linux tells the end of a terminal so
            while chunk := os.read(ours, 65_536):
                shown += chunk
        os.close(ours)
        assert process.wait(60) == 130
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode().replace("\r", "\n"))
        assert sum(line.startswith("interrupted: nothing new") for line in plain.split("\n")) == 1

    def test_with_json_logs_the_answer_is_one_too(self, project: Project) -> None:
        process = begun(project, "--log", "json")
        process.send_signal(signal.SIGINT)
        said = heard(process, "nothing new begins")
        (project.folder / "go").touch()
        said += process.communicate(timeout=60)[1]
        assert [json.loads(line) for line in said.splitlines()]


async def running(fs: Flowstone) -> str:
    """A run of this process that is recorded as under way."""
    run = Run(
        run_id=new_run_id(), status="running", target="shop", started_at=dt.datetime.now(dt.UTC)
    )
    await fs.store.start_run(run, [])
    return run.run_id


async def ended(fs: Flowstone, run_id: str) -> None:
    run = await fs.store.get_run(run_id)
    done = {"status": "success", "completed_at": dt.datetime.now(dt.UTC)}
    await fs.store.finish_run(run.model_copy(update=done))


class TestCancel:
    async def test_a_running_run_is_asked_to_stop(self, project: Project, database_18: str) -> None:
        async with Flowstone(database_url=database_18) as fs:
            run_id = await running(fs)
            unsure = project.flowstone("cancel", run_id)
            unsure.is_short_error(2, "nothing was stopped: --yes stops run", run_id, "shop")
            assert not await fs.store.beat(run_id)
            call = project.flowstone("cancel", run_id[:6], "--yes")
            assert (call.code, call.err) == (0, "")
            assert call.out.startswith(f"run {run_id} is asked to stop; what it has made stays")
            assert await fs.store.beat(run_id)

    def test_a_run_of_another_process_ends_and_its_logs_are_there(self, project: Project) -> None:
        process = begun(project)
        call = project.flowstone("cancel", "last", "--yes")
        assert call.code == 0
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 130
        assert "asked to stop from elsewhere" in said
        assert "1 materialized, 2 cancelled, all recorded" in said
        logs = project.flowstone("logs", "last", "first")
        assert logs.out.splitlines()[1].endswith("out       logged in with **********")

    async def test_what_can_not_be_stopped_is_told(
        self, project: Project, database_18: str
    ) -> None:
        project.flowstone("cancel", "last", "--yes").is_short_error(2, "no run is recorded yet")
        async with Flowstone(database_url=database_18) as fs:
            goes_on = await running(fs)
            run_id = await running(fs)
            await ended(fs, run_id)
            call = project.flowstone("cancel", "last", "--yes")
            call.is_short_error(2, f"is over, success; still running: {goes_on}\n")
            await ended(fs, goes_on)
        over = project.flowstone("cancel", "last", "--yes")
        over.is_short_error(2, f"nothing to stop: run {run_id} is over, success\n")
        unknown = project.flowstone("cancel", "nothing", "--yes")
        unknown.is_short_error(2, "no run 'nothing' is recorded", f"'last' for {run_id}")

    async def test_the_beginning_of_several_ids_is_told_with_some_of_them(
        self, project: Project, database_18: str
    ) -> None:
        async with Flowstone(database_url=database_18) as fs:
            several = {(await running(fs))[:1] for _ in range(17)}  # two of them begin alike
            assert len(several) < 17
            runs = [run.run_id for run in await fs.store.list_runs()]
        first = next(c for c in several if sum(run.startswith(c) for run in runs) > 1)
        call = project.flowstone("cancel", first, "--yes")
        call.is_short_error(2, f"runs begin with '{first}'")


class TestLogs:
    async def test_they_are_shown_by_attempt(self, project: Project, database_18: str) -> None:
        first, second = Output(), Output()
        first.write("out", "begun\n")
        first.line("warning", "few\nrows")
        second.write("err", "x\n" * 40_000)
        async with Flowstone(database_url=database_18) as fs:
            run_id = await running(fs)
            told = [
                first.record(run_id, "orders"),
                second.record(run_id, "revenue", "mon", attempt=2),
            ]
            async with fs.store.journal(run_id) as journal:
                await journal.write([], [], [each for each in told if each is not None])
            await ended(fs, run_id)
        one = project.flowstone("logs", "last", "orders")
        assert (one.code, one.err) == (0, "")
        assert [re.sub(r"\d\d:\d\d:\d\d", "T", line) for line in one.out.splitlines()] == [
            "orders",
            "  T  out       begun",
            "  T  warning   few",
            "  T  warning   rows",
        ]
        both = project.flowstone("logs", run_id)
        assert re.search(r"^revenue mon, attempt 2, .* kB left out$", both.out, re.MULTILINE)
        document = json.loads(project.flowstone("logs", run_id[:8], "--json").out)
        assert [each["asset_name"] for each in document] == ["orders", "revenue"]
        assert [line["text"] for line in document[0]["lines"]] == ["begun", "few", "rows"]
        assert document[1]["left_out"] > 0

    def test_what_a_process_prints_is_kept_too(self, project: Project) -> None:
        project.write("far.py", FAR)
        run = project.flowstone("run", "far.py")
        assert (run.code, "printed far away" in run.err) == (0, True)
        assert re.search(r"^✓ far .* int$", run.err, re.MULTILINE)
        logs = project.flowstone("logs", "last", "far").out.splitlines()
        assert logs[1].endswith("  out       printed far away")
        assert logs[2].endswith("  err       and what went wrong")
        assert logs[3].endswith("  info      logged far away rows=3")

    async def test_an_asset_without_any_is_told_from_one_that_is_unknown(
        self, project: Project, database_18: str
    ) -> None:
        async with Flowstone(database_url=database_18) as fs:
            run_id = await running(fs)
            await ended(fs, run_id)
            await fs.store.create(asset_name="orders", run_id=run_id)
        silent = project.flowstone("logs", run_id, "orders")
        assert (silent.code, silent.out) == (0, "")
        assert silent.err == f"nothing was printed or logged in run {run_id}\n"
        unknown = project.flowstone("logs", run_id, "ordrs")
        unknown.is_short_error(2, "did not make 'ordrs'; did you mean 'orders'?")
