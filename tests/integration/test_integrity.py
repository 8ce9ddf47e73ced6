"""What must be true of every database: each invariant broken on purpose, and named."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from flowstone import Asset, Flowstone
from flowstone.errors import StoreError
from flowstone.store.integrity import INVARIANTS, NAMED
from flowstone.store.memory import MemoryStore
from tests.conftest import new_database
from tests.integration.cli_support import Project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flowstone.core.asset import AnyAsset
    from flowstone.store.embedded import EmbeddedServer

pytestmark = pytest.mark.anyio

BIG = 100_000


def pinned(fn: Callable[..., Any], **options: Any) -> AnyAsset:
    return Asset(fn, name=fn.__name__, code_version="1", **options)


def small() -> int:
    return 7


def big() -> bytes:
    return b"x" * BIG


def both(small: int, big: bytes) -> int:
    return small + len(big)


def beside() -> str:
    return "only asked to be there"


ASSETS = [pinned(small), pinned(big), pinned(both, deps=["beside"]), pinned(beside)]


async def violations(fs: Flowstone) -> dict[str, int]:
    """The invariants that are broken, and how often."""
    found = await fs.check_database()
    assert [each.invariant for each in found] == list(INVARIANTS)
    return {each.invariant.number: each.violations for each in found if not each.ok}


async def fill(database: str, home: Path) -> None:
    """All four are made, in two partitions, and one once more."""
    async with Flowstone(database_url=database, home=home) as opened:
        for partition in (None, "mon"):
            await opened.materialize(assets=ASSETS, partition=partition)
        await opened.materialize("big", assets=ASSETS, force=True)


@pytest.fixture(scope="module")
def filled(postgres_18: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """A database to copy, and the home it was filled from."""
    database, home = new_database(postgres_18), tmp_path_factory.mktemp("filled")
    anyio.run(fill, database, home)
    return Filled(postgres_18, database, home)


@dataclass(frozen=True)
class Filled:
    """A database that others are copies of."""

    server: EmbeddedServer
    database: str
    home: Path

    def copy(self) -> str:
        """The connection string of a copy."""
        names = [f"test_{uuid.uuid4().hex}", str(conninfo_to_dict(self.database)["dbname"])]
        with psycopg.connect(self.server.conninfo(), autocommit=True) as conn:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            conn.execute(statement.format(*map(sql.Identifier, names)))
        return self.server.conninfo(names[0])


def break_by(database: str, statements: str) -> None:
    """Do what our tables let nobody do: neither triggers nor foreign keys are heeded."""
    with psycopg.connect(database) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(statements.encode())


async def test_what_runs_leave_is_whole(database: str, tmp_path: Path) -> None:
    await fill(database, tmp_path / "home")
    async with Flowstone(database_url=database, home=tmp_path / "home") as opened:
        assert await violations(opened) == {}


#: By invariant: what is done, and who is named for what.
HARM = [
    (
        "I1",
        "DELETE FROM flowstone_materializations WHERE asset_name = 'small' AND partition IS NULL",
        ("both", "not recorded"),
    ),
    (
        "I1",
        "UPDATE flowstone_materializations SET status = 'cancelled' WHERE asset_name = 'beside'",
        ("both", "which is cancelled"),
    ),
    (
        "I2",
        "DELETE FROM flowstone_lineage WHERE parameter = 'big'",
        ("both", "names 3 inputs and has 2 edges"),
    ),
    (
        "I2",
        "UPDATE flowstone_materializations SET data_version = 'other' WHERE asset_name = 'small'",
        ("both", "read of small"),
    ),
    (
        "I2",
        "UPDATE flowstone_materializations SET data_version = 'other' WHERE asset_name = 'beside'",
        ("both", "read of beside"),
    ),
    ("I3", "DELETE FROM flowstone_current WHERE asset_name = 'both'", ("both", "no current")),
    (
        "I3",
        (
            "ALTER TABLE flowstone_current "
            "DROP CONSTRAINT flowstone_current_asset_name_partition_key;"
            " INSERT INTO flowstone_current SELECT * FROM flowstone_current"
            " WHERE asset_name = 'both'"
        ),
        ("both", "2 heads"),
    ),
    (
        "I3",
        (
            "UPDATE flowstone_current c SET materialization_id = m.id"
            " FROM flowstone_materializations m"
            " WHERE c.asset_name = 'both' AND c.partition IS NULL AND m.asset_name = 'both'"
            " AND m.partition = 'mon'"
        ),
        ("both", "of another partition"),
    ),
    (
        "I3",
        "UPDATE flowstone_current SET claimed_by = 'r', fence = 0 WHERE asset_name = 'both'",
        ("both", "with fence 0"),
    ),
    (
        "I4",
        "UPDATE flowstone_materializations SET value_inline = '8' WHERE asset_name = 'small'",
        ("small", "not what was recorded"),
    ),
    (
        "I4",
        "UPDATE flowstone_materializations SET value_size = 3 WHERE asset_name = 'big'",
        ("big", "doesn't hold what was recorded"),
    ),
    (
        "I4",
        (
            "UPDATE flowstone_materializations SET content_digest = '../../../etc/passwd'"
            " WHERE asset_name = 'big'"
        ),
        ("big", "is no digest"),
    ),
    (
        "I5",
        (
            "UPDATE flowstone_materializations SET status = 'pending', completed_at = NULL"
            " WHERE asset_name = 'both'"
        ),
        ("both", "it is pending, and its run has ended"),
    ),
    (
        "I5",
        "INSERT INTO flowstone_runs (run_id, status, target) VALUES ('r', 'running', 'a')",
        (None, "has no lease"),
    ),
    (
        "I5",
        "INSERT INTO flowstone_leases (run_id, owner, lease_until) VALUES ('r', 'o', now())",
        (None, "not recorded"),
    ),
    (
        "I5",
        "INSERT INTO flowstone_slots (pool, run_id, asset_name) VALUES ('gpu', 'r', 'both')",
        ("both", "in pool gpu"),
    ),
    (
        "I6",
        "UPDATE flowstone_materializations SET attempts = '[1, 2]' WHERE asset_name = 'both'",
        ("both", "attempt 1 has 2 failed"),
    ),
    (
        "I6",
        "UPDATE flowstone_materializations SET attempts = '{}' WHERE asset_name = 'both'",
        ("both", "attempt 1 has 1 failed"),
    ),
    (
        "I2",
        (
            "UPDATE flowstone_materializations SET inputs = '{\"upstream\": {}}'"
            " WHERE asset_name = 'both'"
        ),
        ("both", "names 0 inputs and has 3 edges"),
    ),
    (
        "I6",
        (
            "INSERT INTO flowstone_decisions (run_id, asset_name, kind, materialization_id)"
            " SELECT 'r', asset_name, 'history', id FROM flowstone_materializations"
            " WHERE asset_name = 'small' LIMIT 1"
        ),
        ("small", "not recorded"),
    ),
    (
        "I6",
        "ALTER TABLE flowstone_materializations DISABLE TRIGGER flowstone_check_transition",
        (None, "flowstone_check_transition is missing or disabled"),
    ),
    ("I6", "DROP TRIGGER flowstone_keep_acts ON flowstone_audit", (None, "flowstone_keep_acts")),
    (
        "I7",
        "UPDATE flowstone_runs SET counts = jsonb_set(counts, '{materialized}', '9')",
        (None, "made 9 assets"),
    ),
    (
        "I7",
        "UPDATE flowstone_materializations SET status = 'failed' WHERE asset_name = 'both'",
        ("both", "its run counts as success"),
    ),
]


@pytest.mark.once
@pytest.mark.parametrize(("number", "harm", "told"), HARM)
async def test_an_invariant_that_is_broken_is_named(
    number: str, harm: str, told: tuple[str | None, str], filled: Filled
) -> None:
    database = filled.copy()
    break_by(database, harm)
    async with Flowstone(database_url=database, home=filled.home) as opened:
        found = {each.invariant.number: each for each in await opened.check_database()}
    named = [(each.asset, each.what) for each in found[number].offenders]
    assert any(asset == told[0] and told[1] in what for asset, what in named), named


@pytest.mark.once
@pytest.mark.parametrize("way", ["delete", "truncate", "flip", "link"])
async def test_a_value_file_that_is_not_what_it_was_is_named(
    way: str, database_18: str, tmp_path: Path
) -> None:
    """Once for each row that has it; those of other assets are well."""
    home = tmp_path / "home"
    await fill(database_18, home)
    (file,) = [
        each for each in (home / "values").rglob("*") if each.is_file() and len(each.name) == 40
    ]
    if way == "flip":
        file.write_bytes(b"y" + file.read_bytes()[1:])
    elif way == "truncate":
        os.truncate(file, 10)
    else:
        moved = file.rename(tmp_path / "elsewhere")
        if way == "link":
            file.symlink_to(moved)
    async with Flowstone(database_url=database_18, home=home) as opened:
        found = {each.invariant.number: each for each in await opened.check_database()}
        assert (found["I4"].violations, {each.asset for each in found["I4"].offenders}) == (
            3,
            {"big"},
        )
        without = await opened.check_database(values=False)
    assert [each.invariant.number for each in without if each.ok] == [
        "I1",
        "I2",
        "I3",
        "I5",
        "I6",
        "I7",
    ]


async def test_only_some_offenders_are_named_and_all_are_counted(filled: Filled) -> None:
    database = filled.copy()
    break_by(
        database,
        "INSERT INTO flowstone_runs (run_id, status, target)"
        " SELECT 'r' || n, 'running', 'a' FROM generate_series(1, 30) n",
    )
    async with Flowstone(database_url=database, home=filled.home) as opened:
        (open_,) = [each for each in await opened.check_database() if not each.ok]
    assert (open_.violations, len(open_.offenders)) == (30, NAMED)


async def test_a_run_under_way_gives_no_false_alarm(database: str, tmp_path: Path) -> None:
    """Looked at all along, with rows in every state, and a run that was cut off."""
    looks: list[dict[str, int]] = []
    going, enough = anyio.Event(), anyio.Event()

    async def made(small: int) -> int:
        going.set()
        await enough.wait()
        return small

    async def broken(small: int) -> int:
        raise ValueError(small)

    async def below(broken: int, made: int) -> int:
        return broken + made

    many = [
        Asset(lambda small, n=n: small + n, name=f"many_{n}", code_version="1") for n in range(40)
    ]
    assets = [pinned(small), *(pinned(each) for each in (made, broken, below)), *many]
    async with (
        Flowstone(database_url=database, home=tmp_path / "home") as opened,
        Flowstone(database_url=database, home=tmp_path / "home") as other,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(
                lambda: opened.materialize(assets=assets, raise_on_error=False, max_concurrency=2)
            )
            await going.wait()
            looks += [await violations(other) for _ in range(10)]
            statuses = {row.status for row in await other.store.list_by_status("running")}
            assert statuses == {"running"}
            enough.set()
            looks.append(await violations(other))
        looks.append(await violations(other))
    assert looks == [{}] * 12


async def test_a_reader_of_the_database_is_all_it_takes(filled: Filled) -> None:
    """Nothing is written, and no lock is asked for that a writer would wait for."""
    database = filled.copy()
    with psycopg.connect(database, autocommit=True) as conn:
        name = sql.Identifier(str(conninfo_to_dict(database)["dbname"]))
        conn.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name)
        )
    async with Flowstone(database_url=database, home=filled.home) as opened:
        assert await violations(opened) == {}


async def test_a_schema_of_ones_own_is_looked_at(database_18: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"database_url": database_18, "home": tmp_path / "home"}
    async with Flowstone(**settings, schema="Aside") as aside, Flowstone(**settings) as plain:
        await aside.materialize(assets=ASSETS)
        break_by(database_18, 'DELETE FROM "Aside".flowstone_lineage')
        assert await violations(aside) == {"I2": 1}
        assert await violations(plain) == {}


async def test_a_store_in_memory_has_nothing_to_check(tmp_path: Path) -> None:
    async with Flowstone(store=MemoryStore(), home=tmp_path) as opened:
        with pytest.raises(StoreError, match="no database to check"):
            await opened.check_database()


def test_the_command_line_tells_it(filled: Filled, tmp_path: Path) -> None:
    database = filled.copy()
    settings = {"FLOWSTONE_DATABASE_URL": database, "FLOWSTONE_VALUES": str(filled.home / "values")}
    project = Project(tmp_path, settings)
    call = project.flowstone("db", "check")
    assert (call.code, call.err) == (0, "")
    assert [line.rsplit(": ")[-1] for line in call.out.splitlines()] == ["ok"] * len(INVARIANTS)
    break_by(database, "DELETE FROM flowstone_lineage WHERE parameter = 'big'")
    call = project.flowstone("db", "check", "--skip-values")
    assert (call.code, call.err) == (5, "")
    assert (
        "I2  the versions a success read are those it was made of: 2 violations\n"
        "    asset both, partition mon, run "
    ) in call.out
    assert "I4" not in call.out
    document = json.loads(project.flowstone("db", "check", "--json").out)
    assert {each["invariant"]: each["violations"] for each in document["invariants"]}["I2"] == 2
    assert document["invariants"][1]["offenders"][0]["asset"] == "both"


def test_a_database_without_our_tables_is_told(database_18: str, tmp_path: Path) -> None:
    call = Project(tmp_path, {"FLOWSTONE_DATABASE_URL": database_18}).flowstone("db", "check")
    call.is_short_error(3, "no tables of Flowstone", "FLOWSTONE_DATABASE_URL")
