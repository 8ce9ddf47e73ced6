"""The benchmarks run and print a ratio for each workload; the figures themselves prove nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.integration.scripts import ROOT, python

if TYPE_CHECKING:
    from pathlib import Path


def test_the_benchmarks_run(tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "bench.py")
    done = python(script, "--rounds", "1", home=tmp_path / "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(\w[\w ]*?) +[\d.]+ ms +[\d.]+ ms +[\d.]+$", done.stdout, re.MULTILINE)
    assert rows == ["build", "first run", "nothing changed"]


def test_planning_sends_as_many_statements_for_many_assets_as_for_few(tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "planning.py")
    done = python(script, "--rounds", "1", "100", "1000", home=tmp_path / "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ *([\d,]+) +(\d+) +[\d.]+ ms", done.stdout, re.MULTILINE)
    assert rows == [("100", "1"), ("1,000", "1")]
