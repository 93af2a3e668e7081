-- The lives of the logs in this database. A new one begins where entries may be gone that somebody has seen: a restored
-- backup, a promoted standby that lacked the last entries. Up to where an epoch began in a room, its log and that of the
-- epoch before are the same.
CREATE TABLE "chat_epochs" (
    "number" INTEGER NOT NULL,
    "id" UUID NOT NULL,
    "began_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    "system_id" TEXT,
    "timeline" TEXT,
    "database_id" TEXT,
    CONSTRAINT "chat_epochs_pkey" PRIMARY KEY ("number")
);
CREATE UNIQUE INDEX "chat_epochs_id_key" ON "chat_epochs"("id");

-- Where the log of a room stood when the epoch began; a room without a row had nothing that is known to be common.
CREATE TABLE "chat_room_epochs" (
    "room_id" UUID NOT NULL,
    "epoch" INTEGER NOT NULL,
    "seq" INTEGER NOT NULL,
    CONSTRAINT "chat_room_epochs_pkey" PRIMARY KEY ("room_id", "epoch")
);
CREATE INDEX "chat_room_epochs_epoch_idx" ON "chat_room_epochs"("epoch");

-- A UUID of version 7, later than all before it: of two epochs, the greater is the newer one.
CREATE FUNCTION chat_new_epoch_id() RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_ms bigint;
BEGIN
  SELECT greatest(
    floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    ('x' || lpad(left(replace(max(e.id::text), '-', ''), 12), 16, '0'))::bit(64)::bigint + 1
  ) INTO v_ms FROM chat_epochs e;
  RETURN encode(
    set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send(v_ms) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1),
    'hex')::uuid;
END;
$$;

INSERT INTO chat_epochs (number, id) VALUES (1, chat_new_epoch_id());

CREATE FUNCTION chat_present_epoch() RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT e.id FROM chat_epochs e ORDER BY e.number DESC LIMIT 1;
$$;

-- Which history of which server this is. A part is null where the server does not say it: while it recovers, or where the
-- role or the service does not allow the question.
CREATE FUNCTION chat_server_identity(OUT system_id text, OUT timeline text, OUT database_id text)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF pg_is_in_recovery() THEN
    RETURN;
  END IF;
  database_id := (SELECT d.oid::text FROM pg_database d WHERE d.datname = current_database());
  BEGIN
    system_id := (SELECT c.system_identifier::text FROM pg_control_system() c);
  EXCEPTION WHEN OTHERS THEN
    system_id := NULL;
  END;
  BEGIN
    -- Not that of the last checkpoint, which a promotion does not wait for.
    timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
  EXCEPTION WHEN OTHERS THEN
    timeline := NULL;
  END;
END;
$$;

-- For each new connection: the present epoch, whether something of the server is other than that epoch knows it, and the
-- server's name where all of it is known.
CREATE FUNCTION chat_enter(OUT epoch uuid, OUT is_other boolean, OUT server text)
LANGUAGE sql VOLATILE AS $$
  SELECT e.id, coalesce(s.system_id <> e.system_id, s.system_id IS NOT NULL)
    OR coalesce(s.timeline <> e.timeline, s.timeline IS NOT NULL)
    OR coalesce(s.database_id <> e.database_id, s.database_id IS NOT NULL),
    s.system_id || ' ' || s.timeline || ' ' || s.database_id
  FROM chat_epochs e, chat_server_identity() s ORDER BY e.number DESC LIMIT 1;
$$;

-- Begins an epoch, while nobody writes. p_is_sure: nothing was written since the log became another one, so that all that
-- is there is common with the epoch before; else nothing is taken for common. The last eight epochs are kept.
CREATE FUNCTION chat_begin_epoch(p_is_sure boolean) RETURNS uuid
LANGUAGE plpgsql
SET lock_timeout = '60s'
AS $$
DECLARE
  v_number integer;
  v_id uuid;
BEGIN
  LOCK TABLE chat_epochs IN EXCLUSIVE MODE;
  LOCK TABLE chat_rooms IN EXCLUSIVE MODE;
  v_id := chat_new_epoch_id();
  INSERT INTO chat_epochs (number, id, system_id, timeline, database_id)
  SELECT max(e.number) + 1, v_id, max(s.system_id), max(s.timeline), max(s.database_id)
  FROM chat_epochs e, chat_server_identity() s RETURNING number INTO v_number;
  IF p_is_sure THEN
    INSERT INTO chat_room_epochs (room_id, epoch, seq) SELECT r.id, v_number, r.seq FROM chat_rooms r WHERE r.seq > 0;
  END IF;
  DELETE FROM chat_room_epochs b WHERE b.epoch <= v_number - 8;
  DELETE FROM chat_epochs e WHERE e.number <= v_number - 8;
  UPDATE chat_rooms r SET published_seq = r.seq WHERE r.published_seq > r.seq;
  RETURN v_id;
END;
$$;

-- Begins one where the server is another than that of the present epoch; notes what was not known of it yet.
CREATE FUNCTION chat_follow_server() RETURNS uuid
LANGUAGE plpgsql
SET lock_timeout = '60s'
AS $$
DECLARE
  v_present chat_epochs;
  v_server record;
BEGIN
  LOCK TABLE chat_epochs IN EXCLUSIVE MODE;
  SELECT * INTO v_present FROM chat_epochs e ORDER BY e.number DESC LIMIT 1;
  SELECT * INTO v_server FROM chat_server_identity();
  IF v_server.system_id <> v_present.system_id OR v_server.timeline <> v_present.timeline
    OR v_server.database_id <> v_present.database_id
  THEN
    RETURN chat_begin_epoch(true);
  END IF;
  UPDATE chat_epochs e SET system_id = coalesce(e.system_id, v_server.system_id),
    timeline = coalesce(e.timeline, v_server.timeline), database_id = coalesce(e.database_id, v_server.database_id)
  WHERE e.number = v_present.number;
  RETURN v_present.id;
END;
$$;

-- Begins one where the present epoch's log lacks an entry that it is known to have had, or is in an earlier epoch than is
-- known: somebody put the database back without a word. What was written since cannot be told from what was there before, so nothing counts as common.
CREATE FUNCTION chat_doubt_epoch(p_epoch uuid, p_room uuid, p_seq integer, p_message uuid, p_is_added boolean)
RETURNS uuid
LANGUAGE plpgsql
SET lock_timeout = '60s'
AS $$
DECLARE
  v_present uuid := chat_present_epoch();
BEGIN
  IF v_present > p_epoch OR v_present = p_epoch AND chat_has_entry(p_room, p_seq, p_message, p_is_added) THEN
    RETURN v_present;
  END IF;
  LOCK TABLE chat_epochs IN EXCLUSIVE MODE;
  IF chat_present_epoch() <> v_present THEN
    RETURN chat_present_epoch();
  END IF;
  RETURN chat_begin_epoch(false);
END;
$$;

-- p_message may be null: then only whether the log stands there or further.
CREATE FUNCTION chat_has_entry(p_room uuid, p_seq integer, p_message uuid, p_is_added boolean) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
  SELECT EXISTS (SELECT FROM chat_rooms r WHERE r.id = p_room AND r.seq >= p_seq) AND (p_message IS NULL OR EXISTS (
    SELECT FROM chat_messages m WHERE m.id = p_message AND m.room_id = p_room
      AND CASE WHEN p_is_added THEN m.seq = p_seq ELSE m.changed_seq >= p_seq END));
$$;

-- Up to where the log of that epoch and the present one are the same in a room; null where it is the present one.
CREATE FUNCTION chat_common_seq(p_room uuid, p_epoch uuid) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN chat_present_epoch() IS DISTINCT FROM p_epoch THEN coalesce((
    SELECT b.seq FROM chat_epochs e JOIN chat_room_epochs b ON b.epoch = e.number + 1
    WHERE e.id = p_epoch AND b.room_id = p_room), 0) END;
$$;

-- As it was, and never past the log's end.
CREATE OR REPLACE FUNCTION chat_advance_published(p_rooms uuid[], p_starts integer[], p_ends integer[])
RETURNS TABLE (id uuid, mark integer)
LANGUAGE plpgsql AS $$
DECLARE
  v_range record;
BEGIN
  FOR v_range IN
    SELECT * FROM unnest(p_rooms, p_starts, p_ends) AS r(room, first, last) ORDER BY room, first
  LOOP
    UPDATE chat_rooms r SET published_seq = least(v_range.last, r.seq)
    WHERE r.id = v_range.room AND r.published_seq >= v_range.first - 1 AND r.published_seq < least(v_range.last, r.seq);
  END LOOP;
  RETURN QUERY SELECT r.id, r.published_seq FROM chat_rooms r WHERE r.id = ANY(p_rooms);
END;
$$;
