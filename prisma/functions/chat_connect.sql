-- Stores open connections of users; storing one twice is no error. Returns LOST if the lease does not exist, otherwise the
-- users who are online because of this call.
CREATE OR REPLACE FUNCTION chat_connect(p_instance uuid, p_ids uuid[], p_users integer[])
RETURNS TABLE (outcome text, user_id integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM chat_instances i WHERE i.id = p_instance FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'LOST', NULL::integer;
    RETURN;
  END IF;
  PERFORM chat_ensure_users(p_users);
  PERFORM chat_lock_users(p_users);
  INSERT INTO chat_connections (id, instance_id, user_id)
  SELECT c.id, p_instance, c.user_id FROM unnest(p_ids, p_users) AS c(id, user_id)
  ON CONFLICT DO NOTHING;
  RETURN QUERY
    UPDATE chat_users u SET online_since = clock_timestamp()
    WHERE u.id = ANY(p_users) AND u.online_since IS NULL
    RETURNING 'OK', u.id;
END;
$$;
