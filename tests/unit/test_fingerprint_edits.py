"""Edits of small projects: those that are reached change the version, others don't."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.unit.code_cases import REACHED, UNTOUCHED, edited
from tests.unit.projects import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Project(tmp_path)
    yield made
    made.forget()


@pytest.mark.parametrize("name", REACHED)
def test_an_edit_of_what_is_reached_changes_the_version(name: str, project: Project) -> None:
    case = REACHED[name]
    before, after, back = project.versions(case.files, edited(case), case.files)
    assert None not in (before, after)
    assert before != after
    assert before == back


@pytest.mark.parametrize("name", UNTOUCHED)
def test_other_edits_change_nothing(name: str, project: Project) -> None:
    case = UNTOUCHED[name]
    before, after = project.versions(case.files, edited(case))
    assert before is not None
    assert before == after


GOLDEN = {
    "mutual recursion": "",
    "an augmented assignment": "",
    "singledispatch": "",
    "a pydantic validator": "",
    "an asset in a closure": "",
    "relative imports": "",
    "a registry in another module": "",
    "own decorator's argument": "",
    "an f-string": "",
    "a docstring that is read": "",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_versions_are_golden(name: str, project: Project) -> None:
    """The same on every supported Python."""
    project.write(REACHED[name].files)
    assert project.version() == GOLDEN[name]
