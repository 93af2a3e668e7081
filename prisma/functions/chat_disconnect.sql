-- Removes connections that closed some time ago, and returns the users who are offline because of this call. An unknown
-- connection sets nobody offline: after a crash, the database does not know the user's other connections either.
CREATE OR REPLACE FUNCTION chat_disconnect(p_ids uuid[], p_users integer[], p_ago_ms integer[]) RETURNS SETOF integer
LANGUAGE plpgsql AS $$
DECLARE
  v_users integer[];
  v_seen_at timestamptz[];
BEGIN
  PERFORM chat_lock_users(p_users);
  WITH gone AS (
    DELETE FROM chat_connections c USING unnest(p_ids, p_ago_ms) AS a(id, ms) WHERE c.id = a.id
    RETURNING c.user_id, clock_timestamp() - a.ms * interval '1 ms' AS seen_at
  )
  SELECT array_agg(g.user_id), array_agg(g.seen_at) INTO v_users, v_seen_at FROM gone g;
  RETURN QUERY SELECT chat_leave_offline(v_users, v_seen_at);
END;
$$;
