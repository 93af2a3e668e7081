-- Whether both users are in a room in which the other one is confirmed.
CREATE OR REPLACE FUNCTION chat_knows(p_viewer integer, p_user integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM chat_room_members theirs JOIN chat_room_members mine ON mine.room_id = theirs.room_id
    WHERE theirs.user_id = p_user AND theirs.left_at IS NULL AND theirs.is_confirmed
      AND mine.user_id = p_viewer AND mine.left_at IS NULL
  );
$$;
