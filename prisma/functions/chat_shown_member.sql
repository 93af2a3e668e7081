-- The name of a user as it is shown in a room: "#5" for a member who is not confirmed there yet. Users who are not
-- members keep their names: the platform also writes in their names.
CREATE OR REPLACE FUNCTION chat_shown_member(p_room uuid, p_user integer) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT u.name FROM chat_users u
    WHERE u.id = p_user AND NOT EXISTS (
      SELECT FROM chat_room_members m WHERE m.room_id = p_room AND m.user_id = p_user AND NOT m.is_confirmed)
  ), '#' || p_user);
$$;
