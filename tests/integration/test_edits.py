"""An edit runs what it reaches and nothing else, a revert nothing; values are as from scratch.

The rows are in the modules ``edits_of_*``, longer stories in ``edits_journeys``.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.integration import (
    edits_of_assets,
    edits_of_classes,
    edits_of_constants,
    edits_of_functions,
    edits_of_helpers,
    edits_of_wrappers,
)
from tests.integration.cli_support import Project
from tests.integration.edits import Edit, Moment, Worker, hold, names
from tests.integration.edits_journeys import JOURNEYS, Journey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.cli_support import Call
    from tests.integration.edits_worker import Mode, State

ROWS = [
    *edits_of_helpers.ROWS,
    *edits_of_constants.ROWS,
    *edits_of_functions.ROWS,
    *edits_of_wrappers.ROWS,
    *edits_of_classes.ROWS,
    *edits_of_assets.ROWS,
]
#: Rows that are held on the command line too, each run in a process of its own.
SAMPLE = [
    "a helper of another module, by attribute",
    "a helper through what a package exports",
    "a helper of a namespace package",
    "a constant of another module, in three ways",
    "implementations of singledispatch, in the same and in another module",
    "functions registered by a decorator, in the same and in another module",
    "defaults and validators of pydantic models",
    "the pinned version",
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A process that runs projects, for all rows."""
    started = Worker(tmp_path_factory.mktemp("worker") / "home")
    yield started
    started.close()


def test_every_row_has_a_name_of_its_own() -> None:
    told = [row.name for row in ROWS]
    assert len(set(told)) == len(told) >= 60
    assert set(SAMPLE) <= set(told)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_edit_runs_what_it_reaches(row: Edit, worker: Worker, tmp_path: Path) -> None:
    """Each row in one process that imports anew; a third of them in fresh processes too."""
    found = hold(row, worker, tmp_path)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.name)
def test_what_was_made_once_is_not_made_again(
    journey: Journey, worker: Worker, tmp_path: Path
) -> None:
    states = [edit.after() for edit in journey.edits()]
    modes: dict[Mode, list[State]] = {"fresh": states, "reload": states}
    told = worker.answer(
        {"folder": str(tmp_path), "target": "pipeline", "states": modes, "scratch": states}
    )
    found = []
    for mode, outcomes in told["states"].items():
        for n, (leg, outcome) in enumerate(zip(journey.legs, outcomes, strict=True)):
            label = f"{mode}, leg {n}"
            moment = Moment(
                label, names(leg.runs), told["scratch"][n]["values"], failed=names(leg.fails)
            )
            found += moment.complaints(outcome)
            skipped = {name for name, s in outcome["statuses"].items() if s == "skipped"}
            if skipped != names(leg.skips):
                found.append(f"{label}: skipped {sorted(skipped)}")
    assert not found, "\n".join(found)


def test_a_file_edited_after_its_import_gives_no_version_to_what_did_not_run(
    worker: Worker, tmp_path: Path
) -> None:
    """The first run is of the old code, whatever the file says by then."""
    row = next(row for row in ROWS if row.name == "a helper of another module, by attribute")
    before, after = row.before(), row.after()
    late: State = {**before, "late": after["files"]}
    for n, first in enumerate(([late], [before, late])):
        states: dict[Mode, list[State]] = {"reload": [*first, after, before]}
        told = worker.answer(
            {
                "folder": str(tmp_path / str(n)),
                "target": row.target,
                "states": states,
                "scratch": [before, after],
            }
        )
        old, new = (each["values"] for each in told["scratch"])
        outcomes = told["states"]["reload"]
        assert [each["values"] for each in outcomes] == [*[old] * len(first), new, old]
        assert outcomes[-2]["statuses"]["price"] == "materialized"


@pytest.mark.parametrize("name", SAMPLE)
def test_an_edit_runs_what_it_reaches_on_the_command_line(
    name: str, tmp_path: Path, database_18: str
) -> None:
    """Each run is a process with a hash seed of its own; the last one is of a copy elsewhere."""
    row = next(row for row in ROWS if row.name == name)
    project = Project(tmp_path / "here", {"FLOWSTONE_DATABASE_URL": database_18})
    first = _run(project, row, row.before(), 1)
    free = names(row.may)
    assert set(first.values()) == {"materialized"}
    edited = _run(project, row, row.after(), 2)
    assert _materialized(edited) - free == names(row.runs)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    project = Project(tmp_path / "there", project.settings)
    reverted = _run(project, row, row.before(), 3)
    assert _materialized(reverted) - free == set()


def _run(project: Project, row: Edit, state: State, seed: int) -> dict[str, str]:
    """How each asset ended in a run of the project as it is in ``state``."""
    for name, text in state["files"].items():
        project.write(name, text)
    target = row.target.replace(".", "/") + ".py"
    call: Call = project.flowstone("run", target, "--json", PYTHONHASHSEED=str(seed))
    assert call.code == 0, call.err
    ended = [event for event in call.events if event["event"] == "step_finished"]
    return {event["asset"]: event["ending"] for event in ended}


def _materialized(endings: dict[str, str]) -> set[str]:
    return {name for name, ending in endings.items() if ending == "materialized"}
