"""All statements. ``{runs}`` and the like stand for the tables, qualified where a schema is set."""

from __future__ import annotations

from functools import cached_property
from typing import LiteralString

from psycopg import sql

TABLES = (
    "runs",
    "leases",
    "materializations",
    "lineage",
    "current",
    "decisions",
    "code",
    "definitions",
    "audit",
    "schema",
)

_COLUMNS: LiteralString = """
    id, asset_name, partition, run_id, status, attempt, started_at, completed_at, duration_ms,
    upstream_assets, upstream_partitions, dependency_hash, code_version, data_version, inputs,
    causes, codec, value_size, content_digest, value_inline, value_location, metadata,
    error_type, error_message, error_traceback, attempts, executor_node, inserted_at, updated_at
"""
_LIGHT: LiteralString = _COLUMNS.replace(
    "value_inline", "CASE WHEN value_inline IS NOT NULL THEN ''::bytea END AS value_inline"
)
_RUN: LiteralString = """
    run_id, status, target, partition, config, counts, executor_node, started_at, completed_at
"""

#: The columns a run's own rows are inserted with, in order.
DRAFT_COLUMNS: tuple[LiteralString, ...] = (
    "id",
    "asset_name",
    "partition",
    "run_id",
    "status",
    "upstream_assets",
    "upstream_partitions",
    "executor_node",
    "attempt",
    "started_at",
    "completed_at",
    "duration_ms",
    "dependency_hash",
    "code_version",
    "data_version",
    "inputs",
    "causes",
    "codec",
    "value_size",
    "content_digest",
    "value_inline",
    "value_location",
    "metadata",
    "error_type",
    "error_message",
    "error_traceback",
    "attempts",
)

#: The columns that change after the insert, with the array type they are sent as.
CHANGING: dict[LiteralString, LiteralString] = {
    "status": "text",
    "attempt": "int",
    "started_at": "timestamptz",
    "completed_at": "timestamptz",
    "duration_ms": "double precision",
    "dependency_hash": "text",
    "code_version": "text",
    "data_version": "text",
    "inputs": "jsonb",
    "causes": "jsonb",
    "codec": "text",
    "value_size": "bigint",
    "content_digest": "text",
    "value_inline": "bytea",
    "value_location": "text",
    "metadata": "jsonb",
    "error_type": "text",
    "error_message": "text",
    "error_traceback": "text",
    "attempts": "jsonb",
}


class Queries:
    """The statements for one schema; None leaves the names to the search path."""

    def __init__(self, schema: str | None) -> None:
        prefix = (schema,) if schema else ()
        self._tables = {name: sql.Identifier(*prefix, f"flowstone_{name}") for name in TABLES}

    def _compose(self, statement: LiteralString, partition: str | None = None) -> sql.Composed:
        """Fill in tables and columns; ``{of_partition}`` is a condition an index can serve."""
        of_partition: LiteralString = "partition IS NULL" if partition is None else "partition = %s"
        return sql.SQL(statement).format(
            **self._tables,
            columns=sql.SQL(_COLUMNS),
            run_columns=sql.SQL(_RUN),
            light_columns=sql.SQL(_LIGHT),
            of_partition=sql.SQL(of_partition),
        )

    @cached_property
    def schema_version(self) -> sql.Composed:
        return self._compose("SELECT coalesce(max(version), 0) FROM {schema}")

    @cached_property
    def record_version(self) -> sql.Composed:
        return self._compose("INSERT INTO {schema} (version, name) VALUES (%s, %s)")

    @cached_property
    def create_versions(self) -> sql.Composed:
        return self._compose(
            "CREATE TABLE IF NOT EXISTS {schema} (version integer PRIMARY KEY,"
            " name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )

    def create(self, columns: list[str]) -> sql.Composed:
        return sql.SQL("INSERT INTO {table} ({names}) VALUES ({values}) RETURNING {all}").format(
            table=self._tables["materializations"],
            names=sql.SQL(", ").join(map(sql.Identifier, columns)),
            values=sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            all=sql.SQL(_COLUMNS),
        )

    def update(self, columns: list[str]) -> sql.Composed:
        """Parameters: the columns' values, the id, the legal sources of the new status."""
        assignments = [sql.SQL("{} = %s").format(sql.Identifier(column)) for column in columns]
        return sql.SQL(
            "UPDATE {table} m SET {assignments}, updated_at = clock_timestamp()"
            " WHERE id = %s AND status = ANY(%s) AND NOT EXISTS (SELECT FROM {leases} l"
            " WHERE l.run_id = m.run_id AND l.lease_until > clock_timestamp())"
            " RETURNING {all}"
        ).format(
            table=self._tables["materializations"],
            leases=self._tables["leases"],
            assignments=sql.SQL(", ").join(assignments),
            all=sql.SQL(_COLUMNS),
        )

    def newest(self, partition: str | None) -> sql.Composed:
        return self._compose(
            "SELECT {columns} FROM {materializations} WHERE asset_name = %s AND {of_partition}"
            " ORDER BY inserted_at DESC, id DESC LIMIT 1",
            partition,
        )

    @cached_property
    def by_id(self) -> sql.Composed:
        return self._compose("SELECT {columns} FROM {materializations} WHERE id = %s")

    @cached_property
    def by_run(self) -> sql.Composed:
        return self._compose(
            "SELECT {columns} FROM {materializations} WHERE run_id = %s ORDER BY inserted_at, id"
        )

    def exists(self, partition: str | None) -> sql.Composed:
        return self._compose(
            "SELECT EXISTS (SELECT FROM {materializations}"
            " WHERE asset_name = %s AND {of_partition})",
            partition,
        )

    @cached_property
    def by_status(self) -> sql.Composed:
        return self._compose(
            "SELECT {columns} FROM {materializations}"
            " WHERE status = %s AND (%s::uuid IS NULL OR id > %s::uuid) ORDER BY id LIMIT %s"
        )

    def current(self, partition: str | None) -> sql.Composed:
        """The current versions, with empty bytes in place of inline values."""
        return self._compose(
            "SELECT current_name, {light_columns} FROM {materializations} JOIN ("
            "SELECT asset_name AS current_name, materialization_id FROM {current}"
            " WHERE asset_name = ANY(%s) AND {of_partition}) c ON id = materialization_id",
            partition,
        )

    def history(self, partition: str | None) -> sql.Composed:
        """Parameters: names and dependency hashes, then the partition."""
        return self._compose(
            "SELECT found.* FROM unnest(%s::text[], %s::text[]) AS wanted (name, hash)"
            " CROSS JOIN LATERAL (SELECT {light_columns} FROM {materializations}"
            " WHERE asset_name = wanted.name AND dependency_hash = wanted.hash AND {of_partition}"
            " AND status = 'success' AND codec IS NOT NULL"
            " ORDER BY inserted_at DESC, id DESC LIMIT 1) found",
            partition,
        )

    def since(self, partition: str | None) -> sql.Composed:
        """Parameters twice: the name, the partition, and the data version, then a moment."""
        return self._compose(
            "SELECT {light_columns} FROM {materializations} WHERE asset_name = %s"
            " AND {of_partition} AND data_version = %s AND inserted_at > coalesce(("
            "SELECT max(inserted_at) FROM {materializations} WHERE asset_name = %s"
            " AND {of_partition} AND data_version <> %s AND status IN ('success', 'stale')"
            " AND inserted_at < %s), '-infinity')"
            " AND status IN ('success', 'stale') ORDER BY inserted_at, id LIMIT 1",
            partition,
        )

    @cached_property
    def inline_values(self) -> sql.Composed:
        return self._compose(
            "SELECT id, value_inline FROM {materializations}"
            " WHERE id = ANY(%s) AND value_inline IS NOT NULL"
        )

    @cached_property
    def lineage(self) -> sql.Composed:
        return self._compose(
            "SELECT materialization_id, upstream_id, parameter FROM {lineage}"
            " WHERE materialization_id = %s ORDER BY parameter, upstream_id"
        )

    @cached_property
    def get_run(self) -> sql.Composed:
        return self._compose("SELECT {run_columns} FROM {runs} WHERE run_id = %s")

    @cached_property
    def list_runs(self) -> sql.Composed:
        return self._compose(
            "SELECT {run_columns} FROM {runs} ORDER BY started_at DESC, run_id LIMIT %s"
        )

    @cached_property
    def insert_run(self) -> sql.Composed:
        return self._compose(
            "INSERT INTO {runs} ({run_columns}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        )

    @cached_property
    def finish_run(self) -> sql.Composed:
        return self._compose(
            "WITH given_up AS (DELETE FROM {leases} WHERE run_id = %s RETURNING run_id)"
            " UPDATE {runs} r SET status = %s, counts = %s, completed_at = %s"
            " FROM given_up WHERE r.run_id = given_up.run_id"
        )

    @cached_property
    def take_lease(self) -> sql.Composed:
        return self._compose(
            "INSERT INTO {leases} (run_id, owner, lease_until)"
            " VALUES (%s, %s, clock_timestamp() + %s * interval '1 second')"
        )

    @cached_property
    def renew_lease(self) -> sql.Composed:
        return self._compose(
            "UPDATE {leases} SET lease_until = clock_timestamp() + %s * interval '1 second'"
            " WHERE run_id = %s"
        )

    @cached_property
    def hold_lease(self) -> sql.Composed:
        """Keeps a takeover out until the transaction ends; heartbeats go on."""
        return self._compose("SELECT FROM {leases} WHERE run_id = %s FOR KEY SHARE")

    @cached_property
    def lock_leases(self) -> sql.Composed:
        return self._compose("LOCK TABLE {leases}")

    @cached_property
    def alive_runs(self) -> sql.Composed:
        return self._compose(
            "SELECT run_id FROM {leases} WHERE lease_until > clock_timestamp() ORDER BY run_id"
        )

    @cached_property
    def count_dead_runs(self) -> sql.Composed:
        return self._compose("SELECT count(*) FROM {leases} WHERE lease_until < clock_timestamp()")

    @cached_property
    def close_dead_runs(self) -> sql.Composed:
        return self._compose(
            "WITH dead AS ("
            "  DELETE FROM {leases} WHERE run_id IN ("
            "    SELECT run_id FROM {leases} WHERE lease_until < clock_timestamp()"
            "    ORDER BY run_id FOR UPDATE SKIP LOCKED)"
            "  RETURNING run_id),"
            " closed AS ("
            "  UPDATE {materializations} m SET"
            "    status = CASE m.status WHEN 'running' THEN 'failed' ELSE 'cancelled' END,"
            "    completed_at = clock_timestamp(), updated_at = clock_timestamp(),"
            "    error_type = 'RunLost', error_message = 'the run ended without a word'"
            "  FROM dead WHERE m.run_id = dead.run_id"
            "    AND m.status IN ('pending', 'running', 'waiting_approval'))"
            " UPDATE {runs} r SET status = 'failed', completed_at = clock_timestamp()"
            " FROM dead WHERE r.run_id = dead.run_id AND r.status = 'running'"
        )

    @cached_property
    def copy_drafts(self) -> sql.Composed:
        return sql.SQL("COPY {table} ({names}) FROM STDIN").format(
            table=self._tables["materializations"],
            names=sql.SQL(", ").join(map(sql.Identifier, DRAFT_COLUMNS)),
        )

    @cached_property
    def update_drafts(self) -> sql.Composed:
        """Parameters: ids, the statuses the rows have now, then one array for each column."""
        arrays = ["%s::uuid[]", "%s::text[]", *(f"%s::{kind}[]" for kind in CHANGING.values())]
        return sql.SQL(
            "UPDATE {table} m SET {assignments}, updated_at = clock_timestamp()"
            " FROM unnest({arrays}) AS new (id, recorded, {names})"
            " WHERE m.id = new.id AND m.status = new.recorded"
        ).format(
            table=self._tables["materializations"],
            assignments=sql.SQL(", ").join(
                sql.SQL("{0} = new.{0}").format(sql.Identifier(name)) for name in CHANGING
            ),
            arrays=sql.SQL(", ").join(map(sql.SQL, arrays)),
            names=sql.SQL(", ").join(map(sql.Identifier, CHANGING)),
        )

    @cached_property
    def copy_lineage(self) -> sql.Composed:
        return self._compose(
            "COPY {lineage} (materialization_id, upstream_id, parameter) FROM STDIN"
        )

    @cached_property
    def set_current(self) -> sql.Composed:
        """Parameters: names, partitions and ids, sorted by name and partition."""
        return self._compose(
            "INSERT INTO {current} (asset_name, partition, materialization_id)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::uuid[])"
            " ON CONFLICT (asset_name, partition)"
            " DO UPDATE SET materialization_id = excluded.materialization_id"
        )

    @cached_property
    def insert_code(self) -> sql.Composed:
        return self._compose(
            "INSERT INTO {code} (version, definitions)"
            " SELECT * FROM unnest(%s::text[], %s::jsonb[]) ON CONFLICT DO NOTHING"
        )

    @cached_property
    def insert_definitions(self) -> sql.Composed:
        return self._compose(
            "INSERT INTO {definitions} (digest, source)"
            " SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING"
        )

    @cached_property
    def code(self) -> sql.Composed:
        return self._compose("SELECT version, definitions FROM {code} WHERE version = ANY(%s)")

    @cached_property
    def definitions(self) -> sql.Composed:
        return self._compose("SELECT digest, source FROM {definitions} WHERE digest = ANY(%s)")

    @cached_property
    def copy_decisions(self) -> sql.Composed:
        return self._compose(
            "COPY {decisions} (run_id, asset_name, partition, kind, causes, materialization_id)"
            " FROM STDIN"
        )

    @cached_property
    def decisions(self) -> sql.Composed:
        return self._compose(
            "SELECT run_id, asset_name, partition, kind, causes, materialization_id"
            " FROM {decisions} WHERE run_id = %s ORDER BY asset_name"
        )

    def invalidate(self, partition: str | None) -> sql.Composed:
        return self._compose(
            "UPDATE {materializations} SET status = 'stale', updated_at = clock_timestamp()"
            " WHERE asset_name = ANY(%s) AND {of_partition} AND status = 'success'"
            " RETURNING asset_name",
            partition,
        )

    @cached_property
    def insert_act(self) -> sql.Composed:
        return self._compose(
            "INSERT INTO {audit} (at, actor, action, asset_name, partition, reason, details)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)"
        )

    def acts(self, partition: str | None) -> sql.Composed:
        return self._compose(
            "SELECT at, actor, action, asset_name, partition, reason, details FROM {audit}"
            " WHERE asset_name = %s AND {of_partition} ORDER BY at, id",
            partition,
        )
