"""The metadata store in memory: the same protocol, for tests and simulation only."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from typing import TYPE_CHECKING, Any

from flowstone.core.records import LineageEdge, Materialization
from flowstone.core.status import OPEN, TRANSITIONS, may_follow
from flowstone.core.text import clean
from flowstone.errors import (
    IllegalTransitionError,
    NotFoundError,
    RunActiveError,
    RunEndedError,
    StoreError,
)
from flowstone.ids import materialization_id
from flowstone.store import rows
from flowstone.store.memory_claims import MemoryClaims

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from flowstone.core.records import Act, Claim, Decision, Draft, Run, StepLog
    from flowstone.core.status import Status
    from flowstone.store.base import Definitions, Told
    from flowstone.store.memory_claims import MemoryHeart


class MemoryStore:
    """A ``MaterializationStore`` that forgets at exit.

    ``clock`` gives the time leases are held against.
    """

    def __init__(self, clock: Callable[[], dt.datetime] = rows.now) -> None:
        self._clock = clock
        self._rows: dict[uuid.UUID, Materialization] = {}
        self._edges: dict[uuid.UUID, list[LineageEdge]] = {}
        self._current: dict[rows.Key, uuid.UUID] = {}
        self._decisions: list[Decision] = []
        self._code: dict[str, Definitions] = {}
        self._texts: dict[str, str] = {}
        self._acts: list[Act] = []
        self._runs: dict[str, Run] = {}
        self._logs: list[StepLog] = []
        self._claims = MemoryClaims(clock)

    @property
    def conninfo(self) -> str | None:
        return None

    async def create(
        self,
        *,
        asset_name: str,
        run_id: str,
        partition: str | None = None,
        status: Status = "pending",
        **columns: Any,
    ) -> Materialization:
        if not asset_name or not run_id:
            msg = "the database refused the row: a name and a run id can't be empty"
            raise StoreError(msg)
        values = rows.filled(status, columns, None)
        moment = self._clock()
        made = Materialization(
            id=materialization_id(),
            asset_name=asset_name,
            partition=partition,
            run_id=run_id,
            status=status,
            inserted_at=moment,
            updated_at=moment,
            **values,
        )
        self._refuse_second(made)
        self._rows[made.id] = made
        return made

    async def get(self, asset_name: str, partition: str | None = None) -> Materialization:
        found = self._of(asset_name, partition)
        if not found:
            of = f" of partition {partition!r}" if partition is not None else ""
            msg = f"no materialization of asset {asset_name!r}{of} is recorded"
            raise NotFoundError(msg)
        return max(found, key=_age)

    async def get_by_id(self, id: uuid.UUID) -> Materialization:  # noqa: A002 - the column's name
        if id not in self._rows:
            msg = f"no materialization {id} is recorded"
            raise NotFoundError(msg)
        return self._rows[id]

    async def get_by_run_id(self, run_id: str) -> list[Materialization]:
        found = (row for row in self._rows.values() if row.run_id == run_id)
        return sorted(found, key=_age)

    async def update_status(
        self,
        id: uuid.UUID,  # noqa: A002 - the column's name
        status: Status,
        **columns: Any,
    ) -> Materialization:
        present = await self.get_by_id(id)
        values = rows.filled(status, columns, present)
        if not may_follow(present.status, status):
            raise IllegalTransitionError(present.status, status, TRANSITIONS[present.status])
        if self._claims.is_alive(present.run_id):
            msg = (
                f"materialization {id} belongs to run {present.run_id}, which is alive;"
                f" only that run writes it"
            )
            raise RunActiveError(msg)
        values |= {"status": status, "updated_at": self._clock()}
        self._rows[id] = present.model_copy(update=values)
        return self._rows[id]

    async def exists(self, asset_name: str, partition: str | None = None) -> bool:
        return bool(self._of(asset_name, partition))

    async def list_by_status(
        self, status: Status, *, limit: int = 100, after: uuid.UUID | None = None
    ) -> list[Materialization]:
        found = (row for row in self._rows.values() if row.status == status)
        behind = (row for row in found if after is None or row.id > after)
        return sorted(behind, key=lambda row: row.id)[:limit]

    async def lineage(self, id: uuid.UUID) -> list[LineageEdge]:  # noqa: A002 - the column's name
        return sorted(self._edges.get(id, []), key=lambda e: (e.parameter, e.upstream_id))

    async def current(
        self, asset_names: Sequence[str], partition: str | None = None
    ) -> dict[str, Materialization]:
        keys = ((name, partition) for name in asset_names)
        found = ((key[0], self._rows[self._current[key]]) for key in keys if key in self._current)
        return {name: _unread(row).model_copy(update=rows.undecisive()) for name, row in found}

    async def inputs(self, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
        return {id_: self._rows[id_].inputs for id_ in ids if id_ in self._rows}

    async def history(
        self, wanted: Collection[tuple[str, str]], partition: str | None = None
    ) -> dict[tuple[str, str], Materialization]:
        found: dict[tuple[str, str], Materialization] = {}
        for row in self._rows.values():
            key = (row.asset_name, row.dependency_hash or "")
            usable = row.status == "success" and row.value and row.partition == partition
            if usable and key in wanted:
                found[key] = max(found.get(key, row), row, key=_age)
        return {key: _unread(row) for key, row in found.items()}

    async def since(self, made: Materialization) -> Materialization:
        others = (row for row in self._of(made.asset_name, made.partition) if row.id != made.id)
        earlier = (row for row in others if row.data_version and _age(row) < _age(made))
        first = self._rows.get(made.id, made)
        for row in sorted(earlier, key=_age, reverse=True):
            if row.data_version != made.data_version:
                break
            first = row
        return _unread(first)

    async def inline_values(self, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, bytes]:
        values = {key: self._rows[key].value for key in ids if key in self._rows}
        return {key: v.inline for key, v in values.items() if v and v.inline is not None}

    async def get_run(self, run_id: str) -> Run:
        if run_id not in self._runs:
            msg = f"no run {run_id!r} is recorded"
            raise NotFoundError(msg)
        return self._runs[run_id]

    async def list_runs(self, *, limit: int = 100) -> list[Run]:
        newest = sorted(self._runs.values(), key=lambda run: run.started_at, reverse=True)
        return newest[:limit]

    async def record_run(
        self,
        run: Run,
        drafts: Sequence[Draft] = (),
        decisions: Sequence[Decision] = (),
        acts: Sequence[Act] = (),
    ) -> None:
        if self._runs.get(run.run_id) == run:
            return
        self._take_down(run.run_id, drafts, decisions)
        self._runs[run.run_id] = run
        self._acts += acts

    async def start_run(
        self,
        run: Run,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        claims: Collection[str] = (),
    ) -> list[Claim]:
        self._close_dead_runs(run.run_id)
        if run.run_id not in self._runs:
            self._runs[run.run_id] = run
            self._claims.lease(run.run_id)
            self._take_down(run.run_id, drafts, decisions)
        return await self.claim(run.run_id, claims, run.partition)

    async def claim(
        self, run_id: str, names: Collection[str], partition: str | None
    ) -> list[Claim]:
        self._require(run_id)
        keys = [(name, partition) for name in sorted(set(names))]
        return [self._claims.claim(run_id, key, self._current.get(key)) for key in keys]

    async def release(self, run_id: str, names: Collection[str], partition: str | None) -> None:
        for name in names:
            self._claims.free(run_id, (name, partition))

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
        self._require(run_id)
        slots = [(pool, run_id, name, partition) for name in wanted]
        return [slot[2] for slot in self._claims.enter(pool, size, slots, interval)]

    async def free_slots(
        self, run_id: str, pool: str, names: Collection[str], partition: str | None
    ) -> None:
        for name in names:
            self._claims.leave(run_id, (name, partition), pool)

    def heart(self, run_id: str, told: Callable[[Told], None]) -> MemoryHeart:
        return self._claims.heart(run_id, told)

    async def beat(self, run_id: str) -> bool:
        self._claims.require(run_id)
        self._claims.lease(run_id)
        return self._claims.is_cancelled(run_id)

    async def settled_run(self, run_id: str) -> Run:
        self._close_dead_runs()
        return await self.get_run(run_id)

    async def cancel_run(self, run_id: str, acts: Sequence[Act] = ()) -> None:
        self._close_dead_runs()
        if not self._claims.cancel(run_id):
            raise RunEndedError(f"run {run_id} is over: {(await self.get_run(run_id)).status}")
        self._acts += acts

    @contextlib.asynccontextmanager
    async def journal(self, run_id: str) -> AsyncIterator[MemoryJournal]:
        yield MemoryJournal(functools.partial(self._write_batch, run_id))

    async def write(
        self, run_id: str, drafts: Sequence[Draft], decisions: Sequence[Decision] = ()
    ) -> None:
        self._write_batch(run_id, drafts, decisions, ())

    async def finish_run(self, run: Run) -> None:
        if self._runs.get(run.run_id) == run:
            return
        self._claims.require(run.run_id)
        self._claims.give_up(run.run_id)
        self._runs[run.run_id] = run

    async def logs(self, run_id: str, asset_name: str | None = None) -> list[StepLog]:
        return [
            log
            for log in self._logs
            if log.run_id == run_id and asset_name in (None, log.asset_name)
        ]

    async def decisions(self, run_id: str) -> list[Decision]:
        found = [each for each in self._decisions if each.run_id == run_id]
        return sorted(found, key=lambda each: each.asset_name)

    async def definitions(self, versions: Collection[str]) -> dict[str, Definitions]:
        return {version: self._code[version] for version in versions if version in self._code}

    async def sources(self, digests: Collection[str]) -> dict[str, str]:
        return {digest: self._texts[digest] for digest in digests if digest in self._texts}

    async def invalidate(
        self, asset_names: Collection[str], partition: str | None, acts: Sequence[Act]
    ) -> dict[str, int]:
        found: Counter[str] = Counter()
        for row in [row for name in asset_names for row in self._of(name, partition)]:
            if row.status == "success":
                end = {"status": "stale", "updated_at": self._clock()}
                self._rows[row.id] = row.model_copy(update=end)
                found[row.asset_name] += 1
        self._acts += [act for act in acts if act.asset_name in found]
        return dict(found)

    async def acts(self, asset_name: str, partition: str | None = None) -> list[Act]:
        key = (asset_name, partition)
        return [act for act in self._acts if (act.asset_name, act.partition) == key]

    def _write_batch(
        self,
        run_id: str,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision],
        logs: Sequence[StepLog],
    ) -> None:
        self._claims.require(run_id)
        self._take_down(run_id, drafts, decisions)
        self._logs += [log.model_copy(update={"lines": clean(log.lines)}) for log in logs]

    def _take_down(
        self, run_id: str, drafts: Sequence[Draft], decisions: Sequence[Decision]
    ) -> None:
        successes = [draft for draft in drafts if draft.status == "success"]
        for draft in successes:
            holder = self._claims.holder((draft.asset_name, draft.partition))
            if holder not in (None, run_id):
                raise rows.claimed(draft.asset_name, str(holder))
        new = rows.new_code((draft.code for draft in successes), set())
        self._code |= dict(new.versions)
        self._texts |= dict(new.sources)
        self._write(drafts)
        for key, made in rows.ends(drafts, decisions).items():
            if made is not None:
                self._current[key] = made
            self._claims.free(run_id, key)
            self._claims.leave(run_id, key)
        self._decisions += decisions

    def _write(self, drafts: Sequence[Draft]) -> None:
        moment = self._clock()
        for draft in drafts:
            known = self._rows.get(draft.id)
            if (
                known
                and known.status != draft.status
                and not may_follow(known.status, draft.status)
            ):
                raise IllegalTransitionError(known.status, draft.status, TRANSITIONS[known.status])
            made = Materialization(
                id=draft.id,
                asset_name=draft.asset_name,
                partition=draft.partition,
                run_id=draft.run_id,
                status=draft.status,
                inserted_at=known.inserted_at if known else moment,
                updated_at=moment,
                **rows.draft_fields(draft),
            )
            if known is None:
                self._refuse_second(made)
            self._rows[draft.id] = made
            draft.recorded = draft.status
            if draft.status == "success":
                self._edges[draft.id] = [
                    LineageEdge(materialization_id=draft.id, upstream_id=up, parameter=parameter)
                    for up, parameter in draft.edges
                ]

    def _of(self, asset_name: str, partition: str | None) -> list[Materialization]:
        key = (asset_name, partition)
        return [row for row in self._rows.values() if (row.asset_name, row.partition) == key]

    def _refuse_second(self, made: Materialization) -> None:
        if any(row.run_id == made.run_id for row in self._of(made.asset_name, made.partition)):
            msg = "this run has a row for that asset and partition already"
            raise StoreError(msg)

    def _require(self, run_id: str) -> None:
        """A lease, and whoever is dead out of the way."""
        self._claims.require(run_id)
        self._close_dead_runs(run_id)

    def _close_dead_runs(self, but: str = "") -> None:
        moment = self._clock()
        for run_id in self._claims.bury(but):
            closed = {"status": "failed", "completed_at": moment}
            self._runs[run_id] = self._runs[run_id].model_copy(update=closed)
            for row in list(self._rows.values()):
                if row.run_id == run_id and row.status in OPEN:
                    status = "failed" if row.status == "running" else "cancelled"
                    end = {
                        "status": status,
                        "completed_at": moment,
                        "error_type": "RunLost",
                        "error_message": "the run ended without a word",
                    }
                    self._rows[row.id] = row.model_copy(update=end)


class MemoryJournal:
    """A ``JournalSession``."""

    def __init__(
        self,
        write: Callable[[Sequence[Draft], Sequence[Decision], Sequence[StepLog]], None],
    ) -> None:
        self._write = write

    async def write(
        self,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        logs: Sequence[StepLog] = (),
    ) -> None:
        self._write(drafts, decisions, logs)


def _age(row: Materialization) -> tuple[dt.datetime, uuid.UUID]:
    return (row.inserted_at, row.id)


def _unread(row: Materialization) -> Materialization:
    if row.value is None or row.value.inline is None:
        return row
    return row.model_copy(update={"value": row.value.model_copy(update={"inline": b""})})
