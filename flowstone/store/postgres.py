"""The metadata store in Postgres: one method for each verb, one statement where one will do."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from psycopg import errors as pg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from flowstone.core.status import TRANSITIONS, sources
from flowstone.errors import (
    DatabaseUnavailableError,
    IllegalTransitionError,
    NotFoundError,
    RunActiveError,
    RunLostError,
    StoreError,
)
from flowstone.ids import materialization_id
from flowstone.store import rows
from flowstone.store.base import LEASE_SECONDS
from flowstone.store.queries import CHANGING, DRAFT_COLUMNS, Queries

if TYPE_CHECKING:
    import uuid
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from typing import Protocol

    from psycopg import AsyncConnection, AsyncCursor
    from psycopg.sql import Composed

    from flowstone.core.records import Act, Decision, Draft, LineageEdge, Materialization, Run
    from flowstone.core.status import Status
    from flowstone.store.base import Definitions

    class Connections(Protocol):
        """The part of a pool the store uses: a connection whose transaction ends with the block."""

        def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]: ...


_DOCUMENTS = frozenset({"inputs", "causes", "metadata", "attempts"})
#: SQLSTATEs: connection exceptions, operator intervention, too many connections.
_UNREACHABLE = ("08", "57P", "53300")


class PostgresStore:
    """A ``MaterializationStore`` over a pool of connections."""

    def __init__(
        self, pool: Connections, schema: str | None = None, conninfo: str | None = None
    ) -> None:
        self._pool = pool
        self._conninfo = conninfo
        self._queries = Queries(schema)
        #: Code versions and definitions that are known to be recorded.
        self._kept: set[str] = set()

    @property
    def conninfo(self) -> str | None:
        return self._conninfo

    async def create(
        self,
        *,
        asset_name: str,
        run_id: str,
        partition: str | None = None,
        status: Status = "pending",
        **columns: Any,
    ) -> Materialization:
        values = {
            "id": materialization_id(),
            "asset_name": asset_name,
            "run_id": run_id,
            "partition": partition,
            "status": status,
        } | _columns(rows.filled(status, columns, None))
        statement = self._queries.create(list(values))
        async with self._cursor() as cursor:
            await cursor.execute(statement, list(values.values()))
            return rows.materialization(await _one(cursor))

    async def get(self, asset_name: str, partition: str | None = None) -> Materialization:
        key = [asset_name, *_given(partition)]
        row = await self._first(self._queries.newest(partition), key)
        if row is None:
            of = f" of partition {partition!r}" if partition is not None else ""
            msg = f"no materialization of asset {asset_name!r}{of} is recorded"
            raise NotFoundError(msg)
        return rows.materialization(row)

    async def get_by_id(self, id: uuid.UUID) -> Materialization:  # noqa: A002 - the column's name
        row = await self._first(self._queries.by_id, [id])
        if row is None:
            msg = f"no materialization {id} is recorded"
            raise NotFoundError(msg)
        return rows.materialization(row)

    async def get_by_run_id(self, run_id: str) -> list[Materialization]:
        found = await self._all(self._queries.by_run, [run_id])
        return [rows.materialization(row) for row in found]

    async def update_status(
        self,
        id: uuid.UUID,  # noqa: A002 - the column's name
        status: Status,
        **columns: Any,
    ) -> Materialization:
        present = await self.get_by_id(id)
        values = {"status": status} | _columns(rows.filled(status, columns, present))
        parameters = [*values.values(), id, list(sources(status))]
        async with self._cursor() as cursor:
            await cursor.execute(self._queries.update(list(values)), parameters)
            row = await cursor.fetchone()
        if row is not None:
            return rows.materialization(row)
        present = await self.get_by_id(id)
        if present.status not in sources(status):
            raise IllegalTransitionError(present.status, status, TRANSITIONS[present.status])
        msg = (
            f"materialization {id} belongs to run {present.run_id}, which is alive;"
            f" only that run writes it"
        )
        raise RunActiveError(msg)

    async def exists(self, asset_name: str, partition: str | None = None) -> bool:
        key = [asset_name, *_given(partition)]
        row = await self._first(self._queries.exists(partition), key)
        return bool(row and row["exists"])

    async def list_by_status(
        self, status: Status, *, limit: int = 100, after: uuid.UUID | None = None
    ) -> list[Materialization]:
        found = await self._all(self._queries.by_status, [status, after, after, limit])
        return [rows.materialization(row) for row in found]

    async def lineage(self, id: uuid.UUID) -> list[LineageEdge]:  # noqa: A002 - the column's name
        return [rows.edge(row) for row in await self._all(self._queries.lineage, [id])]

    async def current(
        self, asset_names: Sequence[str], partition: str | None = None
    ) -> dict[str, Materialization]:
        key = [list(asset_names), *_given(partition)]
        found = await self._all(self._queries.current(partition), key)
        return {row.pop("current_name"): rows.materialization(row) for row in found}

    async def history(
        self, wanted: Collection[tuple[str, str]], partition: str | None = None
    ) -> dict[tuple[str, str], Materialization]:
        key = [[name for name, _ in wanted], [hash_ for _, hash_ in wanted], *_given(partition)]
        found = await self._all(self._queries.history(partition), key)
        made = [rows.materialization(row) for row in found]
        return {(each.asset_name, each.dependency_hash or ""): each for each in made}

    async def since(self, made: Materialization) -> Materialization:
        of = [made.asset_name, *_given(made.partition), made.data_version]
        key = [*of, *of, made.inserted_at]
        row = await self._first(self._queries.since(made.partition), key)
        return made if row is None else rows.materialization(row)

    async def inline_values(self, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, bytes]:
        found = await self._all(self._queries.inline_values, [list(ids)])
        return {row["id"]: row["value_inline"] for row in found}

    async def get_run(self, run_id: str) -> Run:
        row = await self._first(self._queries.get_run, [run_id])
        if row is None:
            msg = f"no run {run_id!r} is recorded"
            raise NotFoundError(msg)
        return rows.run(row)

    async def list_runs(self, *, limit: int = 100) -> list[Run]:
        return [rows.run(row) for row in await self._all(self._queries.list_runs, [limit])]

    async def record_run(
        self,
        run: Run,
        drafts: Sequence[Draft] = (),
        decisions: Sequence[Decision] = (),
        acts: Sequence[Act] = (),
    ) -> None:
        async with self._cursor() as cursor:
            await cursor.execute(self._queries.insert_run, _run_values(run))
            await self._record(cursor, run.run_id, drafts, decisions)
            await self._note(cursor, acts)
        self._mark_recorded(drafts)

    async def start_run(
        self, run: Run, drafts: Sequence[Draft], decisions: Sequence[Decision] = ()
    ) -> None:
        owner = run.executor_node or ""
        async with self._cursor() as cursor:
            await cursor.execute(self._queries.close_dead_runs)
            await cursor.execute(self._queries.insert_run, _run_values(run))
            await cursor.execute(self._queries.take_lease, [run.run_id, owner, LEASE_SECONDS])
            await self._record(cursor, run.run_id, drafts, decisions)
        self._mark_recorded(drafts)

    async def beat(self, run_id: str) -> None:
        async with self._cursor() as cursor:
            await cursor.execute(self._queries.renew_lease, [LEASE_SECONDS, run_id])
            _require_lease(cursor, run_id)

    async def write(
        self, run_id: str, drafts: Sequence[Draft], decisions: Sequence[Decision] = ()
    ) -> None:
        async with self._cursor() as cursor:
            await cursor.execute(self._queries.hold_lease, [run_id])
            _require_lease(cursor, run_id)
            await self._record(cursor, run_id, drafts, decisions)
        self._mark_recorded(drafts)

    async def finish_run(self, run: Run) -> None:
        parameters = [run.run_id, run.status, Jsonb(run.counts), run.completed_at]
        async with self._cursor() as cursor:
            await cursor.execute(self._queries.finish_run, parameters)
            _require_lease(cursor, run.run_id)

    async def decisions(self, run_id: str) -> list[Decision]:
        return [rows.decision(row) for row in await self._all(self._queries.decisions, [run_id])]

    async def definitions(self, versions: Collection[str]) -> dict[str, Definitions]:
        found = await self._all(self._queries.code, [list(versions)])
        return {row["version"]: row["definitions"] for row in found}

    async def sources(self, digests: Collection[str]) -> dict[str, str]:
        found = await self._all(self._queries.definitions, [list(digests)])
        return {row["digest"]: row["source"] for row in found}

    async def invalidate(
        self, asset_names: Collection[str], partition: str | None, acts: Sequence[Act]
    ) -> dict[str, int]:
        key = [list(asset_names), *_given(partition)]
        async with self._cursor() as cursor:
            await cursor.execute(self._queries.invalidate(partition), key)
            found = Counter(row["asset_name"] for row in await cursor.fetchall())
            await self._note(cursor, [act for act in acts if act.asset_name in found])
        return dict(found)

    async def acts(self, asset_name: str, partition: str | None = None) -> list[Act]:
        key = [asset_name, *_given(partition)]
        return [rows.act(row) for row in await self._all(self._queries.acts(partition), key)]

    async def _record(
        self,
        cursor: AsyncCursor[Any],
        run_id: str,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision],
    ) -> None:
        """Everything a run has to say, within the caller's transaction."""
        successes = [draft for draft in drafts if draft.status == "success"]
        await self._insert(cursor, [draft for draft in drafts if draft.recorded is None])
        await self._update(cursor, run_id, [draft for draft in drafts if draft.recorded])
        await self._link(cursor, [edge for draft in successes for edge in draft.edges])
        await self._set_current(cursor, rows.standing(successes, decisions))
        await self._decide(cursor, decisions)
        await self._keep_code(cursor, successes)

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

    async def _note(self, cursor: AsyncCursor[Any], acts: Sequence[Act]) -> None:
        for act in acts:
            of = [act.at, act.actor, act.action, act.asset_name, act.partition]
            await cursor.execute(self._queries.insert_act, [*of, act.reason, Jsonb(act.details)])

    def _mark_recorded(self, drafts: Iterable[Draft]) -> None:
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
            [json.dumps(each[name].obj) if name in _DOCUMENTS else each[name] for each in columns]
            for name in CHANGING
        ]
        ids, recorded = [draft.id for draft in drafts], [draft.recorded for draft in drafts]
        await cursor.execute(self._queries.update_drafts, [ids, recorded, *arrays])
        if cursor.rowcount != len(drafts):
            raise _lost(run_id)

    async def _link(self, cursor: AsyncCursor[Any], edges: Sequence[LineageEdge]) -> None:
        if not edges:
            return
        async with cursor.copy(self._queries.copy_lineage) as copy:
            for edge in edges:
                await copy.write_row([edge.materialization_id, edge.upstream_id, edge.parameter])

    async def _set_current(
        self, cursor: AsyncCursor[Any], standing: Mapping[rows.Key, uuid.UUID]
    ) -> None:
        """Sorted, so that two runs that write the same keys can't wait for each other."""
        if not standing:
            return
        keys = sorted(standing, key=lambda key: (key[0], key[1] or ""))
        columns = [[key[0] for key in keys], [key[1] for key in keys]]
        await cursor.execute(self._queries.set_current, [*columns, [standing[k] for k in keys]])

    @contextlib.asynccontextmanager
    async def _cursor(self, *, reading: bool = False) -> AsyncIterator[AsyncCursor[dict[str, Any]]]:
        """A cursor in one transaction; the driver's errors come out as ours.

        One statement that reads needs no transaction around it, and is spared its round trips.
        """
        try:
            async with (
                self._pool.connection() as conn,
                contextlib.nullcontext() if reading else conn.transaction(),
                conn.cursor(row_factory=dict_row) as cursor,
            ):
                yield cursor
        except pg.Error as error:
            raise _translated(error) from error

    async def _first(self, statement: Composed, key: Sequence[Any]) -> dict[str, Any] | None:
        async with self._cursor(reading=True) as cursor:
            await cursor.execute(statement, key)
            return await cursor.fetchone()

    async def _all(self, statement: Composed, key: Sequence[Any]) -> list[dict[str, Any]]:
        async with self._cursor(reading=True) as cursor:
            await cursor.execute(statement, key)
            return await cursor.fetchall()


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    columns = rows.flattened(values)
    return {name: Jsonb(v) if name in _DOCUMENTS else v for name, v in columns.items()}


def _draft_columns(draft: Draft) -> dict[str, Any]:
    columns = _columns(rows.draft_fields(draft))
    for name in ("id", "asset_name", "partition", "run_id", "status"):
        columns[name] = getattr(draft, name)
    return columns


def _run_values(run: Run) -> list[Any]:
    return [
        run.run_id,
        run.status,
        run.target,
        run.partition,
        Jsonb(run.config),
        Jsonb(run.counts),
        run.executor_node,
        run.started_at,
        run.completed_at,
    ]


def _given(partition: str | None) -> list[str]:
    """The parameter of ``{of_partition}``, if it has one."""
    return [] if partition is None else [partition]


def _require_lease(cursor: AsyncCursor[Any], run_id: str) -> None:
    if cursor.rowcount != 1:
        raise _lost(run_id)


def _lost(run_id: str) -> RunLostError:
    return RunLostError(
        f"run {run_id} was taken for dead by another process, its results are not recorded;"
        f" run again, what was recorded is reused"
    )


async def _one(cursor: AsyncCursor[dict[str, Any]]) -> dict[str, Any]:
    row = await cursor.fetchone()
    if row is None:  # pragma: no cover - an INSERT ... RETURNING always has one
        msg = "the database returned no row"
        raise StoreError(msg)
    return row


def _is_unreachable(error: pg.Error) -> bool:
    """No connection, or a server that shuts down; a deadlock or a full disk is something else."""
    code = error.sqlstate
    kinds = (pg.OperationalError, pg.InterfaceError)
    return isinstance(error, kinds) and (code is None or code.startswith(_UNREACHABLE))


def _translated(error: pg.Error) -> StoreError:
    """Our error for the driver's; DETAIL stays out, it quotes whole rows."""
    primary = error.diag.message_primary or type(error).__name__
    if isinstance(error, pg.UniqueViolation):
        return StoreError("this run has a row for that asset and partition already")
    if isinstance(error, pg.CheckViolation | pg.DataError | pg.NotNullViolation):
        return StoreError(f"the database refused the row: {primary}")
    if _is_unreachable(error):
        return DatabaseUnavailableError(
            f"the database does not answer: {_broken(error) or primary};"
            f" once it does, run again: what is recorded stays"
        )
    return StoreError(f"the database refused: {primary} (SQLSTATE {error.sqlstate})")


def _broken(error: pg.Error) -> str:
    """What the server or libpq says of a broken connection, without libpq's guesses."""
    said = error.diag.message_primary or str(error).partition("\n")[0]
    return said.removeprefix("consuming input failed: ")
