-- Whoever caused an entry is called in it as they are shown in its room: "#5" until they are confirmed there. The platform
-- also writes for those who are no members, and they keep their names.
CREATE FUNCTION chat_shown_actor(p_room uuid, p_user integer) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN EXISTS (
    SELECT FROM chat_room_members m WHERE m.room_id = p_room AND m.user_id = p_user AND NOT m.is_confirmed
  ) THEN '#' || p_user ELSE chat_shown_name(p_user) END;
$$;

-- The caller holds the room's lock.
CREATE FUNCTION chat_confirm_member(p_room uuid, p_user integer) RETURNS void
LANGUAGE sql AS $$
  UPDATE chat_room_members m SET is_confirmed = true WHERE m.room_id = p_room AND m.user_id = p_user AND NOT m.is_confirmed;
$$;

-- As they were, with that name.
CREATE OR REPLACE FUNCTION chat_append_system(
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
  VALUES (p_id, p_room, v_seq, v_seq, p_actor, chat_shown_actor(p_room, p_actor), 'SYSTEM', p_content,
          jsonb_build_object('code', p_code, 'userIds', to_jsonb(p_users)), v_now)
  RETURNING * INTO v_entry;
  RETURN v_entry;
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
    chat_shown_actor(p_room, p_user) || '님이 나갔습니다.');
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

-- As they were, and: whoever renames the room or changes its members has written there, and is confirmed.
CREATE OR REPLACE FUNCTION chat_rename_room(p_room uuid, p_actor integer, p_name text, p_message_id uuid)
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
    PERFORM chat_confirm_member(p_room, p_actor);
    UPDATE chat_rooms r SET name = p_name WHERE r.id = p_room;
    v_entry := chat_append_system(p_message_id, p_room, p_actor, 'ROOM_RENAMED', '{}',
      chat_shown_name(p_actor) || '님이 대화방 이름을 ''' || p_name || '''(으)로 바꿨습니다.');
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

CREATE OR REPLACE FUNCTION chat_invite_members(
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
    PERFORM chat_confirm_member(p_room, p_actor);
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
    PERFORM chat_confirm_member(p_room, p_actor);
    UPDATE chat_room_members m SET left_at = clock_timestamp(), is_admin = false
    WHERE m.room_id = p_room AND m.user_id = p_user;
    v_entry := chat_append_system(p_message_id, p_room, p_actor, 'MEMBER_REMOVED', ARRAY[p_user],
      chat_shown_name(p_actor) || '님이 ' || chat_shown_member(p_room, p_user) || '님을 내보냈습니다.');
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
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
    PERFORM chat_confirm_member(p_room, p_actor);
    UPDATE chat_room_members m SET is_admin = p_is_admin WHERE m.room_id = p_room AND m.user_id = p_user;
    v_entry := chat_append_system(p_message_id, p_room, p_actor,
      CASE WHEN p_is_admin THEN 'ADMIN_GRANTED' ELSE 'ADMIN_REVOKED' END, ARRAY[p_user],
      chat_shown_member(p_room, p_user) || CASE WHEN p_is_admin THEN '님이 관리자가 되었습니다.'
        ELSE '님의 관리자 권한이 해제되었습니다.' END);
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;
