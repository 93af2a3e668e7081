-- The attachments of a message in their order, as src/domain/attachment.ts has them; NULL without any. VOLATILE, because it
-- must see what a function of the room's log has written in the same statement.
CREATE OR REPLACE FUNCTION chat_attachments_of(p_message uuid) RETURNS json
LANGUAGE sql VOLATILE AS $$
  SELECT json_agg(chat_attachment_json(a) ORDER BY m.position)
  FROM chat_message_attachments m JOIN chat_attachments a ON a.id = m.attachment_id
  WHERE m.message_id = p_message
$$;
