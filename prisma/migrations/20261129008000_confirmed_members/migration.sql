-- A member is confirmed who came by themselves, was brought by the platform or by somebody who knows them, or has read or
-- written in the room. Where the user directory is off, nobody learns a name or presence by inviting a number: a member who
-- is not confirmed is shown as "#5".
ALTER TABLE "chat_room_members" ADD COLUMN "is_confirmed" BOOLEAN NOT NULL DEFAULT true;

-- Whether they meet in a room already, in which the other one is confirmed.
CREATE FUNCTION chat_knows(p_viewer integer, p_user integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM chat_room_members theirs JOIN chat_room_members mine ON mine.room_id = theirs.room_id
    WHERE theirs.user_id = p_user AND theirs.left_at IS NULL AND theirs.is_confirmed
      AND mine.user_id = p_viewer AND mine.left_at IS NULL
  );
$$;

-- The name of somebody who is or was in the room, as it is shown there.
CREATE FUNCTION chat_shown_member(p_room uuid, p_user integer) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT u.name FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id
    WHERE m.room_id = p_room AND m.user_id = p_user AND m.is_confirmed
  ), '#' || p_user);
$$;

-- Ten names at most, and how many there are beside them.
CREATE FUNCTION chat_shown_members(p_room uuid, p_users integer[]) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT string_agg(chat_shown_member(p_room, u.id) || '님', ', ' ORDER BY u.place)
    || CASE WHEN cardinality(p_users) > 10 THEN ' 외 ' || cardinality(p_users) - 10 || '명' ELSE '' END
  FROM unnest(p_users[1:10]) WITH ORDINALITY AS u(id, place);
$$;

-- As it was, and: p_vouched tells that all who are brought may be shown, whoever brings them.
DROP FUNCTION chat_create_room(uuid, chat_room_type, text, text, integer, integer, integer[], uuid);
CREATE FUNCTION chat_create_room(
  p_id uuid, p_type chat_room_type, p_name text, p_direct_key text, p_booking_id integer,
  p_creator integer, p_members integer[], p_message_id uuid, p_vouched boolean DEFAULT true
) RETURNS TABLE (outcome text, room_id uuid, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room uuid;
  v_entry chat_messages;
BEGIN
  INSERT INTO chat_rooms (id, type, name, direct_key, booking_id)
  VALUES (p_id, p_type, p_name, p_direct_key, p_booking_id)
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    SELECT r.id INTO v_room FROM chat_rooms r WHERE r.direct_key = p_direct_key OR r.booking_id = p_booking_id;
    RETURN QUERY SELECT 'EXISTS', v_room, p_direct_key, NULL::chat_messages;
    RETURN;
  END IF;

  PERFORM chat_ensure_users(p_members);
  INSERT INTO chat_room_members (room_id, user_id, is_admin, joined_seq, is_confirmed)
  SELECT p_id, u, p_type = 'GROUP' AND u = p_creator, 1, p_vouched OR u = p_creator OR chat_knows(p_creator, u)
  FROM unnest(p_members) AS u;
  v_entry := chat_append_system(p_message_id, p_id, p_creator, 'ROOM_CREATED', p_members,
    chat_shown_name(p_creator) || '님이 대화방을 만들었습니다.');
  RETURN QUERY SELECT 'OK', p_id, p_direct_key, v_entry;
END;
$$;

DROP FUNCTION chat_invite_members(uuid, integer, integer[], integer, uuid);
CREATE FUNCTION chat_invite_members(
  p_room uuid, p_actor integer, p_users integer[], p_max_members integer, p_message_id uuid, p_vouched boolean DEFAULT true
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_new integer[];
  v_entry chat_messages;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  SELECT coalesce(array_agg(u ORDER BY u), '{}') INTO v_new
  FROM (SELECT DISTINCT unnest(p_users) AS u) wanted WHERE NOT chat_is_member(p_room, u);
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_actor) THEN 'NOT_FOUND'
    WHEN v_room.type <> 'GROUP' THEN 'NOT_GROUP'
    WHEN cardinality(v_new) = 0 THEN 'UNCHANGED'
    WHEN cardinality(v_new) + (SELECT count(*) FROM chat_room_members m WHERE m.room_id = p_room AND m.left_at IS NULL)
         > p_max_members THEN 'FULL'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    PERFORM chat_ensure_users(v_new);
    INSERT INTO chat_room_members (room_id, user_id, joined_seq, is_confirmed)
    SELECT p_room, u, v_room.seq + 1, p_vouched OR chat_knows(p_actor, u) FROM unnest(v_new) AS u
    ON CONFLICT (room_id, user_id) DO UPDATE
    SET left_at = NULL, joined_at = excluded.joined_at, joined_seq = excluded.joined_seq, is_admin = false,
        is_confirmed = chat_room_members.is_confirmed OR excluded.is_confirmed;
    v_entry := chat_append_system(p_message_id, p_room, p_actor, 'MEMBERS_JOINED', v_new,
      chat_shown_name(p_actor) || '님이 ' || chat_shown_members(p_room, v_new) || '을 초대했습니다.');
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

-- As they were, with names as they are shown in the room.
CREATE OR REPLACE FUNCTION chat_remove_member(p_room uuid, p_actor integer, p_user integer, p_message_id uuid)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_actor) THEN 'NOT_FOUND'
    WHEN v_room.type <> 'GROUP' THEN 'NOT_GROUP'
    WHEN NOT chat_is_admin(p_room, p_actor) THEN 'NOT_ADMIN'
    WHEN NOT chat_is_member(p_room, p_user) THEN 'NO_SUCH_MEMBER'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    UPDATE chat_room_members m SET left_at = clock_timestamp(), is_admin = false
    WHERE m.room_id = p_room AND m.user_id = p_user;
    v_entry := chat_append_system(p_message_id, p_room, p_actor, 'MEMBER_REMOVED', ARRAY[p_user],
      chat_shown_name(p_actor) || '님이 ' || chat_shown_member(p_room, p_user) || '님을 내보냈습니다.');
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

CREATE OR REPLACE FUNCTION chat_leave_room(p_room uuid, p_user integer, p_message_id uuid, p_succession_id uuid)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_heir integer;
  v_entry chat_messages;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_user) THEN 'NOT_FOUND'
    WHEN v_room.type = 'DIRECT' THEN 'DIRECT'
    ELSE 'OK' END;
  IF v_outcome <> 'OK' THEN
    RETURN QUERY SELECT v_outcome, v_room.direct_key, NULL::chat_messages;
    RETURN;
  END IF;

  UPDATE chat_room_members m SET left_at = clock_timestamp(), is_admin = false,
    left_version = CASE WHEN v_room.type = 'BOOKING' THEN coalesce(v_room.booking_version, -1) END
  WHERE m.room_id = p_room AND m.user_id = p_user;
  v_entry := chat_append_system(p_message_id, p_room, p_user, 'MEMBER_LEFT', ARRAY[p_user],
    chat_shown_name(p_user) || '님이 나갔습니다.');
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;

  IF v_room.type = 'GROUP' AND NOT EXISTS (
    SELECT FROM chat_room_members m WHERE m.room_id = p_room AND m.left_at IS NULL AND m.is_admin
  ) THEN
    SELECT m.user_id INTO v_heir FROM chat_room_members m
    WHERE m.room_id = p_room AND m.left_at IS NULL ORDER BY m.joined_seq, m.user_id LIMIT 1;
    IF FOUND THEN
      UPDATE chat_room_members m SET is_admin = true WHERE m.room_id = p_room AND m.user_id = v_heir;
      v_entry := chat_append_system(p_succession_id, p_room, p_user, 'ADMIN_GRANTED', ARRAY[v_heir],
        chat_shown_member(p_room, v_heir) || '님이 관리자가 되었습니다.');
      RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
    END IF;
  END IF;
END;
$$;

CREATE OR REPLACE FUNCTION chat_set_admin(p_room uuid, p_actor integer, p_user integer, p_is_admin boolean, p_message_id uuid)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_actor) THEN 'NOT_FOUND'
    WHEN v_room.type <> 'GROUP' THEN 'NOT_GROUP'
    WHEN NOT chat_is_admin(p_room, p_actor) THEN 'NOT_ADMIN'
    WHEN NOT chat_is_member(p_room, p_user) THEN 'NO_SUCH_MEMBER'
    WHEN chat_is_admin(p_room, p_user) = p_is_admin THEN 'UNCHANGED'
    WHEN NOT p_is_admin AND NOT EXISTS (
      SELECT FROM chat_room_members m
      WHERE m.room_id = p_room AND m.user_id <> p_user AND m.left_at IS NULL AND m.is_admin
    ) THEN 'LAST_ADMIN'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    UPDATE chat_room_members m SET is_admin = p_is_admin WHERE m.room_id = p_room AND m.user_id = p_user;
    v_entry := chat_append_system(p_message_id, p_room, p_actor,
      CASE WHEN p_is_admin THEN 'ADMIN_GRANTED' ELSE 'ADMIN_REVOKED' END, ARRAY[p_user],
      chat_shown_member(p_room, p_user) || CASE WHEN p_is_admin THEN '님이 관리자가 되었습니다.'
        ELSE '님의 관리자 권한이 해제되었습니다.' END);
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

-- As they were, and: whoever reads or writes is confirmed.
CREATE OR REPLACE FUNCTION chat_mark_read(p_room uuid, p_user integer, p_message uuid)
RETURNS TABLE (outcome text, member chat_room_members, room chat_rooms)
LANGUAGE plpgsql AS $$
DECLARE
  v_seq integer;
  v_member chat_room_members;
  v_room chat_rooms;
  v_outcome text;
  v_now timestamptz := clock_timestamp();
BEGIN
  SELECT * INTO v_member FROM chat_room_members m
  WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'NOT_FOUND', NULL::chat_room_members, NULL::chat_rooms;
    RETURN;
  END IF;
  SELECT * INTO v_room FROM chat_rooms r WHERE r.id = p_room;
  SELECT m.seq INTO v_seq FROM chat_messages m WHERE m.id = p_message AND m.room_id = p_room;
  IF NOT FOUND THEN
    v_outcome := 'FOREIGN_MESSAGE';
  ELSIF v_seq <= v_member.last_read_seq THEN
    v_outcome := 'UNCHANGED';
  ELSE
    UPDATE chat_room_members m SET last_read_seq = v_seq, last_read_message_id = p_message, last_read_at = v_now,
      is_confirmed = true
    WHERE m.id = v_member.id RETURNING * INTO v_member;
    INSERT INTO message_reads (message_id, room_id, user_id, seq, read_at)
    VALUES (p_message, p_room, p_user, v_seq, v_now) ON CONFLICT (message_id, user_id) DO NOTHING;
    v_outcome := 'OK';
  END IF;
  RETURN QUERY SELECT v_outcome, v_member, v_room;
END;
$$;

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
    ON CONFLICT (id) DO NOTHING
    RETURNING * INTO v_entry;
    IF FOUND THEN
      UPDATE chat_rooms r SET seq = v_seq, updated_at = v_now WHERE r.id = p_room;
      IF NOT v_confirmed THEN
        UPDATE chat_room_members m SET is_confirmed = true WHERE m.room_id = p_room AND m.user_id = p_sender;
      END IF;
      RETURN QUERY SELECT 'OK', v_direct_key, v_entry;
      RETURN;
    END IF;
  END IF;

  SELECT * INTO v_entry FROM chat_messages m WHERE m.id = p_id;
  IF v_entry.room_id = p_room AND v_entry.sender_id = p_sender AND v_entry.type = p_type
    AND coalesce(v_entry.sent_digest, sha256(convert_to(v_entry.content, 'UTF8'))) = sha256(convert_to(p_content, 'UTF8'))
  THEN
    RETURN QUERY SELECT 'DUPLICATE', v_direct_key, v_entry;
  ELSIF v_name IS NULL AND v_entry.sender_id IS DISTINCT FROM p_sender THEN
    RETURN QUERY SELECT 'NOT_FOUND', NULL::text, NULL::chat_messages;
  ELSIF v_cancelled AND v_entry.id IS NULL THEN
    RETURN QUERY SELECT 'CANCELLED', NULL::text, NULL::chat_messages;
  ELSE
    RETURN QUERY SELECT 'CONFLICT', v_direct_key, v_entry;
  END IF;
END;
$$;

CREATE OR REPLACE FUNCTION chat_send_messages(
  p_ids uuid[], p_rooms uuid[], p_senders integer[], p_types chat_message_type[], p_contents text[]
) RETURNS TABLE (place integer, outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz;
BEGIN
  PERFORM FROM chat_rooms r WHERE r.id = ANY(p_rooms) ORDER BY r.id FOR NO KEY UPDATE;
  v_now := clock_timestamp();
  RETURN QUERY
  WITH asked AS (
    SELECT a.place::integer, a.id, a.room_id, a.sender_id, a.type, a.content, s.seq, s.direct_key, s.is_cancelled,
      s.sender_name, s.is_confirmed, c AS stored, c.id IS NOT NULL AS is_stored
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
    WHERE a.sender_name IS NOT NULL AND NOT a.is_stored AND NOT a.is_cancelled
      AND NOT EXISTS (SELECT FROM chat_rooms r WHERE r.id = a.id)
      AND NOT EXISTS (SELECT FROM chat_room_members m WHERE m.id = a.id)
    ORDER BY a.id, a.place
  ), written AS (
    INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, created_at)
    SELECT n.id, n.room_id, n.position, n.position, n.sender_id, n.sender_name, n.type, n.content, v_now
    FROM (
      SELECT f.*, f.seq + row_number() OVER (PARTITION BY f.room_id ORDER BY f.place) AS position FROM fresh f
    ) n
    -- In one order for all: two calls that share ids wait for each other in one direction only.
    ORDER BY n.id
    RETURNING *
  ), moved AS (
    UPDATE chat_rooms r SET seq = h.seq, updated_at = v_now
    FROM (SELECT w.room_id, max(w.seq) AS seq FROM written w GROUP BY w.room_id) h
    WHERE r.id = h.room_id
  ), confirmed AS (
    UPDATE chat_room_members m SET is_confirmed = true
    FROM (SELECT DISTINCT f.room_id, f.sender_id FROM fresh f WHERE NOT f.is_confirmed) s
    WHERE m.room_id = s.room_id AND m.user_id = s.sender_id
  )
  SELECT a.place, o.outcome, a.direct_key,
    CASE WHEN o.outcome = 'NOT_FOUND' OR k.id IS NULL THEN NULL::chat_messages ELSE k.entry END
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
