"""A target names a module by one real name, and its assets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from flowstone.cli.targets import load
from flowstone.errors import EmptySelectionError, SelectionError, TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIPELINE = """
from flowstone import asset
NAME = __name__
@asset(tags=["daily"])
def {0}_a(): ...
@asset
def {0}_b({0}_a): ...
"""


@pytest.fixture(autouse=True)
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An import path and a table of modules that are restored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(file: Path, prefix: str = "x") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(PIPELINE.format(prefix))


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("alone_t.py", "alone_t"),
        ("alone_t", "alone_t"),
        ("sub/lower_t.py", "lower_t"),
        ("pkg_t/inner/mod.py", "pkg_t.inner.mod"),
        ("pkg_t.inner.mod", "pkg_t.inner.mod"),
        ("pkg_t/inner/__init__.py", "pkg_t.inner"),
        ("../here/alone_t.py", "alone_t"),
    ],
)
def test_a_file_and_a_module_are_imported_under_their_real_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, name: str
) -> None:
    here = tmp_path / "here"
    write(here / "alone_t.py")
    write(here / "sub" / "lower_t.py")
    write(here / "pkg_t" / "inner" / "mod.py")
    write(here / "pkg_t" / "inner" / "__init__.py", "y")
    write(here / "pkg_t" / "__init__.py", "z")
    monkeypatch.chdir(here)
    found = load(target)
    assert name == sys.modules[name].NAME
    assert found.label == target
    assert len(found.own) == 2


def test_a_file_loaded_twice_is_one_module(tmp_path: Path) -> None:
    write(tmp_path / "twice_t.py")
    first, second = load("twice_t.py"), load("twice_t")
    assert list(first.graph) == list(second.graph)


def test_without_a_selection_the_modules_own_assets_are_chosen(tmp_path: Path) -> None:
    write(tmp_path / "base_t.py")
    (tmp_path / "top_t.py").write_text(
        "from flowstone import asset\nfrom base_t import x_b\n@asset\ndef top(x_b): ..."
    )
    found = load("top_t.py")
    assert found.own == ("x_b", "top")
    assert found.choose([], []) == ["x_b", "top"]
    assert found.choose(["+top"], []) == ["x_a", "x_b", "top"]
    assert found.choose([], ["top"]) == ["x_b"]


def test_what_follows_the_colons_is_a_selection_united_with_the_others(tmp_path: Path) -> None:
    write(tmp_path / "colon_t.py")
    assert load("colon_t.py::x_b").choose([], []) == ["x_b"]
    assert load("colon_t::+x_b").choose([], []) == ["x_a", "x_b"]
    assert load("colon_t::tag:daily").choose(["x_b"], []) == ["x_a", "x_b"]
    with pytest.raises(SelectionError, match="did you mean 'x_a'"):
        load("colon_t::x_aa").choose([], [])
    for selections, exclude in ([["tag:no"], []], [[], ["*"]], [["x_a"], ["x_*"]]):
        with pytest.raises(EmptySelectionError):
            load("colon_t").choose(selections, exclude)


def test_a_file_outside_whose_assets_are_all_excluded_has_none_left(tmp_path: Path) -> None:
    write(tmp_path / "below_t.py")
    (tmp_path / "above_t.py").write_text(
        "from flowstone import asset\nimport below_t\n@asset(deps=[below_t.x_b])\ndef top(): ..."
    )
    with pytest.raises(EmptySelectionError, match="above_t without top has no asset left"):
        load("above_t").choose([], ["top"])


def test_a_module_that_fails_is_told_with_the_users_frames_only(tmp_path: Path) -> None:
    (tmp_path / "deep_t.py").write_text("def f():\n    raise KeyError('x')\n")
    (tmp_path / "fails_t.py").write_text("import deep_t\ndeep_t.f()\n")
    with pytest.raises(TargetError) as raised:
        load("fails_t.py")
    assert str(raised.value).splitlines() == [
        "fails_t.py can't be imported: KeyError: 'x'",
        f"  {tmp_path}/fails_t.py:2 in <module>",
        "    deep_t.f()",
        f"  {tmp_path}/deep_t.py:2 in f",
        "    raise KeyError('x')",
    ]


def test_a_module_missing_inside_the_target_is_not_the_target_missing(tmp_path: Path) -> None:
    (tmp_path / "needs_t.py").write_text("import nowhere_t\n")
    with pytest.raises(TargetError, match=r"needs_t can't be imported: ModuleNotFoundError"):
        load("needs_t")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("__main__", "__main__ is this program"),
        ("a b", "'a b' is no target"),
        ("x.notpy/", "no file 'x.notpy' in"),
        ("dotted.name.py", r"dotted\.name\.py can't be imported"),
        ("pkg_u.nowhere", "no module 'pkg_u.nowhere' in .*did you mean 'pkg_u.nowhen'"),
        ("sub/json.py", r"sub/json\.py is hidden by the module 'json'"),
    ],
)
def test_what_can_t_be_a_target_is_told_with_the_cure(
    tmp_path: Path, target: str, message: str
) -> None:
    for name in ("dotted.name.py", "pkg_u/nowhen.py", "sub/json.py"):
        write(tmp_path / name)
    (tmp_path / "pkg_u" / "__init__.py").touch()
    with pytest.raises(TargetError, match=message):
        load(target)
