"""All statements. ``{runs}`` and the like stand for the tables, qualified where a schema is set."""

from __future__ import annotations

from functools import cached_property
from typing import LiteralString

from psycopg import sql

TABLES = (
    "runs",
    "leases",
    "pools",
    "slots",
    "logs",
    "materializations",
    "lineage",
    "current",
    "decisions",
    "code",
    "definitions",
    "audit",
    "schema",
)

#: What the server calls the table of runs, in its errors.
RUNS_TABLE = "flowstone_runs"

# JSON comes as text: the driver would look at each document much longer than Python's parser.
_COLUMNS: LiteralString = """
    id, asset_name, partition, run_id, status, attempt, started_at, completed_at, duration_ms,
    upstream_assets, upstream_partitions, dependency_hash, code_version, data_version,
    inputs::text AS inputs, causes::text AS causes, codec, value_size, content_digest,
    value_inline, value_location, metadata::text AS metadata,
    error_type, error_message, error_traceback, attempts::text AS attempts, executor_node,
    inserted_at, updated_at
"""
# Of successes, which have no error; the bytes of a value are not read along.
_LIGHT: LiteralString = _COLUMNS.replace(
    "value_inline", "CASE WHEN value_inline IS NOT NULL THEN ''::bytea END AS value_inline"
).replace("error_type, error_message, error_traceback, ", "")
_RUN: LiteralString = """
    run_id, status, target, partition, config, counts, executor_node, started_at, completed_at
"""


class Queries:
    """The statements for one schema; None leaves the names to the search path."""

    def __init__(self, schema: str | None) -> None:
        prefix = (schema,) if schema else ()
        self._tables = {name: sql.Identifier(*prefix, f"flowstone_{name}") for name in TABLES}
        # the driver would put a statement together anew each time
        self._composed: dict[tuple[LiteralString, bool], bytes] = {}

    def _compose(self, statement: LiteralString, partition: str | None = None) -> bytes:
        """Fill in tables and columns; ``{of_partition}`` is a condition an index can serve.

        So is ``{in_partition}``, for statements whose parameters have names.
        """
        key = (statement, partition is None)
        if key not in self._composed:
            self._composed[key] = self._filled(statement, everywhere=partition is None)
        return self._composed[key]

    def _filled(self, statement: LiteralString, *, everywhere: bool) -> bytes:
        nowhere: LiteralString = "partition IS NULL"
        of_partition: LiteralString = nowhere if everywhere else "partition = %s"
        in_partition: LiteralString = nowhere if everywhere else "partition = %(partition)s"
        composed = sql.SQL(statement).format(
            **self._tables,
            columns=sql.SQL(_COLUMNS),
            run_columns=sql.SQL(_RUN),
            light_columns=sql.SQL(_LIGHT),
            of_partition=sql.SQL(of_partition),
            in_partition=sql.SQL(in_partition),
        )
        return composed.as_bytes()

    @cached_property
    def schema_version(self) -> bytes:
        return self._compose("SELECT coalesce(max(version), 0) FROM {schema}")

    @cached_property
    def record_version(self) -> bytes:
        return self._compose("INSERT INTO {schema} (version, name) VALUES (%s, %s)")

    @cached_property
    def create_versions(self) -> bytes:
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

    def newest(self, partition: str | None) -> bytes:
        return self._compose(
            "SELECT {columns} FROM {materializations} WHERE asset_name = %s AND {of_partition}"
            " ORDER BY inserted_at DESC, id DESC LIMIT 1",
            partition,
        )

    @cached_property
    def by_id(self) -> bytes:
        return self._compose("SELECT {columns} FROM {materializations} WHERE id = %s")

    @cached_property
    def by_run(self) -> bytes:
        return self._compose(
            "SELECT {columns} FROM {materializations} WHERE run_id = %s ORDER BY inserted_at, id"
        )

    def exists(self, partition: str | None) -> bytes:
        return self._compose(
            "SELECT EXISTS (SELECT FROM {materializations}"
            " WHERE asset_name = %s AND {of_partition})",
            partition,
        )

    @cached_property
    def by_status(self) -> bytes:
        return self._compose(
            "SELECT {columns} FROM {materializations}"
            " WHERE status = %s AND (%s::uuid IS NULL OR id > %s::uuid) ORDER BY id LIMIT %s"
        )

    def current(self, partition: str | None) -> bytes:
        """The current versions: the name asked for, and the columns of ``rows.standing``."""
        return self._compose(
            "SELECT current_name, id, asset_name, partition, run_id, status, attempt, started_at,"
            " completed_at, duration_ms, dependency_hash, code_version, data_version, codec,"
            " value_size, content_digest, value_inline IS NOT NULL, value_location, executor_node,"
            " inserted_at, updated_at FROM {materializations} JOIN ("
            "SELECT asset_name AS current_name, materialization_id FROM {current}"
            " WHERE asset_name = ANY(%s::text[]) AND {of_partition}) c ON id = materialization_id",
            partition,
        )

    @cached_property
    def inputs(self) -> bytes:
        return self._compose("SELECT id, inputs FROM {materializations} WHERE id = ANY(%s)")

    def history(self, partition: str | None) -> bytes:
        """Parameters: names and dependency hashes, then the partition."""
        return self._compose(
            "SELECT found.* FROM unnest(%s::text[], %s::text[]) AS wanted (name, hash)"
            " CROSS JOIN LATERAL (SELECT {light_columns} FROM {materializations}"
            " WHERE asset_name = wanted.name AND dependency_hash = wanted.hash AND {of_partition}"
            " AND status = 'success' AND codec IS NOT NULL"
            " ORDER BY inserted_at DESC, id DESC LIMIT 1) found",
            partition,
        )

    def since(self, partition: str | None) -> bytes:
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
    def inline_values(self) -> bytes:
        return self._compose(
            "SELECT id, value_inline FROM {materializations}"
            " WHERE id = ANY(%s) AND value_inline IS NOT NULL"
        )

    @cached_property
    def lineage(self) -> bytes:
        return self._compose(
            "SELECT materialization_id, upstream_id, parameter FROM {lineage}"
            " WHERE materialization_id = %s ORDER BY parameter, upstream_id"
        )

    @cached_property
    def get_run(self) -> bytes:
        return self._compose("SELECT {run_columns}, request FROM {runs} WHERE run_id = %s")

    @cached_property
    def list_runs(self) -> bytes:
        return self._compose(
            "SELECT {run_columns} FROM {runs} ORDER BY started_at DESC, run_id LIMIT %s"
        )

    @cached_property
    def logs(self) -> bytes:
        """Parameters: the run, and the asset twice, None for all."""
        return self._compose(
            "SELECT run_id, asset_name, partition, attempt, lines, left_out FROM {logs}"
            " WHERE run_id = %s AND (%s::text IS NULL OR asset_name = %s::text) ORDER BY id"
        )

    @cached_property
    def lock_leases(self) -> bytes:
        return self._compose("LOCK TABLE {leases}")

    @cached_property
    def alive_runs(self) -> bytes:
        return self._compose(
            "SELECT run_id FROM {leases} WHERE lease_until > clock_timestamp() ORDER BY run_id"
        )

    @cached_property
    def count_dead_runs(self) -> bytes:
        return self._compose("SELECT count(*) FROM {leases} WHERE lease_until < clock_timestamp()")

    @cached_property
    def code(self) -> bytes:
        return self._compose("SELECT version, definitions FROM {code} WHERE version = ANY(%s)")

    @cached_property
    def definitions(self) -> bytes:
        return self._compose("SELECT digest, source FROM {definitions} WHERE digest = ANY(%s)")

    @cached_property
    def decisions(self) -> bytes:
        return self._compose(
            "SELECT run_id, asset_name, partition, kind, causes, materialization_id"
            " FROM {decisions} WHERE run_id = %s ORDER BY asset_name"
        )

    def invalidate(self, partition: str | None) -> bytes:
        return self._compose(
            "UPDATE {materializations} SET status = 'stale', updated_at = clock_timestamp()"
            " WHERE asset_name = ANY(%s) AND {of_partition} AND status = 'success'"
            " RETURNING asset_name",
            partition,
        )

    @cached_property
    def insert_act(self) -> bytes:
        return self._compose(
            "INSERT INTO {audit} (at, actor, action, asset_name, partition, reason, details)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)"
        )

    def acts(self, partition: str | None) -> bytes:
        return self._compose(
            "SELECT at, actor, action, asset_name, partition, reason, details, db_role FROM {audit}"
            " WHERE asset_name = %s AND {of_partition} ORDER BY at, id",
            partition,
        )
