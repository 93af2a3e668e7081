-- Writes many messages in one commit, and returns an answer for each, in the order of their places. It takes the locks
-- first, in one statement, in ascending order of the rooms. With p_skip_locked it does not wait for a room that another
-- transaction holds, but returns LOCKED for its messages.
--
-- A cancelled room accepts no messages, but a retry of an earlier message still finds it. The author of a stored id
-- gets it even if they are not a member any more: the first try may have been committed although its answer was lost.
-- For all other users who are not members it is NOT_FOUND, stored or not. An id that a room, a membership or a file has cannot
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
      AND NOT EXISTS (SELECT FROM chat_attachments f WHERE f.id = a.id)
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
