-- Names are unqualified: the migration runs with its schema first in the search path.

CREATE TABLE flowstone_runs (
    run_id        text PRIMARY KEY,
    status        text NOT NULL CHECK (status IN ('running', 'success', 'failed', 'cancelled')),
    target        text NOT NULL,
    partition     text,
    config        jsonb NOT NULL DEFAULT '{}',
    counts        jsonb NOT NULL DEFAULT '{}',
    executor_node text,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at  timestamptz,
    CHECK ((status = 'running') = (completed_at IS NULL))
);
CREATE INDEX flowstone_runs_started_at_idx ON flowstone_runs (started_at);

-- What changes often lives apart, in a small table without an index on the changing column.
CREATE TABLE flowstone_leases (
    run_id      text PRIMARY KEY,
    owner       text NOT NULL,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE flowstone_materializations (
    id                  uuid PRIMARY KEY,
    asset_name          text NOT NULL CHECK (octet_length(asset_name) BETWEEN 1 AND 512),
    partition           text CHECK (octet_length(partition) <= 512),
    run_id              text NOT NULL CHECK (octet_length(run_id) BETWEEN 1 AND 512),
    status              text NOT NULL DEFAULT 'pending' CHECK (status IN (
        'pending', 'running', 'success', 'failed',
        'stale', 'waiting_approval', 'skipped', 'cancelled')),
    attempt             integer NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    started_at          timestamptz,
    completed_at        timestamptz,
    duration_ms         double precision CHECK (duration_ms >= 0),
    upstream_assets     text[] NOT NULL DEFAULT '{}',
    upstream_partitions text[] NOT NULL DEFAULT '{}',
    dependency_hash     text,
    code_version        text,
    data_version        text,
    inputs              jsonb NOT NULL DEFAULT '{}',
    causes              jsonb NOT NULL DEFAULT '[]',
    codec               text,
    value_size          bigint,
    content_digest      text,
    value_inline        bytea CHECK (octet_length(value_inline) <= 65536),
    value_location      text,
    metadata            jsonb NOT NULL DEFAULT '{}',
    error_type          text,
    error_message       text CHECK (octet_length(error_message) <= 65536),
    error_traceback     text CHECK (octet_length(error_traceback) <= 65536),
    attempts            jsonb NOT NULL DEFAULT '[]',
    executor_node       text,
    inserted_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (run_id, asset_name, partition),
    CHECK ((status IN ('pending', 'running', 'waiting_approval')) = (completed_at IS NULL)),
    CHECK (status NOT IN ('running', 'success', 'failed') OR started_at IS NOT NULL),
    CHECK ((codec IS NULL) = (content_digest IS NULL) AND (codec IS NULL) = (value_size IS NULL))
);
CREATE INDEX flowstone_materializations_asset_partition_idx
    ON flowstone_materializations (asset_name, partition, inserted_at);
CREATE INDEX flowstone_materializations_hash_idx
    ON flowstone_materializations (asset_name, partition, dependency_hash);
CREATE INDEX flowstone_materializations_run_id_idx ON flowstone_materializations (run_id);
CREATE INDEX flowstone_materializations_status_idx ON flowstone_materializations (status, id);
CREATE INDEX flowstone_materializations_inserted_at_idx
    ON flowstone_materializations (inserted_at);
CREATE INDEX flowstone_materializations_upstream_assets_idx
    ON flowstone_materializations USING gin (upstream_assets);

-- The same table of transitions as flowstone.core.status.TRANSITIONS; a test compares the two.
CREATE FUNCTION flowstone_check_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'running'), ('pending', 'waiting_approval'), ('pending', 'success'),
        ('pending', 'failed'), ('pending', 'skipped'), ('pending', 'cancelled'),
        ('running', 'success'), ('running', 'failed'), ('running', 'cancelled'),
        ('waiting_approval', 'pending'), ('waiting_approval', 'skipped'),
        ('waiting_approval', 'cancelled'),
        ('success', 'stale')
    ) THEN
        RAISE EXCEPTION 'status % can''t become %', OLD.status, NEW.status
            USING ERRCODE = 'FS001';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER flowstone_check_transition
    BEFORE UPDATE OF status ON flowstone_materializations
    FOR EACH ROW EXECUTE FUNCTION flowstone_check_transition();

CREATE TABLE flowstone_lineage (
    materialization_id uuid NOT NULL REFERENCES flowstone_materializations ON DELETE CASCADE,
    upstream_id        uuid NOT NULL REFERENCES flowstone_materializations,
    parameter          text NOT NULL DEFAULT '',
    PRIMARY KEY (materialization_id, upstream_id, parameter)
);
CREATE INDEX flowstone_lineage_upstream_idx ON flowstone_lineage (upstream_id);

-- Which materialization now stands for an (asset, partition): one lookup however long the history.
CREATE TABLE flowstone_current (
    asset_name         text NOT NULL,
    partition          text,
    materialization_id uuid NOT NULL REFERENCES flowstone_materializations,
    UNIQUE NULLS NOT DISTINCT (asset_name, partition)
) WITH (fillfactor = 70);

CREATE TABLE flowstone_audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text NOT NULL DEFAULT current_user,
    action     text NOT NULL,
    asset_name text,
    partition  text,
    reason     text,
    details    jsonb NOT NULL DEFAULT '{}'
);
