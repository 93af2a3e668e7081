-- Writes a message with attachments. It is a picture message if all of them are pictures. The digest of what was sent
-- covers the ids as well, so that a retry is recognized and a message with other attachments is not. p_retention is the
-- server's; the room may have another one.
CREATE OR REPLACE FUNCTION chat_send_attachments(
  p_id uuid, p_room uuid, p_sender integer, p_content text, p_attachments uuid[], p_retention interval
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_name text;
  v_digest bytea := sha256(convert_to(p_content || E'\n' || array_to_string(p_attachments, ','), 'UTF8'));
  v_now timestamptz;
  v_is_pictures boolean;
  v_expires_at timestamptz;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  SELECT coalesce(u.name, '#' || u.id) INTO v_name
  FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id
  WHERE m.room_id = p_room AND m.user_id = p_sender AND m.left_at IS NULL;
  SELECT m.* INTO v_entry FROM chat_messages m WHERE m.id = p_id;
  -- After the room, as everywhere. Others may not finish, use or expire them meanwhile.
  PERFORM FROM chat_attachments a WHERE a.id = ANY (p_attachments) ORDER BY a.id FOR UPDATE;
  v_outcome := CASE
    WHEN v_entry.room_id = p_room AND v_entry.sender_id = p_sender AND v_entry.sent_digest = v_digest THEN 'DUPLICATE'
    WHEN v_name IS NULL AND v_entry.sender_id IS DISTINCT FROM p_sender THEN 'NOT_FOUND'
    WHEN v_entry.id IS NOT NULL OR EXISTS (SELECT FROM chat_rooms r WHERE r.id = p_id)
      OR EXISTS (SELECT FROM chat_room_members m WHERE m.id = p_id)
      OR EXISTS (SELECT FROM chat_attachments a WHERE a.id = p_id) THEN 'CONFLICT'
    WHEN v_room.cancelled_at IS NOT NULL THEN 'CANCELLED'
    ELSE (
      SELECT CASE
        WHEN count(*) < cardinality(p_attachments) THEN 'FOREIGN_ATTACHMENT'
        WHEN bool_or(a.status IN ('FAILED', 'EXPIRED')) THEN 'UNUSABLE_ATTACHMENT'
        WHEN bool_or(a.status = 'PENDING') THEN 'NOT_UPLOADED'
        WHEN bool_or(EXISTS (SELECT FROM chat_message_attachments u WHERE u.attachment_id = a.id)) THEN 'ATTACHMENT_USED'
        ELSE 'OK' END
      FROM chat_attachments a
      WHERE a.id = ANY (p_attachments) AND a.room_id = p_room AND a.uploader_id = p_sender AND a.purpose = 'MESSAGE')
    END;
  IF v_outcome = 'OK' THEN
    v_now := clock_timestamp();
    SELECT bool_and(a.kind = 'IMAGE') INTO v_is_pictures FROM chat_attachments a WHERE a.id = ANY (p_attachments);
    INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, sent_digest, created_at)
    VALUES (p_id, p_room, v_room.seq + 1, v_room.seq + 1, p_sender, v_name,
      CASE WHEN v_is_pictures THEN 'IMAGE' ELSE 'FILE' END::chat_message_type, p_content, v_digest, v_now)
    RETURNING * INTO v_entry;
    INSERT INTO chat_message_attachments (message_id, position, attachment_id, room_id, seq, kind)
    SELECT p_id, f.position, a.id, p_room, v_entry.seq, a.kind
    FROM unnest(p_attachments) WITH ORDINALITY AS f(id, position) JOIN chat_attachments a ON a.id = f.id;
    v_expires_at := v_now + chat_file_retention(v_room.attachment_retention_days, p_retention);
    UPDATE chat_attachments a SET expires_at = v_expires_at,
      due_at = CASE WHEN a.status = 'PROCESSING' THEN a.due_at ELSE v_expires_at END
    WHERE a.id = ANY (p_attachments);
    UPDATE chat_rooms r SET seq = v_entry.seq, updated_at = v_now, is_settled = false WHERE r.id = p_room;
    PERFORM chat_confirm_member(p_room, p_sender);
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key,
    CASE WHEN v_outcome IN ('OK', 'DUPLICATE') THEN v_entry ELSE NULL::chat_messages END;
END;
$$;
