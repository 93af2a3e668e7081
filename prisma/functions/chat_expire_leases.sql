-- Ends leases that ran out, and what the released ones left in its grace, and answers with who is offline by that. An
-- instance that has not held its own for so long without a break ends released ones only: the database may have been
-- away, and the others are about to renew theirs. The same where its own is due: the call itself may have been on its
-- way for as long as the database was away.
--
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
