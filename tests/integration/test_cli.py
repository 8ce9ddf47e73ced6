"""The command line: what it prints where, and the exit code it ends with."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from flowstone import __version__
from flowstone.store import schema
from tests.integration.cli_support import Project
from tests.integration.servers import PASSWORD, closed_port, password_server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHOP = """
    import os, subprocess, sys
    from flowstone import Context, asset

    print("imported as", __name__)

    @asset(group="raw")
    def orders(context: Context) -> list[int]:
        print("orders for", context.partition)
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", "print('from a child')"])
        context.logger.debug("looking closely")
        return [3, 4]

    @asset(tags=["daily"])
    def revenue(orders: list[int], vat: float = 0.0) -> float:
        return sum(orders) * (1 + vat)

    @asset(tags=["daily"])
    def report(revenue: float) -> str:
        return f"{revenue} EUR"
"""
BROKEN = """
    from flowstone import asset

    def ratio(numbers):
        return [1 / number for number in numbers]

    @asset
    def numbers() -> list[int]:
        return [1, 0]

    @asset
    def ratios(numbers: list[int]) -> list[float]:
        return ratio(numbers)

    @asset
    def mean(ratios: list[float]) -> float:
        return sum(ratios)

    @asset
    def total(numbers: list[int]) -> int:
        return sum(numbers)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Project:
    """A project without a database of its own."""
    project = Project(tmp_path)
    project.write("shop.py", SHOP)
    return project


@pytest.fixture
def project(folder: Project, database_18: str) -> Project:
    """A project with an empty database."""
    return Project(folder.folder, {"FLOWSTONE_DATABASE_URL": database_18})


def finished(lines: Sequence[str]) -> list[str]:
    """Mark and name of every line about an asset."""
    return [" ".join(line.split()[:2]) for line in lines if line[:2] in {"✓ ", "= ", "✗ ", "- "}]


# ---- run


def test_run_tells_each_asset_on_stderr_and_a_second_run_says_it_has_nothing_to_do(
    project: Project,
) -> None:
    first = project.flowstone("run", "shop.py")
    assert first.code == 0
    assert finished(first.lines) == ["✓ orders", "✓ revenue", "✓ report"]
    assert "list of 2" in first.err
    assert re.search(r"^3 materialized in [\d.]+ m?s  run [0-9a-f]{16}$", first.lines[-1])
    assert first.out.splitlines() == ["imported as shop", "orders for None", "from a child"]

    second = project.flowstone("run", "shop.py")
    assert second.code == 0
    assert re.fullmatch(r"nothing to do: 3 assets are up to date  run [0-9a-f]{16}\n", second.err)
    assert second.out == "imported as shop\n"


def test_the_embedded_server_serves_without_any_setting(folder: Project) -> None:
    assert finished(folder.flowstone("run", "shop").lines) == ["✓ orders", "✓ revenue", "✓ report"]
    assert "nothing to do" in folder.flowstone("run", "shop").err


def test_a_failed_asset_is_told_once_with_the_users_frames_and_the_rest_is_made(
    project: Project,
) -> None:
    project.write("broken.py", BROKEN)
    call = project.flowstone("run", "broken.py")
    assert call.code == 1
    assert sorted(finished(call.lines)) == ["- mean", "✓ numbers", "✓ total", "✗ ratios"]
    assert "skipped: ratios has no value" in call.err
    block = call.lines[call.lines.index("") + 1 : -2]
    assert block[0] == "error: ratios failed: ZeroDivisionError: division by zero"
    assert block[1] == "  broken.py:13 in ratios"
    assert "  broken.py:5 in ratio" in block
    assert len(block) <= 8
    assert call.err.count("error: ") == 1
    assert "Traceback" not in call.err
    assert "flowstone/" not in call.err
    assert call.lines[-1].startswith("2 materialized, 1 failed, 1 skipped in ")


def test_an_asset_after_the_target_is_made_with_what_it_needs_only(project: Project) -> None:
    assert finished(project.flowstone("run", "shop.py::revenue").lines) == ["✓ orders", "✓ revenue"]
    assert "orders" in project.flowstone("plan", "shop::orders").out
    assert finished(project.flowstone("run", "shop", "tag:daily").lines)[-1] == "✓ report"


def test_options_decide_what_is_made(project: Project) -> None:
    project.flowstone("run", "shop.py")
    forced = project.flowstone("run", "shop.py::revenue", "--force")
    assert finished(forced.lines) == ["= orders", "✓ revenue"]
    alone = project.flowstone("run", "shop.py", "revenue", "--only", "--set", "revenue.vat=0.5")
    assert finished(alone.lines) == ["✓ revenue"]
    less = project.flowstone("plan", "shop.py", "--exclude", "report", "--set", "revenue.vat=0.5")
    assert "report" not in less.out
    day = project.flowstone("run", "shop.py::orders", "--partition", "2025-01-15", "-j", "1")
    assert "orders for 2025-01-15" in day.out


def test_only_an_asset_whose_input_was_never_made_is_skipped_with_the_reason(
    project: Project,
) -> None:
    call = project.flowstone("run", "shop.py::revenue", "--only")
    assert call.code == 1
    assert "- revenue" in call.err
    assert "upstream orders has no value and is not selected" in call.err


def test_quiet_says_nothing_but_what_failed(project: Project) -> None:
    project.write("broken.py", BROKEN)
    assert project.flowstone("run", "shop.py", "-q").err == ""
    lines = project.flowstone("run", "broken.py", "--quiet").lines
    assert [line for line in lines if "error" in line] == [
        "error: ratios failed: ZeroDivisionError: division by zero"
    ]
    assert finished(lines) == []


def test_verbose_shows_debug_logs_and_each_asset_that_is_up_to_date(project: Project) -> None:
    assert "looking closely" not in project.flowstone("run", "shop.py").err
    assert "looking closely" in project.flowstone("run", "shop.py", "-f", "-v").err
    again = project.flowstone("run", "shop.py", "-v")
    assert finished(again.lines) == ["= orders", "= revenue", "= report"]


def test_json_events_have_stdout_to_themselves(project: Project) -> None:
    call = project.flowstone("run", "shop.py", "--json")
    assert call.code == 0
    assert {event["schema_version"] for event in call.events} == {1}
    told = [(event["event"], event.get("asset")) for event in call.events]
    steps = [("step_started", "step_finished")] * 3
    assert [kind for kind, _ in told] == [
        "run_started",
        *(kind for pair in steps for kind in pair),
        "run_finished",
    ]
    assert [name for _, name in told if name][::2] == ["orders", "revenue", "report"]
    assert call.events[-1]["counts"] == {"materialized": 3}
    assert call.err.splitlines() == ["imported as shop", "orders for None", "from a child"]

    again = project.flowstone("run", "shop.py", "--json").events
    assert [event["event"] for event in again] == [
        "run_started",
        *["step_finished"] * 3,
        "run_finished",
    ]
    assert {event.get("ending") for event in again[1:-1]} == {"reused"}


def test_a_failure_is_an_event_with_the_traceback_and_the_exit_code_says_it(
    project: Project,
) -> None:
    project.write("broken.py", BROKEN)
    call = project.flowstone("run", "broken.py", "--json")
    assert call.code == 1
    assert call.err == ""
    failed = next(event for event in call.events if event.get("ending") == "failed")
    assert failed["asset"] == "ratios"
    assert failed["detail"] == "ZeroDivisionError: division by zero"
    assert "in ratio" in failed["traceback"]


def test_a_reader_that_goes_away_does_not_stop_the_run(project: Project) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = project.start("run", "shop.py", "--json", stdout=writer)
    os.close(writer)
    process.communicate(timeout=60)
    assert "nothing to do" in project.flowstone("run", "shop.py").err


@pytest.mark.parametrize("how", ["option", "environment"])
def test_logs_are_json_when_asked(project: Project, how: str) -> None:
    option = ["--log", "json"] if how == "option" else []
    settings = {} if how == "option" else {"FLOWSTONE_LOG": "json"}
    call = project.flowstone("run", "shop.py", *option, **settings)
    entries = [json.loads(line) for line in call.lines]
    assert [entry["event"] for entry in entries if "asset" not in entry] == [
        "run started",
        "run finished",
    ]
    assert {entry["level"] for entry in entries} == {"info"}


# ---- plan and graph


def test_plan_is_a_table_of_what_would_run_and_why(project: Project) -> None:
    call = project.flowstone("plan", "shop.py")
    assert call.code == 0
    assert [line.split() for line in call.out.splitlines()] == [
        ["asset", "last", "ok", "est.", "why"],
        ["+", "orders", "-", "?", "never", "made"],
        ["+", "revenue", "-", "?", "never", "made;", "upstream", "orders", "will", "run"],
        ["+", "report", "-", "?", "never", "made;", "upstream", "revenue", "will", "run"],
        ["3", "to", "materialize"],
    ]
    assert call.err == "imported as shop\n"
    assert project.flowstone("run", "shop.py", "-n").out == call.out
    project.flowstone("run", "shop.py")
    after = project.flowstone("plan", "shop.py", "--set", "revenue.vat=0.5").out
    assert "= orders" in after
    assert "config vat changed 0.0 -> 0.5" in after
    assert "only if revenue changes" in after


def test_check_exits_with_1_while_something_would_run(project: Project) -> None:
    assert project.flowstone("plan", "shop.py", "--check").code == 1
    project.flowstone("run", "shop.py")
    call = project.flowstone("plan", "shop.py", "--check")
    assert call.code == 0
    assert call.out.endswith("nothing to do: 3 assets are up to date\n")


def test_plan_json_is_one_document(project: Project) -> None:
    project.flowstone("run", "shop.py::orders")
    document = json.loads(project.flowstone("plan", "shop.py", "--json").out)
    assert document["schema_version"] == 1
    assert document["counts"] == {"reuse": 1, "materialize": 2}
    steps = {step["asset"]: step for step in document["steps"]}
    assert steps["orders"]["last_duration_ms"] > 0
    assert steps["revenue"]["causes"] == [{"kind": "never_made"}]
    assert steps["revenue"]["last_made_at"] is None


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("text", "revenue  <- orders"),
        ("mermaid", "flowchart LR"),
        ("dot", '"orders" -> "revenue";'),
    ],
)
def test_graph_needs_no_database_and_has_stdout_to_itself(
    folder: Project, form: str, shown: str
) -> None:
    with closed_port() as port:
        nowhere = f"host=127.0.0.1 port={port}"
        call = folder.flowstone(
            "graph", "shop.py", "--format", form, FLOWSTONE_DATABASE_URL=nowhere
        )
    assert call.code == 0
    assert shown in call.out
    assert "imported as" not in call.out
    assert not (folder.folder / "home").exists()


def test_graph_draws_the_selection(folder: Project) -> None:
    assert folder.flowstone("graph", "shop.py", "tag:daily", "--exclude", "report").out == (
        "revenue  <- orders\n"
    )


# ---- targets


@pytest.mark.parametrize("target", ["shop/pipeline.py", "shop.pipeline", "./shop/pipeline.py"])
def test_a_module_of_a_package_has_one_name_however_it_is_named(
    tmp_path: Path, target: str
) -> None:
    project = Project(tmp_path)
    project.write("shop/__init__.py", "")
    project.write("shop/prices.py", "VAT = 0.5")
    project.write(
        "shop/pipeline.py",
        """
        from flowstone import asset
        from .prices import VAT
        print(__name__)

        @asset
        def vat() -> float:
            return VAT
        """,
    )
    call = project.flowstone("graph", target)
    assert (call.code, call.out, call.err) == (0, "vat\n", "shop.pipeline\n")


def test_the_folder_of_a_file_heads_the_import_path(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("deep/pipeline.py", "from helper import *")
    project.write("deep/helper.py", "from flowstone import asset\n@asset\ndef one(): return 1")
    assert project.flowstone("graph", "deep/pipeline.py").out == "one\n"


def test_assets_that_are_needed_but_live_elsewhere_are_made_but_not_meant(
    project: Project,
) -> None:
    project.write(
        "daily.py",
        """
        from flowstone import asset
        from shop import revenue

        @asset
        def headline(revenue: float) -> str:
            return str(revenue)
        """,
    )
    project.flowstone("run", "daily.py")
    forced = project.flowstone("run", "daily.py", "-f")
    assert finished(forced.lines) == ["= orders", "✓ revenue", "✓ headline"]


# ---- bad input


MODULES = {
    "cycle.py": "@asset\ndef a(c): ...\n@asset\ndef b(a): ...\n@asset\ndef c(b): ...",
    "unknown.py": "@asset\ndef orders(): ...\n@asset\ndef revenue(ordres): ...",
    "twice.py": "@asset\ndef a(): ...\n@asset(name='a')\ndef b(): ...",
    "variadic.py": "@asset\ndef a(*args): ...",
    "positional.py": "@asset\ndef a(): ...\n@asset\ndef b(a, /): ...",
    "several.py": "@asset\ndef a(**k): ...\n@asset\ndef b(x, /): ...\n@asset\ndef c(nope): ...",
    "none.py": "x = 1",
    "raises.py": "def f():\n    return 1 / 0\nx = f()",
    "syntax.py": "def f(:",
    "imports.py": "import pandsa",
    "exits.py": "raise SystemExit(3)",
    "fine.py": "@asset\ndef orders(): ...\n@asset\ndef revenue(orders, vat: float = 0.0): ...",
    "masked.py": "@asset\ndef a(api_key: int = 1): ...",
    "deep/json.py": "@asset\ndef a(): ...",
}


@pytest.mark.parametrize(
    ("arguments", "code", "phrases"),
    [
        (
            "run cycle.py",
            2,
            ["a (cycle.py:2) -> b (cycle.py:4) -> c (cycle.py:6) -> a", "remove one"],
        ),
        ("graph unknown.py", 2, ["'revenue' (unknown.py:4)", "'ordres'", "did you mean 'orders'?"]),
        (
            "graph twice.py",
            2,
            ["two assets are named 'a': twice.py:2 and twice.py:4", "rename one"],
        ),
        ("graph variadic.py", 2, ["'a' (variadic.py:2)", "'*args'", "one parameter for each"]),
        (
            "graph positional.py",
            2,
            ["'b' (positional.py:4)", "'a' is positional-only", "drop the '/'"],
        ),
        ("graph several.py", 2, ["'**k'", "'x' is positional-only", "'nope'"]),
        ("graph none.py", 2, ["none.py has no assets", "@asset"]),
        ("graph none", 2, ["none has no assets", "@asset"]),
        (
            "graph raises.py",
            2,
            ["raises.py can't be imported: ZeroDivisionError", "raises.py:4 in <mod"],
        ),
        (
            "graph syntax.py",
            2,
            ["syntax.py can't be imported: SyntaxError", "syntax.py:2", "    def f(:"],
        ),
        ("graph imports.py", 2, ["imports.py can't be imported", "'pandsa'", "imports.py:2"]),
        ("graph exits.py", 2, ["exits.py can't be imported: SystemExit: 3", "exits.py:2"]),
        ("graph fine.py::revenu", 2, ["no asset named 'revenu'", "did you mean 'revenue'?"]),
        ("graph fine.py ordrs", 2, ["no asset named 'ordrs'", "did you mean 'orders'?"]),
        ("graph fine.py a,,b", 2, ["can't read the selection 'a,,b'", "write names"]),
        ("run fine.py tag:nope", 4, ["selection 'tag:nope' matches no asset"]),
        ("graph fine.py --exclude *", 4, ["without * matches no asset"]),
        ("graph fin.py", 2, ["no file 'fin.py'", "did you mean 'fine.py'"]),
        ("graph nowhere/fine.py", 2, ["no file nowhere/fine.py", "no folder nowhere"]),
        ("graph nowhere.fine", 2, ["no module 'nowhere'"]),
        ("graph fin", 2, ["no module 'fin'", "did you mean 'fine'?"]),
        ("graph fine.orders", 2, ["no module 'fine.orders'", "not a package"]),
        ("graph ./", 2, ["./ is a folder", "name a file"]),
        ("graph fine..x", 2, ["'fine..x' is no target", "name a module"]),
        ("graph deep/json.py", 2, ["json.py is hidden by the module 'json'", "rename the file"]),
        ("run fine.py --set vat=1", 2, ["'vat'", "write asset.parameter=value"]),
        ("run fine.py --set revenue.vta=1", 2, ["'vta'", "did you mean 'vat'?"]),
        ("run fine.py --set revnue.vat=1", 2, ["'revnue'", "did you mean 'revenue'?"]),
        ("run fine.py --set revenue.vat=abc", 2, ["revenue.vat = 'abc'", "valid number"]),
        ("run masked.py --set a.api_key=hunter2", 2, ["a.api_key", "valid integer"]),
        ("run fine.py --frce", 2, ["--frce", "run --help"]),
        ("run fine.py --jobs 0", 2, ["--jobs", "run --help"]),
        ("run", 2, ["missing argument 'TARGET'", "run --help"]),
    ],
)
def test_a_mistake_is_a_short_error_that_names_offender_and_cure(
    tmp_path: Path, arguments: str, code: int, phrases: list[str]
) -> None:
    """No database is needed to be told: none is there."""
    with closed_port() as port:
        nowhere = f"postgresql://u:hunter2@127.0.0.1:{port}/db"
        project = Project(tmp_path, {"FLOWSTONE_DATABASE_URL": nowhere})
        for name, source in MODULES.items():
            project.write(name, f"from flowstone import asset\n{source}")
        project.flowstone(*arguments.split()).is_short_error(code, *phrases)


@pytest.mark.parametrize("arguments", [["rn"], ["db", "stats"], ["--nope"]])
def test_an_unknown_command_or_option_is_a_usage_error(
    folder: Project, arguments: list[str]
) -> None:
    folder.flowstone(*arguments).is_short_error(2, arguments[-1], "--help")


def test_an_invalid_setting_names_its_variable(folder: Project) -> None:
    call = folder.flowstone("run", "none", FLOWSTONE_LOG="loud")
    call.is_short_error(2, "FLOWSTONE_LOG", "human")


@pytest.mark.parametrize("command", [["run", "shop.py"], ["plan", "shop.py"], ["db", "status"]])
def test_an_unreachable_server_is_told_within_ten_seconds(
    folder: Project, command: list[str]
) -> None:
    folder.write("shop.py", "from flowstone import asset\n@asset\ndef one(): return 1")
    with closed_port() as port:
        began = time.monotonic()
        call = folder.flowstone(*command, "--dsn", f"postgresql://u:hunter2@127.0.0.1:{port}/db")
        assert time.monotonic() - began < 10
    call.is_short_error(3, f"port={port}", "refused", "FLOWSTONE_DATABASE_URL")


def test_a_string_that_is_no_connection_string_is_told_as_such(folder: Project) -> None:
    call = folder.flowstone("db", "migrate", "--dsn", "hunter2hunter2")
    call.is_short_error(3, "not a connection string", "postgresql://")


def test_a_wrong_password_is_told_without_it_and_the_right_one_serves(folder: Project) -> None:
    """The server's locale is C, so its databases have no encoding; that must not matter."""
    folder.write("one.py", "from flowstone import asset\n@asset\ndef one(): return 1")
    with password_server() as url:
        for wrong in (url.replace(PASSWORD, "hunter2"), url.replace(f":{PASSWORD}", ":hunter2%20")):
            call = folder.flowstone("run", "one.py", "--dsn", wrong)
            call.is_short_error(3, "password", 'user "flowstone"')
        assert finished(folder.flowstone("run", "one.py", "--dsn", url).lines) == ["✓ one"]
        assert "nothing to do" in folder.flowstone("run", "one.py", "--dsn", url).err
        status = folder.flowstone("db", "status", "--dsn", url)
        assert (status.code, status.err) == (0, "")
        assert PASSWORD not in status.out


# ---- db


def test_an_empty_database_is_migrated_by_command_where_runs_may_not(project: Project) -> None:
    newest = schema.newest()
    project.write("one.py", "from flowstone import asset\n@asset\ndef one(): return 1")
    off = {"FLOWSTONE_AUTO_MIGRATE": "0"}
    assert "none yet" in project.flowstone("db", "status", **off).out
    refused = project.flowstone("run", "one.py", **off)
    refused.is_short_error(3, "no Flowstone schema", "python -m flowstone db migrate")
    made = project.flowstone("db", "migrate", **off)
    assert made.code == 0
    assert made.out.startswith("applied 0001")
    assert made.out.endswith(f"the schema is now {newest}, the newest\n")
    again = project.flowstone("db", "migrate", **off)
    assert again.out == f"nothing to do: the schema is {newest}, the newest\n"
    assert project.flowstone("run", "one.py", **off).code == 0


def test_a_newer_schema_is_refused_and_shown(project: Project) -> None:
    project.write("one.py", "from flowstone import asset\n@asset\ndef one(): return 1")
    project.flowstone("db", "migrate")
    with psycopg.connect(project.settings["FLOWSTONE_DATABASE_URL"], autocommit=True) as conn:
        tables = conn.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_name LIKE 'flowstone%' AND column_name = 'version'"
            " AND data_type = 'integer'"
        ).fetchall()
        assert len(tables) == 1
        conn.execute(f"INSERT INTO {tables[0][0]} (version, name) VALUES (9999, 'later')")  # noqa: S608 - a name of ours
    for arguments in (["run", "one.py"], ["plan", "one.py"], ["db", "migrate"]):
        project.flowstone(*arguments).is_short_error(3, "schema 9999, newer", "upgrade Flowstone")
    assert "9999, newer than the" in project.flowstone("db", "status").out


def test_status_says_which_server_it_is_and_how_the_last_run_ended(project: Project) -> None:
    empty = project.flowstone("db", "status")
    assert re.search(r"^server +PostgreSQL 18\.\d+$", empty.out, re.MULTILINE)
    run = project.flowstone("run", "shop.py").lines[-1].rpartition(" ")[2]
    after = project.flowstone("db", "status")
    assert re.search(rf"^last run +{run}, success, just now$", after.out, re.MULTILINE)
    assert re.search(rf"^schema +{schema.newest()}, the newest$", after.out, re.MULTILINE)


def test_schemas_keep_projects_of_one_database_apart(project: Project) -> None:
    project.flowstone("run", "shop.py", FLOWSTONE_SCHEMA="one")
    assert project.flowstone("plan", "shop.py", "--check", FLOWSTONE_SCHEMA="one").code == 0
    assert project.flowstone("plan", "shop.py", "--check", FLOWSTONE_SCHEMA="two").code == 1
    assert "two" in project.flowstone("db", "status", FLOWSTONE_SCHEMA="two").out


# ---- help and terminals


def test_help_lists_the_commands_and_imports_nothing_heavy(folder: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flowstone", "--help"],
        capture_output=True,
        check=True,
        cwd=folder.folder,
        encoding="utf-8",
        env=folder.environment,
    )
    for command in ("run", "plan", "graph", "db"):
        assert f"\n  {command} " in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in imported
    heavy = {"anyio", "asyncio", "psycopg", "pydantic", "rich", "rustworkx", "structlog"}
    assert not imported & heavy


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], "Commands:"),
        (["db"], "migrate"),
        (["--version"], f"flowstone {__version__}\n"),
        (["run", "--help"], "--partition"),
        (["db", "migrate", "--help"], "--dsn"),
    ],
)
def test_help_and_version_go_to_stdout(folder: Project, arguments: list[str], shown: str) -> None:
    call = folder.flowstone(*arguments)
    assert (call.code, call.err) == (0, "")
    assert shown in call.out


def on_terminal(project: Project, *arguments: str) -> str:
    """What a terminal gets to see, all control sequences included."""
    ours, theirs = pty.openpty()
    settings = project.settings | {"TERM": "xterm-256color", "COLUMNS": "100"}
    with Project(project.folder, settings).start(
        *arguments, stdout=theirs, stderr=theirs, stdin=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux tells the end of a terminal so
        return b""


def test_on_a_terminal_lines_and_prints_stay_whole_above_the_status_line(
    project: Project,
) -> None:
    shown = on_terminal(project, "run", "shop.py")
    assert "planning" in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.replace("\r", "\n"))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    assert "orders for None" in lines
    assert finished(lines) == ["✓ orders", "✓ revenue", "✓ report"]
    assert any(line.startswith("3 materialized in ") for line in lines)
