-- Whether nothing speaks against the log's having that entry: it reaches as far, and the position is no other
-- message's. A message whose row is gone says nothing, as somebody may have had to erase it. p_message may be null:
-- then only whether the log stands there or further.
CREATE OR REPLACE FUNCTION chat_has_entry(p_room uuid, p_seq integer, p_message uuid, p_is_added boolean) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
  SELECT EXISTS (SELECT FROM chat_rooms r WHERE r.id = p_room AND r.seq >= p_seq)
    AND (p_message IS NULL OR NOT EXISTS (
      SELECT FROM chat_messages m WHERE m.room_id = p_room AND m.seq = p_seq AND (m.id <> p_message OR NOT p_is_added)
    ) AND NOT EXISTS (
      SELECT FROM chat_messages m
      WHERE m.room_id = p_room AND m.changed_seq = p_seq AND m.changed_seq <> m.seq AND (m.id <> p_message OR p_is_added)
    ));
$$;
