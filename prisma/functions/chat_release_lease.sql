-- The holder stops: its connections end when the grace period is over. Connections that closed earlier keep the rest of
-- their own grace period of the same length.
CREATE OR REPLACE FUNCTION chat_release_lease(p_instance uuid, p_grace_ms integer, p_ids uuid[], p_ago_ms integer[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  UPDATE chat_connections c SET gone_at = v_now - a.ms * interval '1 ms'
  FROM unnest(p_ids, p_ago_ms) AS a(id, ms) WHERE c.id = a.id AND c.instance_id = p_instance;
  UPDATE chat_instances i
  SET renewed_at = v_now, expires_at = v_now + p_grace_ms * interval '1 ms', released = true
  WHERE i.id = p_instance;
END;
$$;
