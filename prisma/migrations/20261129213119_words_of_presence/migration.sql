-- Ends expired leases, and connections of released leases whose grace period is over, and returns the users who are
-- offline because of this call. If the calling instance has not held its own lease for the whole patience without a break, it
-- ends released leases only: the database may have been unavailable, and the other instances are about to renew theirs.
-- The same holds if its own lease is due: the call itself may have been delayed by the outage.
--
-- A lease that was renewed before the clock was set back gets the duration of a lease that is renewed now: a running
-- holder renews it in time, and a dead holder's lease expires. The instance that finds one gives the others a patience
-- to renew theirs.
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
  -- All users at once: lease by lease, they would not be locked in ascending order.
  PERFORM chat_lock_users(v_users);
  -- Two callers may find the same connection. Only the one that deletes it returns its user.
  WITH gone AS (
    DELETE FROM chat_connections c USING chat_instances i WHERE c.id = ANY(v_ids) AND i.id = c.instance_id
    RETURNING c.user_id, least(c.gone_at, i.renewed_at) AS seen_at
  )
  SELECT array_agg(g.user_id), array_agg(g.seen_at) INTO v_users, v_seen_at FROM gone g;
  DELETE FROM chat_instances i WHERE i.id = ANY(v_leases);
  RETURN QUERY SELECT chat_leave_offline(v_users, v_seen_at);
END;
$$;
