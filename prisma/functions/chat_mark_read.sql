-- For instances of the release before; the others call chat_move_mark and chat_mark_reads.
--
-- A read mark is no entry of the log, so the room is not locked; the lock on the member's row orders the marks of
-- several connections. Returns the room as of the mark, so that a user who is removed right after it still gets an answer.
-- Confirms the member, because they read in the room.
CREATE OR REPLACE FUNCTION chat_mark_read(p_room uuid, p_user integer, p_message uuid)
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
    UPDATE chat_room_members m SET last_read_seq = v_seq, last_read_message_id = p_message, last_read_at = v_now,
      is_confirmed = true
    WHERE m.id = v_member.id RETURNING * INTO v_member;
    INSERT INTO message_reads (message_id, room_id, user_id, seq, read_at)
    VALUES (p_message, p_room, p_user, v_seq, v_now) ON CONFLICT (message_id, user_id) DO NOTHING;
    v_outcome := 'OK';
  END IF;
  RETURN QUERY SELECT v_outcome, v_member, v_room;
END;
$$;
