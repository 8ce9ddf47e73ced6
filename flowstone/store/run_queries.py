"""The statements by which a run writes: its lease, its claims and slots, and its rows."""

from __future__ import annotations

from functools import cached_property
from typing import LiteralString

from psycopg import sql

from flowstone.store.queries import Queries

#: The columns that change after the insert, with the array type they are sent as.
CHANGING: dict[LiteralString, LiteralString] = {
    "status": "text",
    "attempt": "int",
    "started_at": "timestamptz",
    "completed_at": "timestamptz",
    "duration_ms": "double precision",
    "dependency_hash": "text",
    "code_version": "text",
    "data_version": "text",
    "inputs": "jsonb",
    "causes": "jsonb",
    "codec": "text",
    "value_size": "bigint",
    "content_digest": "text",
    "value_inline": "bytea",
    "value_location": "text",
    "metadata": "jsonb",
    "error_type": "text",
    "error_message": "text",
    "error_traceback": "text",
    "attempts": "jsonb",
}
#: The columns a run's own rows are inserted with, in order.
DRAFT_COLUMNS: tuple[LiteralString, ...] = (
    "id",
    "asset_name",
    "partition",
    "run_id",
    "upstream_assets",
    "upstream_partitions",
    "executor_node",
    *CHANGING,
)

#: Where runs hear that they are asked to stop.
CHANNEL = "flowstone_cancel"


class RunQueries(Queries):
    """All statements; these are the ones of runs."""

    def __init__(self, schema: str | None) -> None:
        super().__init__(schema)
        self._updates: dict[tuple[LiteralString, ...], bytes] = {}

    @cached_property
    def insert_run(self) -> bytes:
        return self._compose(
            "INSERT INTO {runs} ({run_columns}, request)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        )

    @cached_property
    def finish_run(self) -> bytes:
        return self._compose(
            "WITH given_up AS (DELETE FROM {leases} WHERE run_id = %(run)s RETURNING run_id),"
            " left_pools AS (DELETE FROM {slots} WHERE run_id = %(run)s)"
            " UPDATE {runs} r SET status = %(status)s, counts = %(counts)s,"
            " completed_at = %(completed_at)s"
            " FROM given_up WHERE r.run_id = given_up.run_id"
        )

    @cached_property
    def take_lease(self) -> bytes:
        return self._compose(
            "INSERT INTO {leases} (run_id, owner, boot, pid, process_start, lease_until)"
            " VALUES (%s, %s, %s, %s, %s, clock_timestamp() + %s * interval '1 second')"
        )

    @cached_property
    def renew_lease(self) -> bytes:
        """Gives whether the run is asked to stop."""
        return self._compose(
            "UPDATE {leases} SET lease_until = clock_timestamp() + %s * interval '1 second'"
            " WHERE run_id = %s RETURNING cancel_requested_at IS NOT NULL"
        )

    @cached_property
    def hold_lease(self) -> bytes:
        """Keeps a takeover out until the transaction ends; heartbeats go on."""
        return self._compose("SELECT FROM {leases} WHERE run_id = %s FOR KEY SHARE")

    @cached_property
    def owner(self) -> bytes:
        """Which process is to hold a lease, which nobody takes until the transaction ends."""
        return self._compose(
            "SELECT boot, pid, process_start FROM {leases} WHERE run_id = %s FOR KEY SHARE"
        )

    @cached_property
    def ask_to_stop(self) -> bytes:
        return self._compose(
            "UPDATE {leases} SET cancel_requested_at ="
            " coalesce(cancel_requested_at, clock_timestamp()) WHERE run_id = %s"
        )

    @cached_property
    def tell_to_stop(self) -> bytes:
        """A hint: whoever does not hear it learns by renewing the lease."""
        return sql.SQL("SELECT pg_notify({}, %s)").format(CHANNEL).as_bytes()

    @cached_property
    def suspects(self) -> bytes:
        """Runs whose lease has run out, those of other processes of this boot, and some others.

        Parameters: what this process is known by, those others, and a run that is none of them.
        """
        return self._compose(
            "SELECT run_id, lease_until < clock_timestamp(), boot, pid, process_start FROM {leases}"
            " WHERE (lease_until < clock_timestamp()"
            "  OR boot = %s AND (pid <> %s OR process_start <> %s) OR run_id = ANY(%s))"
            " AND run_id <> %s"
        )

    @cached_property
    def lock_dead_runs(self) -> bytes:
        """Those whose process is gone, and those whose lease has run out, none that writes now.

        A process that was stopped in the middle of a COPY would hold its lease as long as it is:
        none of the server's timeouts ends a wait for its rows. So its connection is ended here.
        """
        return self._compose(
            "WITH stuck AS MATERIALIZED ("
            "  SELECT pg_terminate_backend(a.pid) FROM {leases} l"
            "  JOIN pg_locks k ON k.locktype = 'transactionid' AND k.transactionid = l.xmax"
            "   AND k.mode = 'ExclusiveLock' AND k.granted"
            "  JOIN pg_stat_activity a ON a.pid = k.pid AND a.usename = current_user"
            "  WHERE l.lease_until < clock_timestamp() AND a.state = 'active'"
            "   AND a.wait_event = 'ClientRead'"
            "   AND a.state_change < clock_timestamp() - interval '5 seconds')"
            " SELECT run_id FROM {leases}"
            " WHERE (SELECT count(*) FROM stuck) >= 0"
            "  AND (run_id = ANY(%s) OR lease_until < clock_timestamp())"
            ' ORDER BY run_id COLLATE "C" FOR UPDATE SKIP LOCKED'
        )

    @cached_property
    def close_dead_runs(self) -> bytes:
        """Parameters: runs whose leases are locked, so that all they wrote is seen."""
        return self._compose(
            "WITH dead AS (DELETE FROM {leases} WHERE run_id = ANY(%s) RETURNING run_id),"
            " left_pools AS (DELETE FROM {slots} s USING dead WHERE s.run_id = dead.run_id),"
            " closed AS ("
            "  UPDATE {materializations} m SET"
            "    status = CASE m.status WHEN 'running' THEN 'failed' ELSE 'cancelled' END,"
            "    completed_at = clock_timestamp(), updated_at = clock_timestamp(),"
            "    error_type = 'RunLost', error_message = 'the run ended without a word'"
            "  FROM dead WHERE m.run_id = dead.run_id"
            "    AND m.status IN ('pending', 'running', 'waiting_approval'))"
            " UPDATE {runs} r SET status = 'failed', completed_at = clock_timestamp()"
            " FROM dead WHERE r.run_id = dead.run_id AND r.status = 'running'"
        )

    @cached_property
    def written(self) -> bytes:
        return self._compose("SELECT written FROM {runs} WHERE run_id = %s")

    @cached_property
    def next_batch(self) -> bytes:
        """Takes the turn of a batch; a division by zero if it is not its turn.

        An error, so that what is said in the same text is not executed then. Whoever takes the
        same turn waits there until the other one has committed or failed.
        """
        return self._compose(
            "WITH held AS (SELECT run_id FROM {leases} WHERE run_id = %(run)s FOR KEY SHARE),"
            " turned AS (UPDATE {runs} r SET written = %(number)s FROM held"
            "  WHERE r.run_id = held.run_id AND r.written + 1 = %(number)s RETURNING r.run_id)"
            " SELECT 1 / count(*) FROM turned"
        )

    def claim(self, partition: str | None) -> bytes:
        """Parameters: names, sorted, the partition, the run, and runs known to hold nothing.

        A run without a lease never has one again, so what is known of it stays true; whether a
        holder has one can't be asked here, where its claim may be newer than the snapshot.
        """
        return self._compose(
            "INSERT INTO {current} AS c (asset_name, partition, claimed_by, fence)"
            " SELECT w.name, %(partition)s, %(run)s, 1"
            " FROM unnest(%(names)s::text[]) WITH ORDINALITY AS w (name, n) ORDER BY w.n"
            " ON CONFLICT (asset_name, partition) DO UPDATE"
            " SET claimed_by = excluded.claimed_by, fence = c.fence + 1"
            " WHERE c.claimed_by IS NULL OR c.claimed_by = ANY(%(free)s::text[])"
            " RETURNING c.asset_name, c.materialization_id, c.fence",
            partition,
        )

    def heads(self, partition: str | None) -> bytes:
        """Who has the claims of those names, and whether that run is alive."""
        return self._compose(
            "SELECT c.asset_name, c.claimed_by, c.materialization_id, c.fence, l.run_id IS NOT NULL"
            " FROM {current} c LEFT JOIN {leases} l ON l.run_id = c.claimed_by"
            " WHERE c.asset_name = ANY(%(names)s::text[]) AND {in_partition}",
            partition,
        )

    def lock_heads(self, partition: str | None) -> bytes:
        """In the order of all statements that write several, so that none waits in a ring."""
        return self._compose(
            "SELECT FROM {current} WHERE asset_name = ANY(%(names)s) AND {in_partition}"
            ' ORDER BY asset_name COLLATE "C" FOR NO KEY UPDATE',
            partition,
        )

    def settle(self, partition: str | None) -> bytes:
        """What is current now, and the run's claims freed; gives who has others of those names.

        Parameters: names, sorted, the ids that become current (None: only the claim is freed), the
        partition and the run.
        """
        return self._compose(
            "WITH settled AS ("
            " INSERT INTO {current} AS c (asset_name, partition, materialization_id)"
            "  SELECT w.name, %(partition)s, w.id"
            "  FROM unnest(%(names)s::text[], %(ids)s::uuid[]) WITH ORDINALITY AS w (name, id, n)"
            "  WHERE w.id IS NOT NULL OR EXISTS (SELECT FROM {current} h"
            "   WHERE h.asset_name = w.name AND {in_partition} AND h.claimed_by = %(run)s)"
            "  ORDER BY w.n"
            " ON CONFLICT (asset_name, partition) DO UPDATE SET"
            "  materialization_id = coalesce(excluded.materialization_id, c.materialization_id),"
            "  claimed_by = nullif(c.claimed_by, %(run)s)"
            " RETURNING c.asset_name, c.claimed_by)"
            " SELECT asset_name, claimed_by FROM settled WHERE claimed_by IS NOT NULL",
            partition,
        )

    @cached_property
    def having_leases(self) -> bytes:
        return self._compose("SELECT run_id FROM {leases} WHERE run_id = ANY(%s) ORDER BY run_id")

    @cached_property
    def make_pool(self) -> bytes:
        return self._compose("INSERT INTO {pools} (name) VALUES (%s) ON CONFLICT DO NOTHING")

    @cached_property
    def lock_pool(self) -> bytes:
        """Gives how many seconds ago the rate admitted the next step; negative: it has yet to."""
        return self._compose(
            "SELECT extract(epoch FROM clock_timestamp() - next_at)::float8"
            " FROM {pools} WHERE name = %s FOR NO KEY UPDATE"
        )

    @cached_property
    def slots(self) -> bytes:
        """Who is in a pool, of the runs alive."""
        return self._compose(
            "SELECT s.run_id, s.asset_name, s.partition FROM {slots} s JOIN {leases} l"
            " ON l.run_id = s.run_id WHERE s.pool = %s AND l.lease_until > clock_timestamp()"
        )

    @cached_property
    def take_slots(self) -> bytes:
        return self._compose(
            "INSERT INTO {slots} (pool, run_id, asset_name, partition)"
            " SELECT %s, %s, name, %s FROM unnest(%s::text[]) AS w (name)"
        )

    @cached_property
    def next_slot(self) -> bytes:
        """Parameters: seconds that may be caught up, seconds that entering takes, and the pool."""
        return self._compose(
            "UPDATE {pools} SET next_at ="
            " greatest(next_at, clock_timestamp() - %s * interval '1 second')"
            " + %s * interval '1 second' WHERE name = %s"
        )

    @cached_property
    def free_slots(self) -> bytes:
        """Parameters: the run, the names, the partition, and a pool or None for all."""
        return self._compose(
            "DELETE FROM {slots} WHERE run_id = %s AND asset_name = ANY(%s)"
            " AND partition IS NOT DISTINCT FROM %s AND pool = coalesce(%s, pool)"
        )

    @cached_property
    def copy_drafts(self) -> bytes:
        composed = sql.SQL("COPY {table} ({names}) FROM STDIN").format(
            table=self._tables["materializations"],
            names=sql.SQL(", ").join(map(sql.Identifier, DRAFT_COLUMNS)),
        )
        return composed.as_bytes()

    def update_drafts(self, columns: tuple[LiteralString, ...]) -> bytes:
        """Parameters: arrays of ids, of the statuses the rows have now, and of each column."""
        if columns not in self._updates:
            arrays = ["%s::uuid[]", "%s::text[]", *(f"%s::{CHANGING[name]}[]" for name in columns)]
            composed = sql.SQL(
                "UPDATE {table} m SET {assignments}, updated_at = clock_timestamp()"
                " FROM unnest({arrays}) AS new (id, recorded, {names})"
                " WHERE m.id = new.id AND m.status = new.recorded"
            ).format(
                table=self._tables["materializations"],
                assignments=sql.SQL(", ").join(
                    sql.SQL("{0} = new.{0}").format(sql.Identifier(name)) for name in columns
                ),
                arrays=sql.SQL(", ").join(map(sql.SQL, arrays)),
                names=sql.SQL(", ").join(map(sql.Identifier, columns)),
            )
            self._updates[columns] = composed.as_bytes()
        return self._updates[columns]

    @cached_property
    def insert_lineage(self) -> bytes:
        return self._compose(
            "INSERT INTO {lineage} (materialization_id, upstream_id, parameter)"
            " SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[])"
        )

    @cached_property
    def copy_decisions(self) -> bytes:
        return self._compose(
            "COPY {decisions} (run_id, asset_name, partition, kind, causes, materialization_id)"
            " FROM STDIN"
        )

    @cached_property
    def copy_logs(self) -> bytes:
        return self._compose(
            "COPY {logs} (run_id, asset_name, partition, attempt, lines, left_out) FROM STDIN"
        )

    @cached_property
    def missing_code(self) -> bytes:
        """Those of the versions that are not recorded."""
        return self._compose("SELECT unnest(%s::text[]) EXCEPT SELECT version FROM {code}")

    @cached_property
    def insert_code(self) -> bytes:
        return self._compose(
            "INSERT INTO {code} (version, definitions)"
            " SELECT * FROM unnest(%s::text[], %s::jsonb[]) ON CONFLICT DO NOTHING"
        )

    @cached_property
    def insert_definitions(self) -> bytes:
        return self._compose(
            "INSERT INTO {definitions} (digest, source)"
            " SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING"
        )
