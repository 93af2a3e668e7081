-- Appends a SYSTEM entry. Its sentence is rendered when it is read (src/domain/notice.ts), from the current names of
-- the first ten users and from p_details: the language and the other parts of the sentence. An announcement has its own
-- content. The caller holds the room's lock.
CREATE OR REPLACE FUNCTION chat_append_system(
  p_id uuid, p_room uuid, p_actor integer, p_code text, p_users integer[], p_details jsonb, p_content text DEFAULT NULL
) RETURNS chat_messages
LANGUAGE plpgsql AS $$
DECLARE
  v_seq integer;
  v_now timestamptz := clock_timestamp();
  v_entry chat_messages;
BEGIN
  UPDATE chat_rooms r SET seq = r.seq + 1, updated_at = v_now, is_settled = false WHERE r.id = p_room RETURNING r.seq INTO v_seq;
  INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, system, created_at)
  VALUES (p_id, p_room, v_seq, v_seq, p_actor, chat_shown_member(p_room, p_actor), 'SYSTEM', p_content,
          jsonb_build_object('code', p_code, 'userIds', p_users, 'names', ARRAY(
            SELECT chat_shown_member(p_room, u.id)
            FROM unnest(p_users[1:10]) WITH ORDINALITY AS u(id, place) ORDER BY u.place
          )) || p_details, v_now)
  RETURNING * INTO v_entry;
  RETURN v_entry;
END;
$$;
