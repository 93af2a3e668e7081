-- Erases the text, and the attachments: nobody reads them from now on, and their bytes are erased a moment later. Messages in
-- a room of a cancelled booking can still be deleted.
CREATE OR REPLACE FUNCTION chat_delete_message(p_id uuid, p_user integer)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
  v_now timestamptz;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r
  WHERE r.id = (SELECT m.room_id FROM chat_messages m WHERE m.id = p_id) FOR NO KEY UPDATE;
  SELECT * INTO v_entry FROM chat_messages m WHERE m.id = p_id;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(v_room.id, p_user) THEN 'NOT_FOUND'
    WHEN v_entry.type = 'SYSTEM' THEN 'NOT_TEXT'
    WHEN v_entry.sender_id <> p_user AND NOT chat_is_admin(v_room.id, p_user) THEN 'NOT_AUTHOR'
    WHEN v_entry.deleted_at IS NOT NULL THEN 'UNCHANGED'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    v_now := clock_timestamp();
    UPDATE chat_messages m
    SET content = NULL, deleted_at = v_now, change = 'DELETED', changed_at = v_now, changed_seq = v_room.seq + 1,
        sent_digest = coalesce(m.sent_digest, sha256(convert_to(m.content, 'UTF8')))
    WHERE m.id = p_id RETURNING * INTO v_entry;
    UPDATE chat_attachments a SET status = 'EXPIRED', expires_at = v_now, due_at = v_now
    WHERE a.id IN (SELECT u.attachment_id FROM chat_message_attachments u WHERE u.message_id = p_id);
    UPDATE chat_rooms r SET seq = r.seq + 1, is_settled = false WHERE r.id = v_room.id;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;
