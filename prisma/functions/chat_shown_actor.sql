-- Whoever caused an entry is called in it as they are shown in its room: "#5" until they are confirmed there. The
-- platform also writes for those who are no members, and they keep their names.
CREATE OR REPLACE FUNCTION chat_shown_actor(p_room uuid, p_user integer) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN EXISTS (
    SELECT FROM chat_room_members m WHERE m.room_id = p_room AND m.user_id = p_user AND NOT m.is_confirmed
  ) THEN '#' || p_user ELSE chat_shown_name(p_user) END;
$$;
