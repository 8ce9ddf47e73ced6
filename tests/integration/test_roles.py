"""Roles that may do as much as they need: logged in as each, what they may and may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from flowstone import Asset, Flowstone, Retry
from flowstone.errors import SchemaError, StoreError
from flowstone.store import roles, schema
from flowstone.store.connect import connect
from flowstone.store.queries import TABLES
from tests.integration.cli_support import Project
from tests.integration.servers import PASSWORD, debian_15, password_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flowstone.core.asset import AnyAsset
    from flowstone.core.context import Context

pytestmark = [pytest.mark.anyio, pytest.mark.once]

KINDS = ("reader", "runner", "admin", "stranger")


@dataclass(frozen=True)
class Server:
    """A server that asks for passwords, and who may log in: ``reader_login`` and the like."""

    owner: str

    def database(self, name: str) -> Database:
        """A new database."""
        with psycopg.connect(self.owner, autocommit=True) as conn:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return Database(make_conninfo(self.owner, dbname=name))


@dataclass(frozen=True)
class Database:
    """A database as its owner sees it."""

    owner: str

    def seen_by(self, kind: str) -> str:
        """The connection string of somebody who has that role."""
        return make_conninfo(self.owner, user=f"{kind}_login", password=PASSWORD)

    async def set_up(self, schema_name: str | None = None, prefix: str = "flowstone") -> None:
        """Make the tables and the roles, and let in who is to have them."""
        async with await connect(self.owner) as conn:
            await schema.apply(conn, schema_name)
            await roles.apply(conn, await roles.statements(conn, schema_name, prefix))
            for kind in KINDS[:3]:
                member = sql.SQL("GRANT {} TO {}").format(
                    sql.Identifier(f"{prefix}_{kind}"), sql.Identifier(f"{kind}_login")
                )
                await conn.execute(member)


@pytest.fixture(scope="module", params=["18", "15"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    bindir = debian_15() if request.param == "15" else None
    if request.param == "15" and bindir is None:
        pytest.skip("no PostgreSQL 15 is installed")
    with password_server(bindir) as owner:
        with psycopg.connect(owner, autocommit=True) as conn:
            for kind in KINDS:
                login = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                conn.execute(login.format(sql.Identifier(f"{kind}_login"), PASSWORD))
        yield Server(owner)


@pytest.fixture(scope="module")
def database(server: Server) -> Database:
    """A database with roles, shared by the tests of this module."""
    made = server.database("shared")
    anyio.run(made.set_up)
    return made


def pinned(fn: Callable[..., Any], **options: Any) -> AnyAsset:
    return Asset(fn, name=fn.__name__, **{"code_version": "1"} | options)


def orders() -> list[int]:
    return [3, 4]


def total(orders: list[int], factor: int = 1) -> int:
    return sum(orders) * factor


def shaky(context: Context) -> int:
    print("so far")  # noqa: T201 - it is what is kept
    if context.attempt == 1:
        raise ConnectionError
    return 1


def broken() -> int:
    raise ValueError


def below(broken: int) -> int:
    return broken


ASSETS = [
    pinned(orders, pool="gpu"),
    pinned(total),
    pinned(shaky, retries=Retry(times=1, delay=0)),
    pinned(broken),
    pinned(below),
]


def opened(url: str, tmp_path: Path) -> Flowstone:
    return Flowstone(database_url=url, home=tmp_path / "home", pools="gpu=1@1000/s")


async def going_run(fs: Flowstone) -> str:
    """The run that is under way."""
    (run_id,) = [run.run_id for run in await fs.store.list_runs() if run.status == "running"]
    return run_id


async def test_a_runner_runs_whatever_there_is_to_run(database: Database, tmp_path: Path) -> None:
    async with opened(database.seen_by("runner"), tmp_path) as fs:
        result = await fs.materialize(assets=ASSETS, partition="run", raise_on_error=False)
        assert result.run.counts == {"materialized": 3, "failed": 1, "skipped": 1}
        assert [log.lines for log in await fs.logs(result.run_id, "shaky")]
        other = {"total.factor": 2}
        await fs.materialize("total", assets=ASSETS, partition="run", config=other)
        back = await fs.materialize("total", assets=ASSETS, partition="run")
        assert back.run.counts == {"reused": 2}
        again = await fs.materialize("total", assets=ASSETS, partition="run", verify=True)
        assert again.run.counts == {"verified": 2}
        assert (await fs.plan("total", assets=ASSETS, partition="run")).is_idle
        assert str(await fs.why("total", run=result.run_id, assets=ASSETS, partition="run"))


async def test_runners_wait_for_each_other_and_close_what_is_dead(
    database: Database, tmp_path: Path
) -> None:
    url = database.seen_by("runner")
    async with opened(url, tmp_path) as one, opened(url, tmp_path) as other:
        made: list[str] = []
        async with anyio.create_task_group() as group:
            for fs in (one, other):

                async def run(fs: Flowstone = fs) -> None:
                    result = await fs.materialize("total", assets=ASSETS, partition="both")
                    made.extend(row.asset_name for row in result.rows if row.status == "success")

                group.start_soon(run)
        assert sorted(made) == ["orders", "total"]
        with psycopg.connect(database.owner) as conn:
            conn.execute(
                "INSERT INTO flowstone_runs (run_id, status, target) VALUES ('dead', 'running', '')"
            )
            conn.execute(
                "INSERT INTO flowstone_leases (run_id, owner, lease_until)"
                " VALUES ('dead', '', now() - interval '1 s')"
            )
        await one.materialize("total", assets=ASSETS, partition="both", force=True)
        assert (await one.store.get_run("dead")).status == "failed"


async def test_what_people_decide_is_not_for_runners(database: Database, tmp_path: Path) -> None:
    """Nothing of it happens, and the refusal says who may."""
    going, enough = anyio.Event(), anyio.Event()

    async def slow() -> int:
        going.set()
        await enough.wait()
        return 1

    async with opened(database.seen_by("runner"), tmp_path) as fs:
        result = await fs.materialize("total", assets=ASSETS, partition="acts")
        with pytest.raises(StoreError, match="may not do that: role runner_login may run assets"):
            await fs.invalidate("total", reason="why", assets=ASSETS, partition="acts")
        edited = [ASSETS[0], pinned(total, code_version="2")]
        with pytest.raises(StoreError, match="permission denied for table flowstone_audit"):
            await fs.accept("total", reason="why", assets=edited, partition="acts")
        assert (await fs.store.get("total", "acts")).run_id == result.run_id
        assert (await fs.store.get("total", "acts")).status == "success"
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: fs.materialize(assets=[pinned(slow)], partition="acts"))
            await going.wait()
            with pytest.raises(StoreError, match="flowstone_leases"):
                await fs.cancel(await going_run(fs))
            enough.set()


async def test_an_admin_decides_and_the_database_says_who_it_was(
    database: Database, tmp_path: Path
) -> None:
    going = anyio.Event()

    async def endless() -> int:
        going.set()
        await anyio.sleep_forever()
        return 1

    async with opened(database.seen_by("admin"), tmp_path) as fs:
        await fs.materialize("total", assets=ASSETS, partition="admin")
        edited = [ASSETS[0], pinned(total, code_version="2")]
        told: dict[str, Any] = {"reason": "why", "actor": "ada", "partition": "admin"}
        assert await fs.accept("total", assets=edited, **told) == ["total"]
        assert await fs.invalidate("total", assets=ASSETS, **told) == ["total"]
        acts = await fs.store.acts("total", "admin")
        assert [(act.actor, act.db_role) for act in acts] == [("ada", "admin_login")] * 2
        async with anyio.create_task_group() as group:

            async def run() -> None:
                asked = await fs.materialize(
                    assets=[pinned(endless)], partition="admin", raise_on_error=False
                )
                assert asked.run.status == "cancelled"

            group.start_soon(run)
            await going.wait()
            await fs.cancel(await going_run(fs), reason="too long", actor="ada")
        with psycopg.connect(database.owner, client_encoding="utf8") as conn:
            found = conn.execute(
                "SELECT actor, reason, db_role FROM flowstone_audit WHERE action = 'cancel'"
            ).fetchall()
        assert found == [("ada", "too long", "admin_login")]


async def test_a_reader_sees_everything_and_writes_nothing(
    database: Database, tmp_path: Path
) -> None:
    async with opened(database.seen_by("runner"), tmp_path) as fs:
        result = await fs.materialize("shaky", assets=ASSETS, partition="read")
    async with opened(database.seen_by("reader"), tmp_path) as fs:
        assert (await fs.plan("shaky", assets=ASSETS, partition="read")).is_idle
        assert str(await fs.why("shaky", run=result.run_id, assets=ASSETS, partition="read"))
        assert await fs.logs(result.run_id)
        assert [each for each in await fs.check_database() if not each.ok] == []
        for force in (False, True):
            with pytest.raises(StoreError, match=r"this role .* may not do that: .*db roles"):
                await fs.materialize("shaky", assets=ASSETS, partition="read", force=force)


#: What a runner has no reason to do, by itself.
REFUSED = [
    "DELETE FROM flowstone_materializations",
    "TRUNCATE flowstone_materializations CASCADE",
    "UPDATE flowstone_materializations SET asset_name = 'other'",
    "UPDATE flowstone_materializations SET run_id = 'other'",
    "UPDATE flowstone_materializations SET status = 'stale' WHERE status = 'success'",
    "DELETE FROM flowstone_runs",
    "UPDATE flowstone_runs SET target = 'other'",
    "UPDATE flowstone_runs SET request = NULL",
    "UPDATE flowstone_leases SET owner = 'me'",
    "UPDATE flowstone_leases SET cancel_requested_at = now()",
    "UPDATE flowstone_lineage SET parameter = ''",
    "DELETE FROM flowstone_lineage",
    "DELETE FROM flowstone_current",
    "UPDATE flowstone_decisions SET kind = 'alias'",
    "DELETE FROM flowstone_decisions",
    "UPDATE flowstone_logs SET lines = ''",
    "DELETE FROM flowstone_logs",
    "UPDATE flowstone_code SET definitions = '{}'",
    "DELETE FROM flowstone_definitions",
    "DELETE FROM flowstone_pools",
    "INSERT INTO flowstone_audit (actor, action) VALUES ('somebody else', 'accept')",
    "UPDATE flowstone_audit SET actor = 'somebody else'",
    "DELETE FROM flowstone_audit",
    "TRUNCATE flowstone_audit",
    "INSERT INTO flowstone_schema (version, name) VALUES (99, 'x')",
    "CREATE TABLE flowstone_more (id int)",
    "ALTER TABLE flowstone_runs ADD COLUMN more int",
    "DROP TABLE flowstone_logs",
    "ALTER TABLE flowstone_audit DISABLE TRIGGER flowstone_keep_acts",
    (
        "CREATE OR REPLACE FUNCTION flowstone_sign_act() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'"
    ),
    "SET session_replication_role = replica",
    "SET ROLE flowstone_admin",
]


def refusals(database: Database, kind: str) -> list[str]:
    """The statements that somebody is refused."""
    refused = []
    with psycopg.connect(database.seen_by(kind), autocommit=True) as conn:
        for statement in REFUSED:
            try:
                with conn.transaction(force_rollback=True):
                    conn.execute(statement.encode())
            except psycopg.errors.InsufficientPrivilege:
                refused.append(statement)
    return refused


async def test_neither_reader_nor_runner_can_change_what_is_recorded(
    database: Database, tmp_path: Path
) -> None:
    async with opened(database.seen_by("admin"), tmp_path) as fs:
        await fs.materialize("total", assets=ASSETS, partition="sql")
        await fs.invalidate("orders", reason="why", assets=ASSETS, partition="sql")
    assert refusals(database, "runner") == REFUSED
    assert refusals(database, "reader") == REFUSED


def test_the_audit_stays_whoever_asks_and_nobody_signs_for_another(database: Database) -> None:
    for who in (database.seen_by("admin"), database.owner):
        with psycopg.connect(who, autocommit=True) as conn:
            row = conn.execute(
                "INSERT INTO flowstone_audit (actor, action, db_role) VALUES ('a', 'accept', 'b')"
                " RETURNING db_role = session_user"
            ).fetchone()
            assert row == (True,)
            for act in (
                b"UPDATE flowstone_audit SET actor = 'b'",
                b"DELETE FROM flowstone_audit",
                b"TRUNCATE flowstone_audit",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="audit stays"):
                    conn.execute(act)


async def test_a_stranger_is_told_what_is_missing(database: Database, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"'stranger_login' may not read .* db roles"):
        async with opened(database.seen_by("stranger"), tmp_path):
            pass


async def test_migrating_is_for_admins(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner works once the schema is current, and is told who can make it so."""
    everything = schema.migrations()
    made = server.database("older")
    with monkeypatch.context() as older:
        older.setattr(schema, "migrations", lambda: everything[:-1])
        await made.set_up("Aside", "older")
    settings: dict[str, Any] = {"home": tmp_path / "home", "schema": "Aside"}
    for auto_migrate in (True, False):
        with pytest.raises(SchemaError, match="python -m flowstone db migrate"):
            async with Flowstone(
                database_url=made.seen_by("runner"), auto_migrate=auto_migrate, **settings
            ):
                pass
    async with Flowstone(database_url=made.seen_by("admin"), **settings):
        pass
    await made.set_up("Aside", "older")  # rights on what is new
    async with Flowstone(database_url=made.seen_by("runner"), **settings) as fs:
        assert (await fs.materialize("total", assets=[pinned(orders), pinned(total)])).ok


def test_every_table_has_its_rights() -> None:
    assert set(roles.RUNNER) == set(TABLES)


@pytest.mark.parametrize("server", ["18"], indirect=True)
async def test_what_is_printed_does_what_is_applied(server: Server, tmp_path: Path) -> None:
    made = server.database("printed")
    project = Project(tmp_path, {"FLOWSTONE_DATABASE_URL": made.owner})
    project.flowstone("db", "roles").is_short_error(3, "no tables of Flowstone")
    assert project.flowstone("db", "migrate").code == 0
    printed = project.flowstone("db", "roles", "--prefix", "Ours")
    assert (printed.code, printed.err) == (0, "")
    with psycopg.connect(made.owner, autocommit=True) as conn:
        assert conn.execute("SELECT FROM pg_roles WHERE rolname ~ '^Ours'").rowcount == 0
        for _ in range(2):
            conn.execute(printed.out.encode())
        conn.execute('GRANT "Ours_runner" TO runner_login')
    async with Flowstone(database_url=made.seen_by("runner"), home=tmp_path / "home") as fs:
        assert (await fs.materialize("total", assets=[pinned(orders), pinned(total)])).ok
    applied = project.flowstone("db", "roles", "--prefix", "Ours", "--apply")
    assert (applied.code, applied.err) == (0, "")
    assert "Ours_reader, Ours_runner, Ours_admin" in applied.out
    again = project.flowstone("db", "roles", "--apply", "--dsn", made.seen_by("runner"))
    again.is_short_error(3, "nothing was changed", "superuser")


@pytest.mark.parametrize("prefix", ['x"; DROP ROLE y; --', "$$", "a" * 60, "pg"])
def test_a_prefix_that_is_no_name_is_refused(prefix: str) -> None:
    with pytest.raises(SchemaError, match="prefix"):
        roles.names(prefix)
