-- AlterTable
ALTER TABLE "chat_rooms" ADD COLUMN     "image_url" TEXT;

-- AlterTable
ALTER TABLE "chat_users" ADD COLUMN     "avatar_url" TEXT,
ADD COLUMN     "deleted_at" TIMESTAMPTZ(3);

-- Stores users with names that another backend mentions. Such a name has the lowest priority: it is dated 1970, so that
-- any token or upsert replaces it. In ascending order, so that two callers cannot deadlock. Returns the users who had a
-- row before and have another name now.
CREATE OR REPLACE FUNCTION chat_introduce_users(p_users integer[], p_names text[]) RETURNS integer[]
LANGUAGE sql AS $$
  WITH before AS (SELECT u.id FROM chat_users u WHERE u.id = ANY (p_users)), written AS (
  INSERT INTO chat_users AS u (id, name, named_at)
  SELECT DISTINCT ON (h.id) h.id, h.name, CASE WHEN h.name IS NOT NULL THEN 'epoch'::timestamptz END
  FROM unnest(p_users, p_names) AS h(id, name) ORDER BY h.id, h.name
  ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
  WHERE excluded.name IS NOT NULL AND (u.named_at IS NULL OR u.named_at <= excluded.named_at)
    AND u.name IS DISTINCT FROM excluded.name AND u.deleted_at IS NULL
  RETURNING u.id)
  SELECT coalesce(array_agg(w.id), '{}') FROM written w JOIN before b ON b.id = w.id;
$$;

DROP FUNCTION chat_mark_reads(uuid[],integer[],uuid[],boolean[]);
-- Moves many read marks in one commit, and returns an answer for each, in the order of their places. A read mark is no entry of the log, so no room is locked: the lock on the member's row orders the marks of
-- several connections. It takes these locks first, in one statement, in ascending order, and only for members whose mark
-- will move. It does not wait for a member that another transaction holds, but returns LOCKED: so it cannot deadlock,
-- neither with another call nor with a change of memberships. A mark that is there already writes and locks nothing.
--
-- A mark moves forward only, and one row of message_reads is written each time it moves; of several marks of one member,
-- each counts from the one before. A member who reads is confirmed.
--
-- The rooms, members and counts of the answers are of one moment after the write: a user who is removed right after it
-- still gets an answer, and a user who was removed before it gets none. Where p_counted says so, the answer has the
-- number of unread messages, as unreadCount in room-parts.ts counts them.
--
-- The plans are fixed for the reasons that chat_send_messages gives.
CREATE OR REPLACE FUNCTION chat_mark_reads(p_rooms uuid[], p_users integer[], p_messages uuid[], p_counted boolean[])
RETURNS TABLE (place integer, outcome text, member chat_room_members, room chat_rooms, unread integer, previous integer)
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
  v_outcomes text[];
  v_previous integer[];
BEGIN
  SELECT coalesce(array_agg(h.id), '{}') INTO v_held
  FROM (
    SELECT m.id FROM unnest(p_rooms, p_users, p_messages) AS a(room_id, user_id, message_id)
    JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND m.left_at IS NULL
    JOIN chat_messages c ON c.id = a.message_id AND c.room_id = a.room_id AND c.seq > m.last_read_seq
    ORDER BY m.id FOR NO KEY UPDATE OF m SKIP LOCKED
  ) h;
  v_now := clock_timestamp();

  WITH asked AS (
    SELECT a.place, a.room_id, a.user_id, a.message_id, c.seq, m.id AS member_id, m.last_read_seq
    FROM unnest(p_rooms, p_users, p_messages) WITH ORDINALITY AS a(room_id, user_id, message_id, place)
    LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND m.left_at IS NULL
    LEFT JOIN chat_messages c ON c.id = a.message_id AND c.room_id = a.room_id
  ), judged AS MATERIALIZED (
    SELECT a.*, CASE
      WHEN a.member_id IS NULL THEN 'NOT_FOUND'
      WHEN a.seq IS NULL THEN 'FOREIGN_MESSAGE'
      WHEN a.seq <= a.last_read_seq THEN 'UNCHANGED'
      WHEN a.member_id <> ALL(v_held) THEN 'LOCKED'
      WHEN a.seq <= max(a.seq) OVER earlier THEN 'UNCHANGED'
      ELSE 'OK' END AS outcome
    FROM asked a
    WINDOW earlier AS (PARTITION BY a.member_id ORDER BY a.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
  ), moved AS (
    UPDATE chat_room_members m
    SET last_read_seq = j.seq, last_read_message_id = j.message_id, last_read_at = v_now, is_confirmed = true
    FROM (
      SELECT DISTINCT ON (j.member_id) j.member_id, j.seq, j.message_id FROM judged j WHERE j.outcome = 'OK'
      ORDER BY j.member_id, j.seq DESC
    ) j
    WHERE m.id = j.member_id
  ), noted AS (
    INSERT INTO message_reads (message_id, room_id, user_id, seq, read_at)
    SELECT j.message_id, j.room_id, j.user_id, j.seq, v_now FROM judged j WHERE j.outcome = 'OK'
    ON CONFLICT (message_id, user_id) DO NOTHING
  )
  SELECT array_agg(j.outcome ORDER BY j.place), array_agg(j.last_read_seq ORDER BY j.place) INTO v_outcomes, v_previous
  FROM judged j;

  RETURN QUERY
  SELECT a.place::integer,
    CASE WHEN a.outcome IN ('OK', 'UNCHANGED') AND m.id IS NULL THEN 'NOT_FOUND' ELSE a.outcome END,
    m, r,
    CASE WHEN a.is_counted AND m.id IS NOT NULL THEN (
      SELECT count(*) FROM chat_messages c
      WHERE c.room_id = m.room_id AND c.seq > greatest(m.last_read_seq, m.joined_seq)
        AND c.sender_id <> m.user_id AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL)::integer END, a.previous
  FROM unnest(p_rooms, p_users, p_counted, v_outcomes, v_previous)
    WITH ORDINALITY AS a(room_id, user_id, is_counted, outcome, previous, place)
  LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND m.left_at IS NULL
    AND a.outcome IN ('OK', 'UNCHANGED')
  LEFT JOIN chat_rooms r ON r.id = m.room_id
  ORDER BY a.place;
END;
$$;

DROP FUNCTION chat_move_mark(uuid,integer,uuid,boolean);
-- Moves a single read mark, for two thirds of the cost of chat_mark_reads, by the same rules and with the same answer. Waits
-- for the lock of the member's row. A mark that is there already writes and locks nothing.
--
-- The previous mark is read in the same statement: if another connection moves the mark at this moment, it is the one from
-- before both.
CREATE OR REPLACE FUNCTION chat_move_mark(p_room uuid, p_user integer, p_message uuid, p_counted boolean)
RETURNS TABLE (outcome text, member chat_room_members, room chat_rooms, unread integer, previous integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_seq integer;
  v_now timestamptz;
  v_previous integer;
  v_outcome text := 'FOREIGN_MESSAGE';
BEGIN
  SELECT c.seq INTO v_seq FROM chat_messages c WHERE c.id = p_message AND c.room_id = p_room;
  IF FOUND THEN
    UPDATE chat_room_members m
    SET last_read_seq = v_seq, last_read_message_id = p_message, last_read_at = clock_timestamp(), is_confirmed = true
    FROM chat_room_members before
    WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL AND m.last_read_seq < v_seq AND before.id = m.id
    RETURNING m.last_read_at, before.last_read_seq INTO v_now, v_previous;
    v_outcome := CASE WHEN FOUND THEN 'OK' ELSE 'UNCHANGED' END;
    IF FOUND THEN
      INSERT INTO message_reads (message_id, room_id, user_id, seq, read_at)
      VALUES (p_message, p_room, p_user, v_seq, v_now) ON CONFLICT (message_id, user_id) DO NOTHING;
    END IF;
  END IF;

  RETURN QUERY
  SELECT v_outcome, m, r,
    CASE WHEN p_counted THEN (
      SELECT count(*) FROM chat_messages c
      WHERE c.room_id = m.room_id AND c.seq > greatest(m.last_read_seq, m.joined_seq)
        AND c.sender_id <> m.user_id AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL)::integer END, v_previous
  FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
  WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL;
  IF NOT FOUND THEN RETURN QUERY SELECT 'NOT_FOUND', NULL::chat_room_members, NULL::chat_rooms, NULL::integer, NULL::integer; END IF;
END;
$$;

-- Changes the name, the picture, or both: an entry for each. Without p_name the name stays, without p_sets_image the picture;
-- with it, p_image may be NULL, which removes the picture. p_message_ids has the ids of the entries.
CREATE OR REPLACE FUNCTION chat_update_room(
  p_room uuid, p_actor integer, p_name text, p_sets_image boolean, p_image text, p_message_ids uuid[],
  p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_renames boolean;
  v_sets_image boolean;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  v_renames := p_name IS NOT NULL AND v_room.name IS DISTINCT FROM p_name;
  v_sets_image := p_sets_image AND v_room.image_url IS DISTINCT FROM p_image;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_actor) THEN 'NOT_FOUND'
    WHEN v_room.type <> 'GROUP' THEN 'NOT_GROUP'
    WHEN NOT chat_is_admin(p_room, p_actor) THEN 'NOT_ADMIN'
    WHEN NOT v_renames AND NOT v_sets_image THEN 'UNCHANGED'
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
    UPDATE chat_rooms r SET image_url = p_image WHERE r.id = p_room;
    v_entry := chat_append_system(p_message_ids[2], p_room, p_actor, 'ROOM_IMAGE_CHANGED', '{}',
      jsonb_build_object('language', p_language));
    RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
  END IF;
END;
$$;

-- For instances of the release before; the others call chat_update_room.
CREATE OR REPLACE FUNCTION chat_rename_room(
  p_room uuid, p_actor integer, p_name text, p_message_id uuid, p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE sql AS $$
  SELECT * FROM chat_update_room(p_room, p_actor, p_name, false, NULL, ARRAY[p_message_id], p_language);
$$;
