-- Which history of which server this is. A part is null where the server does not say it: while it recovers, or where
-- the role or the service does not allow the question.
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
    -- Not that of the last checkpoint, which a promotion does not wait for.
    timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
  EXCEPTION WHEN OTHERS THEN
    timeline := NULL;
  END;
END;
$$;
