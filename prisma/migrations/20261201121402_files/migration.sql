-- CreateEnum
CREATE TYPE "chat_attachment_kind" AS ENUM ('IMAGE', 'VIDEO', 'AUDIO', 'FILE');

-- CreateEnum
CREATE TYPE "chat_attachment_status" AS ENUM ('PENDING', 'PROCESSING', 'READY', 'FAILED', 'EXPIRED');

-- CreateEnum
CREATE TYPE "chat_attachment_failure" AS ENUM ('TYPE_NOT_ALLOWED', 'TOO_LARGE', 'TOO_MANY_PIXELS', 'BROKEN', 'CHECKSUM', 'INFECTED');

-- CreateEnum
CREATE TYPE "chat_upload_purpose" AS ENUM ('MESSAGE', 'ROOM_IMAGE');

-- AlterEnum
ALTER TYPE "chat_message_change" ADD VALUE 'ATTACHMENTS';

-- AlterEnum
ALTER TYPE "chat_message_type" ADD VALUE 'FILE';

-- CreateTable
CREATE TABLE "chat_attachments" (
    "id" UUID NOT NULL,
    "room_id" UUID NOT NULL,
    "uploader_id" INTEGER NOT NULL,
    "purpose" "chat_upload_purpose" NOT NULL DEFAULT 'MESSAGE',
    "name" TEXT NOT NULL,
    "content_type" TEXT NOT NULL,
    "kind" "chat_attachment_kind" NOT NULL DEFAULT 'FILE',
    "byte_size" INTEGER NOT NULL,
    "announced" JSONB NOT NULL,
    "width" INTEGER,
    "height" INTEGER,
    "duration_ms" INTEGER,
    "thumb_hash" TEXT,
    "status" "chat_attachment_status" NOT NULL DEFAULT 'PENDING',
    "failure" "chat_attachment_failure",
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),
    "due_at" TIMESTAMPTZ(3),

    CONSTRAINT "chat_attachments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "chat_message_attachments" (
    "message_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "attachment_id" UUID NOT NULL,
    "room_id" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "kind" "chat_attachment_kind" NOT NULL,

    CONSTRAINT "chat_message_attachments_pkey" PRIMARY KEY ("message_id","position")
);

-- CreateIndex
CREATE INDEX "chat_attachments_due_at_idx" ON "chat_attachments"("due_at");

-- CreateIndex
CREATE INDEX "chat_attachments_room_id_idx" ON "chat_attachments"("room_id");

-- CreateIndex
CREATE INDEX "chat_attachments_uploader_id_idx" ON "chat_attachments"("uploader_id");

-- CreateIndex
CREATE UNIQUE INDEX "chat_message_attachments_attachment_id_key" ON "chat_message_attachments"("attachment_id");

-- CreateIndex
CREATE INDEX "chat_message_attachments_room_id_seq_position_idx" ON "chat_message_attachments"("room_id", "seq" DESC, "position");

-- CreateIndex
CREATE INDEX "chat_message_attachments_room_id_kind_seq_position_idx" ON "chat_message_attachments"("room_id", "kind", "seq" DESC, "position");

-- AddForeignKey
ALTER TABLE "chat_attachments" ADD CONSTRAINT "chat_attachments_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "chat_rooms"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "chat_attachments" ADD CONSTRAINT "chat_attachments_uploader_id_fkey" FOREIGN KEY ("uploader_id") REFERENCES "chat_users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "chat_message_attachments" ADD CONSTRAINT "chat_message_attachments_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "chat_messages"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "chat_message_attachments" ADD CONSTRAINT "chat_message_attachments_attachment_id_fkey" FOREIGN KEY ("attachment_id") REFERENCES "chat_attachments"("id") ON DELETE CASCADE ON UPDATE CASCADE;

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

-- The attachments of a message in their order, as src/domain/attachment.ts has them; NULL without any. VOLATILE, because it
-- must see what a function of the room's log has written in the same statement.
CREATE OR REPLACE FUNCTION chat_attachments_of(p_message uuid) RETURNS json
LANGUAGE sql VOLATILE AS $$
  SELECT json_agg(chat_attachment_json(a) ORDER BY m.position)
  FROM chat_message_attachments m JOIN chat_attachments a ON a.id = m.attachment_id
  WHERE m.message_id = p_message
$$;

-- Announces a file. The same id again, announced alike by the same user, returns the row as it is now. An id that a room,
-- a membership or a message has cannot become a file's id, for clients that cache objects by id alone.
CREATE OR REPLACE FUNCTION chat_create_upload(
  p_id uuid, p_room uuid, p_uploader integer, p_purpose chat_upload_purpose, p_announced jsonb, p_lifetime interval
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

-- Writes a message with attachments. It is a picture message if all of them are pictures. The digest of what was sent
-- covers the ids as well, so that a retry is recognized and a message with other attachments is not.
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
    UPDATE chat_attachments a SET expires_at = v_now + p_retention,
      due_at = CASE WHEN a.status = 'PROCESSING' THEN a.due_at ELSE v_now + p_retention END
    WHERE a.id = ANY (p_attachments);
    UPDATE chat_rooms r SET seq = v_entry.seq, updated_at = v_now, is_settled = false WHERE r.id = p_room;
    PERFORM chat_confirm_member(p_room, p_sender);
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key,
    CASE WHEN v_outcome IN ('OK', 'DUPLICATE') THEN v_entry ELSE NULL::chat_messages END;
END;
$$;

-- Writes a single message, for less than half of the cost of chat_send_messages. It calls that function if it could not
-- write, so the rules for refusals are in one place.
CREATE OR REPLACE FUNCTION chat_send_message(
  p_id uuid, p_room uuid, p_sender integer, p_type chat_message_type, p_content text
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_seq integer;
  v_direct_key text;
  v_cancelled boolean;
  v_name text;
  v_confirmed boolean;
  v_now timestamptz;
  v_entry chat_messages;
BEGIN
  SELECT r.seq + 1, r.direct_key, r.cancelled_at IS NOT NULL INTO v_seq, v_direct_key, v_cancelled
  FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  IF FOUND THEN
    SELECT coalesce(u.name, '#' || u.id), m.is_confirmed INTO v_name, v_confirmed
    FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id
    WHERE m.room_id = p_room AND m.user_id = p_sender AND m.left_at IS NULL;
  END IF;

  IF v_name IS NOT NULL AND NOT v_cancelled THEN
    v_now := clock_timestamp();
    INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, created_at)
    SELECT p_id, p_room, v_seq, v_seq, p_sender, v_name, p_type, p_content, v_now
    WHERE NOT EXISTS (SELECT FROM chat_rooms r WHERE r.id = p_id)
      AND NOT EXISTS (SELECT FROM chat_room_members m WHERE m.id = p_id)
      AND NOT EXISTS (SELECT FROM chat_attachments f WHERE f.id = p_id)
    ON CONFLICT (id) DO NOTHING
    RETURNING * INTO v_entry;
    IF FOUND THEN
      UPDATE chat_rooms r SET seq = v_seq, updated_at = v_now, is_settled = false WHERE r.id = p_room;
      IF NOT v_confirmed THEN PERFORM chat_confirm_member(p_room, p_sender); END IF;
      RETURN QUERY SELECT 'OK', v_direct_key, v_entry;
      RETURN;
    END IF;
  END IF;

  RETURN QUERY SELECT s.outcome, s.direct_key, s.entry
  FROM chat_send_messages(ARRAY[p_id], ARRAY[p_room], ARRAY[p_sender], ARRAY[p_type], ARRAY[p_content]) s;
END;
$$;

-- Writes many messages in one commit, and returns an answer for each, in the order of their places. It takes the locks
-- first, in one statement, in ascending order of the rooms. With p_skip_locked it does not wait for a room that another
-- transaction holds, but returns LOCKED for its messages.
--
-- A cancelled room accepts no messages, but a retry of an earlier message still finds it. The author of a stored id
-- gets it even if they are not a member any more: the first try may have been committed although its answer was lost.
-- For all other users who are not members it is NOT_FOUND, stored or not. An id that a room, a membership or a file has cannot
-- become a message's id, for clients that cache objects by id alone.
--
-- If several messages have the same id, the first is new and the others are retries of it. If another transaction
-- writes the same id at the same time in another room, the whole call fails without a write, and its messages are sent
-- one by one.
--
-- A function's plans live as long as its connection. A plan from the time when the tables were new and empty would read
-- all messages at every call, so every join is forced to use an index. The plan is generic, because planning takes as
-- long as the work of several calls, and a custom plan would be made for each small batch.
CREATE OR REPLACE FUNCTION chat_send_messages(
  p_ids uuid[], p_rooms uuid[], p_senders integer[], p_types chat_message_type[], p_contents text[],
  p_skip_locked boolean DEFAULT false
) RETURNS TABLE (place integer, outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz;
  v_held uuid[];
BEGIN
  IF p_skip_locked THEN
    SELECT coalesce(array_agg(h.id), '{}') INTO v_held
    FROM (SELECT r.id FROM chat_rooms r WHERE r.id = ANY(p_rooms) ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED) h;
  ELSE
    PERFORM FROM chat_rooms r WHERE r.id = ANY(p_rooms) ORDER BY r.id FOR NO KEY UPDATE;
  END IF;
  v_now := clock_timestamp();
  RETURN QUERY
  WITH asked AS (
    SELECT a.place::integer, a.id, a.room_id, a.sender_id, a.type, a.content, s.seq, s.direct_key, s.is_cancelled,
      s.sender_name, s.is_confirmed, c AS stored, c.id IS NOT NULL AS is_stored,
      p_skip_locked AND a.room_id <> ALL(v_held) AND EXISTS (SELECT FROM chat_rooms r WHERE r.id = a.room_id) AS is_locked
    FROM unnest(p_ids, p_rooms, p_senders, p_types, p_contents)
      WITH ORDINALITY AS a(id, room_id, sender_id, type, content, place)
    LEFT JOIN LATERAL (
      SELECT r.seq, r.direct_key, r.cancelled_at IS NOT NULL AS is_cancelled,
        coalesce(u.name, '#' || u.id) AS sender_name, m.is_confirmed
      FROM chat_rooms r JOIN chat_room_members m ON m.room_id = r.id JOIN chat_users u ON u.id = m.user_id
      WHERE r.id = a.room_id AND m.user_id = a.sender_id AND m.left_at IS NULL
    ) s ON true
    LEFT JOIN chat_messages c ON c.id = a.id
  ), fresh AS (
    SELECT DISTINCT ON (a.id) a.* FROM asked a
    WHERE a.sender_name IS NOT NULL AND NOT a.is_stored AND NOT a.is_cancelled AND NOT a.is_locked
      AND NOT EXISTS (SELECT FROM chat_rooms r WHERE r.id = a.id)
      AND NOT EXISTS (SELECT FROM chat_room_members m WHERE m.id = a.id)
      AND NOT EXISTS (SELECT FROM chat_attachments f WHERE f.id = a.id)
    ORDER BY a.id, a.place
  ), written AS (
    INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, created_at)
    SELECT n.id, n.room_id, n.position, n.position, n.sender_id, n.sender_name, n.type, n.content, v_now
    FROM (
      SELECT f.*, f.seq + row_number() OVER (PARTITION BY f.room_id ORDER BY f.place) AS position FROM fresh f
    ) n
    -- The same order in all calls, so that two calls with common ids cannot deadlock.
    ORDER BY n.id
    RETURNING *
  ), moved AS (
    UPDATE chat_rooms r SET seq = h.seq, updated_at = v_now, is_settled = false
    FROM (SELECT w.room_id, max(w.seq) AS seq FROM written w GROUP BY w.room_id) h
    WHERE r.id = h.room_id
  ), confirmed AS (
    UPDATE chat_room_members m SET is_confirmed = true
    FROM (SELECT DISTINCT f.room_id, f.sender_id FROM fresh f WHERE NOT f.is_confirmed) s
    WHERE m.room_id = s.room_id AND m.user_id = s.sender_id
  )
  SELECT a.place, o.outcome, a.direct_key,
    CASE WHEN o.outcome IN ('NOT_FOUND', 'LOCKED') OR k.id IS NULL THEN NULL::chat_messages ELSE k.entry END
  FROM asked a
  LEFT JOIN fresh f ON f.id = a.id
  LEFT JOIN LATERAL (
    SELECT w.id, w.room_id, w.sender_id, w.type, w.content, w.sent_digest, w::chat_messages AS entry
    FROM written w WHERE w.id = a.id
    UNION ALL
    SELECT (a.stored).id, (a.stored).room_id, (a.stored).sender_id, (a.stored).type, (a.stored).content,
      (a.stored).sent_digest, a.stored WHERE a.is_stored
  ) k ON true
  CROSS JOIN LATERAL (
    SELECT CASE
      WHEN a.is_locked THEN 'LOCKED'
      WHEN f.place = a.place THEN 'OK'
      WHEN k.room_id = a.room_id AND k.sender_id = a.sender_id AND k.type = a.type
        AND coalesce(k.sent_digest, sha256(convert_to(k.content, 'UTF8'))) = sha256(convert_to(a.content, 'UTF8'))
      THEN 'DUPLICATE'
      WHEN a.sender_name IS NULL AND k.sender_id IS DISTINCT FROM a.sender_id THEN 'NOT_FOUND'
      WHEN a.is_cancelled AND k.id IS NULL THEN 'CANCELLED'
      ELSE 'CONFLICT' END AS outcome
  ) o
  ORDER BY a.place;
END;
$$;

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
  IF v_attachment.id IS NULL OR v_attachment.status >= p_status THEN
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

DROP FUNCTION chat_update_room(uuid,integer,text,boolean,text,uuid[],text);
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

-- The key that signs addresses of files, and tokens that read them: 244 random bits, by the server's strong source.
INSERT INTO chat_keys (name, key)
VALUES ('files', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
