-- Sets when these users were last seen: not earlier than stored, and never in the future. Returns the users who have no
-- connection any more and are offline because of this call. The caller has locked them.
CREATE OR REPLACE FUNCTION chat_leave_offline(p_users integer[], p_seen_at timestamptz[]) RETURNS SETOF integer
LANGUAGE sql AS $$
  WITH gone AS (
    SELECT g.id, max(g.seen_at) AS seen_at FROM unnest(p_users, p_seen_at) AS g(id, seen_at) GROUP BY g.id
  ), seen AS (
    UPDATE chat_users u SET last_seen_at = greatest(
        CASE WHEN u.last_seen_at <= clock_timestamp() + interval '1 s' THEN u.last_seen_at END,
        least(gone.seen_at, clock_timestamp())),
      online_since = CASE WHEN EXISTS (SELECT FROM chat_connections c WHERE c.user_id = u.id) THEN u.online_since END
    FROM gone WHERE u.id = gone.id AND u.online_since IS NOT NULL
    RETURNING u.id, u.online_since
  )
  SELECT s.id FROM seen s WHERE s.online_since IS NULL;
$$;
