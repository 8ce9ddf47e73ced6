"""What a run has to say, as rows: part of the caller's transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from flowstone.core.text import clean
from flowstone.store import rows
from flowstone.store.copytext import NULL, array, bare_array, document, lines
from flowstone.store.draft_columns import changing, inserted
from flowstone.store.faults import lost

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Sequence

    from psycopg import AsyncConnection, AsyncCursor

    from flowstone.core.records import Decision, Draft, StepLog
    from flowstone.store.claims import Claims
    from flowstone.store.run_queries import RunQueries


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
            if draft.status == "success" and draft.code.version not in self._kept:
                self._kept.update(rows.kept(draft.code))

    async def _insert(self, cursor: AsyncCursor[Any], drafts: Sequence[Draft]) -> None:
        if drafts:
            await _copy(cursor, self._queries.copy_drafts, lines(inserted(drafts)))

    async def _update(self, cursor: AsyncCursor[Any], run_id: str, drafts: Sequence[Draft]) -> None:
        """Write what changed of rows that are there; a column all of them leave out stays."""
        if not drafts:
            return
        columns = changing(drafts)
        ids = bare_array([draft.id.hex for draft in drafts])
        recorded = bare_array([draft.recorded or NULL for draft in drafts])
        arrays = [array(column) for column in columns.values()]
        statement = self._queries.update_drafts(tuple(columns))
        await cursor.execute(statement, [ids, recorded, *arrays])
        if cursor.rowcount != len(drafts):
            raise lost(run_id)

    async def _link(self, cursor: AsyncCursor[Any], drafts: Sequence[Draft]) -> None:
        edges = [(draft.id.hex, *edge) for draft in drafts for edge in draft.edges]
        if edges:
            mine, upstream, parameters = zip(*edges, strict=True)
            columns: list[Sequence[str]] = [mine, [each.hex for each in upstream], parameters]
            await _copy(cursor, self._queries.copy_lineage, lines(columns))

    async def _decide(self, cursor: AsyncCursor[Any], decisions: Sequence[Decision]) -> None:
        if decisions:
            columns: list[Sequence[str | None]] = [
                [each.run_id for each in decisions],
                [each.asset_name for each in decisions],
                [each.partition for each in decisions],
                [each.kind for each in decisions],
                [document(each.causes) for each in decisions],
                [each.materialization_id.hex for each in decisions],
            ]
            await _copy(cursor, self._queries.copy_decisions, lines(columns))

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
        if logs:
            columns: list[Sequence[str | None]] = [
                [each.run_id for each in logs],
                [each.asset_name for each in logs],
                [each.partition for each in logs],
                [str(each.attempt) for each in logs],
                [clean(each.lines) for each in logs],
                [str(each.left_out) for each in logs],
            ]
            await _copy(cursor, self._queries.copy_logs, lines(columns))

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


async def _copy(cursor: AsyncCursor[Any], statement: bytes, text: str) -> None:
    async with cursor.copy(statement) as copy:
        await copy.write(text)
