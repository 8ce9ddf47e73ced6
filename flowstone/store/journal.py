"""The one ordered writer of a run: numbered batches on a connection of its own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from psycopg import errors as pg

from flowstone.errors import StoreError
from flowstone.store.faults import lost, may_pass, translated
from flowstone.store.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self

    from psycopg import AsyncConnection

    from flowstone.core.records import Decision, Draft, StepLog
    from flowstone.store.recording import Recording
    from flowstone.store.run_queries import RunQueries

    class Connections(Protocol):
        """The part of a pool the store uses: a connection whose transaction ends with the block."""

        def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
            """A connection."""
            ...


class PostgresJournal:
    """A ``JournalSession``; the connection is taken at the first write, and kept.

    Each batch has a number, and takes its turn by it in the run's row: a batch whose answer was
    lost is asked for, and whoever asks waits until the transaction that was cut off is over.
    """

    def __init__(
        self, pool: Connections, queries: RunQueries, recording: Recording, run_id: str
    ) -> None:
        self._pool, self._queries, self._recording = pool, queries, recording
        self._run_id = run_id
        self._number: int | None = None
        self._kept = contextlib.AsyncExitStack()
        self._conn: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._conn = None
        await self._kept.aclose()

    async def write(
        self,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        logs: Sequence[StepLog] = (),
    ) -> None:
        """Write one batch, once."""
        patience = Patience()
        while True:
            try:
                # Not kept in between: runs that share a pool would wait for each other for ever.
                async with self._pool.connection() as conn:
                    number = await self._next(conn)
                    async with conn.transaction():
                        if await self._takes_turn(conn, number):
                            record = self._recording.record
                            await record(conn, self._run_id, drafts, decisions, logs)
                self._number = number
                self._recording.mark(drafts)
                return
            except pg.Error as error:
                if not may_pass(error) or not await patience.wait():
                    raise translated(error) from error

    async def _connected(self) -> AsyncConnection[Any]:
        if self._conn is None:
            self._conn = await self._kept.enter_async_context(self._pool.connection())
        return self._conn

    async def _drop_broken(self) -> None:
        if self._conn is not None and self._conn.closed:
            self._conn = None
            await self._kept.aclose()

    async def _next(self, conn: AsyncConnection[Any]) -> int:
        if self._number is None:
            self._number = await self._written(conn)
        return self._number + 1

    async def _written(self, conn: AsyncConnection[Any]) -> int:
        row = await (await conn.execute(self._queries.written, [self._run_id])).fetchone()
        if row is None:
            raise lost(self._run_id)
        return int(row[0])

    async def _takes_turn(self, conn: AsyncConnection[Any], number: int) -> bool:
        """Whether the batch is to be written; not if it is in already."""
        cursor = await conn.execute(self._queries.next_batch(self._run_id, number))
        while cursor.nextset():
            pass
        if cursor.rowcount == 1:
            return True
        written = await self._written(conn)
        if written == number:
            return False
        if written != number - 1:
            msg = f"run {self._run_id} has another writer"
            raise StoreError(msg)
        raise lost(self._run_id)
