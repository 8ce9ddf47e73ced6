"""A real kernel runs a real notebook: cells define, redefine, await, fail and are interrupted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
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


def text(outputs: Any) -> str:
    """All that a cell showed."""
    shown = []
    for output in outputs:
        shown.append(output.get("text", ""))
        shown.append(output.get("data", {}).get("text/plain", ""))
        shown += output.get("traceback", [])
    return re.sub(r"\x1b\[[0-9;]*m", "", "".join(shown))


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
    assert shown[4].count("flowstone/") <= 1  # IPython always shows the last frame
    assert "RunFailedError: failed: broken (ZeroDivisionError: division by zero)" in shown[4]
    assert max(len(shown[2].splitlines()), len(shown[4].splitlines())) < 20
    assert shown[5] == "12\n"


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
    assert "KeyboardInterrupt" in shown[2]
    assert shown[3] == (
        "('cancelled', [('endless', 'cancelled'), ('orders', 'success'), ('revenue', 'success')])\n"
    )
    assert shown[4] == "{'orders': 'reused', 'revenue': 'reused'}\n"
