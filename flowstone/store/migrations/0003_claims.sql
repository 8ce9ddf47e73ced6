-- The head of an (asset, partition): what is current, and which run may record next. A claim is
-- good while its run has a lease; there is no index on it, so that taking one is a HOT update.
ALTER TABLE flowstone_current
    ALTER COLUMN materialization_id DROP NOT NULL,
    ADD COLUMN claimed_by text,
    ADD COLUMN fence bigint NOT NULL DEFAULT 0;

-- What a process is known by: a holder of the same boot whose process is gone need not be waited
-- for. boot and process_start are null where the machine can't tell.
ALTER TABLE flowstone_leases
    ADD COLUMN boot text,
    ADD COLUMN pid integer,
    ADD COLUMN process_start bigint,
    ADD COLUMN cancel_requested_at timestamptz;

-- The number of the last batch of a run's journal: a batch whose answer was lost is asked for.
ALTER TABLE flowstone_runs
    ADD COLUMN written bigint NOT NULL DEFAULT 0,
    SET (fillfactor = 70);

-- Named pools over all processes: the next moment their rate admits a step, and who is in them.
CREATE TABLE flowstone_pools (
    name    text PRIMARY KEY,
    next_at timestamptz NOT NULL DEFAULT 'epoch'
) WITH (fillfactor = 70);
CREATE TABLE flowstone_slots (
    pool       text NOT NULL REFERENCES flowstone_pools,
    run_id     text NOT NULL,
    asset_name text NOT NULL,
    partition  text,
    taken_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (pool, run_id, asset_name, partition)
);

-- What steps printed and logged, capped; left_out counts the bytes that are missing.
CREATE TABLE flowstone_logs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     text NOT NULL,
    asset_name text NOT NULL,
    partition  text,
    attempt    integer NOT NULL DEFAULT 1,
    lines      text NOT NULL,
    left_out   bigint NOT NULL DEFAULT 0
);
CREATE INDEX flowstone_logs_run_id_idx ON flowstone_logs (run_id, asset_name);
