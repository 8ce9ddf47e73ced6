"""The protocol every metadata store keeps, and what the runner calls it for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

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

#: Definitions by name: the digest of each, and its place.
Definitions: TypeAlias = "Mapping[str, tuple[str, str]]"

#: Seconds a run may be silent before another takes it for dead.
LEASE_SECONDS = 30.0
#: Seconds between two renewals of a lease.
BEAT_SECONDS = LEASE_SECONDS / 6
#: Seconds before its lease ends in which a run no longer counts on it.
CAUTION_SECONDS = 5.0

#: What a heart has to tell: that the run is asked to stop, or that it was taken for dead.
Told: TypeAlias = Literal["cancel", "lost"]


class Heart(Protocol):
    """Keeps a run's lease, whatever the event loop is busy with."""

    @property
    def trusted(self) -> bool:
        """Whether the lease is surely ours for some seconds yet; start no step otherwise."""
        ...

    def stop(self) -> None:
        """Beat no more; returns at once."""
        ...


class JournalSession(Protocol):
    """The one ordered writer of a run."""

    async def write(
        self,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        logs: Sequence[StepLog] = (),
    ) -> None:
        """Write the present state of a run's rows, and its decisions, in one transaction.

        A success is written with its value pointer, hashes, code and lineage, and becomes the
        current version; so does a version that was decided to stand. The claims of rows and
        decisions that end a step are freed, and so are its slots.

        When this returns, the batch is written once. A connection that breaks is replaced, for
        some seconds, and the batch written again if it is not in. After an error of a database
        that does not answer, the same batch is to be asked for again, before any other.

        Raises:
            DatabaseUnavailableError: if the database does not answer for those seconds.
            RunLostError: if the run's lease is gone; nothing is written then.
            RunActiveError: if a success is of an (asset, partition) that another run has claimed.
        """
        ...


class MaterializationStore(Protocol):
    """What is recorded of runs, materializations and lineage.

    Each verb is one transaction: when it returns, what it wrote survives a crash. What may pass
    (a connection that breaks, a deadlock, a full disk) is tried again for some seconds, then raised
    as ``DatabaseUnavailableError``; whatever a run asks for may be asked for again. Partitions are
    encoded keys (``flowstone.core.partition.encode``) or None.
    """

    @property
    def conninfo(self) -> str | None:
        """The connection string of the database, if there is one. It may hold a password."""
        ...

    async def create(
        self,
        *,
        asset_name: str,
        run_id: str,
        partition: str | None = None,
        status: Status = "pending",
        **columns: Any,
    ) -> Materialization:
        """Insert one row, in any status; the run needs no row of its own.

        ``columns`` are further fields of ``Materialization``. ``started_at`` and
        ``completed_at`` are now unless given, where the status needs them.

        Raises:
            StoreError: for an unknown column, a value the schema refuses, or a second row of
                this run, asset and partition.
        """
        ...

    async def get(self, asset_name: str, partition: str | None = None) -> Materialization:
        """The newest row of an (asset, partition).

        Raises:
            NotFoundError: if there is none.
        """
        ...

    async def get_by_id(self, id: uuid.UUID) -> Materialization:  # noqa: A002 - the column's name
        """The row with that id, its inline value included.

        Raises:
            NotFoundError: if there is none.
        """
        ...

    async def get_by_run_id(self, run_id: str) -> list[Materialization]:
        """The rows of a run, oldest first; an empty list if it has none."""
        ...

    async def update_status(
        self,
        id: uuid.UUID,  # noqa: A002 - the column's name
        status: Status,
        **columns: Any,
    ) -> Materialization:
        """Move a row to another status and set further columns.

        Raises:
            NotFoundError: if there is no such row.
            IllegalTransitionError: if the status can't follow the present one.
            RunActiveError: if the row belongs to a run that is alive.
            StoreError: for an unknown column.
        """
        ...

    async def exists(self, asset_name: str, partition: str | None = None) -> bool:
        """Whether the (asset, partition) has any row."""
        ...

    async def list_by_status(
        self, status: Status, *, limit: int = 100, after: uuid.UUID | None = None
    ) -> list[Materialization]:
        """At most ``limit`` rows in that status, oldest first, from behind the row ``after``."""
        ...

    async def lineage(self, id: uuid.UUID) -> list[LineageEdge]:  # noqa: A002 - the column's name
        """The versions a materialization read, by parameter."""
        ...

    async def current(
        self, asset_names: Sequence[str], partition: str | None = None
    ) -> dict[str, Materialization]:
        """The current version of each asset that has one, as far as deciding needs it.

        Inline values are not read along, nor are ``inputs``, ``causes``, ``metadata``,
        ``attempts``, errors and what is upstream, all of which are empty here. One that was
        invalidated is there too, with status ``stale``. The keys are the names asked for; a
        materialization may have been recorded under a former name.
        """
        ...

    async def inputs(self, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
        """What those materializations were made of, as it is recorded of each."""
        ...

    async def history(
        self, wanted: Collection[tuple[str, str]], partition: str | None = None
    ) -> dict[tuple[str, str], Materialization]:
        """The newest success with a value for each pair of asset and dependency hash that has one.

        Inline values are not read along.
        """
        ...

    async def since(self, made: Materialization) -> Materialization:
        """The materialization that first made the value which ``made`` has.

        Between the two, no success of that (asset, partition) had another data version.
        """
        ...

    async def inline_values(self, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, bytes]:
        """The bytes of the inline values of those materializations that have one."""
        ...

    async def get_run(self, run_id: str) -> Run:
        """The run with that id.

        Raises:
            NotFoundError: if there is none.
        """
        ...

    async def list_runs(self, *, limit: int = 100) -> list[Run]:
        """The newest runs, newest first."""
        ...

    async def record_run(
        self,
        run: Run,
        drafts: Sequence[Draft] = (),
        decisions: Sequence[Decision] = (),
        acts: Sequence[Act] = (),
    ) -> None:
        """Record a run that is over already, with all it brought, in one transaction; no lease.

        Asking again for the same changes nothing.
        """
        ...

    async def start_run(
        self,
        run: Run,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        claims: Collection[str] = (),
    ) -> list[Claim]:
        """Record a run, take its lease, claim assets, and insert the rows known to be needed.

        What it reuses from history becomes current. Runs that are dead are closed first, those of
        this machine whose process is gone and those whose lease has run out: their running rows
        become failed, their waiting rows cancelled. Claims are for the run's partition; the
        answers come sorted by name. Asking again, in the same process, only answers again.
        """
        ...

    async def claim(
        self, run_id: str, names: Collection[str], partition: str | None
    ) -> list[Claim]:
        """Ask for claims, sorted by name; those of dead runs are taken over.

        Asking again for what the run has already grants it once more.

        Raises:
            RunLostError: if the run's lease is gone.
        """
        ...

    async def release(self, run_id: str, names: Collection[str], partition: str | None) -> None:
        """Give up the run's claims of those assets without recording anything."""
        ...

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
        """Enter a pool that all runs share; the assets that may start now, in the order wanted.

        Of all runs alive, ``size`` steps are in it at once (None: any number), and one enters in
        ``interval`` seconds. An asset that is in it already may start. A slot is freed by the
        batch that records its step's end.

        Raises:
            RunLostError: if the run's lease is gone.
        """
        ...

    async def free_slots(
        self, run_id: str, pool: str, names: Collection[str], partition: str | None
    ) -> None:
        """Leave a pool without recording anything, to wait for a retry for example."""
        ...

    def heart(self, run_id: str, told: Callable[[Told], None]) -> Heart:
        """Keep the lease of a run that was just started, until stopped.

        ``told`` is called from another thread.
        """
        ...

    async def beat(self, run_id: str) -> bool:
        """Renew a run's lease once; whether the run is asked to stop.

        Raises:
            RunLostError: if it is gone.
        """
        ...

    async def settled_run(self, run_id: str) -> Run:
        """The run with that id; it is closed first if it is dead.

        Raises:
            NotFoundError: if there is none.
        """
        ...

    async def cancel_run(self, run_id: str, acts: Sequence[Act] = ()) -> None:
        """Ask a running run to stop, and record who did so; one that is dead is closed.

        Raises:
            NotFoundError: if there is no such run.
            RunEndedError: if it is over.
        """
        ...

    def journal(self, run_id: str) -> AbstractAsyncContextManager[JournalSession]:
        """The writer of a run's rows, to be used by one task at a time."""
        ...

    async def write(
        self, run_id: str, drafts: Sequence[Draft], decisions: Sequence[Decision] = ()
    ) -> None:
        """Write one batch, as a journal does."""
        ...

    async def finish_run(self, run: Run) -> None:
        """Record a run's end and give up its lease, and with it all claims and slots.

        Asking again for the same end changes nothing.

        Raises:
            RunLostError: if the lease is gone.
        """
        ...

    async def logs(self, run_id: str, asset_name: str | None = None) -> list[StepLog]:
        """What the steps of a run printed and logged, or one of them, in the order written."""
        ...

    async def decisions(self, run_id: str) -> list[Decision]:
        """What a run decided about steps it did not materialize, other than plain reuse."""
        ...

    async def definitions(self, versions: Collection[str]) -> dict[str, Definitions]:
        """What went into each of those code versions, as far as it is recorded."""
        ...

    async def sources(self, digests: Collection[str]) -> dict[str, str]:
        """The texts of those definitions, as far as they are recorded."""
        ...

    async def invalidate(
        self, asset_names: Collection[str], partition: str | None, acts: Sequence[Act]
    ) -> dict[str, int]:
        """Make every success of those assets stale, for good, and record who did so.

        Gives how many there were for each asset that had any; an act is recorded for those only.
        """
        ...

    async def acts(self, asset_name: str, partition: str | None = None) -> list[Act]:
        """What people did to an (asset, partition), oldest first."""
        ...
