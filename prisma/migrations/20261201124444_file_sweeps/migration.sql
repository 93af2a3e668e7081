-- AlterTable
ALTER TABLE "chat_epochs" ADD COLUMN     "confirmed_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "chat_file_sweeps" (
    "id" INTEGER NOT NULL,
    "began_at" TIMESTAMPTZ(3) NOT NULL,
    "orphans" INTEGER,
    "missing" INTEGER,

    CONSTRAINT "chat_file_sweeps_pkey" PRIMARY KEY ("id")
);

-- Ends the work on a file: it is READY, FAILED or EXPIRED now, with the facts of p_facts where they are given. If a message
-- has it, that is an entry of the room's log. A status never moves back, so the work may be done twice.
CREATE OR REPLACE FUNCTION chat_settle_attachment(
  p_id uuid, p_status chat_attachment_status, p_failure chat_attachment_failure, p_facts jsonb, p_unused interval
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_attachment chat_attachments;
  v_entry chat_messages;
  v_now timestamptz;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r
  WHERE r.id = (SELECT a.room_id FROM chat_attachments a WHERE a.id = p_id) FOR NO KEY UPDATE;
  SELECT a.* INTO v_attachment FROM chat_attachments a WHERE a.id = p_id FOR UPDATE;
  -- The work on a READY picture that was done twice, and failed the second time, changes nothing.
  IF v_attachment.id IS NULL OR v_attachment.status >= p_status OR (p_status = 'FAILED' AND v_attachment.status = 'READY') THEN
    RETURN QUERY SELECT CASE WHEN v_attachment.id IS NULL THEN 'NOT_FOUND' ELSE 'UNCHANGED' END, v_room.direct_key,
      NULL::chat_messages;
    RETURN;
  END IF;
  v_now := clock_timestamp();
  SELECT m.* INTO v_entry FROM chat_messages m
  WHERE m.id = (SELECT u.message_id FROM chat_message_attachments u WHERE u.attachment_id = p_id);
  UPDATE chat_attachments a SET status = p_status, failure = p_failure,
    kind = coalesce((p_facts->>'kind')::chat_attachment_kind, a.kind),
    content_type = coalesce(p_facts->>'contentType', a.content_type),
    byte_size = coalesce((p_facts->>'byteSize')::integer, a.byte_size),
    width = coalesce((p_facts->>'width')::integer, a.width),
    height = coalesce((p_facts->>'height')::integer, a.height),
    duration_ms = coalesce((p_facts->>'durationMs')::integer, a.duration_ms),
    thumb_hash = coalesce(p_facts->>'thumbHash', a.thumb_hash),
    due_at = CASE
      WHEN p_status <> 'READY' THEN v_now
      WHEN v_entry.id IS NOT NULL THEN a.expires_at
      ELSE a.created_at + p_unused END
  WHERE a.id = p_id;
  IF v_entry.id IS NOT NULL AND v_entry.deleted_at IS NULL THEN
    UPDATE chat_messages m SET change = 'ATTACHMENTS', changed_at = v_now, changed_seq = v_room.seq + 1
    WHERE m.id = v_entry.id RETURNING m.* INTO v_entry;
    UPDATE chat_rooms r SET seq = r.seq + 1, is_settled = false WHERE r.id = v_room.id;
    RETURN QUERY SELECT 'OK', v_room.direct_key, v_entry;
  ELSE
    RETURN QUERY SELECT 'OK', v_room.direct_key, NULL::chat_messages;
  END IF;
END;
$$;
