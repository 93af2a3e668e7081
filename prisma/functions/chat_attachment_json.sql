-- What everybody sees of an attachment: src/domain/attachment.ts.
CREATE OR REPLACE FUNCTION chat_attachment_json(p_attachment chat_attachments) RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT json_build_object(
    'id', p_attachment.id, 'name', p_attachment.name, 'kind', p_attachment.kind,
    'contentType', p_attachment.content_type, 'byteSize', p_attachment.byte_size,
    'width', p_attachment.width, 'height', p_attachment.height, 'durationMs', p_attachment.duration_ms,
    'thumbHash', p_attachment.thumb_hash, 'status', p_attachment.status, 'failure', p_attachment.failure,
    'expiresAt', to_char(p_attachment.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
$$;
