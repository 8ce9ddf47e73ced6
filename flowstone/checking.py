"""Whether what is recorded is whole: the invariants of the database, and the values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from flowstone.store.connect import connect
from flowstone.store.integrity import INVARIANTS, NAMED, VALUES, Finding, examine, kept_values

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from flowstone.store.integrity import Kept, Offender
    from flowstone.values import ValueStore


async def check_database(
    conninfo: str, schema_name: str | None, values: ValueStore | None
) -> list[Finding]:
    """How it stands with every invariant, in their order; without ``values``, but for the values.

    Raises:
        DatabaseUnavailableError: if there is no connection.
        SchemaError: if the schema is not the one this Flowstone knows.
        StoreError, ValueStoreError: if the database refuses, or the disk.
    """
    async with await connect(conninfo) as conn:
        found = await examine(conn, schema_name)
        if values is not None:
            found.append(await _looked_at(conn, schema_name, values))
    places = {invariant: place for place, invariant in enumerate(INVARIANTS)}
    return sorted(found, key=lambda finding: places[finding.invariant])


async def _looked_at(
    conn: AsyncConnection[Any], schema_name: str | None, values: ValueStore
) -> Finding:
    """Read every value that a row has, each file once however many rows have it."""
    known: dict[tuple[str, int], str] = {}
    offenders: list[Offender] = []
    violations = 0
    async for page in kept_values(conn, schema_name):
        wrong = await to_thread.run_sync(_damaged, page, values, known)
        violations += len(wrong)
        offenders += wrong[: NAMED - len(offenders)]
    return Finding(VALUES, violations, tuple(offenders))


def _damaged(
    page: list[Kept], values: ValueStore, known: dict[tuple[str, int], str]
) -> list[Offender]:
    found = []
    for kept in page:
        pointer = kept.pointer
        key = (pointer.content_digest, pointer.size)
        if pointer.inline is not None:
            what = values.damage(pointer)
        else:
            what = known[key] if key in known else known.setdefault(key, values.damage(pointer))
        if what:
            found.append(replace(kept.row, what=what))
    return found
