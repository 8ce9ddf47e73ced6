-- The definitions that went into a code version, by name: digest of its own source, and place.
CREATE TABLE flowstone_code (
    version     text PRIMARY KEY,
    definitions jsonb NOT NULL
);

-- Each text once, however many code versions it went into.
CREATE TABLE flowstone_definitions (
    digest text PRIMARY KEY,
    source text NOT NULL
);

-- What runs decided about steps they did not materialize, other than plain reuse.
CREATE TABLE flowstone_decisions (
    run_id             text NOT NULL,
    asset_name         text NOT NULL,
    partition          text,
    kind               text NOT NULL
        CHECK (kind IN ('cut_off', 'history', 'alias', 'verified', 'differs')),
    causes             jsonb NOT NULL DEFAULT '[]',
    materialization_id uuid NOT NULL REFERENCES flowstone_materializations,
    at                 timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (run_id, asset_name, partition, kind)
);

ALTER TABLE flowstone_audit ALTER COLUMN actor DROP DEFAULT;
CREATE INDEX flowstone_audit_asset_idx ON flowstone_audit (asset_name, partition, at);

-- The newest success with some dependency hash is one lookup, however often it was made.
DROP INDEX flowstone_materializations_hash_idx;
CREATE INDEX flowstone_materializations_hash_idx
    ON flowstone_materializations (asset_name, partition, dependency_hash, inserted_at);
