"""The commands about the server: started, stopped, looked at, dumped and emptied."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from flowstone.store.embedded import EmbeddedServer, binaries, guardian
from tests.integration.cli_support import Project
from tests.integration.servers import PASSWORD, debian_15, password_server

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE = """
    from flowstone import asset

    @asset
    def one() -> str:
        return "SET transaction_timeout 'ü' \\\\"
"""
# Uses the database until it is told to end.
ENDLESS = """
    import sys
    from flowstone import asset

    @asset
    def endless() -> int:
        print("began", file=sys.stderr, flush=True)
        return len(sys.stdin.read())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Project]:
    """A project with the embedded server, which ends with the test."""
    project = Project(tmp_path)
    project.write("one.py", ONE)
    project.write("endless.py", ENDLESS)
    yield project
    project.flowstone("db", "stop", "--force")


@pytest.fixture
def project(folder: Project, database_18: str) -> Project:
    """A project with an empty database."""
    return Project(folder.folder, {"FLOWSTONE_DATABASE_URL": database_18})


def told(text: str) -> dict[str, str]:
    """The lines ``name  text`` that commands print."""
    return {line[:10].strip(): line[10:] for line in text.splitlines()}


def load(url: str, dump: str | Path, psql: Path) -> None:
    """Load a dump into an empty database as its user would."""
    call = [str(psql), "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={dump}"]
    place = urlsplit(url)
    environment = {"PGPASSWORD": place.password or "", "PATH": os.defpath}
    bare = url.replace(f":{place.password}@", "@")
    done = subprocess.run(
        [*call, bare], check=False, env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr


def test_status_starts_nothing_and_says_so(folder: Project) -> None:
    call = folder.flowstone("db", "status")
    assert call.code == 0
    assert told(call.out)["server"] == "embedded, does not run; it starts when it is used"
    document = json.loads(folder.flowstone("db", "status", "--json").out)
    assert (document["running"], document["schema_version"]) == (False, None)
    assert not (folder.folder / "home").exists()


def test_a_kept_server_runs_until_it_is_stopped(folder: Project) -> None:
    begun = folder.flowstone("db", "start", "--keep")
    assert (begun.code, begun.err) == (0, "")
    lines = told(begun.out)
    assert lines["runs"].startswith("kept until")
    with psycopg.connect(lines["connect"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    folder.flowstone("run", "one.py")
    status = told(folder.flowstone("db", "status").out)
    assert status["runs"] == "kept until: python -m flowstone db stop"
    assert "success" in status["last run"]
    document = json.loads(folder.flowstone("db", "status", "--json").out)
    assert (document["kept"], document["users"] or []) == (True, [])
    assert folder.flowstone("db", "stop").out == "stopped\n"
    assert folder.flowstone("db", "stop").out == "nothing to do: it does not run\n"
    assert "nothing to do" in folder.flowstone("run", "one.py").err


def test_a_server_in_use_is_stopped_by_force_only(folder: Project) -> None:
    user = EmbeddedServer(folder.folder / "home")
    user.start()
    whom = f"pid {os.getpid()}" if Path("/proc/locks").exists() else "another process"
    for arguments in (["stop"], ["reset", "--yes"]):
        folder.flowstone("db", *arguments).is_short_error(3, f"in use by {whom}")
    assert user.status().running
    assert f"used by {whom}" in folder.flowstone("db", "status").out
    assert folder.flowstone("db", "stop", "--force").out == "stopped\n"
    assert guardian.is_free(str(user.data.parent), "server.lock")
    user.release()


@pytest.mark.parametrize("command", ["start", "stop"])
def test_a_server_of_ones_own_is_not_started_or_stopped(project: Project, command: str) -> None:
    project.flowstone("db", command).is_short_error(2, "FLOWSTONE_DATABASE_URL", "embedded")


@pytest.mark.parametrize("server", ["wheel", "debian15"])
def test_a_dump_of_the_embedded_server_moves_to_a_real_one(folder: Project, server: str) -> None:
    """What was made is reused there; a file appears whole, and only its owner reads it."""
    bindir = debian_15() if server == "debian15" else binaries.find().bindir
    if bindir is None:
        pytest.skip("no PostgreSQL 15 is installed")
    folder.flowstone("run", "one.py")
    call = folder.flowstone("db", "dump", "taken.sql")
    assert (call.code, call.out) == (0, "")
    taken = folder.folder / "taken.sql"
    assert taken.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.folder.glob(".taken*")] == []
    with password_server(bindir) as url:
        load(url, taken, bindir / "psql")
        settings = {"FLOWSTONE_DATABASE_URL": url}
        assert "nothing to do" in folder.flowstone("run", "one.py", **settings).err
        again = folder.flowstone("db", "dump", **settings)
        assert (again.code, again.err) == (0, "")
        assert PASSWORD not in again.out
        assert "COPY public.flowstone_materializations " in again.out


def test_a_dump_holds_our_tables_alone_and_keeps_their_schema(project: Project) -> None:
    url = project.settings["FLOWSTONE_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE payroll (eur int)")
    project.flowstone("run", "one.py", FLOWSTONE_SCHEMA="Mine")
    out = project.flowstone("db", "dump", FLOWSTONE_SCHEMA="Mine").out
    assert 'CREATE SCHEMA IF NOT EXISTS "Mine";' in out
    assert 'FUNCTION "Mine".flowstone_check_transition()' in out
    assert "payroll" not in out
    project.flowstone("db", "dump").is_short_error(3, "no tables of Flowstone", "FLOWSTONE_SCHEMA")


def test_a_password_never_stands_on_a_command_line(folder: Project) -> None:
    """A pg_dump of the user's own is called with what it needs, and tells how."""
    tools = folder.folder / "tools"
    tools.mkdir()
    spy = tools / "pg_dump"
    spy.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.0" && exit\n'
        'echo "arguments: $*"; echo "password: $PGPASSWORD"\n'
        "echo hidden: $PGPASSWORD >&2; exit 1\n"
    )
    tools.chmod(0o755)
    spy.chmod(0o755)
    with password_server() as url:
        settings = {"FLOWSTONE_DATABASE_URL": f"{url}?keepalives_idle=60"}
        folder.flowstone("run", "one.py", **settings)
        path = f"{tools}:{os.environ['PATH']}"
        call = folder.flowstone("db", "dump", **settings, PATH=path)
        file = folder.flowstone("db", "dump", "file.sql", **settings, PATH=path)
    arguments = re.findall("arguments: (.*)", call.out)
    if arguments:  # root's account may not reach the test's folder
        assert PASSWORD not in arguments[0]
        assert "--dbname=keepalives_idle=60" in arguments[0]
        assert f"password: {PASSWORD}" in call.out
        assert call.err == "error: pg_dump failed: hidden: ***\n"
        assert (call.code, file.code) == (3, 3)
        assert not (folder.folder / "file.sql").exists()
    assert [path.name for path in folder.folder.glob(".file*")] == []


def test_a_dump_that_cannot_be_written_is_told(project: Project) -> None:
    project.flowstone("db", "migrate")
    project.flowstone("db", "dump", "nowhere/x.sql").is_short_error(2, "nowhere/x.sql", "No such")


@pytest.mark.parametrize("schema", ["", "mine"])
def test_reset_drops_ours_alone_and_the_next_run_begins_anew(project: Project, schema: str) -> None:
    settings = {"FLOWSTONE_SCHEMA": schema} if schema else {}
    url = project.settings["FLOWSTONE_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE payroll (eur int)")
    project.flowstone("run", "one.py", **settings)
    asked = project.flowstone("db", "reset", **settings)
    assert (asked.code, asked.out) == (2, "")
    assert asked.err.startswith("error: nothing was removed: --yes removes our tables")
    assert project.flowstone("plan", "one.py", "--check", **settings).code == 0
    call = project.flowstone("db", "reset", "--yes", **settings)
    assert (call.code, call.err) == (0, "")
    assert call.out.startswith("dropped ")
    with psycopg.connect(url) as connection:
        left = connection.execute(
            "SELECT relname::text FROM pg_class WHERE relname LIKE 'flowstone%'"
            " UNION ALL SELECT proname::text FROM pg_proc WHERE proname LIKE 'flowstone%'"
            " UNION ALL SELECT nspname::text FROM pg_namespace WHERE nspname = 'mine'"
        ).fetchall()
        assert left == []
        assert connection.execute("SELECT count(*) FROM payroll").fetchone() == (0,)
    assert project.flowstone("db", "reset", "--yes", **settings).code == 3
    assert "✓ one" in project.flowstone("run", "one.py", **settings).err


def test_reset_is_refused_while_a_run_is_alive(project: Project) -> None:
    with project.start("run", "endless.py", stdin=subprocess.PIPE) as run:
        assert run.stderr is not None
        assert run.stdin is not None
        for line in run.stderr:
            if line == "began\n":
                break
        project.flowstone("db", "reset", "--yes").is_short_error(3, "a run is alive", "end it")
        run.stdin.close()
        run.stderr.read()
    assert run.returncode == 0


def test_reset_is_refused_while_something_needs_our_tables(project: Project) -> None:
    project.flowstone("db", "migrate")
    with psycopg.connect(project.settings["FLOWSTONE_DATABASE_URL"]) as connection:
        connection.execute("CREATE VIEW ledger AS SELECT run_id FROM flowstone_runs")
    call = project.flowstone("db", "reset", "--yes")
    assert call.code == 3
    assert "nothing was dropped" in call.err
    assert "ledger" in call.err


def test_reset_of_the_embedded_server_removes_its_data(folder: Project) -> None:
    folder.flowstone("run", "one.py")
    server = EmbeddedServer(folder.folder / "home")
    assert server.data.exists()
    assert folder.flowstone("db", "reset", "--yes").out.startswith("removed the data")
    assert not server.data.exists()
    assert folder.flowstone("db", "reset", "--yes").out.startswith("nothing to do: there are no")
    assert "✓ one" in folder.flowstone("run", "one.py").err


# ---- doctor


def examined(call_out: str) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(call_out)["checks"]}


def test_doctor_finds_a_sound_machine_sound(folder: Project) -> None:
    call = folder.flowstone("doctor")
    assert (call.code, call.err) == (0, ""), call.out
    assert "PROBLEM" not in call.out
    assert re.search(
        r"^server +ok +PostgreSQL 18\.\d+, embedded, started in", call.out, re.MULTILINE
    )
    assert re.search(r"^schema +note +none yet -> .*db migrate", call.out, re.MULTILINE)
    folder.flowstone("run", "one.py")
    found = examined(folder.flowstone("doctor", "--json").out)
    assert found["schema"]["state"] == "ok"
    assert found["setting home"]["text"].endswith("(FLOWSTONE_HOME)")


def test_doctor_looks_at_a_server_of_ones_own_and_tells_no_password(folder: Project) -> None:
    with password_server() as url:
        call = folder.flowstone("doctor", "--dsn", url)
        assert call.code == 0
        assert re.search(r"^database +ok +PostgreSQL 18", call.out, re.MULTILINE)
        assert PASSWORD not in call.out


def test_doctor_ends_with_3_where_there_is_a_problem(folder: Project) -> None:
    call = folder.flowstone("doctor", FLOWSTONE_DATABASE_URL="postgresql://u:hunter2@[::1]:1/d")
    assert (call.code, call.err) == (3, "")
    assert re.search(r"^database +PROBLEM +no connection .* -> check", call.out, re.MULTILINE)
    assert "hunter2" not in call.out


def test_doctor_tells_what_was_left_behind(folder: Project) -> None:
    server = EmbeddedServer(folder.folder / "home")
    server.start(keep=True)
    server.stop()
    older = server.data.parent.with_name("17") / "data"
    older.mkdir(parents=True)
    found = [
        check
        for check in json.loads(folder.flowstone("doctor", "--json").out)["checks"]
        if check["name"] == "leftovers"
    ]
    shutil.rmtree(older.parent)
    assert any("holds data of PostgreSQL 17" in check["text"] for check in found)
    assert all(check["state"] == "note" for check in found)
