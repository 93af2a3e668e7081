-- In ascending order, so that two callers cannot deadlock.
CREATE OR REPLACE FUNCTION chat_ensure_users(p_users integer[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO chat_users (id) SELECT DISTINCT u FROM unnest(p_users) AS u ORDER BY u ON CONFLICT (id) DO NOTHING;
$$;
