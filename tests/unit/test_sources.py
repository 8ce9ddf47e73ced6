"""Code versions of real files, scripts, cells and closures."""

from __future__ import annotations

import functools
import linecache
import os
import shutil
import subprocess
import sys
import textwrap
import time
import types
from importlib import import_module, reload
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowstone import Asset, asset
from flowstone.sources import codes, is_project
from tests.unit.projects import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

PIPELINE = """
    from flowstone import asset
    import helper

    @asset
    def made() -> int:
        return helper.number()
"""
HELPER = """
    def number() -> int:
        return 1
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(folder))
    made = Project(folder)
    yield made
    made.forget()


def changes(project: Project, files: dict[str, str], edit: dict[str, str]) -> bool:
    """Whether an edit changes the version of ``pipeline.made``; both versions are known."""
    project.write(files)
    before = project.version()
    project.write(edit)
    after = project.version()
    assert before is not None
    assert after is not None
    return before != after


CHANGED = "def number() -> int:\n    return 2\n"

REACHED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "own function": (
        {"pipeline.py": PIPELINE, "helper.py": HELPER},
        {"pipeline.py": PIPELINE.replace("helper.number()", "helper.number() + 1")},
    ),
    "direct import": ({"pipeline.py": PIPELINE, "helper.py": HELPER}, {"helper.py": CHANGED}),
    "transitive import": (
        {"pipeline.py": PIPELINE, "helper.py": "from deeper import number\n", "deeper.py": HELPER},
        {"deeper.py": CHANGED},
    ),
    "function-local import": (
        {
            "pipeline.py": """
                from flowstone import asset
                @asset
                def made() -> int:
                    from helper import number
                    return number()
            """,
            "helper.py": HELPER,
        },
        {"helper.py": CHANGED},
    ),
    "import by a name written out": (
        {
            "pipeline.py": """
                import importlib
                from flowstone import asset
                @asset
                def made() -> int:
                    return importlib.import_module("helper").number()
            """,
            "helper.py": HELPER,
        },
        {"helper.py": CHANGED},
    ),
    "constant": (
        {"pipeline.py": PIPELINE, "helper.py": "RATE = 1\ndef number(): return RATE\n"},
        {"helper.py": "RATE = 2\ndef number(): return RATE\n"},
    ),
    "syntax the parser refuses": (
        {
            "pipeline.py": PIPELINE,
            "helper.py": "def number():\n    import broken\n    return broken.number()\n",
            "broken.py": "def (",
        },
        {"broken.py": "def )"},
    ),
    "file of an extension": (
        {
            "pipeline.py": PIPELINE,
            "helper.py": "def number():\n    import fast\n    return fast.number()\n",
            "fast.abi3.so": "one",
        },
        {"fast.abi3.so": "two"},
    ),
}

IN_PACKAGE = {
    "shop/__init__.py": "",
    "shop/pipeline.py": "from .helper import number\nfrom flowstone import asset\n"
    "@asset\ndef made() -> int:\n    return number()\n",
    "shop/helper.py": HELPER,
    "pipeline.py": "from shop.pipeline import made\n",
}
REACHED |= {
    "relative import": (IN_PACKAGE, {"shop/helper.py": CHANGED}),
    "relative import of a module": (
        IN_PACKAGE
        | {
            "shop/pipeline.py": IN_PACKAGE["shop/pipeline.py"]
            .replace("from .helper import number", "from . import helper")
            .replace("number()", "helper.number()")
        },
        {"shop/helper.py": CHANGED},
    ),
    "import of the parent package": (
        {
            "pipeline.py": "from shop.part.steps import made\n",
            "shop/__init__.py": "",
            "shop/part/__init__.py": "",
            "shop/rates.py": HELPER,
            "shop/part/steps.py": "from ..rates import number\nfrom flowstone import asset\n"
            "@asset\ndef made() -> int:\n    return number()\n",
        },
        {"shop/rates.py": CHANGED},
    ),
    "namespace package": (
        {
            "pipeline.py": PIPELINE.replace("import helper", "import space.helper as helper"),
            "space/helper.py": HELPER,
        },
        {"space/helper.py": CHANGED},
    ),
    "nested namespace package": (
        {
            "pipeline.py": PIPELINE.replace("import helper", "from space.inner import helper"),
            "space/inner/helper.py": HELPER,
        },
        {"space/inner/helper.py": CHANGED},
    ),
    "star import from a module": (
        {
            "pipeline.py": PIPELINE.replace("import helper", "from helper import *").replace(
                "helper.number()", "number()"
            ),
            "helper.py": HELPER,
        },
        {"helper.py": CHANGED},
    ),
    "star import from a package with __all__": (
        {
            "pipeline.py": PIPELINE.replace("import helper", "from lib import *"),
            "lib/__init__.py": "__all__ = ['helper']\n",
            "lib/helper.py": HELPER,
        },
        {"lib/helper.py": CHANGED},
    ),
    "module that somebody else imported": (
        {
            "pipeline.py": PIPELINE.replace("import helper", "import lib").replace(
                "helper.number()", "lib.helper.number()"
            ),
            "lib/__init__.py": "",
            "lib/helper.py": HELPER,
        },
        {"lib/helper.py": CHANGED},
    ),
    "two helpers that change places": (
        {
            "pipeline.py": PIPELINE.replace("import helper", "import helper, other"),
            "helper.py": HELPER,
            "other.py": CHANGED,
        },
        {"helper.py": CHANGED, "other.py": HELPER},
    ),
}


@pytest.mark.parametrize("case", REACHED)
def test_an_edit_of_what_is_reached_changes_the_version(case: str, project: Project) -> None:
    assert changes(project, *REACHED[case])


LAYOUT = {
    "comment": HELPER.replace("return 1", "return 1  # one"),
    "docstring": HELPER.replace("return 1", '"""The number."""\n        return 1'),
    "module docstring": '"""Numbers."""\n' + textwrap.dedent(HELPER),
    "layout": "\n\n\ndef number(\n) -> int:\n        return (1)\n",
}


@pytest.mark.parametrize("case", LAYOUT)
def test_comments_docstrings_and_layout_don_t_count(case: str, project: Project) -> None:
    assert not changes(
        project, {"pipeline.py": PIPELINE, "helper.py": HELPER}, {"helper.py": LAYOUT[case]}
    )


def test_docstrings_count_where_code_reads_them(project: Project) -> None:
    reading = HELPER.replace("return 1", "return len(number.__doc__ or '')")
    assert changes(
        project,
        {"pipeline.py": PIPELINE, "helper.py": reading},
        {"helper.py": reading.replace("return", '"""One."""\n        return')},
    )


def test_files_that_are_not_reached_don_t_count(project: Project) -> None:
    files = {"pipeline.py": PIPELINE, "helper.py": HELPER, "other.py": "X = 1\n"}
    assert not changes(project, files, {"other.py": "X = 2\n", "helper_too.py": "Y = 1\n"})


@pytest.mark.parametrize(
    "line",
    [
        "importlib.import_module('help' + 'er')",
        "__import__(str(1))",
        "exec(open('x').read())",
        "eval(input())",
        "runpy.run_path('x')",
        "run = exec",
    ],
)
def test_code_that_imports_or_executes_dynamically_is_unknown(line: str, project: Project) -> None:
    body = f"import importlib, runpy\ndef number() -> int:\n    {line}\n    return 1\n"
    project.write({"pipeline.py": PIPELINE, "helper.py": body})
    assert project.version() is None


@pytest.mark.parametrize("line", ["frame.eval('a + b')", "model.eval()", "eval('1 + 1')"])
def test_evaluation_that_is_written_out_is_known(line: str, project: Project) -> None:
    body = f"def number(frame=None, model=None) -> int:\n    {line}\n    return 1\n"
    project.write({"pipeline.py": PIPELINE, "helper.py": body})
    assert project.version() is not None


def test_an_installed_pipeline_counts_with_its_package(project: Project) -> None:
    """Not edited by hand, but upgraded."""
    installed = project.folder / "site-packages"
    sys.path.insert(0, str(installed))  # syspath_prepend restores the whole path
    files = {f"site-packages/{name}": text for name, text in IN_PACKAGE.items()}
    assert changes(project, files, {"site-packages/shop/helper.py": CHANGED})


def test_the_standard_library_and_installed_packages_are_not_the_project() -> None:
    assert not is_project(Path(textwrap.__file__))
    assert not is_project(Path(pytest.__file__))
    assert not is_project(Path(str(sys.modules["flowstone.sources"].__file__)))
    assert is_project(Path(__file__))


def test_of_a_loaded_module_counts_what_was_loaded(project: Project) -> None:
    """An edit without a reload changes the file, not what runs."""
    project.write({"pipeline.py": PIPELINE, "helper.py": HELPER})
    before = project.version()
    made = sys.modules["pipeline"].made
    project.write({"helper.py": CHANGED})
    assert codes([made])["made"].version == before
    reload(sys.modules["helper"])
    assert codes([made])["made"].version not in (before, None)


@pytest.mark.parametrize("keeps_bytecode", [True, False])
def test_a_module_edited_before_the_first_look_is_unknown(
    keeps_bytecode: bool, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", not keeps_bytecode)
    project.write({"pipeline.py": PIPELINE, "helper.py": HELPER})
    made = import_module("pipeline").made
    project.write({"helper.py": CHANGED})
    later = time.time() + 1
    os.utime(project.folder / "helper.py", (later, later))
    code = codes([made])["made"]
    assert code.version is None
    assert [remark.text for remark in code.remarks] == [
        "helper was edited after it was imported; start again"
    ]


def test_a_file_that_is_not_loaded_counts_as_it_is(project: Project) -> None:
    local = PIPELINE.replace("import helper", "").replace("return", "import helper; return")
    project.write({"pipeline.py": local, "helper.py": HELPER})
    made = import_module("pipeline").made
    before = codes([made])["made"].version
    project.write({"helper.py": CHANGED + "# another size\n"})
    assert codes([made])["made"].version not in (before, None)


def test_a_module_that_appears_later_counts(project: Project) -> None:
    local = PIPELINE.replace("import helper", "import lib").replace("helper.number", "lib.a.number")
    project.write({"pipeline.py": local, "lib/__init__.py": ""})
    made = import_module("pipeline").made
    before = codes([made])["made"].version
    project.write({"lib/a.py": HELPER})
    assert codes([made])["made"].version != before


def test_a_constant_set_from_outside_counts_by_its_value(project: Project) -> None:
    project.write({"pipeline.py": PIPELINE, "helper.py": "K = 1\ndef number(): return K\n"})
    made = import_module("pipeline").made
    before = codes([made])["made"]
    sys.modules["helper"].__dict__["K"] = 2
    after = codes([made])["made"]
    sys.modules["helper"].__dict__["K"] = 1
    assert after.version != before.version == codes([made])["made"].version
    (remark,) = after.remarks
    assert remark.level == "assumed"
    assert "helper.K is not what its module sets it to" in str(remark)


def test_a_function_put_in_the_place_of_another_counts(project: Project) -> None:
    project.write({"pipeline.py": PIPELINE, "helper.py": HELPER + "    def other(): return 2\n"})
    made = import_module("pipeline").made
    before = codes([made])["made"]
    helper = sys.modules["helper"]
    helper.__dict__["number"] = helper.other
    after = codes([made])["made"]
    assert before.version != after.version
    assert "helper.other" in [each.name for each in after.definitions]
    assert [remark.level for remark in after.remarks] == ["assumed"]


# Running scripts, modules and cells


SCRIPT = """
    import sys
    from flowstone.sources import codes
    if __name__ == "__main__":
        print(codes([made])["made"].version)
"""


def run(folder: Path, *arguments: str, seed: str = "0") -> str:
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_script_import_place_and_hash_seed_make_no_difference(
    project: Project, tmp_path: Path
) -> None:
    closure = """
        from typing import NamedTuple
        class Pair(NamedTuple):
            a: int
        def around(pair, names):
            @asset
            def made() -> int:
                return helper.number() + pair.a + len(names)
            return made
        made = around(Pair(1), {"x", "y", "z"})
    """
    text = textwrap.dedent(PIPELINE) + textwrap.dedent(closure) + textwrap.dedent(SCRIPT)
    project.write({"pipeline.py": text, "helper.py": HELPER})
    elsewhere = tmp_path / "another" / "place"
    shutil.copytree(project.folder, elsewhere)
    imported = "import pipeline; print(pipeline.codes([pipeline.made])['made'].version)"
    versions = {
        run(project.folder, "pipeline.py"),
        run(project.folder, "pipeline.py", seed="1"),
        run(project.folder, "-c", imported, seed="2"),
        run(elsewhere, "pipeline.py", seed="3"),
    }
    assert len(versions) == 1
    assert len(versions.pop()) == 40


# Functions without a file


def cell(text: str, names: dict[str, Any] | None = None, number: list[int] = [0]) -> dict[str, Any]:  # noqa: B006 - counts the cells
    """What a notebook cell leaves behind: names, and its source where tracebacks look for it."""
    number[0] += 1
    file = f"<cell {number[0]}>"
    source = textwrap.dedent(text)
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {"__name__": "__main__", "asset": asset} if names is None else names
    exec(compile(source, file, "exec"), names)  # noqa: S102 - what notebooks do
    return names


def of_cell(text: str, names: dict[str, Any] | None = None) -> str | None:
    return codes([cell(text, names)["made"]])["made"].version


CELL = """
    import dataclasses, functools, typing
    RATE = 2
    TABLE = {"a": len, "b": lambda x: x}
    def helper(x, by=RATE):
        return x * by
    def doubled(fn):
        @functools.wraps(fn)
        def around(*args, **kwargs):
            return fn(*args, **kwargs) * 2
        return around
    @dataclasses.dataclass
    class Row:
        a: int = 1
        def total(self):
            return self.a + 1
        @property
        def half(self):
            return self.a / 2
    class Pair(typing.NamedTuple):
        a: int
        b: int = 5
    ROW = Row(3)
    part = functools.partial(helper, by=7)
    @functools.cache
    def cached():
        return 11
    def inner():
        return 13
    def outer():
        return inner()
    @asset
    @doubled
    def made() -> int:
        # a comment
        "Make it."
        row = Row()
        more = part(2) + cached() + outer() + Pair(1).b
        return helper(RATE) + ROW.half + row.a + more + TABLE["b"](1)
"""

EDITS = {
    "own body": ("helper(RATE)", "helper(RATE) + 0"),
    "constant": ("RATE = 2", "RATE = 3"),
    "helper": ("return x * by", "return x ** by"),
    "wrapper": ("**kwargs) * 2", "**kwargs) * 3"),
    "method": ("self.a + 1", "self.a + 2"),
    "property": ("self.a / 2", "self.a / 3"),
    "field's default": ("a: int = 1", "a: int = 2"),
    "tuple's default": ("b: int = 5", "b: int = 6"),
    "bound argument": ("by=7", "by=8"),
    "what is wrapped": ("return 11", "return 12"),
    "helper of a helper": ("return 13", "return 14"),
    "function in a table": ("lambda x: x}", "lambda x: -x}"),
    "value of an instance": ("ROW = Row(3)", "ROW = Row(4)"),
    "builtin in a table": ('"a": len', '"a": abs'),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edit_of_a_cell_changes_the_version(case: str) -> None:
    old, new = EDITS[case]
    assert old in CELL
    before, after = of_cell(CELL), of_cell(CELL.replace(old, new))
    assert before is not None
    assert after is not None
    assert before != after


def test_comments_and_docstrings_of_a_cell_don_t_count() -> None:
    plain = CELL.replace("# a comment", "").replace('"Make it."', "").replace("x * by", "x  *  by")
    assert of_cell(CELL) == of_cell(plain)


def test_other_functions_of_a_cell_don_t_count() -> None:
    assert of_cell(CELL) == of_cell(CELL + "    def unused():\n        return 1\n")


def test_what_a_name_means_counts() -> None:
    text = """
        from {0} import loads
        @asset
        def made():
            return loads("1")
    """
    assert of_cell(text.format("json")) != of_cell(text.format("pickle"))


def test_the_same_function_by_another_name_counts() -> None:
    text = """
        def f(): return 1
        def g(): return 2
        a, b, c = f, g, {}
        @asset
        def made(): return a() + b() + c()
    """
    assert of_cell(text.format("f")) != of_cell(text.format("g"))


def test_a_default_evaluated_elsewhere_counts() -> None:
    def version(n: int) -> str | None:
        return of_cell(
            f"""
            def make(n):
                def helper(x, k=n, *, j=n):
                    return x * k * j
                @asset
                def made(): return helper(1)
                return made
            made = make({n})
            """
        )

    assert version(1) == version(1) != version(2)


def test_project_modules_count_in_cells(project: Project) -> None:
    def version(text: str) -> str | None:
        project.forget()
        return of_cell(text)

    project.write({"lib/__init__.py": "", "lib/helper.py": HELPER})
    body = "\n        @asset\n        def made():\n            {1}return {0}.number()\n"
    forms = [
        "\n        import lib.helper" + body.format("lib.helper", ""),
        "\n        from lib import helper" + body.format("helper", ""),
        "\n        from lib.helper import number" + body.format("number.__self__", ""),
        body.format("helper", "from lib import helper; "),
    ]
    before = [version(form) for form in forms]
    project.write({"lib/helper.py": CHANGED})
    after = [version(form) for form in forms]
    assert None not in before
    assert not set(before) & set(after)


@pytest.mark.parametrize(
    "text",
    [
        "@asset\ndef made(): return eval(str(1))\n",
        "import importlib\n@asset\ndef made(): return importlib.import_module(input())\n",
        "globals()['th' + 'ing'] = object()\n@asset\ndef made(): return thing\n",
    ],
)
def test_what_can_t_be_followed_in_a_cell_is_unknown(text: str) -> None:
    assert of_cell(text) is None


def test_code_without_source_is_unknown() -> None:
    names: dict[str, Any] = {"asset": asset}
    exec("@asset\ndef made(): return 1\n", names)  # noqa: S102 - what a shell does
    assert codes([names["made"]])["made"].version is None


# Kinds of functions, and what they close over


FACTORY = """
    import functools
    def closing_over(value):
        @asset
        def made():
            return value
        return made
    class Scaled:
        def __call__(self):
            return 1
    def late():
        @asset
        def made():
            return later()
        yield made
        def later():
            return 1
        yield made
    def decorated(by):
        def wrap(fn):
            @functools.wraps(fn)
            def around():
                return fn() * by
            return around
        return wrap
    def multiplied(by):
        @asset
        @decorated(by)
        def made():
            return 1
        return made
"""


@functools.cache
def factory() -> dict[str, Any]:
    return cell(FACTORY)


def closing_over(value: Any) -> str | None:
    return codes([factory()["closing_over"](value)])["made"].version


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, True),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        (len, abs),
        ([1].append, [2].append),
        (str.upper, str.lower),
        (int, float),
        (list[int], list[str]),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (functools.partial(dict, a=1, b=2), functools.partial(dict, b=1, a=2)),
        ((len, abs), (abs, len)),
    ],
)
def test_closure_values_count(one: object, other: object) -> None:
    assert closing_over(one) is not None
    assert closing_over(one) == closing_over(one)
    assert closing_over(one) != closing_over(other)


def test_a_secret_bound_by_partial_is_not_hashed() -> None:
    def version(password: str) -> str | None:
        return closing_over(functools.partial(dict, password=password))

    assert version("one") == version("two")


def test_an_object_without_canonical_form_is_assumed() -> None:
    namespace = types.SimpleNamespace(a=1)
    for value in (factory()["Scaled"](), namespace):
        (code,) = codes([factory()["closing_over"](value)]).values()
        assert code.version is not None
        (remark,) = code.remarks
        assert remark.level == "assumed"
        assert "value in the closure of closing_over.<locals>.made" in remark.text


def test_an_object_that_is_called_counts_by_its_class() -> None:
    (code,) = codes([asset(name="made")(factory()["Scaled"]())]).values()
    assert [each.name for each in code.definitions] == ["notebook.Scaled"]


def test_objects_that_fail_when_asked_for_an_attribute_do_no_harm(project: Project) -> None:
    """Lazy packages and proxies answer with any error, and not only with AttributeError."""
    lazy = """
        PLACES = {"number": "lazy.inner"}
        def __getattr__(name):
            return PLACES[name]
    """
    pipeline = """
        import lazy
        from flowstone import asset

        class Proxy:
            def __getattr__(self, name):
                raise RuntimeError("nobody is at home")
            def __call__(self):
                return 1

        proxy = Proxy()
        proxies = [proxy]

        @asset
        def made() -> int:
            return proxy() + len(proxies) + bool(lazy)
    """
    project.write({"lazy.py": lazy, "pipeline.py": pipeline})
    made = import_module("pipeline").made
    assert codes([made])["made"].version is not None


def test_a_ring_has_a_version() -> None:
    ring: list[Any] = [len]
    ring.append(ring)
    assert closing_over(ring) == closing_over(ring) is not None


def test_an_empty_cell_counts_as_such() -> None:
    early, late = (codes([made])["made"].version for made in factory()["late"]())
    assert early is not None
    assert early != late


def test_a_decorator_s_arguments_count() -> None:
    def version(by: int) -> str | None:
        return codes([factory()["multiplied"](by)])["made"].version

    assert version(1) == version(1) != version(2)


def test_a_pinned_version_is_all_there_is() -> None:
    def version(pin: str, value: object) -> str | None:
        @asset(code_version=pin)
        def made() -> object:
            return value

        return codes([made])["made"].version

    assert version("1", object()) == version("1", 2) != version("2", 2)


def test_an_asset_without_function_has_a_version() -> None:
    assert codes([Asset(name="a")])["a"].version is not None
