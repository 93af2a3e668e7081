-- Identifies this server and its history. A part is null if the server does not provide it: during recovery, or if the
-- role or the service does not allow the query.
CREATE OR REPLACE FUNCTION chat_server_identity(OUT system_id text, OUT timeline text, OUT database_id text)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF pg_is_in_recovery() THEN
    RETURN;
  END IF;
  database_id := (SELECT d.oid::text FROM pg_database d WHERE d.datname = current_database());
  BEGIN
    system_id := (SELECT c.system_identifier::text FROM pg_control_system() c);
  EXCEPTION WHEN OTHERS THEN
    system_id := NULL;
  END;
  BEGIN
    -- pg_control_checkpoint() shows the timeline of the last checkpoint, and a promotion does not wait for one.
    timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
  EXCEPTION WHEN OTHERS THEN
    timeline := NULL;
  END;
END;
$$;
