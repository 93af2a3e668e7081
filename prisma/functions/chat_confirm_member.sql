-- Confirms a member, because they write in the room. The caller holds the room's lock.
CREATE OR REPLACE FUNCTION chat_confirm_member(p_room uuid, p_user integer) RETURNS void
LANGUAGE sql AS $$
  UPDATE chat_room_members m SET is_confirmed = true WHERE m.room_id = p_room AND m.user_id = p_user AND NOT m.is_confirmed;
$$;
