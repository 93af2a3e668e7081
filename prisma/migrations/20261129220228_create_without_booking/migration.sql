-- EXISTS returns the room that had the key before. p_members includes the creator. p_vouched: all added users may be
-- shown by name, whoever adds them. p_booking_id is not used: it is there for instances of 0.1.0, which pass NULL.
CREATE OR REPLACE FUNCTION chat_create_room(
  p_id uuid, p_type chat_room_type, p_name text, p_direct_key text, p_booking_id integer,
  p_creator integer, p_members integer[], p_message_id uuid, p_vouched boolean DEFAULT true,
  p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, room_id uuid, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room uuid;
  v_entry chat_messages;
BEGIN
  INSERT INTO chat_rooms (id, type, name, direct_key) VALUES (p_id, p_type, p_name, p_direct_key)
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    SELECT r.id INTO v_room FROM chat_rooms r WHERE r.direct_key = p_direct_key;
    RETURN QUERY SELECT 'EXISTS', v_room, p_direct_key, NULL::chat_messages;
    RETURN;
  END IF;

  PERFORM chat_ensure_users(p_members);
  PERFORM chat_join_members(p_id, p_members, p_creator, p_vouched);
  IF p_type = 'GROUP' THEN
    UPDATE chat_room_members m SET is_admin = true WHERE m.room_id = p_id AND m.user_id = p_creator;
  END IF;
  v_entry := chat_append_system(p_message_id, p_id, p_creator, 'ROOM_CREATED', p_members,
    jsonb_build_object('language', p_language));
  RETURN QUERY SELECT 'OK', p_id, p_direct_key, v_entry;
END;
$$;
