-- Changes the name, the picture, or both: an entry for each. Without p_name the name stays, without p_sets_image the picture;
-- with it, p_image may be NULL, which removes the picture, and p_image_id names an uploaded one instead. A picture that is
-- replaced is erased. p_message_ids has the ids of the entries.
CREATE OR REPLACE FUNCTION chat_update_room(
  p_room uuid, p_actor integer, p_name text, p_sets_image boolean, p_image text, p_message_ids uuid[],
  p_language text DEFAULT 'ko', p_image_id uuid DEFAULT NULL
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_file chat_attachments;
  v_image text := coalesce('/files/' || p_image_id || '/medium', p_image);
  v_renames boolean;
  v_sets_image boolean;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  v_renames := p_name IS NOT NULL AND v_room.name IS DISTINCT FROM p_name;
  v_sets_image := p_sets_image AND v_room.image_url IS DISTINCT FROM v_image;
  SELECT a.* INTO v_file FROM chat_attachments a
  WHERE a.id = p_image_id AND a.room_id = p_room AND a.uploader_id = p_actor AND a.purpose = 'ROOM_IMAGE' FOR UPDATE;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_actor) THEN 'NOT_FOUND'
    WHEN v_room.type <> 'GROUP' THEN 'NOT_GROUP'
    WHEN NOT chat_is_admin(p_room, p_actor) THEN 'NOT_ADMIN'
    WHEN NOT v_renames AND NOT v_sets_image THEN 'UNCHANGED'
    WHEN v_sets_image AND p_image_id IS NOT NULL AND v_file.id IS NULL THEN 'FOREIGN_ATTACHMENT'
    WHEN v_sets_image AND v_file.status = 'PENDING' THEN 'NOT_UPLOADED'
    WHEN v_sets_image AND v_file.status = 'PROCESSING' THEN 'NOT_READY'
    WHEN v_sets_image AND (v_file.status <> 'READY' OR v_file.kind <> 'IMAGE') THEN 'UNUSABLE_ATTACHMENT'
    ELSE 'OK' END;
  IF v_outcome <> 'OK' THEN
    RETURN QUERY SELECT v_outcome, v_room.direct_key, NULL::chat_messages;
    RETURN;
  END IF;

  PERFORM chat_confirm_member(p_room, p_actor);
  IF v_renames THEN
    UPDATE chat_rooms r SET name = p_name WHERE r.id = p_room;
    v_entry := chat_append_system(p_message_ids[1], p_room, p_actor, 'ROOM_RENAMED', '{}',
      jsonb_build_object('language', p_language, 'roomName', p_name));
    RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
  END IF;
  IF v_sets_image THEN
    UPDATE chat_rooms r SET image_url = v_image WHERE r.id = p_room;
    UPDATE chat_attachments a SET due_at = NULL WHERE a.id = p_image_id;
    UPDATE chat_attachments a SET status = 'EXPIRED', expires_at = clock_timestamp(), due_at = clock_timestamp()
    WHERE a.room_id = p_room AND a.purpose = 'ROOM_IMAGE' AND v_room.image_url = '/files/' || a.id || '/medium';
    v_entry := chat_append_system(p_message_ids[2], p_room, p_actor, 'ROOM_IMAGE_CHANGED', '{}',
      jsonb_build_object('language', p_language));
    RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
  END IF;
END;
$$;
