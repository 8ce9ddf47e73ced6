"""The protocol every metadata store keeps, and what the runner calls it for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence

    from flowstone.core.records import Draft, LineageEdge, Materialization, Run
    from flowstone.core.status import Status

#: Seconds a run may be silent before another takes it for dead.
LEASE_SECONDS = 30.0


class MaterializationStore(Protocol):
    """What is recorded of runs, materializations and lineage.

    Each verb is one transaction: when it returns, what it wrote survives a crash. Partitions are
    encoded keys (``flowstone.core.partition.encode``) or None.
    """

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
        """The current version of each asset that has one; inline values are not read along."""
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

    async def record_run(self, run: Run) -> None:
        """Record a run that had nothing to do: one row, no lease."""
        ...

    async def start_run(self, run: Run, drafts: Sequence[Draft]) -> None:
        """Record a run, take its lease, and insert the rows that are known to be needed.

        Runs whose lease has run out are closed first: their running rows become failed, their
        waiting rows cancelled.
        """
        ...

    async def beat(self, run_id: str) -> None:
        """Renew a run's lease.

        Raises:
            RunLostError: if it is gone.
        """
        ...

    async def write(self, run_id: str, drafts: Sequence[Draft]) -> None:
        """Write the present state of a run's rows in one transaction.

        A success is written with its value pointer, hashes and lineage, and becomes the current
        version.

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
