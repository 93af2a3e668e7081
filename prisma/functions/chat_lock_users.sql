-- Locks users in ascending order, so that two callers cannot deadlock.
CREATE OR REPLACE FUNCTION chat_lock_users(p_users integer[]) RETURNS void
LANGUAGE sql AS $$
  SELECT FROM chat_users u WHERE u.id = ANY(p_users) ORDER BY u.id FOR NO KEY UPDATE;
$$;
