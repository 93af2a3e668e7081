-- Stores users with names that another backend mentions. Such a name has the lowest priority: it is dated 1970, so that
-- any token or upsert replaces it. In ascending order, so that two callers cannot deadlock. Returns the users who had a
-- row before and have another name now.
CREATE OR REPLACE FUNCTION chat_introduce_users(p_users integer[], p_names text[]) RETURNS integer[]
LANGUAGE sql AS $$
  WITH before AS (SELECT u.id FROM chat_users u WHERE u.id = ANY (p_users)), written AS (
  INSERT INTO chat_users AS u (id, name, named_at)
  SELECT DISTINCT ON (h.id) h.id, h.name, CASE WHEN h.name IS NOT NULL THEN 'epoch'::timestamptz END
  FROM unnest(p_users, p_names) AS h(id, name) ORDER BY h.id, h.name
  ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
  WHERE excluded.name IS NOT NULL AND (u.named_at IS NULL OR u.named_at <= excluded.named_at)
    AND u.name IS DISTINCT FROM excluded.name AND u.deleted_at IS NULL
  RETURNING u.id)
  SELECT coalesce(array_agg(w.id), '{}') FROM written w JOIN before b ON b.id = w.id;
$$;
