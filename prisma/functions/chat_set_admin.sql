CREATE OR REPLACE FUNCTION chat_set_admin(
  p_room uuid, p_actor integer, p_user integer, p_is_admin boolean, p_message_id uuid, p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_actor) THEN 'NOT_FOUND'
    WHEN v_room.type <> 'GROUP' THEN 'NOT_GROUP'
    WHEN NOT chat_is_admin(p_room, p_actor) THEN 'NOT_ADMIN'
    WHEN NOT chat_is_member(p_room, p_user) THEN 'NO_SUCH_MEMBER'
    WHEN chat_is_admin(p_room, p_user) = p_is_admin THEN 'UNCHANGED'
    WHEN NOT p_is_admin AND NOT EXISTS (
      SELECT FROM chat_room_members m
      WHERE m.room_id = p_room AND m.user_id <> p_user AND m.left_at IS NULL AND m.is_admin
    ) THEN 'LAST_ADMIN'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    PERFORM chat_confirm_member(p_room, p_actor);
    UPDATE chat_room_members m SET is_admin = p_is_admin WHERE m.room_id = p_room AND m.user_id = p_user;
    v_entry := chat_append_system(p_message_id, p_room, p_actor,
      CASE WHEN p_is_admin THEN 'ADMIN_GRANTED' ELSE 'ADMIN_REVOKED' END, ARRAY[p_user],
      jsonb_build_object('language', p_language));
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;
