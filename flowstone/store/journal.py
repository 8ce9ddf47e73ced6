"""The one ordered writer of a run: numbered batches, each written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.errors import StoreError
from flowstone.store.faults import lost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from psycopg import AsyncConnection

    from flowstone.core.records import Decision, Draft, StepLog
    from flowstone.store.link import Link
    from flowstone.store.recording import Recording
    from flowstone.store.run_queries import RunQueries


class PostgresJournal:
    """A ``JournalSession``, of one task at a time.

    Each batch has a number, and takes its turn by it in the run's row: a batch whose answer was
    lost is asked for, and whoever asks waits until the transaction that was cut off is over. A
    connection is held for a batch only: journals of many runs must not keep all of a pool.
    """

    def __init__(self, link: Link, queries: RunQueries, recording: Recording, run_id: str) -> None:
        self._link, self._queries, self._recording = link, queries, recording
        self._run_id = run_id
        self._number: int | None = None
        self._turn = queries.next_batch(run_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Nothing is held between batches."""

    async def write(
        self,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        logs: Sequence[StepLog] = (),
    ) -> None:
        """Write one batch, once; asked again for one that may have failed, the same is meant."""

        async def attempt() -> int:
            async with self._link.connection() as conn:
                number = await self._next(conn)
                async with conn.transaction():
                    if await self._takes_turn(conn, number):
                        said = (drafts, decisions, logs)
                        await self._recording.record(conn, self._run_id, *said)
            return number

        self._number = await self._link.insist(attempt)
        self._recording.mark(drafts)

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
        cursor = await conn.execute((b"%d" % number).join(self._turn))
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
