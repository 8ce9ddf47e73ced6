-- Which role of the database an act was recorded as: whoever records it has no say in that.
ALTER TABLE flowstone_audit ADD COLUMN db_role text;
CREATE FUNCTION flowstone_sign_act() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.db_role := session_user;
    RETURN NEW;
END
$$;
CREATE TRIGGER flowstone_sign_act
    BEFORE INSERT ON flowstone_audit
    FOR EACH ROW EXECUTE FUNCTION flowstone_sign_act();

-- What people did stays, whoever owns the table.
CREATE FUNCTION flowstone_keep_acts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is in the audit stays: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER flowstone_keep_acts
    BEFORE UPDATE OR DELETE OR TRUNCATE ON flowstone_audit
    FOR EACH STATEMENT EXECUTE FUNCTION flowstone_keep_acts();

-- Invalidating is an act of a person: a role that may not write the audit may not do it.
CREATE FUNCTION flowstone_check_invalidation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT has_table_privilege(format('%I.flowstone_audit', TG_TABLE_SCHEMA), 'INSERT') THEN
        RAISE EXCEPTION 'role % may run assets, not invalidate them', current_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER flowstone_check_invalidation
    BEFORE UPDATE OF status ON flowstone_materializations
    FOR EACH ROW WHEN (NEW.status = 'stale' AND OLD.status <> 'stale')
    EXECUTE FUNCTION flowstone_check_invalidation();

-- What a run was asked for, so that it can be asked for again.
ALTER TABLE flowstone_runs ADD COLUMN request jsonb;
