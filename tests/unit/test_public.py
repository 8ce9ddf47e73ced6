"""The public names: one table, kept in three places, imported on first use."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import flowstone

SOURCE = Path(flowstone.__file__)
ROOT = SOURCE.parent.parent
HEAVY = {
    "anyio",
    "asyncio",
    "click",
    "numpy",
    "pandas",
    "psycopg",
    "psycopg_pool",
    "pydantic",
    "rich",
    "rustworkx",
    "structlog",
}


def printed(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def for_type_checkers() -> list[tuple[str, str, str | None]]:
    """Name, home and alias of each import that only type checkers see."""
    tree = ast.parse(SOURCE.read_text("utf-8"))
    guarded = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return [
        (alias.name, imported.module or "", alias.asname)
        for node in guarded
        for imported in node.body
        if isinstance(imported, ast.ImportFrom)
        for alias in imported.names
    ]


def test_the_names_of_the_contract_are_public() -> None:
    wanted = "Asset AssetGraph Context Flowstone From asset materialize materialize_async plan"
    assert set(wanted.split()) <= set(flowstone.__all__)


def test_names_are_listed_once_and_in_order() -> None:
    """Classes before functions, each by the alphabet: the order linters ask for."""
    assert flowstone.__all__ == sorted(set(flowstone.__all__))


def test_every_name_has_a_home_and_every_home_a_name() -> None:
    assert list(flowstone._HOMES) == flowstone.__all__


def test_type_checkers_see_the_same_names_from_the_same_homes() -> None:
    found = for_type_checkers()
    assert {name: home for name, home, _ in found} == flowstone._HOMES
    assert max(Counter(name for name, _, _ in found).values()) == 1


def test_type_checkers_take_each_for_re_exported() -> None:
    assert [name for name, _, _ in for_type_checkers()] == [
        alias for _, _, alias in for_type_checkers()
    ]


@pytest.mark.parametrize("name", flowstone.__all__)
def test_a_name_is_what_its_home_has(name: str) -> None:
    value = getattr(flowstone, name)
    assert value is getattr(import_module(flowstone._HOMES[name]), name)
    assert value.__doc__


def test_each_class_is_defined_at_its_home() -> None:
    for name, home in flowstone._HOMES.items():
        value = getattr(flowstone, name)
        if isinstance(value, type):
            assert value.__module__ == home


@pytest.mark.parametrize("then", ["", "; dir(flowstone)", "; hasattr(flowstone, 'nothing')"])
def test_the_package_alone_imports_nothing_heavy(then: str) -> None:
    code = f"import sys, flowstone{then}; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    assert printed(code) == ""


def test_declaring_assets_imports_neither_database_nor_logging() -> None:
    code = (
        "import sys; from flowstone import Asset, Context, From, asset\n"
        f"print(*sorted({HEAVY!r} & sys.modules.keys()))"
    )
    assert printed(code) == ""


def test_a_star_import_brings_all_public_names() -> None:
    code = "from flowstone import *; print(*sorted(n for n in dir() if not n.startswith('_')))"
    assert printed(code).split() == sorted(flowstone.__all__)


def test_dir_lists_all_names_before_their_first_use() -> None:
    code = "import flowstone; print(*dir(flowstone))"
    assert {*flowstone.__all__, "__version__"} <= set(printed(code).split())


def test_a_name_is_looked_up_once() -> None:
    code = "import flowstone; flowstone.asset; print('asset' in vars(flowstone))"
    assert printed(code) == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'flowstone' has no attribute 'assets'"):
        _ = flowstone.assets
    with pytest.raises(ImportError, match="cannot import name 'assets'"):
        exec("from flowstone import assets", {})  # noqa: S102 - a type checker would refuse it


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == flowstone.__version__
