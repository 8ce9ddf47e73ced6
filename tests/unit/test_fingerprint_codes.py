"""What ``codes`` tells besides the version, what it leaves out on request, and what it keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowstone.core.config import MASK
from flowstone.core.fingerprint.expand import Expander, Extra
from flowstone.core.fingerprint.graph import Graph
from flowstone.core.fingerprint.influence import Influence
from flowstone.core.fingerprint.link import Linker
from flowstone.errors import DefinitionError
from flowstone.sources import cache as summaries
from flowstone.sources import codes
from flowstone.sources.cache import Summaries
from flowstone.sources.live import LiveObjects
from flowstone.sources.locate import Places
from flowstone.sources.modules import ProjectModules
from tests.unit.projects import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.core.code import Code

HEAD = "from flowstone import asset\n"
PIPELINE = """
    import helper
    from flowstone import asset

    @asset
    def made() -> int:
        '''Made.'''
        return helper.number() + len(helper.TABLE)
"""
HELPER = """
    import logging
    log = logging.getLogger(__name__)
    TABLE = {}
    PASSWORD = "hunter2"

    def number() -> int:
        # one
        TABLE[1] = 2
        log.info(PASSWORD)
        return 1
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Project(tmp_path)
    yield made
    made.forget()


def test_definitions_are_named_placed_and_shown(project: Project) -> None:
    project.write({"pipeline.py": PIPELINE, "helper.py": HELPER})
    found = {each.name: each for each in project.code().definitions}
    assert list(found) == [
        "helper.PASSWORD",
        "helper.TABLE",
        "helper.log",
        "helper.number",
        "pipeline.made",
    ]
    helper = project.folder / "helper.py"
    assert found["helper.number"].place == f"{helper}:7"
    assert found["helper.number"].source.startswith("def number() -> int:\n    # one")
    assert found["helper.PASSWORD"].source == f'PASSWORD = "{MASK}"'
    assert found["pipeline.made"].source.startswith("@asset\ndef made()")


def test_definitions_are_shared_between_assets(project: Project) -> None:
    more = PIPELINE + "    @asset\n    def again(): return helper.number()\n"
    project.write({"pipeline.py": more, "helper.py": HELPER})
    project.forget()
    pipeline = import_module("pipeline")
    found = codes([pipeline.made, pipeline.again])
    one, other = ({d.name: d for d in found[name].definitions} for name in ("made", "again"))
    assert one["helper.number"] is other["helper.number"]
    assert codes([pipeline.again])["again"] == found["again"]


def test_what_is_assumed_is_told_with_its_place(project: Project) -> None:
    project.write({"pipeline.py": PIPELINE, "helper.py": HELPER})
    helper = project.folder / "helper.py"
    log, table = project.code().remarks
    assert (
        log.text == "helper.log is a Logger, which has no canonical form; it counts by its source"
    )
    assert str(table) == f"TABLE is changed by number; it counts by its source alone ({helper}:7)"


REMARKS = {
    "import os\nK = os.environ.get('A')": "is set at import from outside (os.environ.get)",
    "import datetime as dt\nK = dt.datetime.now()": "(datetime.datetime.now); make it config",
    "import random\nK = random.random()": "from outside (random.random); make it config",
    "with open(__file__) as f: K = f.read()": "from outside (builtins.open); make it config",
    "import helper\ndef K(): return getattr(helper, 'x')": "pipeline.K uses helper as a whole",
    "import helper\nhelper.x = 1\nK = helper.x": "x is set from outside its module",
    "K = 0\ndef f():\n    global K\n    K = 1": "K is changed by f",
}


def test_a_project_in_an_archive_counts(project: Project) -> None:
    """Modules without a file of their own have their source from their loader."""
    found: list[str | None] = []
    for number in (1, 2, 1):
        archive = project.folder / f"archive{len(found)}.zip"
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr(
                "zipped.py", f"{HEAD}import zhelp\n@asset\ndef made(): return zhelp.f()\n"
            )
            opened.writestr("zhelp.py", f"def f(): return {number}\n")
        for name in ("zipped", "zhelp"):
            sys.modules.pop(name, None)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(archive))
            found.append(codes([import_module("zipped").made])["made"].version)
    assert found[0] == found[2] != found[1]
    assert None not in found


@pytest.mark.parametrize("source", REMARKS)
def test_what_can_t_be_sure_is_remarked(source: str, project: Project) -> None:
    made = f"{HEAD}{source}\n@asset\ndef made(): return K\n"
    project.write({"pipeline.py": made, "helper.py": "x = 0\n"})
    code = project.code()
    assert code.version is not None
    assert {remark.level for remark in code.remarks} == {"assumed"}
    assert any(REMARKS[source] in remark.text for remark in code.remarks)
    assert all(remark.place.startswith(str(project.folder)) for remark in code.remarks)


UNKNOWN = [
    "exec(input())",
    "eval(str(1))",
    "(lambda run: run('1'))(eval)",
    "__import__(str(1))",
    "importlib.import_module('help' + 'er')",
    "importlib.reload(helper)",
    "runpy.run_path('x')",
    "importlib.util.spec_from_file_location('x').loader.exec_module(helper)",
]


@pytest.mark.parametrize("line", UNKNOWN)
def test_what_is_known_only_when_it_runs_makes_the_version_unknown(
    line: str, project: Project
) -> None:
    helper = f"import importlib, runpy\nimport helper\ndef f():\n    return {line}\n"
    pipeline = f"{HEAD}import helper\n@asset\ndef made(): return helper.f()\n"
    project.write({"pipeline.py": pipeline, "helper.py": helper})
    code = project.code()
    assert code.version is None
    assert code.remarks[0].level == "unknown"
    assert code.remarks[0].text.startswith("helper.f uses ")
    assert code.remarks[0].place == f"{project.folder / 'helper.py'}:4"


def test_dynamic_code_that_is_not_reached_does_no_harm(project: Project) -> None:
    text = HEAD + "def f(): exec(input())\n@asset\ndef made(): return 1\n"
    project.write({"pipeline.py": text})
    assert project.version() is not None


# Options of the asset

IGNORING = """
    import helper, other
    from flowstone import asset

    @asset(ignore=[{0}])
    def made() -> int:
        return helper.number() + other.number()
"""
NUMBER = "K = 1\ndef number(): return K\n"


@pytest.mark.parametrize(
    "ignored",
    ["helper.number", "helper", "'helper'", "'helper.number'", "'helper.K', helper.number"],
)
def test_what_is_ignored_does_not_count(ignored: str, project: Project) -> None:
    files = {"helper.py": NUMBER, "other.py": NUMBER}
    files["pipeline.py"] = IGNORING.format(ignored)
    edit, other = {"helper.py": NUMBER + "# !\nK = 2\n"}, {"other.py": NUMBER + "K = 2\n"}
    before, after, changed = project.versions(files, edit, other)
    assert before == after != changed
    assert "helper.number" not in [each.name for each in project.code().definitions]


def test_an_unknown_name_to_ignore_is_an_error(project: Project) -> None:
    project.write({"helper.py": NUMBER, "other.py": NUMBER})
    project.write({"pipeline.py": IGNORING.format("'helper.numbr'")})
    with pytest.raises(DefinitionError, match="helper has no 'numbr'; did you mean 'number'"):
        project.code()


def test_what_is_ignored_may_be_dynamic(project: Project) -> None:
    project.write({"helper.py": "def number(): exec(input())\n", "other.py": NUMBER})
    project.write({"pipeline.py": IGNORING.format("helper.number")})
    assert project.version() is not None


def test_a_tracked_distribution_counts_by_its_version(project: Project) -> None:
    text = HEAD + "@asset(track=['pydantic'])\ndef made(): return 1\n"
    project.write({"pipeline.py": text})
    before = project.version()
    info = project.folder / "pydantic-99.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: pydantic\nVersion: 99.0\n", "utf-8"
    )
    assert project.version() not in (before, None)


def test_an_unknown_distribution_is_an_error_that_names_it(project: Project) -> None:
    text = HEAD + "@asset(track=['pydantik'])\ndef made(): return 1\n"
    project.write({"pipeline.py": text})
    with pytest.raises(DefinitionError, match="'pydantik', which is not installed; did you mean"):
        project.code()


# Summaries on disk


def looked(project: Project, folder: Path) -> Code:
    """The code as a new process would find it."""
    summaries.forget()
    project.forget()
    return codes([import_module("pipeline").made], cache=folder)["made"]


def test_summaries_are_kept_on_disk(project: Project, tmp_path: Path) -> None:
    project.write({"pipeline.py": PIPELINE, "helper.py": HELPER})
    folder = tmp_path / "kept" / "code"
    first = looked(project, folder)
    entries = {file: file.read_bytes() for file in folder.iterdir()}
    assert len(entries) == 2
    assert looked(project, folder) == first
    assert {file: file.read_bytes() for file in folder.iterdir()} == entries


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 100, b"\xff\x00"])
def test_a_damaged_summary_is_ignored(damage: bytes, project: Project, tmp_path: Path) -> None:
    project.write({"pipeline.py": PIPELINE, "helper.py": HELPER})
    folder = tmp_path / "kept"
    first = looked(project, folder)
    for file in folder.iterdir():
        file.write_bytes(damage or file.read_bytes()[:-10])
    assert looked(project, folder) == first


def test_a_folder_that_can_t_be_used_is_not(project: Project, tmp_path: Path) -> None:
    project.write({"pipeline.py": PIPELINE, "helper.py": HELPER})
    (tmp_path / "taken").write_text("a file")
    assert looked(project, tmp_path / "taken" / "code").version == project.version()


# Scripts, modules and cells

SCRIPT = """
    import json
    from flowstone import asset
    from flowstone.sources import codes
    K = 1
    def f(): return K
    @asset
    def made(): return f()
"""


def python(folder: Path, *arguments: str) -> Any:
    """What a new interpreter prints, as JSON."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    environment |= {"IPYTHONDIR": str(folder / "ipython"), "HOME": str(folder)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return json.loads(done.stdout.decode().splitlines()[-1])


PRINTS = "print(json.dumps(codes([made])['made'].version))\n"


def test_of_a_running_script_counts_what_has_run(tmp_path: Path) -> None:
    """The constant is set anew below; that has not happened yet when the code is looked at."""
    text = textwrap.dedent(SCRIPT)
    (tmp_path / "plain.py").write_text(text + PRINTS)
    (tmp_path / "later.py").write_text(text + PRINTS + "K = 2\n")
    (tmp_path / "again.py").write_text(text + "K = 2\n" + PRINTS)
    (tmp_path / "both.py").write_text(text + "codes([made])\nK = 2\n" + PRINTS)
    plain, later, again, both = (
        python(tmp_path, f"{name}.py") for name in ("plain", "later", "again", "both")
    )
    assert plain == later != again == both


NOTEBOOK = """
    import json
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell.instance()
    shell.colors = "NoColor"
    found = {}
    def run(cell, name=None):
        shell.run_cell(cell, store_history=True)
        if name:
            shell.run_cell("found = codes([made])['made']")
            code = shell.user_ns["found"]
            found[name] = [code.version, [each.name for each in code.definitions]]
"""


def notebook(folder: Path, *cells: str) -> dict[str, Any]:
    """The version after each cell that is named by its last comment."""
    text = textwrap.dedent(NOTEBOOK)
    for cell in cells:
        body, _, name = cell.partition(" # -> ")
        text += f"run({textwrap.dedent(body)!r}, {name!r})\n"
    (folder / "notebook.py").write_text(text + "print()\nprint(json.dumps(found))\n")
    found: dict[str, Any] = python(folder, "notebook.py")
    return found


def test_module_script_and_cell_agree(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    text = textwrap.dedent(SCRIPT)
    (tmp_path / "pipeline.py").write_text(text + f"if __name__ == '__main__':\n    {PRINTS}")
    script = python(tmp_path, "pipeline.py")
    imported = f"from pipeline import *; {PRINTS}"
    assert python(tmp_path, "-c", imported) == script
    assert python(tmp_path, "-m", "pipeline") == script
    found = notebook(tmp_path, text + " # -> cell")
    assert found["cell"] == [script, ["notebook.K", "notebook.f", "notebook.made"]]


def test_cells_count_as_they_ran(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    found = notebook(
        tmp_path,
        textwrap.dedent(SCRIPT) + " # -> first",
        "K = 2 # -> edited",
        "K = 1 # -> reverted",
        "raise ValueError\nK = 3 # -> failed before",
        "K = 4\nraise ValueError # -> failed after",
        "for K in (5, 6):\n    1 / 0\n    K = 7 # -> failed inside",
        "K = 1 # -> repaired",
        "def f(): return K + 1 # -> redefined",
        "def f(): return K # -> restored",
        "%time\nK = 1 # -> magic",
        "K = # -> no Python",
    )
    versions = {name: version for name, (version, _) in found.items()}
    first = versions["first"]
    same = ["reverted", "failed before", "repaired", "restored", "magic", "no Python"]
    assert {versions[name] for name in same} == {first}
    others = ["edited", "failed after", "failed inside", "redefined"]
    assert len({first, *(versions[name] for name in others)}) == 5


def test_a_value_that_was_computed_with_an_older_function_is_another_one(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    found = notebook(
        tmp_path,
        "from flowstone import asset\nfrom flowstone.sources import codes",
        "def f(): return 1",
        "L = f()",
        "@asset\ndef made(): return L # -> first",
        "def f(): return 2 # -> stale",
        "L = f() # -> new",
        "def f(): return 1 # -> stale again",
        "L = f() # -> back",
    )
    versions = {name: version for name, (version, _) in found.items()}
    assert versions["first"] == versions["back"]
    assert len(set(versions.values())) == 4


ALONE = """
    from flowstone import asset

    RATE = 3

    def helper():
        return 1

    @asset
    def lone():
        '''One.'''
        return 1

    @asset
    def defaulted(rate=RATE):
        return rate

    @asset
    async def reaching():
        return helper() + RATE

    @asset
    def documented():
        return documented.__doc__

    @asset
    def asking():
        return eval("1")
"""


@pytest.mark.parametrize("name", ["lone", "defaulted", "reaching", "documented", "asking"])
def test_an_asset_of_one_text_has_the_code_that_the_whole_graph_says(
    project: Project, name: str
) -> None:
    project.write({"alone.py": ALONE})
    modules = ProjectModules(Summaries(None))
    places = Places(modules)
    expander = Expander(Linker(modules), LiveObjects(places))
    node = places.root_of(vars(import_module("alone"))[name].fn)
    assert node is not None
    short, whole = Graph(expander, Influence([])), Graph(expander, Influence([]))
    short.add_plain(name, node)
    whole.add(name, Extra(["@"], [("0", node)]))
    assert short.codes() == whole.codes()
