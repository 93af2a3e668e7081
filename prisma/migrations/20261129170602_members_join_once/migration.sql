-- How users become members of a room stands in chat_join_members alone.
-- EXISTS answers with the room that had the key before; p_members includes the creator. p_vouched tells that all who
-- are brought may be shown, whoever brings them.
CREATE OR REPLACE FUNCTION chat_create_room(
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
  PERFORM chat_join_members(p_id, p_members, p_creator, p_vouched);
  IF p_type = 'GROUP' THEN
    UPDATE chat_room_members m SET is_admin = true WHERE m.room_id = p_id AND m.user_id = p_creator;
  END IF;
  v_entry := chat_append_system(p_message_id, p_id, p_creator, 'ROOM_CREATED', p_members,
    chat_shown_name(p_creator) || '님이 대화방을 만들었습니다.');
  RETURN QUERY SELECT 'OK', p_id, p_direct_key, v_entry;
END;
$$;

-- p_vouched tells that all who are invited may be shown, whoever invites them.
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
    PERFORM chat_join_members(p_room, v_new, p_actor, p_vouched);
    v_entry := chat_append_system(p_message_id, p_room, p_actor, 'MEMBERS_JOINED', v_new,
      chat_shown_name(p_actor) || '님이 ' || chat_shown_members(p_room, v_new) || '을 초대했습니다.');
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

-- Has users become members of a room, or members again, with its next entry. They are confirmed where p_vouched says that
-- all of them may be shown, or where the actor knows them. The caller holds the room's lock and appends that entry.
CREATE OR REPLACE FUNCTION chat_join_members(p_room uuid, p_users integer[], p_actor integer, p_vouched boolean)
RETURNS void
LANGUAGE sql AS $$
  INSERT INTO chat_room_members (room_id, user_id, joined_seq, is_confirmed)
  SELECT r.id, u, r.seq + 1, p_vouched OR u = p_actor OR chat_knows(p_actor, u)
  FROM chat_rooms r, unnest(p_users) AS u WHERE r.id = p_room
  ON CONFLICT (room_id, user_id) DO UPDATE
  SET left_at = NULL, left_version = NULL, joined_at = excluded.joined_at, joined_seq = excluded.joined_seq,
      is_admin = false, is_confirmed = chat_room_members.is_confirmed OR excluded.is_confirmed;
$$;

-- Writes a message that is sent alone, for less than half of what chat_send_messages costs. That one is asked where
-- nothing could be written: the rule for what is answered then stands there.
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
      IF NOT v_confirmed THEN PERFORM chat_confirm_member(p_room, p_sender); END IF;
      RETURN QUERY SELECT 'OK', v_direct_key, v_entry;
      RETURN;
    END IF;
  END IF;

  -- Nothing was written.
  RETURN QUERY SELECT s.outcome, s.direct_key, s.entry
  FROM chat_send_messages(ARRAY[p_id], ARRAY[p_room], ARRAY[p_sender], ARRAY[p_type], ARRAY[p_content]) s;
END;
$$;

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
  p_only_makes boolean, p_message_ids uuid[]
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
        chat_shown_members(v_room.id, v_gone) || '이 예약에서 빠졌습니다.');
    END IF;
  ELSIF NOT p_only_makes THEN
    SELECT array_agg(m.user_id ORDER BY m.user_id) INTO v_new FROM chat_room_members m
    WHERE m.room_id = v_room.id AND m.left_version < p_version AND m.user_id <> ALL (p_users);
  END IF;
  IF v_new IS NOT NULL THEN
    PERFORM chat_join_members(v_room.id, v_new, v_actor, true);
    v_entries := v_entries || CASE WHEN v_begins
      THEN chat_append_system(p_message_ids[2], v_room.id, v_actor, 'ROOM_CREATED', v_new, '예약 대화방이 열렸습니다.')
      ELSE chat_append_system(p_message_ids[2], v_room.id, v_actor, 'MEMBERS_JOINED', v_new,
        chat_shown_members(v_room.id, v_new) || '이 예약에 참여했습니다.') END;
  END IF;
  IF v_renames AND v_room.seq > 0 THEN
    v_entries := v_entries || chat_append_system(p_message_ids[3], v_room.id, v_actor, 'ROOM_RENAMED', '{}',
      '대화방 이름이 ''' || p_name || '''(으)로 바뀌었습니다.');
  END IF;
  IF (v_cancels AND v_room.seq > 0) OR (v_begins AND (v_cancels OR v_room.cancelled_at IS NOT NULL)) THEN
    v_entries := v_entries || chat_append_system(p_message_ids[4], v_room.id, v_actor, 'BOOKING_CANCELLED', '{}',
      '예약이 취소되었습니다.');
  END IF;

  IF cardinality(v_entries) = 0 THEN
    RETURN QUERY SELECT v_room.id, false, v_applies, NULL::chat_messages;
  ELSE
    RETURN QUERY SELECT v_room.id, v_begins, v_applies, e FROM unnest(v_entries) AS e;
  END IF;
END;
$$;
