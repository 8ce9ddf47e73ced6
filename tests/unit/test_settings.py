"""Keyword, then environment, then pyproject.toml, then the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowstone.errors import SettingsError
from flowstone.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, the working folder being two levels below it."""
    root = tmp_path / "project"
    (root / "a" / "b").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.flowstone]\nschema = 'from_file'\n")
    monkeypatch.delenv("FLOWSTONE_HOME")
    monkeypatch.chdir(root / "a" / "b")
    return root


def test_the_home_is_in_the_nearest_project(project: Path) -> None:
    settings = Settings.load()
    assert settings.home == (project / ".flowstone").resolve()
    assert settings.values == settings.home / "values"
    assert settings.database_url is None
    assert settings.auto_migrate


def test_without_a_project_the_home_is_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOWSTONE_HOME")
    monkeypatch.chdir(tmp_path)
    nothing_above = not any(
        (folder / mark).exists()
        for folder in tmp_path.parents
        for mark in (".flowstone", "pyproject.toml", ".git")
    )
    assert Settings.load().home == (tmp_path / ".flowstone").resolve() or not nothing_above


@pytest.mark.usefixtures("project")
def test_each_source_overrules_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().schema_name == "from_file"
    monkeypatch.setenv("FLOWSTONE_SCHEMA", "from_environment")
    assert Settings.load().schema_name == "from_environment"
    assert Settings.load(schema="from_keyword").schema_name == "from_keyword"
    assert Settings.load(schema=None).schema_name == "from_environment"


def test_relative_folders_are_the_projects(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWSTONE_VALUES", "kept")
    assert Settings.load(home="here").home == (project / "here").resolve()
    assert Settings.load().values == (project / "kept").resolve()


@pytest.mark.usefixtures("project")
def test_a_connection_string_is_passed_on_as_it_is() -> None:
    assert Settings.load(database_url="service=shop").database_url == "service=shop"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("text", "value"), [("0", False), ("1", True), ("false", False)])
def test_switches_read_as_words_and_digits(
    monkeypatch: pytest.MonkeyPatch, text: str, value: bool
) -> None:
    monkeypatch.setenv("FLOWSTONE_AUTO_MIGRATE", text)
    assert Settings.load().auto_migrate is value


def test_an_unknown_setting_names_its_source_and_the_nearest(project: Path) -> None:
    with pytest.raises(SettingsError, match=r"'databse_url' in a keyword; did you mean"):
        Settings.load(databse_url="x")
    (project / "pyproject.toml").write_text("[tool.flowstone]\nshema = 'x'\n")
    with pytest.raises(SettingsError, match=r"'shema' in pyproject.toml.*did you mean 'schema'"):
        Settings.load()


@pytest.mark.usefixtures("project")
def test_an_invalid_value_names_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWSTONE_LOG", "loud")
    with pytest.raises(SettingsError, match=r"FLOWSTONE_LOG.*'human' or 'json'"):
        Settings.load()


@pytest.mark.parametrize("name", ["home", "values", "io", "schema", "pickle"])
def test_an_invalid_value_in_a_file_names_the_setting(project: Path, name: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.flowstone]\n{name} = [3]\n")
    with pytest.raises(SettingsError, match=rf"^invalid setting {name} in pyproject\.toml"):
        Settings.load()


def test_an_unreadable_project_file_is_named(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.flowstone\n")
    with pytest.raises(SettingsError, match=r"pyproject\.toml"):
        Settings.load()


def test_the_number_of_threads_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().max_concurrency is None
    monkeypatch.setenv("FLOWSTONE_MAX_CONCURRENCY", "3")
    assert Settings.load().max_concurrency == 3
    monkeypatch.setenv("FLOWSTONE_MAX_CONCURRENCY", "0")
    with pytest.raises(SettingsError, match="FLOWSTONE_MAX_CONCURRENCY"):
        Settings.load()


def test_settings_can_be_looked_up() -> None:
    with_pools = Settings.load(pools="gpu=1")
    assert {with_pools: "open"}[Settings.load(pools={"gpu": 1})] == "open"
    assert with_pools != Settings.load()
