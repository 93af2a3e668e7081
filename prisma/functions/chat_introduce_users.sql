-- Makes users known, under the names that another backend mentions beside something else. Such a name is the weakest
-- word there is: it is dated to the epoch, so any token and any upsert overrides it. In ascending order, so that two
-- callers never wait for each other.
CREATE OR REPLACE FUNCTION chat_introduce_users(p_users integer[], p_names text[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO chat_users AS u (id, name, named_at)
  SELECT DISTINCT ON (h.id) h.id, h.name, CASE WHEN h.name IS NOT NULL THEN 'epoch'::timestamptz END
  FROM unnest(p_users, p_names) AS h(id, name) ORDER BY h.id, h.name
  ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
  WHERE excluded.name IS NOT NULL AND (u.named_at IS NULL OR u.named_at <= excluded.named_at)
    AND u.name IS DISTINCT FROM excluded.name;
$$;
