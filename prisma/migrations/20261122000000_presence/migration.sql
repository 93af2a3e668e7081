-- Presence. A device is a row of chat_connections, which hangs on its instance's lease. Who has one is online, and
-- chat_users says so in words (online_since), which outlives a crash of the database as the UNLOGGED tables do not.
--
-- Whoever changes a user's devices locks the user's row first, users in ascending order, and looks at the devices in
-- later statements: of two devices that go at once, on two instances, one is the last.

ALTER TABLE "chat_users" ADD COLUMN "online_since" TIMESTAMPTZ(3);
CREATE INDEX "chat_users_online_idx" ON "chat_users"("id") WHERE "online_since" IS NOT NULL;

-- held_since: since when the lease has been renewed without a break, in which others may have been unable to renew theirs.
-- A released lease runs out by its holder's own wish.
ALTER TABLE "chat_instances"
  ADD COLUMN "held_since" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  ADD COLUMN "renewed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  ADD COLUMN "released" BOOLEAN NOT NULL DEFAULT false;
-- When the device went, where its instance has been released before its grace was over.
ALTER TABLE "chat_connections" ADD COLUMN "gone_at" TIMESTAMPTZ(3);
CREATE INDEX "chat_instances_expires_at_idx" ON "chat_instances"("expires_at");

-- Users in ascending order, so that two callers never wait for each other.
CREATE FUNCTION chat_lock_users(p_users integer[]) RETURNS void
LANGUAGE sql AS $$
  SELECT FROM chat_users u WHERE u.id = ANY(p_users) ORDER BY u.id FOR NO KEY UPDATE;
$$;

-- Takes or renews the lease, which is renewed three times before it can run out: whatever made others miss that, as a
-- database that was away does, made this one late by half a lease at least. False where it was not there: nothing hangs on it, and its devices are to be told again.
CREATE FUNCTION chat_hold_lease(p_instance uuid, p_lease_ms integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  UPDATE chat_instances i
  SET held_since = CASE WHEN i.renewed_at < v_now - p_lease_ms * interval '0.5 ms' THEN v_now ELSE i.held_since END,
      renewed_at = v_now, expires_at = v_now + p_lease_ms * interval '1 ms'
  WHERE i.id = p_instance;
  IF FOUND THEN RETURN true; END IF;
  INSERT INTO chat_instances (id, started_at, held_since, renewed_at, expires_at)
  VALUES (p_instance, v_now, v_now, v_now, v_now + p_lease_ms * interval '1 ms');
  RETURN false;
END;
$$;

-- Devices that came; telling one twice is no error. LOST where the lease is not there. Else who is online by them now.
CREATE FUNCTION chat_connect(p_instance uuid, p_ids uuid[], p_users integer[])
RETURNS TABLE (outcome text, user_id integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM chat_instances i WHERE i.id = p_instance FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'LOST', NULL::integer;
    RETURN;
  END IF;
  PERFORM chat_ensure_users(p_users);
  PERFORM chat_lock_users(p_users);
  INSERT INTO chat_connections (id, instance_id, user_id)
  SELECT c.id, p_instance, c.user_id FROM unnest(p_ids, p_users) AS c(id, user_id)
  ON CONFLICT DO NOTHING;
  RETURN QUERY
    UPDATE chat_users u SET online_since = clock_timestamp()
    WHERE u.id = ANY(p_users) AND u.online_since IS NULL
    RETURNING 'OK', u.id;
END;
$$;

-- Devices of these users were last seen then, or later where that is known already; answers with who has no device any
-- more and is offline by that. The caller has locked them.
CREATE FUNCTION chat_leave_offline(p_users integer[], p_seen_at timestamptz[]) RETURNS SETOF integer
LANGUAGE sql AS $$
  WITH gone AS (
    SELECT g.id, max(g.seen_at) AS seen_at FROM unnest(p_users, p_seen_at) AS g(id, seen_at) GROUP BY g.id
  ), seen AS (
    UPDATE chat_users u SET last_seen_at = greatest(u.last_seen_at, gone.seen_at),
      online_since = CASE WHEN EXISTS (SELECT FROM chat_connections c WHERE c.user_id = u.id) THEN u.online_since END
    FROM gone WHERE u.id = gone.id AND u.online_since IS NOT NULL
    RETURNING u.id, u.online_since
  )
  SELECT s.id FROM seen s WHERE s.online_since IS NULL;
$$;

-- Devices that went, each so long ago. Answers with who is offline by that. A device that the database does not know
-- ends nobody's presence: after a crash of the database it knows the user's other devices as little.
CREATE FUNCTION chat_disconnect(p_ids uuid[], p_users integer[], p_ago_ms integer[]) RETURNS SETOF integer
LANGUAGE plpgsql AS $$
DECLARE
  v_users integer[];
  v_seen_at timestamptz[];
BEGIN
  PERFORM chat_lock_users(p_users);
  WITH gone AS (
    DELETE FROM chat_connections c USING unnest(p_ids, p_ago_ms) AS a(id, ms) WHERE c.id = a.id
    RETURNING c.user_id, clock_timestamp() - a.ms * interval '1 ms' AS seen_at
  )
  SELECT array_agg(g.user_id), array_agg(g.seen_at) INTO v_users, v_seen_at FROM gone g;
  RETURN QUERY SELECT chat_leave_offline(v_users, v_seen_at);
END;
$$;

-- The holder stops: its devices are gone once the grace is over, if they are not seen elsewhere until then. Those that
-- went before, each so long ago, are gone when as long a grace of their own is over.
CREATE FUNCTION chat_release_lease(p_instance uuid, p_grace_ms integer, p_ids uuid[], p_ago_ms integer[]) RETURNS void
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

-- Ends leases that ran out, and what the released ones left in its grace, and answers with who is offline by that. An
-- instance that has not held its own for so long without a break ends released ones only: the database may have been
-- away, and the others are about to renew theirs. The same where its own is due: the call itself may have been on its
-- way for as long as the database was away.
CREATE FUNCTION chat_expire_leases(p_instance uuid, p_patience_ms integer) RETURNS SETOF integer
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_leases uuid[];
  v_ids uuid[];
  v_users integer[];
  v_seen_at timestamptz[];
  v_trusted boolean := EXISTS (
    SELECT FROM chat_instances i WHERE i.id = p_instance
      AND i.renewed_at + (i.expires_at - i.renewed_at) / 2 >= v_now
      AND i.held_since <= v_now - p_patience_ms * interval '1 ms');
BEGIN
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

-- Users who are called online without a device, as after a crash of the database, which forgets the devices.
CREATE FUNCTION chat_expire_users(p_patience_ms integer) RETURNS SETOF integer
LANGUAGE plpgsql AS $$
DECLARE
  v_users integer[] := ARRAY(
    SELECT u.id FROM chat_users u
    WHERE u.online_since < clock_timestamp() - p_patience_ms * interval '1 ms'
      AND NOT EXISTS (SELECT FROM chat_connections c WHERE c.user_id = u.id));
BEGIN
  PERFORM chat_lock_users(v_users);
  RETURN QUERY SELECT chat_leave_offline(v_users, (SELECT array_agg(u.online_since) FROM (
    SELECT u.online_since FROM unnest(v_users) WITH ORDINALITY AS w(id, place)
    JOIN chat_users u ON u.id = w.id ORDER BY w.place) u));
END;
$$;
