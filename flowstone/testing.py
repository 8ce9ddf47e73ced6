"""For tests: a store whose every write is rolled back, and a record of what a run told."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from flowstone.runner.events import Event, StepFinished
from flowstone.store.connect import connect
from flowstone.store.link import Link
from flowstone.store.postgres import PostgresStore
from flowstone.store.schema import ensure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg import AsyncConnection


class OneConnection:
    """Stands in for a pool: always the same connection, its transactions become savepoints."""

    def __init__(self, conn: AsyncConnection[Any]) -> None:
        self._conn = conn

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """The connection, in a savepoint if it is in a transaction."""
        async with self._conn.transaction():
            yield self._conn

    async def drain(self) -> None:
        """Nothing: what would be lost with it can't be had again."""


@contextlib.asynccontextmanager
async def rolled_back_store(
    conninfo: str, schema_name: str | None = None
) -> AsyncIterator[PostgresStore]:
    """A store on a real database that is as before when the block ends.

    Use it from one task at a time: everything goes through one connection. Tests that run at once
    need a schema each, for until its end a test keeps others from claiming the same assets.
    """
    conn = await connect(conninfo)
    async with conn:
        await ensure(conn, schema_name, migrate=True)
        async with conn.transaction(force_rollback=True):
            yield PostgresStore(Link(OneConnection(conn)), schema_name)


class Recorder:
    """An ``on_event`` listener that keeps what it was told, for assertions on what ran."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Take down one event."""
        self.events.append(event)

    @property
    def endings(self) -> dict[str, str]:
        """How each step ended."""
        return {e.asset: e.ending for e in self.events if isinstance(e, StepFinished)}

    @property
    def ran(self) -> list[str]:
        """The assets whose functions ran to their end, in the order they ended."""
        endings = self.endings.items()
        return [asset for asset, ending in endings if ending in ("materialized", "failed")]
