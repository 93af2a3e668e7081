-- As it was, and:
-- An id that is stored is answered to its author also where they are no member any more: the first try may have been
-- committed without its answer having arrived. To everybody else who is no member it is NOT_FOUND, stored or not.
-- An id that a room or a membership has is no message's: whoever keys by id alone would take one for the other.
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
  v_now timestamptz;
  v_entry chat_messages;
BEGIN
  SELECT r.seq + 1, r.direct_key, r.cancelled_at IS NOT NULL INTO v_seq, v_direct_key, v_cancelled
  FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  IF FOUND THEN
    SELECT coalesce(u.name, '#' || u.id) INTO v_name
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
      UPDATE chat_rooms r SET seq = v_seq, updated_at = v_now WHERE r.id = p_room;
      RETURN QUERY SELECT 'OK', v_direct_key, v_entry;
      RETURN;
    END IF;
  END IF;

  SELECT * INTO v_entry FROM chat_messages m WHERE m.id = p_id;
  IF v_entry.room_id = p_room AND v_entry.sender_id = p_sender AND v_entry.type = p_type
    AND coalesce(v_entry.sent_digest, sha256(convert_to(v_entry.content, 'UTF8'))) = sha256(convert_to(p_content, 'UTF8'))
  THEN
    RETURN QUERY SELECT 'DUPLICATE', v_direct_key, v_entry;
  ELSIF v_name IS NULL AND v_entry.sender_id IS DISTINCT FROM p_sender THEN
    RETURN QUERY SELECT 'NOT_FOUND', NULL::text, NULL::chat_messages;
  ELSIF v_cancelled AND v_entry.id IS NULL THEN
    RETURN QUERY SELECT 'CANCELLED', NULL::text, NULL::chat_messages;
  ELSE
    RETURN QUERY SELECT 'CONFLICT', v_direct_key, v_entry;
  END IF;
END;
$$;

-- The same for many messages at once. Everything that is joined is found by its key, whatever the tables were like when it
-- was planned.
CREATE OR REPLACE FUNCTION chat_send_messages(
  p_ids uuid[], p_rooms uuid[], p_senders integer[], p_types chat_message_type[], p_contents text[]
) RETURNS TABLE (place integer, outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz;
BEGIN
  PERFORM FROM chat_rooms r WHERE r.id = ANY(p_rooms) ORDER BY r.id FOR NO KEY UPDATE;
  v_now := clock_timestamp();
  RETURN QUERY
  WITH asked AS (
    SELECT a.place::integer, a.id, a.room_id, a.sender_id, a.type, a.content, s.seq, s.direct_key, s.is_cancelled,
      s.sender_name, c AS stored, c.id IS NOT NULL AS is_stored
    FROM unnest(p_ids, p_rooms, p_senders, p_types, p_contents)
      WITH ORDINALITY AS a(id, room_id, sender_id, type, content, place)
    LEFT JOIN LATERAL (
      SELECT r.seq, r.direct_key, r.cancelled_at IS NOT NULL AS is_cancelled,
        coalesce(u.name, '#' || u.id) AS sender_name
      FROM chat_rooms r JOIN chat_room_members m ON m.room_id = r.id JOIN chat_users u ON u.id = m.user_id
      WHERE r.id = a.room_id AND m.user_id = a.sender_id AND m.left_at IS NULL
    ) s ON true
    LEFT JOIN chat_messages c ON c.id = a.id
  ), fresh AS (
    SELECT DISTINCT ON (a.id) a.* FROM asked a
    WHERE a.sender_name IS NOT NULL AND NOT a.is_stored AND NOT a.is_cancelled
      AND NOT EXISTS (SELECT FROM chat_rooms r WHERE r.id = a.id)
      AND NOT EXISTS (SELECT FROM chat_room_members m WHERE m.id = a.id)
    ORDER BY a.id, a.place
  ), written AS (
    INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, created_at)
    SELECT n.id, n.room_id, n.position, n.position, n.sender_id, n.sender_name, n.type, n.content, v_now
    FROM (
      SELECT f.*, f.seq + row_number() OVER (PARTITION BY f.room_id ORDER BY f.place) AS position FROM fresh f
    ) n
    -- In one order for all: two calls that share ids wait for each other in one direction only.
    ORDER BY n.id
    RETURNING *
  ), moved AS (
    UPDATE chat_rooms r SET seq = h.seq, updated_at = v_now
    FROM (SELECT w.room_id, max(w.seq) AS seq FROM written w GROUP BY w.room_id) h
    WHERE r.id = h.room_id
  )
  SELECT a.place, o.outcome, a.direct_key,
    CASE WHEN o.outcome = 'NOT_FOUND' OR k.id IS NULL THEN NULL::chat_messages ELSE k.entry END
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

-- As it was, and: an id that a room or a membership has is no message's.
CREATE OR REPLACE FUNCTION chat_announce(p_id uuid, p_room uuid, p_sender integer, p_content text)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  SELECT * INTO v_entry FROM chat_messages m WHERE m.id = p_id;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR v_room.seq = 0 THEN 'NOT_FOUND'
    WHEN v_entry.id IS NOT NULL THEN CASE
      WHEN v_entry.room_id = p_room AND v_entry.sender_id = p_sender AND v_entry.content = p_content
        AND v_entry.system ->> 'code' = 'ANNOUNCEMENT'
      THEN 'DUPLICATE' ELSE 'CONFLICT' END
    WHEN v_room.cancelled_at IS NOT NULL THEN 'CANCELLED'
    WHEN EXISTS (SELECT FROM chat_rooms r WHERE r.id = p_id)
      OR EXISTS (SELECT FROM chat_room_members m WHERE m.id = p_id) THEN 'CONFLICT'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    PERFORM chat_ensure_users(ARRAY[p_sender]);
    BEGIN
      v_entry := chat_append_system(p_id, p_room, p_sender, 'ANNOUNCEMENT', '{}', p_content);
    EXCEPTION WHEN unique_violation THEN
      v_outcome := 'CONFLICT'; -- taken a moment ago in another room, whose lock is not ours
    END;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

-- As it was, and with the room as the mark found it: who is removed behind it is answered with that.
DROP FUNCTION chat_mark_read(uuid, integer, uuid);
CREATE FUNCTION chat_mark_read(p_room uuid, p_user integer, p_message uuid)
RETURNS TABLE (outcome text, member chat_room_members, room chat_rooms)
LANGUAGE plpgsql AS $$
DECLARE
  v_seq integer;
  v_member chat_room_members;
  v_room chat_rooms;
  v_outcome text;
  v_now timestamptz := clock_timestamp();
BEGIN
  SELECT * INTO v_member FROM chat_room_members m
  WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'NOT_FOUND', NULL::chat_room_members, NULL::chat_rooms;
    RETURN;
  END IF;
  SELECT * INTO v_room FROM chat_rooms r WHERE r.id = p_room;
  SELECT m.seq INTO v_seq FROM chat_messages m WHERE m.id = p_message AND m.room_id = p_room;
  IF NOT FOUND THEN
    v_outcome := 'FOREIGN_MESSAGE';
  ELSIF v_seq <= v_member.last_read_seq THEN
    v_outcome := 'UNCHANGED';
  ELSE
    UPDATE chat_room_members m SET last_read_seq = v_seq, last_read_message_id = p_message, last_read_at = v_now
    WHERE m.id = v_member.id RETURNING * INTO v_member;
    INSERT INTO message_reads (message_id, room_id, user_id, seq, read_at)
    VALUES (p_message, p_room, p_user, v_seq, v_now) ON CONFLICT (message_id, user_id) DO NOTHING;
    v_outcome := 'OK';
  END IF;
  RETURN QUERY SELECT v_outcome, v_member, v_room;
END;
$$;
