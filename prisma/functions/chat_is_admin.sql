CREATE OR REPLACE FUNCTION chat_is_admin(p_room uuid, p_user integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM chat_room_members m
    WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL AND m.is_admin
  );
$$;
