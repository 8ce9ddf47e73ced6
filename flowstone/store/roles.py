"""Roles of the database that may do as much as they need: reader, runner and admin.

A reader sees everything. A runner also records runs, and can't change what it has no reason to. An
admin also does what people decide (accept, invalidate, cancel), and owns the tables, so it may
change the schema. None of them can log in: people and programs are made members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import errors as pg
from psycopg import sql

from flowstone.errors import SchemaError, StoreError
from flowstone.store import objects, schema
from flowstone.store.faults import translated
from flowstone.store.queries import Queries
from flowstone.store.run_queries import CHANGING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import LiteralString

    from psycopg import AsyncConnection

NAMES = ("reader", "runner", "admin")
#: What a run does to each table besides reading it, by column where it changes rows.
RUNNER: Mapping[LiteralString, tuple[LiteralString, Sequence[str]]] = {
    "runs": ("INSERT", ("status", "counts", "completed_at", "written")),
    "leases": ("INSERT, DELETE", ("lease_until",)),
    "pools": ("INSERT", ("next_at",)),
    "slots": ("INSERT, DELETE", ()),
    "logs": ("INSERT", ()),
    "materializations": ("INSERT", (*CHANGING, "updated_at")),
    "lineage": ("INSERT", ()),
    "current": ("INSERT", ("materialization_id", "claimed_by", "fence")),
    "decisions": ("INSERT", ()),
    "code": ("INSERT", ()),
    "definitions": ("INSERT", ()),
    "audit": ("", ()),
    "schema": ("", ()),
}
_OWNERS = """
    SELECT DISTINCT rolname FROM pg_class c JOIN pg_roles r ON r.oid = relowner
    WHERE c.relname LIKE %s AND relkind IN ('r', 'p') AND NOT rolsuper AND rolname <> %s
    AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) ORDER BY rolname
"""


def names(prefix: str) -> tuple[str, str, str]:
    """The names of the three roles.

    Raises:
        SchemaError: for a prefix that Postgres would cut off, or that names its own roles.
    """
    if prefix.lower() == "pg":
        raise SchemaError("names that begin with pg_ are Postgres's own; choose another prefix")
    reader, runner, admin = (f"{prefix}_{name}" for name in NAMES)
    for name in (reader, runner, admin):
        schema.check_name(name, "a role", "--prefix")
    return reader, runner, admin


async def statements(conn: AsyncConnection[Any], schema_name: str | None, prefix: str) -> list[str]:
    """What makes the three roles, or makes them right again, in order; each may be repeated.

    Raises:
        SchemaError: if the tables are not there, or not those of this Flowstone.
    """
    reader, runner, admin = (sql.Identifier(name) for name in names(prefix))
    ours = await objects.find(conn, schema_name)
    present = await schema.version(conn, Queries(ours.schema))
    if present != schema.newest():
        raise SchemaError(
            f"the database has schema {present}, roles are for schema {schema.newest()};"
            f" run: python -m flowstone db migrate"
        )
    cursor = await conn.execute(_OWNERS, [r"flowstone\_%", names(prefix)[2], ours.schema])
    owners = [str(name) for (name,) in await cursor.fetchall()]
    composed = [
        *map(_made, (reader, runner, admin)),
        *_memberships(reader, runner, admin, owners),
        *_owned(ours, admin),
        *_granted(ours, reader, runner),
    ]
    return [each.as_string(conn) for each in composed]


async def apply(conn: AsyncConnection[Any], written: Sequence[str]) -> None:
    """Execute the statements, all or nothing.

    Raises:
        StoreError: if the role at work may not.
    """
    try:
        async with conn.transaction():
            for statement in written:
                await conn.execute(statement.encode())
    except pg.InsufficientPrivilege as error:
        raise StoreError(
            f"nothing was changed: {error.diag.message_primary}; let a superuser, or the owner of"
            f" the tables with the right to create roles, do it"
        ) from None
    except pg.Error as error:
        raise translated(error) from error


def _made(role: sql.Identifier) -> sql.Composed:
    return sql.SQL(
        "DO $$ BEGIN CREATE ROLE {} NOLOGIN;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    ).format(role)


def _memberships(
    reader: sql.Identifier, runner: sql.Identifier, admin: sql.Identifier, owners: Sequence[str]
) -> Iterator[sql.Composed]:
    """A runner is a reader, an admin is a runner; who owned the tables goes on as an admin."""
    grant = sql.SQL("GRANT {} TO {}")
    yield grant.format(reader, runner)
    yield grant.format(runner, admin)
    for owner in owners:
        yield grant.format(admin, sql.Identifier(owner))


def _owned(ours: objects.Objects, admin: sql.Identifier) -> Iterator[sql.Composed]:
    place = sql.Identifier(ours.schema)
    yield sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(place, admin)
    for table in ours.tables:
        name = sql.Identifier(ours.schema, table)
        yield sql.SQL("ALTER TABLE {} OWNER TO {}").format(name, admin)
    for function in ours.functions:
        name = sql.Identifier(ours.schema, function.name)
        arguments = sql.SQL(function.arguments)
        yield sql.SQL("ALTER FUNCTION {}({}) OWNER TO {}").format(name, arguments, admin)


def _granted(
    ours: objects.Objects, reader: sql.Identifier, runner: sql.Identifier
) -> Iterator[sql.Composed]:
    """Just what is needed: all else that they were given is taken away."""
    place = sql.Identifier(ours.schema)
    yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(place, reader)
    for table, (rights, columns) in RUNNER.items():
        name = sql.Identifier(ours.schema, f"flowstone_{table}")
        revoke = sql.SQL("REVOKE ALL ON TABLE {} FROM PUBLIC, {}, {}")
        yield revoke.format(name, reader, runner)
        yield sql.SQL("GRANT SELECT ON TABLE {} TO {}").format(name, reader)
        if columns:
            changed = sql.SQL(", ").join(map(sql.Identifier, columns))
            grant = sql.SQL("GRANT {}, UPDATE ({}) ON TABLE {} TO {}")
            yield grant.format(sql.SQL(rights), changed, name, runner)
        elif rights:
            yield sql.SQL("GRANT {} ON TABLE {} TO {}").format(sql.SQL(rights), name, runner)
