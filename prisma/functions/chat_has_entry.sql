-- Whether the log may have this entry: the log reaches its position, and no other message has that position. A missing
-- message row proves nothing, because it may have been erased on purpose. p_message may be null: then only the position
-- is checked.
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
