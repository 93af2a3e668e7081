-- A message moves the row of its room, but nothing that is indexed: a HOT update, which writes nothing into the table's
-- indexes (docs/adr/0011). The table is rewritten, with room for new versions of its rows beside the old ones.
DROP INDEX "chat_rooms_type_updated_at_idx";
DROP INDEX "chat_rooms_updated_at_id_idx";
DROP INDEX "chat_rooms_unpublished_idx";
ALTER TABLE "chat_rooms" SET (fillfactor = 80);
ALTER TABLE "chat_rooms"
  ADD COLUMN "listed_at" TIMESTAMPTZ(3)
    GENERATED ALWAYS AS (date_bin('1 minute', "updated_at", '1970-01-01 00:00:00+00')) STORED,
  ADD COLUMN "is_settled" BOOLEAN NOT NULL DEFAULT true;
CREATE INDEX "chat_rooms_listed_at_idx" ON "chat_rooms"("listed_at" DESC);

UPDATE "chat_rooms" SET "is_settled" = false WHERE "published_seq" < "seq";
-- A new room gets its first entry at once.
ALTER TABLE "chat_rooms" ALTER COLUMN "is_settled" SET DEFAULT false;
-- What the sweep reads every second: the rooms that were written to within about a minute, or have entries that the stream
-- has not acknowledged.
CREATE INDEX "chat_rooms_unsettled_idx" ON "chat_rooms"("id") WHERE NOT "is_settled";

-- Appends a SYSTEM entry. Its sentence is rendered when it is read (src/domain/notice.ts), from the current names of
-- the first ten users and from p_details: the language and the other parts of the sentence. An announcement has its own
-- content. The caller holds the room's lock.
CREATE OR REPLACE FUNCTION chat_append_system(
  p_id uuid, p_room uuid, p_actor integer, p_code text, p_users integer[], p_details jsonb, p_content text DEFAULT NULL
) RETURNS chat_messages
LANGUAGE plpgsql AS $$
DECLARE
  v_seq integer;
  v_now timestamptz := clock_timestamp();
  v_entry chat_messages;
BEGIN
  UPDATE chat_rooms r SET seq = r.seq + 1, updated_at = v_now, is_settled = false WHERE r.id = p_room RETURNING r.seq INTO v_seq;
  INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, system, created_at)
  VALUES (p_id, p_room, v_seq, v_seq, p_actor, chat_shown_member(p_room, p_actor), 'SYSTEM', p_content,
          jsonb_build_object('code', p_code, 'userIds', p_users, 'names', ARRAY(
            SELECT chat_shown_member(p_room, u.id)
            FROM unnest(p_users[1:10]) WITH ORDINALITY AS u(id, place) ORDER BY u.place
          )) || p_details, v_now)
  RETURNING * INTO v_entry;
  RETURN v_entry;
END;
$$;

-- Erases the text. Messages in a room of a cancelled booking can still be deleted.
CREATE OR REPLACE FUNCTION chat_delete_message(p_id uuid, p_user integer)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
  v_now timestamptz;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r
  WHERE r.id = (SELECT m.room_id FROM chat_messages m WHERE m.id = p_id) FOR NO KEY UPDATE;
  SELECT * INTO v_entry FROM chat_messages m WHERE m.id = p_id;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(v_room.id, p_user) THEN 'NOT_FOUND'
    WHEN v_entry.type = 'SYSTEM' THEN 'NOT_TEXT'
    WHEN v_entry.sender_id <> p_user AND NOT chat_is_admin(v_room.id, p_user) THEN 'NOT_AUTHOR'
    WHEN v_entry.deleted_at IS NOT NULL THEN 'UNCHANGED'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    v_now := clock_timestamp();
    UPDATE chat_messages m
    SET content = NULL, deleted_at = v_now, change = 'DELETED', changed_at = v_now, changed_seq = v_room.seq + 1,
        sent_digest = coalesce(m.sent_digest, sha256(convert_to(m.content, 'UTF8')))
    WHERE m.id = p_id RETURNING * INTO v_entry;
    UPDATE chat_rooms r SET seq = r.seq + 1, is_settled = false WHERE r.id = v_room.id;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

-- Messages in a room of a cancelled booking cannot be edited.
CREATE OR REPLACE FUNCTION chat_edit_message(p_id uuid, p_user integer, p_content text)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
  v_now timestamptz;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r
  WHERE r.id = (SELECT m.room_id FROM chat_messages m WHERE m.id = p_id) FOR NO KEY UPDATE;
  SELECT * INTO v_entry FROM chat_messages m WHERE m.id = p_id;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(v_room.id, p_user) THEN 'NOT_FOUND'
    WHEN v_room.cancelled_at IS NOT NULL THEN 'CANCELLED'
    WHEN v_entry.sender_id <> p_user THEN 'NOT_AUTHOR'
    WHEN v_entry.type <> 'TEXT' THEN 'NOT_TEXT'
    WHEN v_entry.deleted_at IS NOT NULL THEN 'DELETED'
    WHEN v_entry.content = p_content THEN 'UNCHANGED'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    v_now := clock_timestamp();
    UPDATE chat_messages m
    SET content = p_content, edited_at = v_now, change = 'EDITED', changed_at = v_now, changed_seq = v_room.seq + 1,
        sent_digest = coalesce(m.sent_digest, sha256(convert_to(m.content, 'UTF8')))
    WHERE m.id = p_id RETURNING * INTO v_entry;
    UPDATE chat_rooms r SET seq = r.seq + 1, is_settled = false WHERE r.id = v_room.id;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

-- Writes a single message, for less than half of the cost of chat_send_messages. It calls that function if it could not
-- write, so the rules for refusals are in one place.
CREATE OR REPLACE FUNCTION chat_send_message(
  p_id uuid, p_room uuid, p_sender integer, p_type chat_message_type, p_content text
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_seq integer;
  v_direct_key text;
  v_cancelled boolean;
  v_name text;
  v_confirmed boolean;
  v_now timestamptz;
  v_entry chat_messages;
BEGIN
  SELECT r.seq + 1, r.direct_key, r.cancelled_at IS NOT NULL INTO v_seq, v_direct_key, v_cancelled
  FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  IF FOUND THEN
    SELECT coalesce(u.name, '#' || u.id), m.is_confirmed INTO v_name, v_confirmed
    FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id
    WHERE m.room_id = p_room AND m.user_id = p_sender AND m.left_at IS NULL;
  END IF;

  IF v_name IS NOT NULL AND NOT v_cancelled THEN
    v_now := clock_timestamp();
    INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, created_at)
    SELECT p_id, p_room, v_seq, v_seq, p_sender, v_name, p_type, p_content, v_now
    WHERE NOT EXISTS (SELECT FROM chat_rooms r WHERE r.id = p_id)
      AND NOT EXISTS (SELECT FROM chat_room_members m WHERE m.id = p_id)
    ON CONFLICT (id) DO NOTHING
    RETURNING * INTO v_entry;
    IF FOUND THEN
      UPDATE chat_rooms r SET seq = v_seq, updated_at = v_now, is_settled = false WHERE r.id = p_room;
      IF NOT v_confirmed THEN PERFORM chat_confirm_member(p_room, p_sender); END IF;
      RETURN QUERY SELECT 'OK', v_direct_key, v_entry;
      RETURN;
    END IF;
  END IF;

  RETURN QUERY SELECT s.outcome, s.direct_key, s.entry
  FROM chat_send_messages(ARRAY[p_id], ARRAY[p_room], ARRAY[p_sender], ARRAY[p_type], ARRAY[p_content]) s;
END;
$$;

-- Writes many messages in one commit, and returns an answer for each, in the order of their places. It takes the locks
-- first, in one statement, in ascending order of the rooms. With p_skip_locked it does not wait for a room that another
-- transaction holds, but returns LOCKED for its messages.
--
-- A cancelled room accepts no messages, but a retry of an earlier message still finds it. The author of a stored id
-- gets it even if they are not a member any more: the first try may have been committed although its answer was lost.
-- For all other users who are not members it is NOT_FOUND, stored or not. An id that a room or a membership has cannot
-- become a message's id, for clients that cache objects by id alone.
--
-- If several messages have the same id, the first is new and the others are retries of it. If another transaction
-- writes the same id at the same time in another room, the whole call fails without a write, and its messages are sent
-- one by one.
--
-- A function's plans live as long as its connection. A plan from the time when the tables were new and empty would read
-- all messages at every call, so every join is forced to use an index. The plan is generic, because planning takes as
-- long as the work of several calls, and a custom plan would be made for each small batch.
CREATE OR REPLACE FUNCTION chat_send_messages(
  p_ids uuid[], p_rooms uuid[], p_senders integer[], p_types chat_message_type[], p_contents text[],
  p_skip_locked boolean DEFAULT false
) RETURNS TABLE (place integer, outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz;
  v_held uuid[];
BEGIN
  IF p_skip_locked THEN
    SELECT coalesce(array_agg(h.id), '{}') INTO v_held
    FROM (SELECT r.id FROM chat_rooms r WHERE r.id = ANY(p_rooms) ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED) h;
  ELSE
    PERFORM FROM chat_rooms r WHERE r.id = ANY(p_rooms) ORDER BY r.id FOR NO KEY UPDATE;
  END IF;
  v_now := clock_timestamp();
  RETURN QUERY
  WITH asked AS (
    SELECT a.place::integer, a.id, a.room_id, a.sender_id, a.type, a.content, s.seq, s.direct_key, s.is_cancelled,
      s.sender_name, s.is_confirmed, c AS stored, c.id IS NOT NULL AS is_stored,
      p_skip_locked AND a.room_id <> ALL(v_held) AND EXISTS (SELECT FROM chat_rooms r WHERE r.id = a.room_id) AS is_locked
    FROM unnest(p_ids, p_rooms, p_senders, p_types, p_contents)
      WITH ORDINALITY AS a(id, room_id, sender_id, type, content, place)
    LEFT JOIN LATERAL (
      SELECT r.seq, r.direct_key, r.cancelled_at IS NOT NULL AS is_cancelled,
        coalesce(u.name, '#' || u.id) AS sender_name, m.is_confirmed
      FROM chat_rooms r JOIN chat_room_members m ON m.room_id = r.id JOIN chat_users u ON u.id = m.user_id
      WHERE r.id = a.room_id AND m.user_id = a.sender_id AND m.left_at IS NULL
    ) s ON true
    LEFT JOIN chat_messages c ON c.id = a.id
  ), fresh AS (
    SELECT DISTINCT ON (a.id) a.* FROM asked a
    WHERE a.sender_name IS NOT NULL AND NOT a.is_stored AND NOT a.is_cancelled AND NOT a.is_locked
      AND NOT EXISTS (SELECT FROM chat_rooms r WHERE r.id = a.id)
      AND NOT EXISTS (SELECT FROM chat_room_members m WHERE m.id = a.id)
    ORDER BY a.id, a.place
  ), written AS (
    INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, created_at)
    SELECT n.id, n.room_id, n.position, n.position, n.sender_id, n.sender_name, n.type, n.content, v_now
    FROM (
      SELECT f.*, f.seq + row_number() OVER (PARTITION BY f.room_id ORDER BY f.place) AS position FROM fresh f
    ) n
    -- The same order in all calls, so that two calls with common ids cannot deadlock.
    ORDER BY n.id
    RETURNING *
  ), moved AS (
    UPDATE chat_rooms r SET seq = h.seq, updated_at = v_now, is_settled = false
    FROM (SELECT w.room_id, max(w.seq) AS seq FROM written w GROUP BY w.room_id) h
    WHERE r.id = h.room_id
  ), confirmed AS (
    UPDATE chat_room_members m SET is_confirmed = true
    FROM (SELECT DISTINCT f.room_id, f.sender_id FROM fresh f WHERE NOT f.is_confirmed) s
    WHERE m.room_id = s.room_id AND m.user_id = s.sender_id
  )
  SELECT a.place, o.outcome, a.direct_key,
    CASE WHEN o.outcome IN ('NOT_FOUND', 'LOCKED') OR k.id IS NULL THEN NULL::chat_messages ELSE k.entry END
  FROM asked a
  LEFT JOIN fresh f ON f.id = a.id
  LEFT JOIN LATERAL (
    SELECT w.id, w.room_id, w.sender_id, w.type, w.content, w.sent_digest, w::chat_messages AS entry
    FROM written w WHERE w.id = a.id
    UNION ALL
    SELECT (a.stored).id, (a.stored).room_id, (a.stored).sender_id, (a.stored).type, (a.stored).content,
      (a.stored).sent_digest, a.stored WHERE a.is_stored
  ) k ON true
  CROSS JOIN LATERAL (
    SELECT CASE
      WHEN a.is_locked THEN 'LOCKED'
      WHEN f.place = a.place THEN 'OK'
      WHEN k.room_id = a.room_id AND k.sender_id = a.sender_id AND k.type = a.type
        AND coalesce(k.sent_digest, sha256(convert_to(k.content, 'UTF8'))) = sha256(convert_to(a.content, 'UTF8'))
      THEN 'DUPLICATE'
      WHEN a.sender_name IS NULL AND k.sender_id IS DISTINCT FROM a.sender_id THEN 'NOT_FOUND'
      WHEN a.is_cancelled AND k.id IS NULL THEN 'CANCELLED'
      ELSE 'CONFLICT' END AS outcome
  ) o
  ORDER BY a.place;
END;
$$;
