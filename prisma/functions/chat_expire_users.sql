-- Sets users offline who are stored as online without a connection, as after a crash of the database, which loses the
-- connections. A user who came online before the clock was set back counts as online for longer than any patience.
CREATE OR REPLACE FUNCTION chat_expire_users(p_patience_ms integer) RETURNS SETOF integer
LANGUAGE plpgsql AS $$
DECLARE
  v_users integer[] := ARRAY(
    SELECT u.id FROM chat_users u
    WHERE u.online_since IS NOT NULL
      AND NOT u.online_since BETWEEN clock_timestamp() - p_patience_ms * interval '1 ms' AND clock_timestamp() + interval '1 s'
      AND NOT EXISTS (SELECT FROM chat_connections c WHERE c.user_id = u.id));
BEGIN
  PERFORM chat_lock_users(v_users);
  RETURN QUERY SELECT chat_leave_offline(v_users, (SELECT array_agg(u.online_since) FROM (
    SELECT u.online_since FROM unnest(v_users) WITH ORDINALITY AS w(id, place)
    JOIN chat_users u ON u.id = w.id ORDER BY w.place) u));
END;
$$;
