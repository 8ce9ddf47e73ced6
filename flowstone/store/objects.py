"""What in a database is ours: the tables and functions whose names begin with ``flowstone_``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import errors as pg
from psycopg import sql

from flowstone.errors import RunActiveError, SchemaError, StoreError
from flowstone.store.queries import Queries

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_PATTERN = r"flowstone\_%"
_LOCK_WAIT = "10s"
_SCHEMA_OF_TABLES = """
    SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE c.oid = to_regclass('flowstone_schema')
"""
_TABLES = """
    SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = %s AND relkind IN ('r', 'p') AND relname LIKE %s ORDER BY relname
"""
_FUNCTIONS = """
    SELECT proname, pg_get_function_identity_arguments(p.oid), pg_get_functiondef(p.oid)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
    WHERE nspname = %s AND prokind = 'f' AND proname LIKE %s ORDER BY proname
"""


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its name, the types of its arguments, and the statement that makes it."""

    name: str
    arguments: str
    definition: str


@dataclass(frozen=True, slots=True)
class Objects:
    """The names of our tables, and our functions, in one schema."""

    schema: str
    tables: tuple[str, ...]
    functions: tuple[Function, ...]


async def find(conn: AsyncConnection[Any], schema: str | None) -> Objects:
    """What is ours in ``schema``, or in the one of the search path that has our tables.

    Raises:
        SchemaError: if there is nothing.
    """
    where = schema
    if where is None:
        row = await (await conn.execute(_SCHEMA_OF_TABLES)).fetchone()
        where = str(row[0]) if row else None
    tables = await (await conn.execute(_TABLES, [where, _PATTERN])).fetchall()
    if where is None or not tables:
        there = f"the schema {schema!r}" if schema else "the search path"
        raise SchemaError(
            f"there are no tables of Flowstone in {there}: nothing is recorded there yet, or"
            f" it is elsewhere; check FLOWSTONE_DATABASE_URL and FLOWSTONE_SCHEMA"
        )
    functions = await (await conn.execute(_FUNCTIONS, [where, _PATTERN])).fetchall()
    return Objects(
        where, tuple(row[0] for row in tables), tuple(Function(*row) for row in functions)
    )


async def drop(conn: AsyncConnection[Any], schema: str | None) -> list[str]:
    """Drop our tables and functions, and ``schema`` if that leaves it empty; the tables' names.

    All or nothing, in one transaction.

    Raises:
        SchemaError: if there is nothing.
        RunActiveError: if a run is alive.
        StoreError: if something else of the database depends on ours, or uses it.
    """
    try:
        async with conn.transaction():
            await conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_WAIT))
            ours = await find(conn, schema)
            await _refuse_active(conn, ours)
            tables = [sql.Identifier(ours.schema, name) for name in ours.tables]
            await conn.execute(sql.SQL("DROP TABLE {}").format(sql.SQL(", ").join(tables)))
            for function in ours.functions:
                await conn.execute(_drop_function(ours.schema, function))
        if schema:
            await _drop_if_empty(conn, schema)
    except pg.Error as error:
        detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
        raise StoreError(
            f"nothing was dropped: {error.diag.message_primary}{detail}; end or drop what needs it"
        ) from error
    return list(ours.tables)


def _drop_function(schema: str, function: Function) -> sql.Composed:
    name = sql.Identifier(schema, function.name)
    return sql.SQL("DROP FUNCTION {}({})").format(name, sql.SQL(function.arguments))


async def _refuse_active(conn: AsyncConnection[Any], ours: Objects) -> None:
    if "flowstone_leases" not in ours.tables:
        return
    queries = Queries(ours.schema)
    # whoever would begin a run now waits, and then finds no tables
    await conn.execute(queries.lock_leases)
    alive = [row[0] for row in await (await conn.execute(queries.alive_runs)).fetchall()]
    if alive:
        raise RunActiveError(
            f"{'a run is' if len(alive) == 1 else f'{len(alive)} runs are'} alive:"
            f" {', '.join(alive[:5])}; end it first"
        )


async def _drop_if_empty(conn: AsyncConnection[Any], schema: str) -> None:
    try:
        await conn.execute(sql.SQL("DROP SCHEMA {} RESTRICT").format(sql.Identifier(schema)))
    except (pg.DependentObjectsStillExist, pg.InsufficientPrivilege, pg.LockNotAvailable):
        return
