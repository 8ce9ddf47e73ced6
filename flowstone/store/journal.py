"""The one ordered writer of a run: numbered batches, each written once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import errors as pg

from flowstone.errors import StoreError
from flowstone.store.faults import lost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

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
        #: The batch that was asked for last; what came of it may not be known.
        self._asked: int | None = None

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
        await self._link.insist(lambda: self._write(drafts, decisions, logs))
        self._recording.mark(drafts)

    async def _write(
        self, drafts: Sequence[Draft], decisions: Sequence[Decision], logs: Sequence[StepLog]
    ) -> None:
        if self._number is None:
            self._number = await self._written()
        number = self._number + 1
        may_be_in, self._asked = self._asked == number, number
        turn = {"run": self._run_id, "number": number}
        try:
            async with self._link.exchange() as exchange:
                exchange.say(self._queries.next_batch, turn)
                await self._recording.record(exchange, self._run_id, drafts, decisions, logs)
        except pg.DivisionByZero:
            await self._expect(number, may_be_in=may_be_in)
        self._number = number

    async def _expect(self, number: int, *, may_be_in: bool) -> None:
        """Make sure that a batch whose turn it is not is in already, by an attempt of ours."""
        written = await self._written()
        if written == number - 1:
            raise lost(self._run_id)
        if written != number or not may_be_in:
            msg = f"run {self._run_id} has another writer"
            raise StoreError(msg)

    async def _written(self) -> int:
        async with self._link.connection() as conn:
            row = await (await conn.execute(self._queries.written, [self._run_id])).fetchone()
        if row is None:
            raise lost(self._run_id)
        return int(row[0])
