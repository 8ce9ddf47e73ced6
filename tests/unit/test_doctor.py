"""The checks of ``doctor``: each says what is wrong and how to mend it, and none ends the rest."""

from __future__ import annotations

import collections
import shutil
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from flowstone import doctor
from flowstone.doctor import Check, examine
from flowstone.errors import EmbeddedServerError, SettingsError
from flowstone.settings import VARIABLES, Settings

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "postgresql://u:hunter2@127.0.0.1:1/d"


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No check of these tests reaches a server."""
    monkeypatch.setenv("FLOWSTONE_DATABASE_URL", NOWHERE)
    monkeypatch.chdir(tmp_path)


def examined() -> dict[str, Check]:
    return {check.name: check for check in examine()}


def test_what_is_sound_is_told_as_ok_with_where_settings_come_from(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.flowstone]\nlog = 'json'\n")
    found = examined()
    sound = ("python", "packages", "libraries", "home", "values")
    assert {found[name].state for name in sound} == {"ok"}
    assert found["setting log"].text == "json (pyproject.toml [tool.flowstone])"
    assert found["setting home"].text == f"{tmp_path / 'home'} (FLOWSTONE_HOME)"
    assert found["setting pickle"].text == "True (default)"
    assert found["setting schema"].text == "the search path's first (default)"
    assert found["setting io"].text == "the value store (default)"
    assert {f"setting {name}" for name in VARIABLES} <= set(found)


def test_looking_makes_no_folder_and_leaves_no_file(tmp_path: Path) -> None:
    examined()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "name", "phrase"),
    [
        ("DATABASE_URL", "hunter2hunter2", "database", "not a connection string"),
        ("DATABASE_URL", NOWHERE, "database", "refused"),
        ("HOME", "/proc/nothing", "home", "can't write in /proc"),
        ("VALUES", "file", "values", "file: can't write"),
        ("LOG", "loud", "settings", "FLOWSTONE_LOG"),
        ("AUTO_MIGRATE", "perhaps", "settings", "FLOWSTONE_AUTO_MIGRATE"),
    ],
)
def test_what_is_broken_is_told_with_a_cure_and_the_rest_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    value: str,
    name: str,
    phrase: str,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(f"FLOWSTONE_{variable}", value)
    found = examined()
    assert found["python"].state == "ok"
    assert found[name].state == "problem"
    assert phrase in found[name].text
    assert found[name].cure
    assert "hunter2" not in repr(found)


def test_a_disk_that_is_almost_full_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = collections.namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil's own
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    found = examined()
    assert found["home"].state == "problem"
    assert found["home"].cure.startswith("make room")


def test_a_missing_package_is_a_problem_and_a_missing_library_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    found = examined()
    assert found["packages"].state == "problem"
    assert "psycopg missing" in found["packages"].text
    assert found["libraries"].state == "ok"


def test_no_server_and_an_unreadable_home_are_told_and_the_leftovers_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_programs(home: Path) -> None:
        raise EmbeddedServerError(f"no PostgreSQL found for {home}; pip install it")

    def unreadable(home: Path) -> None:
        raise PermissionError(13, "Permission denied", str(home))

    monkeypatch.delenv("FLOWSTONE_DATABASE_URL")
    monkeypatch.setattr(doctor, "EmbeddedServer", no_programs)
    monkeypatch.setattr("flowstone.store.embedded.leftovers.find", unreadable)
    found = examined()
    assert (found["server"].state, found["server"].cure) == ("problem", "pip install it")
    assert found["leftovers"].state == "problem"
    assert "Permission denied" in found["leftovers"].text


def test_sources_name_a_setting_that_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.flowstone]\nlogg = 'json'\n")
    with pytest.raises(SettingsError, match="did you mean 'log'"):
        Settings.sources()
    assert examined()["settings"].state == "problem"
