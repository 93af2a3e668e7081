-- Messages in a room of a cancelled booking cannot be edited. With p_is_based, the message must not have been edited since
-- p_edited_at (null: never): a late copy of an earlier edit must not overwrite a later one.
CREATE OR REPLACE FUNCTION chat_edit_message(
  p_id uuid, p_user integer, p_content text, p_is_based boolean DEFAULT false, p_edited_at timestamptz DEFAULT NULL)
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
    WHEN v_room.cancelled_at IS NOT NULL THEN 'CANCELLED'
    WHEN v_entry.sender_id <> p_user THEN 'NOT_AUTHOR'
    WHEN v_entry.type <> 'TEXT' THEN 'NOT_TEXT'
    WHEN v_entry.deleted_at IS NOT NULL THEN 'DELETED'
    WHEN v_entry.content = p_content THEN 'UNCHANGED'
    WHEN p_is_based AND v_entry.edited_at IS DISTINCT FROM p_edited_at THEN 'EDITED'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    v_now := clock_timestamp();
    UPDATE chat_messages m
    SET content = p_content, edited_at = v_now, change = 'EDITED', changed_at = v_now, changed_seq = v_room.seq + 1,
        sent_digest = coalesce(m.sent_digest, sha256(convert_to(m.content, 'UTF8')))
    WHERE m.id = p_id RETURNING * INTO v_entry;
    UPDATE chat_rooms r SET seq = r.seq + 1, is_settled = false WHERE r.id = v_room.id;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;
