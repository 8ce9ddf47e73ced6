"""What a run has to say, as rows: part of the caller's transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from flowstone.core.text import clean
from flowstone.store import rows
from flowstone.store.faults import lost
from flowstone.store.run_queries import CHANGING, DRAFT_COLUMNS

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Mapping, Sequence

    from psycopg import AsyncConnection, AsyncCursor

    from flowstone.core.records import Decision, Draft, StepLog
    from flowstone.store.claims import Claims
    from flowstone.store.run_queries import RunQueries

DOCUMENTS = frozenset({"inputs", "causes", "metadata", "attempts"})


class Recording:
    """Writes rows of runs; ``mark`` what is committed."""

    def __init__(self, queries: RunQueries, claims: Claims) -> None:
        self._queries, self._claims = queries, claims
        #: Code versions and definitions that are known to be recorded.
        self._kept: set[str] = set()
        #: Runs that have entered a pool.
        self.pooled: set[str] = set()

    async def record(
        self,
        conn: AsyncConnection[Any],
        run_id: str,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        logs: Sequence[StepLog] = (),
    ) -> None:
        """Everything a run has to say.

        Raises:
            RunLostError: if a row is not as this run left it.
            RunActiveError: if a success is of what another run has claimed.
        """
        async with conn.cursor() as cursor:
            successes = [draft for draft in drafts if draft.status == "success"]
            await self._insert(cursor, [draft for draft in drafts if draft.recorded is None])
            await self._update(cursor, run_id, [draft for draft in drafts if draft.recorded])
            await self._link(cursor, successes)
            await self._decide(cursor, decisions)
            await self._keep_code(cursor, successes)
            await self._keep_logs(cursor, logs)
        await self._settle(conn, run_id, drafts, decisions)

    def mark(self, drafts: Iterable[Draft]) -> None:
        """Take note of what is committed."""
        for draft in drafts:
            draft.recorded = draft.status
            if draft.status == "success":
                self._kept.update(rows.kept(draft.code))

    async def _insert(self, cursor: AsyncCursor[Any], drafts: Sequence[Draft]) -> None:
        if not drafts:
            return
        async with cursor.copy(self._queries.copy_drafts) as copy:
            for draft in drafts:
                columns = _draft_columns(draft)
                await copy.write_row([columns[name] for name in DRAFT_COLUMNS])

    async def _update(self, cursor: AsyncCursor[Any], run_id: str, drafts: Sequence[Draft]) -> None:
        if not drafts:
            return
        columns = [_draft_columns(draft) for draft in drafts]
        arrays = [
            [json.dumps(each[name].obj) if name in DOCUMENTS else each[name] for each in columns]
            for name in CHANGING
        ]
        ids, recorded = [draft.id for draft in drafts], [draft.recorded for draft in drafts]
        await cursor.execute(self._queries.update_drafts, [ids, recorded, *arrays])
        if cursor.rowcount != len(drafts):
            raise lost(run_id)

    async def _link(self, cursor: AsyncCursor[Any], drafts: Sequence[Draft]) -> None:
        if not any(draft.edges for draft in drafts):
            return
        async with cursor.copy(self._queries.copy_lineage) as copy:
            for draft in drafts:
                for upstream_id, parameter in draft.edges:
                    await copy.write_row([draft.id, upstream_id, parameter])

    async def _decide(self, cursor: AsyncCursor[Any], decisions: Sequence[Decision]) -> None:
        if not decisions:
            return
        async with cursor.copy(self._queries.copy_decisions) as copy:
            for each in decisions:
                key = (each.run_id, each.asset_name, each.partition)
                causes = Jsonb(rows.storable("causes", each.causes))
                await copy.write_row([*key, each.kind, causes, each.materialization_id])

    async def _keep_code(self, cursor: AsyncCursor[Any], drafts: Sequence[Draft]) -> None:
        """Keep what code was run, once; sorted, so that two runs can't wait for each other."""
        new = rows.new_code(drafts, self._kept)
        if not new.versions:
            return
        documents = [json.dumps(found) for _, found in new.versions]
        versions = [version for version, _ in new.versions]
        await cursor.execute(self._queries.insert_code, [versions, documents])
        if new.sources:
            parts = [list(column) for column in zip(*new.sources, strict=True)]
            await cursor.execute(self._queries.insert_definitions, parts)

    async def _keep_logs(self, cursor: AsyncCursor[Any], logs: Sequence[StepLog]) -> None:
        if not logs:
            return
        async with cursor.copy(self._queries.copy_logs) as copy:
            for each in logs:
                key = (each.run_id, each.asset_name, each.partition, each.attempt)
                await copy.write_row([*key, clean(each.lines), each.left_out])

    async def _settle(
        self,
        conn: AsyncConnection[Any],
        run_id: str,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision],
    ) -> None:
        """What is current now, and who may leave: last, for these locks are wanted by others."""
        made = {draft.asset_name for draft in drafts if draft.status == "success"}
        ends: dict[str | None, dict[str, uuid.UUID | None]] = defaultdict(dict)
        for (name, partition), made_now in rows.ends(drafts, decisions).items():
            ends[partition][name] = made_now
        for partition, standing in ends.items():
            await self._claims.settle(conn, run_id, partition, standing, made)
            if run_id in self.pooled:
                await self._claims.free_slots(conn, run_id, None, standing, partition)


def _draft_columns(draft: Draft) -> dict[str, Any]:
    columns = as_columns(rows.draft_fields(draft))
    for name in ("id", "asset_name", "partition", "run_id", "status"):
        columns[name] = getattr(draft, name)
    return columns


def as_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a materialization as the driver takes them."""
    columns = rows.flattened(values)
    return {name: Jsonb(v) if name in DOCUMENTS else v for name, v in columns.items()}
