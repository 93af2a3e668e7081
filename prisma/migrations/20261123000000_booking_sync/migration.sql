-- What the booking system last said of a room, and whether its booking was cancelled: the room is closed for writing then.
-- A room that was cancelled, or emptied, before it ever had members has an empty log (seq 0) until somebody is in it.
ALTER TABLE "chat_rooms"
  ADD COLUMN "booking_version" BIGINT, ADD COLUMN "name_version" BIGINT, ADD COLUMN "cancelled_at" TIMESTAMPTZ(3);

-- As it was, and: nobody writes to a cancelled room, but a retry of what was sent before still finds its message.
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
  v_now timestamptz;
  v_entry chat_messages;
  v_outcome text := 'OK';
BEGIN
  SELECT r.seq + 1, r.direct_key, r.cancelled_at IS NOT NULL INTO v_seq, v_direct_key, v_cancelled
  FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  IF FOUND THEN
    SELECT coalesce(u.name, '#' || u.id) INTO v_name
    FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id
    WHERE m.room_id = p_room AND m.user_id = p_sender AND m.left_at IS NULL;
  END IF;
  IF v_name IS NULL THEN
    RETURN QUERY SELECT 'NOT_FOUND', NULL::text, NULL::chat_messages;
    RETURN;
  END IF;
  IF v_cancelled AND NOT EXISTS (SELECT FROM chat_messages m WHERE m.id = p_id) THEN
    RETURN QUERY SELECT 'CANCELLED', NULL::text, NULL::chat_messages;
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

-- As it was, and: what was said in a room of a cancelled booking stays as it is. It can still be deleted.
CREATE OR REPLACE FUNCTION chat_edit_message(p_id uuid, p_user integer, p_content text)
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
    WHEN v_room.cancelled_at IS NOT NULL THEN 'CANCELLED'
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

-- Makes users known, under the names that another backend mentions beside something else. Such a name is the weakest
-- word there is: it is dated to the epoch, so any token and any upsert overrides it. In ascending order, so that two
-- callers never wait for each other.
CREATE FUNCTION chat_introduce_users(p_users integer[], p_names text[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO chat_users AS u (id, name, named_at)
  SELECT DISTINCT ON (h.id) h.id, h.name, CASE WHEN h.name IS NOT NULL THEN 'epoch'::timestamptz END
  FROM unnest(p_users, p_names) AS h(id, name) ORDER BY h.id, h.name
  ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
  WHERE excluded.name IS NOT NULL AND (u.named_at IS NULL OR u.named_at <= excluded.named_at)
    AND u.name IS DISTINCT FROM excluded.name;
$$;

-- A SYSTEM message by which the platform tells a room something. Its sender need not be a member.
CREATE FUNCTION chat_announce(p_id uuid, p_room uuid, p_sender integer, p_content text)
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
    ELSE 'OK' END;
  IF v_outcome = 'OK' THEN
    PERFORM chat_ensure_users(ARRAY[p_sender]);
    BEGIN
      v_entry := chat_append_system(p_id, p_room, p_sender, 'ANNOUNCEMENT', '{}', p_content);
    EXCEPTION WHEN unique_violation THEN
      v_outcome := 'CONFLICT'; -- taken a moment ago in another room, whose lock is not ours
    END;
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry;
END;
$$;

-- What the booking system says of one booking, in whatever order it arrives and however often: the members are those of
-- the highest version, the name is that of the highest version that gives one, a cancellation is final. p_users NULL
-- says nothing of members, p_name NULL nothing of the name; p_version NULL is older than any. The room is made by
-- whatever comes first. Entries are written by the member who has been there longest.
--
-- With p_only_makes it fills a room of whose members nothing is known, one that was cancelled before it was made
-- included, and changes no other one, whatever its version: that a list came before, even an empty one, is newer.
CREATE FUNCTION chat_sync_booking(
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
  v_seq integer;
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
    SELECT array_agg(u.id ORDER BY u.place) INTO v_new
    FROM (SELECT id, min(place) AS place FROM unnest(p_users) WITH ORDINALITY AS w(id, place) GROUP BY id) u
    WHERE NOT chat_is_member(v_room.id, u.id);

    IF v_gone IS NOT NULL THEN
      UPDATE chat_room_members m SET left_at = clock_timestamp(), is_admin = false
      WHERE m.room_id = v_room.id AND m.user_id = ANY (v_gone);
      v_entries := v_entries || chat_append_system(p_message_ids[1], v_room.id, v_actor, 'MEMBER_REMOVED', v_gone,
        chat_shown_names(v_gone) || '이 예약에서 빠졌습니다.');
    END IF;
    IF v_new IS NOT NULL THEN
      SELECT r.seq + 1 INTO v_seq FROM chat_rooms r WHERE r.id = v_room.id;
      INSERT INTO chat_room_members (room_id, user_id, joined_seq)
      SELECT v_room.id, u, v_seq FROM unnest(v_new) AS u
      ON CONFLICT (room_id, user_id) DO UPDATE
      SET left_at = NULL, joined_at = excluded.joined_at, joined_seq = excluded.joined_seq, is_admin = false;
      v_entries := v_entries || CASE WHEN v_begins
        THEN chat_append_system(p_message_ids[2], v_room.id, v_actor, 'ROOM_CREATED', v_new, '예약 대화방이 열렸습니다.')
        ELSE chat_append_system(p_message_ids[2], v_room.id, v_actor, 'MEMBERS_JOINED', v_new,
          chat_shown_names(v_new) || '이 예약에 참여했습니다.') END;
    END IF;
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
