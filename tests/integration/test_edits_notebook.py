"""Edits in a real kernel run what they reach, and nothing else; what never ran never counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.integration.edits import names
from tests.integration.edits_of_cells import ANY, IN_ORDER, OUT_OF_ORDER, Cell, Story
from tests.integration.scripts import environment, python

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytest.importorskip("ipykernel")

SET_UP = """
import json
from flowstone import asset, materialize

def look(*targets):
    told = []
    for _ in range(2):
        made = materialize(*targets)
        ran = sorted(name for name, end in made.statuses.items() if end == "materialized")
        told.append([ran, [repr(made[target.name]) for target in targets]])
    print(json.dumps(told))
"""

PIPELINE = """
import functools
from dataclasses import dataclass
from flowstone import asset, materialize

RATE = 2

@dataclass
class Order:
    eur: int = RATE

    def total(self):
        return self.eur * RATE

def multiplier(n):
    return lambda x: x * n

triple = multiplier(3)
half = functools.partial(triple, 2)

@asset
def price():
    return triple(Order().total())

@asset
def total(price, rate: int = 5):
    '''What it costs.'''
    return price * rate + half()
"""


def checked(stories: Sequence[Story]) -> Iterator[tuple[Story, Cell, bool]]:
    """Each cell, and whether its assets are there when it has been run."""
    for story in stories:
        for cell in story.cells:
            yield story, cell, bool(cell.values)


def source(stories: Sequence[Story]) -> list[str]:
    """The notebook: after each cell of a story one that materializes its assets."""
    cells = [SET_UP]
    for story, cell, is_made in checked(stories):
        look = f"look({', '.join(story.targets.split())})" if is_made else "print()"
        cells += [cell.source, look]
    return cells


def execute(cells: Sequence[str], folder: Path) -> list[str]:
    """Run the cells in one kernel; what each one printed, or raised."""
    blank: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": []}
    made = [blank | {"execution_count": None, "source": each} for each in cells]
    written = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": made}
    notebook = nbformat.reads(json.dumps(written), as_version=4)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True)
    client.execute(cwd=str(folder))
    return [
        "".join(output.get("text", output.get("evalue", "")) for output in cell["outputs"])
        for cell in notebook.cells
    ]


def complaints(story: Story, cell: Cell, printed: str) -> list[str]:
    """What is not as the cell says."""
    label = f"{story.name}: {cell.source.strip()!r}"
    try:
        (ran, values), (ran_again, values_again) = json.loads(printed)
    except ValueError:
        return [f"{label}: {printed}"]
    found = []
    if cell.runs != ANY and set(ran) != names(cell.runs):
        found.append(f"{label}: ran {ran}, not {sorted(names(cell.runs))}")
    if ran_again and not story.repeats:
        found.append(f"{label}: ran again {ran_again}")
    wanted = [repr(value) for value in cell.values]
    if values != wanted or values_again != wanted:
        found.append(f"{label}: values {values}, {values_again}, not {wanted}")
    return found


def test_the_same_code_is_the_same_in_a_cell_a_script_and_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_18: str
) -> None:
    """What a cell made is found by a script, and by a run of the file from elsewhere."""
    home = tmp_path / "home"
    settings = environment(home) | {"FLOWSTONE_DATABASE_URL": database_18}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    *_, printed = execute([SET_UP, PIPELINE, "look(price, total)"], tmp_path)
    assert json.loads(printed)[0] == [["price", "total"], ["12", "66"]]
    main = "\nif __name__ == '__main__':\n    print(materialize(total).statuses)\n"
    (tmp_path / "pipeline.py").write_text(PIPELINE + main)
    script = python("pipeline.py", home=home, cwd=tmp_path, FLOWSTONE_DATABASE_URL=database_18)
    assert script.stdout == "{'price': 'reused', 'total': 'reused'}\n", script.stderr
    run = ["-m", "flowstone", "run", f"{tmp_path.name}/pipeline.py", "--json"]
    module = python(*run, home=home, cwd=tmp_path.parent, FLOWSTONE_DATABASE_URL=database_18)
    ended = [json.loads(line) for line in module.stdout.splitlines()]
    assert {e["asset"]: e["ending"] for e in ended if e["event"] == "step_finished"} == {
        "price": "reused",
        "total": "reused",
    }


@pytest.mark.parametrize("stories", [IN_ORDER, OUT_OF_ORDER], ids=["in order", "out of order"])
def test_cells_that_redefine_run_what_they_reach(
    stories: Sequence[Story], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_18: str
) -> None:
    """What counts is what the kernel holds, whatever the cells above say by now."""
    settings = environment(tmp_path / "home") | {"FLOWSTONE_DATABASE_URL": database_18}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    printed = execute(source(stories), tmp_path)[2::2]
    found = []
    for (story, cell, is_made), text in zip(checked(stories), printed, strict=True):
        if is_made:
            found += complaints(story, cell, text)
    assert not found, "\n".join(found)
