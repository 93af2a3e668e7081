-- Announces a file. The same id again, announced alike by the same user, returns the row as it is now. An id that a room,
-- a membership or a message has cannot become a file's id, for clients that cache objects by id alone. A user has p_max_pending
-- files at most whose bytes are not completed.
CREATE OR REPLACE FUNCTION chat_create_upload(
  p_id uuid, p_room uuid, p_uploader integer, p_purpose chat_upload_purpose, p_announced jsonb, p_lifetime interval,
  p_max_pending integer
) RETURNS TABLE (outcome text, attachment json)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_stored chat_attachments;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room;
  SELECT a.* INTO v_stored FROM chat_attachments a WHERE a.id = p_id;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_uploader) THEN 'NOT_FOUND'
    WHEN v_stored.id IS NOT NULL THEN 'DUPLICATE'
    WHEN v_room.cancelled_at IS NOT NULL THEN 'CANCELLED'
    WHEN p_purpose = 'ROOM_IMAGE' AND v_room.type <> 'GROUP' THEN 'NOT_GROUP'
    WHEN p_purpose = 'ROOM_IMAGE' AND NOT chat_is_admin(p_room, p_uploader) THEN 'NOT_ADMIN'
    WHEN EXISTS (SELECT FROM chat_messages m WHERE m.id = p_id) OR EXISTS (SELECT FROM chat_rooms r WHERE r.id = p_id)
      OR EXISTS (SELECT FROM chat_room_members m WHERE m.id = p_id) THEN 'CONFLICT'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    -- In a statement of its own: the count sees what others of the user have announced meanwhile.
    PERFORM chat_lock_users(ARRAY[p_uploader]);
    IF (SELECT count(*) FROM chat_attachments a WHERE a.uploader_id = p_uploader AND a.status = 'PENDING') >= p_max_pending
    THEN v_outcome := 'TOO_MANY_PENDING'; END IF;
  END IF;
  IF v_outcome = 'OK' THEN
    INSERT INTO chat_attachments AS a (id, room_id, uploader_id, purpose, name, content_type, byte_size, announced, created_at, due_at)
    VALUES (p_id, p_room, p_uploader, p_purpose, p_announced->>'name', p_announced->>'contentType',
      (p_announced->>'byteSize')::integer, p_announced, clock_timestamp(), clock_timestamp() + p_lifetime)
    ON CONFLICT (id) DO NOTHING
    RETURNING a.* INTO v_stored;
    IF NOT FOUND THEN
      -- Another request has announced it at the same time.
      SELECT a.* INTO v_stored FROM chat_attachments a WHERE a.id = p_id;
      v_outcome := 'DUPLICATE';
    END IF;
  END IF;
  IF v_outcome = 'DUPLICATE' AND (v_stored.room_id, v_stored.uploader_id, v_stored.purpose, v_stored.announced)
    IS DISTINCT FROM (p_room, p_uploader, p_purpose, p_announced)
  THEN v_outcome := 'CONFLICT'; END IF;
  RETURN QUERY SELECT v_outcome,
    CASE WHEN v_outcome IN ('OK', 'DUPLICATE') THEN chat_attachment_json(v_stored) END;
END;
$$;
