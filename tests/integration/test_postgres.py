"""What only Postgres can show: writers at once, dead runs, migrations, connections refused."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
import uuid
from importlib.resources import files
from typing import TYPE_CHECKING

import anyio
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from flowstone.api import Flowstone
from flowstone.core.records import Draft, Run
from flowstone.core.status import TRANSITIONS
from flowstone.errors import DatabaseUnavailableError, RunLostError, SchemaError, StoreError
from flowstone.ids import materialization_id
from flowstone.store import schema
from flowstone.store.connect import connect, describe, open_store
from flowstone.store.link import Link
from flowstone.store.postgres import PostgresStore
from tests.integration.servers import PASSWORD, closed_port, password_server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def run(run_id: str) -> Run:
    return Run(run_id=run_id, status="running", target="a", started_at=dt.datetime.now(dt.UTC))


@pytest.mark.parametrize("writers", [10, 200])
async def test_concurrent_writers_through_a_small_pool_are_all_recorded_once(
    database: str, tmp_path: Path, writers: int
) -> None:
    async with open_store(database, tmp_path) as store:

        async def write(number: int) -> None:
            row = await store.create(asset_name=f"asset_{number}", run_id="run")
            await store.update_status(row.id, "running")
            await store.update_status(row.id, "success", metadata={"number": number})

        async with anyio.create_task_group() as group:
            for number in range(writers):
                group.start_soon(write, number)
        rows = await store.get_by_run_id("run")
        assert sorted(row.metadata["number"] for row in rows) == list(range(writers))
        assert {row.status for row in rows} == {"success"}


async def test_concurrent_creates_of_one_key_leave_one_row(database: str, tmp_path: Path) -> None:
    refused = []
    async with open_store(database, tmp_path) as store:

        async def write() -> None:
            try:
                await store.create(asset_name="a", run_id="run", partition=None)
            except StoreError as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(write)
        assert len(await store.get_by_run_id("run")) == 1
        assert len(refused) == 19


async def test_the_database_enforces_the_same_transitions_as_the_code(migrated: str) -> None:
    legal = {(a, b) for a, after in TRANSITIONS.items() for b in after}
    async with await connect(migrated) as conn:
        await schema.ensure(conn, None, migrate=True)
        for present in TRANSITIONS:
            for wanted in TRANSITIONS:
                allowed = present == wanted or (present, wanted) in legal
                assert await _moves(conn, present, wanted) == allowed, (present, wanted)


async def _moves(conn: psycopg.AsyncConnection[object], present: str, wanted: str) -> bool:
    """Whether a plain UPDATE gets a row from one status to the other."""
    try:
        async with conn.transaction(force_rollback=True):
            key = uuid.uuid4()
            await conn.execute(
                "INSERT INTO flowstone_materializations"
                " (id, asset_name, run_id, status, started_at, completed_at)"
                " VALUES (%s, 'a', 'r', %s, now(), CASE WHEN %s IN"
                " ('pending', 'running', 'waiting_approval') THEN NULL ELSE now() END)",
                [key, present, present],
            )
            await conn.execute(
                "UPDATE flowstone_materializations SET status = %s, completed_at = CASE WHEN %s IN"
                " ('pending', 'running', 'waiting_approval') THEN NULL ELSE now() END"
                " WHERE id = %s",
                [wanted, wanted, key],
            )
    except psycopg.errors.Error as error:
        assert error.sqlstate == "FS001"  # noqa: PT017 - anything else is another failure
        return False
    return True


async def test_a_new_run_closes_the_rows_of_dead_runs(database: str, tmp_path: Path) -> None:
    async with open_store(database, tmp_path) as store:
        begun = run("dead")
        rows = [_draft("waits", "dead"), _draft("runs", "dead"), _draft("done", "dead")]
        await store.start_run(begun, rows)
        moment = dt.datetime.now(dt.UTC)
        rows[1].status, rows[1].started_at = "running", moment
        rows[2].status, rows[2].started_at, rows[2].completed_at = "success", moment, moment
        await store.write("dead", rows[1:])
        await store.start_run(run("other"), [])
        assert {row.status for row in await store.get_by_run_id("dead")} == {
            "pending",
            "running",
            "success",
        }
        async with await connect(database) as conn:
            await conn.execute(
                "UPDATE flowstone_leases SET lease_until = now() - interval '1 second'"
                " WHERE run_id = 'dead'"
            )
        await store.start_run(run("next"), [])
        ends = {row.asset_name: row.status for row in await store.get_by_run_id("dead")}
        assert ends == {"waits": "cancelled", "runs": "failed", "done": "success"}
        assert (await store.get("runs")).error_type == "RunLost"
        assert (await store.get_run("dead")).status == "failed"
        assert (await store.get_run("other")).status == "running"
        with pytest.raises(RunLostError):
            await store.write("dead", [_draft("late", "dead")])


def _draft(name: str, run_id: str) -> Draft:
    return Draft(
        id=materialization_id(),
        asset_name=name,
        partition=None,
        run_id=run_id,
        executor_node="here",
        upstream_assets=[],
    )


class TestSchema:
    async def test_an_empty_database_is_migrated_on_first_use(
        self, database: str, tmp_path: Path
    ) -> None:
        async with open_store(database, tmp_path) as store:
            assert await store.list_runs() == []

    async def test_the_tables_go_into_the_schema_that_is_set(
        self, database: str, tmp_path: Path
    ) -> None:
        for name in ("one", "two"):
            async with open_store(database, tmp_path, schema_name=name) as store:
                assert not await store.exists("a")
                await store.create(asset_name="a", run_id="r")

    async def test_auto_migrate_off_names_the_command(self, database: str, tmp_path: Path) -> None:
        with pytest.raises(SchemaError, match="python -m flowstone db migrate"):
            async with open_store(database, tmp_path, auto_migrate=False):
                pass

    async def test_a_newer_schema_is_refused(self, database: str, tmp_path: Path) -> None:
        async with open_store(database, tmp_path):
            pass
        async with await connect(database) as conn:
            await conn.execute("INSERT INTO flowstone_schema (version, name) VALUES (9999, 'x')")
        with pytest.raises(SchemaError, match="schema 9999, newer"):
            async with open_store(database, tmp_path):
                pass

    def test_processes_that_migrate_at_once_wait_for_each_other(self, database: str) -> None:
        code = (
            "import anyio, sys\n"
            "from pathlib import Path\n"
            "from flowstone.store.connect import open_store\n"
            "async def main():\n"
            "    async with open_store(sys.argv[1], Path('.')) as store:\n"
            "        await store.create(asset_name='a', run_id=sys.argv[2])\n"
            "anyio.run(main)\n"
        )
        processes = [
            subprocess.Popen([sys.executable, "-c", code, database, f"run-{number}"])
            for number in range(4)
        ]
        assert [process.wait() for process in processes] == [0] * 4
        with psycopg.connect(database) as conn:
            rows = conn.execute("SELECT run_id FROM flowstone_materializations").fetchall()
        assert len(rows) == 4

    async def test_without_the_right_to_create_tables_it_says_so(
        self, database_18: str, tmp_path: Path
    ) -> None:
        async with await connect(database_18) as conn:
            await conn.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            await conn.execute("CREATE ROLE guest")
        try:
            with pytest.raises(SchemaError, match="no right to create the tables"):
                async with open_store(f"{database_18} options='-c role=guest'", tmp_path):
                    pass
        finally:
            async with await connect(database_18) as conn:
                await conn.execute("DROP ROLE guest")

    @pytest.mark.parametrize("name", ["", "a b", 'x"; drop', "x" * 64])
    async def test_a_name_that_can_not_be_a_schema_is_refused(self, name: str) -> None:
        with pytest.raises(SchemaError, match="schema"):
            schema.check_name(name)

    def test_migrations_are_numbered_without_gaps(self) -> None:
        assert [m.version for m in schema.migrations()] == list(range(1, schema.newest() + 1))

    def test_every_sql_file_is_a_migration(self) -> None:
        names = [f.name for f in files("flowstone.store").joinpath("migrations").iterdir()]
        assert all(re.fullmatch(r"\d{4}_\w+\.sql", n) for n in names if n.endswith(".sql"))


class TestConnections:
    async def test_a_closed_port_is_told_quickly(self, tmp_path: Path) -> None:
        with closed_port() as port, pytest.raises(DatabaseUnavailableError, match=f"{port}"):
            async with open_store(f"postgresql://u:hush@127.0.0.1:{port}/x", tmp_path):
                pass

    async def test_what_is_no_connection_string_is_not_repeated(self, tmp_path: Path) -> None:
        with pytest.raises(DatabaseUnavailableError) as caught:
            async with open_store("postgresql://u:hush@[bad/x", tmp_path):
                pass
        assert "hush" not in str(caught.value)

    def test_a_description_has_no_secret(self) -> None:
        shown = describe("postgresql://me:hush@db.example:5433/shop?sslpassword=hush")
        assert "db.example" in shown
        assert "shop" in shown
        assert "hush" not in shown

    async def test_a_wrong_password_is_told_without_it(self, tmp_path: Path) -> None:
        with password_server() as url:
            async with open_store(url, tmp_path) as store:
                assert await store.list_runs() == []
            with pytest.raises(DatabaseUnavailableError, match="authentication failed") as caught:
                async with open_store(url.replace(PASSWORD, "wrong-secret"), tmp_path):
                    pass
        assert "wrong-secret" not in str(caught.value)

    async def test_a_connection_that_breaks_is_replaced(
        self, database_18: str, tmp_path: Path
    ) -> None:
        async with open_store(database_18, tmp_path) as store:
            await store.exists("a")  # the pool has its connection now
            async with await connect(database_18) as conn:
                await conn.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await store.create(asset_name="a", run_id="r")
            assert await store.exists("a")


async def test_an_error_of_the_database_shows_no_row(database_18: str) -> None:
    """A refused row's DETAIL would quote the whole row."""
    async with (
        AsyncConnectionPool(database_18, open=False, kwargs={"autocommit": True}) as pool,
        pool.connection() as conn,
    ):
        await schema.ensure(conn, None, migrate=True)
        store = PostgresStore(Link(pool))
        with pytest.raises(StoreError) as caught:
            await store.create(asset_name="a", run_id="r", attempt=0, error_message="hush")
    assert "hush" not in str(caught.value)


async def test_flowstone_opens_the_embedded_server_when_nothing_is_set(tmp_path: Path) -> None:
    async with Flowstone() as fs:
        assert await fs.store.list_runs() == []
    assert os.environ["FLOWSTONE_HOME"] == str(tmp_path / "home")
