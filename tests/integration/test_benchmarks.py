"""The benchmarks and the comparison run and print their tables; the figures prove nothing here."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from benchmarks.peers.trial import Oracle, Stage, judge, judge_revert
from benchmarks.speed.ours import counting
from flowstone import Asset, Flowstone
from tests.integration.scripts import ROOT, python

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.once
def test_the_benchmarks_run_and_rewrite_nothing_but_the_tables_of_a_page(tmp_path: Path) -> None:
    """Floors and Flowstone leave every row, hash, value and edge, or the benchmarks fail."""
    script = str(ROOT / "benchmarks" / "run.py")
    page, found = tmp_path / "page.md", tmp_path / "found.json"
    marks = ["<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"]
    page.write_text("\n".join(["before", marks[0], "old tables", marks[1], "after"]))
    options = ["--smoke", "--json", str(found), "--markdown", str(page)]

    done = python(script, *options, home=tmp_path / "home", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "fsync on, synchronous_commit on" in done.stdout
    assert re.findall(r"^(W\d) ", done.stdout, re.MULTILINE) == [f"W{n}" for n in range(1, 9)]
    results = json.loads(found.read_text())["results"]
    assert all(result["contestants"]["Flowstone"]["samples"] for result in results[:-1])
    before, _, rest = page.read_text().partition(marks[0])
    tables, _, after = rest.partition(marks[1])
    assert (before, after) == ("before\n", "\nafter")
    assert "| Flowstone |" in tables
    assert "old tables" not in tables


@pytest.mark.anyio
async def test_a_run_with_nothing_to_do_sends_as_many_statements_for_many_assets_as_for_few(
    database_18: str, tmp_path: Path
) -> None:
    async def sent(size: int) -> int:
        names = [f"of_{size}_{number}" for number in range(size)]
        graph = [
            Asset(lambda: 1, name=name, code_version="1", deps=names[max(at - 3, 0) : at])
            for at, name in enumerate(names)
        ]
        await fs.materialize(assets=graph)
        with counting() as statements:
            await fs.materialize(assets=graph)
        return len(statements)

    async with Flowstone(database_url=database_18, home=tmp_path) as fs:
        few, many = await sent(10), await sent(300)
    assert few == many <= 5


@pytest.mark.once
def test_memory_is_measured_for_making_a_first_run_and_a_reuse(tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "memory.py")
    options = ["--mb", "8", "--kind", "array"]
    done = python(script, *options, home=tmp_path / "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^array +(\w+) +-?[\d.]+ ", done.stdout, re.MULTILINE)
    assert rows == ["make", "first", "reuse"]


@pytest.mark.once
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
