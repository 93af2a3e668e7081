-- Writes a SYSTEM message of the platform. Its sender need not be a member. An id that a room or a membership has
-- cannot become a message's id.
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
      v_entry := chat_append_system(p_id, p_room, p_sender, 'ANNOUNCEMENT', '{}', '{}', p_content);
    EXCEPTION WHEN unique_violation THEN
      v_outcome := 'CONFLICT'; -- taken meanwhile in another room, under its own lock
    END;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;
