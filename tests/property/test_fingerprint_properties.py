"""Random projects, random edits: the version changes exactly when the result can.

Each definition contributes its own mark to what it returns, so running a project is an oracle: an
edit of a mark is reached if, and only if, the asset's result changes.
"""

from __future__ import annotations

import ast
import glob
import importlib
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.core.fingerprint.module import summarise
from flowstone.sources import codes

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How a definition is written: ``{n}`` its number, ``{mark}`` its mark, ``{refs}`` what it adds.
KINDS = {
    "constant": "d{n} = {{'{mark}'}}{refs}\n",
    "function": "def d{n}():\n    return {{'{mark}'}}{refs}\n",
    "lambda": "d{n} = lambda: {{'{mark}'}}{refs}\n",
    "class": (
        "class d{n}:\n    k = {{'{mark}'}}\n    @classmethod\n    def get(cls):\n"
        "        return cls.k{refs}\n"
    ),
    "subclass": (
        "class b{n}:\n    def get(self):\n        return {{'{mark}'}}{refs}\n"
        "class d{n}(b{n}): pass\n"
    ),
    "default": "def d{n}(k={{'{mark}'}}{refs}):\n    return k\n",
    "updated": "d{n} = set()\nd{n}.update({{'{mark}'}}{refs})\n",
    "augmented": "d{n} = set()\nd{n} |= {{'{mark}'}}{refs}\n",
    "branched": "if 1:\n    d{n} = {{'{mark}'}}{refs}\nelse:\n    d{n} = set()\n",
    "table": "d{n} = {{}}\nd{n}['x'] = lambda: {{'{mark}'}}{refs}\n",
    "decorated": (
        "def w{n}(fn):\n    return lambda: fn() | {{'{mark}'}}\n"
        "@w{n}\ndef d{n}():\n    return set(){refs}\n"
    ),
    "registered": (
        "r{n} = []\ndef a{n}(fn):\n    r{n}.append(fn)\n    return fn\n"
        "@a{n}\ndef f{n}():\n    return {{'{mark}'}}{refs}\n"
        "def d{n}():\n    return set().union(*(fn() for fn in r{n}))\n"
    ),
    "replaced": "d{n} = {{'{mark}'}}{refs}\ne{n} = frozenset(d{n})\nd{n} = e{n} | set()\n",
    "closure": (
        "def z{n}():\n    inner = {{'{mark}'}}\n    def get():\n        return inner{refs}\n"
        "    return get\nd{n} = z{n}()\n"
    ),
}
CALLED = {"function", "lambda", "default", "decorated", "registered", "closure"}
STYLES = ["import", "as", "from", "from as", "star", "package", "by name"]


class Definition(NamedTuple):
    module: int
    kind: str
    refs: list[tuple[int, str]]


def value_of(name: str, kind: str) -> str:
    """The expression that gives a definition's marks."""
    if kind in CALLED:
        return f"{name}()"
    if kind in {"class", "subclass"}:
        return f"{name}().get()" if kind == "subclass" else f"{name}.get()"
    return f"{name}['x']()" if kind == "table" else name


@st.composite
def projects(draw: st.DrawFn) -> list[Definition]:
    """Definitions in modules; each refers to earlier ones only, so that everything can run."""
    found: list[Definition] = []
    module = 0
    for number in range(draw(st.integers(2, 7))):
        module += draw(st.integers(0, 1))
        kind = draw(st.sampled_from(sorted(KINDS)))
        near = st.tuples(st.integers(0, max(0, number - 1)), st.sampled_from(STYLES))
        refs = draw(st.lists(near, max_size=2)) if number else []
        found.append(Definition(module, kind, refs))
    return found


def written(project: list[Definition], marks: list[str], package: str) -> dict[str, str]:
    """The files of a project; the last definition is what the asset returns."""
    last = project[-1].module + 1
    names = [f"m{number}" for number in range(last)]
    files = {f"{package}/__init__.py": "".join(f"from . import {name}\n" for name in names)}
    texts = [""] * last
    for number, each in enumerate(project):
        refs = ""
        for target, style in each.refs:
            found = project[target]
            if found.module == each.module:
                refs += f" | {value_of(f'd{target}', found.kind)}"
                continue
            before, expression = reference(package, found.module, f"d{target}", style)
            texts[each.module] += before
            refs += f" | {value_of(expression, found.kind)}"
        texts[each.module] += KINDS[each.kind].format(n=number, mark=marks[number], refs=refs)
    for name, text in zip(names, texts, strict=True):
        files[f"{package}/{name}.py"] = text
    result = value_of(f"{names[-1]}.d{len(project) - 1}", project[-1].kind)
    files[f"{package}/pipeline.py"] = (
        f"from flowstone import asset\nfrom . import {names[-1]}\n"
        f"@asset\ndef made():\n    return {result}\n"
    )
    return files


def reference(package: str, module: int, name: str, style: str) -> tuple[str, str]:
    """The import and the expression by which another module's name is used."""
    whole = f"{package}.m{module}"
    return {
        "import": (f"import {whole}\n", f"{whole}.{name}"),
        "as": (f"import {whole} as x{module}\n", f"x{module}.{name}"),
        "from": (f"from .m{module} import {name}\n", name),
        "from as": (f"from .m{module} import {name} as y{name}\n", f"y{name}"),
        "star": (f"from {whole} import *\n", name),
        "package": (f"from . import m{module}\n", f"m{module}.{name}"),
        "by name": ("import importlib\n", f"importlib.import_module('{whole}').{name}"),
    }[style]


def outcome(folder: Path, package: str, files: dict[str, str]) -> tuple[object, str | None]:
    """What the asset returns, and its version."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    importlib.invalidate_caches()
    made = importlib.import_module(f"{package}.pipeline").made
    version = codes([made])["made"].version
    return made(), version


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.syspath_prepend(name)
        yield Path(name)


counter = iter(range(10**9))


@settings(max_examples=60, deadline=None)
@given(project=projects(), data=st.data())
def test_the_version_changes_exactly_when_the_result_can(
    folder: Path, project: list[Definition], data: st.DataObject
) -> None:
    package = f"project{next(counter)}"
    marks = [f"mark {number}" for number in range(len(project))]
    edited = data.draw(st.integers(0, len(project) - 1))
    other = [*marks[:edited], "another mark", *marks[edited + 1 :]]
    result, version = outcome(folder, package, written(project, marks, package))
    changed, version_after = outcome(folder, package, written(project, other, package))
    assert version is not None
    assert version_after is not None
    assert (version != version_after) == (result != changed), (result, changed)
    assert outcome(folder, package, written(project, marks, package)) == (result, version)


LIBRARY = sorted(glob.glob(f"{sysconfig.get_paths()['stdlib']}/[a-d]*.py"))  # noqa: PTH207 - names


@pytest.mark.parametrize("file", LIBRARY[::2], ids=lambda name: Path(name).stem)
def test_reformatted_library_code_has_equal_digests(file: str) -> None:
    """Written anew from its syntax tree, without comments and with another layout."""
    text = Path(file).read_text("utf-8")
    before = summarise(text)
    after = summarise(ast.unparse(ast.parse(text)))
    assert not before.whole
    assert before.names.keys() == after.names.keys()
    assert [part.digest for part in before.parts] == [part.digest for part in after.parts]
    assert [part.root for part in before.parts] == [part.root for part in after.parts]
    assert [set(part.refs) for part in before.parts] == [set(part.refs) for part in after.parts]
