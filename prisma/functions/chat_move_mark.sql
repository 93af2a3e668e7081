-- Moves a single read mark, for two thirds of the cost of chat_mark_reads, by the same rules and with the same answer. Waits
-- for the lock of the member's row. A mark that is there already writes and locks nothing.
--
-- The previous mark is read in the same statement: if another connection moves the mark at this moment, it is the one from
-- before both.
CREATE OR REPLACE FUNCTION chat_move_mark(p_room uuid, p_user integer, p_message uuid, p_counted boolean)
RETURNS TABLE (outcome text, member chat_room_members, room chat_rooms, unread integer, previous integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_seq integer;
  v_now timestamptz;
  v_previous integer;
  v_outcome text := 'FOREIGN_MESSAGE';
BEGIN
  SELECT c.seq INTO v_seq FROM chat_messages c WHERE c.id = p_message AND c.room_id = p_room;
  IF FOUND THEN
    UPDATE chat_room_members m
    SET last_read_seq = v_seq, last_read_message_id = p_message, last_read_at = clock_timestamp(), is_confirmed = true
    FROM chat_room_members before
    WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL AND m.last_read_seq < v_seq AND before.id = m.id
    RETURNING m.last_read_at, before.last_read_seq INTO v_now, v_previous;
    v_outcome := CASE WHEN FOUND THEN 'OK' ELSE 'UNCHANGED' END;
    IF FOUND THEN
      INSERT INTO message_reads (message_id, room_id, user_id, seq, read_at)
      VALUES (p_message, p_room, p_user, v_seq, v_now) ON CONFLICT (message_id, user_id) DO NOTHING;
    END IF;
  END IF;

  RETURN QUERY
  SELECT v_outcome, m, r,
    CASE WHEN p_counted THEN (
      SELECT count(*) FROM chat_messages c
      WHERE c.room_id = m.room_id AND c.seq > greatest(m.last_read_seq, m.joined_seq)
        AND c.sender_id <> m.user_id AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL)::integer END, v_previous
  FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
  WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL;
  IF NOT FOUND THEN RETURN QUERY SELECT 'NOT_FOUND', NULL::chat_room_members, NULL::chat_rooms, NULL::integer, NULL::integer; END IF;
END;
$$;
