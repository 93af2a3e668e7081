-- Dates the files of a room's messages anew, as its retention says now: those of p_most rows, from the position p_from on
-- backwards. Returns the position to go on from, which may have files twice; NULL at the end. p_most must be greater than the
-- number of files of one message.
CREATE OR REPLACE FUNCTION chat_date_files(p_room uuid, p_from bigint, p_most integer, p_retention interval)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  v_room chat_rooms;
  v_retention interval;
  v_next integer;
BEGIN
  -- Sends wait, and so does another change of the retention: the last one of several also dates last.
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  v_retention := chat_file_retention(v_room.attachment_retention_days, p_retention);
  WITH part AS MATERIALIZED (
    SELECT u.attachment_id, u.message_id, u.seq FROM chat_message_attachments u
    WHERE u.room_id = p_room AND u.seq <= p_from ORDER BY u.seq DESC LIMIT p_most
  ), dated AS (
    UPDATE chat_attachments a SET expires_at = m.created_at + v_retention,
      due_at = CASE WHEN a.status = 'PROCESSING' THEN a.due_at ELSE m.created_at + v_retention END
    FROM part p JOIN chat_messages m ON m.id = p.message_id
    WHERE a.id = p.attachment_id AND a.status IN ('PROCESSING', 'READY')
      AND a.expires_at IS DISTINCT FROM m.created_at + v_retention
  )
  SELECT CASE WHEN count(*) = p_most THEN min(p.seq) END INTO v_next FROM part p;
  RETURN v_next;
END;
$$;
