-- Runs on each new connection. Returns the current epoch, whether the server differs from the one that the epoch knows,
-- and the server's identity if all of it is known.
CREATE OR REPLACE FUNCTION chat_enter(OUT epoch uuid, OUT is_other boolean, OUT server text)
LANGUAGE sql VOLATILE AS $$
  SELECT e.id, coalesce(s.system_id <> e.system_id, s.system_id IS NOT NULL)
    OR coalesce(s.timeline <> e.timeline, s.timeline IS NOT NULL)
    OR coalesce(s.database_id <> e.database_id, s.database_id IS NOT NULL),
    s.system_id || ' ' || s.timeline || ' ' || s.database_id
  FROM chat_epochs e, chat_server_identity() s ORDER BY e.number DESC LIMIT 1;
$$;
