-- PostgreSQL's clock may be set back, as where it moves to another host. What is dated more than a second ahead of it was
-- written before that, and must not wait until the clock has caught up. The bodies are as they were but for that.

-- A lease that was renewed before the clock was set back is held anew, as behind any other break.
CREATE OR REPLACE FUNCTION chat_hold_lease(p_instance uuid, p_lease_ms integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  UPDATE chat_instances i
  SET held_since = CASE
        WHEN i.renewed_at BETWEEN v_now - p_lease_ms * interval '0.5 ms' AND v_now + interval '1 s' THEN i.held_since
        ELSE v_now
      END,
      renewed_at = v_now, expires_at = v_now + p_lease_ms * interval '1 ms'
  WHERE i.id = p_instance;
  IF FOUND THEN RETURN true; END IF;
  INSERT INTO chat_instances (id, started_at, held_since, renewed_at, expires_at)
  VALUES (p_instance, v_now, v_now, v_now, v_now + p_lease_ms * interval '1 ms');
  RETURN false;
END;
$$;

-- A lease that was renewed before the clock was set back has as much left as one that is renewed now: a living holder
-- renews it in time, and a dead one's runs out. Whoever finds it leaves the others a patience to renew theirs.
CREATE OR REPLACE FUNCTION chat_expire_leases(p_instance uuid, p_patience_ms integer) RETURNS SETOF integer
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_leases uuid[];
  v_ids uuid[];
  v_users integer[];
  v_seen_at timestamptz[];
  v_trusted boolean;
BEGIN
  UPDATE chat_instances i
  SET held_since = v_now, renewed_at = v_now, expires_at = v_now + (i.expires_at - i.renewed_at)
  WHERE i.id IN (
    SELECT a.id FROM chat_instances a WHERE a.renewed_at > v_now + interval '1 s' FOR NO KEY UPDATE SKIP LOCKED);
  v_trusted := EXISTS (
    SELECT FROM chat_instances i WHERE i.id = p_instance
      AND i.renewed_at + (i.expires_at - i.renewed_at) / 2 >= v_now
      AND i.held_since <= v_now - p_patience_ms * interval '1 ms');
  v_leases := ARRAY(
    SELECT i.id FROM chat_instances i
    WHERE i.expires_at < v_now AND i.id <> p_instance AND (i.released OR v_trusted)
    FOR UPDATE SKIP LOCKED);
  SELECT array_agg(c.id), array_agg(c.user_id) INTO v_ids, v_users
  FROM chat_connections c JOIN chat_instances i ON i.id = c.instance_id
  WHERE i.id = ANY(v_leases) OR i.released AND c.gone_at + (i.expires_at - i.renewed_at) < v_now;
  IF v_ids IS NULL AND cardinality(v_leases) = 0 THEN RETURN; END IF;
  -- The users of all of them at once: one lease after the other they would not be in ascending order.
  PERFORM chat_lock_users(v_users);
  -- Of two callers who found the same device, the one who takes it away tells of it.
  WITH gone AS (
    DELETE FROM chat_connections c USING chat_instances i WHERE c.id = ANY(v_ids) AND i.id = c.instance_id
    RETURNING c.user_id, least(c.gone_at, i.renewed_at) AS seen_at
  )
  SELECT array_agg(g.user_id), array_agg(g.seen_at) INTO v_users, v_seen_at FROM gone g;
  DELETE FROM chat_instances i WHERE i.id = ANY(v_leases);
  RETURN QUERY SELECT chat_leave_offline(v_users, v_seen_at);
END;
$$;

-- Who came before the clock was set back has been called online for longer than any patience.
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

-- Nobody was last seen in the future.
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
