-- For instances of the release before; the others call chat_update_room.
CREATE OR REPLACE FUNCTION chat_rename_room(
  p_room uuid, p_actor integer, p_name text, p_message_id uuid, p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE sql AS $$
  SELECT * FROM chat_update_room(p_room, p_actor, p_name, false, NULL, ARRAY[p_message_id], p_language);
$$;
