"""The protocol every metadata store keeps, and what the runner calls it for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import uuid
    from collections.abc import Collection, Mapping, Sequence

    from flowstone.core.records import Act, Decision, Draft, LineageEdge, Materialization, Run
    from flowstone.core.status import Status

#: Definitions by name: the digest of each, and its place.
Definitions: TypeAlias = "Mapping[str, tuple[str, str]]"

#: Seconds a run may be silent before another takes it for dead.
LEASE_SECONDS = 30.0


class MaterializationStore(Protocol):
    """What is recorded of runs, materializations and lineage.

    Each verb is one transaction: when it returns, what it wrote survives a crash. Partitions are
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
        """The current version of each asset that has one; inline values are not read along.

        One that was invalidated is there too, with status ``stale``. The keys are the names asked
        for; a materialization may have been recorded under a former name.
        """
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
        """Record a run that is over already, with all it brought, in one transaction; no lease."""
        ...

    async def start_run(
        self, run: Run, drafts: Sequence[Draft], decisions: Sequence[Decision] = ()
    ) -> None:
        """Record a run, take its lease, and insert the rows that are known to be needed.

        What it reuses from history becomes current. Runs whose lease has run out are closed
        first: their running rows become failed, their waiting rows cancelled.
        """
        ...

    async def beat(self, run_id: str) -> None:
        """Renew a run's lease.

        Raises:
            RunLostError: if it is gone.
        """
        ...

    async def write(
        self, run_id: str, drafts: Sequence[Draft], decisions: Sequence[Decision] = ()
    ) -> None:
        """Write the present state of a run's rows, and its decisions, in one transaction.

        A success is written with its value pointer, hashes, code and lineage, and becomes the
        current version; so does a version that was decided to stand.

        Raises:
            RunLostError: if the run's lease is gone; nothing is written then.
        """
        ...

    async def finish_run(self, run: Run) -> None:
        """Record a run's end and give up its lease.

        Raises:
            RunLostError: if the lease is gone.
        """
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
