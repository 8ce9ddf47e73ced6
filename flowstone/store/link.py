"""Transactions over a pool whose connections break, and whose server goes away for a while."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio
from psycopg import errors as pg
from psycopg_pool import PoolClosed, PoolTimeout

from flowstone.store.exchange import Exchange
from flowstone.store.faults import is_unreachable, may_pass, translated
from flowstone.store.patience import Patience

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from psycopg import AsyncConnection

    class Connections(Protocol):
        """The part of a pool the store uses: a connection whose transaction ends with the block."""

        def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
            """A connection."""
            ...

        async def drain(self) -> None:
            """Replace all connections."""
            ...


T = TypeVar("T")

#: Seconds after which an attempt has had its time: nobody answers, and no error says so.
ANSWER_SECONDS = 60.0
#: What a transaction sets for itself: in milliseconds, how long a process that was stopped may
#: keep locks, how long locks are waited for, and how long a statement may take.
LIMITS = (
    b"SELECT set_config('idle_in_transaction_session_timeout', '5000', true),"
    b" set_config('lock_timeout', '5000', true), set_config('statement_timeout', '45000', true)"
)


class Link:
    """What is done over a pool of connections, again if what is in its way may pass.

    Errors of the driver come out as ours. A connection error takes all connections of the pool
    with it: when one is broken the others mostly are. ``revive`` starts a server of our own
    that was killed.
    """

    def __init__(
        self, pool: Connections, revive: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._pool, self._revive = pool, revive

    async def transact(
        self, act: Callable[[AsyncConnection[Any]], Awaitable[T]], *, once: bool = False
    ) -> T:
        """What ``act`` gives, in a transaction that keeps nobody out for long.

        The answer to a COMMIT may be lost, so ``act`` is to find out whether it was done before;
        if it can't, ``once`` has that raised.
        """
        at_commit = False

        async def attempt() -> T:
            nonlocal at_commit
            at_commit = False
            async with self.exchange() as exchange:
                await exchange.over()
                result = await act(exchange.conn)
                at_commit = once
            return result

        return await self.insist(attempt, lambda: not at_commit)

    async def read(self, act: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
        """What ``act`` gives, which is one statement that reads."""

        async def attempt() -> T:
            async with self.connection() as conn:
                return await act(conn)

        return await self.insist(attempt)

    async def insist(
        self, attempt: Callable[[], Awaitable[T]], may_repeat: Callable[[], bool] = lambda: True
    ) -> T:
        """What ``attempt`` gives, as often as it takes until patience is over.

        Raises:
            DatabaseUnavailableError: if the database does not answer, or can't now.
            StoreError: if it refuses.
        """
        patience = Patience()
        told: pg.Error | None = None
        while True:
            try:
                with anyio.fail_after(ANSWER_SECONDS):
                    return await attempt()
            except PoolClosed as error:
                raise translated(error) from error
            except PoolTimeout as error:
                told = told or error  # the pool does not know why it has no connection
            except pg.Error as error:
                told = error
                if is_unreachable(error):
                    await self._pool.drain()
            except TimeoutError:
                told = pg.OperationalError(f"nothing heard for {ANSWER_SECONDS:.0f} s")
                await self._pool.drain()
            if self._revive is not None and is_unreachable(told):
                await self._revive()
            if not (may_pass(told) and may_repeat() and await patience.wait()):
                raise translated(told) from told

    @contextlib.asynccontextmanager
    async def exchange(self) -> AsyncIterator[Exchange]:
        """An exchange that begins a transaction which keeps nobody out for long.

        The transaction ends with the block; the driver's errors come out as they are.
        """
        async with self._pool.connection() as conn:
            exchange = Exchange(conn)
            exchange.begin()
            exchange.say(LIMITS)
            yield exchange

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """A connection of the pool; the driver's errors come out as they are."""
        return self._pool.connection()
