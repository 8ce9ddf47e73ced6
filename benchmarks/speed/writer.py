"""The floor's one writer: group commit that trails the run, in few statements."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any

from benchmarks.speed import rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import AsyncConnection

    from benchmarks.speed.graphs import Graph

BATCH = 1000
LEASE = 30

START = (
    "BEGIN; INSERT INTO flowstone_runs (run_id, status, target, executor_node)"
    " VALUES ('{run}', 'running', 'floor', '{node}');"
    " INSERT INTO flowstone_leases (run_id, owner, lease_until)"
    " VALUES ('{run}', '{node}', clock_timestamp() + interval '{lease} s')"
)
_CLAIM = (
    "; INSERT INTO flowstone_current AS c (asset_name, claimed_by, fence)"
    " SELECT name, '{run}', 1 FROM unnest('{names}'::text[]) name"
    " ON CONFLICT (asset_name, partition) DO UPDATE"
    " SET claimed_by = excluded.claimed_by, fence = c.fence + 1 WHERE c.claimed_by IS NULL"
)
HOLD = "BEGIN; SELECT FROM flowstone_leases WHERE run_id = '{run}' FOR KEY SHARE"
_END = (
    "UPDATE flowstone_materializations m SET status = 'success', completed_at = n.completed_at,"
    " duration_ms = n.duration_ms, dependency_hash = n.dependency_hash,"
    " code_version = n.code_version, data_version = n.data_version, inputs = n.inputs,"
    " causes = '[{\"kind\": \"never_made\"}]', codec = 'json',"
    " value_size = octet_length(n.value_inline), content_digest = n.content_digest,"
    " value_inline = n.value_inline, updated_at = clock_timestamp()"
    " FROM unnest(%s::uuid[], %s::timestamptz[], %s::float8[], %s::text[], %s::text[], %s::text[],"
    " %s::jsonb[], %s::text[], %s::bytea[]) n (id, completed_at, duration_ms, dependency_hash,"
    " code_version, data_version, inputs, content_digest, value_inline) WHERE m.id = n.id"
)
_LINK = (
    "INSERT INTO flowstone_lineage (materialization_id, upstream_id, parameter)"
    " SELECT * FROM unnest('{mine}'::uuid[], '{upstream}'::uuid[], '{parameters}'::text[]); "
)
_STAND = (
    "INSERT INTO flowstone_current (asset_name, materialization_id)"
    " SELECT * FROM unnest('{names}'::text[], '{ids}'::uuid[]) ON CONFLICT (asset_name, partition)"
    " DO UPDATE SET materialization_id = excluded.materialization_id; "
)
STAND_CLAIMED = (
    "INSERT INTO flowstone_current AS c (asset_name, materialization_id)"
    " SELECT * FROM unnest('{names}'::text[], '{ids}'::uuid[])"
    " ON CONFLICT (asset_name, partition) DO UPDATE"
    " SET materialization_id = excluded.materialization_id,"
    " claimed_by = nullif(c.claimed_by, '{run}'); "
)
FINISH = (
    "UPDATE flowstone_runs SET status = 'success', completed_at = clock_timestamp(),"
    " counts = '{{\"materialized\": {count}}}' WHERE run_id = '{run}';"
    " DELETE FROM flowstone_leases WHERE run_id = '{run}'; "
)


class Writer:
    """Records one run of a graph, as far as it got, until it is closed."""

    def __init__(self, conn: AsyncConnection[Any], graph: Graph, *, claims: bool) -> None:
        conn.prepare_threshold = None  # several commands in one text can't be prepared
        self._conn, self._graph, self._claims = conn, graph, claims
        self._run = secrets.token_hex(8)
        self._code = {name: rows.digest(name) for name in graph}
        self._made: dict[str, rows.Made] = {}
        self._ended: list[rows.Made] = []
        self._active: dict[str, rows.Begun] = {}
        self._recorded: set[str] = set()
        self._wake, self._closed = asyncio.Event(), False
        self._called, self._loop = False, asyncio.get_running_loop()

    def known(self, name: str, id: str, data_version: str) -> None:  # noqa: A002 - the column's name
        """An earlier run has made this."""
        self._made[name] = rows.Made(name, id, data_version)

    async def start(self, names: Iterable[str]) -> None:
        """Record the run, its lease, and its claims of what it will make."""
        claim = _CLAIM if self._claims else ""
        listed = f"{{{','.join(sorted(names))}}}"
        await self._conn.execute(self._say(f"{START}{claim}; COMMIT", names=listed))

    def begun(self, name: str) -> None:
        """A function is about to be called."""
        inputs, code = self._graph[name], self._code[name]
        self._active[name] = rows.Begun(
            self._run, name, rows.identifier(), inputs, code, time.time()
        )
        self._call()

    def ended(self, name: str, value: object) -> None:
        """A function has returned; its row is written before those of what reads it."""
        begun = self._active.pop(name)
        upstream = [self._made[each] for each in begun.inputs]
        made = rows.success(begun, upstream, value, time.time())
        self._made[name] = made
        self._ended.append(made)
        self._call()

    def close(self) -> None:
        """Let ``write`` return once all is durable; called on the loop."""
        self._closed = True
        self._wake.set()

    async def write(self) -> None:
        """Write until closed, and end the run; no batch waits for more."""
        while not self._closed:
            await self._wake.wait()
            self._wake.clear()
            self._called = False  # before looking: what comes later calls again
            await self._batch()
        while len(self._ended) > BATCH:
            await self._batch()
        await self._batch(FINISH)

    def _call(self) -> None:
        """Wake the writer, from whatever thread."""
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _batch(self, end: str = "") -> None:
        batch = self._ended[:BATCH]
        del self._ended[: len(batch)]  # threads may have added since
        fresh = [made for made in batch if made.id not in self._recorded]
        known = [made for made in batch if made.id in self._recorded]
        begun = [each for each in list(self._active.values()) if each.id not in self._recorded]
        self._recorded.update(each.id for each in begun)
        text = "".join([*(made.row for made in fresh), *map(rows.running, begun)])
        if not batch and not text and not end:
            return
        await self._conn.execute(self._say(HOLD))
        if text:
            async with (
                self._conn.cursor() as cursor,
                cursor.copy(rows.COPY_ROWS.encode()) as copy,
            ):
                await copy.write(text)
        if known:
            columns = zip(*(made.changes for made in known), strict=True)
            await self._conn.execute(_END, [list(column) for column in columns])
        await self._conn.execute(self._standing(batch) + self._say(f"{end}COMMIT"))

    def _standing(self, batch: list[rows.Made]) -> bytes:
        """The statements for the edges of a batch, and for what is current now."""
        said = b""
        if edges := [made.edges for made in batch if made.edges]:
            mine, upstream, parameters = rows.arrays(edges)
            said += self._say(_LINK, mine=mine, upstream=upstream, parameters=parameters)
        if batch:
            order = sorted(batch, key=lambda made: made.name)
            names, ids = rows.arrays((made.name, made.id) for made in order)
            said += self._say(STAND_CLAIMED if self._claims else _STAND, names=names, ids=ids)
        return said

    def _say(self, statement: str, **texts: str) -> bytes:
        return filled(statement, self._run, count=len(self._made), **texts)


def filled(statement: str, run: str, **texts: object) -> bytes:
    """A statement with its texts, none of which needs to be escaped."""
    return statement.format(run=run, node=rows.NODE, lease=LEASE, **texts).encode()
