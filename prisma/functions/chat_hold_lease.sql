-- Creates or renews the lease. It is renewed three times before it can expire, so an event that keeps other instances
-- from a renewal, such as an outage of the database, delays this one by at least half a lease. A lease that was renewed
-- before the clock was set back counts as held since now, as after any other break. Returns false if the lease did not
-- exist: then no connection is attached, and the connections have to be stored again.
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
