"""Who may record what: leases of runs, claims of assets, slots in pools.

Each call is part of the caller's transaction. Rows of ``flowstone_current`` are locked in the
order of their names, whoever locks them and for what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.core.records import Claim
from flowstone.errors import StoreError
from flowstone.store import rows
from flowstone.store.base import LEASE_SECONDS
from flowstone.store.copytext import array, bare_array
from flowstone.store.exchange import Exchange
from flowstone.store.faults import lost
from flowstone.store.pools import CATCH_UP_SECONDS, admitted
from flowstone.store.process import Process, here, is_gone, this_process

if TYPE_CHECKING:
    import uuid
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from psycopg import AsyncConnection

    from flowstone.store.exchange import Answer
    from flowstone.store.run_queries import RunQueries


class Claims:
    """The statements of one schema in the order they belong in."""

    def __init__(self, queries: RunQueries) -> None:
        self._queries = queries

    def take_lease(self, exchange: Exchange, run_id: str, owner: str) -> None:
        """Begin to be alive."""
        exchange.say(self._queries.take_lease, [run_id, owner, *this_process(), LEASE_SECONDS])

    async def hold_lease(self, conn: AsyncConnection[Any], run_id: str) -> None:
        """Stay alive until the transaction ends.

        Raises:
            RunLostError: if the run is not.
        """
        cursor = await conn.execute(self._queries.hold_lease, [run_id])
        if cursor.rowcount != 1:
            raise lost(run_id)

    async def keep_lease(self, conn: AsyncConnection[Any], run_id: str) -> None:
        """Stay alive, asked to begin again because an answer was lost.

        Raises:
            RunLostError: if the run is not alive.
            StoreError: if it is another process's.
        """
        cursor = await conn.execute(self._queries.owner, [run_id])
        row = await cursor.fetchone()
        if row is None:
            raise lost(run_id)
        if row != this_process():
            raise StoreError(f"there is a run {run_id} already, of another process")

    async def close_dead_runs(self, conn: AsyncConnection[Any], run_id: str = "") -> None:
        """Close runs that are over, and those whose lease has run out; never ``run_id``."""
        exchange = Exchange(conn)
        suspects = self.suspects(exchange, run_id)
        await exchange.over()
        await self.close(conn, suspects, run_id)

    def suspects(self, exchange: Exchange, run_id: str) -> Answer:
        """Ask which runs other than ``run_id`` may be over; see ``close``."""
        return exchange.say(self._queries.suspects, [*this_process(), list(here.over), run_id])

    async def close(self, conn: AsyncConnection[Any], suspects: Answer, run_id: str) -> None:
        """Close those of the suspects that are over, never ``run_id``."""
        found = suspects.rows
        gone_processes = set(filter(is_gone, {Process(*process) for _, _, *process in found}))
        gone = [
            name
            for name, _, *process in found
            if name in here.over or Process(*process) in gone_processes
        ]
        if gone or any(expired for _, expired, *_ in found):
            locked = await conn.execute(self._queries.lock_dead_runs, [gone])
            dead = [name for (name,) in await locked.fetchall() if name != run_id]
            if dead:
                await conn.execute(self._queries.close_dead_runs, [dead])
                for each in here.over.intersection(dead):
                    here.gave_up(each)

    async def claim(
        self,
        conn: AsyncConnection[Any],
        run_id: str,
        names: Collection[str],
        partition: str | None,
    ) -> list[Claim]:
        """Claims of assets, by name; those of dead runs are taken over."""
        exchange = Exchange(conn)
        asked = self.ask(exchange, run_id, names, partition, [run_id])
        await exchange.over()
        return await self.answered(conn, run_id, names, partition, asked)

    def ask(
        self,
        exchange: Exchange,
        run_id: str,
        names: Iterable[str],
        partition: str | None,
        free: Iterable[str],
    ) -> Answer:
        """Ask for claims that nobody has, or one of ``free``; see ``answered``."""
        parameters = {
            "names": array(sorted(set(names))),
            "partition": partition,
            "run": run_id,
            "free": list(free),
        }
        return exchange.say(self._queries.claim(partition), parameters)

    async def answered(
        self,
        conn: AsyncConnection[Any],
        run_id: str,
        names: Collection[str],
        partition: str | None,
        asked: Answer,
    ) -> list[Claim]:
        """The claims that ``ask`` was granted, and what else became of those names."""
        wanted = sorted(set(names))
        claims = _granted(asked, run_id)
        if len(claims) < len(wanted):
            await self.close_dead_runs(conn, run_id)
            missing = [name for name in wanted if name not in claims]
            claims |= await self._contested(conn, run_id, missing, partition)
        return [claims[name] for name in wanted]

    async def _contested(
        self, conn: AsyncConnection[Any], run_id: str, names: Sequence[str], partition: str | None
    ) -> dict[str, Claim]:
        """What is to be had of names that others have, or had: dead runs are closed by now.

        The heads are locked since they were asked for, so nobody else takes them meanwhile.
        """
        parameters = {"names": array(names), "partition": partition}
        cursor = await conn.execute(self._queries.heads(partition), parameters)
        claims, free = {}, {}
        for name, holder, current, fence, is_alive in await cursor.fetchall():
            if is_alive:
                claims[name] = Claim(name, holder, current, fence)
            else:
                free[name] = holder
        exchange = Exchange(conn)
        asked = self.ask(exchange, run_id, free, partition, free.values())
        await exchange.over()
        return claims | _granted(asked, run_id)

    async def release(
        self,
        conn: AsyncConnection[Any],
        run_id: str,
        names: Collection[str],
        partition: str | None,
    ) -> None:
        """Free the run's claims of those assets."""
        exchange = Exchange(conn)
        self.settle(exchange, run_id, partition, dict.fromkeys(names))
        await exchange.over()

    def settle(
        self,
        exchange: Exchange,
        run_id: str,
        partition: str | None,
        standing: Mapping[str, uuid.UUID | None],
    ) -> Answer:
        """Let versions be current, and free the run's claims of those names; see ``refuse``."""
        names = sorted(standing)
        parameters = {
            "names": array(names),
            "ids": bare_array([id_.hex if id_ else "NULL" for id_ in map(standing.get, names)]),
            "partition": partition,
            "run": run_id,
        }
        return exchange.say(self._queries.settle(partition), parameters)

    async def refuse(
        self, conn: AsyncConnection[Any], settled: Answer, made: Collection[str]
    ) -> None:
        """Look at what ``settle`` was answered.

        Raises:
            RunActiveError: if one of those ``made`` is claimed by another run that is alive.
        """
        others = {name: holder for name, holder in settled.rows if name in made}
        if others:
            alive = await self._alive(conn, others.values())
            for name, holder in others.items():
                if holder in alive:
                    raise rows.claimed(name, holder)

    def lock(self, exchange: Exchange, names: Iterable[str], partition: str | None) -> None:
        """Lock what is there of names that more than one statement will write."""
        parameters = {"names": sorted(names), "partition": partition}
        exchange.say(self._queries.lock_heads(partition), parameters)

    async def _alive(self, conn: AsyncConnection[Any], runs: Iterable[str]) -> set[str]:
        cursor = await conn.execute(self._queries.having_leases, [list(runs)])
        return {name for (name,) in await cursor.fetchall()}

    async def take_slots(
        self,
        conn: AsyncConnection[Any],
        run_id: str,
        pool: str,
        size: int | None,
        wanted: Sequence[str],
        *,
        partition: str | None,
        interval: float | None,
    ) -> list[str]:
        """Slots in a pool, for as many of those wanted as there is room for, and time."""
        await conn.execute(self._queries.make_pool, [pool])
        row = await (await conn.execute(self._queries.lock_pool, [pool])).fetchone()
        since = row[0] if row else 0.0
        within = await self._within(conn, pool)
        if size is not None and len(within) >= size:
            await self.close_dead_runs(conn, run_id)
            within = await self._within(conn, pool)
        mine = {name for holder, name, of in within if (holder, of) == (run_id, partition)}
        asked = [name for name in wanted if name not in mine]
        entering = asked[: admitted(size, len(within), interval, since)]
        if entering:
            parameters = [pool, run_id, partition, entering]
            await conn.execute(self._queries.take_slots, parameters)
        if entering and interval:
            seconds = [CATCH_UP_SECONDS, interval * len(entering)]
            await conn.execute(self._queries.next_slot, [*seconds, pool])
        return [name for name in wanted if name in mine or name in entering]

    async def _within(
        self, conn: AsyncConnection[Any], pool: str
    ) -> list[tuple[str, str, str | None]]:
        return await (await conn.execute(self._queries.slots, [pool])).fetchall()

    async def free_slots(
        self,
        conn: AsyncConnection[Any],
        run_id: str,
        pool: str | None,
        names: Collection[str],
        partition: str | None,
    ) -> None:
        """Leave a pool, or all of them."""
        await conn.execute(self._queries.free_slots, [run_id, list(names), partition, pool])


def _granted(asked: Answer, run_id: str) -> dict[str, Claim]:
    return {
        name: Claim(name, run_id, current, fence, granted=True)
        for name, current, fence in asked.rows
    }
