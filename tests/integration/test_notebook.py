"""A real kernel runs a real notebook: cells define, redefine, await, fail and are interrupted."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from tests.integration.scripts import environment

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("ipykernel")


def execute(cells: list[str], home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Run the cells in one kernel; the outputs of each."""
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    blank: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": []}
    made = [blank | {"execution_count": None, "source": each} for each in cells]
    written = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": made}
    notebook = nbformat.reads(json.dumps(written), as_version=4)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True)
    client.execute(cwd=str(home.parent))
    return [cell["outputs"] for cell in notebook.cells]


def progress(outputs: Any) -> list[str]:
    """What is left of a cell's progress."""
    return [
        output["data"]["text/plain"]
        for output in outputs
        if output["output_type"] == "display_data"
    ]


def text(outputs: Any) -> str:
    """All that a cell showed, without progress."""
    shown = []
    for output in outputs:
        if output["output_type"] == "display_data":
            continue  # progress
        shown.append(output.get("text", ""))
        shown.append(output.get("data", {}).get("text/plain", ""))
        shown += output.get("traceback", [])
    return re.sub(r"\x1b\[[0-9;]*m", "", "".join(shown))


INTERRUPTED = "interrupted: the work was cancelled, and what had been made is recorded"
DEFINE = """
from flowstone import asset, materialize, materialize_async, plan
calls = []

RATE = 2

@asset
def orders() -> list[int]:
    return [1, 2, 3]

@asset
def revenue(orders: list[int]) -> int:
    return sum(orders) * RATE
"""


def test_a_notebook_materializes_redefines_and_awaits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [
        DEFINE,
        "r = materialize(revenue); print(r['revenue'], r.statuses)",
        "r = materialize(revenue); print(r['revenue'], r.statuses)",
        DEFINE,
        "print(materialize(revenue).statuses)",
        "@asset\ndef orders() -> list[int]:\n    return [10]",
        "print(plan(revenue))",
        "r = await materialize_async(revenue); print(r['revenue'], r.statuses)",
        "RATE = 3",
        "r = materialize(revenue); print(r['revenue'], r.statuses)",
        "@asset\nasync def later(revenue: int) -> int:\n    return revenue + 1",
        "print(materialize(later)['later'], revenue([5]))",
    ]
    shown = [text(outputs) for outputs in execute(cells, tmp_path / "home", monkeypatch)]
    assert shown[1] == "12 {'orders': 'materialized', 'revenue': 'materialized'}\n"
    assert shown[2] == "12 {'orders': 'reused', 'revenue': 'reused'}\n"
    assert shown[4] == "{'orders': 'reused', 'revenue': 'reused'}\n"
    first, second = shown[6].splitlines()
    assert first.startswith("materialize orders   code of notebook.orders changed")
    assert second == "materialize revenue  upstream orders will run (may be cut off here)"
    assert shown[7] == "20 {'orders': 'materialized', 'revenue': 'materialized'}\n"
    assert shown[9] == "30 {'orders': 'reused', 'revenue': 'materialized'}\n"
    assert shown[11] == "31 15\n"


def test_errors_in_a_notebook_are_short_and_name_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [
        DEFINE,
        "@asset\ndef report(revenu: int) -> int:\n    return 1",
        "materialize(report)",
        "@asset\ndef broken(orders: list[int]) -> float:\n    return 1 / 0",
        "materialize(broken)",
        "print(materialize(revenue)['revenue'])",
    ]
    shown = [text(outputs) for outputs in execute(cells, tmp_path / "home", monkeypatch)]
    assert "did you mean 'revenue'" in shown[2]
    assert "ZeroDivisionError" in shown[4]
    assert "return 1 / 0" in shown[4]
    assert "flowstone/" not in shown[2] + shown[4]
    assert "RunFailedError: failed: broken (ZeroDivisionError: division by zero)" in shown[4]
    assert max(len(shown[2].splitlines()), len(shown[4].splitlines())) < 20
    assert shown[5] == "12\n"


PRINTING = """
import sys
from flowstone import Flowstone, asset, materialize
stream = sys.stdout

@asset
def loud() -> int:
    print("heard", file=sys.stdout)
    return 1

@asset
async def louder(loud: int) -> int:
    print("heard too")
    return loud
"""
LOGS = """
async with Flowstone() as fs:
    told = await fs.logs(run.run_id)
print([each.asset_name for each in told], told[-1].lines.rpartition(" ")[2], sys.stdout is stream)
"""


def test_what_assets_print_appears_in_the_cell_and_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [
        PRINTING,
        "run = materialize(louder)",
        LOGS,
        "%%capture found\nrun = materialize(louder, force=True, only=True)",
        "print(found.stdout, end='')",
        LOGS,
    ]
    shown = [text(outputs) for outputs in execute(cells, tmp_path / "home", monkeypatch)]
    assert shown[1] == "heard\nheard too\n"
    assert shown[2] == "['loud', 'louder'] too True\n"
    assert shown[4] == "heard too\n"
    assert shown[5] == "['louder'] too True\n"


def test_an_interrupt_cancels_the_run_and_leaves_it_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel gets the very signal that the stop button sends, while the asset runs."""
    cells = [
        DEFINE,
        """
import asyncio, os, signal

@asset
async def endless(revenue: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(3600)
    return 1
""",
        "materialize(endless)",
        """
from flowstone.portal import call

async def look(fs):
    last, *_ = await fs.store.list_runs()
    rows = await fs.store.get_by_run_id(last.run_id)
    return last.status, sorted((row.asset_name, row.status) for row in rows)

print(call(look))
""",
        "print(materialize(revenue).statuses)",
    ]
    shown = [text(outputs) for outputs in execute(cells, tmp_path / "home", monkeypatch)]
    assert shown[2] == INTERRUPTED
    assert shown[3] == (
        "('cancelled', [('endless', 'cancelled'), ('orders', 'success'), ('revenue', 'success')])\n"
    )
    assert shown[4] == "{'orders': 'reused', 'revenue': 'reused'}\n"


def test_objects_draw_themselves_and_what_a_cell_showed_stands_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [
        DEFINE + "from flowstone import graph, why",
        "revenue",
        "graph()",
        "r = materialize(revenue); old = orders",
        "orders",
        DEFINE,
        "plan()",
        "@asset\ndef orders() -> list[int]:\n    return [10]",
        "old",
        "graph()",
        "materialize()",
        "why(revenue)",
        "r = materialize()",
        "@asset\ndef broken(revenue: int) -> float:\n    return 1 / 0",
        "materialize(broken, raise_on_error=False)",
        "r = materialize(revenue, force=True, on_event=lambda event: None)",
    ]
    outputs = execute(cells, tmp_path / "home", monkeypatch)
    shown = [text(each) for each in outputs]
    drawn = [each[-1].get("data", {}) if each else {} for each in outputs]
    for number in (1, 2, 4, 6, 8, 9, 10, 11, 14):
        assert drawn[number]["text/html"].startswith("<style>")
    assert drawn[2]["image/svg+xml"].startswith("<svg")
    assert "fresh" not in shown[1] + shown[2]  # nothing is opened for a display
    assert progress(outputs[3]) == [drawn[3]["text/plain"]]
    assert drawn[3]["text/plain"].startswith("\u2713 2 materialized in ")
    assert "fresh: up to date" in shown[4]
    assert "needed by: revenue" in shown[4]
    assert "nothing to do: 2 assets are up to date" in shown[6]
    assert "replaced: a later definition has its name" in shown[8]
    assert (
        "orders: outdated: code of notebook.orders changed (Cell In[8]:1)"
        in drawn[9]["image/svg+xml"]
    )
    assert "\u2713 orders   materialized" in shown[10]
    assert "is up to date, made by run" in shown[11]
    assert progress(outputs[12]) == []  # nothing ran
    assert "Cell In[14]:3 in broken\n    return 1 / 0" in shown[14]
    assert progress(outputs[15]) == []  # somebody listens already


class Kernel:
    """A kernel whose cells can be stopped."""

    def __init__(self, home: Path) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(env=environment(home), cwd=str(home.parent))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel()

    def run(self, source: str, *, stop_at: str = "") -> str:
        """Run a cell, and press the stop button when it shows ``stop_at``; all that it showed."""
        sent = self._client.execute(source)
        shown: list[str] = []
        stopped = False
        while True:
            message = self._client.get_iopub_msg(timeout=60)
            content = message["content"]
            if message["parent_header"].get("msg_id") != sent:
                continue
            if content.get("execution_state") == "idle":
                return re.sub(r"\x1b\[[0-9;]*m", "", "".join(shown))
            shown.append(content.get("text", ""))
            shown.append(content.get("data", {}).get("text/plain", ""))
            shown += content.get("traceback", [])
            if stop_at and not stopped and stop_at in "".join(shown):
                stopped = True
                self._manager.interrupt_kernel()


STOPPED = """
import asyncio, time
from flowstone import asset, materialize, materialize_async
from flowstone.portal import call

@asset
def first() -> int:
    return 1

@asset
def thread(first: int) -> int:
    print("go")
    time.sleep(60)
    return 2

@asset
async def loop(first: int) -> int:
    print("go")
    await asyncio.sleep(3600)
    return 2

def state() -> int:
    print("go")
    time.sleep(60)
    return 1

@asset(observe=state)
def observing() -> int:
    return 1

async def look(fs):
    last, *_ = await fs.store.list_runs()
    rows = await fs.store.get_by_run_id(last.run_id)
    return last.status, sorted((row.asset_name, row.status) for row in rows)
"""


def test_the_stop_button_cancels_the_run_wherever_it_is(tmp_path: Path) -> None:
    """While the server starts, while planning, in a thread, on the loop, and awaited."""
    kernel = Kernel(tmp_path / "home")
    try:
        kernel.run(STOPPED)
        early = kernel.run("print('go', flush=True)\nmaterialize(first)", stop_at="go")
        assert "nterrupt" in early  # it may come before the call does
        begun = time.monotonic()
        assert kernel.run("materialize(observing)", stop_at="go").endswith(INTERRUPTED)
        for cell, name in (
            ("materialize(thread)", "thread"),
            ("materialize(loop)", "loop"),
            ("await materialize_async(loop)", "loop"),
            ("await materialize_async(thread)", "thread"),
        ):
            assert kernel.run(cell, stop_at="go").endswith(INTERRUPTED)
            recorded = kernel.run("print(call(look))")
            assert recorded.startswith("('cancelled', ")
            assert f"('{name}', 'cancelled')" in recorded
        assert time.monotonic() - begun < 50  # nothing ran to its end
        assert kernel.run("print(materialize(first)['first'])") == "1\n"
    finally:
        kernel.close()
