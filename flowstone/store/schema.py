"""Bringing a database's schema up to this Flowstone: numbered SQL files, one at a time."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import errors as pg
from psycopg import sql

from flowstone.core.hashing import combine
from flowstone.errors import SchemaError, StoreError
from flowstone.store.queries import Queries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from psycopg import AsyncConnection

_IDENTIFIER_BYTES = 63  # Postgres cuts longer ones off without a word
_LOCK_WAIT = "60s"
_FILES = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    version: int
    name: str
    statements: str


def migrations() -> list[Migration]:
    """All migrations of this Flowstone, by number."""
    found = []
    for file in _FILES.iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.version)


def newest() -> int:
    """The schema version this Flowstone works with."""
    return migrations()[-1].version


async def version(conn: AsyncConnection[Any], queries: Queries) -> int:
    """The database's schema version; 0 if it has none of ours. One query.

    Raises:
        SchemaError: if this role may not read it.
    """
    try:
        async with conn.transaction():
            cursor = await conn.execute(queries.schema_version)
            row = await cursor.fetchone()
    except (pg.UndefinedTable, pg.InvalidSchemaName):
        return 0
    except pg.InsufficientPrivilege as error:
        msg = (
            f"role {conn.info.user!r} may not read the tables of Flowstone"
            f" ({error.diag.message_primary}); make it a member of a role that may, see:"
            f" python -m flowstone db roles"
        )
        raise SchemaError(msg) from None
    return int(row[0]) if row else 0


async def ensure(conn: AsyncConnection[Any], schema: str | None, *, migrate: bool) -> None:
    """Check the schema, and bring an empty or older one up to date.

    Raises:
        SchemaError: if it is newer than this Flowstone, or older and ``migrate`` is False.
    """
    present = await version(conn, Queries(schema))
    _refuse_newer(present)
    if present == newest():
        return
    if not migrate:
        state = f"schema {present}" if present else "no Flowstone schema"
        msg = (
            f"the database has {state}, this Flowstone needs {newest()} and"
            f" FLOWSTONE_AUTO_MIGRATE is off; run: python -m flowstone db migrate"
        )
        raise SchemaError(msg)
    await apply(conn, schema)


async def apply(conn: AsyncConnection[Any], schema: str | None) -> list[Migration]:
    """Apply what is missing, in one transaction, and say what was applied.

    Others that migrate at the same time wait for the advisory lock, then find nothing to do.

    Raises:
        SchemaError: if the schema is newer than this Flowstone, or can't be made.
    """
    check_name(schema)
    queries = Queries(schema)
    with _refusals(schema):
        async with conn.transaction():
            lock = int.from_bytes(bytes.fromhex(combine("migrate", schema))[:8], "big", signed=True)
            await conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_WAIT))
            await conn.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
            if schema:
                name = sql.Identifier(schema)
                # Asked for one that is there, Postgres wants the right to make one all the same.
                if not await _exists(conn, schema):
                    await conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
                await conn.execute(sql.SQL("SET LOCAL search_path TO {}").format(name))
            await conn.execute(queries.create_versions)
            present = await version(conn, queries)
            _refuse_newer(present)
            missing = [each for each in migrations() if each.version > present]
            for each in missing:
                await conn.execute(each.statements)
                await conn.execute(queries.record_version, [each.version, each.name])
    return missing


def check_name(name: str | None, what: str = "a schema", told: str = "FLOWSTONE_SCHEMA") -> None:
    """Raise ``SchemaError`` for a name that Postgres would cut off or refuse."""
    if name is not None and not re.fullmatch(r"[^\W\d]\w*", name):
        msg = f"{name[:80]!r} can't name {what}; use letters, digits and _ ({told})"
        raise SchemaError(msg)
    if name is not None and len(name.encode()) > _IDENTIFIER_BYTES:
        msg = (
            f"the name {name[:20]!r}... of {what} is longer than {_IDENTIFIER_BYTES} bytes ({told})"
        )
        raise SchemaError(msg)


async def _exists(conn: AsyncConnection[Any], schema: str) -> bool:
    cursor = await conn.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema])
    return cursor.rowcount == 1


@contextlib.contextmanager
def _refusals(schema: str | None) -> Iterator[None]:
    try:
        yield
    except pg.InsufficientPrivilege as error:
        where = f"schema {schema!r}" if schema else "the first schema of the search path"
        msg = (
            f"no right to create the tables in {where} ({error.diag.message_primary}); grant it,"
            f" or let its owner run: python -m flowstone db migrate"
        )
        raise SchemaError(msg) from None
    except pg.LockNotAvailable:
        msg = f"another process has been migrating this database for {_LOCK_WAIT}; try again"
        raise SchemaError(msg) from None
    except pg.Error as error:
        msg = f"the schema could not be migrated: {error.diag.message_primary}"
        raise StoreError(msg) from error


def _refuse_newer(present: int) -> None:
    if present > newest():
        msg = (
            f"the database has schema {present}, newer than the {newest()} this Flowstone knows;"
            f" upgrade Flowstone: pip install -U flowstone"
        )
        raise SchemaError(msg)
