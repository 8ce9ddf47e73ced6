"""The benchmarks and the comparison run and print their tables; the figures prove nothing here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from benchmarks.peers.trial import Oracle, Stage, judge, judge_revert
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


def test_memory_is_measured_for_making_a_first_run_and_a_reuse(tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "memory.py")
    options = ["--mb", "8", "--kind", "array"]
    done = python(script, *options, home=tmp_path / "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^array +(\w+) +-?[\d.]+ ", done.stdout, re.MULTILINE)
    assert rows == ["make", "first", "reuse"]


def test_the_comparison_runs_and_rewrites_nothing_but_the_table_of_a_page(tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "peers" / "compare.py")
    page = tmp_path / "page.md"
    marks = ["<!-- comparison: begin -->", "<!-- comparison: end -->"]
    page.write_text("\n".join(["before", marks[0], "an old table", marks[1], "after"]))
    options = ["--here", "--peers", "flowstone", "--edits", "body", "config"]

    done = python(script, *options, "--markdown", str(page), home=tmp_path / "home", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    verdict = r"(?:right|too much), (?:history|again)"
    rows = re.findall(rf"^(body|config) +{verdict}$", done.stdout, re.MULTILINE)
    assert rows == ["body", "config"]
    before, _, rest = page.read_text().partition(marks[0])
    table, _, after = rest.partition(marks[1])
    assert (before, after) == ("before\n", "\nafter")
    assert "| a config value |" in table
    assert "an old table" not in table


@pytest.mark.parametrize(
    ("ran", "value", "verdict"),
    [
        ("b", 2, "right"),
        ("a b", 2, "right"),
        ("b c", 2, "too much"),
        ("b b", 2, "too much"),
        ("a", 2, "unnoticed"),
        ("b", 1, "stale"),
    ],
)
def test_the_verdict_says_whether_just_what_had_to_run_was_executed(
    ran: str, value: int, verdict: str
) -> None:
    oracle = Oracle({"last": 1}, {"last": 2}, must_run=frozenset("b"))
    assert judge(Stage(tuple(ran.split()), value), oracle, frozenset("a"), "last") == verdict


@pytest.mark.parametrize(
    ("ran_on_edit", "ran", "value", "verdict"),
    [
        ("b", "", 1, "from history"),
        ("b", "b", 1, "ran again"),
        ("", "", 1, "nothing to do"),
        ("b", "b", 2, "stale"),
    ],
)
def test_the_verdict_on_a_revert_says_whether_history_served(
    ran_on_edit: str, ran: str, value: int, verdict: str
) -> None:
    edited = Stage(tuple(ran_on_edit.split()), 2)
    assert judge_revert(Stage(tuple(ran.split()), value), edited, 1) == verdict
