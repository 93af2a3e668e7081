-- The name of somebody who is or was in the room, as it is shown there.
CREATE OR REPLACE FUNCTION chat_shown_member(p_room uuid, p_user integer) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT u.name FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id
    WHERE m.room_id = p_room AND m.user_id = p_user AND m.is_confirmed
  ), '#' || p_user);
$$;
