-- Makes users members of a room, or members again, at its next position. They are confirmed if p_vouched says that all
-- of them may be shown by name, or if the actor knows them. The caller holds the room's lock and appends that entry.
CREATE OR REPLACE FUNCTION chat_join_members(p_room uuid, p_users integer[], p_actor integer, p_vouched boolean)
RETURNS void
LANGUAGE sql AS $$
  INSERT INTO chat_room_members (room_id, user_id, joined_seq, is_confirmed)
  SELECT r.id, u, r.seq + 1, p_vouched OR u = p_actor OR chat_knows(p_actor, u)
  FROM chat_rooms r, unnest(p_users) AS u WHERE r.id = p_room
  ON CONFLICT (room_id, user_id) DO UPDATE
  SET left_at = NULL, left_version = NULL, joined_at = excluded.joined_at, joined_seq = excluded.joined_seq,
      is_admin = false, is_confirmed = chat_room_members.is_confirmed OR excluded.is_confirmed;
$$;
