"""What a run has to say, as rows: part of the caller's transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from flowstone.store import rows
from flowstone.store.copytext import NULL, array, bare_array, document, lines
from flowstone.store.draft_rows import changing, inserted
from flowstone.store.faults import lost

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Mapping, Sequence

    from psycopg import AsyncConnection

    from flowstone.core.code import Code
    from flowstone.core.records import Decision, Draft, StepLog
    from flowstone.store.claims import Claims
    from flowstone.store.exchange import Answer, Exchange
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
        exchange: Exchange,
        run_id: str,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        logs: Sequence[StepLog] = (),
    ) -> None:
        """Everything a run has to say, after what is said in the exchange already.

        Raises:
            RunLostError: if a row is not as this run left it.
            RunActiveError: if a success is of what another run has claimed.
        """
        successes = [draft for draft in drafts if draft.status == "success"]
        codes = self._new_code(successes)
        missing = codes and exchange.say(self._queries.missing_code, [bare_array(codes)])
        self._insert(exchange, [draft for draft in drafts if draft.recorded is None])
        known = [draft for draft in drafts if draft.recorded]
        updated = known and self._update(exchange, known)
        self._link(exchange, successes)
        self._decide(exchange, decisions)
        self._keep_logs(exchange, logs)
        made = {draft.asset_name for draft in successes}
        settled = self._settle(exchange, run_id, rows.ends(drafts, decisions))
        await exchange.over()
        if updated and updated.count != len(known):
            raise lost(run_id)
        for answer in settled:
            await self._claims.refuse(exchange.conn, answer, made)
        if missing and missing.rows:
            await self._keep_code(exchange.conn, [codes[version] for (version,) in missing.rows])

    def mark(self, drafts: Iterable[Draft]) -> None:
        """Take note of what is committed."""
        for draft in drafts:
            draft.recorded = draft.status
            if draft.status == "success" and draft.code.version not in self._kept:
                self._kept.update(rows.kept(draft.code))

    def _new_code(self, successes: Iterable[Draft]) -> dict[str, Code]:
        """The code by version that is not known to be recorded."""
        codes = (draft.code for draft in successes)
        return {
            code.version: code
            for code in codes
            if code.version is not None and code.version not in self._kept
        }

    def _insert(self, exchange: Exchange, drafts: Sequence[Draft]) -> None:
        if drafts:
            exchange.copy(self._queries.copy_drafts, lines(map(inserted, drafts)))

    def _update(self, exchange: Exchange, drafts: Sequence[Draft]) -> Answer:
        """Write what changed of rows that are there; a column all of them leave out stays."""
        columns = changing(drafts)
        ids = bare_array([draft.id.hex for draft in drafts])
        recorded = bare_array([draft.recorded or NULL for draft in drafts])
        arrays = [array(column) for column in columns.values()]
        statement = self._queries.update_drafts(tuple(columns))
        return exchange.say(statement, [ids, recorded, *arrays])

    def _link(self, exchange: Exchange, drafts: Sequence[Draft]) -> None:
        """Not by COPY: its round trip would take longer than reading the arrays."""
        edges = [edge for draft in drafts for edge in draft.edges]
        if edges:
            mine = [each for draft in drafts for each in [draft.id.hex] * len(draft.edges)]
            upstream = [version.hex for version, _ in edges]
            columns = [bare_array(mine), bare_array(upstream), array([name for _, name in edges])]
            exchange.say(self._queries.insert_lineage, columns)

    def _decide(self, exchange: Exchange, decisions: Iterable[Decision]) -> None:
        told = [
            (
                each.run_id,
                each.asset_name,
                each.partition,
                each.kind,
                document(each.causes),
                each.materialization_id.hex,
            )
            for each in decisions
        ]
        if told:
            exchange.copy(self._queries.copy_decisions, lines(told))

    def _keep_logs(self, exchange: Exchange, logs: Iterable[StepLog]) -> None:
        told = [
            (
                each.run_id,
                each.asset_name,
                each.partition,
                str(each.attempt),
                each.lines,
                str(each.left_out),
            )
            for each in logs
        ]
        if told:
            exchange.copy(self._queries.copy_logs, lines(told))

    def _settle(
        self, exchange: Exchange, run_id: str, ends: Mapping[rows.Key, uuid.UUID | None]
    ) -> list[Answer]:
        """What is current now, and who may leave: last, for these locks are wanted by others."""
        of: dict[str | None, dict[str, uuid.UUID | None]] = defaultdict(dict)
        for (name, partition), made in ends.items():
            of[partition][name] = made
        settled = []
        for partition, standing in of.items():
            settled.append(self._claims.settle(exchange, run_id, partition, standing))
            if run_id in self.pooled:
                parameters = [run_id, list(standing), partition, None]
                exchange.say(self._queries.free_slots, parameters)
        return settled

    async def _keep_code(self, conn: AsyncConnection[Any], codes: Iterable[Code]) -> None:
        """Keep what code was run, once; sorted, so that two runs can't wait for each other."""
        new = rows.new_code(codes, self._kept)
        documents = [json.dumps(found) for _, found in new.versions]
        versions = [version for version, _ in new.versions]
        await conn.execute(self._queries.insert_code, [versions, documents])
        if new.sources:
            parts = [list(column) for column in zip(*new.sources, strict=True)]
            await conn.execute(self._queries.insert_definitions, parts)
