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
    "mutual recursion": "125eee49032d32f62d0bdbb43ca8dca7634bb4a1",
    "an augmented assignment": "6e9fd49c98990be8c7e6a77fdb91075aef3dd600",
    "singledispatch": "ea03be3d151cd189e6e772e8c42c93e2ab5dcc4e",
    "a pydantic validator": "c79b64b670b054a3cfa9e3acd33053415ed2e250",
    "an asset in a closure": "f3a651dd2af311bbe0960636805af2f2ed451b8b",
    "relative imports": "4a486483a705f8541377c9c56136ac82deb166c0",
    "a registry in another module": "a097d552adcad1010eb1736327812ce975cc227f",
    "own decorator's argument": "4500221325e86359b33efda927165a35d0cdf060",
    "an f-string": "8fcb76c63f9d6904dae06aa7e83604a50908daa4",
    "a docstring that is read": "998970cd6e8da3e5df58dae3ffbf36eb87b40ff7",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_versions_are_golden(name: str, project: Project) -> None:
    """The same on every supported Python."""
    project.write(REACHED[name].files)
    assert project.version() == GOLDEN[name]
