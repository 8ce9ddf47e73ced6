"""The command line on what changes: why, check, accept, invalidate, force and verify."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.integration.cli_support import Project

if TYPE_CHECKING:
    from pathlib import Path

HELPER = """
    RATE = 2
    UNUSED = 1

    def rate(amount: int) -> int:
        return amount * RATE
"""
SHOP = """
    from flowstone import asset
    from helper import rate

    @asset
    def orders() -> list[int]:
        return [1, 2, 3]

    @asset
    def revenue(orders: list[int], scale: int = 1) -> int:
        return rate(sum(orders)) * scale

    @asset
    def report(revenue: int) -> str:
        return f"total {revenue}"
"""
DYNAMIC = """
    from flowstone import asset

    @asset
    def computed() -> int:
        return eval("1" + chr(43) + "1")

    @asset
    def below(computed: int) -> int:
        return computed
"""


@pytest.fixture
def project(tmp_path: Path, database_18: str) -> Project:
    made = Project(tmp_path, {"FLOWSTONE_DATABASE_URL": database_18})
    made.write("helper.py", HELPER)
    made.write("shop.py", SHOP)
    return made


def edited(project: Project, before: str, after: str) -> None:
    """Replace a piece of the helper."""
    text = (project.folder / "helper.py").read_text()
    assert before in text
    project.write("helper.py", text.replace(before, after))


def test_plan_and_why_name_the_constant_its_place_and_how_it_changed(project: Project) -> None:
    project.flowstone("run", "shop.py")
    edited(project, "UNUSED = 1", "UNUSED = 2  # of no concern")
    assert project.flowstone("plan", "shop.py", "--check").code == 0
    edited(project, "RATE = 2", "RATE = 3")
    plan = project.flowstone("plan", "shop.py", "--check")
    assert plan.code == 1
    assert "code of helper.RATE changed" in plan.out
    assert "(helper.py:2)" in plan.out
    why = project.flowstone("why", "shop.py", "report")
    assert why.code == 0
    lines = why.out.splitlines()
    assert lines[0] == "report would run, unless what it takes comes out as it was:"
    assert lines[1] == "  upstream revenue will run"
    assert lines[2].startswith("    revenue: code of helper.RATE changed (helper.py:2)")
    assert [line.strip() for line in lines[3:]] == ["@@ -1 +1 @@", "-RATE = 2", "+RATE = 3"]
    document = json.loads(project.flowstone("why", "shop.py::report", "--json").out)
    (reason,) = document["reasons"]
    assert reason["source"] == "revenue"
    assert reason["because"][0]["diff"] == ["@@ -1 +1 @@", "-RATE = 2", "+RATE = 3"]


def test_why_of_a_recorded_run_still_shows_what_changed_then(project: Project) -> None:
    project.flowstone("run", "shop.py")
    edited(project, "RATE = 2", "RATE = 3")
    run = project.flowstone("run", "shop.py").lines[-1].rpartition(" ")[2]
    edited(project, "RATE = 3", "RATE = 4")
    project.flowstone("run", "shop.py")
    told = project.flowstone("why", "shop.py", "report", "--run", run).out
    assert "-RATE = 2" in told
    assert "+RATE = 3" in told
    assert "RATE = 4" not in told
    unknown = project.flowstone("why", "shop.py", "report", "--run", "nope")
    unknown.is_short_error(2, "no run 'nope'")
    project.flowstone("why", "shop.py").is_short_error(2, "name one asset", "orders")
    project.flowstone("why", "shop.py", "reprot").is_short_error(2, "did you mean 'report'")


def test_a_revert_is_told_to_come_from_history(project: Project) -> None:
    project.flowstone("run", "shop.py")
    edited(project, "RATE = 2", "RATE = 3")
    project.flowstone("run", "shop.py")
    edited(project, "RATE = 3", "RATE = 2")
    plan = project.flowstone("plan", "shop.py", "--check")
    assert plan.code == 0
    assert plan.out.splitlines()[-1].endswith("3 assets are up to date, 2 of them from history")
    back = project.flowstone("run", "shop.py")
    assert back.code == 0
    assert "from history: code of helper.RATE changed" in back.err
    assert "nothing to do: 3 assets are up to date, 2 of them from history" in back.err
    assert "nothing to do: 3 assets are up to date  run" in project.flowstone("run", "shop.py").err


def test_force_of_a_selection_leaves_the_rest_alone(project: Project) -> None:
    project.flowstone("run", "shop.py")
    some = project.flowstone("run", "shop.py", "--force=orders")
    assert "1 materialized, 2 reused" in some.err
    assert "its inputs came out the same" in some.err
    wrong = project.flowstone("run", "shop.py", "--force=order")
    wrong.is_short_error(2, "did you mean 'orders'")
    all_of_it = project.flowstone("run", "--force", "shop.py")
    assert "3 materialized" in all_of_it.err
    dry = project.flowstone("run", "shop.py", "--dry-run", "--force=report")
    assert "1 to materialize" in dry.out


def test_accept_lets_what_is_there_stand(project: Project) -> None:
    project.flowstone("run", "shop.py")
    edited(project, "amount * RATE", "RATE * amount")
    project.flowstone("accept", "shop.py", "-m", "why").is_short_error(2, "name the assets")
    project.flowstone("accept", "shop.py", "revenue").is_short_error(2, "--reason")
    done = project.flowstone("accept", "shop.py", "revenue", "-m", "only turned around")
    assert (done.code, done.out) == (0, "accepted revenue\n")
    assert project.flowstone("plan", "shop.py", "--check").code == 0
    again = project.flowstone("accept", "shop.py", "revenue", "-m", "again")
    assert again.out == "nothing to accept: all of it is up to date\n"
    project.flowstone("invalidate", "shop.py", "orders", "-m", "bad data")
    late = project.flowstone("accept", "shop.py", "revenue", "-m", "no")
    late.is_short_error(2, "'revenue' can't be accepted", "accept orders too, or run it first")


def test_invalidate_makes_it_and_all_that_depends_on_it_anew(project: Project) -> None:
    project.flowstone("run", "shop.py")
    done = project.flowstone("invalidate", "shop.py", "revenue", "--downstream", "-m", "bad day")
    assert (done.code, done.out) == (0, "invalidated revenue, report\n")
    plan = project.flowstone("plan", "shop.py")
    assert "invalidated" in plan.out
    assert "2 materialized, 1 reused" in project.flowstone("run", "shop.py").err


def test_verify_tells_what_is_not_deterministic(project: Project) -> None:
    project.write(
        "dice.py",
        """
        import random
        from flowstone import asset

        @asset
        def dice() -> float:
            return random.random()

        @asset
        def fixed(dice: float) -> int:
            return 1
        """,
    )
    project.flowstone("run", "dice.py")
    call = project.flowstone("run", "dice.py", "--verify")
    assert call.code == 1
    assert "error: dice is not deterministic: executed again, it gives another value" in call.err
    assert "1 verified, 1 differs" in call.err
    assert project.flowstone("plan", "dice.py", "--check").code == 0
    assert "3 verified" in _verified(project)


def _verified(project: Project) -> str:
    project.flowstone("run", "shop.py")
    return project.flowstone("run", "shop.py", "--verify").err


def test_check_needs_no_database_and_tells_what_can_not_be_followed(project: Project) -> None:
    nowhere = {"FLOWSTONE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    fine = project.flowstone("check", "shop.py", **nowhere)
    assert (fine.code, fine.out) == (0, "3 assets checked: their code can be followed\n")
    project.write("dynamic.py", DYNAMIC)
    told = project.flowstone("check", "dynamic.py", **nowhere)
    assert told.code == 1
    first, last = told.out.splitlines()
    assert first.startswith("always runs: computed: ")
    assert "eval" in first
    assert "dynamic.py:" in first
    assert last.startswith("2 assets checked: 1 always run; mend the code, or pin it")
    document = json.loads(project.flowstone("check", "dynamic.py", "--json", **nowhere).out)
    assert [remark["level"] for remark in document["remarks"]] == ["unknown"]
    plan = project.flowstone("plan", "dynamic.py")
    assert "always runs: computed: " in plan.err
    project.write("broken.py", "from flowstone import asset\n@asset\ndef a(b): return b\n")
    project.flowstone("check", "broken.py", **nowhere).is_short_error(2, "broken.py:2")
