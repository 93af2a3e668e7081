DROP FUNCTION chat_shown_members(uuid,integer[]);

-- A SYSTEM message by which the platform tells a room something. Its sender need not be a member. An id that a room or
-- a membership has is no message's.
CREATE OR REPLACE FUNCTION chat_announce(p_id uuid, p_room uuid, p_sender integer, p_content text)
RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_entry chat_messages;
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  SELECT * INTO v_entry FROM chat_messages m WHERE m.id = p_id;
  v_outcome := CASE
    WHEN v_room.id IS NULL OR v_room.seq = 0 THEN 'NOT_FOUND'
    WHEN v_entry.id IS NOT NULL THEN CASE
      WHEN v_entry.room_id = p_room AND v_entry.sender_id = p_sender AND v_entry.content = p_content
        AND v_entry.system ->> 'code' = 'ANNOUNCEMENT'
      THEN 'DUPLICATE' ELSE 'CONFLICT' END
    WHEN v_room.cancelled_at IS NOT NULL THEN 'CANCELLED'
    WHEN EXISTS (SELECT FROM chat_rooms r WHERE r.id = p_id)
      OR EXISTS (SELECT FROM chat_room_members m WHERE m.id = p_id) THEN 'CONFLICT'
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    PERFORM chat_ensure_users(ARRAY[p_sender]);
    BEGIN
      v_entry := chat_append_system(p_id, p_room, p_sender, 'ANNOUNCEMENT', '{}', '{}', p_content);
    EXCEPTION WHEN unique_violation THEN
      v_outcome := 'CONFLICT'; -- taken a moment ago in another room, whose lock is not ours
    END;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

DROP FUNCTION chat_append_system(uuid,uuid,integer,text,integer[],text);
-- Appends a SYSTEM entry. Its sentence is rendered where it is read (src/domain/notice.ts), from the names of the first ten
-- users as they are shown now and from p_details: the language, and what else the sentence takes. An announcement has a
-- content of its own. The caller holds the room's lock.
CREATE OR REPLACE FUNCTION chat_append_system(
  p_id uuid, p_room uuid, p_actor integer, p_code text, p_users integer[], p_details jsonb, p_content text DEFAULT NULL
) RETURNS chat_messages
LANGUAGE plpgsql AS $$
DECLARE
  v_seq integer;
  v_now timestamptz := clock_timestamp();
  v_entry chat_messages;
BEGIN
  UPDATE chat_rooms r SET seq = r.seq + 1, updated_at = v_now WHERE r.id = p_room RETURNING r.seq INTO v_seq;
  INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, system, created_at)
  VALUES (p_id, p_room, v_seq, v_seq, p_actor, chat_shown_member(p_room, p_actor), 'SYSTEM', p_content,
          jsonb_build_object('code', p_code, 'userIds', p_users, 'names', ARRAY(
            SELECT chat_shown_member(p_room, u.id)
            FROM unnest(p_users[1:10]) WITH ORDINALITY AS u(id, place) ORDER BY u.place
          )) || p_details, v_now)
  RETURNING * INTO v_entry;
  RETURN v_entry;
END;
$$;

DROP FUNCTION chat_create_room(uuid,chat_room_type,text,text,integer,integer,integer[],uuid,boolean);
-- EXISTS answers with the room that had the key before; p_members includes the creator. p_vouched tells that all who
-- are brought may be shown, whoever brings them.
CREATE OR REPLACE FUNCTION chat_create_room(
  p_id uuid, p_type chat_room_type, p_name text, p_direct_key text, p_booking_id integer,
  p_creator integer, p_members integer[], p_message_id uuid, p_vouched boolean DEFAULT true,
  p_language text DEFAULT 'ko'
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
  PERFORM chat_join_members(p_id, p_members, p_creator, p_vouched);
  IF p_type = 'GROUP' THEN
    UPDATE chat_room_members m SET is_admin = true WHERE m.room_id = p_id AND m.user_id = p_creator;
  END IF;
  v_entry := chat_append_system(p_message_id, p_id, p_creator, 'ROOM_CREATED', p_members,
    jsonb_build_object('language', p_language));
  RETURN QUERY SELECT 'OK', p_id, p_direct_key, v_entry;
END;
$$;

DROP FUNCTION chat_invite_members(uuid,integer,integer[],integer,uuid,boolean);
-- p_vouched tells that all who are invited may be shown, whoever invites them.
CREATE OR REPLACE FUNCTION chat_invite_members(
  p_room uuid, p_actor integer, p_users integer[], p_max_members integer, p_message_id uuid, p_vouched boolean DEFAULT true,
  p_language text DEFAULT 'ko'
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
    PERFORM chat_join_members(p_room, v_new, p_actor, p_vouched);
    v_entry := chat_append_system(p_message_id, p_room, p_actor, 'MEMBERS_JOINED', v_new,
      jsonb_build_object('language', p_language));
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

DROP FUNCTION chat_leave_room(uuid,integer,uuid,uuid);
-- Two entries where the last admin leaves a GROUP: the leaving, and the longest member's becoming admin. Who leaves a
-- booking's room stays away until a list of the booking has been without them, so the version of the list is noted.
CREATE OR REPLACE FUNCTION chat_leave_room(
  p_room uuid, p_user integer, p_message_id uuid, p_succession_id uuid, p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
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
    jsonb_build_object('language', p_language));
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;

  IF v_room.type = 'GROUP' AND NOT EXISTS (
    SELECT FROM chat_room_members m WHERE m.room_id = p_room AND m.left_at IS NULL AND m.is_admin
  ) THEN
    SELECT m.user_id INTO v_heir FROM chat_room_members m
    WHERE m.room_id = p_room AND m.left_at IS NULL ORDER BY m.joined_seq, m.user_id LIMIT 1;
    IF FOUND THEN
      UPDATE chat_room_members m SET is_admin = true WHERE m.room_id = p_room AND m.user_id = v_heir;
      v_entry := chat_append_system(p_succession_id, p_room, p_user, 'ADMIN_GRANTED', ARRAY[v_heir],
        jsonb_build_object('language', p_language));
      RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
    END IF;
  END IF;
END;
$$;

DROP FUNCTION chat_remove_member(uuid,integer,integer,uuid);
CREATE OR REPLACE FUNCTION chat_remove_member(
  p_room uuid, p_actor integer, p_user integer, p_message_id uuid, p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
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
      jsonb_build_object('language', p_language));
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

DROP FUNCTION chat_rename_room(uuid,integer,text,uuid);
CREATE OR REPLACE FUNCTION chat_rename_room(
  p_room uuid, p_actor integer, p_name text, p_message_id uuid, p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
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
      jsonb_build_object('language', p_language, 'roomName', p_name));
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

DROP FUNCTION chat_set_admin(uuid,integer,integer,boolean,uuid);
CREATE OR REPLACE FUNCTION chat_set_admin(
  p_room uuid, p_actor integer, p_user integer, p_is_admin boolean, p_message_id uuid, p_language text DEFAULT 'ko'
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages)
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
      jsonb_build_object('language', p_language));
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

DROP FUNCTION chat_sync_booking(uuid,integer,text,integer[],text[],bigint,boolean,boolean,uuid[]);
-- What the booking system says of one booking, in whatever order it arrives and however often: the members are those of
-- the highest version, the name is that of the highest version that gives one, a cancellation is final. p_users NULL
-- says nothing of members, p_name NULL nothing of the name; p_version NULL is older than any. The room is made by
-- whatever comes first. Entries are written by the member who has been there longest.
--
-- Who left the room stays out until a list has been without them. That list may also be one that comes late: then the
-- newest one, which has them again, takes effect for them now.
--
-- With p_only_makes it fills a room of whose members nothing is known, one that was cancelled before it was made
-- included, and changes no other one, whatever its version: that a list came before, even an empty one, is newer.
CREATE OR REPLACE FUNCTION chat_sync_booking(
  p_id uuid, p_booking integer, p_name text, p_users integer[], p_names text[], p_version bigint, p_cancelled boolean,
  p_only_makes boolean, p_message_ids uuid[], p_language text DEFAULT 'ko'
) RETURNS TABLE (room_id uuid, created boolean, applied boolean, entry chat_messages)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_applies boolean;
  v_begins boolean;
  v_cancels boolean;
  v_names boolean;
  v_renames boolean;
  v_actor integer;
  v_gone integer[];
  v_new integer[];
  v_entries chat_messages[] := '{}';
  v_details jsonb := jsonb_build_object('language', p_language, 'isByBooking', true);
BEGIN
  INSERT INTO chat_rooms (id, type, booking_id) VALUES (p_id, 'BOOKING', p_booking) ON CONFLICT DO NOTHING;
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.booking_id = p_booking FOR NO KEY UPDATE;

  v_applies := p_users IS NOT NULL AND CASE
    WHEN p_only_makes OR p_version IS NULL THEN v_room.seq = 0 AND v_room.booking_version IS NULL
    ELSE p_version > coalesce(v_room.booking_version, -1) END;
  v_begins := v_room.seq = 0 AND v_applies AND cardinality(p_users) > 0;
  v_cancels := v_room.cancelled_at IS NULL AND p_cancelled;
  v_names := p_name IS NOT NULL AND (v_applies OR NOT p_only_makes) AND CASE
    WHEN p_version IS NULL THEN v_room.name IS NULL
    ELSE p_version > coalesce(v_room.name_version, -1) END;
  v_renames := v_names AND p_name IS DISTINCT FROM v_room.name;
  UPDATE chat_rooms r
  SET booking_version = CASE WHEN v_applies THEN p_version ELSE r.booking_version END,
      name = CASE WHEN v_names THEN p_name ELSE r.name END,
      name_version = CASE WHEN v_names THEN p_version ELSE r.name_version END,
      cancelled_at = CASE WHEN v_cancels THEN clock_timestamp() ELSE r.cancelled_at END
  WHERE r.id = v_room.id AND (v_applies OR v_names OR v_cancels);

  SELECT m.user_id INTO v_actor FROM chat_room_members m
  WHERE m.room_id = v_room.id ORDER BY m.left_at IS NOT NULL, m.joined_seq, m.user_id LIMIT 1;
  v_actor := coalesce(v_actor, p_users[1]);

  IF v_applies THEN
    PERFORM chat_introduce_users(p_users, p_names);
    SELECT array_agg(m.user_id ORDER BY m.user_id) INTO v_gone FROM chat_room_members m
    WHERE m.room_id = v_room.id AND m.left_at IS NULL AND m.user_id <> ALL (p_users);
    UPDATE chat_room_members m SET left_version = NULL
    WHERE m.room_id = v_room.id AND m.left_version IS NOT NULL AND m.user_id <> ALL (p_users);
    SELECT array_agg(u.id ORDER BY u.place) INTO v_new
    FROM (SELECT id, min(place) AS place FROM unnest(p_users) WITH ORDINALITY AS w(id, place) GROUP BY id) u
    WHERE NOT EXISTS (
      SELECT FROM chat_room_members m
      WHERE m.room_id = v_room.id AND m.user_id = u.id AND (m.left_at IS NULL OR m.left_version IS NOT NULL));

    IF v_gone IS NOT NULL THEN
      UPDATE chat_room_members m SET left_at = clock_timestamp(), is_admin = false
      WHERE m.room_id = v_room.id AND m.user_id = ANY (v_gone);
      v_entries := v_entries || chat_append_system(p_message_ids[1], v_room.id, v_actor, 'MEMBER_REMOVED', v_gone,
        v_details);
    END IF;
  ELSIF NOT p_only_makes THEN
    SELECT array_agg(m.user_id ORDER BY m.user_id) INTO v_new FROM chat_room_members m
    WHERE m.room_id = v_room.id AND m.left_version < p_version AND m.user_id <> ALL (p_users);
  END IF;
  IF v_new IS NOT NULL THEN
    PERFORM chat_join_members(v_room.id, v_new, v_actor, true);
    v_entries := v_entries || CASE WHEN v_begins
      THEN chat_append_system(p_message_ids[2], v_room.id, v_actor, 'ROOM_CREATED', v_new, v_details)
      ELSE chat_append_system(p_message_ids[2], v_room.id, v_actor, 'MEMBERS_JOINED', v_new, v_details) END;
  END IF;
  IF v_renames AND v_room.seq > 0 THEN
    v_entries := v_entries || chat_append_system(p_message_ids[3], v_room.id, v_actor, 'ROOM_RENAMED', '{}',
      v_details || jsonb_build_object('roomName', p_name));
  END IF;
  IF (v_cancels AND v_room.seq > 0) OR (v_begins AND (v_cancels OR v_room.cancelled_at IS NOT NULL)) THEN
    v_entries := v_entries || chat_append_system(p_message_ids[4], v_room.id, v_actor, 'BOOKING_CANCELLED', '{}',
      v_details);
  END IF;

  IF cardinality(v_entries) = 0 THEN
    RETURN QUERY SELECT v_room.id, false, v_applies, NULL::chat_messages;
  ELSE
    RETURN QUERY SELECT v_room.id, v_begins, v_applies, e FROM unnest(v_entries) AS e;
  END IF;
END;
$$;
