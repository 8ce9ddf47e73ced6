"""What README and docs show is run, and prints what they say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from flowstone.core.status import TRANSITIONS
from tests.integration.scripts import ROOT, python

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^\s*print\(.*\)  # (.+)$", re.MULTILINE)


def pages() -> list[str]:
    written = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    shown = [path for path in written if BLOCK.search(path.read_text(encoding="utf-8"))]
    return [path.relative_to(ROOT).as_posix() for path in shown]


@pytest.mark.parametrize("page", pages())
def test_the_python_of_a_page_is_one_script_that_prints_what_its_comments_say(
    page: str, tmp_path: Path
) -> None:
    program = "\n\n".join(BLOCK.findall((ROOT / page).read_text(encoding="utf-8")))
    script = tmp_path / "shown.py"
    script.write_text(program, encoding="utf-8")

    done = python(str(script), home=tmp_path / "home", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == SHOWN.findall(program)


def test_readme_opens_with_the_quickstart_example() -> None:
    readme = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))[0]
    example = (ROOT / "examples/quickstart.py").read_text(encoding="utf-8")
    assets = example.partition("\n\n")[2].partition("\n\n\nif __name__")[0]
    assert readme.startswith(assets)


def test_the_diagram_of_statuses_is_the_table_in_the_code() -> None:
    picture = (ROOT / "docs/state-machine.svg").read_text(encoding="utf-8")
    drawn = re.findall(r'data-from="(\w+)" data-to="(\w+)"', picture)
    table = {(old, new) for old, following in TRANSITIONS.items() for new in following}
    assert (set(drawn), len(drawn)) == (table, len(table))
    assert set(re.findall(r"<text [^>]*>(\w+)</text>", picture)) == set(TRANSITIONS)
