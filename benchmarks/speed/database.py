"""The Postgres that is measured on: its server, its state, and what it keeps of a run."""

from __future__ import annotations

import os
import secrets
import shutil
import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
from psycopg.conninfo import make_conninfo

from flowstone import Flowstone
from flowstone.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from benchmarks.speed.graphs import Graph

_SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
_HISTORY = "runs, leases, materializations, lineage, current, decisions"
_CODE = "code, definitions"

_INCOMPLETE = """
    SELECT count(*) FROM flowstone_materializations
    WHERE asset_name = ANY(%s) AND (status <> 'success' OR started_at IS NULL
    OR completed_at IS NULL OR duration_ms IS NULL OR executor_node IS NULL
    OR length(dependency_hash) <> 40 OR length(code_version) <> 40 OR length(data_version) <> 40
    OR length(content_digest) <> 40 OR codec IS NULL OR value_inline IS NULL
    OR value_size <> octet_length(value_inline) OR inputs = '{}' OR causes = '[]')
"""
_ROWS = "SELECT asset_name, upstream_assets FROM flowstone_materializations"
_EDGES = """
    SELECT m.asset_name, u.asset_name, l.parameter FROM flowstone_lineage l
    JOIN flowstone_materializations m ON m.id = l.materialization_id
    JOIN flowstone_materializations u ON u.id = l.upstream_id
"""
_STANDING = """
    SELECT c.asset_name FROM flowstone_current c
    JOIN (SELECT DISTINCT ON (asset_name) id, asset_name, status FROM flowstone_materializations
    ORDER BY asset_name, inserted_at DESC) newest
    ON newest.id = c.materialization_id AND newest.asset_name = c.asset_name
    AND newest.status = 'success'
"""
_OPEN = """
    SELECT (SELECT count(*) FROM flowstone_runs WHERE status <> 'success')
    + (SELECT count(*) FROM flowstone_leases)
"""
_CLAIMED = "SELECT count(*) FROM flowstone_current WHERE claimed_by IS NOT NULL"


@contextmanager
def served(folder: Path, dsn: str | None) -> Iterator[str]:
    """A connection string: the given one, or that of an embedded server for this while."""
    server = None if dsn else EmbeddedServer(folder)
    if server is not None:
        server.start()
    try:
        with _schema(server.conninfo() if server else str(dsn)) as url:
            yield url
    finally:
        if server is not None:
            dispose(server)


def dispose(server: EmbeddedServer) -> None:
    """Stop a server, and remove its data where they don't lie in its home."""
    server.stop()
    if os.geteuid() == 0:
        shutil.rmtree(server.data.parent.parent, ignore_errors=True)


@contextmanager
def _schema(url: str) -> Iterator[str]:
    """A connection string that leads into a new schema, since its tables are emptied often."""
    name = f"flowstone_benchmark_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA {name}".encode())
        try:
            yield make_conninfo(url, options=f"-c search_path={name}")
        finally:
            conn.execute(f"DROP SCHEMA {name} CASCADE".encode())


def prepare(url: str, home: Path) -> None:
    """Bring the tables up to this Flowstone."""

    async def opened() -> None:
        async with Flowstone(database_url=url, home=home):
            pass

    anyio.run(opened)


def forget(url: str, *, code: bool = False) -> None:
    """Empty the tables; those of code too, if asked for."""
    tables = [*_HISTORY.split(", "), *(_CODE.split(", ") if code else [])]
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"TRUNCATE {', '.join(f'flowstone_{each}' for each in tables)}".encode())


def described(url: str) -> dict[str, str]:
    """The settings that decide what durable means, and what a commit takes in milliseconds."""
    with psycopg.connect(url, autocommit=True) as conn:
        found = {name: _first(conn, f"SHOW {name}") for name in _SETTINGS}
        conn.execute("CREATE TABLE IF NOT EXISTS bench_commits (n int)")
        took = [_timed(conn, "INSERT INTO bench_commits VALUES (1)") for _ in range(50)]
        conn.execute("DROP TABLE bench_commits")
    return found | {"commit": f"{statistics.median(took) * 1000:.2f} ms"}


def check(url: str, graph: Graph, made: Collection[str], value: str | None = "1") -> None:
    """Make sure that what a run has made is recorded, all of it and once.

    Args:
        url: the database, where only this graph was run.
        graph: what each needs.
        made: the names that the run has made; those of earlier runs may be there too.
        value: the value that all of them have, as JSON, if they have the same.

    Raises:
        SystemExit: naming what lacks.
    """
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET enable_nestloop = off")  # nothing is known of the tables' sizes yet
        rows = conn.execute(_ROWS).fetchall()
        edges = conn.execute(_EDGES).fetchall()
        standing = {name for (name,) in conn.execute(_STANDING).fetchall()}
        names = list(made)
        problems = {
            "rows": {name for name, _ in rows} != set(graph)
            or any(list(upstream) != graph[name] for name, upstream in rows),
            "edges": {(name, upstream) for name, upstream, _ in edges}
            != {(name, each) for name, needs in graph.items() for each in needs}
            or any(upstream != parameter for _, upstream, parameter in edges),
            "number of edges": len(edges) != sum(len(graph[name]) for name, _ in rows),
            "current versions": standing != set(graph),
            "hashes, times or values": bool(_first(conn, _INCOMPLETE, [names])),
            "the end of the run": bool(_first(conn, _OPEN)),
            "the end of its claims": _has_claims(conn) and bool(_first(conn, _CLAIMED)),
            "the right values": value is not None and _others(conn, names, value) > 0,
        }
    if lacking := [name for name, is_wrong in problems.items() if is_wrong]:
        raise SystemExit(f"not recorded as it must be: {', '.join(lacking)}")


def _has_claims(conn: psycopg.Connection[Any]) -> bool:
    statement = (
        "SELECT count(*) FROM information_schema.columns"
        " WHERE table_schema = current_schema()"
        " AND table_name = 'flowstone_current' AND column_name = 'claimed_by'"
    )
    return bool(_first(conn, statement))


def _others(conn: psycopg.Connection[Any], names: list[str], value: str) -> int:
    statement = (
        "SELECT count(*) FROM flowstone_materializations"
        " WHERE asset_name = ANY(%s) AND value_inline <> %s"
    )
    found: int = _first(conn, statement, [names, value.encode()])
    return found


def _first(conn: psycopg.Connection[Any], statement: str, key: list[Any] | None = None) -> Any:
    row = conn.execute(statement.encode(), key).fetchone()
    return row[0] if row else None


def _timed(conn: psycopg.Connection[Any], statement: str) -> float:
    begun = time.perf_counter()
    conn.execute(statement.encode())
    return time.perf_counter() - begun
