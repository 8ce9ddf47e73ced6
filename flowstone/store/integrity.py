"""What must be true of every database of ours, as statements that name what is not so.

Each looks at one snapshot, and reads only: a run that is under way is no trouble. What a run writes
is one transaction, so it is there whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import IsolationLevel
from psycopg import errors as pg
from psycopg.rows import dict_row

from flowstone.core.records import ValuePointer
from flowstone.errors import SchemaError
from flowstone.store import schema
from flowstone.store.faults import translated
from flowstone.store.queries import Queries

if TYPE_CHECKING:
    import uuid
    from collections.abc import AsyncIterator, Sequence

    from psycopg import AsyncConnection

#: Offenders that are named, of each invariant.
NAMED = 10
#: Rows whose value pointers are read at once; an inline value has at most 64 kB.
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that holds whatever happened: its number, and what is promised.

    ``query`` gives what breaks it: asset, partition, run_id, id and what is wrong. It is empty for
    the one that values are looked at for.
    """

    number: str
    promise: str
    query: LiteralString = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Offender:
    """What breaks an invariant, as far as that has an asset, a partition, a run, an id."""

    asset: str | None
    partition: str | None
    run_id: str | None
    id: uuid.UUID | None
    what: str


@dataclass(frozen=True, slots=True)
class Finding:
    """How it stands with one invariant: the number of violations, and the first ``offenders``."""

    invariant: Invariant
    violations: int = 0
    offenders: tuple[Offender, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing breaks it."""
        return not self.violations


@dataclass(frozen=True, slots=True)
class Kept:
    """A value in our store: the row that has it, and the pointer to it."""

    row: Offender
    pointer: ValuePointer


_CLOSED: LiteralString = """
SELECT m.asset_name, m.partition, m.run_id, m.id,
    coalesce('it read ' || e.upstream_id || ', which is ' || coalesce(u.status, 'not recorded'), '')
        AS what
FROM {lineage} e LEFT JOIN {materializations} m ON m.id = e.materialization_id
    LEFT JOIN {materializations} u ON u.id = e.upstream_id
WHERE u.status IS NULL OR u.status NOT IN ('success', 'stale')
UNION ALL
SELECT m.asset_name, m.partition, m.run_id, coalesce(m.id, e.materialization_id),
    'it is ' || coalesce(m.status, 'not recorded') || ', and yet has read something'
FROM {lineage} e LEFT JOIN {materializations} m ON m.id = e.materialization_id
WHERE m.status IS NULL OR m.status NOT IN ('success', 'stale')
"""
# Rows that runs made say what they read; those that a caller created by hand need not.
_EDGES: LiteralString = """
SELECT m.asset_name, m.partition, m.run_id, m.id,
    CASE WHEN n.edges <> n.named
        THEN format('it names %%s inputs and has %%s edges', n.named, n.edges)
        ELSE 'the version read of ' || n.differing || ' is not the one it was made of' END AS what
FROM {materializations} m CROSS JOIN LATERAL (
    SELECT count(e.upstream_id) AS edges,
        (SELECT count(*) FROM jsonb_object_keys(m.inputs -> 'upstream')) AS named,
        min(coalesce(nullif(e.parameter, ''), u.asset_name)) FILTER (WHERE NOT CASE e.parameter
            WHEN '' THEN EXISTS (SELECT FROM jsonb_each_text(m.inputs -> 'upstream') i
                WHERE starts_with(i.key, '+') AND i.value = coalesce(u.data_version, ''))
            ELSE m.inputs -> 'upstream' ->> e.parameter
                IS NOT DISTINCT FROM coalesce(u.data_version, '') END) AS differing
    FROM {lineage} e JOIN {materializations} u ON u.id = e.upstream_id
    WHERE e.materialization_id = m.id) n
WHERE m.status IN ('success', 'stale') AND jsonb_typeof(m.inputs -> 'upstream') = 'object'
    AND (n.edges <> n.named OR n.differing IS NOT NULL)
"""
_HEADS: LiteralString = """
SELECT asset_name, partition, NULL AS run_id, NULL::uuid AS id,
    'it has ' || count(*) || ' heads' AS what
FROM {current} GROUP BY asset_name, partition HAVING count(*) > 1
UNION ALL
SELECT c.asset_name, c.partition, m.run_id, c.materialization_id,
    CASE WHEN m.id IS NULL THEN 'its current version is not recorded'
        WHEN m.status NOT IN ('success', 'stale') THEN 'its current version is ' || m.status
        ELSE 'its current version is of another partition' END
FROM {current} c LEFT JOIN {materializations} m ON m.id = c.materialization_id
WHERE c.materialization_id IS NOT NULL AND (m.id IS NULL OR m.status NOT IN ('success', 'stale')
    OR m.partition IS DISTINCT FROM c.partition)
UNION ALL
SELECT c.asset_name, c.partition, c.claimed_by, c.materialization_id,
    'it is claimed with fence ' || c.fence
FROM {current} c WHERE c.fence < (c.claimed_by IS NOT NULL)::int
UNION ALL
SELECT m.asset_name, m.partition, min(m.run_id), NULL, 'it was made, and has no current version'
FROM {materializations} m
WHERE m.status = 'success' AND m.inputs ? 'upstream' AND NOT EXISTS (
    SELECT FROM {current} c WHERE c.asset_name = m.asset_name
    AND c.partition IS NOT DISTINCT FROM m.partition AND c.materialization_id IS NOT NULL)
GROUP BY m.asset_name, m.partition
"""
# A lease that has run out is no fault: whoever runs next closes what it was for.
_OPEN: LiteralString = """
SELECT m.asset_name, m.partition, m.run_id, m.id,
    'it is ' || m.status || ', and its run has ended' AS what
FROM {materializations} m JOIN {runs} r ON r.run_id = m.run_id
WHERE m.status IN ('pending', 'running', 'waiting_approval')
    AND NOT EXISTS (SELECT FROM {leases} l WHERE l.run_id = m.run_id)
UNION ALL
SELECT NULL, r.partition, r.run_id, NULL, 'the run is running, and has no lease'
FROM {runs} r WHERE r.status = 'running'
    AND NOT EXISTS (SELECT FROM {leases} l WHERE l.run_id = r.run_id)
UNION ALL
SELECT NULL, NULL, l.run_id, NULL, 'there is a lease, and the run is ' ||
    coalesce(r.status, 'not recorded')
FROM {leases} l LEFT JOIN {runs} r ON r.run_id = l.run_id WHERE r.status IS DISTINCT FROM 'running'
UNION ALL
SELECT s.asset_name, s.partition, s.run_id, NULL, 'it is in pool ' || s.pool ||
    ', and its run has ended'
FROM {slots} s WHERE NOT EXISTS (SELECT FROM {leases} l WHERE l.run_id = s.run_id)
"""
_LEGAL: LiteralString = """
SELECT m.asset_name, m.partition, m.run_id, m.id, CASE
    WHEN (m.completed_at IS NULL) <> (m.status IN ('pending', 'running', 'waiting_approval'))
        THEN 'it is ' || m.status || CASE WHEN m.completed_at IS NULL THEN ', and has no end'
            ELSE ', and has an end' END
    WHEN m.status IN ('running', 'success', 'failed') AND m.started_at IS NULL
        THEN 'it is ' || m.status || ', and was never started'
    WHEN n.failed >= m.attempt
        THEN format('attempt %%s has %%s failed before it', m.attempt, n.failed)
    ELSE 'it is ' || m.status || ', and has a value' END AS what
FROM {materializations} m CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(m.attempts)
    WHEN 'array' THEN jsonb_array_length(m.attempts) ELSE m.attempt END AS failed) n
WHERE (m.completed_at IS NULL) <> (m.status IN ('pending', 'running', 'waiting_approval'))
    OR m.status IN ('running', 'success', 'failed') AND m.started_at IS NULL
    OR n.failed >= m.attempt
    OR m.status NOT IN ('success', 'stale') AND m.codec IS NOT NULL
UNION ALL
SELECT d.asset_name, d.partition, d.run_id, d.materialization_id,
    'run decided ' || d.kind || CASE WHEN r.run_id IS NULL THEN ', and is not recorded'
        ELSE ', and that version is ' || coalesce(m.status, 'not recorded') END
FROM {decisions} d LEFT JOIN {runs} r ON r.run_id = d.run_id
    LEFT JOIN {materializations} m ON m.id = d.materialization_id
WHERE r.run_id IS NULL OR m.status IS NULL OR m.status NOT IN ('success', 'stale')
UNION ALL
SELECT NULL, NULL, NULL, NULL,
    'trigger ' || g.name || ' is missing or disabled: what comes is not checked'
FROM (VALUES ('flowstone_check_transition', %(materializations)s::regclass),
    ('flowstone_check_invalidation', %(materializations)s::regclass),
    ('flowstone_sign_act', %(audit)s::regclass), ('flowstone_keep_acts', %(audit)s::regclass)
    ) AS g (name, of)
WHERE NOT EXISTS (SELECT FROM pg_trigger t
    WHERE t.tgname = g.name AND t.tgrelid = g.of AND t.tgenabled IN ('O', 'A'))
"""
_ACKNOWLEDGED: LiteralString = """
SELECT NULL AS asset_name, r.partition, r.run_id, NULL::uuid AS id,
    format('the run made %%s assets, and %%s are recorded', r.counts ->> 'materialized', n.made)
        AS what
FROM {runs} r CROSS JOIN LATERAL (SELECT count(*) AS made FROM {materializations} m
    WHERE m.run_id = r.run_id AND m.status IN ('success', 'stale')) n
WHERE r.status <> 'running' AND n.made < CASE jsonb_typeof(r.counts -> 'materialized')
    WHEN 'number' THEN (r.counts -> 'materialized')::numeric END
UNION ALL
SELECT m.asset_name, m.partition, m.run_id, m.id,
    'it is ' || m.status || ', and its run counts as success'
FROM {materializations} m JOIN {runs} r ON r.run_id = m.run_id
WHERE r.status = 'success' AND m.status IN ('failed', 'skipped')
UNION ALL
SELECT m.asset_name, m.partition, m.run_id, NULL, 'its run has ' || count(*) || ' rows of it'
FROM {materializations} m GROUP BY m.asset_name, m.partition, m.run_id HAVING count(*) > 1
"""

CLOSED = Invariant("I1", "what a success read is recorded, and was a success", _CLOSED)
EDGES = Invariant("I2", "the versions a success read are those it was made of", _EDGES)
HEADS = Invariant("I3", "an asset has one head at most, which a success stands behind", _HEADS)
VALUES = Invariant("I4", "every value is there, with its size and its digest")
OPEN = Invariant("I5", "nothing is open of a run that has ended", _OPEN)
LEGAL = Invariant("I6", "statuses, times and decisions are such as can be", _LEGAL)
ACKNOWLEDGED = Invariant("I7", "what a run said it made is recorded, once", _ACKNOWLEDGED)
INVARIANTS = (CLOSED, EDGES, HEADS, VALUES, OPEN, LEGAL, ACKNOWLEDGED)


class _Statements(Queries):
    """The statements of one schema."""

    def names(self) -> dict[str, str]:
        """Tables as the statements name them in texts."""
        return {name: self._tables[name].as_string() for name in ("materializations", "audit")}

    def of(self, invariant: Invariant) -> bytes:
        """The first offenders, each with the number of all."""
        return self._compose(
            "SELECT found.*, count(*) OVER () AS violations FROM ("  # noqa: S608 - of constants
            + invariant.query
            + ") found ORDER BY asset_name, partition, run_id, id, what LIMIT %(named)s"
        )

    def kept(self) -> bytes:
        """Parameters: the id that the rows come after, and how many they are."""
        return self._compose(
            "SELECT id, asset_name, partition, run_id, codec, value_size, content_digest,"
            " value_inline FROM {materializations} WHERE codec NOT IN ('path', 'folder', 'io')"
            " AND (%(after)s::uuid IS NULL OR id > %(after)s) ORDER BY id LIMIT %(page)s"
        )


async def examine(conn: AsyncConnection[Any], schema_name: str | None) -> list[Finding]:
    """How it stands with every invariant that rows alone can break, in one snapshot.

    Raises:
        SchemaError: if the schema is not the one this Flowstone knows.
        StoreError: if the database refuses.
    """
    statements = _Statements(schema_name)
    present = await schema.version(conn, statements)
    if not present:
        raise SchemaError(
            "there are no tables of Flowstone there: nothing is recorded yet, or it is elsewhere;"
            " check FLOWSTONE_DATABASE_URL and FLOWSTONE_SCHEMA"
        )
    if present != schema.newest():
        raise SchemaError(
            f"the database has schema {present}, and schema {schema.newest()} can be checked;"
            f" run: python -m flowstone db migrate"
        )
    found = []
    await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    await conn.set_read_only(True)
    try:
        async with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
            for invariant in INVARIANTS:
                if invariant.query:
                    asked = statements.names() | {"named": NAMED}
                    await cursor.execute(statements.of(invariant), asked)
                    found.append(_finding(invariant, await cursor.fetchall()))
    except pg.Error as error:
        raise translated(error) from error
    return found


def _finding(invariant: Invariant, rows: Sequence[dict[str, Any]]) -> Finding:
    if not rows:
        return Finding(invariant)
    return Finding(invariant, rows[0]["violations"], tuple(_offender(row) for row in rows))


def _offender(row: dict[str, Any]) -> Offender:
    return Offender(
        row["asset_name"], row["partition"], row["run_id"], row["id"], row.get("what", "")
    )


async def kept_values(
    conn: AsyncConnection[Any], schema_name: str | None
) -> AsyncIterator[list[Kept]]:
    """What the rows say of values in our store, some rows at a time.

    No snapshot is held meanwhile: a value is there before its row, and neither changes.

    Raises:
        StoreError: if the database refuses.
    """
    statement = _Statements(schema_name).kept()
    after = None
    try:
        while True:
            async with conn.cursor(row_factory=dict_row, binary=True) as cursor:
                await cursor.execute(statement, {"after": after, "page": _PAGE})
                rows = await cursor.fetchall()
            if not rows:
                return
            after = rows[-1]["id"]
            yield [_kept(row) for row in rows]
    except pg.Error as error:
        raise translated(error) from error


def _kept(row: dict[str, Any]) -> Kept:
    pointer = ValuePointer(
        codec=row["codec"],
        size=row["value_size"],
        content_digest=row["content_digest"],
        inline=row["value_inline"],
    )
    return Kept(_offender(row), pointer)
