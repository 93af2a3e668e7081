-- Writes two entries if the last admin leaves a GROUP: the leaving, and the longest member's promotion to admin. A user
-- who leaves the room of a booking stays out until a member list of the booking does not have them, so the version of
-- the list is stored.
CREATE OR REPLACE FUNCTION chat_leave_room(
  p_room uuid, p_user integer, p_message_id uuid, p_succession_id uuid, p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_heir integer;
  v_entry chat_messages;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_user) THEN 'NOT_FOUND'
    WHEN v_room.type = 'DIRECT' THEN 'DIRECT'
    ELSE 'OK' END;
  IF v_outcome <> 'OK' THEN
    RETURN QUERY SELECT v_outcome, v_room.direct_key, NULL::chat_messages;
    RETURN;
  END IF;

  UPDATE chat_room_members m SET left_at = clock_timestamp(), is_admin = false,
    left_version = CASE WHEN v_room.type = 'BOOKING' THEN coalesce(v_room.booking_version, -1) END
  WHERE m.room_id = p_room AND m.user_id = p_user;
  v_entry := chat_append_system(p_message_id, p_room, p_user, 'MEMBER_LEFT', ARRAY[p_user],
    jsonb_build_object('language', p_language));
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;

  IF v_room.type = 'GROUP' AND NOT EXISTS (
    SELECT FROM chat_room_members m WHERE m.room_id = p_room AND m.left_at IS NULL AND m.is_admin
  ) THEN
    SELECT m.user_id INTO v_heir FROM chat_room_members m
    WHERE m.room_id = p_room AND m.left_at IS NULL ORDER BY m.joined_seq, m.user_id LIMIT 1;
    IF FOUND THEN
      UPDATE chat_room_members m SET is_admin = true WHERE m.room_id = p_room AND m.user_id = v_heir;
      v_entry := chat_append_system(p_succession_id, p_room, p_user, 'ADMIN_GRANTED', ARRAY[v_heir],
        jsonb_build_object('language', p_language));
      RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
    END IF;
  END IF;
END;
$$;
