-- Moves many read marks in one commit, and returns an answer for each, in the order of their places. A read mark is no entry of the log, so no room is locked: the lock on the member's row orders the marks of
-- several connections. It takes these locks first, in one statement, in ascending order, and only for members whose mark
-- will move. It does not wait for a member that another transaction holds, but returns LOCKED: so it cannot deadlock,
-- neither with another call nor with a change of memberships. A mark that is there already writes and locks nothing.
--
-- A mark moves forward only, and one row of message_reads is written each time it moves; of several marks of one member,
-- each counts from the one before. A member who reads is confirmed.
--
-- The rooms, members and counts of the answers are of one moment after the write: a user who is removed right after it
-- still gets an answer, and a user who was removed before it gets none. Where p_counted says so, the answer has the
-- number of unread messages, as unreadCount in room-parts.ts counts them.
--
-- The plans are fixed for the reasons that chat_send_messages gives.
CREATE OR REPLACE FUNCTION chat_mark_reads(p_rooms uuid[], p_users integer[], p_messages uuid[], p_counted boolean[])
RETURNS TABLE (place integer, outcome text, member chat_room_members, room chat_rooms, unread integer, previous integer)
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
  v_outcomes text[];
  v_previous integer[];
BEGIN
  SELECT coalesce(array_agg(h.id), '{}') INTO v_held
  FROM (
    SELECT m.id FROM unnest(p_rooms, p_users, p_messages) AS a(room_id, user_id, message_id)
    JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND m.left_at IS NULL
    JOIN chat_messages c ON c.id = a.message_id AND c.room_id = a.room_id AND c.seq > m.last_read_seq
    ORDER BY m.id FOR NO KEY UPDATE OF m SKIP LOCKED
  ) h;
  v_now := clock_timestamp();

  WITH asked AS (
    SELECT a.place, a.room_id, a.user_id, a.message_id, c.seq, m.id AS member_id, m.last_read_seq
    FROM unnest(p_rooms, p_users, p_messages) WITH ORDINALITY AS a(room_id, user_id, message_id, place)
    LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND m.left_at IS NULL
    LEFT JOIN chat_messages c ON c.id = a.message_id AND c.room_id = a.room_id
  ), judged AS MATERIALIZED (
    SELECT a.*, CASE
      WHEN a.member_id IS NULL THEN 'NOT_FOUND'
      WHEN a.seq IS NULL THEN 'FOREIGN_MESSAGE'
      WHEN a.seq <= a.last_read_seq THEN 'UNCHANGED'
      WHEN a.member_id <> ALL(v_held) THEN 'LOCKED'
      WHEN a.seq <= max(a.seq) OVER earlier THEN 'UNCHANGED'
      ELSE 'OK' END AS outcome
    FROM asked a
    WINDOW earlier AS (PARTITION BY a.member_id ORDER BY a.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
  ), moved AS (
    UPDATE chat_room_members m
    SET last_read_seq = j.seq, last_read_message_id = j.message_id, last_read_at = v_now, is_confirmed = true
    FROM (
      SELECT DISTINCT ON (j.member_id) j.member_id, j.seq, j.message_id FROM judged j WHERE j.outcome = 'OK'
      ORDER BY j.member_id, j.seq DESC
    ) j
    WHERE m.id = j.member_id
  ), noted AS (
    INSERT INTO message_reads (message_id, room_id, user_id, seq, read_at)
    SELECT j.message_id, j.room_id, j.user_id, j.seq, v_now FROM judged j WHERE j.outcome = 'OK'
    ON CONFLICT (message_id, user_id) DO NOTHING
  )
  SELECT array_agg(j.outcome ORDER BY j.place), array_agg(j.last_read_seq ORDER BY j.place) INTO v_outcomes, v_previous
  FROM judged j;

  RETURN QUERY
  SELECT a.place::integer,
    CASE WHEN a.outcome IN ('OK', 'UNCHANGED') AND m.id IS NULL THEN 'NOT_FOUND' ELSE a.outcome END,
    m, r,
    CASE WHEN a.is_counted AND m.id IS NOT NULL THEN (
      SELECT count(*) FROM chat_messages c
      WHERE c.room_id = m.room_id AND c.seq > greatest(m.last_read_seq, m.joined_seq)
        AND c.sender_id <> m.user_id AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL)::integer END, a.previous
  FROM unnest(p_rooms, p_users, p_counted, v_outcomes, v_previous)
    WITH ORDINALITY AS a(room_id, user_id, is_counted, outcome, previous, place)
  LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND m.left_at IS NULL
    AND a.outcome IN ('OK', 'UNCHANGED')
  LEFT JOIN chat_rooms r ON r.id = m.room_id
  ORDER BY a.place;
END;
$$;
