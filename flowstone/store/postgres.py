"""The metadata store in Postgres: one method for each verb, one statement where one will do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import errors as pg
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import Jsonb

from flowstone.core.status import TRANSITIONS, sources
from flowstone.errors import (
    IllegalTransitionError,
    NotFoundError,
    RunActiveError,
    RunEndedError,
    StoreError,
)
from flowstone.ids import materialization_id
from flowstone.store import rows
from flowstone.store.base import LEASE_SECONDS
from flowstone.store.claims import Claims
from flowstone.store.copytext import array
from flowstone.store.faults import lost
from flowstone.store.heart import PostgresHeart, StillHeart, ticking
from flowstone.store.journal import PostgresJournal
from flowstone.store.process import here
from flowstone.store.queries import RUNS_TABLE
from flowstone.store.recording import Recording
from flowstone.store.run_queries import RunQueries

if TYPE_CHECKING:
    import uuid
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from psycopg import AsyncConnection
    from psycopg.sql import Composed

    from flowstone.core.records import (
        Act,
        Claim,
        Decision,
        Draft,
        LineageEdge,
        Materialization,
        Run,
        StepLog,
    )
    from flowstone.core.status import Status
    from flowstone.store.base import Definitions, Heart, Told
    from flowstone.store.link import Link


T = TypeVar("T")


class PostgresStore:
    """A ``MaterializationStore`` over a link to a database.

    Without ``conninfo`` the leases of runs are not renewed.
    """

    def __init__(self, link: Link, schema: str | None = None, conninfo: str | None = None) -> None:
        self._link = link
        self._conninfo = conninfo
        self._queries = RunQueries(schema)
        self._claims = Claims(self._queries)
        self._recording = Recording(self._queries, self._claims)
        #: When the leases of runs were asked for that have no heart yet.
        self._started: dict[str, float] = {}

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
        (row,) = await self._changed(statement, list(values.values()))
        return rows.materialization(row)

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
        for row in await self._changed(self._queries.update(list(values)), parameters):
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
        key = [array(asset_names), *_given(partition)]

        async def act(conn: AsyncConnection[Any]) -> list[tuple[Any, ...]]:
            light = conn.cursor(binary=True, row_factory=tuple_row)
            await light.execute(self._queries.current(partition), key)
            return await light.fetchall()

        return {name: rows.standing(row) for name, *row in await self._link.read(act)}

    async def inputs(self, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
        found = await self._all(self._queries.inputs, [list(ids)])
        return {row["id"]: row["inputs"] for row in found}

    async def history(
        self, wanted: Collection[tuple[str, str]], partition: str | None = None
    ) -> dict[tuple[str, str], Materialization]:
        names, hashes = array([name for name, _ in wanted]), array([digest for _, digest in wanted])
        key = [names, hashes, *_given(partition)]
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
        async def attempt() -> None:
            async with self._link.exchange() as exchange:
                exchange.say(self._queries.insert_run, _run_values(run))
                await self._recording.record(exchange, run.run_id, drafts, decisions)
                await self._note(exchange.conn, acts)

        async def again() -> None:
            async with self._link.connection() as conn:
                if not await self._is_recorded(conn, run):
                    raise StoreError(f"there is a run {run.run_id} already")

        await self._link.insist(_once(attempt, again))
        self._recording.mark(drafts)

    async def start_run(
        self,
        run: Run,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        claims: Collection[str] = (),
    ) -> list[Claim]:
        asked = ticking()
        run_id, partition = run.run_id, run.partition

        async def attempt() -> list[Claim]:
            async with self._link.exchange() as exchange:
                suspects = self._claims.suspects(exchange, run_id)
                exchange.say(self._queries.insert_run, _run_values(run))
                self._claims.take_lease(exchange, run_id, run.executor_node or "")
                if claims and decisions:
                    names = {*claims, *(each.asset_name for each in decisions)}
                    self._claims.lock(exchange, names, partition)
                asked_for = self._claims.ask(exchange, run_id, claims, partition, [run_id])
                await self._recording.record(exchange, run_id, drafts, decisions)
                conn = exchange.conn
                await self._claims.close(conn, suspects, run_id)
                return await self._claims.answered(conn, run_id, claims, partition, asked_for)

        async def again() -> list[Claim]:
            async with self._link.exchange() as exchange:
                await exchange.over()
                await self._claims.keep_lease(exchange.conn, run_id)
                return await self._claims.claim(exchange.conn, run_id, claims, partition)

        granted = await self._link.insist(_once(attempt, again))
        self._recording.mark(drafts)
        self._started[run_id] = asked
        here.began(run_id)
        return granted

    async def claim(
        self, run_id: str, names: Collection[str], partition: str | None
    ) -> list[Claim]:
        async def act(conn: AsyncConnection[Any]) -> list[Claim]:
            await self._claims.hold_lease(conn, run_id)
            return await self._claims.claim(conn, run_id, names, partition)

        return await self._link.transact(act)

    async def release(self, run_id: str, names: Collection[str], partition: str | None) -> None:
        await self._link.transact(lambda conn: self._claims.release(conn, run_id, names, partition))

    async def take_slots(
        self,
        run_id: str,
        pool: str,
        size: int | None,
        wanted: Sequence[str],
        partition: str | None,
        *,
        interval: float | None = None,
    ) -> list[str]:
        async def act(conn: AsyncConnection[Any]) -> list[str]:
            await self._claims.hold_lease(conn, run_id)
            return await self._claims.take_slots(
                conn, run_id, pool, size, wanted, partition=partition, interval=interval
            )

        self._recording.pooled.add(run_id)
        return await self._link.transact(act)

    async def free_slots(
        self, run_id: str, pool: str, names: Collection[str], partition: str | None
    ) -> None:
        await self._link.transact(
            lambda conn: self._claims.free_slots(conn, run_id, pool, names, partition)
        )

    def heart(self, run_id: str, told: Callable[[Told], None]) -> Heart:
        asked = self._started.pop(run_id, ticking())
        if self._conninfo is None:
            return StillHeart()
        return PostgresHeart(self._conninfo, self._queries, run_id, told, asked)

    async def beat(self, run_id: str) -> bool:
        for row in await self._changed(self._queries.renew_lease, [LEASE_SECONDS, run_id]):
            return any(row.values())
        raise lost(run_id)

    async def settled_run(self, run_id: str) -> Run:
        await self._link.transact(self._claims.close_dead_runs)
        return await self.get_run(run_id)

    async def cancel_run(self, run_id: str, acts: Sequence[Act] = ()) -> None:
        async def act(conn: AsyncConnection[Any]) -> int:
            await self._claims.close_dead_runs(conn)
            asked = await conn.execute(self._queries.ask_to_stop, [run_id])
            if asked.rowcount:
                await conn.execute(self._queries.tell_to_stop, [run_id])
                await self._note(conn, acts)
            return asked.rowcount

        if not await self._link.transact(act, once=True):
            run = await self.get_run(run_id)
            raise RunEndedError(f"run {run_id} is over: {run.status}")

    def journal(self, run_id: str) -> PostgresJournal:
        return PostgresJournal(self._link, self._queries, self._recording, run_id)

    async def write(
        self, run_id: str, drafts: Sequence[Draft], decisions: Sequence[Decision] = ()
    ) -> None:
        async with self.journal(run_id) as session:
            await session.write(drafts, decisions)

    async def finish_run(self, run: Run) -> None:
        parameters = {
            "run": run.run_id,
            "status": run.status,
            "counts": Jsonb(run.counts),
            "completed_at": run.completed_at,
        }

        async def act(conn: AsyncConnection[Any]) -> bool:
            finished = (await conn.execute(self._queries.finish_run, parameters)).rowcount
            return bool(finished) or await self._is_recorded(conn, run)

        finished = await self._link.transact(act)
        self._started.pop(run.run_id, None)
        here.gave_up(run.run_id)
        self._recording.pooled.discard(run.run_id)
        if not finished:
            raise lost(run.run_id)

    async def _is_recorded(self, conn: AsyncConnection[Any], run: Run) -> bool:
        """Whether the run's end is recorded, by a transaction whose answer was lost."""
        cursor = conn.cursor(row_factory=dict_row)
        row = await (await cursor.execute(self._queries.get_run, [run.run_id])).fetchone()
        return row is not None and (row["status"], row["completed_at"]) == (
            run.status,
            run.completed_at,
        )

    async def logs(self, run_id: str, asset_name: str | None = None) -> list[StepLog]:
        found = await self._all(self._queries.logs, [run_id, asset_name, asset_name])
        return [rows.log(row) for row in found]

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

        async def act(conn: AsyncConnection[Any]) -> dict[str, int]:
            cursor = conn.cursor(row_factory=dict_row)
            await cursor.execute(self._queries.invalidate(partition), key)
            found = Counter(row["asset_name"] for row in await cursor.fetchall())
            await self._note(conn, [act for act in acts if act.asset_name in found])
            return dict(found)

        return await self._link.transact(act, once=True)

    async def acts(self, asset_name: str, partition: str | None = None) -> list[Act]:
        key = [asset_name, *_given(partition)]
        return [rows.act(row) for row in await self._all(self._queries.acts(partition), key)]

    async def _note(self, conn: AsyncConnection[Any], acts: Sequence[Act]) -> None:
        for act in acts:
            of = [act.at, act.actor, act.action, act.asset_name, act.partition]
            await conn.execute(self._queries.insert_act, [*of, act.reason, Jsonb(act.details)])

    async def _changed(
        self, statement: bytes | Composed, key: Sequence[Any]
    ) -> list[dict[str, Any]]:
        """The rows of one statement that writes."""

        async def act(conn: AsyncConnection[Any]) -> list[dict[str, Any]]:
            cursor = conn.cursor(row_factory=dict_row)
            return await (await cursor.execute(statement, key)).fetchall()

        return await self._link.transact(act, once=True)

    async def _first(self, statement: bytes, key: Sequence[Any]) -> dict[str, Any] | None:
        async def act(conn: AsyncConnection[Any]) -> dict[str, Any] | None:
            cursor = conn.cursor(row_factory=dict_row)
            return await (await cursor.execute(statement, key)).fetchone()

        return await self._link.read(act)

    async def _all(self, statement: bytes, key: Sequence[Any]) -> list[dict[str, Any]]:
        async def act(conn: AsyncConnection[Any]) -> list[dict[str, Any]]:
            cursor = conn.cursor(row_factory=dict_row)
            return await (await cursor.execute(statement, key)).fetchall()

        return await self._link.read(act)


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a materialization as the driver takes them."""
    columns = rows.flattened(values)
    return {name: Jsonb(v) if name in rows.DOCUMENTS else v for name, v in columns.items()}


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
        run.request and Jsonb(run.request),
    ]


def _once(
    attempt: Callable[[], Awaitable[T]], again: Callable[[], Awaitable[T]]
) -> Callable[[], Awaitable[T]]:
    """``attempt``, or ``again`` if there is such a run: the answer to that attempt was lost."""

    async def once() -> T:
        try:
            return await attempt()
        except pg.UniqueViolation as error:
            if error.diag.table_name != RUNS_TABLE:
                raise
        return await again()

    return once


def _given(partition: str | None) -> list[str]:
    """The parameter of ``{of_partition}``, if it has one."""
    return [] if partition is None else [partition]
