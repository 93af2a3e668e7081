-- The room log. Every function that writes an entry takes the room's row lock in a statement of its own and checks
-- membership and rule in later statements: a check in the statement that waits for the lock reads a snapshot from
-- before the wait, and a member removed a moment ago could still write.
--
-- They answer with an outcome in a word instead of raising, so that a refusal is an answer and not an error in the
-- server's log. OK: written. DUPLICATE, UNCHANGED: nothing to write, no position burnt. All others: refused.

CREATE FUNCTION chat_shown_name(p_user integer) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT u.name FROM chat_users u WHERE u.id = p_user), '#' || p_user);
$$;

CREATE FUNCTION chat_shown_names(p_users integer[]) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT string_agg(chat_shown_name(u.id) || '님', ', ' ORDER BY u.place)
  FROM unnest(p_users) WITH ORDINALITY AS u(id, place);
$$;

-- In ascending order, so that two callers never wait for each other.
CREATE FUNCTION chat_ensure_users(p_users integer[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO chat_users (id) SELECT DISTINCT u FROM unnest(p_users) AS u ORDER BY u ON CONFLICT (id) DO NOTHING;
$$;

CREATE FUNCTION chat_is_member(p_room uuid, p_user integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM chat_room_members m WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL
  );
$$;

CREATE FUNCTION chat_is_admin(p_room uuid, p_user integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM chat_room_members m
    WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL AND m.is_admin
  );
$$;

-- Appends a SYSTEM entry. The caller holds the room's lock.
CREATE FUNCTION chat_append_system(
  p_id uuid, p_room uuid, p_actor integer, p_code text, p_users integer[], p_content text
) RETURNS chat_messages
LANGUAGE plpgsql AS $$
DECLARE
  v_seq integer;
  v_now timestamptz := clock_timestamp();
  v_entry chat_messages;
BEGIN
  UPDATE chat_rooms r SET seq = r.seq + 1, updated_at = v_now WHERE r.id = p_room RETURNING r.seq INTO v_seq;
  INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, system, created_at)
  VALUES (p_id, p_room, v_seq, v_seq, p_actor, chat_shown_name(p_actor), 'SYSTEM', p_content,
          jsonb_build_object('code', p_code, 'userIds', to_jsonb(p_users)), v_now)
  RETURNING * INTO v_entry;
  RETURN v_entry;
END;
$$;

-- EXISTS answers with the room that had the key before; p_members includes the creator.
CREATE FUNCTION chat_create_room(
  p_id uuid, p_type chat_room_type, p_name text, p_direct_key text, p_booking_id integer,
  p_creator integer, p_members integer[], p_message_id uuid
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
  INSERT INTO chat_room_members (room_id, user_id, is_admin, joined_seq)
  SELECT p_id, u, p_type = 'GROUP' AND u = p_creator, 1 FROM unnest(p_members) AS u;
  v_entry := chat_append_system(p_message_id, p_id, p_creator, 'ROOM_CREATED', p_members,
    chat_shown_name(p_creator) || '님이 대화방을 만들었습니다.');
  RETURN QUERY SELECT 'OK', p_id, p_direct_key, v_entry;
END;
$$;

CREATE FUNCTION chat_send_message(
  p_id uuid, p_room uuid, p_sender integer, p_type chat_message_type, p_content text
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_seq integer;
  v_direct_key text;
  v_name text;
  v_now timestamptz;
  v_entry chat_messages;
  v_outcome text := 'OK';
BEGIN
  SELECT r.seq + 1, r.direct_key INTO v_seq, v_direct_key FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  IF FOUND THEN
    SELECT coalesce(u.name, '#' || u.id) INTO v_name
    FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id
    WHERE m.room_id = p_room AND m.user_id = p_sender AND m.left_at IS NULL;
  END IF;
  IF v_name IS NULL THEN
    RETURN QUERY SELECT 'NOT_FOUND', NULL::text, NULL::chat_messages;
    RETURN;
  END IF;

  v_now := clock_timestamp();
  INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, created_at)
  VALUES (p_id, p_room, v_seq, v_seq, p_sender, v_name, p_type, p_content, v_now)
  ON CONFLICT (id) DO NOTHING
  RETURNING * INTO v_entry;
  IF FOUND THEN
    UPDATE chat_rooms r SET seq = v_seq, updated_at = v_now WHERE r.id = p_room;
  ELSE
    SELECT * INTO v_entry FROM chat_messages m WHERE m.id = p_id;
    v_outcome := CASE
      WHEN v_entry.room_id = p_room AND v_entry.sender_id = p_sender AND v_entry.type = p_type
        AND coalesce(v_entry.sent_digest, sha256(convert_to(v_entry.content, 'UTF8'))) = sha256(convert_to(p_content, 'UTF8'))
      THEN 'DUPLICATE' ELSE 'CONFLICT' END;
  END IF;
  RETURN QUERY SELECT v_outcome, v_direct_key, v_entry;
END;
$$;

CREATE FUNCTION chat_edit_message(p_id uuid, p_user integer, p_content text)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r
  WHERE r.id = (SELECT m.room_id FROM chat_messages m WHERE m.id = p_id) FOR NO KEY UPDATE;
  SELECT * INTO v_entry FROM chat_messages m WHERE m.id = p_id;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(v_room.id, p_user) THEN 'NOT_FOUND'
    WHEN v_entry.sender_id <> p_user THEN 'NOT_AUTHOR'
    WHEN v_entry.type <> 'TEXT' THEN 'NOT_TEXT'
    WHEN v_entry.deleted_at IS NOT NULL THEN 'DELETED'
    WHEN v_entry.content = p_content THEN 'UNCHANGED'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    UPDATE chat_messages m
    SET content = p_content, edited_at = clock_timestamp(), changed_seq = v_room.seq + 1,
        sent_digest = coalesce(m.sent_digest, sha256(convert_to(m.content, 'UTF8')))
    WHERE m.id = p_id RETURNING * INTO v_entry;
    UPDATE chat_rooms r SET seq = r.seq + 1 WHERE r.id = v_room.id;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

CREATE FUNCTION chat_delete_message(p_id uuid, p_user integer)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
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
    UPDATE chat_messages m
    SET content = NULL, deleted_at = clock_timestamp(), changed_seq = v_room.seq + 1,
        sent_digest = coalesce(m.sent_digest, sha256(convert_to(m.content, 'UTF8')))
    WHERE m.id = p_id RETURNING * INTO v_entry;
    UPDATE chat_rooms r SET seq = r.seq + 1 WHERE r.id = v_room.id;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

CREATE FUNCTION chat_rename_room(p_room uuid, p_actor integer, p_name text, p_message_id uuid)
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
    WHEN v_room.name = p_name THEN 'UNCHANGED'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    UPDATE chat_rooms r SET name = p_name WHERE r.id = p_room;
    v_entry := chat_append_system(p_message_id, p_room, p_actor, 'ROOM_RENAMED', '{}',
      chat_shown_name(p_actor) || '님이 대화방 이름을 ''' || p_name || '''(으)로 바꿨습니다.');
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

CREATE FUNCTION chat_invite_members(
  p_room uuid, p_actor integer, p_users integer[], p_max_members integer, p_message_id uuid
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
    INSERT INTO chat_room_members (room_id, user_id, joined_seq)
    SELECT p_room, u, v_room.seq + 1 FROM unnest(v_new) AS u
    ON CONFLICT (room_id, user_id) DO UPDATE
    SET left_at = NULL, joined_at = excluded.joined_at, joined_seq = excluded.joined_seq, is_admin = false;
    v_entry := chat_append_system(p_message_id, p_room, p_actor, 'MEMBERS_JOINED', v_new,
      chat_shown_name(p_actor) || '님이 ' || chat_shown_names(v_new) || '을 초대했습니다.');
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

CREATE FUNCTION chat_remove_member(p_room uuid, p_actor integer, p_user integer, p_message_id uuid)
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
      chat_shown_name(p_actor) || '님이 ' || chat_shown_name(p_user) || '님을 내보냈습니다.');
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

-- Two entries where the last admin leaves a GROUP: the leaving, and the longest member's becoming admin.
CREATE FUNCTION chat_leave_room(p_room uuid, p_user integer, p_message_id uuid, p_succession_id uuid)
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

  UPDATE chat_room_members m SET left_at = clock_timestamp(), is_admin = false
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
        chat_shown_name(v_heir) || '님이 관리자가 되었습니다.');
      RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
    END IF;
  END IF;
END;
$$;

CREATE FUNCTION chat_set_admin(p_room uuid, p_actor integer, p_user integer, p_is_admin boolean, p_message_id uuid)
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
      chat_shown_name(p_user) || CASE WHEN p_is_admin THEN '님이 관리자가 되었습니다.'
        ELSE '님의 관리자 권한이 해제되었습니다.' END);
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

-- Not an entry of the log, so the room is not locked; the member's own row orders the marks of several devices.
CREATE FUNCTION chat_mark_read(p_room uuid, p_user integer, p_message uuid)
RETURNS TABLE (outcome text, member chat_room_members)
LANGUAGE plpgsql AS $$
DECLARE
  v_seq integer;
  v_member chat_room_members;
  v_now timestamptz := clock_timestamp();
BEGIN
  SELECT * INTO v_member FROM chat_room_members m
  WHERE m.room_id = p_room AND m.user_id = p_user AND m.left_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'NOT_FOUND', NULL::chat_room_members;
    RETURN;
  END IF;
  SELECT m.seq INTO v_seq FROM chat_messages m WHERE m.id = p_message AND m.room_id = p_room;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'FOREIGN_MESSAGE', v_member;
  ELSIF v_seq <= v_member.last_read_seq THEN
    RETURN QUERY SELECT 'UNCHANGED', v_member;
  ELSE
    UPDATE chat_room_members m SET last_read_seq = v_seq, last_read_message_id = p_message, last_read_at = v_now
    WHERE m.id = v_member.id RETURNING * INTO v_member;
    INSERT INTO message_reads (message_id, room_id, user_id, seq, read_at)
    VALUES (p_message, p_room, p_user, v_seq, v_now) ON CONFLICT (message_id, user_id) DO NOTHING;
    RETURN QUERY SELECT 'OK', v_member;
  END IF;
END;
$$;

-- Compare and set, range by range: a mark moves to a range's end only where everything before the range is published.
-- Rooms in ascending order, so that two instances never wait for each other; a room's ranges in their order.
CREATE FUNCTION chat_advance_published(p_rooms uuid[], p_starts integer[], p_ends integer[])
RETURNS TABLE (id uuid, mark integer)
LANGUAGE plpgsql AS $$
DECLARE
  v_range record;
BEGIN
  FOR v_range IN
    SELECT * FROM unnest(p_rooms, p_starts, p_ends) AS r(room, first, last) ORDER BY room, first
  LOOP
    UPDATE chat_rooms r SET published_seq = v_range.last
    WHERE r.id = v_range.room AND r.published_seq >= v_range.first - 1 AND r.published_seq < v_range.last;
  END LOOP;
  RETURN QUERY SELECT r.id, r.published_seq FROM chat_rooms r WHERE r.id = ANY(p_rooms);
END;
$$;
